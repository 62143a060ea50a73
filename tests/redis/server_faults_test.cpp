// What happens to servers while a store on them is in full use: masters killed and replaced, slots moved, everything restarted, masters
// made replicas, scripts and connections forgotten, all content flushed, clocks set. The oracle is Trial's. What Redis itself may lose is
// said where it is lost: all else must be there.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <sstream>

#include "redis/opened_store.hpp"
#include "redis/shards.hpp"
#include "redis/trial.hpp"
#include "support/redis_server.hpp"

namespace redis_test {
namespace {

// How long servers take to agree on a new master is theirs; sentinels that were slow themselves wait half a minute first.
constexpr Milliseconds kVote{90'000};

std::uint64_t rounds() {
  const char* given = std::getenv("SETGET_CRASH_ROUNDS");
  return given == nullptr ? 4 : std::max<std::uint64_t>(std::strtoull(given, nullptr, 10) / 10, 1);
}

std::string fresh_ns() {
  static int count = 0;
  return "s" + std::to_string(++count);
}

// --- faults -----------------------------------------------------------------------------------------------------------------------

// What has been acknowledged by now is on the replica when this returns true: it has come as far as the master was afterwards. The servers'
// own offsets say so, as they do for WAIT.
bool replicate(Trial& trial, const std::vector<std::pair<const RedisServer*, const RedisServer*>>& pairs) {
  const auto numbers = trial.acknowledged();
  for (const auto& [master, replica] : pairs) {
    const auto offset = master->info("master_repl_offset");
    if (!eventually([&, replica = replica] { return replica->info("slave_repl_offset") >= offset; }, Milliseconds(5000))) return false;
  }
  trial.confirm(numbers);
  return true;
}

// The master goes on alone: what it acknowledges from now on is lost with it.
void cut_off_replicas(RedisServer& master) {
  ASSERT_EQ(master.cli({"ACL", "SETUSER", "default", "-psync", "-sync"}), "OK");
  EXPECT_TRUE(eventually([&] {
    master.cli({"CLIENT", "KILL", "TYPE", "replica"});
    return master.info("connected_slaves") == 0;
  }));
}

void forget_connections_and_scripts(const std::vector<RedisServer*>& servers, kit::SeededRandom& dice) {
  for (auto more = 5 + dice.next() % 10; more > 0; --more) {
    for (auto* server : servers) {
      server->cli({"CLIENT", "KILL", "TYPE", "normal"});
      if (dice.next() % 2 == 0) server->cli({"SCRIPT", "FLUSH"});
    }
  }
}

// The content is thrown away under load: a new epoch, and the reader of the change log is told.
void flush(Clients& clients, Trial& trial, const std::vector<RedisServer*>& masters) {
  const auto before = answer_of([&] { return clients.keeper->identity(); }).value();
  trial.losses_begin();
  for (auto* master : masters) ASSERT_EQ(master->cli({"FLUSHALL"}), "OK");
  trial.thrown_away();
  trial.go_on();
  StoreIdentity after;
  EXPECT_TRUE(eventually([&] {
    if (auto now = clients.keeper->identity()) after = *now;
    return after.epoch > before.epoch;
  }));
  EXPECT_EQ(after.uuid, before.uuid);
  EXPECT_TRUE(eventually([&] { return trial.told(); })) << "the change log's reader was not told";
  const auto fresh = open_store(clients.uri, clients.prefix, clients.parts);
  EXPECT_EQ(answer_of([&] { return fresh->identity(); }).value(), after);
}

// Asserts after each trial, and says what it was about.
void finish(Trial& trial, const char* what) {
  trial.finish();
  std::printf("%-28s %s\n", what, trial.report().c_str());
}

// --- sentinel ---------------------------------------------------------------------------------------------------------------------

class SentinelFaults : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!missing_programs().empty()) return;
    group_ = std::make_unique<SentinelGroup>();
    clients_ = std::make_unique<Clients>(group_->uri(), new_prefix(), 1);
  }
  static void TearDownTestSuite() {
    clients_.reset();
    group_.reset();
  }
  void SetUp() override { SETGET_REQUIRE_REDIS(); }

