-- SPDX-License-Identifier: MIT
-- cipherscale.operations(): the table of endpoints as Lua sees it, and that each row says what
-- the contract (api/openapi.json) says.

local cipherscale = require "cipherscale"
local cjson = require "cjson"

local function read_contract()
  local file = assert(io.open("api/openapi.json", "rb"))
  local text = file:read "*a"
  file:close()
  return cjson.new().decode(text)
end

local contract = read_contract()
local operations = cipherscale.operations()

local function resolve(schema)
  while schema and schema["$ref"] do
    local value = contract
    for part in schema["$ref"]:gmatch "[^#/]+" do value = value[part] end
    schema = value
  end
  return schema
end

local function label(operation)
  return ("%s.%s"):format(operation.resource, operation.name)
end

local function described(operation)
  local path = contract.paths[operation.path]
  return path and path[operation.method:lower()]
end

-- A filter is one field of ours and many parameters of the contract ("filter[name][eq]"). That all
-- paged lists take one is assumed, where the contract has it for resources only.
local function sorted_names(list)
  local names = {}
  for _, field in ipairs(list) do
    if field.name:match "^[^%[]*" ~= "filter" then names[#names + 1] = field.name end
  end
  table.sort(names)
  return names
end

local function has_filter(list)
  for _, field in ipairs(list) do
    if field.name:match "^[^%[]*" == "filter" then return true end
  end
  return false
end

-- The parameters of an operation that are in the query or the path.
local function parameters(operation, place)
  local found = {}
  for _, owner in ipairs { contract.paths[operation.path], described(operation) } do
    for _, parameter in ipairs(owner.parameters or {}) do
      parameter = resolve(parameter)
      if parameter["in"] == place then found[#found + 1] = parameter end
    end
  end
  return found
end

-- What operations() calls the type of a schema.
local function type_matches(text, schema)
  schema = resolve(schema)
  local kind = schema.type
  if kind == "array" then return text:find "^list of " ~= nil end
  if kind == "number" or kind == "integer" then return text:find "^integer" ~= nil end
  if kind == "string" then return text:find "string$" ~= nil or text:find "^one of" ~= nil end
  return text == kind
end

describe("cipherscale.operations()", function()
  it("is a list of tables with the same fields", function()
    assert.is_true(#operations >= 8)
    for _, operation in ipairs(operations) do
      local names = {}
      for name in pairs(operation) do names[#names + 1] = name end
      table.sort(names)
      assert.same({ "body", "doc", "method", "name", "path", "query", "repeat_class", "resource",
                    "result" }, names)
      for _, name in ipairs { "doc", "method", "name", "path", "resource" } do
        assert.is_string(operation[name])
      end
      assert.is_truthy(({ READ = 1, REPEATABLE = 1, ONCE = 1 })[operation.repeat_class])
      assert.is_truthy(({ VALUE = 1, LIST = 1, PAGE = 1, NOTHING = 1 })[operation.result])
    end
  end)

  it("has a name and a place in the contract once each", function()
    local seen = {}
    for _, operation in ipairs(operations) do
      for _, key in ipairs { label(operation), operation.method .. " " .. operation.path } do
        assert.is_nil(seen[key], key)
        seen[key] = true
      end
    end
  end)

  it("has methods that every client has, under names that are Lua's and ours", function()
    local client = cipherscale.new { api_key = "none", base_url = "http://127.0.0.1:9" }
    for _, operation in ipairs(operations) do
      assert.is_function(client[operation.resource][operation.name])
      assert.is_truthy(operation.name:find "^%l[%l_]*$", operation.name)
    end
    client:close()
  end)

  it("shows every method that a client has", function()
    local known = {}
    for _, operation in ipairs(operations) do
      known[operation.resource] = known[operation.resource] or {}
      known[operation.resource][operation.name] = true
      if operation.name == "page" then -- pages.lua makes whole lists of them
        known[operation.resource].list, known[operation.resource].each = true, true
      end
    end
    known.users.find = true
    local client = cipherscale.new { api_key = "none", base_url = "http://127.0.0.1:9" }
    for resource, names in pairs(known) do
      for name in pairs(client[resource]) do assert.is_true(names[name], name) end
    end
    client:close()
  end)

  it("is a copy: changing it changes nothing", function()
    local copy = cipherscale.operations()
    copy[1].method, copy[2] = "DELETE", nil
    copy[3].query, copy[4].body = nil, nil
    assert.same(operations, cipherscale.operations())
  end)

  it("has a sentence for each operation and each field", function()
    for _, operation in ipairs(operations) do
      assert.is_truthy(operation.doc:find "^%u.+%.$", operation.doc)
      for _, fields in ipairs { operation.query, operation.body } do
        for _, field in ipairs(fields) do
          assert.is_truthy(field.doc:find "^%u.+%.$", label(operation) .. ": " .. field.name)
        end
      end
    end
  end)

  it("has the five operations that the contract is certain of", function()
    local by_id = {}
    for _, operation in ipairs(operations) do
      by_id[assert(described(operation)).operationId] = label(operation)
    end
    assert.same({
      UsersController_reactivate = "users.reactivate", UsersController_invite = "users.invite",
      UsersController_findUserRoles = "users.roles", UsersController_addGroup =
        "users.add_to_group", UsersController_patchUserRoles = "users.update_roles",
    }, {
      UsersController_reactivate = by_id.UsersController_reactivate,
      UsersController_invite = by_id.UsersController_invite,
      UsersController_findUserRoles = by_id.UsersController_findUserRoles,
      UsersController_addGroup = by_id.UsersController_addGroup,
      UsersController_patchUserRoles = by_id.UsersController_patchUserRoles,
    })
    for _, id in ipairs(contract["x-core"]) do assert.is_string(by_id[id], id) end
  end)
end)

for _, operation in ipairs(operations) do
  describe(label(operation), function()
    it("is in the contract, with its method and path", function()
      assert.is_table(described(operation))
    end)

    it("takes the parameters of the contract's path", function()
      local in_template = {}
      for name in operation.path:gmatch "{(.-)}" do in_template[#in_template + 1] = name end
      table.sort(in_template)
      assert.same(sorted_names(parameters(operation, "path")), in_template)
    end)

    it("takes the contract's query, with its types", function()
      local query = parameters(operation, "query")
      assert.same(sorted_names(query), sorted_names(operation.query))
      assert.equal(operation.result == "PAGE", has_filter(operation.query))
      assert.is_true(operation.result == "PAGE" or not has_filter(query))
      for _, field in ipairs(operation.query) do
        for _, parameter in ipairs(query) do
          if parameter.name == field.name then
            assert.is_true(type_matches(field.type, parameter.schema), field.name)
            assert.equal(parameter.required == true, field.required)
            assert.is_false(field.positional)
          end
        end
      end
    end)

    it("sends the contract's body, with its types", function()
      local body = described(operation).requestBody
      if not body then return assert.same({}, operation.body) end
      local schema = resolve(body.content["application/json"].schema)
      local names, required = {}, {}
      for name in pairs(schema.properties) do names[#names + 1] = name end
      for _, name in ipairs(schema.required or {}) do required[name] = true end
      table.sort(names)
      assert.same(names, sorted_names(operation.body))
      for _, field in ipairs(operation.body) do
        assert.is_true(type_matches(field.type, schema.properties[field.name]), field.name)
        -- A list that is required is always sent, [] where the caller gives none.
        local always = field.type:find "^list of " ~= nil
        assert.equal(required[field.name] == true and not always, field.required)
      end
    end)

    it("promises what the contract answers", function()
      local schema
      for status, response in pairs(described(operation).responses) do
        if status:find "^2" and response.content then
          local content = response.content["application/json"]
          schema = content and content.schema
        end
      end
      local expected = "NOTHING"
      if schema then
        local ref, found = schema["$ref"] or "", resolve(schema)
        expected = found.type == "array" and "LIST" or ref:find "Page$" and "PAGE" or "VALUE"
      end
      assert.equal(expected, operation.result)
    end)

    it("is repeated only as its method allows", function()
      assert.equal(operation.method == "GET", operation.repeat_class == "READ")
    end)
  end)
end

describe("the classes of repetition", function()
  local by_name = {}
  for _, operation in ipairs(operations) do by_name[label(operation)] = operation.repeat_class end

  it("never repeat what sends an e-mail", function()
    assert.equal("ONCE", by_name["users.invite"])
  end)

  it("repeat what leaves the same state once or twice", function()
    for _, name in ipairs { "users.reactivate", "users.update_roles", "users.add_to_group" } do
      assert.equal("REPEATABLE", by_name[name])
    end
  end)
end)
