// Parts of the hot path, by Google Benchmark; information, without targets.
#include <algorithm>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <setget/cron.hpp>
#include <setget/gateway.hpp>
#include <setget/record.hpp>
#include <setget/ttl.hpp>
#include <setget/validator.hpp>

#include "bench/benches.hpp"
#include "bench/load.hpp"

namespace bench {

namespace {

setget::Command command() {
  setget::Command made;
  made.id = "01J000000000000000000000AB";
  made.keys = {key(1), key(2)};
  made.account = "bench";
  made.flow = "orders";
  made.payload = payload(1);
  made.content_type = "application/json";
  return made;
}

void encode(benchmark::State& state) {
  const auto made = command();
  for (auto _ : state) benchmark::DoNotOptimize(setget::encode_command(made));
}

void decode(benchmark::State& state) {
  const auto bytes = setget::encode_command(command());
  for (auto _ : state) benchmark::DoNotOptimize(setget::decode_command(bytes));
}

void digest(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(setget::digest_of(payload(1)));
}

void validate(benchmark::State& state) {
  const auto validator = setget::envelope_validator();
  const auto made = command();
  for (auto _ : state) benchmark::DoNotOptimize(validator->validate(made));
}

void parse_envelope(benchmark::State& state) {
  const setget::Payload json(R"({"keys":[")" + key(1) + R"("],"account":"bench","flow":"orders","payload":)" + payload(1) + "}");
  const setget::Limits limits;
  for (auto _ : state) benchmark::DoNotOptimize(setget::parse_envelope(json, limits));
}

void resolve_ttl(benchmark::State& state) {
  const setget::TtlPolicy policy;
  for (auto _ : state) benchmark::DoNotOptimize(policy.resolve("bench", "orders", {}));
}

void next_due(benchmark::State& state) {
  const auto cron = must(setget::Cron::parse("0 0 2 * * *", "Europe/Berlin"), "cron");
  setget::TimePoint time{};
  for (auto _ : state) benchmark::DoNotOptimize(cron.next(time));
}

void make_ulid(benchmark::State& state) {
  const auto random = setget::system_random();
  const auto now = setget::system_clock()->now();
  for (auto _ : state) benchmark::DoNotOptimize(setget::make_ulid(now, *random));
}

class Collector : public benchmark::BenchmarkReporter {
 public:
  explicit Collector(Report& report) : report_(report) {}
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Aggregate || run.aggregate_name != "median") continue;
      report_.add({.name = "part-" + run.run_name.function_name, .value = run.GetAdjustedCPUTime(), .unit = "ns", .lower_is_better = true});
    }
  }

 private:
  Report& report_;
};

}  // namespace

void bench_parts(const Settings& settings, Report& report) {
  const auto add = [&](const char* name, void (*function)(benchmark::State&)) {
    benchmark::RegisterBenchmark(name, function)
        ->Repetitions(std::max(3, settings.trials))
        ->MinTime(settings.seconds / 20)
        ->ReportAggregatesOnly();
  };
  add("encode-command", encode);
  add("decode-command", decode);
  add("digest-1KiB", digest);
  add("validate-1KiB", validate);
  add("parse-envelope-1KiB", parse_envelope);
  add("resolve-ttl", resolve_ttl);
  add("cron-next", next_due);
  add("make-ulid", make_ulid);
  Collector collector(report);
  benchmark::RunSpecifiedBenchmarks(&collector);
}

}  // namespace bench
