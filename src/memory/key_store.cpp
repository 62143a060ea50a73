// The key-store seam over the tables: locking, paging, the change log. What a command does is decided by apply_command() of
// setget/model.hpp; nothing here decides it again. Records are decoded outside the lock: under it, only references are taken.
#include <algorithm>
#include <optional>

#include "core/range_digest.hpp"
#include "core/scan_cursor.hpp"
#include "memory/checks.hpp"
#include "memory/state.hpp"
#include "memory/transaction.hpp"

namespace setget::inline v0::memory::detail {

namespace {

using setget::detail::decode_scan_cursor;
using setget::detail::encode_scan_cursor;
using setget::detail::ScanCursor;

using Lock = std::unique_lock<std::mutex>;
using Row = Identities::value_type;

// What is taken of a live record under the lock.
struct Taken {
  Payload encoded;
  StoredMeta meta;
  Taken() = default;
  explicit Taken(const IdentityRow& row) : encoded(row.encoded), meta(row.meta()) {}
  Result<Record> decode() const { return make_record(encoded, meta); }
};

bool expired(const IdentityRow& row, TimePoint now) { return row.slot.expires_at && *row.slot.expires_at <= now; }

Result<Lookup> found(const Taken& taken) {
  auto record = taken.decode();
  if (!record) return std::move(record).error();
  return Lookup{.status = Lookup::Status::kFound, .record = std::move(*record)};
}

Result<std::optional<ScanCursor>> parse_cursor(std::string_view text) {
  if (text.empty()) return std::optional<ScanCursor>();
  auto cursor = decode_scan_cursor(text);
  if (!cursor) return std::move(cursor).error();
  return std::optional(std::move(*cursor));
}

std::optional<IdentityView> view_of(const std::optional<ScanCursor>& cursor) {
  if (!cursor) return std::nullopt;
  return IdentityView(cursor->hash, cursor->ns, cursor->id);
}

class MemoryKeyStore final : public KeyStoreBackend, public FusedStore {
 public:
  explicit MemoryKeyStore(std::shared_ptr<Database::State> state) : state_(std::move(state)) {}

  KeyStoreCapabilities capabilities() const override {
    return {.durability = Durability::kMemory, .listing = true, .change_log = true, .scan = true, .history = true};
  }

  Result<StoreIdentity> identity(Deadline) override { return state_->identity; }

  // --- writing ------------------------------------------------------------------------------------------------------------------

  Result<std::vector<Result<ApplyResult>>> apply(const ApplyCommands& request) override {
    const Lock lock(state_->mutex);
    std::vector<Result<ApplyResult>> results;
    results.reserve(request.entries.size());
    for (const auto& entry : request.entries) results.push_back(apply_one(entry, request.now, request.ignore_floor));
    after_changes();
    return results;
  }

  FusedStore* fused_with(QueueBackend& queue) override { return belongs_to(queue, *state_) ? this : nullptr; }

  // Queue and store share the mutex, so nothing more is needed to make apply and ack one step.
  Result<Results> apply_and_settle(std::string_view queue_name, std::span<const FusedEntry> entries, std::span<const Settlement> others,
                                   TimePoint now, Deadline) override {
    const Lock lock(state_->mutex);
    const auto named = state_->queues.find(queue_name);
    if (named == state_->queues.end()) return Error(ErrorCode::kNotFound, "there is no such queue").at_field("queue");
    auto& queue = *named->second;
    const auto queue_now = state_->clock->now();
    queue.advance(queue_now);
    Results results;
    results.applied.reserve(entries.size());
    results.settled.reserve(others.size());
    for (const auto& [receipt, entry] : entries) {
      if (queue.held_by(receipt) == nullptr) {
        results.applied.emplace_back(Error(ErrorCode::kLeaseLost, "the receipt no longer holds its message"));
        continue;
      }
      auto applied = apply_one(entry, now, false);
      if (applied) (void)queue.settle(settlement_of(receipt, *applied), queue_now);  // cannot fail: the lease was just looked at
      results.applied.push_back(std::move(applied));
    }
    for (const auto& settlement : others) results.settled.push_back(queue.settle(settlement, queue_now));
    queue.arrivals.notify_all();
    after_changes();
    return results;
  }

