// Cron expressions with time zones. Pure: no clock, no threads.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>

namespace setget::inline v0 {

// Five fields (minute hour day-of-month month day-of-week), or six with seconds first; lists, ranges, steps, names (JAN, MON), `?` and `L`
// for the last day of the month; @yearly @annually @monthly @weekly @daily @midnight @hourly. Where both day fields are restricted either
// may match (POSIX crontab). In the zone's local time: a time that a DST change skips runs at the first instant after the gap; a time that
// occurs twice runs once, at the first occurrence; wildcard hours and minutes run in real time through both.
class SETGET_API Cron {
 public:
  // `zone` is an IANA name ("Europe/Berlin") or "UTC". Errors: kInvalidArgument with field and position in the text.
  static Result<Cron> parse(std::string_view text, std::string_view zone = "UTC");
  // The first due time strictly after `time`; empty if there is none within 28 years (e.g. 30 February).
  std::optional<TimePoint> next(TimePoint time) const;
  const std::string& text() const noexcept;
  const std::string& zone() const noexcept;

 private:
  struct State;
  explicit Cron(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

}  // namespace setget::inline v0
