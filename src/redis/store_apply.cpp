// Applying commands. Where a store is one part, a batch is one step: read all entries that it concerns, let the model decide on them, and
// write everything at once unless something has changed meanwhile. Batches of new records skip the reading: that nothing is there yet is
// part of what the step checks.
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

constexpr std::size_t kMostEntries = 128;     // of one step
constexpr std::size_t kMostBytes = 4u << 20;  // of one step: other clients of the server wait for it

std::vector<std::string> names_of(std::span<const ApplyEntry> entries) {
  std::vector<std::string> names;
  for (const auto& entry : entries) {
    const auto& c = entry.command;
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
  Counts counts;
  for (const auto& [name, row] : overlay.rows()) {
    call.expect_entry(name, row.stored);
    if (!row.changed) continue;
    call.write_entry(name, row.now, place_->random().next());
    const auto change = overlay.counts(row);
    counts.records += change.records;
    counts.tombstones += change.tombstones;
    counts.keys += change.keys;
  }
  for (const auto& effect : overlay.effects()) call.add_effect(effect);
  if (call.empty()) return Committed::kDone;
  call.add_counts(counts);
  call.leave_marker(marker);
  auto reply = run_script(place_->client(), call.call(), deadline);
  if (!reply) return std::move(reply).error();
  if (reply->integer() == 0) return Committed::kDone;
  if (call.is_meta(reply->integer())) forget_meta(0);
  return Committed::kConflict;
}

Result<RedisStore::Results> RedisStore::apply_chunk(std::span<const ApplyEntry> entries, const ApplyCommands& request) {
  const auto names = names_of(entries);
  const bool fresh = freshness_ > 0;
  bool first = true;
  auto results = step(names, fresh, request.deadline, [&](Overlay& overlay, Stamp floor) -> Result<Results> {
    if (!first && fresh) freshness_ = std::max(freshness_ - 4, -64);
    first = false;
    Results out;
    out.reserve(entries.size());
    for (const auto& entry : entries) {
      auto applied = overlay.apply(entry, {.now = request.now, .floor = request.ignore_floor ? 0 : floor});
      // What the model refuses at sight has changed nothing; any other error may have come in the middle.
      if (!applied && applied.error().code() != ErrorCode::kInvalidArgument) return std::move(applied).error();
      out.push_back(std::move(applied));
    }
    return out;
  });
  // A first look now and then finds out whether records are new again.
  if (results) freshness_ = std::min(freshness_ + 1, 8);
  return results;
}

Result<std::vector<Result<ApplyResult>>> RedisStore::apply(const ApplyCommands& request) {
  auto parts = shards(request.deadline);
  if (!parts) return std::move(parts).error();
  if ((*parts)->count() > 1) return Phases(*this, request.deadline).apply(request);
  Results results;
  results.reserve(request.entries.size());
  for (std::size_t at = 0; at < request.entries.size();) {
    auto end = at;
    for (std::size_t bytes = 0; end < request.entries.size() && end - at < kMostEntries && (end == at || bytes < kMostBytes); ++end) {
      bytes += request.entries[end].encoded.size();
    }
    const auto chunk = request.entries.subspan(at, end - at);
    auto applied = apply_chunk(chunk, request);
    if (applied) {
      std::ranges::move(*applied, std::back_inserter(results));
    } else if (chunk.size() > 1 && !applied.error().retryable()) {
      // One of them is to blame; the others must not suffer for it.
      for (const auto& entry : chunk) {
        auto alone = apply_chunk({&entry, 1}, request);
        results.push_back(alone ? std::move(alone->front()) : Result<ApplyResult>(std::move(alone).error()));
      }
    } else {
      if (at == 0 && !maybe_executed(applied.error())) return std::move(applied).error();
      results.insert(results.end(), chunk.size(), Result<ApplyResult>(std::move(applied).error()));
    }
    at = end;
  }
  return results;
}

Result<std::vector<Result<bool>>> RedisStore::set_expiry(std::span<const SetExpiry> entries) {
  const auto deadline = patience();
  auto parts = shards(deadline);
  if (!parts) return std::move(parts).error();
  if ((*parts)->count() > 1) return Phases(*this, deadline).set_expiry(entries);
  std::vector<Result<bool>> results;
  for (std::size_t at = 0; at < entries.size(); at += kMostEntries) {
    const auto chunk = entries.subspan(at, std::min(kMostEntries, entries.size() - at));
    std::vector<std::string> names;
    for (const auto& entry : chunk) names.push_back(qualified(entry.ns, entry.id));
    auto changed = step(names, false, deadline, [&](Overlay& overlay, Stamp) -> Result<std::vector<Result<bool>>> {
      std::vector<Result<bool>> out;
      for (const auto& entry : chunk) {
        auto one = change_expiry(overlay, entry);
        if (!one) return std::move(one).error();
        out.push_back(std::move(one));
      }
      return out;
    });
    if (!changed) return std::move(changed).error();
    std::ranges::move(*changed, std::back_inserter(results));
  }
  return results;
}

}  // namespace setget::inline v0::redis
