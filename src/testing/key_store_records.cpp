// Key store suite: what one command after another does to records and keys.
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "testing/key_store_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

void gives_back_every_field(Trial& t) {
  SetSpec s = spec(std::string("i\0d", 3), {"order/42", std::string("k\0\x1f\xff", 4)}, t.stamp(5), std::string("p\0\xfe", 3));
  s.account = "acme";
  s.flow = "orders";
  s.owner = "someone";
  s.expires_at = t.now() + Milliseconds(1000);
  auto entry = set_entry(s);
  entry.command.attributes = {{"a", "1"}, {"b", std::string("\0", 1)}};
  entry.command.content_type = "text/plain; charset=utf-8";
  entry.encoded = encode_command(entry.command);
  entry.ttl_rule = TtlRule::kAccountFlow;
  const auto applied = t.apply(entry);
  EXPECT_EQ(applied.outcome, Outcome::kApplied);
  EXPECT_EQ(applied.version, t.stamp(5));
  EXPECT_EQ(applied.revision, 0u);
  for (const auto& lookup : {t.look("order/42"), t.look(std::string("k\0\x1f\xff", 4)), t.look_id(std::string("i\0d", 3))}) {
    ASSERT_EQ(lookup.status, Lookup::Status::kFound);
    const auto& record = *lookup.record;
    EXPECT_EQ(record.ns, "");
    EXPECT_EQ(record.id, s.id);
    EXPECT_EQ(keys_of(record.keys), s.keys);
    EXPECT_TRUE(record.lost_keys.empty());
    EXPECT_EQ(record.account, "acme");
    EXPECT_EQ(record.flow, "orders");
    EXPECT_EQ(record.owner, "someone");
    EXPECT_EQ(record.payload.str(), s.payload);
    EXPECT_EQ(record.content_type, "text/plain; charset=utf-8");
    EXPECT_EQ(record.attributes, entry.command.attributes);
    EXPECT_EQ(record.version, t.stamp(5));
    EXPECT_EQ(record.revision, 0u);
    EXPECT_EQ(record.stamp, t.stamp(5));
    EXPECT_EQ(record.created_at, time_of(t.stamp(5)));
    EXPECT_EQ(record.expires_at, s.expires_at);
    EXPECT_EQ(record.ttl_rule, TtlRule::kAccountFlow);
  }
}

void what_was_never_set_is_unknown(Trial& t) {
  EXPECT_EQ(t.seen("nothing"), "unknown");
  EXPECT_EQ(t.seen_id("nobody"), "unknown");
}

void the_highest_version_is_the_record(Trial& t) {
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(1), 10, "ten")).outcome, Outcome::kApplied);
  const auto stale = t.apply(set_version("a", {"k"}, t.stamp(2), 9, "nine"));
  EXPECT_EQ(stale.outcome, Outcome::kStale);
  EXPECT_EQ(stale.version, 10u);
  EXPECT_EQ(t.seen("k"), "a/ten");
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(3), 11, "eleven")).outcome, Outcome::kApplied);
  EXPECT_EQ(t.seen("k"), "a/eleven");
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(4), kMaxVersion, "last")).version, kMaxVersion);
  EXPECT_EQ(t.seen("k"), "a/last");
}

void without_a_version_the_stamp_decides(Trial& t) {
  t.apply(set("a", {"k"}, t.stamp(2), "second"));
  EXPECT_EQ(t.apply(set("a", {"k"}, t.stamp(1), "first")).outcome, Outcome::kStale);
  EXPECT_EQ(t.seen("k"), "a/second");
}

void the_same_message_again_is_a_duplicate(Trial& t) {
  const auto entry = set("a", {"k"}, t.stamp(1));
  t.apply(entry);
  const auto before = t.store().stats().value();
  for (int i = 0; i < 3; ++i) {
    const auto again = t.apply(entry);
    EXPECT_EQ(again.outcome, Outcome::kDuplicate);
    EXPECT_EQ(again.version, t.stamp(1));
    EXPECT_EQ(again.revision, 0u);
  }
  EXPECT_EQ(t.store().stats().value().changes, before.changes) << "a duplicate changes nothing, so it logs nothing";
  EXPECT_EQ(t.seen("k"), "a/payload");
}

