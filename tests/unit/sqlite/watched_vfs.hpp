// SQLite's own VFS with a window and a tap: tests see how often a file was synced, and can hold a sync back or let the disk run full.
// Thread rule: the members may be set from any thread.
#pragma once

#include <atomic>
#include <cstring>
#include <functional>
#include <string>

#include "sqlite/sqlite3.hpp"

namespace sqlite_test {

struct Watch {
  std::atomic<int> wal_syncs{0};
  std::atomic<bool> disk_full{false};
  std::function<void()> before_wal_sync;  // set before the database is opened
};

inline Watch& watch() {
  static Watch the_one;
  return the_one;
}

// Registers the VFS and returns its name. Files keep the base's own memory layout; only their method tables are replaced.
inline const char* watched_vfs() {
  struct Vfs {
    static const sqlite3_io_methods*& base(bool wal) {
      static const sqlite3_io_methods* tables[2] = {nullptr, nullptr};
      return tables[wal ? 1 : 0];
    }
    static int sync_wal(sqlite3_file* file, int flags) {
      if (watch().before_wal_sync) watch().before_wal_sync();
      ++watch().wal_syncs;
      return base(true)->xSync(file, flags);
    }
    static int write_wal(sqlite3_file* file, const void* bytes, int size, sqlite3_int64 at) {
      return watch().disk_full ? SQLITE_FULL : base(true)->xWrite(file, bytes, size, at);
    }
    static int open(sqlite3_vfs* self, sqlite3_filename name, sqlite3_file* file, int flags, int* out_flags) {
      auto* real = static_cast<sqlite3_vfs*>(self->pAppData);
      const int code = real->xOpen(real, name, file, flags, out_flags);
      if (code != SQLITE_OK || (flags & SQLITE_OPEN_WAL) == 0) return code;
      static sqlite3_io_methods methods;
      base(true) = file->pMethods;
      methods = *file->pMethods;
      methods.xSync = sync_wal;
      methods.xWrite = write_wal;
      file->pMethods = &methods;
      return code;
    }
  };
  static sqlite3_vfs vfs = [] {
    auto* real = sqlite3_vfs_find(nullptr);
    sqlite3_vfs copy = *real;
    copy.zName = "watched";
    copy.pAppData = real;
    copy.pNext = nullptr;
    copy.xOpen = Vfs::open;
    return copy;
  }();
  static const int registered = sqlite3_vfs_register(&vfs, 0);
  return registered == SQLITE_OK ? "watched" : "";
}

}  // namespace sqlite_test
