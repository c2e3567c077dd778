-- SPDX-License-Identifier: MIT
-- csrc/pace.c: when the next request may start, under the option `rate` and after refusals. The
-- clock is given. Whole jobs under the limits of services: spec/pace_limits_spec.lua.

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

local function near(expected, got, tolerance)
  assert.is_true(math.abs(got - expected) <= (tolerance or 1e-9),
    ("%.12g expected, got %.12g"):format(expected, got))
end

-- A pace that has delivered `rate` a second for some seconds until `now`, without any refusal.
local function delivering(rate, now, class)
  local pace = probe.pace(0)
  for i = 1, 4 * rate do
    local time = now - 4 + i / rate
    pace:start(time, class)
    pace:delivered(time, time, class)
  end
  return pace
end

describe("a refusal", function()
  it("holds back its class until the time that the server gave, and no other", function()
    for _, seconds in ipairs { 0.25, 1, 7, 60 } do
      local pace = probe.pace(0)
      pace:start(100, "writes")
      pace:refused(100, 100.1, seconds, "writes")
      near(seconds, pace:delay(100.1, "writes"))
      near(seconds, pace:told(100.1, "writes"))
      near(seconds / 2, pace:delay(100.1 + seconds / 2, "writes"))
      assert.equal(0, pace:delay(100.1 + seconds + 1e-9, "writes"))
      assert.equal(0, pace:delay(100.1, "reads"))
      assert.equal(0, pace:told(100.1, "reads"))
      assert.equal(0, pace:rate(100.1, "reads"))
    end
  end)

  it("without a time makes a wait of our own, up to half a second at first", function()
    for _, seconds in ipairs { -1, 0 } do
      for _, random in ipairs { 0, 0.5, 1 } do
        local pace = probe.pace(0)
        pace:refused(100, 100.1, seconds, "writes", 120, random)
        near(0.25 + random / 4, pace:delay(100.1, "writes"))
        assert.equal(0, pace:told(100.1, "writes"))
      end
    end
  end)

  it("lowers the rate to 95 % of what was delivered in the last second", function()
    for _, rate in ipairs { 10, 50, 200, 1000 } do
      local pace = delivering(rate, 100, "writes")
      assert.equal(0, pace:rate(100, "writes"))
      assert.is_true(pace:refused(100, 100, 1, "writes"))
      near(0.95 * rate, pace:rate(100, "writes"), 1 + 0.02 * rate)
      assert.equal(0, pace:rate(100, "reads"))
    end
  end)

  it("counts the time that the server stays closed: a burst is no rate", function()
    local pace = probe.pace(0)
    for _ = 1, 20 do
      pace:start(100)
      pace:delivered(100, 100.01)
    end
    pace:refused(100, 100.02, 60)
    near(0.95 * 20 / 60, pace:rate(100.02), 0.02)
  end)

  it("with nothing delivered leaves the rate as it was", function()
    local pace = probe.pace(0)
    assert.is_false(pace:refused(100, 100.1, 1))
    assert.equal(0, pace:rate(100.1))
    pace = delivering(100, 100)
    pace:refused(100, 100, 1)
    local rate = pace:rate(101)
    for i = 1, 5 do
      pace:start(100 + 10 * i)
      assert.is_false(pace:refused(100 + 10 * i, 100.1 + 10 * i, 1))
      assert.equal(rate, pace:rate(100.1 + 10 * i))
    end
  end)

  it("of an attempt that was started before the last one lowers the rate no more", function()
    local pace = delivering(100, 100)
    pace:refused(99.9, 100, 1)
    local rate = pace:rate(100)
    for i = 1, 31 do
      assert.is_false(pace:refused(99.95, 100.001 + i / 1000, 1))
    end
    assert.equal(rate, pace:rate(100.1))
    near(1.032, pace:delay(100), 1e-6)
  end)

  it("that overtook what was delivered counts that as well, until the next is delivered", function()
    local pace = probe.pace(0)
    pace:refused(99.95, 100, 1)
    assert.equal(0, pace:rate(100))
    for i = 1, 20 do pace:delivered(99.9, 100 + i / 1000) end
    near(19, pace:rate(100.1))
    pace:start(101)
    pace:delivered(101, 101.1)
    local rate = pace:rate(101.1)
    pace:delivered(99.9, 101.1)
    assert.equal(rate, pace:rate(101.1))
  end)

  it("takes half of a rate that was seen for a while, at most", function()
    local pace = delivering(200, 100)
    pace:refused(100, 100, 1)
    local rate = pace:rate(101)
    pace:delivered(101, 101.1)
    pace:refused(101.2, 101.3, 1)
    assert.is_true(pace:rate(102.3) > 0.45 * rate)
  end)

  it("of such an attempt can make the wait longer, never shorter", function()
    local pace = delivering(100, 100)
    pace:refused(99.9, 100, 5)
    pace:refused(99.95, 100, 9)
    pace:refused(99.95, 100, 2)
    pace:refused(99.95, 100, -1)
    near(9, pace:delay(100))
    near(9, pace:told(100))
  end)

  it("never slows down to less than one start in half a minute", function()
    local pace = probe.pace(0)
    local now = 100
    for _ = 1, 50 do
      pace:start(now)
      pace:delivered(now, now + 0.1)
      pace:start(now + 0.2)
      pace:refused(now + 0.2, now + 0.3, 3000, nil, 3000)
      now = now + 0.3 + pace:delay(now + 0.3)
      pace:start(now)
      assert.is_true(pace:delay(now) <= 30.1)
      now = now + pace:delay(now)
    end
    assert.is_true(pace:rate(now) >= 1 / 30)
  end)
end)