  Result<std::vector<Result<bool>>> set_expiry(std::span<const SetExpiry> entries, Deadline) override {
    const Lock lock(state_->mutex);
    std::vector<Result<bool>> results;
    results.reserve(entries.size());
    for (const auto& entry : entries) {
      Transaction step(state_->tables, state_->outbox, state_->clock->now(), true);
      auto changed = change_expiry(step, entry);
      if (changed) step.commit();
      results.push_back(std::move(changed));
    }
    after_changes();
    return results;
  }

  // --- reading ------------------------------------------------------------------------------------------------------------------

  Result<std::vector<Lookup>> get(const GetRecords& request) override {
    std::vector<Lookup> lookups(request.keys.size());
    std::vector<std::pair<std::size_t, Taken>> live;
    {
      const Lock lock(state_->mutex);
      for (std::size_t i = 0; i < request.keys.size(); ++i) {
        const KeyView name{request.ns, request.keys[i]};
        const auto* row = state_->tables.find(name);
        if (row == nullptr || !row->slot.exists) continue;
        const auto* holder = state_->tables.holder(name, *row);
        if (holder == nullptr || expired(*holder, request.now)) {
          lookups[i].status = Lookup::Status::kGone;
        } else {
          live.emplace_back(i, Taken(*holder));
        }
      }
    }
    for (const auto& [i, taken] : live) {
      auto lookup = found(taken);
      if (!lookup) return std::move(lookup).error();
      lookups[i] = std::move(*lookup);
    }
    return lookups;
  }

  Result<Lookup> get_by_id(const GetById& request) override {
    Taken taken;
    {
      const Lock lock(state_->mutex);
      const auto* row = state_->tables.find(IdentityView(request.ns, request.id));
      if (row == nullptr || row->slot.state == IdentitySlot::State::kAbsent) return Lookup();
      if (!row->live() || expired(*row, request.now)) return Lookup{.status = Lookup::Status::kGone, .record = {}};
      taken = Taken(*row);
    }
    return found(taken);
  }

  Result<ListPage> list(const ListRecords& request) override {
    if (request.limit == 0) return Error(ErrorCode::kInvalidArgument, "limit must be > 0").at_field("limit");
    auto cursor = parse_cursor(request.cursor);
    if (!cursor) return std::move(cursor).error();
    std::vector<Taken> taken;
    ListPage page;
    {
      const Lock lock(state_->mutex);
      const auto rows = state_->tables.list(request, view_of(*cursor));
      std::size_t bytes = 0;
      for (const auto* row : rows) {
        if (!expired(row->second, request.now)) bytes += taken.emplace_back(row->second).encoded.size();
        if (bytes < kListPageBytes && row != rows.back()) continue;
        if (bytes >= kListPageBytes || rows.size() == request.limit) page.next = cursor_at(*row);
        break;
      }
    }
    for (const auto& one : taken) {
      auto record = one.decode();
      if (!record) return std::move(record).error();
      page.records.push_back(std::move(*record));
    }
    return page;
  }

  Result<SummaryPage> scan(const ScanRecords& request) override {
    if (request.limit == 0) return Error(ErrorCode::kInvalidArgument, "limit must be > 0").at_field("limit");
    auto cursor = parse_cursor(request.cursor);
    if (!cursor) return std::move(cursor).error();
    SummaryPage page;
    std::vector<std::optional<Taken>> taken;
    {
      const Lock lock(state_->mutex);
      const auto& rows = state_->tables.identities();
      const auto after = view_of(*cursor);
      for (auto at = after ? rows.upper_bound(*after) : rows.begin(); at != rows.end(); ++at) {
        if (at->second.slot.state == IdentitySlot::State::kAbsent) continue;
        if (page.items.size() == request.limit) {
          const auto& last = page.items.back();
          page.next = encode_scan_cursor(last.hash, last.ns, last.id);
          break;
        }
        page.items.push_back(summary_of(*at));
        taken.push_back(at->second.live() ? std::optional<Taken>(at->second) : std::nullopt);
      }
    }
    for (std::size_t i = 0; i < taken.size(); ++i) {
      if (!taken[i]) continue;
      auto record = taken[i]->decode();
      if (!record) return std::move(record).error();
      auto& summary = page.items[i];
      summary.account = record->account;
      summary.flow = record->flow;
      summary.content = content_digest(*record);
      if (request.with_records) summary.record = std::move(*record);
    }
    return page;
  }

