// The line archive-get with an archive on a MongoDB server, which works on the same processors.
#include <vector>

#include "bench/archive_get.hpp"
#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "bench/mongo_bench.hpp"

namespace bench {

void bench_mongo_get(const Settings& settings, Report& report) {
  const auto server = start_mongo(settings, "mongo-get");
  if (!server) return;
  std::vector<setget::mongo::Database> archives;
  const auto archive = [&] {
    // Those of the trials before are of no more use.
    for (auto& old : archives) must(old.drop(), "drop");
    archives.clear();
    archives.push_back(must(setget::mongo::open(server->options()), "mongo"));
    return archives.back().archive();
  };
  const auto by_hand = [&](std::uint64_t records) {
    (void)ByHand(server->options()).bulks(corpus_of(kPayloadBytes, records), server->options().batch);
  };
  measure_archive_gets(settings, "mongo-archive", archive, report, by_hand);
  for (auto& old : archives) must(old.drop(), "drop");
}

}  // namespace bench
