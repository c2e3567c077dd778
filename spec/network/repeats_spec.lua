-- SPDX-License-Identifier: MIT
-- Sending again: which answers a call repeats, how long it waits, what it tells about that,
-- and what becomes of a repeat that meets its own work.
local helper = require "spec.support.helper"
local raw = require "spec.support.server"
local setting = require "spec.support.setting"

local busy, start = raw.busy, setting.start
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end)

local SOON = busy "0.01"

describe("an answer of a server in trouble", function()
  for _, status in ipairs { 408, 500, 502, 503, 504 } do
    it(status .. " makes a read and a repeatable change go again", function()
      start({ { status = status }, { body = "[]" }, { status = status }, {} }, { max_retries = 1 })
      local response = {}
      assert.same({}, client.users:roles("u1", nil, { response = response }))
      assert.equal(2, response.attempts)
      assert.is_true(client.users:update_roles("u1", {}, { response = response }))
      assert.equal(2, response.attempts)
      assert.equal(200, response.status)
      assert.is_nil(response.repeated)
    end)

    it(status .. " leaves an invitation in doubt, sent once", function()
      start { { status = status } }
      local value, err = client.users:invite("u1")
      assert.is_nil(value)
      assert.equal("http", err.kind)
      assert.equal(status, err.status)
      assert.is_true(err.ambiguous)
      assert.equal(1, err.attempts)
      assert.equal(1, server:count())
    end)
  end

  it("leaves a change in doubt when the attempts are used up", function()
    start({ { status = 500 } }, { max_retries = 1 })
    local _, change = client.users:update_roles("u1", {})
    assert.is_true(change.ambiguous)
    assert.equal(2, change.attempts)
    local _, read = client.users:roles("u1")
    assert.is_nil(read.ambiguous)
    assert.equal(2, read.attempts)
    assert.equal(4, server:count())
  end)

  it("is final with max_retries = 0, of the client or of the call", function()
    start({ { status = 500 } }, { max_retries = 0 })
    local _, err = client.users:roles("u1")
    assert.equal(1, err.attempts)
    start { { status = 500 } }
    _, err = client.users:roles("u1", nil, { max_retries = 0 })
    assert.equal(1, err.attempts)
    assert.equal(1, server:count())
  end)
end)

describe("an answer that is final", function()
  for _, status in ipairs { 300, 304, 400, 401, 403, 404, 405, 409, 410, 413, 422, 501, 505 } do
    it(status .. " is not asked for again", function()
      start { { status = status } }
      for _, name in ipairs { "roles", "update_roles", "invite" } do
        local options = name == "invite" and {} or { {} }
        local value, err = client.users[name](client.users, "u1", options[1])
        assert.is_nil(value)
        assert.equal("http", err.kind)
        assert.equal(status, err.status)
        assert.equal(1, err.attempts)
        assert.is_nil(err.ambiguous)
      end
      assert.equal(3, server:count())
    end)
  end
end)

describe("429", function()
  it("makes every class wait and go again", function()
    start { SOON, { body = "[]" }, SOON, {}, SOON, {} }
    assert.same({}, client.users:roles("u1"))
    assert.is_true(client.users:update_roles("u1", {}))
    assert.is_true(client.users:invite("u1"))
    assert.equal(6, server:count())
  end)

  it("for longer than max_retry_wait is the error, and leaves nothing in doubt", function()
    for _, name in ipairs { "invite", "reactivate" } do
      helper.patiently(0.1, function(max_retry_wait)
        start({ SOON }, { max_retries = 1, max_retry_wait = max_retry_wait })
        local _, err = client.users[name](client.users, "u1")
        assert.equal(429, err.status)
        assert.equal(0.01, err.retry_after)
        assert.is_nil(err.ambiguous)
        return err.attempts > 2
      end)
    end
  end)

  it("is waited for after a rest in which nobody asked", function()
    start({ busy "0.1", busy "0.1", {} }, { max_retry_wait = 1 })
    local _, err = client.users:invite("u1", { total_timeout = 0.05 })
    assert.equal(429, err.status)
    raw.nap(1.1)
    assert.is_true(client.users:invite("u1"))
    assert.equal(3, server:count())
  end)

  it("is no retry: as many as it takes, and max_retries for other failures", function()
    local answers = {}
    for i = 1, 6 do answers[i] = busy "0.001" end
    answers[7], answers[8], answers[9], answers[10] = { status = 500 }, SOON, { status = 502 }, {}
    start(answers, { max_retries = 2 })
    local response = {}
    assert.is_true(client.users:reactivate("u1", { response = response }) ~= nil)
    assert.equal(10, response.attempts)
  end)

  it("with max_retries = 0 is the error", function()
    start({ SOON }, { max_retries = 0 })
    local _, err = client.users:invite("u1")
    assert.equal(1, err.attempts)
    assert.equal(0.01, err.retry_after)
  end)
end)

