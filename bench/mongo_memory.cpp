// The memory of an archiver: a process of its own that archives a store on Redis to a MongoDB server, runs again with nothing changed, and
// verifies; its peak. With 10^4 records, and with many (--archiver-records).
#include <sys/wait.h>
#include <unistd.h>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "bench/mongo_bench.hpp"
#include "bench/redis_server.hpp"

namespace bench {

namespace {

using namespace setget;

constexpr std::uint64_t kFew = 10'000;

double peak_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  fail("no VmHWM in /proc/self/status");
}

double measure(RedisServer& redis, const mongo::Options& options, std::uint64_t records) {
  {
    auto database = open_fresh(redis);
    auto store = database.key_store();
    apply(store, corpus_of(kPayloadBytes, records), 0, records, stamp_at(system_clock()->now()));
  }
  const auto printed = output_of({"/proc/self/exe", "--archiver-child", redis.uri(), options.uri, options.collection,
                                  std::to_string(options.batch), std::to_string(records)});
  if (!printed || printed->empty()) fail("the archiver's process failed");
  auto database = must(mongo::open(options), "mongo");
  must(database.drop(), "drop");
  return std::stod(*printed);
}

}  // namespace

int run_archiver_child(const std::vector<std::string>& words) {
  if (words.size() != 5) fail("--archiver-child is for the bench itself");
  auto store = must(redis::open({.uri = words[0], .prefix = "bench"}), "redis").key_store();
  auto database = must(mongo::open({.uri = words[1], .collection = words[2], .batch = std::stoul(words[3])}), "mongo");
  const auto records = std::stoull(words[4]);
  const auto archiver = make_archiver(store, database, std::stoul(words[3]));
  run_archive(*archiver, records);
  run_archive(*archiver, 0);
  const auto verified = must(archiver->verify(), "verify");
  if (!verified.equal() || verified.compared != records) fail("verify saw " + std::to_string(verified.compared) + " records");
  std::printf("%f\n", peak_mib());
  return 0;
}

void bench_mongo_memory(const Settings& settings, Report& report) {
  const auto server = start_mongo(settings, "mongo-memory");
  if (!server) return;
  RedisServer redis(settings);
  const auto few = measure(redis, server->options(), kFew);
  const auto many = measure(redis, server->options(), settings.archiver_records);
  report.add({.name = "mongo-archiver-memory-1e4", .value = few, .unit = "MiB", .baseline = 64, .target = 1, .lower_is_better = true});
  report.add({.name = "mongo-archiver-memory", .value = many, .unit = "MiB", .baseline = 64, .target = 1, .lower_is_better = true});
}

}  // namespace bench
