// Key store suite: the change log and its named cursors.
#include <array>
#include <future>

#include "testing/key_store_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

CursorInfo open(Trial& t, std::string_view name, bool from_now = false, std::uint64_t max_lag = 0) {
  return t.store().open_cursor({.name = name, .from_now = from_now, .max_lag = max_lag}).value();
}

CursorInfo info(Trial& t, std::string_view name) {
  for (auto& cursor : t.store().cursors().value()) {
    if (cursor.name == name) return cursor;
  }
  ADD_FAILURE() << "no cursor " << name;
  return {};
}

void changes_come_in_order(Trial& t) {
  open(t, "c");
  t.apply(set("a", {"a"}, 11));
  t.apply(set("b", {"b"}, 12));
  t.apply(erase("c", 13));
  const auto batch = t.store().changes({.cursor = "c"}).value();
  EXPECT_EQ(names(batch.changes), (Names{"a@11", "b@12", "-c@13"}));
  EXPECT_TRUE(batch.at_end);
  Position last = 0;
  for (const auto& change : batch.changes) {
    EXPECT_GT(change.position, last);
    last = change.position;
  }
  EXPECT_GE(batch.next, last);
  ASSERT_TRUE(batch.changes.at(0).record);
  EXPECT_EQ(batch.changes[0].record->payload.str(), "payload");
  EXPECT_FALSE(batch.changes.at(2).record);
  EXPECT_EQ(batch.changes[2].reason, TombstoneReason::kErased);
}

void an_entry_whose_record_changed_again_is_left_out(Trial& t) {
  open(t, "c");
  t.apply(set("a", {"a"}, 11, "one"));
  t.apply(set("b", {"b"}, 12));
  t.apply(set("a", {"a"}, 13, "two"));
  t.apply(erase("b", 14));
  const auto changes = read_all(t, "c");
  EXPECT_EQ(names(changes), (Names{"a@13", "-b@14"}));
  EXPECT_EQ(changes.at(0).record->payload.str(), "two");
}

void every_change_of_a_record_is_logged(Trial& t) {
  open(t, "c");
  Position at = 0;
  const auto fresh = [&] {
    const auto batch = t.store().changes({.cursor = "c", .after = at, .limit = 100}).value();
    at = batch.next;
    return batch.changes;
  };
  t.apply(set("a", {"k", "own"}, 11));
  EXPECT_EQ(names(fresh()), Names{"a@11"});
  t.apply(touch("a", 12, t.now() + Milliseconds(1000)));
  auto changes = fresh();
  ASSERT_EQ(names(changes), Names{"a@11"});
  EXPECT_EQ(changes[0].revision, 1u);
  EXPECT_EQ(changes[0].record->expires_at, t.now() + Milliseconds(1000));
  t.apply(set("b", {"k"}, 13));
  changes = fresh();
  EXPECT_EQ(changes.size(), 2u) << "the new record, and the one that lost a key";
  for (const auto& change : changes) {
    if (change.id == "a") {
      EXPECT_EQ(change.revision, 2u);
      EXPECT_EQ(keys_of(change.record->lost_keys), Keys{"k"});
    }
  }
  t.apply(set("c", {"own"}, 14));
  changes = fresh();
  ASSERT_EQ(changes.size(), 2u);
  for (const auto& change : changes) {
    if (change.id == "a") {
      EXPECT_EQ(change.kind, ChangeKind::kTombstone);
      EXPECT_EQ(change.reason, TombstoneReason::kSuperseded);
      EXPECT_EQ(change.version, 11u);
    }
  }
  t.apply(erase_key("own", 15));
  EXPECT_EQ(names(fresh()), Names{"-c@14"});
  const SetExpiry expiry{.ns = {}, .id = "b", .version = 13, .revision = 0, .expires_at = t.now() + Milliseconds(77)};
  EXPECT_TRUE(t.store().set_expiry(std::span(&expiry, 1)).value().at(0).value());
  EXPECT_EQ(fresh().at(0).record->expires_at, t.now() + Milliseconds(77));
  t.apply(set("b", {"k"}, 13));             // duplicate
  t.apply(set_version("b", {"k"}, 16, 5));  // stale
  EXPECT_TRUE(fresh().empty()) << "what changes nothing is not logged";
}

