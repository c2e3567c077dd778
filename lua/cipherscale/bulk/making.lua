-- SPDX-License-Identifier: MIT
--
-- How a plan is made: entries are read, names found among the things and the people of the tenant,
-- what each holds is read as cheaply as can be, the difference goes into the journal, person by
-- person in the order of the entries. Nothing is changed in the tenant. Of each person only a few
-- bytes are kept meanwhile.

local admins_of = require "cipherscale.bulk.admins"
local core = require "cipherscale.core"
local guards = require "cipherscale.bulk.guards"
local journal = require "cipherscale.bulk.journal"
local nearest = require "cipherscale.bulk.nearest"
local options = require "cipherscale.bulk.options"
local people = require "cipherscale.bulk.people"
local search = require "cipherscale.bulk.search"
local spool = require "cipherscale.bulk.spool"
local text = require "cipherscale.bulk.text"
local things = require "cipherscale.bulk.things"

local M = {}

-- How many problems the text of an error shows, and how many unknown e-mails get candidates: each
-- is compared with everybody.
local SHOWN_PROBLEMS, WITH_CANDIDATES = 20, 10
local NO_CHANGE = '"before":[],"add":[],"remove":[]'

local Making = {}
Making.__index = Making

function Making:problem(line, name, candidates, message, ...)
  self.problems[#self.problems + 1] = {
    line = line, name = name, candidates = candidates,
    message = (line and ("%s %d: "):format(self.word, line) or "") .. message:format(...),
  }
end

