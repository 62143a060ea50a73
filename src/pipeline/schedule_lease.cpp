#include "pipeline/schedule_lease.hpp"

#include <utility>

namespace setget::inline v0::detail {

Result<std::optional<ScheduleState>> exchange_as_holder(ScheduleStore& store, std::string_view job, const ScheduleState& held,
                                                        const ScheduleState& next) {
  auto expected = held;
  for (;;) {
    auto exchanged = store.exchange(job, expected, next);
    if (!exchanged) return std::move(exchanged).error();
    if (*exchanged) return std::optional(next);
    // A write of ours whose reply was lost leaves another state that is still ours.
    auto loaded = store.load(job);
    if (!loaded) return std::move(loaded).error();
    if (!*loaded || (*loaded)->holder != held.holder || (*loaded)->last_due != held.last_due) return std::optional<ScheduleState>();
    expected = std::move(**loaded);
  }
}

ScheduleLease::ScheduleLease(ScheduleStore& store, const Clock& clock, std::string job, ScheduleState held, Milliseconds lease)
    : store_(store), clock_(clock), job_(std::move(job)), lease_(lease), held_(std::move(held)), thread_([this] { loop(); }) {}

ScheduleLease::~ScheduleLease() { finish(); }

std::optional<ScheduleState> ScheduleLease::finish() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  return lost_ ? std::nullopt : std::optional(held_);
}

void ScheduleLease::loop() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, lease_ / 3, [this] { return done_; })) {
    auto next = held_;
    next.lease_until = clock_.now() + lease_;
    lock.unlock();
    auto now_held = exchange_as_holder(store_, job_, held_, next);  // only this thread writes held_ while it runs
    lock.lock();
    if (!now_held) continue;  // the store is out of reach: the lease is as it was, the next round tries again
    if (!*now_held) {
      lost_ = true;
      return;
    }
    held_ = std::move(**now_held);
  }
}

}  // namespace setget::inline v0::detail
