// The archive: documents in the order of key-store scans, each guarded by its (version, revision). It shares nothing with queues and key
// store and has a lock of its own.
#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "core/scan_cursor.hpp"
#include "memory/archive_history.hpp"
#include "memory/state.hpp"

namespace setget::inline v0::memory::detail {

namespace {

using setget::detail::decode_scan_cursor;
using setget::detail::encode_scan_cursor;

struct Document {
  ArchiveEntry entry;
  Digest content;
  // The keys under which it answers, and the acceptance that decides between documents of one key. A tombstone keeps those of the
  // record it replaced: its keys are gone, they do not fall back to an earlier holder.
  std::vector<std::string> keys;
  Stamp stamp = 0;
  std::uint64_t written = 0;  // a number that no other write has
};

std::string tag_of(const Document& document) { return std::to_string(document.written); }

std::vector<std::string> held_keys(const Record& record) {
  std::vector<std::string> keys;
  for (const auto key : record.keys) {
    if (!record.lost_keys.contains(key)) keys.emplace_back(key);
  }
  return keys;
}

std::size_t size_of(const Document& document) {
  std::size_t size = sizeof(document) + document.entry.ns.size() + document.entry.id.size() + document.entry.record.payload.size();
  for (const auto& key : document.keys) size += key.size();
  return size;
}

class MemoryArchive final : public ArchiveBackend {
 public:
  ArchiveCapabilities capabilities() const override {
    return {.durability = Durability::kMemory, .read_by_key = true, .quarantine = true, .history = true};
  }

  Result<std::vector<Result<ArchiveWrite>>> write(const WriteArchive& request) override {
    const std::lock_guard lock(mutex_);
    std::vector<Result<ArchiveWrite>> results;
    results.reserve(request.entries.size());
    for (const auto& entry : request.entries) results.push_back(write_one(entry));
    return results;
  }

  Result<std::vector<Lookup>> get(const GetRecords& request) override {
    const std::lock_guard lock(mutex_);
    std::vector<Lookup> lookups;
    lookups.reserve(request.keys.size());
    for (const auto key : request.keys) {
      const auto holders = keys_.find(KeyView{request.ns, key});
      lookups.push_back(holders == keys_.end() ? Lookup() : answer(holders->second.rbegin()->second->second, request.now));
    }
    return lookups;
  }

  Result<Lookup> get_by_id(const GetById& request) override {
    const std::lock_guard lock(mutex_);
    const auto found = documents_.find(IdentityView(request.ns, request.id));
    return found == documents_.end() ? Lookup() : answer(found->second, request.now);
  }

  Result<SummaryPage> scan(const ScanArchive& request) override {
    const std::lock_guard lock(mutex_);
    auto at = documents_.begin();
    if (!request.cursor.empty()) {
      const auto cursor = decode_scan_cursor(request.cursor);
      if (!cursor) return cursor.error();
      at = documents_.upper_bound(IdentityView(cursor->hash, cursor->ns, cursor->id));
    }
    SummaryPage page;
    const auto limit = std::max<std::size_t>(request.limit, 1);
    for (; at != documents_.end(); ++at) {
      if (page.items.size() == limit) {
        const auto& last = page.items.back();
        page.next = encode_scan_cursor(last.hash, last.ns, last.id);
        break;
      }
      page.items.push_back(summary_of(*at, request.with_records));
    }
    return page;
  }

  Result<std::size_t> reclaim(const ReclaimArchive& request) override {
    const std::lock_guard lock(mutex_);
    std::size_t steps = 0;
    while (steps < request.max_steps && !purges_.empty() && purges_.begin()->first <= request.now) {
      erase(purges_.begin()->second);
      ++steps;
    }
    auto rest = request;
    rest.max_steps -= steps;
    return steps + history_.reclaim(rest);
  }

  Result<std::size_t> remove(std::span<const ArchiveId> ids) override {
    const std::lock_guard lock(mutex_);
    std::size_t removed = 0;
    for (const auto& [ns, id] : ids) {
      const auto found = documents_.find(IdentityView(ns, id));
      if (found == documents_.end()) continue;
      erase(&*found);
      ++removed;
    }
    return removed;
  }

