// The command line and examples/run with the archive on real servers that speak MongoDB's protocol.
#include "support/mongo_server.hpp"
#ifdef SETGET_TEST_WITH_REDIS
#include "support/redis_server.hpp"
#endif

#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>

#include "command.hpp"
#include "restore_kill.hpp"

namespace cli_test {
namespace {

class MongoArchives : public Command, public ::testing::WithParamInterface<mongo_test::Kind> {
 protected:
  void SetUp() override {
    Command::SetUp();
    SETGET_REQUIRE_MONGO(GetParam());
    const auto options = mongo_test::shared_server(GetParam()).options();
    collection_ = options.collection;
    std::ofstream(folder / "m.toml") << "[archive]\nuri = \"" << options.uri << "\"\n[mongo]\nbatch = 40\ncollection = \"" << collection_
                                     << "\"\n";
  }
  Ran with(std::vector<std::string> words) {
    words.insert(words.end(), {"--config", "m.toml"});
    return run(words);
  }
  std::string collection_;
};

TEST_P(MongoArchives, run_verify_status_restore_and_doctor_work_on_it) {
  set("a", R"({"n": 1})", {"--id", "i", "--config", "m.toml"});
  EXPECT_EQ(with({"archive", "status"}).code, 2) << "never run";
  EXPECT_EQ(with({"archive", "run", "--json"}).json()["written"], 1);
  EXPECT_EQ(with({"archive", "verify", "--deep"}).code, 0);
  const auto status = with({"archive", "status", "--json"});
  EXPECT_EQ(status.json()["records"], 1);
  EXPECT_EQ(status.json()["quarantined"], 0);
  EXPECT_EQ(with({"archive", "quarantine"}).code, 0);
  const auto doctor = with({"doctor"});
  EXPECT_NE(doctor.out.find("MongoDB: mongodb://127.0.0.1"), std::string::npos) << doctor.out << doctor.err;
  for (const char* file : {"setget.db", "setget.db-wal", "setget.db-shm", "setget.db-lock"}) std::filesystem::remove(folder / file);
  EXPECT_EQ(with({"archive", "restore", "--json"}).json()["restored"], 1);
  EXPECT_EQ(with({"get", "a"}).code, 0);
  EXPECT_EQ(with({"archive", "drop", "--collection", "other", "--yes"}).code, 1);
  EXPECT_EQ(with({"archive", "drop", "--collection", collection_}).code, 1) << "without --yes";
  EXPECT_EQ(with({"archive", "drop", "--collection", collection_, "--yes"}).code, 0);
  EXPECT_EQ(with({"archive", "status"}).code, 2) << "it is gone";
}

// A record that no document of MongoDB can hold: it is visible wherever somebody looks, and the others are archived.
TEST_P(MongoArchives, what_the_server_cannot_take_is_in_quarantine_and_everybody_says_so) {
  std::ofstream(folder / "m.toml", std::ios::app)
      << "[ttl]\ndefault = \"30d\"\n[limits]\nmax_payload = \"20MiB\"\nmax_attribute_bytes = \"20MiB\"\n"
      << "[queue]\nmax_message_bytes = \"32MiB\"\n";
  set("small", "1", {"--id", "small", "--config", "m.toml"});
  std::ofstream(folder / "large.ndjson") << R"({"id": "large", "keys": ["large"], "account": "acme", "flow": "orders", "payload": 1, )"
                                         << R"("attributes": {"a": ")" << std::string(17u << 20, 'x') << "\"}}\n";
  const auto loaded = with({"load", "large.ndjson"});
  ASSERT_EQ(loaded.code, 0) << loaded.out << loaded.err;
  ASSERT_EQ(with({"queue", "drain"}).code, 0);
  const auto ran = with({"archive", "run", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json()["written"], 1);
  EXPECT_EQ(ran.json()["quarantined"], 1);
  const auto kept = with({"archive", "quarantine", "--json"});
  EXPECT_EQ(kept.code, 2);
  EXPECT_EQ(kept.json()["list"][0]["id"], "large");
  EXPECT_NE(kept.json()["list"][0]["reason"].get<std::string>().find("MongoDB takes"), std::string::npos) << kept.out;
  EXPECT_NE(with({"archive", "quarantine"}).out.find("large"), std::string::npos);
  EXPECT_EQ(with({"archive", "status", "--json"}).json()["quarantined"], 1);
  const auto doctor = with({"doctor"});
  EXPECT_EQ(doctor.code, 2);
  EXPECT_NE(doctor.out.find("quarantine"), std::string::npos) << doctor.out;
  const auto verified = with({"archive", "verify", "--json"});
  EXPECT_EQ(verified.code, 2);
  EXPECT_EQ(verified.json()["list"][0]["id"], "large");
  EXPECT_EQ(verified.json()["list"][0]["kind"], "missing_in_archive");
  ASSERT_EQ(with({"delete", "large"}).code, 0);
  EXPECT_EQ(with({"archive", "run", "--json"}).json()["quarantined"], 0) << "its end can be archived";
  EXPECT_EQ(with({"archive", "quarantine"}).code, 0);
  EXPECT_EQ(with({"archive", "verify", "--deep"}).code, 0);
}

TEST_P(MongoArchives, a_restore_that_is_killed_again_and_again_brings_an_empty_store_back) {
  RestoreKills(folder, "m.toml", 6, 600).into_an_empty_store();
}

// Sets twice, erases, sets again; asks at each moment and in between; restores the first.
TEST_P(MongoArchives, get_and_restore_at_a_moment_give_what_was_there_then) {
#ifdef SETGET_TEST_WITH_REDIS
  std::optional<redis_test::RedisServer> redis;
#endif
  for (const std::string kind : {"sqlite", "redis"}) {
    std::vector<std::string> store = {"--store", "sqlite:past.db"};
    if (kind == "redis") {
#ifdef SETGET_TEST_WITH_REDIS
      SETGET_REQUIRE_REDIS();
      redis.emplace();
      store = {"--store", redis->uri(), "--queue", "sqlite:past-queue.db"};
#else
      GTEST_SKIP() << "Redis is not built in";
#endif
    }
    const auto options = mongo_test::shared_server(GetParam()).options();
    write("h.toml", "[archive]\nuri = \"" + options.uri + "\"\n[mongo]\nbatch = 40\ncollection = \"" + options.collection +
                        "\"\n[flows.kept]\nhistory = true\n");
    const auto call = [&](std::vector<std::string> words) {
      words.insert(words.end(), {"--config", "h.toml"});
      words.insert(words.end(), store.begin(), store.end());
      return run(words);
    };
    const auto put = [&](const std::string& payload, const std::string& key = "a") {
      const Ran ran = call({"set", "-k", key, "--id", "i" + key, "--account", "acme", "--flow", "kept", "-p", payload});
      ASSERT_EQ(ran.code, 0) << kind << ran.err;
    };
    const auto when = [&](const std::string& key = "a") { return call({"get", key, "--json"}).json()["created_at"].get<std::string>(); };
    const auto at = [&](const std::string& moment) {
      const Ran ran = call({"get", "a", "--at", moment});
      return ran.code == 0 ? ran.out : "exit " + std::to_string(ran.code) + " " + ran.err;
    };
    // Histories reach back to the process in whose time the server let them begin, and that need not be the first.
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    do {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << kind;
      put("0", "before");
    } while (call({"get", "before", "--at", when("before")}).code != 0);
    ASSERT_EQ(call({"delete", "before"}).code, 0);
    put("1");
    const std::string first = when();
    put("2");
    const std::string second = when();
    ASSERT_LT(first, second);
    EXPECT_EQ(at(first), "1") << kind;
    EXPECT_EQ(at(second), "2") << kind;
    ASSERT_EQ(call({"delete", "a"}).code, 0);
    put("3");
    EXPECT_EQ(at(first), "1") << kind;
    EXPECT_EQ(at(second), "2") << kind;
    EXPECT_EQ(at(when()), "3") << kind;
    EXPECT_EQ(at("2000-01-01T00:00:00Z").substr(0, 6), "exit 1") << kind;
    const Ran restored = call({"archive", "restore", "--at", first, "--overwrite", "--json"});
    ASSERT_EQ(restored.code, 0) << kind << restored.err;
    EXPECT_EQ(restored.json()["restored"], 1) << kind;
    EXPECT_EQ(call({"get", "a"}).out, "1") << kind;
    EXPECT_EQ(call({"archive", "drop", "--collection", options.collection, "--yes"}).code, 0) << kind;
  }
}

TEST_P(MongoArchives, the_example_archives_there_and_cleans_up) {
  ::setenv("SETGET_BUILD_DIR", SETGET_BUILD, 1);
  const auto uri = mongo_test::shared_server(GetParam()).uri("example");
  const auto command = std::string("bash " SETGET_SOURCE "/examples/run --archive '") + uri + "' >" + (folder / "out").string() + " 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::ifstream out(folder / "out");
  std::stringstream text;
  text << out.rdbuf();
  EXPECT_NE(text.str().find("of store and archive are equal"), std::string::npos) << text.str();
  EXPECT_NE(text.str().find("read through   "), std::string::npos) << text.str();
  EXPECT_NE(text.str().find("restored       "), std::string::npos) << text.str();
  EXPECT_NE(text.str().find("cleaned up     the archive's collections"), std::string::npos) << text.str();
  EXPECT_NE(text.str().find("All is as it must be."), std::string::npos) << text.str();
}

INSTANTIATE_TEST_SUITE_P(Servers, MongoArchives, ::testing::ValuesIn(mongo_test::kinds()),
                         [](const auto& test) { return mongo_test::name_of(test.param); });

}  // namespace
}  // namespace cli_test
