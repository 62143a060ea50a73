// Archiver: copies what changed from a key store into an archive, proves that both agree, and restores.
// Thread rule: any thread; one run, verify or restore at a time per Archiver (a second waits for the first).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <setget/archive.hpp>
#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/key_store.hpp>
#include <setget/observe.hpp>
#include <setget/ttl.hpp>

namespace setget::inline v0 {

struct ArchiverOptions {
  KeyStore key_store{};                       // required
  std::shared_ptr<ArchiveBackend> archive{};  // required
  std::shared_ptr<TtlPolicy> policy{};        // required: archive rules of the flows
  std::string cursor = "archiver";            // named cursor in the store's change log
  std::size_t batch = 500;                    // entries a read and a write; > 0
  std::size_t batch_bytes = 8u << 20;
  double max_records_per_second = 0;  // 0 = unlimited
  // What of the time a run may be at work, reading and writing together, waits for servers included: so it takes no more of a core than
  // this, nor do the stores on its behalf. Above 0; 1 or more = unlimited
  double max_share = 1;  // verifications keep to it as well, while they digest
  // A change that the archive refuses three times is kept in its quarantine with the reason, and the run goes on; every run tries it again.
  // A run that finds more than so many stops: then something else is wrong. 0 = stop at the first.
  std::size_t max_quarantined = 1000;
  // One run at a time among all processes: one that has not confirmed anything for so long, by `clock`, may be taken over by another. One
  // of a process of this host that has ended is taken over at once. In (0, 10 years]
  Milliseconds lease{60'000};
  // Histories of all flows together: beyond it the states that ended first go before their age. 0 = no limit.
  std::uint64_t history_bytes = std::uint64_t{1} << 30;
  Milliseconds next_run_in{86'400'000};  // for archive = "skip": records that expire sooner are skipped
  std::shared_ptr<const Clock> clock{};
  std::shared_ptr<Logger> logger{};
  std::shared_ptr<Metrics> metrics{};
  SETGET_API Result<void> validate() const;
};

// How far a run has come.
struct ArchiveProgress {
  bool full_copy = false;              // by scan; else along the change log
  std::uint64_t read = 0;              // records and tombstones, of this run
  std::uint64_t bytes = 0;             // of payloads written
  std::uint64_t total = 0;             // read at the end, as the store knew it when this part of the run began; more may come meanwhile
  Milliseconds took{0};                // since the run began
  double records_per_second = 0;       // over all of the run
  std::optional<Milliseconds> left{};  // at that speed; empty: cannot be told yet
};

struct ArchiveRunOptions {
  bool adopt = false;                                                  // see Archiver::run
  std::optional<double> max_records_per_second{};                      // instead of ArchiverOptions'
  std::optional<double> max_share{};                                   // the same
  std::function<void(const ArchiveProgress& progress)> on_progress{};  // called on the thread that runs, after each batch
};

struct ArchiveRunReport {
  std::uint64_t read = 0;
  std::uint64_t written = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t older = 0;  // the archive already had them
  std::uint64_t skipped_short_lived = 0;
  std::uint64_t purged = 0;       // dropped from the archive by its retention
  std::uint64_t quarantined = 0;  // in quarantine when the run ended, older ones included
  bool first_run = false;         // no checkpoint: full copy by scan, then the log
  // The log had a gap (cursor lost or dropped, another store adopted): everything was copied again, and compared after that.
  bool reconciled = false;
  // reconciled: what only the archive has, or empty where that could not be found out. It stays: verify with repair and prune removes it.
  std::optional<std::uint64_t> archive_only = 0;
  Position position = 0;
  std::uint64_t bytes = 0;  // of payloads written
  Milliseconds took{0};
  Milliseconds worked{0};  // of it, reading and writing: both at once count twice
  // Records of the store that cannot be read, and that the archive did not get; the log tells of them. Verify names them, too.
  std::uint64_t damaged = 0;
};

struct Difference {
  enum class Kind : std::uint8_t { kMissingInArchive, kOnlyInArchive, kOlderInArchive, kNewerInArchive, kContent, kExpiry };
  Kind kind{};
  std::string ns{};
  std::string id{};  // of a document whose identity cannot be read: the archive's name for it
  std::string detail{};
  std::string unrepaired{};  // with repair: why the archive did not take it; empty also where there was nothing to be tried
};
SETGET_API std::string_view to_string(Difference::Kind kind) noexcept;

struct VerifyOptions {
  bool deep = false;  // read every payload byte on both sides, and compare what was read
  // With deep: only of one record in so many, the others by what is remembered of their bytes. Whose turn it is depends on the day (UTC),
  // so that as many days read everything. 1 = all; > 0
  std::uint64_t deep_sample = 1;
  std::optional<std::uint64_t> deep_turn{};  // whose turn it is instead, modulo deep_sample
  bool repair = false;                       // write what the archive lacks or has wrong
  bool prune = false;                  // with repair: remove what only the archive has and is neither expired nor within its retention
  std::size_t max_differences = 1000;  // listed; all are counted
};
struct VerifyReport {
  std::uint64_t compared = 0;          // records live in the store, and what was looked at one by one
  std::uint64_t ranges = 0;            // whose digests were compared
  std::uint64_t ranges_differing = 0;  // and did not agree: these were looked at one by one
  std::uint64_t skipped = 0;           // not to be archived by the rules of their flows
  std::uint64_t difference_count = 0;
  std::uint64_t only_in_archive = 0;  // of them
  std::uint64_t repaired = 0;
  std::vector<Difference> differences{};
  bool equal() const noexcept { return difference_count == 0; }
};

struct RestoreReport {
  std::uint64_t considered = 0;
  std::uint64_t restored = 0;
  std::uint64_t overwritten = 0;  // of them: over data that the store knew
  std::uint64_t skipped_expired = 0;
  std::uint64_t skipped_present = 0;  // the store has the same or a newer version and overwrite is off
  bool into_empty_store = false;      // versions were kept
  // Documents that cannot be read. Whether one meets the conditions is not known, unless it is of another namespace. They are passed over;
  // all are counted, and those that this call came by are listed.
  std::uint64_t damaged = 0;
  std::vector<DamagedItem> damaged_list{};
};

// How far a restore has come. What has it can go on from there after a kill -9, without doing again what was done.
struct RestoreProgress {
  std::string cursor{};    // as scans have them
  StoreIdentity store{};   // into which
  std::string archive{};   // out of which: ArchiveCheckpoint::archive_id; empty where no run has given it one
  TimePoint started_at{};  // what was accepted later wins
  RestoreReport report{};
};

// What a fresh version that replaced live data came from: an attribute of this name, "version 7, revision 0".
inline constexpr std::string_view kRestoredFrom = "setget-restored-from";

// What a key, or an identity, led to at a moment.
struct PastGet {
  std::string ns{};
  std::string key{};  // either this
  std::string id{};   // or, where `key` is empty, this
  TimePoint at{};
};

// "2026-11-27T14:00:00.123Z", or with an offset ("+01:00") instead of Z; up to nine digits of a second, of which three count.
// kInvalidArgument else.
SETGET_API Result<TimePoint> parse_moment(std::string_view rfc3339);

struct RestoreOptions {
  std::optional<std::string> ns{};  // all given conditions must hold
  std::optional<std::string> account{};
  std::optional<std::string> flow{};
  std::optional<std::string> owner{};
  std::optional<std::string> key{};
  bool include_expired = false;  // restored with a fresh life
  std::optional<Ttl> ttl{};      // that life; empty: by the TTL policy
  bool overwrite = false;        // over live data: as fresh versions
  bool dry_run = false;
  std::size_t max_damaged = 1000;  // listed
  // The last progress of a restore that did not come to its end, with the same conditions: goes on there. Also into a store that was empty
  // then.
  std::optional<RestoreProgress> resume{};
  // Called on the calling thread before the first record and whenever what it says is in the store, but for the end, which is told by
  // returning. An exception ends the restore with kInternal.
  std::function<void(const RestoreProgress& progress)> on_progress{};
  // Not what the archive holds now, but what was in force at this moment. Needs flows with history, as get_at().
  std::optional<TimePoint> at{};
};

struct NightlyOptions {
  ArchiveRunOptions run{};
  // After a run that succeeded: a deep verification that reads the payloads of one record in so many, each night of others, so that as many
  // nights read all of them. Nights without a verification are made up for. 0 = none
  std::uint64_t verify_sample = 30;
};
struct NightlyReport {
  ArchiveRunReport run{};
  std::optional<VerifyReport> verify{};  // empty: none was asked for
};

namespace detail {
class ArchiveTurn;
}

class SETGET_API Archiver {
 public:
  static Result<std::unique_ptr<Archiver>> create(ArchiverOptions options);
  ~Archiver();

