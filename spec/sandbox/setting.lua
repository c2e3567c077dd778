-- SPDX-License-Identifier: MIT
-- What the specs share that speak to a sandbox without the client: one for each test, and short
-- ways to send and to read.

local assert = require "luassert"
local json = require "cipherscale.sandbox.json"
local setting = require "spec.support.setting"
local wire = require "spec.sandbox.wire"

local M = { start = setting.sandbox }

local server

--- Makes each test end its sandbox; `on_start(server, client)` is told of a new one.
function M.install(after_each, on_start)
  setting.install(after_each, function(a_client, a_server)
    server = a_server
    if on_start then on_start(a_server, a_client) end
  end)
end

--- Sends one request; gives status, body and head. `path` is below /tenants, `body` a text or what
--- is made one.
function M.send(method, path, body)
  return wire.send(server, {
    method = method, path = "/tenants" .. path, type = body and "application/json",
    body = type(body) == "table" and json.encode(body) or body,
  })
end

--- The decoded answer to what is not refused.
function M.get(path, method, body)
  local status, text = M.send(method or "GET", path, body)
  assert.is_true(status >= 200 and status < 300, status .. " " .. text)
  if text ~= "" then return json.decode(text) end
end

--- Sends what is refused with this status and a text that has `message` in it.
function M.refused(status, message, ...)
  local got, body = M.send(...)
  assert.equal(status, got, body)
  assert.truthy(body:find(message, 1, true), body)
end

--- One field of each record, in one text.
function M.words(records, field)
  local list = {}
  for i, record in ipairs(records) do list[i] = tostring(record[field]) end
  return table.concat(list, " ")
end

return M
