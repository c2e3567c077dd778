-- SPDX-License-Identifier: MIT
--
-- Jobs of groups: a change that is several requests may be half done, and a membership may give or
-- take administration.

local tenant = require "spec.bulk.tenant"

local start = tenant.start
local users = tenant.users
local emails = tenant.emails
local patches = tenant.patches
local groups_of = tenant.groups_of

describe("a person who is in some of the groups", function()
  local path

  before_each(function()
    path = tenant.unused_path(".jsonl")
    start({ users = users(3), groups = { "A", "B" } }, { max_retries = 0 })
  end)
  after_each(function()
    tenant.stop()
    os.remove(path)
  end)

  local function planned()
    return assert(tenant.client.bulk:groups { users = { "u1", "u2" }, add = { "A", "B" },
      journal = path })
  end

  -- What becomes of the requests that add u2 to a group.
  local function adding(fail) return { match = { method = "POST", path = "/u2/" }, fail = fail } end

  local function resume(rules)
    tenant.server:misbehave(rules)
    local report = assert(tenant.client.bulk:resume(path))
    tenant.server:misbehave {}
    return report
  end

  local function row_of_u2(report) return tenant.rows_of(report).u2 end

  -- Also while it cannot be read.
  local function groups_of_u2()
    tenant.server:misbehave {}
    return groups_of "u2"
  end

  -- u2 is in A by this job, and not in B.
  local function half_done()
    local made = planned()
    tenant.server:misbehave(adding { status = 400, after = 1 })
    local report = assert(made:apply())
    tenant.server:misbehave {}
    assert.same({ "failed", { "A" } }, { row_of_u2(report).fate, row_of_u2(report).added })
    assert.equal("A", groups_of "u2")
  end

  local function undone()
    assert.is_true(assert(assert(tenant.client.bulk:undo(path)):apply()).complete)
    assert.equal("", groups_of "u1")
    assert.equal("", groups_of "u2")
  end

  it("is known to be, and undone", function()
    half_done()
    undone()
  end)

  it("is known to be where the rest was unclear at first and then refused", function()
    local made = planned()
    tenant.server:misbehave {
      adding { status = 502, after = 1, times = 1 }, adding { status = 400, after = 1 },
    }
    local row = row_of_u2(assert(made:apply()))
    assert.same({ "failed", { "A" } }, { row.fate, row.added })
    assert.truthy(row.error:find("HTTP 400", 1, true))
    tenant.server:misbehave {}
    undone()
  end)

  it("is known to be after a resume that cannot read it", function()
    half_done()
    local row = row_of_u2(resume { match = { method = "GET", path = "/u2$" },
      fail = { status = 500 } })
    assert.same({ "failed", { "A" } }, { row.fate, row.added })
    undone()
  end)

  it("is known to be after a resume in which it is protected", function()
    half_done()
    local row = row_of_u2(assert(tenant.client.bulk:resume(path, { protect = { "u2" } })))
    assert.same({ "withheld", { "A" } }, { row.fate, row.added })
    undone()
  end)

  it("is known to be after a resume that finds it changed by somebody else", function()
    half_done()
    tenant.server:change { user = "u2", leave = { "A" }, join = { "B" } }
    local row = row_of_u2(resume {})
    assert.same({ "conflict", { "A" } }, { row.fate, row.added })
    assert.equal("changed since the plan was made: holds B", row.error)
  end)

  it("may be so by a request whose answer was lost, which is no conflict for a resume", function()
    local made = planned()
    tenant.server:misbehave {
      { match = { method = "POST", path = "/u2/" }, lose = { times = 1 } },
      { match = { method = "GET", path = "/u2$" }, fail = { status = 500 } },
    }
    assert.equal("failed", row_of_u2(assert(made:apply())).fate)
    assert.equal("A", groups_of_u2())
    local report = resume {}
    assert.is_true(report.complete, tostring(report))
    assert.same({ "A", "B" }, row_of_u2(report).added)
    undone()
  end)

  describe("when the job was killed", function()
    before_each(function()
      assert.equal(1, assert(planned():apply { should_stop = tenant.stop_after(1) }).changed)
      tenant.forget_end(path)
    end)

    it("is taken on to the target by a resume, and all of it is undone", function()
      tenant.server:change { user = "u2", join = { "A" } }
      local report = resume {}
      assert.is_true(report.complete, tostring(report))
      assert.same({ "A", "B" }, row_of_u2(report).added)
      undone()
    end)

    it("is known to be by a resume that fails again", function()
      tenant.server:change { user = "u2", join = { "A" } }
      local row = row_of_u2(resume(adding { status = 400 }))
      assert.same({ "failed", { "A" } }, { row.fate, row.added })
      undone()
    end)

    it("is undone as far as the job had come", function()
      tenant.server:change { user = "u2", join = { "A" } }
      undone()
    end)

    it("was somebody else's doing where the job does not come that way", function()
      tenant.server:change { user = "u2", join = { "B" } }
      assert.equal("conflict", row_of_u2(resume {}).fate)
      assert.equal("u1", tenant.changed_ids(assert(tenant.client.bulk:undo(path))))
    end)
  end)

  it("gets only the rest from a resume, however often that failed: the job's own work is no "
    .. "conflict", function()
    half_done()
    local row = row_of_u2(resume(adding { status = 400 }))
    assert.same({ "failed", { "A" } }, { row.fate, row.added })
    tenant.server:clear_requests()
    local report = resume {}
    assert.is_true(report.complete, tostring(report))
    assert.same({ "A", "B" }, row_of_u2(report).added)
    assert.equal(1, tenant.request_counts()["POST /tenants/users/{id}/groups"])
    assert.equal("A B", groups_of "u2")
    undone()
  end)
end)

describe("groups that give roles", function()
  after_each(tenant.stop)

  local function bulk(job) return assert(tenant.client.bulk:groups(job)) end

  before_each(function()
    start {
      users = users(14, {
        { groups = { "Admins" } }, { groups = { "Admins" } }, { groups = { "Admins" } },
        { groups = { "Admins" }, status = "deactivated" },
      }),
      groups = { { name = "Admins", roles = { "ADMIN" } }, { name = "Board", roles = { "OWNER" } },
        "Readers" },
      members = { Readers = 10 },
      assume = { owner_add = "accept", owner_remove = "accept" },
    }
  end)

  it("are not joined or left where they give OWNER, unless that is allowed", function()
    local made = bulk { users = { "u9" }, add = { "Board" } }
    assert.same({ 0, 1 }, { made.to_change, #made.withheld })
    assert.equal("OWNER is neither given nor taken (allow_owner)", made.withheld[1].reason)
    assert.equal("u9", tenant.changed_ids(bulk { users = { "u9" }, add = { "Board" },
      allow_owner = true }))
  end)

  it("count for min_admins", function()
    local made = bulk { users = { "u1", "u2" }, remove = { "Admins" }, max_removal_percent = 100 }
    local report, err = made:apply()
    assert.is_nil(report)
    assert.equal("1 of 3 administrators would be left, fewer than min_admins = 2", err.message)
    assert.is_true(assert(made:apply { min_admins = 1 }).complete)
  end)

  it("count for max_removal_percent by their members", function()
    local made = bulk { users = emails(14), remove = { "Readers" } }
    local report, err = made:apply()
    assert.is_nil(report)
    assert.equal("10 of the 10 who hold Readers lose it (100%), more than max_removal_percent = 20",
      err.message)
    assert.is_true(assert(made:apply { max_removal_percent = 100 }).complete)
    assert.equal(0, #patches())
  end)
end)
