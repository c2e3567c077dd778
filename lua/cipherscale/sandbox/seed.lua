-- SPDX-License-Identifier: MIT
--
-- Makes the first state of what the user asked for: numbers, or lists of tables in the API's own
-- shapes, where every field may be left out. A wrong seed raises { usage = text } naming the place.

local json = require "cipherscale.sandbox.json"
local names = require "cipherscale.sandbox.names"
local people = require "cipherscale.sandbox.people"
local references = require "cipherscale.sandbox.references"
local schema = require "cipherscale.sandbox.schema"
local store = require "cipherscale.sandbox.store"

local M = {}

local BUILT_IN = { "OWNER", "ADMIN", "DEFAULT", "BASIC", "BILLING", "AUDITOR", "SUPPORT" }

local DESCRIPTIONS = {
  OWNER = "Owns the tenant.", ADMIN = "Manages everything but the ownership.",
  DEFAULT = "What every member can do.", BASIC = "Connects, and changes nothing.",
  BILLING = "Sees and pays invoices.", AUDITOR = "Reads everything, and changes nothing.",
  SUPPORT = "Helps members with their devices.",
}

local TEAMS = { "Engineering", "Sales", "Finance", "Support", "Marketing", "Legal", "Operations" }

-- A check of each property of a schema, without those that are lists of other records.
local function compile_fields(document, name, apart)
  local checks = {}
  for field, property in pairs(schema.properties(document, name)) do
    checks[field] = schema.compile(property, document, { seed = true })
  end
  for _, field in ipairs(apart) do checks[field] = false end
  checks.extra = false
  return checks
end

local function check_field(value, check, what)
  if not check or value == json.null then return end
  local problems = {}
  check(value, what, problems)
  if problems[1] then names.bad("%s", problems[1]) end
end

-- Splits a seed into the fields to be written and, encoded, what is outside the contract.
local function read_fields(seed, checks, what)
  if type(seed) ~= "table" or json.is_list(seed) and #seed > 0 then
    names.bad("%s: a table with named fields expected", what)
  end
  names.check(seed, checks, what, "field")
  local fields = {}
  for name, value in pairs(seed) do
    check_field(value, checks[name], what .. "." .. name)
    if checks[name] then fields[name] = value end
  end
  local extra
  if seed.extra ~= nil then
    for name in pairs(names.typed(seed.extra, "table", what .. ".extra")) do
      if checks[name] ~= nil then
        names.bad("%s.extra: '%s' is a field of the contract, set it directly", what,
          tostring(name))
      end
    end
    if next(seed.extra) then extra = json.encode(seed.extra):sub(2, -2) end
  end
  return fields, extra
end

local function fill(fields, defaults)
  for name, value in pairs(defaults) do
    if fields[name] == nil then fields[name] = value end
  end
  return fields
end

local function check_id(fields, by_id, what)
  if fields.id == "" then names.bad("%s.id: a non-empty text expected", what) end
  if by_id[fields.id] then names.bad("%s: the id '%s' is there twice", what, fields.id) end
end

local function add_role(state, seed, n, checks)
  local what = ("roles[%d]"):format(n)
  if type(seed) == "string" then seed = { type = seed } end
  local fields, extra = read_fields(seed, checks, what)
  local kind = fields.type or "BASIC"
  local built_in = seed.type and not seed.name and DESCRIPTIONS[kind] ~= nil
  fill(fields, {
    id = people.id("role", n), createdAt = people.time(0), updatedAt = people.time(0),
    name = built_in and kind:sub(1, 1) .. kind:sub(2):lower() or "Role " .. n,
    description = built_in and DESCRIPTIONS[kind] or nil, deleteable = not built_in, type = kind,
  })
  check_id(fields, state.role_by_id, what)
  return state:add_role(fields, extra)
end

