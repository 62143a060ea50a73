// ScheduleStore: the seam behind the scheduler's memory and its one-runner lease. Offered by memory and sqlite stores.
// Thread rule: any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>

namespace setget::inline v0 {

// Where the last due time and the runner's lease of each job live, so that restarts and other processes know.
struct ScheduleState {
  std::optional<TimePoint> last_due{};  // the latest due time that was taken
  std::optional<TimePoint> last_started{};
  std::optional<TimePoint> last_finished{};
  bool last_ok = true;
  std::string last_error{};
  std::string holder{};  // runner that holds the lease; empty = none
  TimePoint lease_until{};
  friend bool operator==(const ScheduleState&, const ScheduleState&) = default;
};
class SETGET_API ScheduleStore {
 public:
  virtual ~ScheduleStore();
  virtual Result<std::optional<ScheduleState>> load(std::string_view job) = 0;
  // Writes `next` if the state is still `expected` (empty: absent); false if somebody else changed it. One atomic, durable step.
  virtual Result<bool> exchange(std::string_view job, const std::optional<ScheduleState>& expected, const ScheduleState& next) = 0;
};
SETGET_API std::shared_ptr<ScheduleStore> memory_schedule_store();

}  // namespace setget::inline v0
