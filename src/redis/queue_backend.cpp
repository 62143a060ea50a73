// Running scripts on parts of a queue: lanes, repetition of what got no answer, waiting.
#include "redis/queue_backend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "redis/errors.hpp"
#include "redis/queue.hpp"

namespace setget::inline v0::redis {
namespace {

// "PREFIX:{TAG}:" of a name.
std::string head_of(std::string_view name) { return std::string(name.substr(0, name.find("}:") + 2)); }

}  // namespace

std::uint64_t Bell::count() const {
  const std::scoped_lock lock(mutex_);
  return count_;
}

void Bell::ring() {
  {
    const std::scoped_lock lock(mutex_);
    ++count_;
  }
  rung_.notify_all();
}

void Bell::wait(std::uint64_t seen, Deadline::Steady::time_point until) {
  std::unique_lock lock(mutex_);
  rung_.wait_until(lock, until, [&] { return count_ != seen; });
}

Error no_such_queue(std::string_view name) {
  return Error(ErrorCode::kNotFound, fmt::format("there is no queue named \"{}\"", name)).at_field("queue");
}

Error other_queue(std::string_view name) {
  return Error(ErrorCode::kUnavailable, fmt::format("queue \"{}\" was changed or made anew at this moment; ask again", name))
      .from(ErrorSource::kRedis, static_cast<int>(Trouble::kOtherQueue), {});
}

RedisQueues::LaneUse::LaneUse(RedisQueues& queues) : queues_(queues) {
  {
    const std::scoped_lock lock(queues_.mutex_);
    if (!queues_.lanes_.empty()) {
      lane_ = std::move(queues_.lanes_.back());
      queues_.lanes_.pop_back();
      return;
    }
  }
  lane_.id = hex(queues_.place_->random().next());
}

RedisQueues::LaneUse::~LaneUse() {
  const std::scoped_lock lock(queues_.mutex_);
  queues_.lanes_.push_back(std::move(lane_));
}

QueueCapabilities RedisQueues::capabilities() const {
  const auto facts = place_->known();
  return {.durability = facts ? facts->durability : Durability::kMemory,
          .stamps = true,
          .ledger = true,
          .fifo = true,
          .dedup = true,
          .delay = true,
          .dead_letters = true,
          .oldest_unfinished = true,
          .cross_process = true};
}

Script::Call RedisQueues::on_part(const Script& script, const KnownQueue& queue, std::uint32_t part) {
  Script::Call call(script, 2);
  call.key(queue.shards->name(part, queue.name() + ":")).key(queue.shards->name(part, queue.name() + ":m"));
  return call;
}

Script::Call RedisQueues::on_part_with_stamps(const Script& script, const KnownQueue& queue, std::uint32_t part) {
  Script::Call call(script, 3);
  call.key(queue.shards->name(part, queue.name() + ":")).key(queue.shards->name(part, queue.name() + ":m"));
  call.key(queue.shards->name(part, "last"));
  return call;
}

void RedisQueues::saw(Stamp stamp) noexcept {
  auto last = last_stamp_.load(std::memory_order_relaxed);
  while (last < stamp && !last_stamp_.compare_exchange_weak(last, stamp, std::memory_order_relaxed)) {
  }
}

// Nobody wakes it: it only gives the server time.
void RedisQueues::pause(std::size_t attempt, Deadline deadline) {
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  const auto wait = Milliseconds(10) * (1U << std::min<std::size_t>(attempt, 5));
  never.wait_until(lock, std::min(deadline.time(), Deadline::Steady::now() + wait));
}

RedisQueues::Replies RedisQueues::run(const QueuePtr& queue, std::size_t calls, const std::function<Script::Call(std::size_t, bool)>& make,
                                      Deadline deadline) {
  constexpr std::size_t kMostAttempts = 6;  // after lost answers: about 600 ms
  Replies answers(calls, Result<Reply>(Reply::nil()));
  std::vector<std::size_t> open(calls);
  for (std::size_t i = 0; i < calls; ++i) open[i] = i;
  std::vector<bool> uncertain(calls, false);
  bool healed = false;
  auto tag = queue->tag;
  for (std::size_t attempt = 0; !open.empty();) {
    std::vector<Script::Call> batch;
    batch.reserve(open.size());
    for (const auto i : open) {
      batch.push_back(make(i, uncertain[i]));
      batch.back().arg(tag);
    }
    auto replies = run_scripts(place_->client(), batch, deadline);
    std::vector<std::size_t> again;
    bool missing = false;
    bool other = false;
    bool lost = false;
    for (std::size_t k = 0; k < open.size(); ++k) {
      const auto i = open[k];
      auto& reply = replies[k];
      if (!reply) {
        uncertain[i] = uncertain[i] || maybe_executed(reply.error());
        const bool repeat = uncertain[i] && reply.error().retryable() && attempt < kMostAttempts && !deadline.passed();
        lost = lost || repeat;
        if (repeat) again.push_back(i);
      } else if (reply->text() == "again") {
        if (!deadline.passed()) again.push_back(i);
        reply = Error(ErrorCode::kDeadlineExceeded, "too many leases end at this moment; ask again").from(ErrorSource::kRedis, 0, {});
      } else if (const auto said = reply->text(); said == "none" || said == "other") {
        (said == "none" ? missing : other) = true;
        reply = said == "none" ? no_such_queue(queue->name()) : other_queue(queue->name());
        if (!healed) again.push_back(i);
      } else if (reply->text() == "late") {
        reply = Error(ErrorCode::kDeadlineExceeded, "the answer came too late").from(ErrorSource::kRedis, 0, {});
      }
      answers[i] = std::move(reply);
    }
    if ((missing || other) && !healed) {
      healed = true;
      const auto end = [&](const Error& error, bool surely) {
        std::erase_if(again, [&](std::size_t i) {
          if (uncertain[i] && !surely) return false;
          answers[i] = error;
          return true;
        });
      };
      if (auto fresh = heal(queue, missing, deadline); !fresh) {
        end(fresh.error(), false);
      } else if ((*fresh)->tag != tag) {
        // Who asks has to look at it anew. What may have been carried out already is known to the lane, if the queue is still the same one.
        end(other_queue(queue->name()), (*fresh)->id != queue->id);
        tag = (*fresh)->tag;
      }
    }
    if (lost) pause(attempt++, deadline);
    open = std::move(again);
  }
  for (std::size_t i = 0; i < calls; ++i) {
    if (answers[i] || !uncertain[i] || !answers[i].error().retryable()) continue;
    // Whatever the last attempt said: an earlier one may have been carried out.
    answers[i] =
        Error(ErrorCode::kDeadlineExceeded, fmt::format("the answer was lost, and may have been given: {}", answers[i].error().message()))
            .from(ErrorSource::kRedis, static_cast<int>(Trouble::kMaybeExecuted), {});
  }
  return answers;
}

RedisQueues::Replies RedisQueues::run_surely(const QueuePtr& queue, std::size_t calls,
                                             const std::function<Script::Call(std::size_t, bool)>& make, Deadline deadline) {
  if (!place_->waits()) return run(queue, calls, make, deadline);
  constexpr unsigned kTries = 4;
  for (unsigned tries = 0;; ++tries) {
    std::vector<std::string> heads(calls);
    const auto before = place_->began();
    auto answers = run(
        queue, calls,
        [&](std::size_t i, bool again) {
          auto call = make(i, again || tries > 0);
          heads[i] = head_of(call.first_key());
          return call;
        },
        deadline);
    if (std::none_of(answers.begin(), answers.end(), [](const auto& answer) { return answer.has_value(); })) return answers;
    const std::set<std::string_view> parts(heads.begin(), heads.end());
    auto sure = place_->confirm(std::vector(parts.begin(), parts.end()), before, deadline);
    if (sure) return answers;
    // The lanes tell what was done already.
    if (trouble_of(sure.error()) == Trouble::kOtherMaster && tries < kTries && !deadline.passed()) {
      pause(tries, deadline);
      continue;
    }
    for (auto& answer : answers) {
      if (answer) answer = sure.error();
    }
    return answers;
  }
}

Result<void> RedisQueues::confirm(const KnownQueue& queue, const Replicas::Seen& before, Deadline deadline) {
  if (!place_->waits()) return {};
  const auto registry = registry_key();
  std::vector<std::string> heads{head_of(registry)};
  for (std::uint32_t part = 0; part < queue.parts(); ++part) heads.emplace_back(queue.shards->head(part));
  return place_->confirm(std::vector<std::string_view>(heads.begin(), heads.end()), before, deadline);
}

Result<std::vector<Reply>> RedisQueues::on_all_parts(const QueuePtr& queue, const std::function<Script::Call(std::uint32_t)>& make,
                                                     Deadline deadline) {
  auto answers = run(
      queue, queue->parts(), [&](std::size_t part, bool) { return make(static_cast<std::uint32_t>(part)); }, deadline);
  std::vector<Reply> replies;
  replies.reserve(answers.size());
  for (auto& answer : answers) {
    if (!answer) return std::move(answer).error();
    replies.push_back(*std::move(answer));
  }
  return replies;
}

std::shared_ptr<QueueBackend> make_queues(std::shared_ptr<Place> place) { return std::make_shared<RedisQueues>(std::move(place)); }

}  // namespace setget::inline v0::redis
