#include "scheduler_trial.hpp"

using namespace scheduler_test;

TEST(Scheduler, runs_a_job_at_its_due_time_and_not_before) {
  World world;
  Runs runs;
  auto scheduler = world.scheduler();
  ASSERT_TRUE(scheduler->add(job("@hourly", runs.noting())).has_value());
  EXPECT_EQ(*scheduler->run_once(), 0U);
  world.clock->advance(minutes(59));
  EXPECT_EQ(*scheduler->run_once(), 0U);
  world.clock->advance(minutes(1));
  EXPECT_EQ(*scheduler->run_once(), 1U);
  EXPECT_EQ(*scheduler->run_once(), 0U);
  world.clock->advance(hours(1));
  EXPECT_EQ(*scheduler->run_once(), 1U);
  EXPECT_EQ(runs.seen, (Seen{"60m#0", "120m#0"}));
}

TEST(Scheduler, says_that_a_job_cannot_run_what_runs_it) {
  World world;
  std::unique_ptr<Scheduler> scheduler = world.scheduler();
  ErrorCode answered{};
  ASSERT_TRUE(scheduler->add(job("@hourly", [&](const JobContext&) -> Result<void> {
    const auto within = scheduler->run_once();
    if (!within) answered = within.error().code();
    return {};
  })));
  world.clock->advance(minutes(60));
  EXPECT_EQ(*scheduler->run_once(), 1U);
  EXPECT_EQ(answered, ErrorCode::kFailedPrecondition);
  EXPECT_EQ(*scheduler->run_once(), 0U) << "afterwards it is as before";
}

TEST(Scheduler, tries_again_after_growing_waits_within_its_window_and_then_says_that_it_gave_up) {
  World world;
  std::vector<std::string> tried;
  std::vector<JobFailure> given_up;
  auto options = job("@daily", [&](const JobContext& context) -> Result<void> {
    tried.push_back(offset(world.clock->now() - hours(24)) + "#" + std::to_string(context.attempt));
    return failure();
  });
  options.max_attempts = 1'000;
  options.retry_after = minutes(1);
  options.retry_cap = minutes(10);
  options.retry_window = minutes(30);
  options.on_given_up = [&](const JobFailure& one) { given_up.push_back(one); };
  auto scheduler = world.scheduler();
  ASSERT_TRUE(scheduler->add(options).has_value());
  world.clock->advance(hours(24));
  for (int minute = 0; minute < 120; ++minute) {
    ASSERT_TRUE(scheduler->run_once().has_value());
    world.clock->advance(minutes(1));
  }
  EXPECT_EQ(tried, (Seen{"0m#0", "1m#1", "3m#2", "7m#3", "15m#4", "25m#5"}));
  ASSERT_EQ(given_up.size(), 1u);
  EXPECT_EQ(given_up[0].job, "job");
  EXPECT_EQ(given_up[0].due, kStart + hours(24));
  EXPECT_EQ(given_up[0].attempts, 6u);
  EXPECT_EQ(given_up[0].error.code(), ErrorCode::kUnavailable);
  // The next night is another one.
  world.clock->set(kStart + hours(48));
  ASSERT_TRUE(scheduler->run_once().has_value());
  EXPECT_EQ(tried.size(), 7u);
}

TEST(Scheduler, gives_up_at_once_what_is_not_worth_another_try_and_survives_a_hook_that_throws) {
  World world;
  int tried = 0;
  int told = 0;
  auto options = job("@daily", [&](const JobContext&) -> Result<void> {
    ++tried;
    return Error(ErrorCode::kCorrupted, "for good");
  });
  options.retry_after = minutes(1);
  options.worth_retrying = [](const Error& error) { return error.retryable(); };
  options.on_given_up = [&](const JobFailure&) {
    ++told;
    throw std::runtime_error("the pager is broken");
  };
  auto scheduler = world.scheduler();
  ASSERT_TRUE(scheduler->add(options).has_value());
  world.clock->advance(hours(24));
  for (int minute = 0; minute < 10; ++minute) {
    ASSERT_TRUE(scheduler->run_once().has_value());
    world.clock->advance(minutes(1));
  }
  EXPECT_EQ(tried, 1);
  EXPECT_EQ(told, 1);
  EXPECT_FALSE(scheduler->jobs().value().at(0).last_ok);
}