void equal_sets_count_from_the_earliest(Trial& t) {
  auto late = spec("a", {"k"}, t.stamp(9));
  late.version = 7;
  late.expires_at = t.now() + Milliseconds(9000);
  auto early = late;
  early.stamp = t.stamp(3);
  early.expires_at = t.now() + Milliseconds(3000);
  t.apply(set_entry(late));
  EXPECT_EQ(t.apply(set_entry(early)).outcome, Outcome::kDuplicate);
  const auto record = *t.look("k").record;
  EXPECT_EQ(record.stamp, t.stamp(3));
  EXPECT_EQ(record.expires_at, early.expires_at);
  EXPECT_EQ(t.apply(set_entry(late)).outcome, Outcome::kDuplicate);
  EXPECT_EQ(t.look("k").record->stamp, t.stamp(3));
}

void an_equal_version_with_other_bytes_is_a_conflict(Trial& t) {
  t.apply(set_version("a", {"k"}, t.stamp(1), 5, "first"));
  for (const auto& other : {set_version("a", {"k"}, t.stamp(2), 5, "second"), set_version("a", {"k", "l"}, t.stamp(3), 5, "first"),
                            erase("a", t.stamp(4), 5)}) {
    const auto result = t.apply(other);
    EXPECT_EQ(result.outcome, Outcome::kDeadLettered);
    EXPECT_EQ(reason_code(result), "version_conflict");
  }
  EXPECT_EQ(t.seen("k"), "a/first");
  EXPECT_EQ(t.seen("l"), "unknown") << "a refused set claims nothing";
  t.apply(erase("a", t.stamp(5), 6));
  EXPECT_EQ(t.apply(erase("a", t.stamp(6), 6)).outcome, Outcome::kDuplicate);
  EXPECT_EQ(reason_code(t.apply(set_version("a", {"k"}, t.stamp(7), 6))), "version_conflict");
}

void a_new_version_brings_its_own_keys(Trial& t) {
  t.apply(set("a", {"kept", "dropped"}, t.stamp(1), "one"));
  t.apply(set("a", {"kept", "added"}, t.stamp(2), "two"));
  EXPECT_EQ(t.seen("kept"), "a/two");
  EXPECT_EQ(t.seen("added"), "a/two");
  EXPECT_EQ(t.seen("dropped"), "gone");
  t.apply(set("a", {"dropped"}, t.stamp(3), "three"));
  EXPECT_EQ(t.seen("dropped"), "a/three");
  EXPECT_EQ(t.seen("kept"), "gone");
}

void a_key_leads_to_the_latest_claim(Trial& t) {
  t.apply(set("a", {"k", "own"}, t.stamp(1)));
  t.apply(set("b", {"k"}, t.stamp(2)));
  EXPECT_EQ(t.seen("k"), "b/payload");
  EXPECT_EQ(t.seen("own"), "a/payload");
  const auto record = *t.look("own").record;
  EXPECT_EQ(keys_of(record.keys), (Keys{"k", "own"}));
  EXPECT_EQ(keys_of(record.lost_keys), Keys{"k"});
  EXPECT_EQ(record.revision, 1u) << "a lost key is a change";
  // A set that was accepted earlier does not take the key back.
  t.apply(set("c", {"k", "c"}, stamp_at(t.now()) + 0));
  EXPECT_EQ(t.seen("k"), "b/payload");
  EXPECT_EQ(keys_of(t.look("c").record->lost_keys), Keys{"k"});
}

void equal_stamps_are_decided_by_id(Trial& t) {
  t.apply(set("b", {"k", "kb"}, t.stamp(1)));
  t.apply(set("a", {"k", "ka"}, t.stamp(1)));
  EXPECT_EQ(t.seen("k"), "b/payload");
  t.apply(set("c", {"k", "kc"}, t.stamp(1)));
  EXPECT_EQ(t.seen("k"), "c/payload");
}

