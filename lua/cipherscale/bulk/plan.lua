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
Plan.__index = Plan
setmetatable(Plan, {
  __index = strict.index("field or method of a plan", "book journal note report"),
})

-- One person as plans and reports show it.
local function row_of(person)
  local change = person.change
  return {
    user = person.user, email = person.email, line = person.line,
    add = text.label_list(change.add), remove = text.label_list(change.remove),
    before = text.label_list(change.before), reason = person.withheld or person.unknown,
  }
end

--- A plan from what its journal tells.
--- @param verb table the row of the verb
--- @param story table see journal.story
--- @param book table the journal, when it is in memory
--- @param path string|nil where it is, otherwise
function M.new(client, verb, story, book, path)
  local planned = story.planned
  local plan = setmetatable({
    total = planned.total, to_change = planned.to_change, unchanged = planned.unchanged,
    requests = planned.requests, reads = planned.reads, seconds = planned.seconds,
    note = story.header.note, journal = path, withheld = {}, unknown = {},
    client = client, verb = verb, header = story.header, planned = planned,
    book = not path and book or nil,
  }, Plan)
  for person in journal.people(book, story.header) do
    local list = person.withheld and plan.withheld or person.unknown and plan.unknown
    if list then list[#list + 1] = row_of(person) end
  end
  return plan
end

--- The open journal, and what must be done with it afterwards.
function Plan:open_book()
  if self.book then return self.book, function() end end
  local book = assert(journal.read(self.journal))
  return book, function() book:close() end
end

-- Iterates over the people who would be changed.
local function to_change(plan)
  local book, close = plan:open_book()
  local next_person = journal.people(book, plan.header)
  return function()
    while true do
      local person = next_person()
      if not person then
        close()
        return nil
      end
      if not (person.change.nothing or person.withheld) then return person end
    end
  end
end

--- Iterates over the changes: { user =, email =, line =, add = {…}, remove = {…}, before = {…} },
--- where `before` are those of the named things that the person holds directly.
function Plan:changes()
  local next_person = to_change(self)
  return function()
    local person = next_person()
    return person and row_of(person)
  end
end

--- Writes the changes to a CSV file: line, user, email, add, remove, before.
--- @return boolean|nil ok
--- @return string|nil problem
function Plan:to_csv(path)
  local next_row = self:changes()
  return csv.write(path, { "line", "user", "email", "add", "remove", "before" }, function()
    local row = next_row()
    return row and {
      row.line, row.user, row.email or "", table.concat(row.add, ", "), table.concat(row.remove,
        ", "),
      table.concat(row.before, ", "),
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
  return guards.refusals(all, self.planned)
end

-- The different changes with the number of people, the most frequent first; and the first people.
local function summary(plan)
  local kinds, by_change, first = {}, {}, {}
  for person in to_change(plan) do
    local kind = by_change[person.change]
    if not kind then
      kind = { add = person.change.add, remove = person.change.remove, people = 0 }
      kind.text = text.change(kind)
      -- What is held beside it does not make it another change.
      local same = by_change[kind.text]
      if same then kind = same else kinds[#kinds + 1], by_change[kind.text] = kind, kind end
      by_change[person.change] = kind
    end
    kind.people = kind.people + 1
    if #first < SHOWN_CHANGES then
      first[#first + 1] = {
        ("%s %d"):format(plan.header.word, person.line), kind.text,
        text.who(person),
      }
    end
  end
  table.sort(kinds, function(a, b)
    if a.people ~= b.people then return a.people > b.people end
    return a.text < b.text
  end)
  return kinds, first
end

local function gains_and_losses(plan, kinds)
  local gain, lose = {}, {}
  for _, kind in ipairs(kinds) do
    for _, thing in ipairs(kind.add) do gain[thing.id] = (gain[thing.id] or 0) + kind.people end
    for _, thing in ipairs(kind.remove) do lose[thing.id] = (lose[thing.id] or 0) + kind.people end
  end
  local rows = {}
  for _, thing in ipairs(plan.header.things) do
    local gained, lost = gain[thing.id], lose[thing.id]
    local words = {}
    if gained then words[1] = text.people(gained) .. " to gain it" end
    if lost then words[#words + 1] = text.people(lost) .. " to lose it" end
    if #words > 0 then
      rows[#rows + 1] = { text.clean(thing.label), table.concat(words, ", ") }
    end
  end
  return rows
end

-- Lines about those who are left out: reasons with their numbers, then the first of them.
local function left_out(add, title, list, word)
  if #list == 0 then return end
  add { ("%s (%s):"):format(title, text.people(#list)) }
  local rows = {}
  for n = 1, math.min(#list, SHOWN_WITHHELD) do
    rows[n] = {
      ("%s %d"):format(word, list[n].line), text.who(list[n]), text.clean(list[n].reason),
    }
  end
  add(text.columns(rows))
  add { text.more(SHOWN_WITHHELD, #list) }
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
  local function add(more)
    for _, line in ipairs(more) do lines[#lines + 1] = line end
  end
  if self.note then lines[#lines + 1] = "  note: " .. text.clean(self.note) end
  for _, email in ipairs(self.planned.unprotected or {}) do
    lines[#lines + 1] = ("  protect: nobody has the e-mail '%s'"):format(text.clean(email))
  end
  for _, sentence in ipairs(self:refusals()) do
    lines[#lines + 1] = "  will be REFUSED: " .. text.clean(sentence)
  end
  add(text.columns(gains_and_losses(self, kinds)))
  left_out(add, "Withheld", self.withheld, self.header.word)
  left_out(add, "Unknown, skipped", self.unknown, self.header.word)
  if #kinds > 1 then
    local rows = {}
    for n = 1, math.min(#kinds, SHOWN_KINDS) do
      rows[n] = { kinds[n].text, text.people(kinds[n].people) }
    end
    lines[#lines + 1] = "Different changes:"
    add(text.columns(rows))
    lines[#lines + 1] = text.more(SHOWN_KINDS, #kinds)
  end
  if #first > 0 then
    lines[#lines + 1] = self.to_change > #first and "First changes:" or "Changes:"
    add(text.columns(first))
    lines[#lines + 1] = text.more(#first, self.to_change)
  end
  return table.concat(lines, "\n")
end

return M
