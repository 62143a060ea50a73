#include <fmt/format.h>

#include <utility>

#include <setget/archiver.hpp>

#include "pipeline/archive_pages.hpp"
#include "pipeline/archive_quarantine.hpp"
#include "pipeline/archiver_state.hpp"
#include "pipeline/caught.hpp"
#include "pipeline/metric_names.hpp"
#include "pipeline/page_size.hpp"
#include "pipeline/read_ahead.hpp"
#include "pipeline/run_ledger.hpp"
#include "pipeline/write_behind.hpp"

namespace setget::inline v0 {

namespace {

namespace metric = detail::metric;

// One incremental run. Each batch goes: into the archive, then the checkpoint, then the cursor; so a crash anywhere repeats at most what is
// not confirmed yet, and repeating is harmless because the archive compares (version, revision).
template <class State>
class Run {
 public:
  Run(State& state, detail::ArchiveTurn& turn, const ArchiveRunOptions& options)
      : state_(state), turn_(turn), wanted_(options), rules_(state.rules()), quarantine_(state.options, turn) {}

  Result<ArchiveRunReport> go() {
    if (auto ready = prepare(wanted_.adopt); !ready) return std::move(ready).error();
    auto done = detail::caught("run", [this] { return copy(); });
    behind_.forget();
    if (ahead_.pace().took >= detail::ReadAhead::kEnough) state_.pace = ahead_.pace();
    report_.quarantined = quarantine_.size();
    state_.options.metrics->set(metric::kArchiveQuarantined, static_cast<double>(quarantine_.size()), {});
    if (!done) {
      ledger_.fail(done.error(), report_);
      return std::move(done).error();
    }
    report_.position = checkpoint_.position;
    return report_;
  }

 private:
  Result<void> prepare(bool adopt) {
    auto identity = state_.store().identity(turn_.soon());
    if (!identity) return std::move(identity).error();
    auto loaded = state_.archive().load_checkpoint_within(turn_.soon());
    if (!loaded) return std::move(loaded).error();
    auto& metrics = *state_.options.metrics;
    const auto what = *loaded ? what_changed(**loaded, *identity) : Result<std::string>(std::string());
    if (!what) return what.error();
    if (!what->empty()) {
      metrics.set(metric::kArchiveAlarm, adopt ? 0 : 1, {});
      if (!adopt) {
        state_.options.logger->log(LogLevel::kError, "the archive run was stopped: this is not the store that was archived",
                                   {{"what", *what}});
        Error refused(ErrorCode::kFailedPrecondition, *what + "; adopt it if the change is meant");
        refused.at_field("identity");
        ledger_.note_refused(std::move(**loaded), refused);
        return refused;
      }
      state_.options.logger->log(LogLevel::kWarning, "the archive adopts another store", {{"what", *what}});
      checkpoint_ = std::move(**loaded);
      begin_full_copy();
    } else if (*loaded) {
      metrics.set(metric::kArchiveAlarm, 0, {});
      checkpoint_ = std::move(**loaded);
    } else {
      report_.first_run = true;
      begin_full_copy();
    }
    checkpoint_.source = *identity;
    if (checkpoint_.archive_id.empty()) checkpoint_.archive_id = detail::random_name();
    checkpoint_.last_started_at = state_.options.clock->now();
    ++checkpoint_.runs;
    return ledger_.take_turn();
  }

  // Why this is not the content that was archived; empty where it is. A store that goes back by itself now and then is no reason to wait
  // for a human (see check_cursor()).
  Result<std::string> what_changed(const ArchiveCheckpoint& known, const StoreIdentity& identity) {
    if (known.source != identity) return detail::same_store(known.source, identity);
    if (known.cursor_at == 0 || state_.store().capabilities().goes_back) return std::string();
    const auto found = cursor();
    if (!found) return found.error();
    if (!*found || (*found)->dropped || (*found)->position >= known.cursor_at) return std::string();
    return fmt::format("this store is an older copy of the one that was archived, up to change {} of {}", (*found)->position,
                       known.cursor_at);
  }

  // Asked within work that may take long and confirms nothing.
  Result<void> go_on() {
    if (auto on = turn_.go_on(); !on) return on;
    return ledger_.renew();
  }

