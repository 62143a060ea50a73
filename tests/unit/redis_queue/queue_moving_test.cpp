// The queue on a cluster while the slot of one of its parts moves: what is only half there is not looked at, and nothing is made beside it.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "redis/queue_codec.hpp"
#include "unit/redis_queue/queue_fixture.hpp"

namespace redis_test {
namespace {

TEST(RedisQueueOnACluster, is_whole_while_a_slot_with_messages_moves) {
  SETGET_REQUIRE_REDIS();
  ClusterGroup group(3, 0);
  const auto prefix = fresh_prefix();
  View view(group.uri(), prefix, 16);
  auto queue = Queue::open(view.queues, "q", {.kind = QueueKind::kStandard}).value();
  constexpr std::size_t kCount = 50;
  std::map<std::string, Stamp> unfinished;
  std::string oldest;
  for (std::size_t i = 0; i < kCount; ++i) {
    const auto sent = queue.send(message("m" + std::to_string(i))).value();
    unfinished[sent.message_id] = sent.stamp;
    if (i == 0) oldest = sent.message_id;
  }
  std::vector<Message> held = queue.receive(5).value();
  ASSERT_EQ(held.size(), 5u);
  ASSERT_EQ(held[0].message_id, oldest);
  std::size_t finished = 0;
  const auto soon = [] { return Deadline::in(Milliseconds(150)); };
  const auto finish = [&](const Message& one, Deadline deadline) {
    const std::vector<Settlement> settlements{{.receipt = one.receipt, .reasons = {}}};
    const auto done = view.queues->settle({.queue = "q", .settlements = settlements, .deadline = deadline});
    if (!done || !done->at(0)) return false;
    EXPECT_EQ(unfinished.erase(one.message_id), 1u) << "finished twice";
    ++finished;
    return true;
  };
  const auto finish_held = [&](Deadline deadline) { std::erase_if(held, [&](const Message& one) { return finish(one, deadline); }); };
  // The oldest message is held all the time, in the part whose slot moves.
  const auto midway = [&] {
    std::size_t answered = 0;
    if (const auto known = view.queues->oldest_unfinished(soon())) {
      EXPECT_LE(*known, unfinished.at(oldest));
      ++answered;
    }
    if (auto got = view.queues->receive({.queue = "q", .max_messages = 3, .wait = Deadline::in(Milliseconds(0)), .deadline = soon()})) {
      for (auto& one : *got) held.push_back(std::move(one));
      ++answered;
    }
    for (auto at = held.begin() + 1; at != held.end();) at = finish(*at, soon()) ? held.erase(at) : at + 1;
    (void)queue.stats(soon());
    (void)view.queues->peek({.queue = "q", .limit = 100, .deadline = soon()});
    (void)view.queues->maintain({.queue = "q", .deadline = soon()});
    return answered;
  };
  const auto slot = redis::Shards(prefix, 16, 'q').slot(redis::parse_message_id(oldest)->part);
  for (int round = 0; round < 2; ++round) {
    auto& from = group.master_of(slot);
    const auto masters = group.masters();
    auto& to = *(masters[0] == &from ? masters[1] : masters[0]);
    ASSERT_NO_THROW(group.move_slot(
        slot, to, [&] { midway(); }, 2))
        << "something was made at the new master";
    ASSERT_TRUE(eventually([&] { return view.queues->oldest_unfinished(Deadline::in(Milliseconds(5'000))).has_value(); }));
    EXPECT_EQ(midway(), 2u) << "it works as before once the slot has moved";
    EXPECT_EQ(view.log->errors.load(), 0) << "no part was taken for lost";
  }
  EXPECT_TRUE(eventually([&] {
    finish_held(Deadline::in(Milliseconds(5'000)));
    if (auto got = queue.receive(10, Deadline::in(Milliseconds(100)))) {
      for (auto& one : *got) held.push_back(std::move(one));
    }
    return finished == kCount;
  }));
  EXPECT_TRUE(unfinished.empty());
  expect_ledger(queue, kCount, kCount);
}

}  // namespace
}  // namespace redis_test
