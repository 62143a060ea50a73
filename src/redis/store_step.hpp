// One optimistic step: read, decide, write if nothing has changed. Included by what takes such steps.
#pragma once

#include <algorithm>
#include <span>
#include <utility>

#include "redis/errors.hpp"
#include "redis/store.hpp"

namespace setget::inline v0::redis {

inline Error too_late() {
  return connection_error(ErrorCode::kDeadlineExceeded, Trouble::kNotSent, "others kept changing the same records until the time was over");
}

inline Error outbox_full() {
  return Error(ErrorCode::kResourceExhausted, "the outbox for histories is full; it empties when the archiver runs").at_field("history");
}
inline bool is_outbox_full(const Error& error) { return error.code() == ErrorCode::kResourceExhausted && error.field() == "history"; }

inline bool is_out_of_memory(const Error& error) { return trouble_of(error) == Trouble::kOutOfMemory; }
inline bool is_erase(const ApplyEntry& entry) {
  return entry.command.kind == CommandKind::kErase || entry.command.kind == CommandKind::kEraseKey;
}
// Sets are refused where memory is full, and erases are what helps.
inline bool erases_would_do(const Error& error, std::span<const ApplyEntry> entries) {
  return is_out_of_memory(error) && std::ranges::any_of(entries, is_erase);
}

// When what an entry brings about is in force: what is restored is back from now on, whenever it was accepted.
inline TimePoint history_at(const ApplyEntry& entry, const ApplyCommands& request) {
  const auto accepted = time_of(entry.stamp);
  return request.ignore_floor ? request.now : accepted;
}

template <class Work>
std::invoke_result_t<Work, Overlay&, Stamp> RedisStore::step(std::span<const std::string> names, bool fresh, Deadline deadline,
                                                             Work&& work) {
  using Value = std::invoke_result_t<Work, Overlay&, Stamp>;
  const auto marker = new_marker();
  std::optional<Value> unsure;  // of an attempt whose reply was lost
  for (;; fresh = false) {
    if (deadline.passed()) return too_late();
    auto known = meta(0, deadline);
    if (!known) return std::move(known).error();
    Overlay overlay(*this, *coder_, *shards_, false, deadline);
    if (fresh) {
      overlay.assume_absent();
    } else if (auto loaded = overlay.preload(names); !loaded) {
      return std::move(loaded).error();
    }
    auto value = work(overlay, known->floor);
    if (overlay.doubted()) continue;
    if (!value) return value;
    if (unsure) {
      // The lost attempt may have been carried out before these entries were read, or may still be: if so, this one will not be.
      auto left = left_marker(0, marker, deadline);
      if (!left) return std::move(left).error();
      if (*left) return *std::move(unsure);
    }
    auto committed = commit(overlay, *known, marker, deadline);
    if (committed && *committed == Committed::kDone) return value;
    if (committed) continue;
    if (is_outbox_full(committed.error()) || !maybe_executed(committed.error())) return std::move(committed).error();
    if (!unsure) unsure = std::move(value);
  }
}

}  // namespace setget::inline v0::redis
