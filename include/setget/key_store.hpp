// KeyStore: where records live and are read by webhook key. `KeyStore` is the front, `KeyStoreBackend` the seam. The state of a store is a
// function of the set of commands applied, not of their order (docs/adr/0001-model.md); backends get that from model.hpp.
// Thread rule: everything here may be called from any thread. Blocking rule: a verb blocks at most until its deadline, which is a member of
// its request or its last parameter; 30 s from the call where none is named. What a deadline ended is kDeadlineExceeded: it may have taken
// effect. A store in this process or in a file waits for nothing but its turn, and ends a step that it has begun.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/queue.hpp>
#include <setget/record.hpp>

namespace setget::inline v0 {

// One command on its way into the store.
struct ApplyEntry {
  Command command{};
  Payload encoded{};                      // encode_command(command): stored as it is, and what duplicates are compared by
  Stamp stamp = 0;                        // acceptance
  std::optional<TimePoint> expires_at{};  // kSet, kTouch: resolved by the TTL policy; empty = never
  TtlRule ttl_rule = TtlRule::kDefault;
  bool listed = false;  // the flow keeps a listing index
  // kSet: the flow keeps history. From this set on, every state of the identity goes to the store's outbox in the step that makes it.
  bool history = false;
  // Only of what comes back from an archive; zero and empty otherwise.
  Revision revision = 0;  // that the identity continues at
  KeyList lost_keys{};    // those of its keys that led elsewhere; they stay lost, though their holder may be gone
};

struct ApplyResult {
  Outcome outcome = Outcome::kApplied;  // applied, duplicate, stale, expired, or kDeadLettered with reasons
  std::vector<Reason> reasons{};        // codes: version_conflict, precondition_failed, below_floor
  Version version = 0;                  // the identity's version afterwards; 0 = none
  Revision revision = 0;
  // With kStale, kDuplicate and the reason version_conflict: when that version was accepted, whether it is live or a tombstone. 0 else.
  Stamp accepted = 0;
};

// A record as stored: what a backend keeps beside the encoded command.
struct StoredMeta {
  Version version = 0;
  Revision revision = 0;
  Stamp stamp = 0;
  std::optional<TimePoint> expires_at{};
  TtlRule ttl_rule = TtlRule::kDefault;
  KeyList lost_keys{};
};
// Decodes without copying the payload.
SETGET_API Result<Record> make_record(const Payload& encoded, const StoredMeta& meta);

struct Lookup {
  enum class Status : std::uint8_t {
    kFound,
    kUnknown,  // the store knows nothing of it; an archive may
    kGone,     // erased, superseded, expired, or the key moved on: an archive must not answer
  };
  Status status = Status::kUnknown;
  std::optional<Record> record{};
};

enum class TombstoneReason : std::uint8_t {
  kErased = 1,
  kSuperseded = 2,  // lost its last key to other records
  kExpired = 3,     // had expired when it was applied, or expired since and was evicted before the floor passed
};
SETGET_API std::string_view to_string(TombstoneReason reason) noexcept;

// Position in a store's change log. Opaque to readers except for order; 0 = before everything.
using Position = std::uint64_t;

enum class ChangeKind : std::uint8_t {
  kRecord = 1,     // a set, or a change of its expiry or lost keys: `record` holds the state
  kTombstone = 2,  // erased, superseded, or evicted after it expired
};

struct Change {
  Position position = 0;
  ChangeKind kind = ChangeKind::kRecord;
  std::string ns{};
  std::string id{};
  Version version = 0;
  Revision revision = 0;
  TombstoneReason reason = TombstoneReason::kErased;  // kTombstone only
  std::optional<Record> record{};  // kRecord only. Entries whose record has changed again are left out: a later entry says it
};

struct ChangeBatch {
  std::vector<Change> changes{};
  Position next = 0;          // commit this when the batch is done
  bool at_end = false;        // nothing was behind `next` when it was read
  std::uint64_t damaged = 0;  // records of entries before `next` that are left out because they cannot be read
};

struct CursorInfo {
  std::string name{};
  Position position = 0;
  std::uint64_t lag = 0;      // entries behind it
  std::uint64_t max_lag = 0;  // 0 = unlimited
  bool dropped = false;  // fell behind its limit, or the content was replaced: reads answer kFailedPrecondition until it is opened anew
  TimePoint updated_at{};
};

// A state that an identity took, for its history: what was applied, not what is there now. In force from `at` until the next state of the
// identity. `at` is the acceptance of the command that brought it about (where a restore or a policy did, the moment of that). It may lie
// before that of the state before: where a claim of another record was accepted later and applied earlier.
struct HistoryState {
  enum class Kind : std::uint8_t {
    kRecord = 1,
    kTombstone = 2,  // erased, superseded, or replaced by a set that had expired. Expiry itself makes no state: `expires_at` says it
    kNotKept = 3,    // replaced by a set of a flow without history; `record` has the keys and no payload
  };
  std::uint32_t part = 0;  // of the store's outbox; all states of an identity are in the same one
  Position position = 0;   // within its part; rises, and is never used twice
  Kind kind = Kind::kRecord;
  TimePoint at{};
  std::string ns{};
  std::string id{};
  Version version = 0;
  Revision revision = 0;
  TombstoneReason reason = TombstoneReason::kErased;  // kTombstone only
  std::optional<Record> record{};                     // not for kTombstone
};

struct HistoryBatch {
  std::vector<HistoryState> states{};
  bool at_end = false;  // nothing was behind the last one when it was read
};

struct StoreIdentity {
  std::string uuid{};       // random, made with the store
  std::uint64_t epoch = 1;  // rises when the content was replaced (flush, restore)
  friend bool operator==(const StoreIdentity&, const StoreIdentity&) = default;
};

// One line of a scan: all that verification compares. Order of scans: (identity_hash, ns, id).
struct Summary {
  std::uint64_t hash = 0;
  std::string ns{};
  std::string id{};
  bool tombstone = false;
  TombstoneReason reason = TombstoneReason::kErased;
  Version version = 0;
  Revision revision = 0;
  std::optional<TimePoint> expires_at{};
  std::string account{};
  std::string flow{};
  std::optional<Record> record{};  // where asked for, and not a tombstone
  Digest content{};                // content_digest(record); zero for tombstones
  // Of the record, whether it comes along or not.
  Stamp stamp = 0;
  TtlRule ttl_rule = TtlRule::kDefault;
  // encoded_of(*record), or empty: from archives that have it at hand. A restore then need not make it anew.
  Payload encoded{};
  // Instead of `record`, where ScanArchive::records_later asked for it: makes the record, on any thread, also when the scan's archive is
  // gone. Until then `encoded` is not checked, and `account` and `flow` may be empty. kCorrupted for what is not what was archived.
  std::function<Result<Record>()> record_later{};
};

// What stands in the way of a scan and cannot be read.
struct DamagedItem {
  std::uint64_t hash = 0;
  std::string ns{};
  std::string id{};    // with `ns` whose it is; empty: cannot be told
  std::string name{};  // what the backend calls it, where `id` is empty
  std::string reason{};
};

struct SummaryPage {
  std::vector<Summary> items{};
  std::string next{};                  // cursor; empty at the end
  std::vector<DamagedItem> damaged{};  // by a scan that was asked for them: over_damaged
};

// What a range of identities holds that is live at a moment, condensed: two sides that give the same have the same there. Ranges are cut by
// identity_hash: each goes from its `first` to the next range's.
struct RangeDigest {
  std::uint64_t first = 0;
  std::uint64_t count = 0;  // entries
  Digest sum{};             // of their entry_digest(), modulo 2^128: the order of adding does not matter
  void add(const Digest& entry) noexcept {
    ++count;
    sum.low += entry.low;
    sum.high += entry.high + (sum.low < entry.low ? 1 : 0);
  }
  friend bool operator==(const RangeDigest&, const RangeDigest&) = default;
};
// Over identity, version, revision, stamp, expiry and its rule, and content (which has keys and payload) of a record's line. Stored
// nowhere; the same for every backend of a release.
SETGET_API Digest entry_digest(const Summary& summary);

// A page of a list ends behind the record with which its payloads reach this.
inline constexpr std::size_t kListPageBytes = std::size_t{8} << 20;
struct ListPage {
  std::vector<Record> records{};
  std::string next{};
};

struct Reclaimed {
  std::size_t steps = 0;        // work done; less than asked = nothing left to do now
  std::size_t expired = 0;      // payloads evicted
  std::size_t forgotten = 0;    // tombstones, claims and marks dropped
  std::size_t log_trimmed = 0;  // change-log entries dropped
};

struct StoreStats {
  std::uint64_t records = 0;  // live, by the store's bookkeeping (expired ones not yet evicted included)
  std::uint64_t tombstones = 0;
  std::uint64_t keys = 0;
  std::uint64_t changes = 0;  // entries in the change log
  std::uint64_t bytes = 0;    // on disk or in memory, as near as the backend can tell
  Stamp floor = 0;
  std::uint64_t outbox = 0;  // states of histories that wait for the archive
};

struct KeyStoreCapabilities {
  Durability durability = Durability::kMemory;
  bool listing = false;
  bool change_log = false;
  bool scan = false;
  bool async_gets = false;  // get_async() never makes its caller wait
  bool at_hand = false;     // get_at_hand() may have an answer
  bool history = false;     // has an outbox for the states of flows that keep history
  // May lose its last writes and go on under the same identity, as after a failover to a replica that was behind. Else a cursor that lies
  // before where it was tells that an older copy was put back.
  bool goes_back = false;
};

// --- the seam -------------------------------------------------------------------------------------------------------------------

struct ApplyCommands {
  std::span<const ApplyEntry> entries{};
  TimePoint now{};
  Deadline deadline = Deadline::in(Milliseconds(30'000));
  bool ignore_floor = false;  // restore only: entries below the floor are new knowledge (the backend passes a floor of 0 to the model)
};
struct GetRecords {
  std::string_view ns{};
  std::span<const std::string_view> keys{};
  TimePoint now{};
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct GetById {
  std::string_view ns{};
  std::string_view id{};
  TimePoint now{};
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct IdentityName {
  std::string_view ns{};
  std::string_view id{};
};
struct GetByIds {
  std::span<const IdentityName> names{};
  TimePoint now{};
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
// Empty account, flow or owner = any. Only records whose flow was listed when they were set.
struct ListRecords {
  std::string_view ns{};
  std::string_view account{};
  std::string_view flow{};
  std::string_view owner{};
  TimePoint now{};
  std::string cursor{};
  std::size_t limit = 100;
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct ScanRecords {
  std::string cursor{};
  std::size_t limit = 500;
  bool with_records = false;
  Deadline deadline = Deadline::in(Milliseconds(30'000));
  // A record that is damaged is passed over and told in SummaryPage::damaged; else it ends the scan with kCorrupted.
  bool over_damaged = false;
};
// Which payloads a digest is made of bytes for, and not of what is remembered of them.
struct DeepSample {
  std::uint64_t of = 0;    // 0 = none, 1 = all, n = one in n
  std::uint64_t turn = 0;  // which of the n; each identity belongs to one of them, always the same
  bool takes(std::uint64_t identity_hash) const noexcept {
    return of != 0 && (identity_hash * 0x9e3779b97f4a7c15u >> 32) % of == turn % of;
  }
};
struct DigestRecords {
  std::span<const std::uint64_t> starts{};  // of the ranges, rising from 0; empty: the store cuts them as follows
  std::size_t entries = 256;                // of one range: it ends behind so many, and at the end of their hash
  std::size_t max_ranges = 65536;           // with more, each range takes twice as many. > 0
  TimePoint now{};                          // what has expired by then does not count
  DeepSample deep{};                        // of these the bytes are read, whatever is remembered of them
  std::size_t page = 500;                   // read at a time
  std::function<Result<void>()> go_on{};    // asked now and then; an error ends the call with it
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct OpenCursor {
  std::string_view name{};    // 1..64 bytes of [A-Za-z0-9._-]
  bool from_now = false;      // else from the oldest entry that is still there
  std::uint64_t max_lag = 0;  // entries; 0 = unlimited
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct ReadChanges {
  std::string_view cursor{};
  Position after = 0;
  std::size_t limit = 500;
  std::size_t max_bytes = 8u << 20;
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
struct ReadHistory {
  Position after = 0;  // in each part
  std::size_t limit = 500;
  std::size_t max_bytes = 8u << 20;  // at least one state comes
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};
// How far the outbox was read.
struct OutboxPlace {
  std::uint32_t part = 0;
  Position position = 0;
};
// A live record whose flow has begun to keep history.
struct BeginHistory {
  std::string ns{};
  std::string id{};
  Version version = 0;  // as it was seen; another one has its own history, or none
};
struct SetExpiry {
  std::string ns{};
  std::string id{};
  Version version = 0;
  Revision revision = 0;
  std::optional<TimePoint> expires_at{};
  TtlRule ttl_rule = TtlRule::kDefault;
  TimePoint now{};  // a record that has ended by then stays over: who has seen it gone never sees it again
};
struct Reclaim {
  TimePoint now{};
  Stamp floor = 0;
  Milliseconds grace{0};
  std::size_t max_steps = 1000;
  Deadline deadline = Deadline::in(Milliseconds(30'000));
};

// Work whose command is applied and whose message is settled in one atomic step.
struct FusedEntry {
  std::string receipt{};
  ApplyEntry entry{};
};

// Offered by a store that shares its file with a queue.
class SETGET_API FusedStore {
 public:
  virtual ~FusedStore();
  struct Results {
    // One per entry, in order. A value: the command was applied (or refused, as its outcome says) and the message acked with that outcome,
    // or dead-lettered with the result's reasons where it is kDeadLettered. An error: nothing of the entry was done and its message is as
    // it was: kLeaseLost where the receipt did not hold it, else why the command could not be applied.
    std::vector<Result<ApplyResult>> applied;
    // One per settlement of `others`, in order; entries have none. A value: the settlement was carried out. An error: it was not, and its
    // message is as it was: kLeaseLost where the receipt did not hold it (any more; an entry of the same call may have finished
    // it), kInvalidArgument where the settlement itself is wrong.
    std::vector<Result<void>> settled;
  };
  // Does the entries in order, then `others`, all in one step, durable at the level of capabilities() once it returns. One entry's failure
  // leaves the others. A whole-call error means that nothing is known to be done (kDeadlineExceeded: it may have been).
  virtual Result<Results> apply_and_settle(std::string_view queue, std::span<const FusedEntry> entries, std::span<const Settlement> others,
                                           TimePoint now, Deadline deadline) = 0;
};

class SETGET_API KeyStoreBackend {
 public:
  virtual ~KeyStoreBackend();

  virtual KeyStoreCapabilities capabilities() const = 0;
  // Random at creation, stable afterwards.
  virtual Result<StoreIdentity> identity(Deadline deadline = Deadline::in(Milliseconds(30'000))) = 0;

  // Applies in order, each entry atomically (all its keys and the change-log entry together), durable at the level of capabilities() once
  // it returns. One result per entry. Idempotent by version. Outcomes are values, see ApplyResult.
  virtual Result<std::vector<Result<ApplyResult>>> apply(const ApplyCommands& request) = 0;
  // Non-null if this store can apply and settle messages of `queue` in one step.
  virtual FusedStore* fused_with(QueueBackend& queue);

  // One lookup per key, in order; all keys see one moment. A record that is expired at `now` is kGone.
  virtual Result<std::vector<Lookup>> get(const GetRecords& request) = 0;
  virtual Result<Lookup> get_by_id(const GetById& request) = 0;
  // By (identity_hash, id); stable under concurrent change: what is there throughout is seen exactly once. A page is bounded by what was
  // looked at and by kListPageBytes, too: it may be short or empty and have a `next`. A record that is damaged is left out, and logged.
  virtual Result<ListPage> list(const ListRecords& request) = 0;
  // Every record and tombstone of every namespace. A page may be short and have a `next`; it is empty only at the end.
  virtual Result<SummaryPage> scan(const ScanRecords& request) = 0;

  // Idempotent by name: opening an existing cursor keeps its position (a dropped one starts anew as asked).
  virtual Result<CursorInfo> open_cursor(const OpenCursor& request) = 0;
  // Entries after max(`after`, the cursor's position), oldest first. Does not move the cursor. Where what lay before `after` is not known
  // to this object, or was lost (the master that had the end of the log died before its replica had it), reading begins again at the
  // cursor: `next` may lie before `after`. Go on from `next`. kNotFound: no such cursor. kFailedPrecondition with the field "cursor": it
  // was dropped; with the field "identity": the store's content was replaced since the cursor was opened (see identity()). Open it anew and
  // copy everything once. An entry whose record is damaged is left out, counted in
  // ChangeBatch::damaged, and logged.
  virtual Result<ChangeBatch> changes(const ReadChanges& request) = 0;
  // Moves a cursor forward (never back). Entries that every cursor has passed may be trimmed. Idempotent. kUnavailable also where what was
  // read up to there was lost meanwhile; errors else as changes() has them.
  virtual Result<void> commit_cursor(std::string_view name, Position position, Deadline deadline = Deadline::in(Milliseconds(30'000))) = 0;
  virtual Result<std::vector<CursorInfo>> cursors(Deadline deadline = Deadline::in(Milliseconds(30'000))) = 0;
  virtual Result<void> drop_cursor(std::string_view name, Deadline deadline = Deadline::in(Milliseconds(30'000))) = 0;
  // Blocks until something is behind `after`, or the wait is over; true if there is something. A store that answers slowly is waited for
  // until `deadline`; empty: 1 s behind the end of the wait.
  virtual Result<bool> wait_for_changes(Position after, Deadline wait, std::optional<Deadline> deadline = {}) = 0;

  // Policy re-apply: a new expiry for records that are still at (version, revision); one result per entry: true if changed, false
  // where the record has moved on or has ended. Raises the revision and logs a change. Nothing has version 0: an entry that names it
  // changes nothing, and asks whether the store takes writes of that identity (a worker does, where a call was not ended in time).
  virtual Result<std::vector<Result<bool>>> set_expiry(std::span<const SetExpiry> entries,
                                                       Deadline deadline = Deadline::in(Milliseconds(30'000))) = 0;

  // Evicts what expired before now - grace; forgets tombstones, claims and marks of what is gone below `floor` (cut to the
  // positions of the cursors by the backend); trims the change log behind all cursors. Bounded by max_steps. What was done
  // before a deadline ended it stays done. What is damaged is passed over and logged, so that it does not hold up the rest.
  virtual Result<Reclaimed> reclaim(const Reclaim& request) = 0;
  virtual Result<StoreStats> stats(Deadline deadline = Deadline::in(Milliseconds(30'000))) = 0;

  // get() for callers that must not wait: `done` is called exactly once with what get() would answer, on any thread, perhaps before this
  // returns; by the request's deadline or soon after, and before the store is gone. What the request views need only live until this
  // returns. `done` must neither block nor throw: other answers wait behind it. Default: get() on the calling thread. A store whose
  // capabilities() say async_gets does not block here, nor call get().
  using GetDone = std::function<void(Result<std::vector<Lookup>>)>;
  virtual void get_async(const GetRecords& request, GetDone done);

  // Range digests over every live record, in order and without a gap: the first range begins at 0. What changes meanwhile may or may not
  // be in it. Default: by scan(), page by page, so that the memory needed is that of the ranges.
  virtual Result<std::vector<RangeDigest>> digest(const DigestRecords& request);

  // get_by_id() of many: one answer for each, in their order. They need not see one moment. Default: one by one.
  virtual Result<std::vector<Lookup>> get_by_ids(const GetByIds& request);
  // The outbox: states of identities whose flow keeps history, part by part, oldest first, behind `after`. It is bounded: at its limit a
  // command that would add to it fails with kResourceExhausted and nothing of it is done, so that no state is ever left out. An outbox that
  // is empty takes one state of any size, and a restore (ignore_floor) is never held up. kUnsupported by default.
  virtual Result<HistoryBatch> history(const ReadHistory& request);
  // Drops what lies at or before these places: the archive has it. Idempotent. Errors as history().
  virtual Result<void> confirm_history(std::span<const OutboxPlace> places, Deadline deadline = Deadline::in(Milliseconds(30'000)));
  // Puts live records under history that were set when their flow kept none: the state that each has now goes to the outbox, in force from
  // the acceptance of its version. Nothing else changes. False: it has a history already, or is not there in this version any more. Errors
  // as history(); per entry kResourceExhausted at the outbox's limit.
  virtual Result<std::vector<Result<bool>>> begin_history(std::span<const BeginHistory> entries,
                                                          Deadline deadline = Deadline::in(Milliseconds(30'000)));

  // What get() of one key would answer, where this process knows it by itself: from a cache that is as coherent as get() is. Empty
  // elsewhere, which says nothing of the record. Never waits. Default: empty. Thread rule: any thread.
  virtual std::optional<Lookup> get_at_hand(std::string_view ns, std::string_view key, TimePoint now);

  // The same without a copy, for callers that ask again and again: what is known is one object for as long as it is known, so another
  // object says that something may have changed. nullptr: not at hand. Default: a copy of what get_at_hand() gives.
  virtual std::shared_ptr<const Lookup> share_at_hand(std::string_view ns, std::string_view key, TimePoint now);
};

// --- the front ------------------------------------------------------------------------------------------------------------------

class SETGET_API KeyStore {
 public:
  KeyStore() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): a store is its backend
  KeyStore(std::shared_ptr<KeyStoreBackend> backend) : backend_(std::move(backend)) {}
  explicit operator bool() const noexcept { return backend_ != nullptr; }
  const std::shared_ptr<KeyStoreBackend>& backend() const noexcept { return backend_; }

  Result<ApplyResult> apply(const ApplyEntry& entry, TimePoint now, Deadline deadline = Deadline::in(Milliseconds(30'000)));
  Result<std::optional<Record>> get(std::string_view key, TimePoint now, std::string_view ns = {},
                                    Deadline deadline = Deadline::in(Milliseconds(30'000)));
  Result<std::optional<Record>> get_by_id(std::string_view id, TimePoint now, std::string_view ns = {},
                                          Deadline deadline = Deadline::in(Milliseconds(30'000)));

 private:
  std::shared_ptr<KeyStoreBackend> backend_;
};

}  // namespace setget::inline v0
