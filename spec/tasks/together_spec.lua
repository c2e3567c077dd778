-- SPDX-License-Identifier: MIT
-- Tasks beside others: that yield, that block, of two clients, in other hands.
local helper = require "spec.support.helper"
local raw = require "spec.support.server"
local setting = require "spec.tasks.setting"

local ask, connect = setting.ask, setting.connect
local start, start_answering = setting.start, setting.start_answering
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
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
      local give_up = raw.now() + 20
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

describe("an iterator of each that tasks share", function()
  -- What three tasks get out of it, sorted.
  local function shared(each)
    local got = {}
    client:run(function(tasks)
      for _ = 1, 3 do
        tasks:spawn(function()
          for item in each do
            got[#got + 1] = item.id
            assert(ask(item.id))
          end
        end)
      end
    end)
    table.sort(got)
    return table.concat(got, " ")
  end

  it("gives each item to one of them", function()
    setting.sandbox({ users = 50 }, { max_in_flight = 4 })
    local all = {}
    for i, user in ipairs(assert(client.users:list())) do all[i] = user.id end
    table.sort(all)
    assert.equal(table.concat(all, " "), shared(client.users:each { limit = 10 }))
  end)

  it("gives each item to one of them without a total, whoever is answered first", function()
    local first, last = { body = '[{"id":"a"},{"id":"b"},{"id":"c"}]' }, { body = "[]" }
    for _, resource in ipairs { "users", "policies" } do
      for late = 1, 3 do
        local answers = { first, first, first, last }
        answers[late] = { body = first.body, delay = 0.05 }
        start({ answers = answers }, { max_in_flight = 4 })
        assert.equal("a b c", shared(client[resource]:each()))
      end
    end
  end)

  it("is asked for without a limit by each that was refused it", function()
    local refused, page = { status = 400, body = "{}" }, '{"data":[{"id":"a"}],"hasNext":false}'
    start({ answers = { refused, { status = 400, body = "{}", delay = 0.05 }, refused,
      { body = page } } }, { max_in_flight = 4 })
    assert.equal("a", shared(client.users:each()))
  end)
end)
