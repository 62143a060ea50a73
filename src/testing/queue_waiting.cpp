// Queue suite: waiting. Long polls end as soon as there is something, and burn no processor while there is nothing. Also what proves that a
// lacking capability is declared.
#include <ctime>

#include <algorithm>
#include <array>
#include <future>

#include "testing/queue_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

using Steady = std::chrono::steady_clock;

// Longer than any wake-up takes, so that a test that fails does so in bounded time.
constexpr std::chrono::seconds kLong{20};

Milliseconds thread_cpu_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return Milliseconds(time.tv_sec * 1000 + time.tv_nsec / 1'000'000);
}

// How long the third quickest of `rounds` hand-overs between two threads took: a busy machine slows many. A backend that only polls needs
// its polling interval for each.
Milliseconds quick_handover(Queue there, Queue back, int rounds) {
  auto echo = std::async(std::launch::async, [there, back, rounds]() mutable {
    for (int i = 0; i < rounds; ++i) {
      const auto got = there.receive(1, Deadline::in(kLong)).value();
      there.ack(got.at(0)).value();
      back.send(outgoing("pong")).value();
    }
  });
  std::vector<Steady::duration> times;
  for (int i = 0; i < rounds; ++i) {
    const auto start = Steady::now();
    there.send(outgoing("ping")).value();
    const auto got = back.receive(1, Deadline::in(kLong)).value();
    times.push_back(Steady::now() - start);
    back.ack(got.at(0)).value();
  }
  echo.get();
  std::ranges::sort(times);
  return std::chrono::duration_cast<Milliseconds>(times.at(2)) / 2;
}

void a_receive_without_wait_returns_at_once(Trial& t) {
  auto queue = t.plain_queue();
  const auto start = Steady::now();
  EXPECT_TRUE(queue.receive(10, Deadline::immediate()).value().empty());
  EXPECT_LT(Steady::now() - start, std::chrono::seconds(5));
}

void an_empty_wait_ends_at_its_deadline_without_spinning(Trial& t) {
  auto queue = t.plain_queue();
  const auto start = Steady::now();
  const auto cpu = thread_cpu_time();
  EXPECT_TRUE(queue.receive(10, Deadline::in(Milliseconds(400))).value().empty());
  EXPECT_GE(Steady::now() - start, Milliseconds(390));
  EXPECT_LT(thread_cpu_time() - cpu, Milliseconds(200)) << "a wait must not burn the processor";
}

void a_wait_that_is_longer_than_the_deadline_ends_with_it(Trial& t) {
  auto queue = t.plain_queue();
  const auto start = Steady::now();
  // The last look has little time: on a busy machine its answer may be late.
  const auto got = queue.receive(10, Deadline::in(kLong), Deadline::in(Milliseconds(200)));
  if (got) {
    EXPECT_TRUE(got->empty());
  } else {
    EXPECT_EQ(got.error().code(), ErrorCode::kDeadlineExceeded);
  }
  const auto id = send(queue, "m").message_id;
  if (t.has(&Deviations::ledger)) {
    const auto status = t.queues().find({.message_id = id, .wait = Deadline::in(kLong), .deadline = Deadline::in(Milliseconds(200))});
    if (status) {
      EXPECT_EQ(status->outcome, Outcome::kPending);
    } else {
      EXPECT_EQ(status.error().code(), ErrorCode::kDeadlineExceeded);
    }
  }
  EXPECT_LT(Steady::now() - start, kLong / 2);
}

void a_send_wakes_a_waiting_receive(Trial& t) {
  EXPECT_LT(quick_handover(t.plain_queue("there"), t.plain_queue("back"), 15), Milliseconds(45)) << "woken, not polled";
}

void a_send_through_another_opening_wakes_a_waiting_receive(Trial& t) {
  t.plain_queue("there");
  auto back = t.plain_queue("back");
  const auto second = t.share();
  EXPECT_LT(quick_handover(Queue(second.queues, "there"), back, 15), Milliseconds(45)) << "woken, not polled";
}

