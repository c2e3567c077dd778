-- SPDX-License-Identifier: MIT
--
-- The service's state: the collections of kinds.lua, and how they are written. Of users, groups
-- and roles, everything that does not change with a role or a membership is encoded once and kept.
-- Whoever changes a record's fields calls touch(). What the API allows is not decided here.

local json = require "cipherscale.sandbox.json"
local kinds = require "cipherscale.sandbox.kinds"
local people = require "cipherscale.sandbox.people"

local concat, sort = table.concat, table.sort

local Store = {}
Store.__index = Store

local M = {}

--- An empty state with the assumptions in force and the document's views.
function M.new(assume, views)
  local state = { assume = assume, views = views, numbers = {}, invitations = {} }
  for _, kind in pairs(kinds) do
    state[kind.list], state[kind.by_id], state.numbers[kind] = {}, {}, 0
  end
  return setmetatable(state, Store)
end

-- "id" first, then by name; without the closing brace, so that lists can follow.
local function encode_open(fields, extra)
  local names = {}
  for name in pairs(fields) do
    if name ~= "id" then names[#names + 1] = name end
  end
  sort(names)
  for i, name in ipairs(names) do
    names[i] = json.quote(name) .. ":" .. json.encode(fields[name])
  end
  if extra then names[#names + 1] = extra end
  local rest = #names > 0 and "," .. concat(names, ",") or ""
  return '{"id":' .. json.quote(fields.id) .. rest
end

local function now()
  return os.date("!%Y-%m-%dT%H:%M:%S.000Z")
end

-- An id that no record of the kind has or had: the same for every start.
local function fresh_id(self, kind)
  local id
  repeat
    self.numbers[kind] = self.numbers[kind] + 1
    id = people.id(kind.name, self.numbers[kind])
  until not self[kind.by_id][id]
  return id
end

local function fill(fields, defaults)
  for name, value in pairs(defaults) do
    if fields[name] == nil then fields[name] = value end
  end
end

--- Adds a record: what its fields leave out is filled in.
--- @param links? table relation → record or list of records
--- @param extra? string members outside the contract, encoded
--- @param seeded? boolean it is one of the first state
function Store:add(kind, fields, links, extra, seeded)
  fields.id = fields.id or fresh_id(self, kind)
  if seeded then self.numbers[kind] = self.numbers[kind] + 1 end
  for _, name in ipairs { "createdAt", "updatedAt" } do
    if not fields[name] and self.views:has(kind, name) then fields[name] = now() end
  end
  if kind.defaults then fill(fields, kind.defaults(self, fields)) end
  local record = kind.blank and kind.blank() or {}
  record.kind, record.fields, record.extra, record.seeded = kind, fields, extra, seeded
  for name, link in pairs(kind.links) do
    record[name] = links and links[name] or (link.many and {} or nil)
  end
  if kind.settle then kind.settle(record) end
  local list = self[kind.list]
  list[#list + 1] = record
  self[kind.by_id][fields.id] = record
  if kind.added then kind.added(self, record) end
  return record
end

local SHORT = { "id", "createdAt", "updatedAt", "name", "description" }

local function pick(fields, chosen)
  local some = {}
  for _, name in ipairs(chosen) do some[name] = fields[name] end
  return some
end

--- To be called after a record's own fields or links changed: notes the time.
function M.touch(record)
  local kind, fields = record.kind, record.fields
  if kind.settle then kind.settle(record) end
  if fields.updatedAt then fields.updatedAt = now() end
  record.head, record.short, record.member = nil, nil, nil
end

--- Gives a role directly. False when the user holds it directly already.
function M.give(user, role)
  if user.holds[role] then return false end
  user.holds[role] = true
  user.direct[#user.direct + 1] = role
  return true
end

local function remove(list, value)
  for i, held in ipairs(list) do
    if held == value then return table.remove(list, i) end
  end
end

--- Takes a direct role away. False when the user does not hold it directly.
function M.take(user, role)
  if not user.holds[role] then return false end
  user.holds[role] = nil
  remove(user.direct, role)
  return true
end

--- Makes the user a member. False when it is one already.
function M.join(user, group)
  if user.joined[group] then return false end
  user.joined[group] = true
  user.groups[#user.groups + 1] = group
  group.members[#group.members + 1] = user
  return true
end

--- Ends a membership. False when there is none.
function M.leave(user, group)
  if not user.joined[group] then return false end
  user.joined[group] = nil
  remove(user.groups, group)
  remove(group.members, user)
  return true
end

--- The user leaves all groups; the devices go.
function Store:strip_user(user)
  for i = #user.groups, 1, -1 do M.leave(user, user.groups[i]) end
  for i = #user.devices, 1, -1 do self:remove(user.devices[i]) end
end

--- All members leave.
function Store.strip_group(group)
  for i = #group.members, 1, -1 do M.leave(group.members[i], group) end
end

--- Is this record still one of the state's?
function Store:has(record)
  return self[record.kind.by_id][record.fields.id] == record
end

-- Calls act(record, name, link) for each record of the state that has the other one in a link.
local function each_holder(self, held, act)
  for _, kind in pairs(kinds) do
    for name, link in pairs(kind.links) do
      for _, record in ipairs(link[1] == held.kind.name and self[kind.list] or {}) do
        if record[name] == held then act(record, name, link) end
        for _, one in ipairs(link.many and record[name] or {}) do
          if one == held then act(record, name, link) end
        end
      end
    end
  end
end

--- Does another record hold this one in a link?
function Store:is_held(record)
  local held = false
  each_holder(self, record, function() held = true end)
  return held
end

--- Takes a record out of the state, and out of all that hold it.
function Store:remove(record)
  local kind = record.kind
  if kind.removing then kind.removing(self, record) end
  local found = {}
  each_holder(self, record, function(...) found[#found + 1] = { ... } end)
  for _, place in ipairs(found) do
    local holder, name, link = place[1], place[2], place[3]
    if link.many then remove(holder[name], record) else holder[name] = nil end
  end
  self[kind.by_id][record.fields.id] = nil
  remove(self[kind.list], record)
end

--- What is related to a record under a name: a list of records, or one, or nil.
function Store:related(record, name)
  local kind = record.kind
  if kind.links[name] then return record[name] end
  if kind.derived[name] then return kind.derived[name][2](self, record) end
  local reverse = kind.reverse[name]
  if not reverse then return nil end
  local list = {}
  for _, other in ipairs(self[kinds[reverse[1]].list]) do
    for _, one in ipairs(other[reverse[2]]) do
      if one == record then list[#list + 1] = other end
    end
  end
  return list
end

-- Where a direct role replaces those of groups, they count for users without one.
local function groups_count(self, user)
  return self.assume.direct_roles == "beside" or not user.direct[1]
end

--- The user's roles: those given directly, those that groups give (each once), or both.
function Store:roles_of(user, direct, inherited)
  local roles, n, seen = {}, 0, {}
  if direct and inherited then inherited = groups_count(self, user) end
  if direct then
    for _, role in ipairs(user.direct) do
      n = n + 1
      roles[n] = role
      if self.assume.role_held_twice == "once" then seen[role] = true end
    end
  end
  if inherited then
    for _, group in ipairs(user.groups) do
      for _, role in ipairs(group.roles) do
        if not seen[role] then
          n, seen[role] = n + 1, true
          roles[n] = role
        end
      end
    end
  end
  return roles
end

--- Does the user hold the role directly, or (when asked) through a group?
function Store:has_role(user, role, inherited)
  if user.holds[role] then return true end
  if not inherited or not groups_count(self, user) then return false end
  for _, group in ipairs(user.groups) do
    for _, given in ipairs(group.roles) do
      if given == role then return true end
    end
  end
  return false
end

local function encode_all(records, encode)
  local parts = {}
  for i, record in ipairs(records) do parts[i] = encode(record) end
  return "[" .. concat(parts, ",") .. "]"
end

--- A role, written.
function Store.encode_role(role)
  role.head = role.head or encode_open(role.fields, role.extra) .. "}"
  return role.head
end

--- A list of roles, written.
function M.encode_roles(roles)
  return encode_all(roles, Store.encode_role)
end

local function encode_short(group)
  group.short = group.short or encode_open(pick(group.fields, SHORT)) .. "}"
  return group.short
end

--- A user, written, with roles (direct and inherited), groups and devices.
function Store:encode_user(user)
  user.head = user.head or encode_open(user.fields, user.extra)
  local devices = encode_all(user.devices, function(device)
    return self.views:encode(self, device, "Device", "user")
  end)
  return concat {
    user.head, ',"roles":', M.encode_roles(self:roles_of(user, true, true)),
    ',"groups":', encode_all(user.groups, encode_short), ',"devices":', devices, "}",
  }
end

local MEMBER = { "id", "createdAt", "updatedAt", "firstName", "lastName", "email" }

local function encode_member(user)
  user.member = user.member or encode_open(pick(user.fields, MEMBER)) .. "}"
  return user.member
end

--- A group, written, with its roles and members.
function Store.encode_group(group)
  group.head = group.head or encode_open(group.fields, group.extra)
  return concat {
    group.head, ',"roles":', M.encode_roles(group.roles),
    ',"users":', encode_all(group.members, encode_member), "}",
  }
end

--- A record of any kind, written.
function Store:encode_record(record)
  local kind = record.kind
  if kind.encode then return kind.encode(self, record) end
  return self.views:encode(self, record, kind.schema)
end

--- A list of records, written.
function Store:encode_list(records)
  return encode_all(records, function(record) return self:encode_record(record) end)
end

-- A field of the roles that users hold directly, which the API's shapes do not tell:
-- { "user id": write(list), … }
local function encode_direct(users, field, write)
  local parts = {}
  for i, user in ipairs(users) do
    local values = {}
    for j, role in ipairs(user.direct) do values[j] = role.fields[field] end
    parts[i] = json.quote(user.fields.id) .. ":" .. write(values)
  end
  return "{" .. concat(parts, ",") .. "}"
end

--- The sorted types of the roles that users hold directly, written: {"user id":"ADMIN BASIC", …}
function Store:encode_direct_roles()
  return encode_direct(self.users, "type", function(types)
    sort(types)
    return json.quote(concat(types, " "))
  end)
end

--- The whole state, written.
function Store:encode()
  local parts = {}
  for _, kind in pairs(kinds) do
    parts[#parts + 1] = ('"%s":%s'):format(kind.list, self:encode_list(self[kind.list]))
  end
  parts[#parts + 1] = '"direct":' .. encode_direct(self.users, "id", json.encode)
  parts[#parts + 1] = '"invitations":' .. json.encode(self.invitations)
  return "{" .. concat(parts, ",") .. "}"
end

return M
