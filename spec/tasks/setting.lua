-- SPDX-License-Identifier: MIT
-- What the specs of tasks share: a server and a client for it, and that after each of them
-- nothing is in use any more.
local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local raw = require "spec.support.server"

local M = {}

local server, client, others, tell

--- Makes the spec file start and end each test; `on_start(client, server)` is told of both.
function M.install(before_each, after_each, on_start)
  tell = on_start
  before_each(function()
    others, tell = {}, on_start
  end)
  after_each(function()
    for _, other in ipairs(others) do
      assert(core.in_use(other) == 0, "a request is still in use")
      other:close()
    end
    if server then server:stop() end
    server, client = nil, nil
    tell(nil, nil)
  end)
end

--- Another client of the server.
function M.connect(options)
  local other = helper.client(server, options)
  others[#others + 1] = other
  return other
end

--- Starts a server, in place of an earlier one.
function M.start(script, options)
  if server then server:stop() end
  server = raw.start(script)
  client = M.connect(options)
  tell(client, server)
end

--- A server that answers each request; the order tells them apart.
function M.start_answering(options, delay)
  M.start({ answers = { { body = '[{"id":"r"}]', delay = delay } } }, options)
end

return M