describe("503", function()
  it("with Retry-After makes an invitation go again, too", function()
    start { busy("0.01", 503), { body = "sent" } }
    assert.is_true(client.users:invite("u1"))
    assert.equal(2, server:count())
  end)

  it("with a Retry-After that nobody understands leaves an invitation in doubt", function()
    start { busy("soon", 503) }
    local _, err = client.users:invite("u1")
    assert.is_true(err.ambiguous)
    assert.is_nil(err.retry_after)
    assert.equal(1, server:count())
  end)
end)

describe("Retry-After", function()
  -- What max_retries = 0 shows of it.
  local function understood(text)
    start({ busy(text) }, { max_retries = 0 })
    local _, err = client.users:roles("u1")
    return err.retry_after
  end

  local function date(seconds)
    return os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + seconds)
  end

  it("is understood in whole and decimal seconds", function()
    assert.equal(0, understood "0")
    assert.equal(120, understood "120")
    assert.near(1.5, understood "1.5", 1e-9)
    assert.equal(7, understood "007")
    assert.equal(3, understood "  3  ")
    assert.equal(3, understood "\t3\t")
  end)

  it("is understood as a date; one that is past means now", function()
    local seconds = understood(date(1000))
    assert.is_true(seconds > 990 and seconds <= 1000)
    assert.equal(0, understood(date(-1000)))
    assert.equal(0, understood "Sunday, 06-Nov-94 08:49:37 GMT")
    assert.equal(0, understood "Sun Nov  6 08:49:37 1994")
  end)

  it("that is negative, empty or garbage counts as absent", function()
    assert.is_nil(understood(false))
    for _, text in ipairs { "-5", "", "soon", "5s", "5, 10", "1e3", "0x10", "NaN", "inf", "." } do
      assert.is_nil(understood(text), text)
    end
  end)

  it("of any length harms nobody", function()
    assert.is_true(understood(("9"):rep(30)) > 1e29)
    for _, n in ipairs { 60, 64, 100, 400, 5000 } do
      local seconds = understood(("9"):rep(n))
      assert.is_true(seconds == nil or seconds > 120)
    end
    assert.is_nil(understood(("x"):rep(5000)))
  end)

  it("is waited for", function()
    start { busy "0.15", { body = "[]" } }
    local before = raw.now()
    assert.same({}, client.users:roles("u1"))
    assert.is_true(raw.now() - before >= 0.15)
  end)

  it("as a date is waited for", function()
    start { busy(date(1)), { body = "[]" } }
    local response = {}
    assert.same({}, client.users:roles("u1", nil, { response = response }))
    assert.equal(2, response.attempts)
  end)

  it("that is absent, garbage or negative leaves the usual waits", function()
    for _, text in ipairs { false, "garbage", "-5" } do
      start { busy(text), { body = "[]" } }
      local response = {}
      assert.same({}, client.users:roles("u1", nil, { response = response }))
      assert.equal(2, response.attempts)
    end
  end)

  it("of zero makes the call go again", function()
    start { busy "0", { body = "[]" } }
    assert.same({}, client.users:roles("u1"))
    assert.equal(2, server:count())
  end)

  it("beyond max_retry_wait is neither waited for nor shortened", function()
    start({ busy "11" }, { max_retry_wait = 10 })
    local before = raw.now()
    for _, name in ipairs { "roles", "invite" } do
      local value, err = client.users[name](client.users, "u1")
      assert.is_nil(value)
      assert.equal(429, err.status)
      assert.equal(11, err.retry_after)
      assert.equal(1, err.attempts)
      assert.is_nil(err.ambiguous)
      assert.matches("11", tostring(err), 1, true)
    end
    assert.is_true(raw.now() - before < 5)
    assert.equal(2, server:count())
  end)

  it("up to max_retry_wait is waited for", function()
    start({ busy "0.1", {} }, { max_retry_wait = 0.1 })
    assert.is_true(client.users:invite("u1"))
  end)

  it("beyond what total_timeout leaves is not waited for", function()
    start({ busy "100" }, { max_retry_wait = 1000, total_timeout = 5 })
    local before = raw.now()
    local _, err = client.users:roles("u1")
    assert.equal(429, err.status)
    assert.equal(100, err.retry_after)
    assert.is_true(raw.now() - before < 4)
  end)

  it("of an answer that is not repeated is told, too", function()
    start { busy("30", 404) }
    local _, err = client.users:roles("u1")
    assert.equal(404, err.status)
    assert.equal(30, err.retry_after)
  end)

  it("of an earlier attempt is not told", function()
    start({ SOON, { status = 404 } })
    local _, err = client.users:roles("u1")
    assert.equal(404, err.status)
    assert.equal(2, err.attempts)
    assert.is_nil(err.retry_after)
  end)
end)

