// Key store suite: expiry, touches, policy re-apply, reclaiming and the floor.
#include <array>

#include "testing/key_store_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

void expired_is_gone_by_the_readers_time(Trial& t) {
  const auto end = t.now() + Milliseconds(1000);
  t.apply(set_until("a", {"k"}, t.stamp(1), end));
  const std::string_view key = "k";
  const auto at = [&](TimePoint now) { return t.store().get({.ns = {}, .keys = std::span(&key, 1), .now = now}).value().at(0).status; };
  EXPECT_EQ(at(end - Milliseconds(1)), Lookup::Status::kFound);
  EXPECT_EQ(at(end), Lookup::Status::kGone);
  EXPECT_EQ(t.store().get_by_id({.ns = {}, .id = "a", .now = end}).value().status, Lookup::Status::kGone);
  EXPECT_EQ(t.seen("k"), "a/payload") << "reading with a later time changes nothing";
}

void never_is_a_value(Trial& t) {
  t.apply(set("a", {"k"}, t.stamp(1)));
  t.clock().advance(std::chrono::hours(24 * 365 * 50));
  EXPECT_EQ(t.seen("k"), "a/payload");
  EXPECT_FALSE(t.look("k").record->expires_at);
}

void a_set_that_has_expired_when_applied_is_a_tombstone(Trial& t) {
  t.apply(set_version("a", {"k"}, t.stamp(1), 1, "live"));
  const auto result = t.apply([&] {
    auto s = spec("a", {"k", "l"}, t.stamp(2), "too late");
    s.version = 3;
    s.expires_at = t.now();
    return set_entry(s);
  }());
  EXPECT_EQ(result.outcome, Outcome::kExpired);
  EXPECT_EQ(result.version, 3u);
  EXPECT_EQ(t.seen("k"), "gone");
  EXPECT_EQ(t.seen("l"), "gone");
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(3), 2)).outcome, Outcome::kStale);
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(4), 4, "new")).outcome, Outcome::kApplied);
  EXPECT_EQ(t.seen("k"), "a/new");
}

