-- SPDX-License-Identifier: MIT
--
-- What the operations do that are more than plain reading and writing (plain.lua): one function
-- each, keyed by operationId. It gets the state and a request that has passed the contract's
-- checks (`operation`, `values`: the path's parameters in order, `query`, `body`), and returns the
-- body's text and its content type (JSON when left out), or what refuse() gives.

local json = require "cipherscale.sandbox.json"
local kinds = require "cipherscale.sandbox.kinds"
local lists = require "cipherscale.sandbox.lists"
local plain = require "cipherscale.sandbox.plain"
local store = require "cipherscale.sandbox.store"

local M = {}

-- "false" as the first value marks a refusal: status, and a sentence or a list of sentences.
local function refuse(status, message)
  return false, status, message
end

-- An operation on the record that the path names: act(state, record, request).
local function on(kind, act)
  return function(state, request)
    local record, status, message = plain.find(state, kind, request.values[1])
    if not record then return refuse(status, message) end
    return act(state, record, request)
  end
end

-- The same for a path that names two: act(state, first, second).
local function between(first_kind, second_kind, act)
  return on(first_kind, function(state, first, request)
    local second, status, message = plain.find(state, second_kind, request.values[2])
    if not second then return refuse(status, message) end
    return act(state, first, second)
  end)
end

local PENDING = { invited = true, pending = true }

local function status_of(record)
  return tostring(record.fields.status):lower()
end

-- Users

local function check_new_user(state, body, taken)
  local assume, email = state.assume, body.email
  if assume.email_format == "checked" and not email:find("^[^%s@]+@[^%s@]+$") then
    return refuse(400, { "email must be an email" })
  end
  if taken[email:lower()] then
    local status = assume.duplicate_email == "conflict" and 409 or 400
    return refuse(status, ("User with email %s already exists"):format(email))
  end
  if #body.groups == 0 and assume.create_without_group == "reject" then
    return refuse(400, { "groups should not be empty" })
  end
  return plain.find_all(state, kinds.group, body.groups, "unknown_relation")
end

local function create_user(state, email, groups)
  local user = state:add(kinds.user, { email = email, status = "Invited" })
  for _, group in ipairs(groups) do store.join(user, group) end
  if state.assume.new_user_roles == "default" then
    for _, role in ipairs(state.roles) do
      if role.fields.type == "DEFAULT" then store.give(user, role) end
    end
  end
  state.invitations[#state.invitations + 1] = user.fields.id
  return user
end

local function emails_of(state)
  local taken = {}
  for _, user in ipairs(state.users) do
    if type(user.fields.email) == "string" then taken[user.fields.email:lower()] = true end
  end
  return taken
end

function M.UsersController_create(state, request)
  local is_list = json.is_list(request.body)
  local bodies = is_list and request.body or { request.body }
  local taken, checked, created = emails_of(state), {}, {}
  local fault
  for i, body in ipairs(bodies) do
    local groups, status, message = check_new_user(state, body, taken)
    if not groups then
      fault = { status, message }
      break
    end
    taken[body.email:lower()], checked[i] = true, groups
  end
  if fault and state.assume.bulk_create == "all" then return refuse(fault[1], fault[2]) end
  for i, groups in ipairs(checked) do created[i] = create_user(state, bodies[i].email, groups) end
  if fault then return refuse(fault[1], fault[2]) end
  if is_list or state.assume.create_answer == "list" then return state:encode_list(created) end
  return state:encode_record(created[1])
end

-- What deactivating one does that is deactivated already.
local function deactivate_again(state, record)
  if state.assume.second_deactivate == "reject" then
    return refuse(400, ("%s is already deactivated"):format(record.kind.title))
  end
  return state:encode_record(record)
end

M.UsersController_deactivate = on(kinds.user, function(state, user)
  if kinds.user.deactivated(user) then return deactivate_again(state, user) end
  user.fields.status = "Deactivated"
  store.touch(user)
  return state:encode_record(user)
end)

M.UsersController_reactivate = on(kinds.user, function(state, user)
  if kinds.user.deactivated(user) then
    user.fields.status = "Active"
    store.touch(user)
  elseif state.assume.reactivate_active == "reject" then
    return refuse(400, "User is not deactivated")
  end
  return state:encode_record(user)
end)

local function may_invite(state, user)
  local status = status_of(user)
  if PENDING[status] or state.assume.invite_not_pending == "accept" then return true end
  return status == "expired" and state.assume.invite_expired == "accept"
end

M.UsersController_invite = on(kinds.user, function(state, user)
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
end)

-- Roles of a user

local function answer_roles(state, roles)
  local shape = state.assume.role_list
  if shape == "single" and #roles == 1 then return state:encode_record(roles[1]) end
  if shape == "page" then
    return lists.encode_page(store.encode_roles(roles), #roles, math.max(#roles, 1), 0)
  end
  return store.encode_roles(roles)
end

M.UsersController_findUserRoles = on(kinds.user, function(state, user, request)
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
end)

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

M.UsersController_patchUserRoles = on(kinds.user, function(state, user, request)
  local body = request.body
  local added, status, message = plain.find_all(state, kinds.role, body.addedRoles, "unknown_role")
  if not added then return refuse(status, message) end
  local removed
  removed, status, message = plain.find_all(state, kinds.role, body.removedRoles, "unknown_role")
  if not removed then return refuse(status, message) end
  local fine
  fine, status, message = check_role_change(state, user, added, removed)
  if not fine then return refuse(status, message) end
  for _, role in ipairs(removed) do store.take(user, role) end
  for _, role in ipairs(added) do store.give(user, role) end
  if state.assume.patch_answer == "user" then return state:encode_record(user) end
  if state.assume.patch_answer == "roles" then
    return answer_roles(state, state:roles_of(user, true, true))
  end
  return ""
end)

-- Taking away what is not there, from the side that names both.
local function unassign_absent(state, message)
  if state.assume.unassign_absent == "accept" then return "" end
  return refuse(404, message)
end

M.RolesController_removeRole = between(kinds.role, kinds.user, function(state, role, user)
  if role.fields.type == "OWNER" and state.assume.owner_remove == "reject" then
    return refuse(403, "The Owner role cannot be removed")
  end
  if not store.take(user, role) then
    return unassign_absent(state, "User does not have the role")
  end
  return ""
end)

M.RolesController_findRoleUsers = on(kinds.role, function(state, role, request)
  local inherited = request.query.groups
  if inherited == nil then inherited = state.assume.role_users == "all" end
  local users = {}
  for _, user in ipairs(state.users) do
    if state:has_role(user, role, inherited) then users[#users + 1] = user end
  end
  return lists.answer(state, request, kinds.user, users)
end)

-- Groups of a user

M.UsersController_addGroup = on(kinds.user, function(state, user, request)
  -- The newer pages of the documentation show no body, but then nothing would name the group.
  local id = request.body and request.body.groupId
  if not id then return refuse(400, { "groupId should not be null or undefined" }) end
  local group, status, message = plain.find(state, kinds.group, id)
  if not group then return refuse(status, message) end
  if not store.join(user, group) and state.assume.second_join == "reject" then
    return refuse(409, "User is already in the group")
  end
  return ""
end)

M.UsersController_removeGroup = between(kinds.user, kinds.group, function(state, user, group)
  if not user.joined[group] then return refuse(404, "User is not in the group") end
  if #user.groups == 1 and state.assume.last_group == "reject" then
    return refuse(400, "User must be in at least one group")
  end
  store.leave(user, group)
  return ""
end)

-- Devices, gateways, resources, addresses

M.DevicesController_deactivate = on(kinds.device, function(state, device)
  if not device.fields.active then return deactivate_again(state, device) end
  device.fields.active, device.fields.status = false, "Deactivated"
  store.touch(device)
  return state:encode_record(device)
end)

local function switch_relay(enabled)
  return on(kinds.gateway, function(state, gateway)
    if (gateway.fields.relayEnabled or false) ~= enabled then
      gateway.fields.relayEnabled = enabled
      store.touch(gateway)
    elseif state.assume.second_relay == "reject" then
      return refuse(400, ("Relay is already %s"):format(enabled and "enabled" or "disabled"))
    end
    return state:encode_record(gateway)
  end)
end

M.GatewaysController_enableRelay = switch_relay(true)
M.GatewaysController_disableRelay = switch_relay(false)

-- What a test finds, by the state of the gateway: the two lists of words differ.
local TEST_RESULTS = {
  ONLINE = "ONLINE", MAINTENANCE = "MAINTENANCE", ERROR = "ERROR", PENDING = "NOT_REACHABLE",
  OFFLINE = "NOT_REACHABLE",
}

M.GatewaysController_testConfiguration = on(kinds.gateway, function(_, gateway)
  local fields = gateway.fields
  local result = { status = TEST_RESULTS[fields.status] or "UNRECOGNIZED" }
  if result.status ~= "ONLINE" then
    result.error = type(fields.error) == "string" and fields.error
      or ("The gateway is %s"):format(tostring(fields.status):lower())
  end
  return json.encode(result)
end)

M.ResourceController_disconnectGateway = between(kinds.resource, kinds.gateway,
  function(state, resource, gateway)
    for i, connected in ipairs(resource.gateways) do
      if connected == gateway then
        table.remove(resource.gateways, i)
        store.touch(resource)
        return ""
      end
    end
    return unassign_absent(state, "Resource is not connected to the gateway")
  end)

M.AddressController_findLinkedGateways = on(kinds.address, function(state, address, request)
  local linked, seen = {}, {}
  for _, resource in ipairs(state:related(address, "resources")) do
    for _, gateway in ipairs(resource.gateways) do
      if not seen[gateway] then linked[#linked + 1], seen[gateway] = gateway, true end
    end
  end
  return lists.answer(state, request, kinds.gateway, linked)
end)

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
