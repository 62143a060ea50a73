// Entries of the archive as documents, and back. docs/adr/0020-mongo-archive.md lists the fields.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mongo/mongoc.hpp"

#include <setget/archive.hpp>
#include <setget/mongo.hpp>

namespace setget::inline v0::mongo {

inline constexpr std::int32_t kFormat = 1;
// MongoDB's own limit, of what the driver sends as one document.
inline constexpr std::size_t kMaxDocument = std::size_t{16} << 20;

// An entry ready to be sent.
struct Prepared {
  Document whole{};   // what is inserted, and what replaces an older record
  Document change{};  // tombstones: an update that keeps the keys of the record that it ends
  std::string id{};   // _id
  std::string order{};
  Payload pieces{};  // a payload that is too large for the document
  std::optional<TimePoint> purge_at{};
  std::size_t index = 0;  // of the entry in the request
  bool tombstone = false;
};

// Errors: kInvalidArgument for an entry that breaks the seam's rules, kTooLarge for one that no document can hold.
Result<Prepared> prepare(const ArchiveEntry& entry, const Options& options);

// A document as the server gave it: everything but the pieces of a large payload.
struct Stored {
  std::string id{};
  std::string order{};
  std::string ns{};
  std::string record_id{};
  std::string account{};
  std::string flow{};
  std::optional<TombstoneReason> gone{};
  StoredMeta meta{};
  // Those by which queries find it, where the field was asked for. They must be the record's, but for the lost ones.
  std::optional<std::vector<std::string>> keys{};
  Digest content{};
  std::string head{};  // the encoded record without its payload
  std::string payload{};
  std::int64_t pieces = 0;
};
// Errors: kCorrupted, kUnsupported (a newer format). Fields that were not asked for stay empty.
Result<Stored> read_document(const bson_t* document);
// The record, once `payload` is whole. kCorrupted unless it is exactly what was archived.
Result<Record> record_of(Stored&& stored);
// Of a document whose keys are not those of its record the content is not the one that was archived.
Summary summary_of(const Stored& stored);
// The content as the bytes are that `stored` holds, damaged or not.
Digest content_of_bytes(const Stored& stored);

// JSON as BSON, appended to `out` as the field `name`. False, with nothing appended, where BSON or MongoDB could not hold it unchanged in
// structure: what is not JSON, names that are repeated, empty, begin with '$' or have a dot or NUL, or nesting over 80.
bool add_json(Document& out, std::string_view name, std::string_view json);

}  // namespace setget::inline v0::mongo
