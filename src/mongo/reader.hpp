// Reading: by key, by id, in order. Thread rule: any thread.
#pragma once

#include <memory>
#include <vector>

#include "mongo/codec.hpp"
#include "mongo/place.hpp"

namespace setget::inline v0::mongo {

class Reader {
 public:
  explicit Reader(std::shared_ptr<Place> place) : place_(std::move(place)) {}

  Result<std::vector<Lookup>> get(const GetRecords& request);
  Result<Lookup> get_by_id(const GetById& request);
  Result<SummaryPage> scan(const ScanArchive& request);
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

  std::shared_ptr<Place> place_;
};

}  // namespace setget::inline v0::mongo
