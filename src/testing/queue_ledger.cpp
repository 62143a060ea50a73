// Queue suite: outcomes, the ledger, statistics, the oldest unfinished stamp, concurrency.
#include <array>
#include <atomic>
#include <mutex>

#include "testing/queue_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

void every_outcome_can_be_asked_for(Trial& t) {
  auto queue = t.plain_queue();
  for (const auto outcome : {Outcome::kApplied, Outcome::kDuplicate, Outcome::kStale, Outcome::kExpired}) {
    const auto sent = send(queue, "m");
    const auto pending = find(t, sent.message_id);
    EXPECT_EQ(pending.message_id, sent.message_id);
    EXPECT_EQ(pending.stamp, sent.stamp);
    EXPECT_EQ(pending.outcome, Outcome::kPending);
    EXPECT_EQ(pending.receive_count, 0u);
    ASSERT_TRUE(pending.body);
    EXPECT_EQ(pending.body->str(), "m");
    const auto got = receive(queue).at(0);
    EXPECT_EQ(find(t, sent.message_id).receive_count, 1u);
    queue.ack(got, outcome).value();
    EXPECT_EQ(find(t, sent.message_id).outcome, outcome);
    EXPECT_EQ(count(queue.stats().value(), outcome), 1u);
    expect_ledger_adds_up(queue);
  }
}

void an_ack_may_carry_reasons(Trial& t) {
  auto queue = t.plain_queue();
  const auto sent = send(queue, "m");
  const std::vector<Reason> reasons{{.code = "below_floor", .message = "why", .pointer = {}}};
  const std::vector<Settlement> one{{.receipt = receive(queue).at(0).receipt, .outcome = Outcome::kExpired, .reasons = reasons}};
  t.queues().settle({.queue = "plain", .settlements = one}).value().at(0).value();
  EXPECT_EQ(find(t, sent.message_id).reasons, reasons);
}

// Settles all of one receive in one call, as workers do.
std::vector<bool> ack_all(Trial& t, const std::vector<Message>& got) {
  std::vector<Settlement> acks;
  for (const auto& message : got) acks.push_back({.receipt = message.receipt, .action = SettleAction::kAck, .outcome = Outcome::kApplied});
  std::vector<bool> taken;
  for (const auto& result : t.queues().settle({.queue = "plain", .settlements = acks}).value()) taken.push_back(result.has_value());
  return taken;
}

