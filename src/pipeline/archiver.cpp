#include <future>

#include <setget/archiver.hpp>
#include <setget/validator.hpp>

#include "pipeline/archive_quarantine.hpp"
#include "pipeline/archiver_state.hpp"
#include "pipeline/metric_names.hpp"

namespace setget::inline v0 {

namespace {

namespace metric = detail::metric;

// One incremental run. Each batch goes: into the archive, then the checkpoint, then the cursor; so a crash anywhere repeats at most a
// batch, and repeating is harmless because the archive compares (version, revision).
template <class State>
class Run {
 public:
  Run(State& state, detail::ArchiveTurn& turn) : state_(state), turn_(turn), rules_(state.rules()), quarantine_(state.options, turn) {}

  Result<ArchiveRunReport> go(bool adopt) {
    if (auto ready = prepare(adopt); !ready) return std::move(ready).error();
    auto done = copy();
    report_.quarantined = quarantine_.size();
    state_.options.metrics->set(metric::kArchiveQuarantined, static_cast<double>(quarantine_.size()), {});
    if (!done) {
      // Best effort: the error itself goes to the caller.
      checkpoint_.last_error = done.error().describe();
      (void)state_.archive().save_checkpoint(checkpoint_);
      return std::move(done).error();
    }
    report_.position = checkpoint_.position;
    return report_;
  }

