// Reading the change log. Each part has a log of its own with dense positions from 1; a position of the store is how many entries of all
// parts lie before it. The way there is not unique, and not all of it survives a failover, so the way that was handed out is remembered
// (log_walk.hpp); only this store object knows it. After a crash reading goes on from what was committed.
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <thread>
#include <unordered_map>
#include <utility>

#include "redis/errors.hpp"
#include "redis/store_bodies.hpp"
#include "redis/store_cursors.hpp"
#include "redis/store_names.hpp"
#include "redis/together.hpp"

namespace setget::inline v0::redis {
namespace {

using State = IdentitySlot::State;

constexpr std::size_t kLongestWalk = 1'000'000;
constexpr std::size_t kMostWalks = 8;
constexpr std::size_t kMostLines = 100'000;  // of a part in one reply, whatever a caller asks for; the next read goes on behind them

}  // namespace

// The walk that leads through a cursor's place, or a new one from there. Precondition: its turn is taken.
LogWalk& RedisStore::walk_through(const std::vector<Position>& positions) {
  const auto place = total(positions);
  for (auto& walk : walks_) {
    if (place < walk.begin() || place > walk.end() || walk.at(place).positions != positions) continue;
    // What lies far behind is of no use but to cursors that lag as far; they begin a walk of their own.
    walk.shorten(place, kLongestWalk);
    return walk;
  }
  if (walks_.size() == kMostWalks) walks_.pop_front();
  return walks_.emplace_back(positions);
}

Result<std::optional<Change>> RedisStore::change_of(Position position, const LogLine& line, const MaybeEntry& entry, Deadline deadline) {
  return with_body(line.name, entry, deadline, [&](const std::optional<Entry>& there) -> Result<std::optional<Change>> {
    const auto [ns, id] = split_qualified(line.name);
    Change change;
    change.position = position;
    change.ns = ns;
    change.id = id;
    change.version = line.version;
    change.revision = line.revision;
    const auto* identity = there && there->identity && there->identity->slot.state != State::kAbsent ? &*there->identity : nullptr;
    const bool current = identity != nullptr && identity->slot.version == line.version && identity->slot.revision == line.revision;
    if (line.tombstone) {
      if (identity != nullptr && !current) return std::optional<Change>();
      change.kind = ChangeKind::kTombstone;
      change.reason = line.reason;
      return std::optional(std::move(change));
    }
    if (!current || identity->slot.state != State::kLive) return std::optional<Change>();
    auto record = record_of(*identity, deadline);
    if (!record) return std::move(record).error();
    change.record = *std::move(record);
    return std::optional(std::move(change));
  });
}

// A piece of one part's log behind a place, with the line before it where one was handed out.
struct RedisStore::LogPiece {
  std::span<const Reply> lines() const { return reply.elements()[1].elements(); }
  Reply reply;           // the trimmed count, the lines
  std::size_t used = 0;  // of the lines: known already, or picked
};

// Of each part, at most `limit` lines. Empty: what the state says of the trimmed counts is no longer so.
Result<std::optional<std::vector<RedisStore::LogPiece>>> RedisStore::pieces_behind(const LogWalk::Place& place, const CursorState& state,
                                                                                   std::size_t limit, Deadline deadline) {
  std::vector<Together> asked(shards_->count());
  std::vector<LogPiece> pieces(shards_->count());
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    const auto first = place.positions[shard] - std::min(place.positions[shard], state.bases[shard]);
    pieces[shard].used = first > 0 && place.last[shard] ? 1 : 0;
    asked[shard].ask("GET", shards_->name(shard, "b"));
    asked[shard].ask("LRANGE", shards_->name(shard, "l"),
                     {std::to_string(first - pieces[shard].used), std::to_string(static_cast<std::int64_t>(first + limit) - 1)});
  }
  auto replies = ask_together(place_->client(), asked, deadline);
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    if (!replies[shard]) return std::move(replies[shard]).error();
    auto& reply = pieces[shard].reply;
    reply = *std::move(replies[shard]);
    if (reply.elements().size() != 2) return Error(ErrorCode::kCorrupted, "a transaction answered something else");
    for (const auto& answer : reply.elements()) {
      if (answer.is_error()) return server_error(answer.text());
    }
    if (number_of(reply.elements()[0].text()) != state.bases[shard]) return std::optional<std::vector<LogPiece>>();
  }
  return std::optional(std::move(pieces));
}

