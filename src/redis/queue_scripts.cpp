// What a part of a queue consists of. Messages are called by their number in the part (1, 2, 3 …), which is as dense as an array. H is
// KEYS[1], and never a key itself:
//
//   m    hash: options, `id` of the queue, `tag` (id and options in one), `born` (of this part's content), `seq` last number, `low` below
//        which all is finished or in u, `big` longest record, `o1` … `o6` how many ended so, `fl` by how much more messages are leased than
//        `l` has entries
//   h    hash: number -> header: stamp (8 bytes), length of the body (4), group (of FIFO queues): unfinished messages and dead letters
//   b    hash: number -> record (queue_codec.hpp). Redis' Lua hashes every byte of every string that it meets, about a nanosecond each: so
//        scripts do without records where they can, and a receive fetches them afterwards
//   a    hash: first number -> block (queue_codec.hpp): the records of a frame, which are then neither in `h` nor in `b`
//   v    zset: entries of frames, "first:count:stamp:step:bytes", by first number
//   r    list: numbers and entries of what is ready and was never received, by rising stamp
//   z    zset: numbers that are ready again, by stamp
//   d    zset: "number:stamp:group" of what is delayed, by when that ends
//   l    hash: number or entry -> lease: token (16 bytes), until (15 digits), receives (5 digits), group
//   t    hash: token -> the numbers and entries that one receive leased (MessagePack); "token#" -> how many of them are still leased
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

#include "redis/queue_lua.hpp"

namespace setget::inline v0::redis::queue_scripts {

const Script& install() {
  static const Script script(join({lua::kNames, lua::kWipe, R"lua(
local id = call('HGET', M, 'id')
if id and id ~= ARGV[1] then
  if id ~= ARGV[2] then return {'other', id} end
  wipe()
end
call('HSETNX', M, 'born', ARGV[3])
call('HSET', M, 'format', 1, 'id', ARGV[1], 'tag', ARGV[4], 'created', ARGV[5], 'kind', ARGV[6], 'vt', ARGV[7], 'delay', ARGV[8],
  'ret', ARGV[9], 'maxr', ARGV[10], 'dw', ARGV[11], 'or', ARGV[12], 'mif', ARGV[13], 'mmb', ARGV[14])
return 'ok'
)lua"}));
  return script;
}

const Script& drop() {
  static const Script script(join({lua::kNames, lua::kWipe, R"lua(
local id = call('HGET', M, 'id')
if not id then return 'none' end
-- One that was made anew meanwhile stays.
if id == ARGV[1] then wipe() end
return 'ok'
)lua"}));
  return script;
}

const Script& send() {
  static const Script script(join({lua::kNames, lua::kQueue, lua::kFrames, lua::kGroups, lua::kLanes, lua::kStamps, R"lua(
local now, lane, number, largest, longest, count = tonumber(ARGV[1]), ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]),
  tonumber(ARGV[9])
local o = call('HMGET', M, 'born', 'kind', 'delay', 'dw', 'seq', 'big', 'mmb')
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

local bodies, headers, ready, delayed, blocks, places = {}, {}, {}, {}, {}, {}
local sent = seq

-- The next stamp; `place`: how many of the batch are before it.
local function give_stamp(place)
  stamp = stamp + step
  if stride == 6 then
    stamp = math.max(stamp, base + place * step)
    stamps[#stamps + 1] = stamp
  end
end

local function add(record, due, group, id, place)
  seq = seq + 1
  give_stamp(place)
  local name = num(seq)
  bodies[#bodies + 1] = name
  bodies[#bodies + 1] = record
  headers[#headers + 1] = name
  headers[#headers + 1] = header_of(stamp, record) .. (fifo and group or '')
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

-- Messages in a row of the batch that the sender has put into one block: they stay together where they are ready at once.
local function add_block(block, place)
  if fifo or delay ~= '0' then
    each_record(block, struct.unpack('>I2', block, 2), function(k, record) add(record, '', '', '', place + k) end)
    return
  end
  local length, size = struct.unpack('>I2I4', block, 2)
  local name = num(seq + 1)
  give_stamp(place)
  local entry = name .. ':' .. length .. ':' .. num(stamp) .. ':' .. step .. ':' .. size
  for k = 1, length - 1 do give_stamp(place + k) end
  seq = seq + length
  blocks[#blocks + 1], blocks[#blocks + 2] = name, block
  places[#places + 1], places[#places + 2] = name, entry
  ready[#ready + 1] = entry
end

local nth = 0
for n = 1, count do
  local a = 10 + stride * (n - 1)
  local due, group, id, record = ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3]
  local place = stride == 6 and tonumber(ARGV[a + 4]) or 0
  if sub(record, 1, 1) == 'F' then
    add_block(record, place)
    nth = nth + struct.unpack('>I2', record, 2)
  else
    nth = nth + 1
    local known = false
    if id ~= '' and dw > 0 then
      local entry = call('HGET', I, id)
      if entry then
        local till, other, its, tokens = string.match(entry, '^(%d+):(%d+):(%d+):?(%x*)$')
        local token = stride == 6 and ARGV[a + 5] or ''
        if tonumber(till) > now and (other ~= '0' or (token ~= '' and string.find(tokens, token, 1, true))) then
          known = true
          out[#out + 1], out[#out + 2], out[#out + 3] = nth, tonumber(other), tonumber(its)
        end
      end
    end
    if not known then add(record, due, group, id, place) end
  end
end
if seq > sent then
  all('HSET', A, blocks)
  all('ZADD', W, places)
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
  call('SET', KEYS[3], num(stamp))
  call('HSET', M, 'seq', num(seq), 'big', num(math.max(longest, tonumber(o[6] or 0))))
end
remember(lane, number, now, out)
return out
)lua"}));
  return script;
}

const Script& pin() {
  static const Script script(join({lua::kNames, lua::kQueue, R"lua(
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
  static const Script script(join({lua::kNames, lua::kQueue, R"lua(
local born = call('HGET', M, 'born')
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

}  // namespace setget::inline v0::redis::queue_scripts
