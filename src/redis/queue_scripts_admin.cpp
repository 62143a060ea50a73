// The scripts that look, and those that deal with dead letters and housekeeping. queue_scripts.cpp tells what is stored where.
#include "redis/queue_lua.hpp"
#include "redis/queue_scripts.hpp"

namespace setget::inline v0::redis::queue_scripts {

namespace {

// The oldest stamp that is unfinished, 0 for none.
constexpr std::string_view kOldest = R"lua(
local function oldest_of()
  local more, low, last
  repeat more, low, last = advance_low() until not more
  local stamp = 0
  if low <= last then
    local header, frame = call('HGET', V, num(low)), framed(low)
    if header then stamp = struct.unpack('>I8', header) elseif frame then stamp = frame.stamp + (low - frame.first) * frame.step end
  end
  local other = call('ZRANGE', U, 0, 0, 'WITHSCORES')
  if other[1] and (stamp == 0 or tonumber(other[2]) < stamp) then stamp = tonumber(other[2]) end
  return stamp, last
end
)lua";

// Walks the numbers without an outcome.
constexpr std::string_view kWalk = R"lua(
local chunk, bytes
local function pending_from(n, last)
  while n <= last do
    local k, at = floor(n / CHUNK), n % CHUNK
    if k ~= chunk then chunk, bytes = k, call('GET', H .. 'o:' .. num(k)) or '' end
    if at >= #bytes then return n end
    local zero = string.find(bytes, '\0', at + 1, true)
    if zero then return k * CHUNK + zero - 1 end
    if #bytes < CHUNK then
      n = k * CHUNK + #bytes
      return n <= last and n or nil
    end
    n = (k + 1) * CHUNK
  end
  return nil
end
)lua";

}  // namespace

