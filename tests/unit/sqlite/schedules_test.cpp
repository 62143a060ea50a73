// Schedules and idempotency keys of a SQLite file, beyond the conformance suite.
#include <gtest/gtest.h>

#include <setget/sqlite.hpp>
#include <thread>

#include "unit/sqlite/raw_file.hpp"

namespace {

using namespace setget;
using sqlite_test::run_sql;
using sqlite_test::TemporaryFolder;

const TimePoint kNow(Milliseconds(1'700'000'000'000));

IdempotencyStore::Entry in_progress(std::uint64_t body) {
  return {.request = {.high = body, .low = ~body}, .status = 0, .response = {}, .expires_at = kNow + Milliseconds(1000)};
}

TEST(SqliteSchedules, a_state_of_a_newer_version_or_a_damaged_one_is_refused) {
  const TemporaryFolder folder;
  ASSERT_TRUE(sqlite::open({.path = folder.path()}).value().schedules()->exchange("nightly", {}, {.holder = "me"}).value());
  run_sql(folder.path(), "UPDATE schedule SET state = x'63'");
  EXPECT_EQ(sqlite::open({.path = folder.path()}).value().schedules()->load("nightly").error().code(), ErrorCode::kUnsupported);
  run_sql(folder.path(), "UPDATE schedule SET state = x'010f'");
  EXPECT_EQ(sqlite::open({.path = folder.path()}).value().schedules()->load("nightly").error().code(), ErrorCode::kCorrupted);
}

TEST(SqliteIdempotency, the_first_begins_and_the_second_sees_it_also_after_a_restart) {
  const TemporaryFolder folder;
  {
    const auto store = sqlite::open({.path = folder.path()}).value().idempotency();
    EXPECT_FALSE(store->begin("key", in_progress(1), kNow).value());
    const auto second = store->begin("key", in_progress(2), kNow).value();
    ASSERT_TRUE(second);
    EXPECT_EQ(second->status, 0);
    EXPECT_EQ(second->request, in_progress(1).request);
    auto done = in_progress(1);
    done.status = 202;
    done.response = std::string("a\0b", 3);
    store->finish("key", done).value();
  }
  const auto found = sqlite::open({.path = folder.path()}).value().idempotency()->begin("key", in_progress(1), kNow).value();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->status, 202);
  EXPECT_EQ(found->response, std::string("a\0b", 3));
  EXPECT_EQ(found->expires_at, in_progress(1).expires_at);
}

TEST(SqliteIdempotency, an_abandoned_key_begins_anew_and_a_finished_one_cannot_be_abandoned) {
  const TemporaryFolder folder;
  const auto store = sqlite::open({.path = folder.path()}).value().idempotency();
  EXPECT_FALSE(store->begin("key", in_progress(1), kNow).value());
  store->abandon("key").value();
  EXPECT_FALSE(store->begin("key", in_progress(2), kNow).value());
  auto done = in_progress(2);
  done.status = 202;
  store->finish("key", in_progress(2)).value();
  store->finish("key", done).value();
  store->abandon("key").value();
  store->finish("key", in_progress(2)).value();  // of one that is slower, and fails
  EXPECT_EQ(store->begin("key", in_progress(2), kNow).value()->status, 202);
}

TEST(SqliteIdempotency, an_expired_key_is_forgotten_and_its_row_goes) {
  const TemporaryFolder folder;
  const auto database = sqlite::open({.path = folder.path()}).value();
  const auto store = sqlite::Database(database).idempotency();
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(store->begin("old" + std::to_string(i), in_progress(1), kNow).value());
  const auto later = kNow + Milliseconds(1000);
  auto fresh = in_progress(2);
  fresh.expires_at = later + Milliseconds(1000);
  EXPECT_FALSE(store->begin("old0", fresh, later).value());
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(store->begin("new" + std::to_string(i), fresh, later).value());
  run_sql(folder.path(), "CREATE TABLE left_over AS SELECT count(*) AS n FROM idempotency; SELECT 1/(n = 21) FROM left_over");
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(folder.path().c_str(), &db), SQLITE_OK);
  sqlite3_stmt* statement = nullptr;
  ASSERT_EQ(sqlite3_prepare_v2(db, "SELECT n FROM left_over", -1, &statement, nullptr), SQLITE_OK);
  ASSERT_EQ(sqlite3_step(statement), SQLITE_ROW);
  EXPECT_EQ(sqlite3_column_int(statement, 0), 21);
  sqlite3_finalize(statement);
  sqlite3_close(db);
}

TEST(SqliteIdempotency, of_many_that_begin_at_once_one_wins) {
  const TemporaryFolder folder;
  const auto store = sqlite::open({.path = folder.path()}).value().idempotency();
  std::atomic<int> won{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&] {
        if (!store->begin("key", in_progress(1), kNow).value()) ++won;
      });
    }
  }
  EXPECT_EQ(won.load(), 1);
}

}  // namespace
