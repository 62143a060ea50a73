// Client: Redis as the backend sees it, whatever stands behind the URI. Commands go to the server that has their key; redirects, failovers
// and lost connections are dealt with here, within the deadline: a command is sent again only if it was surely not carried out, or is
// marked idempotent. An error that remains says whether the command may have been carried out (maybe_executed() in errors.hpp). Thread
// rule: any thread. stop() and the destructor not from a callback.
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
#include "redis/errors.hpp"
#include "redis/later.hpp"
#include "redis/retry.hpp"
#include "redis/router.hpp"

namespace setget::inline v0::redis {

struct ClientOptions {
  Settings settings{};
  std::shared_ptr<Random> random{};             // nullptr: the system's
  std::function<void(const Reply&)> on_push{};  // push messages of RESP3, on whatever thread reads
  std::size_t max_waiting = 65536;              // of the completion form: requests that wait for a connection or another attempt
};

class Client {
 public:
  using Callback = std::function<void(Result<Reply>)>;

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

  // A connection to the server of this slot (nullopt: any) for WATCH and blocking commands. MOVED and the like inside are for the caller to
  // deal with: report() them and lease again.
  struct Lease {
    Exclusive connection;
    std::shared_ptr<Pool> server;
  };
  Result<Lease> lease(std::optional<std::uint32_t> slot, Deadline deadline);
  void report(const Error& error, const Lease& lease) { router_->learn(error, lease.server); }
  // `work`(Exclusive&) → Result<T>, with the connection for as long as it runs; its error is reported. Not tried again.
  template <class Work>
  auto with_exclusive(std::optional<std::uint32_t> slot, Deadline deadline, Work&& work) -> std::invoke_result_t<Work, Exclusive&> {
    auto leased = lease(slot, deadline);
    if (!leased) return std::move(leased).error();
    auto result = work(leased->connection);
    if (!result) report(result.error(), *leased);
    return result;
  }

  // All masters, asked for now: for doctor, and for what must be done on each of them (SCRIPT LOAD).
  Result<std::vector<std::shared_ptr<Pool>>> servers(Deadline deadline);

  const Settings& settings() const noexcept { return common_->settings; }
  // Everybody who waits gets an answer, every callback has run. Idempotent.
  void stop();

 private:
  struct Pending;
  struct Sending;
  Client(const ClientOptions& options, std::shared_ptr<const Common> common);
  Result<Reply> attempt(const RedisCommand& command, Deadline deadline, std::optional<Redirect>& ask, std::shared_ptr<Pool>& server);
  Retry judge(const Error& error, const RedisCommand& command, unsigned attempt, Deadline deadline);
  bool pause(Milliseconds wait, Deadline deadline);
  Result<std::shared_ptr<Pool>> server_for(const RedisCommand& command, const std::optional<Redirect>& ask,
                                           const std::shared_ptr<Pool>& last, Deadline deadline);

  // The completion form (client_async.cpp).
  Result<void> send(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server,
                    const std::shared_ptr<Connection>& connection);
  void answered(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server, Result<Replies> replies);
  void failed(const std::shared_ptr<Pending>& pending, const std::shared_ptr<Pool>& server, Error error);
  void again(const std::shared_ptr<Pending>& pending, bool cancelled);
  bool postpone(const std::shared_ptr<Pending>& pending, Milliseconds wait);

  const std::shared_ptr<const Common> common_;
  std::unique_ptr<Router> router_;
  Later later_;
  std::mutex mutex_;
  std::condition_variable stopping_changed_;
  std::atomic<bool> stopping_{false};
};

}  // namespace setget::inline v0::redis
