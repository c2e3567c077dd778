-- SPDX-License-Identifier: MIT
-- Arguments whose fields come from metamethods are honoured, never taken for empty ones; and Lua
-- code that runs while a request is being prepared may do what it likes.

local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local setting = require "spec.support.setting"

local contains = helper.contains
local client, server, users

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
  users = a_client and a_client.users
end)

before_each(function() setting.start { { body = "{}" } } end)

local function bodies()
  local list = {}
  for i, request in ipairs(server:requests()) do list[i] = request.body end
  return list
end

local function body_of(fields)
  server:clear_requests()
  assert(users:update_roles("u1", fields))
  assert.equal(1, server:count())
  return bodies()[1]
end

local function refusal(fields)
  server:clear_requests()
  local message = helper.message_of(users.update_roles, users, "u1", fields)
  assert.equal(0, server:count())
  assert.equal(0, core.in_use(client))
  assert(client.roles:list())
  assert.equal(1, server:count())
  return message
end

local ONE = [[{"addedRoles":["a"],"removedRoles":[]}]]
local TWO = [[{"addedRoles":["a","b"],"removedRoles":[]}]]

describe("a table of fields", function()
  it("may have them from __index, a table or a function", function()
    assert.equal(ONE, body_of(setmetatable({}, { __index = { addedRoles = { "a" } } })))
    assert.equal(ONE, body_of(setmetatable({}, { __index = function(_, name)
      return name == "addedRoles" and { "a" } or nil
    end })))
    local class = setmetatable({}, { __index = { addedRoles = { "a" } } })
    assert.equal(ONE, body_of(setmetatable({}, { __index = class })))
  end)

  it("may mix its own with those of __index", function()
    assert.equal([[{"addedRoles":["a"],"removedRoles":["b"]}]],
      body_of(setmetatable({ removedRoles = { "b" } }, { __index = { addedRoles = { "a" } } })))
  end)

  it("may be a proxy with __index and __pairs", function()
    local fields = { addedRoles = { "a", "b" } }
    local proxy = setmetatable({}, {
      __index = fields, __pairs = function() return next, fields, nil end,
    })
    assert.equal(TWO, body_of(proxy))
  end)

  it("is checked for unknown names where __pairs shows them", function()
    local function with(fields)
      return setmetatable({}, { __index = fields, __pairs = function() return next, fields end })
    end
    contains("unknown field 'addedRole' (did you mean 'addedRoles'?)",
      refusal(with { addedRole = { "a" } }))
    contains("a key of type number", refusal(with { "a" }))
  end)

  it("is never taken for an empty one where only __pairs shows what is in it", function()
    local fields = setmetatable({}, {
      __pairs = function() return next, { addedRoles = { "a" } } end,
    })
    server:clear_requests()
    local ok = pcall(users.update_roles, users, "u1", fields)
    assert.same(ok and { ONE } or {}, bodies())
  end)

  it("gives queries and options in the same way", function()
    assert(users:page(setmetatable({}, { __index = { limit = 5 } }),
      setmetatable({}, { __index = { timeout = 5 } })))
    assert.equal("/tenants/users?limit=5", server:requests()[1].path)
    local response = {}
    assert(users:get("u1", setmetatable({}, { __index = { response = response } })))
    assert.equal(200, response.status)
    contains("timeout: number from", helper.message_of(users.get, users, "u1",
      setmetatable({}, { __index = { timeout = "soon" } })))
  end)
end)