local function unresolved(problems)
  table.sort(problems, function(a, b)
    if a.line ~= b.line then return (a.line or 0) < (b.line or 0) end
    return a.message < b.message
  end)
  local lines, heading = {}, text.count(#problems, "entry is", "entries are") .. " not understood"
  local rows = {}
  for n = 1, math.min(#problems, SHOWN_PROBLEMS) do rows[n] = { text.clean(problems[n].message) } end
  text.list(lines, heading, rows, #problems)
  return core.error {
    kind = "unresolved", message = table.concat(lines, "\n"), unresolved = problems,
  }
end

-- ---- The entries ----

function Making:resolve_job()
  local verb, job = self.verb, self.job
  local function problem(message, name, candidates)
    self:problem(nil, name, candidates, "%s", message)
  end
  self.sides = {}
  for _, side in ipairs(verb.sides) do self.sides[side] = true end
  self.ask = verb.fixed and self.catalogue:fixed(verb.fixed)
    or self.catalogue:ask(job, verb.sides, problem)
  -- A job that is not understood is no reason to complain of each entry.
  if #self.problems > 0 then self.nothing_is_fine = true end
end

local function asks_nothing(ask)
  return not ask.set and #ask.add + #ask.remove + #ask.replace == 0
end

-- The ask of one entry: its own wishes, else the job's.
function Making:ask_of(entry)
  if not entry.wishes then return self.ask end
  return self.catalogue:ask(entry.wishes, self.verb.sides, function(message, name, candidates)
    self:problem(entry.line, name, candidates, "%s", message)
  end)
end

function Making:take_entry(entry)
  if entry.problem then return self:problem(entry.line, nil, nil, "%s", entry.problem) end
  local known = #self.problems
  local ask = self:ask_of(entry)
  local name = entry.id or entry.email
  if #self.problems == known and asks_nothing(ask) and not self.nothing_is_fine then
    return self:problem(entry.line, name, nil, "nothing is asked for: %s expected",
      table.concat(self.verb.sides, ", "))
  end
  local number, new = self.search:name(entry.id, entry.email)
  local asked = self.asks[number] or self.ask
  if not new and asked ~= ask then
    self:problem(entry.line, name, nil, "asks for something else than an earlier entry for '%s'",
      name)
  end
  if new and ask ~= self.ask then self.asks[number] = ask end
  local cells = ""
  if entry.cells then
    local list = {}
    for n, cell in ipairs(entry.cells) do list[n] = core.quote(cell, true) end
    cells = table.concat(list, ",")
  end
  self.entries:add(("%d\t%d\t%s\t%s\t%s"):format(entry.line, new and number or -number,
    entry.id and "I" or "E", core.quote(name), cells))
end

function Making:read_entries()
  self.entries = spool.new(self.on_disk)
  local problem = people.column_problem(self.columns)
  if problem then self:problem(1, nil, nil, "%s", problem) end
  while true do
    local entry = self.next_entry()
    if not entry then return end
    self:take_entry(entry)
  end
end

-- An entry as it comes back from the spool, put together with what the pages told.
local function parse(making, line)
  local place, number, kind, name, cells =
    line:match("^(%d+)\t(%-?%d+)\t(.)\t([^\t]*)\t(.*)$")
  number = tonumber(number)
  local found, again = making.search, number < 0
  number = math.abs(number)
  local first = found:first_of(number, kind == "I")
  local person = {
    number = first, line = tonumber(place), again = again or first ~= number,
    name = core.decode(name), ask = making.asks[number] or making.ask,
    cells = cells ~= "" and { json = "[" .. cells .. "]" } or nil,
    holding = found.holdings[first],
  }
  person.id = found.ids[first]
  person.email = found.emails[first]
  if kind == "I" then person.id = person.name else person.email = person.email or person.name end
  return person
end

-- ---- Who they are and what they hold ----

-- People who hold the same share one table.
function Making:holding_of(held)
  local before, marks = self.catalogue:in_order(held), {}
  for n, thing in ipairs(before) do marks[n] = thing.id end
  local key = table.concat(marks, "\0")
  local holding = self.holdings[key]
  if not holding then
    holding = { before = before, changes = {} }
    self.holdings[key] = holding
  end
  return holding
end

local function change_of(holding, ask)
  local change = holding.changes[ask]
  if not change then
    local add, remove = things.difference(holding.before, ask)
    change = {
      add = add, remove = remove, before = holding.before, nothing = #add + #remove == 0,
      text = ('"before":%s,"add":%s,"remove":%s'):format(
        journal.ids(holding.before), journal.ids(add), journal.ids(remove)),
    }
    holding.changes[ask] = change
  end
  return change
end

-- Why a person cannot be found; nil where one can.
function Making:why_unknown(person)
  local several = self.search.several[person.number]
  if several then
    return ("several users have the e-mail '%s'; say which by id: %s")
      :format(person.name, table.concat(several, ", ")), several
  end
  if person.id then return nil end
  self.compared = self.compared + 1
  local close = self.compared <= WITH_CANDIDATES
    and nearest.find(person.name, self.search.known_emails) or {}
  return ("no user has the e-mail '%s'%s"):format(person.name, nearest.hint(close)), close
end

-- Finds out what a person holds. Runs as a task.
function Making:look(person)
  if self.failure or person.again then return person end
  person.unknown, person.candidates = self:why_unknown(person)
  -- A plan that will not be made needs no more than to know who else is missing.
  local enough = person.holding or self.doomed and self.search.ids[person.number]
  if person.unknown or enough then return person end
  self.reads = self.reads + 1
  local held, err = self.verb.read(self.client, person.id, self.concerned, self.witnesses)
  if held then
    person.holding = self:holding_of(held)
    -- The page showed something, and none of it is direct: so the two are told apart.
    if self.search.mixed[person.number] and next(held) == nil then self.proven = true end
  elseif err.status == 404 then
    person.unknown = ("no user has the id '%s'%s"):format(person.id,
      person.id:find("@", 1, true) and "; an e-mail goes into `email`" or "")
  else
    self.failure = self.failure or err
  end
  return person
end

-- ---- Administrators ----

-- Who administrates the tenant, where the job could change that: ids as keys.
function Making:read_admins()
  local takes = self.verb.takes_admin
  if not takes or not takes({ remove = self.catalogue:removable() }, guards.is_admin) then
    return true
  end
  local admins, count, reads = admins_of(self.client)
  if not admins then return nil, count end
  self.reads, self.admins = self.reads + reads, admins
  self.facts.admins, self.facts.admins_lost, self.facts.admins_left = count, 0, count
  return true
end

-- Those who become administrators do not count: each of these changes can fail.
function Making:count_admin(person, change)
  if self.admins[person.id] and self.verb.takes_admin(change, guards.is_admin) then
    local facts = self.facts
    facts.admins_lost, facts.admins_left = facts.admins_lost + 1, facts.admins_left - 1
  end
end

function Making:read_holders()
  for _, thing in ipairs(self.catalogue.things) do
    local lost = self.lost[thing.id]
    if lost and self.verb.holders and not self.facts.undo then
      local holders, reads = self.verb.holders(self.client, thing)
      self.reads = self.reads + (holders and reads or 1)
      self.facts.losses[#self.facts.losses + 1] = {
        label = thing.label, lost = lost, holders = holders or 0,
        unknown = not holders and tostring(reads) or nil,
      }
    end
  end
end

-- ---- Records ----

function Making:append(...)
  local ok, err = self.book:append(...)
  if not ok then error(err, 0) end
end

function Making:record_header()
  local concerned, list = self.catalogue:in_order(self.concerned), {}
  for n, thing in ipairs(concerned) do
    list[n] = "{" .. journal.fields {
      "id", thing.id, "name", thing.name, "type", thing.type, "label", thing.label,
      "gives", thing.gives and journal.strings(thing.gives), n = 10,
    } .. "}"
  end
  local columns
  if self.columns then
    columns = {}
    for n, name in ipairs(self.columns) do columns[n] = core.quote(name, true) end
  end
  local limits = options.limits(self.job)
  limits.protect = self.protected
  self:append(journal.fields {
    "kind", "header", "format", journal.FORMAT, "version", core.version, "verb", self.verb.name,
    "at", os.time(), "base_url", self.client.base_url, "asked", self:asked_text(),
    "by", os.getenv("USER") or os.getenv("LOGNAME"), "note", self.job.note,
    "undo_of", self.job.undo_of, "word", self.word,
    "direct_roles", self.job.direct_roles,
    "things", list, "columns", columns, "limits", journal.object(limits), n = 30,
  })
end

-- "+ AUDITOR - SUPPORT", as plans and reports show the job.
function Making:asked_text()
  if self.verb.fixed then return self.verb.name end
  local only = self.ask
  for _, ask in pairs(self.asks) do
    if ask ~= only and not (only == self.ask and asks_nothing(only)) then
      return "each entry's own change"
    end
    only = ask
  end
  -- An undo may find nothing to take back, and an iterator nobody.
  return asks_nothing(only) and "nothing" or text.change(only)
end

function Making:record_unknown(person)
  if self.job.on_unknown ~= "skip" then
    self:problem(person.line, person.name, person.candidates, "%s", person.unknown)
    self.doomed = true
    return
  end
  self.unknown = self.unknown + 1
  self:append('"kind":"plan",' .. journal.fields {
    "person", person.number, "line", person.line, "user", person.id, "email", person.email,
    "unknown", person.unknown, "cells", person.cells, n = 12,
  } .. "," .. NO_CHANGE)
end

function Making:record(person)
  if person.unknown and not person.again then return self:record_unknown(person) end
  if self.failure then return end
  if person.again and person.ask ~= (self.asks[person.number] or self.ask) then
    self:problem(person.line, person.name, nil,
      "asks for something else than an earlier entry for the same person")
    self.doomed = true
  end
  if self.doomed then return end
  if person.again then
    self:append('"kind":"plan",' .. journal.fields {
      "person", person.number, "line", person.line, "user", person.id, "email", person.email,
      "again", true, "cells", person.cells, n = 12,
    } .. "," .. NO_CHANGE)
    return
  end
  local change = change_of(person.holding, person.ask)
  person.is_owner = self.verb.fixed and self.admins and self.admins[person.id] == "OWNER"
  local withheld = not change.nothing
    and guards.ask("withhold", self.job, person, change, self.is_protected) or nil
  self.total = self.total + 1
  if withheld then
    self.withheld = self.withheld + 1
  elseif not change.nothing then
    self.to_change = self.to_change + 1
    self.requests = self.requests + (self.verb.requests and self.verb.requests(change) or 1)
    if self.admins then self:count_admin(person, change) end
    for _, thing in ipairs(change.remove) do
      self.lost[thing.id] = (self.lost[thing.id] or 0) + 1
    end
  end
  self:append('"kind":"plan",' .. journal.fields {
    "person", person.number, "line", person.line, "user", person.id, "email", person.email,
    "withheld", withheld, "cells", person.cells, n = 12,
  } .. "," .. change.text)
end

-- `seconds_each` is what a request takes, the others that are under way with it counted in.
function Making:record_planned(seconds_each)
  local facts, losses = self.facts, {}
  for n, loss in ipairs(facts.losses) do losses[n] = journal.object(loss).json end
  local total = self.total + self.unknown
  local pace = core.pace(self.client)
  local canary = self.to_change > 0 and not self.verb.once and (self.verb.effective and 3 or 1) or 0
  self:append(journal.fields {
    "kind", "planned", "total", total, "to_change", self.to_change,
    "unchanged", self.total - self.to_change - self.withheld,
    "requests", self.requests + canary, "reads", self.reads,
    "seconds", math.max((self.requests + canary) * seconds_each,
      pace and self.requests / pace or 0), "at", self.at,
    "admins", facts.admins, "admins_lost", facts.admins_lost, "admins_left", facts.admins_left,
    "undo", facts.undo, "losses", losses,
    "unprotected", journal.strings(self.search:unprotected()), n = 28,
  })
end

-- ---- The whole ----

function Making:prove()
  if self.proven or not self.verb.prove or self.job.direct_roles == "assume" then return true end
  local reads, err = self.verb.prove(self.client, self.witnesses)
  self.reads = self.reads + (reads or 0)
  return reads, err
end

function Making:run(tasks)
  local verb, client, begun = self.verb, self.client, core.now()
  local known, err = verb.list(client)
  if not known then return nil, err end
  local seconds_each = (core.now() - begun) / tasks.scheduler.limit
  self.reads = 1
  self.catalogue = things.catalogue(verb.noun, known)
  self:resolve_job()
  -- Who holds what is kept by what all asks concern, so the entries come first.
  self.search = search.new {
    client = client, tasks = tasks, verb = verb,
    holding_of = function(held) return self:holding_of(held) end,
  }
  if self.job.begin then self.job.begin(tasks) end
  self:read_entries()
  if self.job.failure then return nil, self.job.failure end
  self.is_protected, self.protected =
    self.search:protection { client.protect, self.job.protect or {} }
  self.concerned = self.catalogue:concerned()
  self.search.concerned = self.concerned
  local ok
  ok, err = self.search:run()
  if not ok then return nil, err end
  self.reads = self.reads + self.search.reads
  self.doomed = #self.problems > 0 or self.job.on_unknown ~= "skip"
    and (self.search.missing_emails > 0 or next(self.search.several) ~= nil)
  if not self.doomed then
    ok, err = self:read_admins()
    if not ok then return nil, err end
    self:record_header()
  end
  local next_line = self.entries:drain()
  local function next_person()
    local line = next_line()
    return line and parse(self, line)
  end
  for _, person in tasks:map(next_person, function(person) return self:look(person) end) do
    self:record(person)
  end
  if self.failure then return nil, self.failure end
  if self.doomed or #self.problems > 0 then return nil, unresolved(self.problems) end
  ok, err = self:prove()
  if not ok then return nil, err end
  self:read_holders()
  self:record_planned(seconds_each)
  return self.book:sync()
end

--- Makes a plan in a new journal, or in memory.
--- @param job table checked options; of an undo also undo_of (a path), begin (is called with the
---   tasks before the first entry is taken) and failure (why the entries ended too soon)
--- @return table|nil book the journal, still open
--- @return table|nil err kind `unresolved` lists everything that is not known in `err.unresolved`
function M.make(client, verb, job)
  local path = job.journal and journal.path(job.journal)
  local book, err = journal.create(path)
  if not book then return nil, err end
  local sides = {}
  for _, side in ipairs(verb.sides) do sides[side] = true end
  local next_entry, word, columns = people.each(job.users, sides, options.side_problem)
  local making = setmetatable({
    client = client, verb = verb, job = job, book = book, at = os.time(),
    next_entry = next_entry, word = word, columns = columns, on_disk = path ~= nil,
    nothing_is_fine = job.undo_of ~= nil,
    asks = {}, holdings = {}, problems = {}, lost = {}, compared = 0,
    facts = { losses = {}, total = 0, undo = job.undo_of and true or nil },
    witnesses = {},
    total = 0, to_change = 0, requests = 0, reads = 0, withheld = 0, unknown = 0,
  }, Making)
  local ok, made, problem = pcall(client.run, client, function(tasks) return making:run(tasks) end)
  if making.entries then making.entries:close() end
  if making.search then making.search.keys:clear() end
  if ok and made then return book, path end
  book:close()
  if path then os.remove(path) end
  if ok then return nil, problem end
  if type(made) == "table" and made.kind == "journal" then return nil, made end
  error(made, 0)
end

return M