  // The bytes of a record are digested once: for verifications that do not ask to read them again.
  Result<std::vector<RangeDigest>> digest(const DigestRecords& request) override {
    auto sums = setget::detail::RangeSums::of(request);
    if (!sums) return std::move(sums).error();
    std::optional<IdentityName> last;
    do {
      if (request.go_on) {
        if (auto on = request.go_on(); !on) return std::move(on).error();
      }
      auto page = digests_behind(last, request);
      if (auto read = read_unknown(page); !read) return std::move(read).error();
      for (const auto& [hash, entry] : page.entries) sums->add(hash, entry);
      last = std::move(page.last);
    } while (last);
    return sums->take();
  }

  // --- change log ---------------------------------------------------------------------------------------------------------------

  Result<CursorInfo> open_cursor(const OpenCursor& request) override {
    if (auto valid = check_name("cursor", request.name); !valid) return std::move(valid).error();
    const Lock lock(state_->mutex);
    const auto& tables = state_->tables;
    const Position oldest = tables.log().empty() ? tables.last_position() : tables.log().begin()->first - 1;
    return state_->cursors.open(request, oldest, tables.last_position(), state_->clock->now());
  }

  Result<ChangeBatch> changes(const ReadChanges& request) override {
    ChangeBatch batch;
    std::vector<Taken> taken;
    {
      const Lock lock(state_->mutex);
      const auto cursor = state_->cursors.position(request.cursor);
      if (!cursor) return cursor.error();
      const auto& tables = state_->tables;
      batch.next = std::max(request.after, *cursor);
      std::size_t bytes = 0;
      auto at = tables.log().upper_bound(batch.next);
      for (; at != tables.log().end() && batch.changes.size() < request.limit; ++at) {
        const auto& row = at->second->second;
        bytes += row.encoded.size();
        if (bytes > request.max_bytes && !batch.changes.empty()) break;
        batch.changes.push_back(change_of(at->first, *at->second));
        taken.emplace_back(row);
        batch.next = at->first;
      }
      batch.at_end = at == tables.log().end();
      if (batch.at_end) batch.next = std::max(batch.next, tables.last_position());
    }
    for (std::size_t i = 0; i < taken.size(); ++i) {
      if (batch.changes[i].kind != ChangeKind::kRecord) continue;
      auto record = taken[i].decode();
      if (!record) return std::move(record).error();
      batch.changes[i].record = std::move(*record);
    }
    return batch;
  }

  Result<void> commit_cursor(std::string_view name, Position position, Deadline) override {
    const Lock lock(state_->mutex);
    return state_->cursors.commit(name, position, state_->tables.last_position(), state_->clock->now());
  }

  Result<std::vector<CursorInfo>> cursors(Deadline) override {
    const Lock lock(state_->mutex);
    return state_->cursors.list(state_->tables.last_position());
  }

  Result<void> drop_cursor(std::string_view name, Deadline) override {
    const Lock lock(state_->mutex);
    return state_->cursors.drop(name);
  }

  Result<bool> wait_for_changes(Position after, Deadline wait, std::optional<Deadline> deadline) override {
    const auto end = deadline ? std::min(wait.time(), deadline->time()) : wait.time();
    Lock lock(state_->mutex);
    const auto& log = state_->tables.log();
    const auto behind = [&] { return !log.empty() && log.rbegin()->first > after; };
    while (!behind() && Deadline::Steady::now() < end) state_->changed.wait_until(lock, end);
    return behind();
  }

  // --- housekeeping -------------------------------------------------------------------------------------------------------------

