// Reclaiming what is gone, along the lists that say when: expiry buckets, the log, and what can be forgotten. Work grows with what there is
// to reclaim, never with what is stored. Several processes may do it at once.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_set>
#include <utility>

#include "redis/queue.hpp"
#include "redis/store_bodies.hpp"
#include "redis/store_names.hpp"
#include "redis/store_phases.hpp"
#include "redis/store_step.hpp"

namespace setget::inline v0::redis {
namespace {

constexpr std::string_view kStays = "a record that has expired, or may have, is damaged and stays";
constexpr std::size_t kChunk = 128;
constexpr std::int64_t kHeadBytes = 160;                    // more than heads have, but for many lost keys
constexpr std::size_t kEvictBytes = std::size_t{32} << 20;  // of entries that are evicted at once
// A bucket of which only a part is due is looked at again and again, so only while it is small.
constexpr std::int64_t kSmallBucket = 4096;

// KEYS: a bucket, the buckets' index. ARGV: the bucket's name, how many names were dealt with, the first and the last of them.
const Script& shorten_script() {
  static const Script script(R"lua(
local n = tonumber(ARGV[2])
if n > 0 and redis.call('LINDEX', KEYS[1], 0) == ARGV[3] and redis.call('LINDEX', KEYS[1], n - 1) == ARGV[4] then
  redis.call('LTRIM', KEYS[1], n, -1)
end
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], ARGV[1]) end
return 0
)lua");
  return script;
}

// KEYS: log, trimmed count, garbage, cursors. ARGV: the trimmed count as it was, how many lines go, the epoch, then score and name of what
// they leave behind. 0: somebody else trimmed. 2: a cursor that was opened meanwhile has yet to read them. A cursor's value: position,
// limit, whether it was dropped, time, epoch (none or 0: written before cursors had one).
const Script& trim_script() {
  static const Script script(R"lua(
if (redis.call('GET', KEYS[2]) or '0') ~= ARGV[1] then return 0 end
local base = tonumber(ARGV[1]) + tonumber(ARGV[2])
for _, cursor in ipairs(redis.call('HVALS', KEYS[4])) do
  local position, dropped, epoch = string.match(cursor, '^(%d+) %d+ (%d) %d+ ?(%d*)')
  if position and dropped == '0' and (epoch == '' or epoch == '0' or epoch == ARGV[3]) and tonumber(position) < base then return 2 end
end
redis.call('LTRIM', KEYS[1], ARGV[2], -1)
redis.call('SET', KEYS[2], string.format('%.0f', base))
for i = 4, #ARGV, 2 do redis.call('ZADD', KEYS[3], 'GT', ARGV[i], ARGV[i + 1]) end
return 1
)lua");
  return script;
}

// KEYS: meta, counters. ARGV: what it was, what it becomes.
const Script& meta_script() {
  static const Script script(R"lua(
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[2], '') -- a write that needs no memory: what follows is not refused where that is full (store_commit.cpp)
redis.call('SET', KEYS[1], ARGV[2])
return 1
)lua");
  return script;
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<std::string> texts(const Reply& reply) {
  std::vector<std::string> out;
  for (const auto& element : reply.elements()) out.emplace_back(element.text());
  return out;
}

// Members with their scores: one behind the other in RESP2, in pairs in RESP3. False where that is not what it is.
bool scored(const Reply& reply, std::vector<std::string>& members, std::vector<std::string>& scores) {
  std::vector<std::string_view> flat;
  for (const auto& element : reply.elements()) {
    if (!element.is_list()) flat.push_back(element.text());
    for (const auto& one : element.elements()) flat.push_back(one.text());
  }
  for (std::size_t i = 0; i + 1 < flat.size(); i += 2) {
    if (flat[i].empty()) return false;
    members.emplace_back(flat[i]);
    scores.emplace_back(flat[i + 1]);
  }
  return !flat.empty() && flat.size() % 2 == 0;
}

}  // namespace

