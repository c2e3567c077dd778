-- SPDX-License-Identifier: MIT
-- What `make docs` has generated: every example of doc/api.md runs and sends what its chapter says;
-- the page and the annotations have every method and option that there is. That both are fresh
-- is for `make lint` to say.

local cipherscale = require "cipherscale"
local contract = require "spec.support.contract"
local helper = require "spec.support.helper"
local options = require "cipherscale.bulk.options"
local start = require("spec.support.server").start

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

local page, types = read "doc/api.md", read "lua/cipherscale/types.lua"
local RERUN = "; make docs"

-- The methods of the page: { name = "users:get", http =, code =, example = }.
local function methods_of(text)
  local methods = {}
  for at in text:gmatch "\n### `client%.()" do
    local chapter = text:sub(at, text:find("\n##", at, true))
    methods[#methods + 1] = {
      name = chapter:match "^[%w_]+:[%w_]+", http = chapter:match "| sends | `(.-)`",
      code = chapter:match "```lua\n(.-)```",
    }
  end
  return methods
end

-- The operations by what they send.
local by_http = {}
for _, row in ipairs(cipherscale.operations()) do
  by_http[row.method .. " " .. row.path] = row
end

-- The whole answer that the contract has for it; a page that is the last.
local function answer_to(row)
  local schema = contract.answer_schema(row)
  local value = schema and contract.example(schema, "all")
  if row.result == "PAGE" then
    value.total, value.page, value.hasNext, value.hasPrevious = 1, 0, false, false
    value.data[1].email = value.data[1].email and "ann@example.com"
  end
  return { body = value and contract.encode(value) }
end

-- Is this path what the template becomes, with any ids?
local function fits(template, path)
  local pattern = template:gsub("[%-%.]", "%%%0"):gsub("{.-}", "[^/]+")
  return path:gsub("%?.*", ""):find("^" .. pattern .. "$") ~= nil
end

local function run(code, client)
  local environment = setmetatable({
    client = client, cipherscale = cipherscale, print = function(...) return tostring(...) end,
  }, { __index = function(_, name)
    return name:find "_id$" and "id-of-" .. name or _G[name]
  end })
  local chunk = assert((loadstring or load)(code, "example", "t", environment))
  if setfenv then setfenv(chunk, environment) end
  chunk()
end

