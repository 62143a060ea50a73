#include <gtest/gtest.h>

#include <set>

#include <setget/clock.hpp>
#include <setget/record.hpp>
#include <setget/testing/clock.hpp>

namespace setget {
namespace {

TEST(Ulid, sorts_by_creation_and_within_a_millisecond) {
  testing::SeededRandom random(1);
  std::string last;
  for (int i = 0; i < 5000; ++i) {
    const auto id = make_ulid(TimePoint(Milliseconds(1'700'000'000'000 + i / 1000)), random);
    ASSERT_EQ(id.size(), 26U);
    ASSERT_LT(last, id);
    last = id;
  }
}

TEST(Ulid, encodes_the_time_of_the_specification) {
  testing::SeededRandom random(1);
  // The example of the specification: 1469918176385 ms is 01ARYZ6S41.
  EXPECT_EQ(make_ulid(TimePoint(Milliseconds(1'469'918'176'385)), random).substr(0, 10), "01ARYZ6S41");
}

TEST(IdentityHash, keeps_fresh_ulids_together_and_spreads_other_ids) {
  testing::SeededRandom random(1);
  const auto early = make_ulid(TimePoint(Milliseconds(1'700'000'000'000)), random);
  const auto late = make_ulid(TimePoint(Milliseconds(1'700'000'000'001)), random);
  EXPECT_LT(identity_hash("", early), identity_hash("", late));
  std::set<std::uint64_t> tops;
  for (int i = 0; i < 64; ++i) tops.insert(identity_hash("", "order-" + std::to_string(i)) >> 59);
  EXPECT_GT(tops.size(), 8U);
}

TEST(Hashes, are_stable_because_they_are_stored) {
  EXPECT_EQ(identity_hash("", "order-1"), 0x2fe232819b47143bULL) << std::hex << identity_hash("", "order-1");
  EXPECT_EQ(identity_hash("tenant", "01ARYZ6S41TSV4RRFFQ69G5FAV"), 0x2ac7be6c9025f32dULL)
      << std::hex << identity_hash("tenant", "01ARYZ6S41TSV4RRFFQ69G5FAV");
  EXPECT_EQ(key_hash("", "crm/9"), 0x28f8479ade66694eULL) << std::hex << key_hash("", "crm/9");
}

TEST(Hashes, fit_into_a_signed_integer_and_depend_on_the_namespace) {
  for (int i = 0; i < 1000; ++i) {
    const auto text = std::to_string(i);
    EXPECT_EQ(key_hash("a", text) >> 63, 0U);
    EXPECT_EQ(identity_hash("a", text) >> 63, 0U);
    EXPECT_NE(key_hash("a", text), key_hash("b", text));
  }
}

TEST(Stamp, rises_even_when_the_clock_steps_back) {
  const TimePoint now(Milliseconds(1'700'000'000'000));
  const auto first = next_stamp(0, now);
  EXPECT_EQ(time_of(first), now);
  EXPECT_EQ(next_stamp(first, now), first + 1);
  EXPECT_EQ(next_stamp(first, now - Milliseconds(5000)), first + 1);
  EXPECT_LE(stamp_at(TimePoint::max()), kMaxVersion);
  EXPECT_EQ(stamp_at(TimePoint(Milliseconds(-1))), 0U);
}

}  // namespace
}  // namespace setget
