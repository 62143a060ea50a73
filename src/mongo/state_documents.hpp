// The small documents of "<collection>.state": the archiver's checkpoint and the quarantine. Thread rule: any thread.
#pragma once

#include <memory>
#include <span>

#include "mongo/place.hpp"

#include <setget/archive.hpp>

namespace setget::inline v0::mongo {

Result<std::optional<ArchiveCheckpoint>> load_checkpoint(Place& place);
Result<void> save_checkpoint(Place& place, const ArchiveCheckpoint& checkpoint);

Result<void> put_in_quarantine(Place& place, std::span<const QuarantinedEntry> entries);
Result<QuarantinePage> list_quarantine(Place& place, const ListQuarantine& request);
Result<std::size_t> release_from_quarantine(Place& place, std::span<const ArchiveId> ids);
Result<std::uint64_t> count_quarantine(Place& place, mongoc_client_t* client, Deadline deadline);

}  // namespace setget::inline v0::mongo
