// Redis goes away and comes back: what sets and gets do meanwhile, from the queue on disk to the status of HTTP.
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "support/redis_server.hpp"

#include <setget/config.hpp>
#include <setget/gateway.hpp>
#include <setget/pipeline.hpp>
#include <setget/testing/tcp_proxy.hpp>

namespace setget {
namespace {

using redis_test::eventually;
using redis_test::RedisServer;
using Steady = std::chrono::steady_clock;

// What the server program is made of, on a queue in a file.
class Away : public ::testing::Test {
 protected:
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    before_ = std::filesystem::current_path();
    std::filesystem::current_path(folder_.path());
    config_.archive = "none";
    config_.queue_options.max_receives = 3;  // if the outage counted, messages would die of it
  }
  void TearDown() override {
    stop();
    if (!before_.empty()) std::filesystem::current_path(before_);
  }
  void start(const std::string& uri) {
    config_.store = uri;
    stores_ = open_stores(config_).value();
    pipeline_ = Pipeline::create(pipeline_options(config_, stores_)).value();
    ASSERT_TRUE(pipeline_->start());
    GatewayOptions options;
    options.pipeline = pipeline_.get();
    gateway_ = Gateway::create(std::move(options)).value();
  }
  void stop() {
    gateway_.reset();
    if (pipeline_) {
      EXPECT_TRUE(pipeline_->stop(Deadline::in(Milliseconds(10'000))));
    }
    pipeline_.reset();
    stores_ = {};
  }
  Receipt set(const std::string& key, const std::string& payload) {
    auto receipt = pipeline_->set(SetRequest{.id = key, .keys = {key}, .account = "a", .flow = "f", .payload = payload});
    EXPECT_TRUE(receipt) << receipt.error().describe();
    return receipt ? *receipt : Receipt();
  }
  struct Answer {
    GatewayResponse response;
    Milliseconds took{0};
    std::string header(std::string_view name) const {
      for (const auto& [known, value] : response.headers) {
        if (known == name) return value;
      }
      return {};
    }
  };
  // As the HTTP server asks.
  Answer get(const std::string& key) {
    struct Waiting {
      std::mutex mutex;
      std::condition_variable changed;
      std::optional<GatewayResponse> response;
    };
    const auto waiting = std::make_shared<Waiting>();
    const auto begun = Steady::now();
    GatewayRequest request;
    request.method = "GET";
    request.target = "/v1/records/" + key;
    gateway_->handle(std::move(request), [waiting](GatewayResponse response) {
      const std::scoped_lock lock(waiting->mutex);
      waiting->response = std::move(response);
      waiting->changed.notify_one();
    });
    std::unique_lock lock(waiting->mutex);
    waiting->changed.wait(lock, [&] { return waiting->response.has_value(); });
    return {.response = *std::move(waiting->response), .took = std::chrono::duration_cast<Milliseconds>(Steady::now() - begun)};
  }

  redis_test::TemporaryFolder folder_;
  std::filesystem::path before_;
  Config config_;
  Stores stores_;
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<Gateway> gateway_;
};

TEST_F(Away, sets_wait_in_the_queue_and_gets_fail_at_once_until_a_killed_server_is_back) {
  RedisServer server({.arguments = {"--appendonly", "yes", "--appendfsync", "always"}});
  start(server.uri());
  ASSERT_EQ(pipeline_->wait(set("before", "1"), Deadline::in(Milliseconds(10'000))).value().outcome, Outcome::kApplied);
  ASSERT_EQ(get("before").response.status, 200);
  server.kill();
  std::vector<Receipt> receipts;
  std::vector<Milliseconds> took;
  for (int i = 0; i < 200; ++i) {
    receipts.push_back(set("key" + std::to_string(i), std::to_string(1000 + i)));
    const auto answer = get("before");
    EXPECT_EQ(answer.response.status, 503);
    EXPECT_FALSE(answer.header("Retry-After").empty());
    took.push_back(answer.took);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // several attempts of the worker fall into the outage
  }
  std::ranges::sort(took);
  EXPECT_LE(took[took.size() * 80 / 100], Milliseconds(50)) << "the others may be the busy machine's";
  server.start();
  for (const auto& receipt : receipts) {
    EXPECT_EQ(pipeline_->wait(receipt, Deadline::in(Milliseconds(20'000))).value().outcome, Outcome::kApplied);
  }
  for (int i = 0; i < 200; ++i) {
    const auto key = "key" + std::to_string(i);
    ASSERT_TRUE(eventually([&] { return get(key).response.status == 200; })) << key;
    EXPECT_EQ(get(key).response.body.view(), std::to_string(1000 + i));
  }
  EXPECT_EQ(stores_.queue.stats().value().dead_letters, 0U) << "the outage was none of the messages' doing";
}

TEST_F(Away, gets_fail_at_once_while_a_server_that_hangs_is_known_to_hang) {
  RedisServer server;
  const auto proxy = testing::TcpProxy::start("127.0.0.1", server.port()).value();
  start("redis://127.0.0.1:" + std::to_string(proxy->port()) + "?timeout=1s&connect_timeout=1s");
  ASSERT_EQ(pipeline_->wait(set("key", "1"), Deadline::in(Milliseconds(10'000))).value().outcome, Outcome::kApplied);
  ASSERT_TRUE(eventually([&] { return get("key").response.status == 200; }));
  proxy->stall(testing::TcpProxy::Way::kToClient, true);
  // It takes `timeout` to see that a reply does not come, and `connect_timeout` that a new connection does not help.
  const auto first = get("key");
  EXPECT_EQ(first.response.status, 503);
  EXPECT_LE(first.took, Milliseconds(10'000));
  int slow = 0;
  for (int i = 0; i < 100; ++i) {
    const auto answer = get("key");
    EXPECT_EQ(answer.response.status, 503);
    if (answer.took > Milliseconds(300)) ++slow;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_LE(slow, 10) << "of 100, where the machine was busy; who asks the server waits for 1 s";
  proxy->heal();
  EXPECT_TRUE(eventually([&] { return get("key").response.status == 200; }, Milliseconds(10'000)));
}

TEST_F(Away, starts_without_its_server_and_works_once_it_is_there) {
  RedisServer server;
  server.stop();
  start(server.uri());
  const auto receipt = set("key", "1");
  EXPECT_EQ(get("key").response.status, 503);
  server.start();
  EXPECT_EQ(pipeline_->wait(receipt, Deadline::in(Milliseconds(20'000))).value().outcome, Outcome::kApplied);
  EXPECT_TRUE(eventually([&] { return get("key").response.status == 200; }, Milliseconds(10'000)));
  EXPECT_EQ(stores_.queue.stats().value().dead_letters, 0U);
}

TEST_F(Away, gets_answer_what_was_last_known_marked_stale_where_the_host_wants_that) {
  RedisServer server({.arguments = {"--appendonly", "yes", "--appendfsync", "always"}});
  config_.redis.cache.enabled = true;
  config_.redis.cache.serve_stale = true;
  config_.redis.cache.max_silence = Milliseconds(200);
  config_.redis.cache.max_stale = Milliseconds(6'000);
  start(server.uri());
  ASSERT_EQ(pipeline_->wait(set("known", "1"), Deadline::in(Milliseconds(10'000))).value().outcome, Outcome::kApplied);
  ASSERT_EQ(pipeline_->wait(set("unasked", "1"), Deadline::in(Milliseconds(10'000))).value().outcome, Outcome::kApplied);
  // The cache keeps it once its connection stands: then many gets leave the server alone.
  const auto gets = [&] {
    const auto stats = server.cli({"INFO", "commandstats"});
    const auto at = stats.find("cmdstat_get:calls=");
    return stats.substr(at, stats.find(',', at) - at);
  };
  ASSERT_TRUE(eventually([&] {
    get("known");
    const auto before = gets();
    for (int i = 0; i < 20; ++i) get("known");
    return gets() == before;
  }));
  EXPECT_EQ(get("known").header("Cache-Status"), "") << "fresh";
  const auto killed = Steady::now();
  server.kill();
  ASSERT_TRUE(eventually([&] { return !get("known").header("Cache-Status").empty(); }, Milliseconds(5'000)));
  // The machine may be busy: one of a few is quick.
  auto took = Milliseconds::max();
  for (int i = 0; i < 5 && took > Milliseconds(50); ++i) {
    const auto answer = get("known");
    EXPECT_EQ(answer.response.status, 200);
    EXPECT_EQ(answer.response.body.view(), "1");
    EXPECT_TRUE(answer.header("Cache-Status").starts_with("setget; hit; ttl=-")) << answer.header("Cache-Status");
    EXPECT_TRUE(answer.header("Cache-Status").ends_with("; detail=stale"));
    took = answer.took;
  }
  EXPECT_LE(took, Milliseconds(50));
  EXPECT_EQ(get("unasked").response.status, 503);
  EXPECT_TRUE(eventually([&] { return get("known").response.status == 503; }, Milliseconds(20'000))) << "max_stale";
  EXPECT_GE(Steady::now() - killed, std::chrono::milliseconds(3'000)) << "counted from the server's last word, before it was killed";
  set("known", "2");
  server.start();
  EXPECT_TRUE(eventually(
      [&] {
        const auto now = get("known");
        return now.response.status == 200 && now.header("Cache-Status").empty() && now.response.body.view() == "2";
      },
      Milliseconds(10'000)));
}

}  // namespace
}  // namespace setget