void a_record_that_lost_its_last_key_is_superseded(Trial& t) {
  t.apply(set("a", {"k", "l"}, t.stamp(1)));
  t.apply(set("b", {"k"}, t.stamp(2)));
  EXPECT_EQ(t.seen_id("a"), "a/payload");
  t.apply(set("c", {"l"}, t.stamp(3)));
  EXPECT_EQ(t.seen_id("a"), "gone");
  EXPECT_EQ(t.seen("k"), "b/payload");
  EXPECT_EQ(t.seen("l"), "c/payload");
}

void there_is_no_falling_back_to_an_earlier_holder(Trial& t) {
  t.apply(set("a", {"k", "own"}, t.stamp(1)));
  t.apply(set("b", {"k"}, t.stamp(2)));
  t.apply(erase("b", t.stamp(3)));
  EXPECT_EQ(t.seen("k"), "gone");
  EXPECT_EQ(t.seen("own"), "a/payload");
  t.apply(set("a", {"k", "own"}, t.stamp(4), "again"));
  EXPECT_EQ(t.seen("k"), "a/again");
}

void a_stale_set_claims_its_keys_too(Trial& t) {
  t.apply(set_version("a", {"x"}, t.stamp(1), 10, "current"));
  t.apply(set("b", {"k"}, t.stamp(2)));
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(3), 5, "stale")).outcome, Outcome::kStale);
  EXPECT_EQ(t.seen("k"), "gone") << "claimed by a, whose current version does not list it";
  EXPECT_EQ(t.seen_id("b"), "gone") << "b lost its last key";
  EXPECT_EQ(t.seen("x"), "a/current");
}

void a_stale_set_can_win_a_key_back_for_its_record(Trial& t) {
  t.apply(set_version("a", {"k", "own"}, t.stamp(1), 10, "current"));
  t.apply(set("b", {"k", "other"}, t.stamp(2)));
  EXPECT_EQ(t.seen("k"), "b/payload");
  t.apply(set_version("a", {"k"}, t.stamp(3), 5, "stale"));
  EXPECT_EQ(t.seen("k"), "a/current");
  EXPECT_TRUE(t.look("own").record->lost_keys.empty());
  EXPECT_EQ(keys_of(t.look("other").record->lost_keys), Keys{"k"});
}

void an_erase_by_id_is_a_tombstone_with_a_version(Trial& t) {
  t.apply(set_version("a", {"k", "l"}, t.stamp(1), 5));
  EXPECT_EQ(t.apply(erase("a", t.stamp(2), 4)).outcome, Outcome::kStale);
  EXPECT_EQ(t.seen("k"), "a/payload");
  EXPECT_EQ(t.apply(erase("a", t.stamp(3), 6)).outcome, Outcome::kApplied);
  EXPECT_EQ(t.seen("k"), "gone");
  EXPECT_EQ(t.seen("l"), "gone");
  EXPECT_EQ(t.seen_id("a"), "gone");
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(4), 5)).outcome, Outcome::kStale);
  EXPECT_EQ(t.seen("k"), "gone");
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(5), 7, "new")).outcome, Outcome::kApplied);
  EXPECT_EQ(t.seen("k"), "a/new");
  EXPECT_EQ(t.apply(erase("never", t.stamp(6))).outcome, Outcome::kApplied) << "the set may still be on its way";
  EXPECT_EQ(t.seen_id("never"), "gone");
}

