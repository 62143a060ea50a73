#include <algorithm>
#include <atomic>
#include <thread>

#include "support.hpp"

#include <setget/testing/forwarding.hpp>

namespace {

using namespace setget_test;

// A store that cannot settle in one step with the queue, like one on another server.
class Unfused final : public setget::testing::ForwardingKeyStore {
 public:
  using ForwardingKeyStore::ForwardingKeyStore;
  FusedStore* fused_with(QueueBackend&) override { return nullptr; }
};

// Everything holds with and without a fused store.
class WorkerPaths : public ::testing::TestWithParam<bool> {
 protected:
  bool fused() const { return GetParam(); }
  const char* apply_verb() const { return fused() ? "apply_and_settle" : "apply"; }
  void arrange(World& world) const {
    if (!fused()) world.key_store = KeyStore(std::make_shared<Unfused>(world.key_store.backend()));
  }
};
INSTANTIATE_TEST_SUITE_P(Worker, WorkerPaths, ::testing::Values(true, false),
                         [](const auto& tested) { return tested.param ? "fused" : "apply_then_ack"; });

TEST_P(WorkerPaths, makes_accepted_records_readable_under_every_key) {
  World world({}, flows_with_default(Ttl::after(days(7))));
  arrange(world);
  const auto receipt = world.ingress()->set(request("x", {"a", "b"})).value();
  auto worker = world.worker();
  EXPECT_EQ(worker->run_once().value(), 1u);
  EXPECT_EQ(world.get("a").value().id, "x");
  EXPECT_EQ(world.get("b").value().expires_at, world.clock->now() + days(7));
  EXPECT_EQ(world.plain_queue.backend()->find({.message_id = receipt.message_id}).value().outcome, Outcome::kApplied);
  EXPECT_EQ(worker->stats().applied, 1u);
  world.expect_ledger_adds_up();
}

TEST_P(WorkerPaths, a_life_counts_from_acceptance_however_late_the_message_is_applied) {
  World world({}, flows_with_default(Ttl::after(days(7))));
  arrange(world);
  const auto accepted = world.clock->now();
  ASSERT_TRUE(world.ingress()->set(request("x", {"a"})));
  world.store_faults->add({.verb = apply_verb(), .code = ErrorCode::kUnavailable});
  auto worker = world.worker();
  EXPECT_EQ(worker->run_once().value(), 1u);
  world.clock->advance(days(2));
  drain(*worker);
  EXPECT_EQ(world.get("a").value().expires_at, accepted + days(7));
}

TEST_P(WorkerPaths, a_lost_reply_of_the_store_ends_as_a_duplicate_and_never_twice) {
  World world;
  arrange(world);
  ASSERT_TRUE(world.ingress()->set(request("x", {"a"})));
  world.store_faults->add({.verb = apply_verb(), .kind = FaultKind::kLoseReply});
  auto worker = world.worker();
  EXPECT_EQ(worker->run_once().value(), 1u);
  world.clock->advance(std::chrono::minutes(2));
  drain(*worker);
  const auto stats = world.stats();
  EXPECT_EQ(stats.depth + stats.in_flight + stats.delayed, 0u);
  EXPECT_EQ(stats.outcomes[static_cast<int>(Outcome::kApplied)] + stats.outcomes[static_cast<int>(Outcome::kDuplicate)], 1u);
  EXPECT_TRUE(world.get("a"));
  world.expect_ledger_adds_up();
}

TEST_P(WorkerPaths, an_outage_of_the_store_burns_no_receives) {
  QueueOptions options;
  options.max_receives = 2;
  World world(options);
  arrange(world);
  ASSERT_TRUE(world.ingress()->set(request("x", {"a"})));
  world.store_faults->add({.verb = apply_verb(), .times = 20, .code = ErrorCode::kUnavailable});
  auto worker = world.worker();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(worker->run_once().value(), 1u) << i;
    EXPECT_FALSE(world.get("a"));
    world.clock->advance(std::chrono::minutes(2));
  }
  EXPECT_EQ(worker->run_once().value(), 1u);
  EXPECT_TRUE(world.get("a"));
  EXPECT_EQ(worker->stats().retried, 20u);
  EXPECT_EQ(world.stats().dead_letters, 0u);
}

