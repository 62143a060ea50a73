#include "memory/archive_history.hpp"

#include <algorithm>

#include "core/check_length.hpp"
#include "core/past_holder.hpp"

namespace setget::inline v0::memory::detail {

namespace {

using Kind = HistoryState::Kind;
using Status = HistoryLookup::Status;

bool lists(const std::vector<std::string>& keys, std::string_view key) { return std::find(keys.begin(), keys.end(), key) != keys.end(); }

HistoryLookup found_or_expired(const Record& record, TimePoint at) {
  if (record.expired(at)) return {.status = Status::kGone, .record = {}};
  return {.status = Status::kFound, .record = record};
}

}  // namespace

std::size_t ArchiveHistory::State::bytes() const noexcept {
  return state.ns.size() + state.id.size() + (state.record ? state.record->payload.size() + state.record->keys.packed().size() : 0);
}

Result<std::size_t> ArchiveHistory::write(const WriteHistory& request) {
  std::size_t fresh = 0;
  for (const auto& given : request.states) {
    auto& written = written_[{request.source.uuid, request.source.epoch, given.state.part}];
    if (given.state.position <= written) continue;
    if (!from_) from_ = given.state.at;
    add(given);
    written = given.state.position;
    ++fresh;
  }
  if (!request.of.empty()) {
    of_ = request.of;
    from_ = std::max(from_.value_or(request.since), request.since);
  }
  return fresh;
}

void ArchiveHistory::add(const ArchivedState& given) {
  const IdentityName name(IdentityView(given.state.ns, given.state.id));
  const auto history = histories_.try_emplace(name).first;
  auto& states = history->second;
  State state{.state = given.state,
              .keep = setget::detail::bounded_age(given.keep),
              .from = given.state.at,
              .until = {},
              .keys = {},
              .stamp = 0,
              .drop_at = {}};
  // Ends what was in force then, or would have been later: what was accepted later and applied before never was.
  for (auto at = states.end(); at != states.begin();) {
    auto& one = (--at)->second;
    if (!one.until) {
      state.stamp = one.stamp;
      if (state.state.kind == Kind::kTombstone) state.keys = one.keys;
    }
    const bool was = one.in_force(state.from);
    if (!one.until || *one.until > state.from) end(history, at, state.from);
    if (was) break;
  }
  if (const auto& record = state.state.record) {
    state.stamp = record->stamp;
    for (const auto key : record->keys) state.keys.emplace_back(key);
  }
  for (const auto& key : state.keys) ++keys_[KeyName(KeyView{name.ns, key})][name];
  bytes_ += state.bytes();
  ++states_;
  const auto at = states.emplace(std::pair(state.from, ++arrivals_), std::move(state)).first;
  const auto& record = at->second.state.record;
  // A tombstone is only the memory of an end; a record that expires ends by itself.
  if (at->second.state.kind == Kind::kTombstone) {
    set_drop(history, at, at->second.from);
  } else if (record && record->expires_at) {
    set_drop(history, at, std::max(*record->expires_at, at->second.from));
  }
}

void ArchiveHistory::end(Histories::iterator history, States::iterator state, TimePoint until) {
  if (const auto before = state->second.until) ended_.erase({*before, history, state->first});
  state->second.until = until;
  ended_.emplace(until, history, state->first);
  set_drop(history, state, until);
}

void ArchiveHistory::set_drop(Histories::iterator history, States::iterator state, std::optional<TimePoint> end) {
  auto& one = state->second;
  if (one.drop_at) drops_.erase({*one.drop_at, history, state->first});
  one.drop_at.reset();
  if (!end || !one.keep) return;
  one.drop_at = *end + *one.keep;
  drops_.emplace(*one.drop_at, history, state->first);
}

void ArchiveHistory::erase(Histories::iterator history, States::iterator state) {
  const auto& one = state->second;
  if (one.drop_at) drops_.erase({*one.drop_at, history, state->first});
  if (one.until) ended_.erase({*one.until, history, state->first});
  for (const auto& key : one.keys) {
    const auto listed = keys_.find(KeyView{history->first.ns, key});
    const auto by = listed->second.find(IdentityView(history->first));
    if (--by->second == 0) listed->second.erase(by);
    if (listed->second.empty()) keys_.erase(listed);
  }
  bytes_ -= one.bytes();
  --states_;
  history->second.erase(state);
  if (history->second.empty()) histories_.erase(history);
}

const ArchiveHistory::State* ArchiveHistory::in_force(const States& states, TimePoint at) {
  // Seldom not the last that began by then.
  for (auto next = states.upper_bound({at, ~std::uint64_t{0}}); next != states.begin();) {
    const auto& state = (--next)->second;
    if (state.in_force(at)) return &state;
  }
  return nullptr;
}

HistoryLookup ArchiveHistory::get(const GetHistory& request) const {
  auto lookup = request.key.empty() ? by_id(request) : by_key(request);
  if (lookup.status == Status::kGone || lookup.status == Status::kUnknown) lookup.known_from = from_;
  return lookup;
}

HistoryLookup ArchiveHistory::by_id(const GetHistory& request) const {
  const auto history = histories_.find(IdentityView(request.ns, request.id));
  if (history == histories_.end()) return {};
  const auto* state = in_force(history->second, request.at);
  if (state == nullptr) return {};
  if (state->state.kind == Kind::kTombstone) return {.status = Status::kGone, .record = {}};
  if (state->state.kind == Kind::kNotKept) return {.status = Status::kNotKept, .record = {}};
  return found_or_expired(*state->state.record, request.at);
}

HistoryLookup ArchiveHistory::by_key(const GetHistory& request) const {
  const auto listed = keys_.find(KeyView{request.ns, request.key});
  if (listed == keys_.end()) return {};
  std::vector<setget::detail::PastClaim> claims;
  std::vector<const HistoryState*> of;
  std::size_t identity = 0;
  for (const auto& [name, count] : listed->second) {
    ++identity;
    for (const auto& [when, state] : histories_.find(IdentityView(name))->second) {
      if (!lists(state.keys, request.key)) continue;
      const auto& record = state.state.record;
      claims.push_back({.identity = identity,
                        .stamp = state.stamp,
                        .since = state.from,
                        .applied = when.second,
                        .in_force = state.in_force(request.at),
                        .open = !state.until,
                        .record = record.has_value(),
                        .lost = record ? record->lost_keys.contains(request.key) : state.state.reason == TombstoneReason::kSuperseded});
      of.push_back(&state.state);
    }
  }
  const auto holder = setget::detail::past_holder(claims, request.at);
  if (holder.status != Status::kFound) return {.status = holder.status, .record = {}};
  const auto& state = *of[holder.claim];
  if (state.kind == Kind::kNotKept) return {.status = Status::kNotKept, .record = {}};
  return found_or_expired(*state.record, request.at);
}

bool ArchiveHistory::scan(const std::optional<IdentityView>& after, TimePoint at, std::size_t limit,
                          std::vector<const Record*>& out) const {
  for (auto history = after ? histories_.upper_bound(*after) : histories_.begin(); history != histories_.end(); ++history) {
    const auto* state = in_force(history->second, at);
    if (state == nullptr || state->state.kind != Kind::kRecord || state->state.record->expired(at)) continue;
    if (out.size() == limit) return true;
    out.push_back(&*state->state.record);
  }
  return false;
}

std::size_t ArchiveHistory::reclaim(const ReclaimArchive& request) {
  std::size_t steps = 0;
  const auto drop = [&](const Place& place) {
    const auto history = std::get<1>(place);
    erase(history, history->second.find(std::get<2>(place)));
    ++steps;
  };
  while (steps < request.max_steps && !drops_.empty() && std::get<0>(*drops_.begin()) <= request.now) {
    const Place place = *drops_.begin();
    const auto& state = std::get<1>(place)->second.find(std::get<2>(place))->second;
    // Without a tombstone the answer is the same.
    if (state.state.kind != Kind::kTombstone) from_ = std::max(*from_, std::get<0>(place) - *state.keep);
    drop(place);
  }
  while (steps < request.max_steps && request.max_history_bytes > 0 && bytes_ > request.max_history_bytes && !ended_.empty()) {
    const Place place = *ended_.begin();
    from_ = std::max(*from_, std::get<0>(place));
    drop(place);
  }
  return steps;
}

void ArchiveHistory::add_to(ArchiveStats& stats) const {
  stats.history_states = states_;
  stats.history_bytes = bytes_;
  stats.history_from = from_;
  stats.history_of = of_;
}

}  // namespace setget::inline v0::memory::detail
