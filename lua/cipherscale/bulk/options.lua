-- SPDX-License-Identifier: MIT
--
-- What may be given to jobs and to apply: options, lists of people, names of things. An unknown
-- name or a wrong value is a sentence; the caller raises it, or it is a problem of an entry. The
-- guards' own options are theirs (guards.lua).

local guards = require "cipherscale.bulk.guards"
local nearest = require "cipherscale.nearest"

local M = {}

-- How a wrong value is shown; of others it is enough to know the type.
local SHOWN = { string = "'%s'", number = "%s", boolean = "%s" }

--- "non-empty string expected, got 5"
function M.wrong(expected, value)
  local got = (SHOWN[type(value)] or type(value)):format(tostring(value))
  return ("%s expected, got %s"):format(expected, got)
end

--- Is it a function, or a table that can be called as one?
function M.callable(value)
  local meta = getmetatable(value)
  return type(value) == "function" or type(meta) == "table" and type(meta.__call) == "function"
end

local function is_name(value) return type(value) == "string" and value ~= "" end

local function is_path(value) return is_name(value) and not value:find("\0", 1, true) end

local function is_amount(value) return type(value) == "number" and value >= 0 end

local function list_problem(list, expected, of_names)
  if type(list) ~= "table" then return ": " .. M.wrong(expected, list) end
  local length = 0
  for n, each in ipairs(list) do
    if of_names and not is_name(each) then
      return ("[%d]: %s"):format(n, M.wrong("non-empty string", each))
    end
    length = n
  end
  for key in pairs(list) do
    if type(key) ~= "number" or key % 1 ~= 0 or key < 1 or key > length then
      return (": list without holes expected, got the key '%s'"):format(tostring(key))
    end
  end
  return nil
end

local function pairs_problem(value)
  local fits = type(value) == "table"
  for from, into in pairs(fits and value or {}) do
    fits = fits and is_name(from) and is_name(into)
  end
  return not fits and ": table { old = new } of non-empty strings expected" or nil
end

-- A kind of values that one test tells.
local function kind(expected, test)
  return function(value) return not test(value) and ": " .. M.wrong(expected, value) or nil end
end

local function word(only) return kind(("%q"):format(only), function(v) return v == only end) end

-- What is wrong with a value of each kind: the sentence that its name begins; or nil.
local kinds = {
  boolean = kind("boolean", function(v) return type(v) == "boolean" end),
  callback = kind("function", M.callable),
  name = kind("non-empty string", is_name),
  path = kind("path of a journal", is_path),
  number = kind("number from 0 on", is_amount),
  share = kind("number or share (\"10%\")", function(v)
    return is_amount(v) or type(v) == "string" and v:find("^%d+%.?%d*%%$") ~= nil
  end),
  age = kind("seconds, or false", function(v) return v == false or is_amount(v) end),
  list = function(v) return list_problem(v, "list of ids or names", true) end,
}

-- The kind of each option.
local checks = {
  add = kinds.list, remove = kinds.list, set = kinds.list, replace = pairs_problem,
  users = function(v) return not M.callable(v) and list_problem(v, "list or iterator") or nil end,
  journal = kinds.path, note = kinds.name,
  on_unknown = word "skip", direct_roles = word "assume",
  on_progress = kinds.callback, on_result = kinds.callback, should_stop = kinds.callback,
  canary = kinds.boolean, recheck = kinds.age, max_duration = kinds.number,
}

--- The options of all jobs, see of_job; of apply and resume; and of undo.
M.job = { "journal", "note", "on_unknown" }
M.apply = { "on_progress", "on_result", "should_stop", "canary", "recheck", "max_duration" }
M.undo = { "journal", "note" }

for _, row in ipairs(guards.list) do
  if row.option then
    checks[row.option] = kinds[row.kind]
    for _, names in ipairs { M.job, M.undo, not row.of_plan and M.apply or nil } do
      names[#names + 1] = row.option
    end
  end
end

--- What is wrong with a table of options, or with what an entry asks for; or nil.
--- @param names table the options that may be there
--- @param of_entry? boolean a string may stand for a list
function M.problem(given, names, of_entry)
  if type(given) ~= "table" then return M.wrong("table of options", given) end
  for name in pairs(given) do
    local problem = nearest.unknown("option", name, names)
    if problem then return problem end
  end
  for _, name in ipairs(names) do
    local value = given[name]
    local cell = of_entry and name ~= "replace" and type(value) == "string"
    local problem = value ~= nil and not cell and checks[name](value)
    if problem then return name .. problem end
  end
  if given.set ~= nil and (given.add or given.remove or given.replace) then
    return "`set` says all; nothing else may stand beside it"
  end
  return nil
end

--- The options of a verb's jobs, beside `users` and its sides.
function M.of_job(verb)
  local names = { table.unpack(verb.options or {}) }
  for _, name in ipairs(M.job) do names[#names + 1] = name end
  return names
end

--- What is wrong with a job, or nil.
function M.job_problem(verb, job)
  local names = { "users", table.unpack(verb.sides) }
  for _, name in ipairs(M.of_job(verb)) do names[#names + 1] = name end
  local problem = M.problem(job, names)
  if problem then return problem end
  if job.users == nil then return "users" .. checks.users(nil) end
  -- Who is only named asks for nothing; whoever is a table may.
  local asks = #verb.sides == 0 or M.callable(job.users) or type(job.users[1]) == "table"
  for _, side in ipairs(verb.sides) do
    asks = asks or job[side] and (side == "set" or next(job[side]) ~= nil)
  end
  return not asks and ("nothing to do: %s expected"):format(table.concat(verb.sides, ", ")) or nil
end

--- What is wrong with what a method that takes a journal is given, or nil.
function M.journal_problem(path, given, names)
  if not is_path(path) then return M.wrong("path of a journal", path) end
  return given ~= nil and M.problem(given, names or {}) or nil
end

--- The guards' limits among some options.
function M.limits(given)
  local limits = {}
  for _, row in ipairs(guards.list) do
    if row.option then limits[row.option] = given[row.option] end
  end
  return limits
end

return M
