-- SPDX-License-Identifier: MIT
--
-- What core.journal knows of a plan, whose people it reads without a JSON decoder; and journals
-- without a name.

local core = require "cipherscale.core"
local scratch = require "spec.support.scratch"

local CHANGE = '"before":[],"add":["r1"],"remove":[]'

local function filled(book, ...)
  assert(book:append '"kind":"header"')
  for _, person in ipairs { ... } do
    assert(book:append('"kind":"plan",' .. person .. "," .. CHANGE))
  end
  assert(book:append '"kind":"planned"')
  return book
end

local function people(book)
  local list = {}
  for n, line, user, email, change, other in book:people() do
    list[#list + 1] = { n, line, user or "", email or "", change, other or "" }
  end
  return list
end

for _, kind in ipairs { "memory", "temporary" } do
  describe("a journal of the kind " .. kind, function()
    local book
    before_each(function() book = assert(core.journal[kind]()) end)
    after_each(function() book:close() end)

    it("gives back what was appended, also while more is", function()
      filled(book)
      local next_line = book:records()
      assert.truthy(next_line():find('^{"record":1,"kind":"header"'))
      for n = 1, 3000 do assert(book:append('"kind":"more","n":' .. n)) end
      local count = 1
      for line, number in next_line do
        count = count + 1
        assert.equal(count, number)
        assert.truthy(line:find(('{"record":%d,'):format(count), 1, true))
      end
      assert.equal(3002, count)
      assert.equal(3002, book:count())
      assert.is_true(book:sync())
    end)

    it("tells of the people of a plan alone", function()
      filled(book, '"person":1,"line":2,"user":"u1","email":"a@b"',
        '"person":2,"line":3,"user":"u2"')
      assert.same({ { 1, 2, "u1", "a@b", CHANGE, "" }, { 2, 3, "u2", "", CHANGE, "" } },
        people(book))
    end)

    it("leaves to a decoder what needs one", function()
      local odd = { '"user":"a\\"b"', '"email":"x","again":true', '"unknown":"why","cells":["u"]' }
      filled(book, '"person":1,"line":1,' .. odd[1], '"person":2,"line":2,' .. odd[2],
        '"person":3,"line":3,' .. odd[3])
      for n, row in ipairs(people(book)) do
        assert.equal(odd[n], row[6])
        assert.equal(CHANGE, row[5])
      end
    end)

    it("leaves out the records of a kind", function()
      filled(book, '"person":1,"line":1,"user":"u1"')
      local numbers = {}
      for _, n in book:records(1, "plan") do numbers[#numbers + 1] = n end
      assert.same({ 1, 3 }, numbers)
    end)

    it("is closed like any other", function()
      assert.is_true(book:close())
      assert.equal("closed", select(2, book:append '"kind":"late"').kind)
    end)
  end)
end

describe("a journal with a name", function()
  it("tells of its people without what checks them", function()
    local path = scratch.path ".jsonl"
    local book = filled(assert(core.journal.create(path)), '"person":1,"line":2,"user":"u1"')
    assert(book:close())
    book = assert(core.journal.read(path))
    assert.same({ { 1, 2, "u1", "", CHANGE, "" } }, people(book))
    book:close()
  end)
end)