void pages_join_without_gap_or_repetition(Trial& t) {
  open(t, "c");
  Names all;
  for (Stamp i = 1; i <= 40; ++i) {
    t.apply(set("r" + std::to_string(i), {"k" + std::to_string(i)}, i));
    all.push_back("r" + std::to_string(i) + "@" + std::to_string(i));
  }
  for (const std::size_t limit : {1u, 7u, 40u}) {
    Names seen;
    Position at = 0;
    for (int rounds = 0; rounds < 100; ++rounds) {
      const auto batch = t.store().changes({.cursor = "c", .after = at, .limit = limit}).value();
      EXPECT_LE(batch.changes.size(), limit);
      for (auto& name : names(batch.changes)) seen.push_back(std::move(name));
      at = batch.next;
      if (batch.at_end) break;
    }
    EXPECT_EQ(seen, all) << "limit " << limit;
  }
  const auto first = t.store().changes({.cursor = "c", .after = 0, .limit = 7}).value();
  for (const auto after : {Position{0}, first.next}) {
    const auto rest = t.store().changes({.cursor = "c", .after = after, .limit = kAll}).value();
    EXPECT_EQ(names(rest.changes), Names(all.begin() + (after == 0 ? 0 : 7), all.end()));
    EXPECT_TRUE(rest.at_end);
  }
  const auto small = t.store().changes({.cursor = "c", .after = 0, .limit = 100, .max_bytes = 1}).value();
  EXPECT_GE(small.changes.size(), 1u) << "a limit in bytes still gives one";
  EXPECT_LT(small.changes.size(), 40u);
}

void a_commit_moves_a_cursor_forward_and_never_back(Trial& t) {
  open(t, "c");
  for (Stamp i = 1; i <= 4; ++i) t.apply(set(std::to_string(i), {std::to_string(i)}, i));
  const auto all = read_all(t, "c");
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(info(t, "c").lag, 4u);
  t.store().commit_cursor("c", all[1].position).value();
  EXPECT_EQ(info(t, "c").position, all[1].position);
  EXPECT_EQ(info(t, "c").lag, 2u);
  EXPECT_EQ(names(read_all(t, "c")), (Names{"3@3", "4@4"}));
  t.store().commit_cursor("c", all[0].position).value();
  EXPECT_EQ(info(t, "c").position, all[1].position);
  t.store().commit_cursor("c", all[1].position).value();
  EXPECT_EQ(info(t, "c").position, all[1].position);
  EXPECT_EQ(names(read_all(t, "c", all[2].position)), Names{"4@4"}) << "reading ahead does not move it";
  EXPECT_EQ(names(read_all(t, "c")), (Names{"3@3", "4@4"}));
}

void cursors_are_independent(Trial& t) {
  t.apply(set("a", {"a"}, 11));
  open(t, "old");
  open(t, "new", true);
  t.apply(set("b", {"b"}, 12));
  EXPECT_EQ(names(read_all(t, "old")), (Names{"a@11", "b@12"}));
  EXPECT_EQ(names(read_all(t, "new")), Names{"b@12"});
  t.store().commit_cursor("old", read_all(t, "old").back().position).value();
  EXPECT_EQ(names(read_all(t, "new")), Names{"b@12"});
  EXPECT_EQ(t.store().cursors().value().size(), 2u);
  t.store().drop_cursor("old").value();
  EXPECT_EQ(t.store().cursors().value().size(), 1u);
  const auto read = t.store().changes({.cursor = "old"});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), ErrorCode::kNotFound);
}

