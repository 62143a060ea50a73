#include "sqlite/archive_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/scan_cursor.hpp"
#include "sqlite/archive_codec.hpp"
#include "sqlite/codec.hpp"

namespace setget::inline v0::sqlite {

namespace {

// The columns of every query that gives a document, in the order of Column.
#define SETGET_DOCUMENT \
  "d.row, d.ns, d.id, d.version, d.revision, d.gone, d.stamp, d.expires_at, d.ttl_rule, d.account, d.flow, d.content, d.lost, d.kept"
enum Column : int {
  kRow,
  kNs,
  kId,
  kVersion,
  kRevision,
  kGone,
  kStamp,
  kExpiresAt,
  kTtlRule,
  kAccount,
  kFlow,
  kContent,
  kLost,
  kKept,
  kBody
};

Error damaged(std::string_view ns, std::string_view id, std::string_view what) {
  return {ErrorCode::kCorrupted,
          "the archived document '" + std::string(ns) + "/" + std::string(id) + "' is damaged: " + std::string(what)};
}

std::optional<std::int64_t> as_column(const std::optional<TimePoint>& time) {
  return time ? std::optional(time->time_since_epoch().count()) : std::nullopt;
}
std::optional<TimePoint> as_time(const Query& row, int column) {
  return row.is_null(column) ? std::nullopt : std::optional(TimePoint(Milliseconds(row.integer(column))));
}

std::optional<TombstoneReason> as_reason(std::int64_t value) {
  if (value < static_cast<int>(TombstoneReason::kErased) || value > static_cast<int>(TombstoneReason::kExpired)) return std::nullopt;
  return static_cast<TombstoneReason>(value);
}

// A document as its narrow row says.
struct Document {
  std::int64_t row = 0;
  Version version = 0;
  Revision revision = 0;
  bool tombstone = false;
  std::string content;
  KeyList lost;  // live
  KeyList kept;  // tombstone: the keys that led to it
};

Result<std::optional<Document>> load_document(Connection& db, std::string_view ns, std::string_view id) {
  auto row = db.query("SELECT " SETGET_DOCUMENT " FROM archive_doc d WHERE d.h = ? AND d.ns = ? AND d.id = ?");
  row.with(identity_hash(ns, id), ns, id);
  if (!row.step()) return std::optional<Document>();
  Document document{.row = row.integer(kRow),
                    .version = row.number(kVersion),
                    .revision = row.number(kRevision),
                    .tombstone = !row.is_null(kGone),
                    .content = row.text(kContent),
                    .lost = {},
                    .kept = {}};
  auto lost = unpack_keys(row.blob(kLost));
  if (!lost) return std::move(lost).error();
  document.lost = *std::move(lost);
  auto kept = unpack_keys(row.blob(kKept));
  if (!kept) return std::move(kept).error();
  document.kept = *std::move(kept);
  return std::optional(std::move(document));
}

// What a stored document leads to by key, and how long its body is.
struct Held {
  KeyList keys;
  std::size_t body_bytes = 0;
};

Result<Held> load_held(Connection& db, std::string_view ns, std::string_view id, const Document& document) {
  if (document.tombstone) return Held{.keys = document.kept, .body_bytes = 0};
  auto row = db.query("SELECT body FROM archive_body WHERE row = ?");
  row.with(document.row);
  if (!row.step()) return damaged(ns, id, "its payload is missing");
  const auto body = row.blob(0);
  auto command = decode_command(Payload::share(nullptr, body));
  if (!command) return std::move(command).error();
  return Held{.keys = KeyList(held_keys(command->keys, document.lost)), .body_bytes = body.size()};
}

void change_keys(Connection& db, std::string_view ns, std::int64_t row, const KeyList& before, const KeyList& after) {
  if (before == after) return;
  for (const auto key : before) {
    if (!after.contains(key))
      db.run("DELETE FROM archive_key WHERE h = ? AND ns = ? AND key = ? AND row = ?", key_hash(ns, key), ns, key, row);
  }
  for (const auto key : after) {
    if (!before.contains(key))
      db.run("INSERT OR IGNORE INTO archive_key(h, ns, key, row) VALUES(?, ?, ?, ?)", key_hash(ns, key), ns, key, row);
  }
}

std::int64_t make_row(Connection& db, const ArchiveEntry& entry) {
  db.run(
      "INSERT INTO archive_doc(h, ns, id, version, revision, stamp, ttl_rule, account, flow) "
      "VALUES(?, ?, ?, 0, 0, 0, 0, x'', x'')",
      identity_hash(entry.ns, entry.id), entry.ns, entry.id);
  return sqlite3_last_insert_rowid(db.handle());
}

std::optional<std::string_view> unless_empty(std::string_view bytes) { return bytes.empty() ? std::nullopt : std::optional(bytes); }

void write_tombstone(Connection& db, const ArchiveEntry& entry, std::int64_t row, const Held& held, bool was_live, ArchiveDelta& delta) {
  if (was_live) db.run("DELETE FROM archive_body WHERE row = ?", row);
  // Its keys stay, so that they answer "gone" and not "unknown" until it is purged.
  db.run(
      "UPDATE archive_doc SET version = ?, revision = ?, gone = ?, expires_at = NULL, purge_at = ?, content = NULL, lost = NULL, kept = ? "
      "WHERE row = ?",
      entry.version, entry.revision, static_cast<int>(entry.reason), as_column(entry.purge_at), unless_empty(held.keys.packed().view()),
      row);
  delta.bytes -= static_cast<std::int64_t>(held.body_bytes);
}

void write_record(Connection& db, const ArchiveEntry& entry, std::int64_t row, const Held& held, std::string_view old_content,
                  ArchiveDelta& delta) {
  const auto& record = entry.record;
  const auto body = encoded_of(record);
  const auto content = encode_digest(digest_of(body.view()));
  // A touch changes nothing of the payload: its pages stay as they are.
  if (content != old_content) {
    db.run("INSERT OR REPLACE INTO archive_body(row, body) VALUES(?, ?)", row, body.view());
    delta.bytes += static_cast<std::int64_t>(body.size()) - static_cast<std::int64_t>(held.body_bytes);
  }
  db.run(
      "UPDATE archive_doc SET version = ?, revision = ?, gone = NULL, stamp = ?, expires_at = ?, ttl_rule = ?, purge_at = ?, account = ?, "
      "flow = ?, content = ?, lost = ?, kept = NULL WHERE row = ?",
      entry.version, entry.revision, record.stamp, as_column(record.expires_at), static_cast<int>(record.ttl_rule),
      as_column(entry.purge_at), record.account, record.flow, content, unless_empty(record.lost_keys.packed().view()), row);
  change_keys(db, entry.ns, row, held.keys, KeyList(held_keys(record.keys, record.lost_keys)));
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

// Of a document that cannot be read nothing tells its keys: they are looked for.
void drop_damaged(Connection& db, std::int64_t row, bool tombstone, ArchiveDelta& delta) {
  {
    auto body = db.query("SELECT length(body) FROM archive_body WHERE row = ?");
    body.with(row);
    if (body.step()) delta.bytes -= body.integer(0);
  }
  db.run("DELETE FROM archive_key WHERE row = ?", row);
  db.run("DELETE FROM archive_body WHERE row = ?", row);
  db.run("DELETE FROM archive_doc WHERE row = ?", row);
  (tombstone ? delta.tombstones : delta.records) -= 1;
}

Result<bool> drop(Connection& db, std::string_view ns, std::string_view id, const Document& document, ArchiveDelta& delta) {
  const auto held = load_held(db, ns, id, document);
  if (!held) {
    drop_damaged(db, document.row, document.tombstone, delta);
    return true;
  }
  change_keys(db, ns, document.row, held->keys, {});
  db.run("DELETE FROM archive_body WHERE row = ?", document.row);
  db.run("DELETE FROM archive_doc WHERE row = ?", document.row);
  (document.tombstone ? delta.tombstones : delta.records) -= 1;
  delta.bytes -= static_cast<std::int64_t>(held->body_bytes);
  return true;
}

// The record of a row of SETGET_DOCUMENT and its body. What is returned is what was archived: anything else is an error. What the record is
// made of goes to `*encoded`, where that is given.
Result<Record> record_of(const Query& row, Payload* encoded = nullptr) {
  const auto ns = row.blob(kNs);
  const auto id = row.blob(kId);
  if (row.is_null(kBody)) return damaged(ns, id, "its payload is missing");
  const auto body = row.blob(kBody);
  if (decode_digest(row.blob(kContent)) != digest_of(body)) return damaged(ns, id, "its payload is not what was archived");
  StoredMeta meta{.version = row.number(kVersion),
                  .revision = row.number(kRevision),
                  .stamp = row.number(kStamp),
                  .expires_at = as_time(row, kExpiresAt),
                  .ttl_rule = static_cast<TtlRule>(row.integer(kTtlRule)),
                  .lost_keys = {}};
  auto lost = unpack_keys(row.blob(kLost));
  if (!lost) return std::move(lost).error();
  meta.lost_keys = *std::move(lost);
  auto bytes = Payload::copy(body);
  auto record = make_record(bytes, meta);
  if (record && encoded != nullptr) *encoded = std::move(bytes);
  if (record && (record->ns != ns || record->id != id)) return damaged(ns, id, "its payload is of another one");
  return record;
}

Result<Lookup> lookup_of(const Query& row, TimePoint now) {
  const auto expires_at = as_time(row, kExpiresAt);
  if (!row.is_null(kGone) || (expires_at && *expires_at <= now)) return Lookup{.status = Lookup::Status::kGone, .record = {}};
  auto record = record_of(row);
  if (!record) return std::move(record).error();
  return Lookup{.status = Lookup::Status::kFound, .record = *std::move(record)};
}

Result<Summary> summary_of(const Query& row, bool with_record) {
  Summary summary;
  summary.ns = row.text(kNs);
  summary.id = row.text(kId);
  summary.hash = identity_hash(summary.ns, summary.id);
  summary.version = row.number(kVersion);
  summary.revision = row.number(kRevision);
  summary.expires_at = as_time(row, kExpiresAt);
  summary.account = row.text(kAccount);
  summary.flow = row.text(kFlow);
  summary.tombstone = !row.is_null(kGone);
  if (summary.tombstone) {
    const auto reason = as_reason(row.integer(kGone));
    if (!reason) return damaged(summary.ns, summary.id, "unknown reason of a tombstone");
    summary.reason = *reason;
    return summary;
  }
  const auto content = decode_digest(row.blob(kContent));
  if (!content) return damaged(summary.ns, summary.id, "its digest is missing");
  summary.content = *content;
  summary.stamp = row.number(kStamp);
  summary.ttl_rule = static_cast<TtlRule>(row.integer(kTtlRule));
  if (with_record) {
    auto record = record_of(row, &summary.encoded);
    if (!record) return std::move(record).error();
    summary.record = *std::move(record);
  }
  return summary;
}

}  // namespace

Result<ArchiveWrite> put_document(Connection& db, const ArchiveEntry& entry, ArchiveDelta& delta) {
  if (auto checked = check(entry); !checked) return std::move(checked).error();
  const auto found = load_document(db, entry.ns, entry.id);
  if (!found) return found.error();
  const auto& before = *found;
  if (before && std::pair(before->version, before->revision) >= std::pair(entry.version, entry.revision)) return ArchiveWrite::kOlder;

  Held held;
  if (before) {
    auto loaded = load_held(db, entry.ns, entry.id, *before);
    if (!loaded) return std::move(loaded).error();
    held = *std::move(loaded);
    (before->tombstone ? delta.tombstones : delta.records) -= 1;
  }
  const auto row = before ? before->row : make_row(db, entry);
  if (entry.tombstone) {
    write_tombstone(db, entry, row, held, before && !before->tombstone, delta);
  } else {
    write_record(db, entry, row, held, before ? std::string_view(before->content) : std::string_view(), delta);
  }
  (entry.tombstone ? delta.tombstones : delta.records) += 1;
  return ArchiveWrite::kWritten;
}

Result<bool> drop_document(Connection& db, std::string_view ns, std::string_view id, ArchiveDelta& delta) {
  const auto found = load_document(db, ns, id);
  if (found) return *found ? drop(db, ns, id, **found, delta) : Result<bool>(false);
  std::int64_t damaged = 0;
  bool tombstone = false;
  {
    auto row = db.query("SELECT row, gone FROM archive_doc WHERE h = ? AND ns = ? AND id = ?");
    row.with(identity_hash(ns, id), ns, id);
    if (!row.step()) return false;
    damaged = row.integer(0);
    tombstone = !row.is_null(1);
  }
  drop_damaged(db, damaged, tombstone, delta);
  return true;
}

std::string tag_of_document(Connection& db, std::string_view ns, std::string_view id) {
  auto row = db.query("SELECT version, revision, row, hex(content) FROM archive_doc WHERE h = ? AND ns = ? AND id = ?");
  row.with(identity_hash(ns, id), ns, id);
  return row.step() ? fmt::format("{}.{}.{}.{}", row.number(0), row.number(1), row.integer(2), row.text(3)) : std::string();
}

Result<std::size_t> purge_documents(Connection& db, TimePoint now, std::size_t limit, ArchiveDelta& delta) {
  std::vector<ArchiveId> due;
  {
    auto row = db.query("SELECT ns, id FROM archive_doc WHERE purge_at <= ? ORDER BY purge_at LIMIT ?");
    row.with(now.time_since_epoch().count(), limit);
    while (row.step()) due.push_back({row.text(0), row.text(1)});
  }
  for (const auto& document : due) {
    if (auto dropped = drop_document(db, document.ns, document.id, delta); !dropped) return std::move(dropped).error();
  }
  return due.size();
}

void add_totals(Connection& db, const ArchiveDelta& delta) {
  if (delta.records == 0 && delta.tombstones == 0 && delta.bytes == 0) return;
  db.run("UPDATE archive_state SET records = records + ?, tombstones = tombstones + ?, bytes = bytes + ? WHERE one = 1", delta.records,
         delta.tombstones, delta.bytes);
}

Result<Lookup> find_by_key(Connection& db, std::string_view ns, std::string_view key, TimePoint now) {
  // Two documents can list a key until a later run says which one lost it: the later acceptance has it.
  auto row = db.query("SELECT " SETGET_DOCUMENT
                      ", b.body FROM archive_key k JOIN archive_doc d ON d.row = k.row LEFT JOIN archive_body b ON b.row = d.row "
                      "WHERE k.h = ? AND k.ns = ? AND k.key = ? ORDER BY d.stamp DESC, d.id DESC LIMIT 1");
  row.with(key_hash(ns, key), ns, key);
  if (!row.step()) return Lookup{};
  auto lookup = lookup_of(row, now);
  if (lookup && lookup->record && !lookup->record->keys.contains(key))
    return damaged(row.blob(kNs), row.blob(kId), "it does not list the key");
  return lookup;
}

Result<Lookup> find_by_id(Connection& db, std::string_view ns, std::string_view id, TimePoint now) {
  auto row = db.query("SELECT " SETGET_DOCUMENT
                      ", b.body FROM archive_doc d LEFT JOIN archive_body b ON b.row = d.row WHERE d.h = ? AND d.ns = ? AND d.id = ?");
  row.with(identity_hash(ns, id), ns, id);
  if (!row.step()) return Lookup{};
  return lookup_of(row, now);
}

Result<SummaryPage> scan_documents(Connection& db, const ScanArchive& request) {
  detail::ScanCursor from;
  if (!request.cursor.empty()) {
    auto decoded = detail::decode_scan_cursor(request.cursor);
    if (!decoded) return std::move(decoded).error();
    from = *std::move(decoded);
  }
  // One more than asked tells whether this page is the last.
  const auto limit = std::clamp<std::size_t>(request.limit, 1, 1u << 20);
  auto row = request.with_records ? db.query("SELECT " SETGET_DOCUMENT
                                             ", b.body FROM archive_doc d LEFT JOIN archive_body b ON b.row = d.row "
                                             "WHERE (d.h, d.ns, d.id) > (?, ?, ?) ORDER BY d.h, d.ns, d.id LIMIT ?")
                                  : db.query("SELECT " SETGET_DOCUMENT
                                             " FROM archive_doc d WHERE (d.h, d.ns, d.id) > (?, ?, ?) ORDER BY d.h, d.ns, d.id LIMIT ?");
  row.with(from.hash, from.ns, from.id, limit + 1);
  SummaryPage page;
  for (std::size_t rows = 0; row.step(); ++rows) {
    if (rows == limit) {
      page.next = detail::encode_scan_cursor(from.hash, from.ns, from.id);
      break;
    }
    from.ns = row.text(kNs);
    from.id = row.text(kId);
    from.hash = identity_hash(from.ns, from.id);
    auto summary = summary_of(row, request.with_records);
    if (summary) {
      page.items.push_back(*std::move(summary));
    } else if (request.over_damaged) {
      page.damaged.push_back({.hash = from.hash, .ns = from.ns, .id = from.id, .name = {}, .reason = summary.error().message()});
    } else {
      return std::move(summary).error();
    }
  }
  return page;
}

#undef SETGET_DOCUMENT

}  // namespace setget::inline v0::sqlite
