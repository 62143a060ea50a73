// kill -9 at random points: of everything, of the worker alone, of the archiver alone. SETGET_CRASH_ROUNDS=N for the long form.
#include <gtest/gtest.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "crash/oracle.hpp"
#include "crash/temporary_folder.hpp"
#include "crash/victim_process.hpp"

#include <setget/testing/clock.hpp>

namespace {

using namespace setget;
using crash::Oracle;
using crash::TemporaryFolder;
using crash::VictimProcess;
using setget::testing::SeededRandom;
using std::chrono::microseconds;

std::uint64_t rounds = 200;

constexpr auto kLongest = std::chrono::seconds(20);

struct OpenFile {
  explicit OpenFile(const std::string& path) : database(sqlite::open({.path = path, .checkpoint_pages = 100}).value()) {
    pipeline = crash::make_pipeline(database).value();
  }
  sqlite::Database database;
  std::unique_ptr<Pipeline> pipeline;
};

TEST(Kill, nothing_acknowledged_is_lost_when_producers_and_worker_die_together) {
  SeededRandom random(20'240'501);
  std::optional<TemporaryFolder> folder;
  Oracle oracle;
  std::uint64_t acknowledged = 0;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    // A fresh file now and then, so that its making is hit as well.
    if (round % 20 == 0) {
      acknowledged += oracle.acknowledged();
      folder.emplace();
      oracle = Oracle();
    }
    const auto path = folder->path("crash.db");
    VictimProcess victim("all", path, (round + 1) * 1'000'000, round);
    auto lines = random.next() % 4 == 0 ? 0 : random.next() % 80;
    const auto take = [&](std::string_view line) {
      if (line == "R") return true;
      EXPECT_TRUE(oracle.line(line)) << line;
      return lines == 0 || --lines > 0;
    };
    // At a line, or some time after the start or after that line: between two lines there is much to hit.
    if (lines > 0) {
      ASSERT_TRUE(victim.read_lines(take, kLongest)) << "round " << round;
    }
    victim.read_lines(
        [&](std::string_view line) {
          take(line);
          return true;
        },
        microseconds(random.next() % (random.next() % 2 == 0 ? 25'000 : 3'000)));
    ASSERT_EQ(victim.kill(take), "") << "round " << round;

    OpenFile file(path);
    ASSERT_EQ(oracle.check(*file.pipeline), "") << "round " << round;
  }
  EXPECT_GT(acknowledged + oracle.acknowledged(), rounds * 5) << "the victims did nothing worth killing them for";
}

TEST(Kill, nothing_acknowledged_is_lost_when_only_the_worker_dies) {
  SeededRandom random(7);
  const TemporaryFolder folder;
  const auto path = folder.path("crash.db");
  OpenFile file(path);
  Oracle oracle;
  std::uint64_t n = 1;
  for (std::uint64_t round = 0; round < std::max<std::uint64_t>(rounds / 4, 1); ++round) {
    std::optional<Receipt> middle;
    for (int i = 0; i < 40; ++i, ++n) {
      const int identity = static_cast<int>(random.next() % crash::kIdentities);
      if (random.next() % 6 == 0) {
        EraseRequest erase;
        erase.id = crash::id_of(identity);
        oracle.acknowledged_erase(identity, file.pipeline->erase(std::move(erase)).value().version);
      } else {
        const auto receipt = file.pipeline->set(crash::request_of(identity, n)).value();
        oracle.acknowledged_set(identity, n, receipt.version);
        if (!middle || random.next() % 3 == 0) middle = receipt;
      }
    }
    VictimProcess worker("work", path, 0, round);
    const auto nothing = [](std::string_view) { return true; };
    if (middle) {
      const auto status = file.pipeline->wait(*middle, Deadline::in(kLongest)).value();
      ASSERT_NE(status.outcome, Outcome::kPending) << "round " << round;
    }
    worker.read_lines(nothing, microseconds(random.next() % 2'000));
    ASSERT_EQ(worker.kill(nothing), "") << "round " << round;
    if (round % 5 == 4) {
      ASSERT_EQ(oracle.check(*file.pipeline), "") << "round " << round;
    }
  }
  ASSERT_EQ(oracle.check(*file.pipeline), "");
  const auto stats = Queue(file.pipeline->options().queue).stats().value();
  EXPECT_EQ(stats.accepted, oracle.acknowledged());
}

TEST(Kill, the_archive_is_complete_when_an_archiver_has_died) {
  SeededRandom random(11);
  const TemporaryFolder folder;
  const auto path = folder.path("crash.db");
  OpenFile file(path);
  Oracle oracle;
  std::uint64_t n = 1;
  for (std::uint64_t round = 0; round < std::max<std::uint64_t>(rounds / 4, 1); ++round) {
    VictimProcess archiver("archive", path, 0, round);
    const auto nothing = [](std::string_view) { return true; };
    if (random.next() % 2 == 0) {
      ASSERT_TRUE(archiver.read_lines([](std::string_view line) { return line != "R"; }, kLongest)) << "round " << round;
    }
    for (int i = 0; i < 60; ++i, ++n) {
      const int identity = static_cast<int>(random.next() % crash::kIdentities);
      if (random.next() % 6 == 0) {
        EraseRequest erase;
        erase.id = crash::id_of(identity);
        oracle.acknowledged_erase(identity, file.pipeline->erase(std::move(erase)).value().version);
      } else {
        oracle.acknowledged_set(identity, n, file.pipeline->set(crash::request_of(identity, n)).value().version);
      }
      if (i % 10 == 9) {
        ASSERT_TRUE(file.pipeline->run_once());
      }
    }
    archiver.read_lines(nothing, microseconds(random.next() % 4'000));
    ASSERT_EQ(archiver.kill(nothing), "") << "round " << round;
    if (round % 5 != 4) continue;
    ASSERT_EQ(oracle.check(*file.pipeline), "") << "round " << round;
    ASSERT_TRUE(file.pipeline->archiver()->run()) << "round " << round;
    const auto verified = file.pipeline->archiver()->verify({.deep = true}).value();
    ASSERT_TRUE(verified.equal()) << "round " << round << ": " << verified.differences.at(0).id << " " << verified.differences.at(0).detail;
    EXPECT_GT(verified.compared, 0u);
  }
}

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (const char* given = std::getenv("SETGET_CRASH_ROUNDS")) {
    const std::string_view number = given;
    const auto [end, failed] = std::from_chars(number.data(), number.data() + number.size(), rounds);
    if (failed != std::errc() || end != number.data() + number.size() || rounds == 0) {
      std::fprintf(stderr, "SETGET_CRASH_ROUNDS must be a whole number above 0, not \"%s\"\n", given);
      return 64;
    }
  }
  return RUN_ALL_TESTS();
}
