// New records of a store of one part are written without a script (src/redis/store_fresh.cpp): seen by what the server was asked.
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "redis/opened_store.hpp"
#include "support/redis_server.hpp"

#include <setget/testing/commands.hpp>

namespace redis_test {
namespace {

using namespace setget;

const TimePoint kNow(Milliseconds(1'700'000'000'000));

std::vector<ApplyEntry> new_records(Stamp from, Stamp count) {
  std::vector<ApplyEntry> entries;
  for (auto number = from; number < from + count; ++number) {
    setget::testing::SetSpec spec;
    spec.id = "r" + std::to_string(number);
    spec.keys = {"k" + std::to_string(number)};
    spec.stamp = stamp_at(kNow) + number;
    spec.payload = "payload";
    entries.push_back(setget::testing::set_entry(spec));
  }
  return entries;
}

void apply_all(KeyStoreBackend& store, std::span<const ApplyEntry> entries) {
  for (const auto& result : store.apply({.entries = entries, .now = kNow}).value()) EXPECT_EQ(result.value().outcome, Outcome::kApplied);
}

std::uint64_t scripts_run(const RedisServer& server) {
  const auto text = server.cli({"info", "commandstats"});
  std::uint64_t calls = 0;
  for (const std::string name : {"cmdstat_evalsha:calls=", "cmdstat_eval:calls="}) {
    if (const auto at = text.find(name); at != std::string::npos) calls += std::stoull(text.substr(at + name.size()));
  }
  return calls;
}

class ShortWay : public ::testing::Test {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
};

TEST_F(ShortWay, is_taken_by_the_very_first_records_of_several_threads) {
  const RedisServer server;
  const auto prefix = new_prefix();
  // The store is there and has been looked for; this process has written nothing yet.
  (void)open_store(server.uri(), prefix, 1)->identity().value();
  const auto store = open_store(server.uri(), prefix, 1);
  (void)store->stats().value();
  const auto before = scripts_run(server);
  {
    std::vector<std::jthread> threads;
    for (Stamp t = 0; t < 4; ++t) threads.emplace_back([&, t] { apply_all(*store, new_records(1000 * t + 1, 50)); });
  }
  EXPECT_EQ(scripts_run(server), before);
  EXPECT_EQ(store->stats().value().records, 200U);
}

TEST_F(ShortWay, is_taken_again_by_new_records_after_another_process_raised_the_floor) {
  const RedisServer server;
  const auto prefix = new_prefix();
  const auto store = open_store(server.uri(), prefix, 1);
  apply_all(*store, new_records(1, 20));
  const auto other = open_store(server.uri(), prefix, 1);
  ASSERT_TRUE(other->reclaim({.now = kNow, .floor = stamp_at(kNow)}));
  const auto before = scripts_run(server);
  apply_all(*store, new_records(100, 20));
  apply_all(*store, new_records(200, 20));
  EXPECT_EQ(scripts_run(server), before);
}

}  // namespace
}  // namespace redis_test
