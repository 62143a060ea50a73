// One set at a time with nothing else in flight, against one raw durable insert, turn by turn on the same disk.
#include <cstdint>

#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "bench/raw_sqlite.hpp"

namespace bench {

namespace {

struct Latencies {
  std::vector<double> raw_us;
  std::vector<double> set_us;
  std::vector<double> visible_us;
};

Latencies take_turns(const Settings& settings) {
  Latencies taken;
  Candidate candidate(settings);
  RawStore raw(fresh_path(settings, "raw").string(), false);
  const auto start = Clock::now();
  for (std::uint64_t n = 0; seconds_since(start) < 2 * settings.seconds || n < 20; ++n) {
    auto began = Clock::now();
    raw.begin();
    raw.insert(static_cast<std::int64_t>(n), payload(n));
    raw.commit();
    taken.raw_us.push_back(seconds_since(began) * 1e6);

    auto asked = request(n);
    began = Clock::now();
    const auto receipt = must(candidate.pipeline().set(std::move(asked)), "set");
    taken.set_us.push_back(seconds_since(began) * 1e6);
    // The worker finishes before the next turn: its own commit must not fall into the baseline's time.
    const auto status = must(candidate.pipeline().wait(receipt, setget::Deadline::in(std::chrono::seconds(30))), "wait");
    if (status.outcome != setget::Outcome::kApplied) fail("a lone set was not applied");
    taken.visible_us.push_back(seconds_since(began) * 1e6);
  }
  return taken;
}

}  // namespace

void bench_lone_set(const Settings& settings, Report& report) {
  std::vector<double> raw50, raw99, set50, set99, visible50;
  for (int trial = 0; trial < settings.trials; ++trial) {
    const Latencies taken = take_turns(settings);
    raw50.push_back(percentile(taken.raw_us, 0.50));
    raw99.push_back(percentile(taken.raw_us, 0.99));
    set50.push_back(percentile(taken.set_us, 0.50));
    set99.push_back(percentile(taken.set_us, 0.99));
    visible50.push_back(percentile(taken.visible_us, 0.50));
  }
  report.add({.name = "lone-set-p50",
              .value = median(set50),
              .unit = "us",
              .baseline = median(raw50),
              .target = 1.5,
              .aim = 1.2,
              .lower_is_better = true});
  report.add({.name = "lone-set-p99",
              .value = median(set99),
              .unit = "us",
              .baseline = median(raw99),
              .target = 2.0,
              .aim = 1.2,
              .lower_is_better = true});
  report.add({.name = "lone-set-readable-p50", .value = median(visible50), .unit = "us", .lower_is_better = true});
}

}  // namespace bench
