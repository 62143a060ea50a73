#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include <setget/model.hpp>

namespace setget::inline v0 {

namespace {

using State = IdentitySlot::State;

// Acceptance order: by stamp, ties by id. An id of nothing (stamp 0) is before everything.
bool after(Stamp stamp, std::string_view id, Stamp other_stamp, std::string_view other_id) noexcept {
  return stamp != other_stamp ? stamp > other_stamp : id > other_id;
}

ApplyResult with_reason(Outcome outcome, const IdentitySlot& slot, std::string code, std::string message) {
  ApplyResult result;
  result.outcome = outcome;
  result.version = slot.version;
  result.revision = slot.revision;
  result.reasons.push_back({.code = std::move(code), .message = std::move(message), .pointer = {}});
  return result;
}

ApplyResult plain(Outcome outcome, const IdentitySlot& slot) {
  return {.outcome = outcome, .reasons = {}, .version = slot.version, .revision = slot.revision};
}

// What stays instead of the command, or is it already.
ApplyResult stays(Outcome outcome, const IdentitySlot& slot) {
  auto result = plain(outcome, slot);
  result.accepted = slot.state == State::kAbsent ? 0 : slot.stamp;
  return result;
}

// A record whose keys were claimed by somebody else.
struct Disturbed {
  std::string id;
  bool lost_key = false;  // one of its keys leads elsewhere now
};

// Why a record cannot live, looking at one key after the other.
struct Judgement {
  bool erased = false;                 // a mark on a key that it lists is younger than the record
  bool superseded = true;              // every key was claimed by another identity after the record was accepted; void without keys
  std::vector<std::string_view> lost;  // keys that do not lead to it

  void see(std::string_view key, const KeySlot& slot, bool own, bool taken, Stamp stamp) {
    erased = erased || slot.mark > stamp;
    superseded = superseded && taken;
    if (!own) lost.push_back(key);
  }
  bool dead() const noexcept { return erased || superseded; }
};

bool is_own(const KeySlot& slot, std::string_view id) noexcept { return slot.exists && slot.claim_stamp != 0 && slot.claim_id == id; }

// Whether another identity claimed the key after the record was accepted, as far as claims are known.
bool is_taken(const KeySlot& slot, std::string_view id, Stamp stamp) noexcept {
  return is_own(slot, id) ? after(slot.other_stamp, slot.other_id, stamp, id) : after(slot.claim_stamp, slot.claim_id, stamp, id);
}

class Applier {
 public:
  Applier(ModelTransaction& transaction, const ApplyContext& context) : tx_(transaction), context_(context) {}

  Result<ApplyResult> apply(const ApplyEntry& entry) {
    switch (entry.command.kind) {
      case CommandKind::kSet:
        return apply_set(entry);
      case CommandKind::kErase:
        return apply_erase(entry);
      case CommandKind::kEraseKey:
        return apply_erase_key(entry);
      case CommandKind::kTouch:
        return apply_touch(entry);
    }
    return Error(ErrorCode::kInvalidArgument, "unknown command kind").at_field("kind");
  }

  // Looks at a live record again after something about its keys has changed. `lost_changed`: which keys lead to it may differ; so they do
  // where it `says_lost` others.
  Result<void> judge_again(std::string_view ns, std::string_view id, bool lost_changed, const KeyList* says_lost = nullptr) {
    auto slot = tx_.load_identity(ns, id);
    if (!slot) return std::move(slot).error();
    if (slot->state != State::kLive) return {};
    auto command = load_command(ns, id, *slot);
    if (!command) return std::move(command).error();
    Judgement judgement;
    for (const auto key : command->keys) {
      auto key_slot = tx_.load_key(ns, key);
      if (!key_slot) return std::move(key_slot).error();
      auto taken = was_taken(ns, key, *key_slot, id, slot->stamp);
      if (!taken) return std::move(taken).error();
      judgement.see(key, *key_slot, is_own(*key_slot, id), *taken, slot->stamp);
    }
    if (judgement.dead()) {
      return bury(ns, id, *slot, command->keys, judgement.erased ? TombstoneReason::kErased : TombstoneReason::kSuperseded);
    }
    if (!lost_changed && (says_lost == nullptr || std::ranges::equal(judgement.lost, *says_lost))) return {};
    auto changed = *slot;
    ++changed.revision;
    const KeyList lost{std::span<const std::string_view>(judgement.lost)};
    if (auto done = tx_.update_slot(ns, id, *slot, changed, &lost); !done) return done;
    return tx_.log_change(ns, id, changed);
  }

