#include "conformance/redis_backends.hpp"

#include <atomic>
#include <utility>

#include "redis/store.hpp"
#include "support/redis_server.hpp"

namespace setget_tests {

using setget::Result;
using setget::testing::ConformanceParams;
using setget::testing::Environment;
using setget::testing::Stores;

namespace {

// Until a get is answered by the cache, so that the tests meet it. The one look behind the public door: nothing else tells at once.
void warm(setget::KeyStoreBackend& backend) {
  auto& store = dynamic_cast<setget::redis::RedisStore&>(backend);
  const std::string_view nobody = "nobody";
  const auto warmed = redis_test::eventually([&] {
    (void)store.get({.ns = "warm", .keys = {&nobody, 1}, .now = {}});
    return store.cache_counts() && store.cache_counts()->hits > 0;
  });
  if (!warmed) ADD_FAILURE() << "the cache never answered";
}

}  // namespace

ConformanceParams redis_backend(RedisBackend backend) {
  const auto open = [backend](const Environment& environment, const std::shared_ptr<void>& place) -> Result<Stores> {
    setget::redis::Options options;
    options.uri = backend.uri();
    options.prefix = *std::static_pointer_cast<std::string>(place);
    options.shards = backend.shards;
    options.wait_replicas = backend.wait_replicas;
    options.wait_timeout = setget::Milliseconds(4'000);  // a busy machine may halt the replica for longer than the default
    options.codec = backend.codec;
    options.clock = environment.clock;
    options.random = environment.random;
    options.cache.enabled = backend.cached;
    auto opened = setget::redis::open(std::move(options));
    if (!opened) return std::move(opened).error();
    auto store = opened->key_store();
    if (backend.cached) warm(*store.backend());
    return Stores{.queues = nullptr, .key_store = std::move(store), .archive = nullptr, .schedules = nullptr, .place = place};
  };
  ConformanceParams params;
  params.name = backend.name;
  params.make = [open, name = backend.name](const Environment& environment) {
    static std::atomic<unsigned> tests{0};
    return open(environment, std::make_shared<std::string>(name + "." + std::to_string(++tests)));
  };
  params.reopen = open;
  if (!backend.cached) params.share = open;
  params.queue = false;
  params.archive = false;
  params.schedules = false;
  params.deviations.fused = "queue and key store do not share a transaction";
  return params;
}

}  // namespace setget_tests
