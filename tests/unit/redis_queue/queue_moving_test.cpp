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
  ClusterGroup group(3, 0, {}, kNoneDies);
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
  // These are held for longer than the test takes; later ones for a moment, because what is leased by a receive whose answer comes after
  // its deadline is back only then.
  std::vector<Message> held = view.queues->receive({.queue = "q", .max_messages = 5, .visibility_timeout = Milliseconds(600'000)}).value();
  ASSERT_EQ(held.size(), 5u);
  ASSERT_EQ(held[0].message_id, oldest);
  const auto receive = [&](std::size_t count, Deadline deadline) {
    auto got = view.queues->receive({.queue = "q",
                                     .max_messages = count,
                                     .visibility_timeout = Milliseconds(2'000),
                                     .wait = Deadline::immediate(),
                                     .deadline = deadline});
    if (!got) return false;
    for (auto& one : *got) held.push_back(std::move(one));
    return true;
  };
  // Whether it is held no longer: finished now, or by an attempt whose answer came too late, or to be received anew.
  const auto finish = [&](const Message& one, Deadline deadline) {
    const std::vector<Settlement> settlements{{.receipt = one.receipt, .reasons = {}}};
    const auto done = view.queues->settle({.queue = "q", .settlements = settlements, .deadline = deadline});
    if (!done) return false;
    if (done->at(0)) {
      EXPECT_EQ(unfinished.erase(one.message_id), 1u) << "finished twice";
      return true;
    }
    return done->at(0).error().code() == ErrorCode::kLeaseLost;
  };
  const auto finish_held = [&](std::size_t from, Deadline deadline) {
    for (auto at = held.begin() + static_cast<std::ptrdiff_t>(from); at != held.end();)
      at = finish(*at, deadline) ? held.erase(at) : at + 1;
  };
  // The oldest message is held all the time, in the part whose slot moves. Returns whether it was told both things.
  const auto midway = [&](Milliseconds patience) {
    const auto soon = [&] { return Deadline::in(patience); };
    const auto known = view.queues->oldest_unfinished(soon());
    if (known) {
      EXPECT_LE(*known, unfinished.at(oldest));
    }
    const bool received = receive(3, soon());
    finish_held(1, soon());
    (void)queue.stats(soon());
    (void)view.queues->peek({.queue = "q", .limit = 100, .deadline = soon()});
    (void)view.queues->maintain({.queue = "q", .deadline = soon()});
    return known && received;
  };
  const auto slot = redis::Shards(prefix, 16, 'q').slot(redis::parse_message_id(oldest)->part);
  for (int round = 0; round < 2; ++round) {
    auto& from = group.master_of(slot);
    const auto masters = group.masters();
    auto& to = *(masters[0] == &from ? masters[1] : masters[0]);
    ASSERT_NO_THROW(group.move_slot(
        slot, to, [&] { midway(Milliseconds(150)); }, 2))
        << "something was made at the new master";
    ASSERT_TRUE(eventually([&] { return view.queues->oldest_unfinished(Deadline::in(Milliseconds(5'000))).has_value(); }));
    EXPECT_TRUE(midway(Milliseconds(10'000))) << "it works as before once the slot has moved";
    EXPECT_EQ(view.log->errors.load(), 0) << "no part was taken for lost";
  }
  const auto patient = [] { return Deadline::in(Milliseconds(5'000)); };
  EXPECT_TRUE(eventually([&] {
    finish_held(0, patient());
    receive(10, patient());
    const auto stats = queue.stats(patient());
    return stats && stats->outcomes[static_cast<std::size_t>(Outcome::kApplied)] == kCount;
  }));
  for (const auto& [id, stamp] : unfinished)
    EXPECT_EQ(view.queues->find({.message_id = id}).value().outcome, Outcome::kApplied) << "its answer came too late";
  expect_ledger(queue, kCount, kCount);
}

}  // namespace
}  // namespace redis_test