describe("a list", function()
  it("may have its elements from __index and its length from __len", function()
    local list = setmetatable({}, { __index = { "a", "b" }, __len = function() return 2 end })
    assert.equal(TWO, body_of { addedRoles = list })
    local made = setmetatable({}, {
      __index = function(_, i) return ({ "a", "b" })[i] end, __len = function() return 2.0 end,
    })
    assert.equal(TWO, body_of { addedRoles = made })
  end)

  it("may be a proxy with __pairs, too", function()
    local list = { "a", "b" }
    local proxy = setmetatable({}, {
      __index = list, __len = function() return #list end,
      __pairs = function() return next, list, nil end,
    })
    assert.equal(TWO, body_of { addedRoles = proxy })
  end)

  it("is never taken for an empty one where its elements come from __index alone", function()
    for _, index in ipairs { { "a", "b" }, function(_, i) return ({ "a", "b" })[i] end } do
      server:clear_requests()
      local ok = pcall(users.update_roles, users, "u1",
        { addedRoles = setmetatable({}, { __index = index }) })
      assert.same(ok and { TWO } or {}, bodies())
    end
  end)

  it("is never cut short where __index goes on behind its own elements", function()
    server:clear_requests()
    local ok = pcall(users.update_roles, users, "u1",
      { addedRoles = setmetatable({ "a" }, { __index = { [2] = "b" } }) })
    assert.same(ok and { TWO } or {}, bodies())
  end)

  it("is refused where __len promises more than there is", function()
    local list = setmetatable({ "a" }, { __len = function() return 3 end })
    contains("addedRoles[2]: non-empty string expected, got nil", refusal { addedRoles = list })
  end)

  it("is not cut short by a __len that hides elements", function()
    for _, length in ipairs { 1, 0, -1, math.mininteger } do
      local list = setmetatable({ "a", "b" }, { __len = function() return length end })
      server:clear_requests()
      local ok = pcall(users.update_roles, users, "u1", { addedRoles = list })
      assert.same(ok and { TWO } or {}, bodies())
    end
  end)

  it("is refused where __len is no length", function()
    for _, length in ipairs { "two", 1.5, {}, 0 / 0 } do
      refusal { addedRoles = setmetatable({ "a" }, { __len = function() return length end }) }
    end
  end)

  it("is never taken for an empty one where only __pairs shows its elements", function()
    local list = setmetatable({}, { __pairs = function() return next, { "a", "b" } end })
    server:clear_requests()
    local ok = pcall(users.update_roles, users, "u1", { addedRoles = list })
    assert.same(ok and { TWO } or {}, bodies())
  end)

  it("ends at the largest body, however long it is or says it is", function()
    local role = ("x"):rep(100000)
    local list = setmetatable({}, { __index = function() return role end })
    contains("the body is too large", refusal { addedRoles = list })
    getmetatable(list).__len = function() return math.maxinteger end
    contains("the body is too large", refusal { addedRoles = list })
  end)

  it("may make its elements up as they are asked for, under a busy collector", function()
    local list = setmetatable({}, {
      __len = function() return 200 end,
      __index = function(_, i)
        if i % 20 == 0 then collectgarbage() end
        return i <= 200 and ("role"):rep(20) .. i or nil
      end,
    })
    local expected = {}
    for i = 1, 200 do expected[i] = ("role"):rep(20) .. i end
    assert.equal(('{"addedRoles":["%s"],"removedRoles":[]}'):format(
      table.concat(expected, '","')), body_of { addedRoles = list })
  end)
end)

-- Fields that call `act` when they are read.
local function acting(act)
  return setmetatable({}, { __index = function(_, name)
    if name ~= "addedRoles" then return nil end
    act()
    return { "a" }
  end })
end

describe("code that runs while a request is prepared", function()
  it("may raise anything: that is the error of the call, and nothing is sent", function()
    local raised = setmetatable({}, { __tostring = function() error "never shown" end })
    for _, value in ipairs { raised, 5, true } do
      local ok, err = pcall(users.update_roles, users, "u1", acting(function() error(value) end))
      assert.is_false(ok)
      assert.equal(value, err)
    end
    local ok, err = pcall(users.update_roles, users, "u1", acting(function() error() end))
    assert.is_false(ok)
    assert.is_nil(err)
    assert.equal(0, server:count())
    assert(users:update_roles("u1"))
  end)

  it("may raise a text, whose place is where it was raised", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local fields = acting(function() error "boom" end)
    local ok, message = pcall(function() return (users:update_roles("u1", fields)) end)
    assert.is_false(ok)
    assert.is_truthy(message:find((":%d: boom$"):format(line)), message)
    local _, places = message:gsub(":%d+: ", "")
    assert.equal(1, places)
  end)

  it("may raise from every metamethod that is used", function()
    local function raise() error("stop", 0) end
    for _, name in ipairs { "__index", "__pairs" } do
      assert.equal("stop", refusal(setmetatable({}, { [name] = raise })))
    end
    for _, name in ipairs { "__index", "__len" } do
      assert.equal("stop", refusal { addedRoles = setmetatable({}, { [name] = raise }) })
    end
    assert.equal("stop", refusal(setmetatable({}, { __pairs = function() return raise end })))
    local key = setmetatable({}, { __tostring = raise })
    assert.equal("stop", refusal { addedRoles = { [key] = "a" } })
  end)

  it("may call the same client, whose requests do not mix", function()
    local inner
    local fields = acting(function()
      inner = assert(users:get "inner")
      assert(users:add_to_group("u2", "g2"))
    end)
    assert.is_true(users:update_roles("u1", fields))
    assert.is_table(inner)
    assert.same({ "", [[{"groupId":"g2"}]], ONE }, bodies())
    assert.equal("/tenants/users/u1/roles", server:requests()[3].path)
  end)

  it("may call the same method again and again, and be refused at last", function()
    local depth = 0
    local fields
    fields = acting(function()
      depth = depth + 1
      if depth == 20 then error("deep enough", 0) end
      users:update_roles("u" .. depth, fields)
    end)
    assert.is_truthy(refusal(fields):find "deep enough$")
  end)

  it("may close the client: the call ends as closed, and nothing is sent", function()
    local ok, err = users:update_roles("u1", acting(function() client:close() end))
    assert.is_nil(ok)
    assert.equal("closed", err.kind)
    assert.equal("users.update_roles", err.operation)
    assert.equal(0, server:count())
  end)

  it("may close the client and raise", function()
    local ok, err = pcall(users.update_roles, users, "u1", acting(function()
      client:close()
      error("stop", 0)
    end))
    assert.is_false(ok)
    assert.equal("stop", err)
    assert.equal(0, server:count())
  end)

  it("may collect garbage that uses the client as it goes", function()
    local calls = 0
    local fields = acting(function()
      setmetatable({}, { __gc = function()
        calls = calls + 1
        assert(users:get "finalised")
      end })
      collectgarbage()
      collectgarbage()
    end)
    assert.is_true(users:update_roles("u1", fields))
    assert.equal(1, calls)
    assert.same({ "", ONE }, bodies())
  end)

  it("cannot yield: that is an error, and nothing is sent", function()
    local thread = coroutine.create(function()
      return users:update_roles("u1", acting(coroutine.yield))
    end)
    local ok, err = coroutine.resume(thread)
    assert.is_false(ok)
    contains("attempt to yield", err)
    assert.equal(0, server:count())
    assert.equal(0, core.in_use(client))
  end)

  it("cannot yield in a task either", function()
    local ok, err = pcall(client.run, client, function()
      return users:update_roles("u1", acting(coroutine.yield))
    end)
    assert.is_false(ok)
    contains("attempt to yield", err)
    assert.equal(0, server:count())
    assert.equal("ran", client:run(function() return "ran" end))
  end)

  it("may call the client in a task, where the inner call blocks", function()
    local result = client:run(function()
      return users:update_roles("u1", acting(function() assert(users:get "inner") end))
    end)
    assert.is_true(result)
    assert.same({ "", ONE }, bodies())
  end)
end)

