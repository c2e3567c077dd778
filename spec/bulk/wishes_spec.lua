-- SPDX-License-Identifier: MIT
--
-- What can be asked for: add, remove, set and replace, for the whole job or for single entries; and
-- the other verbs, which are the same machinery with another row.

local cipherscale = require "cipherscale"
local tenant = require "spec.bulk.tenant"

local start = tenant.start
local users = tenant.users
local emails = tenant.emails
local plan = tenant.plan
local direct_roles = tenant.direct_roles
local changes_of = tenant.changes_of

describe("a bulk job", function()
  after_each(tenant.stop)

  -- "+ A - B" by user id.
  local function planned(made)
    local by_user = {}
    for _, change in ipairs(changes_of(made)) do
      local words = {}
      for _, label in ipairs(change.add) do words[#words + 1] = "+" .. label end
      for _, label in ipairs(change.remove) do words[#words + 1] = "-" .. label end
      by_user[change.user] = table.concat(words, " ")
    end
    return by_user
  end

  local function with_csv(content, work)
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write(content)
    file:close()
    work(path)
    os.remove(path)
  end

  describe("of roles", function()
    before_each(function()
      start { users = users(5, {
        { roles = { "AUDITOR", "BILLING" } }, { roles = { "SUPPORT" } },
        { roles = { "SUPPORT", "AUDITOR" } }, { roles = { "BASIC" } },
      }) }
    end)

    it("sets exactly what `set` says", function()
      local made = plan { users = emails(5), set = { "AUDITOR", "BASIC" } }
      assert.same({
        u1 = "+BASIC -BILLING", u2 = "+AUDITOR +BASIC -SUPPORT", u3 = "+BASIC -SUPPORT",
        u4 = "+AUDITOR", u5 = "+AUDITOR +BASIC",
      }, planned(made))
      assert.equal("= AUDITOR BASIC", tostring(made):match("^Plan: (.-) for"))
      assert.is_true(assert(made:apply()).complete)
      for n = 1, 5 do assert.equal("AUDITOR BASIC", direct_roles("u" .. n)) end
    end)

    it("takes everything with \"none\" in a cell; an empty one says nothing", function()
      with_csv("email,set\nu1@example.com,none\nu2@example.com,None\nu4@example.com,BASIC\n",
        function(path)
          local made = plan { users = assert(cipherscale.csv(path)) }
          assert.same({ u1 = "-BILLING -AUDITOR", u2 = "-SUPPORT" }, planned(made))
        end)
      with_csv("email,set\nu1@example.com,\n", function(path)
        local made, err = tenant.client.bulk:roles { users = assert(cipherscale.csv(path)) }
        assert.is_nil(made)
        assert.truthy(tostring(err):find("line 2: nothing is asked for", 1, true))
      end)
    end)

    it("takes everything with an empty `set`", function()
      local made = plan { users = { "u1", "u5" }, set = {} }
      assert.same({ u1 = "-BILLING -AUDITOR" }, planned(made))
      assert.equal("= none", tostring(made):match("^Plan: (.-) for"))
    end)

    it("replaces a role for those who have it, and touches nobody else", function()
      local made = plan { users = emails(5), replace = { SUPPORT = "AUDITOR" } }
      assert.same({ u2 = "+AUDITOR -SUPPORT", u3 = "-SUPPORT" }, planned(made))
      assert.equal("SUPPORT -> AUDITOR", tostring(made):match("^Plan: (.-) for"))
      assert.is_true(assert(made:apply()).complete)
      assert.equal("AUDITOR", direct_roles "u2")
      assert.equal("AUDITOR", direct_roles "u3")
    end)

    it("does not take a chain of replacements for something it understands", function()
      local made, err = tenant.client.bulk:roles {
        users = { "u1" }, replace = { SUPPORT = "AUDITOR", AUDITOR = "BASIC" },
      }
      assert.is_nil(made)
      assert.equal("role 'AUDITOR' is replaced by 'BASIC' and a replacement",
        err.unresolved[1].message)
    end)

    it("lets an entry ask for a change of its own in place of the job's", function()
      local made = plan {
        users = {
          "u5", { id = "u1", remove = { "BILLING" } }, { email = "u2@example.com",
            set = { "BASIC" } },
          { id = "u3", replace = { AUDITOR = "BASIC" } }, { id = "u4", add = "AUDITOR; BILLING" },
        },
        add = { "SUPPORT" },
      }
      assert.same({
        u1 = "-BILLING", u2 = "+BASIC -SUPPORT", u3 = "+BASIC -AUDITOR", u4 = "+AUDITOR +BILLING",
        u5 = "+SUPPORT",
      }, planned(made))
      assert.is_true(assert(made:apply()).complete)
      assert.equal("SUPPORT", direct_roles "u5")
      assert.equal("AUDITOR BASIC BILLING", direct_roles "u4")
    end)

    it("refuses entries that ask different things for one person, each once", function()
      local made, err = tenant.client.bulk:roles {
        users = {
          { id = "u1", add = { "BASIC" } }, { id = "u2", add = { "BASIC" } },
          { email = "U1@example.com", add = { "SUPPORT" } }, { id = "u2", remove = { "BASIC" } },
          { email = "u1@example.com", remove = { "BASIC" } },
        },
      }
      assert.is_nil(made)
      assert.equal(3, #err.unresolved)
      for n, problem in ipairs(err.unresolved) do
        assert.equal(("entry %d: asks for something else than an earlier entry for the same person")
          :format(n + 2), problem.message)
      end
    end)

    it("takes a CSV file of target roles as one plan, which shows drift while it is not applied",
      function()
        local csv = "email,set\r\nu1@example.com,\"AUDITOR, BILLING\"\r\nu2@example.com,BASIC\r\n"
          .. "u4@example.com,BASIC\r\n"
        with_csv(csv, function(path)
          local made = plan { users = assert(cipherscale.csv(path)) }
          assert.same({ u2 = "+BASIC -SUPPORT" }, planned(made))
          assert.equal(2, made.unchanged)
          assert.is_true(assert(made:apply()).complete)
          assert.equal(0, plan { users = assert(cipherscale.csv(path)) }.to_change)
        end)
      end)

    it("skips unknown people where it is told to, and accounts for them", function()
      local made = plan {
        users = { "u1", "nobody@example.com", "u2", "ghost" }, add = { "BASIC" },
          on_unknown = "skip",
      }
      assert.same({ 4, 2, 2 }, { made.total, made.to_change, #made.unknown })
      assert.equal("no user has the e-mail 'nobody@example.com'", made.unknown[1].reason:sub(1, 43))
      local report = assert(made:apply())
      assert.same({ 4, 2, 2, false },
        { report.total, report.changed, report.skipped, report.complete })
    end)

    it("says that ids are expected where an e-mail was given for one", function()
      local _, err = tenant.client.bulk:roles { users = { { id = "u1@example.com" } },
        add = { "BASIC" } }
      assert.equal("entry 1: no user has the id 'u1@example.com'; an e-mail goes into `email`",
        err.unresolved[1].message)
    end)
  end)

  describe("of groups", function()
    local function groups_of(id)
      local names = {}
      local user = assert(tenant.client.users:get(id))
      for n, group in ipairs(user.groups) do names[n] = group.name end
      table.sort(names)
      return table.concat(names, " ")
    end

    it("adds, removes and sets memberships, by the groups' names", function()
      start {
        groups = { "Red", "Green", "Blue" },
        users = users(3, { { groups = { "Red" } }, { groups = { "Red", "Green" } },
          { groups = { "Blue" } } }),
      }
      local made = assert(tenant.client.bulk:groups {
        users = { "u1", "u2@example.com", { id = "u3", set = { "Green", "Red" } } },
        add = { "Blue" }, remove = { "Red" },
      })
      assert.same({ u1 = "+Blue -Red", u2 = "+Blue -Red", u3 = "+Green +Red -Blue" }, planned(made))
      local report = assert(made:apply())
      assert.is_true(report.complete, tostring(report))
      assert.equal("Blue", groups_of "u1")
      assert.equal("Blue Green", groups_of "u2")
      assert.equal("Green Red", groups_of "u3")
    end)
  end)

  describe("of accounts", function()
    local function status_of(id) return assert(tenant.client.users:get(id)).status:lower() end

    it("deactivates and reactivates those who are not so already", function()
      start { users = users(4, { [2] = { status = "deactivated" } }) }
      local made = assert(tenant.client.bulk:deactivate { users = emails(3) })
      assert.same({ 3, 2, 1 }, { made.total, made.to_change, made.unchanged })
      assert.is_true(assert(made:apply()).complete)
      for n = 1, 3 do assert.equal("deactivated", status_of("u" .. n)) end
      made = assert(tenant.client.bulk:reactivate { users = emails(4) })
      assert.equal(3, made.to_change)
      assert.is_true(assert(made:apply()).complete)
      assert.not_equal("deactivated", status_of "u2")
    end)

    it("invites those whose invitation is open, each once", function()
      start { users = users(4, { { status = "invited" }, { status = "expired" } }) }
      local made = assert(tenant.client.bulk:invite { users = emails(4) })
      assert.same({ 4, 2, 2 }, { made.total, made.to_change, made.unchanged })
      assert.is_true(assert(made:apply()).complete)
      local counts = tenant.request_counts()
      assert.equal(2, counts["POST /tenants/users/{id}/invite"])
    end)

    it("never sends an invitation again whose fate is unknown", function()
      start { users = users(3, { { status = "invited" }, { status = "invited" },
        { status = "invited" } }) }
      local made = assert(tenant.client.bulk:invite { users = emails(3) })
      tenant.server:misbehave { match = { method = "POST" }, lose = { times = 1, after = 1 } }
      local report = assert(made:apply())
      assert.same({ 2, 1, false }, { report.changed, report.failed, report.complete })
      local fates = {}
      for row in report:rows() do fates[#fates + 1] = row.fate end
      table.sort(fates)
      assert.same({ "changed", "changed", "in_doubt" }, fates)
      assert.equal(3, tenant.request_counts()["POST /tenants/users/{id}/invite"])
    end)
  end)

  describe("whose answers get lost", function()
    it("reads again what is unclear, and sends only what is missing", function()
      start({ users = users(30) }, { max_retries = 0 })
      local made = plan { users = emails(30), add = { "AUDITOR" } }
      tenant.server:misbehave { match = { method = "PATCH" }, lose = { every = 3 } }
      local report = assert(made:apply { canary = false })
      assert.is_true(report.complete, tostring(report))
      local verified = 0
      for row in report:rows() do
        if row.fate == "verified" then verified = verified + 1 end
      end
      assert.equal(10, verified)
      assert.equal(30, #tenant.patches())
      for n = 1, 30 do assert.equal("AUDITOR", direct_roles("u" .. n)) end
    end)
  end)
end)
