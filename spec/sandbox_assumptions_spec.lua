-- SPDX-License-Identifier: MIT
--
-- Both answers of every open question about the operations on more than users' roles; the others
-- are in sandbox_service_spec.lua and sandbox_lists_spec.lua.

local setting = require "spec.sandbox.setting"

local get, send = setting.get, setting.send

local function status(...)
  return (send(...))
end

describe("the sandbox assumes", function()
  local server

  local function with(assume)
    setting.start {
      assume = assume,
      roles = { { id = "owner", type = "OWNER" }, { id = "member", type = "DEFAULT" } },
      users = {
        { id = "o", email = "o@x.example", roles = { "OWNER" } },
        { id = "u", email = "u@x.example", status = "Deactivated", firstName = "Ada",
          groups = { "g" }, devices = { { id = "d", active = true } } },
      },
      groups = { { id = "g", name = "Crew", description = "All of us.", deleteable = false } },
      protocols = { { id = "all", type = "ALL" }, { id = "web", name = "Web" } },
      gateways = { { id = "gw", name = "GW" } },
      resources = { { id = "r", name = "Wiki", gateways = { "gw" },
        addresses = { { id = "a", address = "10.0.0.5", protocols = { "web" } } } } },
      admission_rules = { { id = "allow", type = "ALLOW" }, { id = "deny", type = "DENY" },
        { id = "rule", name = "Rule" } },
      policies = { { id = "p", users = { "u" }, resources = { "r" }, rule = "rule" } },
    }
  end

  setting.install(after_each, function(a_server) server = a_server end)

  local function new_user(email, groups)
    return { email = email or "n@x.example", groups = groups or { "g" } }
  end

  local function policy(more)
    local body = {
      name = "P", allGroups = false, allUsers = true, allDevices = true, allResources = true,
      action = true, type = "PRIVATE",
    }
    for name, value in pairs(more or {}) do body[name] = value end
    return body
  end

  it("create_without_group", function()
    with()
    assert.equal(201, status("POST", "/users", new_user(nil, {})))
    with { create_without_group = "reject" }
    assert.equal(400, status("POST", "/users", new_user(nil, {})))
  end)

  it("create_answer", function()
    with { create_answer = "list" }
    assert.equal("n@x.example", get("/users", "POST", new_user())[1].email)
    with()
    assert.equal("n@x.example", get("/users", "POST", new_user()).email)
  end)

  it("bulk_create", function()
    local bodies = { new_user "n@x.example", new_user "u@x.example", new_user "m@x.example" }
    with()
    assert.equal(409, status("POST", "/users", bodies))
    assert.equal(2, #server:state().users)
    with { bulk_create = "partial" }
    assert.equal(409, status("POST", "/users", bodies))
    assert.same({ 3, "n@x.example" }, { #server:state().users, server:state().users[3].email })
  end)

  it("duplicate_email, email_format", function()
    with { duplicate_email = "bad_request" }
    assert.equal(400, status("POST", "/users", new_user "U@x.example"))
    assert.equal(400, status("POST", "/users", new_user "somebody"))
    with { email_format = "any" }
    assert.equal(409, status("POST", "/users", new_user "U@x.example"))
    assert.equal(201, status("POST", "/users", new_user "somebody"))
  end)

  it("new_user_roles", function()
    with()
    assert.same({}, get("/users", "POST", new_user()).roles)
    with { new_user_roles = "default" }
    assert.equal("member", get("/users", "POST", new_user()).roles[1].id)
  end)

  it("owner_delete", function()
    with()
    assert.equal(403, status("DELETE", "/users/o"))
    with { owner_delete = "accept" }
    assert.equal(200, status("DELETE", "/users/o"))
  end)

  it("left_out", function()
    with()
    assert.equal("Ada", get("/users/u", "PUT", '{"lastName":"B"}').firstName)
    with { left_out = "clear" }
    local user = get("/users/u", "PUT", '{"lastName":"B"}')
    assert.same({ nil, "B", "u@x.example" }, { user.firstName, user.lastName, user.email })
    assert.is_nil(get("/groups/g", "PUT", '{"name":"Crew","roles":[]}').description)
    local body = policy { rule = "rule" }
    body.type = nil
    assert.same({}, get("/policies/p", "PATCH", body).users)
  end)

  it("unknown_relation", function()
    with()
    assert.equal(404, status("POST", "/users", new_user(nil, { "x" })))
    with { unknown_relation = "bad_request" }
    assert.equal(400, status("POST", "/users", new_user(nil, { "x" })))
    assert.equal(400, status("POST", "/policies", policy { rule = "x" }))
    assert.equal(400, status("POST", "/groups", '{"name":"x","roles":["x"]}'))
  end)

  it("duplicate_name", function()
    with()
    assert.equal(201, status("POST", "/groups", '{"name":"Crew","roles":[]}'))
    with { duplicate_name = "reject" }
    assert.equal(409, status("POST", "/groups", '{"name":"Crew","roles":[]}'))
    assert.equal(201, status("POST", "/gateways", '{"name":"Crew","wireguardPort":"1"}'))
    assert.equal(200, status("PUT", "/groups/g", '{"name":"Crew","roles":[]}'))
    assert.equal(201, status("POST", "/groups", '{"name":"Other","roles":[]}'))
    assert.equal(409, status("PUT", "/groups/g", '{"name":"Other","roles":[]}'))
  end)

  it("built_in", function()
    local body = '{"name":"R","rule":"true","hasTimeConstraint":false}'
    with()
    assert.equal(403, status("DELETE", "/groups/g"))
    assert.equal(200, status("PUT", "/groups/g", '{"name":"Other","roles":[]}'))
    assert.equal(403, status("PUT", "/admission-rules/allow", body))
    with { built_in = "accept" }
    assert.equal(200, status("DELETE", "/groups/g"))
    assert.equal(200, status("DELETE", "/protocols/all"))
    assert.equal(200, status("PUT", "/admission-rules/allow", body))
  end)

  it("in_use", function()
    with { in_use = "reject" }
    for _, path in ipairs { "/gateways/gw", "/resources/r", "/protocols/web",
      "/admission-rules/rule" } do
      assert.equal(409, status("DELETE", path), path)
    end
    assert.equal(200, status("DELETE", "/addresses/a"))
    assert.equal(200, status("DELETE", "/protocols/web"))
    with()
    assert.equal(200, status("DELETE", "/gateways/gw"))
  end)

  it("unassign_absent", function()
    with { unassign_absent = "accept" }
    assert.equal(200, status("DELETE", "/roles/member/users/u"))
    assert.equal(200, status("DELETE", "/resources/r/gateways/gw"))
    assert.equal(200, status("DELETE", "/resources/r/gateways/gw"))
    with()
    assert.equal(404, status("DELETE", "/roles/member/users/u"))
  end)

  it("devices_of_deactivated", function()
    with()
    assert.is_false(get("/devices/d").active)
    with { devices_of_deactivated = "untouched" }
    assert.is_true(get("/devices/d").active)
  end)

  it("second_deactivate, of a device", function()
    with()
    assert.equal(200, status("PATCH", "/devices/d/deactivate"))
    assert.equal(200, status("PATCH", "/devices/d/deactivate"))
    with { second_deactivate = "reject" }
    assert.equal(200, status("PATCH", "/devices/d/deactivate"))
    assert.equal(400, status("PATCH", "/devices/d/deactivate"))
  end)

  it("owner_connection, policy_max_devices", function()
    with()
    assert.equal(get("/users/u").createdAt, get("/devices/d").user.lastConnection)
    assert.equal(5, get("/policies/p").users[1].maxDevices)
    with { owner_connection = "absent", policy_max_devices = "null" }
    assert.is_nil(get("/devices/d").user.lastConnection)
    assert.matches('"maxDevices":null', select(2, send("GET", "/policies/p")))
  end)

  it("second_relay", function()
    with { second_relay = "reject" }
    assert.equal(400, status("POST", "/gateways/gw/disable-relay"))
    assert.equal(201, status("POST", "/gateways/gw/enable-relay"))
    assert.equal(400, status("POST", "/gateways/gw/enable-relay"))
  end)

  it("same_address, orphan_addresses", function()
    local body = '{"name":"R","type":"SAAS","addresses":[{"address":"10.0.0.5","protocols":[]}]}'
    with { same_address = "reject", orphan_addresses = "keep" }
    assert.equal(409, status("POST", "/resources", body))
    assert.equal(200, status("DELETE", "/resources/r"))
    assert.equal("a", get("/addresses")[1].id)
    with()
    assert.equal(201, status("POST", "/resources", body))
    assert.equal(200, status("DELETE", "/resources/r"))
    assert.equal(1, #get("/addresses"))
  end)

  it("policy_without_rule, deny_rule", function()
    with()
    assert.is_nil(get("/policies", "POST", policy()).rule)
    assert.equal(201, status("POST", "/policies", policy { action = false, rule = "rule" }))
    with { policy_without_rule = "default", deny_rule = "reject" }
    assert.equal("allow", get("/policies", "POST", policy()).rule.id)
    assert.equal("deny", get("/policies", "POST", policy { action = false }).rule.id)
    assert.equal(400, status("POST", "/policies", policy { action = false, rule = "rule" }))
    with { policy_without_rule = "reject" }
    assert.equal(400, status("POST", "/policies", policy()))
  end)

  it("policy_order", function()
    with()
    assert.equal(2, get("/policies", "POST", policy()).order)
    with { policy_order = "first" }
    assert.equal(1, get("/policies", "POST", policy()).order)
    assert.equal(2, get("/policies/p").order)
  end)
end)
