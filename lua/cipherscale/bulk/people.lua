-- SPDX-License-Identifier: MIT
--
-- Who is meant: reads a list, an iterator or a CSV reader of strings and tables, entry by entry.
-- Nothing is asked of the service here, and nothing is kept.

local core = require "cipherscale.core"
local nearest = require "cipherscale.nearest"
local options = require "cipherscale.bulk.options"

local M = {}

-- Far beyond what an address can be (RFC 5321, 4.5.3.1.3).
local LONGEST_NAME = 1000
-- What is read of an entry: who it is, and what is asked for this person alone.
local PERSON = { id = true, email = true }
local WISHES = { add = true, remove = true, set = true, replace = true }

local function name_problem(name)
  if name:find("%c") then return "control character in it" end
  if ("/" .. name .. "/"):find("[/\\]%.%.?[/\\]") then return "dot segment in it" end
  if #name > LONGEST_NAME then return "too long for an id or an e-mail" end
  return not pcall(core.quote, name) and "not valid UTF-8" or nil
end

-- What is wrong with who is meant, or nil.
local function person_problem(read, entry)
  if read.id or read.email then return name_problem(read.id or read.email) end
  local others = {}
  for key in pairs(entry) do
    if not PERSON[key] then others[#others + 1] = tostring(key) end
  end
  table.sort(others)
  return "neither id nor email is filled in"
    .. nearest.hint(nearest.find("email", others), others)
end

-- An entry with what its metatable gives beside its own fields.
local function with_inherited(entry)
  if not getmetatable(entry) then return entry end
  local all = {}
  for _, names in ipairs { PERSON, WISHES } do
    for name in pairs(names) do all[name] = entry[name] end
  end
  for name, value in pairs(entry) do all[name] = value end
  return all
end

-- Our names count in whatever case they are written, since spreadsheets like capitals; but an "ID"
-- beside an `email` may be anybody's. A blank cell says nothing.
local function read_entry(entry, sides)
  if type(entry) == "string" then
    entry = { [entry:find("@", 1, true) and "email" or "id"] = entry }
  elseif type(entry) ~= "table" then
    return { problem = options.wrong("string or table", entry) }
  end
  entry = with_inherited(entry)
  local read, wishes, named = {}, {}, entry.id ~= nil or entry.email ~= nil
  for key, value in pairs(entry) do
    local name = type(key) == "string" and key:lower()
    local place = WISHES[name] and wishes
      or PERSON[name] and (key == name or not named) and read
    if place and type(value) == "string" then
      -- An apostrophe keeps spreadsheets from taking a cell for a formula.
      value = value:match("^%s*(.-)%s*$"):gsub("^'([=+%-@])", "%1")
    elseif place == read then
      return { problem = ("%s: %s"):format(name, options.wrong("string", value)) }
    end
    if place and value ~= "" then
      if place[name] ~= nil then return { problem = ("`%s` is there twice"):format(name) } end
      place[name] = value
    end
  end
  read.wishes = next(wishes) ~= nil and wishes or nil
  read.problem = person_problem(read, entry)
    or read.wishes and options.problem(wishes, sides, true) or nil
  -- Whoever is named by id needs no e-mail.
  if read.id and read.email and name_problem(read.email) then read.email = nil end
  return read
end

--- Iterates over the entries.
--- @param users table|function what the job was given
--- @param sides table the options that name things
--- @return function next gives { line =, id =, email =, wishes =, cells =, problem = }, or nil
--- @return string word what `line` counts: "line" or "entry"
--- @return table|nil columns the names of the cells, where the entries are rows of a CSV file
function M.each(users, sides)
  local called, position = options.callable(users), 0
  local columns = called and type(users) == "table" and users.columns or nil
  return function()
    position = position + 1
    local entry, line
    if called then entry, line = users() else entry = users[position] end
    if entry == nil then return nil end
    local read = read_entry(entry, sides)
    -- An iterator may give the line as its second value, as a CSV reader does; otherwise the
    -- position counts, which for io.lines is the same.
    local is_line = type(line) == "number" and line % 1 == 0 and line >= 0 and line < 1e15
    read.line = is_line and line or position
    if columns and type(entry) == "table" then
      read.cells = {}
      for n, name in ipairs(columns) do read.cells[n] = entry[name] end
    end
    return read
  end, called and "line" or "entry", columns
end

return M
