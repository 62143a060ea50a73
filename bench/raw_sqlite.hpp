// The baselines: SQLite used directly, as somebody would who needs only a table. The one door to sqlite3.h in bench/. The file settings are
// those of setget::sqlite::Options, so that both sides of a ratio pay for the same durability, page size and cache.
// Thread rule: one thread per object.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace bench {

class RawStore {
 public:
  // Makes a new file with the table (id INTEGER PRIMARY KEY, key BLOB UNIQUE or absent, body BLOB). Ends the process with a message on any
  // SQLite error: a baseline that fails has no meaning.
  RawStore(const std::string& path, bool with_keys);
  ~RawStore();
  RawStore(const RawStore&) = delete;
  RawStore& operator=(const RawStore&) = delete;

  void begin();
  void commit();  // one fsync; runs a checkpoint where setget's settings would
  void insert(std::int64_t id, std::string_view body);
  void insert_with_key(std::string_view key, std::string_view body);
  // Copies the body out. A prepared, cached statement on a memory-mapped file: the read that one would tune by hand.
  bool get_by_key(std::string_view key, std::string& body);
  bool get_by_id(std::int64_t id, std::string& body);

 private:
  void check(int code, const char* what) const;
  sqlite3_stmt* prepare(const char* sql);
  void step(sqlite3_stmt* statement);

  sqlite3* db_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  sqlite3_stmt* insert_key_ = nullptr;
  sqlite3_stmt* by_key_ = nullptr;
  sqlite3_stmt* by_id_ = nullptr;
};

std::string sqlite_version();

// The one process-wide setting that opening a setget store would make (sqlite::Options::memory_statistics), made before either side runs,
// so that the raw side has it too.
void share_process_settings();

}  // namespace bench
