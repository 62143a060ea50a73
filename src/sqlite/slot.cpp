#include "sqlite/slot.hpp"

#include "core/varint.hpp"
#include "sqlite/archive_codec.hpp"
#include "sqlite/book.hpp"
#include "sqlite/codec.hpp"

namespace setget::inline v0::sqlite {

namespace {

using detail::ByteReader;
using detail::put_bytes;
using detail::put_varint;

constexpr char kFormat = 1;

template <class T>
T need(std::optional<T> value, std::string_view what) {
  if (!value) throw_damaged(what);
  return *value;
}

std::uint64_t ms_of(TimePoint time) { return static_cast<std::uint64_t>(time.time_since_epoch().count()); }
TimePoint time_from(std::uint64_t ms) { return TimePoint(Milliseconds(static_cast<std::int64_t>(ms))); }

Stamp implied_stamp(std::int64_t row) noexcept { return row > 0 ? static_cast<Stamp>(row) : 0; }

enum IdentFlag : std::uint64_t {
  kTombstone = 1,
  kOnlyTouched = 2,
  kVersion = 4,
  kRevision = 8,
  kStamp = 16,
  kExpires = 32,
  kRule = 64,
  kTouch = 128,
  kTouchExpires = 256,
  kLost = 512,
  kListed = 1024,
  kHistory = 2048,
  // Its bytes stand last: versions that do not know it read past it.
  kContent = 4096,
};

enum KeyFlag : std::uint64_t { kClaimStamp = 1, kClaimId = 2, kOther = 4, kMark = 8, kKeyExpires = 16, kKeyRule = 32, kNotPlain = 64 };

std::uint64_t zigzag(std::int64_t value) noexcept {
  return static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63);
}
std::int64_t unzigzag(std::uint64_t value) noexcept { return static_cast<std::int64_t>((value >> 1) ^ (~(value & 1) + 1)); }

}  // namespace

std::string qualified(std::string_view ns, std::string_view name) {
  std::string text;
  text.reserve(ns.size() + 1 + name.size());
  text.append(ns).push_back(kNamespaceEnd);
  text.append(name);
  return text;
}

Qualified split_qualified(std::string_view text) {
  const auto end = text.find(kNamespaceEnd);
  if (end == std::string_view::npos) throw_damaged("a name without its namespace");
  return {.ns = text.substr(0, end), .name = text.substr(end + 1)};
}

bool is_plain(const IdentitySlot& slot, const KeyList& lost_keys) noexcept {
  const auto implied = implied_stamp(row_of(slot));
  return slot.version == implied && slot.stamp == implied && slot.revision == 0 && lost_keys.empty();
}

std::optional<std::string> encode_ident(const IdentRow& ident) {
  const auto& slot = ident.slot;
  const bool live = slot.state == IdentitySlot::State::kLive;
  const auto implied = live ? implied_stamp(row_of(slot)) : 0;
  std::uint64_t flags = 0;
  if (slot.state == IdentitySlot::State::kTombstone) flags |= kTombstone;
  if (slot.state == IdentitySlot::State::kAbsent) flags |= kOnlyTouched;
  if (slot.version != implied) flags |= kVersion;
  if (slot.revision != 0) flags |= kRevision;
  if (slot.stamp != implied) flags |= kStamp;
  if (slot.expires_at) flags |= kExpires;
  if (slot.ttl_rule != TtlRule::kDefault) flags |= kRule;
  if (slot.touch_stamp != 0) flags |= kTouch;
  if (slot.touch_expires_at) flags |= kTouchExpires;
  if (!ident.lost_keys.empty()) flags |= kLost;
  if (ident.listed) flags |= kListed;
  if (ident.history) flags |= kHistory;
  if (ident.content) flags |= kContent;
  if (flags == 0) return std::nullopt;

  std::string out(1, kFormat);
  put_varint(out, flags);
  if ((flags & kTombstone) != 0) {
    out.push_back(static_cast<char>(slot.reason));
    put_varint(out, slot.digest.high);
    put_varint(out, slot.digest.low);
  }
  if ((flags & kVersion) != 0) put_varint(out, slot.version);
  if ((flags & kRevision) != 0) put_varint(out, slot.revision);
  if ((flags & kStamp) != 0) put_varint(out, slot.stamp);
  if ((flags & kExpires) != 0) put_varint(out, ms_of(*slot.expires_at));
  if ((flags & kRule) != 0) out.push_back(static_cast<char>(slot.ttl_rule));
  if ((flags & kTouch) != 0) put_varint(out, slot.touch_stamp);
  if ((flags & kTouchExpires) != 0) put_varint(out, ms_of(*slot.touch_expires_at));
  if ((flags & kLost) != 0) {
    put_varint(out, ident.lost_keys.size());
    put_bytes(out, ident.lost_keys.packed().view());
  }
  if (ident.content) out.append(encode_digest(*ident.content));
  return out;
}

