// Tables of an older version are brought to the present one when the file is opened, once, and content stays.
#include <gtest/gtest.h>

#include <array>

#include "sqlite/archive_codec.hpp"
#include "sqlite/engine.hpp"
#include "sqlite/schema.hpp"
#include "unit/sqlite/raw_file.hpp"

namespace {

using namespace setget;
using namespace setget::sqlite;
using sqlite_test::TemporaryFolder;

constexpr std::array<const char*, 1> kFirst{"CREATE TABLE thing(id INTEGER PRIMARY KEY, name TEXT)"};
constexpr std::array<const char*, 2> kSecond{kFirst[0], "ALTER TABLE thing ADD COLUMN size INTEGER NOT NULL DEFAULT 7"};
constexpr std::array<const char*, 2> kBroken{kFirst[0], "ALTER TABLE thing ADD COLUMN size INTEGER; ALTER TABLE nothing ADD COLUMN x"};

Result<std::shared_ptr<Engine>> open_with(const std::string& path, const Room& room) {
  const std::array<const Room*, 2> rooms{&kCoreRoom, &room};
  return Engine::open({.path = path}, rooms);
}

TEST(SqliteMigration, keeps_content_and_adds_what_is_new) {
  const TemporaryFolder folder;
  {
    auto engine = open_with(folder.path(), {.name = "test", .migrations = kFirst}).value();
    engine->write([](WriteTxn& txn) -> Result<void> { return txn.db().run("INSERT INTO thing(name) VALUES('kept')"), Result<void>(); })
        .value();
  }
  for (int again = 0; again < 2; ++again) {
    auto engine = open_with(folder.path(), {.name = "test", .migrations = kSecond}).value();
    const auto size = engine->read(
        [](Connection& db) -> Result<std::int64_t> { return db.find_integer("SELECT size FROM thing WHERE name='kept'").value_or(0); });
    EXPECT_EQ(size.value(), 7);
  }
  EXPECT_EQ(open_with(folder.path(), {.name = "test", .migrations = kFirst}).error().code(), ErrorCode::kUnsupported);
}

TEST(SqliteMigration, that_fails_leaves_the_file_as_it_was) {
  const TemporaryFolder folder;
  open_with(folder.path(), {.name = "test", .migrations = kFirst}).value();
  EXPECT_FALSE(open_with(folder.path(), {.name = "test", .migrations = kBroken}));
  EXPECT_TRUE(open_with(folder.path(), {.name = "test", .migrations = kSecond}));
}

TEST(SqliteMigration, an_operation_that_fails_after_writing_is_undone_alone) {
  const TemporaryFolder folder;
  auto engine = open_with(folder.path(), {.name = "test", .migrations = kFirst}).value();
  int runs = 0;
  const auto result = engine->write([&](WriteTxn& txn) -> Result<int> {
    ++runs;
    txn.db().run("INSERT INTO thing(name) VALUES('kept')");
    const auto inner = txn.isolated([&]() -> Result<void> {
      txn.db().run("INSERT INTO thing(name) VALUES('undone')");
      return Error(ErrorCode::kConflict, "changed its mind");
    });
    EXPECT_FALSE(inner);
    return 1;
  });
  EXPECT_TRUE(result);
  EXPECT_EQ(runs, 2);  // once in good faith, once with savepoints
  const auto rows =
      engine->read([](Connection& db) -> Result<std::int64_t> { return db.find_integer("SELECT count(*) FROM thing").value_or(0); });
  EXPECT_EQ(rows.value(), 1);
}

TEST(SqliteMigration, reads_a_checkpoint_from_before_there_were_runners) {
  ArchiveCheckpoint old;
  old.source = {.uuid = "a store", .epoch = 3};
  old.position = 77;
  old.last_success_at = TimePoint(Milliseconds(1'700'000'000'000));
  old.scan_cursor = "somewhere";
  // Behind the scan cursor format 2 has eight fields, format 3 two more, and format 4 one, of one byte each where they are empty.
  auto bytes = encode_checkpoint(old);
  bytes[0] = 3;
  bytes.resize(bytes.size() - 1);
  EXPECT_EQ(decode_checkpoint(bytes).value().cursor_at, 0u);
  bytes[0] = 2;
  bytes.resize(bytes.size() - 2);
  const auto later = decode_checkpoint(bytes);
  ASSERT_TRUE(later) << later.error().describe();
  EXPECT_EQ(later->scan_cursor, "somewhere");
  EXPECT_FALSE(later->copy_from);
  bytes[0] = 1;
  bytes.resize(bytes.size() - 8);
  const auto read = decode_checkpoint(bytes);
  ASSERT_TRUE(read) << read.error().describe();
  EXPECT_EQ(read->source, old.source);
  EXPECT_EQ(read->position, 77u);
  EXPECT_EQ(read->last_success_at, old.last_success_at);
  EXPECT_EQ(read->scan_cursor, "somewhere");
  EXPECT_EQ(read->fence, 0u);
  EXPECT_TRUE(read->history.empty());
  bytes[0] = 5;
  EXPECT_EQ(decode_checkpoint(bytes).error().code(), ErrorCode::kUnsupported);
}

}  // namespace
