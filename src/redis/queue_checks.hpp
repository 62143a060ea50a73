// Checks of input that several verbs share.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "core/check_length.hpp"

#include <setget/error.hpp>

namespace setget::inline v0::redis {

using setget::detail::check_length;

inline Result<void> check_positive(std::string_view field, std::size_t value) {
  if (value > 0) return {};
  return Error(ErrorCode::kInvalidArgument, fmt::format("{} must be > 0", field)).at_field(std::string(field));
}

}  // namespace setget::inline v0::redis
