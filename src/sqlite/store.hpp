// The key store backend over an engine; see store_txn.hpp for how the model's slots lie in the file. Thread rule: any thread.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/complaints.hpp"
#include "sqlite/engine.hpp"
#include "sqlite/outbox.hpp"
#include "sqlite/store_damage.hpp"

#include <setget/key_store.hpp>

namespace setget::inline v0::sqlite {

// A row of `gc`, in their order.
struct ForgetPlace {
  Stamp stamp = 0;
  int kind = -1;
  std::string name{};
  friend bool operator==(const ForgetPlace&, const ForgetPlace&) = default;
  friend bool operator<(const ForgetPlace& a, const ForgetPlace& b) noexcept {
    return std::tie(a.stamp, a.kind, a.name) < std::tie(b.stamp, b.kind, b.name);
  }
};

class SqliteStore final : public KeyStoreBackend, public FusedStore {
 public:
  explicit SqliteStore(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}

  KeyStoreCapabilities capabilities() const override;
  Result<StoreIdentity> identity(Deadline deadline) override;
  Result<std::vector<Result<ApplyResult>>> apply(const ApplyCommands& request) override;
  FusedStore* fused_with(QueueBackend& queue) override;
  Result<Results> apply_and_settle(std::string_view queue, std::span<const FusedEntry> entries, std::span<const Settlement> others,
                                   TimePoint now, Deadline deadline) override;
  Result<std::vector<Lookup>> get(const GetRecords& request) override;
  Result<Lookup> get_by_id(const GetById& request) override;
  Result<ListPage> list(const ListRecords& request) override;
  Result<SummaryPage> scan(const ScanRecords& request) override;
  Result<std::vector<RangeDigest>> digest(const DigestRecords& request) override;
  Result<CursorInfo> open_cursor(const OpenCursor& request) override;
  Result<ChangeBatch> changes(const ReadChanges& request) override;
  Result<void> commit_cursor(std::string_view name, Position position, Deadline deadline) override;
  Result<std::vector<CursorInfo>> cursors(Deadline deadline) override;
  Result<void> drop_cursor(std::string_view name, Deadline deadline) override;
  Result<bool> wait_for_changes(Position after, Deadline wait, std::optional<Deadline> deadline) override;
  Result<std::vector<Result<bool>>> set_expiry(std::span<const SetExpiry> entries, Deadline deadline) override;
  Result<Reclaimed> reclaim(const Reclaim& request) override;
  Result<StoreStats> stats(Deadline deadline) override;
  Result<HistoryBatch> history(const ReadHistory& request) override;
  Result<void> confirm_history(std::span<const OutboxPlace> places, Deadline deadline) override;
  Result<std::vector<Result<bool>>> begin_history(std::span<const BeginHistory> entries, Deadline deadline) override;

 private:
  OutboxLimit outbox_limit() const;
  ForgetPlace forget_place() const {
    const std::lock_guard lock(forget_mutex_);
    return forget_place_;
  }
  void set_forget_place(ForgetPlace place) {
    const std::lock_guard lock(forget_mutex_);
    forget_place_ = std::move(place);
  }

  std::shared_ptr<Engine> engine_;
  detail::Complaints complaints_;  // of rows
  detail::Complaints outbox_complaints_;
  mutable std::mutex forget_mutex_;
  ForgetPlace forget_place_;  // behind this one the next reclaim() goes on to look for what may be forgotten
};

// The lowest position that a cursor which still counts has confirmed; empty without cursors.
std::optional<Position> slowest_cursor(Connection& db);
// Cursors that have fallen behind their limit are dropped. Called by every operation that logs changes.
void drop_slow_cursors(WriteTxn& txn, const Engine& engine);

}  // namespace setget::inline v0::sqlite