void what_stays_says_when_it_was_accepted(Trial& t) {
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(1), 5)).outcome, Outcome::kApplied);
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(2), 4)).accepted, t.stamp(1)) << "stale";
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(3), 5, "other")).accepted, t.stamp(1)) << "a conflict";
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(4), 5)).accepted, t.stamp(1)) << "a duplicate";
  EXPECT_EQ(t.apply(erase("a", t.stamp(5), 6)).outcome, Outcome::kApplied);
  const auto after = t.apply(set_version("a", {"k"}, t.stamp(6), 5));
  EXPECT_EQ(after.outcome, Outcome::kStale);
  EXPECT_EQ(after.accepted, t.stamp(5)) << "the erase";
  EXPECT_EQ(t.apply(set_version("a", {"k"}, t.stamp(7), 6)).accepted, t.stamp(5)) << "a conflict with it";
}

void an_erase_by_key_reaches_what_was_accepted_before_it(Trial& t) {
  t.apply(set("before", {"k", "x"}, t.stamp(1)));
  EXPECT_EQ(t.apply(erase_key("k", t.stamp(3))).outcome, Outcome::kApplied);
  EXPECT_EQ(t.seen("k"), "gone");
  EXPECT_EQ(t.seen("x"), "gone") << "the record is erased, not only its key";
  EXPECT_EQ(t.seen_id("before"), "gone");
  t.apply(set("late", {"k", "y"}, t.stamp(2)));
  EXPECT_EQ(t.seen_id("late"), "gone") << "accepted before the erase, applied after it";
  EXPECT_EQ(t.seen("y"), "gone");
  t.apply(set("after", {"k"}, t.stamp(4)));
  EXPECT_EQ(t.seen("k"), "after/payload");
  EXPECT_EQ(t.apply(erase_key("k", t.stamp(3))).outcome, Outcome::kDuplicate);
  EXPECT_EQ(t.apply(erase_key("k", t.stamp(2))).outcome, Outcome::kStale);
  EXPECT_EQ(t.seen("k"), "after/payload");
  EXPECT_EQ(t.apply(erase_key("nobody's", t.stamp(9))).outcome, Outcome::kApplied);
}

void an_erase_by_key_reaches_records_that_have_lost_the_key(Trial& t) {
  t.apply(set("a", {"k", "own"}, t.stamp(1)));
  t.apply(set("b", {"k"}, t.stamp(5)));
  t.apply(erase_key("k", t.stamp(3)));
  EXPECT_EQ(t.seen("own"), "gone") << "a lists k and was accepted before the mark";
  EXPECT_EQ(t.seen("k"), "b/payload") << "b was accepted after it";
}

void an_erase_by_key_spares_a_version_that_does_not_list_the_key(Trial& t) {
  t.apply(set("a", {"k", "own"}, t.stamp(1), "one"));
  t.apply(set("a", {"own"}, t.stamp(2), "two"));
  t.apply(erase_key("k", t.stamp(3)));
  EXPECT_EQ(t.seen("own"), "a/two");
}

void a_conditional_set_tests_the_current_version(Trial& t) {
  EXPECT_EQ(t.apply(set_if("a", {"k"}, t.stamp(1), 0, "one")).outcome, Outcome::kApplied);
  const auto refused = t.apply(set_if("a", {"k", "claimed"}, t.stamp(2), 0, "two"));
  EXPECT_EQ(refused.outcome, Outcome::kDeadLettered);
  EXPECT_EQ(reason_code(refused), "precondition_failed");
  EXPECT_EQ(refused.version, t.stamp(1));
  EXPECT_EQ(t.seen("claimed"), "unknown") << "a refused set claims nothing";
  EXPECT_EQ(t.apply(set_if("a", {"k"}, t.stamp(3), t.stamp(1), "three")).outcome, Outcome::kApplied);
  EXPECT_EQ(t.seen("k"), "a/three");
  t.apply(erase("a", t.stamp(4)));
  EXPECT_EQ(reason_code(t.apply(set_if("a", {"k"}, t.stamp(5), t.stamp(4), "five"))), "precondition_failed");
  EXPECT_EQ(t.apply(set_if("a", {"k"}, t.stamp(6), 0, "six")).outcome, Outcome::kApplied) << "0 = no live record";
}

