// Engine: one open database file. Writes go through a group commit: callers hand in operations, the first of them runs all that wait in one
// transaction with one fsync (leader and followers; no thread of its own). Reads run on pooled connections beside it.
// What a room of this folder needs: a Room (its tables), Engine::write and Engine::read. Inside both, failing SQLite calls throw SqlError;
// both turn it into an Error. Thread rule: any thread; operations never run concurrently with each other.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sqlite/kept_mapping.hpp"
#include "sqlite/sidecar.hpp"
#include "sqlite/sqlite3.hpp"

#include <setget/clock.hpp>
#include <setget/sqlite.hpp>

namespace setget::inline v0::sqlite {

// The tables of one part of the file. migrations[n] leads from version n to n + 1 (0 = nothing there); append only. Each runs once, within
// the transaction that opens the file.
struct Room {
  const char* name;
  std::span<const char* const> migrations;
};

// Of long work, such as housekeeping: other callers wait no longer than that takes.
inline constexpr std::size_t kStepsPerCommit = 256;

// When a checkpoint waits for readers: it holds up every writer of the file, so only where the WAL has grown far, and where that was in
// vain not again soon. Thread rule: belongs to the engine's leader.
class Insistence {
 public:
  explicit Insistence(std::int64_t usual_pages) noexcept : usual_(usual_pages), due_at_(8 * usual_pages) {}
  bool is_due(std::int64_t wal_pages) noexcept;
  // True for the first failure since the last success: say it once.
  bool failed(std::int64_t wal_pages) noexcept;
  void succeeded() noexcept;

 private:
  std::int64_t usual_;   // pages at which checkpoints begin
  std::int64_t due_at_;  // pages
  Deadline::Steady::time_point not_before_{};
  bool failing_ = false;
};

class Engine;
class Book;

// The transaction that an operation runs in; it may hold operations of other callers too.
class WriteTxn {
 public:
  Connection& db() noexcept { return db_; }
  // The engine's clock when the transaction began.
  TimePoint now() const noexcept { return now_; }
  // Wakes waiters of all processes once the transaction is durable.
  void announce(Topic topic) noexcept { announced_[static_cast<std::size_t>(topic)] = true; }
  // What queue and key store keep in memory during the transaction.
  Book& book() noexcept { return book_; }

  // Runs `step`, a callable that returns a Result, so that an error leaves nothing of it behind. Costs nothing where steps succeed or fail
  // before they write: only if one fails after a write is the whole transaction done again with savepoints. Damage that it meets is an
  // error of its own, and no failure of the transaction: what others have to do need not be damaged.
  template <class Step>
  auto isolated(Step&& step) -> std::invoke_result_t<Step> {
    if (!careful_) {
      const auto before = writes();
      auto result = attempt(step);
      if (!result && writes() != before) throw NeedsCare{};
      return result;
    }
    begin_savepoint();
    auto result = attempt(step);
    end_savepoint(result.has_value());
    return result;
  }

 private:
  friend class Engine;
  friend class Book;
  struct NeedsCare {};
  template <class Step>
  auto attempt(Step& step) -> std::invoke_result_t<Step> {
    try {
      return step();
    } catch (const SqlError& failed) {
      if (failed.error().code() != ErrorCode::kCorrupted || !db_.in_transaction()) throw;
      return failed.error();
    }
  }
  WriteTxn(Connection& db, Book& book, TimePoint now, bool careful) : db_(db), book_(book), now_(now), careful_(careful) {}
  std::int64_t writes() const noexcept;
  void begin_savepoint();
  void end_savepoint(bool keep);

