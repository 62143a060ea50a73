// The sqlite backend, the default: queues, key store, archive, schedules and idempotency keys in one file. WAL, synchronous=FULL, group
// commit: concurrent callers of this process share one transaction and one fsync. Several processes may open one file. Files: PATH,
// PATH-wal, PATH-shm, and PATH-lock (cross-process lock and wake-up; empty of data, may be deleted when nobody has the file open). A new
// file is its owner's alone (mode 0600); the others get the mode that PATH has when they are made.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <setget/archive.hpp>
#include <setget/clock.hpp>
#include <setget/doctor.hpp>
#include <setget/idempotency.hpp>
#include <setget/key_store.hpp>
#include <setget/observe.hpp>
#include <setget/queue.hpp>
#include <setget/schedule_store.hpp>

namespace setget::inline v0::sqlite {

struct Options {
  std::string path{};                   // required
  bool create = true;                   // make the file when it is missing; else kNotFound
  bool durable = true;                  // synchronous=FULL; false: NORMAL, and the durability is declared as kMemory
  std::uint32_t page_size = 8192;       // of a new file: a power of two in [512, 65536]
  std::size_t cache_bytes = 64u << 20;  // page cache of the writer
  // How much of the file each connection that serves gets maps into memory; what lies beyond is read by system calls. 0: nothing, for media
  // on which a read error must not raise SIGBUS. Mapped pages are the kernel's page cache: they count as resident (RssFile) and are taken
  // back under memory pressure. SQLite's own limit is 2 GiB.
  std::size_t map_bytes = 1u << 30;
  std::size_t reader_connections = 8;   // read connections kept at most, for gets and for everything else each; > 0
  std::size_t checkpoint_pages = 4000;  // WAL length at which a checkpoint runs; > 0
  bool secure_delete = false;           // overwrite deleted bytes with zeros (slower)
  std::size_t max_batch = 4096;         // operations in one commit; > 0
  Milliseconds busy_timeout{10'000};    // for another process's transaction
  // Of the outbox for histories: states, and bytes of their payloads; > 0. At either limit commands wait for the archiver. Processes that
  // share a file should say the same.
  std::size_t outbox_states = 100'000;
  std::size_t outbox_bytes = 256u << 20;
  // Leave SQLite's own memory statistics (sqlite3_memory_used, soft heap limit) as they are. False turns them off for the whole process
  // (SQLITE_CONFIG_MEMSTATUS), because they take a process-wide lock on every allocation, which costs throughput and the tail of gets. It
  // has effect only in the first open of a process, and only if nothing in it has used SQLite before.
  bool memory_statistics = false;
  std::string vfs{};                     // empty: SQLite's default
  std::shared_ptr<const Clock> clock{};  // empty: system_clock()
  std::shared_ptr<Random> random{};      // empty: system_random()
  std::shared_ptr<Logger> logger{};
  std::shared_ptr<Metrics> metrics{};
  SETGET_API Result<void> validate() const;
};

using Finding = setget::Finding;

// An open file. The objects it hands out share ownership; the file is closed when the last one is gone.
class SETGET_API Database {
 public:
  // Opens the queue, making it with `options` when it is missing. Throws nothing: errors come from the first verb.
  Queue queue(const std::string& name = "records");
  Result<Queue> queue(const std::string& name, const QueueOptions& options);
  std::shared_ptr<QueueBackend> queues();
  KeyStore key_store();
  std::shared_ptr<ArchiveBackend> archive();
  std::shared_ptr<ScheduleStore> schedules();
  std::shared_ptr<IdempotencyStore> idempotency();
  // Everything checked: integrity, header, application id, settings. Reads the whole file.
  Result<std::vector<Finding>> doctor();
  // Moves the WAL into the file; false if readers kept part of it.
  Result<bool> checkpoint();

  struct State;
  explicit Database(std::shared_ptr<State> state) : state_(std::move(state)) {}

 private:
  std::shared_ptr<State> state_;
};

// Errors: kNotFound, kCorrupted (not a database, or damaged), kUnsupported (another application's, or a newer schema), kOutOfSpace,
// kUnavailable.
SETGET_API Result<Database> open(Options options);

}  // namespace setget::inline v0::sqlite
