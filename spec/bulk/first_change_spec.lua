-- SPDX-License-Identifier: MIT
--
-- The first change of a job is made alone, with a canary or without; whoever can be looked at
-- meanwhile is looked at.

local tenant = require "spec.bulk.tenant"

local start = tenant.start
local users = tenant.users
local emails = tenant.emails
local patches = tenant.patches
local fates = tenant.fates

describe("the first change of a job", function()
  after_each(tenant.stop)

  local function planned(n)
    start { users = users(n) }
    local made = tenant.plan { users = emails(n), add = { "AUDITOR" } }
    tenant.server:clear_requests()
    return made
  end

  local function ids(first, last)
    local list = {}
    for n = first, last do list[#list + 1] = "u" .. n end
    return list
  end

  local function fail_for(...)
    local rules = {}
    for n, id in ipairs { ... } do
      rules[n] = { match = { method = "PATCH", path = "/" .. id .. "/" }, fail = { status = 422 } }
    end
    tenant.server:misbehave(rules)
  end

  it("waits for nobody who needs none: those are read at once, each one time", function()
    local made = planned(60)
    tenant.server:change { user = ids(1, 59), add = { "AUDITOR" } }
    -- Whoever is read one after another is read behind the first.
    tenant.server:misbehave { match = { path = "/u1/" }, latency = 0.2 }
    local order = {}
    local report = assert(made:apply {
      recheck = 0, on_result = function(row) order[#order + 1] = row.user end,
    })
    assert.same({ 1, 59 }, { report.changed, report.unchanged })
    assert.not_equal("u1", order[1])
    -- Sixty reads; the change with what its canary reads before and after it.
    assert.equal(60 + 4, #tenant.server:requests())
  end)

  for _, canary in ipairs { true, false } do
    local how = canary and "with a canary" or "without one"

    it("is over before there is another, " .. how, function()
      local made, client, sent = planned(40), tenant.client, nil
      tenant.server:misbehave { match = { method = "PATCH" }, latency = 0.3 }
      client:run(function(tasks)
        tasks:spawn(function() made:apply { canary = canary, recheck = 0 } end)
        -- All forty are read by then.
        repeat assert(client.roles:list()) until #tenant.server:requests() > 60
        sent = #patches()
        tasks:cancel()
      end)
      assert.equal(1, sent)
    end)

    it("that stops the job is the only one, " .. how, function()
      local made = planned(40)
      tenant.server:misbehave { match = { method = "PATCH" }, fail = { status = 403 } }
      local report = assert(made:apply { canary = canary, recheck = 0 })
      assert.same({ 1, 39 }, { report.failed, report.pending })
      assert.equal(1, #patches())
    end)

    it("that was refused is followed by the next person's, " .. how, function()
      local made = planned(40)
      fail_for("u1", "u2")
      local report = assert(made:apply { canary = canary })
      assert.same({ 38, 2, 0 }, { report.changed, report.failed, report.pending })
      assert.same({ "failed", "failed", "changed" },
        { fates(report).u1, fates(report).u2, fates(report).u3 })
    end)

    it("does not keep those from being changed who were let pass before a stop, " .. how, function()
      local made = planned(40)
      local report = assert(made:apply {
        canary = canary, recheck = 0, should_stop = tenant.stop_after(7),
      })
      assert.same({ 7, 33 }, { report.changed, report.pending })
    end)
  end

  it("that its canary finds wrong is the only one, also where a stop was asked for", function()
    local made = planned(40)
    tenant.server:misbehave { match = { method = "PATCH" }, fail = { status = 200, body = "" } }
    local report = assert(made:apply { recheck = 0, should_stop = tenant.stop_after(7) })
    assert.equal("canary: ", report.stopped:sub(1, 8))
    assert.is_true(report.alarm)
    assert.equal(1, #patches())
  end)

  it("of which nobody knows whether it was made, since the client was closed, is no nothing",
    function()
      local path = tenant.unused_path(".jsonl")
      start { users = users(5) }
      local made = tenant.plan { users = emails(5), add = { "AUDITOR" }, journal = path }
      tenant.server:misbehave { match = { method = "PATCH" }, latency = 0.3 }
      local client = tenant.server:client()
      local plan, report = assert(client.bulk:load(path)), nil
      client:run(function(tasks)
        tasks:spawn(function() report = assert(plan:apply()) end)
        tasks:spawn(function()
          repeat coroutine.yield() until #patches() > 0
          client:close()
        end)
      end)
      assert.same({ 1, 4 }, { report.failed, report.pending })
      tenant.server:misbehave {}
      local undo = assert(tenant.client.bulk:undo(path))
      local again, err = made:apply()
      assert.is_nil(again)
      assert.equal("refused", err.kind)
      assert.is_true(undo.to_change <= 1)
      os.remove(path)
    end)
end)
