#include "conformance/redis_backends.hpp"

#include <atomic>
#include <utility>

#include "redis/place.hpp"
#include "redis/store.hpp"

namespace setget_tests {

using setget::Result;
using setget::testing::ConformanceParams;
using setget::testing::Environment;
using setget::testing::Stores;

ConformanceParams redis_backend(std::string name, std::function<std::string()> uri, std::uint32_t shards,
                                const setget::redis::CodecOptions& codec) {
  const auto open = [uri = std::move(uri), shards, codec](const Environment& environment,
                                                          const std::shared_ptr<void>& place) -> Result<Stores> {
    setget::redis::Options options;
    options.uri = uri();
    options.prefix = *std::static_pointer_cast<std::string>(place);
    options.shards = shards;
    options.codec = codec;
    options.clock = environment.clock;
    options.random = environment.random;
    auto opened = setget::redis::Place::open(std::move(options));
    if (!opened) return std::move(opened).error();
    return Stores{.queues = nullptr,
                  .key_store = setget::KeyStore(setget::redis::make_key_store(*std::move(opened))),
                  .archive = nullptr,
                  .schedules = nullptr,
                  .place = place};
  };
  ConformanceParams params;
  params.name = std::move(name);
  params.make = [open, name = params.name](const Environment& environment) {
    static std::atomic<unsigned> tests{0};
    return open(environment, std::make_shared<std::string>(name + "." + std::to_string(++tests)));
  };
  params.reopen = open;
  params.share = open;
  params.queue = false;
  params.archive = false;
  params.schedules = false;
  params.deviations.fused = "queue and key store do not share a transaction";
  return params;
}

}  // namespace setget_tests
