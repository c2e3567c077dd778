-- SPDX-License-Identifier: MIT
--
-- What the sandbox's service answers: each operation, how strict it is, and every assumption.

local scratch = require "spec.support.scratch"
local setting = require "spec.support.setting"
local wire = require "spec.sandbox.wire"

local start = setting.sandbox
local JSON = "application/json"

describe("the sandbox's service", function()
  local server, client

  setting.install(after_each, function(a_client, a_server)
    client, server = a_client, a_server
  end, { max_retries = 0 })

  local function role(type)
    for _, record in ipairs(server:state().roles) do
      if record.type == type then return record.id end
    end
  end

  local function types(roles)
    local list = {}
    for i, record in ipairs(roles) do list[i] = record.type end
    return table.concat(list, " ")
  end

  local function send(method, path, body, more)
    local given = { method = method, path = path, body = body, type = body and JSON }
    for name, value in pairs(more or {}) do given[name] = value end
    return wire.send(server, given)
  end

  local function problem(status, message, ...)
    local got, body = send(...)
    assert.equal(status, got)
    assert.truthy(body:find(message, 1, true), body)
  end

  describe("checks", function()
    before_each(function() start { users = { { id = "u" } }, groups = { { id = "g" } } } end)

    it("the key first, whatever is asked for", function()
      local status, body = send("GET", "/nowhere", nil, { key = false })
      assert.same({ 401, '{"statusCode":401,"message":"Unauthorized"}' }, { status, body })
      assert.equal(401, (send("GET", "/tenants/roles", nil, { key = server.api_key .. "x" })))
      assert.equal(401, (send("GET", "/tenants/roles", nil, { key = server.api_key:upper() })))
    end)

    it("path and method", function()
      problem(404, "Cannot GET /qa/nowhere", "GET", "/nowhere")
      problem(404, "Cannot GET /qa/tenants/roles/", "GET", "/tenants/roles/")
      problem(404, "Cannot GET /qa/tenants/users//roles", "GET", "/tenants/users//roles")
      problem(404, "Cannot PUT /qa/tenants/roles", "PUT", "/tenants/roles")
      problem(404, "Cannot GET /tenants/roles", "GET", nil, nil,
        { url = server.url:gsub("/qa$", "/tenants/roles") })
    end)

    it("query parameters, by name and type", function()
      problem(400, '["property limt should not exist"]', "GET", "/tenants/users?limt=1")
      problem(400, '["limit must be a number"]', "GET", "/tenants/users?limit=ten")
      problem(400, '["limit must not be less than 1"]', "GET", "/tenants/users?limit=0")
      problem(400, '["offset must not be less than 0"]', "GET", "/tenants/users?offset=-1")
      problem(400, '["limit must be given once"]', "GET", "/tenants/users?limit=1&limit=2")
      problem(400, '["rolesOnly must be a boolean value"]', "GET",
        "/tenants/users/u/roles?rolesOnly=1")
      problem(400, '["property x should not exist"]', "GET", "/tenants/roles?x")
    end)

    it("the fields of a body, by name and type", function()
      local path = "/tenants/users/u/roles"
      problem(400, '["property roles should not exist"]', "PATCH", path,
        '{"addedRoles":[],"removedRoles":[],"roles":[]}')
      problem(400, '["removedRoles should not be null or undefined"]', "PATCH", path,
        '{"addedRoles":[]}')
      problem(400, '["addedRoles must be an array"]', "PATCH", path,
        '{"addedRoles":{},"removedRoles":[]}')
      problem(400, '["addedRoles[1] must be a string"]', "PATCH", path,
        '{"addedRoles":["x",5],"removedRoles":[]}')
      problem(400, '["removedRoles must be an array"]', "PATCH", path,
        '{"addedRoles":[],"removedRoles":null}')
      problem(400, '["body must be an object"]', "PATCH", path, "[]")
      problem(400, '["a request body is expected"]', "PATCH", path)
      path = "/tenants/users/u/groups"
      problem(400, '["groupId must be a string"]', "POST", path, '{"groupId":5}')
      problem(400, '["groupId should not be null or undefined"]', "POST", path)
    end)

    it("that a body is JSON, and says so", function()
      local path = "/tenants/users/u/roles"
      local body = '{"addedRoles":[],"removedRoles":[]}'
      problem(400, "Unexpected end of JSON input", "PATCH", path, '{"addedRoles":[')
      problem(400, "Unexpected token", "PATCH", path, body .. "x")
      problem(400, "Repeated name", "PATCH", path, '{"addedRoles":[],"addedRoles":[]}')
      problem(415, "Unsupported Media Type: text/plain", "PATCH", path, body,
        { type = "text/plain" })
      problem(415, "Unsupported Media Type", "PATCH", path, body, { type = JSON .. "x" })
      assert.equal(200, (send("PATCH", path, body, { type = "Application/JSON ; charset=utf-8" })))
    end)

    it("that there is no body where none is documented", function()
      problem(400, "no request body expected", "POST", "/tenants/users/u/reactivate", "{}")
    end)

    it("the length of a body", function()
      local file = scratch.file((" "):rep(1024 * 1024 + 1))
      problem(413, "too large", "PATCH", "/tenants/users/u/roles", "@" .. file)
    end)

    it("ids, decoded segment by segment", function()
      start { users = { { id = "a/b c" } } }
      assert.equal("a/b c", client.users:get("a/b c").id)
      problem(404, "User with id a/b not found", "GET", "/tenants/users/a%2Fb")
    end)
  end)

  describe("users", function()
    it("come in pages of ten, a hundred at most", function()
      start { users = 250 }
      local page = client.users:page()
      assert.same({ 10, 250, 0, 10, true, false },
        { #page.data, page.total, page.page, page.limit, page.hasNext, page.hasPrevious })
      page = client.users:page { limit = 500, offset = 200 }
      assert.same({ 50, 250, 2, 100, false, true },
        { #page.data, page.total, page.page, page.limit, page.hasNext, page.hasPrevious })
      page = client.users:page { offset = 1000 }
      assert.same({ 0, false }, { #page.data, page.hasNext })
    end)

    it("carry roles of both kinds, groups and devices", function()
      start {
        users = { { id = "u", roles = { "BASIC" }, groups = { "g" }, devices = { {} } } },
        groups = { { name = "g", roles = { "BASIC", "AUDITOR" } } },
      }
      local user = client.users:get("u")
      assert.equal("BASIC AUDITOR", types(user.roles))
      assert.equal("g", user.groups[1].name)
      assert.equal("Device 1", user.devices[1].name)
      assert.same(user, client.users:page().data[1])
    end)

    it("unknown ones are not found", function()
      start {}
      problem(404, "User with id x not found", "GET", "/tenants/users/x")
      problem(404, "User with id x not found", "GET", "/tenants/users/x/roles")
      problem(404, "User with id x not found", "POST", "/tenants/users/x/invite")
      problem(404, "User with id x not found", "POST", "/tenants/users/x/reactivate")
      problem(404, "User with id x not found", "POST", "/tenants/users/x/groups", '{"groupId":"g"}')
      problem(404, "User with id x not found", "PATCH", "/tenants/users/x/roles",
        '{"addedRoles":[],"removedRoles":[]}')
    end)

    it("are reactivated when deactivated, and otherwise left alone", function()
      start { users = { { id = "off", status = "Deactivated" }, { id = "on", status = "Online" } } }
      local before = client.users:get("on")
      local status, body = send("POST", "/tenants/users/off/reactivate")
      assert.equal(201, status)
      assert.truthy(body:find('"status":"Active"', 1, true))
      assert.are_not.equal("2024", server:state().users[1].updatedAt:sub(1, 4))
      assert.same(before, client.users:reactivate("on"))
    end)

    it("are deactivated, with all that they have", function()
      start {
        users = { { id = "u", roles = { "BASIC" }, groups = { "g" } }, { id = "off",
          status = "inactive" } },
        groups = { { name = "g", roles = { "AUDITOR" } } },
      }
      local status, body = send("PATCH", "/tenants/users/u/deactivate")
      assert.equal(200, status)
      assert.truthy(body:find('"status":"Deactivated"', 1, true))
      assert.equal("BASIC AUDITOR", types(server:state().users[1].roles))
      assert.equal("inactive", client.users:deactivate("off").status)
    end)

    it("are invited again while their invitation is pending", function()
      start { users = { { id = "new", status = "Invited" }, { id = "late", status = "Expired" },
        { id = "old" } } }
      local status, body, head = send("POST", "/tenants/users/new/invite")
      assert.same({ 201, "An invitation has been sent to user1@example.com." }, { status, body })
      assert.truthy(head:lower():find("content-type: text/plain", 1, true))
      assert.is_true(client.users:invite("late"))
      problem(400, "User is not pending (status: Active)", "POST", "/tenants/users/old/invite")
      assert.same({ "new", "late" }, server:state().invitations)
      assert.equal("Invited", server:state().users[2].status)
    end)

    it("join groups, and inherit their roles", function()
      start { users = { { id = "u" } }, groups = { { id = "g", roles = { "SUPPORT" } } } }
      assert.is_true(client.users:add_to_group("u", "g"))
      assert.is_true(client.users:add_to_group("u", "g"))
      assert.equal("SUPPORT", types(client.users:roles("u")))
      assert.equal("u", server:state().groups[1].users[1].id)
      assert.equal(1, #server:state().groups[1].users)
      problem(404, "Group with id h not found", "POST", "/tenants/users/u/groups",
        '{"groupId":"h"}')
    end)
  end)

  it("takes members out of groups, and with them the roles of these", function()
    start {
      users = { { id = "u", groups = { "g", "h" } }, { id = "v", groups = { "g" } } },
      groups = { { id = "g", roles = { "SUPPORT", "BASIC" } }, { id = "h", roles = { "BASIC" } } },
    }
    local status, body = send("DELETE", "/tenants/users/u/groups/g")
    assert.same({ 204, "" }, { status, body })
    local state = server:state()
    assert.equal("BASIC", types(state.users[1].roles))
    assert.same({ "h", nil }, { state.users[1].groups[1].id, state.users[1].groups[2] })
    assert.same({ "v", nil }, { state.groups[1].users[1].id, state.groups[1].users[2] })
    problem(404, "User is not in the group", "DELETE", "/tenants/users/u/groups/g")
    problem(404, "Group with id x not found", "DELETE", "/tenants/users/u/groups/x")
    problem(404, "User with id x not found", "DELETE", "/tenants/users/x/groups/g")
  end)

  it("lists the users of a role in the API's shape", function()
    start { users = { { id = "u", roles = { "BASIC" } }, { id = "v" } } }
    local state = server:state()
    assert.same({ state.users[1] }, client.roles:users(role "BASIC"))
    problem(404, "Role with id x not found", "GET", "/tenants/roles/x/users")
  end)

  describe("roles of a user", function()
    local function change(added, removed)
      return client.users:update_roles("u", { addedRoles = added, removedRoles = removed })
    end

    local function with(assume)
      start {
        users = { { id = "u", roles = { "BASIC", "BILLING" }, groups = { "g" } } },
        groups = { { name = "g", roles = { "BASIC", "AUDITOR" } } }, assume = assume,
      }
    end

    it("are those given directly, those of groups, or each of both once", function()
      with()
      assert.equal("BASIC BILLING AUDITOR", types(client.users:roles("u")))
      assert.equal("BASIC BILLING", types(client.users:roles("u", { rolesOnly = true })))
      assert.equal("BASIC AUDITOR", types(client.users:roles("u", { groupsOnly = true })))
      assert.equal("BASIC BILLING AUDITOR",
        types(client.users:roles("u", { rolesOnly = false, groupsOnly = false })))
    end)

    it("are added and removed in one change", function()
      with()
      assert.is_true(change({ role "SUPPORT" }, { role "BILLING" }))
      assert.equal("BASIC SUPPORT", types(client.users:roles("u", { rolesOnly = true })))
    end)

    it("are not changed at all by a change that is refused", function()
      with()
      local ok, err = change({ role "SUPPORT", "none" }, { role "BILLING" })
      assert.is_nil(ok)
      assert.same({ 404, "Role with id none not found" }, { err.status, err.message })
      err = select(2, change({ role "SUPPORT", role "OWNER" }))
      assert.same({ 403, "The Owner role cannot be assigned" }, { err.status, err.message })
      err = select(2, change({ role "SUPPORT" }, { role "SUPPORT" }))
      assert.equal(400, err.status)
      assert.equal("BASIC BILLING", types(client.users:roles("u", { rolesOnly = true })))
    end)

    it("may be added twice and removed when absent, by default", function()
      with()
      assert.is_true(change({ role "BASIC", role "BASIC" }, { role "AUDITOR", role "ADMIN" }))
      assert.equal("BASIC BILLING AUDITOR", types(client.users:roles("u")))
    end)
  end)

  describe("assumptions", function()
    local function with(assume, users)
      start {
        users = users or { { id = "u", roles = { "BASIC" }, groups = { "g" } } },
        groups = { { id = "g", name = "g", roles = { "BASIC", "AUDITOR" } } }, assume = assume,
      }
    end

    local function change(added, removed)
      local ok, err = client.users:update_roles("u", { addedRoles = added, removedRoles = removed })
      return ok and 200 or err.status
    end

    it("second_add, remove_absent", function()
      with { second_add = "reject", remove_absent = "reject" }
      assert.equal(400, change({ role "BASIC" }, {}))
      assert.equal(400, change({}, { role "AUDITOR" }))
      assert.equal(200, change({ role "AUDITOR" }, { role "BASIC" }))
    end)

    it("owner_add, owner_remove", function()
      with { owner_add = "accept" }
      assert.equal(200, change({ role "OWNER" }, {}))
      assert.equal(403, change({}, { role "OWNER" }))
      with { owner_remove = "accept" }
      assert.equal(200, change({}, { role "OWNER" }))
    end)

    it("unknown_role, both_sides", function()
      with { unknown_role = "bad_request", both_sides = "accept" }
      assert.equal(400, change({ "none" }, {}))
      assert.equal(200, change({ role "ADMIN" }, { role "ADMIN" }))
      assert.equal("BASIC ADMIN", types(client.users:roles("u", { rolesOnly = true })))
    end)

    it("patch_answer", function()
      local body = '{"addedRoles":[],"removedRoles":[]}'
      with { patch_answer = "roles" }
      assert.matches('^%[{"id"', (select(2, send("PATCH", "/tenants/users/u/roles", body))))
      with { patch_answer = "user" }
      assert.matches('^{"id":"u"', (select(2, send("PATCH", "/tenants/users/u/roles", body))))
    end)

    it("direct_roles", function()
      with({ direct_roles = "instead" }, { { id = "u", roles = { "BASIC" }, groups = { "g" } },
                                           { id = "v", groups = { "g" } } })
      assert.equal("BASIC", types(client.users:roles("u")))
      assert.equal("BASIC", types(client.users:get("u").roles))
      assert.equal("BASIC AUDITOR", types(client.users:roles("u", { groupsOnly = true })))
      assert.equal("BASIC AUDITOR", types(client.users:roles("v")))
      local holders = client.roles:users(role "AUDITOR", { groups = true })
      assert.same({ "v", 1 }, { holders[1].id, #holders })
      assert.equal(200, change({}, { role "BASIC" }))
      assert.equal("BASIC AUDITOR", types(client.users:roles("u")))
      assert.equal(200, change({ role "ADMIN" }, {}))
      assert.equal("ADMIN", types(server:state().users[1].roles))
    end)

    it("role_flags, both_flags", function()
      local both = { rolesOnly = true, groupsOnly = true }
      with { role_flags = "ignored" }
      assert.equal("BASIC AUDITOR", types(client.users:roles("u", { rolesOnly = true })))
      assert.equal("BASIC AUDITOR", types(client.users:roles("u", { groupsOnly = true })))
      with()
      assert.equal("BASIC AUDITOR", types(client.users:roles("u", both)))
      with { both_flags = "none" }
      assert.equal("", types(client.users:roles("u", both)))
      with { both_flags = "reject" }
      assert.equal(400, select(2, client.users:roles("u", both)).status)
    end)

    it("role_users", function()
      with({ role_users = "all" })
      local path = "/tenants/roles/" .. role "AUDITOR" .. "/users"
      assert.matches('^%[{"id":"u"', (select(2, send("GET", path))))
      assert.equal("[]", (select(2, send("GET", path .. "?groups=false"))))
      with()
      assert.equal("[]", (select(2, send("GET", path))))
    end)

    it("role_held_twice, role_list", function()
      with { role_held_twice = "twice" }
      assert.equal("BASIC BASIC AUDITOR", types(client.users:roles("u")))
      with { role_list = "single" }
      assert.matches("^{", (select(2, send("GET", "/tenants/users/u/roles?rolesOnly=true"))))
      assert.matches("^%[", (select(2, send("GET", "/tenants/users/u/roles"))))
      with { role_list = "page" }
      assert.matches('^{"data":%[.*"total":2,', (select(2, send("GET", "/tenants/users/u/roles"))))
    end)

    it("second_deactivate, reactivate_active", function()
      with { second_deactivate = "reject", reactivate_active = "reject" }
      assert.equal(400, (send("POST", "/tenants/users/u/reactivate")))
      assert.equal(200, (send("PATCH", "/tenants/users/u/deactivate")))
      assert.equal(400, (send("PATCH", "/tenants/users/u/deactivate")))
      assert.equal(201, (send("POST", "/tenants/users/u/reactivate")))
      assert.equal(400, (send("POST", "/tenants/users/u/reactivate")))
    end)

    it("invite_not_pending, invite_expired, invite_answer", function()
      with({ invite_not_pending = "accept", invite_answer = "empty" })
      assert.same({ 201, "" }, { send("POST", "/tenants/users/u/invite"), "" })
      with({ invite_expired = "reject", invite_answer = "json" },
        { { id = "late", status = "expired" }, { id = "new", status = "pending" } })
      assert.equal(400, (send("POST", "/tenants/users/late/invite")))
      assert.equal('{"message":"Invitation sent"}',
        (select(2, send("POST", "/tenants/users/new/invite"))))
    end)

    it("second_join, last_group", function()
      with { second_join = "reject", last_group = "reject" }
      problem(400, "at least one group", "DELETE", "/tenants/users/u/groups/g")
      assert.equal(409, (send("POST", "/tenants/users/u/groups", '{"groupId":"g"}')))
    end)

    it("id_format", function()
      with { id_format = "uuid" }
      problem(400, "uuid is expected", "GET", "/tenants/users/u")
      problem(400, "groupId must be a UUID", "POST", "/tenants/users/u/groups", '{"groupId":"g"}')
      problem(404, "not found", "GET", "/tenants/users/00000009-0001-4000-8000-000000000009")
    end)

    it("unexpected_body, wrong_method", function()
      with { unexpected_body = "ignore", wrong_method = "not_allowed" }
      assert.equal(201, (send("POST", "/tenants/users/u/reactivate", "{}")))
      local status, _, head = send("POST", "/tenants/users/u/roles", "{}")
      assert.equal(405, status)
      assert.truthy(head:find("Allow: GET, PATCH\r\n", 1, true))
    end)

    it("sort, page_limit, page_cap, over_cap", function()
      with { page_limit = 2, page_cap = 3 }
      assert.equal(200, (send("GET", "/tenants/users?sort=email&sort=id")))
      assert.equal(2, client.users:page().limit)
      assert.equal(3, client.users:page({ limit = 9 }).limit)
      with { sort = "reject", over_cap = "reject" }
      problem(400, "property sort should not exist", "GET", "/tenants/users?sort=email")
      problem(400, "limit must not be greater than 100", "GET", "/tenants/users?limit=101")
    end)
  end)
end)
