-- SPDX-License-Identifier: MIT
-- What most specs share: a server that plays a script, clients of it, and that after each test no
-- request is in use any more and nothing stays open. A spec file that has
--
--   local setting = require "spec.support.setting"
--   local client, server
--   setting.install(after_each, function(a_client, a_server)
--     client, server = a_client, a_server
--   end)
--
-- begins its tests with setting.start or setting.sandbox, or with serve and connect.

local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local raw = require "spec.support.server"

local M = {}

local clients, servers, defaults = {}, {}, {}
local tell = function() end

--- Makes the spec file end what its tests start; `on_start(client, server)` is told of what start
--- or serve made, and of none behind a test. `options` are every client's, unless it says others.
function M.install(after_each, on_start, options)
  tell, defaults = on_start or tell, options or {}
  after_each(M.stop)
end

--- Ends every server and client. No request may be in use.
function M.stop()
  local ended, in_use = { clients, servers }, 0
  clients, servers = {}, {}
  for _, client in ipairs(ended[1]) do
    in_use = in_use + core.in_use(client)
    client:close()
  end
  for _, server in ipairs(ended[2]) do server:stop() end
  tell(nil, nil)
  if in_use > 0 then error(in_use .. " requests are still in use", 0) end
end

--- Starts a server, beside those that there are. `script` is one of spec.support.server, or the
--- list of its answers.
function M.serve(script)
  local server = raw.start(#script > 0 and { answers = script } or script)
  servers[#servers + 1] = server
  tell(nil, server)
  return server
end

local function with_defaults(options)
  local merged = {}
  for _, given in ipairs { defaults, options or {} } do
    for name, value in pairs(given) do merged[name] = value end
  end
  return merged
end

--- Makes a client of the newest server, or of another.
function M.connect(options, server)
  local client = helper.client(server or servers[#servers], with_defaults(options))
  clients[#clients + 1] = client
  return client
end

--- Starts a server and a client of it, in place of earlier ones.
function M.start(script, options)
  M.stop()
  local server = M.serve(script)
  tell(M.connect(options), server)
end

--- Starts a sandbox and a client of it, in place of earlier ones.
function M.sandbox(config, options)
  M.stop()
  local server = require("cipherscale.sandbox").start(config)
  servers[1] = server
  clients[1] = server:client(with_defaults(options))
  tell(clients[1], server)
end

return M
