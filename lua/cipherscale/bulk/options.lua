-- SPDX-License-Identifier: MIT
--
-- The options of jobs and of apply: what each may be. An unknown name or a wrong value is a
-- sentence; the caller raises it. The guards' own options are theirs (guards.lua).

local guards = require "cipherscale.bulk.guards"
local nearest = require "cipherscale.bulk.nearest"
local people = require "cipherscale.bulk.people"

local M = {}

-- "add[2]: non-empty string expected, got number", or nothing.
local function strings_problem(name, list)
  if type(list) ~= "table" then
    return ("%s: list of ids or names expected, got %s"):format(name, type(list))
  end
  local key = people.stray_key(list)
  if key ~= nil then
    return ("%s: list without holes expected, got the key '%s'"):format(name, tostring(key))
  end
  for n, value in ipairs(list) do
    if type(value) ~= "string" or value == "" then
      local got = value == "" and "an empty string" or type(value)
      return ("%s[%d]: non-empty string expected, got %s"):format(name, n, got)
    end
  end
  return nil
end

--- What is wrong with the value of an option that names things, or nil.
function M.side_problem(name, value)
  if name ~= "replace" then return strings_problem(name, value) end
  if type(value) ~= "table" then
    return ("replace: table { old = new } expected, got %s"):format(type(value))
  end
  for from, into in pairs(value) do
    if type(from) ~= "string" or type(into) ~= "string" or from == "" or into == "" then
      return "replace: table { old = new } of non-empty strings expected"
    end
  end
  return nil
end

local function expected(what, test)
  return function(name, value)
    if test(value) then return nil end
    local got = (type(value) == "number" or type(value) == "string")
      and ("'%s'"):format(tostring(value)) or type(value)
    return ("%s: %s expected, got %s"):format(name, what, got)
  end
end

local function is_amount(value) return type(value) == "number" and value >= 0 and value == value end

local kinds = {
  boolean = function(name, value)
    if type(value) == "boolean" then return nil end
    return ("%s: boolean expected, got %s"):format(name, type(value))
  end,
  ["function"] = function(name, value)
    if people.callable(value) then return nil end
    return ("%s: function expected, got %s"):format(name, type(value))
  end,
  string = expected("non-empty string", function(v) return type(v) == "string" and v ~= "" end),
  number = expected("number from 0 on", is_amount),
  share = expected("number or share (\"10%\")", function(v)
    return is_amount(v) or type(v) == "string" and v:find("^%d+%.?%d*%%$") ~= nil
  end),
  list = strings_problem,
  age = expected("seconds, or false", function(v) return v == false or is_amount(v) end),
  skip = expected("\"skip\"", function(v) return v == "skip" end),
  assume = expected("\"assume\"", function(v) return v == "assume" end),
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

local function names_of(list, more)
  local names = {}
  for _, name in ipairs(more or {}) do names[#names + 1] = name end
  for _, row in ipairs(list) do names[#names + 1] = row[1] end
  return names
end
M.names_of = names_of

--- What is wrong with a table of options, or nil.
--- @param list table rows of { name, kind }
--- @param more? table names that are checked elsewhere
function M.problem(given, list, more)
  if type(given) ~= "table" then
    return ("table of options expected, got %s"):format(type(given))
  end
  local known = names_of(list, more)
  for name in pairs(given) do
    local problem = nearest.unknown("option", name, known)
    if problem then return problem end
  end
  for _, row in ipairs(list) do
    local value = given[row[1]]
    local problem = value ~= nil and kinds[row[2]](row[1], value)
    if problem then return problem end
  end
  return nil
end

-- Does anything say what to do? An entry may, too, if it is a table.
local function asks_nothing(verb, job)
  for _, side in ipairs(verb.sides) do
    local value = job[side]
    if value ~= nil and (side == "set" or next(value) ~= nil) then return false end
  end
  if #verb.sides == 0 or people.callable(job.users) then return false end
  for _, entry in ipairs(job.users) do
    if type(entry) == "table" then return false end
  end
  return true
end

--- What is wrong with a job, or nil.
function M.job_problem(verb, job)
  local more = { "users" }
  for _, side in ipairs(verb.sides) do more[#more + 1] = side end
  local problem = M.problem(job, M.job, more)
  if problem then return problem end
  for _, side in ipairs(verb.sides) do
    problem = job[side] ~= nil and M.side_problem(side, job[side])
    if problem then return problem end
  end
  if job.set ~= nil and (job.add or job.remove or job.replace) then
    return "set: it says all; add, remove and replace cannot stand beside it"
  end
  problem = people.problem(job.users)
  if not problem and asks_nothing(verb, job) then
    problem = ("nothing to do: %s expected"):format(table.concat(verb.sides, ", "))
  end
  return problem
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
