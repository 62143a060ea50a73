// Published test cases, fetched by tests/cases into a folder outside of git. Thread rule: one thread.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

namespace test_cases {

// The folder of the cases `name`; empty where they cannot be had (the script says why on stderr).
inline std::filesystem::path fetch_cases(const std::string& name) {
  const std::filesystem::path source = SETGET_TEST_SOURCE_DIR;
  const char* chosen = std::getenv("SETGET_CASES");
  const auto folder = std::filesystem::path(chosen != nullptr ? chosen : (source / "build" / "cases").string()) / name;
  if (std::filesystem::is_directory(folder)) return folder;
  const std::string command = "bash '" + (source / "tests" / "cases").string() + "' " + name + " >/dev/null";
  if (std::system(command.c_str()) != 0 || !std::filesystem::is_directory(folder)) return {};
  return folder;
}

// What a test does without its cases: skips visibly here, fails in CI.
#define SETGET_NEEDS_CASES(folder, name)                                                        \
  if ((folder).empty()) {                                                                       \
    const char* ci = std::getenv("CI");                                                         \
    if (ci != nullptr && std::string_view(ci) == "true") GTEST_FAIL() << "no cases " << (name); \
    GTEST_SKIP() << "the cases " << (name) << " could not be fetched; tests/cases says why";    \
  }

}  // namespace test_cases
