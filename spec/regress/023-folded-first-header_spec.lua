-- SPDX-License-Identifier: MIT
-- libcurl before 8.1 appended a first header line that begins with a space to a header of the
-- answer before, which was freed (curl issue 11101). The sanitizers see it; a plain run may not.
local helper = require "spec.support.helper"
local raw = require "spec.support.server"

local EMPTY_LIST = "Content-Length: 2\r\n\r\n[]"

describe("a first header line that begins with white space", function()
  local server, client

  after_each(function()
    client:close()
    server:stop()
  end)

  local function answers_after_a_first(text)
    server = raw.start { answers = { { body = "[]" }, { raw = text } } }
    client = helper.client(server, { max_retries = 0 })
    assert.same({}, client.users:roles("u1"))
    for _ = 1, 20 do
      local roles, err = client.users:roles("u2")
      assert.is_true(roles ~= nil or err.kind == "network")
    end
    assert.same({ 21 }, { server:count() })
  end

  it("does no harm to the answers after the first, on a kept connection", function()
    answers_after_a_first("HTTP/1.1 200 OK\r\n fol:ded\r\n" .. EMPTY_LIST)
  end)

  it("does none where it is a tab", function()
    answers_after_a_first("HTTP/1.1 200 OK\r\n\tfol:ded\r\n" .. EMPTY_LIST)
  end)

  it("does none where it is a long one", function()
    answers_after_a_first("HTTP/1.1 200 OK\r\n fol:" .. ("x "):rep(20000) .. "\r\n" .. EMPTY_LIST)
  end)

  it("does none in an interim answer, or behind one without headers", function()
    answers_after_a_first("HTTP/1.1 100 Continue\r\n fol:ded\r\n\r\n"
      .. "HTTP/1.1 200 OK\r\n" .. EMPTY_LIST)
    client:close()
    server:stop()
    answers_after_a_first("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"
      .. "HTTP/1.1 200 OK\r\n fol:ded\r\n" .. EMPTY_LIST)
  end)

  it("does none where libcurl reads another status than we do", function() -- 2^32 + 100
    answers_after_a_first("HTTP/2 4294967396\r\n\r\nHTTP/1.1 200 OK\r\n fol:ded\r\n" .. EMPTY_LIST)
  end)

  it("does none among the trailers", function()
    answers_after_a_first("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. "2\r\n[]\r\n0\r\n fol:ded\r\n\r\n")
  end)

  it("does none among the trailers of a proxy that refuses a tunnel", function()
    local refusal = "HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n%s:ded\r\n\r\n"
    server = raw.start { answers = { { raw = refusal:format("fol") },
      { raw = refusal:format(" fol") } } }
    client = helper.client({ url = "https://api.example/qa" },
      { proxy = server.url, max_retries = 0, connect_timeout = 0.1 })
    for _ = 1, 5 do -- libcurl itself does not see the end of such trailers
      local _, err = client.users:roles("u1")
      assert.is_true(err.kind == "network" or err.kind == "timeout")
    end
  end)

  it("leaves folding lines as they are behind another header", function()
    server = raw.start { answers = { { body = "[]" }, { raw =
      "HTTP/1.1 200 OK\r\nX-Request-Id: one\r\n two\r\n" .. EMPTY_LIST } } }
    client = helper.client(server, { max_retries = 0 })
    for _ = 1, 3 do
      local response = {}
      assert.same({}, client.users:roles("u1", nil, { response = response }))
      assert.equal(200, response.status)
    end
  end)
end)
