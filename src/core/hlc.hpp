// Stamps where the queue gives none (Amazon SQS standard): a hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014) cut
// down to what one door needs. Within a process stamps rise strictly; between processes they are as right as the machines' clocks, which
// must agree within kHlcSkewBound: the worker refuses what lies further ahead, and the floor of a store that is apart from its queue stays
// that far behind. Thread rule: any thread.
#pragma once

#include <atomic>

#include <setget/clock.hpp>

namespace setget::inline v0::detail {

inline constexpr Milliseconds kHlcSkewBound{60'000};

class HybridLogicalClock {
 public:
  Stamp next(TimePoint now) noexcept {
    auto last = last_.load(std::memory_order_relaxed);
    while (true) {
      const auto stamp = next_stamp(last, now);
      if (last_.compare_exchange_weak(last, stamp, std::memory_order_relaxed)) return stamp;
    }
  }

 private:
  std::atomic<Stamp> last_{0};
};

}  // namespace setget::inline v0::detail
