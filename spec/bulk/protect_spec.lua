-- SPDX-License-Identifier: MIT
--
-- Who may not be changed: people that are protected, by whatever name and whenever that is said,
-- and whoever holds OWNER.

local tenant = require "spec.bulk.tenant"

local start = tenant.start
local users = tenant.users
local emails = tenant.emails
local plan = tenant.plan
local direct_roles = tenant.direct_roles

describe("protected people", function()
  local path
  tenant.with_journal(before_each, after_each, function(unused) path = unused end)

  describe("that are named by e-mail, in a plan that knows only ids,", function()
    it("are not changed by apply", function()
      start { users = users(3) }
      local made = plan { users = { "u1", "u2" }, add = { "AUDITOR" } }
      local report = assert(made:apply { protect = { "U2@example.com" } })
      assert.same({ u1 = "changed", u2 = "withheld" }, tenant.fates(report))
      assert.equal("", direct_roles "u2")
    end)

    it("are not changed by the client that protects them", function()
      start { users = users(3) }
      plan { users = { "u3" }, add = { "AUDITOR" }, journal = path }
      local other = tenant.server:client { protect = { "u3@example.com" } }
      local report = assert(assert(other.bulk:load(path)):apply())
      other:close()
      assert.equal("withheld", tenant.fates(report).u3)
      assert.equal("", direct_roles "u3")
    end)
  end)

  it("that were named to apply are protected from its resume, too", function()
    start({ users = users(6) }, { max_in_flight = 1 })
    local made = plan { users = emails(6), add = { "AUDITOR" }, journal = path }
    assert(made:apply { protect = { "u6@example.com", "u5" }, should_stop = tenant.stop_after(2) })
    local report = assert(tenant.client.bulk:resume(path))
    assert.same({ 4, 2, 0 }, { report.changed, report.skipped, report.pending })
    assert.equal("", direct_roles "u5")
    assert.equal("", direct_roles "u6")
  end)

  it("that were named to resume are protected beside those that apply knew", function()
    start({ users = users(6) }, { max_in_flight = 1 })
    local made = plan { users = emails(6), add = { "AUDITOR" }, journal = path }
    assert(made:apply { protect = { "u6" }, should_stop = tenant.stop_after(2) })
    local report = assert(tenant.client.bulk:resume(path, { protect = { "u5" },
      should_stop = tenant.stop_after(1) }))
    assert.equal(3, report.changed)
    report = assert(tenant.client.bulk:resume(path))
    assert.same({ 4, 2, 0 }, { report.changed, report.skipped, report.pending })
    assert.equal("", direct_roles "u5")
    assert.equal("", direct_roles "u6")
  end)

  it("may have blanks around their names", function()
    start({ users = users(3) }, { protect = { " u1@example.com " } })
    local made = plan { users = { "u1", "u2", "u3" }, add = { "AUDITOR" }, protect = { " u2" } }
    assert.equal("u3", tenant.changed_ids(made))
    tenant.client:close()
    tenant.client = tenant.server:client()
    made = plan { users = { "u1", "u2", "u3" }, add = { "AUDITOR" } }
    local report = assert(made:apply { protect = { " u1@example.com", "u2 " } })
    assert.same({ u1 = "withheld", u2 = "withheld", u3 = "changed" }, tenant.fates(report))
  end)

  it("whom nobody fits are told in the plan: it may be a typing error", function()
    start { users = users(3) }
    local made = plan { users = emails(3), add = { "AUDITOR" }, protect = { "u1@exampel.com" } }
    assert.truthy(tostring(made):find("\n  protect: nobody has the e-mail 'u1@exampel.com'\n", 1,
      true))
  end)

  it("are compared by id exactly, by the plan and by apply", function()
    start { users = { { id = "U1", email = "a@x.org" }, { id = "u1", email = "b@x.org" } } }
    local made = plan { users = { "U1", "u1" }, add = { "AUDITOR" }, protect = { "u1" } }
    assert.equal("U1", tenant.changed_ids(made))
    made = plan { users = { "U1", "u1" }, add = { "AUDITOR" } }
    local report = assert(made:apply { protect = { "u1" } })
    assert.same({ U1 = "changed", u1 = "withheld" }, tenant.fates(report))
  end)

  it("are the way on where the service refuses one person", function()
    start({ users = users(5) }, { max_in_flight = 1 })
    local made = plan { users = emails(5), add = { "AUDITOR" }, journal = path }
    tenant.server:misbehave { match = { method = "PATCH", path = "/u3/" },
      fail = { status = 403 } }
    local report = assert(made:apply())
    assert.truthy(report.stopped:find('(to leave this person out: protect = { "u3" })', 1, true),
      report.stopped)
    report = assert(tenant.client.bulk:resume(path, { protect = { "u3" } }))
    assert.same({ 4, 1, 0 }, { report.changed, report.skipped, report.pending })
  end)
end)

describe("whoever holds OWNER", function()
  after_each(tenant.stop)

  before_each(function()
    start {
      users = users(5, {
        { roles = { "OWNER" } }, { roles = { "ADMIN" } }, { roles = { "ADMIN" } },
        { groups = { "Board" } },
      }),
      groups = { { name = "Board", roles = { "OWNER" } } },
    }
  end)

  it("is not deactivated, be it held through a group", function()
    local made = assert(tenant.client.bulk:deactivate { users = { "u1", "u4", "u5" } })
    assert.equal("u5", tenant.changed_ids(made))
    assert.equal("OWNER is neither given nor taken (allow_owner)", made.withheld[1].reason)
  end)

  it("is, where that is allowed", function()
    local made = assert(tenant.client.bulk:deactivate { users = { "u1" }, allow_owner = true })
    assert.equal("u1", tenant.changed_ids(made))
  end)

  it("is a matter of the plan alone: apply does not take the option", function()
    local made = plan { users = { "u5" }, add = { "OWNER" }, allow_owner = true }
    assert.has_error(function() made:apply { allow_owner = false } end)
  end)
end)
