#include "sqlite/archive.hpp"

#include <array>
#include <utility>

#include "sqlite/archive_codec.hpp"
#include "sqlite/archive_history.hpp"
#include "sqlite/archive_quarantine.hpp"
#include "sqlite/archive_rows.hpp"
#include "sqlite/engine.hpp"

namespace setget::inline v0::sqlite {

namespace {

constexpr std::array kMigrations{
    // 1. `gone` is the reason of a tombstone, NULL = live; `lost` are packed keys of a live document, `kept` those of a tombstone.
    "CREATE TABLE archive_doc(row INTEGER PRIMARY KEY, h INTEGER NOT NULL, ns BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, "
    "revision INTEGER NOT NULL, gone INTEGER, stamp INTEGER NOT NULL, expires_at INTEGER, ttl_rule INTEGER NOT NULL, purge_at INTEGER, "
    "account BLOB NOT NULL, flow BLOB NOT NULL, content BLOB, lost BLOB, kept BLOB);"
    "CREATE UNIQUE INDEX archive_identity ON archive_doc(h, ns, id);"
    "CREATE INDEX archive_purge ON archive_doc(purge_at) WHERE purge_at IS NOT NULL;"
    "CREATE TABLE archive_body(row INTEGER PRIMARY KEY, body BLOB NOT NULL);"
    "CREATE TABLE archive_key(h INTEGER NOT NULL, ns BLOB NOT NULL, key BLOB NOT NULL, row INTEGER NOT NULL, "
    "PRIMARY KEY(h, ns, key, row)) WITHOUT ROWID;"
    "CREATE TABLE archive_state(one INTEGER PRIMARY KEY CHECK(one = 1), records INTEGER NOT NULL, tombstones INTEGER NOT NULL, "
    "bytes INTEGER NOT NULL, checkpoint BLOB);"
    "INSERT INTO archive_state(one, records, tombstones, bytes) VALUES(1, 0, 0, 0);",
    // 2. `gone` as above, `since` and `last_at` in milliseconds.
    "CREATE TABLE archive_quarantine(h INTEGER NOT NULL, ns BLOB NOT NULL, id BLOB NOT NULL, version INTEGER NOT NULL, revision INTEGER "
    "NOT "
    "NULL, gone INTEGER, reason BLOB NOT NULL, attempts INTEGER NOT NULL, since INTEGER NOT NULL, last_at INTEGER NOT NULL, "
    "PRIMARY KEY(h, ns, id)) WITHOUT ROWID;",
    // 3.
    kArchiveHistoryTables,
};

Error no_state() { return {ErrorCode::kCorrupted, "the archive's row of totals is missing"}; }

class SqliteArchive final : public ArchiveBackend {
 public:
  explicit SqliteArchive(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}

  ArchiveCapabilities capabilities() const override {
    return {.durability = engine_->options().durable ? Durability::kDisk : Durability::kMemory,
            .read_by_key = true,
            .quarantine = true,
            .history = true};
  }

  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request) override {
    using Answer = std::vector<Result<ArchiveWrite>>;
    if (request.entries.empty()) return Answer();
    return engine_->write(
        [&](WriteTxn& txn) -> Result<Answer> {
          Answer answer;
          answer.reserve(request.entries.size());
          ArchiveDelta delta;
          for (const auto& entry : request.entries) answer.push_back(txn.isolated([&] { return put_document(txn.db(), entry, delta); }));
          add_totals(txn.db(), delta);
          return answer;
        },
        request.deadline);
  }

  Result<std::vector<Lookup>> get(const GetRecords& request) override {
    return engine_->read(Reads::kGets, [&](Connection& db) -> Result<std::vector<Lookup>> {
      std::vector<Lookup> lookups;
      lookups.reserve(request.keys.size());
      for (const auto key : request.keys) {
        auto lookup = find_by_key(db, request.ns, key, request.now);
        if (!lookup) return std::move(lookup).error();
        lookups.push_back(*std::move(lookup));
      }
      return lookups;
    });
  }

  Result<Lookup> get_by_id(const GetById& request) override {
    return engine_->read_one(Reads::kGets, [&](Connection& db) { return find_by_id(db, request.ns, request.id, request.now); });
  }

  Result<SummaryPage> scan(const ScanArchive& request) override {
    return engine_->read_one([&](Connection& db) { return scan_documents(db, request); });
  }

  Result<std::size_t> reclaim(const ReclaimArchive& request) override {
    return engine_->write([&](WriteTxn& txn) -> Result<std::size_t> {
      ArchiveDelta delta;
      auto purged = purge_documents(txn.db(), request.now, request.max_steps, delta);
      if (!purged) return purged;
      add_totals(txn.db(), delta);
      return *purged + purge_states(txn.db(), request, request.max_steps - *purged);
    });
  }

