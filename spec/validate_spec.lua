-- SPDX-License-Identifier: MIT
-- validate = false: what the lists of fields do not know passes through, for a service that has
-- moved on. What cannot be sent is refused all the same, with its path.

local cipherscale = require "cipherscale"
local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local setting = require "spec.support.setting"

local null = cipherscale.null
local contains = helper.contains
local client, server, users

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
  users = a_client and a_client.users
end)

before_each(function() setting.start({ { body = "{}" } }, { validate = false }) end)

local function sent(fn, ...)
  server:clear_requests()
  assert(fn(...))
  assert.equal(1, server:count())
  return server:requests()[1]
end

local function body_of(fields) return sent(users.update_roles, users, "u1", fields).body end

-- The JSON of one value in a field that no list knows.
local function json_of(value)
  return body_of({ x = value }):match '^{"addedRoles":%[%],"removedRoles":%[%],"x":(.*)}$'
end

local function refusal(fields)
  server:clear_requests()
  local message = helper.message_of(users.update_roles, users, "u1", fields)
  assert.equal(0, server:count())
  assert.equal(0, core.in_use(client))
  assert(client.roles:list())
  return message
end

local function refused(text, value)
  assert.equal("users.update_roles: x" .. text, refusal { x = value })
end

-- A table in a table, n deep.
local function nested(n, key)
  local outer = {}
  local inner = outer
  for _ = 2, n do
    inner[key] = {}
    inner = inner[key]
  end
  return outer
end

describe("validate = false", function()
  it("lets unknown fields through, sorted behind the known ones in their order", function()
    assert.equal([[{"addedRoles":["a"],"removedRoles":[],"aaa":1,"expires":"2027","zoo":true}]],
      body_of { zoo = true, addedRoles = { "a" }, expires = "2027", aaa = 1 })
  end)

  it("changes nothing for what is known", function()
    assert.equal([[{"addedRoles":[],"removedRoles":[]}]], body_of(nil))
    assert.equal([[{"addedRoles":["a"],"removedRoles":["b"]}]],
      body_of { removedRoles = { "b" }, addedRoles = { "a" } })
    assert.equal([[{"groupId":"g"}]], sent(users.add_to_group, users, "u1", "g").body)
  end)

  it("lets known fields be of another type", function()
    assert.equal([[{"addedRoles":"all","removedRoles":{"ids":["a"]}}]],
      body_of { addedRoles = "all", removedRoles = { ids = { "a" } } })
    assert.equal([[{"addedRoles":[{"id":"a","until":null},5,"b"],"removedRoles":null}]],
      body_of { addedRoles = { { id = "a", ["until"] = null }, 5, "b" }, removedRoles = null })
  end)

  it("checks ids and the options of a call as ever", function()
    contains("user id: non-empty string expected", helper.message_of(users.get, users, ""))
    contains("one with a dot segment", helper.message_of(users.get, users, "../x"))
    contains("group id", helper.message_of(users.add_to_group, users, "u1", "a\nb"))
    contains("unknown option 'timout'", helper.message_of(users.get, users, "u1", { timout = 1 }))
    contains("addedRoles[1]: non-empty string expected, got one with a control character",
      refusal { addedRoles = { "a\n" } })
    contains("addedRoles[1]: non-empty string expected, got an empty string",
      refusal { addedRoles = { "" } })
    contains("at most 3 arguments", helper.message_of(users.get, users, "u1", {}, {}, {}))
  end)

  it("lets unknown parameters of a query through, sorted behind the known ones", function()
    assert.equal("/tenants/users?limit=0&sort=5&search=a%20b&tag=x&tag=y&when=1.5",
      sent(users.page, users,
        { when = 1.5, tag = { "x", "y" }, search = "a b", limit = 0, sort = 5 }).path)
    assert.equal("/tenants/users/u1/roles?rolesOnly=1&%5Bx%5D=true",
      sent(users.roles, users, "u1", { ["[x]"] = true, rolesOnly = 1 }).path)
    assert.equal("/tenants/users", sent(users.page, users, { none = {} }).path)
  end)

  it("lets unknown operators of a filter through", function()
    assert.equal("/tenants/users?filter%5Ba%5D%5Bany%5D=x,y&filter%5Ba%5D%5Blike%5D=z",
      sent(users.page, users, { filter = { a = { like = "z", any = { "x", "y" } } } }).path)
  end)

  it("refuses what no query can hold", function()
    for expected, value in pairs {
      ["x: string, number or boolean expected, got null"] = null,
      ["x: string, number or boolean expected, got function"] = print,
      ["x: string expected, got one with a control character"] = "a\r\nb",
      ["x[2]: string, number or boolean expected, got table"] = { "a", {} },
      ["x: finite number expected, got -inf"] = -1 / 0,
      ["x: valid UTF-8 expected, got other bytes"] = "\xFF",
    } do
      assert.equal("users.page: " .. expected, helper.message_of(users.page, users, { x = value }))
    end
    contains("field names expected, got a key of type number",
      helper.message_of(users.page, users, { "a" }))
    assert.equal(0, server:count())
  end)

  it("is an option of a client alone", function()
    contains("unknown option 'validate'",
      helper.message_of(users.get, users, "u1", { validate = false }))
    local strict = helper.client(server)
    contains("unknown field 'x'",
      helper.message_of(strict.users.update_roles, strict.users, "u1", { x = 1 }))
    strict:close()
  end)
end)

