// Runs the conformance kit over Redis: one server, one server whose store has several parts, a master that sentinels watch, a cluster.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "conformance/redis_backends.hpp"
#include "support/redis_server.hpp"

namespace {

std::unique_ptr<redis_test::RedisServer> standalone;
std::unique_ptr<redis_test::SentinelGroup> watched;
std::unique_ptr<redis_test::ClusterGroup> cluster;

template <class Servers, class... Arguments>
Servers& started(std::unique_ptr<Servers>& servers, const Arguments&... arguments) {
  if (servers == nullptr) servers = std::make_unique<Servers>(arguments...);
  return *servers;
}

}  // namespace

int main(int argc, char** argv) {
  using setget::testing::register_conformance;
  using setget_tests::redis_backend;
  ::testing::InitGoogleTest(&argc, argv);
  if (const auto missing = redis_test::missing_programs(); !missing.empty()) {
    std::fprintf(stderr, "%s\n", missing.c_str());
    const char* ci = std::getenv("CI");
    return ci != nullptr && std::string(ci) == "true" ? 1 : 77;
  }
  const auto on_server = [] { return started(standalone).uri(); };
  const auto on_watched = [] { return started(watched, redis_test::kNoneDies).uri(); };
  const auto on_cluster = [] { return started(cluster, 6, 1, std::vector<std::string>{}, redis_test::kNoneDies).uri(); };
  register_conformance(redis_backend({.name = "redis", .uri = on_server}));
  const auto with_resp3 = [] { return started(standalone).uri("?protocol=3"); };
  register_conformance(redis_backend({.name = "redis_parts", .uri = with_resp3, .shards = 16}));
  // Where there is a replica it is waited for.
  register_conformance(redis_backend({.name = "redis_sentinel", .uri = on_watched, .wait_replicas = 1}));
  register_conformance(redis_backend({.name = "redis_cluster", .uri = on_cluster, .shards = 64, .wait_replicas = 1}));
  register_conformance(redis_backend({.name = "redis_cached", .uri = on_server, .cached = true}));
  // Every body through the codec, and dictionaries as soon as may be.
  const setget::redis::CodecOptions codec{.enabled = true, .min_bytes = 1, .max_percent = 100, .sample_records = 10};
  if (codec.validate()) {
    register_conformance(redis_backend({.name = "redis_codec", .uri = on_server, .codec = codec}));
    register_conformance(redis_backend({.name = "redis_codec_parts", .uri = on_server, .shards = 16, .codec = codec}));
    register_conformance(redis_backend({.name = "redis_sentinel_codec_cached", .uri = on_watched, .codec = codec, .cached = true}));
    register_conformance(
        redis_backend({.name = "redis_cluster_codec_cached", .uri = on_cluster, .shards = 64, .codec = codec, .cached = true}));
  } else {
    register_conformance(redis_backend({.name = "redis_cluster_cached", .uri = on_cluster, .shards = 64, .cached = true}));
  }
  const int failed = RUN_ALL_TESTS();
  standalone.reset();
  watched.reset();
  cluster.reset();
  return failed;
}
