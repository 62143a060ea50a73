// What backends share that digest ranges of identities; inline, because they are libraries of their own. Thread rule: any thread.
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
inline Result<std::vector<RangeDigest>> ranges_at(std::span<const std::uint64_t> starts) {
  std::vector<RangeDigest> ranges;
  ranges.reserve(starts.size());
  for (const auto start : starts) {
    if (ranges.empty() ? start != 0 : start <= ranges.back().first) {
      return Error(ErrorCode::kInvalidArgument, "ranges must rise from 0").at_field("starts");
    }
    ranges.push_back({.first = start, .count = 0, .sum = {}});
  }
  if (ranges.empty()) return Error(ErrorCode::kInvalidArgument, "there must be a range").at_field("starts");
  return ranges;
}

inline RangeDigest& range_of(std::vector<RangeDigest>& ranges, std::uint64_t hash) {
  return *(std::ranges::upper_bound(ranges, hash, {}, &RangeDigest::first) - 1);
}

}  // namespace setget::inline v0::detail
