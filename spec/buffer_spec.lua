-- SPDX-License-Identifier: MIT
-- csrc/buffer.c: bytes that grow up to a limit and are never in a state that harms.

local probe = require "spec.support.probe"

local MANY = 1e6

describe("a buffer", function()
  it("is empty at first and owns nothing", function()
    local buffer = probe.buffer(10)
    local bytes, terminated = buffer:bytes()
    assert.equal("", bytes)
    assert.is_true(terminated)
    assert.equal(0, buffer:capacity())
  end)

  it("holds what is appended, in order, with any bytes", function()
    local buffer = probe.buffer(MANY)
    local expected = {}
    for i = 1, 500 do
      local piece = string.char(i % 256):rep(i % 7)
      expected[i] = piece
      assert.equal("ok", buffer:append(piece))
    end
    assert.equal(table.concat(expected), (buffer:bytes()))
  end)

  it("ends with a NUL after every append, at every size", function()
    local buffer = probe.buffer(MANY)
    for n = 1, 600 do
      buffer:append "x"
      local bytes, terminated = buffer:bytes()
      assert.equal(n, #bytes)
      assert.is_true(terminated)
      assert.is_true(buffer:capacity() > n)
    end
  end)

  it("appends C strings up to their NUL", function()
    local buffer = probe.buffer(MANY)
    assert.equal("ok", buffer:append_text "abc\0def")
    assert.equal("ok", buffer:append_text "")
    assert.equal("abc", (buffer:bytes()))
  end)

  it("takes an append of nothing", function()
    local buffer = probe.buffer(0)
    assert.equal("ok", buffer:append "")
    assert.equal("", (buffer:bytes()))
  end)
end)

describe("a buffer's limit", function()
  it("may be reached, in one append or in several", function()
    local at_once, stepwise = probe.buffer(300), probe.buffer(300)
    assert.equal("ok", at_once:append(("x"):rep(300)))
    for _ = 1, 300 do assert.equal("ok", stepwise:append "x") end
    assert.equal((at_once:bytes()), (stepwise:bytes()))
  end)

  it("may not be passed by a single byte", function()
    assert.equal("too large", probe.buffer(300):append(("x"):rep(301)))
    assert.equal("too large", probe.buffer(0):append "x")
    local buffer = probe.buffer(300)
    buffer:append(("x"):rep(300))
    assert.equal("too large", buffer:append "x")
  end)

  it("leaves the buffer empty and usable when it is passed", function()
    local buffer = probe.buffer(10)
    buffer:append "12345"
    assert.equal("too large", buffer:append "123456")
    local bytes, terminated = buffer:bytes()
    assert.equal("", bytes)
    assert.is_true(terminated)
    assert.equal(0, buffer:capacity())
    assert.equal("ok", buffer:append "1234567890")
    assert.equal("1234567890", (buffer:bytes()))
  end)

  it("holds for the sum after a clear", function()
    local buffer = probe.buffer(10)
    buffer:append "1234567890"
    buffer:clear()
    assert.equal("ok", buffer:append "abcdefghij")
    assert.equal("too large", buffer:append "k")
  end)

  it("stays after a free", function()
    local buffer = probe.buffer(3)
    buffer:append "abc"
    buffer:free()
    assert.equal("too large", buffer:append "abcd")
    assert.equal("ok", buffer:append "abc")
  end)
end)

describe("clearing a buffer", function()
  it("empties it and keeps a small allocation", function()
    local buffer = probe.buffer(MANY)
    buffer:append "some text"
    local capacity = buffer:capacity()
    buffer:clear()
    local bytes, terminated = buffer:bytes()
    assert.equal("", bytes)
    assert.is_true(terminated)
    assert.equal(capacity, buffer:capacity())
  end)

  it("gives a large allocation back", function()
    local buffer = probe.buffer(MANY)
    buffer:append(("x"):rep(100 * 1024))
    buffer:clear()
    assert.equal(0, buffer:capacity())
    assert.equal("", (buffer:bytes()))
  end)

  it("does nothing to one that was never used, however often", function()
    local buffer = probe.buffer(MANY)
    buffer:clear()
    buffer:clear()
    buffer:free()
    buffer:free()
    assert.equal("", (buffer:bytes()))
    assert.equal(0, buffer:capacity())
  end)
end)
