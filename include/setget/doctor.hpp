// Finding: one line of a backend's health report: what was looked at, how it is, and what to do about it. See sqlite::Database::doctor and
// redis::Database::doctor. Thread rule: a value.
#pragma once

#include <cstdint>
#include <string>

namespace setget::inline v0 {

struct Finding {
  enum class Level : std::uint8_t { kOk, kWarning, kError };
  Level level = Level::kOk;
  std::string what{};
  std::string fix{};  // empty: nothing has to be done
};

}  // namespace setget::inline v0
