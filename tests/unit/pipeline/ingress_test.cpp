#include <thread>

#include "core/hlc.hpp"
#include "pipeline/flow_gate.hpp"
#include "support.hpp"

#include <setget/testing/forwarding.hpp>

namespace {

using namespace setget_test;

std::vector<std::string> codes(const Error& error) {
  std::vector<std::string> found;
  for (const auto& reason : error.reasons()) found.push_back(reason.code);
  return found;
}

Command only_command(World& world) {
  auto messages = world.plain_queue.receive(10).value();
  EXPECT_EQ(messages.size(), 1u);
  return decode_command(messages.front().body).value();
}

TEST(Ingress, puts_the_command_into_the_queue_before_it_answers) {
  World world;
  auto receipt = world.ingress()->set(request("order-42", {"order/42", "crm/9"})).value();
  const auto message = world.plain_queue.receive(10).value().at(0);
  EXPECT_EQ(message.message_id, receipt.message_id);
  EXPECT_EQ(receipt.id, "order-42");
  EXPECT_EQ(receipt.version, message.stamp);
  const auto command = decode_command(message.body).value();
  EXPECT_EQ(command.keys, (KeyList{"order/42", "crm/9"}));
  EXPECT_EQ(command.payload.view(), R"({"n":1})");
}

TEST(Ingress, gives_a_fresh_id_and_no_group_to_a_set_without_one_and_the_identity_as_group_to_the_others) {
  World world;
  auto ingress = world.ingress();
  const auto fresh = ingress->set(request("", {"k"})).value();
  auto mine = request("mine", {"k"});
  mine.ns = "tenant";
  ASSERT_TRUE(ingress->set(mine));
  const auto messages = world.plain_queue.receive(10).value();
  ASSERT_EQ(messages.size(), 2u);
  EXPECT_EQ(fresh.id.size(), 26u);
  EXPECT_EQ(messages[0].group, "");
  EXPECT_EQ(messages[1].group, "tenant\x1fmine");
}

TEST(Ingress, makes_fresh_ids_of_the_clock_and_the_chance_that_were_given) {
  const auto fresh_id = [](TimePoint now) {
    World world;
    world.clock->set(now);
    world.random = std::make_shared<SeededRandom>(42);
    return world.ingress()->set(request("", {"k"})).value().id;
  };
  const TimePoint then(Milliseconds(1'234'567'890'123));
  const auto first = fresh_id(then);
  // Within one millisecond ids are counted on; at another time they are drawn.
  const auto later = fresh_id(then + Milliseconds(1));
  EXPECT_EQ(fresh_id(then), first);
  EXPECT_NE(later, first);
  constexpr std::string_view digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::int64_t ms = 0;
  for (const char digit : first.substr(0, 10)) ms = ms << 5 | static_cast<std::int64_t>(digits.find(digit));
  EXPECT_EQ(ms, then.time_since_epoch().count());
}

TEST(Ingress, names_every_violation_of_a_request_and_queues_nothing) {
  World world;
  auto bad = request("x", {});
  bad.payload = R"({"a":)";
  bad.ttl = Ttl::after(Milliseconds(-1));
  const auto refused = world.ingress()->set(bad);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kInvalidArgument);
  EXPECT_GE(refused.error().reasons().size(), 3u);
  EXPECT_EQ(world.stats().accepted, 0u);
}

TEST(Ingress, sends_the_good_ones_of_a_batch_in_one_call_and_answers_in_order) {
  World world;
  std::vector<SetRequest> batch{request("a", {"a"}), request("b", {}), request("c", {"c"})};
  auto results = world.ingress()->set(std::move(batch)).value();
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].value().id, "a");
  EXPECT_FALSE(results[1]);
  EXPECT_EQ(results[2].value().id, "c");
  EXPECT_LT(results[0]->version, results[2]->version);
  EXPECT_EQ(world.queue_faults->calls("send"), 1u);
}

TEST(Ingress, holds_a_flow_to_its_versions_mode) {
  Flows flows;
  flows.flows["orders"].versions = VersionMode::kAssigned;
  flows.accounts["acme"].flows["invoices"].versions = VersionMode::kCaller;
  World world({}, flows);
  auto ingress = world.ingress();
  auto versioned = request("x", {"k"});
  versioned.version = 7;
  EXPECT_EQ(codes(ingress->set(versioned).error()), std::vector<std::string>{"version_not_allowed"});
  versioned.flow = "invoices";
  EXPECT_EQ(ingress->set(versioned).value().version, 7u);
  versioned.version.reset();
  EXPECT_EQ(codes(ingress->set(versioned).error()), std::vector<std::string>{"version_missing"});
}

