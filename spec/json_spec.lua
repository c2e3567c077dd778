-- SPDX-License-Identifier: MIT
-- csrc/json.c as the Lua layer sees it: quote and decode.

local core = require "cipherscale.core"
local helper = require "spec.support.helper"

describe("quote", function()
  it("gives a JSON string that decodes to the same bytes", function()
    local all = {}
    for c = 0, 127 do all[#all + 1] = string.char(c) end
    for _, text in ipairs { "", "plain", 'a"b\\c/d', table.concat(all), "ü", "日本語", "😀",
        "\u{7FF}\u{800}\u{FFFF}\u{10000}\u{10FFFF}", ("x"):rep(1e6) .. '"' } do
      local quoted = core.quote(text)
      assert.equal(text, core.decode("[" .. quoted .. "]")[1])
      assert.is_nil(quoted:find "[%z\1-\31]")
    end
  end)

  it("escapes what must be, and nothing else", function()
    assert.equal([["a\"b\\c/\u000a\u0000\u001f]] .. '\127ü"', core.quote 'a"b\\c/\n\0\31\127ü')
  end)

  local bad = { "\128", "\255", "\xC0\x80", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80",
    "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "a\xE2\x82" }

  it("raises for bytes that are not UTF-8", function()
    for _, text in ipairs(bad) do
      assert.equal("bad argument #1 to 'quote' (valid UTF-8 expected, got other bytes)",
        helper.message_of(function() core.quote(text) end))
    end
    assert.is_false((pcall(core.quote, 12)))
    assert.is_false((pcall(core.quote)))
  end)

  it("puts U+FFFD for each of them when told to", function()
    for _, text in ipairs(bad) do
      local plain = text:gsub("[\128-\255]", "\u{FFFD}")
      assert.equal('"' .. plain .. '"', core.quote(text, true))
      assert.equal('"ü' .. plain .. 'ü"', core.quote("ü" .. text .. "ü", true))
    end
    assert.equal('"ü"', core.quote("ü", true))
  end)
end)

describe("decode", function()
  it("gives native values", function()
    local value = core.decode '{"a":null,"b":[null,1,1.5,9007199254740992],"c":"x","d":{"e":true}}'
    assert.same({ b = { core.null, 1, 1.5, 9007199254740992 }, c = "x", d = { e = true } }, value)
    assert.equal("integer", math.type(value.b[2]))
    assert.equal("integer", math.type(core.decode "7"))
    assert.is_false(core.decode "false")
    assert.equal(core.null, core.decode "null")
    assert.same({}, core.decode "\xEF\xBB\xBF[]")
  end)

  it("gives nil and a message for what is no JSON, or too deep", function()
    for _, text in ipairs { "", "{", "[1,]", "nul", "[NaN]", "[0x10]", "\xEF", "\xEF\xBB\xBF{",
        ("["):rep(101) .. ("]"):rep(101) } do
      local value, message = core.decode(text)
      assert.is_nil(value)
      assert.equal("string", type(message))
      assert.is_true(#message > 0)
    end
    assert.equal("table", type((core.decode(("["):rep(100) .. ("]"):rep(100)))))
  end)

  it("takes strings only", function()
    assert.is_false((pcall(core.decode, 12)))
    assert.is_false((pcall(core.decode)))
  end)

  it("takes halves of surrogate pairs for U+FFFD, and leaves pairs and text alone", function()
    for escaped, text in pairs {
      [ [[\ud800]] ] = "\u{FFFD}", [ [[\uDBFF]] ] = "\u{FFFD}", [ [[\udc00x]] ] = "\u{FFFD}x",
      [ [[\ud800\ud800]] ] = "\u{FFFD}\u{FFFD}", [ [[\udc00\ud800]] ] = "\u{FFFD}\u{FFFD}",
      [ [[\ud83d\ud83d\ude00]] ] = "\u{FFFD}\u{1F600}", [ [[\ud800\n]] ] = "\u{FFFD}\n",
      [ [[\ud800\u0041]] ] = "\u{FFFD}A", [ [[\\ud800\ud800]] ] = "\\ud800\u{FFFD}",
      [ [[\\\ud800\"]] ] = "\\\u{FFFD}\"",
      [ [[\ud7ff\ue000\udfff]] ] = "\u{D7FF}\u{E000}\u{FFFD}",
    } do
      assert.same({ text }, { assert(core.decode('["' .. escaped .. '"]'))[1] }, escaped)
    end
    local long = ([[{"a":"\ud83d\ude00","b":"\udfff"},]]):rep(1e5)
    local value = core.decode("\xEF\xBB\xBF[" .. long .. "1]")
    assert.equal(1e5 + 1, #value)
    assert.same({ a = "\u{1F600}", b = "\u{FFFD}" }, value[1e5])
  end)

  it("takes them for nothing else where the rest is damaged", function()
    for _, text in ipairs {
      [[{"a":"\ud800]], [[{"a":"\ud800"]], [[["\ud8"]], [[["\ud8]], [[["\ud80]], [[["\ud800\u]],
      [[["\ud800\udc]], [[["\ud800\]], [["\]], [[\ud800]], [=[["\ud800","\x"]]=],
    } do
      local value, message = core.decode(text)
      assert.is_nil(value, text)
      assert.equal("string", type(message))
    end
  end)
end)
