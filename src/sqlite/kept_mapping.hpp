// Why: SQLite unmaps the whole database file from a read connection whenever another connection has committed, and pays for it with a
// munmap and a page fault for each page read again: milliseconds in the tail of gets, in a store that is written all the time. Its reason
// is other systems, where a file that was cut and grew again leaves a mapping that no longer shows it. On Linux a shared mapping and the
// file are the same pages, so the mapping of a file whose size is what it was may stay.
#pragma once

#include <cstdint>

#include "sqlite/sqlite3.hpp"

namespace setget::inline v0::sqlite {

// Wraps the unmap call of one open database file. Stands between SQLite and its VFS until the file is closed, so it must outlive the
// connection. Where the VFS has no memory mapping, it does nothing.
class KeptMapping {
 public:
  KeptMapping() = default;
  KeptMapping(const KeptMapping&) = delete;
  KeptMapping& operator=(const KeptMapping&) = delete;
  void attach(sqlite3* db) noexcept;

 private:
  static int unfetch(sqlite3_file* file, sqlite3_int64 offset, void* page) noexcept;

  sqlite3_io_methods methods_{};  // the first member: a file's methods are how unfetch() finds this object
  const sqlite3_io_methods* original_ = nullptr;
  sqlite3_int64 mapped_ = 0;  // size of the file when its mapping was last thought about; 0: unknown
};

}  // namespace setget::inline v0::sqlite