Result<std::size_t> RedisStore::evict_names(std::span<const std::string> names, TimePoint cutoff, Deadline deadline) {
  std::size_t evicted = 0;
  if (shards_->count() > 1) {
    auto gone = Phases(*this, deadline).evict(names, cutoff);
    forget_answers(names);
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!gone[i] && is_damage(gone[i].error())) {
        complain(kStays, names[i], gone[i].error());
        continue;
      }
      if (!gone[i]) return std::move(gone[i]).error();
      evicted += *gone[i] ? 1 : 0;
    }
    return evicted;
  }
  auto done = step(names, false, deadline, [&](Overlay& overlay, Stamp) -> Result<std::size_t> {
    overlay.free_memory();
    std::size_t count = 0;
    for (const auto& name : names) {
      const auto [ns, id] = split_qualified(name);
      auto slot = overlay.load_identity(ns, id);
      if (!slot) return std::move(slot).error();
      // Set or touched since it was found expired: it stays.
      if (slot->state != IdentitySlot::State::kLive || !slot->expires_at || *slot->expires_at > cutoff) continue;
      auto keys = overlay.current_keys(ns, id);
      if (!keys) return std::move(keys).error();
      if (auto settled = overlay.settle_pending(ns, *keys); !settled) return std::move(settled).error();
      if (auto gone = evict_expired(overlay, ns, id); !gone) return std::move(gone).error();
      ++count;
    }
    return count;
  });
  if (done || !is_damage(done.error())) return done;
  // One of them, or one of its keys, is damaged: it must not hold up the others.
  if (names.size() == 1) {
    complain(kStays, names[0], done.error());
    return evicted;
  }
  for (const auto& name : names) {
    auto alone = evict_names({&name, 1}, cutoff, deadline);
    if (!alone) return alone;
    evicted += *alone;
  }
  return evicted;
}

Result<std::size_t> RedisStore::forget_names(std::span<const std::string> names, std::span<const std::string> scores, Stamp floor,
                                             Deadline deadline) {
  std::size_t forgotten = 0;
  if (shards_->count() > 1) {
    auto gone = Phases(*this, deadline).forget(names, scores, floor);
    forget_answers(names);
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (!gone[i] && is_damage(gone[i].error())) {
        if (auto passed = pass_garbage(names[i], gone[i].error(), deadline); !passed) return std::move(passed).error();
        continue;
      }
      if (!gone[i]) return std::move(gone[i]).error();
      forgotten += *gone[i] ? 1 : 0;
    }
    return forgotten;
  }
  auto done = step(names, false, deadline, [&](Overlay& overlay, Stamp) -> Result<std::size_t> {
    overlay.free_memory();
    std::size_t count = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const auto [ns, bytes] = split_qualified(names[i]);
      auto gone = overlay.forget(ns, bytes, floor, scores[i]);
      if (!gone) return std::move(gone).error();
      count += *gone ? 1 : 0;
    }
    return count;
  });
  if (done || !is_damage(done.error())) return done;
  if (names.size() == 1) {
    if (auto passed = pass_garbage(names[0], done.error(), deadline); !passed) return std::move(passed).error();
    return forgotten;
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    auto alone = forget_names(names.subspan(i, 1), scores.subspan(i, 1), floor, deadline);
    if (!alone) return alone;
    forgotten += *alone;
  }
  return forgotten;
}

// What is damaged is forgotten by nobody, and must not stand before all others that can be.
Result<void> RedisStore::pass_garbage(const std::string& name, const Error& damage, Deadline deadline) {
  complain("what could be forgotten is damaged and stays", name, damage);
  const auto [ns, bytes] = split_qualified(name);
  auto gone = place_->client().call(RedisCommand("ZREM").key(shards_->name(shards_->of(ns, bytes), "g")).arg(name).idempotent(), deadline);
  if (!gone) return std::move(gone).error();
  return {};
}