  Result<std::string> tag(const GetById& request) override {
    const std::lock_guard lock(mutex_);
    const auto found = documents_.find(IdentityView(request.ns, request.id));
    return found == documents_.end() ? std::string() : tag_of(found->second);
  }

  Result<std::size_t> remove_tagged(const RemoveTagged& request) override {
    const std::lock_guard lock(mutex_);
    std::size_t removed = 0;
    for (const auto& [ns, id, tag] : request.documents) {
      const auto found = documents_.find(IdentityView(ns, id));
      if (found == documents_.end() || tag_of(found->second) != tag) continue;
      erase(&*found);
      ++removed;
    }
    return removed;
  }

  Result<std::optional<ArchiveCheckpoint>> load_checkpoint() override {
    const std::lock_guard lock(mutex_);
    return checkpoint_;
  }

  Result<void> save_checkpoint(const ArchiveCheckpoint& checkpoint) override {
    const std::lock_guard lock(mutex_);
    if (checkpoint_ && !checkpoint_->yields_to(checkpoint)) return Error(ErrorCode::kLeaseLost, "another archive run has taken over");
    checkpoint_ = checkpoint;
    return {};
  }

  Result<ArchiveStats> stats() override {
    const std::lock_guard lock(mutex_);
    ArchiveStats stats;
    stats.records = documents_.size() - tombstones_;
    stats.tombstones = tombstones_;
    stats.bytes = bytes_;
    stats.quarantined = quarantine_.size();
    history_.add_to(stats);
    return stats;
  }

  Result<void> quarantine(std::span<const QuarantinedEntry> entries) override {
    const std::lock_guard lock(mutex_);
    for (const auto& entry : entries) quarantine_.insert_or_assign(IdentityName(IdentityView(entry.ns, entry.id)), entry);
    return {};
  }

  Result<QuarantinePage> quarantined(const ListQuarantine& request) override {
    const std::lock_guard lock(mutex_);
    auto at = quarantine_.begin();
    if (!request.cursor.empty()) {
      const auto cursor = decode_scan_cursor(request.cursor);
      if (!cursor) return cursor.error();
      at = quarantine_.upper_bound(IdentityView(cursor->hash, cursor->ns, cursor->id));
    }
    QuarantinePage page;
    for (; at != quarantine_.end(); ++at) {
      if (page.entries.size() == std::max<std::size_t>(request.limit, 1)) {
        const auto& last = page.entries.back();
        page.next = encode_scan_cursor(identity_hash(last.ns, last.id), last.ns, last.id);
        break;
      }
      page.entries.push_back(at->second);
    }
    return page;
  }

  Result<std::size_t> release(std::span<const ArchiveId> ids) override {
    const std::lock_guard lock(mutex_);
    std::size_t released = 0;
    for (const auto& [ns, id] : ids) {
      const auto found = quarantine_.find(IdentityView(ns, id));
      if (found == quarantine_.end()) continue;
      quarantine_.erase(found);
      ++released;
    }
    return released;
  }

  Result<std::size_t> write_history(const WriteHistory& request) override {
    const std::lock_guard lock(mutex_);
    return history_.write(request);
  }

  Result<HistoryLookup> get_history(const GetHistory& request) override {
    const std::lock_guard lock(mutex_);
    return history_.get(request);
  }

  Result<SummaryPage> scan_history(const ScanHistory& request) override {
    std::optional<setget::detail::ScanCursor> from;
    if (!request.cursor.empty()) {
      auto cursor = decode_scan_cursor(request.cursor);
      if (!cursor) return std::move(cursor).error();
      from = std::move(*cursor);
    }
    const auto after = from ? std::optional(IdentityView(from->hash, from->ns, from->id)) : std::nullopt;
    const std::lock_guard lock(mutex_);
    std::vector<const Record*> records;
    const bool more = history_.scan(after, request.at, std::max<std::size_t>(request.limit, 1), records);
    SummaryPage page;
    for (const auto* record : records) page.items.push_back(summary_of(*record));
    if (more) page.next = encode_scan_cursor(page.items.back().hash, page.items.back().ns, page.items.back().id);
    return page;
  }

 private:
  using Documents = std::map<IdentityName, Document, IdentityLess>;
  using Row = Documents::value_type;
  // Who holds a key, in the order of acceptance; ties by id, as in the model.
  using Holders = std::map<std::pair<Stamp, std::string>, const Row*>;

