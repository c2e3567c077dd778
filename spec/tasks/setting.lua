-- SPDX-License-Identifier: MIT
-- What the specs of tasks share beside spec.support.setting: calls that can be told apart.
local setting = require "spec.support.setting"

local M = { connect = setting.connect, start = setting.start, sandbox = setting.sandbox }

local client

--- Makes the spec file end what its tests start; `on_start(client, server)` is told of both.
function M.install(after_each, on_start)
  setting.install(after_each, function(a_client, a_server)
    client = a_client
    on_start(a_client, a_server)
  end)
end

--- A server that answers each request; the order tells them apart.
function M.start_answering(options, delay)
  M.start({ { body = '[{"id":"r"}]', delay = delay } }, options)
end

--- A call of the client.
function M.ask(id)
  return client.users:roles(tostring(id or "u1"))
end

return M
