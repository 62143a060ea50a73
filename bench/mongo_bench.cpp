#include "bench/mongo_bench.hpp"

#include <cstdio>
#include <fstream>

#include <nlohmann/json.hpp>

#include "bench/load.hpp"

namespace bench {

using namespace setget;

std::unique_ptr<mongo_test::MongoServer> start_mongo(const Settings& settings, const char* bench, mongo_test::Share share) {
  auto kind = mongo_test::kinds().front();
  for (const auto one : {mongo_test::Kind::kMongod, mongo_test::Kind::kJava, mongo_test::Kind::kFerret}) {
    if (mongo_test::name_of(one) == settings.mongo) kind = one;
  }
  if (const auto why = mongo_test::missing(kind); !why.empty()) {
    std::printf("%s: left out: %s\n", bench, why.c_str());
    return nullptr;
  }
  std::printf("%s: on %s\n", bench, mongo_test::name_of(kind).c_str());
  return std::make_unique<mongo_test::MongoServer>(kind, mongo_test::Size::kLarge, share);
}

Corpus corpus_of(std::size_t bytes, std::uint64_t records) {
  Corpus corpus{.payloads = {}, .records = records};
  for (std::uint64_t i = 0; i < 1024; ++i) {
    // Larger ones are arrays of different objects, so that they are no run of the same bytes.
    std::string text = bytes == kPayloadBytes ? payload(i) : "[";
    if (bytes != kPayloadBytes) {
      for (std::uint64_t n = 0; text.size() + kPayloadBytes + 3 <= bytes; ++n) text += payload(i * 7 + n) + ",";
      text += "0";
      text.append(bytes - 1 - text.size(), ' ');
      text += "]";
    }
    corpus.payloads.push_back(std::move(text));
  }
  return corpus;
}

std::optional<Corpus> webhook_corpus(std::uint64_t records) {
  std::ifstream file(SETGET_BENCH_WEBHOOKS);
  const auto events = file ? nlohmann::ordered_json::parse(file, nullptr, false) : nlohmann::ordered_json();
  if (!events.is_array()) {
    std::printf("no webhooks at %s (bench/run fetches them): their lines are left out\n", SETGET_BENCH_WEBHOOKS);
    return std::nullopt;
  }
  Corpus corpus{.payloads = {}, .records = records};
  for (const auto& event : events) {
    for (const auto& example : event.at("examples")) corpus.payloads.push_back(example.dump());
  }
  return corpus;
}

std::vector<ApplyEntry> entries_of(const Corpus& corpus, std::uint64_t first, std::uint64_t count, Stamp stamp) {
  std::vector<ApplyEntry> entries;
  entries.reserve(count);
  for (std::uint64_t n = first; n < first + count; ++n) {
    ApplyEntry entry;
    entry.command.id = key(n);
    entry.command.keys = KeyList({key(n)});
    entry.command.account = "acme";
    entry.command.flow = "orders";
    entry.command.content_type = "application/json";
    entry.command.payload = Payload::copy(corpus.payload(n + stamp % 7));
    entry.encoded = encode_command(entry.command);
    entry.stamp = stamp++;
    entries.push_back(std::move(entry));
  }
  return entries;
}

double apply_batch(KeyStore& store, std::span<const ApplyEntry> entries) {
  const auto start = Clock::now();
  const auto results = must(store.backend()->apply({.entries = entries, .now = system_clock()->now()}), "apply");
  const auto taken = seconds_since(start);
  for (const auto& result : results) {
    if (!result) fail("apply", result.error());
    if (result->outcome != Outcome::kApplied) fail("a record was not applied");
  }
  return taken;
}

double apply(KeyStore& store, const Corpus& corpus, std::uint64_t first, std::uint64_t count, Stamp stamp, std::size_t batch) {
  double taken = 0;
  for (std::uint64_t done = 0; done < count; done += batch) {
    taken += apply_batch(store, entries_of(corpus, first + done, std::min<std::uint64_t>(batch, count - done), stamp + done));
  }
  return taken;
}

std::unique_ptr<Archiver> make_archiver(KeyStore store, mongo::Database& database, std::size_t batch) {
  return must(
      Archiver::create(
          {.key_store = std::move(store), .archive = database.archive(), .policy = std::make_shared<TtlPolicy>(Flows{}), .batch = batch}),
      "archiver");
}

double run_archive(Archiver& archiver, std::uint64_t expected) {
  const auto start = Clock::now();
  const auto done = must(archiver.run(), "archive run");
  if (done.written != expected) fail("the archive run wrote " + std::to_string(done.written) + " records");
  return seconds_since(start);
}

double scan_by_hand(const mongo::Options& options, std::initializer_list<const char*> fields, std::uint64_t expected) {
  const auto address = must(mongo::read_uri(options), "uri");
  const mongo::ClientHandle client(mongoc_client_new_from_uri(address.uri.get()));
  const mongo::CollectionHandle documents(mongoc_client_get_collection(client.get(), address.database.c_str(), options.collection.c_str()));
  mongo::Document how;
  how.add("batchSize", std::int32_t{1000});  // mongo-java-server sends more than a message may have if nothing is said
  if (fields.size() > 0) {
    mongo::Document projection;
    for (const char* name : fields) projection.add(name, std::int32_t{1});
    how.add("projection", projection);
  }
  const auto start = Clock::now();
  const mongo::Document all;
  const mongo::CursorHandle cursor(mongoc_collection_find_with_opts(documents.get(), all.raw(), how.raw(), nullptr));
  const bson_t* document = nullptr;
  std::uint64_t count = 0;
  while (mongoc_cursor_next(cursor.get(), &document)) ++count;
  bson_error_t error{};
  if (mongoc_cursor_error(cursor.get(), &error)) fail(error.message);
  if (count != expected) fail("the scan saw " + std::to_string(count) + " documents");
  return static_cast<double>(count) / seconds_since(start);
}

ByHand::ByHand(const mongo::Options& options)
    : address_(must(mongo::read_uri(options), "uri")),
      client_(mongoc_client_new_from_uri(address_.uri.get())),
      collection_(mongoc_client_get_collection(client_.get(), address_.database.c_str(), (options.collection + ".by_hand").c_str())) {}

ByHand::~ByHand() {
  bson_error_t ignored;
  mongoc_collection_drop(collection_.get(), &ignored);
}

double ByHand::bulks(const Corpus& corpus, std::size_t batch) { return static_cast<double>(corpus.records) / bulks(corpus, batch, 1, 0); }

double ByHand::changes(const Corpus& corpus, std::size_t batch, std::uint64_t step) { return bulks(corpus, batch, step, 1); }

double ByHand::bulks(const Corpus& corpus, std::size_t batch, std::uint64_t step, std::uint64_t payload) {
  const auto start = Clock::now();
  for (std::uint64_t first = 0; first < corpus.records; first += batch * step) {
    mongo::Document unordered;
    unordered.add("ordered", false);
    const mongo::BulkHandle bulk(mongoc_collection_create_bulk_operation_with_opts(collection_.get(), unordered.raw()));
    mongo::Document upsert;
    upsert.add("upsert", true);
    for (auto n = first; n < std::min(first + batch * step, corpus.records); n += step) {
      bson_error_t error{};
      if (!mongoc_bulk_operation_replace_one_with_opts(bulk.get(), filter(key(n)).raw(),
                                                       document(key(n), corpus.payload(n + payload)).raw(), upsert.raw(), &error)) {
        fail(error.message);
      }
    }
    bson_error_t error{};
    if (mongoc_bulk_operation_execute(bulk.get(), nullptr, &error) == 0) fail(error.message);
  }
  return seconds_since(start);
}

void ByHand::upsert(std::string_view id, std::string_view payload) {
  mongo::Document options;
  options.add("upsert", true);
  bson_error_t error{};
  if (!mongoc_collection_replace_one(collection_.get(), filter(id).raw(), document(id, payload).raw(), options.raw(), nullptr, &error)) {
    fail(error.message);
  }
}

mongo::Document ByHand::filter(std::string_view id) {
  mongo::Document out;
  out.add_utf8("_id", id);
  return out;
}

mongo::Document ByHand::document(std::string_view id, std::string_view payload) {
  mongo::Document out;
  out.add_utf8("_id", id).add_binary("payload", payload);
  return out;
}

}  // namespace bench
