-- SPDX-License-Identifier: MIT
--
-- The guard rails: each keeps a person out of a plan, a plan from being applied, or a running job
-- from going on; says so with its numbers; and can be moved by its own option, and by no other.

local tenant = require "spec.bulk.tenant"

local start = tenant.start
local users = tenant.users
local emails = tenant.emails
local plan = tenant.plan
local patches = tenant.patches
local direct_roles = tenant.direct_roles

describe("the guard rails of a bulk job", function()
  after_each(tenant.stop)

  -- The plan is still there to be looked at, and says what will happen.
  local function is_refused(made, sentence, options)
    local before = #patches()
    local report, err = made:apply(options)
    assert.is_nil(report)
    assert.equal("refused", err.kind)
    assert.equal(sentence, err.message)
    assert.truthy(tostring(made):find("  will be REFUSED: " .. sentence, 1, true))
    assert.equal(before, #patches())
  end

  local function applies(made, options)
    local report = assert(made:apply(options))
    assert.is_true(report.complete, tostring(report))
    return report
  end

  describe("OWNER", function()
    before_each(function()
      start {
        users = users(3, { { roles = { "OWNER" } }, { roles = { "SUPPORT" } } }),
        assume = { owner_add = "accept", owner_remove = "accept" },
      }
    end)

    it("is not taken from anybody", function()
      local made = plan { users = { "u1", "u2", "u3" }, set = { "BASIC" } }
      assert.same({ 3, 2, 1 }, { made.total, made.to_change, #made.withheld })
      assert.equal("u1", made.withheld[1].user)
      assert.equal("OWNER is neither given nor taken (allow_owner)", made.withheld[1].reason)
      assert.truthy(tostring(made):find("Withheld (1 person):\n  entry 1  u1  ",
        1, true))
      local report = assert(made:apply())
      assert.same({ 2, 1, false }, { report.changed, report.skipped, report.complete })
      assert.equal("OWNER", direct_roles "u1")
    end)

    it("is not given to anybody", function()
      local made = plan { users = { "u2" }, add = { "OWNER" } }
      assert.same({ 0, 1 }, { made.to_change, #made.withheld })
    end)

    it("moves with allow_owner alone", function()
      applies(plan { users = { "u3" }, add = { "OWNER" }, allow_owner = true })
      assert.equal("OWNER", direct_roles "u3")
    end)
  end)

  describe("protected people", function()
    it("are not changed, whether protected by id or by e-mail, named by id or by e-mail", function()
      start({ users = users(6) }, { protect = { "u2", "U3@Example.com" } })
      local made = plan {
        users = { "u1", "u2@example.com", "u3", "u4", "u5@example.com" }, add = { "AUDITOR" },
        protect = { "u5" },
      }
      assert.same({ 5, 2, 3 }, { made.total, made.to_change, #made.withheld })
      assert.equal("protected (protect)", made.withheld[3].reason)
      assert(made:apply())
      for _, id in ipairs { "u2", "u3", "u5" } do assert.equal("", direct_roles(id)) end
      for _, id in ipairs { "u1", "u4" } do assert.equal("AUDITOR", direct_roles(id)) end
    end)

    it("are not changed by a plan that was made before they were protected", function()
      start { users = users(3) }
      local made = plan { users = emails(3), add = { "AUDITOR" } }
      local report = assert(made:apply { protect = { "u2@example.com" } })
      assert.same({ 2, 1, 0 }, { report.changed, report.skipped, report.pending })
      assert.equal("", direct_roles "u2")
    end)
  end)

  describe("a job for nobody", function()
    it("is refused, since a list that came out empty is a mistake", function()
      start { users = users(1) }
      is_refused(plan { users = {}, add = { "AUDITOR" } }, "nobody is named at all (allow_empty)")
      applies(plan { users = {}, add = { "AUDITOR" } }, { allow_empty = true })
    end)
  end)

  describe("max_changes", function()
    it("is 500 by itself", function()
      start { users = users(501) }
      local made = plan { users = emails(501), add = { "AUDITOR" } }
      is_refused(made, "501 people to change, more than max_changes = 500")
      applies(made, { max_changes = 501 })
    end)

    it("may be given with the plan, and as a share of those named", function()
      start { users = users(20, { { roles = { "AUDITOR" } } }) }
      is_refused(plan { users = emails(20), add = { "AUDITOR" }, max_changes = "90%" },
        "19 people to change, more than max_changes = 90% (18)")
      applies(plan { users = emails(20), add = { "AUDITOR" }, max_changes = "95%" })
    end)
  end)

  describe("max_removal_percent", function()
    local function tenant_with(holders)
      local more = {}
      for n = 1, holders do more[n] = { roles = { "SUPPORT" } } end
      start { users = users(40, more) }
    end

    it("looks at those who hold the role in the tenant, not in the list", function()
      tenant_with(10)
      local made = plan { users = { "u1", "u2", "u3" }, remove = { "SUPPORT" } }
      is_refused(made, "3 of the 10 who hold SUPPORT lose it (30%), more than "
        .. "max_removal_percent = 20")
      applies(made, { max_removal_percent = 30 })
    end)

    it("lets pass what is under it", function()
      tenant_with(10)
      applies(plan { users = { "u1", "u2" }, remove = { "SUPPORT" } })
    end)

    it("is not for roles that few hold", function()
      tenant_with(9)
      applies(plan { users = { "u1", "u2", "u3" }, remove = { "SUPPORT" } })
    end)

    it("counts a replacement as a loss, and nobody who only gains", function()
      tenant_with(10)
      is_refused(plan { users = emails(20), replace = { SUPPORT = "AUDITOR" } },
        "10 of the 10 who hold SUPPORT lose it (100%), more than max_removal_percent = 20")
    end)
  end)

  describe("min_admins", function()
    before_each(function()
      start { users = users(8, {
        { roles = { "ADMIN" } }, { roles = { "ADMIN" } }, { roles = { "ADMIN" } },
        { roles = { "ADMIN" }, status = "deactivated" },
      }) }
    end)

    it("counts the active administrators that the tenant would have left", function()
      is_refused(plan { users = { "u1", "u2" }, remove = { "ADMIN" } },
        "1 of 3 administrators would be left, fewer than min_admins = 2")
      applies(plan { users = { "u1" }, remove = { "ADMIN" } })
      is_refused(plan { users = { "u2", "u3" }, remove = { "ADMIN" } },
        "0 of 2 administrators would be left, fewer than min_admins = 2")
    end)

    it("moves with min_admins alone", function()
      local made = plan { users = { "u1", "u2" }, remove = { "ADMIN" } }
      assert.is_nil(made:apply { max_changes = 1000, max_removal_percent = 100 })
      applies(made, { min_admins = 1 })
    end)

    it("does not count those who become administrators in the same job, since that can fail",
      function()
        is_refused(plan {
          users = {
            { id = "u1", remove = { "ADMIN" } }, { id = "u2", remove = { "ADMIN" } },
            { id = "u7", add = { "ADMIN" } },
          },
        }, "1 of 3 administrators would be left, fewer than min_admins = 2")
      end)

    it("is asked by a job that deactivates, too", function()
      local made = assert(tenant.client.bulk:deactivate { users = { "u1", "u2", "u5" } })
      is_refused(made, "1 of 3 administrators would be left, fewer than min_admins = 2")
      applies(assert(tenant.client.bulk:deactivate { users = { "u1", "u5" } }))
    end)

    it("keeps a tenant with one administrator from losing it", function()
      applies(plan { users = { "u1", "u2" }, remove = { "ADMIN" } }, { min_admins = 1 })
      is_refused(plan { users = { "u3" }, remove = { "ADMIN" } },
        "0 of 1 administrators would be left, fewer than min_admins = 2")
    end)
  end)

  describe("a running job", function()
    local function stopped(made, options, reason)
      local report = assert(made:apply(options))
      assert.is_false(report.complete)
      assert.truthy(report.stopped:find(reason, 1, true), report.stopped)
      assert.truthy(tostring(report):find("  stopped: ", 1, true))
      assert.equal(report.total, report.changed + report.unchanged + report.failed
        + report.skipped + report.pending)
      return report
    end

    it("stops at more than max_failures", function()
      start({ users = users(60) }, { max_in_flight = 2 })
      local made = plan { users = emails(60), add = { "AUDITOR" } }
      tenant.server:misbehave { match = { method = "PATCH", path = "/u[2-5]/" },
        fail = { status = 422 } }
      local report = stopped(made, { max_failures = 3 },
        "4 people failed, more than max_failures = 3")
      assert.is_true(report.failed >= 4 and report.failed <= 6)
      assert.is_true(report.pending > 30)
    end)

    it("takes a share of the changes for max_failures; 25 or a tenth by itself", function()
      start({ users = users(60) }, { max_in_flight = 1 })
      local made = plan { users = emails(60), add = { "AUDITOR" } }
      tenant.server:misbehave { match = { method = "PATCH" }, fail = { status = 422, after = 1 } }
      stopped(made, {}, "26 people failed, more than max_failures = 25")
      made = plan { users = emails(60), add = { "AUDITOR" } }
      stopped(made, { max_failures = "10%" }, "6 people failed, more than max_failures = 10% (5)")
    end)

    it("stops when the service cannot be reached for ten people in a row", function()
      start({ users = users(60) }, { max_in_flight = 1, max_retries = 0 })
      tenant.server:misbehave { match = { method = "PATCH" }, reset = { after = 1 } }
      local made = plan { users = emails(60), add = { "AUDITOR" } }
      local report = stopped(made, { max_failures = 1000 },
        "the service could not be reached for 10 people in a row (max_unreachable): ")
      assert.equal(10, report.failed)
    end)

    it("stops at the first 401, as when the key is revoked in the middle", function()
      start({ users = users(60) }, { max_in_flight = 1 })
      local made = plan { users = emails(60), add = { "AUDITOR" } }
      tenant.server:misbehave { match = { method = "PATCH" }, fail = { status = 401, after = 5 } }
      local report = stopped(made, {}, "the service refuses the key, or this change: ")
      assert.same({ 5, 1, 54 }, { report.changed, report.failed, report.pending })
    end)

    it("stops when should_stop says so, and when max_duration is over", function()
      start({ users = users(60) }, { max_in_flight = 1 })
      local made = plan { users = emails(60), add = { "AUDITOR" } }
      local asked = 0
      local report = stopped(made, {
        should_stop = function()
          asked = asked + 1
          return asked > 10
        end,
      }, "should_stop said so")
      assert.same({ 10, 50 }, { report.changed, report.pending })
      made = plan { users = emails(60), add = { "AUDITOR" } }
      report = stopped(made, { max_duration = 0 }, "max_duration of 0.00 s is over")
      assert.equal(50, report.pending)
    end)

    it("stops when it is asked to wait longer than a job waits, and says until when", function()
      start({ users = users(60) }, { max_in_flight = 1 })
      local made = plan { users = emails(60), add = { "AUDITOR" } }
      tenant.server:misbehave {
        match = { method = "PATCH" },
        fail = { status = 429, after = 5, headers = { ["Retry-After"] = "4000" } },
      }
      local now = os.time()
      local report = stopped(made, {}, "the service asked to wait until ")
      assert.is_true(report.resume_at >= now + 4000 and report.resume_at <= os.time() + 4001)
      assert.same({ 5, 0, 55 }, { report.changed, report.failed, report.pending })
    end)
  end)

  describe("the canary", function()
    it("stops after one change where a direct role replaces what groups give", function()
      start {
        groups = { { name = "Help", roles = { "SUPPORT" } } },
        users = users(20, (function()
          local more = {}
          for n = 1, 20 do more[n] = { groups = { "Help" } } end
          return more
        end)()),
        assume = { direct_roles = "instead" },
      }
      local made = plan { users = emails(20), add = { "AUDITOR" } }
      local report = assert(made:apply())
      assert.equal("canary: u1@example.com has lost SUPPORT, which the plan does not remove; does "
        .. "a direct role replace inherited ones in this tenant?", report.stopped)
      assert.same({ 1, 19 }, { report.changed, report.pending })
      assert.equal(1, #patches())
    end)

    it("stops after one change that did not do what was planned", function()
      start { users = users(20) }
      local made = plan { users = emails(20), add = { "AUDITOR" } }
      tenant.server:misbehave { match = { method = "PATCH" }, fail = { status = 200, body = "" } }
      local report = assert(made:apply())
      assert.equal("canary: u1@example.com is not as planned after the change: holds nothing",
        report.stopped)
      assert.equal(1, #patches())
    end)

    it("is not passed over by a resume, unless that is said", function()
      start { users = users(20) }
      local path = tenant.unused_path(".jsonl")
      local made = plan { users = emails(20), add = { "AUDITOR" }, journal = path }
      tenant.server:misbehave { match = { method = "PATCH" },
        fail = { status = 200, body = "", times = 1 } }
      local report = assert(made:apply())
      assert.is_true(report.alarm)
      local resumed, err = tenant.client.bulk:resume(path)
      assert.is_nil(resumed)
      assert.equal("refused", err.kind)
      assert.equal("canary: u1@example.com is not as planned after the change: holds nothing "
        .. "(undo the job, or go on with canary = false)", err.message)
      assert.equal(1, #patches())
      report = assert(tenant.client.bulk:resume(path, { canary = false }))
      assert.same({ 20, 0 }, { report.changed, report.pending })
      assert.is_false(report.alarm)
      os.remove(path)
    end)

    it("can be left out", function()
      start { users = users(20) }
      local made = plan { users = emails(20), add = { "AUDITOR" } }
      tenant.server:clear_requests()
      applies(made, { canary = false })
      assert.equal(20, #tenant.server:requests())
    end)

    it("is the first who can be changed", function()
      start { users = users(5) }
      local made = plan { users = emails(5), add = { "AUDITOR" } }
      tenant.server:misbehave { match = { method = "PATCH", path = "/u[12]/" },
        fail = { status = 422 } }
      local report = assert(made:apply())
      assert.same({ 3, 2 }, { report.changed, report.failed })
    end)
  end)

  describe("roles that cannot be told apart", function()
    it("refuse the plan, unless they are assumed to be direct", function()
      start {
        groups = { { name = "Help", roles = { "SUPPORT" } } },
        users = users(6, { { groups = { "Help" } }, { groups = { "Help" },
          roles = { "SUPPORT" } } }),
        assume = { role_flags = "ignored" },
      }
      local job = { users = emails(6), remove = { "SUPPORT" } }
      local made, err = tenant.client.bulk:roles(job)
      assert.is_nil(made)
      assert.equal("refused", err.kind)
      assert.equal("direct and inherited roles cannot be told apart: rolesOnly and groupsOnly gave "
        .. 'the same for 2 of 2 users (direct_roles = "assume" plans all the same)', err.message)
      job.direct_roles = "assume"
      assert.equal(2, plan(job).to_change)
    end)
  end)

  describe("what somebody else changes meanwhile", function()
    it("is not overwritten: with recheck each is read again, and skipped as a conflict", function()
      start { users = users(5) }
      local made = plan { users = emails(5), add = { "AUDITOR" }, remove = { "SUPPORT" } }
      assert(tenant.client.users:update_roles("u3", { addedRoles = { tenant.role_id "SUPPORT" } }))
      local report = assert(made:apply { recheck = 0 })
      assert.same({ 4, 1, 0 }, { report.changed, report.skipped, report.failed })
      local fates = {}
      for row in report:rows() do fates[row.user] = row end
      assert.equal("conflict", fates.u3.fate)
      assert.equal("changed since the plan was made: holds SUPPORT", fates.u3.error)
      assert.equal("SUPPORT", direct_roles "u3")
    end)

    it("is not looked for while the plan is young", function()
      start { users = users(5) }
      local made = plan { users = emails(5), add = { "AUDITOR" } }
      tenant.server:clear_requests()
      applies(made, { recheck = 300, canary = false })
      assert.equal(5, #tenant.server:requests())
    end)

    it("is never looked for with recheck = false, however old the plan is", function()
      start { users = users(5) }
      local path = tenant.unused_path(".jsonl")
      plan { users = emails(5), add = { "AUDITOR" }, journal = path }
      tenant.age(path, 100000)
      local made = assert(tenant.client.bulk:load(path))
      tenant.server:clear_requests()
      applies(made, { recheck = false, canary = false })
      assert.equal(5, #tenant.server:requests())
      os.remove(path)
    end)

    it("is not overwritten when it comes in the middle of a job that reads everybody", function()
      start({ users = users(60) }, { max_in_flight = 1 })
      local made = plan { users = emails(60), add = { "AUDITOR" }, remove = { "SUPPORT" } }
      tenant.server:misbehave {
        match = { method = "PATCH" },
        meddle = { user = { "u40", "u50" }, add = { "SUPPORT" }, after = 20, times = 1 },
      }
      local report = assert(made:apply { recheck = 0 })
      assert.same({ 58, 2, 0 }, { report.changed, report.skipped, report.failed })
      for _, id in ipairs { "u40", "u50" } do
        assert.equal("conflict", tenant.fates(report)[id])
        assert.equal("SUPPORT", direct_roles(id))
      end
    end)
  end)
end)
