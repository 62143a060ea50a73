#include "redis/later.hpp"

namespace setget::inline v0::redis {

bool Later::post(Deadline::Steady::time_point when, Task& task) {
  const std::scoped_lock lock(mutex_);
  if (stopping_ || tasks_.size() >= limit_) return false;
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  tasks_.push({when, count_++, std::move(task)});
  changed_.notify_one();
  return true;
}

void Later::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (tasks_.empty()) {
      if (stopping_) return;
      changed_.wait(lock);
      continue;
    }
    if (!stopping_ && tasks_.top().when > Deadline::Steady::now()) {
      changed_.wait_until(lock, tasks_.top().when);
      continue;
    }
    auto task = std::move(const_cast<Entry&>(tasks_.top()).task);  // the queue gives no other way to move out
    tasks_.pop();
    const bool cancelled = stopping_;
    lock.unlock();
    task(cancelled);
    task = nullptr;
    lock.lock();
  }
}

void Later::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace setget::inline v0::redis
