-- SPDX-License-Identifier: MIT
--
-- What applying a plan sends, and what everybody is told afterwards.

local tenant = require "spec.bulk.tenant"

local start = tenant.start
local users = tenant.users
local emails = tenant.emails
local plan = tenant.plan
local patches = tenant.patches
local role_id = tenant.role_id
local direct_roles = tenant.direct_roles

describe("applying a bulk plan", function()
  after_each(tenant.stop)

  describe("apply", function()
    it("sends one PATCH for each who differs, with what differs, and nothing else but the "
      .. "canary's reads", function()
      start { users = users(3, { { roles = { "AUDITOR" } }, { roles = { "SUPPORT" } } }) }
      local made = plan { users = emails(3), add = { "AUDITOR" }, remove = { "SUPPORT" } }
      tenant.server:clear_requests()
      assert(made:apply())
      local audit, support = role_id "AUDITOR", role_id "SUPPORT"
      local sent = {}
      for _, request in ipairs(tenant.server:requests()) do
        if request.method == "PATCH" then sent[request.path] = request.body end
      end
      assert.same({
        ["/tenants/users/u2/roles"] =
          ('{"addedRoles":["%s"],"removedRoles":["%s"]}'):format(audit, support),
        ["/tenants/users/u3/roles"] =
          ('{"addedRoles":["%s"],"removedRoles":[]}'):format(audit),
      }, sent)
      assert.equal(made.requests, #tenant.server:requests())
    end)

    it("leaves everybody with what was asked for", function()
      start { users = users(300) }
      local report = assert(plan { users = emails(300), add = { "AUDITOR" } }:apply())
      assert.same({ 300, 300, 0, 0, true },
        { report.total, report.changed, report.failed, report.pending, report.complete })
      for n = 1, 300, 37 do assert.equal("AUDITOR", direct_roles("u" .. n)) end
      assert.equal(0, plan { users = emails(300), add = { "AUDITOR" } }.to_change)
    end)

    it("sends many at once", function()
      start { users = users(64) }
      local made = plan { users = emails(64), add = { "AUDITOR" } }
      tenant.server:misbehave { latency = 0.05 }
      -- One after another they would take 3.2 seconds.
      assert.is_true(assert(made:apply()).elapsed < 1)
    end)

    it("is refused a second time", function()
      start { users = users(2) }
      local made = plan { users = emails(2), add = { "AUDITOR" } }
      assert(made:apply())
      local report, err = made:apply()
      assert.is_nil(report)
      assert.equal("refused", err.kind)
      assert.equal(2, #patches())
    end)

    it("gives nil and the reason when the client may not send at all", function()
      start({ users = users(5) }, { read_only = true })
      local made = plan { users = emails(5), add = { "AUDITOR" } }
      local report, err = made:apply()
      assert.is_nil(report)
      assert.equal("refused", err.kind)
      assert.equal(0, #patches())
      assert.is_nil(made.report)
    end)
  end)

  describe("a person who fails", function()
    before_each(function()
      start({ users = users(50, { [9] = { status = "Deactivated" } }) }, { max_retries = 0 })
      tenant.server:misbehave {
        fail = { status = 422, body = '{"message":"user is locked"}' },
        match = { method = "PATCH", path = "/u2%d/" },
      }
    end)

    it("stops nobody else", function()
      local report = assert(plan { users = emails(50), add = { "AUDITOR" } }:apply())
      assert.same({ 40, 10, 0, false },
        { report.changed, report.failed, report.pending, report.complete })
      assert.equal("AUDITOR", direct_roles "u50")
    end)

    it("is in the report's rows with the error, as everybody else is with their fate", function()
      local report = assert(plan { users = emails(50), add = { "AUDITOR" } }:apply())
      local fates = { changed = 0, failed = 0 }
      for row in report:rows() do
        fates[row.fate] = fates[row.fate] + 1
        local locked = row.user:find("^u2%d$") ~= nil
        assert.equal(locked and "failed" or "changed", row.fate)
        assert.equal(locked and "users.update_roles: HTTP 422: user is locked" or nil, row.error)
        assert.equal(locked and 422 or nil, row.status)
      end
      assert.same({ changed = 40, failed = 10 }, fates)
    end)

    it("is named in the report's text, which does not look like success", function()
      local report = assert(plan { users = emails(50), add = { "AUDITOR" } }:apply())
      local text = tostring(report)
      for _, line in ipairs {
        "Report: + AUDITOR for 50 people\n",
        "\n  40 changed, 0 unchanged, 10 failed, 0 skipped, 0 pending\n",
        "\n  entry 29  u29@example.com  failed  users.update_roles: HTTP 422: user is locked\n",
        "\nNOT complete: a new plan takes up what is left.",
      } do
        assert.truthy(text:find(line, 1, true))
      end
    end)
  end)

  describe("a report", function()
    it("accounts for those who needed no change", function()
      start { users = users(3, { { roles = { "AUDITOR" } } }) }
      local report = assert(plan { users = emails(3), add = { "AUDITOR" } }:apply())
      assert.same({ 3, 2, 1 }, { report.total, report.changed, report.unchanged })
      assert.same({
        user = "u1", email = "u1@example.com", line = 1,
        add = {}, remove = {}, before = { "AUDITOR" }, added = {}, removed = {}, fate = "unchanged",
      }, report:rows()())
    end)

    it("fits a ticket", function()
      start { users = users(3, { { roles = { "AUDITOR" } } }) }
      local report = assert(plan { users = emails(3), add = { "AUDITOR" } }:apply())
      local text = tostring(report):gsub("planned [^,]+, begun [^\n]+", "planned TIME, begun TIME")
      assert.equal(table.concat({
        "Report: + AUDITOR for 3 people",
        "  2 changed, 1 unchanged, 0 failed, 0 skipped, 0 pending",
        "  planned TIME, begun TIME",
        "Complete: done for everybody.",
      }, "\n"), text)
    end)
  end)

  describe("on_result", function()
    it("gets each person's row as it is settled", function()
      start { users = users(20, { { roles = { "AUDITOR" } } }) }
      local seen = {}
      assert(plan { users = emails(20), add = { "AUDITOR" } }:apply {
        on_result = function(row) seen[row.user] = row.fate end,
      })
      assert.is_nil(seen.u1)
      for n = 2, 20 do assert.equal("changed", seen["u" .. n]) end
    end)
  end)

  describe("on_progress", function()
    it("tells how far the job is, at most ten times a second and at its end", function()
      start { users = users(120) }
      local made = plan { users = emails(120), add = { "AUDITOR" } }
      tenant.server:misbehave { latency = 0.1 }
      local events = {}
      local report = assert(made:apply { on_progress = function(p) events[#events + 1] = p end })
      assert.is_true(#events >= 3)
      assert.is_true(#events <= report.elapsed * 10 + 2)
      local last = events[#events]
      assert.same({ "apply", 120, 120, 120, 0 },
        { last.phase, last.done, last.total, last.changed, last.failed })
      assert.equal(0, last.eta)
      assert.is_true(last.rate > 0)
      for n = 2, #events do assert.is_true(events[n].done >= events[n - 1].done) end
    end)
  end)

  describe("a callback that raises", function()
    for _, name in ipairs { "on_progress", "on_result" } do
      it(("stops the job cleanly, and its error reaches the caller (%s)"):format(name), function()
        start { users = users(200) }
        local made = plan { users = emails(200), add = { "AUDITOR" } }
        local problem, calls = { "the very error" }, 0
        local ok, err = pcall(made.apply, made, {
          [name] = function()
            calls = calls + 1
            error(problem)
          end,
        })
        assert.is_false(ok)
        assert.equal(problem, err)
        assert.equal(1, calls)
        -- What was under way has ended, and the report knows about each.
        local report = made.report
        assert.equal(#patches(), report.changed)
        assert.is_true(report.changed < 200)
        assert.equal(200, report.changed + report.pending)
        assert.is_false(report.complete)
        assert.truthy(report.stopped:find(name .. " raised an error", 1, true))
        assert.truthy(tostring(report):find("NOT complete", 1, true))
      end)
    end
  end)
end)
