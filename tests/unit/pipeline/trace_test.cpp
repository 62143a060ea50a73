#include "pipeline/trace.hpp"

#include <gtest/gtest.h>

#include <setget/testing/clock.hpp>

namespace {

using setget::detail::is_traceparent;
using setget::detail::make_traceparent;

TEST(Trace, takes_what_the_recommendation_allows_and_nothing_else) {
  EXPECT_TRUE(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
  EXPECT_TRUE(is_traceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings"));
  EXPECT_FALSE(is_traceparent(""));
  EXPECT_FALSE(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"));
  EXPECT_FALSE(is_traceparent("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"));    // upper case
  EXPECT_FALSE(is_traceparent("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));    // forbidden version
  EXPECT_FALSE(is_traceparent("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));    // zero trace id
  EXPECT_FALSE(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"));    // zero parent id
  EXPECT_FALSE(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x"));  // version 00 has no more fields
  EXPECT_FALSE(is_traceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x"));
}

TEST(Trace, makes_valid_and_different_ones) {
  setget::testing::SeededRandom random(1);
  const auto first = make_traceparent(random);
  const auto second = make_traceparent(random);
  EXPECT_TRUE(is_traceparent(first)) << first;
  EXPECT_NE(first, second);
}

}  // namespace
