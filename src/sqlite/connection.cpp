#include <fmt/format.h>

#include "sqlite/sqlite3.hpp"

namespace setget::inline v0::sqlite {

namespace {

ErrorCode code_of(int code) noexcept {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ErrorCode::kOutOfSpace;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
    case SQLITE_PROTOCOL:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return ErrorCode::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return ErrorCode::kCorrupted;
    case SQLITE_TOOBIG:
      return ErrorCode::kTooLarge;
    case SQLITE_INTERRUPT:
      return ErrorCode::kCancelled;
    default:
      return ErrorCode::kInternal;
  }
}

}  // namespace

Error error_of(sqlite3* db, int code, std::string_view doing) {
  const int extended = db != nullptr && (sqlite3_errcode(db) & 0xff) == (code & 0xff) ? sqlite3_extended_errcode(db) : code;
  // A short read means that the file ends where a page should be: damage, not a passing fault.
  const auto kind = extended == SQLITE_IOERR_SHORT_READ ? ErrorCode::kCorrupted : code_of(code);
  const char* text = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  return Error(kind, fmt::format("{}: {}", doing, text)).from(ErrorSource::kSqlite, extended, text);
}

void Query::fail(int code) {
  auto error = error_of(sqlite3_db_handle(statement_), code, "SQLite statement failed");
  sqlite3_reset(statement_);
  throw SqlError(std::move(error));
}

bool spare_memory_statistics() noexcept {
  static const bool spared = sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) == SQLITE_OK;
  return spared;
}

std::unique_ptr<Connection> Connection::open(const std::string& path, int flags, const std::string& vfs) {
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &db, flags | SQLITE_OPEN_NOMUTEX, vfs.empty() ? nullptr : vfs.c_str());
  if (code != SQLITE_OK) {
    auto error = error_of(db, code, fmt::format("cannot open {}", path));
    sqlite3_close_v2(db);
    throw SqlError(std::move(error));
  }
  sqlite3_extended_result_codes(db, 1);
  return std::unique_ptr<Connection>(new Connection(db));
}

Connection::~Connection() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close_v2(db_);
}

sqlite3_stmt* Connection::statement(const char* sql) {
  auto& slot = statements_[sql];
  if (slot == nullptr) {
    const int code = sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &slot, nullptr);
    if (code != SQLITE_OK) {
      auto error = error_of(db_, code, fmt::format("cannot prepare \"{}\"", sql));
      statements_.erase(sql);
      throw SqlError(std::move(error));
    }
  }
  return slot;
}

void Connection::execute(const std::string& sql) {
  const int code = sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) throw SqlError(error_of(db_, code, "SQLite statement failed"));
}

std::string Connection::pragma(const std::string& sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v2(db_, sql.c_str(), -1, &raw, nullptr);
  if (code != SQLITE_OK) throw SqlError(error_of(db_, code, fmt::format("cannot prepare \"{}\"", sql)));
  const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> owner(raw, sqlite3_finalize);
  const int stepped = sqlite3_step(raw);
  if (stepped != SQLITE_ROW && stepped != SQLITE_DONE) throw SqlError(error_of(db_, stepped, fmt::format("\"{}\" failed", sql)));
  if (stepped == SQLITE_DONE) return {};
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(raw, 0));
  return text == nullptr ? std::string() : std::string(text);
}

}  // namespace setget::inline v0::sqlite
