// Book: what queue and key store of a file keep in memory while a write transaction runs, so that work per message stays small: the
// counters, and the rows that stand for a whole batch (runs of ready messages, outcomes, change-log entries). Read at the transaction's
// start (another process may have written), written before it commits. Thread rule: belongs to the engine's leader.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sqlite/sqlite3.hpp"

#include <setget/key_store.hpp>
#include <setget/queue.hpp>

namespace setget::inline v0::sqlite {

class WriteTxn;

// Kinds of rows in the table `state`, which holds what every transaction touches in as few pages as possible.
enum class StateKind : int {
  kMeta = 0,      // one row: Meta
  kCounters = 1,  // per queue: Counters
  kReady = 2,     // per run of ready messages: n = first stamp, v = last stamp and flags
};
inline constexpr std::int64_t kReadyKind = static_cast<std::int64_t>(StateKind::kReady);

struct Meta {
  Stamp last_stamp = 0;
  Position last_position = 0;  // of the change log
  std::uint64_t last_row = 0;  // of rows that no message gave
  std::uint64_t last_token = 0;
  Stamp floor = 0;
  std::uint64_t records = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t keys = 0;
  std::uint64_t changes = 0;
  std::uint64_t listed = 0;
  std::uint64_t queues_generation = 0;  // rises when a queue is made, changed or removed
  friend bool operator==(const Meta&, const Meta&) = default;
};

struct Counters {
  std::uint64_t accepted = 0;
  std::array<std::uint64_t, kOutcomeCount> outcomes{};
  std::uint64_t ready = 0;      // visible, members of blocked groups included
  std::uint64_t in_flight = 0;  // leased, until somebody notices that the lease has ended
  std::uint64_t delayed = 0;    // until somebody notices that the delay is over
};

struct QueueRow {
  std::int64_t id = 0;
  QueueInfo info;
};

// How a message waits.
enum WaitFlags : std::uint32_t {
  kHasHistory = 1,  // there is a row in `history`: it was received before
  kGrouped = 2,     // it stands for its FIFO group
};

// Where outcomes of neighbouring stamps are kept together: 64 ms of stamps.
constexpr std::int64_t outcome_window(Stamp stamp) noexcept { return static_cast<std::int64_t>(stamp >> 17); }

struct OutcomeEntry {
  Stamp stamp = 0;
  Outcome outcome = Outcome::kPending;
  std::uint32_t receive_count = 1;
  std::string reasons;  // encoded; empty = none
};
std::string encode_outcomes(const std::vector<OutcomeEntry>& entries);
// Throws SqlError(kCorrupted) on damaged bytes.
std::vector<OutcomeEntry> decode_outcomes(std::string_view bytes);

std::string encode_meta(const Meta& meta);
Meta decode_meta(std::string_view bytes);
std::string encode_counters(const Counters& counters);
Counters decode_counters(std::string_view bytes);
[[noreturn]] void throw_damaged(std::string_view what);

Meta read_meta(Connection& db);
Counters read_counters(Connection& db, std::int64_t queue);
std::vector<QueueRow> read_queues(Connection& db);

class Book {
 public:
  // At the start and before the commit of a transaction.
  void begin(Connection& db);
  void flush(Connection& db, TimePoint now);
  // After a rollback nothing that is cached counts.
  void forget() noexcept { queues_known_ = false; }

  // Savepoints.
  void save() { saved_.push_back(now_); }
  void undo() { now_ = std::move(saved_.back()), saved_.pop_back(); }
  void keep() noexcept { saved_.pop_back(); }
  // Rises with every change made through this object.
  std::int64_t edits() const noexcept { return edits_; }

  const Meta& meta() const noexcept { return now_.meta; }
  Meta& edit_meta() noexcept { return ++edits_, now_.meta; }
  // The end of the change log as it is in its table; entries of this transaction come behind it.
  Position stored_position() const noexcept { return stored_.last_position; }
  Counters& counters(Connection& db, std::int64_t queue);
  // nullptr if there is none.
  const QueueRow* queue(Connection& db, std::string_view name);

  Stamp give_stamp(TimePoint now) noexcept { return edit_meta().last_stamp = next_stamp(now_.meta.last_stamp, now); }
  // A message that was just given its stamp becomes ready; neighbours become one run.
  void add_ready(std::int64_t queue, Stamp stamp);
  // A message of `queue` with a later stamp than the run's does not belong to the run.
  void end_run(std::int64_t queue);
  // Writes the runs, so that statements see them.
  void flush_ready(Connection& db);
  void add_outcome(Connection& db, std::int64_t queue, OutcomeEntry entry);
  // A change-log entry in its encoded form.
  void add_change(std::string_view entry, Stamp stamp);

 private:
  struct Run {
    std::int64_t queue;
    Stamp first;
    Stamp last;
    bool open;
  };
  struct State {
    Meta meta;
    std::map<std::int64_t, Counters> counters;  // loaded, and so to be written
    std::vector<Run> runs;
    std::map<std::pair<std::int64_t, std::int64_t>, std::vector<OutcomeEntry>> outcomes;  // by queue and window
    std::string changes;
    std::uint64_t change_count = 0;
    Stamp change_low = 0;
  };
  State now_;
  std::vector<State> saved_;
  Meta stored_;
  std::int64_t edits_ = 0;
  bool queues_known_ = false;
  std::uint64_t queues_generation_ = 0;
  std::map<std::string, QueueRow, std::less<>> queues_;
};

}  // namespace setget::inline v0::sqlite
