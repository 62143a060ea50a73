#include "sqlite/store_txn.hpp"

#include <algorithm>

#include "core/apply_content.hpp"
#include "sqlite/book.hpp"
#include "sqlite/codec.hpp"
#include "sqlite/store_damage.hpp"

namespace setget::inline v0::sqlite {

namespace {

using State = IdentitySlot::State;

// Rows of records that are not messages of this file: below all stamps, rising, so that they fill their pages.
constexpr std::int64_t kFirstOwnRow = -(std::int64_t{1} << 62);

constexpr const char* kFindKey = "SELECT row, more FROM keys WHERE nskey=?1";

}  // namespace

std::optional<IdentRow> find_ident(Connection& db, std::string_view ns, std::string_view id) {
  const auto name = qualified(ns, id);
  auto row = db.query("SELECT row, more FROM ident WHERE h=?1 AND nsid=?2");
  if (!row.with(hash_column(identity_hash(ns, id)), name).step()) return std::nullopt;
  return decode_ident(row_column(row, 0), row.blob(1));
}

Result<IdentitySlot> StoreTxn::load_identity(std::string_view ns, std::string_view id) {
  const auto ident = find_ident(db_, ns, id);
  if (!ident) return IdentitySlot{};
  if (ident->history) had_.insert(qualified(ns, id));
  if (!ident->lost_keys.empty()) loses_keys_[ident->slot.handle] = true;
  return ident->slot;
}

Payload StoreTxn::load_body(std::int64_t row) {
  auto body = db_.query("SELECT sum, body FROM log WHERE stamp=?1");
  if (!body.with(row).step()) throw_damaged("a record without its body");
  return checked_body(body.blob(1), body.integer(0));
}

Result<Payload> StoreTxn::load_encoded(std::string_view ns, std::string_view id, const IdentitySlot& slot) {
  if (auto body = readable_body(db_, row_of(slot))) return *std::move(body);
  return remade_body(db_, ns, id, row_of(slot));
}

Result<KeySlot> StoreTxn::load_key(std::string_view ns, std::string_view key) {
  KeySlot slot;
  KeyRow found;
  {
    const auto name = qualified(ns, key);
    auto row = db_.query(kFindKey);
    if (!row.with(Text{name}).step()) return slot;
    found = decode_key(row_column(row, 0), row.blob(1));
  }
  slot.exists = true;
  slot.leads = found.row.has_value();
  slot.handle = static_cast<std::uint64_t>(found.row.value_or(0));
  slot.other_stamp = found.other_stamp;
  slot.other_id = std::move(found.other_id);
  slot.mark = found.mark;
  slot.claim_stamp = found.claim_stamp.value_or(0);
  if (found.claim_id) slot.claim_id = std::move(*found.claim_id);
  if (!slot.leads || (found.claim_stamp && found.claim_id)) return slot;
  if (!found.claim_id) {
    auto holder = holder_of(ns, *found.row);
    if (!holder) return std::move(holder).error();
    if (!*holder) {
      // Its record is lost: whoever claims the key gets it, as if it led nowhere.
      slot.leads = false;
      slot.claim_stamp = std::max<Stamp>(slot.claim_stamp, *found.row > 0 ? static_cast<Stamp>(*found.row) : 0);
      return slot;
    }
    slot.claim_id = **std::move(holder);
  }
  if (!found.claim_stamp) {
    if (found.plain && *found.row > 0) {
      slot.claim_stamp = static_cast<Stamp>(*found.row);
    } else {
      const auto ident = find_ident(db_, ns, slot.claim_id);
      if (!ident) throw_damaged("a key leads to a record that is not there");
      slot.claim_stamp = ident->slot.stamp;
    }
  }
  return slot;
}

// The id of the record that a key leads to; empty where there is no such record.
Result<std::optional<std::string>> StoreTxn::holder_of(std::string_view ns, std::int64_t row) {
  const auto body = readable_body(db_, row);
  if (!body) return holder_of_damaged(db_, ns, row);
  auto command = decode_command(*body);
  if (!command) return std::move(command).error();
  return std::optional(std::move(command->id));
}

Result<std::vector<std::string>> StoreTxn::silent_listers(std::string_view ns, std::string_view key) {
  std::vector<std::string> ids;
  const auto name = qualified(ns, key);
  auto row = db_.query("SELECT id FROM silent WHERE nskey=?1");
  row.with(Text{name});
  while (row.step()) ids.push_back(row.text(0));
  return ids;
}

Result<void> StoreTxn::set_silent_lister(std::string_view ns, std::string_view key, std::string_view id, bool listed) {
  const auto name = qualified(ns, key);
  if (listed) {
    db_.run("REPLACE INTO silent(nskey, id) VALUES(?1, ?2)", Text{name}, id);
  } else {
    db_.run("DELETE FROM silent WHERE nskey=?1 AND id=?2", Text{name}, id);
  }
  return {};
}

// The row of the entry's body: the message's own where one was offered, else a new one.
std::int64_t StoreTxn::place_body(const ApplyEntry& entry) {
  const auto bytes = entry.encoded.view();
  if (offered_ == 0) {
    const auto row = kFirstOwnRow + static_cast<std::int64_t>(++txn_.book().edit_meta().last_row);
    db_.run("INSERT INTO log(stamp, queue, sum, body) VALUES(?1, 0, ?2, ?3)", row, checksum_of(bytes), bytes);
    return row;
  }
  taken_ = true;
  bool same = false;
  {
    auto body = db_.query("SELECT body FROM log WHERE stamp=?1");
    same = body.with(offered_).step() && body.blob(0) == bytes;
  }
  if (!same) db_.run("UPDATE log SET sum=?2, body=?3 WHERE stamp=?1", offered_, checksum_of(bytes), bytes);
  return static_cast<std::int64_t>(offered_);
}

// The payload and indexes of a live record; its slot is the caller's to write.
void StoreTxn::drop_record(std::string_view ns, std::string_view id, const IdentitySlot& before) {
  if (before.state != State::kLive) return;
  const auto row = row_of(before);
  db_.run("DELETE FROM log WHERE stamp=?1", row);
  if (before.expires_at) db_.run("DELETE FROM expiry WHERE at=?1 AND row=?2", before.expires_at->time_since_epoch().count(), row);
  if (txn_.book().meta().listed == 0) return;
  const auto changes = db_.changes();
  db_.run("DELETE FROM listing WHERE ns=?1 AND h=?2 AND id=?3", ns, hash_column(identity_hash(ns, id)), id);
  if (db_.changes() != changes) --txn_.book().edit_meta().listed;
}

void StoreTxn::write_ident(std::string_view ns, std::string_view id, const IdentRow& ident) {
  const auto name = qualified(ns, id);
  const auto more = encode_ident(ident);
  const bool live = ident.slot.state == State::kLive;
  if (ident.history) {
    had_.insert(name);
    kept_.insert_or_assign(name, false);
  }
  db_.run("REPLACE INTO ident(h, nsid, row, more) VALUES(?1, ?2, ?3, ?4)", hash_column(identity_hash(ns, id)), name,
          live ? std::optional(row_of(ident.slot)) : std::nullopt, more);
  if (!live) forget_later(std::max(ident.slot.stamp, ident.slot.touch_stamp), kGcIdentity, name);
}

void StoreTxn::count_states(State before, State now) {
  if (before == now) return;
  auto& meta = txn_.book().edit_meta();
  if (before == State::kLive) --meta.records;
  if (before == State::kTombstone) --meta.tombstones;
  if (now == State::kLive) ++meta.records;
  if (now == State::kTombstone) ++meta.tombstones;
}

Result<void> StoreTxn::store_record(const ApplyEntry& entry, const IdentitySlot& before, IdentitySlot& slot) {
  const auto& c = entry.command;
  if (entry.history && history_at_ && before.state == State::kLive && !had_history(c.ns, c.id)) {
    if (const auto stored = find_ident(db_, c.ns, c.id)) {
      if (auto kept = keep_first(*stored, qualified(c.ns, c.id), &c); !kept) return kept;
    }
  }
  drop_record(c.ns, c.id, before);
  const auto row = place_body(entry);
  slot.handle = static_cast<std::uint64_t>(row);
  loses_keys_.erase(slot.handle);
  if (!entry.history && had_history(c.ns, c.id)) {
    const auto name = qualified(c.ns, c.id);
    had_.erase(name);
    kept_.insert_or_assign(name, true);
  }
  write_ident(c.ns, c.id,
              {.slot = slot, .lost_keys = {}, .listed = entry.listed, .history = entry.history, .content = detail::content_of(entry)});
  if (slot.expires_at) db_.run("INSERT INTO expiry(at, row) VALUES(?1, ?2)", slot.expires_at->time_since_epoch().count(), row);
  if (entry.listed) {
    db_.run("REPLACE INTO listing(ns, h, id, account, flow, owner, row) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)", c.ns,
            hash_column(identity_hash(c.ns, c.id)), c.id, c.account, c.flow, c.owner, row);
    ++txn_.book().edit_meta().listed;
  }
  count_states(before.state, State::kLive);
  return {};
}

Result<void> StoreTxn::update_slot(std::string_view ns, std::string_view id, const IdentitySlot& before, const IdentitySlot& slot,
                                   const KeyList* lost_keys) {
  IdentRow ident{.slot = slot, .lost_keys = {}, .listed = false, .history = false, .content = {}};
  if (slot.state != State::kLive) ident.history = had_history(ns, id);
  if (slot.state == State::kLive) {
    if (const auto stored = find_ident(db_, ns, id)) {
      ident.lost_keys = stored->lost_keys;
      ident.listed = stored->listed;
      ident.history = stored->history;
      ident.content = stored->content;
    }
    if (lost_keys != nullptr) ident.lost_keys = *lost_keys;
    loses_keys_[slot.handle] = !ident.lost_keys.empty();
    const auto row = row_of(slot);
    if (before.expires_at != slot.expires_at) {
      if (before.expires_at) db_.run("DELETE FROM expiry WHERE at=?1 AND row=?2", before.expires_at->time_since_epoch().count(), row);
      if (slot.expires_at) db_.run("REPLACE INTO expiry(at, row) VALUES(?1, ?2)", slot.expires_at->time_since_epoch().count(), row);
    }
  }
  write_ident(ns, id, ident);
  if (slot.state == State::kLive) refresh_keys(ns, ident);
  return {};
}

void StoreTxn::refresh_keys(std::string_view ns, const IdentRow& ident) {
  const auto row = row_of(ident.slot);
  const auto command = decode_command(load_body(row));
  if (!command) throw SqlError(command.error());
  for (const auto key : command->keys) {
    const auto name = qualified(ns, key);
    KeyRow stored;
    {
      auto found = db_.query(kFindKey);
      if (!found.with(Text{name}).step() || found.is_null(0) || found.integer(0) != row) continue;
      stored = decode_key(row, found.blob(1));
    }
    // The claim stays what it is, whatever becomes of the record's own stamp.
    if (!stored.claim_stamp && stored.plain && row > 0) stored.claim_stamp = static_cast<Stamp>(row);
    stored.expires_at = ident.slot.expires_at;
    stored.ttl_rule = ident.slot.ttl_rule;
    stored.plain = is_plain(ident.slot, ident.lost_keys);
    db_.run("UPDATE keys SET more=?2 WHERE nskey=?1", Text{name}, encode_key(stored));
  }
}

Result<void> StoreTxn::store_tombstone(std::string_view ns, std::string_view id, const IdentitySlot& before, const IdentitySlot& slot) {
  drop_record(ns, id, before);
  write_ident(ns, id, {.slot = slot, .lost_keys = {}, .listed = false, .history = had_history(ns, id), .content = {}});
  count_states(before.state, State::kTombstone);
  return {};
}

Result<void> StoreTxn::store_key(std::string_view ns, std::string_view key, const KeySlot& before, const KeySlot& slot,
                                 const IdentitySlot* holder) {
  const auto name = qualified(ns, key);
  KeyRow stored;
  if (slot.leads && holder == nullptr) {  // still leads where it led: only what others did to the key changes
    auto found = db_.query(kFindKey);
    if (!found.with(Text{name}).step()) throw_damaged("a key that leads to a record is not there");
    stored = decode_key(row_column(found, 0), found.blob(1));
  }
  stored.other_stamp = slot.other_stamp;
  stored.other_id = slot.other_id;
  stored.mark = slot.mark;
  if (slot.leads && holder != nullptr) {
    const auto loses = loses_keys_.find(holder->handle);
    stored.row = row_of(*holder);
    stored.plain = is_plain(*holder, {}) && !(loses != loses_keys_.end() && loses->second);
    stored.expires_at = holder->expires_at;
    stored.ttl_rule = holder->ttl_rule;
    if (!stored.plain || slot.claim_stamp != static_cast<Stamp>(*stored.row)) stored.claim_stamp = slot.claim_stamp;
  } else if (!slot.leads && slot.claim_stamp != 0) {
    stored.claim_stamp = slot.claim_stamp;
    stored.claim_id = slot.claim_id;
  }
  db_.run("REPLACE INTO keys(nskey, row, more) VALUES(?1, ?2, ?3)", Text{name}, stored.row, encode_key(stored));
  if (!before.exists) ++txn_.book().edit_meta().keys;
  if (!slot.leads) forget_later(std::max({slot.claim_stamp, slot.other_stamp, slot.mark}), kGcKey, name);
  return {};
}

Result<void> StoreTxn::log_change(std::string_view ns, std::string_view id, const IdentitySlot& slot) {
  ChangeEntry entry;
  entry.revision = slot.revision;
  if (slot.state == State::kLive) {
    entry.row = row_of(slot);
  } else {
    entry.tombstone = true;
    entry.version = slot.version;
    entry.reason = slot.reason;
    entry.nsid = qualified(ns, id);
  }
  txn_.book().add_change(encode_change(entry), slot.stamp);
  // Cursors must pass the tombstone's own entry before it may be forgotten.
  if (entry.tombstone) forget_later(std::max(slot.stamp, slot.touch_stamp), kGcIdentity, entry.nsid);
  txn_.announce(Topic::kChanges);
  if (kept_.empty() || !history_at_) return {};
  return keep_state(ns, id, slot, qualified(ns, id));
}

// As the row said when it was loaded, or was written in this command.
bool StoreTxn::had_history(std::string_view ns, std::string_view id) const { return !had_.empty() && had_.contains(qualified(ns, id)); }

Result<void> StoreTxn::keep_state(std::string_view ns, std::string_view id, const IdentitySlot& slot, const std::string& name) {
  const auto kept = kept_.find(name);
  if (kept == kept_.end()) return {};
  const bool left = kept->second;
  if (left) kept_.erase(kept);
  OutboxState state;
  state.at = *history_at_;
  state.name = name;
  state.meta.version = slot.version;
  state.meta.revision = slot.revision;
  if (slot.state != State::kLive) {
    state.kind = HistoryState::Kind::kTombstone;
    state.reason = slot.reason;
    return add_to_outbox(db_, outbox_limit_, txn_.now(), state, {});
  }
  const auto body = load_body(row_of(slot));
  state.meta.stamp = slot.stamp;
  state.meta.expires_at = slot.expires_at;
  state.meta.ttl_rule = slot.ttl_rule;
  if (const auto stored = find_ident(db_, ns, id)) state.meta.lost_keys = stored->lost_keys;
  if (!left) return add_to_outbox(db_, outbox_limit_, txn_.now(), state, body.view());
  auto command = decode_command(body);
  if (!command) return std::move(command).error();
  command->payload = {};
  state.kind = HistoryState::Kind::kNotKept;
  return add_to_outbox(db_, outbox_limit_, txn_.now(), state, encode_command(*command).view());
}

Result<void> StoreTxn::keep_first(const IdentRow& ident, const std::string& name, const Command* next) {
  OutboxState state;
  state.at = time_of(ident.slot.stamp);
  state.name = name;
  state.meta.version = ident.slot.version;
  state.meta.revision = ident.slot.revision;
  state.meta.stamp = ident.slot.stamp;
  state.meta.expires_at = ident.slot.expires_at;
  state.meta.ttl_rule = ident.slot.ttl_rule;
  state.meta.lost_keys = ident.lost_keys;
  const auto body = readable_body(db_, row_of(ident.slot));
  if (body && next == nullptr) return add_to_outbox(db_, outbox_limit_, txn_.now(), state, body->view());
  const auto of = split_qualified(name);
  auto old = decode_command(body ? *body : remade_body(db_, of.ns, of.name, row_of(ident.slot)));
  if (!old) return std::move(old).error();
  if (body && old->account == next->account && old->flow == next->flow)
    return add_to_outbox(db_, outbox_limit_, txn_.now(), state, body->view());
  old->payload = {};
  state.kind = HistoryState::Kind::kNotKept;
  return add_to_outbox(db_, outbox_limit_, txn_.now(), state, encode_command(*old).view());
}

Result<bool> StoreTxn::begin_history(const BeginHistory& request) {
  auto ident = find_ident(db_, request.ns, request.id);
  if (!ident || ident->slot.state != State::kLive || ident->history || ident->slot.version != request.version) return false;
  if (auto kept = keep_first(*ident, qualified(request.ns, request.id), nullptr); !kept) return std::move(kept).error();
  ident->history = true;
  write_ident(request.ns, request.id, *ident);
  return true;
}

void StoreTxn::forget_later(Stamp stamp, int kind, std::string_view name) {
  db_.run("REPLACE INTO gc(stamp, kind, name, position) VALUES(?1, ?2, ?3, ?4)", stamp, kind, name, txn_.book().meta().last_position);
}

}  // namespace setget::inline v0::sqlite
