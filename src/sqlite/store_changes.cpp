// The change log and its named cursors.
#include <fmt/format.h>

#include <algorithm>

#include "sqlite/book.hpp"
#include "sqlite/codec.hpp"
#include "sqlite/store.hpp"
#include "sqlite/store_txn.hpp"

namespace setget::inline v0::sqlite {

namespace {

using State = IdentitySlot::State;

struct CursorRow {
  std::string name;
  Position position = 0;
  std::uint64_t max_lag = 0;
  bool dropped = false;
  std::int64_t updated_at = 0;
};

std::optional<CursorRow> find_cursor(Connection& db, std::string_view name) {
  auto row = db.query("SELECT position, max_lag, dropped, updated_at FROM cursor WHERE name=?1");
  if (!row.with(name).step()) return std::nullopt;
  return CursorRow{.name = std::string(name),
                   .position = row.number(0),
                   .max_lag = row.number(1),
                   .dropped = row.integer(2) != 0,
                   .updated_at = row.integer(3)};
}

void write_cursor(Connection& db, const CursorRow& cursor) {
  db.run("REPLACE INTO cursor(name, position, max_lag, dropped, updated_at) VALUES(?1, ?2, ?3, ?4, ?5)", cursor.name, cursor.position,
         cursor.max_lag, cursor.dropped ? 1 : 0, cursor.updated_at);
}

CursorInfo info_of(const CursorRow& cursor, Position last) {
  return {.name = cursor.name,
          .position = cursor.position,
          .lag = last > cursor.position ? last - cursor.position : 0,
          .max_lag = cursor.max_lag,
          .dropped = cursor.dropped,
          .updated_at = TimePoint(Milliseconds(cursor.updated_at))};
}

Error no_such_cursor(std::string_view name) {
  return Error(ErrorCode::kNotFound, fmt::format("there is no cursor \"{}\"", name)).at_field("cursor");
}
Error dropped_cursor(std::string_view name) {
  return Error(ErrorCode::kFailedPrecondition,
               fmt::format("cursor \"{}\" was dropped because it fell behind its limit; open it anew and copy everything once", name))
      .at_field("cursor");
}

Result<void> check_name(std::string_view name) {
  const bool good = !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
  if (good) return {};
  return Error(ErrorCode::kInvalidArgument, "a cursor's name has 1 to 64 bytes of [A-Za-z0-9._-]").at_field("name");
}

// Before the oldest entry that is still there.
Position oldest_position(Connection& db, Position last) {
  auto row = db.query("SELECT seq - n FROM change ORDER BY seq LIMIT 1");
  return row.step() ? row.number(0) : last;
}

std::optional<IdentRow> readable_ident(Connection& db, const Qualified& name) {
  try {
    return find_ident(db, name.ns, name.name);
  } catch (const SqlError& failed) {
    if (!is_damage(failed.error())) throw;
    return std::nullopt;
  }
}

// What the entry says, or nothing where a later entry says it.
std::optional<Change> change_of(Connection& db, Position position, const ChangeEntry& entry) {
  Change change;
  change.position = position;
  change.revision = entry.revision;
  if (entry.tombstone) {
    const auto name = split_qualified(entry.nsid);
    const auto ident = readable_ident(db, name);
    if (ident && ident->slot.state != State::kAbsent && (ident->slot.version != entry.version || ident->slot.revision != entry.revision))
      return std::nullopt;
    change.kind = ChangeKind::kTombstone;
    change.ns = name.ns;
    change.id = name.name;
    change.version = entry.version;
    change.reason = entry.reason;
    return change;
  }
  Payload body;
  {
    auto row = db.query("SELECT sum, body FROM log WHERE stamp=?1");
    if (!row.with(entry.row).step()) return std::nullopt;
    body = checked_body(row.blob(1), row.integer(0));
  }
  auto command = decode_command(body);
  if (!command) throw SqlError(std::move(command).error());
  const auto ident = find_ident(db, command->ns, command->id);
  if (!ident || ident->slot.state != State::kLive || row_of(ident->slot) != entry.row || ident->slot.revision != entry.revision)
    return std::nullopt;
  auto record = make_record(body, {.version = ident->slot.version,
                                   .revision = ident->slot.revision,
                                   .stamp = ident->slot.stamp,
                                   .expires_at = ident->slot.expires_at,
                                   .ttl_rule = ident->slot.ttl_rule,
                                   .lost_keys = ident->lost_keys});
  if (!record) throw SqlError(std::move(record).error());
  change.kind = ChangeKind::kRecord;
  change.ns = record->ns;
  change.id = record->id;
  change.version = record->version;
  change.record = std::move(*record);
  return change;
}

}  // namespace

std::optional<Position> slowest_cursor(Connection& db) {
  const auto position = db.find_integer("SELECT min(position) FROM cursor WHERE dropped=0");
  return position ? std::optional(static_cast<Position>(*position)) : std::nullopt;
}

void drop_slow_cursors(WriteTxn& txn, const Engine& engine) {
  auto& db = txn.db();
  const auto last = txn.book().meta().last_position;
  std::vector<std::string> names;
  {
    auto row = db.query("SELECT name FROM cursor WHERE dropped=0 AND max_lag>0 AND position + max_lag < ?1");
    row.with(last);
    while (row.step()) names.push_back(row.text(0));
  }
  for (const auto& name : names) {
    db.run("UPDATE cursor SET dropped=1, updated_at=?2 WHERE name=?1", name, txn.now().time_since_epoch().count());
    engine.log(LogLevel::kError, "a change-log cursor fell behind its limit and was dropped", {{"cursor", name}});
  }
}

Result<CursorInfo> SqliteStore::open_cursor(const OpenCursor& request) {
  if (auto valid = check_name(request.name); !valid) return std::move(valid).error();
  return engine_->write(
      [&](WriteTxn& txn) -> Result<CursorInfo> {
        auto& db = txn.db();
        const auto last = txn.book().meta().last_position;
        auto cursor = find_cursor(db, request.name);
        if (!cursor || cursor->dropped) {
          // Entries of this transaction are not in the table yet; they are behind its end.
          const auto oldest = std::min(oldest_position(db, last), txn.book().stored_position());
          cursor = CursorRow{.name = std::string(request.name),
                             .position = request.from_now ? last : oldest,
                             .max_lag = 0,
                             .dropped = false,
                             .updated_at = 0};
        }
        cursor->max_lag = request.max_lag;
        cursor->updated_at = txn.now().time_since_epoch().count();
        write_cursor(db, *cursor);
        return info_of(*cursor, last);
      },
      request.deadline);
}

Result<ChangeBatch> SqliteStore::changes(const ReadChanges& request) {
  std::vector<std::int64_t> damaged;
  auto answer = engine_->read([&](Connection& db) -> Result<ChangeBatch> {
    const auto cursor = find_cursor(db, request.cursor);
    if (!cursor) return no_such_cursor(request.cursor);
    if (cursor->dropped) return dropped_cursor(request.cursor);
    const auto last = read_meta(db).last_position;
    ChangeBatch batch;
    batch.next = std::max(request.after, cursor->position);
    std::size_t bytes = 0;
    std::size_t read = 0;
    auto row = db.query("SELECT seq, n, entries FROM change WHERE seq>?1 ORDER BY seq");
    row.with(batch.next);
    bool full = false;
    while (!full && row.step()) {
      auto position = row.number(0) - row.number(1);
      ChangeEntries entries(row.blob(2));
      while (const auto entry = entries.next()) {
        if (++position <= batch.next) continue;
        if (read >= request.limit) {
          full = true;
          break;
        }
        // Of a damaged record there is nothing to say, least of all that it was erased; and nobody could pass it if that were an error.
        std::optional<Change> change;
        try {
          change = change_of(db, position, *entry);
        } catch (const SqlError& failed) {
          if (!is_damage(failed.error())) throw;
          damaged.push_back(entry->row);
          ++batch.damaged;
        }
        if (change && change->record) {
          const auto size = change->record->payload.size();
          if (!batch.changes.empty() && bytes + size > request.max_bytes) {
            full = true;
            break;
          }
          bytes += size;
        }
        ++read;
        batch.next = position;
        if (change) batch.changes.push_back(std::move(*change));
      }
    }
    batch.at_end = batch.next >= last;
    return batch;
  });
  for (const auto row : damaged) {
    if (complaints_.first(static_cast<std::uint64_t>(row))) {
      engine_->log(LogLevel::kError,
                   "a changed record is damaged, and what follows the change log does not get it: 'setget doctor' names it",
                   {{"cursor", request.cursor}, {"row", std::to_string(row)}});
    }
  }
  return answer;
}

Result<void> SqliteStore::commit_cursor(std::string_view name, Position position, Deadline deadline) {
  return engine_->write(
      [&](WriteTxn& txn) -> Result<void> {
        auto cursor = find_cursor(txn.db(), name);
        if (!cursor) return no_such_cursor(name);
        if (cursor->dropped) return dropped_cursor(name);
        if (position > txn.book().meta().last_position) {
          return Error(ErrorCode::kInvalidArgument, "the position lies behind the end of the change log").at_field("position");
        }
        if (position <= cursor->position) return {};
        cursor->position = position;
        cursor->updated_at = txn.now().time_since_epoch().count();
        write_cursor(txn.db(), *cursor);
        return {};
      },
      deadline);
}

Result<std::vector<CursorInfo>> SqliteStore::cursors(Deadline) {
  return engine_->read([](Connection& db) -> Result<std::vector<CursorInfo>> {
    const auto last = read_meta(db).last_position;
    std::vector<CursorInfo> infos;
    auto row = db.query("SELECT name, position, max_lag, dropped, updated_at FROM cursor ORDER BY name");
    while (row.step()) {
      infos.push_back(info_of({.name = row.text(0),
                               .position = row.number(1),
                               .max_lag = row.number(2),
                               .dropped = row.integer(3) != 0,
                               .updated_at = row.integer(4)},
                              last));
    }
    return infos;
  });
}

Result<void> SqliteStore::drop_cursor(std::string_view name, Deadline deadline) {
  return engine_->write(
      [&](WriteTxn& txn) -> Result<void> {
        if (!find_cursor(txn.db(), name)) return no_such_cursor(name);
        txn.db().run("DELETE FROM cursor WHERE name=?1", name);
        return {};
      },
      deadline);
}

Result<bool> SqliteStore::wait_for_changes(Position after, Deadline wait, std::optional<Deadline> deadline) {
  const auto end = deadline ? Deadline::at(std::min(wait.time(), deadline->time())) : wait;
  for (;;) {
    const auto seen = engine_->sidecar().seen(Topic::kChanges);
    auto last = engine_->read([](Connection& db) -> Result<Position> { return read_meta(db).last_position; });
    if (!last) return std::move(last).error();
    if (*last > after) return true;
    const auto left = end.left();
    if (left <= std::chrono::nanoseconds(0)) return false;
    engine_->sidecar().wait(Topic::kChanges, seen, std::min<std::chrono::nanoseconds>(left, engine_->longest_wait()));
  }
}

}  // namespace setget::inline v0::sqlite