void a_conditional_set_tests_duplicate_and_stale_first(Trial& t) {
  t.apply(set("a", {"k"}, t.stamp(1)));
  const auto entry = set_if("a", {"k"}, t.stamp(2), t.stamp(1), "two");
  EXPECT_EQ(t.apply(entry).outcome, Outcome::kApplied);
  EXPECT_EQ(t.apply(entry).outcome, Outcome::kDuplicate) << "a redelivery is never falsely refused";
  t.apply(set("a", {"k"}, t.stamp(3), "three"));
  EXPECT_EQ(t.apply(entry).outcome, Outcome::kStale);
}

void a_batch_is_applied_in_order_with_a_result_each(Trial& t) {
  const std::vector<ApplyEntry> batch{set("a", {"k"}, t.stamp(1), "one"),
                                      set("a", {"k"}, t.stamp(3), "three"),
                                      set("a", {"k"}, t.stamp(2), "two"),
                                      set_if("a", {"k"}, t.stamp(4), 77),
                                      erase("b", t.stamp(5)),
                                      set("a", {"k"}, t.stamp(3), "three")};
  std::vector<Outcome> outcomes;
  for (const auto& result : t.apply_all(batch)) outcomes.push_back(result.outcome);
  EXPECT_EQ(outcomes, (std::vector<Outcome>{Outcome::kApplied, Outcome::kApplied, Outcome::kStale, Outcome::kDeadLettered,
                                            Outcome::kApplied, Outcome::kDuplicate}));
  EXPECT_EQ(t.seen("k"), "a/three");
  EXPECT_TRUE(t.apply_all({}).empty());
}

void namespaces_share_nothing(Trial& t) {
  t.apply(in_namespace(set("a", {"k"}, t.stamp(1), "in one"), "one"));
  t.apply(in_namespace(set("a", {"k"}, t.stamp(2), "in two"), "two"));
  EXPECT_EQ(t.seen("k", "one"), "a/in one");
  EXPECT_EQ(t.seen("k", "two"), "a/in two");
  EXPECT_EQ(t.seen("k"), "unknown");
  t.apply(in_namespace(erase_key("k", t.stamp(3)), "one"));
  EXPECT_EQ(t.seen("k", "one"), "gone");
  EXPECT_EQ(t.seen("k", "two"), "a/in two");
  // The border between namespace and key cannot be forged.
  t.apply(in_namespace(set("x", {"bc"}, t.stamp(4)), "a"));
  EXPECT_EQ(t.seen("c", "ab"), "unknown");
  EXPECT_EQ(t.seen(std::string("a\x1f", 2) + "bc"), "unknown");
}

void many_long_keys_and_a_large_payload_are_one_record(Trial& t) {
  Keys keys;
  for (int i = 0; i < 1024; ++i) keys.push_back(std::to_string(i) + std::string(500, '\xee'));
  const std::string payload(3u << 20, 'p');
  t.apply(set(std::string(512, 'i'), keys, t.stamp(1), payload));
  for (const std::size_t i : {0u, 511u, 1023u}) EXPECT_EQ(t.look(keys[i]).record->payload.view(), payload);
  t.apply(set(std::string(512, 'i'), {keys[0]}, t.stamp(2), "small"));
  EXPECT_EQ(t.look(keys[0]).record->payload.str(), "small");
  EXPECT_EQ(t.look(keys[1023]).status, Lookup::Status::kGone);
}

void many_keys_are_read_at_once_in_order(Trial& t) {
  t.apply(set("a", {"k1", "k2"}, t.stamp(1), "a"));
  t.apply(set("b", {"k3"}, t.stamp(2), "b"));
  t.apply(erase("b", t.stamp(3)));
  const std::vector<std::string_view> keys{"k3", "k2", "none", "k1", "k2"};
  const auto found = t.store().get({.ns = {}, .keys = keys, .now = t.now()}).value();
  ASSERT_EQ(found.size(), 5u);
  EXPECT_EQ(found[0].status, Lookup::Status::kGone);
  EXPECT_EQ(found[1].record->id, "a");
  EXPECT_EQ(found[2].status, Lookup::Status::kUnknown);
  EXPECT_EQ(found[3].record->id, "a");
  EXPECT_EQ(found[4].record->id, "a");
  EXPECT_TRUE(t.store().get({.ns = {}, .keys = {}, .now = t.now()}).value().empty());
}

