-- SPDX-License-Identifier: MIT
--
-- Makes the first state of what the user asked for: numbers, or lists of tables in the API's own
-- shapes, where every field may be left out. A wrong seed raises { usage = text } naming the place.

local inventions = require "cipherscale.sandbox.inventions"
local json = require "cipherscale.sandbox.json"
local kinds = require "cipherscale.sandbox.kinds"
local names = require "cipherscale.sandbox.names"
local people = require "cipherscale.sandbox.people"
local references = require "cipherscale.sandbox.references"
local schema = require "cipherscale.sandbox.schema"
local store = require "cipherscale.sandbox.store"
local views = require "cipherscale.sandbox.views"

local M = {}

-- In this order, so that what is referred to is there.
local ORDER = {
  "role", "group", "user", "device", "protocol", "gateway", "address", "resource", "rule",
  "policy",
}

-- Given in full with another record, they exist from then on. An address may be a bare text.
local MADE_WITH_OTHERS = { role = true, protocol = true, address = true }

-- A check of each property of a kind's schema, without those that are other records.
local function compile_fields(document, kind)
  local checks = { extra = false }
  for field, property in pairs(schema.properties(document, kind.schema)) do
    local related = kind.links[field] or kind.reverse[field] or kind.derived[field]
    checks[field] = not related and schema.compile(property, document, { seed = true })
  end
  return checks
end

local function check_field(value, check, what)
  if not check or value == json.null then return end
  local problems = {}
  check(value, what, problems)
  if problems[1] then names.bad("%s", problems[1]) end
end

-- What is outside the contract, encoded.
local function read_extra(extra, checks, what)
  if extra == nil then return nil end
  for name in pairs(names.typed(extra, "table", what)) do
    if checks[name] ~= nil then
      names.bad("%s: '%s' is a field of the contract, set it directly", what, tostring(name))
    end
  end
  return next(extra) and json.encode(extra):sub(2, -2) or nil
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
  return fields, read_extra(seed.extra, checks, what .. ".extra")
end

local function fill(fields, defaults)
  for name, value in pairs(defaults) do
    if fields[name] == nil then fields[name] = value end
  end
end

-- The id of the n-th seed: its own, or one that is the same for every start.
local function give_id(state, kind, fields, n, what)
  if fields.id == "" then names.bad("%s.id: a non-empty text expected", what) end
  if fields.id and state[kind.by_id][fields.id] then
    names.bad("%s: the id '%s' is there twice", what, fields.id)
  end
  local id = people.id(kind.name, n)
  if not fields.id and not state[kind.by_id][id] then fields.id = id end
end

local add

local function is_known(state, kind, seed)
  local text = seed
  if type(seed) == "table" then text = seed.id end
  if text then return (references.find(state, kind.name, text)) ~= nil end
  -- A role or protocol without an id is one that is named; an address is a new one.
  return kind ~= kinds.address
end

