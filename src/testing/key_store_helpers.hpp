// What the key store suites share.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "testing/trial.hpp"

namespace setget::inline v0::testing::detail {

using Keys = std::vector<std::string>;

inline Keys keys_of(const KeyList& list) { return {list.begin(), list.end()}; }

// A set with a stamp, and the rest by default.
inline SetSpec spec(std::string id, Keys keys, Stamp stamp, std::string payload = "payload") {
  SetSpec out;
  out.id = std::move(id);
  out.keys = std::move(keys);
  out.stamp = stamp;
  out.payload = std::move(payload);
  return out;
}
inline ApplyEntry set(std::string id, Keys keys, Stamp stamp, std::string payload = "payload") {
  return set_entry(spec(std::move(id), std::move(keys), stamp, std::move(payload)));
}
inline ApplyEntry set_version(std::string id, Keys keys, Stamp stamp, Version version, std::string payload = "payload") {
  auto s = spec(std::move(id), std::move(keys), stamp, std::move(payload));
  s.version = version;
  return set_entry(s);
}
inline ApplyEntry set_until(std::string id, Keys keys, Stamp stamp, TimePoint expires_at, std::string payload = "payload") {
  auto s = spec(std::move(id), std::move(keys), stamp, std::move(payload));
  s.expires_at = expires_at;
  return set_entry(s);
}
inline ApplyEntry set_if(std::string id, Keys keys, Stamp stamp, Version expected, std::string payload = "payload") {
  auto s = spec(std::move(id), std::move(keys), stamp, std::move(payload));
  s.expected_version = expected;
  return set_entry(s);
}
inline ApplyEntry erase(std::string id, Stamp stamp, std::optional<Version> version = {}) {
  IdSpec s;
  s.id = std::move(id);
  s.stamp = stamp;
  s.version = version;
  return erase_entry(s);
}
inline ApplyEntry touch(std::string id, Stamp stamp, std::optional<TimePoint> expires_at) {
  IdSpec s;
  s.id = std::move(id);
  s.stamp = stamp;
  s.expires_at = expires_at;
  return touch_entry(s);
}
inline ApplyEntry erase_key(std::string_view key, Stamp stamp) { return erase_key_entry(key, stamp); }

// The same command in another namespace.
inline ApplyEntry in_namespace(ApplyEntry entry, const std::string& ns) {
  entry.command.ns = ns;
  entry.encoded = encode_command(entry.command);
  return entry;
}

inline std::string reason_code(const ApplyResult& result) { return result.reasons.empty() ? std::string() : result.reasons.front().code; }

inline Reclaimed reclaim_all(Trial& t, Stamp floor, Milliseconds grace = Milliseconds(0), std::size_t max_steps = 100) {
  Reclaimed sum;
  for (int calls = 0; calls < 10'000; ++calls) {
    const auto step = t.store().reclaim({.now = t.now(), .floor = floor, .grace = grace, .max_steps = max_steps}).value();
    EXPECT_LE(step.steps, max_steps);
    sum.steps += step.steps;
    sum.expired += step.expired;
    sum.forgotten += step.forgotten;
    sum.log_trimmed += step.log_trimmed;
    if (step.steps < max_steps) return sum;
  }
  ADD_FAILURE() << "reclaim never finishes";
  return sum;
}

inline std::vector<Change> read_all(Trial& t, std::string_view cursor, Position after = 0) {
  return t.store().changes({.cursor = cursor, .after = after, .limit = 10'000}).value().changes;
}

// "id@version" of records, "-id@version" of tombstones.
inline std::vector<std::string> names(const std::vector<Change>& changes) {
  std::vector<std::string> out;
  for (const auto& change : changes) {
    out.push_back((change.kind == ChangeKind::kTombstone ? "-" : "") + change.id + "@" + std::to_string(change.version));
  }
  return out;
}
using Names = std::vector<std::string>;

}  // namespace setget::inline v0::testing::detail
