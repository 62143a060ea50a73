#include "sqlite/engine.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

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

namespace {

// What nobody's deadline cuts short: whoever asked not to wait at all still gets his turn behind the commit that is running.
constexpr std::chrono::seconds kLeastPatience{1};
// A checkpoint that waits for readers, or for its turn: writers wait behind it.
constexpr Milliseconds kCheckpointPatience{200};
constexpr std::chrono::seconds kBetweenInsistences{5};

// How long SQLite itself waits for locks of others, while this lives.
class Patience {
 public:
  Patience(Connection& db, Milliseconds longest, Milliseconds usual) noexcept : db_(db), usual_(usual), shorter_(longest < usual) {
    if (shorter_) sqlite3_busy_timeout(db_.handle(), static_cast<int>(longest.count()));
  }
  ~Patience() {
    if (shorter_) sqlite3_busy_timeout(db_.handle(), static_cast<int>(usual_.count()));
  }
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

 private:
  Connection& db_;
  Milliseconds usual_;
  bool shorter_;
};

}  // namespace

bool Insistence::is_due(std::int64_t wal_pages) noexcept {
  if (wal_pages < 8 * usual_) succeeded();  // it began anew meanwhile
  return wal_pages >= due_at_ && Deadline::Steady::now() >= not_before_;
}

bool Insistence::failed(std::int64_t wal_pages) noexcept {
  due_at_ = wal_pages + usual_;
  not_before_ = Deadline::Steady::now() + kBetweenInsistences;
  return !std::exchange(failing_, true);
}

void Insistence::succeeded() noexcept { *this = Insistence(usual_); }

Engine::Engine(Options options) : options_(std::move(options)), insistence_(static_cast<std::int64_t>(options_.checkpoint_pages)) {
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
    mine.deadline = deadline;
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
  const auto end = std::max(deadline.time(), Deadline::Steady::now() + kLeastPatience);
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
  for (int rounds = 0;; ++rounds) {
    std::vector<Pending*> batch;
    std::uint32_t round = 0;
    {
      // One look at who waits decides and takes: whoever is out of patience may withdraw as soon as the mutex is free.
      const std::lock_guard lock(mutex_);
      const bool done = mine.state.load(std::memory_order_relaxed) == Pending::kDone;
      if (pending_.empty() || (done && rounds >= kRounds)) {
        leading_.store(false, std::memory_order_relaxed);
        offer_lead();
        return;
      }
      const auto end = pending_.begin() + static_cast<std::ptrdiff_t>(std::min(pending_.size(), options_.max_batch));
      batch.assign(pending_.begin(), end);
      pending_.erase(pending_.begin(), end);
      round = batch.front()->round;
      if (pending_.empty()) ++round_;
      for (auto* operation : batch) operation->state.store(Pending::kTaken, std::memory_order_release);
    }
    carry_out(batch, round, mine);
  }
}

void Engine::carry_out(std::vector<Pending*>& batch, std::uint32_t round, const Pending& mine) {
  const auto start = Deadline::Steady::now();
  run_batch(batch, start);
  options_.metrics->observe("setget_sqlite_commit_seconds", std::chrono::duration<double>(Deadline::Steady::now() - start).count(), {});
  options_.metrics->observe("setget_sqlite_commit_operations", static_cast<double>(batch.size()), {});
  const bool others = batch.size() > 1 || batch.front() != &mine;
  // Who waits for a checkpoint waits alone.
  const auto checkpoints = std::partition(batch.begin(), batch.end(), [](const Pending* operation) { return !operation->checkpoint; });
  // From here on an operation of another thread may be gone.
  for (auto at = batch.begin(); at != checkpoints; ++at) (*at)->state.store(Pending::kDone, std::memory_order_release);
  if (others) wake(round);
  for (auto at = checkpoints; at != batch.end(); ++at) {
    if (!(*at)->failure) checkpoint_for(**at);
    (*at)->state.store(Pending::kDone, std::memory_order_release);
    if (others) wake(round);
  }
  // After the callers have their answers: nobody waits for it who need not.
  if (wal_pages_ >= static_cast<int>(options_.checkpoint_pages)) checkpoint_now();
}

