#include "redis/store_entry.hpp"

#include <fmt/format.h>

#include "core/varint.hpp"

namespace setget::inline v0::redis {
namespace {

using setget::detail::ByteReader;
using setget::detail::put_bytes;
using setget::detail::put_varint;
using State = IdentitySlot::State;

constexpr char kEntryFormat = 1;
constexpr char kNoFormat = 16;  // from here on: a newer version would have to refuse this one at the door, so it is no entry

// The byte behind the format: which parts follow.
// kOwnKey: the key of this name leads to this very record and nothing else is known of it, so that the key part need not be written.
enum PartFlag : std::uint8_t { kHasIdentity = 1, kHasKey = 2, kOwnKey = 4 };

enum IdentityFlag : std::uint64_t {
  kLive = 1,
  kTombstone = 2,  // or, beside kLive, that a digest is there: who does not know that reads past it as it does for tombstones
  kStampIsVersion = 4,
  kRevision = 8,
  kExpires = 16,
  kRule = 32,
  kTouch = 64,
  kTouchExpires = 128,
  kReach = 256,
  kLost = 512,
  kIndex = 1024,
  kCodec = 2048,
  kHistory = 4096,
};

enum KeyFlag : std::uint64_t { kClaim = 1, kOther = 2, kMark = 4, kLeads = 8, kPending = 16, kSilent = 32, kExists = 64 };
// The number of the write stands above the flags, and some room for more of them: who does not know it reads past it.
constexpr unsigned kWritesShift = 10;

std::uint64_t ms_of(TimePoint time) { return static_cast<std::uint64_t>(time.time_since_epoch().count()); }
TimePoint time_from(std::uint64_t ms) { return TimePoint(Milliseconds(static_cast<std::int64_t>(ms))); }

void put_identity(std::string& out, const IdentityPart& identity) {
  const auto& slot = identity.slot;
  std::uint64_t flags = 0;
  if (slot.state == State::kLive) flags |= kLive;
  const bool content = slot.state == State::kLive && identity.content;
  if (slot.state == State::kTombstone || content) flags |= kTombstone;
  if (slot.stamp == slot.version) flags |= kStampIsVersion;
  if (slot.revision != 0) flags |= kRevision;
  if (slot.expires_at) flags |= kExpires;
  if (slot.ttl_rule != TtlRule::kDefault) flags |= kRule;
  if (slot.touch_stamp != 0) flags |= kTouch;
  if (slot.touch_expires_at) flags |= kTouchExpires;
  if (identity.reach != slot.stamp) flags |= kReach;
  if (!identity.lost_keys.empty()) flags |= kLost;
  if (identity.index) flags |= kIndex;
  if (identity.codec != BodyCodec::kNone) flags |= kCodec;
  if (identity.history) flags |= kHistory;
  put_varint(out, flags);
  put_varint(out, slot.version);
  if ((flags & kStampIsVersion) == 0) put_varint(out, slot.stamp);
  if ((flags & kRevision) != 0) put_varint(out, slot.revision);
  if ((flags & kExpires) != 0) put_varint(out, ms_of(*slot.expires_at));
  if ((flags & kRule) != 0) out.push_back(static_cast<char>(slot.ttl_rule));
  if ((flags & kTouch) != 0) put_varint(out, slot.touch_stamp);
  if ((flags & kTouchExpires) != 0) put_varint(out, ms_of(*slot.touch_expires_at));
  if ((flags & kTombstone) != 0) {
    const auto& digest = content ? *identity.content : slot.digest;
    out.push_back(static_cast<char>(slot.reason));
    put_varint(out, digest.high);
    put_varint(out, digest.low);
  }
  if ((flags & kReach) != 0) put_varint(out, identity.reach);
  if ((flags & kLost) != 0) {
    put_varint(out, identity.lost_keys.size());
    put_bytes(out, identity.lost_keys.packed().view());
  }
  if ((flags & kIndex) != 0) put_bytes(out, *identity.index);
  if ((flags & kCodec) != 0) {
    out.push_back(static_cast<char>(identity.codec));
    put_varint(out, identity.dictionary);
  }
}

void put_key(std::string& out, const KeyPart& key, std::uint64_t writes) {
  const auto& slot = key.slot;
  std::uint64_t flags = writes << kWritesShift;
  if (slot.exists) flags |= kExists;
  if (slot.claim_stamp != 0) flags |= kClaim;
  if (slot.other_stamp != 0) flags |= kOther;
  if (slot.mark != 0) flags |= kMark;
  if (slot.leads) flags |= kLeads;
  if (!key.pending.empty()) flags |= kPending;
  if (!key.silent_listers.empty()) flags |= kSilent;
  put_varint(out, flags);
  if ((flags & kClaim) != 0) {
    put_varint(out, slot.claim_stamp);
    put_bytes(out, slot.claim_id);
  }
  if ((flags & kOther) != 0) {
    put_varint(out, slot.other_stamp);
    put_bytes(out, slot.other_id);
  }
  if ((flags & kMark) != 0) put_varint(out, slot.mark);
  if ((flags & kPending) != 0) {
    put_varint(out, key.pending.size());
    for (const auto& claim : key.pending) {
      put_varint(out, claim.stamp << 1 | (claim.conditional ? 1 : 0));
      put_bytes(out, claim.id);
    }
  }
  if ((flags & kSilent) != 0) {
    put_varint(out, key.silent_listers.size());
    for (const auto& id : key.silent_listers) put_bytes(out, id);
  }
}

bool is_own_key(const Entry& entry, std::string_view name) {
  if (!entry.identity || !entry.key || entry.identity->slot.state != State::kLive) return false;
  const auto& slot = entry.key->slot;
  return slot.exists && slot.leads && slot.claim_id == name && slot.claim_stamp == entry.identity->slot.stamp && slot.other_stamp == 0 &&
         slot.mark == 0 && entry.key->pending.empty() && entry.key->silent_listers.empty();
}

// Reads with one place for what is damaged.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : in_(bytes) {}
  bool good() const noexcept { return good_; }
  std::size_t position() const noexcept { return in_.position(); }
  std::size_t left() const noexcept { return in_.left(); }

