// Scheduler: runs jobs by cron, one runner among many processes.
// Thread rule: any thread. Jobs run on the scheduler's thread (or the host's, in run_once), one after the other.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <setget/clock.hpp>
#include <setget/cron.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/observe.hpp>
#include <setget/schedule_store.hpp>

namespace setget::inline v0 {

enum class CatchUp : std::uint8_t {
  kSkip,  // missed runs are forgotten: due before start() (or before run_once()), and more than a minute ago
  kOnce,  // one run for all that were missed
  kAll,   // one run for each, oldest first
};

struct JobContext {
  TimePoint due{};
  Deadline deadline;  // end of the lease budget of this try
  std::uint32_t attempt = 0;
};

// A run that was given up: it failed, and is not tried again before the next due time.
struct JobFailure {
  std::string job{};
  TimePoint due{};
  std::uint32_t attempts = 0;  // made, by this runner
  Error error;                 // of the last one
};

// Lengths of time are at most 10 years, but for the window.
struct JobOptions {
  std::string name{};  // [A-Za-z0-9._-]{1,64}
  Cron schedule;
  std::function<Result<void>(const JobContext&)> run{};
  CatchUp catch_up = CatchUp::kOnce;
  Milliseconds jitter{0};            // a random wait in [0, jitter] after the due time
  Milliseconds lease{600'000};       // renewed while the job runs; another process takes over when it ends
  std::uint32_t max_attempts = 3;    // then skipped until the next due time; > 0
  Milliseconds retry_after{30'000};  // before the second attempt
  Milliseconds retry_cap{0};         // the wait doubles with each attempt, up to this; 0 = it stays as it is
  Milliseconds retry_window{0};      // no attempt begins later than so long after the first; 0 = as many as max_attempts says
  std::function<bool(const Error&)> worth_retrying{};    // false: given up at once; empty, or it throws: every error is
  std::function<void(const JobFailure&)> on_given_up{};  // called on the thread that ran it; an exception is caught and logged
};

struct JobStatus {
  std::string name{};
  std::string cron{};
  std::string zone{};
  std::optional<TimePoint> last_due{};
  std::optional<TimePoint> last_finished{};
  bool last_ok = true;
  std::string last_error{};
  std::optional<TimePoint> next_due{};
  bool running = false;
};

struct SchedulerOptions {
  std::shared_ptr<ScheduleStore> store{};  // empty: memory_schedule_store()
  std::shared_ptr<const Clock> clock{};
  std::shared_ptr<Random> random{};
  std::shared_ptr<Logger> logger{};
  std::shared_ptr<Metrics> metrics{};
  std::string runner{};  // this process's name; empty: a fresh ULID
};

class SETGET_API Scheduler {
 public:
  static Result<std::unique_ptr<Scheduler>> create(SchedulerOptions options = {});
  ~Scheduler();
  // Before start() or later. A job that the store has never seen is due from now on. kAlreadyExists for a second job of one name.
  Result<void> add(JobOptions job);
  // Starts the thread. Idempotent.
  Result<void> start();
  // Runs what is due now by the clock, retries and runs of dead runners included; returns how many tries ran. For hosts that own the
  // threads, and for simulated time. kFailedPrecondition from within a job.
  Result<std::size_t> run_once();
  // Starts no more jobs; waits for the one that runs. kDeadlineExceeded if it is still running then (the destructor waits for it).
  // Idempotent.
  Result<void> stop(Deadline deadline);
  // Names, due times and the last result, as the store has them.
  Result<std::vector<JobStatus>> jobs();

 private:
  struct State;
  explicit Scheduler(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace setget::inline v0
