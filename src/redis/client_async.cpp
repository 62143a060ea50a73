// The completion form of a client. The fast way never leaves the caller's thread: a connection that is there takes the command. What has
// to wait for a server (connecting, asking where things are) is an errand, in the lane of that server. What waits, for that or for another
// attempt, has a place with `Later`, which ends it at its deadline; whoever takes it back from there goes on with it, so that each request
// is answered once.
#include <algorithm>
#include <utility>

#include "redis/client.hpp"

namespace setget::inline v0::redis {
namespace {

Error closing() { return connection_error(ErrorCode::kCancelled, Trouble::kNotSent, "the Redis client is closing"); }
Error crowded() {
  return connection_error(ErrorCode::kResourceExhausted, Trouble::kRefused, "too many requests wait for a connection to Redis");
}
Error too_late() { return connection_error(ErrorCode::kDeadlineExceeded, Trouble::kNotSent, "no connection to Redis in time"); }

// What a connection's refusal means: that an errand may do better.
bool worth_waiting(const Error& error) noexcept {
  return trouble_of(error) == Trouble::kNotSent && error.code() != ErrorCode::kResourceExhausted;
}

// A callback has nobody to throw to.
template <class Done, class Answer>
void tell(Done& done, Answer&& answer) noexcept {
  try {
    done(std::forward<Answer>(answer));
  } catch (...) {  // NOLINT(bugprone-empty-catch): and the others must still run
  }
}

}  // namespace

// One command: what the connection waits with, and what is needed to send it again.
struct Client::Pending final : Waiter {
  Pending(Client& owner, RedisCommand&& one, Deadline until, Callback&& callback)
      : Waiter(until), client(owner), command(std::move(one)), done(std::move(callback)), since(owner.telemetry().begin()) {}

  void settled(std::shared_ptr<Waiter> self, std::optional<Error> failed) override {
    const bool asked = std::exchange(ask, std::nullopt).has_value();
    auto replies = take_replies();
    if (!failed) {
      auto outcome = outcome_of(std::span(replies).subspan(asked ? 1 : 0));
      if (outcome) return end(std::move(outcome));
      failed = std::move(outcome).error();
    }
    const auto from = std::exchange(server, nullptr);
    client.failed(std::static_pointer_cast<Pending>(std::move(self)), from, *std::move(failed));
  }
  using Waiter::deadline;

  void end(Result<Reply> result) {
    // Part of a batch: that is measured as a whole.
    if (alone) client.telemetry().answered(since, 1);
    if (!result) client.telemetry().missed(result.error());
    tell(done, std::move(result));
  }