void a_touch_changes_the_expiry_and_nothing_else(Trial& t) {
  t.apply(set_until("a", {"k"}, t.stamp(1), t.now() + Milliseconds(1000)));
  const auto later = t.now() + Milliseconds(90'000);
  const auto touched = t.apply(touch("a", t.stamp(2), later));
  EXPECT_EQ(touched.outcome, Outcome::kApplied);
  EXPECT_EQ(touched.version, t.stamp(1));
  EXPECT_EQ(touched.revision, 1u);
  t.clock().advance(Milliseconds(50'000));
  const auto record = *t.look("k").record;
  EXPECT_EQ(record.expires_at, later);
  EXPECT_EQ(record.version, t.stamp(1));
  EXPECT_EQ(record.revision, 1u);
  EXPECT_EQ(record.stamp, t.stamp(1));
  EXPECT_EQ(record.ttl_rule, TtlRule::kMessage);
  EXPECT_EQ(t.apply(touch("a", t.stamp(2), later)).outcome, Outcome::kDuplicate);
  EXPECT_EQ(t.apply(touch("a", t.stamp(3), std::nullopt)).outcome, Outcome::kApplied);
  EXPECT_FALSE(t.look("k").record->expires_at);
  EXPECT_EQ(t.apply(touch("a", t.stamp(2) - 1, later)).outcome, Outcome::kStale);
}

void a_touch_may_end_a_record(Trial& t) {
  t.apply(set("a", {"k"}, t.stamp(1)));
  t.apply(touch("a", t.stamp(2), t.now() + Milliseconds(10)));
  t.clock().advance(Milliseconds(10));
  EXPECT_EQ(t.seen("k"), "gone");
}

void a_touch_of_nothing_ends_as_expired(Trial& t) {
  EXPECT_EQ(t.apply(touch("nobody", t.stamp(1), {})).outcome, Outcome::kExpired);
  EXPECT_EQ(t.seen_id("nobody"), "unknown") << "a touch makes no record";
  t.apply(erase("erased", t.stamp(2)));
  EXPECT_EQ(t.apply(touch("erased", t.stamp(3), {})).outcome, Outcome::kExpired);
  EXPECT_EQ(t.seen_id("erased"), "gone");
  t.apply(set_until("late", {"k"}, t.stamp(4), t.now() + Milliseconds(10)));
  t.clock().advance(Milliseconds(10));
  EXPECT_EQ(t.apply(touch("late", t.stamp(5), t.now() + Milliseconds(99))).outcome, Outcome::kExpired);
  EXPECT_EQ(t.seen("k"), "gone") << "expired stays gone";
}

void a_touch_waits_for_its_set(Trial& t) {
  const auto later = t.now() + Milliseconds(90'000);
  t.apply(touch("a", t.stamp(2), later));
  t.apply(set_until("a", {"k"}, t.stamp(1), t.now() + Milliseconds(1000)));
  EXPECT_EQ(t.look("k").record->expires_at, later);
}

// Found by the model tests: the touch is remembered though it came too late, and must not count when a duplicate brings the stamp down.
void an_earlier_duplicate_does_not_revive_what_has_expired(Trial& t) {
  auto s = spec("a", {"k"}, t.stamp(5));
  s.version = 1;
  s.expires_at = t.now() + Milliseconds(10);
  t.apply(set_entry(s));
  t.clock().advance(Milliseconds(10));
  EXPECT_EQ(t.apply(touch("a", t.stamp(9), {})).outcome, Outcome::kExpired);
  s.stamp = t.stamp(4);
  s.expires_at = {};
  EXPECT_EQ(t.apply(set_entry(s)).outcome, Outcome::kDuplicate);
  EXPECT_EQ(t.seen("k"), "gone");
}

void a_policy_change_is_reapplied_to_records_that_have_not_moved_on(Trial& t) {
  t.apply(set("a", {"a"}, t.stamp(1)));
  t.apply(set("b", {"b"}, t.stamp(2)));
  t.apply(set("c", {"c"}, t.stamp(3)));
  t.apply(erase("c", t.stamp(4)));
  const auto end = t.now() + Milliseconds(500);
  const std::vector<SetExpiry> entries{
      {.ns = {}, .id = "a", .version = t.stamp(1), .revision = 0, .expires_at = end, .ttl_rule = TtlRule::kFlow},
      {.ns = {}, .id = "b", .version = t.stamp(1), .revision = 0, .expires_at = end},
      {.ns = {}, .id = "b", .version = t.stamp(2), .revision = 1, .expires_at = end},
      {.ns = {}, .id = "c", .version = t.stamp(3), .revision = 0, .expires_at = end},
      {.ns = {}, .id = "nobody", .version = 1, .revision = 0, .expires_at = end},
      {.ns = {}, .id = "a", .version = t.stamp(1), .revision = 0, .expires_at = {}}};
  std::vector<bool> changed;
  for (auto& result : t.store().set_expiry(entries).value()) changed.push_back(result.value());
  EXPECT_EQ(changed, (std::vector<bool>{true, false, false, false, false, false}));
  const auto record = *t.look("a").record;
  EXPECT_EQ(record.expires_at, end);
  EXPECT_EQ(record.ttl_rule, TtlRule::kFlow);
  EXPECT_EQ(record.revision, 1u);
  t.clock().advance(Milliseconds(500));
  EXPECT_EQ(t.seen("a"), "gone");
  EXPECT_EQ(t.seen("b"), "b/payload");
}

void a_policy_change_does_not_revive_what_has_ended(Trial& t) {
  const auto end = t.now() + Milliseconds(500);
  t.apply(set_until("a", {"a"}, t.stamp(1), end));
  t.clock().advance(Milliseconds(499));
  SetExpiry change{.ns = {}, .id = "a", .version = t.stamp(1), .revision = 0, .expires_at = end + Milliseconds(1), .now = t.now()};
  EXPECT_TRUE(t.store().set_expiry(std::span(&change, 1)).value().at(0).value());
  t.clock().advance(Milliseconds(2));
  ASSERT_EQ(t.seen("a"), "gone");
  change.revision = 1;
  change.expires_at = {};
  change.now = t.now();
  EXPECT_FALSE(t.store().set_expiry(std::span(&change, 1)).value().at(0).value());
  EXPECT_EQ(t.seen("a"), "gone");
}

void a_policy_change_of_version_zero_changes_nothing(Trial& t) {
  const auto end = t.now() + Milliseconds(500);
  t.apply(set_until("a", {"a"}, t.stamp(1), end));
  t.apply(erase("gone", t.stamp(2)));
  for (const auto* id : {"a", "gone", "nobody"}) {
    const SetExpiry question{.ns = {}, .id = id, .now = t.now()};
    const auto answers = t.store().set_expiry(std::span(&question, 1));
    ASSERT_TRUE(answers) << id << answers.error().describe();
    ASSERT_EQ(answers->size(), 1u);
    if (answers->front()) {
      EXPECT_FALSE(*answers->front()) << id;
    }
  }
  EXPECT_EQ(t.seen("a"), "a/payload");
  t.clock().advance(Milliseconds(500));
  EXPECT_EQ(t.seen("a"), "gone");
}

void reclaiming_evicts_what_has_expired_and_nothing_else(Trial& t) {
  for (std::uint64_t i = 0; i < 25; ++i) {
    const auto n = std::to_string(i);
    t.apply(set_until("e" + n, {"e" + n}, t.stamp(i), t.now() + Milliseconds(1000)));
    t.apply(set("n" + n, {"n" + n}, t.stamp(100 + i)));
  }
  EXPECT_EQ(reclaim_all(t, 0).expired, 0u);
  t.clock().advance(Milliseconds(1000));
  EXPECT_EQ(reclaim_all(t, 0, Milliseconds(500)).expired, 0u) << "within the grace";
  t.clock().advance(Milliseconds(500));
  EXPECT_EQ(reclaim_all(t, 0, Milliseconds(500), 7).expired, 25u);
  EXPECT_EQ(t.store().stats().value().records, 25u);
  EXPECT_EQ(t.seen("e3"), "gone");
  EXPECT_EQ(t.seen("n3"), "n3/payload");
  EXPECT_EQ(t.apply(set_version("e3", {"e3"}, t.stamp(200), 1)).outcome, Outcome::kStale) << "its version is remembered until the floor";
}

void a_touched_record_is_not_evicted_at_its_old_expiry(Trial& t) {
  t.apply(set_until("a", {"k"}, t.stamp(1), t.now() + Milliseconds(1000)));
  t.apply(touch("a", t.stamp(2), t.now() + Milliseconds(5000)));
  t.apply(set_until("b", {"l"}, t.stamp(3), t.now() + Milliseconds(1000), "old"));
  t.apply(set_until("b", {"l"}, t.stamp(4), t.now() + Milliseconds(5000), "new"));
  t.clock().advance(Milliseconds(2000));
  EXPECT_EQ(reclaim_all(t, t.stamp(1'000'000)).expired, 0u);
  EXPECT_EQ(t.seen("k"), "a/payload");
  EXPECT_EQ(t.seen("l"), "b/new");
  t.clock().advance(Milliseconds(3000));
  EXPECT_EQ(reclaim_all(t, 0).expired, 2u);
}

// A store without cursors forgets as soon as the floor passes.
void tombstones_claims_and_marks_are_forgotten_below_the_floor(Trial& t) {
  t.apply(set("a", {"a"}, t.stamp(1)));
  t.apply(erase("a", t.stamp(2)));
  t.apply(set("b", {"b"}, t.stamp(3)));
  t.apply(set("c", {"b"}, t.stamp(4)));
  t.apply(erase_key("marked", t.stamp(5)));
  t.apply(set("live", {"live"}, t.stamp(6)));
  reclaim_all(t, t.stamp(2));
  EXPECT_EQ(t.seen_id("a"), "gone") << "the floor has not passed the tombstone";
  reclaim_all(t, t.stamp(100), Milliseconds(0), 3);
  EXPECT_EQ(t.seen_id("a"), "unknown");
  EXPECT_EQ(t.seen("a"), "unknown");
  EXPECT_EQ(t.seen_id("b"), "unknown") << "superseded and forgotten";
  EXPECT_EQ(t.seen("b"), "c/payload");
  EXPECT_EQ(t.seen("marked"), "unknown");
  EXPECT_EQ(t.seen("live"), "live/payload");
  const auto stats = t.store().stats().value();
  EXPECT_EQ(stats.records, 2u);
  EXPECT_EQ(stats.tombstones, 0u);
  EXPECT_EQ(stats.keys, 2u);
  EXPECT_GE(stats.floor, t.stamp(100));
}

void below_the_floor_an_unknown_identity_is_too_late(Trial& t) {
  t.apply(set("known", {"k"}, t.stamp(1), "one"));
  reclaim_all(t, t.stamp(100));
  for (const auto& entry :
       {set("a", {"a"}, t.stamp(99)), set_until("a", {"a"}, t.stamp(99), t.now()), erase("a", t.stamp(99)), touch("a", t.stamp(99), {})}) {
    const auto result = t.apply(entry);
    const bool lost = entry.command.kind == CommandKind::kSet && !entry.expires_at;
    EXPECT_EQ(result.outcome, lost ? Outcome::kDeadLettered : Outcome::kExpired) << "a payload that is not over is kept";
    EXPECT_EQ(reason_code(result), "below_floor");
  }
  EXPECT_EQ(t.seen("a"), "unknown");
  const auto restored = set("restored", {"r"}, t.stamp(50));
  EXPECT_EQ(t.store().apply({.entries = std::span(&restored, 1), .now = t.now(), .ignore_floor = true}).value().front().value().outcome,
            Outcome::kApplied)
      << "what a restore brings back is new knowledge";
  EXPECT_EQ(t.seen("r"), "restored/payload");
  EXPECT_EQ(t.apply(set("known", {"k"}, t.stamp(98), "two")).outcome, Outcome::kApplied) << "the store still knows this one";
  EXPECT_EQ(t.seen("k"), "known/two");
  EXPECT_EQ(t.apply(set("a", {"a"}, t.stamp(100), "new")).outcome, Outcome::kApplied) << "a new beginning";
  EXPECT_EQ(t.seen("a"), "a/new");
}

void after_the_forgetting_a_lower_version_is_a_new_beginning(Trial& t) {
  t.apply(set_version("a", {"k"}, t.stamp(1), 1000));
  t.apply(erase("a", t.stamp(2), 1001));
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(3), 1)).outcome, Outcome::kStale);
  reclaim_all(t, t.stamp(50));
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(51), 1, "fresh")).outcome, Outcome::kApplied);
  EXPECT_EQ(t.seen("k"), "a/fresh");
}

