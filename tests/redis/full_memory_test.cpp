// Servers whose memory is full (noeviction) while a store on them is in full use, on each topology: refused is what needs memory, nothing
// is half written, gets go on, and once there is room the same clients go on. Restarts of a whole group of sentinels, which keeps nothing.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "redis/opened_store.hpp"
#include "redis/queue.hpp"
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

// What gives memory back needs a little of it, and must not be refused for that.
TEST_F(FullMemory, is_emptied_by_what_expires_and_what_is_erased) {
  constexpr std::uint64_t kRecords = 1000;
  for (const std::uint32_t parts : {1U, 16U}) {
    RedisServer server;
    const auto place = redis::Place::open({.uri = server.uri(), .prefix = "f", .shards = parts, .partitions = parts}).value();
    const std::shared_ptr<KeyStoreBackend> store = redis::make_key_store(place);
    // The floor stays below what is in queues: the store asks them.
    const auto queues = redis::make_queues(place);
    (void)Queue::open(queues, "q", {.kind = QueueKind::kStandard}).value();
    const auto now = Messages::now();
    const auto apply = [&](std::span<const ApplyEntry> entries) { return store->apply({.entries = entries, .now = now}); };
    std::vector<ApplyEntry> entries;
    for (std::uint64_t n = 1; n <= kRecords; ++n) {
      const auto name = "r" + std::to_string(n);
      entries.push_back(
          kit::set_entry({.id = name, .keys = {name + ".k"}, .stamp = Messages::base() + n, .expires_at = now + Milliseconds(1000)}));
    }
    entries.push_back(kit::set_entry({.id = "erased", .keys = {"e"}, .stamp = Messages::base() + kRecords + 1}));
    entries.push_back(kit::set_entry({.id = "by key", .keys = {"b"}, .stamp = Messages::base() + kRecords + 2}));
    for (const auto& result : apply(entries).value()) ASSERT_TRUE(result);
    store->open_cursor({.name = "reader"}).value();
    limit_memory({&server}, "1");

    const auto last = Messages::base() + kRecords + 10;
    const std::vector<ApplyEntry> mixed{kit::set_entry({.id = "refused", .keys = {"n"}, .stamp = last - 3}),
                                        kit::erase_entry({.id = "erased", .stamp = last - 2}), kit::erase_key_entry("b", last - 1)};
    const auto refused = apply(std::span(mixed).subspan(0, 1));
    ASSERT_FALSE(refused && refused->at(0));
    EXPECT_EQ(refused ? refused->at(0).error().code() : refused.error().code(), ErrorCode::kOutOfSpace);
    const auto applied = apply(mixed);
    ASSERT_TRUE(applied) << applied.error().describe();
    EXPECT_FALSE((*applied)[0]);
    for (const std::size_t i : {1, 2}) {
      ASSERT_TRUE((*applied)[i]) << (*applied)[i].error().describe();
      EXPECT_EQ((*applied)[i]->outcome, Outcome::kApplied);
    }
    const auto changes = store->changes({.cursor = "reader", .limit = 3 * kRecords}).value();
    store->commit_cursor("reader", changes.next).value();
    Reclaimed all;
    for (int step = 0; step < 20; ++step) {
      const auto done = store->reclaim({.now = now + Milliseconds(5000), .floor = last + 1, .max_steps = 3 * kRecords});
      ASSERT_TRUE(done) << done.error().describe();
      all.expired += done->expired;
      all.forgotten += done->forgotten;
      all.log_trimmed += done->log_trimmed;
      store->commit_cursor("reader", store->changes({.cursor = "reader", .limit = 3 * kRecords}).value().next).value();
    }
    EXPECT_EQ(all.expired, kRecords);
    EXPECT_GT(all.log_trimmed, kRecords);
    EXPECT_GT(all.forgotten, kRecords);
    EXPECT_EQ(store->stats().value().records, 0U);
    EXPECT_EQ(store->stats().value().tombstones, 0U);
  }
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