  Client& client;
  RedisCommand command;
  Callback done;
  Telemetry::Time since;
  bool alone = true;
  unsigned tries = 0;
  std::optional<Redirect> ask{};
  std::shared_ptr<Pool> server{};  // that it was last sent to
};

// Where no other server can answer, callers are told at once that this one is away; whether it is back is found out beside them.
std::optional<Error> Client::unreachable(const std::shared_ptr<Pool>& server) {
  if (router_->routed()) return std::nullopt;
  auto down = server->unreachable();
  if (!down || !server->due() || probing_.exchange(true)) return down;
  Errands::Task probe = [this, server](bool cancelled) {
    if (!cancelled) (void)server->connection(patience());
    probing_ = false;
  };
  if (!errands_.post(server.get(), probe)) probing_ = false;
  return down;
}

// On a thread of a loop its own connection, which is made beside the first requests.
std::shared_ptr<Connection> Client::ready(const std::shared_ptr<Pool>& server) {
  bool make_own = false;
  auto found = server->ready(make_own);
  if (!make_own) return found;
  Errands::Task open = [this, server, loop = EventLoop::current()](bool cancelled) { server->open_for(loop, patience(), cancelled); };
  if (!errands_.post(server.get(), open)) open(true);
  return found;
}

// --- one command ------------------------------------------------------------------------------------------------------------------

Result<void> Client::submit(RedisCommand command, Deadline deadline, Callback done) {
  if (stopping_) return closing();
  const auto pending = std::make_shared<Pending>(*this, std::move(command), deadline, std::move(done));
  const auto server = router_->known(pending->command.slot());
  if (server != nullptr) {
    if (const auto connection = ready(server)) {
      auto sent = send(pending, server, connection);
      if (sent || !worth_waiting(sent.error())) return sent;
    } else if (auto down = unreachable(server)) {
      return *std::move(down);
    }
  }
  if (queue(pending, server)) return {};
  return crowded();
}

Result<void> Client::send(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server,
                          const std::shared_ptr<Connection>& connection) {
  const auto& command = pending->command;
  pending->server = server;
  if (!pending->ask) return connection->submit(command.wire(), command.replies(), pending);
  std::string wire(RedisCommand("ASKING").wire());
  wire.append(command.wire());
  return connection->submit(wire, command.replies() + 1, pending);
}

void Client::failed(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server, Error error) {
  if (server != nullptr) router_->learn(error, server);
  const auto retry = judge(error, pending->command, pending->tries++, pending->deadline());
  if (retry.next == Next::kAsk) pending->ask = redirect_of(error);
  pending->server = server;
  if (retry.next != Next::kGiveUp && Deadline::Steady::now() + retry.wait < pending->deadline().time() && postpone(pending, retry.wait))
    return;
  pending->end(std::move(error));
}

bool Client::postpone(const std::shared_ptr<Pending>& pending, Milliseconds wait) {
  if (wait.count() == 0) return queue(pending, next_server(*pending));
  Later::Task task = [this, pending](bool cancelled) {
    if (cancelled || !queue(pending, next_server(*pending))) pending->end(cancelled || stopping_ ? closing() : crowded());
  };
  return later_.post(Deadline::Steady::now() + wait, task).has_value();
}

// As far as it is known without asking.
std::shared_ptr<Pool> Client::next_server(const Pending& pending) {
  if (!pending.ask || pending.server == nullptr) return router_->known(pending.command.slot());
  auto asked = router_->asked(*pending.ask, *pending.server);
  return asked ? *std::move(asked) : nullptr;
}

// What an errand finds out serves all who come behind it: those in a hurry do not cut it short, they are answered without it.
Deadline Client::patience(Deadline deadline) const {
  return Deadline::at(std::max(deadline.time(), Deadline::in(common_->settings.connect_timeout * 2).time()));
}

// Behind what else waits for this server; nullptr: for word of where things are.
bool Client::queue(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server) {
  Later::Task end = [pending](bool cancelled) { pending->end(cancelled ? closing() : too_late()); };
  const auto ticket = later_.post(pending->deadline().time(), end);
  return ticket && (run_errand(pending, server, *ticket) || !later_.take_back(*ticket));
}

bool Client::run_errand(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server, const Later::Ticket& ticket) {
  Errands::Task task = [this, pending, server, ticket](bool) {
    if (!later_.waits(ticket)) return;  // nobody is left to do it for
    if (server == nullptr) {
      find_server(pending, ticket);
    } else {
      again(pending, server, ticket);
    }
  };
  return errands_.post(server.get(), task);
}

// An errand, which may wait.
void Client::find_server(const std::shared_ptr<Pending>& pending, const Later::Ticket& ticket) {
  auto found = server_for(pending->command, pending->ask, pending->server, patience(pending->deadline()));
  if (found && run_errand(pending, *found, ticket)) return;
  if (!later_.take_back(ticket)) return;
  if (found) return pending->end(closing());
  failed(pending, nullptr, std::move(found).error());
}

// An errand, which may wait.
void Client::again(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server, const Later::Ticket& ticket) {
  auto connection = server->connection(patience(pending->deadline()));
  if (!later_.take_back(ticket)) return;
  if (!connection) return failed(pending, server, std::move(connection).error());
  auto sent = send(pending, server, *connection);
  if (sent) return;
  // It was accepted once: where the connection is full it waits for room, as a blocking caller does.
  constexpr auto kPause = Milliseconds(2);
  if (sent.error().code() == ErrorCode::kResourceExhausted && !pending->deadline().passed() && postpone(pending, kPause)) return;
  failed(pending, server, std::move(sent).error());
}

// --- many at once -----------------------------------------------------------------------------------------------------------------

// What all parts of a batch share.
struct Client::Batch {
  Batch(Telemetry& told, RedisCommands&& all, Deadline until, BatchCallback&& callback)
      : telemetry(told),
        since(told.begin()),
        commands(std::move(all)),
        deadline(until),
        done(std::move(callback)),
        results(commands.size(), Reply()),
        left(commands.size()) {}

