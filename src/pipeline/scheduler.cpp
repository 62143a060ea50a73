#include <setget/scheduler.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <utility>

#include <setget/record.hpp>
#include <setget/validator.hpp>

#include "core/check_length.hpp"
#include "pipeline/schedule_lease.hpp"
#include "pipeline/schedule_plan.hpp"

namespace setget::inline v0 {

namespace {

using detail::SchedulePlan;
using Steady = std::chrono::steady_clock;

constexpr TimePoint kNever = TimePoint::max();
// The longest sleep: a clock that is set is noticed after it. Waking costs no look at the store.
constexpr Milliseconds kLongestSleep{1'000};
constexpr Milliseconds kStoreRetry{1'000};
// Missed runs that one pass makes up for at most, so that stop() and other jobs get their turn.
constexpr std::size_t kMaxRunsInPass = 1'000;

// A try that failed and waits for its next one; the lease is kept meanwhile.
struct Retry {
  ScheduleState held;
  std::uint32_t attempt = 0;
  TimePoint at{};
};

// How a try ended, where the store could not be told yet.
struct Unsettled {
  ScheduleState held;
  ScheduleState next;
  std::uint32_t next_attempt = 0;  // 0: none
  TimePoint retry_at{};
};

struct Job {
  JobOptions options;
  TimePoint wake_at{};                // nothing to do before
  std::optional<TimePoint> start_at;  // the next run, held back by its jitter
  std::optional<Retry> retry;
  std::optional<Unsettled> unsettled;
};

Error invalid(std::string field, std::string what) {
  return Error(ErrorCode::kInvalidArgument, std::move(what)).at_field(std::move(field));
}

Result<void> check(const JobOptions& job) {
  if (!is_name(job.name)) return invalid("name", fmt::format("\"{}\": a job's name is 1 to 64 of [A-Za-z0-9._-]", job.name));
  if (!job.run) return invalid("run", "a job needs something to run");
  const auto too_long = [](Milliseconds length) { return length > detail::kLongestLength; };
  if (job.jitter < Milliseconds(0) || too_long(job.jitter)) return invalid("jitter", "must be in [0, 10 years]");
  if (job.lease < Milliseconds(3) || too_long(job.lease))
    return invalid("lease", "must be at least 3 ms, because it is renewed every third of it, and at most 10 years");
  if (job.max_attempts == 0) return invalid("max_attempts", "must be above 0");
  if (job.retry_after < Milliseconds(0) || too_long(job.retry_after)) return invalid("retry_after", "must be in [0, 10 years]");
  if (job.retry_cap < Milliseconds(0) || too_long(job.retry_cap)) return invalid("retry_cap", "must be in [0, 10 years]");
  if (job.retry_window < Milliseconds(0)) return invalid("retry_window", "must not be negative");
  return {};
}

}  // namespace

struct Scheduler::State {
  explicit State(SchedulerOptions given) : options(std::move(given)) {}

  std::size_t pass(bool& store_failed);
  Result<std::size_t> work(Job& job);
  void run_try(Job& job, ScheduleState held, std::uint32_t attempt);
  Result<void> call(const Job& job, const JobContext& context, ScheduleState& held, bool& lost);
  void settle(Job& job, ScheduleState held, std::uint32_t attempt, const Result<void>& result);
  void give_up(const Job& job, TimePoint due, std::uint32_t attempts, const Error& error);
  Result<void> write_end(Job& job);
  void give_up_leases();
  void loop();
  bool held_back(Job& job, TimePoint due, TimePoint now);
  TimePoint look();
  void set_back(TimePoint now, Milliseconds back);
  std::vector<Job*> known_jobs();
  void warn(std::string_view message, std::string_view job, const Error& error) const;

  const SchedulerOptions options;
  std::atomic<TimePoint> watched_since = kNever;

  std::mutex pass_mutex;  // one pass at a time; guards what jobs hold, and `seen`. Taken before `mutex`
  TimePoint seen{};       // the clock when it was last looked at
  std::mutex mutex;       // guards what follows
  std::condition_variable changed;
  std::vector<std::unique_ptr<Job>> jobs;  // never shrinks
  bool stopping = false;
  std::size_t passes = 0;  // under way
  std::atomic<std::thread::id> passing{};
  bool looping = false;
  std::thread thread;
  std::optional<Error> last_error;  // of the store, in the last pass
};

Scheduler::Scheduler(std::unique_ptr<State> state) : state_(std::move(state)) {}

Scheduler::~Scheduler() {
  (void)stop(Deadline::immediate());
  if (state_->thread.joinable()) state_->thread.join();
}

Result<std::unique_ptr<Scheduler>> Scheduler::create(SchedulerOptions options) {
  if (!options.store) options.store = memory_schedule_store();
  if (!options.clock) options.clock = system_clock();
  if (!options.random) options.random = system_random();
  if (!options.logger) options.logger = no_logger();
  if (!options.metrics) options.metrics = no_metrics();
  // Two schedulers are two runners, also where the host gives them one name.
  const auto unique = make_ulid(options.clock->now(), *options.random);
  options.runner = options.runner.empty() ? unique : fmt::format("{}/{}", options.runner, unique);
  return std::unique_ptr<Scheduler>(new Scheduler(std::make_unique<State>(std::move(options))));
}

Result<void> Scheduler::add(JobOptions job) {
  if (auto checked = check(job); !checked) return checked;
  auto& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (std::ranges::any_of(state.jobs, [&](const auto& other) { return other->options.name == job.name; })) {
    return Error(ErrorCode::kAlreadyExists, fmt::format("job \"{}\" is there already", job.name)).at_field("name");
  }
  // The first sight of a job is where its due times start to count.
  auto loaded = state.options.store->load(job.name);
  if (!loaded) return std::move(loaded).error();
  if (!*loaded) {
    ScheduleState first;
    first.last_due = state.options.clock->now();
    if (auto stored = state.options.store->exchange(job.name, std::nullopt, first); !stored) return std::move(stored).error();
  }
  state.jobs.push_back(std::make_unique<Job>(Job{.options = std::move(job), .wake_at = {}, .start_at = {}, .retry = {}, .unsettled = {}}));
  state.changed.notify_all();
  return {};
}

Result<void> Scheduler::start() {
  auto& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.stopping) return Error(ErrorCode::kCancelled, "the scheduler is stopped");
  if (state.looping) return {};
  state.watched_since = state.options.clock->now();
  try {
    state.thread = std::thread([&state] { state.loop(); });
  } catch (const std::system_error& problem) {
    return Error(ErrorCode::kResourceExhausted, fmt::format("no thread for the scheduler: {}", problem.what()));
  }
  state.looping = true;
  return {};
}

Result<std::size_t> Scheduler::run_once() {
  auto& state = *state_;
  if (state.passing == std::this_thread::get_id())
    return Error(ErrorCode::kFailedPrecondition, "a job cannot run the scheduler that runs it");
  bool store_failed = false;
  const auto ran = state.pass(store_failed);
  const std::lock_guard lock(state.mutex);
  if (state.stopping) return Error(ErrorCode::kCancelled, "the scheduler is stopping");
  if (store_failed) return *state.last_error;
  return ran;
}

Result<void> Scheduler::stop(Deadline deadline) {
  auto& state = *state_;
  std::unique_lock lock(state.mutex);
  state.stopping = true;
  state.changed.notify_all();
  const auto quiet = [&state] { return state.passes == 0 && !state.looping; };
  if (!state.changed.wait_until(lock, deadline.time(), quiet)) return Error(ErrorCode::kDeadlineExceeded, "a job is still running");
  if (state.thread.joinable()) {
    auto thread = std::move(state.thread);
    lock.unlock();
    thread.join();
  }
  return {};
}

Result<std::vector<JobStatus>> Scheduler::jobs() {
  std::vector<const JobOptions*> all;
  {
    const std::lock_guard lock(state_->mutex);
    for (const auto& job : state_->jobs) all.push_back(&job->options);
  }
  const auto now = state_->options.clock->now();
  std::vector<JobStatus> out;
  for (const auto* job : all) {
    auto loaded = state_->options.store->load(job->name);
    if (!loaded) return std::move(loaded).error();
    const auto stored = loaded->value_or(ScheduleState{});
    JobStatus status{.name = job->name,
                     .cron = job->schedule.text(),
                     .zone = job->schedule.zone(),
                     .last_due = {},
                     .last_finished = {},
                     .last_error = {},
                     .next_due = {}};
    if (stored.last_started) status.last_due = stored.last_due;  // else it only says since when the job is known
    status.last_finished = stored.last_finished;
    status.last_ok = stored.last_ok;
    status.last_error = stored.last_error;
    status.next_due = job->schedule.next(stored.last_due.value_or(now));
    status.running = !stored.holder.empty() && stored.lease_until > now;
    out.push_back(std::move(status));
  }
  return out;
}

void Scheduler::State::warn(std::string_view message, std::string_view job, const Error& error) const {
  options.logger->log(LogLevel::kWarning, message, {{"job", job}, {"error", error.describe()}});
}

// Every job that has something to do, one after the other.
std::size_t Scheduler::State::pass(bool& store_failed) {
  {
    const std::lock_guard lock(mutex);
    if (stopping) return 0;
    ++passes;
  }
  std::size_t ran = 0;
  {
    const std::lock_guard one(pass_mutex);
    passing = std::this_thread::get_id();
    for (std::size_t i = 0;; ++i) {
      Job* job = nullptr;
      {
        const std::lock_guard lock(mutex);
        if (stopping || i >= jobs.size()) break;
        job = jobs[i].get();
      }
      if (look() < job->wake_at) continue;
      auto worked = work(*job);
      if (worked) {
        ran += *worked;
        continue;
      }
      store_failed = true;
      job->wake_at = options.clock->now() + kStoreRetry;
      warn("the schedule store failed", job->options.name, worked.error());
      const std::lock_guard lock(mutex);
      last_error = std::move(worked).error();
    }
    bool leaving = false;
    {
      const std::lock_guard lock(mutex);
      leaving = stopping;
    }
    if (leaving) give_up_leases();
    passing = std::thread::id();
  }
  const std::lock_guard lock(mutex);
  --passes;
  changed.notify_all();
  return ran;
}

// All that one job has to do now. Returns the tries made; errors are the store's.
Result<std::size_t> Scheduler::State::work(Job& job) {
  std::size_t ran = 0;
  while (ran < kMaxRunsInPass) {
    {
      const std::lock_guard lock(mutex);
      if (stopping) return ran;
    }
    if (auto told = write_end(job); !told) return std::move(told).error();
    const auto now = look();
    if (job.retry) {
      job.wake_at = job.retry->at;
      if (now < job.retry->at) return ran;
      auto retry = std::exchange(job.retry, std::nullopt);
      auto next = retry->held;
      next.lease_until = now + job.options.lease;
      auto held = detail::exchange_as_holder(*options.store, job.options.name, retry->held, next);
      if (!held) {
        job.retry = std::move(retry);
        return std::move(held).error();
      }
      if (!*held) continue;  // another runner has taken over
      run_try(job, std::move(**held), retry->attempt);
      ++ran;
      continue;
    }
    auto loaded = options.store->load(job.options.name);
    if (!loaded) return std::move(loaded).error();
    const auto state = loaded->value_or(ScheduleState{});
    auto plan = detail::plan_job(job.options, state, now, watched_since);
    // Held by this runner, which is not running it: taken by a write whose reply was lost.
    if (state.holder == options.runner)
      plan = {.action = SchedulePlan::Action::kResume, .due = state.last_due.value_or(now), .wake_at = now};
    if (plan.action == SchedulePlan::Action::kWait) {
      job.start_at.reset();  // another runner had the turn that it was drawn for: the next one has its own
      job.wake_at = plan.wake_at.value_or(kNever);
      return ran;
    }
    if (plan.action == SchedulePlan::Action::kRun && held_back(job, plan.due, now)) return ran;
    auto next = state;
    next.last_due = plan.due;
    const bool rewind = plan.action == SchedulePlan::Action::kRewind;
    const bool runs = plan.action == SchedulePlan::Action::kRun || plan.action == SchedulePlan::Action::kResume;
    if (rewind) {
      next.holder.clear();
      next.lease_until = {};
    }
    if (runs) {
      next.last_started = now;
      next.holder = options.runner;
      next.lease_until = now + job.options.lease;
    }
    auto taken = options.store->exchange(job.options.name, *loaded, next);
    if (!taken) return std::move(taken).error();
    if (*taken && rewind) {
      options.logger->log(LogLevel::kWarning, "a job's last due time lay far ahead of the clock: it is planned from now on",
                          {{"job", job.options.name}, {"ahead_ms", std::to_string((*state.last_due - now).count())}});
    }
    if (!*taken || !runs) continue;  // somebody else was quicker: look again
    run_try(job, std::move(next), 0);
    ++ran;
  }
  if (auto told = write_end(job); !told) return std::move(told).error();
  return ran;
}

// The clock. Whatever waits for a time of it is looked at again where it was set back.
TimePoint Scheduler::State::look() {
  const auto now = options.clock->now();
  if (now < seen) set_back(now, seen - now);
  return seen = now;
}

std::vector<Job*> Scheduler::State::known_jobs() {
  std::vector<Job*> all;
  const std::lock_guard lock(mutex);
  for (const auto& job : jobs) all.push_back(job.get());
  return all;
}

void Scheduler::State::set_back(TimePoint now, Milliseconds back) {
  if (watched_since.load() != kNever) watched_since = std::min(watched_since.load(), now);
  for (auto* job : known_jobs()) {
    job->wake_at = {};
    job->start_at.reset();
    // As long as before.
    if (job->retry) job->retry->at -= back;
    if (job->unsettled) job->unsettled->retry_at -= back;
  }
}

// True until the random wait after a due time is over. Drawn once for each run, so that later due times do not prolong it.
bool Scheduler::State::held_back(Job& job, TimePoint due, TimePoint now) {
  if (job.options.jitter == Milliseconds(0)) return false;
  if (!job.start_at) {
    const auto range = static_cast<std::uint64_t>(job.options.jitter.count()) + 1;
    job.start_at = due + Milliseconds(static_cast<std::int64_t>(options.random->next() % range));
  }
  if (now < *job.start_at) {
    job.wake_at = *job.start_at;
    return true;
  }
  job.start_at.reset();
  return false;
}

void Scheduler::State::run_try(Job& job, ScheduleState held, std::uint32_t attempt) {
  const JobContext context{.due = *held.last_due, .deadline = Deadline::in(job.options.lease), .attempt = attempt};
  const auto began = Steady::now();
  bool lost = false;
  const auto result = call(job, context, held, lost);
  const std::chrono::duration<double> took = Steady::now() - began;
  options.metrics->observe("setget_schedule_duration_seconds", took.count(), {{"job", job.options.name}});
  options.metrics->add("setget_schedule_tries_total", 1, {{"job", job.options.name}, {"result", result ? "ok" : "failed"}});
  if (!result) warn("a scheduled job failed", job.options.name, result.error());
  if (lost) {
    options.logger->log(LogLevel::kWarning, "a scheduled job outlived its lease; its result is not recorded", {{"job", job.options.name}});
    return;
  }
  settle(job, std::move(held), attempt, result);
}

// Calls the host's function while the lease is kept; `held` is the state as it stands afterwards.
Result<void> Scheduler::State::call(const Job& job, const JobContext& context, ScheduleState& held, bool& lost) {
  try {
    detail::ScheduleLease keeper(*options.store, *options.clock, job.options.name, held, job.options.lease);
    const auto finish = [&] {
      auto now_held = keeper.finish();
      lost = !now_held;
      if (now_held) held = std::move(*now_held);
    };
    try {
      auto result = job.options.run(context);
      finish();
      return result;
    } catch (const std::exception& problem) {
      finish();
      return Error(ErrorCode::kInternal, fmt::format("the job threw: {}", problem.what())).from(ErrorSource::kHost, 0, "");
    } catch (...) {
      finish();
      return Error(ErrorCode::kInternal, "the job threw something that is not a std::exception").from(ErrorSource::kHost, 0, "");
    }
  } catch (const std::system_error& problem) {
    return Error(ErrorCode::kResourceExhausted, fmt::format("no thread to keep the lease: {}", problem.what()));
  }
}

// Notes how a try ended: finished, to be tried again, or given up until the next due time.
void Scheduler::State::settle(Job& job, ScheduleState held, std::uint32_t attempt, const Result<void>& result) {
  const auto now = look();
  Unsettled end{.held = std::move(held), .next = {}};
  end.next = end.held;
  auto& next = end.next;
  next.last_ok = result.has_value();
  next.last_error = result ? std::string() : result.error().describe();
  const auto again =
      result ? std::nullopt : detail::plan_retry(job.options, end.held.last_started.value_or(now), now, attempt, result.error());
  if (again) {
    end.next_attempt = attempt + 1;
    end.retry_at = *again;
    next.lease_until = end.retry_at + job.options.lease;
  } else {
    next.last_finished = now;
    next.holder.clear();
    next.lease_until = {};
    if (!result) give_up(job, end.held.last_due.value_or(now), attempt + 1, result.error());
  }
  job.unsettled = std::move(end);
}

void Scheduler::State::give_up(const Job& job, TimePoint due, std::uint32_t attempts, const Error& error) {
  options.metrics->add("setget_schedule_given_up_total", 1, {{"job", job.options.name}});
  options.logger->log(LogLevel::kError, "a scheduled job was given up until it is due again",
                      {{"job", job.options.name}, {"tries", std::to_string(attempts)}, {"error", error.describe()}});
  if (!job.options.on_given_up) return;
  try {
    job.options.on_given_up({.job = job.options.name, .due = due, .attempts = attempts, .error = error});
  } catch (const std::exception& problem) {
    options.logger->log(LogLevel::kError, "the hook of a job that was given up threw",
                        {{"job", job.options.name}, {"error", problem.what()}});
  } catch (...) {
    options.logger->log(LogLevel::kError, "the hook of a job that was given up threw", {{"job", job.options.name}});
  }
}

// Tells the store. Until that succeeds the job does nothing else, so that a run that is done is not done again by this runner.
Result<void> Scheduler::State::write_end(Job& job) {
  if (!job.unsettled) return {};
  auto written = detail::exchange_as_holder(*options.store, job.options.name, job.unsettled->held, job.unsettled->next);
  if (!written) return std::move(written).error();
  const auto end = std::exchange(job.unsettled, std::nullopt);
  // Empty: the write took place although its reply was lost, or the lease ran out meanwhile and another runner has the job.
  if (*written && end->next_attempt > 0) job.retry = Retry{.held = std::move(**written), .attempt = end->next_attempt, .at = end->retry_at};
  return {};
}

// So that other runners need not wait for leases of tries that this one will not make.
void Scheduler::State::give_up_leases() {
  for (auto* job : known_jobs()) {
    if (auto told = write_end(*job); !told)
      warn("the end of a scheduled job could not be recorded; it will run again", job->options.name, told.error());
    auto retry = std::exchange(job->retry, std::nullopt);
    if (!retry) continue;
    auto next = retry->held;
    next.lease_until = options.clock->now();
    auto written = detail::exchange_as_holder(*options.store, job->options.name, retry->held, next);
    if (!written) warn("a lease could not be given up; it runs out by itself", job->options.name, written.error());
  }
}

void Scheduler::State::loop() {
  for (;;) {
    bool store_failed = false;
    pass(store_failed);
    TimePoint wake = kNever;
    std::size_t known = 0;
    {
      const std::lock_guard one(pass_mutex);
      const std::lock_guard lock(mutex);
      for (const auto& job : jobs) wake = std::min(wake, job->wake_at);
      known = jobs.size();
    }
    const auto now = options.clock->now();
    const auto sleep = wake <= now ? Milliseconds(1) : wake - now < kLongestSleep ? wake - now : kLongestSleep;
    std::unique_lock lock(mutex);
    changed.wait_for(lock, sleep, [&] { return stopping || jobs.size() != known; });
    if (stopping) break;
  }
  {
    const std::lock_guard one(pass_mutex);
    give_up_leases();
  }
  const std::lock_guard lock(mutex);
  looping = false;
  changed.notify_all();
}

}  // namespace setget::inline v0