void opening_a_cursor_again_keeps_its_position(Trial& t) {
  open(t, "c");
  t.apply(set("a", {"a"}, 11));
  const auto position = read_all(t, "c").at(0).position;
  t.store().commit_cursor("c", position).value();
  EXPECT_EQ(open(t, "c").position, position);
  EXPECT_EQ(open(t, "c", true).position, position);
  t.apply(set("b", {"b"}, 12));
  EXPECT_EQ(names(read_all(t, "c")), Names{"b@12"});
}

void cursor_names_are_checked(Trial& t) {
  for (const auto& name : {std::string(), std::string(65, 'c'), std::string("a b"), std::string("a\0", 2)}) {
    const auto made = t.store().open_cursor({.name = name});
    ASSERT_FALSE(made) << name;
    EXPECT_EQ(made.error().code(), ErrorCode::kInvalidArgument) << name;
  }
  const auto committed = t.store().commit_cursor("nobody", 1);
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().code(), ErrorCode::kNotFound);
}

void a_cursor_beyond_its_limit_is_dropped_loudly(Trial& t) {
  open(t, "bounded", false, 5);
  open(t, "patient");
  for (Stamp i = 1; i <= 20; ++i) t.apply(set(std::to_string(i), {std::to_string(i)}, i));
  reclaim_all(t, 1);
  EXPECT_TRUE(info(t, "bounded").dropped);
  const auto read = t.store().changes({.cursor = "bounded"});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_FALSE(info(t, "patient").dropped);
  EXPECT_EQ(read_all(t, "patient").size(), 20u);
  EXPECT_FALSE(open(t, "bounded", true, 5).dropped) << "opened anew";
  t.apply(set("x", {"x"}, 30));
  EXPECT_EQ(names(read_all(t, "bounded")), Names{"x@30"});
}

void the_log_is_trimmed_behind_all_cursors(Trial& t) {
  open(t, "fast");
  open(t, "slow");
  for (Stamp i = 1; i <= 10; ++i) t.apply(set(std::to_string(i), {std::to_string(i)}, i));
  const auto all = read_all(t, "fast");
  t.store().commit_cursor("fast", all.back().position).value();
  t.store().commit_cursor("slow", all[3].position).value();
  EXPECT_EQ(reclaim_all(t, 0, Milliseconds(0), 3).log_trimmed, 4u);
  EXPECT_EQ(t.store().stats().value().changes, 6u);
  EXPECT_EQ(read_all(t, "slow").size(), 6u);
  t.store().drop_cursor("slow").value();
  reclaim_all(t, 0);
  EXPECT_EQ(t.store().stats().value().changes, 0u);
}

void what_a_cursor_has_not_seen_is_not_forgotten(Trial& t) {
  open(t, "archiver");
  t.apply(set("a", {"k"}, t.stamp(1)));
  t.apply(erase("a", t.stamp(2)));
  reclaim_all(t, t.stamp(100));
  EXPECT_EQ(names(read_all(t, "archiver")), Names{"-a@" + std::to_string(t.stamp(2))});
  EXPECT_EQ(t.seen("k"), "gone");
  t.store().commit_cursor("archiver", read_all(t, "archiver").back().position).value();
  reclaim_all(t, t.stamp(100));
  EXPECT_EQ(t.seen("k"), "unknown");
}

// A reader that was asleep meanwhile must learn that the version is over: it may hold an older one.
void a_version_that_was_evicted_before_it_was_read_is_reported_as_over(Trial& t) {
  open(t, "c");
  t.apply(set("a", {"k"}, t.stamp(1)));
  t.store().commit_cursor("c", t.store().changes({.cursor = "c"}).value().next).value();
  t.apply(set_until("a", {"k"}, t.stamp(2), t.now() + Milliseconds(1000)));
  t.clock().advance(Milliseconds(1000));
  EXPECT_EQ(reclaim_all(t, 0).expired, 1u);
  const auto changes = read_all(t, "c");
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].kind, ChangeKind::kTombstone);
  EXPECT_EQ(changes[0].reason, TombstoneReason::kExpired);
  EXPECT_EQ(changes[0].version, t.stamp(2));
}

