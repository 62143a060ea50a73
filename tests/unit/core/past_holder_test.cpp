// Who held a key at a moment: by hand, one rule after the other.
#include <gtest/gtest.h>

#include <vector>

#include "core/past_holder.hpp"

namespace {

using namespace setget;
using detail::PastClaim;
using Status = HistoryLookup::Status;

TimePoint at(std::int64_t ms) { return TimePoint(Milliseconds(1'790'000'000'000 + ms)); }

// A record that was set at `stamp_ms`, in a state that began at `since_ms` and has ended by now. Each of another identity.
PastClaim claim(std::int64_t stamp_ms, std::int64_t since_ms, std::uint64_t applied, bool in_force, bool lost = false) {
  return {.identity = static_cast<std::size_t>(applied),
          .stamp = stamp_at(at(stamp_ms)),
          .since = at(since_ms),
          .applied = applied,
          .in_force = in_force,
          .open = false,
          .record = true,
          .lost = lost};
}
PastClaim of(std::size_t identity, PastClaim claim) {
  claim.identity = identity;
  return claim;
}
PastClaim to_this_day(PastClaim claim) {
  claim.open = true;
  return claim;
}

TEST(PastHolder, is_unknown_before_the_first_claim) {
  const std::vector<PastClaim> claims{claim(10, 10, 1, false)};
  EXPECT_EQ(detail::past_holder(claims, at(9)).status, Status::kUnknown);
  EXPECT_EQ(detail::past_holder({}, at(9)).status, Status::kUnknown);
}

TEST(PastHolder, is_the_latest_claim_that_is_in_force) {
  const std::vector<PastClaim> claims{claim(10, 10, 1, true), claim(20, 20, 2, true)};
  const auto holder = detail::past_holder(claims, at(20));
  EXPECT_EQ(holder.status, Status::kFound);
  EXPECT_EQ(holder.claim, 1u);
}

TEST(PastHolder, is_nobody_once_the_latest_claim_has_moved_on) {
  const std::vector<PastClaim> claims{claim(10, 10, 1, true), claim(20, 20, 2, false)};
  EXPECT_EQ(detail::past_holder(claims, at(30)).status, Status::kGone);
}

TEST(PastHolder, is_who_came_back_after_the_claim) {
  // A restored record with its old stamp, in a store that does not know of the claim any more.
  const std::vector<PastClaim> claims{claim(10, 500, 3, true), claim(20, 20, 2, false)};
  EXPECT_EQ(detail::past_holder(claims, at(500)).status, Status::kFound);
}

TEST(PastHolder, is_who_lost_it_only_to_a_later_claim_that_was_applied_before) {
  const std::vector<PastClaim> claims{claim(20, 20, 2, true, true), claim(30, 30, 1, false)};
  EXPECT_EQ(detail::past_holder(claims, at(29)).status, Status::kFound);
}

TEST(PastHolder, is_not_kept_where_no_known_claim_was_the_one_that_took_it) {
  const std::vector<PastClaim> nobody{claim(20, 20, 2, true, true)};
  EXPECT_EQ(detail::past_holder(nobody, at(25)).status, Status::kNotKept);
  // This one came about after the key had been lost already.
  const std::vector<PastClaim> afterwards{claim(20, 20, 2, true, true), claim(30, 30, 3, false)};
  EXPECT_EQ(detail::past_holder(afterwards, at(25)).status, Status::kNotKept);
  // A set that had it, and a state that says when it was lost: at that moment, whatever was applied before.
  const std::vector<PastClaim> loss{of(2, claim(20, 20, 2, false)), of(2, claim(20, 25, 4, true, true)), claim(30, 30, 3, false)};
  EXPECT_EQ(detail::past_holder(loss, at(26)).status, Status::kNotKept);
}

// Versions in another order than their stamps.
TEST(PastHolder, is_not_taken_by_a_claim_of_its_own_identity) {
  const std::vector<PastClaim> claims{of(7, claim(30, 30, 1, false)), of(7, claim(20, 20, 2, true))};
  EXPECT_EQ(detail::past_holder(claims, at(40)).status, Status::kFound);
  EXPECT_EQ(detail::past_holder(claims, at(40)).claim, 1u);
  // With it goes the key against others in between, from its moment on.
  auto between = claims;
  between.push_back(of(8, claim(25, 25, 3, true, true)));
  EXPECT_EQ(detail::past_holder(between, at(40)).claim, 1u);
}

TEST(PastHolder, has_what_it_has_not_lost_to_this_day) {
  // A stale set of the first one's identity, of which no state tells, claimed the key after the second.
  const auto first = claim(10, 10, 1, true);
  const auto second = claim(20, 20, 2, true, true);
  EXPECT_EQ(detail::past_holder(std::vector{to_this_day(first), to_this_day(second)}, at(30)).status, Status::kFound);
  EXPECT_NE(detail::past_holder(std::vector{first, to_this_day(second)}, at(30)).status, Status::kFound);
  auto lost = to_this_day(first);
  lost.lost = true;
  EXPECT_NE(detail::past_holder(std::vector{lost, to_this_day(second)}, at(30)).status, Status::kFound);
}

TEST(PastHolder, is_not_taken_again_by_a_state_that_says_what_was_lost) {
  // Taken at 20, won back at 30 by a stale set, and lost for good at 40: at 35 it is the first one's.
  const std::vector<PastClaim> claims{of(1, claim(10, 10, 1, false)),
                                      of(2, claim(20, 20, 2, false)),
                                      of(1, claim(10, 20, 3, false, true)),
                                      of(2, claim(20, 30, 4, true, true)),
                                      of(1, claim(10, 30, 5, true)),
                                      of(3, to_this_day(claim(40, 40, 6, false))),
                                      of(1, to_this_day(claim(10, 40, 7, false, true)))};
  const auto holder = detail::past_holder(claims, at(35));
  EXPECT_EQ(holder.status, Status::kFound);
  EXPECT_EQ(holder.claim, 4u);
}

TEST(PastHolder, goes_on_through_states_that_lose_other_keys) {
  // Lost to 30 (applied first), and another key at 25: it had this one until 30.
  const std::vector<PastClaim> claims{of(2, claim(20, 20, 2, false, true)), of(2, claim(20, 25, 3, true, true)), claim(30, 30, 1, false)};
  EXPECT_EQ(detail::past_holder(claims, at(26)).status, Status::kFound);
}

}  // namespace