const Script& find() {
  static const Script script(join({lua::kNames, lua::kQueue, lua::kFrames, lua::kOutcomes, R"lua(
local born = call('HGET', M, 'born')
local name = ARGV[1]
local rec = call('HGET', B, name)
if rec then
  local dead = call('HGET', X, name)
  if dead then
    local info = cmsgpack.unpack(dead)
    return {'ok', born, 5, info[1], info[3], info[4], rec}
  end
  local lease = call('HGET', L, name)
  local receives = lease and tonumber(sub(lease, 32, 36)) or note_of(name)[1]
  return {'ok', born, 0, stamp_of(name), receives, '', rec}
end
local number = tonumber(name)
local frame = framed(number)
if frame then
  local nth = number - frame.first
  local receives = call('HEXISTS', L, frame.entry)
  each_record(call('HGET', A, frame.name), frame.count, function(k, record) if k == nth then rec = record end end)
  return {'ok', born, 0, frame.stamp + nth * frame.step, receives, '', rec}
end
local chunk = num(floor(number / CHUNK))
local byte = string.byte(call('GETRANGE', H .. 'o:' .. chunk, number % CHUNK, number % CHUNK)) or 0
if byte == 0 or byte == 255 then return {'ok', born, -1, 0, 0, '', ''} end
local stamp, receives, reasons = 0, floor(byte / 8), ''
local side = call('HGET', H .. 's:' .. chunk, name)
if side then receives, reasons, stamp = unpack(cmsgpack.unpack(side)) end
return {'ok', born, byte % 8, stamp, receives, reasons, ''}
)lua"}));
  return script;
}

const Script& stats() {
  static const Script script(join({lua::kNames, lua::kQueue, lua::kFrames, lua::kOutcomes, lua::kGroups, lua::kLeases, kOldest, R"lua(
if wake(tonumber(ARGV[1]), 2000) then return 'again' end
local oldest, accepted = oldest_of()
local leased = call('HLEN', L) + tonumber(call('HGET', M, 'fl') or 0)
local out = {'ok', accepted, leased, call('ZCARD', D), call('HLEN', X), oldest}
for _, count in ipairs(call('HMGET', M, 'o1', 'o2', 'o3', 'o4', 'o6')) do out[#out + 1] = tonumber(count or 0) end
return out
)lua"}));
  return script;
}

const Script& oldest() {
  static const Script script(join({lua::kNames, lua::kQueue, lua::kFrames, lua::kOutcomes, kOldest, R"lua(
return {'ok', (oldest_of())}
)lua"}));
  return script;
}

const Script& raise() {
  static const Script script(R"lua(
if tonumber(redis.call('GET', KEYS[1]) or 0) >= tonumber(ARGV[1]) then return 'ok' end
redis.call('DEL', KEYS[2]) -- as may_write(): the store's floor depends on it
redis.call('SET', KEYS[1], ARGV[1])
return 'ok'
)lua");
  return script;
}

const Script& peek() {
  static const Script script(join({lua::kNames, lua::kQueue, lua::kFrames, lua::kOutcomes, kWalk, R"lua(
local born = call('HGET', M, 'born')
local limit = tonumber(ARGV[1])
local out = {'ok', born}
local function show(name)
  local header = call('HGET', V, name)
  if not header then return end
  local note, lease, visible, receives = note_of(name), call('HGET', L, name), 0, nil
  if lease then visible, receives = tonumber(sub(lease, 17, 31)), tonumber(sub(lease, 32, 36)) end
  out[#out + 1], out[#out + 2], out[#out + 3] = tonumber(name), struct.unpack('>I8', header), receives or note[1]
  out[#out + 1], out[#out + 2], out[#out + 3] = note[4], visible, 0
end
-- As many of a frame as are asked for; none of them is finished.
local function show_frame(frame, most)
  local lease = call('HGET', L, frame.entry)
  for k = 0, math.min(frame.count, most) - 1 do
    out[#out + 1], out[#out + 2], out[#out + 3] = frame.first + k, frame.stamp + k * frame.step, lease and 1 or 0
    out[#out + 1], out[#out + 2], out[#out + 3] = 0, lease and tonumber(sub(lease, 17, 31)) or 0, frame.first
  end
  return math.min(frame.count, most)
end
local more, low, last
repeat more, low, last = advance_low() until not more
local n = pending_from(low, last)
local shown = 0
while n and shown < limit do
  local frame = framed(n)
  local length = 1
  if frame then length = show_frame(frame, limit - shown) else show(num(n)) end
  shown = shown + length
  n = pending_from(n + length, last)
end
for _, name in ipairs(call('ZRANGE', U, 0, limit - 1)) do show(name) end
return out
)lua"}));
  return script;
}

const Script& dead() {
  static const Script script(join({lua::kNames, lua::kQueue, R"lua(
local born = call('HGET', M, 'born')
local out = {'ok', born}
for _, name in ipairs(call('ZRANGEBYSCORE', Y, '(' .. ARGV[1], '+inf', 'LIMIT', 0, tonumber(ARGV[2]))) do
  local info = cmsgpack.unpack(call('HGET', X, name))
  out[#out + 1], out[#out + 2] = tonumber(name), {info[1], info[2], info[3], info[4], info[5], info[6]}
end
return out
)lua"}));
  return script;
}

const Script& redrive() {
  static const Script script(join({lua::kNames, lua::kQueue, lua::kGroups, lua::kStamps, R"lua(
local now, restamp = tonumber(ARGV[1]), ARGV[5] == '1'
local moved, last = 0, 0
for n = 6, #ARGV do
  local name = ARGV[n]
  local dead = call('HGET', X, name)
  if dead then
    local info = cmsgpack.unpack(dead)
    local stamp, origin = info[1], info[6]
    call('HDEL', X, name)
    call('ZREM', Y, name)
    if restamp then
      if origin == 0 then origin = stamp end
      stamp = next_stamp(now, tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
      call('SET', KEYS[3], num(stamp))
      last = stamp
      call('HSET', V, name, struct.pack('>I8', stamp) .. sub(call('HGET', V, name), 9))
    end
    -- Its retention begins anew, or it would be back at once.
    call('HSET', N, name, cmsgpack.pack({0, '', now, origin}))
    call('ZADD', U, num(stamp), name)
    if info[7] == '' then call('ZADD', Z, num(stamp), name) else join(info[7], name, stamp) end
    moved = moved + 1
  end
end
return {'ok', moved, last}
)lua"}));
  return script;
}

const Script& purge() {
  static const Script script(join({lua::kNames, lua::kQueue, lua::kOutcomes, R"lua(
local moved = 0
for n = 2, #ARGV do
  local name = ARGV[n]
  local dead = call('HGET', X, name)
  if dead then
    local info = cmsgpack.unpack(dead)
    call('HDEL', X, name)
    call('ZREM', Y, name)
    call('HDEL', B, name)
    call('HDEL', V, name)
    mark({name}, 1, 6, {info[3]}, info[4], info[6] ~= 0 and {info[1]} or nil, tonumber(ARGV[1]))
    moved = moved + 1
  end
end
if moved > 0 then call('HINCRBY', M, 'o6', moved) end
return {'ok', moved}
)lua"}));
  return script;
}

const Script& maintain() {
  static const Script script(join({lua::kNames, lua::kQueue, lua::kFrames, lua::kOutcomes, lua::kGroups, lua::kLeases, kWalk, R"lua(
local now, max = tonumber(ARGV[1]), tonumber(ARGV[2])
local o = call('HMGET', M, 'born', 'ret', 'or')
if wake(now, 1000) then return 'again' end
local keep, remembered = tonumber(o[2]), tonumber(o[3])
local steps = 0

-- Takes a message that is not leased out of wherever it is.
local function extract(name, stamp, group)
  local function unready() if call('ZREM', Z, name) == 0 then call('LREM', R, 1, name) end end
  local timer = name .. ':' .. num(stamp) .. ':' .. group
  if group == '' then
    if call('ZREM', D, timer) == 0 then unready() end
    return
  end
  local leased, offered = state(group)
  if not leased then
    unready()
    call('HDEL', G, group)
  elseif offered == name then
    unready()
    offer_next(group)
  else
    call('ZREM', H .. 'w:' .. group, name)
    call('ZREM', D, timer)
    if leased == 0 and offered == '0' then offer_next(group) end
  end
end
local function outlive(name, header, since)
  if since + keep > now then return false end
  if call('HEXISTS', L, name) == 1 then return true end
  local stamp, group = struct.unpack('>I8', header), sub(header, 13)
  extract(name, stamp, group)
  bury(name, stamp, group, note_of(name), reason('retention', 'not finished within ' .. num(keep) .. ' ms'), now)
  steps = steps + 1
  return true
end

local more, low, last = advance_low()
local n, walked = pending_from(low, last), 0
while n and steps < max and walked < 1000 do
  local header, length = call('HGET', V, num(n)), 1
  local frame = not header and framed(n)
  if frame and floor(frame.stamp / 2048) + keep <= now then
    if call('HEXISTS', L, frame.entry) == 1 then
      length = frame.count
    else
      loosen(frame)
      header = call('HGET', V, num(n))
    end
  end
  if length == 1 and (not header or not outlive(num(n), header, floor(struct.unpack('>I8', header) / 2048))) then break end
  walked = walked + length
  n = pending_from(n + length, last)
end
if steps < max and call('EXISTS', U) == 1 then
  for _, name in ipairs(call('ZRANGE', U, 0, 999)) do
    if steps >= max then break end
    local header = call('HGET', V, name)
    if header then outlive(name, header, note_of(name)[3]) end
  end
end
advance_low()
low = tonumber(call('HGET', M, 'low') or 1)

-- Outcomes that nobody asks for any more. Where a message of the chunk is unfinished, the others leave a mark.
if steps < max then
  for _, k in ipairs(call('ZRANGEBYSCORE', F, '-inf', num(now - remembered), 'LIMIT', 0, max - steps)) do
    call('UNLINK', H .. 's:' .. k)
    if low >= (tonumber(k) + 1) * CHUNK then
      call('UNLINK', H .. 'o:' .. k)
      call('ZREM', F, k)
    else
      call('SET', H .. 'o:' .. k, (string.gsub(call('GET', H .. 'o:' .. k) or '', '[^%z]', '\255')))
      call('ZADD', F, num(now), k)
    end
    steps = steps + 1
  end
end
local function forget(list, hash)
  while steps < max do
    local entry = call('LINDEX', list, 0)
    if not entry then return end
    local colon = string.find(entry, ':', 1, true)
    if tonumber(sub(entry, 1, colon - 1)) > now then return end
    call('LPOP', list)
    -- The id may have been remembered anew since.
    local id = sub(entry, colon + 1)
    local known = call('HGET', hash, id)
    if known and tonumber(string.match(known, '^%d+')) <= now then call('HDEL', hash, id) end
    steps = steps + 1
  end
end
forget(J, I)
forget(Q, P)
-- Lanes of processes that are gone.
if steps < max and call('HLEN', K) > 256 then
  local found = call('HSCAN', K, call('HGET', M, 'lanes') or '0', 'COUNT', 100)
  may_write()
  call('HSET', M, 'lanes', found[1])
  for at = 1, #found[2], 2 do
    if steps < max and cmsgpack.unpack(found[2][at + 1])[2] + 86400000 <= now then
      call('HDEL', K, found[2][at])
      steps = steps + 1
    end
  end
end
return {'ok', steps}
)lua"}));
  return script;
}

}  // namespace setget::inline v0::redis::queue_scripts
