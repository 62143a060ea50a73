// The small stores that live in memory wherever nothing durable is given: schedules and idempotency keys.
#include <atomic>
#include <thread>

#include "support.hpp"

#include <setget/idempotency.hpp>
#include <setget/schedule_store.hpp>

namespace setget_test {
namespace {

using Entry = IdempotencyStore::Entry;

TimePoint at(std::int64_t ms) { return TimePoint(Milliseconds(ms)); }
Entry entry(int status, TimePoint expires_at) { return {.request = {1, 2}, .status = status, .response = {}, .expires_at = expires_at}; }

TEST(MemoryIdempotency, the_first_begin_stores_and_the_second_sees_it) {
  auto store = memory_idempotency_store();
  EXPECT_FALSE(store->begin("k", entry(0, at(100)), at(0)).value());
  const auto seen = store->begin("k", entry(0, at(100)), at(1)).value();
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->status, 0);
  ASSERT_TRUE(store->finish("k", entry(202, at(100))));
  EXPECT_EQ(store->begin("k", entry(0, at(100)), at(2)).value()->status, 202);
}

TEST(MemoryIdempotency, an_entry_is_gone_once_it_has_expired) {
  auto store = memory_idempotency_store();
  EXPECT_FALSE(store->begin("k", entry(0, at(100)), at(0)).value());
  EXPECT_TRUE(store->begin("k", entry(0, at(200)), at(99)).value());
  EXPECT_FALSE(store->begin("k", entry(0, at(200)), at(100)).value());
}

TEST(MemoryIdempotency, an_abandoned_key_may_begin_again) {
  auto store = memory_idempotency_store();
  EXPECT_FALSE(store->begin("k", entry(0, at(100)), at(0)).value());
  ASSERT_TRUE(store->abandon("k"));
  EXPECT_FALSE(store->begin("k", entry(0, at(100)), at(0)).value());
}

TEST(MemoryIdempotency, a_full_store_refuses_new_keys_until_old_ones_expire) {
  auto store = memory_idempotency_store(2);
  EXPECT_FALSE(store->begin("a", entry(0, at(100)), at(0)).value());
  EXPECT_FALSE(store->begin("b", entry(0, at(200)), at(0)).value());
  const auto refused = store->begin("c", entry(0, at(300)), at(50));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kResourceExhausted);
  EXPECT_TRUE(store->begin("a", entry(0, at(300)), at(50)).value()) << "what is known is still answered";
  EXPECT_FALSE(store->begin("c", entry(0, at(300)), at(100)).value());
}

TEST(MemorySchedules, an_exchange_needs_the_state_it_expects) {
  auto store = memory_schedule_store();
  EXPECT_FALSE(store->load("job").value());
  ScheduleState first;
  first.holder = "a";
  EXPECT_FALSE(store->exchange("job", first, first).value()) << "there is none yet";
  EXPECT_TRUE(store->exchange("job", {}, first).value());
  EXPECT_FALSE(store->exchange("job", {}, first).value()) << "there is one now";
  auto second = first;
  second.last_error = "boom";
  EXPECT_TRUE(store->exchange("job", first, second).value());
  EXPECT_FALSE(store->exchange("job", first, second).value());
  EXPECT_EQ(store->load("job").value()->last_error, "boom");
}

TEST(MemorySchedules, of_many_runners_one_wins_each_round) {
  auto store = memory_schedule_store();
  std::atomic<int> wins = 0;
  for (int round = 0; round < 50; ++round) {
    const auto before = store->load("job").value();
    std::vector<std::jthread> runners;
    for (int i = 0; i < 4; ++i) {
      runners.emplace_back([&, i] {
        ScheduleState mine;
        mine.holder = std::to_string(round) + "/" + std::to_string(i);
        if (store->exchange("job", before, mine).value()) ++wins;
      });
    }
  }
  EXPECT_EQ(wins, 50);
}

}  // namespace
}  // namespace setget_test