  void answer(std::size_t number, Result<Reply> result) {
    results[number] = std::move(result);
    settle(1);
  }
  void settle(std::size_t answers) {
    if (left.fetch_sub(answers, std::memory_order_acq_rel) != answers) return;
    telemetry.answered(since, commands.size());
    tell(done, std::move(results));
  }

  Telemetry& telemetry;
  const Telemetry::Time since;
  const RedisCommands commands;
  const Deadline deadline;
  BatchCallback done;
  std::vector<Result<Reply>> results;
  std::atomic<std::size_t> left;
};

// Those that go to one server.
struct Client::Part final : Waiter {
  Part(Client& owner, std::shared_ptr<Batch> whole, std::shared_ptr<Pool> where)
      : Waiter(whole->deadline), client(owner), batch(std::move(whole)), server(std::move(where)) {}

  void settled(std::shared_ptr<Waiter>, std::optional<Error> failed) override {
    auto replies = take_replies();
    std::size_t at = 0;
    std::size_t answered = 0;
    const auto count = items.empty() ? batch->commands.size() : items.size();
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t number = items.empty() ? i : items[i];
      Result<Reply> result = Reply();
      if (failed) {
        result = *failed;
      } else {
        const auto size = batch->commands.replies(number);
        result = outcome_of(std::span(replies).subspan(at, size));
        at += size;
      }
      if (!result) {
        // From here on it goes its own way.
        auto error = std::move(result).error();
        client.failed(client.part_with(batch, number), server, std::move(error));
        continue;
      }
      batch->results[number] = std::move(result);
      ++answered;
    }
    if (answered > 0) batch->settle(answered);
  }

  Client& client;
  std::shared_ptr<Batch> batch;
  std::shared_ptr<Pool> server;
  std::vector<std::uint32_t> items{};  // empty: all of the batch
};

std::shared_ptr<Client::Pending> Client::part_with(const std::shared_ptr<Batch>& batch, std::size_t number) {
  auto part = std::make_shared<Pending>(*this, batch->commands.command(number), batch->deadline,
                                        [batch, number](Result<Reply> result) { batch->answer(number, std::move(result)); });
  part->alone = false;
  return part;
}

Result<void> Client::submit(RedisCommands commands, Deadline deadline, BatchCallback done) {
  if (stopping_) return closing();
  if (commands.empty()) {
    tell(done, std::vector<Result<Reply>>());
    return {};
  }
  const auto batch = std::make_shared<Batch>(telemetry(), std::move(commands), deadline, std::move(done));
  const auto& all = batch->commands;
  std::vector<std::shared_ptr<Part>> parts;
  if (!router_->routed()) {
    parts.push_back(std::make_shared<Part>(*this, batch, router_->known(std::nullopt)));
  } else {
    for (std::size_t i = 0; i < all.size(); ++i) {
      const auto server = router_->known(all.slot(i));
      auto part = std::ranges::find_if(parts, [&](const auto& one) { return one->server == server; });
      if (part == parts.end()) part = parts.insert(parts.end(), std::make_shared<Part>(*this, batch, server));
      (*part)->items.push_back(static_cast<std::uint32_t>(i));
    }
    if (parts.size() == 1) parts.front()->items.clear();
  }
  std::string gathered;
  for (const auto& part : parts) {
    const bool whole = part->items.empty();
    std::string_view wire = all.wire();
    std::size_t replies = all.replies();
    if (!whole) {
      gathered.clear();
      replies = 0;
      for (const auto number : part->items) {
        gathered.append(all.wire(number));
        replies += all.replies(number);
      }
      wire = gathered;
    }
    const auto connection = part->server == nullptr ? nullptr : ready(part->server);
    if (connection != nullptr) {
      auto sent = connection->submit(wire, replies, part);
      if (sent) continue;
      // Nothing of it is under way, so the caller can have it back.
      if (whole && !worth_waiting(sent.error())) return sent;
    } else if (whole && part->server != nullptr) {
      if (auto down = unreachable(part->server)) return *std::move(down);
    }
    const auto count = whole ? all.size() : part->items.size();
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t number = whole ? i : part->items[i];
      if (!queue(part_with(batch, number), part->server)) batch->answer(number, crowded());
    }
  }
  return {};
}

}  // namespace setget::inline v0::redis
