// Queue suite: FIFO groups.
#include <array>
#include <map>

#include "testing/queue_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

constexpr Milliseconds kVisibility{30'000};

void a_group_is_delivered_in_order_with_one_batch_in_flight(Trial& t) {
  auto queue = t.fifo_queue();
  for (const auto* body : {"a1", "a2", "a3"}) send(queue, body, "a");
  send(queue, "b1", "b");
  const auto first = receive(queue, 2);
  EXPECT_EQ(bodies(first), (Bodies{"a1", "a2"}));
  EXPECT_EQ(receive_bodies(queue), Bodies{"b1"}) << "a3 waits for the batch that is in flight";
  queue.ack(first.at(0)).value();
  EXPECT_EQ(receive_bodies(queue), Bodies{}) << "a2 is still in flight";
  queue.ack(first.at(1)).value();
  EXPECT_EQ(receive_bodies(queue), Bodies{"a3"});
}

void groups_take_turns_by_age(Trial& t) {
  auto queue = t.fifo_queue();
  send(queue, "a1", "a");
  send(queue, "b1", "b");
  send(queue, "a2", "a");
  send(queue, "c1", "c");
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a1", "b1", "a2", "c1"}));
}

void messages_without_a_group_wait_for_nobody(Trial& t) {
  auto queue = t.fifo_queue();
  for (const auto* body : {"1", "2", "3"}) send(queue, body);
  EXPECT_EQ(receive_bodies(queue, 1), Bodies{"1"});
  EXPECT_EQ(receive_bodies(queue, 1), Bodies{"2"});
  EXPECT_EQ(receive_bodies(queue, 1), Bodies{"3"});
}

void a_standard_queue_ignores_groups(Trial& t) {
  auto queue = t.plain_queue();
  send(queue, "1", "g");
  send(queue, "2", "g");
  EXPECT_EQ(receive_bodies(queue, 1), Bodies{"1"});
  EXPECT_EQ(receive_bodies(queue, 1), Bodies{"2"});
}

void releasing_a_message_releases_the_later_ones_of_its_group(Trial& t) {
  auto queue = t.fifo_queue();
  for (const auto* body : {"a1", "a2", "a3"}) send(queue, body, "a");
  send(queue, "b1", "b");
  const auto got = receive(queue);
  ASSERT_EQ(bodies(got), (Bodies{"a1", "a2", "a3", "b1"}));
  queue.release(got[1]).value();
  EXPECT_EQ(refusal(queue.ack(got[2])), ErrorCode::kLeaseLost);
  EXPECT_EQ(receive_bodies(queue), Bodies{}) << "a1 is still in flight";
  queue.ack(got[0]).value();
  queue.ack(got[3]).value();
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a2", "a3"}));
  expect_ledger_adds_up(queue);
}

void a_release_in_a_batch_of_settlements_refuses_later_acks_of_its_group(Trial& t) {
  auto queue = t.fifo_queue();
  for (const auto* body : {"a1", "a2", "a3"}) send(queue, body, "a");
  const auto got = receive(queue);
  ASSERT_EQ(got.size(), 3u);
  const std::vector<Settlement> settlements{{.receipt = got[0].receipt, .reasons = {}},
                                            {.receipt = got[1].receipt, .action = SettleAction::kRelease, .reasons = {}},
                                            {.receipt = got[2].receipt, .reasons = {}}};
  const auto results = t.queues().settle({.queue = "fifo", .settlements = settlements}).value();
  EXPECT_TRUE(results.at(0));
  EXPECT_TRUE(results.at(1));
  EXPECT_EQ(refusal(results.at(2)), ErrorCode::kLeaseLost);
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a2", "a3"}));
}

// How a worker gives a group back that is not to blame: its end first, so that no release takes another message along, which would count.
void a_group_that_is_released_from_its_end_was_never_received(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kFifo, .max_receives = 1});
  for (const auto* body : {"a1", "a2", "a3"}) send(queue, body, "a");
  for (int i = 0; i < 4; ++i) {
    const auto got = receive(queue);
    ASSERT_EQ(bodies(got), (Bodies{"a1", "a2", "a3"})) << i;
    std::vector<Settlement> releases;
    for (std::size_t at = got.size(); at-- > 0;) {
      releases.push_back({.receipt = got[at].receipt,
                          .action = SettleAction::kRelease,
                          .delay = Milliseconds(at == 0 ? 1000 : 0),
                          .reasons = {},
                          .uncounted = true});
    }
    for (auto& released : t.queues().settle({.queue = "q", .settlements = releases}).value()) EXPECT_TRUE(released);
    EXPECT_EQ(receive_bodies(queue), Bodies{}) << "the first one's delay holds all of them";
    t.clock().advance(Milliseconds(1000));
  }
  expect_dead_letters(queue, 0);
  expect_ledger_adds_up(queue);
}

