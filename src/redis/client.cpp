#include "redis/client.hpp"

#include <algorithm>
#include <deque>
#include <utility>

namespace setget::inline v0::redis {
namespace {

std::string_view asking() {
  static const RedisCommand command("ASKING");
  return command.wire();
}

Error cancelled() { return connection_error(ErrorCode::kCancelled, Trouble::kNotSent, "the Redis client is closing"); }

}  // namespace

Result<std::shared_ptr<Client>> Client::create(const ClientOptions& options) {
  auto common = std::make_shared<Common>();
  common->settings = options.settings;
  common->random = options.random == nullptr ? system_random() : options.random;
  common->on_push = options.on_push;
  common->telemetry = std::make_shared<Telemetry>(options.metrics);
  if (common->settings.use_tls) {
    auto tls = TlsContext::create(common->settings.tls);
    if (!tls) return std::move(tls).error();
    common->tls = *std::move(tls);
  }
  return std::shared_ptr<Client>(new Client(options, std::move(common)));
}

Client::Client(const ClientOptions& options, std::shared_ptr<const Common> common)
    : common_(std::move(common)), router_(Router::create(common_)), later_(options.max_waiting) {}

Client::~Client() { stop(); }

void Client::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    stopping_changed_.notify_all();
  }
  // Everybody who waits is answered before the errands that they wait for have ended.
  later_.stop();
  errands_.stop();
  router_->stop();
}

// Waits before another attempt; false if there is no time for one.
bool Client::pause(Milliseconds wait, Deadline deadline) {
  if (wait.count() == 0) return !stopping_ && !deadline.passed();
  const auto until = Deadline::Steady::now() + wait;
  if (until >= deadline.time()) return false;
  std::unique_lock lock(mutex_);
  stopping_changed_.wait_until(lock, until, [&] { return stopping_.load(); });
  return !stopping_;
}

Result<std::shared_ptr<Pool>> Client::server_for(const RedisCommand& command, const std::optional<Redirect>& ask,
                                                 const std::shared_ptr<Pool>& last, Deadline deadline) {
  if (stopping_) return cancelled();
  return ask && last != nullptr ? router_->asked(*ask, *last) : router_->route(command.slot(), deadline);
}

// Sends a command once. `ask`: to the server that ASK named, behind ASKING. `server` becomes the one that it was sent to.
Result<Reply> Client::attempt(const RedisCommand& command, Deadline deadline, std::optional<Redirect>& ask, std::shared_ptr<Pool>& server) {
  auto chosen = server_for(command, ask, server, deadline);
  if (!chosen) {
    server = nullptr;
    return std::move(chosen).error();
  }
  server = *std::move(chosen);
  auto connection = server->connection(deadline);
  if (!connection) return std::move(connection).error();
  if (!std::exchange(ask, std::nullopt)) {
    auto replies = (*connection)->call(command.wire(), command.replies(), deadline);
    if (!replies) return std::move(replies).error();
    return outcome_of(*replies);
  }
  std::string wire(asking());
  wire.append(command.wire());
  auto replies = (*connection)->call(wire, command.replies() + 1, deadline);
  if (!replies) return std::move(replies).error();
  return outcome_of(std::span(*replies).subspan(1));
}

Retry Client::judge(const Error& error, const RedisCommand& command, unsigned attempt, Deadline deadline) {
  if (deadline.passed() || stopping_) return {};
  return retry_after(error, command.is_idempotent(), router_->routed(), attempt, common_->random->next());
}

Result<Reply> Client::call(const RedisCommand& command, Deadline deadline) {
  std::optional<Redirect> ask;
  std::shared_ptr<Pool> server;
  const auto since = telemetry().begin();
  for (unsigned tries = 0;; ++tries) {
    auto result = attempt(command, deadline, ask, server);
    if (result) {
      telemetry().answered(since, 1);
      return result;
    }
    if (server != nullptr) router_->learn(result.error(), server);
    const auto retry = judge(result.error(), command, tries, deadline);
    if (retry.next == Next::kAsk) ask = redirect_of(result.error());
    if (retry.next == Next::kGiveUp || !pause(retry.wait, deadline)) {
      telemetry().missed(result.error());
      telemetry().answered(since, 1);
      return result;
    }
  }
}

// The part of a pipeline that goes to one server.
struct Client::Sending {
  struct Item {
    std::size_t number;
    bool ask;
  };
  std::shared_ptr<Pool> server;
  std::vector<Item> items{};
  std::string wire{};
  std::size_t replies = 0;
  std::shared_ptr<Connection> connection{};
  std::unique_ptr<Connection::Request> request{};
  std::optional<Error> failed{};