  Result<ArchiveWrite> write_one(const ArchiveEntry& entry) {
    const IdentityView name(entry.ns, entry.id);
    auto at = documents_.lower_bound(name);
    const bool known = at != documents_.end() && IdentityView(at->first) == name;
    if (known) {
      const auto& there = at->second.entry;
      if (std::pair(there.version, there.revision) >= std::pair(entry.version, entry.revision)) return ArchiveWrite::kOlder;
      unindex(*at);
    } else {
      at = documents_.emplace_hint(at, IdentityName(name), Document());
    }
    auto& document = at->second;
    document.entry = entry;
    document.written = ++writes_;
    if (!entry.tombstone) {
      document.content = content_digest(entry.record);
      document.keys = held_keys(entry.record);
      document.stamp = entry.record.stamp;
    } else {
      document.content = {};
      document.entry.record = {};
    }
    index(*at);
    return ArchiveWrite::kWritten;
  }

  static Lookup answer(const Document& document, TimePoint now) {
    const auto& entry = document.entry;
    if (entry.tombstone || entry.record.expired(now)) return {.status = Lookup::Status::kGone, .record = {}};
    return {.status = Lookup::Status::kFound, .record = entry.record};
  }

  static Summary summary_of(const Row& row, bool with_record) {
    const auto& entry = row.second.entry;
    Summary summary;
    summary.hash = row.first.hash;
    summary.ns = entry.ns;
    summary.id = entry.id;
    summary.tombstone = entry.tombstone;
    summary.reason = entry.reason;
    summary.version = entry.version;
    summary.revision = entry.revision;
    summary.expires_at = entry.record.expires_at;
    summary.account = entry.record.account;
    summary.flow = entry.record.flow;
    summary.content = row.second.content;
    summary.stamp = entry.record.stamp;
    summary.ttl_rule = entry.record.ttl_rule;
    if (with_record && !entry.tombstone) summary.record = entry.record;
    return summary;
  }

  static Summary summary_of(const Record& record) {
    Summary summary;
    summary.hash = identity_hash(record.ns, record.id);
    summary.ns = record.ns;
    summary.id = record.id;
    summary.version = record.version;
    summary.revision = record.revision;
    summary.expires_at = record.expires_at;
    summary.account = record.account;
    summary.flow = record.flow;
    summary.content = content_digest(record);
    summary.stamp = record.stamp;
    summary.ttl_rule = record.ttl_rule;
    summary.record = record;
    return summary;
  }

  void index(const Row& row) {
    const auto& [name, document] = row;
    bytes_ += size_of(document);
    if (document.entry.tombstone) ++tombstones_;
    if (document.entry.purge_at) purges_.emplace(*document.entry.purge_at, &row);
    for (const auto& key : document.keys) keys_[KeyName({name.ns, key})].emplace(std::pair(document.stamp, name.id), &row);
  }

  void unindex(const Row& row) {
    const auto& [name, document] = row;
    bytes_ -= size_of(document);
    if (document.entry.tombstone) --tombstones_;
    if (document.entry.purge_at) purges_.erase({*document.entry.purge_at, &row});
    for (const auto& key : document.keys) {
      const auto holders = keys_.find(KeyView{name.ns, key});
      if (holders == keys_.end()) continue;  // a record may list a key twice
      holders->second.erase(std::pair(document.stamp, name.id));
      if (holders->second.empty()) keys_.erase(holders);
    }
  }

  void erase(const Row* row) {
    unindex(*row);
    documents_.erase(documents_.find(IdentityView(row->first)));
  }

  std::mutex mutex_;
  Documents documents_;
  std::unordered_map<KeyName, Holders, KeyHash, KeyEqual> keys_;
  std::set<std::pair<TimePoint, const Row*>> purges_;
  std::map<IdentityName, QuarantinedEntry, IdentityLess> quarantine_;
  ArchiveHistory history_;
  std::optional<ArchiveCheckpoint> checkpoint_;
  std::uint64_t writes_ = 0;
  std::uint64_t tombstones_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace

std::shared_ptr<ArchiveBackend> make_archive() { return std::make_shared<MemoryArchive>(); }

}  // namespace setget::inline v0::memory::detail