TEST_P(WorkerPaths, an_outage_of_the_store_burns_no_receives_of_a_group_and_keeps_its_order) {
  QueueOptions options;
  options.max_receives = 2;
  World world(options);
  arrange(world);
  auto ingress = world.ingress();
  for (const auto* payload : {"1", "2", "3", "4"}) ASSERT_TRUE(ingress->set(request("x", {"a"}, payload)));
  world.store_faults->add({.verb = apply_verb(), .times = 20, .code = ErrorCode::kUnavailable});
  auto worker = world.worker();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(worker->run_once().value(), 4u) << i;
    world.clock->advance(std::chrono::minutes(2));
  }
  const auto waiting = world.plain_queue.backend()->peek({.queue = "records"}).value();
  ASSERT_EQ(waiting.size(), 4u);
  for (const auto& message : waiting) EXPECT_EQ(message.receive_count, 0u);
  EXPECT_EQ(worker->run_once().value(), 4u);
  EXPECT_EQ(world.get("a").value().payload.view(), "4");
  EXPECT_EQ(worker->stats().applied, 4u);
  EXPECT_EQ(worker->stats().lease_lost, 0u);
  EXPECT_EQ(world.stats().dead_letters, 0u);
  world.expect_ledger_adds_up();
}

// Here the store refuses one entry after the other, and not the call.
TEST_P(WorkerPaths, a_full_outbox_burns_no_receives_of_a_group_and_keeps_its_order) {
  QueueOptions options;
  options.max_receives = 2;
  Flows flows;
  flows.flows["orders"].history = true;
  World world(options, flows, {.outbox_states = 1});
  arrange(world);
  auto ingress = world.ingress();
  for (const auto* payload : {"1", "2", "3", "4"}) ASSERT_TRUE(ingress->set(request("x", {"a"}, payload)));
  auto worker = world.worker();
  EXPECT_EQ(worker->run_once().value(), 4u);
  for (int i = 0; i < 10; ++i) {
    world.clock->advance(std::chrono::minutes(2));
    EXPECT_EQ(worker->run_once().value(), 3u) << i;
  }
  EXPECT_EQ(world.get("a").value().payload.view(), "1");
  auto& store = *world.key_store.backend();
  for (std::size_t i = 0; i < 3; ++i) {
    const auto state = store.history({}).value().states.at(0);
    const OutboxPlace archived{.part = state.part, .position = state.position};
    ASSERT_TRUE(store.confirm_history(std::span(&archived, 1)));
    world.clock->advance(std::chrono::minutes(2));
    EXPECT_EQ(worker->run_once().value(), 3 - i);
  }
  EXPECT_EQ(world.get("a").value().payload.view(), "4");
  EXPECT_EQ(worker->stats().applied, 4u);
  EXPECT_EQ(worker->stats().lease_lost, 0u);
  EXPECT_EQ(world.stats().dead_letters, 0u);
  world.expect_ledger_adds_up();
}

// The second is poison, and ends as that; the outage is the fate of the one before it and of the one behind it, but not their fault.
TEST_P(WorkerPaths, an_outage_around_a_poison_message_burns_no_receives_of_its_group) {
  QueueOptions options;
  options.max_receives = 3;
  World world(options);
  arrange(world);
  auto ingress = world.ingress();
  for (const auto* payload : {"1", "2", "3"}) ASSERT_TRUE(ingress->set(request("x", {"a"}, payload)));
  world.store_faults->add({.verb = apply_verb(), .times = 10, .code = ErrorCode::kUnavailable});
  auto worker_options = world.worker_options();
  worker_options.transform = [](Command command, const Message&) -> Result<Command> {
    if (command.payload.view() == "2") return Error(ErrorCode::kDeadlineExceeded, "too slow");
    return command;
  };
  auto worker = Worker::create(std::move(worker_options)).value();
  for (int i = 0; i < 12; ++i) {
    EXPECT_GE(worker->run_once().value(), i < 10 ? 2u : 0u) << i;
    world.clock->advance(std::chrono::minutes(2));
  }
  drain(*worker);
  EXPECT_EQ(world.get("a").value().payload.view(), "3");
  EXPECT_EQ(worker->stats().applied, 2u);
  EXPECT_EQ(worker->stats().lease_lost, 0u);
  EXPECT_EQ(world.stats().dead_letters, 1u);
}

