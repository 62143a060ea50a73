// Breaker: when to try a server that could not be reached. Pure: told what happened and when, it says what to do. Waits grow from `first`
// by doubling to `longest`, each shortened at random by up to half so that many clients do not come back at once. Thread rule: one thread
// at a time.
#pragma once

#include <algorithm>
#include <cstdint>

#include <setget/clock.hpp>

namespace setget::inline v0::redis {

// The nth wait (from 0) of a capped exponential backoff with jitter.
inline Milliseconds backoff(Milliseconds first, Milliseconds longest, unsigned n, std::uint64_t random) noexcept {
  const auto full = std::min(longest, Milliseconds(first.count() << std::min(n, 20U)));
  const auto half = full.count() / 2;
  return Milliseconds(full.count() - (half == 0 ? 0 : static_cast<Milliseconds::rep>(random % static_cast<std::uint64_t>(half + 1))));
}

class Breaker {
 public:
  using Time = Deadline::Steady::time_point;
  Breaker(Milliseconds first, Milliseconds longest) noexcept : first_(first), longest_(longest) {}

  // kGo: try, and report. kProbe: the wait is over; this caller alone tries, and reports. kWait: fail fast.
  enum class Advice : std::uint8_t { kGo, kProbe, kWait };
  Advice ask(Time now) noexcept {
    if (failures_ == 0) return Advice::kGo;
    if (probing_ || now < next_try_) return Advice::kWait;
    probing_ = true;
    return Advice::kProbe;
  }
  void succeeded() noexcept {
    failures_ = 0;
    probing_ = false;
  }
  void failed(Time now, std::uint64_t random) noexcept {
    next_try_ = now + backoff(first_, longest_, failures_, random);
    ++failures_;
    probing_ = false;
  }
  // The attempt ended without an answer for a reason of the caller's own.
  void gave_up() noexcept { probing_ = false; }

  bool open() const noexcept { return failures_ > 0; }
  bool probing() const noexcept { return probing_; }
  Time next_try() const noexcept { return next_try_; }

 private:
  Milliseconds first_;
  Milliseconds longest_;
  unsigned failures_ = 0;
  bool probing_ = false;
  Time next_try_{};
};

}  // namespace setget::inline v0::redis
