-- SPDX-License-Identifier: MIT
-- A client's pace against a service that limits, on a clock of its own: hours pass in milliseconds.
-- The limits are the sandbox's (lua/cipherscale/sandbox/misbehaviour.lua), the pace is csrc/pace.c
-- through the probe; the client is modelled: so many calls, so many in flight, a constant round
-- trip, and wake-ups that are up to a millisecond late.

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
--- in_flight (32), round_trip (0.02 s), method ("PATCH"), rate (a fixed bound), said (a function
--- from the seconds of the server's Retry-After to those that it says, or nil), longest (900 s).
---@return table { seconds =, sent =, refused =, share =, rate = }
function M.run(setting)
  local calls, in_flight = setting.calls, setting.in_flight or 32
  local method, round_trip = setting.method or "PATCH", setting.round_trip or 0.02
  local class = method == "GET" and "reads" or "writes"
  local rules = rules_of(setting.limit)
  local pace, random = probe.pace(setting.rate or 0), M.random(42)
  local now, queued, sent, refused, done = 0, calls, 0, 0, 0
  local flights, first, last = {}, 1, 0

  local function room() return queued > 0 and last - first + 1 < in_flight end

  local function start()
    pace:start(now, class)
    queued, sent, last = queued - 1, sent + 1, last + 1
    local outcome = rules(now):decide(method, "/", now + round_trip / 2)
    flights[last] = { started = now, ends = now + round_trip, answer = outcome.answer }
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
    local wake = first <= last and flights[first].ends or math.huge
    if room() then wake = math.min(wake, now + pace:delay(now, class) + random() * 0.001) end
    now = wake
    while first <= last and flights[first].ends <= now do
      local flight = flights[first]
      flights[first], first = nil, first + 1
      settle(flight)
    end
  end
  return { seconds = now, sent = sent, refused = refused, share = refused / sent,
           rate = pace:rate(now, class) }
end

return M
