-- SPDX-License-Identifier: MIT
-- client:run and what its function is given: spawn, wait, cancel, map. Whatever a task does,
-- nothing may be lost, run twice, or be left behind.
local cipherscale = require "cipherscale"
local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local raw = require "spec.support.server"

local unpack = table.unpack or unpack

local server, client, others

local function connect(options)
  local other = helper.client(server, options)
  others[#others + 1] = other
  return other
end

local function start(script, options)
  server = raw.start(script)
  client = connect(options)
end

-- Answers each request; a user's body names no one, the order tells them apart.
local function start_answering(options, delay)
  start({ answers = { { body = '[{"id":"r"}]', delay = delay } } }, options)
end

before_each(function() others = {} end)

after_each(function()
  for _, other in ipairs(others) do
    assert.equal(0, core.in_use(other))
    other:close()
  end
  if server then server:stop() end
  server, client = nil, nil
end)

local function ask(id)
  return client.users:roles(tostring(id or "u1"))
end

local function paths()
  local seen = {}
  for _, request in ipairs(server:requests()) do
    seen[request.path] = (seen[request.path] or 0) + 1
  end
  return seen
end

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
    assert.equal(10, paths()["/tenants/users/inner/roles"])
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
    assert.matches("tasks_spec.lua:%d+: bad argument", err)
    _, err = pcall(client.run, client, function(tasks) tasks:spawn(nil) end)
    assert.matches("^[^\n]*tasks_spec.lua:%d+: bad argument", err)
    _, err = pcall(client.run, client, function(tasks) tasks:wait {} end)
    assert.matches("^[^\n]*tasks_spec.lua:%d+: bad argument", err)
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
    start({ answers = { { body = "[]" } } }, { max_in_flight = 16 })
    server:stop()
    local answers = {}
    for i = 1, 60 do answers[i] = { status = 404, body = ('{"message":"n%d"}'):format(i) } end
    server = raw.start { answers = answers }
    client = connect { max_in_flight = 16 }
    local got = {}
    client:run(function(tasks)
      for i = 1, 60 do
        tasks:spawn(function()
          local value, err = client.users:get("u" .. i)
          assert.is_nil(value)
          got[err.path] = err.message
        end)
      end
    end)
    for i, request in ipairs(server:requests()) do
      assert.equal("n" .. i, got[request.path])
    end
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
    assert.equal(3, paths()["/tenants/users/outer/roles?rolesOnly=true"])
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

describe("spawn", function()
  before_each(function() start_answering { max_in_flight = 4 } end)

  it("hands the arguments on, and wait the results", function()
    client:run(function(tasks)
      local function echo(...) return select("#", ...), ... end
      local task = tasks:spawn(echo, 1, nil, "x", nil)
      assert.same({ 4, 1, nil, "x" }, { tasks:wait(task) })
      assert.same({ 0 }, { tasks:wait(tasks:spawn(echo)) })
      assert.equal(0, select("#", tasks:wait(tasks:spawn(function() end))))
      local many = {}
      for i = 1, 5000 do many[i] = i end
      assert.equal(5001, select("#", tasks:wait(tasks:spawn(echo, unpack(many)))))
    end)
  end)

  it("starts tasks in their order", function()
    local order = {}
    client:run(function(tasks)
      for i = 1, 20 do tasks:spawn(function() order[#order + 1] = i end) end
    end)
    for i = 1, 20 do assert.equal(i, order[i]) end
  end)

  it("waits while max_in_flight tasks are under way", function()
    local running, most = 0, 0
    client:run(function(tasks)
      for _ = 1, 30 do
        tasks:spawn(function()
          running = running + 1
          most = math.max(most, running)
          ask()
          running = running - 1
        end)
        assert.is_true(running <= 4)
      end
    end)
    assert.equal(4, most)
  end)

  it("refuses what is no function", function()
    client:run(function(tasks)
      assert.equal("bad argument #1 to 'spawn' (function expected, got nil)",
        helper.message_of(tasks.spawn, tasks))
      assert.equal("bad argument #1 to 'spawn' (function expected, got string)",
        helper.message_of(tasks.spawn, tasks, "print"))
    end)
  end)

  for _, limit in ipairs { 4, 1 } do
    it("of a thousand tasks that spawn tasks does not deadlock at max_in_flight = " .. limit,
      function()
        client = connect { max_in_flight = limit }
        local ended, calls = 0, 0
        client:run(function(tasks)
          for i = 1, 1000 do
            tasks:spawn(function()
              local child = tasks:spawn(function()
                tasks:spawn(function() ended = ended + 1 end)
                if i % 10 == 0 then
                  assert(ask("u" .. i))
                  calls = calls + 1
                end
                ended = ended + 1
                return i
              end)
              assert.equal(i, tasks:wait(child))
              ended = ended + 1
            end)
          end
          tasks:wait()
        end)
        assert.equal(3000, ended)
        assert.equal(100, calls)
        assert.equal(100, server:count())
      end)

    it("of a long chain of tasks does not deadlock at max_in_flight = " .. limit, function()
      client = connect { max_in_flight = limit }
      local function chain(tasks, n)
        if n == 0 then return ask()[1].id end
        return tasks:wait(tasks:spawn(chain, tasks, n - 1))
      end
      assert.equal("r", client:run(function(tasks) return chain(tasks, 500) end))
    end)
  end

  it("in the callback of a C function waits for nothing, and starts the task later", function()
    local ended = 0
    client:run(function(tasks)
      local _ = ("x"):rep(20):gsub("x", function()
        tasks:spawn(function()
          ask()
          ended = ended + 1
        end)
      end)
      assert.equal(0, ended)
    end)
    assert.equal(20, ended)
  end)
end)

describe("wait", function()
  before_each(function() start_answering { max_in_flight = 4 } end)

  it("for a task that has ended gives its results again and again", function()
    client:run(function(tasks)
      local task = tasks:spawn(function() return 1, 2 end)
      for _ = 1, 3 do assert.same({ 1, 2 }, { tasks:wait(task) }) end
    end)
  end)

  it("may be done by many for one", function()
    client:run(function(tasks)
      local first = tasks:spawn(function() return ask()[1].id end)
      local list = {}
      for i = 1, 10 do list[i] = tasks:spawn(function() return tasks:wait(first) end) end
      for i = 1, 10 do assert.equal("r", tasks:wait(list[i])) end
    end)
  end)

  it("without a task waits for all that the running one has spawned", function()
    client:run(function(tasks)
      local ended = 0
      for _ = 1, 10 do
        tasks:spawn(function()
          ask()
          ended = ended + 1
        end)
      end
      tasks:wait()
      assert.equal(10, ended)
      tasks:wait()
    end)
  end)

  it("works in the callbacks of C functions and in coroutines", function()
    client:run(function(tasks)
      local text = ("ab"):gsub("%a", function(c)
        return tasks:wait(tasks:spawn(function() return c .. ask()[1].id end))
      end)
      assert.equal("arbr", text)
      local nested = coroutine.wrap(function()
        local ended = 0
        for _ = 1, 10 do
          tasks:spawn(function()
            ask()
            ended = ended + 1
          end)
        end
        tasks:wait()
        return ended
      end)
      assert.equal(10, nested())
    end)
  end)

  it("works in the callbacks of C functions in hundreds of tasks at once", function()
    local done = 0
    client:run(function(tasks)
      for _ = 1, 400 do
        tasks:spawn(function()
          local text = ("x"):gsub("x", function()
            return tasks:wait(tasks:spawn(function()
              coroutine.yield()
              return "y"
            end))
          end)
          assert.equal("y", text)
          done = done + 1
        end)
      end
    end)
    assert.equal(400, done)
  end)

  it("of a task for itself, or for those that wait for it, raises instead of hanging", function()
    local _, err = pcall(client.run, client, function(tasks)
      local task
      task = tasks:spawn(function()
        ask()
        tasks:wait(task)
      end)
      tasks:wait(task)
    end)
    assert.matches("^[^\n]*tasks_spec.lua:%d+: a task cannot wait for itself", err)
    _, err = pcall(client.run, client, function(tasks)
      local a, b
      a = tasks:spawn(function()
        ask()
        tasks:wait(b)
      end)
      b = tasks:spawn(function()
        ask()
        tasks:wait(a)
      end)
      tasks:wait(a)
    end)
    assert.matches("wait for each other", tostring(err), 1, true)
    assert.equal(1, client:run(function() return #ask() end))
  end)

  it("refuses what is no task of this client", function()
    local other = connect()
    client:run(function(tasks)
      assert.equal("bad argument #1 to 'wait' (task expected, got table)",
        helper.message_of(tasks.wait, tasks, {}))
      assert.equal("bad argument #1 to 'cancel' (task expected, got string)",
        helper.message_of(tasks.cancel, tasks, "x"))
      assert.equal("bad argument #1 to 'wait' (task expected, got boolean)",
        helper.message_of(tasks.wait, tasks, false))
      other:run(function(others_tasks)
        local task = others_tasks:spawn(function() end)
        assert.equal("bad argument #1 to 'wait' (the task of another client)",
          helper.message_of(tasks.wait, tasks, task))
        assert.equal("bad argument #1 to 'cancel' (the task of another client)",
          helper.message_of(tasks.cancel, tasks, task))
      end)
    end)
  end)
end)

describe("an error in a task", function()
  before_each(function()
    start({ answers = { { body = "[]" }, { hang = true } } }, { max_in_flight = 4 })
  end)

  local function raised(value)
    local ok, err = pcall(client.run, client, function(tasks)
      tasks:spawn(function() error(value, 0) end)
      tasks:wait()
    end)
    assert.is_false(ok)
    return err
  end

  it("that is a string is raised by run with its traceback", function()
    local function inner_function() error "boom" end
    local _, err = pcall(client.run, client, function(tasks)
      tasks:spawn(function()
        ask()
        inner_function()
      end)
    end)
    assert.matches("^[^\n]*tasks_spec.lua:%d+: boom\nstack traceback:\n", err)
    assert.matches("inner_function", err, 1, true)
  end)

  it("that is another value is raised as it is", function()
    local value = setmetatable({}, { __tostring = function() return "mine" end })
    assert.equal(value, raised(value))
    assert.equal(42, raised(42))
    assert.equal(false, raised(false))
    assert.equal(print, raised(print))
  end)

  it("that is nil is raised, too", function()
    local ok = pcall(client.run, client, function(tasks)
      tasks:spawn(function() error() end)
    end)
    assert.is_false(ok)
  end)

  it("that is an error record is raised as it is", function()
    local record = core.error { kind = "cancelled", message = "not by us" }
    assert.equal(record, raised(record))
  end)

  it("of run's own function is raised the same way", function()
    local value = {}
    assert.equal(value, select(2, pcall(client.run, client, function() error(value) end)))
    local _, err = pcall(client.run, client, function() error "boom" end)
    assert.matches("boom\nstack traceback:\n", err, 1, true)
  end)

  it("cancels the others: their calls return, and what they do then is heard", function()
    local kinds, err = {}, nil
    local ok, raised_error = pcall(client.run, client, function(tasks)
      ask()
      for i = 1, 3 do
        tasks:spawn(function()
          err = select(2, ask("hangs" .. i))
          kinds[i] = err.kind
        end)
      end
      coroutine.yield()
      error("boom", 0)
    end)
    assert.is_false(ok)
    assert.matches("^boom", raised_error)
    assert.same({ "cancelled", "cancelled", "cancelled" }, kinds)
    assert.is_true(server:wait_open(1))
  end)

  it("is the first one; those of cancelled tasks do not replace it", function()
    local _, err = pcall(client.run, client, function(tasks)
      ask()
      tasks:spawn(function()
        ask "hangs"
        error("second", 0)
      end)
      coroutine.yield()
      error("first", 0)
    end)
    assert.matches("^first", err)
  end)

  it("leaves the client usable, and the next run unharmed", function()
    raised "boom"
    assert.same({}, client:run(function() return ask() end))
  end)

  it("closes the variables that its task had to close", function()
    local chunk = load [[
      local note = ...
      local _ <close> = setmetatable({}, { __close = function() note() end })
      error("boom", 0)
    ]]
    if not chunk then return end
    local closed = false
    pcall(client.run, client, function(tasks)
      tasks:spawn(chunk, function() closed = true end)
    end)
    assert.is_true(closed)
  end)
end)

describe("cancel", function()
  local late, hanging = { { hang = true } }, nil

  before_each(function()
    start({ answers = late }, { max_in_flight = 4, max_retries = 0 })
    hanging = function() return client.users:roles "hangs" end
  end)

  local function assert_cancelled(err)
    assert.equal("cancelled", err.kind)
    assert.matches("cancelled", tostring(err), 1, true)
  end

  it("ends a pending call with kind cancelled, and its connection", function()
    client:run(function(tasks)
      local task = tasks:spawn(function()
        local value, err = client.users:invite "hangs"
        assert.is_nil(value)
        assert_cancelled(err)
        assert.equal("users.invite", err.operation)
        return "went on"
      end)
      local watcher = tasks:spawn(function()
        client.users:roles("other", nil, { timeout = 0.05 })
        tasks:cancel(task)
      end)
      assert.equal("went on", tasks:wait(task))
      tasks:wait(watcher)
    end)
    assert.is_true(server:wait_open(0))
  end)

  it("leaves an invitation that was sent in doubt, and one that was not sent not", function()
    local sent, unsent
    client:run(function(tasks)
      local first = tasks:spawn(function() sent = select(2, client.users:invite "u1") end)
      client.users:roles("other", nil, { timeout = 0.05 })
      local second = tasks:spawn(function() unsent = select(2, client.users:invite "u2") end)
      coroutine.yield()
      tasks:cancel(first)
      tasks:cancel(second)
    end)
    assert.is_true(sent.ambiguous)
    assert_cancelled(unsent)
    assert.is_nil(unsent.ambiguous)
    assert.is_nil(unsent.status)
  end)

  it("makes every later call in the task raise", function()
    local errors = {}
    client:run(function(tasks)
      local task = tasks:spawn(function()
        hanging()
        for i = 1, 2 do errors[i] = select(2, pcall(hanging)) end
        errors[3] = select(2, pcall(tasks.spawn, tasks, function() end))
        errors[4] = select(2, pcall(tasks.wait, tasks))
        errors[5] = select(2, pcall(client.run, client, function() end))
        errors[6] = select(2, coroutine.resume(coroutine.create(function()
          return client.users:roles("u2", nil, { timeout = 0.02 })
        end)))
        hanging()
        error "not reached"
      end)
      coroutine.yield()
      tasks:cancel(task)
      local value, err = tasks:wait(task)
      assert.is_nil(value)
      assert_cancelled(err)
    end)
    assert.equal(6, #errors)
    for i = 1, 6 do assert_cancelled(errors[i]) end
    for path in pairs(paths()) do assert.equal("/tenants/users/hangs/roles", path) end
  end)

  it("keeps a task that has not begun from beginning", function()
    local begun = false
    client:run(function(tasks)
      local task = tasks:spawn(function() begun = true end)
      tasks:cancel(task)
      local value, err = tasks:wait(task)
      assert.is_nil(value)
      assert_cancelled(err)
    end)
    assert.is_false(begun)
  end)

  it("ends a wait for another task, and a wait for all", function()
    client:run(function(tasks)
      local slow = tasks:spawn(hanging)
      local one = tasks:spawn(function() tasks:wait(slow) end)
      local all = tasks:spawn(function()
        tasks:spawn(hanging)
        tasks:wait()
      end)
      coroutine.yield()
      coroutine.yield()
      tasks:cancel(one)
      tasks:cancel(all)
      assert_cancelled(select(2, tasks:wait(one)))
      assert_cancelled(select(2, tasks:wait(all)))
      tasks:cancel()
    end)
  end)

  it("ends the wait for a repeat", function()
    server:stop()
    server = raw.start { answers = { { status = 429, headers = { ["Retry-After"] = "50" } } } }
    client = connect { max_in_flight = 4, max_retry_wait = 100, on_event = function() end }
    local before = raw.now()
    client:run(function(tasks)
      local task = tasks:spawn(function() return select(2, client.users:invite "u1") end)
      tasks:spawn(function()
        client.users:roles("u2", nil, { max_retries = 0 })
        tasks:cancel(task)
      end)
      local err = tasks:wait(task)
      assert_cancelled(err)
      assert.is_nil(err.ambiguous)
    end)
    assert.is_true(raw.now() - before < 20)
  end)

  it("ends a spawner that waits for room", function()
    client = connect { max_in_flight = 2, max_retries = 0 }
    client:run(function(tasks)
      local spawner
      spawner = tasks:spawn(function()
        for _ = 1, 10 do tasks:spawn(hanging) end
        error "not reached"
      end)
      for _ = 1, 5 do coroutine.yield() end
      tasks:cancel()
      local value, err = tasks:wait(spawner)
      assert.is_nil(value)
      assert_cancelled(err)
    end)
  end)

  it("ends a run within the task", function()
    client:run(function(tasks)
      local task = tasks:spawn(function()
        client:run(function(inner)
          inner:spawn(hanging)
          hanging()
        end)
      end)
      for _ = 1, 5 do coroutine.yield() end
      tasks:cancel(task)
      local value, err = tasks:wait(task)
      assert.is_nil(value)
      assert_cancelled(err)
    end)
  end)

  it("without a task cancels all of the run but the one that says so", function()
    local ended = {}
    client:run(function(tasks)
      for i = 1, 2 do
        tasks:spawn(function() ended[i] = select(2, hanging()).kind end)
      end
      tasks:spawn(function()
        coroutine.yield()
        tasks:cancel()
        ended[3] = select(2, client.users:roles("u1", nil, { timeout = 0.02 })).kind
      end)
      tasks:wait()
    end)
    assert.same({ "cancelled", "cancelled", "timeout" }, ended)
  end)

  it("of the running task by itself takes effect at its next call", function()
    client:run(function(tasks)
      local task
      task = tasks:spawn(function()
        tasks:cancel(task)
        client.users:roles("u1", nil, { timeout = 0.02 })
        return "not reached"
      end)
      local value, err = tasks:wait(task)
      assert.is_nil(value)
      assert_cancelled(err)
    end)
    assert.equal(0, server:count())
  end)

  it("of what has ended, or twice, does nothing", function()
    client:run(function(tasks)
      local done = tasks:spawn(function() return "done" end)
      assert.equal("done", tasks:wait(done))
      tasks:cancel(done)
      assert.equal("done", tasks:wait(done))
      local task = tasks:spawn(function() return select(2, hanging()).kind end)
      coroutine.yield()
      tasks:cancel(task)
      tasks:cancel(task)
      assert.equal("cancelled", tasks:wait(task))
    end)
  end)

  it("lets a task clean up, also with what takes several steps", function()
    local steps = {}
    client:run(function(tasks)
      local task = tasks:spawn(function()
        pcall(hanging)
        pcall(hanging)
        steps[#steps + 1] = "one"
        coroutine.yield()
        steps[#steps + 1] = "two"
        return "clean"
      end)
      coroutine.yield()
      tasks:cancel(task)
      assert.equal("clean", tasks:wait(task))
    end)
    assert.same({ "one", "two" }, steps)
  end)

  it("raises no error of the run, but an error of its clean-up is one", function()
    local ok, err = pcall(client.run, client, function(tasks)
      local task = tasks:spawn(function()
        pcall(hanging)
        error("clean-up failed", 0)
      end)
      coroutine.yield()
      tasks:cancel(task)
    end)
    assert.is_false(ok)
    assert.matches("^clean%-up failed", err)
  end)
end)

describe("the tasks of a run that has ended", function()
  local tasks, task

  before_each(function()
    start_answering { max_in_flight = 4 }
    client:run(function(t)
      tasks = t
      task = t:spawn(function() return "result" end)
    end)
  end)

  it("can be waited for and cancelled: they have ended", function()
    assert.equal("result", tasks:wait(task))
    tasks:wait()
    tasks:cancel(task)
    tasks:cancel()
    assert.equal("result", tasks:wait(task))
    client:run(function(others_tasks) assert.equal("result", others_tasks:wait(task)) end)
  end)

  it("get no sisters", function()
    local _, err = pcall(function() tasks:spawn(function() end) end)
    assert.matches("^[^\n]*tasks_spec.lua:%d+: the run has ended", err)
    _, err = pcall(function() for _ in tasks:map({ 1 }, ask) do error "not reached" end end)
    assert.matches("the run has ended", err, 1, true)
    client:run(function() assert.is_false(pcall(tasks.spawn, tasks, function() end)) end)
    assert.equal(0, server:count())
  end)

  it("get no sisters after a run that failed, either", function()
    pcall(client.run, client, function(t)
      tasks = t
      error "boom"
    end)
    assert.is_false(pcall(tasks.spawn, tasks, function() end))
  end)
end)

describe("map", function()
  before_each(function() start_answering { max_in_flight = 4 } end)

  local function numbers(n)
    local i = 0
    return function()
      i = i + 1
      if i <= n then return i end
    end
  end

  it("gives items and results in the order of the items", function()
    client:run(function(tasks)
      local n = 0
      for item, value, err in tasks:map(numbers(50), function(i)
        for _ = 1, i % 5 do coroutine.yield() end
        if i % 3 == 0 then assert(ask("u" .. i)) end
        return i * 2, -i
      end) do
        n = n + 1
        assert.equal(n, item)
        assert.equal(2 * n, value)
        assert.equal(-n, err)
      end
      assert.equal(50, n)
    end)
  end)

  it("takes lists and iterators, and false among the items", function()
    client:run(function(tasks)
      local got = {}
      for item in tasks:map({ "a", false, "c" }, function() end) do got[#got + 1] = item end
      assert.same({ "a", false, "c" }, got)
      for _ in tasks:map({}, error) do error "not reached" end
      for _ in tasks:map(function() end, error) do error "not reached" end
    end)
  end)

  it("takes the rows of a CSV file", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write("email\na@example.com\nb@example.com\n")
    file:close()
    local emails = {}
    client:run(function(tasks)
      for row in tasks:map(assert(cipherscale.csv(path)), function() end) do
        emails[#emails + 1] = row.email
      end
    end)
    os.remove(path)
    assert.same({ "a@example.com", "b@example.com" }, emails)
  end)

  it("calls an iterator no more after its end", function()
    local ends = 0
    client:run(function(tasks)
      local i = 0
      local function iterator()
        i = i + 1
        if i <= 6 then return i end
        ends = ends + 1
      end
      for _ in tasks:map(iterator, function() ask() end) do assert.equal(ends > 0, i > 6) end
    end)
    assert.equal(1, ends)
  end)

  it("keeps max_in_flight calls under way, and takes few items ahead", function()
    client = connect { max_in_flight = 8 }
    local taken, given = 0, 0
    client:run(function(tasks)
      local function iterator()
        if taken == 100 then return nil end
        taken = taken + 1
        return taken
      end
      for _ in tasks:map(iterator, function(i) return ask("u" .. i) end) do
        given = given + 1
        assert.is_true(taken - given <= 4 * 8)
      end
    end)
    assert.equal(100, given)
    assert.is_true((server:connections()) <= 8)
    assert.is_true((server:connections()) > 1)
  end)

  it("gives the errors of failed operations as values", function()
    server:stop()
    server = raw.start { answers = { { status = 404 } } }
    client = connect { max_in_flight = 4 }
    local count = 0
    client:run(function(tasks)
      for item, value, err in tasks:map({ "a", "b", "c" }, ask) do
        count = count + 1
        assert.is_nil(value)
        assert.equal(("/tenants/users/%s/roles"):format(item), err.path)
      end
    end)
    assert.equal(3, count)
  end)

  it("may be left early: what is under way ends, the rest is not taken", function()
    local taken = 0
    client:run(function(tasks)
      for item in tasks:map(function()
        taken = taken + 1
        return taken
      end, ask) do
        if item == 5 then break end
      end
    end)
    assert.is_true(taken >= 5 and taken <= 5 + 4 * 4)
  end)

  it("raises an error of its function from run, which ends it", function()
    local given = 0
    local ok, err = pcall(client.run, client, function(tasks)
      for _ in tasks:map(numbers(100), function(i)
        if i == 7 then error("item 7", 0) end
        return ask()
      end) do
        given = given + 1
      end
    end)
    assert.is_false(ok)
    assert.matches("^item 7", err)
    assert.is_true(given < 7)
  end)

  it("raises an error of its iterator from run", function()
    local ok, err = pcall(client.run, client, function(tasks)
      local i = 0
      for _ in tasks:map(function()
        i = i + 1
        if i == 3 then error("iterator", 0) end
        return i
      end, ask) do
        assert.is_true(i >= 1)
      end
    end)
    assert.is_false(ok)
    assert.matches("^iterator", err)
  end)

  it("works within map, in coroutines, and with calls in its iterator", function()
    local sum = 0
    client:run(function(tasks)
      local function inner(i)
        local n = 0
        for _, value in tasks:map(numbers(3), function(j) return #ask() * j end) do
          n = n + value
        end
        return n * i
      end
      local i = 0
      local function asking()
        if i < 4 then
          i = i + #ask "iterator"
          return i
        end
      end
      for _, value in tasks:map(asking, inner) do sum = sum + value end
      coroutine.wrap(function()
        for _, value in tasks:map(numbers(2), inner) do sum = sum + value end
      end)()
    end)
    assert.equal(6 * (1 + 2 + 3 + 4) + 6 * (1 + 2), sum)
  end)

  it("works with max_in_flight = 1", function()
    client = connect { max_in_flight = 1 }
    local sum = 0
    client:run(function(tasks)
      for _, value in tasks:map(numbers(20), function(i) return i * #ask() end) do
        sum = sum + value
      end
    end)
    assert.equal(210, sum)
  end)

  it("may be shared by several tasks: each item is given once", function()
    local given = {}
    client:run(function(tasks)
      local each = tasks:map(numbers(40), function(i) return i * #ask() end)
      for _ = 1, 2 do
        tasks:spawn(function()
          for item, value in each do
            assert.equal(item, value)
            given[item] = (given[item] or 0) + 1
            coroutine.yield()
          end
        end)
      end
    end)
    for i = 1, 40 do assert.equal(1, given[i]) end
  end)

  it("refuses wrong arguments", function()
    client:run(function(tasks)
      assert.equal("bad argument #1 to 'map' (list or iterator expected, got nil)",
        helper.message_of(tasks.map, tasks))
      assert.equal("bad argument #2 to 'map' (function expected, got nil)",
        helper.message_of(tasks.map, tasks, {}))
      assert.equal("bad argument #2 to 'map' (function expected, got table)",
        helper.message_of(function() tasks:map(pairs {}) end))
    end)
  end)

  it("cancelled ends", function()
    server:stop()
    server = raw.start { answers = { { hang = true } } }
    client = connect { max_in_flight = 4 }
    client:run(function(tasks)
      local mapper = tasks:spawn(function()
        for _ in tasks:map(numbers(100), ask) do error "not reached" end
      end)
      for _ = 1, 5 do coroutine.yield() end
      tasks:cancel()
      assert.equal("cancelled", select(2, tasks:wait(mapper)).kind)
    end)
  end)
end)

describe("a task that yields by itself", function()
  before_each(function() start_answering { max_in_flight = 4 } end)

  it("lets the others run, and goes on", function()
    local order = {}
    client:run(function(tasks)
      for name in ("ab"):gmatch "." do
        tasks:spawn(function()
          for i = 1, 3 do
            order[#order + 1] = name .. i
            assert.equal(0, select("#", coroutine.yield("dropped", i)))
          end
        end)
      end
    end)
    assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, order)
  end)

  it("until another's call is answered does not keep that call from being answered", function()
    local turns, answered = 0, false
    client:run(function(tasks)
      tasks:spawn(function()
        ask()
        answered = true
      end)
      local give_up = raw.now() + 2
      while not answered do
        turns = turns + 1
        if raw.now() > give_up then error "starved" end
        coroutine.yield()
      end
    end)
    assert.is_true(answered)
  end)
end)

describe("a task that blocks", function()
  it("in a coroutine does not spin while another's answer waits for it", function()
    start({ answers = { { body = "[]" }, { body = "[]", delay = 0.5 } } }, { max_in_flight = 4 })
    client:run(function(tasks)
      tasks:spawn(function() assert(ask "quick") end)
      coroutine.yield()
      local before = os.clock()
      coroutine.wrap(function() assert(ask "slow") end)()
      assert.is_true(os.clock() - before < 0.25)
    end)
  end)
end)

describe("two clients", function()
  it("each work in the other's tasks, and are each other's guests", function()
    start_answering({ max_in_flight = 4 }, 0.001)
    local a, b = client, connect { max_in_flight = 2 }
    local calls = 0
    local function call(c)
      assert.equal("r", c.users:roles("u1")[1].id)
      calls = calls + 1
    end
    a:run(function(of_a)
      for _ = 1, 5 do
        of_a:spawn(function()
          call(a)
          call(b)
          b:run(function(of_b)
            for _ = 1, 3 do
              of_b:spawn(function()
                call(b)
                call(a)
                of_a:spawn(function() call(a) end)
              end)
            end
            a:run(function(again)
              again:spawn(function()
                call(a)
                call(b)
              end)
              call(b)
            end)
          end)
          call(a)
        end)
      end
    end)
    assert.equal(5 * (2 + 9 + 3 + 1), calls)
  end)
end)

describe("a task's coroutine in other hands", function()
  local function survives(script)
    start_answering()
    local output, code = helper.run_lua([[
      local client = require "cipherscale".new {
        api_key = "0123456789", base_url = os.getenv "URL", max_in_flight = 4 }
      local function ask() return client.users:roles "u1" end
    ]] .. script .. [[
      assert(client:run(function() return ask() end))
      assert(require "cipherscale.core".in_use(client) == 0, "in use")
      io.write "well"
    ]], { URL = server.url })
    assert.equal("well", output)
    assert.equal(0, code)
  end

  it("that resume it while it waits harms nobody", function()
    survives [[
      pcall(client.run, client, function(tasks)
        local thread
        tasks:spawn(function()
          thread = coroutine.running()
          ask()
        end)
        coroutine.yield()
        coroutine.resume(thread, "not an answer")
        ask()
      end)
    ]]
  end)

  it("that resume it while it waits, to go on waiting, harms nobody", function()
    survives [[
      pcall(client.run, client, function(tasks)
        local thread
        tasks:spawn(function()
          thread = coroutine.running()
          ask()
          coroutine.yield()
          ask()
        end)
        coroutine.yield()
        coroutine.resume(thread, "not an answer")
        ask()
      end)
    ]]
  end)

  it("that close it while it waits harms nobody", function()
    survives [[
      pcall(client.run, client, function(tasks)
        local thread
        local task = tasks:spawn(function()
          thread = coroutine.running()
          ask()
        end)
        coroutine.yield()
        if coroutine.close then coroutine.close(thread) end
        tasks:wait(task)
      end)
    ]]
  end)

  it("that resume it while it runs are refused", function()
    survives [[
      client:run(function(tasks)
        tasks:spawn(function()
          local thread = coroutine.running()
          assert(not coroutine.resume(thread))
          coroutine.wrap(function() assert(not coroutine.resume(thread)) end)()
          ask()
        end)
      end)
    ]]
  end)
end)