TEST(Ingress, makes_each_account_a_namespace_where_accounts_are_isolated) {
  Flows flows;
  flows.isolate_accounts = true;
  World world({}, flows);
  auto ingress = world.ingress();
  ASSERT_TRUE(ingress->set(request("x", {"k"})));
  EXPECT_EQ(only_command(world).ns, "acme");
  auto foreign = request("x", {"k"});
  foreign.ns = "other";
  EXPECT_EQ(codes(ingress->set(foreign).error()), std::vector<std::string>{"account_not_allowed"});
  EXPECT_EQ(codes(ingress->erase({.key = "k"}).error()), std::vector<std::string>{"namespace_missing"});
}

TEST(Ingress, erases_by_id_or_by_key_but_not_both) {
  World world;
  auto ingress = world.ingress();
  EXPECT_EQ(codes(ingress->erase({.id = "a", .key = "b"}).error()), std::vector<std::string>{"id_or_key"});
  EXPECT_FALSE(ingress->erase({}));
  const auto by_key = ingress->erase({.key = "b"}).value();
  EXPECT_EQ(by_key.version, 0u);
  EXPECT_TRUE(by_key.id.empty());
  EXPECT_EQ(only_command(world).kind, CommandKind::kEraseKey);
}

TEST(Ingress, carries_a_valid_traceparent_replaces_an_invalid_one_and_adds_none) {
  World world;
  auto ingress = world.ingress();
  const std::string valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  for (const auto& text : {valid, std::string("nonsense"), std::string()}) {
    auto traced = request("", {"k"});
    traced.traceparent = text;
    ASSERT_TRUE(ingress->set(traced));
  }
  const auto messages = world.plain_queue.receive(10).value();
  EXPECT_EQ(messages.at(0).attributes.find(kTraceparentAttribute)->second.data, valid);
  const auto replaced = messages.at(1).attributes.find(kTraceparentAttribute)->second.data;
  EXPECT_EQ(replaced.size(), valid.size());
  EXPECT_TRUE(messages.at(2).attributes.empty());
}

TEST(Ingress, answers_a_deduplicated_request_with_the_earlier_record) {
  World world;
  auto ingress = world.ingress();
  auto first = request("", {"k"});
  first.dedup_id = "upload-1";
  auto second = first;
  const auto made = ingress->set(first).value();
  const auto again = ingress->set(second).value();
  EXPECT_TRUE(again.deduplicated);
  EXPECT_EQ(again.message_id, made.message_id);
  EXPECT_EQ(again.id, made.id);
  EXPECT_EQ(again.version, made.version);
  auto other_tenant = request("", {"k"});
  other_tenant.dedup_id = "upload-1";
  other_tenant.ns = "tenant";
  EXPECT_FALSE(ingress->set(other_tenant).value().deduplicated);
}

// The queue has let the message go by then, and only knows that there was one.
TEST(Ingress, answers_a_deduplicated_request_that_is_finished_with_the_version_that_it_named) {
  World world;
  world.key_store = world.open({}).key_store();
  const auto ingress = world.ingress();
  const auto worker = world.worker();
  auto wanted = request("a", {"k"});
  wanted.version = 7;
  wanted.dedup_id = "upload-1";
  EraseRequest by_key;
  by_key.key = "k";
  by_key.dedup_id = "erase-1";
  ingress->set(wanted).value();
  ingress->erase(by_key).value();
  drain(*worker);
  const auto again = ingress->set(wanted).value();
  EXPECT_TRUE(again.deduplicated);
  EXPECT_EQ(again.version, 7u);
  const auto erased = ingress->erase(by_key).value();
  EXPECT_TRUE(erased.deduplicated);
  EXPECT_EQ(erased.version, 0u);
}