  void begin_full_copy() {
    checkpoint_.full_copy = true;
    checkpoint_.scan_cursor.clear();
    checkpoint_.copy_from.reset();
    checkpoint_.position = 0;
    checkpoint_.cursor_at = 0;
  }

  Result<void> copy() {
    if (auto ready = check_cursor(); !ready) return ready;
    // What is wrong with a history holds up no record: the others are copied before the run fails with it.
    const auto moved = state_.move_history(turn_.deadline(), &checkpoint_.source, [this] { return go_on(); });
    if (!moved && holds_up_all(moved.error())) return moved.error();
    if (auto tried = try_quarantined(); !tried) return tried;
    if (checkpoint_.full_copy) {
      if (auto done = copy_all(); !done) return done;
    }
    if (auto done = copy_log(); !done) {
      behind_.forget();  // whoever begins anew does so from what is confirmed
      // Another content: the next run stops with the alarm.
      if (done.error().code() != ErrorCode::kFailedPrecondition || done.error().field() == "identity") return done;
      // The cursor was dropped while this ran: one more beginning, now from a fresh cursor.
      if (auto ready = check_cursor(); !ready) return ready;
      if (!checkpoint_.full_copy) return done;
      if (auto again = copy_all(); !again) return again;
      if (auto again = copy_log(); !again) return again;
    }
    return moved ? purge() : Result<void>(moved.error());
  }

  // An archive or a store that is away, and the end of the time.
  static bool holds_up_all(const Error& error) {
    return error.code() == ErrorCode::kUnavailable || error.code() == ErrorCode::kCancelled || error.code() == ErrorCode::kDeadlineExceeded;
  }

  Result<std::optional<CursorInfo>> cursor() {
    auto all = state_.store().cursors(turn_.soon());
    if (!all) return std::move(all).error();
    for (auto& one : *all) {
      if (one.name == state_.options.cursor) return std::optional<CursorInfo>(std::move(one));
    }
    return std::optional<CursorInfo>();
  }

  // Where the log may have a gap behind the confirmed position, only a copy of everything makes the archive whole again.
  Result<void> check_cursor() {
    auto found = cursor();
    if (!found) return std::move(found).error();
    const bool usable = *found && !(*found)->dropped;
    progress_.total = report_.read + (usable ? (*found)->lag : 0);
    if (usable && checkpoint_.full_copy) return {};
    if (usable && (*found)->position <= checkpoint_.position) {
      // Behind the checkpoint after a crash; but the store may also have lost its end, and have given the positions anew.
      checkpoint_.position = (*found)->position;
      ledger_.found_cursor_at(checkpoint_.position);
      return {};
    }
    if (!report_.first_run) {
      state_.options.logger->log(LogLevel::kWarning, "the archiver's cursor was lost; everything is copied again",
                                 {{"cursor", state_.options.cursor}});
    }
    begin_full_copy();
    // Noted before the cursor is opened: a crash in between must not look like a cursor that was there all the time.
    if (!report_.first_run || usable) {
      if (auto saved = ledger_.confirm(); !saved) return saved;
    }
    if (usable) return {};
    auto opened = state_.store().open_cursor({.name = state_.options.cursor, .from_now = true, .deadline = turn_.soon()});
    if (!opened) return std::move(opened).error();
    return {};
  }

  // Changes made while the scan runs are behind the cursor, and come with the log. So they do where the copy goes on that another run
  // began, unless somebody has moved the cursor meanwhile: another archive that follows the same one, say.
  Result<void> begin_or_go_on() {
    const auto found = cursor();
    if (!found) return found.error();
    if (!*found) return Error(ErrorCode::kFailedPrecondition, "the archiver's cursor was dropped while it was in use");
    const auto at = (*found)->position;
    if (!checkpoint_.scan_cursor.empty() && !(checkpoint_.copy_from && at <= *checkpoint_.copy_from)) {
      state_.options.logger->log(LogLevel::kWarning, "the archiver's cursor was moved while everything was copied; the copy begins anew",
                                 {{"cursor", state_.options.cursor}});
      begin_full_copy();
    }
    if (checkpoint_.scan_cursor.empty()) checkpoint_.copy_from = at;
    return {};
  }

