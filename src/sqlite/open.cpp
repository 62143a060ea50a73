// Opening a database file: what may be opened, with which settings, and how its tables come to the present version.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "sqlite/book.hpp"
#include "sqlite/engine.hpp"
#include "sqlite/format.hpp"

namespace setget::inline v0::sqlite {

namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

std::int64_t size_of(const std::string& path) noexcept {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::int64_t>(info.st_size) : -1;
}

SqlError damaged(const std::string& path, std::string_view what) {
  return SqlError(Error(ErrorCode::kCorrupted, fmt::format("{} is damaged: {}", path, what))
                      .from(ErrorSource::kSqlite, SQLITE_CORRUPT, "database disk image is malformed"));
}

// A new file is its owner's alone: what is in it was sent to this store and to nobody else. SQLite would make it readable for all and give
// its companions the same mode. Where the file cannot be made SQLite says why.
void make_private(const std::string& path) noexcept {
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file >= 0) ::close(file);
}

// Before anybody sees what recovery found in the log: a process that was killed may have written a commit and not synced it, and a power
// cut must not take back what others have answered by. SQLite itself syncs the log only with the next commit.
void sync_log(Connection& writer) {
  sqlite3_file* log = nullptr;
  if (sqlite3_file_control(writer.handle(), "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK) return;
  if (log == nullptr || log->pMethods == nullptr) return;
  sqlite3_int64 bytes = 0;
  if (log->pMethods->xFileSize(log, &bytes) == SQLITE_OK && bytes == 0) return;
  const int code = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
  if (code != SQLITE_OK) throw SqlError(error_of(nullptr, code, "cannot sync the log"));
}

}  // namespace

Result<std::shared_ptr<Engine>> Engine::open(Options options, std::span<const Room* const> rooms) {
  try {
    if (auto valid = options.validate(); !valid) return std::move(valid).error();
    const bool contended = !options.memory_statistics && !spare_memory_statistics();
    std::shared_ptr<Engine> engine(new Engine(std::move(options)));
    if (contended) {
      engine->log(LogLevel::kInfo,
                  "SQLite was in use before this database was opened, so it counts memory under a process-wide lock; gets are slower", {});
    }
    if (auto started = engine->start(rooms); !started) return std::move(started).error();
    return engine;
  } catch (const SqlError& failed) {
    return failed.error();
  } catch (const std::exception& failed) {
    return Error(ErrorCode::kInternal, failed.what());
  }
}

Result<void> Engine::start(std::span<const Room* const> rooms) {
  if (options_.vfs.empty() && !options_.create && size_of(options_.path) < 0) {
    return Error(ErrorCode::kNotFound, fmt::format("there is no database {}", options_.path)).at_field("path");
  }
  auto sidecar = Sidecar::open(options_.path);
  if (!sidecar) return std::move(sidecar).error();
  sidecar_ = std::move(*sidecar);
  // Held to the end, so that of several processes one makes the tables and the others find them.
  auto locked = sidecar_->lock(options_.busy_timeout);
  if (!locked) return std::move(locked).error();
  if (!*locked) return Error(ErrorCode::kUnavailable, "another process kept the database's write lock for too long");
  struct Unlock {
    Sidecar& sidecar;
    ~Unlock() { sidecar.unlock(); }
  } const unlock{*sidecar_};

  if (options_.vfs.empty()) {
    check_file_before_open();
    if (options_.create) make_private(options_.path);
  }
  writer_ = open_writer();
  book_ = std::make_unique<Book>();
  try {
    prepare_file(rooms);
    if (options_.vfs.empty()) check_file_after_open();
  } catch (...) {
    writer_.reset();
    throw;
  }
  for (auto& pool : pools_) pool.slots = std::make_unique<ReadSlot[]>(options_.reader_connections);
  sidecar_->set_initialised(true);
  return {};
}

// SQLite would take a file that was cut to nothing for a new one.
void Engine::check_file_before_open() {
  const auto size = size_of(options_.path);
  if (size < 0) {
    sidecar_->set_initialised(false);
    return;
  }
  if (size == 0) {
    if (sidecar_->initialised() || size_of(options_.path + "-wal") > 0) throw damaged(options_.path, "it is empty and was not before");
    return;
  }
  const File file(std::fopen(options_.path.c_str(), "rbe"), std::fclose);
  if (file == nullptr) {
    const int native = errno;
    throw SqlError(Error(ErrorCode::kUnavailable, fmt::format("cannot read {}", options_.path))
                       .from(ErrorSource::kSdk, native, std::strerror(native)));
  }
  std::array<char, 16> magic{};
  if (std::fread(magic.data(), 1, magic.size(), file.get()) != magic.size() || std::memcmp(magic.data(), "SQLite format 3", 16) != 0) {
    throw SqlError(Error(ErrorCode::kCorrupted, fmt::format("{} is not a SQLite database", options_.path))
                       .from(ErrorSource::kSqlite, SQLITE_NOTADB, "file is not a database"));
  }
}

// A file that lacks pages would otherwise be noticed only when one of them is read. What the WAL still holds need not be in the file.
void Engine::check_file_after_open() {
  const auto pages = std::stoll(writer_->pragma("PRAGMA page_count"));
  const auto page_size = std::stoll(writer_->pragma("PRAGMA page_size"));
  if (size_of(options_.path) >= pages * page_size) return;
  if (size_of(options_.path + "-wal") <= 0) {
    throw damaged(options_.path, fmt::format("it has {} bytes and should have {}", size_of(options_.path), pages * page_size));
  }
  // Whether the WAL has what is missing: each page of the end must be readable. quick_check reads the tables' pages too, but not all
  // others.
  int in_log = 0;
  int done = 0;
  const auto before = size_of(options_.path);
  const int code = sqlite3_wal_checkpoint_v2(writer_->handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &in_log, &done);
  if (code != SQLITE_OK || in_log != done) return;  // others are at work on the file; they would have refused a damaged one
  if (before < (pages - in_log) * page_size || size_of(options_.path) < pages * page_size) {
    throw damaged(options_.path, fmt::format("it had {} bytes and should have {}", before, pages * page_size));
  }
}

std::unique_ptr<Connection> Engine::open_connection(bool create) {
  auto db = Connection::open(options_.path, SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0), options_.vfs);
  sqlite3_busy_timeout(db->handle(), static_cast<int>(options_.busy_timeout.count()));
  // Checkpoints only where checkpoint_locked() makes them.
  sqlite3_db_config(db->handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  // Schemas of a damaged or hostile file must not run anything.
  sqlite3_db_config(db->handle(), SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  db->execute("PRAGMA temp_store=MEMORY");
  return db;
}

std::unique_ptr<Connection> Engine::open_writer() {
  auto db = open_connection(options_.create);
  db->execute(fmt::format("PRAGMA page_size={};PRAGMA cache_size=-{}", options_.page_size, options_.cache_bytes / 1024));
  return db;
}

std::unique_ptr<Connection> Engine::open_reader(Reads reads) {
  auto db = open_connection(false);
  // SQLite empties a connection's cache after each commit of another one: more than a little would only be work to throw away.
  db->execute(
      fmt::format("PRAGMA mmap_size={};PRAGMA cache_size=-8192;PRAGMA query_only=ON", reads == Reads::kGets ? options_.map_bytes : 0));
  return db;
}

void Engine::prepare_file(std::span<const Room* const> rooms) {
  auto& db = *writer_;
  const auto application = std::stoll(db.pragma("PRAGMA application_id"));
  const auto version = std::stoll(db.pragma("PRAGMA user_version"));
  const auto tables = std::stoll(db.pragma("SELECT count(*) FROM sqlite_schema"));
  if (application != kApplicationId && (application != 0 || version != 0 || tables != 0)) {
    throw SqlError(Error(ErrorCode::kUnsupported, fmt::format("{} belongs to another application", options_.path)).at_field("path"));
  }
  const bool fresh = application == 0;
  const auto mode = db.pragma("PRAGMA journal_mode=WAL");
  if (mode != "wal")
    throw SqlError(Error(ErrorCode::kUnavailable, fmt::format("{} cannot use a WAL (journal mode {})", options_.path, mode)));
  db.execute(fmt::format("PRAGMA synchronous={};PRAGMA secure_delete={};PRAGMA wal_autocheckpoint=0;PRAGMA journal_size_limit=67108864",
                         options_.durable ? "FULL" : "NORMAL", options_.secure_delete ? "ON" : "OFF"));
  sqlite3_wal_hook(
      db.handle(),
      [](void* engine, sqlite3*, const char*, int pages) { return static_cast<Engine*>(engine)->wal_pages_ = pages, SQLITE_OK; }, this);

  if (options_.durable && !fresh) sync_log(db);

  db.run("BEGIN IMMEDIATE");
  try {
    if (fresh) {
      db.execute(fmt::format("PRAGMA application_id={};PRAGMA user_version={}", kApplicationId, kFileFormat));
      db.execute("CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID");
      std::array<std::uint64_t, 2> uuid{options_.random->next(), options_.random->next()};
      db.execute(fmt::format("INSERT INTO meta VALUES('uuid','{:016x}{:016x}'),('epoch',1),('min_reader',{}),('min_writer',{})", uuid[0],
                             uuid[1], kFileFormat, kFileFormat));
    } else {
      const auto reader = db.find_integer("SELECT value FROM meta WHERE name='min_reader'").value_or(0);
      const auto writer = db.find_integer("SELECT value FROM meta WHERE name='min_writer'").value_or(0);
      if (reader > kFileFormat || writer > kFileFormat) {
        throw SqlError(
            Error(ErrorCode::kUnsupported, fmt::format("{} needs a newer version of setget: it has format {}, this one writes {}",
                                                       options_.path, writer, kFileFormat))
                .at_field("path"));
      }
    }
    db.execute("CREATE TABLE IF NOT EXISTS room(name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID");
    for (const auto* room : rooms) migrate(db, *room);
    db.run("COMMIT");
  } catch (const SqlError& failed) {
    if (db.in_transaction()) sqlite3_exec(db.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
    // Our own statements are right for every file that we made: where one does not fit, a damaged page has lost or changed what it should
    // find.
    if (!fresh && failed.error().native_code() == SQLITE_ERROR) {
      throw damaged(options_.path, fmt::format("its tables are not those of its format ({})", failed.error().native_text()));
    }
    throw;
  } catch (...) {
    if (db.in_transaction()) sqlite3_exec(db.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
}

void migrate(Connection& db, const Room& room) {
  auto find = db.query("SELECT version FROM room WHERE name=?1");
  find.bind(1, Text{room.name});
  const std::int64_t present = find.step() ? find.integer(0) : 0;
  find.reset();
  const auto wanted = static_cast<std::int64_t>(room.migrations.size());
  if (present > wanted) {
    throw SqlError(Error(ErrorCode::kUnsupported,
                         fmt::format("the tables of {} have version {}; this version of setget knows {}", room.name, present, wanted)));
  }
  if (present == wanted) return;
  for (auto step = present; step < wanted; ++step) db.execute(room.migrations[static_cast<std::size_t>(step)]);
  auto write = db.query("REPLACE INTO room(name, version) VALUES(?1, ?2)");
  write.bind(1, Text{room.name});
  write.bind(2, wanted);
  write.step();
}

}  // namespace setget::inline v0::sqlite
