-- SPDX-License-Identifier: MIT
--
-- A run of a job, seen from one person: what is sent, what is noted in the journal, what a failure
-- means, and when the run must stop. Who comes next, and when, is apply.lua.

local core = require "cipherscale.core"
local guards = require "cipherscale.bulk.guards"
local journal = require "cipherscale.bulk.journal"
local report = require "cipherscale.bulk.report"
local state = require "cipherscale.bulk.state"
local text = require "cipherscale.bulk.text"

-- Seconds: how long an outcome may wait to be written, and to be safe on the disk.
local FLUSH_EVERY, SYNC_EVERY = 0.02, 1
-- How often a change is sent, where its fate is unclear.
local MOST_SENT = 3
-- The client itself says no: whatever is tried next would not be sent either.
local NEVER_SENT = { refused = true, closed = true }
-- Seconds: more than that of a Retry-After is not worth to be told, nor fits into dates.
local LONGEST_WAIT = 1e9
local UNREACHABLE = { network = true, timeout = true, tls = true }
local FATE_UNKNOWN = "its fate is unknown; it is not sent again by itself"

local Job = {}
Job.__index = Job

function Job:stop(reason, ...)
  if self.stopped then return end
  self.stopped = reason:format(...)
  self.report.stopped = self.stopped
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
-- again when the job is resumed. Where that tells nothing, the kernel at least gets it at once.
function Job:write_soon(record)
  self:keep(self.book:append(record))
  local now = core.now()
  if now - self.synced >= SYNC_EVERY then
    self.synced, self.flushed = now, now
    self:keep(self.book:sync())
  elseif now - self.flushed >= FLUSH_EVERY or self.verb.once then
    self.flushed = now
    self:keep(self.book:flush())
  end
end

-- What went wrong, in words, and as the end of a record. `unclear`: more may have been done than
-- is known; true, or why it cannot be read back.
local function error_of(err, unclear)
  local words, record = tostring(err), type(err) == "table" and err or {}
  if type(unclear) == "table" then
    words = ("%s; and it cannot be read back: %s"):format(words, tostring(unclear))
  end
  return words, "," .. journal.fields {
    error = words, unclear = unclear and true or nil, status = record.status, code = record.code,
    attempts = record.attempts, request_id = record.request_id,
  }
end

-- What a failure, or its end, means for the whole job.
function Job:count_failure(person, fate, err)
  -- What an earlier run left in doubt says nothing of this one.
  local failed = fate == "failed" or fate == "in_doubt" and err ~= FATE_UNKNOWN
  self.unreachable = failed and UNREACHABLE[err.kind] and self.unreachable + 1 or 0
  if not failed then return end
  self.last_error, self.last_user, self.failed = err, person.user, self.failed + 1
  local reason = guards.ask("stop", self.limits, self)[1]
  if reason then self:stop("%s", reason) end
end

-- Notes a person's fate. `delta` is all that was really done to the person, by earlier runs, too.
function Job:settle(person, fate, delta, err, unclear)
  local words, ending = nil, ""
  if err then words, ending = error_of(err, unclear) end
  delta.outcome = delta.outcome -- many people share a change
    or ('"added":%s,"removed":%s'):format(journal.ids(delta.add), journal.ids(delta.remove))
  self.any_settled = true
  self.report.waiting = self.report.waiting - 1
  self:write_soon('"kind":"outcome","person":' .. person.n .. ',"fate":"' .. fate .. '",'
    .. delta.outcome .. ending)
  local earlier = self.outcomes[person.n]
  report.count(self.report, fate, earlier and earlier.fate)
  if err then self:count_failure(person, fate, err) else self.unreachable = 0 end
  if self.on_result then
    self:call("on_result", self.on_result, report.row(person, fate, delta, words, err))
  end
  if self.progress then self:call("on_progress", self.progress) end
  return fate
end

-- ---- One person ----

-- What earlier runs are known to have done to a person.
function Job:prior(person) return self.outcomes[person.n] or state.NOTHING end

function Job:read(person)
  return self.verb.read(self.client, person.user, self.story.header.by_id)
end

-- Sends a change; where its fate is unclear, reads and sends only what is missing. `done` is what
-- was done before. Gives the fate, what was done in all, the error, and where more may have been
-- done, why it cannot be read back.
function Job:send(person, change, done)
  local fate, last_error = "changed", nil
  for _ = 1, MOST_SENT do
    local ok, err, part = self.verb.send(self.client, person.user, change)
    if ok then return fate, person.change end
    last_error = err
    if part and #part.add + #part.remove > 0 then done = state.both(person.change, done, part) end
    if not err.ambiguous then return "failed", done, err end
    if self.verb.once then return "in_doubt", state.NOTHING, err end
    local held, problem = self:read(person)
    if not held then return "failed", done, err, problem end
    done, change = state.split(held, person.change)
    fate = "verified"
    if #change.add + #change.remove == 0 then return fate, person.change end
  end
  return "failed", done, last_error
end

