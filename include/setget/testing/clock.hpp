// Simulated time and repeatable chance for tests.
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include <setget/clock.hpp>

namespace setget::inline v0::testing {

class SimulatedClock final : public Clock {
 public:
  explicit SimulatedClock(TimePoint start = TimePoint(Milliseconds(1'700'000'000'000))) : now_ms_(start.time_since_epoch().count()) {}
  TimePoint now() const noexcept override { return TimePoint(Milliseconds(now_ms_.load(std::memory_order_acquire))); }
  void advance(Milliseconds by) noexcept { now_ms_.fetch_add(by.count(), std::memory_order_acq_rel); }
  void set(TimePoint time) noexcept { now_ms_.store(time.time_since_epoch().count(), std::memory_order_release); }

 private:
  std::atomic<std::int64_t> now_ms_;
};

// splitmix64 (public domain algorithm by S. Vigna): the same seed gives the same numbers.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept override {
    std::uint64_t z = state_.fetch_add(0x9e3779b97f4a7c15ULL, std::memory_order_relaxed) + 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

 private:
  std::atomic<std::uint64_t> state_;
};

}  // namespace setget::inline v0::testing
