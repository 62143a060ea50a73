// The change log and its named cursors. Each part has a log of its own with dense positions from 1; a position of the store is how many
// entries of all parts lie before it. The way there is not unique, and not all of it survives a failover, so the way that was handed out is
// remembered (log_walk.hpp); only this store object knows it. After a crash reading goes on from what was committed. A cursor also says in
// which epoch it was opened: one from before a flush means nothing in the content that came after it.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <numeric>
#include <set>
#include <thread>
#include <utility>

#include "redis/errors.hpp"
#include "redis/script.hpp"
#include "redis/store.hpp"
#include "redis/store_names.hpp"

namespace setget::inline v0::redis {
namespace {

using State = IdentitySlot::State;

// KEYS: cursors, log and trimmed count of a part. ARGV: name, value, whether the position may only rise, and the line that lies before it
// (empty: whichever). A value begins with its position. 2: another line lies there.
const Script& cursor_script() {
  static const Script script(R"lua(
local old = redis.call('HGET', KEYS[1], ARGV[1])
local position = tonumber(string.match(ARGV[2], '^%d+'))
if ARGV[3] == '1' and old and tonumber(string.match(old, '^%d+')) > position then return 0 end
if ARGV[4] ~= '' then
  local index = position - tonumber(redis.call('GET', KEYS[3]) or '0') - 1
  if index >= 0 and redis.call('LINDEX', KEYS[2], index) ~= ARGV[4] then return 2 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
)lua");
  return script;
}

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Error no_such_cursor(std::string_view name) {
  return Error(ErrorCode::kNotFound, fmt::format("there is no cursor \"{}\"", name)).at_field("cursor");
}
Error dropped_cursor(std::string_view name) {
  return Error(ErrorCode::kFailedPrecondition,
               fmt::format("cursor \"{}\" was dropped because it fell behind its limit; open it anew and copy everything once", name))
      .at_field("cursor");
}

Error replaced_content(std::string_view name) {
  return Error(
             ErrorCode::kFailedPrecondition,
             fmt::format("cursor \"{}\" belongs to content that is gone (a flush, a restart without persistence); identity() tells the new "
                         "epoch: open the cursor anew and copy everything once",
                         name))
      .at_field("identity");
}
Error lost_end() {
  return Error(ErrorCode::kUnavailable,
               "the end of the change log was lost, with the master that had it, before it was confirmed; read again from the cursor");
}

Result<void> check_name(std::string_view name) {
  const bool good = !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
  if (good) return {};
  return Error(ErrorCode::kInvalidArgument, "a cursor's name has 1 to 64 bytes of [A-Za-z0-9._-]").at_field("name");
}

constexpr std::size_t kLongestWalk = 1'000'000;
constexpr std::size_t kMostWalks = 8;

Position total(const std::vector<Position>& positions) { return std::accumulate(positions.begin(), positions.end(), Position{0}); }

}  // namespace

struct RedisStore::CursorState {
  bool exists = false;
  std::vector<Position> positions;  // of the cursor, in each part
  std::vector<Position> bases;      // before the first entry that is still there
  std::vector<Position> ends;
  std::uint64_t max_lag = 0;
  bool dropped = false;
  TimePoint updated_at{};
  std::uint64_t epoch = 0;  // that it is
  bool replaced = false;    // the cursor is of another one
};

// The walk that leads through a cursor's place, or a new one from there. Precondition: walk_mutex_ is held.
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

void RedisStore::remember_cursor(std::string_view name, std::uint64_t epoch) {
  const std::scoped_lock lock(mutex_);
  cursor_epochs_.insert_or_assign(std::string(name), epoch);
}

Result<RedisStore::CursorState> RedisStore::cursor_state(std::string_view name, Deadline deadline) {
  if (auto parts = shards(deadline); !parts) return std::move(parts).error();
  std::vector<RedisCommand> commands;
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    const RedisCommand asked[] = {RedisCommand("HGET").key(shards_->name(shard, "r")).arg(name),
                                  RedisCommand("GET").key(shards_->name(shard, "b")), RedisCommand("LLEN").key(shards_->name(shard, "l")),
                                  RedisCommand("GET").key(shards_->name(shard, "m"))};
    commands.push_back(RedisCommand::transaction(asked).idempotent());
  }
  CursorState state;
  for (int attempt = 0;; ++attempt) {
    state = {};
    const auto known = place_->known();
    state.epoch = known ? known->identity.epoch : 0;
    bool current = true;
    auto replies = place_->client().pipeline(commands, deadline);
    for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
      auto& reply = replies[shard];
      if (!reply) return std::move(reply).error();
      const auto answers = reply->elements();
      if (answers.size() != 4) return Error(ErrorCode::kCorrupted, "a transaction answered something else");
      for (const auto& answer : answers) {
        if (answer.is_error()) return server_error(answer.text());
      }
      auto ours = is_current(shard, answers[3]);
      if (!ours) return std::move(ours).error();
      current = current && *ours;
      const auto base = number(answers[1].text());
      state.bases.push_back(base);
      state.ends.push_back(base + static_cast<std::uint64_t>(answers[2].integer()));
      std::uint64_t fields[5] = {};
      auto text = answers[0].text();
      for (auto& field : fields) {
        const auto space = std::min(text.find(' '), text.size());
        field = number(text.substr(0, space));
        text.remove_prefix(std::min(space + 1, text.size()));
      }
      state.positions.push_back(fields[0]);
      state.max_lag = std::max(state.max_lag, fields[1]);
      state.dropped = state.dropped || fields[2] != 0;
      state.updated_at = std::max(state.updated_at, TimePoint(Milliseconds(static_cast<std::int64_t>(fields[3]))));
      if (answers[0].is_nil()) continue;
      state.exists = true;
      // 0: written before cursors had an epoch.
      state.replaced = state.replaced || (fields[4] != 0 && fields[4] != state.epoch);
    }
    if (current) break;
    if (attempt == 3) return Error(ErrorCode::kUnavailable, "the store keeps changing its identity");
    if (auto again = find_again(deadline); !again) return std::move(again).error();
  }
  if (!state.exists) {
    // Gone with all else, or dropped by somebody: this object may know.
    const std::scoped_lock lock(mutex_);
    const auto seen = cursor_epochs_.find(name);
    state.replaced = seen != cursor_epochs_.end() && seen->second != state.epoch;
  } else if (!state.replaced) {
    remember_cursor(name, state.epoch);
  }
  // A cursor that fell too far behind is dropped by whoever sees it first.
  if (state.exists && !state.dropped && !state.replaced && state.max_lag != 0 &&
      total(state.ends) > total(state.positions) + state.max_lag) {
    state.dropped = true;
    state.updated_at = place_->now();
    if (auto written = write_cursor(name, state, Move::kForward, {}, deadline); !written) return std::move(written).error();
    place_->logger().log(LogLevel::kError, "a change-log cursor fell behind its limit and was dropped", {{"cursor", name}});
  }
  return state;
}