  std::uint64_t number() { return take(in_.varint()); }
  std::uint8_t byte() { return take(in_.byte()); }
  std::string_view bytes() { return take(in_.sized_bytes()); }
  std::string_view fixed(std::size_t size) { return take(in_.bytes(size)); }
  // A count of things of which each has at least one byte.
  std::size_t count() {
    const auto n = number();
    if (n > in_.left()) good_ = false;
    return good_ ? static_cast<std::size_t>(n) : 0;
  }
  void fail() noexcept { good_ = false; }

 private:
  template <class T>
  T take(std::optional<T> value) {
    if (!value) good_ = false;
    return value.value_or(T());
  }
  ByteReader in_;
  bool good_ = true;
};

bool well_formed(std::string_view packed, std::size_t keys) {
  ByteReader in(packed);
  for (std::size_t i = 0; i < keys; ++i) {
    if (!in.sized_bytes()) return false;
  }
  return in.left() == 0;
}

IdentityPart take_identity(Decoder& in) {
  IdentityPart identity;
  auto& slot = identity.slot;
  const auto flags = in.number();
  slot.state = (flags & kLive) != 0 ? State::kLive : (flags & kTombstone) != 0 ? State::kTombstone : State::kAbsent;
  slot.version = in.number();
  slot.stamp = (flags & kStampIsVersion) != 0 ? slot.version : in.number();
  if ((flags & kRevision) != 0) slot.revision = in.number();
  if ((flags & kExpires) != 0) slot.expires_at = time_from(in.number());
  if ((flags & kRule) != 0) slot.ttl_rule = static_cast<TtlRule>(in.byte());
  if ((flags & kTouch) != 0) slot.touch_stamp = in.number();
  if ((flags & kTouchExpires) != 0) slot.touch_expires_at = time_from(in.number());
  if ((flags & kTombstone) != 0) {
    const auto reason = static_cast<TombstoneReason>(in.byte());
    Digest digest;
    digest.high = in.number();
    digest.low = in.number();
    if (slot.state == State::kLive) {
      identity.content = digest;
    } else {
      slot.reason = reason;
      slot.digest = digest;
    }
  }
  identity.history = (flags & kHistory) != 0;
  identity.reach = (flags & kReach) != 0 ? in.number() : slot.stamp;
  if ((flags & kLost) != 0) {
    const auto keys = in.count();
    const auto packed = in.bytes();
    if (well_formed(packed, keys)) {
      identity.lost_keys = KeyList::from_packed(Payload::copy(packed), keys);
    } else {
      in.fail();
    }
  }
  if ((flags & kIndex) != 0) identity.index = std::string(in.bytes());
  if ((flags & kCodec) != 0) {
    identity.codec = static_cast<BodyCodec>(in.byte());
    identity.dictionary = static_cast<std::uint32_t>(in.number());
  }
  return identity;
}

KeyPart take_key(Decoder& in) {
  KeyPart key;
  auto& slot = key.slot;
  const auto flags = in.number();
  key.writes = flags >> kWritesShift;
  slot.exists = (flags & kExists) != 0;
  if ((flags & kClaim) != 0) {
    slot.claim_stamp = in.number();
    slot.claim_id = std::string(in.bytes());
  }
  if ((flags & kOther) != 0) {
    slot.other_stamp = in.number();
    slot.other_id = std::string(in.bytes());
  }
  if ((flags & kMark) != 0) slot.mark = in.number();
  slot.leads = (flags & kLeads) != 0;
  if ((flags & kPending) != 0) {
    for (auto left = in.count(); left > 0 && in.good(); --left) {
      const auto stamp = in.number();
      key.pending.push_back({.stamp = stamp >> 1, .id = std::string(in.bytes()), .conditional = (stamp & 1) != 0});
    }
  }
  if ((flags & kSilent) != 0) {
    for (auto left = in.count(); left > 0 && in.good(); --left) key.silent_listers.emplace_back(in.bytes());
  }
  return key;
}

}  // namespace

