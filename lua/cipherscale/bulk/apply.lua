-- SPDX-License-Identifier: MIT
--
-- Runs a job over a plan: many at once, once the first change is made. A person who fails stops
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

local function refused(why) return core.error { kind = "refused", message = why } end

-- Finds out who is protected. E-mails that the plan did not know of are found: it may know the
-- people by id alone.
local function protect(job)
  local known = {}
  for _, name in ipairs(job.story.header.limits.protect or {}) do known[name] = true end
  local find = search.new { client = job.client, tasks = job.tasks }
  local is_protected, names = find:protection({ job.client.protect, job.limits.protect }, known)
  local ok, err = find:run()
  local nobody = ok and find:unprotected()[1]
  if nobody then return nil, refused(("protect: nobody has the e-mail '%s'"):format(nobody)) end
  job.is_protected = #names > 0 and is_protected
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
local function hold_back(job)
  local rate = guards.pace(job.client)
  while rate and not job.stopped and job.under_way >= math.max(1, math.ceil(rate * 2)) do
    local signal = job.signal or {}
    job.signal = signal -- before the callback, which may wait until the others have ended
    job:call("on_progress", job.progress)
    job.tasks.scheduler:wait_for(signal)
    rate = guards.pace(job.client)
  end
end

-- Whom to change next; nil when there is nobody left, or the job stops.
local function next_person(job)
  if job.stopped then return nil end
  local ok, person = pcall(job.people)
  if not ok then
    -- A journal that cannot be written any more cannot be read either.
    if type(person) ~= "table" or person.kind ~= "journal" then error(person, 0) end
    job:stop("%s", tostring(person))
  elseif not person then
    return nil
  elseif job.max_duration and core.now() - job.begun >= job.max_duration then
    job:stop("max_duration of %s is over", text.duration(job.max_duration))
  elseif job.should_stop and job:call("should_stop", job.should_stop) then
    job:stop("should_stop said so")
  end
  return not job.stopped and person or nil
end

local function run_tasks(job, tasks)
  job.people, job.tasks = open_people(job), tasks
  local ok, err = protect(job)
  if not ok then return nil, err end
  if job.progress then -- also while the service is closed and nobody settles
    job.watcher = function() job:call("on_progress", job.progress) end
    tasks.scheduler:add_watcher(job.watcher)
  end
  local function work()
    repeat
      hold_back(job)
      job.under_way = job.under_way + 1 -- also while should_stop waits for an answer
      local somebody = next_person(job)
      if somebody then job:change(somebody) end
      job.under_way = job.under_way - 1
      if job.signal then -- others are held back
        tasks.scheduler:wake_waiters(job.signal)
        job.signal = nil
      end
    until not somebody
  end
  for _ = 1, tasks.scheduler.limit do tasks:spawn(work) end
  tasks:wait()
  if job.refusal and not job.any_settled then return nil, job.refusal end
  return true
end

-- The last record of a run. After an error nobody knows what became of what was under way.
local function close(job, clean, nothing_sent)
  local outcome = job.report
  job:write(journal.record("end", {
    at = os.time(), clean = clean, nothing_sent = nothing_sent or nil, stopped = outcome.stopped,
    alarm = outcome.alarm or nil, resume_at = outcome.resume_at, elapsed = job.took,
  }))
  job:keep(job.book:sync())
  if outcome.journal then job:keep(job.book:close()) end
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
      at = os.time(), by = journal.user(), pid = core.journal.pid(), limits = limits,
    }))
    if not opened or not job:keep(job.book:sync()) then
      return nil, journal.failure(outcome.stopped)
    end
    return case.client:run(function(tasks) return run_tasks(job, tasks) end)
  end
  local ok, sent, err = pcall(work)
  if job.watcher then job.tasks.scheduler:remove_watcher(job.watcher) end
  job.took = core.now() - now
  outcome.elapsed = story.elapsed + job.took
  if not ok then job:stop("%s", tostring(sent)) end
  if ok and sent then job:call("on_progress", job.progress, true) end
  close(job, ok, ok and not sent)
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
  local limits = merged(before, options.limits(given))
  limits.protect = merged(before.protect)
  for _, name in ipairs(given.protect or {}) do table.insert(limits.protect, name) end
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
  return nil, err
end

-- A plan's journal is read anew: meanwhile it may have become another one, or have been applied.
local function begin_plan(plan, book, given)
  local path = plan.journal
  local story, problem = journal.story(book, path)
  if story and story.header.line ~= plan.header.line then
    problem = path .. " holds another plan now"
  end
  if problem then return nil, journal.failure(problem) end
  if story.opened or plan.report then
    return nil, refused("this plan was applied already" .. (path
      and (": go on with client.bulk:resume %q"):format(path)
      or "; make a new one, which takes up what is left"))
  end
  local case = merged(plan.case, { book = book, story = story })
  plan.report = report.new(case)
  local outcome, err = begin(case, given, plan.report)
  if not outcome then plan.report = nil end
  return outcome, err
end

--- Applies a plan for the first time.
function M.plan(plan, given)
  local path = plan.journal
  if not path then return begin_plan(plan, plan.case.book, given) end
  local book, err = journal.open(path)
  if not book then return nil, err end
  local outcome
  outcome, err = begin_plan(plan, book, given)
  book:close()
  return outcome, err
end

--- Goes on with a job, or begins it.
--- @param case table of a journal that is open for writing
function M.resume(case, given)
  local outcome = report.new(case)
  if case.story.opened and outcome:left() == 0 then return outcome end
  if outcome.alarm and given.canary ~= false then
    return nil, refused(outcome.stopped .. " (undo the job, or go on with canary = false)")
  end
  return begin(case, given, outcome)
end

return M
