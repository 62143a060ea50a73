// Entry: the value stored under one name, and its bytes. An identity and a webhook key of the same name share an entry, so that a record
// whose only key is its id needs one entry and one read. Thread rule: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <setget/error.hpp>
#include <setget/model.hpp>
#include <setget/payload.hpp>

namespace setget::inline v0::redis {

// A claim written ahead of its record: it counts once the record has come.
struct PendingClaim {
  Stamp stamp = 0;
  std::string id{};
  // Of a conditional set, which may be refused, or of one that is older than what its identity has seen: it counts only while the
  // record's current version is the one of that set.
  bool conditional = false;
  friend bool operator==(const PendingClaim&, const PendingClaim&) = default;
};

// What is known of a webhook key.
struct KeyPart {
  KeySlot slot{};  // of claims whose records have come
  std::vector<PendingClaim> pending{};
  std::vector<std::string> silent_listers{};
  std::uint64_t writes = 0;  // as read: how often it was written over; see encode_entry()
};

// How a body is stored. Numbers are stored; append only.
enum class BodyCodec : std::uint8_t {
  kNone = 0,
  kZstd = 1,
};

struct IdentityPart {
  IdentitySlot slot{};
  // The highest stamp of a set or erase that this identity has seen: pending claims up to it count.
  Stamp reach = 0;
  KeyList lost_keys{};
  // "ACCOUNT/FLOW" where a listing index has it.
  std::optional<std::string> index{};
  bool history = false;  // its states go to the outbox; a tombstone keeps it
  BodyCodec codec = BodyCodec::kNone;
  std::uint32_t dictionary = 0;  // kZstd: its number; 0 = none
  // Live records: content_digest(), so that verification need not read the body. Empty where a version wrote it that did not know this.
  std::optional<Digest> content{};
  Payload body{};  // live records: the encoded command, as `codec` says
};

struct Entry {
  std::optional<IdentityPart> identity{};
  std::optional<KeyPart> key{};
  bool empty() const noexcept { return !identity && !key; }
};

// Bytes at the front of an entry with an identity, behind the format and the flags: they differ with every write.
inline constexpr std::size_t kTokenBytes = 6;
// So many bytes of an entry tell one write of it from any other, if it has an identity; else the whole entry does. For that it has a
// number, because what a key says can come back: where versions of the caller's come in another order than their stamps, its claims stay
// and it leads to its record, does not, and does again. Whoever read it before must notice.
inline constexpr std::size_t kPrefixBytes = 2 + kTokenBytes;

// What tells a write of an entry from others of it: random where the entry has an identity, and the number of its key part.
struct WriteMark {
  std::uint64_t token = 0;
  std::uint64_t writes = 0;
};
// The mark of a write over an entry whose key part, if it has one, is `before`. Nothing to begin with, so that pointers of records whose
// keys never change cost no byte more.
WriteMark next_mark(const std::optional<KeyPart>& before, const Entry& now, std::uint64_t token) noexcept;

// `name` is what identity and key are called.
std::string encode_entry(const Entry& entry, std::string_view name, WriteMark mark);
// All of it but the body, which follows.
void encode_entry_head(std::string& out, const Entry& entry, std::string_view name, WriteMark mark);
// Shares the body. kCorrupted with the position; kUnsupported for a newer format.
Result<Entry> decode_entry(const Payload& bytes, std::string_view name);
// The identity's part without its body, from so many bytes of the entry as there are; empty where the entry has none. kCorrupted also where
// they are not enough.
Result<std::optional<IdentityPart>> decode_identity(std::string_view bytes);
// Whether kPrefixBytes are enough to tell it.
bool has_identity(std::string_view bytes) noexcept;

}  // namespace setget::inline v0::redis
