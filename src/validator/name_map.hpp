// NameMap: a fixed set of strings and the number of each. Found by length and the first and last eight bytes, which are the whole string
// for most names of real schemas: one hash, usually one probe. Private to the validator. Thread rule: const access from any thread.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "validator/tape.hpp"

namespace setget::inline v0::detail::schema {

class NameMap {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  // The number of `name`, which is added if it is not there.
  std::uint32_t add(std::string_view name);
  // The same for a name that is known not to be there; only one of the two is called on a map.
  void add_new(std::string_view name);
  // Before the first find().
  void build();

  std::size_t size() const noexcept { return entries_.size(); }
  std::size_t bytes() const noexcept { return arena_.size(); }
  std::string_view name(std::uint32_t number) const noexcept {
    const auto& entry = entries_[number];
    return {arena_.data() + entry.at, entry.size};
  }

  // `name` stands in the strings of a tape, which are readable for some bytes beyond it.
  std::uint32_t find(std::string_view name) const noexcept {
    const auto size = static_cast<std::uint32_t>(name.size());
    const auto first = size < 8 ? load64(name.data()) & kMasks[size] : load64(name.data());
    const auto last = size < 8 ? 0 : load64(name.data() + size - 8);
    for (auto slot = slot_of(first, last, size, name);; slot = (slot + 1) & mask_) {
      const auto number = slots_[slot];
      if (number == kNone) return kNone;
      const auto& entry = entries_[number];
      if (entry.first == first && entry.last == last && entry.size == size &&
          (size <= 16 || std::memcmp(arena_.data() + entry.at, name.data(), size) == 0))
        return number;
    }
  }
  // A name as words to compare.
  struct Entry {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint64_t mask = 0;  // of `first`, where the name is shorter than a word
    std::uint32_t size = 0xFFFFFFFF;
    std::uint32_t at = 0;
  };
  const Entry& entry(std::uint32_t number) const noexcept { return entries_[number]; }
  bool is_same(const Entry& entry, std::string_view name) const noexcept {
    const auto size = name.size();
    return entry.size == size && ((load64(name.data()) ^ entry.first) & entry.mask) == 0 &&
           (size <= 8 || (load64(name.data() + size - 8) == entry.last &&
                          (size <= 16 || std::memcmp(arena_.data() + entry.at, name.data(), size) == 0)));
  }
  // The same, and first a look at `guess`: names of objects tend to come in one order.
  std::uint32_t find_after(std::string_view name, std::uint32_t guess) const noexcept {
    return guess < count_ && is_same(entries_[guess], name) ? guess : find_anywhere(name);
  }
  // find(), out of the way of the loops that seldom need it.
  std::uint32_t find_anywhere(std::string_view name) const noexcept;
  // A few names that are likely to be there are found sooner by looking at each: nothing waits for a hash and a table.
  static constexpr std::uint32_t kFew = 4;
  std::uint32_t find_likely(std::string_view name) const noexcept {
    if (count_ > kFew) return find_anywhere(name);
    for (std::uint32_t i = 0; i < count_; ++i) {
      if (is_same(entries_[i], name)) return i;
    }
    return kNone;
  }
  // For any text.
  std::uint32_t find_text(std::string_view name) const;

 private:
  static constexpr std::array<std::uint64_t, 8> kMasks = {0,          0xFF,         0xFFFF,         0xFFFFFF,
                                                          0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF};

  std::uint32_t slot_of(std::uint64_t first, std::uint64_t last, std::uint32_t size, std::string_view name) const noexcept {
    auto hash = (first ^ std::rotl(last, 23) ^ size) * seed_;
    if (whole_) hash = (hash ^ whole_hash(name)) * seed_;
    return static_cast<std::uint32_t>(hash >> shift_) & mask_;
  }
  static std::uint64_t whole_hash(std::string_view name) noexcept;
  bool place(std::size_t bits, std::uint64_t seed, std::size_t longest);

  std::vector<Entry> entries_;
  std::uint32_t count_ = 0;  // of them, once built
  std::uint32_t mask_ = 0;
  std::vector<std::uint32_t> slots_ = {kNone};
  std::uint64_t seed_ = 1;
  std::string arena_;
  std::uint8_t shift_ = 0;
  bool whole_ = false;                     // names that differ only in their middles: hash all of each
  std::vector<std::uint32_t> building_{};  // add()'s own table; empty once built
};

}  // namespace setget::inline v0::detail::schema
