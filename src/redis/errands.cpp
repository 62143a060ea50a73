#include "redis/errands.hpp"

#include <utility>

namespace setget::inline v0::redis {
namespace {

// So many servers can be away at once before those that are there wait for them.
constexpr std::size_t kMostThreads = 16;

}  // namespace

bool Errands::post(const void* lane, Task& task) {
  const std::scoped_lock lock(mutex_);
  if (stopping_) return false;
  const bool rests = !lanes_.contains(lane);
  if (rests && idle_ <= ready_.size() && threads_.size() < kMostThreads) threads_.emplace_back([this] { run(); });
  lanes_[lane].push_back(std::move(task));
  if (rests) {
    ready_.push_back(lane);
    changed_.notify_one();
  }
  return true;
}

void Errands::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (ready_.empty()) {
      // A lane that another thread is at is that one's to empty.
      if (stopping_) return;
      ++idle_;
      changed_.wait(lock);
      --idle_;
      continue;
    }
    const auto at = lanes_.find(ready_.front());
    ready_.pop_front();
    auto task = std::move(at->second.front());
    at->second.pop_front();
    const bool cancelled = stopping_;
    lock.unlock();
    task(cancelled);
    task = nullptr;
    lock.lock();
    if (at->second.empty()) {
      lanes_.erase(at);
    } else {
      ready_.push_back(at->first);
    }
  }
}

void Errands::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace setget::inline v0::redis
