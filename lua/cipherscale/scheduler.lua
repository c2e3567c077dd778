-- SPDX-License-Identifier: MIT
-- The loop behind tasks.lua. A call in a task parks its request and yields; the loop
-- submits it, and resumes the task with the answer.
--
-- Slots bound how many tasks are under way. A task that waits in spawn or wait holds none:
-- a spawner at the bound hands its own slot to the new task, so tasks that spawn tasks
-- cannot starve each other.
--
-- An interrupt (Ctrl-C) can raise at any instruction of the loop, so nothing relies on two
-- statements being done together: `recover` puts together what is left.

local core = require "cipherscale.core"

local unpack = table.unpack or unpack
local can_yield = coroutine.isyieldable or function() return true end
local close_coroutine = coroutine.close or function() end

local Task = { __name = "cipherscale.task" }
local Scheduler = {}
Scheduler.__index = Scheduler

local function pack(...)
  return { n = select("#", ...), ... }
end

local function new_queue()
  return { first = 1, last = 0 }
end

local function push(queue, item)
  queue.last = queue.last + 1
  queue[queue.last] = item
end

local function pop(queue)
  local item = queue[queue.first]
  if item == nil then return nil end
  queue[queue.first] = nil
  queue.first = queue.first + 1
  return item
end

local function cancelled_error()
  return core.error { kind = "cancelled", message = "the task was cancelled" }
end

-- Slots ------------------------------------------------------------------------------------

function Scheduler:make_ready(task)
  task.state = "ready"
  push(self.ready, task)
end

-- The task goes on as soon as it has a slot.
function Scheduler:want_slot(task)
  if not task.has_slot then
    if self.slots <= 0 then
      task.state = "slotless"
      return push(self.slotless, task)
    end
    self.slots = self.slots - 1
    task.has_slot = true
  end
  self:make_ready(task)
end

function Scheduler:release_slot(task)
  if not task.has_slot then return end
  task.has_slot = false
  local heir = self.slots >= 0 and pop(self.slotless)
  if heir then
    heir.has_slot = true
    self:make_ready(heir)
  else
    self.slots = self.slots + 1
  end
end

-- Life of a task ---------------------------------------------------------------------------

function Scheduler:new_group()
  return { live = 0, tasks = {}, waiters = {} }
end

function Scheduler:new_task(group, parent, fn, ...)
  local task = setmetatable({
    scheduler = self, group = group, parent = parent, children = 0, waiters = {},
    state = "new", arguments = pack(...), coroutine = coroutine.create(fn),
  }, Task)
  if parent then parent.children = parent.children + 1 end
  group.live = group.live + 1
  group.tasks[task] = true
  self.live[task] = true
  return task
end

function Scheduler:wake(waiters)
  for i = 1, #waiters do
    local waiter = waiters[i]
    waiters[i] = nil
    self:want_slot(waiter)
  end
end

function Scheduler:finish(task, results)
  local group, parent = task.group, task.parent
  task.state, task.done, task.results, task.coroutine = "done", true, results, nil
  self.live[task] = nil
  group.tasks[task] = nil
  group.live = group.live - 1
  self:release_slot(task)
  self:wake(task.waiters)
  if parent then
    parent.children = parent.children - 1
    if parent.children == 0 and parent.waits_for_children then
      parent.waits_for_children = nil
      self:want_slot(parent)
    end
  end
  if group.live == 0 then self:wake(group.waiters) end
end

function Scheduler:fail(task, err)
  local cancellation = task.cancelled and type(err) == "table" and err.kind == "cancelled"
  local group = task.group
  if not cancellation and not group.failed then
    if type(err) == "string" then err = debug.traceback(task.coroutine, err) end
    group.failed, group.err = true, err
    self:finish(task, pack(nil, err))
    return self:cancel_group(group)
  end
  self:finish(task, pack(nil, err))
end

function Scheduler:cancel(task)
  if task.done or task.cancelled then return end
  task.cancelled = true
  if task.state == "calling" then
    core.cancel(self.client, task.request)
  elseif task.inner_group then
    self:cancel_group(task.inner_group) -- its end wakes the task
  elseif task.state == "waiting" then
    task.waits_for_children = nil
    local waiters = task.waits_among or {}
    for i = #waiters, 1, -1 do
      if waiters[i] == task then table.remove(waiters, i) end
    end
    self:want_slot(task)
  end
end

