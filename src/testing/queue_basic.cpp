// Queue suite: making and removing queues, sending, order, stamps, limits, deduplication, delay.
#include <algorithm>
#include <array>

#include "testing/queue_helpers.hpp"

namespace setget::inline v0::testing::detail {

namespace {

void makes_lists_and_removes_queues(Trial& t) {
  t.queue("orders", {.kind = QueueKind::kStandard, .max_receives = 7});
  t.clock().advance(Milliseconds(5));
  t.queue("events.v2_x-1", {.kind = QueueKind::kStandard});
  auto listed = t.queues().list().value();
  std::sort(listed.begin(), listed.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  ASSERT_EQ(listed.size(), 2u);
  EXPECT_EQ(listed[0].name, "events.v2_x-1");
  EXPECT_EQ(listed[0].created_at, t.now());
  EXPECT_EQ(listed[1].name, "orders");
  EXPECT_EQ(listed[1].options, (QueueOptions{.kind = QueueKind::kStandard, .max_receives = 7}));
  t.queues().remove("orders").value();
  EXPECT_EQ(t.queues().list().value().size(), 1u);
  EXPECT_EQ(refusal(t.queues().remove("orders")), ErrorCode::kNotFound);
}

void refuses_bad_names_and_options(Trial& t) {
  const std::string longest(64, 'q');
  EXPECT_TRUE(t.queues().create({.name = longest, .options = {.kind = QueueKind::kStandard}}));
  for (const auto& name :
       {std::string(), std::string(65, 'q'), std::string("a b"), std::string("a/b"), std::string("a\0b", 3), std::string("ä")}) {
    const auto made = t.queues().create({.name = name, .options = {.kind = QueueKind::kStandard}});
    ASSERT_FALSE(made) << name;
    EXPECT_EQ(made.error().code(), ErrorCode::kInvalidArgument) << name;
  }
  const auto made = t.queues().create({.name = "x", .options = {.kind = QueueKind::kStandard, .visibility_timeout = Milliseconds(0)}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), ErrorCode::kInvalidArgument);
}

void making_a_queue_again_replaces_options_but_never_the_kind(Trial& t) {
  auto queue = t.plain_queue("q");
  send(queue, "kept");
  const auto again = t.queues().create({.name = "q", .options = {.kind = QueueKind::kStandard, .max_receives = 9}}).value();
  EXPECT_EQ(again.options.max_receives, 9u);
  EXPECT_EQ(t.queues().list().value().at(0).options.max_receives, 9u);
  EXPECT_EQ(receive_bodies(queue), Bodies{"kept"});
  const auto other = t.queues().create({.name = "q", .options = {.kind = QueueKind::kFifo}});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), t.params().deviations.fifo.empty() ? ErrorCode::kAlreadyExists : ErrorCode::kUnsupported);
}

void every_verb_on_a_missing_queue_answers_not_found(Trial& t) {
  auto& queues = t.queues();
  const std::vector<OutgoingMessage> one{outgoing("x")};
  const std::vector<Settlement> settlements{Settlement{.receipt = "r", .reasons = {}}};
  const auto code = [](const auto& result) { return result ? std::optional<ErrorCode>() : result.error().code(); };
  EXPECT_EQ(code(queues.send({.queue = "none", .messages = one})), ErrorCode::kNotFound);
  EXPECT_EQ(code(queues.receive({.queue = "none", .visibility_timeout = {}})), ErrorCode::kNotFound);
  EXPECT_EQ(code(queues.settle({.queue = "none", .settlements = settlements})), ErrorCode::kNotFound);
  EXPECT_EQ(code(queues.stats("none")), ErrorCode::kNotFound);
  EXPECT_EQ(code(queues.peek({.queue = "none"})), ErrorCode::kNotFound);
  EXPECT_EQ(code(queues.maintain({.queue = "none"})), ErrorCode::kNotFound);
  if (!t.params().deviations.dead_letters.empty()) return;
  EXPECT_EQ(code(queues.dead_letters({.queue = "none", .filter = {}, .cursor = {}})), ErrorCode::kNotFound);
  EXPECT_EQ(code(queues.redrive({.queue = "none", .filter = {}})), ErrorCode::kNotFound);
  EXPECT_EQ(code(queues.purge({.queue = "none", .filter = {}})), ErrorCode::kNotFound);
}

void removing_a_queue_removes_all_it_holds_and_nothing_else(Trial& t) {
  auto doomed = t.plain_queue("doomed");
  auto kept = t.plain_queue("kept");
  for (int i = 0; i < 20; ++i) send(doomed, "d" + std::to_string(i));
  send(kept, "k");
  receive(doomed, 5);
  t.queues().remove("doomed").value();
  auto again = t.plain_queue("doomed");
  EXPECT_EQ(again.stats().value().depth, 0u);
  EXPECT_EQ(receive_bodies(again), Bodies{});
  EXPECT_EQ(receive_bodies(kept), Bodies{"k"});
}

void fifty_queues_do_not_see_each_others_messages(Trial& t) {
  std::vector<Queue> queues;
  for (int i = 0; i < 50; ++i) queues.push_back(t.plain_queue("q" + std::to_string(i)));
  for (int i = 0; i < 50; ++i) send(queues[static_cast<std::size_t>(i)], "m" + std::to_string(i));
  EXPECT_EQ(t.queues().list().value().size(), 50u);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(receive_bodies(queues[static_cast<std::size_t>(i)]), Bodies{"m" + std::to_string(i)});
}

void gives_back_exactly_what_was_sent(Trial& t) {
  auto queue = t.plain_queue();
  OutgoingMessage message;
  message.body = Payload(std::string("a\0b\xff\n", 5));
  message.attributes = {{"text", {.type = AttributeValue::Type::kString, .data = "käse"}},
                        {"number", {.type = AttributeValue::Type::kNumber, .data = "007.50"}},
                        {"binary", {.type = AttributeValue::Type::kBinary, .data = std::string("\0\x01\xfe", 3)}}};
  message.group = "g";
  const auto sent = queue.send(message).value();
  const auto sent_at = t.now();
  t.clock().advance(Milliseconds(1000));
  const auto got = receive(queue);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].message_id, sent.message_id);
  EXPECT_EQ(got[0].body, message.body);
  EXPECT_EQ(got[0].attributes, message.attributes);
  EXPECT_EQ(got[0].group, "g");
  EXPECT_EQ(got[0].stamp, sent.stamp);
  EXPECT_EQ(got[0].sent_at, sent_at);
  EXPECT_EQ(got[0].receive_count, 1u);
  EXPECT_EQ(got[0].visible_at, t.now() + Milliseconds(30'000));
  EXPECT_FALSE(got[0].receipt.empty());
}

void delivers_oldest_first(Trial& t) {
  auto queue = t.plain_queue();
  Bodies sent;
  for (int i = 0; i < 30; ++i) {
    sent.push_back(std::to_string(i));
    send(queue, sent.back());
    if (i % 3 == 0) t.clock().advance(Milliseconds(1));
  }
  Bodies got;
  while (true) {
    const auto batch = receive_bodies(queue, 7);
    if (batch.empty()) break;
    EXPECT_LE(batch.size(), 7u);
    got.insert(got.end(), batch.begin(), batch.end());
  }
  EXPECT_EQ(got, sent);
}

void a_batch_limit_in_bytes_still_gives_one_message(Trial& t) {
  auto queue = t.plain_queue();
  for (int i = 0; i < 4; ++i) send(queue, std::string(100, static_cast<char>('a' + i)));
  const auto take = [&](std::size_t max_bytes) {
    return t.queues().receive({.queue = "plain", .max_messages = 10, .max_bytes = max_bytes, .visibility_timeout = {}}).value().size();
  };
  EXPECT_EQ(take(10), 1u);
  EXPECT_EQ(take(250), 2u);
  EXPECT_EQ(take(1000), 1u);
}

void an_empty_batch_is_no_error(Trial& t) {
  t.plain_queue();
  EXPECT_TRUE(t.queues().send({.queue = "plain", .messages = {}}).value().empty());
  EXPECT_TRUE(t.queues().settle({.queue = "plain", .settlements = {}}).value().empty());
}

void an_empty_body_is_a_message(Trial& t) {
  auto queue = t.plain_queue();
  send(queue, "");
  EXPECT_EQ(receive_bodies(queue), Bodies{""});
}

void one_bad_entry_of_a_batch_leaves_the_others(Trial& t) {
  auto queue = t.queue("small", {.kind = QueueKind::kStandard, .max_message_bytes = 10});
  const std::vector<OutgoingMessage> batch{outgoing("fits"), outgoing(std::string(11, 'x')), outgoing(std::string(10, 'y'))};
  const auto sent = queue.send(batch).value();
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_TRUE(sent[0]);
  ASSERT_FALSE(sent[1]);
  EXPECT_EQ(sent[1].error().code(), ErrorCode::kTooLarge);
  EXPECT_TRUE(sent[2]);
  EXPECT_EQ(receive_bodies(queue), (Bodies{"fits", std::string(10, 'y')}));
  expect_accepted(queue, 2);
}

void attributes_count_towards_the_size_of_a_message(Trial& t) {
  auto queue = t.queue("small", {.kind = QueueKind::kStandard, .max_message_bytes = 10});
  auto message = outgoing("123456");
  message.attributes = {{"name", {.type = AttributeValue::Type::kString, .data = "value"}}};
  const auto sent = queue.send(message);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code(), ErrorCode::kTooLarge);
}

