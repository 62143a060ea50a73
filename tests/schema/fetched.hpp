// Test data and peers from the registries: fetched when a test first needs them. Thread rule: one thread.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace schema_test {

// The folder with it, or nothing: then the test skips itself, and fails where CI=true.
inline std::optional<std::string> fetched(const std::string& what) {
  const auto* named = std::getenv("SETGET_TEST_CACHE");
  const auto folder = std::filesystem::path(named && *named ? named : SETGET_TEST_CACHE).string();
  const auto command = "bash '" + std::string(SETGET_SCHEMA_TESTS) + "/fetch' " + what + " '" + folder + "'";
  if (std::system(command.c_str()) == 0) return folder;
  const auto* ci = std::getenv("CI");
  if (ci && std::string(ci) == "true") ADD_FAILURE() << what << " could not be fetched";
  return std::nullopt;
}

}  // namespace schema_test

#define SETGET_FETCH(name, what)                \
  const auto name = schema_test::fetched(what); \
  if (!name) GTEST_SKIP() << what << " could not be fetched from its registry"
