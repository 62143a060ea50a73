// Queues that others change, remove and make anew while a process uses what it knows of them.
#include <gtest/gtest.h>

#include <thread>

#include "redis/store.hpp"
#include "unit/redis_queue/queue_fixture.hpp"

namespace redis_test {
namespace {

RedisServer& changes_server() {
  static RedisServer one;
  return one;
}

// Two processes on one store.
struct Pair {
  std::string prefix = fresh_prefix();
  View ours;
  View theirs;
  explicit Pair(std::uint32_t partitions = 1, const std::string& options = {})
      : ours(changes_server().uri() + options, prefix, partitions), theirs(changes_server().uri(), prefix, partitions) {}
  std::string name(const std::string& key) const { return redis::Shards(prefix, 1, 'q').name(0, key); }
};

TEST(RedisQueueChanges, Who_knew_a_standard_queue_sends_in_order_to_the_fifo_queue_that_was_made_since) {
  for (const std::uint32_t partitions : {1U, 4U}) {
    Pair both(partitions);
    auto ours = Queue::open(both.ours.queues, "q", {.kind = QueueKind::kStandard}).value();
    (void)ours.send(batch_of(8)).value();
    both.theirs.queues->remove("q").value();
    auto theirs = Queue::open(both.theirs.queues, "q", {.kind = QueueKind::kFifo}).value();

    std::vector<OutgoingMessage> batch;
    for (int i = 0; i < 40; ++i) batch.push_back(message(std::to_string(i), "g"));
    std::size_t at = 0;
    for (const auto& sent : ours.send(batch).value()) EXPECT_TRUE(sent) << at++ << ": " << sent.error().describe();
    const auto first = theirs.receive(10).value();
    ASSERT_EQ(first.size(), 10u);
    for (std::size_t i = 0; i < first.size(); ++i) {
      EXPECT_EQ(first[i].body.str(), std::to_string(i));
      EXPECT_EQ(first[i].group, "g");
    }
    EXPECT_TRUE(theirs.receive(10).value().empty()) << "the group waits for what is in flight";
    both.ours.queues->settle({.queue = "q", .settlements = std::vector<Settlement>{{.receipt = first[0].receipt, .reasons = {}}}})
        .value()[0]
        .value();
    EXPECT_EQ(ours.stats().value().in_flight, 9u);
    EXPECT_EQ(both.ours.log->errors.load(), 0) << "nothing was lost";
  }
}

TEST(RedisQueueChanges, A_window_of_deduplication_that_somebody_else_opened_holds_for_the_next_send) {
  Pair both(4);
  auto ours = Queue::open(both.ours.queues, "q", {.kind = QueueKind::kStandard, .dedup_window = Milliseconds(0)}).value();
  (void)ours.send(message("m", {}, "id")).value();
  (void)Queue::open(both.theirs.queues, "q", {.kind = QueueKind::kStandard, .dedup_window = Milliseconds(600'000)}).value();
  EXPECT_FALSE(ours.send(message("m", {}, "id")).value().deduplicated);
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(ours.send(message("m", {}, "id")).value().deduplicated) << i;
}

TEST(RedisQueueChanges, A_limit_in_flight_that_somebody_else_lowered_holds_for_the_next_receive) {
  for (const std::uint32_t partitions : {1U, 4U}) {
    Pair both(partitions);
    auto ours = Queue::open(both.ours.queues, "q", {.kind = QueueKind::kStandard, .max_in_flight = 1'000}).value();
    for (int i = 0; i < 8; ++i) (void)ours.send(batch_of(50)).value();
    (void)Queue::open(both.theirs.queues, "q", {.kind = QueueKind::kStandard, .max_in_flight = 100}).value();
    std::size_t got = 0;
    for (int i = 0; i < 8; ++i) got += ours.receive(200).value().size();
    EXPECT_LE(got, 100u);
    EXPECT_GE(got, 50u);
  }
}

TEST(RedisQueueChanges, A_removal_that_arrives_late_leaves_the_queue_that_was_made_since) {
  Pair both;
  auto queue = Queue::open(both.ours.queues, "q").value();
  const auto key = both.name("q:m");
  const auto id = changes_server().cli({"hget", key, "id"});
  both.ours.queues->remove("q").value();
  auto again = Queue::open(both.ours.queues, "q").value();
  (void)again.send(message("kept")).value();
  (void)call(both.ours, redis::queue_scripts::drop(), "q", {id});
  EXPECT_EQ(again.stats().value().depth, 1u);
  (void)call(both.ours, redis::queue_scripts::drop(), "q", {changes_server().cli({"hget", key, "id"})});
  EXPECT_EQ(changes_server().cli({"exists", key}), "0");
}

TEST(RedisQueueChanges, An_installation_that_arrives_late_leaves_the_queue_that_was_made_since) {
  Pair both;
  (void)Queue::open(both.ours.queues, "q").value();
  const auto key = both.name("q:m");
  const auto id = changes_server().cli({"hget", key, "id"});
  const auto tag = changes_server().cli({"hget", key, "tag"});
  both.theirs.queues->remove("q").value();
  auto again = Queue::open(both.theirs.queues, "q").value();
  (void)again.send(message("kept")).value();
  const auto now = milliseconds_from_now({});
  const auto answer = call(both.ours, redis::queue_scripts::install(), "q",
                           {id, "", "00000001", tag, now, "1", "30000", "0", "345600000", "5", "0", "3600000", "1000", "1048576"});
  ASSERT_EQ(answer.elements().size(), 2u);
  EXPECT_EQ(answer.elements()[1].text(), changes_server().cli({"hget", key, "id"})) << "who is there instead";
  EXPECT_EQ(again.stats().value().depth, 1u);
}

TEST(RedisQueueChanges, A_removal_that_got_no_further_can_be_repeated_and_is_no_queue_meanwhile) {
  Pair both(4);
  auto ours = Queue::open(both.ours.queues, "q").value();
  auto theirs = Queue::open(both.theirs.queues, "q").value();
  const auto stop_half_way = [&] {
    for (int i = 0; i < 8; ++i) (void)ours.send(message("m")).value();
    const auto id = changes_server().cli({"hget", redis::Shards(both.prefix, 4, 'q').name(0, "q:m"), "id"});
    changes_server().cli({"hset", both.name("queues"), "q", "0 " + id});
  };
  const auto stored = [&] { return changes_server().cli({"eval", "return #redis.call('KEYS', ARGV[1])", "0", both.prefix + ":*:q:*"}); };
  stop_half_way();
  EXPECT_TRUE(both.theirs.queues->list(Deadline::in(Milliseconds(10'000))).value().empty());
  EXPECT_NE(stored(), "0");
  both.theirs.queues->remove("q").value();
  EXPECT_EQ(stored(), "0");
  EXPECT_EQ(both.theirs.queues->remove("q").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(ours.send(message("m")).error().code(), ErrorCode::kNotFound);

  ours = Queue::open(both.ours.queues, "q").value();
  stop_half_way();
  auto fresh = Queue::open(both.theirs.queues, "q").value();
  EXPECT_EQ(fresh.stats().value().accepted, 0u) << "of the one that was being removed nothing is left";
  (void)ours.send(message("m")).value();
  EXPECT_EQ(fresh.receive(10).value().size(), 1u);
}

TEST(RedisQueueChanges, Of_queues_that_are_made_and_removed_at_once_nothing_is_left) {
  Pair both(4);
  std::atomic<int> failures{0};
  const auto stored = [&] { return changes_server().cli({"eval", "return redis.call('KEYS', ARGV[1])", "0", both.prefix + ":*:q:*"}); };
  for (int round = 0; round < 40; ++round) {
    {
      std::jthread maker([&] {
        for (int i = 0; i < 4; ++i) {
          if (!both.ours.queues->create({.name = "q", .options = {}})) ++failures;
          (void)both.ours.queues->send({.queue = "q", .messages = batch_of(3)});
        }
      });
      std::jthread remover([&] {
        for (int i = 0; i < 8; ++i) {
          const auto gone = both.theirs.queues->remove("q");
          if (!gone && gone.error().code() != ErrorCode::kNotFound) ++failures;
        }
      });
    }
    (void)both.theirs.queues->remove("q");
    ASSERT_EQ(stored(), "") << round;
  }
  EXPECT_EQ(failures.load(), 0);
  auto last = Queue::open(both.theirs.queues, "q").value();
  (void)both.ours.queues->send({.queue = "q", .messages = batch_of(3)}).value();
  EXPECT_EQ(last.stats().value().accepted, 3u) << "both mean the same queue";
}

TEST(RedisQueueChanges, The_stores_floor_stays_below_what_waits_in_queues_beside_it_whoever_asks_for_another) {
  for (const std::uint32_t partitions : {1U, 4U}) {
    Pair both(partitions);
    auto queue = Queue::open(both.ours.queues, "q").value();
    const auto waiting = queue.send(message("m")).value().stamp;
    auto store = redis::make_key_store(both.theirs.place);
    // As of a pipeline whose queue lies elsewhere.
    const auto elsewhere = stamp_at(system_clock()->now() + Milliseconds(3'600'000));
    const auto floor = [&] {
      EXPECT_TRUE(store->reclaim({.now = system_clock()->now(), .floor = elsewhere}));
      return store->stats(Deadline::in(Milliseconds(10'000))).value().floor;
    };
    EXPECT_EQ(floor(), waiting);
    const auto held = queue.receive(1).value();
    ASSERT_EQ(held.size(), 1u);
    EXPECT_EQ(floor(), waiting);
    ASSERT_TRUE(queue.ack(held.front()));
    EXPECT_EQ(floor(), elsewhere);
    EXPECT_GE(queue.send(message("later")).value().stamp, elsewhere) << "whatever the clock says";
  }
}

TEST(RedisQueueChanges, A_look_at_many_records_needs_no_reply_that_holds_them_all) {
  for (const std::uint32_t partitions : {1U, 4U}) {
    Pair both(partitions, "?max_reply=1000000");
    auto queue = Queue::open(both.ours.queues, "q", {.kind = QueueKind::kStandard}).value();
    std::vector<std::string> bodies;
    for (int i = 0; i < 40; ++i) {
      bodies.push_back(std::string(100'000, static_cast<char>('a' + i % 26)) + std::to_string(i));
      (void)queue.send(message(bodies.back())).value();
    }
    std::vector<OutgoingMessage> together;  // a frame
    for (int i = 0; i < 20; ++i) together.push_back(message(bodies.emplace_back("small " + std::to_string(i))));
    for (const auto& sent : queue.send(together).value()) (void)sent.value();
    auto theirs = Queue::open(both.theirs.queues, "q", {.kind = QueueKind::kStandard}).value();
    const auto leased = theirs.receive(3).value();
    ASSERT_EQ(leased.size(), 3u);

    const auto seen = both.ours.queues->peek({.queue = "q", .limit = 100}).value();
    ASSERT_EQ(seen.size(), bodies.size());
    std::size_t in_flight = 0;
    for (std::size_t i = 0; i < seen.size(); ++i) {
      EXPECT_EQ(seen[i].body.str(), bodies[i]) << i;
      in_flight += seen[i].receive_count;
    }
    EXPECT_EQ(in_flight, 3u);
    EXPECT_EQ(both.ours.queues->peek({.queue = "q", .limit = 50}).value().back().body.str(), bodies[49]) << "in the middle of a frame";
  }
}

}  // namespace
}  // namespace redis_test
