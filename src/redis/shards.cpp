#include "redis/shards.hpp"

#include <fmt/format.h>

#include "redis/slots.hpp"

#include <setget/record.hpp>

namespace setget::inline v0::redis {

Shards::Shards(std::string_view prefix, std::uint32_t count, char family) : count_(count) {
  const auto width = kSlots / count;
  heads_.reserve(count);
  slots_.reserve(count);
  for (std::uint32_t shard = 0; shard < count; ++shard) {
    // The first tag that falls into this part's share of the slots.
    std::string tag;
    for (unsigned attempt = 0;; ++attempt) {
      tag = attempt == 0 ? fmt::format("{}{}", family, shard) : fmt::format("{}{}.{}", family, shard, attempt);
      if (key_slot(tag) / width == shard) break;
    }
    slots_.push_back(key_slot(tag));
    heads_.push_back(fmt::format("{}:{{{}}}:", prefix, tag));
  }
}

std::uint32_t Shards::of(std::string_view ns, std::string_view bytes) const noexcept {
  if (count_ == 1) return 0;
  return static_cast<std::uint32_t>(key_hash(ns, bytes) & (count_ - 1));
}

}  // namespace setget::inline v0::redis
