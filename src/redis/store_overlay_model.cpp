// What the model reads and writes of an overlay: the entries of identities and keys, and what becomes of them in log, indexes, buckets and
// outbox.
#include <algorithm>
#include <utility>

#include "redis/store_names.hpp"
#include "redis/store_outbox.hpp"
#include "redis/store_overlay.hpp"

namespace setget::inline v0::redis {

namespace {

// What stands for a body that cannot be read.
Payload unknown_body(std::string_view ns, std::string_view id, const IdentityPart& identity) {
  Command command;
  command.kind = CommandKind::kSet;
  command.ns = ns;
  command.id = id;
  const auto index = identity.index.value_or("");
  const auto slash = std::min(index.find('/'), index.size());
  command.account = index.substr(0, slash);
  command.flow = index.substr(std::min(slash + 1, index.size()));
  return encode_command(command);
}

}  // namespace

Result<IdentitySlot> Overlay::load_identity(std::string_view ns, std::string_view id) {
  auto found = row(ns, id);
  if (!found) return std::move(found).error();
  const auto& identity = (*found)->now.identity;
  return identity ? identity->slot : IdentitySlot();
}

Result<Payload> Overlay::load_encoded(std::string_view ns, std::string_view id, const IdentitySlot&) {
  auto found = row(ns, id);
  if (!found) return std::move(found).error();
  const auto& identity = (*found)->now.identity;
  if (!is_live(identity)) return Error(ErrorCode::kInternal, "the body of a record that is not there");
  auto body = readable_body(*identity);
  if (!body) return std::move(body).error();
  if (*body) return **std::move(body);
  // Nobody knows what it held: its keys lead to it until they are set anew, and give nothing once it is replaced.
  return unknown_body(ns, id, *identity);
}

Result<KeySlot> Overlay::load_key(std::string_view ns, std::string_view key) {
  auto found = row(ns, key);
  if (!found) return std::move(found).error();
  const auto& part = (*found)->now.key;
  if (!part) return KeySlot();
  auto slot = part->slot;
  // Rows stay where they are while others join them, so `part` may be used all along.
  auto pending = part->pending;
  std::ranges::sort(pending, {}, &PendingClaim::stamp);
  for (const auto& claim : pending) {
    if (is_self(claim, key)) continue;
    auto has_come = reached(ns, claim);
    if (!has_come) return std::move(has_come).error();
    if (!*has_come) continue;
    slot = claimed(slot, claim.id, claim.stamp);
    if (slot.claim_id != claim.id) continue;
    auto listed = lists(ns, claim.id, key);
    if (!listed) return std::move(listed).error();
    slot.leads = *listed;
  }
  if (careful_ && slot.leads) {
    auto listed = lists(ns, slot.claim_id, key);
    if (!listed) return std::move(listed).error();
    slot.leads = *listed;
  }
  return slot;
}

Result<std::vector<std::string>> Overlay::silent_listers(std::string_view ns, std::string_view key) {
  auto found = row(ns, key);
  if (!found) return std::move(found).error();
  const auto& part = (*found)->now.key;
  return part ? part->silent_listers : std::vector<std::string>();
}

Result<void> Overlay::set_silent_lister(std::string_view ns, std::string_view key, std::string_view id, bool listed) {
  auto found = row(ns, key);
  if (!found) return std::move(found).error();
  auto& now = (*found)->now;
  if (!now.key && !listed) return {};
  if (!now.key) now.key.emplace();
  auto& listers = now.key->silent_listers;
  const auto at = std::ranges::find(listers, id);
  if ((at != listers.end()) == listed) return {};
  if (listed) {
    listers.emplace_back(id);
  } else {
    listers.erase(at);
    if (!now.key->slot.leads) effect(SideEffect::Kind::kGarbage, ns, key, remembered_for(*now.key));
  }
  edit(**found);
  return {};
}

void Overlay::expire_later(std::string_view ns, std::string_view id, const IdentitySlot& slot, TimePoint now) {
  if (!slot.expires_at) return;
  const auto bucket = bucket_of(bucket_number(*slot.expires_at, now));
  effects_.push_back({.kind = SideEffect::Kind::kBucket,
                      .shard = shards_.of(ns, id),
                      .name = bucket.name,
                      .member = qualified(ns, id),
                      .score = static_cast<std::uint64_t>(std::max<std::int64_t>(0, bucket.first.time_since_epoch().count()))});
}

void Overlay::unlist(std::string_view ns, std::string_view id, IdentityPart& identity) {
  if (!identity.index) return;
  effects_.push_back({.kind = SideEffect::Kind::kUnlisted,
                      .shard = shards_.of(ns, id),
                      .name = qualified(ns, *identity.index),
                      .member = index_member(ns, id)});
  identity.index.reset();
}

// A live record that expires has its name in the bucket that its expiry and stamp say. Where that is the same as before, it is there.
void Overlay::expire_again(std::string_view ns, std::string_view id, const IdentitySlot& before, const IdentitySlot& slot) {
  const auto bucket = [](const IdentitySlot& one) { return bucket_number(*one.expires_at, time_of(one.stamp)); };
  const bool waits = before.state == IdentitySlot::State::kLive && before.expires_at && slot.expires_at && bucket(before) == bucket(slot);
  if (!waits) expire_later(ns, id, slot, time_of(slot.stamp));
}

Result<void> Overlay::store_record(const ApplyEntry& entry, const IdentitySlot& before, IdentitySlot& slot) {
  const auto& c = entry.command;
  auto found = row(c.ns, c.id);
  if (!found) return std::move(found).error();
  auto& changed = edit(**found);
  changed.identity_changed = true;
  if (!changed.now.identity) changed.now.identity.emplace();
  auto& identity = *changed.now.identity;
  if (history_at_ && entry.history && !identity.history && identity.slot.state == IdentitySlot::State::kLive) {
    // Its history begins with what was there; of another flow only that it was.
    auto body = load_encoded(c.ns, c.id, identity.slot);
    if (!body) return std::move(body).error();
    const auto old = decode_command(*body);
    if (!old) return old.error();
    const bool other = old->account != c.account || old->flow != c.flow;
    if (auto kept = keep_state(qualified(c.ns, c.id), identity, time_of(identity.slot.stamp), other); !kept) return kept;
  }
  if (identity.history && !entry.history) leaving_.insert(qualified(c.ns, c.id));
  identity.history = entry.history;
  unlist(c.ns, c.id, identity);
  identity.slot = slot;
  identity.reach = std::max(identity.reach, slot.stamp);
  identity.lost_keys = {};
  coder_.store(entry, identity);
  expire_again(c.ns, c.id, before, slot);
  if (entry.listed) {
    identity.index = c.account + "/" + c.flow;
    effects_.push_back({.kind = SideEffect::Kind::kListed,
                        .shard = shards_.of(c.ns, c.id),
                        .name = qualified(c.ns, *identity.index),
                        .member = index_member(c.ns, c.id)});
  }
  return {};
}

Result<void> Overlay::update_slot(std::string_view ns, std::string_view id, const IdentitySlot& before, const IdentitySlot& slot,
                                  const KeyList* lost_keys) {
  auto found = row(ns, id);
  if (!found) return std::move(found).error();
  // It has been judged. The step's own new version is written behind claims of its own, which would be seen.
  if (lost_keys != nullptr && id != self_) {
    if (auto seen = see_keys_after(ns, id); !seen) return seen;
  }
  auto& changed = edit(**found);
  changed.identity_changed = true;
  if (!changed.now.identity) changed.now.identity.emplace();
  auto& identity = *changed.now.identity;
  identity.slot = slot;
  identity.reach = std::max(identity.reach, slot.stamp);
  if (lost_keys != nullptr) identity.lost_keys = *lost_keys;
  if (slot.state == IdentitySlot::State::kLive) {
    expire_again(ns, id, before, slot);
  } else {
    effect(SideEffect::Kind::kGarbage, ns, id, std::max(slot.stamp, slot.touch_stamp));
  }
  return {};
}

Result<void> Overlay::store_tombstone(std::string_view ns, std::string_view id, const IdentitySlot&, const IdentitySlot& slot) {
  auto found = row(ns, id);
  if (!found) return std::move(found).error();
  if (id != self_) {
    if (auto seen = see_keys_after(ns, id); !seen) return seen;
  }
  auto& changed = edit(**found);
  changed.identity_changed = true;
  if (!changed.now.identity) changed.now.identity.emplace();
  auto& identity = *changed.now.identity;
  unlist(ns, id, identity);
  identity.slot = slot;
  identity.reach = std::max(identity.reach, slot.stamp);
  identity.lost_keys = {};
  identity.codec = BodyCodec::kNone;
  identity.dictionary = 0;
  identity.body = {};
  return {};
}

Result<void> Overlay::store_key(std::string_view ns, std::string_view key, const KeySlot&, const KeySlot& slot, const IdentitySlot*) {
  auto found = row(ns, key);
  if (!found) return std::move(found).error();
  auto& now = edit(**found).now;
  if (!now.key) now.key.emplace();
  auto& part = *now.key;
  // On several parts a record learns that it lost a key before the key's entry says so. To the model it is no holder then, but whoever
  // writes the entry in between must keep it as one that lists the key: an erase of the key ends it. And where the model finds that claims
  // in between had taken the key from it, nobody but this step can tell it.
  if (part.slot.leads && part.slot.claim_id != slot.claim_id) {
    const auto holder = part.slot.claim_id;
    auto listed = lists_or_lost(ns, holder, key);
    if (!listed) return std::move(listed).error();
    if (*listed) {
      if (auto kept = set_silent_lister(ns, key, holder, true); !kept) return kept;
      if (careful_) displaced_.insert(qualified(ns, holder));
    }
  }
  part.slot = slot;
  // What has come is part of the slot by now, and so is what this step does.
  std::vector<PendingClaim> left;
  for (auto& claim : part.pending) {
    if (is_self(claim, key)) continue;
    auto has_come = reached(ns, claim);
    if (!has_come) return std::move(has_come).error();
    if (*has_come) continue;
    if (auto told = touch(ns, claim.id); !told) return told;
    left.push_back(std::move(claim));
  }
  part.pending = std::move(left);
  if (!slot.leads) effect(SideEffect::Kind::kGarbage, ns, key, remembered_for(part));
  return {};
}

Result<void> Overlay::log_change(std::string_view ns, std::string_view id, const IdentitySlot& slot) {
  const auto name = qualified(ns, id);
  effects_.push_back({.kind = SideEffect::Kind::kLog,
                      .shard = shards_.of(ns, id),
                      .name = {},
                      .member = encode_log_line({.version = slot.version,
                                                 .revision = slot.revision,
                                                 .stamp = std::max(slot.stamp, slot.touch_stamp),
                                                 .tombstone = slot.state != IdentitySlot::State::kLive,
                                                 .reason = slot.reason,
                                                 .name = name})});
  if (!history_at_) return {};
  auto found = row(ns, id);
  if (!found) return std::move(found).error();
  const auto& identity = (*found)->now.identity;
  if (!identity) return {};
  const bool left = leaving_.erase(name) > 0;
  return identity->history || left ? keep_state(name, *identity, *history_at_, left) : Result<void>();
}

Result<void> Overlay::keep_state(std::string_view name, const IdentityPart& identity, TimePoint at, bool left) {
  const auto& slot = identity.slot;
  OutboxState state;
  state.at = at;
  state.name = name;
  state.meta.version = slot.version;
  state.meta.revision = slot.revision;
  Payload body;
  if (slot.state == IdentitySlot::State::kLive) {
    auto loaded = readable_body(identity);
    if (!loaded) return std::move(loaded).error();
    const auto [ns, id] = split_qualified(name);
    left = left || !*loaded;
    body = *loaded ? **std::move(loaded) : unknown_body(ns, id, identity);
    state.meta.stamp = slot.stamp;
    state.meta.expires_at = slot.expires_at;
    state.meta.ttl_rule = slot.ttl_rule;
    state.meta.lost_keys = identity.lost_keys;
  } else {
    state.kind = HistoryState::Kind::kTombstone;
    state.reason = slot.reason;
  }
  if (left && slot.state == IdentitySlot::State::kLive) {
    state.kind = HistoryState::Kind::kNotKept;
    auto command = decode_command(body);
    if (!command) return std::move(command).error();
    command->payload = {};
    body = encode_command(*command);
  }
  effects_.push_back(
      {.kind = SideEffect::Kind::kOutbox, .shard = shard_of(name), .name = {}, .member = encode_outbox_state(state, body.view())});
  return {};
}

Result<bool> Overlay::begin_history(const BeginHistory& request) {
  auto found = row(request.ns, request.id);
  if (!found) return std::move(found).error();
  const auto& known = (*found)->now.identity;
  if (!is_live(known) || known->history || known->slot.version != request.version) return false;
  auto& changed = edit(**found);
  changed.identity_changed = true;
  auto& identity = *changed.now.identity;
  identity.history = true;
  if (auto kept = keep_state(qualified(request.ns, request.id), identity, time_of(identity.slot.stamp), false); !kept) {
    return std::move(kept).error();
  }
  return true;
}

}  // namespace setget::inline v0::redis
