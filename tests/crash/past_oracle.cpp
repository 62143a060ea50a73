#include "crash/past_oracle.hpp"

#include <algorithm>
#include <sstream>

#include <setget/archiver.hpp>

namespace crash {

using namespace setget;

namespace {

constexpr int kShared = 3;  // keys that identities take from each other: see keys_of()

std::string text_of(const std::optional<Record>& record) {
  if (!record) return "none";
  return record->id + " version " + std::to_string(record->version);
}

std::string name_of(const PastGet& get) {
  return (get.key.empty() ? "id " + get.id : "key " + get.key) + " at " + std::to_string(get.at.time_since_epoch().count());
}

}  // namespace

void PastOracle::line(std::string_view text) {
  std::istringstream in{std::string(text)};
  char kind = 0;
  int identity = 0;
  in >> kind >> identity;
  if (!in || identity < 0 || identity >= kIdentities) return;
  auto& known = known_[static_cast<std::size_t>(identity)];
  Event event;
  if (kind == 'T') known.erase_under_way = true;
  if ((kind == 'S' && in >> event.n >> event.version) || (kind == 'E' && in >> event.version)) {
    known.events.push_back(event);
    known.erase_under_way = false;
  }
}

std::string PastOracle::settle(Pipeline& pipeline) {
  for (int identity = 0; identity < kIdentities; ++identity) {
    auto& known = known_[static_cast<std::size_t>(identity)];
    const auto found = pipeline.reader().get_by_id(id_of(identity));
    if (!found) return id_of(identity) + " cannot be read: " + found.error().describe();
    const auto last = known.events.empty() ? Event{} : known.events.back();
    if (*found && (*found)->version > last.version) {
      const auto n = number_in((*found)->payload.view());
      if (!n) return id_of(identity) + ": payload is not what was set";
      known.events.push_back({.version = (*found)->version, .n = *n});
    } else if (!*found && last.n != 0) {
      if (!known.erase_under_way) return id_of(identity) + ": lost";
      // Some time since then; what comes next is known again.
      const auto now = pipeline.options().clock ? pipeline.options().clock->now() : system_clock()->now();
      known.vague.emplace_back(time_of(last.version), now);
      known.events.push_back({.version = stamp_at(now), .n = 0});
    }
    known.erase_under_way = false;
  }
  return {};
}

std::optional<PastOracle::Held> PastOracle::by_id(int identity, TimePoint at) const {
  const auto& known = known_[static_cast<std::size_t>(identity)];
  for (const auto& [from, to] : known.vague) {
    if (from <= at && at <= to) return std::nullopt;
  }
  Held held{.identity = identity, .n = 0};
  for (const auto& event : known.events) {
    if (time_of(event.version) <= at) held.n = event.n;
  }
  return held;
}

// Who claimed it last has it, while its record lists it; there is no falling back to who had it before.
std::optional<PastOracle::Held> PastOracle::by_shared_key(int shared, TimePoint at) const {
  Stamp claim = 0;
  int holder = shared;
  for (int identity = shared; identity < kIdentities; identity += kShared) {
    for (const auto& event : known_[static_cast<std::size_t>(identity)].events) {
      if (event.n == 0 || event.n % 2 != 0 || time_of(event.version) > at || event.version <= claim) continue;
      claim = event.version;
      holder = identity;
    }
  }
  auto held = by_id(holder, at);
  if (held && held->n % 2 != 0) held->n = 0;
  return held;
}

std::string PastOracle::check(Pipeline& pipeline, TimePoint whole_since) {
  for (int identity = 0; identity < kIdentities; ++identity) {
    const auto& events = known_[static_cast<std::size_t>(identity)].events;
    auto& next = checked_[static_cast<std::size_t>(identity)];
    for (; next < events.size(); ++next) {
      const auto moment = time_of(events[next].version);
      if (auto wrong = look(pipeline, identity, moment, whole_since); !wrong.empty()) return wrong;
      if (auto wrong = look(pipeline, identity, moment - Milliseconds(1), whole_since); !wrong.empty()) return wrong;
    }
  }
  return {};
}

std::string PastOracle::look(Pipeline& pipeline, int identity, TimePoint at, TimePoint whole_since) {
  const auto held = by_id(identity, at);
  const auto own = "own/" + std::to_string(identity);
  if (auto wrong = compare(pipeline, {.ns = {}, .key = {}, .id = id_of(identity), .at = at}, held, whole_since); !wrong.empty())
    return wrong;
  if (auto wrong = compare(pipeline, {.ns = {}, .key = own, .id = {}, .at = at}, held, whole_since); !wrong.empty()) return wrong;
  for (std::uint64_t third = 0; third < 3; ++third) {
    auto listed = held;
    if (listed && listed->n % 3 != third) listed->n = 0;
    const auto key = "part/" + std::to_string(identity) + "/" + std::to_string(third);
    if (auto wrong = compare(pipeline, {.ns = {}, .key = key, .id = {}, .at = at}, listed, whole_since); !wrong.empty()) return wrong;
  }
  const int shared = identity % kShared;
  return compare(pipeline, {.ns = {}, .key = "shared/" + std::to_string(shared), .id = {}, .at = at}, by_shared_key(shared, at),
                 whole_since);
}

std::string PastOracle::around(int identity, TimePoint at) const {
  std::string out;
  for (int other = identity % kShared; other < kIdentities; other += kShared) {
    const auto& known = known_[static_cast<std::size_t>(other)];
    for (const auto& event : known.events) {
      const auto moment = time_of(event.version);
      if (moment + Milliseconds(30) < at || moment > at + Milliseconds(30)) continue;
      out += "\n  " + id_of(other) + (event.n == 0 ? " erased" : " set number " + std::to_string(event.n)) + " at " +
             std::to_string(moment.time_since_epoch().count()) + ", version " + std::to_string(event.version);
    }
    for (const auto& [from, to] : known.vague) {
      out += "\n  " + id_of(other) + " erased between " + std::to_string(from.time_since_epoch().count()) + " and " +
             std::to_string(to.time_since_epoch().count());
    }
  }
  return out;
}

std::string PastOracle::compare(Pipeline& pipeline, const PastGet& get, const std::optional<Held>& held, TimePoint whole_since) {
  if (!held) {
    ++vague_;
    return {};
  }
  const auto found = pipeline.archiver()->get_at(get);
  if (!found) {
    const bool may = get.at < whole_since && found.error().code() == ErrorCode::kFailedPrecondition && found.error().field() == "at";
    if (!may) return name_of(get) + ": " + found.error().describe();
    ++refused_;
    return {};
  }
  ++exact_;
  const auto& record = *found;
  const bool right = held->n == 0
                         ? !record
                         : record && record->id == id_of(held->identity) && record->payload.view() == payload_of(held->identity, held->n);
  if (right) return {};
  return name_of(get) + ": " + text_of(record) + ", expected " +
         (held->n == 0 ? std::string("none") : id_of(held->identity) + " as set number " + std::to_string(held->n)) +
         around(held->identity, get.at);
}

}  // namespace crash