TEST_P(WorkerPaths, work_goes_on_soon_after_the_end_of_a_long_outage) {
  World world;
  arrange(world);
  world.store_faults->add({.verb = apply_verb(), .times = 20, .code = ErrorCode::kUnavailable});
  auto worker = world.worker();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(world.ingress()->set(request(std::to_string(i), {"a" + std::to_string(i)})));
    EXPECT_GE(worker->run_once().value(), 1u) << i;
    world.clock->advance(std::chrono::minutes(2));
  }
  // Each of the 20 has been through the outage since, with one more failure than the one before.
  world.store_faults->add({.verb = apply_verb(), .code = ErrorCode::kUnavailable});
  EXPECT_EQ(worker->run_once().value(), 20u);
  world.clock->advance(Backoff{}.outage_cap);
  EXPECT_EQ(worker->run_once().value(), 20u);
  EXPECT_EQ(worker->stats().applied, 20u);
}

TEST_P(WorkerPaths, an_error_that_may_be_the_messages_doing_ends_as_a_dead_letter) {
  QueueOptions options;
  options.max_receives = 3;
  World world(options);
  arrange(world);
  ASSERT_TRUE(world.ingress()->set(request("x", {"a"})));
  world.store_faults->add({.verb = apply_verb(), .times = 0, .code = ErrorCode::kInternal});
  auto worker = world.worker();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(worker->run_once());
    world.clock->advance(std::chrono::minutes(2));
  }
  EXPECT_EQ(world.stats().dead_letters, 1u);
  world.expect_ledger_adds_up();
}

TEST_P(WorkerPaths, a_bad_message_never_holds_up_the_good_ones_of_its_batch) {
  World world;
  arrange(world);
  ASSERT_TRUE(world.ingress()->set(request("x", {"a"})));
  ASSERT_TRUE(world.plain_queue.send(OutgoingMessage{.body = "garbage", .attributes = {}, .group = {}, .dedup_id = {}, .delay = {}}));
  ASSERT_TRUE(world.ingress()->set(request("y", {"b"})));
  auto worker = world.worker();
  EXPECT_EQ(worker->run_once().value(), 3u);
  EXPECT_TRUE(world.get("a"));
  EXPECT_TRUE(world.get("b"));
  EXPECT_EQ(worker->stats().dead_lettered, 1u);
  const auto letters = world.plain_queue.backend()->dead_letters({.queue = "records", .filter = {}, .cursor = {}}).value().letters;
  ASSERT_EQ(letters.size(), 1u);
  EXPECT_EQ(letters[0].body.view(), "garbage");
  EXPECT_EQ(letters[0].receive_count, 1u);
}

TEST_P(WorkerPaths, releases_what_follows_a_failed_message_of_its_group_and_keeps_the_order) {
  World world;
  arrange(world);
  auto ingress = world.ingress();
  for (const auto* payload : {R"("first")", R"("second")", R"("third")"}) ASSERT_TRUE(ingress->set(request("x", {"a"}, payload)));
  ASSERT_TRUE(ingress->set(request("other", {"b"})));
  auto options = world.worker_options();
  std::vector<std::string> seen;
  bool fail = true;
  options.transform = [&](Command command, const Message&) -> Result<Command> {
    seen.push_back(command.payload.str());
    if (std::exchange(fail, false)) return Error(ErrorCode::kUnavailable, "not yet");
    return command;
  };
  auto worker = Worker::create(std::move(options)).value();
  EXPECT_EQ(worker->run_once().value(), 4u);
  EXPECT_FALSE(world.get("a"));
  EXPECT_TRUE(world.get("b"));
  world.clock->advance(std::chrono::minutes(2));
  drain(*worker);
  EXPECT_EQ(seen, (std::vector<std::string>{R"("first")", R"({"n":1})", R"("first")", R"("second")", R"("third")"}));
  EXPECT_EQ(world.get("a").value().payload.view(), R"("third")");
  EXPECT_EQ(worker->stats().applied, 4u);
  EXPECT_EQ(worker->stats().stale, 0u);
  EXPECT_EQ(worker->stats().lease_lost, 0u);
}

