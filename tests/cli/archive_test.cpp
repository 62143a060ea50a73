#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include <setget/sqlite.hpp>

#include "command.hpp"
#include "restore_kill.hpp"

namespace cli_test {
namespace {

class Archives : public Command {
 protected:
  // As if the archive had been damaged behind setget's back.
  void lose_from_archive(const std::string& id) {
    setget::sqlite::Options options;
    options.path = (folder / "archive.db").string();
    auto database = setget::sqlite::open(std::move(options));
    ASSERT_TRUE(database) << database.error().describe();
    const setget::ArchiveId lost{"", id};
    ASSERT_EQ(database->archive()->remove({&lost, 1}).value(), 1u);
  }
};

const std::vector<std::string> kSeparate = {"--archive", "sqlite:archive.db"};

std::vector<std::string> with(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

TEST_F(Archives, verify_tells_equal_different_and_unknown_apart) {
  EXPECT_EQ(run({"archive", "verify"}).code, 1);  // there is no store
  set("a", "1", with({"--id", "i"}, kSeparate));
  EXPECT_EQ(run(with({"archive", "status"}, kSeparate)).code, 2);  // never run
  EXPECT_EQ(run(with({"archive", "run", "--json"}, kSeparate)).json()["written"], 1);
  EXPECT_EQ(run(with({"archive", "verify", "--deep"}, kSeparate)).code, 0);
  EXPECT_EQ(run(with({"archive", "status"}, kSeparate)).code, 0);
  EXPECT_EQ(run({"archive", "verify", "--archive", "none"}).code, 1);
  lose_from_archive("i");
  const Ran different = run(with({"archive", "verify", "--json"}, kSeparate));
  EXPECT_EQ(different.code, 2) << different.out << different.err;
  EXPECT_EQ(different.json()["list"][0]["id"], "i");
  EXPECT_EQ(run(with({"archive", "verify", "--repair"}, kSeparate)).code, 2);  // it was different
  EXPECT_EQ(run(with({"archive", "verify", "--deep"}, kSeparate)).code, 0);
  // The archive of another store says nothing about this one.
  set("b", "1", with({"--store", "sqlite:other.db"}, kSeparate));
  EXPECT_EQ(run(with({"archive", "verify", "--store", "sqlite:other.db"}, kSeparate)).code, 1);
}

TEST_F(Archives, get_and_restore_at_a_moment_give_what_was_there_then) {
  write("h.toml", "[flows.kept]\nhistory = true\n");
  const std::vector<std::string> config = {"--config", "h.toml"};
  const auto put = [&](const std::string& payload, const std::string& flow) {
    return run(with({"set", "-k", "a", "--id", "i", "--account", "acme", "--flow", flow, "-p", payload}, config)).code;
  };
  const auto when = [&] { return run(with({"get", "a", "--json"}, config)).json()["created_at"].get<std::string>(); };
  ASSERT_EQ(put("1", "kept"), 0);
  const std::string first = when();
  ASSERT_EQ(put("2", "kept"), 0);
  const std::string second = when();
  ASSERT_LT(first, second);
  EXPECT_EQ(run(with({"get", "a", "--at", first}, config)).out, "1");
  EXPECT_EQ(run(with({"get", "--id", "i", "--at", second}, config)).out, "2");
  EXPECT_EQ(run(with({"get", "other", "--at", second}, config)).code, 2);
  EXPECT_EQ(run(with({"get", "a", "--at", "2000-01-01T00:00:00Z"}, config)).code, 1);
  EXPECT_EQ(run(with({"get", "a", "--at", "yesterday"}, config)).code, 1);
  const Ran without = run({"get", "a", "--at", first});
  EXPECT_EQ(without.code, 1);
  EXPECT_NE(without.err.find("no flow keeps history"), std::string::npos) << without.err;
  EXPECT_EQ(run(with({"archive", "restore", "--at", first, "--overwrite", "--json"}, config)).json()["restored"], 1);
  EXPECT_EQ(run(with({"get", "a"}, config)).out, "1");
}

TEST_F(Archives, a_run_against_another_store_is_refused_unless_adopted) {
  set("a", "1", kSeparate);
  ASSERT_EQ(run(with({"archive", "run"}, kSeparate)).code, 0);
  set("b", "1", with({"--store", "sqlite:other.db"}, kSeparate));
  EXPECT_EQ(run(with({"archive", "run", "--store", "sqlite:other.db"}, kSeparate)).code, 1);
  EXPECT_EQ(run(with({"archive", "run", "--adopt", "--store", "sqlite:other.db"}, kSeparate)).code, 0);
}

TEST_F(Archives, a_store_put_back_from_a_backup_stops_the_run_until_it_is_adopted) {
  write("h.toml", "[archive]\nuri = \"sqlite:archive.db\"\n[flows.kept]\nhistory = true\n");
  const std::vector<std::string> config = {"--config", "h.toml"};
  const auto put = [&](const std::string& id, const std::string& payload) {
    ASSERT_EQ(run(with({"set", "-k", id, "--id", id, "--account", "a", "--flow", "kept", "-p", payload}, config)).code, 0);
  };
  const auto files = {"setget.db", "setget.db-wal"};
  const auto copy_all = [&](const std::filesystem::path& from, const std::filesystem::path& to) {
    for (const char* file : {"setget.db", "setget.db-wal", "setget.db-shm"}) std::filesystem::remove(to / file);
    for (const char* file : files) {
      if (std::filesystem::exists(from / file)) std::filesystem::copy_file(from / file, to / file);
    }
  };
  put("old", "1");
  ASSERT_EQ(run(with({"archive", "run"}, config)).code, 0);
  std::filesystem::create_directory(folder / "backup");
  copy_all(folder, folder / "backup");
  put("old", "2");
  put("lost", "1");
  ASSERT_EQ(run(with({"archive", "run"}, config)).code, 0);
  copy_all(folder / "backup", folder);
  // The change log grows past where it was.
  for (int i = 0; i < 6; ++i) put("new" + std::to_string(i), "1");
  const auto refused = run(with({"archive", "run"}, config));
  EXPECT_EQ(refused.code, 1);
  EXPECT_NE(refused.err.find("an older copy of the one that was archived"), std::string::npos) << refused.err;
  EXPECT_EQ(run(with({"get", "lost", "--read-through"}, config)).out, "1") << "the archive stays as it is";
  ASSERT_EQ(run(with({"archive", "run", "--adopt"}, config)).code, 0);
  ASSERT_EQ(run(with({"archive", "run"}, config)).code, 0);
  for (int i = 0; i < 6; ++i) {
    const auto id = "new" + std::to_string(i);
    const std::string since = run(with({"get", id, "--json"}, config)).json()["created_at"];
    EXPECT_EQ(run(with({"get", id, "--at", since}, config)).out, "1") << "the history goes on";
  }
  const auto verified = run(with({"archive", "verify", "--json"}, config));
  EXPECT_EQ(verified.code, 2);
  const auto report = verified.json();
  std::vector<std::string> different;
  for (const auto& one : report["list"]) different.push_back(one["id"]);
  std::ranges::sort(different);
  EXPECT_EQ(different, (std::vector<std::string>{"lost", "old"})) << verified.out;
}

TEST_F(Archives, restore_brings_a_lost_store_back_with_its_versions) {
  const auto before = set("a", R"({"n": 1})", with({"-k", "b", "--id", "i"}, kSeparate));
  ASSERT_EQ(run(with({"archive", "run"}, kSeparate)).code, 0);
  for (const char* file : {"setget.db", "setget.db-wal", "setget.db-shm", "setget.db-lock"}) std::filesystem::remove(folder / file);
  EXPECT_EQ(run(with({"archive", "restore", "--dry-run", "--json"}, kSeparate)).json()["restored"], 1);
  EXPECT_FALSE(std::filesystem::exists(folder / "setget.db")) << "counting makes no store";
  const auto restored = run(with({"archive", "restore", "--json"}, kSeparate)).json();
  EXPECT_EQ(restored["restored"], 1);
  EXPECT_EQ(restored["into_empty_store"], true);
  EXPECT_EQ(run(with({"get", "b"}, kSeparate)).out, R"({"n": 1})");
  EXPECT_EQ(run(with({"get", "a", "--json"}, kSeparate)).json()["version"], before["version"]);
}

TEST_F(Archives, a_restore_refuses_the_state_of_another_and_leaves_none_behind) {
  for (int i = 0; i < 3; ++i) set("k" + std::to_string(i), "1", kSeparate);
  ASSERT_EQ(run(with({"archive", "run"}, kSeparate)).code, 0);
  for (const char* file : {"setget.db", "setget.db-wal", "setget.db-shm", "setget.db-lock"}) std::filesystem::remove(folder / file);
  const auto state = (folder / "restore.state").string();
  const auto refused = [&](const std::vector<std::string>& flags) {
    auto words = std::vector<std::string>{"archive", "restore", "--state", state};
    words.insert(words.end(), flags.begin(), flags.end());
    const auto result = run(with(words, kSeparate));
    EXPECT_EQ(result.code, 1);
    return result.err;
  };
  std::ofstream(state) << R"({"format":1,"conditions":"{\"overwrite\":false}","store":"another","epoch":1,"started_at":0,)"
                       << R"("into_empty_store":true,"cursor":[],"considered":7,"restored":7,"overwritten":0,)"
                       << R"("skipped_expired":0,"skipped_present":0})";
  EXPECT_NE(refused({"--flow", "f"}).find("other conditions"), std::string::npos);
  EXPECT_NE(refused({}).find("another store"), std::string::npos);
  std::ofstream(state) << "[]";
  EXPECT_NE(refused({}).find("not the state of a restore"), std::string::npos);
  std::filesystem::remove(state);
  const auto restored = run(with({"archive", "restore", "--state", state, "--json"}, kSeparate)).json();
  EXPECT_EQ(restored["resumed"], false);
  EXPECT_EQ(restored["restored"], 3);
  EXPECT_FALSE(std::filesystem::exists(state));
  EXPECT_EQ(run(with({"archive", "restore", "--ttl", "x", "--include-expired"}, kSeparate)).code, 64);
}

TEST_F(Archives, a_restore_that_is_killed_again_and_again_brings_an_empty_store_back) {
  write("kill.toml", "[archive]\nuri = \"sqlite:archive.db\"\n");
  RestoreKills(folder, "kill.toml", 25, 6'000).into_an_empty_store();
}

TEST_F(Archives, a_restore_over_live_data_that_is_killed_again_and_again_leaves_what_came_later) {
  write("kill.toml", "[archive]\nuri = \"sqlite:archive.db\"\n");
  RestoreKills(folder, "kill.toml", 25, 6'000).over_live_data();
}

// For so long that whoever ends a run at the rate of 400 a second, once it has said how far it is, does not come too late.
constexpr int kMany = 10'000;
std::string many_lines() {
  std::string lines;
  for (int i = 0; i < kMany; ++i) {
    lines += R"({"keys":["k)" + std::to_string(i) + R"("],"account":"acme","flow":"orders","payload":1})" + "\n";
  }
  return lines;
}

TEST_F(Archives, a_run_says_how_far_it_is_keeps_to_its_rate_and_can_be_interrupted) {
  ASSERT_EQ(run(with({"load", "-"}, kSeparate), many_lines()).code, 0);
  ASSERT_EQ(run(with({"queue", "drain"}, kSeparate)).code, 0);
  const auto slow = with({"archive", "run", "--json", "--progress", "--rate", "400"}, kSeparate);
  Ran ran;
  ASSERT_TRUE(run_and_interrupt(folder, slow, "archive run:", ran)) << ran.err;
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("cancelled"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find(" of 10000 records"), std::string::npos) << ran.err;
  const auto half_of_the_time = with({"archive", "run", "--json", "--busy-percent", "50"}, kSeparate);
  auto rest = run(half_of_the_time);
  ASSERT_EQ(rest.code, 0) << rest.err;
  EXPECT_LT(rest.json()["read"], kMany) << "what was done stays done";
  const auto rested = [&] { return rest.json()["took_ms"].get<int>() + 1 >= 2 * rest.json()["worked_ms"].get<int>() * 9 / 10; };
  // No rest follows what a run does last: one that the machine held up there is made again, into an empty archive.
  for (int again = 0; again < 5 && !rested(); ++again) {
    for (const char* file : {"archive.db", "archive.db-wal", "archive.db-shm", "archive.db-lock"}) std::filesystem::remove(folder / file);
    rest = run(half_of_the_time);
    ASSERT_EQ(rest.code, 0) << rest.err;
  }
  EXPECT_TRUE(rested()) << rest.out;
  EXPECT_EQ(run(with({"archive", "verify", "--deep"}, kSeparate)).code, 0);
  EXPECT_EQ(run(with({"archive", "run", "--busy-percent", "0"}, kSeparate)).code, 64);
}

TEST_F(Archives, a_file_that_is_not_there_does_not_become_an_empty_archive) {
  set("a", "1");
  const std::vector<std::vector<std::string>> commands = {
      {"archive", "verify"},     {"archive", "verify", "--deep"}, {"archive", "restore"},        {"archive", "restore", "--dry-run"},
      {"archive", "quarantine"}, {"archive", "status"},           {"get", "a", "--read-through"}};
  for (const auto& command : commands) {
    const auto ran = run(with(command, {"--archive", "sqlite:typo.db", "--json"}));
    EXPECT_EQ(ran.code, 1) << command[1] << ran.out;
    const auto error = nlohmann::json::parse(ran.err);
    EXPECT_EQ(error["error"], "not_found") << ran.err;
    EXPECT_EQ(error["field"], "archive") << ran.err;
    EXPECT_FALSE(std::filesystem::exists(folder / "typo.db")) << command[1];
  }
  EXPECT_EQ(run({"archive", "restore", "--store", "sqlite:none.db"}).code, 1) << "its archive would be in the same file";
  EXPECT_FALSE(std::filesystem::exists(folder / "none.db"));
}

TEST_F(Archives, status_says_what_each_of_the_last_runs_did) {
  set("a", "1", kSeparate);
  ASSERT_EQ(run(with({"archive", "run"}, kSeparate)).code, 0);
  ASSERT_EQ(run({"delete", "a"}).code, 0);
  ASSERT_EQ(run(with({"archive", "run"}, kSeparate)).code, 0);
  const auto status = run(with({"archive", "status"}, kSeparate));
  EXPECT_EQ(status.code, 0);
  EXPECT_NE(status.out.find("read 1, written 1, tombstones 0\n"), std::string::npos) << status.out;
  EXPECT_NE(status.out.find("read 1, written 0, tombstones 1\n"), std::string::npos) << status.out;
  EXPECT_EQ(run(with({"archive", "status", "--json"}, kSeparate)).json()["history"].size(), 2u);
}

TEST_F(Archives, restoring_from_an_archive_that_nothing_was_written_into_fails) {
  set("a", "1", kSeparate);
  const auto ran = run(with({"archive", "restore", "--json", "--store", "sqlite:other.db"}, kSeparate));
  EXPECT_EQ(ran.code, 1) << ran.out;
  EXPECT_EQ(nlohmann::json::parse(ran.err)["error"], "failed_precondition");
}

TEST_F(Archives, a_get_reads_through_where_it_is_asked_to) {
  set("a", R"({"n": 1})", with({"-k", "b", "--id", "i"}, kSeparate));
  ASSERT_EQ(run(with({"archive", "run"}, kSeparate)).code, 0);
  write("patient.toml", "[archive]\nread_timeout = \"60s\"\n");
  const auto fresh = with({"--store", "sqlite:fresh.db", "--config", "patient.toml"}, kSeparate);
  set("c", "2", fresh);
  EXPECT_EQ(run(with({"get", "a"}, fresh)).code, 2);
  const auto found = run(with({"get", "a", "--read-through"}, fresh));
  EXPECT_EQ(found.code, 0) << found.err;
  EXPECT_EQ(found.out, R"({"n": 1})");
  EXPECT_EQ(run(with({"get", "b", "--read-through", "--json"}, fresh)).json()["tier"], "archive");
  EXPECT_EQ(run(with({"get", "--id", "i", "--read-through", "--json"}, fresh)).json()["tier"], "archive");
  EXPECT_EQ(run(with({"get", "c", "--read-through", "--json"}, fresh)).json()["tier"], "store");
  EXPECT_EQ(run(with({"get", "nothing", "--read-through"}, fresh)).code, 2);
  EXPECT_EQ(run({"get", "a", "--read-through", "--store", "sqlite:fresh.db", "--archive", "none"}).code, 1);
}

TEST_F(Archives, a_delete_reaches_what_only_the_archive_has) {
  write("through.toml",
        "[store]\nuri = \"sqlite:fresh.db\"\n[archive]\nuri = \"sqlite:archive.db\"\nread_through = true\nread_timeout = \"60s\"\n");
  set("a", "1", with({"-k", "b", "--id", "i"}, kSeparate));
  ASSERT_EQ(run(with({"archive", "run"}, kSeparate)).code, 0);
  set("c", "2", {"--config", "through.toml"});
  EXPECT_EQ(run({"get", "a", "--config", "through.toml"}).code, 0);
  EXPECT_EQ(run({"delete", "b", "--config", "through.toml"}).code, 0);
  for (const char* key : {"a", "b"}) EXPECT_EQ(run({"get", key, "--config", "through.toml"}).code, 2) << key;
  EXPECT_EQ(run({"archive", "run", "--adopt", "--config", "through.toml"}).code, 0);
  EXPECT_EQ(run({"archive", "verify", "--deep", "--config", "through.toml"}).code, 0);
}

TEST_F(Archives, what_names_no_archive_is_said_clearly_and_shows_no_password) {
  set("a", "1");
  for (const std::string uri :
       {"nothing", "other://host", "sqlite:", "mongodb://", "mongodb://user:secret@/x", "mongodb+srv://user:secret@host/x",
        "mongodb://user:secret@host:99999/x", "redis://user:secret@127.0.0.1:1"}) {
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{"archive", "run"}, {"archive", "verify"}, {"archive", "restore"}}) {
      const auto ran = run(with(command, {"--archive", uri, "--json"}));
      EXPECT_EQ(ran.code, 1) << uri << ran.out << ran.err;
      EXPECT_EQ(ran.out, "") << uri;
      EXPECT_EQ(ran.err.find("secret"), std::string::npos) << ran.err;
      EXPECT_TRUE(nlohmann::json::parse(ran.err).contains("message")) << ran.err;
    }
  }
}

TEST_F(Archives, status_after_a_first_run_that_was_killed_knows_of_no_success) {
  ASSERT_EQ(run(with({"load", "-"}, kSeparate), many_lines()).code, 0);
  Ran ran;
  ASSERT_TRUE(run_and_interrupt(folder, with({"archive", "run", "--progress", "--rate", "400"}, kSeparate), "archive run:", ran, SIGKILL));
  ASSERT_EQ(ran.code, 128 + SIGKILL) << ran.err;
  const auto status = run(with({"archive", "status", "--json"}, kSeparate));
  EXPECT_EQ(status.code, 2) << status.out << status.err;
  EXPECT_TRUE(status.json()["last_success_at"].is_null()) << status.out;
  EXPECT_TRUE(status.json()["last_started_at"].is_string()) << status.out;
  const auto text = run(with({"archive", "status"}, kSeparate));
  EXPECT_NE(text.out.find("last_success_at        none\n"), std::string::npos) << text.out;
  EXPECT_EQ(text.out.find("1970"), std::string::npos) << text.out;
}

TEST_F(Archives, flags_that_mean_nothing_are_wrong_usage) {
  set("a", "1");
  for (const std::vector<std::string>& flags : {std::vector<std::string>{"verify", "--prune"},
                                                {"verify", "--sample", "30"},
                                                {"verify", "--deep", "--sample", "0"},
                                                {"verify", "--max-differences", "-1"},
                                                {"restore", "--ttl", "5s"},
                                                {"restore", "--include-expired", "--ttl", "soon"},
                                                {"restore", "--dry-run", "--state", "f"},
                                                {"run", "extra"},
                                                {"drop"},
                                                {},
                                                {"nothing"}}) {
    EXPECT_EQ(run(with({"archive"}, flags)).code, 64) << (flags.empty() ? "" : flags.back());
  }
  const std::vector<std::pair<std::vector<std::string>, std::string>> bad = {
      {{"--account", "no such name"}, "--account"}, {{"--flow", "a b"}, "--flow"},
      {{"--namespace", "a/b"}, "--namespace"},      {{"--key", std::string(513, 'k')}, "--key"},
      {{"--state", "no/such/folder/f"}, "state"},   {{"--state", "."}, "state"}};
  for (const auto& [flags, field] : bad) {
    const auto ran = run(with({"archive", "restore", "--json"}, flags));
    EXPECT_EQ(ran.code, 1) << field;
    EXPECT_EQ(nlohmann::json::parse(ran.err)["field"], field) << ran.err;
  }
}

TEST_F(Archives, schedules_are_listed_with_their_next_run) {
  set("a", "1");
  const auto jobs = run({"schedule", "list", "--json"}).json()["schedules"];
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0]["name"], "archive");
  EXPECT_TRUE(jobs[0]["next_due"].is_string());
}

#ifdef SETGET_WITH_MONGO
// Takes connections, and says nothing.
class SilentServer {
 public:
  SilentServer() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    port_ = ntohs(address.sin_port);
  }
  ~SilentServer() { ::close(listener_); }
  SilentServer(const SilentServer&) = delete;
  SilentServer& operator=(const SilentServer&) = delete;

