-- SPDX-License-Identifier: MIT
--
-- Operations that are what their method and path say: list, read, create, change and delete the
-- records of one kind. Everything that differs between kinds is in kinds.lua.

local kinds = require "cipherscale.sandbox.kinds"
local lists = require "cipherscale.sandbox.lists"
local names = require "cipherscale.sandbox.names"
local store = require "cipherscale.sandbox.store"

local M = {}

local function refuse(status, message)
  return false, status, message
end

--- The record of a kind with an id; or what an operation returns to refuse.
function M.find(state, kind, id)
  local record = state[kind.by_id][id]
  if record then return record end
  return refuse(404, ("%s with id %s not found"):format(kind.title, id))
end

--- The records that a body names by their ids, each once; or a refusal.
function M.find_all(state, kind, ids, assumption)
  local records, seen = {}, {}
  for _, id in ipairs(ids) do
    local record, status, message = M.find(state, kind, id)
    if not record then
      return refuse(state.assume[assumption] == "not_found" and status or 400, message)
    end
    if not seen[record] then
      seen[record] = true
      records[#records + 1] = record
    end
  end
  return records
end

local read_body

-- What a link holds after the change, for attach(): records, or bodies of new ones.
local function read_link(state, link, value)
  local kind = kinds[link[1]]
  if link.made then
    local made = {}
    for i, body in ipairs(value) do
      local one, status, message = read_body(state, kind, body, true)
      if not one then return refuse(status, message) end
      made[i] = one
    end
    return made
  end
  local records, status, message =
    M.find_all(state, kind, link.many and value or { value }, "unknown_relation")
  if not records then return refuse(status, message) end
  return link.many and records or records[1]
end

-- { fields, links } of a body that has passed the contract's checks; or a refusal. Nothing is
-- changed yet.
function read_body(state, kind, body, new)
  local fields, links = {}, {}
  for _, name in ipairs(names.sorted(body)) do
    local link = kind.links[name]
    if link then
      local held, status, message = read_link(state, link, body[name])
      if not held then return refuse(status, message) end
      links[name] = held
    else
      fields[name] = body[name]
    end
  end
  if kind.check then
    local status, message = kind.check(state, fields, links, new)
    if status then return refuse(status, message) end
  end
  return { fields = fields, links = links }
end

local function make(state, kind, given)
  for name, link in pairs(kind.links) do
    if link.made then
      for i, one in ipairs(given.links[name] or {}) do
        for _, field in ipairs(link.inherit) do one.fields[field] = given.fields[field] end
        given.links[name][i] = make(state, kinds[link[1]], one)
      end
    end
  end
  return state:add(kind, given.fields, given.links)
end

local function is_taken(state, kind, fields, own)
  if state.assume.duplicate_name == "accept" or not fields.name then return false end
  for _, other in ipairs(state[kind.list]) do
    if other ~= own and other.fields.name == fields.name then return true end
  end
  return false
end

local function list(state, request, kind)
  return lists.answer(state, request, kind, state[kind.list])
end

local function get(state, request, kind)
  local record, status, message = M.find(state, kind, request.values[1])
  if not record then return refuse(status, message) end
  return state:encode_record(record)
end

local function create(state, request, kind)
  local given, status, message = read_body(state, kind, request.body, true)
  if not given then return refuse(status, message) end
  if is_taken(state, kind, given.fields) then
    return refuse(409, ("%s %s exists already"):format(kind.title, given.fields.name))
  end
  return state:encode_record(make(state, kind, given))
end

local function is_fixed(state, kind, record, deleting)
  return state.assume.built_in == "reject" and kind.fixed
    and kind.fixed(record.fields, deleting)
end

local function update(state, request, kind)
  local record, status, message = M.find(state, kind, request.values[1])
  if not record then return refuse(status, message) end
  if is_fixed(state, kind, record, false) then
    return refuse(403, ("%s is built in and cannot be changed"):format(kind.title))
  end
  local given
  given, status, message = read_body(state, kind, request.body, false)
  if not given then return refuse(status, message) end
  if is_taken(state, kind, given.fields, record) then
    return refuse(409, ("%s %s exists already"):format(kind.title, given.fields.name))
  end
  local clear = state.assume.left_out == "clear"
  for name in pairs(request.operation.body_fields) do
    local link = kind.links[name]
    if link and (given.links[name] or clear) then
      record[name] = given.links[name] or (link.many and {} or nil)
    elseif not link and (given.fields[name] ~= nil or clear) then
      record.fields[name] = given.fields[name]
    end
  end
  store.touch(record)
  return state:encode_record(record)
end

local function delete(state, request, kind)
  local record, status, message = M.find(state, kind, request.values[1])
  if not record then return refuse(status, message) end
  if is_fixed(state, kind, record, true) then
    return refuse(403, ("%s cannot be deleted"):format(kind.title))
  end
  message = kind.kept and kind.kept(state, record)
  if message then return refuse(403, message) end
  if kind.held and state.assume.in_use == "reject" and state:is_held(record) then
    return refuse(409, ("%s is in use"):format(kind.title))
  end
  state:remove(record)
  return ""
end

local OF_ALL = { GET = list, POST = create }
local OF_ONE = { GET = get, PUT = update, PATCH = update, DELETE = delete }

local by_path = {}
for _, kind in pairs(kinds) do by_path[kind.path] = kind end

--- A function(state, request) for an operation of the contract; nil where it is no plain one.
function M.compile(operation)
  local segment, rest = operation.path:match("^/tenants/([%w-]+)(.*)$")
  local kind = by_path[segment]
  local actions = rest == "" and OF_ALL or rest == "/{id}" and OF_ONE or {}
  local act = actions[operation.method]
  if not kind or not act then return nil end
  return function(state, request)
    return act(state, request, kind)
  end
end

return M
