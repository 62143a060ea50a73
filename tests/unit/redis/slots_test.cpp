#include "redis/slots.hpp"

#include <gtest/gtest.h>

namespace {

using namespace setget;
using namespace setget::redis;

TEST(RedisSlots, are_those_of_the_cluster_specification) {
  EXPECT_EQ(crc16("123456789"), 0x31C3);
  EXPECT_EQ(crc16(""), 0);
  EXPECT_EQ(key_slot("foo"), 12182U);
  EXPECT_EQ(key_slot("bar"), 5061U);
  EXPECT_EQ(key_slot("somekey"), 11058U);
}

TEST(RedisSlots, count_only_the_first_hash_tag_that_is_not_empty) {
  EXPECT_EQ(key_slot("{user1000}.following"), key_slot("{user1000}.followers"));
  EXPECT_EQ(key_slot("{user1000}.following"), key_slot("user1000"));
  EXPECT_EQ(key_slot("foo{}{bar}"), crc16("foo{}{bar}") % kSlots);
  EXPECT_EQ(key_slot("foo{{bar}}zap"), key_slot("{bar"));
  EXPECT_EQ(key_slot("foo{bar}{zap}"), key_slot("bar"));
  EXPECT_EQ(key_slot("foo{bar"), crc16("foo{bar") % kSlots);
  EXPECT_EQ(key_slot(std::string_view("a{\0}b", 5)), crc16(std::string_view("\0", 1)) % kSlots);
}

Reply text(std::string bytes) { return Reply::of(ReplyKind::kString, std::move(bytes)); }
Reply number(std::int64_t value) { return Reply::of(ReplyKind::kInteger, value); }
Reply list(std::vector<Reply> elements) { return Reply::of(ReplyKind::kArray, std::move(elements)); }
Reply node(std::string host, std::int64_t port) { return list({text(std::move(host)), number(port), text("id")}); }

const Endpoint kAsked{.host = "10.0.0.9", .port = 1};

TEST(RedisSlots, map_comes_from_cluster_slots) {
  const auto map = SlotMap::from_slots(list({list({number(0), number(99), node("10.0.0.1", 7000), node("10.0.0.2", 7001)}),
                                             list({number(200), number(16383), node("", 7002)})}),
                                       kAsked)
                       .value();
  EXPECT_EQ(map.masters().size(), 2U);
  EXPECT_EQ(map.master_of(99)->text(), "10.0.0.1:7000");
  EXPECT_EQ(map.master_of(100), nullptr);
  EXPECT_EQ(map.master_of(16383)->text(), "10.0.0.9:7002");
  EXPECT_EQ(map.covered(), kSlots - 100);
}

TEST(RedisSlots, map_comes_from_cluster_shards) {
  const auto member = [](const char* role, const char* health, std::int64_t port) {
    return list({text("id"), text("x"), text("port"), number(port), text("tls-port"), number(port + 1), text("endpoint"), text("h"),
                 text("role"), text(role), text("health"), text(health)});
  };
  const auto shard = [](std::vector<Reply> slots, std::vector<Reply> nodes) {
    return list({text("slots"), list(std::move(slots)), text("nodes"), list(std::move(nodes))});
  };
  const auto reply =
      list({shard({number(0), number(9), number(20), number(29)}, {member("replica", "online", 1), member("master", "online", 3)}),
            shard({number(10), number(19)}, {member("master", "failed", 5)}), shard({}, {member("master", "online", 7)})});
  const auto map = SlotMap::from_shards(reply, kAsked, false).value();
  EXPECT_EQ(map.master_of(25)->port, 3);
  EXPECT_EQ(map.master_of(15), nullptr);
  EXPECT_EQ(map.covered(), 20U);
  EXPECT_EQ(SlotMap::from_shards(reply, kAsked, true).value().master_of(0)->port, 4);
}

TEST(RedisSlots, map_refuses_what_is_none) {
  for (const auto& bad : {number(1), list({number(1)}), list({list({number(5), number(1), node("h", 1)})}),
                          list({list({number(0), number(16384), node("h", 1)})}), list({list({number(-1), number(3), node("h", 1)})}),
                          list({list({number(0), number(3), node("h", 0)})}), list({list({number(0), number(1)})})}) {
    const auto map = SlotMap::from_slots(bad, kAsked);
    ASSERT_FALSE(map.has_value());
    EXPECT_EQ(map.error().code(), ErrorCode::kCorrupted);
  }
  EXPECT_FALSE(SlotMap::from_shards(list({list({text("slots")})}), kAsked, false).has_value());
}

TEST(RedisSlots, map_follows_a_move) {
  SlotMap map;
  map.move(7, {.host = "h", .port = 2});
  EXPECT_EQ(map.master_of(7)->text(), "h:2");
  map.move(kSlots, {.host = "h", .port = 2});
  EXPECT_EQ(map.covered(), 1U);
}

}  // namespace
