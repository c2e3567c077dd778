-- SPDX-License-Identifier: MIT
--
-- How a plan is made: entries are read, names found among the things and the people of the tenant,
-- what each holds is read as cheaply as can be, the difference goes into the journal, person by
-- person in the order of the entries. Nothing is changed in the tenant. Of each person only a few
-- bytes are kept meanwhile. What ends it early is raised, and given back by make().

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
local OTHERWISE = "asks for something else than an earlier entry for the same person"
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
  text.list(lines, text.count(#problems, "problem", "problems") .. " in the job", problems,
    SHOWN_PROBLEMS, function(problem) return { text.clean(problem.message) } end)
  return core.error {
    kind = "unresolved", message = table.concat(lines, "\n"), unresolved = problems,
  }
end

-- ---- The entries ----

-- What some wishes ask for; nil where that is not understood, which is a problem of the line.
function Making:understand(wishes, line)
  local known = #self.problems
  local ask = self.catalogue:ask(wishes, function(...) self:problem(line, ...) end)
  return #self.problems == known and ask or nil
end

local function asks_nothing(ask) return #ask == 0 and not ask.exactly end

function Making:take_entry(entry)
  if entry.problem then return self:problem(entry.line, entry.problem) end
  local name, ask = entry.id or entry.email, self.ask
  if entry.wishes then ask = self:understand(entry.wishes, entry.line) end
  if ask and asks_nothing(ask) then
    return self:problem(entry.line, ("nothing is asked for: %s expected"):format(
      table.concat(self.verb.sides, ", ")), name)
  end
  local number, new = self.search:name(entry.id, entry.email)
  if new and ask ~= self.ask then
    self.asks[number] = ask
  elseif ask ~= self.asks[number] then
    return self:problem(entry.line, OTHERWISE, name)
  end
  entry.n, entry.user, entry.again = number, entry.id, not new or nil
  assert(self.entries:append(journal.person(entry, NO_CHANGE)))
end

function Making:read_entries(tasks)
  local job, verb = self.job, self.verb
  local users = job.entries and job.entries(tasks) or job.users
  local next_entry, word, columns = people.each(users, verb.sides)
  self.word, self.columns = job.word or word, columns
  self.entries = assert((self.path and core.journal.temporary or core.journal.memory)())
  self.ask = self:understand(verb.fixed or job)
  -- By number; whoever has no wishes of their own has those of the job.
  self.asks = setmetatable({}, { __index = function() return self.ask end })
  for entry in next_entry do self:take_entry(entry) end
end

-- ---- Who they are and what they hold ----

-- People who hold the same share one table.
function Making:holding_of(held)
  local before = self.catalogue:in_order(held)
  local ids = journal.ids(before)
  self.holdings[ids] = self.holdings[ids] or { before = before, ids = ids, changes = {} }
  return self.holdings[ids]
end

local function change_of(holding, ask)
  local change = holding.changes[ask]
  if not change then
    local add, remove = things.difference(holding.before, ask)
    change = {
      add = add, remove = remove, nothing = #add + #remove == 0,
      text = ('"before":%s,"add":%s,"remove":%s'):format(
        holding.ids, journal.ids(add), journal.ids(remove)),
    }
    holding.changes[ask] = change
  end
  return change
end

function Making:unknown(person, message, candidates)
  if self.job.on_unknown == "skip" then
    person.unknown = message
  else
    self:problem(person.line, message, person.name, candidates)
  end
end

-- Puts an entry together with what the search has found. Its number becomes that of the first entry
-- for the same person.
function Making:identify(person)
  local found, own, given = self.search, person.n, person.email
  local first, several = found:first_of(own), found.several[own]
  local email = found.emails[first]
  person.n, person.name = first, person.user or given
  -- Beside an id, an e-mail is shown as the tenant has it, or as an old job had it.
  local both = person.user and given and not self.job.entries
  if both and email and email:lower() ~= given:lower() then
    self:problem(person.line, ("the user '%s' has the e-mail '%s', not '%s'"):format(
      person.user, email, given), person.name)
  end
  if email or both then person.email = email end
  if self.asks[first] ~= self.asks[own] then
    self:problem(person.line, OTHERWISE, person.name)
  end
  if first ~= own then person.again = true end
  if not several then person.user = person.user or found.ids[first] end
  if person.user or person.again then return end
  if several then
    return self:unknown(person, ("several users have the e-mail '%s'; say which by id: %s"):format(
      given, table.concat(several, ", ")), several)
  end
  self.compared = self.compared + 1
  local close = self.compared <= WITH_CANDIDATES and nearest.find(given, found.known_emails) or {}
  self:unknown(person, ("no user has the e-mail '%s'%s"):format(given, nearest.hint(close)), close)
end

-- A plan that will not be made needs no more than to know who else is missing.
function Making:doomed()
  return #self.problems > 0 or self.job.on_unknown ~= "skip" and self.search:lacks_somebody()
end

-- Finds out who is meant and what they hold. Runs as a task.
function Making:look(person)
  self:identify(person)
  if person.again or not person.user then return end
  local shown, ids = self.search.holdings[person.n], self.search.ids
  person.holding = shown
  if shown or self:doomed() and ids[person.n] then return end
  self.planned.reads = self.planned.reads + 1
  local held, err = self.verb.read(self.client, person.user, self.concerned, self.witnesses)
  if not held and err.status == 404 then
    return self:unknown(person, ("no user has the id '%s'%s"):format(person.user,
      person.user:find("@", 1, true) and "; an e-mail goes into `email`" or ""))
  end
  person.holding = self:holding_of(assert(held, err))
  -- The page showed something, and none of it is direct: so the two are told apart.
  if shown == false and next(held) == nil then self.witnesses = nil end
end

-- ---- What the guards must know ----

-- What a person is who would lose administration by a change: "ADMIN", "OWNER", or nil.
function Making:admin_lost(person, change)
  if self.job.compares or not guards.takes_admin(change) then return nil end
  if not self.admins then
    local planned, admins, count, reads = self.planned, guards.admins(self.client)
    self.admins = assert(admins, count)
    planned.admins, planned.admins_lost, planned.reads = count, 0, planned.reads + reads
  end
  return self.admins[person.user]
end

-- How many hold what some people lose.
function Making:read_holders()
  local planned = self.planned
  for _, thing in ipairs(self.catalogue.things) do
    local lost = self.lost[thing.id]
    if lost then
      local holders, reads = self.verb.holders(self.client, thing)
      planned.reads = planned.reads + (holders and reads or 1)
      table.insert(planned.losses, {
        label = thing.label, lost = lost, holders = holders or 0,
        unknown = not holders and tostring(reads) or nil,
      })
    end
  end
end

-- ---- Records ----

-- "+ AUDITOR - SUPPORT", as plans and reports show the job.
function Making:asked_text()
  if self.verb.fixed then return self.verb.name end
  local asked = {}
  for _, ask in pairs(self.catalogue.asks) do
    if not asks_nothing(ask) then asked[#asked + 1] = ask.words end
  end
  -- An undo may find nothing to take back, and an iterator nobody.
  return #asked > 1 and "each entry's own change" or asked[1] or "nothing"
end

function Making:record_header()
  local job, verb, limits, roles = self.job, self.verb, options.limits(self.job), {}
  limits.protect = self.protected
  for _, thing in ipairs(self.catalogue.things) do roles[#roles + 1] = thing.type and thing.id end
  local list = self.catalogue:in_order(self.concerned)
  for n, thing in ipairs(list) do
    list[n] = {
      id = thing.id, name = thing.name, type = thing.type, label = thing.label, gives = thing.gives,
    }
  end
  assert(self.book:append(journal.record("header", {
    format = journal.FORMAT, version = core.version, at = os.time(), verb = verb.name,
    base_url = self.client.base_url, by = journal.user(),
    asked = self:asked_text(), note = job.note, undo_of = job.undo_of,
    direct_roles = job.direct_roles, word = self.word, columns = self.columns,
    tenant = verb.fixed and roles or nil, things = list, limits = limits,
  })))
end

-- Whether a change will be made; what it means for the guards.
function Making:judge(person, change)
  local planned, verb, admin = self.planned, self.verb, self:admin_lost(person, change)
  person.is_owner = verb.fixed and admin == "OWNER"
  person.withheld = guards.ask("withhold", self.job, person, change, self.is_protected)[1]
  if person.withheld then return end
  planned.to_change = planned.to_change + 1
  planned.requests = planned.requests + (verb.requests and verb.requests(change) or 1)
  -- Those who become administrators do not count: each of these changes can fail.
  if admin then planned.admins_lost = planned.admins_lost + 1 end
  for _, thing in ipairs(change.remove) do
    self.lost[thing.id] = (self.lost[thing.id] or 0) + 1
  end
end

function Making:record(person)
  if self:doomed() then return end
  local planned, change = self.planned, person.change
  if person.holding then change = change_of(person.holding, self.asks[person.n]) end
  if not person.again then planned.total = planned.total + 1 end
  if not change.nothing then
    self:judge(person, change)
  elseif person.holding then
    planned.unchanged = planned.unchanged + 1
  end
  assert(self.book:append(journal.person(person, change.text or NO_CHANGE)))
end

-- `seconds_each` is what a request takes, the others that are under way with it counted in.
function Making:record_planned(seconds_each)
  local planned, canary = self.planned, 0
  if planned.to_change > 0 and not self.verb.once then canary = self.verb.effective and 3 or 1 end
  planned.requests = planned.requests + canary
  planned.seconds = planned.requests * seconds_each
  planned.unprotected = self.search:unprotected()
  assert(self.book:append(journal.record("planned", planned)))
  assert(self.book:sync())
end

-- ---- The whole ----

function Making:run(tasks)
  local verb, client, job, planned = self.verb, self.client, self.job, self.planned
  local begun = core.now()
  local known = job.things or assert(verb.list(client))
  local seconds_each = (core.now() - begun) / tasks.scheduler.limit
  self.catalogue = things.catalogue(verb.noun, known)
  self.search = search.new {
    client = client, tasks = tasks,
    shown = function(user)
      local held = verb.shown(user, self.concerned)
      return held and self:holding_of(held) or held
    end,
  }
  self:read_entries(tasks)
  self.is_protected, self.protected = self.search:protection(
    job.compares and {} or { client.protect, job.protect })
  -- Who holds what is kept by what all asks concern.
  self.concerned = self.catalogue:concerned()
  assert(self.search:run())
  planned.reads = 1 + self.search.reads
  self:record_header()
  local entries = journal.people(self.entries, { by_id = {}, read = {} })
  for person in tasks:map(entries, function(person) self:look(person) end) do
    self:record(person)
  end
  if #self.problems > 0 then error(unresolved(self.problems), 0) end
  if self.witnesses then
    planned.reads = planned.reads + assert(verb.prove(client, self.witnesses))
  end
  if verb.holders and not job.entries then self:read_holders() end
  self:record_planned(seconds_each)
end

--- Makes a plan in a new journal, or in memory.
--- @param job table checked options; in place of users maybe entries(tasks), an iterator; of an
---   undo also undo_of (a path); of one that only compares, `compares` and its things; of both the
---   word of the old job
--- @return table|nil book the journal, still open
--- @return table|nil err kind `unresolved` lists everything that is not known in `err.unresolved`
function M.make(client, verb, job)
  local book, path = (job.compares and core.journal.temporary or journal.create)(job.journal)
  if not book then return nil, path end
  local making = setmetatable({
    client = client, verb = verb, job = job, book = book, path = path,
    holdings = {}, problems = {}, compared = 0, lost = {},
    -- Users who may prove that direct roles are told from inherited ones; nil where no proof, or
    -- no more of it, is needed.
    witnesses = verb.prove and job.direct_roles ~= "assume" and {} or nil,
    planned = {
      at = os.time(), undo = job.undo_of and true or nil, losses = {},
      total = 0, to_change = 0, unchanged = 0, requests = 0, reads = 0,
    },
  }, Making)
  local ok, problem = pcall(client.run, client, function(tasks) making:run(tasks) end)
  if making.entries then making.entries:close() end
  if making.search then making.search.keys:clear() end
  if ok then return book, path end
  book:close()
  if path then os.remove(path) end
  -- A CSV reader keeps what is wrong with its file.
  local malformed = type(job.users) == "table" and rawget(job.users, "problem")
  if type(malformed) == "string" and tostring(problem):find(malformed, 1, true) == 1 then
    problem = unresolved { { message = malformed } }
  end
  -- What a call or a journal says is given back; what else the job's iterator raises is raised.
  if getmetatable(problem) == "cipherscale.error" then return nil, problem end
  error(problem, 0)
end

return M
