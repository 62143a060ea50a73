#include "pipeline/archive_rules.hpp"

#include <algorithm>
#include <utility>

namespace setget::inline v0::detail {

namespace {

// Of what no flow speaks for: a tombstone whose record the archive never had.
constexpr Ttl kDefaultRetention{.length = std::chrono::hours(24 * 30)};

}  // namespace

bool ArchiveRules::short_lived(std::string_view account, std::string_view flow, const std::optional<TimePoint>& expires_at,
                               TimePoint now) const {
  if (!expires_at || *expires_at - now >= next_run_in_) return false;
  return flows_->effective(account, flow).archive.value_or(ArchiveMode::kSkip) == ArchiveMode::kSkip;
}

Ttl ArchiveRules::retention(std::string_view account, std::string_view flow) const {
  return flows_->effective(account, flow).archive_retention.value_or(kDefaultRetention);
}

ArchiveEntry ArchiveRules::record_entry(Record&& record) const {
  ArchiveEntry entry;
  entry.ns = record.ns;
  entry.id = record.id;
  entry.version = record.version;
  entry.revision = record.revision;
  if (record.expires_at) entry.purge_at = TtlPolicy::expires_at(*record.expires_at, retention(record.account, record.flow));
  entry.record = std::move(record);
  return entry;
}

ArchiveEntry ArchiveRules::ended_entry(Record&& record, Revision revision, TimePoint now) const {
  record.revision = std::max(record.revision, revision);
  record.expires_at = std::min(record.expires_at.value_or(now), now);
  return record_entry(std::move(record));
}

ArchiveEntry ArchiveRules::tombstone_entry(std::string ns, std::string id, Version version, Revision revision, TombstoneReason reason,
                                           const Record* known, TimePoint now) const {
  ArchiveEntry entry;
  entry.tombstone = true;
  entry.reason = reason;
  entry.ns = std::move(ns);
  entry.id = std::move(id);
  entry.version = version;
  entry.revision = revision;
  entry.purge_at = TtlPolicy::expires_at(now, known != nullptr ? retention(known->account, known->flow) : kDefaultRetention);
  return entry;
}

}  // namespace setget::inline v0::detail
