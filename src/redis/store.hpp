// The key-store seam on Redis (docs/adr/0013-redis-layout.md). What a command does is decided by apply_command() of setget/model.hpp; here
// is how entries are read for it, and how what it decided is written in one step. Thread rule: any thread.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

#include "core/complaints.hpp"
#include "core/scan_cursor.hpp"
#include "redis/answer_cache.hpp"
#include "redis/log_walk.hpp"
#include "redis/place.hpp"
#include "redis/scan_window.hpp"
#include "redis/shards.hpp"
#include "redis/store_body.hpp"
#include "redis/store_coder.hpp"
#include "redis/store_entry.hpp"
#include "redis/store_outbox.hpp"
#include "redis/store_overlay.hpp"
#include "redis/tracker.hpp"
#include "redis/turns.hpp"

#include <setget/key_store.hpp>
#include <setget/redis.hpp>

namespace setget::inline v0::redis {

// The string m of a part.
struct PartMeta {
  StoreIdentity identity{};
  Stamp floor = 0;
  std::uint64_t generation = 0;  // of the dictionaries; see dictionaries.hpp. 0: there never was one, and it is not stored
  std::string text{};            // as stored
};
std::string encode_part_meta(const StoreIdentity& identity, Stamp floor, std::uint64_t generation = 0);
std::optional<PartMeta> decode_part_meta(std::string_view text);

class RedisStore final : public KeyStoreBackend, public EntrySource {
 public:
  explicit RedisStore(std::shared_ptr<Place> place);
  ~RedisStore() override;
  // Ahead of time, as far as it can be reached.
  void find();

  KeyStoreCapabilities capabilities() const override;
  Result<StoreIdentity> identity(Deadline deadline) override;
  Result<std::vector<Result<ApplyResult>>> apply(const ApplyCommands& request) override;
  Result<std::vector<Lookup>> get(const GetRecords& request) override;
  void get_async(const GetRecords& request, GetDone done) override;
  std::optional<Lookup> get_at_hand(std::string_view ns, std::string_view key, TimePoint now) override;
  std::shared_ptr<const Lookup> share_at_hand(std::string_view ns, std::string_view key, TimePoint now) override;
  Result<Lookup> get_by_id(const GetById& request) override;
  Result<std::vector<Lookup>> get_by_ids(const GetByIds& request) override;
  Result<ListPage> list(const ListRecords& request) override;
  Result<SummaryPage> scan(const ScanRecords& request) override;
  Result<std::vector<RangeDigest>> digest(const DigestRecords& request) override;
  Result<CursorInfo> open_cursor(const OpenCursor& request) override;
  Result<ChangeBatch> changes(const ReadChanges& request) override;
  Result<void> commit_cursor(std::string_view name, Position position, Deadline deadline) override;
  Result<std::vector<CursorInfo>> cursors(Deadline deadline) override;
  Result<void> drop_cursor(std::string_view name, Deadline deadline) override;
  Result<bool> wait_for_changes(Position after, Deadline wait, std::optional<Deadline> deadline) override;
  Result<std::vector<Result<bool>>> set_expiry(std::span<const SetExpiry> entries, Deadline deadline) override;
  Result<Reclaimed> reclaim(const Reclaim& request) override;
  Result<StoreStats> stats(Deadline deadline) override;
  Result<HistoryBatch> history(const ReadHistory& request) override;
  Result<void> confirm_history(std::span<const OutboxPlace> places, Deadline deadline) override;
  Result<std::vector<Result<bool>>> begin_history(std::span<const BeginHistory> entries, Deadline deadline) override;
  // See Database::retrain.
  Result<Retrained> retrain(std::string_view ns, std::string_view account, std::string_view flow, Deadline deadline);

  // All of one part are of one moment. An error where something else than an entry has one of the names.
  Result<std::vector<std::optional<Payload>>> load_entries(std::span<const std::string> names, Deadline deadline);
  Result<std::vector<std::optional<Payload>>> load_in_pieces(std::span<const std::string> names, Deadline deadline) override;

  // Empty: no cache, or the store has not been found yet.
  std::optional<AnswerCache::Counts> cache_counts() const {
    if (!ready_ || cache_ == nullptr) return std::nullopt;
    return cache_->counts();
  }

