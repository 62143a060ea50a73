#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include <setget/cron.hpp>
#include <setget/testing/clock.hpp>

using namespace setget;

namespace {

// "2026-03-29 01:00:00", UTC.
TimePoint at(const std::string& text) {
  const auto number = [&](std::size_t from, std::size_t length) { return std::stoi(text.substr(from, length)); };
  const std::chrono::year_month_day day{std::chrono::year(number(0, 4)), std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  return std::chrono::sys_days(day) + std::chrono::hours(number(11, 2)) + std::chrono::minutes(number(14, 2)) +
         std::chrono::seconds(number(17, 2));
}

std::string show(std::optional<TimePoint> time) {
  if (!time) return "never";
  const auto day = std::chrono::floor<std::chrono::days>(*time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(*time - day);
  EXPECT_EQ(clock.subseconds().count(), 0);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

using Times = std::vector<std::string>;
// The next due times in UTC.
Times due(const std::string& text, const std::string& zone, const std::string& from, std::size_t count) {
  const auto cron = Cron::parse(text, zone);
  if (!cron) return {cron.error().describe()};
  Times out;
  std::optional<TimePoint> time = at(from);
  while (out.size() < count && time) out.push_back(show(time = cron->next(*time)));
  return out;
}

const std::string kBerlin = "Europe/Berlin";          // 2026: gap 29 March 01:00Z, overlap 25 October 01:00Z
const std::string kNewYork = "America/New_York";      // 2026: gap 8 March 07:00Z, overlap 1 November 06:00Z
const std::string kLordHowe = "Australia/Lord_Howe";  // half an hour. 2026: overlap 4 April 15:00Z, gap 3 October 15:30Z

}  // namespace

TEST(Cron, five_fields_start_with_the_minute_and_six_with_the_second) {
  EXPECT_EQ(due("30 4 * * *", "UTC", "2026-01-01 00:00:00", 2), (Times{"2026-01-01 04:30:00", "2026-01-02 04:30:00"}));
  EXPECT_EQ(due("15 30 4 * * *", "UTC", "2026-01-01 00:00:00", 2), (Times{"2026-01-01 04:30:15", "2026-01-02 04:30:15"}));
}

TEST(Cron, next_is_strictly_after_the_given_time) {
  const auto cron = Cron::parse("0 0 * * *");
  ASSERT_TRUE(cron.has_value());
  EXPECT_EQ(show(cron->next(at("2026-01-01 00:00:00"))), "2026-01-02 00:00:00");
  EXPECT_EQ(show(cron->next(at("2026-01-01 00:00:00") - Milliseconds(1))), "2026-01-01 00:00:00");
  EXPECT_EQ(show(cron->next(at("2026-01-01 00:00:00") + Milliseconds(1))), "2026-01-02 00:00:00");
}

TEST(Cron, lists_ranges_steps_and_names) {
  EXPECT_EQ(due("0 9-17/4 * * *", "UTC", "2026-01-01 00:00:00", 4),
            (Times{"2026-01-01 09:00:00", "2026-01-01 13:00:00", "2026-01-01 17:00:00", "2026-01-02 09:00:00"}));
  EXPECT_EQ(due("5/20 0 * * *", "UTC", "2026-01-01 00:00:00", 4),
            (Times{"2026-01-01 00:05:00", "2026-01-01 00:25:00", "2026-01-01 00:45:00", "2026-01-02 00:05:00"}));
  EXPECT_EQ(due("0 0 1 jan,JUL *", "UTC", "2026-02-01 00:00:00", 2), (Times{"2026-07-01 00:00:00", "2027-01-01 00:00:00"}));
  EXPECT_EQ(due("0 0 * * Mon-Wed,fri", "UTC", "2026-01-03 00:00:00", 4),
            (Times{"2026-01-05 00:00:00", "2026-01-06 00:00:00", "2026-01-07 00:00:00", "2026-01-09 00:00:00"}));
}

TEST(Cron, sunday_is_0_and_7_and_ends_a_range) {
  for (const auto* text : {"0 0 * * 0", "0 0 * * 7", "0 0 * * SUN", "0 0 ? * sun"}) {
    EXPECT_EQ(due(text, "UTC", "2026-01-01 00:00:00", 2), (Times{"2026-01-04 00:00:00", "2026-01-11 00:00:00"})) << text;
  }
  EXPECT_EQ(due("0 0 * * SAT-SUN", "UTC", "2026-01-01 00:00:00", 3),
            (Times{"2026-01-03 00:00:00", "2026-01-04 00:00:00", "2026-01-10 00:00:00"}));
  EXPECT_EQ(due("0 0 * * 5-7", "UTC", "2026-01-01 00:00:00", 3),
            (Times{"2026-01-02 00:00:00", "2026-01-03 00:00:00", "2026-01-04 00:00:00"}));
}

TEST(Cron, names_for_common_schedules) {
  const auto first = [](const char* text) { return due(text, "UTC", "2026-02-11 10:30:00", 1).front(); };
  EXPECT_EQ(first("@yearly"), "2027-01-01 00:00:00");
  EXPECT_EQ(first("@annually"), "2027-01-01 00:00:00");
  EXPECT_EQ(first("@monthly"), "2026-03-01 00:00:00");
  EXPECT_EQ(first("@weekly"), "2026-02-15 00:00:00");
  EXPECT_EQ(first("@daily"), "2026-02-12 00:00:00");
  EXPECT_EQ(first("@midnight"), "2026-02-12 00:00:00");
  EXPECT_EQ(first("@hourly"), "2026-02-11 11:00:00");
}

TEST(Cron, either_day_field_may_match_where_both_are_restricted) {
  EXPECT_EQ(due("0 0 13 * FRI", "UTC", "2026-02-10 00:00:00", 4),
            (Times{"2026-02-13 00:00:00", "2026-02-20 00:00:00", "2026-02-27 00:00:00", "2026-03-06 00:00:00"}));
  // A field that starts with * does not restrict (crontab(5)): both must match.
  EXPECT_EQ(due("0 0 */2 * MON", "UTC", "2026-02-01 00:00:00", 2), (Times{"2026-02-09 00:00:00", "2026-02-23 00:00:00"}));
}

TEST(Cron, leap_days_and_last_days) {
  EXPECT_EQ(due("0 0 29 2 *", "UTC", "2026-01-01 00:00:00", 2), (Times{"2028-02-29 00:00:00", "2032-02-29 00:00:00"}));
  EXPECT_EQ(due("0 0 29 2 *", "UTC", "2096-03-01 00:00:00", 1), (Times{"2104-02-29 00:00:00"}));  // 2100 is no leap year
  EXPECT_EQ(due("0 0 L 2 *", "UTC", "2026-01-01 00:00:00", 3),
            (Times{"2026-02-28 00:00:00", "2027-02-28 00:00:00", "2028-02-29 00:00:00"}));
  EXPECT_EQ(due("0 0 L * *", "UTC", "2026-03-31 00:00:00", 2), (Times{"2026-04-30 00:00:00", "2026-05-31 00:00:00"}));
  EXPECT_EQ(due("0 0 15,L * ?", "UTC", "2026-04-01 00:00:00", 2), (Times{"2026-04-15 00:00:00", "2026-04-30 00:00:00"}));
  EXPECT_EQ(due("0 0 31 * *", "UTC", "2026-03-31 00:00:00", 2), (Times{"2026-05-31 00:00:00", "2026-07-31 00:00:00"}));
}

TEST(Cron, a_day_that_never_comes_has_no_next) {
  EXPECT_EQ(due("0 0 30 2 *", "UTC", "2026-01-01 00:00:00", 1), Times{"never"});
  EXPECT_EQ(due("0 0 31 4,6,9,11 *", kBerlin, "2026-01-01 00:00:00", 1), Times{"never"});
}

TEST(Cron, times_at_the_ends_of_the_calendar_have_no_next) {
  const auto cron = Cron::parse("* * * * *", kBerlin);
  ASSERT_TRUE(cron.has_value());
  EXPECT_EQ(cron->next(TimePoint::max()), std::nullopt);
  EXPECT_EQ(cron->next(TimePoint::min()), std::nullopt);
  EXPECT_EQ(show(cron->next(at("1970-01-01 00:00:00"))), "1970-01-01 00:01:00");
}

TEST(CronDst, a_skipped_time_runs_once_at_the_first_instant_after_the_gap) {
  EXPECT_EQ(due("30 2 * * *", kBerlin, "2026-03-27 12:00:00", 3),
            (Times{"2026-03-28 01:30:00", "2026-03-29 01:00:00", "2026-03-30 00:30:00"}));
  EXPECT_EQ(due("*/15 2 * * *", kBerlin, "2026-03-29 00:00:00", 2), (Times{"2026-03-29 01:00:00", "2026-03-30 00:00:00"}));
  EXPECT_EQ(due("30 2 * * *", kNewYork, "2026-03-08 00:00:00", 2), (Times{"2026-03-08 07:00:00", "2026-03-09 06:30:00"}));
  EXPECT_EQ(due("15 2 * * *", kLordHowe, "2026-10-03 00:00:00", 2), (Times{"2026-10-03 15:30:00", "2026-10-04 15:15:00"}));
}

TEST(CronDst, a_time_at_the_end_of_a_gap_runs_once_with_those_that_were_skipped) {
  EXPECT_EQ(due("0 3 * * *", kBerlin, "2026-03-29 00:00:00", 2), (Times{"2026-03-29 01:00:00", "2026-03-30 01:00:00"}));
  EXPECT_EQ(due("30 2,3 * * *", kBerlin, "2026-03-29 00:00:00", 3),
            (Times{"2026-03-29 01:00:00", "2026-03-29 01:30:00", "2026-03-30 00:30:00"}));
  EXPECT_EQ(due("0 2,3 * * *", kBerlin, "2026-03-29 00:00:00", 2), (Times{"2026-03-29 01:00:00", "2026-03-30 00:00:00"}));
  EXPECT_EQ(due("30 2 * * *", kLordHowe, "2026-10-03 00:00:00", 2), (Times{"2026-10-03 15:30:00", "2026-10-04 15:30:00"}));
}

TEST(CronDst, a_time_that_comes_twice_runs_at_its_first_occurrence) {
  EXPECT_EQ(due("30 2 * * *", kBerlin, "2026-10-24 12:00:00", 2), (Times{"2026-10-25 00:30:00", "2026-10-26 01:30:00"}));
  EXPECT_EQ(due("30 2 * * *", kBerlin, "2026-10-25 00:30:00", 1), (Times{"2026-10-26 01:30:00"}));
  EXPECT_EQ(due("30 2 * * *", kBerlin, "2026-10-25 01:10:00", 1), (Times{"2026-10-26 01:30:00"}));  // asked between both
  EXPECT_EQ(due("30 1 * * *", kNewYork, "2026-11-01 00:00:00", 2), (Times{"2026-11-01 05:30:00", "2026-11-02 06:30:00"}));
  EXPECT_EQ(due("45 1 * * *", kLordHowe, "2026-04-04 00:00:00", 2), (Times{"2026-04-04 14:45:00", "2026-04-05 15:15:00"}));
  EXPECT_EQ(due("0 3 * * *", kBerlin, "2026-10-25 00:00:00", 1), (Times{"2026-10-25 02:00:00"}));  // after both
}

TEST(CronDst, hourly_work_follows_real_time_through_gap_and_overlap) {
  EXPECT_EQ(due("30 * * * *", kBerlin, "2026-03-29 00:00:00", 3),
            (Times{"2026-03-29 00:30:00", "2026-03-29 01:30:00", "2026-03-29 02:30:00"}));
  EXPECT_EQ(due("0 * * * *", kBerlin, "2026-10-24 23:30:00", 4),
            (Times{"2026-10-25 00:00:00", "2026-10-25 01:00:00", "2026-10-25 02:00:00", "2026-10-25 03:00:00"}));
  EXPECT_EQ(due("*/30 2 * * *", kBerlin, "2026-10-24 23:30:00", 5),
            (Times{"2026-10-25 00:00:00", "2026-10-25 00:30:00", "2026-10-25 01:00:00", "2026-10-25 01:30:00", "2026-10-26 01:00:00"}));
  EXPECT_EQ(due("*/15 * * * *", kLordHowe, "2026-10-03 15:00:00", 4),
            (Times{"2026-10-03 15:15:00", "2026-10-03 15:30:00", "2026-10-03 15:45:00", "2026-10-03 16:00:00"}));
}

// Every daily schedule runs exactly once per local day of a year, whatever the clock change does to it.
TEST(CronDst, a_daily_time_runs_once_on_every_day_of_the_year) {
  for (const auto& zone :
       {kBerlin, kNewYork, kLordHowe, std::string("America/Santiago"), std::string("Pacific/Apia"), std::string("UTC")}) {
    for (int half_hours = 0; half_hours < 48; ++half_hours) {
      const auto cron = Cron::parse(fmt::format("{} {} * * *", half_hours % 2 * 30, half_hours / 2), zone);
      ASSERT_TRUE(cron.has_value());
      int runs = 0;
      TimePoint time = at("2026-01-01 12:00:00");
      const auto end = at("2027-01-01 12:00:00");
      while (const auto next = cron->next(time)) {
        if (*next > end) break;
        EXPECT_LE(*next - time, std::chrono::hours(26)) << zone << " " << show(next);
        time = *next;
        ++runs;
      }
      EXPECT_EQ(runs, 365) << zone << " " << half_hours;
    }
  }
}

TEST(Cron, agrees_with_a_walk_over_every_second) {
  setget::testing::SeededRandom random(7);
  for (int round = 0; round < 200; ++round) {
    const auto pick = [&](int below) { return static_cast<int>(random.next() % static_cast<std::uint64_t>(below)); };
    const int second = pick(60);
    const int minute = pick(60);
    const int hour = pick(24);
    const bool any_hour = pick(2) == 0;
    const auto cron = Cron::parse(fmt::format("{} {} {} * * *", second, minute, any_hour ? "*" : std::to_string(hour)));
    ASSERT_TRUE(cron.has_value());
    const auto start = at("2026-05-01 00:00:00") + std::chrono::seconds(pick(86'400));
    auto walk = start;
    for (;;) {
      walk += std::chrono::seconds(1);
      const std::chrono::hh_mm_ss clock(walk - std::chrono::floor<std::chrono::days>(walk));
      if (clock.seconds().count() == second && clock.minutes().count() == minute && (any_hour || clock.hours().count() == hour)) break;
    }
    EXPECT_EQ(show(cron->next(start)), show(walk)) << cron->text();
  }
}

TEST(Cron, errors_name_the_field_and_the_position) {
  struct Case {
    const char* text;
    const char* field;
    std::size_t position;
  };
  for (const auto& [text, field, position] : std::vector<Case>{
           {"", "cron", 0},
           {"* * * *", "cron", 0},
           {"* * * * * * *", "cron", 0},
           {"@fortnightly", "cron", 0},
           {"60 * * * *", "minute", 0},
           {"0 24 * * *", "hour", 2},
           {"0 0 0 * *", "day of month", 4},
           {"0 0 32 * *", "day of month", 4},
           {"0 0 1 13 *", "month", 6},
           {"0 0 1 FOO *", "month", 6},
           {"0 0 * * 8", "day of week", 8},
           {"60 0 0 * * *", "second", 0},
           {"5-1 * * * *", "minute", 0},
           {"1,,2 * * * *", "minute", 2},
           {"1, * * * *", "minute", 2},
           {"*/0 * * * *", "minute", 2},
           {"*/61 * * * *", "minute", 2},
           {"*/x * * * *", "minute", 2},
           {"1- * * * *", "minute", 2},
           {"-1 * * * *", "minute", 0},
           {"1.5 * * * *", "minute", 0},
           {"? * * * *", "minute", 0},
           {"0 L * * *", "hour", 2},
           {"99999999999 * * * *", "minute", 0},
       }) {
    const auto cron = Cron::parse(text);
    ASSERT_FALSE(cron.has_value()) << text;
    EXPECT_EQ(cron.error().code(), ErrorCode::kInvalidArgument) << text;
    EXPECT_EQ(cron.error().field(), field) << text;
    EXPECT_EQ(cron.error().position(), position) << text;
  }
}

TEST(Cron, an_unknown_zone_is_an_error) {
  for (const auto* zone : {"", "Europe/Atlantis", "../etc/passwd", "CEST+99"}) {
    const auto cron = Cron::parse("@daily", zone);
    ASSERT_FALSE(cron.has_value()) << zone;
    EXPECT_EQ(cron.error().field(), "time_zone");
  }
  EXPECT_EQ(Cron::parse("@daily", kBerlin)->zone(), kBerlin);
  EXPECT_EQ(Cron::parse("@daily", kBerlin)->text(), "@daily");
}