// Readers see the old version under its keys or the new one under its keys, and never a gap in a key that both list.
void readers_never_see_a_part_of_a_version(Trial& t) {
  constexpr int kVersions = 150;
  t.apply(set_version("a", {"always", "even"}, t.stamp(0), 2, "2"));
  std::atomic<bool> done{false};
  std::atomic<int> reads{0};
  std::atomic<int> gaps{0};
  std::atomic<int> parts{0};
  std::atomic<int> back{0};
  {
    Threads readers;
    // Also where the writer throws: whoever joins them must not wait for ever.
    struct Over {
      std::atomic<bool>& done;
      ~Over() { done = true; }
    } over{done};
    for (int r = 0; r < 2; ++r) {
      readers.run([&] {
        const std::vector<std::string_view> keys{"always", "even", "odd"};
        Version last = 0;
        do {
          const auto found = t.store().get({.ns = {}, .keys = keys, .now = t.now()}).value();
          ++reads;
          if (!found[0].record) {
            ++gaps;
            continue;
          }
          const auto version = found[0].record->version;
          if (version < last) ++back;
          last = version;
          const auto& with = version % 2 == 0 ? found[1] : found[2];
          const auto& without = version % 2 == 0 ? found[2] : found[1];
          if (!with.record || with.record->version != version || without.record ||
              found[0].record->payload.str() != std::to_string(version)) {
            ++parts;
          }
        } while (!done.load());
      });
    }
    // A lock that is not fair may keep the readers out for a while: the writer goes on until they have looked often enough.
    const auto give_up = Deadline::in(std::chrono::seconds(20));
    for (int v = 3; v < kVersions || (reads.load() <= 2 && !give_up.passed() && !readers.failed()); ++v) {
      t.apply(set_version("a", {"always", v % 2 == 0 ? "even" : "odd"}, t.stamp(static_cast<std::uint64_t>(v)), static_cast<Version>(v),
                          std::to_string(v)));
    }
  }
  EXPECT_GT(reads.load(), 2);
  EXPECT_EQ(gaps.load(), 0);
  EXPECT_EQ(parts.load(), 0);
  EXPECT_EQ(back.load(), 0);
}

void reopening_keeps_records_tombstones_and_identity(Trial& t) {
  const auto identity = t.store().identity().value();
  t.apply(set_version("a", {"k", "l"}, t.stamp(1), 5));
  t.apply(set("b", {"l"}, t.stamp(2)));
  t.apply(set("c", {"c"}, t.stamp(3)));
  t.apply(erase("c", t.stamp(4)));
  t.apply(erase_key("marked", t.stamp(9)));
  t.apply(touch("later", t.stamp(9), t.now() + Milliseconds(5000)));
  const Keys keys{"k", "l", "c", "marked"};
  const Keys ids{"a", "b", "c"};
  const auto before = describe_state(t.store(), {}, keys, ids, t.now());
  t.reopen();
  EXPECT_EQ(describe_state(t.store(), {}, keys, ids, t.now()), before);
  EXPECT_EQ(t.store().identity().value(), identity);
  EXPECT_EQ(t.apply(set_version("a", {"k", "l"}, t.stamp(1), 5)).outcome, Outcome::kDuplicate);
  EXPECT_EQ(t.apply(set("d", {"marked"}, t.stamp(8))).outcome, Outcome::kApplied);
  EXPECT_EQ(t.seen_id("d"), "gone") << "the mark is still there";
  t.apply(set("later", {"later"}, t.stamp(8)));
  EXPECT_EQ(t.look("later").record->expires_at, t.now() + Milliseconds(5000)) << "the touch is still there";
}

