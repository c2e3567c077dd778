-- SPDX-License-Identifier: MIT
-- Structured concurrency over coroutines: `client:run(function(tasks) … end)`. The surface
-- is here, the loop that runs the tasks is scheduler.lua. One scheduler a client; a run is
-- a group of tasks in it, and ends when all of them have ended.

local scheduler = require "cipherscale.scheduler"

local unpack = table.unpack or unpack

local M = {}

--- What a run's function is given.
---@class cipherscale.Tasks
local Tasks = {}
Tasks.__index = Tasks
Tasks.__name = "cipherscale.tasks"

local function check_function(fn, n, name)
  if type(fn) ~= "function" then
    error(("bad argument #%d to '%s' (function expected, got %s)"):format(n, name, type(fn)), 3)
  end
end

local function check_task(self, task, name)
  if type(task) ~= "table" or getmetatable(task) ~= scheduler.Task then
    error(("bad argument #1 to '%s' (task expected, got %s)"):format(name, type(task)), 3)
  end
  if task.scheduler ~= self.scheduler then
    error(("bad argument #1 to '%s' (the task of another client)"):format(name), 3)
  end
end

--- Starts `fn(...)` as a task, and waits first while max_in_flight tasks are under way.
---@return table task
function Tasks:spawn(fn, ...)
  check_function(fn, 1, "spawn")
  return self.scheduler:spawn(self.group, fn, ...)
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

--- Cancels a task, or all that this run has spawned but the one that says so. A call that is pending
--- returns nil and an error of kind "cancelled"; a later one raises it.
function Tasks:cancel(task)
  if task == nil then return self.scheduler:cancel_group(self.group, true) end
  check_task(self, task, "cancel")
  self.scheduler:cancel(task)
end

local function iterator_of(items)
  if type(items) == "function" then return items end
  local i = 0
  return function()
    i = i + 1
    return items[i]
  end
end

--- Runs `fn(item)` for every item of a list or an iterator, many at once.
--- `for item, value, err in tasks:map(items, fn) do` gives the results in the order of the
--- items; no more than max_in_flight of them are held at a time.
function Tasks:map(items, fn)
  if type(items) ~= "function" and type(items) ~= "table" then
    error(("bad argument #1 to 'map' (list or iterator expected, got %s)")
      :format(type(items)), 2)
  end
  check_function(fn, 2, "map")
  local next_item, ended = iterator_of(items), false
  local limit = self.scheduler.limit
  local window, first, last = {}, 1, 0
  return function()
    while not ended and last - first + 1 < limit do
      local item = next_item()
      if item == nil then
        ended = true
      else
        last = last + 1
        window[last] = { item = item, task = self:spawn(fn, item) }
      end
    end
    local head = window[first]
    if not head then return nil end
    window[first] = nil
    first = first + 1
    return head.item, self:wait(head.task)
  end
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
end

return M
