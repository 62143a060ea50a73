// Read connections while others write: what they see, and that a get's mapping of the file survives commits and follows its size.
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <setget/model.hpp>
#include <setget/sqlite.hpp>

#include "unit/sqlite/raw_file.hpp"

namespace {

using namespace setget;
using sqlite_test::run_sql;
using sqlite_test::TemporaryFolder;

std::string key(std::uint64_t n) { return "key/" + std::to_string(n); }
std::string body(std::uint64_t n) { return std::string(1500, static_cast<char>('a' + n % 26)) + std::to_string(n); }

void put(KeyStore store, std::uint64_t from, std::uint64_t count) {
  std::vector<ApplyEntry> entries;
  for (auto n = from; n < from + count; ++n) {
    ApplyEntry entry;
    entry.command.id = "id/" + std::to_string(n);
    entry.command.keys = KeyList{key(n)};
    entry.command.payload = body(n);
    entry.encoded = encode_command(entry.command);
    entry.stamp = n + 1;
    entries.push_back(std::move(entry));
  }
  for (auto& applied : store.backend()->apply({.entries = entries, .now = system_clock()->now()}).value()) {
    ASSERT_TRUE(applied) << applied.error().describe();
  }
}

void expect_all(KeyStore store, std::uint64_t count, std::uint64_t from = 0) {
  for (std::uint64_t n = from; n < count; ++n) {
    const auto found = store.get(key(n), system_clock()->now()).value();
    ASSERT_TRUE(found) << key(n);
    ASSERT_EQ(found->payload.view(), body(n));
  }
}

// Bytes of the file that are mapped into this process and resident; empty if it is not mapped.
std::optional<std::size_t> resident_mapping(const std::string& path) {
  std::ifstream maps("/proc/self/smaps");
  std::optional<std::size_t> bytes;
  bool ours = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.starts_with("Rss:")) {
      if (ours) bytes = bytes.value_or(0) + std::stoul(line.substr(4)) * 1024;
      ours = false;
    } else if (line.ends_with(path)) {
      ours = true;
    }
  }
  return bytes;
}

TEST(SqliteReaders, see_what_others_write_while_the_file_grows_and_shrinks) {
  const TemporaryFolder folder;
  auto writer = sqlite::open({.path = folder.path()}).value();
  auto reader = sqlite::open({.path = folder.path()}).value();
  std::uint64_t count = 0;
  for (int round = 0; round < 8; ++round, count += 300) {
    put(writer.key_store(), count, 300);
    expect_all(reader.key_store(), count + 300);  // from the WAL
    ASSERT_TRUE(writer.checkpoint().value());
    expect_all(reader.key_store(), count + 300);  // from the file, which grew
  }
  const auto full = std::filesystem::file_size(folder.path());
  // Without its older half, then smaller; the rows go by other hands, because only the file's size matters here.
  run_sql(folder.path(),
          "DELETE FROM log WHERE stamp IN (SELECT stamp FROM log ORDER BY stamp LIMIT 1200); VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
  ASSERT_LT(std::filesystem::file_size(folder.path()), full * 3 / 4);
  expect_all(reader.key_store(), count, 1200);
  put(writer.key_store(), count, 3000);
  ASSERT_TRUE(writer.checkpoint().value());
  ASSERT_GT(std::filesystem::file_size(folder.path()), full);
  expect_all(reader.key_store(), count + 3000, 1200);
}

// SQLite unmaps after each commit of another connection; kept_mapping.hpp says why that hurts.
TEST(SqliteReaders, keep_the_mapping_of_a_get_over_commits) {
  const TemporaryFolder folder;
  auto db = sqlite::open({.path = folder.path(), .reader_connections = 1}).value();
  put(db.key_store(), 0, 2000);
  ASSERT_TRUE(db.checkpoint().value());
  expect_all(db.key_store(), 2000);
  const auto before = resident_mapping(folder.path());
  ASSERT_TRUE(before);
  ASSERT_GT(*before, 2'000'000U);
  put(db.key_store(), 2000, 1);
  expect_all(db.key_store(), 2001, 2000);
  EXPECT_GE(resident_mapping(folder.path()).value_or(0), *before);
}

TEST(SqliteReaders, map_nothing_where_that_is_wanted) {
  const TemporaryFolder folder;
  auto db = sqlite::open({.path = folder.path(), .map_bytes = 0}).value();
  put(db.key_store(), 0, 500);
  ASSERT_TRUE(db.checkpoint().value());
  expect_all(db.key_store(), 500);
  EXPECT_EQ(resident_mapping(folder.path()), std::nullopt);
}

TEST(SqliteReaders, never_see_half_a_change_from_many_threads) {
  const TemporaryFolder folder;
  auto db = sqlite::open({.path = folder.path(), .reader_connections = 3, .checkpoint_pages = 50}).value();
  std::atomic<std::uint64_t> done{0};
  std::vector<std::thread> readers;
  std::atomic<bool> over{false};
  for (int t = 0; t < 4; ++t) {
    readers.emplace_back([&, t] {
      for (std::uint64_t n = static_cast<std::uint64_t>(t); !over; n += 7) {
        const auto known = done.load();
        if (known == 0) continue;
        const auto found = db.key_store().get(key(n % known), system_clock()->now()).value();
        ASSERT_TRUE(found);
        ASSERT_EQ(found->payload.view(), body(n % known));
      }
    });
  }
  for (int round = 0; round < 60; ++round) {
    put(db.key_store(), done, 50);
    done += 50;
  }
  over = true;
  for (auto& reader : readers) reader.join();
}

}  // namespace