void waiting_for_changes_ends_with_the_first_one(Trial& t) {
  t.apply(set("a", {"a"}, 11));
  open(t, "c");
  // Without a deadline of its own the answer to a short wait may be late on a busy machine.
  const auto within = [] { return Deadline::in(std::chrono::seconds(20)); };
  EXPECT_TRUE(t.store().wait_for_changes(0, Deadline::immediate(), within()).value());
  const auto end = t.store().changes({.cursor = "c"}).value().next;
  EXPECT_FALSE(t.store().wait_for_changes(end, Deadline::immediate(), within()).value());
  EXPECT_FALSE(t.store().wait_for_changes(end, Deadline::in(Milliseconds(30)), within()).value());
  auto waiting =
      std::async(std::launch::async, [&] { return t.store().wait_for_changes(end, Deadline::in(std::chrono::seconds(20))).value(); });
  t.apply(set("b", {"b"}, 12));
  EXPECT_TRUE(waiting.get());
}

void a_wait_for_changes_that_is_longer_than_the_deadline_ends_with_it(Trial& t) {
  open(t, "c");
  const auto start = std::chrono::steady_clock::now();
  const auto changed = t.store().wait_for_changes(0, Deadline::in(std::chrono::seconds(20)), Deadline::in(Milliseconds(200)));
  // The last look has little time: on a busy machine its answer may be late.
  if (changed) {
    EXPECT_FALSE(*changed);
  } else {
    EXPECT_EQ(changed.error().code(), ErrorCode::kDeadlineExceeded);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

void reopening_keeps_cursors(Trial& t) {
  open(t, "c", false, 1000);
  for (Stamp i = 1; i <= 3; ++i) t.apply(set(std::to_string(i), {std::to_string(i)}, i));
  t.store().commit_cursor("c", read_all(t, "c").at(0).position).value();
  const auto before = info(t, "c");
  t.reopen();
  EXPECT_EQ(info(t, "c").position, before.position);
  EXPECT_EQ(info(t, "c").max_lag, 1000u);
  EXPECT_EQ(names(read_all(t, "c")), (Names{"2@2", "3@3"}));
  t.apply(set("4", {"4"}, 4));
  EXPECT_EQ(names(read_all(t, "c")), (Names{"2@2", "3@3", "4@4"}));
}

#define SETGET_CASE(name) \
  Case { #name, name, needing(&Deviations::change_log) }
const std::array kCases{
    SETGET_CASE(changes_come_in_order),
    SETGET_CASE(an_entry_whose_record_changed_again_is_left_out),
    SETGET_CASE(every_change_of_a_record_is_logged),
    SETGET_CASE(pages_join_without_gap_or_repetition),
    SETGET_CASE(a_commit_moves_a_cursor_forward_and_never_back),
    SETGET_CASE(cursors_are_independent),
    SETGET_CASE(opening_a_cursor_again_keeps_its_position),
    SETGET_CASE(cursor_names_are_checked),
    SETGET_CASE(a_cursor_beyond_its_limit_is_dropped_loudly),
    SETGET_CASE(the_log_is_trimmed_behind_all_cursors),
    SETGET_CASE(what_a_cursor_has_not_seen_is_not_forgotten),
    SETGET_CASE(a_version_that_was_evicted_before_it_was_read_is_reported_as_over),
    SETGET_CASE(waiting_for_changes_ends_with_the_first_one),
    SETGET_CASE(a_wait_for_changes_that_is_longer_than_the_deadline_ends_with_it),
    Case{"reopening_keeps_cursors", reopening_keeps_cursors, {&Deviations::change_log}, Needs::kReopen},
};
#undef SETGET_CASE

}  // namespace

Cases key_store_log_cases() { return kCases; }

}  // namespace setget::inline v0::testing::detail
