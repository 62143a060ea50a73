// FirstPlaces: of identities that come in no order, those that come first in the order of scans: so many, and so many bytes, at most. The
// bytes stand in one buffer, because there are many of them and they are small. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace setget::inline v0::redis {

// Where an identity stands in the order of scans: (identity_hash, ns, id).
struct PlaceView {
  std::uint64_t hash = 0;
  std::string_view ns{};
  std::string_view id{};
  friend bool operator<(const PlaceView& a, const PlaceView& b) noexcept {
    if (a.hash != b.hash) return a.hash < b.hash;
    if (const auto order = a.ns.compare(b.ns); order != 0) return order < 0;
    return a.id < b.id;
  }
};

class FirstPlaces {
 public:
  FirstPlaces() = default;
  FirstPlaces(std::size_t most, std::size_t most_bytes) : most_(most), most_bytes_(most_bytes) {}

  // May come twice.
  void add(const PlaceView& place);
  // Once all were added: in order, each once.
  void finish() { cut(); }

  std::size_t size() const noexcept { return items_.size(); }
  PlaceView at(std::size_t number) const noexcept { return view(items_[number]); }
  // The first behind `place`; size() if there is none.
  std::size_t behind(const PlaceView& place) const;
  // Whether others come behind the last one.
  bool left_some() const noexcept { return left_some_; }

 private:
  struct Item {
    std::uint64_t hash = 0;
    std::uint32_t begin = 0;  // of its namespace and id, which stand one behind the other
    std::uint16_t ns_size = 0;
    std::uint16_t id_size = 0;
  };
  PlaceView view(const Item& item) const noexcept {
    const auto bytes = std::string_view(bytes_).substr(item.begin, std::size_t{item.ns_size} + item.id_size);
    return {.hash = item.hash, .ns = bytes.substr(0, item.ns_size), .id = bytes.substr(item.ns_size)};
  }
  void cut();

  std::size_t most_ = 0;
  std::size_t most_bytes_ = 0;
  std::size_t kept_ = 0;  // so many are in order, and nothing that was added before comes between them
  std::vector<Item> items_;
  std::string bytes_;
  bool left_some_ = false;
};

}  // namespace setget::inline v0::redis
