// Runs the setget binary in a folder of its own. Thread rule: one thread.
#pragma once

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace cli_test {

struct Ran {
  int code = -1;
  std::string out;
  std::string err;
  nlohmann::json json() const { return nlohmann::json::parse(out); }
};

// `arguments` as a list: no shell is between, so that any bytes go through. `input` is its stdin.
Ran run_binary(const std::filesystem::path& folder, const std::vector<std::string>& arguments, const std::string& input = {});

// The same, killed with SIGKILL after so long. True: it had ended by itself before, and `ran` says how.
bool run_and_kill(const std::filesystem::path& folder, const std::vector<std::string>& arguments, std::chrono::microseconds after,
                  Ran& ran);

// The same, sent a signal once `text` is on its stderr. False: it ended without it, or is still running a minute later (and was killed).
bool run_and_interrupt(const std::filesystem::path& folder, const std::vector<std::string>& arguments, const std::string& text, Ran& ran,
                       int signal = SIGINT);

// A new folder for each test, removed afterwards; the store is setget.db in it.
class Command : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  Ran run(const std::vector<std::string>& arguments, const std::string& input = {}) { return run_binary(folder, arguments, input); }
  // A set that must be applied; its answer.
  nlohmann::json set(const std::string& key, const std::string& payload, std::vector<std::string> more = {});
  std::filesystem::path write(const std::string& name, const std::string& content);

  std::filesystem::path folder;
};

}  // namespace cli_test
