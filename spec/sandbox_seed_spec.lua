-- SPDX-License-Identifier: MIT
--
-- The sandbox's first state: invented people, seeds in the API's shapes, and what is no seed.

local sandbox = require "cipherscale.sandbox"

describe("the sandbox's seed", function()
  local server

  local function state_of(options)
    server = sandbox.start(options)
    return server:state()
  end

  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  it("of a number invents people, the same each time; the first is the owner", function()
    local state = state_of { users = 1500, groups = 8 }
    local first = state.users[1]
    assert.same({ "ada.abbott@example.com", "Active", true, "OWNER" },
      { first.email, first.status, first.isOwner, first.roles[1].type })
    assert.same({ false, 0 }, { state.users[2].isOwner, #state.users[2].roles })
    local emails, ids = {}, {}
    for _, user in ipairs(state.users) do
      assert.is_nil(emails[user.email])
      assert.is_nil(ids[user.id])
      emails[user.email], ids[user.id] = true, true
      assert.matches("^%x+%-%x%x%x%x%-4%x%x%x%-8%x%x%x%-%x+$", user.id)
      assert.equal(36, #user.id)
    end
    assert.same({ "Engineering", "Group 8" }, { state.groups[1].name, state.groups[8].name })
    server:stop()
    assert.same(state, state_of { users = 1500, groups = 8 })
  end)

  it("has the built-in roles, unless others are given", function()
    local types = {}
    for i, role in ipairs(state_of({}).roles) do types[i] = role.type end
    assert.equal("OWNER ADMIN DEFAULT BASIC BILLING AUDITOR SUPPORT", table.concat(types, " "))
    server:stop()
    local roles = state_of({
      roles = { "ADMIN", { id = "r", name = "Night watch", type = "NEW" } },
    }).roles
    assert.same({ "Admin", false, "Night watch", "NEW", true },
      { roles[1].name, roles[1].deleteable, roles[2].name, roles[2].type, roles[2].deleteable })
  end)

  it("sets any field, and members outside the contract", function()
    local user = state_of({ users = { {
      id = "u", email = "a@b.example", status = "Vacationing", maxDevices = 3, isOwner = true,
      createdAt = "2020-01-01", extra = { badge = { 1, "x" } }, lastName = 'O"Brien\n',
    } } }).users[1]
    assert.same({ "Vacationing", 3, true, "2020-01-01", 'O"Brien\n' },
      { user.status, user.maxDevices, user.isOwner, user.createdAt, user.lastName })
    assert.same({ 1, "x" }, user.badge)
  end)

  it("takes a bare text for an e-mail address, a group's name, a role's type", function()
    local state = state_of { users = { "a@b.example" }, groups = { "Team" }, roles = { "BASIC" } }
    assert.same({ "a@b.example", "Team", "BASIC" },
      { state.users[1].email, state.groups[1].name, state.roles[1].type })
  end)

  it("names roles by id, type, name or as tables, and groups and members likewise", function()
    local state = state_of {
      roles = {
        "BASIC", { id = "r1", name = "One" }, { id = "r2", name = "Two", type = "AUDITOR" },
      },
      users = {
        { id = "u1", email = "u1@b.example",
          roles = { "r1", "BASIC", "Two", { id = "r3", name = "Three", type = "SUPPORT" } } },
        { id = "u2", groups = { "g1", { id = "g2" } } },
      },
      groups = { { id = "g1", users = { "u1@b.example" }, roles = { "AUDITOR" } }, { id = "g2" } },
    }
    assert.same({ "r1", state.roles[1].id, "r2", "r3" }, state.direct.u1)
    assert.equal("Three", state.roles[4].name)
    assert.same({ 2, 1, 1 },
      { #state.users[2].groups, #state.users[1].groups, #state.groups[2].users })
  end)

  it("gives roles and groups to so many users, evenly spread", function()
    local state = state_of { users = 10, groups = { "Crew" },
      holders = { SUPPORT = 3, BASIC = 10, ADMIN = 0 }, members = { Crew = 5 } }
    local direct, crew = {}, {}
    for i, user in ipairs(state.users) do direct[i] = server:direct_roles()[user.id] end
    assert.same({ "BASIC OWNER", "BASIC", "BASIC", "BASIC SUPPORT", "BASIC", "BASIC",
      "BASIC SUPPORT", "BASIC", "BASIC", "BASIC SUPPORT" }, direct)
    for _, user in ipairs(state.groups[1].users) do crew[#crew + 1] = user.email end
    for i = 2, 10, 2 do assert.equal(state.users[i].email, crew[i / 2]) end
    assert.equal(5, #crew)
  end)

  it("reads what the server wrote", function()
    local state = state_of { users = 3, groups = 2 }
    server:stop()
    local again = state_of { users = state.users, groups = state.groups, roles = state.roles }
    assert.same(state.users, again.users)
    assert.same(state.groups, again.groups)
  end)

  it("that is wrong is raised, naming the place", function()
    local function raises(options, text)
      local ok, problem = pcall(state_of, options)
      assert.is_false(ok)
      assert.equal("bad argument #1 to 'start' (" .. text .. ")", (problem:gsub("^.-:%d+: ", "")))
    end
    raises({ users = -1 }, "users: whole number of at least 0 expected, got -1")
    raises({ users = "many" }, "users: a number or a list expected, got string")
    raises({ users = { id = "u" } }, "users: a number or a list expected, got a table with names")
    raises({ users = { { mail = "x" } } }, "users[1]: unknown field 'mail'; did you mean 'email'?")
    raises({ users = { { email = 5 } } }, "users[1].email must be a string")
    raises({ users = { { id = "u" }, { id = "u" } } }, "users[2]: the id 'u' is there twice")
    raises({ users = { "a@b.example", "A@B.example" } },
      "users[2]: the e-mail 'A@B.example' is there twice")
    raises({ users = { { roles = { "NOBODY" } } } }, "users[1].roles[1]: no role 'NOBODY'")
    raises({ users = { { roles = "BASIC" } } }, "users[1].roles: a list expected, got string")
    raises({ users = { { groups = { "g" } } } }, "users[1].groups[1]: no group 'g'")
    raises({ groups = { { users = { "nobody" } } } }, "groups[1].users[1]: no user 'nobody'")
    raises({ groups = { { name = "g" }, { name = "g" } }, users = { { groups = { "g" } } } },
      "users[1].groups[1]: more than one group 'g'")
    raises({ users = { { extra = { email = "x" } } } },
      "users[1].extra: 'email' is a field of the contract, set it directly")
    raises({ users = { { devices = { { active = "yes" } } } } },
      "users[1].devices[1].active must be a boolean value")
    raises({ users = 2, holders = { SUPORT = 1 } }, "holders: no role 'SUPORT'")
    raises({ users = 2, holders = { SUPPORT = 3 } }, "holders.SUPPORT: at most 2 users, got 3")
    raises({ users = 2, members = { Sales = 1 } }, "members: no group 'Sales'")
    raises({ users = 2, members = 5 }, "members: table expected, got number")
    raises({ users = { "a", [3] = "c" } }, "users: a list without holes and names expected")
  end)
end)
