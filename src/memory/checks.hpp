// Checks of input that several verbs share.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "core/check_length.hpp"

#include <setget/clock.hpp>
#include <setget/error.hpp>

namespace setget::inline v0::memory::detail {

// The names of queues and cursors: 1 to 64 bytes of [A-Za-z0-9._-].
inline Result<void> check_name(std::string_view field, std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  };
  if (!name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), allowed)) return {};
  return Error(ErrorCode::kInvalidArgument, fmt::format("{} names have 1 to 64 bytes of A-Z a-z 0-9 . _ -", field))
      .at_field(std::string(field));
}

using setget::detail::check_length;

}  // namespace setget::inline v0::memory::detail
