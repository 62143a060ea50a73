// Payloads that are too large for a document: pieces in a collection of their own, named after document and order, "ID ORDER NUMBER", so
// that those of another version are other documents. They are written before their document and dropped after it.
#pragma once

#include <string>

#include "mongo/codec.hpp"
#include "mongo/place.hpp"

namespace setget::inline v0::mongo {

Result<void> write_pieces(Place& place, mongoc_client_t* client, const Prepared& document, Deadline deadline);
// Whether any document has some.
Result<bool> any_pieces(Place& place, mongoc_client_t* client, Deadline deadline);
// Those of versions that are older than the one that the document has now.
Result<void> drop_old_pieces(Place& place, mongoc_client_t* client, const std::string& id, Deadline deadline);
// All of a document's.
Result<void> drop_pieces(Place& place, mongoc_client_t* client, const std::string& id, Deadline deadline);
// Fills in the payload. False if pieces are missing: the document was replaced meanwhile and must be read again, or it is damaged.
Result<bool> read_pieces(Place& place, mongoc_client_t* client, Stored& stored, bool anywhere, Deadline deadline);
// Drops pieces whose document is not there (any more) or has moved on: what processes left that died between pieces and document. Looks at
// `limit` pieces behind `position`, and moves it; it is empty at the end. What is younger than an hour may be on its way and stays.
Result<void> sweep_pieces(Place& place, mongoc_client_t* client, std::string& position, std::size_t limit, Deadline deadline);

}  // namespace setget::inline v0::mongo
