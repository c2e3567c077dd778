-- SPDX-License-Identifier: MIT
-- map: results in order, many at once.
local cipherscale = require "cipherscale"
local helper = require "spec.support.helper"
local scratch = require "spec.support.scratch"
local setting = require "spec.tasks.setting"

local ask, connect = setting.ask, setting.connect
local start, start_answering = setting.start, setting.start_answering
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end)

describe("map", function()
  before_each(function() start_answering { max_in_flight = 4 } end)

  local function numbers(n)
    local i = 0
    return function()
      i = i + 1
      if i <= n then return i end
    end
  end

  it("gives items and results in the order of the items", function()
    client:run(function(tasks)
      local n = 0
      for item, value, err in tasks:map(numbers(50), function(i)
        for _ = 1, i % 5 do coroutine.yield() end
        if i % 3 == 0 then assert(ask("u" .. i)) end
        return i * 2, -i
      end) do
        n = n + 1
        assert.equal(n, item)
        assert.equal(2 * n, value)
        assert.equal(-n, err)
      end
      assert.equal(50, n)
    end)
  end)

  it("takes lists and iterators, and false among the items", function()
    client:run(function(tasks)
      local got = {}
      for item in tasks:map({ "a", false, "c" }, function() end) do got[#got + 1] = item end
      assert.same({ "a", false, "c" }, got)
      for _ in tasks:map({}, error) do error "not reached" end
      for _ in tasks:map(function() end, error) do error "not reached" end
    end)
  end)

  it("takes the rows of a CSV file", function()
    local path = scratch.file "email\na@example.com\nb@example.com\n"
    local emails = {}
    client:run(function(tasks)
      for row in tasks:map(assert(cipherscale.csv(path)), function() end) do
        emails[#emails + 1] = row.email
      end
    end)
    assert.same({ "a@example.com", "b@example.com" }, emails)
  end)

  it("calls an iterator no more after its end", function()
    local ends = 0
    client:run(function(tasks)
      local i = 0
      local function iterator()
        i = i + 1
        if i <= 6 then return i end
        ends = ends + 1
      end
      for _ in tasks:map(iterator, function() ask() end) do assert.equal(ends > 0, i > 6) end
    end)
    assert.equal(1, ends)
  end)

  it("keeps max_in_flight calls under way, and takes few items ahead", function()
    start_answering { max_in_flight = 8 }
    local taken, given = 0, 0
    client:run(function(tasks)
      local function iterator()
        if taken == 100 then return nil end
        taken = taken + 1
        return taken
      end
      for _ in tasks:map(iterator, function(i) return ask("u" .. i) end) do
        given = given + 1
        assert.is_true(taken - given <= 4 * 8)
      end
    end)
    assert.equal(100, given)
    assert.is_true((server:connections()) <= 8)
    assert.is_true((server:connections()) > 1)
  end)

  it("gives the errors of failed operations as values", function()
    start({ answers = { { status = 404 } } }, { max_in_flight = 4 })
    local count = 0
    client:run(function(tasks)
      for item, value, err in tasks:map({ "a", "b", "c" }, ask) do
        count = count + 1
        assert.is_nil(value)
        assert.equal(("/tenants/users/%s/roles"):format(item), err.path)
      end
    end)
    assert.equal(3, count)
  end)

  it("may be left early: what is under way ends, the rest is not taken", function()
    local taken = 0
    client:run(function(tasks)
      for item in tasks:map(function()
        taken = taken + 1
        return taken
      end, ask) do
        if item == 5 then break end
      end
    end)
    assert.is_true(taken >= 5 and taken <= 5 + 4 * 4)
  end)

  it("raises an error of its function from run, which ends it", function()
    local given = 0
    local ok, err = pcall(client.run, client, function(tasks)
      for _ in tasks:map(numbers(100), function(i)
        if i == 7 then error("item 7", 0) end
        return ask()
      end) do
        given = given + 1
      end
    end)
    assert.is_false(ok)
    assert.matches("^item 7", err)
    assert.is_true(given < 7)
  end)

  it("raises an error of its iterator from run", function()
    local ok, err = pcall(client.run, client, function(tasks)
      local i = 0
      for _ in tasks:map(function()
        i = i + 1
        if i == 3 then error("iterator", 0) end
        return i
      end, ask) do
        assert.is_true(i >= 1)
      end
    end)
    assert.is_false(ok)
    assert.matches("^iterator", err)
  end)

  it("works within map, in coroutines, and with calls in its iterator", function()
    local sum = 0
    client:run(function(tasks)
      local function inner(i)
        local n = 0
        for _, value in tasks:map(numbers(3), function(j) return #ask() * j end) do
          n = n + value
        end
        return n * i
      end
      local i = 0
      local function asking()
        if i < 4 then
          i = i + #ask "iterator"
          return i
        end
      end
      for _, value in tasks:map(asking, inner) do sum = sum + value end
      coroutine.wrap(function()
        for _, value in tasks:map(numbers(2), inner) do sum = sum + value end
      end)()
    end)
    assert.equal(6 * (1 + 2 + 3 + 4) + 6 * (1 + 2), sum)
  end)

  it("works with max_in_flight = 1", function()
    client = connect { max_in_flight = 1 }
    local sum = 0
    client:run(function(tasks)
      for _, value in tasks:map(numbers(20), function(i) return i * #ask() end) do
        sum = sum + value
      end
    end)
    assert.equal(210, sum)
  end)

  it("may be shared by several tasks: each item is given once", function()
    local given = {}
    client:run(function(tasks)
      local each = tasks:map(numbers(40), function(i) return i * #ask() end)
      for _ = 1, 2 do
        tasks:spawn(function()
          for item, value in each do
            assert.equal(item, value)
            given[item] = (given[item] or 0) + 1
            coroutine.yield()
          end
        end)
      end
    end)
    for i = 1, 40 do assert.equal(1, given[i]) end
  end)

  it("refuses wrong arguments", function()
    client:run(function(tasks)
      assert.equal("bad argument #1 to 'map' (list or iterator expected, got nil)",
        helper.message_of(tasks.map, tasks))
      assert.equal("bad argument #2 to 'map' (function expected, got nil)",
        helper.message_of(tasks.map, tasks, {}))
      assert.equal("bad argument #2 to 'map' (function expected, got table)",
        helper.message_of(function() tasks:map(pairs {}) end))
    end)
  end)

  it("cancelled ends", function()
    start({ answers = { { hang = true } } }, { max_in_flight = 4 })
    client:run(function(tasks)
      local mapper = tasks:spawn(function()
        for _ in tasks:map(numbers(100), ask) do error "not reached" end
      end)
      for _ = 1, 5 do coroutine.yield() end
      tasks:cancel()
      assert.equal("cancelled", select(2, tasks:wait(mapper)).kind)
    end)
  end)
end)
