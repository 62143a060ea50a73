// Archive runs on a MongoDB server, 10^5 records of 1 KiB in a memory store: a full one against what a user would write by hand with
// libmongoc on the same server, once well (bulks of upserts of the same size) and once as a nightly script does it (scan the ids, get each,
// upsert each); one after 1 % has changed; one after nothing has. Then verification of 10^4 records of 8 KiB against a loop that fetches
// every document and compares it, and its deep form against a bare scan. The server is the one that SETGET_TEST_MONGODB_URI names, mongod,
// or mongo-java-server.
#include <atomic>
#include <memory>
#include <string>

#include "bench/benches.hpp"
#include "bench/load.hpp"
#include "mongo/clients.hpp"
#include "support/mongo_server.hpp"

#include <setget/archiver.hpp>
#include <setget/memory.hpp>
#include <setget/mongo.hpp>

namespace bench {

namespace {

using namespace setget;

constexpr std::uint64_t kRecords = 100'000;
constexpr std::uint64_t kNaiveRecords = 4'000;

// The driver's commands: each is a round trip.
class RoundTrips final : public Metrics {
 public:
  void add(std::string_view counter, double amount, MetricLabels) noexcept override {
    if (counter == "setget_mongo_commands_total") count_ += static_cast<std::uint64_t>(amount);
  }
  void set(std::string_view, double, MetricLabels) noexcept override {}
  void observe(std::string_view, double, MetricLabels) noexcept override {}
  std::uint64_t count() const { return count_; }

 private:
  std::atomic<std::uint64_t> count_{0};
};

void apply(KeyStore& store, std::uint64_t first, std::uint64_t count, Stamp stamp) {
  std::vector<ApplyEntry> entries;
  for (std::uint64_t n = first; n < first + count; ++n) {
    ApplyEntry entry;
    entry.command.id = key(n);
    entry.command.keys = KeyList({key(n)});
    entry.command.account = "acme";
    entry.command.flow = "orders";
    entry.command.content_type = "application/json";
    entry.command.payload = payload(n + stamp % 7);
    entry.encoded = encode_command(entry.command);
    entry.stamp = stamp++;
    entries.push_back(std::move(entry));
    if (entries.size() < 1000 && n + 1 < first + count) continue;
    for (const auto& result : must(store.backend()->apply({.entries = entries, .now = system_clock()->now()}), "apply")) {
      if (!result) fail("apply: " + result.error().describe());
    }
    entries.clear();
  }
}

// By hand: a document with id and payload, upserted by its id; `batch` in a bulk.
class ByHand {
 public:
  explicit ByHand(const mongo::Options& options)
      : address_(must(mongo::read_uri(options), "uri")),
        client_(mongoc_client_new_from_uri(address_.uri.get())),
        collection_(mongoc_client_get_collection(client_.get(), address_.database.c_str(), (options.collection + ".by_hand").c_str())) {}
  ~ByHand() {
    bson_error_t ignored;
    mongoc_collection_drop(collection_.get(), &ignored);
  }
  ByHand(const ByHand&) = delete;
  ByHand& operator=(const ByHand&) = delete;

  double bulks(std::size_t batch) {
    const auto start = Clock::now();
    for (std::uint64_t first = 0; first < kRecords; first += batch) {
      mongo::Document unordered;
      unordered.add("ordered", false);
      const mongo::BulkHandle bulk(mongoc_collection_create_bulk_operation_with_opts(collection_.get(), unordered.raw()));
      mongo::Document upsert;
      upsert.add("upsert", true);
      for (auto n = first; n < std::min(first + batch, kRecords); ++n) {
        bson_error_t error{};
        if (!mongoc_bulk_operation_replace_one_with_opts(bulk.get(), filter(key(n)).raw(), document(key(n), payload(n)).raw(), upsert.raw(),
                                                         &error)) {
          fail(error.message);
        }
      }
      bson_error_t error{};
      if (mongoc_bulk_operation_execute(bulk.get(), nullptr, &error) == 0) fail(error.message);
    }
    return static_cast<double>(kRecords) / seconds_since(start);
  }

