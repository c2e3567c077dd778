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

  it("of numbers invents things that belong together", function()
    local state = state_of { users = 2, groups = 1, devices = 3, gateways = 2, resources = 3,
      addresses = 1, protocols = 1, admission_rules = 1, policies = 2 }
    assert.equal(state.users[1].id, state.devices[3].user.id)
    assert.same({ 2, 1 }, { #state.users[1].devices, #state.users[2].devices })
    assert.same({ "Gateway 1", "ONLINE", "gw2.example.com" },
      { state.gateways[1].name, state.gateways[1].status, state.gateways[2].endpoint })
    assert.same({ "Resource 1", "Resource 3" },
      { state.gateways[1].resources[1].name, state.gateways[1].resources[2].name })
    assert.same({ 4, "All", "CUSTOM" }, { #state.addresses,
      state.resources[3].addresses[1].protocols[1].name, state.protocols[5].type })
    local addresses = {}
    for _, address in ipairs(state.addresses) do addresses[address.id] = true end
    assert.is_true(addresses[state.resources[1].addresses[1].id])
    assert.same({ "ALLOW", "DENY", "CUSTOM" }, { state.admission_rules[1].type,
      state.admission_rules[2].type, state.admission_rules[3].type })
    assert.same({ "Engineering", "Resource 2", 2 }, { state.policies[1].groups[1].name,
      state.policies[2].resources[1].name, state.policies[2].order })
  end)

  it("has built-in protocols and rules, unless others are given", function()
    local state = state_of {}
    assert.same({ "ALL", "PREDEFINED" }, { state.protocols[1].type, state.protocols[4].type })
    assert.equal(2, #state.admission_rules)
    server:stop()
    state = state_of { protocols = {}, admission_rules = { "Mine" } }
    assert.same({ 0, 1, "Mine" },
      { #state.protocols, #state.admission_rules, state.admission_rules[1].name })
  end)

  it("names others by id or name, in the API's shapes, from either side", function()
    local state = state_of {
      users = { { id = "u", email = "u@b.example", devices = { { id = "d1" } } } },
      devices = { { id = "d2", user = "u@b.example" }, { id = "d3", user = { id = "u" } }, {} },
      protocols = { "Web" },
      gateways = { { name = "North" }, { name = "South", resources = { "Wiki" } } },
      addresses = { { address = "10.0.0.1", protocols = { "Web" } } },
      resources = {
        { name = "Wiki", type = "SAAS", gateways = { "North" }, addresses = {
          "10.0.0.1", { address = "fe80::1", protocols = { { name = "Web" } } }, "w.example" } },
        { name = "Blog", addresses = { "10.0.0.1" } },
      },
      admission_rules = { { name = "Weekdays", rule = "true" } },
      policies = { { users = { "u" }, devices = { "d1" }, resources = { "Blog" },
        gateways = { "South" }, rule = "Weekdays", action = false } },
    }
    local function words(list, field)
      local found = {}
      for i, record in ipairs(list) do found[i] = tostring(record[field]) end
      return table.concat(found, " ")
    end
    assert.equal("d1 d2 d3", words(state.users[1].devices, "id"))
    assert.is_nil(state.devices[4].user)
    assert.equal("North South", words(state.resources[1].gateways, "name"))
    assert.equal("10.0.0.1 fe80::1 w.example", words(state.resources[1].addresses, "address"))
    assert.equal("PRIVATE SAAS PRIVATE", words(state.resources[1].addresses, "type"))
    assert.equal("true true false", words(state.resources[1].addresses, "isIp"))
    assert.equal(state.resources[1].addresses[1].id, state.resources[2].addresses[1].id)
    local policy = state.policies[1]
    assert.same({ "u", "d1", "Blog", "South", "Weekdays", false, 1 },
      { policy.users[1].id, policy.devices[1].id, policy.resources[1].name,
        policy.gateways[1].name, policy.rule.name, policy.action, policy.order })
  end)

  it("reads what the server wrote", function()
    local function made_of(given)
      return state_of {
        users = given.users or 3, groups = given.groups or 2, roles = given.roles,
        devices = given.devices or 3, protocols = given.protocols or 1,
        gateways = given.gateways or 2, addresses = given.addresses or 1,
        resources = given.resources or 3, admission_rules = given.admission_rules or 1,
        policies = given.policies or 2,
      }
    end
    local state = made_of {}
    server:stop()
    assert.same(state, made_of(state))
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
    raises({ devices = { { user = "x" } } }, "devices[1].user: no user 'x'")
    raises({ gateways = { { name = 5 } } }, "gateways[1].name must be a string")
    raises({ gateways = { { resources = { "x" } } } },
      "gateways[1].resources[1]: no resource 'x'")
    raises({ resources = { { gateways = { "x" } } } },
      "resources[1].gateways[1]: no gateway 'x'")
    raises({ resources = { { addresses = { { adress = "x" } } } } },
      "resources[1].addresses[1]: unknown field 'adress'; did you mean 'address'?")
    raises({ addresses = { { protocols = { "x" } } } },
      "addresses[1].protocols[1]: no protocol 'x'")
    raises({ policies = { { rule = "x" } } }, "policies[1].rule: no rule 'x'")
    raises({ admission_rule = 1 },
      "unknown option 'admission_rule'; did you mean 'admission_rules'?")
    raises({ users = 2, holders = { SUPORT = 1 } }, "holders: no role 'SUPORT'")
    raises({ users = 2, holders = { SUPPORT = 3 } }, "holders.SUPPORT: at most 2 users, got 3")
    raises({ users = 2, members = { Sales = 1 } }, "members: no group 'Sales'")
    raises({ users = 2, members = 5 }, "members: table expected, got number")
    raises({ users = { "a", [3] = "c" } }, "users: a list without holes and names expected")
  end)
end)
