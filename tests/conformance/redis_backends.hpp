// Redis for the conformance kit: one server (or group of servers) for all tests of a program, a prefix of its own for each test.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <setget/redis.hpp>
#include <setget/testing/conformance.hpp>

namespace setget_tests {

struct RedisBackend {
  std::string name{};
  std::function<std::string()> uri{};  // asked when the first test runs: starting servers takes a while
  std::uint32_t shards = 0;
  setget::redis::CodecOptions codec{};
  // With the read cache on. Stores that share the content see each other's changes a moment later then, so that is not asked of them.
  bool cached = false;
  std::uint32_t wait_replicas = 0;
};

// Opened as hosts do it: with redis::open().
setget::testing::ConformanceParams redis_backend(RedisBackend backend);

}  // namespace setget_tests
