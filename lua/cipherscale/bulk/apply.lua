-- SPDX-License-Identifier: MIT
--
-- Sends the changes of a plan, one person after another, many at once, and writes what became of
-- each into the journal. A person who fails stops nobody else. What stops a job stops it cleanly:
-- nothing new is begun, what is under way ends, and the journal can be resumed. Resuming is the
-- same, except that nobody is believed to be as the plan saw them.

local core = require "cipherscale.core"
local guards = require "cipherscale.bulk.guards"
local journal = require "cipherscale.bulk.journal"
local options = require "cipherscale.bulk.options"
local progress = require "cipherscale.bulk.progress"
local report = require "cipherscale.bulk.report"
local state = require "cipherscale.bulk.state"
local text = require "cipherscale.bulk.text"

local M = {}

-- Seconds: how old what a plan saw may be; how long an outcome may wait to be written, and to be
-- safe on the disk.
local RECHECK, FLUSH_EVERY, SYNC_EVERY = 300, 0.02, 1
-- How often a change whose fate is unclear is read again and sent again.
local UNCLEAR_ROUNDS = 3
-- The client itself said no: whatever is tried next would not be sent either.
local NEVER_SENT = { refused = true, closed = true }
local UNREACHABLE = { network = true, timeout = true, tls = true }
local FATE_UNKNOWN = "its fate is unknown; it is not sent again by itself"

local Job = {}
Job.__index = Job

function Job:stop(reason, ...)
  self.report.stopped = self.report.stopped or reason:format(...)
end

-- A callback that raises ends the job; its error is raised again once everything has come to rest.
function Job:call(name, callback, argument)
  if not callback or self.raised then return nil end
  local ok, value = pcall(callback, argument)
  if ok then return value end
  self.raised = { value = value }
  self:stop("%s raised an error: %s", name, tostring(value))
  return nil
end

-- ---- The journal ----

function Job:keep(ok, err)
  if not ok then self:stop("%s", tostring(err)) end
  return ok
end

function Job:write(record) return self:keep(self.book:append(record)) end

-- What is settled reaches the disk soon, not at once: whoever is missing from the journal is read
-- again when the job is resumed.
function Job:write_soon(record)
  self:write(record)
  local now = core.now()
  if now - self.synced >= SYNC_EVERY then
    self.synced, self.flushed = now, now
    self:keep(self.book:sync())
  elseif now - self.flushed >= FLUSH_EVERY then
    self.flushed = now
    self:keep(self.book:flush())
  end
end

local function delta_text(change)
  local known = change.outcome
  if not known then
    known = ('"added":%s,"removed":%s'):format(
      journal.ids(change.add), journal.ids(change.remove))
    change.outcome = known
  end
  return known
end

-- Notes a person's fate. `delta` is what was really sent.
function Job:settle(person, fate, delta, err)
  local record = '"kind":"outcome","person":' .. person.n .. ',"fate":"' .. fate .. '",'
    .. delta_text(delta)
  if err then
    local is_record = type(err) == "table"
    record = record .. "," .. journal.fields {
      "error", tostring(err), "status", is_record and err.status or nil,
      "code", is_record and err.code or nil, "attempts", is_record and err.attempts or nil,
      "request_id", is_record and err.request_id or nil, n = 10,
    }
  end
  self:write_soon(record)
  local counts = self.report
  counts:count(fate)
  if fate == "failed" then
    self.last_error, self.failed = err, self.failed + 1
    self.unreachable = UNREACHABLE[err.kind] and self.unreachable + 1 or 0
    local reason = guards.ask("stop", self.limits, self)
    if reason then self:stop("%s", reason) end
  else
    self.unreachable = 0
  end
  if self.on_result then
    self:call("on_result", self.on_result,
      report.row(person, fate, delta, err and tostring(err) or nil))
  end
  if self.progress then self:call("on_progress", self.progress) end
  return fate
end

-- ---- One person ----

-- Whether what is held is still what the plan saw (and an earlier run left): "before", "after" when
-- it is what the plan wants, else "other".
function Job:compare(person, held)
  local base = state.apply(state.of(person.change.before), self.story.outcomes[person.n])
  if state.equal(held, base) then return "before" end
  if state.equal(held, state.target(person.change)) then return "after" end
  return "other"
end

function Job:read(person)
  return self.verb.read(self.client, person.user, self.story.header.by_id)
end

-- Sends a change; where its fate is unclear, reads and sends only what is missing.
-- Gives the fate, what was sent, and the error.
function Job:send(person, change)
  local sent = change
  for round = 1, UNCLEAR_ROUNDS do
    local ok, err, done = self.verb.send(self.client, person.user, sent)
    if ok then return round == 1 and "changed" or "verified", change end
    if not err.ambiguous then return "failed", done or state.NOTHING, err end
    if self.verb.once then return "in_doubt", state.NOTHING, err end
    local held, problem = self:read(person)
    if not held then return "failed", done or state.NOTHING, problem end
    sent = state.missing(held, state.target(person.change), person.change)
    if #sent.add + #sent.remove == 0 then return "verified", change end
    if round == UNCLEAR_ROUNDS then return "failed", done or state.NOTHING, err end
  end
