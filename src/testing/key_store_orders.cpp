// Key store suite: the state is a function of the set of commands. Small sets of commands are applied in every possible order, one of
// them twice; every order gets a namespace of its own, so that thousands of them fit into a few batches.
#include <array>
#include <functional>

#include "testing/key_store_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

// What every order must lead to: a line of seen() per key, then per id.
struct Expected {
  Keys keys;
  Keys seen_keys;
  Keys ids;
  Keys seen_ids;
};

constexpr std::size_t kBatch = 512;

void apply_in_every_order(Trial& t, const std::vector<ApplyEntry>& commands, const Expected& expected) {
  std::vector<std::size_t> order(commands.size() + 1);  // the last one stands for the first command once more
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::vector<ApplyEntry> batch;
  std::vector<std::string> orders;
  do {
    std::string ns = "o";
    for (const auto i : order) ns += std::to_string(i);
    for (const auto i : order) batch.push_back(in_namespace(commands[i % commands.size()], ns));
    orders.push_back(std::move(ns));
    if (batch.size() >= kBatch) {
      t.apply_all(batch);
      batch.clear();
    }
  } while (std::next_permutation(order.begin(), order.end()));
  t.apply_all(batch);

  std::string reference;
  for (const auto& ns : orders) {
    for (std::size_t i = 0; i < expected.keys.size(); ++i) {
      EXPECT_EQ(t.seen(expected.keys[i], ns), expected.seen_keys[i]) << "key " << expected.keys[i] << " after order " << ns;
    }
    for (std::size_t i = 0; i < expected.ids.size(); ++i) {
      EXPECT_EQ(t.seen_id(expected.ids[i], ns), expected.seen_ids[i]) << "id " << expected.ids[i] << " after order " << ns;
    }
    const auto state = describe_state(t.store(), ns, expected.keys, expected.ids, t.now());
    if (reference.empty()) reference = state;
    EXPECT_EQ(state, reference) << "order " << ns << " against order " << orders.front();
    if (::testing::Test::HasFailure()) return;
  }
}

void versions_of_one_identity(Trial& t) {
  apply_in_every_order(t,
                       {set_version("a", {"k"}, t.stamp(3), 1, "one"), set_version("a", {"k", "l"}, t.stamp(1), 2, "two"),
                        set_version("a", {"l", "m"}, t.stamp(2), 3, "three")},
                       {{"k", "l", "m"}, {"gone", "a/three", "a/three"}, {"a"}, {"a/three"}});
}

void equal_sets_accepted_at_different_times(Trial& t) {
  apply_in_every_order(
      t,
      {set_version("a", {"k"}, t.stamp(5), 1, "x"), set_version("a", {"k"}, t.stamp(1), 1, "x"),
       set_version("a", {"k"}, t.stamp(3), 1, "x"), set("b", {"k", "b"}, t.stamp(4))},
      // a counts from stamp 1, so b's claim was later than its acceptance; the duplicate's claim at 5 still takes the key from b.
      {{"k", "b"}, {"gone", "b/payload"}, {"a", "b"}, {"gone", "b/payload"}});
}

void two_records_and_one_key(Trial& t) {
  apply_in_every_order(t, {set("a", {"k", "a"}, t.stamp(1)), set("b", {"k", "b"}, t.stamp(2)), set("a", {"a"}, t.stamp(3), "later")},
                       {{"k", "a", "b"}, {"b/payload", "a/later", "b/payload"}, {"a", "b"}, {"a/later", "b/payload"}});
}

void a_stale_claim_between_two_records(Trial& t) {
  apply_in_every_order(
      t, {set_version("a", {"a"}, t.stamp(1), 9, "current"), set_version("a", {"k"}, t.stamp(3), 2, "stale"), set("b", {"k"}, t.stamp(2))},
      {{"a", "k"}, {"a/current", "gone"}, {"a", "b"}, {"a/current", "gone"}});
}

void a_stale_claim_that_wins_back(Trial& t) {
  apply_in_every_order(t,
                       {set_version("a", {"k", "a"}, t.stamp(1), 9, "current"), set("b", {"k", "b"}, t.stamp(2)),
                        set_version("a", {"k"}, t.stamp(3), 2, "stale")},
                       {{"k", "a", "b"}, {"a/current", "a/current", "b/payload"}, {"a", "b"}, {"a/current", "b/payload"}});
}

// Of one stamp the higher id is the later one: c's claim on k came after b's current set, a's did not.
void claims_of_one_stamp(Trial& t) {
  apply_in_every_order(t,
                       {set_version("b", {"k"}, t.stamp(1), 9, "current"), set_version("b", {"k"}, t.stamp(3), 2, "stale"),
                        set("a", {"k", "a"}, t.stamp(1)), set("c", {"k", "c"}, t.stamp(1))},
                       {{"k", "a", "c"}, {"gone", "a/payload", "c/payload"}, {"a", "b", "c"}, {"a/payload", "gone", "c/payload"}});
}

void a_stale_claim_does_not_revive_the_superseded(Trial& t) {
  apply_in_every_order(t,
                       {set_version("a", {"k"}, t.stamp(1), 9, "current"), set("b", {"k", "b"}, t.stamp(2)),
                        set_version("a", {"k"}, t.stamp(3), 2, "stale")},
                       {{"k", "b"}, {"gone", "b/payload"}, {"a", "b"}, {"gone", "b/payload"}});
}