  // Once all was read. What the log holds since then is what is missing still; whether it is there copy_log() sees.
  Result<void> end_full_copy() {
    const auto found = cursor();
    if (!found) return found.error();
    const auto at = *found ? (*found)->position : *checkpoint_.copy_from;
    if (at > *checkpoint_.copy_from) {
      begin_full_copy();
      return Error(ErrorCode::kConflict,
                   "somebody else moved the archiver's cursor while everything was copied; the next run copies it again")
          .at_field("cursor");
    }
    report_.reconciled = checkpoint_.last_success_at != TimePoint{};  // not a first copy that goes on
    checkpoint_.full_copy = false;
    checkpoint_.copy_from.reset();
    checkpoint_.position = at;
    ledger_.found_cursor_at(at);
    return {};
  }

  Result<void> copy_all() {
    if (auto ready = begin_or_go_on(); !ready) return ready;
    if (auto known = expect_everything(); !known) return known;
    detail::PageSize size(state_.options.batch, state_.options.batch_bytes);
    const auto read = [this](const std::string& cursor, std::size_t limit) {
      return turn_.busy_with([&] {
        return state_.store().scan(
            {.cursor = cursor, .limit = limit, .with_records = true, .deadline = turn_.deadline(), .over_damaged = true});
      });
    };
    detail::Next<Result<SummaryPage>> next;
    auto from = checkpoint_.scan_cursor;
    do {
      if (auto on = turn_.go_on(); !on) return settled_before(std::move(on).error());
      auto page = next.valid() ? next.get() : read(from, size.limit());
      if (!page) return settled_before(std::move(page).error());
      std::size_t bytes = 0;
      for (const auto& item : page->items) bytes += item.record ? item.record->payload.size() : 0;
      size.saw(page->items.size(), bytes);
      from = page->next;
      if (!from.empty() && !ahead_.waits()) next = ahead_.next([&read, from, limit = size.limit()] { return read(from, limit); });
      leave_out(page->damaged);
      const auto now = state_.options.clock->now();
      for (auto& item : page->items) {
        Result<void> added;
        if (item.tombstone) {
          added = add_tombstone(std::move(item.ns), std::move(item.id), item.version, item.revision, item.reason, now);
        } else if (item.record) {
          added = add_record(std::move(*item.record), now);
        }
        if (!added) return added;
      }
      if (auto begun = write({.read = page->items.size(), .scanned_to = from}); !begun) return begun;
    } while (!from.empty());
    if (auto settled = settle_all(); !settled) return settled;
    progress_.full_copy = false;
    return {};
  }

  // One record that cannot be read must not keep all others out of the archive.
  void leave_out(std::span<const DamagedItem> damaged) {
    for (const auto& item : damaged) {
      ++report_.damaged;
      state_.options.logger->log(LogLevel::kError, "a record of the store is damaged, and the archive does not get it",
                                 {{"ns", item.ns}, {"id", item.id}, {"reason", item.reason}});
    }
  }

  Result<ChangeBatch> changes_after(Position position) {
    return turn_.busy_with([&] {
      return state_.store().changes({.cursor = state_.options.cursor,
                                     .after = position,
                                     .limit = state_.options.batch,
                                     .max_bytes = state_.options.batch_bytes,
                                     .deadline = turn_.soon()});
    });
  }

  Result<void> copy_log() {
    detail::Next<Result<ChangeBatch>> next;
    auto from = checkpoint_.position;
    for (bool at_end = false; !at_end;) {
      if (auto on = turn_.go_on(); !on) return settled_before(std::move(on).error());
      auto batch = next.valid() ? next.get() : changes_after(from);
      if (!batch) return settled_before(std::move(batch).error());
      if (batch->next < from || (!batch->changes.empty() && batch->changes.front().position <= from)) {
        if (auto back = begin_again_at_cursor(); !back) return back;
      }
      from = batch->next;
      if (!batch->at_end && !ahead_.waits()) next = ahead_.next([this, from] { return changes_after(from); });
      report_.damaged += batch->damaged;
      const auto now = state_.options.clock->now();
      for (auto& change : batch->changes) {
        Result<void> added;
        if (change.kind == ChangeKind::kTombstone) {
          added = add_tombstone(std::move(change.ns), std::move(change.id), change.version, change.revision, change.reason, now);
        } else if (change.record) {
          added = add_record(std::move(*change.record), now);
        }
        if (!added) return added;
      }
      if (auto begun = write({.read = batch->changes.size(), .logged_to = batch->next}); !begun) return begun;
      at_end = batch->at_end;
    }
    return settle_all();
  }