  // A claim that took the key can have been forgotten since: then the key knows the record as one that lists it silently. Where it knows
  // neither, what was known of it is lost with its part of the store: absence is never an erase, and the redelivery of the record claims
  // the key again.
  Result<bool> was_taken(std::string_view ns, std::string_view key, const KeySlot& slot, std::string_view id, Stamp stamp) {
    if (is_own(slot, id) || is_taken(slot, id, stamp)) return is_taken(slot, id, stamp);
    auto listers = tx_.silent_listers(ns, key);
    if (!listers) return std::move(listers).error();
    return std::ranges::find(*listers, id) != listers->end();
  }

  // Turns a live record into a tombstone of the same version.
  Result<void> bury(std::string_view ns, std::string_view id, const IdentitySlot& before, const KeyList& keys, TombstoneReason reason) {
    auto encoded = tx_.load_encoded(ns, id, before);
    if (!encoded) return std::move(encoded).error();
    auto tombstone = before;
    tombstone.state = State::kTombstone;
    tombstone.reason = reason;
    tombstone.digest = digest_of(encoded->view());
    ++tombstone.revision;
    if (auto done = let_go(ns, id, keys, nullptr); !done) return done;
    if (auto done = tx_.store_tombstone(ns, id, before, tombstone); !done) return done;
    return tx_.log_change(ns, id, tombstone);
  }

  Result<Command> load_command(std::string_view ns, std::string_view id, const IdentitySlot& slot) {
    auto encoded = tx_.load_encoded(ns, id, slot);
    if (!encoded) return std::move(encoded).error();
    return decode_command(*encoded);
  }

  // A claim without a new version.
  Result<void> adopt(const ApplyEntry& entry, const IdentitySlot& own_slot) { return claim(entry, own_slot); }

  Result<void> reconcile(std::string_view ns, std::string_view id, const KeyList& says_lost) {
    auto slot = tx_.load_identity(ns, id);
    if (!slot) return std::move(slot).error();
    if (slot->state != State::kLive) return {};
    auto command = load_command(ns, id, *slot);
    if (!command) return std::move(command).error();
    bool lost_changed = false;
    for (const auto key : command->keys) {
      auto key_slot = tx_.load_key(ns, key);
      if (!key_slot) return std::move(key_slot).error();
      const bool own = key_slot->claim_stamp != 0 && key_slot->claim_id == id;
      auto listers = tx_.silent_listers(ns, key);
      if (!listers) return std::move(listers).error();
      const bool silent = std::ranges::find(*listers, id) != listers->end();
      if (own && !key_slot->leads) {
        auto leading = *key_slot;
        leading.leads = true;
        if (auto done = tx_.store_key(ns, key, *key_slot, leading, &*slot); !done) return done;
        lost_changed = true;
      }
      if (own ? silent : !silent && is_taken(*key_slot, id, slot->stamp)) {
        if (auto done = tx_.set_silent_lister(ns, key, id, !own); !done) return done;
        lost_changed = true;
      }
    }
    // A key can know of its silent lister from a version before: that alone does not say that the record knows it, too.
    return judge_again(ns, id, lost_changed, &says_lost);
  }

 private:
  Result<ApplyResult> apply_set(const ApplyEntry& entry) {
    const auto& c = entry.command;
    const Version version = c.version.value_or(entry.stamp);
    auto loaded = tx_.load_identity(c.ns, c.id);
    if (!loaded) return std::move(loaded).error();
    const auto& before = *loaded;

    // What is over by now is no loss. Else only whoever knows what came in between can say whether it is to be applied.
    const bool over = entry.expires_at && *entry.expires_at <= context_.now;
    if (before.state == State::kAbsent && entry.stamp < context_.floor)
      return below_floor(before, over ? Outcome::kExpired : Outcome::kDeadLettered);
    if (before.state != State::kAbsent && version <= before.version) {
      if (version == before.version) return apply_same_version(entry, before);
      if (auto done = claim(entry, before); !done) return std::move(done).error();
      return stays(Outcome::kStale, before);
    }
    if (auto refused = refuse_by_condition(entry, before)) return std::move(*refused);
    return apply_new_version(entry, before, version);
  }

