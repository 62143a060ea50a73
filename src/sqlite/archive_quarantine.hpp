// The archive's quarantine: what it could not write, with the reasons. Called within one read or one transaction.
#pragma once

#include <cstdint>
#include <span>

#include "sqlite/sqlite3.hpp"

#include <setget/archive.hpp>

namespace setget::inline v0::sqlite {

void put_quarantined(Connection& db, const QuarantinedEntry& entry);
Result<QuarantinePage> list_quarantine(Connection& db, const ListQuarantine& request);
std::size_t release_quarantined(Connection& db, std::span<const ArchiveId> ids);
std::uint64_t count_quarantine(Connection& db);

}  // namespace setget::inline v0::sqlite
