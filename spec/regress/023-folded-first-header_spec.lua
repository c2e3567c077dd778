-- SPDX-License-Identifier: MIT
-- libcurl before 8.1.1 appended a first header line that begins with a space to a header of the
-- answer before, which was freed (curl issue 11101). The sanitizers see it; a plain run may not.
local helper = require "spec.support.helper"
local raw = require "spec.support.server"

describe("a first header line that begins with a space", function()
  local server, client

  after_each(function()
    client:close()
    server:stop()
  end)

  it("does no harm to the answers after the first, on a kept connection", function()
    local folded = "HTTP/1.1 200 OK\r\n fol:ded\r\nContent-Length: 2\r\n\r\n[]"
    server = raw.start { answers = { { body = "[]" }, { raw = folded } } }
    client = helper.client(server, { max_retries = 0 })
    assert.same({}, client.users:roles("u1"))
    for _ = 1, 20 do
      local roles, err = client.users:roles("u2")
      assert.is_true(roles ~= nil or err.kind == "network")
    end
    assert.same({ 21 }, { server:count() })
  end)
end)
