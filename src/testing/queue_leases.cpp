// Queue suite: leases and receipts, extension, release, limits in flight, poison.
#include <array>

#include "testing/queue_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

constexpr Milliseconds kVisibility{30'000};

void a_leased_message_is_invisible_until_its_lease_ends(Trial& t) {
  auto queue = t.plain_queue();
  const auto sent = send(queue, "m");
  const auto first = receive(queue).at(0);
  t.clock().advance(kVisibility - Milliseconds(1));
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  t.clock().advance(Milliseconds(1));
  const auto second = receive(queue);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].message_id, sent.message_id);
  EXPECT_EQ(second[0].stamp, sent.stamp) << "a redelivery keeps the stamp";
  EXPECT_EQ(second[0].receive_count, 2u);
  EXPECT_NE(second[0].receipt, first.receipt);
}

void a_lost_lease_decides_nothing(Trial& t) {
  auto queue = t.plain_queue();
  send(queue, "m");
  const auto first = receive(queue).at(0);
  t.clock().advance(kVisibility);
  const auto second = receive(queue).at(0);
  EXPECT_EQ(refusal(queue.ack(first)), ErrorCode::kLeaseLost);
  EXPECT_EQ(refusal(queue.release(first)), ErrorCode::kLeaseLost);
  EXPECT_EQ(refusal(queue.extend(first, Milliseconds(1))), ErrorCode::kLeaseLost);
  EXPECT_EQ(refusal(queue.dead_letter(first, {{.code = "late", .message = {}, .pointer = {}}})), ErrorCode::kLeaseLost);
  EXPECT_EQ(queue.stats().value().in_flight, 1u) << "the later holder is untouched";
  expect_dead_letters(queue, 0);
  queue.ack(second).value();
  EXPECT_EQ(queue.stats().value().in_flight, 0u);
}

void a_lease_that_ended_is_lost_even_before_anyone_receives_again(Trial& t) {
  auto queue = t.plain_queue();
  send(queue, "m");
  const auto got = receive(queue).at(0);
  t.clock().advance(kVisibility);
  EXPECT_EQ(refusal(queue.ack(got)), ErrorCode::kLeaseLost);
  EXPECT_EQ(receive_bodies(queue), Bodies{"m"});
}

void an_ack_is_final_and_happens_once(Trial& t) {
  auto queue = t.plain_queue();
  send(queue, "m");
  const auto got = receive(queue).at(0);
  queue.ack(got).value();
  EXPECT_EQ(refusal(queue.ack(got)), ErrorCode::kLeaseLost);
  t.clock().advance(kVisibility * 2);
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  expect_count(queue, Outcome::kApplied, 1);
}

void a_visibility_timeout_of_a_receive_replaces_the_queues(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kStandard, .visibility_timeout = Milliseconds(1000), .max_receives = 0});
  send(queue, "m");
  const auto got = t.queues().receive({.queue = "q", .visibility_timeout = Milliseconds(5000)}).value();
  EXPECT_EQ(got.at(0).visible_at, t.now() + Milliseconds(5000));
  t.clock().advance(Milliseconds(4999));
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  t.clock().advance(Milliseconds(1));
  EXPECT_EQ(receive_bodies(queue), Bodies{"m"});
  t.clock().advance(Milliseconds(1000));
  EXPECT_EQ(receive_bodies(queue), Bodies{"m"});
}

