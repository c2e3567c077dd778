-- SPDX-License-Identifier: MIT
-- on_event: a record of each attempt, and what the function may do.
local cipherscale = require "cipherscale"
local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local scratch = require "spec.support.scratch"
local raw = require "spec.support.server"
local setting = require "spec.support.setting"

local busy, start = raw.busy, setting.start
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end)

local SOON = busy "0.01"
describe("on_event", function()
  local events

  local function note(event) events[#events + 1] = event end

  before_each(function() events = {} end)

  it("gets one record for each attempt, with what happens next and why", function()
    start({ SOON, { drop = true }, { body = "[]" } }, { on_event = note })
    client.users:roles("an/id", { rolesOnly = true })
    assert.equal(3, #events)
    for i, event in ipairs(events) do
      assert.equal("users.roles", event.operation)
      assert.equal("GET", event.method)
      assert.equal("/tenants/users/{id}/roles", event.path)
      assert.equal(i, event.attempt)
      assert.is_true(event.elapsed >= 0 and event.elapsed < 60)
      assert.is_true(#event.reason > 0)
    end
    assert.equal(429, events[1].status)
    assert.equal("again", events[1].next)
    assert.near(0.01, events[1].delay, 1e-9)
    assert.is_nil(events[2].status)
    assert.equal("network", events[2].kind)
    assert.equal("again", events[2].next)
    assert.equal(200, events[3].status)
    assert.is_nil(events[3].kind)
    assert.equal("end", events[3].next)
    assert.is_nil(events[3].delay)
  end)

  it("gets the records before the call returns, and each a table of its own", function()
    start({ { body = "[]" } }, { on_event = note })
    for i = 1, 3 do
      client.users:roles("u1")
      assert.equal(i, #events)
    end
    assert.are_not.equal(events[1], events[2])
  end)

  it("gets those of calls in tasks", function()
    start({ { body = "[]" } }, { on_event = note, max_in_flight = 8 })
    client:run(function(tasks)
      for i = 1, 50 do tasks:spawn(function() client.users:roles("u" .. i) end) end
    end)
    assert.equal(50, #events)
  end)

  it("never sees the key, an id, or what was sent", function()
    start({ { status = 401, body = helper.key }, { drop = true }, {} }, { on_event = note })
    client.users:invite("secret-id")
    client.users:update_roles("secret-id", { addedRoles = { "secret-role" } })
    local text = {}
    for _, event in ipairs(events) do
      for name, value in pairs(event) do text[#text + 1] = name .. "=" .. tostring(value) end
    end
    text = table.concat(text, "\n")
    assert.is_true(#events >= 2)
    assert.is_nil(text:find(helper.key, 1, true))
    assert.is_nil(text:find("secret", 1, true))
  end)

  it("that raises reaches the caller, as it is, and leaves the client usable", function()
    local value, calls = {}, 0
    start({ { body = "[]" } }, { on_event = function()
      calls = calls + 1
      if calls == 1 then error(value, 0) end
    end })
    local ok, err = pcall(client.users.roles, client.users, "u1")
    assert.is_false(ok)
    assert.equal(value, err)
    assert.equal(0, core.in_use(client))
    assert.same({}, client.users:roles("u1"))
    assert.equal(2, calls)
  end)

  it("that raises at a repeat ends the call: it is not sent again", function()
    start({ SOON, {} }, { on_event = function() error("enough", 0) end })
    local ok, err = pcall(client.users.invite, client.users, "u1")
    assert.is_false(ok)
    assert.equal("enough", err)
    assert.equal(0, core.in_use(client))
    assert.equal(1, server:count())
  end)

  it("that raises in a run reaches the caller of run, and leaves the client usable", function()
    local calls = 0
    start({ { body = "[]" } }, { max_in_flight = 4, on_event = function()
      calls = calls + 1
      if calls == 3 then error("enough", 0) end
    end })
    local ok, err = pcall(client.run, client, function(tasks)
      for i = 1, 20 do tasks:spawn(function() client.users:roles("u" .. i) end) end
    end)
    assert.is_false(ok)
    assert.matches("enough", tostring(err), 1, true)
    assert.equal(0, core.in_use(client))
    assert.same({}, client:run(function() return client.users:roles("u1") end))
  end)

  it("that always raises leaves nothing behind", function()
    start({ { body = "[]" } }, { max_in_flight = 4, on_event = function() error "no" end })
    for _ = 1, 3 do
      assert.is_false(pcall(client.run, client, function(tasks)
        for i = 1, 20 do tasks:spawn(function() client.users:roles("u" .. i) end) end
      end))
      assert.equal(0, core.in_use(client))
      assert.is_false(pcall(client.users.roles, client.users, "u1"))
      assert.equal(0, core.in_use(client))
    end
  end)

  it("may call the client", function()
    local inner
    start({ { body = "[]" } }, { on_event = function(event)
      note(event)
      if not inner then
        inner = true
        inner = client.users:roles("inner")
      end
    end })
    assert.same({}, client.users:roles("outer"))
    assert.same({}, inner)
    assert.equal(2, server:count())
  end)

  it("that calls the client each time is not told of its own calls for ever", function()
    local calls = 0
    start({ { body = "[]" } }, { on_event = function()
      calls = calls + 1
      if calls > 20 then error "told of its own calls for ever" end
      client.users:roles("inner")
    end })
    assert.same({}, client.users:roles("outer"))
    assert.is_true(calls <= 2)
  end)

  it("may run tasks", function()
    local once
    start({ { body = "[]" } }, { on_event = function()
      if once then return end
      once = true
      client:run(function(tasks)
        for _ = 1, 5 do tasks:spawn(function() assert(client.users:roles("inner")) end) end
      end)
    end })
    client:run(function(tasks)
      for _ = 1, 5 do tasks:spawn(function() assert(client.users:roles("outer")) end) end
    end)
    assert.equal(10, server:count())
  end)

  it("may run tasks when it is told of the last attempt that was cancelled", function()
    start({ { hang = true } }, { on_event = function(event)
      note(event)
      client:run(function() end)
    end })
    client:run(function(tasks)
      local task = tasks:spawn(client.users.roles, client.users, "u1")
      server:let_arrive(1)
      tasks:cancel(task)
    end)
    assert.equal(1, #events)
    assert.equal("cancelled", events[1].kind)
  end)

  it("may run tasks while a call that is answered waits for it to return", function()
    local answers = {}
    for i = 1, 4 do answers[i] = { status = 404, body = ('{"message":"n%d"}'):format(i) } end
    for _, in_task in ipairs { false, true } do
      local once = false
      start(answers, { on_event = function()
        if once then return end
        once = true
        client:run(function(tasks)
          for _ = 1, 3 do tasks:spawn(function() client.users:get "inner" end) end
        end)
      end })
      local function outer()
        local response = {}
        local value, err = client.users:get("outer", { response = response })
        assert.is_nil(value)
        assert.equal("n1", err.message)
        assert.equal("/tenants/users/outer", err.path)
        assert.equal(404, response.status)
      end
      if in_task then
        client:run(function() coroutine.wrap(outer)() end)
      else
        outer()
      end
      assert.equal(4, server:count())
    end
  end)

  it("may close the client", function()
    start({ { body = "[]" } }, { on_event = function() client:close() end })
    local value, err = client.users:roles("u1")
    assert.is_true(value ~= nil or err.kind == "closed")
    value, err = client.users:roles("u1")
    assert.is_nil(value)
    assert.equal("closed", err.kind)
  end)

  it("may close the client before a repeat", function()
    start({ SOON, {} }, { on_event = function() client:close() end })
    local value, err = client.users:invite("u1")
    assert.is_nil(value)
    assert.equal("closed", err.kind)
    assert.equal(1, server:count())
  end)

  it("may close the client while tasks wait", function()
    start({ { body = "[]" }, { hang = true } },
      { max_in_flight = 4, on_event = function() client:close() end })
    local kinds = {}
    client:run(function(tasks)
      for i = 1, 10 do
        tasks:spawn(function()
          local value, err = client.users:roles("u" .. i)
          kinds[#kinds + 1] = value and "done" or err.kind
        end)
      end
    end)
    assert.equal(10, #kinds)
    assert.equal("closed", kinds[10])
  end)

  it("is made by log_events of what can be written to, and of nothing else", function()
    local closed = assert(io.tmpfile())
    closed:close()
    for got, value in pairs { string = "x", ["closed file"] = closed, table = {}, number = 2 } do
      assert.equal(("bad argument #1 to 'log_events' (open file expected, got %s)"):format(got),
        helper.message_of(cipherscale.log_events, value))
    end
    local ok, message = pcall(function() return cipherscale.log_events(), nil end)
    assert.is_false(ok)
    assert.matches("^[^:]*on_event_spec%.lua:%d+: bad argument #1", message)
    assert.is_function(cipherscale.log_events { write = print })
    assert.is_function(cipherscale.log_events(io.stderr))
  end)

  it("is called by log_events with a line for each attempt", function()
    local path = scratch.path()
    local file = assert(io.open(path, "w"))
    start({ SOON, { drop = true }, { body = "[]" } }, { on_event = cipherscale.log_events(file) })
    client.users:roles("secret-id")
    file:close()
    local lines = {}
    for line in io.lines(path) do lines[#lines + 1] = line end
    assert.equal(3, #lines)
    assert.matches("^users%.roles GET /tenants/users/{id}/roles 429 attempt 1, ", lines[1])
    assert.matches("again in 0.0 s", lines[1], 1, true)
    assert.matches("network attempt 2", lines[2], 1, true)
    assert.matches("200 attempt 3, %d+%.%d+ s: end %(done%)$", lines[3])
    local text = table.concat(lines)
    assert.is_nil(text:find("secret", 1, true))
    assert.is_nil(text:find(helper.key, 1, true))
  end)
end)
