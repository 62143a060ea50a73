#include "sqlite/engine.hpp"

#include <algorithm>
#include <limits>

#include "sqlite/book.hpp"

namespace setget::inline v0::sqlite {

std::int64_t WriteTxn::writes() const noexcept { return db_.changes() + book_.edits(); }

void WriteTxn::begin_savepoint() {
  db_.run("SAVEPOINT entry");
  book_.save();
}

void WriteTxn::end_savepoint(bool keep) {
  if (keep) {
    book_.keep();
  } else {
    db_.run("ROLLBACK TO entry");
    book_.undo();
  }
  db_.run("RELEASE entry");
}

Engine::Engine(Options options) : options_(std::move(options)) {
  const bool simulated = options_.clock != nullptr && options_.clock != system_clock();
  if (options_.clock == nullptr) options_.clock = system_clock();
  if (options_.random == nullptr) options_.random = system_random();
  if (options_.logger == nullptr) options_.logger = no_logger();
  if (options_.metrics == nullptr) options_.metrics = no_metrics();
  longest_wait_ = simulated ? std::chrono::milliseconds(20) : std::chrono::milliseconds(1000);
}

Engine::~Engine() {
  if (writer_ == nullptr) return;
  // So that the file alone is the whole store; whoever has it open still may keep a part, and then the WAL stays.
  if (const auto done = checkpoint(); !done) {
    log(LogLevel::kWarning, "the last checkpoint before closing the database failed", {{"error", done.error().message()}});
  }
  for (auto& pool : pools_) pool.slots.reset();
  writer_.reset();
}

void Engine::log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) const noexcept {
  if (options_.logger->enabled(level)) options_.logger->log(level, message, fields);
}

// --- group commit ---------------------------------------------------------------------------------------------------------------

std::optional<Error> Engine::submit(Pending& mine, Deadline deadline) {
  bool leader = false;
  try {
    const std::lock_guard lock(mutex_);
    mine.round = round_;
    pending_.push_back(&mine);
    leader = !leading_.exchange(true, std::memory_order_relaxed);
  } catch (const std::exception& failed) {
    return Error(ErrorCode::kInternal, failed.what());
  }
  if (!leader) {
    const auto turn = wait_for_turn(mine, deadline);
    if (turn == Turn::kTooLate) return Error(ErrorCode::kDeadlineExceeded, "no turn to write before the deadline");
    leader = turn == Turn::kLead;
  }
  if (leader) lead(mine);
  return std::move(mine.failure);
}

// Too late: the deadline passed while nobody had taken the operation up; then it is withdrawn. One that is being carried out is waited
// for: it lives on this thread's stack, and its outcome is about to be known.
Engine::Turn Engine::wait_for_turn(Pending& mine, Deadline deadline) {
  // Whoever asked not to wait at all still gets his turn in the commit after the running one.
  const auto end = std::max(deadline.time(), Deadline::Steady::now() + std::chrono::seconds(1));
  auto& turn = turns_[mine.round & 1];
  for (;;) {
    const auto seen = turn.load(std::memory_order_acquire);
    const auto state = mine.state.load(std::memory_order_acquire);
    if (state == Pending::kDone) return Turn::kDone;
    if (state == Pending::kWaiting && !leading_.load(std::memory_order_relaxed) && take_lead(mine)) return Turn::kLead;
    const auto left = end - Deadline::Steady::now();
    if (left <= std::chrono::nanoseconds(0) && state == Pending::kWaiting) {
      const std::lock_guard lock(mutex_);
      const auto at = std::find(pending_.begin(), pending_.end(), &mine);
      if (at == pending_.end()) continue;  // taken up meanwhile
      pending_.erase(at);
      offer_lead();  // it may have been this thread that was woken to take it
      return Turn::kTooLate;
    }
    futex_wait(turn, seen, left <= std::chrono::nanoseconds(0) ? std::chrono::milliseconds(100) : left, false);
  }
}

bool Engine::take_lead(Pending& mine) {
  const std::lock_guard lock(mutex_);
  return mine.state.load(std::memory_order_relaxed) == Pending::kWaiting && !leading_.exchange(true, std::memory_order_relaxed);
}