// What is added to a clock must not go round.
void a_length_beyond_ten_years_is_refused_and_changes_nothing(Trial& t) {
  auto queue = t.plain_queue();
  send(queue, "m");
  const auto code = [](const auto& result) { return result ? ErrorCode::kInternal : result.error().code(); };
  for (const auto length : {Milliseconds::max(), Milliseconds(std::chrono::hours(24 * 3654)), Milliseconds(-1)}) {
    EXPECT_EQ(code(t.queues().receive({.queue = queue.name(), .visibility_timeout = length})), ErrorCode::kInvalidArgument);
    OutgoingMessage late;
    late.body = Payload("late");
    late.delay = length;
    EXPECT_EQ(code(queue.send(late)), t.has(&Deviations::delay) ? ErrorCode::kInvalidArgument : ErrorCode::kUnsupported);
  }
  const auto got = receive(queue).at(0);
  for (const auto length : {Milliseconds::max(), Milliseconds(-1)}) {
    EXPECT_EQ(refusal(queue.release(got, length)), ErrorCode::kInvalidArgument);
    EXPECT_EQ(refusal(queue.extend(got, length)), ErrorCode::kInvalidArgument);
  }
  queue.ack(got).value();
  expect_accepted(queue, 1);
}

void an_extension_moves_the_end_of_the_lease(Trial& t) {
  auto queue = t.plain_queue();
  send(queue, "m");
  const auto got = receive(queue).at(0);
  t.clock().advance(Milliseconds(20'000));
  queue.extend(got, Milliseconds(30'000)).value();
  t.clock().advance(Milliseconds(29'999));
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  queue.extend(got, Milliseconds(1'000)).value();
  t.clock().advance(Milliseconds(999));
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  t.clock().advance(Milliseconds(1));
  EXPECT_EQ(receive_bodies(queue), Bodies{"m"}) << "an extension may also shorten";
}

void a_release_gives_a_message_back_early(Trial& t) {
  auto queue = t.plain_queue();
  send(queue, "m");
  const auto first = receive(queue).at(0);
  queue.release(first).value();
  EXPECT_EQ(refusal(queue.ack(first)), ErrorCode::kLeaseLost);
  const auto second = receive(queue);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].receive_count, 2u);
}

void a_release_with_a_delay_hides_the_message_until_then(Trial& t) {
  auto queue = t.plain_queue();
  send(queue, "m");
  queue.release(receive(queue).at(0), Milliseconds(500)).value();
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  const auto stats = queue.stats().value();
  EXPECT_EQ(stats.delayed, 1u);
  EXPECT_EQ(stats.in_flight, 0u);
  t.clock().advance(Milliseconds(500));
  EXPECT_EQ(receive_bodies(queue), Bodies{"m"});
}

void an_uncounted_release_takes_its_receive_back(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kStandard, .max_receives = 2});
  send(queue, "m");
  for (int i = 0; i < 5; ++i) {
    const auto got = receive(queue);
    ASSERT_EQ(got.size(), 1u) << i;
    EXPECT_EQ(got[0].receive_count, 1u);
    Settlement untried;
    untried.receipt = got[0].receipt;
    untried.action = SettleAction::kRelease;
    untried.uncounted = true;
    t.queues().settle({.queue = "q", .settlements = std::span(&untried, 1)}).value().at(0).value();
  }
  EXPECT_EQ(receive(queue).at(0).receive_count, 1u);
}

void a_released_message_keeps_its_place_in_the_order(Trial& t) {
  auto queue = t.plain_queue();
  for (const auto* body : {"a", "b", "c"}) send(queue, body);
  queue.release(receive(queue, 1).at(0)).value();
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a", "b", "c"}));
}

void every_settlement_has_its_own_result(Trial& t) {
  auto queue = t.plain_queue();
  auto other = t.plain_queue("other");
  for (const auto* body : {"a", "b", "c", "d"}) send(queue, body);
  send(other, "o");
  const auto got = receive(queue);
  const auto foreign = receive(other).at(0);
  const std::vector<Settlement> settlements{
      {.receipt = got.at(0).receipt, .action = SettleAction::kAck, .reasons = {}},
      {.receipt = "no such receipt", .action = SettleAction::kAck, .reasons = {}},
      {.receipt = got.at(1).receipt, .action = SettleAction::kRelease, .reasons = {}},
      {.receipt = "", .action = SettleAction::kRelease, .reasons = {}},
      {.receipt = foreign.receipt, .action = SettleAction::kAck, .reasons = {}},
      {.receipt = got.at(2).receipt, .action = SettleAction::kExtend, .delay = Milliseconds(60'000), .reasons = {}},
      {.receipt = got.at(0).receipt, .action = SettleAction::kAck, .reasons = {}},
      {.receipt = got.at(3).receipt, .action = SettleAction::kDeadLetter, .reasons = {{.code = "bad", .message = "m", .pointer = "/p"}}},
  };
  const auto results = t.queues().settle({.queue = "plain", .settlements = settlements}).value();
  ASSERT_EQ(results.size(), settlements.size());
  for (const std::size_t good : {0u, 2u, 5u, 7u}) EXPECT_TRUE(results[good]) << good;
  for (const std::size_t bad : {1u, 3u, 4u, 6u}) EXPECT_EQ(refusal(results[bad]), ErrorCode::kLeaseLost) << bad;
  EXPECT_EQ(receive_bodies(queue), Bodies{"b"});
  EXPECT_EQ(other.stats().value().in_flight, 1u);
  expect_ledger_adds_up(queue);
}

// What is named twice in one call is settled once, wherever in the batch that is: the second time its lease is over.
void a_batch_that_names_a_message_twice_settles_it_once(Trial& t) {
  auto queue = t.plain_queue();
  for (const auto* body : {"a", "b", "c", "d", "e"}) send(queue, body);
  const auto got = receive(queue);
  ASSERT_EQ(got.size(), 5u);
  std::vector<Settlement> acks;
  for (const std::size_t i : {1u, 1u, 3u, 0u, 3u, 0u, 2u}) {
    acks.push_back({.receipt = got[i].receipt, .action = SettleAction::kAck, .outcome = Outcome::kApplied});
  }
  const auto results = t.queues().settle({.queue = "plain", .settlements = acks}).value();
  ASSERT_EQ(results.size(), acks.size());
  const std::vector<bool> first{true, false, true, true, false, false, true};
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(results[i].has_value(), first[i]) << i;
    if (!first[i]) {
      EXPECT_EQ(refusal(results[i]), ErrorCode::kLeaseLost) << i;
    }
  }
  expect_count(queue, Outcome::kApplied, 4);
  EXPECT_EQ(queue.stats().value().in_flight, 1u);
  t.clock().advance(kVisibility);
  EXPECT_EQ(receive_bodies(queue), Bodies{"e"});
}

void an_ack_takes_only_outcomes_of_a_finished_command(Trial& t) {
  auto queue = t.plain_queue();
  send(queue, "m");
  const auto got = receive(queue).at(0);
  for (const auto outcome : {Outcome::kPending, Outcome::kDeadLettered, Outcome::kPurged}) {
    EXPECT_EQ(refusal(queue.ack(got, outcome)), ErrorCode::kInvalidArgument) << to_string(outcome);
  }
  EXPECT_EQ(queue.stats().value().in_flight, 1u);
  queue.ack(got, Outcome::kDuplicate).value();
}

void no_more_than_max_in_flight_are_leased(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kStandard, .max_receives = 0, .max_in_flight = 3});
  for (int i = 0; i < 5; ++i) send(queue, std::to_string(i));
  const auto got = receive(queue);
  EXPECT_EQ(bodies(got), (Bodies{"0", "1", "2"}));
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  queue.ack(got[1]).value();
  EXPECT_EQ(receive_bodies(queue), Bodies{"3"});
  t.clock().advance(kVisibility);
  EXPECT_EQ(receive_bodies(queue), (Bodies{"0", "2", "3"}));
}

void poison_is_counted_at_receive(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kStandard, .max_receives = 3});
  const auto sent = send(queue, "poison");
  for (std::uint32_t i = 1; i <= 3; ++i) {
    const auto got = receive(queue);
    ASSERT_EQ(got.size(), 1u) << i;
    EXPECT_EQ(got[0].receive_count, i);
    if (i == 2) queue.release(got[0]).value();  // a release does not give the count back
    if (i != 2) t.clock().advance(kVisibility);
  }
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  expect_dead_letters(queue, 1);
  EXPECT_EQ(queue.stats().value().depth, 0u);
  if (!t.has(&Deviations::ledger)) return;
  const auto status = find(t, sent.message_id);
  EXPECT_EQ(status.outcome, Outcome::kDeadLettered);
  ASSERT_FALSE(status.reasons.empty());
  EXPECT_EQ(status.reasons[0].code, "max_receives");
  EXPECT_EQ(status.receive_count, 3u);
  expect_ledger_adds_up(queue);
}

void poison_does_not_hold_up_what_is_behind_it(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kStandard, .max_receives = 1});
  for (int i = 0; i < 20; ++i) send(queue, "p" + std::to_string(i));
  receive(queue, 20);
  t.clock().advance(kVisibility);
  send(queue, "good");
  EXPECT_EQ(receive_bodies(queue, 1), Bodies{"good"});
  expect_dead_letters(queue, 20);
}

