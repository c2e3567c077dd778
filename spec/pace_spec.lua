-- SPDX-License-Identifier: MIT
-- csrc/pace.c: when the next request may start under the option `rate`. The clock is given.

local probe = require "spec.support.probe"

-- Starts whenever allowed on a clock that ticks every `tick` seconds; returns the starts.
local function starts(pace, from, to, tick)
  local list = {}
  local ticks = math.floor((to - from) / tick + 0.5)
  for i = 0, ticks - 1 do
    local now = from + i * tick
    while pace:delay(now) <= 0 do
      pace:start(now)
      list[#list + 1] = now
      if #list > 100000 then return list end
    end
  end
  return list
end

describe("without a rate", function()
  it("every start is allowed at once", function()
    local pace = probe.pace(0)
    for i = 1, 1000 do
      assert.equal(0, pace:delay(100))
      pace:start(100)
      assert.equal(0, pace:delay(100), "after start " .. i)
    end
  end)
end)

describe("with a rate", function()
  it("the first start is allowed at once, whatever the clock says", function()
    for _, now in ipairs { 0, 1, 1e9 } do
      assert.equal(0, probe.pace(2):delay(now))
    end
  end)

  it("the next start is allowed one interval later, at the latest", function()
    local pace = probe.pace(2)
    pace:start(100)
    local delay = pace:delay(100)
    assert.is_true(delay > 0.49 and delay <= 0.5, tostring(delay))
    assert.equal(0, pace:delay(100.5))
    assert.is_true(math.abs(pace:delay(100.25) - (delay - 0.25)) < 1e-9)
  end)

  it("is kept over time", function()
    for _, rate in ipairs { 0.5, 1, 3, 20, 100, 1000 } do
      local list = starts(probe.pace(rate), 50, 60, 0.001)
      local expected = rate * 10
      assert.is_true(#list >= expected * 0.99, ("%g: %d starts"):format(rate, #list))
      assert.is_true(#list <= expected * 1.01 + 2, ("%g: %d starts"):format(rate, #list))
    end
  end)

  it("is reached although wake-ups are some milliseconds late", function()
    local list = starts(probe.pace(500), 0, 10, 0.0037)
    assert.is_true(#list >= 4900 and #list <= 5100, #list .. " starts")
  end)

  it("is not exceeded in any second, whatever the rest before it", function()
    local pace = probe.pace(50)
    starts(pace, 0, 1, 0.001)
    local after_rest = starts(pace, 1000, 1001, 0.001)
    assert.is_true(#after_rest <= 52, #after_rest .. " starts in the second after a rest")
  end)

  it("allows no burst after a rest", function()
    local pace = probe.pace(10)
    pace:start(0)
    assert.equal(0, pace:delay(1000))
    pace:start(1000)
    assert.is_true(pace:delay(1000) > 0.09)
  end)
end)
