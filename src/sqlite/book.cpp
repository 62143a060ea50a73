#include "sqlite/book.hpp"

#include <algorithm>

#include "sqlite/codec.hpp"

namespace setget::inline v0::sqlite {

namespace {
constexpr std::int64_t kMetaKind = static_cast<std::int64_t>(StateKind::kMeta);
constexpr std::int64_t kCountersKind = static_cast<std::int64_t>(StateKind::kCounters);
constexpr const char* kReadState = "SELECT v FROM state WHERE kind=?1 AND queue=?2 AND n=0";
constexpr const char* kWriteState = "REPLACE INTO state(kind, queue, n, v) VALUES(?1, ?2, ?3, ?4)";
}  // namespace

Meta read_meta(Connection& db) {
  auto row = db.query(kReadState);
  if (!row.with(kMetaKind, 0).step()) throw_damaged("its state row is missing");
  return decode_meta(row.blob(0));
}

Counters read_counters(Connection& db, std::int64_t queue) {
  auto row = db.query(kReadState);
  if (!row.with(kCountersKind, queue).step()) return {};
  return decode_counters(row.blob(0));
}

std::vector<QueueRow> read_queues(Connection& db) {
  std::vector<QueueRow> queues;
  auto row = db.query("SELECT id, name, options, created_at FROM queue WHERE gone=0 ORDER BY name");
  while (row.step()) {
    queues.push_back(
        {.id = row.integer(0),
         .info = {.name = row.text(1), .options = decode_options(row.blob(2)), .created_at = TimePoint(Milliseconds(row.integer(3)))}});
  }
  return queues;
}

void Book::begin(Connection& db) {
  now_.meta = stored_ = read_meta(db);
  now_.counters.clear();
  now_.runs.clear();
  now_.outcomes.clear();
  now_.changes.clear();
  now_.change_count = 0;
  saved_.clear();
  if (queues_generation_ != stored_.queues_generation) queues_known_ = false;
}

void Book::flush(Connection& db, TimePoint now) {
  flush_ready(db);
  for (const auto& [where, entries] : now_.outcomes) {
    const auto bytes = encode_outcomes(entries);
    db.run("INSERT INTO outcome(queue, at, n, win, entries) VALUES(?1, ?2, ?3, ?4, ?5)", where.first, now.time_since_epoch().count(),
           ++edit_meta().last_token, where.second, bytes);
  }
  if (now_.change_count > 0) {
    db.run("INSERT INTO change(seq, n, low, entries) VALUES(?1, ?2, ?3, ?4)", now_.meta.last_position, now_.change_count, now_.change_low,
           now_.changes);
  }
  for (const auto& [queue, counters] : now_.counters) db.run(kWriteState, kCountersKind, queue, 0, encode_counters(counters));
  if (now_.meta != stored_) db.run(kWriteState, kMetaKind, 0, 0, encode_meta(now_.meta));
}

Counters& Book::counters(Connection& db, std::int64_t queue) {
  ++edits_;
  const auto known = now_.counters.find(queue);
  if (known != now_.counters.end()) return known->second;
  return now_.counters.emplace(queue, read_counters(db, queue)).first->second;
}

const QueueRow* Book::queue(Connection& db, std::string_view name) {
  if (!queues_known_ || queues_generation_ != now_.meta.queues_generation) {
    queues_.clear();
    for (auto& row : read_queues(db)) queues_.emplace(row.info.name, row);
    queues_known_ = true;
    queues_generation_ = now_.meta.queues_generation;
  }
  const auto found = queues_.find(name);
  return found == queues_.end() ? nullptr : &found->second;
}

void Book::add_ready(std::int64_t queue, Stamp stamp) {
  ++edits_;
  for (auto& run : now_.runs) {
    if (run.open && run.queue == queue) {
      run.last = stamp;
      return;
    }
  }
  now_.runs.push_back({.queue = queue, .first = stamp, .last = stamp, .open = true});
}

void Book::end_run(std::int64_t queue) {
  for (auto& run : now_.runs) {
    if (run.queue == queue) run.open = false;
  }
}

void Book::flush_ready(Connection& db) {
  for (const auto& run : now_.runs) db.run(kWriteState, kReadyKind, run.queue, run.first, static_cast<std::int64_t>(run.last << 2));
  now_.runs.clear();
}

void Book::add_outcome(Connection& db, std::int64_t queue, OutcomeEntry entry) {
  ++counters(db, queue).outcomes[static_cast<std::size_t>(entry.outcome)];
  const auto window = outcome_window(entry.stamp);
  now_.outcomes[{queue, window}].push_back(std::move(entry));
}

void Book::add_change(std::string_view entry, Stamp stamp) {
  auto& meta = edit_meta();
  ++meta.last_position;
  ++meta.changes;
  now_.change_low = now_.change_count == 0 ? stamp : std::min(now_.change_low, stamp);
  ++now_.change_count;
  now_.changes.append(entry);
}

}  // namespace setget::inline v0::sqlite
