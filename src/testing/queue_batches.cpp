// Queue suite: what was sent in one call is still received, settled, found and outlived one by one, however a backend stores it.
#include <algorithm>
#include <array>
#include <iterator>
#include <span>

#include "testing/queue_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

constexpr Milliseconds kVisibility{30'000};

Bodies numbered(int from, int to) {
  Bodies out;
  for (int n = from; n < to; ++n) out.push_back(std::to_string(n));
  return out;
}

std::vector<SentMessage> send_batch(Queue& queue, int from, int to) {
  std::vector<OutgoingMessage> messages;
  for (const auto& body : numbered(from, to)) messages.push_back(outgoing(body));
  std::vector<SentMessage> sent;
  for (auto& result : queue.send(messages).value()) sent.push_back(std::move(result).value());
  return sent;
}

std::vector<bool> ack(Trial& t, std::span<const Message> messages, Outcome outcome = Outcome::kApplied) {
  std::vector<Settlement> acks;
  for (const auto& message : messages) acks.push_back({.receipt = message.receipt, .action = SettleAction::kAck, .outcome = outcome});
  std::vector<bool> taken;
  for (const auto& result : t.queues().settle({.queue = "plain", .settlements = acks}).value()) taken.push_back(result.has_value());
  return taken;
}

void a_batch_is_received_in_its_order_however_little_at_a_time(Trial& t) {
  auto queue = t.plain_queue();
  const auto sent = send_batch(queue, 0, 50);
  int from = 0;
  for (const int count : {1, 2, 7, 30, 10}) {
    const auto got = receive(queue, static_cast<std::size_t>(count));
    ASSERT_EQ(bodies(got), numbered(from, from + count));
    for (const auto& message : got) {
      EXPECT_EQ(message.message_id, sent[static_cast<std::size_t>(from)].message_id);
      EXPECT_EQ(message.stamp, sent[static_cast<std::size_t>(from)].stamp);
      EXPECT_EQ(message.receive_count, 1u);
      ++from;
    }
  }
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  EXPECT_EQ(queue.stats().value().in_flight, 50u);
}

void some_of_a_batch_are_acknowledged_and_the_others_come_again(Trial& t) {
  auto queue = t.plain_queue();
  const auto sent = send_batch(queue, 0, 12);
  const auto got = receive(queue, 12);
  ASSERT_EQ(got.size(), 12u);
  const std::vector some(got.begin() + 3, got.begin() + 9);
  EXPECT_EQ(ack(t, some), std::vector<bool>(6, true));
  EXPECT_EQ(ack(t, some), std::vector<bool>(6, false));
  EXPECT_EQ(queue.stats().value().in_flight, 6u);
  EXPECT_EQ(find(t, sent[2].message_id).outcome, Outcome::kPending);
  EXPECT_EQ(find(t, sent[3].message_id).outcome, Outcome::kApplied);
  t.clock().advance(kVisibility);
  const auto again = receive(queue, 12);
  EXPECT_EQ(bodies(again), (Bodies{"0", "1", "2", "9", "10", "11"}));
  for (const auto& message : again) EXPECT_EQ(message.receive_count, 2u);
  EXPECT_EQ(ack(t, got), std::vector<bool>(12, false)) << "the first receive holds nothing any more";
  EXPECT_EQ(ack(t, again), std::vector<bool>(6, true));
  expect_ledger_adds_up(queue);
}

void batches_are_acknowledged_whole_and_once(Trial& t) {
  auto queue = t.plain_queue();
  std::vector<SentMessage> sent;
  for (const int from : {0, 10, 20, 30}) std::ranges::move(send_batch(queue, from, from + 10), std::back_inserter(sent));
  const auto got = receive(queue, 30);
  ASSERT_EQ(bodies(got), numbered(0, 30));
  EXPECT_EQ(queue.stats().value().in_flight, 30u);
  const auto look = [&](int done) {
    for (int n = 0; n < 40; ++n) {
      const auto found = find(t, sent[static_cast<std::size_t>(n)].message_id);
      EXPECT_EQ(found.outcome, n < done ? Outcome::kStale : Outcome::kPending) << n;
      EXPECT_EQ(found.receive_count, n < 30 ? 1u : 0u) << n;
    }
    const auto stats = queue.stats().value();
    EXPECT_EQ(stats.in_flight, 30u - static_cast<unsigned>(done));
    EXPECT_EQ(count(stats, Outcome::kStale), static_cast<unsigned>(done));
    EXPECT_EQ(t.queues().oldest_unfinished().value(), sent[static_cast<std::size_t>(done)].stamp);
    expect_ledger_adds_up(queue);
  };
  look(0);
  // One and a half of them, then what is left of all; each time with some that are named twice.
  const std::vector half(got.begin(), got.begin() + 15);
  auto twice = half;
  twice.insert(twice.end(), got.begin(), got.begin() + 10);
  auto expected = std::vector<bool>(25, true);
  std::fill(expected.begin() + 15, expected.end(), false);
  EXPECT_EQ(ack(t, twice, Outcome::kStale), expected);
  look(15);
  expected = std::vector<bool>(30, true);
  std::fill(expected.begin(), expected.begin() + 15, false);
  EXPECT_EQ(ack(t, got, Outcome::kStale), expected);
  look(30);
  t.clock().advance(kVisibility);
  EXPECT_EQ(receive_bodies(queue, 32), numbered(30, 40));
}

// Each count on its own: what a backend keeps of a receive may look different from one to the next.
void any_number_of_messages_is_acknowledged_at_once(Trial& t) {
  auto queue = t.plain_queue();
  unsigned all = 0;
  for (unsigned count = 1; count <= 70; ++count) {
    std::vector<OutgoingMessage> messages;
    for (unsigned n = 0; n < count; ++n) {
      messages.push_back(outgoing(std::to_string(n)));
      if (t.has(&Deviations::dedup)) messages.back().dedup_id = std::to_string(count) + "/" + std::to_string(n);
    }
    for (auto& result : queue.send(messages).value()) result.value();
    std::vector<Message> got;
    while (got.size() < count) {
      auto some = receive(queue, count - got.size());
      ASSERT_FALSE(some.empty());
      std::ranges::move(some, std::back_inserter(got));
    }
    ASSERT_EQ(ack(t, got), std::vector<bool>(count, true)) << count;
    all += count;
  }
  EXPECT_EQ(testing::detail::count(queue.stats().value(), Outcome::kApplied), all);
}

void acknowledgements_in_another_order_are_of_the_same_messages(Trial& t) {
  auto queue = t.plain_queue();
  send_batch(queue, 0, 20);
  auto got = receive(queue, 20);
  ASSERT_EQ(got.size(), 20u);
  std::reverse(got.begin(), got.end());
  std::swap(got[3], got[11]);
  EXPECT_EQ(ack(t, std::span(got).first(15)), std::vector<bool>(15, true));
  const std::vector rest(got.begin() + 15, got.end());
  t.clock().advance(kVisibility);
  const auto again = receive(queue, 20);
  ASSERT_EQ(again.size(), 5u);
  for (std::size_t k = 0; k < 5; ++k) EXPECT_EQ(again[k].message_id, rest[4 - k].message_id);
  expect_ledger_adds_up(queue);
}

void each_of_a_batch_is_settled_in_its_own_way(Trial& t) {
  auto queue = t.plain_queue();
  const auto sent = send_batch(queue, 0, 8);
  const auto got = receive(queue, 8);
  ASSERT_EQ(got.size(), 8u);
  queue.extend(got[1], kVisibility * 2).value();
  queue.release(got[2]).value();
  queue.release(got[3], Milliseconds(5'000)).value();
  queue.dead_letter(got[4], {{.code = "invalid", .message = "why", .pointer = {}}}).value();
  queue.ack(got[5]).value();
  auto stats = queue.stats().value();
  EXPECT_EQ(stats.depth, 1u);
  EXPECT_EQ(stats.delayed, 1u);
  EXPECT_EQ(stats.in_flight, 4u);
  expect_dead_letters(queue, 1);
  EXPECT_EQ(find(t, sent[4].message_id).outcome, Outcome::kDeadLettered);
  EXPECT_EQ(receive_bodies(queue), Bodies{"2"});
  t.clock().advance(Milliseconds(5'000));
  EXPECT_EQ(receive_bodies(queue), Bodies{"3"});
  t.clock().advance(kVisibility);
  EXPECT_EQ(receive_bodies(queue), (Bodies{"0", "2", "3", "6", "7"})) << "all but the one whose lease was made longer";
  t.clock().advance(kVisibility);
  EXPECT_EQ(receive_bodies(queue).at(0), "0");
  expect_ledger_adds_up(queue);
}

void one_of_a_batch_is_found_wherever_it_is(Trial& t) {
  auto queue = t.plain_queue();
  const auto sent = send_batch(queue, 0, 9);
  const auto look = [&](std::uint32_t receives) {
    for (std::size_t n = 0; n < sent.size(); ++n) {
      const auto found = find(t, sent[n].message_id);
      EXPECT_EQ(found.outcome, Outcome::kPending);
      EXPECT_EQ(found.stamp, sent[n].stamp);
      EXPECT_EQ(found.receive_count, receives);
      ASSERT_TRUE(found.body);
      EXPECT_EQ(found.body->str(), std::to_string(n));
    }
    const auto seen = t.queues().peek({.queue = "plain", .limit = 7}).value();
    ASSERT_EQ(bodies(seen), numbered(0, 7));
    for (std::size_t n = 0; n < seen.size(); ++n) {
      EXPECT_EQ(seen[n].message_id, sent[n].message_id);
      EXPECT_EQ(seen[n].receive_count, receives);
    }
  };
  look(0);
  ASSERT_EQ(receive(queue, 9).size(), 9u);
  look(1);
  t.clock().advance(kVisibility);
  ASSERT_EQ(receive(queue, 9).size(), 9u);
  look(2);
}

void a_limit_of_messages_in_flight_divides_a_batch(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kStandard, .max_receives = 0, .max_in_flight = 5});
  send_batch(queue, 0, 12);
  const auto first = receive(queue, 10);
  EXPECT_EQ(bodies(first), numbered(0, 5));
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  queue.ack(first[0]).value();
  queue.ack(first[4]).value();
  EXPECT_EQ(receive_bodies(queue), numbered(5, 7));
  EXPECT_EQ(queue.stats().value().in_flight, 5u);
  expect_ledger_adds_up(queue);
}

void a_limit_of_bytes_divides_a_batch(Trial& t) {
  auto queue = t.plain_queue();
  std::vector<OutgoingMessage> messages;
  for (const char c : {'a', 'b', 'c', 'd', 'e', 'f'}) messages.push_back(outgoing(std::string(1000, c)));
  for (auto& result : queue.send(messages).value()) result.value();
  const auto take = [&](std::size_t bytes) {
    std::string out;
    for (const auto& message :
         t.queues().receive({.queue = "plain", .max_messages = 10, .max_bytes = bytes, .visibility_timeout = {}}).value())
      out += message.body.view().front();
    return out;
  };
  EXPECT_EQ(take(2'500), "ab");
  EXPECT_EQ(take(10), "c") << "one is always given";
  EXPECT_EQ(take(3'000), "def");
  EXPECT_EQ(queue.stats().value().in_flight, 6u);
}

void a_batch_is_outlived_one_by_one(Trial& t) {
  for (const bool by_maintenance : {true, false}) {
    const std::string name = by_maintenance ? "maintained" : "received";
    auto queue = t.queue(name, {.kind = QueueKind::kStandard, .retention = Milliseconds(60'000), .max_receives = 0});
    send_batch(queue, 0, 4);
    send_batch(queue, 4, 10);
    t.clock().advance(Milliseconds(50'000));
    send_batch(queue, 10, 14);
    const auto held = receive(queue, 4);
    ASSERT_EQ(bodies(held), numbered(0, 4));
    t.clock().advance(Milliseconds(10'000));
    if (by_maintenance) {
      t.queues().maintain({.queue = name}).value();
      expect_dead_letters(queue, 6);
    }
    EXPECT_EQ(receive_bodies(queue, 20), numbered(10, 14));
    expect_dead_letters(queue, 6);  // what is leased is not outlived
    queue.ack(held[1]).value();
    expect_ledger_adds_up(queue);
  }
}

void a_batch_that_is_delayed_comes_later(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kStandard, .delay = Milliseconds(1'000), .max_receives = 0});
  send_batch(queue, 0, 6);
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  EXPECT_EQ(queue.stats().value().delayed, 6u);
  t.clock().advance(Milliseconds(1'000));
  EXPECT_EQ(receive_bodies(queue), numbered(0, 6));
}

const std::array kCases{
    Case{"a_batch_is_received_in_its_order_however_little_at_a_time",
         a_batch_is_received_in_its_order_however_little_at_a_time,
         {&Deviations::ledger}},
    Case{"some_of_a_batch_are_acknowledged_and_the_others_come_again",
         some_of_a_batch_are_acknowledged_and_the_others_come_again,
         {&Deviations::ledger}},
    Case{"batches_are_acknowledged_whole_and_once",
         batches_are_acknowledged_whole_and_once,
         {&Deviations::ledger, &Deviations::oldest_unfinished, &Deviations::stamps}},
    Case{"any_number_of_messages_is_acknowledged_at_once", any_number_of_messages_is_acknowledged_at_once, {&Deviations::ledger}},
    Case{"acknowledgements_in_another_order_are_of_the_same_messages",
         acknowledgements_in_another_order_are_of_the_same_messages,
         {&Deviations::ledger}},
    Case{"each_of_a_batch_is_settled_in_its_own_way", each_of_a_batch_is_settled_in_its_own_way, {&Deviations::ledger}},
    Case{"one_of_a_batch_is_found_wherever_it_is", one_of_a_batch_is_found_wherever_it_is, {&Deviations::ledger}},
    Case{"a_limit_of_messages_in_flight_divides_a_batch", a_limit_of_messages_in_flight_divides_a_batch, {&Deviations::ledger}},
    Case{"a_limit_of_bytes_divides_a_batch", a_limit_of_bytes_divides_a_batch, {&Deviations::ledger}},
    Case{"a_batch_is_outlived_one_by_one", a_batch_is_outlived_one_by_one, {&Deviations::ledger}},
    Case{"a_batch_that_is_delayed_comes_later", a_batch_that_is_delayed_comes_later, {&Deviations::ledger, &Deviations::delay}},
};

}  // namespace

Cases queue_batch_cases() { return kCases; }

}  // namespace setget::inline v0::testing::detail
