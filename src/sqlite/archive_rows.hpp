// The archive's documents as rows: one step on one document, within a transaction that the caller holds. Throws SqlError where SQLite
// fails; damage that only setget can see (a body that does not match its digest) is an Error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sqlite/sqlite3.hpp"

#include <setget/archive.hpp>

namespace setget::inline v0::sqlite {

// How the archive's totals change.
struct ArchiveDelta {
  std::int64_t records = 0;
  std::int64_t tombstones = 0;
  std::int64_t bytes = 0;
};

Result<ArchiveWrite> put_document(Connection& db, const ArchiveEntry& entry, ArchiveDelta& delta);
// False if there is none.
Result<bool> drop_document(Connection& db, std::string_view ns, std::string_view id, ArchiveDelta& delta);
// See ArchiveBackend::tag().
std::string tag_of_document(Connection& db, std::string_view ns, std::string_view id);
// What purge_at has passed, the longest overdue first, at most `limit`. Returns how many.
Result<std::size_t> purge_documents(Connection& db, TimePoint now, std::size_t limit, ArchiveDelta& delta);
void add_totals(Connection& db, const ArchiveDelta& delta);

Result<Lookup> find_by_key(Connection& db, std::string_view ns, std::string_view key, TimePoint now);
Result<Lookup> find_by_id(Connection& db, std::string_view ns, std::string_view id, TimePoint now);
Result<SummaryPage> scan_documents(Connection& db, const ScanArchive& request);

}  // namespace setget::inline v0::sqlite
