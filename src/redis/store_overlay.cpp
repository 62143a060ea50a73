#include "redis/store_overlay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "redis/store_names.hpp"

namespace setget::inline v0::redis {
namespace {

std::vector<std::string> strings(const KeyList& keys) {
  std::vector<std::string> out;
  out.reserve(keys.size());
  for (const auto key : keys) out.emplace_back(key);
  return out;
}

bool is_tombstone(const std::optional<IdentityPart>& identity) {
  return identity && identity->slot.state == IdentitySlot::State::kTombstone;
}

}  // namespace

Stamp remembered_for(const KeyPart& key) {
  auto stamp = std::max({key.slot.claim_stamp, key.slot.other_stamp, key.slot.mark});
  for (const auto& claim : key.pending) stamp = std::max(stamp, claim.stamp);
  return stamp;
}

// --- rows ---------------------------------------------------------------------------------------------------------------------------

std::uint32_t Overlay::shard_of(std::string_view qualified_name) const {
  const auto [ns, bytes] = split_qualified(qualified_name);
  return shards_.of(ns, bytes);
}

// Nothing is known any more of what it held, so no step can be taken on it; whoever has looked at it can delete it.
Error Overlay::damaged_entry(std::string_view name, const Error& damage) const {
  if (damage.code() != ErrorCode::kCorrupted) return damage;
  const auto [ns, bytes] = split_qualified(name);
  return Error(ErrorCode::kCorrupted, fmt::format("what Redis has under {} is damaged: {}",
                                                  entry_name(shards_.head(shards_.of(ns, bytes)), ns, bytes), damage.describe()));
}

Result<Overlay::Row> Overlay::decode(std::string_view name, std::optional<Payload> bytes) const {
  Row row;
  if (bytes) {
    auto entry = decode_entry(*bytes, split_qualified(name).bytes);
    if (!entry) return damaged_entry(name, entry.error());
    row.before = *std::move(entry);
    row.now = row.before;
  }
  row.stored = std::move(bytes);
  return row;
}

Result<void> Overlay::load(const std::vector<std::string>& names) {
  if (names.empty()) return {};
  auto loaded = source_.load_in_pieces(names, deadline_);
  if (!loaded) return std::move(loaded).error();
  ++readings_;
  moments_ += (names.size() + EntrySource::kPieceNames - 1) / EntrySource::kPieceNames;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if ((*loaded)[i]) loaded_bytes_ += (*loaded)[i]->size();
    auto decoded = decode(names[i], std::move((*loaded)[i]));
    if (!decoded) return std::move(decoded).error();
    decoded->read = readings_;
    rows_.insert_or_assign(names[i], *std::move(decoded));
  }
  return {};
}

Result<void> Overlay::preload(std::span<const std::string> names) {
  const auto missing = [&](auto&& wanted) {
    std::vector<std::string> out;
    for (const auto& name : wanted) {
      if (!rows_.contains(name)) out.push_back(name);
    }
    std::ranges::sort(out);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  };
  if (auto loaded = load(missing(names)); !loaded) return loaded;
  std::vector<std::string> claimants;
  for (const auto& name : names) {
    const auto ns = split_qualified(name).ns;
    const auto& entry = rows_.at(name).now;
    if (!entry.key) continue;
    if (entry.key->slot.leads) claimants.push_back(qualified(ns, entry.key->slot.claim_id));
    for (const auto& claim : entry.key->pending) claimants.push_back(qualified(ns, claim.id));
  }
  return load(missing(claimants));
}

Result<Overlay::Row*> Overlay::row(std::string_view ns, std::string_view bytes) {
  auto name = qualified(ns, bytes);
  if (const auto at = rows_.find(name); at != rows_.end()) return &at->second;
  if (assume_absent_) return &rows_.try_emplace(std::move(name)).first->second;
  if (auto loaded = load({name}); !loaded) return std::move(loaded).error();
  return &rows_.at(name);
}

std::uint32_t dictionary_of(const Entry& entry) noexcept {
  return is_live(entry.identity) && entry.identity->codec == BodyCodec::kZstd ? entry.identity->dictionary : 0;
}

