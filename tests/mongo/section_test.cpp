// [mongo] of a configuration, key by key: it is read, it reaches mongo::Options, and wrong values are refused with the key's name.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <setget/mongo_config.hpp>

namespace setget {
namespace {

struct Key {
  std::string name;
  std::string value;  // another than the default
  std::function<bool(const mongo::Options&)> holds;
  std::vector<std::string> wrong{};
};

const std::vector<Key>& keys() {
  using Options = mongo::Options;
  static const std::vector<Key> all = {
      {"collection", "\"app-1\"", [](const Options& o) { return o.collection == "app-1"; }, {"\"a b\"", "\"\"", "1"}},
      {"batch", "40", [](const Options& o) { return o.batch == 40; }, {"0", "100001", "-1"}},
      {"batch_bytes", "\"1MiB\"", [](const Options& o) { return o.batch_bytes == 1U << 20; }, {"\"1KiB\"", "\"41MiB\""}},
      {"payload", "\"document\"", [](const Options& o) { return o.payload == mongo::PayloadForm::kDocument; }, {"\"json\"", "true"}},
      {"max_inline_bytes", "\"2KiB\"", [](const Options& o) { return o.max_inline_bytes == 2048; }, {"100", "\"13MiB\""}},
      {"ttl_index", "false", [](const Options& o) { return !o.ttl_index; }, {"\"no\"", "0"}},
      {"connections", "9", [](const Options& o) { return o.connections == 9; }, {"1", "257"}},
      {"connect_timeout", "\"250ms\"", [](const Options& o) { return o.connect_timeout == Milliseconds(250); }, {"\"1ms\"", "\"2m\""}},
      {"timeout", "\"5s\"", [](const Options& o) { return o.timeout == Milliseconds(5'000); }, {"\"1ms\"", "\"2h\""}},
      {"retries", "7", [](const Options& o) { return o.retries == 7; }, {"21", "-1"}},
  };
  return all;
}

std::string section(const std::string& lines) { return "[archive]\nuri = \"mongodb://127.0.0.1:1\"\n[mongo]\n" + lines + "\n"; }

TEST(MongoSection, every_key_reaches_the_options) {
  const auto defaults = mongo::options_of(Config().mongo, "mongodb://h");
  EXPECT_EQ(defaults.uri, "mongodb://h");
  EXPECT_TRUE(defaults.validate());
  for (const auto& key : keys()) {
    const auto config = parse_config(section(key.name + " = " + key.value));
    ASSERT_TRUE(config.has_value()) << key.name << ": " << config.error().describe();
    EXPECT_TRUE(key.holds(mongo::options_of(config->mongo, "mongodb://h"))) << key.name;
    EXPECT_FALSE(key.holds(defaults)) << key.name << ": the value is the default, so this proves nothing";
    EXPECT_FALSE(key.holds(mongo::Options())) << key.name << ": the defaults differ";
  }
}

TEST(MongoSection, wrong_values_are_refused_with_the_name_of_the_key) {
  for (const auto& key : keys()) {
    for (const auto& value : key.wrong) {
      const auto config = parse_config(section(key.name + " = " + value));
      ASSERT_FALSE(config.has_value()) << key.name << " = " << value;
      EXPECT_EQ(config.error().code(), ErrorCode::kInvalidArgument);
      EXPECT_EQ(config.error().field(), "mongo." + key.name) << value << ": " << config.error().describe();
    }
  }
  EXPECT_EQ(parse_config(section("colour = 1")).error().field(), "mongo.colour");
}

// Also commands that need no archive read the configuration; no server is asked for that.
TEST(MongoSection, a_uri_that_cannot_be_used_is_refused_with_the_configuration) {
  for (const std::string uri : {"mongodb://", "mongodb://h:port/db", "mongodb:h", "mongodb://me:sesame@", "mongodb://me:sesame@h/a b",
                                "mongodb://h/db?w=0", "mongodb+srv://me:sesame@h/db"}) {
    const auto config = parse_config("[archive]\nread_through = true\nuri = \"" + uri + "\"\n", "x.toml");
    ASSERT_FALSE(config) << uri;
    EXPECT_EQ(config.error().code(), ErrorCode::kInvalidArgument);
    EXPECT_EQ(config.error().field(), "archive.uri");
    EXPECT_TRUE(config.error().message().starts_with("x.toml:3: archive.uri: ")) << config.error().message();
    EXPECT_EQ(config.error().describe().find("sesame"), std::string::npos) << config.error().describe();
  }
  for (const std::string uri : {"mongodb://127.0.0.1:1", "mongodb://me:s%40same@a:1,b:2/db?replicaSet=x&w=2"}) {
    const auto config = parse_config("[archive]\nuri = \"" + uri + "\"\n");
    ASSERT_TRUE(config) << config.error().describe();
    EXPECT_EQ(config->archive, uri);
  }
}

TEST(MongoSection, the_sample_and_the_document_have_the_same_keys) {
  std::set<std::string> tested;
  for (const auto& key : keys()) tested.insert(key.name);
  std::ifstream sample(SETGET_SOURCE "/examples/setget.toml");
  std::set<std::string> named;
  bool inside = false;
  for (std::string line; std::getline(sample, line);) {
    if (line.starts_with('[')) inside = line.starts_with("[mongo]");
    if (inside && line.find(" = ") != std::string::npos && !line.starts_with('#')) named.insert(line.substr(0, line.find(' ')));
  }
  EXPECT_EQ(named, tested);
  std::ifstream page(SETGET_SOURCE "/docs/mongo.md");
  std::stringstream text;
  text << page.rdbuf();
  for (const auto& name : tested) EXPECT_NE(text.str().find("`" + name + "`"), std::string::npos) << name;
}

TEST(MongoOpen, a_server_that_is_away_is_no_error_and_says_so_when_it_is_used) {
  auto config =
      parse_config("[store]\nuri = \"memory:\"\n[queue]\nuri = \"memory:\"\n" + section("connect_timeout = \"100ms\"\nretries = 0"))
          .value();
  const auto stores = open_stores(config);
  ASSERT_TRUE(stores) << stores.error().describe();
  EXPECT_NE(stores->summary.find("archive mongodb://127.0.0.1:1"), std::string::npos) << stores->summary;
  EXPECT_EQ(stores->archive->load_checkpoint().error().code(), ErrorCode::kUnavailable);
}

TEST(MongoOpen, holds_an_archive_and_nothing_else) {
  Config config;
  config.store = "mongodb://127.0.0.1:1";
  config.mongo.connect_timeout = Milliseconds(100);
  config.mongo.retries = 0;
  EXPECT_EQ(open_stores(config).error().field(), "store");
  config.store = "memory:";
  config.queue = "mongodb://127.0.0.1:1";
  EXPECT_EQ(open_stores(config).error().field(), "queue");
  config.queue = "memory:";
  config.archive = "mongodb+srv://cluster.example/db";
  EXPECT_EQ(open_stores(config).error().code(), ErrorCode::kUnsupported);
}

TEST(MongoOpen, no_password_is_in_an_error_or_in_a_summary) {
  Config config;
  config.store = config.queue = "memory:";
  config.mongo.connect_timeout = Milliseconds(100);
  config.mongo.retries = 0;
  for (const auto* uri : {"mongodb://me:sesame@127.0.0.1:1/db?tlsCertificateKeyFilePassword=sesame",
                          "mongodb://me:sesame@127.0.0.1:1/db?AUTHMECHANISMPROPERTIES=AWS_SESSION_TOKEN:sesame",
                          "mongodb://me:sesame@127.0.0.1:x/db", "mongodb+srv://me:sesame@h/db"}) {
    config.archive = uri;
    const auto stores = open_stores(config);
    const auto said = stores ? stores->summary + stores->archive->load_checkpoint().error().describe() : stores.error().describe();
    EXPECT_EQ(said.find("sesame"), std::string::npos) << said;
    EXPECT_EQ(shown_uri(uri).find("sesame"), std::string::npos) << shown_uri(uri);
  }
}

}  // namespace
}  // namespace setget
