-- SPDX-License-Identifier: MIT
-- cipherscale.operations(): the table of endpoints as Lua sees it, and that each row says what
-- the contract (api/openapi.json) says.

local cipherscale = require "cipherscale"
local contract = require "spec.support.contract"

local label, operations = contract.label, cipherscale.operations()

local function sorted_names(list)
  local names = {}
  for i, field in ipairs(list) do names[i] = field.name end
  table.sort(names)
  return names
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(list or {}) do set[name] = true end
  return set
end

-- How operations() names a type of the contract.
local TYPES = { string = "string$", boolean = "^boolean$", number = "^integer from ",
                integer = "^integer from ", object = "^table$" }

local function check_type(field, schema, place)
  schema = contract.resolve(schema)
  if schema.type == "array" then
    schema = contract.resolve(schema.items)
    local element = field.type:match "^list of (.-)s$" or field.type:match "^list of (.-)s or %1$"
    assert.is_truthy(element and element:find(TYPES[schema.type]), place)
  elseif schema.enum then
    assert.is_truthy(field.type:find "^one of '", place)
  else
    assert.is_truthy(field.type:find(TYPES[schema.type]), place)
  end
  assert.same(schema.enum, field.allowed, place)
  return schema
end

-- Bodies in which a list that the contract requires may be left out: it is then sent as [].
local EMPTY_LISTS = { ["users.update_roles"] = true }

-- A field list says what a schema says, down to the last element.
local function check_fields(fields, schema, place, filled)
  assert.same(contract.names(schema.properties), sorted_names(fields), place)
  local required = set_of(schema.required)
  for _, field in ipairs(fields) do
    local inside = place .. ": " .. field.name
    local inner = check_type(field, schema.properties[field.name], inside)
    assert.equal(not filled and required[field.name] == true, field.required, inside)
    assert.is_truthy(field.doc:find "^%u.+%.$", inside)
    assert.equal(inner.type == "object", field.fields ~= nil, inside)
    if field.fields then check_fields(field.fields, inner, inside) end
  end
end

