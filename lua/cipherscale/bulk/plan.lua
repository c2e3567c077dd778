-- SPDX-License-Identifier: MIT
--
-- A plan: everybody who was named, what they hold and what would change, in memory. Making one
-- reads and sends nothing else; people with the same change share one table for it.

local apply = require "cipherscale.bulk.apply"
local core = require "cipherscale.core"
local people = require "cipherscale.bulk.people"
local report = require "cipherscale.bulk.report"
local search = require "cipherscale.bulk.search"
local text = require "cipherscale.bulk.text"
local things = require "cipherscale.bulk.things"

local M = {}

-- What fits a screen.
local SHOWN_PROBLEMS, SHOWN_KINDS, SHOWN_CHANGES = 20, 8, 10

local Plan = { __name = "cipherscale.plan" }
Plan.__index = Plan

local function unresolved(problems)
  table.sort(problems, function(a, b)
    if a.line ~= b.line then return (a.line or 0) < (b.line or 0) end
    return a.message < b.message
  end)
  local lines = { text.count(#problems, "entry is", "entries are") .. " not understood" }
  for n = 1, math.min(#problems, SHOWN_PROBLEMS) do
    lines[#lines + 1] = "  " .. text.clean(problems[n].message)
  end
  lines[#lines + 1] = text.more(SHOWN_PROBLEMS, #problems)
  return core.error {
    kind = "unresolved", message = table.concat(lines, "\n"), unresolved = problems,
  }
end

-- The things concerned, in the order in which the job names them.
local function in_order(verb, asked)
  local order = {}
  for _, side in ipairs(verb.sides) do
    for _, thing in ipairs(asked[side]) do order[#order + 1] = thing end
  end
  return order
end

-- What differs depends only on which of the things concerned a person holds.
local function changes_by_holding(verb, asked, order)
  local known = {}
  return function(held)
    local before, marks = {}, {}
    for n, thing in ipairs(order) do
      marks[n] = held[thing.id] and "1" or "0"
      if held[thing.id] then before[#before + 1] = thing end
    end
    local key = table.concat(marks)
    local change = known[key]
    if not change then
      change = verb.difference(held, asked)
      change.before, change.people = before, 0
      change.nothing = #change.add == 0 and #change.remove == 0
      known[key] = change
    end
    change.people = change.people + 1
    return change
  end
end

local function read_all(client, verb, job)
  local list, problems, word = people.read(job.users)
  return client:run(function(tasks)
    local known, err = verb.list(client)
    if not known then return nil, err end
    local asked, concerned = things.resolve(verb, job, known, problems)
    local found, reads = search.find({
      client = client, tasks = tasks, verb = verb, concerned = concerned,
      problems = problems, word = word,
    }, list)
    if not found then return nil, reads end
    if #problems > 0 then return nil, unresolved(problems) end
    return { asked = asked, people = found, reads = reads + 1, word = word }
  end)
end

--- Makes a plan: reads, compares, sends nothing.
--- @return table|nil plan
--- @return table|nil err kind `unresolved` lists everything that is not known in `err.unresolved`
function M.new(client, verb, job)
  local read, err = read_all(client, verb, job)
  if not read then
    err.operation = err.operation or "bulk." .. verb.name
    return nil, err
  end
  local order = in_order(verb, read.asked)
  local change_of = changes_by_holding(verb, read.asked, order)
  local plan = setmetatable({
    total = #read.people, to_change = 0, unchanged = 0, requests = 0, reads = read.reads,
    client = client, verb = verb, asked = read.asked, order = order,
    people = read.people, word = read.word,
  }, Plan)
  for n, person in ipairs(read.people) do
    local change = change_of(person.held)
    read.people[n] = { id = person.id, email = person.email, line = person.line, change = change }
    if change.nothing then
      plan.unchanged = plan.unchanged + 1
    else
      plan.to_change = plan.to_change + 1
    end
  end
  plan.requests = plan.to_change
  return plan
end

--- Iterates over the changes: { user =, email =, line =, add = {…}, remove = {…}, before = {…} },
--- where `before` are those of the named things that the person holds directly.
function Plan:changes()
  local n = 0
  return function()
    while true do
      n = n + 1
      local person = self.people[n]
      if not person then return nil end
      if not person.change.nothing then return report.row(person) end
    end
  end
end

--- Sends the changes.
--- @param options? { on_progress: function, on_result: function }
--- @return table|nil report
--- @return table|nil err only when nothing was sent
function Plan:apply(options)
  local problem = apply.problem(options)
  if problem then error("plan.apply: " .. problem, 2) end
  return apply.run(self, options or {})
end

-- The different changes, the most frequent first.
local function kinds(plan)
  local list, seen = {}, {}
  for _, person in ipairs(plan.people) do
    local change = person.change
    if not change.nothing and not seen[change] then
      seen[change] = true
      list[#list + 1] = change
    end
  end
  table.sort(list, function(a, b)
    if a.people ~= b.people then return a.people > b.people end
    return text.change(a) < text.change(b)
  end)
  return list
end

local function gains_and_losses(plan, list)
  local gain, lose = {}, {}
  for _, change in ipairs(list) do
    for _, thing in ipairs(change.add) do gain[thing] = (gain[thing] or 0) + change.people end
    for _, thing in ipairs(change.remove) do lose[thing] = (lose[thing] or 0) + change.people end
  end
  local rows = {}
  for _, thing in ipairs(plan.order) do
    local n = gain[thing] or lose[thing]
    rows[#rows + 1] = {
      text.clean(thing.label),
      not n and "nobody gains or loses it"
        or gain[thing] and text.people(n) .. " to gain it" or text.people(n) .. " to lose it",
    }
  end
  return rows
end

function Plan:__tostring()
  local lines = {
    ("Plan: %s for %s"):format(text.change(self.asked), text.people(self.total)),
    ("  %s to change, %s unchanged; %s to send (%s to plan)"):format(
      text.number(self.to_change), text.number(self.unchanged),
      text.count(self.requests, "request", "requests"), text.number(self.reads)),
  }
  local function add(more)
    for _, line in ipairs(more) do lines[#lines + 1] = line end
  end
  local list = kinds(self)
  add(text.columns(gains_and_losses(self, list)))
  if #list > 1 then
    local rows = {}
    for n = 1, math.min(#list, SHOWN_KINDS) do
      rows[n] = { text.change(list[n]), text.people(list[n].people) }
    end
    lines[#lines + 1] = "Different changes:"
    add(text.columns(rows))
    lines[#lines + 1] = text.more(SHOWN_KINDS, #list)
  end
  local rows = {}
  for _, person in ipairs(self.people) do
    if #rows == SHOWN_CHANGES then break end
    if not person.change.nothing then
      rows[#rows + 1] = {
        ("%s %d"):format(self.word, person.line), text.change(person.change), text.who(person),
      }
    end
  end
  if #rows > 0 then
    lines[#lines + 1] = self.to_change > #rows and "First changes:" or "Changes:"
    add(text.columns(rows))
    lines[#lines + 1] = text.more(#rows, self.to_change)
  end
  return table.concat(lines, "\n")
end

return M
