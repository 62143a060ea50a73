// What a part of a queue consists of. Messages are called by their number in the part (1, 2, 3 …), which is as dense as an array. H is
// KEYS[1]:
//
//   m    hash: options, `id` of the queue, `born` (of this part's content), `seq` last number, `low` below which all is finished or in u,
//        `big` longest record, `o1` … `o6` how many ended so
//   h    hash: number -> header: stamp (8 bytes), length of the body (4), group (of FIFO queues): unfinished messages and dead letters
//   b    hash: number -> record (queue_codec.hpp). Redis' Lua hashes every byte of every string that it meets, about a nanosecond each: so
//        scripts do without records where they can, and a receive fetches them afterwards
//   r    list: numbers that are ready and were never received, by rising stamp
//   z    zset: numbers that are ready again, by stamp
//   d    zset: "number:stamp:group" of what is delayed, by when that ends
//   l    hash: number -> lease: token (16 bytes), until (15 digits), receives (5 digits), group
//   t    hash: token -> the numbers that one receive leased (MessagePack); "token#" -> how many of them are still leased
//   e    zset: tokens by when the first of their leases ends
//   g    hash: group -> number, of groups with one unfinished message that is ready or leased
//   c    hash: group -> "leased:offered", of all other groups: how many are leased, and the number that is ready or 0
//   w:G  zset: what waits in group G, by stamp (delayed ones too)
//   n    hash: number -> {receives, history, since, origin} of what was received or redriven before
//   x    hash: number -> {stamp, at, receives, reasons, history, origin, group} of dead letters; y zset: their order
//   u    zset: unfinished numbers that are redriven, by stamp
//   o:K  string: one byte for each number of chunk K: 0 unfinished, 255 forgotten, else outcome + 8 * receives (31: see s)
//   s:K  hash: number -> {receives, reasons, stamp} where the byte cannot tell all
//   f    zset: chunks by the time of their last outcome
//   i    hash: dedup id -> "until:number:stamp", or "until:0:0:tokens" of pins that are refused; j list: "until:id", oldest first
//   p    hash: dedup id -> "until:part:token:since" (a pin); q list: "until:id"
//   k    hash: lane -> {number, now, answer}: so that a call whose answer was lost can be asked again
#include "redis/queue_scripts.hpp"

#include <string>

#include "redis/queue_lua.hpp"

namespace setget::inline v0::redis::queue_scripts {

namespace {

std::string join(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const auto part : parts) text += part;
  return text;
}

}  // namespace

