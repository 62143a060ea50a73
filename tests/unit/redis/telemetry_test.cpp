// What a store and its queues on Redis tell Metrics (docs/metrics.md), on a real server.
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <sstream>
#include <string>

#include "support/redis_server.hpp"

#include <setget/observe.hpp>
#include <setget/redis.hpp>

namespace {

using namespace setget;
using redis_test::eventually;

// The value of a series without labels; -1: there is none.
double value(const PrometheusMetrics& metrics, const std::string& name) {
  std::istringstream lines(metrics.expose());
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + " ")) return std::stod(line.substr(name.size() + 1));
  }
  return -1;
}

TEST(RedisTelemetry, connections_requests_and_losses_are_told) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer server;
  const auto metrics = std::make_shared<PrometheusMetrics>();
  {
    redis::Options options;
    options.uri = server.uri();
    options.metrics = metrics;
    auto db = redis::open(std::move(options)).value();
    auto queue = db.queue("q").value();
    EXPECT_GE(value(*metrics, "setget_redis_connections"), 1);
    EXPECT_EQ(value(*metrics, "setget_redis_reconnects_total"), -1);

    const auto before = value(*metrics, "setget_redis_request_seconds_count");
    EXPECT_GT(before, 0);
    OutgoingMessage message;
    message.body = Payload(std::string("m"));
    for (int i = 0; i < 10; ++i) (void)queue.send(message).value();
    EXPECT_GE(value(*metrics, "setget_redis_request_seconds_count"), before + 10);
    EXPECT_GT(value(*metrics, "setget_redis_request_seconds_sum"), 0);
    EXPECT_EQ(value(*metrics, "setget_redis_request_commands_count"), value(*metrics, "setget_redis_request_seconds_count"));

    // Of the completion form too.
    const auto store = db.key_store();
    const std::string_view key = "nobody";
    const auto asked = value(*metrics, "setget_redis_request_seconds_count");
    std::promise<void> done;
    store.backend()->get_async({.ns = {}, .keys = {&key, 1}, .now = {}}, [&](const Result<std::vector<Lookup>>&) { done.set_value(); });
    done.get_future().get();
    EXPECT_GT(value(*metrics, "setget_redis_request_seconds_count"), asked);

    server.kill();
    ASSERT_TRUE(eventually([&] {
      (void)queue.send(message, Deadline::in(Milliseconds(300)));
      return value(*metrics, "setget_redis_unreachable_servers") == 1;
    }));
    EXPECT_GE(value(*metrics, "setget_redis_unanswered_total"), 1);
    EXPECT_EQ(value(*metrics, "setget_redis_connections"), 0);
    server.start();
    ASSERT_TRUE(eventually([&] { return queue.stats().has_value() || value(*metrics, "setget_redis_unreachable_servers") == 0; }));
    EXPECT_EQ(value(*metrics, "setget_redis_unreachable_servers"), 0);
    EXPECT_GE(value(*metrics, "setget_redis_reconnects_total"), 1);
    EXPECT_GE(value(*metrics, "setget_redis_connections"), 1);
  }
  EXPECT_EQ(value(*metrics, "setget_redis_connections"), 0) << "all are closed with the last owner";
}

TEST(RedisTelemetry, waits_for_replicas_are_told) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer master;
  redis_test::RedisServer replica({.arguments = {"--replicaof", "127.0.0.1", std::to_string(master.port())}});
  ASSERT_TRUE(eventually([&] { return master.cli({"INFO", "replication"}).find("state=online") != std::string::npos; }));
  const auto metrics = std::make_shared<PrometheusMetrics>();
  redis::Options options;
  options.uri = master.uri();
  options.wait_replicas = 1;
  options.wait_timeout = Milliseconds(4'000);  // also what a replica has for its answer on a machine with other work
  options.metrics = metrics;
  auto db = redis::open(std::move(options)).value();
  auto queue = db.queue("q").value();
  EXPECT_GE(value(*metrics, "setget_redis_wait_seconds_count"), 1);
  EXPECT_EQ(value(*metrics, "setget_redis_unconfirmed_total"), -1);
  replica.pause();
  EXPECT_FALSE(queue.send(OutgoingMessage()).has_value());
  EXPECT_EQ(value(*metrics, "setget_redis_unconfirmed_total"), 1);
  replica.resume();
}

}  // namespace
