-- SPDX-License-Identifier: MIT
-- A client's pace against a service that limits, on a clock of its own: hours pass in milliseconds.
-- The limits are the sandbox's (lua/cipherscale/sandbox/misbehaviour.lua), the pace is csrc/pace.c
-- through the probe; the client is modelled: so many calls, so many in flight, round trips that
-- are all the same or of which some overtake others, wake-ups that are up to a millisecond late.

local misbehaviour = require "cipherscale.sandbox.misbehaviour"
local probe = require "spec.support.probe"

local M = {}

-- What the client understands of the answer's Retry-After.
local function understood(answer, said)
  local value = answer.headers and tonumber(answer.headers[2])
  if said then return said(value) end
  return value
end

--- A function that gives the same numbers from 0 to 1 each time.
function M.random(seed)
  local state = seed
  return function()
    state = (state * 1103515245 + 12345) % 2 ^ 31
    return state / 2 ^ 31
  end
end

-- The rules of one limit, or of a list of { since =, limit = } that follow each other.
local function rules_of(limit)
  if not limit[1] then limit = { { since = 0, limit = limit } } end
  local list = {}
  for i, part in ipairs(limit) do
    list[i] = { since = part.since, rules = misbehaviour.compile { { limit = part.limit } } }
  end
  return function(now)
    while list[2] and list[2].since <= now do table.remove(list, 1) end
    return list[1].rules
  end
end

--- Runs `calls` calls under `limit` (a table as for sandbox.start, or a list as above). Also:
--- in_flight (32), round_trip (0.02 s), seed (42), uneven (0; 0.6: give or take 30 %, so that some
--- overtake others), method ("PATCH"), rate (a fixed bound), longest (900 s), said (a function from
--- the seconds of the server's Retry-After to those that it says, or nil).
---@return table { seconds =, sent =, refused =, share =, rate = }
function M.run(setting)
  local calls, in_flight = setting.calls, setting.in_flight or 32
  local method, round_trip = setting.method or "PATCH", setting.round_trip or 0.02
  local class = method == "GET" and "reads" or "writes"
  local rules = rules_of(setting.limit)
  local pace, random = probe.pace(setting.rate or 0), M.random(setting.seed or 42)
  local now, queued, sent, refused, done = 0, calls, 0, 0, 0
  local arrived = 0
  local flights = {} -- the next to end is the last

  local function room()
    return queued > 0 and #flights < math.min(in_flight, (pace:room(now, class)))
  end

  local uneven = setting.uneven or 0
  local function one_way() return round_trip * (0.5 + uneven * (random() - 0.5)) end

  local function start()
    pace:start(now, class)
    queued, sent = queued - 1, sent + 1
    local arrives = now + one_way()
    -- The service has one clock, whatever the order in which requests come.
    arrived = math.max(arrived, arrives)
    local outcome = rules(now):decide(method, "/", arrived)
    local flight = { started = now, ends = arrives + one_way(), answer = outcome.answer }
    local at = #flights + 1
    while at > 1 and flights[at - 1].ends < flight.ends do at = at - 1 end
    table.insert(flights, at, flight)
  end

  local function settle(flight)
    if not flight.answer then
      done = done + 1
      return pace:delivered(flight.started, now, class)
    end
    refused, queued = refused + 1, queued + 1
    pace:refused(flight.started, now, understood(flight.answer, setting.said), class,
      setting.longest or 900, random())
  end

  while done < calls do
    while room() and pace:delay(now, class) <= 0 do start() end
    local wake = flights[1] and flights[#flights].ends or math.huge
    if queued > 0 and #flights < in_flight then
      local delay = pace:delay(now, class)
      if not room() then delay = math.max(delay, (select(2, pace:room(now, class)))) end
      wake = math.min(wake, now + delay + random() * 0.001)
    end
    now = wake
    while flights[1] and flights[#flights].ends <= now do settle(table.remove(flights)) end
  end
  return { seconds = now, sent = sent, refused = refused, share = refused / sent,
           rate = pace:rate(now, class) }
end

return M
