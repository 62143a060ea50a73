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
