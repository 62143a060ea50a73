// Archive: the secondary, verifiable, restorable copy. `ArchiveBackend` is the seam; archiver.hpp has what runs on it.
// Thread rule: everything here may be called from any thread. Blocking rule: a verb blocks at most until its deadline.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <setget/key_store.hpp>

namespace setget::inline v0 {

// A record or a tombstone on its way into the archive.
struct ArchiveEntry {
  bool tombstone = false;
  TombstoneReason reason = TombstoneReason::kErased;
  std::string ns{};
  std::string id{};
  Version version = 0;
  Revision revision = 0;
  Record record{};                      // not for tombstones
  std::optional<TimePoint> purge_at{};  // when the archive may drop it; empty = never
};

enum class ArchiveWrite : std::uint8_t {
  kWritten,  // replaced what was there, is new, or gave the tombstone that is newer the keys by which that answers (not every archive does)
  kOlder,    // the archive has the same (version, revision) or a newer one; nothing changed
};

// One archive run that is over.
struct ArchiveRunLine {
  TimePoint started_at{};
  TimePoint ended_at{};
  std::uint64_t read = 0;
  std::uint64_t written = 0;
  std::uint64_t tombstones = 0;
  std::string error{};  // empty: it succeeded
  friend bool operator==(const ArchiveRunLine&, const ArchiveRunLine&) = default;
};
inline constexpr std::size_t kArchiveRunLines = 30;

// What the archiver remembers between runs, stored in the archive itself.
struct ArchiveCheckpoint {
  StoreIdentity source{};  // the store that was archived; another one stops the run
  Position position = 0;   // confirmed position in its change log
  // Where the archiver's cursor in the store stood, as far as is known. Cursors never go back: one that lies before it tells that the store
  // is an older copy of itself.
  Position cursor_at = 0;
  std::uint64_t runs = 0;
  TimePoint last_started_at{};
  TimePoint last_success_at{};
  std::uint64_t records_written = 0;  // over all runs
  std::uint64_t tombstones_written = 0;
  std::uint64_t skipped_short_lived = 0;  // flow option archive = "skip"
  std::string last_error{};
  bool full_copy = false;     // a copy of the whole store is under way
  std::string scan_cursor{};  // how far it came; empty = at the beginning
  // Where the cursor of the change log stood when that copy began. Who finds it further on begins anew: what changed in between behind the
  // scan is in no entry that is still to come.
  std::optional<Position> copy_from{};
  // One runner at a time: whoever runs raises the fence, and renews `runner_until` with each save. See save_checkpoint().
  std::uint64_t fence = 0;
  std::string runner{};
  TimePoint runner_until{};               // by then it has saved again, or others may take over
  std::vector<ArchiveRunLine> history{};  // oldest first, at most kArchiveRunLines
  std::string archive_id{};               // random, given by the first run: tells archives apart. A copy of an archive has it too
  // The verification that a nightly run ended with.
  std::uint64_t verify_turn = 0;  // of the next one: which share of the payloads it reads
  TimePoint last_verified_at{};
  std::uint64_t last_differences = 0;  // that it found and nobody has mended
  // True if a save of `next` may replace this one.
  bool yields_to(const ArchiveCheckpoint& next) const noexcept {
    return fence < next.fence || (fence == next.fence && runner == next.runner);
  }
};

struct ArchiveStats {
  std::uint64_t records = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t bytes = 0;
  std::uint64_t quarantined = 0;
  std::uint64_t history_states = 0;
  std::uint64_t history_bytes = 0;  // of their payloads and names
  // Of moments before it, only what is found can be told: there was no history yet, or not of every flow that keeps one now, or what was in
  // force has been dropped. Empty: no state was ever written.
  std::optional<TimePoint> history_from{};
  std::string history_of{};  // WriteHistory::of, as it was given last
};

struct ArchiveCapabilities {
  Durability durability = Durability::kMemory;
  bool read_by_key = false;  // read-through
  bool quarantine = false;   // keeps what it could not write
  bool history = false;      // keeps the states that came before
};

// A change that the archive refused again and again, kept beside the documents with the reason until it is written after all. The payload
// is not kept: the store has it.
struct QuarantinedEntry {
  std::string ns{};
  std::string id{};
  Version version = 0;
  Revision revision = 0;
  bool tombstone = false;
  TombstoneReason tombstone_reason = TombstoneReason::kErased;
  std::string reason{};        // the archive's last error: what is wrong with it
  std::uint64_t attempts = 0;  // so far, over all runs
  TimePoint since{};
  TimePoint last_at{};
  // Not of what the identity is, but of a state in its history, and since when that was in force. write_history() puts it there, nothing
  // tries it again (the store has it no more), and it leaves with the place that the history keeps for it.
  std::optional<TimePoint> state_at{};
};

struct WriteArchive {
  std::span<const ArchiveEntry> entries{};
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct ScanArchive {
  std::string cursor{};
  std::size_t limit = 500;
  bool with_records = false;
  // A document that is damaged is passed over and told in SummaryPage::damaged; else it ends the scan with kCorrupted. With records also
  // one of which only the record cannot be read. An archive that cannot go on behind it answers kCorrupted all the same.
  bool over_damaged = false;
  // With records: an archive that can leaves it to the caller to make them (Summary::record_later), for who does that on another thread
  // than the one that waits for the archive.
  bool records_later = false;
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct DigestArchive {
  std::span<const std::uint64_t> starts{};  // of the ranges, rising, the first 0; as KeyStoreBackend::digest() cut them
  TimePoint now{};
  DeepSample deep{};
  std::size_t page = 500;
  std::function<Result<void>()> go_on{};  // asked now and then; an error ends the call with it
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct ReclaimArchive {
  TimePoint now{};
  std::size_t max_steps = 1000;
  // Beyond it the states of histories that ended first are dropped, whatever their age; those in force stay. 0 = no limit.
  std::uint64_t max_history_bytes = 0;
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
// A state and how long it is kept once another one is in force, or it has expired; a tombstone from its beginning. Empty = for ever;
// however long it is, it must not overflow.
struct ArchivedState {
  HistoryState state{};
  std::optional<Milliseconds> keep{};
};
struct WriteHistory {
  StoreIdentity source{};                   // whose outbox the positions are of
  std::span<const ArchivedState> states{};  // in each part by rising position
  // From `since` on the histories are whole for the flows that this text names, in the archiver's own words: kept for ArchiveStats, and
  // history_from never lies before it. Empty = says nothing.
  std::string_view of{};
  TimePoint since{};
  Deadline deadline = Deadline::in(Milliseconds(30'000));
  // Asked of a state that the archive cannot take for itself (too large, or the server refuses that document), before the batch counts as
  // written. A value: the archive puts it into its quarantine, and an empty place into the history, of which reads say that it is damaged;
  // the others go on. An error, or nothing to ask: the call ends with it.
  std::function<Result<void>(const ArchivedState& state, const Error& why)> refused{};
};
struct GetHistory {
  std::string_view ns{};
  std::string_view key{};  // either this
  std::string_view id{};   // or, where `key` is empty, this
  TimePoint at{};
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct HistoryLookup {
  enum class Status : std::uint8_t {
    kFound,
    kGone,     // it was erased, superseded or expired then, or the key had moved on or was not listed any more
    kNotKept,  // a record of a flow without history held it then
    kUnknown,  // no state was in force, and none before it is kept
  };
  Status status = Status::kUnknown;
  std::optional<Record> record{};
  // ArchiveStats::history_from, read after the lookup. Only with kGone and kUnknown: whether they say that nothing was there.
  std::optional<TimePoint> known_from{};
};
struct ScanHistory {
  std::string cursor{};
  std::size_t limit = 500;
  TimePoint at{};
  // A state that is damaged, or was never taken, is passed over and told in SummaryPage::damaged; else it ends the scan with kCorrupted.
  bool over_damaged = false;
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct ArchiveId {
  std::string ns{};
  std::string id{};
};
struct ListQuarantine {
  std::string cursor{};  // of the page before
  std::size_t limit = 100;
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct QuarantinePage {
  std::vector<QuarantinedEntry> entries{};  // in the order of scans
  std::string next{};                       // cursor; empty at the end
};
// A document as it was seen: see ArchiveBackend::tag().
struct TaggedDocument {
  std::string ns{};
  std::string id{};
  std::string tag{};
};
struct RemoveTagged {
  std::span<const TaggedDocument> documents{};
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};

class SETGET_API ArchiveBackend {
 public:
  virtual ~ArchiveBackend();
  virtual ArchiveCapabilities capabilities() const = 0;

  // Upserts guarded by (version, revision); idempotent, unordered. Durable at the level of capabilities() once it returns. A run may call
  // it twice at once, with entries of different identities.
  virtual Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request) = 0;
  // By a key that the record lists and has not lost; kGone for tombstoned or expired ones.
  virtual Result<std::vector<Lookup>> get(const GetRecords& request) = 0;
  virtual Result<Lookup> get_by_id(const GetById& request) = 0;
  // Every record and tombstone, in the order of key-store scans. Cursors of store and archive are interchangeable.
  virtual Result<SummaryPage> scan(const ScanArchive& request) = 0;
  // Drops what purge_at has passed. Returns the steps done.
  virtual Result<std::size_t> reclaim(const ReclaimArchive& request) = 0;
  // Removes documents outright, also those that are damaged: for verify with repair only.
  virtual Result<std::size_t> remove(std::span<const ArchiveId> ids) = 0;

  virtual Result<std::optional<ArchiveCheckpoint>> load_checkpoint() = 0;
  // Replaces it in one step, unless what is there has a greater fence, or the same of another runner: kLeaseLost, and nothing is changed.
  virtual Result<void> save_checkpoint(const ArchiveCheckpoint& checkpoint) = 0;
  virtual Result<ArchiveStats> stats() = 0;

  // What could not be written, one entry for each identity: a later one replaces an earlier. Durable as documents are. kUnsupported by
  // default, and then a run stops at the first change that the archive refuses.
  virtual Result<void> quarantine(std::span<const QuarantinedEntry> entries);
  virtual Result<QuarantinePage> quarantined(const ListQuarantine& request);
  // Takes out of quarantine what was written after all. Returns how many there were.
  virtual Result<std::size_t> release(std::span<const ArchiveId> ids);

  // The archive's side of KeyStoreBackend::digest(): one answer for each of `starts`, in their order; kInvalidArgument where they do not
  // rise from 0. A document that is damaged gives another digest, not an error. Default: by scan(), and get_by_id() for a sample.
  virtual Result<std::vector<RangeDigest>> digest(const DigestArchive& request);
  // Histories, for point-in-time reads. A state begins at its `at`. It ends where one of its identity begins that was applied after it,
  // which may be before it began: then it never was in force. (Others' claims are accepted later and applied before at times.) Idempotent:
  // positions that were written from `source` already are passed over. All or nothing, but for states that the archive cannot take (see
  // WriteHistory::refused), which count as written. Returns how many were new. kUnsupported by default, as the next two.
  virtual Result<std::size_t> write_history(const WriteHistory& request);
  // What a get at `at` would have found, to the millisecond: of states that begin in the same one, the last. kCorrupted where that state is
  // damaged or was never taken.
  virtual Result<HistoryLookup> get_history(const GetHistory& request);
  // Every record that was in force at `at` and had not expired then, in the order of scans; all of them with their records.
  virtual Result<SummaryPage> scan_history(const ScanHistory& request);
  // ArchiveStats::history_of alone: the first run of every process asks for it, and what stats() counts may take long. Default: from
  // stats().
  virtual Result<std::string> history_of();

  // What tells the document that is there now from every other that was there or will be, damaged or not. Empty: there is none. Default:
  // version and revision, by get_by_id().
  virtual Result<std::string> tag(const GetById& request);
  // As remove(), of documents that still have their tag at that moment: one that somebody replaced meanwhile stays. Default: looks once
  // more and removes, in two steps.
  virtual Result<std::size_t> remove_tagged(const RemoveTagged& request);

  // The verbs above that have no deadline, with one. Default: without it.
  virtual Result<std::optional<ArchiveCheckpoint>> load_checkpoint_within(Deadline deadline);
  virtual Result<void> save_checkpoint_within(const ArchiveCheckpoint& checkpoint, Deadline deadline);
  virtual Result<ArchiveStats> stats_within(Deadline deadline);
  virtual Result<void> quarantine_within(std::span<const QuarantinedEntry> entries, Deadline deadline);
  virtual Result<std::size_t> release_within(std::span<const ArchiveId> ids, Deadline deadline);
  virtual Result<std::string> history_of_within(Deadline deadline);
};

}  // namespace setget::inline v0
