#include "redis/later.hpp"

#include <utility>

namespace setget::inline v0::redis {

std::optional<Later::Ticket> Later::post(Deadline::Steady::time_point when, Task& task) {
  const std::scoped_lock lock(mutex_);
  if (stopping_ || tasks_.size() >= limit_) return std::nullopt;
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  const Ticket ticket{.when = when, .number = count_++};
  const auto at = tasks_.emplace(ticket, std::move(task)).first;
  // The thread sleeps until the first of them.
  if (at == tasks_.begin()) changed_.notify_one();
  return ticket;
}

bool Later::take_back(const Ticket& ticket) {
  // What it captured goes when the lock is open.
  std::map<Ticket, Task>::node_type taken;
  const std::scoped_lock lock(mutex_);
  taken = tasks_.extract(ticket);
  return !taken.empty();
}

bool Later::waits(const Ticket& ticket) {
  const std::scoped_lock lock(mutex_);
  return tasks_.contains(ticket);
}

void Later::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (tasks_.empty()) {
      if (stopping_) return;
      changed_.wait(lock);
      continue;
    }
    const auto when = tasks_.begin()->first.when;
    if (!stopping_ && when > Deadline::Steady::now()) {
      changed_.wait_until(lock, when);
      continue;
    }
    auto task = std::move(tasks_.extract(tasks_.begin()).mapped());
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
