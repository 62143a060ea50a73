#include "sqlite/doctor.hpp"

#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "sqlite/book.hpp"
#include "sqlite/cross_check.hpp"
#include "sqlite/engine.hpp"
#include "sqlite/format.hpp"

namespace setget::inline v0::sqlite {

namespace {

using Level = Finding::Level;

constexpr std::uint64_t kMiB = 1u << 20;
constexpr int kListedDamages = 20;

class Report {
 public:
  void ok(std::string what) { findings_.push_back({Level::kOk, std::move(what), {}}); }
  void note(std::string what, std::string fix) { findings_.push_back({Level::kOk, std::move(what), std::move(fix)}); }
  void warn(std::string what, std::string fix) { findings_.push_back({Level::kWarning, std::move(what), std::move(fix)}); }
  void error(std::string what, std::string fix) { findings_.push_back({Level::kError, std::move(what), std::move(fix)}); }
  std::vector<Finding> take() { return std::move(findings_); }

 private:
  std::vector<Finding> findings_;
};

constexpr const char* kRestore =
    "stop every process that has the file open, keep a copy of PATH and PATH-wal, make a new file and run 'setget archive restore', or "
    "take "
    "what is readable with 'sqlite3 PATH .recover'";

std::string mib(std::uint64_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / static_cast<double>(kMiB)); }

void check_integrity(Connection& db, Report& report) {
  auto row = db.query("PRAGMA integrity_check(20)");
  int damages = 0;
  while (row.step()) {
    if (row.blob(0) == "ok") break;
    if (++damages <= kListedDamages) report.error("integrity check: " + row.text(0), kRestore);
  }
  if (damages == 0) report.ok("integrity check: no damage");
}

void check_tables(Connection& db, Report& report) {
  const auto found = cross_check(db);
  for (const auto& problem : found.problems) report.error("tables: " + problem, kRestore);
  if (found.problem_count > found.problems.size()) {
    report.error(fmt::format("tables: {} more such problems", found.problem_count - found.problems.size()), kRestore);
  }
  if (found.problem_count == 0) report.ok(fmt::format("tables: {} records, {} messages, each found", found.records, found.messages));
}

void check_header(Connection& db, Report& report) {
  const auto application = std::stoll(db.pragma("PRAGMA application_id"));
  if (application == kApplicationId) {
    report.ok("application id: setget");
  } else {
    report.error(fmt::format("application id: {:#x} is not setget's", application),
                 "another program has written to this file; open the right one");
  }
  const auto writer = db.find_integer("SELECT value FROM meta WHERE name='min_writer'").value_or(0);
  report.ok(fmt::format("format: {}, this version writes {}", writer, kFileFormat));
  const auto mode = db.pragma("PRAGMA journal_mode");
  if (mode == "wal") {
    report.ok("journal mode: wal");
  } else {
    report.error("journal mode: " + mode, "another program changed it: close it everywhere and open the file with setget, which sets wal");
  }
}

void check_free_pages(Connection& db, Report& report) {
  const auto pages = std::stoull(db.pragma("PRAGMA page_count"));
  const auto free = std::stoull(db.pragma("PRAGMA freelist_count"));
  const auto size = std::stoull(db.pragma("PRAGMA page_size"));
  const auto text = fmt::format("free pages within the file: {} of {} ({})", free, pages, mib(free * size));
  if (free * 2 > pages && free * size > 64 * kMiB) {
    report.note(text, "they are used again; to give them back to the disk, stop all processes and run 'sqlite3 PATH VACUUM'");
  } else {
    report.ok(text);
  }
}

void check_archive_totals(Connection& db, Report& report) {
  auto row = db.query("SELECT count(*) FILTER (WHERE gone IS NULL), count(*) FILTER (WHERE gone IS NOT NULL) FROM archive_doc");
  auto kept = db.query("SELECT records, tombstones FROM archive_state WHERE one = 1");
  const bool there = row.step() && kept.step();
  const auto bodies = db.find_integer("SELECT count(*) FROM archive_body");
  if (there && row.integer(0) == kept.integer(0) && row.integer(1) == kept.integer(1) && bodies == row.integer(0)) {
    report.ok(fmt::format("archive: {} records, {} tombstones", row.integer(0), row.integer(1)));
  } else {
    report.error("archive: its totals do not match its rows", "run 'setget archive verify --repair' against the store that it is of");
  }
}

void check_clock(Connection& db, TimePoint now, Report& report) {
  const auto last = time_of(read_meta(db).last_stamp);
  if (now + Milliseconds(1000) >= last) {
    report.ok("clock: not behind the last stamp");
    return;
  }
  report.warn(fmt::format("clock: {} ms behind the last stamp", (last - now).count()),
              "set the machine's clock (NTP); until it has caught up stamps still rise, but records live longer than their TTL says");
}

void check_settings(Connection& writer, const Options& options, Report& report) {
  const auto synchronous = std::stoi(writer.pragma("PRAGMA synchronous"));
  if (synchronous >= 2) {
    report.ok("synchronous: full");
  } else {
    report.warn("synchronous: a power loss can take back what was acknowledged", "open with durable = true");
  }
  if (std::stoi(writer.pragma("PRAGMA secure_delete")) == 1) {
    report.ok("secure_delete: on");
  } else {
    report.note("secure_delete: off, deleted payloads stay readable in free pages until they are used again",
                "open with secure_delete = true where that matters; it costs speed");
  }
  report.ok(fmt::format("SQLite {}; checkpoints run at {} pages, never beside a write", sqlite3_libversion(), options.checkpoint_pages));
}

void check_lock_file(const std::string& path, Report& report) {
  struct stat database {};
  struct stat lock {};
  const auto name = path + "-lock";
  if (::stat(path.c_str(), &database) != 0 || ::stat(name.c_str(), &lock) != 0) {
    report.error(fmt::format("lock file: cannot be examined ({})", std::strerror(errno)),
                 "it was deleted while the database was open: restart every process that uses the file, or they write at the same time");
    return;
  }
  constexpr mode_t kWriters = S_IWGRP | S_IWOTH;
  const auto wider = (lock.st_mode & kWriters) & ~(database.st_mode & kWriters);
  const auto narrower = (database.st_mode & kWriters) & ~(lock.st_mode & kWriters);
  if (wider != 0) {
    report.warn("lock file: more users may write it than the database, and can block every writer",
                fmt::format("chmod --reference='{}' '{}'", path, name));
  } else if (narrower != 0 || lock.st_uid != database.st_uid) {
    report.warn("lock file: users who may write the database may not be able to lock it",
                fmt::format("chown --reference='{0}' '{1}' && chmod --reference='{0}' '{1}'", path, name));
  } else {
    report.ok("lock file: as accessible as the database");
  }
  if ((database.st_mode & S_IWOTH) != 0) {
    report.warn("permissions: every user may write the database", fmt::format("chmod o-w '{}'", path));
  } else if ((database.st_mode & S_IROTH) != 0) {
    report.warn("permissions: every user may read the database", fmt::format("chmod o-rwx '{0}' '{0}-wal' '{0}-shm'", path));
  } else if ((database.st_mode & (S_IRGRP | S_IWGRP)) != 0) {
    report.warn("permissions: its group may read the database",
                fmt::format("leave it so if the group is meant to; else chmod g-rwx '{0}' '{0}-wal' '{0}-shm' '{0}-lock'", path));
  } else {
    report.ok("permissions: the owner's alone");
  }
}

void check_log(const std::string& path, const Options& options, Report& report) {
  struct stat log {};
  const auto bytes = ::stat((path + "-wal").c_str(), &log) == 0 ? static_cast<std::uint64_t>(log.st_size) : 0;
  const auto usual = std::uint64_t{options.checkpoint_pages} * options.page_size;
  if (bytes > 8 * usual + 64 * kMiB) {
    report.warn("write-ahead log: " + mib(bytes) + ", much more than a checkpoint leaves",
                "a reader keeps an old state (a long scan, a debugger, a backup) or checkpoints fail: end it, then call checkpoint()");
  } else {
    report.ok("write-ahead log: " + mib(bytes));
  }
}

void check_disk(const std::string& path, Report& report) {
  struct statfs disk {};
  if (::statfs(path.c_str(), &disk) != 0) {
    report.warn(fmt::format("disk: cannot be examined ({})", std::strerror(errno)), "check that the folder is readable");
    return;
  }
  const auto free = static_cast<std::uint64_t>(disk.f_bavail) * static_cast<std::uint64_t>(disk.f_bsize);
  constexpr const char* kMakeRoom = "make room, lower TTLs, or move the file: when the disk is full every set is refused";
  if (free < 16 * kMiB) {
    report.error("disk: only " + mib(free) + " free", kMakeRoom);
  } else if (free < 256 * kMiB) {
    report.warn("disk: only " + mib(free) + " free", kMakeRoom);
  } else {
    report.ok("disk: " + mib(free) + " free");
  }
  switch (static_cast<std::uint64_t>(disk.f_type) & 0xffffffffu) {
    case NFS_SUPER_MAGIC:
    case SMB_SUPER_MAGIC:
    case 0xff534d42u:  // cifs
    case 0xfe534d42u:  // smb2
      report.error("file system: over the network, where a write-ahead log cannot be shared and locks may not hold",
                   "move the file to a local disk");
      break;
    case TMPFS_MAGIC:
      report.warn("file system: in memory, gone with the next restart of the machine", "move the file to a disk");
      break;
    default:
      report.ok("file system: local");
  }
}

}  // namespace