// With the mutex held: wakes one of those who wait, where nobody leads. Whoever comes first takes the lead, also a newcomer.
void Engine::offer_lead() {
  if (leading_.load(std::memory_order_relaxed) || pending_.empty()) return;
  auto& turn = turns_[pending_.front()->round & 1];
  turn.fetch_add(1, std::memory_order_release);
  futex_wake(turn, 1, false);
}

// Called by the thread that leads, for its own operation and for those that came meanwhile: who leads on saves the time in which a sleeper
// would wake up to lead. But it has a caller too, so it does that a few times only.
void Engine::lead(const Pending& mine) {
  constexpr int kRounds = 3;
  for (int rounds = 1;; ++rounds) {
    carry_out(mine);
    const std::lock_guard lock(mutex_);
    const bool done = mine.state.load(std::memory_order_relaxed) == Pending::kDone;
    if (!pending_.empty() && (!done || rounds < kRounds)) continue;
    leading_.store(false, std::memory_order_relaxed);
    offer_lead();
    return;
  }
}

void Engine::carry_out(const Pending& mine) {
  std::vector<Pending*> batch;
  std::uint32_t round = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto end = pending_.begin() + static_cast<std::ptrdiff_t>(std::min(pending_.size(), options_.max_batch));
    batch.assign(pending_.begin(), end);
    pending_.erase(pending_.begin(), end);
    round = batch.front()->round;
    if (pending_.empty()) ++round_;
    for (auto* operation : batch) operation->state.store(Pending::kTaken, std::memory_order_release);
  }
  const auto start = Deadline::Steady::now();
  run_batch(batch);
  options_.metrics->observe("setget_sqlite_commit_seconds", std::chrono::duration<double>(Deadline::Steady::now() - start).count(), {});
  options_.metrics->observe("setget_sqlite_commit_operations", static_cast<double>(batch.size()), {});
  for (auto* operation : batch) {
    if (operation->checkpoint && !operation->failure) checkpoint_for(*operation);
  }
  const bool others = batch.size() > 1 || batch.front() != &mine;
  // From here on an operation of another thread may be gone.
  for (auto* operation : batch) operation->state.store(Pending::kDone, std::memory_order_release);
  if (others) {
    turns_[round & 1].fetch_add(1, std::memory_order_release);
    futex_wake(turns_[round & 1], std::numeric_limits<int>::max(), false);
  }
  // After the callers have their answers: nobody waits for it who need not.
  if (wal_pages_ >= static_cast<int>(options_.checkpoint_pages)) checkpoint_now();
}

void Engine::run_batch(std::span<Pending* const> batch) {
  std::optional<Error> failure;
  try {
    auto locked = sidecar_->lock(options_.busy_timeout);
    if (!locked) {
      failure = std::move(locked).error();
    } else if (!*locked) {
      failure = Error(ErrorCode::kUnavailable, "another process kept the database's write lock for too long");
    } else {
      struct Unlock {
        Sidecar& sidecar;
        ~Unlock() { sidecar.unlock(); }
      } const unlock{*sidecar_};
      if (!try_batch(batch, false)) try_batch(batch, true);
    }
  } catch (const SqlError& failed) {
    failure = failed.error();
  } catch (const std::exception& failed) {
    failure = Error(ErrorCode::kInternal, failed.what());
  }
  if (!failure) return;
  options_.metrics->add("setget_sqlite_failed_commits_total", 1, {});
  for (auto* operation : batch) operation->failure = failure;
}

