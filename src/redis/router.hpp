// Router: which server a command goes to. One kind each for a single server, for a master that sentinels watch, and for a cluster; whoever
// sends tells it what went wrong, and it finds out where things are now. Thread rule: any thread.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "redis/errors.hpp"
#include "redis/pool.hpp"
#include "redis/slots.hpp"

#include <setget/clock.hpp>
#include <setget/error.hpp>

namespace setget::inline v0::redis {

class Router {
 public:
  static std::unique_ptr<Router> create(std::shared_ptr<const Common> common);
  virtual ~Router();

  // Where a command of this slot goes (nullopt: it has no key). May ask servers, within the deadline.
  virtual Result<std::shared_ptr<Pool>> route(std::optional<std::uint32_t> slot, Deadline deadline) = 0;
  // The same from what is known, without waiting; nullptr where it is not known or in doubt.
  virtual std::shared_ptr<Pool> known(std::optional<std::uint32_t> slot) = 0;
  // Where ASK leads; `from` is the server that said so.
  virtual Result<std::shared_ptr<Pool>> asked(const Redirect& redirect, const Pool& from) = 0;
  // A server gave this error.
  virtual void learn(const Error& error, const std::shared_ptr<Pool>& from) = 0;
  // Asks where things are though nothing went wrong: a client that was idle knows nothing of masters that joined, or took over.
  virtual Result<void> look_again(Deadline deadline) = 0;
  // True where another server may answer next time.
  virtual bool routed() const noexcept = 0;
  // The servers in use: all masters of a cluster.
  virtual std::vector<std::shared_ptr<Pool>> servers() = 0;
  virtual void stop() = 0;
};

// A task that one caller does at a time, not more often than `pause`, and whose result all may use: asking where things are.
class SingleFlight {
 public:
  explicit SingleFlight(Milliseconds pause) noexcept : pause_(pause) {}
  // Runs `task`, or waits for the one that is running; returns at once if the last one ended less than the pause ago.
  template <class Task>
  void run(Deadline deadline, Task&& task) {
    std::unique_lock lock(mutex_);
    if (running_) {
      const auto round = rounds_;
      changed_.wait_until(lock, deadline.time(), [&] { return rounds_ != round; });
      return;
    }
    if (rounds_ > 0 && Deadline::Steady::now() - last_ < pause_) return;
    running_ = true;
    lock.unlock();
    task();
    lock.lock();
    running_ = false;
    ++rounds_;
    last_ = Deadline::Steady::now();
    changed_.notify_all();
  }

 private:
  const Milliseconds pause_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool running_ = false;
  std::uint64_t rounds_ = 0;
  Deadline::Steady::time_point last_{};
};

inline Deadline within(Milliseconds patience, Deadline deadline) noexcept {
  return Deadline::at(std::min(deadline.time(), Deadline::in(patience).time()));
}

// Asks those who may know where things are, in turn: `ask`(one, patience) → whether it knew. One that is gone must not hold up finding
// another, so none is waited for long; where nobody was found that way, all may be far away, and get the time to connect and to answer.
template <class Those, class Ask>
void ask_in_turn(const Those& those, Milliseconds connect_timeout, Deadline deadline, Ask&& ask) {
  constexpr auto kBriefly = Milliseconds(500);
  for (const auto patience : {kBriefly, std::max(kBriefly, connect_timeout * 2)}) {
    for (const auto& one : those) {
      if (deadline.passed() || ask(one, patience)) return;
    }
  }
}

std::unique_ptr<Router> make_sentinel_router(std::shared_ptr<const Common> common);
std::unique_ptr<Router> make_cluster_router(std::shared_ptr<const Common> common);

}  // namespace setget::inline v0::redis
