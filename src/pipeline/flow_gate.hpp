// FlowGate: flow control by count and bytes. Callers are admitted in the order in which they came, so that a large one is not starved by
// small ones. Thread rule: any thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <list>
#include <mutex>

#include <setget/clock.hpp>
#include <setget/error.hpp>

namespace setget::inline v0::detail {

class FlowGate {
 public:
  FlowGate(std::size_t max_count, std::size_t max_bytes) : max_count_(max_count), max_bytes_(max_bytes) {}

  // A place inside; left when it is destroyed.
  class Ticket {
   public:
    Ticket(FlowGate* gate, std::size_t count, std::size_t bytes) noexcept : gate_(gate), count_(count), bytes_(bytes) {}
    Ticket(Ticket&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)), count_(other.count_), bytes_(other.bytes_) {}
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket() {
      if (gate_ != nullptr) gate_->leave(count_, bytes_);
    }

   private:
    FlowGate* gate_;
    std::size_t count_;
    std::size_t bytes_;
  };

  // Waits until there is room (at least one caller is always admitted). Errors: kResourceExhausted where it may not wait,
  // kDeadlineExceeded, kCancelled once closed.
  Result<Ticket> enter(std::size_t count, std::size_t bytes, Deadline deadline, bool wait) {
    std::unique_lock lock(mutex_);
    if (closed_) return closed_error();
    if (!order_.empty() || !fits(count, bytes)) {
      if (!wait) return Error(ErrorCode::kResourceExhausted, "too many requests are waiting for the queue");
      const auto mine = order_.insert(order_.end(), 0);
      const bool admitted =
          changed_.wait_until(lock, deadline.time(), [&] { return closed_ || (mine == order_.begin() && fits(count, bytes)); });
      order_.erase(mine);
      changed_.notify_all();  // whoever is first now may fit
      if (closed_) return closed_error();
      if (!admitted) return Error(ErrorCode::kDeadlineExceeded, "the queue took no more requests before the deadline");
    }
    count_ += count;
    bytes_ += bytes;
    return Ticket(this, count, bytes);
  }

  void close() noexcept {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

  struct Load {
    std::size_t count = 0;
    std::size_t bytes = 0;
  };
  Load load() const {
    const std::lock_guard lock(mutex_);
    return {count_, bytes_};
  }

 private:
  static Error closed_error() { return Error(ErrorCode::kCancelled, "the door is closed: the pipeline is stopping"); }
  bool fits(std::size_t count, std::size_t bytes) const noexcept {
    return count_ == 0 || (count_ + count <= max_count_ && bytes_ + bytes <= max_bytes_);
  }
  void leave(std::size_t count, std::size_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    count_ -= count;
    bytes_ -= bytes;
    if (!order_.empty()) changed_.notify_all();
  }

  const std::size_t max_count_;
  const std::size_t max_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::list<char> order_;  // who waits, oldest first
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
  bool closed_ = false;
};

}  // namespace setget::inline v0::detail
