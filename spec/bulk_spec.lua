-- SPDX-License-Identifier: MIT
--
-- The door of the bulk layer: what it takes, and what it says to wrong usage.

local tenant = require "spec.bulk.tenant"

local start = tenant.start
local users = tenant.users
local plan = tenant.plan
local patches = tenant.patches

describe("client.bulk", function()
  after_each(tenant.stop)

  describe("wrong usage", function()
    before_each(function() start { users = users(1) } end)

    local function raises(job, message)
      local ok, err = pcall(function() tenant.client.bulk:roles(job) end)
      assert.is_false(ok)
      assert.equal(message, (err:gsub("^[^:]*bulk_spec.lua:%d+: ", "")))
      assert.equal(0, #tenant.server:requests())
    end

    it("is raised, naming the option, before anything is sent", function()
      raises(nil, "bulk.roles: table of options expected, got nil")
      raises({ users = {}, ad = { "AUDITOR" } },
        "bulk.roles: unknown option 'ad' (did you mean 'add'?)")
      raises({ users = {}, force = true, add = { "AUDITOR" } },
        "bulk.roles: unknown option 'force' (known: users, add, remove, set, replace, "
          .. "direct_roles, journal, note, on_unknown, allow_owner, protect, allow_empty, "
          .. "max_changes, max_removal_percent, min_admins, max_failures, max_unreachable)")
      raises({ users = { "u1" } },
        "bulk.roles: nothing to do: add, remove, set, replace expected")
      raises({ users = { "u1" }, set = { "BASIC" }, add = { "AUDITOR" } },
        "bulk.roles: `set` says all; nothing else may stand beside it")
      raises({ users = { "u1" }, replace = { SUPPORT = 5 } },
        "bulk.roles: replace: table { old = new } of non-empty strings expected")
      raises({ users = { "u1" }, add = { "AUDITOR" }, journal = "" },
        "bulk.roles: journal: path of a journal expected, got ''")
      raises({ users = { "u1" }, add = { "AUDITOR" }, max_changes = "10" },
        "bulk.roles: max_changes: number or share (\"10%\") expected, got '10'")
      raises({ users = { "u1" }, add = { "AUDITOR" }, on_unknown = "ignore" },
        "bulk.roles: on_unknown: \"skip\" expected, got 'ignore'")
      raises({ users = { "u1" }, add = "AUDITOR" },
        "bulk.roles: add: list of ids or names expected, got 'AUDITOR'")
      raises({ users = { "u1" }, add = { "AUDITOR", 5 } },
        "bulk.roles: add[2]: non-empty string expected, got 5")
      raises({ users = { "u1" }, remove = { "" } },
        "bulk.roles: remove[1]: non-empty string expected, got ''")
      raises({ add = { "AUDITOR" } }, "bulk.roles: users: list or iterator expected, got nil")
      raises({ users = { data = {} }, add = { "AUDITOR" } },
        "bulk.roles: users: list without holes expected, got the key 'data'")
      raises({ users = { "u1", [3] = "u3" }, add = { "AUDITOR" } },
        "bulk.roles: users: list without holes expected, got the key '3'")
    end)

    it("of apply is raised as well", function()
      local made = plan { users = { "u1" }, add = { "AUDITOR" } }
      assert.has_error(function() made:apply { on_progres = print } end,
        "plan.apply: unknown option 'on_progres' (did you mean 'on_progress'?)")
      assert.has_error(function() made:apply { recheck = true } end,
        "plan.apply: recheck: seconds, or false expected, got true")
      assert.has_error(function() made:apply { on_result = 5 } end,
        "plan.apply: on_result: function expected, got 5")
      assert.equal(0, #patches())
    end)

    it("of the object itself shows what it can do", function()
      assert.has_error(function() tenant.client.bulk.roles { users = {} } end,
        "bulk.roles: call it as client.bulk:roles{ users =, add =, remove =, set =, replace = }")
      local text = tostring(tenant.client.bulk)
      assert.truthy(text:find("\n  :roles{ users =, add =, remove =, set =, replace = }", 1, true))
      assert.truthy(text:find("\n  :resume(journal)", 1, true))
    end)
  end)
end)
