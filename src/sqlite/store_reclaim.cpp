// Reclaiming what is gone, by the tables `expiry`, `gc` and `change`: work grows with what there is to reclaim, never with what is stored.
#include <algorithm>
#include <string>

#include "sqlite/book.hpp"
#include "sqlite/queue.hpp"
#include "sqlite/store.hpp"
#include "sqlite/store_txn.hpp"

namespace setget::inline v0::sqlite {

namespace {

using State = IdentitySlot::State;

class Reclaimer {
 public:
  Reclaimer(WriteTxn& txn, const Reclaim& request, std::size_t steps, ForgetPlace from)
      : txn_(txn), db_(txn.db()), request_(request), left_(steps), place_(std::move(from)) {}

  Reclaimed run() {
    evict();
    forget();
    trim();
    return done_;
  }
  // Rows of expired records that were passed over.
  const std::vector<std::int64_t>& damaged() const noexcept { return damaged_; }
  // Where the next one goes on to look for what may be forgotten.
  const ForgetPlace& place() const noexcept { return place_; }

 private:
  void step(std::size_t count = 1) {
    left_ -= std::min(left_, count);
    done_.steps += count;
  }

  void evict() {
    struct Due {
      std::int64_t at;
      std::int64_t row;
    };
    std::vector<Due> due;
    {
      auto row = db_.query("SELECT at, row FROM expiry WHERE at<=?1 ORDER BY at LIMIT ?2");
      row.with((request_.now - request_.grace).time_since_epoch().count(), static_cast<std::int64_t>(left_));
      while (row.step()) due.push_back({.at = row.integer(0), .row = row.integer(1)});
    }
    StoreTxn store(txn_);
    for (const auto& entry : due) {
      const auto evicted = passing_damage([&] { return evict_one(store, entry.row); });
      if (!evicted) damaged_.push_back(entry.row);
      db_.run("DELETE FROM expiry WHERE at=?1 AND row=?2", entry.at, entry.row);
      if (evicted) ++done_.expired;
      step();
    }
  }

  // Of a damaged record that does not even name itself only the reminder goes: readers do not see it, and the doctor does.
  Result<void> evict_one(StoreTxn& store, std::int64_t row) {
    if (const auto body = readable_body(db_, row)) {
      const auto command = decode_command(*body);
      return command ? evict_expired(store, command->ns, command->id) : command.error();
    }
    const auto command = remains_of(db_, row);
    if (!command) return Error(ErrorCode::kCorrupted, "an expired record is damaged");
    return evict_expired(store, command->ns, command->id);
  }

  // False where damage has stopped the step, which then has done nothing: what comes behind it must not wait for it.
  template <class Step>
  bool passing_damage(const Step& what) {
    const auto done = txn_.isolated(what);
    if (!done && !is_damage(done.error())) throw SqlError(done.error());
    return done.has_value();
  }

  // The floor that counts: nothing that a cursor has yet to read lies below it, nor what waits in the queues of this file. The one that was
  // asked for may come from a queue elsewhere, which knows nothing of them.
  Stamp floor_that_counts() {
    auto floor = request_.floor;
    if (slowest_) {
      if (const auto low = db_.find_integer("SELECT low FROM change WHERE seq>?1 ORDER BY seq LIMIT 1", *slowest_)) {
        floor = std::min(floor, static_cast<Stamp>(*low));
      }
    }
    txn_.book().flush_ready(db_);
    for (const auto& queue : read_queues(db_)) floor = std::min(floor, oldest_unfinished_of(db_, queue.id).value_or(floor));
    return floor;
  }

  // What the floor has passed and a cursor has not is looked past, and not over and over: it may be much, and what may go stand behind it.
  std::vector<ForgetPlace> forgettable(Stamp floor) {
    constexpr std::size_t kLooks = 16 * kStepsPerCommit;
    std::vector<ForgetPlace> found;
    const auto begun = place_;
    // From there to the end, and then what stands before it.
    for (const bool again : {false, true}) {
      auto row = db_.query(
          "SELECT stamp, kind, name, position FROM gc WHERE stamp<?1 AND (stamp, kind, name) > (?2, ?3, ?4) ORDER BY stamp, kind, name "
          "LIMIT ?5");
      // Of its own: SQLite looks at what is bound for each row.
      const auto from = place_;
      row.with(floor, from.stamp, from.kind, from.name, static_cast<std::int64_t>(kLooks));
      std::size_t looked = 0;
      while (found.size() < left_ && row.step()) {
        ++looked;
        ForgetPlace one{.stamp = row.number(0), .kind = static_cast<int>(row.integer(1)), .name = row.text(2)};
        if (again && begun < one) return found;
        if (!slowest_ || row.number(3) <= *slowest_) found.push_back(one);
        place_ = std::move(one);
      }
      if (found.size() == left_ || looked == kLooks) return found;
      place_ = {};
      if (begun == ForgetPlace()) return found;
    }
    return found;
  }

