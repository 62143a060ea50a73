// The same where the records are in Redis and the archive on MongoDB. SETGET_CRASH_ROUNDS=N for the long form.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "crash/kill_rounds.hpp"
#include "crash/temporary_folder.hpp"
#include "support/mongo_server.hpp"
#include "support/redis_server.hpp"

namespace {

using mongo_test::Kind;
using mongo_test::MongoServer;

class MongoHistoryKill : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    SETGET_REQUIRE_MONGO(GetParam());
  }
};

TEST_P(MongoHistoryKill, the_past_is_what_it_was_when_everything_died_together) {
  const bool slow = GetParam() == Kind::kFerret;
  if (slow && std::getenv("SETGET_CRASH_ROUNDS") == nullptr) {
    GTEST_SKIP()
        << "FerretDB v1.23 has no index of what an array holds: each get of the past by key reads all states; the long form has it";
  }
  redis_test::RedisServer redis;
  MongoServer mongo(GetParam());
  const auto folder = std::make_shared<std::unique_ptr<crash::TemporaryFolder>>();
  const auto fresh = [&] {
    *folder = std::make_unique<crash::TemporaryFolder>();
    const auto options = mongo.options();
    return crash::Place{.file = (*folder)->path("crash.db"),
                        .redis = redis.uri(),
                        .prefix = options.collection,
                        .parts = 1,
                        .archive = options.uri,
                        .collection = options.collection,
                        .history = true};
  };
  // As in mongo_kill_test.cpp: FerretDB v1.23 goes on with what a dead process sent.
  const auto after_kill = [&] {
    if (GetParam() != Kind::kFerret) return;
    mongo.kill();
    mongo.start();
  };
  crash::kill_with_history(fresh, crash::rounds(6, slow ? 5 : 100), 40, after_kill);
}

INSTANTIATE_TEST_SUITE_P(Servers, MongoHistoryKill, ::testing::ValuesIn(mongo_test::kinds()),
                         [](const auto& test) { return mongo_test::name_of(test.param); });

}  // namespace
