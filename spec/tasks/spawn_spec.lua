-- SPDX-License-Identifier: MIT
-- spawn and wait, and what an error in a task does.
local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local setting = require "spec.tasks.setting"

local unpack = table.unpack or unpack
local ask, connect = setting.ask, setting.connect
local start, start_answering = setting.start, setting.start_answering
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
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
    assert.matches("^[^\n]*%a+_spec.lua:%d+: a task cannot wait for itself", err)
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
    assert.matches("^[^\n]*%a+_spec.lua:%d+: boom\nstack traceback:\n", err)
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