  std::string uri() const { return "mongodb://127.0.0.1:" + std::to_string(port_) + "/silent?connectTimeoutMS=300"; }
  // Whether somebody has come since this was asked last.
  bool was_asked() const {
    bool asked = false;
    for (int fd = -1; (fd = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(fd)) asked = true;
    return asked;
  }

 private:
  int listener_;
  std::uint16_t port_ = 0;
};

TEST_F(Archives, a_command_that_wants_nothing_of_an_archive_on_a_server_does_not_ask_it) {
  const SilentServer server;
  write("c.toml", "[archive]\nuri = \"" + server.uri() + "\"\n[mongo]\nconnect_timeout = \"300ms\"\n");
  const std::vector<std::string> config = {"--config", "c.toml"};
  set("a", "1", with({"--id", "i"}, config));
  write("more.ndjson", R"({"id": "b", "keys": ["b"], "account": "acme", "flow": "orders", "payload": 2})");
  EXPECT_EQ(run(with({"load", "more.ndjson"}, config)).code, 0);
  for (const auto& words : std::vector<std::vector<std::string>>{
           {"get", "a"}, {"get", "b"}, {"queue", "stats"}, {"queue", "peek"}, {"queue", "drain"}, {"dlq", "list"}, {"delete", "b"}}) {
    const auto ran = run(with(words, config));
    EXPECT_EQ(ran.code, 0) << words[0] << " " << words[1] << ": " << ran.err;
  }
  EXPECT_FALSE(server.was_asked());
  run(with({"get", "a", "--at", "2026-01-01T00:00:00Z"}, config));
  EXPECT_TRUE(server.was_asked()) << "its history is there";
  run(with({"get", "nothing", "--read-through"}, config));
  EXPECT_TRUE(server.was_asked()) << "it may be there";
  write("c.toml", "[archive]\nuri = \"" + server.uri() + "\"\n[mongo]\nconnect_timeout = \"300ms\"\n[flows.kept]\nhistory = true\n");
  run(with({"set", "-k", "h", "--account", "acme", "--flow", "kept", "-p", "1"}, config));
  EXPECT_TRUE(server.was_asked()) << "histories go there";
}
#endif

}  // namespace
}  // namespace cli_test
