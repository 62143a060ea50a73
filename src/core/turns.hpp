// One at a time, as with a mutex that is held while a server is asked: who waits for his turn waits no longer than his deadline, however
// much time whoever has it has. Not a std::timed_mutex: ThreadSanitizer does not see that one locked by a steady clock
// (pthread_mutex_clocklock), and takes its unlocking for a mistake. Thread rule: any thread; a turn may end on another one.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include <setget/clock.hpp>

namespace setget::inline v0::detail {

class Turns {
 public:
  // Ends with its life.
  class Turn {
   public:
    explicit Turn(Turns& turns) noexcept : turns_(&turns) {}
    Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (turns_ == nullptr) return;
      {
        const std::scoped_lock lock(turns_->mutex_);
        turns_->taken_ = false;
      }
      turns_->free_.notify_one();
    }

   private:
    Turns* turns_;
  };

  // Nothing where the deadline passed first. A turn that is free is given at any deadline.
  std::optional<Turn> take(Deadline deadline) {
    std::unique_lock lock(mutex_);
    while (taken_) {
      if (deadline.passed() || free_.wait_until(lock, deadline.time()) == std::cv_status::timeout) {
        if (!taken_) break;
        return std::nullopt;
      }
    }
    taken_ = true;
    return Turn(*this);
  }

 private:
  std::mutex mutex_;
  std::condition_variable free_;
  bool taken_ = false;
};

}  // namespace setget::inline v0::detail
