// Lets somebody else in right after a connection to SQLite has looked which queues there are: that is where whoever looks first and writes
// then can be overtaken. Not where the look is part of a write transaction, which keeps others out. Thread rule: one thread, one at a time.
#pragma once

#include <functional>
#include <string_view>
#include <utility>

#include "sqlite/sqlite3.hpp"

namespace setget_test {

class AfterLook {
 public:
  // Once, for connections that are opened from here on.
  explicit AfterLook(std::function<void()> then) {
    waiting() = std::move(then);
    sqlite3_auto_extension(entry());
  }
  ~AfterLook() {
    sqlite3_cancel_auto_extension(entry());
    waiting() = nullptr;
  }
  AfterLook(const AfterLook&) = delete;
  AfterLook& operator=(const AfterLook&) = delete;

  bool came() const { return !waiting(); }

 private:
  static std::function<void()>& waiting() {
    static std::function<void()> the_one;
    return the_one;
  }
  static void (*entry())() { return reinterpret_cast<void (*)()>(&watch); }
  static int watch(sqlite3* db, const char**, const sqlite3_api_routines*) {
    return sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, &ended, nullptr);
  }
  static int ended(unsigned, void*, void* what, void*) {
    auto* statement = static_cast<sqlite3_stmt*>(what);
    const std::string_view text = sqlite3_sql(statement);
    const bool looks = text.starts_with("SELECT") && text.find(" FROM queue ") != std::string_view::npos;
    if (!looks || sqlite3_txn_state(sqlite3_db_handle(statement), nullptr) == SQLITE_TXN_WRITE) return 0;
    if (const auto then = std::exchange(waiting(), nullptr)) then();
    return 0;
  }
};

}  // namespace setget_test
