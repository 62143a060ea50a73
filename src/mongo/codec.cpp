#include "mongo/codec.hpp"

#include <fmt/format.h>

#include <utility>

#include "core/varint.hpp"
#include "mongo/errors.hpp"
#include "mongo/fields.hpp"

namespace setget::inline v0::mongo {
namespace {

// What else a state says of its record, in one field, for each costs the servers something: the format of the document, by which rule the
// record expires, and the digest. See ADR 20.
struct Seal {
  static constexpr std::size_t kSize = 18;
  std::int32_t format = 0;
  TtlRule ttl_rule{};
  Digest digest{};
};

void put_number(std::string& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift & 0xff));
}

std::string bytes_of(const Seal& seal) {
  std::string out;
  out.reserve(Seal::kSize);
  out.push_back(static_cast<char>(seal.format));
  out.push_back(static_cast<char>(seal.ttl_rule));
  put_number(out, seal.digest.high);
  put_number(out, seal.digest.low);
  return out;
}

std::optional<Seal> seal_from(std::string_view bytes) {
  if (bytes.size() != Seal::kSize) return std::nullopt;
  const auto number = [&](std::size_t from) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(bytes[from + i]);
    return value;
  };
  return Seal{.format = static_cast<unsigned char>(bytes[0]),
              .ttl_rule = static_cast<TtlRule>(bytes[1]),
              .digest = {.high = number(2), .low = number(10)}};
}

std::optional<TombstoneReason> reason_from(std::string_view name) {
  for (const auto reason : {TombstoneReason::kErased, TombstoneReason::kSuperseded, TombstoneReason::kExpired}) {
    if (to_string(reason) == name) return reason;
  }
  return std::nullopt;
}

Result<void> check(const ArchiveEntry& entry) {
  if (entry.id.empty()) return Error(ErrorCode::kInvalidArgument, "an archive entry needs an id").at_field("id");
  if (entry.version == 0 || entry.version > kMaxVersion) {
    return Error(ErrorCode::kInvalidArgument, "an archive entry's version must be in [1, 2^53-1]").at_field("version");
  }
  if (!entry.tombstone && (entry.record.ns != entry.ns || entry.record.id != entry.id)) {
    return Error(ErrorCode::kInvalidArgument, "an archive entry's record must have the identity of the entry").at_field("record");
  }
  return {};
}

void add_text_if(Document& out, std::string_view name, std::string_view bytes) {
  if (!bytes.empty()) out.add_text(name, bytes);
}

bool may_be_json(std::string_view content_type) { return content_type.empty() || content_type.find("json") != std::string_view::npos; }

// Those that lead to a record.
Digest digest_of_keys(const KeyList& keys, const KeyList& lost) {
  if (lost.empty()) return digest_of(keys.packed().view());
  std::string packed;
  for (const auto key : keys) {
    if (!lost.contains(key)) detail::put_bytes(packed, key);
  }
  return digest_of(packed);
}

// Either of them from the other one and what this gives.
Digest mixed(const Digest& one, const Digest& other) { return {.high = one.high ^ other.high, .low = one.low ^ other.low}; }

void add_state(Document& state, const Record& record, const Digest& content) {
  if (record.expires_at) state.add_date("expires_at", *record.expires_at);
  const Seal seal{.format = kFormat, .ttl_rule = record.ttl_rule, .digest = mixed(content, digest_of_keys(record.keys, record.lost_keys))};
  state.add_binary("seal", bytes_of(seal));
  Document keys;
  std::size_t count = 0;
  for (const auto key : record.keys) {
    if (!record.lost_keys.contains(key)) keys.push_text(count++, key_name(record.ns, key));
  }
  state.add_array("keys", keys).add("stamp", record.stamp);
}

void add_in_clear(Document& out, const Record& record) {
  out.add_date("created_at", record.created_at);
  add_text_if(out, "account", record.account);
  add_text_if(out, "flow", record.flow);
  add_text_if(out, "owner", record.owner);
  add_text_if(out, "content_type", record.content_type);
}

void add_bytes(Prepared& out, const Record& record, const Payload& encoded, const Options& options) {
  if (!record.lost_keys.empty()) out.record.add_binary("lost", record.lost_keys.packed().view());
  out.record.add_binary("head", encoded.view().substr(0, encoded.size() - record.payload.size()));
  if (record.payload.size() > options.max_inline_bytes) {
    out.pieces = record.payload;
    out.record.add("pieces", static_cast<std::int64_t>((record.payload.size() + options.max_inline_bytes - 1) / options.max_inline_bytes));
  } else {
    out.record.add_binary("payload", record.payload.view());
  }
}