void a_record_loses_its_keys_one_by_one(Trial& t) {
  apply_in_every_order(
      t, {set("a", {"x", "y", "z"}, t.stamp(1)), set("b", {"x"}, t.stamp(2)), set("c", {"y"}, t.stamp(3)), set("d", {"z"}, t.stamp(4))},
      {{"x", "y", "z"}, {"b/payload", "c/payload", "d/payload"}, {"a"}, {"gone"}});
}

void a_chain_of_holders(Trial& t) {
  apply_in_every_order(t,
                       {set("a", {"k", "l"}, t.stamp(1)), set("b", {"k"}, t.stamp(2)), set("c", {"k"}, t.stamp(3)), erase("c", t.stamp(4))},
                       {{"k", "l"}, {"gone", "a/payload"}, {"a", "b", "c"}, {"a/payload", "gone", "gone"}});
}

void an_erase_by_id_among_sets(Trial& t) {
  apply_in_every_order(
      t,
      {set("a", {"k", "l"}, t.stamp(1), "one"), erase("a", t.stamp(2)), set("a", {"k"}, t.stamp(3), "three"), set("b", {"l"}, t.stamp(0))},
      {{"k", "l"}, {"a/three", "gone"}, {"a", "b"}, {"a/three", "gone"}});
}

void an_erase_by_key_among_sets(Trial& t) {
  apply_in_every_order(
      t, {set("a", {"k", "a"}, t.stamp(1)), erase_key("k", t.stamp(3)), set("b", {"k", "b"}, t.stamp(2)), set("c", {"k"}, t.stamp(4))},
      {{"k", "a", "b"}, {"c/payload", "gone", "gone"}, {"a", "b", "c"}, {"gone", "gone", "c/payload"}});
}

void an_erase_by_key_and_a_version_without_the_key(Trial& t) {
  apply_in_every_order(t,
                       {set("a", {"k", "own"}, t.stamp(1), "one"), set("a", {"own"}, t.stamp(3), "three"), erase_key("k", t.stamp(2)),
                        erase_key("own", t.stamp(2))},
                       {{"k", "own"}, {"gone", "a/three"}, {"a"}, {"a/three"}});
}

void expired_sets_act_as_tombstones(Trial& t) {
  apply_in_every_order(t,
                       {set("a", {"k", "a"}, t.stamp(1), "one"), set_until("a", {"k"}, t.stamp(3), t.now() - Milliseconds(1), "expired"),
                        set("b", {"k", "b"}, t.stamp(2)), set_version("a", {"a"}, t.stamp(4), 7, "stale")},
                       {{"k", "a", "b"}, {"gone", "gone", "b/payload"}, {"a", "b"}, {"gone", "b/payload"}});
}

void touches_among_sets(Trial& t) {
  const auto soon = t.now() + Milliseconds(1'000);
  const auto later = t.now() + Milliseconds(9'000);
  apply_in_every_order(
      t,
      {set_until("a", {"k"}, t.stamp(1), soon, "one"), touch("a", t.stamp(3), later), touch("a", t.stamp(2), t.now() + Milliseconds(5)),
       set_until("b", {"b"}, t.stamp(5), soon, "b"), touch("b", t.stamp(4), later)},
      {{"k", "b"}, {"a/one", "b/b"}, {"a", "b"}, {"a/one", "b/b"}});
  EXPECT_EQ(t.look("k", "o012345").record->expires_at, later) << "the latest touch decides";
  EXPECT_EQ(t.look("b", "o012345").record->expires_at, soon) << "a set that was accepted after the touch has its own expiry";
}

void everything_at_once(Trial& t) {
  apply_in_every_order(
      t,
      {set_version("a", {"k", "l"}, t.stamp(2), 5, "a5"), set("b", {"l", "m"}, t.stamp(4), "b"), erase_key("m", t.stamp(3)),
       set_version("a", {"m"}, t.stamp(6), 4, "a4"), erase("c", t.stamp(1)), set_version("c", {"k"}, t.stamp(7), 1, "c1")},
      // c1 is older than the erase of c by version, but its claim on k counts: a loses k, and l to b: it is superseded.
      {{"k", "l", "m"}, {"gone", "b/b", "gone"}, {"a", "b", "c"}, {"gone", "b/b", "gone"}});
}

#define SETGET_CASE(name) \
  Case { "every_order_agrees_on_" #name, name }
const std::array kCases{
    SETGET_CASE(versions_of_one_identity),
    SETGET_CASE(equal_sets_accepted_at_different_times),
    SETGET_CASE(two_records_and_one_key),
    SETGET_CASE(a_stale_claim_between_two_records),
    SETGET_CASE(a_stale_claim_that_wins_back),
    SETGET_CASE(claims_of_one_stamp),
    SETGET_CASE(a_stale_claim_does_not_revive_the_superseded),
    SETGET_CASE(a_record_loses_its_keys_one_by_one),
    SETGET_CASE(a_chain_of_holders),
    SETGET_CASE(an_erase_by_id_among_sets),
    SETGET_CASE(an_erase_by_key_among_sets),
    SETGET_CASE(an_erase_by_key_and_a_version_without_the_key),
    SETGET_CASE(expired_sets_act_as_tombstones),
    SETGET_CASE(touches_among_sets),
    SETGET_CASE(everything_at_once),
};
#undef SETGET_CASE

}  // namespace

Cases key_store_order_cases() { return kCases; }

}  // namespace setget::inline v0::testing::detail
