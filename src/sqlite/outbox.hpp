// The outbox in this file: states of identities whose flow keeps history, until the archive has them. Written in the transaction that
// makes the state. Thread rule: within a transaction of the caller's. Throws SqlError where SQLite fails or the file is damaged.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sqlite/sqlite3.hpp"

#include <setget/key_store.hpp>

namespace setget::inline v0::sqlite {

struct OutboxLimit {
  std::size_t states = 0;
  std::size_t bytes = 0;
};

struct OutboxState {
  HistoryState::Kind kind = HistoryState::Kind::kRecord;
  TimePoint at{};
  std::string name;  // qualified()
  TombstoneReason reason = TombstoneReason::kErased;
  StoredMeta meta;  // of tombstones version and revision only
};

// `body` is the encoded command; empty for tombstones. kResourceExhausted, and nothing written, where the outbox is full. Positions rise
// and follow the clock, so that a file that is put back from a backup gives none that its archive knows already.
Result<void> add_to_outbox(Connection& db, const OutboxLimit& limit, TimePoint now, const OutboxState& state, std::string_view body);
// `damaged`: positions of those that cannot be read. One that still says whose it is comes as kNotKept, the others are passed over and go
// with what is confirmed behind them.
Result<HistoryBatch> read_outbox(Connection& db, const ReadHistory& request, std::vector<Position>& damaged);
// What lies at or before `position`.
void drop_from_outbox(Connection& db, Position position);
std::uint64_t outbox_size(Connection& db);

}  // namespace setget::inline v0::sqlite