void a_release_with_a_delay_holds_its_group_and_no_other(Trial& t) {
  auto queue = t.fifo_queue();
  send(queue, "a1", "a");
  send(queue, "a2", "a");
  send(queue, "b1", "b");
  queue.release(receive(queue, 1).at(0), Milliseconds(1000)).value();
  const auto got = receive(queue);
  EXPECT_EQ(bodies(got), Bodies{"b1"});
  t.clock().advance(Milliseconds(999));
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  t.clock().advance(Milliseconds(1));
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a1", "a2"}));
}

void a_lease_that_ends_gives_its_group_back_in_order(Trial& t) {
  auto queue = t.fifo_queue();
  for (const auto* body : {"a1", "a2", "a3"}) send(queue, body, "a");
  const auto got = receive(queue, 2);
  ASSERT_EQ(bodies(got), (Bodies{"a1", "a2"}));
  t.clock().advance(kVisibility);
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a1", "a2", "a3"}));
}

void a_lease_that_ends_after_a_partial_ack_continues_where_it_stopped(Trial& t) {
  auto queue = t.fifo_queue();
  for (const auto* body : {"a1", "a2", "a3"}) send(queue, body, "a");
  const auto got = receive(queue, 2);
  queue.ack(got.at(0)).value();
  t.clock().advance(kVisibility);
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a2", "a3"}));
}

void a_lease_that_ends_takes_the_later_ones_of_its_group_with_it(Trial& t) {
  auto queue = t.fifo_queue();
  for (const auto* body : {"a1", "a2", "a3"}) send(queue, body, "a");
  const auto got = receive(queue, 2);
  queue.extend(got.at(1), kVisibility * 2).value();
  t.clock().advance(kVisibility);
  EXPECT_EQ(refusal(queue.ack(got.at(1))), ErrorCode::kLeaseLost) << "a2 must not be finished before a1";
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a1", "a2", "a3"}));
}

void a_dead_letter_frees_its_group(Trial& t) {
  auto queue = t.fifo_queue();
  send(queue, "a1", "a");
  send(queue, "a2", "a");
  const auto got = receive(queue, 1);
  queue.dead_letter(got.at(0), {{.code = "invalid", .message = {}, .pointer = {}}}).value();
  EXPECT_EQ(receive_bodies(queue), Bodies{"a2"});
  expect_ledger_adds_up(queue);
}

void poison_frees_its_group(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kFifo, .max_receives = 1});
  send(queue, "a1", "a");
  EXPECT_EQ(receive_bodies(queue), Bodies{"a1"});
  send(queue, "a2", "a");
  t.clock().advance(kVisibility);
  EXPECT_EQ(receive_bodies(queue), Bodies{"a2"});
  expect_dead_letters(queue, 1);
  expect_ledger_adds_up(queue);
}

// Found by the model tests: a dead letter on the way must not let a younger message of another group in before an older one.
void poison_does_not_change_the_order_of_the_others(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kFifo, .max_receives = 1});
  auto delayed = outgoing("b1", "b");
  delayed.delay = Milliseconds(1000);
  queue.send(delayed).value();
  send(queue, "poison");
  EXPECT_EQ(receive_bodies(queue), Bodies{"poison"});
  t.clock().advance(kVisibility);
  send(queue, "older");
  send(queue, "b2", "b");
  EXPECT_EQ(receive_bodies(queue, 2), (Bodies{"b1", "older"}));
}

// A batch that is not full may take from a group that it has opened, whatever it had to bury there.
void poison_within_a_group_does_not_close_it(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kFifo, .max_receives = 1});
  for (const auto* body : {"a1", "a2", "a3"}) send(queue, body, "a");
  const auto got = receive(queue, 2);
  ASSERT_EQ(bodies(got), (Bodies{"a1", "a2"}));
  const std::vector<Settlement> untried{{.receipt = got[0].receipt, .action = SettleAction::kRelease, .reasons = {}, .uncounted = true}};
  t.queues().settle({.queue = "q", .settlements = untried}).value().at(0).value();
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a1", "a3"})) << "a2 was received once before, which is the limit";
  expect_dead_letters(queue, 1);
  expect_ledger_adds_up(queue);
}