 private:
  // --- what must be known before anything (store.cpp) -------------------------------------------------------------------------------
  // The parts, once the store is found; fixed from then on.
  Result<const Shards*> shards(Deadline deadline);
  Result<void> prepare(const Facts& facts, Deadline deadline);
  Result<PartMeta> meta(std::uint32_t shard, Deadline deadline);
  void forget_meta(std::uint32_t shard);
  // Whether what a part says of itself is what this process knows of the store.
  Result<bool> is_current(std::uint32_t shard, const Reply& meta);
  // That all parts belong to the store as this process knows it, which may learn of another epoch, or begin one.
  Result<void> check_parts(Deadline deadline);
  // A part says that it belongs to another epoch, or nothing at all.
  Result<void> find_again(Deadline deadline);
  // What was written since `before` is on as many replicas as are asked for, in all parts.
  Result<void> confirm(const Replicas::Seen& before, Deadline deadline);

  // --- writing (store_apply.cpp, store_step.hpp, store_phases.cpp) ------------------------------------------------------------------
  using Results = std::vector<Result<ApplyResult>>;
  Result<Results> apply_all(const ApplyCommands& request);
  Result<std::vector<Result<bool>>> set_all_expiries(std::span<const SetExpiry> entries, Deadline deadline);
  Result<Results> apply_chunk(std::span<const ApplyEntry* const> entries, const ApplyCommands& request);
  // Of one step, by what their entries took of late.
  std::size_t most_commands() const noexcept;
  void saw(const Overlay& overlay, std::size_t commands) noexcept;
  // `work`(Overlay&, floor) → Result<T>, until what it did is committed in one step; its last value. All that it changes lies in one part.
  template <class Work>
  std::invoke_result_t<Work, Overlay&, Stamp> step(std::span<const std::string> names, bool fresh, Deadline deadline, Work&& work);
  enum class Committed : std::uint8_t { kDone, kConflict };
  Result<Committed> commit(const Overlay& overlay, const PartMeta& known, const std::string& marker, Deadline deadline);
  Result<bool> left_marker(std::uint32_t shard, const std::string& marker, Deadline deadline);
  std::string new_marker();
  // The new records of a batch, without reading (store_fresh.cpp). What it could not see to stays empty in `results`; `unsure` says of
  // which entries it cannot be told whether they were written.
  class Fresh;
  Result<void> apply_fresh(const ApplyCommands& request, std::vector<std::optional<Result<ApplyResult>>>& results,
                           std::vector<bool>& unsure);
  friend class Phases;
  OutboxLimit outbox_limit() const;

  // --- reading (store_read.cpp) -----------------------------------------------------------------------------------------------------
  struct Index {
    std::uint32_t shard;
    std::string name;  // ACCOUNT/FLOW
  };
  class UnderWay;
  struct AsyncGet;
  struct LoneGet;
  void get_in_steps(const GetRecords& request, GetDone done);
  void ask(std::shared_ptr<AsyncGet> get);
  void ask_dictionaries(std::shared_ptr<AsyncGet> get);
  static void go_on(std::shared_ptr<AsyncGet> get);
  static void see_missing(std::shared_ptr<AsyncGet> get, std::vector<std::optional<Payload>> values, bool closely);
  static void feed(std::shared_ptr<AsyncGet> get, std::vector<std::optional<Payload>> values);
  static void answered(std::shared_ptr<AsyncGet> get, std::vector<Result<Reply>> replies);
  void find_in_background();
  void get_from_servers(const GetRecords& request, GetDone done);

  // --- with the cache (store_cached.cpp) --------------------------------------------------------------------------------------------
  struct CachedGet;
  std::optional<std::vector<Lookup>> cached(const GetRecords& request);
  std::optional<std::vector<Lookup>> stale(const GetRecords& request);
  void get_cached(const GetRecords& request, GetDone done);
  Result<std::vector<Lookup>> wait_for_cached(const GetRecords& request);
  void ask_tracked(std::shared_ptr<CachedGet> get);
  void answered_tracked(std::shared_ptr<CachedGet> get, Reply& reply, std::uint32_t part, const std::shared_ptr<Connection>& connection);
  void see_missing_tracked(std::shared_ptr<CachedGet> get, std::vector<std::optional<Payload>> values, std::uint32_t part,
                           const std::shared_ptr<Connection>& connection, bool closely);
  void refused_tracked(const std::shared_ptr<CachedGet>& get, Error error, std::uint32_t part,
                       const std::shared_ptr<Connection>& connection);
  void feed_tracked(std::shared_ptr<CachedGet> get, std::vector<std::optional<Payload>> values);
  void ask_without(const std::shared_ptr<CachedGet>& get);
  // The store waits for whoever holds this before it goes.
  std::shared_ptr<void> keep_open();
  // This store has changed these entries, or may have: its own next get sees it.
  void forget_answers(std::span<const std::string> names);
  void forget_answers(const ApplyCommands& request);

