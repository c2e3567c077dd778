-- SPDX-License-Identifier: MIT
--
-- Ctrl-C in a script that runs a job: it ends at once, its last words say how to go on, and going
-- on leads to the target.

local helper = require "spec.support.helper"
local process = require "spec.support.process"
local tenant = require "spec.bulk.tenant"

local PEOPLE = 300

local CHILD = [[
local cipherscale = require "cipherscale"
local client = cipherscale.new {
  api_key = os.getenv "KEY", base_url = os.getenv "URL", max_in_flight = 4,
}
local path, people = os.getenv "JOURNAL", {}
for n = 1, tonumber(os.getenv "PEOPLE") do people[n] = ("u%d@example.com"):format(n) end
local function plan() return client.bulk:roles { users = people, add = { "AUDITOR" },
  journal = path } end
]]

describe("a script that is interrupted", function()
  local path, child

  before_each(function()
    path = tenant.unused_path(".jsonl")
    tenant.start { users = tenant.users(PEOPLE) }
    -- However late the signal comes, the job is not over.
    tenant.server:misbehave { { latency = 0.005 },
      { match = { method = "PATCH" }, stall = { after = 200 } } }
  end)
  after_each(function()
    if child then helper.end_lua(child) end
    child = nil
    tenant.stop()
    os.remove(path)
  end)

  local function requests(method)
    local count = 0
    for _, request in ipairs(tenant.server:requests()) do
      if request.method == method then count = count + 1 end
    end
    return count
  end

  local function count_of(kind, n)
    return function() return requests(kind) >= n end
  end

  -- Runs a script, interrupts it as soon as `reached`, and gives what it says.
  local function interrupted(script, reached)
    child = helper.start_lua(CHILD .. script, {
      URL = tenant.server.url, KEY = tenant.server.api_key, JOURNAL = path,
      PEOPLE = tostring(PEOPLE),
    })
    local deadline = os.time() + 10
    repeat
      assert.is_true(os.time() < deadline)
      tenant.client.users:page { limit = 1 } -- a moment
    until reached()
    local since = os.time()
    assert.is_true(process.interrupt(child.pid))
    local said = child.pipe:read "*a"
    assert.is_true(os.time() - since <= 3)
    return said
  end

  local function says_how_to_go_on(said)
    assert.truthy(said:find("interrupted!", 1, true), said)
    local how = ("(the journal is kept; go on with client.bulk:resume %q)"):format(path)
    assert.truthy(said:find(how, 1, true), said)
  end

  -- Whoever is done in the journal gets nothing more, and everybody is at the target.
  local function can_be_resumed()
    local before = assert(tenant.client.bulk:report(path))
    assert.is_true(before.pending > 0)
    assert.is_false(before.complete)
    assert.truthy(before.stopped:find("interrupted!", 1, true), before.stopped)
    local done = {}
    for id, fate in pairs(tenant.fates(before)) do done[id] = fate == "changed" end
    tenant.server:misbehave {}
    tenant.server:clear_requests()
    local report = assert(tenant.client.bulk:resume(path))
    assert.is_true(report.complete, tostring(report))
    for _, request in ipairs(tenant.patches()) do
      assert.is_falsy(done[request.path:match "/users/([^/]+)/"])
    end
    for _, roles in pairs(tenant.server:direct_roles()) do assert.equal("AUDITOR", roles) end
    assert.equal(PEOPLE, assert(tenant.client.bulk:undo(path)).to_change)
  end

  it("in the middle of apply", function()
    says_how_to_go_on(interrupted("assert(assert(plan()):apply())", count_of("PATCH", 40)))
    can_be_resumed()
  end)

  it("in the first change", function()
    tenant.server:misbehave { match = { method = "PATCH" }, latency = 30 }
    says_how_to_go_on(interrupted("assert(assert(plan()):apply())", function()
      return io.open(path) and (io.open(path):read "*a"):find('"kind":"open"', 1, true)
    end))
    can_be_resumed()
  end)

  it("in a callback", function()
    says_how_to_go_on(interrupted([[
      local n = 0
      assert(assert(plan()):apply { on_result = function()
        n = n + 1
        for _ = 1, n == 20 and 1e7 or 0 do end
      end })
    ]], count_of("PATCH", 20)))
    can_be_resumed()
  end)

  it("while the job waits as long as the service asked", function()
    tenant.server:misbehave { match = { method = "PATCH" },
      fail = { status = 429, after = 20, headers = { ["Retry-After"] = "60" } } }
    says_how_to_go_on(interrupted("assert(assert(plan()):apply())", count_of("PATCH", 21)))
    can_be_resumed()
  end)

  it("in the middle of a resume, twice", function()
    assert(tenant.client.bulk:roles { users = tenant.emails(PEOPLE), add = { "AUDITOR" },
      journal = path })
    for n = 1, 2 do
      says_how_to_go_on(interrupted("assert(client.bulk:resume(path))", count_of("PATCH", 40 * n)))
      helper.end_lua(child)
      child = nil
    end
    can_be_resumed()
  end)

  it("while it plans leaves no journal, or a whole one", function()
    -- What it asks first; the pages of users are asked for here, too.
    local said = interrupted("assert(plan())", function()
      return tenant.request_counts()["GET /tenants/roles"]
    end)
    assert.truthy(said:find("interrupted!", 1, true), said)
    local file = io.open(path)
    if file then file:close() end
    assert.is_true(not file or tenant.client.bulk:load(path) ~= nil)
    assert.equal(0, #tenant.patches())
  end)
end)