// One attempt; false if an operation failed after it had written, and all must be done again with savepoints.
bool Engine::try_batch(std::span<Pending* const> batch, bool careful) {
  auto& db = *writer_;
  db.run("BEGIN IMMEDIATE");
  struct Rollback {
    Connection& db;
    Book& book;
    ~Rollback() {
      if (!db.in_transaction()) return;
      book.forget();
      sqlite3_exec(db.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
    }
  } const rollback{db, *book_};
  book_->begin(db);
  WriteTxn txn(db, *book_, now(), careful);
  const auto before = db.changes();
  try {
    for (auto* operation : batch) operation->run(txn);
  } catch (const WriteTxn::NeedsCare&) {
    return false;
  }
  book_->flush(db, txn.now());
  const bool changed = db.changes() != before;
  db.run("COMMIT");
  if (changed) commits_.fetch_add(1, std::memory_order_relaxed);
  for (std::size_t topic = 0; topic < kTopicCount; ++topic) {
    if (txn.announced_[topic]) sidecar_->announce(static_cast<Topic>(topic));
  }
  return true;
}

// --- checkpoints ----------------------------------------------------------------------------------------------------------------

// True if the whole WAL is in the file. Under the sidecar's lock: SQLite before 3.51.3 can lose commits when a checkpoint meets a WAL reset
// of another connection (sqlite.org/wal.html).
bool Engine::checkpoint_locked(int mode) {
  auto locked = sidecar_->lock(options_.busy_timeout);
  if (!locked || !*locked) return false;
  int in_log = 0;
  int done = 0;
  const int code = sqlite3_wal_checkpoint_v2(writer_->handle(), nullptr, mode, &in_log, &done);
  sidecar_->unlock();
  options_.metrics->add("setget_sqlite_checkpoints_total", 1, {});
  if (code == SQLITE_BUSY) return false;
  if (code != SQLITE_OK) throw SqlError(error_of(writer_->handle(), code, "checkpoint failed"));
  return in_log == done;
}

void Engine::checkpoint_for(Pending& operation) noexcept {
  try {
    // Truncating waits for readers; not for long, because writers of other processes wait too.
    sqlite3_busy_timeout(writer_->handle(), 200);
    operation.checkpointed = checkpoint_locked(SQLITE_CHECKPOINT_TRUNCATE);
  } catch (const SqlError& failed) {
    operation.failure = failed.error();
  }
  sqlite3_busy_timeout(writer_->handle(), static_cast<int>(options_.busy_timeout.count()));
}

void Engine::checkpoint_now() noexcept {
  const auto limit = static_cast<int>(options_.checkpoint_pages);
  try {
    // Passive waits for nobody. Where readers held it back for long, the next one insists, so that the WAL stays bounded.
    checkpoint_locked(wal_pages_ < 8 * limit ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_RESTART);
  } catch (const SqlError& failed) {
    log(LogLevel::kWarning, "a checkpoint failed; the next commit tries again", {{"error", failed.error().message()}});
  }
  wal_pages_ = 0;
}

Result<bool> Engine::checkpoint() {
  // Goes through the queue of operations, because the writer's connection belongs to whoever leads.
  struct Checkpoint final : Pending {
    void run(WriteTxn&) override {}
  } mine;
  mine.checkpoint = true;
  if (auto failed = submit(mine, Deadline::in(options_.busy_timeout))) return std::move(*failed);
  return mine.checkpointed;
}

// --- readers --------------------------------------------------------------------------------------------------------------------

Engine::ReadSlot& Engine::take_slot(ReadPool& pool, Reads reads) {
  // A thread comes back to the connection whose pages it has just used.
  static std::atomic<std::uint32_t> threads{0};
  thread_local const std::uint32_t home = threads.fetch_add(1, std::memory_order_relaxed);
  const auto count = static_cast<std::uint32_t>(options_.reader_connections);
  for (;;) {
    const auto seen = pool.returns.load(std::memory_order_acquire);
    for (std::uint32_t i = 0; i < count; ++i) {
      auto& slot = pool.slots[(home + i) % count];
      bool expected = false;
      if (slot.busy.load(std::memory_order_relaxed) || !slot.busy.compare_exchange_strong(expected, true, std::memory_order_acquire))
        continue;
      if (slot.connection == nullptr) {
        try {
          slot.connection = open_reader(reads);
          if (reads == Reads::kGets) slot.mapping.attach(slot.connection->handle());
        } catch (...) {
          give_back(pool, slot);
          throw;
        }
      }
      return slot;
    }
    pool.waiters.fetch_add(1, std::memory_order_seq_cst);
    if (pool.returns.load(std::memory_order_seq_cst) == seen) futex_wait(pool.returns, seen, std::chrono::milliseconds(100), false);
    pool.waiters.fetch_sub(1, std::memory_order_seq_cst);
  }
}

void Engine::give_back(ReadPool& pool, ReadSlot& slot) noexcept {
  slot.busy.store(false, std::memory_order_seq_cst);
  if (pool.waiters.load(std::memory_order_seq_cst) == 0) return;
  pool.returns.fetch_add(1, std::memory_order_seq_cst);
  futex_wake(pool.returns, 1, false);
}

}  // namespace setget::inline v0::sqlite
