// Reading: by key, by id, in order. Who goes on with a scan of whole records does so on the cursor of one query, because some servers sort
// everything for each; for ten seconds at most, since what such a cursor finds may be as old as its query. Thread rule: any thread.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mongo/codec.hpp"
#include "mongo/place.hpp"

namespace setget::inline v0::mongo {

class Reader {
 public:
  static constexpr Milliseconds kFreshFor{10'000};  // others may write as well: what was found longer ago is looked for again
  explicit Reader(std::shared_ptr<Place> place, Milliseconds fresh_for = kFreshFor);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Result<std::vector<Lookup>> get(const GetRecords& request);
  Result<Lookup> get_by_id(const GetById& request);
  Result<SummaryPage> scan(const ScanArchive& request);
  // Documents are about to change: what was read ahead is read again.
  void forget_ahead();
  Result<std::vector<RangeDigest>> digest(const DigestArchive& request);

 private:
  Result<std::optional<Lookup>> find_by_key(mongoc_client_t* client, const GetRecords& request, std::string_view key);
  // What a document answers, with its pieces. Empty: it was replaced before these were read.
  Result<std::optional<Record>> whole(mongoc_client_t* client, Stored stored, bool anywhere, Deadline deadline);
  Result<std::optional<Lookup>> answer(mongoc_client_t* client, Stored stored, TimePoint now, Deadline deadline);
  Result<std::optional<Stored>> load(mongoc_client_t* client, const std::string& id, bool anywhere, Deadline deadline);

  // The digest's parts that need bytes: of the documents with these _ids, and of one that was read.
  Result<void> add_bytes_of(mongoc_client_t* client, std::span<const std::string> ids, const DigestArchive& request,
                            std::vector<RangeDigest>& ranges);
  Result<void> add_bytes(mongoc_client_t* client, Stored stored, const DigestArchive& request, std::vector<RangeDigest>& ranges);

  // A page of what the server's cursor has next.
  class Documents;
  // `looks_on`: the server is asked whether there is another one; else a page that is full may be followed by an empty one.
  Result<SummaryPage> page_of(mongoc_client_t* client, Documents& documents, const ScanArchive& request, std::size_t limit, bool looks_on);
  Result<void> fill_in_large(mongoc_client_t* client, SummaryPage& page, std::vector<std::pair<std::size_t, Stored>>& large,
                             const ScanArchive& request);
  // A cursor that is kept between the pages of one scan, with a client of its own.
  struct Ahead;
  Result<SummaryPage> go_on(std::unique_ptr<Ahead>& ahead, const ScanArchive& request, std::size_t limit);

  std::shared_ptr<Place> place_;
  const Milliseconds fresh_for_;
  std::mutex ahead_mutex_;
  std::unique_ptr<Ahead> ahead_;
  std::string expected_;       // the end of the last page: who asks for this is going on
  std::uint64_t changes_ = 0;  // of documents, by this object
};

}  // namespace setget::inline v0::mongo
