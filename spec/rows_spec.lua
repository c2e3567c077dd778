-- SPDX-License-Identifier: MIT
-- Every operation over real HTTP: what its call sends, byte by byte, and what becomes of the
-- answer that the contract describes, and of a refusal. What is refused before anything is sent:
-- rows_check_spec.lua.

local cipherscale = require "cipherscale"
local contract = require "spec.support.contract"
local setting = require "spec.support.setting"

local unpack = table.unpack or unpack

-- A call of each operation: its arguments, and what goes over the wire.
local CALLS = {
  ["users.page"] = { { { sort = { "email", "-name" }, offset = 20, limit = 10 } },
    "GET /tenants/users?limit=10&offset=20&sort=email&sort=-name" },
  ["users.get"] = { { "u/1" }, "GET /tenants/users/u%2F1" },
  ["users.create"] = { { { email = "ada@example.com", groups = { "g1", "g2" } } },
    "POST /tenants/users", '{"email":"ada@example.com","groups":["g1","g2"]}' },
  ["users.update"] = { { "u1", { lastName = "L\u{F6}w", firstName = "Ada" } },
    "PUT /tenants/users/u1", '{"firstName":"Ada","lastName":"L\u{F6}w"}' },
  ["users.delete"] = { { "u1" }, "DELETE /tenants/users/u1" },
  ["users.deactivate"] = { { "u1" }, "PATCH /tenants/users/u1/deactivate" },
  ["users.reactivate"] = { { "u1" }, "POST /tenants/users/u1/reactivate" },
  ["users.invite"] = { { "u1" }, "POST /tenants/users/u1/invite" },
  ["users.roles"] = { { "u1", { rolesOnly = true, groupsOnly = false } },
    "GET /tenants/users/u1/roles?groupsOnly=false&rolesOnly=true" },
  ["users.update_roles"] = { { "u1", { removedRoles = { "r1" } } },
    "PATCH /tenants/users/u1/roles", '{"addedRoles":[],"removedRoles":["r1"]}' },
  ["users.add_to_group"] = { { "u1", "g1" },
    "POST /tenants/users/u1/groups", '{"groupId":"g1"}' },
  ["users.remove_from_group"] = { { "u1", "g 1" }, "DELETE /tenants/users/u1/groups/g%201" },

  ["roles.list"] = { {}, "GET /tenants/roles" },
  ["roles.get"] = { { "r1" }, "GET /tenants/roles/r1" },
  ["roles.users"] = { { "r1", { groups = true } }, "GET /tenants/roles/r1/users?groups=true" },
  ["roles.take_from_user"] = { { "r1", "u?1" }, "DELETE /tenants/roles/r1/users/u%3F1" },

  ["groups.page"] = { { { limit = 1 } }, "GET /tenants/groups?limit=1" },
  ["groups.get"] = { { "g1" }, "GET /tenants/groups/g1" },
  ["groups.create"] = { { { name = "Crew", roles = {} } },
    "POST /tenants/groups", '{"roles":[],"name":"Crew"}' },
  ["groups.update"] = { { "g1", { name = "Crew", roles = { "r1" }, description = "On board" } },
    "PUT /tenants/groups/g1", '{"roles":["r1"],"name":"Crew","description":"On board"}' },
  ["groups.delete"] = { { "g1" }, "DELETE /tenants/groups/g1" },

  ["devices.page"] = { { { sort = { "name" } } }, "GET /tenants/devices?sort=name" },
  ["devices.get"] = { { "d1" }, "GET /tenants/devices/d1" },
  ["devices.delete"] = { { "d1" }, "DELETE /tenants/devices/d1" },
  ["devices.deactivate"] = { { "d1" }, "PATCH /tenants/devices/d1/deactivate" },

  ["gateways.list"] = { {}, "GET /tenants/gateways" },
  ["gateways.get"] = { { "w1" }, "GET /tenants/gateways/w1" },
  ["gateways.create"] = {
    { { name = "North", wireguardPort = "51820", endpoint = "192.0.2.9", description = "Attic" } },
    "POST /tenants/gateways", '{"name":"North","description":"Attic","wireguardPort":"51820",'
      .. '"endpoint":"192.0.2.9"}' },
  ["gateways.delete"] = { { "w1" }, "DELETE /tenants/gateways/w1" },
  ["gateways.enable_relay"] = { { "w1" }, "POST /tenants/gateways/w1/enable-relay" },
  ["gateways.disable_relay"] = { { "w1" }, "POST /tenants/gateways/w1/disable-relay" },
  ["gateways.test"] = { { "w1" }, "POST /tenants/gateways/w1/test-configuration" },

  ["resources.page"] = {
    { { sort = "-name", limit = 100, offset = 0, filter = { name = { ilike = "%wiki%" } } } },
    "GET /tenants/resources?limit=100&offset=0&sort=-name&filter%5Bname%5D%5Bilike%5D=%25wiki%25" },
  ["resources.get"] = { { "s1" }, "GET /tenants/resources/s1" },
  ["resources.create"] = {
    { { name = "Wiki", type = "PRIVATE", addresses = {
      { address = "10.0.0.7", protocols = { "p1", "p2" } },
      { address = "wiki.example.com", protocols = {} },
    } } },
    "POST /tenants/resources", '{"addresses":[{"address":"10.0.0.7","protocols":["p1","p2"]},'
      .. '{"address":"wiki.example.com","protocols":[]}],"name":"Wiki","type":"PRIVATE"}' },
  ["resources.delete"] = { { "s1" }, "DELETE /tenants/resources/s1" },
  ["resources.disconnect_from_gateway"] = { { "s1", "w1" },
    "DELETE /tenants/resources/s1/gateways/w1" },

  ["addresses.list"] = { {}, "GET /tenants/addresses" },
  ["addresses.update"] = { { "a1", { address = "10.0.0.8", protocols = { "p1" } } },
    "PUT /tenants/addresses/a1", '{"address":"10.0.0.8","protocols":["p1"]}' },
  ["addresses.delete"] = { { "a1" }, "DELETE /tenants/addresses/a1" },
  ["addresses.gateways"] = { { "a1" }, "GET /tenants/addresses/a1/gateways" },

  ["protocols.list"] = { {}, "GET /tenants/protocols" },
  ["protocols.get"] = { { "p1" }, "GET /tenants/protocols/p1" },
  ["protocols.create"] = {
    { { name = "DNS", networkProtocols = {
      { protocol = "TCP", port = "53" }, { port = "53", protocol = "UDP" }, { protocol = "ICMP" },
    } } },
    "POST /tenants/protocols", '{"name":"DNS","networkProtocols":[{"protocol":"TCP","port":"53"},'
      .. '{"protocol":"UDP","port":"53"},{"protocol":"ICMP"}]}' },
  ["protocols.delete"] = { { "p1" }, "DELETE /tenants/protocols/p1" },

  ["admission_rules.list"] = { {}, "GET /tenants/admission-rules" },
  ["admission_rules.get"] = { { "c1" }, "GET /tenants/admission-rules/c1" },
  ["admission_rules.create"] = {
    { { name = "Staff", rule = "user.department == 'Crew'", hasTimeConstraint = false } },
    "POST /tenants/admission-rules", '{"rule":"user.department == \'Crew\'","name":"Staff",'
      .. '"hasTimeConstraint":false}' },
  ["admission_rules.update"] = {
    { "c1", { name = "Day", rule = 'time > "08:00"', hasTimeConstraint = true } },
    "PUT /tenants/admission-rules/c1", [[{"rule":"time > \"08:00\"","name":"Day",]]
      .. [["hasTimeConstraint":true}]] },
  ["admission_rules.delete"] = { { "c1" }, "DELETE /tenants/admission-rules/c1" },

  ["policies.list"] = { {}, "GET /tenants/policies" },
  ["policies.get"] = { { "y1" }, "GET /tenants/policies/y1" },
  ["policies.create"] = {
    { { name = "Crew to wiki", type = "PRIVATE", action = true, mode = "LOCAL", allGroups = false,
        allUsers = false, allDevices = true, allResources = false, groups = { "g1" }, users = {},
        resources = { "s1" }, gateways = { "w1" }, sourceIps = { "10.0.0.0/8" },
        description = "Docs" } },
    "POST /tenants/policies", '{"type":"PRIVATE","name":"Crew to wiki","description":"Docs",'
      .. '"action":true,"mode":"LOCAL","allGroups":false,"allUsers":false,"allDevices":true,'
      .. '"allResources":false,"groups":["g1"],"users":[],"resources":["s1"],'
      .. '"gateways":["w1"],"sourceIps":["10.0.0.0/8"]}' },
  ["policies.update"] = {
    { "y1", { name = "None", rule = "c1", action = false, allGroups = true, allUsers = true,
              allDevices = true, allResources = true, devices = { "d1" } } },
    "PATCH /tenants/policies/y1", '{"rule":"c1","name":"None","action":false,"allGroups":true,'
      .. '"allUsers":true,"allDevices":true,"allResources":true,"devices":["d1"]}' },
}

