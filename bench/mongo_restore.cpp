// A restore into an empty store, against how fast that store takes the same records where somebody has them at hand: apply() of the same
// batches, nothing else under way.
#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "bench/mongo_bench.hpp"
#ifdef SETGET_BENCH_REDIS
#include "bench/redis_server.hpp"
#endif

#include <functional>
#include <future>

#include <setget/memory.hpp>
#include <setget/sqlite.hpp>

namespace bench {

namespace {

using namespace setget;

constexpr std::uint64_t kRecords = 100'000;

// What no restore can do without, and nothing else: one thread reads all documents and does nothing with them, another one applies batches
// that were made before. Records a second until both are done.
double by_hand(const Corpus& corpus, const mongo::Options& options, KeyStore store) {
  std::vector<std::vector<ApplyEntry>> batches;
  const auto stamp = stamp_at(system_clock()->now());
  for (std::uint64_t first = 0; first < corpus.records; first += options.batch) {
    batches.push_back(entries_of(corpus, first, std::min<std::uint64_t>(options.batch, corpus.records - first), stamp + first));
  }
  const auto start = Clock::now();
  auto read = std::async(std::launch::async, [&] { scan_by_hand(options, {}, corpus.records); });
  for (const auto& entries : batches) apply_batch(store, entries);
  read.get();
  return static_cast<double>(corpus.records) / seconds_since(start);
}

// `open` makes a new store each time.
void measure(const std::string& name, int trials, const Corpus& corpus, mongo::Database& database, const mongo::Options& database_options,
             const std::function<KeyStore()>& open, Report& report) {
  std::vector<double> applied, restored, overwritten, scanned, both;
  for (int turn = 0; turn < trials; ++turn) {
    {
      auto store = open();
      applied.push_back(static_cast<double>(corpus.records) /
                        apply(store, corpus, 0, corpus.records, stamp_at(system_clock()->now()), database_options.batch));
    }
    const auto restore = [&](const KeyStore& store, bool overwrite) {
      const auto archiver = make_archiver(store, database, database_options.batch);
      const auto start = Clock::now();
      const auto done = must(archiver->restore({.overwrite = overwrite}), "restore");
      if (done.restored != corpus.records) fail("the restore brought back " + std::to_string(done.restored) + " records");
      return static_cast<double>(corpus.records) / seconds_since(start);
    };
    scanned.push_back(scan_by_hand(database_options, {}, kRecords));
    both.push_back(by_hand(corpus, database_options, open()));
    const auto store = open();
    restored.push_back(restore(store, false));
    overwritten.push_back(restore(store, true));
  }
  report.add({.name = "mongo-restore-" + name, .value = median(restored), .unit = "records/s", .baseline = median(applied), .target = 0.5});
  report.add({.name = "mongo-restore-over-" + name, .value = median(overwritten), .unit = "records/s", .baseline = median(applied)});
  // A restore reads them all, too: it is not faster than this.
  report.add({.name = "mongo-restore-scan-" + name, .value = median(scanned), .unit = "records/s", .baseline = median(applied)});
  // And it applies them all meanwhile: nobody who restores from that server into that store is faster than this.
  report.add({.name = "mongo-restore-by-hand-" + name, .value = median(both), .unit = "records/s", .baseline = median(applied)});
}

}  // namespace

void bench_mongo_restore(const Settings& settings, Report& report) {
  const auto server = start_mongo(settings, "mongo-restore");
  if (!server) return;
  const auto options = server->options();
  auto database = must(mongo::open(options), "mongo");
  const auto corpus = corpus_of(kPayloadBytes, kRecords);
  {
    auto store = must(memory::open(), "memory").key_store();
    apply(store, corpus, 0, kRecords, stamp_at(system_clock()->now()));
    run_archive(*make_archiver(store, database, options.batch), kRecords);
  }
  const int trials = std::min(settings.trials, 3);
  measure(
      "sqlite", trials, corpus, database, options,
      [&] { return must(sqlite::open({.path = fresh_path(settings, "restore").string()}), "sqlite").key_store(); }, report);
#ifdef SETGET_BENCH_REDIS
  RedisServer redis(settings);
  measure(
      "redis", trials, corpus, database, options, [&] { return open_fresh(redis).key_store(); }, report);
#endif
  must(database.drop(), "drop");
}

}  // namespace bench
