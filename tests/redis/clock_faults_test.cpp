// Clocks that jump. The store decides by the time that its callers give it (and by Options::clock for what it notes of cursors); the
// servers' own clocks end one thing only, the marks of steps whose reply was lost, after a minute. They cannot be set here without setting
// the machine's: what it would do, take marks away too early, is done by hand.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <thread>

#include "redis/layouts.hpp"
#include "redis/opened_store.hpp"
#include "redis/trial.hpp"

namespace redis_test {
namespace {

class ClockFaults : public ::testing::TestWithParam<Layout> {
 protected:
  static void TearDownTestSuite() { groups_.clear(); }
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
  static TimePoint at(std::int64_t ms) { return Messages::now() + Milliseconds(ms); }
  static std::uint32_t parts() { return GetParam().parts; }
  // The servers of the layout, the same for all tests.
  static Group& group() {
    auto& one = groups_[GetParam().servers];
    if (one == nullptr) one = std::make_unique<Group>(GetParam().servers);
    return *one;
  }

 private:
  static std::map<Servers, std::unique_ptr<Group>> groups_;
};
std::map<Servers, std::unique_ptr<Group>> ClockFaults::groups_;
INSTANTIATE_TEST_SUITE_P(On, ClockFaults, all_layouts(), name_of);

TEST_P(ClockFaults, What_is_not_due_stays_however_the_clock_jumps_under_load) {
  const auto clock = std::make_shared<kit::SimulatedClock>(Messages::now());
  const auto prefix = new_prefix();
  Clients clients(group().uri(), prefix, parts(), clock);
  const auto cleaner = open_store(group().uri(), prefix, parts(), clock);
  Trial trial(clients, "j", 41);
  kit::SeededRandom dice(41);
  for (int jump = 0; jump < 60; ++jump) {
    // Half an hour to and fro; nothing in the trial ends in less than one.
    const auto now = at(static_cast<std::int64_t>(dice.next() % 3'600'000) - 1'800'000);
    clock->set(now);
    const auto reclaimed = cleaner->reclaim({.now = now, .floor = 0, .grace = Milliseconds(0), .max_steps = 200});
    ASSERT_TRUE(reclaimed) << reclaimed.error().describe();
    EXPECT_EQ(reclaimed->expired, 0U);
    trial.go_on(3);
  }
  trial.finish();
  std::printf("%-28s %s\n", "clock: jumps", trial.report().c_str());
}

TEST_P(ClockFaults, A_record_ends_by_the_readers_clock_and_comes_back_with_it_until_it_was_evicted) {
  const auto store = open_store(group().uri(), new_prefix(), parts());
  const auto set = [&](Stamp stamp, TimePoint expires_at) {
    return kit::set_entry({.id = "a", .keys = {"a", "k"}, .stamp = Messages::base() + stamp, .expires_at = expires_at});
  };
  const auto apply = [&](const ApplyEntry& entry, TimePoint now) {
    return store->apply({.entries = std::span(&entry, 1), .now = now}).value().at(0).value().outcome;
  };
  const auto status = [&](TimePoint now) {
    return store->get({.keys = std::vector<std::string_view>{"k"}, .now = now}).value().at(0).status;
  };
  const auto reclaim = [&](TimePoint now, std::int64_t grace) {
    return store->reclaim({.now = now, .floor = 0, .grace = Milliseconds(grace)}).value().expired;
  };
  const auto first = set(1, at(1000));
  ASSERT_EQ(apply(first, at(0)), Outcome::kApplied);
  EXPECT_EQ(status(at(0)), Lookup::Status::kFound);
  EXPECT_EQ(status(at(1000)), Lookup::Status::kGone);
  EXPECT_EQ(status(at(-3'600'000)), Lookup::Status::kFound) << "the clock went back";
  EXPECT_EQ(reclaim(at(-3'600'000), 0), 0U);
  EXPECT_EQ(reclaim(at(5000), 60'000), 0U) << "the grace is what a wrong clock is allowed";
  EXPECT_EQ(status(at(0)), Lookup::Status::kFound);
  EXPECT_EQ(reclaim(at(5000), 0), 1U);
  EXPECT_EQ(status(at(0)), Lookup::Status::kGone) << "evicted is evicted";
  EXPECT_EQ(apply(first, at(0)), Outcome::kDuplicate) << "nor does its redelivery bring it back";
  EXPECT_EQ(status(at(0)), Lookup::Status::kGone);
  // Accepted while the clock was an hour behind: later is later, whatever the time.
  EXPECT_EQ(apply(set(2, at(9000)), at(-3'600'000)), Outcome::kApplied);
  EXPECT_EQ(status(at(0)), Lookup::Status::kFound);
}

TEST_P(ClockFaults, Two_who_reclaim_with_clocks_an_hour_apart_evict_each_record_once) {
  constexpr std::uint64_t kRecords = 300;
  const auto prefix = new_prefix();
  const auto store = open_store(group().uri(), prefix, parts());
  std::vector<ApplyEntry> entries;
  for (std::uint64_t n = 1; n <= kRecords; ++n) {
    entries.push_back(kit::set_entry({.id = "r" + std::to_string(n),
                                      .keys = {"r" + std::to_string(n) + ".k"},
                                      .stamp = Messages::base() + n,
                                      .expires_at = at(n % 3 == 0 ? 7'200'000 : 1000)}));
  }
  for (const auto& result : store->apply({.entries = entries, .now = at(0)}).value()) ASSERT_TRUE(result);
  std::atomic<std::uint64_t> evicted{0};
  {
    std::vector<std::jthread> both;
    for (const std::int64_t now : {5'000, 3'605'000}) {
      both.emplace_back([&evicted, now, mine = open_store(group().uri(), prefix, parts())] {
        for (int time = 0; time < 10; ++time)
          evicted += mine->reclaim({.now = at(now), .floor = 0, .grace = Milliseconds(0), .max_steps = 50}).value().expired;
      });
    }
  }
  EXPECT_EQ(evicted.load(), kRecords * 2 / 3);
  for (std::uint64_t n = 1; n <= kRecords; ++n) {
    const auto found = store->get_by_id({.id = "r" + std::to_string(n), .now = at(0)}).value().status;
    EXPECT_EQ(found, n % 3 == 0 ? Lookup::Status::kFound : Lookup::Status::kGone) << n;
  }
}

// Without its mark a step whose reply was lost is taken again; by what is there it sees that it was.
TEST_P(ClockFaults, Marks_that_end_too_early_cost_nothing_but_work) {
  const auto prefix = new_prefix();
  Clients clients(group().uri(), prefix, parts());
  Trial trial(clients, "m", 42);
  const auto masters = group().masters();
  for (std::size_t time = 0; time < 40; time += masters.size()) {
    for (auto* server : masters) {
      server->cli({"CLIENT", "KILL", "TYPE", "normal"});
      server->cli({"EVAL", "for _, name in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', name) end", "0", prefix + ":*:w:*"});
    }
  }
  trial.go_on();
  trial.finish();
  std::printf("%-28s %s\n", "clock: marks", trial.report().c_str());
}

}  // namespace
}  // namespace redis_test
