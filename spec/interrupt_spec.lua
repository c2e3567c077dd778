-- SPDX-License-Identifier: MIT
-- Ctrl-C. A child process is interrupted while it waits somewhere in the library: the wait
-- raises "interrupted!" at once, the request is gone, and the client works on. The
-- interpreter's signal handler only sets a debug hook on the main thread, so all of this is
-- work of the library.
local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local process = require "spec.support.process"
local raw = require "spec.support.server"

local HANG, EMPTY = { hang = true }, { body = "[]" }
local AT_ONCE = 5 -- seconds; what is not interrupted lasts 30 at least

local server, children

before_each(function() children = {} end)

after_each(function()
  if server then server:stop() end
  server = nil
  for _, child in ipairs(children) do helper.end_lua(child) end
end)

local PRELUDE = [[
local cipherscale, core = require "cipherscale", require "cipherscale.core"
local process = require "spec.support.process"
io.stdout:setvbuf "line"
local options = { api_key = "0123456789", base_url = os.getenv "URL", max_in_flight = 4,
  max_retry_wait = 1000, total_timeout = 1000, timeout = 30 }
for name, value in os.getenv "OPTIONS":gmatch "(%S+)=(%S+)" do
  options[name] = tonumber(value) or value
end
local client = cipherscale.new(options)
local function ask(id) return assert(client.users:roles(id or "u1")) end
]]

-- `body` is what is interrupted; the rest says what came of it.
local REPORT = [[
local function body(...)
%s
end
local ok, err = pcall(body)
print(ok, (tostring(err):match "^[^\n]*"))
local usable, problem = client.users:roles "after"
print(core.in_use(client), usable and "usable" or problem, debug.gethook())
local run, again = pcall(client.run, client, function() return client.users:roles "after" end)
print(run, again and "usable", core.in_use(client))
]]

