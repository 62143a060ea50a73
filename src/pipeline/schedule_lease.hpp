// ScheduleLease: renews a job's lease in the schedule store while the job runs on another thread. Private to the scheduler.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <setget/clock.hpp>
#include <setget/schedule_store.hpp>

namespace setget::inline v0::detail {

// Writes `next` over a state that `held.holder` holds for the same due time. The state now stored; empty if another runner has it.
Result<std::optional<ScheduleState>> exchange_as_holder(ScheduleStore& store, std::string_view job, const ScheduleState& held,
                                                        const ScheduleState& next);

class ScheduleLease {
 public:
  // Renews every third of `lease` (real time) until it is destroyed. `held` is the state that the caller wrote when it took the lease.
  // Throws std::system_error where no thread can be had.
  ScheduleLease(ScheduleStore& store, const Clock& clock, std::string job, ScheduleState held, Milliseconds lease);
  ~ScheduleLease();
  ScheduleLease(const ScheduleLease&) = delete;
  ScheduleLease& operator=(const ScheduleLease&) = delete;

  // Stops renewing. The state as last written; empty if another runner has taken the lease.
  std::optional<ScheduleState> finish();

 private:
  void loop();

  ScheduleStore& store_;
  const Clock& clock_;
  const std::string job_;
  const Milliseconds lease_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  bool lost_ = false;
  ScheduleState held_;
  std::thread thread_;
};

}  // namespace setget::inline v0::detail