  Result<Reclaimed> reclaim(const Reclaim& request) override {
    const Lock lock(state_->mutex);
    auto& tables = state_->tables;
    Reclaimed done;
    while (done.steps < request.max_steps) {
      const auto* row = tables.first_expiring();
      if (row == nullptr || *row->second.slot.expires_at > request.now - request.grace) break;
      Transaction step(tables);
      if (auto evicted = evict_expired(step, row->first.ns, row->first.id); !evicted) return std::move(evicted).error();
      step.commit();
      ++done.steps;
      ++done.expired;
    }
    if (done.expired > 0) after_changes();
    // What waits in the queues of this database counts, also where the floor that is asked for comes from a queue elsewhere.
    auto floor = request.floor;
    for (const auto& [name, queue] : state_->queues) floor = std::min(floor, queue->oldest_unfinished().value_or(floor));
    // It is cut to the cursors row by row: nothing is forgotten that a cursor has not passed.
    state_->floor = std::max(state_->floor, floor);
    const auto passed = state_->cursors.passed(tables.last_position());
    for (; done.steps < request.max_steps && tables.trim_one(passed); ++done.steps) ++done.log_trimmed;
    while (done.steps < request.max_steps && tables.collect_one(passed, state_->floor, done.forgotten)) ++done.steps;
    return done;
  }

  Result<StoreStats> stats(Deadline) override {
    const Lock lock(state_->mutex);
    const auto& tables = state_->tables;
    return StoreStats{.records = tables.live_count(),
                      .tombstones = tables.tombstone_count(),
                      .keys = tables.key_count(),
                      .changes = tables.log().size(),
                      .bytes = tables.bytes(),
                      .floor = state_->floor,
                      .outbox = state_->outbox.size()};
  }

  // --- history ------------------------------------------------------------------------------------------------------------------

  Result<HistoryBatch> history(const ReadHistory& request) override {
    std::vector<Outbox::Item> taken;
    HistoryBatch batch;
    {
      const Lock lock(state_->mutex);
      const auto& items = state_->outbox.items();
      auto at = std::upper_bound(items.begin(), items.end(), request.after,
                                 [](Position after, const Outbox::Item& item) { return after < item.state.position; });
      std::size_t bytes = 0;
      for (; at != items.end() && taken.size() < request.limit; ++at) {
        bytes += at->encoded.size();
        if (bytes > request.max_bytes && !taken.empty()) break;
        taken.push_back(*at);
      }
      batch.at_end = at == items.end();
    }
    batch.states.reserve(taken.size());
    for (auto& item : taken) {
      if (item.state.kind != HistoryState::Kind::kTombstone) {
        auto record = make_record(item.encoded, item.meta);
        if (!record) return std::move(record).error();
        item.state.record = std::move(*record);
      }
      batch.states.push_back(std::move(item.state));
    }
    return batch;
  }

  Result<void> confirm_history(std::span<const OutboxPlace> places, Deadline) override {
    const Lock lock(state_->mutex);
    for (const auto& place : places) {
      if (place.part == 0) state_->outbox.drop(place.position);
    }
    return {};
  }

  Result<std::vector<Result<bool>>> begin_history(std::span<const BeginHistory> entries, Deadline) override {
    const Lock lock(state_->mutex);
    std::vector<Result<bool>> results;
    results.reserve(entries.size());
    for (const auto& entry : entries) {
      Transaction step(state_->tables, state_->outbox, TimePoint{}, true);
      auto begun = step.begin_history(entry);
      if (begun) step.commit();
      results.push_back(std::move(begun));
    }
    return results;
  }

 private:
  // Of some rows in the order of scans.
  struct DigestPage {
    struct Unknown {
      std::size_t at = 0;  // in `entries`
      bool known = false;  // and only to be read again
      IdentityName name;
      Taken taken;
    };
    std::vector<std::pair<std::uint64_t, Digest>> entries{};  // by hash
    std::vector<Unknown> unknown{};                           // their bytes must be read
    std::optional<IdentityName> last{};                       // empty: there are no more
  };

  static Digest entry_of(const IdentityView& name, const StoredMeta& meta, const Digest& content) {
    return setget::detail::entry_digest(setget::detail::EntryView{.ns = name.ns,
                                                                  .id = name.id,
                                                                  .version = meta.version,
                                                                  .revision = meta.revision,
                                                                  .stamp = meta.stamp,
                                                                  .ttl_rule = meta.ttl_rule,
                                                                  .expires_at = meta.expires_at,
                                                                  .content = content});
  }