describe("doc/api.md", function()
  for _, method in ipairs(methods_of(page)) do
    it("has an example of " .. method.name .. " that runs and sends what is said", function()
      local row = assert(by_http[method.http], method.http .. " is no operation" .. RERUN)
      local server = start { answers = { answer_to(row) } }
      local client = helper.client(server, { max_retries = 0 })
      finally(function()
        client:close()
        server:stop()
      end)
      run(assert(method.code), client)
      local request = server:requests()[1]
      assert.equal(1, server:count())
      assert.equal(row.method, request.method)
      assert.is_true(fits(row.path, request.path), request.path)
    end)
  end

  it("has every method that a client has, once", function()
    local named = {}
    for _, method in ipairs(methods_of(page)) do
      assert.is_nil(named[method.name], method.name)
      named[method.name] = true
    end
    local client = cipherscale.new { api_key = "none", base_url = "http://127.0.0.1:9" }
    for _, row in ipairs(cipherscale.operations()) do
      for name in pairs(client[row.resource]) do
        local full = row.resource .. ":" .. name
        assert.is_true(named[full], full .. " is missing" .. RERUN)
      end
    end
    client:close()
  end)

  it("explains every answer that it names", function()
    for name in page:gmatch "%]%(#(%w+)%)" do
      assert.truthy(("\n" .. page:lower()):find("\n##+ [^\n]*" .. name .. "\n"), name)
    end
  end)

  local function chapter_of(heading)
    local at = assert(page:find("\n" .. heading .. "\n", 1, true), heading .. RERUN)
    local text = page:sub(at + #heading)
    return text:sub(1, (text:find "\n## " or 0) - 1)
  end

  -- What is said under the heading of a method.
  local function said_of(name)
    local at = assert(page:find("\n### `client." .. name .. "(", 1, true), name)
    return page:sub(at, page:find("\n#", at + 1, true))
  end

  it("explains what a filter is, with all operators and no others", function()
    local text, known = chapter_of "## Filters", {}
    for name in text:gmatch "\n| `(%l+)` |" do known[#known + 1] = name end
    assert.equal(9, #known)
    local server = start { answers = { { body = "{}" } } }
    local client = helper.client(server)
    finally(function()
      client:close()
      server:stop()
    end)
    local a, b = "a", "b"
    local filter = assert(load("local a, b = ...; " .. text:match "\n```lua\nlocal (filter = .-)```"
      :gsub("^filter =", "return")))(a, b)
    assert(client.resources:page { filter = filter })
    for _, name in ipairs(known) do
      local list = name == "in" or name == "nin"
      assert(client.resources:page { filter = { x = { [name] = list and { a } or a } } })
    end
    assert.equal(1 + #known, server:count())
    for _, resource in ipairs { "users", "groups", "devices", "resources" } do
      local row = said_of(resource .. ":page"):match "\n| `fields.filter` [^\n]*"
      assert.truthy(row:find("[filter](#filters)", 1, true), row)
    end
  end)

  it("has what has no row: client:request and cipherscale.time, with examples that run", function()
    local server = start { answers = { { body = [[{"data":[{"name":"a"}]}]] } } }
    local client = helper.client(server)
    finally(function()
      client:close()
      server:stop()
    end)
    local text = chapter_of "## Any other call"
    for _, name in ipairs { "method", "path", "query", "body", "repeat_class", "HEAD" } do
      local known = name ~= "HEAD" or pcall(client.request, client, { method = name, path = "/" })
      assert.equal(known, text:find("%f[%w_]" .. name .. "%f[^%w_]") ~= nil, name)
    end
    server:clear_requests()
    run(text:match "```lua\n(.-)```", client)
    assert.equal(1, server:count())
    run(chapter_of "## Dates":match "```lua\n(.-)```", client)
  end)

  it("says of sure operations, too, what the documentation leaves open", function()
    for name, part in pairs {
      ["users:update"] = "whether a left-out field is kept or cleared is not documented",
      ["users:create"] = "Partial failure of a bulk call is not documented",
      ["policies:update"] = "near full replacement",
      ["roles:users"] = "default of the groups flag is not documented",
      ["users:invite"] = "for a user who is not pending is not documented",
      ["users:update_roles"] = "is sent as `[]`",
    } do
      assert.truthy(said_of(name):find(part, 1, true), name .. RERUN)
    end
  end)

  it("says how much is written by hand for an operation", function()
    local _, rows = read "csrc/endpoints.c":gsub("\n", "")
    local _, fields = read "csrc/fields.c":gsub("\n", "")
    local count = #cipherscale.operations()
    local said = page:match("\n%d+ operations, [^\n]*\n[^\n]*\n[^\n]*\n")
    for _, part in ipairs { ("%d operations"):format(count), ("(%d lines)"):format(rows),
                            ("(%d lines)"):format(fields),
                            ("%.1f lines an operation"):format((rows + fields) / count) } do
      assert.truthy(assert(said, RERUN):find(part, 1, true), part .. RERUN)
    end
    local without = tonumber(said:match "(%d+%.%d) without")
    assert.is_true(without > 4 and without < (rows + fields) / count)
  end)

  it("says nothing of how the documentation was read", function()
    for _, part in ipairs { "success code", "renderer", "stored page", "operationId is not",
                            "seed" } do
      assert.is_nil(page:find(part, 1, true), part)
    end
  end)
end)

describe("lua/cipherscale/types.lua", function()
  -- The fields of a class, by name.
  local function fields_of(class)
    local fields = {}
    local text = types:match("%-%-%-@class cipherscale%." .. class .. "\n(.-)\n[^-]")
      or types:match("%-%-%-@class cipherscale%." .. class .. "\n(.-)\n\n")
    for name in assert(text, class):gmatch "%-%-%-@field ([%w_]+)" do fields[name] = true end
    return fields
  end

  it("is Lua that does nothing", function()
    assert.is_nil(assert(loadfile "lua/cipherscale/types.lua")())
  end)

  it("has every method of every resource", function()
    for _, method in ipairs(methods_of(page)) do
      local resource, name = method.name:match "^(.-):(.*)$"
      local class = resource:gsub("_?(%l)(%w*)", function(first, rest)
        return first:upper() .. rest
      end)
      assert.truthy(types:find(("\nfunction %s:%s("):format(class, name), 1, true), method.name)
    end
  end)

  it("has the options that cipherscale.new takes, and no others", function()
    local documented, known = fields_of "Options", {}
    for name in read "csrc/options.c":gmatch "{?%s*%.name = \"([%w_]+)\"" do
      if name ~= "response" then known[name] = true end
    end
    assert.same(known, documented)
    for name in pairs(documented) do
      local message = helper.message_of(cipherscale.new, { [name] = coroutine.create(print) })
      assert.is_nil(message:find("unknown", 1, true), message)
    end
  end)

  it("has the options of bulk jobs", function()
    for class, list in pairs { ApplyOptions = options.apply, UndoOptions = options.undo,
                               BulkRolesJob = options.job } do
      local documented = fields_of(class)
      for _, name in ipairs(list) do assert.is_true(documented[name], class .. "." .. name) end
    end
  end)

  it("has the fields of an error and of a response that come", function()
    local server = start { answers = { { status = 404, body = '{"message":"no","code":"E"}' } } }
    local client, response = helper.client(server), {}
    finally(function()
      client:close()
      server:stop()
    end)
    local _, err = client.users:get("u1", { response = response })
    for class, given in pairs { Error = err, Response = response } do
      local documented = fields_of(class)
      for name in pairs(given) do assert.is_true(documented[name], class .. "." .. name) end
    end
  end)

  it("has no offset for a whole list, and the data of a page for sure", function()
    for _, resource in ipairs { "Users", "Groups", "Devices", "Resources" } do
      local fields = fields_of(resource .. "ListFields")
      assert.is_true(fields.limit)
      assert.is_nil(fields.offset)
      for _, name in ipairs { "list", "each" } do
        local at = types:find(("\nfunction %s:%s("):format(resource, name), 1, true)
        local last = types:sub(1, at):match ".*\n\n(.*)$"
        assert.truthy(last:find(("cipherscale.%sListFields"):format(resource), 1, true), last)
      end
    end
    local pages = 0
    for _ in types:gmatch "@field data cipherscale" do pages = pages + 1 end
    assert.equal(4, pages)
    assert.is_nil(types:find("@field data?", 1, true))
  end)

  it("has the methods that client:request takes", function()
    local client = cipherscale.new { api_key = "none", base_url = "http://127.0.0.1:9" }
    local message = helper.message_of(client.request, client, { path = "/" })
    local words = {}
    for word in message:gmatch "'(%u+)'" do words[#words + 1] = "'" .. word .. "'" end
    client:close()
    assert.truthy(types:find("@field method " .. table.concat(words, "|"), 1, true))
  end)
end)
