// What holds for the arguments of every subcommand.
#include <sstream>

#include "command.hpp"

namespace cli_test {
namespace {

struct Option {
  std::vector<std::string> command;
  std::string name;  // "--limit"; of a word without a flag: what the help calls it
};

class Arguments : public Command {
 protected:
  // Every option and word that takes a value, of the command and of those below it, as its help lists them.
  void collect(const std::vector<std::string>& command, std::vector<Option>& found) {
    auto words = command;
    words.push_back("--help");
    const Ran help = run(words);
    ASSERT_EQ(help.code, 0) << help.err;
    std::istringstream lines(help.out);
    std::string part;
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("  ")) part = line;
      if (!line.starts_with("  ") || line.starts_with("    ")) continue;
      std::istringstream columns(line);
      std::string name, type;
      columns >> name >> type;
      if (part == "Subcommands:") {
        auto below = command;
        below.push_back(name);
        collect(below, found);
      }
      const bool value = type.starts_with("TEXT") || type.starts_with("UINT") || type.starts_with("FLOAT");
      if (part != "Subcommands:" && value) found.push_back({command, name.substr(name.rfind(',') + 1)});
    }
  }
  void dead(const std::string& id) {
    std::vector<std::string> words = {"set",    "-k",     "k/" + id,   "--id", id,   "--account", "acme",
                                      "--flow", "orders", "--version", "7",    "-p", "1"};
    ASSERT_EQ(run(words).code, 0);
    words.back() = "2";
    ASSERT_EQ(run(words).code, 2);
  }
  std::size_t dead_letters() { return run({"dlq", "list", "--json"}).json()["dead_letters"].size(); }
  // Wrong usage, and the message names the option.
  void refused(const std::vector<std::string>& words, const std::string& name) {
    const Ran ran = run(words);
    std::string shown;
    for (const auto& word : words) shown += (shown.empty() ? "" : " ") + (word.empty() ? "\"\"" : word);
    EXPECT_EQ(ran.code, 64) << shown << ran.out;
    EXPECT_TRUE(ran.err.starts_with(name + ": ")) << shown << ": " << ran.err;
    EXPECT_LT(ran.err.size(), 200u) << ran.err;
  }
};

TEST_F(Arguments, an_empty_value_is_refused_by_every_option_of_every_subcommand) {
  std::vector<Option> all;
  collect({}, all);
  ASSERT_GT(all.size(), 60u);
  std::size_t positions = 0;
  std::vector<std::string> before;  // a command's second word stands behind its first
  for (const auto& [command, name] : all) {
    auto words = command;
    if (name == "--payload" || name == "--cursor") continue;
    if (command.empty()) words = {"doctor"};
    if (!name.starts_with("--")) {
      if (before != command) positions = 0;
      before = command;
      words.insert(words.end(), positions++, "word");
      words.push_back("");
      refused(words, name);
      continue;
    }
    words.insert(words.end(), {name, ""});
    refused(words, name);
    words.pop_back();
    words.back() += "=";
    refused(words, name);
    words.push_back("word");  // which CLI11 takes for the value
    refused(words, name);
  }
}

TEST_F(Arguments, an_empty_condition_touches_no_dead_letter) {
  dead("one");
  for (const std::string command : {"purge", "redrive"}) {
    for (const std::string name : {"--reason", "--id", "--older-than", "--newer-than", "--limit", "--rate"}) {
      refused({"dlq", command, "--older-than", "1ms", name, ""}, name);
      refused({"dlq", command, "--all", name + "="}, name);
    }
    refused({"dlq", command, "--all="}, "--all");
    refused({"dlq", command, "--reason=", "max_receives"}, "--reason");
  }
  EXPECT_EQ(dead_letters(), 1u);
}

TEST_F(Arguments, an_empty_version_or_moment_changes_and_answers_nothing) {
  set("a", "1", {"--id", "e1"});
  const std::vector<std::string> again = {"set", "-k", "a", "--id", "e1", "--account", "acme", "--flow", "orders", "-p", "2"};
  for (const std::string name : {"--expected-version", "--version", "--ttl", "--dedup-id", "--owner"}) {
    auto words = again;
    words.insert(words.end(), {name, ""});
    refused(words, name);
  }
  refused({"delete", "--id", "e1", "--version", ""}, "--version");
  refused({"delete", "--id", "e1", "--version="}, "--version");
  refused({"delete", "a", "--id", ""}, "--id");
  refused({"delete", "a", "--namespace", ""}, "--namespace");
  refused({"delete", ""}, "key");
  refused({"get", "a", "--at", ""}, "--at");
  refused({"get", "a", "--at="}, "--at");
  refused({"archive", "restore", "--overwrite", "--at", ""}, "--at");
  refused({"archive", "restore", "--overwrite", "--account", ""}, "--account");
  refused({"archive", "drop", "--yes", "--collection", ""}, "--collection");
  const Ran got = run({"get", "a"});
  EXPECT_EQ(got.code, 0);
  EXPECT_EQ(got.out, "1");
}

