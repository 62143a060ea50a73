// StoreTxn: the slots of the model in the tables of this file, within one write transaction. What to do is decided by model.hpp.
// Thread rule: belongs to the operation that made it.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "sqlite/engine.hpp"
#include "sqlite/outbox.hpp"
#include "sqlite/slot.hpp"

#include <setget/model.hpp>

namespace setget::inline v0::sqlite {

class StoreTxn final : public ModelTransaction {
 public:
  explicit StoreTxn(WriteTxn& txn) : txn_(txn), db_(txn.db()) {}
  // Before each command: states that it makes are in force from `at` and go to the outbox, where their flow keeps history. Without it they
  // do not: housekeeping only carries out what expiry said already.
  void keep_history(const OutboxLimit& limit, TimePoint at) {
    outbox_limit_ = limit;
    history_at_ = at;
    had_.clear();
    kept_.clear();
  }

  // See KeyStoreBackend::begin_history(). After keep_history(), which gives the limit.
  Result<bool> begin_history(const BeginHistory& request);

  // The next entry's body lies in the log as message `stamp`, whose row a record may take over.
  void offer_row(Stamp stamp) noexcept { offered_ = stamp, taken_ = false; }
  // Whether a record took it. Takes the offer back.
  bool row_was_taken() noexcept { return offered_ = 0, taken_; }

  Result<IdentitySlot> load_identity(std::string_view ns, std::string_view id) override;
  Result<Payload> load_encoded(std::string_view ns, std::string_view id, const IdentitySlot& slot) override;
  Result<KeySlot> load_key(std::string_view ns, std::string_view key) override;
  Result<std::vector<std::string>> silent_listers(std::string_view ns, std::string_view key) override;
  Result<void> set_silent_lister(std::string_view ns, std::string_view key, std::string_view id, bool listed) override;
  Result<void> store_record(const ApplyEntry& entry, const IdentitySlot& before, IdentitySlot& slot) override;
  Result<void> update_slot(std::string_view ns, std::string_view id, const IdentitySlot& before, const IdentitySlot& slot,
                           const KeyList* lost_keys) override;
  Result<void> store_tombstone(std::string_view ns, std::string_view id, const IdentitySlot& before, const IdentitySlot& slot) override;
  Result<void> store_key(std::string_view ns, std::string_view key, const KeySlot& before, const KeySlot& slot,
                         const IdentitySlot* holder) override;
  Result<void> log_change(std::string_view ns, std::string_view id, const IdentitySlot& slot) override;

  Payload load_body(std::int64_t row);

 private:
  std::int64_t place_body(const ApplyEntry& entry);
  void drop_record(std::string_view ns, std::string_view id, const IdentitySlot& before);
  void write_ident(std::string_view ns, std::string_view id, const IdentRow& ident);
  // Keys carry what a reader needs of the record, so that a read touches one narrow row and the body.
  void refresh_keys(std::string_view ns, const IdentRow& ident);
  void forget_later(Stamp stamp, int kind, std::string_view name);
  Result<std::optional<std::string>> holder_of(std::string_view ns, std::int64_t row);
  bool had_history(std::string_view ns, std::string_view id) const;
  Result<void> keep_state(std::string_view ns, std::string_view id, const IdentitySlot& slot, const std::string& name);
  // The state of a record without history: as of its acceptance. Where `next` is of another flow, or the record is damaged: only that
  // there was one.
  Result<void> keep_first(const IdentRow& ident, const std::string& name, const Command* next);
  void count_states(IdentitySlot::State before, IdentitySlot::State now);

  WriteTxn& txn_;
  Connection& db_;
  Stamp offered_ = 0;
  bool taken_ = false;
  std::optional<TimePoint> history_at_;
  OutboxLimit outbox_limit_;
  std::unordered_set<std::string> had_;  // by name: identities whose row says that their states are kept
  // By name: identities whose next state in the log is kept; true: only that they have left their history.
  std::unordered_map<std::string, bool> kept_;
  std::unordered_map<std::uint64_t, bool> loses_keys_;  // by row: has lost keys, so its key rows are not plain
};

std::optional<IdentRow> find_ident(Connection& db, std::string_view ns, std::string_view id);

// Things that wait in the table `gc`.
inline constexpr int kGcIdentity = 0;
inline constexpr int kGcKey = 1;

}  // namespace setget::inline v0::sqlite
