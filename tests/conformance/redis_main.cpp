// Runs the conformance kit over Redis: one server, one server whose store has several parts, a master that sentinels watch, a cluster.
#include <gtest/gtest.h>

#include <memory>

#include "conformance/redis_backends.hpp"
#include "support/redis_server.hpp"

namespace {

std::unique_ptr<redis_test::RedisServer> standalone;
std::unique_ptr<redis_test::SentinelGroup> watched;
std::unique_ptr<redis_test::ClusterGroup> cluster;

template <class Servers>
Servers& started(std::unique_ptr<Servers>& servers) {
  if (servers == nullptr) servers = std::make_unique<Servers>();
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
  register_conformance(redis_backend(
      "redis", [] { return started(standalone).uri(); }, 0));
  register_conformance(redis_backend(
      "redis_parts", [] { return started(standalone).uri(); }, 16));
  register_conformance(redis_backend(
      "redis_sentinel", [] { return started(watched).uri(); }, 0));
  register_conformance(redis_backend(
      "redis_cluster", [] { return started(cluster).uri(); }, 64));
  // Every body through the codec, and dictionaries as soon as may be.
  const setget::redis::CodecOptions codec{.enabled = true, .min_bytes = 1, .max_percent = 100, .sample_records = 10};
  if (codec.validate()) {
    register_conformance(redis_backend(
        "redis_codec", [] { return started(standalone).uri(); }, 0, codec));
    register_conformance(redis_backend(
        "redis_codec_parts", [] { return started(standalone).uri(); }, 16, codec));
  }
  register_conformance(redis_backend(
      "redis_cached", [] { return started(standalone).uri(); }, 0, {}, true));
  register_conformance(redis_backend(
      "redis_cluster_cached", [] { return started(cluster).uri(); }, 64, {}, true));
  const int failed = RUN_ALL_TESTS();
  standalone.reset();
  watched.reset();
  cluster.reset();
  return failed;
}
