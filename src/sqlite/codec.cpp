#include "sqlite/codec.hpp"

#include "core/varint.hpp"
#include "sqlite/book.hpp"

#include <setget/record.hpp>

namespace setget::inline v0::sqlite {

namespace {

using detail::ByteReader;
using detail::put_bytes;
using detail::put_varint;

constexpr char kFormat = 1;

// Reads a form that starts with the format byte; every getter throws past the end.
class Reader {
 public:
  Reader(std::string_view bytes, std::string_view what) : bytes_(bytes), what_(what) {
    if (bytes_.byte() != kFormat) throw_damaged(what_);
  }
  std::uint64_t number() { return need(bytes_.varint()); }
  std::int64_t integer() { return static_cast<std::int64_t>(number()); }
  std::uint32_t small() { return static_cast<std::uint32_t>(number()); }
  std::uint8_t byte() { return need(bytes_.byte()); }
  std::string_view text() { return need(bytes_.sized_bytes()); }
  bool done() const noexcept { return bytes_.left() == 0; }
  // A count of things that take at least one byte each.
  std::size_t count() {
    const auto value = number();
    if (value > bytes_.left()) throw_damaged(what_);
    return static_cast<std::size_t>(value);
  }

 private:
  template <class T>
  T need(std::optional<T> value) {
    if (!value) throw_damaged(what_);
    return *value;
  }
  ByteReader bytes_;
  std::string_view what_;
};

void put_time(std::string& out, Milliseconds time) { put_varint(out, static_cast<std::uint64_t>(time.count())); }

enum MemberFlag : std::uint8_t { kOwnUntil = 4, kReceivedBefore = 8, kHasGroup = 16, kExactGroup = 32 };

}  // namespace

void throw_damaged(std::string_view what) {
  throw SqlError(
      Error(ErrorCode::kCorrupted, "the database is damaged: " + std::string(what)).from(ErrorSource::kSqlite, SQLITE_CORRUPT, "bad row"));
}

std::string encode_attributes(const MessageAttributes& attributes) {
  std::string out(1, kFormat);
  put_varint(out, attributes.size());
  for (const auto& [name, value] : attributes) {
    put_bytes(out, name);
    out.push_back(static_cast<char>(value.type));
    put_bytes(out, value.data);
  }
  return out;
}

MessageAttributes decode_attributes(std::string_view bytes) {
  MessageAttributes attributes;
  if (bytes.empty()) return attributes;
  Reader reader(bytes, "message attributes");
  for (auto left = reader.count(); left > 0; --left) {
    auto name = std::string(reader.text());
    const auto type = static_cast<AttributeValue::Type>(reader.byte());
    attributes.insert_or_assign(std::move(name), AttributeValue{.type = type, .data = std::string(reader.text())});
  }
  return attributes;
}

std::string encode_reasons(const std::vector<Reason>& reasons) {
  if (reasons.empty()) return {};
  std::string out(1, kFormat);
  put_varint(out, reasons.size());
  for (const auto& reason : reasons) {
    put_bytes(out, reason.code);
    put_bytes(out, reason.message);
    put_bytes(out, reason.pointer);
  }
  return out;
}

std::vector<Reason> decode_reasons(std::string_view bytes) {
  std::vector<Reason> reasons;
  if (bytes.empty()) return reasons;
  Reader reader(bytes, "reasons");
  for (auto left = reader.count(); left > 0; --left) {
    Reason reason;
    reason.code = reader.text();
    reason.message = reader.text();
    reason.pointer = reader.text();
    reasons.push_back(std::move(reason));
  }
  return reasons;
}

std::string encode_options(const QueueOptions& options) {
  std::string out(1, kFormat);
  out.push_back(static_cast<char>(options.kind));
  put_time(out, options.visibility_timeout);
  put_time(out, options.delay);
  put_time(out, options.retention);
  put_varint(out, options.max_receives);
  put_time(out, options.dedup_window);
  put_time(out, options.outcome_retention);
  put_varint(out, options.max_in_flight);
  put_varint(out, options.max_message_bytes);
  return out;
}

QueueOptions decode_options(std::string_view bytes) {
  Reader reader(bytes, "queue options");
  QueueOptions options;
  options.kind = static_cast<QueueKind>(reader.byte());
  options.visibility_timeout = Milliseconds(reader.integer());
  options.delay = Milliseconds(reader.integer());
  options.retention = Milliseconds(reader.integer());
  options.max_receives = reader.small();
  options.dedup_window = Milliseconds(reader.integer());
  options.outcome_retention = Milliseconds(reader.integer());
  options.max_in_flight = reader.small();
  options.max_message_bytes = static_cast<std::size_t>(reader.number());
  return options;
}

namespace {

std::int64_t checksum_in(const Digest& digest) noexcept { return static_cast<std::int64_t>(digest.low); }

}  // namespace

std::int64_t checksum_of(std::string_view body) noexcept { return checksum_in(digest_of(body)); }

Digest checked_digest(std::string_view body, std::int64_t checksum) {
  const auto digest = digest_of(body);
  if (checksum_in(digest) != checksum) throw_damaged("a stored body does not match its checksum");
  return digest;
}

Payload checked_body(std::string_view body, std::int64_t checksum) {
  checked_digest(body, checksum);
  return Payload::copy(body);
}

std::string encode_digest(const Digest& digest) {
  std::string out(kDigestBytes, '\0');
  for (std::size_t i = 0; i < 8; ++i) {
    out[i] = static_cast<char>(digest.high >> (56 - 8 * i) & 0xff);
    out[8 + i] = static_cast<char>(digest.low >> (56 - 8 * i) & 0xff);
  }
  return out;
}

std::optional<Digest> decode_digest(std::string_view bytes) {
  if (bytes.size() != kDigestBytes) return std::nullopt;
  const auto number = [&](std::size_t from) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(bytes[from + i]);
    return value;
  };
  return Digest{.high = number(0), .low = number(8)};
}

