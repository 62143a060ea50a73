// Entries of the archive as documents, and back. docs/adr/0020-mongo-archive.md lists the fields.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/range_digest.hpp"
#include "mongo/mongoc.hpp"
#include "mongo/names.hpp"

#include <setget/archive.hpp>
#include <setget/mongo.hpp>

namespace setget::inline v0::mongo {

// 1 had the fields of the parts beside _id, 2 had them in two parts, 3 and 4 in four, 5 had no seal; no release wrote any of them. A byte.
inline constexpr std::int32_t kFormat = 6;
// MongoDB's own limit, of what the driver sends as one document.
inline constexpr std::size_t kMaxDocument = std::size_t{16} << 20;

// An entry ready to be sent, in the parts that a document is merged from. Each begins with the mark of its write and rises as a whole.
struct Prepared {
  Document identity{};  // what never changes, but for _id
  Document state{};     // of a record: what verification compares, and the keys that lead to it; tombstones leave it as it was
  Document end{};       // of a tombstone
  Document record{};    // of both: until when it is kept; the record, in clear for queries of people, and its bytes
  std::string id{};     // _id
  std::string mark{};
  Payload pieces{};  // a payload that is too large for the document
  std::optional<TimePoint> purge_at{};
  std::size_t index = 0;  // of the entry in the request
  bool tombstone = false;

  std::size_t bytes() const;
};

// `turn`: of two writes of one version and revision that with the greater one stays.
// Errors: kInvalidArgument for an entry that breaks the seam's rules, kTooLarge for one that no document can hold; `out`, a new one, is of
// no use then.
Result<void> prepare(const ArchiveEntry& entry, const Options& options, std::int64_t turn, Prepared& out);
// The document, where there is none yet.
Document whole_of(const Prepared& document);
// The update that makes it of whatever is there: each part is taken where its mark is greater. So writes may come in any order and any
// number of times, and what is there need not be known.
Document raise_of(const Prepared& document);

// What reads are made of: other fields cost the server something.
Document fields_for_digests();
Document fields_for_summaries();
// The options of a query for whole records. They are all of a document, and picking fields costs the server more than the two others do;
// but where a native document stands beside the bytes, which costs as much as they.
Document how_to_read_records(const Options& options);

// What a document is read for.
enum class Reading : std::uint8_t {
  kLine,    // what tells of it; with the bytes of its record, if they were asked for
  kRecord,  // the record: what is repeated in clear for people is passed over
  kDigest,  // content_of_bytes() only, and while the document is there: its payload is not copied
  kState,   // the same without bytes, of fields_for_digests(): its format is the one in its seal
};

// A document as the server gave it: everything but the pieces of a large payload. Whose it is stands in its _id.
struct Stored {
  std::string id{};
  Identity identity{};
  MarkText state_mark{};
  MarkText end_mark{};
  MarkText record_mark{};
  std::string account{};
  std::string flow{};
  std::optional<TombstoneReason> gone{};
  StoredMeta meta{};
  std::optional<std::string> held_keys{};  // those by which queries find it, packed; empty: some are of another namespace, or none there
  std::optional<Digest> digest{};          // that of the record's encoding, mixed with that of the keys that must be there
  std::int32_t sealed_format = 0;          // that of the state
  bool stamped = false;                    // the state says since when they lead to it
  std::string encoded{};                   // the record; of one with pieces only what stands before its payload, until they were read
  std::size_t head = 0;                    // so much of it stands before the payload
  std::string_view seen{};                 // read for its digest: where the payload stands in the document, instead of behind that
  std::int64_t pieces = 0;
  Reading reading = Reading::kLine;

  // Of the write that made it what it is.
  const MarkText& mark() const noexcept { return end_mark.view() > state_mark.view() ? end_mark : state_mark; }
  // As a new one, with the memory that it has. What no record or tombstone is without is left as it was.
  void begin(Reading how);
};
// kUnsupported: another format than ours. kCorrupted: none.
Result<void> check_format_of(const bson_t* document);
// Errors: kCorrupted, kUnsupported. Fields that were not asked for stay empty.
Result<Stored> read_document(const bson_t* document, Reading reading);
// The same into one that is used again. After an error what is in it is of no use.
Result<void> read_document(const bson_t* document, Reading reading, Stored& into);
// The record, once `encoded` is whole. kCorrupted unless it is exactly what was archived; by which keys it is found is no matter.
Result<Record> record_of(Stored&& stored);
// The same of `encoded`, which was taken out of it.
Result<Record> record_of(const Stored& stored, const Payload& encoded);
// Whether these are the keys by which queries have to find it.
bool lead_to(const std::optional<std::string>& held_keys, const Record& record);
// Of a document that is not found by the keys of its record the content is not the one that was archived.
Summary summary_of(const Stored& stored);
// The same as what a digest of ranges is made of; good as long as `stored` is. Precondition: it is a record.
detail::EntryView entry_of(const Stored& stored);
// `said`: the content by entry_of(). Of one whose record is not what was archived another one than that. What was copied of the record is
// used up.
Digest content_of_bytes(Stored& stored, const Digest& said);
Error damaged(const Stored& stored, std::string_view what);

// JSON as BSON, appended to `out` as the field `name`. False, with nothing appended, where BSON or MongoDB could not hold it unchanged in
// structure: what is not JSON, names that are repeated, empty, begin with '$' or have a dot or NUL, or nesting over 80.
bool add_json(Document& out, std::string_view name, std::string_view json);

}  // namespace setget::inline v0::mongo
