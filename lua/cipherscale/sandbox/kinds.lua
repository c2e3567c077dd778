-- SPDX-License-Identifier: MIT
--
-- What the service keeps, one row a kind. Plain operations (plain.lua), views, filters, seeds and
-- what a deletion takes with it follow from this table and the document's schemas.
--
--   list      the collection's name in the state, and the option of start() that seeds it
--   path      its segment in the API's paths
--   schema    the document's name for a whole record
--   title     what messages call it
--   known_by  fields that name one in seeds, beside the id
--   links     relation → { kind, many = it is a list, made = bodies hold new records, inherit = the
--             fields that these take over }
--   reverse   relation → { kind, link }: the records of a kind whose link holds this one
--   derived   relation → { kind, function(state, record) }
--   defaults  function(state, fields): what a new record has where nothing was said
--   blank     function() → a record without fields: what it holds beside them and the links
--   settle    function(record): what follows from other fields, after a change
--   shown     function(state, record, schema): fields that a view shows otherwise
--   encode    function(state, record): in place of the view of its schema
--   check     function(state, fields, links, new): a status and a sentence where a body is refused
--   fixed     function(fields, deleting): is it built in (assumption built_in)
--   kept      function(state, record): a sentence where it may not be deleted
--   held      true: others may hold it when it is deleted (assumption in_use)
--   deactivated function(record): is it
--   added, removing   function(state, record)

local json = require "cipherscale.sandbox.json"

local M = {}

local function is_ip(address)
  local host = address:match("^(.-)/%d+$") or address
  return host:find("^%d+%.%d+%.%d+%.%d+$") ~= nil or host:find("^[%x:.]*:[%x:.]*$") ~= nil
end

local function is_deactivated(user)
  local status = tostring(user.fields.status):lower()
  return status == "deactivated" or status == "inactive"
end

local function remove(list, value)
  for i, held in ipairs(list) do
    if held == value then return table.remove(list, i) end
  end
end

-- Where the documentation knows no null: the largest limit of the user's groups, or 0.
local function most_devices(user)
  local most = 0
  for _, group in ipairs(user.groups) do most = math.max(most, group.fields.maxDevices) end
  return most
end

M.user = {
  list = "users", path = "users", schema = "User", title = "User", known_by = { "email" },
  blank = function() return { direct = {}, holds = {}, groups = {}, joined = {}, devices = {} } end,
  derived = {
    roles = { "role", function(state, user) return state:roles_of(user, true, true) end },
    groups = { "group", function(_, user) return user.groups end },
    devices = { "device", function(_, user) return user.devices end },
  },
  defaults = function() return { status = "Active", isOwner = false, maxDevices = json.null } end,
  encode = function(state, user) return state:encode_user(user) end,
  shown = function(state, user, schema)
    local assume, fields = state.assume, user.fields
    if schema == "DeviceUser" and not fields.lastConnection
      and assume.owner_connection == "created" then
      return { lastConnection = fields.createdAt }
    end
    if schema == "PolicyUser" and type(fields.maxDevices) ~= "number"
      and assume.policy_max_devices == "effective" then
      return { maxDevices = most_devices(user) }
    end
  end,
  deactivated = is_deactivated,
  kept = function(state, user)
    if user.fields.isOwner and state.assume.owner_delete == "reject" then
      return "The owner cannot be deleted"
    end
  end,
  removing = function(state, user) state:strip_user(user) end,
}

M.role = {
  list = "roles", path = "roles", schema = "Role", title = "Role", known_by = { "type", "name" },
  encode = function(state, role) return state.encode_role(role) end,
}

M.group = {
  list = "groups", path = "groups", schema = "Group", title = "Group", known_by = { "name" },
  links = { roles = { "role", many = true } },
  blank = function() return { members = {} } end,
  derived = { users = { "user", function(_, group) return group.members end } },
  defaults = function()
    return { deleteable = true, maxDevices = 5, isSamlDefaultGroup = false, idpMapping = {} }
  end,
  encode = function(state, group) return state.encode_group(group) end,
  fixed = function(fields, deleting) return deleting and fields.deleteable == false end,
  removing = function(state, group) state.strip_group(group) end,
}

M.device = {
  list = "devices", path = "devices", schema = "Device", title = "Device",
  known_by = { "name", "hardwareId" },
  links = { user = { "user" } },
  shown = function(state, device)
    if device.user and is_deactivated(device.user)
      and state.assume.devices_of_deactivated == "refused" then
      return { active = false, status = "Deactivated" }
    end
  end,
  defaults = function(_, fields)
    return { active = true, status = "Offline", hardwareId = "hw-" .. fields.id }
  end,
  added = function(_, device)
    if device.user then table.insert(device.user.devices, device) end
  end,
  removing = function(_, device)
    if device.user then remove(device.user.devices, device) end
  end,
}

