// Client: Redis as the backend sees it, whatever stands behind the URI. Commands go to the server that has their key; redirects, failovers
// and lost connections are dealt with here, within the deadline: a command is sent again only if it was surely not carried out, or is
// marked idempotent. An error that remains says whether the command may have been carried out (maybe_executed() in errors.hpp). Thread
// rule: any thread. stop() and the destructor not from a callback.
//
// For those that must not block, submit() takes one command or a batch with one callback. A batch costs one lock, one copy into the
// connection's buffer and one wakeup for each server that it goes to, and a few allocations whatever its size:
//
//   RedisCommands first;
//   for (const auto& key : keys) first.add("GET", 2).key(key).idempotent();
//   client->submit(std::move(first), deadline, [client, deadline](std::vector<Result<Reply>> pointers) {
//     RedisCommands second;                              // a follow-up, from within the callback: no thread is woken, and all that
//     …                                                  // the callbacks of one round submit goes out in one write
//     client->submit(std::move(second), deadline, …);
//   });
//
// Callbacks run one after the other on the thread that reads the connection (or, where something had to be asked or tried again, on one
// of the client's own): what they do holds up the replies behind them, so they decode and pass on. One that needs the client keeps a
// pointer to it that is surely alive until stop() has returned; a shared_ptr must not be the last one.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "redis/command.hpp"
#include "redis/errands.hpp"
#include "redis/errors.hpp"
#include "redis/later.hpp"
#include "redis/retry.hpp"
#include "redis/router.hpp"

namespace setget::inline v0::redis {

struct ClientOptions {
  Settings settings{};
  std::shared_ptr<Random> random{};             // nullptr: the system's
  std::function<void(const Reply&)> on_push{};  // push messages of RESP3, on whatever thread reads
  std::shared_ptr<Metrics> metrics{};           // nullptr: none
  std::size_t max_waiting = 65536;              // of the completion form: requests that wait for a connection or another attempt
};

class Client {
 public:
  using Callback = std::function<void(Result<Reply>)>;
  using BatchCallback = std::function<void(std::vector<Result<Reply>>)>;

  // Connects nowhere yet. kInvalidArgument where TLS files cannot be used.
  static Result<std::shared_ptr<Client>> create(const ClientOptions& options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Result<Reply> call(const RedisCommand& command, Deadline deadline);

  // All at once, to all servers that they go to. Commands for one server are carried out in order, unless one has to be sent again: what
  // must stay together is a RedisCommand::transaction. One answer for each.
  std::vector<Result<Reply>> pipeline(std::span<const RedisCommand> commands, Deadline deadline);

  // Never waits. An error means that `done` was not taken and will not be called; otherwise it is called exactly once, on a thread of the
  // client, and must not block.
  Result<void> submit(RedisCommand command, Deadline deadline, Callback done);
  // The same for several, to any servers: one answer for each, in their order, given when the last is there. Commands for one server are
  // carried out in order, unless one has to be sent again. Of an empty batch `done` is called at once.
  Result<void> submit(RedisCommands commands, Deadline deadline, BatchCallback done);

  // A connection to the server of this slot (nullopt: any) for WATCH and blocking commands. MOVED and the like inside are for the caller to
  // deal with: report() them and lease again, or see with_exclusive().
  struct Lease {
    Exclusive connection;
    std::shared_ptr<Pool> server;
  };
  Result<Lease> lease(std::optional<std::uint32_t> slot, Deadline deadline);
  void report(const Error& error, const Lease& lease) { router_->learn(error, lease.server); }
  // `work`(Exclusive&) → Result<T>, with the connection for as long as it runs; its error is reported. kIfRefused: done anew, on another
  // connection, where its error is a refusal that passes (the slot is elsewhere or on its way, the server is loading) or says that nothing
  // was sent; only for work of which nothing counts until its last command did, as WATCH … EXEC.
  enum class Again : bool { kNever, kIfRefused };
  template <class Work>
  auto with_exclusive(std::optional<std::uint32_t> slot, Deadline deadline, Work&& work, Again again = Again::kNever)
      -> std::invoke_result_t<Work, Exclusive&> {
    for (unsigned tries = 0;; ++tries) {
      auto result = with_one(slot, deadline, work);
      if (result || again == Again::kNever || !may_do_anew(result.error(), tries, deadline)) return result;
    }
  }

  // All masters, asked for now: for doctor, and for what must be done on each of them (SCRIPT LOAD).
  Result<std::vector<std::shared_ptr<Pool>>> servers(Deadline deadline);

  // The server of a slot, asked for where it is not known.
  Result<std::shared_ptr<Pool>> server_of(std::uint32_t slot, Deadline deadline) { return router_->route(slot, deadline); }
  void report(const Error& error, const std::shared_ptr<Pool>& server) { router_->learn(error, server); }

  Telemetry& telemetry() const noexcept { return *common_->telemetry; }
  const Settings& settings() const noexcept { return common_->settings; }
  // Everybody who waits gets an answer, every callback has run. Idempotent.
  void stop();

 private:
  struct Pending;
  struct Batch;
  struct Part;
  struct Sending;
  Client(const ClientOptions& options, std::shared_ptr<const Common> common);
  Result<Reply> attempt(const RedisCommand& command, Deadline deadline, std::optional<Redirect>& ask, std::shared_ptr<Pool>& server);
  Retry judge(const Error& error, const RedisCommand& command, unsigned attempt, Deadline deadline);
  bool pause(Milliseconds wait, Deadline deadline);
  template <class Work>
  auto with_one(std::optional<std::uint32_t> slot, Deadline deadline, Work& work) -> std::invoke_result_t<Work, Exclusive&> {
    auto leased = lease(slot, deadline);
    if (!leased) return std::move(leased).error();
    auto result = work(leased->connection);
    if (!result) report(result.error(), *leased);
    return result;
  }
  bool may_do_anew(const Error& error, unsigned tries, Deadline deadline);
  Result<std::shared_ptr<Pool>> server_for(const RedisCommand& command, const std::optional<Redirect>& ask,
                                           const std::shared_ptr<Pool>& last, Deadline deadline);

  // The completion form (client_async.cpp).
  Result<void> send(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server,
                    const std::shared_ptr<Connection>& connection);
  void failed(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server, Error error);
  std::shared_ptr<Pending> part_with(const std::shared_ptr<Batch>& batch, std::size_t number);
  bool postpone(const std::shared_ptr<Pending>& pending, Milliseconds wait);
  std::shared_ptr<Pool> next_server(const Pending& pending);
  Deadline patience(Deadline deadline = Deadline::immediate()) const;
  bool queue(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server);
  bool run_errand(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server, const Later::Ticket& ticket);
  void find_server(const std::shared_ptr<Pending>& pending, const Later::Ticket& ticket);
  void again(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server, const Later::Ticket& ticket);
  std::shared_ptr<Connection> ready(const std::shared_ptr<Pool>& server);
  std::optional<Error> unreachable(const std::shared_ptr<Pool>& server);

  const std::shared_ptr<const Common> common_;
  std::unique_ptr<Router> router_;
  Later later_;
  Errands errands_;
  std::mutex mutex_;
  std::condition_variable stopping_changed_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> probing_{false};
};

}  // namespace setget::inline v0::redis