// Without what they hold, each once, in their order.
Result<std::vector<RedisStore::Expired>> RedisStore::expired_among(std::span<const std::string> names, TimePoint cutoff,
                                                                   Deadline deadline) {
  std::vector<std::string> wanted;
  std::vector<RedisCommand> commands;
  std::unordered_set<std::string_view> known;
  for (const auto& name : names) {
    if (!known.insert(name).second) continue;
    wanted.push_back(name);
    const auto [ns, id] = split_qualified(name);
    const auto key = entry_name(shards_->head(shards_->of(ns, id)), ns, id);
    commands.push_back(RedisCommand("GETRANGE").key(key).arg(std::int64_t{0}).arg(kHeadBytes - 1).idempotent());
    commands.push_back(RedisCommand("STRLEN").key(key).idempotent());
  }
  std::vector<Expired> expired;
  if (wanted.empty()) return expired;
  auto replies = place_->client().pipeline(commands, deadline);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    auto& head = replies[2 * i];
    auto& size = replies[2 * i + 1];
    if (!head) return std::move(head).error();
    if (!size) return std::move(size).error();
    if (head->text().empty()) continue;
    auto identity = decode_identity(head->text());
    // A head that is longer than that is read whole.
    if (!identity) {
      auto entry = decoded_entries({&wanted[i], 1}, deadline);
      if (!entry) return std::move(entry).error();
      auto& there = entry->front();
      if (!there) {
        // What is damaged stays: it must not hold up what is not.
        complain(kStays, wanted[i], there.error());
        continue;
      }
      if (!*there) continue;
      identity = std::move((*there)->identity);
    }
    if (!*identity || (*identity)->slot.state != IdentitySlot::State::kLive) continue;
    const auto& expires_at = (*identity)->slot.expires_at;
    if (!expires_at || *expires_at > cutoff) continue;
    expired.push_back({.name = std::move(wanted[i]), .bytes = static_cast<std::size_t>(std::max<std::int64_t>(0, size->integer()))});
  }
  return expired;
}

Result<void> RedisStore::reclaim_expired(const Reclaim& request, std::uint32_t shard, Reclaimed& done) {
  const auto deadline = request.deadline;
  const auto cutoff = request.now - request.grace;
  auto& client = place_->client();
  auto due = client.call(RedisCommand("ZRANGEBYSCORE")
                             .key(shards_->name(shard, "x"))
                             .arg("-inf")
                             .arg(cutoff.time_since_epoch().count())
                             .arg("LIMIT")
                             .arg(0)
                             .arg(64)
                             .idempotent(),
                         deadline);
  if (!due) return std::move(due).error();
  for (const auto& name : texts(*due)) {
    const auto bucket = parse_bucket(name);
    if (!bucket) return Error(ErrorCode::kCorrupted, fmt::format("a damaged name in {}", shards_->name(shard, "x")));
    const auto list = shards_->name(shard, name);
    const bool whole = bucket->end <= cutoff;
    if (!whole) {
      auto size = client.call(RedisCommand("LLEN").key(list).idempotent(), deadline);
      if (!size) return std::move(size).error();
      if (size->integer() > kSmallBucket) continue;
    }
    for (std::size_t at = 0; done.steps < request.max_steps;) {
      // Of a bucket that ends, each name is a step, whatever became of its record. One that goes on is looked at every time.
      const auto room = request.max_steps - done.steps;
      const auto chunk = whole ? std::min(kChunk, room) : kChunk;
      auto piece = client.call(
          RedisCommand("LRANGE").key(list).arg(static_cast<std::int64_t>(at)).arg(static_cast<std::int64_t>(at + chunk) - 1).idempotent(),
          deadline);
      if (!piece) return std::move(piece).error();
      auto names = texts(*piece);
      const bool last = names.size() < chunk;
      auto due_names = expired_among(names, cutoff, deadline);
      if (!due_names) return std::move(due_names).error();
      auto& expired = *due_names;
      if (expired.size() > room) {
        names.resize(static_cast<std::size_t>(std::ranges::find(names, expired[room].name) - names.begin()));
        expired.resize(room);
      }
      // Whoever evicts them reads them whole.
      for (std::size_t from = 0; from < expired.size();) {
        std::vector<std::string> some;
        std::size_t bytes = 0;
        do {
          bytes += expired[from].bytes;
          some.push_back(std::move(expired[from++].name));
        } while (from < expired.size() && bytes + expired[from].bytes <= kEvictBytes);
        auto evicted = evict_names(some, cutoff, deadline);
        if (!evicted) return std::move(evicted).error();
        done.expired += *evicted;
        if (!whole) done.steps += *evicted;
      }
      if (whole) done.steps += names.size();
      if (whole) {
        Script::Call call(shorten_script(), 2);
        call.key(list).key(shards_->name(shard, "x")).arg(name).arg(static_cast<std::int64_t>(names.size()));
        call.arg(names.empty() ? std::string_view() : std::string_view(names.front()));
        call.arg(names.empty() ? std::string_view() : std::string_view(names.back()));
        if (auto shortened = run_script(client, call, deadline); !shortened) return std::move(shortened).error();
      } else {
        at += names.size();
      }
      if (last) break;
    }
  }
  return {};
}

