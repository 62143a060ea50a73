#include <gtest/gtest.h>

#include "redis/uri.hpp"

namespace {

using namespace setget;
using namespace setget::redis;

TEST(RedisUri, has_host_port_credentials_database_and_options) {
  const auto s =
      parse_uri(
          "redis://ann:p%40s%3As@db.example:7000/3?client_name=kairos&pool=2&timeout=250ms&connect_timeout=2s&max_reply=16MiB&protocol=3")
          .value();
  EXPECT_EQ(s.topology, Topology::kStandalone);
  ASSERT_EQ(s.endpoints.size(), 1U);
  EXPECT_EQ(s.endpoints[0].text(), "db.example:7000");
  EXPECT_EQ(s.user, "ann");
  EXPECT_EQ(s.password, "p@s:s");
  EXPECT_EQ(s.database, 3U);
  EXPECT_EQ(s.client_name, "kairos");
  EXPECT_EQ(s.pool, 2U);
  EXPECT_EQ(s.timeout, Milliseconds(250));
  EXPECT_EQ(s.connect_timeout, Milliseconds(2000));
  EXPECT_EQ(s.max_reply, std::size_t{16} << 20);
  EXPECT_EQ(s.protocol, 3U);
  EXPECT_FALSE(s.use_tls);
}

TEST(RedisUri, has_defaults_for_all_but_the_host) {
  const auto s = parse_uri("redis://localhost").value();
  EXPECT_EQ(s.endpoints[0], (Endpoint{.host = "localhost", .port = 6379}));
  EXPECT_EQ(s.database, 0U);
  EXPECT_TRUE(s.password.empty());
}

TEST(RedisUri, knows_sockets_sentinels_clusters_and_ipv6) {
  EXPECT_EQ(parse_uri("unix://:secret@/run/a%20b.sock?db=4").value().endpoints[0].socket, "/run/a b.sock");
  EXPECT_EQ(parse_uri("unix:///run/r.sock?db=4").value().database, 4U);
  const auto sentinel = parse_uri("redis+sentinel://a,b:1,[::1]:2/main/5?sentinel_password=x").value();
  EXPECT_EQ(sentinel.topology, Topology::kSentinel);
  ASSERT_EQ(sentinel.endpoints.size(), 3U);
  EXPECT_EQ(sentinel.endpoints[0].port, 26379);
  EXPECT_EQ(sentinel.endpoints[2].text(), "[::1]:2");
  EXPECT_EQ(sentinel.master, "main");
  EXPECT_EQ(sentinel.database, 5U);
  EXPECT_EQ(sentinel.sentinel_password, "x");
  const auto cluster = parse_uri("rediss+cluster://a:1,b:2?ca=/etc/ca.pem&insecure=true").value();
  EXPECT_EQ(cluster.topology, Topology::kCluster);
  EXPECT_TRUE(cluster.use_tls);
  EXPECT_TRUE(cluster.tls.insecure);
  EXPECT_EQ(cluster.endpoints[1].text(), "b:2");
}

struct BadUri {
  const char* uri;
  const char* field;
  std::size_t position;
};

TEST(RedisUri, names_the_field_and_the_place_of_what_is_wrong) {
  const BadUri cases[] = {
      {"http://a", "uri.scheme", 0},
      {"redis:/a", "uri.scheme", 0},
      {"redis://", "uri.host", 8},
      {"redis://a:0", "uri.port", 10},
      {"redis://a:66000", "uri.port", 10},
      {"redis://a:x", "uri.port", 10},
      {"redis://a,b", "uri.host", 8},
      {"redis://[::1", "uri.host", 8},
      {"redis://u@a", "uri.password", 9},
      {"redis://u:%zz@a", "uri.password", 10},
      {"redis://u:a%2@a", "uri.password", 11},
      {"redis://a/x", "uri.db", 10},
      {"redis://a?pool=0", "uri.pool", 10},
      {"redis://a?pool=1&pool=2", "uri.pool", 17},
      {"redis://a?color=red", "uri.options", 10},
      {"redis://a?pool", "uri.pool", 10},
      {"redis://a?timeout=0", "uri.timeout", 10},
      {"redis://a?timeout=5h", "uri.timeout", 10},
      {"redis://a?protocol=4", "uri.protocol", 10},
      {"redis://a?ca=x", "uri.ca", 10},
      {"redis://a?client_name=a%20b", "uri.client_name", 10},
      {"redis://a?sentinel_password=x", "uri.sentinel_password", 10},
      {"rediss://a?cert=x", "uri.key", 0},
      {"redis://a#f", "uri.fragment", 9},
      {"redis+sentinel://a:1", "uri.master", 20},
      {"redis+sentinel://a:1,,b/m", "uri.host", 21},
      {"redis+cluster://a/1", "uri.db", 0},
      {"unix://relative", "uri.path", 7},
  };
  for (const auto& bad : cases) {
    const auto result = parse_uri(bad.uri);
    ASSERT_FALSE(result.has_value()) << bad.uri;
    EXPECT_EQ(result.error().code(), ErrorCode::kInvalidArgument) << bad.uri;
    EXPECT_EQ(result.error().field(), bad.field) << bad.uri;
    EXPECT_EQ(result.error().position(), bad.position) << bad.uri;
  }
}

TEST(RedisUri, never_shows_a_password) {
  for (const char* uri : {"redis://u:hunter2@h/1", "rediss://u:hunter2@h", "unix://u:hunter2@/s",
                          "redis+sentinel://u:hunter2@h/m?sentinel_password=hunter2", "redis+cluster://:hunter2@h"}) {
    const auto text = describe(parse_uri(uri).value());
    EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
  }
  for (const char* uri :
       {"redis://u:hunter2@h:x", "redis://u:hunter2%@h", "redis://u:hunter2@h?password=hunter2", "redis://u:hunter2@", "http://u:hunter2@h",
        // With a question mark that should have been %3F what follows is an option, as far as anyone can tell.
        "redis://u:6379?hunter2@h", "redis://u:6379?hunter2=@h", "redis://u:6379?a=b&hunter2=c@h", "redis://u:6379?hunter2=%zz@h",
        "redis://u:6379?hunter2=1&hunter2=1@h", "redis://u:6379?db=hunter2@h", "redis://u:6379?pool=hunter2@h",
        "redis://u:6379?timeout=hunter2@h", "redis://u:6379?client_name=hunter2 @h"}) {
    const auto text = parse_uri(uri).error().describe();
    EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
  }
  EXPECT_EQ(describe(parse_uri("redis+sentinel://u:p@a:1,b:2/m/3").value()), "redis+sentinel://u@a:1,b:2/m/3");
}

}  // namespace