  // As a script that knows the store by its reads only.
  double one_by_one(KeyStore& store) {
    const auto start = Clock::now();
    std::uint64_t done = 0;
    std::string cursor;
    while (done < kNaiveRecords) {
      const auto page = must(store.backend()->scan({.cursor = cursor, .limit = 500}), "scan");
      for (const auto& item : page.items) {
        const auto found = must(store.get_by_id(item.id, system_clock()->now()), "get");
        if (!found) fail("a record is gone");
        mongo::Document upsert;
        upsert.add("upsert", true);
        bson_error_t error{};
        if (!mongoc_collection_replace_one(collection_.get(), filter(item.id).raw(), document(item.id, found->payload.view()).raw(),
                                           upsert.raw(), nullptr, &error)) {
          fail(error.message);
        }
        ++done;
      }
      cursor = page.next;
    }
    return static_cast<double>(done) / seconds_since(start);
  }

 private:
  static mongo::Document filter(std::string_view id) {
    mongo::Document out;
    out.add_utf8("_id", id);
    return out;
  }
  static mongo::Document document(std::string_view id, std::string_view payload) {
    mongo::Document out;
    out.add_utf8("_id", id).add_binary("payload", payload);
    return out;
  }
  mongo::Address address_;
  mongo::ClientHandle client_;
  mongo::CollectionHandle collection_;
};

constexpr std::uint64_t kLarge = 10'000;

// Every document as the archive has it, by hand: read in one cursor and, where a store is given, compared with what it has.
double read_all(const mongo::Options& options, KeyStore* store) {
  const auto address = must(mongo::read_uri(options), "uri");
  const mongo::ClientHandle client(mongoc_client_new_from_uri(address.uri.get()));
  const mongo::CollectionHandle documents(mongoc_client_get_collection(client.get(), address.database.c_str(), options.collection.c_str()));
  const auto start = Clock::now();
  const mongo::Document all;
  const mongo::CursorHandle cursor(mongoc_collection_find_with_opts(documents.get(), all.raw(), nullptr, nullptr));
  const bson_t* document = nullptr;
  std::uint64_t count = 0;
  while (mongoc_cursor_next(cursor.get(), &document)) {
    const auto payload = mongo::find(document, "payload");
    const auto bytes = payload ? payload->bytes() : std::nullopt;
    if (!bytes || bytes->size() != 8192) fail("a document without its payload");
    ++count;
    if (store == nullptr) continue;
    const auto found = must(store->get_by_id(mongo::text_or_empty(document, "id"), system_clock()->now()), "get");
    if (!found || found->payload.view() != *bytes || found->version != static_cast<Version>(mongo::integer_or(document, "version", 0))) {
      fail("store and archive differ");
    }
  }
  if (count != kLarge) fail("the scan saw " + std::to_string(count) + " documents");
  return static_cast<double>(count) / seconds_since(start);
}

void verify_large(mongo::Options options, Report& report) {
  options.collection += "_large";
  auto store = must(memory::open(), "memory").key_store();
  const auto stamp = stamp_at(system_clock()->now());
  std::vector<ApplyEntry> entries;
  for (std::uint64_t n = 0; n < kLarge; ++n) {
    ApplyEntry entry;
    entry.command.id = key(n);
    entry.command.keys = KeyList({key(n)});
    entry.command.account = "acme";
    entry.command.flow = "orders";
    std::string bytes(8192, 'x');
    const auto number = std::to_string(n);
    bytes.replace(0, number.size(), number);
    entry.command.payload = Payload(bytes);
    entry.encoded = encode_command(entry.command);
    entry.stamp = stamp + n;
    entries.push_back(std::move(entry));
    if (entries.size() < 500 && n + 1 < kLarge) continue;
    must(store.backend()->apply({.entries = entries, .now = system_clock()->now()}), "apply");
    entries.clear();
  }
  auto database = must(mongo::open(options), "mongo");
  const auto archiver =
      must(Archiver::create(
               {.key_store = store, .archive = database.archive(), .policy = std::make_shared<TtlPolicy>(Flows{}), .batch = options.batch}),
           "archiver");
  must(archiver->run(), "archive run");
  const auto verify = [&](bool deep) {
    const auto start = Clock::now();
    const auto done = must(archiver->verify({.deep = deep}), "verify");
    if (!done.equal() || done.compared != kLarge) fail("verify saw " + std::to_string(done.compared) + " records");
    return static_cast<double>(kLarge) / seconds_since(start);
  };
  // The best of three each, in turns: servers warm up.
  double bare = 0, compared = 0, digests = 0, deep = 0;
  for (int round = 0; round < 3; ++round) {
    bare = std::max(bare, read_all(options, nullptr));
    compared = std::max(compared, read_all(options, &store));
    digests = std::max(digests, verify(false));
    deep = std::max(deep, verify(true));
  }
  report.add({.name = "mongo-verify-8k", .value = digests, .unit = "records/s", .baseline = compared, .target = 5});
  report.add({.name = "mongo-verify-deep-8k", .value = deep, .unit = "records/s", .baseline = bare, .target = 0.8});
  must(database.drop(), "drop");
}

}  // namespace

void bench_mongo_archive(const Settings&, Report& report) {
  const auto kind = mongo_test::kinds().front();
  if (const auto why = mongo_test::missing(kind); !why.empty()) return void(std::printf("mongo-archive: left out: %s\n", why.c_str()));
  mongo_test::MongoServer server(kind);
  std::printf("mongo-archive: on %s, %llu records of %zu bytes\n", mongo_test::name_of(kind).c_str(),
              static_cast<unsigned long long>(kRecords), kPayloadBytes);
  const auto trips = std::make_shared<RoundTrips>();
  auto options = server.options();
  options.metrics = trips;
  auto store = must(memory::open(), "memory").key_store();
  const auto stamp = stamp_at(system_clock()->now());
  apply(store, 0, kRecords, stamp);

  auto database = must(mongo::open(options), "mongo");
  const auto archiver =
      must(Archiver::create(
               {.key_store = store, .archive = database.archive(), .policy = std::make_shared<TtlPolicy>(Flows{}), .batch = options.batch}),
           "archiver");
  double by_hand = 0;
  double naive = 0;
  {
    ByHand hand(options);
    by_hand = hand.bulks(options.batch);
  }
  {
    ByHand hand(options);
    naive = hand.one_by_one(store);
  }
  const auto run = [&](std::uint64_t expected) {
    const auto start = Clock::now();
    const auto done = must(archiver->run(), "archive run");
    if (done.written != expected) fail("the archive run wrote " + std::to_string(done.written) + " records");
    return seconds_since(start);
  };
  const double full = run(kRecords);
  const auto rate = static_cast<double>(kRecords) / full;
  report.add({.name = "mongo-archive-full", .value = rate, .unit = "records/s", .baseline = by_hand, .target = 0.8});
  report.add({.name = "mongo-archive-full-naive", .value = rate, .unit = "records/s", .baseline = naive, .target = 5});
  apply(store, 0, kRecords / 100, stamp + kRecords + 1);
  report.add({.name = "mongo-archive-1-percent",
              .value = run(kRecords / 100),
              .unit = "s",
              .baseline = full,
              .target = 0.02,
              .lower_is_better = true});
  const auto before = trips->count();
  run(0);
  report.add({.name = "mongo-archive-nothing",
              .value = static_cast<double>(trips->count() - before),
              .unit = "round trips",
              .baseline = 20,
              .target = 1,
              .lower_is_better = true});
  must(database.drop(), "drop");
  verify_large(options, report);
}

}  // namespace bench
