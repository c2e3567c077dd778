-- SPDX-License-Identifier: MIT
--
-- What must be safe on the disk before the next step is taken. A disk that fails to sync, from a
-- chosen moment on (in a forked child), shows it: the step that relies on it is not taken.

local process = require "spec.support.process"
local tenant = require "spec.bulk.tenant"

local in_child = tenant.in_child

local PEOPLE = 40

describe("a disk that fails to sync", function()
  local path

  before_each(function()
    path = tenant.unused_path(".jsonl")
    local invited = {}
    for n = 1, PEOPLE do invited[n] = { status = "INVITED" } end
    tenant.start { users = tenant.users(PEOPLE, invited) }
  end)
  after_each(function()
    tenant.stop()
    os.remove(path)
  end)

  local function job() return { users = tenant.emails(PEOPLE), add = { "AUDITOR" },
    journal = path } end

  local function invitation() return { users = tenant.emails(PEOPLE), journal = path } end

  -- How many changes and invitations the service got.
  local function sent()
    local count = 0
    for _, request in ipairs(tenant.server:requests()) do
      if request.method ~= "GET" then count = count + 1 end
    end
    return count
  end

  local function text_of(report, err)
    return report and ("%d changed, %d pending: %s"):format(report.changed, report.pending,
      report.stopped) or tostring(err)
  end

  local function says_so(text)
    assert.truthy(text:find("journal: cannot sync ", 1, true), text)
  end

  it("makes no plan", function()
    says_so(in_child(function(client)
      process.fail_syncs()
      return text_of(client.bulk:roles(job()))
    end))
    assert.is_nil(io.open(path))
  end)

  it("begins no run: that it has begun must be known before anything is sent", function()
    assert(tenant.client.bulk:roles(job()))
    says_so(in_child(function(client)
      local plan = assert(client.bulk:load(path))
      process.fail_syncs()
      return text_of(plan:apply())
    end))
    assert.equal(0, sent())
  end)

  it("invites nobody: that somebody may be invited must be known before", function()
    assert(tenant.client.bulk:invite(invitation()))
    local text = in_child(function(client)
      local plan, asked = assert(client.bulk:load(path)), 0
      return text_of(plan:apply {
        should_stop = function()
          asked = asked + 1
          if asked == 4 then process.fail_syncs() end
        end,
      })
    end, { max_in_flight = 1 })
    says_so(text)
    assert.equal(3, sent())
    assert.truthy(text:find(("^3 changed, %d pending"):format(PEOPLE - 3)), text)
    -- Whoever was not sent an invitation gets one now; the others do not get another.
    assert(tenant.client.bulk:resume(path))
    local invited = {}
    for _, request in ipairs(tenant.server:requests()) do
      local user = request.path:match "^/tenants/users/([^/]+)/invite$"
      if user then invited[user] = (invited[user] or 0) + 1 end
    end
    for n = 5, PEOPLE do assert.equal(1, invited["u" .. n], n) end
    for n = 1, 4 do assert.is_true((invited["u" .. n] or 0) <= 1, n) end
  end)

  it("stops a job in a second or two: no more than that may be lost", function()
    assert(tenant.client.bulk:roles(job()))
    local text = in_child(function(client)
      local plan, failing = assert(client.bulk:load(path)), false
      return text_of(plan:apply {
        should_stop = function()
          if not failing then process.fail_syncs() end
          failing = true
        end,
      })
    end, { rate = 12 })
    says_so(text)
    assert.is_true(sent() >= 12 and sent() < PEOPLE, sent())
    assert.is_true(assert(tenant.client.bulk:resume(path)).complete)
    for _, roles in pairs(tenant.server:direct_roles()) do assert.equal("AUDITOR", roles) end
  end)

  it("is told at the end of a job, which is not as safe as it should be", function()
    assert(tenant.client.bulk:roles(job()))
    says_so(in_child(function(client)
      local plan, settled = assert(client.bulk:load(path)), 0
      return text_of(plan:apply {
        on_result = function()
          settled = settled + 1
          if settled == PEOPLE then process.fail_syncs() end
        end,
      })
    end))
    assert.equal(PEOPLE, sent())
  end)
end)
