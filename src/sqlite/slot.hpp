// How slots of the model are stored. The common case (a live record that is its message: version = stamp = row, nothing expires, nothing
// was touched or lost) takes no bytes beyond the row number and the digest; everything else is spelled out in `more`. Decoders throw
// SqlError(kCorrupted). Thread rule: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sqlite/sqlite3.hpp"

#include <setget/model.hpp>

namespace setget::inline v0::sqlite {

// Names of identities and keys within the file: namespaces are of [A-Za-z0-9._-], so the separator sorts below and never collides.
inline constexpr char kNamespaceEnd = '\x1f';
std::string qualified(std::string_view ns, std::string_view name);
struct Qualified {
  std::string_view ns;
  std::string_view name;
};
Qualified split_qualified(std::string_view text);

// Columns as they are in the tables.
inline std::int64_t hash_column(std::uint64_t hash) noexcept { return static_cast<std::int64_t>(hash); }
inline std::optional<std::int64_t> row_column(const Query& query, int column) {
  return query.is_null(column) ? std::nullopt : std::optional(query.integer(column));
}

// A row of `ident`.
struct IdentRow {
  IdentitySlot slot;
  KeyList lost_keys;
  bool listed = false;
  bool history = false;  // its states go to the outbox; a tombstone keeps it
  // Of a live record: content_digest(), so that verification need not read the body. Empty where a version wrote it that did not know this.
  std::optional<Digest> content{};
};
// Empty = NULL.
std::optional<std::string> encode_ident(const IdentRow& ident);
IdentRow decode_ident(std::optional<std::int64_t> row, std::string_view more);

// A row of `keys`. Of a leading key the claim is only there where it differs from its holder's stamp and id.
struct KeyRow {
  std::optional<std::int64_t> row;  // of the record that it leads to
  std::optional<Stamp> claim_stamp;
  std::optional<std::string> claim_id;
  Stamp other_stamp = 0;
  std::string other_id;
  Stamp mark = 0;
  std::optional<TimePoint> expires_at;  // of the record, like the next two
  TtlRule ttl_rule = TtlRule::kDefault;
  bool plain = true;  // version = stamp = row, revision 0, no lost keys; else its ident row says
};
std::optional<std::string> encode_key(const KeyRow& key);
KeyRow decode_key(std::optional<std::int64_t> row, std::string_view more);

// Whether version, revision and stamp of a live record follow from its row number.
bool is_plain(const IdentitySlot& slot, const KeyList& lost_keys) noexcept;
inline std::int64_t row_of(const IdentitySlot& slot) noexcept { return static_cast<std::int64_t>(slot.handle); }

// One entry of the change log. Of records only the row and revision: the rest is in the store, or another entry says it.
struct ChangeEntry {
  bool tombstone = false;
  std::int64_t row = 0;
  Revision revision = 0;
  Version version = 0;  // tombstones only, like the rest
  TombstoneReason reason = TombstoneReason::kErased;
  std::string nsid;
};
std::string encode_change(const ChangeEntry& entry);
// The entries of one row of `change`, which holds them one after the other.
class ChangeEntries {
 public:
  explicit ChangeEntries(std::string_view bytes) noexcept : bytes_(bytes) {}
  std::optional<ChangeEntry> next();

 private:
  std::string_view bytes_;
};

}  // namespace setget::inline v0::sqlite
