#include <gtest/gtest.h>

#include "crash/kill_rounds.hpp"
#include "crash/oracle.hpp"
#include "crash/past_oracle.hpp"
#include "crash/victim_process.hpp"

#include <setget/testing/clock.hpp>

namespace crash {

using namespace setget;
using setget::testing::SeededRandom;
using std::chrono::microseconds;

namespace {

constexpr auto kLongestRound = std::chrono::seconds(30);
constexpr std::uint64_t kRoundsOfAPlace = 10;

// One place with all that happened in it.
struct Past {
  Place place{};
  Oracle oracle{};
  PastOracle past{};
  TimePoint whole_since{};  // from then on nothing is refused

  bool take(std::string_view line) {
    if (line == "R" || line == "A") return true;
    past.line(line);
    return oracle.line(line);
  }
  // A run, and what is there and was there. Empty: all holds.
  std::string check() {
    const auto pipeline = open_pipeline(place);
    if (!pipeline) return pipeline.error().describe();
    if (auto lost = oracle.check(**pipeline); !lost.empty()) return lost;
    if (auto lost = past.settle(**pipeline); !lost.empty()) return lost;
    if (const auto ran = (*pipeline)->archiver()->run(); !ran) return ran.error().describe();
    if (whole_since == TimePoint{}) whole_since = system_clock()->now();
    const auto verified = (*pipeline)->archiver()->verify({.deep = true});
    if (!verified) return verified.error().describe();
    if (!verified->equal()) return verified->differences.at(0).id + " " + verified->differences.at(0).detail;
    return past.check(**pipeline, whole_since);
  }
};

// A place that already had a run, or one whose histories the victims begin.
void begin(Past& world, const Place& place, bool with_a_run) {
  world = Past{.place = place};
  if (with_a_run) {
    ASSERT_EQ(world.check(), "");
  }
}

}  // namespace

void kill_with_history(const FreshPlace& fresh, std::uint64_t rounds, std::uint64_t most_lines, const std::function<void()>& after_kill) {
  SeededRandom random(20'261'127);
  Past world;
  std::uint64_t exact = 0;
  std::uint64_t archived = 0;
  // On a busy machine no run may have come to its end by then: until one has.
  for (std::uint64_t round = 0; round < rounds || (archived == 0 && round < 5 * rounds); ++round) {
    if (round % kRoundsOfAPlace == 0) {
      exact += world.past.exact();
      begin(world, fresh(), round / kRoundsOfAPlace % 2 == 0);
    }
    VictimProcess victim("all-archive", world.place, (round + 1) * 1'000'000, round);
    auto lines = 1 + random.next() % most_lines;
    const auto take = [&](std::string_view line) {
      archived += line == "A" ? 1 : 0;
      EXPECT_TRUE(world.take(line)) << line;
      return lines == 0 || --lines > 0;
    };
    ASSERT_TRUE(victim.read_lines(take, kLongestRound)) << "round " << round;
    victim.read_lines(
        [&](std::string_view line) {
          take(line);
          return true;
        },
        microseconds(random.next() % (random.next() % 2 == 0 ? 25'000 : 3'000)));
    ASSERT_EQ(victim.kill(take), "") << "round " << round;
    if (after_kill) after_kill();
    ASSERT_EQ(world.check(), "") << "round " << round;
    if (round % kRoundsOfAPlace == kRoundsOfAPlace - 1 || round + 1 >= rounds) {
      world.past.look_at_all_again();
      ASSERT_EQ(world.check(), "") << "all again after round " << round;
    }
  }
  exact += world.past.exact();
  EXPECT_GT(exact, rounds * most_lines) << "the victims did nothing worth killing them for";
  EXPECT_GT(archived, 0u) << "no run came to its end beside the sets";
}

}  // namespace crash
