-- SPDX-License-Identifier: MIT
-- csrc/pace.c against the styles of limits that services have, simulated by spec/support/limited:
-- few requests are refused, and little more time is taken than by a client that knows the limit.

local limited = require "spec.support.limited"

local ROUND_TRIPS = { 0.0005, 0.02, 0.1 }

-- What a Retry-After may say instead of the truth; the argument is that in seconds.
local SAID = {
  whole = false,
  date = function(seconds) return math.ceil(seconds) + 1 end,
  missing = function() return nil end,
  zero = function() return 0 end,
  ["too short"] = function() return 1 end,
}

-- `within`: 1.25 times the ideal time unless given. `rate`: what a client would start that
-- knows the limit, and is never refused.
local STYLES = {
  { "200 a second, in windows", { per_second = 200 }, calls = 2000, rate = 195,
    said = { "whole", "date", "missing", "zero" } },
  { "200 a second, in windows, for long", { per_second = 200 }, calls = 40000, rate = 195,
    said = { "whole", "date", "missing" } },
  { "200 a second, in windows, to the millisecond", { per_second = 200, retry_after = "decimal" },
    calls = 2000, rate = 195 },
  -- A date says up to two seconds more than the window is closed, at each of a dozen refusals.
  { "5 a second, in windows", { per_second = 5 }, calls = 2000, rate = 5, within = 1.26,
    said = { "whole", "date", "missing" } },
  { "20 changes a minute, in windows", { per_minute = 20, split = true }, calls = 2000,
    rate = 20 / 60, said = { "whole", "date", "missing", "too short" } },
  { "60 reads a minute, in windows", { per_minute = 60, split = true }, calls = 2000, rate = 1,
    method = "GET", said = { "whole", "date", "missing" } },
  { "1,000 a minute, in windows", { per_minute = 1000 }, calls = 10000, rate = 1000 / 60,
    said = { "whole", "missing" } },
  { "a bucket of 20 and one more in 15 s", { style = "bucket", burst = 20, requests = 1,
    seconds = 15 }, calls = 2000, rate = 1 / 15,
    said = { "whole", "date", "missing", "too short" } },
  { "a bucket of 1 and one more in 3 s", { style = "bucket", burst = 1, requests = 1,
    seconds = 3 }, calls = 2000, rate = 1 / 3, said = { "whole", "missing" } },
  { "a bucket of 200 and 200 a second", { style = "bucket", per_second = 200 }, calls = 2000,
    rate = 195, said = { "whole", "missing" } },
  -- What a burst delivers tells little of this one: the rate has to be found.
  { "a bucket of 10 and 200 a second", { style = "bucket", burst = 10, per_second = 200 },
    calls = 10000, rate = 195, said = { "whole", "missing" } },
}

for _, style in ipairs(STYLES) do
  describe(style[1], function()
    for _, name in ipairs(style.said or { "whole" }) do
      it(("with a Retry-After that is %s refuses few, and takes little more time"):format(name),
      function()
        for _, round_trip in ipairs(ROUND_TRIPS) do
          local result = limited.run {
            limit = style[2], calls = style.calls, method = style.method,
            round_trip = round_trip, said = SAID[name] or nil,
          }
          local ideal = math.max(style.calls / style.rate, style.calls * round_trip / 32)
          local text = ("round trip of %g s: %d of %d refused (%.1f %%), %.1f s, of the ideal %.3f")
            :format(round_trip, result.refused, result.sent, 100 * result.share, result.seconds,
              result.seconds / ideal)
          assert.is_true(result.share < 0.05, text)
          assert.is_true(result.seconds <= (style.within or 1.25) * ideal, text)
        end
      end)
    end
  end)
end

-- Answers that overtake each other: a refusal comes before what was delivered earlier.
describe("round trips of which some overtake others", function()
  for _, style in ipairs {
    { "200 a second, in windows", { per_second = 200 }, 195 },
    { "20 in 3 s, in windows", { requests = 20, seconds = 3 }, 6.5, calls = 200 },
    { "a bucket of 10 and 200 a second", { style = "bucket", burst = 10, per_second = 200 }, 195,
      calls = 4000 },
    { "20 changes a minute, in windows", { per_minute = 20 }, 20 / 60 },
  } do
    it("make no difference to " .. style[1], function()
      local calls = style.calls or 2000
      for seed = 1, 5 do
        local result = limited.run {
          limit = style[2], calls = calls, round_trip = 0.01, uneven = 0.6, seed = 7 * seed,
        }
        local ratio = result.seconds / (calls / style[3])
        local text = ("%d of %d refused, of the ideal %.3f")
          :format(result.refused, result.sent, ratio)
        assert.is_true(result.share < 0.05, text)
        assert.is_true(ratio <= 1.25, text)
      end
    end)
  end
end)

describe("a limit that moves", function()
  it("is followed down, and up again", function()
    local result = limited.run {
      limit = {
        { since = 0, limit = { per_second = 200 } }, { since = 60, limit = { per_second = 20 } },
        { since = 300, limit = { per_second = 200 } },
      },
      calls = 60 * 190 + 240 * 19 + 20000,
    }
    assert.is_true(result.share < 0.01, result.refused .. " refused")
    assert.is_true(result.rate > 150, result.rate .. " a second at the end")
    assert.is_true(result.seconds < 300 + 600, result.seconds .. " s")
  end)
end)

describe("a service that asks for more than it needs", function()
  it("is given it: the client does not know better", function()
    local result = limited.run {
      limit = { per_second = 200 }, calls = 1000, said = function() return 30 end,
    }
    assert.is_true(result.share < 0.05)
    assert.is_true(result.seconds >= 30)
  end)
end)

describe("one call after another", function()
  it("is slowed no more than the limit asks", function()
    local result = limited.run {
      limit = { per_minute = 20 }, calls = 200, round_trip = 0.5, in_flight = 1,
    }
    assert.is_true(result.share < 0.05, result.refused .. " refused")
    assert.is_true(result.seconds < 1.25 * 600, result.seconds .. " s")
  end)
end)
