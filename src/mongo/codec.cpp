#include "mongo/codec.hpp"

#include <fmt/format.h>

#include <utility>

#include "mongo/errors.hpp"
#include "mongo/fields.hpp"
#include "mongo/names.hpp"

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

// What both parts of a document begin with: servers compare documents member by member, and nothing behind these two is ever reached,
// unless it is the same write again.
void add_mark(Document& part, const Mark& mark) { part.add_utf8("order", mark.order).add("turn", mark.turn); }

void add_text_if(Document& out, std::string_view name, std::string_view bytes) {
  if (!bytes.empty()) out.add_text(name, bytes);
}

bool may_be_json(std::string_view content_type) { return content_type.empty() || content_type.find("json") != std::string_view::npos; }

void add_held(Document& held, const Record& record) {
  Document keys;
  std::size_t count = 0;
  for (const auto key : record.keys) {
    if (!record.lost_keys.contains(key)) keys.push_text(count++, key);
  }
  held.add_array("keys", keys);
  held.add("stamp", record.stamp);
}

void add_record(Prepared& out, const Record& record, const Options& options) {
  auto& document = out.record;
  document.add_date("created_at", record.created_at);
  if (record.expires_at) document.add_date("expires_at", *record.expires_at);
  document.add("ttl_rule", static_cast<std::int32_t>(record.ttl_rule));
  add_text_if(document, "account", record.account);
  add_text_if(document, "flow", record.flow);
  add_text_if(document, "owner", record.owner);
  add_text_if(document, "content_type", record.content_type);
  if (!record.lost_keys.empty()) document.add_binary("lost", record.lost_keys.packed().view());
  const auto encoded = encoded_of(record);
  document.add_binary("content", digest_bytes(digest_of(encoded.view())));
  document.add_binary("head", encoded.view().substr(0, encoded.size() - record.payload.size()));
  if (record.payload.size() > options.max_inline_bytes) {
    out.pieces = record.payload;
    document.add("pieces", static_cast<std::int64_t>((record.payload.size() + options.max_inline_bytes - 1) / options.max_inline_bytes));
    return;
  }
  document.add_binary("payload", record.payload.view());
  // The document comes on top; where both do not fit, the bytes are what counts.
  if (options.payload != PayloadForm::kDocument || !may_be_json(record.content_type)) return;
  Document native;
  if (add_json(native, "document", record.payload.view()) && out.bytes() + native.bytes() < kMaxDocument) {
    bson_concat(document.out(), native.raw());
  }
}

}  // namespace

// With the names of the parts, and of the operators in raise_of().
std::size_t Prepared::bytes() const { return identity.bytes() + record.bytes() + held.bytes() + id.size() + 128; }

Result<Prepared> prepare(const ArchiveEntry& entry, const Options& options, std::int64_t turn) {
  if (auto checked = check(entry); !checked) return std::move(checked).error();
  Prepared out;
  out.id = document_id(entry.ns, entry.id);
  out.mark = {.order = order_of(entry.version, entry.revision), .turn = turn};
  out.tombstone = entry.tombstone;
  out.purge_at = entry.purge_at;
  out.identity.add("format", kFormat).add_text("ns", entry.ns).add_text("id", entry.id);
  add_mark(out.record, out.mark);
  out.record.add("version", entry.version).add("revision", entry.revision);
  if (entry.purge_at) out.record.add_date("purge_at", *entry.purge_at);
  if (entry.tombstone) {
    out.record.add_utf8("gone", to_string(entry.reason));
  } else {
    add_mark(out.held, out.mark);
    add_held(out.held, entry.record);
    add_record(out, entry.record, options);
  }
  const bool whole = out.identity.whole() && out.record.whole() && out.held.whole();
  if (!whole || out.bytes() > kMaxDocument) {
    return Error(ErrorCode::kTooLarge, fmt::format("the record needs a document of {} bytes; MongoDB takes {}", out.bytes(), kMaxDocument));
  }
  return out;
}

Document whole_of(const Prepared& document) {
  Document whole;
  whole.add_utf8("_id", document.id);
  bson_concat(whole.out(), document.identity.raw());
  whole.add("record", document.record);
  if (!document.tombstone) whole.add("held", document.held);
  return whole;
}

Document raise_of(const Prepared& document) {
  Document raised;
  raised.add("record", document.record);
  if (!document.tombstone) raised.add("held", document.held);
  Document update;
  update.add("$setOnInsert", document.identity).add("$max", raised);
  return update;
}

