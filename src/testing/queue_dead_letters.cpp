// Queue suite: dead letters: what is kept, listing, redriving, purging, retention.
#include <array>

#include "testing/queue_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

Reason reason(std::string code) { return {.code = std::move(code), .message = "why", .pointer = "/field"}; }

// Sends one message and dead-letters it.
SentMessage bury(Queue& queue, std::string body, std::string code = "invalid") {
  auto sent = send(queue, std::move(body));
  const auto got = receive(queue, 1).at(0);
  EXPECT_EQ(got.message_id, sent.message_id);
  queue.dead_letter(got, {reason(std::move(code))}).value();
  return sent;
}

std::vector<DeadLetter> list(Trial& t, const DeadLetterFilter& filter = {}) {
  return t.queues().dead_letters({.queue = "plain", .filter = filter, .cursor = {}, .limit = 1000}).value().letters;
}

DeadLetterFilter by_reason(std::string code) {
  DeadLetterFilter filter;
  filter.reason_code = std::move(code);
  return filter;
}

DeadLetterFilter by_ids(std::vector<std::string> ids, std::string code = {}) {
  auto filter = by_reason(std::move(code));
  filter.message_ids = std::move(ids);
  return filter;
}

DeadLetterFilter by_time(std::optional<TimePoint> after, std::optional<TimePoint> before) {
  DeadLetterFilter filter;
  filter.dead_after = after;
  filter.dead_before = before;
  return filter;
}

Bodies bodies_of(const std::vector<DeadLetter>& letters) {
  Bodies out;
  for (const auto& letter : letters) out.push_back(letter.body.str());
  return out;
}

void a_dead_letter_keeps_everything(Trial& t) {
  auto queue = t.plain_queue();
  auto message = outgoing(std::string("b\0dy", 4), "group");
  message.attributes = {{"n", {.type = AttributeValue::Type::kNumber, .data = "1"}}};
  const auto sent = queue.send(message).value();
  const auto sent_at = t.now();
  queue.release(receive(queue).at(0), Milliseconds(0), {reason("first try")}).value();
  queue.release(receive(queue).at(0), Milliseconds(0), {reason("second try")}).value();
  t.clock().advance(Milliseconds(77));
  queue.dead_letter(receive(queue).at(0), {reason("bad"), reason("worse")}).value();
  const auto letters = list(t);
  ASSERT_EQ(letters.size(), 1u);
  const auto& letter = letters[0];
  EXPECT_EQ(letter.message_id, sent.message_id);
  EXPECT_EQ(letter.stamp, sent.stamp);
  EXPECT_EQ(letter.body, message.body);
  EXPECT_EQ(letter.attributes, message.attributes);
  EXPECT_EQ(letter.group, "group");
  EXPECT_EQ(letter.reasons, (std::vector<Reason>{reason("bad"), reason("worse")}));
  EXPECT_EQ(letter.history, (std::vector<Reason>{reason("first try"), reason("second try")}));
  EXPECT_EQ(letter.receive_count, 3u);
  EXPECT_EQ(letter.sent_at, sent_at);
  EXPECT_EQ(letter.dead_at, t.now());
  expect_outcome(t, sent.message_id, Outcome::kDeadLettered);
  if (t.has(&Deviations::ledger)) {
    EXPECT_EQ(find(t, sent.message_id).reasons, letter.reasons);
  }
  t.clock().advance(Milliseconds(3'600'000));
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  expect_ledger_adds_up(queue);
}

void dead_letters_are_listed_in_pages_oldest_first(Trial& t) {
  auto queue = t.plain_queue();
  Bodies all;
  for (int i = 0; i < 23; ++i) {
    all.push_back("m" + std::to_string(i));
    bury(queue, all.back());
  }
  for (const std::size_t limit : {1u, 5u, 23u, 100u}) {
    Bodies seen;
    std::string cursor;
    do {
      const auto page = t.queues().dead_letters({.queue = "plain", .filter = {}, .cursor = cursor, .limit = limit}).value();
      EXPECT_LE(page.letters.size(), limit);
      for (const auto& letter : page.letters) seen.push_back(letter.body.str());
      cursor = page.next;
    } while (!cursor.empty());
    EXPECT_EQ(seen, all) << "limit " << limit;
  }
}