  static ApplyResult below_floor(const IdentitySlot& slot, Outcome outcome = Outcome::kExpired) {
    return with_reason(
        outcome, slot, "below_floor",
        "accepted before the store's floor, and nothing is known of its identity any more; redrive with a fresh stamp to apply it");
  }

  std::optional<ApplyResult> refuse_by_condition(const ApplyEntry& entry, const IdentitySlot& before) const {
    const auto& expected = entry.command.expected_version;
    if (!expected) return std::nullopt;
    const bool live = before.state == State::kLive && !(before.expires_at && *before.expires_at <= context_.now);
    const Version current = live ? before.version : 0;
    if (*expected == current) return std::nullopt;
    return with_reason(Outcome::kDeadLettered, before, "precondition_failed",
                       fmt::format("expected_version is {}, the current version is {}", *expected, current));
  }

  Result<ApplyResult> apply_same_version(const ApplyEntry& entry, const IdentitySlot& before) {
    const auto& c = entry.command;
    bool same = false;
    if (before.state == State::kLive) {
      auto encoded = tx_.load_encoded(c.ns, c.id, before);
      if (!encoded) return std::move(encoded).error();
      same = encoded->view() == entry.encoded.view();
    } else {
      same = before.digest == digest_of(entry.encoded.view());
    }
    if (!same) {
      auto conflict = with_reason(Outcome::kDeadLettered, before, "version_conflict",
                                  fmt::format("version {} of this identity was accepted before with other content", before.version));
      conflict.accepted = before.stamp;
      return conflict;
    }
    if (c.kind == CommandKind::kSet) {
      if (auto done = claim(entry, before); !done) return std::move(done).error();
    }
    if (entry.stamp < before.stamp) {
      if (auto done = accepted_earlier(entry); !done) return std::move(done).error();
    }
    auto now = tx_.load_identity(c.ns, c.id);
    if (!now) return std::move(now).error();
    return stays(Outcome::kDuplicate, *now);
  }

  // Of equal sets the earliest counts, so that the state does not depend on which of them came first.
  Result<void> accepted_earlier(const ApplyEntry& entry) {
    const auto& c = entry.command;
    auto before = tx_.load_identity(c.ns, c.id);
    if (!before) return std::move(before).error();
    auto earlier = *before;
    earlier.stamp = entry.stamp;
    if (before->state == State::kLive) {
      // What has expired stays gone, whatever life the earlier acceptance would have given.
      if (!(before->expires_at && *before->expires_at <= context_.now)) {
        const bool touched = before->touch_stamp > entry.stamp;
        earlier.expires_at = touched ? before->touch_expires_at : entry.expires_at;
        earlier.ttl_rule = touched ? TtlRule::kMessage : entry.ttl_rule;
      }
      ++earlier.revision;
    }
    if (auto done = tx_.update_slot(c.ns, c.id, *before, earlier, nullptr); !done) return done;
    if (before->state != State::kLive) return {};
    if (auto done = tx_.log_change(c.ns, c.id, earlier); !done) return done;
    return judge_again(c.ns, c.id, false);
  }

  // Gives up the keys of a record that is replaced or buried; those that `next` lists too stay as they are for the caller to write.
  Result<void> let_go(std::string_view ns, std::string_view id, const KeyList& keys, const KeyList* next) {
    for (const auto key : keys) {
      auto slot = tx_.load_key(ns, key);
      if (!slot) return std::move(slot).error();
      const bool own = slot->exists && slot->claim_stamp != 0 && slot->claim_id == id;
      if (!own) {
        if (auto done = tx_.set_silent_lister(ns, key, id, false); !done) return done;
      } else if (slot->leads && (next == nullptr || !next->contains(key))) {
        auto released = *slot;
        released.leads = false;
        if (auto done = tx_.store_key(ns, key, *slot, released, nullptr); !done) return done;
      }
    }
    return {};
  }

  static bool same_claims(const KeySlot& a, const KeySlot& b) noexcept {
    return a.exists == b.exists && a.claim_stamp == b.claim_stamp && a.claim_id == b.claim_id && a.other_stamp == b.other_stamp &&
           a.other_id == b.other_id;
  }

