#include "redis/drop.hpp"

#include <string>
#include <vector>

#include "redis/errors.hpp"

namespace setget::inline v0::redis {
namespace {

constexpr std::int64_t kStep = 500;  // names a SCAN step: a few hundred µs of the server

// One page of a master's names; answers the cursor of the next.
Result<std::string> drop_page(Client& client, Pool& server, const std::string& cursor, const std::string& pattern, Deadline deadline,
                              std::uint64_t& dropped) {
  auto connection = server.connection(deadline);
  if (!connection) return std::move(connection).error();
  auto replies = (*connection)->call(RedisCommand::of("SCAN", cursor, "MATCH", pattern, "COUNT", kStep).wire(), 1, deadline);
  if (!replies) return std::move(replies).error();
  auto page = outcome_of(*replies);
  if (!page) return std::move(page).error();
  const auto parts = page->elements();
  if (parts.size() != 2) return Error(ErrorCode::kCorrupted, "SCAN answered what is not a page");
  std::vector<RedisCommand> commands;
  for (const auto& name : parts[1].elements()) commands.push_back(RedisCommand("UNLINK").key(name.text()).idempotent());
  for (auto& gone : client.pipeline(commands, deadline)) {
    if (!gone) return std::move(gone).error();
    dropped += static_cast<std::uint64_t>(gone->integer());
  }
  return std::string(parts[0].text());
}

}  // namespace

// A prefix has no character that means anything in a pattern, and the colon ends it: "app" does not touch "app2".
Result<std::uint64_t> drop_store(Place& place, Deadline deadline) {
  auto& client = place.client();
  auto servers = client.servers(deadline);
  if (!servers) return std::move(servers).error();
  const auto pattern = place.prefix() + ":*";
  std::uint64_t dropped = 0;
  for (const auto& server : *servers) {
    std::string cursor = "0";
    do {
      if (deadline.passed()) return connection_error(ErrorCode::kDeadlineExceeded, Trouble::kNone, "not all was dropped in time");
      auto next = drop_page(client, *server, cursor, pattern, deadline, dropped);
      if (!next) return std::move(next).error();
      cursor = *std::move(next);
    } while (cursor != "0");
  }
  return dropped;
}

}  // namespace setget::inline v0::redis
