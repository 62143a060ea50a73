// The whole path on one Redis server: a queue that was filled before the clock starts is received, validated, applied and acknowledged.
// With two keys against BullMQ, which does the same work: a job for each message, its payload stored under two keys.
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "bench/redis_server.hpp"

namespace bench {

namespace {

constexpr std::size_t kPerCall = 200;

setget::SetRequest request_of(const Shape& shape, std::uint64_t n) {
  setget::SetRequest made;
  const auto key = record_key(n);
  if (shape.inline_id) made.id = key;
  if (shape.keys == 1) made.keys = {key};
  if (shape.keys == 2) made.keys = {key, key + "/crm"};
  made.account = "bench";
  made.flow = "orders";
  made.payload = sized_payload(n, shape.bytes);
  return made;
}

// A standard queue, unless asked for: what becomes of records does not depend on the order in which they are applied.
double path_rate(RedisServer& server, const Shape& shape, std::uint64_t messages, setget::QueueKind kind = setget::QueueKind::kStandard) {
  server.flush();
  setget::Config config;
  config.store = server.uri();
  config.queue = server.uri();
  config.archive = "none";
  config.queue_options.kind = kind;
  config.queue_options.max_in_flight = 100'000;
  auto stores = must(setget::open_stores(config), "opening the store");
  auto options = setget::pipeline_options(config, stores);
  options.worker_threads = 2;
  const auto pipeline = must(setget::Pipeline::create(std::move(options)), "making the pipeline");
  run_threads(4, kPerCall, 0, 0, messages, [&](std::uint64_t from, std::size_t count) {
    std::vector<setget::SetRequest> requests;
    for (std::size_t i = 0; i < count; ++i) requests.push_back(request_of(shape, from + i));
    for (auto& result : must(pipeline->set(std::move(requests)), "set")) must(std::move(result), "set");
  });
  const auto start = Clock::now();
  must(pipeline->start(), "starting the pipeline");
  must(pipeline->flush(setget::Deadline::in(std::chrono::minutes(10))), "draining the queue");
  const double took = seconds_since(start);
  const auto stats = must(stores.queue.stats(), "reading the ledger");
  const auto applied = stats.outcomes[static_cast<std::size_t>(setget::Outcome::kApplied)];
  if (applied != messages) fail("only " + std::to_string(applied) + " of " + std::to_string(messages) + " messages were applied");
  if (auto stopped = pipeline->stop(setget::Deadline::in(std::chrono::minutes(1))); !stopped) fail("stopping", stopped.error());
  return static_cast<double>(messages) / took;
}

// Jobs a second; empty where BullMQ is not there (bench/run fetches it where there is npm).
std::optional<double> bullmq_rate(RedisServer& server, std::uint64_t jobs, std::size_t bytes) {
  server.flush();
  const auto printed = output_of({"node", SETGET_BENCH_SOURCE "/bullmq.mjs", SETGET_BENCH_BULLMQ, std::to_string(server.port()),
                                  std::to_string(jobs), std::to_string(bytes)});
  if (!printed || printed->empty()) return {};
  return std::strtod(printed->c_str(), nullptr);
}

void against_sets(const Settings& settings, Report& report, RedisServer& server, std::size_t bytes) {
  const auto messages = static_cast<std::uint64_t>((bytes <= 1024 ? 60'000 : 15'000) * settings.seconds) / kPerCall * kPerCall;
  const char* size = bytes <= 1024 ? "-1k" : "-8k";
  std::vector<double> sets, inlined, pointed, fifo;
  for (int trial = 0; trial < settings.trials; ++trial) {
    sets.push_back(server.measure_sets(bytes, settings.seconds));
    inlined.push_back(path_rate(server, {.bytes = bytes, .keys = 1, .inline_id = true}, messages));
    pointed.push_back(path_rate(server, {.bytes = bytes, .keys = 1}, messages));
    fifo.push_back(path_rate(server, {.bytes = bytes, .keys = 1, .inline_id = true}, messages, setget::QueueKind::kFifo));
  }
  report.add({.name = std::string("redis-path-inline") + size,
              .value = median(inlined),
              .unit = "sets/s",
              .baseline = median(sets),
              .target = 0.30,
              .aim = 0.5});
  report.add({.name = std::string("redis-path-fifo") + size, .value = median(fifo), .unit = "sets/s", .baseline = median(sets)});
  report.add({.name = std::string("redis-path-1-key") + size, .value = median(pointed), .unit = "sets/s", .baseline = median(sets)});
}

void against_bullmq(const Settings& settings, Report& report, RedisServer& server) {
  const auto messages = static_cast<std::uint64_t>(40'000 * settings.seconds) / kPerCall * kPerCall;
  std::vector<double> theirs, ours;
  for (int trial = 0; trial < settings.trials; ++trial) {
    const auto rate = bullmq_rate(server, static_cast<std::uint64_t>(12'000 * settings.seconds), 1024);
    if (!rate) {
      std::printf("redis-path-2-keys: no BullMQ in %s (needs node and npm), so there is nothing to compare with\n", SETGET_BENCH_BULLMQ);
      return;
    }
    theirs.push_back(*rate);
    ours.push_back(path_rate(server, {.keys = 2}, messages));
  }
  report.add({.name = "redis-path-2-keys", .value = median(ours), .unit = "sets/s", .baseline = median(theirs), .target = 5, .aim = 8});
}

}  // namespace

void bench_redis_path(const Settings& settings, Report& report) {
  RedisServer server(settings);
  for (const std::size_t bytes : {1024, 8192}) against_sets(settings, report, server, bytes);
  against_bullmq(settings, report, server);
}

}  // namespace bench
