-- SPDX-License-Identifier: MIT
--
-- What a job knows to have done to a person, what it knows not to have done, and where it cannot
-- know: how each is told, resumed and undone.

local tenant = require "spec.bulk.tenant"

local start = tenant.start
local users = tenant.users
local emails = tenant.emails
local plan = tenant.plan
local patches = tenant.patches
local direct_roles = tenant.direct_roles
local stop_after = tenant.stop_after
local fates = tenant.fates

describe("what a job has done", function()
  local path
  tenant.with_journal(before_each, after_each, function(unused) path = unused end)

  local function planned(people, more)
    local job = { users = people, add = { "AUDITOR" }, journal = path }
    for name, value in pairs(more or {}) do job[name] = value end
    return plan(job)
  end

  local function refused(pattern, value, err)
    assert.is_nil(value)
    assert.truthy(tostring(err):find(pattern, 1, true), tostring(err))
  end

  local function reader()
    return tenant.server:client { read_only = true, max_in_flight = 1 }
  end

  describe("is not forgotten after a resume that could send nothing", function()
    before_each(function()
      start({ users = users(6) }, { max_in_flight = 1 })
      assert(planned(emails(6)):apply { should_stop = stop_after(2) })
    end)

    it("so the job can be undone", function()
      refused("read_only", reader().bulk:resume(path))
      local undo = assert(tenant.client.bulk:undo(path))
      assert.equal("u1 u2", tenant.changed_ids(undo))
      assert.is_true(assert(undo:apply()).complete)
      assert.equal("", direct_roles "u1")
    end)

    it("and cannot be applied a second time", function()
      refused("read_only", reader().bulk:resume(path))
      refused("was applied already", assert(tenant.client.bulk:load(path)):apply())
    end)

    it("and a run that was killed before it still leaves people in doubt", function()
      tenant.forget_end(path)
      -- u5 was changed when the run was killed, and that was not noted any more.
      tenant.server:change { user = "u5", add = { "AUDITOR" } }
      refused("read_only", reader().bulk:resume(path))
      tenant.server:clear_requests()
      local report = assert(tenant.client.bulk:resume(path))
      assert.equal("verified", fates(report).u5)
      assert.equal(3, #patches())
    end)

    it("and says why nobody was sent anything where it only found somebody done", function()
      tenant.forget_end(path)
      tenant.server:change { user = "u3", add = { "AUDITOR" } }
      local report = assert(reader().bulk:resume(path))
      assert.same({ 3, 3 }, { report.changed, report.pending })
      assert.equal("users.update_roles: refused: the client is read_only; nothing was sent",
        report.stopped)
    end)
  end)

  describe("is in doubt after a lost answer that cannot be cleared up", function()
    before_each(function()
      start({ users = users(4) }, { max_retries = 0 })
      local made = planned(emails(4))
      tenant.server:misbehave {
        { match = { method = "PATCH", path = "/u2/" }, lose = {} },
        { match = { method = "GET", path = "/u2/" }, fail = { status = 500 } },
      }
      local report = assert(made:apply())
      assert.same({ 3, 1 }, { report.changed, report.failed })
      local row = tenant.rows_of(report).u2
      assert.equal("failed", row.fate)
      assert.truthy(row.error:find("the service may have done it; and it cannot be read back: ",
        1, true))
      tenant.server:misbehave {}
    end)

    it("and undo reads such a person, and takes back what was done", function()
      assert.equal("AUDITOR", direct_roles "u2")
      assert.is_true(assert(assert(tenant.client.bulk:undo(path)):apply()).complete)
      for n = 1, 4 do assert.equal("", direct_roles("u" .. n)) end
    end)

    it("and undo leaves such a person alone where nothing was done after all", function()
      tenant.server:change { user = "u2", remove = { "AUDITOR" }, add = { "SUPPORT" } }
      assert.equal("u1 u3 u4", tenant.changed_ids(assert(tenant.client.bulk:undo(path))))
    end)

    for _, canary in ipairs { true, false } do
      it("and undo does so after a resume that cannot read the person either"
        .. (canary and ", as its canary" or ""), function()
        tenant.server:misbehave { match = { method = "GET", path = "/u2/" },
          fail = { status = 500 } }
        assert.equal(1, assert(tenant.client.bulk:resume(path, { canary = canary })).failed)
        tenant.server:misbehave {}
        assert.is_true(assert(assert(tenant.client.bulk:undo(path)):apply()).complete)
        assert.equal("", direct_roles "u2")
      end)
    end

    it("and undo does so after a resume from which such a person is protected, too", function()
      local report = assert(tenant.client.bulk:resume(path, { protect = { "u2" } }))
      assert.equal("withheld", fates(report).u2)
      assert.is_true(assert(assert(tenant.client.bulk:undo(path)):apply()).complete)
      assert.equal("", direct_roles "u2")
    end)

    it("and resume finds it done, and sends nothing", function()
      tenant.server:clear_requests()
      local report = assert(tenant.client.bulk:resume(path))
      assert.is_true(report.complete)
      assert.equal("verified", fates(report).u2)
      assert.equal(0, #patches())
    end)
  end)

  describe("is in doubt for everybody without an outcome after a kill", function()
    before_each(function()
      start { users = users(60) }
      assert(planned(emails(60)):apply { should_stop = stop_after(1) })
      tenant.forget_end(path)
      tenant.server:change { user = "u40", add = { "AUDITOR" } }
    end)

    it("and undo reads them many at once", function()
      tenant.server:misbehave { match = { path = "/u%d+/" }, latency = 0.05 }
      local before = os.time()
      assert.equal("u1 u40", tenant.changed_ids(assert(tenant.client.bulk:undo(path))))
      -- One after another they would take 3 seconds.
      assert.is_true(os.time() - before <= 2)
    end)

    it("and undo says so where one of them cannot be read", function()
      tenant.server:misbehave { match = { path = "/u30/" }, fail = { status = 400 } }
      refused("users.roles: HTTP 400", tenant.client.bulk:undo(path))
    end)

    it("and whoever has been deleted since is left out of the undo", function()
      tenant.server:change { user = { "u30", "u40" }, delete = true }
      assert.equal("u1", tenant.changed_ids(assert(tenant.client.bulk:undo(path))))
    end)
  end)

  describe("of an invitation", function()
    local function invited(n)
      local more = {}
      for i = 1, n do more[i] = { status = "invited" } end
      start({ users = users(n, more) }, { max_in_flight = 4 })
      return assert(tenant.client.bulk:invite { users = emails(n), journal = path })
    end

    local function invitations() return #tenant.server:state().invitations end

    -- In another process, where no client knows of a wait.
    local function resume()
      tenant.server:misbehave {}
      local other = tenant.server:client()
      local report = assert(other.bulk:resume(path))
      other:close()
      return report
    end

    it("is nothing where the service asked to wait: the next run sends it", function()
      local made = invited(12)
      tenant.server:misbehave {
        match = { method = "POST" },
        fail = { status = 429, after = 3, headers = { ["Retry-After"] = "1000" } },
      }
      local report = assert(made:apply())
      assert.same({ 3, 0, 9 }, { report.changed, report.failed, report.pending })
      report = resume()
      assert.is_true(report.complete, tostring(report))
      assert.equal(12, invitations())
    end)

    it("is nothing where the service refused it: the next run tries again", function()
      local made = invited(4)
      tenant.server:misbehave { match = { method = "POST", path = "/u2/" },
        fail = { status = 400 } }
      local report = assert(made:apply())
      assert.equal("failed", fates(report).u2)
      assert.equal(3, invitations())
      report = resume()
      assert.is_true(report.complete, tostring(report))
      assert.equal(4, invitations())
    end)

    it("is nothing to those who have accepted one meanwhile", function()
      local made = invited(6)
      tenant.server:change { user = "u1", status = "active" }
      local report = assert(made:apply { recheck = 0, should_stop = tenant.stop_after(3) })
      assert.same({ 2, 1, 3 }, { report.changed, report.unchanged, report.pending })
      tenant.server:change { user = "u5", status = "active" }
      report = resume()
      assert.is_true(report.complete, tostring(report))
      assert.equal("unchanged", fates(report).u5)
      assert.equal(4, invitations())
    end)

    it("is unknown where the answer was lost: it is never sent again", function()
      local made = invited(4)
      tenant.server:misbehave { match = { method = "POST", path = "/u2/" }, reset = {} }
      assert.equal("in_doubt", fates(assert(made:apply())).u2)
      assert.equal("in_doubt", fates(resume()).u2)
      assert.equal(3, invitations())
    end)

    it("is unknown ten times in a row only: then the job stops", function()
      local made = invited(60)
      tenant.server:misbehave { match = { method = "POST" }, lose = {} }
      local report = assert(made:apply())
      assert.truthy(report.stopped:find("(max_unreachable)", 1, true), report.stopped)
      assert.is_true(report.pending > 40)
    end)

    it("is as it was where the next run cannot try again: the first failure stays", function()
      local made = invited(4)
      tenant.server:misbehave { match = { method = "POST", path = "/u2/" },
        fail = { status = 400 } }
      assert(made:apply())
      refused("read_only", reader().bulk:resume(path))
      local row = tenant.rows_of(assert(tenant.client.bulk:report(path))).u2
      assert.same({ "failed", 400 }, { row.fate, row.status })
    end)
  end)

  describe("can be undone", function()
    it("where direct roles were assumed when it was planned", function()
      start {
        groups = { { name = "Help", roles = { "SUPPORT" } } },
        users = users(3, { { groups = { "Help" } }, { groups = { "Help" } } }),
        assume = { role_flags = "ignored" },
      }
      assert(planned(emails(3), { direct_roles = "assume" }):apply { canary = false })
      assert.equal("u1 u2 u3", tenant.changed_ids(assert(tenant.client.bulk:undo(path))))
    end)

    it("where somebody has joined a group since that gives the same role", function()
      start {
        groups = { { name = "Audit", roles = { "AUDITOR" } } }, users = users(1),
      }
      assert(planned(emails(1)):apply())
      tenant.server:change { user = "u1", join = { "Audit" } }
      assert.is_true(assert(assert(tenant.client.bulk:undo(path)):apply()).complete)
      assert.equal("", direct_roles "u1")
    end)

    it("not while it runs: the plan would be made of half of it", function()
      start { users = users(20) }
      local undo, problem
      assert(planned(emails(20)):apply {
        on_result = function()
          if not problem then undo, problem = tenant.client.bulk:undo(path) end
        end,
      })
      refused("is in use by another run", undo, problem)
      assert.equal(20, assert(tenant.client.bulk:undo(path)).to_change)
    end)

    it("where it changed nobody, which is complete at once", function()
      start { users = users(1, { { roles = { "AUDITOR" } } }) }
      assert(planned(emails(1)):apply())
      local undo = assert(tenant.client.bulk:undo(path))
      assert.equal("Plan: nothing for 0 people", tostring(undo):match("^[^\n]+"))
      assert.is_true(assert(undo:apply()).complete)
    end)
  end)

  describe("is told by counts and rows that agree", function()
    it("after a resume that stopped early, too", function()
      start({ users = users(6) }, { max_in_flight = 1 })
      local made = planned(emails(6))
      tenant.server:misbehave { match = { method = "PATCH", path = "/u[135]/" },
        fail = { status = 422 } }
      local first = assert(made:apply())
      assert.same({ 3, 3, 0 }, { first.changed, first.failed, first.pending })
      local report = assert(tenant.client.bulk:resume(path, { should_stop = stop_after(1) }))
      local again = assert(tenant.client.bulk:report(path))
      for _, told in ipairs { report, again } do
        assert.same({ 3, 3, 0 }, { told.changed, told.failed, told.pending })
        assert.same({ u1 = "failed", u2 = "changed", u3 = "failed", u4 = "changed", u5 = "failed",
          u6 = "changed" }, fates(told))
      end
    end)
  end)

  it("is complete where a reason to stop comes when everybody is done", function()
    start({ users = users(4) }, { max_in_flight = 1 })
    local report = assert(planned(emails(4)):apply { should_stop = stop_after(4) })
    assert.is_true(report.complete)
    assert.is_nil(report.stopped)
  end)

  describe("is nothing at all", function()
    it("by a client that is closed: the plan can still be applied", function()
      start { users = users(40) }
      local other = tenant.server:client()
      local made = assert(other.bulk:roles { users = emails(40), add = { "AUDITOR" },
        journal = path })
      other:close()
      refused("closed", made:apply())
      assert.is_nil(made.report)
      local report = assert(assert(tenant.client.bulk:load(path)):apply())
      assert.is_true(report.complete)
    end)

    it("to those who were to come when the client was closed in the middle", function()
      start({ users = users(40) }, { max_in_flight = 1 })
      local made, settled = planned(emails(40)), 0
      local report = assert(made:apply {
        on_result = function()
          settled = settled + 1
          if settled == 5 then tenant.client:close() end
        end,
      })
      assert.truthy(report.stopped:find("the client was closed", 1, true), report.stopped)
      assert.same({ 5, 0, 35 }, { report.changed, report.failed, report.pending })
    end)

    it("by a plan in whose journal there is another plan now", function()
      start { users = users(3), groups = { "Red" } }
      local made = planned(emails(3))
      os.remove(path)
      assert(tenant.client.bulk:groups { users = emails(2), add = { "Red" }, journal = path })
      refused("holds another plan now", made:apply())
      assert.equal(0, #patches())
    end)
  end)
end)
