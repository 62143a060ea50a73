#include "redis/doctor.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "redis/client.hpp"
#include "redis/errors.hpp"
#include "redis/place.hpp"

namespace setget::inline v0::redis {
namespace {

// The commands of the store, each in a form that changes nothing: the names do not exist, and nothing here makes them. A server looks at
// the user's rights before anything else, so any other answer means that the command is permitted.
std::vector<std::pair<std::string, RedisCommand>> trials(const std::string& prefix) {
  const auto none = prefix + ":{doctor}:none";
  std::vector<std::pair<std::string, RedisCommand>> all;
  const auto add = [&](std::string_view verb, auto... rest) {
    all.emplace_back(verb, RedisCommand::of(verb, std::string_view(none), rest...));
  };
  const auto bare = [&](std::string_view verb, auto... rest) { all.emplace_back(verb, RedisCommand::of(verb, rest...)); };
  add("get");
  add("mget");
  add("getrange", 0, 15);
  add("exists");
  add("set", "x", "XX");
  add("del");
  add("unlink");
  add("pexpire", 1000);
  add("hgetall");
  add("hmget", "x");
  add("hdel", "x");
  add("zrange", 0, 0);
  add("zrangebyscore", "-inf", "+inf");
  add("zadd", "XX", 1, "x");
  add("zrem", "x");
  add("zcard");
  add("xadd", "NOMKSTREAM", "*", "x", "x");
  add("xrange", "-", "+", "COUNT", 1);
  add("xrevrange", "+", "-", "COUNT", 1);
  add("xlen");
  add("xdel", "1-1");
  add("xtrim", "MAXLEN", 0);
  bare("eval", "return 1", 0);
  bare("evalsha", "0000000000000000000000000000000000000000", 0);
  add("watch");
  bare("unwatch");
  bare("multi");
  bare("exec");
  return all;
}

Fields pairs(const Reply& reply) {
  Fields fields;
  const auto list = reply.elements();
  for (std::size_t i = 0; i + 1 < list.size(); i += 2) fields.emplace(list[i].text(), list[i + 1].text());
  return fields;
}

bool is_forbidden(const Reply& reply) { return reply.is_error() && trouble_of(server_error(reply.text())) == Trouble::kNoPermission; }

std::int64_t digits(const Reply& reply) {
  std::int64_t value = 0;
  const auto text = reply.text();
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Times of server and host are compared at the middle of the round trip.
void ask_time(Exclusive& connection, ServerReport& report, Deadline deadline) {
  const auto before = system_clock()->now();
  const auto began = Deadline::Steady::now();
  const auto reply = connection.call(RedisCommand::of("TIME"), deadline);
  const auto took = std::chrono::duration_cast<Milliseconds>(Deadline::Steady::now() - began);
  if (!reply || reply->elements().size() != 2) return;
  const auto parts = reply->elements();
  const TimePoint theirs{Milliseconds(digits(parts[0]) * 1000 + digits(parts[1]) / 1000)};
  report.round_trip = took;
  report.clock_ahead = std::chrono::duration_cast<Milliseconds>(theirs - (before + took / 2));
}

Result<void> ask(Pool& server, const StoreReport& store, ServerReport& report, Deadline deadline) {
  // One that nobody shares: MULTI is among what is tried.
  auto connection = server.exclusive(deadline);
  if (!connection) return std::move(connection).error();
  ask_time(*connection, report, deadline);

  std::vector<RedisCommand> questions = {RedisCommand::of("INFO"), RedisCommand::of("CONFIG", "GET", "append*"),
                                         RedisCommand::of("CONFIG", "GET", "save"), RedisCommand::of("CONFIG", "GET", "maxmemory*"),
                                         RedisCommand::of("CONFIG", "GET", "min-replicas-*")};
  constexpr std::size_t kConfigs = 4;
  const bool clustered = store.topology == Topology::kCluster;
  if (clustered) {
    questions.push_back(RedisCommand::of("CLUSTER", "INFO"));
    questions.push_back(RedisCommand::of("CLUSTER", "NODES"));
  }
  auto answers = connection->pipeline(questions, deadline);
  if (!answers) return std::move(answers).error();
  report.info = parse_fields((*answers)[0].text());
  for (std::size_t i = 1; i <= kConfigs; ++i) {
    if ((*answers)[i].is_error()) continue;
    if (!report.config) report.config.emplace();
    report.config->merge(pairs((*answers)[i]));
  }
  if (clustered) {
    report.cluster = parse_fields((*answers)[kConfigs + 1].text());
    report.nodes = (*answers)[kConfigs + 2].text();
  }

  const auto named = trials(store.prefix);
  std::vector<RedisCommand> commands;
  for (const auto& [name, command] : named) commands.push_back(command);
  auto tried = connection->pipeline(commands, deadline);
  if (!tried) return std::move(tried).error();
  for (std::size_t i = 0; i < named.size(); ++i) {
    if (is_forbidden((*tried)[i])) report.forbidden.push_back(named[i].first);
  }
  if (is_forbidden((*answers)[0])) report.forbidden.emplace_back("info");
  return {};
}

}  // namespace

Result<std::vector<Finding>> examine(Place& place, Deadline deadline) {
  auto& client = place.client();
  auto servers = client.servers(deadline);
  if (!servers) return std::move(servers).error();
  StoreReport report{.topology = client.settings().topology, .prefix = place.prefix()};
  for (const auto& server : *servers) {
    ServerReport one{.name = server->endpoint().text()};
    if (auto asked = ask(*server, report, one, deadline); !asked) one.unreachable = asked.error().message();
    report.servers.push_back(std::move(one));
  }
  // A single server that does not answer: nothing is known, and that is no finding but a failure.
  if (std::ranges::all_of(report.servers, [](const ServerReport& server) { return !server.unreachable.empty(); })) {
    auto root = client.call(RedisCommand("EXISTS").key(place.prefix() + ":m").idempotent(), deadline);
    if (!root) return std::move(root).error();
  }
  auto root = client.call(RedisCommand("HGETALL").key(place.prefix() + ":m").idempotent(), deadline);
  if (!root) return std::move(root).error();
  if (!root->elements().empty()) report.root = pairs(*root);
  return judge(report);
}

}  // namespace setget::inline v0::redis
