-- SPDX-License-Identifier: MIT
--
-- A bulk job at the limit of the service: it settles below it, says that it waits, and nobody is
-- left out. The limit styles are in spec/network/pace_spec.lua.

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

  it("of 2,000 changes at 200 a second has fewer than one request in twenty refused", function()
    local report = assert(limited(2000, { per_second = 200 }):apply())
    assert.is_true(report.complete, tostring(report))
    local sent = #tenant.patches()
    assert.equal(2000, sent - refused())
    assert.is_true(refused() < 0.05 * sent, ("%d of %d refused"):format(refused(), sent))
  end)

  -- 20 writes a minute, but that the minute takes half a second.
  it("at 20 in a window finds the limit by few refusals, and does not hammer on", function()
    local made = limited(60, { requests = 20, seconds = 0.5, retry_after = "decimal" })
    local report = assert(made:apply())
    assert.is_true(report.complete, tostring(report))
    assert.equal(60, #tenant.patches() - refused())
    -- Who had 32 under way at any time, and only waited when told to, would be refused 24 times.
    assert.is_true(refused() <= 16, refused() .. " refused")
  end)

  it("tells until when it waits, and a stop does not wait for those who are queued", function()
    local made, waited, done = limited(60, { requests = 2, seconds = 1.1 }, 2), nil, 0
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

  it("ends where the callback of somebody held back waits until everybody else is done", function()
    tenant.start({ users = tenant.users(9) }, { max_in_flight = 12, rate = 4 })
    local made, calls = tenant.plan { users = tenant.emails(9), add = { "AUDITOR" } }, 0
    local report = assert(made:apply {
      canary = false,
      on_progress = function()
        calls = calls + 1
        -- Eight are two seconds' worth; those who are held back are told of progress, too.
        for _ = 1, calls == 4 and 9 or calls < 4 and 1 or 0 do
          assert(tenant.client.roles:list())
        end
      end,
    })
    assert.is_true(report.complete, tostring(report))
  end)

  it("asks should_stop for no more people at once, also where it waits for an answer", function()
    tenant.start({ users = tenant.users(20) }, { max_in_flight = 16, rate = 4 })
    local made = tenant.plan { users = tenant.emails(20), add = { "AUDITOR" } }
    local asked, asking, most = 0, 0, 0
    local report = assert(made:apply {
      canary = false,
      should_stop = function()
        asked, asking = asked + 1, asking + 1
        local first = asked == 1
        most = math.max(most, asking)
        assert(tenant.client.users:get "u1")
        asking = asking - 1
        return not first
      end,
    })
    assert.equal(1, report.changed)
    assert.is_true(most <= 8, ("%d at once"):format(most))
  end)
end)
