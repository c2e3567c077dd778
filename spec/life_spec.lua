-- SPDX-License-Identifier: MIT
-- How a client ends unclosed: forgotten, with the Lua state, in a thread, in a forked child.
-- Nothing is kept, and nobody else is harmed.
local cipherscale = require "cipherscale"
local helper = require "spec.support.helper"
local nginx = require "spec.support.nginx"
local process = require "spec.support.process"
local setting = require "spec.support.setting"

local EMPTY, HANG = { body = "[]" }, { hang = true }

local connect, serve = setting.connect, setting.serve
local server

setting.install(after_each, function(_, a_server) server = a_server end)

describe("a client that is forgotten", function()
  local function collect()
    collectgarbage()
    collectgarbage()
  end

  it("lets its connections and descriptors go", function()
    serve { EMPTY }
    collect()
    local before = process.descriptors()
    do
      local client = helper.client(server)
      assert.same({}, client.users:roles "u1")
      assert.is_true(process.descriptors() > before)
      client = nil -- luacheck: ignore
    end
    collect()
    assert.is_true(server:wait_open(0))
    assert.equal(before, process.descriptors())
  end)

  it("after a run, with its tasks and methods, is forgotten all the same", function()
    serve { EMPTY }
    local weak = setmetatable({}, { __mode = "v" })
    do
      local client = helper.client(server, { on_event = function() return weak end })
      client:run(function(tasks)
        local kept = { client = client, tasks = tasks }
        tasks:spawn(function() return kept, client.users:roles "u1" end)
      end)
      weak.client = client
    end
    collect()
    assert.is_nil(weak.client)
    assert.is_true(server:wait_open(0))
  end)

  it("lives on in each of its methods, resources and tasks", function()
    serve { EMPTY }
    local users, tasks, run
    local function keep()
      local client = helper.client(server)
      users, run = client.users, client.run
      client:run(function(t) tasks = t end)
    end
    keep()
    collect()
    local roles = users.roles
    assert.same({}, roles(users, "u1"))
    users = nil -- luacheck: ignore
    collect()
    tasks:wait()
    assert.is_false(pcall(run, nil, print))
    assert.equal(1, server:count())
  end)

  it("is not forgotten while its call is under way", function()
    serve { { body = "[]", delay = 0.05 } }
    local function ask()
      return helper.client(server).users:roles "u1", collect()
    end
    local thread = coroutine.create(ask)
    local _, roles = coroutine.resume(thread)
    assert.same({}, roles)
    roles = helper.client(server):run(function(tasks)
      tasks:spawn(collect)
      coroutine.yield()
      return "through"
    end)
    assert.equal("through", roles)
  end)

  it("with a failed operation's record kept is forgotten", function()
    serve { { status = 404 } }
    local weak = setmetatable({}, { __mode = "v" })
    local record
    do
      local client = helper.client(server)
      record = select(2, client.users:get "u1")
      weak.client = client
    end
    collect()
    assert.is_nil(weak.client)
    assert.matches("404", tostring(record))
  end)
end)

describe("two hundred clients", function()
  for how, finish in pairs {
    closed = function(client) client:close() end,
    forgotten = function() end,
    ["closed while a call was under way"] = function(client)
      client:run(function(tasks)
        tasks:spawn(function() client.users:roles("u1", nil, { timeout = 30 }) end)
        coroutine.yield()
        client:close()
      end)
    end,
  } do
    it(how .. " leave no descriptor behind", function()
      serve { EMPTY }
      collectgarbage()
      collectgarbage()
      local before = process.descriptors()
      for _ = 1, 200 do
        local client = helper.client(server)
        assert.same({}, client.users:roles "u1")
        finish(client)
        client = nil -- luacheck: ignore
      end
      collectgarbage()
      collectgarbage()
      assert.is_true(server:wait_open(0))
      assert.equal(before, process.descriptors())
    end)
  end

  it("that could not be made leave no descriptor behind", function()
    collectgarbage()
    collectgarbage()
    local before = process.descriptors()
    for _ = 1, 200 do
      assert.is_false(pcall(cipherscale.new, { api_key = "k", base_url = "http://example.com" }))
      assert.is_false(pcall(cipherscale.new, { api_key = "", base_url = "http://127.0.0.1:1" }))
    end
    collectgarbage()
    collectgarbage()
    assert.equal(before, process.descriptors())
  end)
end)

