-- SPDX-License-Identifier: MIT
--
-- A plan as its user holds it: counts, changes, a text that fits a screen, and apply. It is the
-- same whether it was just made or comes from a journal that somebody else made.

local apply = require "cipherscale.bulk.apply"
local csv = require "cipherscale.csv"
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
  .. "requests seconds to_change to_csv total unchanged unknown withheld", "book report")

--- A plan from what its journal, which is open, tells.
function M.new(case)
  local story, plan = case.story, { withheld = {}, unknown = {} }
  for _, name in ipairs { "total", "to_change", "unchanged", "requests", "reads", "seconds" } do
    plan[name] = story.planned[name]
  end
  plan.note, plan.journal, plan.header = story.header.note, case.path, story.header
  plan.case, plan.records = case, case.book:count()
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

-- Iterates over the people who would be changed.
local function to_change(plan)
  local book = plan.journal and assert(journal.read(plan.journal)) or plan.case.book
  local next_person = journal.people(book, plan.header)
  return function()
    for person in next_person do
      if not (person.change.nothing or person.withheld) then return person end
    end
    if plan.journal then book:close() end
    return nil
  end
end

--- Iterates over the changes: { user =, email =, line =, add = {…}, remove = {…}, before = {…} },
--- where `before` are those of the named things that the person holds directly.
function Plan:changes()
  local next_person = to_change(self)
  return function()
    local person = next_person()
    return person and text.row(person)
  end
end

--- Writes the changes to a CSV file: line, user, email, add, remove, before.
--- @return boolean|nil ok
--- @return string|nil problem
function Plan:to_csv(path)
  text.check_csv_path(path, self.journal)
  local next_row = self:changes()
  return csv.write(path, { "line", "user", "email", "add", "remove", "before" }, function()
    local row = next_row()
    return row and {
      row.line, row.user, row.email or "", table.concat(row.add, ", "),
      table.concat(row.remove, ", "), table.concat(row.before, ", "),
    }
  end)
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
--- @param limits? table the guards' options
function Plan:refusals(limits)
  local all = options.limits(self.header.limits)
  for name, value in pairs(limits or {}) do all[name] = value end
  return guards.ask("refuse", all, self.case.story.planned)
end

-- The different changes with the number of people, the most frequent first; and the first people.
local function summary(plan)
  local kinds, by_change, first = {}, {}, {}
  for person in to_change(plan) do
    local change = person.change
    local kind = by_change[change]
    if not kind then
      -- What is held beside it does not make it another change.
      local words = text.change(change)
      kind = by_change[words]
      if not kind then
        kind = { add = change.add, remove = change.remove, people = 0, text = words }
        kinds[#kinds + 1], by_change[words] = kind, kind
      end
      by_change[change] = kind
    end
    kind.people = kind.people + 1
    if #first < SHOWN_CHANGES then
      first[#first + 1] = {
        ("%s %d"):format(plan.header.word, person.line), kind.text, text.who(person),
      }
    end
  end
  table.sort(kinds, function(a, b)
    if a.people ~= b.people then return a.people > b.people end
    return a.text < b.text
  end)
  return kinds, first
end

-- A row for each thing that somebody gains or loses.
local function gains_and_losses(plan, kinds)
  local rows = {}
  for _, thing in ipairs(plan.header.things) do
    local words = {}
    for n, side in ipairs { "add", "remove" } do
      local people = 0
      for _, kind in ipairs(kinds) do
        for _, each in ipairs(kind[side]) do
          if each.id == thing.id then people = people + kind.people end
        end
      end
      local verb = n == 1 and "gain" or "lose"
      if people > 0 then words[#words + 1] = ("%s to %s it"):format(text.people(people), verb) end
    end
    if #words > 0 then rows[#rows + 1] = { text.clean(thing.label), table.concat(words, ", ") } end
  end
  return rows
end

-- The first of those who are left out, with their reasons.
local function left_out(lines, title, list, word)
  local rows = {}
  for n = 1, math.min(#list, SHOWN_WITHHELD) do
    rows[n] = {
      ("%s %d"):format(word, list[n].line), text.who(list[n]), text.clean(list[n].reason),
    }
  end
  text.list(lines, ("%s (%s):"):format(title, text.people(#list)), rows, #list)
end

function Plan:__tostring()
  local kinds, first = summary(self)
  local lines = {
    ("Plan: %s for %s"):format(self.header.asked, text.people(self.total)),
    ("  %s to change, %s unchanged; %s to send (%s to plan), about %s"):format(
      text.number(self.to_change), text.number(self.unchanged),
      text.count(self.requests, "request", "requests"), text.number(self.reads),
      text.duration(math.max(self.seconds, 0.01))),
  }
  local function say(words, outside) lines[#lines + 1] = words:format(text.clean(outside)) end
  if self.note then say("  note: %s", self.note) end
  for _, email in ipairs(self.case.story.planned.unprotected or {}) do
    say("  protect: nobody has the e-mail '%s'", email)
  end
  for _, sentence in ipairs(self:refusals()) do say("  will be REFUSED: %s", sentence) end
  for _, line in ipairs(text.columns(gains_and_losses(self, kinds))) do lines[#lines + 1] = line end
  left_out(lines, "Withheld", self.withheld, self.header.word)
  left_out(lines, "Unknown, skipped", self.unknown, self.header.word)
  if #kinds > 1 then
    local rows = {}
    for n = 1, math.min(#kinds, SHOWN_KINDS) do
      rows[n] = { kinds[n].text, text.people(kinds[n].people) }
    end
    text.list(lines, "Different changes:", rows, #kinds)
  end
  text.list(lines, self.to_change > #first and "First changes:" or "Changes:", first,
    self.to_change)
  return table.concat(lines, "\n")
end

return M