  static Result<Record> record_from(const Payload& encoded, const IdentityPart& identity);
  Result<Record> record_of(const IdentityPart& identity, Deadline deadline);
  // `whose`: of each reply, which of the dictionaries.
  static Result<std::vector<std::optional<Payload>>> found_dictionaries(std::span<Result<Reply>> replies,
                                                                        std::span<const std::size_t> whose, std::size_t count);
  Result<std::vector<std::optional<Payload>>> load_dictionaries(std::span<const std::uint32_t> numbers, Deadline deadline);
  std::vector<RedisCommand> looks_at_missing(std::span<const std::string> names, std::span<const std::optional<Payload>> loaded,
                                             bool closely);
  Result<std::vector<std::optional<Payload>>> load_together(std::span<const std::string> names, std::size_t most, Deadline deadline);
  // Bytes of entries, 0 where there is none.
  Result<std::vector<std::size_t>> sizes_of(std::span<const std::string> names, Deadline deadline);
  // Empty: there is none. kCorrupted: it is damaged, which says nothing of the others.
  using MaybeEntry = Result<std::optional<Entry>>;
  Result<std::vector<MaybeEntry>> decoded_entries(std::span<const std::string> names, Deadline deadline);
  // `use`(const std::optional<Entry>&) → Result<T>, of an entry that was read, and once more of what is there now where its dictionary is
  // not. kCorrupted: it is damaged, or its dictionary is lost (store_bodies.hpp).
  template <class Use>
  std::invoke_result_t<Use, const std::optional<Entry>&> with_body(std::string_view name, const MaybeEntry& entry, Deadline deadline,
                                                                   Use&& use);
  Result<Lookup> lookup_of(std::string_view name, const MaybeEntry& entry, TimePoint now, Deadline deadline);
  // Logs it, once for each record.
  void complain(std::string_view what, std::string_view name, const Error& damage);
  Result<std::vector<Index>> indexes_of(const ListRecords& request);
  class ListSize;
  Result<bool> add_listed(const ListRecords& request, std::span<const std::string> names, ListPage& page, ListSize& size);
  bool covers(const std::optional<PlaceView>& after) const;
  Result<void> fill_window(const std::optional<PlaceView>& after, Deadline deadline);
  Result<Summary> summary_of(const PlaceView& place, const IdentityPart& identity, const ScanRecords& request);

  // --- the change log and its cursors (store_log.cpp, store_cursors.cpp) -------------------------------------------------------------
  struct CursorState;
  struct LogPiece;
  // A line of the log on its way to a reader.
  struct Picked {
    LogLine line;
    std::uint32_t shard;
    LogWalk::Digest digest;
  };
  LogWalk& walk_through(const std::vector<Position>& positions);
  Result<CursorState> cursor_state(std::string_view name, Deadline deadline);
  Result<CursorState> usable_cursor(std::string_view name, Deadline deadline);
  // How the position of a cursor may be changed: `lines` says of each part which line lies before it; empty: whichever. False: what lies
  // behind the position has been trimmed.
  enum class Move : std::uint8_t { kForward, kAnywhere };
  Result<bool> write_cursor(std::string_view name, const CursorState& state, Move move, std::span<const std::string> lines,
                            Deadline deadline);
  Result<bool> move_to(Position position, CursorState& state, std::vector<std::string>& lines, Deadline deadline);
  // The lines before a place, as they were handed out. Empty: the log was trimmed since the state was asked.
  Result<std::optional<std::vector<std::string>>> lines_before(const LogWalk::Place& place, const CursorState& state, Deadline deadline);
  Result<std::optional<std::vector<LogPiece>>> pieces_behind(const LogWalk::Place& place, const CursorState& state, std::size_t limit,
                                                             Deadline deadline);
  static bool goes_on(const LogWalk::Place& place, std::span<const LogPiece> pieces);
  Result<std::vector<Picked>> pick(LogWalk& walk, Position from, std::span<LogPiece> pieces, std::size_t limit);
  struct PickedEntries {
    std::vector<std::size_t> which{};  // of each line: which of the entries
    std::vector<MaybeEntry> entries{};
  };
  Result<PickedEntries> entries_of(std::span<const Picked> picked, std::size_t max_bytes, Deadline deadline);
  Result<std::optional<ChangeBatch>> read_changes(const ReadChanges& request, const CursorState& state, Deadline deadline);
  // The content that this object last saw a cursor in; see CursorState::replaced.
  void remember_cursor(std::string_view name, std::uint64_t epoch);
  Result<std::vector<Position>> ends(Deadline deadline);
  Result<std::optional<Change>> change_of(Position position, const LogLine& line, const MaybeEntry& entry, Deadline deadline);
  CursorInfo info_of(std::string_view name, const CursorState& state) const;
  Result<std::vector<std::string>> cursor_names(Deadline deadline);
  // Where a cursor stands in each part; empty if it is dropped or gone.
  Result<std::vector<Position>> cursor_positions(std::string_view name, Deadline deadline);