void the_floor_never_falls(Trial& t) {
  reclaim_all(t, t.stamp(100));
  reclaim_all(t, t.stamp(10));
  EXPECT_EQ(reason_code(t.apply(set("a", {"a"}, t.stamp(50)))), "below_floor");
}

void expired_records_below_the_floor_leave_nothing_behind(Trial& t) {
  for (std::uint64_t i = 0; i < 30; ++i) {
    const auto n = std::to_string(i);
    t.apply(set_until(n, {"k" + n, "l" + n}, t.stamp(i), t.now() + Milliseconds(10)));
  }
  t.clock().advance(Milliseconds(10));
  reclaim_all(t, t.stamp(100), Milliseconds(0), 4);
  const auto stats = t.store().stats().value();
  EXPECT_EQ(stats.records, 0u);
  EXPECT_EQ(stats.tombstones, 0u);
  EXPECT_EQ(stats.keys, 0u);
  EXPECT_EQ(stats.changes, 0u);
}

void keys_that_a_record_gave_up_are_forgotten(Trial& t) {
  for (std::uint64_t i = 1; i < 30; ++i) t.apply(set("a", {"k" + std::to_string(i)}, t.stamp(i)));
  reclaim_all(t, t.stamp(100));
  EXPECT_EQ(t.store().stats().value().keys, 1u);
  EXPECT_EQ(t.seen("k29"), "a/payload");
  EXPECT_EQ(t.seen("k5"), "unknown");
}

