-- SPDX-License-Identifier: MIT
--
-- A bulk job at the limit of the service: it settles below it, says that it waits, and the next run
-- begins with what this one has learned. The limit styles are in spec/network/pace_spec.lua.

local tenant = require "spec.bulk.tenant"

describe("a bulk job where the service allows only so much", function()
  local path
  tenant.with_journal(before_each, after_each, function(unused) path = unused end)

  local function refused()
    local count = 0
    for _, request in ipairs(tenant.server:requests()) do
      if request.status == 429 then count = count + 1 end
    end
    return count
  end

  local function limited(people, limit, in_flight)
    tenant.start({ users = tenant.users(people) }, { max_in_flight = in_flight })
    local made = tenant.plan {
      users = tenant.emails(people), add = { "AUDITOR" }, journal = path, max_changes = people,
    }
    tenant.server:misbehave { match = { method = "PATCH" }, limit = limit }
    tenant.server:clear_requests()
    return made
  end

  it("changes everybody, with few refusals", function()
    local report = assert(limited(1000, { per_second = 200 }):apply { canary = false })
    assert.is_true(report.complete, tostring(report))
    local asked = #tenant.server:requests()
    assert.is_true(refused() < asked * 0.05, ("%d of %d refused"):format(refused(), asked))
  end)

  it("tells until when it waits, and a stop does not wait for those who are queued", function()
    local made, waited, done = limited(60, { requests = 1, seconds = 1.1 }, 2), nil, 0
    local report = assert(made:apply {
      canary = false,
      on_progress = function(progress)
        waited = waited or progress.waiting_until
        done = progress.done
      end,
      should_stop = function() return done >= 3 end,
    })
    assert.truthy(waited)
    assert.is_false(report.complete)
    -- What was begun before the limit was known may end; nothing more is begun.
    assert.is_true(report.changed <= 6, tostring(report))
  end)

  it("is resumed at the pace that it had learned", function()
    local made, done = limited(40, { requests = 10, seconds = 1 }), 0
    assert(made:apply {
      canary = false,
      on_result = function() done = done + 1 end, should_stop = function() return done >= 15 end,
    })
    tenant.client:close()
    tenant.client = tenant.server:client()
    tenant.server:clear_requests()
    assert.is_true(assert(tenant.client.bulk:resume(path, { canary = false })).complete)
    -- A client that knew nothing would send 32 at once, of which 10 pass.
    assert.is_true(refused() < 10, ("%d refused"):format(refused()))
  end)

  it("asks should_stop for no more people at once, also where it waits for an answer", function()
    tenant.start({ users = tenant.users(20) }, { max_in_flight = 16, rate = 4 })
    local made = tenant.plan { users = tenant.emails(20), add = { "AUDITOR" } }
    local asked, asking, most = 0, 0, 0
    local report = assert(made:apply {
      canary = false,
      should_stop = function()
        asked, asking = asked + 1, asking + 1
        most = math.max(most, asking)
        assert(tenant.client.users:get "u1")
        asking = asking - 1
        return asked > 1
      end,
    })
    assert.equal(1, report.changed)
    assert.is_true(most <= 8, ("%d at once"):format(most))
  end)
end)
