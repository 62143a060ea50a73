// States of histories as documents, and back. Fields:
//
//   _id         source, part and position in its outbox: a state is written once however often it is sent
//   ident       document_id() of the identity; ns, id as they are
//   since, until, live_until   when it was in force; kForever = still, and a record that does not expire
//   kind, reason, version, revision, stamp, ttl_rule, lost, keys (of a tombstone those of the state before)
//   keep        milliseconds after its end; missing = for ever. drop_at: when we drop it; purge_at: when the server does (kGrace later)
//   body, content, bytes       the encoded record, its digest, what it counts for; or `pieces` in the collection ….history.chunks
//   why         of a place without a state: what was said against it. Its kind is kNeverTaken, and it has no body
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mongo/codec.hpp"
#include "mongo/mongoc.hpp"

#include <setget/archive.hpp>

namespace setget::inline v0::mongo {

inline constexpr TimePoint kForever{Milliseconds(253'402'300'799'999)};  // the end of 9999
// So much later than we do, the server drops what is left: we note what is not known any more, it does not.
inline constexpr Milliseconds kGrace = std::chrono::hours(24);

// In the place of a state that could not be taken. No kind of HistoryState, and none that a store ever gives.
inline constexpr auto kNeverTaken = static_cast<HistoryState::Kind>(4);
// In `keys` of such a place where the state's own are too many, and of a tombstone behind it: any key may be one of them. `any_key` says so
// too. No key is empty.
inline constexpr std::string_view kAnyKey;

// What a state hands on to the one that follows it.
struct Link {
  std::string document{};  // _id
  TimePoint since{};
  TimePoint until = kForever;
  std::vector<std::string> keys{};
  Stamp stamp = 0;
  std::optional<Milliseconds> keep{};
  std::int64_t pieces = 0;
};

// A state about to be written.
struct PlannedState {
  Document whole{};
  Link link{};
  const ArchivedState* given = nullptr;
  std::string ident{};
  Payload pieces{};  // a body that is too large for the document
  std::optional<TimePoint> drop_at{};
  TimePoint live_until = kForever;
  std::int64_t bytes = 0;
  bool fits() const { return whole.whole() && whole.bytes() <= kMaxDocument; }
};

// "SOURCE PART ": what the _ids of its states begin with, and behind it the position.
std::string part_name(const StoreIdentity& source, std::uint32_t part);
std::string state_name(const std::string& part, Position position);

PlannedState plan_state(const ArchivedState& given, std::string name, const Link* before, std::size_t max_inline_bytes);
// What is written in its place where it cannot be: so that nothing else is taken for what was there then.
Document place_of(const PlannedState& planned, std::string_view why, bool with_keys);

// A state as the server gave it; what was not asked for is empty.
struct StoredState {
  std::string document{};
  std::string ident{};
  std::string ns{};
  HistoryState::Kind kind = HistoryState::Kind::kRecord;
  TombstoneReason reason = TombstoneReason::kErased;
  TimePoint since{};
  TimePoint until = kForever;
  std::int64_t position = 0;
  StoredMeta meta{};
  std::vector<std::string> keys{};
  std::optional<Milliseconds> keep{};
  std::string body{};
  std::string content{};
  std::string why{};
  bool any_key = false;  // see kAnyKey
  std::int64_t pieces = 0;

  bool in_force(TimePoint at) const noexcept { return since <= at && until > at; }
  bool expired(TimePoint at) const noexcept { return meta.expires_at && *meta.expires_at <= at; }
};
// kCorrupted, kUnsupported (a newer format).
Result<StoredState> read_state(const bson_t* document);
Link link_of(StoredState&& state);
// Of a state that read_state() cannot read what can be read of it, for it must end as others do.
Link link_of_damaged(const bson_t* document);
// What is to be said of a moment whose state was never taken.
Error never_taken(const StoredState& state);
// Once its body is whole. kCorrupted unless it is what was written.
Result<Record> record_of(StoredState&& state);

}  // namespace setget::inline v0::mongo
