-- SPDX-License-Identifier: MIT
-- What the specs of the core's journals share: for each test a folder with no journal in it yet,
-- and journals with records. They are collected behind each test, so that what they kept shows.

local core = require "cipherscale.core"
local scratch = require "spec.support.scratch"

local M = {}

local path

--- Makes each test of the spec file begin with a new folder; `on_start(path, folder)` is told of it
--- and of the journal's path.
function M.install(before_each, after_each, on_start)
  before_each(function()
    local folder = scratch.folder()
    path = folder .. "/audit.jsonl"
    on_start(path, folder)
  end)
  after_each(function() collectgarbage() end)
end

--- A new journal with n records, open.
function M.filled(n)
  local journal = assert(core.journal.create(path))
  for i = 1, n do assert(journal:append(('"kind":"plan","user":"u%d"'):format(i))) end
  return journal
end

return M
