// Who held a key at a moment of the past: a pure function of the states that list it. For archives that keep histories.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>

#include <setget/archive.hpp>

namespace setget::inline v0::detail {

// One state that lists the key, whenever it began; of a tombstone the keys are those of the state before.
struct PastClaim {
  Stamp stamp = 0;        // of its record: when it claimed the key
  TimePoint since{};      // from when on it was in force
  bool in_force = false;  // at the moment asked for
  bool record = false;    // not a tombstone
  bool lost = false;      // the key had moved on, or the record was superseded
};

struct PastHolder {
  HistoryLookup::Status status = HistoryLookup::Status::kUnknown;
  std::size_t claim = 0;  // with kFound: which one it is
};

// The latest claim by then has the key, and only while its record is in force and lists it. A state says what it had lost when it was
// applied, which may be more than it had lost at its moment: what a claim that came later took, it had until then. The other way round a
// claim may have been applied later than it was made: who holds the key by a state that is older than that claim does not.
inline PastHolder past_holder(std::span<const PastClaim> claims, TimePoint at) {
  using Status = HistoryLookup::Status;
  PastHolder out;
  const PastClaim* lost_to_unknown = nullptr;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    const auto& one = claims[i];
    if (one.since > at) continue;
    if (out.status == Status::kUnknown) out.status = Status::kGone;
    if (!one.in_force || (!one.record && !one.lost)) continue;
    bool taken = false;
    bool taken_later = false;
    for (const auto& other : claims) {
      if (other.stamp <= one.stamp) continue;
      if (other.since > at) {
        taken_later = true;
      } else if (one.lost || other.since >= one.since) {
        taken = true;
      }
    }
    if (taken) continue;
    if (one.lost && !taken_later) {
      if (lost_to_unknown == nullptr || lost_to_unknown->stamp < one.stamp) lost_to_unknown = &one;
    } else if (one.record && (out.status != Status::kFound || claims[out.claim].stamp < one.stamp)) {
      out = {.status = Status::kFound, .claim = i};
    }
  }
  // It went to a later claim of which no history knows: of a record without one.
  if (out.status != Status::kFound && lost_to_unknown != nullptr) out.status = Status::kNotKept;
  return out;
}

}  // namespace setget::inline v0::detail
