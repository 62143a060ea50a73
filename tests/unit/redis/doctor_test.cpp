// What the doctor makes of crafted facts, and what it finds on real servers.
#include "redis/doctor.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support/redis_server.hpp"

#include <setget/redis.hpp>

namespace setget::inline v0::redis {
namespace {

using Level = Finding::Level;

constexpr const char* kNodes =
    "aa 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-5460\n"
    "bb 127.0.0.1:7002@17002 master - 0 0 2 connected 5461-10922 [93-<-aa]\n"
    "cc 127.0.0.1:7003@17003 master - 0 0 3 connected 10923-16383\n"
    "dd 127.0.0.1:7004@17004 slave aa 0 0 1 connected\n"
    "ee 127.0.0.1:7005@17005 slave bb 0 0 2 connected\n"
    "ff 127.0.0.1:7006@17006 slave cc 0 0 3 connected\n";

ServerReport sound_server() {
  ServerReport server{.name = "10.0.0.1:6379"};
  server.info = {
      {"redis_version", "7.0.15"},  {"maxmemory_policy", "noeviction"}, {"evicted_keys", "0"},
      {"used_memory", "104857600"}, {"maxmemory", "1073741824"},        {"total_system_memory", "4294967296"},
      {"aof_enabled", "1"},         {"aof_last_write_status", "ok"},    {"rdb_last_bgsave_status", "ok"},
      {"role", "master"},           {"connected_slaves", "1"},          {"slave0", "ip=10.0.0.2,port=6379,state=online,offset=1,lag=0"},
      {"latest_fork_usec", "900"},  {"connected_clients", "4"},         {"maxclients", "10000"}};
  server.config = {
      {"appendonly", "yes"}, {"appendfsync", "always"}, {"aof-load-truncated", "no"}, {"save", ""}, {"min-replicas-to-write", "1"}};
  server.clock_ahead = Milliseconds(3);
  server.round_trip = Milliseconds(1);
  return server;
}

StoreReport sound() {
  StoreReport report{.prefix = "setget"};
  report.root = Fields{{"format", "1"}, {"min_reader", "1"}, {"min_writer", "1"}, {"uuid", "ab"}, {"epoch", "1"}, {"shards", "1"}};
  report.servers = {sound_server()};
  return report;
}

std::string listed(const std::vector<Finding>& findings) {
  std::string all;
  for (const auto& finding : findings) {
    all += finding.level == Level::kOk ? "ok      " : finding.level == Level::kWarning ? "warning " : "error   ";
    all += finding.what + '\n';
  }
  return all;
}

bool has(const std::vector<Finding>& findings, Level level, std::string_view what) {
  return std::ranges::any_of(findings, [&](const Finding& finding) {
    return finding.level == level && finding.what.find(what) != std::string::npos && (level == Level::kOk || !finding.fix.empty());
  });
}

// One fact of the server's INFO, or of its CONFIG, is different: what is found then.
std::vector<Finding> with_info(const std::string& name, const std::string& value) {
  auto report = sound();
  report.servers[0].info[name] = value;
  return judge(report);
}
std::vector<Finding> with_config(const std::string& name, const std::string& value) {
  auto report = sound();
  (*report.servers[0].config)[name] = value;
  return judge(report);
}

#define EXPECT_FINDS(findings, level, what)                       \
  do {                                                            \
    const auto found = (findings);                                \
    EXPECT_TRUE(has(found, Level::level, what)) << listed(found); \
  } while (false)

TEST(RedisDoctor, a_sound_server_is_called_sound) {
  const auto findings = judge(sound());
  EXPECT_TRUE(std::ranges::all_of(findings, [](const Finding& finding) { return finding.level == Level::kOk; })) << listed(findings);
  EXPECT_FINDS(findings, kOk, "10.0.0.1:6379: eviction: noeviction");
}

TEST(RedisDoctor, eviction_of_any_key_is_an_error_and_of_keys_with_a_ttl_a_warning) {
  for (const char* policy : {"allkeys-lru", "allkeys-lfu", "allkeys-random"})
    EXPECT_FINDS(with_info("maxmemory_policy", policy), kError, policy);
  for (const char* policy : {"volatile-lru", "volatile-ttl"}) EXPECT_FINDS(with_info("maxmemory_policy", policy), kWarning, policy);
  auto report = sound();
  report.servers[0].info["maxmemory_policy"] = "volatile-lru";
  report.servers[0].info["evicted_keys"] = "7";
  EXPECT_FINDS(judge(report), kError, "7 keys");
}

TEST(RedisDoctor, says_what_a_restart_takes) {
  EXPECT_FINDS(judge(sound()), kOk, "durability \"disk\"");
  EXPECT_FINDS(with_config("appendfsync", "everysec"), kWarning, "every second");
  EXPECT_FINDS(with_config("appendfsync", "no"), kWarning, "appendfsync no");
  EXPECT_FINDS(with_config("aof-load-truncated", "yes"), kWarning, "half of that script");
  auto report = sound();
  report.servers[0].info["aof_enabled"] = "0";
  (*report.servers[0].config)["appendonly"] = "no";
  EXPECT_FINDS(judge(report), kWarning, "persistence: none");
  (*report.servers[0].config)["save"] = "3600 1";
  EXPECT_FINDS(judge(report), kWarning, "snapshots only");
  EXPECT_FINDS(with_info("rdb_last_bgsave_status", "err"), kError, "snapshot failed");
  EXPECT_FINDS(with_info("aof_last_write_status", "err"), kError, "could not be written");
}

TEST(RedisDoctor, watches_the_room_that_is_left) {
  EXPECT_FINDS(with_info("used_memory", "912680550"), kOk, "(85 %)");  // at most 85 %
  EXPECT_FINDS(with_info("used_memory", "934155386"), kWarning, "(87 %)");
  EXPECT_FINDS(with_info("used_memory", "1041529569"), kError, "(97 %)");
  EXPECT_FINDS(with_info("maxmemory", "0"), kWarning, "of the machine's 4096 MiB; maxmemory is not set");
  auto report = sound();
  report.servers[0].info["maxmemory"] = "0";
  report.servers[0].info["used_memory"] = "4000000000";
  EXPECT_FINDS(judge(report), kError, "maxmemory is not set");
}

TEST(RedisDoctor, knows_which_versions_do) {
  EXPECT_FINDS(with_info("redis_version", "6.0.16"), kError, "too old");
  EXPECT_FINDS(with_info("redis_version", "6.2.0"), kWarning, "6.2.0 works");
  EXPECT_FINDS(with_info("redis_version", "10.1.0"), kOk, "10.1.0");
  EXPECT_FINDS(with_info("redis_version", ""), kWarning, "not told");
}

TEST(RedisDoctor, looks_at_the_replicas) {
  EXPECT_FINDS(with_info("role", "slave"), kError, "takes no writes");
  EXPECT_FINDS(with_info("slave0", "ip=10.0.0.2,port=6379,state=wait_bgsave,offset=1,lag=0"), kWarning, "wait_bgsave");
  EXPECT_FINDS(with_info("slave0", "ip=10.0.0.2,port=6379,state=online,offset=1,lag=42"), kWarning, "42 s ago");
  EXPECT_FINDS(with_config("min-replicas-to-write", "0"), kWarning, "min-replicas-to-write is 0");
  auto report = sound();
  report.servers[0].info["connected_slaves"] = "0";
  EXPECT_FINDS(judge(report), kOk, "replication: none");
  report.topology = Topology::kSentinel;
  EXPECT_FINDS(judge(report), kWarning, "nobody to take over");
}

TEST(RedisDoctor, believes_no_number_of_replicas_that_it_is_not_told_of) {
  for (const char* many : {"2", "9000000000000000000"}) {
    const auto findings = with_info("connected_slaves", many);
    EXPECT_FINDS(findings, kWarning, std::string(many) + " replicas are connected, and the server tells of 1");
    EXPECT_FINDS(findings, kOk, std::string("1 of ") + many + " replicas follow");
    EXPECT_EQ(std::ranges::count(findings, Level::kWarning, &Finding::level), 1);
  }
}

TEST(RedisDoctor, holds_wait_replicas_against_the_replicas_that_are_online) {
  auto report = sound();
  const auto says = [&](std::string_view what) { return listed(judge(report)).find(what) != std::string::npos; };
  EXPECT_FALSE(says("wait_replicas")) << "nothing is waited for";
  report.wait_replicas = 1;
  EXPECT_FINDS(judge(report), kOk, "waits for 1 of 1 replicas");
  report.servers[0].info["slave0"] = "ip=10.0.0.2,port=6379,state=send_bulk,offset=1,lag=0";
  EXPECT_FINDS(judge(report), kWarning, "0 of the 1 replicas that a write waits for (wait_replicas)");
  report.servers[0].info["connected_slaves"] = "0";
  EXPECT_FINDS(judge(report), kWarning, "0 of the 1 replicas");
  report = sound();
  report.wait_replicas = 2;
  EXPECT_FINDS(judge(report), kWarning, "1 of the 2 replicas");
}

TEST(RedisDoctor, a_cluster_must_serve_all_slots_and_each_master_have_a_replica) {
  auto report = sound();
  report.topology = Topology::kCluster;
  auto& server = report.servers[0];
  server.cluster = {{"cluster_state", "ok"}, {"cluster_slots_assigned", "16384"}, {"cluster_slots_ok", "16384"}};
  server.nodes = kNodes;
  auto findings = judge(report);
  EXPECT_TRUE(std::ranges::all_of(findings, [](const Finding& finding) { return finding.level == Level::kOk; })) << listed(findings);
  EXPECT_FINDS(findings, kOk, "3 masters serve slots");

  server.cluster = {{"cluster_state", "fail"}, {"cluster_slots_assigned", "16384"}, {"cluster_slots_ok", "10923"}};
  server.nodes.replace(server.nodes.find("slave bb"), 8, "slave,fail bb");
  findings = judge(report);
  EXPECT_FINDS(findings, kError, "state fail");
  EXPECT_FINDS(findings, kError, "10923 are served");
  EXPECT_FINDS(findings, kError, "node 127.0.0.1:7005 is down");
  EXPECT_FINDS(findings, kWarning, "master 127.0.0.1:7002 has no replica");
}

TEST(RedisDoctor, compares_clocks_and_feels_for_slowness) {
  auto report = sound();
  report.servers[0].clock_ahead = Milliseconds(-1500);
  report.servers[0].round_trip = Milliseconds(120);
  report.servers[0].info["latest_fork_usec"] = "350000";
  const auto findings = judge(report);
  EXPECT_FINDS(findings, kWarning, "1500 ms behind");
  EXPECT_FINDS(findings, kWarning, "120 ms");
  EXPECT_FINDS(findings, kWarning, "350 ms");
}

TEST(RedisDoctor, works_where_little_is_permitted) {
  auto report = sound();
  auto& server = report.servers[0];
  server.config.reset();
  server.forbidden = {"zadd", "eval"};
  auto findings = judge(report);
  EXPECT_FINDS(findings, kError, "may not run zadd, eval");
  EXPECT_FINDS(findings, kWarning, "CONFIG GET is not permitted");
  server.info.clear();
  findings = judge(report);
  EXPECT_FINDS(findings, kWarning, "memory: not told");
  EXPECT_FINDS(findings, kWarning, "eviction: the policy is not told");
}

TEST(RedisDoctor, a_root_of_another_program_or_a_newer_format_is_an_error) {
  auto report = sound();
  report.root->at("min_reader") = "99";
  EXPECT_FINDS(judge(report), kError, "this version reads and writes");
  report.root = Fields{{"name", "session"}};
  EXPECT_FINDS(judge(report), kError, "is not the root");
  report.root.reset();
  EXPECT_FINDS(judge(report), kOk, "none under \"setget\" yet");
}

TEST(RedisDoctor, a_server_that_does_not_answer_is_a_finding_among_those_that_do) {
  auto report = sound();
  report.servers.push_back({.name = "10.0.0.9:6379", .unreachable = "refused"});
  EXPECT_FINDS(judge(report), kError, "10.0.0.9:6379: cannot be asked: refused");
  EXPECT_FINDS(judge(report), kOk, "10.0.0.1:6379: version");
}

TEST(RedisDoctor, examines_a_real_server_and_changes_nothing_on_it) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer server;
  auto database = open({.uri = server.uri()});
  ASSERT_TRUE(database) << database.error().describe();
  const auto before = server.cli({"DEBUG", "DIGEST"});
  auto findings = database->doctor();
  ASSERT_TRUE(findings) << findings.error().describe();
  EXPECT_FINDS(*findings, kOk, "eviction: noeviction");
  EXPECT_FINDS(*findings, kWarning, "maxmemory is not set");
  EXPECT_FINDS(*findings, kOk, "rights: the user may run every command");
  EXPECT_FINDS(*findings, kOk, "clock: as this machine's");
  EXPECT_FINDS(*findings, kOk, "under \"setget\", epoch 1, 1 shards");
  EXPECT_EQ(server.cli({"DEBUG", "DIGEST"}), before);