// That a key was taken from a record must outlive the claim that took it.
void a_record_whose_key_was_taken_by_one_that_is_forgotten_ends_with_its_last_key(Trial& t) {
  t.apply(set("b", {"k", "l"}, t.stamp(1)));
  t.apply(set_until("a", {"k"}, t.stamp(2), t.now() + Milliseconds(10)));
  t.clock().advance(Milliseconds(10));
  reclaim_all(t, t.stamp(50));
  EXPECT_EQ(t.seen_id("a"), "unknown");
  EXPECT_EQ(t.seen("l"), "b/payload");
  t.apply(set("c", {"l"}, t.stamp(60)));
  EXPECT_EQ(t.seen_id("b"), "gone") << "superseded";
  EXPECT_EQ(t.seen("l"), "c/payload");
}

#define SETGET_CASE(name) \
  Case { #name, name }
const std::array kCases{
    SETGET_CASE(expired_is_gone_by_the_readers_time),
    SETGET_CASE(never_is_a_value),
    SETGET_CASE(a_set_that_has_expired_when_applied_is_a_tombstone),
    SETGET_CASE(a_touch_changes_the_expiry_and_nothing_else),
    SETGET_CASE(a_touch_may_end_a_record),
    SETGET_CASE(a_touch_of_nothing_ends_as_expired),
    SETGET_CASE(a_touch_waits_for_its_set),
    SETGET_CASE(an_earlier_duplicate_does_not_revive_what_has_expired),
    SETGET_CASE(a_policy_change_is_reapplied_to_records_that_have_not_moved_on),
    SETGET_CASE(a_policy_change_does_not_revive_what_has_ended),
    SETGET_CASE(a_policy_change_of_version_zero_changes_nothing),
    SETGET_CASE(reclaiming_evicts_what_has_expired_and_nothing_else),
    SETGET_CASE(a_touched_record_is_not_evicted_at_its_old_expiry),
    SETGET_CASE(tombstones_claims_and_marks_are_forgotten_below_the_floor),
    SETGET_CASE(below_the_floor_an_unknown_identity_is_too_late),
    SETGET_CASE(after_the_forgetting_a_lower_version_is_a_new_beginning),
    SETGET_CASE(the_floor_never_falls),
    SETGET_CASE(expired_records_below_the_floor_leave_nothing_behind),
    SETGET_CASE(keys_that_a_record_gave_up_are_forgotten),
    SETGET_CASE(a_record_whose_key_was_taken_by_one_that_is_forgotten_ends_with_its_last_key),
};
#undef SETGET_CASE

}  // namespace

Cases key_store_expiry_cases() { return kCases; }

}  // namespace setget::inline v0::testing::detail
