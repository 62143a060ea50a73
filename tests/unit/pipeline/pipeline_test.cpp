#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "support.hpp"

#include <setget/testing/forwarding.hpp>

namespace {

using namespace setget_test;

TEST(Pipeline, takes_a_record_from_its_producer_to_its_reader_and_into_the_archive) {
  World world;
  auto pipeline = world.pipeline(flows_with_default(Ttl::after(days(30))));
  const auto receipt = pipeline->set(request("order-42", {"order/42", "crm/9"}, R"({"total":12})")).value();
  EXPECT_EQ(pipeline->wait(receipt, Deadline::immediate()).value().outcome, Outcome::kPending);
  drain(*pipeline);
  EXPECT_EQ(pipeline->wait(receipt, Deadline::immediate()).value().outcome, Outcome::kApplied);
  EXPECT_EQ(pipeline->get("crm/9").value().value().payload.view(), R"({"total":12})");
  EXPECT_EQ(pipeline->archiver()->run().value().written, 1u);
  EraseRequest erase;
  erase.key = "crm/9";
  ASSERT_TRUE(pipeline->erase(erase));
  drain(*pipeline);
  EXPECT_FALSE(pipeline->get("order/42").value());
}

TEST(Pipeline, refuses_a_queue_or_store_that_is_weaker_than_required) {
  World world;
  auto options = world.pipeline_options();
  options.durability = Durability::kDisk;
  const auto made = Pipeline::create(options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), ErrorCode::kFailedPrecondition);
  EXPECT_EQ(made.error().field(), "queue");
}

TEST(Pipeline, names_the_option_that_is_wrong) {
  World world;
  auto options = world.pipeline_options();
  options.archive_schedule = "every now and then";
  EXPECT_EQ(Pipeline::create(options).error().code(), ErrorCode::kInvalidArgument);
  options = world.pipeline_options();
  options.archive.reset();
  options.read_through = true;
  EXPECT_EQ(Pipeline::create(options).error().field(), "read_through");
  options = world.pipeline_options();
  options.key_store = KeyStore();
  EXPECT_EQ(Pipeline::create(options).error().field(), "key_store");
  for (const auto threads : {std::size_t{0}, std::size_t{1025}}) {
    options = world.pipeline_options();
    options.worker_threads = threads;
    EXPECT_EQ(Pipeline::create(options).error().field(), "worker_threads") << threads;
  }
}

TEST(Pipeline, its_threads_apply_what_is_set_and_stop_leaves_nothing_behind) {
  World world;
  auto options = world.pipeline_options();
  options.worker_threads = 2;
  auto pipeline = Pipeline::create(std::move(options)).value();
  ASSERT_TRUE(pipeline->start());
  std::vector<Receipt> receipts;
  for (int i = 0; i < 50; ++i) receipts.push_back(pipeline->set(request("", {std::to_string(i)})).value());
  for (const auto& receipt : receipts) EXPECT_EQ(pipeline->wait(receipt, patience()).value().outcome, Outcome::kApplied);
  ASSERT_TRUE(pipeline->flush(patience()));
  EXPECT_EQ(pipeline->stop(patience()).value().left_leased, 0u);
  EXPECT_EQ(pipeline->stop(patience()).value().left_leased, 0u);  // idempotent
  EXPECT_EQ(pipeline->set(request("", {"k"})).error().code(), ErrorCode::kCancelled);
  EXPECT_EQ(pipeline->run_once().error().code(), ErrorCode::kCancelled);
  EXPECT_TRUE(pipeline->get("7").value());
  EXPECT_FALSE(pipeline->start());
}

TEST(Pipeline, runs_the_archive_on_its_schedule_by_the_simulated_clock) {
  World world;
  auto pipeline = world.pipeline();
  ASSERT_TRUE(pipeline->set(request("x", {"k"})));
  drain(*pipeline);
  EXPECT_FALSE(pipeline->archiver()->checkpoint().value());
  for (int hour = 0; hour < 25; ++hour) {
    world.clock->advance(std::chrono::hours(1));
    ASSERT_TRUE(pipeline->run_once());
  }
  ASSERT_TRUE(pipeline->archiver()->checkpoint().value());
  EXPECT_EQ(pipeline->archiver()->checkpoint().value()->records_written, 1u);
}

