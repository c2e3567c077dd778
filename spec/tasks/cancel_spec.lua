-- SPDX-License-Identifier: MIT
-- cancel, and the tasks of a run that has ended.
local raw = require "spec.support.server"
local setting = require "spec.tasks.setting"

local ask, connect = setting.ask, setting.connect
local start, start_answering = setting.start, setting.start_answering
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end)

describe("cancel", function()
  local late, hanging, began = { { hang = true } }, nil, nil

  before_each(function()
    start({ answers = late }, { max_in_flight = 4, max_retries = 0 })
    hanging = function() return client.users:roles "hangs" end
    began = raw.now()
  end)

  -- A call that was not cancelled takes 30 seconds.
  after_each(function() assert.is_true(raw.now() - began < 15) end)

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
        server:let_arrive(1)
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
      server:let_arrive(1)
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
    for path in pairs(server:paths()) do assert.equal("/tenants/users/hangs/roles", path) end
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
    start({ answers = { { status = 429, headers = { ["Retry-After"] = "50" } } } },
      { max_in_flight = 4, max_retry_wait = 100, on_event = function() end })
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

  it("of a task that waits in a callback of C takes effect at its next call", function()
    client:run(function(tasks)
      local task
      task = tasks:spawn(function()
        local _ = ("x"):gsub("x", function()
          tasks:wait(tasks:spawn(function() tasks:cancel(task) end))
        end)
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
    assert.matches("^[^\n]*%a+_spec.lua:%d+: the run has ended", err)
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
