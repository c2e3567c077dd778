-- SPDX-License-Identifier: MIT
-- How csrc/url.c writes URLs: path templates, ids as path segments, queries.

local probe = require "spec.support.probe"

local function encoded(bytes)
  local buffer = probe.buffer(1e6)
  assert(probe.url_encode(buffer, bytes) == "ok")
  return (buffer:bytes())
end

describe("a path template", function()
  it("has the parameters between its braces, in order", function()
    assert.same({ "id" }, probe.url_params "/tenants/users/{id}/roles")
    assert.same({ "id", "device" }, probe.url_params "/users/{id}/devices/{device}")
    assert.same({ "a", "b" }, probe.url_params "{a}{b}")
  end)

  it("has none without braces", function()
    assert.same({}, probe.url_params "/tenants/roles")
    assert.same({}, probe.url_params "")
  end)

  it("has none where a brace is not closed", function()
    assert.same({}, probe.url_params "/users/{id")
    assert.same({ "id" }, probe.url_params "/users/{id}/{rest")
    assert.same({}, probe.url_params "/users/}id{")
  end)
end)

describe("percent-encoding", function()
  it("leaves unreserved characters as they are", function()
    local unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
    assert.equal(unreserved, encoded(unreserved))
  end)

  it("escapes every other byte with upper-case digits", function()
    for code = 0, 255 do
      local byte = string.char(code)
      local expected = byte:find "^[%w%-%._~]$" and byte or ("%%%02X"):format(code)
      assert.equal(expected, encoded(byte), "byte " .. code)
    end
  end)

  it("escapes bytes at the ends and beside each other", function()
    assert.equal("%20%20a%2Fb%20", encoded "  a/b ")
    assert.equal("%25", encoded "%")
    assert.equal("%2525", encoded "%25")
    assert.equal("Zo%C3%AB", encoded "Zoë")
    assert.equal("%00", encoded "\0")
    assert.equal("", encoded "")
  end)

  it("keeps runs of any length", function()
    local run = ("x"):rep(70000)
    assert.equal(run .. "%2F" .. run, encoded(run .. "/" .. run))
  end)

  it("stops at the buffer's limit, which may fall inside of an escape", function()
    assert.equal("ok", probe.url_encode(probe.buffer(3), "/"))
    assert.equal("too large", probe.url_encode(probe.buffer(2), "/"))
    assert.equal("too large", probe.url_encode(probe.buffer(4), "ab/"))
    assert.equal("too large", probe.url_encode(probe.buffer(4), "/ab"))
  end)
end)

describe("an id", function()
  local function problem(id) return probe.url_id_problem(id) end

  it("is any text that is not empty", function()
    for _, id in ipairs { "a", "0", " ", "a b", "a@b.example", "%2e%", "ü", "\u{1F600}", "\xFF",
                          ("x"):rep(10000) } do
      assert.is_nil(problem(id), id:sub(1, 20))
    end
    assert.equal("an empty string", problem "")
  end)

  it("has no control character anywhere", function()
    for code = 0, 0x1F do
      local c = string.char(code)
      for _, id in ipairs { c, "a" .. c, c .. "a", "a" .. c .. "b", "a/" .. c } do
        assert.equal("one with a control character", problem(id), ("%q"):format(id))
      end
    end
    assert.equal("one with a control character", problem "a\x7Fb")
    assert.is_nil(problem "a\x80b")
  end)

  it("has no part between slashes that is . or ..", function()
    for _, id in ipairs { ".", "..", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "/.", "/..",
                          "./", "../", "//..", "..//", "..\\a", "a\\..", "a\\..\\b", "\\..", ".\\",
                          "a/..\\b", "a\\../b", "../../roles/x", "..;x", "a;.." } do
      assert.equal("one with a dot segment", problem(id), id)
    end
  end)

  it("may have dots otherwise", function()
    for _, id in ipairs { "...", "a.", ".a", "a..", "..a", "a..b", ".a/b.", ".../a", "a/...",
                          "/", "a/b", "\\", "a\\b" } do
      assert.is_nil(problem(id), id)
    end
  end)

  it("is refused for dot segments after a control character, too", function()
    assert.is_not_nil(problem "..\0")
    assert.is_not_nil(problem "\0/..")
  end)
end)

describe("an id that is encoded already", function()
  local function problem(id) return probe.url_id_problem(id) end

  it("has no dot segment either, however often it is decoded", function()
    for _, id in ipairs { "%2e", "%2E%2e", ".%2e", "..%2froles", "a%2F..", "a%5c..", "..%3bx",
                          "%252e", "%2525252e", "%25%32%65", "%%32e", "%%32%%36%%35" } do
      local decoded = id
      repeat
        local before = decoded
        decoded = decoded:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
      until decoded == before
      assert.equal(decoded:find "%f[^\0/;\\]%.%.?%f[\0/;\\]" and "one with a dot segment" or nil,
        problem(id), id)
    end
  end)

  it("may have escapes otherwise, and half ones", function()
    for _, id in ipairs { "%", "%2", "%2x", "%zz", "100%", "a%2Fb", "%2F%2F", "%2e%2e%2e", "%252",
                          ("%"):rep(10000), ("%25"):rep(10000), ("%2"):rep(10000),
                          ("%25%32"):rep(10000) } do
      assert.is_nil(problem(id), id:sub(1, 20))
    end
    assert.equal("one with a dot segment", problem("%" .. ("25"):rep(20000) .. "2e"))
  end)
end)

describe("a query", function()
  it("begins with ? and goes on with &", function()
    local buffer = probe.buffer(100)
    assert.equal("ok", probe.url_query(buffer, true, "limit", "50"))
    assert.equal("ok", probe.url_query(buffer, false, "offset", "0"))
    assert.equal("?limit=50&offset=0", (buffer:bytes()))
  end)

  it("percent-encodes names and values", function()
    local buffer = probe.buffer(100)
    probe.url_query(buffer, true, "a b", "c&d=e?#\0")
    assert.equal("?a%20b=c%26d%3De%3F%23%00", (buffer:bytes()))
  end)

  it("may have an empty value", function()
    local buffer = probe.buffer(100)
    probe.url_query(buffer, true, "a", "")
    assert.equal("?a=", (buffer:bytes()))
  end)

  it("stops at the buffer's limit, wherever that falls", function()
    for limit = 0, 5 do
      local fits = limit == 5
      local buffer = probe.buffer(limit)
      assert.equal(fits and "ok" or "too large", probe.url_query(buffer, true, "ab", "c"))
      assert.equal(fits and "?ab=c" or "", (buffer:bytes()))
    end
  end)
end)
