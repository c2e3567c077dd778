-- SPDX-License-Identifier: MIT
--
-- The options of jobs and of apply: what each may be. An unknown name or a wrong value is a
-- sentence; the caller raises it. The guards' own options are theirs (guards.lua).

local guards = require "cipherscale.bulk.guards"
local nearest = require "cipherscale.nearest"
local people = require "cipherscale.bulk.people"

local M = {}

-- "add[2]: non-empty string expected, got number", or nil.
local function strings_problem(name, list)
  local problem = people.list_problem(name, list, "list of ids or names")
  if problem then return problem end
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

local function is_amount(value) return type(value) == "number" and value >= 0 and value == value end

-- What a value must be, in words and as a test; lists have more to say.
local kinds = {
  boolean = { "boolean", function(v) return type(v) == "boolean" end },
  ["function"] = { "function", people.callable },
  string = { "non-empty string", function(v) return type(v) == "string" and v ~= "" end },
  number = { "number from 0 on", is_amount },
  share = { "number or share (\"10%\")", function(v)
    return is_amount(v) or type(v) == "string" and v:find("^%d+%.?%d*%%$") ~= nil
  end },
  age = { "seconds, or false", function(v) return v == false or is_amount(v) end },
  skip = { "\"skip\"", function(v) return v == "skip" end },
  assume = { "\"assume\"", function(v) return v == "assume" end },
}

local function value_problem(name, value, kind)
  if kind == "list" then return strings_problem(name, value) end
  local expected, test = kinds[kind][1], kinds[kind][2]
  if test(value) then return nil end
  local plain = kind ~= "boolean" and kind ~= "function"
    and (type(value) == "number" or type(value) == "string")
  return ("%s: %s expected, got %s"):format(name, expected,
    plain and ("'%s'"):format(tostring(value)) or type(value))
end

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
  if type(given) ~= "table" then
    return ("table of options expected, got %s"):format(type(given))
  end
  local known = M.names_of(list, more)
  for name in pairs(given) do
    local problem = nearest.unknown("option", name, known)
    if problem then return problem end
  end
  for _, row in ipairs(list) do
    local value = given[row[1]]
    local problem = value ~= nil and value_problem(row[1], value, row[2])
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
  local problem = M.problem(job, M.job, { "users", table.unpack(verb.sides) })
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
