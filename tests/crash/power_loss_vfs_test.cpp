// The power-loss VFS itself, against plain SQLite with the settings that setget uses: with all of SQLite's syncs nothing that was committed
// is lost at any cut; with any one kind of sync left out, something is. So a test over this VFS that passes means something.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "crash/temporary_folder.hpp"
#include "sqlite/sqlite3.hpp"

#include <setget/testing/clock.hpp>
#include <setget/testing/power_loss_vfs.hpp>

namespace {

using namespace setget;
using setget::testing::PowerLossVfs;
using setget::testing::SeededRandom;
using setget::testing::SyncKind;

class Connection {
 public:
  Connection(const std::string& path, const std::string& vfs) {
    if (sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs.c_str()) != SQLITE_OK) return;
    sqlite3_db_config(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    good_ = run("PRAGMA journal_mode=WAL") && run("PRAGMA synchronous=FULL") && run("PRAGMA wal_autocheckpoint=0");
  }
  ~Connection() { sqlite3_close(db_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool good() const { return good_; }
  bool run(const std::string& sql) { return sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK; }
  std::optional<std::string> text(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    std::optional<std::string> value;
    if (sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr) == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW) {
      const auto* bytes = sqlite3_column_text(statement, 0);
      value = bytes == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(bytes));
    }
    sqlite3_finalize(statement);
    return value;
  }
  std::string error() const { return sqlite3_errmsg(db_); }

 private:
  sqlite3* db_ = nullptr;
  bool good_ = false;
};

// Transaction n adds row n and rewrites rows at random places, so that its pages are spread and each row's sum shows a half-applied one.
struct Ledger {
  std::uint64_t committed = 0;  // the last one that was answered
  std::uint64_t tried = 0;      // the last one that was begun: may be there, answered or not
  std::uint64_t last = 0;       // the last one in the file

  bool commit(Connection& db, SeededRandom& random) {
    const auto n = last + 1;
    tried = n;
    std::string sql = "BEGIN IMMEDIATE; INSERT INTO entry VALUES(" + std::to_string(n) + ", " + std::to_string(n) + ", zeroblob(" +
                      std::to_string(300 + random.next() % 3000) + "));";
    for (int i = 0; i < 3; ++i) {
      sql += "UPDATE entry SET touched = " + std::to_string(n) + " WHERE n = " + std::to_string(1 + random.next() % n) + ";";
    }
    sql += "UPDATE total SET n = " + std::to_string(n) + ", touched = (SELECT total(touched) FROM entry); COMMIT";
    if (!db.run(sql)) return false;
    committed = last = n;
    return true;
  }