// The next messages of a group whose head was buried take their turn by age, before younger ones of other groups.
void poison_hands_its_turn_to_the_next_of_its_group(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kFifo, .max_receives = 1});
  for (const auto* body : {"a1", "a2", "a3"}) send(queue, body, "a");
  send(queue, "b1", "b");
  EXPECT_EQ(receive_bodies(queue, 1), Bodies{"a1"});
  t.clock().advance(kVisibility);
  EXPECT_EQ(receive_bodies(queue, 2), (Bodies{"a2", "a3"}));
  EXPECT_EQ(receive_bodies(queue), Bodies{"b1"});
  expect_ledger_adds_up(queue);
}

// Sends "a1" to "a3" and makes "a1" a dead letter.
void bury_the_first_of_three(Trial& t, Queue& queue) {
  for (const auto* body : {"a1", "a2", "a3"}) send(queue, body, "a");
  const auto first = receive(queue, 1).at(0);
  queue.dead_letter(first, {{.code = "invalid", .message = {}, .pointer = {}}}).value();
  EXPECT_EQ(t.queues().dead_letters({.queue = "fifo", .filter = {}, .cursor = {}}).value().letters.size(), 1u);
}

void a_redriven_message_goes_before_later_ones_of_its_group(Trial& t) {
  auto queue = t.fifo_queue();
  bury_the_first_of_three(t, queue);
  send(queue, "b1", "b");
  EXPECT_EQ(t.queues().redrive({.queue = "fifo", .filter = {}}).value(), 1u);
  EXPECT_EQ(receive_bodies(queue, 1), Bodies{"a1"});
  EXPECT_EQ(receive_bodies(queue), Bodies{"b1"}) << "the rest of the group waits for the batch that is in flight";
  expect_ledger_adds_up(queue);
}

void a_redriven_message_keeps_its_place_in_a_batch(Trial& t) {
  auto queue = t.fifo_queue();
  bury_the_first_of_three(t, queue);
  EXPECT_EQ(t.queues().redrive({.queue = "fifo", .filter = {}}).value(), 1u);
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a1", "a2", "a3"}));
  expect_ledger_adds_up(queue);
}

void a_redriven_message_does_not_overtake_what_is_in_flight(Trial& t) {
  auto queue = t.fifo_queue();
  bury_the_first_of_three(t, queue);
  const auto held = receive(queue, 1);
  ASSERT_EQ(bodies(held), Bodies{"a2"});
  EXPECT_EQ(t.queues().redrive({.queue = "fifo", .filter = {}}).value(), 1u);
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  queue.ack(held.at(0)).value();
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a1", "a3"}));
  expect_ledger_adds_up(queue);
}

void a_redriven_message_goes_before_a_delayed_one_of_its_group(Trial& t) {
  auto queue = t.fifo_queue();
  bury_the_first_of_three(t, queue);
  queue.release(receive(queue, 1).at(0), Milliseconds(1000)).value();
  EXPECT_EQ(t.queues().redrive({.queue = "fifo", .filter = {}}).value(), 1u);
  const auto got = receive(queue);
  EXPECT_EQ(bodies(got), Bodies{"a1"});
  EXPECT_EQ(queue.stats().value().delayed, 1u);
  t.clock().advance(Milliseconds(1000));
  EXPECT_EQ(receive_bodies(queue), Bodies{}) << "a1 is in flight";
  queue.ack(got.at(0)).value();
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a2", "a3"}));
  expect_ledger_adds_up(queue);
}

// Several at once, back into a group whose later members wait, are ready or are in flight elsewhere.
void redriven_messages_of_a_group_come_back_in_order(Trial& t) {
  auto queue = t.fifo_queue();
  for (const auto* body : {"a1", "a2", "a3", "a4"}) send(queue, body, "a");
  for (int i = 0; i < 3; ++i) queue.dead_letter(receive(queue, 1).at(0), {{.code = "invalid", .message = {}, .pointer = {}}}).value();
  EXPECT_EQ(t.queues().redrive({.queue = "fifo", .filter = {}, .limit = 1}).value(), 1u);
  EXPECT_EQ(t.queues().redrive({.queue = "fifo", .filter = {}}).value(), 2u);
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a1", "a2", "a3", "a4"}));
  expect_ledger_adds_up(queue);
}

