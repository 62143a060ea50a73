// Archive health: how far an archive is behind its store, and what of it somebody should know. Thread rule: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include <setget/archive.hpp>
#include <setget/cron.hpp>
#include <setget/doctor.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/key_store.hpp>

namespace setget::inline v0 {

struct ArchiveHealth {
  std::optional<ArchiveCheckpoint> checkpoint{};  // empty: no run has ever begun
  std::uint64_t lag = 0;                          // changes that wait to be archived; 0 where there is no cursor
  bool cursor_lost = false;  // there was a run, and the log does not go on where it ended: the next one copies everything
  // How long the oldest of them has waited; empty: none waits, or nothing was archived yet. By its acceptance, but no longer than since the
  // last success: then it was not in the log. A tombstone of a record that its callers number has waited that long, as it has no time.
  std::optional<Milliseconds> oldest_change{};
  bool other_store = false;  // the archive belongs to another store, or to this one before it was flushed or replaced: runs are refused
  std::uint64_t quarantined = 0;  // at most kArchiveHealthQuarantined
};
inline constexpr std::size_t kArchiveHealthQuarantined = 1000;

// One look at both, a handful of round trips whatever they hold. `cursor`: as ArchiverOptions has it. Waits for the two until `deadline`.
SETGET_API Result<ArchiveHealth> archive_health(KeyStoreBackend& store, ArchiveBackend& archive, std::string_view cursor, TimePoint now,
                                                Deadline deadline = Deadline::in(Milliseconds(30'000)));

// Judges it by the schedule that the runs follow (empty: they are made by hand, and nothing is due): a run is late once it has not
// succeeded `grace` after it was due, which is the time that retries have; a second one makes it an error. Empty: all is well. Pure.
SETGET_API std::vector<Finding> judge_archive(const ArchiveHealth& health, const std::optional<Cron>& schedule, Milliseconds grace,
                                              TimePoint now);

}  // namespace setget::inline v0