Result<void> RedisStore::trim_log(const Reclaim& request, std::uint32_t shard, std::optional<Position> passed, Reclaimed& done) {
  const auto deadline = request.deadline;
  auto& client = place_->client();
  const auto log = shards_->name(shard, "l");
  const auto trimmed = shards_->name(shard, "b");
  while (done.steps < request.max_steps) {
    auto base = client.call(RedisCommand("GET").key(trimmed).idempotent(), deadline);
    if (!base) return std::move(base).error();
    const auto first = number(base->text());
    if (passed && *passed <= first) return {};
    auto count = std::min<std::uint64_t>(512, request.max_steps - done.steps);
    if (passed) count = std::min(count, *passed - first);
    auto piece = client.call(RedisCommand("LRANGE").key(log).arg(0).arg(static_cast<std::int64_t>(count) - 1).idempotent(), deadline);
    if (!piece) return std::move(piece).error();
    const auto lines = piece->elements();
    if (lines.empty()) return {};
    const auto known = place_->known();
    Script::Call call(trim_script(), 4);
    call.key(log).key(trimmed).key(shards_->name(shard, "g")).key(shards_->name(shard, "r"));
    call.arg(static_cast<std::int64_t>(first)).arg(static_cast<std::int64_t>(lines.size()));
    call.arg(static_cast<std::int64_t>(known ? known->identity.epoch : 0));
    for (const auto& element : lines) {
      const auto line = decode_log_line(element.text());
      if (!line) return Error(ErrorCode::kCorrupted, fmt::format("a damaged line in {}", log));
      if (line->tombstone) call.arg(static_cast<std::int64_t>(line->stamp)).arg(line->name);
    }
    auto cut = run_script(client, call, deadline);
    if (!cut) return std::move(cut).error();
    if (cut->integer() == 0) continue;  // another process was faster
    if (cut->integer() == 2) return {};
    done.log_trimmed += lines.size();
    done.steps += lines.size();
  }
  return {};
}

Result<void> RedisStore::raise_floor(std::uint32_t shard, Stamp floor, Deadline deadline) {
  for (;;) {
    auto known = meta(shard, deadline);
    if (!known) return std::move(known).error();
    if (known->floor >= floor) return {};
    Script::Call call(meta_script(), 2);
    call.key(shards_->name(shard, "m"))
        .key(shards_->name(shard, "c"))
        .arg(known->text)
        .arg(encode_part_meta(known->identity, floor, known->generation));
    auto raised = run_script(place_->client(), call, deadline);
    if (!raised) return std::move(raised).error();
    forget_meta(shard);
    if (raised->integer() == 1) return {};
  }
}

Result<void> RedisStore::forget_gone(const Reclaim& request, std::uint32_t shard, Reclaimed& done) {
  const auto deadline = request.deadline;
  auto known = meta(shard, deadline);
  if (!known) return std::move(known).error();
  while (done.steps < request.max_steps) {
    // What has been set anew is read with its body.
    const auto count = std::min({kChunk, most_commands(), request.max_steps - done.steps});
    auto noted = place_->client().call(RedisCommand("ZRANGEBYSCORE")
                                           .key(shards_->name(shard, "g"))
                                           .arg("-inf")
                                           .arg(fmt::format("({}", known->floor))
                                           .arg("WITHSCORES")
                                           .arg("LIMIT")
                                           .arg(0)
                                           .arg(static_cast<std::int64_t>(count))
                                           .idempotent(),
                                       deadline);
    if (!noted) return std::move(noted).error();
    if (noted->elements().empty()) return {};
    std::vector<std::string> names;
    std::vector<std::string> scores;
    if (!scored(*noted, names, scores)) return Error(ErrorCode::kCorrupted, fmt::format("a damaged name in {}", shards_->name(shard, "g")));
    auto forgotten = forget_names(names, scores, known->floor, deadline);
    if (!forgotten) return std::move(forgotten).error();
    done.forgotten += *forgotten;
    done.steps += names.size();
  }
  return {};
}