  // Claims of a set that does not become the current version. Its identity may win or keep keys that its current version lists.
  Result<void> claim(const ApplyEntry& entry, const IdentitySlot& own_slot) {
    const auto& c = entry.command;
    std::optional<Command> current;
    if (own_slot.state == State::kLive) {
      auto loaded = load_command(c.ns, c.id, own_slot);
      if (!loaded) return std::move(loaded).error();
      current = std::move(*loaded);
    }
    std::vector<Disturbed> disturbed;
    bool regained = false;
    for (const auto key : c.keys) {
      auto slot = tx_.load_key(c.ns, key);
      if (!slot) return std::move(slot).error();
      auto next = claimed(*slot, c.id, entry.stamp);
      if (same_claims(*slot, next)) continue;
      const bool taken_over = slot->claim_id != next.claim_id;
      const bool listed = current && current->keys.contains(key);
      if (next.claim_id == c.id) next.leads = listed;
      if (auto done = tx_.store_key(c.ns, key, *slot, next, next.leads && next.claim_id == c.id ? &own_slot : nullptr); !done) return done;
      if (taken_over && listed) {
        if (auto done = tx_.set_silent_lister(c.ns, key, c.id, false); !done) return done;
        regained = true;
      }
      if (auto done = disturb(c.ns, key, *slot, next, disturbed); !done) return done;
    }
    if (auto done = judge_disturbed(c.ns, disturbed); !done) return done;
    return regained ? judge_again(c.ns, c.id, true) : Result<void>();
  }

  // Remembers whose record must be judged again because the claims on a key have changed.
  Result<void> disturb(std::string_view ns, std::string_view key, const KeySlot& before, const KeySlot& now,
                       std::vector<Disturbed>& disturbed) {
    if (!before.leads) return {};
    const bool lost = now.claim_id != before.claim_id;
    if (lost) {
      if (auto done = tx_.set_silent_lister(ns, key, before.claim_id, true); !done) return done;
    } else if (now.other_stamp == before.other_stamp && now.other_id == before.other_id) {
      return {};
    }
    for (auto& known : disturbed) {
      if (known.id != before.claim_id) continue;
      known.lost_key = known.lost_key || lost;
      return {};
    }
    disturbed.push_back({.id = before.claim_id, .lost_key = lost});
    return {};
  }

  Result<void> judge_disturbed(std::string_view ns, const std::vector<Disturbed>& disturbed) {
    for (const auto& [id, lost_key] : disturbed) {
      if (auto done = judge_again(ns, id, lost_key); !done) return done;
    }
    return {};
  }

  Result<ApplyResult> apply_new_version(const ApplyEntry& entry, const IdentitySlot& before, Version version) {
    const auto& c = entry.command;
    if (before.state == State::kLive) {
      auto old = load_command(c.ns, c.id, before);
      if (!old) return std::move(old).error();
      if (auto done = let_go(c.ns, c.id, old->keys, &c.keys); !done) return std::move(done).error();
    }

    Judgement judgement;
    std::vector<std::pair<KeySlot, KeySlot>> slots;  // before and after, in the order of the keys
    slots.reserve(c.keys.size());
    for (const auto key : c.keys) {
      auto slot = tx_.load_key(c.ns, key);
      if (!slot) return std::move(slot).error();
      auto next = claimed(*slot, c.id, entry.stamp);
      // Restored without the key: somebody claimed it later, who may be gone. Nobody's claim stands in, so that there is no falling back.
      if (entry.lost_keys.contains(key)) next = claimed(next, {}, entry.stamp + 1);
      judgement.see(key, next, is_own(next, c.id), is_taken(next, c.id, entry.stamp), entry.stamp);
      slots.emplace_back(std::move(*slot), std::move(next));
    }

    auto slot = before;
    slot.version = version;
    slot.revision = entry.revision;
    slot.stamp = entry.stamp;
    const bool touched = before.touch_stamp > entry.stamp;
    slot.expires_at = touched ? before.touch_expires_at : entry.expires_at;
    slot.ttl_rule = touched ? TtlRule::kMessage : entry.ttl_rule;
    const bool expired = slot.expires_at && *slot.expires_at <= context_.now;
    const bool live = !expired && !judgement.dead();
    if (live) {
      slot.state = State::kLive;
      if (auto done = tx_.store_record(entry, before, slot); !done) return std::move(done).error();
      if (!judgement.lost.empty()) {
        const KeyList lost{std::span<const std::string_view>(judgement.lost)};
        if (auto done = tx_.update_slot(c.ns, c.id, slot, slot, &lost); !done) return std::move(done).error();
      }
    } else {
      slot.state = State::kTombstone;
      slot.reason = judgement.erased ? TombstoneReason::kErased : expired ? TombstoneReason::kExpired : TombstoneReason::kSuperseded;
      slot.digest = digest_of(entry.encoded.view());
      if (auto done = tx_.store_tombstone(c.ns, c.id, before, slot); !done) return std::move(done).error();
    }

    std::vector<Disturbed> disturbed;
    std::size_t at = 0;
    for (const auto key : c.keys) {
      auto& [old_slot, next] = slots[at++];
      const bool own = next.claim_id == c.id;
      if (own) next.leads = live;
      if (auto done = tx_.store_key(c.ns, key, old_slot, next, own && live ? &slot : nullptr); !done) return std::move(done).error();
      if (!own && live) {
        if (auto done = tx_.set_silent_lister(c.ns, key, c.id, true); !done) return std::move(done).error();
      }
      if (old_slot.claim_id == c.id) continue;
      if (auto done = disturb(c.ns, key, old_slot, next, disturbed); !done) return std::move(done).error();
    }
    if (auto done = tx_.log_change(c.ns, c.id, slot); !done) return std::move(done).error();
    if (auto done = judge_disturbed(c.ns, disturbed); !done) return std::move(done).error();

    if (slot.state == State::kTombstone && slot.reason == TombstoneReason::kExpired) {
      return with_reason(Outcome::kExpired, slot, "expired", "its time to live had passed when it was applied");
    }
    return plain(Outcome::kApplied, slot);
  }

