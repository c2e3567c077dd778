-- SPDX-License-Identifier: MIT
--
-- Runs a job over a plan: the first person alone, then many at once. A person who fails stops
-- nobody else. What stops a job stops it cleanly: nothing new is begun, what is under way ends, and
-- the journal can be resumed. Resuming is the same, except that nobody is believed to be as the
-- plan saw them. What is done for one person is job.lua.

local core = require "cipherscale.core"
local guards = require "cipherscale.bulk.guards"
local Job = require "cipherscale.bulk.job"
local journal = require "cipherscale.bulk.journal"
local options = require "cipherscale.bulk.options"
local progress = require "cipherscale.bulk.progress"
local report = require "cipherscale.bulk.report"
local search = require "cipherscale.bulk.search"
local text = require "cipherscale.bulk.text"

local M = {}

--- Seconds: how old what a plan saw may be.
M.RECHECK = 300

local function refused(sentence)
  return core.error { kind = "refused", message = sentence }
end

-- Finds out who is protected. E-mails that the plan did not know of are found: it may know the
-- people by id alone.
function Job:protect()
  local known = {}
  for _, name in ipairs(self.story.header.limits.protect or {}) do known[name] = true end
  local find = search.new { client = self.client, tasks = self.tasks }
  local is_protected, names = find:protection({ self.client.protect, self.limits.protect }, known)
  local ok, err = find:run()
  local nobody = ok and find:unprotected()[1]
  if nobody then return nil, refused(("protect: nobody has the e-mail '%s'"):format(nobody)) end
  self.is_protected = #names > 0 and is_protected
  return ok, err
end

-- Everybody who is still to be changed.
local function open_people(case)
  local outcomes = case.story.outcomes
  return journal.people(case.book, case.story.header, function(person)
    local outcome = outcomes[person.n]
    return (not outcome or outcome.fate == "failed") and journal.to_change(person)
  end)
end

-- Where the service allows only so much, what is begun waits its turn inside the client, and would
-- still be sent after a stop. So no more people are under way than two seconds' worth.
function Job:hold_back()
  local rate = guards.pace(self.client)
  while rate and not self.stopped and self.under_way >= math.max(1, math.ceil(rate * 2)) do
    if self.progress then self:call("on_progress", self.progress) end
    self.signal = self.signal or {}
    self.tasks.scheduler:wait_for(self.signal)
    rate = guards.pace(self.client)
  end
end

-- Whom to change next; nil when there is nobody left, or the job stops.
function Job:next_person()
  if self.stopped then return nil end
  local ok, person = pcall(self.people)
  if not ok then
    -- A journal that cannot be written any more cannot be read either.
    if type(person) ~= "table" or person.kind ~= "journal" then error(person, 0) end
    self:stop("%s", tostring(person))
  elseif not person then
    return nil
  elseif self.max_duration and core.now() - self.begun >= self.max_duration then
    self:stop("max_duration of %s is over", text.duration(self.max_duration))
  elseif self.should_stop and self:call("should_stop", self.should_stop) then
    self:stop("should_stop said so")
  end
  return not self.stopped and person or nil
end

-- The first change is made alone, also without a canary: a client that may not send at all shows
-- it there.
function Job:run(tasks)
  self.people, self.tasks = open_people(self), tasks
  -- Also while the service is closed and nobody settles.
  tasks.scheduler.idle = self.progress and function() self:call("on_progress", self.progress) end
  local ok, err = self:protect()
  if not ok then return nil, err end
  local first = self.with_canary and self.canary or self.change
  repeat
    local person = self:next_person()
    local fate = person and first(self, person)
  until not person or fate == "changed" or fate == "verified" or fate and not self.with_canary
  local function work()
    repeat
      self:hold_back()
      self.under_way = self.under_way + 1 -- also while should_stop waits for an answer
      local somebody = self:next_person()
      if somebody then self:change(somebody) end
      self.under_way = self.under_way - 1
      if self.signal then -- others are held back
        tasks.scheduler:wake_waiters(self.signal)
        self.signal = nil
      end
    until not somebody
  end
  for _ = 1, tasks.scheduler.limit do tasks:spawn(work) end
  tasks:wait()
  if self.refusal then return nil, self.refusal end
  return true
end