M.gateway = {
  list = "gateways", path = "gateways", schema = "Gateway", title = "Gateway",
  known_by = { "name" }, held = true,
  reverse = { resources = { "resource", "gateways" } },
  defaults = function(_, fields)
    return {
      status = "PENDING", token = "token-of-" .. fields.id, relayEnabled = false,
      autoDiscoverEndpoint = fields.endpoint == nil, wireguardPort = "51820",
    }
  end,
}

M.resource = {
  list = "resources", path = "resources", schema = "Resource", title = "Resource",
  known_by = { "name" }, held = true,
  links = {
    addresses = { "address", many = true, made = true, inherit = { "type" } },
    gateways = { "gateway", many = true },
  },
  reverse = { policies = { "policy", "resources" } },
  sort = { id = true, name = true },
  defaults = function()
    return { type = "PRIVATE", loadBalancingMode = "MANUAL", status = "OFFLINE" }
  end,
  removing = function(state, resource)
    if state.assume.orphan_addresses == "keep" then return end
    local own = resource.addresses
    resource.addresses = {}
    for _, address in ipairs(own) do
      if #state:related(address, "resources") == 0 then state:remove(address) end
    end
  end,
}

M.address = {
  list = "addresses", path = "addresses", schema = "Address", title = "Address",
  known_by = { "address" },
  links = { protocols = { "protocol", many = true } },
  reverse = { resources = { "resource", "addresses" } },
  defaults = function() return { type = "PRIVATE", address = "10.0.0.1" } end,
  settle = function(address) address.fields.isIp = is_ip(address.fields.address) end,
  check = function(state, fields, _, new)
    if not new or state.assume.same_address == "accept" then return end
    for _, other in ipairs(state.addresses) do
      if other.fields.address == fields.address then
        return 409, ("Address %s exists already"):format(fields.address)
      end
    end
  end,
}

M.protocol = {
  list = "protocols", path = "protocols", schema = "Protocol", title = "Protocol",
  known_by = { "name" }, held = true,
  defaults = function() return { type = "CUSTOM", name = "Custom", networkProtocols = {} } end,
  fixed = function(fields) return fields.type ~= "CUSTOM" end,
}

M.rule = {
  list = "admission_rules", path = "admission-rules", schema = "AdmissionRule",
  title = "Admission rule", known_by = { "name" }, held = true,
  defaults = function() return { type = "CUSTOM", hasTimeConstraint = false } end,
  fixed = function(fields) return fields.type ~= "CUSTOM" end,
}

-- The rule of a policy that names none, or why it may not.
local function check_rule(state, fields, links, new)
  local assume = state.assume
  if new and not links.rule then
    if assume.policy_without_rule == "reject" then
      return 400, { "rule should not be null or undefined" }
    end
    if assume.policy_without_rule == "default" then
      for _, rule in ipairs(state.admission_rules) do
        if rule.fields.type == (fields.action and "ALLOW" or "DENY") then links.rule = rule end
      end
    end
  end
  if assume.deny_rule == "reject" and fields.action == false and links.rule
    and links.rule.fields.type == "CUSTOM" then
    return 400, "A policy that denies takes the default rule only"
  end
end

M.policy = {
  list = "policies", path = "policies", schema = "Policy", title = "Policy",
  known_by = { "name" },
  links = {
    groups = { "group", many = true }, users = { "user", many = true },
    devices = { "device", many = true }, resources = { "resource", many = true },
    gateways = { "gateway", many = true }, rule = { "rule" },
  },
  defaults = function(state)
    local last = 0
    for _, policy in ipairs(state.policies) do last = math.max(last, policy.fields.order) end
    return {
      order = last + 1, isDefault = false, type = "PRIVATE", action = true, allGroups = false,
      allUsers = false, allDevices = false, allResources = false, sourceIps = {},
    }
  end,
  check = check_rule,
  added = function(state, policy)
    if state.assume.policy_order == "last" or policy.seeded then return end
    for _, other in ipairs(state.policies) do other.fields.order = other.fields.order + 1 end
    policy.fields.order = 1
  end,
}

for name, kind in pairs(M) do
  kind.name, kind.by_id = name, name .. "_by_id"
  kind.links, kind.reverse = kind.links or {}, kind.reverse or {}
  kind.derived = kind.derived or {}
end

return M
