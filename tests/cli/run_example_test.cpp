// examples/run on real Redis servers: the same script, only the URI differs.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

#include "support/redis_server.hpp"

namespace {

void expect_success(const std::string& uri) {
  ::setenv("SETGET_BUILD_DIR", SETGET_BUILD, 1);
  int status = -1;
  const auto out = redis_test::run({"bash", SETGET_SOURCE "/examples/run", "--store", uri}, &status);
  EXPECT_EQ(status, 0) << out;
  EXPECT_NE(out.find("All is as it must be."), std::string::npos) << out;
  EXPECT_NE(out.find("of store and archive are equal"), std::string::npos) << out;
  EXPECT_NE(out.find("read through   "), std::string::npos) << out;
  EXPECT_NE(out.find("restored       "), std::string::npos) << out;
}

TEST(RunExample, on_one_server_and_its_socket) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer server;
  server.cli({"SET", "setget-running:other", "somebody else's"});
  expect_success(server.uri());
  expect_success("unix://" + server.socket_path());
  EXPECT_EQ(server.cli({"KEYS", "*"}), "setget-running:other") << "it cleans up what it made, and nothing else";
}

TEST(RunExample, on_a_cluster) {
  SETGET_REQUIRE_REDIS();
  redis_test::ClusterGroup cluster;
  ASSERT_TRUE(redis_test::eventually([&] { return cluster.healthy(); }));
  expect_success(cluster.uri());
  for (auto* master : cluster.masters()) EXPECT_EQ(master->cli({"DBSIZE"}), "0");
}

TEST(RunExample, on_a_master_with_sentinels) {
  SETGET_REQUIRE_REDIS();
  redis_test::SentinelGroup group;
  ASSERT_TRUE(redis_test::eventually([&] { return group.healthy(); }));
  expect_success(group.uri());
}

}  // namespace
