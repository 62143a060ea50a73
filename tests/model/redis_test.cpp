// The models over real Redis servers: a store and a queue of one part on one server (where everything is exact) and on the master that
// sentinels watch; of sixteen parts on one server and on a cluster of six nodes. The servers are started once; each property has a prefix
// of its own, each of its sequences a namespace or a queue.
//
// What many parts promise less than one part, and how these properties meet it:
//   - a receive may make dead letters of messages whose turn would not have come yet (Parts::kSeveral); which ones, the queue is asked;
//   - receives of more than 32 messages take from one part after the other, not the oldest of all: the model asks for 4 at most;
//   - max_in_flight and statistics are of several moments: nothing else goes on here;
//   - the first stamp of a millisecond is not stamp_at() of it: the model asks only that stamps rise.
// Everything else holds as for one part.
#include <gtest/gtest.h>

#include "model/models.hpp"
#include "redis/place.hpp"
#include "redis/queue.hpp"
#include "redis/store.hpp"
#include "support/redis_server.hpp"

namespace setget_tests {
namespace {

using namespace setget;
using setget::testing::Environment;

redis_test::RedisServer& server() {
  static redis_test::RedisServer one;
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

struct Layout {
  const char* name;
  std::string (*uri)();
  std::uint32_t parts;
  int share;  // of the sequences, in percent: exchanges with a cluster take longer
};
void PrintTo(const Layout& layout, std::ostream* out) { *out << layout.name; }

ConformanceParams backend(const Layout& layout) {
  ConformanceParams params;
  params.name = layout.name;
  params.make = [layout](const Environment& environment) -> Result<setget::testing::Stores> {
    static int count = 0;
    redis::Options options;
    options.uri = layout.uri();
    options.prefix = "model" + std::to_string(++count);
    options.shards = options.partitions = layout.parts;
    options.clock = environment.clock;
    options.random = environment.random;
    auto place = redis::Place::open(std::move(options));
    if (!place) return std::move(place).error();
    setget::testing::Stores stores;
    stores.queues = redis::make_queues(*place);
    stores.key_store = KeyStore(redis::make_key_store(*std::move(place)));
    return stores;
  };
  return params;
}

class RedisModel : public ::testing::TestWithParam<Layout> {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
  static ConformanceParams store() { return backend(GetParam()); }
  static Parts parts() { return GetParam().parts == 1 ? Parts::kOne : Parts::kSeveral; }
  static int of(int cases) { return cases * GetParam().share / 100; }
};

TEST_P(RedisModel, key_store_agrees_with_the_reference_after_every_step) { key_store_agrees(store(), of(200)); }
TEST_P(RedisModel, log_rebuilds_the_state) { log_rebuilds_the_state(store(), of(60)); }
TEST_P(RedisModel, state_does_not_depend_on_the_order) { every_order_gives_the_same_state(store(), of(60)); }
TEST_P(RedisModel, fifo_queue_agrees_with_the_reference_after_every_step) { queue_agrees(store(), QueueKind::kFifo, of(200), parts()); }
TEST_P(RedisModel, standard_queue_agrees_with_the_reference_after_every_step) {
  queue_agrees(store(), QueueKind::kStandard, of(100), parts());
}
TEST_P(RedisModel, worker_ends_in_the_references_state_whatever_fails) { faults_do_not_show(store(), false, of(60)); }

INSTANTIATE_TEST_SUITE_P(Layouts, RedisModel,
                         ::testing::Values(Layout{"one_part", [] { return server().uri(); }, 1, 100},
                                           Layout{"sixteen_parts", [] { return server().uri(); }, 16, 100},
                                           Layout{"sentinel", [] { return sentinels().uri(); }, 1, 30},
                                           Layout{"cluster", [] { return cluster().uri(); }, 16, 30}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace setget_tests
