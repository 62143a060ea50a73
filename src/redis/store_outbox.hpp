// The outbox: states of identities whose flow keeps history, until the archive has them. Each part has its own, written by the script that
// writes the record. An element is its position, a blank, and the state. Thread rule: values.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <setget/key_store.hpp>

namespace setget::inline v0::redis {

// Of one part. Zero states: no limit.
struct OutboxLimit {
  std::size_t states = 0;
  std::size_t bytes = 0;
};

struct OutboxState {
  HistoryState::Kind kind = HistoryState::Kind::kRecord;
  TombstoneReason reason = TombstoneReason::kErased;
  TimePoint at{};
  std::string_view name{};  // qualified
  StoredMeta meta{};        // of tombstones version and revision only
};
// `body` is the encoded command; empty for tombstones.
std::string encode_outbox_state(const OutboxState& state, std::string_view body);
// Of a list's element. kCorrupted; kUnsupported for a newer format.
Result<HistoryState> decode_outbox_state(std::string_view element);

}  // namespace setget::inline v0::redis
