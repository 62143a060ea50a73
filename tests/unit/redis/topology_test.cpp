// The client on real sentinels and a real cluster, while masters die and slots move.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <set>
#include <thread>

#include "client_fixture.hpp"
#include "redis/scan.hpp"

namespace {

using namespace setget;
using namespace setget::redis;
using namespace redis_test;

// --- sentinel ---------------------------------------------------------------------------------------------------------------------

TEST(RedisSentinel, follows_the_master_after_it_was_killed) {
  SETGET_REQUIRE_REDIS();
  SentinelGroup group;
  const auto client = client_of(group.uri());
  ASSERT_EQ(client->call(set("k", "before"), soon()).value().text(), "OK");
  EXPECT_EQ(group.master().cli({"GET", "k"}), "before");
  ASSERT_EQ(client->call(words({"WAIT", "1", "5000"}), soon()).value().integer(), 1);
  auto& old = group.master();
  old.kill();
  // How long the sentinels take for their vote is theirs; from then on it is ours.
  EXPECT_TRUE(
      eventually([&] { return &group.master() != &old && group.master().cli({"ROLE"}).starts_with("master"); }, Milliseconds(40'000)));
  EXPECT_TRUE(eventually([&] { return client->call(set("after", "v"), soon(5000)).has_value(); }));
  EXPECT_EQ(group.master().cli({"GET", "after"}), "v");
  EXPECT_EQ(client->call(get("k"), soon()).value().text(), "before");

  // It comes back, and the sentinels make it a replica: nobody is led astray.
  old.start();
  EXPECT_TRUE(eventually([&] { return old.cli({"ROLE"}).starts_with("slave"); }));
  EXPECT_TRUE(client->call(set("k", "again"), soon()).has_value());
}

TEST(RedisSentinel, leaves_a_master_that_was_made_a_replica) {
  SETGET_REQUIRE_REDIS();
  SentinelGroup group(kNoneDies);
  const auto client = client_of(group.uri());
  ASSERT_TRUE(client->call(set("k", "v"), soon()).has_value());
  auto& old = group.master();
  std::atomic<int> failures{0};
  std::atomic<bool> stop{false};
  std::jthread writer([&] {
    for (int i = 0; !stop; ++i) {
      if (!client->call(set("w", std::to_string(i)), soon(3000))) ++failures;
    }
  });
  EXPECT_TRUE(eventually([&] { return group.fail_over(); }));
  EXPECT_TRUE(eventually([&] { return &group.master() != &old && old.cli({"ROLE"}).starts_with("slave"); }));
  EXPECT_TRUE(client->call(set("k", "new"), soon()).has_value());
  stop = true;
  writer.join();
  EXPECT_EQ(group.master().cli({"GET", "k"}), "new");
}

// One call that was not answered in time is no reason to be without a server until the sentinels are back.
TEST(RedisSentinel, stays_with_a_master_that_was_slow_while_no_sentinel_answers) {
  SETGET_REQUIRE_REDIS();
  SentinelGroup group(kNoneDies);
  const auto client = client_of(group.uri());
  ASSERT_TRUE(client->call(set("k", "v"), soon()).has_value());
  auto& master = group.master();
  for (const auto& sentinel : group.sentinels()) sentinel->kill();
  for (int i = 0; i < 2; ++i) {
    master.pause();
    const auto late = client->call(get("k"), Deadline::in(Milliseconds(50)));
    master.resume();
    ASSERT_FALSE(late.has_value());
    ASSERT_EQ(late.error().code(), ErrorCode::kDeadlineExceeded);
    const auto found = client->call(get("k"), soon());
    ASSERT_TRUE(found.has_value()) << found.error().describe();
    EXPECT_EQ(found->text(), "v");
  }
  // What takes no answers any more is another matter: which server the master is now, only a sentinel can tell.
  master.kill();
  EXPECT_TRUE(eventually([&] {
    const auto lost = client->call(get("k"), soon(500));
    return !lost && lost.error().code() == ErrorCode::kUnavailable;
  }));
  master.start();
  EXPECT_FALSE(client->call(get("k"), soon(500)).has_value());
  for (const auto& sentinel : group.sentinels()) sentinel->start();
  EXPECT_TRUE(eventually([&] { return client->call(get("k"), soon(3000)).has_value(); }));
}

// Silent sentinels take the time of one call, not of all.
TEST(RedisSentinel, asks_silent_sentinels_once_about_a_slow_master) {
  SETGET_REQUIRE_REDIS();
  SentinelGroup group(kNoneDies);
  const auto client = client_of(group.uri());
  ASSERT_TRUE(client->call(set("k", "v"), soon()).has_value());
  auto& master = group.master();
  for (const auto& sentinel : group.sentinels()) sentinel->pause();
  master.pause();
  EXPECT_FALSE(client->call(get("k"), Deadline::in(Milliseconds(50))).has_value());
  master.resume();
  EXPECT_TRUE(eventually([&] { return client->call(get("k"), Deadline::in(Milliseconds(400))).has_value(); }))
      << "each call has less time than a sentinel is waited for";
  for (const auto& sentinel : group.sentinels()) sentinel->resume();
}

TEST(RedisSentinel, says_clearly_that_nobody_answers_or_knows_the_master) {
  SETGET_REQUIRE_REDIS();
  const auto nobody = client_of("redis+sentinel://127.0.0.1:" + std::to_string(free_port()) + "/main")->call(get("k"), soon());
  ASSERT_FALSE(nobody.has_value());
  EXPECT_EQ(nobody.error().code(), ErrorCode::kUnavailable);
  EXPECT_FALSE(maybe_executed(nobody.error()));
  EXPECT_NE(nobody.error().describe().find("main"), std::string::npos);
}

// --- cluster ----------------------------------------------------------------------------------------------------------------------

class RedisCluster : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (missing_programs().empty()) group_ = std::make_unique<ClusterGroup>(6, 1, std::vector<std::string>{}, kNoneDies);
  }
  static void TearDownTestSuite() { group_.reset(); }
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
  static std::unique_ptr<ClusterGroup> group_;
};
std::unique_ptr<ClusterGroup> RedisCluster::group_;

TEST_F(RedisCluster, spreads_commands_over_all_masters_and_finds_them_from_any_node) {
  for (const auto& node : group_->nodes()) {
    const auto client = client_of("redis+cluster://" + node->address());
    for (int i = 0; i < 30; ++i) {
      const auto key = "spread" + std::to_string(i);
      ASSERT_EQ(client->call(set(key, key), soon()).value().text(), "OK");
      ASSERT_EQ(client->call(get(key), soon()).value().text(), key);
    }
    EXPECT_EQ(client->servers(soon()).value().size(), 3U);
  }
  std::map<std::string, int> keys;
  for (auto* master : group_->masters())
    EXPECT_GT(std::stoi(master->cli({"DBSIZE"}).substr(master->cli({"DBSIZE"}).find_first_of("0123456789"))), 0);
}

TEST_F(RedisCluster, pipelines_to_several_masters_at_once) {
  const auto client = client_of(group_->uri());
  std::vector<RedisCommand> commands;
  for (int i = 0; i < 500; ++i) commands.push_back(set("p" + std::to_string(i), std::to_string(i)));
  for (int i = 0; i < 500; ++i) commands.push_back(get("p" + std::to_string(i)));
  const auto results = client->pipeline(commands, soon());
  for (std::size_t i = 0; i < 500; ++i) {
    ASSERT_EQ(results[i].value().text(), "OK");
    ASSERT_EQ(results[i + 500].value().text(), std::to_string(i));
  }
  EXPECT_EQ(trouble_of(client->call(RedisCommand("MGET").key("p1").arg("p2"), soon()).error()), Trouble::kCrossSlot);
}

TEST_F(RedisCluster, completion_form_goes_to_all_masters) {
  const auto client = client_of(group_->uri());
  std::atomic<int> called{0};
  int accepted = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto key = "c" + std::to_string(i);
    if (client->submit(set(key, key), soon(), [&](Result<Reply> reply) {
          EXPECT_TRUE(reply.has_value()) << reply.error().describe();
          ++called;
        }))
      ++accepted;
  }
  EXPECT_TRUE(eventually([&] { return called == accepted; }));
  EXPECT_EQ(accepted, 3000);
}

TEST_F(RedisCluster, a_batch_goes_to_all_masters_and_is_answered_in_its_order) {
  const auto client = client_of(group_->uri());
  // The first one finds nothing connected, the second goes straight to the connections.
  for (int round = 0; round < 2; ++round) {
    constexpr int kKeys = 300;
    RedisCommands commands;
    for (int i = 0; i < kKeys; ++i) commands.add("SET", 3).key("b" + std::to_string(i)).arg(i + round).idempotent();
    for (int i = 0; i < kKeys; ++i) commands.add("GET", 2).key("b" + std::to_string(i)).idempotent();
    std::promise<std::vector<Result<Reply>>> promise;
    client->submit(std::move(commands), soon(), [&](std::vector<Result<Reply>> replies) { promise.set_value(std::move(replies)); }).value();
    const auto replies = promise.get_future().get();
    ASSERT_EQ(replies.size(), 2U * kKeys);
    for (int i = 0; i < kKeys; ++i)
      ASSERT_EQ(replies[static_cast<std::size_t>(kKeys + i)].value().text(), std::to_string(i + round)) << round;
  }
}

// Counters that are incremented, a transaction and completion-form reads, all in one slot.
struct Load {
  explicit Load(Client& client, std::string tag) : tag_(std::move(tag)) {
    for (int t = 0; t < 4; ++t) {
      threads_.emplace_back([this, &client, t] {
        const auto name = "{" + tag_ + "}" + std::to_string(t);
        for (; !stop_; ++rounds) {
          const auto reply = client.call(RedisCommand("INCR").key(name), soon());
          if (!reply) {
            if (maybe_executed(reply.error())) ++unknown;
            ++failed;
            continue;
          }
          ++acknowledged[static_cast<std::size_t>(t)];
          if (reply->integer() < last_[static_cast<std::size_t>(t)]) ++backwards;
          last_[static_cast<std::size_t>(t)] = reply->integer();
          if (t == 0) {
            const RedisCommand both[] = {set(name + "a", "x"), set(name + "b", "x")};
            if (!client.call(RedisCommand::transaction(both), soon())) ++transactions_failed;
          }
          if (t == 1) {
            ++submitted;
            if (!client.submit(get(name), soon(), [this](Result<Reply> answer) {
                  if (!answer) ++failed;
                  ++answered;
                }))
              --submitted;
          }
          if (t == 3) {
            const auto watched = client.with_exclusive(
                key_slot(name), soon(),
                [&](Exclusive& connection) -> Result<Reply> {
                  if (auto begun = connection.call(RedisCommand("WATCH").key(name + "w"), soon()); !begun) return begun;
                  const RedisCommand one[] = {set(name + "w", "x")};
                  return connection.call(RedisCommand::transaction(one), soon());
                },
                Client::Again::kIfRefused);
            if (!watched) ++watches_failed;
          }
          if (t == 2) {
            RedisCommands several;
            several.add("GET", 2).key(name).idempotent();
            several.add("GET", 2).key("elsewhere").idempotent();
            several.add("GET", 2).key(name + "b").idempotent();
            ++submitted;
            if (!client.submit(std::move(several), soon(), [this](std::vector<Result<Reply>> answers) {
                  if (answers.size() != 3 || !std::ranges::all_of(answers, &Result<Reply>::has_value)) ++failed;
                  ++answered;
                }))
              --submitted;
          }
        }
      });
    }
  }
  ~Load() { finish(); }
  void finish() {
    stop_ = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
    EXPECT_TRUE(eventually([&] { return answered == submitted; }));
  }
  std::atomic<int> rounds{0};
  std::atomic<int> failed{0};
  std::atomic<int> unknown{0};
  std::atomic<int> backwards{0};
  std::atomic<int> transactions_failed{0};
  std::atomic<int> watches_failed{0};
  std::atomic<int> submitted{0};
  std::atomic<int> answered{0};
  std::array<std::atomic<std::int64_t>, 4> acknowledged{};