IdentRow decode_ident(std::optional<std::int64_t> row, std::string_view more) {
  constexpr std::string_view what = "an identity";
  IdentRow ident;
  auto& slot = ident.slot;
  slot.state = IdentitySlot::State::kLive;
  slot.handle = static_cast<std::uint64_t>(row.value_or(0));
  slot.version = slot.stamp = row ? implied_stamp(*row) : 0;
  if (more.empty()) {
    if (!row) throw_damaged(what);
    return ident;
  }
  ByteReader reader(more);
  if (reader.byte() != kFormat) throw_damaged(what);
  const auto flags = need(reader.varint(), what);
  if ((flags & kOnlyTouched) != 0) slot.state = IdentitySlot::State::kAbsent;
  if ((flags & kTombstone) != 0) {
    slot.state = IdentitySlot::State::kTombstone;
    slot.reason = static_cast<TombstoneReason>(need(reader.byte(), what));
    slot.digest.high = need(reader.varint(), what);
    slot.digest.low = need(reader.varint(), what);
  }
  if ((flags & kVersion) != 0) slot.version = need(reader.varint(), what);
  if ((flags & kRevision) != 0) slot.revision = need(reader.varint(), what);
  if ((flags & kStamp) != 0) slot.stamp = need(reader.varint(), what);
  if ((flags & kExpires) != 0) slot.expires_at = time_from(need(reader.varint(), what));
  if ((flags & kRule) != 0) slot.ttl_rule = static_cast<TtlRule>(need(reader.byte(), what));
  if ((flags & kTouch) != 0) slot.touch_stamp = need(reader.varint(), what);
  if ((flags & kTouchExpires) != 0) slot.touch_expires_at = time_from(need(reader.varint(), what));
  if ((flags & kLost) != 0) {
    const auto count = need(reader.varint(), what);
    auto lost = unpack_keys(need(reader.sized_bytes(), what));
    if (!lost || lost->size() != count) throw_damaged(what);
    ident.lost_keys = *std::move(lost);
  }
  if ((flags & kContent) != 0) ident.content = need(decode_digest(need(reader.bytes(kDigestBytes), what)), what);
  ident.listed = (flags & kListed) != 0;
  ident.history = (flags & kHistory) != 0;
  if (slot.state == IdentitySlot::State::kLive && !row) throw_damaged(what);
  return ident;
}

std::optional<std::string> encode_key(const KeyRow& key) {
  std::uint64_t flags = 0;
  if (key.claim_stamp) flags |= kClaimStamp;
  if (key.claim_id) flags |= kClaimId;
  if (key.other_stamp != 0) flags |= kOther;
  if (key.mark != 0) flags |= kMark;
  if (key.expires_at) flags |= kKeyExpires;
  if (key.ttl_rule != TtlRule::kDefault) flags |= kKeyRule;
  if (!key.plain) flags |= kNotPlain;
  if (flags == 0) return std::nullopt;
  std::string out(1, kFormat);
  put_varint(out, flags);
  if (key.claim_stamp) put_varint(out, *key.claim_stamp);
  if (key.claim_id) put_bytes(out, *key.claim_id);
  if (key.other_stamp != 0) {
    put_varint(out, key.other_stamp);
    put_bytes(out, key.other_id);
  }
  if (key.mark != 0) put_varint(out, key.mark);
  if (key.expires_at) put_varint(out, ms_of(*key.expires_at));
  if ((flags & kKeyRule) != 0) out.push_back(static_cast<char>(key.ttl_rule));
  return out;
}

KeyRow decode_key(std::optional<std::int64_t> row, std::string_view more) {
  constexpr std::string_view what = "a key";
  KeyRow key;
  key.row = row;
  if (more.empty()) return key;
  ByteReader reader(more);
  if (reader.byte() != kFormat) throw_damaged(what);
  const auto flags = need(reader.varint(), what);
  if ((flags & kClaimStamp) != 0) key.claim_stamp = need(reader.varint(), what);
  if ((flags & kClaimId) != 0) key.claim_id = need(reader.sized_bytes(), what);
  if ((flags & kOther) != 0) {
    key.other_stamp = need(reader.varint(), what);
    key.other_id = need(reader.sized_bytes(), what);
  }
  if ((flags & kMark) != 0) key.mark = need(reader.varint(), what);
  if ((flags & kKeyExpires) != 0) key.expires_at = time_from(need(reader.varint(), what));
  if ((flags & kKeyRule) != 0) key.ttl_rule = static_cast<TtlRule>(need(reader.byte(), what));
  key.plain = (flags & kNotPlain) == 0;
  return key;
}

std::string encode_change(const ChangeEntry& entry) {
  std::string out;
  if (entry.tombstone) {
    out.push_back(2);
    put_bytes(out, entry.nsid);
    put_varint(out, entry.version);
    put_varint(out, entry.revision);
    out.push_back(static_cast<char>(entry.reason));
  } else if (entry.revision == 0) {
    out.push_back(0);
    put_varint(out, zigzag(entry.row));
  } else {
    out.push_back(1);
    put_varint(out, zigzag(entry.row));
    put_varint(out, entry.revision);
  }
  return out;
}

std::optional<ChangeEntry> ChangeEntries::next() {
  constexpr std::string_view what = "the change log";
  if (bytes_.empty()) return std::nullopt;
  ByteReader reader(bytes_);
  ChangeEntry entry;
  const auto kind = need(reader.byte(), what);
  if (kind > 2) throw_damaged(what);
  if (kind == 2) {
    entry.tombstone = true;
    entry.nsid = need(reader.sized_bytes(), what);
    entry.version = need(reader.varint(), what);
    entry.revision = need(reader.varint(), what);
    entry.reason = static_cast<TombstoneReason>(need(reader.byte(), what));
  } else {
    entry.row = unzigzag(need(reader.varint(), what));
    if (kind == 1) entry.revision = need(reader.varint(), what);
  }
  bytes_.remove_prefix(reader.position());
  return entry;
}

}  // namespace setget::inline v0::sqlite
