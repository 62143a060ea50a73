// kill -9 of a pipeline whose records are in Redis, with its queue in a file or in Redis too; and of the Redis server under it.
// SETGET_CRASH_ROUNDS=N for the long form.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <ostream>

#include "crash/kill_rounds.hpp"
#include "crash/oracle.hpp"
#include "crash/temporary_folder.hpp"
#include "crash/victim_process.hpp"
#include "support/redis_server.hpp"

#include <setget/testing/clock.hpp>

namespace {

using namespace setget;
using crash::Oracle;
using crash::Place;
using setget::testing::SeededRandom;

redis_test::ServerOptions that_loses_nothing() { return {.arguments = {"--appendonly", "yes", "--appendfsync", "always"}}; }

redis_test::RedisServer& server() {
  static redis_test::RedisServer one(that_loses_nothing());
  return one;
}
redis_test::SentinelGroup& sentinels() {
  static redis_test::SentinelGroup group;
  return group;
}
redis_test::ClusterGroup& cluster() {
  static redis_test::ClusterGroup group;
  return group;
}

struct Layout {
  const char* name;
  std::string (*uri)();
  std::uint32_t parts;
  bool redis_queue;
  std::uint64_t rounds;   // of the CI form
  std::uint64_t percent;  // of the long form's
};
void PrintTo(const Layout& layout, std::ostream* out) { *out << layout.name; }

Place fresh_place(const Layout& layout, const crash::TemporaryFolder& folder) {
  static int count = 0;
  return {.file = folder.path("crash.db"),
          .redis = layout.uri(),
          .prefix = "crash" + std::to_string(++count),
          .parts = layout.parts,
          .redis_queue = layout.redis_queue};
}

class RedisKill : public ::testing::TestWithParam<Layout> {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
  static crash::FreshPlace places() {
    const auto folder = std::make_shared<std::unique_ptr<crash::TemporaryFolder>>();
    return [folder] {
      *folder = std::make_unique<crash::TemporaryFolder>();
      return fresh_place(GetParam(), **folder);
    };
  }
  static std::uint64_t many(std::uint64_t share) {
    return std::max<std::uint64_t>(1, crash::rounds(GetParam().rounds, GetParam().percent) / share);
  }
};

TEST_P(RedisKill, nothing_acknowledged_is_lost_when_producers_and_worker_die_together) { crash::kill_everything(places(), many(1)); }
TEST_P(RedisKill, nothing_acknowledged_is_lost_when_only_the_worker_dies) { crash::kill_worker(places(), many(4)); }
TEST_P(RedisKill, the_archive_is_complete_when_an_archiver_has_died) { crash::kill_archiver(places(), many(4)); }

INSTANTIATE_TEST_SUITE_P(Layouts, RedisKill,
                         ::testing::Values(Layout{"queue_in_file", [] { return server().uri(); }, 1, false, 40, 50},
                                           Layout{"queue_in_redis", [] { return server().uri(); }, 1, true, 40, 50},
                                           Layout{"many_parts", [] { return server().uri(); }, 16, true, 20, 20},
                                           Layout{"sentinel", [] { return sentinels().uri(); }, 1, true, 10, 10},
                                           Layout{"cluster_queue_in_file", [] { return cluster().uri(); }, 16, false, 10, 10},
                                           Layout{"cluster_queue_in_redis", [] { return cluster().uri(); }, 16, true, 10, 10}),
                         [](const auto& test) { return std::string(test.param.name); });

// --- the server itself ------------------------------------------------------------------------------------------------------------

constexpr auto kLongest = std::chrono::seconds(20);

class RedisServerKill : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
};

bool answers(redis_test::RedisServer& one) {
  return redis_test::eventually([&] { return one.cli({"PING"}) == "PONG"; });
}

