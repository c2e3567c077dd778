-- SPDX-License-Identifier: MIT
--
-- What hangs together in the sandbox: who has what, what a deletion takes with it, and which
-- changes one sees from the other side.

local setting = require "spec.sandbox.setting"

local get, refused, words = setting.get, setting.refused, setting.words
local start = setting.start

describe("in the sandbox", function()
  local server

  setting.install(after_each, function(a_server) server = a_server end)

  describe("users", function()
    it("are created as invited, in their groups, with an e-mail for each", function()
      start { groups = { { id = "g", roles = { "SUPPORT" } } } }
      local user = get("/users", "POST", '{"email":"a@b.example","groups":["g"]}')
      assert.same({ "a@b.example", "Invited", false, "SUPPORT" },
        { user.email, user.status, user.isOwner, words(user.roles, "type") })
      assert.same(user, get("/users/" .. user.id))
      local list = get("/users", "POST",
        '[{"email":"c@b.example","groups":[]},{"email":"d@b.example","groups":["g"]}]')
      assert.equal("c@b.example d@b.example", words(list, "email"))
      local state = server:state()
      assert.same({ user.id, list[1].id, list[2].id }, state.invitations)
      assert.equal("a@b.example d@b.example", words(state.groups[1].users, "email"))
      assert.equal(3, get("/users").total)
    end)

    it("are created all or not at all", function()
      start { users = { "a@b.example" }, groups = { { id = "g" } } }
      refused(409, "User with email A@B.example already exists", "POST", "/users",
        '[{"email":"c@b.example","groups":[]},{"email":"A@B.example","groups":[]}]')
      refused(409, "already exists", "POST", "/users",
        '[{"email":"c@b.example","groups":[]},{"email":"c@b.example","groups":[]}]')
      refused(404, "Group with id x not found", "POST", "/users",
        '{"email":"c@b.example","groups":["g","x"]}')
      refused(400, '["email must be an email"]', "POST", "/users", '{"email":"c","groups":[]}')
      refused(400, '["email should not be null or undefined",'
        .. '"groups should not be null or undefined"]', "POST", "/users", "{}")
      refused(400, '["body[0].groups must be an array"]', "POST", "/users",
        '[{"email":"c@b.example","groups":"g"}]')
      local many = {}
      for i = 1, 101 do many[i] = ('{"email":"u%d@b.example","groups":[]}'):format(i) end
      refused(400, "no more than 100 elements", "POST", "/users",
        "[" .. table.concat(many, ",") .. "]")
      assert.equal(1, #server:state().users)
    end)

    it("keep what an update leaves out", function()
      start { users = { { id = "u", firstName = "Ada", lastName = "Baker", groups = { "g" } } },
        groups = { "g" } }
      local user = get("/users/u", "PUT", '{"firstName":"Grace"}')
      assert.same({ "Grace", "Baker" }, { user.firstName, user.lastName })
      assert.are_not.equal("2024", user.updatedAt:sub(1, 4))
      assert.equal("Grace", server:state().groups[1].users[1].firstName)
    end)

    it("take their devices with them, and leave groups and policies", function()
      start {
        users = { { id = "u", devices = { { id = "d" } }, groups = { "g" } }, { id = "v" } },
        groups = { "g" },
        policies = { { id = "p", users = { "u", "v" }, devices = { "d" } } },
      }
      get("/users/u", "DELETE")
      refused(404, "User with id u not found", "GET", "/users/u")
      refused(404, "Device with id d not found", "GET", "/devices/d")
      local policy = get("/policies/p")
      assert.same({ "v", "" }, { words(policy.users, "id"), words(policy.devices, "id") })
      assert.equal("", words(server:state().groups[1].users, "id"))
      assert.equal(1, get("/users").total)
    end)

    it("have devices that are refused while they are deactivated", function()
      start { users = { { id = "u", devices = { { id = "d", status = "Online" },
        { id = "e", active = false, status = "Deactivated" } } }, { id = "v", devices = { {} } } } }
      get("/users/u/deactivate", "PATCH")
      local device = get("/devices/d")
      assert.same({ false, "Deactivated" }, { device.active, device.status })
      assert.equal("false false", words(get("/users/u").devices, "active"))
      assert.equal("false false true", words(get("/devices").data, "active"))
      get("/users/u/reactivate", "POST")
      device = get("/devices/d")
      assert.same({ true, "Online", "u" }, { device.active, device.status, device.user.id })
      assert.is_false(get("/devices/e").active)
    end)

    it("lose a role that is taken from the role's side, but not what groups give", function()
      start { users = { { id = "u", roles = { "BASIC", "ADMIN", "OWNER" }, groups = { "g" } } },
        groups = { { name = "g", roles = { "BASIC" } } },
        roles = { { id = "basic", type = "BASIC" }, { id = "admin", type = "ADMIN" },
          { id = "owner", type = "OWNER" } } }
      get("/roles/admin/users/u", "DELETE")
      get("/roles/basic/users/u", "DELETE")
      assert.equal("OWNER BASIC", words(get("/users/u/roles"), "type"))
      refused(404, "User does not have the role", "DELETE", "/roles/basic/users/u")
      refused(403, "The Owner role cannot be removed", "DELETE", "/roles/owner/users/u")
      assert.equal("owner", get("/roles/owner").id)
    end)
  end)

  describe("groups", function()
    before_each(function()
      start {
        users = { { id = "u", roles = { "BASIC" }, groups = { "g", "h" } },
          { id = "v", groups = { "g" } } },
        groups = { { id = "g", name = "g", roles = { "BASIC", "ADMIN" } },
          { id = "h", name = "h", roles = { "AUDITOR" } } },
        policies = { { id = "p", groups = { "g", "h" } } },
      }
    end)

    it("take the roles that they gave away with them, and no others", function()
      assert.equal("BASIC ADMIN AUDITOR", words(get("/users/u/roles"), "type"))
      get("/groups/g", "DELETE")
      assert.equal("BASIC AUDITOR", words(get("/users/u/roles"), "type"))
      assert.equal("BASIC", words(get("/users/u/roles?rolesOnly=true"), "type"))
      assert.equal("", words(get("/users/v/roles"), "type"))
      assert.equal("h", words(get("/users/u").groups, "id"))
      assert.equal("h", words(get("/policies/p").groups, "id"))
      refused(404, "Group with id g not found", "DELETE", "/users/u/groups/g")
      assert.equal(1, get("/groups").total)
    end)

    it("give their members other roles when they are changed", function()
      local support = server:state().roles[7].id
      local group = get("/groups/g", "PUT", { name = "Crew", roles = { support } })
      assert.same({ "Crew", "SUPPORT", "u v" },
        { group.name, words(group.roles, "type"), words(group.users, "id") })
      assert.equal("BASIC SUPPORT AUDITOR", words(get("/users/u/roles"), "type"))
      assert.equal("Crew h", words(get("/users/u").groups, "name"))
      refused(404, "Role with id x not found", "PUT", "/groups/g", '{"name":"x","roles":["x"]}')
      assert.same(group, get("/groups/g"))
    end)

    it("are created empty, and can be joined", function()
      local admin = server:state().roles[2].id
      local group = get("/groups", "POST", { name = "New", roles = { admin, admin } })
      assert.same({ "ADMIN", 0, true, 5 }, { words(group.roles, "type"), #group.users,
        group.deleteable, group.maxDevices })
      get("/users/v/groups", "POST", { groupId = group.id })
      assert.equal("v", words(get("/groups/" .. group.id).users, "id"))
      assert.equal("BASIC ADMIN", words(get("/users/v").roles, "type"))
    end)
  end)

  describe("devices", function()
    it("go from their users and from policies", function()
      start { users = { { id = "u", devices = { { id = "d" }, { id = "e" } } } },
        policies = { { id = "p", devices = { "d", "e" } } } }
      get("/devices/d", "DELETE")
      assert.equal("e", words(get("/users/u").devices, "id"))
      assert.equal("e", words(get("/policies/p").devices, "id"))
      assert.equal("e", words(get("/devices").data, "id"))
    end)

    it("are deactivated one by one", function()
      start { users = { { id = "u", devices = { { id = "d", status = "Online" }, {} } } } }
      local device = get("/devices/d/deactivate", "PATCH")
      assert.same({ false, "Deactivated" }, { device.active, device.status })
      assert.same(device, get("/devices/d/deactivate", "PATCH"))
      assert.equal("false true", words(get("/users/u").devices, "active"))
    end)
  end)

  describe("gateways", function()
    before_each(function()
      start {
        gateways = {
          { id = "g", name = "G", status = "ONLINE" }, { id = "h", status = "PENDING" },
        },
        resources = { { id = "r", name = "Wiki", gateways = { "g", "h" },
          addresses = { { id = "a", address = "10.0.0.5" } } },
          { id = "s", name = "Blog", gateways = { "G" }, addresses = { "b.example" } } },
        policies = { { id = "p", gateways = { "g" } } },
      }
    end)

    it("show their resources, and are what addresses are reached through", function()
      assert.equal("Wiki Blog", words(get("/gateways/g").resources, "name"))
      assert.equal("g h", words(get("/addresses/a/gateways"), "id"))
      get("/resources/r/gateways/g", "DELETE")
      assert.equal("Blog", words(get("/gateways/g").resources, "name"))
      assert.equal("h", words(get("/addresses/a/gateways"), "id"))
      refused(404, "Resource is not connected to the gateway", "DELETE", "/resources/r/gateways/g")
      refused(404, "Gateway with id x not found", "DELETE", "/resources/r/gateways/x")
    end)

    it("are gone from resources and policies once deleted", function()
      get("/gateways/g", "DELETE")
      assert.equal("h", words(get("/resources/r").gateways, "id"))
      assert.equal("", words(get("/policies/p").gateways, "id"))
    end)

    it("are created, relay, and are tested", function()
      local made = get("/gateways", "POST", '{"name":"New","wireguardPort":"51820"}')
      assert.same({ "PENDING", true, false }, { made.status, made.autoDiscoverEndpoint,
        made.relayEnabled })
      assert.is_true(#made.token > 0)
      assert.is_true(get("/gateways/" .. made.id .. "/enable-relay", "POST").relayEnabled)
      assert.is_true(get("/gateways/" .. made.id .. "/enable-relay", "POST").relayEnabled)
      assert.is_false(get("/gateways/" .. made.id .. "/disable-relay", "POST").relayEnabled)
      assert.equal("ONLINE", get("/gateways/g/test-configuration", "POST").status)
      assert.same({ status = "NOT_REACHABLE", error = "The gateway is pending" },
        get("/gateways/h/test-configuration", "POST"))
    end)
  end)

  describe("resources", function()
    before_each(function()
      start {
        protocols = { { id = "web", name = "Web" }, { id = "ssh", name = "SSH" } },
        resources = { { id = "r", type = "SAAS", addresses = { { id = "a", address = "10.0.0.5",
          protocols = { "Web", "ssh" } } } } },
        policies = { { id = "p", resources = { "r" } } },
      }
    end)

    it("make their addresses, of their own type", function()
      local made = get("/resources", "POST", [[{ "name": "Blog", "type": "INTERNET", "addresses": [
        { "address": "blog.example", "protocols": ["web"] },
        { "address": "fe80::1", "protocols": [] },
        { "address": "10.0.0.0/8", "protocols": [] } ] }]])
      assert.same({ "MANUAL", "blog.example fe80::1 10.0.0.0/8", "false true true" },
        { made.loadBalancingMode, words(made.addresses, "address"), words(made.addresses, "isIp") })
      assert.equal("INTERNET INTERNET INTERNET", words(made.addresses, "type"))
      assert.equal("Web", made.addresses[1].protocols[1].name)
      assert.equal(4, #get("/addresses"))
      assert.equal("SAAS", get("/resources/r").addresses[1].type)
    end)

    it("make nothing when one of the protocols is unknown", function()
      refused(404, "Protocol with id x not found", "POST", "/resources", [[{ "name": "Blog",
        "type": "SAAS", "addresses": [{ "address": "b.example", "protocols": [] },
        { "address": "c.example", "protocols": ["web", "x"] }] }]])
      local state = server:state()
      assert.same({ 1, 1 }, { #state.resources, #state.addresses })
    end)

    it("take addresses that are only theirs with them, and leave policies", function()
      get("/resources/r", "DELETE")
      assert.same({}, get("/addresses"))
      assert.equal("", words(get("/policies/p").resources, "id"))
    end)

    it("see what becomes of addresses and protocols", function()
      local address = get("/addresses/a", "PUT", '{"address":"wiki.example","protocols":["ssh"]}')
      assert.same({ "wiki.example", false, "SSH" },
        { address.address, address.isIp, words(address.protocols, "name") })
      assert.same(address, get("/resources/r").addresses[1])
      get("/protocols/ssh", "DELETE")
      assert.same({}, get("/resources/r").addresses[1].protocols)
      get("/addresses/a", "DELETE")
      assert.same({}, get("/resources/r").addresses)
    end)
  end)

  describe("policies", function()
    before_each(function()
      start {
        users = { { id = "u", groups = { "g" } } }, groups = { { id = "g", maxDevices = 7 } },
        admission_rules = { { id = "allow", type = "ALLOW" }, { id = "r", rule = "true" } },
        policies = { { id = "p" } },
      }
    end)

    local function body(more)
      local given = {
        name = "P", allGroups = false, allUsers = false, allDevices = true, allResources = true,
        action = true, type = "PRIVATE",
      }
      for name, value in pairs(more) do given[name] = value end
      return given
    end

    it("name by id what they show in full", function()
      local made = get("/policies", "POST", body { users = { "u" }, groups = { "g" }, rule = "r" })
      assert.same({ 2, false, "true" }, { made.order, made.isDefault, made.rule.rule })
      assert.same({ 7, 7 }, { made.users[1].maxDevices, made.groups[1].maxDevices })
      assert.equal(2, #get("/policies"))
      refused(404, "User with id x not found", "POST", "/policies", body { users = { "x" } })
      refused(404, "Device with id x not found", "POST", "/policies", body { devices = { "x" } })
      refused(404, "Admission rule with id x not found", "POST", "/policies", body { rule = "x" })
      refused(400, "mode must be one of the following values", "POST", "/policies",
        body { mode = "ANY" })
    end)

    it("are changed in part", function()
      local made = get("/policies", "POST", body { users = { "u" }, groups = { "g" }, rule = "r" })
      local changed = body { groups = {}, rule = "allow" }
      changed.type = nil
      changed = get("/policies/" .. made.id, "PATCH", changed)
      assert.same({ "u", "", "allow" }, { words(changed.users, "id"), words(changed.groups, "id"),
        changed.rule.id })
    end)

    it("lose a rule that is deleted", function()
      local made = get("/policies", "POST", body { rule = "r" })
      get("/admission-rules/r", "DELETE")
      assert.is_nil(get("/policies/" .. made.id).rule)
      refused(403, "Admission rule cannot be deleted", "DELETE", "/admission-rules/allow")
    end)
  end)

  it("new ids are the same for every start, and never those of something deleted", function()
    local function made()
      start { groups = 2 }
      local first = get("/groups", "POST", '{"name":"A","roles":[]}').id
      get("/groups/" .. first, "DELETE")
      local second = get("/groups", "POST", '{"name":"B","roles":[]}').id
      assert.are_not.equal(first, second)
      return second
    end
    assert.equal(made(), made())
  end)
end)
