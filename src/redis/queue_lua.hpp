// What the scripts of a queue have in common, as pieces of Lua that are put before them. queue_scripts.cpp tells what is stored where.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace setget::inline v0::redis::queue_scripts {

inline std::string join(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const auto part : parts) text += part;
  return text;
}

namespace lua {

// Names, numbers, and calls with more arguments than Lua's stack holds.
inline constexpr std::string_view kNames = R"lua(
local call, fmt, floor, sub = redis.call, string.format, math.floor, string.sub
local H = KEYS[1]
local M, B, R, Z, D, L, T, E, G, C = H .. 'm', H .. 'b', H .. 'r', H .. 'z', H .. 'd', H .. 'l', H .. 't', H .. 'e', H .. 'g', H .. 'c'
local V, N, X, Y, U, F, I, J, P, Q, K = H .. 'h', H .. 'n', H .. 'x', H .. 'y', H .. 'u', H .. 'f', H .. 'i', H .. 'j', H .. 'p', H .. 'q', H .. 'k'
local A, W = H .. 'a', H .. 'v'
local function num(value) return fmt('%.0f', value) end
local function all(verb, key, list)
  for from = 1, #list, 4000 do call(verb, key, unpack(list, from, math.min(from + 3999, #list))) end
end
-- A server whose memory is full (noeviction) refuses what could need some until a script has written; this is a write, needs none and
-- changes nothing. What hands out messages or ends them says it before its first write, what sends does not.
local written = false
local function may_write()
  if not written then call('DEL', H) end
  written = true
end
local function stamp_of(name) return (struct.unpack('>I8', call('HGET', V, name))) end
)lua";

// Whoever calls means one queue with the options that he knows. Where a part holds another one, nothing is done.
inline constexpr std::string_view kQueue = R"lua(
if call('HGET', M, 'tag') ~= table.remove(ARGV) then return call('EXISTS', M) == 1 and 'other' or 'none' end
)lua";

inline constexpr std::string_view kWipe = R"lua(
local function wipe()
  for _, group in ipairs(call('HKEYS', C)) do call('UNLINK', H .. 'w:' .. group) end
  for _, chunk in ipairs(call('ZRANGE', F, 0, -1)) do call('UNLINK', H .. 'o:' .. chunk, H .. 's:' .. chunk) end
  call('UNLINK', M, B, V, R, Z, D, L, T, E, G, C, N, X, Y, U, F, I, J, P, Q, K, A, W)
end
)lua";

// One answer is kept of each lane. A lane is used by one call at a time, so that a higher number says that the answer before has come.
inline constexpr std::string_view kLanes = R"lua(
local function answered(lane, number)
  local kept = call('HGET', K, lane)
  if not kept then return nil end
  kept = cmsgpack.unpack(kept)
  if kept[1] == number then return kept[3] end
  if kept[1] > number then return 'late' end
  return nil
end
local function remember(lane, number, now, answer) call('HSET', K, lane, cmsgpack.pack({number, now, answer})) end
)lua";

// Stamps of part p of n parts are p modulo n, so that no two parts of the store ever give the same one.
inline constexpr std::string_view kStamps = R"lua(
local function next_stamp(now, after, part, parts)
  local first = math.max(tonumber(call('GET', KEYS[3]) or 0), after) + 1
  if now > 0 then first = math.max(first, math.min(now * 2048, 9007199254740991)) end
  return first + (part - first) % parts, parts
end
)lua";

// Frames: messages that were sent together (queue_scripts_frames.cpp).
extern const std::string_view kFrames;

// How messages end.
inline constexpr std::string_view kOutcomes = R"lua(
local CHUNK = 4096
local no_note = {0, '', 0, 0}
local function note_of(name)
  local note = call('HGET', N, name)
  return note and cmsgpack.unpack(note) or no_note
