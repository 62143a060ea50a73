#include <map>
#include <mutex>

#include <setget/schedule_store.hpp>

namespace setget::inline v0 {

ScheduleStore::~ScheduleStore() = default;

namespace {

class MemoryScheduleStore final : public ScheduleStore {
 public:
  Result<std::optional<ScheduleState>> load(std::string_view job) override {
    const std::lock_guard lock(mutex_);
    const auto it = states_.find(job);
    return it == states_.end() ? std::optional<ScheduleState>() : it->second;
  }

  Result<bool> exchange(std::string_view job, const std::optional<ScheduleState>& expected, const ScheduleState& next) override {
    const std::lock_guard lock(mutex_);
    const auto it = states_.find(job);
    const bool same = it == states_.end() ? !expected : expected && *expected == it->second;
    if (!same) return false;
    if (it == states_.end()) {
      states_.emplace(job, next);
    } else {
      it->second = next;
    }
    return true;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, ScheduleState, std::less<>> states_;
};

}  // namespace

std::shared_ptr<ScheduleStore> memory_schedule_store() { return std::make_shared<MemoryScheduleStore>(); }

}  // namespace setget::inline v0
