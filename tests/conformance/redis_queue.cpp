// Runs the conformance kit's queue suite on real servers: one server, the master that sentinels watch, and a cluster. Servers are started
// once for all tests; each test has a prefix of its own.
//
//   redis, sentinel, cluster      one part: everything is exact
//   sentinel, cluster_parts       what is written is waited for until a replica has it
//   redis_parts, cluster_parts    sixteen parts. One test does not hold there and is left out: that the first stamp of a millisecond is
//                                 stamp_at() of it. Stamps of part p are p modulo 16.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

#include "support/redis_server.hpp"

#include <setget/redis.hpp>
#include <setget/testing/conformance.hpp>

namespace {

using setget::Result;
using setget::testing::ConformanceParams;
using setget::testing::Environment;
using setget::testing::Stores;

redis_test::RedisServer& server() {
  static redis_test::RedisServer one({.arguments = {"--appendonly", "yes", "--appendfsync", "always"}});
  return one;
}
redis_test::SentinelGroup& sentinels() {
  static redis_test::SentinelGroup group(redis_test::kNoneDies);
  return group;
}
redis_test::ClusterGroup& cluster() {
  static redis_test::ClusterGroup group(6, 1, {}, redis_test::kNoneDies);
  return group;
}

// As hosts do it: with redis::open().
Result<Stores> open(const Environment& environment, std::string uri, std::uint32_t partitions, std::uint32_t replicas,
                    const std::shared_ptr<std::string>& prefix) {
  setget::redis::Options options;
  options.uri = std::move(uri);
  options.prefix = *prefix;
  options.partitions = partitions;
  options.clock = environment.clock;
  // Not the environment's: two openings must not draw the same tokens.
  options.wait_replicas = replicas;
  options.wait_timeout = setget::Milliseconds(4'000);  // a busy machine may halt the replica for longer than the default
  auto database = setget::redis::open(std::move(options));
  if (!database) return std::move(database).error();
  Stores stores;
  stores.queues = database->queues();
  stores.place = prefix;
  return stores;
}

void add(const std::string& name, std::string (*uri)(), std::uint32_t partitions, std::uint32_t replicas = 0) {
  static std::atomic<int> count{0};
  ConformanceParams params;
  params.name = name;
  params.make = [=](const Environment& environment) {
    return open(environment, uri(), partitions, replicas, std::make_shared<std::string>("t" + std::to_string(++count)));
  };
  params.reopen = [=](const Environment& environment, const std::shared_ptr<void>& place) {
    return open(environment, uri(), partitions, replicas, std::static_pointer_cast<std::string>(place));
  };
  params.share = params.reopen;
  params.key_store = params.archive = params.schedules = false;
  setget::testing::register_conformance(std::move(params));
}

}  // namespace

int main(int argc, char** argv) {
  if (const auto missing = redis_test::missing_programs(); !missing.empty()) {
    const char* ci = std::getenv("CI");
    std::fprintf(stderr, "%s\n", missing.c_str());
    return ci != nullptr && std::string(ci) == "true" ? 1 : 0;
  }
  add(
      "redis", [] { return server().uri(); }, 1);
  add(
      "redis_parts", [] { return server().uri(); }, 16);
  add(
      "sentinel", [] { return sentinels().uri(); }, 1, 1);
  add(
      "cluster", [] { return cluster().uri(); }, 1);
  add(
      "cluster_parts", [] { return cluster().uri(); }, 16, 1);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