end
local function reason(code, message)
  return struct.pack('>I4', #code) .. code .. struct.pack('>I4', #message) .. message .. struct.pack('>I4', 0)
end
-- Writes one outcome for `count` messages; stamps: of those that were restamped, or nil; numbers: the names as numbers, if they are there.
local function mark(names, count, outcome, receives, reasons, stamps, now, numbers)
  if not numbers then
    numbers = {}
    for k = 1, count do numbers[k] = tonumber(names[k]) end
  end
  local n = 1
  local touched
  while n <= count do
    local first, times = numbers[n], receives[n]
    local length, at = 1, first % CHUNK
    while n + length <= count and receives[n + length] == times and at + length < CHUNK and numbers[n + length] == first + length do
      length = length + 1
    end
    local chunk = num(floor(first / CHUNK))
    call('SETRANGE', H .. 'o:' .. chunk, at, string.rep(string.char(outcome + 8 * math.min(times, 31)), length))
    if touched ~= chunk then call('ZADD', F, num(now), chunk) end
    touched = chunk
    if reasons ~= '' or times >= 31 or stamps then
      for k = n, n + length - 1 do
        call('HSET', H .. 's:' .. chunk, names[k], cmsgpack.pack({times, reasons, stamps and stamps[k] or 0}))
      end
    end
    n = n + length
  end
end
-- The same for numbers in a row that were received once.
local function mark_row(first, count, outcome, reasons, now)
  if reasons ~= '' then
    local names, receives = {}, {}
    for k = 1, count do names[k], receives[k] = num(first + k - 1), 1 end
    mark(names, count, outcome, receives, reasons, nil, now)
    return
  end
  while count > 0 do
    local at = first % CHUNK
    local length, chunk = math.min(count, CHUNK - at), num(floor(first / CHUNK))
    call('SETRANGE', H .. 'o:' .. chunk, at, string.rep(string.char(outcome + 8), length))
    call('ZADD', F, num(now), chunk)
    first, count = first + length, count - length
  end
end
-- A message that is nowhere else any more becomes a dead letter.
local function bury(name, stamp, group, note, reasons, now)
  may_write()
  call('HSET', X, name, cmsgpack.pack({stamp, now, note[1], reasons, note[2], note[4], group}))
  call('ZADD', Y, num(stamp), name)
  call('HDEL', N, name)
  call('ZREM', U, name)
  mark({name}, 1, 5, {note[1]}, '', nil, now)
end
-- Passes numbers that are finished, or have their place in u. Answers true if there is more to pass.
local function advance_low()
  local low, last = unpack(call('HMGET', M, 'low', 'seq'))
  low, last = tonumber(low or 1), tonumber(last or 0)
  local start = low
  local more = true
  for _ = 1, 64 do
    local bytes = call('GETRANGE', H .. 'o:' .. num(floor(low / CHUNK)), low % CHUNK, -1)
    local zero = string.find(bytes, '\0', 1, true)
    low = low + (zero and zero - 1 or #bytes)
    if zero or low % CHUNK ~= 0 or #bytes == 0 then
      more = false
      break
    end
  end
  if low ~= start then
    may_write()
    call('HSET', M, 'low', num(low))
  end
  return more, low, last
end
)lua";

// FIFO groups with more than one unfinished message, or with one that waits.
inline constexpr std::string_view kGroups = R"lua(
local function state(group)
  local text = call('HGET', C, group)
  if not text then return nil end
  local leased, offered = string.match(text, '^(%d+):(%d+)$')
  return tonumber(leased), offered
end
local function set_state(group, leased, offered) call('HSET', C, group, num(leased) .. ':' .. offered) end
-- The oldest that waits is next, unless it is delayed. Nobody of the group may be leased or offered.
local function offer_next(group)
  local waiting = H .. 'w:' .. group
  local head = call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
  if not head[1] then
    call('HDEL', C, group)
    return
  end
  local stamp = num(tonumber(head[2]))
  if call('ZSCORE', D, head[1] .. ':' .. stamp .. ':' .. group) then
    set_state(group, 0, '0')
    return
  end
  call('ZREM', waiting, head[1])
  call('ZADD', Z, stamp, head[1])
  if call('EXISTS', waiting) == 1 then
    set_state(group, 0, head[1])
  else
    call('HDEL', C, group)
    call('HSET', G, group, head[1])
  end
end
-- What is offered goes back to those that wait.
local function withdraw(group, offered)
  if offered == '0' then return end
  if call('ZREM', Z, offered) == 0 then call('LREM', R, 1, offered) end
  call('ZADD', H .. 'w:' .. group, num(stamp_of(offered)), offered)
end
-- A message joins its group with the stamp it has: before later ones that nobody has taken yet.
local function join(group, name, stamp)
  if call('HEXISTS', C, group) == 0 then
    local only = call('HGET', G, group)
    if not only then
      call('HSET', G, group, name)
      call('ZADD', Z, num(stamp), name)
      return
    end
    call('HDEL', G, group)
    if call('HEXISTS', L, only) == 1 then set_state(group, 1, '0') else set_state(group, 0, only) end
  end
  call('ZADD', H .. 'w:' .. group, num(stamp), name)
  local leased, offered = state(group)
  if leased > 0 then return end
  withdraw(group, offered)
  offer_next(group)
end
)lua";