describe("validate = false, all the way,", function()
  local function query_of(fields)
    local path = sent(users.page, users, fields).path
    return (path:match "^/tenants/users%??(.*)$":gsub("%%5B", "["):gsub("%%5D", "]"))
  end

  local function refused_query(expected, fields)
    server:clear_requests()
    assert.equal("users.page: " .. expected, helper.message_of(users.page, users, fields))
    assert.equal(0, server:count())
    assert.equal(0, core.in_use(client))
  end

  it("spells tables in a query with brackets, as filters are", function()
    assert.equal("x[a]=1&x[b][c]=d&x[b][e]=1&x[b][e]=2",
      query_of { x = { b = { e = { 1, 2 }, c = "d" }, a = 1 } })
    assert.equal("limit[from]=1&limit[to]=2", query_of { limit = { to = 2, from = 1 } })
    assert.equal("x[a]=1&y=", query_of { x = { a = 1, b = {} }, y = "" })
    assert.equal("/x?q[a]=1", (sent(client.request, client,
      { method = "GET", path = "/x", query = { q = { a = 1 } } }).path
      :gsub("%%5B", "["):gsub("%%5D", "]")))
  end)

  it("lets a filter be anything that has a spelling", function()
    assert.equal("filter=raw", query_of { filter = "raw" })
    assert.equal("filter=5", query_of { filter = 5 })
    assert.equal("filter=a&filter=b", query_of { filter = { "a", "b" } })
    assert.equal("filter[n]=a&filter[n]=b", query_of { filter = { n = { "a", "b" } } })
    assert.equal("filter[n][in]=a%2Cb", query_of { filter = { n = { ["in"] = "a,b" } } })
    assert.equal("filter[n][in]=", query_of { filter = { n = { ["in"] = {} } } })
    assert.equal("filter[n][in]=a%2Cb,,c",
      query_of { filter = { n = { ["in"] = { "a,b", "", "c" } } } })
    assert.equal("filter[n][near][lat]=1&filter[n][near][lon]=2.5",
      query_of { filter = { n = { near = { lon = 2.5, lat = 1 } } } })
    assert.equal("", query_of { filter = {} })
  end)

  it("refuses in a query what has no spelling there", function()
    local scalar = "string, number or boolean expected, got "
    refused_query("x: " .. scalar .. "null", { x = null })
    refused_query("x.a: " .. scalar .. "null", { x = { a = null } })
    refused_query("x[1]: " .. scalar .. "table", { x = { { a = 1 } } })
    refused_query("filter.n: value or table of operators expected, got an empty one",
      { filter = { n = {} } })
    refused_query("x.a]: name without brackets expected, got one with them", { x = { ["a]"] = 1 } })
    refused_query("x: field names expected, got a key of type number", { x = { [3] = 1 } })
    local loop = {}
    loop.a = { b = loop }
    refused_query("x.a.b: a table that contains itself cannot be sent", { x = loop })
    contains("nested too deep", helper.message_of(users.page, users, { x = nested(1000, "a") }))
    for _, length in ipairs { 60, 1e5 } do
      local deep = nested(90, ("k"):rep(length))
      local inner = deep
      while next(inner) do inner = select(2, next(inner)) end
      inner.z = 1
      local message = helper.message_of(users.page, users, { x = deep, y = ("x"):rep(65000) })
      contains("the query is too large", message)
    end
    refused_query("table of fields expected, got string", "limit=5")
    assert.equal("users.page: field names expected, got a key of type number",
      helper.message_of(users.page, users, { "a" }))
  end)

  it("lets a whole body be another value than an object", function()
    for _, case in ipairs {
      { { 1, { a = null } }, '[1,{"a":null}]' }, { "text", '"text"' }, { 5, "5" },
      { true, "true" }, { null, "null" }, { setmetatable({}, { __jsontype = "array" }), "[]" },
    } do
      for _, call in ipairs { "update_roles", "update" } do
        local request = sent(users[call], users, "u1", case[1])
        assert.equal(case[2], request.body)
        assert.equal("application/json", request.headers["content-type"])
      end
      assert.equal(case[2], sent(users.create, users, case[1]).body)
    end
    assert.equal("users.update: table of fields expected, got function",
      helper.message_of(users.update, users, "u1", print))
    assert.equal("users.update: body: valid UTF-8 expected, got other bytes",
      helper.message_of(users.update, users, "u1", "\xFF"))
    assert.equal("users.update: body: finite number expected, got inf",
      helper.message_of(users.update, users, "u1", 1 / 0))
    assert.equal("users.update: [2]: string, number, boolean, table or null expected, got function",
      helper.message_of(users.update, users, "u1", { 1, print }))
  end)

  it("takes fields, too, for an operation that has none, in front of options", function()
    assert.equal('{"force":true}', sent(users.invite, users, "u1", { force = true }, {}).body)
    assert.equal('[1]', sent(users.invite, users, "u1", { 1 }, { timeout = 5 }).body)
    assert.equal('"x"', sent(users.invite, users, "u1", "x", {}).body)
    assert.equal("{}", sent(users.deactivate, users, "u1", {}, {}).body)
    assert.equal('{"groupId":"g","until":"2027"}',
      sent(users.add_to_group, users, "u1", "g", { ["until"] = "2027" }, {}).body)
    local request = sent(users.delete, users, "u1", { force = true, devices = { "a", "b" } }, {})
    assert.equal("/tenants/users/u1?devices=a&devices=b&force=true", request.path)
    assert.equal("", request.body)
    assert.equal("/tenants/roles?limit=5",
      sent(client.roles.list, client.roles, { limit = 5 }, {}).path)
    local response = {}
    sent(client.roles.list, client.roles, { limit = 5 }, { response = response })
    assert.equal(200, response.status)
  end)

  it("takes a lone table for options where an operation has no fields", function()
    contains("unknown option 'force'", helper.message_of(users.invite, users, "u1",
      { force = true }))
    assert.equal("", sent(users.invite, users, "u1", { timeout = 5 }).body)
    local request = sent(users.invite, users, "u1", nil, { timeout = 5 })
    assert.equal("", request.body)
    assert.is_nil(request.headers["content-type"])
    contains("at most 3 arguments", helper.message_of(users.get, users, "u1", {}, {}, {}))
    assert.equal("users.add_to_group: table of fields expected, got string",
      helper.message_of(users.add_to_group, users, "u1", "g", "x", {}))
    local strict = helper.client(server)
    contains("at most 2 arguments", helper.message_of(strict.users.invite, strict.users, "u1",
      { force = true }, {}))
    assert.equal("users.update_roles: field names expected, got a key of type number",
      helper.message_of(strict.users.update_roles, strict.users, "u1", { "a" }))
    strict:close()
  end)
end)

