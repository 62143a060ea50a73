// RunLedger: how far a run has come and whose turn it is, as the archive's checkpoint says it, and the store's cursor, which follows that.
// Each confirmation is two waits for servers, so there is one now and then and one at the end: a crash repeats what was written since.
// Private to the archiver. Thread rule: one thread.
#pragma once

#include <setget/archiver.hpp>

#include "pipeline/archive_runner.hpp"
#include "pipeline/archiver_state.hpp"

namespace setget::inline v0::detail {

class RunLedger {
 public:
  RunLedger(const ArchiverOptions& options, const RunnerName& runner, ArchiveTurn& turn)
      : options_(options), runner_(runner), turn_(turn) {}

  // The run's own, and the archive's once it is confirmed.
  ArchiveCheckpoint checkpoint{};

  // From here on every save of another runner that thinks it is its turn is refused. kConflict while another runs.
  Result<void> take_turn();
  // Who looks at the archive's status sees that it was not copied, and why. Whose it is and how far it came stays as it was. Best effort,
  // and not while another runs, whose checkpoint it is then.
  void note_refused(ArchiveCheckpoint&& found, const Error& refused);

  // The checkpoint as it is, and the lease from now on.
  Result<void> confirm();
  // The lease, where nothing was confirmed for a while.
  Result<void> renew();
  // Something was written, and the checkpoint says it.
  void note_written() noexcept { unconfirmed_ = true; }
  Result<void> confirm_now_and_then();
  // Where the store's cursor stands.
  void found_cursor_at(Position position) noexcept { checkpoint.cursor_at = committed_ = position; }

  // The end. A run that fails confirms what was written before, best effort: its error goes to the caller.
  Result<void> succeed(const ArchiveRunReport& report);
  void fail(const Error& error, const ArchiveRunReport& report);

 private:
  static constexpr Milliseconds kUnconfirmed{100};

  bool another_runs() const;
  Result<void> save(Deadline deadline);
  // To the store, whose log may then forget what lies before. The checkpoint must say it already.
  Result<void> commit(Deadline deadline);
  // Others may run.
  void finish(const ArchiveRunReport& report);

  const ArchiverOptions& options_;
  const RunnerName& runner_;
  ArchiveTurn& turn_;
  TimePoint confirmed_at_{};
  TimePoint succeeded_before_{};
  Deadline::Steady::time_point progress_confirmed_at_ = Deadline::Steady::now();
  bool unconfirmed_ = false;  // something that was written
  Position committed_ = 0;    // to the store, as far as this run knows
  bool finished_ = false;
};

}  // namespace setget::inline v0::detail