 private:
  Result<void> prepare(bool adopt) {
    auto identity = state_.store().identity();
    if (!identity) return std::move(identity).error();
    auto loaded = state_.archive().load_checkpoint();
    if (!loaded) return std::move(loaded).error();
    auto& metrics = *state_.options.metrics;
    if (*loaded && (*loaded)->source != *identity) {
      metrics.set(metric::kArchiveAlarm, adopt ? 0 : 1, {});
      const auto what = detail::same_store((*loaded)->source, *identity);
      if (!adopt) {
        state_.options.logger->log(LogLevel::kError, "the archive run was stopped: this is not the store that was archived",
                                   {{"what", what}});
        return Error(ErrorCode::kFailedPrecondition, what + "; adopt it if the change is meant").at_field("identity");
      }
      state_.options.logger->log(LogLevel::kWarning, "the archive adopts another store", {{"what", what}});
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
    checkpoint_.last_started_at = state_.options.clock->now();
    ++checkpoint_.runs;
    return {};
  }

  void begin_full_copy() {
    checkpoint_.full_copy = true;
    checkpoint_.scan_cursor.clear();
    checkpoint_.position = 0;
  }

  Result<void> copy() {
    if (auto ready = check_cursor(); !ready) return ready;
    if (auto moved = state_.move_history(turn_.deadline(), &checkpoint_.source); !moved) return std::move(moved).error();
    if (auto tried = try_quarantined(); !tried) return tried;
    if (checkpoint_.full_copy) {
      if (auto done = copy_all(); !done) return done;
    }
    if (auto done = copy_log(); !done) {
      // Another content: the next run stops with the alarm.
      if (done.error().code() != ErrorCode::kFailedPrecondition || done.error().field() == "identity") return done;
      // The cursor was dropped while this ran: one more beginning, now from a fresh cursor.
      if (auto ready = check_cursor(); !ready) return ready;
      if (!checkpoint_.full_copy) return done;
      if (auto again = copy_all(); !again) return again;
      if (auto again = copy_log(); !again) return again;
    }
    return purge();
  }

  Result<std::optional<CursorInfo>> cursor() {
    auto all = state_.store().cursors();
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
    if (usable && (checkpoint_.full_copy || (*found)->position <= checkpoint_.position)) return {};
    if (!report_.first_run) {
      state_.options.logger->log(LogLevel::kWarning, "the archiver's cursor was lost; everything is copied again",
                                 {{"cursor", state_.options.cursor}});
    }
    begin_full_copy();
    // Noted before the cursor is opened: a crash in between must not look like a cursor that was there all the time.
    if (!report_.first_run || usable) {
      if (auto saved = state_.archive().save_checkpoint(checkpoint_); !saved) return saved;
    }
    if (usable) return {};
    auto opened = state_.store().open_cursor({.name = state_.options.cursor, .from_now = true});
    if (!opened) return std::move(opened).error();
    return {};
  }

  // The store reads while the archive writes: one batch ahead, so that two are in memory at most. Its end waits for what is under way.
  // Where no thread can be had, it reads when it is asked.
  template <class Read>
  static auto ahead(Read read) {
    return std::async(std::launch::async | std::launch::deferred, std::move(read));
  }

  // Changes made while the scan runs are behind the cursor, and come with the log.
  Result<void> copy_all() {
    auto at = cursor();
    if (!at) return std::move(at).error();
    if (!*at) return Error(ErrorCode::kFailedPrecondition, "the archiver's cursor was dropped while it was in use");
    detail::PageSize size(state_.options.batch, state_.options.batch_bytes);
    const auto read = [this](const std::string& cursor, std::size_t limit) {
      return state_.store().scan({.cursor = cursor, .limit = limit, .with_records = true, .deadline = turn_.deadline()});
    };
    std::future<Result<SummaryPage>> next;
    do {
      if (auto on = turn_.go_on(); !on) return on;
      auto page = next.valid() ? next.get() : read(checkpoint_.scan_cursor, size.limit());
      if (!page) return std::move(page).error();
      std::size_t bytes = 0;
      for (const auto& item : page->items) bytes += item.record ? item.record->payload.size() : 0;
      size.saw(page->items.size(), bytes);
      if (!page->next.empty()) next = ahead([&read, from = page->next, limit = size.limit()] { return read(from, limit); });
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
      if (auto written = write(page->items.size()); !written) return written;
      checkpoint_.scan_cursor = std::move(page->next);
      if (checkpoint_.scan_cursor.empty()) {
        checkpoint_.full_copy = false;
        checkpoint_.position = (*at)->position;
      }
      if (auto saved = state_.archive().save_checkpoint(checkpoint_); !saved) return saved;
    } while (!checkpoint_.scan_cursor.empty());
    return {};
  }

  Result<ChangeBatch> changes_after(Position position) {
    return state_.store().changes(
        {.cursor = state_.options.cursor, .after = position, .limit = state_.options.batch, .max_bytes = state_.options.batch_bytes});
  }

  Result<void> copy_log() {
    std::future<Result<ChangeBatch>> next;
    while (true) {
      if (auto on = turn_.go_on(); !on) return on;
      auto batch = next.valid() ? next.get() : changes_after(checkpoint_.position);
      if (!batch) return std::move(batch).error();
      if (!batch->at_end) next = ahead([this, from = batch->next] { return changes_after(from); });
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
      if (auto written = write(batch->changes.size()); !written) return written;
      // It may also lie before: see KeyStoreBackend::changes().
      if (batch->next != checkpoint_.position) {
        checkpoint_.position = batch->next;
        if (auto saved = state_.archive().save_checkpoint(checkpoint_); !saved) return saved;
        if (auto moved = state_.store().commit_cursor(state_.options.cursor, batch->next); !moved) return moved;
      }
      state_.options.metrics->set(metric::kArchivePosition, static_cast<double>(checkpoint_.position), {});
      if (batch->at_end) return {};
    }
  }

  Result<void> add_record(Record&& record, TimePoint now) {
    if (rules_.short_lived(record.account, record.flow, record.expires_at, now)) {
      // An older version in the archive must not outlive it, so what the archive knows is always brought up to date.
      auto known = state_.archived(record.ns, record.id, turn_.deadline());
      if (!known) return std::move(known).error();
      if (known->status == Lookup::Status::kUnknown) {
        ++report_.skipped_short_lived;
        ++checkpoint_.skipped_short_lived;
        state_.options.metrics->add(metric::kArchiveSkipped, 1, {});
        return {};
      }
    }
    entries_.push_back(rules_.record_entry(std::move(record)));
    return {};
  }

  Result<void> add_tombstone(std::string&& ns, std::string&& id, Version version, Revision revision, TombstoneReason reason,
                             TimePoint now) {
    auto known = state_.archived(ns, id, turn_.deadline());
    if (!known) return std::move(known).error();
    const Record* record = known->record ? &*known->record : nullptr;
    // Expiry is no erase: the archive keeps an expired record for its retention. It only learns that a newer version came and went.
    if (reason == TombstoneReason::kExpired && (record == nullptr || record->version >= version)) return {};
    entries_.push_back(rules_.tombstone_entry(std::move(ns), std::move(id), version, revision, reason, record, now));
    return {};
  }

  Result<void> write(std::size_t read) {
    report_.read += read;
    if (!entries_.empty()) {
      auto written = state_.archive().write({.entries = entries_, .deadline = turn_.deadline()});
      if (!written) return std::move(written).error();
      if (auto settled = quarantine_.settle(entries_, *written); !settled) return settled;
      std::uint64_t records = 0;
      std::uint64_t tombstones = 0;
      for (std::size_t i = 0; i < entries_.size(); ++i) {
        const auto& result = (*written)[i];
        if (!result) continue;  // in quarantine
        if (*result == ArchiveWrite::kOlder) {
          ++report_.older;
        } else {
          ++(entries_[i].tombstone ? tombstones : records);
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
    entries_.clear();
    turn_.pace(read);
    return {};
  }

  // What earlier runs could not write, as the store has it now.
  Result<void> try_quarantined() {
    if (auto loaded = quarantine_.load(); !loaded) return loaded;
    for (auto& entry : quarantine_.entries()) {
      if (auto on = turn_.go_on(); !on) return on;
      auto current = state_.store().get_by_id({.ns = entry.ns, .id = entry.id, .now = TimePoint{}, .deadline = turn_.deadline()});
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
      if (added) added = write(0);
      if (!added) return added;
    }
    return {};
  }

  // The archive's own retention, then the mark of success.
  Result<void> purge() {
    constexpr std::size_t kSteps = 1000;
    std::size_t done = 0;
    do {
      if (auto on = turn_.go_on(); !on) return on;
      auto purged = state_.archive().reclaim(
          {.now = state_.options.clock->now(), .max_steps = kSteps, .max_history_bytes = state_.options.history_bytes});
      if (!purged) return std::move(purged).error();
      done = *purged;
      report_.purged += done;
    } while (done >= kSteps);
    checkpoint_.last_success_at = state_.options.clock->now();
    checkpoint_.last_error.clear();
    return state_.archive().save_checkpoint(checkpoint_);
  }

  State& state_;
  detail::ArchiveTurn& turn_;
  detail::ArchiveRules rules_;
  detail::ArchiveQuarantine quarantine_;
  ArchiveCheckpoint checkpoint_;
  ArchiveRunReport report_;
  std::vector<ArchiveEntry> entries_;
};

}  // namespace

Result<void> ArchiverOptions::validate() const {
  const auto bad = [](const char* field, const char* rule) -> Result<void> {
    return Error(ErrorCode::kInvalidArgument, fmt::format("archiver option {} {}", field, rule)).at_field(field);
  };
  if (!key_store) return bad("key_store", "is required");
  if (!archive) return bad("archive", "is required");
  if (!policy) return bad("policy", "is required");
  if (!is_name(cursor)) return bad("cursor", "must be 1 to 64 of [A-Za-z0-9._-]");
  if (batch == 0) return bad("batch", "must be > 0");
  if (batch_bytes == 0) return bad("batch_bytes", "must be > 0");
  if (max_records_per_second < 0) return bad("max_records_per_second", "must not be negative");
  if (next_run_in < Milliseconds(0)) return bad("next_run_in", "must not be negative");
  const auto capabilities = key_store.backend()->capabilities();
  if (!capabilities.change_log || !capabilities.scan) return bad("key_store", "must have a change log and scans to be archived");
  return {};
}

Archiver::Archiver(std::unique_ptr<State> state) : state_(std::move(state)) {}
Archiver::~Archiver() = default;

Result<std::unique_ptr<Archiver>> Archiver::create(ArchiverOptions options) {
  if (auto valid = options.validate(); !valid) return std::move(valid).error();
  if (!options.clock) options.clock = system_clock();
  if (!options.logger) options.logger = no_logger();
  if (!options.metrics) options.metrics = no_metrics();
  return std::unique_ptr<Archiver>(new Archiver(std::make_unique<State>(std::move(options))));
}

Result<ArchiveRunReport> Archiver::run(Deadline deadline, bool adopt) {
  auto& options = state_->options;
  const auto started = Deadline::Steady::now();
  auto turn = detail::ArchiveTurn::begin(*state_, deadline);
  if (!turn) return std::move(turn).error();
  auto report = Run<State>(*state_, **turn).go(adopt);
  options.metrics->add(metric::kArchiveRuns, 1, {{"result", report ? "ok" : "failed"}});
  options.metrics->observe(metric::kArchiveRunSeconds, std::chrono::duration<double>(Deadline::Steady::now() - started).count(), {});
  if (report) {
    options.metrics->set(metric::kArchiveLastSuccess, std::chrono::duration<double>(options.clock->now().time_since_epoch()).count(), {});
  }
  return report;
}

Result<std::optional<ArchiveCheckpoint>> Archiver::checkpoint() { return state_->archive().load_checkpoint(); }

void Archiver::cancel() noexcept {
  {
    const std::lock_guard lock(state_->mutex);
    ++state_->cancels;
  }
  state_->cancelled.notify_all();
}

}  // namespace setget::inline v0
