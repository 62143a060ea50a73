// The queue on a server whose memory is full (noeviction): nothing is sent, and what is there is handed out, finished and given back.
#include <gtest/gtest.h>

#include <optional>

#include "unit/redis_queue/queue_fixture.hpp"

namespace redis_test {
namespace {

struct Full {
  RedisServer server;
  View view{server.uri(), "f"};
  Full() { EXPECT_EQ(server.cli({"CONFIG", "SET", "maxmemory-policy", "noeviction"}), "OK"); }
  void limit(const std::string& bytes) { EXPECT_EQ(server.cli({"CONFIG", "SET", "maxmemory", bytes}), "OK"); }
  void ack(const std::vector<Message>& messages) const {
    std::vector<Settlement> settlements;
    for (const auto& one : messages) settlements.push_back({.receipt = one.receipt, .reasons = {}});
    const auto done = view.queues->settle({.queue = "q", .settlements = settlements});
    ASSERT_TRUE(done) << done.error().describe();
    for (const auto& one : *done) EXPECT_TRUE(one) << one.error().describe();
  }
};

TEST(RedisQueueOfAFullServer, hands_out_and_finishes_what_it_holds) {
  SETGET_REQUIRE_REDIS();
  for (const auto kind : {QueueKind::kStandard, QueueKind::kFifo}) {
    Full full;
    auto queue = Queue::open(full.view.queues, "q", {.kind = kind, .visibility_timeout = Milliseconds(60'000), .max_receives = 3}).value();
    auto batch = batch_of(64);
    if (kind == QueueKind::kFifo) {
      for (std::size_t i = 0; i < batch.size(); ++i) batch[i].group = "g" + std::to_string(i % 20);
    }
    for (int i = 0; i < 3; ++i) (void)queue.send(batch).value();
    full.limit("1");
    const auto refused = queue.send(message("no"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::kOutOfSpace);
    std::size_t finished = 0;
    // Whole frames, a part of one, and one that is given back.
    for (const std::size_t count : {64U, 10U, 7U}) {
      auto got = queue.receive(count);
      ASSERT_TRUE(got) << got.error().describe();
      ASSERT_GE(got->size(), count * 7 / 8);
      full.ack(*got);
      finished += got->size();
    }
    auto held = queue.receive(3);
    ASSERT_TRUE(held) << held.error().describe();
    ASSERT_EQ(held->size(), 3u);
    EXPECT_TRUE(queue.extend((*held)[0], Milliseconds(90'000)));
    EXPECT_TRUE(queue.release((*held)[1]));
    EXPECT_TRUE(queue.dead_letter((*held)[2], {{.code = "bad", .message = "no good", .pointer = {}}}));
    // Leases that end.
    auto short_lived = full.view.queues->receive({.queue = "q", .max_messages = 32, .visibility_timeout = Milliseconds(1)});
    ASSERT_TRUE(short_lived) << short_lived.error().describe();
    ASSERT_FALSE(short_lived->empty());
    const auto last = short_lived->back().message_id;
    std::optional<Message> again;
    EXPECT_TRUE(eventually([&] {
      auto got = queue.receive(5);
      if (!got) return false;
      for (const auto& one : *got) {
        if (one.message_id == last) again = one;
      }
      full.ack(*got);
      finished += got->size();
      return again.has_value();
    }));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->receive_count, 2u);
    EXPECT_TRUE(queue.stats());
    EXPECT_TRUE(full.view.queues->oldest_unfinished());
    EXPECT_TRUE(full.view.queues->peek({.queue = "q", .limit = 10}));
    EXPECT_TRUE(full.view.queues->maintain({.queue = "q"}));
    EXPECT_EQ(full.view.queues->purge({.queue = "q", .filter = {}}).value(), 1u);
    expect_ledger(queue, 192, finished);
    full.limit("0");
    EXPECT_TRUE(queue.send(message("yes")));
  }
}

TEST(RedisQueueOfAFullServer, gives_up_what_is_too_old) {
  SETGET_REQUIRE_REDIS();
  for (const bool maintained : {true, false}) {
    Full full;
    auto queue = Queue::open(full.view.queues, "q", {.kind = QueueKind::kStandard, .retention = Milliseconds(1)}).value();
    (void)queue.send(batch_of(64)).value();
    full.limit("1");
    EXPECT_TRUE(eventually([&] {
      if (maintained) {
        const auto done = full.view.queues->maintain({.queue = "q"});
        EXPECT_TRUE(done) << done.error().describe();
      } else {
        const auto got = queue.receive(10);
        EXPECT_TRUE(got) << got.error().describe();
      }
      const auto stats = queue.stats();
      EXPECT_TRUE(stats) << stats.error().describe();
      return ::testing::Test::HasFailure() || stats->dead_letters == 64;
    }));
  }
}

TEST(RedisQueueOfAFullServer, lets_a_queue_go) {
  SETGET_REQUIRE_REDIS();
  Full full;
  auto queue = Queue::open(full.view.queues, "q", {.kind = QueueKind::kStandard}).value();
  (void)queue.send(batch_of(64)).value();
  full.limit("1");
  const auto removed = full.view.queues->remove("q");
  ASSERT_TRUE(removed) << removed.error().describe();
  EXPECT_EQ(queue.stats().error().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace redis_test