describe("a program that is started while connections are kept", function()
  -- libcurl's own wake-up pair does get there; it holds no connection.
  it("does not get them", function()
    serve { EMPTY }
    local client = connect()
    client.users:roles "u1"
    local pipe = assert(io.popen "ls -l /proc/self/fd")
    local text = pipe:read "*a"
    pipe:close()
    local file = assert(io.open "/proc/net/tcp")
    local connections = file:read "*a"
    file:close()
    assert.is_nil(text:find("eventpoll", 1, true))
    for inode in text:gmatch "socket:%[(%d+)%]" do
      assert.is_nil(connections:find(" " .. inode .. " ", 1, true))
    end
  end)
end)

describe("the end of the Lua state", function()
  local PRELUDE = [[
    local cipherscale = require "cipherscale"
    local options = { api_key = "0123456789", base_url = os.getenv "URL", max_in_flight = 4 }
    local client = cipherscale.new(options)
    local function leave() os.exit(0, true) end
    local function finally(fn) setmetatable({}, { __gc = fn }) end
  ]]

  for where, script in pairs {
    ["with a client that was used"] = "client.users:roles 'u1'",
    ["with many clients"] = [[
      all = {}
      for i = 1, 20 do
        all[i] = cipherscale.new(options)
        all[i].users:roles "u1"
        all[i].users:roles "u1"
      end
    ]],
    ["in a task, with others under way"] = [[
      client:run(function(tasks)
        for _ = 1, 2 do tasks:spawn(function() client.users:roles "hangs" end) end
        coroutine.yield()
        leave()
      end)
    ]],
    ["in on_event"] = [[
      options.on_event = leave
      client = cipherscale.new(options)
      client.users:roles "u1"
    ]],
    ["in on_event of a run"] = [[
      options.on_event = leave
      client = cipherscale.new(options)
      client:run(function(tasks)
        for _ = 1, 3 do tasks:spawn(function() client.users:roles "u1" end) end
      end)
    ]],
    ["in a metamethod of arguments"] = [[
      client.users:roles("u1", setmetatable({}, { __index = leave }))
    ]],
    ["in a metamethod of arguments in a task"] = [[
      client:run(function(tasks)
        tasks:spawn(function() client.users:roles "hangs" end)
        coroutine.yield()
        client.users:roles("u1", setmetatable({}, { __index = leave }))
      end)
    ]],
    ["in a map's iterator"] = [[
      client:run(function(tasks)
        for _ in tasks:map(leave, print) do error "not reached" end
      end)
    ]],
    ["with finalisers that call before the client's own"] = [[
      finally(function() assert(client.users:roles "u1") end)
    ]],
    ["with finalisers that call after the client's own"] = [[
      local late
      finally(function()
        local ok, roles = pcall(late.users.roles, late.users, "u1")
        if ok and roles then io.write "an answer?" end
        pcall(late.run, late, function() late.users:roles "u1" end)
        if not tostring(late):find "closed" then io.write "not closed" end
        late:close()
      end)
      late = cipherscale.new(options)
      late.users:roles "u1"
    ]],
  } do
    it(where .. " is quiet", function()
      serve { EMPTY, EMPTY, HANG }
      server:stop()
      serve(script:find("hangs", 1, true) and { HANG } or { EMPTY })
      local output, code = helper.run_lua(PRELUDE .. script, { URL = server.url })
      assert.equal("", output)
      assert.equal(0, code)
      assert.is_true(server:wait_open(0))
    end)
  end
end)

describe("Lua states in several threads", function()
  it("each have clients of their own", function()
    serve { EMPTY }
    local results = process.threads(([[
      local number = ...
      local cipherscale = require "cipherscale"
      local calls = 0
      for _ = 1, 5 do
        local client = cipherscale.new {
          api_key = "0123456789", base_url = "%s", max_in_flight = 4, on_event = function() end }
        assert(client.users:roles "u1")
        client:run(function(tasks)
          for _ = 1, 20 do
            tasks:spawn(function()
              assert(client.users:update_roles("u1", { addedRoles = { "r" } }))
              calls = calls + 1
            end)
          end
        end)
        assert(not pcall(client.users.roles, client.users, nil))
        client:close()
      end
      return number .. ":" .. calls
    ]]):format(server.url), 8)
    for i = 1, 8 do assert.equal(i .. ":100", results[i]) end
    assert.equal(8 * 5 * 21, server:count())
  end)
end)

