#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_set>

#include "sqlite/queue.hpp"

namespace setget::inline v0::sqlite {

namespace {

struct DeadRow {
  Stamp stamp = 0;
  std::int64_t at = 0;
  std::uint32_t receives = 0;
  std::vector<Reason> reasons;
  MessageHistory history;
};

// Walks the dead letters of a queue by rising stamp and gives those that pass the filter.
class DeadWalk {
 public:
  DeadWalk(std::int64_t queue, const DeadLetterFilter& filter)
      : queue_(queue), filter_(filter), ids_(filter.message_ids.begin(), filter.message_ids.end()) {}

  std::vector<DeadRow> next(Connection& db, Stamp after, std::size_t limit) const {
    std::vector<DeadRow> rows;
    auto row = db.query("SELECT stamp, at, receives, reasons FROM dead WHERE queue=?1 AND stamp>?2 ORDER BY stamp");
    row.with(queue_, after);
    while (rows.size() < limit && row.step()) {
      DeadRow letter{.stamp = row.number(0),
                     .at = row.integer(1),
                     .receives = static_cast<std::uint32_t>(row.integer(2)),
                     .reasons = decode_reasons(row.blob(3)),
                     .history = {}};
      if (!passes(letter)) continue;
      letter.history = load_history(db, letter.stamp);
      if (!ids_.empty() && !ids_.contains(message_id_of(queue_, letter.history.origin.value_or(letter.stamp)))) continue;
      rows.push_back(std::move(letter));
    }
    return rows;
  }

 private:
  bool passes(const DeadRow& letter) const {
    if (filter_.dead_before && letter.at >= filter_.dead_before->time_since_epoch().count()) return false;
    if (filter_.dead_after && letter.at <= filter_.dead_after->time_since_epoch().count()) return false;
    if (filter_.reason_code.empty()) return true;
    return std::any_of(letter.reasons.begin(), letter.reasons.end(),
                       [&](const Reason& reason) { return reason.code == filter_.reason_code; });
  }
  std::int64_t queue_;
  const DeadLetterFilter& filter_;
  std::unordered_set<std::string> ids_;
};

Result<Stamp> parse_cursor(std::string_view cursor) {
  Stamp stamp = 0;
  if (cursor.empty()) return stamp;
  const auto [end, problem] = std::from_chars(cursor.data(), cursor.data() + cursor.size(), stamp, 16);
  if (problem != std::errc() || end != cursor.data() + cursor.size()) {
    return Error(ErrorCode::kInvalidArgument, "not a cursor of this list").at_field("cursor");
  }
  return stamp;
}

std::string cursor_of(Stamp stamp) {
  std::array<char, 16> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), stamp, 16).ptr;
  return std::string(text.data(), end);
}

DeadLetter read_letter(Connection& db, std::int64_t queue, DeadRow row) {
  DeadLetter letter;
  letter.message_id = message_id_of(queue, row.history.origin.value_or(row.stamp));
  letter.stamp = row.stamp;
  letter.reasons = std::move(row.reasons);
  auto content = read_content(db, row.stamp).value_or(MessageContent{.damaged = true});
  if (content.damaged) mark_damaged(letter.reasons);
  letter.body = std::move(content.body);
  letter.attributes = std::move(content.attributes);
  letter.group = std::move(content.group);
  letter.history = std::move(row.history.reasons);
  letter.receive_count = row.receives;
  letter.sent_at = time_of(row.stamp);
  letter.dead_at = TimePoint(Milliseconds(row.at));
  return letter;
}

// The letter gets a new stamp and keeps its name.
Stamp restamp(WriteTxn& txn, std::int64_t queue, Stamp old, MessageHistory& history) {
  auto& db = txn.db();
  const auto fresh = txn.book().give_stamp(txn.now());
  txn.book().end_run(queue);
  db.run("UPDATE log SET stamp=?2 WHERE stamp=?1", old, fresh);
  db.run("DELETE FROM history WHERE stamp=?1", old);
  const auto origin = history.origin.value_or(old);
  db.run("REPLACE INTO moved(origin, stamp, queue) VALUES(?1, ?2, ?3)", origin, fresh, queue);
  history.origin = origin;
  return fresh;
}