const Script& install() {
  static const Script script(join({lua::kNames, lua::kWipe, R"lua(
local id = call('HGET', M, 'id')
if id and id ~= ARGV[1] then wipe() end
call('HSETNX', M, 'born', ARGV[2])
call('HSET', M, 'format', 1, 'id', ARGV[1], 'created', ARGV[3], 'kind', ARGV[4], 'vt', ARGV[5], 'delay', ARGV[6], 'ret', ARGV[7],
  'maxr', ARGV[8], 'dw', ARGV[9], 'or', ARGV[10], 'mif', ARGV[11], 'mmb', ARGV[12])
return 'ok'
)lua"}));
  return script;
}

const Script& drop() {
  static const Script script(join({lua::kNames, lua::kWipe, R"lua(
if call('EXISTS', M) == 0 then return 'none' end
wipe()
return 'ok'
)lua"}));
  return script;
}

const Script& send() {
  static const Script script(join({lua::kNames, lua::kGroups, lua::kLanes, lua::kStamps, R"lua(
local now, lane, number, largest, longest, count = tonumber(ARGV[1]), ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]),
  tonumber(ARGV[9])
local o = call('HMGET', M, 'born', 'kind', 'delay', 'dw', 'seq', 'big', 'mmb')
if not o[1] then return 'none' end
local before = answered(lane, number)
if before then return before end
if largest > tonumber(o[7]) then return {'large', o[7]} end
local fifo, delay, dw, seq = o[2] == '1', o[3], tonumber(o[4]), tonumber(o[5] or 0)
local stamp, step = next_stamp(now, tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
local stamps = {}
local out = {'ok', o[1], seq + 1, stamp, stamps}
-- Where a batch goes to several parts, each message says how many of the batch are before it: stamps rise in the order of the batch.
local stride, base = step > 1 and 6 or 4, stamp
stamp = stamp - step

-- Where the groups of this batch stand: simple[group] is the number of its only message, complex[group] is true.
local simple, complex, fresh, waits = {}, {}, {}, {}
if fifo then
  local names, seen = {}, {}
  for a = 11, 10 + stride * count, stride do
    local group = ARGV[a]
    if group ~= '' and not seen[group] then
      seen[group] = true
      names[#names + 1] = group
    end
  end
  if #names > 0 then
    local held = call('HMGET', G, unpack(names))
    local others = call('EXISTS', C) == 1 and call('HMGET', C, unpack(names)) or {}
    for n = 1, #names do
      simple[names[n]] = held[n] or nil
      complex[names[n]] = others[n] and true or nil
    end
  end
end

local bodies, headers, ready, delayed, ids = {}, {}, {}, {}
for n = 1, count do
  local a = 10 + stride * (n - 1)
  local due, group, id = ARGV[a], ARGV[a + 1], ARGV[a + 2]
  local known = false
  if id ~= '' and dw > 0 then
    local entry = call('HGET', I, id)
    if entry then
      local till, other, its, tokens = string.match(entry, '^(%d+):(%d+):(%d+):?(%x*)$')
      local token = stride == 6 and ARGV[a + 5] or ''
      if tonumber(till) > now and (other ~= '0' or (token ~= '' and string.find(tokens, token, 1, true))) then
        known = true
        out[#out + 1], out[#out + 2], out[#out + 3] = n, tonumber(other), tonumber(its)
      end
    end
  end
  if not known then
    seq, stamp = seq + 1, stamp + step
    if stride == 6 then
      stamp = math.max(stamp, base + tonumber(ARGV[a + 4]) * step)
      stamps[#stamps + 1] = stamp
    end
    local name = num(seq)
    bodies[#bodies + 1] = name
    bodies[#bodies + 1] = ARGV[a + 3]
    headers[#headers + 1] = name
    headers[#headers + 1] = struct.pack('>I8I4', stamp, (struct.unpack('>I4', ARGV[a + 3], 2))) .. (fifo and group or '')
    if due == '' then due = delay end
    if id ~= '' and dw > 0 then
      call('HSET', I, id, num(now + dw) .. ':' .. name .. ':' .. num(stamp))
      call('RPUSH', J, num(now + dw) .. ':' .. id)
    end
    if not fifo then group = '' end
    local later = due ~= '0'
    if later then
      delayed[#delayed + 1] = num(now + tonumber(due))
      delayed[#delayed + 1] = name .. ':' .. num(stamp) .. ':' .. group
    end
    if group == '' then
      if not later then ready[#ready + 1] = name end
    elseif simple[group] or complex[group] or later then
      local only = simple[group]
      if only then
        -- The group's first message is ready or leased, and no longer alone.
        if fresh[group] then fresh[group] = nil else call('HDEL', G, group) end
        if call('HEXISTS', L, only) == 1 then set_state(group, 1, '0') else set_state(group, 0, only) end
        simple[group] = nil
      elseif not complex[group] then
        set_state(group, 0, '0')
      end
      complex[group] = true
      local waiting = waits[group]
      if not waiting then
        waiting = {}
        waits[group] = waiting
      end
      waiting[#waiting + 1] = num(stamp)
      waiting[#waiting + 1] = name
    else
      simple[group], fresh[group] = name, name
      ready[#ready + 1] = name
    end
  end
end
if #bodies > 0 then
  all('HSET', B, bodies)
  all('HSET', V, headers)
  all('RPUSH', R, ready)
  all('ZADD', D, delayed)
  local pairs_of = {}
  for group, name in pairs(fresh) do
    pairs_of[#pairs_of + 1] = group
    pairs_of[#pairs_of + 1] = name
  end
  all('HSET', G, pairs_of)
  for group, waiting in pairs(waits) do all('ZADD', H .. 'w:' .. group, waiting) end
  call('SET', KEYS[2], num(stamp))
  call('HSET', M, 'seq', num(seq), 'big', num(math.max(longest, tonumber(o[6] or 0))))
end
remember(lane, number, now, out)
return out
)lua"}));
  return script;
}

const Script& pin() {
  static const Script script(join({lua::kNames, R"lua(
if call('EXISTS', M) == 0 then return 'none' end
local now, till, part, id, token, wrong = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local since = ARGV[1]
local entry = call('HGET', P, id)
if entry then
  local ends, at, its, from = string.match(entry, '^(%d+):(%d+):(%x+):(%d+)$')
  if tonumber(ends) > now and its ~= wrong then
    part, token, since = at, its, from
    if tonumber(ends) > tonumber(till) then till = ends end
  end
end
call('HSET', P, id, till .. ':' .. part .. ':' .. token .. ':' .. since)
call('RPUSH', Q, till .. ':' .. id)
return {tonumber(part), token, tonumber(since)}
)lua"}));
  return script;
}

const Script& refuse() {
  static const Script script(join({lua::kNames, R"lua(
local born = call('HGET', M, 'born')
if not born then return 'none' end
local entry = call('HGET', I, ARGV[3])
local refused = ''
if entry then
  local till, number, stamp, tokens = string.match(entry, '^(%d+):(%d+):(%d+):?(%x*)$')
  if tonumber(till) > tonumber(ARGV[1]) then
    if number ~= '0' then return {'ok', born, tonumber(number), tonumber(stamp)} end
    refused = tokens
  end
end
if ARGV[5] == '1' then
  call('HSET', I, ARGV[3], ARGV[2] .. ':0:0:' .. refused .. ARGV[4])
  call('RPUSH', J, ARGV[2] .. ':' .. ARGV[3])
end
return {'ok', born, 0, 0}
)lua"}));
  return script;
}

const Script& receive() {
  static const Script script(join({lua::kNames, lua::kOutcomes, lua::kGroups, lua::kLeases, R"lua(
local now, token, max, room = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local dry, strict = ARGV[8] == '1', ARGV[9] == '1'
local o = call('HMGET', M, 'born', 'kind', 'vt', 'ret', 'maxr', 'mif', 'big')
if not o[1] then return 'none' end
local fifo, keep, poison, big = o[2] == '1', tonumber(o[4]), tonumber(o[5]), tonumber(o[7] or 0)
local ends = now + tonumber(ARGV[5] ~= '' and ARGV[5] or o[3])
local odd = {}
local out = {'ok', o[1], ends, 0, 0, odd}

if ARGV[7] == '1' then
  -- Has it been carried out already? Then what it leased is given once more.
  local packed = call('HGET', T, token)
  if packed then
    for _, name in ipairs(cmsgpack.unpack(packed)) do
      local lease, rec = call('HGET', L, name), call('HGET', V, name)
      if lease and rec and sub(lease, 1, 16) == token then
        out[#out + 1], out[#out + 2] = name, rec
        local origin = note_of(name)[4]
        local receives = tonumber(sub(lease, 32, 36))
        if receives ~= 1 or origin ~= 0 then odd[#odd + 1], odd[#odd + 2], odd[#odd + 3] = (#out - 6) / 2, receives, origin end
      end
    end
    if #out > 6 then return out end
  end
end

local more = wake(now, 512)
local left = tonumber(ARGV[6] ~= '' and ARGV[6] or o[6]) - call('HLEN', L)
out[5] = left
if max > left then max = left end

local head = token .. fmt('%015.0f', ends)
local fresh = head .. '00001'
local taken, bytes, buried = 0, 0, 0
local account = big * max > room
local leases, members = {}, {}
local followers, leased, depth = {}, {}, {}

local function follow(group)
  local at = depth[group] or 0
  local next = call('ZRANGE', H .. 'w:' .. group, at, at, 'WITHSCORES')
  if next[1] and not call('ZSCORE', D, next[1] .. ':' .. num(next[2]) .. ':' .. group) then
    followers[#followers + 1] = {next[1], tonumber(next[2]), group}
  end
end

-- One message in its turn. Answers false if it must stay.
local function take(name, stamp, rec, group, source)
  local note = source == 'r' and no_note or note_of(name)
  local since = note[3] ~= 0 and note[3] or floor(stamp / 2048)
  local length = struct.unpack('>I4', rec, 9)
  local grouped = group ~= '' and call('HEXISTS', C, group) == 1
  local outlived = since + keep <= now
  if outlived or (poison > 0 and note[1] >= poison) then
    if dry then
      if source == 'r' then call('LREM', R, 1, name) elseif source == 'z' then call('ZREM', Z, name) end
    end
    if source == 'w' then call('ZREM', H .. 'w:' .. group, name) end
    if outlived then
      bury(name, stamp, group, note, reason('retention', 'not finished within ' .. num(keep) .. ' ms'), now)
    else
      bury(name, stamp, group, note, reason('max_receives', 'received ' .. num(note[1]) .. ' times and never finished'), now)
    end
    buried = buried + 1
    if grouped then
      if not dry then
        leased[group] = leased[group] or 0
        follow(group)
      elseif source ~= 'w' then
        offer_next(group)
      end
    elseif group ~= '' then
      call('HDEL', G, group)
    end
    return true
  end
  if account then
    if (taken > 0 or strict) and bytes + length > room then return false end
    bytes = bytes + length
  end
  taken = taken + 1
  if dry then
    out[#out + 1], out[#out + 2] = stamp, length
    if grouped then
      if source == 'w' then depth[group] = (depth[group] or 0) + 1 end
      follow(group)
    end
    return true
  end
  if source == 'w' then call('ZREM', H .. 'w:' .. group, name) end
  leases[#leases + 1] = name
  leases[#leases + 1] = head .. fmt('%05d', math.min(note[1] + 1, 99999)) .. group
  members[taken] = name
  out[#out + 1], out[#out + 2] = name, rec
  if note[1] ~= 0 or note[4] ~= 0 then odd[#odd + 1], odd[#odd + 2], odd[#odd + 3] = taken, note[1] + 1, note[4] end
  if grouped then
    leased[group] = (leased[group] or 0) + 1
    follow(group)
  end
  return true
end

local stop = false
while taken < max and not stop and buried < 1000 do
  local wanted = math.min(max - taken, 1000)
  if account then wanted = math.min(wanted, floor(room / big) + 1) end
  local rs = call('LRANGE', R, 0, wanted - 1)
  local zs = call('ZRANGE', Z, 0, wanted - 1, 'WITHSCORES')
  if #rs == 0 and #zs == 0 and #followers == 0 then break end
  local recs = #rs > 0 and call('HMGET', V, unpack(rs)) or {}
  local simple = #zs == 0 and #followers == 0 and not dry and not account and not (fifo and call('EXISTS', C) == 1)
  if simple then
    local stamp = struct.unpack('>I8', recs[1])
    simple = floor(stamp / 2048) + keep > now  -- they are in order: so is the rest
  end
  if simple then
    -- The usual case: never received before, and nobody to think of but themselves.
    local at, base = #out, taken
    for n = 1, #rs do
      local name, rec = rs[n], recs[n]
      leases[2 * (base + n) - 1] = name
      leases[2 * (base + n)] = #rec > 12 and fresh .. sub(rec, 13) or fresh
      members[base + n] = name
      out[at + 2 * n - 1] = name
      out[at + 2 * n] = rec
    end
    taken = taken + #rs
    call('LTRIM', R, #rs, -1)
    if #rs < wanted then break end
  else
    local names = {}
    for n = 1, #zs, 2 do names[#names + 1] = zs[n] end
    local zrecs = #names > 0 and call('HMGET', V, unpack(names)) or {}
    local ir, iz, before = 1, 1, buried
    while taken < max do
      local rstamp = recs[ir] and struct.unpack('>I8', recs[ir]) or math.huge
      local zstamp = names[iz] and tonumber(zs[2 * iz]) or math.huge
      local best, fstamp = 0, math.huge
      for n = 1, #followers do
        if followers[n][2] < fstamp then best, fstamp = n, followers[n][2] end
      end
      if (ir > #rs and #rs == wanted) or (iz > #names and #names == wanted) then break end
      if rstamp == math.huge and zstamp == math.huge and fstamp == math.huge then
        stop = true
        break
      end
      if fstamp < rstamp and fstamp < zstamp then
        local one = followers[best]
        table.remove(followers, best)
        if not take(one[1], one[2], call('HGET', V, one[1]), one[3], 'w') then stop = true end
      elseif rstamp < zstamp then
        if take(rs[ir], rstamp, recs[ir], sub(recs[ir], 13), 'r') then ir = ir + 1 else stop = true end
      else
        if take(names[iz], zstamp, zrecs[iz], sub(zrecs[iz], 13), 'z') then iz = iz + 1 else stop = true end
      end
      if stop or (dry and buried > before) then break end
    end
    if dry then
      if buried == before then break end
      -- Something left the queue, so that others are next: once more.
      taken, bytes, followers, depth = 0, 0, {}, {}
      for n = #out, 7, -1 do out[n] = nil end
    else
      if ir > 1 then call('LTRIM', R, ir - 1, -1) end
      if iz > 1 then call('ZREM', Z, unpack(names, 1, iz - 1)) end
    end
  end
end
if buried >= 1000 then more = true end
for group, count in pairs(leased) do
  local in_flight = (state(group) or 0) + count
  if in_flight == 0 then offer_next(group) else set_state(group, in_flight, '0') end
end
if #members > 0 then
  all('HSET', L, leases)
  call('HSET', T, token, cmsgpack.pack(members), token .. '#', #members)
  call('ZADD', E, num(ends), token)
end
out[4] = more and 1 or 0
return out
)lua"}));
  return script;
}

const Script& settle() {
  static const Script script(join({lua::kNames, lua::kOutcomes, lua::kGroups, lua::kLeases, lua::kLanes, R"lua(
local now, lane, number = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
if call('EXISTS', M) == 0 then return 'none' end
local before = answered(lane, number)
if before then return before end
if wake(now, 1000) then return 'again' end
local nows = fmt('%015.0f', now)
local out = {}

-- The group of a message that has left its lease for good.
local function freed(group)
  local in_flight = state(group)
  if not in_flight then
    call('HDEL', G, group)
  elseif in_flight <= 1 then
    offer_next(group)
  else
    set_state(group, in_flight - 1, '0')
  end
end

local function acknowledge(token, outcome, reasons, from, count)
  local vals = call('HMGET', L, unpack(ARGV, from, from + count - 1))
  local names, kept, done, seen, groups = {}, {}, 0, {}, {}
  for n = 1, count do
    local lease, name = vals[n], ARGV[from + n - 1]
    if lease and not seen[name] and sub(lease, 1, 16) == token and sub(lease, 17, 31) > nows then
      seen[name] = true
      done = done + 1
      names[done], kept[done] = name, tonumber(sub(lease, 32, 36))
      if #lease > 36 then groups[#groups + 1] = sub(lease, 37) end
      out[#out + 1] = '1'
    else
      out[#out + 1] = '0'
    end
  end
  if done == 0 then return end
  local stamps = nil
  local redriven = call('EXISTS', U) == 1
  if redriven then
    for n = 1, done do
      local stamp = call('ZSCORE', U, names[n])
      if stamp then
        stamps = stamps or {}
        stamps[n] = tonumber(stamp)
      end
    end
    call('ZREM', U, unpack(names))
  end
  call('HDEL', L, unpack(names))
  call('HDEL', B, unpack(names))
  call('HDEL', V, unpack(names))
  if call('EXISTS', N) == 1 then call('HDEL', N, unpack(names)) end
  mark(names, done, outcome, kept, reasons, stamps, now)
  call('HINCRBY', M, 'o' .. outcome, done)
  left(token, done)
  if #groups > 0 then
    if call('EXISTS', C) == 0 then
      call('HDEL', G, unpack(groups))
    else
      for n = 1, #groups do freed(groups[n]) end
    end
  end
end

local at = 4
while ARGV[at] do
  local action, token, what, uncounted, reasons, count = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3] == '1', ARGV[at + 4],
    tonumber(ARGV[at + 5])
  local from = at + 6
  if action == 'a' then
    acknowledge(token, tonumber(what), reasons, from, count)
  else
    for n = from, from + count - 1 do
      local name = ARGV[n]
      local lease = call('HGET', L, name)
      if not (lease and sub(lease, 1, 16) == token and sub(lease, 17, 31) > nows) then
        out[#out + 1] = '0'
      else
        out[#out + 1] = '1'
        if action == 'x' then
          local ends = now + tonumber(what)
          call('HSET', L, name, token .. fmt('%015.0f', ends) .. sub(lease, 32))
          call('ZADD', E, 'LT', num(ends), token)
        elseif action == 'r' then
          give_back(name, lease, now, now + tonumber(what), reasons, uncounted)
        else
          local group = sub(lease, 37)
          local note = note_of(name)
          note = {tonumber(sub(lease, 32, 36)), note[2], note[3], note[4]}
          call('HDEL', L, name)
          left(token, 1)
          bury(name, stamp_of(name), group, note, reasons, now)
          if group ~= '' then freed(group) end
        end
      end
    end
  end
  at = from + count
end
local answer = {'ok', table.concat(out)}
remember(lane, number, now, answer)
return answer
)lua"}));
  return script;
}

}  // namespace setget::inline v0::redis::queue_scripts
