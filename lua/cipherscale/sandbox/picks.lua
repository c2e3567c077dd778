-- SPDX-License-Identifier: MIT
--
-- Which of the requests that a misbehaviour is asked about are hit: all, or what these fields say.
-- `after` passes over the first ones; `every` takes each n-th of the rest, `share` each with this
-- probability; `times` ends it after so many hits. Chance is reproducible: the same rules with the
-- same seed hit the same requests, in the order in which they arrive.

local names = require "cipherscale.sandbox.names"

local M = {}

M.FIELDS = { every = true, times = true, after = true, share = true }

-- The minimal standard generator of Park and Miller, which doubles hold exactly. The place of the
-- rule goes into its start, so that equal shares do not hit the same requests.
local MODULUS, FACTOR = 2147483647, 48271

local function chance(seed, place)
  local state = seed % (MODULUS - 1) + 1
  for i = 1, #place do
    state = (state * FACTOR + place:byte(i)) % MODULUS
    if state == 0 then state = 1 end
  end
  return function()
    state = state * FACTOR % MODULUS
    return state / MODULUS
  end
end

local function check(given, what)
  for _, name in ipairs { "every", "times", "after" } do
    if given[name] ~= nil then
      names.number(given[name], name == "after" and 0 or 1, what .. "." .. name, true)
    end
  end
  if given.share == nil then return end
  names.number(given.share, 0, what .. ".share")
  if given.share > 1 then names.bad("%s.share: a number from 0 to 1 expected", what) end
  if given.every ~= nil then names.bad("%s: share excludes every", what) end
end

--- A function() for a rule's part, to be called for each request: is it hit?
function M.compile(given, what, seed)
  check(given, what)
  local every, times, after = given.every or 1, given.times or math.huge, given.after or 0
  local share, draw = given.share, chance(seed, what)
  local seen, hits = -after, 0
  return function()
    seen = seen + 1
    if seen < 1 or seen % every ~= 0 or hits >= times then return false end
    if share and draw() >= share then return false end
    hits = hits + 1
    return true
  end
end

return M
