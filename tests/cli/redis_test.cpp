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
  // So many records of one flow that look alike.
  void load(const std::string& uri, int count, const std::vector<std::string>& more = {}) {
    std::string lines;
    for (int i = 0; i < count; ++i) {
      const auto number = std::to_string(i);
      lines += R"({"keys":["k)" + number + R"("],"account":"acme","flow":"orders","payload":{"customer":"Emilia Example",)" +
               R"("street":"Main Street )" + number + R"(","country":"Freedonia","article":"socks, grey, large"}})" + "\n";
    }
    write("records.ndjson", lines);
    std::vector<std::string> words = {"load", "--json", "records.ndjson", "--store", uri, "--config", "codec.toml"};
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = run(words);
    ASSERT_EQ(ran.code, 0) << ran.out << ran.err;
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

TEST_F(OnRedis, who_only_looks_makes_no_queue_and_an_archive_run_makes_its_file) {
  redis_test::RedisServer server;
  set("order/42", "1", {"--store", server.uri()});
  for (const char* file : {"setget-queue.db", "setget-queue.db-wal", "setget-queue.db-shm", "setget-queue.db-lock"})
    std::filesystem::remove(folder / file);
  EXPECT_EQ(run({"get", "order/42", "--store", server.uri()}).out, "1");
  EXPECT_EQ(run({"get", "nobody", "--store", server.uri()}).code, 2);
  for (const std::vector<std::string>& words : {std::vector<std::string>{"queue", "stats"}, {"dlq", "list"}}) {
    const Ran ran = run({words[0], words[1], "--store", server.uri()});
    EXPECT_EQ(ran.code, 1);
    EXPECT_NE(ran.err.find("there is no queue"), std::string::npos) << ran.err;
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "setget-queue.db"));
  EXPECT_EQ(run({"archive", "run", "--store", server.uri()}).code, 0);
  EXPECT_TRUE(std::filesystem::exists(folder / "setget-queue.db"));
  EXPECT_EQ(run({"archive", "verify", "--deep", "--store", server.uri()}).code, 0);
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

TEST_F(OnRedis, doctor_holds_wait_replicas_against_the_replicas_that_are_online) {
  redis_test::RedisServer master;
  set("a", "1", {"--store", master.uri()});
  write("waits.toml", "[redis]\nwait_replicas = 1\n");
  const std::vector<std::string> words = {"doctor", "--config", "waits.toml", "--store", master.uri()};
  const Ran alone = run(words);
  EXPECT_EQ(alone.code, 1) << "the store cannot be opened so";
  EXPECT_NE(alone.out.find("0 of the 1 replicas that a write waits for"), std::string::npos) << alone.out << alone.err;
  const redis_test::RedisServer replica({.arguments = {"--replicaof", "127.0.0.1", std::to_string(master.port())}});
  ASSERT_TRUE(redis_test::eventually([&] { return master.cli({"INFO", "replication"}).find("state=online") != std::string::npos; }));
  const Ran followed = run(words);
  EXPECT_EQ(followed.code, 2) << followed.out << followed.err;
  EXPECT_NE(followed.out.find("a write waits for 1 of 1 replicas"), std::string::npos) << followed.out;
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

TEST_F(OnRedis, retrain_leaves_one_dictionary_made_of_what_is_there) {
  redis_test::RedisServer server;
  const auto uri = server.uri();
  write("codec.toml", "[redis]\ncodec = \"zstd\"\ncodec_min_bytes = 16\ndictionary_bytes = \"4KiB\"\n");
#ifndef SETGET_WITH_ZSTD
  const Ran refused = run({"set", "-k", "a", "--account", "acme", "--flow", "orders", "-p", "1", "--store", uri, "--config", "codec.toml"});
  EXPECT_EQ(refused.code, 1) << refused.out;
  EXPECT_NE(refused.err.find("SETGET_WITH_ZSTD"), std::string::npos) << refused.err;
  set("a", "1", {"--store", uri});
  const Ran without = run({"redis", "retrain", "acme", "orders", "--store", uri});
  EXPECT_EQ(without.code, 1) << without.out;
  EXPECT_NE(without.err.find("zstd"), std::string::npos) << without.err;
  return;  // and that is all that such a build can say
#endif
  load(uri, 200);
  const auto retrain = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"redis", "retrain", "acme", "orders", "--store", uri};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  };
  const Ran first = retrain({"--json", "--config", "codec.toml"});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.json()["samples"], 200);
  EXPECT_GT(first.json()["dictionary_bytes"], 256);
  EXPECT_LE(first.json()["dictionary_bytes"], 4096);
  EXPECT_EQ(first.json()["recoded"], 0) << "nothing used an older one";
  EXPECT_EQ(first.json()["removed"], 0);
  // What is set now uses it; trained anew, those are encoded anew and it goes.
  load(uri, 200);
  const Ran second = retrain({"--json", "--config", "codec.toml"});
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_EQ(second.json()["recoded"], 200);
  EXPECT_EQ(second.json()["removed"], 1);
  EXPECT_EQ(second.json()["still_used"], 0);
  EXPECT_NE(run({"get", "k7", "--store", uri}).out.find("Main Street 7"), std::string::npos);
  // With the codec off again there is none; records are read all the same.
  const Ran off = retrain({});
  ASSERT_EQ(off.code, 0) << off.err;
  EXPECT_NE(off.out.find("no dictionary"), std::string::npos) << off.out;
  EXPECT_NE(off.out.find("200 records encoded anew, 1 older dictionaries removed"), std::string::npos) << off.out;
  EXPECT_NE(run({"get", "k199", "--store", uri}).out.find("Main Street 199"), std::string::npos);
  // Another namespace has nothing to learn from.
  EXPECT_EQ(retrain({"--json", "--namespace", "other", "--config", "codec.toml"}).json()["samples"], 0);
  EXPECT_EQ(run({"redis", "retrain", "acme", "orders"}).code, 1) << "a file";
  EXPECT_NE(run({"redis", "retrain", "acme", "--store", uri}).code, 0) << "no flow";
}

