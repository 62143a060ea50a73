#include <fmt/format.h>

#include <algorithm>

#include "sqlite/queue.hpp"

namespace setget::inline v0::sqlite {

namespace {

Result<void> check_name(std::string_view name) {
  const bool good = !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
  if (good) return {};
  return Error(ErrorCode::kInvalidArgument, "a queue's name has 1 to 64 bytes of [A-Za-z0-9._-]").at_field("name");
}

constexpr std::int64_t kCountersKind = static_cast<std::int64_t>(StateKind::kCounters);

}  // namespace

QueueCapabilities SqliteQueues::capabilities() const {
  return {.durability = engine_->options().durable ? Durability::kDisk : Durability::kMemory,
          .stamps = true,
          .ledger = true,
          .fifo = true,
          .dedup = true,
          .delay = true,
          .dead_letters = true,
          .oldest_unfinished = true,
          .cross_process = true};
}

Result<QueueInfo> SqliteQueues::create(const CreateQueue& request) {
  return create_by(
      request.name, [&](const QueueOptions*) { return request.options; }, request.deadline);
}

Result<QueueInfo> SqliteQueues::create_by(std::string_view name, const Decide& decide, Deadline deadline) {
  if (auto valid = check_name(name); !valid) return std::move(valid).error();
  return engine_->write(
      [&](WriteTxn& txn) -> Result<QueueInfo> {
        auto& db = txn.db();
        const auto* known = txn.book().queue(db, name);
        const auto options = decide(known == nullptr ? nullptr : &known->info.options);
        if (auto valid = options.validate(); !valid) return std::move(valid).error();
        if (known != nullptr) {
          if (known->info.options.kind != options.kind) {
            return Error(ErrorCode::kAlreadyExists, fmt::format("queue \"{}\" exists with another kind", name)).at_field("kind");
          }
          auto info = known->info;
          if (info.options == options) return info;
          db.run("UPDATE queue SET options=?2 WHERE id=?1", known->id, encode_options(options));
          ++txn.book().edit_meta().queues_generation;
          info.options = options;
          return info;
        }
        db.run("INSERT INTO queue(name, options, created_at) VALUES(?1, ?2, ?3)", name, encode_options(options),
               txn.now().time_since_epoch().count());
        ++txn.book().edit_meta().queues_generation;
        return QueueInfo{.name = std::string(name), .options = options, .created_at = txn.now()};
      },
      deadline);
}

Result<std::vector<QueueInfo>> SqliteQueues::list(Deadline) {
  return engine_->read([&](Connection& db) -> Result<std::vector<QueueInfo>> {
    std::vector<QueueInfo> infos;
    for (auto& queue : read_queues(db)) infos.push_back(std::move(queue.info));
    return infos;
  });
}

Result<bool> SqliteQueues::find_queue(std::string_view name) {
  return engine_->read([&](Connection& db) -> Result<bool> {
    const auto queues = read_queues(db);
    return std::any_of(queues.begin(), queues.end(), [&](const QueueRow& queue) { return queue.info.name == name; });
  });
}

Result<void> SqliteQueues::remove(std::string_view name, Deadline deadline) {
  auto gone = engine_->write(
      [&](WriteTxn& txn) -> Result<void> {
        const auto* queue = txn.book().queue(txn.db(), name);
        if (queue == nullptr) return no_such_queue(name);
        txn.db().run("UPDATE queue SET gone=1 WHERE id=?1", queue->id);
        ++txn.book().edit_meta().queues_generation;
        txn.announce(Topic::kMessages);
        txn.announce(Topic::kOutcomes);
        return {};
      },
      deadline);
  if (!gone) return gone;
  // From here on nobody sees the queue. What it held goes in steps; after a crash maintain() goes on with it.
  for (;;) {
    std::size_t steps = 0;
    auto more = clear_gone_queues(kStepsPerCommit, steps, deadline);
    if (!more) return std::move(more).error();
    if (!*more) return {};
  }
}

// True if there is more to clear.
Result<bool> SqliteQueues::clear_gone_queues(std::size_t max_steps, std::size_t& steps, Deadline deadline) {
  return engine_->write(
      [&](WriteTxn& txn) -> Result<bool> {
        auto& db = txn.db();
        const auto queue = db.find_integer("SELECT id FROM queue WHERE gone=1 LIMIT 1");
        if (!queue) return false;
        const auto limit = static_cast<std::int64_t>(max_steps);
        const auto before = db.changes();
        txn.book().flush_ready(db);
        const auto drop_bodies = [&](const std::vector<Stamp>& stamps) {
          for (const auto stamp : stamps) {
            db.run("DELETE FROM log WHERE stamp=?1", stamp);
            db.run("DELETE FROM history WHERE stamp=?1", stamp);
          }
        };
        const auto collect = [&](const char* sql) {
          std::vector<Stamp> stamps;
          auto row = db.query(sql);
          row.with(*queue, limit);
          while (row.step()) stamps.push_back(row.number(0));
          return stamps;
        };
        // Ready runs: their bodies lie between first and last.
        std::vector<std::pair<Stamp, Stamp>> runs;
        {
          auto row = db.query("SELECT n, v FROM state WHERE kind=?1 AND queue=?2 ORDER BY n LIMIT 16");
          row.with(kReadyKind, *queue);
          while (row.step()) runs.emplace_back(row.number(0), row.number(1) >> 2);
        }
        for (const auto& [first, last] : runs) {
          db.run("DELETE FROM history WHERE stamp BETWEEN ?1 AND ?2", first, first == last ? last : first - 1);
          db.run(
              "DELETE FROM log WHERE stamp IN (SELECT stamp FROM log WHERE stamp BETWEEN ?1 AND ?2 AND queue=?3 ORDER BY stamp LIMIT ?4)",
              first, last, *queue, limit);
          if (!db.find_integer("SELECT 1 FROM log WHERE stamp BETWEEN ?1 AND ?2 AND queue=?3 LIMIT 1", first, last, *queue)) {
            db.run("DELETE FROM state WHERE kind=?1 AND queue=?2 AND n=?3", kReadyKind, *queue, first);
          }
          if (static_cast<std::size_t>(db.changes() - before) >= max_steps) break;
        }
        drop_bodies(collect("SELECT stamp FROM delayed WHERE queue=?1 LIMIT ?2"));
        db.run("DELETE FROM delayed WHERE (queue, due, stamp) IN (SELECT queue, due, stamp FROM delayed WHERE queue=?1 LIMIT ?2)", *queue,
               limit);
        drop_bodies(collect("SELECT stamp FROM waiting WHERE queue=?1 LIMIT ?2"));
        db.run("DELETE FROM waiting WHERE (queue, grp, stamp) IN (SELECT queue, grp, stamp FROM waiting WHERE queue=?1 LIMIT ?2)", *queue,
               limit);
        drop_bodies(collect("SELECT stamp FROM dead WHERE queue=?1 LIMIT ?2"));
        db.run("DELETE FROM dead WHERE (queue, stamp) IN (SELECT queue, stamp FROM dead WHERE queue=?1 LIMIT ?2)", *queue, limit);
        std::vector<std::uint64_t> tokens;
        {
          auto row = db.query("SELECT token, until, members FROM lease WHERE queue=?1 LIMIT 16");
          row.with(*queue);
          std::vector<Stamp> stamps;
          while (row.step()) {
            tokens.push_back(row.number(0));
            for (const auto& member : decode_members(row.blob(2), row.integer(1))) stamps.push_back(member.stamp);
          }
          row.reset();
          drop_bodies(stamps);
        }
        for (const auto token : tokens) db.run("DELETE FROM lease WHERE token=?1", token);
        db.run("DELETE FROM grp WHERE (queue, name) IN (SELECT queue, name FROM grp WHERE queue=?1 LIMIT ?2)", *queue, limit);
        db.run("DELETE FROM dedup WHERE (queue, id) IN (SELECT queue, id FROM dedup WHERE queue=?1 LIMIT ?2)", *queue, limit);
        db.run("DELETE FROM moved WHERE origin IN (SELECT origin FROM moved WHERE queue=?1 LIMIT ?2)", *queue, limit);
        db.run("DELETE FROM outcome WHERE (queue, at, n) IN (SELECT queue, at, n FROM outcome WHERE queue=?1 LIMIT ?2)", *queue, limit);
        steps += static_cast<std::size_t>(db.changes() - before);
        if (db.changes() == before) {
          db.run("DELETE FROM state WHERE kind=?1 AND queue=?2", kCountersKind, *queue);
          db.run("DELETE FROM queue WHERE id=?1", *queue);
          ++steps;
        }
        return true;
      },
      deadline);
}

Result<Stamp> SqliteQueues::oldest_unfinished(Deadline) {
  return engine_->read([&](Connection& db) -> Result<Stamp> {
    auto oldest = read_meta(db).last_stamp + 1;
    const auto see = [&](std::optional<Stamp> stamp) { oldest = std::min(oldest, stamp.value_or(oldest)); };
    for (const auto& queue : read_queues(db)) {
      see(oldest_unfinished_of(db, queue.id));
    }
    return oldest;
  });
}

// --- housekeeping ---------------------------------------------------------------------------------------------------------------

namespace {

// Messages that nobody receives outlive their retention too.
std::size_t bury_outlived(WriteTxn& txn, const QueueRow& queue, std::size_t max_steps) {
  auto& db = txn.db();
  const auto limit = stamp_at(txn.now() - queue.info.options.retention);
  const std::vector<Reason> reasons{{.code = "retention", .message = "not finished within the queue's retention", .pointer = {}}};
  std::size_t steps = 0;
  txn.book().flush_ready(db);
  const auto outlived = [&](Stamp stamp, std::uint32_t flags) {
    if (time_of(stamp) + queue.info.options.retention > txn.now()) return false;
    if ((flags & kHasHistory) == 0) return true;
    const auto since = load_history(db, stamp).since;
    return !since || TimePoint(Milliseconds(*since)) + queue.info.options.retention <= txn.now();
  };
  struct Run {
    Stamp first, last;
    std::uint32_t flags;
  };
  std::vector<Run> runs;
  {
    auto row = db.query("SELECT n, v FROM state WHERE kind=?1 AND queue=?2 AND n<=?3 ORDER BY n LIMIT ?4");
    row.with(kReadyKind, queue.id, limit | ((Stamp{1} << kStampCounterBits) - 1), static_cast<std::int64_t>(max_steps));
    while (row.step()) runs.push_back({row.number(0), row.number(1) >> 2, static_cast<std::uint32_t>(row.number(1) & 3)});
  }
  for (const auto& run : runs) {
    std::vector<Stamp> stamps;
    {
      auto row = db.query("SELECT stamp FROM log WHERE stamp BETWEEN ?1 AND ?2 AND queue=?3 ORDER BY stamp LIMIT ?4");
      row.with(run.first, run.last, queue.id, static_cast<std::int64_t>(max_steps - steps));
      while (row.step()) stamps.push_back(row.number(0));
    }
    auto next = run.first;
    for (const auto stamp : stamps) {
      if (!outlived(stamp, run.flags)) break;
      --txn.book().counters(db, queue.id).ready;
      bury_message(txn, queue.id, stamp, (run.flags & kHasHistory) != 0 ? load_history(db, stamp).receives : 0, reasons);
      if ((run.flags & kGrouped) != 0) group_is_free(txn, queue.id, group_of(db, stamp));
      next = stamp + 1;
      ++steps;
    }
    if (next != run.first) {
      db.run("DELETE FROM state WHERE kind=?1 AND queue=?2 AND n=?3", kReadyKind, queue.id, run.first);
      if (next <= run.last) {
        db.run("INSERT INTO state(kind, queue, n, v) VALUES(?1, ?2, ?3, ?4)", kReadyKind, queue.id, next,
               static_cast<std::int64_t>(run.last << 2 | run.flags));
      }
    }
    if (steps >= max_steps) break;
  }
  return steps;
}

// Names of messages that were redriven under another stamp, as long as nothing can be said of these any more: a dead letter may be of any
// age, and what was redriven late has an outcome late. Looks at some names behind `from`, and returns where the next call goes on.
std::int64_t forget_moved(Connection& db, const QueueRow& queue, Stamp old, std::int64_t now, std::int64_t from) {
  constexpr std::int64_t kLooks = 1024;
  std::vector<std::int64_t> gone;
  std::int64_t looked = 0;
  {
    auto row = db.query(
        "SELECT origin, queue=?1 AND stamp<?2 AND NOT EXISTS(SELECT 1 FROM dead d WHERE d.queue=?1 AND d.stamp=m.stamp) "
        "AND NOT EXISTS(SELECT 1 FROM history h WHERE h.stamp=m.stamp) "
        // Of its neighbours, perhaps: which one it is of stands in the outcomes, and that one is enough to keep the name.
        "AND NOT EXISTS(SELECT 1 FROM outcome o WHERE o.win=m.stamp>>17 AND o.queue=?1 AND o.at>?3) "
        "FROM (SELECT origin, stamp, queue FROM moved WHERE origin>?4 ORDER BY origin LIMIT ?5) m");
    static_assert(outcome_window(Stamp{1} << 17) == 1);
    row.with(queue.id, old, now - queue.info.options.outcome_retention.count(), from, kLooks);
    for (; row.step(); ++looked) {
      from = row.integer(0);
      if (row.integer(1) != 0) gone.push_back(from);
    }
  }
  for (const auto origin : gone) db.run("DELETE FROM moved WHERE origin=?1", origin);
  return looked == kLooks ? from : 0;
}

std::size_t forget_old(WriteTxn& txn, const QueueRow& queue, std::size_t max_steps) {
  auto& db = txn.db();
  const auto& options = queue.info.options;
  const auto before = db.changes();
  const auto left = [&] { return static_cast<std::int64_t>(max_steps) - static_cast<std::int64_t>(db.changes() - before); };
  const auto now = txn.now().time_since_epoch().count();
  db.run("DELETE FROM dedup WHERE (queue, id) IN (SELECT queue, id FROM dedup WHERE queue=?1 AND until<=?2 LIMIT ?3)", queue.id, now,
         left());
  db.run("DELETE FROM outcome WHERE (queue, at, n) IN (SELECT queue, at, n FROM outcome WHERE queue=?1 AND at<=?2 ORDER BY at LIMIT ?3)",
         queue.id, now - options.outcome_retention.count(), left());
  return static_cast<std::size_t>(db.changes() - before);
}

}  // namespace

Result<std::size_t> SqliteQueues::maintain(const MaintainQueue& request) {
  std::size_t steps = 0;
  std::size_t freed = 0;
  while (steps < request.max_steps) {
    const auto chunk = std::min(kStepsPerCommit, request.max_steps - steps);
    const bool first = steps == 0;
    const std::string name(request.queue);
    const auto moved_from = moved_place(name);
    auto moved_next = moved_from;
    auto done = engine_->write(
        [&](WriteTxn& txn) -> Result<std::size_t> {
          const auto* queue = txn.book().queue(txn.db(), request.queue);
          if (queue == nullptr) return no_such_queue(request.queue);
          wake_up(txn, *queue);
          if (first) freed = free_forsaken_groups(txn, *queue, chunk);
          auto made = (first ? freed : 0) + bury_outlived(txn, *queue, chunk - (first ? freed : 0));
          if (made < chunk) made += forget_old(txn, *queue, chunk - made);
          const auto& options = queue->info.options;
          const auto old = stamp_at(txn.now() - options.retention - options.outcome_retention);
          if (first) moved_next = forget_moved(txn.db(), *queue, old, txn.now().time_since_epoch().count(), moved_from);
          return made;
        },
        request.deadline);
    if (!done) return std::move(done).error();
    if (first) set_moved_place(name, moved_next);
    steps += *done;
    if (first && freed > 0) {
      engine_->log(LogLevel::kWarning, "FIFO groups that nobody held any more were freed; what waited in them goes on",
                   {{"queue", request.queue}, {"groups", std::to_string(freed)}});
    }
    if (*done < chunk) break;
  }
  if (steps < request.max_steps) {
    std::size_t cleared = 0;
    if (auto more = clear_gone_queues(std::min(kStepsPerCommit, request.max_steps - steps), cleared, request.deadline); !more)
      return std::move(more).error();
    steps += std::min(cleared, request.max_steps - steps);
  }
  return steps;
}

}  // namespace setget::inline v0::sqlite
