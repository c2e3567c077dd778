-- SPDX-License-Identifier: MIT
-- csrc/retry.c decides whether a request is made again, when, and why. Clock, chance and limits
-- are given here, so every case is exact. What comes of a decision: spec/network.

local probe = require "spec.support.probe"

local CLASSES = { "READ", "REPEATABLE", "ONCE" }

-- An attempt that nothing but its outcome keeps from being made again.
local function attempt(changes)
  local result = {
    repeat_class = "READ", outcome = "answered", status = 0, permanent = false,
    retry_after = -1, attempts = 1, max_retries = 3, max_retry_wait = 120, remaining = 300,
    refusals = 0, pause = 0, shut = 0, random = 0.5, budget = probe.retry_budget,
  }
  for name, value in pairs(changes) do
    assert(result[name] ~= nil, name)
    result[name] = value
  end
  return result
end

local function decide(changes) return probe.decide(attempt(changes)) end

local function merge(a, b)
  local result = {}
  for name, value in pairs(a) do result[name] = value end
  for name, value in pairs(b) do result[name] = value end
  return result
end

local TWICE = "it may have been done, and must not be done twice"

-- What happened → again for READ, REPEATABLE and ONCE, whether a change may have been done, and
-- the reason.
local ROWS = {
  { "nothing was sent", { outcome = "not_sent" },
    again = { true, true, true }, lost = false, reason = "nothing was sent" },
  { "it was sent and no answer came", { outcome = "lost" },
    again = { true, true, false }, lost = true, reason = "no answer" },
  { "it was sent on a kept connection that was dead", { outcome = "stale" },
    again = { true, true, false }, lost = true, reason = "a kept connection was dead" },
  { "the answer is 429", { status = 429 },
    again = { true, true, true }, lost = false, reason = "the server limits the rate" },
  { "the answer is 429 with Retry-After", { status = 429, retry_after = 7 },
    again = { true, true, true }, lost = false, reason = "the server asked to wait" },
  { "the answer is 503 with Retry-After", { status = 503, retry_after = 7 },
    again = { true, true, true }, lost = false, reason = "the server asked to wait" },
  { "the answer is 503 with Retry-After: 0", { status = 503, retry_after = 0 },
    again = { true, true, true }, lost = false, reason = "the server asked to wait" },
}
for _, status in ipairs { 408, 500, 502, 503, 504 } do
  ROWS[#ROWS + 1] = {
    ("the answer is %d"):format(status), { status = status },
    again = { true, true, false }, lost = true, reason = "the server failed",
  }
end
for _, status in ipairs { 408, 500, 502, 504 } do
  ROWS[#ROWS + 1] = {
    ("the answer is %d with Retry-After"):format(status), { status = status, retry_after = 7 },
    again = { true, true, false }, lost = true, reason = "the server failed",
  }
end
for _, status in ipairs { 300, 301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405, 406, 409,
                          410, 411, 412, 413, 414, 415, 422, 423, 425, 428, 431, 451, 499, 501, 505,
                          507, 511, 520, 599 } do
  ROWS[#ROWS + 1] = {
    ("the answer is %d"):format(status), { status = status },
    again = { false, false, false }, lost = false, reason = "the answer is final",
  }
end
for _, status in ipairs { 200, 201, 202, 204, 206, 299 } do
  ROWS[#ROWS + 1] = {
    ("the answer is %d"):format(status), { status = status },
    again = { false, false, false }, lost = false, reason = "done",
  }
end

describe("the decision, when", function()
  for _, row in ipairs(ROWS) do
    describe(row[1], function()
      for i, class in ipairs(CLASSES) do
        local again = row.again[i]
        it(("%s for %s"):format(again and "is to try again" or "is to stop", class), function()
          local decision = decide(merge(row[2], { repeat_class = class }))
          assert.equal(again, decision.again)
          local forbidden = row.lost and class == "ONCE"
          assert.equal(forbidden and TWICE or row.reason, decision.reason)
          assert.equal(row.lost and class ~= "READ", decision.lost)
          if not again then assert.equal(0, decision.delay) end
        end)
      end
    end)
  end
end)

-- Everything that could be tried again, for a class that may.
local function each_repeatable(check)
  for _, row in ipairs(ROWS) do
    for i, class in ipairs(CLASSES) do
      if row.again[i] then
        check(merge(row[2], { repeat_class = class }), ("%s, %s"):format(row[1], class), row)
      end
    end
  end
