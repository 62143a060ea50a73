// Archive runs on a MongoDB server: a full one against what a user would write by hand with libmongoc on the same server (bulks of upserts
// of the same size); one after 1 % has changed; one after nothing has, of a small store and of a large one. 10^5 records of 1 KiB, and real
// webhooks. The store is in memory, so that the archive is what is measured.
#include <algorithm>

#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "bench/mongo_bench.hpp"

#include <setget/memory.hpp>

namespace bench {

namespace {

using namespace setget;

struct Runs {
  double by_hand = 0;          // records a second
  double by_hand_changed = 0;  // seconds, of 1 %
  double full = 0;             // seconds
  double changed = 0;          // seconds, of 1 %
  double nothing = 0;          // round trips
};

Runs measure_runs(mongo::Options options, const Corpus& corpus, double share = 0.01, std::uint64_t nights = 5) {
  const auto trips = std::make_shared<RoundTrips>();
  options.metrics = trips;
  auto store = must(memory::open(), "memory").key_store();
  const auto stamp = stamp_at(system_clock()->now());
  apply(store, corpus, 0, corpus.records, stamp);
  Runs runs;
  {
    ByHand by_hand(options);
    runs.by_hand = by_hand.bulks(corpus, options.batch);
    runs.by_hand_changed = by_hand.changes(corpus, options.batch, static_cast<std::uint64_t>(1 / share));
  }
  auto database = must(mongo::open(options), "mongo");
  const auto archiver = make_archiver(store, database, options.batch);
  runs.full = run_archive(*archiver, corpus.records);
  // Nights of the same kind. A change is a change: each has later stamps.
  std::vector<double> taken;
  const auto changed = static_cast<std::uint64_t>(static_cast<double>(corpus.records) * share);
  for (std::uint64_t night = 1; night <= nights; ++night) {
    apply(store, corpus, (night - 1) * changed, changed, stamp + night * corpus.records + night);
    taken.push_back(run_archive(*archiver, changed));
  }
  runs.changed = median(taken);
  const auto before = trips->count();
  run_archive(*archiver, 0);
  runs.nothing = static_cast<double>(trips->count() - before);
  must(database.drop(), "drop");
  return runs;
}

// Both sides in turns; of each figure the median.
Runs measure_in_turns(const mongo_test::MongoServer& server, const Corpus& corpus, int turns) {
  std::vector<Runs> all;
  for (int i = 0; i < turns; ++i) all.push_back(measure_runs(server.options(), corpus));
  const auto middle = [&](double Runs::*figure) {
    std::vector<double> values;
    for (const auto& one : all) values.push_back(one.*figure);
    return median(values);
  };
  return {.by_hand = middle(&Runs::by_hand),
          .by_hand_changed = middle(&Runs::by_hand_changed),
          .full = middle(&Runs::full),
          .changed = middle(&Runs::changed),
          .nothing = middle(&Runs::nothing)};
}

void report_runs(const std::string& name, const Runs& runs, const Corpus& corpus, Report& report) {
  report.add({.name = name + "-full",
              .value = static_cast<double>(corpus.records) / runs.full,
              .unit = "records/s",
              .baseline = runs.by_hand,
              .target = 0.8});
  report.add(
      {.name = name + "-1-percent", .value = runs.changed, .unit = "s", .baseline = runs.full, .target = 0.02, .lower_is_better = true});
  // What of it is the server's: it takes longer to change a document than to make one.
  report.add({.name = name + "-1-percent-by-hand",
              .value = runs.by_hand_changed,
              .unit = "s",
              .baseline = static_cast<double>(corpus.records) / runs.by_hand});
  report.add({.name = name + "-nothing", .value = runs.nothing, .unit = "trips", .baseline = 20, .target = 1, .lower_is_better = true});
}

}  // namespace

void bench_mongo_archive(const Settings& settings, Report& report) {
  const auto server = start_mongo(settings, "mongo-archive");
  if (!server) return;
  // The server's program becomes fast while it is used: neither side shall pay for that.
  (void)measure_runs(server->options(), corpus_of(kPayloadBytes, 10'000), 0.3, 15);
  const auto small = corpus_of(kPayloadBytes, 100'000);
  report_runs("mongo-archive", measure_in_turns(*server, small, std::min(settings.trials, 3)), small, report);
  if (const auto webhooks = webhook_corpus(10'000)) {
    report_runs("mongo-archive-webhooks", measure_in_turns(*server, *webhooks, settings.trials), *webhooks, report);
  }
}

}  // namespace bench