// The native document comes on top; where both do not fit, the bytes are what counts.
void add_native(Prepared& out, const Record& record, const Options& options) {
  if (options.payload != PayloadForm::kDocument || !out.pieces.empty() || !may_be_json(record.content_type)) return;
  Document native;
  if (add_json(native, "document", record.payload.view()) && out.bytes() + native.bytes() < kMaxDocument) {
    bson_concat(out.record.out(), native.raw());
  }
}

void add_all(Prepared& out, const Record& record, const Options& options) {
  const auto encoded = encoded_of(record);
  add_state(out.state, record, digest_of(encoded.view()));
  add_in_clear(out.record, record);
  add_bytes(out, record, encoded, options);
  add_native(out, record, options);
}

}  // namespace

// With the names of the parts, and of the operators in raise_of().
std::size_t Prepared::bytes() const { return identity.bytes() + state.bytes() + end.bytes() + record.bytes() + id.size() + 128; }

Result<void> prepare(const ArchiveEntry& entry, const Options& options, std::int64_t turn, Prepared& out) {
  if (auto checked = check(entry); !checked) return checked;
  out.id = document_id(entry.ns, entry.id);
  out.mark = mark_of(entry.version, entry.revision, turn);
  out.tombstone = entry.tombstone;
  out.purge_at = entry.purge_at;
  out.identity.add("format", kFormat).add_text("ns", entry.ns).add_text("id", entry.id);
  // First, for servers compare documents member by member: nothing behind it is ever reached, unless it is the same write again.
  for (auto* part : {&out.state, &out.end, &out.record}) part->add_utf8("mark", out.mark);
  if (entry.purge_at) out.record.add_date("purge_at", *entry.purge_at);
  if (entry.tombstone) {
    for (auto* part : {&out.end, &out.record}) part->add_utf8("gone", to_string(entry.reason));
  } else {
    add_all(out, entry.record, options);
  }
  const bool whole = out.identity.whole() && out.state.whole() && out.end.whole() && out.record.whole();
  if (!whole || out.bytes() > kMaxDocument) {
    return Error(ErrorCode::kTooLarge, fmt::format("the record needs a document of {} bytes; MongoDB takes {}", out.bytes(), kMaxDocument));
  }
  return {};
}

namespace {

void add_parts(Document& to, const Prepared& document) {
  if (document.tombstone) {
    to.add("end", document.end);
  } else {
    to.add("state", document.state);
  }
  to.add("record", document.record);
}

}  // namespace

Document whole_of(const Prepared& document) {
  Document whole;
  whole.add_utf8("_id", document.id);
  bson_concat(whole.out(), document.identity.raw());
  add_parts(whole, document);
  return whole;
}

Document raise_of(const Prepared& document) {
  Document raised;
  add_parts(raised, document);
  Document update;
  update.add("$setOnInsert", document.identity).add("$max", raised);
  return update;
}

namespace {

Document fields_of(std::initializer_list<const char*> names) {
  Document fields;
  for (const auto* name : names) fields.add(name, std::int32_t{1});
  return fields;
}

}  // namespace

// Names with dots cost some servers more than what they leave out: they are for the few lines that differ.
Document fields_for_digests() { return fields_of({"state", "end"}); }
Document fields_for_summaries() { return fields_of({"format", "state", "end", "record.account", "record.flow"}); }
Document how_to_read_records(const Options& options) {
  Document how;
  if (options.payload == PayloadForm::kDocument) {
    how.add("projection",
            fields_of({"format", "state", "end", "record.mark", "record.lost", "record.head", "record.payload", "record.pieces"}));
  }
  return how;
}