TEST(Pipeline, its_floor_follows_the_oldest_unfinished_message) {
  World world;
  auto pipeline = world.pipeline();
  ASSERT_TRUE(pipeline->set(request("x", {"k"})));
  const auto stamp = world.plain_queue.backend()->peek({.queue = "records"}).value().at(0).stamp;
  world.clock->advance(std::chrono::hours(1));
  EXPECT_LE(pipeline->floor().value(), stamp);
  drain(*pipeline);
  EXPECT_GT(pipeline->floor().value(), stamp);
}

TEST(Pipeline, a_queue_that_cannot_tell_holds_the_floor_at_its_retention) {
  struct Silent final : setget::testing::ForwardingQueue {
    using ForwardingQueue::ForwardingQueue;
    QueueCapabilities capabilities() const override {
      auto found = ForwardingQueue::capabilities();
      found.oldest_unfinished = false;
      return found;
    }
    Result<Stamp> oldest_unfinished(Deadline) override { return Error(ErrorCode::kUnsupported, "cannot tell"); }
  };
  QueueOptions queue;
  queue.retention = days(4);
  World world(queue);
  world.queue = Queue(std::make_shared<Silent>(world.plain_queue.backend()), "records");
  auto pipeline = world.pipeline();
  EXPECT_LT(pipeline->floor().value(), stamp_at(world.clock->now() - days(4)));
  EXPECT_GT(pipeline->floor().value(), stamp_at(world.clock->now() - days(5)));
}