describe("a value that no list describes", function()
  it("is written by its type", function()
    for _, case in ipairs {
      { "", '""' }, { 'a"b\\\n\0', [["a\"b\\\u000a\u0000"]] }, { "\u{E9}", '"\u{E9}"' },
      { true, "true" }, { false, "false" }, { null, "null" },
      { 0, "0" }, { -0.0, "0" }, { -7, "-7" }, { math.maxinteger, "9223372036854775807" },
      { math.mininteger, "-9223372036854775808" }, { 1.5, "1.5" }, { -0.1, "-0.1" },
      { 10 / 2, "5" }, { 2 ^ 53, "9007199254740992" }, { 1e15, "1000000000000000" },
      { 1e300, "1e+300" },
      { 5e-324, "4.94065645841247e-324" }, { 1 / 3, "0.3333333333333333" },
      { { 1, "a", false, null }, '[1,"a",false,null]' }, { { a = 1, b = { c = {} } },
        '{"a":1,"b":{"c":[]}}' }, { { { { 1 } } }, "[[[1]]]" }, { {}, "[]" },
      { { [""] = nil }, "[]" }, { { ["a b"] = 1, ["\u{E9}\""] = 2 }, '{"a b":1,"\u{E9}\\"":2}' },
    } do
      assert.equal(case[2], json_of(case[1]))
    end
  end)

  it("has numbers that are read back as they were, whatever the locale", function()
    local script = [[
      local start = require("spec.support.server").start
      local helper = require "spec.support.helper"
      local server = start { answers = { { body = "{}" } } }
      local client = helper.client(server, { validate = false })
      for _, name in ipairs { "de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8", "C" } do
        os.setlocale(name)
        assert(client.users:update_roles("u", { x = { 0.5, -1.25e-7, 0.1 + 0.2 } }))
      end
      for _, request in ipairs(server:requests()) do print(request.body:match '"x":(.*)}') end
    ]]
    assert.equal(("[0.5,-1.25e-07,0.30000000000000004]\n"):rep(4), (helper.run_lua(script)))
    for _ = 1, 200 do
      local number = (math.random() - 0.5) * 10 ^ math.random(-300, 300)
      assert.equal(number, tonumber(json_of(number)))
    end
  end)

  it("keeps its names sorted however the table was made", function()
    local names, expected = {}, {}
    for i = 1, 200 do names[i] = ("n%03d"):format(i) end
    for i, name in ipairs(names) do expected[i] = ('"%s":1'):format(name) end
    local fields = {}
    while #names > 0 do fields[table.remove(names, math.random(#names))] = 1 end
    assert.equal("{" .. table.concat(expected, ",") .. "}", json_of(fields))
  end)

  it("is an object or an array where __jsontype says so", function()
    local object, array = { __jsontype = "object" }, { __jsontype = "array" }
    assert.equal("{}", json_of(setmetatable({}, object)))
    assert.equal("[]", json_of(setmetatable({}, array)))
    assert.equal("[1]", json_of(setmetatable({ 1 }, array)))
    assert.equal("[]", json_of(setmetatable({}, { __jsontype = "tuple" })))
    refused(": list without holes expected, got the key a", setmetatable({ a = 1 }, array))
    refused(": field names expected, got a key of type number", setmetatable({ 1 }, object))
  end)

  it("is nothing that JSON does not have", function()
    local expected = ": string, number, boolean, table or null expected, got "
    refused(expected .. "function", print)
    refused(expected .. "userdata", io.stdout)
    refused(expected .. "thread", coroutine.create(print))
    refused(".a[2].b" .. expected .. "function", { a = { 1, { b = print } } })
    refused(": valid UTF-8 expected, got other bytes", "\xFF")
    refused(".a\xFF: valid UTF-8 expected, got other bytes", { ["a\xFF"] = 1 })
    refused(": finite number expected, got inf", 1 / 0)
    refused("[1]: finite number expected, got -inf", { -1 / 0 })
    assert.is_truthy(refusal { x = { a = 0 / 0 } }:find "x%.a: finite number expected, got %-?nan$")
  end)

  it("is no list with holes and no mixture", function()
    refused("[2]: string, number, boolean, table or null expected, got nil", { 1, nil, 3 })
    refused(": list without holes expected, got the key name", { 1, name = 2 })
    refused(": list without holes expected, got the key 1.5", { 1, [1.5] = 2 })
    refused(": list without holes expected, got the key 1000000000", { 1, [1e9 // 1 | 0] = 2 })
    refused(": field names expected, got a key of type number", { [1000] = 1 })
    refused(": field names expected, got a key of type number", { [0] = 1, a = 2 })
    refused(": field names expected, got a key of type boolean", { [true] = 1 })
    refused(": field names expected, got a key of type table", { [{}] = 1 })
  end)

  it("has names without control characters, and not empty", function()
    refused(": field names expected, got one with a control character", { ["a\0"] = 1 })
    refused(".a: field names expected, got one with a control character", { a = { ["\n"] = 1 } })
    refused(": field names expected, got an empty one", { [""] = 1 })
  end)

  it("does not contain itself, and is not too deep", function()
    local loop = { a = { b = {} } }
    loop.a.b.c = loop
    refused(".a.b.c: a table that contains itself cannot be sent", loop)
    local list = {}
    list[1] = { list }
    refused("[1][1]: a table that contains itself cannot be sent", list)
    local fields = {}
    fields.x = { fields }
    assert.equal("users.update_roles: x[1]: a table that contains itself cannot be sent",
      refusal(fields))
    fields = { addedRoles = {} }
    fields.addedRoles[1] = fields
    assert.equal("users.update_roles: addedRoles[1]: a table that contains itself cannot be sent",
      refusal(fields))
    local twice = { "same" }
    assert.equal('{"a":["same"],"b":["same"]}', json_of { a = twice, b = twice })
    assert.equal(99, select(2, json_of(nested(99, 1)):gsub("%[", "")))
    assert.is_truthy(json_of(nested(99, "a")):find '^{"a":{"a":')
    contains("the tables are nested too deep", refusal { x = nested(100, 1) })
    contains("the tables are nested too deep", refusal { x = nested(1e5, "a") })
    contains("the tables are nested too deep", refusal { x = nested(1000, ("k"):rep(1e5)) })
    assert.is_true(#refusal { x = nested(1000, ("k"):rep(1e5)) } < 20000)
    local endless = setmetatable({}, {})
    getmetatable(endless).__index = function() return setmetatable({}, getmetatable(endless)) end
    contains("nested too deep", refusal { x = endless })
  end)

  it("may be large, but not larger than a body", function()
    local list, object = {}, {}
    for i = 1, 100000 do list[i], object["n" .. i] = i, i end
    assert.equal("[" .. table.concat(list, ",") .. "]", json_of(list))
    assert.equal(100000, select(2, json_of(object):gsub(":", "")))
    contains("users.update_roles: the body is too large", refusal { x = ("x"):rep(17e6) })
    contains("users.update_roles: the body is too large", refusal { [("x"):rep(17e6)] = 1 })
  end)

  it("is read through metamethods", function()
    local function proxy(fields)
      return setmetatable({}, {
        __index = fields, __len = function() return #fields end,
        __pairs = function() return next, fields, nil end,
      })
    end
    assert.equal('{"a":[1,2],"b":{"c":[]}}',
      json_of(proxy { a = proxy { 1, 2 }, b = proxy { c = proxy {} } }))
    assert.equal("[1,2]", json_of(setmetatable({}, { __index = { 1, 2 } })))
    assert.equal('{"a":1}', json_of(setmetatable({ a = 1 }, { __index = { method = print } })))
    assert.equal([[{"addedRoles":["a"],"removedRoles":[]}]],
      body_of(setmetatable({}, { __index = { addedRoles = { "a" } } })))
    refused(": table whose fields can be listed expected, got one with __index and without __pairs",
      setmetatable({}, { __index = { a = 1 } }))
    refused("[2]: string, number, boolean, table or null expected, got nil",
      setmetatable({ 1 }, { __len = function() return math.maxinteger end }))
  end)

  it("lets through what a metamethod raises, and survives what it changes", function()
    for _, name in ipairs { "__index", "__len", "__pairs" } do
      local raised = {}
      local ok, err = pcall(users.update_roles, users, "u1", { x = setmetatable({}, {
        [name] = function() error(raised) end }) })
      assert.is_false(ok)
      assert.equal(raised, err)
    end
    local fields = {}
    for i = 1, 50 do fields["f" .. i] = 1 end
    fields.a = setmetatable({}, { __len = function()
      for i = 1, 50 do fields["f" .. i] = nil end
      collectgarbage()
      return 0
    end })
    assert.equal('{"a":[]}', json_of(fields))
    local strange = setmetatable({}, { __pairs = function() return client:close() end })
    pcall(users.update_roles, users, "u1", { x = strange })
  end)
end)