  Result<std::size_t> remove(std::span<const ArchiveId> ids) override {
    return engine_->write([&](WriteTxn& txn) -> Result<std::size_t> {
      ArchiveDelta delta;
      std::size_t removed = 0;
      for (const auto& document : ids) {
        const auto dropped = drop_document(txn.db(), document.ns, document.id, delta);
        if (!dropped) return dropped.error();
        removed += *dropped ? 1 : 0;
      }
      add_totals(txn.db(), delta);
      return removed;
    });
  }

  Result<std::string> tag(const GetById& request) override {
    return engine_->read_one(Reads::kGets,
                             [&](Connection& db) -> Result<std::string> { return tag_of_document(db, request.ns, request.id); });
  }

  Result<std::size_t> remove_tagged(const RemoveTagged& request) override {
    return engine_->write(
        [&](WriteTxn& txn) -> Result<std::size_t> {
          ArchiveDelta delta;
          std::size_t removed = 0;
          for (const auto& document : request.documents) {
            if (document.tag.empty() || tag_of_document(txn.db(), document.ns, document.id) != document.tag) continue;
            const auto dropped = drop_document(txn.db(), document.ns, document.id, delta);
            if (!dropped) return dropped.error();
            removed += *dropped ? 1 : 0;
          }
          add_totals(txn.db(), delta);
          return removed;
        },
        request.deadline);
  }

  Result<std::optional<ArchiveCheckpoint>> load_checkpoint() override {
    return engine_->read_one([](Connection& db) -> Result<std::optional<ArchiveCheckpoint>> {
      auto row = db.query("SELECT checkpoint FROM archive_state WHERE one = 1");
      if (!row.step()) return no_state();
      if (row.is_null(0)) return std::optional<ArchiveCheckpoint>();
      auto checkpoint = decode_checkpoint(row.blob(0));
      if (!checkpoint) return std::move(checkpoint).error();
      return std::optional(*std::move(checkpoint));
    });
  }

  Result<void> save_checkpoint(const ArchiveCheckpoint& checkpoint) override {
    const auto bytes = encode_checkpoint(checkpoint);
    return engine_->write([&](WriteTxn& txn) -> Result<void> {
      {
        auto row = txn.db().query("SELECT checkpoint FROM archive_state WHERE one = 1");
        if (row.step() && !row.is_null(0)) {
          const auto there = decode_checkpoint(row.blob(0));
          if (!there) return there.error();
          if (!there->yields_to(checkpoint)) return Error(ErrorCode::kLeaseLost, "another archive run has taken over");
        }
      }
      txn.db().run("UPDATE archive_state SET checkpoint = ? WHERE one = 1", bytes);
      return {};
    });
  }

  Result<ArchiveStats> stats() override {
    return engine_->read_one([](Connection& db) -> Result<ArchiveStats> {
      auto row = db.query("SELECT records, tombstones, bytes FROM archive_state WHERE one = 1");
      if (!row.step()) return no_state();
      ArchiveStats stats{.records = row.number(0), .tombstones = row.number(1), .bytes = row.number(2)};
      stats.quarantined = count_quarantine(db);
      add_state_totals(db, stats);
      return stats;
    });
  }

  Result<void> quarantine(std::span<const QuarantinedEntry> entries) override {
    return engine_->write([&](WriteTxn& txn) -> Result<void> {
      for (const auto& entry : entries) put_quarantined(txn.db(), entry);
      return {};
    });
  }
  Result<QuarantinePage> quarantined(const ListQuarantine& request) override {
    return engine_->read_one([&](Connection& db) { return list_quarantine(db, request); });
  }
  Result<std::size_t> release(std::span<const ArchiveId> ids) override {
    return engine_->write([&](WriteTxn& txn) -> Result<std::size_t> { return release_quarantined(txn.db(), ids); });
  }

  Result<std::size_t> write_history(const WriteHistory& request) override {
    if (request.states.empty() && request.of.empty()) return std::size_t{0};
    return engine_->write(
        [&](WriteTxn& txn) -> Result<std::size_t> { return txn.isolated([&] { return write_states(txn.db(), request); }); },
        request.deadline);
  }
  Result<HistoryLookup> get_history(const GetHistory& request) override {
    return engine_->read_one(Reads::kGets, [&](Connection& db) { return find_state(db, request); });
  }
  Result<SummaryPage> scan_history(const ScanHistory& request) override {
    return engine_->read_one([&](Connection& db) { return scan_states(db, request); });
  }

 private:
  std::shared_ptr<Engine> engine_;
};

}  // namespace

constinit const Room kArchiveRoom{"archive", kMigrations};

std::shared_ptr<ArchiveBackend> make_archive(std::shared_ptr<Engine> engine) { return std::make_shared<SqliteArchive>(std::move(engine)); }

}  // namespace setget::inline v0::sqlite
