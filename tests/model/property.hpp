// Runs a RapidCheck property as part of a GoogleTest test. Number of cases and seed are fixed, so that a run can be repeated; RC_PARAMS
// ("max_success=100000 seed=7") says otherwise.
#pragma once

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <sstream>
#include <string_view>
#include <utility>

namespace setget_tests {

template <class Testable>
void check_property(int cases, Testable&& testable) {
  auto params = rc::detail::configuration().testParams;
  const char* environment = std::getenv("RC_PARAMS");
  const std::string_view given = environment == nullptr ? "" : environment;
  if (given.find("max_success") == std::string_view::npos) params.maxSuccess = cases;
  if (given.find("seed") == std::string_view::npos) params.seed = 20261121;
  rc::detail::TestMetadata metadata;
  metadata.id = ::testing::UnitTest::GetInstance()->current_test_info()->name();
  metadata.description = metadata.id;
  const auto result = rc::detail::checkTestable(std::forward<Testable>(testable), metadata, params);
  std::ostringstream text;
  rc::detail::printResultMessage(result, text);
  EXPECT_TRUE(result.template is<rc::detail::SuccessResult>()) << text.str() << "\nseed " << params.seed;
}

}  // namespace setget_tests