TEST(Scheduler, counts_the_tries_where_the_hook_that_says_what_is_worth_one_throws) {
  World world;
  int tried = 0;
  auto options = job("@daily", [&](const JobContext&) -> Result<void> {
    ++tried;
    return Error(ErrorCode::kUnavailable, "away");
  });
  options.retry_after = minutes(1);
  options.retry_cap = minutes(1);
  options.max_attempts = 3;
  options.worth_retrying = [](const Error&) -> bool { throw std::runtime_error("the hook is broken"); };
  auto scheduler = world.scheduler();
  ASSERT_TRUE(scheduler->add(options).has_value());
  world.clock->advance(hours(24));
  for (int minute = 0; minute < 10; ++minute) {
    ASSERT_TRUE(scheduler->run_once().has_value());
    world.clock->advance(minutes(1));
  }
  EXPECT_EQ(tried, 3);
  EXPECT_TRUE(scheduler->stop(Deadline::in(seconds(20))));
}

TEST(Scheduler, a_window_counts_from_the_first_try_also_where_the_run_was_late) {
  World world;
  Runs runs;
  auto options = job("@daily", runs.noting(failure()));
  options.max_attempts = 1'000;
  options.retry_after = minutes(10);
  options.retry_window = minutes(20);
  auto scheduler = world.scheduler();
  ASSERT_TRUE(scheduler->add(options).has_value());
  world.clock->advance(hours(33));  // nine hours late
  for (int minute = 0; minute < 60; ++minute) {
    ASSERT_TRUE(scheduler->run_once().has_value());
    world.clock->advance(minutes(1));
  }
  EXPECT_EQ(runs.seen, (Seen{"1440m#0", "1440m#1", "1440m#2"}));
}

TEST(Scheduler, a_window_without_end_never_ends_the_tries) {
  World world;
  Runs runs;
  auto options = job("@daily", runs.noting(failure()));
  options.max_attempts = 4;
  options.retry_after = minutes(1);
  options.retry_cap = hours(24 * 3653);
  options.retry_window = Milliseconds::max();
  auto scheduler = world.scheduler();
  ASSERT_TRUE(scheduler->add(options).has_value());
  world.clock->advance(hours(24));
  for (int minute = 0; minute < 60; ++minute) {
    ASSERT_TRUE(scheduler->run_once().has_value());
    world.clock->advance(minutes(1));
  }
  EXPECT_EQ(runs.seen, (Seen{"1440m#0", "1440m#1", "1440m#2", "1440m#3"}));
}

TEST(Scheduler, what_was_missed_while_nobody_ran_is_caught_up_as_asked) {
  const auto after_absence = [](CatchUp catch_up, Milliseconds absence) {
    World world;
    Runs runs;
    auto options = job("@hourly", runs.noting());
    options.catch_up = catch_up;
    EXPECT_TRUE(world.scheduler()->add(options).has_value());
    world.clock->advance(absence);
    auto scheduler = world.scheduler();
    EXPECT_TRUE(scheduler->add(options).has_value());
    const auto ran = scheduler->run_once();
    EXPECT_EQ(*ran, runs.seen.size());
    world.clock->set(kStart + hours(4));
    EXPECT_TRUE(scheduler->run_once().has_value());
    return runs.seen;
  };
  EXPECT_EQ(after_absence(CatchUp::kSkip, minutes(210)), (Seen{"240m#0"}));
  EXPECT_EQ(after_absence(CatchUp::kOnce, minutes(210)), (Seen{"180m#0", "240m#0"}));
  EXPECT_EQ(after_absence(CatchUp::kAll, minutes(210)), (Seen{"60m#0", "120m#0", "180m#0", "240m#0"}));
  // Half a minute late is not missed.
  EXPECT_EQ(after_absence(CatchUp::kSkip, minutes(180) + seconds(30)), (Seen{"180m#0", "240m#0"}));
}

TEST(Scheduler, a_year_of_missed_seconds_is_caught_up_once_without_counting_them) {
  World world;
  Runs runs;
  auto scheduler = world.scheduler();
  ASSERT_TRUE(scheduler->add(job("* * * * 1-11 *", runs.noting())).has_value());
  world.clock->advance(hours(24 * 345));  // into December
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(*scheduler->run_once(), 1U);
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds(5));
  EXPECT_EQ(runs.seen, (Seen{offset(kStart + hours(24 * 334) - seconds(1)) + "#0"}));
}