// What a lease's end takes along is ready by the clock, not once somebody receives.
void statistics_count_a_group_whose_lease_has_ended_as_ready(Trial& t) {
  auto queue = t.fifo_queue();
  for (const auto* body : {"a1", "a2", "a3"}) send(queue, body, "a");
  const auto got = receive(queue, 3);
  ASSERT_EQ(got.size(), 3u);
  queue.extend(got[1], kVisibility * 2).value();
  queue.extend(got[2], kVisibility * 2).value();
  t.clock().advance(kVisibility);
  const auto stats = queue.stats().value();
  EXPECT_EQ(stats.depth, 3u);
  EXPECT_EQ(stats.in_flight, 0u);
  expect_ledger_adds_up(queue);
}

void statistics_count_only_what_the_end_of_a_lease_takes_along(Trial& t) {
  auto queue = t.fifo_queue();
  for (const auto* body : {"a1", "a2"}) send(queue, body, "a");
  for (const auto* body : {"b1", "b2"}) send(queue, body, "b");
  const auto got = receive(queue);
  ASSERT_EQ(bodies(got), (Bodies{"a1", "a2", "b1", "b2"}));
  for (const auto i : {0u, 2u, 3u}) queue.extend(got[i], kVisibility * 2).value();
  t.clock().advance(kVisibility);
  const auto stats = queue.stats().value();
  EXPECT_EQ(stats.depth, 1u) << "a2's lease has ended, and nothing is behind it";
  EXPECT_EQ(stats.in_flight, 3u);
  expect_ledger_adds_up(queue);
}

void a_delayed_message_is_not_overtaken_by_its_group(Trial& t) {
  auto queue = t.fifo_queue();
  auto delayed = outgoing("a1", "a");
  delayed.delay = Milliseconds(1000);
  queue.send(delayed).value();
  send(queue, "a2", "a");
  send(queue, "b1", "b");
  EXPECT_EQ(receive_bodies(queue), Bodies{"b1"});
  t.clock().advance(Milliseconds(1000));
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a1", "a2"}));
  expect_ledger_adds_up(queue);
}

void group_names_are_any_bytes(Trial& t) {
  auto queue = t.fifo_queue();
  const std::vector<std::string> groups{std::string("g\0a", 3), std::string("g\0b", 3), "g", std::string(600, 'g'), "\xff\x1f%"};
  for (const auto& group : groups) {
    send(queue, "1", group);
    send(queue, "2", group);
  }
  const auto got = receive(queue, 100);
  ASSERT_EQ(got.size(), 10u);
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].group, groups[i / 2]);
    EXPECT_EQ(got[i].body.str(), i % 2 == 0 ? "1" : "2");
  }
}

void a_long_group_does_not_block_the_others(Trial& t) {
  auto queue = t.fifo_queue();
  std::vector<OutgoingMessage> batch;
  for (int i = 0; i < 2000; ++i) batch.push_back(outgoing("big" + std::to_string(i), "big"));
  for (const auto& sent : queue.send(batch).value()) ASSERT_TRUE(sent);
  send(queue, "small", "small");
  EXPECT_EQ(receive_bodies(queue, 1), Bodies{"big0"});
  EXPECT_EQ(receive_bodies(queue, 1), Bodies{"small"});
}

void reopening_keeps_groups_blocked_and_in_order(Trial& t) {
  std::string receipt;
  {
    auto queue = t.fifo_queue();
    for (const auto* body : {"a1", "a2", "a3"}) send(queue, body, "a");
    receipt = receive(queue, 1).at(0).receipt;
  }
  t.reopen();
  Queue queue(t.stores().queues, "fifo");
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  Message held;
  held.receipt = receipt;
  queue.ack(held).value();
  EXPECT_EQ(receive_bodies(queue), (Bodies{"a2", "a3"}));
}

