#include "pipeline/run_ledger.hpp"

#include <fmt/format.h>

#include <utility>

namespace setget::inline v0::detail {

bool RunLedger::another_runs() const {
  return checkpoint.runner != runner_.text() && checkpoint.runner_until > options_.clock->now() && !surely_gone(checkpoint.runner);
}

void RunLedger::note_refused(ArchiveCheckpoint&& found, const Error& refused) {
  checkpoint = std::move(found);
  if (another_runs()) return;
  checkpoint.last_started_at = options_.clock->now();
  ++checkpoint.runs;
  checkpoint.runner = runner_.text();
  ++checkpoint.fence;
  checkpoint.last_error = refused.describe();
  finish({});
  (void)save(turn_.soon());
}

Result<void> RunLedger::take_turn() {
  if (another_runs()) {
    return Error(ErrorCode::kConflict, fmt::format("another archive run is under way: {}", checkpoint.runner)).at_field("runner");
  }
  succeeded_before_ = checkpoint.last_success_at;
  checkpoint.runner = runner_.text();
  ++checkpoint.fence;
  return confirm();
}

Result<void> RunLedger::save(Deadline deadline) {
  return turn_.busy_with([&] { return options_.archive->save_checkpoint_within(checkpoint, deadline); });
}

Result<void> RunLedger::confirm() {
  confirmed_at_ = options_.clock->now();
  checkpoint.runner_until = confirmed_at_ + options_.lease;
  return save(turn_.soon());
}

Result<void> RunLedger::renew() { return options_.clock->now() - confirmed_at_ > options_.lease / 3 ? confirm() : Result<void>(); }

Result<void> RunLedger::confirm_now_and_then() {
  if (!unconfirmed_ || Deadline::Steady::now() - progress_confirmed_at_ < kUnconfirmed) return {};
  progress_confirmed_at_ = Deadline::Steady::now();
  if (auto saved = confirm(); !saved) return saved;
  return commit(turn_.soon());
}

Result<void> RunLedger::commit(Deadline deadline) {
  if (committed_ != checkpoint.position && !checkpoint.full_copy) {
    auto done =
        turn_.busy_with([&] { return options_.key_store.backend()->commit_cursor(options_.cursor, checkpoint.position, deadline); });
    if (!done) return done;
    found_cursor_at(checkpoint.position);
  }
  unconfirmed_ = false;
  return {};
}

void RunLedger::finish(const ArchiveRunReport& report) {
  checkpoint.runner_until = {};
  auto& history = checkpoint.history;
  if (finished_) history.pop_back();  // its end was not confirmed
  finished_ = true;
  if (history.size() >= kArchiveRunLines) history.erase(history.begin());
  constexpr std::size_t kMost = 500;
  history.push_back({.started_at = checkpoint.last_started_at,
                     .ended_at = options_.clock->now(),
                     .read = report.read,
                     .written = report.written,
                     .tombstones = report.tombstones,
                     .error = checkpoint.last_error.substr(0, kMost)});
}

Result<void> RunLedger::succeed(const ArchiveRunReport& report) {
  // The cursor first, so that the last word of the run is where it stands.
  if (committed_ != checkpoint.position) {
    if (auto saved = confirm(); !saved) return saved;
    if (auto done = commit(turn_.soon()); !done) return done;
  }
  checkpoint.last_success_at = options_.clock->now();
  checkpoint.last_error.clear();
  finish(report);
  return save(turn_.soon());
}

void RunLedger::fail(const Error& error, const ArchiveRunReport& report) {
  checkpoint.last_error = error.describe();
  checkpoint.last_success_at = succeeded_before_;
  finish(report);
  const auto until = farewell(turn_.deadline());
  if (save(until) && unconfirmed_) (void)commit(until);
}

}  // namespace setget::inline v0::detail
