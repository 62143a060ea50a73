#include "redis/doctor.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "redis/client.hpp"
#include "redis/errors.hpp"
#include "redis/place.hpp"

namespace setget::inline v0::redis {
namespace {

// The commands of the store, to be queued in a MULTI that is discarded: a server looks at the user's rights when it queues a command, and
// nothing is carried out.
std::vector<std::pair<std::string, RedisCommand>> trials(const StoreReport& store) {
  const auto name = store.prefix + ":{doctor}:none";
  std::vector<std::pair<std::string, RedisCommand>> all;
  const auto add = [&](std::string_view verb, auto... rest) {
    all.emplace_back(verb, RedisCommand::of(verb, std::string_view(name), rest...));
  };
  for (const char* verb :
       {"exists", "get", "mget", "del", "unlink", "strlen", "hgetall", "hkeys", "hvals", "hlen", "llen", "lpop", "smembers", "zcard"})
    add(verb);
  for (const char* verb : {"hget", "hmget", "hexists", "hdel", "rpush", "sadd", "srem", "zrem", "zscore", "set", "setnx", "msetnx"})
    add(verb, "x");
  for (const char* verb : {"hset", "hsetnx"}) add(verb, "x", "x");
  for (const char* verb : {"getrange", "lrange", "ltrim", "zrange"}) add(verb, 0, 0);
  for (const char* verb : {"zrangebyscore", "zrangebylex", "zrevrangebyscore"}) add(verb, "-", "+");
  add("setrange", 0, "x");
  add("hincrby", "x", 1);
  add("hscan", 0);
  add("lindex", 0);
  add("linsert", "before", "x", "x");
  add("lrem", 0, "x");
  add("zadd", 1, "x");
  all.emplace_back("eval", RedisCommand::of("eval", "return 1", 0));
  all.emplace_back("evalsha", RedisCommand::of("evalsha", "0000000000000000000000000000000000000000", 0));
  all.emplace_back("scan", RedisCommand::of("scan", 0));
  if (store.topology == Topology::kCluster) all.emplace_back("asking", RedisCommand::of("asking"));
  if (store.wait_replicas > 0) all.emplace_back("wait", RedisCommand::of("wait", 0, 1));
  return all;
}

Fields pairs(const Reply& reply) {
  Fields fields;
  const auto list = reply.elements();
  for (std::size_t i = 0; i + 1 < list.size(); i += 2) fields.emplace(list[i].text(), list[i + 1].text());
  return fields;
}

bool is_forbidden(const Reply& reply) {
  if (!reply.is_error()) return false;
  const auto trouble = trouble_of(server_error(reply.text()));
  // EXEC ends its transaction also where it is refused, and says so first.
  return trouble == Trouble::kNoPermission || (trouble == Trouble::kExecAborted && reply.text().find("NOPERM") != std::string_view::npos);
}

std::optional<std::int64_t> digits(const Reply& reply, std::int64_t most) {
  std::int64_t value = -1;
  const auto text = reply.text();
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || value < 0 || value > most) return std::nullopt;
  return value;
}

// Times of server and host are compared at the middle of the round trip.
void ask_time(Exclusive& connection, ServerReport& report, Deadline deadline) {
  const auto before = system_clock()->now();
  const auto began = Deadline::Steady::now();
  const auto reply = connection.call(RedisCommand::of("TIME"), deadline);
  const auto took = std::chrono::duration_cast<Milliseconds>(Deadline::Steady::now() - began);
  if (!reply || reply->elements().size() != 2) return;
  constexpr std::int64_t kLastSecond = 253'402'300'799;  // of the year 9999
  const auto seconds = digits(reply->elements()[0], kLastSecond);
  const auto microseconds = digits(reply->elements()[1], 999'999);
  if (!seconds || !microseconds) return;
  const TimePoint theirs{Milliseconds(*seconds * 1000 + *microseconds / 1000)};
  report.round_trip = took;
  report.clock_ahead = std::chrono::duration_cast<Milliseconds>(theirs - (before + took / 2));
}

Result<void> try_commands(Exclusive& connection, const StoreReport& store, ServerReport& report, Deadline deadline) {
  const auto refused = [&](std::string name, const Reply& reply) {
    if (is_forbidden(reply)) report.forbidden.push_back(std::move(name));
    return reply.is_error();
  };
  auto watched = connection.call(RedisCommand::of("WATCH", std::string_view(store.prefix + ":{doctor}:none")), deadline);
  if (!watched && trouble_of(watched.error()) == Trouble::kNoPermission) report.forbidden.emplace_back("watch");
  const std::array first = {RedisCommand::of("UNWATCH"), RedisCommand::of("MULTI"), RedisCommand::of("EXEC"), RedisCommand::of("MULTI")};
  auto opened = connection.pipeline(first, deadline);
  if (!opened) return std::move(opened).error();
  refused("unwatch", (*opened)[0]);
  refused("exec", (*opened)[2]);
  // Without MULTI what follows would be carried out.
  if (refused("multi", (*opened)[3])) return {};

  auto named = trials(store);
  named.emplace_back("discard", RedisCommand::of("DISCARD"));
  std::vector<RedisCommand> commands;
  commands.reserve(named.size());
  for (const auto& [name, command] : named) commands.push_back(command);
  auto tried = connection.pipeline(commands, deadline);
  if (!tried) return std::move(tried).error();
  for (std::size_t i = 0; i < named.size(); ++i) refused(named[i].first, (*tried)[i]);
  return {};
}

Result<void> ask(Pool& server, const StoreReport& store, ServerReport& report, Deadline deadline) {
  // One that nobody shares: MULTI is among what is tried.
  auto connection = server.exclusive(deadline);
  if (!connection) return std::move(connection).error();
  ask_time(*connection, report, deadline);

  std::vector<RedisCommand> questions = {RedisCommand::of("INFO"),
                                         RedisCommand::of("CONFIG", "GET", "append*"),
                                         RedisCommand::of("CONFIG", "GET", "aof-load-truncated"),
                                         RedisCommand::of("CONFIG", "GET", "save"),
                                         RedisCommand::of("CONFIG", "GET", "maxmemory*"),
                                         RedisCommand::of("CONFIG", "GET", "min-replicas-*")};
  constexpr std::size_t kConfigs = 5;
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

  if (auto tried = try_commands(*connection, store, report, deadline); !tried) return tried;
  if (is_forbidden((*answers)[0])) report.forbidden.emplace_back("info");
  return {};
}

}  // namespace

Result<std::vector<Finding>> examine(Place& place, std::uint32_t wait_replicas, Deadline deadline) {
  auto& client = place.client();
  auto servers = client.servers(deadline);
  if (!servers) return std::move(servers).error();
  StoreReport report{.topology = client.settings().topology, .prefix = place.prefix(), .wait_replicas = wait_replicas};
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
