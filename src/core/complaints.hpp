// What was complained about: each once, however often it is met. Inline, because backends are libraries of their own. Thread rule: any
// thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_set>

namespace setget::inline v0::detail {

class Complaints {
 public:
  bool first(std::uint64_t what) {
    const std::lock_guard lock(mutex_);
    if (known_.size() >= kMost) known_.clear();
    return known_.insert(what).second;
  }

 private:
  static constexpr std::size_t kMost = 4096;  // remembered; beyond it they are repeated

  std::mutex mutex_;
  std::unordered_set<std::uint64_t> known_;
};

}  // namespace setget::inline v0::detail