describe("cipherscale.operations()", function()
  it("is a list of tables with the same fields", function()
    for _, operation in ipairs(operations) do
      local names = set_of(contract.names(operation))
      for _, optional in ipairs { "settled", "several" } do
        assert.is_truthy(operation[optional] == nil or operation[optional] > 0)
        names[optional] = nil
      end
      assert.same(set_of { "body", "doc", "method", "name", "path", "query", "repeat_class",
                           "resource", "result" }, names)
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
    end
    for _, names in pairs(known) do
      if names.page then -- pages.lua makes whole lists of them
        assert.is_nil(names.list or names.each or names.find)
        names.list, names.each = true, true
      end
    end
    known.users.find = true
    local client = cipherscale.new { api_key = "none", base_url = "http://127.0.0.1:9" }
    for resource, names in pairs(known) do
      for name in pairs(client[resource]) do assert.is_true(names[name], name) end
    end
    client:close()
  end)

  it("has all that the contract has", function()
    local missing = contract.operations()
    for _, operation in ipairs(operations) do
      missing[operation.method .. " " .. operation.path] = nil
    end
    assert.same({}, missing)
    assert.equal(54, #operations)
  end)

  it("is README's table of operations, line by line", function()
    local file = assert(io.open("README.md", "rb"))
    local shown, unsure = {}, {}
    for line in file:lines() do
      local name, rest, request = line:match "^| `client%.([%w_]+:[%w_]+)(.*)| `(%u+ /.-)` |$"
      if name then
        shown[name:gsub(":", ".")] = request
        unsure[name:gsub(":", ".")] = rest:find("\\*", 1, true) and true
      end
    end
    file:close()
    for _, operation in ipairs(operations) do
      local name = label(operation)
      assert.equal(operation.method .. " " .. operation.path, shown[name])
      assert.equal(contract.described(operation)["x-confidence"] ~= "high", unsure[name] == true)
      shown[name] = nil
    end
    assert.same({}, shown)
  end)

  it("is what a client and its resources show of themselves, a line each", function()
    local client = cipherscale.new {
      api_key = "none", base_url = "http://127.0.0.1:9", protect = { "u1" },
    }
    local text = tostring(client)
    for _, line in ipairs { "client.base_url", "client.protect", "client:request(…)" } do
      assert.truthy(text:find("\n  " .. line, 1, true), line)
    end
    assert.is_nil(text:find("table: 0x", 1, true))
    assert.truthy(tostring(client.groups):find("\n  groups:list(fields, options), :each(", 1, true))
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
      by_id[assert(contract.described(operation)).operationId] = label(operation)
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
    for _, id in ipairs(contract.document["x-core"]) do assert.is_string(by_id[id], id) end
  end)
end)

for _, operation in ipairs(operations) do
  describe(label(operation), function()
    it("is in the contract, with its method and path", function()
      assert.is_table(contract.described(operation))
    end)

    it("takes the parameters of the contract's path", function()
      local in_template = {}
      for name in operation.path:gmatch "{(.-)}" do in_template[#in_template + 1] = name end
      table.sort(in_template)
      assert.same(sorted_names(contract.parameters(operation, "path")), in_template)
    end)

    it("takes the contract's query, with its types", function()
      local schema, fields = { properties = {}, required = {} }, {}
      local documented, filter = false, nil
      for _, parameter in ipairs(contract.parameters(operation, "query")) do
        if parameter.name:find "^filter%[" then
          documented = true
        else
          schema.properties[parameter.name] = parameter.schema
          if parameter.required then schema.required[#schema.required + 1] = parameter.name end
        end
      end
      for _, field in ipairs(operation.query) do
        assert.is_false(field.positional)
        if field.name == "filter" then filter = field else fields[#fields + 1] = field end
      end
      check_fields(fields, schema, label(operation))
      -- A filter is one field of ours and many parameters of the contract. All paged lists take
      -- one, where the contract has it for resources only; the others say that it is assumed.
      assert.equal(operation.result == "PAGE", filter ~= nil)
      if filter then assert.equal(documented, not filter.doc:find("assumption", 1, true)) end
    end)

    it("sends the contract's body, with its types", function()
      local schema, most = contract.body_schema(operation)
      assert.equal(most, operation.several)
      if not schema then return assert.same({}, operation.body) end
      check_fields(operation.body, schema, label(operation), EMPTY_LISTS[label(operation)])
    end)

    it("promises what the contract answers", function()
      local schema = contract.answer_schema(operation)
      local expected = "NOTHING"
      if schema then
        local ref, found = schema["$ref"] or "", contract.resolve(schema)
        expected = found.type == "array" and "LIST" or ref:find "Page$" and "PAGE" or "VALUE"
      end
      assert.equal(expected, operation.result)
    end)

    it("says so where the contract is not sure of it", function()
      local sure = contract.described(operation)["x-confidence"] == "high"
      local said = operation.doc:find(" The documentation shows this operation only in part.", 1,
        true)
      assert.equal(sure, said == nil)
    end)

    it("is repeated only as its method allows", function()
      assert.equal(operation.method == "GET", operation.repeat_class == "READ")
    end)
  end)
end

describe("the classes of repetition", function()
  local by_name = {}
  for _, operation in ipairs(operations) do by_name[label(operation)] = operation.repeat_class end

  it("never repeat what sends an e-mail, nor what creates something", function()
    assert.equal("ONCE", by_name["users.invite"])
    for name, class in pairs(by_name) do
      if name:find "%.create$" then assert.equal("ONCE", class, name) end
    end
  end)

  it("repeat what leaves the same state once or twice", function()
    for _, operation in ipairs(operations) do
      local once = operation.name == "create" or operation.name == "invite"
      if operation.method ~= "GET" and not once then
        assert.equal("REPEATABLE", operation.repeat_class, label(operation))
      end
    end
  end)

  it("take a 404 for done when a DELETE is repeated, and a 409 when a membership is", function()
    for _, operation in ipairs(operations) do
      local expected = operation.method == "DELETE" and 404 or nil
      if label(operation) == "users.add_to_group" then expected = 409 end
      assert.equal(expected, operation.settled, label(operation))
    end
  end)
end)
