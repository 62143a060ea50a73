// The one door to the SQLite C library: nothing else includes <sqlite3.h>. Connection and Query own the handles. Inside this room a
// failing call throws SqlError, which keeps the statements readable; Engine::write and Engine::read are the border where it becomes
// an Error. Thread rule: a Connection and its queries belong to one thread at a time (NOMUTEX).
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>

#include <setget/error.hpp>

namespace setget::inline v0::sqlite {

// Thrown only within src/sqlite.
class SqlError : public std::exception {
 public:
  explicit SqlError(Error error) : error_(std::move(error)) {}
  const Error& error() const noexcept { return error_; }
  const char* what() const noexcept override { return error_.message().c_str(); }

 private:
  Error error_;
};

// The SDK's error for a SQLite result code, with SQLite's extended code and text. `db` may be null.
Error error_of(sqlite3* db, int code, std::string_view doing);

// Turns off the counting of SQLite's memory for the whole process: each allocation takes one lock for it, on which readers wait for busy
// writers. False, and without effect, where something in the process has used SQLite before.
bool spare_memory_statistics() noexcept;

class Connection;

// Bytes that are bound as TEXT: SQLite compares them faster than blobs where they are a table's key. Any bytes: nothing here converts them.
struct Text {
  std::string_view bytes;
};

// One use of a prepared statement: bind, step, read columns; resets the statement when it goes. Blobs are bound without a copy and must
// stay until then.
class Query {
 public:
  explicit Query(sqlite3_stmt* statement) noexcept : statement_(statement) {}
  ~Query() {
    if (statement_ != nullptr) sqlite3_reset(statement_);
  }
  Query(Query&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)) {}
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  Query& operator=(Query&&) = delete;

  void bind(int at, std::int64_t value) { check(sqlite3_bind_int64(statement_, at, value)); }
  void bind(int at, std::uint64_t value) { bind(at, static_cast<std::int64_t>(value)); }
  void bind(int at, int value) { bind(at, static_cast<std::int64_t>(value)); }
  void bind(int at, std::string_view bytes) {
    // A null pointer would bind NULL; an empty blob must stay a blob.
    check(sqlite3_bind_blob64(statement_, at, bytes.data() == nullptr ? "" : bytes.data(), bytes.size(), SQLITE_STATIC));
  }
  void bind(int at, Text text) {
    const auto bytes = text.bytes;
    check(sqlite3_bind_text64(statement_, at, bytes.data() == nullptr ? "" : bytes.data(), bytes.size(), SQLITE_STATIC, SQLITE_UTF8));
  }
  void bind(int at, std::nullptr_t) { check(sqlite3_bind_null(statement_, at)); }
  template <class T>
  void bind(int at, const std::optional<T>& value) {
    if (value) {
      bind(at, *value);
    } else {
      bind(at, nullptr);
    }
  }
  template <class... Values>
  Query& with(const Values&... values) {
    int at = 0;
    (bind(++at, values), ...);
    return *this;
  }

  // True while there is a row.
  bool step() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    fail(code);
  }
  void reset() { sqlite3_reset(statement_); }

  bool is_null(int column) const noexcept { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
  std::int64_t integer(int column) const noexcept { return sqlite3_column_int64(statement_, column); }
  std::uint64_t number(int column) const noexcept { return static_cast<std::uint64_t>(sqlite3_column_int64(statement_, column)); }
  // Valid until the next step or the end of the query.
  std::string_view blob(int column) const {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return bytes == nullptr ? std::string_view() : std::string_view(bytes, size);
  }
  std::string text(int column) const { return std::string(blob(column)); }

 private:
  void check(int code) {
    if (code != SQLITE_OK) fail(code);
  }
  [[noreturn]] void fail(int code);
  sqlite3_stmt* statement_;
};

class Connection {
 public:
  // Throws SqlError.
  static std::unique_ptr<Connection> open(const std::string& path, int flags, const std::string& vfs);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // A prepared statement, kept for the life of the connection. `sql` must be a literal: it is known by its address.
  Query query(const char* sql) { return Query(statement(sql)); }
  // Binds, steps to the end, resets.
  template <class... Values>
  void run(const char* sql, const Values&... values) {
    auto statement = query(sql);
    statement.with(values...);
    while (statement.step()) {
    }
  }
  // The first column of the first row; empty where there is no row or it is NULL.
  template <class... Values>
  std::optional<std::int64_t> find_integer(const char* sql, const Values&... values) {
    auto statement = query(sql);
    statement.with(values...);
    if (!statement.step() || statement.is_null(0)) return std::nullopt;
    return statement.integer(0);
  }
  // Statements that are not worth keeping (pragmas, schema), any number of them.
  void execute(const std::string& sql);
  std::string pragma(const std::string& sql);

  std::int64_t changes() const noexcept { return sqlite3_total_changes64(db_); }
  bool in_transaction() const noexcept { return sqlite3_get_autocommit(db_) == 0; }
  sqlite3* handle() const noexcept { return db_; }

 private:
  explicit Connection(sqlite3* db) noexcept : db_(db) {}
  sqlite3_stmt* statement(const char* sql);
  sqlite3* db_;
  std::unordered_map<const void*, sqlite3_stmt*> statements_;
};

}  // namespace setget::inline v0::sqlite
