#include "conformance/redis_backends.hpp"

#include <atomic>
#include <utility>

#include "redis/place.hpp"
#include "redis/store.hpp"
#include "support/redis_server.hpp"

namespace setget_tests {

using setget::Result;
using setget::testing::ConformanceParams;
using setget::testing::Environment;
using setget::testing::Stores;

namespace {

// Until a get is answered by the cache, so that the tests meet it.
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

ConformanceParams redis_backend(std::string name, std::function<std::string()> uri, std::uint32_t shards,
                                const setget::redis::CodecOptions& codec, bool cached) {
  const auto open = [uri = std::move(uri), shards, codec, cached](const Environment& environment,
                                                                  const std::shared_ptr<void>& place) -> Result<Stores> {
    setget::redis::Options options;
    options.uri = uri();
    options.prefix = *std::static_pointer_cast<std::string>(place);
    options.shards = shards;
    options.codec = codec;
    options.clock = environment.clock;
    options.random = environment.random;
    options.cache.enabled = cached;
    auto opened = setget::redis::Place::open(std::move(options));
    if (!opened) return std::move(opened).error();
    auto store = setget::redis::make_key_store(*std::move(opened));
    if (cached) warm(*store);
    return Stores{
        .queues = nullptr, .key_store = setget::KeyStore(std::move(store)), .archive = nullptr, .schedules = nullptr, .place = place};
  };
  ConformanceParams params;
  params.name = std::move(name);
  params.make = [open, name = params.name](const Environment& environment) {
    static std::atomic<unsigned> tests{0};
    return open(environment, std::make_shared<std::string>(name + "." + std::to_string(++tests)));
  };
  params.reopen = open;
  if (!cached) params.share = open;
  params.queue = false;
  params.archive = false;
  params.schedules = false;
  params.deviations.fused = "queue and key store do not share a transaction";
  return params;
}

}  // namespace setget_tests