namespace {

// One field of `record`; false if it has another type than it must have.
bool take_of_record(Stored& out, const Value& field) {
  const auto name = field.name();
  if (name == "order") return take_text(field, out.order);
  if (name == "version") return take_number(field, out.meta.version);
  if (name == "revision") return take_number(field, out.meta.revision);
  if (name == "ttl_rule") return take_number(field, out.meta.ttl_rule);
  if (name == "account") return take_text(field, out.account);
  if (name == "flow") return take_text(field, out.flow);
  if (name == "head") return take_text(field, out.head);
  if (name == "payload") return take_text(field, out.payload);
  if (name == "pieces") return take_number(field, out.pieces);
  if (name == "lost") return take_packed_keys(field, out.meta.lost_keys);
  if (name == "expires_at") {
    out.meta.expires_at = field.time();
    return out.meta.expires_at.has_value();
  }
  if (name == "gone") {
    out.gone = reason_from(field.bytes().value_or(std::string_view()));
    return out.gone.has_value();
  }
  if (name == "content") {
    const auto digest = digest_from(field.bytes().value_or(std::string_view()));
    out.content = digest.value_or(Digest{});
    return digest.has_value();
  }
  return true;
}

bool take_of_held(Stored& out, const Value& field) {
  const auto name = field.name();
  if (name == "keys") return take_keys(field, out.keys.emplace());
  if (name == "stamp") return take_number(field, out.meta.stamp);
  return true;
}

// One field of a document. `within` is the name of the wrong one where it stands in a document within.
bool take(Stored& out, const Value& field, std::string& within) {
  const auto name = field.name();
  if (name == "_id") return take_text(field, out.id);
  if (name == "ns") return take_text(field, out.ns);
  if (name == "id") return take_text(field, out.record_id);
  if (name != "record" && name != "held") return true;
  if (!field.is_document()) return false;
  return field.each([&](const Value& part) {
    const bool taken = name == "record" ? take_of_record(out, part) : take_of_held(out, part);
    if (!taken) within.append(name).append(".").append(part.name());
    return taken;
  });
}

Error damaged(const Stored& stored, std::string_view what) { return corrupted(fmt::format("document \"{}\": {}", stored.id, what)); }

}  // namespace

Result<void> check_format_of(const bson_t* document) {
  const auto format = integer_or(document, "format", kFormat);
  if (format == kFormat) return {};
  return Error(ErrorCode::kUnsupported, fmt::format("the archive's document \"{}\" has format {}; this version reads {}",
                                                    text_or_empty(document, "_id"), format, kFormat));
}

Result<Stored> read_document(const bson_t* document) {
  if (auto known = check_format_of(document); !known) return std::move(known).error();
  Stored out;
  std::string within;
  const auto wrong = first_wrong_field(document, [&](const Value& field) { return take(out, field, within); });
  if (!wrong) return corrupted("a document is not BSON");
  if (!wrong->empty()) return damaged(out, fmt::format("the field {} is not what it must be", within.empty() ? *wrong : within));
  return out;
}

Result<Stored> read_document_with_keys(const bson_t* document) {
  auto stored = read_document(document);
  if (stored && !stored->keys) stored->keys.emplace();
  return stored;
}

namespace {

// True if `record`, of the document's head, has the keys that the document lists. What was not asked for agrees.
bool keys_agree(const Stored& stored, const Record& record) {
  if (!stored.keys) return true;
  std::size_t at = 0;
  for (const auto key : record.keys) {
    if (record.lost_keys.contains(key)) continue;
    if (at == stored.keys->size() || (*stored.keys)[at] != key) return false;
    ++at;
  }
  return at == stored.keys->size();
}

// As above, of the head alone: the payload comes last in it.
bool keys_agree(const Stored& stored) {
  if (!stored.keys) return true;
  const auto record = make_record(Payload::copy(stored.head), stored.meta);
  return record && keys_agree(stored, *record);
}

Digest unlike(const Digest& digest) { return {.high = ~digest.high, .low = digest.low}; }

}  // namespace

Digest content_of_bytes(const Stored& stored) {
  auto encoded = stored.head;
  encoded.append(stored.payload);
  const auto digest = digest_of(encoded);
  return digest == stored.content && keys_agree(stored) ? digest : unlike(digest);
}

Result<Record> record_of(Stored&& stored) {
  auto encoded = std::move(stored.head);
  encoded.append(stored.payload);
  if (digest_of(encoded) != stored.content) return damaged(stored, "its payload is not what was archived");
  auto record = make_record(Payload::adopt(std::move(encoded)), stored.meta);
  if (record && (record->ns != stored.ns || record->id != stored.record_id)) return damaged(stored, "its payload is of another one");
  if (record && !keys_agree(stored, *record)) return damaged(stored, "its keys are not those that were archived");
  return record;
}

Summary summary_of(const Stored& stored) {
  Summary summary;
  summary.ns = stored.ns;
  summary.id = stored.record_id;
  summary.hash = identity_hash(stored.ns, stored.record_id);
  summary.tombstone = stored.gone.has_value();
  summary.reason = stored.gone.value_or(TombstoneReason::kErased);
  summary.version = stored.meta.version;
  summary.revision = stored.meta.revision;
  summary.account = stored.account;
  summary.flow = stored.flow;
  if (!summary.tombstone) {
    summary.expires_at = stored.meta.expires_at;
    summary.content = keys_agree(stored) ? stored.content : unlike(stored.content);
  }
  return summary;
}

}  // namespace setget::inline v0::mongo