  DigestPage digests_behind(const std::optional<IdentityName>& last, const DigestRecords& request) const {
    DigestPage page;
    page.entries.reserve(request.page);
    const Lock lock(state_->mutex);
    const auto& rows = state_->tables.identities();
    auto at = last ? rows.upper_bound(*last) : rows.begin();
    for (std::size_t seen = 0; at != rows.end(); ++at) {
      const auto& [name, row] = *at;
      if (row.live() && !expired(row, request.now)) {
        if (!row.content || request.deep.takes(name.hash)) {
          page.unknown.push_back({.at = page.entries.size(), .known = row.content.has_value(), .name = name, .taken = Taken(row)});
        }
        page.entries.emplace_back(name.hash, entry_of(name, row.meta(), row.content.value_or(Digest{})));
      }
      if (++seen < std::max<std::size_t>(request.page, 1)) continue;
      if (std::next(at) != rows.end()) page.last = name;
      break;
    }
    return page;
  }

  Result<void> read_unknown(DigestPage& page) {
    if (page.unknown.empty()) return {};
    std::vector<Digest> contents;
    contents.reserve(page.unknown.size());
    for (const auto& [at, known, name, taken] : page.unknown) {
      const auto record = taken.decode();
      if (!record) return record.error();
      contents.push_back(content_digest(*record));
      page.entries[at].second = entry_of(name, taken.meta, contents.back());
    }
    const Lock lock(state_->mutex);
    for (std::size_t i = 0; i < contents.size(); ++i) {
      if (page.unknown[i].known) continue;
      state_->tables.know_content(page.unknown[i].name, page.unknown[i].taken.encoded, contents[i]);
    }
    return {};
  }

  // What is restored is back from now on, whenever it was accepted. The outbox does not hold it up.
  Result<ApplyResult> apply_one(const ApplyEntry& entry, TimePoint now, bool restored) {
    const auto accepted = time_of(entry.stamp);
    Transaction step(state_->tables, state_->outbox, restored ? now : accepted, !restored);
    auto applied = apply_command(step, entry, {.now = now, .floor = restored ? 0 : state_->floor});
    if (applied) step.commit();
    return applied;
  }

  void after_changes() {
    state_->cursors.enforce_limits(state_->tables.last_position());
    state_->changed.notify_all();
  }

  static Settlement settlement_of(const std::string& receipt, const ApplyResult& applied) {
    if (applied.outcome == Outcome::kDeadLettered) {
      return {.receipt = receipt, .action = SettleAction::kDeadLetter, .reasons = applied.reasons};
    }
    return {.receipt = receipt, .action = SettleAction::kAck, .outcome = applied.outcome, .reasons = applied.reasons};
  }

  static std::string cursor_at(const Row& row) { return encode_scan_cursor(row.first.hash, row.first.ns, row.first.id); }

  static Summary summary_of(const Row& row) {
    const auto& [name, identity] = row;
    Summary summary;
    summary.hash = name.hash;
    summary.ns = name.ns;
    summary.id = name.id;
    summary.tombstone = !identity.live();
    summary.reason = identity.slot.reason;
    summary.version = identity.slot.version;
    summary.revision = identity.slot.revision;
    summary.expires_at = identity.slot.expires_at;
    if (!summary.tombstone) {
      summary.stamp = identity.slot.stamp;
      summary.ttl_rule = identity.slot.ttl_rule;
    }
    return summary;
  }

  // An evicted record shows as the tombstone that it has become, so that readers who missed it do not keep what was there before.
  static Change change_of(Position position, const Row& row) {
    const auto& [name, identity] = row;
    return {.position = position,
            .kind = identity.live() ? ChangeKind::kRecord : ChangeKind::kTombstone,
            .ns = name.ns,
            .id = name.id,
            .version = identity.slot.version,
            .revision = identity.slot.revision,
            .reason = identity.slot.reason,
            .record = {}};
  }

  std::shared_ptr<Database::State> state_;
};

}  // namespace

std::shared_ptr<KeyStoreBackend> make_key_store(std::shared_ptr<Database::State> state) {
  return std::make_shared<MemoryKeyStore>(std::move(state));
}

}  // namespace setget::inline v0::memory::detail
