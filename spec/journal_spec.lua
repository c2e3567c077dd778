-- SPDX-License-Identifier: MIT
-- csrc/journal.c and what it stands on: files of records, how they are opened, written, read and
-- given up. What a crash or a bad disk leaves in them is in journal_damage_spec.lua.

local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local journal_file = require "spec.support.journal_file"
local lfs = require "lfs"
local memory = require "spec.support.memory"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"

local journal = core.journal

local filled = journal_file.filled
local folder, path

journal_file.install(before_each, after_each, function(a_path, a_folder)
  path, folder = a_path, a_folder
end)

-- CRC-32C bit by bit, for what the core computes by tables (RFC 3720 B.4).
local function crc32c(bytes)
  local sum = 0xFFFFFFFF
  for i = 1, #bytes do
    sum = sum ~ bytes:byte(i)
    for _ = 1, 8 do sum = sum >> 1 ~ (sum & 1) * 0x82F63B78 end
  end
  return ("%08x"):format(sum ~ 0xFFFFFFFF)
end

local function with_check(start)
  return ('%s,"check":"%s"}'):format(start, crc32c(start))
end

local function lines_of(j, first)
  local lines = {}
  for line, n in j:records(first) do
    lines[#lines + 1] = line
    assert(n == (first or 1) + #lines - 1)
  end
  return lines
end

-- The error record of a call that gave nil.
local function failure(value, err)
  assert.is_nil(value)
  assert.equal("table", type(err))
  return err
end

-- In a forked child; gives what fn returned, as text.
local function in_child(fn)
  local how, text = process.fork(fn, 20)
  assert.equal("returned", how, text)
  return text
end

describe("a record", function()
  it("is a line of JSON with its number in front and its check at the end", function()
    assert.equal("e3069283", crc32c "123456789")
    local j = assert(journal.create(path))
    assert.equal(1, j:append '"kind":"plan","user":"u1"')
    assert.equal(2, j:append '"a":[]')
    assert.is_true(j:close())
    assert.equal(with_check '{"record":1,"kind":"plan","user":"u1"' .. "\n"
      .. with_check '{"record":2,"a":[]' .. "\n", scratch.read(path))
  end)

  it("has the right check at every length", function()
    local j = assert(journal.create(path))
    for n = 1, 70 do j:append(('"%s":1'):format(("x"):rep(n))) end
    for n, line in ipairs(lines_of(j)) do
      assert.equal(with_check(('{"record":%d,"%s":1'):format(n, ("x"):rep(n))), line)
    end
    j:close()
  end)

  it("can be decoded", function()
    local j = filled(3)
    local record = core.decode(lines_of(j)[3])
    assert.same({ record = 3, kind = "plan", user = "u3", check = record.check }, record)
    j:close()
  end)

  it("is refused, and nothing else is, when it is larger than a mebibyte", function()
    local j = filled(1)
    local err = failure(j:append(("x"):rep(1024 * 1024)))
    assert.equal("too_large", err.code)
    assert.equal(2, j:append(('"x":"%s"'):format(("x"):rep(1024 * 1024 - 200))))
    assert.equal(3, j:append '"y":1')
    assert.is_true(j:close())
    assert.equal(3, assert(journal.read(path)):count())
  end)

  it("has one line", function()
    local j = filled(0)
    for _, text in ipairs { '"a":\n1', "\n", '"a":"\0"', "", 12, {} } do
      local message = helper.message_of(function() j:append(text) end)
      assert.equal("bad argument #1 to 'append'", message:match "^[^(]+'")
    end
    assert.equal(0, j:count())
    j:close()
  end)
end)

describe("creating a journal", function()
  it("never touches a file that exists", function()
    scratch.write(path, "mine")
    local err = failure(journal.create(path))
    assert.equal("journal", err.kind)
    assert.equal("exists", err.code)
    assert.equal(("cannot create %s: File exists"):format(path), err.message)
    assert.equal("journal: " .. err.message, tostring(err))
    assert.equal("mine", scratch.read(path))
  end)

  it("lets nobody else read it, whatever the umask", function()
    for _, mask in ipairs { 0, 63, 511 } do -- 0000, 0077, 0777
      local before = process.umask(mask)
      local j = assert(journal.create(path))
      process.umask(before)
      assert.equal("rw-------", lfs.attributes(path, "permissions"))
      j:close()
      os.remove(path)
    end
  end)

  it("says why it cannot", function()
    assert.equal("missing", failure(journal.create(folder .. "/none/audit.jsonl")).code)
    scratch.write(path, "a file")
    assert.equal("missing", failure(journal.create(path .. "/audit.jsonl")).code)
    os.remove(path)
    assert(lfs.mkdir(path) and os.execute("chmod 500 " .. path))
    assert.equal("denied", in_child(function()
      process.drop_privileges()
      return failure(journal.create(path .. "/audit.jsonl")).code
    end))
  end)

  it("refuses a path that is none", function()
    for _, wrong in ipairs { "", "a\0b", 12, false } do
      assert.is_true(helper.message_of(journal.create, wrong):find "bad argument #1 to" ~= nil)
    end
  end)
end)

describe("opening a journal", function()
  it("goes on with the next number", function()
    filled(3):close()
    local j = assert(journal.open(path))
    assert.equal(3, j:count())
    assert.equal(4, j:append '"kind":"more"')
    assert.is_true(j:close())
    j = assert(journal.read(path))
    assert.equal(4, j:count())
    assert.equal(with_check '{"record":4,"kind":"more"', lines_of(j)[4])
    j:close()
  end)

  it("says why it cannot", function()
    for _, open in ipairs { journal.open, journal.read } do
      assert.equal("missing", failure(open(path)).code)
      assert.equal("no_file", failure(open(folder)).code)
      assert.equal("no_file", failure(open "/dev/null").code)
    end
    filled(1):close()
    assert(os.execute("chmod 000 " .. path))
    for _, name in ipairs { "open", "read" } do
      assert.equal("denied", in_child(function()
        process.drop_privileges()
        return failure(journal[name](path)).code
      end))
    end
  end)

  it("does not wait for the other end of a pipe", function()
    assert.is_true(os.execute("mkfifo " .. path))
    assert.equal("no_file", in_child(function() return failure(journal.read(path)).code end))
  end)

  it("keeps no descriptor where it fails", function()
    scratch.write(path, "no journal")
    local before = process.descriptors()
    for _ = 1, 5 do
      failure(journal.open(path))
      failure(journal.read(path))
      failure(journal.create(path))
    end
    assert.equal(before, process.descriptors())
  end)

  it("changes nothing in a file that is no journal", function()
    for _, bytes in ipairs { "", "name;mail\nx;y\n", ("\0"):rep(5000), '{"record":1,"a"' } do
      scratch.write(path, bytes)
      for _, open in ipairs { journal.open, journal.read } do
        assert.equal("empty", failure(open(path)).code)
        assert.equal(bytes, scratch.read(path))
      end
    end
  end)
end)

describe("a journal's lock", function()
  it("keeps a second one out, in this process as in another", function()
    local j = filled(1)
    assert.is_true(j:flush())
    local err = failure(journal.open(path))
    assert.equal("locked", err.code)
    assert.is_true(err.message:find(path, 1, true) ~= nil)
    local script = ([[
      local j, err = require("cipherscale.core").journal.open(%q)
      io.write(tostring(j), " ", err.code)
    ]]):format(path)
    assert.equal("nil locked", (helper.run_lua(script)))
    j:close()
    local opened = ('io.write(tostring(require("cipherscale.core").journal.open(%q)))'):format(path)
    assert.equal(("cipherscale.journal (%s, 1 record)"):format(path), (helper.run_lua(opened)))
  end)

  it("ends with close, though a child still has the descriptor", function()
    local j = filled(1)
    local child = process.branch()
    if child == 0 then
      os.execute "sleep 20"
      process.leave()
    end
    j:close()
    local again = assert(journal.open(path))
    again:close()
    process.kill(child)
    process.join(child)
  end)

  it("ends with the process, and what was flushed is there", function()
    local child = process.branch()
    if child == 0 then
      local j = filled(5)
      j:flush()
      j:append '"lost":1'
      process.kill(process.pid())
    end
    assert.is_nil(process.join(child))
    local j = assert(journal.open(path))
    assert.equal(5, j:count())
    j:close()
  end)

  it("does not keep readers out, who see what is whole", function()
    local j = filled(3)
    j:flush()
    j:append '"waits":1'
    local reader = assert(journal.read(path))
    assert.equal(3, reader:count())
    j:flush()
    assert.equal(3, #lines_of(reader))
    reader:close()
    reader = assert(journal.read(path))
    assert.equal(4, reader:count())
    reader:close()
    j:close()
  end)
end)

describe("appending", function()
  it("writes nothing until there is enough, flush, sync or close", function()
    local j = assert(journal.create(path))
    local function size() return lfs.attributes(path, "size") end
    for _, name in ipairs { "flush", "sync", "close" } do
      local before = size()
      j:append '"a":1'
      assert.equal(before, size())
      assert.is_true(j[name](j))
      assert.is_true(size() > before)
    end
    j = assert(journal.open(path))
    local before, n = size(), 0
    while size() == before do
      j:append '"a":1'
      n = n + 1
    end
    assert.is_true(n > 500 and n < 5000, n)
    j:close()
  end)

  it("raises for a journal that was opened for reading, which all else suits", function()
    filled(1):close()
    local j = assert(journal.read(path))
    assert.is_true(helper.message_of(j.append, j, '"a":1'):find "opened with read" ~= nil)
    assert.is_true(j:flush())
    assert.is_true(j:sync())
    assert.is_true(j:close())
  end)
end)

describe("a write that fails", function()
  -- Appends in a child whose files may have this many bytes, until something fails.
  local function until_full(limit, fn)
    return in_child(function()
      local j = assert(journal.create(path))
      process.limit_files(limit)
      local text = '"filler":"' .. ("x"):rep(100) .. '"'
      while true do
        local number, err = j:append(text)
        if not number then return fn(j, err) end
      end
    end)
  end

  it("leaves the whole records, and the file ends with the last", function()
    for _, limit in ipairs { 0, 10, 40000, 65536, 100001 } do
      local said = until_full(limit, function(j, err)
        return ("%s %s %d"):format(err.kind, err.code, j:count())
      end)
      local bytes = scratch.read(path)
      local _, lines = bytes:gsub("\n", "")
      assert.equal(("journal full %d"):format(lines), said)
      assert.is_true(#bytes <= limit and limit - #bytes < 200 or lines == 0)
      if lines > 0 then
        local j = assert(journal.open(path))
        assert.equal(lines, j:count())
        assert.equal(#bytes, lfs.attributes(path, "size"))
        j:close()
      end
      os.remove(path)
    end
  end)

  it("fails for ever, each call with the same error", function()
    assert.equal("the same", until_full(40000, function(j, err)
      local calls = {
        function() return j:append '"a":1' end,
        function() return j:flush() end,
        function() return j:sync() end,
        function() return j:append '"a":1' end,
      }
      for i, call in ipairs(calls) do
        local other = failure(call())
        if other.code ~= err.code or other.message ~= err.message then
          return i .. tostring(other)
        end
      end
      local n, last = #lines_of(j), j:count()
      if n ~= last or n == 0 then return n .. " of " .. last end
      if failure(j:close()).message ~= err.message then return "close" end
      return j:close() and "the same"
    end))
  end)

  it("is raised at the end of a block that closes the journal, and hides no other error", function()
    local function block(fault)
      return in_child(function()
        os.remove(path)
        local _, err = pcall(function()
          local j <close> = assert(journal.create(path))
          process.limit_files(10)
          j:append '"a":1'
          if fault then error("mine", 0) end
        end)
        return fault and err or err.code
      end)
    end
    assert.equal("full", block(false))
    assert.equal("mine", block(true))
  end)
end)

describe("records()", function()
  it("gives each line and its number, from any record on", function()
    local j = filled(1000)
    for _, first in ipairs { 1, 2, 499, 1000 } do
      local lines = lines_of(j, first)
      assert.equal(1001 - first, #lines)
      assert.equal(first, core.decode(lines[1]).record)
    end
    assert.same({}, lines_of(j, 1001))
    assert.same({}, lines_of(j, math.maxinteger))
    for _, wrong in ipairs { 0, -1, 1.5, "x" } do
      assert.is_true(helper.message_of(j.records, j, wrong):find "bad argument" ~= nil)
    end
    j:close()
  end)

  it("finds any record of a large file, of whatever lengths", function()
    local j, seed = assert(journal.create(path)), 1
    for _ = 1, 3000 do
      seed = seed * 16807 % 2147483647
      j:append(('"x":"%s"'):format(("x"):rep(seed % (seed % 50 == 0 and 100000 or 300))))
    end
    for first = 1, 3000, 7 do
      local line, n = j:records(first)()
      assert.equal(first, n)
      assert.equal(first, tonumber(line:match '^{"record":(%d+),'))
    end
    j:close()
  end)

  it("reads little of the file to find a record", function()
    local j = assert(journal.create(path))
    for i = 1, 20000 do j:append(('"n":%d,"x":"%s"'):format(i, ("x"):rep(1000))) end
    j:flush()
    local function bytes_read()
      for line in io.lines "/proc/self/io" do
        local bytes = line:match "^rchar: (%d+)"
        if bytes then return tonumber(bytes) end
      end
    end
    local before = bytes_read()
    for first = 100, 20000, 199 do
      assert.equal(first, (select(2, j:records(first)())))
    end
    assert.is_true((bytes_read() - before) / 101 < 1e6)
    j:close()
  end)

  it("sees what is appended before it gets there", function()
    local j, seen = filled(2), 0
    for _, n in j:records() do
      seen = n
      if n < 2000 then j:append(('"after":%d'):format(n)) end
    end
    assert.equal(2001, j:count())
    assert.equal(2001, seen)
    j:close()
  end)

  it("is over once its loop is: nobody reads from the beginning again by mistake", function()
    local j = filled(3)
    local next_record, state, key, reader = j:records()
    for _, n in next_record, state, key, reader do
      if n == 2 then break end
    end
    assert.has_error(next_record, "the loop over these records has ended")
    j:close()
  end)

  it("may run more than once at a time", function()
    local j = filled(20)
    local n = 0
    for outer in j:records() do
      for inner, k in j:records(n + 1) do
        if k == n + 1 then assert.equal(outer, inner) end
      end
      n = n + 1
    end
    assert.equal(20, n)
    j:close()
  end)

  it("never holds the file", function()
    local j, text = assert(journal.create(path)), ('"x":"%s"'):format(("x"):rep(1000))
    for _ = 1, 20000 do j:append(text) end
    j:close()
    local grown = memory.measure(([[
      local open = require("cipherscale.core").journal.open
      local before = resident()
      local j = assert(open(%q))
      for _, n in j:records() do
        if n %% 1000 == 0 then collectgarbage() end
      end
      io.write(resident() - before)
    ]]):format(path))
    assert.is_true(grown < 6e6, grown)
  end)

  it("raises an error record when the file no longer says what it said", function()
    local j = filled(10)
    j:flush()
    local bytes = scratch.read(path)
    local file = assert(io.open(path, "r+b"))
    file:seek("set", (bytes:find('"u7"', 1, true)))
    file:write "U"
    file:close()
    local seen = 0
    local ok, err = pcall(function()
      for _, n in j:records() do seen = n end
    end)
    assert.is_false(ok)
    assert.equal("damaged", err.code)
    assert.equal(7, err.line)
    assert.equal(6, seen)
    assert.equal(3, #lines_of(j, 8))
    j:close()
  end)
end)