local serve = setting.start
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end, { max_retries = 0 })

-- Runs a call against a server that gives this answer.
local function call(row, answer, arguments)
  serve { answer }
  local resource = client[row.resource]
  return resource[row.name](resource, unpack(arguments))
end

-- The one request that came in.
local function received()
  local requests = server:requests()
  assert.equal(1, #requests)
  return requests[1]
end

for _, row in ipairs(cipherscale.operations()) do
  local name = row.resource .. "." .. row.name
  local arguments, line, body = unpack(CALLS[name])

  describe(name, function()
    it("sends what the documentation says, and gives what the answer holds", function()
      local schema, status = contract.answer_schema(row)
      local sample = schema and contract.example(schema, "all")
      local value, err = call(row, { status = status, body = sample and contract.encode(sample) },
        arguments)
      assert.is_nil(err)
      assert.same(sample or true, value)
      local request = received()
      assert.equal(line, request.method .. " " .. request.path)
      assert.equal(body or "", request.body)
      assert.equal(body and "application/json", request.headers["content-type"])
    end)

    it("gives an error with the service's words when it is refused", function()
      local value, err = call(row, { status = 403,
        body = '{"statusCode":403,"message":"Missing permission","error":"Forbidden"}' }, arguments)
      assert.is_nil(value)
      assert.same({ "http", 403, "Missing permission", name, row.method, nil },
        { err.kind, err.status, err.message, err.operation, err.method, err.ambiguous })
      assert.equal(line:match " (.+)", err.path)
      assert.equal(line, received().method .. " " .. received().path)
    end)
  end)
end

describe("the calls above", function()
  it("are of operations that there are", function()
    local known = {}
    for _, row in ipairs(cipherscale.operations()) do
      known[row.resource .. "." .. row.name] = true
    end
    for name in pairs(CALLS) do assert.is_true(known[name], name) end
  end)
end)

describe("users.create", function()
  local row = { resource = "users", name = "create" }
  local ADA, BOB = { email = "ada@example.com", groups = { "g1" } }, { email = "bob", groups = {} }
  local ADA_JSON, BOB_JSON = '{"email":"ada@example.com","groups":["g1"]}',
    '{"email":"bob","groups":[]}'

  it("takes several users at once, and gives a list of them", function()
    local users = call(row, { status = 201, body = '[{"id":"u1"},{"id":"u2"}]' }, { { ADA, BOB } })
    assert.same({ { id = "u1" }, { id = "u2" } }, users)
    assert.equal("[" .. ADA_JSON .. "," .. BOB_JSON .. "]", received().body)
  end)

  it("gives a list for a list of one, whatever shape is answered", function()
    for _, body in ipairs { '[{"id":"u1"}]', '{"id":"u1"}', '{"data":[{"id":"u1"}],"total":1}' } do
      assert.same({ { id = "u1" } }, call(row, { status = 201, body = body }, { { ADA } }))
      assert.equal("[" .. ADA_JSON .. "]", received().body)
    end
  end)

  it("gives one user for one, whatever shape is answered", function()
    for _, body in ipairs { '[{"id":"u1"}]', '{"id":"u1"}' } do
      assert.same({ id = "u1" }, call(row, { status = 201, body = body }, { BOB }))
      assert.equal(BOB_JSON, received().body)
    end
  end)

  it("takes up to a hundred", function()
    local many, sent = {}, {}
    for i = 1, 100 do many[i], sent[i] = ADA, ADA_JSON end
    assert(call(row, { status = 201, body = "[]" }, { many }))
    assert.equal("[" .. table.concat(sent, ",") .. "]", received().body)
  end)

  it("takes a list that only metamethods show", function()
    local list = setmetatable({}, { __index = { ADA, BOB }, __len = function() return 2 end })
    assert(call(row, { status = 201, body = "[]" }, { list }))
    assert.equal("[" .. ADA_JSON .. "," .. BOB_JSON .. "]", received().body)
  end)

  it("is never sent twice: an answer that is lost leaves it open what was done", function()
    serve({ { drop = true } }, { max_retries = 3 })
    local users, err = client.users:create { ADA, BOB }
    assert.is_nil(users)
    assert.is_true(err.ambiguous)
    assert.equal(1, server:count())
  end)
end)

describe("whole lists", function()
  it("are made of the pages of every resource that has them", function()
    for _, name in ipairs { "users", "groups", "devices", "resources" } do
      serve {
        { body = '{"data":[{"id":"1"},{"id":"2"}],"total":3,"limit":2,"hasNext":true}' },
        { body = '{"data":[{"id":"3"}],"total":3,"limit":2,"hasNext":false}' },
      }
      assert.same({ { id = "1" }, { id = "2" }, { id = "3" } }, client[name]:list { limit = 2 })
      assert.same({ "/tenants/" .. name .. "?limit=2&offset=0",
                    "/tenants/" .. name .. "?limit=2&offset=2" },
        { server:requests()[1].path, server:requests()[2].path })
    end
  end)
end)
