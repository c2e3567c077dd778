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

local function is_amount(value) return type(value) == "number" and value >= 0 end

local function list_problem(list, expected)
  if type(list) ~= "table" then return ": " .. M.wrong(expected, list) end
  local length = 0
  for _ in ipairs(list) do length = length + 1 end
  for key in pairs(list) do
    if type(key) ~= "number" or key % 1 ~= 0 or key < 1 or key > length then
      return (": list without holes expected, got the key '%s'"):format(tostring(key))
    end
  end
  return nil
end

local function names_problem(list)
  local problem = list_problem(list, "list of ids or names")
  for n, name in ipairs(problem and {} or list) do
    if not is_name(name) then return ("[%d]: %s"):format(n, M.wrong("non-empty string", name)) end
  end
  return problem
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

-- What is wrong with a value of each kind: the sentence that its name begins; or nil.
local kinds = {
  boolean = kind("boolean", function(v) return type(v) == "boolean" end),
  ["function"] = kind("function", M.callable),
  string = kind("non-empty string", is_name),
  number = kind("number from 0 on", is_amount),
  share = kind("number or share (\"10%\")", function(v)
    return is_amount(v) or type(v) == "string" and v:find("^%d+%.?%d*%%$") ~= nil
  end),
  age = kind("seconds, or false", function(v) return v == false or is_amount(v) end),
  skip = kind("\"skip\"", function(v) return v == "skip" end),
  assume = kind("\"assume\"", function(v) return v == "assume" end),
  list = names_problem,
}

local function with_guards(options, for_apply)
  for _, row in ipairs(guards.list) do
    if row.option and not (for_apply and row.of_plan) then
      options[#options + 1] = { row.option, row.kind }
    end
  end
  return options
end

--- The options of a job beside `users` and the verb's sides.
M.job = with_guards {
  { "journal", "string" }, { "note", "string" },
  { "on_unknown", "skip" }, { "direct_roles", "assume" },
}

--- The options of apply and resume.
M.apply = with_guards({
  { "on_progress", "function" }, { "on_result", "function" }, { "should_stop", "function" },
  { "canary", "boolean" }, { "recheck", "age" }, { "max_duration", "number" },
}, true)

--- The options of undo.
M.undo = with_guards { { "journal", "string" }, { "note", "string" } }

--- The names of options, behind those of `first`.
function M.names_of(list, first)
  local names = { table.unpack(first or {}) }
  for _, row in ipairs(list) do names[#names + 1] = row[1] end
  return names
end

--- What is wrong with a table of options, or nil.
--- @param list table rows of { name, kind }
--- @param more? table names that are checked elsewhere
function M.problem(given, list, more)
  if type(given) ~= "table" then return M.wrong("table of options", given) end
  local known = M.names_of(list, more)
  for name in pairs(given) do
    local problem = nearest.unknown("option", name, known)
    if problem then return problem end
  end
  for _, row in ipairs(list) do
    local value = given[row[1]]
    local problem = value ~= nil and kinds[row[2]](value)
    if problem then return row[1] .. problem end
  end
  return nil
end

--- What is wrong with what a job, or an entry of it, asks for; or nil.
--- @param sides table the verb's options that name things
--- @param of_entry? boolean nothing else may be there, and a string may stand for a list
function M.wishes_problem(wishes, sides, of_entry)
  local problem = of_entry and M.problem(wishes, {}, sides)
  if problem then return problem end
  for _, side in ipairs(sides) do
    local value, check = wishes[side], side == "replace" and pairs_problem or names_problem
    local cell = of_entry and side ~= "replace" and type(value) == "string"
    problem = value ~= nil and not cell and check(value)
    if problem then return side .. problem end
  end
  if wishes.set ~= nil and (wishes.add or wishes.remove or wishes.replace) then
    return "`set` says all; nothing else may stand beside it"
  end
  return nil
end

--- What is wrong with a job, or nil.
function M.job_problem(verb, job)
  local problem = M.problem(job, M.job, { "users", table.unpack(verb.sides) })
    or M.wishes_problem(job, verb.sides)
  if problem then return problem end
  problem = not M.callable(job.users) and list_problem(job.users, "list or iterator")
  if problem then return "users" .. problem end
  -- Who is only named asks for nothing; whoever is a table may.
  local asks = #verb.sides == 0 or M.callable(job.users) or type(job.users[1]) == "table"
  for _, side in ipairs(verb.sides) do
    asks = asks or job[side] and (side == "set" or next(job[side]) ~= nil)
  end
  return not asks and ("nothing to do: %s expected"):format(table.concat(verb.sides, ", ")) or nil
end

--- What is wrong with what a method that takes a journal is given, or nil.
function M.journal_problem(path, given, list)
  if not is_name(path) then return M.wrong("path of a journal", path) end
  return given ~= nil and M.problem(given, list or {}) or nil
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