  void start(Deadline deadline) {
    auto opened = server->connection(deadline);
    if (!opened) {
      failed = std::move(opened).error();
      return;
    }
    connection = *std::move(opened);
    request = std::make_unique<Connection::Request>();
    if (auto started = connection->start(*request, wire, replies, deadline); !started) failed = std::move(started).error();
  }
};

std::vector<Result<Reply>> Client::pipeline(std::span<const RedisCommand> commands, Deadline deadline) {
  struct State {
    std::optional<Redirect> ask{};
    std::shared_ptr<Pool> server{};
    bool open = true;
  };
  const auto since = telemetry().begin();
  std::vector<State> states(commands.size());
  std::vector<Result<Reply>> results(commands.size(), cancelled());
  for (unsigned tries = 0;; ++tries) {
    std::vector<Sending> groups;
    for (std::size_t i = 0; i < commands.size(); ++i) {
      auto& state = states[i];
      if (!state.open) continue;
      auto chosen = server_for(commands[i], state.ask, state.server, deadline);
      if (!chosen) {
        state.server = nullptr;
        results[i] = std::move(chosen).error();
        continue;
      }
      state.server = *std::move(chosen);
      auto group = std::ranges::find(groups, state.server, &Sending::server);
      if (group == groups.end()) group = groups.insert(groups.end(), Sending{.server = state.server});
      const bool ask = std::exchange(state.ask, std::nullopt).has_value();
      if (ask) group->wire.append(asking());
      group->wire.append(commands[i].wire());
      group->replies += commands[i].replies() + (ask ? 1 : 0);
      group->items.push_back({i, ask});
    }
    // All are under way before the first is waited for.
    for (auto& group : groups) group.start(deadline);
    for (auto& group : groups) {
      Result<Replies> replies = group.failed ? Result<Replies>(*group.failed) : group.connection->finish(*group.request, deadline);
      std::size_t at = 0;
      for (const auto& item : group.items) {
        if (!replies) {
          results[item.number] = replies.error();
          continue;
        }
        at += item.ask ? 1 : 0;
        results[item.number] = outcome_of(std::span(*replies).subspan(at, commands[item.number].replies()));
        at += commands[item.number].replies();
      }
    }
    bool more = false;
    Milliseconds wait{0};
    for (std::size_t i = 0; i < commands.size(); ++i) {
      auto& state = states[i];
      if (!state.open) continue;
      state.open = false;
      if (results[i]) continue;
      const auto& error = results[i].error();
      if (state.server != nullptr) router_->learn(error, state.server);
      const auto retry = judge(error, commands[i], tries, deadline);
      if (retry.next == Next::kGiveUp) continue;
      if (retry.next == Next::kAsk) state.ask = redirect_of(error);
      state.open = more = true;
      wait = std::max(wait, retry.wait);
    }
    if (more && pause(wait, deadline)) continue;
    for (const auto& result : results) {
      if (!result) telemetry().missed(result.error());
    }
    telemetry().answered(since, commands.size());
    return results;
  }
}

Result<Client::Lease> Client::lease(std::optional<std::uint32_t> slot, Deadline deadline) {
  for (unsigned tries = 0;; ++tries) {
    if (stopping_) return cancelled();
    auto server = router_->route(slot, deadline);
    std::optional<Error> failed;
    if (server) {
      auto connection = (*server)->exclusive(deadline);
      if (connection) return Lease{*std::move(connection), *std::move(server)};
      failed = std::move(connection).error();
      router_->learn(*failed, *server);
    } else {
      failed = std::move(server).error();
    }
    const auto retry = retry_after(*failed, true, router_->routed(), tries, common_->random->next());
    if (retry.next == Next::kGiveUp || !pause(retry.wait, deadline)) return *std::move(failed);
  }
}

bool Client::may_do_anew(const Error& error, unsigned tries, Deadline deadline) {
  if (deadline.passed() || stopping_) return false;
  // Exclusive connections do not follow ASK: they wait until the slot has moved.
  const auto& judged = trouble_of(error) == Trouble::kAsk ? server_error("TRYAGAIN") : error;
  const auto retry = retry_after(judged, false, router_->routed(), tries, common_->random->next());
  return retry.next != Next::kGiveUp && pause(retry.wait, deadline);
}

Result<std::vector<std::shared_ptr<Pool>>> Client::servers(Deadline deadline) {
  if (auto looked = router_->look_again(deadline); !looked) return std::move(looked).error();
  return router_->servers();
}

}  // namespace setget::inline v0::redis