Result<void> RedisStore::write_cursor(std::string_view name, const CursorState& state, Move move, std::span<const std::string> lines,
                                      Deadline deadline) {
  std::vector<Script::Call> calls;
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    const auto value = fmt::format("{} {} {} {} {}", state.positions[shard], state.max_lag, state.dropped ? 1 : 0,
                                   std::max<std::int64_t>(0, state.updated_at.time_since_epoch().count()), state.epoch);
    auto& call = calls.emplace_back(cursor_script(), 3).key(shards_->name(shard, "r")).key(shards_->name(shard, "l"));
    call.key(shards_->name(shard, "b")).arg(name).arg(value).arg(move == Move::kForward ? "1" : "0");
    call.arg(lines.empty() ? std::string_view() : std::string_view(lines[shard]));
  }
  for (auto& written : run_scripts(place_->client(), calls, deadline)) {
    if (!written) return std::move(written).error();
    if (written->integer() == 2) return lost_end();
  }
  return {};
}

Result<std::vector<std::string>> RedisStore::lines_before(const LogWalk::Place& place, const CursorState& state, Deadline deadline) {
  std::vector<std::string> lines(shards_->count());
  std::vector<RedisCommand> commands;
  std::vector<std::uint32_t> whose;
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    if (!place.last[shard] || place.positions[shard] <= state.bases[shard]) continue;
    commands.push_back(RedisCommand("LINDEX")
                           .key(shards_->name(shard, "l"))
                           .arg(static_cast<std::int64_t>(place.positions[shard] - state.bases[shard]) - 1)
                           .idempotent());
    whose.push_back(shard);
  }
  auto replies = place_->client().pipeline(commands, deadline);
  for (std::size_t i = 0; i < replies.size(); ++i) {
    if (!replies[i]) return std::move(replies[i]).error();
    if (replies[i]->is_nil() || LogWalk::digest_of(replies[i]->text()) != *place.last[whose[i]]) return lost_end();
    lines[whose[i]] = replies[i]->text();
  }
  return lines;
}

