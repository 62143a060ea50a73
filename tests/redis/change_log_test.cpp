// What a failover or a lost master does to the change log, done by hand to the names that hold it: each fault alone, the same each time.
#include <gtest/gtest.h>

#include <set>

#include "redis/opened_store.hpp"
#include "redis/shards.hpp"
#include "redis/trial.hpp"
#include "support/redis_server.hpp"

namespace redis_test {
namespace {

class ChangeLogFaults : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  static void SetUpTestSuite() {
    if (missing_programs().empty()) server_ = std::make_unique<RedisServer>();
  }
  static void TearDownTestSuite() { server_.reset(); }
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    prefix_ = new_prefix();
    store_ = open();
  }
  std::shared_ptr<KeyStoreBackend> open() const { return open_store(server_->uri(), prefix_, GetParam()); }
  void set(std::uint64_t from, std::uint64_t to) {
    for (auto n = from; n <= to; ++n) {
      const auto entry = kit::set_entry({.id = "r" + std::to_string(n), .keys = {"k" + std::to_string(n)}, .stamp = Messages::base() + n});
      ASSERT_EQ(store_->apply({.entries = std::span(&entry, 1), .now = Messages::now()}).value().at(0).value().outcome, Outcome::kApplied);
    }
  }
  // What is told from a position on, to the end; `position` goes on with it.
  std::set<std::string> told(KeyStoreBackend& store, Position& position, std::size_t limit = 7) {
    std::set<std::string> ids;
    for (int piece = 0; piece < 100; ++piece) {
      auto batch = store.changes({.cursor = "c", .after = position, .limit = limit}).value();
      for (const auto& change : batch.changes) ids.insert(change.id);
      position = batch.next;
      if (batch.at_end) return ids;
    }
    ADD_FAILURE() << "the log does not end";
    return ids;
  }
  static std::set<std::string> records(std::uint64_t from, std::uint64_t to) {
    std::set<std::string> ids;
    for (auto n = from; n <= to; ++n) ids.insert("r" + std::to_string(n));
    return ids;
  }
  std::string name(std::uint32_t part, const char* what) const { return redis::Shards(prefix_, GetParam(), 'k').name(part, what); }
  // As if a replica took over that lacked the last lines of each part, and their records.
  void lose_the_end(std::uint64_t from, std::uint64_t to) {
    const redis::Shards shards(prefix_, GetParam(), 'k');
    for (auto n = from; n <= to; ++n) {
      const auto id = "r" + std::to_string(n);
      const auto part = shards.of({}, id);
      server_->cli({"RPOP", shards.name(part, "l")});
      server_->cli({"DEL", shards.name(part, "e:/" + id)});
    }
  }

  // Its lines 31 to 40, and has others then. Where the reader has come to.
  Position read_a_log_that_then_loses_its_end(KeyStoreBackend& reader) {
    EXPECT_TRUE(store_->open_cursor({.name = "c"}));
    set(1, 40);
    Position position = 0;
    EXPECT_EQ(told(reader, position), records(1, 40));
    lose_the_end(31, 40);
    set(41, 60);
    return position;
  }

  static std::unique_ptr<RedisServer> server_;
  std::string prefix_;
  std::shared_ptr<KeyStoreBackend> store_;
};
std::unique_ptr<RedisServer> ChangeLogFaults::server_;
INSTANTIATE_TEST_SUITE_P(Parts, ChangeLogFaults, ::testing::Values(1, 16));

TEST_P(ChangeLogFaults, A_reader_ahead_of_its_cursor_misses_nothing_when_the_end_of_the_log_was_lost) {
  const auto reader = open();
  auto position = read_a_log_that_then_loses_its_end(*reader);
  auto again = told(*reader, position);
  const auto expected = records(41, 60);
  EXPECT_TRUE(std::ranges::includes(again, expected)) << again.size() << " told";
  EXPECT_EQ(position, 50U);
  EXPECT_TRUE(reader->commit_cursor("c", position));
}

TEST_P(ChangeLogFaults, What_was_lost_cannot_be_confirmed) {
  const auto reader = open();
  auto position = read_a_log_that_then_loses_its_end(*reader);
  const auto confirmed = reader->commit_cursor("c", position);
  ASSERT_FALSE(confirmed);
  EXPECT_TRUE(confirmed.error().retryable()) << confirmed.error().describe();
  Position anew = 0;
  auto again = told(*open(), anew);
  const auto expected = records(41, 60);
  EXPECT_TRUE(std::ranges::includes(again, expected)) << again.size() << " told";
}