void an_ack_of_a_whole_receive_takes_what_is_still_leased(Trial& t) {
  auto queue = t.plain_queue();
  for (const auto* body : {"a", "b", "c"}) send(queue, body);
  const auto got = receive(queue);
  ASSERT_EQ(got.size(), 3u);
  queue.ack(got[1]).value();
  EXPECT_EQ(ack_all(t, got), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(ack_all(t, got), (std::vector<bool>{false, false, false}));
  EXPECT_EQ(count(queue.stats().value(), Outcome::kApplied), 3u);
  expect_ledger_adds_up(queue);
}

void an_ack_of_a_whole_receive_keeps_how_often_each_was_received(Trial& t) {
  auto queue = t.plain_queue();
  for (const auto* body : {"a", "b"}) send(queue, body);
  for (const auto& message : receive(queue)) queue.release(message).value();
  const auto got = receive(queue);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(ack_all(t, got), (std::vector<bool>{true, true}));
  for (const auto& message : got) EXPECT_EQ(find(t, message.message_id).receive_count, 2u);
}

void an_ack_of_a_whole_receive_keeps_stamps_of_a_redrive(Trial& t) {
  auto queue = t.plain_queue();
  for (const auto* body : {"a", "b"}) send(queue, body);
  for (const auto& message : receive(queue)) queue.dead_letter(message, {{.code = "invalid", .message = {}, .pointer = {}}}).value();
  send(queue, "c");
  EXPECT_EQ(t.queues().redrive({.queue = "plain", .filter = {}, .limit = 10, .restamp = true}).value(), 2u);
  const auto got = receive(queue);
  ASSERT_EQ(bodies(got), (Bodies{"c", "a", "b"}));
  EXPECT_EQ(ack_all(t, got), (std::vector<bool>{true, true, true}));
  for (const auto& message : got) EXPECT_EQ(find(t, message.message_id).stamp, message.stamp) << message.body.view();
  expect_ledger_adds_up(queue);
}

void unknown_messages_are_not_found(Trial& t) {
  auto queue = t.plain_queue();
  send(queue, "m");
  for (const auto& id : {std::string(), std::string("x"), std::string("plain"), std::string("plain:999"), std::string("\0\xff", 2),
                         std::string(1000, '9')}) {
    const auto found = t.queues().find({.message_id = id});
    ASSERT_FALSE(found) << id;
    EXPECT_EQ(found.error().code(), ErrorCode::kNotFound) << id;
  }
}

void outcomes_are_forgotten_after_a_while_but_counts_never(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kStandard, .outcome_retention = Milliseconds(10'000)});
  const auto done = send(queue, "done");
  queue.ack(receive(queue).at(0)).value();
  const auto waiting = send(queue, "waiting");
  t.clock().advance(Milliseconds(9'000));
  t.queues().maintain({.queue = "q"}).value();
  EXPECT_EQ(find(t, done.message_id).outcome, Outcome::kApplied);
  t.clock().advance(Milliseconds(1'001));
  t.queues().maintain({.queue = "q"}).value();
  const auto found = t.queues().find({.message_id = done.message_id});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(find(t, waiting.message_id).outcome, Outcome::kPending);
  EXPECT_EQ(count(queue.stats().value(), Outcome::kApplied), 1u);
  EXPECT_EQ(queue.stats().value().accepted, 2u);
  expect_ledger_adds_up(queue);
}

void maintenance_is_bounded(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kStandard, .dedup_window = Milliseconds(5'000), .outcome_retention = Milliseconds(5'000)});
  for (int i = 0; i < 40; ++i) {
    auto message = outgoing("m");
    message.dedup_id = std::to_string(i);
    queue.send(message).value();
  }
  for (const auto& message : receive(queue, 100)) queue.ack(message).value();
  t.clock().advance(Milliseconds(5'001));
  int calls = 0;
  while (t.queues().maintain({.queue = "q", .max_steps = 7}).value() == 7) ASSERT_LT(++calls, 100);
  EXPECT_GE(calls, 5);
  EXPECT_LT(t.queues().maintain({.queue = "q", .max_steps = 7}).value(), 7u) << "nothing is left to do";
}

void statistics_tell_where_messages_are(Trial& t) {
  auto queue = t.plain_queue();
  EXPECT_FALSE(queue.stats().value().oldest_age);
  for (int i = 0; i < 5; ++i) {
    send(queue, std::to_string(i));
    t.clock().advance(Milliseconds(100));
  }
  const auto got = receive(queue, 2);
  queue.ack(got.at(0)).value();
  queue.release(receive(queue, 1).at(0), Milliseconds(60'000)).value();
  const auto stats = queue.stats().value();
  EXPECT_EQ(stats.accepted, 5u);
  EXPECT_EQ(stats.depth, 2u);
  EXPECT_EQ(stats.in_flight, 1u);
  EXPECT_EQ(stats.delayed, 1u);
  EXPECT_EQ(stats.oldest_age, Milliseconds(400)) << "message 1 is the oldest that is unfinished";
  expect_ledger_adds_up(queue);
  t.clock().advance(Milliseconds(30'000));
  EXPECT_EQ(queue.stats().value().depth, 3u) << "a lease that has ended counts as ready";
  EXPECT_EQ(queue.stats().value().in_flight, 0u);
  expect_ledger_adds_up(queue);
}

void statistics_count_leases_by_the_clock(Trial& t) {
  auto queue = t.plain_queue();
  for (const auto* body : {"1", "2", "3"}) send(queue, body);
  const auto got = receive(queue);
  ASSERT_EQ(got.size(), 3u);
  queue.extend(got[0], Milliseconds(60'000)).value();
  t.clock().advance(Milliseconds(30'000));
  const auto stats = queue.stats().value();
  EXPECT_EQ(stats.depth, 2u) << "of one batch, those whose leases have ended";
  EXPECT_EQ(stats.in_flight, 1u);
  expect_ledger_adds_up(queue);
}

void the_oldest_unfinished_stamp_bounds_the_floor(Trial& t) {
  auto a = t.plain_queue("a");
  auto b = t.plain_queue("b");
  const auto oldest = [&] { return t.queues().oldest_unfinished().value(); };
  const auto first = send(a, "1");
  EXPECT_EQ(oldest(), first.stamp);
  const auto second = send(b, "2");
  EXPECT_EQ(oldest(), first.stamp);
  const auto held = receive(a).at(0);
  EXPECT_EQ(oldest(), first.stamp) << "a leased message is unfinished";
  a.ack(held).value();
  EXPECT_EQ(oldest(), second.stamp);
  auto delayed = outgoing("3");
  delayed.delay = Milliseconds(1000);
  const auto third = a.send(delayed).value();
  b.dead_letter(receive(b).at(0), {}).value();
  EXPECT_EQ(oldest(), third.stamp) << "a dead letter is finished, a delayed message is not";
  t.clock().advance(Milliseconds(1000));
  a.ack(receive(a).at(0)).value();
  EXPECT_EQ(oldest(), third.stamp + 1) << "where all is finished: the last stamp + 1";
  const auto redriven = t.queues().redrive({.queue = "b", .filter = {}}).value();
  EXPECT_EQ(redriven, 1u);
  EXPECT_EQ(oldest(), second.stamp);
  b.ack(receive(b).at(0)).value();
  const auto after = oldest();
  EXPECT_GE(send(a, "4").stamp, after);
}

void producers_and_consumers_at_once_lose_and_repeat_nothing(Trial& t) {
  constexpr int kProducers = 3;
  constexpr int kEach = 60;
  auto queue = t.plain_queue();
  std::mutex mutex;
  std::multiset<std::string> seen;
  std::atomic<int> finished{0};
  const auto until = Deadline::in(std::chrono::seconds(60));
  {
    Threads threads;
    for (int p = 0; p < kProducers; ++p) {
      threads.run([&queue, p] {
        Queue mine = queue;
        for (int i = 0; i < kEach; ++i) send(mine, std::to_string(p) + ":" + std::to_string(i));
      });
    }
    for (int c = 0; c < 3; ++c) {
      threads.run([&] {
        Queue mine = queue;
        while (finished.load() < kProducers * kEach && !until.passed() && !threads.failed()) {
          for (const auto& message : mine.receive(5, Deadline::in(Milliseconds(20))).value()) {
            {
              const std::lock_guard lock(mutex);
              seen.insert(message.body.str());
            }
            mine.ack(message).value();
            ++finished;
          }
        }
      });
    }
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kProducers * kEach));
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), seen.size());
  expect_count(queue, Outcome::kApplied, seen.size());
  expect_ledger_adds_up(queue);
}

// Everything that can happen to a message, at random; the ledger must add up after every single step.
void the_ledger_adds_up_after_every_step(Trial& t) {
  auto queue = t.queue("plain", {.kind = QueueKind::kStandard,
                                 .visibility_timeout = Milliseconds(1'000),
                                 .retention = Milliseconds(20'000),
                                 .max_receives = 3,
                                 .outcome_retention = Milliseconds(5'000)});
  SeededRandom random(99);
  std::vector<Message> held;
  for (int step = 0; step < 400; ++step) {
    switch (random.next() % 9) {
      case 0:
      case 1:
        send(queue, std::to_string(step));
        break;
      case 2: {
        auto message = outgoing(std::to_string(step));
        message.delay = Milliseconds(static_cast<std::int64_t>(random.next() % 3'000));
        queue.send(message).value();
        break;
      }
      case 3: {
        for (auto& message : receive(queue, 3)) held.push_back(std::move(message));
        break;
      }
      case 4:
      case 5:
        if (!held.empty()) {
          const auto message = held.back();
          held.pop_back();
          const auto dice = random.next() % 4;
          if (dice == 0) (void)queue.release(message, Milliseconds(static_cast<std::int64_t>(random.next() % 500)));
          if (dice == 1) (void)queue.dead_letter(message, {{.code = "bad", .message = {}, .pointer = {}}});
          if (dice >= 2) (void)queue.ack(message);
        }
        break;
      case 6:
        t.clock().advance(Milliseconds(static_cast<std::int64_t>(random.next() % 1'500)));
        break;
      case 7:
        t.queues().redrive({.queue = "plain", .filter = {}, .limit = 2, .restamp = random.next() % 2 == 0}).value();
        break;
      default:
        t.queues().purge({.queue = "plain", .filter = {}, .limit = 1}).value();
        t.queues().maintain({.queue = "plain", .max_steps = 5}).value();
    }
    expect_ledger_adds_up(queue);
    if (::testing::Test::HasFailure()) FAIL() << "at step " << step;
  }
}

const std::array kCases{
    Case{"every_outcome_can_be_asked_for", every_outcome_can_be_asked_for, {&Deviations::ledger}},
    Case{"an_ack_may_carry_reasons", an_ack_may_carry_reasons, {&Deviations::ledger}},
    Case{"an_ack_of_a_whole_receive_takes_what_is_still_leased",
         an_ack_of_a_whole_receive_takes_what_is_still_leased,
         {&Deviations::ledger}},
    Case{"an_ack_of_a_whole_receive_keeps_how_often_each_was_received",
         an_ack_of_a_whole_receive_keeps_how_often_each_was_received,
         {&Deviations::ledger}},
    Case{"an_ack_of_a_whole_receive_keeps_stamps_of_a_redrive",
         an_ack_of_a_whole_receive_keeps_stamps_of_a_redrive,
         {&Deviations::ledger, &Deviations::stamps, &Deviations::dead_letters}},
    Case{"unknown_messages_are_not_found", unknown_messages_are_not_found, {&Deviations::ledger}},
    Case{"outcomes_are_forgotten_after_a_while_but_counts_never",
         outcomes_are_forgotten_after_a_while_but_counts_never,
         {&Deviations::ledger}},
    Case{"maintenance_is_bounded", maintenance_is_bounded, {&Deviations::ledger, &Deviations::dedup}},
    Case{"statistics_tell_where_messages_are", statistics_tell_where_messages_are, {&Deviations::ledger}},
    Case{"statistics_count_leases_by_the_clock", statistics_count_leases_by_the_clock, {&Deviations::ledger}},
    Case{"the_oldest_unfinished_stamp_bounds_the_floor",
         the_oldest_unfinished_stamp_bounds_the_floor,
         {&Deviations::oldest_unfinished, &Deviations::stamps, &Deviations::delay, &Deviations::dead_letters}},
    Case{"producers_and_consumers_at_once_lose_and_repeat_nothing", producers_and_consumers_at_once_lose_and_repeat_nothing},
    Case{"the_ledger_adds_up_after_every_step",
         the_ledger_adds_up_after_every_step,
         {&Deviations::ledger, &Deviations::delay, &Deviations::dead_letters}},
};

}  // namespace

Cases queue_ledger_cases() { return kCases; }

}  // namespace setget::inline v0::testing::detail
