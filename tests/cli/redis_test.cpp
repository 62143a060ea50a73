// The command line on a real Redis server: the same commands, only the URI differs.
#include <map>

#include "command.hpp"
#include "support/redis_server.hpp"

namespace cli_test {
namespace {

class OnRedis : public Command {
 protected:
  void SetUp() override {
    SETGET_REQUIRE_REDIS();
    Command::SetUp();
  }
  void TearDown() override {
    if (!folder.empty()) Command::TearDown();
  }
};

TEST_F(OnRedis, sets_gets_archives_and_verifies) {
  redis_test::RedisServer server;
  for (const std::string& uri : {server.uri(), "unix://" + server.socket_path()}) {
    set("order/42", R"({"total": 12})", {"--store", uri});
    EXPECT_EQ(run({"get", "order/42", "--store", uri}).out, R"({"total": 12})");
    EXPECT_EQ(run({"get", "nobody", "--store", uri}).code, 2);
  }
  EXPECT_EQ(run({"archive", "run", "--store", server.uri()}).code, 0);
  const Ran verified = run({"archive", "verify", "--deep", "--store", server.uri()});
  EXPECT_EQ(verified.code, 0) << verified.out << verified.err;
  EXPECT_EQ(run({"delete", "order/42", "--store", server.uri()}).code, 0);
  EXPECT_EQ(run({"get", "order/42", "--store", server.uri()}).code, 2);
}

TEST_F(OnRedis, doctor_tells_what_the_server_would_throw_away) {
  redis_test::RedisServer server({.arguments = {"--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"}});
  set("a", "1", {"--store", server.uri()});
  const Ran ran = run({"doctor", "--json", "--store", server.uri()});
  EXPECT_EQ(ran.code, 2) << ran.err;
  EXPECT_NE(ran.out.find("allkeys-lru throws records"), std::string::npos) << ran.out;
  EXPECT_NE(ran.out.find("maxmemory-policy noeviction"), std::string::npos) << ran.out;
  server.stop();
  EXPECT_EQ(run({"doctor", "--store", server.uri("?connect_timeout=100ms")}).code, 1);
}

TEST_F(OnRedis, stats_say_where_the_memory_goes) {
  redis_test::RedisServer server;
  for (int i = 0; i < 20; ++i) {
    set("order/" + std::to_string(i), R"({"total": 12})",
        {"--store", server.uri(), "-k", "crm/" + std::to_string(i), "--id", "i" + std::to_string(i)});
  }
  const Ran ran = run({"redis", "stats", "--json", "--store", server.uri()});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto report = ran.json();
  EXPECT_EQ(report["records"], 20);
  EXPECT_FALSE(report["sampled"]);
  std::uint64_t bytes = 0;
  std::map<std::string, std::uint64_t> names;
  for (const auto& part : report["parts"]) {
    bytes += part["bytes"].get<std::uint64_t>();
    names[part["part"]] = part["names"].get<std::uint64_t>();
  }
  EXPECT_EQ(names["records"], 20u) << ran.out;
  EXPECT_EQ(names["pointers"], 40u) << ran.out;
  EXPECT_GE(names["change log"], 1u) << ran.out;
  EXPECT_EQ(names.count("other"), 0u) << ran.out;
  EXPECT_LT(bytes, report["used_memory"].get<std::uint64_t>());
  EXPECT_EQ(run({"redis", "stats"}).code, 1);  // a file
}

TEST_F(OnRedis, no_password_is_shown) {
  redis_test::RedisServer server;
  server.cli({"CONFIG", "SET", "requirepass", "geheim"});
  const auto uri = server.uri("", ":geheim@");
  for (const auto& words : std::vector<std::vector<std::string>>{{"doctor"}, {"redis", "stats"}, {"get", "a"}, {"queue", "stats"}}) {
    auto with = words;
    with.insert(with.end(), {"--store", uri});
    const Ran ran = run(with);
    EXPECT_EQ((ran.out + ran.err).find("geheim"), std::string::npos) << ran.out << ran.err;
    with.back() = server.uri("", ":geheimnis@");
    const Ran refused = run(with);
    EXPECT_EQ(refused.code, 1) << words[0] << refused.out;
    EXPECT_EQ((refused.out + refused.err).find("geheim"), std::string::npos) << refused.err;
  }
}

}  // namespace
}  // namespace cli_test
