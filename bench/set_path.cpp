// The whole set path: enqueue, worker, apply, ack. Timed from the first call until the last set is readable, so that a queue which only
// grows does not count as fast.
#include "bench/benches.hpp"
#include "bench/load.hpp"

namespace bench {

namespace {

double path_rate(const Settings& settings, std::size_t threads, std::size_t per_call) {
  Candidate candidate(settings);
  const auto start = Clock::now();
  const std::uint64_t sets = produce(candidate.pipeline(), threads, per_call, 0, settings.seconds, 0);
  candidate.drain(sets);
  return static_cast<double>(sets) / seconds_since(start);
}

void compare(const Settings& settings, Report& report, const std::string& name, std::size_t per_call, double target, double aim) {
  std::vector<double> raw;
  std::vector<double> rates;
  for (int trial = 0; trial < settings.trials; ++trial) {
    raw.push_back(raw_insert_rate(fresh_path(settings, "raw").string(), 100, settings.seconds));
    rates.push_back(path_rate(settings, 16, per_call));
  }
  report.add({.name = name, .value = median(rates), .unit = "sets/s", .baseline = median(raw), .target = target, .aim = aim});
}

}  // namespace

void bench_set_16x10(const Settings& settings, Report& report) { compare(settings, report, "set-16x10", 10, 0.20, 0.33); }
void bench_set_16x1(const Settings& settings, Report& report) { compare(settings, report, "set-16x1", 1, 0.13, 0.17); }

}  // namespace bench