Result<std::vector<Finding>> examine(Engine& engine) {
  Report report;
  const auto& options = engine.options();
  // Each in a transaction of its own: while one lasts, the write-ahead log grows.
  const auto look = [&](auto&& check) { return engine.read([&](Connection& db) -> Result<void> { return check(db), Result<void>(); }); };
  auto looked = look([&](Connection& db) { check_integrity(db, report); });
  if (looked) looked = look([&](Connection& db) { check_tables(db, report); });
  if (looked) {
    looked = look([&](Connection& db) {
      check_header(db, report);
      check_free_pages(db, report);
      check_archive_totals(db, report);
      check_clock(db, engine.now(), report);
    });
  }
  if (!looked) {
    if (looked.error().code() != ErrorCode::kCorrupted) return std::move(looked).error();
    report.error("the file cannot be read to its end: " + looked.error().message(), kRestore);
  }
  // Settings are the writing connection's, so they are asked where it works.
  auto asked = engine.write([&](WriteTxn& txn) -> Result<void> {
    check_settings(txn.db(), options, report);
    return {};
  });
  if (!asked) report.error("no write transaction can be made: " + asked.error().message(), "see the other findings");
  check_lock_file(options.path, report);
  check_log(options.path, options, report);
  check_disk(options.path, report);
  return report.take();
}

}  // namespace setget::inline v0::sqlite
