#include "redis/scan.hpp"

#include "redis/errors.hpp"

namespace setget::inline v0::redis {
namespace {

Result<Reply> ask(Pool& server, const NameScan& scan, const std::string& cursor, Deadline deadline) {
  auto connection = server.connection(deadline);
  if (!connection) return std::move(connection).error();
  auto command = RedisCommand::of("SCAN", cursor, "MATCH", scan.pattern, "COUNT", scan.step);
  if (!scan.type.empty()) command.arg("TYPE").arg(scan.type);
  auto replies = (*connection)->call(command.wire(), 1, deadline);
  if (!replies) return std::move(replies).error();
  return outcome_of(*replies);
}

}  // namespace

Result<void> scan_names(Client& client, const NameScan& scan, Deadline deadline, const NamePage& page) {
  auto servers = client.servers(deadline);
  if (!servers) return std::move(servers).error();
  for (const auto& server : *servers) {
    std::string cursor = "0";
    do {
      if (deadline.passed()) return connection_error(ErrorCode::kDeadlineExceeded, Trouble::kNone, "the names were not all seen in time");
      auto reply = ask(*server, scan, cursor, deadline);
      if (!reply) return std::move(reply).error();
      const auto parts = reply->elements();
      if (parts.size() != 2) return Error(ErrorCode::kCorrupted, "SCAN answered something else");
      cursor = std::string(parts[0].text());
      auto go_on = page(parts[1].elements());
      if (!go_on) return std::move(go_on).error();
      if (!*go_on) return {};
    } while (cursor != "0");
  }
  return {};
}

}  // namespace setget::inline v0::redis
