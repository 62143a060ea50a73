#include "bench/raw_sqlite.hpp"

#include <cstdio>
#include <cstdlib>

#include <sqlite3.h>

#include <setget/sqlite.hpp>

namespace bench {

RawStore::RawStore(const std::string& path, bool with_keys) {
  const setget::sqlite::Options same;
  check(sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr), "open");
  const std::string settings = "PRAGMA page_size=" + std::to_string(same.page_size) +
                               ";PRAGMA journal_mode=WAL;PRAGMA synchronous=FULL;PRAGMA secure_delete=OFF;PRAGMA cache_size=-" +
                               std::to_string(same.cache_bytes / 1024) +
                               ";PRAGMA mmap_size=1073741824;PRAGMA wal_autocheckpoint=" + std::to_string(same.checkpoint_pages) +
                               (with_keys ? ";CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB NOT NULL, key BLOB NOT NULL UNIQUE)"
                                          : ";CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB NOT NULL)");
  check(sqlite3_exec(db_, settings.c_str(), nullptr, nullptr, nullptr), "settings");
  begin_ = prepare("BEGIN IMMEDIATE");
  commit_ = prepare("COMMIT");
  by_id_ = prepare("SELECT body FROM t WHERE id=?1");
  if (with_keys) {
    insert_key_ = prepare("INSERT INTO t(key, body) VALUES(?1, ?2)");
    by_key_ = prepare("SELECT body FROM t WHERE key=?1");
  } else {
    insert_ = prepare("INSERT INTO t(id, body) VALUES(?1, ?2)");
  }
}

RawStore::~RawStore() {
  for (sqlite3_stmt* statement : {begin_, commit_, insert_, insert_key_, by_key_, by_id_}) sqlite3_finalize(statement);
  sqlite3_close_v2(db_);
}

void RawStore::check(int code, const char* what) const {
  if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW) return;
  std::fprintf(stderr, "bench: raw SQLite: %s: %s\n", what, db_ != nullptr ? sqlite3_errmsg(db_) : sqlite3_errstr(code));
  std::exit(1);
}

sqlite3_stmt* RawStore::prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  check(sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr), sql);
  return statement;
}

void RawStore::step(sqlite3_stmt* statement) {
  check(sqlite3_step(statement), "step");
  check(sqlite3_reset(statement), "reset");
}

void RawStore::begin() { step(begin_); }
void RawStore::commit() { step(commit_); }

void RawStore::insert(std::int64_t id, std::string_view body) {
  sqlite3_bind_int64(insert_, 1, id);
  sqlite3_bind_blob64(insert_, 2, body.data(), body.size(), SQLITE_STATIC);
  step(insert_);
}

void RawStore::insert_with_key(std::string_view key, std::string_view body) {
  sqlite3_bind_blob64(insert_key_, 1, key.data(), key.size(), SQLITE_STATIC);
  sqlite3_bind_blob64(insert_key_, 2, body.data(), body.size(), SQLITE_STATIC);
  step(insert_key_);
}

namespace {
bool take_row(sqlite3_stmt* statement, std::string& body) {
  const bool found = sqlite3_step(statement) == SQLITE_ROW;
  if (found) {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, 0));
    body.assign(bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement, 0)));
  }
  sqlite3_reset(statement);
  return found;
}
}  // namespace

bool RawStore::get_by_key(std::string_view key, std::string& body) {
  sqlite3_bind_blob64(by_key_, 1, key.data(), key.size(), SQLITE_STATIC);
  return take_row(by_key_, body);
}

bool RawStore::get_by_id(std::int64_t id, std::string& body) {
  sqlite3_bind_int64(by_id_, 1, id);
  return take_row(by_id_, body);
}

std::string sqlite_version() { return sqlite3_libversion(); }

void share_process_settings() { sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); }

}  // namespace bench
