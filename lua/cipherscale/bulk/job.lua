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
-- again when the job is resumed. Where that tells nothing, the kernel at least gets it at once.
function Job:write_soon(record)
  self:write(record)
  local now = core.now()
  if now - self.synced >= SYNC_EVERY then
    self.synced, self.flushed = now, now
    self:keep(self.book:sync())
  elseif self.verb.once or now - self.flushed >= FLUSH_EVERY then
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

-- Notes a person's fate. `delta` is all that was really done to the person, by earlier runs, too;
-- `unclear` says that more of the change may have been done: true, or why it cannot be read back.
function Job:settle(person, fate, delta, err, unclear)
  local record = '"kind":"outcome","person":' .. person.n .. ',"fate":"' .. fate .. '",'
    .. delta_text(delta)
  local words = err and tostring(err)
  if type(unclear) == "table" then
    words = ("%s; and it cannot be read back: %s"):format(words, tostring(unclear))
  end
  if err then
    local is_record = type(err) == "table"
    record = record .. "," .. journal.fields {
      "unclear", unclear and true or nil, "error", words, "status", is_record and err.status or nil,
      "code", is_record and err.code or nil, "attempts", is_record and err.attempts or nil,
      "request_id", is_record and err.request_id or nil, n = 12,
    }
  end
  self:write_soon(record)
  local earlier = self.story.outcomes[person.n]
  self.report:count(fate, earlier and earlier.fate)
  -- What an earlier run left in doubt says nothing of this one.
  if fate == "failed" or fate == "in_doubt" and err ~= FATE_UNKNOWN then
    self.last_error, self.last_user, self.failed = err, person.user, self.failed + 1
    self.unreachable = UNREACHABLE[err.kind] and self.unreachable + 1 or 0
    local reason = guards.ask("stop", self.limits, self)
    if reason then self:stop("%s", reason) end
  else
    self.unreachable = 0
  end
  if self.on_result then
    self:call("on_result", self.on_result, report.row(person, fate, delta, words))
  end
  if self.progress then self:call("on_progress", self.progress) end
  return fate
end

-- ---- One person ----

-- What earlier runs did to a person.
function Job:prior(person) return self.story.outcomes[person.n] or state.NOTHING end

-- May they have done more than that?
function Job:in_doubt(person) return journal.in_doubt(self.story, person.n) end

-- Whether what is held is still what the plan saw (and earlier runs left): "before", "after" when
-- it is what the plan wants, else "other".
function Job:compare(person, held)
  local base = state.apply(state.of(person.change.before), self:prior(person))
  if state.equal(held, base) then return "before" end
  if state.equal(held, state.target(person.change)) then return "after" end
  return "other"
end

function Job:read(person)
  return self.verb.read(self.client, person.user, self.story.header.by_id)
end

-- Sends a change; where its fate is unclear, reads and sends only what is missing. `done` is what
-- was done before. Gives the fate, what was done in all, the error, and where more may have been
-- done, why it cannot be read back.
function Job:send(person, change, done)
  local sent, err = change, nil
  for _ = 1, UNCLEAR_ROUNDS do
    local ok, part
    ok, err, part = self.verb.send(self.client, person.user, sent)
    if ok then return sent == change and "changed" or "verified", person.change end
    done = part and state.both(done, part) or done
    if not err.ambiguous then return "failed", done, err end
    if self.verb.once then return "in_doubt", state.NOTHING, err end
    local held, problem = self:read(person)
    if not held then
      return "failed", done, err, problem
    end
    done = state.made(held, person.change)
    sent = state.missing(held, state.target(person.change), person.change)
    if state.nothing(sent) then return "verified", person.change end
  end
  return "failed", done, err
end

-- Whether a person is read before anything is sent.
function Job:must_read()
  if self.verb.once then return false end
  if self.resuming then return true end
  return self.recheck and os.time() - self.story.planned.at >= self.recheck
end

-- What is to be sent to a person, and what was done before; or nil and the fate when that person
-- is settled already.
function Job:prepare(person)
  local prior = self:prior(person)
  local in_doubt = self:in_doubt(person)
  if self.is_protected and self.is_protected(person) then
    return nil, self:settle(person, "withheld", prior, guards.PROTECTED, in_doubt)
  end
  if self.verb.once and self.story.sending[person.n] then
    return nil, self:settle(person, "in_doubt", prior, FATE_UNKNOWN)
  end
  if not self:must_read() then return person.change, prior end
  local held, err = self:read(person)
  if not held then return nil, self:fail(person, prior, err, in_doubt) end
  local as = self:compare(person, held)
  if as == "after" then
    -- Only where the job may have been there is it the job's own work.
    if in_doubt then return nil, self:settle(person, "verified", person.change) end
    if self.resuming then return nil, self:settle(person, "unchanged", prior) end
  end
  -- Several requests may have come half the way.
  local half_done = in_doubt and self.verb.requests and state.on_the_way(held, person.change)
  if as == "before" or half_done then
    return state.missing(held, state.target(person.change), person.change),
      as == "before" and prior or state.made(held, person.change)
  end
  return nil, self:settle(person, "conflict", prior,
    "changed since the plan was made: holds " .. state.words(held, self.story.header))
end

-- A failure that says more of the job than of the person leaves the person to the next run.
function Job:fail(person, done, err, unclear)
  local of_job = err.kind == "cancelled"
  if err.kind == "closed" then
    of_job, self.closed = true, err
    self:stop("the client was closed")
  elseif err.retry_after and (err.status == 429 or err.status == 503 or err.kind == "refused") then
    of_job = true
    self.report.resume_at = os.time() + math.ceil(err.retry_after)
    self:stop("the service asked to wait until %s (Retry-After: %d s)",
      text.time(self.report.resume_at), math.ceil(err.retry_after))
  end
  if of_job and not err.ambiguous and done == self:prior(person) then
    if self.verb.once then self:write('"kind":"unsent","person":' .. person.n) end
    return nil
  end
  return self:settle(person, "failed", done, err, unclear)
end

-- Changes one person; gives the fate, or nil, err where nothing could be sent at all.
function Job:change(person)
  if self.report.stopped then return nil end
  local change, so_far = self:prepare(person)
  if not change then return so_far end
  if self.verb.once then
    local ok = self:write('"kind":"sending","person":' .. person.n)
      and self:keep(self.book:sync())
    if not ok then return nil end
  end
  local fate, done, err, unclear = self:send(person, change, so_far)
  if fate == "failed" then
    if NEVER_SENT[err.kind] and not err.retry_after and not self.any_sent then
      return nil, err
    end
    return self:fail(person, done, err, unclear)
  end
  self.any_sent = true
  return self:settle(person, fate, done, err)
end

-- ---- The canary ----

-- Changes one person and reads back: as planned, and nothing lost beside it?
function Job:canary(person)
  local verb, client = self.verb, self.client
  local effective = verb.effective
  local before, err
  if effective then
    before, err = effective(client, person.user)
    if not before then
      return self:fail(person, self:prior(person), err, self:in_doubt(person))
    end
  end
  local fate
  fate, err = self:change(person)
  if fate ~= "changed" and fate ~= "verified" then return nil, err end
  local who = text.who(person)
  local held, problem = self:read(person)
  if not held and problem.kind == "cancelled" then return fate end
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

return Job
