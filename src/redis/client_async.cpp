// The completion form of a client. The fast way never leaves the caller's thread: a connection that is there takes the command. Everything
// that takes time (connecting, asking where things are, waiting before another attempt) happens on the thread of `Later`.
#include <utility>

#include "redis/client.hpp"

namespace setget::inline v0::redis {

struct Client::Pending {
  RedisCommand command;
  Deadline deadline;
  Callback done;
  unsigned tries = 0;
  std::optional<Redirect> ask{};
  std::shared_ptr<Pool> server{};
};

Result<void> Client::submit(RedisCommand command, Deadline deadline, Callback done) {
  if (stopping_) return connection_error(ErrorCode::kCancelled, Trouble::kNotSent, "the Redis client is closing");
  auto pending = std::make_shared<Pending>(Pending{std::move(command), deadline, std::move(done)});
  if (const auto server = router_->known(pending->command.slot())) {
    if (const auto connection = server->ready()) {
      auto sent = send(pending, server, connection);
      if (sent || trouble_of(sent.error()) != Trouble::kNotSent || sent.error().code() == ErrorCode::kResourceExhausted) return sent;
    }
  }
  if (postpone(pending, Milliseconds(0))) return {};
  return connection_error(ErrorCode::kResourceExhausted, Trouble::kRefused, "too many requests wait for a connection to Redis");
}

Result<void> Client::send(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server,
                          const std::shared_ptr<Connection>& connection) {
  const auto& command = pending->command;
  auto done = [this, pending, server](Result<Replies> replies) { answered(pending, server, std::move(replies)); };
  if (!pending->ask) return connection->submit(command.wire(), command.replies(), pending->deadline, std::move(done));
  std::string wire(RedisCommand("ASKING").wire());
  wire.append(command.wire());
  return connection->submit(wire, command.replies() + 1, pending->deadline, std::move(done));
}

void Client::answered(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server, Result<Replies> replies) {
  const bool asked = std::exchange(pending->ask, std::nullopt).has_value();
  if (!replies) return failed(pending, server, std::move(replies).error());
  auto outcome = outcome_of(std::span(*replies).subspan(asked ? 1 : 0));
  if (!outcome) return failed(pending, server, std::move(outcome).error());
  pending->done(std::move(outcome));
}

void Client::failed(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server, Error error) {
  if (server != nullptr) router_->learn(error, server);
  const auto retry = judge(error, pending->command, pending->tries++, pending->deadline);
  if (retry.next == Next::kAsk) pending->ask = redirect_of(error);
  pending->server = server;
  if (retry.next != Next::kGiveUp && Deadline::Steady::now() + retry.wait < pending->deadline.time() && postpone(pending, retry.wait))
    return;
  pending->done(std::move(error));
}

bool Client::postpone(const std::shared_ptr<Pending>& pending, Milliseconds wait) {
  Later::Task task = [this, pending](bool cancelled) { again(pending, cancelled); };
  return later_.post(Deadline::Steady::now() + wait, task);
}

// On the thread of `Later`, which may wait.
void Client::again(const std::shared_ptr<Pending>& pending, bool cancelled) {
  if (cancelled || stopping_)
    return pending->done(connection_error(ErrorCode::kCancelled, Trouble::kNotSent, "the Redis client is closing"));
  auto server = server_for(pending->command, pending->ask, pending->server, pending->deadline);
  if (!server) return failed(pending, nullptr, std::move(server).error());
  auto connection = (*server)->connection(pending->deadline);
  if (!connection) return failed(pending, *server, std::move(connection).error());
  auto sent = send(pending, *server, *connection);
  if (sent) return;
  // It was accepted once: where the connection is full it waits for room, as a blocking caller does.
  constexpr auto kPause = Milliseconds(2);
  if (sent.error().code() == ErrorCode::kResourceExhausted && !pending->deadline.passed() && postpone(pending, kPause)) return;
  failed(pending, *server, std::move(sent).error());
}

}  // namespace setget::inline v0::redis