void stamps_rise_strictly_even_when_the_clock_steps_back(Trial& t) {
  auto a = t.plain_queue("a");
  auto b = t.plain_queue("b");
  Stamp last = 0;
  const auto rises = [&](Stamp stamp) {
    EXPECT_GT(stamp, last);
    last = stamp;
  };
  rises(send(a, "1").stamp);
  EXPECT_EQ(last, stamp_at(t.now()));
  t.clock().advance(Milliseconds(-60'000));
  rises(send(b, "2").stamp);
  rises(send(a, "3").stamp);
  t.clock().advance(Milliseconds(120'000));
  rises(send(b, "4").stamp);
  EXPECT_EQ(last, stamp_at(t.now()));
  std::vector<OutgoingMessage> batch;
  for (int i = 0; i < 5000; ++i) batch.push_back(outgoing("x"));
  for (const auto& sent : a.send(batch).value()) rises(sent.value().stamp);  // more than fit into one millisecond
  EXPECT_LE(last, kMaxVersion);
}

void a_dedup_id_is_accepted_once_within_its_window(Trial& t) {
  auto queue = t.queue("d", {.kind = QueueKind::kStandard, .dedup_window = Milliseconds(1000)});
  auto message = outgoing("first");
  message.dedup_id = "id-1";
  const auto first = queue.send(message).value();
  EXPECT_FALSE(first.deduplicated);
  message.body = Payload("second");
  t.clock().advance(Milliseconds(999));
  const auto second = queue.send(message).value();
  EXPECT_TRUE(second.deduplicated);
  EXPECT_EQ(second.message_id, first.message_id);
  EXPECT_EQ(second.stamp, first.stamp);
  expect_accepted(queue, 1);
  for (const auto& got : receive(queue)) {
    EXPECT_EQ(got.body.str(), "first");
    queue.ack(got).value();
  }
  EXPECT_TRUE(queue.send(message).value().deduplicated) << "also after the message is finished";
  t.clock().advance(Milliseconds(2));
  EXPECT_FALSE(queue.send(message).value().deduplicated);
  EXPECT_EQ(receive_bodies(queue), Bodies{"second"});
  expect_accepted(queue, 2);
}

void a_dedup_id_counts_within_one_batch_and_one_queue_only(Trial& t) {
  auto queue = t.plain_queue("one");
  auto other = t.plain_queue("other");
  auto message = outgoing("x");
  message.dedup_id = "same";
  const std::vector<OutgoingMessage> batch{message, outgoing("y"), message};
  const auto sent = queue.send(batch).value();
  EXPECT_FALSE(sent[0].value().deduplicated);
  EXPECT_FALSE(sent[1].value().deduplicated);
  EXPECT_TRUE(sent[2].value().deduplicated);
  EXPECT_EQ(sent[2].value().message_id, sent[0].value().message_id);
  EXPECT_FALSE(other.send(message).value().deduplicated);
  EXPECT_EQ(receive_bodies(queue), (Bodies{"x", "y"}));
}

void equal_bodies_without_a_dedup_id_are_all_accepted(Trial& t) {
  auto queue = t.plain_queue();
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(send(queue, "same").deduplicated);
  EXPECT_EQ(receive_bodies(queue), (Bodies{"same", "same", "same"}));
}

void a_dedup_window_of_zero_never_deduplicates(Trial& t) {
  auto queue = t.queue("d", {.kind = QueueKind::kStandard, .dedup_window = Milliseconds(0)});
  auto message = outgoing("x");
  message.dedup_id = "id";
  EXPECT_FALSE(queue.send(message).value().deduplicated);
  EXPECT_FALSE(queue.send(message).value().deduplicated);
}

void a_delay_hides_a_new_message_until_it_is_over(Trial& t) {
  auto queue = t.queue("d", {.kind = QueueKind::kStandard, .delay = Milliseconds(1000)});
  send(queue, "delayed");
  auto at_once = outgoing("at once");
  at_once.delay = Milliseconds(0);
  queue.send(at_once).value();
  auto longer = outgoing("longer");
  longer.delay = Milliseconds(5000);
  queue.send(longer).value();
  EXPECT_EQ(queue.stats().value().delayed, 2u);
  EXPECT_EQ(queue.stats().value().depth, 1u);
  EXPECT_EQ(receive_bodies(queue), Bodies{"at once"});
  t.clock().advance(Milliseconds(999));
  EXPECT_EQ(receive_bodies(queue), Bodies{});
  t.clock().advance(Milliseconds(1));
  EXPECT_EQ(receive_bodies(queue), Bodies{"delayed"});
  t.clock().advance(Milliseconds(4000));
  EXPECT_EQ(receive_bodies(queue), Bodies{"longer"});
  expect_ledger_adds_up(queue);
}

void peek_shows_unfinished_messages_without_leasing_them(Trial& t) {
  auto queue = t.plain_queue();
  for (const auto* body : {"a", "b", "c"}) send(queue, body);
  ASSERT_EQ(receive_bodies(queue, 1), Bodies{"a"});
  const auto seen = t.queues().peek({.queue = "plain", .limit = 2}).value();
  EXPECT_EQ(bodies(seen), (Bodies{"a", "b"}));
  for (const auto& message : seen) EXPECT_TRUE(message.receipt.empty());
  EXPECT_EQ(seen.at(1).receive_count, 0u);
  EXPECT_EQ(bodies(t.queues().peek({.queue = "plain", .limit = kAll}).value()), (Bodies{"a", "b", "c"}));
  EXPECT_EQ(receive_bodies(queue), (Bodies{"b", "c"}));
}

void reopening_keeps_queues_messages_leases_and_stamps(Trial& t) {
  Stamp last = 0;
  std::string receipt;
  {
    auto queue = t.queue("kept", {.kind = QueueKind::kStandard, .max_receives = 0});
    send(queue, "leased");
    send(queue, "acked");
    auto delayed = outgoing("delayed");
    delayed.delay = Milliseconds(10'000);
    queue.send(delayed).value();
    const auto got = receive(queue);
    ASSERT_EQ(got.size(), 2u);
    receipt = got[0].receipt;
    queue.ack(got[1], Outcome::kStale).value();
    last = send(queue, "ready").stamp;
  }
  t.clock().advance(Milliseconds(-3'600'000));  // a clock that is wrong after the restart must not give old stamps again
  t.reopen();
  t.clock().advance(Milliseconds(3'600'000));
  ASSERT_EQ(t.queues().list().value().size(), 1u);
  Queue queue(t.stores().queues, "kept");
  expect_ledger_adds_up(queue);
  const auto stats = queue.stats().value();
  expect_accepted(queue, 4);
  EXPECT_EQ(stats.in_flight, 1u);
  EXPECT_EQ(stats.delayed, 1u);
  expect_count(queue, Outcome::kStale, 1);
  EXPECT_GT(send(queue, "new").stamp, last);
  EXPECT_EQ(receive_bodies(queue), (Bodies{"ready", "new"}));
  Message leased;
  leased.receipt = receipt;
  queue.ack(leased).value();
  t.clock().advance(Milliseconds(10'000));
  EXPECT_EQ(receive_bodies(queue), Bodies{"delayed"});
}

void a_second_opening_shares_the_queues(Trial& t) {
  auto queue = t.plain_queue("shared");
  const auto second = t.share();
  Queue other(second.queues, "shared");
  const auto first = send(queue, "from one");
  const auto next = send(other, "from other");
  EXPECT_GT(next.stamp, first.stamp);
  const auto got = receive(other);
  EXPECT_EQ(bodies(got), (Bodies{"from one", "from other"}));
  EXPECT_EQ(receive_bodies(queue), Bodies{}) << "leased by the other";
  queue.ack(got.at(0)).value();
  EXPECT_EQ(refusal(other.ack(got.at(0))), ErrorCode::kLeaseLost);
  expect_ledger_adds_up(queue);
  expect_ledger_adds_up(other);
}

const std::array kCases{
    Case{"makes_lists_and_removes_queues", makes_lists_and_removes_queues},
    Case{"refuses_bad_names_and_options", refuses_bad_names_and_options},
    Case{"making_a_queue_again_replaces_options_but_never_the_kind", making_a_queue_again_replaces_options_but_never_the_kind},
    Case{"every_verb_on_a_missing_queue_answers_not_found", every_verb_on_a_missing_queue_answers_not_found},
    Case{"removing_a_queue_removes_all_it_holds_and_nothing_else", removing_a_queue_removes_all_it_holds_and_nothing_else},
    Case{"fifty_queues_do_not_see_each_others_messages", fifty_queues_do_not_see_each_others_messages},
    Case{"gives_back_exactly_what_was_sent", gives_back_exactly_what_was_sent},
    Case{"delivers_oldest_first", delivers_oldest_first},
    Case{"a_batch_limit_in_bytes_still_gives_one_message", a_batch_limit_in_bytes_still_gives_one_message},
    Case{"an_empty_batch_is_no_error", an_empty_batch_is_no_error},
    Case{"an_empty_body_is_a_message", an_empty_body_is_a_message},
    Case{"one_bad_entry_of_a_batch_leaves_the_others", one_bad_entry_of_a_batch_leaves_the_others},
    Case{"attributes_count_towards_the_size_of_a_message", attributes_count_towards_the_size_of_a_message},
    Case{"stamps_rise_strictly_even_when_the_clock_steps_back", stamps_rise_strictly_even_when_the_clock_steps_back, {&Deviations::stamps}},
    Case{"a_dedup_id_is_accepted_once_within_its_window", a_dedup_id_is_accepted_once_within_its_window, {&Deviations::dedup}},
    Case{"a_dedup_id_counts_within_one_batch_and_one_queue_only",
         a_dedup_id_counts_within_one_batch_and_one_queue_only,
         {&Deviations::dedup}},
    Case{"equal_bodies_without_a_dedup_id_are_all_accepted", equal_bodies_without_a_dedup_id_are_all_accepted},
    Case{"a_dedup_window_of_zero_never_deduplicates", a_dedup_window_of_zero_never_deduplicates, {&Deviations::dedup}},
    Case{"a_delay_hides_a_new_message_until_it_is_over", a_delay_hides_a_new_message_until_it_is_over, {&Deviations::delay}},
    Case{"peek_shows_unfinished_messages_without_leasing_them", peek_shows_unfinished_messages_without_leasing_them},
    Case{"reopening_keeps_queues_messages_leases_and_stamps",
         reopening_keeps_queues_messages_leases_and_stamps,
         {&Deviations::stamps, &Deviations::delay},
         Needs::kReopen},
    Case{"a_second_opening_shares_the_queues", a_second_opening_shares_the_queues, {&Deviations::stamps}, Needs::kShare},
};

}  // namespace

Cases queue_basic_cases() { return kCases; }

}  // namespace setget::inline v0::testing::detail