-- The last record of a run. After an error nobody knows what became of what was under way.
function Job:close(clean, nothing_sent)
  local outcome = self.report
  self:write(journal.record("end", {
    at = os.time(), clean = clean, nothing_sent = nothing_sent or nil, stopped = outcome.stopped,
    alarm = outcome.alarm or nil, resume_at = outcome.resume_at, elapsed = self.took,
  }))
  self:keep(self.book:sync())
  if outcome.journal then self:keep(self.book:close()) end
end

-- What stands in a later map goes before what stands in an earlier one.
local function merged(...)
  local all = {}
  for _, map in ipairs { ... } do
    for name, value in pairs(map) do all[name] = value end
  end
  return all
end

-- One run over a journal that is open for writing.
local function run(case, given, limits, outcome)
  local now, story, path = core.now(), case.story, case.path
  outcome:begin()
  local job = setmetatable(merged(case, {
    report = outcome, outcomes = story.outcomes, limits = limits, resuming = story.opened ~= nil,
    on_result = given.on_result, should_stop = given.should_stop,
    progress = given.on_progress and progress.new(given.on_progress, case.client, outcome),
    max_duration = given.max_duration,
    recheck = given.recheck == nil and M.RECHECK or given.recheck,
    with_canary = given.canary ~= false and not case.verb.once,
    to_change = story.planned.to_change, failed = 0, unreachable = 0, under_way = 0,
    begun = now, synced = now, flushed = now,
  }), Job)
  local function work()
    local opened = job:write(journal.record("open", {
      at = os.time(), pid = core.journal.pid(), limits = limits,
    }))
    if not opened or not job:keep(job.book:sync()) then
      return nil, journal.failure(outcome.stopped)
    end
    return case.client:run(function(tasks) return job:run(tasks) end)
  end
  local ok, sent, err = pcall(work)
  if job.tasks then job.tasks.scheduler.idle = false end
  job.took = core.now() - now
  outcome.elapsed = story.elapsed + job.took
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

-- The facts of the plan, with the administrators as they are now where the plan takes some away:
-- earlier runs, or others, may have taken some already.
local function facts_of(case)
  local planned, lost = case.story.planned, 0
  if (planned.admins_lost or 0) == 0 then return planned end
  local admins, count = guards.admins(case.client)
  if not admins then return nil, count end
  for person in open_people(case) do
    if admins[person.user] and guards.takes_admin(person.change) then lost = lost + 1 end
  end
  return merged(planned, { admins = count, admins_lost = lost })
end

-- The limits of a run: what it is given goes before what the runs before it were given, and that
-- before what the plan was given. Who is protected stays so.
local function limits_of(story, given)
  local before = story.opened and story.opened.limits or story.header.limits
  local limits, protect = merged(before, options.limits(given)), { table.unpack(before.protect) }
  for _, name in ipairs(given.protect or {}) do protect[#protect + 1] = name end
  limits.protect = protect
  return limits
end

local function begin(case, given, outcome)
  local limits = limits_of(case.story, given)
  local facts, err = facts_of(case)
  if facts then
    local sentences = guards.ask("refuse", limits, facts)
    if #sentences == 0 then return run(case, given, limits, outcome) end
    err = refused(table.concat(sentences, "; "))
  end
  if case.path then case.book:close() end
  return nil, err
end

-- The case of a plan that is applied for the first time, or nil and an error. Its journal is read
-- anew: meanwhile it may have become another one, or have been applied.
local function reopen(plan)
  local path, book, err = plan.journal, plan.case.book, nil
  if path then book, err = journal.open(path) end
  if not book then return nil, err end
  local story, problem = journal.story(book, path)
  if story and story.header.line ~= plan.header.line then
    problem = path .. " holds another plan now"
  end
  if problem then
    err = journal.failure(problem)
  elseif story.opened then
    err = refused("this plan was applied already" .. (path
      and (": go on with client.bulk:resume %q"):format(path)
      or "; make a new one, which takes up what is left"))
  else
    return merged(plan.case, { book = book, story = story })
  end
  if path then book:close() end
  return nil, err
end

--- Applies a plan for the first time.
function M.plan(plan, given)
  local case, err = reopen(plan)
  if not case then return nil, err end
  plan.report = report.new(case)
  local outcome
  outcome, err = begin(case, given, plan.report)
  if outcome then return outcome end
  plan.report = nil
  return nil, err
end

--- Goes on with a job, or begins it.
--- @param case table of a journal that is open for writing
function M.resume(case, given)
  local outcome = report.new(case)
  if case.story.opened and outcome:left() == 0 then
    case.book:close()
    return outcome
  end
  return begin(case, given, outcome)
end

return M
