#include <fstream>

#include <setget/sqlite.hpp>

#include "command.hpp"

namespace cli_test {
namespace {

using Doctor = Command;

bool finds(const nlohmann::json& report, const std::string& text) {
  for (const auto& finding : report["findings"]) {
    if (finding["what"].get<std::string>().find(text) != std::string::npos) return !finding["fix"].get<std::string>().empty();
  }
  return false;
}

TEST_F(Doctor, names_each_unsafe_setting_with_its_fix) {
  set("a", "1");
  write("unsafe.toml",
        "[server]\nlisten = \"0.0.0.0:8080\"\nadmin_listen = \"0.0.0.0:8081\"\n[queue]\nmax_receives = 0\nvisibility_timeout = \"1s\"\n"
        "[archive]\nuri = \"none\"\n");
  std::filesystem::permissions(folder / "setget.db", std::filesystem::perms::others_read, std::filesystem::perm_options::add);
  const Ran ran = run({"doctor", "--json", "--config", "unsafe.toml"});
  ASSERT_EQ(ran.code, 2) << ran.out << ran.err;
  for (const char* what :
       {"listen = \"0.0.0.0:8080\"", "admin_listen", "max_receives", "visibility_timeout", "never expire", "archive", "every user"}) {
    EXPECT_TRUE(finds(ran.json(), what)) << what << ran.out;
  }
}

TEST_F(Doctor, a_file_that_cannot_even_be_looked_for_hides_nothing_of_the_rest) {
  write("c.toml", "[server]\nlisten = \"0.0.0.0:8080\"\n");
  const std::string name(300, 'x');  // longer than a name may be
  const Ran ran = run({"doctor", "--json", "--config", "c.toml", "--store", "sqlite:" + name});
  EXPECT_EQ(ran.code, 1) << ran.out << ran.err;
  EXPECT_TRUE(finds(ran.json(), "listen = \"0.0.0.0:8080\"")) << ran.out;
  EXPECT_NE(ran.err.find(name), std::string::npos) << ran.err;
  EXPECT_EQ(ran.err.find("there is no store"), std::string::npos) << ran.err;
}

TEST_F(Doctor, a_sound_system_is_called_sound) {
  write("sound.toml", "[ttl]\ndefault = \"30d\"\n[archive]\nuri = \"sqlite:archive.db\"\n");
  set("a", "1", {"--config", "sound.toml"});
  ASSERT_EQ(run({"archive", "run", "--config", "sound.toml"}).code, 0);
  for (const char* file : {"setget.db", "archive.db"}) {
    std::filesystem::permissions(folder / file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  const Ran ran = run({"doctor", "--config", "sound.toml"});
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
}

TEST_F(Doctor, a_run_that_the_schedule_asked_for_and_nobody_made_is_named) {
  write("c.toml", "[ttl]\ndefault = \"30d\"\n[archive]\nuri = \"sqlite:archive.db\"\nschedule = \"@hourly\"\nretry_window = \"10m\"\n");
  set("a", "1", {"--config", "c.toml"});
  ASSERT_EQ(run({"archive", "run", "--config", "c.toml"}).code, 0);
  EXPECT_FALSE(finds(run({"doctor", "--json", "--config", "c.toml"}).json(), "was due at"));
  // As if the last one had been hours ago.
  setget::sqlite::Options options;
  options.path = (folder / "archive.db").string();
  {
    auto database = setget::sqlite::open(std::move(options)).value();
    auto checkpoint = database.archive()->load_checkpoint().value().value();
    checkpoint.last_success_at -= std::chrono::hours(3);
    checkpoint.last_differences = 4;
    ASSERT_TRUE(database.archive()->save_checkpoint(checkpoint));
  }
  const auto late = run({"doctor", "--json", "--config", "c.toml"});
  EXPECT_EQ(late.code, 2);
  EXPECT_TRUE(finds(late.json(), "was due at")) << late.out;
  EXPECT_TRUE(finds(late.json(), "found 4 differences")) << late.out;
}

TEST_F(Doctor, an_archive_of_another_store_is_named) {
  write("c.toml", "[ttl]\ndefault = \"30d\"\n[archive]\nuri = \"sqlite:archive.db\"\n");
  set("a", "1", {"--config", "c.toml"});
  ASSERT_EQ(run({"archive", "run", "--config", "c.toml"}).code, 0);
  set("a", "1", {"--config", "c.toml", "--store", "sqlite:other.db"});
  const auto ran = run({"doctor", "--json", "--config", "c.toml", "--store", "sqlite:other.db"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_TRUE(finds(ran.json(), "belongs to another store")) << ran.out;
  EXPECT_FALSE(finds(ran.json(), "does not go on")) << "running it again would not help: " << ran.out;
}

// The store is not the only file that somebody could read, or that can break.
TEST_F(Doctor, looks_into_the_files_of_queue_and_archive_too) {
  write("c.toml", "[archive]\nuri = \"sqlite:archive.db\"\n[queue]\nuri = \"sqlite:queue.db\"\n");
  set("a", "1", {"--config", "c.toml"});
  ASSERT_EQ(run({"archive", "run", "--config", "c.toml"}).code, 0);
  for (const char* file : {"queue.db", "archive.db"}) {
    std::filesystem::permissions(folder / file, std::filesystem::perms::others_read, std::filesystem::perm_options::add);
  }
  const auto ran = run({"doctor", "--json", "--config", "c.toml"});
  EXPECT_EQ(ran.code, 2);
  for (const std::string file : {"queue.db", "archive.db"}) {
    EXPECT_TRUE(finds(ran.json(), file + " can be read or written by every user")) << ran.out;
    EXPECT_NE(ran.out.find(file + ": integrity check"), std::string::npos) << ran.out;
  }
}

TEST_F(Doctor, what_it_could_not_look_at_is_not_called_well_and_hides_nothing_else) {
  write("c.toml", "[ttl]\ndefault = \"30d\"\n[archive]\nuri = \"sqlite:archive.db\"\n");
  set("a", "1", {"--config", "c.toml"});
  ASSERT_EQ(run({"archive", "run", "--config", "c.toml"}).code, 0);
  for (const char* file : {"archive.db", "archive.db-wal", "archive.db-shm"}) std::filesystem::remove(folder / file);
  std::ofstream(folder / "archive.db") << "this is not a database, however long it is made to look like one";
  const auto text = run({"doctor", "--config", "c.toml"});
  EXPECT_EQ(text.code, 1);
  EXPECT_EQ(text.out.find("\nall is well"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("setget.db: integrity check"), std::string::npos) << text.out;
  const auto json = run({"doctor", "--json", "--config", "c.toml"});
  EXPECT_EQ(json.code, 1);
  EXPECT_EQ(json.json()["safe"], false);
  EXPECT_EQ(json.json()["complete"], false);
}

TEST_F(Doctor, a_damaged_file_is_a_failure_not_a_clean_bill) {
  std::ofstream(folder / "setget.db") << "this is not a database, however long it is made to look like one";
  const Ran ran = run({"doctor"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("corrupted"), std::string::npos) << ran.err;
  EXPECT_EQ(run({"get", "a"}).code, 1);
}

TEST_F(Doctor, ttl_explain_says_which_rule_won) {
  write("c.toml", "[ttl]\ndefault = \"7d\"\n[accounts.acme]\nttl = \"30d\"\n[accounts.acme.flows.orders]\nttl = 90\nmax_ttl = \"2m\"\n");
  const auto explain = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"ttl", "explain", "--json", "--config", "c.toml"};
    words.insert(words.end(), more.begin(), more.end());
    return run(words).json();
  };
  EXPECT_EQ(explain({"--account", "acme", "--flow", "orders"})["ttl_ms"], 90'000);
  EXPECT_EQ(explain({"--account", "acme", "--flow", "other"})["ttl_ms"], 30LL * 86'400'000);
  EXPECT_EQ(explain({"--account", "x", "--flow", "y"})["ttl_ms"], 7LL * 86'400'000);
  const auto clamped = explain({"--account", "acme", "--flow", "orders", "--ttl", "1h"});
  EXPECT_EQ(clamped["ttl_ms"], 120'000);
  EXPECT_EQ(clamped["clamped_from"], "1h");
  EXPECT_FALSE(clamped["explanation"].get<std::string>().empty());
}

}  // namespace
}  // namespace cli_test
