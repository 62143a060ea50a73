// What the tests of the scheduler share: a world of simulated time, and stores that fail as they are told.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <setget/scheduler.hpp>
#include <setget/testing/clock.hpp>

namespace scheduler_test {

using namespace setget;
using setget::testing::SeededRandom;
using setget::testing::SimulatedClock;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

inline constexpr TimePoint kStart{Milliseconds(1'767'225'600'000)};  // 2026-01-01 00:00 UTC

inline std::string offset(TimePoint time) { return std::to_string(std::chrono::duration_cast<minutes>(time - kStart).count()) + "m"; }

// A scheduler under simulated time; several share a store.
struct World {
  std::shared_ptr<SimulatedClock> clock = std::make_shared<SimulatedClock>(kStart);
  std::shared_ptr<ScheduleStore> store = memory_schedule_store();
  std::shared_ptr<SeededRandom> random = std::make_shared<SeededRandom>(1);

  std::unique_ptr<Scheduler> scheduler(std::shared_ptr<ScheduleStore> other = {}) {
    return std::move(Scheduler::create(
                         {.store = other ? other : store, .clock = clock, .random = random, .logger = {}, .metrics = {}, .runner = {}}))
        .value();
  }
};

inline JobOptions job(const char* cron, std::function<Result<void>(const JobContext&)> run) {
  return {.name = "job", .schedule = Cron::parse(cron).value(), .run = std::move(run)};
}

// Notes the due time and the try of every run.
struct Runs {
  std::vector<std::string> seen;
  auto noting(Result<void> result = {}) {
    return [this, result](const JobContext& context) {
      seen.push_back(offset(context.due) + "#" + std::to_string(context.attempt));
      return result;
    };
  }
};
using Seen = std::vector<std::string>;

inline Error failure() { return Error(ErrorCode::kUnavailable, "the far side is down"); }

// Fails or loses the reply of the exchanges that a test names.
class FaultyStore final : public ScheduleStore {
 public:
  explicit FaultyStore(std::shared_ptr<ScheduleStore> inner) : inner_(std::move(inner)) {}
  Result<std::optional<ScheduleState>> load(std::string_view name) override {
    ++loads;
    if (down) return failure();
    return inner_->load(name);
  }
  Result<bool> exchange(std::string_view name, const std::optional<ScheduleState>& expected, const ScheduleState& next) override {
    if (down) return failure();
    auto result = inner_->exchange(name, expected, next);
    if (lose_replies > 0) {
      --lose_replies;
      return failure();
    }
    return result;
  }
  std::atomic<int> loads{0};
  std::atomic<int> lose_replies{0};
  std::atomic<bool> down{false};

 private:
  std::shared_ptr<ScheduleStore> inner_;
};

// Opens once; waits are bounded so that a broken test ends.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(20), [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

}  // namespace scheduler_test