// Leases and delays, and how they end.
inline constexpr std::string_view kLeases = R"lua(
local function left(token, count)
  if call('HINCRBY', T, token .. '#', -count) > 0 then return end
  call('HDEL', T, token, token .. '#')
  call('ZREM', E, token)
end
local function add_history(history, reasons)
  history = history .. reasons
  if #history == 0 then return history end
  local starts, at = {}, 1
  while at <= #history do
    starts[#starts + 1] = at
    for _ = 1, 3 do at = at + 4 + struct.unpack('>I4', history, at) end
  end
  return #starts > 32 and sub(history, starts[#starts - 31]) or history
end
-- Ends a lease; the message is left nowhere. Answers its stamp.
local function unlease(name, lease, reasons, uncounted)
  local receives = tonumber(sub(lease, 32, 36)) - (uncounted and 1 or 0)
  local note = note_of(name)
  call('HDEL', L, name)
  call('HSET', N, name, cmsgpack.pack({receives, add_history(note[2], reasons), note[3], note[4]}))
  left(sub(lease, 1, 16), 1)
  return stamp_of(name)
end
-- Ends a lease and those of later messages of its group, which must not overtake it.
local function give_back(name, lease, now, due, reasons, uncounted)
  local token, group = sub(lease, 1, 16), sub(lease, 37)
  local packed = group ~= '' and call('HGET', T, token)
  local stamp = unlease(name, lease, reasons, uncounted)
  local delayed = due > now
  if delayed then call('ZADD', D, num(due), name .. ':' .. num(stamp) .. ':' .. group) end
  if group == '' then
    if not delayed then call('ZADD', Z, num(stamp), name) end
    return
  end
  local leased = state(group)
  if not leased then
    if not delayed then
      call('ZADD', Z, num(stamp), name)
      return
    end
    call('HDEL', G, group)
    leased = 1
  end
  local waiting = H .. 'w:' .. group
  leased = leased - 1
  call('ZADD', waiting, num(stamp), name)
  if leased > 0 and packed then
    local members = cmsgpack.unpack(packed)
    local held = {}
    for from = 1, #members, 4000 do
      for _, one in ipairs(call('HMGET', L, unpack(members, from, math.min(from + 3999, #members)))) do held[#held + 1] = one end
    end
    for n = 1, #members do
      local other = held[n]
      if other and sub(other, 1, 16) == token and sub(other, 37) == group and stamp_of(members[n]) > stamp then
        call('ZADD', waiting, num(unlease(members[n], other, '', false)), members[n])
        leased = leased - 1
      end
    end
  end
  if leased == 0 then offer_next(group) else set_state(group, leased, '0') end
end
-- Ends what is over at `now`, about `budget` messages of it. Answers true if there may be more.
local function wake(now, budget)
  local due = call('ZRANGEBYSCORE', D, '-inf', num(now), 'LIMIT', 0, budget)
  for _, member in ipairs(due) do
    local one = string.find(member, ':', 1, true)
    local two = string.find(member, ':', one + 1, true)
    local name, stamp, group = sub(member, 1, one - 1), sub(member, one + 1, two - 1), sub(member, two + 1)
    call('ZREM', D, member)
    if group == '' then
      call('ZADD', Z, stamp, name)
    else
      local leased, offered = state(group)
      if leased == 0 and offered == '0' then offer_next(group) end
    end
  end
  budget = budget - #due
  while budget > 0 do
    local token = call('ZRANGEBYSCORE', E, '-inf', num(now), 'LIMIT', 0, 1)[1]
    if not token then return false end
    may_write()
    local first
    for _, name in ipairs(members_of(token) or {}) do
      local lease = call('HGET', L, name)
      if lease and sub(lease, 1, 16) == token then
        local ends = tonumber(sub(lease, 17, 31))
        budget = budget - 1
        if ends <= now then
          give_back(name, lease, now, now, '', false)
        elseif not first or ends < first then
          first = ends
        end
      end
    end
    -- Those that were extended; some may have gone back with an earlier one of their group, which only makes this moment too early.
    if first and call('HEXISTS', T, token) == 1 then
      call('ZADD', E, num(first), token)
    else
      call('HDEL', T, token, token .. '#')
      call('ZREM', E, token)
    end
    budget = budget - 1
  end
  return true
end
)lua";

}  // namespace lua
}  // namespace setget::inline v0::redis::queue_scripts
