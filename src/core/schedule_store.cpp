#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include <setget/schedule_store.hpp>

namespace setget::inline v0 {

ScheduleStore::~ScheduleStore() = default;

namespace {

bool same(const ScheduleState& a, const ScheduleState& b) {
  const auto fields = [](const ScheduleState& state) {
    return std::tie(state.last_due, state.last_started, state.last_finished, state.last_ok, state.last_error, state.holder,
                    state.lease_until);
  };
  return fields(a) == fields(b);
}

class MemoryScheduleStore final : public ScheduleStore {
 public:
  Result<std::optional<ScheduleState>> load(std::string_view job) override {
    const std::lock_guard lock(mutex_);
    const auto found = jobs_.find(job);
    return found == jobs_.end() ? std::nullopt : std::optional(found->second);
  }

  Result<bool> exchange(std::string_view job, const std::optional<ScheduleState>& expected, const ScheduleState& next) override {
    const std::lock_guard lock(mutex_);
    const auto found = jobs_.find(job);
    const bool known = found != jobs_.end();
    if (known != expected.has_value() || (known && !same(found->second, *expected))) return false;
    jobs_.insert_or_assign(std::string(job), next);
    return true;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, ScheduleState, std::less<>> jobs_;
};

}  // namespace

std::shared_ptr<ScheduleStore> memory_schedule_store() { return std::make_shared<MemoryScheduleStore>(); }

}  // namespace setget::inline v0
