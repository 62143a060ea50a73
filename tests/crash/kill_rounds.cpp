#include "crash/kill_rounds.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "crash/oracle.hpp"
#include "crash/victim_process.hpp"

#include <setget/testing/clock.hpp>

namespace crash {

using namespace setget;
using setget::testing::SeededRandom;
using std::chrono::microseconds;

namespace {

constexpr auto kLongest = std::chrono::seconds(20);

}  // namespace

std::uint64_t rounds(std::uint64_t otherwise, std::uint64_t percent) {
  const char* given = std::getenv("SETGET_CRASH_ROUNDS");
  if (given == nullptr) return otherwise;
  const std::string_view text = given;
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size() || number == 0) {
    std::fprintf(stderr, "SETGET_CRASH_ROUNDS must be a whole number above 0, not \"%s\"\n", given);
    std::exit(64);
  }
  return std::max<std::uint64_t>(1, number * percent / 100);
}

void kill_everything(const FreshPlace& fresh, std::uint64_t rounds) {
  SeededRandom random(20'240'501);
  Place place;
  Oracle oracle;
  std::uint64_t acknowledged = 0;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    // A fresh place now and then, so that its making is hit as well.
    if (round % 20 == 0) {
      acknowledged += oracle.acknowledged();
      place = fresh();
      oracle = Oracle();
    }
    VictimProcess victim("all", place, (round + 1) * 1'000'000, round);
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

    const auto pipeline = open_pipeline(place).value();
    ASSERT_EQ(oracle.check(*pipeline), "") << "round " << round;
  }
  EXPECT_GT(acknowledged + oracle.acknowledged(), rounds * 5) << "the victims did nothing worth killing them for";
}

void kill_worker(const FreshPlace& fresh, std::uint64_t rounds) {
  SeededRandom random(7);
  const auto place = fresh();
  const auto pipeline = open_pipeline(place).value();
  Oracle oracle;
  std::uint64_t n = 1;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    std::optional<Receipt> middle;
    for (int i = 0; i < 40; ++i, ++n) {
      const int identity = static_cast<int>(random.next() % kIdentities);
      if (random.next() % 6 == 0) {
        EraseRequest erase;
        erase.id = id_of(identity);
        oracle.acknowledged_erase(identity, pipeline->erase(std::move(erase)).value().version);
      } else {
        const auto receipt = pipeline->set(request_of(identity, n)).value();
        oracle.acknowledged_set(identity, n, receipt.version);
        if (!middle || random.next() % 3 == 0) middle = receipt;
      }
    }
    VictimProcess worker("work", place, 0, round);
    const auto nothing = [](std::string_view) { return true; };
    if (middle) {
      const auto status = pipeline->wait(*middle, Deadline::in(kLongest)).value();
      ASSERT_NE(status.outcome, Outcome::kPending) << "round " << round;
    }
    worker.read_lines(nothing, microseconds(random.next() % 2'000));
    ASSERT_EQ(worker.kill(nothing), "") << "round " << round;
    if (round % 5 == 4) {
      ASSERT_EQ(oracle.check(*pipeline), "") << "round " << round;
    }
  }
  ASSERT_EQ(oracle.check(*pipeline), "");
  const auto stats = Queue(pipeline->options().queue).stats().value();
  EXPECT_EQ(stats.accepted, oracle.acknowledged());
}

void kill_archiver(const FreshPlace& fresh, std::uint64_t rounds, const std::function<void()>& after_kill) {
  SeededRandom random(11);
  const auto place = fresh();
  const auto pipeline = open_pipeline(place).value();
  Oracle oracle;
  std::uint64_t n = 1;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    VictimProcess archiver("archive", place, 0, round);
    const auto nothing = [](std::string_view) { return true; };
    if (random.next() % 2 == 0) {
      ASSERT_TRUE(archiver.read_lines([](std::string_view line) { return line != "R"; }, kLongest)) << "round " << round;
    }
    for (int i = 0; i < 60; ++i, ++n) {
      const int identity = static_cast<int>(random.next() % kIdentities);
      if (random.next() % 6 == 0) {
        EraseRequest erase;
        erase.id = id_of(identity);
        oracle.acknowledged_erase(identity, pipeline->erase(std::move(erase)).value().version);
      } else {
        oracle.acknowledged_set(identity, n, pipeline->set(request_of(identity, n)).value().version);
      }
      if (i % 10 == 9) {
        ASSERT_TRUE(pipeline->run_once());
      }
    }
    archiver.read_lines(nothing, microseconds(random.next() % 4'000));
    ASSERT_EQ(archiver.kill(nothing), "") << "round " << round;
    if (after_kill) after_kill();
    if (round % 5 != 4 && round + 1 != rounds) continue;
    ASSERT_EQ(oracle.check(*pipeline), "") << "round " << round;
    ASSERT_TRUE(pipeline->archiver()->run()) << "round " << round;
    const auto verified = pipeline->archiver()->verify({.deep = true}).value();
    ASSERT_TRUE(verified.equal()) << "round " << round << ": " << verified.differences.at(0).id << " " << verified.differences.at(0).detail;
    EXPECT_GT(verified.compared, 0u);
  }
}

}  // namespace crash
