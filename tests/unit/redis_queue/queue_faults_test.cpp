// The queue when answers are lost, scripts are forgotten, content is gone, servers are killed.
#include <gtest/gtest.h>

#include <set>

#include "unit/redis_queue/queue_fixture.hpp"

namespace redis_test {
namespace {

using setget::testing::TcpProxy;

RedisServer& server() {
  static RedisServer one;
  return one;
}

// A queue behind a proxy that can lose answers.
struct Shaky {
  std::unique_ptr<TcpProxy> proxy = TcpProxy::start("127.0.0.1", server().port()).value();
  View view;
  Queue queue;
  explicit Shaky(QueueKind kind = QueueKind::kFifo, std::uint32_t partitions = 1)
      : view("redis://127.0.0.1:" + std::to_string(proxy->port()), fresh_prefix(), partitions),
        queue(Queue::open(view.queues, "q", {.kind = kind}).value()) {}
  // The next answer arrives only in part; the server has done what it was asked.
  void lose_next_answer() { proxy->cut_after(TcpProxy::Way::kToClient, 3); }
};

TEST(RedisQueue, A_send_whose_answer_was_lost_has_sent_once) {
  for (const std::uint32_t partitions : {1U, 4U}) {
    Shaky shaky(QueueKind::kFifo, partitions);
    std::set<Stamp> stamps;
    for (int round = 0; round < 15; ++round) {
      auto batch = batch_of(7);
      for (std::size_t i = 0; i < batch.size(); ++i) batch[i].group = "g" + std::to_string(i);
      shaky.lose_next_answer();
      for (const auto& sent : shaky.queue.send(batch).value()) stamps.insert(sent.value().stamp);
      const auto again = shaky.queue.send(batch).value();  // undisturbed, so that lanes move on
      for (const auto& sent : again) stamps.insert(sent.value().stamp);
    }
    EXPECT_EQ(stamps.size(), 15u * 14u);
    expect_ledger(shaky.queue, 15u * 14u, 0);
  }
}

TEST(RedisQueue, A_settlement_whose_answer_was_lost_is_told_what_it_did) {
  for (const auto kind : {QueueKind::kFifo, QueueKind::kStandard}) {
    Shaky shaky(kind);
    for (int round = 0; round < 15; ++round) {
      (void)shaky.queue.send(batch_of(5)).value();
      const auto got = shaky.queue.receive(5).value();
      ASSERT_EQ(got.size(), 5u);
      std::vector<Settlement> settlements;
      for (const auto& one : got) settlements.push_back({.receipt = one.receipt, .reasons = {}});
      settlements.push_back({.receipt = got[0].receipt, .reasons = {}});  // lost already, whoever asks
      shaky.lose_next_answer();
      const auto results = shaky.view.queues->settle({.queue = "q", .settlements = settlements}).value();
      for (std::size_t i = 0; i < 5; ++i) EXPECT_TRUE(results[i]) << i;
      ASSERT_FALSE(results[5]);
      EXPECT_EQ(results[5].error().code(), ErrorCode::kLeaseLost);
    }
    expect_ledger(shaky.queue, 75, 75);
  }
}

TEST(RedisQueue, A_receive_whose_answer_was_lost_gives_the_same_messages) {
  for (const auto kind : {QueueKind::kFifo, QueueKind::kStandard}) {
    Shaky shaky(kind);
    for (int round = 0; round < 10; ++round) {
      (void)shaky.queue.send(batch_of(5)).value();
      shaky.lose_next_answer();
      const auto got = shaky.queue.receive(5).value();
      ASSERT_EQ(got.size(), 5u) << round;
      for (const auto& one : got) {
        EXPECT_EQ(one.receive_count, 1u);
        shaky.queue.ack(one).value();
      }
    }
    expect_ledger(shaky.queue, 50, 50);
  }
}

TEST(RedisQueue, Records_that_somebody_took_away_hold_up_no_others) {
  const auto prefix = fresh_prefix();
  View view(server().uri(), prefix);
  auto queue =
      Queue::open(view.queues, "q", {.kind = QueueKind::kStandard, .visibility_timeout = Milliseconds(3'000), .max_receives = 1}).value();
  (void)queue.send(batch_of(5)).value();
  (void)queue.send(batch_of(3, "whole")).value();
  ASSERT_EQ(server().cli({"HDEL", prefix + ":{q0}:q:a", "1"}), "1");
  EXPECT_EQ(queue.stats().value().depth, 8u);
  ASSERT_TRUE(view.queues->peek({.queue = "q", .limit = 10}));
  // Those that are gone are received too, and end as what nobody could finish.
  std::size_t finished = 0;
  const auto until = Deadline::in(Milliseconds(60'000));
  while (queue.stats().value().dead_letters + finished < 8 && !until.passed()) {
    for (const auto& one : queue.receive(2, Deadline::in(Milliseconds(100))).value()) {
      EXPECT_EQ(one.body.str().substr(0, 5), "whole");
      queue.ack(one).value();
      ++finished;
    }
  }
  EXPECT_EQ(finished, 3u);
  EXPECT_EQ(queue.stats().value().dead_letters, 5u);
}

TEST(RedisQueue, What_cannot_be_known_is_said_so) {
  Shaky shaky;
  shaky.proxy->stall(TcpProxy::Way::kToClient, true);
  const auto sent = shaky.queue.send(message("m"), Deadline::in(Milliseconds(200)));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code(), ErrorCode::kDeadlineExceeded);
  EXPECT_TRUE(sent.error().retryable());
}

TEST(RedisQueue, Scripts_that_the_server_forgot_are_sent_again) {
  View view(server().uri(), fresh_prefix());
  auto queue = Queue::open(view.queues, "q").value();
  for (int round = 0; round < 3; ++round) {
    server().cli({"script", "flush"});
    (void)queue.send(message("m")).value();
    server().cli({"script", "flush"});
    const auto got = queue.receive(1).value();
    server().cli({"script", "flush"});
    queue.ack(got.at(0)).value();
  }
  expect_ledger(queue, 3, 3);
}

TEST(RedisQueue, After_a_flush_its_maker_goes_on_loudly_and_others_are_told) {
  for (const std::uint32_t partitions : {1U, 8U}) {
    const auto prefix = fresh_prefix();
    View maker(server().uri(), prefix, partitions);
    View user(server().uri(), prefix, partitions);
    auto queue = Queue::open(maker.queues, "q", {.max_receives = 7}).value();
    Queue theirs(user.queues, "q");
    const auto before = theirs.send(message("lost")).value();
    const auto held = queue.receive(1).value().at(0);
    server().cli({"flushall"});
    EXPECT_EQ(theirs.send(message("refused")).error().code(), ErrorCode::kNotFound);
    EXPECT_GE(user.log->errors.load(), 1);
    EXPECT_EQ(maker.log->errors.load(), 0);
    EXPECT_EQ(queue.ack(held).error().code(), ErrorCode::kLeaseLost);
    EXPECT_GE(maker.log->errors.load(), 1);
    const auto errors = maker.log->errors.load();
    const auto after = theirs.send(message("kept")).value();
    EXPECT_GT(after.stamp, before.stamp);
    EXPECT_EQ(user.queues->find({.message_id = before.message_id}).error().code(), ErrorCode::kNotFound);
    const auto got = queue.receive(10).value();
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].body.str(), "kept");
    EXPECT_EQ(queue.ack(held).error().code(), ErrorCode::kLeaseLost) << "a receipt from before holds nothing that came after";
    queue.ack(got[0]).value();
    EXPECT_EQ(maker.queues->list().value().at(0).options.max_receives, 7u);
    EXPECT_EQ(maker.log->errors.load(), errors) << "said once";
    expect_ledger(queue, 1, 1);
  }
}

TEST(RedisQueue, After_a_flush_every_queue_is_made_again_by_its_maker) {
  for (const std::uint32_t partitions : {1U, 8U}) {
    const auto prefix = fresh_prefix();
    View one(server().uri(), prefix, partitions);
    View other(server().uri(), prefix, partitions);
    auto first = Queue::open(one.queues, "first").value();
    auto second = Queue::open(one.queues, "second").value();
    auto third = Queue::open(other.queues, "third").value();
    auto removed = Queue::open(other.queues, "removed").value();
    for (auto* queue : {&first, &second, &third, &removed}) (void)queue->send(message("lost")).value();
    server().cli({"flushall"});
    for (auto* queue : {&first, &second, &third}) {
      const auto sent = queue->send(message("kept"));
      EXPECT_TRUE(sent) << sent.error().describe();
      EXPECT_EQ(queue->receive(10).value().size(), 1u);
    }
    EXPECT_GE(one.log->errors.load(), 2) << "each is said to have lost its messages";
    EXPECT_GE(other.log->errors.load(), 1);
    (void)removed.send(message("kept")).value();
    one.queues->remove("removed").value();
    EXPECT_EQ(removed.send(message("no")).error().code(), ErrorCode::kNotFound) << "this one was removed, and not lost";
  }
}

TEST(RedisQueue, A_receive_that_arrives_after_it_was_asked_again_leases_nothing) {
  const auto prefix = fresh_prefix();
  View view(server().uri(), prefix);
  for (const auto kind : {QueueKind::kStandard, QueueKind::kFifo}) {
    const std::string name = kind == QueueKind::kFifo ? "fifo" : "plain";
    auto queue = Queue::open(view.queues, name, {.kind = kind}).value();
    for (int i = 0; i < 6; ++i) (void)queue.send(message("m")).value();
    const auto receive = [&](const std::string& again) {
      const std::string token(16, 't');
      const auto tag = server().cli({"hget", redis::Shards(prefix, 1, 'q').name(0, name + ":m"), "tag"});
      call(view, redis::queue_scripts::receive(), name,
           {milliseconds_from_now({}), token, "3", "8000000", "30000", "", again, "0", "0", tag});
      return queue.stats().value().in_flight;
    };
    EXPECT_EQ(receive("1"), 3u);
    EXPECT_EQ(receive("0"), 3u) << "the late copy";
    EXPECT_EQ(queue.receive(10).value().size(), 3u);
  }
}

TEST(RedisQueue, One_script_buries_no_more_than_a_thousand_of_a_group) {
  const auto prefix = fresh_prefix();
  View view(server().uri(), prefix);
  auto queue = Queue::open(view.queues, "q", {.kind = QueueKind::kFifo, .retention = Milliseconds(1)}).value();
  constexpr std::size_t kCount = 2'500;
  for (std::size_t at = 0; at < kCount; at += 100) {
    auto batch = batch_of(100);
    for (auto& one : batch) one.group = "g";
    for (const auto& sent : queue.send(batch).value()) (void)sent.value();
  }
  const auto shard = redis::Shards(prefix, 1, 'q');
  const auto later = milliseconds_from_now(Milliseconds(60'000));
  const auto tag = server().cli({"hget", shard.name(0, "q:m"), "tag"});
  call(view, redis::queue_scripts::receive(), "q", {later, std::string(16, 't'), "10", "8000000", "30000", "", "0", "0", "0", tag});
  const auto buried = std::stoul(server().cli({"hlen", shard.name(0, "q:x")}));
  EXPECT_GE(buried, 1'000u);
  EXPECT_LT(buried, 1'100u);
  EXPECT_TRUE(queue.receive(10).value().empty());
  EXPECT_EQ(queue.stats().value().dead_letters, kCount);
}

TEST(RedisQueue, A_part_that_lost_its_content_does_not_take_the_others_with_it) {
  const auto prefix = fresh_prefix();
  View view(server().uri(), prefix, 4);
  auto queue = Queue::open(view.queues, "q", {.kind = QueueKind::kStandard}).value();
  for (int i = 0; i < 8; ++i) (void)queue.send(batch_of(5)).value();
  const redis::Shards shards(prefix, 4, 'q');
  const auto lost = shards.name(2, "q:*");
  server().cli({"eval", "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end", "0", lost});
  std::size_t got = 0;
  for (int i = 0; i < 10; ++i) {
    for (const auto& one : queue.receive(10).value()) {
      queue.ack(one).value();
      ++got;
    }
  }
  EXPECT_EQ(got, 30u);
  EXPECT_GE(view.log->errors.load(), 1);
}

TEST(RedisQueue, A_removed_queue_is_not_made_again) {
  const auto prefix = fresh_prefix();
  View maker(server().uri(), prefix);
  View other(server().uri(), prefix);
  auto queue = Queue::open(maker.queues, "q").value();
  (void)queue.send(message("m")).value();
  other.queues->remove("q").value();
  EXPECT_EQ(queue.send(message("m")).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(maker.log->errors.load(), 0);
  EXPECT_TRUE(maker.queues->list().value().empty());
  EXPECT_EQ(server().cli({"keys", prefix + ":*:q:*"}), "") << "nothing is left behind";
}

TEST(RedisQueue, A_killed_server_that_writes_always_loses_nothing) {
  RedisServer durable({.arguments = {"--appendonly", "yes", "--appendfsync", "always"}});
  View view(durable.uri(), "d");
  EXPECT_EQ(view.queues->capabilities().durability, Durability::kDisk);
  auto queue = Queue::open(view.queues, "q").value();
  std::set<Stamp> sent;
  std::set<Stamp> applied;
  for (int round = 0; round < 3; ++round) {
    for (const auto& one : queue.send(batch_of(50)).value()) sent.insert(one.value().stamp);
    for (const auto& one : queue.receive(20).value()) {
      queue.ack(one).value();
      EXPECT_TRUE(applied.insert(one.stamp).second);
    }
    durable.kill();
    durable.start();
    ASSERT_TRUE(eventually([&] { return static_cast<bool>(queue.stats()); }));
  }
  expect_ledger(queue, 150, 60);
  for (const auto& one : queue.receive(1000).value()) {
    EXPECT_TRUE(sent.contains(one.stamp));
    EXPECT_TRUE(applied.insert(one.stamp).second);
    queue.ack(one).value();
  }
  EXPECT_EQ(applied, sent);
  EXPECT_EQ(view.log->errors.load(), 0);
}

TEST(RedisQueue, A_server_that_restarts_without_persistence_is_used_again) {
  RedisServer forgetful({.arguments = {"--save", "", "--appendonly", "no"}});
  View view(forgetful.uri(), "f");
  EXPECT_EQ(view.queues->capabilities().durability, Durability::kMemory);
  auto queue = Queue::open(view.queues, "q").value();
  (void)queue.send(batch_of(5)).value();
  forgetful.kill();
  EXPECT_FALSE(queue.send(message("m")));
  forgetful.start();
  ASSERT_TRUE(eventually([&] { return static_cast<bool>(queue.send(message("m"))); }));
  EXPECT_GE(view.log->errors.load(), 1);
  const auto got = queue.receive(10).value();
  ASSERT_EQ(got.size(), 1u);
  queue.ack(got[0]).value();
}

}  // namespace
}  // namespace redis_test
