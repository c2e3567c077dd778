-- SPDX-License-Identifier: MIT
--
-- Lines of text that are written once and read once, in order: in memory, or in a temporary file
-- that has no name and so leaves nothing behind.

local core = require "cipherscale.core"

local M = {}

local function fail(problem)
  error(core.error { kind = "journal", message = "temporary file: " .. tostring(problem) }, 0)
end

local Spool = {}
Spool.__index = Spool

--- @param on_disk boolean
function M.new(on_disk)
  local file, problem
  if on_disk then
    file, problem = io.tmpfile()
    if not file then fail(problem) end
  end
  return setmetatable({ file = file, count = 0 }, Spool)
end

--- Adds a line, which must not contain a newline.
function Spool:add(line)
  self.count = self.count + 1
  if not self.file then
    self[self.count] = line
    return
  end
  local ok, problem = self.file:write(line, "\n")
  if not ok then fail(problem) end
end

--- Iterates over the lines, and forgets each as it is given.
function Spool:drain()
  local n = 0
  if self.file then
    local ok, problem = self.file:seek("set")
    if not ok then fail(problem) end
  end
  return function()
    n = n + 1
    if n > self.count then return nil end
    if self.file then return self.file:read("l") end
    local line = self[n]
    self[n] = false
    return line
  end
end

function Spool:close()
  if self.file then self.file:close() end
  self.file, self.count = nil, 0
end

return M
