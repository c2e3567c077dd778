-- SPDX-License-Identifier: MIT
-- A name that an object of the Lua layer does not have raises where it is written, and the nearest
-- one is named, as for the methods of resources; fields that may be nil are nil.

local cipherscale = require "cipherscale"
local sandbox = require "cipherscale.sandbox"

local client, server

before_each(function()
  server = sandbox.start { users = 3 }
  client = server:client()
end)

after_each(function()
  client:close()
  server:stop()
end)

-- The message of reading a name, which must begin with this file.
local function read(object, name)
  local ok, message = pcall(function() return object[name], nil end)
  assert.is_false(ok)
  local file, text = message:match "^(.-):%d+: (.*)$"
  assert.equal(debug.getinfo(1, "S").short_src, file)
  return text
end

local function plan_and_report()
  local people = {}
  for user in client.users:each() do people[#people + 1] = user.id end
  local plan = assert(client.bulk:roles { users = people, add = { "AUDITOR" } })
  return plan, assert(plan:apply())
end

describe("an unknown name", function()
  it("of client.bulk", function()
    assert.equal("unknown method of client.bulk 'rolez' (did you mean 'roles'?)",
      read(client.bulk, "rolez"))
    assert.equal("unknown method of client.bulk 'frobnicate' (known: deactivate, groups, invite, "
      .. "load, reactivate, report, resume, roles, undo, verify)", read(client.bulk, "frobnicate"))
  end)

  it("of tasks", function()
    assert.equal("unknown method of tasks 'spwn' (did you mean 'spawn'?)",
      client:run(function(tasks) return read(tasks, "spwn") end))
  end)

  it("of plans and reports", function()
    local plan, report = plan_and_report()
    assert.equal("unknown field or method of a plan 'aply' (did you mean 'apply'?)",
      read(plan, "aply"))
    assert.equal("unknown field or method of a report 'to_cvs' (did you mean 'to_csv'?)",
      read(report, "to_cvs"))
    assert.equal("unknown field or method of a report 'stoped' (did you mean 'stopped'?)",
      read(report, "stoped"))
  end)

  -- A name that is near to none gets a list of all.
  it("of plans, reports and servers, beside what is documented and nothing else", function()
    local plan, report = plan_and_report()
    for object, names in pairs {
      [plan] = "apply, changes, journal, note, reads, refusals, report, requests, "
        .. "seconds, to_change, to_csv, total, unchanged, unknown, withheld",
      [report] = "alarm, changed, complete, elapsed, failed, journal, note, pending, resume_at, "
        .. "rows, skipped, started, stopped, to_csv, total, unchanged",
      [server] = "api_key, change, clear_requests, client, direct_roles, misbehave, requests, "
        .. "state, stop, url",
    } do
      assert.equal(names, read(object, "frobnicate"):match "%(known: (.*)%)$")
      for name in names:gmatch "[%w_]+" do
        assert.is_true((pcall(function() return object[name] end)), name)
      end
    end
  end)

  it("of which a method is called without its object says how to call it", function()
    local plan, report = plan_and_report()
    for name, object in pairs { plan = plan, report = report } do
      local ok, message = pcall(function() object.to_csv("people.csv") end)
      assert.is_false(ok)
      assert.matches("strict_spec.lua:%d+: call it with a colon: " .. name .. ":to_csv%(…%)",
        message)
    end
  end)

  it("that is nearly a field", function()
    local plan, report = plan_and_report()
    assert.matches("'to_chnage' (did you mean 'to_change'?)", read(plan, "to_chnage"), 1, true)
    assert.matches("'faild' (did you mean 'failed'?)", read(report, "faild"), 1, true)
    assert.matches("'api_kye' (did you mean 'api_key'?)", read(server, "api_kye"), 1, true)
  end)

  it("of the sandbox and its server", function()
    assert.equal("unknown field or method of the sandbox's server 'stat' (did you mean 'state'?)",
      read(server, "stat"))
    assert.equal("unknown function of cipherscale.sandbox 'begin' (known: assumptions, start)",
      read(sandbox, "begin"))
  end)

  it("of the module", function()
    assert.equal("unknown member of cipherscale 'nwe' (did you mean 'new'?)",
      read(cipherscale, "nwe"))
  end)
end)

describe("a field that may be nil", function()
  it("is nil where it is not there", function()
    local plan, report = plan_and_report()
    for _, name in ipairs { "note", "journal" } do
      assert.is_nil(plan[name])
      assert.is_nil(report[name])
    end
    assert.is_nil(report.stopped)
    assert.is_nil(report.resume_at)
  end)
end)

describe("what is no name", function()
  it("is nil: other keys, and what libraries look for", function()
    local plan, report = plan_and_report()
    for _, object in ipairs { client.bulk, plan, report, server, cipherscale, sandbox, client,
                              client.users } do
      assert.is_nil(object[1])
      assert.is_nil(object[object])
      assert.is_nil(object.__pairs)
      assert.is_nil(object.__tojson)
    end
  end)
end)
