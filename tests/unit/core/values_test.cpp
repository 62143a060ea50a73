#include <gtest/gtest.h>

#include <memory>

#include <setget/error.hpp>
#include <setget/payload.hpp>
#include <setget/queue.hpp>
#include <setget/record.hpp>

namespace setget {
namespace {

TEST(Ttl, reads_seconds_units_and_never) {
  EXPECT_EQ(*parse_ttl("90"), Ttl::after(Milliseconds(90'000)));
  EXPECT_EQ(*parse_ttl("250ms"), Ttl::after(Milliseconds(250)));
  EXPECT_EQ(*parse_ttl("90s"), Ttl::after(Milliseconds(90'000)));
  EXPECT_EQ(*parse_ttl("15m"), Ttl::after(Milliseconds(900'000)));
  EXPECT_EQ(*parse_ttl("36h"), Ttl::after(Milliseconds(36 * 3'600'000)));
  EXPECT_EQ(*parse_ttl("7d"), Ttl::after(Milliseconds(7 * 86'400'000LL)));
  EXPECT_EQ(*parse_ttl("never"), Ttl::never());
}

TEST(Ttl, refuses_with_the_position) {
  for (const auto* text : {"", "x", "d7", "-1", "Never"}) {
    const auto ttl = parse_ttl(text);
    ASSERT_FALSE(ttl) << text;
    EXPECT_EQ(ttl.error().position(), 0U) << text;
  }
  const auto unit = parse_ttl("90y");
  ASSERT_FALSE(unit);
  EXPECT_EQ(unit.error().position(), 2U);
  EXPECT_FALSE(parse_ttl("99999999999999999999"));
  EXPECT_FALSE(parse_ttl("9223372036854775807w"));
}

TEST(Ttl, writes_what_it_reads) {
  for (const auto* text : {"never", "90s", "15m", "36h", "7d", "1ms", "1500ms"}) EXPECT_EQ(to_string(*parse_ttl(text)), text);
}

TEST(Error, edits_do_not_show_in_copies) {
  const Error original(ErrorCode::kTooLarge, "too long");
  auto copy = original;
  copy.at_field("keys[3]").at_position(12);
  EXPECT_TRUE(original.field().empty());
  EXPECT_EQ(copy.describe(), "too_large: keys[3]: too long (at byte 12)");
}

TEST(Error, only_what_may_pass_by_itself_is_retryable) {
  EXPECT_TRUE(Error(ErrorCode::kUnavailable, "").retryable());
  EXPECT_TRUE(Error(ErrorCode::kOutOfSpace, "").retryable());
  EXPECT_FALSE(Error(ErrorCode::kInvalidArgument, "").retryable());
  EXPECT_FALSE(Error(ErrorCode::kCorrupted, "").retryable());
}

TEST(Result, value_on_an_error_throws_and_keeps_the_text) {
  const Result<int> bad = Error(ErrorCode::kNotFound, "no such queue");
  try {
    (void)bad.value();
    FAIL() << "must throw";
  } catch (const BadResult& thrown) {
    EXPECT_STREQ(thrown.what(), "not_found: no such queue");
  }
}

TEST(Payload, slices_keep_their_owner_alive) {
  Payload part;
  {
    const auto whole = Payload::copy("0123456789");
    part = whole.slice(3, 4);
  }
  EXPECT_EQ(part.view(), "3456");
}

TEST(KeyList, keeps_order_bytes_and_empty_keys) {
  const std::string_view nul("a\0b", 3);
  const KeyList keys{"first", "", nul};
  EXPECT_EQ(keys.size(), 3U);
  std::vector<std::string> seen;
  for (const auto key : keys) seen.emplace_back(key);
  EXPECT_EQ(seen, (std::vector<std::string>{"first", "", std::string(nul)}));
  EXPECT_TRUE(keys.contains(nul));
  EXPECT_FALSE(keys.contains("a"));
}

TEST(QueueOptions, name_the_field_that_is_wrong) {
  QueueOptions options;
  EXPECT_TRUE(options.validate());
  options.visibility_timeout = Milliseconds(0);
  const auto refused = options.validate();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().field(), "visibility_timeout");
}

TEST(Deadline, of_a_wait_beyond_what_the_clock_holds_is_its_last_moment) {
  const auto last = Deadline::Steady::time_point::max();
  for (const auto wait : {Milliseconds::max(), Milliseconds(std::chrono::hours(24 * 365 * 292))}) {
    EXPECT_EQ(Deadline::in(wait).time(), last);
    EXPECT_EQ(Deadline::immediate().then(wait).time(), last);
  }
  EXPECT_EQ(Deadline::in(std::chrono::nanoseconds::max()).time(), last);
  EXPECT_TRUE(Deadline::in(Milliseconds::min()).passed());
  EXPECT_TRUE(Deadline::in(Milliseconds(-1)).passed());
  const auto before = Deadline::Steady::now();
  EXPECT_GE(Deadline::in(std::chrono::hours(24)).time(), before + std::chrono::hours(24));
  EXPECT_LT(Deadline::in(std::chrono::hours(24)).time(), before + std::chrono::hours(48));
}

}  // namespace
}  // namespace setget