  // The store has lost what it had given, and gives what it has instead (KeyStoreBackend::changes()): no position that was read before says
  // anything of that.
  Result<void> begin_again_at_cursor() {
    behind_.forget_places();
    const auto found = cursor();
    if (!found) return found.error();
    if (!*found) return {};
    checkpoint_.position = (*found)->position;
    ledger_.found_cursor_at(checkpoint_.position);
    return {};
  }

  Result<void> add_record(Record&& record, TimePoint now) {
    if (rules_.short_lived(record.account, record.flow, record.expires_at, now)) {
      // An older version in the archive must not outlive it, so what the archive knows is always brought up to date.
      auto known = archived(record.ns, record.id);
      if (!known) return std::move(known).error();
      if (known->status == Lookup::Status::kUnknown) {
        ++skipped_;
        return {};
      }
    }
    entries_.push_back(rules_.record_entry(std::move(record)));
    return {};
  }

  Result<void> add_tombstone(std::string&& ns, std::string&& id, Version version, Revision revision, TombstoneReason reason,
                             TimePoint now) {
    auto known = archived(ns, id);
    if (!known) return std::move(known).error();
    const Record* record = known->record ? &*known->record : nullptr;
    // Expiry is no erase: the archive keeps an expired record for its retention. It only learns that a newer version came and went, or
    // that the one it has ended earlier than it knew.
    if (reason == TombstoneReason::kExpired && (record == nullptr || record->version >= version)) {
      if (record != nullptr && record->version == version && record->revision < revision && !record->expired(now))
        entries_.push_back(rules_.ended_entry(*std::move(known->record), revision, now));
      return {};
    }
    entries_.push_back(rules_.tombstone_entry(std::move(ns), std::move(id), version, revision, reason, record, now));
    return {};
  }

  // With all that is under way.
  Result<Lookup> archived(std::string_view ns, std::string_view id) {
    if (auto settled = settle_all(); !settled) return std::move(settled).error();
    if (auto on = go_on(); !on) return std::move(on).error();
    return turn_.busy_with([&] { return state_.archived(ns, id, turn_.deadline()); });
  }

  // Begins to write what was added. Where batches are left under way this thread reads the next one meanwhile.
  Result<void> write(detail::ArchiveBatch batch) {
    batch.entries = std::exchange(entries_, {});
    batch.skipped = std::exchange(skipped_, 0);
    while (behind_.full() || !behind_.goes_with_others(batch)) {
      if (auto settled = settle_first(); !settled) return settled;
    }
    behind_.begin(std::move(batch));
    while (!ahead_.waits() && !behind_.empty()) {
      if (auto settled = settle_first(); !settled) return settled;
    }
    return {};
  }

  Result<void> settle_all() {
    while (!behind_.empty()) {
      if (auto settled = settle_first(); !settled) return settled;
    }
    return {};
  }

  // What was read before an error was met is written; the end of the run confirms it.
  Result<void> settled_before(Error error) {
    if (auto settled = settle_all(); !settled) return settled;
    return error;
  }

  Result<void> settle_first() { return settle(behind_.take_first()); }

  // What became of each entry, then the checkpoint, then the cursor.
  Result<void> settle(detail::WriteBehind::Done done) {
    auto& batch = done.batch;
    report_.read += batch.read;
    if (done.written) {
      auto& written = *done.written;
      if (!written) return std::move(written).error();
      if (auto settled = quarantine_.settle(batch.entries, *written); !settled) return settled;
      count(batch.entries, *written);
    }
    // Not before: where the batch comes again, so do they.
    if (batch.skipped > 0) {
      report_.skipped_short_lived += batch.skipped;
      checkpoint_.skipped_short_lived += batch.skipped;
      state_.options.metrics->add(metric::kArchiveSkipped, static_cast<double>(batch.skipped), {});
    }
    if (batch.scanned_to) {
      if (batch.scanned_to->empty()) {
        if (auto ended = end_full_copy(); !ended) return ended;
      }
      checkpoint_.scan_cursor = *batch.scanned_to;
      ledger_.note_written();
    }
    if (batch.logged_to) {
      // It may also lie before: see KeyStoreBackend::changes().
      if (*batch.logged_to != checkpoint_.position) ledger_.note_written();
      checkpoint_.position = *batch.logged_to;
      state_.options.metrics->set(metric::kArchivePosition, static_cast<double>(checkpoint_.position), {});
    }
    if (auto confirmed = ledger_.confirm_now_and_then(); !confirmed) return confirmed;
    return batch.scanned_to || batch.logged_to ? rest(batch.read) : Result<void>();
  }

