#include "mongo/codec.hpp"

#include <fmt/format.h>

#include <utility>

#include "core/varint.hpp"
#include "mongo/errors.hpp"
#include "mongo/fields.hpp"

namespace setget::inline v0::mongo {
namespace {

std::string digest_bytes(const Digest& digest) {
  std::string out(16, '\0');
  for (std::size_t i = 0; i < 8; ++i) {
    out[i] = static_cast<char>(digest.high >> (56 - 8 * i) & 0xff);
    out[8 + i] = static_cast<char>(digest.low >> (56 - 8 * i) & 0xff);
  }
  return out;
}

std::optional<Digest> digest_from(std::string_view bytes) {
  if (bytes.size() != 16) return std::nullopt;
  const auto number = [&](std::size_t from) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(bytes[from + i]);
    return value;
  };
  return Digest{.high = number(0), .low = number(8)};
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

void add_state(Document& state, const Record& record, const Digest& content) {
  if (record.expires_at) state.add_date("expires_at", *record.expires_at);
  state.add("ttl_rule", static_cast<std::int32_t>(record.ttl_rule));
  state.add_binary("content", digest_bytes(content));
  state.add_binary("keys", digest_bytes(digest_of_keys(record.keys, record.lost_keys)));
}

void add_held(Document& held, const Record& record) {
  Document keys;
  std::size_t count = 0;
  for (const auto key : record.keys) {
    if (!record.lost_keys.contains(key)) keys.push_text(count++, key);
  }
  held.add_array("keys", keys);
  held.add("stamp", record.stamp);
}

void add_record(Document& out, const Record& record) {
  out.add_date("created_at", record.created_at);
  if (record.expires_at) out.add_date("expires_at", *record.expires_at);
  add_text_if(out, "account", record.account);
  add_text_if(out, "flow", record.flow);
  add_text_if(out, "owner", record.owner);
  add_text_if(out, "content_type", record.content_type);
}

void add_body(Prepared& out, const Record& record, const Payload& encoded, const Options& options) {
  auto& body = out.body;
  if (!record.lost_keys.empty()) body.add_binary("lost", record.lost_keys.packed().view());
  body.add_binary("head", encoded.view().substr(0, encoded.size() - record.payload.size()));
  if (record.payload.size() > options.max_inline_bytes) {
    out.pieces = record.payload;
    body.add("pieces", static_cast<std::int64_t>((record.payload.size() + options.max_inline_bytes - 1) / options.max_inline_bytes));
  } else {
    body.add_binary("payload", record.payload.view());
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
  add_held(out.held, record);
  add_record(out.record, record);
  add_body(out, record, encoded, options);
  add_native(out, record, options);
}

}  // namespace

// With the names of the parts, and of the operators in raise_of().
std::size_t Prepared::bytes() const {
  return identity.bytes() + state.bytes() + held.bytes() + record.bytes() + body.bytes() + id.size() + 128;
}

Result<Prepared> prepare(const ArchiveEntry& entry, const Options& options, std::int64_t turn) {
  if (auto checked = check(entry); !checked) return std::move(checked).error();
  Prepared out;
  out.id = document_id(entry.ns, entry.id);
  out.mark = mark_of(entry.version, entry.revision, turn);
  out.tombstone = entry.tombstone;
  out.purge_at = entry.purge_at;
  out.identity.add("format", kFormat).add_text("ns", entry.ns).add_text("id", entry.id);
  // First, for servers compare documents member by member: nothing behind it is ever reached, unless it is the same write again.
  for (auto* part : {&out.state, &out.held, &out.record, &out.body}) part->add_utf8("mark", out.mark);
  out.record.add("version", entry.version).add("revision", entry.revision);
  if (entry.purge_at) out.record.add_date("purge_at", *entry.purge_at);
  if (entry.tombstone) {
    out.state.add_utf8("gone", to_string(entry.reason));
  } else {
    add_all(out, entry.record, options);
  }
  const bool whole = out.identity.whole() && out.state.whole() && out.held.whole() && out.record.whole() && out.body.whole();
  if (!whole || out.bytes() > kMaxDocument) {
    return Error(ErrorCode::kTooLarge, fmt::format("the record needs a document of {} bytes; MongoDB takes {}", out.bytes(), kMaxDocument));
  }
  return out;
}

namespace {

void add_parts(Document& to, const Prepared& document) {
  to.add("state", document.state);
  if (!document.tombstone) to.add("held", document.held);
  to.add("record", document.record).add("body", document.body);
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

// Names with dots cost some servers more than what they leave out: there are two, for the few lines that differ.
Document fields_for_digests() { return fields_of({"format", "ns", "state", "held"}); }
Document fields_for_summaries() { return fields_of({"format", "ns", "state", "held", "record.account", "record.flow"}); }
Document fields_for_records() { return fields_of({"format", "ns", "state", "held", "body"}); }

namespace {

bool take_digest(const Value& field, std::optional<Digest>& into) {
  into = digest_from(field.bytes().value_or(std::string_view()));
  return into.has_value();
}

// Of each part one field; false if it has another type than it must have.
bool take_of_state(Stored& out, const Value& field) {
  const auto name = field.name();
  if (name == "mark") {
    const auto marked = read_mark(field.bytes().value_or(std::string_view()));
    if (!marked) return false;
    out.meta.version = marked->version;
    out.meta.revision = marked->revision;
    out.mark = MarkText(*field.bytes());
    return true;
  }
  if (name == "content") return take_digest(field, out.content);
  if (name == "keys") return take_digest(field, out.keys);
  if (name == "expires_at") {
    out.meta.expires_at = field.time();
    return out.meta.expires_at.has_value();
  }
  if (name == "ttl_rule") return out.ruled = take_number(field, out.meta.ttl_rule);
  if (name == "gone") {
    out.gone = reason_from(field.bytes().value_or(std::string_view()));
    return out.gone.has_value();
  }
  return true;
}

bool take_of_held(Stored& out, const Value& field) {
  const auto name = field.name();
  if (name == "keys") {
    return field.each([&, &packed = out.held_keys.emplace()](const Value& key) {
      const auto bytes = key.bytes();
      if (bytes) detail::put_bytes(packed, *bytes);
      return bytes.has_value();
    });
  }
  if (name == "stamp") return out.held = take_number(field, out.meta.stamp);
  return true;
}

bool see(std::string_view& where, const Value& field) {
  const auto bytes = field.bytes();
  if (bytes) where = *bytes;
  return bytes.has_value();
}

bool take_of_body(Stored& out, std::string_view& head, const Value& field) {
  const auto name = field.name();
  if (name == "mark") {
    const auto bytes = field.bytes();
    if (bytes) out.body_mark = MarkText(*bytes);
    return bytes.has_value();
  }
  if (name == "head") return see(head, field);
  if (name == "payload") return see(out.seen, field);
  if (name == "pieces") return take_number(field, out.pieces);
  if (name == "lost") return take_packed_keys(field, out.meta.lost_keys);
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

// It is people's: what is not there, or of another type, reads as empty.
bool take_of_record(Stored& out, const Value& field) {
  const auto name = field.name();
  if (name == "account") (void)take_text(field, out.account);
  if (name == "flow") (void)take_text(field, out.flow);
  return true;
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
  if (name == "held") return take_part(half, field, [&](const Value& one) { return take_of_held(out, one); });
  if (name == "body") return take_part(half, field, [&](const Value& one) { return take_of_body(out, half.head, one); });
  if (name == "ns") return out.in_namespace = field.bytes() == out.identity.ns;
  if (name == "record" && out.reading == Reading::kLine) field.each([&](const Value& one) { return take_of_record(out, one); });
  return true;
}

}  // namespace

Error damaged(const Stored& stored, std::string_view what) { return corrupted(fmt::format("document \"{}\": {}", stored.id, what)); }

Result<void> check_format_of(const bson_t* document) {
  const auto field = find_top(document, "format");
  const auto format = field ? field->integer() : std::nullopt;
  if (format == kFormat) return {};
  const auto id = text_or_empty(document, "_id");
  if (!format) return corrupted(fmt::format("document \"{}\" does not say its format", id));
  return Error(ErrorCode::kUnsupported,
               fmt::format("the archive's document \"{}\" has format {}; this version reads {}", id, *format, kFormat));
}

namespace {

Result<Stored> read(const bson_t* document, Stored out) {
  if (auto known = check_format_of(document); !known) return std::move(known).error();
  const auto id = find_top(document, "_id");
  out.id = id ? id->text().value_or(std::string_view()) : std::string_view();
  auto identity = identity_in(out.id);
  if (!identity) return damaged(out, "its _id is none of the archive's");
  out.identity = *std::move(identity);
  Half half;
  const auto wrong = first_wrong_field(document, [&](const Value& field) { return take(out, half, field); });
  if (!wrong) return corrupted("a document is not BSON");
  if (!wrong->empty()) {
    return damaged(out, fmt::format("the field {} is not what it must be", half.within.empty() ? *wrong : half.within));
  }
  if (!out.in_namespace) return damaged(out, "the field ns is missing");
  if (out.mark.view().empty() || (!out.gone && (!out.content || !out.keys || !out.ruled))) return damaged(out, "its state is missing");
  put_together(out, half.head);
  return out;
}

}  // namespace

Result<Stored> read_document(const bson_t* document, Reading reading) { return read(document, {.reading = reading}); }

bool Stored::keys_agree() const { return held_keys && digest_of(*held_keys) == keys; }

namespace {

Digest unlike(const Digest& digest) { return {.high = ~digest.high, .low = digest.low}; }

// `bytes`: the digest of what is there of the record.
Result<void> check_bytes(const Stored& stored, const Digest& bytes) {
  if (order_in(stored.body_mark.view()) != order_in(stored.mark.view())) return damaged(stored, "its payload is of another version");
  if (!stored.held) return damaged(stored, "it does not say when it was accepted");
  if (bytes != stored.content) return damaged(stored, "its payload is not what was archived");
  return {};
}

// Of a record, or of the command that its bytes are.
template <class Decoded>
Result<void> check_decoded(const Stored& stored, const Decoded& decoded) {
  if (decoded.ns != stored.identity.ns || decoded.id != stored.identity.id) return damaged(stored, "its payload is of another one");
  if (digest_of_keys(decoded.keys, stored.meta.lost_keys) != stored.keys) {
    return damaged(stored, "its keys are not those that were archived");
  }
  return {};
}

}  // namespace

Result<Record> record_of(Stored&& stored) {
  const auto encoded = Payload::adopt(std::move(stored.encoded));
  return record_of(stored, encoded);
}

Result<Record> record_of(const Stored& stored, const Payload& encoded) {
  if (auto checked = check_bytes(stored, digest_of(encoded.view())); !checked) return std::move(checked).error();
  auto record = make_record(encoded, stored.meta);
  if (!record) return record;
  if (auto checked = check_decoded(stored, *record); !checked) return std::move(checked).error();
  return record;
}

Digest content_of_bytes(Stored&& stored, const Summary& summary) {
  const auto content = stored.content.value_or(Digest{});
  const auto bytes = stored.seen.empty() ? digest_of(stored.encoded) : digest_of({stored.encoded, stored.seen});
  if (!check_bytes(stored, bytes)) return unlike(content);
  const auto command = decode_command(Payload::adopt(std::move(stored.encoded)));
  return command && check_decoded(stored, *command) ? summary.content : unlike(content);
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
    const auto content = stored.content.value_or(Digest{});
    summary.expires_at = stored.meta.expires_at;
    summary.stamp = stored.meta.stamp;
    summary.ttl_rule = stored.meta.ttl_rule;
    summary.content = stored.keys_agree() ? content : unlike(content);
  }
  return summary;
}

}  // namespace setget::inline v0::mongo