-- A role given in full with a user or a group exists from then on.
local function roles_of(state, list, what, checks)
  for _, role in ipairs(references.list(list, what)) do
    if type(role) == "table" and role.id and not state.role_by_id[role.id] then
      add_role(state, role, #state.roles + 1, checks.role)
    end
  end
  return references.all(state, "role", list, what)
end

local function add_group(state, seed, n, checks)
  local what = ("groups[%d]"):format(n)
  if type(seed) == "string" then seed = { name = seed } end
  local fields, extra = read_fields(seed, checks.group, what)
  fill(fields, {
    id = people.id("group", n), createdAt = people.time(n), updatedAt = people.time(n),
    name = TEAMS[n] or "Group " .. n, deleteable = true, maxDevices = 5,
    isSamlDefaultGroup = false, idpMapping = {},
  })
  check_id(fields, state.group_by_id, what)
  return state:add_group(fields, extra, roles_of(state, seed.roles, what .. ".roles", checks))
end

local function encode_devices(list, what, checks, number)
  local parts = {}
  for i, seed in ipairs(references.list(list, what)) do
    local fields, extra = read_fields(seed, checks, ("%s[%d]"):format(what, i))
    local n = number * 100 + i
    fill(fields, {
      id = people.id("device", n), createdAt = people.time(n), updatedAt = people.time(n),
      name = "Device " .. i, active = true, status = "Offline", hardwareId = "hw-" .. n,
    })
    local text = json.encode(fields)
    -- The contract's one free-form object: an empty table is {} here.
    if fields.posture and not next(fields.posture) then
      text = text:gsub('"posture":%[%]', '"posture":{}', 1)
    end
    parts[i] = extra and text:sub(1, -2) .. "," .. extra .. "}" or text
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function check_email(email, seen, what)
  if type(email) ~= "string" then return end
  if email == "" then names.bad("%s.email: a non-empty text expected", what) end
  if seen[email:lower()] then names.bad("%s: the e-mail '%s' is there twice", what, email) end
  seen[email:lower()] = true
end

local function add_user(state, seed, n, checks, seen)
  local what = ("users[%d]"):format(n)
  if type(seed) == "string" then seed = { email = seed } end
  local fields, extra = read_fields(seed, checks.user, what)
  local roles = roles_of(state, seed.roles, what .. ".roles", checks)
  local is_owner = false
  for _, role in ipairs(roles) do is_owner = is_owner or role.fields.type == "OWNER" end
  fill(fields, {
    id = people.id("user", n), createdAt = people.time(n), updatedAt = people.time(n),
    email = ("user%d@example.com"):format(n), status = "Active", isOwner = is_owner,
    maxDevices = json.null,
  })
  check_id(fields, state.user_by_id, what)
  check_email(fields.email, seen, what)
  local devices = encode_devices(seed.devices, what .. ".devices", checks.device, n)
  return state:add_user(fields, extra, roles, devices)
end

local function numbered(value, make)
  local list = {}
  for n = 1, value do list[n] = make(n) end
  return list
end

local function person(n)
  local first, last, email = people.person(n)
  return { firstName = first, lastName = last, email = email }
end

-- A number of invented records, or the list that was given.
local function expand(value, what, make)
  if value == nil then return {} end
  if type(value) == "number" then
    return numbered(names.number(value, 0, what, true), make)
  end
  if type(value) ~= "table" or not json.is_list(value) then
    names.bad("%s: a number or a list expected, got %s", what,
      type(value) == "table" and "a table with names" or type(value))
  end
  return value
end

local function connect(state, users, groups)
  for n, seed in ipairs(users) do
    local list = type(seed) == "table" and seed.groups or nil
    local what = ("users[%d].groups"):format(n)
    for _, group in ipairs(references.all(state, "group", list, what)) do
      store.join(state.users[n], group)
    end
  end
  for n, seed in ipairs(groups) do
    local list = type(seed) == "table" and seed.users or nil
    local what = ("groups[%d].users"):format(n)
    for _, user in ipairs(references.all(state, "user", list, what)) do
      store.join(user, state.groups[n])
    end
  end
end

local function make_owner(state)
  local owner = references.find(state, "role", "OWNER")
  local first = state.users[1]
  if owner and first then
    store.give(first, owner)
    first.fields.isOwner = true
  end
end

-- Gives each thing that is named to so many users, evenly spread over all of them.
local function spread(state, kind, counts, what, give)
  local users = state.users
  for _, name in ipairs(names.sorted(names.typed(counts or {}, "table", what))) do
    local record = references.one(state, kind, name, what)
    local count = names.number(counts[name], 0, what .. "." .. name, true)
    if count > #users then
      names.bad("%s.%s: at most %d users, got %d", what, name, #users, count)
    end
    for i = 1, count do give(users[math.ceil(i * #users / count)], record) end
  end
end

--- The state that `config` (users, groups, roles, holders, members) describes.
function M.build(config, document, assume)
  local state = store.new(assume)
  local checks = {
    role = compile_fields(document, "Role", {}),
    group = compile_fields(document, "Group", { "roles", "users" }),
    user = compile_fields(document, "User", { "roles", "groups", "devices" }),
    device = compile_fields(document, "Device", {}),
  }
  local roles = config.roles == nil and BUILT_IN or references.list(config.roles, "roles")
  for n, seed in ipairs(roles) do add_role(state, seed, n, checks.role) end
  local groups = expand(config.groups, "groups", function(n)
    return { name = TEAMS[n] or "Group " .. n }
  end)
  for n, seed in ipairs(groups) do add_group(state, seed, n, checks) end
  local users, seen = expand(config.users, "users", person), {}
  for n, seed in ipairs(users) do add_user(state, seed, n, checks, seen) end
  connect(state, users, groups)
  if type(config.users) == "number" then make_owner(state) end
  spread(state, "role", config.holders, "holders", store.give)
  spread(state, "group", config.members, "members", store.join)
  return state
end

return M
