-- SPDX-License-Identifier: MIT
--
-- Who and what is meant: the ways to name people and roles, what becomes of names that the tenant
-- does not have, and how many requests it takes to find out.

local cipherscale = require "cipherscale"
local tenant = require "spec.bulk.tenant"

local start = tenant.start
local users = tenant.users
local emails = tenant.emails
local plan = tenant.plan
local changes_of = tenant.changes_of
local changed_ids = tenant.changed_ids
local request_counts = tenant.request_counts
local patches = tenant.patches

describe("what a bulk job names", function()
  after_each(tenant.stop)

  local function problems_of(job)
    local made, err = tenant.client.bulk:roles(job)
    assert.is_nil(made)
    assert.equal("unresolved", err.kind)
    local messages = {}
    for n, problem in ipairs(err.unresolved) do messages[n] = problem.message end
    return messages, err
  end

  describe("people", function()
    before_each(function() start { users = users(12) } end)

    it("may be ids or e-mails, in a list", function()
      local made = plan { users = { "u3", "u1@example.com" }, add = { "AUDITOR" } }
      assert.equal("u3 u1", changed_ids(made))
    end)

    it("may be tables with `id` or `email`, such as the users of a page", function()
      local page = assert(tenant.client.users:page { limit = 2 })
      local people = { page.data[1], page.data[2], { email = "u5@example.com" }, { id = "u4" } }
      assert.equal("u1 u2 u5 u4", changed_ids(plan { users = people, add = { "AUDITOR" } }))
    end)

    it("may come from an iterator", function()
      local n = 0
      local function next_id()
        n = n + 1
        return n <= 3 and "u" .. n or nil
      end
      assert.equal("u1 u2 u3", changed_ids(plan { users = next_id, add = { "AUDITOR" } }))
    end)

    it("may come from a CSV file, and keep its line numbers", function()
      local path = os.tmpname()
      local file = assert(io.open(path, "wb"))
      file:write('email;note\r\n\r\nu2@example.com;"two\r\nlines"\r\nu1@example.com;\r\n')
      file:close()
      local list = changes_of(plan { users = assert(cipherscale.csv(path)), add = { "AUDITOR" } })
      os.remove(path)
      assert.same({ "u2", 3 }, { list[1].user, list[1].line })
      assert.same({ "u1", 5 }, { list[2].user, list[2].line })
    end)

    it("are found whatever the case and the spaces of their e-mail", function()
      local made = plan { users = { " U7@Example.COM " }, add = { "AUDITOR" } }
      assert.equal("u7@example.com", changes_of(made)[1].email)
    end)

    it("are one each, however often and in whatever way they are named", function()
      local made = plan {
        users = { "u2@example.com", "u1", "U1@EXAMPLE.COM", "u2", { id = "u1" }, "U2@example.com" },
        add = { "AUDITOR" },
      }
      assert.equal(2, made.total)
      local list = changes_of(made)
      assert.same({ "u2", 1, "u1", 2 }, { list[1].user, list[1].line, list[2].user, list[2].line })
    end)

    it("may be nobody where that is meant, and then nothing changes", function()
      local made = plan { users = {}, add = { "AUDITOR" }, allow_empty = true }
      assert.equal(0, made.total)
      assert.is_true(assert(made:apply()).complete)
      assert.equal(0, #patches())
    end)
  end)

  describe("what is not known", function()
    before_each(function()
      start {
        users = users(12),
        roles = {
          { id = "r-audit", type = "AUDITOR", name = "Auditor", deleteable = false },
          { id = "r-night", type = "AUDITOR", name = "Night auditor" },
          { id = "r-one", type = "BASIC", name = "Contractor" },
          { id = "r-two", type = "BILLING", name = "Contractor" },
          { id = "r-basic", type = "BASIC", name = "Guest" },
        },
      }
    end)

    it("is listed all together, with where it stands and what comes near", function()
      local messages = problems_of {
        users = {
          "u1", "u3@exampel.com", "u999", "", 42, { mail = "u2@example.com" }, { id = "" },
        },
        add = { "AUDITR" },
      }
      assert.same({
        "role 'AUDITR': no such role in this tenant (nearest: AUDITOR)",
        "entry 2: no user has the e-mail 'u3@exampel.com' (nearest: u3@example.com)",
        "entry 3: no user has the id 'u999'",
        "entry 4: neither id nor email is filled in",
        "entry 5: string or table expected, got 42",
        "entry 6: neither id nor email is filled in (nearest: mail)",
        "entry 7: neither id nor email is filled in",
      }, messages)
      assert.equal(0, #patches())
    end)

    it("is a readable error of kind `unresolved`, which a script can go through", function()
      local _, err = problems_of { users = { "u1", "u3@exampel.com" }, add = { "r-audit" } }
      assert.equal("bulk.roles: unresolved: 1 problem in the job\n  entry 2: no user has the "
        .. "e-mail 'u3@exampel.com' (nearest: u3@example.com)", tostring(err))
      assert.equal(2, err.unresolved[1].line)
      assert.equal("u3@exampel.com", err.unresolved[1].name)
      assert.equal("u3@example.com", err.unresolved[1].candidates[1])
    end)

    it("is cut in the text, not in the list, when there is much of it", function()
      local strangers = {}
      for n = 1, 30 do strangers[n] = ("stranger%d@example.org"):format(n) end
      local messages, err = problems_of { users = strangers, add = { "r-audit" } }
      assert.equal(30, #messages)
      assert.equal(22, select(2, tostring(err):gsub("\n", "\n")) + 1)
      assert.truthy(tostring(err):find("\n  and 10 more", 1, true))
    end)

    it("is called ambiguous when several roles have the name", function()
      assert.same({
        "role 'Contractor' could be several; say which by its id: "
          .. "Contractor = r-one, Contractor = r-two",
      }, (problems_of { users = { "u1" }, add = { "Contractor" } }))
    end)

    it("may be one role on both sides, under two names", function()
      assert.same({ "role 'r-audit' is in `add` and in `remove`" },
        (problems_of { users = { "u1" }, add = { "AUDITOR" }, remove = { "r-audit" } }))
    end)

    it("may be one role replaced by two of the same name", function()
      assert.same({ "role 'r-audit' is replaced by 'r-one' and replaced by 'r-two'" },
        (problems_of { users = { "u1" }, replace = { AUDITOR = "r-one", ["r-audit"] = "r-two" } }))
    end)

    it("is an entry that asks for nothing, or for something that the job cannot do", function()
      assert.same({
        "entry 1: role 'BASC': no such role in this tenant (nearest: BASIC)",
        "entry 2: `set` says all; nothing else may stand beside it",
        "entry 3: add: list of ids or names expected, got 5",
        "entry 4: nothing is asked for: add, remove, set, replace expected",
      }, (problems_of {
        users = {
          { id = "u1", remove = { "BASC" } }, { id = "u2", set = { "r-one" }, add = { "r-two" } },
          { id = "u3", add = 5 }, { id = "u4", remove = {} },
        },
        add = { "r-audit" },
      }))
    end)
  end)

  describe("roles", function()
    before_each(function()
      start {
        users = users(1),
        roles = {
          { id = "r-night", type = "AUDITOR", name = "Night auditor" },
          { id = "r-audit", type = "AUDITOR", name = "Auditor", deleteable = false },
        },
      }
    end)

    local function added_by(name)
      tenant.server:clear_requests()
      assert(plan { users = { "u1" }, add = { name } }:apply())
      return patches()[1].body
    end

    it("are named by id or by exact name", function()
      assert.equal('{"addedRoles":["r-night"],"removedRoles":[]}', added_by "r-night")
      assert.equal('{"addedRoles":["r-audit"],"removedRoles":[]}', added_by "Auditor")
    end)

    it("are named by type, which means the built-in one where custom ones share it", function()
      assert.equal('{"addedRoles":["r-audit"],"removedRoles":[]}', added_by "AUDITOR")
    end)

    it("that are named twice are sent once", function()
      assert(plan { users = { "u1" }, add = { "AUDITOR", "Auditor", "AUDITOR" } }:apply())
      assert.equal('{"addedRoles":["r-audit"],"removedRoles":[]}', patches()[1].body)
    end)
  end)

  describe("what a plan reads", function()
    it("is the roles, and every user page once, at the size that the service allows", function()
      start { users = users(95), assume = { page_cap = 10 } }
      local made = plan { users = emails(95), add = { "AUDITOR" } }
      assert.equal(95, made.to_change)
      assert.same({ ["GET /tenants/roles"] = 1, ["GET /tenants/users"] = 10 }, request_counts())
      assert.equal(11, made.reads)
    end)

    it("does without a limit where the service refuses the one we ask for", function()
      start { users = users(25), assume = { page_cap = 20, over_cap = "reject" } }
      assert.equal(25, plan { users = emails(25), add = { "AUDITOR" } }.to_change)
    end)

    it("ends as soon as everybody is found", function()
      start({ users = users(1000) }, { max_in_flight = 1 })
      plan { users = emails(150), add = { "AUDITOR" } }
      assert.same({ ["GET /tenants/roles"] = 1, ["GET /tenants/users"] = 2 }, request_counts())
    end)

    it("is the users themselves where few ids are given", function()
      start { users = users(1000) }
      plan { users = { "u3", "u500", "u999" }, add = { "AUDITOR" } }
      assert.same({ ["GET /tenants/roles"] = 1, ["GET /tenants/users/{id}/roles"] = 3 },
        request_counts())
    end)

    it("is the remaining users where they are fewer than the remaining pages", function()
      start { users = users(1000) }
      plan { users = { "u1", "u2", "u3", "u4", "u5", "u6", "u500", "u999" }, add = { "AUDITOR" } }
      assert.same({
        ["GET /tenants/roles"] = 1, ["GET /tenants/users"] = 1,
        ["GET /tenants/users/{id}/roles"] = 2,
      }, request_counts())
    end)

    it("is one more for each user whose role may come from a group, and for nobody else", function()
      start {
        groups = { { name = "Audit", roles = { "AUDITOR" } }, "Empty" },
        users = users(60, {
          { groups = { "Audit" } },                          -- may be inherited: read
          { groups = { "Empty" }, roles = { "AUDITOR" } },   -- may be inherited: read
          { groups = { "Empty" }, roles = { "BASIC" } },     -- does not have it at all
          { roles = { "AUDITOR" } },                         -- has it, and is in no group
        }),
      }
      plan { users = emails(60), add = { "AUDITOR" } }
      local flags = {}
      for _, request in ipairs(tenant.server:requests()) do
        if request.path:find("/users/.*/roles$") then
          flags[#flags + 1] = request.path:match("/users/([^/]+)") .. " " .. request.query
        end
      end
      table.sort(flags)
      assert.same({ "u1 rolesOnly=true", "u2 rolesOnly=true" }, flags)
      assert.equal(4, #tenant.server:requests())
    end)

    it("is not who administrates, where somebody who is named is missing anyway", function()
      start({ users = users(9, { { roles = { "ADMIN" } } }) }, { max_in_flight = 1 })
      local people = emails(9)
      people[10] = "nobody@example.com"
      local _, err = tenant.client.bulk:roles { users = people, remove = { "ADMIN" } }
      assert.equal("entry 10: no user has the e-mail 'nobody@example.com'",
        err.unresolved[1].message)
      assert.same({ ["GET /tenants/roles"] = 1, ["GET /tenants/users"] = 1 }, request_counts())
    end)
  end)
end)
