// kill -9 of an archiver whose archive is on MongoDB, and of the server under it. SETGET_CRASH_ROUNDS=N for the long form.
#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "crash/kill_rounds.hpp"
#include "crash/oracle.hpp"
#include "crash/temporary_folder.hpp"
#include "crash/victim_process.hpp"
#include "support/mongo_server.hpp"

#include <setget/testing/clock.hpp>

namespace {

using namespace setget;
using crash::Oracle;
using crash::Place;
using mongo_test::Kind;
using mongo_test::MongoServer;
using setget::testing::SeededRandom;

constexpr auto kLongest = std::chrono::seconds(60);

Place place_on(const MongoServer& server, const crash::TemporaryFolder& folder) {
  const auto options = server.options();
  return {.file = folder.path("crash.db"), .archive = options.uri, .collection = options.collection};
}

class MongoKill : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override { SETGET_REQUIRE_MONGO(GetParam()); }
};

TEST_P(MongoKill, the_archive_is_complete_when_an_archiver_has_died) {
  MongoServer server(GetParam());
  const crash::TemporaryFolder folder;
  // FerretDB v1.23 on SQLite looks and writes in two steps, and goes on with a bulk whose sender is dead: it could write over what the next
  // run wrote. So what is under way there ends with the server. Other servers need nothing of the kind.
  const auto after_kill = [&] {
    if (GetParam() != Kind::kFerret) return;
    server.kill();
    server.start();
  };
  crash::kill_archiver([&] { return place_on(server, folder); }, crash::rounds(20, 100), after_kill);
}

INSTANTIATE_TEST_SUITE_P(Servers, MongoKill, ::testing::ValuesIn(mongo_test::kinds()),
                         [](const auto& test) { return mongo_test::name_of(test.param); });

class MongoServerKill : public MongoKill {};

// The version of every document that the archive has.
std::map<std::string, Version> archived_versions(Pipeline& pipeline) {
  std::map<std::string, Version> versions;
  std::string cursor;
  do {
    const auto page = pipeline.options().archive->scan({.cursor = cursor}).value();
    for (const auto& item : page.items) versions[item.id] = item.version;
    cursor = page.next;
  } while (!cursor.empty());
  return versions;
}

// Each round an archiver runs, the server dies under it and comes back with what was on its disk; the archiver goes on, or dies with it.
TEST_P(MongoServerKill, the_next_run_makes_the_archive_complete_and_no_record_older) {
  MongoServer server(GetParam());
  const crash::TemporaryFolder folder;
  const auto place = place_on(server, folder);
  const auto pipeline = crash::open_pipeline(place).value();
  SeededRandom random(41);
  Oracle oracle;
  std::map<std::string, Version> before;
  std::uint64_t n = 1;
  std::uint64_t outlived = 0;
  const auto many = crash::rounds(6, 100);
  for (std::uint64_t round = 0; round < many; ++round) {
    crash::VictimProcess archiver("patient-archive", place, 0, round);
    const auto nothing = [](std::string_view) { return true; };
    ASSERT_TRUE(archiver.read_lines([](std::string_view line) { return line != "R"; }, kLongest)) << "round " << round;
    for (int i = 0; i < 60; ++i, ++n) {
      const int identity = static_cast<int>(random.next() % crash::kIdentities);
      if (random.next() % 6 == 0) {
        EraseRequest erase;
        erase.id = crash::id_of(identity);
        oracle.acknowledged_erase(identity, pipeline->erase(std::move(erase)).value().version);
      } else {
        oracle.acknowledged_set(identity, n, pipeline->set(crash::request_of(identity, n)).value().version);
      }
      if (i % 10 == 9) {
        ASSERT_TRUE(pipeline->run_once());
      }
    }
    archiver.read_lines(nothing, std::chrono::microseconds(random.next() % 20'000));
    server.kill();
    archiver.read_lines(nothing, std::chrono::microseconds(random.next() % 100'000));
    server.start();
    if (random.next() % 2 == 0) {
      // The second run that it reports began after the server was back.
      int runs = 0;
      ASSERT_TRUE(archiver.read_lines([&](std::string_view line) { return line != "A" || ++runs < 2; }, kLongest))
          << "round " << round << ": the archiver does not go on";
      ++outlived;
    }
    ASSERT_EQ(archiver.kill(nothing), "") << "round " << round;
    ASSERT_EQ(oracle.check(*pipeline), "") << "round " << round;
    const auto ran = pipeline->archiver()->run();
    ASSERT_TRUE(ran) << "round " << round << ": " << ran.error().describe();
    const auto verified = pipeline->archiver()->verify({.deep = true}).value();
    ASSERT_TRUE(verified.equal()) << "round " << round << ": " << verified.differences.at(0).id << " " << verified.differences.at(0).detail;
    auto after = archived_versions(*pipeline);
    for (const auto& [id, version] : before) ASSERT_GE(after[id], version) << "round " << round << ": " << id;
    before = std::move(after);
  }
  EXPECT_GT(outlived, 0u);
}

INSTANTIATE_TEST_SUITE_P(Servers, MongoServerKill, ::testing::ValuesIn(mongo_test::own_kinds()),
                         [](const auto& test) { return mongo_test::name_of(test.param); });

}  // namespace
