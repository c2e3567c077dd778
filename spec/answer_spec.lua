-- SPDX-License-Identifier: MIT
-- What a 2xx answer becomes: native tables, `true`, or an error where the body is a surprise; how
-- large it may be; and what `response = t` is filled with. Lists and pages: answer_list_spec.lua.

local cipherscale = require "cipherscale"
local helper = require "spec.support.helper"
local setting = require "spec.support.setting"

local contains, serve = helper.contains, setting.start
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end, { max_retries = 0 })

local function read(answer, options)
  serve({ answer }, options)
  return client.users:get "u1"
end

-- A change that promises a table, or nothing; the response is the last value.
local function change(answer, options)
  serve({ answer }, options)
  local response = {}
  local value, err = client.users:reactivate("u1", { response = response })
  return value, err, response
end

local function nothing(answer, options)
  serve({ answer }, options)
  local response = {}
  local value, err = client.users:invite("u1", { response = response })
  return value, err, response
end

local function json(body) return { body = body } end

local function value_of(body) return assert(read(json(body))) end

local function compressed(command)
  local pipe = assert(io.popen(command .. " | gzip -c"))
  local bytes = pipe:read "*a"
  assert(pipe:close())
  return { body = bytes, headers = { ["Content-Encoding"] = "gzip" } }
end

