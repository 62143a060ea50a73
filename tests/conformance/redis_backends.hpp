// Redis for the conformance kit: one server (or group of servers) for all tests of a program, a prefix of its own for each test.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <setget/redis.hpp>
#include <setget/testing/conformance.hpp>

namespace setget_tests {

// `uri` is asked once, when the first test runs: starting servers takes a while. `cached`: with the read cache on; stores that share the
// content see each other's changes a moment later then, so that is not asked of them.
setget::testing::ConformanceParams redis_backend(std::string name, std::function<std::string()> uri, std::uint32_t shards,
                                                 const setget::redis::CodecOptions& codec = {}, bool cached = false);

}  // namespace setget_tests