end

-- Whether a person is read before anything is sent.
function Job:must_read()
  if self.verb.once then return false end
  if self.resuming then return true end
  return self.recheck and os.time() - self.story.planned.at >= self.recheck
end

-- What is to be sent to a person, or nil when that person is settled already.
function Job:prepare(person)
  if self.is_protected(person) then
    return nil, self:settle(person, "withheld", state.NOTHING, "protected (protect)")
  end
  if self.verb.once and self.story.sending[person.n] then
    return nil, self:settle(person, "in_doubt", state.NOTHING, FATE_UNKNOWN)
  end
  if not self:must_read() then return person.change end
  local held, err = self:read(person)
  if not held then return nil, self:fail(person, state.NOTHING, err) end
  local as = self:compare(person, held)
  if as == "before" then
    return state.missing(held, state.target(person.change), person.change)
  end
  if as == "after" and self.resuming then
    return nil, self:settle(person, "verified", person.change)
  end
  return nil, self:settle(person, "conflict", state.NOTHING,
    "changed since the plan was made: holds " .. state.words(held, self.story.header))
end

-- A failure that says more of the job than of the person leaves the person to the next run.
function Job:fail(person, done, err)
  if err.kind == "cancelled" then return nil end
  if err.retry_after and (err.status == 429 or err.status == 503) then
    self.report.resume_at = os.time() + math.ceil(err.retry_after)
    self:stop("the service asked to wait until %s (Retry-After: %d s)",
      text.time(self.report.resume_at), err.retry_after)
    if state.nothing(done) then return nil end
  end
  return self:settle(person, "failed", done, err)
end

-- Changes one person; gives the fate, or nil, err where nothing could be sent at all.
function Job:change(person)
  if self.report.stopped then return nil end
  local change, fate = self:prepare(person)
  if not change then return fate end
  if self.verb.once then
    local ok = self:write('"kind":"sending","person":' .. person.n)
      and self:keep(self.book:sync())
    if not ok then return nil end
  end
  local sent, err
  fate, sent, err = self:send(person, change)
  if fate == "failed" then
    if NEVER_SENT[err.kind] and not self.any_sent then return nil, err end
    return self:fail(person, sent, err)
  end
  self.any_sent = true
  -- What an earlier run did to this person is part of what the job did.
  if change ~= person.change and fate ~= "in_doubt" then sent = person.change end
  return self:settle(person, fate, sent, err)
end

-- ---- The canary ----

-- Changes one person and reads back: as planned, and nothing lost beside it?
function Job:canary(person)
  local verb, client = self.verb, self.client
  local effective = verb.effective
  local before, err
  if effective then
    before, err = effective(client, person.user)
    if not before then return self:fail(person, state.NOTHING, err) end
  end
  local fate
  fate, err = self:change(person)
  if fate ~= "changed" and fate ~= "verified" then return nil, err end
  local who = text.who(person)
  local held, problem = self:read(person)
  if not held then
    self:stop("canary: %s cannot be read back: %s", who, tostring(problem))
  elseif not state.equal(held, state.target(person.change)) then
    self:stop("canary: %s is not as planned after the change: holds %s", who,
      state.words(held, self.story.header))
  elseif effective then
    local after
    after, problem = effective(client, person.user)
    local lost = after and state.lost(before, after, person.change)
    if not after then
      self:stop("canary: %s cannot be read back: %s", who, tostring(problem))
    elseif lost then
      self:stop("canary: %s has lost %s, which the plan does not remove; does a direct role "
        .. "replace inherited ones in this tenant?", who, state.words(lost, self.story.header))
    end
  end
  return fate
end

-- ---- The whole ----

-- Everybody who is still to be changed.
function Job:open_people()
  local next_person = journal.people(self.book, self.story.header)
  local outcomes = self.story.outcomes
  return function()
    while true do
      local person = next_person()
      if not person then return nil end
      local outcome = outcomes[person.n]
      local settled = person.change.nothing or person.withheld
        or outcome and outcome.fate ~= "failed"
      if not settled then return person end
    end
  end
end

-- Where the service allows only so much, what is begun waits its turn inside the client, and would
-- still be sent after a stop. So no more people are under way than two seconds' worth.
function Job:hold_back()
  while not self.report.stopped do
    local rate = core.pace(self.client)
    if not rate or self.under_way < math.max(1, math.ceil(rate * 2)) then return end
    self.signal = self.signal or {}
    self.scheduler:wait_for(self.signal)
  end
end

function Job:next_person()
  self:hold_back()
  if self.report.stopped then return nil end
  if self.max_duration and core.now() - self.begun >= self.max_duration then
    self:stop("max_duration of %s is over", text.duration(self.max_duration))
    return nil
  end
  if self.should_stop and self:call("should_stop", self.should_stop) then
    self:stop("should_stop said so")
  end
  if self.report.stopped then return nil end
  return self.people()
end

