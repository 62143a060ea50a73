#include "model/key_store_reference.hpp"

#include <algorithm>

namespace setget_tests {

using setget::CommandKind;

namespace {
bool passed(const std::optional<TimePoint>& expires_at, TimePoint now) { return expires_at && *expires_at <= now; }
}  // namespace

KeyStoreReference::Current KeyStoreReference::current(const std::string& id) const {
  Current out;
  const auto found = identities_.find(id);
  if (found == identities_.end()) return out;
  for (const auto& seen : found->second.seen) {
    if (out.seen == nullptr || seen.version > out.seen->version) {
      out.seen = &seen;
      out.stamp = seen.stamp;
    } else if (seen.version == out.seen->version) {
      out.stamp = std::min(out.stamp, seen.stamp);
    }
  }
  if (out.seen == nullptr || out.seen->erase || found->second.ended.contains(out.seen->version)) return out;

  bool superseded = true;  // until a key is found that nobody else claimed later
  for (const auto& key : out.seen->keys) {
    bool taken = false;
    if (const auto claims = claims_.find(key); claims != claims_.end()) {
      for (const auto& claim : claims->second) taken = taken || (claim.second != id && claim > Claim(out.stamp, id));
    }
    superseded = superseded && taken;
    if (const auto marks = marks_.find(key); marks != marks_.end() && *marks->second.rbegin() > out.stamp) return out;  // erased by key
  }
  out.live = !superseded;
  return out;
}

bool KeyStoreReference::leads(const std::string& key, const std::string& id) const {
  const auto claims = claims_.find(key);
  return claims != claims_.end() && !claims->second.empty() && claims->second.rbegin()->second == id;
}

ReferenceResult KeyStoreReference::apply(const ApplyEntry& entry, TimePoint now) {
  const auto& command = entry.command;
  if (command.kind == CommandKind::kTouch) return apply_touch(entry, now);
  if (command.kind != CommandKind::kEraseKey) return apply_version(entry, now);

  auto& marks = marks_[std::string(command.keys.front())];
  const Stamp highest = marks.empty() ? 0 : *marks.rbegin();
  marks.insert(entry.stamp);
  if (entry.stamp == highest) return {.outcome = Outcome::kDuplicate, .code = {}};
  return {.outcome = entry.stamp < highest ? Outcome::kStale : Outcome::kApplied, .code = {}};
}

ReferenceResult KeyStoreReference::apply_version(const ApplyEntry& entry, TimePoint now) {
  const auto& command = entry.command;
  const auto before = current(command.id);
  if (before.seen == nullptr && entry.stamp < floor_) {
    const bool kept = command.kind == CommandKind::kSet && !passed(entry.expires_at, now);
    return {.outcome = kept ? Outcome::kDeadLettered : Outcome::kExpired, .code = "below_floor"};
  }
  Seen seen;
  seen.version = command.version.value_or(entry.stamp);
  seen.stamp = entry.stamp;
  seen.erase = command.kind == CommandKind::kErase;
  seen.encoded = entry.encoded.str();
  seen.keys.assign(command.keys.begin(), command.keys.end());
  seen.payload = command.payload.str();
  const auto accept = [&]() -> Identity& {
    for (const auto& key : seen.keys) claims_[key].insert({entry.stamp, command.id});
    auto& identity = identities_[command.id];
    identity.seen.push_back(seen);
    return identity;
  };
  const auto expiry_of = [&](const Identity& identity) {
    return identity.touch_stamp > entry.stamp ? identity.touch_expires_at : entry.expires_at;
  };

  if (before.seen != nullptr && seen.version == before.seen->version) {
    if (seen.encoded != before.seen->encoded) return {.outcome = Outcome::kDeadLettered, .code = "version_conflict"};
    const bool was_live = before.live;
    auto& identity = accept();
    // An earlier acceptance counts its life from there; what has expired stays so.
    if (was_live && entry.stamp < before.stamp && !passed(identity.expires_at, now)) identity.expires_at = expiry_of(identity);
    return {.outcome = Outcome::kDuplicate, .code = {}};
  }
  if (before.seen != nullptr && seen.version < before.seen->version) {
    accept();
    return {.outcome = Outcome::kStale, .code = {}};
  }
  if (command.expected_version) {
    const bool live = before.live && !passed(identities_[command.id].expires_at, now);
    if (*command.expected_version != (live ? before.seen->version : 0)) {
      return {.outcome = Outcome::kDeadLettered, .code = "precondition_failed"};
    }
  }
  auto& identity = accept();
  if (seen.erase) {
    identity.expires_at.reset();
    return {.outcome = Outcome::kApplied, .code = {}};
  }
  identity.expires_at = expiry_of(identity);
  // Erased by a mark that was there already: the store need not call that expired.
  const bool erased = std::any_of(seen.keys.begin(), seen.keys.end(), [&](const auto& key) {
    const auto marks = marks_.find(key);
    return marks != marks_.end() && *marks->second.rbegin() > entry.stamp;
  });
  if (!passed(identity.expires_at, now)) return {.outcome = Outcome::kApplied, .code = {}};
  identity.ended.insert(seen.version);
  return {.outcome = erased ? Outcome::kApplied : Outcome::kExpired, .code = {}};
}

ReferenceResult KeyStoreReference::apply_touch(const ApplyEntry& entry, TimePoint now) {
  const auto& command = entry.command;
  const auto before = current(command.id);
  if (before.seen == nullptr && entry.stamp < floor_) return {.outcome = Outcome::kExpired, .code = "below_floor"};
  auto& identity = identities_[command.id];
  if (entry.stamp <= identity.touch_stamp) {
    return {.outcome = entry.stamp == identity.touch_stamp ? Outcome::kDuplicate : Outcome::kStale, .code = {}};
  }
  identity.touch_stamp = entry.stamp;
  identity.touch_expires_at = entry.expires_at;
  if (!before.live || passed(identity.expires_at, now)) return {.outcome = Outcome::kExpired, .code = {}};
  if (entry.stamp <= before.stamp) return {.outcome = Outcome::kStale, .code = {}};
  identity.expires_at = entry.expires_at;
  return {.outcome = Outcome::kApplied, .code = {}};
}

void KeyStoreReference::set_expiry(const std::string& id, std::optional<TimePoint> expires_at) {
  identities_.at(id).expires_at = expires_at;
}

void KeyStoreReference::reclaim(TimePoint now, Stamp floor) {
  floor_ = std::max(floor_, floor);
  std::set<std::string> listed;
  for (auto at = identities_.begin(); at != identities_.end();) {
    const auto now_current = current(at->first);
    const bool stays = now_current.live && !passed(at->second.expires_at, now);
    if (stays) {
      listed.insert(now_current.seen->keys.begin(), now_current.seen->keys.end());
      ++at;
    } else {
      at = identities_.erase(at);
    }
  }
  std::erase_if(claims_, [&](const auto& claims) { return !listed.contains(claims.first); });
  std::erase_if(marks_, [&](const auto& marks) { return !listed.contains(marks.first); });
}

std::optional<ReferenceRecord> KeyStoreReference::by_id(const std::string& id, TimePoint now) const {
  const auto found = current(id);
  if (!found.live) return std::nullopt;
  const auto& identity = identities_.at(id);
  if (passed(identity.expires_at, now)) return std::nullopt;
  ReferenceRecord record;
  record.id = id;
  record.version = found.seen->version;
  record.stamp = found.stamp;
  record.payload = found.seen->payload;
  record.keys = found.seen->keys;
  record.expires_at = identity.expires_at;
  for (const auto& key : found.seen->keys) {
    if (!leads(key, id)) record.lost_keys.insert(key);
  }
  return record;
}

std::optional<ReferenceRecord> KeyStoreReference::by_key(const std::string& key, TimePoint now) const {
  const auto claims = claims_.find(key);
  if (claims == claims_.end() || claims->second.empty()) return std::nullopt;
  auto record = by_id(claims->second.rbegin()->second, now);
  if (!record || std::find(record->keys.begin(), record->keys.end(), key) == record->keys.end()) return std::nullopt;
  return record;
}

std::set<std::string> KeyStoreReference::known() const {
  std::set<std::string> ids;
  for (const auto& [id, identity] : identities_) {
    if (!identity.seen.empty()) ids.insert(id);
  }
  return ids;
}

}  // namespace setget_tests
