-- SPDX-License-Identifier: MIT
--
-- Who is meant: reads a list, an iterator or a CSV reader of strings and tables, entry by entry.
-- Nothing is asked of the service here, and nothing is kept.

local core = require "cipherscale.core"
local nearest = require "cipherscale.bulk.nearest"

local M = {}

-- Far beyond what an address can be (RFC 5321, 4.5.3.1.3).
local LONGEST_NAME = 1000

--- Is it a function, or a table that can be called as one?
function M.callable(value)
  if type(value) == "function" then return true end
  local meta = getmetatable(value)
  return type(meta) == "table" and type(meta.__call) == "function"
end

--- The first key of a table that does not belong to a list without holes, or nil.
function M.stray_key(list)
  local length = 0
  for _ in ipairs(list) do length = length + 1 end
  for key in pairs(list) do
    if type(key) ~= "number" or key % 1 ~= 0 or key < 1 or key > length then return key end
  end
  return nil
end

--- Why `users` can be no list of people, or nil.
function M.problem(users)
  if M.callable(users) then return nil end
  if type(users) ~= "table" then
    return ("users: list or iterator expected, got %s"):format(type(users))
  end
  local key = M.stray_key(users)
  if key == nil then return nil end
  return ("users: list without holes expected, got the key '%s'"):format(tostring(key))
end

-- An iterator may give the line as its second value, as a CSV reader does; otherwise the position
-- counts, which for io.lines is the same.
local function entries(users)
  local position = 0
  if M.callable(users) then
    return function()
      position = position + 1
      local entry, line = users()
      local is_line = type(line) == "number" and line % 1 == 0
      return entry, is_line and line or position
    end, "line"
  end
  return function()
    position = position + 1
    return users[position], position
  end, "entry"
end

-- Spreadsheets are kept from taking a cell for a formula by an apostrophe, which is no part of it.
local function trimmed(value)
  if type(value) ~= "string" then return nil end
  return (value:match("^%s*(.-)%s*$"):gsub("^'([=+%-@])", "%1"))
end

local function named(id, email)
  local name = id or email
  if name:find("%c") then return nil, nil, "control character in it" end
  for part in name:gmatch("[^/\\]+") do
    if part == "." or part == ".." then return nil, nil, "dot segment in it" end
  end
  if #name > LONGEST_NAME then return nil, nil, "too long for an id or an e-mail" end
  if not pcall(core.quote, name) then return nil, nil, "not valid UTF-8" end
  return id, email
end

-- The id or else the e-mail of one entry; or nil, nil and what is wrong with it.
local function identify(entry)
  if type(entry) == "string" then
    local text = trimmed(entry)
    if text == "" then return nil, nil, "empty" end
    if text:find("@", 1, true) then return named(nil, text) end
    return named(text)
  end
  if type(entry) ~= "table" then
    return nil, nil, ("string or table expected, got %s"):format(type(entry))
  end
  for _, name in ipairs { "id", "email" } do
    local kind = type(entry[name])
    if kind ~= "string" and kind ~= "nil" then
      return nil, nil, ("%s: string expected, got %s"):format(name, kind)
    end
  end
  local id, email = trimmed(entry.id), trimmed(entry.email)
  if id and id ~= "" then return named(id) end
  if email and email ~= "" then return named(nil, email) end
  if id or email then return nil, nil, "neither id nor email is filled in" end
  local names = {}
  for name in pairs(entry) do names[#names + 1] = tostring(name) end
  table.sort(names)
  local close = nearest.find("email", names)[1] or nearest.find("id", names)[1]
  return nil, nil, ("neither id nor email in it (%s)"):format(
    close and ("is '%s' meant?"):format(close) or "found: " .. table.concat(names, ", "))
end

local ALL_SIDES = { "add", "remove", "set", "replace" }

-- What an entry asks for itself, or nil: a table of sides. An empty CSV cell asks for nothing.
local function own_wishes(entry, sides, side_problem)
  if type(entry) ~= "table" then return nil end
  local wishes
  for _, side in ipairs(ALL_SIDES) do
    local value = trimmed(entry[side]) or entry[side]
    if value ~= nil and value ~= "" then
      if not sides[side] then return nil, ("`%s` is not for this job"):format(side) end
      local problem = not (type(value) == "string" and side ~= "replace")
        and side_problem(side, value)
      if problem then return nil, problem end
      wishes = wishes or {}
      wishes[side] = value
    end
  end
  if wishes and wishes.set ~= nil and next(wishes, next(wishes)) ~= nil then
    return nil, "`set` says all; nothing else may stand beside it"
  end
  return wishes
end

--- A column that is probably meant to be an option of the job, and would be ignored; or nil.
--- @return string|nil problem
function M.column_problem(columns)
  for _, column in ipairs(columns or {}) do
    local name = column:lower():match("^%s*(.-)%s*$")
    for _, known in ipairs { "id", "email", "add", "remove", "set", "replace" } do
      if name == known and column ~= known then
        return ("column '%s': is '%s' meant?"):format(column, known)
      end
    end
  end
  return nil
end

--- Iterates over the entries.
--- @param users table|function what the job was given
--- @param sides table the options that name things, as keys
--- @param side_problem function says what is wrong with the value of a side, or nil
--- @return function next gives { line =, id = or email =, wishes =, cells =, problem = }, or nil
--- @return string word what `line` counts: "line" or "entry"
--- @return table|nil columns the names of the cells, where the entries are rows of a CSV file
function M.each(users, sides, side_problem)
  local next_entry, word = entries(users)
  local columns = type(users) == "table" and M.callable(users) and users.columns or nil
  return function()
    local entry, line = next_entry()
    if entry == nil then return nil end
    local id, email, problem = identify(entry)
    local wishes
    if not problem then wishes, problem = own_wishes(entry, sides, side_problem) end
    local cells
    if columns and type(entry) == "table" then
      cells = {}
      for n, name in ipairs(columns) do cells[n] = entry[name] end
    end
    return {
      line = line, id = id, email = email, wishes = wishes, cells = cells, problem = problem,
    }
  end, word, columns
end

return M
