-- SPDX-License-Identifier: MIT
--
-- The sandbox as its users hold it: starting, its client, what it received, its state, its end.

local now = require("cipherscale.core").now
local helper = require "spec.support.helper"
local process = require "spec.support.process"
local sandbox = require "cipherscale.sandbox"
local scratch = require "spec.support.scratch"
local wire = require "spec.sandbox.wire"

describe("cipherscale.sandbox", function()
  local server

  local function start(options)
    server = sandbox.start(options)
    return server
  end

  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  describe("start", function()
    it("serves the contract's base path on a free loopback port", function()
      start()
      assert.matches("^http://127%.0%.0%.1:%d+/qa$", server.url)
      assert.equal(401, (wire.send(server, { path = "/tenants/roles", key = false })))
    end)

    it("makes a new key for each server, or takes the given one", function()
      local other = sandbox.start()
      start()
      assert.are_not.equal(other.api_key, server.api_key)
      other:stop()
      server:stop()
      assert.equal("mine", start({ api_key = "mine" }).api_key)
    end)

    it("runs several servers at once, each with its own state", function()
      local other = sandbox.start { users = 3 }
      start { users = 1 }
      assert.equal(3, other:client().users:page().total)
      assert.equal(1, server:client().users:page().total)
      other:stop()
    end)

    it("takes a port, and says which one is in use", function()
      start()
      local port = tonumber(server.url:match(":(%d+)/"))
      assert.error_matches(function() sandbox.start { port = port } end,
        "cannot listen on 127.0.0.1:" .. port .. ": Address already in use")
      local url, again = server.url, nil
      for _ = 1, 5 do -- another process may take it between the next two lines
        server:stop()
        again = pcall(start, { port = port })
        if again then break end
        url = start().url
        port = tonumber(url:match(":(%d+)/"))
      end
      assert.is_true(again)
      assert.equal(url, server.url)
    end)

    local function raises(options, text)
      local ok, problem = pcall(sandbox.start, options)
      assert.is_false(ok)
      assert.equal(text, (problem:gsub("^.-:%d+: ", "")))
    end

    it("raises on options that it does not know, naming the nearest", function()
      raises({ user = 5 },
        "bad argument #1 to 'start' (unknown option 'user'; did you mean 'users'?)")
      raises(5, "bad argument #1 to 'start' (options: table expected, got number)")
      raises({ assume = { second_ad = "accept" } }, "bad argument #1 to 'start' (assume: unknown "
        .. "assumption 'second_ad'; did you mean 'second_add'?)")
    end)

    it("raises on values that make no sense", function()
      raises({ port = 70000 },
        "bad argument #1 to 'start' (port: at most 65535 expected, got 70000)")
      raises({ api_key = "a\nb" }, "bad argument #1 to 'start' (api_key: a text without control "
        .. "characters or spaces around it expected)")
      raises({ log = "yes" },
        "bad argument #1 to 'start' (log: whole number of at least 0 expected, got string)")
      raises({ users = { { firstName = print } } },
        "bad argument #1 to 'start' (users[1].firstName: a plain value expected, got function)")
      raises({ assume = { second_add = "perhaps" } }, "bad argument #1 to 'start' "
        .. "(assume.second_add: 'accept' or 'reject' expected, got 'perhaps')")
    end)
  end)

  describe("client", function()
    it("reaches this server, with the options given", function()
      start { users = 1 }
      local client = server:client { app = "spec/1" }
      assert.equal("ada.abbott@example.com", client.users:page().data[1].email)
      assert.matches("spec/1", server:requests()[1].headers["user-agent"])
    end)

    it("cannot be made to reach another one", function()
      start()
      assert.error_matches(function() server:client { base_url = "http://127.0.0.1:1" } end,
        "bad argument #1 to 'client' %(base_url: is the sandbox's own%)")
      assert.error_matches(function() server:client { api_key = "x" } end, "api_key")
      assert.error_matches(function() server:client { nonsense = 1 } end, "nonsense")
    end)

    it("keeps its server alive", function()
      local client = sandbox.start({ users = 2 }):client()
      collectgarbage()
      collectgarbage()
      assert.equal(2, client.users:page().total)
    end)
  end)

  describe("requests", function()
    it("lists what came, in order, with its final status", function()
      start { users = 1 }
      local client = server:client()
      local id = server:state().users[1].id
      client.users:roles(id, { rolesOnly = true })
      client.users:update_roles(id, { addedRoles = { "none" } })
      local first, second = server:requests()[1], server:requests()[2]
      assert.same({ "GET", "/tenants/users/" .. id .. "/roles", "rolesOnly=true", "", 200 },
        { first.method, first.path, first.query, first.body, first.status })
      assert.same({ "PATCH", '{"addedRoles":["none"],"removedRoles":[]}', 404 },
        { second.method, second.body, second.status })
      assert.equal(server.api_key, second.headers.apikey)
      assert.equal("application/json", second.headers["content-type"])
    end)

    it("keeps paths percent-encoded, and bodies byte by byte", function()
      start()
      wire.send(server, { path = "/tenants/users/a%2Fb%20c?x=%41" })
      wire.send(server, { method = "POST", path = "/x", body = "\1\255{", type = "text/plain" })
      local first, second = server:requests()[1], server:requests()[2]
      assert.same({ "/tenants/users/a%2Fb%20c", "x=%41" }, { first.path, first.query })
      assert.equal("\1\255{", second.body)
    end)

    it("can be emptied, limited and turned off", function()
      start { log = 2 }
      local client = server:client()
      for _ = 1, 3 do client.roles:list() end
      client.users:page()
      assert.same({ "/tenants/roles", "/tenants/users" },
        { server:requests()[1].path, server:requests()[2].path })
      assert.equal(2, #server:requests())
      server:clear_requests()
      assert.same({}, server:requests())
      client.roles:list()
      assert.equal(1, #server:requests())
      server:stop()
      start { log = false }
      server:client().roles:list()
      assert.same({}, server:requests())
    end)
  end)

  describe("state", function()
    it("is a copy in the API's shapes", function()
      start { users = 2, groups = 1 }
      local state = server:state()
      assert.same({ 2, 1, 7 }, { #state.users, #state.groups, #state.roles })
      assert.is_nil(state.users[1].maxDevices)
      state.users[1].email = "changed"
      assert.equal("ada.abbott@example.com", server:state().users[1].email)
    end)

    it("tells direct roles from inherited ones, and lists invitations", function()
      start {
        users = { { id = "u", roles = { "BASIC" }, groups = { "g" }, status = "Invited" } },
        groups = { { name = "g", roles = { "AUDITOR" } } },
      }
      server:client().users:invite("u")
      local state = server:state()
      local roles = state.users[1].roles
      assert.same({ "BASIC", "AUDITOR" }, { roles[1].type, roles[2].type })
      assert.same({ u = { state.users[1].roles[1].id } }, state.direct)
      assert.same({ "u" }, state.invitations)
    end)
  end)

  it("direct_roles tells what users hold directly, in one word list each", function()
    start {
      users = { { id = "u", roles = { "SUPPORT", "BASIC" }, groups = { "g" } }, { id = 'v"' } },
      groups = { { name = "g", roles = { "AUDITOR" } } },
    }
    assert.same({ u = "BASIC SUPPORT", ['v"'] = "" }, server:direct_roles())
  end)

  describe("for a client in another process", function()
    -- A script that PATCHes for ever, each user of the list in turn.
    local SCRIPT = [[
      local client = require("cipherscale").new { base_url = %q, api_key = %q }
      print "begun"
      io.stdout:flush()
      while true do
        client:run(function(tasks)
          for i = 1, 50 do
            tasks:spawn(function() assert(client.users:update_roles("u" .. i, {})) end)
          end
        end)
        if %s then break end
      end
    ]]

    local function users()
      local list = {}
      for i = 1, 50 do list[i] = { id = "u" .. i } end
      return list
    end

    it("serves while this one waits", function()
      start { users = users() }
      local output, code = helper.run_lua(SCRIPT:format(server.url, server.api_key, "true"))
      assert.same({ "begun\n", 0 }, { output, code })
      local patches = {}
      for _, request in ipairs(server:requests()) do
        assert.same({ "PATCH", '{"addedRoles":[],"removedRoles":[]}', 200 },
          { request.method, request.body, request.status })
        local id = request.path:match "^/tenants/users/([^/]+)/roles$"
        patches[id] = (patches[id] or 0) + 1
      end
      for i = 1, 50 do assert.equal(1, patches["u" .. i]) end
    end)

    it("goes on serving when that one is killed in the middle", function()
      start { users = users(), misbehave = { latency = 0.01 } }
      local path = scratch.file(SCRIPT:format(server.url, server.api_key, "false"))
      -- Only exec: no shell is left that would say "Killed".
      local pipe = assert(io.popen(
        ("exec env LUA_PATH='%s' LUA_CPATH='%s' sh -c 'echo $$; exec lua5.4 %s'")
          :format(package.path, package.cpath, path)))
      local child = tonumber(pipe:read "*l")
      assert.equal("begun", pipe:read "*l")
      local limit = now() + 10
      repeat until #server:requests() >= 200 or now() > limit
      assert.is_true(process.kill(child))
      pipe:close()
      local client = server:client { max_retries = 0, timeout = 5 }
      assert.equal(50, assert(client.users:page()).total)
      client:close()
    end)
  end)

  describe("stop", function()
    it("ends the server, may be called again, and leaves log and state readable", function()
      start { users = 1 }
      local client = server:client { max_retries = 0, timeout = 2 }
      client.roles:list()
      server:stop()
      server:stop()
      local value, problem = client.roles:list()
      assert.is_nil(value)
      assert.equal("network", problem.kind)
      assert.equal(1, #server:requests())
      assert.equal(1, #server:state().users)
    end)

    it("comes by itself when nothing holds the server any more", function()
      local url = sandbox.start().url
      collectgarbage()
      collectgarbage()
      assert.equal(0, (wire.send(nil, { url = url, key = "x" })))
    end)

    it("ends requests that wait for their answer", function()
      start { misbehave = { { stall = 1 }, { latency = 60 } } }
      local client = server:client { max_retries = 0, timeout = 10 }
      local kinds = client:run(function(tasks)
        local first = tasks:spawn(function() return select(2, client.roles:list()) end)
        local second = tasks:spawn(function() return select(2, client.roles:list()) end)
        tasks:spawn(function()
          -- Both are there: a third request is answered only after its own latency.
          while #server:requests() < 2 do client.users:page({ limit = 1 }, { timeout = 0.05 }) end
          server:stop()
        end)
        return { tasks:wait(first).kind, tasks:wait(second).kind }
      end)
      assert.same({ "network", "network" }, kinds)
    end)
  end)

  it("reports a failure of its own rules as a 500 that quotes it", function()
    local folder = scratch.folder()
    assert(os.execute("mkdir -p '" .. folder .. "/cipherscale/sandbox'"))
    scratch.write(folder .. "/cipherscale/sandbox/operations.lua", [[return {
      encode_problem = function() return "{}" end,
      RolesController_findAll = function() error("a mistake in the rules") end,
      UsersController_findAll = function() error({}) end,
    }]])
    local path = package.path
    package.path = folder .. "/?.lua;" .. path
    local ok, made = pcall(start)
    package.path = path
    assert(ok, made)
    local status, body = wire.send(server, { path = "/tenants/roles" })
    assert.equal(500, status)
    assert.matches("a mistake in the rules", body)
    assert.equal(500, (wire.send(server, { path = "/tenants/users" })))
    -- What is in the contract and has no rule at all.
    assert.equal(501,
      (wire.send(server, { method = "POST", path = "/tenants/users/u/reactivate" })))
    assert.equal(500, server:requests()[1].status)
  end)

  it("lists what it assumes about the real service", function()
    local names = {}
    for _, row in ipairs(sandbox.assumptions()) do
      assert.is_string(row.sentence)
      assert.is_nil(names[row.name])
      names[row.name] = row.default
    end
    assert.equal("accept", names.second_add)
  end)

  it("implements only operations that the contract has", function()
    local operations = require "cipherscale.sandbox.operations"
    local known = {}
    for _, item in pairs(require("cipherscale.sandbox.contract").load().paths) do
      for _, operation in pairs(item) do known[operation.operationId or ""] = true end
    end
    for name in pairs(operations) do
      if name ~= "encode_problem" then assert.is_true(known[name], name) end
    end
  end)
end)