Counts Overlay::counts(const Row& row) const {
  const auto count = [](bool before, bool now) { return static_cast<std::int64_t>(now) - static_cast<std::int64_t>(before); };
  const auto key = [](const Entry& entry) { return entry.key && (entry.key->slot.exists || !entry.key->pending.empty()); };
  Counts counts{.records = count(is_live(row.before.identity), is_live(row.now.identity)),
                .tombstones = count(is_tombstone(row.before.identity), is_tombstone(row.now.identity)),
                .keys = count(key(row.before), key(row.now))};
  const auto before = dictionary_of(row.before);
  const auto now = dictionary_of(row.now);
  if (before != now) {
    if (before != 0) --counts.uses[before];
    if (now != 0) ++counts.uses[now];
  }
  return counts;
}

void Overlay::effect(SideEffect::Kind kind, std::string_view ns, std::string_view bytes, std::uint64_t score) {
  effects_.push_back({.kind = kind, .shard = shards_.of(ns, bytes), .name = {}, .member = qualified(ns, bytes), .score = score});
}

// --- what others left undone ----------------------------------------------------------------------------------------------------

// Between two readings a record can come and its claims with it. Whoever judges it by what its keys said before takes from it what it has
// just won, and nobody gives it back: its writer is done. No entry is ever again as it was, so what is the same now was so all the time.
Result<void> Overlay::see_keys_after(std::string_view ns, std::string_view id) {
  if (!careful_) return {};
  auto keys = current_keys(ns, id);
  if (!keys) return std::move(keys).error();
  const auto own = qualified(ns, id);
  const auto read = rows_.at(own).read;
  std::vector<std::string> older;
  for (const auto& key : *keys) {
    auto name = qualified(ns, key);
    const auto at = rows_.find(name);
    if (name != own && at != rows_.end() && at->second.read <= read) older.push_back(std::move(name));
  }
  return look_again(older);
}

// The other way round: a key can be read when the record that it leads to has come or moved on, and the record before. Whoever writes the
// key then says that it leads nowhere, and nobody mends that.
Result<void> Overlay::see_record_after(std::string_view ns, std::string_view id, std::string_view key) {
  if (!careful_ || id == key) return {};
  auto name = qualified(ns, id);
  return rows_.at(name).read <= rows_.at(qualified(ns, key)).read ? look_again({std::move(name)}) : Result<void>();
}

Result<void> Overlay::look_again(const std::vector<std::string>& names) {
  if (names.empty()) return {};
  const auto again = source_.load_in_pieces(names, deadline_);
  if (!again) return again.error();
  ++readings_;
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto& row = rows_.at(names[i]);
    const auto& now = (*again)[i];
    const bool same = now.has_value() == row.stored.has_value() && (!now || now->view() == row.stored->view());
    mixed_ = mixed_ || !same;
    row.read = readings_;
  }
  return {};
}

// Whether the record of a claim that was written ahead has come.
Result<bool> Overlay::reached(std::string_view ns, const PendingClaim& claim) {
  auto record = row(ns, claim.id);
  if (!record) return std::move(record).error();
  const auto& identity = (*record)->now.identity;
  if (!identity || identity->slot.state == IdentitySlot::State::kAbsent) return false;
  return claim.conditional ? identity->slot.stamp == claim.stamp : identity->reach >= claim.stamp;
}

Result<bool> Overlay::lists(std::string_view ns, std::string_view id, std::string_view key) {
  auto record = row(ns, id);
  if (!record) return std::move(record).error();
  const auto& identity = (*record)->now.identity;
  Result<bool> listed = is_live(identity) && identity->lost_keys.contains(key) ? Result<bool>(false) : lists_or_lost(ns, id, key);
  if (!listed || *listed) return listed;
  if (auto seen = see_record_after(ns, id, key); !seen) return std::move(seen).error();
  return false;
}

Result<bool> Overlay::lists_or_lost(std::string_view ns, std::string_view id, std::string_view key) {
  auto record = row(ns, id);
  if (!record) return std::move(record).error();
  const auto& identity = (*record)->now.identity;
  if (!is_live(identity)) return false;
  auto encoded = readable_body(*identity);
  if (!encoded) return std::move(encoded).error();
  if (!*encoded) return true;  // it may, and nobody takes from it what cannot be known
  auto command = decode_command(**encoded);
  if (!command) return std::move(command).error();
  return command->keys.contains(key);
}

Result<std::vector<std::string>> Overlay::current_keys(std::string_view ns, std::string_view id) {
  auto record = row(ns, id);
  if (!record) return std::move(record).error();
  const auto& identity = (*record)->now.identity;
  if (!is_live(identity)) return std::vector<std::string>();
  auto encoded = readable_body(*identity);
  if (!encoded) return std::move(encoded).error();
  if (!*encoded) return std::vector<std::string>();
  auto command = decode_command(**encoded);
  if (!command) return std::move(command).error();
  return strings(command->keys);
}

