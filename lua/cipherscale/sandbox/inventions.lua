-- SPDX-License-Identifier: MIT
--
-- What a seed does not say: the built-in records of a tenant, what stands in for fields that were
-- left out, and whole records where only their number was given. The same for every start.

local json = require "cipherscale.sandbox.json"
local people = require "cipherscale.sandbox.people"

local M = {}

local DESCRIPTIONS = {
  OWNER = "Owns the tenant.", ADMIN = "Manages everything but the ownership.",
  DEFAULT = "What every member can do.", BASIC = "Connects, and changes nothing.",
  BILLING = "Sees and pays invoices.", AUDITOR = "Reads everything, and changes nothing.",
  SUPPORT = "Helps members with their devices.",
}

local TEAMS = { "Engineering", "Sales", "Finance", "Support", "Marketing", "Legal", "Operations" }

local function list(...)
  return setmetatable({ ... }, json.list)
end

local function predefined(name, port)
  local transports = list { protocol = "TCP", port = port }
  return { name = name, type = "PREDEFINED", networkProtocols = transports }
end

--- Kind → the records that a tenant has unless a list of others is given.
M.built_in = {
  role = { "OWNER", "ADMIN", "DEFAULT", "BASIC", "BILLING", "AUDITOR", "SUPPORT" },
  protocol = {
    { name = "All", type = "ALL" }, predefined("HTTPS", "443"), predefined("SSH", "22"),
    predefined("RDP", "3389"),
  },
  rule = { { name = "Always allow", type = "ALLOW" }, { name = "Always deny", type = "DENY" } },
}

-- A function that names the n-th record.
local function numbered(word)
  return function(n) return { name = ("%s %d"):format(word, n) } end
end

--- Kind → function(n, fields): what the n-th seed of it has where it says nothing.
M.defaults = {
  role = function(n, fields)
    local kind = fields.type or "BASIC"
    local built_in = fields.type and not fields.name and DESCRIPTIONS[kind] ~= nil
    return {
      createdAt = people.time(0), updatedAt = people.time(0), type = kind,
      name = built_in and kind:sub(1, 1) .. kind:sub(2):lower() or "Role " .. n,
      description = built_in and DESCRIPTIONS[kind] or nil, deleteable = not built_in,
    }
  end,
  user = function(n) return { email = ("user%d@example.com"):format(n) } end,
  group = function(n) return { name = TEAMS[n] or "Group " .. n } end,
  device = numbered "Device",
  gateway = numbered "Gateway",
  resource = numbered "Resource",
  protocol = numbered "Protocol",
  rule = numbered "Rule",
  policy = function(n) return { name = "Policy " .. n, order = n } end,
}

local function one_of(records, n)
  local record = records[(n - 1) % math.max(#records, 1) + 1]
  return record and record.fields.id
end

local function address_of(n)
  return ("10.%d.%d.%d"):format(math.floor(n / 65536) % 256, math.floor(n / 256) % 256, n % 256)
end

local function invented_address(n, state)
  return { address = address_of(n), protocols = list(one_of(state.protocols, 1)) }
end

--- Kind → function(n, state): the n-th record where only their number was given. Those it is
--- related to are taken from the state, in turn.
M.records = {
  user = function(n)
    local first, last, email = people.person(n)
    return { firstName = first, lastName = last, email = email }
  end,
  device = function(n, state) return { user = one_of(state.users, n) } end,
  protocol = function(n)
    local port = tostring(8000 + n % 1000)
    return { networkProtocols = list { protocol = "TCP", port = port } }
  end,
  gateway = function(n)
    return { status = "ONLINE", endpoint = ("gw%d.example.com"):format(n) }
  end,
  address = invented_address,
  resource = function(n, state)
    return {
      addresses = list(invented_address(n, state)), gateways = list(one_of(state.gateways, n)),
    }
  end,
  rule = function(n)
    return { rule = ("user.department == '%s'"):format(TEAMS[(n - 1) % #TEAMS + 1]) }
  end,
  policy = function(n, state)
    return { groups = list(one_of(state.groups, n)), resources = list(one_of(state.resources, n)) }
  end,
}

return M
