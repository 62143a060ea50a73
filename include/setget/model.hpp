// The model of a key store as code: what one command does to identities, keys and records. Pure decision; a backend supplies the slots
// through ModelTransaction within one atomic step and gets the model of docs/adr/0001-model.md without re-inventing it. Thread rule:
// apply_command is re-entrant; a ModelTransaction belongs to one thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <setget/key_store.hpp>
#include <setget/record.hpp>

namespace setget::inline v0 {

// What a store knows of one identity.
struct IdentitySlot {
  enum class State : std::uint8_t { kAbsent = 0, kLive = 1, kTombstone = 2 };
  State state = State::kAbsent;
  Version version = 0;
  Revision revision = 0;
  Stamp stamp = 0;  // acceptance of that version (the earliest, of duplicates)
  TombstoneReason reason = TombstoneReason::kErased;
  Digest digest{};                        // tombstones: of the command that gave the version
  std::optional<TimePoint> expires_at{};  // effective
  TtlRule ttl_rule = TtlRule::kDefault;
  Stamp touch_stamp = 0;  // the latest touch; 0 = none. Kept on an absent identity too, for a set still on its way
  std::optional<TimePoint> touch_expires_at{};
  std::uint64_t handle = 0;  // the backend's own (a row number)
};

// What a store knows of one webhook key.
struct KeySlot {
  bool exists = false;
  Stamp claim_stamp = 0;  // the highest claim, and whose; 0 = never claimed
  std::string claim_id{};
  Stamp other_stamp = 0;  // the highest claim of any other identity; 0 = none
  std::string other_id{};
  Stamp mark = 0;            // the highest erase by key; 0 = none
  bool leads = false;        // claim_id is live and its current version lists the key
  std::uint64_t handle = 0;  // the backend's own: where the record is
};

// One atomic step of a backend. Reads must see the writes made before in the same step. Any error aborts the entry.
class SETGET_API ModelTransaction {
 public:
  virtual ~ModelTransaction();

  // state kAbsent if unknown.
  virtual Result<IdentitySlot> load_identity(std::string_view ns, std::string_view id) = 0;
  // The encoded command of a live identity.
  virtual Result<Payload> load_encoded(std::string_view ns, std::string_view id, const IdentitySlot& slot) = 0;
  virtual Result<KeySlot> load_key(std::string_view ns, std::string_view key) = 0;
  // Identities whose current version lists `key` without being led to by it.
  virtual Result<std::vector<std::string>> silent_listers(std::string_view ns, std::string_view key) = 0;
  virtual Result<void> set_silent_lister(std::string_view ns, std::string_view key, std::string_view id, bool listed) = 0;

  // Makes `entry` the live version of its identity; `before` is what load_identity gave. Stores the payload once, its
  // expiry and (where entry.listed) listing index, and drops the version before. `slot.handle` is set by the backend.
  virtual Result<void> store_record(const ApplyEntry& entry, const IdentitySlot& before, IdentitySlot& slot) = 0;
  // Same record, other slot (expiry, revision, touch, stamp) or other lost keys; also stores a slot with only a touch.
  virtual Result<void> update_slot(std::string_view ns, std::string_view id, const IdentitySlot& before, const IdentitySlot& slot,
                                   const KeyList* lost_keys) = 0;
  // Drops payload and indexes of a live record (if any); keeps the slot until the floor passes. `keys` were listed by it.
  virtual Result<void> store_tombstone(std::string_view ns, std::string_view id, const IdentitySlot& before, const IdentitySlot& slot) = 0;
  // Writes a key's slot. Where slot.leads, `holder` is the slot of claim_id, whose handle readers follow.
  virtual Result<void> store_key(std::string_view ns, std::string_view key, const KeySlot& before, const KeySlot& slot,
                                 const IdentitySlot* holder) = 0;
  // Appends to the change log: the identity is now as in `slot`.
  virtual Result<void> log_change(std::string_view ns, std::string_view id, const IdentitySlot& slot) = 0;
};

struct ApplyContext {
  TimePoint now{};
  Stamp floor = 0;  // everything below is finished; see DESIGN section 2
};

// The slot of a key after a claim: the highest claim, and the highest of any other identity. Pure; `leads` is false for a new claimant.
SETGET_API KeySlot claimed(const KeySlot& slot, std::string_view id, Stamp stamp);

// Decides and carries out one command. Errors come only from the transaction; everything else is an outcome.
SETGET_API Result<ApplyResult> apply_command(ModelTransaction& transaction, const ApplyEntry& entry, const ApplyContext& context);

// The backend's own decision to drop a live record that has expired, as a tombstone with reason kExpired (for reclaim, while the floor has
// not passed).
SETGET_API Result<void> evict_expired(ModelTransaction& transaction, std::string_view ns, std::string_view id);
// For backends whose steps cannot span all that a command concerns (docs/adr/0013-redis-layout.md): what another writer began is finished
// by whoever meets it. Idempotent.
// A claim that was written ahead of its record, which is there by now.
SETGET_API Result<void> adopt_claim(ModelTransaction& transaction, std::string_view ns, std::string_view key, std::string_view id,
                                    Stamp stamp);
// Holds a live record against the slots of its keys again: which of them lead to it, and whether it may live. `says_lost`: the lost keys
// that are stored with it; they are written anew where they are others.
SETGET_API Result<void> reconcile_record(ModelTransaction& transaction, std::string_view ns, std::string_view id, const KeyList& says_lost);

// A new expiry from policy re-apply: raises the revision, logs the change. False if the record has moved on or has ended.
SETGET_API Result<bool> change_expiry(ModelTransaction& transaction, const SetExpiry& request);

}  // namespace setget::inline v0
