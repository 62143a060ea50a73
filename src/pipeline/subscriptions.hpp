// Subscriptions: host callbacks on named cursors of the change log. Each has its own thread once started, or a step in run_once().
// Thread rule: any thread; one call of a callback at a time per cursor.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <setget/key_store.hpp>
#include <setget/observe.hpp>
#include <setget/worker.hpp>

namespace setget::inline v0::detail {

using OnChanges = std::function<Result<void>(const ChangeBatch&)>;

class Subscriptions {
 public:
  Subscriptions(KeyStore store, Backoff backoff, std::shared_ptr<const Clock> clock, std::shared_ptr<Random> random,
                std::shared_ptr<Logger> logger, std::shared_ptr<Metrics> metrics);
  ~Subscriptions();

  // Opens the cursor. kAlreadyExists while a subscription of that name is alive; one whose cursor was dropped is replaced.
  Result<void> add(std::string cursor, OnChanges on_changes, std::uint64_t max_lag);
  Result<void> start();
  // One batch of each that is due by the clock. Returns how many batches were delivered.
  std::size_t run_once();
  // Threads, and who is in run_once(), leave after the callback that is running. True if all had left at the deadline.
  bool stop(Deadline deadline);

 private:
  struct One {
    std::string cursor;
    OnChanges on_changes;
    std::atomic<bool> dropped{false};
    std::mutex busy;  // one delivery at a time; taken before `mutex_`, guards what follows
    Position position = 0;
    std::uint32_t failures = 0;
    TimePoint not_before{};  // after a failure, in run_once()
  };
  enum class Step : std::uint8_t { kNothing, kDelivered, kFailed, kDropped };

  // The caller holds `busy`, also for failed().
  Step step(One& one);
  Result<void> deliver(One& one, const ChangeBatch& batch);
  Milliseconds failed(One& one, const Error& error);
  void loop(One& one);
  bool is_stopping();
  void left();  // by a thread, or by run_once()
  Result<void> spawn(std::shared_ptr<One> one);

  KeyStore store_;
  Backoff backoff_;
  std::shared_ptr<const Clock> clock_;
  std::shared_ptr<Random> random_;
  std::shared_ptr<Logger> logger_;
  std::shared_ptr<Metrics> metrics_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<One>> all_;
  std::vector<std::thread> threads_;
  std::size_t running_ = 0;  // threads, and calls of run_once()
  bool started_ = false;
  bool stopping_ = false;
};

}  // namespace setget::inline v0::detail
