// One at a time, as with a mutex that is held while a server is asked: who waits for his turn waits no longer than his deadline, however
// much time whoever has it has. Thread rule: any thread.
#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>

#include "redis/errors.hpp"

#include <setget/clock.hpp>
#include <setget/error.hpp>

namespace setget::inline v0::redis {

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

  Result<Turn> take(Deadline deadline) {
    std::unique_lock lock(mutex_);
    while (taken_) {
      if (deadline.passed() || free_.wait_until(lock, deadline.time()) == std::cv_status::timeout) {
        if (!taken_) break;
        return connection_error(ErrorCode::kDeadlineExceeded, Trouble::kNotSent, "another call was still waiting for Redis");
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

}  // namespace setget::inline v0::redis
