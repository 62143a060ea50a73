// What all queues refuse alike. Thread rule: any thread.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include <setget/clock.hpp>
#include <setget/error.hpp>

namespace setget::inline v0::detail {

// A lease or a delay. Ten years at most keep sums with a clock far from overflow.
inline Result<void> check_length(std::string_view field, Milliseconds length, Milliseconds shortest) {
  constexpr Milliseconds kLongest(std::chrono::hours(24 * 3653));
  if (length >= shortest && length <= kLongest) return {};
  return Error(ErrorCode::kInvalidArgument, fmt::format("{} is {} ms, expected {} ms to 10 years", field, length.count(), shortest.count()))
      .at_field(std::string(field));
}

}  // namespace setget::inline v0::detail
