// A full archive run of records on Redis, against the script that is written on the evening before: SCAN the keys, GET each, upsert each.
// It knows plain keys with the same payloads on the same server.
#include <algorithm>
#include <cstdio>
#include <vector>

#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "bench/mongo_bench.hpp"
#include "bench/redis_server.hpp"
#include "tests/support/hiredis.hpp"

namespace bench {

namespace {

using namespace setget;

constexpr std::uint64_t kRecords = 100'000;
constexpr std::uint64_t kNaiveRecords = 10'000;  // it is slow

struct Disconnect {
  void operator()(redisContext* context) const noexcept { redisFree(context); }
};

redis_test::HiredisReply ask(redisContext* context, const char* format, const char* argument, std::size_t size) {
  redis_test::HiredisReply reply(static_cast<redisReply*>(redisCommand(context, format, argument, size)));
  if (!reply || reply->type == REDIS_REPLY_ERROR) fail("a command of the script failed");
  return reply;
}

double naive_rate(RedisServer& redis, const mongo::Options& options, const Corpus& corpus) {
  redis.flush();
  redis.fill(kNaiveRecords, key, [&](std::uint64_t n) { return std::string_view(corpus.payload(n)); });
  const std::unique_ptr<redisContext, Disconnect> context(redisConnect("127.0.0.1", redis.port()));
  ByHand hand(options);
  const auto start = Clock::now();
  std::string cursor = "0";
  std::uint64_t done = 0;
  do {
    const auto page = ask(context.get(), "SCAN %b", cursor.data(), cursor.size());
    cursor.assign(page->element[0]->str, page->element[0]->len);
    for (std::size_t i = 0; i < page->element[1]->elements; ++i) {
      const auto* name = page->element[1]->element[i];
      const auto payload = ask(context.get(), "GET %b", name->str, name->len);
      hand.upsert({name->str, name->len}, {payload->str, payload->len});
      ++done;
    }
  } while (cursor != "0");
  if (done < kNaiveRecords) fail("the script saw " + std::to_string(done) + " records");
  return static_cast<double>(done) / seconds_since(start);
}

double full_rate(RedisServer& redis, const mongo::Options& options, const Corpus& corpus) {
  auto store = open_fresh(redis).key_store();
  apply(store, corpus, 0, corpus.records, stamp_at(system_clock()->now()));
  auto database = must(mongo::open(options), "mongo");
  const auto took = run_archive(*make_archiver(store, database, options.batch), corpus.records);
  must(database.drop(), "drop");
  return static_cast<double>(corpus.records) / took;
}

}  // namespace

void bench_mongo_naive(const Settings& settings, Report& report) {
  const auto server = start_mongo(settings, "mongo-naive");
  if (!server) return;
  RedisServer redis(settings);
  const auto corpus = corpus_of(kPayloadBytes, kRecords);
  // The server's program becomes fast while it is used: neither side shall pay for that.
  (void)naive_rate(redis, server->options(), corpus);
  (void)full_rate(redis, server->options(), corpus_of(kPayloadBytes, kRecords / 4));
  std::vector<double> naive;
  std::vector<double> full;
  for (int turn = 0; turn < std::min(settings.trials, 5); ++turn) {
    naive.push_back(naive_rate(redis, server->options(), corpus));
    full.push_back(full_rate(redis, server->options(), corpus));
  }
  report.add({.name = "mongo-archive-full-naive", .value = median(full), .unit = "records/s", .baseline = median(naive), .target = 5});
}

}  // namespace bench
