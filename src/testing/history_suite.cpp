// History: the store's outbox, and what the archive makes of its states.
#include <array>

#include "testing/key_store_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

using Kind = HistoryState::Kind;
using Status = HistoryLookup::Status;

ApplyEntry kept(ApplyEntry entry) {
  entry.history = true;
  return entry;
}

HistoryBatch outbox(Trial& t, Position after = 0, std::size_t limit = 1000) {
  return t.store().history({.after = after, .limit = limit}).value();
}

Result<void> confirm(Trial& t, const HistoryBatch& batch) {
  std::vector<OutboxPlace> places;
  for (const auto& state : batch.states) places.push_back({.part = state.part, .position = state.position});
  return t.store().confirm_history(places);
}

// "id@version/payload" of records, "-id@version" of tombstones, "?id@version" of those whose history was left.
Names names(const HistoryBatch& batch) {
  Names out;
  for (const auto& state : batch.states) {
    const auto name = state.id + "@" + std::to_string(state.version);
    if (state.kind == Kind::kRecord) out.push_back(name + "/" + state.record->payload.str());
    if (state.kind == Kind::kTombstone) out.push_back("-" + name);
    if (state.kind == Kind::kNotKept) out.push_back("?" + name + state.record->payload.str());
  }
  return out;
}

// Stamps a millisecond apart.
Stamp ms(Trial& t, std::uint64_t n) { return stamp_at(t.now() + Milliseconds(n)); }

std::string named(Trial& t, const std::string& id, std::uint64_t n) { return id + "@" + std::to_string(ms(t, n)); }

// --- the outbox -----------------------------------------------------------------------------------------------------------------

void only_flows_with_history_write_to_the_outbox(Trial& t) {
  t.apply(set("plain", {"p"}, ms(t, 1)));
  t.apply(erase("plain", ms(t, 2)));
  EXPECT_TRUE(outbox(t).states.empty());
  EXPECT_EQ(t.store().stats().value().outbox, 0u);
  t.apply(kept(set("a", {"k"}, ms(t, 3), "one")));
  EXPECT_EQ(names(outbox(t)), Names{named(t, "a", 3) + "/one"});
  EXPECT_EQ(t.store().stats().value().outbox, 1u);
}

