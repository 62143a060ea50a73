// Schedule suite: a state per job, changed by compare and exchange.
#include <array>
#include <atomic>

#include "testing/trial.hpp"

namespace setget::inline v0::testing::detail {

namespace {

ScheduleState example(Trial& t) {
  ScheduleState state;
  state.last_due = t.now();
  state.last_started = t.now() + Milliseconds(1);
  state.last_ok = false;
  state.last_error = std::string("it\0failed", 9);
  state.holder = "runner-1";
  state.lease_until = t.now() + Milliseconds(60'000);
  return state;
}

void an_unknown_job_has_no_state(Trial& t) { EXPECT_FALSE(t.schedules().load("nightly").value()); }

void a_state_is_given_back_as_it_was_written(Trial& t) {
  const auto state = example(t);
  EXPECT_TRUE(t.schedules().exchange("nightly", {}, state).value());
  EXPECT_EQ(t.schedules().load("nightly").value(), state);
  EXPECT_FALSE(t.schedules().load("other").value()) << "jobs are independent";
}

void an_exchange_needs_the_state_that_is_there(Trial& t) {
  const auto first = example(t);
  auto second = first;
  second.last_finished = t.now() + Milliseconds(2);
  EXPECT_FALSE(t.schedules().exchange("nightly", first, second).value()) << "absent";
  EXPECT_TRUE(t.schedules().exchange("nightly", {}, first).value());
  EXPECT_FALSE(t.schedules().exchange("nightly", {}, second).value()) << "present";
  EXPECT_FALSE(t.schedules().exchange("nightly", second, first).value());
  EXPECT_EQ(t.schedules().load("nightly").value(), first);
  EXPECT_TRUE(t.schedules().exchange("nightly", first, second).value());
  EXPECT_EQ(t.schedules().load("nightly").value(), second);
}

void every_field_counts_in_the_comparison(Trial& t) {
  const auto state = example(t);
  ASSERT_TRUE(t.schedules().exchange("nightly", {}, state).value());
  std::vector<ScheduleState> others(7, state);
  others[0].last_due.reset();
  others[1].last_started = t.now();
  others[2].last_finished = t.now();
  others[3].last_ok = true;
  others[4].last_error = "it";
  others[5].holder = "runner-2";
  others[6].lease_until += Milliseconds(1);
  for (std::size_t i = 0; i < others.size(); ++i) EXPECT_FALSE(t.schedules().exchange("nightly", others[i], others[0]).value()) << i;
}

void of_many_runners_one_wins(Trial& t) {
  for (int round = 0; round < 10; ++round) {
    const auto job = "job" + std::to_string(round);
    std::atomic<int> won{0};
    {
      Threads runners;
      for (int r = 0; r < 4; ++r) {
        runners.run([&, r] {
          auto mine = example(t);
          mine.holder = "runner-" + std::to_string(r);
          if (t.schedules().exchange(job, {}, mine).value()) ++won;
        });
      }
    }
    EXPECT_EQ(won.load(), 1);
  }
}

void reopening_keeps_the_states(Trial& t) {
  const auto state = example(t);
  t.schedules().exchange("nightly", {}, state).value();
  t.reopen();
  EXPECT_EQ(t.schedules().load("nightly").value(), state);
}

void a_second_opening_sees_who_holds_the_lease(Trial& t) {
  const auto second = t.share();
  const auto state = example(t);
  EXPECT_TRUE(t.schedules().exchange("nightly", {}, state).value());
  EXPECT_EQ(second.schedules->load("nightly").value(), state);
  EXPECT_FALSE(second.schedules->exchange("nightly", {}, state).value());
}

const std::array kCases{
    Case{"an_unknown_job_has_no_state", an_unknown_job_has_no_state},
    Case{"a_state_is_given_back_as_it_was_written", a_state_is_given_back_as_it_was_written},
    Case{"an_exchange_needs_the_state_that_is_there", an_exchange_needs_the_state_that_is_there},
    Case{"every_field_counts_in_the_comparison", every_field_counts_in_the_comparison},
    Case{"of_many_runners_one_wins", of_many_runners_one_wins},
    Case{"reopening_keeps_the_states", reopening_keeps_the_states, {}, Needs::kReopen},
    Case{"a_second_opening_sees_who_holds_the_lease", a_second_opening_sees_who_holds_the_lease, {}, Needs::kShare},
};

}  // namespace

Cases schedule_cases() { return kCases; }

}  // namespace setget::inline v0::testing::detail
