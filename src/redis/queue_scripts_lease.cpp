// The scripts that lease messages and settle them. queue_scripts.cpp tells what is stored where.
#include "redis/queue_lua.hpp"
#include "redis/queue_scripts.hpp"

namespace setget::inline v0::redis::queue_scripts {

const Script& receive() {
  static const Script script(join({lua::kNames, lua::kQueue, lua::kFrames, lua::kOutcomes, lua::kGroups, lua::kLeases, R"lua(
local now, token, max, room = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local dry, strict = ARGV[8] == '1', ARGV[9] == '1'
local o = call('HMGET', M, 'born', 'kind', 'vt', 'ret', 'maxr', 'mif', 'big')
local fifo, keep, poison, big = o[2] == '1', tonumber(o[4]), tonumber(o[5]), tonumber(o[7] or 0)
local ends = now + tonumber(ARGV[5] ~= '' and ARGV[5] or o[3])
local odd = {}
local out = {'ok', o[1], ends, 0, 0, odd}

if ARGV[7] == '1' then
  -- Has it been carried out already? Then what it leased is given once more.
  local members = members_of(token)
  if members then
    for _, name in ipairs(members) do
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
elseif not dry and call('HEXISTS', T, token) == 1 then
  -- It came so late that it was asked again meanwhile: what that leased is all that will be settled under this token.
  return out
end

local more = wake(now, 512)
local left = tonumber(ARGV[6] ~= '' and ARGV[6] or o[6]) - call('HLEN', L) - tonumber(call('HGET', M, 'fl') or 0)
out[5] = left
if dry then out[3] = tonumber(o[6]) end
local asked = max
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

-- The usual case without groups: never received before, so that not even their headers are needed here. Gives what it took, and whether
-- there may be more to take.
local extra = 0
local function take_plainly(rs, wanted)
  out[1] = 'bare'
  local n, misfit, full = 0, nil, false
  while n < #rs and taken < max do
    local name = rs[n + 1]
    local frame = frame_of(name)
    local count, size = frame and frame.count or 1, 0
    if account then
      size = frame and frame.bytes or struct.unpack('>I4', call('HGET', V, name), 9)
      local first = taken == 0 and not strict and not frame
      if not first and bytes + size > room then
        misfit = name
        break
      end
    end
    if taken + count > max then
      -- A large receive may as well be a little smaller; a small one gets exactly what is there.
      if asked > 32 and taken >= asked - floor(asked / 8) then full = true else misfit = name end
      break
    end
    n = n + 1
    leases[#leases + 1], leases[#leases + 2] = name, fresh
    members[#members + 1] = name
    out[#out + 1] = name
    taken, bytes, extra = taken + count, bytes + size, extra + count - 1
  end
  if n > 0 then call('LTRIM', R, n, -1) end
  if not misfit then return not full and taken < max and #rs == wanted end
  local frame = frame_of(misfit)
  if frame then loosen(frame) end
  return frame ~= nil
end

local stop = false
while taken < max and not stop and buried < 1000 do
  local wanted = math.min(max - taken, 1000)
  if account and not dry then wanted = math.min(wanted, floor(room / big) + 1) end
  local zs = call('ZRANGE', Z, 0, wanted - 1, 'WITHSCORES')
  local plain, rs = not fifo and #zs == 0 and not dry and (taken == 0 or out[1] == 'bare'), nil
  if plain then
    local head = call('LINDEX', R, 0)
    local frame = head and frame_of(head)
    plain = head and floor((frame and frame.stamp or stamp_of(head)) / 2048) + keep > now  -- they are in order: so is the rest
    if frame then wanted = math.min(wanted, 32) end
  end
  rs = call('LRANGE', R, 0, wanted - 1)
  if #rs == 0 and #zs == 0 and #followers == 0 then break end
  if plain then
    stop = not take_plainly(rs, wanted)
  else
    if not fifo then
      local messages, loosened = 0, false
      for n = 1, #rs do
        local frame = frame_of(rs[n])
        if frame then loosen(frame) end
        loosened, messages = loosened or frame ~= nil, messages + (frame and frame.count or 1)
        if messages >= wanted then break end
      end
      if loosened then rs = call('LRANGE', R, 0, wanted - 1) end
    end
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
        local one, two = at + 2 * n - 1, 2 * (base + n)
        leases[two - 1] = name
        leases[two] = #rec > 12 and fresh .. sub(rec, 13) or fresh
        members[base + n] = name
        out[one], out[one + 1] = name, rec
      end
      taken = taken + #rs
      call('LTRIM', R, #rs, -1)
      if #rs < wanted then break end
    else
      local names = {}
      for n = 1, #zs, 2 do names[#names + 1] = zs[n] end
      local zrecs = #names > 0 and call('HMGET', V, unpack(names)) or {}
      local ir, iz, before = 1, 1, buried
      while taken < max and buried < 1000 do
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
end
if buried >= 1000 then more = true end
for group, count in pairs(leased) do
  local in_flight = (state(group) or 0) + count
  if in_flight == 0 then offer_next(group) else set_state(group, in_flight, '0') end
end
if #members > 0 then
  all('HSET', L, leases)
  call('HSET', T, token, cmsgpack.pack(members), token .. '#', #members + extra)
  if extra > 0 then call('HINCRBY', M, 'fl', extra) end
  call('ZADD', E, num(ends), token)
end
out[4] = more and 1 or 0
return out
)lua"}));
  return script;
}

const Script& settle() {
  static const Script script(join({lua::kNames, lua::kQueue, lua::kFrames, lua::kOutcomes, lua::kGroups, lua::kLeases, lua::kLanes, R"lua(
local now, lane, number = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local kind = call('HGET', M, 'kind')
local before = answered(lane, number)
if before then return before end
if wake(now, 1000) then return 'again' end
may_write()
local nows = fmt('%015.0f', now)
local out = {}

-- Messages are named by their numbers; "7+3" is four of them in a row.
local function run_of(text)
  local one = tonumber(text)
  if one then return one, one end
  local first, more = string.match(text, '^(%d+)%+(%d+)$')
  return tonumber(first), first + more
end

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

-- The usual case: all that one receive leased, nothing of it lost, never received before nor redriven, no groups. Then what the receive
-- keeps of itself says all, and no lease must be looked at. (Leases that are over have left it: wake() was here.)
local function all_of_a_plain_receive(token, packed, names)
  if kind == '1' or tonumber(call('HGET', T, token .. '#') or 0) ~= #names then return false end
  return packed == cmsgpack.pack(names) and call('EXISTS', N, U) == 0
end

-- The frames among what a receive leased, with their leases.
local function frames_in(packed)
  local frames, entries = {}, {}
  if not string.find(packed, ':', 1, true) then return frames end
  for _, entry in ipairs(cmsgpack.unpack(packed)) do
    local frame = frame_of(entry)
    if frame then frames[#frames + 1], entries[#entries + 1] = frame, entry end
  end
  if #entries == 0 then return frames end  -- a length in MessagePack may look like a colon
  local leases = call('HMGET', L, unpack(entries))
  for k, frame in ipairs(frames) do frame.lease = leases[k] end
  return frames
end

-- Acknowledges whole frames and answers what is left to look at: numbers, and where their answers go.
local function acknowledge_frames(token, outcome, reasons, from, count, frames)
  local names, places, place, at = {}, {}, #out, 1
  local entries, firsts, whole, row, length = {}, {}, 0, 0, 0
  for a = from, from + count - 1 do
    local n, last = run_of(ARGV[a])
    while n <= last do
      -- They mostly come in the order in which they were leased.
      local frame
      for k = 0, #frames - 1 do
        local one = frames[(at + k - 1) % #frames + 1]
        if one.first <= n and n < one.first + one.count then
          frame, at = one, (at + k - 1) % #frames + 1
          break
        end
      end
      -- A frame that has a lease has this one: when it ends, or is given to somebody else, there is no frame any more.
      local held = frame and frame.lease and not frame.done
      if held and n == frame.first and n + frame.count - 1 <= last then
        frame.done = true
        entries[#entries + 1], firsts[#firsts + 1] = frame.entry, frame.name
        if row + length ~= n then
          if length > 0 then mark_row(row, length, outcome, reasons, now) end
          row, length = n, 0
        end
        length, whole = length + frame.count, whole + frame.count
        for k = place + 1, place + frame.count do out[k] = '1' end
        place, n = place + frame.count, n + frame.count
      else
        if held then
          loosen(frame)
          frame.done = true
        end
        place = place + 1
        out[place] = '0'
        names[#names + 1], places[#places + 1] = num(n), place
        n = n + 1
      end
    end
  end
  if whole == 0 then return names, places end
  mark_row(row, length, outcome, reasons, now)
  call('HDEL', L, unpack(entries))
  call('HDEL', A, unpack(firsts))
  call('ZREM', W, unpack(entries))
  call('HINCRBY', M, 'fl', #entries - whole)
  call('HINCRBY', M, 'o' .. outcome, whole)
  left(token, whole)
  return names, places
end

local function acknowledge(token, outcome, reasons, from, count)
  local packed = call('HGET', T, token) or ''
  local names, places = acknowledge_frames(token, outcome, reasons, from, count, frames_in(packed))
  count = #names
  if count == 0 then return end
  local numbers, kept = {}, {}
  if all_of_a_plain_receive(token, packed, names) then
    call('HDEL', L, unpack(names))
    call('HDEL', B, unpack(names))
    call('HDEL', V, unpack(names))
    for n = 1, count do
      numbers[n], kept[n], out[places[n]] = tonumber(names[n]), 1, '1'
    end
    mark(names, count, outcome, kept, reasons, nil, now, numbers)
    call('HINCRBY', M, 'o' .. outcome, count)
    left(token, count)
    return
  end
  local vals = call('HMGET', L, unpack(names))
  local given = names
  names = {}
  local done, groups = 0, {}
  -- Messages of one receive have leases with one head, which is looked into once. Those named twice are only looked for out of order.
  local good, times, last, seen = nil, 0, 0, nil
  for n = 1, count do
    local lease, name = vals[n], given[n]
    local head = lease and #lease > 36 and sub(lease, 1, 36) or lease
    if head and head ~= good and sub(head, 1, 16) == token and sub(head, 17, 31) > nows then
      good, times = head, tonumber(sub(head, 32, 36))
    end
    local held = head and head == good
    local number = held and tonumber(name)
    if held and number <= last and not seen then
      seen = {}
      for k = 1, done do seen[names[k]] = true end
    end
    if held and not (seen and seen[name]) then
      if seen then seen[name] = true end
      if number > last then last = number end
      done = done + 1
      names[done], numbers[done], kept[done] = name, number, times
      if #lease > 36 then groups[#groups + 1] = sub(lease, 37) end
      out[places[n]] = '1'
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
  mark(names, done, outcome, kept, reasons, stamps, now, numbers)
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

local function names_in(from, count)
  local names = {}
  for a = from, from + count - 1 do
    local first, last = run_of(ARGV[a])
    for n = first, last do names[#names + 1] = num(n) end
  end
  return names
end

local at = 4
while ARGV[at] do
  local action, token, what, uncounted, reasons, count = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3] == '1', ARGV[at + 4],
    tonumber(ARGV[at + 5])
  local from = at + 6
  if action == 'a' then
    acknowledge(token, tonumber(what), reasons, from, count)
  else
    for _, name in ipairs(names_in(from, count)) do
      local lease = lease_of(name, token)
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
