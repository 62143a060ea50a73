// Key store suite: applying a command and settling its message in one step.
#include <array>

#include "testing/key_store_helpers.hpp"
#include "testing/queue_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

struct Work {
  FusedEntry fused;
  SentMessage sent;
};

// Sends the command, receives it, and makes the worker's entry of it.
Work received(Queue& queue, ApplyEntry entry) {
  Work work;
  work.sent = queue.send(OutgoingMessage{.body = entry.encoded, .attributes = {}, .group = {}, .dedup_id = {}, .delay = {}}).value();
  const auto message = queue.receive(1).value().at(0);
  entry.stamp = message.stamp;
  entry.encoded = message.body;
  work.fused = {.receipt = message.receipt, .entry = std::move(entry)};
  return work;
}

FusedStore::Results run(Trial& t, FusedStore& store, std::vector<FusedEntry> entries, std::vector<Settlement> others = {}) {
  return store.apply_and_settle("plain", entries, others, t.now(), Deadline::in(std::chrono::seconds(30))).value();
}

// Where nothing is fused the worker applies and acks in two steps: that is a choice which must not be made by mistake.
void lacks_fused(Trial& t) { EXPECT_EQ(t.store().fused_with(t.queues()), nullptr) << "it can, and no deviation is needed"; }

void applies_and_acks_in_one_step(Trial& t) {
  auto queue = t.plain_queue();
  auto* fused = t.store().fused_with(t.queues());
  ASSERT_NE(fused, nullptr) << "a store that cannot do this says so in Deviations::fused";
  const auto a = received(queue, set("a", {"k"}, 0, "one"));
  const auto b = received(queue, set_version("b", {"l"}, 0, 5, "first"));
  const auto c = received(queue, set_version("b", {"l"}, 0, 5, "conflict"));
  const auto d = received(queue, set_version("b", {"l"}, 0, 4, "stale"));
  const auto e = received(queue, set("e", {"e"}, 0));
  const std::vector<Settlement> others{{.receipt = e.fused.receipt, .action = SettleAction::kRelease, .reasons = {}},
                                       {.receipt = "nonsense", .reasons = {}}};
  const auto results = run(t, *fused, {a.fused, b.fused, c.fused, d.fused}, others);
  ASSERT_EQ(results.applied.size(), 4u);
  EXPECT_EQ(results.applied[0].value().outcome, Outcome::kApplied);
  EXPECT_EQ(results.applied[1].value().outcome, Outcome::kApplied);
  EXPECT_EQ(results.applied[2].value().outcome, Outcome::kDeadLettered);
  EXPECT_EQ(results.applied[3].value().outcome, Outcome::kStale);
  ASSERT_EQ(results.settled.size(), 2u);
  EXPECT_TRUE(results.settled[0]);
  EXPECT_EQ(refusal(results.settled[1]), ErrorCode::kLeaseLost);
  EXPECT_EQ(t.seen("k"), "a/one");
  EXPECT_EQ(t.look("k").record->version, a.sent.stamp);
  EXPECT_EQ(t.seen("l"), "b/first");
  expect_outcome(t, a.sent.message_id, Outcome::kApplied);
  expect_outcome(t, d.sent.message_id, Outcome::kStale);
  expect_outcome(t, c.sent.message_id, Outcome::kDeadLettered);
  if (t.has(&Deviations::ledger)) {
    const auto conflict = find(t, c.sent.message_id);
    ASSERT_FALSE(conflict.reasons.empty());
    EXPECT_EQ(conflict.reasons[0].code, "version_conflict");
  }
  EXPECT_EQ(queue.stats().value().depth, 1u);
  expect_ledger_adds_up(queue);
}

void a_lost_lease_applies_nothing(Trial& t) {
  auto queue = t.plain_queue();
  auto* fused = t.store().fused_with(t.queues());
  ASSERT_NE(fused, nullptr) << "a store that cannot do this says so in Deviations::fused";
  const auto lost = received(queue, set("a", {"k"}, 0));
  t.clock().advance(Milliseconds(30'000));
  ASSERT_EQ(receive(queue).size(), 1u);
  const auto good = received(queue, set("b", {"l"}, 0));
  const auto results = run(t, *fused, {lost.fused, good.fused});
  ASSERT_FALSE(results.applied.at(0));
  EXPECT_EQ(results.applied[0].error().code(), ErrorCode::kLeaseLost);
  EXPECT_TRUE(results.applied.at(1));
  EXPECT_EQ(t.seen("k"), "unknown");
  EXPECT_EQ(t.seen("l"), "b/payload");
  const auto again = run(t, *fused, {good.fused});
  ASSERT_FALSE(again.applied.at(0));
  EXPECT_EQ(again.applied[0].error().code(), ErrorCode::kLeaseLost);
  expect_ledger_adds_up(queue);
}

// The record may be what the message was; what happens to either afterwards must not touch the other.
void the_record_outlives_its_message(Trial& t) {
  auto queue = t.queue("plain", {.kind = QueueKind::kStandard, .outcome_retention = Milliseconds(1000)});
  auto* fused = t.store().fused_with(t.queues());
  ASSERT_NE(fused, nullptr) << "a store that cannot do this says so in Deviations::fused";
  const auto a = received(queue, set("a", {"k"}, 0, "one"));
  run(t, *fused, {a.fused});
  t.clock().advance(Milliseconds(2000));
  while (t.queues().maintain({.queue = "plain", .max_steps = 10}).value() == 10) continue;
  if (t.has(&Deviations::ledger)) {
    EXPECT_FALSE(t.queues().find({.message_id = a.sent.message_id}));
  }
  EXPECT_EQ(t.seen("k"), "a/one");
  t.queues().remove("plain").value();
  EXPECT_EQ(t.seen("k"), "a/one");
  auto again = t.plain_queue();
  const auto b = received(again, set("a", {"k"}, 0, "two"));
  run(t, *fused, {b.fused});
  EXPECT_EQ(t.seen("k"), "a/two");
  t.apply(erase("a", b.sent.stamp + 1));
  expect_outcome(t, b.sent.message_id, Outcome::kApplied);
  expect_ledger_adds_up(again);
}

void another_body_than_the_messages_is_stored_as_given(Trial& t) {
  auto queue = t.plain_queue();
  auto* fused = t.store().fused_with(t.queues());
  ASSERT_NE(fused, nullptr) << "a store that cannot do this says so in Deviations::fused";
  auto work = received(queue, set("a", {"k"}, 0, "raw"));
  auto transformed = set("a", {"k", "added"}, work.sent.stamp, "transformed");
  work.fused.entry = transformed;
  run(t, *fused, {work.fused});
  EXPECT_EQ(t.seen("added"), "a/transformed");
  EXPECT_EQ(t.apply(transformed).outcome, Outcome::kDuplicate);
}

#define SETGET_CASE(name) \
  Case { "fused_" #name, name, needing(&Deviations::fused) }
const std::array kCases{
    SETGET_CASE(applies_and_acks_in_one_step),
    SETGET_CASE(a_lost_lease_applies_nothing),
    SETGET_CASE(the_record_outlives_its_message),
    SETGET_CASE(another_body_than_the_messages_is_stored_as_given),
};
#undef SETGET_CASE
const std::array kDeviationCases{Case{"lacks_fused", lacks_fused, {&Deviations::fused}}};

}  // namespace

Cases key_store_fused_cases() { return kCases; }
Cases key_store_fused_deviation_cases() { return kDeviationCases; }

}  // namespace setget::inline v0::testing::detail
