-- SPDX-License-Identifier: MIT
--
-- Who is meant: turns a list, an iterator or a CSV reader of strings and tables into people, each
-- once, with the line where they were first named. Nothing is asked of the service here.

local nearest = require "cipherscale.bulk.nearest"

local M = {}

-- What a single entry may ask for itself in other versions: to ignore it would do the wrong thing.
local OWN_CHANGES = { "add", "remove", "set", "replace" }

local function callable(value)
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
  if callable(users) then return nil end
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
  if callable(users) then
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

local function trimmed(value)
  return type(value) == "string" and value:match("^%s*(.-)%s*$") or nil
end

-- The id or else the e-mail of one entry; or nil, nil and what is wrong with it.
local function identify(entry)
  if type(entry) == "string" then
    local text = trimmed(entry)
    if text == "" then return nil, nil, "empty" end
    if text:find("@", 1, true) then return nil, text end
    return text
  end
  if type(entry) ~= "table" then
    return nil, nil, ("string or table expected, got %s"):format(type(entry))
  end
  for _, field in ipairs(OWN_CHANGES) do
    if entry[field] ~= nil then
      return nil, nil, ("a person's own `%s` is not supported"):format(field)
    end
  end
  local id, email = trimmed(entry.id), trimmed(entry.email)
  if id and id ~= "" then return id end
  if email and email ~= "" then return nil, email end
  if id or email then return nil, nil, "neither id nor email is filled in" end
  local names = {}
  for name in pairs(entry) do names[#names + 1] = tostring(name) end
  table.sort(names)
  local close = nearest.find("email", names)[1] or nearest.find("id", names)[1]
  return nil, nil, ("neither id nor email in it (%s)"):format(
    close and ("is '%s' meant?"):format(close) or "found: " .. table.concat(names, ", "))
end

--- Reads all entries.
--- @return table people list of { id= or email=, line= }, nobody twice
--- @return table problems list of { where=, message= }: entries that name nobody
--- @return string word what `line` counts: "line" or "entry"
function M.read(users)
  local next_entry, word = entries(users)
  local list, problems, seen = {}, {}, {}
  while true do
    local entry, line = next_entry()
    if entry == nil then return list, problems, word end
    local id, email, problem = identify(entry)
    if problem then
      problems[#problems + 1] = { line = line, message = ("%s %d: %s"):format(word, line, problem) }
    else
      local key = id or email:lower()
      if not seen[key] then
        seen[key] = true
        list[#list + 1] = { id = id, email = email, line = line }
      end
    end
  end
end

return M
