// Reading: by key, by id, in order. Who goes on with a scan of whole records is read ahead for: many pages in one query, because some
// servers sort everything for each. Thread rule: any thread.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "mongo/codec.hpp"
#include "mongo/place.hpp"

namespace setget::inline v0::mongo {

class Reader {
 public:
  static constexpr Milliseconds kFreshFor{10'000};  // others may write as well: what was read ahead longer ago is read again
  explicit Reader(std::shared_ptr<Place> place, Milliseconds fresh_for = kFreshFor) : place_(std::move(place)), fresh_for_(fresh_for) {}

  Result<std::vector<Lookup>> get(const GetRecords& request);
  Result<Lookup> get_by_id(const GetById& request);
  Result<SummaryPage> scan(const ScanArchive& request);
  // Documents are about to change: what was read ahead is read again.
  void forget_ahead();
  Result<std::vector<RangeDigest>> digest(const DigestArchive& request);

 private:
  Result<Lookup> find_by_key(mongoc_client_t* client, const GetRecords& request, std::string_view key);
  // What a document answers; with its pieces, and again should it be replaced meanwhile. Empty: it is not there any more.
  Result<std::optional<Record>> whole(mongoc_client_t* client, Stored stored, bool anywhere, Deadline deadline);
  Result<Lookup> answer(mongoc_client_t* client, Stored stored, TimePoint now, bool anywhere, Deadline deadline);
  Result<std::optional<Stored>> load(mongoc_client_t* client, const std::string& id, bool anywhere, Deadline deadline);

  // The digest's parts that need bytes: of the documents with these _ids, and of one that was read.
  Result<void> add_bytes_of(mongoc_client_t* client, std::span<const std::string> ids, const DigestArchive& request,
                            std::vector<RangeDigest>& ranges);
  Result<void> add_bytes(mongoc_client_t* client, Stored stored, const DigestArchive& request, std::vector<RangeDigest>& ranges);

  // What one query found: up to so many lines and about so many bytes of payload behind the cursor. Without a line where there is none.
  Result<SummaryPage> query(const ScanArchive& request, std::size_t limit, std::size_t bytes);
  std::optional<SummaryPage> from_ahead(const ScanArchive& request);
  SummaryPage keep_ahead(SummaryPage page, std::size_t limit, std::uint64_t changes);

  struct Ahead {
    std::string at{};  // the cursor that asks for the first of them
    std::deque<Summary> items{};
    std::string next{};  // behind the last
    Deadline until = Deadline::in(Milliseconds(0));
  };
  std::shared_ptr<Place> place_;
  const Milliseconds fresh_for_;
  std::mutex ahead_mutex_;
  Ahead ahead_;
  std::string expected_;       // the end of the last page: who asks for this is going on
  std::uint64_t changes_ = 0;  // of documents, by this object
};

}  // namespace setget::inline v0::mongo
