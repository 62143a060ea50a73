#include "sqlite/idempotency.hpp"

#include <array>
#include <utility>

#include "sqlite/engine.hpp"

namespace setget::inline v0::sqlite {

namespace {

constexpr std::array kMigrations{
    "CREATE TABLE idempotency(key BLOB PRIMARY KEY, high INTEGER NOT NULL, low INTEGER NOT NULL, status INTEGER NOT NULL, "
    "response BLOB NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX idempotency_expiry ON idempotency(expires_at);",
};

// Each begin drops a few entries that have expired, more than it adds: so the table stays as large as what is alive.
constexpr int kSweep = 8;

std::int64_t as_column(TimePoint time) { return time.time_since_epoch().count(); }

class SqliteIdempotency final : public IdempotencyStore {
 public:
  explicit SqliteIdempotency(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}

  Result<std::optional<Entry>> begin(std::string_view key, const Entry& entry, TimePoint now) override {
    return engine_->write([&](WriteTxn& txn) -> Result<std::optional<Entry>> {
      auto& db = txn.db();
      if (auto found = load(db, key, now)) return found;
      db.run("DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)",
             as_column(now), kSweep);
      db.run("INSERT OR REPLACE INTO idempotency(key, high, low, status, response, expires_at) VALUES(?, ?, ?, ?, ?, ?)", key,
             entry.request.high, entry.request.low, entry.status, entry.response, as_column(entry.expires_at));
      return std::optional<Entry>();
    });
  }

  Result<void> finish(std::string_view key, const Entry& entry) override {
    return engine_->write([&](WriteTxn& txn) -> Result<void> {
      txn.db().run(
          "INSERT INTO idempotency(key, high, low, status, response, expires_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6) "
          "ON CONFLICT(key) DO UPDATE SET high=?2, low=?3, status=?4, response=?5, expires_at=?6 WHERE ?4 <> 0 OR status = 0",
          key, entry.request.high, entry.request.low, entry.status, entry.response, as_column(entry.expires_at));
      return {};
    });
  }

  // Only what is still in progress: a finished answer stays what it is.
  Result<void> abandon(std::string_view key) override {
    return engine_->write([&](WriteTxn& txn) -> Result<void> {
      txn.db().run("DELETE FROM idempotency WHERE key = ? AND status = 0", key);
      return {};
    });
  }

 private:
  static std::optional<Entry> load(Connection& db, std::string_view key, TimePoint now) {
    auto row = db.query("SELECT high, low, status, response, expires_at FROM idempotency WHERE key = ? AND expires_at > ?");
    row.with(key, as_column(now));
    if (!row.step()) return std::nullopt;
    return Entry{.request = {.high = row.number(0), .low = row.number(1)},
                 .status = static_cast<int>(row.integer(2)),
                 .response = row.text(3),
                 .expires_at = TimePoint(Milliseconds(row.integer(4)))};
  }

  std::shared_ptr<Engine> engine_;
};

}  // namespace

constinit const Room kIdempotencyRoom{"idempotency", kMigrations};

std::shared_ptr<IdempotencyStore> make_idempotency(std::shared_ptr<Engine> engine) {
  return std::make_shared<SqliteIdempotency>(std::move(engine));
}

}  // namespace setget::inline v0::sqlite
