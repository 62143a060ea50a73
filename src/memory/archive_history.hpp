// Histories in the memory archive: the states that identities were in, each with the time in which it was in force. Thread rule: the
// caller holds the archive's lock.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "memory/tables.hpp"

#include <setget/archive.hpp>

namespace setget::inline v0::memory::detail {

class ArchiveHistory {
 public:
  Result<std::size_t> write(const WriteHistory& request);
  HistoryLookup get(const GetHistory& request) const;
  // Live ones after `after`, in the order of scans; at most `limit`, and whether there are more.
  bool scan(const std::optional<IdentityView>& after, TimePoint at, std::size_t limit, std::vector<const Record*>& out) const;
  std::size_t reclaim(const ReclaimArchive& request);
  void add_to(ArchiveStats& stats) const;

 private:
  HistoryLookup by_key(const GetHistory& request) const;
  HistoryLookup by_id(const GetHistory& request) const;

  struct State {
    HistoryState state;
    std::optional<Milliseconds> keep;
    TimePoint from{};
    std::optional<TimePoint> until;  // empty: in force still
    std::vector<std::string> keys;   // that led, or would lead, to it; of a tombstone those of the state before
    Stamp stamp = 0;
    std::optional<TimePoint> drop_at;
    std::size_t bytes() const noexcept;
    bool in_force(TimePoint at) const noexcept { return from <= at && (!until || *until > at); }
  };
  // Sorted by when they began, and in the order of arrival where that is the same.
  using States = std::map<std::pair<TimePoint, std::uint64_t>, State>;
  using Histories = std::map<IdentityName, States, IdentityLess>;
  // Where a state is: when it goes, then which.
  using Place = std::tuple<TimePoint, Histories::iterator, std::pair<TimePoint, std::uint64_t>>;
  struct PlaceLess {
    bool operator()(const Place& a, const Place& b) const noexcept {
      if (std::get<0>(a) != std::get<0>(b)) return std::get<0>(a) < std::get<0>(b);
      if (std::get<1>(a) != std::get<1>(b)) return IdentityLess()(std::get<1>(a)->first, std::get<1>(b)->first);
      return std::get<2>(a) < std::get<2>(b);
    }
  };

  static const State* in_force(const States& states, TimePoint at);
  void add(const ArchivedState& given);
  void end(Histories::iterator history, States::iterator state, TimePoint until);
  void set_drop(Histories::iterator history, States::iterator state, std::optional<TimePoint> end);
  void erase(Histories::iterator history, States::iterator state);

  Histories histories_;
  std::unordered_map<KeyName, std::map<IdentityName, std::size_t, IdentityLess>, KeyHash, KeyEqual> keys_;  // how many states list it
  std::set<Place, PlaceLess> drops_;                                                                        // by age
  std::set<Place, PlaceLess> ended_;  // by when they ended: the order in which they go where space is short
  std::map<std::tuple<std::string, std::uint64_t, std::uint32_t>, Position> written_;  // by source and part
  std::uint64_t arrivals_ = 0;
  std::uint64_t states_ = 0;
  std::uint64_t bytes_ = 0;
  std::optional<TimePoint> from_;
  std::string of_;
};

}  // namespace setget::inline v0::memory::detail
