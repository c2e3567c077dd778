-- SPDX-License-Identifier: MIT
--
-- Changes for many people at once: client.bulk. This file is the door: it makes one method for
-- each row of bulk/verbs.lua and checks what it is given. The rest of the story is in bulk/:
-- people (who is meant), things (what is meant), search (who that is in the tenant, and what they
-- hold) → plan → apply → report.
-- The whole layer calls resource methods of the client and nothing else.

local nearest = require "cipherscale.bulk.nearest"
local people = require "cipherscale.bulk.people"
local plan = require "cipherscale.bulk.plan"
local verbs = require "cipherscale.bulk.verbs"

local M = {}

local function known_options(verb)
  local known = { "users" }
  for _, side in ipairs(verb.sides) do known[#known + 1] = side end
  return known
end

-- "add[2]: non-empty string expected, got number", or nothing.
local function list_problem(name, list)
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

local function job_problem(verb, job)
  if type(job) ~= "table" then
    return ("table of options expected, got %s"):format(type(job))
  end
  local known = known_options(verb)
  for name in pairs(job) do
    local problem = nearest.unknown("option", name, known)
    if problem then return problem end
  end
  local named = 0
  for _, side in ipairs(verb.sides) do
    if job[side] ~= nil then
      local problem = list_problem(side, job[side])
      if problem then return problem end
      named = named + #job[side]
    end
  end
  if #verb.sides > 0 and named == 0 then
    return ("nothing to do: %s expected"):format(table.concat(verb.sides, " or "))
  end
  return people.problem(job.users)
end

local Bulk = { __name = "cipherscale.bulk" }

function Bulk.__tostring()
  local lines = { "client.bulk: for many people at once; each method makes a plan, sends nothing" }
  for _, verb in ipairs(verbs) do
    lines[#lines + 1] = ("  :%s{ %s = }  %s")
      :format(verb.name, table.concat(known_options(verb), " =, "), verb.doc)
  end
  return table.concat(lines, "\n")
end

--- Makes the bulk object of a client.
--- @param client table
--- @return table bulk with one method for each verb: `bulk:roles{ users =, add =, remove = }`
function M.new(client)
  local bulk = {}
  for _, verb in ipairs(verbs) do
    bulk[verb.name] = function(self, job)
      if self ~= bulk then
        error(("bulk.%s: call it as client.bulk:%s{…}"):format(verb.name, verb.name), 2)
      end
      local problem = job_problem(verb, job)
      if problem then error(("bulk.%s: %s"):format(verb.name, problem), 2) end
      return plan.new(client, verb, job)
    end
  end
  return setmetatable(bulk, Bulk)
end

return M
