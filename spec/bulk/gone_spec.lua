-- SPDX-License-Identifier: MIT
--
-- What is deleted after a job: its journal can still be verified, resumed and undone for the rest.

local sandbox = require "cipherscale.sandbox"
local tenant = require "spec.bulk.tenant"

local users = tenant.users
local emails = tenant.emails
local plan = tenant.plan

local BASIC = { id = "r-basic", type = "BASIC", name = "Basic", deleteable = false }
local OLD = { id = "r-old", type = "DEFAULT", name = "Old" }
local NEW = { id = "r-new", type = "DEFAULT", name = "New" }

describe("a journal", function()
  local path
  tenant.with_journal(before_each, after_each, function(unused) path = unused end)

  local function start(roles, held)
    local more = {}
    for n = 1, 4 do more[n] = { roles = held } end
    tenant.start({ users = users(4, more), roles = roles }, { max_in_flight = 1 })
  end

  -- The same tenant at the same address with other roles; everybody holds `held`.
  local function later(roles, held)
    local port = tonumber(tenant.server.url:match(":(%d+)/"))
    local key = tenant.server.api_key
    tenant.stop()
    local more = {}
    for n = 1, 4 do more[n] = { roles = held } end
    tenant.server = sandbox.start {
      users = users(4, more), roles = roles, port = port, api_key = key,
    }
    tenant.client = tenant.server:client()
  end

  describe("that names a role which has been deleted since", function()
    it("verifies what is left of it", function()
      start({ BASIC, OLD, NEW }, { "Old" })
      local made = plan { users = emails(4), set = { "New" }, journal = path }
      assert(made:apply())
      later({ BASIC, NEW }, { "New" })
      assert.same({}, assert(tenant.client.bulk:verify(path)))
      tenant.server:change { user = "u2", set = { "Basic" } }
      local list = assert(tenant.client.bulk:verify(path))
      assert.equal(1, #list)
      assert.same({ "u2", { "New" }, { "BASIC" } },
        { list[1].user, list[1].missing, list[1].extra })
    end)

    it("tells who misses a role that is not there any more", function()
      start { BASIC, NEW }
      assert(plan { users = emails(2), add = { "New", "Basic" }, journal = path }:apply())
      later({ BASIC }, { "Basic" })
      local list = assert(tenant.client.bulk:verify(path))
      assert.equal(2, #list)
      assert.same({ "u1", { "DEFAULT" }, {} }, { list[1].user, list[1].missing, list[1].extra })
    end)

    it("is undone as far as there is something to give back and to take", function()
      start({ BASIC, OLD, NEW }, { "Old" })
      assert(plan { users = emails(4), replace = { Old = "New" }, max_removal_percent = 100,
        journal = path }:apply())
      later({ BASIC, NEW }, { "New" })
      local undo = assert(tenant.client.bulk:undo(path))
      assert.truthy(tostring(undo):find("note: deleted since, and not given back: Old", 1, true))
      assert.is_true(assert(undo:apply()).complete)
      for _, roles in pairs(tenant.server:direct_roles()) do assert.equal("", roles) end
    end)

    it("is resumed where the role was only looked at", function()
      start({ BASIC, OLD, NEW }, { "Basic" })
      local made = plan { users = emails(4), set = { "New" }, max_removal_percent = 100,
        journal = path }
      assert.equal(2, assert(made:apply { should_stop = tenant.stop_after(2) }).changed)
      later({ BASIC, NEW }, { "Basic" })
      tenant.server:change { user = { "u1", "u2" }, set = { "New" } }
      assert.is_true(assert(tenant.client.bulk:resume(path)).complete)
    end)

    it("says so where it was the only one that it names", function()
      start({ BASIC, OLD }, { "Old" })
      assert(plan { users = emails(4), remove = { "Old" }, journal = path }:apply())
      later { BASIC }
      local list, err = tenant.client.bulk:verify(path)
      assert.is_nil(list)
      assert.equal(path .. " belongs to another tenant, or what it names has been deleted: "
        .. "'DEFAULT' (r-old) is not in this one", err.message)
    end)
  end)

  describe("that names a user who has been deleted since", function()
    before_each(function()
      start { BASIC, NEW }
      assert(plan { users = emails(4), add = { "New" }, journal = path }:apply())
      tenant.server:change { user = "u3", delete = true }
    end)

    it("verifies the others, and tells who is not there", function()
      local list = assert(tenant.client.bulk:verify(path))
      assert.equal(1, #list)
      assert.same({
        user = "u3", email = "u3@example.com", line = 3, missing = {}, extra = {},
        reason = "no user has the id 'u3'",
      }, list[1])
    end)

    it("is undone for the others", function()
      local undo = assert(tenant.client.bulk:undo(path))
      assert.same({ 3, 1 }, { undo.to_change, #undo.unknown })
      local report = assert(undo:apply())
      assert.same({ 3, 1 }, { report.changed, report.skipped })
    end)
  end)
end)
