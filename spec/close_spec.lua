-- SPDX-License-Identifier: MIT
-- client:close, whenever it comes: what was begun is answered, and nothing is kept.
local setting = require "spec.support.setting"

local EMPTY, HANG = { body = "[]" }, { hang = true }

local connect, serve = setting.connect, setting.serve
local server

setting.install(after_each, function(_, a_server) server = a_server end)

local function assert_closed(value, err)
  assert.is_nil(value)
  assert.equal("closed", err.kind)
  assert.matches("closed", tostring(err), 1, true)
end

describe("close", function()
  it("may be called again and again", function()
    serve { EMPTY }
    local client = connect()
    client.users:roles "u1"
    for _ = 1, 3 do assert.equal(0, select("#", client:close())) end
  end)

  it("ends the connections", function()
    serve { EMPTY }
    local client = connect()
    client.users:roles "u1"
    client:close()
    assert.is_true(server:wait_open(0))
  end)

  it("lets every call fail with kind closed from then on, and sends nothing", function()
    serve { EMPTY }
    local client = connect()
    client:close()
    for _, name in ipairs { "roles", "invite", "get" } do
      local value, err = client.users[name](client.users, "u1")
      assert_closed(value, err)
      assert.equal("users." .. name, err.operation)
      assert.is_nil(err.ambiguous)
    end
    assert.equal("r", client:run(function(tasks)
      local task = tasks:spawn(function()
        assert_closed(client.roles:list())
        return "r"
      end)
      for _, value, err in tasks:map({ "a", "b" }, function(id) return client.users:get(id) end) do
        assert_closed(value, err)
      end
      return tasks:wait(task)
    end))
    assert.matches("closed", tostring(client), 1, true)
    assert.equal(0, server:count())
  end)

  it("is what a to-be-closed variable does", function()
    local chunk = load [[
      local client = ...
      local _ <close> = client
      assert(client.roles:list())
    ]]
    if not chunk then return end
    serve { EMPTY }
    local client = connect()
    chunk(client)
    assert_closed(client.roles:list())
  end)

  it("is no business of what is no client", function()
    serve { EMPTY }
    local client = connect()
    for _, other in ipairs { false, 1, "x", {}, print, io.stdout } do
      assert.is_false(pcall(client.close, other))
    end
    assert.is_false(pcall(client.close))
    assert.same({}, client.roles:list())
  end)
end)

describe("close while calls are under way", function()
  it("answers them: what was sent is in doubt, what was not is not", function()
    serve { HANG }
    local client = connect { max_in_flight = 4, rate = 1000000 }
    local errors = {}
    client:run(function(tasks)
      for i = 1, 2 do
        tasks:spawn(function() errors[i] = select(2, client.users:invite("u" .. i)) end)
      end
      tasks:spawn(function()
        server:let_arrive(2)
        tasks:spawn(function() errors[3] = select(2, client.users:invite "unsent") end)
        coroutine.yield()
        client:close()
        errors[4] = select(2, client.users:invite "late")
      end)
    end)
    for i = 1, 4 do assert_closed(nil, errors[i]) end
    assert.is_true(errors[1].ambiguous)
    assert.is_true(errors[2].ambiguous)
    assert.is_nil(errors[3].ambiguous)
    assert.is_nil(errors[4].ambiguous)
    assert.is_true(server:wait_open(0))
    assert.equal(2, server:count())
  end)

  it("answers what waits for a repeat", function()
    serve { { status = 429, headers = { ["Retry-After"] = "60" } }, EMPTY }
    local client = connect { max_in_flight = 4 }
    local err
    client:run(function(tasks)
      tasks:spawn(function() err = select(2, client.users:invite "u1") end)
      tasks:spawn(function()
        client.users:roles "u2"
        client.users:roles "u3"
        client:close()
      end)
    end)
    assert_closed(nil, err)
    assert.is_nil(err.ambiguous)
    assert.is_nil(err.retry_after)
  end)

  it("in a metamethod of the call's own arguments ends that call, unsent", function()
    serve { EMPTY }
    for _, in_task in ipairs { false, true } do
      local client = connect()
      local fields = setmetatable({}, { __index = function() client:close() end })
      local function call() assert_closed(client.users:roles("u1", fields)) end
      if in_task then
        client:run(call)
      else
        call()
      end
    end
    assert.equal(0, server:count())
  end)

  it("in a metamethod while another task waits ends both", function()
    serve { HANG }
    local client = connect()
    local fields = setmetatable({}, { __index = function() client:close() end })
    client:run(function(tasks)
      local task = tasks:spawn(function() return client.users:roles "hangs" end)
      coroutine.yield()
      assert_closed(client.users:roles("u1", fields))
      assert_closed(tasks:wait(task))
    end)
  end)

  it("in the callback of a C function, a coroutine, or a finaliser of a task ends all", function()
    serve { HANG }
    for _, how in ipairs {
      function(client) ("x"):gsub("x", function() client:close() end) end,
      function(client) coroutine.wrap(function() client:close() end)() end,
      function(client)
        setmetatable({}, { __gc = function() client:close() end })
        collectgarbage()
        collectgarbage()
      end,
    } do
      local client = connect()
      client:run(function(tasks)
        local task = tasks:spawn(function() return client.users:roles "hangs" end)
        coroutine.yield()
        how(client)
        assert_closed(tasks:wait(task))
      end)
    end
  end)

  it("of a run within a run ends both", function()
    serve { HANG }
    local client = connect()
    client:run(function(outer)
      local task = outer:spawn(function() return client.users:roles "hangs" end)
      client:run(function(inner)
        inner:spawn(function() assert_closed(client.users:roles "hangs") end)
        coroutine.yield()
        client:close()
      end)
      assert_closed(outer:wait(task))
    end)
  end)
end)