  // --- housekeeping (store_reclaim.cpp) ---------------------------------------------------------------------------------------------
  Result<void> reclaim_expired(const Reclaim& request, std::uint32_t shard, Reclaimed& done);
  Result<void> trim_log(const Reclaim& request, std::uint32_t shard, std::optional<Position> passed, Reclaimed& done);
  Result<void> raise_floor(std::uint32_t shard, Stamp floor, Deadline deadline);
  Result<void> forget_gone(const Reclaim& request, std::uint32_t shard, Reclaimed& done);
  struct Expired {
    std::string name{};
    std::size_t bytes = 0;  // of its entry
  };
  Result<std::vector<Expired>> expired_among(std::span<const std::string> names, TimePoint cutoff, Deadline deadline);
  Result<std::size_t> evict_names(std::span<const std::string> names, TimePoint cutoff, Deadline deadline);
  Result<void> pass_garbage(const std::string& name, const Error& damage, Deadline deadline);
  Result<std::size_t> forget_names(std::span<const std::string> names, std::span<const std::string> scores, Stamp floor, Deadline deadline);

  // --- the codec's dictionaries (store_codec.cpp) -----------------------------------------------------------------------------------
  Result<void> tend_dictionaries(Deadline deadline);
  using NamesWork = std::function<Result<bool>(std::uint32_t shard, std::vector<std::string> names)>;
  // All names of a namespace's entries, some at a time, qualified; until `work` answers false.
  Result<void> walk_entries(std::string_view ns, Deadline deadline, const NamesWork& work);
  Result<std::uint64_t> recode(std::uint32_t shard, std::span<const std::string> names,
                               const std::function<bool(const IdentityPart&)>& which, Deadline deadline);

  const std::shared_ptr<Place> place_;
  const std::unique_ptr<Coder> coder_;
  setget::detail::Complaints complaints_;  // of names
  // Of late, steps found that their entries were new; then the next one does not read first.
  std::atomic<int> freshness_{8};
  // What the entries that a command concerns took of late, so that a batch does not read more than fits into memory. At first a guess that
  // makes small batches.
  std::atomic<std::size_t> bytes_a_command_{std::size_t{4} << 20};
  std::mutex mutex_;
  std::unique_ptr<Shards> shards_;
  std::atomic<bool> ready_{false};  // shards_ stands
  std::vector<std::optional<PartMeta>> metas_;
  std::atomic<std::uint32_t> next_outbox_{0};  // the part to begin with

  const std::shared_ptr<std::atomic<std::size_t>> under_way_ = std::make_shared<std::atomic<std::size_t>>(0);

  std::mutex finder_mutex_;
  std::thread finder_;
  std::atomic<bool> finding_{false};

  std::mutex tending_mutex_;
  std::string swept_ = "0";

  setget::detail::Turns scanning_;  // one scan at a time; guards the window
  FirstPlaces window_;
  std::optional<setget::detail::ScanCursor> window_from_;  // behind which it begins; empty: there is none

  std::map<std::string, std::uint64_t, std::less<>> cursor_epochs_;  // under mutex_

  setget::detail::Turns walking_;  // guards the walks
  std::deque<LogWalk> walks_;      // cursors that stand on the same one understand each other's positions
  Position lost_to_ = 0;           // guarded by walking_: so far a walk led that is no longer so; what it led through is not what is there

  // Made with shards_; empty: no cache.
  std::unique_ptr<AnswerCache> cache_;
  std::unique_ptr<Tracker> tracker_;
};

std::shared_ptr<RedisStore> make_key_store(std::shared_ptr<Place> place);

}  // namespace setget::inline v0::redis