// Whether the lines before the place are still those that were handed out.
bool RedisStore::goes_on(const LogWalk::Place& place, std::span<const LogPiece> pieces) {
  for (std::size_t shard = 0; shard < pieces.size(); ++shard) {
    if (pieces[shard].used == 0) continue;
    const auto lines = pieces[shard].lines();
    if (lines.empty() || LogWalk::digest_of(lines[0].text()) != *place.last[shard]) return false;
  }
  return true;
}

// The next lines along the way that was handed out before, and on by stamps. Precondition: its turn is taken.
Result<std::vector<RedisStore::Picked>> RedisStore::pick(LogWalk& walk, Position from, std::span<LogPiece> pieces, std::size_t limit) {
  std::vector<Picked> picked;
  std::optional<Picked> next;
  const auto look = [&](std::uint32_t shard) -> Result<void> {
    const auto lines = pieces[shard].lines();
    if (pieces[shard].used == lines.size()) return {};
    const auto text = lines[pieces[shard].used].text();
    const auto line = decode_log_line(text);
    if (!line) return Error(ErrorCode::kCorrupted, fmt::format("a damaged line in {}", shards_->name(shard, "l")));
    if (!next || line->stamp < next->line.stamp) next = Picked{*line, shard, LogWalk::digest_of(text)};
    return {};
  };
  for (; picked.size() < limit; next.reset()) {
    const auto position = from + picked.size();
    if (position < walk.end()) {
      const auto step = walk.behind(position);
      if (auto looked = look(step.part); !looked) return std::move(looked).error();
      if (!next || next->digest != step.digest) {
        // So far the way was as it had been; from here on another one was taken.
        lost_to_ = std::max(lost_to_, walk.end());
        walk.cut(position);
        next.reset();
      }
    }
    if (!next) {
      for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
        if (auto looked = look(shard); !looked) return std::move(looked).error();
      }
      if (!next) break;
      walk.add({next->shard, next->digest});
    }
    ++pieces[next->shard].used;
    picked.push_back(*next);
  }
  return picked;
}

// As many from the front as their entries have at most `max_bytes`, and one in any case. One that changed often is read once.
Result<RedisStore::PickedEntries> RedisStore::entries_of(std::span<const Picked> picked, std::size_t max_bytes, Deadline deadline) {
  PickedEntries out;
  std::vector<std::string> names;
  std::unordered_map<std::string_view, std::size_t> known;
  for (const auto& one : picked) {
    const auto [at, first] = known.try_emplace(one.line.name, names.size());
    if (first) names.emplace_back(one.line.name);
    out.which.push_back(at->second);
  }
  // So few are never too much.
  if (names.size() > kPieceNames) {
    auto sizes = sizes_of(names, deadline);
    if (!sizes) return std::move(sizes).error();
    std::size_t bytes = 0;
    std::size_t fitting = 0;
    while (fitting < names.size() && (fitting == 0 || bytes + (*sizes)[fitting] <= max_bytes)) bytes += (*sizes)[fitting++];
    names.resize(fitting);
    // They came to be in the order of the lines.
    out.which.erase(std::ranges::find_if(out.which, [&](std::size_t name) { return name >= fitting; }), out.which.end());
  }
  auto entries = decoded_entries(names, deadline);
  if (!entries) return std::move(entries).error();
  out.entries = *std::move(entries);
  return out;
}