describe("a native table", function()
  it("has no field where the answer has null", function()
    assert.same({ a = 1, c = {}, e = { { y = 2 } } },
      value_of '{"a":1,"b":null,"c":{"d":null},"e":[{"x":null,"y":2}]}')
    assert.same({}, value_of '{"a":null}')
    assert.same({ ["2"] = "b" }, value_of '{"1":null,"2":"b"}')
  end)

  it("keeps null in arrays, so that they have no holes", function()
    local list = value_of('{"list":[1,null,2,null]}').list
    assert.equal(4, #list)
    assert.same({ 1, cipherscale.null, 2, cipherscale.null }, list)
    assert.same({ { cipherscale.null } }, value_of('{"list":[[null]]}').list)
  end)

  it("has integers where numbers are whole, up to 2^53", function()
    for text, number in pairs {
      ["0"] = 0, ["-0"] = 0, ["1"] = 1, ["-1"] = -1, ["1.0"] = 1, ["1e3"] = 1000,
      ["123456789012345"] = 123456789012345, ["9007199254740991"] = 9007199254740991,
      ["9007199254740992"] = 9007199254740992, ["-9007199254740992"] = -9007199254740992,
    } do
      local got = value_of('{"n":' .. text .. "}").n
      assert.equal("integer", math.type(got), text)
      assert.equal(number, got)
      assert.equal(number, value_of('{"list":[' .. text .. "]}").list[1])
      assert.equal("integer", math.type(value_of('{"list":[[' .. text .. "]]}").list[1][1]))
    end
  end)

  it("has floats where numbers are not whole, or larger", function()
    for text, number in pairs {
      ["1.5"] = 1.5, ["-0.25"] = -0.25, ["1e-3"] = 0.001, ["1e300"] = 1e300,
      ["9007199254740994"] = 9007199254740994.0, ["12345678901234567890"] = 12345678901234567890.0,
      ["-1e20"] = -1e20,
    } do
      local got = value_of('{"n":' .. text .. "}").n
      assert.equal("float", math.type(got), text)
      assert.equal(number, got)
    end
  end)

  it("has tables for empty arrays and objects", function()
    assert.same({ a = {}, b = {}, c = { {} } }, value_of '{"a":[],"b":{},"c":[[]]}')
  end)

  it("has text in UTF-8, however it was escaped", function()
    assert.same({ a = "\u{E9}\u{1F600}\u{E9}", ["\u{E9}"] = "\0x\n\"\\/" },
      value_of '{"a":"\\u00e9\\uD83D\\ude00\u{E9}","\u{E9}":"\\u0000x\\n\\"\\\\\\/"}')
  end)

  it("keeps what the API does not document, and dates as strings", function()
    assert.same({ status = "HIBERNATING", new = { deep = true },
                  createdAt = "2024-02-30T25:00:00Z" },
      value_of '{"status":"HIBERNATING","new":{"deep":true},"createdAt":"2024-02-30T25:00:00Z"}')
  end)

  it("keeps names that look like numbers as strings", function()
    assert.same({ ["1"] = "a" }, value_of '{"1":"a"}')
  end)

  it("is read behind a byte order mark and between white space", function()
    assert.same({ a = 1 }, value_of '\xEF\xBB\xBF{"a":1}')
    assert.same({ a = 1 }, value_of ' \r\n\t{"a":1}\n \n')
  end)

  it("is read whatever Content-Type says", function()
    for _, kind in ipairs { "text/html", "text/plain; charset=utf-8", "application/xml", "x" } do
      assert.same({ a = 1 }, read { body = '{"a":1}', headers = { ["Content-Type"] = kind } })
    end
    assert.same({ a = 1 }, read { body = '{"a":1}', headers = { ["Content-Type"] = false } })
  end)

  it("is read from every 2xx answer, chunked and compressed ones, too", function()
    for _, status in ipairs { 200, 201, 202, 203, 206, 226, 299 } do
      assert.same({ a = 1 }, read { status = status, body = '{"a":1}' })
    end
    assert.same({ a = 1 }, read { body = '{"a":1}', chunked = true })
    assert.same({ a = 1 }, read { body = '{"a":1}', drip = { 1, 0 } })
    assert.same({ a = 1 }, read(compressed [[printf '{"a":1}']]))
  end)

  it("is read from the final answer behind interim ones", function()
    assert.same({}, read { raw = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nRetry-After: 9\r\n\r\n"
      .. "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" })
  end)

  it("may be a hundred levels deep", function()
    local body = '{"a":' .. ("["):rep(99) .. ("]"):rep(99) .. "}"
    local value = value_of(body).a
    for _ = 1, 98 do value = value[1] end
    assert.same({}, value)
  end)

  it("may be large", function()
    local items = {}
    for i = 1, 20000 do items[i] = ('{"id":%d,"x":null,"r":[null]}'):format(i) end
    local list = value_of('{"list":[' .. table.concat(items, ",") .. "]}").list
    assert.equal(20000, #list)
    assert.same({ id = 20000, r = { cipherscale.null } }, list[20000])
  end)

  it("is read although a finaliser may close the client at any moment", function()
    local items = {}
    for i = 1, 5000 do items[i] = ('{"id":%d,"name":"person number %d"}'):format(i, i) end
    local body = '{"list":[' .. table.concat(items, ",") .. "]}"
    for _ = 1, 5 do
      serve { json(body) }
      local closing = client
      setmetatable({}, { __gc = function() closing:close() end })
      local value, err = client.users:get "u1"
      if value then assert.equal(5000, #value.list) else assert.equal("closed", err.kind) end
      collectgarbage()
      local _, closed = client.users:get "u1"
      assert.equal("closed", closed.kind)
    end
  end)

  it("does not depend on the settings of the shared lua-cjson, nor changes them", function()
    local cjson = require "cjson"
    local depth = cjson.decode_max_depth()
    cjson.decode_max_depth(1)
    finally(function() cjson.decode_max_depth(depth) end)
    assert.same({ a = { { b = {} } } }, value_of '{"a":[{"b":{}}]}')
    assert.equal(1, cjson.decode_max_depth())
    assert.is_false(pcall(cjson.decode, "[[1]]"))
  end)
end)

-- Bodies that are not the object which is promised, and a part of the reason.
local SURPRISES = {
  { "nothing", "", "empty" }, { "text", "Invitation sent.", "" }, { "a string", '"x"', "object" },
  { "a number", "5", "object" }, { "null", "null", "object" }, { "true", "true", "object" },
  { "JSON that is cut off", '{"a":1', "" }, { "text behind JSON", '{"a":1} x', "" },
  { "two objects", '{"a":1}{"a":2}', "" }, { "a number with leading zeros", '{"a":01}', "number" },
  { "a hexadecimal number", '{"a":0x10}', "number" }, { "NaN", '{"a":NaN}', "" },
  { "-nan", '{"a":-nan}', "number" }, { "Infinity", '{"a":Infinity}', "" },
  { "inf", '{"a":inf}', "" }, { "a lone surrogate", '{"a":"\\ud83d"}', "escape" },
  { "single quotes", "{'a':1}", "" },
  { "a comment", '{"a":1} // x', "" }, { "only a byte order mark", "\xEF\xBB\xBF", "" },
  { "only white space", "  \n ", "" }, { "a NUL", "\0", "" }, { "bytes", "\xFF\xFE\0{", "" },
  { "101 levels", ("["):rep(101) .. ("]"):rep(101), "nested" },
  { "endless levels", ("["):rep(1e5), "nested" },
  { "endless objects", ('{"a":'):rep(1e5), "nested" },
  { "several objects in a list", '[{"a":1},{"a":2}]', "list" },
  { "a list of strings", '["a"]', "list" },
}

describe("a body that is no object, to a read,", function()
  for _, case in ipairs(SURPRISES) do
    it(("is an error of kind decode: %s"):format(case[1]), function()
      local value, err = read(json(case[2]))
      assert.is_nil(value)
      assert.equal("decode", err.kind)
      assert.equal(200, err.status)
      contains(case[3], err.message)
      assert.is_nil(err.ambiguous)
      assert.equal(case[2] ~= "" and case[2]:sub(1, 4096) or nil, err.body)
    end)
  end

  it("is an error where there is none at all", function()
    for _, answer in ipairs { { status = 204 }, { status = 205 }, { status = 200 } } do
      local value, err = read(answer)
      assert.is_nil(value)
      assert.equal("decode", err.kind)
      assert.equal(answer.status, err.status)
      assert.is_nil(err.body)
    end
  end)

  it("is an error where it is an empty list", function()
    local value, err = read(json "[]")
    assert.is_nil(value)
    assert.equal("decode", err.kind)
  end)

  it("is not asked for again", function()
    serve({ json "oops" }, { max_retries = 3 })
    local _, err = client.users:get "u1"
    assert.equal("decode", err.kind)
    assert.equal(1, err.attempts)
    assert.equal(1, server:count())
  end)

  it("is taken where it is a list of the one object", function()
    assert.same({ id = "u1" }, read(json '[{"id":"u1"}]'))
  end)
end)

describe("a body that is no object, to a change,", function()
  for _, case in ipairs(SURPRISES) do
    it(("is a success with a problem: %s"):format(case[1]), function()
      local value, err, response = change(json(case[2]))
      assert.same({}, value)
      assert.is_nil(err)
      assert.equal(200, response.status)
      contains(case[3], response.problem)
    end)
  end

  it("is a success where there is none at all", function()
    local value, err, response = change { status = 204 }
    assert.same({}, value)
    assert.is_nil(err)
    contains("empty", response.problem)
  end)

  it("is a success where the rest of it was lost or is too large", function()
    for _, answer in ipairs {
      { body = '{"id":"u1","x":"' .. ("y"):rep(500) .. '"}', cut = 200 },
      { body = '{"id":"u1","x":"' .. ("y"):rep(500) .. '"}', chunked = true, cut = 200 },
      { body = '{"id":"u1","x":"' .. ("y"):rep(1000) .. '"}' },
      { body = "not gzip", headers = { ["Content-Encoding"] = "gzip" } },
    } do
      local value, err, response = change(answer, { max_response_bytes = 600, max_retries = 3 })
      assert.same({}, value)
      assert.is_nil(err)
      assert.equal(200, response.status)
      assert.is_string(response.problem)
      assert.equal(1, server:count())
    end
  end)

  it("has no problem where it is the object", function()
    local value, err, response = change(json '{"id":"u1"}')
    assert.same({ id = "u1" }, value)
    assert.is_nil(err)
    assert.is_nil(response.problem)
  end)
end)

describe("an HTML page", function()
  local PAGES = {
    "<html>", "<!DOCTYPE html><p>Sign in", " \r\n\t<HTML>", "\xEF\xBB\xBF<html>", "<", "\n<?xml?>",
    "\v\f <html>",
  }

  it("is an error to a read, whatever Content-Type says", function()
    for _, page in ipairs(PAGES) do
      local value, err = read { body = page, headers = { ["Content-Type"] = "application/json" } }
      assert.is_nil(value)
      assert.equal("decode", err.kind)
      contains("HTML", err.message)
      assert.equal(page, err.body)
      assert.is_nil(err.ambiguous)
    end
  end)

  it("is an error to a change, which may or may not have been made", function()
    for _, page in ipairs(PAGES) do
      for _, call in ipairs { change, nothing } do
        local value, err, response = call { body = page, headers = { ["Content-Type"] = "x/y" } }
        assert.is_nil(value)
        assert.equal("decode", err.kind)
        assert.is_true(err.ambiguous)
        assert.equal(200, response.status)
      end
    end
  end)

  it("is one although it is too large to be kept, or cut off", function()
    for _, call in ipairs { change, nothing } do
      local value, err = call({ body = "<" .. ("x"):rep(200) }, { max_response_bytes = 100 })
      assert.is_nil(value)
      assert.is_true(err.ambiguous)
      value, err = call { body = "<html>" .. ("x"):rep(200), cut = 150 }
      assert.is_nil(value)
      assert.is_true(err.ambiguous)
    end
  end)

  it("is none where another character comes first", function()
    for _, text in ipairs { "Invitation <b>sent</b>", "&lt;", "\0", "." } do
      assert.is_true((nothing(json(text))))
    end
  end)
end)

describe("an answer to a change that promises nothing", function()
  it("is true whatever its body", function()
    for _, body in ipairs { "Invitation sent.", "", '{"ok":false}', "{", "null", "\0\xFF", "  ",
                            ("["):rep(1e5) } do
      local value, err, response = nothing(json(body))
      assert.is_true(value)
      assert.is_nil(err)
      assert.is_nil(response.problem)
    end
  end)

  it("is true for every 2xx", function()
    for _, status in ipairs { 200, 201, 202, 204, 205, 207, 299 } do
      local value, err, response = nothing { status = status }
      assert.is_true(value)
      assert.is_nil(err)
      assert.equal(status, response.status)
    end
  end)

  it("is exactly one value", function()
    serve { json "Invitation sent." }
    assert.equal(1, select("#", client.users:invite "u1"))
    assert.equal(1, select("#", client.users:update_roles "u1"))
    assert.equal(1, select("#", client.users:add_to_group("u1", "g1")))
  end)

  it("is true where it was cut off or is too large, and response.problem says so", function()
    for _, answer in ipairs { { body = ("x"):rep(1000) }, { body = ("x"):rep(500), cut = 200 } } do
      local value, err, response = nothing(answer, { max_response_bytes = 600, max_retries = 3 })
      assert.is_true(value)
      assert.is_nil(err)
      assert.is_string(response.problem)
      assert.equal(1, server:count())
    end
  end)
end)
