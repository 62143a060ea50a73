// Requests of the completion form that wait for a server: each is answered at its deadline, whatever the others wait for.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "client_fixture.hpp"
#include "redis/errands.hpp"
#include "redis/later.hpp"
#include "redis/router.hpp"
#include "support/redis_server.hpp"

#include <setget/testing/tcp_proxy.hpp>

namespace {

using namespace setget;
using namespace setget::redis;
using namespace redis_test;
using setget::testing::TcpProxy;
using Way = TcpProxy::Way;
using Steady = Deadline::Steady;

// --- its parts --------------------------------------------------------------------------------------------------------------------

TEST(RedisLater, runs_tasks_at_their_time_and_those_of_the_same_time_in_order) {
  Later later(10);
  std::string order;
  std::promise<void> last;
  std::promise<void> all_posted;
  Later::Task first = [&](bool) { all_posted.get_future().wait(); };
  const auto now = Steady::now();
  ASSERT_TRUE(later.post(now, first));
  const auto post = [&](int ms, char name) {
    Later::Task task = [&, name](bool) {
      order += name;
      if (name == 'd') last.set_value();
    };
    ASSERT_TRUE(later.post(now + Milliseconds(ms), task));
  };
  post(30, 'd');
  post(20, 'b');
  post(20, 'c');
  post(0, 'a');
  all_posted.set_value();
  last.get_future().wait();
  EXPECT_EQ(order, "abcd");
  EXPECT_GE(Steady::now() - now, Milliseconds(30));
}

TEST(RedisLater, what_was_taken_back_is_not_run_and_makes_room) {
  Later later(1);
  int runs = 0;
  Later::Task first = [&](bool) { ++runs; };
  const auto ticket = later.post(Steady::now() + std::chrono::hours(1), first);
  ASSERT_TRUE(ticket);
  Later::Task second = [&](bool cancelled) { runs += cancelled ? 10 : 100; };
  EXPECT_FALSE(later.post(Steady::now(), second)) << "it is full";
  EXPECT_TRUE(second) << "and left the task alone";
  EXPECT_TRUE(later.waits(*ticket));
  EXPECT_TRUE(later.take_back(*ticket));
  EXPECT_FALSE(later.waits(*ticket));
  EXPECT_FALSE(later.take_back(*ticket));
  EXPECT_TRUE(later.post(Steady::now() + std::chrono::hours(1), second));
  later.stop();
  EXPECT_EQ(runs, 10);
}

TEST(RedisErrands, lanes_do_not_wait_for_each_other_and_keep_their_order) {
  Errands errands;
  std::promise<void> gate;
  const auto open = gate.get_future().share();
  const int lanes[] = {0, 0};
  std::string order;
  std::promise<void> beside;
  std::promise<void> done;
  Errands::Task tasks[] = {
      [&](bool) {
        open.wait();
        order += 'a';
      },
      [&](bool) { order += 'b'; },
      [&](bool) {
        order += 'c';
        done.set_value();
      },
  };
  for (auto& task : tasks) ASSERT_TRUE(errands.post(&lanes[0], task));
  Errands::Task other = [&](bool) { beside.set_value(); };
  ASSERT_TRUE(errands.post(&lanes[1], other));
  EXPECT_EQ(beside.get_future().wait_until(soon().time()), std::future_status::ready);
  gate.set_value();
  done.get_future().wait();
  EXPECT_EQ(order, "abc");
}

TEST(RedisErrands, stop_cancels_what_is_left) {
  Errands errands;
  std::promise<void> gate;
  std::promise<void> begun;
  Errands::Task first = [&](bool) {
    begun.set_value();
    gate.get_future().wait();
  };
  std::atomic<int> cancelled{0};
  ASSERT_TRUE(errands.post(nullptr, first));
  for (int i = 0; i < 3; ++i) {
    Errands::Task task = [&](bool is) { cancelled += is ? 1 : 0; };
    ASSERT_TRUE(errands.post(nullptr, task));
  }
  begun.get_future().wait();
  std::jthread stopper([&] { errands.stop(); });
  EXPECT_TRUE(eventually([&] {
    Errands::Task late = [](bool) {};
    return !errands.post(&gate, late);
  }));
  gate.set_value();
  stopper.join();
  EXPECT_EQ(cancelled, 3);
}

// --- the client -------------------------------------------------------------------------------------------------------------------

// One get, its answer, and when it came.
struct Asked {
  Asked(Client& client, const std::string& key, Deadline deadline) : begin(Steady::now()) {
    client
        .submit(get(key), deadline,
                [this](Result<Reply> reply) {
                  took = Steady::now() - begin;
                  ++calls;
                  answer.set_value(std::move(reply));
                })
        .value();
  }
  Result<Reply> wait() { return answer.get_future().get(); }

