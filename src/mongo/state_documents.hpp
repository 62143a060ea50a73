// The small documents of "<collection>.state": the archiver's checkpoint, the quarantine, and since when there may be
// something to purge. Thread rule: any thread.
#pragma once

#include <memory>
#include <span>

#include "mongo/place.hpp"

#include <setget/archive.hpp>

namespace setget::inline v0::mongo {

Result<std::optional<ArchiveCheckpoint>> load_checkpoint(Place& place, Deadline deadline);
Result<void> save_checkpoint(Place& place, const ArchiveCheckpoint& checkpoint, Deadline deadline);

// The earliest purge_at that any document ever had: before it nobody has to look for what is due, which costs servers without an index as
// much as reading everything. It only falls, and is noted before the documents are written. Empty = no document had one.
Result<std::optional<TimePoint>> load_purge_from(Place& place, mongoc_client_t* client, Deadline deadline);
Result<void> lower_purge_from(Place& place, mongoc_client_t* client, TimePoint purge_at, Deadline deadline);

Result<void> put_in_quarantine(Place& place, std::span<const QuarantinedEntry> entries, Deadline deadline);
Result<QuarantinePage> list_quarantine(Place& place, const ListQuarantine& request);
Result<std::size_t> release_from_quarantine(Place& place, std::span<const ArchiveId> ids, Deadline deadline);
// A state of a history that could not be taken; `state` is the _id that it was to have. Beside what is known of its identity.
Result<void> put_state_in_quarantine(Place& place, mongoc_client_t* client, const QuarantinedEntry& entry, const std::string& state,
                                     Deadline deadline);
// Takes out those whose places in the histories are gone.
Result<void> release_dropped_states(Place& place, mongoc_client_t* client, Deadline deadline);
Result<std::uint64_t> count_quarantine(Place& place, mongoc_client_t* client, Deadline deadline);

}  // namespace setget::inline v0::mongo
