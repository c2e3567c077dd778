-- SPDX-License-Identifier: MIT
-- The loop behind tasks.lua. A call in a task parks its request and yields; the core
-- submits it, and the loop resumes the task with the answer.
--
-- Slots bound how many tasks are under way. A spawner at the bound hands its slot to the new
-- task and waits for another, so tasks that spawn tasks cannot starve each other. A task that
-- waits for others gives its slot up, and goes on without one.
--
-- An interrupt (Ctrl-C) can raise at any instruction of the loop, so nothing relies on two
-- statements being done together: `recover` puts together what is left.

local core = require "cipherscale.core"

local yield = coroutine.yield
local close_coroutine = coroutine.close or function() end

local Task = { __name = "cipherscale.task" }
local Scheduler = {}
Scheduler.__index = Scheduler

local NO_RESULTS = { n = 0 }

local function failure(err)
  return { n = 2, nil, err }
end

-- A first-in, first-out queue, linked through the tasks: a task is on one at most.
local function new_queue()
  return { first = false, last = false }
end

local function push(queue, task)
  task.next = false
  if queue.first then
    queue.last.next = task
  else
    queue.first = task
  end
  queue.last = task
end

local function pop(queue)
  local task = queue.first
  if task then queue.first = task.next end
  return task
end

-- Takes a task out of the middle.
local function remove(queue, task)
  local before, each = false, queue.first
  while each and each ~= task do before, each = each, each.next end
  if not each then return end
  if before then before.next = task.next else queue.first = task.next end
  if queue.last == task then queue.last = before end
end

local function cancelled_error()
  return core.error { kind = "cancelled", message = "the task was cancelled" }
end

local function refuse_cancelled(task)
  if task and task.cancelled then error(cancelled_error(), 0) end
end

-- Slots ------------------------------------------------------------------------------------

local function make_ready(self, task)
  if task.state == "ready" or task.state == "done" then return end
  task.state = "ready"
  push(self.ready, task)
end

-- The task goes on as soon as it has a slot.
local function want_slot(self, task)
  if not task.has_slot then
    if self.slots <= 0 then
      task.state = "slotless"
      return push(self.slotless, task)
    end
    self.slots = self.slots - 1
    task.has_slot = true
  end
  make_ready(self, task)
end

local function release_slot(self, task)
  if not task.has_slot then return end
  task.has_slot = false
  local heir = self.slots >= 0 and pop(self.slotless)
  if heir then
    heir.has_slot = true
    make_ready(self, heir)
  else
    self.slots = self.slots + 1
  end
end

-- Life of a task ---------------------------------------------------------------------------

-- The tasks of a group that have not ended are a list, linked through the tasks.
local function enlist(group, task)
  local first = group.first
  task.after = first
  if first then first.before = task end
  group.first = task
end

local function delist(group, task)
  local before, after = task.before, task.after
  if before then before.after = after else group.first = after end
  if after then after.before = before end
end

function Scheduler:new_group()
  return { scheduler = self, first = false }
end

local function new_task(group, parent, coroutine)
  local task = setmetatable({
    group = group, parent = parent, coroutine = coroutine, state = "new",
    has_slot = false, started = false, cancelled = false, request = false, children = 0,
    waiters = false, on_end = nil, next = false, before = false, after = false,
  }, Task)
  if parent then parent.children = parent.children + 1 end
  enlist(group, task)
  return task
end

--- Ends what `wait_for` waits for: a task, or any table.
function Scheduler:wake_waiters(awaited)
  local waiters = awaited.waiters
  awaited.state = "done"
  for i = 1, waiters and #waiters or 0 do make_ready(self, waiters[i]) end
end

local function finish(self, task, results)
  local group, parent = task.group, task.parent
  task.results = results
  task.state = "done"
  task.coroutine = false
  delist(group, task)
  release_slot(self, task)
  if task.waiters then self:wake_waiters(task) end
  if task.on_end then task.on_end(results) end
  if parent then
    parent.children = parent.children - 1
    if parent.children == 0 and parent.waits_for_children then
      parent.waits_for_children = nil
      make_ready(self, parent)
    end
  end
  if not group.first then
    self.groups[group] = nil
    if group.waiter then make_ready(self, group.waiter) end
  end
end

function Scheduler:fail(task, err)
  local cancellation = task.cancelled and type(err) == "table" and err.kind == "cancelled"
  local group = task.group
  if cancellation or group.failed then
    close_coroutine(task.coroutine)
    return finish(self, task, failure(err))
  end
  if type(err) == "string" then err = debug.traceback(task.coroutine, err) end
  group.failed, group.err = true, err
  close_coroutine(task.coroutine) -- its variables may have to be closed
  finish(self, task, failure(err))
  return self:cancel_group(group)
end

