// [redis] of a configuration, key by key: it is read, it reaches redis::Options, and wrong values are refused with the key's name.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/redis_server.hpp"

#include <setget/redis_config.hpp>

namespace setget {
namespace {

struct Key {
  std::string name;
  std::string value;  // another than the default
  std::function<bool(const redis::Options&)> holds;
  std::vector<std::string> wrong{};
  std::string with{};  // what else it needs
};

const std::vector<Key>& keys() {
  using Options = redis::Options;
  static const std::vector<Key> all = {
      {"prefix", "\"app-1\"", [](const Options& o) { return o.prefix == "app-1"; }, {"\"a b\"", "\"{x}\"", "\"\"", "1"}},
      {"shards", "16", [](const Options& o) { return o.shards == 16; }, {"3", "8192", "-1", "\"16\""}},
      {"partitions", "4", [](const Options& o) { return o.partitions == 4; }, {"3", "512", "-1"}},
      {"wait_replicas", "2", [](const Options& o) { return o.wait_replicas == 2; }, {"17", "-1", "true"}},
      {"wait_timeout", "\"250ms\"", [](const Options& o) { return o.wait_timeout == Milliseconds(250); }, {"\"0ms\"", "\"2m\"", "\"x\""}},
      {"cache", "true", [](const Options& o) { return o.cache.enabled; }, {"\"yes\"", "1"}},
      {"cache_entries", "7", [](const Options& o) { return o.cache.max_entries == 7; }, {"0", "-1"}},
      {"cache_bytes", "\"1MiB\"", [](const Options& o) { return o.cache.max_bytes == 1U << 20; }, {"\"1KiB\"", "\"many\""}},
      {"cache_silence", "\"50ms\"", [](const Options& o) { return o.cache.max_silence == Milliseconds(50); }, {"\"9ms\"", "\"61s\""}},
      {"serve_stale", "true", [](const Options& o) { return o.cache.serve_stale; }, {"true", "\"yes\""}, "cache = true"},
      {"max_stale", "\"2m\"", [](const Options& o) { return o.cache.max_stale == Milliseconds(120'000); }, {"\"8d\"", "\"-1s\""}},
      {"codec", "\"zstd\"", [](const Options& o) { return o.codec.enabled; }, {"\"lz4\"", "true"}},
      {"codec_level", "9", [](const Options& o) { return o.codec.level == 9; }, {"0", "20"}},
      {"codec_min_bytes", "77", [](const Options& o) { return o.codec.min_bytes == 77; }, {"-1", "\"few\""}},
      {"codec_max_percent", "55", [](const Options& o) { return o.codec.max_percent == 55; }, {"0", "101"}},
      {"dictionary_bytes", "\"8KiB\"", [](const Options& o) { return o.codec.dictionary_bytes == 8192; }, {"512", "\"2MiB\""}},
      {"dictionary_sample_records", "12", [](const Options& o) { return o.codec.sample_records == 12; }, {"9", "1000001"}},
      {"dictionary_sample_bytes", "\"2MiB\"", [](const Options& o) { return o.codec.sample_bytes == 2U << 20; }, {"1023", "\"65MiB\""}},
  };
  return all;
}

std::string section(const std::string& lines) { return "[store]\nuri = \"redis://127.0.0.1:1\"\n[redis]\n" + lines + "\n"; }

TEST(RedisSection, every_key_reaches_the_options) {
  const redis::Options defaults = redis::options_of(Config().redis, "redis://h");
  EXPECT_EQ(defaults.uri, "redis://h");
  for (const auto& key : keys()) {
    const auto config = parse_config(section(key.with + "\n" + key.name + " = " + key.value));
    ASSERT_TRUE(config.has_value()) << key.name << ": " << config.error().describe();
    EXPECT_TRUE(key.holds(redis::options_of(config->redis, "redis://h"))) << key.name;
    EXPECT_FALSE(key.holds(defaults)) << key.name << ": the value is the default, so this proves nothing";
  }
}

TEST(RedisSection, defaults_are_those_of_the_options) {
  const redis::Options fresh;
  const auto read = redis::options_of(Config().redis, "");
  EXPECT_EQ(read.prefix, fresh.prefix);
  EXPECT_EQ(read.shards, fresh.shards);
  EXPECT_EQ(read.partitions, fresh.partitions);
  EXPECT_EQ(read.wait_replicas, fresh.wait_replicas);
  EXPECT_EQ(read.wait_timeout, fresh.wait_timeout);
  EXPECT_EQ(read.cache.enabled, fresh.cache.enabled);
  EXPECT_EQ(read.cache.max_entries, fresh.cache.max_entries);
  EXPECT_EQ(read.cache.max_bytes, fresh.cache.max_bytes);
  EXPECT_EQ(read.cache.max_silence, fresh.cache.max_silence);
  EXPECT_EQ(read.cache.serve_stale, fresh.cache.serve_stale);
  EXPECT_EQ(read.cache.max_stale, fresh.cache.max_stale);
  EXPECT_EQ(read.codec.enabled, fresh.codec.enabled);
  EXPECT_EQ(read.codec.level, fresh.codec.level);
  EXPECT_EQ(read.codec.min_bytes, fresh.codec.min_bytes);
  EXPECT_EQ(read.codec.max_percent, fresh.codec.max_percent);
  EXPECT_EQ(read.codec.dictionary_bytes, fresh.codec.dictionary_bytes);
  EXPECT_EQ(read.codec.sample_records, fresh.codec.sample_records);
  EXPECT_EQ(read.codec.sample_bytes, fresh.codec.sample_bytes);
}

TEST(RedisSection, wrong_values_are_refused_with_the_name_of_the_key) {
  for (const auto& key : keys()) {
    ASSERT_FALSE(key.wrong.empty()) << key.name;
    for (const auto& value : key.wrong) {
      const auto config = parse_config(section(key.name + " = " + value));
      ASSERT_FALSE(config.has_value()) << key.name << " = " << value;
      EXPECT_EQ(config.error().code(), ErrorCode::kInvalidArgument);
      EXPECT_EQ(config.error().field(), "redis." + key.name) << value << ": " << config.error().describe();
    }
  }
  EXPECT_EQ(parse_config(section("colour = 1")).error().field(), "redis.colour");
}

// No key is without a test, nor missing from the sample or from the document.
TEST(RedisSection, the_sample_and_the_document_have_the_same_keys) {
  std::set<std::string> tested;
  for (const auto& key : keys()) tested.insert(key.name);
  std::ifstream sample(SETGET_SOURCE "/examples/setget.toml");
  std::set<std::string> named;
  bool inside = false;
  for (std::string line; std::getline(sample, line);) {
    if (line.starts_with('[')) inside = line.starts_with("[redis]");
    if (inside && line.find(" = ") != std::string::npos && !line.starts_with('#')) named.insert(line.substr(0, line.find(' ')));
  }
  EXPECT_EQ(named, tested);
  std::stringstream document;
  document << std::ifstream(SETGET_SOURCE "/docs/redis.md").rdbuf();
  for (const auto& name : tested) EXPECT_NE(document.str().find(name), std::string::npos) << name;
}

TEST(RedisSection, what_only_the_server_can_refuse_is_named_too) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer alone;
  Config config;
  config.store = alone.uri();
  config.queue = alone.uri();
  config.archive = "none";
  config.redis.wait_replicas = 1;
  auto stores = open_stores(config);
  ASSERT_FALSE(stores.has_value());
  EXPECT_EQ(stores.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(stores.error().field(), "redis.wait_replicas");
  // With a replica the whole is of durability "replica", and says so.
  redis_test::RedisServer replica({.arguments = {"--replicaof", "127.0.0.1", std::to_string(alone.port())}});
  ASSERT_TRUE(redis_test::eventually([&] { return alone.cli({"INFO", "replication"}).find("state=online") != std::string::npos; }));
  stores = open_stores(config);
  ASSERT_TRUE(stores.has_value()) << stores.error().describe();
  EXPECT_EQ(stores->durability, Durability::kReplica);
  EXPECT_NE(stores->summary.find("(replica)"), std::string::npos) << stores->summary;
  config.redis.wait_timeout = Milliseconds(6000);
  EXPECT_EQ(open_stores(config).error().field(), "redis.wait_timeout") << "not less than the URI's timeout";
}

}  // namespace
}  // namespace setget