// A record that nobody can read must still be replaced, erased and evicted. That its dictionary was replaced only a moment ago, and its
// entry with it, is no danger: what is written is checked against the entry that was read.
Result<std::optional<Payload>> Overlay::readable_body(const IdentityPart& identity) {
  auto body = coder_.load(identity, deadline_);
  if (body) {
    const auto command = decode_command(*body);
    if (!command && command.error().code() == ErrorCode::kCorrupted) return std::optional<Payload>();
    return std::optional(*std::move(body));
  }
  if (body.error().code() == ErrorCode::kCorrupted || is_without_dictionary(body.error())) return std::optional<Payload>();
  return std::move(body).error();
}

Result<void> Overlay::settle_pending(std::string_view ns, const std::vector<std::string>& keys) {
  for (const auto& key : keys) {
    auto found = row(ns, key);
    if (!found) return std::move(found).error();
    if (!(*found)->now.key) continue;
    const auto pending = (*found)->now.key->pending;  // a copy: adopting changes it
    for (const auto& claim : pending) {
      const bool own = claim.id == self_ && claim.stamp == self_stamp_;
      if (!own) rivals_.insert(qualified(ns, claim.id));
      auto has_come = reached(ns, claim);
      if (!has_come) return std::move(has_come).error();
      if (!*has_come) continue;
      if (auto& part = *(*found)->now.key; part.slot.claim_stamp == 0 || part.slot.claim_id == claim.id) {
        // It takes the key from nobody.
        auto listed = lists(ns, claim.id, key);
        if (!listed) return std::move(listed).error();
        part.slot = claimed(part.slot, claim.id, claim.stamp);
        part.slot.leads = *listed;
        std::erase(part.pending, claim);
        edit(**found);
        continue;
      }
      if (own) continue;
      if (auto seen = see_keys_after(ns, claim.id); !seen) return seen;
      const auto self = std::exchange(self_, claim.id);
      const auto self_stamp = std::exchange(self_stamp_, claim.stamp);
      // Under its other keys the record's claims count as they did.
      self_key_ = key;
      auto adopted = adopt_claim(*this, ns, key, claim.id, claim.stamp);
      // Where the claim changed nothing the model did not write the key.
      if (adopted && (*found)->now.key && std::erase(edit(**found).now.key->pending, claim) > 0) (*found)->now.key->slot.exists = true;
      self_ = self;
      self_stamp_ = self_stamp;
      self_key_.reset();
      if (!adopted) return adopted;
    }
  }
  return {};
}

Result<void> Overlay::touch(std::string_view ns, std::string_view id) {
  auto record = row(ns, id);
  if (!record) return std::move(record).error();
  auto& changed = edit(**record);
  changed.identity_changed = true;
  if (!changed.now.identity) {
    changed.now.identity.emplace();
    effect(SideEffect::Kind::kGarbage, ns, id, 0);
  }
  touched_.insert(qualified(ns, id));
  return {};
}

Result<void> Overlay::drop_pending(const std::string& name, const PendingClaim& claim) {
  const auto [ns, bytes] = split_qualified(name);
  auto found = row(ns, bytes);
  if (!found) return std::move(found).error();
  auto& key = (*found)->now.key;
  if (!key || std::erase_if(key->pending, [&](const auto& one) { return one.id == claim.id && one.stamp == claim.stamp; }) == 0) return {};
  auto& now = edit(**found).now;
  if (!key->slot.exists && key->pending.empty() && key->silent_listers.empty()) now.key.reset();
  return {};
}

void Overlay::discard() {
  for (auto& [name, row] : rows_) {
    row.now = row.before;
    row.changed = row.identity_changed = false;
  }
  effects_.clear();
  touched_.clear();
  leaving_.clear();
  displaced_.clear();
}

Result<void> Overlay::mark(std::string_view ns, std::string_view key, Stamp stamp) {
  auto found = row(ns, key);
  if (!found) return std::move(found).error();
  auto& now = edit(**found).now;
  if (!now.key) now.key.emplace();
  now.key->slot.exists = true;
  now.key->slot.mark = std::max(now.key->slot.mark, stamp);
  if (!now.key->slot.leads) effect(SideEffect::Kind::kGarbage, ns, key, remembered_for(*now.key));
  return {};
}