void all_dead_letters_can_be_asked_for(Trial& t) {
  auto queue = t.plain_queue();
  for (int i = 0; i < 5; ++i) bury(queue, "m" + std::to_string(i));
  const auto page = [&](std::string_view cursor, std::size_t limit) {
    return t.queues().dead_letters({.queue = "plain", .filter = {}, .cursor = std::string(cursor), .limit = limit}).value();
  };
  EXPECT_EQ(bodies_of(page({}, kAll).letters), (Bodies{"m0", "m1", "m2", "m3", "m4"}));
  EXPECT_EQ(page({}, kAll).next, "");
  EXPECT_EQ(page({}, 5).next, "") << "nothing lies behind a full page either";
  EXPECT_EQ(bodies_of(page(page({}, 2).next, kAll).letters), (Bodies{"m2", "m3", "m4"}));
  EXPECT_EQ(t.queues().redrive({.queue = "plain", .filter = by_ids({list(t)[1].message_id}), .limit = kAll}).value(), 1u);
  EXPECT_EQ(t.queues().purge({.queue = "plain", .filter = {}, .limit = kAll}).value(), 4u);
  EXPECT_EQ(receive_bodies(queue), Bodies{"m1"});
}

void a_filter_picks_by_id_reason_and_time(Trial& t) {
  auto queue = t.plain_queue();
  const auto start = t.now();
  const auto a = bury(queue, "a", "invalid");
  t.clock().advance(Milliseconds(1000));
  const auto b = bury(queue, "b", "poison");
  t.clock().advance(Milliseconds(1000));
  const auto c = bury(queue, "c", "invalid");
  EXPECT_EQ(bodies_of(list(t)), (Bodies{"a", "b", "c"}));
  EXPECT_EQ(bodies_of(list(t, by_reason("invalid"))), (Bodies{"a", "c"}));
  EXPECT_EQ(bodies_of(list(t, by_ids({c.message_id, a.message_id}))), (Bodies{"a", "c"}));
  EXPECT_EQ(bodies_of(list(t, by_ids({b.message_id, "unknown"}))), Bodies{"b"});
  EXPECT_EQ(bodies_of(list(t, by_ids({b.message_id}, "invalid"))), Bodies{});
  EXPECT_EQ(bodies_of(list(t, by_time({}, start + Milliseconds(500)))), Bodies{"a"});
  EXPECT_EQ(bodies_of(list(t, by_time(start + Milliseconds(1500), {}))), Bodies{"c"});
  EXPECT_EQ(bodies_of(list(t, by_time(start + Milliseconds(500), start + Milliseconds(1500)))), Bodies{"b"});
}

void a_message_that_is_named_twice_is_taken_once(Trial& t) {
  auto queue = t.plain_queue();
  const auto a = bury(queue, "a");
  const auto b = bury(queue, "b");
  const auto twice = by_ids({b.message_id, a.message_id, b.message_id, a.message_id});
  EXPECT_EQ(bodies_of(list(t, twice)), (Bodies{"a", "b"}));
  const auto page = t.queues().dead_letters({.queue = "plain", .filter = twice, .cursor = {}, .limit = 1}).value();
  EXPECT_EQ(bodies_of(page.letters), Bodies{"a"});
  EXPECT_EQ(t.queues().redrive({.queue = "plain", .filter = by_ids({a.message_id, a.message_id})}).value(), 1u);
  expect_ledger_adds_up(queue);
  EXPECT_EQ(t.queues().purge({.queue = "plain", .filter = twice}).value(), 1u);
  EXPECT_EQ(receive_bodies(queue), Bodies{"a"});
  expect_ledger_adds_up(queue);
}

void a_redriven_message_starts_again(Trial& t) {
  auto queue = t.plain_queue();
  const auto sent = bury(queue, "m");
  EXPECT_EQ(t.queues().redrive({.queue = "plain", .filter = {}}).value(), 1u);
  expect_outcome(t, sent.message_id, Outcome::kPending);
  EXPECT_TRUE(list(t).empty());
  expect_ledger_adds_up(queue);
  const auto got = receive(queue);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].message_id, sent.message_id);
  EXPECT_EQ(got[0].stamp, sent.stamp) << "acceptance does not change";
  EXPECT_EQ(got[0].receive_count, 1u);
  EXPECT_EQ(got[0].body.str(), "m");
  queue.ack(got[0]).value();
  expect_outcome(t, sent.message_id, Outcome::kApplied);
  expect_accepted(queue, 1);
  expect_count(queue, Outcome::kDeadLettered, 0);
  expect_count(queue, Outcome::kApplied, 1);
}