WriteMark next_mark(const std::optional<KeyPart>& before, const Entry& now, std::uint64_t token) noexcept {
  if (!before) return {.token = token, .writes = 0};
  return {.token = token, .writes = before->writes + (now.identity ? 0 : 1)};
}

void encode_entry_head(std::string& out, const Entry& entry, std::string_view name, WriteMark mark) {
  const bool own_key = mark.writes == 0 && is_own_key(entry, name);
  out.push_back(kEntryFormat);
  out.push_back(static_cast<char>((entry.identity ? kHasIdentity : 0) | (own_key ? kOwnKey : entry.key ? kHasKey : 0)));
  if (entry.identity) {
    for (std::size_t i = 0; i < kTokenBytes; ++i) out.push_back(static_cast<char>(mark.token >> (8 * i) & 0xff));
    put_identity(out, *entry.identity);
  }
  if (entry.key && !own_key) put_key(out, *entry.key, mark.writes);
}

std::string encode_entry(const Entry& entry, std::string_view name, WriteMark mark) {
  std::string out;
  out.reserve(96 + (entry.identity ? entry.identity->body.size() : 0));
  encode_entry_head(out, entry, name, mark);
  if (entry.identity) out.append(entry.identity->body.view());
  return out;
}

Result<Entry> decode_entry(const Payload& bytes, std::string_view name) {
  const auto text = bytes.view();
  if (text.size() < 2) return Error(ErrorCode::kCorrupted, "an entry of less than two bytes").at_position(0);
  if (text[0] > kEntryFormat && text[0] < kNoFormat) {
    return Error(ErrorCode::kUnsupported, fmt::format("an entry of format {}; this version reads up to {}", static_cast<int>(text[0]),
                                                      static_cast<int>(kEntryFormat)));
  }
  const auto parts = static_cast<std::uint8_t>(text[1]);
  Decoder in(text);
  (void)in.fixed(2);
  Entry entry;
  if ((parts & kHasIdentity) != 0) {
    (void)in.fixed(kTokenBytes);
    entry.identity = take_identity(in);
  }
  if ((parts & kHasKey) != 0) entry.key = take_key(in);
  if ((parts & kOwnKey) != 0 && entry.identity) {
    auto& slot = entry.key.emplace().slot;
    slot.exists = true;
    slot.claim_stamp = entry.identity->slot.stamp;
    slot.claim_id = std::string(name);
    slot.leads = true;
  }
  const bool body = entry.identity && entry.identity->slot.state == State::kLive;
  if (text[0] != kEntryFormat || !in.good() || (!body && in.left() != 0)) {
    return Error(ErrorCode::kCorrupted, "a damaged entry").at_position(in.position());
  }
  if (body) entry.identity->body = bytes.slice(in.position());
  return entry;
}

Result<std::optional<IdentityPart>> decode_identity(std::string_view bytes) {
  Decoder in(bytes);
  const auto format = in.byte();
  const auto parts = in.byte();
  if (in.good() && format == kEntryFormat && (parts & kHasIdentity) == 0) return std::optional<IdentityPart>();
  (void)in.fixed(kTokenBytes);
  std::optional<IdentityPart> identity = take_identity(in);
  if (format != kEntryFormat || !in.good()) return Error(ErrorCode::kCorrupted, "a damaged entry").at_position(in.position());
  return identity;
}

bool has_identity(std::string_view bytes) noexcept {
  return bytes.size() >= kPrefixBytes && (static_cast<std::uint8_t>(bytes[1]) & kHasIdentity) != 0;
}

}  // namespace setget::inline v0::redis