#ifdef SETGET_WITH_ZSTD
TEST_F(OnRedis, retrain_is_of_the_namespace_that_the_common_flag_or_the_file_names) {
  redis_test::RedisServer server;
  const auto uri = server.uri();
  const std::string codec = "[redis]\ncodec = \"zstd\"\ncodec_min_bytes = 16\ndictionary_bytes = \"4KiB\"\n";
  write("codec.toml", codec);
  write("prod.toml", "[server]\nnamespace = \"prod\"\n" + codec);
  load(uri, 200, {"--namespace", "prod"});
  const std::vector<std::vector<std::string>> ways = {
      {"--namespace", "prod", "redis", "retrain", "acme", "orders", "--json", "--store", uri, "--config", "codec.toml"},
      {"redis", "retrain", "acme", "orders", "--json", "--store", uri, "--config", "codec.toml", "--namespace", "prod"},
      {"redis", "retrain", "acme", "orders", "--json", "--store", uri, "--config", "prod.toml"}};
  for (const auto& words : ways) {
    const Ran ran = run(words);
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.json()["samples"], 200) << words.front();
  }
  const Ran nobody = run({"redis", "retrain", "acme", "orders", "--json", "--store", uri, "--config", "codec.toml"});
  ASSERT_EQ(nobody.code, 0) << nobody.err;
  EXPECT_EQ(nobody.json()["samples"], 0);
}
#endif

TEST_F(OnRedis, drop_removes_the_store_that_is_named_and_nothing_else) {
  redis_test::RedisServer server;
  const auto uri = server.uri();
  write("app.toml", "[redis]\nprefix = \"app\"\n");
  write("app2.toml", "[redis]\nprefix = \"app2\"\n");
  set("a", "1", {"--store", uri, "--queue", uri, "--config", "app.toml"});
  set("b", "2", {"--store", uri, "--config", "app2.toml"});
  server.cli({"SET", "appendix", "somebody else's"});
  const auto before = server.cli({"DBSIZE"});
  EXPECT_EQ(run({"redis", "drop", "--prefix", "app", "--store", uri, "--config", "app.toml"}).code, 1) << "not sure";
  EXPECT_EQ(run({"redis", "drop", "--prefix", "app2", "--yes", "--store", uri, "--config", "app.toml"}).code, 1) << "another store";
  EXPECT_NE(run({"redis", "drop", "--yes", "--store", uri, "--config", "app.toml"}).code, 0) << "none named";
  EXPECT_EQ(server.cli({"DBSIZE"}), before);
  const Ran ran = run({"redis", "drop", "--prefix", "app", "--yes", "--json", "--store", uri, "--config", "app.toml"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_GT(ran.json()["dropped"], 3);
  EXPECT_EQ(server.cli({"KEYS", "app:*"}), "");
  EXPECT_EQ(server.cli({"GET", "appendix"}), "somebody else's");
  EXPECT_EQ(run({"get", "b", "--store", uri, "--config", "app2.toml"}).out, "2");
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