// Queues of other hosts may feed it, too, and nobody here knows of them.
TEST(Pipeline, keeps_the_floor_of_a_store_apart_from_its_queue_a_minute_behind) {
  World world;
  world.key_store = world.open({}).key_store();
  const auto pipeline = world.pipeline();
  pipeline->set(request("a", {"a"})).value();
  drain(*pipeline);
  const auto last = world.clock->now();
  EXPECT_LE(pipeline->floor().value(), stamp_at(last - Milliseconds(60'000)));
  world.clock->advance(Milliseconds(61'000));
  EXPECT_GT(pipeline->floor().value(), stamp_at(last));
}

TEST(Pipeline, short_lived_records_leave_nothing_behind) {
  World world;
  auto options = world.pipeline_options();
  options.archive.reset();
  auto pipeline = Pipeline::create(std::move(options)).value();
  for (int i = 0; i < 500; ++i) {
    auto brief = request("", {"brief/" + std::to_string(i)});
    brief.ttl = Ttl::after(Milliseconds(5'000));
    ASSERT_TRUE(pipeline->set(brief));
  }
  drain(*pipeline);
  EXPECT_EQ(world.key_store.backend()->stats().value().records, 500u);
  // One more message lets the floor pass the others.
  world.clock->advance(std::chrono::minutes(1));
  ASSERT_TRUE(pipeline->set(request("last", {"last"})));
  for (int i = 0; i < 5; ++i) {
    drain(*pipeline);
    world.clock->advance(Milliseconds(2'000));
  }
  const auto stats = world.key_store.backend()->stats().value();
  EXPECT_EQ(stats.records, 1u);
  EXPECT_EQ(stats.tombstones, 0u);
  EXPECT_EQ(stats.keys, 1u);
}

TEST(Pipeline, a_reloaded_policy_holds_for_later_sets_and_can_be_applied_to_stored_ones) {
  World world;
  auto pipeline = world.pipeline(flows_with_default(Ttl::after(days(7))));
  ASSERT_TRUE(pipeline->set(request("plain", {"plain"})));
  auto own = request("own", {"own"});
  own.ttl = Ttl::after(days(1));
  ASSERT_TRUE(pipeline->set(own));
  ASSERT_TRUE(pipeline->set(request("touched", {"touched"})));
  TouchRequest touch;
  touch.id = "touched";
  touch.ttl = Ttl::after(days(2));
  ASSERT_TRUE(pipeline->touch(touch));
  drain(*pipeline);
  const auto accepted = world.clock->now();
  world.clock->advance(days(1) - Milliseconds(1));

  Flows invalid;
  invalid.min_ttl = Ttl::after(days(9));
  invalid.max_ttl = Ttl::after(days(1));
  EXPECT_FALSE(pipeline->reload(invalid));
  ASSERT_TRUE(pipeline->reload(flows_with_default(Ttl::after(days(30)))));
  EXPECT_EQ(pipeline->get("plain").value()->expires_at, accepted + days(7));
  const auto report = pipeline->reapply_ttl().value();
  EXPECT_EQ(report.considered, 1u);
  EXPECT_EQ(report.changed, 1u);
  EXPECT_EQ(pipeline->get("plain").value()->expires_at, accepted + days(30));
  EXPECT_EQ(pipeline->get("own").value()->expires_at, accepted + days(1));
  EXPECT_EQ(pipeline->get("touched").value()->expires_at, accepted + days(2));
  EXPECT_EQ(pipeline->reapply_ttl().value().changed, 0u);
}

// A clock that goes on whenever it is looked at.
class RestlessClock final : public Clock {
 public:
  explicit RestlessClock(std::shared_ptr<SimulatedClock> inner) : inner_(std::move(inner)) {}
  TimePoint now() const noexcept override {
    const auto seen = inner_->now();
    inner_->advance(step);
    return seen;
  }
  Milliseconds step{0};

 private:
  std::shared_ptr<SimulatedClock> inner_;
};

TEST(Pipeline, a_policy_that_is_applied_again_does_not_revive_what_ends_meanwhile) {
  World world;
  const auto restless = std::make_shared<RestlessClock>(world.clock);
  auto options = world.pipeline_options(flows_with_default(Ttl::after(days(7))));
  options.clock = restless;
  auto pipeline = Pipeline::create(std::move(options)).value();
  ASSERT_TRUE(pipeline->set(request("x", {"k"})));
  drain(*pipeline);
  world.clock->advance(days(7) - Milliseconds(1));
  ASSERT_TRUE(pipeline->get("k").value());
  ASSERT_TRUE(pipeline->reload(flows_with_default(Ttl::after(days(30)))));
  restless->step = Milliseconds(1);
  const auto report = pipeline->reapply_ttl().value();
  restless->step = Milliseconds(0);
  EXPECT_EQ(report.considered, 1u);
  EXPECT_EQ(report.changed, 0u);
  EXPECT_FALSE(pipeline->get("k").value());
}

TEST(Pipeline, a_start_that_failed_is_not_a_success_the_second_time) {
  World world;
  auto pipeline = world.pipeline();
  ASSERT_TRUE(pipeline->scheduler().stop(patience()));
  EXPECT_EQ(pipeline->start().error().code(), ErrorCode::kCancelled);
  const auto again = pipeline->start();
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code(), ErrorCode::kCancelled);
}

TEST(Pipeline, subscribers_get_every_change_in_order_and_again_after_a_failure) {
  World world;
  auto pipeline = world.pipeline();
  std::vector<std::string> seen;
  int failures = 2;
  ASSERT_TRUE(pipeline->subscribe("feed", [&](const ChangeBatch& batch) -> Result<void> {
    if (failures > 0 && --failures >= 0) {
      if (failures == 0) throw std::runtime_error("callback broke");
      return Error(ErrorCode::kUnavailable, "not now");
    }
    for (const auto& change : batch.changes) seen.push_back((change.kind == ChangeKind::kTombstone ? "-" : "+") + change.id);
    return {};
  }));
  // Twice, or with the archiver's own.
  for (const auto* taken : {"feed", "archiver", "before-archiver"}) {
    const auto refused = pipeline->subscribe(taken, [](const ChangeBatch&) { return Result<void>(); });
    EXPECT_EQ(refused.error().code(), ErrorCode::kAlreadyExists) << taken;
    EXPECT_EQ(refused.error().field(), "cursor");
  }
  ASSERT_TRUE(pipeline->set(request("a", {"a"})));
  ASSERT_TRUE(pipeline->set(request("b", {"b"})));
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(pipeline->run_once());
    world.clock->advance(std::chrono::minutes(2));
  }
  EXPECT_EQ(seen, (std::vector<std::string>{"+a", "+b"}));
  EraseRequest erase;
  erase.id = "a";
  ASSERT_TRUE(pipeline->erase(erase));
  ASSERT_TRUE(pipeline->run_once());
  EXPECT_EQ(seen, (std::vector<std::string>{"+a", "+b", "-a"}));
}

// What somebody else does while the cursor is being opened.
class SlowCursors final : public setget::testing::ForwardingKeyStore {
 public:
  using ForwardingKeyStore::ForwardingKeyStore;
  Result<CursorInfo> open_cursor(const OpenCursor& request) override {
    auto opened = ForwardingKeyStore::open_cursor(request);
    if (meanwhile) std::exchange(meanwhile, nullptr)();
    return opened;
  }
  std::function<void()> meanwhile;
};

TEST(Pipeline, a_subscription_that_comes_too_late_is_none) {
  for (const bool stops : {false, true}) {
    World world;
    const auto slow = std::make_shared<SlowCursors>(world.key_store.backend());
    world.key_store = KeyStore(slow);
    auto pipeline = world.pipeline();
    std::atomic<int> first{0};
    std::atomic<int> second{0};
    ASSERT_TRUE(pipeline->set(request("a", {"a"})));
    ASSERT_TRUE(pipeline->start());
    const auto counting = [](std::atomic<int>& count) { return [&count](const ChangeBatch&) { return ++count, Result<void>(); }; };
    slow->meanwhile = [&] {
      if (stops) {
        EXPECT_TRUE(pipeline->stop(Deadline::in(Milliseconds(20'000))));
      } else {
        EXPECT_TRUE(pipeline->subscribe("feed", counting(first)));
      }
    };
    const auto late = pipeline->subscribe("feed", counting(second));
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code(), stops ? ErrorCode::kCancelled : ErrorCode::kAlreadyExists);
    EXPECT_TRUE(pipeline->stop(Deadline::in(Milliseconds(20'000))));
    EXPECT_EQ(second, 0);
  }
}

TEST(Pipeline, subscribers_on_threads_are_told_too_and_none_is_called_after_stop) {
  World world;
  auto pipeline = world.pipeline();
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> seen;
  std::atomic<bool> stopped{false};
  ASSERT_TRUE(pipeline->subscribe("feed", [&](const ChangeBatch& batch) -> Result<void> {
    EXPECT_FALSE(stopped);
    const std::lock_guard lock(mutex);
    for (const auto& change : batch.changes) seen.push_back(change.id);
    changed.notify_all();
    return {};
  }));
  ASSERT_TRUE(pipeline->start());
  for (const auto* id : {"a", "b", "c"}) ASSERT_TRUE(pipeline->set(request(id, {id})));
  {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_until(lock, patience().time(), [&] { return seen.size() == 3; }));
  }
  EXPECT_TRUE(pipeline->stop(patience()));
  stopped = true;
  EXPECT_EQ(seen, (std::vector<std::string>{"a", "b", "c"}));
}

// An archive run that began then would be cancelled by nobody.
TEST(Pipeline, stop_begins_no_job_while_the_worker_ends) {
  World world;
  Pipeline* running = nullptr;
  auto options = world.pipeline_options();
  std::optional<std::size_t> ran;
  Gate at_work;
  options.transform = [&](Command command, const Message&) -> Result<Command> {
    at_work.pass();
    const auto until = patience();
    while (running->set(request("late", {"late"})) && !until.passed()) std::this_thread::yield();
    world.clock->advance(std::chrono::hours(1));
    ran = running->scheduler().run_once().value_or(0);
    return command;
  };
  auto pipeline = Pipeline::create(std::move(options)).value();
  running = pipeline.get();
  std::atomic<int> runs{0};
  JobOptions job{.name = "job", .schedule = Cron::parse("@hourly").value(), .run = [&runs](const JobContext&) -> Result<void> {
                   ++runs;
                   return {};
                 }};
  ASSERT_TRUE(pipeline->scheduler().add(std::move(job)));
  ASSERT_TRUE(pipeline->set(request("a", {"a"})));
  ASSERT_TRUE(pipeline->start());
  ASSERT_TRUE(at_work.wait_for_callers(1, patience()));
  at_work.open();
  EXPECT_TRUE(pipeline->stop(patience()));
  EXPECT_EQ(ran, std::optional<std::size_t>(0));
  EXPECT_EQ(runs, 0);
}

TEST(Pipeline, stop_is_over_at_its_deadline_and_says_that_a_callback_still_runs) {
  World world;
  Gate gate;
  auto pipeline = world.pipeline();
  std::atomic<int> calls{0};
  ASSERT_TRUE(pipeline->subscribe("feed", [&](const ChangeBatch&) -> Result<void> {
    ++calls;
    gate.pass();
    return {};
  }));
  ASSERT_TRUE(pipeline->start());
  ASSERT_TRUE(pipeline->set(request("a", {"a"})));
  ASSERT_TRUE(gate.wait_for_callers(1, patience()));
  // In the end nothing else is left to wait for.
  auto stopped = pipeline->stop(Deadline::in(Milliseconds(50)));
  for (Milliseconds within{100}; !stopped && within < Milliseconds(10'000); within *= 2) {
    EXPECT_EQ(stopped.error().code(), ErrorCode::kDeadlineExceeded);
    if (stopped.error().message().find("callback") != std::string::npos) break;
    stopped = pipeline->stop(Deadline::in(within));
  }
  gate.open();
  ASSERT_FALSE(stopped);
  EXPECT_NE(stopped.error().message().find("callback"), std::string::npos) << stopped.error().message();
  EXPECT_TRUE(pipeline->stop(patience()));
  EXPECT_EQ(calls, 1);
}

TEST(Pipeline, stop_waits_for_the_callback_of_a_host_that_runs_rounds_and_calls_no_other) {
  World world;
  Gate gate;
  auto pipeline = world.pipeline();
  std::atomic<int> calls{0};
  for (const auto* cursor : {"one", "two"}) {
    ASSERT_TRUE(pipeline->subscribe(cursor, [&](const ChangeBatch&) -> Result<void> {
      ++calls;
      gate.pass();
      return {};
    }));
  }
  ASSERT_TRUE(pipeline->set(request("a", {"a"})));
  std::thread host([&] { EXPECT_TRUE(pipeline->run_once()); });
  ASSERT_TRUE(gate.wait_for_callers(1, patience()));
  const auto stopped = pipeline->stop(Deadline::immediate());
  gate.open();
  host.join();
  ASSERT_FALSE(stopped);
  EXPECT_NE(stopped.error().message().find("callback"), std::string::npos) << stopped.error().message();
  EXPECT_TRUE(pipeline->stop(patience()));
  EXPECT_EQ(calls, 1);
}

// The round's callback is under way when the threads begin: nobody is told twice, and nothing is passed over.
TEST(Pipeline, threads_that_start_during_a_hosts_round_go_on_behind_it) {
  World world;
  Gate gate;
  auto pipeline = world.pipeline();
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> seen;
  ASSERT_TRUE(pipeline->subscribe("feed", [&](const ChangeBatch& batch) -> Result<void> {
    gate.pass();
    const std::lock_guard lock(mutex);
    for (const auto& change : batch.changes) seen.push_back(change.id);
    changed.notify_all();
    return {};
  }));
  ASSERT_TRUE(pipeline->set(request("a", {"a"})));
  std::thread host([&] { EXPECT_TRUE(pipeline->run_once()); });
  ASSERT_TRUE(gate.wait_for_callers(1, patience()));
  ASSERT_TRUE(pipeline->start());
  ASSERT_TRUE(pipeline->set(request("b", {"b"})));
  gate.open();
  {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_until(lock, patience().time(), [&] { return seen.size() >= 2; }));
  }
  host.join();
  EXPECT_TRUE(pipeline->stop(patience()));
  EXPECT_EQ(seen, (std::vector<std::string>{"a", "b"}));
}

TEST(Pipeline, stop_sends_away_who_wants_to_set) {
  World world;
  auto pipeline = world.pipeline();
  ASSERT_TRUE(pipeline->start());
  ASSERT_TRUE(pipeline->stop(patience()));
  const auto refused = pipeline->set(request("a", {"a"}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kCancelled);
  EXPECT_EQ(world.stats().accepted, 0u);
}

TEST(Pipeline, a_dropped_subscription_can_subscribe_again) {
  World world;
  auto pipeline = world.pipeline();
  int batches = 0;
  const auto count = [&](const ChangeBatch&) -> Result<void> {
    ++batches;
    return {};
  };
  ASSERT_TRUE(pipeline->subscribe("feed", count));
  ASSERT_TRUE(world.key_store.backend()->drop_cursor("feed"));
  ASSERT_TRUE(pipeline->set(request("a", {"a"})));
  ASSERT_TRUE(pipeline->run_once());
  EXPECT_EQ(batches, 0);
  ASSERT_TRUE(pipeline->subscribe("feed", count));
  ASSERT_TRUE(pipeline->set(request("b", {"b"})));
  ASSERT_TRUE(pipeline->run_once());
  EXPECT_EQ(batches, 1);
}

TEST(Pipeline, publishes_gauges_of_its_queue_and_store) {
  World world;
  auto metrics = std::make_shared<PrometheusMetrics>();
  auto options = world.pipeline_options();
  options.metrics = metrics;
  auto pipeline = Pipeline::create(std::move(options)).value();
  ASSERT_TRUE(pipeline->set(request("a", {"a"})));
  drain(*pipeline);
  ASSERT_TRUE(pipeline->get("a"));
  world.clock->advance(Milliseconds(2'000));
  ASSERT_TRUE(pipeline->run_once());
  const auto text = metrics->expose();
  for (const auto* line : {"setget_queue_depth 0", "setget_store_records 1", "setget_ingress_accepted_total{kind=\"set\"} 1",
                           "setget_worker_outcomes_total{outcome=\"applied\"} 1", "setget_reads_total{result=\"store\"} 1"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "\n" << text;
  }
}

}  // namespace
