-- SPDX-License-Identifier: MIT
--
-- How a plan is made: entries are read, names found among the things and the people of the tenant,
-- what each holds is read as cheaply as can be, the difference goes into the journal, person by
-- person in the order of the entries. Nothing is changed in the tenant. Of each person only a few
-- bytes are kept meanwhile.

local core = require "cipherscale.core"
local guards = require "cipherscale.bulk.guards"
local journal = require "cipherscale.bulk.journal"
local nearest = require "cipherscale.nearest"
local options = require "cipherscale.bulk.options"
local people = require "cipherscale.bulk.people"
local search = require "cipherscale.bulk.search"
local text = require "cipherscale.bulk.text"
local things = require "cipherscale.bulk.things"

local M = {}

-- How many problems the text of an error shows, and how many unknown e-mails get candidates: each
-- is compared with everybody.
local SHOWN_PROBLEMS, WITH_CANDIDATES = 20, 10
local NO_CHANGE = '"before":[],"add":[],"remove":[]'

local Making = {}
Making.__index = Making

function Making:problem(line, message, name, candidates)
  self.problems[#self.problems + 1] = {
    line = line, name = name, candidates = candidates,
    message = (line and ("%s %d: "):format(self.word, line) or "") .. message,
  }
end

local function unresolved(problems)
  table.sort(problems, function(a, b)
    if a.line ~= b.line then return (a.line or 0) < (b.line or 0) end
    return a.message < b.message
  end)
  local lines = {}
  text.list(lines, text.count(#problems, "entry is", "entries are") .. " not understood", problems,
    SHOWN_PROBLEMS, function(problem) return { text.clean(problem.message) } end)
  return core.error {
    kind = "unresolved", message = table.concat(lines, "\n"), unresolved = problems,
  }
end

-- Notes a person in a journal: of the entries, or of the plan.
local function append(book, person, change)
  local ok, err = book:append(journal.person(person, change))
  if not ok then error(err, 0) end
end

-- ---- The entries ----

-- What some wishes ask for; what is wrong with them is a problem of the line, if there is one.
function Making:understand(wishes, line)
  return self.catalogue:ask(wishes, function(...) self:problem(line, ...) end)
end

local function asks_nothing(ask)
  return #ask == 0 and not ask.exactly
end

local function asks_otherwise(name)
  return "asks for something else than an earlier entry for " .. name
end

function Making:take_entry(entry)
  if entry.problem then return self:problem(entry.line, entry.problem) end
  local known, name = #self.problems, entry.id or entry.email
  local ask = entry.wishes and self:understand(entry.wishes, entry.line) or self.ask
  if #self.problems == known and asks_nothing(ask) and not self.nothing_is_fine then
    return self:problem(entry.line, ("nothing is asked for: %s expected"):format(
      table.concat(self.verb.sides, ", ")), name)
  end
  local number, new = self.search:name(entry.id, not entry.id and entry.email or nil)
  if not new and (self.asks[number] or self.ask) ~= ask then
    self:problem(entry.line, asks_otherwise(("'%s'"):format(name)), name)
  end
  if new and ask ~= self.ask then self.asks[number] = ask end
  entry.number, entry.again = number, not new or nil
  append(self.entries, entry, NO_CHANGE)
end

function Making:read_entries()
  local err
  self.entries, err = (self.path and core.journal.temporary or core.journal.memory)()
  if not self.entries then error(err, 0) end
  for entry in self.next_entry do self:take_entry(entry) end
end

-- Iterates over the entries, put together with what the pages told.
function Making:people()
  local next_entry, found = self.entries:people(), self.search
  return function()
    local number, line, id, email, _, other = next_entry()
    if not number then return nil end
    local fields = other and core.decode("{" .. other .. "}") or { user = id, email = email }
    local first = found:first_of(number, fields.user ~= nil)
    local known = found.emails[first]
    return {
      number = first, line = line, again = fields.again or first ~= number or nil,
      name = fields.user or fields.email, ask = self.asks[number] or self.ask,
      id = fields.user or found.ids[first],
      -- Beside an id, an e-mail is shown only as the tenant has it.
      email = known or (not fields.user or self.job.compares) and fields.email or nil,
      other_email = fields.user and fields.email and known
        and known:lower() ~= fields.email:lower() and fields.email or nil,
      cells = fields.cells, holding = found.holdings[first],
    }
  end
end

-- ---- Who they are and what they hold ----

-- People who hold the same share one table.
function Making:holding_of(held)
  local before, marks = self.catalogue:in_order(held), {}
  for n, thing in ipairs(before) do marks[n] = thing.id end
  local key = table.concat(marks, "\0")
  self.holdings[key] = self.holdings[key] or { before = before, changes = {} }
  return self.holdings[key]
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

-- ---- What the guards must know ----

-- Who administrates the tenant, where the job could change that: ids as keys.
function Making:read_admins()
  local takes = not self.job.compares and self.verb.takes_admin
  if not takes or not takes({ remove = self.removable }, guards.is_admin) then
    return true
  end
  local admins, count, reads = guards.admins(self.client)
  if not admins then return nil, count end
  self.reads, self.admins = self.reads + reads, admins
  self.facts.admins, self.facts.admins_lost, self.facts.admins_left = count, 0, count
  return true
end

function Making:read_holders()
  if self.job.undo_of or self.job.compares then return end
  for _, thing in ipairs(self.catalogue.things) do
    local lost = self.lost[thing.id]
    if lost and self.verb.holders then
      local holders, reads = self.verb.holders(self.client, thing)
      self.reads = self.reads + (holders and reads or 1)
      table.insert(self.facts.losses, {
        label = thing.label, lost = lost, holders = holders or 0,
        unknown = not holders and tostring(reads) or nil,
      })
    end
  end
end

-- A change that the plan will make.
function Making:count_change(person, change)
  local facts = self.facts
  self.to_change = self.to_change + 1
  self.requests = self.requests + (self.verb.requests and self.verb.requests(change) or 1)
  -- Those who become administrators do not count: each of these changes can fail.
  local admins = self.admins
  if admins and admins[person.id] and self.verb.takes_admin(change, guards.is_admin) then
    facts.admins_lost, facts.admins_left = facts.admins_lost + 1, facts.admins_left - 1
  end
  for _, thing in ipairs(change.remove) do
    self.lost[thing.id] = (self.lost[thing.id] or 0) + 1
  end
end

function Making:prove()
  local assumed = self.job.direct_roles == "assume" or self.job.compares
  if self.proven or assumed or not self.verb.prove then return true end
  local reads, err = self.verb.prove(self.client, self.witnesses)
  self.reads = self.reads + (reads or 0)
  return reads, err
end

-- ---- Records ----

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
  return asks_nothing(only) and "nothing" or only.words
end

local function roles_in(list)
  local ids = {}
  for _, thing in ipairs(list) do ids[#ids + 1] = thing.type and thing.id end
  return ids
end

function Making:record_header()
  local list = self.catalogue:in_order(self.concerned)
  for n, thing in ipairs(list) do
    list[n] = {
      id = thing.id, name = thing.name, type = thing.type, label = thing.label, gives = thing.gives,
    }
  end
  local job, limits = self.job, options.limits(self.job)
  limits.protect = self.protected
  return self.book:append(journal.record("header", {
    format = journal.FORMAT, version = core.version, at = os.time(), verb = self.verb.name,
    base_url = self.client.base_url, by = os.getenv("USER") or os.getenv("LOGNAME"),
    asked = self:asked_text(), note = job.note, undo_of = job.undo_of,
    direct_roles = job.direct_roles, word = self.word, columns = self.columns,
    tenant = self.verb.fixed and roles_in(self.catalogue.things) or nil,
    things = list, limits = limits,
  }))
end

function Making:record(person)
  if self.failure then return end
  if person.unknown and self.job.on_unknown ~= "skip" then
    self:problem(person.line, person.unknown, person.name, person.candidates)
    self.doomed = true
  elseif person.again and person.ask ~= (self.asks[person.number] or self.ask) then
    self:problem(person.line, asks_otherwise "the same person", person.name)
    self.doomed = true
  elseif person.other_email and not (self.job.undo_of or self.job.compares) then
    self:problem(person.line, ("the user '%s' has the e-mail '%s', not '%s'"):format(
      person.id, person.email, person.other_email), person.name)
    self.doomed = true
  end
  if self.doomed then return end
  if person.unknown or person.again then
    if person.unknown then self.unknown = self.unknown + 1 end
    return append(self.book, person, NO_CHANGE)
  end
  local change = change_of(person.holding, person.ask)
  person.is_owner = self.verb.fixed and self.admins and self.admins[person.id] == "OWNER"
  person.withheld = not change.nothing and not self.job.compares
    and guards.ask("withhold", self.job, person, change, self.is_protected) or nil
  if change.nothing then
    self.unchanged = self.unchanged + 1
  elseif person.withheld then
    self.withheld = self.withheld + 1
  else
    self:count_change(person, change)
  end
  append(self.book, person, change.text)
end

-- `seconds_each` is what a request takes, the others that are under way with it counted in.
function Making:record_planned(seconds_each)
  local planned, pace = self.facts, guards.pace(self.client)
  local canary = self.to_change > 0 and not self.verb.once and (self.verb.effective and 3 or 1) or 0
  planned.at, planned.reads, planned.requests = self.at, self.reads, self.requests + canary
  planned.seconds = math.max(planned.requests * seconds_each, pace and self.requests / pace or 0)
  planned.to_change, planned.unchanged = self.to_change, self.unchanged
  planned.total = self.to_change + self.unchanged + self.withheld + self.unknown
  planned.unprotected = self.search:unprotected()
  return self.book:append(journal.record("planned", planned))
end

-- ---- The whole ----

-- The ask of the job, and then of the entries: who holds what is kept by what all asks concern.
function Making:read_wishes(tasks)
  local verb, job = self.verb, self.job
  self.ask = self:understand(verb.fixed or job)
  -- A job that is not understood is no reason to complain of each entry.
  self.nothing_is_fine = job.undo_of or job.compares or #self.problems > 0
  self.search = search.new {
    client = self.client, tasks = tasks, verb = verb,
    holding_of = function(held) return self:holding_of(held) end,
  }
  if job.begin then job.begin(tasks) end
  self:read_entries()
  self.is_protected, self.protected = self.search:protection { self.client.protect, job.protect }
  self.concerned, self.removable = self.catalogue:concerned()
  self.search.concerned = self.concerned
  return not job.failure, job.failure
end

function Making:run(tasks)
  local verb, client, begun = self.verb, self.client, core.now()
  local known, ok, err
  known, err = self.job.things, nil
  if not known then known, err = verb.list(client) end
  if not known then return nil, err end
  local seconds_each = (core.now() - begun) / tasks.scheduler.limit
  self.catalogue = things.catalogue(verb.noun, known)
  ok, err = self:read_wishes(tasks)
  if ok then ok, err = self.search:run() end
  if not ok then return nil, err end
  self.reads = 1 + self.search.reads
  self.doomed = #self.problems > 0 or self.job.on_unknown ~= "skip"
    and (self.search.missing_emails > 0 or next(self.search.several) ~= nil)
  if not self.doomed then
    ok, err = self:read_admins()
    if ok then ok, err = self:record_header() end
    if not ok then return nil, err end
  end
  for _, person in tasks:map(self:people(), function(person) return self:look(person) end) do
    self:record(person)
  end
  if self.failure then return nil, self.failure end
  if self.doomed or #self.problems > 0 then return nil, unresolved(self.problems) end
  ok, err = self:prove()
  if not ok then return nil, err end
  self:read_holders()
  ok, err = self:record_planned(seconds_each)
  if not ok then return nil, err end
  return self.book:sync()
end

--- Makes a plan in a new journal, or in memory.
--- @param job table checked options; of an undo also undo_of (a path), begin (is called with the
---   tasks before the first entry is taken) and failure (why the entries ended too soon); of one
---   that only compares, `compares` and its things; of both the word of the old job
--- @return table|nil book the journal, still open
--- @return table|nil err kind `unresolved` lists everything that is not known in `err.unresolved`
function M.make(client, verb, job)
  local book, path = (job.compares and core.journal.temporary or journal.create)(job.journal)
  if not book then return nil, path end
  local next_entry, word, columns = people.each(job.users, verb.sides)
  local making = setmetatable({
    client = client, verb = verb, job = job, book = book, path = path, at = os.time(),
    next_entry = next_entry, word = job.word or word, columns = columns,
    asks = {}, holdings = {}, problems = {}, lost = {}, compared = 0, witnesses = {},
    facts = { losses = {}, undo = job.undo_of and true or nil },
    to_change = 0, unchanged = 0, withheld = 0, unknown = 0, requests = 0, reads = 0,
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