function Scheduler:cancel(task)
  if task.state == "done" or task.cancelled then return end
  task.cancelled = true
  if task == self.current then self.core.refuse(true) end
  if task.state == "calling" then
    self.core.cancel(task.request)
    self.untold = true
  elseif task.inner_group then
    self:cancel_group(task.inner_group) -- its end wakes the task
  elseif task.state == "waiting" then
    local waiters = task.waits_among or {}
    for i = #waiters, 1, -1 do
      if waiters[i] == task then table.remove(waiters, i) end
    end
    task.waits_for_children = nil
    make_ready(self, task)
  end
end

-- Cancels the tasks of a group, but not the ones that are given.
function Scheduler:cancel_group(group, spared, also_spared)
  local tasks, task = {}, group.first -- a copy: cancelling may end tasks
  while task do
    tasks[#tasks + 1] = task
    task = task.after
  end
  for _, each in ipairs(tasks) do
    if each ~= spared and each ~= also_spared then self:cancel(each) end
  end
end

-- Resuming ---------------------------------------------------------------------------------

local function resume(self, task)
  local outer, request = self.current, task.request
  if task.cancelled and not task.started then -- it never began
    return finish(self, task, failure(cancelled_error()))
  end
  task.state, task.request, task.started = "running", false, true
  self.current = task
  local what, value = self.core_resume(task.coroutine, task.cancelled,
    outer and outer.coroutine, request)
  self.current = outer
  if outer then self.core.refuse(outer.cancelled) end -- meanwhile it may have been
  if what == true then return finish(self, task, value or NO_RESULTS) end
  if what == nil then return self:fail(task, value) end
  if what then
    task.state, task.request = "calling", what
    self.calling[what] = task
  elseif task.state == "running" and self.recovering then
    close_coroutine(task.coroutine) -- it was cancelled, and may yield for ever
    finish(self, task, failure(cancelled_error()))
  elseif task.state == "running" then
    make_ready(self, task) -- it yielded by itself: let others run, and the network
    self.core.step(0)
  end
end

-- The task whose request is done, or nil.
local function next_answered(self)
  local request = self.next_done()
  while request do
    local task = self.calling[request]
    self.calling[request] = nil
    if task then return task end
    self.core.deliver(request) -- its task was lost to an interrupt
    request = self.next_done()
  end
end

-- Runs tasks until state[field] is `value`.
function Scheduler:drive(state, field, value)
  local ready = self.ready
  while state[field] ~= value do
    local untold = self.untold
    local task = not untold and (next_answered(self) or pop(ready))
    if untold then
      self.untold = false
      self.core.tell() -- whom it tells may run others, also to the end: look anew
    elseif task then
      resume(self, task)
    elseif next(self.calling) then
      self.core.step(60)
      for _, watcher in ipairs(self.watchers) do watcher() end
    else
      error("all tasks wait for each other", 0)
    end
  end
end

--- Has `watcher` called each time that answers, or the end of a wait, have been waited for.
function Scheduler:add_watcher(watcher)
  self.watchers = { watcher, table.unpack(self.watchers) } -- the old list may just be gone through
end

function Scheduler:remove_watcher(watcher)
  local rest = {}
  for _, other in ipairs(self.watchers) do
    if other ~= watcher then rest[#rest + 1] = other end
  end
  self.watchers = rest
end

-- Waiting ----------------------------------------------------------------------------------

-- The task that runs this code, if it may yield here.
function Scheduler:running()
  return self.core.running() and self.current or nil
end

-- Puts the running task to sleep until somebody makes it ready.
function Scheduler:sleep(task)
  task.state = "waiting"
  release_slot(self, task)
  yield()
end

-- Where the code cannot yield, the others are run from here; the slot is theirs meanwhile. A
-- task that is waited for gets it first: else one after another would begin on top of this
-- one, and wait likewise, until the C stack is full.
function Scheduler:drive_without_slot(state, field, value)
  local holder = self.current
  local had_slot = holder and holder.has_slot
  if had_slot and state.state == "slotless" then
    remove(self.slotless, state)
    holder.has_slot, state.has_slot = false, true
    make_ready(self, state)
  elseif had_slot then
    release_slot(self, holder)
  end
  self:drive(state, field, value)
  if had_slot then
    holder.has_slot = true
    self.slots = self.slots - 1 -- below zero until others end
  end
end

function Scheduler:wait_for(task)
  if task.state == "done" then return end
  if task == self.current then error("a task cannot wait for itself", 3) end
  refuse_cancelled(self.current)
  local waiter = self:running()
  if not waiter then return self:drive_without_slot(task, "state", "done") end
  local waiters = task.waiters or {}
  task.waiters, waiter.waits_among = waiters, waiters
  waiters[#waiters + 1] = waiter
  self:sleep(waiter)
  waiter.waits_among = nil
  refuse_cancelled(waiter)
end

function Scheduler:wait_for_children(group)
  refuse_cancelled(self.current)
  local waiter = self:running()
  if not waiter then
    return self:drive_without_slot(self.current or group.main, "children", 0)
  end
  if waiter.children == 0 then return end
  waiter.waits_for_children = true
  self:sleep(waiter)
  refuse_cancelled(waiter)
end

--- Starts a coroutine, made by `core.create`, as a task of the group. `on_end(results)`, if
--- there is one, is called when it has ended, in whatever way.
function Scheduler:spawn(group, coroutine, on_end)
  local current = self.current
  if current and current.cancelled then refuse_cancelled(current) end
  if group.ended then error("the run has ended", 0) end -- an iterator of map that outlived it
  local task = new_task(group, current or group.main, coroutine)
  task.on_end = on_end
  local spawner = self.slots <= 0 and self:running()
  if not spawner then
    want_slot(self, task)
    return task
  end
  task.has_slot, spawner.has_slot = spawner.has_slot, false
  want_slot(self, task)
  want_slot(self, spawner)
  yield()
  refuse_cancelled(spawner)
  return task
end

-- Runs -------------------------------------------------------------------------------------

-- Allocates nothing: it has to work when memory has run out.
function Scheduler:forget_all()
  self.current = nil
  self.core.reset()
  self.ready.first, self.slotless.first, self.slots = false, false, self.limit
end

-- The tasks that have not ended. Links back may be wrong, links forward are always right.
function Scheduler:survivors()
  local tasks = {}
  for group in pairs(self.groups) do
    local task = group.first
    group.first, group.waiter = false, nil
    while task do
      local after = task.after
      if task.state ~= "done" then tasks[#tasks + 1] = task end
      task = after
    end
  end
  for _, task in ipairs(tasks) do
    task.before, task.after = false, false
    enlist(task.group, task)
  end
  return tasks
end

-- After an interrupt: cancels every task and runs them to their ends; what raises again is
-- dropped where it stands. Which task waits for which request is the core's knowledge.
function Scheduler:recover()
  self.calling = {}
  self:forget_all()
  for _, task in ipairs(self:survivors()) do
    local request = self.core.request_of(task.coroutine)
    local waiters = task.waits_among or {}
    for i = #waiters, 1, -1 do waiters[i] = nil end
    task.cancelled, task.has_slot, task.waiters = true, false, false
    task.waits_among, task.waits_for_children, task.inner_group = nil, nil, nil
    task.request, task.state = request or false, "calling"
    if request and self.core.cancel(request) then
      self.calling[request] = task
    else
      make_ready(self, task)
    end
  end
  self.recovering = true
  local ended = pcall(function()
    for group in pairs(self.groups) do self:drive(group, "first", false) end
  end)
  self.recovering = false
  if not ended then
    for _, task in ipairs(self:survivors()) do
      local request = self.core.request_of(task.coroutine)
      if request and not self.core.cancel(request) then self.core.deliver(request) end
      close_coroutine(task.coroutine)
    end
    self.calling = {}
    self:forget_all()
  end
  self.groups = {}
  next_answered(self) -- none has a task any more: lets all of them go
  self.core.tell(true)
end

function Scheduler:run(group, fn, tasks)
  refuse_cancelled(self.current)
  local caller = self:running()
  -- An interrupt may have cut one short before or after its loop; on_event may run another
  -- in the loop.
  local driving = self.driving
  if not driving and next(self.groups) then self:recover() end
  self.groups[group] = true
  local main = new_task(group, nil, core.create(fn, tasks))
  group.main = main
  want_slot(self, main)
  if caller then
    group.waiter, caller.inner_group = caller, group
    self:sleep(caller)
    caller.inner_group = nil
  elseif self.current then
    local ok, err = pcall(self.drive_without_slot, self, group, "first", false)
    if not ok then
      self:cancel_group(group)
      pcall(self.drive, self, group, "first", false)
      group.ended = true
      error(err, 0)
    end
  else
    self.driving = true
    local ok, err = pcall(self.drive, self, group, "first", false)
    self.driving = driving
    if not ok then
      self:recover()
      group.ended = true
      error(err, 0)
    end
  end
  group.ended = true
  if group.failed then error(group.err, 0) end
  refuse_cancelled(caller)
  return main
end

local M = { Task = Task }

--- A scheduler for the tasks of one client.
---@param client userdata
function M.new(client)
  local scheduling = core.schedule(client)
  return setmetatable({
    core = scheduling, core_resume = scheduling.resume, next_done = scheduling.next_done,
    limit = scheduling.limit, slots = scheduling.limit,
    ready = new_queue(), slotless = new_queue(),
    groups = {},  -- runs that have not ended
    driving = false, untold = false,
    calling = {}, -- request -> the task that waits for it
    current = nil,
    watchers = {},
  }, Scheduler)
end

return M
