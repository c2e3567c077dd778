-- SPDX-License-Identifier: MIT
-- What a failed operation returns: `nil, err`. Which fields err has, how the API's own error bodies
-- are understood, how it reads as text, and that the key is nowhere in it.

local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local setting = require "spec.support.setting"

local contains = helper.contains
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end, { max_retries = 0 })

local function serve(answer, options) setting.start({ answer }, options) end

-- The error of a read, or of another call, that is answered so.
local function error_of(answer, options, call)
  serve(answer, options)
  local value, err = (call or function() return client.users:get "u1" end)()
  assert.is_nil(value)
  assert.is_table(err)
  return err
end

local function from_body(body, status)
  return error_of { status = status or 400, body = body }
end

describe("an error answer", function()
  it("has the fields that say what was asked and answered", function()
    local err = error_of({ status = 404, body = '{"code":"E7","message":"no such user"}',
                           headers = { ["X-Request-Id"] = "r-1" } })
    local fields = {}
    for name, value in pairs(err) do fields[name] = value end
    assert.same({
      kind = "http", operation = "users.get", method = "GET", path = "/tenants/users/u1",
      status = 404, code = "E7", message = "no such user", attempts = 1, request_id = "r-1",
      body = '{"code":"E7","message":"no such user"}',
    }, fields)
    assert.equal("integer", math.type(err.status))
    assert.equal("integer", math.type(err.attempts))
  end)

  it("names each operation with its method and path, as sent", function()
    local calls = {
      ["users.page GET /tenants/users?limit=5"] = function()
        return client.users:page { limit = 5 }
      end,
      ["users.get GET /tenants/users/a%2Fb"] = function() return client.users:get "a/b" end,
      ["users.reactivate POST /tenants/users/u1/reactivate"] = function()
        return client.users:reactivate "u1"
      end,
      ["users.invite POST /tenants/users/u1/invite"] = function()
        return client.users:invite "u1"
      end,
      ["users.roles GET /tenants/users/u1/roles?rolesOnly=true"] = function()
        return client.users:roles("u1", { rolesOnly = true })
      end,
      ["users.update_roles PATCH /tenants/users/u1/roles"] = function()
        return client.users:update_roles "u1"
      end,
      ["users.add_to_group POST /tenants/users/u1/groups"] = function()
        return client.users:add_to_group("u1", "g1")
      end,
      ["roles.list GET /tenants/roles"] = function() return client.roles:list() end,
    }
    for expected, call in pairs(calls) do
      local err = error_of({ status = 418 }, nil, call)
      assert.equal(expected, ("%s %s %s"):format(err.operation, err.method, err.path))
    end
  end)

  it("has a path without the base URL's", function()
    serve { status = 404 }
    local other = helper.client(server, { base_url = server.url .. "/qa/v1" })
    local _, err = other.users:get "u1"
    other:close()
    assert.equal("/tenants/users/u1", err.path)
  end)

  it("is one for every status that is not 2xx", function()
    for _, status in ipairs { 300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 405, 409, 413, 422,
                              429, 451, 500, 501, 502, 503, 504, 599, 600, 999 } do
      local err = error_of { status = status }
      assert.equal("http", err.kind)
      assert.equal(status, err.status)
    end
  end)

  it("never follows a redirect", function()
    serve { status = 302, headers = { Location = "/tenants/users/u2" } }
    local _, err = client.users:get "u1"
    assert.equal(302, err.status)
    assert.equal(1, server:count())
  end)

  it("is ambiguous only where the service may have done the work", function()
    assert.is_nil(error_of({ status = 404 }, nil, function() return client.users:invite "u1" end)
      .ambiguous)
    assert.is_true(error_of({ status = 500 }, nil, function() return client.users:invite "u1" end)
      .ambiguous)
    assert.is_nil(error_of({ status = 500 }).ambiguous)
  end)
end)

