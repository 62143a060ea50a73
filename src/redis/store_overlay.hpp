// Overlay: entries as they were read, and what one step makes of them. The model decides on it (setget/model.hpp); nothing reaches the
// server until the step is committed, which fails if an entry has changed since it was read. Thread rule: one thread.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "redis/shards.hpp"
#include "redis/store_body.hpp"
#include "redis/store_entry.hpp"
#include "redis/store_forms.hpp"

#include <setget/model.hpp>

namespace setget::inline v0::redis {

// Where an overlay gets entries from.
class EntrySource {
 public:
  virtual ~EntrySource() = default;
  // One for each qualified name; empty where there is none. Only so many of one part are of one moment: all of them could be more than
  // fits into a reply.
  static constexpr std::size_t kPieceNames = 16;
  virtual Result<std::vector<std::optional<Payload>>> load_in_pieces(std::span<const std::string> names, Deadline deadline) = 0;
};

// What becomes of indexes and the log beside the entries. `name` is what follows the part's head.
struct SideEffect {
  enum class Kind : std::uint8_t { kLog, kBucket, kGarbage, kNotGarbage, kListed, kUnlisted, kOutbox };
  Kind kind = Kind::kLog;
  std::uint32_t shard = 0;
  std::string name{};    // of the list or set, where the kind does not say it; kNotGarbage: the score that it must have
  std::string member{};  // log line, qualified name, index member, or state
  std::uint64_t score = 0;
};

struct Counts {
  std::int64_t records = 0;
  std::int64_t tombstones = 0;
  std::int64_t keys = 0;
  std::map<std::uint32_t, std::int64_t> uses{};  // of dictionaries, by number
  void add_records(const Counts& other) {
    records += other.records;
    tombstones += other.tombstones;
    for (const auto& [number, count] : other.uses) uses[number] += count;
  }
  bool any() const noexcept { return records != 0 || tombstones != 0 || keys != 0; }
};

inline bool is_live(const std::optional<IdentityPart>& identity) { return identity && identity->slot.state == IdentitySlot::State::kLive; }
// The latest stamp that a key's entry still has to tell of.
Stamp remembered_for(const KeyPart& key);
// What its body needs to be read; 0 = nothing.
std::uint32_t dictionary_of(const Entry& entry) noexcept;

class Overlay final : public ModelTransaction {
 public:
  struct Row {
    std::optional<Payload> stored{};  // as read
    Entry before{};
    Entry now{};
    bool changed = false;
    bool identity_changed = false;
    std::uint64_t read = 0;  // when: with which of the overlay's readings
  };
  using Rows = std::unordered_map<std::string, Row>;

  // `careful`: keys and records are not changed in one step, so that what a key says of a record is held against the record.
  Overlay(EntrySource& source, BodyCoder& coder, const Shards& shards, bool careful, Deadline deadline)
      : source_(source), coder_(coder), shards_(shards), careful_(careful), deadline_(deadline) {}

  // Reads these entries, and the records that their keys lead or might lead to; all in two round trips.
  Result<void> preload(std::span<const std::string> names);
  // Before each command: states that it makes are in force from `at` and go to the outbox, where their flow keeps history. Without it they
  // do not: housekeeping only carries out what expiry said already. `bounded`: the commit fails where the outbox is full.
  void keep_history(TimePoint at, bool bounded) noexcept { history_at_ = at, bounded_ = bounded; }
  bool bounded() const noexcept { return bounded_; }
  // The step gives back memory: a full server must not refuse it.
  void free_memory() noexcept { frees_memory_ = true; }
  bool frees_memory() const noexcept { return frees_memory_; }
  // See KeyStoreBackend::begin_history().
  Result<bool> begin_history(const BeginHistory& request);
  // Takes entries that are not known for missing, without a look. The commit finds out.
  void assume_absent() noexcept { assume_absent_ = true; }
  // A decision that only holds if it is known that nothing was there: the step must look first.
  void doubt() noexcept { doubted_ = doubted_ || assume_absent_; }
  bool doubted() const noexcept { return doubted_; }

  // Whatever other writers left undone about the keys that this command concerns, then the command.
  Result<ApplyResult> apply(const ApplyEntry& entry, const ApplyContext& context);
  // Before something else is done to a record: the same for its keys.
  Result<void> settle_pending(std::string_view ns, const std::vector<std::string>& keys);
  Result<std::vector<std::string>> current_keys(std::string_view ns, std::string_view id);
  // Drops what is below the floor: identity and key. True if something was dropped. Either way what was noted with `score` is dealt with.
  Result<bool> forget(std::string_view ns, std::string_view bytes, Stamp floor, std::string_view score);
  // A claim that was written ahead and comes to nothing: where the model has not taken it, it goes.
  Result<void> drop_pending(const std::string& name, const PendingClaim& claim);
  // The identity has seen a set of this stamp, though it did not become its version: the claims of that set count.
  Result<void> raise_reach(std::string_view ns, std::string_view id, Stamp stamp);
  // Everything as it was read.
  void discard();
  // An erase by key, without what follows from it for records.
  Result<void> mark(std::string_view ns, std::string_view key, Stamp stamp);
  // A key that says of records that they list it, and they do not: whose writers were overtaken, or died, when they were to say so.
  Result<void> tidy(std::string_view ns, std::string_view key);
  // A record that is to notice that something happened to its keys.
  Result<void> touch(std::string_view ns, std::string_view id);