// Each round a pipeline runs, the server dies under it and comes back, and the pipeline goes on or dies with it.
TEST_P(RedisServerKill, everything_acknowledged_is_applied_once_it_is_back) {
  SeededRandom random(GetParam() ? 31 : 37);
  redis_test::RedisServer one(that_loses_nothing());
  const crash::TemporaryFolder folder;
  const Place place{.file = folder.path("crash.db"), .redis = one.uri(), .prefix = "p", .parts = 1, .redis_queue = GetParam()};
  Oracle oracle;
  std::uint64_t outlived = 0;
  const auto many = crash::rounds(12, 10);
  for (std::uint64_t round = 0; round < many; ++round) {
    crash::VictimProcess victim("patient", place, (round + 1) * 1'000'000, round);
    const auto take = [&](std::string_view line) {
      if (line != "R") {
        EXPECT_TRUE(oracle.line(line)) << line;
      }
      return true;
    };
    const auto lines = [&](std::uint64_t count) {
      return victim.read_lines([&](std::string_view line) { return take(line) && --count > 0; }, kLongest);
    };
    ASSERT_TRUE(lines(1 + random.next() % 60)) << "round " << round;
    victim.read_lines(take, std::chrono::microseconds(random.next() % 3'000));
    one.kill();
    victim.read_lines(take, std::chrono::microseconds(random.next() % 50'000));
    one.start();
    ASSERT_TRUE(answers(one));
    if (random.next() % 2 == 0) {
      const auto before = oracle.acknowledged();
      ASSERT_TRUE(lines(40)) << "round " << round << ": the pipeline does not go on";
      outlived += oracle.acknowledged() - before;
    }
    ASSERT_EQ(victim.kill(take), "") << "round " << round;
    const auto pipeline = crash::open_pipeline(place).value();
    ASSERT_EQ(oracle.check(*pipeline), "") << "round " << round;
  }
  EXPECT_GT(outlived, 0u);
}

INSTANTIATE_TEST_SUITE_P(Queues, RedisServerKill, ::testing::Bool(),
                         [](const auto& test) { return std::string(test.param ? "queue_in_redis" : "queue_in_file"); });

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The first commands of the last script that put a group into the hash `c`, as a killed server leaves them: the last one is not whole.
std::string torn_script(const std::string& log) {
  const auto group = log.rfind(":records:c\r\n");
  if (group == std::string::npos) return {};
  const auto start = log.rfind("*1\r\n$5\r\nMULTI\r\n", group);
  const auto next = log.find("\r\n*", group);
  return start == std::string::npos || next == std::string::npos ? std::string() : log.substr(start, next + 8 - start);
}

// redis.md: with aof-load-truncated the second start would carry those commands out, and the group would wait for a lease that nobody has.
TEST(RedisServerKill, a_script_that_the_append_only_file_ends_in_was_never_carried_out) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer one(that_loses_nothing());
  const crash::TemporaryFolder folder;
  const Place place{.file = folder.path("crash.db"), .redis = one.uri(), .prefix = "p", .parts = 1, .redis_queue = true};
  const auto log = std::filesystem::path(one.folder()) / "appendonlydir" / "appendonly.aof.1.incr.aof";
  Oracle oracle;
  const auto set = [&](Pipeline& pipeline, std::uint64_t n) {
    oracle.acknowledged_set(0, n, pipeline.set(crash::request_of(0, n)).value().version);
  };
  {
    const auto pipeline = crash::open_pipeline(place).value();
    set(*pipeline, 1);
    set(*pipeline, 2);
    ASSERT_EQ(oracle.check(*pipeline), "");
  }
  one.kill();
  const auto torn = torn_script(text_of(log));
  ASSERT_NE(torn, "");
  std::ofstream(log, std::ios::binary | std::ios::app) << torn;
  one.start();
  ASSERT_TRUE(answers(one));
  {
    const auto pipeline = crash::open_pipeline(place).value();
    set(*pipeline, 3);
    // Whoever received it died with the server.
    ASSERT_EQ(Queue(pipeline->options().queue).receive().value().size(), 1u);
  }
  one.kill();
  one.start();
  ASSERT_TRUE(answers(one));
  EXPECT_EQ(oracle.check(*crash::open_pipeline(place).value()), "");
}

// The oracle's silence above means something: with a server that keeps nothing it speaks.
TEST(RedisServerKill, a_server_that_forgets_is_found_out) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer one;
  const crash::TemporaryFolder folder;
  const Place place{.file = folder.path("crash.db"), .redis = one.uri(), .prefix = "p", .parts = 1};
  Oracle oracle;
  {
    const auto pipeline = crash::open_pipeline(place).value();
    for (std::uint64_t n = 1; n <= 20; ++n) {
      const int identity = static_cast<int>(n) % crash::kIdentities;
      oracle.acknowledged_set(identity, n, pipeline->set(crash::request_of(identity, n)).value().version);
    }
    ASSERT_EQ(oracle.check(*pipeline), "");
  }
  one.kill();
  one.start();
  ASSERT_TRUE(answers(one));
  EXPECT_NE(oracle.check(*crash::open_pipeline(place).value()).find("lost"), std::string::npos);
}

}  // namespace