  const Steady::time_point begin;
  Steady::duration took{};
  std::atomic<int> calls{0};
  std::promise<Result<Reply>> answer;
};

class RedisWaiting : public ::testing::Test {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
};

TEST_F(RedisWaiting, a_get_in_a_hurry_is_answered_in_time_behind_one_that_has_time) {
  RedisServer server;
  const auto proxy = TcpProxy::start("127.0.0.1", server.port()).value();
  const auto client = client_of("redis://127.0.0.1:" + std::to_string(proxy->port()) + "?connect_timeout=20s");
  ASSERT_TRUE(client->call(set("k", "v"), soon()).has_value());
  // The connection is lost, and the next one is not answered.
  proxy->stall(Way::kToClient, true);
  proxy->reset_all();
  Asked patient(*client, "k", soon(30'000));
  std::vector<std::unique_ptr<Asked>> hurried;
  for (int i = 0; i < 20; ++i) hurried.push_back(std::make_unique<Asked>(*client, "k", soon(100)));
  for (auto& one : hurried) {
    const auto answer = one->wait();
    ASSERT_FALSE(answer.has_value());
    EXPECT_EQ(answer.error().code(), ErrorCode::kDeadlineExceeded) << answer.error().describe();
    EXPECT_GE(one->took, Milliseconds(50));
    EXPECT_LT(one->took, Milliseconds(10'000));
  }
  proxy->heal();
  EXPECT_EQ(patient.wait().value().text(), "v");
  client->stop();
  EXPECT_EQ(patient.calls, 1);
  for (const auto& one : hurried) EXPECT_EQ(one->calls, 1);
}

// Whether a request was answered at its deadline or by its errand must not be decided twice.
TEST_F(RedisWaiting, deadlines_that_meet_the_connection_answer_once) {
  RedisServer server;
  const auto proxy = TcpProxy::start("127.0.0.1", server.port()).value();
  const auto uri = "redis://127.0.0.1:" + std::to_string(proxy->port());
  proxy->delay(Way::kToClient, Milliseconds(2));
  for (int round = 0; round < 20; ++round) {
    const auto client = client_of(uri);
    std::vector<std::unique_ptr<Asked>> all;
    // The handshake takes some of these milliseconds.
    for (int i = 0; i < 200; ++i) all.push_back(std::make_unique<Asked>(*client, "k", Deadline::in(std::chrono::microseconds(100 * i))));
    for (auto& one : all) {
      const auto answer = one->wait();
      if (!answer) {
        EXPECT_EQ(answer.error().code(), ErrorCode::kDeadlineExceeded) << answer.error().describe();
      }
    }
    client->stop();
    for (const auto& one : all) EXPECT_EQ(one->calls, 1);
  }
}

TEST_F(RedisWaiting, stop_answers_those_who_wait_for_a_connection) {
  RedisServer server;
  server.pause();
  const auto client = client_of(server.uri("?connect_timeout=3s"));
  std::vector<std::unique_ptr<Asked>> all;
  for (int i = 0; i < 50; ++i) all.push_back(std::make_unique<Asked>(*client, "k", soon()));
  client->stop();
  for (auto& one : all) {
    EXPECT_EQ(one->calls, 1);
    EXPECT_EQ(one->wait().error().code(), ErrorCode::kCancelled);
  }
  server.resume();
}

// Three masters, a proxy before each, and a key of each.
struct FarCluster {
  FarCluster() : group(3, 0, {}, kNoneDies) {
    for (const auto& node : group.nodes()) {
      proxies.push_back(TcpProxy::start("127.0.0.1", node->port()).value());
      ports.push_back(proxies.back()->port());
    }
    group.announce(ports);
    for (const auto& node : group.nodes()) {
      int n = 0;
      std::string key;
      do {
        key = "k" + std::to_string(n++);
      } while (&group.master_of(key_slot(key)) != node.get());
      node->cli({"SET", key, key});
      keys.push_back(key);
    }
  }
  std::string uri(const std::string& rest = {}) const { return "redis+cluster://127.0.0.1:" + std::to_string(ports[0]) + rest; }

  ClusterGroup group;
  std::vector<std::unique_ptr<TcpProxy>> proxies;
  std::vector<std::uint16_t> ports;
  std::vector<std::string> keys;
};

// While one master of a cluster says nothing, gets for the others neither wait for the connection to it nor for a map.
TEST_F(RedisWaiting, gets_for_other_masters_do_not_wait_for_one_that_is_away) {
  FarCluster far;
  const auto client = client_of(far.uri("?connect_timeout=2s"));
  ASSERT_TRUE(client->call(get(far.keys[0]), soon()).has_value());  // knows the map, and one master
  far.proxies[2]->stall(Way::kToClient, true);
  Asked away(*client, far.keys[2], soon(6000));
  std::size_t answered = 0;
  while (away.calls == 0) {
    Asked here(*client, far.keys[answered++ % 2], soon(20'000));
    const auto reply = here.wait();
    ASSERT_TRUE(reply.has_value()) << answered << ": " << reply.error().describe();
  }
  EXPECT_GT(answered, 20U);
  EXPECT_FALSE(away.wait().has_value());
}

TEST_F(RedisWaiting, a_router_doubts_the_master_that_failed_and_no_other) {
  FarCluster far;
  auto common = std::make_shared<Common>();
  common->settings = parse_uri(far.uri()).value();
  common->random = system_random();
  const auto router = Router::create(common);
  const auto failed = router->route(key_slot(far.keys[2]), soon()).value();
  EXPECT_EQ(failed->endpoint().port, far.ports[2]);
  router->learn(connection_error(ErrorCode::kUnavailable, Trouble::kDown, "gone"), failed);
  EXPECT_EQ(router->known(key_slot(far.keys[2])), nullptr);
  EXPECT_EQ(router->known(std::nullopt), nullptr);
  for (std::size_t i = 0; i < 2; ++i) {
    const auto other = router->known(key_slot(far.keys[i]));
    ASSERT_NE(other, nullptr);
    EXPECT_EQ(other->endpoint().port, far.ports[i]);
  }
  // Until the map says the same once more.
  EXPECT_TRUE(eventually([&] { return router->route(key_slot(far.keys[2]), soon()) && router->known(key_slot(far.keys[2])) == failed; }));
  router->stop();
}

// --- far away ---------------------------------------------------------------------------------------------------------------------

// Longer than one that may be gone is waited for, shorter than connect_timeout.
constexpr Milliseconds kFar(600);

TEST_F(RedisWaiting, finds_a_cluster_that_is_far_away) {
  FarCluster far;
  for (const auto& proxy : far.proxies) proxy->delay(Way::kToClient, kFar);
  const auto reply = client_of(far.uri())->call(get(far.keys[1]), soon());
  ASSERT_TRUE(reply.has_value()) << reply.error().describe();
  EXPECT_EQ(reply->text(), far.keys[1]);
}

TEST_F(RedisWaiting, finds_the_master_by_sentinels_that_are_far_away) {
  SentinelGroup group(kNoneDies);
  std::vector<std::unique_ptr<TcpProxy>> proxies;
  std::string uri;
  for (const auto& sentinel : group.sentinels()) {
    proxies.push_back(TcpProxy::start("127.0.0.1", sentinel->port()).value());
    proxies.back()->delay(Way::kToClient, kFar);
    uri += (uri.empty() ? "redis+sentinel://127.0.0.1:" : ",127.0.0.1:") + std::to_string(proxies.back()->port());
  }
  const auto reply = client_of(uri + "/main")->call(set("k", "v"), soon());
  ASSERT_TRUE(reply.has_value()) << reply.error().describe();
}

}  // namespace
