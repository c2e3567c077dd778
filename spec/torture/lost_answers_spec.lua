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

  -- Runs a job to its end; gives its report, its runs, how many of them stopped, who failed in all.
  local function job_through(resets, failures, max_retries)
    local more = {}
    for n = 1, PEOPLE, 2 do more[n] = { roles = { "SUPPORT" } } end
    tenant.start({ users = tenant.users(PEOPLE, more) }, { max_retries = max_retries })
    local plan = tenant.plan {
      users = tenant.emails(PEOPLE), add = { "AUDITOR" }, remove = { "SUPPORT" }, journal = path,
      max_removal_percent = 100, max_failures = 5,
    }
    tenant.server:misbehave {
      { match = { method = "PATCH" }, seed = 1, reset = { share = resets } },
      { match = { method = "PATCH" }, seed = 2, fail = { share = failures, status = 502 } },
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
    tenant.server:misbehave {}
    assert.same({}, assert(tenant.client.bulk:verify(path)))
    for _, roles in pairs(tenant.server:direct_roles()) do assert.equal("AUDITOR", roles) end
    return fates, runs, stopped, failed
  end

  it("ends at the target, with everybody once in its report", function()
    job_through(0.05, 0.05, 3)
  end)

  it("ends there, too, resumed wherever it stops", function()
    -- Nothing is sent again by the client: whoever meets three faults in a row fails.
    local fates, runs, stopped, failed = job_through(0.10, 0.30, 0)
    -- What this is about has happened.
    assert.is_true(runs > 1 and stopped > 0 and failed > 0 and fates.verified > 0,
      ("%d runs, %d stopped, %d failed, %d verified"):format(runs, stopped, failed, fates.verified))
  end)
end)
