// One atomic step over the tables, as the model of setget/model.hpp wants it. Writes go straight into the tables, so that later reads of
// the same step see them; what they replaced is kept, and put back unless the step is committed.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "memory/outbox.hpp"
#include "memory/tables.hpp"

namespace setget::inline v0::memory::detail {

class Transaction final : public ModelTransaction {
 public:
  // A step without an outbox makes no history: housekeeping, which only carries out what expiry said already.
  explicit Transaction(Tables& tables) : tables_(tables) {}
  // States that this step makes are in force from `at`. `bounded`: it fails where the outbox is full.
  Transaction(Tables& tables, Outbox& outbox, TimePoint at, bool bounded)
      : tables_(tables), outbox_(&outbox), outbox_size_(outbox.size()), at_(at), bounded_(bounded) {}
  ~Transaction() override;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // See KeyStoreBackend::begin_history().
  Result<bool> begin_history(const BeginHistory& request);
  void commit() noexcept { committed_ = true; }

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

 private:
  // The row as it is now, or an empty one; the first call for a row also remembers it for rollback.
  IdentityRow open(const IdentityView& name);
  KeyRow open(const KeyView& name);

  Result<void> keep(const IdentityView& name, const IdentityRow& row, TimePoint at);
  // The state that a row without history has: as of its acceptance. Not `whole`: only that there was one, of a flow that keeps none.
  Result<void> keep_first(const IdentityView& name, IdentityRow row, bool whole);

  Tables& tables_;
  Outbox* outbox_ = nullptr;
  std::size_t outbox_size_ = 0;
  TimePoint at_{};
  bool bounded_ = true;
  std::vector<IdentityName> leaving_;  // had history, and are now of a flow without
  bool committed_ = false;
  std::vector<std::pair<IdentityName, IdentityRow>> old_identities_;
  std::vector<std::pair<KeyName, KeyRow>> old_keys_;
  struct ChangedLister {
    KeyName key;
    std::string id;
    bool listed = false;
  };
  std::vector<ChangedLister> changed_listers_;
};

}  // namespace setget::inline v0::memory::detail
