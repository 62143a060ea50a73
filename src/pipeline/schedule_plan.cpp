#include "pipeline/schedule_plan.hpp"

#include <algorithm>

#include "core/hlc.hpp"

namespace setget::inline v0::detail {

namespace {

// A run that is late by no more than this was not missed, it only starts late.
constexpr Milliseconds kNotYetMissed = std::chrono::minutes(1);

// The last due time at or before `now`, given one at `first`. Bisection: per-second schedules may have missed a year.
TimePoint latest_due(const Cron& schedule, TimePoint first, TimePoint now) {
  TimePoint latest = first;
  TimePoint none_after = now;
  while (latest < none_after) {
    const auto middle = latest + (none_after - latest) / 2;
    const auto next = schedule.next(middle);
    if (next && *next <= now) {
      latest = *next;
    } else if (middle == latest) {
      break;
    } else {
      none_after = middle;
    }
  }
  return latest;
}

// Whether a due time was taken by a clock that was wrong, and would keep the job from others that are still to come. Where it is ahead by
// no more than clocks may differ, another runner was only earlier.
bool far_ahead(const Cron& schedule, TimePoint last, TimePoint now) {
  if (last <= now + kHlcSkewBound) return false;
  const auto next = schedule.next(now);
  return next && *next < last;
}

// Whether somebody has it. A lease that no runner with a right clock can have written, also not one that waits for its next try and has
// other options than this one, would keep the job from all.
bool is_leased(const JobOptions& job, const ScheduleState& state, TimePoint now) {
  constexpr std::chrono::duration<double, std::milli> kOtherOptions = std::chrono::hours(24);
  const auto own = std::chrono::duration<double, std::milli>(job.lease) + std::max(job.retry_after, job.retry_cap);
  return state.lease_until > now && state.lease_until - now <= std::max(own, kOtherOptions) + kHlcSkewBound;
}

// A hook that throws decides nothing: the tries are counted anyway.
bool worth_retrying(const JobOptions& job, const Error& error) noexcept {
  try {
    return !job.worth_retrying || job.worth_retrying(error);
  } catch (...) {
    return true;
  }
}

}  // namespace

SchedulePlan plan_job(const JobOptions& job, const ScheduleState& state, TimePoint now, TimePoint watched_since) {
  using Action = SchedulePlan::Action;
  const auto last = state.last_due.value_or(now);
  const auto next = job.schedule.next(last);
  if (!state.holder.empty() && is_leased(job, state, now)) {
    return {.wake_at = next && *next > now ? std::min(*next, state.lease_until) : state.lease_until};
  }
  if (far_ahead(job.schedule, last, now)) return {.action = Action::kRewind, .due = now, .wake_at = now};
  if (!state.holder.empty()) return {.action = Action::kResume, .due = last, .wake_at = now};
  if (!next || *next > now) return {.wake_at = next};
  if (job.catch_up == CatchUp::kAll) return {.action = Action::kRun, .due = *next, .wake_at = now};
  const auto due = latest_due(job.schedule, *next, now);
  const bool missed = due < watched_since && now - due > kNotYetMissed + job.jitter;
  return {.action = job.catch_up == CatchUp::kSkip && missed ? Action::kForget : Action::kRun, .due = due, .wake_at = now};
}

std::optional<TimePoint> plan_retry(const JobOptions& job, TimePoint began, TimePoint now, std::uint32_t attempt, const Error& error) {
  if (attempt + 1 >= job.max_attempts || !worth_retrying(job, error)) return std::nullopt;
  auto wait = job.retry_after;
  for (std::uint32_t i = 0; i < attempt && wait > Milliseconds(0) && wait < job.retry_cap; ++i) wait = std::min(2 * wait, job.retry_cap);
  const auto at = now + wait;
  if (job.retry_window > Milliseconds(0) && at - began > job.retry_window) return std::nullopt;
  return at;
}

}  // namespace setget::inline v0::detail
