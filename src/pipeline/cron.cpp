#include <date/tz.h>
#include <fmt/format.h>

#include <bit>
#include <exception>

#include <setget/cron.hpp>

#include "pipeline/cron_fields.hpp"

namespace setget::inline v0 {

namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using Instant = date::sys_seconds;
using Local = date::local_seconds;
using LocalDay = date::local_days;

constexpr date::years kHorizon{28};  // after which the calendar has shown every weekday on 29 February
// Beyond these the calendar's arithmetic would leave its range.
constexpr Instant kFirstInstant{seconds(-62'135'596'800)};  // 0001-01-01
constexpr Instant kLastInstant{seconds(253'402'300'799)};   // 9999-12-31

// A stretch of time with one offset from UTC.
struct Stretch {
  Instant begin = Instant::min();
  Instant end = Instant::max();
  seconds offset{0};
};

Stretch stretch_at(const date::time_zone* zone, Instant at) {
  if (zone == nullptr) return {};
  const auto info = zone->get_info(at);
  return {info.begin, info.end, info.offset};
}

Local to_local(Instant at, seconds offset) { return Local((at + offset).time_since_epoch()); }
Instant to_instant(Local at, seconds offset) { return Instant(at.time_since_epoch()) - offset; }

template <class Bits>
std::optional<unsigned> next_bit(Bits bits, unsigned from) {
  const auto rest = from >= sizeof(Bits) * 8 ? Bits{0} : static_cast<Bits>(bits >> from);
  if (rest == 0) return std::nullopt;
  return from + static_cast<unsigned>(std::countr_zero(rest));
}

bool day_matches(const detail::CronFields& fields, const date::year_month_day& day) {
  const auto number = static_cast<unsigned>(day.day());
  const bool last = fields.last_day && day == day.year() / day.month() / date::last;
  const bool by_day = ((fields.days >> number) & 1U) != 0 || last;
  const bool by_weekday = ((fields.weekdays >> date::weekday(LocalDay(day)).c_encoding()) & 1U) != 0;
  if (fields.any_day || fields.any_weekday) return by_day && by_weekday;
  return by_day || by_weekday;
}

// The first matching time of day at or after `from`.
std::optional<seconds> next_in_day(const detail::CronFields& fields, seconds from) {
  const auto start_hour = static_cast<unsigned>(from / hours(1));
  const auto start_minute = static_cast<unsigned>(from % hours(1) / minutes(1));
  const auto start_second = static_cast<unsigned>(from % minutes(1) / seconds(1));
  for (auto hour = next_bit(fields.hours, start_hour); hour; hour = next_bit(fields.hours, *hour + 1)) {
    const bool same_hour = *hour == start_hour;
    for (auto minute = next_bit(fields.minutes, same_hour ? start_minute : 0); minute; minute = next_bit(fields.minutes, *minute + 1)) {
      const bool same_minute = same_hour && *minute == start_minute;
      if (const auto second = next_bit(fields.seconds, same_minute ? start_second : 0))
        return hours(*hour) + minutes(*minute) + seconds(*second);
    }
  }
  return std::nullopt;
}

// The first local time in [from, to) that the fields name, without regard to any zone.
std::optional<Local> next_local(const detail::CronFields& fields, Local from, Local to) {
  auto day = date::floor<date::days>(from);
  auto within = from - day;
  while (day < to) {
    const date::year_month_day date{day};
    if (((fields.months >> static_cast<unsigned>(date.month())) & 1U) == 0) {
      day = LocalDay((date.year() / date.month() + date::months(1)) / 1);
      within = seconds(0);
      continue;
    }
    if (day_matches(fields, date)) {
      if (const auto found = next_in_day(fields, within)) return day + *found < to ? std::optional<Local>(day + *found) : std::nullopt;
    }
    day += date::days(1);
    within = seconds(0);
  }
  return std::nullopt;
}

// The first due instant in [from, until). Walks the zone's stretches of constant offset: within one, local and real time run alike; at its
// beginning the clock may have jumped forward (a gap) or back (an overlap).
std::optional<Instant> next_instant(const detail::CronFields& fields, const date::time_zone* zone, Instant from, Instant until) {
  for (auto stretch = stretch_at(zone, from); from < until; from = stretch.end, stretch = stretch_at(zone, from)) {
    Local start = to_local(from, stretch.offset);
    if (stretch.begin > kFirstInstant) {
      const auto before = stretch_at(zone, stretch.begin - seconds(1)).offset;
      const Local old_end = to_local(stretch.begin, before);
      const Local new_begin = to_local(stretch.begin, stretch.offset);
      // Skipped times run at the first instant after the gap. Hourly work has no such times: it follows real time.
      if (from == stretch.begin && old_end < new_begin && !fields.any_hour && next_local(fields, old_end, new_begin)) return from;
      // Times that come twice have run at their first occurrence, but for work that follows real time.
      if (old_end > start && !fields.any_hour && !fields.any_minute) start = old_end;
    }
    const Instant end = std::min(stretch.end, until);
    const auto found = next_local(fields, start, to_local(end, stretch.offset));
    if (found) return to_instant(*found, stretch.offset);
  }
  return std::nullopt;
}

}  // namespace

struct Cron::State {
  std::string text;
  std::string zone_name;
  detail::CronFields fields;
  const date::time_zone* zone = nullptr;  // null: UTC, which needs no time zone database. Owned by date's global database
};

Cron::Cron(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<Cron> Cron::parse(std::string_view text, std::string_view zone) {
  auto fields = detail::parse_cron_fields(text);
  if (!fields) return std::move(fields).error();
  State state{.text = std::string(text), .zone_name = std::string(zone), .fields = *fields};
  if (zone != "UTC") {
    try {
      state.zone = date::locate_zone(state.zone_name);
    } catch (const std::exception& problem) {
      return Error(ErrorCode::kInvalidArgument, fmt::format("time zone \"{}\" is not known: {}", zone, problem.what()))
          .at_field("time_zone");
    }
  }
  return Cron(std::make_shared<const State>(std::move(state)));
}

std::optional<TimePoint> Cron::next(TimePoint time) const {
  const Instant from = date::floor<seconds>(time) + seconds(1);
  if (from < kFirstInstant || from > kLastInstant) return std::nullopt;
  try {
    const auto found = next_instant(state_->fields, state_->zone, from, std::min(kLastInstant, from + kHorizon));
    if (!found) return std::nullopt;
    return TimePoint(*found);
  } catch (const std::exception&) {
    // The zone's file went away or is damaged since parse(): no due time can be told.
    return std::nullopt;
  }
}

const std::string& Cron::text() const noexcept { return state_->text; }
const std::string& Cron::zone() const noexcept { return state_->zone_name; }

}  // namespace setget::inline v0
