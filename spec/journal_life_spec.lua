-- SPDX-License-Identifier: MIT
-- csrc/journal_lua.c: a journal's life, from closing to forking, and what it owns.

local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local journal_file = require "spec.support.journal_file"
local lfs = require "lfs"
local process = require "spec.support.process"

local journal = core.journal

local filled = journal_file.filled
local folder, path

journal_file.install(before_each, after_each, function(a_path, a_folder)
  path, folder = a_path, a_folder
end)

-- What each call says, which all fail, in one line.
local function said_by_calls(j)
  local words = {}
  for _, name in ipairs { "append", "flush", "sync", "count" } do
    local value, err = j[name](j, '"a":1')
    assert.is_nil(value)
    assert.equal(("the journal %s is closed"):format(path), err.message)
    words[#words + 1] = err.kind
  end
  local ok, err = pcall(j.records, j)
  assert.is_false(ok)
  words[#words + 1] = err.kind
  return table.concat(words, " ")
end

local function records_in_file()
  local j = assert(journal.read(path))
  local n = j:count()
  j:close()
  return n
end

describe("a journal", function()
  it("says where it is and how much is in it", function()
    local j = filled(0)
    assert.equal(("cipherscale.journal (%s, 0 records)"):format(path), tostring(j))
    j:append '"a":1'
    assert.equal(("cipherscale.journal (%s, 1 record)"):format(path), tostring(j))
    assert.equal(1, j:count())
    assert.equal(path, j:path())
    j:close()
    assert.equal(("cipherscale.journal (%s, closed)"):format(path), tostring(j))
    assert.equal(path, j:path())
  end)

  it("hides its metatable, and takes no other userdata for its own", function()
    local j = filled(0)
    assert.equal("cipherscale.journal", getmetatable(j))
    for _, other in ipairs { io.stdout, core.seen(), core.null, {}, false } do
      assert.is_false((pcall(j.append, other, '"a":1')))
      assert.is_false((pcall(j.close, other)))
    end
    j:close()
  end)

  it("holds one descriptor, and another until it has been synced", function()
    local before = process.descriptors()
    local j = filled(1)
    assert.equal(before + 2, process.descriptors())
    assert.is_true(j:sync())
    assert.equal(before + 1, process.descriptors())
    j:close()
    assert.equal(before, process.descriptors())
    j = assert(journal.read(path))
    assert.equal(before + 1, process.descriptors())
    j:close()
    j = assert(journal.open(path))
    j:close()
    assert.equal(before, process.descriptors())
  end)

  it("is synced though the folder has changed its name, and the process its folder", function()
    local here, moved = lfs.currentdir(), folder .. ".moved"
    assert(lfs.chdir(folder))
    local j = assert(journal.create "audit.jsonl")
    assert(lfs.chdir(here))
    assert(os.rename(folder, moved))
    j:append '"a":1'
    local synced, closed = j:sync(), j:close()
    assert(os.rename(moved, folder))
    assert.is_true(synced)
    assert.is_true(closed)
    assert.equal(1, records_in_file())
  end)
end)

describe("closing a journal", function()
  it("writes what waits, and can be done again", function()
    local j = filled(3)
    assert.is_true(j:close())
    assert.is_true(j:close())
    assert.equal(3, records_in_file())
  end)

  it("makes every call fail as closed", function()
    local j = filled(1)
    j:close()
    assert.equal("closed closed closed closed closed", said_by_calls(j))
  end)

  it("ends iterations with an error record", function()
    local j = filled(3)
    local ok, err = pcall(function()
      for _ in j:records() do j:close() end
    end)
    assert.is_false(ok)
    assert.equal("closed", err.kind)
  end)

  it("happens at the end of a block, and to garbage", function()
    do
      local j <close> = filled(1)
      j:append '"last":1'
    end
    assert.equal(2, records_in_file())
    os.remove(path)
    filled(4)
    collectgarbage()
    collectgarbage()
    assert.equal(4, records_in_file())
  end)

  it("leaves nothing mapped where a temporary one cannot be made", function()
    local output = helper.run_lua [[
      if not arg[1] then
        return os.execute(("ulimit -n 16; exec lua5.4 '%s' with-few-files"):format(arg[0]))
      end
      local temporary, held = require("cipherscale.core").journal.temporary, {}
      local function pages()
        collectgarbage()
        local file = assert(io.open "/proc/self/statm")
        local n = file:read "n"
        file:close()
        return n
      end
      repeat
        local file = io.open "/dev/null"
        held[#held + 1] = file
      until not file
      held[#held]:close()
      local before, failed = pages(), 0
      for _ = 1, 2000 do
        if not temporary() then failed = failed + 1 end
      end
      io.write(failed, " ", pages() - before < 1000 and "clean" or "leaked")
    ]]
    assert.equal("2000 clean", output)
  end)

  it("waits for the iterators of a journal that nobody else holds", function()
    local next_record = filled(2):records()
    collectgarbage()
    collectgarbage()
    assert.equal("table", type(core.decode((next_record()))))
    assert.equal(2, select(2, next_record()))
    assert.is_nil(next_record())
    assert.is_nil(next_record())
  end)

  it("happens when the interpreter ends", function()
    local output = helper.run_lua(([[
      local j = require("cipherscale.core").journal.create(%q)
      j:append '"a":1'
    ]]):format(path))
    assert.equal("", output)
    assert.equal(1, records_in_file())
  end)
end)

describe("after fork", function()
  it("a journal is closed to the child, who writes nothing of what waits", function()
    local j = filled(2)
    j:flush()
    j:append '"waits":1'
    local size = lfs.attributes(path, "size")
    local how, text = process.fork(function()
      local words = said_by_calls(j)
      return words .. " " .. tostring(j:close()) .. " " .. tostring(j)
    end, 20)
    assert.equal(("closed closed closed closed closed true cipherscale.journal (%s, closed)")
      :format(path), text)
    assert.equal("returned", how)
    assert.equal(size, lfs.attributes(path, "size"))
    assert.equal(4, j:append '"more":1')
    assert.is_true(j:close())
    assert.equal(4, records_in_file())
  end)

  it("a child that ends as scripts do writes nothing, neither does its collector", function()
    local output = helper.run_lua(([[
      local process = require "spec.support.process"
      local j = assert(require("cipherscale.core").journal.create(%q))
      j:append '"a":1'
      local child = process.branch()
      if child == 0 then os.exit(true, true) end
      assert(process.join(child) == 0)
      local file = assert(io.open(j:path(), "rb"))
      io.write(#file:read "*a", " ")
      j:close()
      io.write(file:seek "end" > 0 and "then" or "never")
    ]]):format(path))
    assert.equal("0 then", output)
    assert.equal(1, records_in_file())
  end)

  it("the parent keeps its lock when the child closes", function()
    local j = filled(1)
    local _, text = process.fork(function() return j:close() end, 20)
    assert.equal("true", text)
    assert.equal("locked", select(2, journal.open(path)).code)
    j:close()
  end)

  it("the child may read the file by itself", function()
    local j = filled(2)
    j:flush()
    local _, text = process.fork(function() return assert(journal.read(path)):count() end, 20)
    assert.equal("2", text)
    j:close()
  end)
end)
