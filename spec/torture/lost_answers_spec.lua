-- SPDX-License-Identifier: MIT
--
-- A service that loses answers after the work was done, resets connections and fails, so often
-- that some people fail and the job stops: resumed, it ends at exactly the target all the same, and
-- its report accounts for everybody once at any time.

local tenant = require "spec.bulk.tenant"

local PEOPLE = 400

describe("a job with a service that loses a tenth of its answers", function()
  local path
  tenant.with_journal(before_each, after_each, function(unused) path = unused end)

  -- How many people have each fate, each of them once.
  local function fates_of(report)
    local seen, fates = {}, { changed = 0, verified = 0, failed = 0, pending = 0 }
    for row in report:rows() do
      assert.is_nil(seen[row.user])
      seen[row.user] = true
      fates[row.fate] = fates[row.fate] + 1
    end
    assert.same({ PEOPLE, fates.changed + fates.verified, fates.failed, fates.pending, 0, 0 },
      { report.total, report.changed, report.failed, report.pending, report.skipped,
        report.unchanged })
    for n = 1, PEOPLE do assert.is_true(seen["u" .. n]) end
    return fates
  end

  it("ends at the target, resumed wherever it stops, with everybody once in each report", function()
    local more = {}
    for n = 1, PEOPLE, 2 do more[n] = { roles = { "SUPPORT" } } end
    -- Nothing is sent again by the client: whoever meets three faults in a row fails.
    tenant.start({ users = tenant.users(PEOPLE, more) }, { max_retries = 0 })
    local plan = tenant.plan {
      users = tenant.emails(PEOPLE), add = { "AUDITOR" }, remove = { "SUPPORT" }, journal = path,
      max_removal_percent = 100, max_failures = 5,
    }
    tenant.server:misbehave {
      { match = { method = "PATCH" }, seed = 1, reset = { share = 0.10 } },
      { match = { method = "PATCH" }, seed = 2, fail = { share = 0.30, status = 502 } },
      { match = { method = "PATCH" }, seed = 3, lose = { share = 0.10 } },
    }
    local report, runs, stopped, failed = assert(plan:apply()), 1, 0, 0
    while not report.complete and runs < 20 do
      failed = failed + fates_of(report).failed
      if report.stopped then
        stopped = stopped + 1
        assert.truthy(report.stopped:find("more than max_failures = 5", 1, true), report.stopped)
      end
      report, runs = assert(tenant.client.bulk:resume(path)), runs + 1
    end
    assert.is_true(report.complete, tostring(report))
    local fates = fates_of(report)
    assert.equal(PEOPLE, report.changed)
    -- What this is about has happened.
    assert.is_true(runs > 1 and stopped > 0 and failed > 0 and fates.verified > 0,
      ("%d runs, %d stopped, %d failed, %d verified"):format(runs, stopped, failed, fates.verified))
    tenant.server:misbehave {}
    assert.same({}, assert(tenant.client.bulk:verify(path)))
    for _, roles in pairs(tenant.server:direct_roles()) do assert.equal("AUDITOR", roles) end
  end)
end)
