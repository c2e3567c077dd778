-- SPDX-License-Identifier: MIT
-- Whole lists: list, each and find give everything or an error, over pages and over lists that are
-- promised whole. Pages that are not the documented ones: hostile_pages_spec.

local cipherscale = require "cipherscale"
local contract = require "spec.support.contract"
local helper = require "spec.support.helper"
local sandbox = require "cipherscale.sandbox"
local start = require("spec.support.server").start

local array = contract.array

local server, client

after_each(function()
  if client then client:close() end
  if server then server:stop() end
  client, server = nil, nil
end)

-- The last answer repeats.
local function serve(...)
  local answers = {}
  for i, answer in ipairs { ... } do
    answers[i] = answer.body and answer or { body = contract.encode(answer) }
  end
  server = start { answers = answers }
  client = helper.client(server, { max_retries = 0 })
end

local function sandboxed(options)
  server = sandbox.start(options)
  client = server:client { max_retries = 0 }
end

local function item(n) return { id = "i" .. n, email = "P" .. n .. "@example.com" } end

local function items(first, last)
  local list = array {}
  for n = first, last do list[#list + 1] = item(n) end
  return list
end

local function ids(list)
  local names = {}
  for i, value in ipairs(list) do names[i] = value.id end
  return table.concat(names, " ")
end

local function kind_of(value, err)
  assert.is_nil(value)
  return err.kind
end

-- What each gives before it raises an error of that kind.
local function raised(kind, iterate)
  local seen = {}
  local ok, err = pcall(function()
    for value in iterate() do seen[#seen + 1] = value end
  end)
  assert.is_false(ok)
  assert.equal(kind, err.kind)
  return ids(seen), err
end

-- The resources whose list is promised at once.
local plain, paged = {}, {}
for _, row in ipairs(cipherscale.operations()) do
  if row.result == "LIST" and row.name == "list" then plain[#plain + 1] = row.resource end
  if row.result == "PAGE" then paged[#paged + 1] = row.resource end
end

describe("a whole list", function()
  it("is of all pages, as far as the service says that they reach", function()
    sandboxed { users = 250 }
    assert.equal(250, #assert(client.users:list()))
    assert.equal(3, #server:requests())
    local n = 0
    for _ in client.users:each { limit = 50 } do n = n + 1 end
    assert.equal(250, n)
    assert.equal(8, #server:requests())
  end)

  it("is shifted when the total shrinks, though the numbers agree", function()
    serve({ data = items(1, 2), total = 4, limit = 2, hasNext = true },
      { data = items(4, 4), total = 3, limit = 2, hasNext = false })
    local seen, err = raised("shifted", function() return client.users:each() end)
    assert.equal("i1 i2", seen)
    assert.equal("users.each: shifted: the list changed while it was read: 4 were announced, "
      .. "and then 3", tostring(err))
  end)

  it("is read once more then, and given when it stands still", function()
    serve({ data = items(1, 2), total = 4, limit = 2, hasNext = true },
      { data = items(4, 4), total = 3, limit = 2, hasNext = false },
      { data = items(2, 3), total = 3, limit = 2, hasNext = true },
      { data = items(4, 4), total = 3, limit = 2, hasNext = false })
    assert.equal("i2 i3 i4", ids(assert(client.users:list())))
    assert.equal(4, server:count())
  end)

  it("is shifted when the sandbox loses somebody behind the offset", function()
    sandboxed { users = 9 }
    local n = 0
    raised("shifted", function()
      local next_user = client.users:each { limit = 3 }
      return function()
        local user = next_user()
        n = n + 1
        if n == 2 then assert(client.users:delete(user.id)) end
        return user
      end
    end)
    assert.equal(8, #assert(client.users:list { limit = 3 }))
  end)

  it("cannot show that as many went as came between two pages", function() -- README says so
    serve({ data = items(1, 2), total = 4, limit = 2, hasNext = true }, -- then 1 goes, 5 comes
      { data = items(4, 5), total = 4, limit = 2, hasNext = false })
    assert.equal("i1 i2 i4 i5", ids(assert(client.users:list())))
  end)

  it("goes on where there is more, whatever the total says", function()
    serve({ data = items(1, 2), total = 2, limit = 2, hasNext = true },
      { data = items(3, 3), total = 3, limit = 2, hasNext = false })
    assert.equal("i1 i2 i3", ids(assert(client.users:list())))
  end)

  it("is shifted where there is said to be more and nothing comes", function()
    serve({ data = items(1, 2), total = 2, limit = 2, hasNext = true },
      { data = array {}, total = 2, limit = 2, hasNext = true })
    assert.equal("shifted", kind_of(client.users:list()))
  end)

  it("is whole where such a service takes it back", function()
    serve({ data = items(1, 2), total = 2, limit = 2, hasNext = true },
      { data = array {}, total = 2, limit = 2, hasNext = false })
    assert.equal("i1 i2", ids(assert(client.users:list())))
  end)

  it("skips nothing behind a page that is shorter than its limit", function()
    serve({ data = items(1, 2), limit = 50, hasNext = true },
      { data = items(3, 6), limit = 50, hasNext = false })
    assert.equal("i1 i2 i3 i4 i5 i6", ids(assert(client.users:list { limit = 50 })))
    assert.equal("limit=50&offset=2", server:requests()[2].path:match "%?(.*)")
  end)

  it("is asked for without a limit where the service refuses ours", function()
    for _, status in ipairs { 400, 422 } do
      serve({ status = status, body = '{"message":"no"}' },
        { data = items(1, 2), total = 2, limit = 10, hasNext = false })
      assert.equal("i1 i2", ids(assert(client.users:list())))
      assert.equal("offset=0", server:requests()[2].path:match "%?(.*)")
      client:close()
      server:stop()
    end
    serve({ status = 400, body = '{"message":"Limit must not be greater than 10"}' },
      { data = items(1, 2), total = 2, limit = 10, hasNext = false })
    assert.equal("i1 i2", ids(assert(client.users:list { sort = "name" })))
  end)

  it("is not asked for twice where the service refuses a filter, or the caller's limit", function()
    serve { status = 400, body = '{"message":"property filter[x] should not exist"}' }
    assert.equal("http", kind_of(client.users:list { filter = { x = 1 } }))
    assert.equal("http", kind_of(client.users:list { limit = 500 }))
    assert.equal(2, server:count())
  end)

  it("has its own name in every error", function()
    serve { status = 500, body = "{}" }
    local _, err = client.users:list()
    assert.equal("users.list", err.operation)
    _, err = client.users:find "p1@example.com"
    assert.equal("users.find", err.operation)
    _, err = raised("http", function() return client.users:each() end)
    assert.equal("users.each", err.operation)
    _, err = client.policies:list()
    assert.equal("policies.list", err.operation)
  end)

  it("goes by fields that only a metatable shows", function()
    serve { data = items(1, 1), total = 1, hasNext = false }
    assert(client.users:list(setmetatable({}, { __index = { filter = { a = 1 }, limit = 7 } })))
    assert.equal("limit=7&offset=0&filter%5Ba%5D%5Beq%5D=1",
      server:requests()[1].path:match "%?(.*)")
  end)
end)

describe("users:find", function()
  it("reads once more when the list has moved", function()
    serve({ data = items(1, 2), total = 4, limit = 2, hasNext = true },
      { data = items(4, 4), total = 3, limit = 2, hasNext = false },
      { data = items(2, 4), total = 3, limit = 3, hasNext = false })
    assert.equal("i3", assert(client.users:find "p3@example.com").id)
    assert.equal(3, server:count())
  end)

  it("gives the one that both readings found, though others may be missing", function()
    serve { data = items(1, 2), total = 3, limit = 3, hasNext = false }
    assert.equal("i1", assert(client.users:find "p1@example.com").id)
    assert.equal("shifted", kind_of(client.users:find "p3@example.com"))
    assert.equal(4, server:count())
  end)

  it("does not choose between two", function()
    serve { data = array { { id = "a", email = "x@y.z" }, { id = "b", email = "X@Y.Z" } },
            total = 2, limit = 2, hasNext = false }
    local _, err = client.users:find "X@y.z"
    assert.equal("users.find: unresolved: several have the email 'X@y.z': a, b", tostring(err))
  end)
end)

for _, resource in ipairs(plain) do
  describe(resource .. ":list", function()
    it("is one request where the list comes whole, and is given as it came", function()
      serve(array { item(1), item(1) })
      assert.equal("i1 i1", ids(assert(client[resource]:list())))
      assert.is_nil(server:requests()[1].path:find("?", 1, true))
      assert.equal(1, server:count())
    end)

    it("goes on where one page of several comes", function()
      local first = { data = items(1, 2), total = 5, page = 0, limit = 2, hasNext = true }
      local second = { data = items(3, 4), total = 5, page = 1, limit = 2, hasNext = true }
      local third = { data = items(5, 5), total = 5, page = 2, limit = 2, hasNext = false }
      serve(first, first, second, third, first, first, second, third)
      assert.equal("i1 i2 i3 i4 i5", ids(assert(client[resource]:list { timeout = 5 })))
      local seen = {}
      for value in client[resource]:each() do seen[#seen + 1] = value end
      assert.equal("i1 i2 i3 i4 i5", ids(seen))
      local queries = {}
      for i, request in ipairs(server:requests()) do
        queries[i] = request.path:match "%?(.*)" or ""
      end
      assert.same({ "", "limit=100&offset=0", "limit=100&offset=2", "limit=100&offset=4" },
        { table.unpack(queries, 1, 4) })
    end)

    it("is an error where the rest is not to be had", function()
      serve { data = items(1, 2), total = 5, page = 0, limit = 2, hasNext = true }
      local _, err = client[resource]:list()
      assert.equal(resource .. ".list: shifted", tostring(err):match "^[^:]+: %a+")
      client:close()
      server:stop()
      serve({ data = items(1, 2), total = 5, hasNext = true }, { status = 400, body = "{}" })
      _, err = client[resource]:list()
      assert.same({ "http", 400, resource .. ".list" }, { err.kind, err.status, err.operation })
    end)
  end)
end

describe("a list that is promised whole", function()
  it("is whole where the sandbox has pages of it", function()
    sandboxed { policies = 15, gateways = 205, assume = { plain_lists = "page" } }
    assert.equal(15, #assert(client.policies:list()))
    assert.equal(205, #assert(client.gateways:list()))
    local n = 0
    client:run(function()
      for _ in client.gateways:each() do n = n + 1 end
      n = n + #assert(client.policies:list())
    end)
    assert.equal(220, n)
  end)

  it("takes fields, too, where the client does not check", function()
    serve({ data = items(1, 2), total = 3, hasNext = true },
      { data = items(1, 3), total = 3, hasNext = false })
    local loose = helper.client(server, { validate = false })
    assert.equal("i1 i2 i3", ids(assert(loose.policies:list({ x = "y" }, { timeout = 5 }))))
    loose:close()
    assert.equal("x=y", server:requests()[1].path:match "%?(.*)")
    assert.equal("limit=100&offset=0&x=y", server:requests()[2].path:match "%?(.*)")
  end)

  it("says where a part came of one that cannot go on, and how to read the rest", function()
    sandboxed { users = 15, holders = { AUDITOR = 15 }, assume = { plain_lists = "page" } }
    local role
    for _, one in ipairs(assert(client.roles:list())) do
      if one.type == "AUDITOR" then role = one end
    end
    local users, err = client.roles:users(role.id)
    assert.is_nil(users)
    assert.same({ "decode", true }, { err.kind, err.partial })
    assert.matches("client:request{ method = \"GET\"", err.hint, 1, true)
    assert.matches(err.hint, tostring(err), 1, true)
  end)
end)

describe("a mistake in a call of list, each or find", function()
  before_each(function() serve { body = "[]" } end)

  -- Raised at the call, with its place.
  local function mistake(expected, call)
    local ok, message = pcall(call)
    assert.is_false(ok, expected)
    local place, text = message:match "^(.-:)%d+: (.*)$"
    assert.truthy(place and place:find("pages_spec.lua:", 1, true), message)
    assert.equal(expected, text)
    assert.equal(0, server:count())
  end

  it("is named after the method, at the caller's line, before each begins", function()
    for _, resource in ipairs(paged) do
      local r = client[resource]
      for _, name in ipairs { "list", "each" } do
        local call = resource .. "." .. name
        mistake(call .. ": unknown field 'limt' (did you mean 'limit'?)", function()
          local _ = r[name](r, { limt = 5 })
        end)
        mistake(call .. ": limit: integer from 1 to 1000000 expected, got string", function()
          local _ = r[name](r, { limit = "5" })
        end)
        mistake(call .. ": a whole list has no offset (use page)", function()
          local _ = r[name](r, { offset = 5 })
        end)
        mistake(call .. ": unknown option 'timeoot' (did you mean 'timeout'?)", function()
          local _ = r[name](r, nil, { timeoot = 5 })
        end)
        mistake(call .. ": at most 2 arguments expected, got 3", function()
          local _ = r[name](r, nil, nil, 3)
        end)
        mistake(("call it with a colon: client.%s:%s(…)"):format(resource, name), function()
          local _ = r[name] {}
        end)
      end
    end
  end)

  it("is the same for lists that are promised whole, which have no fields", function()
    for _, resource in ipairs(plain) do
      local r = client[resource]
      for _, name in ipairs { "list", "each" } do
        local call = resource .. "." .. name
        mistake(call .. ": unknown option 'limit'", function()
          local _ = r[name](r, { limit = 5 })
        end)
        mistake(call .. ": at most 1 argument expected, got 2", function()
          local _ = r[name](r, {}, {})
        end)
      end
    end
  end)

  it("is the same for find", function()
    local users = client.users
    mistake("bad argument #1 to 'find' (email: non-empty string expected, got nil)", function()
      local _ = users:find()
    end)
    mistake("users.find: unknown option 'x'", function() local _ = users:find("a", { x = 1 }) end)
    mistake("users.find: at most 2 arguments expected, got 3", function()
      local _ = users:find("a", {}, 1)
    end)
  end)
end)

describe("what people are known by", function()
  it("is a fact of the resource, which operations() shows", function()
    for _, row in ipairs(cipherscale.operations()) do
      assert.equal(row.resource == "users" and "email" or nil, row.known_by)
    end
  end)

  it("makes the hint of a 404, where it stands in the place of such an id", function()
    serve { status = 404, body = "{}" }
    local hint = "an id is expected, and this looks like the email: "
      .. "users:find(email) gives the user"
    local mail = "ann@example.com"
    for call, expected in pairs {
      [function() return client.users:get(mail) end] = hint,
      [function() return client.roles:remove_user("r1", mail) end] = hint,
      [function() return client.roles:get(mail) end] = false,
      [function() return client.users:remove_from_group("u1", mail) end] = false,
      [function() return client.users:remove_from_group(mail, "g1") end] = hint,
      [function() return client.users:page { filter = { email = mail } } end] = false,
      [function() return client:request { method = "GET", path = "/" .. mail } end] = false,
    } do
      local _, err = call()
      assert.equal(expected or nil, err.hint)
    end
  end)
end)

describe("what a client shows of itself", function()
  before_each(function() serve { body = "[]" } end)

  it("has every method of a resource, a line each with what it gives", function()
    for _, row in ipairs(cipherscale.operations()) do
      local lines, methods = {}, 0
      for line in tostring(client[row.resource]):gmatch "[^\n]+" do
        local name = line:match("^  " .. row.resource .. ":([%l_]+)%([%l%u,_ ]*%)  %u.*%.$")
        if name then lines[name] = line end
      end
      for name in pairs(client[row.resource]) do
        assert.truthy(lines[name], name)
        methods = methods + 1
      end
      assert.truthy(methods > 1)
    end
    assert.truthy(tostring(client.users):find "\n  users:find%(email, options%)  The one with ")
  end)

  it("says what its own methods do", function()
    for _, name in ipairs { "request", "run", "close" } do
      assert.truthy(tostring(client):find("\n  client:" .. name .. "%([%l, ]*%)  %u[^\n]+%."), name)
    end
  end)

  it("names the nearest method, whichever layer it comes from", function()
    for wrong, right in pairs { lists = "list", eech = "each", fnd = "find", invit = "invite" } do
      local message = helper.message_of(function() return client.users[wrong] end)
      assert.equal(("unknown method of client.users '%s' (did you mean '%s'?)")
        :format(wrong, right), message)
    end
    local message = helper.message_of(function() return client.requests end)
    assert.equal("unknown resource or method 'requests' (did you mean 'request'?)", message)
  end)
end)
