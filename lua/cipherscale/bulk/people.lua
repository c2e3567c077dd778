-- SPDX-License-Identifier: MIT
--
-- Who is meant: reads a list, an iterator or a CSV reader of strings and tables, entry by entry.
-- Nothing is asked of the service here, and nothing is kept.

local core = require "cipherscale.core"
local nearest = require "cipherscale.nearest"

local M = {}

-- Far beyond what an address can be (RFC 5321, 4.5.3.1.3).
local LONGEST_NAME = 1000
local SIDES = { "add", "remove", "set", "replace" }

--- Is it a function, or a table that can be called as one?
function M.callable(value)
  if type(value) == "function" then return true end
  local meta = getmetatable(value)
  return type(meta) == "table" and type(meta.__call) == "function"
end

--- Why a value is no list without holes, or nil.
function M.list_problem(name, list, expected)
  if type(list) ~= "table" then
    return ("%s: %s expected, got %s"):format(name, expected, type(list))
  end
  local length = 0
  for _ in ipairs(list) do length = length + 1 end
  for key in pairs(list) do
    if type(key) ~= "number" or key % 1 ~= 0 or key < 1 or key > length then
      return ("%s: list without holes expected, got the key '%s'"):format(name, tostring(key))
    end
  end
  return nil
end

--- Why `users` can be no list of people, or nil.
function M.problem(users)
  return not M.callable(users) and M.list_problem("users", users, "list or iterator") or nil
end

-- An iterator may give the line as its second value, as a CSV reader does; otherwise the position
-- counts, which for io.lines is the same.
local function entries(users)
  local position, called = 0, M.callable(users)
  return function()
    position = position + 1
    if not called then return users[position], position end
    local entry, line = users()
    return entry, type(line) == "number" and line % 1 == 0 and line or position
  end, called and "line" or "entry"
end

-- Spreadsheets are kept from taking a cell for a formula by an apostrophe, which is no part of it.
local function trimmed(value)
  if type(value) ~= "string" then return nil end
  return (value:match("^%s*(.-)%s*$"):gsub("^'([=+%-@])", "%1"))
end

local function name_problem(name)
  if name:find("%c") then return "control character in it" end
  for part in name:gmatch("[^/\\]+") do
    if part == "." or part == ".." then return "dot segment in it" end
  end
  if #name > LONGEST_NAME then return "too long for an id or an e-mail" end
  return not pcall(core.quote, name) and "not valid UTF-8" or nil
end

-- What a table without a name says of itself.
local function nameless(entry)
  local names = {}
  for name in pairs(entry) do names[#names + 1] = tostring(name) end
  table.sort(names)
  local close = nearest.find("email", names)[1] or nearest.find("id", names)[1]
  return ("neither id nor email in it (%s)"):format(
    close and ("is '%s' meant?"):format(close) or "found: " .. table.concat(names, ", "))
end

-- The id of one entry, its e-mail, or both; or nil, nil and what is wrong with it.
local function identify(entry)
  local id, email
  if type(entry) == "string" then
    id = trimmed(entry)
    if id == "" then return nil, nil, "empty" end
    if id:find("@", 1, true) then id, email = nil, id end
  elseif type(entry) ~= "table" then
    return nil, nil, ("string or table expected, got %s"):format(type(entry))
  else
    for _, name in ipairs { "id", "email" } do
      local kind = type(entry[name])
      if kind ~= "string" and kind ~= "nil" then
        return nil, nil, ("%s: string expected, got %s"):format(name, kind)
      end
    end
    id, email = trimmed(entry.id), trimmed(entry.email)
    if not id and not email then return nil, nil, nameless(entry) end
    id, email = id ~= "" and id or nil, email ~= "" and email or nil
    if not id and not email then return nil, nil, "neither id nor email is filled in" end
    -- Whoever is named by id needs no e-mail.
    if id and email and name_problem(email) then email = nil end
  end
  local problem = name_problem(id or email)
  if problem then return nil, nil, problem end
  return id, email
end

-- What an entry asks for itself, or nil: a table of sides. An empty CSV cell asks for nothing.
local function own_wishes(entry, sides, side_problem)
  if type(entry) ~= "table" then return nil end
  local wishes
  for _, side in ipairs(SIDES) do
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

--- A column that is probably meant for us, and would be ignored; or nil. Of the two that name a
--- person one is enough.
--- @return string|nil problem
function M.column_problem(columns)
  local there = {}
  for _, column in ipairs(columns or {}) do there[column] = true end
  for _, column in ipairs(columns or {}) do
    local name = column:lower():match("^%s*(.-)%s*$")
    for _, known in ipairs { "id", "email", table.unpack(SIDES) } do
      local named = (known == "id" or known == "email") and (there.id or there.email)
      if name == known and column ~= known and not named then
        return ("column '%s': is '%s' meant?"):format(column, known)
      end
    end
  end
  return nil
end

--- Iterates over the entries.
--- @param users table|function what the job was given
--- @param sides table the options that name things
--- @param side_problem function says what is wrong with the value of a side, or nil
--- @return function next gives { line =, id =, email =, wishes =, cells =, problem = }, or nil
--- @return string word what `line` counts: "line" or "entry"
--- @return table|nil columns the names of the cells, where the entries are rows of a CSV file
function M.each(users, sides, side_problem)
  local next_entry, word = entries(users)
  local columns = type(users) == "table" and M.callable(users) and users.columns or nil
  local known = {}
  for _, side in ipairs(sides) do known[side] = true end
  return function()
    local entry, line = next_entry()
    if entry == nil then return nil end
    local read = { line = line }
    read.id, read.email, read.problem = identify(entry)
    if not read.problem then
      read.wishes, read.problem = own_wishes(entry, known, side_problem)
    end
    if columns and type(entry) == "table" then
      read.cells = {}
      for n, name in ipairs(columns) do read.cells[n] = entry[name] end
    end
    return read
  end, word, columns
end

return M
