#include "redis/handshake.hpp"

#include "redis/errors.hpp"

namespace setget::inline v0::redis {
namespace {

std::string field_of(std::string_view info, std::string_view name) {
  const auto start = info.find(std::string(name) + ":");
  if (start == std::string_view::npos) return {};
  const auto value = info.substr(start + name.size() + 1);
  return std::string(value.substr(0, value.find_first_of("\r\n")));
}

}  // namespace

Result<void> shake_hands(Connection& connection, const Settings& settings, Deadline deadline) {
  std::string wire;
  std::size_t commands = 0;
  std::size_t naming = 0;  // which of them may fail
  const auto add = [&](const RedisCommand& command) {
    wire.append(command.wire());
    return ++commands;
  };
  const std::string user = settings.user.empty() ? "default" : settings.user;
  if (settings.protocol == 3) {
    RedisCommand hello("HELLO");
    hello.arg("3");
    if (!settings.password.empty()) hello.arg("AUTH").arg(user).arg(settings.password);
    add(hello);
  } else if (!settings.password.empty()) {
    // Servers before 6 know no users.
    add(settings.user.empty() ? RedisCommand("AUTH").arg(settings.password) : RedisCommand("AUTH").arg(user).arg(settings.password));
  }
  if (!settings.client_name.empty()) naming = add(RedisCommand("CLIENT").arg("SETNAME").arg(settings.client_name));
  if (settings.database != 0) add(RedisCommand("SELECT").arg(static_cast<std::int64_t>(settings.database)));
  if (commands == 0) add(RedisCommand("PING"));
  auto replies = connection.call(wire, commands, deadline);
  if (!replies) return std::move(replies).error();
  for (std::size_t i = 0; i < replies->size(); ++i) {
    const auto& reply = (*replies)[i];
    if (!reply.is_error()) continue;
    // A server that does not know the command repeats what stands behind it: the password.
    const auto text = reply.text();
    auto error = server_error(text.substr(0, text.find(", with args beginning with")));
    // A name is a courtesy: a user who may not set it, or a server that knows none, is as good.
    const auto trouble = trouble_of(error);
    if (i + 1 == naming && (trouble == Trouble::kNoPermission || trouble == Trouble::kUnknownCommand)) continue;
    return error;
  }
  return {};
}

ServerFacts ask_facts(Connection& connection, Deadline deadline) {
  ServerFacts facts;
  const auto replies = connection.call(RedisCommand("INFO").arg("server").wire(), 1, deadline);
  if (!replies || replies->front().is_error()) return facts;
  facts.version = field_of(replies->front().text(), "redis_version");
  facts.run_id = field_of(replies->front().text(), "run_id");
  return facts;
}

}  // namespace setget::inline v0::redis