  // `cut_off`: from its replica, a moment before.
  static void kill_the_master(Trial& trial, bool cut_off) {
    auto& old = group_->master();
    ASSERT_TRUE(replicate(trial, {{&old, &group_->replica()}}));
    trial.losses_begin();
    if (cut_off) cut_off_replicas(old);
    trial.go_on(30);
    old.kill();
    EXPECT_TRUE(eventually([&] { return &group_->master() != &old && group_->master().cli({"ROLE"}).starts_with("master"); }, kVote));
    trial.losses_end();
    trial.go_on();
    old.start();
    EXPECT_TRUE(eventually([&] { return group_->healthy(); }, kVote));
    trial.go_on(20);
  }
  static void demote_the_master(Trial& trial) {
    auto& old = group_->master();
    EXPECT_TRUE(eventually([&] { return group_->healthy(); }, kVote));
    ASSERT_TRUE(replicate(trial, {{&old, &group_->replica()}}));
    trial.losses_begin();
    EXPECT_TRUE(eventually(
        [&] {
          if (&group_->master() != &old) return old.cli({"ROLE"}).starts_with("slave");
          (void)group_->fail_over();  // refused while there is one
          return false;
        },
        kVote));
    trial.losses_end();
    trial.go_on();
    EXPECT_TRUE(eventually([&] { return group_->healthy(); }, kVote));
  }

  static std::unique_ptr<SentinelGroup> group_;
  static std::unique_ptr<Clients> clients_;
};
std::unique_ptr<SentinelGroup> SentinelFaults::group_;
std::unique_ptr<Clients> SentinelFaults::clients_;

TEST_F(SentinelFaults, The_master_is_killed_and_replaced) {
  Trial trial(*clients_, fresh_ns(), 1);
  trial.go_on();
  kill_the_master(trial, true);
  finish(trial, "sentinel: killed");
  EXPECT_GT(trial.lost(), 0U);
}

TEST_F(SentinelFaults, The_master_becomes_a_replica_and_a_master_again) {
  Trial trial(*clients_, fresh_ns(), 2);
  trial.go_on();
  demote_the_master(trial);
  demote_the_master(trial);
  finish(trial, "sentinel: demoted twice");
}

TEST_F(SentinelFaults, Connections_and_scripts_are_forgotten) {
  Trial trial(*clients_, fresh_ns(), 3);
  kit::SeededRandom dice(3);
  trial.go_on();
  forget_connections_and_scripts({&group_->master()}, dice);
  trial.go_on();
  finish(trial, "sentinel: connections");
}

TEST_F(SentinelFaults, Everything_is_flushed) {
  Trial trial(*clients_, fresh_ns(), 4);
  trial.go_on();
  flush(*clients_, trial, {&group_->master()});
  finish(trial, "sentinel: flushed");
}

TEST_F(SentinelFaults, Anything_at_random) {
  kit::SeededRandom dice(99);
  for (std::uint64_t round = 1; round <= rounds(); ++round) {
    Trial trial(*clients_, fresh_ns(), 1000 + round);
    trial.go_on(10 + dice.next() % 60);
    const char* what = "";
    switch (dice.next() % 6) {
      case 0:
        what = "sentinel: killed";
        kill_the_master(trial, dice.next() % 2 == 0);
        break;
      case 1:
        what = "sentinel: demoted";
        demote_the_master(trial);
        break;
      case 2:
        what = "sentinel: flushed";
        flush(*clients_, trial, {&group_->master()});
        break;
      default:
        what = "sentinel: connections";
        forget_connections_and_scripts({&group_->master()}, dice);
        trial.go_on();
    }
    finish(trial, what);
    if (HasFailure()) FAIL() << "round " << round << ", " << what;
  }
}

// --- cluster ----------------------------------------------------------------------------------------------------------------------

