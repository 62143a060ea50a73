#include "redis/store_outbox.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "core/varint.hpp"
#include "redis/errors.hpp"
#include "redis/store.hpp"
#include "redis/store_names.hpp"
#include "redis/store_phases.hpp"
#include "redis/store_step.hpp"

namespace setget::inline v0::redis {
namespace {

using setget::detail::ByteReader;
using setget::detail::put_bytes;
using setget::detail::put_varint;
using Kind = HistoryState::Kind;

constexpr std::uint8_t kOutboxFormat = 1;
constexpr std::uint8_t kNextFormats = 16;  // of newer versions; anything beyond is damage
constexpr std::size_t kMostEntries = 128;  // of one step
constexpr std::size_t kMostElements = 64;  // asked of a part at a time

std::uint64_t ms_of(TimePoint time) { return static_cast<std::uint64_t>(time.time_since_epoch().count()); }
TimePoint time_from(std::uint64_t ms) { return TimePoint(Milliseconds(static_cast<std::int64_t>(ms))); }
Error damaged() { return {ErrorCode::kCorrupted, "a damaged state in the outbox"}; }

// The head of a list up to a position: an idempotent step. Positions rise; one that has none, or a greater one than the next, is damaged
// and goes with what is confirmed behind it.
const Script& confirm_script() {
  static const Script script(R"lua(
local upto, bytes = tonumber(ARGV[1]), 0
local function place_of(element) return tonumber(string.match(element, '^(%d+) ') or '') end
while true do
  local head = redis.call('LINDEX', KEYS[1], 0)
  if not head then break end
  local at = place_of(head)
  if not at or at > upto then
    local n, next_at = 0, nil
    repeat
      n = n + 1
      local behind = redis.call('LINDEX', KEYS[1], n)
      next_at = behind and place_of(behind)
    until not behind or next_at
    if not next_at or next_at > upto then break end
  end
  redis.call('LPOP', KEYS[1])
  bytes = bytes + #head - (string.find(head, ' ', 1, true) or 0)
end
if bytes > 0 then redis.call('HINCRBY', KEYS[2], 'bytes', -bytes) end
return bytes
)lua");
  return script;
}

}  // namespace

std::string encode_outbox_state(const OutboxState& state, std::string_view body) {
  std::string out(1, static_cast<char>(kOutboxFormat));
  out.push_back(static_cast<char>(state.kind));
  out.push_back(static_cast<char>(state.reason));
  put_varint(out, ms_of(state.at));
  put_bytes(out, state.name);
  put_varint(out, state.meta.version);
  put_varint(out, state.meta.revision);
  put_varint(out, state.meta.stamp);
  put_varint(out, state.meta.expires_at ? ms_of(*state.meta.expires_at) + 1 : 0);  // 0 = never
  out.push_back(static_cast<char>(state.meta.ttl_rule));
  put_varint(out, state.meta.lost_keys.size());
  put_bytes(out, state.meta.lost_keys.packed().view());
  out.append(body);
  return out;
}

namespace {

// Where it stands, and where the blank behind that is.
struct Place {
  Position position = 0;
  std::size_t cut = 0;
};

std::optional<Place> place_of(std::string_view element) {
  Place place{.cut = element.find(' ')};
  if (place.cut == std::string_view::npos) return std::nullopt;
  const auto* const last = element.data() + place.cut;
  const auto [end, failed] = std::from_chars(element.data(), last, place.position);
  if (failed != std::errc() || end != last) return std::nullopt;
  return place;
}

}  // namespace

Result<HistoryState> decode_outbox_state(std::string_view element) {
  HistoryState state;
  const auto place = place_of(element);
  if (!place) return damaged();
  const auto cut = place->cut;
  state.position = place->position;
  ByteReader in(element.substr(cut + 1));
  const auto format = in.byte();
  if (format && *format > kOutboxFormat && *format <= kNextFormats) {
    return Error(ErrorCode::kUnsupported, "a state in the outbox was written by a newer version");
  }
  if (format != kOutboxFormat) return damaged();
  const auto kind = in.byte();
  const auto reason = in.byte();
  const auto at = in.varint();
  const auto name = in.sized_bytes();
  StoredMeta meta;
  const auto version = in.varint();
  const auto revision = in.varint();
  const auto stamp = in.varint();
  const auto expires_at = in.varint();
  const auto rule = in.byte();
  const auto lost = in.varint();
  const auto packed = in.sized_bytes();
  if (!kind || !reason || !at || !name || !version || !revision || !stamp || !expires_at || !rule || !lost || !packed) return damaged();
  if (*kind < static_cast<std::uint8_t>(Kind::kRecord) || *kind > static_cast<std::uint8_t>(Kind::kNotKept)) return damaged();
  ByteReader keys(*packed);
  for (std::uint64_t i = 0; i < *lost; ++i) {
    if (!keys.sized_bytes()) return damaged();
  }
  if (keys.left() != 0) return damaged();
  const auto [ns, id] = split_qualified(*name);
  state.kind = static_cast<Kind>(*kind);
  state.reason = static_cast<TombstoneReason>(*reason);
  state.at = time_from(*at);
  state.ns = ns;
  state.id = id;
  state.version = *version;
  state.revision = *revision;
  if (state.kind == Kind::kTombstone) return state;
  meta.version = *version;
  meta.revision = *revision;
  meta.stamp = *stamp;
  if (*expires_at != 0) meta.expires_at = time_from(*expires_at - 1);
  meta.ttl_rule = static_cast<TtlRule>(*rule);
  meta.lost_keys = KeyList::from_packed(Payload::copy(*packed), static_cast<std::size_t>(*lost));
  auto record = make_record(Payload::copy(element.substr(cut + 1 + in.position())), meta);
  if (!record) return std::move(record).error();
  state.record = *std::move(record);
  return state;
}

// --- the store ------------------------------------------------------------------------------------------------------------------------

OutboxLimit RedisStore::outbox_limit() const {
  const auto& options = place_->options();
  const std::size_t parts = shards_->count();
  return {.states = std::max<std::size_t>(1, options.outbox_states / parts),
          .bytes = std::max<std::size_t>(1, options.outbox_bytes / parts)};
}

// Part by part, from one that differs from call to call, so that none waits for ever behind another.
Result<HistoryBatch> RedisStore::history(const ReadHistory& request) {
  const auto deadline = request.deadline;
  auto parts = shards(deadline);
  if (!parts) return std::move(parts).error();
  const auto count = shards_->count();
  std::vector<RedisCommand> lengths;
  for (std::uint32_t shard = 0; shard < count; ++shard) lengths.push_back(RedisCommand("LLEN").key(shards_->name(shard, "o")).idempotent());
  auto waiting = place_->client().pipeline(lengths, deadline);
  HistoryBatch batch;
  batch.at_end = true;
  std::size_t bytes = 0;
  const auto first = next_outbox_.fetch_add(1, std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto shard = (first + i) % count;
    if (!waiting[shard]) return std::move(waiting[shard]).error();
    if (waiting[shard]->is_error()) return server_error(waiting[shard]->text());
    const auto length = static_cast<std::size_t>(std::max<std::int64_t>(0, waiting[shard]->integer()));
    Position last = 0;
    for (std::size_t from = 0; from < length; from += kMostElements) {
      if (batch.states.size() >= request.limit) {
        batch.at_end = false;
        return batch;
      }
      auto reply = place_->client().call(RedisCommand("LRANGE")
                                             .key(shards_->name(shard, "o"))
                                             .arg(static_cast<std::int64_t>(from))
                                             .arg(static_cast<std::int64_t>(from + kMostElements))
                                             .idempotent(),
                                         deadline);
      if (!reply) return std::move(reply).error();
      const auto elements = reply->elements();
      for (std::size_t n = 0; n < std::min(elements.size(), kMostElements); ++n) {
        const auto& element = elements[n];
        auto state = decode_outbox_state(element.text());
        // Positions rise. Confirmed as it says, one that stands too high would take those behind it along.
        const auto behind = n + 1 < elements.size() ? place_of(elements[n + 1].text()) : std::nullopt;
        const bool too_high = state && behind && behind->position < state->position && behind->position > last;
        if (state && (state->position <= last || too_high)) state = damaged();
        if (state) last = state->position;
        if (!state && state.error().code() == ErrorCode::kCorrupted) {
          // It must not hold up those behind it, and with a full outbox every set of their flows.
          if (complaints_.first(digest_of(element.text()).low)) {
            place_->logger().log(LogLevel::kError, "a state of a history is damaged and lost", {{"key", shards_->name(shard, "o")}});
          }
          continue;
        }
        if (!state) return std::move(state).error();
        if (state->position <= request.after) continue;
        bytes += element.text().size();
        if (batch.states.size() >= request.limit || (bytes > request.max_bytes && !batch.states.empty())) {
          batch.at_end = false;
          return batch;
        }
        state->part = shard;
        batch.states.push_back(*std::move(state));
      }
    }
  }
  return batch;
}

Result<void> RedisStore::confirm_history(std::span<const OutboxPlace> places, Deadline deadline) {
  auto parts = shards(deadline);
  if (!parts) return std::move(parts).error();
  std::vector<Script::Call> calls;
  for (const auto& place : places) {
    if (place.part >= shards_->count()) continue;
    Script::Call call(confirm_script(), 2);
    call.key(shards_->name(place.part, "o")).key(shards_->name(place.part, "h")).arg(static_cast<std::int64_t>(place.position));
    calls.push_back(std::move(call));
  }
  for (auto& reply : run_scripts(place_->client(), calls, deadline)) {
    if (!reply) return std::move(reply).error();
  }
  return {};
}

Result<std::vector<Result<bool>>> RedisStore::begin_history(std::span<const BeginHistory> entries, Deadline deadline) {
  auto parts = shards(deadline);
  if (!parts) return std::move(parts).error();
  const auto before = place_->began();
  std::vector<Result<bool>> results;
  if (shards_->count() > 1) {
    results = Phases(*this, deadline).begin_history(entries);
  } else {
    for (std::size_t at = 0; at < entries.size(); at += kMostEntries) {
      const auto chunk = entries.subspan(at, std::min(kMostEntries, entries.size() - at));
      std::vector<std::string> names;
      for (const auto& entry : chunk) names.push_back(qualified(entry.ns, entry.id));
      auto begun = step(names, false, deadline, [&](Overlay& overlay, Stamp) -> Result<std::vector<Result<bool>>> {
        overlay.keep_history(TimePoint{}, true);
        std::vector<Result<bool>> out;
        for (const auto& entry : chunk) {
          auto one = overlay.begin_history(entry);
          if (!one) return std::move(one).error();
          out.push_back(std::move(one));
        }
        return out;
      });
      // The outbox is full: nothing of the chunk was done.
      if (!begun && begun.error().code() != ErrorCode::kResourceExhausted) return std::move(begun).error();
      if (begun) {
        std::ranges::move(*begun, std::back_inserter(results));
      } else {
        for (std::size_t i = 0; i < chunk.size(); ++i) results.emplace_back(begun.error());
      }
    }
  }
  if (auto sure = confirm(before, deadline); !sure) return std::move(sure).error();
  return results;
}

}  // namespace setget::inline v0::redis
