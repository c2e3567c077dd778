-- SPDX-License-Identifier: MIT
-- csrc/seen.c: a set that remembers hashes and the order of keys, and little else.

local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local memory = require "spec.support.memory"

describe("a set of seen keys", function()
  it("is empty at first", function()
    local set = core.seen()
    assert.equal(0, set:count())
    assert.is_nil(set:find "a")
    assert.equal("cipherscale.seen (0 keys)", tostring(set))
    assert.equal("cipherscale.seen", getmetatable(set))
  end)

  it("numbers keys in the order in which they first come", function()
    local set = core.seen()
    local function add(key)
      local ordinal, is_new = set:add(key)
      return { ordinal, is_new }
    end
    assert.same({ 1, true }, add "b")
    assert.same({ 2, true }, add "a")
    assert.same({ 1, false }, add "b")
    assert.same({ 3, true }, add "c")
    assert.same({ 2, false }, add "a")
    assert.equal(3, set:count())
    assert.equal(2, set:find "a")
    assert.is_nil(set:find "d")
    assert.equal(3, set:count())
  end)

  it("takes any bytes, and tells apart what differs in one of them or in length", function()
    local set, n = core.seen(), 0
    local function fresh(key)
      local ordinal, is_new = set:add(key)
      n = n + 1
      return is_new and ordinal == n
    end
    for length = 0, 40 do
      assert.is_true(fresh(("\0"):rep(length)))
      for at = 1, length do
        assert.is_true(fresh(("\0"):rep(at - 1) .. "\1" .. ("\0"):rep(length - at)))
      end
    end
    assert.is_true(fresh(("x"):rep(256)))
    assert.is_true(fresh(("x"):rep(512)))
    assert.is_true(fresh(("x"):rep(1e6)))
  end)

  it("takes strings only", function()
    local set = core.seen()
    for _, wrong in ipairs { 1, {}, true } do
      local message = "bad argument #1 to '%s' (string expected, got " .. type(wrong) .. ")"
      assert.equal(message:format "add", helper.message_of(function() set:add(wrong) end))
      assert.equal(message:format "find", helper.message_of(function() set:find(wrong) end))
    end
    assert.is_false((pcall(set.add, set)))
    assert.is_false((pcall(set.add, io.stdout, "a")))
    assert.equal(0, set:count())
  end)

  it("forgets and confuses none of 100,000 keys", function()
    local set = core.seen()
    for i = 1, 100000 do
      local ordinal, is_new = set:add("user-" .. i)
      assert(ordinal == i and is_new)
    end
    for i = 1, 100000 do
      assert(set:find("user-" .. i) == i)
      assert(set:find("nobody-" .. i) == nil)
      local ordinal, is_new = set:add("user-" .. i)
      assert(ordinal == i and not is_new)
    end
    assert.equal(100000, set:count())
  end)

  it("takes 18 bytes a key at most, from 100,000 keys on", function()
    local most = memory.measure [[
      local core = require "cipherscale.core"
      local keys = {}
      for i = 1, 400000 do keys[i] = ("user-%08d@example.com"):format(i) end
      local set, most, before = core.seen(), 0, resident()
      for i = 1, #keys do
        set:add(keys[i])
        if i >= 100000 and i % 20000 == 0 then
          most = math.max(most, (resident() - before) / i)
        end
      end
      io.write(most)
    ]]
    assert.is_true(most > 12 and most <= (memory.sanitized and 30 or 18), most)
  end)

  it("can be cleared, and gives its memory back", function()
    local seen = core.seen()
    seen:add "a"
    seen:clear()
    assert.equal(0, seen:count())
    assert.is_nil(seen:find "a")
    assert.same({ 1, true }, { seen:add "b" })
  end)
end)