void a_release_wakes_a_waiting_receive(Trial& t) {
  auto queue = t.plain_queue();
  send(queue, "m");
  const auto held = receive(queue).at(0);
  auto waiting = std::async(std::launch::async, [queue]() mutable { return queue.receive(1, Deadline::in(kLong)).value(); });
  queue.release(held).value();
  EXPECT_EQ(bodies(waiting.get()), Bodies{"m"});
}

void an_ack_wakes_a_receive_that_waits_for_the_group(Trial& t) {
  auto queue = t.fifo_queue();
  send(queue, "a1", "a");
  send(queue, "a2", "a");
  const auto held = receive(queue, 1).at(0);
  auto waiting = std::async(std::launch::async, [queue]() mutable { return queue.receive(1, Deadline::in(kLong)).value(); });
  queue.ack(held).value();
  EXPECT_EQ(bodies(waiting.get()), Bodies{"a2"});
}

void a_waiting_receive_notices_that_a_lease_has_ended(Trial& t) {
  auto queue = t.plain_queue();
  send(queue, "m");
  receive(queue);
  auto waiting = std::async(std::launch::async, [queue]() mutable { return queue.receive(1, Deadline::in(kLong)).value(); });
  t.clock().advance(Milliseconds(30'000));
  EXPECT_EQ(bodies(waiting.get()), Bodies{"m"});
}

void a_waiting_receive_notices_that_a_delay_is_over(Trial& t) {
  auto queue = t.queue("q", {.kind = QueueKind::kStandard, .delay = Milliseconds(3'600'000)});
  send(queue, "m");
  auto waiting = std::async(std::launch::async, [queue]() mutable { return queue.receive(1, Deadline::in(kLong)).value(); });
  t.clock().advance(Milliseconds(3'600'000));
  EXPECT_EQ(bodies(waiting.get()), Bodies{"m"});
}

void find_waits_until_the_message_is_finished(Trial& t) {
  auto queue = t.plain_queue();
  const auto sent = send(queue, "m");
  EXPECT_EQ(t.queues().find({.message_id = sent.message_id, .wait = Deadline::in(Milliseconds(20))}).value().outcome, Outcome::kPending);
  auto waiting = std::async(std::launch::async,
                            [&] { return t.queues().find({.message_id = sent.message_id, .wait = Deadline::in(kLong)}).value().outcome; });
  queue.ack(receive(queue).at(0), Outcome::kStale).value();
  EXPECT_EQ(waiting.get(), Outcome::kStale);
}

void find_does_not_wait_for_what_it_does_not_know(Trial& t) {
  t.plain_queue();
  const auto start = Steady::now();
  const auto found = t.queues().find({.message_id = "nobody", .wait = Deadline::in(kLong)});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code(), ErrorCode::kNotFound);
  EXPECT_LT(Steady::now() - start, kLong / 2);
}

const std::array kCases{
    Case{"a_receive_without_wait_returns_at_once", a_receive_without_wait_returns_at_once},
    Case{"an_empty_wait_ends_at_its_deadline_without_spinning", an_empty_wait_ends_at_its_deadline_without_spinning},
    Case{"a_wait_that_is_longer_than_the_deadline_ends_with_it", a_wait_that_is_longer_than_the_deadline_ends_with_it},
    Case{"a_send_wakes_a_waiting_receive", a_send_wakes_a_waiting_receive},
    Case{"a_send_through_another_opening_wakes_a_waiting_receive",
         a_send_through_another_opening_wakes_a_waiting_receive,
         {},
         Needs::kShare},
    Case{"a_release_wakes_a_waiting_receive", a_release_wakes_a_waiting_receive},
    Case{"an_ack_wakes_a_receive_that_waits_for_the_group", an_ack_wakes_a_receive_that_waits_for_the_group, {&Deviations::fifo}},
    Case{"a_waiting_receive_notices_that_a_lease_has_ended", a_waiting_receive_notices_that_a_lease_has_ended},
    Case{"a_waiting_receive_notices_that_a_delay_is_over", a_waiting_receive_notices_that_a_delay_is_over, {&Deviations::delay}},
    Case{"find_waits_until_the_message_is_finished", find_waits_until_the_message_is_finished, {&Deviations::ledger}},
    Case{"find_does_not_wait_for_what_it_does_not_know", find_does_not_wait_for_what_it_does_not_know, {&Deviations::ledger}},
};

// --- deviations -----------------------------------------------------------------------------------------------------------------

template <class T>
void expect_unsupported(const Result<T>& result) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), ErrorCode::kUnsupported);
}

