-- SPDX-License-Identifier: MIT
-- The API key in what comes back: wherever a server echoes it, nobody gets to see it in an error,
-- its text, a response table or an event.

local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local start = require("spec.support.server").start

local KEY = helper.key

-- Calls `visit` with every string in a value, keys of tables included.
local function each_string(value, visit, seen)
  seen = seen or {}
  if type(value) == "string" then
    visit(value)
  elseif type(value) == "table" and not seen[value] then
    seen[value] = true
    for name, field in pairs(value) do
      each_string(name, visit, seen)
      each_string(field, visit, seen)
    end
  end
end

local function assert_secret(value, key)
  key = (key or KEY):lower()
  local strings = 0
  each_string(value, function(text)
    strings = strings + 1
    assert.is_nil(text:lower():find(key, 1, true), "the key is in: " .. text:sub(1, 300))
  end)
  return strings
end

-- Makes a call that is answered so and looks everywhere; returns the error or the value.
local function look(answer, options)
  local events, response = {}, {}
  local merged = { max_retries = 0, on_event = function(event) events[#events + 1] = event end }
  for name, value in pairs(options or {}) do merged[name] = value end
  local server = start { answers = { answer } }
  local client = helper.client(server, merged)
  local key = merged.api_key or KEY
  local value, err = client.users:get("u1", { response = response, timeout = 5 })
  assert.equal(key, server:count() > 0 and server:requests()[1].headers.apikey or key)
  assert.is_true(#events > 0)
  assert_secret({ events, response, err or {}, tostring(err) }, key)
  assert.equal(0, core.in_use(client))
  client:close()
  server:stop()
  return err or value
end

describe("a key that the server echoes", function()
  it("is blanked in the body and the message", function()
    local err = look { status = 401, body = ('{"message":"the key %s is bad"}'):format(KEY) }
    assert.equal(("the key %s is bad"):format(("*"):rep(#KEY)), err.message)
    assert.equal(('{"message":"the key %s is bad"}'):format(("*"):rep(#KEY)), err.body)
    look { status = 401, body = KEY }
    look { status = 401, body = "<html>" .. KEY .. "</html>" }
    look { status = 401, body = ('{"error":{"code":"%s","message":["a","%s"]}}'):format(KEY, KEY) }
  end)

  it("is blanked as often as it stands there", function()
    look { status = 401, body = KEY:rep(20) }
    look { status = 401, body = KEY .. "x" .. KEY .. KEY:sub(1, 10) .. KEY }
  end)

  it("is blanked where the quotation or err.body ends within it", function()
    for shift = 0, 40 do
      for _, length in ipairs { 200, 4096 } do
        local err = look { status = 401, body = ("-"):rep(length - shift) .. KEY .. "-" }
        assert.is_nil(err.body:find("Test", 1, true))
        assert.is_nil(err.message:find("Test", 1, true))
      end
    end
  end)

  it("is blanked where the body was cut within it, from four characters on", function()
    local function cut(text, key)
      local raw = "HTTP/1.1 401 No\r\nContent-Length: 500\r\n\r\n-" .. text
      return look({ raw = raw, close = true }, { api_key = key }).body
    end
    for n = 4, #KEY do assert.equal("-" .. ("*"):rep(n), cut(KEY:sub(1, n))) end
    assert.equal("-" .. KEY:sub(1, 3), cut(KEY:sub(1, 3)))
    assert.equal("-" .. KEY:sub(2), cut(KEY:sub(2)))
    assert.equal("-" .. ("*"):rep(11), cut([[a%2fbc\u002]], "a/bc/d/e/f"))
    assert.equal("-" .. ("*"):rep(4), cut("a%2f", "a%2fb%2fc%2f"))
  end)

  it("is blanked in headers, the request id and the reason", function()
    local err = look { status = 401, reason = "No " .. KEY, headers = {
      ["X-Request-Id"] = KEY, ["WWW-Authenticate"] = ('Key realm="%s"'):format(KEY),
      [KEY] = "a name", ["X-Two"] = { KEY, KEY },
    } }
    assert.equal(("*"):rep(#KEY), err.request_id)
  end)

  it("is blanked in the headers of a success", function()
    look { body = "{}", headers = { ["X-Echo"] = KEY, Location = "/x?apikey=" .. KEY } }
  end)

  it("is blanked where the body cannot be read", function()
    for _, body in ipairs { KEY, "<html>" .. KEY, ('{"a":"%s"'):format(KEY), ('"%s"'):format(KEY),
                            ('{"%s":%s}'):format(KEY, KEY), ('["%s","b"]'):format(KEY) } do
      assert.equal("decode", look({ body = body }).kind)
    end
  end)

  it("is not shown by libcurl's own words", function()
    for _, raw in ipairs {
      KEY .. "\r\n\r\n", "HTTP/9.9 " .. KEY .. "\r\n\r\n", "HTTP/1.1 " .. KEY .. "\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: " .. KEY .. "\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: " .. KEY .. "\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" .. KEY,
      "HTTP/1.1 200 OK\r\n" .. KEY .. "\r\nContent-Length: 2\r\n\r\n{}",
      "HTTP/1.1 302 Found\r\nLocation: http://" .. KEY .. "/\r\nContent-Length: 0\r\n\r\n",
    } do
      look { raw = raw, close = true }
    end
  end)

  it("is blanked where JSON or a URL spells it otherwise", function()
    local key = [[a/b+c=d&e<f>g\h"i%j'k~0p@]]
    local function unicode(text)
      return (text:gsub(".", function(c) return ("\\u%04x"):format(c:byte()) end))
    end
    local spellings = {
      (key:gsub('[\\"]', "\\%0")), (key:gsub('[\\"/]', "\\%0")), unicode(key),
      unicode(key):upper():gsub("\\U", "\\u"),
      (key:gsub('[\\"<>&+=\']', unicode)),
      (key:gsub("[^%w]", function(c) return ("%%%02X"):format(c:byte()) end)),
      (key:gsub("[^%w]", function(c) return ("%%%02x"):format(c:byte()) end)),
    }
    for _, spelling in ipairs(spellings) do
      local body = ('{"message":"key %s","code":"%s"}'):format(spelling, spelling)
      local err = look({ status = 401, body = body }, { api_key = key })
      assert.is_nil(err.body:find(spelling, 1, true), err.body)
      err = look({ status = 401, body = "bad: " .. spelling }, { api_key = key })
      assert.equal("bad: " .. ("*"):rep(#spelling), err.body)
    end
  end)

  it("may be as short as four characters", function()
    look({ status = 401, body = "the key q7#Z is bad" }, { api_key = "q7#Z" })
  end)
end)

describe("a key that the user gave by mistake", function()
  it("as an id is not in the error", function()
    local server = start { answers = { { status = 404 } } }
    local client = helper.client(server)
    local _, err = client.users:get(KEY)
    assert_secret { err, tostring(err) }
    client:close()
    server:stop()
  end)
end)

describe("a key", function()
  it("is not in the error where nothing was sent", function()
    local port = require("spec.support.server").refused_port()
    local client = helper.client({ url = ("http://127.0.0.1:%d"):format(port) },
      { max_retries = 0 })
    local response = {}
    local _, err = client.users:get("u1", { response = response })
    assert.equal("network", err.kind)
    assert_secret { err, tostring(err), response }
    client:close()
    _, err = client.users:get "u1"
    assert.equal("closed", err.kind)
    assert_secret { err, tostring(err) }
  end)

  it("does not go where a redirect points", function()
    local other = start { answers = { { body = "{}" } } }
    look { status = 307, headers = { Location = other.url .. "/tenants/users/u1" } }
    assert.equal(0, other:count())
    other:stop()
  end)

  it("is not blanked out of what a success holds, which is the user's data", function()
    local value = look { body = ('{"note":"%s"}'):format(KEY) }
    assert.equal(KEY, value.note)
  end)
end)