// Empty: the log was trimmed while it was read.
Result<std::optional<ChangeBatch>> RedisStore::read_changes(const ReadChanges& request, const CursorState& state, Deadline deadline) {
  auto turn = take_turn(walking_, deadline);
  if (!turn) return std::move(turn).error();
  const auto start = total(state.positions);
  const auto limit = std::min(request.limit, kMostLines);
  ChangeBatch batch;
  batch.next = std::max(request.after, start);
  auto* walk = &walk_through(state.positions);
  // What this object has not handed out is not known to it: then reading begins where the cursor stands.
  if (batch.next > walk->end()) batch.next = start;
  std::vector<LogPiece> pieces;
  for (;;) {
    const auto place = walk->at(batch.next);
    auto read = pieces_behind(place, state, limit, deadline);
    if (!read) return std::move(read).error();
    if (!*read) return std::optional<ChangeBatch>();
    pieces = **std::move(read);
    if (goes_on(place, pieces)) break;
    place_->logger().log(LogLevel::kWarning,
                         "the end of the change log was lost, with the master that had it; it is read again from the cursor",
                         {{"cursor", request.cursor}});
    for (const auto& one : walks_) lost_to_ = std::max(lost_to_, one.end());
    walks_.clear();
    walk = &walk_through(state.positions);
    batch.next = start;
  }
  auto picked = pick(*walk, batch.next, pieces, limit);
  if (!picked) return std::move(picked).error();
  auto read = entries_of(*picked, request.max_bytes, deadline);
  if (!read) return std::move(read).error();
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < read->which.size(); ++i) {
    auto change = change_of(batch.next + 1, (*picked)[i].line, read->entries[read->which[i]], deadline);
    if (!change && is_damage(change.error())) {
      // Of a damaged record there is nothing to say, least of all that it was erased; and nobody could pass it if that were an error.
      complain("a changed record is damaged, and what follows the change log does not get it", (*picked)[i].line.name, change.error());
      ++batch.damaged;
      ++batch.next;
      continue;
    }
    if (!change) return std::move(change).error();
    if (*change && (*change)->record) {
      const auto size = (*change)->record->payload.size();
      if (!batch.changes.empty() && bytes + size > request.max_bytes) break;
      bytes += size;
    }
    ++batch.next;
    if (*change) batch.changes.push_back(**std::move(change));
  }
  batch.at_end = batch.next >= total(state.ends);
  return std::optional(std::move(batch));
}

Result<ChangeBatch> RedisStore::changes(const ReadChanges& request) {
  const auto deadline = request.deadline;
  for (;;) {
    auto state = usable_cursor(request.cursor, deadline);
    if (!state) return std::move(state).error();
    auto batch = read_changes(request, *state, deadline);
    if (!batch) return std::move(batch).error();
    if (*batch) return **std::move(batch);
    if (deadline.passed()) return kept_trimming();
  }
}

Result<std::vector<Position>> RedisStore::ends(Deadline deadline) {
  if (auto parts = shards(deadline); !parts) return std::move(parts).error();
  std::vector<Together> asked(shards_->count());
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    asked[shard].ask("GET", shards_->name(shard, "b")).ask("LLEN", shards_->name(shard, "l"));
  }
  std::vector<Position> out;
  for (auto& reply : ask_together(place_->client(), asked, deadline)) {
    if (!reply) return std::move(reply).error();
    const auto answers = reply->elements();
    if (answers.size() != 2) return Error(ErrorCode::kCorrupted, "a transaction answered something else");
    out.push_back(number_of(answers[0].text()) + static_cast<std::uint64_t>(answers[1].integer()));
  }
  return out;
}

// Polled: a list cannot be waited for without taking from it, and a message to all for every set would cost every set.
Result<bool> RedisStore::wait_for_changes(Position after, Deadline wait, std::optional<Deadline> deadline) {
  constexpr Milliseconds kAnswer{1000};
  constexpr Milliseconds kLastLook{20};  // before the deadline, so that its answer comes in time
  const auto latest = deadline.value_or(wait.then(kAnswer));
  const auto end = Deadline::at(std::min(wait.time(), std::max(latest.time(), Deadline::Steady::now()) - kLastLook));
  for (Milliseconds pause{1};; pause = std::min(pause * 2, Milliseconds(50))) {
    auto last = ends(latest);
    if (!last) return std::move(last).error();
    if (total(*last) > after) return true;
    const auto left = end.left();
    if (left <= Deadline::Steady::duration::zero()) return false;
    std::this_thread::sleep_for(std::min<Deadline::Steady::duration>(left, pause));
  }
}

}  // namespace setget::inline v0::redis