TEST(Scheduler, a_clock_that_was_a_year_ahead_at_first_sight_does_not_silence_a_job) {
  for (const bool restarted : {false, true}) {
    World world;
    Runs runs;
    world.clock->set(kStart + hours(24 * 365));
    auto scheduler = world.scheduler();
    ASSERT_TRUE(scheduler->add(job("@daily", runs.noting())));
    EXPECT_EQ(scheduler->run_once().value(), 0U);
    world.clock->set(kStart + hours(1));
    if (restarted) {
      scheduler = world.scheduler();
      ASSERT_TRUE(scheduler->add(job("@daily", runs.noting())));
    }
    EXPECT_EQ(scheduler->run_once().value(), 0U);
    EXPECT_EQ(scheduler->jobs().value().at(0).next_due, kStart + hours(24));
    world.clock->set(kStart + hours(24));
    EXPECT_EQ(scheduler->run_once().value(), 1U);
    world.clock->set(kStart + hours(48));
    EXPECT_EQ(scheduler->run_once().value(), 1U);
    EXPECT_EQ(runs.seen, (Seen{"1440m#0", "2880m#0"})) << restarted;
  }
}

TEST(Scheduler, a_clock_that_is_set_back_brings_forward_what_waits_for_it) {
  World world;
  Runs runs;
  bool fails = true;
  auto options =
      job("@daily", [&](const JobContext& context) { return runs.noting(fails ? Result<void>(failure()) : Result<void>())(context); });
  options.max_attempts = 3;
  options.retry_after = minutes(10);
  auto scheduler = world.scheduler();
  ASSERT_TRUE(scheduler->add(options));
  world.clock->set(kStart + hours(24 * 365));
  EXPECT_EQ(scheduler->run_once().value(), 1U);
  // The try that waits goes on waiting for its ten minutes, and no longer.
  world.clock->set(kStart + hours(1));
  EXPECT_EQ(scheduler->run_once().value(), 0U);
  fails = false;
  world.clock->advance(minutes(10));
  EXPECT_EQ(scheduler->run_once().value(), 1U);
  world.clock->set(kStart + hours(24));
  EXPECT_EQ(scheduler->run_once().value(), 1U);
  EXPECT_EQ(runs.seen, (Seen{"525600m#0", "525600m#1", "1440m#0"}));
}

TEST(Scheduler, a_runner_whose_clock_is_a_little_behind_repeats_nothing) {
  for (const auto* schedule : {"@hourly", "* * * * * *"}) {
    World world;
    Runs runs;
    auto behind = world;
    behind.clock = std::make_shared<SimulatedClock>(kStart - seconds(30));
    auto first = world.scheduler();
    auto second = behind.scheduler();
    ASSERT_TRUE(first->add(job(schedule, runs.noting())));
    ASSERT_TRUE(second->add(job(schedule, runs.noting())));
    world.clock->advance(hours(1));
    behind.clock->advance(hours(1));
    EXPECT_EQ(first->run_once().value(), 1U);
    EXPECT_EQ(second->run_once().value(), 0U);
    behind.clock->advance(seconds(30));
    EXPECT_EQ(second->run_once().value(), 0U);
    EXPECT_EQ(runs.seen, Seen{"60m#0"}) << schedule;
  }
}

TEST(Scheduler, a_job_that_fails_is_tried_again_and_then_skipped_until_its_next_due_time) {
  World world;
  Runs runs;
  auto options = job("@hourly", runs.noting(failure()));
  options.max_attempts = 3;
  options.retry_after = minutes(5);
  auto scheduler = world.scheduler();
  ASSERT_TRUE(scheduler->add(options).has_value());
  world.clock->advance(hours(1));
  for (int i = 0; i < 55; ++i) {
    ASSERT_TRUE(scheduler->run_once().has_value());
    world.clock->advance(minutes(1));
  }
  EXPECT_EQ(runs.seen, (Seen{"60m#0", "60m#1", "60m#2"}));
  auto status = scheduler->jobs()->front();
  EXPECT_FALSE(status.last_ok);
  EXPECT_NE(status.last_error.find("the far side is down"), std::string::npos);
  EXPECT_EQ(status.last_finished, kStart + minutes(70));
  world.clock->advance(minutes(5));
  ASSERT_TRUE(scheduler->run_once().has_value());
  EXPECT_EQ(runs.seen.back(), "120m#0");
}

