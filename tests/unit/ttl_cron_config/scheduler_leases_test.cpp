// One runner among many: leases, replies that are lost, stores that are away.
#include "scheduler_trial.hpp"

using namespace scheduler_test;

TEST(Scheduler, two_schedulers_of_one_store_run_each_due_time_once) {
  World world;
  std::mutex mutex;
  std::map<std::string, int> runs;
  const auto options = job("* * * * * *", [&](const JobContext& context) -> Result<void> {
    const std::lock_guard lock(mutex);
    ++runs[std::to_string(context.due.time_since_epoch().count())];
    return {};
  });
  auto all = options;
  all.catch_up = CatchUp::kAll;
  std::vector<std::unique_ptr<Scheduler>> schedulers;
  for (int i = 0; i < 3; ++i) {
    schedulers.push_back(world.scheduler());
    ASSERT_TRUE(schedulers.back()->add(all).has_value());
  }
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (auto& scheduler : schedulers) {
    threads.emplace_back([&] {
      while (!done) EXPECT_TRUE(scheduler->run_once().has_value());
    });
  }
  for (int i = 0; i < 300; ++i) {
    world.clock->advance(Milliseconds(777));
    std::this_thread::yield();
  }
  const auto expected = static_cast<std::size_t>(300 * 777 / 1000);
  const auto deadline = Deadline::in(seconds(20));
  for (bool enough = false; !enough && !deadline.passed();) {
    const std::lock_guard lock(mutex);
    enough = runs.size() >= expected;
  }
  done = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(runs.size(), expected);
  EXPECT_TRUE(std::ranges::all_of(runs, [](const auto& run) { return run.second == 1; }));
}

TEST(Scheduler, another_runner_takes_over_when_the_lease_of_a_dead_one_ends) {
  World world;
  Runs runs;
  auto options = job("@hourly", runs.noting());
  options.lease = minutes(10);
  auto scheduler = world.scheduler();
  ASSERT_TRUE(scheduler->add(options).has_value());
  world.clock->advance(hours(1));
  // What a runner leaves behind that was killed right after it took the job.
  const auto before = world.store->load("job").value();
  ScheduleState dead = *before;
  dead.last_due = kStart + hours(1);
  dead.last_started = kStart + hours(1);
  dead.holder = "killed";
  dead.lease_until = kStart + hours(1) + minutes(10);
  ASSERT_TRUE(*world.store->exchange("job", before, dead));

  EXPECT_EQ(*scheduler->run_once(), 0U);
  EXPECT_TRUE(scheduler->jobs()->front().running);
  world.clock->advance(minutes(9));
  EXPECT_EQ(*scheduler->run_once(), 0U);
  world.clock->advance(minutes(1));
  EXPECT_EQ(*scheduler->run_once(), 1U);
  EXPECT_EQ(runs.seen, (Seen{"60m#0"}));
  EXPECT_FALSE(scheduler->jobs()->front().running);
}

// The night after would be the first in a month.
TEST(Scheduler, a_lease_that_a_clock_far_ahead_wrote_holds_up_nobody) {
  World world;
  Runs runs;
  auto options = job("@hourly", runs.noting());
  options.lease = minutes(10);
  auto scheduler = world.scheduler();
  ASSERT_TRUE(scheduler->add(options).has_value());
  const auto before = world.store->load("job").value();
  ScheduleState ahead = *before;
  ahead.last_due = ahead.last_started = kStart + hours(24 * 30);
  ahead.holder = "killed";
  ahead.lease_until = kStart + hours(24 * 30) + minutes(10);
  ASSERT_TRUE(*world.store->exchange("job", before, ahead));
  ASSERT_TRUE(scheduler->run_once().has_value());
  EXPECT_FALSE(scheduler->jobs()->front().running);
  world.clock->advance(hours(1));
  EXPECT_EQ(*scheduler->run_once(), 1U);
  EXPECT_EQ(runs.seen.size(), 1u);
}

TEST(Scheduler, a_try_that_waits_is_not_made_by_another_runner) {
  World world;
  Runs a;
  Runs b;
  auto failing = job("@daily", a.noting(failure()));
  failing.retry_after = minutes(5);
  auto first = world.scheduler();
  auto second = world.scheduler();
  ASSERT_TRUE(first->add(failing).has_value());
  ASSERT_TRUE(second->add(job("@daily", b.noting())).has_value());
  world.clock->advance(hours(24));
  EXPECT_EQ(*first->run_once(), 1U);
  EXPECT_EQ(*second->run_once(), 0U);
  world.clock->advance(minutes(5));
  EXPECT_EQ(*second->run_once(), 0U);
  EXPECT_EQ(*first->run_once(), 1U);
  // Stopped before its last try, it gives the job up.
  ASSERT_TRUE(first->start().has_value());
  ASSERT_TRUE(first->stop(Deadline::in(seconds(20))).has_value());
  world.clock->advance(minutes(20));
  EXPECT_EQ(*second->run_once(), 1U);
  EXPECT_EQ(b.seen, (Seen{"1440m#0"}));
}