describe("the message of an error answer", function()
  it("is the API's own in each of the usual shapes", function()
    for body, message in pairs {
      ['{"message":"nope"}'] = "nope",
      ['{"message":["a must be set","b is no email"]}'] = "a must be set; b is no email",
      ['{"message":["a",null,5,"b"]}'] = "a; b",
      ['{"error":"Bad Request","statusCode":400}'] = "Bad Request",
      ['{"statusCode":400,"message":"a must be set","error":"Bad Request"}'] = "a must be set",
      ['{"statusCode":400,"message":["a","b"],"error":"Bad Request"}'] = "a; b",
      ['{"error":{"code":"E1","message":"inner"}}'] = "inner",
      ['{"error":{"message":["x","y"]}}'] = "x; y",
      ['{"type":"about:blank","title":"Forbidden","status":403,"detail":"not you"}'] = "not you",
      ['{"type":"about:blank","title":"Forbidden","status":403}'] = "Forbidden",
      ['{"errors":["a","b"]}'] = "a; b",
      ['{"message":null,"error":"Bad"}'] = "Bad",
      ['{"message":"","error":"Bad"}'] = "Bad",
      ['{"message":"zo\\u00eb"}'] = "zo\u{EB}",
      [' \r\n {"message":"behind white space"}'] = "behind white space",
      ['\xEF\xBB\xBF{"message":"behind a mark"}'] = "behind a mark",
    } do
      assert.equal(message, from_body(body).message)
    end
  end)

  it("comes with the code, where there is one", function()
    for body, code in pairs {
      ['{"code":"E1","message":"m"}'] = "E1", ['{"errorCode":"E2","message":"m"}'] = "E2",
      ['{"code":17,"message":"m"}'] = 17, ['{"error":{"code":"E3","message":"m"}}'] = "E3",
      ['{"error":{"code":404,"message":"m"}}'] = 404,
    } do
      local err = from_body(body)
      assert.equal(code, err.code)
      assert.equal("m", err.message)
    end
    assert.is_nil(from_body('{"message":"m"}').code)
    assert.is_nil(from_body('{"message":"m","statusCode":400}').code)
  end)

  it("quotes a body of another shape", function()
    for body, quoted in pairs {
      ["plain words"] = "plain words", ["\n padded  \r\n"] = "padded",
      ['"a JSON string"'] = '"a JSON string"', ["[]"] = "[]",
      ['{"statusCode":400}'] = '{"statusCode":400}', ['{"error":{}}'] = '{"error":{}}',
      ['{"message":{"x":1}}'] = '{"message":{"x":1}}', ['{"message":true}'] = '{"message":true}',
      ['{"message":[]}'] = '{"message":[]}', ['{"message":"cut'] = '{"message":"cut',
      ["<html>\n  <body>502  Bad\tGateway</body>\r\n</html>"] =
        "<html> <body>502 Bad Gateway</body> </html>",
      ["a\0b\27[31mc"] = "a b [31mc",
    } do
      local err = from_body(body, 502)
      assert.equal(quoted, err.message)
      assert.equal(body, err.body)
      assert.equal("http", err.kind)
      assert.equal(502, err.status)
    end
  end)

  it("is always a string", function()
    for _, body in ipairs { '{"message":5}', '{"message":1.5,"code":2}', '{"message":[5]}', "5",
                            '{"error":5}', '{"error":{"message":5}}' } do
      assert.is_string(from_body(body).message)
    end
  end)

  it("is the reason where there is no body, or none that can be shown", function()
    contains("Not Found", error_of({ status = 404 }).message)
    contains("Very Odd", error_of({ status = 499, reason = "Very Odd" }).message)
    contains("Bad Request", from_body(" \r\n\t").message)
    contains("Bad Request", from_body("\0\1\2").message)
    assert.is_string(error_of({ raw = "HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n" }).message)
    assert.is_string(error_of({ raw = "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n" }).message)
  end)

  it("quotes the start of a long body, whole characters only", function()
    for _, unit in ipairs { "x", "\u{E9}", "\u{20AC}", "\u{1F600}" } do
      for shift = 0, 3 do
        local message = from_body(("y"):rep(shift) .. unit:rep(3000)).message
        assert.is_true(#message <= 210 and #message >= 190, #message)
        assert.is_truthy(utf8.len(message))
      end
    end
  end)

  it("is not parsed from JSON that is too deep", function()
    local err = from_body(("["):rep(1e5), 500)
    assert.equal("http", err.kind)
    assert.equal(500, err.status)
  end)
end)

describe("err.body", function()
  it("is the first 4 KiB of what was answered", function()
    assert.equal(("x"):rep(4095), from_body(("x"):rep(4095)).body)
    assert.equal(("x"):rep(4096), from_body(("x"):rep(4096)).body)
    assert.equal(("x"):rep(4096), from_body(("x"):rep(4097)).body)
    assert.equal(("x"):rep(4096), from_body(("x"):rep(100000)).body)
    assert.equal("a\0\xFF", from_body("a\0\xFF").body)
  end)

  it("is absent where nothing was answered", function()
    assert.is_nil(from_body("").body)
    assert.is_nil(error_of({ drop = true }).body)
  end)

  it("does not cut what the message is read from", function()
    local err = from_body('{"details":"' .. ("x"):rep(5000) .. '","message":"at the end"}')
    assert.equal("at the end", err.message)
    assert.equal(4096, #err.body)
  end)
end)

describe("err.request_id", function()
  it("is the service's id of the request, under its usual names", function()
    for name, value in pairs { ["X-Request-Id"] = "a", ["x-request-id"] = "b",
                               ["Request-Id"] = "c", ["X-Correlation-ID"] = "d" } do
      assert.equal(value, error_of({ status = 400, headers = { [name] = value } }).request_id)
    end
  end)

  it("is absent without one, or with an empty one", function()
    assert.is_nil(error_of({ status = 400 }).request_id)
    assert.is_nil(error_of({ status = 400, headers = { ["X-Request-Id"] = "" } }).request_id)
    assert.is_nil(error_of({ status = 400, headers = { ["X-My-Request-Id"] = "a" } }).request_id)
  end)

  it("is there for a body that could not be read, too", function()
    local err = error_of { body = "oops", headers = { ["X-Request-Id"] = "r-2" } }
    assert.equal("decode", err.kind)
    assert.equal("r-2", err.request_id)
  end)
end)

describe("err.retry_after", function()
  it("is the seconds that the server asked for", function()
    for text, seconds in pairs { ["7"] = 7, ["1.5"] = 1.5, ["0"] = 0, ["3600"] = 3600 } do
      local err = error_of { status = 429, headers = { ["Retry-After"] = text } }
      assert.equal(seconds, err.retry_after)
    end
  end)

  it("is reckoned from a date, 0 for one that is past", function()
    local function at(seconds)
      local date = os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + seconds)
      return error_of({ status = 503, headers = { ["Retry-After"] = date } }).retry_after
    end
    local ahead = at(600)
    assert.is_true(ahead >= 598 and ahead <= 600, tostring(ahead))
    assert.equal(0, at(-600))
  end)

  it("is absent where the header is absent or cannot be understood", function()
    assert.is_nil(error_of({ status = 429 }).retry_after)
    for _, text in ipairs { "soon", "-5", "", "1e3", ("9"):rep(200) } do
      assert.is_nil(error_of({ status = 429, headers = { ["Retry-After"] = text } }).retry_after)
    end
  end)
end)

describe("the text of an error", function()
  it("says which operation, what was answered, and why", function()
    assert.equal("users.get: HTTP 400: nope", tostring(from_body('{"message":"nope"}')))
    assert.equal("users.get: HTTP 404: Not Found", tostring(error_of { status = 404 }))
    local text = tostring(error_of { body = "oops" })
    assert.equal(1, (text:find("users.get: decode: ", 1, true)))
  end)

  it("says how often it was tried, how long to wait, and what may have been done", function()
    local text = tostring(error_of({ status = 500, body = '{"message":"m"}' }, nil, function()
      return client.users:invite "u1"
    end))
    assert.equal("users.invite: HTTP 500: m; the service may have done it", text)
    text = tostring(error_of({ status = 429, headers = { ["Retry-After"] = "0.01" } },
      { max_retries = 2, max_retry_wait = 0.05 }))
    assert.matches("%(after %d attempts%)", text)
    contains("asks to wait 0.01 s", text)
  end)

  it("is one line of bounded length without control characters", function()
    for _, body in ipairs {
      '{"message":"a\\nb\\u001b[31m\\u0000\\r\\tc"}', '{"message":"' .. ("y"):rep(100000) .. '"}',
      ("x"):rep(100000), '{"message":["' .. ("z"):rep(100000) .. '","\\n"]}', "a\nb\27c",
    } do
      local text = tostring(from_body(body))
      assert.is_nil(text:find "%c")
      assert.is_true(#text < 5000, #text)
    end
  end)

  it("can be asserted on and concatenated into messages", function()
    local err = from_body '{"message":"nope"}'
    local ok, message = pcall(require("cipherscale").assert, nil, err)
    assert.is_false(ok)
    contains("users.get: HTTP 400: nope", message)
    assert.equal(5, require("cipherscale").assert(5, err))
  end)

  it("names its type", function()
    assert.equal("cipherscale.error", debug.getmetatable(from_body "{}").__name)
  end)
end)

describe("core.error", function()
  it("makes an error record of the same kind from a table", function()
    local given = { kind = "cancelled", operation = "bulk.roles", message = "stopped" }
    local err = core.error(given)
    assert.equal(given, err)
    assert.equal("bulk.roles: cancelled: stopped", tostring(err))
    assert.equal(debug.getmetatable(from_body "{}"), debug.getmetatable(err))
  end)

  it("reads as text whatever its fields are", function()
    assert.equal("error", tostring(core.error {}))
    assert.equal("x", tostring(core.error { kind = "x" }))
    for _, odd in ipairs { {}, 5, true, print } do
      assert.is_string(tostring(core.error {
        kind = odd, operation = odd, message = odd, status = odd, attempts = odd,
        retry_after = odd, ambiguous = odd, code = odd, }))
    end
  end)

  it("takes nothing but a table", function()
    for _, value in ipairs { 5, "x", true } do
      contains("table expected", helper.message_of(core.error, value))
    end
    contains("table expected", helper.message_of(core.error))
  end)
end)
