// Lengths of time that are added to moments. Thread rule: any thread.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

#include <setget/clock.hpp>
#include <setget/error.hpp>

namespace setget::inline v0::detail {

// Of leases, delays, waits: sums with a clock stay far from overflow.
inline constexpr Milliseconds kLongestLength(std::chrono::hours(24 * 3653));

// What all queues refuse alike of a lease or a delay.
inline Result<void> check_length(std::string_view field, Milliseconds length, Milliseconds shortest) {
  if (length >= shortest && length <= kLongestLength) return {};
  return Error(ErrorCode::kInvalidArgument, fmt::format("{} is {} ms, expected {} ms to 10 years", field, length.count(), shortest.count()))
      .at_field(std::string(field));
}

// Of what is kept for an age: nothing outlives the year 9999 (TtlPolicy), so an age that is longer than until then says the same.
inline std::optional<Milliseconds> bounded_age(const std::optional<Milliseconds>& age) {
  constexpr Milliseconds kLongestAge{253'402'300'799'999};
  return age ? std::optional(std::min(*age, kLongestAge)) : std::nullopt;
}

}  // namespace setget::inline v0::detail