local function start_child(script, env)
  local child = helper.start_lua(script, env)
  children[#children + 1] = child
  return child
end

local function child_of(body, options, env)
  env = env or {}
  env.URL, env.OPTIONS = server.url, options or ""
  return start_child(PRELUDE .. REPORT:format(body), env)
end

local function assert_interrupted(child, since)
  assert.matches("^false\t.*interrupted!$", child.pipe:read "*l")
  assert.is_true(raw.now() - since < AT_ONCE)
  assert.equal("0\tusable\tnil", child.pipe:read "*l")
  assert.equal("true\tusable\t0", child.pipe:read "*l")
  assert.is_nil(child.pipe:read "*l")
end

-- Runs `body` against `answers`, interrupts it after n requests, and checks what it reports.
local function interrupt(body, answers, n, options)
  server = raw.start { answers = answers }
  local child = child_of(body, options)
  assert.is_true(server:wait(n or 1))
  local since = raw.now()
  assert.is_true(process.interrupt(child.pid))
  assert_interrupted(child, since)
  return child
end

describe("Ctrl-C in a blocking call", function()
  it("in the main thread raises at once", function()
    interrupt("ask()", { HANG, EMPTY })
  end)

  it("in a coroutine raises at once", function()
    interrupt("coroutine.wrap(ask)()", { HANG, EMPTY })
  end)

  it("in a coroutine of a coroutine raises at once", function()
    interrupt("coroutine.wrap(function() coroutine.wrap(ask)() end)()", { HANG, EMPTY })
  end)

  it("in a coroutine is an error there, which can be caught", function()
    interrupt([[
      coroutine.wrap(function()
        local ok, message = pcall(ask)
        error(not ok and message, 0)
      end)()
    ]], { HANG, EMPTY })
  end)

  it("in the callback of a C function raises at once", function()
    interrupt("table.sort({ 2, 1 }, function() ask() end)", { HANG, EMPTY })
  end)

  it("in a metamethod of another call's arguments raises at once, and sends neither", function()
    interrupt([[
      client.users:roles("outer", setmetatable({}, { __index = function() ask "inner" end }))
    ]], { HANG, EMPTY })
    for _, request in ipairs(server:requests()) do
      assert.is_nil(request.path:find("outer", 1, true))
    end
  end)

  it("in an on_event that calls raises at once", function()
    interrupt([[
      local told
      options.on_event = function()
        if not told then
          told = true
          ask "inner"
        end
      end
      client = cipherscale.new(options)
      ask "outer"
    ]], { EMPTY, HANG, EMPTY }, 2)
  end)

  it("that waits for a repeat raises at once, and repeats nothing", function()
    -- A change: reads go on while changes wait.
    local busy = { status = 429, headers = { ["Retry-After"] = "500" } }
    interrupt("client.users:invite 'u1'", { busy, EMPTY })
    assert.equal(3, server:count())
  end)

  it("that waits for its turn by rate raises at once, and is not sent", function()
    server = raw.start { answers = { EMPTY } }
    local child = child_of([[
      ask "first"
      options.rate = nil
      local slow = client
      client = cipherscale.new(options)
      ask "second"
      local _ = slow.users:roles "never"
    ]], "rate=0.001")
    assert.is_true(server:wait(2))
    local since = raw.now()
    process.interrupt(child.pid)
    assert_interrupted(child, since)
    assert.equal(4, server:count())
  end)

  it("that shakes hands for TLS raises at once", function()
    server = raw.start { answers = { EMPTY } }
    local child = child_of [[
      local plain = client
      options.base_url = options.base_url:gsub("^http", "https")
      client = cipherscale.new(options)
      local _ <close> = setmetatable({}, { __close = function() client = plain end })
      ask()
    ]]
    local give_up = raw.now() + 10
    while server:connections() < 1 and raw.now() < give_up do raw.nap(0.002) end
    local since = raw.now()
    process.interrupt(child.pid)
    assert_interrupted(child, since)
  end)

  it("ends the request: its connection is closed while the client works on", function()
    server = raw.start { answers = { HANG } }
    local child = child_of("ask()")
    assert.is_true(server:wait(1))
    process.interrupt(child.pid)
    assert.is_true(server:wait(2))
    assert.is_true(server:wait_open(1))
  end)

  it("that comes just before it raises at once", function()
    local hanging = raw.start { answers = { HANG } }
    server = raw.start { answers = { EMPTY } }
    for _, wrap in ipairs { "", "coroutine.wrap" } do
      local child = child_of(([[
        options.base_url = os.getenv "HANGING"
        local stuck = cipherscale.new(options);
        %s(function()
          process.interrupt(process.pid())
          local _ = stuck.users:roles "u1"
        end)()
      ]]):format(wrap), nil, { HANGING = hanging.url })
      assert_interrupted(child, raw.now())
    end
    hanging:stop()
  end)

  it("does not get lost between many short calls in a coroutine", function()
    for _ = 1, 5 do
      interrupt("coroutine.wrap(function() while true do ask() end end)()", { EMPTY }, 50)
      server:stop()
    end
  end)

  it("leaves the debug hooks of the program as they were", function()
    interrupt([[
      local function nothing() end
      local thread = coroutine.create(function()
        local ok, err = pcall(ask)
        assert(not ok)
        error(debug.gethook() == nothing and err or "the hook is gone", 0)
      end)
      debug.sethook(thread, nothing, "r", 1000)
      local _, err = coroutine.resume(thread)
      error(err, 0)
    ]], { HANG, EMPTY })
  end)
end)

describe("Ctrl-C in a run", function()
  it("while tasks wait for answers raises at once", function()
    interrupt([[
      client:run(function(tasks)
        for _ = 1, 3 do tasks:spawn(ask) end
        ask()
      end)
    ]], { HANG, HANG, HANG, HANG, EMPTY }, 3)
  end)

  it("in tasks:wait, for one and for all, raises at once", function()
    for _, wait in ipairs { "tasks:wait(tasks:spawn(ask))", "tasks:spawn(ask) tasks:wait()" } do
      interrupt("client:run(function(tasks) " .. wait .. " end)", { HANG, EMPTY })
      server:stop()
    end
  end)

  it("in tasks:spawn that waits for room raises at once", function()
    interrupt("client:run(function(tasks) for _ = 1, 9 do tasks:spawn(ask) end end)",
      { HANG, HANG, HANG, HANG, EMPTY }, 4)
  end)

  it("in map raises at once", function()
    interrupt([[
      client:run(function(tasks)
        for _ in tasks:map({ "a", "b", "c", "d", "e", "f" }, ask) do error "not reached" end
      end)
    ]], { HANG, HANG, HANG, HANG, EMPTY }, 4)
  end)

  it("in a coroutine raises at once", function()
    interrupt([[
      coroutine.wrap(function() client:run(function(tasks) tasks:wait(tasks:spawn(ask)) end) end)()
    ]], { HANG, EMPTY })
  end)

  it("within a run raises at once", function()
    interrupt([[
      client:run(function()
        client:run(function(tasks) tasks:wait(tasks:spawn(ask)) end)
      end)
    ]], { HANG, EMPTY })
  end)

  it("within a run, in the callback of a C function, raises at once", function()
    interrupt([[
      client:run(function(outer)
        outer:spawn(function() pcall(ask) end)
        local _ = ("x"):gsub("x", function()
          client:run(function(tasks)
            tasks:spawn(ask)
            ask()
          end)
        end)
      end)
    ]], { HANG, HANG, HANG, EMPTY }, 3)
  end)

  it("of another client's tasks raises at once", function()
    interrupt([[
      local other = cipherscale.new(options)
      local ok, err = pcall(other.run, other, function(tasks)
        tasks:spawn(function() client:run(function() ask() end) end)
      end)
      assert(core.in_use(other) == 0, "in use")
      error(err:match "^[^\n]*", 0)
    ]], { HANG, EMPTY })
  end)

  it("while a task computes raises as soon as it yields, waits or ends", function()
    for _, last in ipairs { "ask()", "coroutine.yield()", "" } do
      server = raw.start { answers = { EMPTY } }
      local child = child_of(([[
        client:run(function(tasks)
          tasks:spawn(function()
            process.interrupt(process.pid())
            %s
          end)
          for _ = 1, 10 do coroutine.yield() end
          ask()
        end)
      ]]):format(last))
      assert_interrupted(child, raw.now())
      server:stop()
    end
  end)

  it("raises although a task yields for ever", function()
    interrupt([[
      client:run(function(tasks)
        tasks:spawn(ask)
        coroutine.yield()
        while true do coroutine.yield() end
      end)
    ]], { HANG, EMPTY })
  end)

  it("while a task computes, in a run in a coroutine, does not get lost", function()
    server = raw.start { answers = { EMPTY } }
    local child = child_of [[
      coroutine.wrap(function()
        client:run(function(tasks)
          tasks:spawn(function() process.interrupt(process.pid()) end)
          for _ = 1, 1000 do ask() end
        end)
      end)()
    ]]
    assert_interrupted(child, raw.now())
  end)

  it("lets every task clean up, and those who wait for others", function()
    local child = interrupt([[
      local cleaned = 0
      local function clean(fn)
        return function(...)
          local ok, err = pcall(fn, ...)
          cleaned = cleaned + 1
          if not ok then error(err, 0) end
        end
      end
      local ok, err = pcall(client.run, client, clean(function(tasks)
        local caller = tasks:spawn(clean(ask))
        local waiter = tasks:spawn(clean(function() tasks:wait(caller) end))
        tasks:spawn(clean(function() tasks:wait(waiter) end))
        tasks:spawn(clean(function()
          tasks:spawn(clean(ask))
          tasks:wait()
        end))
        tasks:wait()
      end))
      if cleaned ~= 6 then err = cleaned .. " cleaned up" end
      error(err, 0)
    ]], { HANG, HANG, EMPTY }, 2)
    assert.is_table(child)
  end)
end)

describe("an error that strikes a run at any instruction", function()
  -- As the interpreter's hook does it: once, on the main thread, and in no task.
  local function strike_after(n)
    debug.sethook(function()
      debug.sethook()
      error("struck", 0)
    end, "", n)
  end

  after_each(function() debug.sethook() end)

  it("leaves nothing in use, and the client and its next run unharmed", function()
    server = raw.start { answers = { EMPTY } }
    local client = helper.client(server, { max_in_flight = 3 })
    local function ask() return client.users:roles "u1" end
    local function run(tasks)
      local first = tasks:spawn(function()
        pcall(ask)
        return #ask()
      end)
      tasks:spawn(function() tasks:wait(first) end)
      client:run(function(inner)
        inner:spawn(ask)
        ask()
      end)
      for _ in tasks:map({ 1, 2, 3, 4 }, ask) do coroutine.yield() end
      tasks:wait()
      return "whole"
    end
    local n, whole = 0, false
    repeat
      n = n + 1 + math.floor(n / 100)
      local ok, result = pcall(function()
        strike_after(n)
        local result = client:run(run)
        debug.sethook()
        return result
      end)
      debug.sethook()
      assert.equal(0, core.in_use(client))
      if ok then
        whole = result == "whole"
      else
        assert.matches("^struck", tostring(result))
        if n % 20 == 0 then assert.equal("whole", client:run(run)) end
      end
    until ok
    assert.is_true(whole)
    assert.equal("whole", client:run(run))
    assert.equal(0, core.in_use(client))
    client:close()
  end)
end)
