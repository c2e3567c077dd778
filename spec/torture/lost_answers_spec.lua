-- SPDX-License-Identifier: MIT
--
-- A service that loses answers after the work was done, resets connections and fails: the job ends
-- at exactly the target all the same, and its report accounts for everybody once.

local tenant = require "spec.bulk.tenant"

local PEOPLE = 400

describe("a job with a service that loses a tenth of its answers", function()
  local path
  tenant.with_journal(before_each, after_each, function(unused) path = unused end)

  it("ends at the target, resumed wherever it stops, with everybody once in the report", function()
    local more = {}
    for n = 1, PEOPLE, 2 do more[n] = { roles = { "SUPPORT" } } end
    tenant.start({ users = tenant.users(PEOPLE, more) }, { max_retries = 1 })
    local plan = tenant.plan {
      users = tenant.emails(PEOPLE), add = { "AUDITOR" }, remove = { "SUPPORT" }, journal = path,
      max_removal_percent = 100,
    }
    tenant.server:misbehave {
      { match = { method = "PATCH" }, seed = 1, reset = { share = 0.05 } },
      { match = { method = "PATCH" }, seed = 2, fail = { share = 0.05, status = 502 } },
      { match = { method = "PATCH" }, seed = 3, lose = { share = 0.10 } },
    }
    local report, runs = assert(plan:apply()), 1
    while not report.complete and runs < 20 do
      report, runs = assert(tenant.client.bulk:resume(path)), runs + 1
    end
    assert.is_true(report.complete, tostring(report))
    assert.same({ PEOPLE, PEOPLE, 0, 0, 0 },
      { report.total, report.changed, report.failed, report.skipped, report.pending })
    local seen, verified = {}, 0
    for row in report:rows() do
      assert.is_nil(seen[row.user])
      seen[row.user] = true
      if row.fate == "verified" then verified = verified + 1 end
    end
    assert.is_true(verified > 0)
    tenant.server:misbehave {}
    assert.same({}, assert(tenant.client.bulk:verify(path)))
    for _, roles in pairs(tenant.server:direct_roles()) do assert.equal("AUDITOR", roles) end
  end)
end)