namespace {

bool take_mark(const Value& field, MarkText& into) {
  const auto mark = field.bytes();
  if (mark) into = MarkText(*mark);
  return mark.has_value();
}

// None where a name is of another namespace: gets there would be led astray.
bool take_held_keys(Stored& out, const Value& field) {
  std::string packed;
  bool ours = true;
  const auto prefix = key_prefix_in(out.id);
  const bool taken = field.each([&](const Value& name) {
    const auto bytes = name.bytes();
    if (!bytes) return false;
    if (bytes->starts_with(prefix)) {
      detail::put_bytes(packed, bytes->substr(prefix.size()));
    } else {
      ours = false;
    }
    return true;
  });
  if (ours) out.held_keys = std::move(packed);
  return taken;
}

bool take_seal(Stored& out, const Value& field) {
  const auto seal = seal_from(field.bytes().value_or(std::string_view()));
  if (!seal) return false;
  out.sealed_format = seal->format;
  out.meta.ttl_rule = seal->ttl_rule;
  out.digest = seal->digest;
  return true;
}

// Of each part one field; false if it has another type than it must have.
bool take_of_state(Stored& out, const Value& field) {
  const auto name = field.name();
  if (name == "mark") return take_mark(field, out.state_mark);
  if (name == "seal") return take_seal(out, field);
  if (name == "keys") return take_held_keys(out, field);
  if (name == "stamp") return out.stamped = take_number(field, out.meta.stamp);
  if (name == "expires_at") {
    out.meta.expires_at = field.time();
    return out.meta.expires_at.has_value();
  }
  return true;
}

bool take_of_end(Stored& out, const Value& field) {
  const auto name = field.name();
  if (name == "mark") return take_mark(field, out.end_mark);
  if (name == "gone") {
    out.gone = reason_from(field.bytes().value_or(std::string_view()));
    return out.gone.has_value();
  }
  return true;
}

bool see(std::string_view& where, const Value& field) {
  const auto bytes = field.bytes();
  if (bytes) where = *bytes;
  return bytes.has_value();
}

bool take_of_record(Stored& out, std::string_view& head, const Value& field) {
  const auto name = field.name();
  if (name == "mark") return take_mark(field, out.record_mark);
  if (name == "head") return see(head, field);
  if (name == "payload") return see(out.seen, field);
  if (name == "pieces") return take_number(field, out.pieces);
  if (name == "lost") return take_packed_keys(field, out.meta.lost_keys);
  // People's: what is of another type reads as empty.
  if (out.reading == Reading::kLine && name == "account") (void)take_text(field, out.account);
  if (out.reading == Reading::kLine && name == "flow") (void)take_text(field, out.flow);
  return true;
}

// Once both of its halves were seen, whichever came first: in one block.
void put_together(Stored& out, std::string_view head) {
  const bool copied = out.reading != Reading::kDigest;
  out.head = head.size();
  out.encoded.reserve(head.size() + (copied ? out.seen.size() : 0));
  out.encoded.append(head);
  if (!copied) return;
  out.encoded.append(out.seen);
  out.seen = {};
}

// Of one document, while it is read.
struct Half {
  std::string_view head{};  // of the record, where it stands in the document
  std::string within{};     // the name of the field that is wrong, where that stands in a document within
};

// Every field of a part. `take_one(field)` is false for one of another type than it must have.
template <class TakeOne>
bool take_part(Half& half, const Value& part, TakeOne take_one) {
  return part.is_document() && part.each([&](const Value& field) {
    const bool taken = take_one(field);
    if (!taken) half.within.append(part.name()).append(".").append(field.name());
    return taken;
  });
}

// One field of a document.
bool take(Stored& out, Half& half, const Value& field) {
  const auto name = field.name();
  if (name == "state") return take_part(half, field, [&](const Value& one) { return take_of_state(out, one); });
  if (name == "end") return take_part(half, field, [&](const Value& one) { return take_of_end(out, one); });
  if (name == "record") return take_part(half, field, [&](const Value& one) { return take_of_record(out, half.head, one); });
  return true;
}

}  // namespace

Error damaged(const Stored& stored, std::string_view what) { return corrupted(fmt::format("document \"{}\": {}", stored.id, what)); }

namespace {

Error other_format(std::int64_t format, std::string_view id) {
  return Error(ErrorCode::kUnsupported,
               fmt::format("the archive's document \"{}\" has format {}; this version reads {}", id, format, kFormat));
}

}  // namespace

Result<void> check_format_of(const bson_t* document) {
  const auto field = find_top(document, "format");
  const auto format = field ? field->integer() : std::nullopt;
  if (format == kFormat) return {};
  const auto id = text_or_empty(document, "_id");
  return format ? other_format(*format, id) : corrupted(fmt::format("document \"{}\" does not say its format", id));
}

namespace {

// A record or a tombstone: whichever came later.
Result<void> know_what_it_is(Stored& out) {
  if (out.end_mark.view() > out.state_mark.view()) {
    if (!out.gone) return damaged(out, "its end has no reason");
  } else {
    out.gone.reset();
    if (!out.digest || !out.stamped) return damaged(out, "its state is missing");
    if (out.sealed_format != kFormat) return other_format(out.sealed_format, out.id);
  }
  const auto marked = read_mark(out.mark().view());
  if (!marked) return damaged(out, "its state has no mark");
  out.meta.version = marked->version;
  out.meta.revision = marked->revision;
  return {};
}

}  // namespace

void Stored::begin(Reading how) {
  for (auto* text : {&id, &account, &flow, &encoded}) text->clear();
  for (auto* mark : {&state_mark, &end_mark, &record_mark}) mark->clear();
  gone.reset();
  meta.expires_at.reset();
  meta.lost_keys = {};
  held_keys.reset();
  digest.reset();
  stamped = false;
  head = 0;
  seen = {};
  pieces = 0;
  reading = how;
}