// A storm of receives, acks, releases and lost leases: each group's messages are finished in the order in which they were sent.
void each_group_is_finished_in_order_whatever_happens(Trial& t) {
  auto queue = t.fifo_queue();
  SeededRandom random(7);
  std::map<std::string, int> finished;
  std::vector<Message> held;
  int sent = 0;
  int acked = 0;
  for (int step = 0; step < 600; ++step) {
    const auto dice = random.next() % 10;
    if (dice < 3 && sent < 200) {
      send(queue, std::to_string(++sent), std::string(1, static_cast<char>('a' + random.next() % 4)));
    } else if (dice < 6) {
      for (auto& message : receive(queue, 1 + random.next() % 4)) held.push_back(std::move(message));
    } else if (!held.empty() && dice < 9) {
      const auto message = held.front();
      held.erase(held.begin());
      if (random.next() % 4 == 0) {
        (void)queue.release(message, Milliseconds(static_cast<std::int64_t>(random.next() % 50)));
      } else if (queue.ack(message)) {
        ++acked;
        const auto number = std::stoi(message.body.str());
        EXPECT_GT(number, finished[message.group]) << "group " << message.group;
        finished[message.group] = number;
      }
    } else {
      t.clock().advance(Milliseconds(static_cast<std::int64_t>(random.next() % 12'000)));
    }
  }
  EXPECT_GT(acked, 30);
  expect_ledger_adds_up(queue);
}

#define SETGET_FIFO_CASE(name) \
  Case { #name, name, needing(&Deviations::fifo) }
#define SETGET_FIFO_CASE_WITH(other, name) \
  Case { #name, name, needing(&Deviations::fifo, &Deviations::other) }
const std::array kCases{
    SETGET_FIFO_CASE(a_group_is_delivered_in_order_with_one_batch_in_flight),
    SETGET_FIFO_CASE(groups_take_turns_by_age),
    SETGET_FIFO_CASE(messages_without_a_group_wait_for_nobody),
    Case{"a_standard_queue_ignores_groups", a_standard_queue_ignores_groups},
    SETGET_FIFO_CASE(releasing_a_message_releases_the_later_ones_of_its_group),
    SETGET_FIFO_CASE(a_release_in_a_batch_of_settlements_refuses_later_acks_of_its_group),
    SETGET_FIFO_CASE(a_group_that_is_released_from_its_end_was_never_received),
    SETGET_FIFO_CASE(a_release_with_a_delay_holds_its_group_and_no_other),
    SETGET_FIFO_CASE(a_lease_that_ends_gives_its_group_back_in_order),
    SETGET_FIFO_CASE(a_lease_that_ends_after_a_partial_ack_continues_where_it_stopped),
    SETGET_FIFO_CASE(a_lease_that_ends_takes_the_later_ones_of_its_group_with_it),
    SETGET_FIFO_CASE(a_dead_letter_frees_its_group),
    SETGET_FIFO_CASE(poison_frees_its_group),
    SETGET_FIFO_CASE_WITH(delay, poison_does_not_change_the_order_of_the_others),
    SETGET_FIFO_CASE(poison_within_a_group_does_not_close_it),
    SETGET_FIFO_CASE(poison_hands_its_turn_to_the_next_of_its_group),
    SETGET_FIFO_CASE_WITH(dead_letters, a_redriven_message_goes_before_later_ones_of_its_group),
    SETGET_FIFO_CASE_WITH(dead_letters, a_redriven_message_keeps_its_place_in_a_batch),
    SETGET_FIFO_CASE_WITH(dead_letters, a_redriven_message_does_not_overtake_what_is_in_flight),
    SETGET_FIFO_CASE_WITH(dead_letters, a_redriven_message_goes_before_a_delayed_one_of_its_group),
    SETGET_FIFO_CASE_WITH(dead_letters, redriven_messages_of_a_group_come_back_in_order),
    SETGET_FIFO_CASE(statistics_count_a_group_whose_lease_has_ended_as_ready),
    SETGET_FIFO_CASE(statistics_count_only_what_the_end_of_a_lease_takes_along),
    SETGET_FIFO_CASE_WITH(delay, a_delayed_message_is_not_overtaken_by_its_group),
    SETGET_FIFO_CASE(group_names_are_any_bytes),
    SETGET_FIFO_CASE(a_long_group_does_not_block_the_others),
    Case{"reopening_keeps_groups_blocked_and_in_order", reopening_keeps_groups_blocked_and_in_order, {&Deviations::fifo}, Needs::kReopen},
    SETGET_FIFO_CASE(each_group_is_finished_in_order_whatever_happens),
};
#undef SETGET_FIFO_CASE
#undef SETGET_FIFO_CASE_WITH

}  // namespace

Cases queue_fifo_cases() { return kCases; }

}  // namespace setget::inline v0::testing::detail
