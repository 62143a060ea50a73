// Questions about messages: status, counts, the oldest unfinished stamp; and housekeeping.
#include <algorithm>
#include <charconv>

#include "redis/queue.hpp"
#include "redis/queue_backend.hpp"
#include "redis/queue_scripts.hpp"

namespace setget::inline v0::redis {

namespace {

Error not_the_answer() { return Error(ErrorCode::kCorrupted, "not the answer of this script").from(ErrorSource::kRedis, 0, {}); }
Error no_such_message() { return Error(ErrorCode::kNotFound, "no such message, or it is forgotten").at_field("message_id"); }

}  // namespace

Result<MessageStatus> RedisQueues::find(const FindMessage& request) {
  constexpr Milliseconds kLongestWait{20};
  constexpr Milliseconds kLastLook{20};  // before the deadline, so that its answer comes in time
  const auto name = parse_message_id(request.message_id);
  if (!name) return no_such_message();
  const auto deadline = request.latest();
  const auto end = std::min(request.wait.time(), std::max(deadline.time(), Deadline::Steady::now()) - kLastLook);
  auto found = with_queue(name->queue, deadline, [&](const QueuePtr& queue) -> Result<MessageStatus> {
    for (Milliseconds wait{1};; wait = std::min(wait * 2, kLongestWait)) {
      if (name->part >= queue->parts()) return no_such_message();
      const auto seen = queue->bell->count();
      auto answers = run(
          queue, 1,
          [&](std::size_t, bool) {
            auto call = on_part(queue_scripts::find(), *queue, name->part);
            call.arg(static_cast<std::int64_t>(name->number));
            return call;
          },
          deadline);
      auto& answer = answers.front();
      if (!answer) return std::move(answer).error();
      const auto fields = answer->elements();
      if (fields.size() != 7) return not_the_answer();
      if (fields[1].text() != name->born || fields[2].integer() < 0) return no_such_message();
      MessageStatus status;
      status.message_id = request.message_id;
      status.outcome = static_cast<Outcome>(fields[2].integer());
      status.stamp = fields[3].integer() != 0 ? static_cast<Stamp>(fields[3].integer()) : name->stamp;
      status.receive_count = static_cast<std::uint32_t>(fields[4].integer());
      status.reasons = decode_reasons(fields[5].text());
      // Those that are unfinished or dead have one.
      if (status.outcome == Outcome::kPending || status.outcome == Outcome::kDeadLettered) {
        auto record = decode_record(fields[6].take_payload());
        if (record) status.body = std::move(record->body);
        if (!record) mark_damaged(status.reasons);
      }
      if (status.outcome != Outcome::kPending || end <= Deadline::Steady::now()) return status;
      queue->bell->wait(seen, std::min(end, Deadline::Steady::now() + wait));
    }
  });
  if (!found && found.error().code() == ErrorCode::kNotFound) return no_such_message();
  return found;
}

Result<QueueStats> RedisQueues::stats(std::string_view name, Deadline deadline) {
  const auto at_time = now();
  auto replies = with_queue(name, deadline, [&](const QueuePtr& queue) {
    return on_all_parts(
        queue,
        [&](std::uint32_t part) {
          auto call = on_part(queue_scripts::stats(), *queue, part);
          call.arg(at_time);
          return call;
        },
        deadline);
  });
  if (!replies) return std::move(replies).error();
  constexpr Outcome kCounted[] = {Outcome::kApplied, Outcome::kDuplicate, Outcome::kStale, Outcome::kExpired, Outcome::kPurged};
  QueueStats stats;
  Stamp oldest = 0;
  std::uint64_t gone = 0;
  for (const auto& reply : *replies) {
    const auto fields = reply.elements();
    if (fields.size() != 11) return not_the_answer();
    const auto number = [&](std::size_t i) { return static_cast<std::uint64_t>(fields[i].integer()); };
    stats.accepted += number(1);
    stats.in_flight += number(2);
    stats.delayed += number(3);
    stats.dead_letters += number(4);
    if (const auto stamp = number(5); stamp != 0) oldest = oldest == 0 ? stamp : std::min(oldest, stamp);
    for (std::size_t i = 0; i < std::size(kCounted); ++i) {
      stats.outcomes[static_cast<std::size_t>(kCounted[i])] += number(6 + i);
      gone += number(6 + i);
    }
  }
  stats.outcomes[static_cast<std::size_t>(Outcome::kDeadLettered)] = stats.dead_letters;
  gone += stats.dead_letters + stats.in_flight + stats.delayed;
  stats.depth = stats.accepted > gone ? stats.accepted - gone : 0;
  if (oldest != 0) stats.oldest_age = std::max(TimePoint(Milliseconds(at_time)) - time_of(oldest), Milliseconds(0));
  return stats;
}

Result<std::vector<QueuePtr>> RedisQueues::all_queues(Deadline deadline) {
  auto infos = list(deadline);
  if (!infos) return std::move(infos).error();
  std::vector<QueuePtr> queues;
  for (const auto& info : *infos) {
    auto queue = known(info.name, deadline);
    if (queue) queues.push_back(*queue);
    if (!queue && queue.error().code() != ErrorCode::kNotFound) return std::move(queue).error();
  }
  return queues;
}

// The parts give stamps on their own. So each of them is first told the highest stamp that any of them has given: from then on none gives
// one that is not above it, whatever the clock does. What is unfinished below is then asked for.
Result<Stamp> RedisQueues::oldest_unfinished(Deadline deadline) {
  auto found = all_queues(deadline);
  if (!found) return std::move(found).error();
  const auto& queues = *found;
  const auto before = place_->began();
  Stamp last = 0;
  const bool raises = !queues.empty() && queues.front()->parts() > 1;
  if (!queues.empty()) {
    const auto& shards = *queues.front()->shards;
    std::vector<RedisCommand> gets;
    for (std::uint32_t part = 0; part < shards.count(); ++part)
      gets.push_back(RedisCommand("GET").key(shards.name(part, "last")).idempotent());
    for (auto& reply : place_->client().pipeline(gets, deadline)) {
      if (!reply) return std::move(reply).error();
      Stamp its = 0;
      const auto text = reply->text();
      std::from_chars(text.data(), text.data() + text.size(), its);
      last = std::max(last, its);
    }
  }
  auto oldest = oldest_above(queues, last, raises, deadline);
  if (!oldest) return std::move(oldest).error();
  // What a failover could bring back is not finished. All queues lie in the same parts.
  if (!queues.empty()) {
    if (auto sure = confirm(*queues.front(), before, deadline); !sure) return std::move(sure).error();
  }
  return *oldest;
}

Result<Stamp> RedisQueues::oldest_above(std::span<const QueuePtr> queues, Stamp last, bool raises, Deadline deadline) {
  if (raises) {
    const auto& shards = *queues.front()->shards;
    std::vector<Script::Call> calls;
    for (std::uint32_t part = 0; part < shards.count(); ++part) {
      calls.emplace_back(queue_scripts::raise(), 2).key(shards.name(part, "last")).key(shards.name(part, ""));
      calls.back().arg(static_cast<std::int64_t>(last));
    }
    for (auto& reply : run_scripts(place_->client(), calls, deadline)) {
      if (!reply) return std::move(reply).error();
    }
  }
  Stamp oldest = last + 1;
  for (const auto& queue : queues) {
    auto replies = with_queue(queue->name(), deadline, [&](const QueuePtr& its) {
      return on_all_parts(
          its, [&](std::uint32_t part) { return on_part(queue_scripts::oldest(), *its, part); }, deadline);
    });
    if (!replies) {
      if (replies.error().code() == ErrorCode::kNotFound) continue;
      return std::move(replies).error();
    }
    for (const auto& reply : *replies) {
      if (reply.elements().size() != 2) return not_the_answer();
      if (const auto stamp = reply.elements()[1].integer(); stamp != 0) oldest = std::min(oldest, static_cast<Stamp>(stamp));
    }
  }
  return oldest;
}

Result<Stamp> RedisQueues::floor_below(Stamp floor, Deadline deadline) {
  auto queues = all_queues(deadline);
  if (!queues) return std::move(queues).error();
  if (queues->empty() || floor == 0) return floor;
  const auto before = place_->began();
  auto oldest = oldest_above(*queues, floor - 1, true, deadline);
  if (!oldest) return std::move(oldest).error();
  if (auto sure = confirm(*queues->front(), before, deadline); !sure) return std::move(sure).error();
  return *oldest;
}

Result<Stamp> floor_below_queues(std::shared_ptr<Place> place, Stamp floor, Deadline deadline) {
  return RedisQueues(std::move(place)).floor_below(floor, deadline);
}

Result<std::size_t> RedisQueues::maintain(const MaintainQueue& request) {
  return with_queue(request.queue, request.deadline, [&](const QueuePtr& queue) -> Result<std::size_t> {
    const auto at_time = now();
    std::size_t steps = 0;
    for (std::uint32_t part = 0; part < queue->parts() && steps < request.max_steps; ++part) {
      auto answers = run(
          queue, 1,
          [&](std::size_t, bool) {
            auto call = on_part(queue_scripts::maintain(), *queue, part);
            call.arg(at_time).arg(static_cast<std::int64_t>(std::min<std::size_t>(request.max_steps - steps, 1000)));
            return call;
          },
          request.deadline);
      if (!answers[0]) return std::move(answers[0]).error();
      if (answers[0]->elements().size() != 2) return not_the_answer();
      steps += static_cast<std::size_t>(answers[0]->elements()[1].integer());
    }
    queue->bell->ring();  // a dead letter may have freed its group
    return steps;
  });
}

}  // namespace setget::inline v0::redis