end

describe("max_retries", function()
  local function throttled(case) return decide(case).throttled end

  it("is the number of attempts after the first, whatever happened but refusals", function()
    each_repeatable(function(case, name)
      if throttled(case) then return end
      for _, max in ipairs { 0, 1, 3, 100 } do
        for _, attempts in ipairs { max, max + 1 } do
          for _, refusals in ipairs { 0, 7 } do
            if attempts > 0 then
              local decision = decide(merge(case, { attempts = attempts + refusals,
                refusals = refusals, max_retries = max }))
              assert.equal(attempts <= max, decision.again,
                ("%s: %d/%d"):format(name, attempts, max))
              if attempts > max then assert.equal("max_retries reached", decision.reason) end
            end
          end
        end
      end
    end)
  end)

  it("of 0 forbids to send again after a refusal; any other number does not", function()
    each_repeatable(function(case, name)
      if not throttled(case) then return end
      for _, attempts in ipairs { 1, 2, 1000 } do
        local refused = merge(case, { attempts = attempts, refusals = attempts - 1 })
        assert.is_true(decide(merge(refused, { max_retries = 1 })).again, name)
        local decision = decide(merge(refused, { max_retries = 0 }))
        assert.is_false(decision.again, name)
        assert.equal("max_retries reached", decision.reason)
      end
    end)
  end)

  it("keeps what is known about the last attempt", function()
    local case = { repeat_class = "REPEATABLE", outcome = "lost", attempts = 4 }
    assert.is_true(decide(case).lost)
    assert.is_true(decide(merge(case, { outcome = "answered", status = 500 })).lost)
    assert.is_false(decide(merge(case, { outcome = "not_sent" })).lost)
  end)
end)

describe("a failure that would come back", function()
  it("is not tried again, whatever happened", function()
    for _, outcome in ipairs { "not_sent", "lost", "stale" } do
      for _, class in ipairs(CLASSES) do
        local decision = decide { repeat_class = class, outcome = outcome, permanent = true }
        assert.is_false(decision.again)
        assert.equal("the same would happen again", decision.reason)
        assert.equal(outcome ~= "not_sent" and class ~= "READ", decision.lost)
      end
    end
  end)
end)

describe("the retry budget", function()
  it("ends retrying when it does not pay for one more", function()
    each_repeatable(function(case, name)
      local decision = decide(merge(case, { budget = probe.retry_cost - 1 }))
      if decision.throttled then
        assert.is_true(decision.again, name)
      else
        assert.is_false(decision.again, name)
        assert.equal("the retry budget is spent", decision.reason)
      end
    end)
  end)

  it("allows the retry that it just pays for", function()
    each_repeatable(function(case, name)
      assert.is_true(decide(merge(case, { budget = probe.retry_cost })).again, name)
    end)
  end)

  it("is not charged where the server itself asks for patience", function()
    each_repeatable(function(case, name)
      local polite = case.status == 429 or (case.status == 503 and case.retry_after)
      assert.equal(polite and true or false, decide(case).throttled, name)
    end)
  end)

  it("pays for a hundred retries", function()
    assert.equal(100, probe.retry_budget / probe.retry_cost)
  end)
end)

describe("the wait before another attempt", function()
  it("is a random share of a step that doubles from half a second to eight", function()
    local steps = { 0.5, 1, 2, 4, 8, 8, 8 }
    for attempts, step in ipairs(steps) do
      for _, random in ipairs { 0, 0.25, 0.5, 0.999 } do
        for _, outcome in ipairs { "lost", "not_sent" } do
          local decision = decide { outcome = outcome, attempts = attempts, max_retries = 100,
                                    random = random }
          assert.is_true(math.abs(decision.delay - step * random) < 1e-12,
            ("attempt %d, %g: %g s"):format(attempts, random, decision.delay))
        end
      end
    end
  end)

  it("stays at eight seconds for any number of attempts", function()
    local decision = decide { outcome = "lost", attempts = 1e9, max_retries = 2e9, random = 1 }
    assert.equal(8, decision.delay)
  end)

  it("is none after a dead kept connection", function()
    assert.equal(0, decide { outcome = "stale", random = 1 }.delay)
  end)

  it("is what the server asked for, to the fraction", function()
    for _, status in ipairs { 429, 503 } do
      for _, seconds in ipairs { 0.25, 1, 7.5, 120 } do
        local decision = decide { status = status, retry_after = seconds }
        assert.equal(seconds, decision.delay)
        assert.is_true(decision.throttled)
      end
    end
  end)

  it("is the pause of all requests of the class, where that is longer", function()
    for _, case in ipairs { { retry_after = 7 }, {}, { retry_after = 0 } } do
      case.status, case.pause = 429, 10
      assert.equal(10, decide(case).delay)
      case.status, case.retry_after = 500, nil
      assert.is_true(decide(case).delay < 1)
    end
  end)

  it("does not grow with the refusals before it", function()
    assert.equal(0.25, decide({ outcome = "lost", attempts = 9, refusals = 8 }).delay)
  end)

  it("is the random one where 429 comes without Retry-After, or with 0", function()
    assert.equal(0.25, decide { status = 429 }.delay)
    assert.is_true(decide { status = 429, retry_after = 0 }.delay <= 0.25)
  end)
end)

