// CronFields: the six fields of a cron expression as sets of numbers. Private; pure.
#pragma once

#include <cstdint>
#include <string_view>

#include <setget/error.hpp>

namespace setget::inline v0::detail {

struct CronFields {
  std::uint64_t seconds = 0;  // bit n: second n
  std::uint64_t minutes = 0;
  std::uint32_t hours = 0;
  std::uint32_t days = 0;  // bits 1..31
  std::uint16_t months = 0;
  std::uint8_t weekdays = 0;  // bit 0: Sunday
  bool last_day = false;      // L in the day of month
  // Whether a field starts with * or ?, as crontab(5) asks: such day fields do not restrict, such hours and minutes follow real time.
  bool any_minute = false;
  bool any_hour = false;
  bool any_day = false;
  bool any_weekday = false;
};

// Errors: kInvalidArgument with the name of the field and the byte offset in `text`.
Result<CronFields> parse_cron_fields(std::string_view text);

}  // namespace setget::inline v0::detail
