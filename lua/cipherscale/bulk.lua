-- SPDX-License-Identifier: MIT
--
-- Changes for many people at once: client.bulk. This file is the door: it makes one method for
-- each row of bulk/verbs.lua, and those that take a journal. The rest of the story is in bulk/:
-- people (who is meant), things (what is meant), search (who that is in the tenant) → making →
-- plan, in a journal → guards → apply → report. Undo is a plan, too: from what a journal says was
-- done (reverse). The whole layer calls resource methods of the client and nothing else.

local apply = require "cipherscale.bulk.apply"
local journal = require "cipherscale.bulk.journal"
local making = require "cipherscale.bulk.making"
local options = require "cipherscale.bulk.options"
local plan = require "cipherscale.bulk.plan"
local report = require "cipherscale.bulk.report"
local reverse = require "cipherscale.bulk.reverse"
local state = require "cipherscale.bulk.state"
local verbs = require "cipherscale.bulk.verbs"
local verify = require "cipherscale.bulk.verify"

local M = {}

local by_name = {}
for _, verb in ipairs(verbs) do by_name[verb.name] = verb end

local function with_operation(name, ...)
  local value, err = ...
  if value == nil and type(err) == "table" then err.operation = err.operation or "bulk." .. name end
  return ...
end

local function make(client, verb, job)
  local book, path = making.make(client, verb, job)
  if not book then return nil, path end
  local story, problem = journal.story(book, path)
  if not story then
    book:close()
    if path then os.remove(path) end
    return nil, journal.failure(problem)
  end
  local made = plan.new(client, verb, story, book, path)
  if path then
    local ok, err = book:close()
    if not ok then return nil, err end
  end
  return made
end

-- The story of a journal that fits the client, with its verb; the journal stays open.
local function open(client, path, how)
  local book, err = how(path)
  if not book then return nil, err end
  local story, problem = journal.story(book, path)
  if story and not story.planned then
    story, problem = nil, path .. " holds a plan that was not finished; delete it and plan again"
  end
  if story and client and story.header.base_url ~= client.base_url then
    problem = ("%s belongs to %s, not to %s"):format(path, story.header.base_url, client.base_url)
    story = nil
  end
  local verb = story and by_name[story.header.verb]
  if verb and client then
    local known
    known, err = verb.list(client)
    if not known then
      book:close()
      return nil, err
    end
    story.here = state.of(known)
    problem = journal.stranger(story, story.here, path)
  end
  if not verb or problem then
    book:close()
    return nil, journal.failure(problem or ("%s: unknown verb"):format(path))
  end
  return book, story, verb
end

-- The methods that take a journal: name → { arguments for people, what it does, function }.
local of_journal = {
  {
    name = "load", doc = "the plan that somebody else has made",
    run = function(client, path)
      local book, story, verb = open(client, path, journal.read)
      if not book then return nil, story end
      local made = plan.new(client, verb, story, book, path)
      book:close()
      return made
    end,
  },
  {
    name = "resume", doc = "goes on with a job that was stopped or killed; gives its report",
    options = options.apply,
    run = function(client, path, given)
      local book, story, verb = open(client, path, journal.open)
      if not book then return nil, story end
      return apply.resume(client, verb, story, book, path, given)
    end,
  },
  {
    name = "undo", doc = "a plan that takes back what a job has changed", options = options.undo,
    run = function(client, path, given)
      local book, story, verb = open(client, path, journal.at_rest)
      if not book then return nil, story end
      local job, err = reverse.undo(client, story, book, verb, path, given)
      local made
      if job then made, err = make(client, by_name[verb.undo], job) end
      book:close()
      return made, err
    end,
  },
  {
    name = "verify", doc = "reads everybody back; the list of those who are not as planned",
    run = function(client, path)
      local book, story, verb = open(client, path, journal.read)
      if not book then return nil, story end
      local differences, err = verify(client, verb, story, book, path)
      book:close()
      return differences, err
    end,
  },
  {
    name = "report", doc = "what became of everybody so far; needs no connection",
    run = function(_, path)
      local book, story = open(nil, path, journal.read)
      if not book then return nil, story end
      book:close()
      return report.new(story, nil, path)
    end,
  },
}

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
  for _, verb in ipairs(verbs) do
    bulk[verb.name] = function(self, job)
      if self ~= bulk then
        error(("bulk.%s: call it as client.bulk:%s{…}"):format(verb.name, verb.name), 2)
      end
      local problem = options.job_problem(verb, job)
      if problem then error(("bulk.%s: %s"):format(verb.name, problem), 2) end
      return with_operation(verb.name, make(client, verb, job))
    end
  end
  for _, row in ipairs(of_journal) do
    bulk[row.name] = function(self, path, given)
      if self ~= bulk then
        error(("bulk.%s: call it as client.bulk:%s(journal)"):format(row.name, row.name), 2)
      end
      if type(path) ~= "string" or path == "" then
        error(("bad argument #1 to '%s' (path of a journal expected, got %s)")
          :format(row.name, path == "" and "an empty string" or type(path)), 2)
      end
      local problem = given ~= nil and options.problem(given, row.options or {})
      if problem then error(("bulk.%s: %s"):format(row.name, problem), 2) end
      return with_operation(row.name, row.run(client, path, given or {}))
    end
  end
  return setmetatable(bulk, Bulk)
end

return M
