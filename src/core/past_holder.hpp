// Who held a key at a moment of the past: a pure function of the states that list it. For archives that keep histories.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include <setget/archive.hpp>

namespace setget::inline v0::detail {

// One state that lists the key, whenever it began; of a tombstone the keys are those of the state before.
struct PastClaim {
  std::size_t identity = 0;   // a number for each
  Stamp stamp = 0;            // of its record: when it claimed the key
  TimePoint since{};          // from when on it was in force
  std::uint64_t applied = 0;  // rises in the order in which states came about
  bool in_force = false;      // at the moment asked for
  bool open = false;          // and still now
  bool record = false;        // not a tombstone
  bool lost = false;          // the key had moved on, or the record was superseded
};

struct PastHolder {
  HistoryLookup::Status status = HistoryLookup::Status::kUnknown;
  std::size_t claim = 0;  // with kFound: which one it is
};

// Whether `later` is why the record of `one` has lost the key: it was applied before the set was that made that record.
inline bool explains(const PastClaim& later, const PastClaim& one, std::span<const PastClaim> claims) {
  if (later.stamp <= one.stamp) return false;
  return std::ranges::any_of(claims, [&](const PastClaim& set) {
    return set.stamp == one.stamp && set.lost && set.since <= time_of(set.stamp) && later.applied < set.applied;
  });
}

// Those states that say what another claim took are no claims of their own: what claimed was the set before them.
inline std::vector<PastClaim> claims_made(std::span<const PastClaim> claims) {
  std::map<std::pair<std::size_t, Stamp>, std::pair<TimePoint, std::uint64_t>> first;
  for (const auto& one : claims) {
    const std::pair begins(one.since, one.applied);
    const auto [at, fresh] = first.try_emplace({one.identity, one.stamp}, begins);
    if (!fresh) at->second = std::min(at->second, begins);
  }
  std::vector<PastClaim> made;
  for (const auto& one : claims) {
    if (!one.lost || first.at({one.identity, one.stamp}) == std::pair(one.since, one.applied)) made.push_back(one);
  }
  return made;
}

// The latest claim by then has the key, and only while the record of its identity is in force and lists it; that may be a later version
// with an earlier stamp, where versions are the caller's. A state says what it had lost when it was
// applied, which may be more than it had lost at its moment: what a claim that came later took, it had until then. The other way round a
// claim may have been applied later than it was made: who holds the key by a state that is older than that claim does not.
inline PastHolder past_holder(std::span<const PastClaim> claims, TimePoint at) {
  using Status = HistoryLookup::Status;
  PastHolder out;
  const auto made = claims_made(claims);
  Stamp latest = 0;  // claim of the identity that was found
  bool lost_to_unknown = false;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    const auto& one = claims[i];
    if (one.since > at) continue;
    if (out.status == Status::kUnknown) out.status = Status::kGone;
    if (!one.in_force || (!one.record && !one.lost)) continue;
    auto own = one.stamp;
    for (const auto& other : claims) {
      if (other.identity == one.identity && other.since <= at) own = std::max(own, other.stamp);
    }
    bool taken = false;
    bool had_it_still = false;
    for (const auto& other : made) {
      if (other.identity == one.identity || other.stamp <= own) continue;
      if (other.since <= at) {
        taken = taken || one.lost || other.since >= one.since;
      } else if (one.lost && !had_it_still) {
        had_it_still = explains(other, one, claims);
      }
    }
    // What has not been lost to this day was there all the time, whoever claimed it: a stale set had claimed it for the record before,
    // which makes no state.
    if (taken && (!one.open || one.lost)) continue;
    if (one.lost && !had_it_still) {
      lost_to_unknown = true;
    } else if (one.record && (out.status != Status::kFound || latest < own)) {
      out = {.status = Status::kFound, .claim = i};
      latest = own;
    }
  }
  // It went to a later claim of which no history knows: of a record without one.
  if (out.status != Status::kFound && lost_to_unknown) out.status = Status::kNotKept;
  return out;
}

}  // namespace setget::inline v0::detail
