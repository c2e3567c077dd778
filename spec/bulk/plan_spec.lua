-- SPDX-License-Identifier: MIT
--
-- What a plan says before anything is changed.

local tenant = require "spec.bulk.tenant"

local start = tenant.start
local users = tenant.users
local emails = tenant.emails
local plan = tenant.plan
local changes_of = tenant.changes_of
local changed_ids = tenant.changed_ids
local direct_roles = tenant.direct_roles

describe("a bulk plan", function()
  after_each(tenant.stop)

  describe("a plan", function()
    it("has counts, and a change for everybody who differs", function()
      start {
        users = users(4, {
          [1] = { roles = { "SUPPORT", "BASIC" } },
          [2] = { roles = { "AUDITOR" } },
          [3] = { roles = { "AUDITOR", "SUPPORT" } },
        }),
      }
      local made = plan { users = emails(4), add = { "AUDITOR" }, remove = { "SUPPORT" } }
      assert.same({ 4, 3, 1, 6 }, { made.total, made.to_change, made.unchanged, made.requests })
      assert.same({
        {
          user = "u1", email = "u1@example.com", line = 1,
          add = { "AUDITOR" }, remove = { "SUPPORT" }, before = { "SUPPORT" },
        },
        {
          user = "u3", email = "u3@example.com", line = 3,
          add = {}, remove = { "SUPPORT" }, before = { "AUDITOR", "SUPPORT" },
        },
        {
          user = "u4", email = "u4@example.com", line = 4,
          add = { "AUDITOR" }, remove = {}, before = {},
        },
      }, changes_of(made))
    end)

    it("changes nothing by itself", function()
      start { users = users(3) }
      plan { users = emails(3), add = { "AUDITOR" } }
      for _, request in ipairs(tenant.server:requests()) do assert.equal("GET", request.method) end
    end)

    it("gives a role directly to somebody who has it through a group only", function()
      start {
        groups = { { name = "Audit", roles = { "AUDITOR" } } },
        users = users(2, {
          { groups = { "Audit" } },
          { groups = { "Audit" }, roles = { "AUDITOR" } },
        }),
      }
      local made = plan { users = emails(2), add = { "AUDITOR" } }
      assert.equal("u1", changed_ids(made))
      assert(made:apply())
      assert.equal("AUDITOR", direct_roles "u1")
    end)

    it("leaves alone what a group gives", function()
      start {
        groups = { { name = "Help", roles = { "SUPPORT" } } },
        users = users(2, {
          { groups = { "Help" } },
          { groups = { "Help" }, roles = { "SUPPORT" } },
        }),
      }
      assert.equal("u2", changed_ids(plan { users = emails(2), remove = { "SUPPORT" } }))
    end)

    it("can be read: counts, who gains and loses what, the different changes, the first ones",
      function()
        local more = {}
        for n = 1, 5 do more[n * 3] = { roles = { "SUPPORT" } } end
        more[2] = { roles = { "AUDITOR" } }
        start { users = users(1200, more) }
        local made = plan {
          users = emails(1200), add = { "AUDITOR" }, remove = { "SUPPORT" }, max_changes = 1200,
        }
        assert.equal(table.concat({
          "Plan: + AUDITOR - SUPPORT for 1,200 people",
          "  1,199 to change, 1 unchanged; 1,202 requests to send (14 to plan), about TIME",
          "  AUDITOR  1,199 people to gain it",
          "  SUPPORT  5 people to lose it",
          "Different changes:",
          "  + AUDITOR            1,194 people",
          "  + AUDITOR - SUPPORT  5 people",
          "First changes:",
          "  entry 1   + AUDITOR            u1@example.com",
          "  entry 3   + AUDITOR - SUPPORT  u3@example.com",
          "  entry 4   + AUDITOR            u4@example.com",
          "  entry 5   + AUDITOR            u5@example.com",
          "  entry 6   + AUDITOR - SUPPORT  u6@example.com",
          "  entry 7   + AUDITOR            u7@example.com",
          "  entry 8   + AUDITOR            u8@example.com",
          "  entry 9   + AUDITOR - SUPPORT  u9@example.com",
          "  entry 10  + AUDITOR            u10@example.com",
          "  entry 11  + AUDITOR            u11@example.com",
          "  and 1,189 more",
        }, "\n"), (tostring(made):gsub("about [^\n]+", "about TIME")))
      end)

    it("shows no control characters that came with a name", function()
      start { users = users(1), roles = { { id = "r", name = "Red\27[2J" }, "BASIC" } }
      assert.is_nil(tostring(plan { users = { "u1" }, add = { "r" } }):find("\27", 1, true))
    end)

    it("cannot be made while the service refuses to be read; the read's own error comes back",
      function()
        start({ users = users(3) }, { max_retries = 0 })
        tenant.server:misbehave { fail = { status = 503 }, match = { path = "/users$" } }
        local made, err = tenant.client.bulk:roles { users = emails(3), add = { "AUDITOR" } }
        assert.is_nil(made)
        assert.same({ "http", 503, "users.page" }, { err.kind, err.status, err.operation })
        -- Also where that is an iterator of the people.
        made, err = tenant.client.bulk:roles { users = tenant.client.users:each(),
          add = { "AUDITOR" } }
        assert.is_nil(made)
        assert.same({ "http", 503, "users.each" }, { err.kind, err.status, err.operation })
      end)

    it("cannot be made where an iterator of people raises an error, which is raised again",
      function()
        start { users = users(1) }
        local problem = { kind = "mine" }
        local ok, raised = pcall(plan, { users = function() error(problem) end,
          add = { "AUDITOR" } })
        assert.is_false(ok)
        assert.equal(problem, raised)
      end)

    it("can be made and applied inside a task", function()
      start { users = users(40) }
      local report = tenant.client:run(function(tasks)
        local task = tasks:spawn(function()
          return assert(plan { users = emails(40), add = { "AUDITOR" } }:apply())
        end)
        return tasks:wait(task)
      end)
      assert.equal(40, report.changed)
    end)
  end)
end)