void redrive_is_bounded_oldest_first_and_by_filter(Trial& t) {
  auto queue = t.plain_queue();
  for (int i = 0; i < 5; ++i) bury(queue, "i" + std::to_string(i), "invalid");
  bury(queue, "p", "poison");
  EXPECT_EQ(t.queues().redrive({.queue = "plain", .filter = {}, .limit = 2}).value(), 2u);
  EXPECT_EQ(receive_bodies(queue), (Bodies{"i0", "i1"}));
  EXPECT_EQ(t.queues().redrive({.queue = "plain", .filter = by_reason("poison")}).value(), 1u);
  EXPECT_EQ(receive_bodies(queue), Bodies{"p"});
  EXPECT_EQ(t.queues().redrive({.queue = "plain", .filter = {}, .limit = 100}).value(), 3u);
  EXPECT_EQ(t.queues().redrive({.queue = "plain", .filter = {}, .limit = 100}).value(), 0u);
  EXPECT_EQ(receive_bodies(queue), (Bodies{"i2", "i3", "i4"}));
  expect_ledger_adds_up(queue);
}

void redrive_can_give_fresh_stamps(Trial& t) {
  auto queue = t.plain_queue();
  const auto a = bury(queue, "a");
  const auto b = bury(queue, "b");
  const auto last = send(queue, "later").stamp;
  EXPECT_EQ(t.queues().redrive({.queue = "plain", .filter = {}, .limit = 10, .restamp = true}).value(), 2u);
  const auto got = receive(queue);
  EXPECT_EQ(bodies(got), (Bodies{"later", "a", "b"}));
  EXPECT_GT(got.at(1).stamp, last);
  EXPECT_GT(got.at(2).stamp, got.at(1).stamp);
  EXPECT_EQ(got.at(1).receive_count, 1u);
  for (const auto& message : got) queue.ack(message).value();
  expect_outcome(t, got.at(1).message_id, Outcome::kApplied);
  if (t.has(&Deviations::ledger)) {
    EXPECT_EQ(find(t, got.at(1).message_id).stamp, got.at(1).stamp);
  }
  EXPECT_GT(send(queue, "next").stamp, got.at(2).stamp);
  expect_accepted(queue, 4);  // a redrive accepts nothing anew
  expect_ledger_adds_up(queue);
}

