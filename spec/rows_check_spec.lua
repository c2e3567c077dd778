-- SPDX-License-Identifier: MIT
-- What is wrong with the arguments of any operation is raised with its place, and nothing is sent:
-- every id, and every field of every query and body, down to the last element. What is right is
-- taken from the contract, and then spoilt in one place.

local cipherscale = require "cipherscale"
local contract = require "spec.support.contract"
local helper = require "spec.support.helper"
local setting = require "spec.support.setting"

local unpack = table.unpack or unpack

local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end)

before_each(function() setting.start { { body = "{}" } } end)

-- The message that a call raises; nothing may have been sent.
local function refusal(row, arguments, count)
  local resource = client[row.resource]
  local message = helper.message_of(resource[row.name], resource,
    unpack(arguments, 1, count or #arguments))
  assert.equal(0, server:count())
  return message
end

local function copy(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for key, inner in pairs(value) do result[key] = copy(inner) end
  return result
end

-- A value that a field of this type cannot have, and what messages call it.
local function misfit(field)
  if field.type:find " or " then return true, "boolean" end
  local table_type = field.type == "table" or field.type == "filter" or field.type:find "^list"
  if table_type then return "text", "string" end
  return {}, "table"
end

-- Calls `check` with each way to spoil a table of fields that fits: what is done to a copy of the
-- whole, and the message that is expected of it. `path` are the keys that lead to the table, and
-- `place` is what messages call it.
local function each_spoiling(fields, sample, path, place, check)
  local dot, colon = place, place
  if place ~= "" then dot, colon = place .. ".", place .. ": " end
  local function spoil(name, value, message)
    check(function(whole)
      for _, key in ipairs(path) do whole = whole[key] end
      whole[name] = value
    end, message)
  end
  for _, field in ipairs(fields) do
    if not field.positional then
      local value, got = misfit(field)
      local where = dot .. field.name
      local expected = field.type == "filter" and "table" or field.type
      spoil(field.name, value, ("%s: %s expected, got %s"):format(where, expected, got))
      if field.required then
        spoil(field.name, nil, ("%s: %s expected, got nil"):format(where, field.type))
      end
      if field.allowed then
        spoil(field.name, "OTHER", ("%s: %s expected, got 'OTHER'"):format(where, field.type))
      end
      local element = field.type:match "^list of (.-)s$" or field.type:match "^list of (.-)s or "
      if element then
        spoil(field.name, { sample[field.name][1], (misfit { type = element }) },
          ("%s[2]: "):format(where))
      end
      if field.fields then
        local inner, at = sample[field.name], { unpack(path) }
        at[#at + 1] = field.name
        if element then at[#at + 1] = 2 end
        each_spoiling(field.fields, element and inner[2] or inner, at,
          where .. (element and "[2]" or ""), check)
      end
    end
  end
  spoil("noSuchField", 1, colon .. "unknown field 'noSuchField'")
end

local NOUNS = { users = "user", roles = "role", groups = "group", devices = "device",
                gateways = "gateway", resources = "resource", addresses = "address",
                protocols = "protocol", admission_rules = "admission rule", policies = "policy" }

-- What messages call the arguments that are ids, in order.
local function ids_of(row)
  local ids = {}
  for parameter in row.path:gmatch "{(.-)}" do ids[#ids + 1] = parameter end
  for _, field in ipairs(row.body) do
    if field.positional then ids[#ids + 1] = field.name end
  end
  for i, id in ipairs(ids) do
    ids[i] = id == "id" and NOUNS[row.resource] .. " id" or id:gsub("%u", " %0"):lower()
  end
  return ids
end

-- A copy in which every list of one element has it twice.
local function twice(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for key, inner in pairs(value) do result[key] = twice(inner) end
  if #result == 1 then result[2] = twice(value[1]) end
  return result
end

-- The field list of a row's table, and one that fits it; nil for a row without.
local function table_of(row, arguments)
  local last = arguments[#arguments]
  if type(last) ~= "table" then return nil end
  return row.query[1] and row.query or row.body, twice(last)
end

for _, row in ipairs(cipherscale.operations()) do
  local name = row.resource .. "." .. row.name
  local arguments, ids = contract.arguments(row, "all"), ids_of(row)
  local fields, sample = table_of(row, arguments)

  if ids[1] then
    describe(name, function()
      it("needs its ids, and says which one is missing", function()
        for n, id in ipairs(ids) do
          local given = { unpack(arguments) }
          for _, wrong in ipairs { { nil, "nil" }, { "", "an empty string" }, { 7, "number" } } do
            given[n] = wrong[1]
            assert.equal(("bad argument #%d to '%s' (%s: non-empty string expected, got %s)")
              :format(n, row.name, id, wrong[2]), refusal(row, given, #arguments))
          end
        end
      end)
    end)
  end

  if fields then
    describe(name, function()
      it("refuses fields that do not fit, and says where", function()
        each_spoiling(fields, sample, {}, "", function(spoil, expected)
          local whole, given = copy(sample), { unpack(arguments, 1, #ids) }
          spoil(whole)
          given[#ids + 1] = whole
          local message = refusal(row, given)
          assert.equal(name .. ": " .. expected, message:sub(1, #name + 2 + #expected))
        end)
      end)
    end)
  end
end

describe("a body", function()
  -- What is raised for the fields of a call.
  local function refused(resource, method, ...)
    return refusal({ resource = resource, name = method }, { ... })
  end

  it("is refused with the place of what does not fit", function()
    assert.equal("resources.create: addresses[2].protocols: list of strings expected, got string",
      refused("resources", "create", { name = "Wiki", type = "PRIVATE", addresses = {
        { address = "10.0.0.7", protocols = { "p1" } },
        { address = "10.0.0.8", protocols = "p1" } } }))
    assert.equal("protocols.create: networkProtocols[1].port: string expected, got number",
      refused("protocols", "create", { networkProtocols = { { protocol = "TCP", port = 443 } } }))
    assert.equal("protocols.create: networkProtocols[1]: unknown field 'ports' "
      .. "(did you mean 'port'?)",
      refused("protocols", "create", { networkProtocols = { { ports = "443" } } }))
    assert.equal("policies.create: type: one of 'PRIVATE' 'SAAS' 'INTERNET' 'SITETOSITE' "
      .. "expected, got 'private'", refused("policies", "create", { type = "private" }))
    assert.equal("gateways.create: wireguardPort: string expected, got number",
      refused("gateways", "create", { name = "North", wireguardPort = 51820 }))
  end)

  it("is refused when a list of roles is left out that would take all of them away", function()
    assert.equal("groups.update: roles: list of strings expected, got nil",
      refused("groups", "update", "g1", { name = "Crew" }))
  end)

  it("is refused when there is none, and something is required", function()
    assert.equal("groups.create: roles: list of strings expected, got nil",
      refused("groups", "create"))
    assert.equal("users.create: email: string expected, got nil", refused("users", "create", {}))
    assert.equal("users.create: table of fields expected, got string",
      refused("users", "create", "ada@example.com"))
  end)

  it("that is a list is refused with the place in it", function()
    local ADA = { email = "ada@example.com", groups = {} }
    assert.equal("users.create: [2].email: string expected, got nil",
      refused("users", "create", { ADA, { groups = {} } }))
    assert.equal("users.create: [3]: table expected, got string",
      refused("users", "create", { ADA, ADA, "bob@example.com" }))
    assert.equal("users.create: [1].groups[2]: non-empty string expected, got an empty string",
      refused("users", "create", { { email = "bob", groups = { "g1", "" } } }))
    assert.equal("users.create: [2]: unknown field 'mail' (did you mean 'email'?)",
      refused("users", "create", { ADA, { mail = "bob" } }))
    assert.equal("users.create: list without holes expected, got the key email",
      refused("users", "create", { ADA, email = "bob" }))
  end)

  it("that is a list has as many elements as the service takes", function()
    local many = {}
    for i = 1, 101 do many[i] = { email = "ada@example.com", groups = {} } end
    assert.equal("users.create: at most 100 at once expected, got 101",
      refused("users", "create", many))
  end)

  it("passes as a list of any length through a client that does not check", function()
    setting.start({ { body = "{}" } }, { validate = false })
    local many, sent = {}, {}
    for i = 1, 101 do
      many[i], sent[i] = { email = "ada", more = i }, ('{"email":"ada","more":%d}'):format(i)
    end
    assert(client.users:create(many))
    assert.equal("[" .. table.concat(sent, ",") .. "]", server:requests()[1].body)
  end)

  it("is no list where the service takes one", function()
    assert.equal("groups.create: field names expected, got a key of type number",
      refused("groups", "create", { { name = "Crew", roles = {} } }))
  end)
end)
