#include "redis/store_overlay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <utility>

#include "core/varint.hpp"
#include "redis/store_names.hpp"
#include "redis/store_outbox.hpp"

namespace setget::inline v0::redis {
namespace {

using setget::detail::ByteReader;
using setget::detail::put_varint;
using State = IdentitySlot::State;

constexpr char kLogFormat = 1;

std::vector<std::string> strings(const KeyList& keys) {
  std::vector<std::string> out;
  out.reserve(keys.size());
  for (const auto key : keys) out.emplace_back(key);
  return out;
}

bool live(const std::optional<IdentityPart>& identity) { return identity && identity->slot.state == State::kLive; }
bool tombstone(const std::optional<IdentityPart>& identity) { return identity && identity->slot.state == State::kTombstone; }

Stamp remembered_for(const KeyPart& key) {
  auto stamp = std::max({key.slot.claim_stamp, key.slot.other_stamp, key.slot.mark});
  for (const auto& claim : key.pending) stamp = std::max(stamp, claim.stamp);
  return stamp;
}

}  // namespace

// --- rows ---------------------------------------------------------------------------------------------------------------------------

std::uint32_t Overlay::shard_of(std::string_view qualified_name) const {
  const auto [ns, bytes] = split_qualified(qualified_name);
  return shards_.of(ns, bytes);
}

Result<Overlay::Row> Overlay::decode(std::string_view name, std::optional<Payload> bytes) const {
  Row row;
  if (bytes) {
    auto entry = decode_entry(*bytes, split_qualified(name).bytes);
    if (!entry) return std::move(entry).error();
    row.before = *std::move(entry);
    row.now = row.before;
  }
  row.stored = std::move(bytes);
  return row;
}

Result<void> Overlay::load(const std::vector<std::string>& names) {
  if (names.empty()) return {};
  auto loaded = source_.load_entries(names, deadline_);
  if (!loaded) return std::move(loaded).error();
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto decoded = decode(names[i], std::move((*loaded)[i]));
    if (!decoded) return std::move(decoded).error();
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
  return live(entry.identity) && entry.identity->codec == BodyCodec::kZstd ? entry.identity->dictionary : 0;
}

Counts Overlay::counts(const Row& row) const {
  const auto count = [](bool before, bool now) { return static_cast<std::int64_t>(now) - static_cast<std::int64_t>(before); };
  const auto key = [](const Entry& entry) { return entry.key && (entry.key->slot.exists || !entry.key->pending.empty()); };
  Counts counts{.records = count(live(row.before.identity), live(row.now.identity)),
                .tombstones = count(tombstone(row.before.identity), tombstone(row.now.identity)),
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

// Whether the record of a claim that was written ahead has come.
Result<bool> Overlay::reached(std::string_view ns, const PendingClaim& claim) {
  auto record = row(ns, claim.id);
  if (!record) return std::move(record).error();
  const auto& identity = (*record)->now.identity;
  if (!identity || identity->slot.state == State::kAbsent) return false;
  return claim.conditional ? identity->slot.stamp == claim.stamp : identity->reach >= claim.stamp;
}

Result<bool> Overlay::lists(std::string_view ns, std::string_view id, std::string_view key) {
  auto record = row(ns, id);
  if (!record) return std::move(record).error();
  const auto& identity = (*record)->now.identity;
  if (live(identity) && identity->lost_keys.contains(key)) return false;
  return lists_or_lost(ns, id, key);
}

Result<bool> Overlay::lists_or_lost(std::string_view ns, std::string_view id, std::string_view key) {
  auto record = row(ns, id);
  if (!record) return std::move(record).error();
  const auto& identity = (*record)->now.identity;
  if (!live(identity)) return false;
  auto encoded = coder_.load(*identity, deadline_);
  if (!encoded) return std::move(encoded).error();
  auto command = decode_command(*encoded);
  if (!command) return std::move(command).error();
  return command->keys.contains(key);
}

Result<std::vector<std::string>> Overlay::current_keys(std::string_view ns, std::string_view id) {
  auto record = row(ns, id);
  if (!record) return std::move(record).error();
  const auto& identity = (*record)->now.identity;
  if (!live(identity)) return std::vector<std::string>();
  auto encoded = coder_.load(*identity, deadline_);
  if (!encoded) return std::move(encoded).error();
  auto command = decode_command(*encoded);
  if (!command) return std::move(command).error();
  return strings(command->keys);
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
  if (!identity || identity->slot.state == State::kAbsent || identity->reach >= stamp) return {};
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

// --- ModelTransaction -----------------------------------------------------------------------------------------------------------

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
  if (!live(identity)) return Error(ErrorCode::kInternal, "the body of a record that is not there");
  return coder_.load(*identity, deadline_);
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

Result<void> Overlay::store_record(const ApplyEntry& entry, const IdentitySlot&, IdentitySlot& slot) {
  const auto& c = entry.command;
  auto found = row(c.ns, c.id);
  if (!found) return std::move(found).error();
  auto& changed = edit(**found);
  changed.identity_changed = true;
  if (!changed.now.identity) changed.now.identity.emplace();
  auto& identity = *changed.now.identity;
  if (history_at_ && entry.history && !identity.history && identity.slot.state == State::kLive) {
    // Its history begins with what was there; of another flow only that it was.
    auto body = coder_.load(identity, deadline_);
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
  expire_later(c.ns, c.id, slot, time_of(slot.stamp));
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
  auto& changed = edit(**found);
  changed.identity_changed = true;
  if (!changed.now.identity) changed.now.identity.emplace();
  auto& identity = *changed.now.identity;
  identity.slot = slot;
  identity.reach = std::max(identity.reach, slot.stamp);
  if (lost_keys != nullptr) identity.lost_keys = *lost_keys;
  if (slot.state == State::kLive) {
    if (before.expires_at != slot.expires_at) expire_later(ns, id, slot, time_of(slot.stamp));
  } else {
    effect(SideEffect::Kind::kGarbage, ns, id, std::max(slot.stamp, slot.touch_stamp));
  }
  return {};
}

Result<void> Overlay::store_tombstone(std::string_view ns, std::string_view id, const IdentitySlot&, const IdentitySlot& slot) {
  auto found = row(ns, id);
  if (!found) return std::move(found).error();
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
  // writes the entry in between must keep it as one that lists the key: an erase of the key ends it.
  if (part.slot.leads && part.slot.claim_id != slot.claim_id) {
    auto listed = lists_or_lost(ns, part.slot.claim_id, key);
    if (!listed) return std::move(listed).error();
    if (*listed) {
      if (auto kept = set_silent_lister(ns, key, part.slot.claim_id, true); !kept) return kept;
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
                                                 .tombstone = slot.state != State::kLive,
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
  if (slot.state == State::kLive) {
    auto loaded = coder_.load(identity, deadline_);
    if (!loaded) return std::move(loaded).error();
    body = *std::move(loaded);
    state.meta.stamp = slot.stamp;
    state.meta.expires_at = slot.expires_at;
    state.meta.ttl_rule = slot.ttl_rule;
    state.meta.lost_keys = identity.lost_keys;
  } else {
    state.kind = HistoryState::Kind::kTombstone;
    state.reason = slot.reason;
  }
  if (left && slot.state == State::kLive) {
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
  if (!live(known) || known->history || known->slot.version != request.version) return false;
  auto& changed = edit(**found);
  changed.identity_changed = true;
  auto& identity = *changed.now.identity;
  identity.history = true;
  if (auto kept = keep_state(qualified(request.ns, request.id), identity, time_of(identity.slot.stamp), false); !kept) {
    return std::move(kept).error();
  }
  return true;
}

// --- forgetting -----------------------------------------------------------------------------------------------------------------

Result<bool> Overlay::forget(std::string_view ns, std::string_view bytes, Stamp floor) {
  auto found = row(ns, bytes);
  if (!found) return std::move(found).error();
  auto& entry = **found;
  bool forgotten = false;
  if (const auto& identity = entry.now.identity; identity && !live(identity)) {
    const auto& slot = identity->slot;
    if (std::max({slot.stamp, slot.touch_stamp, identity->reach}) < floor) {
      edit(entry).now.identity.reset();
      entry.identity_changed = true;
      forgotten = true;
    }
  }
  if (entry.now.key && remembered_for(*entry.now.key) < floor && entry.now.key->silent_listers.empty()) {
    auto slot = load_key(ns, bytes);
    if (!slot) return std::move(slot).error();
    if (!slot->leads) {
      edit(entry).now.key.reset();
      forgotten = true;
    }
  }
  return forgotten;
}

// --- forms ----------------------------------------------------------------------------------------------------------------------

BucketNumber bucket_number(TimePoint at, TimePoint now) noexcept {
  const auto life = static_cast<std::uint64_t>(std::clamp<std::int64_t>((at - now).count() / 64, 1000, std::int64_t{1} << 40));
  const unsigned width = static_cast<unsigned>(std::bit_width(life)) - 1;
  const auto ms = at.time_since_epoch().count();
  return {.width = width, .number = (ms < 0 ? 0 : ms) >> width};
}

Bucket bucket_of(BucketNumber bucket) {
  return {.name = fmt::format("x:{}.{}", bucket.width, bucket.number),
          .first = TimePoint(Milliseconds(bucket.number << bucket.width)),
          .end = TimePoint(Milliseconds((bucket.number + 1) << bucket.width))};
}

std::optional<Bucket> parse_bucket(std::string_view name) {
  if (!name.starts_with("x:")) return std::nullopt;
  unsigned width = 0;
  std::int64_t number = 0;
  const auto* end = name.data() + name.size();
  auto [dot, failed] = std::from_chars(name.data() + 2, end, width);
  if (failed != std::errc() || dot == end || *dot != '.' || width > 60) return std::nullopt;
  auto [last, bad] = std::from_chars(dot + 1, end, number);
  if (bad != std::errc() || last != end) return std::nullopt;
  return bucket_of({.width = width, .number = number});
}

std::string encode_log_line(const LogLine& line) {
  std::string out;
  encode_log_line_head(out, line);
  out.append(line.name);
  return out;
}

void encode_log_line_head(std::string& out, const LogLine& line) {
  out.push_back(kLogFormat);
  put_varint(out, line.version);
  put_varint(out, line.revision);
  put_varint(out, line.stamp);
  out.push_back(static_cast<char>(line.tombstone ? static_cast<std::uint8_t>(line.reason) : 0));
}

std::optional<LogLine> decode_log_line(std::string_view bytes) {
  ByteReader in(bytes);
  if (in.byte() != static_cast<std::uint8_t>(kLogFormat)) return std::nullopt;
  const auto version = in.varint();
  const auto revision = in.varint();
  const auto stamp = in.varint();
  const auto reason = in.byte();
  if (!version || !revision || !stamp || !reason || *reason > static_cast<std::uint8_t>(TombstoneReason::kExpired)) return std::nullopt;
  return LogLine{.version = *version,
                 .revision = *revision,
                 .stamp = *stamp,
                 .tombstone = *reason != 0,
                 .reason = static_cast<TombstoneReason>(*reason == 0 ? 1 : *reason),
                 .name = bytes.substr(in.position())};
}

std::string index_member(std::string_view ns, std::string_view id) {
  const auto hash = identity_hash(ns, id);
  std::string out;
  out.reserve(8 + id.size());
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(hash >> shift & 0xff));
  out.append(id);
  return out;
}

}  // namespace setget::inline v0::redis
