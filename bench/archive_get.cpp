// What an archive run costs the readers. Gets arrive at fixed moments (open loop, 30 % of what one thread can do), and each is timed from
// the moment it was due, so that a stall counts for every get that had to wait behind it.
#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "bench/archive_get.hpp"
#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "bench/raw_sqlite.hpp"

namespace bench {

namespace {

constexpr std::uint64_t kRecords = 40'000;
constexpr std::uint64_t kBatch = 500;  // of the writer by hand, as ArchiverOptions has it

void read_one(setget::Pipeline& pipeline, Sequence& random) {
  const auto found = must(pipeline.get(key(random.next() % kRecords)), "get");
  if (!found) fail("get did not find what was set");
}

double closed_loop_rate(setget::Pipeline& pipeline, double seconds) {
  Sequence random{7};
  std::uint64_t reads = 0;
  const auto start = Clock::now();
  for (; seconds_since(start) < seconds; ++reads) read_one(pipeline, random);
  return static_cast<double>(reads) / seconds_since(start);
}

// Until `over()`; latencies in us. It waits asleep, as a server does: one that looks at the clock all the time is a load of a whole
// processor, whatever the rate, and the scheduler gives it what is left of that when others want to work too.
template <class Over>
std::vector<double> open_loop(setget::Pipeline& pipeline, double rate, Over over) {
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // ns; 50 us unless said, which is three gets
  std::vector<double> taken;
  taken.reserve(1u << 20);
  Sequence random{11};
  const auto start = Clock::now();
  const double gap = 1 / rate;
  for (std::uint64_t n = 0; !over(); ++n) {
    const double due = static_cast<double>(n) * gap;
    std::this_thread::sleep_until(start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(due)));
    read_one(pipeline, random);
    taken.push_back((seconds_since(start) - due) * 1e6);
  }
  return taken;
}

double archive_rate(setget::Pipeline& pipeline) {
  const auto start = Clock::now();
  const auto report = must(pipeline.archiver()->run(), "archive run");
  if (report.written != kRecords) fail("the archive run wrote " + std::to_string(report.written) + " records");
  return static_cast<double>(report.written) / seconds_since(start);
}

struct Trial {
  double idle_rate = 0;
  double busy_rate = 0;
  double quiet_p99 = 0;
  double busy_p99 = 0;
  double hand_p99 = 0;
};

// On a thread of its own, which the threads that it makes follow.
std::thread work_of(const ArchiveGets& what, std::function<void()> work) {
  return std::thread([idle = what.idle, work = std::move(work)] {
    const sched_param none{};
    if (idle && ::sched_setscheduler(0, SCHED_IDLE, &none) != 0) fail("a thread cannot have SCHED_IDLE");
    work();
  });
}

// While `work` is done.
double p99_beside(const ArchiveGets& what, setget::Pipeline& pipeline, double rate, const std::function<void()>& work) {
  std::atomic<bool> done{false};
  std::thread other = work_of(what, [&] {
    work();
    done = true;
  });
  const double p99 = percentile(open_loop(pipeline, rate, [&] { return done.load(std::memory_order_relaxed); }), 0.99);
  other.join();
  return p99;
}

Trial run_trial(const Settings& settings, const ArchiveGets& what) {
  Trial trial;
  {
    Candidate idle(settings, what.archive());
    idle.drain(produce(idle.pipeline(), 16, 100, 0, 0, kRecords));
    work_of(what, [&] { trial.idle_rate = archive_rate(idle.pipeline()); }).join();
  }
  Candidate candidate(settings, what.archive());
  auto& pipeline = candidate.pipeline();
  candidate.drain(produce(pipeline, 16, 100, 0, 0, kRecords));
  const double rate = 0.3 * closed_loop_rate(pipeline, settings.seconds / 4);
  const auto start = Clock::now();
  trial.quiet_p99 = percentile(open_loop(pipeline, rate, [&] { return seconds_since(start) >= settings.seconds; }), 0.99);
  if (what.by_hand) trial.hand_p99 = p99_beside(what, pipeline, rate, [&] { what.by_hand(kRecords); });
  trial.busy_p99 = p99_beside(what, pipeline, rate, [&] { trial.busy_rate = archive_rate(pipeline); });
  return trial;
}

}  // namespace

void measure_archive_gets(const Settings& settings, const ArchiveGets& what, Report& report) {
  std::vector<double> idle, busy, quiet99, busy99, hand99;
  for (int i = 0; i < settings.trials; ++i) {
    const Trial trial = run_trial(settings, what);
    hand99.push_back(trial.hand_p99);
    idle.push_back(trial.idle_rate);
    busy.push_back(trial.busy_rate);
    quiet99.push_back(trial.quiet_p99);
    busy99.push_back(trial.busy_p99);
  }
  report.add({.name = what.prefix + "-get-p99",
              .value = median(busy99),
              .unit = "us",
              .baseline = median(quiet99),
              .target = 1.5,
              .lower_is_better = true});
  if (what.by_hand) {
    report.add({.name = what.prefix + "-get-p99-by-hand", .value = median(hand99), .unit = "us", .baseline = median(quiet99)});
  }
  report.add(
      {.name = what.prefix + "-rate-under-gets", .value = median(busy), .unit = "records/s", .baseline = median(idle), .target = 0.5});
}

void bench_archive_get(const Settings& settings, Report& report) {
  const auto by_hand = [&](std::uint64_t records) {
    const auto path = fresh_path(settings, "raw");
    {
      RawStore raw(path.string(), true);
      for (std::uint64_t from = 0; from < records; from += kBatch) {
        raw.begin();
        for (auto i = from; i < std::min(from + kBatch, records); ++i) raw.insert_with_key(key(i), payload(i));
        raw.commit();
      }
    }
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path.string() + suffix);
  };
  const auto beside_the_store = [] { return std::shared_ptr<setget::ArchiveBackend>(); };
  measure_archive_gets(settings, {.prefix = "archive", .archive = beside_the_store, .by_hand = by_hand}, report);
}

}  // namespace bench
