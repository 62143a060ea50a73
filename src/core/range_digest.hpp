// What backends share that digest ranges of identities. Thread rule: any thread.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include <setget/archive.hpp>

namespace setget::inline v0::detail {

inline bool counts(const Summary& summary, TimePoint now) {
  return !summary.tombstone && (!summary.expires_at || *summary.expires_at > now);
}

// Empty ranges at `starts`; kInvalidArgument where they do not rise from 0.
Result<std::vector<RangeDigest>> ranges_at(std::span<const std::uint64_t> starts);

inline RangeDigest& range_of(std::vector<RangeDigest>& ranges, std::uint64_t hash) {
  return *(std::ranges::upper_bound(ranges, hash, {}, &RangeDigest::first) - 1);
}

}  // namespace setget::inline v0::detail
