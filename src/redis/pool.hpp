// Pool: all connections to one server. Shared ones carry everybody's requests; the first is filled before another is opened, because
// callers on one connection share system calls, and a connection busy with something large is avoided. Exclusive ones are lent for WATCH
// and blocking commands. A loop has one of its own, which lives on the loop's threads; these are beside the number of shared ones.
// Connections are made when they are needed; while the server cannot be reached, callers fail fast and one of them probes now and then.
// Thread rule: any thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "redis/breaker.hpp"
#include "redis/connection.hpp"
#include "redis/handshake.hpp"
#include "redis/telemetry.hpp"
#include "redis/uri.hpp"

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/event_loop.hpp>

namespace setget::inline v0::redis {

// What all connections of a client have in common.
struct Common {
  Settings settings{};
  std::shared_ptr<TlsContext> tls{};
  std::shared_ptr<Random> random{};
  std::function<void(const Reply&)> on_push{};
  std::shared_ptr<Telemetry> telemetry = std::make_shared<Telemetry>(nullptr);
  Milliseconds first_wait{20};  // of the breaker
  Milliseconds longest_wait{2000};
};

class Pool;

// A connection that nobody else uses, given back at the end of its life; closed instead if a WATCH or a MULTI is open, if the last command
// was refused, or if a request was not answered.
class Exclusive {
 public:
  Exclusive(Exclusive&&) noexcept = default;
  Exclusive& operator=(Exclusive&&) = delete;
  ~Exclusive();

  Result<Reply> call(const RedisCommand& command, Deadline deadline);
  // In one piece. Error: of the connection; refusals of the server stand in the replies.
  Result<Replies> pipeline(std::span<const RedisCommand> commands, Deadline deadline);
  // The same for many. `watching`: whether a WATCH is open behind them; no MULTI may be.
  Result<Replies> pipeline(const RedisCommands& commands, bool watching, Deadline deadline);

 private:
  friend class Pool;
  Exclusive(std::shared_ptr<Pool> pool, std::shared_ptr<Connection> connection) noexcept
      : pool_(std::move(pool)), connection_(std::move(connection)) {}
  void note(const RedisCommand& command);
  Result<Replies> call(std::string_view wire, std::size_t replies, std::size_t commands, Deadline deadline);
  std::shared_ptr<Pool> pool_;
  std::shared_ptr<Connection> connection_;
  bool watching_ = false;
  bool in_multi_ = false;
  bool refused_ = false;  // the last of some commands, which can have been EXEC: whoever has it next would be within that MULTI
};

class Pool : public std::enable_shared_from_this<Pool> {
 public:
  Pool(Endpoint endpoint, std::shared_ptr<const Common> common);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // The shared connection to use now; connects where that is needed. Errors: kUnavailable with Trouble::kDown, those of the handshake.
  Result<std::shared_ptr<Connection>> connection(Deadline deadline);
  // One that is there already and not overloaded, or nullptr; never waits. On a thread of a loop it is the loop's own. `make_own` becomes
  // true if that is still missing: the caller then has open_for() called, once, on a thread that may wait.
  std::shared_ptr<Connection> ready(bool& make_own);
  // Makes the loop's connection; `cancelled`: it is not to be made now after all.
  void open_for(const std::shared_ptr<EventLoop>& loop, Deadline deadline, bool cancelled);
  Result<Exclusive> exclusive(Deadline deadline);
  // A connection of the caller's own that speaks RESP3, not yet listening; the caller retires it. Errors as above.
  Result<std::shared_ptr<Connection>> own(const std::function<void(const Reply&)>& on_push, Deadline deadline);
  // Why nobody is to wait for this server now: it counts as unreachable, and no connection is there. Empty: try.
  std::optional<Error> unreachable();
  // Whether unreachable() should be followed by an attempt.
  bool due() const;

  const Endpoint& endpoint() const noexcept { return endpoint_; }
  // Known after the first connection.
  ServerFacts facts() const;
  // True while the server counts as unreachable.
  bool down() const;
  std::size_t connections() const;
  // Closes all connections; every callback has run when it returns (but for the calling one).
  void stop();

 private:
  friend class Exclusive;
  using Lock = std::unique_lock<std::mutex>;
  struct OfLoop {
    std::weak_ptr<EventLoop> loop;
    std::shared_ptr<Connection> connection{};  // none yet: it is being made
    Deadline::Steady::time_point try_at{};     // or could not be made, and will be tried again from here on
    bool opening = false;
  };
  std::shared_ptr<Connection> best();
  OfLoop* of(const std::shared_ptr<EventLoop>& loop);
  bool gone(const std::shared_ptr<Connection>& connection);
  void drop_dead();
  void drop_idle_dead();
  using OnPush = std::function<void(const Reply&)>;
  // `own_push`: the connection speaks RESP3 and tells this one.
  Result<std::shared_ptr<Connection>> open(Lock& lock, ConnectionLimits limits, Deadline deadline, const OnPush* own_push = nullptr);
  Result<std::shared_ptr<Connection>> dial(ConnectionLimits limits, Deadline deadline, const OnPush* own_push);
  Error down_error() const;
  void give_back(std::shared_ptr<Connection> connection, bool clean) noexcept;

  const Endpoint endpoint_;
  const std::shared_ptr<const Common> common_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Connection>> shared_;
  std::vector<std::shared_ptr<Connection>> idle_;  // exclusive, not lent
  Deadline::Steady::time_point next_look_{};       // at these
  std::vector<OfLoop> of_loops_;
  std::vector<std::shared_ptr<Connection>> retired_;  // their last callbacks may still run
  std::size_t lent_ = 0;
  std::size_t lost_ = 0;  // connections that none was made for since
  bool opening_ = false;  // a shared connection
  bool stopped_ = false;
  Breaker breaker_;
  std::optional<Error> last_failure_;
  ServerFacts facts_;
  bool facts_known_ = false;
};

}  // namespace setget::inline v0::redis
