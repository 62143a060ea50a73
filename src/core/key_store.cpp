#include <array>

#include <setget/archive.hpp>
#include <setget/key_store.hpp>
#include <setget/model.hpp>

namespace setget::inline v0 {

KeyStoreBackend::~KeyStoreBackend() = default;
FusedStore::~FusedStore() = default;
ArchiveBackend::~ArchiveBackend() = default;

namespace {
Error no_history(const char* where) { return {ErrorCode::kUnsupported, std::string("this ") + where + " keeps no history"}; }
Error no_quarantine() { return {ErrorCode::kUnsupported, "this archive has no quarantine"}; }
}  // namespace

Result<void> ArchiveBackend::quarantine(std::span<const QuarantinedEntry>) { return no_quarantine(); }
Result<QuarantinePage> ArchiveBackend::quarantined(const ListQuarantine&) { return no_quarantine(); }
Result<std::size_t> ArchiveBackend::release(std::span<const ArchiveId>) { return no_quarantine(); }
Result<std::size_t> ArchiveBackend::write_history(const WriteHistory&) { return no_history("archive"); }
Result<HistoryLookup> ArchiveBackend::get_history(const GetHistory&) { return no_history("archive"); }
Result<SummaryPage> ArchiveBackend::scan_history(const ScanHistory&) { return no_history("archive"); }
Result<std::string> ArchiveBackend::history_of() {
  auto all = stats();
  if (!all) return std::move(all).error();
  return std::move(all->history_of);
}

Result<std::string> ArchiveBackend::tag(const GetById& request) {
  auto at_any_time = request;
  at_any_time.now = TimePoint{};
  const auto found = get_by_id(at_any_time);
  if (!found && found.error().code() == ErrorCode::kCorrupted) return std::string("damaged");
  if (!found) return found.error();
  if (found->status == Lookup::Status::kUnknown) return std::string();
  if (!found->record) return std::string("gone");
  return std::to_string(found->record->version) + "." + std::to_string(found->record->revision);
}

Result<std::size_t> ArchiveBackend::remove_tagged(const RemoveTagged& request) {
  std::vector<ArchiveId> unchanged;
  for (const auto& document : request.documents) {
    const auto found = tag({.ns = document.ns, .id = document.id, .now = {}, .deadline = request.deadline});
    if (!found) return found.error();
    if (!found->empty() && *found == document.tag) unchanged.push_back({.ns = document.ns, .id = document.id});
  }
  return unchanged.empty() ? Result<std::size_t>(std::size_t{0}) : remove(unchanged);
}

Result<std::optional<ArchiveCheckpoint>> ArchiveBackend::load_checkpoint_within(Deadline) { return load_checkpoint(); }
Result<void> ArchiveBackend::save_checkpoint_within(const ArchiveCheckpoint& checkpoint, Deadline) { return save_checkpoint(checkpoint); }
Result<ArchiveStats> ArchiveBackend::stats_within(Deadline) { return stats(); }
Result<void> ArchiveBackend::quarantine_within(std::span<const QuarantinedEntry> entries, Deadline) { return quarantine(entries); }
Result<std::size_t> ArchiveBackend::release_within(std::span<const ArchiveId> ids, Deadline) { return release(ids); }
Result<std::string> ArchiveBackend::history_of_within(Deadline) { return history_of(); }
Result<HistoryBatch> KeyStoreBackend::history(const ReadHistory&) { return no_history("store"); }
Result<void> KeyStoreBackend::confirm_history(std::span<const OutboxPlace>, Deadline) { return no_history("store"); }
Result<std::vector<Result<bool>>> KeyStoreBackend::begin_history(std::span<const BeginHistory>, Deadline) { return no_history("store"); }
ModelTransaction::~ModelTransaction() = default;

FusedStore* KeyStoreBackend::fused_with(QueueBackend&) { return nullptr; }
// NOLINTNEXTLINE(performance-unnecessary-value-param): overrides keep it
void KeyStoreBackend::get_async(const GetRecords& request, GetDone done) { done(get(request)); }

std::optional<Lookup> KeyStoreBackend::get_at_hand(std::string_view /*ns*/, std::string_view /*key*/, TimePoint /*now*/) {
  return std::nullopt;
}

std::shared_ptr<const Lookup> KeyStoreBackend::share_at_hand(std::string_view ns, std::string_view key, TimePoint now) {
  auto found = get_at_hand(ns, key, now);
  return found ? std::make_shared<const Lookup>(*std::move(found)) : nullptr;
}

Result<std::vector<Lookup>> KeyStoreBackend::get_by_ids(const GetByIds& request) {
  std::vector<Lookup> out;
  out.reserve(request.names.size());
  for (const auto& name : request.names) {
    auto found = get_by_id({.ns = name.ns, .id = name.id, .now = request.now, .deadline = request.deadline});
    if (!found) return std::move(found).error();
    out.push_back(*std::move(found));
  }
  return out;
}

std::string_view to_string(TombstoneReason reason) noexcept {
  switch (reason) {
    case TombstoneReason::kErased:
      return "erased";
    case TombstoneReason::kSuperseded:
      return "superseded";
    case TombstoneReason::kExpired:
      return "expired";
  }
  return "unknown";
}

Result<ApplyResult> KeyStore::apply(const ApplyEntry& entry, TimePoint now, Deadline deadline) {
  auto applied = backend_->apply({.entries = std::span(&entry, 1), .now = now, .deadline = deadline});
  if (!applied) return std::move(applied).error();
  return std::move(applied->front());
}

Result<std::optional<Record>> KeyStore::get(std::string_view key, TimePoint now, std::string_view ns, Deadline deadline) {
  auto found = backend_->get({.ns = ns, .keys = std::span(&key, 1), .now = now, .deadline = deadline});
  if (!found) return std::move(found).error();
  return std::move(found->front().record);
}

Result<std::optional<Record>> KeyStore::get_by_id(std::string_view id, TimePoint now, std::string_view ns, Deadline deadline) {
  auto found = backend_->get_by_id({.ns = ns, .id = id, .now = now, .deadline = deadline});
  if (!found) return std::move(found).error();
  return std::move(found->record);
}

}  // namespace setget::inline v0
