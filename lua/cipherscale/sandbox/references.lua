-- SPDX-License-Identifier: MIT
--
-- Finds the records that people name in seeds and changes: by id, a role also by type or name, a
-- user by e-mail, others by name (known_by in kinds.lua). What is not found, or is more than one,
-- is raised as { usage = text } naming the place.

local json = require "cipherscale.sandbox.json"
local kinds = require "cipherscale.sandbox.kinds"
local names = require "cipherscale.sandbox.names"

local M = {}

local function find_by(field, records, text)
  local found
  for _, record in ipairs(records) do
    if record.fields[field] == text then
      if found and found.fields.deleteable == record.fields.deleteable then
        return nil, "more than one"
      end
      -- A custom role of a built-in type does not hide the built-in one.
      if not found or found.fields.deleteable then found = record end
    end
  end
  return found
end

--- The record of a kind ("role", "group", …) that a text names; nil and "no" or "more than
--- one".
function M.find(state, kind, text)
  local row = kinds[kind]
  local record = state[row.by_id][text]
  if record then return record end
  for _, field in ipairs(row.known_by) do
    local found, problem = find_by(field, state[row.list], text)
    if found or problem then return found, problem end
  end
  return nil, "no"
end

--- The same for a text, or a table that has such a text; raises when there is not exactly one.
function M.one(state, kind, reference, place)
  if type(reference) == "table" then
    reference = reference.id or reference.name or reference.type or reference.email
      or reference.address
  end
  names.typed(reference, "string", place)
  local record, how_many = M.find(state, kind, reference)
  if not record then names.bad("%s: %s %s '%s'", place, how_many, kind, reference) end
  return record
end

--- Raises unless the value is a list (decoded, see json.is_list) or nil; returns a list.
function M.list(value, what)
  if value == nil then return {} end
  if type(value) ~= "table" or not json.is_list(value) then
    names.bad("%s: a list expected, got %s", what,
      type(value) == "table" and "a table with names" or type(value))
  end
  return value
end

--- The records that a list names; none for nil.
function M.all(state, kind, list, what)
  local found = {}
  for i, reference in ipairs(M.list(list, what)) do
    found[i] = M.one(state, kind, reference, ("%s[%d]"):format(what, i))
  end
  return found
end

return M
