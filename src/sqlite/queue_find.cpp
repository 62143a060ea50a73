// Questions about messages: status, counts, a look without a lease.
#include <algorithm>
#include <unordered_set>

#include "sqlite/queue.hpp"

namespace setget::inline v0::sqlite {

namespace {

Error no_such_message() { return Error(ErrorCode::kNotFound, "no such message, or it is forgotten").at_field("message_id"); }

std::optional<QueueRow> queue_by_id(Connection& db, std::int64_t id) {
  for (auto& queue : read_queues(db)) {
    if (queue.id == id) return std::move(queue);
  }
  return std::nullopt;
}

Result<QueueRow> queue_by_name(Connection& db, std::string_view name) {
  for (auto& queue : read_queues(db)) {
    if (queue.info.name == name) return std::move(queue);
  }
  return no_such_queue(name);
}

// The body, while the store has it; where it is damaged, that is a reason more.
void add_body(Connection& db, MessageStatus& status) {
  auto content = read_content(db, status.stamp);
  if (!content) return;
  if (content->damaged) return mark_damaged(status.reasons);
  status.body = std::move(content->body);
}

// The receive count of an unfinished message; empty if the message is not unfinished.
std::optional<std::uint32_t> unfinished(Connection& db, std::int64_t queue, Stamp stamp) {
  const auto count = [&] { return load_history(db, stamp).receives; };
  {
    auto row = db.query("SELECT v FROM state WHERE kind=?1 AND queue=?2 AND n<=?3 ORDER BY n DESC LIMIT 1");
    if (row.with(kReadyKind, queue, stamp).step() && row.number(0) >> 2 >= stamp) return count();
  }
  if (db.find_integer("SELECT 1 FROM delayed WHERE queue=?1 AND stamp=?2", queue, stamp)) return count();
  if (db.find_integer("SELECT 1 FROM waiting WHERE queue=?1 AND stamp=?2", queue, stamp)) return count();
  auto row = db.query("SELECT until, members FROM lease WHERE queue=?1 AND low<=?2");
  row.with(queue, stamp);
  while (row.step()) {
    for (const auto& member : decode_members(row.blob(1), row.integer(0))) {
      if (member.stamp == stamp) return member.receives;
    }
  }
  return std::nullopt;
}

Result<MessageStatus> status_of(Connection& db, std::string_view message_id, std::int64_t now) {
  const auto name = parse_message_id(message_id);
  if (!name) return no_such_message();
  const auto queue = queue_by_id(db, name->queue);
  if (!queue) return no_such_message();
  const auto stamp = static_cast<Stamp>(
      db.find_integer("SELECT stamp FROM moved WHERE origin=?1", name->stamp).value_or(static_cast<std::int64_t>(name->stamp)));
  MessageStatus status;
  status.message_id = message_id;
  status.stamp = stamp;
  {
    auto row = db.query("SELECT receives, reasons FROM dead WHERE queue=?1 AND stamp=?2");
    if (row.with(queue->id, stamp).step()) {
      status.outcome = Outcome::kDeadLettered;
      status.receive_count = static_cast<std::uint32_t>(row.integer(0));
      status.reasons = decode_reasons(row.blob(1));
      add_body(db, status);
      return status;
    }
  }
  {
    auto row = db.query("SELECT entries FROM outcome WHERE win=?1 AND queue=?2 AND at>?3 ORDER BY at DESC, n DESC");
    row.with(outcome_window(stamp), queue->id, now - queue->info.options.outcome_retention.count());
    while (row.step()) {
      const auto entries = decode_outcomes(row.blob(0));
      const auto found = std::find_if(entries.begin(), entries.end(), [&](const OutcomeEntry& entry) { return entry.stamp == stamp; });
      if (found == entries.end()) continue;
      status.outcome = found->outcome;
      status.receive_count = found->receive_count;
      status.reasons = decode_reasons(found->reasons);
      add_body(db, status);
      return status;
    }
  }
  const auto receives = unfinished(db, queue->id, stamp);
  if (!receives) return no_such_message();
  status.receive_count = *receives;
  add_body(db, status);
  return status;
}

// Those of one receive whose leases are over at `now`: by themselves, or because an earlier message of their group has lost its own.
std::uint64_t ended_members(const std::vector<LeaseMember>& members, std::int64_t now) {
  std::uint64_t ended = 0;
  std::unordered_set<std::uint64_t> ended_groups;
  for (const auto& member : members) {  // by rising stamp
    if (member.until > now && !ended_groups.contains(member.group)) continue;
    ++ended;
    if (member.group != 0) ended_groups.insert(member.group);
  }
  return ended;
}

}  // namespace

std::optional<Stamp> oldest_unfinished_of(Connection& db, std::int64_t queue) {
  std::optional<Stamp> oldest;
  for (const auto& stamp : {db.find_integer("SELECT n FROM state WHERE kind=?1 AND queue=?2 ORDER BY n LIMIT 1", kReadyKind, queue),
                            db.find_integer("SELECT min(low) FROM lease WHERE queue=?1", queue),
                            db.find_integer("SELECT stamp FROM delayed WHERE queue=?1 ORDER BY stamp LIMIT 1", queue),
                            db.find_integer("SELECT stamp FROM waiting WHERE queue=?1 ORDER BY stamp LIMIT 1", queue)}) {
    if (stamp) oldest = std::min(oldest.value_or(static_cast<Stamp>(*stamp)), static_cast<Stamp>(*stamp));
  }
  return oldest;
}

Result<MessageStatus> SqliteQueues::find(const FindMessage& request) {
  const auto end = Deadline::at(std::min(request.wait.time(), request.latest().time()));
  for (;;) {
    const auto seen = engine_->sidecar().seen(Topic::kOutcomes);
    auto status =
        engine_->read([&](Connection& db) { return status_of(db, request.message_id, engine_->now().time_since_epoch().count()); });
    if (!status || status->outcome != Outcome::kPending) return status;
    const auto left = end.left();
    if (left <= std::chrono::nanoseconds(0)) return status;
    engine_->sidecar().wait(Topic::kOutcomes, seen, std::min<std::chrono::nanoseconds>(left, engine_->longest_wait()));
  }
}

Result<QueueStats> SqliteQueues::stats(std::string_view name, Deadline) {
  return engine_->read([&](Connection& db) -> Result<QueueStats> {
    auto queue = queue_by_name(db, name);
    if (!queue) return std::move(queue).error();
    const auto counters = read_counters(db, queue->id);
    const auto now = engine_->now();
    const auto ms = now.time_since_epoch().count();
    // What time has changed and no receive has noticed yet.
    const auto due = static_cast<std::uint64_t>(
        db.find_integer("SELECT count(*) FROM delayed WHERE queue=?1 AND due<=?2", queue->id, ms).value_or(0) +
        db.find_integer("SELECT count(*) FROM waiting WHERE queue=?1 AND due IS NOT NULL AND due<=?2", queue->id, ms).value_or(0));
    std::uint64_t ended = 0;
    {
      auto row = db.query("SELECT until, members FROM lease WHERE queue=?1 AND until<=?2");
      row.with(queue->id, ms);
      while (row.step()) ended += ended_members(decode_members(row.blob(1), row.integer(0)), ms);
    }
    QueueStats stats;
    stats.depth = counters.ready + due + ended;
    stats.in_flight = counters.in_flight - ended;
    stats.delayed = counters.delayed - due;
    stats.dead_letters = counters.outcomes[static_cast<std::size_t>(Outcome::kDeadLettered)];
    stats.accepted = counters.accepted;
    std::copy(counters.outcomes.begin(), counters.outcomes.end(), stats.outcomes);
    if (const auto oldest = oldest_unfinished_of(db, queue->id)) {
      stats.oldest_age = std::max(Milliseconds(0), Milliseconds(now - time_of(*oldest)));
    }
    return stats;
  });
}

Result<std::vector<Message>> SqliteQueues::peek(const PeekMessages& request) {
  return engine_->read([&](Connection& db) -> Result<std::vector<Message>> {
    auto queue = queue_by_name(db, request.queue);
    if (!queue) return std::move(queue).error();
    struct Sight {
      Stamp stamp;
      std::uint32_t flags;
      std::int64_t visible_at;
      std::uint32_t receives;  // 0 = see history
    };
    std::vector<Sight> sights;
    const auto limit = static_cast<std::int64_t>(request.limit);
    {
      auto row = db.query("SELECT n, v FROM state WHERE kind=?1 AND queue=?2 ORDER BY n LIMIT ?3");
      row.with(kReadyKind, queue->id, limit);
      std::size_t seen = 0;
      while (seen < request.limit && row.step()) {
        const auto flags = static_cast<std::uint32_t>(row.number(1) & 3);
        auto member = db.query("SELECT stamp FROM log WHERE stamp BETWEEN ?1 AND ?2 AND queue=?3 ORDER BY stamp LIMIT ?4");
        member.with(row.number(0), row.number(1) >> 2, queue->id, limit);
        for (; member.step(); ++seen) {
          sights.push_back({.stamp = member.number(0),
                            .flags = flags,
                            .visible_at = time_of(member.number(0)).time_since_epoch().count(),
                            .receives = 0});
        }
      }
    }
    {
      auto row = db.query("SELECT stamp, flags, due FROM delayed WHERE queue=?1 ORDER BY stamp LIMIT ?2");
      row.with(queue->id, limit);
      while (row.step())
        sights.push_back(
            {.stamp = row.number(0), .flags = static_cast<std::uint32_t>(row.number(1)), .visible_at = row.integer(2), .receives = 0});
    }
    {
      auto row = db.query("SELECT stamp, flags, due FROM waiting WHERE queue=?1 ORDER BY stamp LIMIT ?2");
      row.with(queue->id, limit);
      while (row.step()) {
        const auto at = row.is_null(2) ? time_of(row.number(0)).time_since_epoch().count() : row.integer(2);
        sights.push_back({.stamp = row.number(0), .flags = static_cast<std::uint32_t>(row.number(1)), .visible_at = at, .receives = 0});
      }
    }
    {
      auto row = db.query("SELECT until, members FROM lease WHERE queue=?1 ORDER BY low");
      row.with(queue->id);
      while (row.step()) {
        for (const auto& member : decode_members(row.blob(1), row.integer(0))) {
          sights.push_back({.stamp = member.stamp, .flags = member.flags, .visible_at = member.until, .receives = member.receives});
        }
      }
    }
    std::sort(sights.begin(), sights.end(), [](const Sight& a, const Sight& b) { return a.stamp < b.stamp; });
    if (sights.size() > request.limit) sights.resize(request.limit);

    std::vector<Message> messages;
    for (const auto& sight : sights) {
      const auto history = (sight.flags & kHasHistory) != 0 ? load_history(db, sight.stamp) : MessageHistory{};
      Message message;
      message.message_id = message_id_of(queue->id, history.origin.value_or(sight.stamp));
      auto content = read_content(db, sight.stamp).value_or(MessageContent{.damaged = true});
      message.body = std::move(content.body);
      message.attributes = std::move(content.attributes);
      message.group = std::move(content.group);
      message.damaged = content.damaged;
      message.stamp = sight.stamp;
      message.sent_at = time_of(sight.stamp);
      message.receive_count = sight.receives != 0 ? sight.receives : history.receives;
      message.visible_at = TimePoint(Milliseconds(sight.visible_at));
      messages.push_back(std::move(message));
    }
    return messages;
  });
}

}  // namespace setget::inline v0::sqlite
