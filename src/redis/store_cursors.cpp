// The named cursors of the change log. A cursor stands at a position in the log of each part; it also says in which epoch it was opened:
// one from before a flush means nothing in the content that came after it. Other processes move cursors and trim the log at any moment, so
// what depends on a position and on what lies there is asked in one step, and asked again where that has changed.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "redis/errors.hpp"
#include "redis/script.hpp"
#include "redis/store_cursors.hpp"
#include "redis/store_names.hpp"
#include "redis/together.hpp"

namespace setget::inline v0::redis {
namespace {

// KEYS: cursors, log and trimmed count of a part. ARGV: name, value, whether the position may only rise, and the line that lies before it
// (empty: whichever). A value begins with its position. 2: another line lies there. 3: what lies behind it was trimmed.
const Script& cursor_script() {
  static const Script script(R"lua(
local old = redis.call('HGET', KEYS[1], ARGV[1])
local position = tonumber(string.match(ARGV[2], '^%d+'))
if ARGV[3] == '1' and old and tonumber(string.match(old, '^%d+')) > position then return 0 end
local index = position - tonumber(redis.call('GET', KEYS[3]) or '0') - 1
if index < -1 then return 3 end
if ARGV[4] ~= '' and index >= 0 and redis.call('LINDEX', KEYS[2], index) ~= ARGV[4] then return 2 end
-- A reader that goes on gives lines back: a write that needs no memory lets it where that is full (store_commit.cpp).
if old then redis.call('HDEL', KEYS[1], '') end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
)lua");
  return script;
}

Result<void> check_name(std::string_view name) {
  const bool good = !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
  if (good) return {};
  return Error(ErrorCode::kInvalidArgument, "a cursor's name has 1 to 64 bytes of [A-Za-z0-9._-]").at_field("name");
}

}  // namespace

Error no_such_cursor(std::string_view name) {
  return Error(ErrorCode::kNotFound, fmt::format("there is no cursor \"{}\"", name)).at_field("cursor");
}
Error dropped_cursor(std::string_view name) {
  return Error(ErrorCode::kFailedPrecondition, fmt::format("cursor \"{}\" was dropped because it fell behind its limit, or before what is "
                                                           "left of the change log; open it anew and copy everything once",
                                                           name))
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
Error kept_trimming() { return Error(ErrorCode::kUnavailable, "the change log was trimmed again and again while it was read; try again"); }

void RedisStore::remember_cursor(std::string_view name, std::uint64_t epoch) {
  const std::scoped_lock lock(mutex_);
  cursor_epochs_.insert_or_assign(std::string(name), epoch);
}

Result<RedisStore::CursorState> RedisStore::cursor_state(std::string_view name, Deadline deadline) {
  if (auto parts = shards(deadline); !parts) return std::move(parts).error();
  std::vector<Together> asked(shards_->count());
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    asked[shard].ask("HGET", shards_->name(shard, "r"), {std::string(name)}).ask("GET", shards_->name(shard, "b"));
    asked[shard].ask("LLEN", shards_->name(shard, "l")).ask("GET", shards_->name(shard, "m"));
  }
  CursorState state;
  for (int attempt = 0;; ++attempt) {
    state = {};
    const auto known = place_->known();
    state.epoch = known ? known->identity.epoch : 0;
    bool current = true;
    auto replies = ask_together(place_->client(), asked, deadline);
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
      const auto base = number_of(answers[1].text());
      state.bases.push_back(base);
      state.ends.push_back(base + static_cast<std::uint64_t>(answers[2].integer()));
      std::uint64_t fields[5] = {};
      auto text = answers[0].text();
      for (auto& field : fields) {
        const auto space = std::min(text.find(' '), text.size());
        field = number_of(text.substr(0, space));
        text.remove_prefix(std::min(space + 1, text.size()));
      }
      // A part that whoever opened the cursor has not come to yet: from its oldest line.
      state.positions.push_back(answers[0].is_nil() ? base : fields[0]);
      state.max_lag = std::max(state.max_lag, fields[1]);
      state.dropped = state.dropped || fields[2] != 0;
      state.updated_at = std::max(state.updated_at, TimePoint(Milliseconds(static_cast<std::int64_t>(fields[3]))));
      if (answers[0].is_nil()) continue;
      state.exists = true;
      // Trimmed before it was read, by a version that did not look at the cursors while it trimmed: as good as dropped.
      state.dropped = state.dropped || fields[0] < base;
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

Result<bool> RedisStore::write_cursor(std::string_view name, const CursorState& state, Move move, std::span<const std::string> lines,
                                      Deadline deadline) {
  std::vector<Script::Call> calls;
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    const auto value = fmt::format("{} {} {} {} {}", state.positions[shard], state.max_lag, state.dropped ? 1 : 0,
                                   std::max<std::int64_t>(0, state.updated_at.time_since_epoch().count()), state.epoch);
    auto& call = calls.emplace_back(cursor_script(), 3).key(shards_->name(shard, "r")).key(shards_->name(shard, "l"));
    call.key(shards_->name(shard, "b")).arg(name).arg(value).arg(move == Move::kForward ? "1" : "0");
    call.arg(lines.empty() ? std::string_view() : std::string_view(lines[shard]));
  }
  bool there = true;
  for (auto& written : run_scripts(place_->client(), calls, deadline)) {
    if (!written) return std::move(written).error();
    if (written->integer() == 2) return lost_end();
    there = there && written->integer() != 3;
  }
  return there;
}

Result<std::optional<std::vector<std::string>>> RedisStore::lines_before(const LogWalk::Place& place, const CursorState& state,
                                                                         Deadline deadline) {
  std::vector<std::string> lines(shards_->count());
  std::vector<Together> asked;
  std::vector<std::uint32_t> whose;
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    if (!place.last[shard] || place.positions[shard] <= state.bases[shard]) continue;
    const auto last = std::to_string(place.positions[shard] - state.bases[shard] - 1);
    asked.emplace_back().ask("GET", shards_->name(shard, "b")).ask("LINDEX", shards_->name(shard, "l"), {last});
    whose.push_back(shard);
  }
  auto replies = ask_together(place_->client(), asked, deadline);
  for (std::size_t i = 0; i < replies.size(); ++i) {
    if (!replies[i]) return std::move(replies[i]).error();
    const auto answers = replies[i]->elements();
    if (answers.size() != 2) return Error(ErrorCode::kCorrupted, "a transaction answered something else");
    for (const auto& answer : answers) {
      if (answer.is_error()) return server_error(answer.text());
    }
    if (number_of(answers[0].text()) != state.bases[whose[i]]) return std::optional<std::vector<std::string>>();
    if (answers[1].is_nil() || LogWalk::digest_of(answers[1].text()) != *place.last[whose[i]]) return lost_end();
    lines[whose[i]] = answers[1].text();
  }
  return std::optional(std::move(lines));
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
  const auto deadline = request.deadline;
  for (;;) {
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
    auto written = write_cursor(request.name, *state, move, {}, deadline);
    if (!written) return std::move(written).error();
    if (*written) {
      if (auto sure = confirm(before, deadline); !sure) return std::move(sure).error();
      remember_cursor(request.name, state->epoch);
      return info_of(request.name, *state);
    }
    // Where it would stand, lines were trimmed meanwhile.
    if (deadline.passed()) return kept_trimming();
  }
}

// The state of a cursor that may be read with.
Result<RedisStore::CursorState> RedisStore::usable_cursor(std::string_view name, Deadline deadline) {
  auto state = cursor_state(name, deadline);
  if (!state) return state;
  if (state->replaced) return replaced_content(name);
  if (!state->exists) return no_such_cursor(name);
  if (state->dropped) return dropped_cursor(name);
  return state;
}

// Moves the state to a position, as far as it is known what lies before it; `lines` as write_cursor() wants them. False: the log was
// trimmed meanwhile.
Result<bool> RedisStore::move_to(Position position, CursorState& state, std::vector<std::string>& lines, Deadline deadline) {
  auto turn = take_turn(walking_, deadline);
  if (!turn) return std::move(turn).error();
  const auto& walk = walk_through(state.positions);
  if (position <= walk.end()) {
    auto place = walk.at(position);
    auto found = lines_before(place, state, deadline);
    if (!found) return std::move(found).error();
    if (!*found) return false;
    lines = **std::move(found);
    state.positions = std::move(place.positions);
  } else if (position <= lost_to_) {
    return lost_end();
  } else if (position > total(state.ends)) {
    return Error(ErrorCode::kInvalidArgument, "the position lies behind the end of the change log").at_field("position");
  } else if (shards_->count() == 1) {
    state.positions[0] = position;
  } else if (position == total(state.ends)) {
    state.positions = state.ends;
  } else {
    return Error(ErrorCode::kInvalidArgument, "the position was not read through this store object, so it is not known what lies before it")
        .at_field("position");
  }
  return true;
}

Result<void> RedisStore::commit_cursor(std::string_view name, Position position, Deadline deadline) {
  for (;;) {
    auto state = usable_cursor(name, deadline);
    if (!state) return std::move(state).error();
    if (position <= total(state->positions)) return {};
    std::vector<std::string> lines;
    auto moved = move_to(position, *state, lines, deadline);
    if (!moved) return std::move(moved).error();
    if (*moved) {
      state->updated_at = place_->now();
      const auto before = place_->began();
      auto written = write_cursor(name, *state, Move::kForward, lines, deadline);
      if (!written) return std::move(written).error();
      if (*written) return confirm(before, deadline);
    }
    if (deadline.passed()) return kept_trimming();
  }
}

Result<std::vector<std::string>> RedisStore::cursor_names(Deadline deadline) {
  if (auto parts = shards(deadline); !parts) return std::move(parts).error();
  // Of all parts: whoever opened or dropped a cursor may not have come to each, and it holds the log where it is.
  std::vector<RedisCommand> commands;
  for (std::uint32_t shard = 0; shard < shards_->count(); ++shard) {
    commands.push_back(RedisCommand("HKEYS").key(shards_->name(shard, "r")).idempotent());
  }
  std::set<std::string> names;
  for (auto& reply : place_->client().pipeline(commands, deadline)) {
    if (!reply) return std::move(reply).error();
    for (const auto& name : reply->elements()) names.emplace(name.text());
  }
  return std::vector<std::string>(names.begin(), names.end());
}

Result<std::vector<Position>> RedisStore::cursor_positions(std::string_view name, Deadline deadline) {
  auto state = cursor_state(name, deadline);
  if (!state) return std::move(state).error();
  if (!state->exists || state->dropped || state->replaced) return std::vector<Position>();
  return std::move(state->positions);
}

Result<std::vector<CursorInfo>> RedisStore::cursors(Deadline deadline) {
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

Result<void> RedisStore::drop_cursor(std::string_view name, Deadline deadline) {
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

}  // namespace setget::inline v0::redis
