// Verification of 10^5 records of 8 KiB: by digests, against a loop that fetches every document and compares it with the store's record;
// and its deep form, against a bare scan of all documents. The store is in memory, in a file, or on Redis. How fast the server tells what a
// verification compares, with nothing done with it, is a line of its own: nobody who asks it for that can be faster.
#include <algorithm>

#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "bench/mongo_bench.hpp"
#include "mongo/names.hpp"
#ifdef SETGET_BENCH_REDIS
#include "bench/redis_server.hpp"
#endif

#include <setget/memory.hpp>
#include <setget/sqlite.hpp>

namespace bench {

namespace {

using namespace setget;

constexpr std::uint64_t kRecords = 100'000;
constexpr std::size_t kBytes = 8192;

// Every document as the archive has it, by hand: read in one cursor and, where a store is given, compared with what it has.
double read_all(const mongo::Options& options, KeyStore* store) {
  const auto address = must(mongo::read_uri(options), "uri");
  const mongo::ClientHandle client(mongoc_client_new_from_uri(address.uri.get()));
  const mongo::CollectionHandle documents(mongoc_client_get_collection(client.get(), address.database.c_str(), options.collection.c_str()));
  const auto start = Clock::now();
  const mongo::Document all;
  mongo::Document some_at_a_time;
  some_at_a_time.add("batchSize", std::int32_t{200});  // mongo-java-server sends more than a message may have if nothing is said
  const mongo::CursorHandle cursor(mongoc_collection_find_with_opts(documents.get(), all.raw(), some_at_a_time.raw(), nullptr));
  const bson_t* document = nullptr;
  std::uint64_t count = 0;
  while (mongoc_cursor_next(cursor.get(), &document)) {
    const auto payload = mongo::find(document, "record.payload");
    const auto bytes = payload ? payload->bytes() : std::nullopt;
    if (!bytes || bytes->size() != kBytes) fail("a document without its payload");
    ++count;
    if (store == nullptr) continue;
    const auto found = must(store->get_by_id(mongo::text_or_empty(document, "id"), system_clock()->now()), "get");
    if (!found || found->payload.view() != *bytes ||
        found->version != mongo::read_mark(mongo::text_or_empty(document, "record.mark")).value_or(mongo::Marked{}).version) {
      fail("store and archive differ");
    }
  }
  bson_error_t error{};
  if (mongoc_cursor_error(cursor.get(), &error)) fail(error.message);
  if (count != kRecords) fail("the scan saw " + std::to_string(count) + " documents");
  return static_cast<double>(count) / seconds_since(start);
}

// The server's program is compiled anew, on the other processor, for some turns: neither side shall pay for that.
constexpr int kWarmingUp = 5;
constexpr int kWarmingUpAgain = 2;

void measure(const std::string& suffix, const Settings& settings, const mongo::Options& options, KeyStore store, int warming_up,
             Report& report) {
  apply(store, corpus_of(kBytes, kRecords), 0, kRecords, stamp_at(system_clock()->now()), 500);
  auto database = must(mongo::open(options), "mongo");
  const auto archiver = make_archiver(store, database, options.batch);
  run_archive(*archiver, kRecords);
  const auto verify = [&](bool deep) {
    const auto start = Clock::now();
    const auto done = must(archiver->verify({.deep = deep}), "verify");
    if (!done.equal() || done.compared != kRecords) fail("verify saw " + std::to_string(done.compared) + " records");
    return static_cast<double>(kRecords) / seconds_since(start);
  };
  std::vector<double> bare, compared, parts, digests, deep;
  for (int turn = -warming_up; turn < settings.trials; ++turn) {
    bare.push_back(read_all(options, nullptr));
    compared.push_back(read_all(options, &store));
    parts.push_back(scan_by_hand(options, {"state", "end"}, kRecords));
    digests.push_back(verify(false));
    deep.push_back(verify(true));
    if (turn < 0) bare.clear(), compared.clear(), parts.clear(), digests.clear(), deep.clear();
  }
  report.add(
      {.name = "mongo-verify-8k" + suffix, .value = median(digests), .unit = "records/s", .baseline = median(compared), .target = 5});
  report.add({.name = "mongo-verify-parts-8k" + suffix, .value = median(parts), .unit = "records/s", .baseline = median(compared)});
  report.add(
      {.name = "mongo-verify-deep-8k" + suffix, .value = median(deep), .unit = "records/s", .baseline = median(bare), .target = 0.8});
  must(database.drop(), "drop");
}

}  // namespace

void bench_mongo_verify(const Settings& settings, Report& report) {
  const auto server = start_mongo(settings, "mongo-verify");
  if (!server) return;
  measure("", settings, server->options(), must(memory::open(), "memory").key_store(), kWarmingUp, report);
  measure("-sqlite", settings, server->options(),
          must(sqlite::open({.path = fresh_path(settings, "verify").string()}), "sqlite").key_store(), kWarmingUpAgain, report);
#ifdef SETGET_BENCH_REDIS
  RedisServer redis(settings);
  measure("-redis", settings, server->options(), open_fresh(redis).key_store(), kWarmingUpAgain, report);
#endif
}

}  // namespace bench
