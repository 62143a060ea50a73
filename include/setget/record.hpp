// Record: one stored payload and all that is known of it. Command: what a producer asks for and what a queue message carries.
// Thread rule: values.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <setget/clock.hpp>
#include <setget/error.hpp>
#include <setget/export.hpp>
#include <setget/payload.hpp>

namespace setget::inline v0 {

using Attributes = std::map<std::string, std::string, std::less<>>;

// How long a record lives, counted from acceptance. "never" is a value, not an absence.
struct Ttl {
  static constexpr Ttl never() noexcept { return Ttl{.is_never = true}; }
  static constexpr Ttl after(Milliseconds length) noexcept { return Ttl{.length = length}; }
  Milliseconds length{0};  // ignored where is_never
  bool is_never = false;
  friend bool operator==(const Ttl&, const Ttl&) = default;
};
// "never", whole seconds ("90"), or a number with one unit: "250ms", "90s", "15m", "36h", "7d", "2w". Error: kInvalidArgument with the
// position.
SETGET_API Result<Ttl> parse_ttl(std::string_view text);
SETGET_API std::string to_string(const Ttl& ttl);

// Which rule gave a record its expiry. Numbers are stored; append only.
enum class TtlRule : std::uint8_t {
  kDefault = 0,      // [ttl] default
  kMessage = 1,      // the set or a touch named it
  kAccountFlow = 2,  // [accounts.A.flows.F]
  kAccount = 3,      // [accounts.A]
  kFlow = 4,         // [flows.F], for every account; weaker than an account's own flow
};
SETGET_API std::string_view to_string(TtlRule rule) noexcept;

struct Record {
  std::string ns{};  // namespace; empty is the default one
  std::string id{};
  KeyList keys{};       // of the current version, as given
  KeyList lost_keys{};  // those of `keys` that now lead to another record
  std::string account{};
  std::string flow{};
  std::string owner{};
  Payload payload{};
  std::string content_type{};
  Attributes attributes{};
  Version version = 0;
  Revision revision = 0;
  Stamp stamp = 0;                        // acceptance of the version
  TimePoint created_at{};                 // time_of(stamp)
  std::optional<TimePoint> expires_at{};  // empty = never
  TtlRule ttl_rule = TtlRule::kDefault;
  // Only where a host asked for it (redis::CacheOptions::serve_stale): the store is away, and this is what was last known of the record;
  // for so long nothing has been heard.
  std::optional<Milliseconds> stale{};

  bool expired(TimePoint now) const noexcept { return expires_at && *expires_at <= now; }
};

enum class CommandKind : std::uint8_t {
  kSet = 1,       // store a record
  kErase = 2,     // a tombstone for one identity
  kEraseKey = 3,  // erase whatever lists keys.front() and was accepted before
  kTouch = 4,     // a new expiry for one identity; no new version
};

// The content of a pipeline message. For kErase and kTouch only ns, id, version / ttl count; for kEraseKey ns and one key.
struct Command {
  CommandKind kind = CommandKind::kSet;
  std::string ns{};
  std::string id{};
  KeyList keys{};
  std::string account{};
  std::string flow{};
  std::string owner{};
  Payload payload{};
  std::string content_type{};
  Attributes attributes{};
  std::optional<Ttl> ttl{};                   // empty: flow, account and default decide
  std::optional<Version> version{};           // empty: the stamp
  std::optional<Version> expected_version{};  // conditional set: the current version, 0 = no live record
};

// The wire form of a command: a format byte, then the fields, the payload last. Deterministic: equal commands give equal bytes.
// encode copies the payload once; decode shares `bytes`. Errors of decode: kCorrupted with the position for damaged bytes,
// kUnsupported for a format newer than this library reads.
SETGET_API Payload encode_command(const Command& command);
SETGET_API Result<Command> decode_command(const Payload& bytes);

// Content digest of encoded bytes: XXH3-128, which finds accidents, not attackers.
struct Digest {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const Digest&, const Digest&) = default;
};
SETGET_API Digest digest_of(std::string_view bytes) noexcept;
// The same of parts, as if they stood one behind the other.
SETGET_API Digest digest_of(std::initializer_list<std::string_view> parts) noexcept;

// The canonical bytes of a record's content: what its set gave (identity, keys, account, flow, owner, payload, content type, attributes)
// without what only concerned the set itself (ttl, version, expected version). The same for a record however it was stored, archived or
// restored.
SETGET_API Payload encoded_of(const Record& record);
// digest_of(encoded_of(record)): what scans report as Summary::content.
SETGET_API Digest content_digest(const Record& record);
// The same of the record that this set makes.
SETGET_API Digest content_digest(const Command& set);

// Where an identity sorts in scans, digests and indexes of every backend: the creation millisecond for ULIDs (so that fresh ids are
// neighbours), spread evenly for all others. Always >= 0 as a signed number. Stored: never changes within a format.
SETGET_API std::uint64_t identity_hash(std::string_view ns, std::string_view id) noexcept;
// Hash of a webhook key within its namespace (63 bits).
SETGET_API std::uint64_t key_hash(std::string_view ns, std::string_view key) noexcept;

// A fresh ULID (26 Crockford base32 characters; github.com/ulid/spec): sortable by creation, monotonic within this process and millisecond.
SETGET_API std::string make_ulid(TimePoint now, Random& random);

}  // namespace setget::inline v0