  void count(const std::vector<ArchiveEntry>& entries, const std::vector<Result<ArchiveWrite>>& written) {
    std::uint64_t records = 0;
    std::uint64_t tombstones = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const auto& result = written[i];
      if (!result) continue;  // in quarantine
      if (*result == ArchiveWrite::kOlder) {
        ++report_.older;
      } else {
        ++(entries[i].tombstone ? tombstones : records);
        report_.bytes += entries[i].record.payload.size();
      }
    }
    report_.written += records;
    report_.tombstones += tombstones;
    checkpoint_.records_written += records;
    checkpoint_.tombstones_written += tombstones;
    auto& metrics = *state_.options.metrics;
    if (records > 0) metrics.add(metric::kArchiveWritten, static_cast<double>(records), {{"kind", "record"}});
    if (tombstones > 0) metrics.add(metric::kArchiveWritten, static_cast<double>(tombstones), {{"kind", "tombstone"}});
  }

  // After a batch of so many: says how far it is, then waits for the budget. A wait that is longer than the lease must not lose it.
  Result<void> rest(std::size_t records) {
    turn_.count(records);
    if (auto told = tell(); !told) return told;
    while (!turn_.may_go_on(state_.options.lease / 6 + Milliseconds(1))) {
      if (auto kept = ledger_.renew(); !kept) return kept;
    }
    return {};
  }

  // Where everything is copied from its beginning, what the store counts is what will be read.
  Result<void> expect_everything() {
    progress_.full_copy = true;
    progress_.total = 0;
    if (!checkpoint_.scan_cursor.empty()) return {};
    auto stats = state_.store().stats(turn_.soon());
    if (!stats) return std::move(stats).error();
    progress_.total = report_.read + stats->records + stats->tombstones;
    return {};
  }

  Result<void> tell() {
    const auto took = turn_.took();
    const double seconds = std::chrono::duration<double>(took).count();
    progress_.read = report_.read;
    progress_.bytes = report_.bytes;
    progress_.took = std::chrono::floor<Milliseconds>(took);
    progress_.records_per_second = seconds > 0 ? static_cast<double>(report_.read) / seconds : 0;
    progress_.left.reset();
    if (progress_.total > report_.read && progress_.records_per_second > 0) {
      const std::chrono::duration<double> left(static_cast<double>(progress_.total - report_.read) / progress_.records_per_second);
      progress_.left = std::chrono::ceil<Milliseconds>(left);
    }
    state_.options.metrics->set(metric::kArchiveRunRead, static_cast<double>(progress_.read), {});
    state_.options.metrics->set(metric::kArchiveRunRate, progress_.records_per_second, {});
    if (!wanted_.on_progress) return {};
    try {
      wanted_.on_progress(progress_);
      return {};
    } catch (const std::exception& thrown) {
      return Error(ErrorCode::kInternal, fmt::format("on_progress threw: {}", thrown.what())).from(ErrorSource::kHost, 0, thrown.what());
    } catch (...) {
      return Error(ErrorCode::kInternal, "on_progress threw something that is not a std::exception").from(ErrorSource::kHost, 0, "");
    }
  }