  server.cli({"CONFIG", "SET", "maxmemory", "64mb"});
  server.cli({"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"});
  server.cli({"CONFIG", "SET", "appendonly", "yes"});
  findings = database->doctor();
  ASSERT_TRUE(findings) << findings.error().describe();
  EXPECT_FINDS(*findings, kError, "allkeys-lru");
  EXPECT_FINDS(*findings, kWarning, "every second");
  EXPECT_FINDS(*findings, kWarning, "aof-load-truncated yes");
  server.cli({"CONFIG", "SET", "aof-load-truncated", "no"});
  EXPECT_FALSE(has(database->doctor().value(), Level::kWarning, "aof-load-truncated"));
  EXPECT_FALSE(has(*findings, Level::kWarning, "maxmemory is not set"));
}

TEST(RedisDoctor, notices_on_a_real_master_that_the_replica_it_waits_for_is_gone) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer master;
  redis_test::RedisServer replica({.arguments = {"--replicaof", "127.0.0.1", std::to_string(master.port())}});
  const auto online = [&] { return master.cli({"INFO", "replication"}).find("state=online") != std::string::npos; };
  ASSERT_TRUE(redis_test::eventually(online));
  auto database = open({.uri = master.uri(), .wait_replicas = 1, .wait_timeout = Milliseconds(4'000)});
  ASSERT_TRUE(database) << database.error().describe();
  EXPECT_FINDS(database->doctor().value(), kOk, "waits for 1 of 1 replicas");
  replica.stop();
  ASSERT_TRUE(redis_test::eventually([&] { return !online(); }));
  EXPECT_FINDS(database->doctor().value(), kWarning, "0 of the 1 replicas that a write waits for (wait_replicas)");
}

TEST(RedisDoctor, names_what_the_user_may_not_do) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer server;
  server.cli({"ACL", "SETUSER", "narrow", "on", ">secret", "~*", "+@all", "-config", "-ltrim", "-unlink"});
  auto database = open({.uri = server.uri("", "narrow:secret@")});
  ASSERT_TRUE(database) << database.error().describe();
  const auto findings = database->doctor();
  ASSERT_TRUE(findings) << findings.error().describe();
  EXPECT_FINDS(*findings, kError, "may not run unlink, ltrim");
  EXPECT_FINDS(*findings, kWarning, "CONFIG GET is not permitted");
  for (const auto& finding : *findings) EXPECT_EQ((finding.what + finding.fix).find("secret"), std::string::npos) << finding.what;
}

// Every word of the sources that is the name of a command, as the scripts and the code between them have it: in capitals and in quotes.
std::set<std::string> commands_of_the_sources(const redis_test::RedisServer& server) {
  std::set<std::string> known;
  std::istringstream list(server.cli({"COMMAND", "LIST"}));
  for (std::string name; std::getline(list, name);) known.insert(name);
  std::set<std::string> used;
  const std::regex quoted("[\"']([A-Z]+)[\"']");
  for (const auto& file : std::filesystem::directory_iterator(SETGET_SOURCE "/src/redis")) {
    std::stringstream text;
    text << std::ifstream(file.path()).rdbuf();
    const auto all = text.str();
    for (std::sregex_iterator at(all.begin(), all.end(), quoted), end; at != end; ++at) {
      auto name = (*at)[1].str();
      std::ranges::transform(name, name.begin(), [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
      if (known.contains(name)) used.insert(name);
    }
  }
  return used;
}

TEST(RedisDoctor, misses_each_command_of_the_sources_that_the_user_may_not_run) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer server;
  redis_test::RedisServer replica({.arguments = {"--replicaof", "127.0.0.1", std::to_string(server.port())}});
  ASSERT_TRUE(redis_test::eventually([&] { return server.cli({"INFO", "replication"}).find("state=online") != std::string::npos; }));
  server.cli({"ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all"});
  auto database = open({.uri = server.uri("", "app:secret@"), .wait_replicas = 1});
  ASSERT_TRUE(database) << database.error().describe();
  EXPECT_FINDS(database->doctor().value(), kOk, "rights: the user may run every command");

  auto used = commands_of_the_sources(server);
  EXPECT_TRUE(used.contains("msetnx") && used.contains("hvals") && used.contains("strlen") && used.contains("zrangebylex"))
      << "the commands of code and of scripts are found";
  // Without these no connection is made, or it is made as well.
  for (const char* name : {"auth", "hello", "select", "ping", "client"}) EXPECT_EQ(used.erase(name), 1U) << name;
  // Of masters behind sentinels, who are believed without it; of clusters only.
  for (const char* name : {"role", "cluster", "asking"}) EXPECT_EQ(used.erase(name), 1U) << name;
  // The doctor itself does without, and says so; the report on memory fails by itself.
  for (const char* name : {"config", "time", "dbsize", "memory"}) EXPECT_EQ(used.erase(name), 1U) << name;
  // An argument of SCAN, and an answer of a server.
  for (const char* name : {"type", "readonly"}) EXPECT_EQ(used.erase(name), 1U) << name;
  for (const auto& name : used) {
    SCOPED_TRACE(name);
    server.cli({"ACL", "SETUSER", "app", "+@all", "-" + name});
    const auto findings = database->doctor();
    // Without the root there is nothing to judge, and that is what it says.
    if (!findings) {
      EXPECT_NE(findings.error().describe().find("'" + name + "'"), std::string::npos) << findings.error().describe();
      continue;
    }
    EXPECT_FINDS(*findings, kError, "may not run " + name);
    EXPECT_FALSE(has(*findings, Level::kOk, "rights:"));
  }
  // And it asks for no more than these.
  std::vector<std::string> rights = {"ACL", "SETUSER", "app", "-@all", "+auth", "+client"};
  for (const auto& name : used) rights.push_back("+" + name);
  server.cli(rights);
  EXPECT_FINDS(database->doctor().value(), kOk, "rights: the user may run every command");
}

// docs/redis.md recommends this user.
TEST(RedisDoctor, the_documented_user_may_do_all_that_is_needed) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer server;
  server.cli({"SET", "another", "program"});
  server.cli({"ACL", "SETUSER", "app", "on", ">secret", "~setget:*", "&*", "+@all", "-@dangerous", "+info", "+config|get", "+cluster",
              "+scan", "+memory"});
  auto database = open({.uri = server.uri("", "app:secret@")});
  ASSERT_TRUE(database) << database.error().describe();
  const auto findings = database->doctor();
  ASSERT_TRUE(findings) << findings.error().describe();
  EXPECT_FINDS(*findings, kOk, "rights: the user may run every command");
  const auto report = database->memory();
  ASSERT_TRUE(report) << report.error().describe();
  EXPECT_EQ(report->looked_at, 3u);  // the store, its part, and the other program
}

TEST(RedisDoctor, without_multi_nothing_is_tried) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer server;
  server.cli({"ACL", "SETUSER", "narrow", "on", ">secret", "~*", "+@all", "-multi"});
  auto database = open({.uri = server.uri("", "narrow:secret@")});
  ASSERT_TRUE(database) << database.error().describe();
  const auto findings = database->doctor();
  ASSERT_TRUE(findings) << findings.error().describe();
  EXPECT_FINDS(*findings, kError, "may not run multi");
  EXPECT_EQ(server.cli({"KEYS", "*doctor*"}), "");
}

TEST(RedisDoctor, a_server_that_is_away_is_a_failure_not_a_clean_bill) {
  SETGET_REQUIRE_REDIS();
  redis_test::RedisServer server;
  auto database = open({.uri = server.uri("?connect_timeout=200ms")});
  ASSERT_TRUE(database);
  server.stop();
  const auto findings = database->doctor(Deadline::in(Milliseconds(2'000)));
  ASSERT_FALSE(findings) << listed(*findings);
  EXPECT_TRUE(findings.error().retryable()) << findings.error().describe();
}

TEST(RedisDoctor, examines_every_master_of_a_cluster) {
  SETGET_REQUIRE_REDIS();
  redis_test::ClusterGroup cluster(6, 1, {}, redis_test::kNoneDies);
  ASSERT_TRUE(redis_test::eventually([&] { return cluster.healthy(); }));
  auto database = open({.uri = cluster.uri()});
  ASSERT_TRUE(database) << database.error().describe();
  const auto findings = database->doctor();
  ASSERT_TRUE(findings) << findings.error().describe();
  EXPECT_FINDS(*findings, kOk, "all 16384 slots are served");
  for (auto* master : cluster.masters()) EXPECT_FINDS(*findings, kOk, master->address() + ": version");
}

}  // namespace
}  // namespace setget::inline v0::redis