void every_state_is_in_the_outbox_in_order(Trial& t) {
  t.apply(kept(set("a", {"k"}, ms(t, 1), "one")));
  t.apply(kept(set("a", {"k", "l"}, ms(t, 2), "two")));
  t.apply(touch("a", ms(t, 3), t.now() + Milliseconds(60'000)));
  t.apply(erase("a", ms(t, 4)));
  t.apply(kept(set("a", {"k"}, ms(t, 5), "again")));
  t.apply(erase_key("k", ms(t, 6)));
  const auto batch = outbox(t, 0, kAll);
  EXPECT_EQ(names(batch), (Names{named(t, "a", 1) + "/one", named(t, "a", 2) + "/two", named(t, "a", 2) + "/two", "-" + named(t, "a", 4),
                                 named(t, "a", 5) + "/again", "-" + named(t, "a", 5)}));
  EXPECT_TRUE(batch.at_end);
  ASSERT_EQ(batch.states.size(), 6u);
  EXPECT_EQ(batch.states[2].record->expires_at, t.now() + Milliseconds(60'000));
  EXPECT_FALSE(batch.states[1].record->expires_at);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(batch.states[i].at, time_of(ms(t, i + 1))) << "of the command that brought it about";
  for (std::size_t i = 1; i < 6; ++i) EXPECT_GT(batch.states[i].position, batch.states[i - 1].position);
}

void a_key_that_moves_makes_a_state_of_who_lost_it(Trial& t) {
  t.apply(kept(set("a", {"k", "l"}, ms(t, 1))));
  t.apply(set("b", {"k"}, ms(t, 2)));
  t.apply(set("c", {"l"}, ms(t, 3)));
  const auto batch = outbox(t);
  ASSERT_EQ(batch.states.size(), 3u);
  EXPECT_EQ(keys_of(batch.states[1].record->lost_keys), Keys{"k"});
  EXPECT_EQ(batch.states[1].at, time_of(ms(t, 2)));
  EXPECT_EQ(batch.states[2].kind, Kind::kTombstone);
  EXPECT_EQ(batch.states[2].reason, TombstoneReason::kSuperseded);
}

void duplicates_and_stale_sets_are_no_states(Trial& t) {
  const auto first = kept(set("a", {"k"}, ms(t, 2), "new"));
  t.apply(first);
  EXPECT_EQ(t.apply(first).outcome, Outcome::kDuplicate);
  EXPECT_EQ(t.apply(kept(set("a", {"k"}, ms(t, 1), "old"))).outcome, Outcome::kStale);
  EXPECT_EQ(names(outbox(t)), Names{named(t, "a", 2) + "/new"});
}

void a_set_of_a_flow_without_history_ends_the_history(Trial& t) {
  t.apply(kept(set("a", {"k"}, ms(t, 1), "one")));
  t.apply(set("a", {"k"}, ms(t, 2), "secret"));
  t.apply(set("a", {"k"}, ms(t, 3), "secret"));
  t.apply(erase("a", ms(t, 4)));
  EXPECT_EQ(names(outbox(t)), (Names{named(t, "a", 1) + "/one", "?" + named(t, "a", 2)}));
}

void a_history_begins_with_what_was_there(Trial& t) {
  t.apply(set("a", {"k", "l"}, ms(t, 1), "plain"));
  t.apply(set("b", {"l"}, ms(t, 2)));
  t.apply(kept(set("a", {"k"}, ms(t, 3), "kept")));
  const auto batch = outbox(t);
  EXPECT_EQ(names(batch), (Names{named(t, "a", 1) + "/plain", named(t, "a", 3) + "/kept"}));
  ASSERT_EQ(batch.states.size(), 2u);
  EXPECT_EQ(batch.states[0].at, time_of(ms(t, 1)));
  EXPECT_EQ(keys_of(batch.states[0].record->lost_keys), Keys{"l"});
  EXPECT_EQ(batch.states[1].at, time_of(ms(t, 3)));
}

void what_another_flow_did_not_keep_is_not_kept_later(Trial& t) {
  auto plain = set("a", {"k"}, ms(t, 1), "secret");
  plain.command.flow = "plain";
  plain.encoded = encode_command(plain.command);
  t.apply(plain);
  t.apply(kept(set("a", {"k"}, ms(t, 2), "kept")));
  EXPECT_EQ(names(outbox(t)), (Names{"?" + named(t, "a", 1), named(t, "a", 2) + "/kept"}));
}

void records_can_be_put_under_history(Trial& t) {
  t.apply(set_until("a", {"k"}, ms(t, 1), t.now() + Milliseconds(60'000)));
  t.apply(set("b", {"l"}, ms(t, 2), "plain"));
  t.apply(set("gone", {"m"}, ms(t, 3)));
  t.apply(erase("gone", ms(t, 4)));
  const std::vector<BeginHistory> begin{{.ns = {}, .id = "a", .version = ms(t, 1)},
                                        {.ns = {}, .id = "b", .version = ms(t, 1)},
                                        {.ns = {}, .id = "gone", .version = ms(t, 3)},
                                        {.ns = {}, .id = "never", .version = 1}};
  const auto said = [&] {
    std::vector<bool> out;
    for (auto& one : t.store().begin_history(begin).value()) out.push_back(one.value());
    return out;
  };
  const auto revision = t.store().get_by_id({.ns = {}, .id = "a", .now = t.now()}).value().record->revision;
  EXPECT_EQ(said(), (std::vector<bool>{true, false, false, false})) << "of b another version was seen";
  EXPECT_EQ(said(), (std::vector<bool>{false, false, false, false})) << "once";
  EXPECT_EQ(t.store().get_by_id({.ns = {}, .id = "a", .now = t.now()}).value().record->revision, revision);
  const auto first = outbox(t);
  ASSERT_EQ(first.states.size(), 1u);
  EXPECT_EQ(first.states[0].id, "a");
  EXPECT_EQ(first.states[0].at, time_of(ms(t, 1)));
  EXPECT_EQ(first.states[0].record->expires_at, t.now() + Milliseconds(60'000));
  t.apply(erase("b", ms(t, 5)));
  t.apply(erase("a", ms(t, 6)));
  EXPECT_EQ(outbox(t).states.size(), 2u) << "from there on its states are kept, and those of others are not";
  EXPECT_EQ(outbox(t).states.back().kind, Kind::kTombstone);
}

void eviction_is_no_state(Trial& t) {
  auto entry = kept(set_until("a", {"k"}, ms(t, 1), t.now() + Milliseconds(100)));
  t.apply(entry);
  t.clock().advance(Milliseconds(1000));
  EXPECT_EQ(reclaim_all(t, ms(t, 1)).expired, 1u);
  EXPECT_EQ(outbox(t).states.size(), 1u);
}

void what_is_confirmed_leaves_the_outbox(Trial& t) {
  for (std::uint64_t n = 1; n <= 5; ++n) t.apply(kept(set("a", {"k"}, ms(t, n), std::to_string(n))));
  const auto part = outbox(t, 0, 2);
  ASSERT_EQ(part.states.size(), 2u);
  EXPECT_FALSE(part.at_end);
  const auto rest = outbox(t, part.states.back().position);
  EXPECT_EQ(rest.states.size(), 3u);
  EXPECT_TRUE(rest.at_end);
  EXPECT_EQ(t.store().history({.after = 0, .limit = 100, .max_bytes = 1}).value().states.size(), 1u) << "one comes whatever its size";
  EXPECT_TRUE(confirm(t, part));
  EXPECT_TRUE(confirm(t, part)) << "idempotent";
  EXPECT_EQ(names(outbox(t)), names(rest));
  EXPECT_TRUE(confirm(t, rest));
  EXPECT_EQ(t.store().stats().value().outbox, 0u);
  t.apply(kept(set("a", {"k"}, ms(t, 6), "6")));
  EXPECT_GT(outbox(t).states.at(0).position, rest.states.back().position) << "positions are never used twice";
}

void reopening_keeps_the_outbox(Trial& t) {
  t.apply(kept(set("a", {"k"}, ms(t, 1), "one")));
  const auto before = outbox(t);
  t.reopen();
  EXPECT_EQ(names(outbox(t)), names(before));
  EXPECT_EQ(outbox(t).states.at(0).position, before.states.at(0).position);
  t.apply(erase("a", ms(t, 2)));
  EXPECT_EQ(outbox(t).states.size(), 2u) << "the record still knows that it has a history";
}

// --- the archive ----------------------------------------------------------------------------------------------------------------

// States as an outbox would give them, at milliseconds of the test.
class Past {
 public:
  explicit Past(Trial& t) : t_(t), zero_(t.now()) {}
  TimePoint at(std::int64_t ms) const { return zero_ + Milliseconds(ms); }

  Past& record(const std::string& id, Keys keys, std::int64_t ms, const std::string& payload, Keys lost = {},
               std::optional<std::int64_t> expires = {}) {
    auto& state = add(Kind::kRecord, id, ms);
    Record record;
    record.id = id;
    record.keys = KeyList(std::span<const std::string>(keys));
    record.lost_keys = KeyList(std::span<const std::string>(lost));
    record.flow = "orders";
    record.payload = Payload(payload);
    record.version = state.version;
    record.stamp = stamp_at(at(ms));
    record.created_at = at(ms);
    if (expires) record.expires_at = at(*expires);
    state.record = std::move(record);
    return *this;
  }
  Past& tombstone(const std::string& id, std::int64_t ms, TombstoneReason reason = TombstoneReason::kErased) {
    add(Kind::kTombstone, id, ms).reason = reason;
    return *this;
  }
  Past& not_kept(const std::string& id, Keys keys, std::int64_t ms) {
    record(id, std::move(keys), ms, "");
    states_.back().state.kind = Kind::kNotKept;
    return *this;
  }
  Past& keep(Milliseconds age) {
    states_.back().keep = age;
    return *this;
  }
  // In force from another moment than its acceptance.
  Past& from(std::int64_t ms) {
    states_.back().state.at = at(ms);
    return *this;
  }
  // Returns how many were new.
  std::size_t write() { return t_.archive().write_history({.source = {.uuid = "s", .epoch = 1}, .states = states_}).value(); }

  std::string key(const std::string& key, std::int64_t ms) { return said({.ns = {}, .key = key, .id = {}, .at = at(ms)}); }
  std::string id(const std::string& id, std::int64_t ms) { return said({.ns = {}, .key = {}, .id = id, .at = at(ms)}); }

 private:
  HistoryState& add(Kind kind, const std::string& id, std::int64_t ms) {
    auto& state = states_.emplace_back().state;
    state.position = states_.size();
    state.kind = kind;
    state.at = at(ms);
    state.id = id;
    state.version = states_.size();
    return state;
  }
  std::string said(const GetHistory& request) {
    const auto lookup = t_.archive().get_history(request).value();
    if (lookup.status == Status::kGone || lookup.status == Status::kUnknown) {
      EXPECT_EQ(lookup.known_from, t_.archive().stats().value().history_from);
    }
    switch (lookup.status) {
      case Status::kFound:
        return lookup.record->id + "/" + lookup.record->payload.str();
      case Status::kGone:
        return "gone";
      case Status::kNotKept:
        return "not kept";
      case Status::kUnknown:
        break;
    }
    return "unknown";
  }

  Trial& t_;
  TimePoint zero_;
  std::vector<ArchivedState> states_;
};

void a_state_is_found_from_its_first_millisecond_to_its_last(Trial& t) {
  Past past(t);
  past.record("a", {"k"}, 10, "one").record("a", {"k"}, 20, "two").tombstone("a", 30).record("a", {"k"}, 40, "three");
  EXPECT_EQ(past.write(), 4u);
  const std::array<std::pair<std::int64_t, const char*>, 9> expected{{{9, "unknown"},
                                                                      {10, "a/one"},
                                                                      {19, "a/one"},
                                                                      {20, "a/two"},
                                                                      {29, "a/two"},
                                                                      {30, "gone"},
                                                                      {39, "gone"},
                                                                      {40, "a/three"},
                                                                      {4000, "a/three"}}};
  for (const auto& [ms, said] : expected) {
    EXPECT_EQ(past.key("k", ms), said) << ms;
    EXPECT_EQ(past.id("a", ms), said) << ms;
  }
  EXPECT_EQ(t.archive().stats().value().history_states, 4u);
  EXPECT_EQ(t.archive().stats().value().history_from, past.at(10));
}

void of_states_in_one_millisecond_the_last_counts(Trial& t) {
  Past past(t);
  past.record("a", {"k"}, 10, "one").record("a", {"k"}, 10, "two").record("a", {"k"}, 10, "three").write();
  EXPECT_EQ(past.key("k", 9), "unknown");
  EXPECT_EQ(past.key("k", 10), "a/three");
}

// As an identity's states come where another record's claim was accepted later and applied before: "one" lost l to b at 30, and only then
// its successor, accepted at 20, was applied.
void what_was_accepted_later_and_applied_before_never_was(Trial& t) {
  Past past(t);
  past.record("a", {"k", "l"}, 10, "one").record("b", {"l"}, 30, "b1").record("a", {"k", "l"}, 10, "one", {"l"}).from(30);
  past.record("a", {"k", "l"}, 20, "two", {"l"}).write();
  EXPECT_EQ(past.id("a", 9), "unknown");
  EXPECT_EQ(past.id("a", 19), "a/one");
  for (const std::int64_t ms : {20, 29, 30, 4000}) {
    EXPECT_EQ(past.id("a", ms), "a/two") << ms;
    EXPECT_EQ(past.key("k", ms), "a/two") << ms;
  }
  EXPECT_EQ(past.key("l", 19), "a/one");
  EXPECT_EQ(past.key("l", 20), "a/two") << "it had not lost it yet";
  EXPECT_EQ(past.key("l", 29), "a/two");
  EXPECT_EQ(past.key("l", 30), "b/b1");
  const auto page = t.archive().scan_history({.at = past.at(25)}).value();
  ASSERT_EQ(page.items.size(), 1u);
  EXPECT_EQ(page.items[0].record->payload.str(), "two");
  // And what follows.
  past.tombstone("a", 40).write();
  EXPECT_EQ(past.id("a", 39), "a/two");
  EXPECT_EQ(past.id("a", 40), "gone");
  EXPECT_EQ(past.key("k", 40), "gone");
}

// A claim that is applied late: who had the key still seems to have it until a state says otherwise.
void a_claim_counts_from_its_acceptance(Trial& t) {
  Past past(t);
  past.record("a", {"k"}, 10, "a1").record("a", {"m"}, 50, "a2");
  past.record("b", {"k"}, 20, "b1").tombstone("b", 30).write();
  EXPECT_EQ(past.key("k", 19), "a/a1");
  EXPECT_EQ(past.key("k", 20), "b/b1");
  EXPECT_EQ(past.key("k", 30), "gone") << "there is no falling back";
  EXPECT_EQ(past.key("k", 49), "gone");
  EXPECT_EQ(past.key("m", 50), "a/a2");
}

// Versions that are the caller's need not come in the order of their stamps: "second" was accepted first and applied last.
void a_later_version_keeps_the_keys_that_an_earlier_one_claimed_after_it(Trial& t) {
  Past past(t);
  past.record("b", {"k"}, 25, "b1", {"k"});
  past.record("a", {"k"}, 30, "first").record("a", {"k"}, 20, "second").write();
  EXPECT_EQ(past.id("a", 4000), "a/second");
  EXPECT_EQ(past.key("k", 20), "a/second");
  EXPECT_EQ(past.key("k", 30), "a/second");
  EXPECT_EQ(past.key("k", 4000), "a/second");
}

// It claims the key for the record that is there, and is no state: who came in between and was applied last never had the key.
void what_a_stale_set_had_claimed_was_not_taken(Trial& t) {
  Past past(t);
  past.record("a", {"k"}, 10, "a1").record("b", {"k", "l"}, 20, "b1", {"k"}).write();
  EXPECT_EQ(past.key("k", 19), "a/a1");
  EXPECT_EQ(past.key("k", 20), "a/a1");
  EXPECT_EQ(past.key("k", 4000), "a/a1");
  EXPECT_EQ(past.key("l", 20), "b/b1");
}

void states_that_never_were_go_as_others_do(Trial& t) {
  Past past(t);
  past.record("a", {"k"}, 10, "one").keep(Milliseconds(100)).record("a", {"k"}, 10, "one", {"k"}).from(30).keep(Milliseconds(100));
  past.record("a", {"k"}, 20, "two").keep(Milliseconds(100)).write();
  EXPECT_EQ(t.archive().stats().value().history_states, 3u);
  EXPECT_EQ(t.archive().reclaim({.now = past.at(120), .max_steps = 100}).value(), 2u);
  EXPECT_EQ(t.archive().stats().value().history_states, 1u);
  EXPECT_EQ(past.key("k", 20), "a/two");
  EXPECT_EQ(past.id("a", 4000), "a/two");
}

void writing_again_changes_nothing(Trial& t) {
  Past past(t);
  past.record("a", {"k"}, 10, "one").tombstone("a", 20);
  EXPECT_EQ(past.write(), 2u);
  EXPECT_EQ(past.write(), 0u);
  past.record("a", {"k"}, 30, "three");
  EXPECT_EQ(past.write(), 1u);
  EXPECT_EQ(past.key("k", 10), "a/one");
  EXPECT_EQ(past.key("k", 20), "gone");
  EXPECT_EQ(past.key("k", 30), "a/three");
  EXPECT_EQ(t.archive().stats().value().history_states, 3u);
}

void a_key_is_followed_from_record_to_record(Trial& t) {
  Past past(t);
  past.record("a", {"k", "l"}, 10, "a1").record("b", {"k"}, 20, "b1").record("a", {"k", "l"}, 10, "a1", {"k"}).from(20);
  past.tombstone("b", 30).write();
  EXPECT_EQ(past.key("l", 25), "a/a1");
  EXPECT_EQ(past.key("k", 19), "a/a1");
  EXPECT_EQ(past.key("k", 20), "b/b1");
  EXPECT_EQ(past.key("k", 30), "gone") << "there is no falling back";
  EXPECT_EQ(past.id("a", 30), "a/a1");
}

void a_key_that_a_record_without_history_held_is_not_kept(Trial& t) {
  Past past(t);
  past.record("a", {"k", "l"}, 10, "a1").record("a", {"k", "l"}, 11, "a1", {"k"}).tombstone("c", 12);
  past.record("d", {"m"}, 20, "d1").tombstone("d", 30, TombstoneReason::kSuperseded);
  past.record("e", {"n"}, 20, "e1").not_kept("e", {"n"}, 30).write();
  EXPECT_EQ(past.key("k", 11), "not kept");
  EXPECT_EQ(past.key("l", 11), "a/a1");
  EXPECT_EQ(past.key("m", 29), "d/d1");
  EXPECT_EQ(past.key("m", 30), "not kept");
  EXPECT_EQ(past.key("n", 29), "e/e1");
  EXPECT_EQ(past.key("n", 30), "not kept");
  EXPECT_EQ(past.id("e", 30), "not kept");
}

void expired_is_gone_in_the_past_too(Trial& t) {
  Past past(t);
  past.record("a", {"k"}, 10, "one", {}, 15).record("a", {"k"}, 20, "two").write();
  EXPECT_EQ(past.key("k", 14), "a/one");
  EXPECT_EQ(past.key("k", 15), "gone");
  EXPECT_EQ(past.id("a", 19), "gone");
  EXPECT_EQ(past.key("k", 20), "a/two");
}

void a_scan_of_the_past_gives_what_was_in_force(Trial& t) {
  Past past(t);
  for (int i = 0; i < 20; ++i) past.record("r" + std::to_string(i), {"k" + std::to_string(i)}, 10, "one");
  past.record("r0", {"k0"}, 20, "two")
      .tombstone("r1", 20)
      .record("r2", {"k2"}, 15, "soon", {}, 18)
      .record("late", {"x"}, 30, "late")
      .write();
  Names found;
  std::string cursor;
  do {
    const auto page = t.archive().scan_history({.cursor = cursor, .limit = 7, .at = past.at(20)}).value();
    for (const auto& item : page.items) found.push_back(item.id + "/" + item.record->payload.str());
    cursor = page.next;
  } while (!cursor.empty());
  std::sort(found.begin(), found.end());
  Names expected{"r0/two"};
  for (int i = 3; i < 20; ++i) expected.push_back("r" + std::to_string(i) + "/one");
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(found, expected);
}

void states_go_by_age_once_they_have_ended(Trial& t) {
  Past past(t);
  past.record("a", {"k"}, 10, "one").keep(Milliseconds(100)).record("a", {"k"}, 20, "two").keep(Milliseconds(100));
  past.record("b", {"l"}, 10, "one").keep(Milliseconds(100)).tombstone("b", 20).keep(Milliseconds(100)).write();
  const auto reclaim = [&](std::int64_t ms, std::size_t steps = 100) {
    return t.archive().reclaim({.now = past.at(ms), .max_steps = steps}).value();
  };
  EXPECT_EQ(reclaim(119), 0u);
  EXPECT_EQ(reclaim(120, 1), 1u) << "bounded";
  EXPECT_EQ(reclaim(120), 2u);
  EXPECT_EQ(reclaim(1'000'000), 0u) << "what is in force stays";
  EXPECT_EQ(past.key("k", 15), "unknown");
  EXPECT_EQ(past.key("k", 20), "a/two");
  EXPECT_EQ(past.key("l", 25), "unknown");
  const auto stats = t.archive().stats().value();
  EXPECT_EQ(stats.history_states, 1u);
  EXPECT_EQ(stats.history_from, past.at(20)) << "before it, a missing state says nothing";
}

void an_age_without_end_keeps_a_state_that_has_ended(Trial& t) {
  Past past(t);
  for (const auto* id : {"a", "b"}) past.record(id, {id}, 10, "one").keep(Milliseconds::max());
  past.record("c", {"c"}, 10, "one", {}, 40).keep(Milliseconds::max());
  past.record("a", {"a"}, 20, "two").keep(Milliseconds::max()).tombstone("b", 20).keep(Milliseconds::max()).write();
  EXPECT_EQ(t.archive().reclaim({.now = past.at(1'000'000)}).value(), 0u);
  EXPECT_EQ(past.key("a", 15), "a/one");
  EXPECT_EQ(past.key("b", 15), "b/one");
  EXPECT_EQ(past.key("b", 25), "gone");
  EXPECT_EQ(past.key("c", 15), "c/one");
}

void what_ended_first_goes_where_space_is_short(Trial& t) {
  Past past(t);
  for (std::int64_t i = 1; i <= 4; ++i) past.record("a", {"k"}, i * 10, std::string(1000, static_cast<char>('0' + i)));
  past.write();
  const auto full = t.archive().stats().value().history_bytes;
  EXPECT_GE(full, 4000u);
  EXPECT_EQ(t.archive().reclaim({.now = past.at(50), .max_steps = 100, .max_history_bytes = full}).value(), 0u);
  EXPECT_EQ(t.archive().reclaim({.now = past.at(50), .max_steps = 100, .max_history_bytes = full / 2 + 1}).value(), 2u);
  EXPECT_EQ(past.key("k", 25), "unknown");
  EXPECT_EQ(past.key("k", 30), "a/" + std::string(1000, '3'));
  EXPECT_EQ(t.archive().stats().value().history_from, past.at(30));
  EXPECT_EQ(t.archive().reclaim({.now = past.at(50), .max_steps = 100, .max_history_bytes = 1}).value(), 1u);
  EXPECT_EQ(past.key("k", 40), "a/" + std::string(1000, '4')) << "what is in force stays";
}

void what_it_is_a_history_of_is_kept(Trial& t) {
  Past past(t);
  past.record("a", {"k"}, 10, "one").write();
  const auto say = [&](std::string_view of, std::int64_t since) {
    return t.archive().write_history({.source = {.uuid = "s", .epoch = 1}, .states = {}, .of = of, .since = past.at(since)}).value();
  };
  EXPECT_EQ(t.archive().stats().value().history_of, "");
  EXPECT_EQ(t.archive().history_of().value(), "");
  EXPECT_EQ(say("orders", 20), 0u);
  EXPECT_EQ(t.archive().stats().value().history_of, "orders");
  EXPECT_EQ(t.archive().history_of().value(), "orders");
  EXPECT_EQ(t.archive().stats().value().history_from, past.at(20));
  EXPECT_EQ(say("orders\nitems", 15), 0u);
  EXPECT_EQ(t.archive().stats().value().history_of, "orders\nitems");
  EXPECT_EQ(t.archive().history_of().value(), "orders\nitems");
  EXPECT_EQ(t.archive().stats().value().history_from, past.at(20)) << "it never goes back";
  EXPECT_EQ(past.key("k", 12), "a/one");
}

void reopening_keeps_histories(Trial& t) {
  Past past(t);
  past.record("a", {"k"}, 10, "one").record("a", {"k"}, 20, "two").write();
  t.reopen();
  EXPECT_EQ(past.key("k", 10), "a/one");
  EXPECT_EQ(past.key("k", 20), "a/two");
  EXPECT_EQ(past.write(), 0u) << "it knows what it has";
}

const std::array kStoreCases{
    Case{"only_flows_with_history_write_to_the_outbox", only_flows_with_history_write_to_the_outbox, {&Deviations::outbox}},
    Case{"every_state_is_in_the_outbox_in_order", every_state_is_in_the_outbox_in_order, {&Deviations::outbox}},
    Case{"a_key_that_moves_makes_a_state_of_who_lost_it", a_key_that_moves_makes_a_state_of_who_lost_it, {&Deviations::outbox}},
    Case{"duplicates_and_stale_sets_are_no_states", duplicates_and_stale_sets_are_no_states, {&Deviations::outbox}},
    Case{"a_set_of_a_flow_without_history_ends_the_history", a_set_of_a_flow_without_history_ends_the_history, {&Deviations::outbox}},
    Case{"a_history_begins_with_what_was_there", a_history_begins_with_what_was_there, {&Deviations::outbox}},
    Case{"what_another_flow_did_not_keep_is_not_kept_later", what_another_flow_did_not_keep_is_not_kept_later, {&Deviations::outbox}},
    Case{"records_can_be_put_under_history", records_can_be_put_under_history, {&Deviations::outbox}},
    Case{"eviction_is_no_state", eviction_is_no_state, {&Deviations::outbox}},
    Case{"what_is_confirmed_leaves_the_outbox", what_is_confirmed_leaves_the_outbox, {&Deviations::outbox}},
    Case{"reopening_keeps_the_outbox", reopening_keeps_the_outbox, {&Deviations::outbox}, Needs::kReopen},
};

#define SETGET_CASE(function) \
  Case { #function, function, needing(&Deviations::history) }
const std::array kArchiveCases{
    SETGET_CASE(a_state_is_found_from_its_first_millisecond_to_its_last),
    SETGET_CASE(of_states_in_one_millisecond_the_last_counts),
    SETGET_CASE(what_was_accepted_later_and_applied_before_never_was),
    SETGET_CASE(a_claim_counts_from_its_acceptance),
    SETGET_CASE(a_later_version_keeps_the_keys_that_an_earlier_one_claimed_after_it),
    SETGET_CASE(what_a_stale_set_had_claimed_was_not_taken),
    SETGET_CASE(states_that_never_were_go_as_others_do),
    SETGET_CASE(writing_again_changes_nothing),
    SETGET_CASE(a_key_is_followed_from_record_to_record),
    SETGET_CASE(a_key_that_a_record_without_history_held_is_not_kept),
    SETGET_CASE(expired_is_gone_in_the_past_too),
    SETGET_CASE(a_scan_of_the_past_gives_what_was_in_force),
    SETGET_CASE(states_go_by_age_once_they_have_ended),
    SETGET_CASE(an_age_without_end_keeps_a_state_that_has_ended),
    SETGET_CASE(what_ended_first_goes_where_space_is_short),
    SETGET_CASE(what_it_is_a_history_of_is_kept),
    Case{"reopening_keeps_histories", reopening_keeps_histories, {&Deviations::history}, Needs::kReopen},
};
#undef SETGET_CASE

void declares_whether_it_has_an_outbox(Trial& t) { EXPECT_EQ(t.store().capabilities().history, t.params().deviations.outbox.empty()); }
void lacks_an_outbox(Trial& t) {
  EXPECT_EQ(t.store().history({}).error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(t.store().confirm_history({}).error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(t.store().begin_history({}).error().code(), ErrorCode::kUnsupported);
}
void declares_whether_it_keeps_histories(Trial& t) { EXPECT_EQ(t.archive().capabilities().history, t.params().deviations.history.empty()); }
void lacks_histories(Trial& t) {
  EXPECT_EQ(t.archive().write_history({}).error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(t.archive().get_history({}).error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(t.archive().scan_history({}).error().code(), ErrorCode::kUnsupported);
}

const std::array kStoreDeviations{Case{"declares_whether_it_has_an_outbox", declares_whether_it_has_an_outbox},
                                  Case{"lacks_an_outbox", lacks_an_outbox, {&Deviations::outbox}}};
const std::array kArchiveDeviations{Case{"declares_whether_it_keeps_histories", declares_whether_it_keeps_histories},
                                    Case{"lacks_histories", lacks_histories, {&Deviations::history}}};

}  // namespace

Cases key_store_history_cases() { return kStoreCases; }
Cases archive_history_cases() { return kArchiveCases; }
Cases key_store_history_deviation_cases() { return kStoreDeviations; }
Cases archive_history_deviation_cases() { return kArchiveDeviations; }

}  // namespace setget::inline v0::testing::detail
