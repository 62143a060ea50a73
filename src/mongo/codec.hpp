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

// 1 had the fields of `record` and `held` beside _id; no release wrote it.
inline constexpr std::int32_t kFormat = 2;
// MongoDB's own limit, of what the driver sends as one document.
inline constexpr std::size_t kMaxDocument = std::size_t{16} << 20;

// What one write was: the first two members of both parts of a document, in this order, and with that what servers compare them by.
struct Mark {
  std::string order{};
  std::int64_t turn = 0;
  friend bool operator==(const Mark&, const Mark&) = default;
};

// An entry ready to be sent, in the parts that a document is merged from.
struct Prepared {
  Document identity{};  // what never changes, but for _id
  Document record{};    // the state
  Document held{};      // the keys that lead to it, and since when; empty for tombstones, which keep those of the record that they end
  std::string id{};     // _id
  Mark mark{};
  Payload pieces{};  // a payload that is too large for the document
  std::optional<TimePoint> purge_at{};
  std::size_t index = 0;  // of the entry in the request
  bool tombstone = false;

  std::size_t bytes() const;
};

// `turn`: of two writes of one version and revision that with the greater one stays.
// Errors: kInvalidArgument for an entry that breaks the seam's rules, kTooLarge for one that no document can hold.
Result<Prepared> prepare(const ArchiveEntry& entry, const Options& options, std::int64_t turn);
// The document, where there is none yet.
Document whole_of(const Prepared& document);
// The update that makes it of whatever is there: each part is taken where its mark is greater. So writes may come in any order and any
// number of times, and what is there need not be known.
Document raise_of(const Prepared& document);

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
// kUnsupported: another format than ours, where the field was asked for.
Result<void> check_format_of(const bson_t* document);
// Errors: kCorrupted, kUnsupported. Fields that were not asked for stay empty.
Result<Stored> read_document(const bson_t* document);
// The same where its keys were asked for: a record that lists none is not what was archived.
Result<Stored> read_document_with_keys(const bson_t* document);
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
