-- SPDX-License-Identifier: MIT
-- on_event: the attempts that this side ends, by cancelling, closing or an interrupt.
local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local process = require "spec.support.process"
local raw = require "spec.support.server"

local HANG = { hang = true }

local server, client, events

local function start(answers, options)
  events = {}
  options = options or {}
  options.on_event = options.on_event or function(event) events[#events + 1] = event end
  server = raw.start { answers = answers }
  client = helper.client(server, options)
end

after_each(function()
  assert.equal(0, core.in_use(client))
  client:close()
  server:stop()
end)

local function assert_ended(event, kind)
  assert.equal("users.invite", event.operation)
  assert.equal("POST", event.method)
  assert.equal("/tenants/users/{id}/invite", event.path)
  assert.equal(kind, event.kind)
  assert.equal(1, event.attempt)
  assert.equal("end", event.next)
  assert.is_nil(event.status)
  assert.is_nil(event.delay)
  assert.is_true(event.elapsed >= 0 and event.elapsed < 60)
  assert.is_true(#event.reason > 0)
end

-- Yields until the server has received n requests.
local function received(n)
  while server:count() < n do coroutine.yield() end
end

describe("on_event", function()
  it("is told of an attempt that is cancelled, before its call returns", function()
    start { HANG }
    local err, told
    client:run(function(tasks)
      local task = tasks:spawn(function()
        err = select(2, client.users:invite "u1")
        told = #events
      end)
      received(1)
      tasks:cancel(task)
    end)
    assert.equal("cancelled", err.kind)
    assert.is_true(err.ambiguous)
    assert.equal(1, told)
    assert.equal(1, #events)
    assert_ended(events[1], "cancelled")
  end)

  it("is told of an attempt that close ends, before close returns", function()
    start { HANG }
    local err, told
    client:run(function(tasks)
      tasks:spawn(function() err = select(2, client.users:invite "u1") end)
      received(1)
      client:close()
      told = #events
    end)
    assert.equal("closed", err.kind)
    assert.is_true(err.ambiguous)
    assert.equal(1, told)
    assert.equal(1, #events)
    assert_ended(events[1], "closed")
  end)

  it("is told of those of a run that fails", function()
    start { HANG }
    local ok, problem = pcall(client.run, client, function(tasks)
      tasks:spawn(client.users.invite, client.users, "u1")
      received(1)
      error("enough", 0)
    end)
    assert.is_false(ok)
    assert.matches("^enough", problem)
    assert.equal(1, #events)
    assert_ended(events[1], "cancelled")
  end)

  it("is told nothing of a call that is ended while nothing is under way", function()
    start { { status = 429, headers = { ["Retry-After"] = "50" } } }
    client:run(function(tasks)
      local task = tasks:spawn(client.users.invite, client.users, "u1")
      while #events < 1 do coroutine.yield() end
      tasks:spawn(client.users.invite, client.users, "u2")
      coroutine.yield()
      tasks:cancel(task)
      client:close()
    end)
    assert.equal(1, #events)
    assert.equal(429, events[1].status)
  end)

  it("that closes the client is told what that ended, once it has returned", function()
    local inside
    start({ { body = "[]" }, HANG }, { max_in_flight = 4, on_event = function(event)
      assert.is_not_true(inside)
      inside = true
      events[#events + 1] = event
      if event.status then client:close() end
      inside = false
    end })
    client:run(function(tasks)
      for _ = 1, 3 do tasks:spawn(client.users.invite, client.users, "u1") end
    end)
    assert.equal(200, events[1].status)
    for i = 2, #events do assert_ended(events[i], "closed") end
  end)

  it("that raises at close is not called again", function()
    local calls = 0
    start({ HANG }, { max_in_flight = 4, on_event = function()
      calls = calls + 1
      error("enough", 0)
    end })
    client:run(function(tasks)
      for _ = 1, 3 do tasks:spawn(client.users.invite, client.users, "u1") end
      received(3)
      local ok, problem = pcall(client.close, client)
      assert.is_false(ok)
      assert.equal("enough", problem)
      client:close()
    end)
    assert.equal("closed", select(2, client.users:invite "u1").kind)
    assert.equal(1, calls)
  end)

  it("that raises at a cancelled attempt reaches the caller of run", function()
    start({ HANG }, { on_event = function() error("enough", 0) end })
    local ok, problem = pcall(client.run, client, function(tasks)
      local task = tasks:spawn(client.users.invite, client.users, "u1")
      received(1)
      tasks:cancel(task)
    end)
    assert.is_false(ok)
    assert.matches("enough", tostring(problem), 1, true)
  end)

  for where, body in pairs {
    ["in a plain call"] = [[client.users:invite "u1"]],
    ["in a task"] = [[client:run(function() client.users:invite "u1" end)]],
  } do
    it("is told of an attempt that is interrupted " .. where, function()
      start { HANG }
      local child = helper.start_lua([[
        local client = require "cipherscale".new { api_key = "0123456789",
          base_url = os.getenv "URL", on_event = function(event)
            print(event.operation, event.kind, event.attempt, event.next)
            error "this is not told"
          end }
        local ok, problem = pcall(function() ]] .. body .. [[ end)
        print(ok, (tostring(problem):match "^[^\n]*"))
      ]], { URL = server.url })
      assert.is_true(server:wait(1))
      assert.is_true(process.interrupt(child.pid))
      local event, result = child.pipe:read "*l", child.pipe:read "*l"
      helper.end_lua(child)
      assert.equal("users.invite\tcancelled\t1\tend", event)
      assert.matches("^false\t.*interrupted!$", result)
    end)
  end
end)
