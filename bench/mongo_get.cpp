// The lines archive-get with an archive on a MongoDB server, which works on the same processors. It is somebody else's program, so how it
// and the run share these with the gets is up to who runs them: as much as others, which is the default, or what nobody else wants.
#include <cstdio>
#include <vector>

#include "bench/archive_get.hpp"
#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "bench/mongo_bench.hpp"

namespace bench {

namespace {

void measure_on(const mongo_test::MongoServer& server, ArchiveGets what, const Settings& settings, Report& report) {
  std::vector<setget::mongo::Database> archives;
  what.archive = [&] {
    // Those of the trials before are of no more use.
    for (auto& old : archives) must(old.drop(), "drop");
    archives.clear();
    archives.push_back(must(setget::mongo::open(server.options()), "mongo"));
    return archives.back().archive();
  };
  what.by_hand = [&](std::uint64_t records) {
    (void)ByHand(server.options()).bulks(corpus_of(kPayloadBytes, records), server.options().batch);
  };
  measure_archive_gets(settings, what, report);
  for (auto& old : archives) must(old.drop(), "drop");
}

}  // namespace

void bench_mongo_get(const Settings& settings, Report& report) {
  if (const auto server = start_mongo(settings, "mongo-get")) {
    measure_on(*server, {.prefix = "mongo-archive"}, settings, report);
  }
  if (const auto server = start_mongo(settings, "mongo-get", mongo_test::Share::kIdle)) {
    if (server->kind() == mongo_test::Kind::kNamed) std::printf("mongo-get: that server keeps its own policy: only the run is idle\n");
    measure_on(*server, {.prefix = "mongo-archive-idle", .idle = true}, settings, report);
  }
}

}  // namespace bench
