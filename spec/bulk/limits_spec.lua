-- SPDX-License-Identifier: MIT
--
-- Limits and waits that are odd numbers, and limits whose facts are hard to get or have changed
-- since the plan was made.

local tenant = require "spec.bulk.tenant"

local start = tenant.start
local users = tenant.users
local emails = tenant.emails
local plan = tenant.plan
local stop_after = tenant.stop_after

describe("a limit of a bulk job", function()
  local path
  tenant.with_journal(before_each, after_each, function(unused) path = unused end)

  local function all_with(n, role)
    local more = {}
    for i = 1, n do more[i] = { roles = { role } } end
    return users(n, more)
  end

  local function refused(sentence, report, err)
    assert.is_nil(report)
    assert.equal("refused", err.kind)
    assert.equal(sentence, err.message:sub(1, #sentence))
  end

  -- How people say that there is none.
  for name, none in pairs { ["math.huge"] = math.huge, ["1e19"] = 1e19, ["1e300"] = 1e300 } do
    describe("that is " .. name, function()
      before_each(function() start({ users = users(4) }, { max_in_flight = 1 }) end)

      it("may be an option of the job, with a journal and without", function()
        assert(plan { users = emails(4), add = { "AUDITOR" }, max_changes = none }:apply())
        local made = plan { users = emails(4), add = { "SUPPORT" }, max_changes = none,
          journal = path }
        assert.is_true(assert(made:apply()).complete)
      end)

      it("may be an option of apply, and the job can be reported, resumed and undone", function()
        local made = plan { users = emails(4), add = { "AUDITOR" }, journal = path }
        local limits = { should_stop = stop_after(2) }
        for _, limit in ipairs { "max_changes", "max_removal_percent", "max_failures",
          "max_unreachable", "max_duration", "recheck" } do
          limits[limit] = none
        end
        assert.equal(2, assert(made:apply(limits)).changed)
        assert.equal(2, assert(tenant.client.bulk:report(path)).changed)
        assert.is_true(assert(tenant.client.bulk:resume(path)).complete)
        assert.equal(4, assert(tenant.client.bulk:undo(path)).to_change)
      end)
    end)
  end

  describe("that is a fraction", function()
    it("stops a job at the first failure beyond it", function()
      start({ users = users(8) }, { max_in_flight = 1 })
      local made = plan { users = emails(8), add = { "AUDITOR" } }
      tenant.server:misbehave { match = { method = "PATCH" }, fail = { status = 400, after = 2 } }
      local report = assert(made:apply { max_failures = 0.5 })
      assert.equal("1 person failed, more than max_failures = 0.5", report.stopped)
      assert.same({ 2, 1, 5 }, { report.changed, report.failed, report.pending })
    end)

    it("is refused with its own digits", function()
      start { users = all_with(10, "SUPPORT") }
      refused("2 of the 10 who hold SUPPORT lose it (20%), more than max_removal_percent = 12.5",
        plan { users = emails(2), remove = { "SUPPORT" }, max_removal_percent = 12.5 }:apply())
      refused("2 people to change, more than max_changes = 1.5",
        plan { users = emails(2), add = { "AUDITOR" }, max_changes = 1.5 }:apply())
    end)
  end)

  it("on a service that cannot be reached counts those, too, who cannot be read back", function()
    start({ users = users(60) }, { max_in_flight = 1, max_retries = 0 })
    local made, settled = plan { users = emails(60), add = { "AUDITOR" }, journal = path }, 0
    local report = assert(made:apply {
      on_result = function()
        settled = settled + 1
        if settled == 5 then tenant.server:stop() end
      end,
    })
    assert.truthy(report.stopped:find("for 10 people in a row (max_unreachable): ", 1, true),
      report.stopped)
    assert.same({ 5, 10, 45 }, { report.changed, report.failed, report.pending })
  end)

  describe("that looks at those who hold a role", function()
    -- Too many for one answer; a page of users is smaller.
    local function many()
      start({ users = all_with(300, "SUPPORT") }, { max_response_bytes = 70 * 1024 })
    end

    it("refuses, and says why, where their number cannot be had", function()
      many()
      local made = plan { users = emails(3), remove = { "SUPPORT" } }
      refused("how many hold SUPPORT is not known, for max_removal_percent = 20: "
        .. "roles.users: too_large", made:apply())
      assert.is_true(assert(made:apply { max_removal_percent = 100 }).complete)
    end)

    it("is not asked by an undo, which needs no such number", function()
      start({ users = users(300) }, { max_response_bytes = 70 * 1024 })
      assert(plan { users = emails(300), add = { "AUDITOR" }, journal = path }:apply())
      local undo = assert(tenant.client.bulk:undo(path))
      assert.is_true(assert(undo:apply()).complete)
    end)
  end)

  describe("that looks at the administrators", function()
    before_each(function()
      local more = {}
      for n = 1, 4 do more[n] = { roles = { "ADMIN" } } end
      start({ users = users(8, more) }, { max_in_flight = 1 })
    end)

    local function administrators()
      local count = 0
      for _, roles in pairs(tenant.server:direct_roles()) do
        if roles:find "ADMIN" then count = count + 1 end
      end
      return count
    end

    it("looks again when a plan is applied: two plans that were made together are no way around it",
      function()
        local one = plan { users = { "u1", "u2" }, remove = { "ADMIN" } }
        local two = plan { users = { "u3", "u4" }, remove = { "ADMIN" } }
        assert(one:apply())
        refused("0 of 2 administrators would be left, fewer than min_admins = 2", two:apply())
        assert.equal(2, administrators())
      end)

    it("looks again when a job is resumed, and does not count whom it has changed twice", function()
      local made = plan { users = { "u1", "u2" }, remove = { "ADMIN" }, journal = path }
      assert(made:apply { should_stop = stop_after(1) })
      assert.equal(3, administrators())
      local report = assert(tenant.client.bulk:resume(path))
      assert.is_true(report.complete)
      assert.equal(2, administrators())
    end)

    it("does not count deactivated users who are to become administrators", function()
      tenant.server:change { user = { "u7", "u8" }, status = "Deactivated" }
      refused("0 of 4 administrators would be left, fewer than min_admins = 2", plan {
        users = {
          { id = "u7", add = { "ADMIN" } }, { id = "u8", add = { "ADMIN" } },
          { id = "u1", remove = { "ADMIN" } }, { id = "u2", remove = { "ADMIN" } },
          { id = "u3", remove = { "ADMIN" } }, { id = "u4", remove = { "ADMIN" } },
        },
      }:apply())
      assert.equal(4, administrators())
    end)
  end)
end)

describe("a wait that the service asks of a bulk job", function()
  after_each(tenant.stop)

  local function asked_to_wait(seconds, times, options)
    start({ users = users(6) }, options)
    local made = plan { users = emails(6), add = { "AUDITOR" } }
    tenant.server:misbehave {
      match = { method = "PATCH" },
      fail = { status = 429, times = times, headers = { ["Retry-After"] = seconds } },
    }
    return made
  end

  it("may be a fraction of a second more than it waits", function()
    local made, now = asked_to_wait("1000.5"), os.time()
    local report = assert(made:apply())
    assert.truthy(report.stopped:find("(Retry-After: 1001 s)", 1, true), report.stopped)
    assert.is_true(report.resume_at >= now + 1001)
    assert.equal(6, report.pending)
  end)

  it("may be absurd: the job stops, and says until when, or nearly", function()
    for _, seconds in ipairs { "1000000000000000", "300000000000000000", "9223372036854775807" } do
      local report = assert(asked_to_wait(seconds):apply())
      assert.truthy(report.stopped:find("the service asked to wait until ", 1, true))
      assert.equal(6, report.pending)
      assert.truthy(tostring(report))
      tenant.stop()
    end
  end)

  it("is kept, up to a quarter of an hour, by a client that would not wait for a single call",
    function()
      local made = asked_to_wait("1", 1, { max_retry_wait = 0.1 })
      local report = assert(made:apply())
      assert.is_true(report.complete, tostring(report))
      assert.is_true(report.elapsed >= 1)
    end)

  it("is kept by what a plan and a resume read, too", function()
    start({ users = users(12, { { roles = { "ADMIN" } }, { roles = { "ADMIN" } } }) },
      { max_retry_wait = 0.1 })
    local path = tenant.unused_path(".jsonl")
    local function asked_once(pattern)
      tenant.server:misbehave {
        match = { method = "GET", path = pattern },
        fail = { status = 429, times = 1, headers = { ["Retry-After"] = "1" } },
      }
    end
    local job = { users = emails(12), remove = { "ADMIN" }, min_admins = 0, journal = path }
    for _, pattern in ipairs { "/roles$", "/users$", "/roles/[^/]+/users$" } do
      asked_once(pattern)
      assert(tenant.client.bulk:roles(job))
      os.remove(path)
    end
    tenant.server:misbehave {}
    assert(assert(tenant.client.bulk:roles(job)):apply { should_stop = tenant.stop_after(1) })
    asked_once("/tenants/roles$")
    assert.is_true(assert(tenant.client.bulk:resume(path)).complete)
    os.remove(path)
  end)
end)
