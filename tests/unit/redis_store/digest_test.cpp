// What verification of a store on Redis rests on: the digest beside a record, and the window of a scan.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <tuple>

#include "core/scan_cursor.hpp"
#include "redis/scan_window.hpp"
#include "redis/store_entry.hpp"
#include "support/redis_server.hpp"

#include <setget/redis.hpp>

namespace {

using namespace setget;
using redis::FirstPlaces;
using redis::PlaceView;

TEST(ScanWindow, keeps_what_comes_first_in_order_and_each_once) {
  std::mt19937_64 random(7);
  std::set<std::tuple<std::uint64_t, std::string, std::string>> all;
  FirstPlaces window(50, 1 << 20);
  for (int i = 0; i < 2000; ++i) {
    const std::string id = "id" + std::to_string(random() % 700);
    const auto hash = std::hash<std::string>{}(id) % 300;
    all.emplace(hash, "", id);
    window.add({.hash = hash, .ns = "", .id = id});
  }
  window.finish();
  ASSERT_EQ(window.size(), 50u);
  EXPECT_TRUE(window.left_some());
  auto expected = all.begin();
  for (std::size_t i = 0; i < window.size(); ++i, ++expected) {
    EXPECT_EQ(std::tuple(window.at(i).hash, std::string(window.at(i).ns), std::string(window.at(i).id)), *expected) << i;
    EXPECT_EQ(window.behind(window.at(i)), i + 1);
  }
}

TEST(ScanWindow, is_bounded_by_bytes_too_and_holds_one_at_least) {
  FirstPlaces window(1000, 100);
  for (int i = 99; i >= 0; --i) window.add({.hash = static_cast<std::uint64_t>(i), .ns = "n", .id = std::string(30, 'x')});
  window.finish();
  EXPECT_EQ(window.size(), 4u);
  EXPECT_TRUE(window.left_some());
  EXPECT_EQ(window.at(0).hash, 0u);
  EXPECT_EQ(window.at(3).hash, 3u);
  FirstPlaces narrow(1000, 10);
  narrow.add({.hash = 5, .ns = "n", .id = std::string(300, 'x')});
  narrow.finish();
  EXPECT_EQ(narrow.size(), 1u);
  EXPECT_FALSE(narrow.left_some());
}

redis::Entry live_entry(bool with_content) {
  redis::Entry entry;
  auto& identity = entry.identity.emplace();
  identity.slot.state = IdentitySlot::State::kLive;
  identity.slot.version = identity.slot.stamp = identity.reach = 7;
  if (with_content) identity.content = Digest{.high = 0x8123456789abcdef, .low = 42};
  identity.body = Payload::copy("the body");
  return entry;
}

TEST(StoredDigest, comes_back_with_its_record_and_without_the_body) {
  const auto bytes = redis::encode_entry(live_entry(true), "id", {.token = 9, .writes = 0});
  const auto whole = redis::decode_entry(Payload::copy(bytes), "id").value();
  EXPECT_EQ(whole.identity->content, (Digest{.high = 0x8123456789abcdef, .low = 42}));
  EXPECT_EQ(whole.identity->body.view(), "the body");
  EXPECT_EQ(whole.identity->slot.digest, Digest{}) << "that is for tombstones";
  const auto head = redis::decode_identity(std::string_view(bytes).substr(0, bytes.size() - 8)).value();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->content, whole.identity->content);
  EXPECT_EQ(head->slot.version, 7u);
  EXPECT_FALSE(redis::decode_identity(std::string_view(bytes).substr(0, 14)));
}

TEST(StoredDigest, is_missing_in_entries_of_before) {
  const auto bytes = redis::encode_entry(live_entry(false), "id", {.token = 9, .writes = 0});
  EXPECT_FALSE(redis::decode_entry(Payload::copy(bytes), "id").value().identity->content);
  EXPECT_FALSE(redis::decode_identity(bytes).value()->content);
}

TEST(StoredDigest, of_records_that_have_none_is_made_of_their_bytes) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer server;
  auto store = redis::open({.uri = server.uri(), .prefix = "app"}).value().key_store();
  const auto now = system_clock()->now();
  ApplyEntry entry;
  entry.command.id = "id";
  entry.command.keys = KeyList({"id"});
  entry.command.payload = Payload::copy("plain");
  entry.encoded = encode_command(entry.command);
  entry.stamp = stamp_at(now);
  ASSERT_EQ(store.apply(entry, now).value().outcome, Outcome::kApplied);
  const auto before = store.backend()->digest({.now = now}).value();
  ASSERT_EQ(before.at(0).count, 1u);
  // As a version wrote it that did not know digests.
  std::string name = server.cli({"--scan", "--pattern", "app:{k*}:e:*"});
  while (!name.empty() && name.back() == '\n') name.pop_back();
  redis::Entry old;
  old.identity.emplace().slot.state = IdentitySlot::State::kLive;
  old.identity->slot.version = old.identity->slot.stamp = old.identity->reach = entry.stamp;
  old.identity->body = entry.encoded;
  const auto bytes = redis::encode_entry(old, "id", {.token = 3, .writes = 0});
  std::string in_lua;
  for (const char byte : bytes) {
    const auto number = std::to_string(static_cast<unsigned char>(byte));
    in_lua += "\\" + std::string(3 - number.size(), '0') + number;
  }
  server.cli({"EVAL", "return redis.call('SET', KEYS[1], '" + in_lua + "')", "1", name});
  EXPECT_EQ(store.backend()->digest({.now = now}).value(), before);
  EXPECT_EQ(store.backend()->digest({.now = now, .deep = {.of = 1}}).value(), before);
}

// Whoever compares ranges looks into those that differ, from their beginning: what the digest saw must be there.
TEST(StoredDigest, is_of_nothing_that_a_walk_behind_it_does_not_give) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer server;
  auto store = redis::open({.uri = server.uri(), .prefix = "app"}).value().key_store();
  const auto now = system_clock()->now();
  const auto put = [&](const std::string& id) {
    ApplyEntry entry;
    entry.command.id = id;
    entry.command.keys = KeyList({id});
    entry.encoded = encode_command(entry.command);
    entry.stamp = stamp_at(now);
    ASSERT_EQ(store.apply(entry, now).value().outcome, Outcome::kApplied);
  };
  const auto walked = [&] {
    std::set<std::string> ids;
    for (std::string cursor = detail::cursor_before(0); !cursor.empty();) {
      auto page = store.backend()->scan({.cursor = cursor, .limit = 7}).value();
      for (const auto& item : page.items) ids.insert(item.id);
      cursor = std::move(page.next);
    }
    return ids.size();
  };
  std::size_t count = 0;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 20; ++i) put("r" + std::to_string(count++));
    ASSERT_EQ(store.backend()->digest({.now = now}).value().at(0).count, count);
    EXPECT_EQ(walked(), count);
  }
}

}  // namespace