local function find_one(state, kind, seed, what, checks)
  if MADE_WITH_OTHERS[kind.name] and (type(seed) == "table" or kind == kinds.address)
    and not is_known(state, kind, seed) then
    return add(state, kind, seed, #state[kind.list] + 1, checks, what)
  end
  return references.one(state, kind.name, seed, what)
end

local function find_all(state, kind, list, what, checks)
  local found = {}
  for i, seed in ipairs(references.list(list, what)) do
    found[i] = find_one(state, kind, seed, ("%s[%d]"):format(what, i), checks)
  end
  return found
end

-- New addresses of a resource are of its type.
local function with_inherited(link, seed, value)
  if not link.made or not json.is_list(value) then return value end
  local list = setmetatable({}, json.list)
  for i, one in ipairs(value) do
    list[i] = one
    if type(one) == "table" then
      list[i] = {}
      for _, name in ipairs(link.inherit) do list[i][name] = seed[name] end
      for name, given in pairs(one) do list[i][name] = given end
    end
  end
  return list
end

local function find_links(state, kind, seed, what, checks)
  local links = {}
  for name, link in pairs(kind.links) do
    local target, place, value = kinds[link[1]], what .. "." .. name, seed[name]
    if link.many then
      links[name] = find_all(state, target, with_inherited(link, seed, value), place, checks)
    elseif value ~= nil and value ~= json.null then
      links[name] = find_one(state, target, value, place, checks)
    end
  end
  return links
end

-- Adds the n-th record of a kind. Links that `more` holds are not read from the seed.
function add(state, kind, seed, n, checks, what, more)
  what = what or ("%s[%d]"):format(kind.list, n)
  if type(seed) == "string" then seed = { [kind.known_by[1]] = seed } end
  local fields, extra = read_fields(seed, checks[kind.name], what)
  give_id(state, kind, fields, n, what)
  if inventions.defaults[kind.name] then
    fill(fields, inventions.defaults[kind.name](n, fields))
  end
  if state.views:has(kind, "createdAt") then
    fields.createdAt = fields.createdAt or people.time(n)
    fields.updatedAt = fields.updatedAt or people.time(n)
  end
  local links = more or find_links(state, kind, seed, what, checks)
  return state:add(kind, fields, links, extra, true)
end

-- Users: roles, devices, and what is checked over all of them

local function check_email(email, seen, what)
  if type(email) ~= "string" then return end
  if email == "" then names.bad("%s.email: a non-empty text expected", what) end
  if seen[email:lower()] then names.bad("%s: the e-mail '%s' is there twice", what, email) end
  seen[email:lower()] = true
end

local function add_user(state, seed, n, checks, seen)
  local user = add(state, kinds.user, seed, n, checks)
  if type(seed) == "string" then seed = {} end
  local what, is_owner = ("users[%d]"):format(n), false
  check_email(user.fields.email, seen, what)
  for _, role in ipairs(find_all(state, kinds.role, seed.roles, what .. ".roles", checks)) do
    store.give(user, role)
    is_owner = is_owner or role.fields.type == "OWNER"
  end
  if seed.isOwner == nil then user.fields.isOwner = is_owner end
  for i, device in ipairs(references.list(seed.devices, what .. ".devices")) do
    local place = ("%s.devices[%d]"):format(what, i)
    local record = add(state, kinds.device, device, n * 100 + i, checks, place, { user = user })
    if type(device) == "table" and not device.name then record.fields.name = "Device " .. i end
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

-- Relations that were said from the other side.

-- connect(record, other) for what the seeds of a kind name in a field.
local function connect(state, kind, seeds, field, target, act)
  for n, seed in ipairs(seeds) do
    local list = type(seed) == "table" and seed[field] or nil
    local what = ("%s[%d].%s"):format(kind.list, n, field)
    for _, other in ipairs(references.all(state, target, list, what)) do
      act(state[kind.list][n], other)
    end
  end
end

local function connect_gateway(gateway, resource)
  for _, connected in ipairs(resource.gateways) do
    if connected == gateway then return end
  end
  table.insert(resource.gateways, gateway)
end

-- A kind's list of seeds: the given one, so many invented ones, or what every tenant has.
local function expand(state, kind, value)
  local built_in = inventions.built_in[kind.name] or {}
  if value == nil then return built_in end
  if type(value) == "number" and kind ~= kinds.role then
    local make, seeds = inventions.records[kind.name], {}
    for i, seed in ipairs(built_in) do seeds[i] = seed end
    for n = 1, names.number(value, 0, kind.list, true) do
      seeds[#seeds + 1] = make and make(n, state) or {}
    end
    return seeds
  end
  if kind == kinds.role then return references.list(value, kind.list) end
  if type(value) ~= "table" or not json.is_list(value) then
    names.bad("%s: a number or a list expected, got %s", kind.list,
      type(value) == "table" and "a table with names" or type(value))
  end
  return value
end

-- Devices that came with their users may stand in the list of all again, as the API shows them.
local function without_known(kind, seeds, known)
  if kind ~= kinds.device then return seeds end
  local rest = {}
  for _, seed in ipairs(seeds) do
    if type(seed) ~= "table" or not known[seed.id or ""] then rest[#rest + 1] = seed end
  end
  return rest
end

local function add_all(state, kind, value, checks)
  local known, seen = {}, {}
  for id in pairs(state[kind.by_id]) do known[id] = true end
  local seeds = expand(state, kind, value)
  for n, seed in ipairs(without_known(kind, seeds, known)) do
    if kind == kinds.user then
      add_user(state, seed, n, checks, seen)
    else
      add(state, kind, seed, n, checks)
    end
  end
  return seeds
end

--- The state that `config` describes: a list or a number for each kind, holders, members.
function M.build(config, document, assume)
  local state, checks, seeds = store.new(assume, views.new(document)), {}, {}
  for name, kind in pairs(kinds) do checks[name] = compile_fields(document, kind) end
  for _, name in ipairs(ORDER) do
    local kind = kinds[name]
    seeds[name] = add_all(state, kind, config[kind.list], checks)
  end
  connect(state, kinds.user, seeds.user, "groups", "group", store.join)
  connect(state, kinds.group, seeds.group, "users", "user", function(group, user)
    store.join(user, group)
  end)
  connect(state, kinds.gateway, seeds.gateway, "resources", "resource", connect_gateway)
  if type(config.users) == "number" then make_owner(state) end
  spread(state, "role", config.holders, "holders", store.give)
  spread(state, "group", config.members, "members", store.join)
  return state
end

return M