void the_count_of_receives_survives_reopening(Trial& t) {
  {
    auto queue = t.queue("q", {.kind = QueueKind::kStandard, .max_receives = 2});
    send(queue, "poison");
    receive(queue);
  }
  t.clock().advance(kVisibility);
  t.reopen();
  {
    Queue queue(t.stores().queues, "q");
    EXPECT_EQ(receive(queue).at(0).receive_count, 2u);
  }
  t.clock().advance(kVisibility);
  t.reopen();
  Queue queue(t.stores().queues, "q");
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  expect_dead_letters(queue, 1);
}

const std::array kCases{
    Case{"a_leased_message_is_invisible_until_its_lease_ends", a_leased_message_is_invisible_until_its_lease_ends},
    Case{"a_lost_lease_decides_nothing", a_lost_lease_decides_nothing},
    Case{"a_lease_that_ended_is_lost_even_before_anyone_receives_again", a_lease_that_ended_is_lost_even_before_anyone_receives_again},
    Case{"an_ack_is_final_and_happens_once", an_ack_is_final_and_happens_once},
    Case{"a_visibility_timeout_of_a_receive_replaces_the_queues", a_visibility_timeout_of_a_receive_replaces_the_queues},
    Case{"a_length_beyond_ten_years_is_refused_and_changes_nothing", a_length_beyond_ten_years_is_refused_and_changes_nothing},
    Case{"an_extension_moves_the_end_of_the_lease", an_extension_moves_the_end_of_the_lease},
    Case{"a_release_gives_a_message_back_early", a_release_gives_a_message_back_early},
    Case{"a_release_with_a_delay_hides_the_message_until_then", a_release_with_a_delay_hides_the_message_until_then},
    Case{"an_uncounted_release_takes_its_receive_back", an_uncounted_release_takes_its_receive_back},
    Case{"a_released_message_keeps_its_place_in_the_order", a_released_message_keeps_its_place_in_the_order},
    Case{"every_settlement_has_its_own_result", every_settlement_has_its_own_result},
    Case{"a_batch_that_names_a_message_twice_settles_it_once", a_batch_that_names_a_message_twice_settles_it_once},
    Case{"an_ack_takes_only_outcomes_of_a_finished_command", an_ack_takes_only_outcomes_of_a_finished_command},
    Case{"no_more_than_max_in_flight_are_leased", no_more_than_max_in_flight_are_leased},
    Case{"poison_is_counted_at_receive", poison_is_counted_at_receive},
    Case{"poison_does_not_hold_up_what_is_behind_it", poison_does_not_hold_up_what_is_behind_it},
    Case{"the_count_of_receives_survives_reopening", the_count_of_receives_survives_reopening, {}, Needs::kReopen},
};

}  // namespace

Cases queue_lease_cases() { return kCases; }

}  // namespace setget::inline v0::testing::detail
