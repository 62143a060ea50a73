// Reads by key, one thread, uniformly random over 100 000 records, against a hand-tuned point read by the same keys.
#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "bench/raw_sqlite.hpp"

namespace bench {

namespace {

constexpr std::uint64_t kRecords = 100'000;

template <class Read>
double read_rate(double seconds, Read read) {
  Sequence random{42};
  std::uint64_t reads = 0;
  const auto start = Clock::now();
  while (seconds_since(start) < seconds) {
    for (int i = 0; i < 256; ++i, ++reads) read(random.next() % kRecords);
  }
  return static_cast<double>(reads) / seconds_since(start);
}

void fill(RawStore& raw) {
  raw.begin();
  for (std::uint64_t n = 0; n < kRecords; ++n) raw.insert_with_key(key(n), payload(n));
  raw.commit();
}

}  // namespace

void bench_get(const Settings& settings, Report& report) {
  Candidate candidate(settings);
  candidate.drain(produce(candidate.pipeline(), 16, 100, 0, 0, kRecords));
  RawStore raw(fresh_path(settings, "raw").string(), true);
  fill(raw);
  const auto from_setget = [&](std::uint64_t n) {
    const auto found = must(candidate.pipeline().get(key(n)), "get");
    if (!found || found->payload.size() != kPayloadBytes) fail("get did not find what was set");
  };
  std::string body;
  const auto from_raw = [&](std::uint64_t n) {
    if (!raw.get_by_key(key(n), body) || body.size() != kPayloadBytes) fail("the raw read did not find its row");
  };
  const auto from_raw_id = [&](std::uint64_t n) {
    if (!raw.get_by_id(static_cast<std::int64_t>(n) + 1, body)) fail("the raw read did not find its row");
  };
  read_rate(settings.seconds / 4, from_setget);
  read_rate(settings.seconds / 4, from_raw);
  std::vector<double> raw_rates, raw_id_rates, rates;
  for (int trial = 0; trial < settings.trials; ++trial) {
    raw_rates.push_back(read_rate(settings.seconds, from_raw));
    rates.push_back(read_rate(settings.seconds, from_setget));
    raw_id_rates.push_back(read_rate(settings.seconds / 4, from_raw_id));
  }
  report.add({.name = "get-1", .value = median(rates), .unit = "gets/s", .baseline = median(raw_rates), .target = 0.5, .aim = 0.8});
  report.add({.name = "get-1-vs-rowid-read", .value = median(rates), .unit = "gets/s", .baseline = median(raw_id_rates)});
}

}  // namespace bench