-- What is to be sent to somebody who may be protected, or not be as the plan saw them, and what was
-- done before; or nil and the fate when that person is settled already.
function Job:prepare(person)
  if self.is_protected and self.is_protected(person) then
    return nil, self:settle(person, "withheld", self:prior(person), guards.PROTECTED,
      journal.in_doubt(self.story, person.n))
  end
  if self.verb.once and self.story.sending[person.n] then
    return nil, self:settle(person, "in_doubt", self:prior(person), FATE_UNKNOWN)
  end
  if not self.resuming then
    local age = self.recheck and os.time() - self.story.planned.at
    if not age or age < self.recheck then return person.change, state.NOTHING end
  end
  -- What must not be repeated is not in doubt: its record would have told.
  local prior = self:prior(person)
  local in_doubt = not self.verb.once and journal.in_doubt(self.story, person.n)
  local held, err = self:read(person)
  if not held then return nil, self:fail(person, prior, err, in_doubt) end
  local change = person.change
  local made, rest = state.split(held, change)
  if state.equal(held, state.apply(state.of(change.before), prior)) then return rest, prior end
  if state.equal(held, state.target(change)) then
    -- Only where the job may have been there is it the job's own work.
    if in_doubt then return nil, self:settle(person, "verified", change) end
    return nil, self:settle(person, "unchanged", prior)
  end
  -- Several requests may have come half the way.
  if in_doubt and self.verb.requests and state.on_the_way(held, change) then return rest, made end
  return nil, self:settle(person, "conflict", prior,
    "changed since the plan was made: holds " .. state.words(held, self.story.header))
end

-- Notes a failure, gives the fate; one that says more of the job than of the person stops the job,
-- and leaves the person to the next run.
function Job:fail(person, done, err, unclear)
  local of_job = err.kind == "cancelled"
  if err.retry_after and (err.status == 429 or err.status == 503 or err.kind == "refused") then
    of_job = true
    -- Those who come after the first are told no more than an hour.
    local wait = math.ceil(math.min(err.retry_after, LONGEST_WAIT))
    self.report.resume_at = math.max(self.report.resume_at or 0, os.time() + wait)
    self:stop("the service asked to wait until %s (Retry-After: %d s)",
      text.time(self.report.resume_at), wait)
  elseif NEVER_SENT[err.kind] then
    of_job = true
    self:stop("%s", tostring(err))
  end
  if of_job and not err.ambiguous and done == self:prior(person) then
    self.refusal = NEVER_SENT[err.kind] and err or self.refusal
    if self.verb.once then self:write('"kind":"unsent","person":' .. person.n) end
    return nil
  end
  return self:settle(person, "failed", done, err, unclear)
end

-- Sends somebody's change; gives the fate, or nil where it is left to the next run.
function Job:make(person, change, done)
  if self.verb.once then
    local ok = self:write('"kind":"sending","person":' .. person.n)
      and self:keep(self.book:sync())
    if not ok then return nil end
  end
  local fate, err, unclear
  fate, done, err, unclear = self:send(person, change, done)
  if fate == "failed" then return self:fail(person, done, err, unclear) end
  return self:settle(person, fate, done, err)
end

-- Makes a change and reads back: as planned, and nothing lost beside it? Gives the fate, and
-- whether all is well.
function Job:canary(person, change, done)
  local effective, client = self.verb.effective, self.client
  local before, err = {}, nil
  if effective then before, err = effective(client, person.user) end
  if not before then
    return self:fail(person, self:prior(person), err, journal.in_doubt(self.story, person.n))
  end
  local fate = self:make(person, change, done)
  if fate ~= "changed" and fate ~= "verified" then return fate end
  local held, problem = self:read(person)
  local after, wrong, header = held, nil, self.story.header
  if held and not state.equal(held, state.target(person.change)) then
    wrong = "is not as planned after the change: holds " .. state.words(held, header)
  elseif held and effective then
    after, problem = effective(client, person.user)
    local lost = after and state.lost(before, after, person.change)
    wrong = lost and ("has lost %s, which the plan does not remove; does a direct role replace "
      .. "inherited ones in this tenant?"):format(state.words(lost, header))
  end
  if wrong then
    self.report.alarm = true
    self.report:judge()
  elseif not after and problem.kind ~= "cancelled" then
    wrong = "cannot be read back: " .. tostring(problem)
  end
  if wrong then
    self.stopped = nil -- this is the graver reason
    self:stop("canary: %s %s", text.who(person), wrong)
  end
  return fate, not wrong
end

-- Changes one person. The first change is made alone, also without a canary: a client that may not
-- send at all shows it there. Who comes that far meanwhile waits, and is the first where the one
-- before could not be changed.
function Job:change(person)
  local change, done = self:prepare(person)
  if not change then return end
  local scheduler = self.tasks.scheduler
  while not self.proved and self.first do scheduler:wait_for(self.first) end
  if self.proved then self:make(person, change, done) end
  if self.proved or self.barred then return end
  local first, stopped = {}, self.stopped
  self.first = first
  local fate, fine = (self.with_canary and self.canary or self.make)(self, person, change, done)
  if not self.with_canary then fine = fate ~= nil end
  -- Whoever waits lets a job end that the first change has stopped.
  self.barred = self.stopped ~= stopped and (not fine or fate == "failed")
  self.proved, self.first = fine and not self.barred, nil
  scheduler:wake_waiters(first)
end

return Job