  Result<ApplyResult> apply_erase(const ApplyEntry& entry) {
    const auto& c = entry.command;
    const Version version = c.version.value_or(entry.stamp);
    auto loaded = tx_.load_identity(c.ns, c.id);
    if (!loaded) return std::move(loaded).error();
    const auto& before = *loaded;
    if (before.state == State::kAbsent && entry.stamp < context_.floor) return below_floor(before);
    if (before.state != State::kAbsent && version < before.version) return stays(Outcome::kStale, before);
    if (before.state != State::kAbsent && version == before.version) return apply_same_version(entry, before);
    if (auto refused = refuse_by_condition(entry, before)) return std::move(*refused);

    if (before.state == State::kLive) {
      auto old = load_command(c.ns, c.id, before);
      if (!old) return std::move(old).error();
      if (auto done = let_go(c.ns, c.id, old->keys, nullptr); !done) return std::move(done).error();
    }
    auto slot = before;
    slot.state = State::kTombstone;
    slot.reason = TombstoneReason::kErased;
    slot.version = version;
    slot.revision = entry.revision;
    slot.stamp = entry.stamp;
    slot.expires_at.reset();
    slot.digest = digest_of(entry.encoded.view());
    if (auto done = tx_.store_tombstone(c.ns, c.id, before, slot); !done) return std::move(done).error();
    if (auto done = tx_.log_change(c.ns, c.id, slot); !done) return std::move(done).error();
    return plain(Outcome::kApplied, slot);
  }

  Result<ApplyResult> apply_erase_key(const ApplyEntry& entry) {
    const auto& c = entry.command;
    if (c.keys.size() != 1) return Error(ErrorCode::kInvalidArgument, "an erase by key names exactly one key").at_field("keys");
    const auto key = c.keys.front();
    auto slot = tx_.load_key(c.ns, key);
    if (!slot) return std::move(slot).error();
    const IdentitySlot nobody;
    if (!slot->exists && entry.stamp < context_.floor) return below_floor(nobody);
    if (slot->mark >= entry.stamp) return stays(slot->mark == entry.stamp ? Outcome::kDuplicate : Outcome::kStale, nobody);

    auto listers = tx_.silent_listers(c.ns, key);
    if (!listers) return std::move(listers).error();
    std::optional<IdentitySlot> holder;
    if (slot->leads) {
      listers->push_back(slot->claim_id);
      auto loaded = tx_.load_identity(c.ns, slot->claim_id);
      if (!loaded) return std::move(loaded).error();
      holder = *loaded;
    }
    auto marked = *slot;
    marked.exists = true;
    marked.mark = entry.stamp;
    if (auto done = tx_.store_key(c.ns, key, *slot, marked, holder ? &*holder : nullptr); !done) return std::move(done).error();
    for (const auto& id : *listers) {
      if (auto done = judge_again(c.ns, id, false); !done) return std::move(done).error();
    }
    return plain(Outcome::kApplied, nobody);
  }

