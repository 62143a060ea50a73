// The memory backend: everything in this process, gone with it. A shipped product for tests and caches, and the worked example for writing
// a backend.
#pragma once

#include <memory>
#include <string>

#include <setget/archive.hpp>
#include <setget/clock.hpp>
#include <setget/key_store.hpp>
#include <setget/queue.hpp>
#include <setget/schedule_store.hpp>

namespace setget::inline v0::memory {

struct Options {
  std::shared_ptr<const Clock> clock{};  // empty: system_clock()
  std::shared_ptr<Random> random{};      // empty: system_random()
  // Of the outbox for histories: states, and bytes of their payloads; > 0. At either limit commands wait for the archiver.
  std::size_t outbox_states = 100'000;
  std::size_t outbox_bytes = 256u << 20;
  std::size_t max_bytes = 0;  // of queued messages and dead letters; send answers kResourceExhausted beyond; 0 = unlimited
};

// A store: any number of queues, one key store, one archive. The objects share ownership; each may outlive the Database.
class SETGET_API Database {
 public:
  // Opens the queue, making it with default options when it is missing.
  Queue queue(const std::string& name = "records", const QueueOptions& options = {});
  std::shared_ptr<QueueBackend> queues();
  KeyStore key_store();
  std::shared_ptr<ArchiveBackend> archive();
  std::shared_ptr<ScheduleStore> schedules();

  struct State;
  explicit Database(std::shared_ptr<State> state) : state_(std::move(state)) {}

 private:
  std::shared_ptr<State> state_;
};

SETGET_API Result<Database> open(Options options = {});

}  // namespace setget::inline v0::memory