TEST_P(WorkerPaths, the_followers_of_a_poison_message_do_not_share_its_fate) {
  QueueOptions options;
  options.max_receives = 3;
  World world(options);
  arrange(world);
  auto ingress = world.ingress();
  ASSERT_TRUE(ingress->set(request("x", {"a"}, R"("poison")")));
  ASSERT_TRUE(ingress->set(request("x", {"a"}, R"("good")")));
  auto worker_options = world.worker_options();
  worker_options.transform = [](Command command, const Message&) -> Result<Command> {
    if (command.payload.view() == R"("poison")") return Error(ErrorCode::kDeadlineExceeded, "too slow");
    return command;
  };
  auto worker = Worker::create(std::move(worker_options)).value();
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(worker->run_once());
    world.clock->advance(std::chrono::minutes(2));
  }
  EXPECT_EQ(world.stats().dead_letters, 1u);
  EXPECT_EQ(world.get("a").value().payload.view(), R"("good")");
}

TEST_P(WorkerPaths, a_lease_that_was_lost_decides_nothing) {
  World world;
  arrange(world);
  ASSERT_TRUE(world.ingress()->set(request("x", {"a"})));
  auto options = world.worker_options();
  // The first try outlives its lease; meanwhile another worker takes the message and finishes it.
  auto second = world.worker();
  bool first_try = true;
  options.transform = [&](Command command, const Message&) -> Result<Command> {
    if (std::exchange(first_try, false)) {
      world.clock->advance(std::chrono::minutes(1));
      EXPECT_EQ(second->run_once().value(), 1u);
    }
    return command;
  };
  auto first = Worker::create(std::move(options)).value();
  EXPECT_EQ(first->run_once().value(), 1u);
  EXPECT_EQ(first->stats().lease_lost, 1u);
  EXPECT_EQ(first->stats().applied, 0u);
  EXPECT_EQ(second->stats().applied, 1u);
  EXPECT_EQ(world.stats().outcomes[static_cast<int>(Outcome::kApplied)], 1u);
  world.expect_ledger_adds_up();
}

TEST_P(WorkerPaths, extends_the_leases_of_a_batch_that_is_worked_on_for_long_on_the_hosts_own_thread) {
  World world;
  arrange(world);
  auto ingress = world.ingress();
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(ingress->set(request("r" + std::to_string(i), {"k" + std::to_string(i)})));
  auto options = world.worker_options();
  options.transform = [&](Command command, const Message&) -> Result<Command> {
    world.clock->advance(std::chrono::seconds(14));  // eight of them are far more than the lease of 30 s
    return command;
  };
  auto worker = Worker::create(std::move(options)).value();
  EXPECT_EQ(worker->run_once().value(), 8u);
  EXPECT_EQ(worker->stats().applied, 8u);
  EXPECT_EQ(worker->stats().lease_lost, 0u);
}

TEST_P(WorkerPaths, settles_a_whole_batch_in_one_call) {
  World world;
  arrange(world);
  std::vector<SetRequest> batch;
  for (int i = 0; i < 100; ++i) batch.push_back(request("", {"k" + std::to_string(i)}));
  ASSERT_TRUE(world.ingress()->set(std::move(batch)));
  auto worker = world.worker();
  EXPECT_EQ(worker->run_once().value(), 100u);
  EXPECT_EQ(world.store_faults->calls(apply_verb()), 1u);
  EXPECT_EQ(world.queue_faults->calls("settle"), fused() ? 0u : 1u);
}

TEST(Worker, refuses_a_store_that_is_weaker_than_the_queue) {
  struct Durable final : setget::testing::ForwardingQueue {
    using ForwardingQueue::ForwardingQueue;
    QueueCapabilities capabilities() const override {
      auto found = ForwardingQueue::capabilities();
      found.durability = Durability::kDisk;
      return found;
    }
  };
  World world;
  auto options = world.worker_options();
  options.queue = Queue(std::make_shared<Durable>(world.plain_queue.backend()), "records");
  const auto made = Worker::create(options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), ErrorCode::kFailedPrecondition);
}

