-- SPDX-License-Identifier: MIT
-- csrc/journal.c: what a crash, a full disk or a bad one may leave in a journal, and what is made
-- of it. Either all whole records are there, or there is an error that says where it stops.

local core = require "cipherscale.core"
local journal_file = require "spec.support.journal_file"
local scratch = require "spec.support.scratch"

local journal = core.journal

local path

journal_file.install(before_each, after_each, function(a_path) path = a_path end)

-- The bytes of a journal with these texts, and the position behind each line.
local function journal_of(texts)
  local j = assert(journal.create(path))
  for _, text in ipairs(texts) do assert(j:append(text)) end
  assert(j:close())
  local bytes = scratch.read(path)
  os.remove(path)
  local ends = { [0] = 0 }
  for position in bytes:gmatch "()\n" do ends[#ends + 1] = position end
  assert(#ends == #texts)
  return bytes, ends
end

local SMALL = { '"kind":"job"', '"kind":"plan","user":"ü1"', '"kind":"planned","count":1' }

-- Opens what the bytes are for reading, then for writing: both say the same, the first changes
-- nothing, and the second leaves the whole records and goes on with the next.
-- Gives the number of records, or nil, code, line.
local function look(bytes)
  scratch.write(path, bytes)
  local j, err = journal.read(path)
  assert(scratch.read(path) == bytes)
  local k, other = journal.open(path)
  if not j then
    assert(not k and other.code == err.code and other.line == err.line)
    assert(scratch.read(path) == bytes)
    return nil, err.code, err.line
  end
  local count, kept = assert(k):count(), {}
  assert(j:count() == count)
  for line in j:records() do kept[#kept + 1] = line .. "\n" end
  assert(#kept == count and table.concat(kept) == scratch.read(path))
  assert(bytes:sub(1, #table.concat(kept)) == table.concat(kept))
  assert(k:append '"after":1' == count + 1)
  assert(k:close())
  assert(j:close())
  j = assert(journal.read(path))
  assert(j:count() == count + 1)
  assert(j:close())
  return count
end

describe("a journal that was cut", function()
  it("keeps its whole records, wherever the cut is", function()
    local bytes, ends = journal_of(SMALL)
    for size = 0, #bytes do
      local whole = 0
      while ends[whole + 1] and ends[whole + 1] <= size do whole = whole + 1 end
      local count, code = look(bytes:sub(1, size))
      if whole == 0 then
        assert.equal("empty", code, size)
      else
        assert.equal(whole, count, size)
      end
    end
  end)

  it("keeps them when NULs follow, wherever they begin", function()
    local bytes, ends = journal_of(SMALL)
    for size = 0, #bytes do
      local whole = 0
      while ends[whole + 1] and ends[whole + 1] <= size do whole = whole + 1 end
      for _, nuls in ipairs { 1, #bytes - size, 5000 } do
        local count, code = look(bytes:sub(1, size) .. ("\0"):rep(nuls))
        if whole == 0 then
          assert.equal("empty", code, size)
        else
          assert.equal(whole, count, size)
        end
      end
    end
  end)

  it("keeps them when garbage follows", function()
    local bytes = journal_of(SMALL)
    local megabytes = ("\0"):rep(3 * 1024 * 1024)
    for _, garbage in ipairs { "\n", "\n\n\n", "x", "half\na\nline\n", '{"record":4,"kind":"pl',
        '{"record":4,"kind":"pl\n', "\255\254\0\n\127", "{}\n", "null\n", megabytes,
        megabytes .. "\n" .. megabytes .. "\n", ("x"):rep(2 * 1024 * 1024) .. "\n" } do
      assert.equal(3, look(bytes .. garbage))
    end
  end)

  it("keeps them when a block in the middle of the last write is missing", function()
    local texts = {}
    for i = 1, 40 do texts[i] = ('"user":"u%d"'):format(i) end
    local bytes, ends = journal_of(texts)
    local hole = bytes:sub(1, ends[39] + 5) .. ("\0"):rep(12) .. bytes:sub(ends[39] + 18)
    assert.equal(#bytes, #hole)
    assert.equal(39, look(hole))
  end)

  it("is empty when nothing whole is left", function()
    local bytes, ends = journal_of(SMALL)
    local code = select(2, look(bytes:sub(1, ends[1] - 1)))
    assert.equal("empty", code)
  end)
end)

describe("a damaged journal", function()
  it("is named by its first bad line, whichever byte has changed", function()
    local bytes, ends = journal_of(SMALL)
    local line = 1
    for at = 1, ends[2] do
      if at > ends[line] then line = line + 1 end
      for _, mask in ipairs { 1, 128, 32 } do
        local changed = bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ mask)
          .. bytes:sub(at + 1)
        local count, code, where = look(changed)
        assert.is_nil(count, at)
        assert.equal("damaged", code, at)
        assert.equal(line, where, at)
      end
    end
  end)

  it("is known when the damage is in its last line, but for that line's last two bytes", function()
    local bytes, ends = journal_of(SMALL)
    for at = ends[2] + 1, #bytes do
      local changed = bytes:sub(1, at - 1) .. string.char(bytes:byte(at) ~ 4) .. bytes:sub(at + 1)
      local count, code, where = look(changed)
      if at <= #bytes - 2 then
        assert.equal("damaged", code, at)
        assert.equal(3, where)
      else
        assert.equal(2, count, at)
      end
    end
  end)

  it("says the line in its message", function()
    local bytes = journal_of(SMALL)
    scratch.write(path, (bytes:gsub('"ü1"', '"ü2"')))
    local _, err = journal.open(path)
    assert.equal("journal", err.kind)
    assert.equal(path .. ": line 2 is damaged", err.message)
  end)

  it("is one whose records are not numbered in order", function()
    local bytes, ends = journal_of(SMALL)
    local lines = {}
    for i = 1, 3 do lines[i] = bytes:sub(ends[i - 1] + 1, ends[i]) end
    local function joined(...)
      local parts = {}
      for i, n in ipairs { ... } do parts[i] = lines[n] end
      return table.concat(parts)
    end
    for _, case in ipairs { { 1, joined(2, 3) }, { 2, joined(1, 3) }, { 2, joined(1, 1, 2, 3) },
        { 4, joined(1, 2, 3, 3) }, { 4, joined(1, 2, 3, 1) }, { 2, joined(1, 3, 2) } } do
      local count, code, line = look(case[2])
      assert.is_nil(count)
      assert.equal("damaged", code)
      assert.equal(case[1], line)
    end
  end)

  it("is one with a hole or a foreign line before a record", function()
    local bytes, ends = journal_of(SMALL)
    for _, foreign in ipairs { "\n", "x\n", ("\0"):rep(4096), ("\0"):rep(4096) .. "\n", "{}\n",
        ("x"):rep(2 * 1024 * 1024) .. "\n" } do
      for before = 0, 2 do
        local count, code, line =
          look(bytes:sub(1, ends[before]) .. foreign .. bytes:sub(ends[before] + 1))
        assert.is_nil(count)
        assert.equal("damaged", code)
        assert.equal(before + 1, line)
      end
    end
  end)

  it("is one with a record directly behind a hole, however large", function()
    local bytes, ends = journal_of(SMALL)
    for _, size in ipairs { 1, 4096, 3 * 1024 * 1024 } do
      local hole = ("\0"):rep(size)
      local _, code, line = look(bytes:sub(1, ends[2]) .. hole .. bytes:sub(ends[2] + 1))
      assert.equal("damaged", code)
      assert.equal(3, line)
    end
  end)

  it("is one whose last record lacks its newline behind a bad line", function()
    local bytes, ends = journal_of(SMALL)
    local _, code, line = look(bytes:sub(1, ends[1]) .. "x\n" .. bytes:sub(ends[2] + 1, -2))
    assert.equal("damaged", code)
    assert.equal(2, line)
  end)

  it("is one that an editor gave other line ends", function()
    local _, code, line = look((journal_of(SMALL):gsub("\n", "\r\n")))
    assert.equal("damaged", code)
    assert.equal(1, line)
  end)

  it("is found as well behind many pages", function()
    local texts = {}
    for i = 1, 5000 do texts[i] = ('"user":"u%d"'):format(i) end
    local bytes, ends = journal_of(texts)
    for _, line in ipairs { 1, 1234, 4999, 5000 } do
      local at = ends[line] - 15
      local _, code, where = look(bytes:sub(1, at - 1) .. "!" .. bytes:sub(at + 1))
      assert.equal("damaged", code)
      assert.equal(line, where)
    end
    assert.equal(5000, look(bytes))
  end)
end)
