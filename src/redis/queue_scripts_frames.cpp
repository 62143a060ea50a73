// Frames: messages that were sent together and of which nothing but this has to be known. One entry stands for all of them, wherever
// otherwise a number would be: in the list of what is ready, among the leases, in what a receive keeps of itself; one block holds their
// records. A receive leases frames whole, an acknowledgement of a whole frame ends it, and both cost about what they cost for one message.
// Whatever concerns some of a frame and not the others loosens it first, so that all other scripts only know messages that are stored one
// by one. Only standard queues have frames.
#include "redis/queue_lua.hpp"

namespace setget::inline v0::redis::queue_scripts::lua {

constinit const std::string_view kFrames = R"lua(
-- What an entry says, nil for a plain number.
local function frame_of(entry)
  if not string.find(entry, ':', 1, true) then return nil end
  local first, count, stamp, step, bytes = string.match(entry, '^(%d+):(%d+):(%d+):(%d+):(%d+)$')
  return {entry = entry, name = first, first = tonumber(first), count = tonumber(count), stamp = tonumber(stamp), step = tonumber(step),
    bytes = tonumber(bytes)}
end
-- The frame that holds this number.
local function framed(number)
  local entry = call('ZREVRANGEBYSCORE', W, num(number), '-inf', 'LIMIT', 0, 1)[1]
  local frame = entry and frame_of(entry)
  return frame and number < frame.first + frame.count and frame or nil
end
-- Calls step(k, record) for the `count` records of a block, k from 0. Where the block is damaged, or somebody has taken it away, those that
-- cannot be told are empty, which no record is.
local function each_record(block, count, step)
  local at = 8 + 4 * count
  local good = block and #block >= at - 1 and sub(block, 1, 1) == 'F' and struct.unpack('>I2', block, 2) == count
  for k = 0, count - 1 do
    local length = good and struct.unpack('>I4', block, 8 + 4 * k) or 0
    step(k, good and at + length - 1 <= #block and sub(block, at, at + length - 1) or '')
    at = at + length
  end
end
local function header_of(stamp, record)
  return struct.pack('>I8I4', stamp, #record > 4 and math.min(struct.unpack('>I4', record, 2), #record) or 0)
end
-- Stores the messages of a frame one by one, ready or leased as they were.
local function loosen(frame)
  may_write()
  local bodies, headers, names = {}, {}, {}
  each_record(call('HGET', A, frame.name), frame.count, function(k, record)
    names[k + 1] = num(frame.first + k)
    bodies[2 * k + 1], bodies[2 * k + 2] = names[k + 1], record
    headers[2 * k + 1], headers[2 * k + 2] = names[k + 1], header_of(frame.stamp + k * frame.step, record)
  end)
  call('HSET', B, unpack(bodies))
  call('HSET', V, unpack(headers))
  call('HDEL', A, frame.name)
  call('ZREM', W, frame.entry)
  local lease = call('HGET', L, frame.entry)
  if not lease then
    for k = 1, frame.count do call('LINSERT', R, 'BEFORE', frame.entry, names[k]) end
    call('LREM', R, 1, frame.entry)
    return
  end
  local leases, members, token = {}, {}, sub(lease, 1, 16)
  for k = 1, frame.count do leases[2 * k - 1], leases[2 * k] = names[k], lease end
  call('HDEL', L, frame.entry)
  call('HSET', L, unpack(leases))
  call('HINCRBY', M, 'fl', 1 - frame.count)
  for _, one in ipairs(cmsgpack.unpack(call('HGET', T, token))) do
    if one == frame.entry then
      for k = 1, frame.count do members[#members + 1] = names[k] end
    else
      members[#members + 1] = one
    end
  end
  call('HSET', T, token, cmsgpack.pack(members))
end
-- The numbers that one receive leased, after its frames were loosened; nil where nothing is known of it.
local function members_of(token)
  local packed = call('HGET', T, token)
  if not packed then return nil end
  local members, loosened = cmsgpack.unpack(packed), false
  if not string.find(packed, ':', 1, true) then return members end
  for _, entry in ipairs(members) do
    local frame = frame_of(entry)
    if frame and call('HEXISTS', L, entry) == 1 then
      loosen(frame)
      loosened = true
    end
  end
  return loosened and cmsgpack.unpack(call('HGET', T, token)) or members
end
-- The lease of a message; if it is in a frame that this receive holds, after that was loosened.
local function lease_of(name, token)
  local lease = call('HGET', L, name)
  if lease then return lease end
  local frame = framed(tonumber(name))
  lease = frame and call('HGET', L, frame.entry)
  if not lease or sub(lease, 1, 16) ~= token then return nil end
  loosen(frame)
  return lease
end
)lua";

}  // namespace setget::inline v0::redis::queue_scripts::lua
