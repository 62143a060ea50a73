// Which part of a store each name belongs to.
#include "redis/memory_report.hpp"

#include <gtest/gtest.h>

#include <string>

#include "support/redis_server.hpp"

namespace setget::inline v0::redis {
namespace {

TEST(RedisMemory, knows_the_parts_by_their_names) {
  const auto part = [](std::string_view name) { return part_of("app", name); };
  EXPECT_EQ(part("app:m"), Part::kBookkeeping);
  EXPECT_EQ(part("app:{s0}:e:ns/key"), Part::kRecords);
  EXPECT_EQ(part("app:{s0}:e:/}:l"), Part::kRecords);  // users' bytes decide nothing
  EXPECT_EQ(part("app:{s12.3}:l"), Part::kLog);
  EXPECT_EQ(part("app:{s12.3}:b"), Part::kLog);
  EXPECT_EQ(part("app:{s0}:x"), Part::kExpiry);
  EXPECT_EQ(part("app:{s0}:x:1700"), Part::kExpiry);
  EXPECT_EQ(part("app:{s0}:g"), Part::kReclaim);
  EXPECT_EQ(part("app:{s0}:L:ns/acme/orders"), Part::kIndexes);
  EXPECT_EQ(part("app:{s0}:N:ns"), Part::kIndexes);
  EXPECT_EQ(part("app:{s0}:c"), Part::kBookkeeping);
  for (const char* foreign : {"other", "app2:{s0}:l", "app", "app:{s0", "", "ap"}) EXPECT_EQ(part(foreign), Part::kOther) << foreign;
}

TEST(RedisMemory, counts_what_is_on_a_server_in_full_or_by_a_sample) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer server;
  auto database = open({.uri = server.uri()});
  ASSERT_TRUE(database) << database.error().describe();
  server.cli({"DEBUG", "POPULATE", "20000", "foreign", "100"});
  const auto report = database->memory();
  ASSERT_TRUE(report) << report.error().describe();
  EXPECT_FALSE(report->sampled);
  const auto bytes_of = [](const MemoryReport& of, std::string_view name) {
    for (const auto& part : of.parts) {
      if (part.name == name) return static_cast<double>(part.bytes);
    }
    return 0.0;
  };
  EXPECT_GT(bytes_of(*report, "other"), 20'000 * 100.0);
  EXPECT_GT(bytes_of(*report, "hash tables"), 20'000 * 8.0);
  EXPECT_GT(report->used_memory, bytes_of(*report, "other"));
  const auto sample = database->memory(2'000);
  ASSERT_TRUE(sample) << sample.error().describe();
  EXPECT_TRUE(sample->sampled);
  EXPECT_LT(sample->looked_at, 3'000u);
  EXPECT_NEAR(bytes_of(*sample, "other") / bytes_of(*report, "other"), 1, 0.05);
}

}  // namespace
}  // namespace setget::inline v0::redis
