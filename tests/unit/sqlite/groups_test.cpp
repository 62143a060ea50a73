// FIFO groups are told apart by their names: nobody's name makes another's group wait, and one that was left busy is freed again.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <setget/record.hpp>
#include <setget/sqlite.hpp>
#include <setget/testing/clock.hpp>

#include "unit/sqlite/raw_file.hpp"

namespace {

using namespace setget;
using setget::testing::SimulatedClock;
using sqlite_test::run_sql;
using sqlite_test::TemporaryFolder;

// Two names that an earlier layout took for one: their hashes are equal, and to find the second takes milliseconds.
const std::string kVictim = "\x1fvictim-00000001";
const std::string kAttacker = "\x1f\x39\x42\xea\x7b\x73\x82\x67\xa7\x4e\x92\x33\xb3\xa9\xae\x27";

std::string varint_of(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(0x80 | (value & 0x7f)));
  out.push_back(static_cast<char>(value));
  return out;
}

std::string hex_of(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    out.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return out;
}

class SqliteGroups : public ::testing::Test {
 protected:
  void SetUp() override { reopen(); }
  void reopen() {
    queue_ = Queue();
    db_.reset();
    db_.emplace(sqlite::open({.path = folder_.path(), .clock = clock_}).value());
    queue_ = db_->queue("records");
  }
  void send(const std::string& body, const std::string& group) { queue_.send({.body = body, .group = group}).value(); }
  std::vector<std::string> receive_bodies() {
    std::vector<std::string> out;
    for (const auto& message : queue_.receive().value()) out.push_back(message.body.str());
    return out;
  }
  std::size_t maintain() { return queue_.backend()->maintain({.queue = "records"}).value(); }
  // The only lease as versions before wrote it: each member's group is a hash of its name.
  void write_lease_as_before(const std::vector<Message>& messages) {
    std::string members("\x01", 1);
    members += varint_of(messages.size());
    Stamp last = 0;
    for (const auto& message : messages) {
      members += varint_of(message.stamp - last);
      last = message.stamp;
      members.push_back(2 | 16);  // stands for its group, and has one
      members += varint_of(key_hash({}, message.group) | 1);
    }
    run_sql(folder_.path(), "UPDATE lease SET members = x'" + hex_of(members) + "'");
  }

  using Bodies = std::vector<std::string>;
  TemporaryFolder folder_;
  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::optional<sqlite::Database> db_;
  Queue queue_;
};

TEST_F(SqliteGroups, whose_names_have_one_hash_do_not_block_each_other) {
  ASSERT_EQ(key_hash({}, kVictim), key_hash({}, kAttacker)) << "else nothing is shown";
  send("v1", kVictim);
  send("a1", kAttacker);
  const auto both = queue_.receive().value();
  ASSERT_EQ(both.size(), 2u);
  for (const auto& message : both) queue_.ack(message).value();
  send("v2", kVictim);
  EXPECT_EQ(receive_bodies(), Bodies{"v2"});
}

TEST_F(SqliteGroups, whose_names_have_one_hash_are_released_apart) {
  send("v1", kVictim);
  send("a1", kAttacker);
  const auto both = queue_.receive().value();
  ASSERT_EQ(both.size(), 2u);
  queue_.release(both[0]).value();
  EXPECT_TRUE(queue_.ack(both[1])) << "its own group released nothing";
  EXPECT_EQ(receive_bodies(), Bodies{"v1"});
}

TEST_F(SqliteGroups, of_a_lease_that_an_older_version_gave_are_told_apart_by_name) {
  for (const bool release : {false, true}) {
    send("v1", kVictim);
    send("a1", kAttacker);
    send("a2", kAttacker);
    const auto leased = queue_.receive().value();
    ASSERT_EQ(leased.size(), 3u);
    write_lease_as_before(leased);
    reopen();
    if (release) {
      queue_.release(leased[0]).value();
      EXPECT_EQ(receive_bodies(), Bodies{"v1"});
    } else {
      queue_.ack(leased[0]).value();
      send("v2", kVictim);
      EXPECT_EQ(receive_bodies(), Bodies{"v2"});
    }
    EXPECT_EQ(queue_.stats().value().in_flight, 3u) << "both of the other group are still leased";
    queue_.ack(leased[1]).value();
    queue_.ack(leased[2]).value();
    clock_->advance(Milliseconds(31'000));
    for (const auto& message : queue_.receive().value()) queue_.ack(message).value();
    const auto stats = queue_.stats().value();
    ASSERT_EQ(stats.depth + stats.in_flight + stats.delayed, 0u);
  }
}

// As an older version could leave it: the group counts as busy, and none of its messages will ever be finished.
TEST_F(SqliteGroups, that_nobody_holds_are_freed_by_housekeeping) {
  send("g1", "g");
  queue_.ack(queue_.receive().value().at(0)).value();
  run_sql(folder_.path(), "INSERT INTO grp(queue, name, head) VALUES(1, CAST('g' AS BLOB), 1)");
  send("g2", "g");
  EXPECT_EQ(receive_bodies(), Bodies{}) << "the group counts as busy";
  maintain();
  EXPECT_EQ(receive_bodies(), Bodies{"g2"});
}

TEST_F(SqliteGroups, that_somebody_holds_are_left_alone_by_housekeeping) {
  for (const bool old_lease : {false, true}) {
    send("a1", "a");
    send("a2", "a");
    const auto leased = queue_.receive().value();
    ASSERT_EQ(leased.size(), 2u);
    if (old_lease) write_lease_as_before(leased);
    send("a3", "a");
    maintain();
    EXPECT_EQ(receive_bodies(), Bodies{}) << "the first two are leased";
    queue_.ack(leased[0]).value();
    maintain();
    EXPECT_EQ(receive_bodies(), Bodies{}) << "the second is leased";
    queue_.release(leased[1], Milliseconds(1'000)).value();
    maintain();
    EXPECT_EQ(receive_bodies(), Bodies{}) << "the second is delayed";
    clock_->advance(Milliseconds(2'000));
    const auto rest = queue_.receive().value();
    ASSERT_EQ(rest.size(), 2u);
    EXPECT_EQ(rest[0].body.view(), "a2");
    for (const auto& message : rest) queue_.ack(message).value();
  }
}

}  // namespace