// Whether it is back. What has lost its row stays where it is: nobody could receive it.
bool redrive_one(WriteTxn& txn, const QueueRow& queue, DeadRow letter, bool with_new_stamp) {
  auto& db = txn.db();
  const auto group = find_group(db, letter.stamp);
  if (!group) return false;
  db.run("DELETE FROM dead WHERE queue=?1 AND stamp=?2", queue.id, letter.stamp);
  --txn.book().counters(db, queue.id).outcomes[static_cast<std::size_t>(Outcome::kDeadLettered)];
  auto history = std::move(letter.history);
  const auto stamp = with_new_stamp ? restamp(txn, queue.id, letter.stamp, history) : letter.stamp;
  history.receives = 0;
  history.since = txn.now().time_since_epoch().count();  // its retention begins anew, or it would be back at once
  store_history(db, stamp, history);

  if (queue.info.options.kind == QueueKind::kFifo && !group->empty()) {
    join_group(txn, queue.id, *group, stamp, kHasHistory, std::nullopt);
  } else {
    make_ready(txn, queue.id, stamp, kHasHistory);
  }
  return true;
}

bool purge_one(WriteTxn& txn, const QueueRow& queue, const DeadRow& letter) {
  auto& db = txn.db();
  db.run("DELETE FROM dead WHERE queue=?1 AND stamp=?2", queue.id, letter.stamp);
  db.run("DELETE FROM log WHERE stamp=?1", letter.stamp);
  db.run("DELETE FROM history WHERE stamp=?1", letter.stamp);
  --txn.book().counters(db, queue.id).outcomes[static_cast<std::size_t>(Outcome::kDeadLettered)];
  txn.book().add_outcome(
      db, queue.id,
      {.stamp = letter.stamp, .outcome = Outcome::kPurged, .receive_count = letter.receives, .reasons = encode_reasons(letter.reasons)});
  txn.announce(Topic::kOutcomes);
  return true;
}

// Up to `limit` letters that pass the filter and that `step` is done with, oldest first, in commits of bounded length. Returns how many.
template <class Step>
Result<std::size_t> for_each_letter(Engine& engine, std::string_view name, const DeadLetterFilter& filter, std::size_t limit,
                                    Deadline deadline, const Step& step) {
  std::size_t total = 0;
  Stamp after = 0;
  while (total < limit) {
    const auto chunk = std::min(kStepsPerCommit, limit - total);
    Stamp reached = after;
    bool at_end = false;
    auto done = engine.write(
        [&](WriteTxn& txn) -> Result<std::size_t> {
          const auto* queue = txn.book().queue(txn.db(), name);
          if (queue == nullptr) return no_such_queue(name);
          txn.book().flush_ready(txn.db());
          auto letters = DeadWalk(queue->id, filter).next(txn.db(), after, chunk);
          at_end = letters.size() < chunk;
          std::size_t count = 0;
          for (auto& letter : letters) {
            reached = letter.stamp;
            if (step(txn, *queue, std::move(letter))) ++count;
          }
          return count;
        },
        deadline);
    if (!done) return std::move(done).error();
    total += *done;
    after = reached;
    if (at_end) break;
  }
  return total;
}

}  // namespace

Result<DeadLetterPage> SqliteQueues::dead_letters(const ListDeadLetters& request) {
  if (request.limit == 0) return Error(ErrorCode::kInvalidArgument, "limit must be > 0").at_field("limit");
  auto after = parse_cursor(request.cursor);
  if (!after) return std::move(after).error();
  return engine_->read([&](Connection& db) -> Result<DeadLetterPage> {
    for (const auto& queue : read_queues(db)) {
      if (queue.info.name != request.queue) continue;
      // One more than is wanted tells whether there is a next page.
      const auto wanted = std::max(request.limit, request.limit + 1);
      auto rows = DeadWalk(queue.id, request.filter).next(db, *after, wanted);
      DeadLetterPage page;
      if (rows.size() > request.limit) {
        rows.resize(request.limit);
        page.next = cursor_of(rows.back().stamp);
      }
      for (auto& row : rows) page.letters.push_back(read_letter(db, queue.id, std::move(row)));
      return page;
    }
    return no_such_queue(request.queue);
  });
}

Result<std::size_t> SqliteQueues::redrive(const RedriveDeadLetters& request) {
  return for_each_letter(
      *engine_, request.queue, request.filter, request.limit, request.deadline,
      [&](WriteTxn& txn, const QueueRow& queue, DeadRow letter) { return redrive_one(txn, queue, std::move(letter), request.restamp); });
}

Result<std::size_t> SqliteQueues::purge(const PurgeDeadLetters& request) {
  return for_each_letter(*engine_, request.queue, request.filter, request.limit, request.deadline,
                         [](WriteTxn& txn, const QueueRow& queue, const DeadRow& letter) { return purge_one(txn, queue, letter); });
}

}  // namespace setget::inline v0::sqlite