  void forget() {
    slowest_ = slowest_cursor(db_);
    const auto floor = floor_that_counts();
    if (floor > txn_.book().meta().floor) txn_.book().edit_meta().floor = floor;
    for (const auto& candidate : forgettable(floor)) {
      bool forgotten = false;
      passing_damage([&]() -> Result<void> {
        forgotten = candidate.kind == kGcKey ? forget_key(candidate.name, floor) : forget_identity(candidate.name, floor);
        return {};
      });
      db_.run("DELETE FROM gc WHERE stamp=?1 AND kind=?2 AND name=?3", candidate.stamp, candidate.kind, candidate.name);
      if (forgotten) ++done_.forgotten;
      step();
    }
  }

  // What has come back to life or was claimed again since has an entry of its own, or needs none.
  bool forget_identity(const std::string& name, Stamp floor) {
    const auto parts = split_qualified(name);
    const auto ident = find_ident(db_, parts.ns, parts.name);
    if (!ident || ident->slot.state == State::kLive || std::max(ident->slot.stamp, ident->slot.touch_stamp) >= floor) return false;
    db_.run("DELETE FROM ident WHERE h=?1 AND nsid=?2", static_cast<std::int64_t>(identity_hash(parts.ns, parts.name)), name);
    if (ident->slot.state == State::kTombstone) --txn_.book().edit_meta().tombstones;
    return true;
  }

  bool forget_key(const std::string& name, Stamp floor) {
    const auto parts = split_qualified(name);
    StoreTxn store(txn_);
    const auto slot = store.load_key(parts.ns, parts.name);
    if (!slot) throw SqlError(slot.error());
    // A row: it leads to a record, be that readable or not.
    if (!slot->exists || slot->leads || slot->handle != 0 || std::max({slot->claim_stamp, slot->other_stamp, slot->mark}) >= floor)
      return false;
    db_.run("DELETE FROM keys WHERE nskey=?1", Text{name});
    --txn_.book().edit_meta().keys;
    return true;
  }

  void trim() {
    if (left_ == 0) return;
    const auto end = slowest_.value_or(txn_.book().stored_position());
    struct Part {
      Position seq;
      std::uint64_t count;
    };
    std::vector<Part> parts;
    {
      auto row = db_.query("SELECT seq, n FROM change WHERE seq<=?1 ORDER BY seq LIMIT ?2");
      row.with(end, static_cast<std::int64_t>(left_));
      while (row.step()) parts.push_back({.seq = row.number(0), .count = row.number(1)});
    }
    for (const auto& part : parts) {
      db_.run("DELETE FROM change WHERE seq=?1", part.seq);
      txn_.book().edit_meta().changes -= part.count;
      done_.log_trimmed += part.count;
      step();
    }
  }

  WriteTxn& txn_;
  Connection& db_;
  const Reclaim& request_;
  std::size_t left_;
  Reclaimed done_;
  std::vector<std::int64_t> damaged_;
  std::optional<Position> slowest_;
  ForgetPlace place_;
};

}  // namespace

Result<Reclaimed> SqliteStore::reclaim(const Reclaim& request) {
  Reclaimed total;
  while (total.steps < request.max_steps) {
    const auto chunk = std::min(kStepsPerCommit, request.max_steps - total.steps);
    std::vector<std::int64_t> damaged;
    const auto from = forget_place();
    ForgetPlace next;
    auto done = engine_->write(
        [&](WriteTxn& txn) -> Result<Reclaimed> {
          Reclaimer reclaimer(txn, request, chunk, from);
          auto reclaimed = reclaimer.run();
          damaged = reclaimer.damaged();
          next = reclaimer.place();
          return reclaimed;
        },
        request.deadline);
    if (!done) return std::move(done).error();
    set_forget_place(std::move(next));
    for (const auto row : damaged) {
      if (complaints_.first(static_cast<std::uint64_t>(row))) {
        engine_->log(LogLevel::kError, "a record that has expired is damaged and stays in the file: 'setget doctor' tells what to do",
                     {{"row", std::to_string(row)}});
      }
    }
    total.steps += done->steps;
    total.expired += done->expired;
    total.forgotten += done->forgotten;
    total.log_trimmed += done->log_trimmed;
    if (done->steps < chunk) break;
  }
  return total;
}

}  // namespace setget::inline v0::sqlite