TEST(Worker, its_threads_work_off_what_comes_and_flush_waits_for_all_of_it) {
  World world;
  auto options = world.worker_options();
  options.threads = 2;
  options.batch_messages = 7;
  auto worker = Worker::create(std::move(options)).value();
  ASSERT_TRUE(worker->start());
  ASSERT_TRUE(worker->start());  // idempotent
  auto ingress = world.ingress();
  std::vector<std::thread> producers;
  for (int p = 0; p < 4; ++p) {
    producers.emplace_back([&, p] {
      for (int i = 0; i < 50; ++i) ASSERT_TRUE(ingress->set(request("", {std::to_string(p) + "/" + std::to_string(i)})));
    });
  }
  for (auto& producer : producers) producer.join();
  ASSERT_TRUE(worker->flush(patience()));
  for (int p = 0; p < 4; ++p) {
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(world.get(std::to_string(p) + "/" + std::to_string(i)));
  }
  EXPECT_EQ(worker->stop(patience()).value(), 0u);
  EXPECT_EQ(worker->stats().applied, 200u);
  world.expect_ledger_adds_up();
}

TEST(Worker, works_without_prefetching_too) {
  World world;
  auto options = world.worker_options();
  options.prefetch_batches = 0;
  options.threads = 2;
  auto worker = Worker::create(std::move(options)).value();
  ASSERT_TRUE(worker->start());
  auto ingress = world.ingress();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(ingress->set(request("", {std::to_string(i)})));
  ASSERT_TRUE(worker->flush(patience()));
  EXPECT_EQ(worker->stats().applied, 20u);
  EXPECT_EQ(worker->stop(patience()).value(), 0u);
}

TEST(Worker, extends_the_leases_of_prefetched_batches_while_the_store_is_stuck) {
  QueueOptions queue;
  queue.visibility_timeout = Milliseconds(40);
  World world(queue);
  auto gate = std::make_shared<Gate>();
  world.store_faults->add({.verb = "apply_and_settle", .kind = FaultKind::kStall, .gate = gate});
  auto ingress = world.ingress();
  ASSERT_TRUE(ingress->set(request("a", {"a"})));
  auto options = world.worker_options();
  options.batch_messages = 1;
  auto worker = Worker::create(std::move(options)).value();
  ASSERT_TRUE(worker->start());
  ASSERT_TRUE(gate->wait_for_callers(1, patience()));
  ASSERT_TRUE(ingress->set(request("b", {"b"})));
  while (world.stats().in_flight < 2) std::this_thread::yield();
  // Ten lease lengths, each half only begun when both leases were extended in the half before.
  const auto both_extended = [&] {
    const auto messages = world.plain_queue.backend()->peek({.queue = "records"}).value();
    return std::ranges::all_of(messages, [&](const Message& m) { return m.visible_at == world.clock->now() + Milliseconds(40); });
  };
  for (int i = 0; i < 20; ++i) {
    world.clock->advance(Milliseconds(20));
    while (!both_extended()) std::this_thread::yield();
  }
  gate->open();
  ASSERT_TRUE(worker->flush(patience()));
  EXPECT_EQ(worker->stats().received, 2u);
  EXPECT_EQ(worker->stats().applied, 2u);
  EXPECT_EQ(worker->stats().lease_lost, 0u);
  EXPECT_EQ(worker->stop(patience()).value(), 0u);
}