describe("a refusal after another one", function()
  local function second_wait(first, second, longest)
    local pace = probe.pace(0)
    pace:refused(100, 100.1, first, nil, longest)
    local now = 100.1 + pace:delay(100.1)
    pace:start(now)
    pace:refused(now, now + 0.1, second, nil, longest)
    return pace:delay(now + 0.1), pace, now
  end

  it("doubles a wait that was too short, up to 16 seconds", function()
    near(2, (second_wait(1, 1)))
    near(14, (second_wait(7, 7)))
    near(16, (second_wait(10, 10)))
    near(60, (second_wait(60, 60)))
  end)

  it("doubles our own, up to 16 seconds", function()
    local pace, now, waits = probe.pace(0), 100, {}
    for i = 1, 9 do
      pace:start(now)
      pace:refused(now, now, -1, nil, 120, 1)
      waits[i] = pace:delay(now)
      now = now + waits[i]
    end
    assert.same({ 0.5, 1, 2, 4, 8, 16, 16, 16, 16 }, waits)
  end)

  it("never makes it longer than the call would wait", function()
    near(1.5, (second_wait(1, 1, 1.5)))
    near(1, (second_wait(1, 1, 0.5)))
  end)

  it("begins anew once something was delivered", function()
    local _, pace, now = second_wait(1, 1)
    now = now + 0.1 + pace:delay(now + 0.1)
    pace:start(now)
    pace:delivered(now, now)
    pace:refused(now, now + 0.1, 1)
    near(1, pace:delay(now + 0.1))
  end)

  it("says since when nothing has come through", function()
    local pace = probe.pace(0)
    assert.equal(0, pace:shut(100))
    pace:refused(100, 100, 1)
    near(1, pace:shut(101))
    pace:refused(102, 103, 1)
    near(5, pace:shut(105))
    pace:delivered(106, 106)
    assert.equal(0, pace:shut(107))
  end)
end)

describe("a time that nobody would wait for", function()
  it("counts for an hour at most", function()
    for _, seconds in ipairs { 3600, 86401, 1e9, 1e300, math.huge } do
      local pace = probe.pace(0)
      pace:refused(100, 100, seconds, nil, 120)
      near(3600, pace:told(100))
      near(3600, pace:delay(100))
    end
  end)

  it("counts in full where the call waits for it", function()
    local pace = probe.pace(0)
    pace:refused(100, 100, 80000, nil, 86400)
    near(80000, pace:told(100))
  end)
end)

describe("after the wait", function()
  it("the first start is alone for two round trips", function()
    local pace = delivering(1000, 100)
    pace:refused(99.9, 100, 1)
    pace:start(101)
    near(0.2, pace:delay(101))
    pace:start(101.2)
    assert.is_true(pace:delay(101.2) < 0.01)
  end)

  it("a rate that was seen for a while is reached again in 30 seconds, by a flat curve", function()
    local pace = delivering(200, 100)
    pace:refused(100, 100, 1)
    local low = pace:rate(101)
    local full = low / 0.95
    near(full, pace:rate(131), 1e-6)
    local before = low
    for t = 102, 131 do
      local rate = pace:rate(t)
      assert.is_true(rate > before, "at " .. t)
      before = rate
    end
    assert.is_true(pace:rate(116) > low + 0.8 * (full - low))
    near(full * 1.05, pace:rate(191), 1e-6)
    assert.is_true(pace:rate(131 + 600) > 10 * full)
  end)

  it("slow rates climb by starts, not by seconds", function()
    local pace = delivering(10, 100)
    pace:refused(100, 100, 1)
    for t = 110, 160, 10 do pace:delivered(t, t) end
    pace:refused(165, 165, 1)
    local low = pace:rate(166)
    local full = low / 0.95
    assert.is_true(full < 0.2, full)
    near(full, pace:rate(166 + 60 / full), 1e-9)
    near(1.05 * full, pace:rate(166 + (60 + 120) / full), 1e-9)
  end)

  it("one that was seen in a burst is doubled, start by start", function()
    local pace = probe.pace(0)
    for _ = 1, 10 do pace:delivered(100, 100) end
    pace:refused(100, 100, 1)
    local low = pace:rate(101)
    near(9.5, low, 0.1)
    near(2 * low, pace:rate(101 + 1 / low), 1e-6)
    near(8 * low, pace:rate(101 + 3 / low), 1e-6)
    assert.is_true(pace:rate(1e9) >= 1e6 and pace:rate(1e9) < math.huge)
  end)

  it("finds by what a bucket was refilled, apart from what it had stored", function()
    local pace = probe.pace(0)
    for _ = 1, 10 do pace:delivered(100, 100) end
    pace:refused(100, 100, 1)
    -- Ten that were stored again, and 200 a second.
    for i = 1, 50 do pace:delivered(101.5, 101.5 + i * 0.2 / 50) end
    pace:refused(101.7, 101.7, 1)
    near(0.95 * 200, pace:rate(102.7), 10)
  end)
end)

