#include "redis/drop.hpp"

#include <vector>

#include "redis/scan.hpp"

namespace setget::inline v0::redis {

// A prefix has no character that means anything in a pattern, and the colon ends it: "app" does not touch "app2".
Result<std::uint64_t> drop_store(Place& place, Deadline deadline) {
  std::uint64_t dropped = 0;
  auto walked = scan_names(place.client(), {.pattern = place.prefix() + ":*"}, deadline, [&](std::span<const Reply> names) -> Result<bool> {
    std::vector<RedisCommand> commands;
    for (const auto& name : names) commands.push_back(RedisCommand("UNLINK").key(name.text()).idempotent());
    for (auto& gone : place.client().pipeline(commands, deadline)) {
      if (!gone) return std::move(gone).error();
      dropped += static_cast<std::uint64_t>(gone->integer());
    }
    return true;
  });
  if (!walked) return std::move(walked).error();
  return dropped;
}

}  // namespace setget::inline v0::redis