void a_redriven_message_may_become_a_dead_letter_again(Trial& t) {
  auto queue = t.queue("plain", {.kind = QueueKind::kStandard, .max_receives = 1});
  send(queue, "m");
  receive(queue);
  t.clock().advance(Milliseconds(30'000));
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  EXPECT_EQ(list(t).size(), 1u);
  EXPECT_EQ(t.queues().redrive({.queue = "plain", .filter = {}}).value(), 1u);
  EXPECT_EQ(receive_bodies(queue), Bodies{"m"});
  t.clock().advance(Milliseconds(30'000));
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  ASSERT_EQ(list(t).size(), 1u);
  EXPECT_EQ(list(t)[0].reasons.at(0).code, "max_receives");
  expect_ledger_adds_up(queue);
}

void purging_removes_for_good(Trial& t) {
  auto queue = t.plain_queue();
  const auto a = bury(queue, "a", "invalid");
  const auto b = bury(queue, "b", "poison");
  bury(queue, "c", "invalid");
  bury(queue, "d", "poison");
  EXPECT_EQ(t.queues().purge({.queue = "plain", .filter = by_reason("none"), .limit = kAll}).value(), 0u);
  EXPECT_EQ(t.queues().purge({.queue = "plain", .filter = by_ids({list(t).back().message_id}), .limit = kAll}).value(), 1u);
  EXPECT_EQ(bodies_of(list(t)), (Bodies{"a", "b", "c"}));
  EXPECT_EQ(t.queues().purge({.queue = "plain", .filter = by_reason("invalid"), .limit = 1}).value(), 1u);
  EXPECT_EQ(bodies_of(list(t)), (Bodies{"b", "c"}));
  expect_outcome(t, a.message_id, Outcome::kPurged);
  EXPECT_EQ(t.queues().purge({.queue = "plain", .filter = {}}).value(), 2u);
  EXPECT_TRUE(list(t).empty());
  EXPECT_EQ(t.queues().redrive({.queue = "plain", .filter = {}}).value(), 0u);
  expect_count(queue, Outcome::kPurged, 4);
  expect_dead_letters(queue, 0);
  expect_ledger_adds_up(queue);
}

void a_message_past_retention_becomes_a_dead_letter_at_receive(Trial& t) {
  auto queue = t.queue("plain", {.kind = QueueKind::kStandard, .retention = Milliseconds(60'000), .max_receives = 0});
  const auto old = send(queue, "old");
  t.clock().advance(Milliseconds(30'000));
  send(queue, "young");
  t.clock().advance(Milliseconds(30'001));
  EXPECT_EQ(receive_bodies(queue), Bodies{"young"});
  const auto letters = list(t);
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].message_id, old.message_id);
  EXPECT_EQ(letters[0].reasons.at(0).code, "retention");
  EXPECT_EQ(letters[0].body.str(), "old");
  expect_ledger_adds_up(queue);
}

void a_message_past_retention_becomes_a_dead_letter_by_maintenance(Trial& t) {
  auto queue = t.queue("plain", {.kind = QueueKind::kStandard, .retention = Milliseconds(60'000), .max_receives = 0});
  for (int i = 0; i < 10; ++i) send(queue, std::to_string(i));
  t.clock().advance(Milliseconds(60'001));
  EXPECT_LE(t.queues().maintain({.queue = "plain", .max_steps = 3}).value(), 3u);
  EXPECT_LE(list(t).size(), 3u);
  for (int i = 0; i < 20 && t.queues().maintain({.queue = "plain", .max_steps = 3}).value() == 3; ++i) expect_ledger_adds_up(queue);
  EXPECT_EQ(list(t).size(), 10u);
  EXPECT_EQ(queue.stats().value().depth, 0u);
  expect_ledger_adds_up(queue);
}

void reopening_keeps_dead_letters(Trial& t) {
  SentMessage sent;
  {
    auto queue = t.plain_queue();
    sent = bury(queue, "m", "invalid");
  }
  t.reopen();
  Queue queue(t.stores().queues, "plain");
  const auto letters = list(t);
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].message_id, sent.message_id);
  EXPECT_EQ(letters[0].reasons, std::vector<Reason>{reason("invalid")});
  expect_ledger_adds_up(queue);
  EXPECT_EQ(t.queues().redrive({.queue = "plain", .filter = {}}).value(), 1u);
  EXPECT_EQ(receive_bodies(queue), Bodies{"m"});
}

#define SETGET_CASE(name) \
  Case { #name, name, needing(&Deviations::dead_letters) }
const std::array kCases{
    SETGET_CASE(a_dead_letter_keeps_everything),
    SETGET_CASE(dead_letters_are_listed_in_pages_oldest_first),
    SETGET_CASE(all_dead_letters_can_be_asked_for),
    SETGET_CASE(a_filter_picks_by_id_reason_and_time),
    SETGET_CASE(a_message_that_is_named_twice_is_taken_once),
    SETGET_CASE(a_redriven_message_starts_again),
    SETGET_CASE(redrive_is_bounded_oldest_first_and_by_filter),
    Case{"redrive_can_give_fresh_stamps", redrive_can_give_fresh_stamps, {&Deviations::dead_letters, &Deviations::stamps}},
    SETGET_CASE(a_redriven_message_may_become_a_dead_letter_again),
    SETGET_CASE(purging_removes_for_good),
    SETGET_CASE(a_message_past_retention_becomes_a_dead_letter_at_receive),
    SETGET_CASE(a_message_past_retention_becomes_a_dead_letter_by_maintenance),
    Case{"reopening_keeps_dead_letters", reopening_keeps_dead_letters, {&Deviations::dead_letters}, Needs::kReopen},
};
#undef SETGET_CASE

}  // namespace

Cases queue_dead_letter_cases() { return kCases; }

}  // namespace setget::inline v0::testing::detail
