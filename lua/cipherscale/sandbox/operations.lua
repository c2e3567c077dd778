-- SPDX-License-Identifier: MIT
--
-- What each operation of the contract does: one function each, keyed by operationId. It gets the
-- state and a request that has passed the contract's checks (`values`: the path's parameters in
-- order, `query`, `body`), and returns the body's text and its content type (JSON when left out),
-- or what refuse() gives. An operation without a function here is answered with 501.

local json = require "cipherscale.sandbox.json"
local store = require "cipherscale.sandbox.store"

local M = {}

-- "false" as the first value marks a refusal: status, and a sentence or a list of sentences.
local function refuse(status, message)
  return false, status, message
end

local function find_user(state, id)
  local user = state.user_by_id[id]
  if user then return user end
  return nil, ("User with id %s not found"):format(id)
end

local function find_group(state, id)
  local group = state.group_by_id[id]
  if group then return group end
  return nil, ("Group with id %s not found"):format(id)
end

local PENDING = { invited = true, pending = true }
local DEACTIVATED = { deactivated = true, inactive = true }

local function status_of(user)
  return tostring(user.fields.status):lower()
end

-- Pages

local function page_bounds(state, query, problems)
  local assume = state.assume
  local limit, offset = query.limit or assume.page_limit, query.offset or 0
  if limit % 1 ~= 0 or limit < 1 then
    problems[#problems + 1] = "limit must not be less than 1"
  end
  if offset % 1 ~= 0 or offset < 0 then
    problems[#problems + 1] = "offset must not be less than 0"
  end
  if limit > assume.page_cap then
    if assume.over_cap == "reject" then
      problems[#problems + 1] = ("limit must not be greater than %d"):format(assume.page_cap)
    end
    limit = assume.page_cap
  end
  if query.sort and assume.sort == "reject" then
    problems[#problems + 1] = "property sort should not exist"
  end
  return limit, offset
end

local function encode_page(items, total, limit, offset)
  return ('{"data":[%s],"total":%d,"page":%d,"limit":%d,"hasNext":%s,"hasPrevious":%s}'):format(
    table.concat(items, ","), total, math.floor(offset / limit), limit,
    tostring(offset + limit < total), tostring(offset > 0 and total > 0))
end

local function answer_page(state, records, query, encode)
  local problems = {}
  local limit, offset = page_bounds(state, query, problems)
  if problems[1] then return refuse(400, problems) end
  local items = {}
  for i = offset + 1, math.min(offset + limit, #records) do
    items[#items + 1] = encode(records[i])
  end
  return encode_page(items, #records, limit, offset)
end

-- Users

function M.UsersController_findAll(state, request)
  return answer_page(state, state.users, request.query, function(user)
    return state:encode_user(user)
  end)
end

function M.UsersController_find(state, request)
  local user, problem = find_user(state, request.values[1])
  if not user then return refuse(404, problem) end
  return state:encode_user(user)
end

function M.UsersController_deactivate(state, request)
  local user, problem = find_user(state, request.values[1])
  if not user then return refuse(404, problem) end
  if not DEACTIVATED[status_of(user)] then
    user.fields.status = "Deactivated"
    store.touch(user)
  elseif state.assume.second_deactivate == "reject" then
    return refuse(400, "User is already deactivated")
  end
  return state:encode_user(user)
end

function M.UsersController_reactivate(state, request)
  local user, problem = find_user(state, request.values[1])
  if not user then return refuse(404, problem) end
  if DEACTIVATED[status_of(user)] then
    user.fields.status = "Active"
    store.touch(user)
  elseif state.assume.reactivate_active == "reject" then
    return refuse(400, "User is not deactivated")
  end
  return state:encode_user(user)
end

local function may_invite(state, user)
  local status = status_of(user)
  if PENDING[status] or state.assume.invite_not_pending == "accept" then return true end
  return status == "expired" and state.assume.invite_expired == "accept"
end

function M.UsersController_invite(state, request)
  local user, problem = find_user(state, request.values[1])
  if not user then return refuse(404, problem) end
  if not may_invite(state, user) then
    return refuse(400, ("User is not pending (status: %s)"):format(tostring(user.fields.status)))
  end
  if status_of(user) == "expired" then
    user.fields.status = "Invited"
    store.touch(user)
  end
  state.invitations[#state.invitations + 1] = user.fields.id
  if state.assume.invite_answer == "empty" then return "" end
  if state.assume.invite_answer == "json" then return '{"message":"Invitation sent"}' end
  return ("An invitation has been sent to %s."):format(tostring(user.fields.email)),
    "text/plain; charset=utf-8"
end

-- Roles of a user

local function answer_roles(state, roles)
  local shape = state.assume.role_list
  if shape == "single" and #roles == 1 then return roles[1].text end
  if shape == "page" then
    local items = {}
    for i, role in ipairs(roles) do items[i] = role.text end
    return encode_page(items, #items, math.max(#items, 1), 0)
  end
  return store.encode_roles(roles)
end

function M.UsersController_findUserRoles(state, request)
  local user, problem = find_user(state, request.values[1])
  if not user then return refuse(404, problem) end
  local only_direct, only_inherited = request.query.rolesOnly, request.query.groupsOnly
  if state.assume.role_flags == "ignored" then only_direct, only_inherited = nil, nil end
  if only_direct and only_inherited then
    if state.assume.both_flags == "reject" then
      return refuse(400, "rolesOnly and groupsOnly cannot be used together")
    end
    local all = state.assume.both_flags == "all"
    return answer_roles(state, state:roles_of(user, all, all))
  end
  return answer_roles(state, state:roles_of(user, not only_inherited, not only_direct))
end

-- The roles of a list of ids, each once; or what refuse() gives.
local function find_roles(state, ids)
  local roles, seen = {}, {}
  for _, id in ipairs(ids) do
    local role = state.role_by_id[id]
    if not role then
      local status = state.assume.unknown_role == "not_found" and 404 or 400
      return refuse(status, ("Role with id %s not found"):format(id))
    end
    if not seen[role] then
      seen[role] = true
      roles[#roles + 1] = role
    end
  end
  return roles
end

local function check_role_change(state, user, added, removed)
  local assume, adding = state.assume, {}
  for _, role in ipairs(added) do
    adding[role] = true
    if role.fields.type == "OWNER" and assume.owner_add == "reject" then
      return refuse(403, "The Owner role cannot be assigned")
    end
    if user.holds[role] and assume.second_add == "reject" then
      return refuse(400, ("User already has role %s"):format(role.fields.id))
    end
  end
  for _, role in ipairs(removed) do
    if role.fields.type == "OWNER" and assume.owner_remove == "reject" then
      return refuse(403, "The Owner role cannot be removed")
    end
    if adding[role] and assume.both_sides == "reject" then
      return refuse(400, ("Role %s is both added and removed"):format(role.fields.id))
    end
    if not user.holds[role] and assume.remove_absent == "reject" then
      return refuse(400, ("User does not have role %s"):format(role.fields.id))
    end
  end
  return true
end

function M.UsersController_patchUserRoles(state, request)
  local user, problem = find_user(state, request.values[1])
  if not user then return refuse(404, problem) end
  local added, status, message = find_roles(state, request.body.addedRoles)
  if not added then return refuse(status, message) end
  local removed
  removed, status, message = find_roles(state, request.body.removedRoles)
  if not removed then return refuse(status, message) end
  local fine
  fine, status, message = check_role_change(state, user, added, removed)
  if not fine then return refuse(status, message) end
  for _, role in ipairs(removed) do store.take(user, role) end
  for _, role in ipairs(added) do store.give(user, role) end
  if state.assume.patch_answer == "user" then return state:encode_user(user) end
  if state.assume.patch_answer == "roles" then
    return answer_roles(state, state:roles_of(user, true, true))
  end
  return ""
end

-- Groups of a user

function M.UsersController_addGroup(state, request)
  local user, problem = find_user(state, request.values[1])
  if not user then return refuse(404, problem) end
  -- The newer pages of the documentation show no body, but then nothing would name the group.
  local id = request.body and request.body.groupId
  if not id then return refuse(400, { "groupId should not be null or undefined" }) end
  local group
  group, problem = find_group(state, id)
  if not group then return refuse(404, problem) end
  if not store.join(user, group) and state.assume.second_join == "reject" then
    return refuse(409, "User is already in the group")
  end
  return ""
end

function M.UsersController_removeGroup(state, request)
  local user, problem = find_user(state, request.values[1])
  if not user then return refuse(404, problem) end
  local group
  group, problem = find_group(state, request.values[2])
  if not group then return refuse(404, problem) end
  if not user.joined[group] then return refuse(404, "User is not in the group") end
  if #user.groups == 1 and state.assume.last_group == "reject" then
    return refuse(400, "User must be in at least one group")
  end
  store.leave(user, group)
  return ""
end

-- Roles and groups

function M.RolesController_findAll(state)
  return store.encode_roles(state.roles)
end

function M.RolesController_findRoleUsers(state, request)
  local role = state.role_by_id[request.values[1]]
  if not role then
    return refuse(404, ("Role with id %s not found"):format(request.values[1]))
  end
  local inherited = request.query.groups
  if inherited == nil then inherited = state.assume.role_users == "all" end
  local users = {}
  for _, user in ipairs(state.users) do
    if state:has_role(user, role, inherited) then users[#users + 1] = state:encode_user(user) end
  end
  return "[" .. table.concat(users, ",") .. "]"
end

function M.GroupsController_findAll(state, request)
  return answer_page(state, state.groups, request.query, store.encode_group)
end

--- The body of a refusal, in the shapes of the framework that the real service is likely built
--- with.
function M.encode_problem(status, message)
  local titles = {
    [400] = "Bad Request", [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed",
    [409] = "Conflict", [413] = "Payload Too Large", [415] = "Unsupported Media Type",
    [501] = "Not Implemented",
  }
  local title = titles[status] and ',"error":' .. json.quote(titles[status]) or ""
  return ('{"statusCode":%d,"message":%s%s}'):format(status, json.encode(message), title)
end

return M
