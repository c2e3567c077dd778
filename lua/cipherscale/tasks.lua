-- SPDX-License-Identifier: MIT
-- Structured concurrency over coroutines: `client:run(function(tasks) … end)`. The surface
-- is here, the loop that runs the tasks is scheduler.lua. One scheduler a client; a run is
-- a group of tasks in it, and ends when all of them have ended.

local core = require "cipherscale.core"
local scheduler = require "cipherscale.scheduler"
local strict = require "cipherscale.strict"

local create = core.create
local unpack = table.unpack or unpack

local M = {}

-- What a run's function is given (for editors: types.lua).
local Tasks = {}
Tasks.__index = Tasks
Tasks.__name = "cipherscale.tasks"
setmetatable(Tasks, { __index = strict.index "method of tasks" })

local function check_function(fn, n, name)
  if type(fn) ~= "function" then
    error(("bad argument #%d to '%s' (function expected, got %s)")
      :format(n, name, type(fn)), 3)
  end
end

local function check_running(self)
  if self.group.ended then error("the run has ended; nothing can be spawned in it", 3) end
end

local function check_task(self, task, name)
  if type(task) ~= "table" or getmetatable(task) ~= scheduler.Task then
    error(("bad argument #1 to '%s' (task expected, got %s)")
      :format(name, type(task)), 3)
  end
  if task.group.scheduler ~= self.scheduler then
    error(("bad argument #1 to '%s' (the task of another client)"):format(name), 3)
  end
end

--- Starts `fn(...)` as a task, and waits first while max_in_flight tasks are under way.
---@return table task
function Tasks:spawn(fn, ...)
  check_function(fn, 1, "spawn")
  check_running(self)
  return self.scheduler:spawn(self.group, create(fn, ...))
end

--- Waits for one task and gives what its function returned; a task that was cancelled gives
--- nil and an error of kind "cancelled". Without a task: waits for all that the running one
--- has spawned.
function Tasks:wait(task)
  if task == nil then return self.scheduler:wait_for_children(self.group) end
  check_task(self, task, "wait")
  self.scheduler:wait_for(task)
  return unpack(task.results, 1, task.results.n)
end

--- Cancels a task, or all that this run has spawned but the one that says so. A call that
--- is pending returns nil and an error of kind "cancelled"; a later one raises it.
function Tasks:cancel(task)
  if task == nil then
    return self.scheduler:cancel_group(self.group, self.scheduler.current, self.group.main)
  end
  check_task(self, task, "cancel")
  self.scheduler:cancel(task)
end

local function iterator_of(items)
  local meta = type(items) == "table" and getmetatable(items)
  if type(items) == "function" or type(meta) == "table" and meta.__call then return items end
  local i = 0
  return function()
    i = i + 1
    return items[i]
  end
end

-- One pass of `map`. Its workers are tasks that take the next item as soon as they have
-- done one, so that an item costs no task of its own. At most `bound` items are between
-- being taken and being given, in whatever order they end; item i is in slot i % bound + 1.
local function may_take(map)
  return not map.ended and not map.taking and map.taken - map.given < map.bound
end

-- Tells the consumer that the item it waits for is there, or that none will be.
local function tell(map)
  local signal, i = map.signal, map.given + 1
  if signal and (map.done[i % map.bound + 1] == i or map.workers == 0) then
    map.signal = nil
    map.scheduler:wake_waiters(signal)
  end
end

local work

-- Starts another worker where there is something for it to do.
local function top_up(map)
  if map.workers >= map.limit or not may_take(map) then return end
  map.workers = map.workers + 1
  local worker = {}
  map.scheduler:spawn(map.group, create(work, map, worker), function(results)
    map.workers = map.workers - 1
    local i = worker.item
    if i then -- cancelled in the middle of an item
      local slot = i % map.bound + 1
      map.ended, map.done[slot] = true, i
      map.values[slot], map.errors[slot] = nil, results[2]
    end
    tell(map)
  end)
end

work = function(map, worker)
  local bound, fn, next_item = map.bound, map.fn, map.next_item
  while not map.ended and not map.taking and map.taken - map.given < bound do
    map.taking = true -- the iterator may itself wait for an answer
    local item = next_item()
    map.taking = false
    if item == nil then
      map.ended = true
      return
    end
    local i = map.taken + 1
    local slot = i % bound + 1
    map.taken, map.items[slot], worker.item = i, item, i
    if map.workers < map.limit then top_up(map) end
    map.values[slot], map.errors[slot] = fn(item)
    map.done[slot], worker.item = i, nil
    if map.signal then tell(map) end
  end
end

-- The next item with its results, in the order of the items. Several tasks may share it.
local function give(map)
  if map.workers < map.limit then top_up(map) end
  local i, slot
  repeat
    i = map.given + 1
    slot = i % map.bound + 1
    local ready = map.done[slot] == i
    if not ready then
      if map.workers == 0 then return nil end
      map.signal = map.signal or {}
      map.scheduler:wait_for(map.signal)
    end
  until ready
  map.given = i
  local item, value, err = map.items[slot], map.values[slot], map.errors[slot]
  map.items[slot], map.values[slot], map.errors[slot] = false, false, false
  return item, value, err
end

--- Runs `fn(item)` for every item of a list or an iterator, max_in_flight at once.
--- `for item, value, err in tasks:map(items, fn) do` gives the results in the order of the
--- items. Up to four times as many are taken before the first of them is given.
function Tasks:map(items, fn)
  if type(items) ~= "function" and type(items) ~= "table" then
    error(("bad argument #1 to 'map' (list or iterator expected, got %s)")
      :format(type(items)), 2)
  end
  check_function(fn, 2, "map")
  check_running(self)
  local limit = self.scheduler.limit
  local map = {
    scheduler = self.scheduler, group = self.group, next_item = iterator_of(items), fn = fn,
    limit = limit, bound = 4 * limit, workers = 0, taken = 0, given = 0,
    ended = false, taking = false, items = {}, values = {}, errors = {}, done = {},
  }
  return function() return give(map) end
end

--- Gives a client its `run` method.
---@param client userdata
---@param members table the table behind the client's fields
function M.attach(client, members)
  local loop
  --- Runs `fn(tasks)` and all tasks that it spawns; returns what `fn` returns when all have
  --- ended. An error that a task raises cancels the others and is raised here: a string
  --- with its traceback, any other value as it is.
  function members.run(self, fn)
    if self ~= client then error("call it with a colon: client:run(fn)", 2) end
    check_function(fn, 1, "run")
    loop = loop or scheduler.new(client)
    local group = loop:new_group()
    local tasks = setmetatable({ scheduler = loop, group = group }, Tasks)
    local main = loop:run(group, fn, tasks)
    return unpack(main.results, 1, main.results.n)
  end
  core.tell(members.run, "(fn)  Runs fn(tasks), which can make many calls at once.")
end

return M
