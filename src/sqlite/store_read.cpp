// Reads of the key store: by key, by id, lists, scans and range digests.
#include "core/range_digest.hpp"
#include "core/scan_cursor.hpp"
#include "sqlite/book.hpp"
#include "sqlite/codec.hpp"
#include "sqlite/store.hpp"
#include "sqlite/store_damage.hpp"
#include "sqlite/store_txn.hpp"

namespace setget::inline v0::sqlite {

namespace {

using State = IdentitySlot::State;

StoredMeta meta_of(const IdentRow& ident) {
  const auto& slot = ident.slot;
  return {.version = slot.version,
          .revision = slot.revision,
          .stamp = slot.stamp,
          .expires_at = slot.expires_at,
          .ttl_rule = slot.ttl_rule,
          .lost_keys = ident.lost_keys};
}

Record record_of(const Payload& body, const StoredMeta& meta) {
  auto record = make_record(body, meta);
  if (!record) throw SqlError(std::move(record).error());
  return std::move(*record);
}

Payload body_of(Connection& db, std::int64_t row) {
  auto body = db.query("SELECT sum, body FROM log WHERE stamp=?1");
  if (!body.with(row).step()) throw_damaged("a record without its body");
  return checked_body(body.blob(1), body.integer(0));
}

// What one page costs at most, whatever its request's conditions: while it is read, no checkpoint can pass it. Beyond, it ends short.
constexpr std::size_t kRowsOfPage = 10'000;
constexpr std::size_t kBytesOfPage = kListPageBytes;
constexpr std::size_t kRowsBetweenLooks = 64;  // at the deadline

class PageLimit {
 public:
  explicit PageLimit(Deadline deadline) noexcept : deadline_(deadline) {}
  // For each row, before it is looked at.
  void count_row() noexcept {
    ++rows_;
    late_ = late_ || (rows_ % kRowsBetweenLooks == 0 && deadline_.passed());
  }
  void count_bytes(std::size_t bytes) noexcept { bytes_ += bytes; }
  bool late() const noexcept { return late_; }
  // The row that was counted last is the page's last one.
  bool reached() const noexcept { return late_ || rows_ >= kRowsOfPage || bytes_ >= kBytesOfPage; }

