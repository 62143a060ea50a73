#include "sqlite/engine.hpp"

#include <algorithm>

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
    pending_.push_back(&mine);
    leader = !leading_;
    leading_ = true;
  } catch (const std::exception& failed) {
    return Error(ErrorCode::kInternal, failed.what());
  }
  if (gathering_.load(std::memory_order_acquire)) {
    arrivals_.fetch_add(1, std::memory_order_release);
    futex_wake(arrivals_, 1, false);
  }
  if (!leader) {
    if (!wait_for_turn(mine, deadline)) return Error(ErrorCode::kDeadlineExceeded, "no turn to write before the deadline");
    leader = mine.state.load(std::memory_order_acquire) == Pending::kLead;
  }
  if (leader) lead();
  return std::move(mine.failure);
}

// False if the deadline passed while nobody had taken the operation up; then it is withdrawn. One that is being carried out is waited for:
// it lives on this thread's stack, and its outcome is about to be known.
bool Engine::wait_for_turn(Pending& mine, Deadline deadline) {
  // Whoever asked not to wait at all still gets his turn in the commit after the running one.
  const auto end = std::max(deadline.time(), Deadline::Steady::now() + std::chrono::seconds(1));
  for (;;) {
    const auto state = mine.state.load(std::memory_order_acquire);
    if (state == Pending::kDone || state == Pending::kLead) return true;
    const auto left = end - Deadline::Steady::now();
    if (left <= std::chrono::nanoseconds(0) && state == Pending::kWaiting) {
      const std::lock_guard lock(mutex_);
      const auto at = std::find(pending_.begin(), pending_.end(), &mine);
      if (at != pending_.end() && mine.state.load(std::memory_order_acquire) == Pending::kWaiting) {
        pending_.erase(at);
        return false;
      }
      continue;
    }
    futex_wait(mine.state, state, left <= std::chrono::nanoseconds(0) ? std::chrono::milliseconds(100) : left, false);
  }
}

// Called by the thread that leads: carries out what waits (its own operation among it), then passes the lead on.
void Engine::lead() {
  std::vector<Pending*> batch;
  {
    std::unique_lock lock(mutex_);
    gather(lock);
    const auto end = pending_.begin() + static_cast<std::ptrdiff_t>(std::min(pending_.size(), options_.max_batch));
    batch.assign(pending_.begin(), end);
    pending_.erase(pending_.begin(), end);
    for (auto* operation : batch) operation->state.store(Pending::kTaken, std::memory_order_release);
  }
  const auto start = Deadline::Steady::now();
  run_batch(batch);
  last_commit_ = Deadline::Steady::now() - start;
  last_batch_ = batch.size();
  options_.metrics->observe("setget_sqlite_commit_seconds", std::chrono::duration<double>(last_commit_).count(), {});
  options_.metrics->observe("setget_sqlite_commit_operations", static_cast<double>(batch.size()), {});
  for (auto* operation : batch) {
    if (operation->checkpoint && !operation->failure) checkpoint_for(*operation);
  }
  // The next leader starts while this one wakes its followers; a checkpoint comes in between, but nobody waits for it who need not.
  const bool checkpoint_due = wal_pages_ >= static_cast<int>(options_.checkpoint_pages);
  if (!checkpoint_due) pass_the_lead();
  for (auto* operation : batch) {
    auto& state = operation->state;
    state.store(Pending::kDone, std::memory_order_release);  // from here on the operation may be gone; its address is only a name
    futex_wake(state, 1, false);
  }
  if (!checkpoint_due) return;
  checkpoint_now();
  pass_the_lead();
}

void Engine::pass_the_lead() {
  const std::lock_guard lock(mutex_);
  if (pending_.empty()) {
    leading_ = false;
    return;
  }
  auto& next = pending_.front()->state;
  next.store(Pending::kLead, std::memory_order_release);
  futex_wake(next, 1, false);
}

// The callers of the last batch are likely on their way back with their next operations. A short wait for them, a fraction of what the sync
// costs, makes one commit of two half-full ones.
void Engine::gather(std::unique_lock<std::mutex>& lock) {
  const auto expected = std::min(last_batch_, options_.max_batch);
  if (expected < 2 || pending_.size() >= expected) return;
  const auto end = Deadline::Steady::now() + std::min<std::chrono::nanoseconds>(last_commit_ / 4, std::chrono::milliseconds(1));
  gathering_.store(true, std::memory_order_release);
  while (pending_.size() < expected) {
    const auto left = end - Deadline::Steady::now();
    if (left <= std::chrono::nanoseconds(0)) break;
    const auto seen = arrivals_.load(std::memory_order_acquire);
    lock.unlock();
    futex_wait(arrivals_, seen, left, false);
    lock.lock();
  }
  gathering_.store(false, std::memory_order_release);
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
