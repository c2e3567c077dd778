-- SPDX-License-Identifier: MIT
--
-- The service's state: users, roles, groups, and how they are written. Everything that does not
-- change with a role or a membership is encoded once and kept. Whoever changes a record's fields
-- calls touch(). What the API allows is not decided here.

local json = require "cipherscale.sandbox.json"

local concat, sort = table.concat, table.sort

local Store = {}
Store.__index = Store

local M = {}

--- An empty state with the assumptions in force.
function M.new(assume)
  return setmetatable({
    assume = assume, users = {}, roles = {}, groups = {},
    user_by_id = {}, role_by_id = {}, group_by_id = {}, invitations = {},
  }, Store)
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

-- A record is { fields = the scalars, extra = members outside the contract, encoded, … }.
local function add(list, by_id, record)
  list[#list + 1] = record
  by_id[record.fields.id] = record
  return record
end

--- Adds a role.
function Store:add_role(fields, extra)
  local record = { fields = fields, extra = extra }
  record.text = encode_open(fields, extra) .. "}"
  return add(self.roles, self.role_by_id, record)
end

local SHORT = { "id", "createdAt", "updatedAt", "name", "description" }

local function pick(fields, chosen)
  local some = {}
  for _, name in ipairs(chosen) do some[name] = fields[name] end
  return some
end

--- Adds a group that gives these roles; `lists` holds its fields that are lists, encoded.
function Store:add_group(fields, extra, roles)
  local record = { fields = fields, extra = extra, roles = roles, members = {} }
  record.head = encode_open(fields, extra)
  record.short = encode_open(pick(fields, SHORT)) .. "}"
  return add(self.groups, self.group_by_id, record)
end

--- Adds a user with direct roles and encoded devices.
function Store:add_user(fields, extra, roles, devices)
  local record = {
    fields = fields, extra = extra, direct = {}, holds = {}, groups = {}, joined = {},
    devices = devices,
  }
  for _, role in ipairs(roles) do M.give(record, role) end
  return add(self.users, self.user_by_id, record)
end

--- To be called after a user's own fields changed: notes the time.
function M.touch(user)
  user.fields.updatedAt = os.date("!%Y-%m-%dT%H:%M:%S.000Z")
  user.head, user.member = nil, nil
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

--- Is this record still one of the state's?
function Store:has_user(user)
  return self.user_by_id[user.fields.id] == user
end

--- Takes a user out of the state and of all groups.
function Store:remove_user(user)
  for i = #user.groups, 1, -1 do M.leave(user, user.groups[i]) end
  self.user_by_id[user.fields.id] = nil
  remove(self.users, user)
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

local function encode_all(records, member)
  local parts = {}
  for i, record in ipairs(records) do parts[i] = record[member] end
  return "[" .. concat(parts, ",") .. "]"
end

--- A list of roles, written.
function M.encode_roles(roles)
  return encode_all(roles, "text")
end

--- A user, written, with roles (direct and inherited), groups and devices.
function Store:encode_user(user)
  user.head = user.head or encode_open(user.fields, user.extra)
  return concat {
    user.head, ',"roles":', M.encode_roles(self:roles_of(user, true, true)),
    ',"groups":', encode_all(user.groups, "short"), ',"devices":', user.devices, "}",
  }
end

local MEMBER = { "id", "createdAt", "updatedAt", "firstName", "lastName", "email" }

local function encode_member(user)
  if not user.member then user.member = encode_open(pick(user.fields, MEMBER)) .. "}" end
  return user.member
end

--- A group, written, with its roles and members.
function M.encode_group(group)
  local members = {}
  for i, user in ipairs(group.members) do members[i] = encode_member(user) end
  return concat {
    group.head, ',"roles":', M.encode_roles(group.roles),
    ',"users":[', concat(members, ","), "]}",
  }
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
  local users, groups = {}, {}
  for i, user in ipairs(self.users) do users[i] = self:encode_user(user) end
  for i, group in ipairs(self.groups) do groups[i] = M.encode_group(group) end
  return concat {
    '{"users":[', concat(users, ","), '],"groups":[', concat(groups, ","),
    '],"roles":', M.encode_roles(self.roles),
    ',"direct":', encode_direct(self.users, "id", json.encode),
    ',"invitations":', json.encode(self.invitations), "}",
  }
end

return M
