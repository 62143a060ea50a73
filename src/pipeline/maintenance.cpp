#include "pipeline/maintenance.hpp"

#include <algorithm>

#include <setget/archive_health.hpp>
#include <setget/archiver.hpp>

#include "core/hlc.hpp"
#include "pipeline/metric_names.hpp"

namespace setget::inline v0::detail {

namespace {

// Of one call, and of the calls in one tick: a backlog is worked off over many ticks instead of stopping everything else for one.
constexpr std::size_t kSteps = 1'000;
constexpr int kRounds = 20;
// The archive purges itself at each run; in between this is often enough, also for gauges that come from it.
constexpr Milliseconds kArchiveInterval{60'000};
double seconds(Milliseconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

Result<Stamp> Maintenance::floor() {
  auto& backend = *parts_.queue.backend();
  if (backend.capabilities().oldest_unfinished) {
    auto oldest = backend.oldest_unfinished();
    // A store apart may be fed by the queues of other hosts as well, whose clocks are behind and which still work on what they have.
    if (oldest && parts_.key_store.backend()->fused_with(backend) == nullptr)
      oldest = std::min(*oldest, stamp_at(parts_.clock->now() - kHlcSkewBound));
    return oldest;
  }
  auto queues = backend.list();
  if (!queues) return std::move(queues).error();
  Milliseconds longest{0};
  for (const auto& queue : *queues) longest = std::max(longest, queue.options.retention);
  return stamp_at(parts_.clock->now() - longest - kHlcSkewBound);
}

void Maintenance::tick_if_due() {
  {
    const std::lock_guard lock(mutex_);
    if (last_tick_ && parts_.clock->now() - *last_tick_ < parts_.interval && parts_.clock->now() >= *last_tick_) return;
  }
  tick();
}

void Maintenance::tick() {
  const std::lock_guard lock(mutex_);
  last_tick_ = parts_.clock->now();
  maintain_queue();
  reclaim();
  move_history();
  reclaim_archive();
  publish();
}

void Maintenance::maintain_queue() {
  for (int i = 0; i < kRounds; ++i) {
    auto done = parts_.queue.backend()->maintain({.queue = parts_.queue.name(), .max_steps = kSteps});
    if (!done) return failed("queue", done.error());
    if (*done < kSteps) return;
  }
}

// The archiver's cursor keeps tombstones until they are archived. A store that is new to an archive (the old one was lost) has no such
// cursor before its first run, which may take an operator's word; what is erased until then would be forgotten, and be found in the
// archive.
Result<void> Maintenance::hold_for_archiver() {
  auto& store = *parts_.key_store.backend();
  if (!parts_.reads_through || !store.capabilities().change_log) return {};
  auto cursors = store.cursors();
  if (!cursors) return std::move(cursors).error();
  const auto has = [&](std::string_view name) {
    return std::ranges::any_of(*cursors, [&](const CursorInfo& one) { return one.name == name && !one.dropped; });
  };
  const bool archiver = has(ArchiverOptions{}.cursor);
  if (!has(kStandInCursor)) {
    if (archiver) return {};
    auto opened = store.open_cursor({.name = kStandInCursor});
    if (!opened) return std::move(opened).error();
    return {};
  }
  const auto now = parts_.clock->now();
  if (!archiver || (last_held_ && now - *last_held_ < kArchiveInterval && now >= *last_held_)) return {};
  last_held_ = now;
  const auto identity = store.identity();
  if (!identity) return identity.error();
  const auto checkpoint = parts_.archive->load_checkpoint_within(Deadline::in(Milliseconds(30'000)));
  // An archive that is away holds nothing else up.
  if (!checkpoint || !*checkpoint || (*checkpoint)->full_copy || (*checkpoint)->source != *identity) return {};
  return store.drop_cursor(kStandInCursor);
}

void Maintenance::reclaim() {
  if (auto held = hold_for_archiver(); !held) return failed("cursor", held.error());
  auto below = floor();
  if (!below) return failed("floor", below.error());
  for (int i = 0; i < kRounds; ++i) {
    auto done =
        parts_.key_store.backend()->reclaim({.now = parts_.clock->now(), .floor = *below, .grace = parts_.grace, .max_steps = kSteps});
    if (!done) return failed("store", done.error());
    if (done->expired > 0) parts_.metrics->add(metric::kEvicted, static_cast<double>(done->expired), {});
    if (done->forgotten > 0) parts_.metrics->add(metric::kForgotten, static_cast<double>(done->forgotten), {});
    if (done->steps < kSteps) return;
  }
}

void Maintenance::reclaim_archive() {
  if (!parts_.archive) return;
  const auto now = parts_.clock->now();
  if (last_archive_ && now - *last_archive_ < kArchiveInterval && now >= *last_archive_) return;
  last_archive_ = now;
  for (int i = 0; i < kRounds; ++i) {
    auto done = parts_.archive->reclaim({.now = now, .max_steps = kSteps, .max_history_bytes = parts_.history_bytes});
    if (!done) return failed("archive", done.error());
    if (*done < kSteps) break;
  }
  publish_archive(now);
}

void Maintenance::publish_archive(TimePoint now) {
  const auto health = archive_health(*parts_.key_store.backend(), *parts_.archive, parts_.archive_cursor, now);
  if (!health) return failed("archive_health", health.error());
  if (!health->checkpoint) return;
  auto& metrics = *parts_.metrics;
  const auto& checkpoint = *health->checkpoint;
  const auto time = [](TimePoint at) { return seconds(at.time_since_epoch()); };
  if (checkpoint.last_success_at != TimePoint{}) metrics.set(metric::kArchiveLastSuccess, time(checkpoint.last_success_at), {});
  if (checkpoint.last_verified_at != TimePoint{}) metrics.set(metric::kArchiveVerified, time(checkpoint.last_verified_at), {});
  metrics.set(metric::kArchiveLastRunOk, checkpoint.last_error.empty() ? 1 : 0, {});
  metrics.set(metric::kArchiveLag, static_cast<double>(health->lag), {});
  metrics.set(metric::kArchiveOldest, health->oldest_change ? seconds(*health->oldest_change) : 0, {});
  metrics.set(metric::kArchiveQuarantined, static_cast<double>(health->quarantined), {});
}

void Maintenance::move_history() {
  if (!parts_.move_history) return;
  if (auto moved = parts_.move_history(); !moved) failed("history", moved.error());
}

void Maintenance::publish() {
  auto& metrics = *parts_.metrics;
  if (auto stats = parts_.queue.stats()) {
    metrics.set(metric::kQueueDepth, static_cast<double>(stats->depth), {});
    metrics.set(metric::kQueueInFlight, static_cast<double>(stats->in_flight), {});
    metrics.set(metric::kQueueDelayed, static_cast<double>(stats->delayed), {});
    metrics.set(metric::kQueueDeadLetters, static_cast<double>(stats->dead_letters), {});
    metrics.set(metric::kQueueOldestAge, stats->oldest_age ? seconds(*stats->oldest_age) : 0, {});
  } else {
    failed("queue_stats", stats.error());
  }
  if (auto stats = parts_.key_store.backend()->stats()) {
    metrics.set(metric::kStoreRecords, static_cast<double>(stats->records), {});
    metrics.set(metric::kStoreTombstones, static_cast<double>(stats->tombstones), {});
    metrics.set(metric::kStoreChanges, static_cast<double>(stats->changes), {});
    metrics.set(metric::kStoreBytes, static_cast<double>(stats->bytes), {});
    metrics.set(metric::kStoreFloor, seconds(time_of(stats->floor).time_since_epoch()), {});
  } else {
    failed("store_stats", stats.error());
  }
  if (auto cursors = parts_.key_store.backend()->cursors()) {
    for (const auto& cursor : *cursors) metrics.set(metric::kCursorLag, static_cast<double>(cursor.lag), {{"cursor", cursor.name}});
  }
}

void Maintenance::failed(std::string_view step, const Error& error) {
  parts_.metrics->add(metric::kMaintenanceErrors, 1, {{"step", step}});
  parts_.logger->log(LogLevel::kWarning, "maintenance failed and is tried again", {{"step", step}, {"error", error.describe()}});
}

}  // namespace setget::inline v0::detail
