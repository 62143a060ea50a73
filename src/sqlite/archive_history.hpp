// Histories in the archive's tables: the states that identities were in, each with the time in which it was in force. Thread rule: within
// a transaction of the caller's. Throws SqlError where SQLite fails; damage that only setget can see is an Error.
#pragma once

#include "sqlite/sqlite3.hpp"

#include <setget/archive.hpp>

namespace setget::inline v0::sqlite {

// The tables, as a migration of the archive's room.
// `until` NULL = in force still; `keep` and `drop_at` NULL = for ever. Rows rise in the order of arrival. `keys` are packed: of a tombstone
// those of the state before, which only answer "gone".
inline constexpr const char* kArchiveHistoryTables =
    "CREATE TABLE archive_state_kept(row INTEGER PRIMARY KEY AUTOINCREMENT, h INTEGER NOT NULL, ns BLOB NOT NULL, id BLOB NOT NULL, "
    "since INTEGER NOT NULL, until INTEGER, kind INTEGER NOT NULL, reason INTEGER NOT NULL, version INTEGER NOT NULL, revision INTEGER NOT "
    "NULL, stamp INTEGER NOT NULL, expires_at INTEGER, ttl_rule INTEGER NOT NULL, keep INTEGER, drop_at INTEGER, lost BLOB NOT NULL, keys "
    "BLOB NOT NULL, sum INTEGER NOT NULL, body BLOB NOT NULL);"
    "CREATE INDEX archive_state_identity ON archive_state_kept(h, ns, id, since);"
    "CREATE INDEX archive_state_drop ON archive_state_kept(drop_at) WHERE drop_at IS NOT NULL;"
    "CREATE INDEX archive_state_ended ON archive_state_kept(until) WHERE until IS NOT NULL;"
    "CREATE TABLE archive_state_key(h INTEGER NOT NULL, ns BLOB NOT NULL, key BLOB NOT NULL, row INTEGER NOT NULL, "
    "PRIMARY KEY(h, ns, key, row)) WITHOUT ROWID;"
    "CREATE TABLE archive_state_source(uuid BLOB NOT NULL, epoch INTEGER NOT NULL, part INTEGER NOT NULL, position INTEGER NOT NULL, "
    "PRIMARY KEY(uuid, epoch, part)) "
    "WITHOUT ROWID;"
    "CREATE TABLE archive_state_total(one INTEGER PRIMARY KEY CHECK(one = 1), states INTEGER NOT NULL, bytes INTEGER NOT NULL, "
    "known_from INTEGER, known_of BLOB NOT NULL);"
    "INSERT INTO archive_state_total(one, states, bytes, known_of) VALUES(1, 0, 0, x'');";

Result<std::size_t> write_states(Connection& db, const WriteHistory& request);
Result<HistoryLookup> find_state(Connection& db, const GetHistory& request);
Result<SummaryPage> scan_states(Connection& db, const ScanHistory& request);
// By age, then by space; at most `limit` states. Returns how many.
std::size_t purge_states(Connection& db, const ReclaimArchive& request, std::size_t limit);
void add_state_totals(Connection& db, ArchiveStats& stats);

}  // namespace setget::inline v0::sqlite