  // What earlier runs could not write, as the store has it now.
  Result<void> try_quarantined() {
    if (auto loaded = quarantine_.load(); !loaded) return loaded;
    for (auto& entry : quarantine_.entries()) {
      if (auto on = go_on(); !on) return on;
      auto current = turn_.busy_with(
          [&] { return state_.store().get_by_id({.ns = entry.ns, .id = entry.id, .now = TimePoint{}, .deadline = turn_.deadline()}); });
      if (!current && detail::is_damage(current.error())) {
        const DamagedItem item[] = {{.ns = entry.ns, .id = entry.id, .reason = current.error().describe()}};
        leave_out(item);
        continue;
      }
      if (!current) return std::move(current).error();
      const auto before = entries_.size();
      Result<void> added;
      if (current->record) {
        added = add_record(std::move(*current->record), state_.options.clock->now());
      } else if (entry.tombstone) {
        added = add_tombstone(std::string(entry.ns), std::string(entry.id), entry.version, entry.revision, entry.tombstone_reason,
                              state_.options.clock->now());
      } else {
        // Its tombstone, if it has one, is in the log.
        state_.options.logger->log(LogLevel::kWarning, "a record that the archive refused is gone from the store", {{"id", entry.id}});
      }
      if (!added) return added;
      if (entries_.size() == before) added = quarantine_.release(entry.ns, entry.id);
      // One by one: these are few, and one of them may be what makes a batch fail.
      if (added) added = write({});
      if (added) added = settle_all();
      if (!added) return added;
    }
    return {};
  }

  // The archive's own retention, then the mark of success.
  Result<void> purge() {
    constexpr std::size_t kSteps = 1000;
    std::size_t done = 0;
    do {
      if (auto on = go_on(); !on) return on;
      auto purged = turn_.busy_with([&] {
        return state_.archive().reclaim({.now = state_.options.clock->now(),
                                         .max_steps = kSteps,
                                         .max_history_bytes = state_.options.history_bytes,
                                         .deadline = turn_.soon()});
      });
      if (!purged) return std::move(purged).error();
      done = *purged;
      report_.purged += done;
    } while (done >= kSteps);
    return ledger_.succeed(report_);
  }

  State& state_;
  detail::ArchiveTurn& turn_;
  const ArchiveRunOptions& wanted_;
  detail::ArchiveRules rules_;
  detail::ArchiveQuarantine quarantine_;
  detail::ReadAhead ahead_{state_.pace};
  detail::WriteBehind behind_{state_.archive(), turn_, ahead_, state_.options.batch_bytes};
  detail::RunLedger ledger_{state_.options, state_.runner, turn_};
  ArchiveCheckpoint& checkpoint_ = ledger_.checkpoint;
  ArchiveRunReport report_;
  ArchiveProgress progress_;
  std::vector<ArchiveEntry> entries_;
  std::size_t skipped_ = 0;  // beside them
};

}  // namespace

Result<ArchiveRunReport> Archiver::run_within(detail::ArchiveTurn& turn, const ArchiveRunOptions& wanted) {
  auto& options = state_->options;
  const auto usual = turn.budget();
  turn.allow({.records_per_second = wanted.max_records_per_second.value_or(usual.records_per_second),
              .share = wanted.max_share.value_or(usual.share)});
  auto report = Run<State>(*state_, turn, wanted).go();
  turn.allow(usual);
  if (report) {
    report->took = std::chrono::floor<Milliseconds>(turn.took());
    report->worked = std::chrono::floor<Milliseconds>(turn.worked());
  }
  options.metrics->add(metric::kArchiveRuns, 1, {{"result", report ? "ok" : "failed"}});
  options.metrics->set(metric::kArchiveLastRunOk, report ? 1 : 0, {});
  options.metrics->observe(metric::kArchiveRunSeconds, std::chrono::duration<double>(turn.took()).count(), {});
  if (!report) return report;
  options.metrics->set(metric::kArchiveLastSuccess, std::chrono::duration<double>(options.clock->now().time_since_epoch()).count(), {});
  if (!report->reconciled) return report;
  // A gap in the log may have held erases. Nothing is erased for being absent; it is said.
  const auto compared = verify_within(turn, {.max_differences = 0});
  report->archive_only = compared ? std::optional(compared->only_in_archive) : std::nullopt;
  if (!compared || compared->only_in_archive > 0) {
    options.logger->log(LogLevel::kWarning, "after everything was copied again, the archive may hold records that the store has not",
                        {{"archive_only", compared ? std::to_string(compared->only_in_archive) : compared.error().describe()}});
  }
  return report;
}

}  // namespace setget::inline v0
