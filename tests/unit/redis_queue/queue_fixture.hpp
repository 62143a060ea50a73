// What the tests of the Redis queue share.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "redis/place.hpp"
#include "redis/queue.hpp"
#include "redis/queue_scripts.hpp"
#include "redis/shards.hpp"
#include "support/redis_server.hpp"

#include <setget/queue.hpp>
#include <setget/testing/tcp_proxy.hpp>

namespace redis_test {

using namespace setget;

class Log final : public Logger {
 public:
  bool enabled(LogLevel) const noexcept override { return true; }
  void log(LogLevel level, std::string_view, std::initializer_list<LogField>) noexcept override {
    if (level == LogLevel::kError) ++errors;
  }
  std::atomic<int> errors{0};
};

inline std::string fresh_prefix() {
  static std::atomic<int> count{0};
  return "p" + std::to_string(++count);
}

// One process's view of a store.
struct View {
  std::shared_ptr<Log> log = std::make_shared<Log>();
  std::shared_ptr<redis::Place> place;
  std::shared_ptr<QueueBackend> queues;
  View(const std::string& uri, const std::string& prefix, std::uint32_t partitions = 1)
      : place(redis::Place::open({.uri = uri, .prefix = prefix, .partitions = partitions, .logger = log}).value()),
        queues(redis::make_queues(place)) {}
};

// One call of a script on the queue's only part as its client makes it, by hand.
inline redis::Reply call(const View& view, const redis::Script& script, const std::string& queue,
                         const std::vector<std::string>& arguments) {
  const redis::Shards shards(view.place->prefix(), 1, 'q');
  redis::Script::Call one(script, 2);
  one.key(shards.name(0, queue + ":")).key(shards.name(0, queue + ":m"));
  for (const auto& argument : arguments) one.arg(argument);
  return redis::run_script(view.place->client(), one, Deadline::in(Milliseconds(30'000))).value();
}

inline std::string milliseconds_from_now(Milliseconds later) {
  return std::to_string(std::chrono::floor<Milliseconds>(std::chrono::system_clock::now() + later).time_since_epoch().count());
}

inline OutgoingMessage message(std::string body, std::string group = {}, std::string dedup_id = {}) {
  OutgoingMessage out;
  out.body = Payload(std::move(body));
  out.group = std::move(group);
  out.dedup_id = std::move(dedup_id);
  return out;
}

inline std::vector<OutgoingMessage> batch_of(std::size_t count, const std::string& body = "m") {
  std::vector<OutgoingMessage> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(message(body + std::to_string(i)));
  return out;
}

inline void expect_ledger(Queue& queue, std::uint64_t accepted, std::uint64_t applied) {
  const auto stats = queue.stats().value();
  std::uint64_t finished = 0;
  for (std::size_t i = 1; i < kOutcomeCount; ++i) finished += stats.outcomes[i];
  EXPECT_EQ(stats.accepted, accepted);
  EXPECT_EQ(stats.outcomes[static_cast<std::size_t>(Outcome::kApplied)], applied);
  EXPECT_EQ(stats.accepted, finished + stats.depth + stats.in_flight + stats.delayed);
}

}  // namespace redis_test