std::string encode_members(const std::vector<LeaseMember>& members, std::int64_t until) {
  std::string out(1, kFormat);
  out.reserve(8 + members.size() * 4);
  put_varint(out, members.size());
  Stamp last = 0;
  for (const auto& member : members) {
    put_varint(out, member.stamp - last);
    last = member.stamp;
    auto flags = static_cast<std::uint8_t>(member.flags);
    if (member.until != until) flags |= kOwnUntil;
    if (member.receives != 1) flags |= kReceivedBefore;
    if (member.group != 0) flags |= kHasGroup | (member.exact_group ? kExactGroup : 0);
    out.push_back(static_cast<char>(flags));
    if (member.until != until) put_varint(out, static_cast<std::uint64_t>(member.until));
    if (member.receives != 1) put_varint(out, member.receives);
    if (member.group != 0) put_varint(out, member.group);
  }
  return out;
}

std::vector<LeaseMember> decode_members(std::string_view bytes, std::int64_t until) {
  Reader reader(bytes, "lease");
  std::vector<LeaseMember> members(reader.count());
  Stamp last = 0;
  for (auto& member : members) {
    member.stamp = last += reader.number();
    const auto flags = reader.byte();
    member.flags = flags & (kHasHistory | kGrouped);
    member.until = (flags & kOwnUntil) != 0 ? reader.integer() : until;
    member.receives = (flags & kReceivedBefore) != 0 ? reader.small() : 1;
    member.group = (flags & kHasGroup) != 0 ? reader.number() : 0;
    member.exact_group = member.group == 0 || (flags & kExactGroup) != 0;
  }
  return members;
}

std::string encode_outcomes(const std::vector<OutcomeEntry>& entries) {
  // By flags of the outcome byte: 0x80 = reasons follow, 0x40 = a receive count follows.
  std::string out(1, kFormat);
  put_varint(out, entries.size());
  Stamp last = 0;
  for (const auto& entry : entries) {
    // Zigzag: a batch need not be in order of its stamps.
    const auto delta = static_cast<std::int64_t>(entry.stamp - last);
    put_varint(out, static_cast<std::uint64_t>(delta) << 1 ^ static_cast<std::uint64_t>(delta >> 63));
    last = entry.stamp;
    const bool counted = entry.receive_count != 1;
    out.push_back(static_cast<char>(static_cast<unsigned>(entry.outcome) | (entry.reasons.empty() ? 0U : 0x80U) | (counted ? 0x40U : 0U)));
    if (counted) put_varint(out, entry.receive_count);
    if (!entry.reasons.empty()) put_bytes(out, entry.reasons);
  }
  return out;
}

std::vector<OutcomeEntry> decode_outcomes(std::string_view bytes) {
  Reader reader(bytes, "outcomes");
  std::vector<OutcomeEntry> entries(reader.count());
  Stamp last = 0;
  for (auto& entry : entries) {
    const auto zigzag = reader.number();
    last += (zigzag >> 1) ^ (~(zigzag & 1) + 1);
    entry.stamp = last;
    const auto flags = reader.byte();
    entry.outcome = static_cast<Outcome>(flags & 0x3f);
    if ((flags & 0x40) != 0) entry.receive_count = reader.small();
    if ((flags & 0x80) != 0) entry.reasons = reader.text();
  }
  return entries;
}

std::string encode_meta(const Meta& meta) {
  std::string out(1, kFormat);
  for (const auto value : {meta.last_stamp, meta.last_position, meta.last_row, meta.last_token, meta.floor, meta.records, meta.tombstones,
                           meta.keys, meta.changes, meta.listed, meta.queues_generation}) {
    put_varint(out, value);
  }
  return out;
}

Meta decode_meta(std::string_view bytes) {
  Reader reader(bytes, "state");
  Meta meta;
  for (auto* value : {&meta.last_stamp, &meta.last_position, &meta.last_row, &meta.last_token, &meta.floor, &meta.records, &meta.tombstones,
                      &meta.keys, &meta.changes, &meta.listed, &meta.queues_generation}) {
    *value = reader.number();
  }
  return meta;
}

std::string encode_counters(const Counters& counters) {
  std::string out(1, kFormat);
  for (const auto value : {counters.accepted, counters.ready, counters.in_flight, counters.delayed}) put_varint(out, value);
  for (const auto value : counters.outcomes) put_varint(out, value);
  return out;
}

Counters decode_counters(std::string_view bytes) {
  Reader reader(bytes, "counters");
  Counters counters;
  for (auto* value : {&counters.accepted, &counters.ready, &counters.in_flight, &counters.delayed}) *value = reader.number();
  for (auto& value : counters.outcomes) value = reader.number();
  return counters;
}

}  // namespace setget::inline v0::sqlite
