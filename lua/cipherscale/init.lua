-- SPDX-License-Identifier: MIT
-- The public face: an unofficial client for the API of Cipherscale, a zero-trust VPN
-- service. Puts the Lua layer (tasks, bulk jobs, CSV) on the C core.

local core = require "cipherscale.core"
local bulk = require "cipherscale.bulk"
local csv = require "cipherscale.csv"
local pages = require "cipherscale.pages"
local strict = require "cipherscale.strict"
local tasks = require "cipherscale.tasks"
local time = require "cipherscale.time"

local M = {
  --- JSON's null inside an array; sends an explicit null in a body.
  null = core.null,
  --- Reads a CSV file; see csv.lua.
  csv = csv.open,
  --- An ISO 8601 date as UTC seconds, or nil; see time.lua.
  time = time.seconds,
  --- Every operation of the API that this module knows, a table each.
  operations = core.operations,
  version = core.version,
}

--- Makes a client. Raises what is wrong with the options; nothing is sent.
---@param options? cipherscale.Options
---@return cipherscale.Client client
function M.new(options)
  local client, members = core.new(options)
  tasks.attach(client, members)
  pages.attach(client)
  members.bulk = bulk.new(client)
  return client
end

--- Like the global assert, but shows an error record's text under Lua 5.1 and 5.2, too.
function M.assert(...)
  local value, err = ...
  if value then return ... end
  error(err == nil and "assertion failed!" or tostring(err), 2)
end

local function check_file(file)
  local kind = io.type(file) or type(file)
  local object = kind == "table" or kind == "userdata"
  if kind == "file" or object and pcall(function() assert(file.write) end) then return end
  error(("bad argument #1 to 'log_events' (open file expected, got %s)"):format(kind), 3)
end

--- A ready `on_event`: writes a line an attempt to an open file, or whatever has `write`.
---@param file file*
---@return function on_event
function M.log_events(file)
  check_file(file)
  return function(event)
    local outcome = event.status or event.kind or "-"
    local wait = event.delay and (" in %.1f s"):format(event.delay) or ""
    file:write(("%s %s %s %s attempt %d, %.3f s: %s%s (%s)\n"):format(
      event.operation, event.method, event.path, outcome, event.attempt, event.elapsed,
      event.next, wait, event.reason))
  end
end

return setmetatable(M, { __index = strict.index "member of cipherscale" })