describe("a Retry-After beyond max_retry_wait", function()
  it("is neither waited for nor shortened", function()
    for _, status in ipairs { 429, 503 } do
      for _, seconds in ipairs { 120.001, 3600, 1e300, math.huge } do
        local decision = decide { status = status, retry_after = seconds, remaining = math.huge }
        assert.is_false(decision.again)
        assert.equal("the server asks for more than max_retry_wait", decision.reason)
        assert.equal(0, decision.delay)
      end
    end
  end)

  it("is also a series of refusals, while nothing else came through", function()
    local case = { status = 429, retry_after = 10, max_retry_wait = 60 }
    assert.is_true(decide(merge(case, { shut = 50 })).again)
    local decision = decide(merge(case, { shut = 51 }))
    assert.is_false(decision.again)
    assert.equal("refused for longer than max_retry_wait", decision.reason)
    assert.is_false(decide({ status = 429, pause = 8, shut = 113 }).again)
    assert.is_true(decide({ status = 500, shut = 1000 }).again)
  end)

  it("is any at all where max_retry_wait is 0", function()
    assert.is_false(decide({ status = 429, retry_after = 0.001, max_retry_wait = 0 }).again)
  end)
end)

describe("total_timeout", function()
  it("ends the call where the wait would reach it", function()
    local case = { status = 429, retry_after = 10 }
    assert.is_true(decide(merge(case, { remaining = 10.001 })).again)
    for _, remaining in ipairs { 10, 9.9, 0, -1 } do
      local decision = decide(merge(case, { remaining = remaining }))
      assert.is_false(decision.again)
      assert.equal("total_timeout would pass first", decision.reason)
      assert.equal(0, decision.delay)
    end
  end)

  it("ends it without any wait, too, once it has passed", function()
    assert.is_false(decide({ outcome = "stale", remaining = 0 }).again)
    assert.is_true(decide({ outcome = "stale", remaining = 0.001 }).again)
  end)

  it("keeps that the work may have been done", function()
    assert.is_true(decide({ outcome = "lost", repeat_class = "REPEATABLE", remaining = 0 }).lost)
  end)
end)

describe("Retry-After in seconds", function()
  it("is whole or decimal, with white space around it", function()
    for text, seconds in pairs {
      ["0"] = 0, ["1"] = 1, ["120"] = 120, ["007"] = 7, ["1.5"] = 1.5, ["0.25"] = 0.25,
      ["1.09"] = 1.09, ["90.909"] = 90.909,
      [".5"] = 0.5, ["5."] = 5, [" 7 "] = 7, ["\t7\t "] = 7, ["31536000"] = 31536000,
    } do
      local got = probe.parse_seconds(text)
      assert.is_true(math.abs(got - seconds) < 1e-9, ("%q gave %g"):format(text, got))
    end
  end)

  it("is nothing else", function()
    for _, text in ipairs { "", " ", ".", "-1", "+1", "1e3", "0x10", "1,5", "1 2", "1s", "1.2.3",
                            "soon", "inf", "nan", "Wed, 21 Oct 2015 07:28:00 GMT", "\u{0661}" } do
      assert.equal(-1, probe.parse_seconds(text), ("%q"):format(text))
    end
  end)

  it("is huge, and never wraps, for overlong numbers", function()
    assert.is_true(probe.parse_seconds "99999999999999999999" > 9e19)
    assert.is_true(probe.parse_seconds(("9"):rep(1000)) > 1e300)
    assert.is_true(probe.parse_seconds("0." .. ("0"):rep(1000) .. "1") < 1e-9)
  end)
end)
