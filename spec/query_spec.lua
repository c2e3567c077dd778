-- SPDX-License-Identifier: MIT
-- Filters and sorting of paged lists: which tables they may be, and the query that they become.

local cipherscale = require "cipherscale"
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

local function refusal(filter)
  server:clear_requests()
  local message = helper.message_of(users.page, users, { filter = filter })
  assert.equal(0, server:count())
  assert.equal(0, core.in_use(client))
  return message
end

local function unescape(text)
  return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- The query as it was sent.
local function sent(filter, with)
  server:clear_requests()
  assert((with or users):page { filter = filter })
  assert.equal(1, server:count())
  return server:requests()[1].path:match "^/tenants/users%??(.*)$"
end

describe("a filter", function()
  it("is filter[field][operator]=value, percent-encoded and sorted", function()
    assert.equal("filter%5Bgateways.id%5D%5Bin%5D=g%201,g%2F2&filter%5Bname%5D%5Bilike%5D=%25web%25"
      .. "&filter%5Btype%5D%5Beq%5D=PRIVATE",
      sent { type = "PRIVATE", name = { ilike = "%web%" },
             ["gateways.id"] = { ["in"] = { "g 1", "g/2" } } })
  end)

  it("comes behind what is documented, and each page of a list has it", function()
    assert(users:page { filter = { a = 1 }, limit = 5, sort = "name", offset = 10 })
    assert.equal("/tenants/users?limit=5&offset=10&sort=name&filter%5Ba%5D%5Beq%5D=1",
      server:requests()[1].path)
    setting.start {
      { body = [[{"data":[{"id":"a"}],"total":2,"limit":1}]] },
      { body = [[{"data":[{"id":"b"}],"total":2,"limit":1}]] },
    }
    assert.equal(2, #assert(client.users:list { filter = { name = { ilike = "%&b=c%" } } }))
    for _, request in ipairs(server:requests()) do
      contains("&filter%5Bname%5D%5Bilike%5D=%25%26b%3Dc%25", request.path)
    end
    assert.equal(2, server:count())
  end)

  it("has every operator of the documentation", function()
    for _, name in ipairs { "eq", "ne", "gt", "gte", "lt", "lte", "ilike" } do
      assert.equal(("filter[n][%s]=x"):format(name), unescape(sent { n = { [name] = "x" } }))
    end
    for _, name in ipairs { "in", "nin" } do
      assert.equal(("filter[n][%s]=x"):format(name), unescape(sent { n = { [name] = { "x" } } }))
    end
  end)

  it("may have several operators of a field, in the order of their names", function()
    assert.equal("filter[a][lt]=9&filter[a.b][gte]=1&filter[a.b][lt]=5&filter[a.b][ne]=3",
      unescape(sent { ["a.b"] = { ne = 3, lt = 5, gte = 1 }, a = { lt = 9 } }))
  end)

  it("is the same text however its table was made", function()
    local expected
    for _ = 1, 20 do
      local names, filter = {}, {}
      for i = 1, 50 do names[i] = ("field%02d"):format(i) end
      for i = 50, 1, -1 do
        local name = table.remove(names, math.random(i))
        filter[name] = { eq = name, ne = "x" }
      end
      expected = expected or sent(filter)
      assert.equal(expected, sent(filter))
    end
  end)

  it("takes strings, numbers and booleans", function()
    for _, case in ipairs {
      { "", "" }, { "a b&c=d#e?f[g]h\\i\"j+k;l", "a b&c=d#e?f[g]h\\i\"j+k;l" },
      { "\u{E9}", "\u{E9}" }, { "1970-01-01T00:00:00+01:00", "1970-01-01T00:00:00+01:00" },
      { 0, "0" }, { -5, "-5" }, { math.maxinteger, "9223372036854775807" }, { 1.5, "1.5" },
      { 0.1, "0.1" }, { 3.0, "3" }, { 1e300, "1e+300" }, { 1 / 3, "0.3333333333333333" },
      { true, "true" }, { false, "false" },
    } do
      local query = sent { x = case[1] }
      assert.equal("filter[x][eq]=" .. case[2], unescape(query))
      assert.is_nil(query:match "^[^=]*=(.*)$":find "[^%w%-._~%%]")
    end
    assert.equal("filter[x][in]=1,true,a", unescape(sent { x = { ["in"] = { 1, true, "a" } } }))
  end)

  it("may be empty", function()
    assert.equal("", sent {})
    assert.equal("", sent(nil))
  end)

  it("names what is wrong with its path", function()
    for expected, filter in pairs {
      ["unknown operator 'like' (did you mean 'ilike'?)"] = { name = { like = "%web%" } },
      ["unknown operator 'EQ'"] = { name = { EQ = "x" } },
      ["unknown operator 'not in'"] = { name = { ["not in"] = { "x" } } },
      ["operator names expected, got a key of type number"] = { name = { "a", "b" } },
      ["value or table of operators expected, got an empty one"] = { name = {} },
      ["string, number or boolean expected, got function"] = { name = print },
      ["string, number or boolean expected, got userdata"] = { name = cipherscale.null },
      ["string expected, got one with a control character"] = { name = "a\nb" },
      ["finite number expected, got inf"] = { name = 1 / 0 },
    } do
      assert.equal("users.page: filter.name: " .. expected, refusal(filter))
    end
    assert.is_truthy(refusal { name = 0 / 0 }:find "name: finite number expected, got %-?nan")
    for expected, filter in pairs {
      ["filter: table expected, got string"] = "name=x",
      ["filter: table expected, got boolean"] = true,
      ["filter: field names expected, got a key of type number"] = { "x" },
      ["filter: field names expected, got an empty one"] = { [""] = "x" },
      ["filter: field names expected, got one with a control character"] = { ["a\0b"] = "x" },
      ["filter.name.eq: string, number or boolean expected, got table"] =
        { name = { eq = { "a" } } },
      ["filter.name.in: list of values expected, got string"] = { name = { ["in"] = "a" } },
      ["filter.name.nin: list of values expected, got an empty one"] = { name = { nin = {} } },
      ["filter.name.in: list without holes expected, got the key x"] =
        { name = { ["in"] = { "a", x = 1 } } },
      ["filter.name.in[1]: string, number or boolean expected, got nil"] =
        { name = { ["in"] = { nil, "b" } } },
      ["filter.name.in[2]: non-empty value without commas expected, got one with a comma"] =
        { name = { ["in"] = { "a", "b,c" } } },
      ["filter.name.in[1]: non-empty value without commas expected, got an empty string"] =
        { name = { ["in"] = { "" } } },
      ["filter.a[b: name without brackets expected, got one with them"] = { ["a[b"] = "x" },
      ["filter.a][ne: name without brackets expected, got one with them"] = { ["a][ne"] = "x" },
    } do
      assert.equal("users.page: " .. expected, refusal(filter))
    end
  end)

  it("points at the line that called it wrongly", function()
    local _, message = pcall(function() users:page { filter = { a = { like = "b" } } } end)
    assert.is_truthy(message:find("^[^\n]*query_spec.lua:%d+: users.page: filter.a: "), message)
  end)

  it("is honoured through metamethods that show what is there, and refused without", function()
    local function proxy(fields)
      return setmetatable({}, { __index = fields, __pairs = function() return next, fields end })
    end
    assert.equal("filter[name][ilike]=a", unescape(sent(proxy { name = proxy { ilike = "a" } })))
    assert.equal("filter[n][in]=a,b", unescape(sent { n = { ["in"] = setmetatable({}, {
      __index = { "a", "b" }, __len = function() return 2 end }) } }))
    contains("filter: table whose fields can be listed expected",
      refusal(setmetatable({}, { __index = { name = "a" } })))
    contains("filter.name: table whose fields can be listed expected",
      refusal { name = setmetatable({ eq = "a" }, { __index = { ne = "a" } }) })
  end)

  it("lets through what a metamethod raises", function()
    local raised = {}
    local ok, err = pcall(users.page, users, { filter = setmetatable({}, {
      __pairs = function() error(raised) end }) })
    assert.is_false(ok)
    assert.equal(raised, err)
  end)

  it("is refused when it would make too long a URL", function()
    contains("users.page: the query is too large", refusal { name = ("x"):rep(70000) })
    contains("users.page: the query is too large", refusal { [("x"):rep(70000)] = "x" })
    local many, list = {}, {}
    for i = 1, 50000 do many["f" .. i], list[i] = "x", "value" .. i end
    contains("users.page: the query is too large", refusal(many))
    contains("users.page: the query is too large", refusal { name = { ["in"] = list } })
    local message = refusal { [("\u{E9}"):rep(1e5)] = print }
    assert.is_true(#message < 250 and utf8.len(message) ~= nil, message)
  end)
end)
