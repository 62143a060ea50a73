#include "sqlite/archive_quarantine.hpp"

#include <algorithm>
#include <utility>

#include "core/scan_cursor.hpp"

namespace setget::inline v0::sqlite {

namespace {

TimePoint time_at(const Query& row, int column) { return TimePoint(Milliseconds(row.integer(column))); }

}  // namespace

void put_quarantined(Connection& db, const QuarantinedEntry& entry) {
  const int gone = entry.tombstone ? static_cast<int>(entry.tombstone_reason) : 0;
  db.run(
      "INSERT OR REPLACE INTO archive_quarantine(h, ns, id, version, revision, gone, reason, attempts, since, last_at) "
      "VALUES(?, ?, ?, ?, ?, NULLIF(?, 0), ?, ?, ?, ?)",
      identity_hash(entry.ns, entry.id), entry.ns, entry.id, entry.version, entry.revision, gone, entry.reason, entry.attempts,
      entry.since.time_since_epoch().count(), entry.last_at.time_since_epoch().count());
}

Result<QuarantinePage> list_quarantine(Connection& db, const ListQuarantine& request) {
  detail::ScanCursor from;
  if (!request.cursor.empty()) {
    auto decoded = detail::decode_scan_cursor(request.cursor);
    if (!decoded) return std::move(decoded).error();
    from = *std::move(decoded);
  }
  const auto limit = std::clamp<std::size_t>(request.limit, 1, 1u << 20);
  auto row = db.query(
      "SELECT ns, id, version, revision, gone, reason, attempts, since, last_at FROM archive_quarantine "
      "WHERE (h, ns, id) > (?, ?, ?) ORDER BY h, ns, id LIMIT ?");
  row.with(from.hash, from.ns, from.id, limit + 1);
  QuarantinePage page;
  while (row.step()) {
    if (page.entries.size() == limit) {
      const auto& last = page.entries.back();
      page.next = detail::encode_scan_cursor(identity_hash(last.ns, last.id), last.ns, last.id);
      break;
    }
    QuarantinedEntry entry;
    entry.ns = row.text(0);
    entry.id = row.text(1);
    entry.version = row.number(2);
    entry.revision = row.number(3);
    entry.tombstone = !row.is_null(4);
    if (entry.tombstone) entry.tombstone_reason = static_cast<TombstoneReason>(row.integer(4));
    entry.reason = row.text(5);
    entry.attempts = row.number(6);
    entry.since = time_at(row, 7);
    entry.last_at = time_at(row, 8);
    page.entries.push_back(std::move(entry));
  }
  return page;
}

std::size_t release_quarantined(Connection& db, std::span<const ArchiveId> ids) {
  std::size_t released = 0;
  for (const auto& one : ids) {
    db.run("DELETE FROM archive_quarantine WHERE h = ? AND ns = ? AND id = ?", identity_hash(one.ns, one.id), one.ns, one.id);
    released += static_cast<std::size_t>(sqlite3_changes(db.handle()));
  }
  return released;
}

std::uint64_t count_quarantine(Connection& db) {
  auto row = db.query("SELECT COUNT(*) FROM archive_quarantine");
  return row.step() ? row.number(0) : 0;
}

}  // namespace setget::inline v0::sqlite
