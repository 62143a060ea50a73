// Applying commands. Where a store is one part, new records go the short way of store_fresh.cpp. All else is one step: read all entries
// that a batch concerns, let the model decide on them, and write everything at once unless something has changed meanwhile.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "redis/store_commit.hpp"
#include "redis/store_names.hpp"
#include "redis/store_phases.hpp"
#include "redis/store_step.hpp"

namespace setget::inline v0::redis {
namespace {

constexpr std::size_t kMostEntries = 128;                   // of one step
constexpr std::size_t kMostBytes = 4u << 20;                // of one step: other clients of the server wait for it
constexpr std::size_t kMostLoaded = std::size_t{64} << 20;  // of what is there already, about

std::vector<std::string> names_of(std::span<const ApplyEntry* const> entries) {
  std::vector<std::string> names;
  for (const auto* entry : entries) {
    const auto& c = entry->command;
    if (c.kind != CommandKind::kEraseKey) names.push_back(qualified(c.ns, c.id));
    for (const auto key : c.keys) names.push_back(qualified(c.ns, key));
  }
  return names;
}

}  // namespace

std::string RedisStore::new_marker() { return fmt::format("{:016x}{:016x}", place_->random().next(), place_->random().next()); }

Result<bool> RedisStore::left_marker(std::uint32_t shard, const std::string& marker, Deadline deadline) {
  auto reply = place_->client().call(RedisCommand("EXISTS").key(shards_->name(shard, "w:" + marker)).idempotent(), deadline);
  if (!reply) return std::move(reply).error();
  return reply->integer() == 1;
}

Result<RedisStore::Committed> RedisStore::commit(const Overlay& overlay, const PartMeta& known, const std::string& marker,
                                                 Deadline deadline) {
  CommitCall call(*shards_, 0);
  call.expect_meta(known.text);
  call.outbox_from(stamp_at(place_->now()));
  if (overlay.bounded()) call.limit_outbox(outbox_limit());
  if (overlay.frees_memory()) call.even_when_full();
  Counts counts;
  for (const auto& [name, row] : overlay.rows()) {
    call.expect_entry(name, row.stored);
    if (!row.changed) continue;
    call.write_entry(name, row.now, next_mark(row.before.key, row.now, place_->random().next()));
    const auto change = overlay.counts(row);
    counts.add_records(change);
    counts.keys += change.keys;
  }
  for (const auto& effect : overlay.effects()) call.add_effect(effect);
  if (call.empty()) {
    if (overlay.of_one_moment()) return Committed::kDone;
  } else {
    call.add_counts(counts);
    call.leave_marker(marker);
  }
  auto reply = run_script(place_->client(), call.call(), deadline);
  if (cache_ != nullptr) {
    for (const auto& [name, row] : overlay.rows()) {
      if (row.changed) forget_answers({&name, 1});
    }
  }
  if (!reply) return std::move(reply).error();
  if (reply->integer() == 0) return Committed::kDone;
  if (reply->integer() == CommitCall::kOutboxFull) return outbox_full();
  if (call.is_meta(reply->integer())) forget_meta(0);
  return Committed::kConflict;
}

std::size_t RedisStore::most_commands() const noexcept {
  return std::clamp(kMostLoaded / bytes_a_command_.load(std::memory_order_relaxed), std::size_t{1}, kMostEntries);
}

void RedisStore::saw(const Overlay& overlay, std::size_t commands) noexcept {
  const auto bytes = std::max<std::size_t>(overlay.loaded_bytes() / commands, 1);
  const auto before = bytes_a_command_.load(std::memory_order_relaxed);
  bytes_a_command_.store(std::max(bytes, (bytes + before) / 2), std::memory_order_relaxed);
}

Result<RedisStore::Results> RedisStore::apply_chunk(std::span<const ApplyEntry* const> entries, const ApplyCommands& request) {
  const auto names = names_of(entries);
  const bool only_erases = std::ranges::all_of(entries, [](const auto* entry) { return is_erase(*entry); });
  return step(names, false, request.deadline, [&](Overlay& overlay, Stamp floor) -> Result<Results> {
    if (only_erases) overlay.free_memory();
    Results out;
    out.reserve(entries.size());
    for (const auto* entry : entries) {
      overlay.keep_history(history_at(*entry, request), !request.ignore_floor);
      auto applied = overlay.apply(*entry, {.now = request.now, .floor = request.ignore_floor ? 0 : floor});
      // What the model refuses at sight has changed nothing; any other error may have come in the middle.
      if (!applied && applied.error().code() != ErrorCode::kInvalidArgument) return std::move(applied).error();
      // What was refused may have made its claims ahead of that (store_fresh.cpp): they go again.
      if (applied && !applied->reasons.empty() && entry->command.kind == CommandKind::kSet) {
        const auto& c = entry->command;
        for (const auto key : c.keys) {
          if (auto gone = overlay.drop_pending(qualified(c.ns, key), {.stamp = entry->stamp, .id = c.id}); !gone)
            return std::move(gone).error();
        }
      }
      out.push_back(std::move(applied));
    }
    saw(overlay, entries.size());
    return out;
  });
}

Result<std::vector<Result<ApplyResult>>> RedisStore::apply(const ApplyCommands& request) {
  if (auto parts = shards(request.deadline); !parts) return std::move(parts).error();
  const auto before = place_->began();
  auto applied = apply_all(request);
  forget_answers(request);
  if (!applied) return applied;
  if (auto sure = confirm(before, request.deadline); !sure) return std::move(sure).error();
  return applied;
}

Result<std::vector<Result<ApplyResult>>> RedisStore::apply_all(const ApplyCommands& request) {
  auto parts = shards(request.deadline);
  if (!parts) return std::move(parts).error();
  if (coder_->options().enabled) {
    if (auto known = meta(0, request.deadline); !known) return std::move(known).error();
    coder_->prepare(request.entries, request.deadline);
  }
  if ((*parts)->count() > 1) return Phases(*this, request.deadline).apply(request);
  const auto count = request.entries.size();
  std::vector<std::optional<Result<ApplyResult>>> results(count);
  std::vector<bool> unsure(count, false);  // a lost reply: whether they were written is for the next look to tell
  if (auto fresh = apply_fresh(request, results, unsure); !fresh) {
    // Nothing was done, and nothing can be done: that is the answer. All else is tried again entry by entry.
    if (!erases_would_do(fresh.error(), request.entries) &&
        std::ranges::none_of(results, [](const auto& one) { return one.has_value(); }) && std::ranges::find(unsure, true) == unsure.end()) {
      return std::move(fresh).error();
    }
  }
  std::vector<std::size_t> left;
  for (std::size_t i = 0; i < count; ++i) {
    if (!results[i]) left.push_back(i);
  }
  for (std::size_t at = 0; at < left.size();) {
    std::vector<const ApplyEntry*> chunk;
    std::size_t bytes = 0;
    const auto begin = at;
    const auto most = most_commands();
    while (at < left.size() && chunk.size() < most && (chunk.empty() || bytes < kMostBytes)) {
      chunk.push_back(&request.entries[left[at++]]);
      bytes += chunk.back()->encoded.size();
    }
    const auto take = [&](std::size_t number, Result<ApplyResult> result) {
      if (unsure[number] && result && result->outcome == Outcome::kDuplicate) result->outcome = Outcome::kApplied;
      results[number] = std::move(result);
    };
    auto applied = apply_chunk(chunk, request);
    for (std::size_t i = 0; i < chunk.size(); ++i) {
      if (applied) {
        take(left[begin + i], std::move((*applied)[i]));
      } else if (chunk.size() > 1 && (!applied.error().retryable() || is_outbox_full(applied.error()) ||
                                      (is_out_of_memory(applied.error()) && is_erase(*chunk[i])))) {
        // One of them is to blame; the others must not suffer for it.
        auto alone = apply_chunk({&chunk[i], 1}, request);
        take(left[begin + i], alone ? std::move(alone->front()) : Result<ApplyResult>(std::move(alone).error()));
      } else {
        results[left[begin + i]] = Result<ApplyResult>(applied.error());
      }
    }
    if (!applied && begin == 0 && left.size() == count && !maybe_executed(applied.error()) && applied.error().retryable() &&
        !erases_would_do(applied.error(), request.entries)) {
      return std::move(applied).error();
    }
  }
  Results out;
  out.reserve(count);
  for (auto& one : results) out.push_back(*std::move(one));
  return out;
}

Result<std::vector<Result<bool>>> RedisStore::set_expiry(std::span<const SetExpiry> entries, Deadline deadline) {
  auto parts = shards(deadline);
  if (!parts) return std::move(parts).error();
  const auto before = place_->began();
  auto changed = set_all_expiries(entries, deadline);
  if (!changed) return changed;
  if (auto sure = confirm(before, deadline); !sure) return std::move(sure).error();
  return changed;
}

Result<std::vector<Result<bool>>> RedisStore::set_all_expiries(std::span<const SetExpiry> entries, Deadline deadline) {
  if (shards_->count() > 1) {
    auto changed = Phases(*this, deadline).set_expiry(entries);
    for (const auto& entry : entries) {
      const auto name = qualified(entry.ns, entry.id);
      forget_answers({&name, 1});
    }
    return changed;
  }
  std::vector<Result<bool>> results;
  for (std::size_t at = 0; at < entries.size();) {
    const auto chunk = entries.subspan(at, std::min(most_commands(), entries.size() - at));
    at += chunk.size();
    std::vector<std::string> names;
    for (const auto& entry : chunk) names.push_back(qualified(entry.ns, entry.id));
    auto changed = step(names, false, deadline, [&](Overlay& overlay, Stamp) -> Result<std::vector<Result<bool>>> {
      overlay.keep_history(place_->now(), true);
      std::vector<Result<bool>> out;
      for (const auto& entry : chunk) {
        auto one = change_expiry(overlay, entry);
        if (!one) return std::move(one).error();
        out.push_back(std::move(one));
      }
      saw(overlay, chunk.size());
      return out;
    });
    if (!changed) return std::move(changed).error();
    std::ranges::move(*changed, std::back_inserter(results));
  }
  return results;
}

}  // namespace setget::inline v0::redis