  // Incremental and resumable: continues at the last confirmed position, also after kill -9. kFailedPrecondition if the store is not the
  // one that was archived (identity or epoch changed): nothing is written, `adopt` says that the change is meant. A dropped cursor leads to
  // a full pass. kConflict: another archiver, of any process, is running; kLeaseLost: it took over, because this one stalled for longer
  // than its lease. Nothing is confirmed after that.
  Result<ArchiveRunReport> run(Deadline deadline = Deadline::in(std::chrono::hours(12)), bool adopt = false);
  // The same with a budget and a callback of its own. An exception of the callback ends the run with kInternal; the next one goes on.
  Result<ArchiveRunReport> run(const ArchiveRunOptions& options, Deadline deadline);
  // A run, then a verification of a share; the checkpoint remembers whose turn is next and what was found. Differences are no error: see
  // the report. An error: the run failed, or the verification could not find out.
  Result<NightlyReport> nightly(const NightlyOptions& options = {}, Deadline deadline = Deadline::in(std::chrono::hours(12)));
  // Proves that both agree: digests of ranges first (see KeyStoreBackend::digest), then the identities of those that differ, each read once
  // more before it is reported. What changed behind the confirmed position is the next run's work and no difference. kFailedPrecondition
  // where there is no whole copy yet, or of another store.
  Result<VerifyReport> verify(const VerifyOptions& options = {}, Deadline deadline = Deadline::in(std::chrono::hours(12)));
  // Into an empty store versions are kept. Over live data without `overwrite`, what the store already knows (live or as a tombstone) is
  // skipped and the rest comes back; with it, every selected record becomes a fresh version that says where it came from (kRestoredFrom)
  // and is as old as the beginning of the restore: what is set or erased later wins.
  // Idempotent without `overwrite`. kInvalidArgument: a TTL without include_expired.
  Result<RestoreReport> restore(const RestoreOptions& options = {}, Deadline deadline = Deadline::in(std::chrono::hours(12)));
  // The record that a get at `at` would have found, exact to the millisecond of acceptance; empty: there was none. Moves the outbox first,
  // so that it knows everything that was applied by now. Errors: kFailedPrecondition with the field "at" where no flow keeps history, where
  // the record that held the key then was of a flow without, or where the moment lies before what is kept; kInvalidArgument for one that
  // lies ahead.
  Result<std::optional<Record>> get_at(const PastGet& request, Deadline deadline = Deadline::in(std::chrono::minutes(1)));
  // Moves what waits in the store's outbox into the archive's histories. Part of every run, and of a pipeline's maintenance. May be
  // called at any time, also while a run is under way. Returns how many states were new to the archive; 0 for a store without an outbox.
  Result<std::uint64_t> move_history(Deadline deadline = Deadline::in(std::chrono::minutes(1)));
  Result<std::optional<ArchiveCheckpoint>> checkpoint(Deadline deadline = Deadline::in(Milliseconds(30'000)));
  // A running call stops at its next batch with kCancelled. Idempotent.
  void cancel() noexcept;

 private:
  struct State;
  explicit Archiver(std::unique_ptr<State> state);
  Result<ArchiveRunReport> run_within(detail::ArchiveTurn& turn, const ArchiveRunOptions& options);
  Result<VerifyReport> verify_within(detail::ArchiveTurn& turn, const VerifyOptions& options);
  void note_verified(const VerifyOptions& options, const VerifyReport& report, bool nightly, Deadline deadline);
  std::unique_ptr<State> state_;
};

}  // namespace setget::inline v0