class ClusterFaults : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kParts = 16;
  static void SetUpTestSuite() {
    if (!missing_programs().empty()) return;
    group_ = std::make_unique<ClusterGroup>();
    clients_ = std::make_unique<Clients>(group_->uri(), new_prefix(), kParts);
  }
  static void TearDownTestSuite() {
    clients_.reset();
    group_.reset();
  }
  void SetUp() override { SETGET_REQUIRE_REDIS(); }

  // Of each master.
  static std::vector<std::pair<const RedisServer*, const RedisServer*>> pairs() {
    std::vector<std::pair<const RedisServer*, const RedisServer*>> out;
    for (auto* master : group_->masters()) {
      const auto id = ClusterGroup::id_of(*master);
      for (const auto& node : group_->nodes()) {
        if (node->cli({"INFO", "replication"}).find("master_port:" + std::to_string(master->port())) != std::string::npos)
          out.emplace_back(master, node.get());
      }
    }
    return out;
  }
  static std::vector<std::uint32_t> slots() {
    const redis::Shards shards(clients_->prefix, kParts, 'k');
    std::vector<std::uint32_t> out;
    for (std::uint32_t i = 0; i < kParts; ++i) out.push_back(shards.slot(i));
    return out;
  }

  static void kill_a_master(Trial& trial, bool cut_off, kit::SeededRandom& dice) {
    const auto known = pairs();
    ASSERT_EQ(known.size(), 3U);
    ASSERT_TRUE(replicate(trial, known));
    auto masters = group_->masters();
    auto& victim = *masters[dice.next() % masters.size()];
    trial.losses_begin();
    if (cut_off) cut_off_replicas(victim);
    trial.go_on(30);
    victim.kill();
    EXPECT_TRUE(eventually([&] { return group_->masters().size() == 3; }, kVote));
    trial.losses_end();
    trial.go_on();
    victim.start();
    EXPECT_TRUE(eventually([&] { return group_->healthy(); }, kVote));
    trial.go_on(20);
  }
  // By agreement with its replica: nothing may be lost.
  static void demote_a_master(Trial& trial, kit::SeededRandom& dice) {
    const auto known = pairs();
    ASSERT_EQ(known.size(), 3U);
    const auto at = dice.next() % known.size();
    const auto* const master = known[at].first;
    const auto* const replica = known[at].second;
    ASSERT_EQ(replica->cli({"CLUSTER", "FAILOVER"}), "OK");
    EXPECT_TRUE(eventually([&] { return replica->cli({"ROLE"}).starts_with("master") && master->cli({"ROLE"}).starts_with("slave"); }));
    trial.go_on();
    EXPECT_TRUE(eventually([&] { return group_->healthy(); }, kVote));
  }
  // To other masters, and back.
  static void move_slots(Trial& trial, std::size_t many, kit::SeededRandom& dice) {
    auto all = slots();
    for (std::size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[dice.next() % i]);
    all.resize(many);
    std::vector<std::pair<std::uint32_t, RedisServer*>> home;
    for (const auto slot : all) {
      auto& from = group_->master_of(slot);
      auto masters = group_->masters();
      std::erase(masters, &from);
      home.emplace_back(slot, &from);
      group_->move_slot(slot, *masters[dice.next() % masters.size()]);
    }
    trial.go_on(20);
    for (const auto& [slot, node] : home) group_->move_slot(slot, *node);
    trial.go_on(20);
  }

  static std::unique_ptr<ClusterGroup> group_;
  static std::unique_ptr<Clients> clients_;
};
std::unique_ptr<ClusterGroup> ClusterFaults::group_;
std::unique_ptr<Clients> ClusterFaults::clients_;

TEST_F(ClusterFaults, A_master_is_killed_and_its_replica_promoted) {
  Trial trial(*clients_, fresh_ns(), 11);
  kit::SeededRandom dice(11);
  trial.go_on();
  kill_a_master(trial, true, dice);
  finish(trial, "cluster: killed");
  EXPECT_GT(trial.lost(), 0U);
}

TEST_F(ClusterFaults, A_master_hands_over_to_its_replica_and_takes_it_back) {
  Trial trial(*clients_, fresh_ns(), 12);
  kit::SeededRandom dice(12);
  trial.go_on();
  demote_a_master(trial, dice);
  demote_a_master(trial, dice);
  finish(trial, "cluster: handed over twice");
}

TEST_F(ClusterFaults, Slots_are_moved_there_and_back) {
  Trial trial(*clients_, fresh_ns(), 13);
  kit::SeededRandom dice(13);
  trial.go_on();
  move_slots(trial, kParts, dice);
  finish(trial, "cluster: slots moved");
}

TEST_F(ClusterFaults, Connections_and_scripts_are_forgotten) {
  Trial trial(*clients_, fresh_ns(), 14);
  kit::SeededRandom dice(14);
  trial.go_on();
  forget_connections_and_scripts(group_->masters(), dice);
  trial.go_on();
  finish(trial, "cluster: connections");
}

TEST_F(ClusterFaults, Everything_is_flushed) {
  Trial trial(*clients_, fresh_ns(), 15);
  trial.go_on();
  flush(*clients_, trial, group_->masters());
  finish(trial, "cluster: flushed");
}

TEST_F(ClusterFaults, Anything_at_random) {
  kit::SeededRandom dice(98);
  for (std::uint64_t round = 1; round <= rounds(); ++round) {
    Trial trial(*clients_, fresh_ns(), 2000 + round);
    trial.go_on(10 + dice.next() % 60);
    const char* what = "";
    switch (dice.next() % 8) {
      case 0:
        what = "cluster: killed";
        kill_a_master(trial, dice.next() % 2 == 0, dice);
        break;
      case 1:
        what = "cluster: handed over";
        demote_a_master(trial, dice);
        break;
      case 2:
        what = "cluster: flushed";
        flush(*clients_, trial, group_->masters());
        break;
      case 3:
      case 4:
        what = "cluster: slots moved";
        move_slots(trial, 1 + dice.next() % 3, dice);
        break;
      default:
        what = "cluster: connections";
        forget_connections_and_scripts(group_->masters(), dice);
        trial.go_on();
    }
    finish(trial, what);
    if (HasFailure()) FAIL() << "round " << round << ", " << what;
  }
}

