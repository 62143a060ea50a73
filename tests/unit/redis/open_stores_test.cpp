// What a configuration makes of Redis URIs, on real servers.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <set>
#include <sstream>
#include <string>

#include "support/redis_server.hpp"

#include <setget/config.hpp>
#include <setget/pipeline.hpp>

namespace setget {
namespace {

// A folder of its own, which is the current one while the test runs: default paths are relative.
class OpenRedis : public ::testing::Test {
 protected:
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    before_ = std::filesystem::current_path();
    std::filesystem::current_path(folder_.path());
  }
  void TearDown() override {
    if (!before_.empty()) std::filesystem::current_path(before_);
  }
  static Config with_store(const std::string& uri) {
    Config config;
    config.store = uri;
    return config;
  }

 private:
  redis_test::TemporaryFolder folder_;
  std::filesystem::path before_;
};

TEST_F(OpenRedis, records_are_queued_in_a_file_which_holds_archive_and_schedules_too) {
  redis_test::RedisServer server;
  const auto config = with_store(server.uri());
  auto stores = open_stores(config);
  ASSERT_TRUE(stores) << stores.error().describe();
  EXPECT_TRUE(std::filesystem::exists("setget-queue.db"));
  EXPECT_EQ(stores->queue.backend()->capabilities().durability, Durability::kDisk);
  EXPECT_EQ(stores->durability, Durability::kMemory);
  EXPECT_NE(stores->archive, nullptr);
  EXPECT_NE(stores->schedules, nullptr);
  EXPECT_EQ(stores->summary, "store " + config.store + " (memory), queue sqlite:setget-queue.db (disk), archive sqlite:setget-queue.db");
  // A plain Redis was named on purpose: the pipeline takes what it promises.
  auto pipeline = Pipeline::create(pipeline_options(config, *stores));
  ASSERT_TRUE(pipeline) << pipeline.error().describe();
  EXPECT_EQ((*pipeline)->options().durability, Durability::kMemory);
}

TEST_F(OpenRedis, the_queue_stays_in_its_file_where_the_server_syncs_every_write) {
  redis_test::RedisServer server({.arguments = {"--appendonly", "yes", "--appendfsync", "always"}});
  const auto stores = open_stores(with_store(server.uri()));
  ASSERT_TRUE(stores) << stores.error().describe();
  EXPECT_TRUE(std::filesystem::exists("setget-queue.db"));
  EXPECT_NE(stores->archive, nullptr);
  EXPECT_EQ(stores->summary.find("(memory)"), std::string::npos) << stores->summary;
}

TEST_F(OpenRedis, a_queue_on_redis_is_had_by_naming_it) {
  redis_test::RedisServer server;
  auto config = with_store(server.uri());
  config.queue = server.uri();
  const auto stores = open_stores(config);
  ASSERT_TRUE(stores) << stores.error().describe();
  EXPECT_FALSE(std::filesystem::exists("setget-queue.db"));
  EXPECT_EQ(stores->archive, nullptr);  // Redis has none
  EXPECT_NE(stores->schedules, nullptr);
  config.archive = "sqlite:archive.db";
  const auto archived = open_stores(config);
  ASSERT_TRUE(archived) << archived.error().describe();
  EXPECT_NE(archived->archive, nullptr);
  EXPECT_NE(archived->summary.find("archive sqlite:archive.db"), std::string::npos) << archived->summary;
}

TEST_F(OpenRedis, every_scheme_is_known) {
  redis_test::RedisServer server;
  redis_test::RedisServer encrypted({.tls = true});
  for (const auto& uri : {server.uri(), encrypted.uri(), "unix://" + server.socket_path()}) {
    const auto stores = open_stores(with_store(uri));
    ASSERT_TRUE(stores) << uri << ' ' << stores.error().describe();
    EXPECT_TRUE(stores->key_store.backend()->identity()) << uri;
  }
  // Nobody is there: which is no error, because Redis may come back.
  for (const char* scheme : {"redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"}) {
    const auto sentinel = std::string(scheme).find("sentinel") != std::string::npos;
    const auto uri = std::string(scheme) + "://127.0.0.1:1" + (sentinel ? "/main" : "") + "?connect_timeout=50ms";
    const auto stores = open_stores(with_store(uri));
    EXPECT_TRUE(stores) << uri << ' ' << stores.error().describe();
  }
}

// What a running pipeline tells of this store and queue.
std::set<std::string> told(const std::string& uri) {
  Config config;
  config.store = uri;
  config.queue = uri;
  config.archive = "none";
  const auto metrics = std::make_shared<PrometheusMetrics>();
  const auto stores = open_stores(config, nullptr, nullptr, metrics).value();
  auto options = pipeline_options(config, stores);
  options.metrics = metrics;
  options.maintenance_interval = Milliseconds(10);
  auto pipeline = Pipeline::create(std::move(options)).value();
  pipeline->start().value();
  const auto receipt = pipeline->set({.keys = {"k"}, .account = "acme", .flow = "orders", .payload = Payload(std::string("1"))}).value();
  (void)pipeline->wait(receipt, Deadline::in(Milliseconds(10'000))).value();
  const auto names = [&] {
    std::set<std::string> found;
    std::istringstream lines(metrics->expose());
    for (std::string line; std::getline(lines, line);) {
      const auto name = line.substr(0, line.find_first_of("{ "));
      const bool gauge = !name.ends_with("_total");  // a counter is there once it has counted
      if (gauge && (name.starts_with("setget_queue_") || name.starts_with("setget_store_"))) found.insert(name);
    }
    return found;
  };
  // The last of each.
  EXPECT_TRUE(redis_test::eventually([&] {
    const auto found = names();
    return found.contains("setget_store_floor_timestamp_seconds") && found.contains("setget_queue_oldest_age_seconds");
  }));
  return names();
}

TEST_F(OpenRedis, a_pipeline_on_redis_tells_what_one_on_a_file_tells) {
  redis_test::RedisServer server;
  const auto of_file = told("sqlite:both.db");
  const auto of_redis = told(server.uri());
  EXPECT_TRUE(of_file.contains("setget_queue_oldest_age_seconds"));
  EXPECT_EQ(of_redis, of_file);
}

TEST_F(OpenRedis, what_the_uri_and_the_section_say_wrong_is_refused_at_once) {
  redis_test::RedisServer server;
  server.cli({"CONFIG", "SET", "requirepass", "right"});
  auto stores = open_stores(with_store(server.uri("", ":wrong@")));
  ASSERT_FALSE(stores);
  EXPECT_EQ(stores.error().field(), "store");
  EXPECT_EQ(stores.error().describe().find(":wrong"), std::string::npos) << stores.error().describe();
  stores = open_stores(with_store("redis://127.0.0.1:1?colour=red"));
  ASSERT_FALSE(stores);
  EXPECT_EQ(stores.error().code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace setget