Result<void> read_document(const bson_t* document, Reading reading, Stored& out) {
  out.begin(reading);
  if (out.reading != Reading::kState) {
    if (auto known = check_format_of(document); !known) return std::move(known).error();
  }
  const auto id = find_top(document, "_id");
  out.id = id ? id->text().value_or(std::string_view()) : std::string_view();
  if (!take_identity(out.id, out.identity)) return damaged(out, "its _id is none of the archive's");
  Half half;
  const auto wrong = first_wrong_field(document, [&](const Value& field) { return take(out, half, field); });
  if (!wrong) return corrupted("a document is not BSON");
  if (!wrong->empty()) {
    return damaged(out, fmt::format("the field {} is not what it must be", half.within.empty() ? *wrong : half.within));
  }
  if (auto known = know_what_it_is(out); !known) return std::move(known).error();
  put_together(out, half.head);
  return {};
}

Result<Stored> read_document(const bson_t* document, Reading reading) {
  Result<Stored> out(Stored{});
  if (auto read = read_document(document, reading, *out); !read) return std::move(read).error();
  return out;
}

namespace {

Digest unlike(const Digest& digest) { return {.high = ~digest.high, .low = digest.low}; }

// `bytes`: the digest of what is there of the record. `decoded`: that record, or the command that its bytes are.
template <class Decoded>
Result<void> check(const Stored& stored, const Digest& bytes, const Decoded& decoded) {
  if (order_in(stored.record_mark.view()) != order_in(stored.mark().view())) return damaged(stored, "its payload is of another version");
  if (mixed(bytes, digest_of_keys(decoded.keys, stored.meta.lost_keys)) != stored.digest) {
    return damaged(stored, "its payload, or which keys it has lost, is not what was archived");
  }
  if (decoded.ns != stored.identity.ns || decoded.id != stored.identity.id) return damaged(stored, "its payload is of another one");
  return {};
}

}  // namespace

bool lead_to(const std::optional<std::string>& held_keys, const Record& record) {
  return held_keys && digest_of(*held_keys) == digest_of_keys(record.keys, record.lost_keys);
}

Result<Record> record_of(Stored&& stored) {
  const auto encoded = Payload::adopt(std::move(stored.encoded));
  return record_of(stored, encoded);
}

Result<Record> record_of(const Stored& stored, const Payload& encoded) {
  const auto bytes = digest_of(encoded.view());
  auto record = make_record(encoded, stored.meta);
  if (record) {
    if (auto checked = check(stored, bytes, *record); !checked) return std::move(checked).error();
    return record;
  }
  // What a later version wrote cannot be read, and is whole.
  const bool whole = stored.held_keys && mixed(bytes, digest_of(*stored.held_keys)) == stored.digest;
  return whole ? std::move(record) : damaged(stored, fmt::format("its payload cannot be read: {}", record.error().describe()));
}

Digest content_of_bytes(Stored& stored, const Digest& said) {
  const auto bytes = stored.seen.empty() ? digest_of(stored.encoded) : digest_of({stored.encoded, stored.seen});
  const auto command = decode_command(Payload::adopt(std::move(stored.encoded)));
  return command && check(stored, bytes, *command) ? said : unlike(said);
}

namespace {

// With other keys in it than were archived it is another one.
Digest content_said_by(const Stored& stored) {
  const auto digest = stored.digest.value_or(Digest{});
  return stored.held_keys ? mixed(digest, digest_of(*stored.held_keys)) : unlike(digest);
}

}  // namespace

detail::EntryView entry_of(const Stored& stored) {
  return {.ns = stored.identity.ns,
          .id = stored.identity.id,
          .version = stored.meta.version,
          .revision = stored.meta.revision,
          .stamp = stored.meta.stamp,
          .ttl_rule = stored.meta.ttl_rule,
          .expires_at = stored.meta.expires_at,
          .content = content_said_by(stored)};
}

Summary summary_of(const Stored& stored) {
  Summary summary;
  summary.ns = stored.identity.ns;
  summary.id = stored.identity.id;
  summary.hash = stored.identity.hash;
  summary.tombstone = stored.gone.has_value();
  summary.reason = stored.gone.value_or(TombstoneReason::kErased);
  summary.version = stored.meta.version;
  summary.revision = stored.meta.revision;
  summary.account = stored.account;
  summary.flow = stored.flow;
  if (!summary.tombstone) {
    summary.expires_at = stored.meta.expires_at;
    summary.stamp = stored.meta.stamp;
    summary.ttl_rule = stored.meta.ttl_rule;
    summary.content = content_said_by(stored);
  }
  return summary;
}

}  // namespace setget::inline v0::mongo