void the_identity_is_stable_and_its_own(Trial& t) {
  const auto identity = t.store().identity().value();
  EXPECT_FALSE(identity.uuid.empty());
  EXPECT_GE(identity.epoch, 1u);
  t.apply(set("a", {"k"}, t.stamp(1)));
  EXPECT_EQ(t.store().identity().value(), identity);
  Environment elsewhere{.clock = std::make_shared<SimulatedClock>(), .random = std::make_shared<SeededRandom>(43)};
  const auto other = t.params().make(elsewhere).value();
  EXPECT_NE(other.key_store.backend()->identity().value().uuid, identity.uuid);
}

void a_second_opening_sees_every_change(Trial& t) {
  const auto second = t.share();
  auto& other = *second.key_store.backend();
  t.apply(set("a", {"k"}, t.stamp(1), "one"));
  EXPECT_EQ(describe_state(other, {}, {"k"}, {"a"}, t.now()), describe_state(t.store(), {}, {"k"}, {"a"}, t.now()));
  const auto entry = set("a", {"k"}, t.stamp(2), "two");
  EXPECT_EQ(other.apply({.entries = std::span(&entry, 1), .now = t.now()}).value().at(0).value().outcome, Outcome::kApplied);
  EXPECT_EQ(t.seen("k"), "a/two");
  EXPECT_EQ(t.apply(entry).outcome, Outcome::kDuplicate);
  EXPECT_EQ(other.identity().value(), t.store().identity().value());
}

// The completion form, however the store keeps it: the same answers, each exactly once, and nothing of the request is needed any more.
void gets_without_waiting_answer_the_same(Trial& t) {
  t.apply(set("a", {"k", "l"}, t.stamp(1), "one"));
  struct Answers {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<std::string> seen;
    std::size_t calls = 0;
  };
  constexpr std::size_t kCalls = 100;
  const auto answers = std::make_shared<Answers>();
  for (std::size_t i = 0; i < kCalls; ++i) {
    std::vector<std::string> names{"k", "none", "l"};
    std::string ns;
    const std::vector<std::string_view> keys(names.begin(), names.end());
    t.store().get_async({.ns = ns, .keys = keys, .now = t.now()}, [answers](Result<std::vector<Lookup>> found) {
      std::string seen;
      if (!found) {
        seen = found.error().describe();
      } else {
        for (const auto& one : *found) seen += one.record ? one.record->id + "/" + one.record->payload.str() + " " : "- ";
      }
      const std::lock_guard lock(answers->mutex);
      answers->seen.push_back(std::move(seen));
      ++answers->calls;
      answers->changed.notify_all();
    });
    for (auto& name : names) name.assign(name.size(), '!');
  }
  std::unique_lock lock(answers->mutex);
  ASSERT_TRUE(answers->changed.wait_for(lock, std::chrono::seconds(30), [&] { return answers->calls == kCalls; }));
  for (const auto& seen : answers->seen) EXPECT_EQ(seen, "a/one - a/one ");
}