  // Empty: nothing was lost.
  std::string check(Connection& db) const {
    const auto integrity = db.text("PRAGMA integrity_check");
    if (integrity != "ok") return "integrity: " + integrity.value_or(db.error());
    if (committed == 0 && db.text("SELECT count(*) FROM sqlite_schema") != "2") return {};
    const auto total = db.text("SELECT n FROM total");
    if (!total) return "no total: " + db.error();
    const auto n = std::stoull(*total);
    if (n < committed || n > tried) return "total says " + *total + ", committed " + std::to_string(committed);
    if (db.text("SELECT count(*) FROM entry") != *total) return "entries missing";
    if (db.text("SELECT touched = (SELECT total(touched) FROM entry) FROM total") != "1") return "half a transaction";
    return {};
  }
};

constexpr const char* kSchema =
    "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS entry(n INTEGER PRIMARY KEY, touched INTEGER, body BLOB);"
    "CREATE TABLE IF NOT EXISTS total AS SELECT 0 AS n, 0 AS touched; COMMIT";

void live(PowerLossVfs& vfs, const std::string& path, Ledger& ledger, SeededRandom& random) {
  Connection db(path, vfs.name());
  if (!db.good()) return;
  // A process that finds a killed one's log may checkpoint before it commits anything of its own.
  if (random.next() % 2 == 0 && !db.run("PRAGMA wal_checkpoint(PASSIVE)")) return;
  if (!db.run(kSchema)) return;
  for (int commits = 0; commits < 30 && ledger.commit(db, random); ++commits) {
    if (random.next() % 6 != 0) continue;
    if (!db.run(random.next() % 4 == 0 ? "PRAGMA wal_checkpoint(TRUNCATE)" : "PRAGMA wal_checkpoint(PASSIVE)")) return;
    // The log begins anew over what it held: the moment that its header's sync is for.
    if (random.next() % 3 == 0) vfs.cut_after(random.next() % 16);
  }
}

// One file, several lives, each ended by a dead process or a power cut. Empty: nothing was lost.
std::string one_file(PowerLossVfs& vfs, const std::string& path, std::uint64_t seed) {
  SeededRandom random(seed);
  Ledger ledger;
  // Many files see little more than their making: that is a moment of its own.
  const auto lives = random.next() % 2 == 0 ? 1 : 6;
  for (int life = 0; life < lives; ++life) {
    if (random.next() % 2 == 0) {
      vfs.cut_at(static_cast<SyncKind>(random.next() % setget::testing::kSyncKinds), life == 0 ? 0 : random.next() % 4);
    } else {
      vfs.cut_after(random.next() % (life % 2 == 0 ? 30 : 300));
    }
    live(vfs, path, ledger, random);
    if (lives > 1 && random.next() % 2 == 0) {
      EXPECT_TRUE(vfs.restart());
    } else {
      EXPECT_TRUE(vfs.lose_power(random.next()));
      Connection db(path, vfs.name());
      if (auto lost = db.good() ? ledger.check(db) : "cannot be opened: " + db.error(); !lost.empty()) return lost;
    }
    Connection db(path, vfs.name());
    const auto last = db.text("SELECT n FROM total");
    ledger.last = last ? std::stoull(*last) : 0;
  }
  return {};
}

class PlainSqliteLeavingOut : public ::testing::TestWithParam<SyncKind> {};

TEST(PowerLossVfs, no_committed_transaction_is_lost_at_any_cut_with_all_syncs) {
  const crash::TemporaryFolder folder;
  auto vfs = PowerLossVfs::install().value();
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    ASSERT_EQ(one_file(*vfs, folder.path("all-" + std::to_string(seed)), seed), "") << "seed " << seed;
  }
  for (std::size_t kind = 0; kind < setget::testing::kSyncKinds; ++kind) {
    if (static_cast<SyncKind>(kind) == SyncKind::kWalRecovery) continue;  // SQLite does not make it
    EXPECT_GT(vfs->syncs(static_cast<SyncKind>(kind)), 0u) << to_string(static_cast<SyncKind>(kind));
  }
  EXPECT_GT(vfs->unsynced_writes_lost(), 1000u);
}

TEST_P(PlainSqliteLeavingOut, this_sync_loses_a_committed_transaction) {
  const crash::TemporaryFolder folder;
  auto vfs = PowerLossVfs::install().value();
  vfs->ignore(GetParam());
  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    const auto lost = one_file(*vfs, folder.path("out-" + std::to_string(seed)), seed);
    if (lost.empty()) continue;
    RecordProperty("found_by_seed", std::to_string(seed));
    RecordProperty("lost", lost);
    return;
  }
  FAIL() << "no cut showed what the sync is for";
}

INSTANTIATE_TEST_SUITE_P(PowerLossVfs, PlainSqliteLeavingOut,
                         ::testing::Values(SyncKind::kWalCommit, SyncKind::kWalHeader, SyncKind::kWalCheckpoint, SyncKind::kCheckpoint,
                                           SyncKind::kJournal, SyncKind::kCreation, SyncKind::kDirectory),
                         [](const auto& kind) { return std::string(to_string(kind.param)); });

}  // namespace
