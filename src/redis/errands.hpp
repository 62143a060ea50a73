// Errands: threads for what may have to wait for a server, so that nobody else does: connecting, asking where things are. Those of one lane
// are run in their order, one at a time; lanes do not wait for each other. Thread rule: any thread; stop() not from an errand.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace setget::inline v0::redis {

class Errands {
 public:
  using Task = std::function<void(bool cancelled)>;
  Errands() = default;
  ~Errands() { stop(); }
  Errands(const Errands&) = delete;
  Errands& operator=(const Errands&) = delete;

  // `lane` is only compared. False if it is stopped; the task is then untouched.
  bool post(const void* lane, Task& task);
  // Runs what is left with `cancelled`, and returns when the threads have ended.
  void stop();

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<const void*, std::deque<Task>> lanes_;  // those that have something to do or are at it
  std::deque<const void*> ready_;                  // those that no thread is at
  std::size_t idle_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace setget::inline v0::redis
