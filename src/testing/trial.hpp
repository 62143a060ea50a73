// One run of one conformance test: fresh stores under a simulated clock, and the table of cases that a suite consists of.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <exception>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <setget/testing/commands.hpp>
#include <setget/testing/conformance.hpp>

namespace setget::inline v0::testing::detail {

// What a caller gives who wants all there is; nothing may be added to it.
inline constexpr std::size_t kAll = std::numeric_limits<std::size_t>::max();

class Trial {
 public:
  explicit Trial(const ConformanceParams& params) : params_(params) {
    environment_.clock = std::make_shared<SimulatedClock>();
    environment_.random = std::make_shared<SeededRandom>(42);
    stores_ = params_.make(environment_).value();
    first_stamp_ = stamp_at(now());
  }

  const ConformanceParams& params() const { return params_; }
  // Of a capability: `&Deviations::ledger`.
  bool has(std::string Deviations::*capability) const { return (params_.deviations.*capability).empty(); }
  const Environment& environment() const { return environment_; }
  SimulatedClock& clock() { return *environment_.clock; }
  TimePoint now() { return clock().now(); }
  QueueBackend& queues() { return *stores_.queues; }
  KeyStoreBackend& store() { return *stores_.key_store.backend(); }
  ArchiveBackend& archive() { return *stores_.archive; }
  ScheduleStore& schedules() { return *stores_.schedules; }
  const Stores& stores() const { return stores_; }

  Queue queue(const std::string& name, const QueueOptions& options) { return Queue::open(stores_.queues, name, options).value(); }
  // Standard, with nothing that ends a message behind the test's back.
  Queue plain_queue(const std::string& name = "plain") { return queue(name, {.kind = QueueKind::kStandard, .max_receives = 0}); }
  Queue fifo_queue(const std::string& name = "fifo") { return queue(name, {.kind = QueueKind::kFifo, .max_receives = 0}); }

  // The n-th stamp of the test, for commands that go to the key store without a queue.
  Stamp stamp(std::uint64_t n) const { return first_stamp_ + n; }

  ApplyResult apply(const ApplyEntry& entry) { return stores_.key_store.apply(entry, now()).value(); }
  std::vector<ApplyResult> apply_all(std::span<const ApplyEntry> entries) {
    std::vector<ApplyResult> out;
    for (auto& result : store().apply({.entries = entries, .now = now()}).value()) out.push_back(std::move(result).value());
    return out;
  }
  Lookup look(std::string_view key, std::string_view ns = {}) {
    return store().get({.ns = ns, .keys = std::span(&key, 1), .now = now()}).value().at(0);
  }
  Lookup look_id(std::string_view id, std::string_view ns = {}) { return store().get_by_id({.ns = ns, .id = id, .now = now()}).value(); }
  // "id/payload" of what the key leads to, "gone" or "unknown".
  std::string seen(std::string_view key, std::string_view ns = {}) { return name_of(look(key, ns)); }
  std::string seen_id(std::string_view id, std::string_view ns = {}) { return name_of(look_id(id, ns)); }

  // Drops every object and opens the same content again.
  void reopen() {
    auto place = stores_.place;
    stores_ = {};
    stores_ = params_.reopen(environment_, place).value();
  }
  Stores share() { return params_.share(environment_, stores_.place).value(); }

 private:
  static std::string name_of(const Lookup& lookup) {
    if (lookup.status == Lookup::Status::kUnknown) return "unknown";
    if (lookup.status == Lookup::Status::kGone) return "gone";
    return lookup.record->id + "/" + lookup.record->payload.str();
  }

  const ConformanceParams& params_;
  Environment environment_;
  Stores stores_;
  Stamp first_stamp_ = 0;
};

// Threads of a case. What one throws is a failure of the case: out of a thread it would end the host's program. Joins at its end.
class Threads {
 public:
  template <class Body>
  void run(Body body) {
    threads_.emplace_back([this, body = std::move(body)]() mutable {
      try {
        body();
      } catch (const std::exception& problem) {
        ADD_FAILURE() << "in a thread of the case: " << problem.what();
        failed_ = true;
      }
    });
  }
  // One of them has: there is nothing to wait for. GoogleTest's own answer is not for several threads.
  bool failed() const { return failed_; }

 private:
  std::atomic<bool> failed_{false};
  std::vector<std::jthread> threads_;
};

enum class Needs : std::uint8_t { kNothing, kReopen, kShare };

using Capabilities = std::vector<std::string Deviations::*>;
struct Case {
  const char* name;
  void (*run)(Trial&);
  Capabilities capabilities{};  // registered only if the backend has all of them
  Needs needs = Needs::kNothing;
};
using Cases = std::span<const Case>;

// A list without braces, which a macro's own would hide.
template <class... Each>
Capabilities needing(Each... capabilities) {
  return {capabilities...};
}

// The suites. Each is a table in a file of its own.
Cases queue_basic_cases();
Cases queue_lease_cases();
Cases queue_fifo_cases();
Cases queue_dead_letter_cases();
Cases queue_ledger_cases();
Cases queue_batch_cases();
Cases queue_waiting_cases();
Cases key_store_record_cases();
Cases key_store_order_cases();
Cases key_store_expiry_cases();
Cases key_store_log_cases();
Cases key_store_scan_cases();
Cases key_store_fused_cases();
Cases key_store_history_cases();
Cases archive_cases();
Cases archive_progress_cases();
Cases archive_history_cases();
Cases schedule_cases();
// What proves that a lacking capability is declared and refused.
Cases queue_deviation_cases();
Cases key_store_deviation_cases();
Cases key_store_fused_deviation_cases();
Cases archive_deviation_cases();
Cases archive_progress_deviation_cases();
Cases key_store_history_deviation_cases();
Cases archive_history_deviation_cases();

}  // namespace setget::inline v0::testing::detail