  // ModelTransaction
  Result<IdentitySlot> load_identity(std::string_view ns, std::string_view id) override;
  Result<Payload> load_encoded(std::string_view ns, std::string_view id, const IdentitySlot& slot) override;
  Result<KeySlot> load_key(std::string_view ns, std::string_view key) override;
  Result<std::vector<std::string>> silent_listers(std::string_view ns, std::string_view key) override;
  Result<void> set_silent_lister(std::string_view ns, std::string_view key, std::string_view id, bool listed) override;
  Result<void> store_record(const ApplyEntry& entry, const IdentitySlot& before, IdentitySlot& slot) override;
  Result<void> update_slot(std::string_view ns, std::string_view id, const IdentitySlot& before, const IdentitySlot& slot,
                           const KeyList* lost_keys) override;
  Result<void> store_tombstone(std::string_view ns, std::string_view id, const IdentitySlot& before, const IdentitySlot& slot) override;
  Result<void> store_key(std::string_view ns, std::string_view key, const KeySlot& before, const KeySlot& slot,
                         const IdentitySlot* holder) override;
  Result<void> log_change(std::string_view ns, std::string_view id, const IdentitySlot& slot) override;

  // --- what the step came to ------------------------------------------------------------------------------------------------------
  const Rows& rows() const noexcept { return rows_; }
  const std::vector<SideEffect>& effects() const noexcept { return effects_; }
  std::uint32_t shard_of(std::string_view qualified_name) const;
  Counts counts(const Row& row) const;
  // Records that claim a key of this step and have not come yet: their writers must notice. Part of the rows already.
  const std::set<std::string>& touched() const noexcept { return touched_; }
  // reconcile_record() with what this record says.
  Result<void> reconcile(std::string_view ns, std::string_view id);
  // The last of each step: reconcile() with the records that it found under keys and put others in their place.
  Result<void> tell_displaced();
  // Entries that were read at different moments do not fit together: the step must read anew.
  bool mixed() const noexcept { return mixed_; }
  // All that was read is of one moment, so that what was decided on it needs no proof.
  bool of_one_moment() const noexcept { return moments_ <= 1; }
  std::size_t loaded_bytes() const noexcept { return loaded_bytes_; }
  // The pending claims that were on the keys of this step.
  const std::set<std::string>& rivals() const noexcept { return rivals_; }

 private:
  Result<Row*> row(std::string_view ns, std::string_view bytes);
  Result<void> load(const std::vector<std::string>& names);
  Error damaged_entry(std::string_view name, const Error& damage) const;
  Result<Row> decode(std::string_view name, std::optional<Payload> bytes) const;
  // A record may only be judged by entries of its keys that are no older than itself: those that were read before it are read once more.
  Result<void> see_keys_after(std::string_view ns, std::string_view id);
  // And a key only be said to lead nowhere by an entry of its record that is no older than the key's.
  Result<void> see_record_after(std::string_view ns, std::string_view id, std::string_view key);
  // mixed() where one of them is not as it was read.
  Result<void> look_again(const std::vector<std::string>& names);
  Result<bool> reached(std::string_view ns, const PendingClaim& claim);
  Result<bool> lists(std::string_view ns, std::string_view id, std::string_view key);
  // Also where it has lost the key to another.
  Result<bool> lists_or_lost(std::string_view ns, std::string_view id, std::string_view key);
  bool is_self(const PendingClaim& claim, std::string_view key) const {
    return claim.id == self_ && claim.stamp == self_stamp_ && (!self_key_ || *self_key_ == key);
  }
  Row& edit(Row& row) {
    row.changed = true;
    return row;
  }
  void effect(SideEffect::Kind kind, std::string_view ns, std::string_view bytes, std::uint64_t score);
  void expire_later(std::string_view ns, std::string_view id, const IdentitySlot& slot, TimePoint now);
  void expire_again(std::string_view ns, std::string_view id, const IdentitySlot& before, const IdentitySlot& slot);
  // The body of a live record; empty where nobody can read it any more.
  Result<std::optional<Payload>> readable_body(const IdentityPart& identity);
  void unlist(std::string_view ns, std::string_view id, IdentityPart& identity);
  Result<void> keep_state(std::string_view name, const IdentityPart& identity, TimePoint at, bool left);

  EntrySource& source_;
  BodyCoder& coder_;
  const Shards& shards_;
  const bool careful_;
  const Deadline deadline_;
  bool assume_absent_ = false;
  bool doubted_ = false;
  bool mixed_ = false;
  std::uint64_t readings_ = 0;
  std::uint64_t moments_ = 0;  // at most
  std::size_t loaded_bytes_ = 0;
  // The pending claims of the step's own command do not count: it is about to make them.
  std::string self_{};
  Stamp self_stamp_ = 0;
  std::optional<std::string> self_key_{};  // only under this key, if one is named
  Rows rows_;
  std::vector<SideEffect> effects_;
  std::set<std::string> touched_;
  std::set<std::string> rivals_;
  std::set<std::string> displaced_;
  std::optional<TimePoint> history_at_;
  bool bounded_ = false;
  bool frees_memory_ = false;
  std::set<std::string> leaving_;  // had history, and are now of a flow without
};

}  // namespace setget::inline v0::redis
