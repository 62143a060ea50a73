// Payload: a reference-counted, immutable slice of bytes; KeyList: the keys of a record, packed into one slice. Both let bytes travel from
// the socket to the store with at most one copy, and make reading a record free of allocations per key.
// Thread rule: values; const access from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <setget/export.hpp>

namespace setget::inline v0 {

class SETGET_API Payload {
 public:
  Payload() = default;
  // Copies.
  static Payload copy(std::string_view bytes);
  // Takes the string's buffer; no copy.
  static Payload adopt(std::string&& bytes);
  // Shares `bytes`, which `owner` keeps alive and unchanged.
  static Payload share(std::shared_ptr<const void> owner, std::string_view bytes) { return Payload(std::move(owner), bytes); }
  // Copies, so that literals and strings read naturally where a request is written.
  Payload(std::string_view bytes) : Payload(copy(bytes)) {}                // NOLINT(google-explicit-constructor): see above
  Payload(const char* bytes) : Payload(std::string_view(bytes)) {}         // NOLINT(google-explicit-constructor): see above
  Payload(const std::string& bytes) : Payload(std::string_view(bytes)) {}  // NOLINT(google-explicit-constructor): see above
  Payload(std::string&& bytes) : Payload(adopt(std::move(bytes))) {}       // NOLINT(google-explicit-constructor): see above

  std::string_view view() const noexcept { return bytes_; }
  const char* data() const noexcept { return bytes_.data(); }
  std::size_t size() const noexcept { return bytes_.size(); }
  bool empty() const noexcept { return bytes_.empty(); }
  std::string str() const { return std::string(bytes_); }
  // A part that shares the owner. Precondition: offset <= size(); length is cut to what is there.
  Payload slice(std::size_t offset, std::size_t length = std::string_view::npos) const {
    return Payload(owner_, bytes_.substr(offset, length));
  }
  friend bool operator==(const Payload& a, const Payload& b) noexcept { return a.bytes_ == b.bytes_; }

 private:
  Payload(std::shared_ptr<const void> owner, std::string_view bytes) : owner_(std::move(owner)), bytes_(bytes) {}
  std::shared_ptr<const void> owner_;
  std::string_view bytes_;
};

// The webhook keys of a record, in the order given. Packed as (LEB128 length, bytes)*. Keys are any bytes; duplicates are kept as given
// (validation refuses them).
class SETGET_API KeyList {
 public:
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    using pointer = const std::string_view*;
    using reference = std::string_view;
    Iterator() = default;
    std::string_view operator*() const noexcept { return current_; }
    const std::string_view* operator->() const noexcept { return &current_; }
    Iterator& operator++() noexcept {
      load();
      return *this;
    }
    Iterator operator++(int) noexcept {
      auto before = *this;
      load();
      return before;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) noexcept { return a.current_.data() == b.current_.data(); }

   private:
    friend class KeyList;
    Iterator(const char* next, const char* end) noexcept : next_(next), end_(end) { load(); }
    void load() noexcept;
    const char* next_ = nullptr;
    const char* end_ = nullptr;
    std::string_view current_;
  };
  using value_type = std::string_view;
  using const_iterator = Iterator;

  KeyList() = default;
  KeyList(std::initializer_list<std::string_view> keys);
  explicit KeyList(std::span<const std::string> keys);
  explicit KeyList(std::span<const std::string_view> keys);
  // Shares packed bytes; `count` keys. Precondition: `packed` is well formed (see codec.hpp, which checks foreign bytes).
  static KeyList from_packed(Payload packed, std::size_t count);

  std::size_t size() const noexcept { return count_; }
  bool empty() const noexcept { return count_ == 0; }
  bool contains(std::string_view key) const noexcept;
  Iterator begin() const noexcept { return {packed_.data(), packed_.data() + packed_.size()}; }
  Iterator end() const noexcept { return {}; }
  std::string_view front() const noexcept { return *begin(); }
  const Payload& packed() const noexcept { return packed_; }
  friend bool operator==(const KeyList& a, const KeyList& b) noexcept { return a.packed_ == b.packed_; }

 private:
  Payload packed_;
  std::size_t count_ = 0;
};

}  // namespace setget::inline v0