describe("a repeat that meets its own work", function()
  for name, lost in pairs {
    ["after a lost answer"] = { drop = true }, ["after a reset"] = { reset = true },
    ["after 502"] = { status = 502 },
  } do
    it(name .. " is a success, and says so", function()
      start { lost, { status = 409, body = '{"message":"already a member"}' } }
      local response = {}
      assert.is_true(client.users:add_to_group("u1", "g1", { response = response }))
      assert.is_true(response.repeated)
      assert.equal(409, response.status)
      assert.equal(2, response.attempts)
    end)
  end

  it("is an error where no earlier attempt may have done it", function()
    start { { status = 409, body = '{"message":"already a member"}' } }
    local _, err = client.users:add_to_group("u1", "g1")
    assert.equal(409, err.status)
    assert.equal("already a member", err.message)
    assert.is_nil(err.ambiguous)
  end)

  it("is an error after an attempt that did certainly nothing", function()
    start { SOON, { status = 409 } }
    local response = {}
    local _, err = client.users:add_to_group("u1", "g1", { response = response })
    assert.equal(409, err.status)
    assert.equal(2, err.attempts)
    assert.is_nil(err.ambiguous)
    assert.is_nil(response.repeated)
  end)

  it("is an error of an operation for which the status means something else", function()
    start { { drop = true }, { status = 409 } }
    local _, err = client.users:update_roles("u1", {})
    assert.equal(409, err.status)
    assert.is_true(err.ambiguous)
  end)
end)

describe("an attempt that was lost", function()
  it("makes every later failure of the call ambiguous", function()
    for _, last in ipairs { { status = 404 }, busy "9", { status = 401 } } do
      start({ { drop = true }, last }, { max_retry_wait = 1 })
      local _, err = client.users:update_roles("u1", {})
      assert.equal("http", err.kind)
      assert.equal(last.status, err.status)
      assert.equal(2, err.attempts)
      assert.is_true(err.ambiguous)
    end
  end)

  it("is forgotten by the next call", function()
    start { { drop = true }, { status = 404 } }
    client.users:update_roles("u1", {})
    local _, err = client.users:update_roles("u1", {})
    assert.equal(404, err.status)
    assert.is_nil(err.ambiguous)
  end)

  it("of a read leaves nothing in doubt", function()
    start { { drop = true }, { status = 404 } }
    local _, err = client.users:roles("u1")
    assert.equal(2, err.attempts)
    assert.is_nil(err.ambiguous)
  end)
end)

describe("an outage", function()
  it("ends sending again when the budget of 100 repeats is spent", function()
    start({ { status = 500 } }, { max_retries = 1, max_in_flight = 200 })
    client:run(function(tasks)
      for i = 1, 200 do tasks:spawn(function() client.users:roles("u" .. i) end) end
    end)
    assert.equal(300, server:count())
    local _, err = client.users:roles("u1")
    assert.equal(1, err.attempts)
  end)

  it("ends it for what could not be sent, too", function()
    start {}
    client:close()
    client = helper.client({ url = ("http://127.0.0.1:%d"):format(raw.refused_port()) },
      { max_retries = 1, max_in_flight = 200 })
    local attempts = 0
    client:run(function(tasks)
      for i = 1, 150 do
        tasks:spawn(function()
          local _, err = client.users:roles("u" .. i)
          attempts = attempts + err.attempts
        end)
      end
    end)
    assert.equal(250, attempts)
  end)

  it("does not count what the server asks to send again", function()
    -- As many as were delivered before may be under way when the first is refused.
    local before, answers = 220, {}
    for i = 1, before do answers[i] = { body = "[]" } end
    for i = before + 1, before + 200 do answers[i] = SOON end
    for i = before + 201, before + 400 do answers[i] = { body = "[]" } end
    answers[before + 401] = { status = 500 }
    start(answers, { max_retries = 1, max_in_flight = 200 })
    for i = 1, before do assert(client.users:roles("u" .. i)) end
    client:run(function(tasks)
      for i = 1, 200 do tasks:spawn(function() client.users:roles("u" .. i) end) end
    end)
    assert.equal(before + 400, server:count())
    local _, err = client.users:roles("u1")
    assert.equal(500, err.status)
    assert.equal(2, err.attempts)
  end)

  it("that is over lets the budget grow again, by successes", function()
    local answers = {}
    for i = 1, 200 do answers[i] = { status = 500 } end
    for i = 201, 210 do answers[i] = { body = "[]" } end
    for i = 211, 220 do answers[i] = { status = 500 } end
    start(answers, { max_retries = 1, max_in_flight = 100 })
    client:run(function(tasks)
      for i = 1, 100 do tasks:spawn(function() client.users:roles("u" .. i) end) end
    end)
    assert.equal(200, server:count())
    for i = 1, 10 do assert(client.users:roles("good" .. i)) end
    local attempts = {}
    for i = 1, 3 do attempts[i] = select(2, client.users:roles("bad" .. i)).attempts end
    assert.same({ 2, 2, 1 }, attempts)
  end)
end)