TEST(Scheduler, a_job_that_throws_has_failed) {
  World world;
  auto options = job("@hourly", [](const JobContext& context) -> Result<void> {
    if (context.attempt == 0) throw std::runtime_error("oops");
    throw 42;  // NOLINT: hosts may throw anything
  });
  options.max_attempts = 2;
  options.retry_after = Milliseconds(0);
  auto scheduler = world.scheduler();
  ASSERT_TRUE(scheduler->add(options).has_value());
  world.clock->advance(hours(1));
  EXPECT_EQ(*scheduler->run_once(), 2U);
  EXPECT_FALSE(scheduler->jobs()->front().last_ok);
}

TEST(Scheduler, jitter_holds_a_run_back_by_a_random_wait_within_its_bound) {
  Milliseconds longest{0};
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    World world;
    world.random = std::make_shared<SeededRandom>(seed);
    std::optional<TimePoint> ran_at;
    auto options = job("@hourly", [&](const JobContext& context) -> Result<void> {
      EXPECT_EQ(context.due, kStart + hours(1));
      ran_at = world.clock->now();
      return {};
    });
    options.jitter = minutes(10);
    auto scheduler = world.scheduler();
    ASSERT_TRUE(scheduler->add(options).has_value());
    world.clock->advance(hours(1));
    while (!ran_at && world.clock->now() < kStart + hours(2)) {
      ASSERT_TRUE(scheduler->run_once().has_value());
      world.clock->advance(seconds(1));
    }
    ASSERT_TRUE(ran_at.has_value());
    EXPECT_LE(*ran_at, kStart + hours(1) + minutes(10) + seconds(1));
    longest = std::max(longest, *ran_at - kStart - hours(1));
  }
  EXPECT_GT(longest, minutes(5));
}

// Who finds that another had the turn draws anew for the next one.
TEST(Scheduler, jitter_spreads_the_runs_of_a_fleet_each_time) {
  World world;
  std::vector<Milliseconds> waits;
  auto options = job("@hourly", [&](const JobContext& context) -> Result<void> {
    waits.push_back(world.clock->now() - context.due);
    return {};
  });
  options.jitter = minutes(10);
  const std::array fleet{world.scheduler(), world.scheduler(), world.scheduler()};
  for (const auto& runner : fleet) ASSERT_TRUE(runner->add(options));
  while (world.clock->now() < kStart + hours(13)) {
    for (const auto& runner : fleet) ASSERT_TRUE(runner->run_once());
    world.clock->advance(seconds(5));
  }
  ASSERT_EQ(waits.size(), 12u);
  EXPECT_GT(std::ranges::count_if(waits, [](Milliseconds wait) { return wait > seconds(30); }), 6);
}

TEST(Scheduler, its_thread_runs_jobs_on_time_and_sleeps_in_between) {
  auto store = std::make_shared<FaultyStore>(memory_schedule_store());
  auto scheduler =
      std::move(Scheduler::create({.store = store, .clock = {}, .random = {}, .logger = {}, .metrics = {}, .runner = {}})).value();
  Gate second_run;
  int runs = 0;
  Milliseconds latest{0};
  ASSERT_TRUE(scheduler
                  ->add(job("* * * * * *",
                            [&](const JobContext& context) -> Result<void> {
                              latest = std::max(latest, system_clock()->now() - context.due);
                              if (++runs == 2) second_run.open();
                              return {};
                            }))
                  .has_value());
  ASSERT_TRUE(scheduler->start().has_value());
  ASSERT_TRUE(scheduler->start().has_value());
  ASSERT_TRUE(second_run.wait());
  ASSERT_TRUE(scheduler->stop(Deadline::in(seconds(20))).has_value());
  ASSERT_TRUE(scheduler->stop(Deadline::immediate()).has_value());
  EXPECT_GE(latest, Milliseconds(0));
  EXPECT_LT(store->loads, 40);
  EXPECT_EQ(scheduler->run_once().error().code(), ErrorCode::kCancelled);
}

