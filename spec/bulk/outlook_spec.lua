-- SPDX-License-Identifier: MIT
--
-- Whoever reads what a job says must know what was done and what to do next: nothing looks better
-- than it is, and nobody is waited for in silence.

local tenant = require "spec.bulk.tenant"

local start = tenant.start
local users = tenant.users
local emails = tenant.emails
local fates = tenant.fates

describe("a bulk job", function()
  local path
  tenant.with_journal(before_each, after_each, function(unused) path = unused end)

  local function planned(n, more)
    local job = { users = emails(n), add = { "AUDITOR" }, journal = path }
    for name, value in pairs(more or {}) do job[name] = value end
    return tenant.plan(job)
  end

  local function contains(part, text)
    assert.truthy(text:find(part, 1, true), text)
  end

  it("whose run was killed has in doubt also who had failed in an earlier run", function()
    start({ users = users(3) }, { max_retries = 0 })
    tenant.server:misbehave { match = { method = "PATCH", path = "/u2/" }, fail = { status = 400 } }
    assert.equal("failed", fates(assert(planned(3):apply())).u2)
    tenant.server:misbehave {}
    assert(tenant.client.bulk:resume(path, { should_stop = tenant.stop_after(0) }))
    tenant.forget_end(path)
    -- u2 was changed when that run was killed, which was not noted any more.
    tenant.server:change { user = "u2", add = { "AUDITOR" } }
    assert.equal("u1 u2 u3", tenant.changed_ids(assert(tenant.client.bulk:undo(path))))
    assert.equal("verified", fates(assert(tenant.client.bulk:resume(path))).u2)
    assert.is_true(assert(assert(tenant.client.bulk:undo(path)):apply()).complete)
    for n = 1, 3 do assert.equal("", tenant.direct_roles("u" .. n)) end
  end)

  it("that its canary has stopped is not complete, were it the only one to change", function()
    start { users = users(2, { { groups = { "Helpers" } } }),
      groups = { { name = "Helpers", roles = { "SUPPORT" } } },
      assume = { direct_roles = "instead" } }
    local report = assert(planned(1):apply())
    contains("canary: ", report.stopped)
    assert.is_false(report.complete)
    contains("NOT complete: look at what stopped it.", tostring(report))
    assert.is_false(assert(tenant.client.bulk:report(path)).complete)
    assert.is_false(assert(tenant.client.bulk:resume(path)).complete)
  end)

  it("that is done is no plan to be applied, and says so", function()
    start { users = users(2) }
    local plan = planned(2)
    assert.is_nil(tostring(plan):find("APPLIED", 1, true))
    assert(plan:apply())
    for _, made in ipairs { plan, assert(tenant.client.bulk:load(path)) } do
      contains("\n  APPLIED already: see its report\n", tostring(made))
    end
  end)

  it("says who has begun it, who need not be who has planned it", function()
    start { users = users(1) }
    planned(1)
    local getenv = os.getenv
    rawset(os, "getenv", function(name) return name == "USER" and "ben" or getenv(name) end)
    local report = assert(tenant.client.bulk:resume(path))
    rawset(os, "getenv", getenv)
    for _, text in ipairs { tostring(report), tostring(assert(tenant.client.bulk:report(path))) } do
      assert.truthy(text:find(", begun [%d-]+ [%d:]+ UTC by ben, took "), text)
    end
  end)

  it("does not advise to invite again those who may have been invited", function()
    start({ users = users(2, { { status = "INVITED" }, { status = "INVITED" } }) },
      { max_retries = 0 })
    local plan = assert(tenant.client.bulk:invite { users = emails(2) })
    tenant.server:misbehave { match = { path = "/invite$" }, lose = {} }
    contains("NOT complete: ask those in doubt: nothing is sent to them again.",
      tostring(assert(plan:apply())))
  end)

  it("leaves people of groups pending, too, where the service asks for too long a wait", function()
    start({ users = users(20), groups = { "A" } }, { max_in_flight = 4 })
    local plan = assert(tenant.client.bulk:groups { users = emails(20), add = { "A" } })
    tenant.server:misbehave { match = { method = "POST" },
      fail = { status = 429, headers = { ["Retry-After"] = "5000" }, after = 3 } }
    local before = os.time()
    local report = assert(plan:apply())
    assert.same({ 3, 0, 17 }, { report.changed, report.failed, report.pending })
    assert.is_true(report.resume_at >= before + 5000)
  end)

  it("takes for unchanged whom somebody else has brought to the target since the plan", function()
    start { users = users(3) }
    local plan = planned(3)
    tenant.server:change { user = "u3", add = { "AUDITOR" } }
    local report = assert(plan:apply { recheck = 0 })
    assert.equal("unchanged", fates(report).u3)
    assert.is_true(report.complete)
  end)

  it("is forecast, and stops, by the client's own rate", function()
    start({ users = users(30) }, { rate = 10 })
    local plan = planned(30)
    assert.is_true(plan.seconds >= 3)
    local report = assert(plan:apply { canary = false, should_stop = tenant.stop_after(5) })
    assert.same({ 5, 25 }, { report.changed, report.pending })
    local refused
    plan = tenant.plan { users = emails(30), add = { "AUDITOR" } }
    tenant.server:misbehave { match = { method = "PATCH" }, fail = { status = 401, after = 1 } }
    tenant.server:clear_requests()
    refused = assert(plan:apply { canary = false })
    contains("the service refuses the key", refused.stopped)
    assert.is_true(#tenant.patches() <= 22) -- two seconds' worth, not all
  end)

  it("is forecast for the client that loads it, and for a plan that is no longer young", function()
    start { users = users(30) }
    local plan = planned(30)
    assert.is_true(plan.seconds < 2)
    local slow = tenant.server:client { rate = 10 }
    assert.is_true(assert(slow.bulk:load(path)).seconds >= 3)
    slow:close()
    tenant.age(path, 301)
    local old = assert(tenant.client.bulk:load(path))
    assert.equal(plan.requests + 30, old.requests)
    tenant.server:clear_requests()
    assert.is_true(assert(old:apply()).complete)
    assert.equal(old.requests, #tenant.server:requests())
  end)

  it("tells until when it waits while the service is closed", function()
    start { users = users(12) }
    local plan = planned(12)
    tenant.server:misbehave { match = { method = "PATCH" },
      limit = { requests = 5, seconds = 2 } }
    local waits = 0
    local report = assert(plan:apply { canary = false, on_progress = function(progress)
      if progress.waiting_until then
        waits = waits + 1
        assert.is_true(progress.waiting_until >= os.time() - 1)
      end
    end })
    assert.is_true(report.complete)
    assert.is_true(waits >= 2)
  end)

  it("gives on_result what its report gives", function()
    start({ users = users(2) }, { max_retries = 0 })
    tenant.server:misbehave { match = { method = "PATCH", path = "/u2/" }, fail = { status = 400 } }
    local row
    local report = assert(planned(2):apply { on_result = function(result)
      if result.user == "u2" then row = result end
    end })
    assert.same({ 400, 1 }, { row.status, row.attempts })
    local same = tenant.rows_of(report).u2
    for name, value in pairs(same) do assert.same(value, row[name], name) end
  end)

  it("is refused where somebody shall be protected whom nobody knows", function()
    start { users = users(2) }
    local report, err = planned(2):apply { protect = { "u9@example.com" } }
    assert.is_nil(report)
    contains("protect: nobody has the e-mail 'u9@example.com'", tostring(err))
    assert.equal(0, #tenant.patches())
  end)

  it("names its own method where it is refused", function()
    start { users = users(2) }
    local plan = planned(2, { max_changes = 1 })
    local _, err = plan:apply()
    contains("plan.apply: refused: 2 people to change", tostring(err))
    _, err = tenant.client.bulk:resume(path)
    contains("bulk.resume: refused: 2 people to change", tostring(err))
  end)

  it("that was never applied has not begun", function()
    start { users = users(1) }
    planned(1)
    local report = assert(tenant.client.bulk:report(path))
    assert.is_nil(report.started)
    contains(", not begun", tostring(report))
  end)

  it("takes its options also where they stand behind others", function()
    start { users = users(1) }
    assert(planned(1):apply())
    local undo_path = tenant.unused_path(".jsonl")
    local undo = assert(tenant.client.bulk:undo(path,
      setmetatable({}, { __index = { journal = undo_path } })))
    assert.equal(undo_path, undo.journal)
    os.remove(undo_path)
  end)

  it("has no options that mean nothing to it", function()
    start { users = users(1), groups = { "A" } }
    local ok, message = pcall(tenant.client.bulk.groups, tenant.client.bulk,
      { users = emails(1), add = { "A" }, direct_roles = "assume" })
    assert.is_false(ok)
    contains("unknown option 'direct_roles'", message)
  end)

  it("tells the progress of a resume by whom it still has to try, the failed ones too", function()
    start { users = users(20) }
    tenant.server:misbehave { match = { method = "PATCH" }, fail = { after = 5, status = 422 } }
    assert.equal(15, assert(planned(20):apply()).failed)
    tenant.server:misbehave {}
    local told = {}
    assert(tenant.client.bulk:resume(path, { on_progress = function(progress)
      told[#told + 1] = progress.done
    end }))
    assert.is_true(told[1] >= 5 and told[1] < 15, told[1])
    assert.equal(20, told[#told])
  end)

  it("that could send nothing has not begun", function()
    start { users = users(2) }
    planned(2)
    local reader = tenant.server:client { read_only = true }
    assert.is_nil((reader.bulk:resume(path)))
    contains(", not begun", tostring(assert(tenant.client.bulk:report(path))))
  end)

  it("counts the time of all its runs", function()
    start { users = users(3) }
    local first = assert(planned(3):apply { should_stop = tenant.stop_after(2) })
    local second = assert(tenant.client.bulk:resume(path))
    assert.is_true(second.elapsed > first.elapsed)
    assert.equal(second.elapsed, tenant.client.bulk:report(path).elapsed)
  end)

  it("never overwrites its journal with a CSV file", function()
    start { users = users(1) }
    local plan = planned(1)
    for _, what in ipairs { plan, assert(plan:apply()) } do
      for _, spelled in ipairs { path, (path:gsub("[^/]+$", "./%0")) } do
        local ok, message = pcall(what.to_csv, what, spelled)
        assert.is_false(ok)
        contains("bad argument #1 to 'to_csv' (that is a journal)", message)
      end
    end
  end)

  it("names the lines and the people of an undo as the job did", function()
    start { users = users(1) }
    assert(planned(1):apply())
    contains("entry 1  - AUDITOR  u1@example.com", tostring(assert(tenant.client.bulk:undo(path))))
  end)
end)

describe("an entry with an id and an e-mail", function()
  after_each(tenant.stop)

  it("that belong to different people is not understood", function()
    start { users = users(6) }
    local people = {}
    for n = 1, 6 do people[n] = { id = "u" .. n, email = ("U%d@example.com"):format(n) } end
    people[2].email = "u3@example.com"
    local plan, err = tenant.client.bulk:roles { users = people, add = { "AUDITOR" } }
    assert.is_nil(plan)
    assert.truthy(tostring(err):find("entry 2: the user 'u2' has the e-mail 'u2@example.com', not "
      .. "'u3@example.com'", 1, true), tostring(err))
  end)

  it("is shown by the id alone where the e-mail was not looked at", function()
    start { users = users(2) }
    local plan = tenant.plan { users = { { id = "u1", email = "u2@example.com" } },
      add = { "AUDITOR" } }
    assert.same({ "u1" }, { tenant.changes_of(plan)[1].user, tenant.changes_of(plan)[1].email })
  end)
end)

describe("a CSV file with a column ID beside one for e-mails", function()
  after_each(tenant.stop)

  it("is read by the e-mails", function()
    start { users = users(1) }
    local path = tenant.unused_path(".csv")
    local file = assert(io.open(path, "w"))
    file:write "ID,email\n7,u1@example.com\n"
    file:close()
    local plan = tenant.plan { users = assert(require("cipherscale").csv(path)),
      add = { "AUDITOR" } }
    assert.equal("u1", tenant.changed_ids(plan))
  end)
end)

describe("the last administrators", function()
  after_each(tenant.stop)

  it("are those who can act: not whoever never came, or may not come", function()
    local more = { { roles = { "ADMIN" } } }
    for n, status in ipairs { "INVITED", "EXPIRED", "INACTIVE", "PENDING" } do
      more[n + 1] = { roles = { "ADMIN" }, status = status }
    end
    start { users = users(5, more) }
    local plan = tenant.plan { users = { "u1" }, remove = { "ADMIN" } }
    local report, err = plan:apply()
    assert.is_nil(report)
    assert.truthy(tostring(err):find("0 of 1 administrators would be left", 1, true), tostring(err))
  end)
end)
