// Pages of lists and scans end before they cost too much, and go on where they ended.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <setget/sqlite.hpp>

#include "unit/sqlite/raw_file.hpp"

namespace {

using namespace setget;
using sqlite_test::TemporaryFolder;

class SqlitePages : public ::testing::Test {
 protected:
  void SetUp() override {
    db_.emplace(sqlite::open({.path = folder_.path(), .durable = false}).value());
    store_ = db_->key_store().backend();
  }
  void fill(int count, const std::string& flow, std::size_t bytes) {
    std::vector<ApplyEntry> entries;
    for (int i = 0; i < count; ++i) {
      ApplyEntry entry;
      entry.command.id = flow + std::to_string(i);
      entry.command.account = "acme";
      entry.command.flow = flow;
      entry.command.keys = KeyList{entry.command.id};
      entry.command.payload = Payload(std::string(bytes, 'x'));
      entry.encoded = encode_command(entry.command);
      entry.stamp = ++last_;
      entry.listed = true;
      entries.push_back(std::move(entry));
    }
    for (const auto& applied : store_->apply({.entries = entries, .now = now_}).value()) ASSERT_TRUE(applied);
  }
  struct Seen {
    std::vector<std::string> ids;
    int pages = 0;
  };
  Seen list(const std::string& flow, Deadline deadline = Deadline::in(Milliseconds(30'000))) {
    Seen seen;
    std::string cursor;
    do {
      auto page =
          store_
              ->list(
                  {.ns = {}, .account = {}, .flow = flow, .owner = {}, .now = now_, .cursor = cursor, .limit = 100, .deadline = deadline})
              .value();
      for (const auto& record : page.records) seen.ids.push_back(record.id);
      ++seen.pages;
      cursor = page.next;
    } while (!cursor.empty());
    return seen;
  }

  TemporaryFolder folder_;
  std::optional<sqlite::Database> db_;
  std::shared_ptr<KeyStoreBackend> store_;
  TimePoint now_ = system_clock()->now();
  Stamp last_ = stamp_at(now_);
};

TEST_F(SqlitePages, of_a_list_end_after_so_many_rows_that_do_not_pass) {
  fill(25'000, "many", 1);
  fill(1, "few", 1);
  const auto seen = list("few");
  EXPECT_EQ(seen.ids, std::vector<std::string>{"few0"});
  EXPECT_EQ(seen.pages, 3) << "10 000 rows each";
}

TEST_F(SqlitePages, of_a_list_end_at_the_deadline) {
  fill(300, "many", 1);
  fill(1, "few", 1);
  const auto seen = list("few", Deadline::immediate());
  EXPECT_EQ(seen.ids, std::vector<std::string>{"few0"});
  EXPECT_EQ(seen.pages, 5) << "64 rows each, and the rest";
}

TEST_F(SqlitePages, of_lists_and_scans_hold_so_many_bytes) {
  fill(10, "large", 2u << 20);
  const auto seen = list("large");
  EXPECT_EQ(seen.ids.size(), 10u);
  EXPECT_EQ(seen.pages, 3) << "4 records each";
  std::size_t records = 0;
  int pages = 0;
  std::string cursor;
  do {
    const auto page = store_->scan({.cursor = cursor, .with_records = true}).value();
    EXPECT_LE(page.items.size(), 4u);
    records += page.items.size();
    ++pages;
    cursor = page.next;
  } while (!cursor.empty());
  EXPECT_EQ(records, 10u);
  EXPECT_EQ(pages, 3);
}

}  // namespace
