// Payloads that are too large for a document: pieces in a collection of their own, named after the document and the mark of the write, "ID
// MARK NUMBER", so that those of every other write are other documents, also where that has the same version. They are written before their
// document and dropped after it.
#pragma once

#include <span>
#include <string>

#include "mongo/codec.hpp"
#include "mongo/place.hpp"

namespace setget::inline v0::mongo {

Result<void> write_pieces(Place& place, mongoc_client_t* client, const Prepared& document, Deadline deadline);
// Whether any document has some.
Result<bool> any_pieces(Place& place, mongoc_client_t* client, Deadline deadline);
// After a write: those of versions before the one that the document has now, and the write's own where another one was newer. What others
// are about to write stays.
Result<void> drop_left_over(Place& place, mongoc_client_t* client, const Prepared& written, Deadline deadline);
// The body of a document that was there.
struct BodyName {
  std::string id{};
  std::string mark{};
};
// Of these bodies, and of versions before them, unless the document is there with that body still.
Result<void> drop_pieces(Place& place, mongoc_client_t* client, std::span<const BodyName> gone, Deadline deadline);
// Fills in the payload. False if pieces are missing: the document was replaced meanwhile and must be read again, or it is damaged.
Result<bool> read_pieces(Place& place, mongoc_client_t* client, Stored& stored, bool anywhere, Deadline deadline);
// Drops pieces whose document is not there (any more) or has another body: what processes left that died between pieces and document. Looks
// at `limit` pieces behind `position`, and moves it; it is empty at the end. What is younger than an hour may be on its way and stays.
Result<void> sweep_pieces(Place& place, mongoc_client_t* client, std::string& position, std::size_t limit, Deadline deadline);

}  // namespace setget::inline v0::mongo