 private:
  Deadline deadline_;
  std::size_t rows_ = 0;
  std::size_t bytes_ = 0;
  bool late_ = false;
};

Lookup gone() { return {.status = Lookup::Status::kGone, .record = std::nullopt}; }

// One key. Sets `needs_more` where the narrow row does not tell everything, and the caller must look again within a transaction.
Lookup look_up(Connection& db, std::string_view ns, std::string_view key, TimePoint now, bool in_transaction, bool& needs_more) {
  const auto name = qualified(ns, key);
  auto row = db.query("SELECT keys.row, keys.more, log.sum, log.body FROM keys LEFT JOIN log ON log.stamp=keys.row WHERE keys.nskey=?1");
  if (!row.with(Text{name}).step()) return {};
  const auto at = row_column(row, 0);
  if (!at) return gone();
  const auto stored = decode_key(at, row.blob(1));
  if (stored.expires_at && *stored.expires_at <= now) return gone();
  if (!stored.plain && !in_transaction) {
    needs_more = true;
    return {};
  }
  if (row.is_null(2)) throw_damaged("a key leads to a record that is not there");
  const auto body = checked_body(row.blob(3), row.integer(2));
  StoredMeta meta;
  meta.version = meta.stamp = static_cast<Stamp>(*at);
  meta.expires_at = stored.expires_at;
  meta.ttl_rule = stored.ttl_rule;
  auto record = record_of(body, meta);
  if (!record.keys.contains(key) || record.ns != ns) throw_damaged("a key leads to another key's record");
  if (!stored.plain) {
    const auto ident = find_ident(db, ns, record.id);
    if (!ident || row_of(ident->slot) != *at) throw_damaged("a key leads to a record that is not there");
    const auto full = meta_of(*ident);
    record.version = full.version;
    record.revision = full.revision;
    record.stamp = full.stamp;
    record.created_at = time_of(full.stamp);
    record.lost_keys = full.lost_keys;
  }
  return {.status = Lookup::Status::kFound, .record = std::move(record)};
}

}  // namespace

Result<std::vector<Lookup>> SqliteStore::get(const GetRecords& request) {
  if (request.keys.size() == 1) {
    bool needs_more = false;
    auto found = engine_->read_one(Reads::kGets, [&](Connection& db) -> Result<Lookup> {
      return look_up(db, request.ns, request.keys.front(), request.now, false, needs_more);
    });
    if (!found) return std::move(found).error();
    if (!needs_more) {
      std::vector<Lookup> lookups;
      lookups.push_back(std::move(*found));
      return lookups;
    }
  }
  return engine_->read(Reads::kGets, [&](Connection& db) -> Result<std::vector<Lookup>> {
    std::vector<Lookup> lookups;
    lookups.reserve(request.keys.size());
    bool ignored = false;
    for (const auto key : request.keys) lookups.push_back(look_up(db, request.ns, key, request.now, true, ignored));
    return lookups;
  });
}

Result<Lookup> SqliteStore::get_by_id(const GetById& request) {
  return engine_->read(Reads::kGets, [&](Connection& db) -> Result<Lookup> {
    const auto ident = find_ident(db, request.ns, request.id);
    if (!ident || ident->slot.state == State::kAbsent) return Lookup{};
    if (ident->slot.state == State::kTombstone || (ident->slot.expires_at && *ident->slot.expires_at <= request.now)) return gone();
    return Lookup{.status = Lookup::Status::kFound, .record = record_of(body_of(db, row_of(ident->slot)), meta_of(*ident))};
  });
}

namespace {

// The line of an identity's row (h, nsid, row, more); empty where it is only remembered. Throws where it is damaged.
std::optional<Summary> summary_of(Connection& db, Query& row, bool with_record, PageLimit& limit) {
  const auto ident = decode_ident(row_column(row, 2), row.blob(3));
  if (ident.slot.state == State::kAbsent) return std::nullopt;
  const auto name = split_qualified(row.blob(1));
  Summary item;
  item.hash = row.number(0);
  item.ns = name.ns;
  item.id = name.name;
  item.tombstone = ident.slot.state == State::kTombstone;
  item.reason = ident.slot.reason;
  item.version = ident.slot.version;
  item.revision = ident.slot.revision;
  if (item.tombstone) return item;
  item.expires_at = ident.slot.expires_at;
  item.stamp = ident.slot.stamp;
  item.ttl_rule = ident.slot.ttl_rule;
  auto record = record_of(body_of(db, row_of(ident.slot)), meta_of(ident));
  limit.count_bytes(record.payload.size());
  item.account = record.account;
  item.flow = record.flow;
  item.content = content_digest(record);
  if (with_record) item.record = std::move(record);
  return item;
}

}  // namespace

Result<SummaryPage> SqliteStore::scan(const ScanRecords& request) {
  if (request.limit == 0) return Error(ErrorCode::kInvalidArgument, "limit must be > 0").at_field("limit");
  detail::ScanCursor after;
  if (!request.cursor.empty()) {
    auto cursor = detail::decode_scan_cursor(request.cursor);
    if (!cursor) return std::move(cursor).error();
    after = std::move(*cursor);
  }
  return engine_->read([&](Connection& db) -> Result<SummaryPage> {
    SummaryPage page;
    const auto start = request.cursor.empty() ? std::string() : qualified(after.ns, after.id);
    auto row = db.query("SELECT h, nsid, row, more FROM ident WHERE (h, nsid) > (?1, ?2) ORDER BY h, nsid");
    row.with(request.cursor.empty() ? std::int64_t{-1} : hash_column(after.hash), start);
    PageLimit limit(request.deadline);
    std::size_t found = 0;
    bool more = true;
    while (more && row.step()) {
      limit.count_row();
      const auto name = split_qualified(row.blob(1));
      const auto hash = row.number(0);
      std::optional<Summary> item;
      try {
        item = summary_of(db, row, request.with_records, limit);
        if (!item) {
          if (limit.late() && found == 0) return Error(ErrorCode::kDeadlineExceeded, "nothing to scan was found before the deadline");
          continue;
        }
      } catch (const SqlError& failed) {
        if (!request.over_damaged || !is_damage(failed.error())) throw;
        page.damaged.push_back({.hash = hash,
                                .ns = std::string(name.ns),
                                .id = std::string(name.name),
                                .name = {},
                                .reason = std::string(failed.error().message())});
      }
      more = ++found < request.limit && !limit.reached();
      if (!more) page.next = detail::encode_scan_cursor(hash, name.ns, name.name);
      if (item) page.items.push_back(*std::move(item));
    }
    return page;
  });
}

namespace {

// content_digest() of the record in this row. Bytes without what only concerned its set are what that is a digest of.
Digest read_content(Connection& db, const IdentRow& ident, PageLimit& limit) {
  auto row = db.query("SELECT sum, body FROM log WHERE stamp=?1");
  if (!row.with(row_of(ident.slot)).step()) throw_damaged("a record without its body");
  const auto body = row.blob(1);
  limit.count_bytes(body.size());
  const auto digest = checked_digest(body, row.integer(0));
  auto record = record_of(Payload::share(nullptr, body), meta_of(ident));
  const auto payload = std::exchange(record.payload, {});
  const auto head = encoded_of(record);
  if (head.size() + payload.size() == body.size() && body.starts_with(head.view())) return digest;
  record.payload = payload;
  return content_digest(record);
}

// Of an identity's row (h, nsid, row, more); empty where it does not count.
std::optional<Digest> digest_of_row(Connection& db, Query& row, const DigestRecords& request, PageLimit& limit) {
  const auto hash = row.number(0);
  const auto name = split_qualified(row.blob(1));
  try {
    const auto ident = decode_ident(row_column(row, 2), row.blob(3));
    const auto& slot = ident.slot;
    if (slot.state != State::kLive || !detail::counts(false, slot.expires_at, request.now)) return std::nullopt;
    return detail::entry_digest({.ns = name.ns,
                                 .id = name.name,
                                 .version = slot.version,
                                 .revision = slot.revision,
                                 .stamp = slot.stamp,
                                 .ttl_rule = slot.ttl_rule,
                                 .expires_at = slot.expires_at,
                                 .content = ident.content && !request.deep.takes(hash) ? *ident.content : read_content(db, ident, limit)});
  } catch (const SqlError& failed) {
    if (!is_damage(failed.error())) throw;
    // Its range is like no other, and whoever looks at it closely finds it.
    return detail::entry_digest({.ns = name.ns, .id = name.name});
  }
}

// Of the identities of one look, with their hashes, and where the next look begins.
struct DigestPage {
  std::vector<std::pair<std::uint64_t, Digest>> entries{};
  std::int64_t last_hash = -1;
  std::string last_name{};
  bool more = false;
};

DigestPage digests_behind(Connection& db, std::int64_t hash, std::string_view name, const DigestRecords& request) {
  DigestPage page;
  auto row = db.query("SELECT h, nsid, row, more FROM ident WHERE (h, nsid) > (?1, ?2) ORDER BY h, nsid");
  row.with(hash, name);
  PageLimit limit(request.deadline);
  std::size_t looked_at = 0;
  while (!page.more && row.step()) {
    limit.count_row();
    if (const auto digest = digest_of_row(db, row, request, limit)) page.entries.emplace_back(row.number(0), *digest);
    page.more = ++looked_at >= std::max<std::size_t>(request.page, 1) || limit.reached();
    if (page.more) {
      page.last_hash = row.integer(0);
      page.last_name = row.blob(1);
    }
  }
  return page;
}

}  // namespace

// As the scan has them, out of the identities alone: of bodies only what a deep verification looks at is read.
Result<std::vector<RangeDigest>> SqliteStore::digest(const DigestRecords& request) {
  auto sums = detail::RangeSums::of(request);
  if (!sums) return std::move(sums).error();
  DigestPage page;
  do {
    if (request.go_on) {
      if (auto on = request.go_on(); !on) return std::move(on).error();
    }
    if (request.deadline.passed()) return Error(ErrorCode::kDeadlineExceeded, "the deadline passed before all records were looked at");
    auto next =
        engine_->read([&](Connection& db) -> Result<DigestPage> { return digests_behind(db, page.last_hash, page.last_name, request); });
    if (!next) return std::move(next).error();
    page = *std::move(next);
    for (const auto& [hash, entry] : page.entries) sums->add(hash, entry);
  } while (page.more);
  return sums->take();
}

namespace {

// Of a namespace, after a place: the first three parameters.
Query list_rows(Connection& db, const ListRecords& request) {
  if (!request.account.empty() && !request.flow.empty()) {
    auto row = db.query(
        "SELECT h, id, row, account, flow, owner FROM listing WHERE ns=?1 AND account=?4 AND flow=?5 AND (h, id) > (?2, ?3) ORDER BY h, "
        "id");
    row.bind(4, request.account);
    row.bind(5, request.flow);
    return row;
  }
  if (!request.owner.empty()) {
    auto row =
        db.query("SELECT h, id, row, account, flow, owner FROM listing WHERE ns=?1 AND owner=?4 AND (h, id) > (?2, ?3) ORDER BY h, id");
    row.bind(4, request.owner);
    return row;
  }
  return db.query("SELECT h, id, row, account, flow, owner FROM listing WHERE ns=?1 AND (h, id) > (?2, ?3) ORDER BY h, id");
}

}  // namespace

Result<ListPage> SqliteStore::list(const ListRecords& request) {
  if (request.limit == 0) return Error(ErrorCode::kInvalidArgument, "limit must be > 0").at_field("limit");
  detail::ScanCursor after;
  if (!request.cursor.empty()) {
    auto cursor = detail::decode_scan_cursor(request.cursor);
    if (!cursor) return std::move(cursor).error();
    after = std::move(*cursor);
  }
  std::vector<std::int64_t> damaged;
  auto answer = engine_->read([&](Connection& db) -> Result<ListPage> {
    damaged.clear();
    const auto hash = request.cursor.empty() ? std::int64_t{-1} : hash_column(after.hash);
    // By the index that fits; the conditions that it does not cover are tested here, so that rows which do not pass count.
    auto row = list_rows(db, request);
    row.bind(1, request.ns);
    row.bind(2, hash);
    row.bind(3, std::string_view(after.id));
    const auto passes = [&](int column, std::string_view wanted) { return wanted.empty() || row.blob(column) == wanted; };
    ListPage page;
    PageLimit limit(request.deadline);
    bool more = true;
    while (more && row.step()) {
      limit.count_row();
      if (passes(3, request.account) && passes(4, request.flow) && passes(5, request.owner)) {
        try {
          const auto ident = find_ident(db, request.ns, row.blob(1));
          if (!ident || ident->slot.state != State::kLive) throw_damaged("a listing of a record that is not there");
          if (!ident->slot.expires_at || *ident->slot.expires_at > request.now) {
            page.records.push_back(record_of(body_of(db, row.integer(2)), meta_of(*ident)));
            limit.count_bytes(page.records.back().payload.size());
          }
        } catch (const SqlError& failed) {
          // The others of the list are as good as before.
          if (!is_damage(failed.error())) throw;
          damaged.push_back(row.integer(2));
        }
      }
      more = page.records.size() < request.limit && !limit.reached();
      if (!more) page.next = detail::encode_scan_cursor(row.number(0), request.ns, row.blob(1));
    }
    return page;
  });
  for (const auto row : damaged) {
    if (complaints_.first(static_cast<std::uint64_t>(row))) {
      engine_->log(LogLevel::kError, "a record is damaged, and lists are without it: 'setget doctor' names it",
                   {{"namespace", request.ns}, {"row", std::to_string(row)}});
    }
  }
  return answer;
}

}  // namespace setget::inline v0::sqlite