Result<Reclaimed> RedisStore::reclaim(const Reclaim& request) {
  const auto deadline = request.deadline;
  auto parts = shards(deadline);
  if (!parts) return std::move(parts).error();
  Reclaimed done;
  // A server that is full beyond what evicting may take has more use than ever for what follows.
  std::optional<Error> full;
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    auto evicted = reclaim_expired(request, shard, done);
    if (!evicted && !is_out_of_memory(evicted.error())) return std::move(evicted).error();
    if (!evicted) full = std::move(evicted).error();
  }
  // Nothing goes that a cursor has yet to read.
  auto names = cursor_names(deadline);
  if (!names) return std::move(names).error();
  std::vector<std::optional<Position>> passed(shards_->count());
  auto floor = request.floor;
  for (const auto& name : *names) {
    auto positions = cursor_positions(name, deadline);
    if (!positions) return std::move(positions).error();
    for (std::uint32_t shard = 0; shard < positions->size(); ++shard) {
      const auto position = (*positions)[shard];
      if (!passed[shard] || position < *passed[shard]) passed[shard] = position;
    }
  }
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    if (auto trimmed = trim_log(request, shard, passed[shard], done); !trimmed) return std::move(trimmed).error();
    // What is left of the log has not been read by all: the floor stays below what its next lines were about.
    auto ahead = place_->client().call(RedisCommand("LRANGE").key(shards_->name(shard, "l")).arg(0).arg(999).idempotent(), deadline);
    if (!ahead) return std::move(ahead).error();
    if (!passed[shard]) continue;
    for (const auto& element : ahead->elements()) {
      if (const auto line = decode_log_line(element.text())) floor = std::min(floor, line->stamp);
    }
  }
  auto below = floor_below_queues(place_, floor, deadline);
  if (!below) return std::move(below).error();
  floor = *below;
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    if (auto raised = raise_floor(shard, floor, deadline); !raised) return std::move(raised).error();
    if (auto forgotten = forget_gone(request, shard, done); !forgotten) return std::move(forgotten).error();
  }
  if (full) return *std::move(full);
  if (auto tended = tend_dictionaries(deadline); !tended && !is_out_of_memory(tended.error())) return std::move(tended).error();
  return done;
}

Result<StoreStats> RedisStore::stats(Deadline deadline) {
  auto parts = shards(deadline);
  if (!parts) return std::move(parts).error();
  StoreStats stats;
  std::vector<RedisCommand> commands;
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    commands.push_back(RedisCommand("HMGET").key(shards_->name(shard, "c")).arg("records").arg("tombstones").arg("keys").idempotent());
    commands.push_back(RedisCommand("LLEN").key(shards_->name(shard, "l")).idempotent());
    commands.push_back(RedisCommand("LLEN").key(shards_->name(shard, "o")).idempotent());
  }
  auto replies = place_->client().pipeline(commands, deadline);
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    auto& counts = replies[std::size_t{3} * shard];
    auto& length = replies[std::size_t{3} * shard + 1];
    auto& waiting = replies[std::size_t{3} * shard + 2];
    if (!counts) return std::move(counts).error();
    if (!length) return std::move(length).error();
    if (!waiting) return std::move(waiting).error();
    const auto fields = texts(*counts);
    if (fields.size() == 3) {
      stats.records += number(fields[0]);
      stats.tombstones += number(fields[1]);
      stats.keys += number(fields[2]);
    }
    stats.changes += static_cast<std::uint64_t>(length->integer());
    stats.outbox += static_cast<std::uint64_t>(waiting->integer());
  }
  auto known = meta(0, deadline);
  if (!known) return std::move(known).error();
  stats.floor = known->floor;
  // Of the whole servers: Redis does not say what a prefix takes.
  auto servers = place_->client().servers(deadline);
  if (!servers) return std::move(servers).error();
  for (const auto& server : *servers) {
    auto connection = server->connection(deadline);
    if (!connection) return std::move(connection).error();
    const auto ask = RedisCommand::of("INFO", "memory");
    auto answers = (*connection)->call(ask.wire(), 1, deadline);
    if (!answers) return std::move(answers).error();
    const auto text = answers->front().text();
    constexpr std::string_view kField = "\r\nused_memory_dataset:";
    if (const auto at = text.find(kField); at != std::string_view::npos) stats.bytes += number(text.substr(at + kField.size()));
  }
  return stats;
}

}  // namespace setget::inline v0::redis