// The new log has a line at that place, too.
TEST_P(ChangeLogFaults, What_was_lost_cannot_be_confirmed_either_once_reading_has_begun_again) {
  const auto reader = open();
  auto position = read_a_log_that_then_loses_its_end(*reader);
  const auto again = reader->changes({.cursor = "c", .after = position, .limit = 7}).value();
  EXPECT_LT(again.next, position);
  const auto confirmed = reader->commit_cursor("c", position);
  ASSERT_FALSE(confirmed);
  EXPECT_TRUE(confirmed.error().retryable()) << confirmed.error().describe();
  EXPECT_EQ(reader->cursors().value().at(0).position, 0u);
  EXPECT_TRUE(reader->commit_cursor("c", again.next));
  position = again.next;
  (void)told(*reader, position);
  EXPECT_EQ(position, 50u);
  EXPECT_TRUE(reader->commit_cursor("c", position));
}

TEST_P(ChangeLogFaults, A_part_that_lost_everything_is_noticed_and_its_readers_are_told) {
  ASSERT_TRUE(store_->open_cursor({.name = "c"}));
  set(1, 40);
  const auto reader = open();
  const auto watcher = open();
  Position position = 0;
  EXPECT_EQ(told(*reader, position), records(1, 40));
  ASSERT_TRUE(reader->commit_cursor("c", position));
  const auto before = watcher->identity().value();
  // As FLUSHALL on the master of the last part would do.
  for (const char* what : {"m", "l", "b", "r", "c"}) server_->cli({"DEL", name(GetParam() - 1, what)});
  const auto after = watcher->identity().value();
  EXPECT_EQ(after.uuid, before.uuid);
  EXPECT_EQ(after.epoch, before.epoch + 1);
  for (int time = 0; time < 2; ++time) {
    const auto refused = reader->changes({.cursor = "c", .after = position});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), ErrorCode::kFailedPrecondition) << refused.error().describe();
    EXPECT_EQ(refused.error().field(), "identity");
  }
  EXPECT_EQ(reader->commit_cursor("c", position + 1).error().field(), "identity");
  for (const auto& cursor : open()->cursors().value()) EXPECT_TRUE(cursor.dropped) << "it is of another content";
  ASSERT_TRUE(reader->open_cursor({.name = "c"}));
  set(41, 45);
  position = 0;
  auto again = told(*reader, position);
  const auto expected = records(41, 45);
  EXPECT_TRUE(std::ranges::includes(again, expected));
}

// By a version that did not look at the cursors while it trimmed.
TEST_P(ChangeLogFaults, A_cursor_whose_next_lines_were_trimmed_is_as_good_as_dropped) {
  ASSERT_TRUE(store_->open_cursor({.name = "c"}));
  set(1, 40);
  Position position = 0;
  EXPECT_EQ(told(*store_, position), records(1, 40));
  std::size_t gone = 0;
  for (std::uint32_t part = 0; part < GetParam(); ++part) {
    if (server_->cli({"LLEN", name(part, "l")}).starts_with('0')) continue;
    server_->cli({"LPOP", name(part, "l")});
    server_->cli({"INCR", name(part, "b")});
    ++gone;
  }
  EXPECT_EQ(store_->changes({.cursor = "c"}).error().field(), "cursor");
  EXPECT_EQ(store_->commit_cursor("c", position).error().field(), "cursor");
  ASSERT_TRUE(store_->open_cursor({.name = "c"}));
  position = 0;
  EXPECT_EQ(told(*store_, position).size(), 40 - gone);
}

TEST_P(ChangeLogFaults, A_dropped_cursor_can_be_opened_anew_from_the_oldest_line) {
  ASSERT_TRUE(store_->open_cursor({.name = "c", .max_lag = 10}));
  set(1, 8);
  Position position = 0;
  EXPECT_EQ(told(*store_, position), records(1, 8));
  ASSERT_TRUE(store_->commit_cursor("c", position));
  set(9, 30);
  EXPECT_EQ(store_->changes({.cursor = "c"}).error().field(), "cursor");
  ASSERT_TRUE(store_->open_cursor({.name = "c"}));
  position = 0;
  EXPECT_EQ(told(*store_, position), records(1, 30));
}

}  // namespace
}  // namespace redis_test
