// What the change log (store_log.cpp) and its cursors (store_cursors.cpp) share.
#pragma once

#include <charconv>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <vector>

#include "redis/store.hpp"

namespace setget::inline v0::redis {

struct RedisStore::CursorState {
  bool exists = false;
  std::vector<Position> positions;  // of the cursor, in each part
  std::vector<Position> bases;      // before the first entry that is still there
  std::vector<Position> ends;
  std::uint64_t max_lag = 0;
  bool dropped = false;
  TimePoint updated_at{};
  std::uint64_t epoch = 0;  // that it is
  bool replaced = false;    // the cursor is of another one
};

inline Position total(const std::vector<Position>& all) { return std::accumulate(all.begin(), all.end(), Position{0}); }

// What a server says in digits; 0 where it says nothing.
inline std::uint64_t number_of(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Error no_such_cursor(std::string_view name);
Error dropped_cursor(std::string_view name);
Error replaced_content(std::string_view name);
Error lost_end();
Error kept_trimming();

}  // namespace setget::inline v0::redis