describe("a forked child", function()
  local function fork(fn)
    local how, text = process.fork(fn, 10)
    assert.equal("returned: ", how .. ": " .. (how == "returned" and "" or text))
    return text
  end

  it("gets kind closed from its parent's client, which says that it is closed", function()
    serve { EMPTY }
    local client = connect()
    client.users:roles "u1"
    assert.equal("closed closed closed", fork(function()
      local _, call = client.users:roles "u1"
      local _, invite = client.users:invite "u1"
      return ("%s %s %s"):format(call.kind, invite.kind, tostring(client):match "closed")
    end))
    assert.equal(1, server:count())
  end)

  it("leaves the connection to its parent, whatever it does with the client", function()
    serve { EMPTY }
    local client = connect()
    client.users:roles "u1"
    fork(function()
      client.users:roles "u1"
      client:close()
      client:close()
      client = nil
      collectgarbage()
      collectgarbage()
    end)
    assert.same({}, client.users:roles "u1")
    assert.equal(1, (server:connections()))
    assert.equal(2, server:count())
  end)

  it("leaves a TLS connection to its parent", function()
    local web = nginx.start { tls = true, block = nginx.answer(200, "$connection") }
    local client = helper.client(web, { ca_file = web.ca_file })
    local function connection() -- its number is no user, and thus in the error
      local _, err = client.users:get("u1", { max_retries = 0 })
      return assert(tonumber(err.body), tostring(err))
    end
    local number = connection()
    assert.equal(number, connection())
    fork(function()
      client:close()
      client = nil
      collectgarbage()
      collectgarbage()
    end)
    assert.equal(number, connection())
    client:close()
    web:stop()
  end)

  it("makes and uses a client of its own", function()
    serve { EMPTY }
    local client = connect()
    client.users:roles "u1"
    assert.equal("0 0", fork(function()
      local own = helper.client(server)
      local roles = assert(own.users:roles "u1")
      local more = own:run(function(tasks)
        return tasks:wait(tasks:spawn(function() return own.users:roles "u1" end))
      end)
      own:close()
      return #roles .. " " .. #more
    end))
    assert.same({}, client.users:roles "u1")
  end)

  it("of a run gets kind closed for what was under way, and the parent its answers", function()
    serve { { body = "[]", delay = 0.2 } }
    local client = connect { max_in_flight = 4 }
    client:run(function(tasks)
      local task = tasks:spawn(function() return client.users:roles "u1" end)
      coroutine.yield()
      local waiting = coroutine.wrap(function() return client.users:roles "u2" end)
      assert.equal("closed closed", fork(function()
        local _, first = waiting()
        local _, second = tasks:wait(task)
        return first.kind .. " " .. second.kind
      end))
      assert.same({}, tasks:wait(task))
    end)
    assert.equal(1, server:count())
  end)

  it("of a metamethod gets kind closed for the call that was being made", function()
    serve { EMPTY }
    local output, code = helper.run_lua([[
      local process = require "spec.support.process"
      local client = require "cipherscale".new {
        api_key = "0123456789", base_url = os.getenv "URL" }
      client.users:roles "first"
      local child
      local fields = setmetatable({}, { __index = function()
        child = child or process.branch()
      end })
      local roles, err = client.users:roles("u1", fields)
      if child == 0 then
        io.write(err.kind, " ")
        process.leave()
      end
      process.join(child)
      io.write(#roles)
    ]], { URL = server.url })
    assert.equal("closed 0", output)
    assert.equal(0, code)
    assert.equal(2, server:count())
  end)

  it("of on_event gets kind closed for the call that waits to be repeated", function()
    serve { { status = 429, headers = { ["Retry-After"] = "0.2" } }, EMPTY }
    for _, in_task in ipairs { "", "in a task" } do
      local output, code = helper.run_lua([[
        local process = require "spec.support.process"
        local child
        local client
        client = require "cipherscale".new {
          api_key = "0123456789", base_url = os.getenv "URL",
          on_event = function() child = child or process.branch() end }
        local function call()
          local roles, err = client.users:roles "u1"
          if child == 0 then
            io.write(err.kind, " ")
            process.leave()
          end
          process.join(child)
          io.write(#roles)
        end
        if os.getenv "IN_TASK" == "" then call() else client:run(call) end
      ]], { URL = server.url, IN_TASK = in_task })
      assert.equal("closed 0", output)
      assert.equal(0, code)
      server:stop()
      serve { { status = 429, headers = { ["Retry-After"] = "0.2" } }, EMPTY }
    end
  end)
end)