TEST(Worker, stop_gives_untried_messages_back_without_burning_their_receives) {
  World world;
  auto gate = std::make_shared<Gate>();
  world.store_faults->add({.verb = "apply_and_settle", .kind = FaultKind::kStall, .gate = gate});
  auto ingress = world.ingress();
  for (const auto* id : {"a", "b"}) ASSERT_TRUE(ingress->set(request(id, {id})));
  auto options = world.worker_options();
  options.batch_messages = 1;
  auto worker = Worker::create(std::move(options)).value();
  ASSERT_TRUE(worker->start());
  ASSERT_TRUE(gate->wait_for_callers(1, patience()));
  while (world.stats().in_flight < 2) std::this_thread::yield();
  // The store hangs: stop is over at its deadline and says what it had to leave.
  EXPECT_EQ(worker->stop(Deadline::in(Milliseconds(3'000))).value(), 1u);
  gate->open();
  EXPECT_EQ(worker->stop(patience()).value(), 0u);
  EXPECT_TRUE(world.get("a"));
  const auto left = world.plain_queue.receive(10).value();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].receive_count, 1u);
  EXPECT_EQ(worker->run_once().error().code(), ErrorCode::kCancelled);
}

TEST(Worker, flush_gives_up_at_its_deadline_and_returns_when_only_retries_are_left) {
  World world;
  auto gate = std::make_shared<Gate>();
  world.store_faults->add({.verb = "apply_and_settle", .kind = FaultKind::kStall, .gate = gate});
  world.store_faults->add({.verb = "apply_and_settle", .times = 0, .code = ErrorCode::kUnavailable});
  ASSERT_TRUE(world.ingress()->set(request("a", {"a"})));
  auto worker = world.worker();
  ASSERT_TRUE(worker->start());
  ASSERT_TRUE(gate->wait_for_callers(1, patience()));
  EXPECT_EQ(worker->flush(Deadline::in(Milliseconds(20))).error().code(), ErrorCode::kDeadlineExceeded);
  gate->open();
  EXPECT_TRUE(worker->flush(patience()));
  EXPECT_EQ(worker->stop(patience()).value(), 0u);
}

TEST(Worker, goes_on_after_the_queue_could_not_be_read) {
  World world;
  world.queue_faults->add({.verb = "receive", .times = 3});
  auto options = world.worker_options();
  options.backoff = {.base = Milliseconds(1), .cap = Milliseconds(2)};
  auto worker = Worker::create(std::move(options)).value();
  ASSERT_TRUE(worker->start());
  const auto receipt = world.ingress()->set(request("a", {"a"})).value();
  EXPECT_EQ(world.plain_queue.backend()->find({.message_id = receipt.message_id, .wait = patience()}).value().outcome, Outcome::kApplied);
  EXPECT_EQ(worker->stop(patience()).value(), 0u);
}

TEST(Worker, several_host_threads_may_run_rounds_at_once) {
  World world;
  auto ingress = world.ingress();
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(ingress->set(request("", {std::to_string(i)})));
  auto options = world.worker_options();
  options.batch_messages = 5;
  auto worker = Worker::create(std::move(options)).value();
  std::vector<std::thread> hosts;
  for (int i = 0; i < 4; ++i) hosts.emplace_back([&] { drain(*worker); });
  for (auto& host : hosts) host.join();
  EXPECT_EQ(worker->stats().applied, 200u);
}

// As where queues of several hosts feed one store, which waits for none of them; or after an archive run, which holds the floor back no
// longer than that.
TEST(Worker, keeps_a_set_that_is_older_than_what_the_store_remembers_until_it_is_redriven_with_a_fresh_stamp) {
  World world;
  world.key_store = world.open({}).key_store();
  const auto ingress = world.ingress();
  const auto worker = world.worker();
  ingress->set(request("late", {"late/1"}, R"({"kept":true})")).value();
  world.clock->advance(Milliseconds(10'000));
  world.key_store.backend()->reclaim({.now = world.clock->now(), .floor = stamp_at(world.clock->now())}).value();
  const auto redrive = [&](bool restamp) {
    return world.plain_queue.backend()->redrive({.queue = world.plain_queue.name(), .filter = {}, .restamp = restamp}).value();
  };
  for (int i = 0; i < 2; ++i) {
    drain(*worker);
    EXPECT_FALSE(world.get("late/1"));
    const auto letters = world.plain_queue.backend()->dead_letters({.queue = world.plain_queue.name()}).value().letters;
    ASSERT_EQ(letters.size(), 1u);
    EXPECT_EQ(letters[0].reasons.at(0).code, "below_floor");
    world.expect_ledger_adds_up();
    EXPECT_EQ(redrive(i == 1), 1u);
  }
  drain(*worker);
  ASSERT_TRUE(world.get("late/1"));
  EXPECT_EQ(world.get("late/1")->payload.view(), R"({"kept":true})");
}

}  // namespace