TEST_F(Arguments, empty_is_taken_where_it_means_something) {
  const std::vector<std::string> text = {"set", "-k", "a", "--account", "acme", "--flow", "orders", "--content-type", "text/plain"};
  for (const std::vector<std::string>& payload : {std::vector<std::string>{"-p", ""}, {"--payload", ""}, {"--payload="}}) {
    auto words = text;
    words.insert(words.begin() + 1, payload.begin(), payload.end());
    EXPECT_EQ(run(words).code, 0) << payload.front();
    EXPECT_EQ(run({"get", "a"}).out, "");
  }
  dead("one");
  EXPECT_EQ(run({"dlq", "list", "--cursor", "", "--json"}).json()["dead_letters"].size(), 1u) << "the first page";
}

TEST_F(Arguments, values_are_taken_as_they_stand) {
  // What looks like an option without its value.
  set("--x=", "1");
  EXPECT_EQ(run({"get", "--", "--x="}).out, "1");
  set("[a,b]", R"("--limit=")");
  EXPECT_EQ(run({"get", "[a,b]"}).out, R"("--limit=")");
  EXPECT_EQ(run({"get", "b"}).code, 2) << "a key is no list";
  set("a", "1");
  EXPECT_EQ(run({"set", "-k", "c", "d", "--account", "acme", "--flow", "orders", "-p", "1"}).code, 64) << "a word too many";
  dead("one");
  const auto id = run({"dlq", "list", "--json"}).json()["dead_letters"][0]["message_id"].get<std::string>();
  EXPECT_EQ(run({"dlq", "purge", "--id", "[]", "--json"}).json()["purged"], 0);
  EXPECT_EQ(run({"dlq", "purge", "--id", "none", "--id", id, "--json"}).json()["purged"], 1);
}

TEST_F(Arguments, numbers_out_of_range_are_refused_in_plain_words) {
  dead("one");
  for (const std::vector<std::string>& words : {std::vector<std::string>{"dlq", "purge", "--all", "--limit", "0"},
                                                {"dlq", "purge", "--all", "--limit", "-1"},
                                                {"dlq", "purge", "--all", "--limit", "1.5"},
                                                {"dlq", "purge", "--all", "--limit", "0x10"},
                                                {"dlq", "redrive", "--all", "--limit", "0"},
                                                {"dlq", "list", "--limit", "0"},
                                                {"queue", "peek", "--limit", "-1"},
                                                {"archive", "verify", "--deep", "--sample", "0"},
                                                {"archive", "verify", "--max-differences", "-1"},
                                                {"archive", "run", "--busy-percent", "101"},
                                                {"archive", "run", "--rate", "-1"},
                                                {"dlq", "purge", "--all", "--rate", "0"},
                                                {"dlq", "purge", "--all", "--rate", "nan"},
                                                {"dlq", "purge", "--all", "--rate", "inf"},
                                                {"delete", "--id", "i", "--version", "-1"},
                                                {"set", "--expected-version", "-1"},
                                                {"set", "--version", "0"},
                                                {"set", "--version", "9007199254740992"},
                                                {"set", "-k", "w", "--account", "a", "--flow", "f", "-p", "1", "--wait", "5y"},
                                                {"set", "-k", "w", "--account", "a", "--flow", "f", "-p", "1", "--wait", "never"},
                                                {"set", "-k", "w", "--account", "a", "--flow", "f", "-p", "1", "--ttl", "soon"},
                                                {"delete", "w", "--wait", "5y"},
                                                {"message", "m", "--wait", "5y"},
                                                {"queue", "drain", "--wait", "-1"},
                                                {"dlq", "list", "--older-than", "abc"},
                                                {"validate", "--max-errors", "0"}}) {
    refused(words, words[words.size() - 2]);
  }
  EXPECT_EQ(run({"dlq", "purge", "--all", "--limit", "0"}).err.substr(0, 45), "--limit: 0 is not a whole number from 1 up\nRu");
  EXPECT_EQ(dead_letters(), 1u);
  EXPECT_EQ(run({"queue", "stats", "--json"}).json()["depth"], 0) << "what was refused is not queued";
  EXPECT_EQ(run({"dlq", "purge", "--all", "--limit", "010", "--json"}).json()["purged"], 1);
  EXPECT_EQ(set("v", "1", {"--version", "010"})["version"], 10) << "decimal, whatever it begins with";
}

#ifdef SETGET_WITH_MONGO
// Also by those that need no archive: the night in which it is missed is too late.
TEST_F(Arguments, a_configuration_whose_archive_cannot_be_named_so_is_refused_by_every_command) {
  set("k", "1");
  write("setget.toml", "[archive]\nuri = \"mongodb://me:sesame@\"\n");
  const Ran got = run({"get", "k", "--config", "setget.toml"});
  EXPECT_EQ(got.code, 1);
  EXPECT_EQ(got.out, "");
  EXPECT_NE(got.err.find("setget.toml:2: archive.uri: "), std::string::npos) << got.err;
  EXPECT_EQ(got.err.find("sesame"), std::string::npos) << got.err;
}
#endif

}  // namespace
}  // namespace cli_test
