// queue stats, peek, drain.
#include <cstdio>

#include "arguments.hpp"
#include "cli.hpp"
#include "output.hpp"

namespace cli {

namespace {

using setget::Outcome;

int stats(Context& context) {
  auto session = Session::open(context.common, Missing::kRefuse, ArchiveUse::kUnused);
  if (!session) return failed(context.common, session.error());
  const auto stats = session->stores().queue.stats();
  if (!stats) return failed(context.common, stats.error());
  Json outcomes = Json::object();
  for (std::size_t i = 1; i < setget::kOutcomeCount; ++i) outcomes[std::string(to_string(static_cast<Outcome>(i)))] = stats->outcomes[i];
  const Json body = {{"queue", session->stores().queue.name()},
                     {"depth", stats->depth},
                     {"in_flight", stats->in_flight},
                     {"delayed", stats->delayed},
                     {"dead_letters", stats->dead_letters},
                     {"oldest_age_ms", stats->oldest_age ? Json(stats->oldest_age->count()) : Json(nullptr)},
                     {"accepted", stats->accepted},
                     {"outcomes", outcomes}};
  if (context.common.json) {
    print(body);
    return kOk;
  }
  std::printf("queue %s\n  depth %llu  in flight %llu  delayed %llu  dead letters %llu  oldest %s\n  accepted %llu\n",
              session->stores().queue.name().c_str(), static_cast<unsigned long long>(stats->depth),
              static_cast<unsigned long long>(stats->in_flight), static_cast<unsigned long long>(stats->delayed),
              static_cast<unsigned long long>(stats->dead_letters), stats->oldest_age ? age(*stats->oldest_age).c_str() : "-",
              static_cast<unsigned long long>(stats->accepted));
  for (const auto& [name, count] : outcomes.items()) std::printf("    %-14s %s\n", name.c_str(), count.dump().c_str());
  return kOk;
}

Json describe(const setget::Message& message) {
  Json line = {{"message_id", message.message_id},
               {"sent_at", iso(message.sent_at)},
               {"receive_count", message.receive_count},
               {"bytes", message.body.size()}};
  const auto command = setget::decode_command(message.body);
  if (!command) {
    line["undecodable"] = command.error().message();
    return line;
  }
  static constexpr const char* kKinds[] = {"?", "set", "erase", "erase_key", "touch"};
  line["kind"] = kKinds[static_cast<std::size_t>(command->kind)];
  if (!command->ns.empty()) line["namespace"] = command->ns;
  put_bytes(line, "id", command->id);
  if (!command->keys.empty()) put_bytes(line, "first_key", command->keys.front());
  line["keys"] = command->keys.size();
  line["account"] = command->account;
  line["flow"] = command->flow;
  return line;
}

int peek(Context& context, std::size_t limit) {
  auto session = Session::open(context.common, Missing::kRefuse, ArchiveUse::kUnused);
  if (!session) return failed(context.common, session.error());
  const auto& queue = session->stores().queue;
  const auto messages = queue.backend()->peek({.queue = queue.name(), .limit = limit});
  if (!messages) return failed(context.common, messages.error());
  Json list = Json::array();
  for (const auto& message : *messages) list.push_back(describe(message));
  if (context.common.json) {
    print({{"messages", list}});
    return kOk;
  }
  for (const auto& line : list) {
    std::string text;
    for (const auto& [name, value] : line.items()) {
      text += (text.empty() ? "" : "  ") + name + " " + (value.is_string() ? shown(value.get<std::string>()) : value.dump());
    }
    std::printf("%s\n", text.c_str());
  }
  return kOk;
}

int drain(Context& context, const std::string& wait_text) {
  const auto wait = parse_wait(wait_text);
  if (!wait) return failed(context.common, wait.error());
  auto session = Session::open(context.common, Missing::kRefuse, ArchiveUse::kUnused, QueueUse::kWorks);
  if (!session) return failed(context.common, session.error());
  const auto mover = session->history_mover();
  auto& worker = session->pipeline().worker();
  const auto started = worker.start();
  if (!started) return failed(context.common, started.error());
  const auto drained = session->drain(setget::Deadline::in(*wait));
  const auto stopped = worker.stop(setget::Deadline::in(std::chrono::seconds(30)));
  if (!drained) return failed(context.common, drained.error());
  if (!stopped) return failed(context.common, stopped.error());
  const auto done = worker.stats();
  const Json body = {{"received", done.received}, {"applied", done.applied}, {"duplicate", done.duplicate},        {"stale", done.stale},
                     {"expired", done.expired},   {"retried", done.retried}, {"dead_lettered", done.dead_lettered}};
  if (context.common.json) {
    print(body);
  } else {
    std::string text;
    for (const auto& [name, count] : body.items()) text += (text.empty() ? "" : "  ") + name + " " + count.dump();
    std::printf("%s\n", text.c_str());
  }
  return done.dead_lettered == 0 ? kOk : kNo;
}

}  // namespace

void add_queue(CLI::App& app, Context& context) {
  auto* queue = app.add_subcommand("queue", "look into the queue, or work it off");
  queue->require_subcommand(1);
  queue->fallthrough();
  queue->add_subcommand("stats", "depth, in flight, delayed, age of the oldest, and the ledger of outcomes")->callback([&context] {
    context.chosen = [&context] { return stats(context); };
  });
  auto limit = std::make_shared<std::size_t>(10);
  auto* look = queue->add_subcommand("peek", "the oldest unfinished messages, without leasing them");
  look->add_option("--limit", *limit)->capture_default_str()->transform(whole_number(1));
  look->callback([&context, limit] { context.chosen = [&context, limit] { return peek(context, *limit); }; });
  auto wait = std::make_shared<std::string>("10m");
  auto* work = queue->add_subcommand("drain", "run the worker in this process until the queue is empty");
  work->add_option("--wait", *wait, "how long at most")->capture_default_str()->check(length_of_time());
  work->callback([&context, wait] { context.chosen = [&context, wait] { return drain(context, *wait); }; });
}

}  // namespace cli
