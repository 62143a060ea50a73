-- For wrk: GET of random records. Arguments: what stands before and behind the key in the path, and how many records there are. Requests are
-- made ahead, and nothing runs when an answer comes: the client shares the machine with the servers.
local requests = {}
local at = 0

function init(arguments)
  math.randomseed(42)
  for i = 1, 20000 do
    local key = string.format("order-%012d", math.random(0, tonumber(arguments[3]) - 1))
    requests[i] = wrk.format("GET", arguments[1] .. key .. arguments[2])
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary)
  local errors = summary.errors
  if errors.connect + errors.read + errors.write + errors.timeout + errors.status == 0 then
    print("answers per second: " .. summary.requests / (summary.duration / 1e6))
  end
end
