#include "mongo/codec.hpp"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "mongo/errors.hpp"
#include "mongo/fields.hpp"
#include "mongo/names.hpp"

namespace setget::inline v0::mongo {
namespace {

// What a tombstone takes away from the record that it ends. Its keys and their stamp stay, so that they answer "gone" and do not fall back
// to an earlier holder.
constexpr std::array kOfRecords = {"created_at", "expires_at", "ttl_rule", "owner",    "content_type", "lost",
                                   "content",    "head",       "payload",  "document", "pieces"};

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

// What records and tombstones have in common, beside _id.
void add_common(Document& out, const ArchiveEntry& entry, const std::string& order) {
  out.add("format", kFormat);
  out.add_utf8("order", order);
  out.add_text("ns", entry.ns);
  out.add_text("id", entry.id);
  out.add("version", entry.version);
  out.add("revision", entry.revision);
  if (entry.purge_at) out.add_date("purge_at", *entry.purge_at);
}

void add_text_if(Document& out, std::string_view name, std::string_view bytes) {
  if (!bytes.empty()) out.add_text(name, bytes);
}

bool may_be_json(std::string_view content_type) { return content_type.empty() || content_type.find("json") != std::string_view::npos; }

void add_record(Prepared& out, const ArchiveEntry& entry, const Options& options) {
  const auto& record = entry.record;
  auto& document = out.whole;
  Document keys;
  std::size_t count = 0;
  for (const auto key : record.keys) {
    if (!record.lost_keys.contains(key)) keys.push_text(count++, key);
  }
  document.add_array("keys", keys);
  document.add("stamp", record.stamp);
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
  if (add_json(native, "document", record.payload.view()) && document.bytes() + native.bytes() < kMaxDocument) {
    bson_concat(document.out(), native.raw());
  }
}

}  // namespace

Result<Prepared> prepare(const ArchiveEntry& entry, const Options& options) {
  if (auto checked = check(entry); !checked) return std::move(checked).error();
  Prepared out;
  out.id = document_id(entry.ns, entry.id);
  out.order = order_of(entry.version, entry.revision);
  out.tombstone = entry.tombstone;
  out.purge_at = entry.purge_at;
  out.whole.add_utf8("_id", out.id);
  add_common(out.whole, entry, out.order);
  if (entry.tombstone) {
    out.whole.add_utf8("gone", to_string(entry.reason));
    Document fields;
    add_common(fields, entry, out.order);
    fields.add_utf8("gone", to_string(entry.reason));
    Document dropped;
    for (const auto* name : kOfRecords) dropped.add_utf8(name, "");
    if (!entry.purge_at) dropped.add_utf8("purge_at", "");
    out.change.add("$set", fields).add("$unset", dropped);
  } else {
    add_record(out, entry, options);
  }
  if (!out.whole.whole() || out.whole.bytes() > kMaxDocument) {
    return Error(ErrorCode::kTooLarge,
                 fmt::format("the record needs a document of {} bytes; MongoDB takes {}", out.whole.bytes(), kMaxDocument));
  }
  return out;
}

namespace {

// One field of a document; false if it has another type than it must have.
bool take(Stored& out, const Value& field, std::int64_t& format) {
  const auto name = field.name();
  if (name == "_id") return take_text(field, out.id);
  if (name == "format") return take_number(field, format);
  if (name == "order") return take_text(field, out.order);
  if (name == "ns") return take_text(field, out.ns);
  if (name == "id") return take_text(field, out.record_id);
  if (name == "version") return take_number(field, out.meta.version);
  if (name == "revision") return take_number(field, out.meta.revision);
  if (name == "stamp") return take_number(field, out.meta.stamp);
  if (name == "ttl_rule") return take_number(field, out.meta.ttl_rule);
  if (name == "account") return take_text(field, out.account);
  if (name == "flow") return take_text(field, out.flow);
  if (name == "head") return take_text(field, out.head);
  if (name == "payload") return take_text(field, out.payload);
  if (name == "pieces") return take_number(field, out.pieces);
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
  if (name == "keys") return take_keys(field, out.keys.emplace());
  if (name == "lost") return take_packed_keys(field, out.meta.lost_keys);
  return true;
}

Error damaged(const Stored& stored, std::string_view what) { return corrupted(fmt::format("document \"{}\": {}", stored.id, what)); }

}  // namespace

Result<Stored> read_document(const bson_t* document) {
  Stored out;
  std::int64_t format = kFormat;
  const auto wrong = first_wrong_field(document, [&](const Value& field) { return take(out, field, format); });
  if (!wrong) return corrupted("a document is not BSON");
  if (!wrong->empty()) return damaged(out, fmt::format("the field {} is not what it must be", *wrong));
  if (format > kFormat) {
    return Error(ErrorCode::kUnsupported,
                 fmt::format("the archive's document \"{}\" has format {}; this version reads {}", out.id, format, kFormat));
  }
  return out;
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
  return keys_agree(stored) ? digest : unlike(digest);
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
