#include "validator/name_map.hpp"

#include <algorithm>

namespace setget::inline v0::detail::schema {

std::uint64_t NameMap::whole_hash(std::string_view name) noexcept {
  std::uint64_t hash = name.size() * 0x9E3779B97F4A7C15ULL;
  std::size_t at = 0;
  for (; at + 8 <= name.size(); at += 8) hash = (hash ^ load64(name.data() + at)) * 0xD6E8FEB86659FD93ULL, hash ^= hash >> 29;
  std::uint64_t rest = 0;
  std::memcpy(&rest, name.data() + at, name.size() - at);
  hash = (hash ^ rest) * 0xD6E8FEB86659FD93ULL;
  return hash ^ (hash >> 32);
}

std::uint32_t NameMap::add(std::string_view name) {
  if (building_.size() < 2 * (entries_.size() + 1)) {
    building_.assign(std::max<std::size_t>(16, std::bit_ceil(4 * (entries_.size() + 1))), kNone);
    for (std::uint32_t i = 0; i < entries_.size(); ++i) {
      auto slot = whole_hash(this->name(i)) & (building_.size() - 1);
      while (building_[slot] != kNone) slot = (slot + 1) & (building_.size() - 1);
      building_[slot] = i;
    }
  }
  auto slot = whole_hash(name) & (building_.size() - 1);
  for (; building_[slot] != kNone; slot = (slot + 1) & (building_.size() - 1)) {
    if (this->name(building_[slot]) == name) return building_[slot];
  }
  const auto number = static_cast<std::uint32_t>(entries_.size());
  building_[slot] = number;
  add_new(name);
  return number;
}

void NameMap::add_new(std::string_view name) {
  Entry entry{.size = static_cast<std::uint32_t>(name.size()), .at = static_cast<std::uint32_t>(arena_.size())};
  std::memcpy(&entry.first, name.data(), std::min<std::size_t>(8, name.size()));
  entry.mask = name.size() < 8 ? kMasks[name.size()] : ~std::uint64_t{0};
  if (name.size() >= 8) entry.last = load64(name.data() + name.size() - 8);
  entries_.push_back(entry);
  arena_ += name;
}

bool NameMap::place(std::size_t bits, std::uint64_t seed, std::size_t longest) {
  slots_.assign(std::size_t{1} << bits, kNone);
  mask_ = static_cast<std::uint32_t>(slots_.size() - 1);
  shift_ = static_cast<std::uint8_t>(bits == 0 ? 0 : 64 - bits);
  seed_ = seed;
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    const auto& entry = entries_[i];
    auto slot = slot_of(entry.first, entry.last, entry.size, name(i));
    for (std::size_t probes = 0; slots_[slot] != kNone; slot = (slot + 1) & mask_) {
      if (++probes > longest) return false;
    }
    slots_[slot] = i;
  }
  return true;
}

std::uint32_t NameMap::find_anywhere(std::string_view name) const noexcept { return find(name); }

void NameMap::build() {
  building_ = {};
  count_ = static_cast<std::uint32_t>(entries_.size());
  // First no collisions at all, then a few; a table of two to eight times the names.
  const auto least = static_cast<std::size_t>(std::bit_width(entries_.size())) + 1;
  std::uint64_t seed = 0x9E3779B97F4A7C15ULL;
  for (const bool whole : {false, true}) {
    whole_ = whole;
    for (const std::size_t longest : {0U, 2U, 6U}) {
      for (std::size_t more = 0; more < 3; ++more) {
        const int tries = entries_.size() > 1000 ? 2 : 12;
        for (int i = 0; i < tries; ++i) {
          seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
          if (place(least + more, seed | 1, longest)) return;
        }
      }
    }
  }
  place(least + 2, seed | 1, entries_.size());
}

std::uint32_t NameMap::find_text(std::string_view name) const {
  if (name.size() >= 8) return find(name);
  std::array<char, 16> copy{};
  std::memcpy(copy.data(), name.data(), name.size());
  return find({copy.data(), name.size()});
}

}  // namespace setget::inline v0::detail::schema