CursorInfo RedisStore::info_of(std::string_view name, const CursorState& state) const {
  const auto position = total(state.positions);
  const auto end = total(state.ends);
  return {.name = std::string(name),
          .position = position,
          .lag = end > position ? end - position : 0,
          .max_lag = state.max_lag,
          .dropped = state.dropped || state.replaced,
          .updated_at = state.updated_at};
}

Result<CursorInfo> RedisStore::open_cursor(const OpenCursor& request) {
  if (auto valid = check_name(request.name); !valid) return std::move(valid).error();
  const auto deadline = patience();
  auto state = cursor_state(request.name, deadline);
  if (!state) return std::move(state).error();
  auto move = Move::kForward;
  if (!state->exists || state->dropped || state->replaced) {
    state->positions = request.from_now ? state->ends : state->bases;
    state->dropped = state->replaced = false;
    move = Move::kAnywhere;
  }
  state->max_lag = request.max_lag;
  state->updated_at = place_->now();
  const auto before = place_->began();
  if (auto written = write_cursor(request.name, *state, move, {}, deadline); !written) return std::move(written).error();
  if (auto sure = confirm(before, deadline); !sure) return std::move(sure).error();
  remember_cursor(request.name, state->epoch);
  return info_of(request.name, *state);
}

Result<std::optional<Change>> RedisStore::change_of(Position position, const LogLine& line, const std::optional<Entry>& entry,
                                                    Deadline deadline) {
  const auto [ns, id] = split_qualified(line.name);
  Change change;
  change.position = position;
  change.ns = ns;
  change.id = id;
  change.version = line.version;
  change.revision = line.revision;
  const auto* identity = entry && entry->identity && entry->identity->slot.state != State::kAbsent ? &*entry->identity : nullptr;
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
}

