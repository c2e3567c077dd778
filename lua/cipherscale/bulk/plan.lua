-- SPDX-License-Identifier: MIT
--
-- A plan as its user holds it: counts, changes, a text that fits a screen, and apply. It is the
-- same whether it was just made or comes from a journal that somebody else made.

local apply = require "cipherscale.bulk.apply"
local guards = require "cipherscale.bulk.guards"
local journal = require "cipherscale.bulk.journal"
local options = require "cipherscale.bulk.options"
local strict = require "cipherscale.strict"
local text = require "cipherscale.bulk.text"

local M = {}

-- What fits a screen.
local SHOWN_KINDS, SHOWN_CHANGES, SHOWN_WITHHELD = 8, 10, 5

local Plan = { __name = "cipherscale.plan" }
strict.class(Plan, "field or method of a plan", "apply changes journal note reads refusals "
  .. "report requests seconds to_change to_csv total unchanged unknown withheld")

--- A plan from what its journal, which is open, tells.
function M.new(case)
  local story, plan = case.story, { withheld = {}, unknown = {} }
  for _, name in ipairs { "total", "to_change", "unchanged", "requests", "reads", "seconds" } do
    plan[name] = story.planned[name]
  end
  plan.note, plan.journal, plan.header = story.header.note, case.path, story.header
  plan.case = case
  local pace = guards.pace(case.client)
  if plan.to_change > 0 and os.time() - story.planned.at >= apply.RECHECK then
    plan.requests = plan.requests + plan.to_change -- everybody is read again
    plan.seconds = plan.seconds * plan.requests / story.planned.requests
  end
  plan.seconds = math.max(plan.seconds, pace and plan.requests / pace or 0)
  if plan.total > plan.to_change + plan.unchanged then
    for person in journal.people(case.book, story.header) do
      local list = person.withheld and plan.withheld or person.unknown and plan.unknown
      if list then
        list[#list + 1] = text.row(person)
        list[#list].reason = person.withheld or person.unknown
      end
    end
  end
  return setmetatable(plan, Plan)
end

-- Iterates over the people who would be changed, or what `row_of` makes of them.
local function to_change(plan, row_of)
  local path = plan.journal
  local book = path and assert(journal.read(path)) or plan.case.book
  return journal.people(book, plan.header, function(person)
    return journal.to_change(person) and (row_of and row_of(person) or person)
  end, path)
end

--- Iterates over the changes: { user =, email =, line =, add = {…}, remove = {…}, before = {…} },
--- where `before` are those of the named things that the person holds directly.
function Plan:changes() return to_change(self, text.row) end

--- Writes the changes to a CSV file: line, user, email, add, remove, before.
--- @return boolean|nil ok
--- @return string|nil problem
function Plan:to_csv(path)
  return text.to_csv(path, self:changes(),
    { "line", "user", "email", "add", "remove", "before" })
end

--- Sends the changes.
--- @param given? table see options.lua: on_progress, on_result, should_stop, limits of guards …
--- @return table|nil report
--- @return table|nil err only when nothing was sent
function Plan:apply(given)
  local problem = given ~= nil and options.problem(given, options.apply)
  if problem then error("plan.apply: " .. problem, 2) end
  local report, err = apply.plan(self, given or {})
  if report then return report end
  err.operation = err.operation or "plan.apply"
  return nil, err
end

--- Why the plan may not be applied, as sentences.
function Plan:refusals()
  return guards.ask("refuse", self.header.limits, self.case.story.planned)
end

-- The different changes with the number of people, the most frequent first; how many gain and lose
-- each thing; and the first people.
local function summary(plan)
  local kinds, by_words, touched, first = {}, {}, { add = {}, remove = {} }, {}
  for person in to_change(plan) do
    local change = person.change
    -- Many people share a change; and what is held beside it does not make it another one.
    change.words = change.words or text.change(change)
    local kind = by_words[change.words]
    if not kind then
      kind = { words = change.words, people = 0 }
      kinds[#kinds + 1], by_words[change.words] = kind, kind
    end
    kind.people = kind.people + 1
    for side, people in pairs(touched) do
      for _, thing in ipairs(change[side]) do people[thing.id] = (people[thing.id] or 0) + 1 end
    end
    if #first < SHOWN_CHANGES then first[#first + 1] = person end
  end
  table.sort(kinds, function(a, b)
    if a.people ~= b.people then return a.people > b.people end
    return a.words < b.words
  end)
  return kinds, touched, first
end

function Plan:__tostring()
  local kinds, touched, first = summary(self)
  local lines = {
    ("Plan: %s for %s"):format(self.header.asked, text.people(self.total)),
    ("  %s to change, %s unchanged; %s to send (%s to plan), about %s"):format(
      text.number(self.to_change), text.number(self.unchanged),
      text.count(self.requests, "request", "requests"), text.number(self.reads),
      text.duration(math.max(self.seconds, 0.01))),
  }
  local function say(words, outside) lines[#lines + 1] = words:format(text.clean(outside)) end
  local function left_out(heading, list)
    text.list(lines, heading:format(text.people(#list)), list, SHOWN_WITHHELD, function(person)
      return { text.place(self, person), text.who(person), text.clean(person.reason) }
    end)
  end
  if self.note then say("  note: %s", self.note) end
  if self.report or self.case.story.opened then say("  %s", "APPLIED already: see its report") end
  for _, email in ipairs(self.case.story.planned.unprotected or {}) do
    say("  protect: nobody has the e-mail '%s'", email)
  end
  for _, sentence in ipairs(self:refusals()) do say("  will be REFUSED: %s", sentence) end
  local changes = {}
  for _, thing in ipairs(self.header.things) do
    for _, side in ipairs { "add", "remove" } do
      local people = touched[side][thing.id]
      if people then
        changes[#changes + 1] = { text.clean(thing.label), ("%s to %s it"):format(
          text.people(people), side == "add" and "gain" or "lose") }
      end
    end
  end
  text.list(lines, nil, changes, #changes)
  left_out("Withheld (%s):", self.withheld)
  left_out("Unknown, skipped (%s):", self.unknown)
  text.list(lines, "Different changes:", #kinds > 1 and kinds or {}, SHOWN_KINDS, function(kind)
    return { kind.words, text.people(kind.people) }
  end)
  text.list(lines, self.to_change > #first and "First changes:" or "Changes:", first, SHOWN_CHANGES,
    function(person)
      return { text.place(self, person), person.change.words, text.who(person) }
    end, self.to_change)
  return table.concat(lines, "\n")
end

strict.methods(Plan, "plan")

return M