  Connection& db_;
  Book& book_;
  TimePoint now_;
  bool careful_;
  std::array<bool, kTopicCount> announced_{};
};

// What a read connection is for. Gets come back to the same pages over and over and read them from a memory mapping; what goes over the
// file once (receiving, the change log, lists) reads by system calls, so that it does not make the whole file resident.
enum class Reads : std::uint8_t { kGets, kScans };

class Engine {
 public:
  // Opens or makes the file; see sqlite::open for the errors.
  static Result<std::shared_ptr<Engine>> open(Options options, std::span<const Room* const> rooms);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Runs `operation`(WriteTxn&) → Result<T> in a write transaction and returns once it is durable. An error that it returns undoes only
  // itself; an error of the file undoes the whole transaction and is everybody's answer. The operation may run more than once (each
  // time on a fresh transaction), so it must start from its inputs; it must not call the engine.
  template <class Operation>
  auto write(Operation&& operation, Deadline deadline = Deadline::in(Milliseconds(30'000))) -> std::invoke_result_t<Operation, WriteTxn&> {
    using Answer = std::invoke_result_t<Operation, WriteTxn&>;
    struct Mine final : Pending {
      explicit Mine(std::remove_reference_t<Operation>& op) : work(op) {}
      void run(WriteTxn& txn) override {
        answer.reset();
        answer.emplace(txn.isolated([&] { return work(txn); }));
      }
      std::remove_reference_t<Operation>& work;
      std::optional<Answer> answer;
    } mine(operation);
    if (auto failed = submit(mine, deadline)) return std::move(*failed);
    return std::move(*mine.answer);
  }

  // Runs `look`(Connection&) → Result<T> within one read transaction: all its statements see one moment.
  template <class Look>
  auto read(Look&& look) -> std::invoke_result_t<Look, Connection&> {
    return read_with(Reads::kScans, true, look);
  }
  template <class Look>
  auto read(Reads reads, Look&& look) -> std::invoke_result_t<Look, Connection&> {
    return read_with(reads, true, look);
  }
  // The same for a single statement, which is its own transaction.
  template <class Look>
  auto read_one(Look&& look) -> std::invoke_result_t<Look, Connection&> {
    return read_with(Reads::kScans, false, look);
  }
  template <class Look>
  auto read_one(Reads reads, Look&& look) -> std::invoke_result_t<Look, Connection&> {
    return read_with(reads, false, look);
  }

  // Moves the WAL into the file; false if readers kept part of it.
  Result<bool> checkpoint();

  Sidecar& sidecar() noexcept { return *sidecar_; }
  const Options& options() const noexcept { return options_; }
  TimePoint now() const noexcept { return options_.clock->now(); }
  // How long a waiter may sleep before it looks at the clock again: a clock that is not the machine's may jump at any time.
  std::chrono::nanoseconds longest_wait() const noexcept { return longest_wait_; }
  // Transactions that changed something and were committed, each with one sync of the WAL.
  std::uint64_t commits() const noexcept { return commits_.load(std::memory_order_relaxed); }
  void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) const noexcept;

 private:
  struct Pending {
    enum State : std::uint32_t { kWaiting, kTaken, kDone };
    virtual void run(WriteTxn& txn) = 0;
    std::atomic<std::uint32_t> state{kWaiting};
    std::uint32_t round = 0;
    Deadline deadline = Deadline::immediate();  // of its caller
    std::optional<Error> failure;
    bool checkpoint = false;  // and one after the transaction, with this result
    bool checkpointed = false;

   protected:
    ~Pending() = default;
  };
  struct ReadSlot {
    std::atomic<bool> busy{false};
    KeptMapping mapping{};  // outlives the connection
    std::unique_ptr<Connection> connection;
  };
  struct ReadPool {
    std::unique_ptr<ReadSlot[]> slots;
    std::atomic<std::uint32_t> returns{0};
    std::atomic<std::uint32_t> waiters{0};
  };
  // A read connection for the life of this object.
  class Lease {
   public:
    Lease(Engine& engine, ReadPool& pool, ReadSlot& slot) noexcept : engine_(engine), pool_(pool), slot_(slot) {}
    ~Lease() { engine_.give_back(pool_, slot_); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Connection& connection() noexcept { return *slot_.connection; }

   private:
    Engine& engine_;
    ReadPool& pool_;
    ReadSlot& slot_;
  };

  explicit Engine(Options options);

  // Opening (open.cpp).
  Result<void> start(std::span<const Room* const> rooms);
  void check_file_before_open();
  void check_file_after_open();
  void prepare_file(std::span<const Room* const> rooms);
  std::unique_ptr<Connection> open_writer();
  std::unique_ptr<Connection> open_reader(Reads reads);
  std::unique_ptr<Connection> open_connection(bool create);

  // Group commit (engine.cpp).
  std::optional<Error> submit(Pending& mine, Deadline deadline);
  enum class Turn : std::uint8_t { kDone, kLead, kTooLate };
  Turn wait_for_turn(Pending& mine, Deadline deadline);
  void lead(const Pending& mine);
  void carry_out(std::vector<Pending*>& batch, std::uint32_t round, const Pending& mine);
  void offer_lead();
  bool take_lead(Pending& mine);
  void run_batch(std::span<Pending* const> batch, Deadline::Steady::time_point start);
  bool try_batch(std::span<Pending* const> batch, bool careful);
  void wake(std::uint32_t round) noexcept;
  void checkpoint_for(Pending& operation) noexcept;
  void checkpoint_now() noexcept;
  enum class Moved : std::uint8_t { kAll, kPart, kNothing };  // nothing: it was not its turn within that time
  Moved checkpoint_locked(int mode, Milliseconds longest);

  ReadSlot& take_slot(ReadPool& pool, Reads reads);
  static void give_back(ReadPool& pool, ReadSlot& slot) noexcept;

  template <class Look>
  auto read_with(Reads reads, bool transaction, Look& look) -> std::invoke_result_t<Look, Connection&> {
    try {
      auto& pool = pools_[static_cast<std::size_t>(reads)];
      Lease lease(*this, pool, take_slot(pool, reads));
      auto& db = lease.connection();
      if (!transaction) return look(db);
      struct Moment {
        explicit Moment(Connection& connection) : db(connection) { db.run("BEGIN"); }
        ~Moment() {
          try {
            db.run("COMMIT");
          } catch (const SqlError&) {  // a read transaction that cannot end cleanly has nothing to lose
            sqlite3_exec(db.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
          }
        }
        Connection& db;
      } moment(db);
      return look(db);
    } catch (const SqlError& failed) {
      return failed.error();
    } catch (const std::exception& failed) {
      return Error(ErrorCode::kInternal, failed.what());
    }
  }

  Options options_;
  std::chrono::nanoseconds longest_wait_;
  std::unique_ptr<Sidecar> sidecar_;
  std::unique_ptr<Connection> writer_;
  std::unique_ptr<Book> book_;
  int wal_pages_ = 0;
  Insistence insistence_;
  std::atomic<std::uint64_t> commits_{0};

  std::mutex mutex_;
  std::atomic<bool> leading_{false};  // somebody carries operations out or is about to; changed under the mutex
  std::uint32_t round_ = 0;           // of the operations that come now
  // What the waiters of even and of odd rounds sleep on: one call wakes all whose commit is done, and nobody else.
  std::array<std::atomic<std::uint32_t>, 2> turns_{};
  std::vector<Pending*> pending_;

  std::array<ReadPool, 2> pools_;  // by Reads
};

}  // namespace setget::inline v0::sqlite
