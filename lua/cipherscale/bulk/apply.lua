-- SPDX-License-Identifier: MIT
--
-- Sends the changes of a plan, one call a person, many at once. A person who fails stops nobody
-- else. What stops a job stops it cleanly: nothing new is begun, what is under way ends, and the
-- report knows about each.

local core = require "cipherscale.core"
local nearest = require "cipherscale.bulk.nearest"
local report = require "cipherscale.bulk.report"

local M = {}

local OPTIONS = { "on_progress", "on_result" }
-- Seconds between two calls of on_progress, and those over which the rate is taken.
local PROGRESS_EVERY, RATE_OVER = 0.1, 5
-- The client itself said no: whatever is tried next would not be sent either.
local NEVER_SENT = { refused = true, closed = true }

--- Why these are no options of apply, or nil.
function M.problem(options)
  if options == nil then return nil end
  if type(options) ~= "table" then
    return ("table of options expected, got %s"):format(type(options))
  end
  for name, value in pairs(options) do
    local problem = nearest.unknown("option", name, OPTIONS)
    if problem then return problem end
    if type(value) ~= "function" then
      return ("%s: function expected, got %s"):format(name, type(value))
    end
  end
  return nil
end

-- Calls on_progress at most ten times a second, and once at the end.
local function new_progress(callback, outcome, total)
  local last
  local samples, oldest, newest = { { at = core.now(), done = 0 } }, 1, 1
  return function(final)
    if not callback then return end
    local now = core.now()
    if last and now - last < PROGRESS_EVERY and not final then return end
    last = now
    local done = outcome.changed + outcome.failed
    newest = newest + 1
    samples[newest] = { at = now, done = done }
    while now - samples[oldest].at > RATE_OVER and oldest < newest - 1 do
      samples[oldest] = nil
      oldest = oldest + 1
    end
    local since = samples[oldest]
    local rate = now > since.at and (done - since.done) / (now - since.at) or 0
    callback {
      phase = "apply", done = done, total = total,
      changed = outcome.changed, failed = outcome.failed,
      rate = rate, eta = rate > 0 and (total - done) / rate or nil,
    }
  end
end

local Job = {}
Job.__index = Job

-- A callback that raises ends the job; its error is raised again once everything has come to rest.
function Job:call(name, callback, argument)
  if not callback or self.raised then return end
  local ok, problem = pcall(callback, argument)
  if ok then return end
  self.raised = { value = problem }
  self.report.stopped = ("%s raised an error: %s"):format(name, tostring(problem))
end

-- Changes the n-th person; gives nil, err where nothing could be sent at all.
function Job:change(n)
  local plan, outcome = self.plan, self.report
  local person = plan.people[n]
  local ok, err = plan.verb.send(plan.client, person.id, person.change)
  if not ok and NEVER_SENT[err.kind] and outcome.changed + outcome.failed == 0 then
    return nil, err
  end
  outcome:settle(n, ok and "changed" or "failed", err)
  if self.on_result then self:call("on_result", self.on_result, outcome:row(n)) end
  self:call("on_progress", self.progress)
  return true
end

-- The first change is sent alone: a client that may not send at all shows it there.
function Job:run(tasks)
  local first = true
  for n, person in ipairs(self.plan.people) do
    if self.raised then break end
    if not person.change.nothing then
      if first then
        local sent, err = self:change(n)
        if not sent then return nil, err end
        first = false
      else
        tasks:spawn(self.change, self, n)
      end
    end
  end
  tasks:wait()
  return true
end

--- Applies a plan.
function M.run(plan, options)
  if plan.report then
    return nil, core.error {
      kind = "refused", operation = "plan.apply",
      message = "this plan was applied already; make a new one, which takes up what is left",
    }
  end
  local outcome = report.new(plan)
  local job = setmetatable({
    plan = plan, report = outcome, on_result = options.on_result,
    progress = options.on_progress and new_progress(options.on_progress, outcome, plan.to_change),
  }, Job)
  plan.report = outcome
  local begun = core.now()
  local ok, sent, err = pcall(plan.client.run, plan.client, function(tasks)
    return job:run(tasks)
  end)
  outcome.elapsed = core.now() - begun
  if not ok then
    outcome.stopped = tostring(sent)
    error(sent, 0)
  end
  if not sent then
    plan.report = nil
    return nil, err
  end
  job:call("on_progress", job.progress, true)
  if job.raised then error(job.raised.value, 0) end
  return outcome
end

return M