function Scheduler:cancel_group(group, but_running)
  local spared = but_running and self:running()
  local tasks = {} -- cancelling may end tasks, which changes the set
  for task in pairs(group.tasks) do tasks[#tasks + 1] = task end
  for _, task in ipairs(tasks) do
    if task ~= spared and not (but_running and task == group.main) then self:cancel(task) end
  end
end

-- Resuming ---------------------------------------------------------------------------------

-- What came back from resuming a task: it ended, raised, or waits for something.
function Scheduler:settle(task, request, ok, ...)
  if not ok then return self:fail(task, (...)) end
  if coroutine.status(task.coroutine) == "dead" then return self:finish(task, pack(...)) end
  if request then
    task.state, task.request = "calling", request
    self.calling[request] = task
  elseif task.state == "running" then
    self:make_ready(task) -- it yielded by itself: let others run
  end
end

function Scheduler:left(task, previous, ...)
  local request = core.leave(self.client)
  self.current = previous
  if previous then core.enter(self.client, previous.coroutine, previous.cancelled) end
  return self:settle(task, request, ...)
end

function Scheduler:resume(task)
  local previous, request, arguments = self.current, task.request, task.arguments
  task.state, task.request, task.arguments = "running", nil, nil
  if arguments and task.cancelled then
    return self:finish(task, pack(nil, cancelled_error())) -- it never began
  end
  self.current = task
  core.enter(self.client, task.coroutine, task.cancelled)
  if request then
    return self:left(task, previous,
      coroutine.resume(task.coroutine, core.deliver(self.client, request)))
  elseif arguments then
    return self:left(task, previous,
      coroutine.resume(task.coroutine, unpack(arguments, 1, arguments.n)))
  end
  return self:left(task, previous, coroutine.resume(task.coroutine))
end

function Scheduler:collect()
  local request = core.next_done(self.client)
  while request do
    local task = self.calling[request]
    self.calling[request] = nil
    self:make_ready(task)
    request = core.next_done(self.client)
  end
end

-- Runs tasks until state[field] is `value`.
function Scheduler:drive(state, field, value)
  while state[field] ~= value do
    local task = pop(self.ready)
    if task then
      if not task.done then self:resume(task) end
    else
      self:collect()
      if self.ready.first > self.ready.last then
        if not next(self.calling) then error("all tasks wait for each other", 0) end
        core.step(self.client, 60)
      end
    end
  end
end

-- Waiting ----------------------------------------------------------------------------------

-- The task that runs this code, if it may yield here.
function Scheduler:running()
  local task = self.current
  if task and coroutine.running() == task.coroutine and can_yield() then return task end
end

local function refuse_cancelled(task)
  if task and task.cancelled then error(cancelled_error(), 0) end
end

-- Puts the running task to sleep until somebody calls want_slot for it.
function Scheduler:sleep(task)
  task.state = "waiting"
  self:release_slot(task)
  coroutine.yield()
end

-- Where the code cannot yield, the others are run from here; the slot is theirs meanwhile.
function Scheduler:drive_without_slot(state, field, value)
  local holder = self.current
  local had_slot = holder and holder.has_slot
  if had_slot then self:release_slot(holder) end
  self:drive(state, field, value)
  if had_slot then
    holder.has_slot = true
    self.slots = self.slots - 1 -- below zero until others end
  end
end

function Scheduler:wait_for(task)
  if task.done then return end
  local waiter = self:running()
  if task == self.current then error("a task cannot wait for itself", 3) end
  refuse_cancelled(waiter)
  if not waiter then return self:drive_without_slot(task, "done", true) end
  task.waiters[#task.waiters + 1] = waiter
  waiter.waits_among = task.waiters
  self:sleep(waiter)
  waiter.waits_among = nil
  refuse_cancelled(waiter)
end

function Scheduler:wait_for_children(group)
  local waiter = self:running()
  refuse_cancelled(waiter)
  if not waiter then
    return self:drive_without_slot(self.current or group.main, "children", 0)
  end
  if waiter.children == 0 then return end
  waiter.waits_for_children = true
  self:sleep(waiter)
  refuse_cancelled(waiter)
end

function Scheduler:spawn(group, fn, ...)
  local spawner = self:running()
  refuse_cancelled(self.current)
  if group.ended then error("the run has ended; nothing can be spawned in it", 3) end
  local task = self:new_task(group, self.current or group.main, fn, ...)
  if self.slots <= 0 and spawner and spawner.has_slot then
    spawner.has_slot, task.has_slot = false, true
    self:make_ready(task)
    self:want_slot(spawner)
    coroutine.yield()
    refuse_cancelled(spawner)
  else
    self:want_slot(task)
  end
  return task
end

-- Runs -------------------------------------------------------------------------------------

-- After an interrupt: cancels every task and runs them to their ends; what raises again is
-- dropped where it stands.
function Scheduler:recover()
  local request = core.leave(self.client)
  local task = self.current
  self.current = nil
  self.ready, self.slotless, self.slots = new_queue(), new_queue(), self.limit
  if request and task then
    task.state, task.request = "calling", request
    self.calling[request] = task
  end
  for live in pairs(self.live) do
    live.cancelled, live.has_slot = true, false
    local pending = live.request
    if not (pending and core.cancel(self.client, pending)) then
      if pending then self.calling[pending] = nil end
      self:make_ready(live)
    end
  end
  local everything = setmetatable({}, { __index = function()
    return next(self.live) == nil
  end })
  if pcall(self.drive, self, everything, "ended", true) then return end
  for live in pairs(self.live) do
    if live.request then core.cancel(self.client, live.request) end
    close_coroutine(live.coroutine)
  end
  self.live, self.calling = {}, {}
  self.ready, self.slotless, self.slots = new_queue(), new_queue(), self.limit
  repeat
    request = core.next_done(self.client)
    if request then core.deliver(self.client, request) end
  until not request
end

function Scheduler:run(group, fn, tasks)
  local caller = self:running()
  refuse_cancelled(self.current)
  local main = self:new_task(group, nil, fn, tasks)
  group.main = main
  self:want_slot(main)
  if caller then
    group.waiters[1] = caller
    caller.inner_group = group
    self:sleep(caller)
    caller.inner_group = nil
  elseif self.current then
    self:drive_without_slot(group, "live", 0)
  else
    local ok, err = pcall(self.drive, self, group, "live", 0)
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
  return setmetatable({
    client = client, limit = core.limit(client), slots = core.limit(client),
    ready = new_queue(), slotless = new_queue(),
    live = {},    -- tasks that have not ended
    calling = {}, -- request -> the task that waits for it
    current = nil,
  }, Scheduler)
end

return M