TEST(Scheduler, a_stopped_runner_gives_the_lease_of_a_waiting_try_back_at_once) {
  World world;
  Runs a;
  Runs b;
  auto first = world.scheduler();
  auto second = world.scheduler();
  ASSERT_TRUE(first->add(job("@daily", a.noting(failure()))).has_value());
  ASSERT_TRUE(second->add(job("@daily", b.noting())).has_value());
  world.clock->advance(hours(24));
  ASSERT_EQ(*first->run_once(), 1U);
  ASSERT_EQ(*second->run_once(), 0U);
  ASSERT_TRUE(first->start().has_value());
  ASSERT_TRUE(first->stop(Deadline::in(seconds(20))).has_value());
  auto third = world.scheduler();
  ASSERT_TRUE(third->add(job("@daily", b.noting())).has_value());
  EXPECT_EQ(*third->run_once(), 1U);
}

TEST(Scheduler, a_lease_is_renewed_while_its_job_runs) {
  World world;
  const auto clock = system_clock();
  const auto scheduler = [&] {
    return std::move(Scheduler::create({.store = world.store, .clock = clock, .random = {}, .logger = {}, .metrics = {}, .runner = "same"}))
        .value();
  };
  std::atomic<int> runs{0};
  Gate started;
  Gate finish;
  auto options = job("* * * * * *", [&](const JobContext&) -> Result<void> {
    if (runs++ == 0) {
      started.open();
      EXPECT_TRUE(finish.wait());
    }
    return {};
  });
  options.lease = Milliseconds(3'000);
  auto first = scheduler();
  auto second = scheduler();
  ASSERT_TRUE(first->add(options).has_value());
  ASSERT_TRUE(second->add(options).has_value());
  ASSERT_TRUE(first->start().has_value());
  ASSERT_TRUE(started.wait());
  const auto until = Deadline::in(Milliseconds(4'000));
  while (!until.passed()) ASSERT_EQ(*second->run_once(), 0U);
  EXPECT_EQ(runs, 1);
  finish.open();
  EXPECT_TRUE(first->stop(Deadline::in(seconds(20))).has_value());
}

TEST(Scheduler, a_job_that_lost_its_lease_records_nothing) {
  World world;
  auto scheduler = world.scheduler();
  ScheduleState usurper;
  ASSERT_TRUE(scheduler
                  ->add(job("@hourly",
                            [&](const JobContext& context) -> Result<void> {
                              const auto now = world.store->load("job").value();
                              usurper = *now;
                              usurper.last_due = context.due;
                              usurper.holder = "somebody else";
                              EXPECT_TRUE(*world.store->exchange("job", now, usurper));
                              return {};
                            }))
                  .has_value());
  world.clock->advance(hours(1));
  EXPECT_EQ(*scheduler->run_once(), 1U);
  EXPECT_EQ(world.store->load("job").value(), usurper);
}

TEST(Scheduler, a_lost_reply_neither_loses_nor_repeats_a_run) {
  for (const bool at_the_end : {false, true}) {
    World world;
    Runs runs;
    auto faulty = std::make_shared<FaultyStore>(world.store);
    auto scheduler = world.scheduler(faulty);
    ASSERT_TRUE(scheduler
                    ->add(job("@hourly",
                              [&](const JobContext& context) {
                                if (at_the_end) faulty->lose_replies = 1;
                                return runs.noting()(context);
                              }))
                    .has_value());
    world.clock->advance(hours(1));
    if (!at_the_end) faulty->lose_replies = 1;
    EXPECT_FALSE(scheduler->run_once().has_value());
    for (int i = 0; i < 40; ++i) {
      world.clock->advance(minutes(1));
      EXPECT_TRUE(scheduler->run_once().has_value());
    }
    EXPECT_EQ(runs.seen, (Seen{"60m#0"})) << at_the_end;
    const auto state = world.store->load("job").value();
    EXPECT_EQ(state->holder, "");
    EXPECT_TRUE(state->last_ok);
  }
}

TEST(Scheduler, a_store_that_is_down_delays_a_run_and_is_reported) {
  World world;
  Runs runs;
  auto faulty = std::make_shared<FaultyStore>(world.store);
  auto scheduler = world.scheduler(faulty);
  ASSERT_TRUE(scheduler->add(job("@hourly", runs.noting())).has_value());
  world.clock->advance(hours(1));
  faulty->down = true;
  const auto failed = scheduler->run_once();
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code(), ErrorCode::kUnavailable);
  EXPECT_FALSE(scheduler->jobs().has_value());
  faulty->down = false;
  world.clock->advance(seconds(2));
  EXPECT_EQ(*scheduler->run_once(), 1U);
  EXPECT_EQ(runs.seen, (Seen{"60m#0"}));
}
