// Part of every test program: names the test that was running when the program's time was nearly over, since ctest, which ends it then,
// only knows the program. SETGET_TEST_SECONDS is that time; ctest's registration sets it (cmake/SetgetTest.cmake).
#include <gtest/gtest.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

// Written by the thread that runs the tests, read by the signal's handler: no std::string.
char running[400];

void time_is_over(int) {
  static constexpr char text[] = "\nStill running when the time was over: ";
  static_cast<void>(!write(STDERR_FILENO, text, sizeof text - 1));
  static_cast<void>(!write(STDERR_FILENO, running, std::strlen(running)));
  _exit(124);
}

class Names : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo& test) override {
    std::snprintf(running, sizeof running, "%s.%s\n", test.test_suite_name(), test.name());
  }
};

class TimeLimit : public testing::Environment {
  void SetUp() override {
    const char* seconds = std::getenv("SETGET_TEST_SECONDS");
    if (seconds == nullptr) return;
    testing::UnitTest::GetInstance()->listeners().Append(new Names);  // GoogleTest deletes it
    std::signal(SIGALRM, time_is_over);
    alarm(static_cast<unsigned>(std::max(1, std::atoi(seconds))));
  }
};

[[maybe_unused]] const auto* const time_limit = testing::AddGlobalTestEnvironment(new TimeLimit);

}  // namespace