// A store may know by itself what a get would answer; never what one would have answered before.
void what_is_at_hand_is_what_a_get_answers(Trial& t) {
  const auto at_hand = [&](std::string_view key) { return t.store().get_at_hand({}, key, t.now()); };
  const auto got = [&](std::string_view key) {
    return t.store().get({.ns = {}, .keys = std::span(&key, 1), .now = t.now()}).value().front();
  };
  const auto expect_now = [&](std::string_view key, const std::string& payload) {
    for (int look = 0; look < 3; ++look) {
      if (const auto known = at_hand(key)) {
        EXPECT_EQ(known->record ? known->record->payload.str() : "", payload) << key;
      }
      const auto asked = got(key);
      EXPECT_EQ(asked.record ? asked.record->payload.str() : "", payload) << key;
    }
  };
  expect_now("k", "");
  t.apply(set("a", {"k", "l"}, t.stamp(1), "one"));
  expect_now("k", "one");
  // Where a store has anything at hand, it is this: asked for a moment ago, and nothing has changed.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (t.store().capabilities().at_hand && !at_hand("k")) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "it never has anything";
    (void)got("k");
  }
  const auto share = [&](std::string_view key) { return t.store().share_at_hand({}, key, t.now()); };
  std::shared_ptr<const Lookup> one;
  if (!t.store().capabilities().at_hand) {
    EXPECT_FALSE(at_hand("k"));
    EXPECT_FALSE(share("k"));
  } else if ((one = share("k"))) {
    EXPECT_EQ(one->record->payload.str(), "one");
  }
  t.apply(set("a", {"k", "l"}, t.stamp(2), "two"));
  if (one) {
    EXPECT_NE(share("k"), one) << "the object says that nothing has changed";
  }
  expect_now("k", "two");
  t.apply(set("b", {"l"}, t.stamp(3), "other"));
  expect_now("l", "other");
  expect_now("k", "two");
  t.apply(touch("a", t.stamp(4), t.now() + Milliseconds(1'000)));
  expect_now("k", "two");
  t.clock().advance(Milliseconds(1'000));
  expect_now("k", "");
  t.apply(erase("b", t.stamp(5)));
  expect_now("l", "");
}

#define SETGET_CASE(name) \
  Case { #name, name }
const std::array kCases{
    SETGET_CASE(gives_back_every_field),
    SETGET_CASE(what_is_at_hand_is_what_a_get_answers),
    SETGET_CASE(what_was_never_set_is_unknown),
    SETGET_CASE(the_highest_version_is_the_record),
    SETGET_CASE(without_a_version_the_stamp_decides),
    SETGET_CASE(the_same_message_again_is_a_duplicate),
    SETGET_CASE(equal_sets_count_from_the_earliest),
    SETGET_CASE(an_equal_version_with_other_bytes_is_a_conflict),
    SETGET_CASE(a_new_version_brings_its_own_keys),
    SETGET_CASE(a_key_leads_to_the_latest_claim),
    SETGET_CASE(equal_stamps_are_decided_by_id),
    SETGET_CASE(a_record_that_lost_its_last_key_is_superseded),
    SETGET_CASE(there_is_no_falling_back_to_an_earlier_holder),
    SETGET_CASE(a_stale_set_claims_its_keys_too),
    SETGET_CASE(a_stale_set_can_win_a_key_back_for_its_record),
    SETGET_CASE(an_erase_by_id_is_a_tombstone_with_a_version),
    SETGET_CASE(what_stays_says_when_it_was_accepted),
    SETGET_CASE(an_erase_by_key_reaches_what_was_accepted_before_it),
    SETGET_CASE(an_erase_by_key_reaches_records_that_have_lost_the_key),
    SETGET_CASE(an_erase_by_key_spares_a_version_that_does_not_list_the_key),
    SETGET_CASE(a_conditional_set_tests_the_current_version),
    SETGET_CASE(a_conditional_set_tests_duplicate_and_stale_first),
    SETGET_CASE(a_batch_is_applied_in_order_with_a_result_each),
    SETGET_CASE(namespaces_share_nothing),
    SETGET_CASE(many_long_keys_and_a_large_payload_are_one_record),
    SETGET_CASE(many_keys_are_read_at_once_in_order),
    SETGET_CASE(gets_without_waiting_answer_the_same),
    SETGET_CASE(readers_never_see_a_part_of_a_version),
    Case{"reopening_keeps_records_tombstones_and_identity", reopening_keeps_records_tombstones_and_identity, {}, Needs::kReopen},
    SETGET_CASE(the_identity_is_stable_and_its_own),
    Case{"a_second_opening_sees_every_change", a_second_opening_sees_every_change, {}, Needs::kShare},
};
#undef SETGET_CASE

}  // namespace

Cases key_store_record_cases() { return kCases; }

}  // namespace setget::inline v0::testing::detail