TEST(Scheduler, stop_waits_for_a_running_job_no_longer_than_its_deadline) {
  World world;
  auto scheduler = world.scheduler();
  Gate started;
  Gate finish;
  ASSERT_TRUE(scheduler
                  ->add(job("@hourly",
                            [&](const JobContext&) -> Result<void> {
                              started.open();
                              EXPECT_TRUE(finish.wait());
                              return {};
                            }))
                  .has_value());
  world.clock->advance(hours(1));
  ASSERT_TRUE(scheduler->start().has_value());
  ASSERT_TRUE(started.wait());
  const auto stopped = scheduler->stop(Deadline::in(Milliseconds(20)));
  ASSERT_FALSE(stopped.has_value());
  EXPECT_EQ(stopped.error().code(), ErrorCode::kDeadlineExceeded);
  finish.open();
  EXPECT_TRUE(scheduler->stop(Deadline::in(seconds(20))).has_value());
  EXPECT_TRUE(world.store->load("job").value()->last_ok);
}

TEST(Scheduler, shows_last_and_next_runs) {
  World world;
  auto scheduler = world.scheduler();
  auto options = job("30 2 * * *", [](const JobContext&) { return Result<void>(); });
  ASSERT_TRUE(scheduler->add(options).has_value());
  auto status = scheduler->jobs()->front();
  EXPECT_EQ(status.name, "job");
  EXPECT_EQ(status.cron, "30 2 * * *");
  EXPECT_EQ(status.zone, "UTC");
  EXPECT_EQ(status.last_due, std::nullopt);
  EXPECT_EQ(status.next_due, kStart + minutes(150));
  EXPECT_FALSE(status.running);
  world.clock->advance(hours(3));
  ASSERT_EQ(*scheduler->run_once(), 1U);
  status = scheduler->jobs()->front();
  EXPECT_EQ(status.last_due, kStart + minutes(150));
  EXPECT_EQ(status.last_finished, kStart + hours(3));
  EXPECT_TRUE(status.last_ok);
  EXPECT_EQ(status.next_due, kStart + hours(24) + minutes(150));
}

TEST(Scheduler, refuses_jobs_that_cannot_work) {
  World world;
  auto scheduler = world.scheduler();
  const auto good = job("@daily", [](const JobContext&) { return Result<void>(); });
  const auto field = [&](auto change) {
    auto options = good;
    change(options);
    const auto added = scheduler->add(options);
    return added ? std::string("added") : added.error().field();
  };
  EXPECT_EQ(field([](JobOptions& o) { o.name = "a b"; }), "name");
  EXPECT_EQ(field([](JobOptions& o) { o.run = nullptr; }), "run");
  EXPECT_EQ(field([](JobOptions& o) { o.lease = Milliseconds(0); }), "lease");
  EXPECT_EQ(field([](JobOptions& o) { o.max_attempts = 0; }), "max_attempts");
  EXPECT_EQ(field([](JobOptions& o) { o.jitter = Milliseconds(-1); }), "jitter");
  EXPECT_EQ(field([](JobOptions& o) { o.retry_after = Milliseconds(-1); }), "retry_after");
  EXPECT_EQ(field([](JobOptions& o) { o.lease = Milliseconds::max(); }), "lease");
  EXPECT_EQ(field([](JobOptions& o) { o.jitter = Milliseconds::max(); }), "jitter");
  EXPECT_EQ(field([](JobOptions& o) { o.retry_after = Milliseconds::max(); }), "retry_after");
  EXPECT_EQ(field([](JobOptions& o) { o.retry_cap = Milliseconds::max(); }), "retry_cap");
  EXPECT_EQ(field([](JobOptions&) {}), "added");
  EXPECT_EQ(scheduler->add(good).error().code(), ErrorCode::kAlreadyExists);
}

TEST(Scheduler, jobs_of_one_scheduler_run_one_after_the_other) {
  World world;
  auto scheduler = world.scheduler();
  std::vector<std::string> order;
  for (const auto* name : {"a", "b", "c"}) {
    auto options = job("@hourly", [&order, name](const JobContext&) -> Result<void> {
      order.emplace_back(name);
      return {};
    });
    options.name = name;
    ASSERT_TRUE(scheduler->add(options).has_value());
  }
  world.clock->advance(hours(1));
  EXPECT_EQ(*scheduler->run_once(), 3U);
  EXPECT_EQ(order, (Seen{"a", "b", "c"}));
}