// --- one server, and restarts -------------------------------------------------------------------------------------------------------

const std::vector<std::string>& durable() {
  static const std::vector<std::string> arguments = {"--appendonly", "yes", "--appendfsync", "always"};
  return arguments;
}

TEST(DurableCluster, All_nodes_are_killed_and_started_and_nothing_is_lost) {
  SETGET_REQUIRE_REDIS();
  ClusterGroup group(3, 0, durable());
  Clients clients(group.uri(), new_prefix(), 16);
  Trial trial(clients, fresh_ns(), 21);
  for (int time = 0; time < 2; ++time) {
    trial.go_on();
    for (const auto& node : group.nodes()) node->kill();
    for (const auto& node : group.nodes()) node->start();
    trial.go_on();
  }
  finish(trial, "durable cluster: restarted");
}

class SingleFaults : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    server_ = std::make_unique<RedisServer>(ServerOptions{.arguments = durable()});
    clients_ = std::make_unique<Clients>(server_->uri(), new_prefix(), GetParam());
  }
  void TearDown() override {
    clients_.reset();
    server_.reset();
  }

  void restart(Trial& trial) {
    server_->kill();
    server_->start();
    trial.go_on();
  }
  // Of a master that is not there: it keeps what it has, refuses writes, and is a master again later.
  void demote(Trial& trial) {
    ASSERT_EQ(server_->cli({"REPLICAOF", "127.0.0.1", std::to_string(free_port())}), "OK");
    const auto before = trial.acknowledged().size();
    EXPECT_TRUE(eventually([&] { return server_->cli({"INFO", "errorstats"}).find("errorstat_READONLY") != std::string::npos; }));
    EXPECT_LE(trial.acknowledged().size(), before + 200) << "what was under way";
    ASSERT_EQ(server_->cli({"REPLICAOF", "NO", "ONE"}), "OK");
    trial.go_on();
  }
  void stall(Trial& trial) {
    server_->pause();
    server_->resume();
    trial.go_on();
  }

  std::unique_ptr<RedisServer> server_;
  std::unique_ptr<Clients> clients_;
};
INSTANTIATE_TEST_SUITE_P(Parts, SingleFaults, ::testing::Values(1, 16));

TEST_P(SingleFaults, A_durable_server_is_killed_and_started_and_nothing_is_lost) {
  Trial trial(*clients_, fresh_ns(), 31);
  for (int time = 0; time < 4; ++time) {
    trial.go_on();
    restart(trial);
  }
  finish(trial, "single: restarted");
}

TEST_P(SingleFaults, The_server_becomes_a_replica_and_a_master_again) {
  Trial trial(*clients_, fresh_ns(), 32);
  for (int time = 0; time < 3; ++time) {
    trial.go_on();
    demote(trial);
    server_->cli({"CONFIG", "RESETSTAT"});
  }
  finish(trial, "single: demoted");
}

TEST_P(SingleFaults, Everything_is_flushed_again_and_again) {
  for (std::uint64_t time = 1; time <= 3; ++time) {
    Trial trial(*clients_, fresh_ns(), 33 + time);
    trial.go_on();
    flush(*clients_, trial, {server_.get()});
    finish(trial, "single: flushed");
    if (HasFailure()) return;
  }
}

TEST_P(SingleFaults, Anything_at_random) {
  kit::SeededRandom dice(97 + GetParam());
  for (std::uint64_t round = 1; round <= rounds(); ++round) {
    Trial trial(*clients_, fresh_ns(), 3000 + round);
    trial.go_on(10 + dice.next() % 60);
    const char* what = "";
    switch (dice.next() % 5) {
      case 0:
        what = "single: restarted";
        restart(trial);
        break;
      case 1:
        what = "single: demoted";
        demote(trial);
        server_->cli({"CONFIG", "RESETSTAT"});
        break;
      case 2:
        what = "single: flushed";
        flush(*clients_, trial, {server_.get()});
        break;
      case 3:
        what = "single: stalled";
        stall(trial);
        break;
      default:
        what = "single: connections";
        forget_connections_and_scripts({server_.get()}, dice);
        trial.go_on();
    }
    finish(trial, what);
    if (HasFailure()) FAIL() << "round " << round << ", " << what;
  }
}

}  // namespace
}  // namespace redis_test
