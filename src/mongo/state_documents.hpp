// The small documents of "<collection>.state": the archiver's checkpoint, the quarantine, and since when there may be
// something to purge. Thread rule: any thread.
#pragma once

#include <memory>
#include <span>

#include "mongo/place.hpp"

#include <setget/archive.hpp>

namespace setget::inline v0::mongo {

Result<std::optional<ArchiveCheckpoint>> load_checkpoint(Place& place);
Result<void> save_checkpoint(Place& place, const ArchiveCheckpoint& checkpoint);

// The earliest purge_at that any document ever had: before it nobody has to look for what is due, which costs servers without an index as
// much as reading everything. It only falls, and is noted before the documents are written. Empty = no document had one.
Result<std::optional<TimePoint>> load_purge_from(Place& place, mongoc_client_t* client, Deadline deadline);
Result<void> lower_purge_from(Place& place, mongoc_client_t* client, TimePoint purge_at, Deadline deadline);

Result<void> put_in_quarantine(Place& place, std::span<const QuarantinedEntry> entries);
Result<QuarantinePage> list_quarantine(Place& place, const ListQuarantine& request);
Result<std::size_t> release_from_quarantine(Place& place, std::span<const ArchiveId> ids);
Result<std::uint64_t> count_quarantine(Place& place, mongoc_client_t* client, Deadline deadline);

}  // namespace setget::inline v0::mongo
