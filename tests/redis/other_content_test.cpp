// What a process knows of a store may be over: others have raised the floor, or the content is gone and another process has begun a new
// epoch. Nothing that was decided on it is written. And what it may forget: each thing by its own stamp.
#include <gtest/gtest.h>

#include <stop_token>
#include <thread>

#include "redis/opened_store.hpp"
#include "support/redis_server.hpp"

#include <setget/testing/commands.hpp>

namespace redis_test {
namespace {

using namespace setget;
namespace kit = setget::testing;

const TimePoint kNow(Milliseconds(1'700'000'000'000));

RedisServer& server() {
  static RedisServer one;
  return one;
}

// Of 1 and 16 parts.
class OtherContent : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  void SetUp() override { SETGET_REQUIRE_REDIS(); }
  std::shared_ptr<KeyStoreBackend> open() const { return open_store(server().uri(), prefix_, GetParam()); }
  static Stamp stamp(Stamp number) { return stamp_at(kNow) + number; }
  static ApplyResult apply(KeyStoreBackend& store, const ApplyEntry& entry) {
    return store.apply({.entries = std::span(&entry, 1), .now = kNow}).value().at(0).value();
  }
  static ApplyEntry set(const std::string& id, Stamp number) {
    kit::SetSpec spec;
    spec.id = id;
    spec.keys = {id + ".key"};
    spec.stamp = stamp(number);
    spec.payload = "payload";
    return kit::set_entry(spec);
  }
  static bool there(KeyStoreBackend& store, const std::string& id) {
    return store.get_by_id({.ns = {}, .id = id, .now = kNow}).value().status == Lookup::Status::kFound;
  }

  const std::string& prefix() const { return prefix_; }

 private:
  const std::string prefix_ = new_prefix();
};
INSTANTIATE_TEST_SUITE_P(Parts, OtherContent, ::testing::Values(1U, 16U));

TEST_P(OtherContent, a_floor_that_another_process_raised_holds_for_all) {
  const auto mine = open();
  const auto others = open();
  for (int i = 0; i < 8; ++i) apply(*mine, set("before" + std::to_string(i), 1));  // it knows the floor of every part
  (void)others->reclaim({.now = kNow, .floor = stamp(100)}).value();
  for (int i = 0; i < 8; ++i) {
    const auto late = apply(*mine, set("late" + std::to_string(i), 50));
    EXPECT_EQ(late.outcome, Outcome::kDeadLettered);
    ASSERT_EQ(late.reasons.size(), 1u);
    EXPECT_EQ(late.reasons[0].code, "below_floor");
  }
  // Not new, so that it goes the other way; and once more, for by now it knows.
  (void)others->reclaim({.now = kNow, .floor = stamp(200)}).value();
  const auto erase = kit::erase_entry({.id = "nobody", .stamp = stamp(150), .version = {}, .expires_at = {}, .ns = {}});
  EXPECT_EQ(apply(*mine, erase).outcome, Outcome::kExpired);
  EXPECT_EQ(apply(*mine, set("early", 201)).outcome, Outcome::kApplied);
}

TEST_P(OtherContent, a_new_epoch_begins_where_the_content_is_gone_and_all_processes_are_in_it) {
  const auto mine = open();
  const auto others = open();
  apply(*mine, set("old", 1));
  EXPECT_TRUE(there(*others, "old"));
  const auto before = mine->identity().value();
  server().cli({"FLUSHALL"});
  EXPECT_EQ(apply(*others, set("theirs", 2)).outcome, Outcome::kApplied);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(apply(*mine, set("mine" + std::to_string(i), 3)).outcome, Outcome::kApplied);
  const auto after = mine->identity().value();
  EXPECT_EQ(after.uuid, before.uuid);
  EXPECT_EQ(after.epoch, before.epoch + 1);
  EXPECT_EQ(others->identity().value(), after);
  EXPECT_FALSE(there(*mine, "old"));
  EXPECT_TRUE(there(*mine, "theirs"));
  EXPECT_TRUE(there(*others, "mine7"));
}

TEST_P(OtherContent, what_is_applied_again_after_the_content_is_gone_is_said_to_be_of_the_new_epoch) {
  const auto mine = open();
  apply(*mine, set("a", 1));
  const auto before = mine->identity().value();
  server().cli({"FLUSHALL"});
  // An erase is not new: it is decided on what was read.
  const auto erase = kit::erase_entry({.id = "a", .stamp = stamp(2), .version = {}, .expires_at = {}, .ns = {}});
  EXPECT_EQ(apply(*mine, erase).outcome, Outcome::kApplied);
  EXPECT_EQ(mine->identity().value().epoch, before.epoch + 1);
}

// As a flush does, between any two commands of a process that makes the parts of a new store.
TEST_P(OtherContent, a_root_that_goes_while_a_store_is_made_does_not_come_back_in_pieces) {
  const auto place = [this] { return redis::Place::open({.uri = server().uri(), .prefix = prefix(), .shards = GetParam()}); };
  const auto others = place().value();
  const std::jthread flusher([&](const std::stop_token& stop) {
    const auto flush = redis::RedisCommand("DEL").key(prefix() + ":m").idempotent();
    while (!stop.stop_requested()) EXPECT_TRUE(others->client().call(flush, Deadline::in(Milliseconds(5'000))));
  });
  for (int round = 0; round < 300; ++round) {
    auto mine = place();
    ASSERT_TRUE(mine || mine.error().retryable()) << mine.error().describe();
    if (!mine) continue;
    const std::shared_ptr<KeyStoreBackend> store = redis::make_key_store(*std::move(mine));
    const auto identity = store->identity();
    ASSERT_TRUE(identity || identity.error().retryable()) << identity.error().describe();
  }
}

// An identity and a key of one name share an entry, and a place in the list of what can be forgotten.
TEST_P(OtherContent, an_identity_and_a_key_of_one_name_are_forgotten_each_by_its_own_stamp) {
  const auto store = open();
  const auto reclaim = [&](Stamp floor) { (void)store->reclaim({.now = kNow, .floor = stamp(floor)}).value(); };
  EXPECT_EQ(apply(*store, kit::erase_key_entry("a", stamp(100), {})).outcome, Outcome::kApplied);
  const auto erase = kit::erase_entry({.id = "a", .stamp = stamp(3), .version = {}, .expires_at = {}, .ns = {}});
  EXPECT_EQ(apply(*store, erase).outcome, Outcome::kApplied);
  reclaim(50);
  auto marked = set("b", 60);
  marked.command.keys = KeyList({"a"});
  marked.encoded = encode_command(marked.command);
  apply(*store, marked);
  EXPECT_FALSE(there(*store, "b")) << "it was accepted before the mark";
  reclaim(200);
  const auto stats = store->stats().value();
  EXPECT_EQ(stats.tombstones, 0u);
  EXPECT_EQ(stats.keys, 0u);
}

TEST_P(OtherContent, a_name_that_is_noted_again_with_a_lower_stamp_is_not_kept_for_ever) {
  const auto store = open();
  const auto reclaim = [&](Stamp floor) { (void)store->reclaim({.now = kNow, .floor = stamp(floor)}).value(); };
  apply(*store, kit::erase_key_entry("a", stamp(100), {}));
  const auto erase = kit::erase_entry({.id = "a", .stamp = stamp(3), .version = {}, .expires_at = {}, .ns = {}});
  apply(*store, erase);
  reclaim(50);
  reclaim(200);
  EXPECT_EQ(store->stats().value().tombstones, 0u);
  EXPECT_EQ(store->stats().value().keys, 0u) << "the mark";
}

}  // namespace
}  // namespace redis_test
