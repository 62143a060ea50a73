#include <setget/sqlite.hpp>

#include "command.hpp"

namespace cli_test {
namespace {

using Queues = Command;

// Ends as a dead letter: an equal version with other bytes.
std::string make_dead_letter(Command&, const std::function<Ran(std::vector<std::string>)>& run, const std::string& id) {
  const auto words = [&](const std::string& payload) {
    return std::vector<std::string>{"set",  "--json", "-k",     "k/" + id,   "--id", id,   "--account",
                                    "acme", "--flow", "orders", "--version", "7",    "-p", payload};
  };
  EXPECT_EQ(run(words("1")).code, 0);
  const Ran dead = run(words("2"));
  EXPECT_EQ(dead.code, 2) << dead.out << dead.err;
  EXPECT_EQ(dead.json()["reasons"][0]["code"], "version_conflict");
  return dead.json()["message_id"];
}

class DeadLetters : public Command {
 protected:
  std::string dead(const std::string& id) {
    return make_dead_letter(
        *this, [this](std::vector<std::string> words) { return run(words); }, id);
  }
};

TEST_F(Queues, peek_shows_what_waits_without_taking_it) {
  ASSERT_EQ(run({"set", "--no-wait", "-k", "a", "--id", "i", "--account", "acme", "--flow", "orders", "-p", "1"}).code, 0);
  for (int i = 0; i < 2; ++i) {
    const auto seen = run({"queue", "peek", "--json"}).json()["messages"];
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0]["id"], "i");
    EXPECT_EQ(seen[0]["kind"], "set");
    EXPECT_EQ(seen[0]["receive_count"], 0);
  }
  EXPECT_EQ(run({"queue", "stats", "--json"}).json()["depth"], 1);
}

// As they are stored, which is what a running server goes by.
setget::QueueOptions options_in(const std::filesystem::path& folder) {
  auto database = setget::sqlite::open({.path = folder / "setget.db"}).value();
  return database.queues()->list().value().at(0).options;
}

TEST_F(Queues, commands_that_say_nothing_of_its_options_leave_them_as_they_are) {
  const std::vector<std::string> words{"--id", "i", "--account", "acme", "--flow", "orders", "-p", "1"};
  const auto with = [&](std::vector<std::string> first) {
    first.insert(first.end(), words.begin(), words.end());
    return run(first);
  };
  write("server.toml", "[queue]\nretention = \"90d\"\nmax_receives = 0\ndedup_window = \"1d\"\n");
  ASSERT_EQ(with({"set", "--config", "server.toml", "--no-wait", "-k", "a"}).code, 0);
  const auto made = options_in(folder);
  EXPECT_EQ(made.retention, std::chrono::hours(24 * 90));
  EXPECT_EQ(made.max_receives, 0u);
  const std::vector<std::vector<std::string>> commands{{"queue", "stats"}, {"queue", "peek"}, {"dlq", "list"},   {"get", "a"},
                                                       {"doctor"},         {"delete", "a"},   {"queue", "drain"}};
  for (const auto& command : commands) {
    run(command);
    EXPECT_EQ(options_in(folder), made) << command.front();
  }
  EXPECT_EQ(with({"set", "-k", "b"}).code, 0);
  EXPECT_EQ(options_in(folder), made);
  // Who only looks changes nothing, whatever a file says; who works with the queue gives it what the file names, and that alone.
  write("other.toml", "[queue]\nmax_receives = 5\n");
  EXPECT_EQ(run({"queue", "stats", "--config", "other.toml"}).code, 0);
  EXPECT_EQ(options_in(folder), made);
  EXPECT_EQ(run({"queue", "drain", "--config", "other.toml"}).code, 0);
  auto changed = made;
  changed.max_receives = 5;
  EXPECT_EQ(options_in(folder), changed);
}

TEST_F(DeadLetters, are_listed_shown_and_kept_byte_for_byte) {
  const std::string message = dead("one");
  dead("two");
  const auto all = run({"dlq", "list", "--json"}).json()["dead_letters"];
  EXPECT_EQ(all.size(), 2u);
  EXPECT_EQ(run({"dlq", "list", "--json", "--id", message}).json()["dead_letters"].size(), 1u);
  EXPECT_EQ(run({"dlq", "list", "--json", "--reason", "max_receives"}).json()["dead_letters"].size(), 0u);
  EXPECT_EQ(run({"dlq", "list", "--json", "--older-than", "1h"}).json()["dead_letters"].size(), 0u);
  const auto first = run({"dlq", "list", "--json", "--limit", "1"}).json();
  EXPECT_EQ(first["dead_letters"].size(), 1u);
  const auto second = run({"dlq", "list", "--json", "--cursor", first["next"].get<std::string>()}).json();
  EXPECT_EQ(second["dead_letters"].size(), 1u);
  EXPECT_NE(second["dead_letters"][0]["message_id"], first["dead_letters"][0]["message_id"]);
  EXPECT_EQ(run({"dlq", "show", message, "--payload"}).out, "2");
  EXPECT_EQ(run({"dlq", "show", message, "--json"}).json()["id"], "one");
  EXPECT_EQ(run({"dlq", "show", "nobody"}).code, 2);
}

TEST_F(DeadLetters, redrive_ends_even_where_the_letters_die_again) {
  dead("one");
  dead("two");
  EXPECT_EQ(run({"dlq", "redrive"}).code, 64);  // all of them only when asked for
  EXPECT_EQ(run({"dlq", "redrive", "--all", "--limit", "1", "--json"}).json()["redriven"], 1);
  EXPECT_EQ(run({"queue", "stats", "--json"}).json()["dead_letters"], 1);
  EXPECT_EQ(run({"dlq", "redrive", "--reason", "version_conflict", "--rate", "1000", "--json"}).json()["redriven"], 1);
  EXPECT_EQ(run({"queue", "drain"}).code, 2);  // they die again
  EXPECT_EQ(run({"queue", "stats", "--json"}).json()["dead_letters"], 2);
}

TEST_F(DeadLetters, purge_removes_for_good_and_the_ledger_says_so) {
  const std::string message = dead("one");
  dead("two");
  EXPECT_EQ(run({"dlq", "purge"}).code, 64);
  EXPECT_EQ(run({"dlq", "purge", "--id", message, "--json"}).json()["purged"], 1);
  EXPECT_EQ(run({"dlq", "purge", "--all", "--json"}).json()["purged"], 1);
  const auto stats = run({"queue", "stats", "--json"}).json();
  EXPECT_EQ(stats["dead_letters"], 0);
  EXPECT_EQ(stats["outcomes"]["purged"], 2);
  EXPECT_EQ(stats["accepted"], 4);
  EXPECT_EQ(run({"message", message, "--json"}).json()["outcome"], "purged");
}

}  // namespace
}  // namespace cli_test
