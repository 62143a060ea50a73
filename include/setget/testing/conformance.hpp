// The conformance kit: the suites that every backend passes. A backend fills one ConformanceParams and calls register_conformance() from
// the main() of a GoogleTest program, before RUN_ALL_TESTS(). Everything runs under a simulated clock; nothing sleeps.
// Thread rule: register_conformance() belongs to one thread, before the tests run.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <setget/archive.hpp>
#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/key_store.hpp>
#include <setget/queue.hpp>
#include <setget/schedule_store.hpp>
#include <setget/testing/clock.hpp>

namespace setget::inline v0::testing {

// What a test gives to a backend: time and chance.
struct Environment {
  std::shared_ptr<SimulatedClock> clock{};
  std::shared_ptr<Random> random{};
};

// What a backend gives to a test. Leave empty what the backend does not have, and switch its suites off in the parameters.
struct Stores {
  std::shared_ptr<QueueBackend> queues{};
  KeyStore key_store{};
  std::shared_ptr<ArchiveBackend> archive{};
  std::shared_ptr<ScheduleStore> schedules{};
  std::shared_ptr<void> place{};  // keeps the content alive: a guard of a temporary folder, a server's database. Dropped last
};

// A capability that a backend lacks, each with the reason, in a sentence. An empty reason: the backend has it, and the suites prove it.
// Instead of the tests of a lacking capability one test is run that proves that the backend says so and refuses the verbs.
struct Deviations {
  std::string stamps{};             // QueueCapabilities::stamps
  std::string ledger{};             // …::ledger
  std::string fifo{};               // …::fifo
  std::string dedup{};              // …::dedup
  std::string delay{};              // …::delay
  std::string dead_letters{};       // …::dead_letters
  std::string oldest_unfinished{};  // …::oldest_unfinished
  std::string listing{};            // KeyStoreCapabilities::listing
  std::string change_log{};         // …::change_log
  std::string scan{};               // …::scan
  std::string fused{};              // fused_with() gives a FusedStore for the queues of the same Stores; asked where both suites are on
  std::string read_by_key{};        // ArchiveCapabilities::read_by_key
  std::string quarantine{};         // …::quarantine
  std::string outbox{};             // KeyStoreCapabilities::history
  std::string history{};            // ArchiveCapabilities::history
};

struct ConformanceParams {
  std::string name{};  // [A-Za-z0-9_]; the suites are called <name>_queue, <name>_key_store, <name>_archive, <name>_schedules
  // Fresh, empty stores that no other test sees. Called once per test.
  std::function<Result<Stores>(const Environment&)> make{};
  // For durable backends: the same content once more. Called after every object but `place` has been dropped. Empty: nothing is kept, and
  // the tests of reopening are not registered; a backend that declares Durability::kDisk must give it.
  std::function<Result<Stores>(const Environment&, const std::shared_ptr<void>& place)> reopen{};
  // For backends that several processes may use at once: a second, independent set of objects on the same content, while the first
  // set lives on. Empty: the tests of sharing are not registered.
  std::function<Result<Stores>(const Environment&, const std::shared_ptr<void>& place)> share{};
  bool queue = true;  // which suites to register
  bool key_store = true;
  bool archive = true;
  bool schedules = true;
  Deviations deviations{};
};

// Registers every test of the suites with GoogleTest. May be called for any number of backends.
SETGET_API void register_conformance(ConformanceParams params);

}  // namespace setget::inline v0::testing