Result<void> Overlay::raise_reach(std::string_view ns, std::string_view id, Stamp stamp) {
  auto found = row(ns, id);
  if (!found) return std::move(found).error();
  auto& identity = (*found)->now.identity;
  if (!identity || identity->slot.state == IdentitySlot::State::kAbsent || identity->reach >= stamp) return {};
  edit(**found).identity_changed = true;
  identity->reach = stamp;
  return {};
}

Result<ApplyResult> Overlay::apply(const ApplyEntry& entry, const ApplyContext& context) {
  const auto& c = entry.command;
  if (!assume_absent_) {
    self_ = c.id;
    self_stamp_ = entry.stamp;
    auto keys = strings(c.keys);
    if (c.kind != CommandKind::kEraseKey) {
      auto current = current_keys(c.ns, c.id);
      if (!current) return std::move(current).error();
      keys.insert(keys.end(), current->begin(), current->end());
    }
    if (auto settled = settle_pending(c.ns, keys); !settled) return std::move(settled).error();
  }
  auto applied = apply_command(*this, entry, context);
  // What is written is checked with it; what was refused would not be.
  if (!applied || applied->outcome != Outcome::kApplied) doubt();
  return applied;
}

Result<void> Overlay::reconcile(std::string_view ns, std::string_view id) {
  auto found = row(ns, id);
  if (!found) return std::move(found).error();
  if (auto seen = see_keys_after(ns, id); !seen) return seen;
  const auto& identity = (*found)->now.identity;
  const auto says_lost = identity ? identity->lost_keys : KeyList();  // a copy: what it says may be written anew
  return reconcile_record(*this, ns, id, says_lost);
}

Result<void> Overlay::tell_displaced() {
  while (!displaced_.empty()) {
    const auto name = std::move(displaced_.extract(displaced_.begin()).value());
    const auto [ns, id] = split_qualified(name);
    if (auto told = reconcile(ns, id); !told) return told;
  }
  return {};
}

Result<void> Overlay::tidy(std::string_view ns, std::string_view key) {
  if (!careful_) return {};
  auto found = row(ns, key);
  if (!found) return std::move(found).error();
  if (!(*found)->now.key) return {};
  const auto listers = (*found)->now.key->silent_listers;  // a copy: it changes
  for (const auto& id : listers) {
    auto listed = lists_or_lost(ns, id, key);
    if (!listed) return std::move(listed).error();
    if (*listed) continue;
    if (auto seen = see_record_after(ns, id, key); !seen) return seen;
    if (auto dropped = set_silent_lister(ns, key, id, false); !dropped) return dropped;
  }
  auto& part = *(*found)->now.key;
  if (!part.slot.leads || !part.pending.empty()) return {};
  auto slot = load_key(ns, key);
  if (!slot) return std::move(slot).error();
  return slot->leads ? Result<void>() : store_key(ns, key, part.slot, *slot, nullptr);
}

// --- forgetting -----------------------------------------------------------------------------------------------------------------

Result<bool> Overlay::forget(std::string_view ns, std::string_view bytes, Stamp floor, std::string_view score) {
  auto found = row(ns, bytes);
  if (!found) return std::move(found).error();
  auto& entry = **found;
  bool forgotten = false;
  if (const auto& identity = entry.now.identity; identity && !is_live(identity)) {
    const auto& slot = identity->slot;
    if (std::max({slot.stamp, slot.touch_stamp, identity->reach}) < floor) {
      edit(entry).now.identity.reset();
      entry.identity_changed = true;
      forgotten = true;
    }
  }
  if (entry.now.key && remembered_for(*entry.now.key) < floor) {
    if (auto tidied = tidy(ns, bytes); !tidied) return std::move(tidied).error();
    auto slot = load_key(ns, bytes);
    if (!slot) return std::move(slot).error();
    if (!slot->leads && entry.now.key->silent_listers.empty()) {
      edit(entry).now.key.reset();
      forgotten = true;
    }
  }
  // In the same step: what makes it possible to forget it later than this look notes it anew.
  const auto name = qualified(ns, bytes);
  std::erase_if(effects_, [&](const auto& effect) { return effect.kind == SideEffect::Kind::kGarbage && effect.member == name; });
  effects_.push_back({.kind = SideEffect::Kind::kNotGarbage, .shard = shards_.of(ns, bytes), .name = std::string(score), .member = name});
  return forgotten;
}

}  // namespace setget::inline v0::redis
