// Maintenance: the housekeeping between messages. Moves the store's floor, lets stores reclaim in bounded steps, and publishes gauges.
// Thread rule: any thread; one tick at a time.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <functional>

#include <setget/archive.hpp>
#include <setget/key_store.hpp>
#include <setget/observe.hpp>
#include <setget/queue.hpp>

namespace setget::inline v0::detail {

// A cursor that stands in for the archiver's until the archiver has one and has copied everything.
inline constexpr std::string_view kStandInCursor = "before-archiver";

struct MaintenanceParts {
  Queue queue;
  KeyStore key_store;
  std::shared_ptr<ArchiveBackend> archive;     // may be empty
  std::string archive_cursor;                  // where it has one
  std::function<Result<void>()> move_history;  // may be empty
  std::uint64_t history_bytes = 0;
  std::shared_ptr<const Clock> clock;
  std::shared_ptr<Logger> logger;
  std::shared_ptr<Metrics> metrics;
  Milliseconds interval{1'000};
  Milliseconds grace{0};
  bool reads_through = false;  // gets fall back to `archive`: what is erased must not be forgotten before the archive has heard of it
};

class Maintenance {
 public:
  explicit Maintenance(MaintenanceParts parts) : parts_(std::move(parts)) {}

  // Below it nothing unfinished lies: what the queue says, or, where it cannot tell, its retention and the skew of clocks before now.
  Result<Stamp> floor();
  // One bounded round of everything. Failures of one part leave the others; the next tick tries again.
  void tick();
  // tick() if the interval has passed by the clock since the last one, or there was none.
  void tick_if_due();

 private:
  void reclaim();
  Result<void> hold_for_archiver();
  void maintain_queue();
  void reclaim_archive();
  void publish_archive(TimePoint now);
  void move_history();
  void publish();
  void failed(std::string_view step, const Error& error);

  MaintenanceParts parts_;
  std::mutex mutex_;  // one tick at a time
  std::optional<TimePoint> last_tick_;
  std::optional<TimePoint> last_archive_;
  std::optional<TimePoint> last_held_;
};

}  // namespace setget::inline v0::detail