void Engine::wake(std::uint32_t round) noexcept {
  auto& turn = turns_[round & 1];
  turn.fetch_add(1, std::memory_order_release);
  futex_wake(turn, std::numeric_limits<int>::max(), false);
}

void Engine::run_batch(std::span<Pending* const> batch, Deadline::Steady::time_point start) {
  std::optional<Error> failure;
  // For the most patient of them: the others' operations are taken up, and their outcome is about to be known.
  auto end = start + kLeastPatience;
  for (const auto* operation : batch) end = std::max(end, operation->deadline.time());
  const auto longest = std::min(options_.busy_timeout, std::chrono::ceil<Milliseconds>(end - start));
  const auto too_late = [&] {
    if (longest >= options_.busy_timeout)
      return Error(ErrorCode::kUnavailable, "somebody else kept the database's write lock for too long");
    return Error(ErrorCode::kDeadlineExceeded, "somebody else kept the database's write lock beyond the deadline");
  };
  try {
    const Patience patience(*writer_, longest, options_.busy_timeout);
    auto locked = sidecar_->lock(longest);
    if (!locked) {
      failure = std::move(locked).error();
    } else if (!*locked) {
      failure = too_late();
    } else {
      struct Unlock {
        Sidecar& sidecar;
        ~Unlock() { sidecar.unlock(); }
      } const unlock{*sidecar_};
      if (!try_batch(batch, false)) try_batch(batch, true);
    }
  } catch (const SqlError& failed) {
    const bool cut = (failed.error().native_code() & 0xff) == SQLITE_BUSY && longest < options_.busy_timeout;
    failure = cut ? too_late() : failed.error();
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

// How much of the WAL is in the file now. Under the sidecar's lock: SQLite before 3.51.3 can lose commits when a checkpoint meets a WAL
// reset of another connection (sqlite.org/wal.html).
Engine::Moved Engine::checkpoint_locked(int mode, Milliseconds longest) {
  auto locked = sidecar_->lock(longest);
  if (!locked || !*locked) return Moved::kNothing;
  int in_log = 0;
  int done = 0;
  // Where it waits for readers: not for long, because writers of all processes wait behind it.
  const Patience patience(*writer_, kCheckpointPatience, options_.busy_timeout);
  const int code = sqlite3_wal_checkpoint_v2(writer_->handle(), nullptr, mode, &in_log, &done);
  sidecar_->unlock();
  options_.metrics->add("setget_sqlite_checkpoints_total", 1, {});
  if (code == SQLITE_BUSY) return Moved::kPart;
  if (code != SQLITE_OK) throw SqlError(error_of(writer_->handle(), code, "checkpoint failed"));
  return in_log == done ? Moved::kAll : Moved::kPart;
}

void Engine::checkpoint_for(Pending& operation) noexcept {
  try {
    operation.checkpointed = checkpoint_locked(SQLITE_CHECKPOINT_TRUNCATE, options_.busy_timeout) == Moved::kAll;
  } catch (const SqlError& failed) {
    operation.failure = failed.error();
  }
}

void Engine::checkpoint_now() noexcept {
  try {
    // Passive waits for nobody. Where readers that take turns held it back for long, one insists, so that the WAL stays bounded.
    const bool insists = insistence_.is_due(wal_pages_);
    const auto moved = checkpoint_locked(insists ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, kCheckpointPatience);
    if (insists && moved == Moved::kAll) insistence_.succeeded();
    if (insists && moved == Moved::kPart && insistence_.failed(wal_pages_)) {
      log(LogLevel::kWarning, "a reader keeps an old state of the database, and its write-ahead log grows until that reader ends",
          {{"wal_pages", std::to_string(wal_pages_)}});
    }
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
