-- SPDX-License-Identifier: MIT
-- Where cipherscale.null is sent, and where it is refused by that name.

local cipherscale = require "cipherscale"
local contract = require "spec.support.contract"
local helper = require "spec.support.helper"
local setting = require "spec.support.setting"

local client, server

setting.install(after_each, function(a_client, a_server) client, server = a_client, a_server end)
before_each(function() setting.start { { body = "{}" } } end)

describe("null", function()
  -- Were one nullable, it would have to be sent.
  it("is nothing that the contract takes in a body: it is refused by its name", function()
    local function nullable(schema)
      if type(schema) ~= "table" then return false end
      if schema.nullable then return true end
      local name = (schema["$ref"] or ""):match "[^/]+$"
      if name then return nullable(contract.document.components.schemas[name]) end
      for _, inner in pairs(schema) do
        if nullable(inner) then return true end
      end
      return false
    end
    for path, item in pairs(contract.document.paths) do
      for method, operation in pairs(item) do
        assert.is_false(nullable(operation.requestBody), method .. " " .. path)
      end
    end
    assert.equal("users.update: firstName: string expected, got null",
      helper.message_of(client.users.update, client.users, "u1", { firstName = cipherscale.null }))
    assert.equal(0, server:count())
  end)

  it("is sent by a client that does not check, and by request", function()
    local loose = helper.client(server, { validate = false })
    assert(loose.users:update("u1", { firstName = cipherscale.null }))
    loose:close()
    assert(client:request {
      method = "PATCH", path = "/x", body = { firstName = cipherscale.null } })
    for _, request in ipairs(server:requests()) do
      assert.equal('{"firstName":null}', request.body)
    end
    assert.equal(2, server:count())
  end)
end)