void declares_what_it_can_do(Trial& t) {
  const auto can = t.queues().capabilities();
  const auto& lacks = t.params().deviations;
  EXPECT_EQ(can.stamps, lacks.stamps.empty());
  EXPECT_EQ(can.ledger, lacks.ledger.empty());
  EXPECT_EQ(can.fifo, lacks.fifo.empty());
  EXPECT_EQ(can.dedup, lacks.dedup.empty());
  EXPECT_EQ(can.delay, lacks.delay.empty());
  EXPECT_EQ(can.dead_letters, lacks.dead_letters.empty());
  EXPECT_EQ(can.oldest_unfinished, lacks.oldest_unfinished.empty());
  if (can.durability == Durability::kDisk) {
    EXPECT_TRUE(t.params().reopen) << "a queue on disk must prove that it is kept";
  }
  if (can.cross_process) {
    EXPECT_TRUE(t.params().share) << "a queue that wakes other processes must prove it";
  }
}

void lacks_stamps(Trial& t) {
  auto queue = t.plain_queue();
  EXPECT_EQ(send(queue, "m").stamp, 0u);
}
void lacks_ledger(Trial& t) {
  auto queue = t.plain_queue();
  const auto sent = send(queue, "m");
  expect_unsupported(t.queues().find({.message_id = sent.message_id}));
}
void lacks_fifo(Trial& t) { expect_unsupported(t.queues().create({.name = "f", .options = {.kind = QueueKind::kFifo}})); }
void lacks_dedup(Trial& t) {
  auto queue = t.plain_queue();
  auto message = outgoing("m");
  message.dedup_id = "id";
  expect_unsupported(queue.send(message));
}
void lacks_delay(Trial& t) {
  auto queue = t.plain_queue();
  auto message = outgoing("m");
  message.delay = Milliseconds(1000);
  expect_unsupported(queue.send(message));
}
void lacks_dead_letters(Trial& t) {
  t.plain_queue();
  expect_unsupported(t.queues().dead_letters({.queue = "plain", .filter = {}, .cursor = {}}));
  expect_unsupported(t.queues().redrive({.queue = "plain", .filter = {}}));
  expect_unsupported(t.queues().purge({.queue = "plain", .filter = {}}));
}
void lacks_oldest_unfinished(Trial& t) { expect_unsupported(t.queues().oldest_unfinished()); }

const std::array kDeviationCases{
    Case{"declares_what_it_can_do", declares_what_it_can_do},
    Case{"lacks_stamps", lacks_stamps, {&Deviations::stamps}},
    Case{"lacks_ledger", lacks_ledger, {&Deviations::ledger}},
    Case{"lacks_fifo", lacks_fifo, {&Deviations::fifo}},
    Case{"lacks_dedup", lacks_dedup, {&Deviations::dedup}},
    Case{"lacks_delay", lacks_delay, {&Deviations::delay}},
    Case{"lacks_dead_letters", lacks_dead_letters, {&Deviations::dead_letters}},
    Case{"lacks_oldest_unfinished", lacks_oldest_unfinished, {&Deviations::oldest_unfinished}},
};

}  // namespace

Cases queue_waiting_cases() { return kCases; }
Cases queue_deviation_cases() { return kDeviationCases; }

}  // namespace setget::inline v0::testing::detail
