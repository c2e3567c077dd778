-- SPDX-License-Identifier: MIT
--
-- What another administrator changes while somebody's job runs: said as a table, checked against
-- the state, made on the records directly. No rule of the API stands in its way.

local contract = require "cipherscale.sandbox.contract"
local json = require "cipherscale.sandbox.json"
local names = require "cipherscale.sandbox.names"
local references = require "cipherscale.sandbox.references"
local store = require "cipherscale.sandbox.store"

local M = {}

--- The fields of a change.
M.FIELDS = {
  user = true, add = true, remove = true, set = true, join = true, leave = true, status = true,
  delete = true,
}

local function check(given, what)
  if given.set ~= nil and (given.add ~= nil or given.remove ~= nil) then
    names.bad("%s: set excludes add and remove", what)
  end
  if given.status ~= nil then names.typed(given.status, "string", what .. ".status") end
  if given.delete ~= nil then names.typed(given.delete, "boolean", what .. ".delete") end
  for name in pairs(M.FIELDS) do
    if name ~= "user" and given[name] ~= nil then return end
  end
  names.bad("%s: one of add, remove, set, join, leave, status, delete expected", what)
end

local function each(list, act, user)
  for _, record in ipairs(list) do act(user, record) end
end

-- A function(user) that makes the change.
local function compile_edit(state, given, what)
  check(given, what)
  local function roles(name)
    return references.all(state, "role", given[name], what .. "." .. name)
  end
  local function groups(name)
    return references.all(state, "group", given[name], what .. "." .. name)
  end
  local add, remove, set = roles "add", roles "remove", given.set and roles "set"
  local join, leave = groups "join", groups "leave"
  return function(user)
    if set then
      for i = #user.direct, 1, -1 do store.take(user, user.direct[i]) end
    end
    each(remove, store.take, user)
    each(set or add, store.give, user)
    each(leave, store.leave, user)
    each(join, store.join, user)
    if given.status then
      user.fields.status = given.status
      store.touch(user)
    end
    if given.delete then state:remove(user) end
  end
end

local function compile_users(state, given, what)
  if json.is_list(given) then return references.all(state, "user", given, what) end
  return { references.one(state, "user", given, what) }
end

--- A change as a function(path). Without a `user` it concerns the one whom the path of a request
--- names, and nobody when it names none.
function M.compile(state, given, what)
  local users = given.user ~= nil and compile_users(state, given.user, what .. ".user")
  local edit = compile_edit(state, given, what)
  return function(path)
    local id = not users and path:match("^/tenants/users/([^/]+)")
    for _, user in ipairs(users or { id and state.user_by_id[contract.decode(id)] }) do
      if state:has(user) then edit(user) end
    end
  end
end

--- Makes a list of changes; all are checked before the first is made.
function M.make(state, list)
  local changes = {}
  for i, given in ipairs(list) do
    local what = #list > 1 and ("change[%d]"):format(i) or "change"
    names.check(names.typed(given, "table", what), M.FIELDS, what, "field")
    if given.user == nil then names.bad("%s.user: an id or e-mail expected, got nil", what) end
    changes[i] = M.compile(state, given, what)
  end
  for _, change in ipairs(changes) do change() end
end

return M
