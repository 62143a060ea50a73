#include "command.hpp"

namespace cli_test {
namespace {

using Records = Command;

TEST_F(Records, a_set_is_readable_under_each_of_its_keys_once_set_returns) {
  const auto answer = set("order/42", R"({"total": 12})", {"-k", "crm/9", "--id", "o42"});
  EXPECT_EQ(answer["id"], "o42");
  for (const char* key : {"order/42", "crm/9"}) {
    const Ran got = run({"get", key});
    EXPECT_EQ(got.code, 0);
    EXPECT_EQ(got.out, R"({"total": 12})");
  }
  const Ran by_id = run({"get", "--id", "o42", "--json"});
  EXPECT_EQ(by_id.json()["keys"], (nlohmann::json{"order/42", "crm/9"}));
}

TEST_F(Records, payloads_come_back_byte_for_byte) {
  std::string bytes;
  for (int i = 0; i < 1024; ++i) bytes += static_cast<char>(i);
  write("payload.bin", bytes);
  const std::vector<std::string> from = {"set", "-k", "b", "--account", "a", "--flow", "f", "--content-type", "application/octet-stream"};
  auto from_file = from;
  from_file.insert(from_file.end(), {"-f", "payload.bin"});
  ASSERT_EQ(run(from_file).code, 0);
  EXPECT_EQ(run({"get", "b"}).out, bytes);

  auto from_stdin = from;
  from_stdin.insert(from_stdin.end(), {"-f", "-"});
  ASSERT_EQ(run(from_stdin, bytes + bytes).code, 0);
  EXPECT_EQ(run({"get", "b"}).out, bytes + bytes);
  ASSERT_EQ(run({"get", "b", "-o", "copy.bin"}).code, 0);
  EXPECT_EQ(std::filesystem::file_size(folder / "copy.bin"), 2048u);
}

TEST_F(Records, keys_may_be_bytes_that_are_not_utf8) {
  const std::string key = "k\xff\xfe/1";
  set(key, "1");
  EXPECT_EQ(run({"get", key}).out, "1");
  EXPECT_TRUE(run({"get", key, "--json"}).json().contains("keys_base64"));
}

TEST_F(Records, a_missing_key_is_a_no_and_a_missing_store_a_failure) {
  EXPECT_EQ(run({"get", "x"}).code, 1);
  EXPECT_FALSE(std::filesystem::exists(folder / "setget.db"));  // looking makes nothing
  set("a", "1");
  EXPECT_EQ(run({"get", "x"}).code, 2);
  EXPECT_EQ(run({"get", "x", "--json"}).out, "null\n");
}

TEST_F(Records, delete_erases_what_a_key_leads_to_under_all_its_keys) {
  set("a", "1", {"-k", "b"});
  EXPECT_EQ(run({"delete", "b"}).code, 0);
  EXPECT_EQ(run({"get", "a"}).code, 2);
  EXPECT_EQ(run({"get", "b"}).code, 2);
}

TEST_F(Records, every_violation_is_named_with_its_place) {
  const Ran ran = run({"set", "-k", std::string(600, 'k'), "--account", "not a name", "--flow", "f", "-p", "{"});
  EXPECT_EQ(ran.code, 1);
  for (const char* pointer : {"/keys/0", "/account", "/payload"}) EXPECT_NE(ran.err.find(pointer), std::string::npos) << ran.err;
  const Ran as_json = run({"set", "--json", "-k", "k", "--account", "a b", "--flow", "f", "-p", "1"});
  EXPECT_EQ(nlohmann::json::parse(as_json.err)["violations"][0]["pointer"], "/account") << as_json.err;
}

TEST_F(Records, an_expected_version_that_is_not_there_is_a_no_with_its_reason) {
  set("a", "1", {"--id", "i"});
  const Ran ran =
      run({"set", "--json", "-k", "a", "--id", "i", "--account", "acme", "--flow", "orders", "-p", "2", "--expected-version", "0"});
  EXPECT_EQ(ran.code, 2) << ran.out << ran.err;
  EXPECT_EQ(ran.json()["outcome"], "dead-lettered");
  EXPECT_EQ(ran.json()["reasons"][0]["code"], "precondition_failed");
  EXPECT_EQ(run({"get", "a"}).out, "1");
}

TEST_F(Records, what_a_higher_version_overtook_is_a_no) {
  set("a", "1", {"--id", "i", "--version", "9000000000000000"});
  const Ran kept = run({"delete", "--id", "i", "--json"});
  EXPECT_EQ(kept.code, 2) << kept.out << kept.err;
  EXPECT_EQ(kept.json()["outcome"], "stale");
  const Ran older = run({"set", "-k", "a", "--id", "i", "--account", "acme", "--flow", "orders", "-p", "2", "--version", "5"});
  EXPECT_EQ(older.code, 2) << older.out << older.err;
  EXPECT_EQ(run({"get", "a"}).out, "1");
  EXPECT_EQ(run({"delete", "--id", "i", "--version", "9000000000000001"}).code, 0);
  EXPECT_EQ(run({"get", "a"}).code, 2);
}

TEST_F(Records, a_payload_file_that_cannot_be_read_is_said_by_name) {
  for (const std::string path : {".", "nowhere.json"}) {
    const Ran ran = run({"set", "--json", "-k", "a", "--account", "acme", "--flow", "orders", "-f", path});
    EXPECT_EQ(ran.code, 1);
    const auto error = nlohmann::json::parse(ran.err);
    EXPECT_EQ(error["field"], "--payload-file");
    EXPECT_TRUE(error["message"].get<std::string>().starts_with(path + ": ")) << ran.err;
  }
}

TEST_F(Records, no_wait_queues_and_drain_applies) {
  const Ran queued = run({"set", "--json", "--no-wait", "-k", "a", "--account", "acme", "--flow", "orders", "-p", "1"});
  ASSERT_EQ(queued.code, 0) << queued.err;
  EXPECT_EQ(queued.json()["outcome"], "pending");
  const std::string message = queued.json()["message_id"];
  EXPECT_EQ(run({"get", "a"}).code, 2);
  EXPECT_EQ(run({"message", message, "--json"}).json()["outcome"], "pending");
  EXPECT_EQ(run({"message", message}).code, 2);
  EXPECT_EQ(run({"queue", "drain"}).code, 0);
  EXPECT_EQ(run({"message", message, "--wait", "5s"}).code, 0);
  EXPECT_EQ(run({"get", "a"}).out, "1");
}

TEST_F(Records, terminal_controls_in_stored_bytes_are_shown_not_sent) {
  const Ran ran = run({"get", "x\x1b[31m"});
  EXPECT_EQ(ran.err.find('\x1b'), std::string::npos);
  set("y", "1");
  const Ran missing = run({"get", "x\x1b[31m"});
  EXPECT_NE(missing.err.find("\\x1b"), std::string::npos) << missing.err;
}

TEST_F(Records, usage_errors_are_told_apart_from_failures) {
  EXPECT_EQ(run({}).code, 64);
  EXPECT_EQ(run({"set", "-k", "a"}).code, 64);
  EXPECT_EQ(run({"get"}).code, 64);
  EXPECT_EQ(run({"nonsense"}).code, 64);
  EXPECT_EQ(run({"--help"}).code, 0);
  EXPECT_EQ(run({"--version"}).code, 0);
}

TEST_F(Records, where_accounts_are_isolated_one_is_named) {
  write("c.toml", "isolation = \"account\"\n");
  set("a", "1", {"--config", "c.toml"});
  for (const std::string command : {"get", "delete"}) {
    for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--account", "acme", "--namespace", "globex"}}) {
      std::vector<std::string> arguments{command, "a", "--config", "c.toml", "--json"};
      arguments.insert(arguments.end(), more.begin(), more.end());
      const Ran ran = run(arguments);
      EXPECT_EQ(ran.code, 1) << ran.out << ran.err;
      EXPECT_EQ(nlohmann::json::parse(ran.err).at("field"), "--account") << ran.err;
    }
  }
  EXPECT_EQ(run({"get", "a", "--config", "c.toml", "--account", "acme"}).out, "1");
  EXPECT_EQ(run({"get", "a", "--config", "c.toml", "--account", "globex"}).code, 2);
  EXPECT_EQ(run({"delete", "a", "--config", "c.toml", "--account", "acme"}).code, 0);
}

TEST_F(Records, a_namespace_sees_only_its_own_records) {
  set("a", "1", {"--namespace", "one"});
  EXPECT_EQ(run({"get", "a"}).code, 2);
  EXPECT_EQ(run({"--namespace", "one", "get", "a"}).out, "1");
}

TEST_F(Records, who_only_looks_makes_no_queue_beside_a_store_that_is_no_file) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"get", "a"}, {"queue", "stats"}, {"dlq", "list"}, {"message", "m"}}) {
    auto command = words;
    command.insert(command.end(), {"--store", "memory:"});
    run(command);
    EXPECT_FALSE(std::filesystem::exists(folder / "setget-queue.db")) << words.front();
  }
}

TEST_F(Records, a_payload_file_that_never_ends_is_refused_at_its_limit) {
  const auto ran = run({"set", "-k", "a", "--account", "a", "--flow", "f", "-f", "/dev/zero"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("the limit"), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace cli_test
