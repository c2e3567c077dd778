-- SPDX-License-Identifier: MIT
-- client:run, and the calls of tasks, which work wherever a task makes them.
local helper = require "spec.support.helper"
local setting = require "spec.tasks.setting"

local unpack = table.unpack or unpack
local ask, connect = setting.ask, setting.connect
local start, start_answering = setting.start, setting.start_answering
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end)

describe("run", function()
  before_each(function() start_answering { max_in_flight = 4 } end)

  it("returns what its function returns", function()
    local function returned(...) return select("#", ...), ... end
    assert.same({ 0 }, { returned(client:run(function() end)) })
    assert.same({ 3, 1, nil, "x" }, { returned(client:run(function() return 1, nil, "x" end)) })
    assert.same({ 1, nil }, { returned(client:run(function() return nil end)) })
    local many = {}
    for i = 1, 5000 do many[i] = i end
    assert.equal(5000, select("#", client:run(function() return unpack(many) end)))
  end)

  it("ends when all that was spawned has ended, by whomever", function()
    local ended = 0
    client:run(function(tasks)
      for _ = 1, 3 do
        tasks:spawn(function()
          tasks:spawn(function()
            ask()
            ended = ended + 1
          end)
          ask()
          ended = ended + 1
        end)
      end
    end)
    assert.equal(6, ended)
  end)

  it("makes a call outside of it block as ever, before and after", function()
    assert.equal("r", ask()[1].id)
    client:run(function() assert.equal("r", ask()[1].id) end)
    assert.equal("r", ask()[1].id)
  end)

  it("works in a plain coroutine, and in one within a task", function()
    local function run()
      return client:run(function(tasks)
        local task = tasks:spawn(function() return ask() end)
        return #tasks:wait(task)
      end)
    end
    assert.equal(1, coroutine.wrap(run)())
    assert.equal(1, client:run(function() return coroutine.wrap(run)() end))
  end)

  it("may be used within a run, and returns to it", function()
    local order = {}
    local value = client:run(function(outer)
      outer:spawn(function()
        ask "outer"
        order[#order + 1] = "outer"
      end)
      local inner = client:run(function(tasks)
        for _ = 1, 10 do
          tasks:spawn(function()
            ask "inner"
            order[#order + 1] = "inner"
          end)
        end
        return "from within"
      end)
      order[#order + 1] = "after"
      return inner
    end)
    assert.equal("from within", value)
    assert.equal(12, #order)
    assert.equal(10, server:paths()["/tenants/users/inner/roles"])
  end)

  it("within a run may fail there, and be caught", function()
    local err = client:run(function(tasks)
      local sibling = tasks:spawn(function() return ask() end)
      local _, problem = pcall(client.run, client, function(inner)
        inner:spawn(function() error("inner", 0) end)
        ask()
      end)
      assert.equal("r", tasks:wait(sibling)[1].id)
      return problem
    end)
    assert.matches("^inner\n", err)
  end)

  it("needs a function, and a colon", function()
    assert.equal("bad argument #1 to 'run' (function expected, got nil)",
      helper.message_of(client.run, client))
    assert.equal("bad argument #1 to 'run' (function expected, got table)",
      helper.message_of(client.run, client, {}))
    assert.equal("call it with a colon: client:run(fn)",
      helper.message_of(client.run, function() end))
    assert.equal("call it with a colon: client:run(fn)",
      helper.message_of(client.run, connect(), function() end))
  end)

  it("names the place of a wrong call", function()
    local _, err = pcall(function() client:run(nil) end)
    assert.matches("%a+_spec.lua:%d+: bad argument", err)
    _, err = pcall(client.run, client, function(tasks) tasks:spawn(nil) end)
    assert.matches("^[^\n]*%a+_spec.lua:%d+: bad argument", err)
    _, err = pcall(client.run, client, function(tasks) tasks:wait {} end)
    assert.matches("^[^\n]*%a+_spec.lua:%d+: bad argument", err)
  end)
end)

describe("the calls of tasks", function()
  it("are under way at the same time, as many as max_in_flight", function()
    start_answering({ max_in_flight = 8 }, 0.02)
    client:run(function(tasks)
      for i = 1, 40 do tasks:spawn(function() assert(ask("u" .. i)) end) end
    end)
    assert.equal(40, server:count())
    assert.equal(8, (server:connections()))
  end)

  it("are one after another with max_in_flight = 1", function()
    start_answering({ max_in_flight = 1 }, 0.002)
    client:run(function(tasks)
      for i = 1, 20 do tasks:spawn(function() assert(ask("u" .. i)) end) end
    end)
    assert.equal(1, (server:connections()))
  end)

  it("each get their own answer", function()
    local answers, got = {}, {}
    for i = 1, 60 do answers[i] = { status = 404, body = ('{"message":"n%d"}'):format(i) } end
    start({ answers = answers }, { max_in_flight = 16 })
    client:run(function(tasks)
      for i = 1, 60 do
        tasks:spawn(function()
          local value, err = client.users:get("u" .. i)
          assert.is_nil(value)
          got[err.path] = err.message
        end)
      end
    end)
    local requests = server:requests()
    assert.equal(60, #requests)
    for i, request in ipairs(requests) do assert.equal("n" .. i, got[request.path]) end
  end)

  it("fill the response table of the call", function()
    start_answering { max_in_flight = 4 }
    client:run(function(tasks)
      for i = 1, 10 do
        tasks:spawn(function()
          local response = {}
          assert(client.users:roles("u" .. i, nil, { response = response }))
          assert.equal(200, response.status)
          assert.equal("application/json", response.headers["content-type"])
        end)
      end
    end)
  end)

  it("that fail are values, and cancel nothing", function()
    start({ answers = { { status = 404 } } }, { max_in_flight = 4 })
    local failed = 0
    client:run(function(tasks)
      for i = 1, 10 do
        tasks:spawn(function()
          local value, err = ask("u" .. i)
          assert.is_nil(value)
          assert.equal(404, err.status)
          failed = failed + 1
        end)
      end
    end)
    assert.equal(10, failed)
  end)

  it("with wrong arguments raise in the task, and can be caught there", function()
    start_answering()
    client:run(function(tasks)
      local task = tasks:spawn(function()
        local ok, err = pcall(client.users.roles, client.users, nil)
        assert.is_false(ok)
        assert.matches("user id", err, 1, true)
        return ask()
      end)
      assert.equal("r", tasks:wait(task)[1].id)
    end)
    assert.equal(1, server:count())
  end)

  it("fill a response table as it is: its metatable is not asked", function()
    start_answering()
    local response = setmetatable({}, { __newindex = function() error("read-only", 0) end })
    client:run(function(tasks)
      local task = tasks:spawn(function()
        return client.users:roles("u1", nil, { response = response })
      end)
      assert.equal("r", tasks:wait(task)[1].id)
    end)
    assert.equal(200, response.status)
  end)
end)

describe("a call in a task works", function()
  before_each(function() start_answering { max_in_flight = 4 } end)

  -- Runs fn in three tasks at once; each must return true after some calls.
  local function in_tasks(fn)
    client:run(function(tasks)
      local list = {}
      for i = 1, 3 do list[i] = tasks:spawn(fn) end
      for i = 1, 3 do assert.is_true((tasks:wait(list[i]))) end
    end)
    assert.is_true(server:count() >= 3)
  end

  it("through pcall and xpcall", function()
    in_tasks(function()
      local ok, roles = pcall(ask)
      assert.equal("r", ok and roles[1].id)
      local caught = select(2, pcall(function() error({ ask() }) end))
      assert.equal("r", caught[1][1].id)
      return (xpcall(ask, debug.traceback))
    end)
  end)

  it("in an iterator", function()
    in_tasks(function()
      local count = 0
      local function each(limit, i)
        if i < limit then return i + 1, ask() end
      end
      for _, roles in each, 3, 0 do count = count + #roles end
      return count == 3
    end)
  end)

  it("in a coroutine of its own, where it blocks", function()
    in_tasks(function()
      local steps = coroutine.wrap(function()
        for i = 1, 3 do coroutine.yield(i, ask()) end
      end)
      for i = 1, 3 do
        local n, roles = steps()
        assert.equal(i, n)
        assert.equal("r", roles[1].id)
      end
      return true
    end)
  end)

  it("in the callbacks of C functions", function()
    in_tasks(function()
      local calls = 0
      local list = { 3, 1, 2 }
      table.sort(list, function(a, b)
        calls = calls + #ask()
        return a < b
      end)
      assert.same({ 1, 2, 3 }, list)
      local text = ("a-b"):gsub("%a", function(c) return c .. ask()[1].id end)
      assert.equal("ar-br", text)
      return calls > 1
    end)
  end)

  it("in metamethods", function()
    in_tasks(function()
      local meta = {
        __index = function(_, name) return name .. ask()[1].id end,
        __add = function() return ask()[1].id end,
        __call = function() return ask() end,
        __tostring = function() return ask()[1].id end,
        __lt = function() return #ask() == 1 end,
        __concat = function() return ask()[1].id end,
      }
      local a, b = setmetatable({}, meta), setmetatable({}, meta)
      assert.equal("fieldr", a.field)
      assert.equal("r", a + b)
      assert.equal("r", a()[1].id)
      assert.equal("r", tostring(a))
      assert.is_true(a < b)
      return a .. b == "r"
    end)
  end)

  it("in the metamethods of its own arguments", function()
    in_tasks(function()
      local fields = setmetatable({}, { __index = function(_, name)
        if name == "rolesOnly" then return #ask "inner" == 1 end
      end })
      local roles = client.users:roles("outer", fields)
      return roles[1].id == "r"
    end)
    assert.equal(3, server:paths()["/tenants/users/outer/roles?rolesOnly=true"])
  end)

  it("in a finaliser", function()
    in_tasks(function()
      local result
      setmetatable({}, { __gc = function() result = ask() end })
      collectgarbage()
      collectgarbage()
      return _VERSION == "Lua 5.1" or result[1].id == "r"
    end)
  end)

  it("while a variable is closed", function()
    local chunk = load [[
      local ask = ...
      return function()
        local result
        do
          local _ <close> = setmetatable({}, { __close = function() result = ask() end })
          ask()
        end
        return result[1].id == "r"
      end
    ]]
    if chunk then in_tasks(chunk(ask)) end
  end)
end)
