// Time and chance, injected. Clock gives the time that records live by (stamps, expiry, leases, schedules); Deadline bounds how
// long a call may block its thread and is always real (monotonic) time, so that a pipeline under a simulated clock never hangs.
// Thread rule: Clock and Random implementations must be safe from any thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include <setget/export.hpp>

namespace setget::inline v0 {

using Milliseconds = std::chrono::milliseconds;
// Wall-clock time, UTC, in milliseconds since 1970.
using TimePoint = std::chrono::sys_time<Milliseconds>;

class SETGET_API Clock {
 public:
  virtual ~Clock();
  // Never blocks. May step backwards; stamps do not (see Stamp).
  virtual TimePoint now() const noexcept = 0;
};

class SETGET_API Random {
 public:
  virtual ~Random();
  // 64 uniformly distributed bits. Never blocks.
  virtual std::uint64_t next() noexcept = 0;
};

// The machine's clock and the kernel's random source (getrandom(2)); shared and immutable.
SETGET_API std::shared_ptr<const Clock> system_clock();
SETGET_API std::shared_ptr<Random> system_random();

// The latest moment at which a blocking call returns.
class Deadline {
 public:
  using Steady = std::chrono::steady_clock;
  // Do what can be done now, never wait.
  static Deadline immediate() noexcept { return Deadline(Steady::time_point::min()); }
  template <class Rep, class Period>
  static Deadline in(std::chrono::duration<Rep, Period> wait) noexcept {
    return Deadline(after(Steady::now(), wait));
  }
  static Deadline at(Steady::time_point when) noexcept { return Deadline(when); }

  Steady::time_point time() const noexcept { return when_; }
  bool passed() const noexcept { return when_ <= Steady::now(); }
  // So long behind the end of this wait; where that is over, from now on.
  template <class Rep, class Period>
  Deadline then(std::chrono::duration<Rep, Period> grace) const noexcept {
    return Deadline(after(std::max(when_, Steady::now()), grace));
  }
  Steady::duration left() const noexcept {
    const auto now = Steady::now();
    return when_ <= now ? Steady::duration::zero() : when_ - now;
  }

 private:
  explicit Deadline(Steady::time_point when) noexcept : when_(when) {}
  // At most the last moment that the clock knows: its nanoseconds hold 292 years, longer units hold more.
  template <class Rep, class Period>
  static Steady::time_point after(Steady::time_point from, std::chrono::duration<Rep, Period> wait) noexcept {
    constexpr std::chrono::duration<double> kLongest = std::chrono::hours(24 * 365 * 200);
    if (std::chrono::duration<double>(wait) > kLongest) return Steady::time_point::max();
    if (std::chrono::duration<double>(wait) < -kLongest) return Steady::time_point::min();
    const auto more = std::chrono::ceil<std::chrono::nanoseconds>(wait);
    return from > Steady::time_point::max() - std::max(more, more.zero()) ? Steady::time_point::max() : from + more;
  }
  Steady::time_point when_;
};

// A stamp orders acceptance: 42 bits of milliseconds since 1970 and 11 bits of counter, in [1, 2^53-1] so that Lua, JavaScript and
// doubles keep it exact. Given by the queue, never by a caller.
using Stamp = std::uint64_t;
// Orders the sets of one identity: the caller's number or the stamp, in [1, 2^53-1].
using Version = std::uint64_t;
// Counts the changes of one version that are not sets; 0 after a set.
using Revision = std::uint64_t;

inline constexpr int kStampCounterBits = 11;
inline constexpr std::uint64_t kMaxVersion = (std::uint64_t{1} << 53) - 1;

// The first stamp of a millisecond; times before 1970 give 0.
constexpr Stamp stamp_at(TimePoint time) noexcept {
  const auto ms = time.time_since_epoch().count();
  if (ms <= 0) return 0;
  const auto shifted = static_cast<std::uint64_t>(ms) << kStampCounterBits;
  return shifted > kMaxVersion ? kMaxVersion : shifted;
}
constexpr TimePoint time_of(Stamp stamp) noexcept { return TimePoint(Milliseconds(static_cast<std::int64_t>(stamp >> kStampCounterBits))); }
// The stamp after `last` at `now`: max(last + 1, clock).
constexpr Stamp next_stamp(Stamp last, TimePoint now) noexcept {
  const Stamp at = stamp_at(now);
  return at > last ? at : last + 1;
}

}  // namespace setget::inline v0