describe("before the first refusal", function()
  it("few are under way at once, and more the more were delivered", function()
    local pace = probe.pace(0)
    assert.equal(8, (pace:room(100, "writes")))
    for _ = 1, 20 do pace:delivered(100, 100, "writes") end
    assert.equal(8, (pace:room(100, "writes")))
    for _ = 1, 24 do pace:delivered(100, 100, "writes") end
    assert.equal(32, (pace:room(100, "writes")))
    assert.equal(8, (pace:room(100, "reads")))
  end)

  it("the room doubles with time, too: calls that are slow hold up no others", function()
    local pace = probe.pace(0)
    assert.is_true(select(2, pace:room(100)) > 1e9)
    pace:start(100)
    near(0.2, select(2, pace:room(100)))
    for step, room in ipairs { 8, 16, 32, 64, 128 } do
      local now = 100.14 + (step - 1) * 0.1
      assert.equal(room, (pace:room(now)))
      near(0.06, select(2, pace:room(now)))
      pace:start(now)
    end
    assert.is_true((pace:room(100.6)) >= 1e6)
    assert.is_true(select(2, pace:room(100.6)) > 1e9)
    assert.equal(8, (pace:room(100.6, "writes")))
  end)

  it("and begins anew after a while without a start", function()
    local pace = probe.pace(0)
    for i = 0, 19 do pace:start(100 + i * 0.4) end
    assert.is_true(pace:room(108) >= 1e6)
    pace:start(108.3)
    assert.equal(8, (pace:room(108.3)))
  end)

  it("and no bound but the rate's afterwards", function()
    local pace = probe.pace(0)
    pace:refused(100, 100, 1, "writes")
    assert.is_true((pace:room(100, "writes")) >= 1000)
  end)
end)

describe("with a rate and a limit", function()
  it("neither is exceeded", function()
    local pace = probe.pace(10)
    for i = 1, 200 do pace:delivered(-2 + i / 100, -2 + i / 100, "writes") end
    pace:refused(-0.01, -0.01, 0.01, "writes")
    assert.is_true(pace:rate(0, "writes") > 10)
    local n = 0
    for i = 0, 9999 do
      local class = i % 2 == 0 and "writes" or "reads"
      if pace:delay(i / 1000, class) <= 0 then
        pace:start(i / 1000, class)
        n = n + 1
      end
    end
    assert.is_true(n >= 99 and n <= 102, n .. " starts of both classes")
  end)
end)

describe("whatever happens", function()
  it("waits and rates stay within their bounds, and the classes apart", function()
    local random = require("spec.support.limited").random(7)
    for round = 1, 60 do
      local pace, now, told = probe.pace(0), 1000 * random(), 0
      local pending, problem = {}, nil
      for _ = 1, 200 do
        now = now + random() ^ 8 * 100
        local choice = random()
        if choice < 0.4 and pace:delay(now, "writes") <= 0 then
          if now < told - 1e-9 then problem = "a start too early" end
          pace:start(now, "writes")
          pending[#pending + 1] = now
        elseif choice < 0.7 and #pending > 0 then
          pace:delivered(table.remove(pending, 1), now, "writes")
        elseif #pending > 0 then
          local said = choice < 0.8 and -1 or random() ^ 6 * 5000
          pace:refused(table.remove(pending, 1), now, said, "writes", 120, random())
          told = math.max(told, now + math.min(math.max(said, 0), 3600))
        end
        local rate, delay = pace:rate(now, "writes"), pace:delay(now, "writes")
        if rate ~= 0 and not (rate >= 1 / 30 - 1e-9 and rate < math.huge) then
          problem = "rate " .. rate
        elseif not (delay >= told - now - 1e-6 and delay <= 3600 + 31) then
          problem = "delay " .. delay
        elseif pace:delay(now, "reads") + pace:rate(now, "reads") ~= 0 then
          problem = "reads are paced"
        end
      end
      assert.is_nil(problem, "round " .. round)
    end
  end)
end)
