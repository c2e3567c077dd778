-- SPDX-License-Identifier: MIT
--
-- Changes for many people at once: client.bulk. This file is the door: it makes one method for
-- each row of bulk/verbs.lua, and those that take a journal. The whole layer calls resource methods
-- of the client and nothing else. The rest of the story is in bulk/:
--
--   options, people, things   what is given: options, who is meant, what is meant
--   search, making            who that is in the tenant, what they hold, what is to change
--   journal                   where that is written down, and all that happens to it later
--   plan, guards              what is shown, and why it would be refused or stopped
--   apply, job                runs a plan; what is done for one person
--   report, progress          what became of everybody, and how far it is
--   followup                  new jobs out of an old one's journal: undo, verify
--   state, text, patient      sets of ids; texts for people; the options of every call

local apply = require "cipherscale.bulk.apply"
local followup = require "cipherscale.bulk.followup"
local journal = require "cipherscale.bulk.journal"
local making = require "cipherscale.bulk.making"
local options = require "cipherscale.bulk.options"
local plan = require "cipherscale.bulk.plan"
local report = require "cipherscale.bulk.report"
local state = require "cipherscale.bulk.state"
local verbs = require "cipherscale.bulk.verbs"

local M = {}

local by_name = {}
for _, verb in ipairs(verbs) do by_name[verb.name] = verb end

-- A case is what all else works on: client, verb, journal (`book`, and its `path` where it has
-- one) and what the journal tells (`story`). One that is `met` again must belong to the client's
-- tenant; `story.here` is then what there is in it.
local function case_of(client, book, path, met)
  local story, problem = journal.story(book, path)
  if not story then return nil, journal.failure(problem) end
  local header, verb = story.header, by_name[story.header.verb]
  if not story.planned then
    problem = path .. " holds a plan that was not finished; delete it and plan again"
  elseif not verb then
    problem = path .. ": unknown verb"
  elseif met and header.base_url ~= client.base_url then
    problem = ("%s belongs to %s, not to %s"):format(path, header.base_url, client.base_url)
  elseif met then
    local known, err = verb.list(client)
    if not known then return nil, err end
    story.here = state.of(known)
    problem = journal.stranger(story, path)
  end
  if problem then return nil, journal.failure(problem) end
  return { client = client, verb = verb, story = story, book = book, path = path }
end

-- The plan of a job, in a journal that is new; or why there is no such job.
local function make(client, verb, job, why_not)
  if not job then return nil, why_not end
  local book, path = making.make(client, verb, job)
  if not book then return nil, path end
  local case, err = case_of(client, book, path)
  local made = case and plan.new(case)
  if path then
    local closed, problem = book:close()
    if not made then os.remove(path) end
    if not closed then return nil, problem end
  end
  return made, err
end

-- The methods that take a journal: how it is opened, and what is done with the case.
local of_journal = {
  {
    name = "load", doc = "the plan that somebody else has made",
    open = journal.read, run = plan.new,
  },
  {
    name = "resume", doc = "goes on with a job that was stopped or killed; gives its report",
    open = journal.open, options = options.apply, run = apply.resume,
  },
  {
    name = "undo", doc = "a plan that takes back what a job has changed",
    open = journal.at_rest, options = options.undo,
    run = function(case, given)
      return make(case.client, by_name[case.verb.undo], followup.undo(case, given))
    end,
  },
  {
    name = "verify", doc = "reads everybody back; the list of those who are not as planned",
    open = journal.read,
    run = function(case)
      local made, err = make(case.client, case.verb, followup.verify(case))
      return made and followup.differences(made), err
    end,
  },
  {
    name = "report", doc = "what became of everybody so far; needs no connection",
    open = journal.read, run = report.new, offline = true,
  },
}

local function run(client, row, path, given)
  local book, err = row.open(path)
  if not book then return nil, err end
  local case, value
  case, err = case_of(client, book, path, not row.offline)
  if case then value, err = row.run(case, given) end
  book:close()
  return value, err
end

local methods = { table.unpack(verbs) }
for _, row in ipairs(of_journal) do methods[#methods + 1] = row end

-- How a method is called: "(journal)", or "{ users =, add =, remove = }".
local function usage_of(row)
  if not row.sides then return "(journal)" end
  return ("{ %s = }"):format(table.concat({ "users", table.unpack(row.sides) }, " =, "))
end

local Bulk = { __name = "cipherscale.bulk" }
Bulk.__index = require("cipherscale.strict").index "method of client.bulk"

function Bulk.__tostring()
  local lines = { "client.bulk: for many people at once; a job makes a plan, and sends nothing" }
  for _, row in ipairs(methods) do
    lines[#lines + 1] = ("  :%s%s  %s"):format(row.name, usage_of(row), row.doc)
  end
  lines[#lines + 1] = "  options of each plan: " .. table.concat(options.job, ", ")
  return table.concat(lines, "\n")
end

-- Wrong usage is raised where the method is called.
local function add_method(bulk, client, row)
  bulk[row.name] = function(self, first, given)
    local problem = self ~= bulk and ("call it as client.bulk:%s%s"):format(row.name, usage_of(row))
      or row.sides and options.job_problem(row, first)
      or not row.sides and options.journal_problem(first, given, row.options)
    if problem then error(("bulk.%s: %s"):format(row.name, problem), 2) end
    local value, err = (row.sides and make or run)(client, row, first, given or {})
    if value then return value end
    err.operation = err.operation or "bulk." .. row.name
    return nil, err
  end
end

--- Makes the bulk object of a client.
--- @param client table
--- @return table bulk with one method for each verb: `bulk:roles{ users =, add =, remove = }`,
---   and load, resume, undo, verify, report for a journal
function M.new(client)
  local bulk = {}
  for _, row in ipairs(methods) do add_method(bulk, client, row) end
  return setmetatable(bulk, Bulk)
end

return M
