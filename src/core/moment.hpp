// Moments as text, for answers and messages.
#pragma once

#include <chrono>
#include <string>

#include <fmt/format.h>

#include <setget/clock.hpp>

namespace setget::inline v0::detail {

// RFC 3339, UTC, with milliseconds: 2026-11-27T14:00:00.123Z.
inline std::string rfc3339(TimePoint time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss<Milliseconds> clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

}  // namespace setget::inline v0::detail
