// Servers whose memory is full (noeviction) while a store on them is in full use, on each topology: refused is what needs memory, nothing
// is half written, gets go on, and once there is room the same clients go on. Restarts of a whole group of sentinels, which keeps nothing.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "redis/opened_store.hpp"
#include "redis/trial.hpp"
#include "support/redis_server.hpp"

namespace redis_test {
namespace {

using Servers = std::vector<RedisServer*>;

constexpr Milliseconds kVote{90'000};

void limit_memory(const Servers& masters, const std::string& bytes) {
  for (auto* master : masters) {
    ASSERT_EQ(master->cli({"CONFIG", "SET", "maxmemory-policy", "noeviction"}), "OK");
    ASSERT_EQ(master->cli({"CONFIG", "SET", "maxmemory", bytes}), "OK");
  }
}

bool has_refused(const RedisServer& master) { return master.cli({"INFO", "errorstats"}).find("errorstat_OOM") != std::string::npos; }

void fill_the_memory(const std::string& uri, const Servers& masters, std::uint32_t parts, std::uint64_t seed) {
  Clients clients(uri, new_prefix(), parts);
  Trial trial(clients, "m", seed);
  for (int time = 0; time < 2; ++time) {
    trial.go_on();
    for (auto* master : masters) master->cli({"CONFIG", "RESETSTAT"});
    limit_memory(masters, "1");
    for (const auto* master : masters) EXPECT_TRUE(eventually([&] { return has_refused(*master); })) << master->address();
    // What was set before is read while nothing can be set.
    ASSERT_TRUE(clients.keeper->stats());
    limit_memory(masters, "0");
    trial.go_on();
  }
  trial.finish();
}

class FullMemory : public ::testing::Test {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
};

TEST_F(FullMemory, of_one_server_is_survived) {
  for (const std::uint32_t parts : {1U, 16U}) {
    RedisServer server;
    fill_the_memory(server.uri(), {&server}, parts, 41 + parts);
  }
}

TEST_F(FullMemory, of_a_master_that_sentinels_watch_is_survived) {
  SentinelGroup group;
  ASSERT_TRUE(eventually([&] { return group.healthy(); }, kVote));
  fill_the_memory(group.uri(), {&group.master()}, 1, 42);
}

TEST_F(FullMemory, of_all_masters_of_a_cluster_is_survived) {
  ClusterGroup group;
  fill_the_memory(group.uri(), group.masters(), 16, 43);
}

// Master and replica keep nothing: that is loud, and then everything works again without a restart of the clients.
TEST(SentinelGroupRestart, of_servers_that_keep_nothing_begins_a_new_epoch) {
  SETGET_REQUIRE_REDIS();
  SentinelGroup group;
  ASSERT_TRUE(eventually([&] { return group.healthy(); }, kVote));
  Clients clients(group.uri(), new_prefix(), 1);
  Trial trial(clients, "r", 44);
  trial.go_on();
  const auto before = clients.keeper->identity().value();
  trial.losses_begin();
  auto& master = group.master();
  auto& replica = group.replica();
  master.kill();
  replica.kill();
  master.start();
  replica.start();
  EXPECT_TRUE(eventually([&] { return group.healthy(); }, kVote));
  trial.thrown_away();
  trial.go_on();
  StoreIdentity after;
  EXPECT_TRUE(eventually([&] {
    if (auto now = clients.keeper->identity()) after = *now;
    return after.epoch > before.epoch || after.uuid != before.uuid;
  }));
  EXPECT_TRUE(eventually([&] { return trial.told(); })) << "the reader of the change log was not told";
  trial.finish();
}

}  // namespace
}  // namespace redis_test