TEST(Ingress, turns_an_exception_of_a_validator_into_an_error) {
  struct Throwing final : Validator {
    std::vector<Reason> validate(const Command&) const override { throw std::runtime_error("no luck"); }
  };
  World world;
  IngressOptions options;
  options.queue = world.queue;
  options.policy = world.policy;
  options.validator = std::make_shared<Throwing>();
  const auto refused = Ingress::create(std::move(options)).value()->set(request("x", {"k"}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kInternal);
  EXPECT_EQ(refused.error().source(), ErrorSource::kHost);
}

TEST(Ingress, refuses_everything_once_closed) {
  World world;
  auto ingress = world.ingress();
  ingress->close();
  EXPECT_EQ(ingress->set(request("x", {"k"})).error().code(), ErrorCode::kCancelled);
}

TEST(Ingress, bounds_what_waits_for_the_queue_and_blocks_or_refuses_as_asked) {
  World world;
  auto gate = std::make_shared<Gate>();
  world.queue_faults->add({.verb = "send", .kind = FaultKind::kStall, .gate = gate});
  IngressOptions options;
  options.queue = world.queue;
  options.policy = world.policy;
  options.max_waiting = 1;
  options.block_when_full = false;
  auto refusing = Ingress::create(options).value();
  std::thread first([&] { EXPECT_TRUE(refusing->set(request("a", {"a"}))); });
  EXPECT_TRUE(gate->wait_for_callers(1, patience()));
  EXPECT_EQ(refusing->set(request("b", {"b"})).error().code(), ErrorCode::kResourceExhausted);
  gate->open();
  first.join();

  gate = std::make_shared<Gate>();
  world.queue_faults->add({.verb = "send", .kind = FaultKind::kStall, .gate = gate});
  options.block_when_full = true;
  auto blocking = Ingress::create(options).value();
  std::thread second([&] { EXPECT_TRUE(blocking->set(request("c", {"c"}))); });
  EXPECT_TRUE(gate->wait_for_callers(1, patience()));
  EXPECT_EQ(blocking->set(request("d", {"d"}), Deadline::in(Milliseconds(20))).error().code(), ErrorCode::kDeadlineExceeded);
  std::thread third([&] { EXPECT_TRUE(blocking->set(request("e", {"e"}), patience())); });
  gate->open();
  second.join();
  third.join();
  EXPECT_EQ(world.stats().accepted, 3u);
}

TEST(FlowGate, admits_one_that_is_larger_than_everything_and_lets_nobody_overtake_it) {
  detail::FlowGate gate(10, 100);
  std::optional small(gate.enter(1, 60, patience(), true).value());
  std::atomic<int> order{0};
  int large_at = 0;
  int late_at = 0;
  std::thread large([&] {
    auto ticket = gate.enter(1, 1000, patience(), true).value();
    large_at = ++order;
  });
  // The large one waits: from now on even a small one must queue behind it.
  while (gate.enter(1, 1, Deadline::immediate(), false)) {
  }
  std::thread late([&] {
    auto ticket = gate.enter(1, 1, patience(), true).value();
    late_at = ++order;
  });
  small.reset();
  large.join();
  late.join();
  EXPECT_EQ(large_at, 1);
  EXPECT_EQ(late_at, 2);
}

TEST(FlowGate, wakes_everybody_when_it_closes) {
  detail::FlowGate gate(1, 1);
  auto inside = gate.enter(1, 1, patience(), true).value();
  std::thread waiting([&] { EXPECT_EQ(gate.enter(1, 1, patience(), true).error().code(), ErrorCode::kCancelled); });
  while (gate.enter(1, 1, Deadline::immediate(), false).error().code() != ErrorCode::kResourceExhausted) {
  }
  gate.close();
  waiting.join();
}

// A queue that gives no stamps, like Amazon SQS.
class Unstamped final : public setget::testing::ForwardingQueue {
 public:
  using ForwardingQueue::ForwardingQueue;
  QueueCapabilities capabilities() const override {
    auto found = ForwardingQueue::capabilities();
    found.stamps = false;
    return found;
  }
  Result<std::vector<Result<SentMessage>>> send(const SendMessages& sending) override {
    auto sent = ForwardingQueue::send(sending);
    if (sent) {
      for (auto& one : *sent) one->stamp = 0;
    }
    return sent;
  }
  Result<std::vector<Message>> receive(const ReceiveMessages& receiving) override {
    auto received = ForwardingQueue::receive(receiving);
    if (received) {
      for (auto& one : *received) one.stamp = 0;
    }
    return received;
  }
};

TEST(Ingress, stamps_for_a_queue_that_does_not_and_the_worker_takes_that_stamp) {
  World world;
  world.queue = Queue(std::make_shared<Unstamped>(world.plain_queue.backend()), "records");
  auto ingress = world.ingress();
  const auto first = ingress->set(request("x", {"k"}, R"("one")")).value();
  const auto second = ingress->set(request("x", {"k"}, R"("two")")).value();
  EXPECT_LT(first.version, second.version);
  EXPECT_EQ(time_of(first.version), world.clock->now());
  auto worker = world.worker();
  drain(*worker);
  EXPECT_EQ(world.get("k").value().version, second.version);
  EXPECT_EQ(world.get("k").value().created_at, world.clock->now());
}

TEST(Ingress, a_stamp_from_a_clock_that_is_far_ahead_is_a_dead_letter) {
  World world;
  world.queue = Queue(std::make_shared<Unstamped>(world.plain_queue.backend()), "records");
  auto ingress = world.ingress();
  world.clock->advance(detail::kHlcSkewBound + Milliseconds(1000));
  ASSERT_TRUE(ingress->set(request("x", {"k"})));
  world.clock->advance(-detail::kHlcSkewBound - Milliseconds(1000));
  auto worker = world.worker();
  drain(*worker);
  const auto letters = world.plain_queue.backend()->dead_letters({.queue = "records", .filter = {}, .cursor = {}}).value().letters;
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].reasons.at(0).code, "invalid_stamp");
}

}  // namespace