-- The first change is made alone, also without a canary: a client that may not send at all shows
-- it there.
function Job:run(tasks)
  self.people, self.scheduler = self:open_people(), tasks.scheduler
  local first_done = false
  while not first_done do
    local person = self:next_person()
    if not person then return true end
    local fate, err
    if self.with_canary then fate, err = self:canary(person) else fate, err = self:change(person) end
    if err then return nil, err end
    first_done = fate == "changed" or fate == "verified" or fate and not self.with_canary
  end
  local function next_person() return self:next_person() end
  local function change(person)
    self.under_way = self.under_way + 1
    self:change(person)
    self.under_way = self.under_way - 1
    local signal = self.signal
    if signal then
      self.signal = nil
      self.scheduler:wake_waiters(signal)
    end
  end
  for _ in tasks:map(next_person, change) do end
  return true
end

-- The last record of a run. After an error nobody knows what became of what was under way.
function Job:close(clean, nothing_sent)
  local outcome = self.report
  self:write(journal.fields {
    "kind", "end", "at", os.time(), "clean", clean, "nothing_sent", nothing_sent or nil,
    "stopped", outcome.stopped, "resume_at", outcome.resume_at, "elapsed", outcome.elapsed,
    n = 14,
  })
  self:keep(self.book:sync())
  if outcome.journal then self:keep(self.book:close()) end
end

local function protection(client, story, limits)
  local names = {}
  for _, list in ipairs { client.protect, story.header.limits.protect or {}, limits.protect or {} } do
    for _, name in ipairs(list) do names[name:lower()] = true end
  end
  if next(names) == nil then return function() return false end end
  return function(person)
    return names[person.user:lower()] or person.email and names[person.email:lower()]
  end
end

-- What apply is given goes before what the plan was given.
local function merged(...)
  local all = {}
  for _, map in ipairs { ... } do
    for name, value in pairs(map) do all[name] = value end
  end
  return all
end

local function refused(sentences, more)
  return core.error {
    kind = "refused", operation = "bulk.apply",
    message = table.concat(sentences, "; ") .. (more or ""),
  }
end

-- One run over a journal that is open for writing.
local function run(client, verb, story, book, path, given, limits, outcome)
  local now = core.now()
  local job = setmetatable({
    client = client, verb = verb, story = story, book = book, report = outcome, limits = limits,
    on_result = given.on_result, should_stop = given.should_stop,
    max_duration = given.max_duration, resuming = story.opened ~= nil,
    with_canary = given.canary ~= false and not verb.once,
    is_protected = protection(client, story, limits),
    to_change = story.planned.to_change, failed = 0, unreachable = 0, under_way = 0,
    begun = now, synced = now, flushed = now,
  }, Job)
  job.recheck = given.recheck
  if job.recheck == nil then job.recheck = RECHECK end
  job.progress = given.on_progress and progress.new(given.on_progress, client, outcome)
  local opened = job:write(journal.fields {
    "kind", "open", "at", os.time(), "pid", core.journal.pid(),
    "limits", journal.object(merged(limits, { protect = false })), n = 8,
  })
  if not opened or not job:keep(book:sync()) then
    if path then book:close() end
    return nil, journal.failure(outcome.stopped)
  end
  local ok, sent, err = pcall(client.run, client, function(tasks) return job:run(tasks) end)
  outcome.elapsed = core.now() - now
  if not ok then job:stop("%s", tostring(sent)) end
  if ok and sent then job:call("on_progress", job.progress, true) end
  job:close(ok, ok and not sent)
  if not ok then
    if path and type(sent) == "string" then
      sent = ("%s\n(the journal is kept; go on with client.bulk:resume %q)"):format(sent, path)
    end
    error(sent, 0)
  end
  if not sent then return nil, err end
  if job.raised then error(job.raised.value, 0) end
  return outcome
end

local function begin(client, verb, story, book, path, given, outcome)
  local limits = merged(story.header.limits, story.opened and story.opened.limits or {},
    options.limits(given))
  local sentences = guards.refusals(limits, story.planned)
  if #sentences > 0 then
    if path then book:close() end
    return nil, refused(sentences)
  end
  return run(client, verb, story, book, path, given, limits, outcome)
end

--- Applies a plan for the first time.
function M.plan(plan, given)
  local book, path, err = plan.book, plan.journal, nil
  if path then
    book, err = journal.open(path)
    if not book then return nil, err end
  end
  local story, problem = journal.story(book, path)
  if not story or story.opened then
    if path then book:close() end
    if not story then return nil, journal.failure(problem) end
    return nil, refused({ "this plan was applied already" }, path
      and (": go on with client.bulk:resume %q"):format(path)
      or "; make a new one, which takes up what is left")
  end
  plan.report = report.new(story, plan.book, path)
  local outcome
  outcome, err = begin(plan.client, plan.verb, story, book, path, given, plan.report)
  if not outcome then plan.report = nil end
  return outcome, err
end

--- Goes on with a job, or begins it.
--- @param story table of the open journal
function M.resume(client, verb, story, book, path, given)
  local outcome = report.new(story, nil, path)
  if story.opened and outcome.pending == 0 and outcome.to_retry == 0 then
    book:close()
    return outcome
  end
  outcome:retry()
  return begin(client, verb, story, book, path, given, outcome)
end

return M
