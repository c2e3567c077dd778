-- SPDX-License-Identifier: MIT
--
-- Changes that another administrator makes in the sandbox, between two requests.

local sandbox = require "cipherscale.sandbox"

describe("the sandbox's change", function()
  local server

  before_each(function()
    server = sandbox.start {
      users = {
        { id = "u", email = "u@example.com", roles = { "BASIC", "SUPPORT" }, groups = { "Crew" } },
        { id = "v", email = "v@example.com", groups = { "Crew" } },
      },
      groups = { { name = "Crew", roles = { "AUDITOR" } }, { id = "g2", name = "Other" } },
    }
  end)

  after_each(function() server:stop() end)

  local function user(id)
    for _, record in ipairs(server:state().users) do
      if record.id == id then return record end
    end
  end

  local function names_of(list, field)
    local names = {}
    for i, record in ipairs(list) do names[i] = record[field] end
    return table.concat(names, " ")
  end

  it("gives and takes direct roles, as the next request sees", function()
    local client = server:client()
    server:change { user = "u", add = { "ADMIN" }, remove = { "BASIC", "AUDITOR" } }
    assert.equal("SUPPORT ADMIN", names_of(client.users:roles("u", { rolesOnly = true }), "type"))
    server:change { user = "u@example.com", set = { "OWNER" } }
    assert.equal("OWNER", names_of(client.users:roles("u", { rolesOnly = true }), "type"))
    server:change { user = "u", set = {} }
    assert.equal("AUDITOR", names_of(client.users:roles "u", "type"))
    client:close()
  end)

  it("ends and begins memberships", function()
    server:change { user = "u", leave = { "Crew" }, join = { "g2" } }
    assert.equal("Other", names_of(user("u").groups, "name"))
    assert.equal("BASIC SUPPORT", names_of(user("u").roles, "type"))
    assert.equal("v", names_of(server:state().groups[1].users, "id"))
  end)

  it("sets the status, whatever it is called", function()
    server:change { user = "u", status = "Vacationing" }
    assert.equal("Vacationing", user("u").status)
  end)

  it("deletes users", function()
    server:change { user = "u", delete = true }
    assert.is_nil(user "u")
    assert.equal("v", names_of(server:state().groups[1].users, "id"))
    local client = server:client()
    assert.equal(404, select(2, client.users:get "u").status)
    assert.equal(1, client.users:page().total)
    client:close()
  end)

  it("takes several users, and several changes", function()
    server:change { user = { "u", "v@example.com" }, set = { "BILLING" } }
    assert.equal("BILLING AUDITOR", names_of(user("v").roles, "type"))
    server:change {
      { user = "u", set = { "ADMIN" } }, { user = user "v", status = "Invited" },
      { user = "v", delete = true }, { user = "v", add = { "ADMIN" }, join = { "Other" } },
    }
    assert.equal("ADMIN AUDITOR", names_of(user("u").roles, "type"))
    assert.is_nil(user "v")
    assert.same({}, server:state().groups[2].users)
  end)

  it("that makes no sense is raised, and nothing is changed", function()
    local function raises(change, text)
      local ok, problem = pcall(server.change, server, change)
      assert.is_false(ok)
      assert.equal("bad argument #1 to 'change' (" .. text .. ")", (problem:gsub("^.-:%d+: ", "")))
    end
    local before = server:state()
    raises(nil, "change: table expected, got nil")
    raises({ set = {} }, "change.user: an id or e-mail expected, got nil")
    raises({ user = "w", set = {} }, "change.user: no user 'w'")
    raises({ user = { "u", "w" }, set = {} }, "change.user[2]: no user 'w'")
    raises({ user = "u" },
      "change: one of add, remove, set, join, leave, status, delete expected")
    raises({ user = "u", ad = {} }, "change: unknown field 'ad'; did you mean 'add'?")
    raises({ user = "u", set = {}, add = {} }, "change: set excludes add and remove")
    raises({ user = "u", add = "ADMIN" }, "change.add: a list expected, got string")
    raises({ user = "u", add = { "NOBODY" } }, "change.add[1]: no role 'NOBODY'")
    raises({ user = "u", join = { "x" } }, "change.join[1]: no group 'x'")
    raises({ user = "u", status = 5 }, "change.status: string expected, got number")
    raises({ user = "u", delete = "yes" }, "change.delete: boolean expected, got string")
    raises({ { user = "u", set = {} }, { user = "w", set = {} } }, "change[2].user: no user 'w'")
    assert.same(before, server:state())
  end)
end)
