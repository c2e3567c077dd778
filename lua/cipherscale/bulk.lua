-- SPDX-License-Identifier: MIT
--
-- Changes for many people at once: client.bulk. This file is the door: it makes one method for
-- each row of bulk/verbs.lua, and those that take a journal. The rest of the story is in bulk/:
-- people (who is meant), things (what is meant), search (who that is in the tenant) → making →
-- plan, in a journal → guards → apply → report. Undo is a plan, too: from what a journal says was
-- done (followup). The whole layer calls resource methods of the client and nothing else.

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

local function with_operation(name, ...)
  local value, err = ...
  if value == nil and type(err) == "table" then err.operation = err.operation or "bulk." .. name end
  return ...
end

-- A case is what all else works on: client, verb, journal (`book`, and its `path` where it has
-- one) and what the journal tells (`story`).
local function make(client, verb, job)
  local book, path = making.make(client, verb, job)
  if not book then return nil, path end
  local story, problem = journal.story(book, path)
  if not story then
    book:close()
    if path then os.remove(path) end
    return nil, journal.failure(problem)
  end
  local made = plan.new { client = client, verb = verb, story = story, book = book, path = path }
  if path then
    local ok, err = book:close()
    if not ok then return nil, err end
  end
  return made
end

-- The case of a journal that fits the client; the journal stays open.
local function open(client, path, how)
  local book, err = how(path)
  if not book then return nil, err end
  local story, problem = journal.story(book, path)
  local verb = story and by_name[story.header.verb]
  if story and not story.planned then
    problem = path .. " holds a plan that was not finished; delete it and plan again"
  elseif story and not verb then
    problem = ("%s: unknown verb"):format(path)
  elseif story and client and story.header.base_url ~= client.base_url then
    problem = ("%s belongs to %s, not to %s"):format(path, story.header.base_url, client.base_url)
  elseif story and client then
    local known
    known, err = verb.list(client)
    if known then
      story.here = state.of(known)
      problem = journal.stranger(story, path)
    end
  end
  if problem then err = journal.failure(problem) end
  if not err then
    return { client = client, verb = verb, story = story, book = book, path = path }
  end
  book:close()
  return nil, err
end

-- The methods that take a journal: how it is opened, and what is done with the case.
local of_journal = {
  {
    name = "load", doc = "the plan that somebody else has made",
    open = journal.read, run = plan.new,
  },
  {
    name = "resume", doc = "goes on with a job that was stopped or killed; gives its report",
    open = journal.open, options = options.apply, run = apply.resume, closes = true,
  },
  {
    name = "undo", doc = "a plan that takes back what a job has changed",
    open = journal.at_rest, options = options.undo,
    run = function(case, given)
      local job, err = followup.undo(case, given)
      if not job then return nil, err end
      return make(case.client, by_name[case.verb.undo], job)
    end,
  },
  {
    name = "verify", doc = "reads everybody back; the list of those who are not as planned",
    open = journal.read,
    run = function(case)
      local job, err = followup.verify(case)
      local made
      if job then made, err = make(case.client, case.verb, job) end
      return made and followup.differences(made), err
    end,
  },
  {
    name = "report", doc = "what became of everybody so far; needs no connection",
    open = journal.read, run = report.new, offline = true,
  },
}

local function run(client, row, path, given)
  local case, err = open(not row.offline and client or nil, path, row.open)
  if not case then return nil, err end
  local value
  value, err = row.run(case, given)
  if not row.closes then case.book:close() end
  if value then return value end -- exactly one
  return nil, err
end

local Bulk = { __name = "cipherscale.bulk" }
Bulk.__index = require("cipherscale.strict").index "method of client.bulk"

function Bulk.__tostring()
  local lines = { "client.bulk: for many people at once; each method makes a plan, sends nothing" }
  for _, verb in ipairs(verbs) do
    local names = { "users =" }
    for _, side in ipairs(verb.sides) do names[#names + 1] = side .. " =" end
    lines[#lines + 1] = ("  :%s{ %s }  %s"):format(verb.name, table.concat(names, ", "), verb.doc)
  end
  lines[#lines + 1] = "  options of each: " .. table.concat(options.names_of(options.job), ", ")
  lines[#lines + 1] = "with the journal of a job:"
  for _, row in ipairs(of_journal) do
    lines[#lines + 1] = ("  :%s(journal)  %s"):format(row.name, row.doc)
  end
  return table.concat(lines, "\n")
end

--- Makes the bulk object of a client.
--- @param client table
--- @return table bulk with one method for each verb: `bulk:roles{ users =, add =, remove = }`,
---   and load, resume, undo, verify, report for a journal
function M.new(client)
  local bulk = {}
  local function check(self, name, call)
    if self == bulk then return end
    error(("bulk.%s: call it as client.bulk:%s%s"):format(name, name, call), 3)
  end
  for _, verb in ipairs(verbs) do
    bulk[verb.name] = function(self, job)
      check(self, verb.name, "{…}")
      local problem = options.job_problem(verb, job)
      if problem then error(("bulk.%s: %s"):format(verb.name, problem), 2) end
      return with_operation(verb.name, make(client, verb, job))
    end
  end
  for _, row in ipairs(of_journal) do
    bulk[row.name] = function(self, path, given)
      check(self, row.name, "(journal)")
      if type(path) ~= "string" or path == "" then
        error(("bad argument #1 to '%s' (path of a journal expected, got %s)")
          :format(row.name, path == "" and "an empty string" or type(path)), 2)
      end
      local problem = given ~= nil and options.problem(given, row.options or {})
      if problem then error(("bulk.%s: %s"):format(row.name, problem), 2) end
      return with_operation(row.name, run(client, row, path, given or {}))
    end
  end
  return setmetatable(bulk, Bulk)
end

return M
