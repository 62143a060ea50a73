// What benches of archives on MongoDB share: the server, records to archive, and what a user would write by hand with libmongoc.
// Thread rule: one thread.
#pragma once

#include <atomic>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/candidate.hpp"
#include "mongo/clients.hpp"
#include "support/mongo_server.hpp"

#include <setget/archiver.hpp>
#include <setget/mongo.hpp>

namespace bench {

// The server that SETGET_TEST_MONGODB_URI names, mongod, or mongo-java-server; or the one that --mongo names. Null where there is none: a
// line says why.
std::unique_ptr<mongo_test::MongoServer> start_mongo(const Settings& settings, const char* bench,
                                                     mongo_test::Share share = mongo_test::Share::kUsual);

// Payloads of records, in turn.
struct Corpus {
  std::vector<std::string> payloads{};
  std::uint64_t records = 0;
  const std::string& payload(std::uint64_t n) const { return payloads[n % payloads.size()]; }
};
Corpus corpus_of(std::size_t bytes, std::uint64_t records);
// The examples of @octokit/webhooks-examples. Empty where bench/run has not fetched them.
std::optional<Corpus> webhook_corpus(std::uint64_t records);

// Records [first, first + count), one key each, accepted from `stamp` on.
std::vector<setget::ApplyEntry> entries_of(const Corpus& corpus, std::uint64_t first, std::uint64_t count, setget::Stamp stamp);
// Ends the process unless each is applied. Seconds within apply() of the store.
double apply_batch(setget::KeyStore& store, std::span<const setget::ApplyEntry> entries);
// All of a corpus, made batch by batch.
double apply(setget::KeyStore& store, const Corpus& corpus, std::uint64_t first, std::uint64_t count, setget::Stamp stamp,
             std::size_t batch = 1000);

std::unique_ptr<setget::Archiver> make_archiver(setget::KeyStore store, setget::mongo::Database& database, std::size_t batch);
// One run, which must write so many. Seconds.
double run_archive(setget::Archiver& archiver, std::uint64_t expected);

// Records a second that somebody reads who reads these fields of all documents (none named: all of each) in one cursor and does nothing
// with them. Ends the process unless there are so many.
double scan_by_hand(const setget::mongo::Options& options, std::initializer_list<const char*> fields, std::uint64_t expected);

// The driver's commands: each is a round trip.
class RoundTrips final : public setget::Metrics {
 public:
  void add(std::string_view counter, double amount, setget::MetricLabels) noexcept override {
    if (counter == "setget_mongo_commands_total") count_ += static_cast<std::uint64_t>(amount);
  }
  void set(std::string_view, double, setget::MetricLabels) noexcept override {}
  void observe(std::string_view, double, setget::MetricLabels) noexcept override {}
  std::uint64_t count() const { return count_; }

 private:
  std::atomic<std::uint64_t> count_{0};
};

// By hand: a collection of documents with id and payload. It goes with this object.
class ByHand {
 public:
  explicit ByHand(const setget::mongo::Options& options);
  ~ByHand();
  ByHand(const ByHand&) = delete;
  ByHand& operator=(const ByHand&) = delete;

  // Upserts by id, `batch` in a bulk, of all records of the corpus. Records a second.
  double bulks(const Corpus& corpus, std::size_t batch);
  // The same of every `step`-th record with another payload. Seconds.
  double changes(const Corpus& corpus, std::size_t batch, std::uint64_t step);
  void upsert(std::string_view id, std::string_view payload);

 private:
  double bulks(const Corpus& corpus, std::size_t batch, std::uint64_t step, std::uint64_t payload);
  static setget::mongo::Document filter(std::string_view id);
  static setget::mongo::Document document(std::string_view id, std::string_view payload);
  setget::mongo::Address address_;
  setget::mongo::ClientHandle client_;
  setget::mongo::CollectionHandle collection_;
};

}  // namespace bench