describe("names behind __index", function()
  local function behind(fields, own) return setmetatable(own or {}, { __index = fields }) end

  it("are checked in tables, however far behind", function()
    contains("unknown field 'addedRole' (did you mean 'addedRoles'?)",
      refusal(behind { addedRole = { "a" } }))
    contains("unknown field 'addedRole'",
      refusal(behind(behind(behind { addedRole = { "a" } }), { addedRoles = { "a" } })))
    contains("a key of type number", refusal(behind { "a" }))
    contains("unknown option 'timeuot'",
      helper.message_of(users.get, users, "u1", behind { timeuot = 5 }))
    contains("unknown field 'limt'", helper.message_of(users.page, users, behind { limt = 5 }))
    contains("addresses[1]: unknown field 'protocol'",
      helper.message_of(client.resources.create, client.resources, {
        name = "n", type = "PRIVATE",
        addresses = { behind({ protocol = {} }, { address = "a", protocols = { "p" } }) },
      }))
  end)

  it("count as the table's own where the client is made", function()
    local cipherscale = require "cipherscale"
    local options = { api_key = helper.key, base_url = server.url }
    contains("unknown option 'read_onli' (did you mean 'read_only'?)",
      helper.message_of(cipherscale.new, behind({ read_onli = true }, options)))
    local careful = cipherscale.new(behind({ read_only = true }, options))
    local _, err = careful.users:invite "u1"
    assert.equal("refused", err.kind)
    careful:close()
  end)

  it("are none where a metatable that is its own __index has metamethods", function()
    local class = { addedRoles = { "a" }, __tostring = function() return "roles" end }
    class.__index = class
    assert.equal(ONE, body_of(setmetatable({}, class)))
  end)

  it("are what __pairs shows where there is one", function()
    local class = { describe = function() end, __pairs = function(self) return next, self end }
    class.__index = class
    assert.equal(ONE, body_of(setmetatable({ addedRoles = { "a" } }, class)))
  end)

  it("cannot be listed of a function, which is asked for those that are known", function()
    local asked = {}
    assert(users:update_roles("u1", setmetatable({}, { __index = function(_, name)
      asked[#asked + 1] = name
    end })))
    assert.same({ "addedRoles", "removedRoles" }, asked)
  end)

  it("are an error where tables are behind each other in a ring", function()
    local one, two = {}, {}
    setmetatable(one, { __index = two })
    setmetatable(two, { __index = one })
    assert.equal("users.update_roles: too many tables behind each other's __index", refusal(one))
    local own = {}
    setmetatable(own, { __index = own })
    contains("too many tables behind each other's __index", refusal(own))
  end)

  it("are sent where the client does not check, but for the methods of a class", function()
    local loose = helper.client(server, { validate = false })
    server:clear_requests()
    assert(loose.users:update_roles("u1", behind({ addedRoles = { "a" }, reason = "r" },
      { removedRoles = {}, extra = 1 })))
    assert.equal('{"addedRoles":["a"],"removedRoles":[],"extra":1,"reason":"r"}', bodies()[1])
    assert(loose.users:page(behind(behind { x = 1, new = print }, { y = 2 })))
    assert.equal("/tenants/users?x=1&y=2", server:requests()[2].path)
    assert(loose:request { method = "POST", path = "/x", query = behind({ z = 1 }, { a = 2 }),
      body = behind({ z = { 1 }, __tostring = 1, new = print }, { a = 2 }) })
    assert.equal("/x?a=2&z=1", server:requests()[3].path)
    assert.equal('{"a":2,"z":[1]}', bodies()[3])
    loose:close()
  end)
end)
