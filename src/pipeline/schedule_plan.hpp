// What a job has to do at a moment, decided from its options and its stored state. Private to the scheduler; pure.
#pragma once

#include <optional>

#include <setget/scheduler.hpp>

namespace setget::inline v0::detail {

struct SchedulePlan {
  enum class Action : std::uint8_t {
    kWait,    // nothing before wake_at
    kRun,     // take `due`
    kResume,  // its runner died: run `due` again
    kForget,  // note `due` as taken without a run
    kRewind,  // the same: what is stored was taken by a clock that was far ahead
  };
  Action action = Action::kWait;
  TimePoint due{};
  std::optional<TimePoint> wake_at;  // empty: the schedule has no further due time
};

// `watched_since`: due times after it cannot have been missed by absence.
SchedulePlan plan_job(const JobOptions& job, const ScheduleState& state, TimePoint now, TimePoint watched_since);

// When to try again what failed at `now` for the `attempt`-th time (from 0), begun first at `began`; empty: given up until it is due again.
std::optional<TimePoint> plan_retry(const JobOptions& job, TimePoint began, TimePoint now, std::uint32_t attempt, const Error& error);

}  // namespace setget::inline v0::detail
