// What the objects of one memory database share. One mutex guards all of it: whatever happens under one lock is one atomic step, which
// is how applying a command and acknowledging its message become inseparable here.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "memory/cursors.hpp"
#include "memory/outbox.hpp"
#include "memory/queue_state.hpp"
#include "memory/tables.hpp"

#include <setget/memory.hpp>

namespace setget::inline v0::memory {

struct Database::State {
  std::shared_ptr<const Clock> clock;
  std::shared_ptr<Random> random;
  StoreIdentity identity;

  std::mutex mutex;
  Stamp last_stamp = 0;
  std::uint64_t next_token = 1;  // of leases
  // Queues. Shared, so that a call that waits on a queue outlives its removal.
  detail::ByteBudget queued;
  std::map<std::string, std::shared_ptr<detail::QueueState>, std::less<>> queues;
  // Key store.
  detail::Tables tables;
  detail::Cursors cursors;
  detail::Outbox outbox;
  Stamp floor = 0;
  std::condition_variable changed;

  // Copies and memories that are never part of an atomic step have locks of their own.
  std::shared_ptr<ArchiveBackend> archive;
  std::shared_ptr<ScheduleStore> schedules;

  Stamp take_stamp() { return last_stamp = next_stamp(last_stamp, clock->now()); }
};

namespace detail {

// How long a wait sleeps before it looks at the clock again: the clock may be simulated, and nobody tells us when it moves.
inline constexpr Milliseconds kWaitSlice{50};

std::shared_ptr<QueueBackend> make_queues(std::shared_ptr<Database::State> state);
std::shared_ptr<KeyStoreBackend> make_key_store(std::shared_ptr<Database::State> state);
std::shared_ptr<ArchiveBackend> make_archive();
// Whether `backend` is the queue backend of this very database.
bool belongs_to(QueueBackend& backend, const Database::State& state);

}  // namespace detail

}  // namespace setget::inline v0::memory
