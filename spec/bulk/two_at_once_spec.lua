-- SPDX-License-Identifier: MIT
--
-- Two at once: at one journal the second is refused, and two clients in one process have nothing to
-- do with each other.

local helper = require "spec.support.helper"
local sandbox = require "cipherscale.sandbox"
local tenant = require "spec.bulk.tenant"

local emails = tenant.emails
local plan = tenant.plan

describe("two processes at one journal", function()
  local path, child

  before_each(function() path = tenant.unused_path(".jsonl") end)
  after_each(function()
    if child then helper.end_lua(child) end
    child = nil
    tenant.stop()
    os.remove(path)
  end)

  local function refused(ok, err)
    assert.is_nil(ok)
    assert.same({ "journal", "locked" }, { err.kind, err.code })
    assert.equal(("%s is in use by another run (process %d)"):format(path, child.pid), err.message)
  end

  it("are one too many: the second is told the first one's number, and the first goes on",
    function()
      tenant.start { users = tenant.users(60) }
      local made = plan { users = emails(60), add = { "AUDITOR" }, journal = path }
      -- Nobody after the twentieth gets an answer until the second has been here.
      tenant.server:misbehave { match = { method = "PATCH" },
        stall = { after = 20, times = 1, work = true } }
      child = helper.start_lua([[
        local client = require "cipherscale".new {
          api_key = os.getenv "KEY", base_url = os.getenv "URL", max_in_flight = 1, timeout = 2,
          max_retries = 0,
        }
        local report = assert(client.bulk:resume(os.getenv "JOURNAL"))
        print(report.changed, report.complete)
      ]], { URL = tenant.server.url, KEY = tenant.server.api_key, JOURNAL = path })
      local deadline = os.time() + 10
      while #tenant.patches() < 21 do
        assert.is_true(os.time() < deadline)
        tenant.client.users:page { limit = 1 }
      end
      refused(tenant.client.bulk:resume(path))
      refused(made:apply())
      refused(tenant.client.bulk:undo(path))
      -- Looking is free.
      assert.equal(60, assert(tenant.client.bulk:load(path)).to_change)
      assert.is_false(assert(tenant.client.bulk:report(path)).complete)
      assert.equal("60\ttrue", child.pipe:read "*l")
      local seen = {}
      for _, request in ipairs(tenant.patches()) do
        assert.is_nil(seen[request.path])
        seen[request.path] = true
      end
    end)
end)

describe("a journal that another process has open", function()
  local path, child

  before_each(function() path = tenant.unused_path(".jsonl") end)
  after_each(function()
    helper.end_lua(child)
    tenant.stop()
    os.remove(path)
  end)

  it("is in use by that one, not by the process that ran the job last", function()
    tenant.start { users = tenant.users(3) }
    assert(plan { users = emails(3), add = { "AUDITOR" }, journal = path }:apply())
    child = helper.start_lua([[
      local book = assert(require "cipherscale.core".journal.open(os.getenv "JOURNAL"))
      print "open"
      io.stdout:flush()
      while true do require "system".sleep(60) end
      book:close()
    ]], { JOURNAL = path })
    assert.equal("open", child.pipe:read "*l")
    local report, err = tenant.client.bulk:resume(path)
    assert.is_nil(report)
    assert.equal(("bulk.resume: journal: %s is in use by another run (process %d)")
      :format(path, child.pid), tostring(err))
  end)
end)

describe("two clients in one process, each with a key of its own,", function()
  local first, second

  before_each(function()
    first = sandbox.start { users = tenant.users(40) }
    second = sandbox.start { users = tenant.users(40) }
    assert.not_equal(first.api_key, second.api_key)
  end)
  after_each(function()
    first:stop()
    second:stop()
  end)

  local function give(client, n, role)
    return assert(client.bulk:roles { users = emails(n), add = { role } })
  end

  local function all_hold(server, n, role)
    local roles = server:direct_roles()
    for i = 1, 40 do assert.equal(i <= n and role or "", roles["u" .. i]) end
  end

  it("run their jobs one within the other, each in its own tenant", function()
    local one, two = first:client(), second:client()
    local within
    local report = assert(give(one, 40, "AUDITOR"):apply {
      on_result = function()
        if within then return end
        within = true
        within = assert(give(two, 30, "SUPPORT"):apply {
          on_result = function() assert(one.users:get "u1") end,
        })
      end,
    })
    assert.is_true(report.complete)
    assert.is_true(within.complete)
    all_hold(first, 40, "AUDITOR")
    all_hold(second, 30, "SUPPORT")
    for _, server in ipairs { first, second } do
      for _, request in ipairs(server:requests()) do assert.not_equal(401, request.status) end
    end
  end)

  it("do not wait for what only the other was asked to wait for", function()
    local one, two = first:client(), second:client()
    local waiting, at_work = give(one, 40, "AUDITOR"), give(two, 40, "AUDITOR")
    first:misbehave { match = { method = "PATCH" },
      fail = { status = 429, headers = { ["Retry-After"] = "4000" } } }
    local report = assert(waiting:apply())
    assert.equal(40, report.pending)
    report = assert(at_work:apply())
    assert.is_true(report.complete)
    assert.is_true(report.elapsed < 5)
  end)

  it("keep apart whom they protect, and that one is closed", function()
    local one, two = first:client { protect = { "u1" } }, second:client { protect = { "u2" } }
    assert.same({ u1 = "withheld", u2 = "changed" },
      tenant.fates(assert(give(one, 2, "AUDITOR"):apply())))
    one:close()
    assert.same({ u1 = "changed", u2 = "withheld" },
      tenant.fates(assert(give(two, 2, "AUDITOR"):apply())))
  end)
end)

describe("two at once by one client", function()
  after_each(tenant.stop)

  it("cannot be one plan twice, also where it lives in memory and looks at something first",
    function()
      tenant.start { users = tenant.users(6, { { roles = { "ADMIN" } }, { roles = { "ADMIN" } },
        { roles = { "ADMIN" } } }) }
      local made, reports, errors = plan { users = { "u1" }, remove = { "ADMIN" } }, 0, {}
      tenant.client:run(function(tasks)
        for _ = 1, 2 do
          tasks:spawn(function()
            local report, err = made:apply()
            reports, errors[#errors + 1] = reports + (report and 1 or 0), err
          end)
        end
      end)
      assert.equal(1, reports)
      assert.truthy(errors[1].message:find("this plan was applied already", 1, true))
      assert.equal(1, #tenant.patches())
    end)

  it("are told of their progress, each as if it were alone", function()
    tenant.start({ users = tenant.users(40), groups = { "Blue" } })
    local long = plan { users = emails(40), add = { "AUDITOR" } }
    local short = assert(tenant.client.bulk:groups { users = emails(1), add = { "Blue" } })
    tenant.server:misbehave { match = { method = "PATCH" },
      fail = { after = 5, times = 1, status = 429, headers = { ["Retry-After"] = "2" } } }
    local waits, over = 0, false
    tenant.client:run(function(tasks)
      tasks:spawn(function()
        assert(long:apply { on_progress = function(progress)
          if over and progress.waiting_until then waits = waits + 1 end
        end })
      end)
      tasks:spawn(function()
        assert(short:apply { on_progress = function() end })
        over = true
      end)
    end)
    assert.is_true(waits > 1, waits .. " times")
  end)
end)