Result<ChangeBatch> RedisStore::changes(const ReadChanges& request) {
  const auto deadline = patience();
  auto state = cursor_state(request.cursor, deadline);
  if (!state) return std::move(state).error();
  if (state->replaced) return replaced_content(request.cursor);
  if (!state->exists) return no_such_cursor(request.cursor);
  if (state->dropped) return dropped_cursor(request.cursor);
  const std::scoped_lock lock(walk_mutex_);
  ChangeBatch batch;
  const auto start = total(state->positions);
  batch.next = std::max(request.after, start);
  auto* walk = &walk_through(state->positions);
  // What this object has not handed out is not known to it: then reading begins where the cursor stands.
  if (batch.next > walk->end()) batch.next = start;

  // One piece of each log, with the line before it; then along the way that was handed out before, and on by stamps.
  std::vector<Result<Reply>> pieces;
  std::vector<std::size_t> used;
  for (;;) {
    const auto at = walk->at(batch.next);
    std::vector<RedisCommand> commands;
    used.assign(shards_->count(), 0);
    for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
      const auto first = at.positions[shard] - std::min(at.positions[shard], state->bases[shard]);
      if (first > 0 && at.last[shard]) used[shard] = 1;
      commands.push_back(RedisCommand("LRANGE")
                             .key(shards_->name(shard, "l"))
                             .arg(static_cast<std::int64_t>(first - used[shard]))
                             .arg(static_cast<std::int64_t>(first + request.limit) - 1)
                             .idempotent());
    }
    pieces = place_->client().pipeline(commands, deadline);
    bool whole = true;
    for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
      if (!pieces[shard]) return std::move(pieces[shard]).error();
      const auto lines = pieces[shard]->elements();
      whole = whole && (used[shard] == 0 || (!lines.empty() && LogWalk::digest_of(lines[0].text()) == *at.last[shard]));
    }
    if (whole) break;
    place_->logger().log(LogLevel::kWarning,
                         "the end of the change log was lost, with the master that had it; it is read again from the cursor",
                         {{"cursor", request.cursor}});
    walks_.clear();
    walk = &walk_through(state->positions);
    batch.next = start;
  }
  struct Picked {
    LogLine line;
    std::uint32_t shard;
    LogWalk::Digest digest;
  };
  std::vector<Picked> picked;
  std::vector<std::string> names;
  while (picked.size() < request.limit) {
    std::optional<Picked> next;
    const auto look = [&](std::uint32_t shard) -> Result<void> {
      const auto lines = pieces[shard]->elements();
      if (used[shard] == lines.size()) return {};
      const auto text = lines[used[shard]].text();
      const auto line = decode_log_line(text);
      if (!line) return Error(ErrorCode::kCorrupted, fmt::format("a damaged line in {}", shards_->name(shard, "l")));
      if (!next || line->stamp < next->line.stamp) next = Picked{*line, shard, LogWalk::digest_of(text)};
      return {};
    };
    const auto position = batch.next + picked.size();
    if (position < walk->end()) {
      const auto step = walk->behind(position);
      if (auto looked = look(step.part); !looked) return std::move(looked).error();
      if (!next || next->digest != step.digest) {
        // So far the way was as it had been; from here on another one was taken.
        walk->cut(position);
        next.reset();
      }
    }
    if (!next) {
      for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
        if (auto looked = look(shard); !looked) return std::move(looked).error();
      }
      if (next) walk->add({next->shard, next->digest});
    }
    if (!next) break;
    ++used[next->shard];
    names.emplace_back(next->line.name);
    picked.push_back(*next);
  }
  auto entries = decoded_entries(names, deadline);
  if (!entries) return std::move(entries).error();
  std::size_t bytes = 0;
  std::size_t done = 0;
  for (; done < picked.size(); ++done) {
    auto change = change_of(batch.next + 1, picked[done].line, (*entries)[done], deadline);
    if (!change) return std::move(change).error();
    if (*change && (*change)->record) {
      const auto size = (*change)->record->payload.size();
      if (!batch.changes.empty() && bytes + size > request.max_bytes) break;
      bytes += size;
    }
    ++batch.next;
    if (*change) batch.changes.push_back(**std::move(change));
  }
  batch.at_end = batch.next >= total(state->ends);
  return batch;
}

Result<void> RedisStore::commit_cursor(std::string_view name, Position position) {
  const auto deadline = patience();
  auto state = cursor_state(name, deadline);
  if (!state) return std::move(state).error();
  if (state->replaced) return replaced_content(name);
  if (!state->exists) return no_such_cursor(name);
  if (state->dropped) return dropped_cursor(name);
  const std::scoped_lock lock(walk_mutex_);
  if (position <= total(state->positions)) return {};
  const auto& walk = walk_through(state->positions);
  std::vector<std::string> lines;
  if (position <= walk.end()) {
    auto place = walk.at(position);
    auto found = lines_before(place, *state, deadline);
    if (!found) return std::move(found).error();
    lines = *std::move(found);
    state->positions = std::move(place.positions);
  } else if (position > total(state->ends)) {
    return Error(ErrorCode::kInvalidArgument, "the position lies behind the end of the change log").at_field("position");
  } else if (shards_->count() == 1) {
    state->positions[0] = position;
  } else if (position == total(state->ends)) {
    state->positions = state->ends;
  } else {
    return Error(ErrorCode::kInvalidArgument, "the position was not read through this store object, so it is not known what lies before it")
        .at_field("position");
  }
  state->updated_at = place_->now();
  const auto before = place_->began();
  if (auto written = write_cursor(name, *state, Move::kForward, lines, deadline); !written) return written;
  return confirm(before, deadline);
}

