#include "pipeline/archive_quarantine.hpp"

#include "pipeline/archive_pages.hpp"
#include "pipeline/metric_names.hpp"

namespace setget::inline v0::detail {

namespace {

constexpr int kTries = 3;
constexpr Milliseconds kPause{100};

bool concerns_all(const Error& error) { return error.code() == ErrorCode::kCancelled || error.code() == ErrorCode::kDeadlineExceeded; }

}  // namespace

Result<void> ArchiveQuarantine::load() {
  known_.clear();
  states_ = 0;
  if (!options_.archive->capabilities().quarantine) return {};
  std::string cursor;
  do {
    auto page = options_.archive->quarantined({.cursor = cursor, .limit = 500, .deadline = turn_.soon()});
    if (!page) return std::move(page).error();
    for (auto& entry : page->entries) {
      if (entry.state_at) {
        ++states_;
        continue;
      }
      Name name(entry.ns, entry.id);
      known_.insert_or_assign(std::move(name), std::move(entry));
    }
    cursor = std::move(page->next);
  } while (!cursor.empty());
  return {};
}

std::vector<QuarantinedEntry> ArchiveQuarantine::entries() const {
  std::vector<QuarantinedEntry> out;
  for (const auto& [name, entry] : known_) out.push_back(entry);
  return out;
}

Result<void> ArchiveQuarantine::settle(const std::vector<ArchiveEntry>& entries, std::vector<Result<ArchiveWrite>>& results) {
  std::vector<std::size_t> refused;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i]) continue;
    if (concerns_all(results[i].error())) return results[i].error();
    refused.push_back(i);
  }
  if (!refused.empty()) {
    if (!options_.archive->capabilities().quarantine || options_.max_quarantined == 0) return results[refused.front()].error();
    if (auto tried = try_again(entries, results, refused); !tried) return tried;
    if (auto kept = keep(entries, results, refused); !kept) return kept;
  }
  if (known_.empty()) return {};
  std::vector<ArchiveId> written;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i] && known_.contains(Name(entries[i].ns, entries[i].id))) written.push_back({.ns = entries[i].ns, .id = entries[i].id});
  }
  // One that is refused and one that is written in the same batch: the refused one stays.
  for (const auto i : refused)
    std::erase_if(written, [&](const ArchiveId& id) { return id.ns == entries[i].ns && id.id == entries[i].id; });
  return release(written);
}

Result<void> ArchiveQuarantine::try_again(const std::vector<ArchiveEntry>& entries, std::vector<Result<ArchiveWrite>>& results,
                                          std::vector<std::size_t>& refused) {
  for (int attempt = 1; attempt < kTries && !refused.empty(); ++attempt) {
    turn_.rest(kPause * attempt);
    if (auto on = turn_.go_on(); !on) return on;
    std::vector<ArchiveEntry> again;
    again.reserve(refused.size());
    for (const auto i : refused) again.push_back(entries[i]);
    auto written = options_.archive->write({.entries = again, .deadline = turn_.deadline()});
    if (!written) return std::move(written).error();
    std::vector<std::size_t> still;
    for (std::size_t at = 0; at < refused.size(); ++at) {
      results[refused[at]] = std::move((*written)[at]);
      if (results[refused[at]]) continue;
      if (concerns_all(results[refused[at]].error())) return results[refused[at]].error();
      still.push_back(refused[at]);
    }
    refused = std::move(still);
  }
  return {};
}

Result<void> ArchiveQuarantine::keep(const std::vector<ArchiveEntry>& entries, const std::vector<Result<ArchiveWrite>>& results,
                                     const std::vector<std::size_t>& refused) {
  if (refused.empty()) return {};
  const auto now = options_.clock->now();
  std::map<Name, QuarantinedEntry> all;
  for (const auto i : refused) {
    const auto& entry = entries[i];
    Name name(entry.ns, entry.id);
    // A life that ended earlier than the archive knows is an end as well: no record of the store tells it again.
    const bool ends = entry.tombstone || entry.record.expired(now);
    const auto before = known_.find(name);
    QuarantinedEntry kept{.ns = entry.ns,
                          .id = entry.id,
                          .version = entry.version,
                          .revision = entry.revision,
                          .tombstone = ends,
                          .tombstone_reason = !ends             ? TombstoneReason::kErased
                                              : entry.tombstone ? entry.reason
                                                                : TombstoneReason::kExpired,
                          .reason = results[i].error().describe(),
                          .attempts = (before == known_.end() ? 0 : before->second.attempts) + kTries,
                          .since = before == known_.end() ? now : before->second.since,
                          .last_at = now};
    all.insert_or_assign(std::move(name), std::move(kept));
  }
  std::size_t fresh = 0;
  for (const auto& [name, entry] : all) fresh += known_.contains(name) ? 0 : 1;
  const auto& first = results[refused.front()].error();
  if (fresh > 0 && size() + fresh > options_.max_quarantined) {
    return Error(first.code(),
                 fmt::format("the archive refuses more than {} changes, such as one with: {}", options_.max_quarantined, first.message()))
        .from(first.source(), first.native_code(), first.native_text());
  }
  std::vector<QuarantinedEntry> list;
  list.reserve(all.size());
  for (const auto& [name, entry] : all) list.push_back(entry);
  if (auto put = options_.archive->quarantine_within(list, turn_.soon()); !put) return put;
  options_.logger->log(LogLevel::kError, "the archive refuses changes; they are kept in its quarantine",
                       {{"count", std::to_string(list.size())}, {"reason", first.message()}});
  for (auto& [name, entry] : all) known_.insert_or_assign(name, std::move(entry));
  for (const auto i : refused) {
    if (!entries[i].tombstone) continue;
    if (auto gone = take_away(entries[i]); !gone) return gone;
  }
  return {};
}

Result<void> ArchiveQuarantine::take_away(const ArchiveEntry& tombstone) {
  auto& archive = *options_.archive;
  const GetById asked{.ns = tombstone.ns, .id = tombstone.id, .now = TimePoint{}, .deadline = turn_.soon()};
  const auto tag = archive.tag(asked);
  if (!tag) return tag.error();
  const auto there = archive.get_by_id(asked);
  if (!there) return is_damage(there.error()) ? Result<void>() : there.error();  // that is found by nobody
  if (!there->record || std::pair(there->record->version, there->record->revision) > std::pair(tombstone.version, tombstone.revision)) {
    return {};
  }
  const TaggedDocument document{.ns = tombstone.ns, .id = tombstone.id, .tag = *tag};
  const auto removed = archive.remove_tagged({.documents = std::span(&document, 1), .deadline = turn_.soon()});
  return removed ? Result<void>() : removed.error();
}

Result<void> ArchiveQuarantine::release(const std::vector<ArchiveId>& ids) {
  if (ids.empty()) return {};
  if (auto released = options_.archive->release_within(ids, turn_.soon()); !released) return std::move(released).error();
  for (const auto& id : ids) known_.erase(Name(id.ns, id.id));
  return {};
}

Result<void> ArchiveQuarantine::release(const std::string& ns, const std::string& id) {
  return release(std::vector<ArchiveId>{{.ns = ns, .id = id}});
}

}  // namespace setget::inline v0::detail
