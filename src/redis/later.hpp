// Later: one thread that carries out tasks at their time, and keeps the time of everybody: what it runs never waits for a server. What was
// posted can be taken back, so that of a deadline and an answer only the first counts. Thread rule: any thread; stop() not from a task.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include <setget/clock.hpp>

namespace setget::inline v0::redis {

class Later {
 public:
  using Task = std::function<void(bool cancelled)>;
  // Names what was posted.
  struct Ticket {
    Deadline::Steady::time_point when;
    std::uint64_t number;  // those of the same time in order
    friend bool operator<(const Ticket& a, const Ticket& b) noexcept { return a.when != b.when ? a.when < b.when : a.number < b.number; }
  };
  explicit Later(std::size_t limit) noexcept : limit_(limit) {}
  ~Later() { stop(); }
  Later(const Later&) = delete;
  Later& operator=(const Later&) = delete;

  // Empty if it is stopped or full; the task is then untouched.
  std::optional<Ticket> post(Deadline::Steady::time_point when, Task& task);
  // True if the task will not be run any more, which is then up to the caller; false if it was, is being run, or was taken back.
  bool take_back(const Ticket& ticket);
  bool waits(const Ticket& ticket);
  // Runs what is left with `cancelled`, and returns when the thread has ended.
  void stop();

 private:
  void run();

  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Ticket, Task> tasks_;
  std::uint64_t count_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace setget::inline v0::redis
