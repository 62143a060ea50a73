// Later: one thread that carries out tasks at their time, for what the completion form must not wait for itself: connecting, asking where
// things are, waiting before another attempt. Thread rule: any thread; stop() not from a task.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <queue>
#include <thread>
#include <vector>

#include <setget/clock.hpp>

namespace setget::inline v0::redis {

class Later {
 public:
  using Task = std::function<void(bool cancelled)>;
  explicit Later(std::size_t limit) noexcept : limit_(limit) {}
  ~Later() { stop(); }
  Later(const Later&) = delete;
  Later& operator=(const Later&) = delete;

  // False if it is stopped or full; the task is then untouched.
  bool post(Deadline::Steady::time_point when, Task& task);
  // Runs what is left with `cancelled`, and returns when the thread has ended.
  void stop();

 private:
  struct Entry {
    Deadline::Steady::time_point when;
    std::uint64_t number;  // those of the same time in order
    Task task;
    friend bool operator<(const Entry& a, const Entry& b) noexcept { return a.when != b.when ? a.when > b.when : a.number > b.number; }
  };
  void run();

  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::priority_queue<Entry> tasks_;
  std::uint64_t count_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace setget::inline v0::redis