  Result<ApplyResult> apply_touch(const ApplyEntry& entry) {
    const auto& c = entry.command;
    auto loaded = tx_.load_identity(c.ns, c.id);
    if (!loaded) return std::move(loaded).error();
    const auto& before = *loaded;
    if (before.state == State::kAbsent && entry.stamp < context_.floor) return below_floor(before);
    if (entry.stamp <= before.touch_stamp) return stays(entry.stamp == before.touch_stamp ? Outcome::kDuplicate : Outcome::kStale, before);

    // Remembered even where it changes nothing now: the set that it is meant for may still be on its way.
    auto slot = before;
    slot.touch_stamp = entry.stamp;
    slot.touch_expires_at = entry.expires_at;
    const bool live = before.state == State::kLive && !(before.expires_at && *before.expires_at <= context_.now);
    const bool effective = live && entry.stamp > before.stamp;
    if (effective) {
      slot.expires_at = entry.expires_at;
      slot.ttl_rule = TtlRule::kMessage;
      ++slot.revision;
    }
    if (auto done = tx_.update_slot(c.ns, c.id, before, slot, nullptr); !done) return std::move(done).error();
    if (effective) {
      if (auto done = tx_.log_change(c.ns, c.id, slot); !done) return std::move(done).error();
      return plain(Outcome::kApplied, slot);
    }
    if (live) return stays(Outcome::kStale, slot);
    return with_reason(Outcome::kExpired, slot, "no_record", "there is no live record to touch");
  }

  ModelTransaction& tx_;
  const ApplyContext& context_;
};

}  // namespace

KeySlot claimed(const KeySlot& slot, std::string_view id, Stamp stamp) {
  auto next = slot;
  next.exists = true;
  if (slot.claim_stamp != 0 && slot.claim_id == id) {
    next.claim_stamp = std::max(slot.claim_stamp, stamp);
  } else if (slot.claim_stamp == 0 || after(stamp, id, slot.claim_stamp, slot.claim_id)) {
    next.other_stamp = slot.claim_stamp;
    next.other_id = slot.claim_id;
    next.claim_stamp = stamp;
    next.claim_id = std::string(id);
    next.leads = false;
  } else if (after(stamp, id, slot.other_stamp, slot.other_id)) {
    next.other_stamp = stamp;
    next.other_id = std::string(id);
  }
  return next;
}

Result<ApplyResult> apply_command(ModelTransaction& transaction, const ApplyEntry& entry, const ApplyContext& context) {
  return Applier(transaction, context).apply(entry);
}

Result<void> evict_expired(ModelTransaction& transaction, std::string_view ns, std::string_view id) {
  const ApplyContext context{};
  Applier applier(transaction, context);
  auto slot = transaction.load_identity(ns, id);
  if (!slot) return std::move(slot).error();
  if (slot->state != State::kLive) return {};
  auto command = applier.load_command(ns, id, *slot);
  if (!command) return std::move(command).error();
  // Logged, because a reader of the log may not have seen this version yet: an archive that still has an older one must learn that it is
  // over.
  return applier.bury(ns, id, *slot, command->keys, TombstoneReason::kExpired);
}

Result<void> adopt_claim(ModelTransaction& transaction, std::string_view ns, std::string_view key, std::string_view id, Stamp stamp) {
  auto slot = transaction.load_identity(ns, id);
  if (!slot) return std::move(slot).error();
  ApplyEntry entry;
  entry.command.ns = ns;
  entry.command.id = id;
  entry.command.keys = {key};
  entry.stamp = stamp;
  return Applier(transaction, {}).adopt(entry, *slot);
}

Result<void> reconcile_record(ModelTransaction& transaction, std::string_view ns, std::string_view id, const KeyList& says_lost) {
  return Applier(transaction, {}).reconcile(ns, id, says_lost);
}

Result<bool> change_expiry(ModelTransaction& transaction, const SetExpiry& request) {
  auto slot = transaction.load_identity(request.ns, request.id);
  if (!slot) return std::move(slot).error();
  if (slot->state != State::kLive || slot->version != request.version || slot->revision != request.revision) return false;
  if (slot->expires_at && *slot->expires_at <= request.now) return false;
  auto changed = *slot;
  changed.expires_at = request.expires_at;
  changed.ttl_rule = request.ttl_rule;
  ++changed.revision;
  if (auto done = transaction.update_slot(request.ns, request.id, *slot, changed, nullptr); !done) return std::move(done).error();
  if (auto done = transaction.log_change(request.ns, request.id, changed); !done) return std::move(done).error();
  return true;
}

}  // namespace setget::inline v0