 private:
  std::string tag_;
  std::atomic<bool> stop_{false};
  std::array<std::int64_t, 4> last_{};
  std::vector<std::jthread> threads_;
};

TEST_F(RedisCluster, serves_a_slot_without_an_error_while_it_is_moved_to_and_fro) {
  const auto client = client_of(group_->uri());
  const std::string tag = "moving";
  const auto slot = key_slot(tag);
  for (int i = 0; i < 200; ++i)
    ASSERT_TRUE(client->call(set("{" + tag + "}filler" + std::to_string(i), std::string(1000, 'x')), soon()).has_value());
  Load load(*client, tag);
  for (int round = 0; round < 4; ++round) {
    auto& from = group_->master_of(slot);
    const auto masters = group_->masters();
    auto& to = *(masters[0] == &from ? masters[1] : masters[0]);
    group_->move_slot(slot, to, [&] {
      const int seen = load.rounds;
      EXPECT_TRUE(eventually([&] { return load.rounds > seen + 50; }));
    });
  }
  load.finish();
  EXPECT_EQ(load.failed, 0);
  EXPECT_EQ(load.watches_failed, 0);
  EXPECT_EQ(load.transactions_failed, 0);
  EXPECT_EQ(load.backwards, 0);
  EXPECT_GT(load.rounds, 400);
  for (std::size_t t = 0; t < 4; ++t)
    EXPECT_EQ(client->call(get("{" + tag + "}" + std::to_string(t)), soon()).value().text(), std::to_string(load.acknowledged[t]))
        << "every INCR exactly once";
}

// ASKING holds until the end of a transaction that follows it.
TEST_F(RedisCluster, follows_a_key_that_has_moved_before_its_slot_with_a_transaction) {
  const auto client = client_of(group_->uri());
  const std::string name = "{transactions}k";
  const auto slot = key_slot(name);
  ASSERT_TRUE(client->call(set(name, "before"), soon()).has_value());
  const auto masters = group_->masters();
  auto& to = *(masters[0] == &group_->master_of(slot) ? masters[1] : masters[0]);
  const RedisCommand read[] = {get(name), get(name)};
  const auto whole = RedisCommand::transaction(read);
  bool moved = false;
  group_->move_slot(slot, to, [&] {
    if (!std::exchange(moved, true)) return;  // its key is at the new master at the second call only
    std::promise<Result<Reply>> promise;
    ASSERT_TRUE(client->submit(whole, soon(), [&](Result<Reply> reply) { promise.set_value(std::move(reply)); }));
    for (const auto& reply : {client->call(whole, soon()), client->pipeline({&whole, 1}, soon()).front(), promise.get_future().get()}) {
      ASSERT_TRUE(reply) << reply.error().describe();
      EXPECT_EQ(reply->elements()[1].text(), "before");
    }
  });
}

TEST_F(RedisCluster, heals_after_a_master_was_killed) {
  const auto client = client_of(group_->uri());
  const std::string tag = "victim";
  auto& victim = group_->master_of(key_slot(tag));
  ASSERT_TRUE(client->call(set("{" + tag + "}k", "v"), soon()).has_value());
  std::string elsewhere = "a";
  while (&group_->master_of(key_slot(elsewhere)) == &victim) elsewhere += "a";
  const auto node_timeout = std::to_string(ClusterGroup::kNodeTimeout.count());
  for (const auto& node : group_->nodes()) node->cli({"CONFIG", "SET", "cluster-node-timeout", node_timeout});
  victim.kill();
  // The others go on at once.
  EXPECT_TRUE(eventually([&] { return client->call(set(elsewhere, "v"), soon(2000)).has_value(); }, Milliseconds(10'000)));
  EXPECT_TRUE(eventually([&] { return group_->masters().size() == 3; }));
  EXPECT_TRUE(eventually([&] { return client->call(set("{" + tag + "}after", "v"), soon(3000)).has_value(); }, Milliseconds(20'000)));
  victim.start();
  EXPECT_TRUE(eventually([&] { return group_->healthy(); }));
  const auto servers = client->servers(soon()).value();
  EXPECT_EQ(servers.size(), 3U) << "the dead node is dropped";
}

// A client that was idle meanwhile knows of no change; who walks over all servers must not miss one, nor end with one that is none any
// more.
TEST_F(RedisCluster, walks_over_all_masters_of_now) {
  const auto client = client_of(group_->uri());
  std::set<std::string> wanted;
  for (int i = 0; i < 100; ++i) {
    const auto name = "walk:" + std::to_string(i);
    ASSERT_TRUE(client->call(set(name, "v"), soon()).has_value());
    wanted.insert(name);
  }
  ASSERT_EQ(client->servers(soon()).value().size(), 3U);
  auto& old = group_->master_of(key_slot("walk:0"));
  RedisServer* heir = nullptr;
  for (const auto& node : group_->nodes()) {
    if (node->cli({"ROLE"}).starts_with("slave\n127.0.0.1\n" + std::to_string(old.port()) + "\n")) heir = node.get();
  }
  ASSERT_NE(heir, nullptr);
  ASSERT_EQ(heir->cli({"CLUSTER", "FAILOVER"}), "OK");
  ASSERT_TRUE(eventually([&] { return heir->cli({"ROLE"}).starts_with("master") && old.cli({"ROLE"}).starts_with("slave"); }));
  const auto all_know = [&] {
    return std::ranges::all_of(group_->nodes(), [&](const auto& node) {
      const auto all = node->cli({"CLUSTER", "NODES"});
      const auto line = all.substr(std::min(all.size(), all.find(":" + std::to_string(heir->port()) + "@")));
      return line.substr(0, line.find('\n')).find("master") != std::string::npos;
    });
  };
  ASSERT_TRUE(eventually([&] { return group_->healthy() && all_know(); }));
  old.kill();
  std::set<std::string> found;
  const auto walked = scan_names(*client, {.pattern = "walk:*"}, soon(20'000), [&](std::span<const Reply> names) -> Result<bool> {
    for (const auto& name : names) found.emplace(name.text());
    return true;
  });
  EXPECT_TRUE(walked.has_value()) << walked.error().describe();
  EXPECT_EQ(found, wanted);
  old.start();
  EXPECT_TRUE(eventually([&] { return group_->healthy(); }));
}

TEST_F(RedisCluster, comes_back_after_all_its_nodes_were_restarted) {
  const auto client = client_of(group_->uri());
  ASSERT_TRUE(client->call(set("k", "v"), soon()).has_value());
  for (const auto& node : group_->nodes()) node->kill();
  const auto begin = Deadline::Steady::now();
  const auto down = client->call(get("k"), soon());
  ASSERT_FALSE(down.has_value());
  EXPECT_EQ(down.error().code(), ErrorCode::kUnavailable);
  EXPECT_LT(Deadline::Steady::now() - begin, Milliseconds(15'000));
  for (const auto& node : group_->nodes()) node->start();
  EXPECT_TRUE(eventually([&] { return client->call(set("k", "again"), soon(3000)).has_value(); }));
}

}  // namespace