Result<std::vector<std::string>> RedisStore::cursor_names(Deadline deadline) {
  if (auto parts = shards(deadline); !parts) return std::move(parts).error();
  auto reply = place_->client().call(RedisCommand("HKEYS").key(shards_->name(0, "r")).idempotent(), deadline);
  if (!reply) return std::move(reply).error();
  std::vector<std::string> names;
  for (const auto& name : reply->elements()) names.emplace_back(name.text());
  std::ranges::sort(names);
  return names;
}

Result<std::vector<Position>> RedisStore::cursor_positions(std::string_view name, Deadline deadline) {
  auto state = cursor_state(name, deadline);
  if (!state) return std::move(state).error();
  if (!state->exists || state->dropped || state->replaced) return std::vector<Position>();
  return std::move(state->positions);
}

Result<std::vector<CursorInfo>> RedisStore::cursors() {
  const auto deadline = patience();
  auto names = cursor_names(deadline);
  if (!names) return std::move(names).error();
  std::vector<CursorInfo> infos;
  for (const auto& name : *names) {
    auto state = cursor_state(name, deadline);
    if (!state) return std::move(state).error();
    if (state->exists) infos.push_back(info_of(name, *state));
  }
  return infos;
}

Result<void> RedisStore::drop_cursor(std::string_view name) {
  const auto deadline = patience();
  auto state = cursor_state(name, deadline);
  if (!state) return std::move(state).error();
  if (!state->exists) return no_such_cursor(name);
  std::vector<RedisCommand> commands;
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    commands.push_back(RedisCommand("HDEL").key(shards_->name(shard, "r")).arg(name).idempotent());
  }
  const auto before = place_->began();
  for (auto& dropped : place_->client().pipeline(commands, deadline)) {
    if (!dropped) return std::move(dropped).error();
  }
  {
    const std::scoped_lock lock(mutex_);
    cursor_epochs_.erase(std::string(name));
  }
  return confirm(before, deadline);
}

Result<std::vector<Position>> RedisStore::ends(Deadline deadline) {
  if (auto parts = shards(deadline); !parts) return std::move(parts).error();
  std::vector<RedisCommand> commands;
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    const RedisCommand asked[] = {RedisCommand("GET").key(shards_->name(shard, "b")), RedisCommand("LLEN").key(shards_->name(shard, "l"))};
    commands.push_back(RedisCommand::transaction(asked).idempotent());
  }
  std::vector<Position> out;
  for (auto& reply : place_->client().pipeline(commands, deadline)) {
    if (!reply) return std::move(reply).error();
    const auto answers = reply->elements();
    if (answers.size() != 2) return Error(ErrorCode::kCorrupted, "a transaction answered something else");
    out.push_back(number(answers[0].text()) + static_cast<std::uint64_t>(answers[1].integer()));
  }
  return out;
}

// Polled: a list cannot be waited for without taking from it, and a message to all for every set would cost every set.
Result<bool> RedisStore::wait_for_changes(Position after, Deadline wait) {
  for (Milliseconds pause{1};; pause = std::min(pause * 2, Milliseconds(50))) {
    auto last = ends(patience());
    if (!last) return std::move(last).error();
    if (total(*last) > after) return true;
    const auto left = wait.left();
    if (left <= Deadline::Steady::duration::zero()) return false;
    std::this_thread::sleep_for(std::min<Deadline::Steady::duration>(left, pause));
  }
}

}  // namespace setget::inline v0::redis
