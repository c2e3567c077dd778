-- SPDX-License-Identifier: MIT
--
-- Every operation of the API's document is served: each row is one that is done, whose answer fits
-- the document's schema, and one that is refused. Requests are made without the client.

local contract = require "cipherscale.sandbox.contract"
local json = require "cipherscale.sandbox.json"
local sandbox = require "cipherscale.sandbox"
local wire = require "spec.sandbox.wire"

local JSON = "application/json"

-- Ids of the tenant that each row meets; the document calls for UUIDs.
local function id(n) return ("%08x-0000-4000-8000-%012x"):format(n, n) end

local USER, OTHER, OWNER = id(0x1001), id(0x1002), id(0x1003)
local GROUP, FIXED_GROUP, ROLE, UNHELD = id(0x2001), id(0x2002), id(0x3001), id(0x3002)
local DEVICE, GATEWAY, GATEWAY_2, RESOURCE = id(0x4001), id(0x5001), id(0x5002), id(0x6001)
local ADDRESS, PROTOCOL, BUILT_IN = id(0x7001), id(0x8001), id(0x8002)
local RULE, FIXED_RULE, POLICY, NOBODY = id(0x9001), id(0x9002), id(0xa001), id(0xffff)

local function tenant()
  return {
    roles = {
      { id = ROLE, type = "AUDITOR" }, { id = UNHELD, type = "SUPPORT", description = "Helps." },
      { id = id(0x3003), type = "OWNER" },
    },
    groups = {
      { id = GROUP, name = "Crew", roles = { ROLE }, idpMapping = { "crew" } },
      { id = FIXED_GROUP, name = "Everybody", deleteable = false },
    },
    users = {
      { id = USER, status = "Invited", roles = { ROLE }, groups = { GROUP }, firstName = "Ada",
        devices = { { id = DEVICE, posture = {}, appVersion = "2.1" }, { active = false } } },
      { id = OTHER, status = "Deactivated", maxDevices = 3, lastConnection = "2024-02-01T08:00:00Z",
        devices = { { name = "Laptop" } } },
      { id = OWNER, roles = { "OWNER" }, groups = { FIXED_GROUP } },
    },
    protocols = {
      { id = PROTOCOL, name = "Web", networkProtocols = { { protocol = "TCP", port = "443" } } },
      { id = BUILT_IN, name = "All", type = "ALL" },
    },
    gateways = {
      { id = GATEWAY, status = "ERROR", error = "no route", endpoint = "gw.example.com" },
      { id = GATEWAY_2, status = "ONLINE", deployedOn = "2024-01-02T00:00:00.000Z" },
    },
    resources = {
      { id = RESOURCE, name = "Wiki", gateways = { GATEWAY },
        addresses = { { id = ADDRESS, address = "10.0.0.5", protocols = { PROTOCOL } } } },
    },
    admission_rules = { { id = RULE, rule = "true" }, { id = FIXED_RULE, type = "ALLOW" } },
    policies = {
      { id = POLICY, groups = { GROUP }, users = { USER, OTHER }, devices = { DEVICE },
        resources = { RESOURCE }, gateways = { GATEWAY }, rule = RULE,
        sourceIps = { "10.0.0.0/8" } },
    },
  }
end

local POLICY_BODY = '{"name":"P","allGroups":false,"allUsers":true,"allDevices":true,'
  .. '"allResources":false,"action":true,"rule":"%s","resources":["%s"],"users":["%s"]%s}'

local function policy(more, rule)
  return POLICY_BODY:format(rule or RULE, RESOURCE, USER, more or "")
end

local RESOURCE_BODY = '{"name":"Blog","type":"SAAS",'
  .. '"addresses":[{"address":"blog.example.com","protocols":["%s"]}]}'
local GROUP_BODY = '{"name":"Ops","roles":["%s"],"description":"On call."}'
local RULE_BODY = '{"name":"Weekdays","rule":"now.weekday < 6","hasTimeConstraint":%s}'
local ADDRESS_BODY = '{"address":"10.0.0.6","protocols":["%s"]}'

-- What is done, then what is refused: path and body, and the status. A path that is left out is
-- the same one; one that is `true` is that of an unknown id in place of the last.
local ROWS = {
  UsersController_findAll = { "/users?limit=2", { "/users?limit=0", nil, 400 } },
  UsersController_create = {
    { "/users", ('[{"email":"new@example.com","groups":["%s"]}]'):format(GROUP) },
    { nil, ('{"email":"new@example.com","groups":["%s"]}'):format(NOBODY), 404 },
  },
  UsersController_find = { "/users/" .. USER, { true, nil, 404 } },
  UsersController_update = {
    { "/users/" .. USER, '{"firstName":"Grace","image":"/me.png"}' }, { nil, '{"email":"x"}', 400 },
  },
  UsersController_delete = { "/users/" .. USER, { "/users/" .. OWNER, nil, 403 } },
  UsersController_deactivate = { "/users/" .. USER .. "/deactivate", { true, nil, 404 } },
  UsersController_reactivate = { "/users/" .. OTHER .. "/reactivate", { true, nil, 404 } },
  UsersController_invite = {
    "/users/" .. USER .. "/invite", { "/users/" .. OWNER .. "/invite", nil, 400 },
  },
  UsersController_findUserRoles = { "/users/" .. USER .. "/roles", { true, nil, 404 } },
  UsersController_patchUserRoles = {
    { "/users/" .. USER .. "/roles", ('{"addedRoles":["%s"],"removedRoles":[]}'):format(UNHELD) },
    { nil, '{"addedRoles":[]}', 400 },
  },
  UsersController_addGroup = {
    { "/users/" .. OTHER .. "/groups", ('{"groupId":"%s"}'):format(GROUP) },
    { nil, ('{"groupId":"%s"}'):format(NOBODY), 404 },
  },
  UsersController_removeGroup = {
    ("/users/%s/groups/%s"):format(USER, GROUP), { true, nil, 404 },
  },
  DevicesController_findByCriteria = { "/devices", { "/devices?limit=x", nil, 400 } },
  DevicesController_findById = { "/devices/" .. DEVICE, { true, nil, 404 } },
  DevicesController_delete = { "/devices/" .. DEVICE, { true, nil, 404 } },
  DevicesController_deactivate = { "/devices/" .. DEVICE .. "/deactivate", { true, nil, 404 } },
  GatewaysController_create = {
    { "/gateways", '{"name":"Berlin","wireguardPort":"51821","endpoint":"b.example.com"}' },
    { nil, '{"name":"Berlin","wireguardPort":51821}', 400 },
  },
  GatewaysController_findAll = { "/gateways", { "/gateways?limit=1", nil, 400 } },
  GatewaysController_find = { "/gateways/" .. GATEWAY, { true, nil, 404 } },
  GatewaysController_delete = { "/gateways/" .. GATEWAY, { true, nil, 404 } },
  GatewaysController_enableRelay = {
    "/gateways/" .. GATEWAY .. "/enable-relay", { true, nil, 404 },
  },
  GatewaysController_disableRelay = {
    "/gateways/" .. GATEWAY .. "/disable-relay", { nil, "{}", 400 },
  },
  GatewaysController_testConfiguration = {
    "/gateways/" .. GATEWAY .. "/test-configuration", { true, nil, 404 },
  },
  ResourceController_create = {
    { "/resources", RESOURCE_BODY:format(PROTOCOL) }, { nil, RESOURCE_BODY:format(NOBODY), 404 },
  },
  ResourceController_findAll = {
    "/resources?filter%5Bgateways.id%5D%5Beq%5D=" .. GATEWAY,
    { "/resources?filter[type][eq]=CLOUD", nil, 400 },
  },
  ResourceController_find = { "/resources/" .. RESOURCE, { true, nil, 404 } },
  ResourceController_delete = { "/resources/" .. RESOURCE, { true, nil, 404 } },
  ResourceController_disconnectGateway = {
    ("/resources/%s/gateways/%s"):format(RESOURCE, GATEWAY),
    { ("/resources/%s/gateways/%s"):format(RESOURCE, GATEWAY_2), nil, 404 },
  },
  AddressController_findAll = { "/addresses", { "/addresses?sort=id", nil, 400 } },
  AddressController_update = {
    { "/addresses/" .. ADDRESS, ADDRESS_BODY:format(BUILT_IN) },
    { nil, ADDRESS_BODY:format(NOBODY), 404 },
  },
  AddressController_delete = { "/addresses/" .. ADDRESS, { true, nil, 404 } },
  AddressController_findLinkedGateways = {
    "/addresses/" .. ADDRESS .. "/gateways", { true, nil, 404 },
  },
  ProtocolController_create = {
    { "/protocols", '{"networkProtocols":[{"protocol":"UDP","port":"53"}]}' },
    { nil, '{"networkProtocols":[{"transport":"UDP"}]}', 400 },
  },
  ProtocolController_findAll = { "/protocols", { "/protocols?offset=0", nil, 400 } },
  ProtocolController_find = { "/protocols/" .. PROTOCOL, { true, nil, 404 } },
  ProtocolController_delete = {
    "/protocols/" .. PROTOCOL, { "/protocols/" .. BUILT_IN, nil, 403 },
  },
  RolesController_findAll = { "/roles", { "/roles?limit=1", nil, 400 } },
  RolesController_find = { "/roles/" .. UNHELD, { true, nil, 404 } },
  RolesController_findRoleUsers = {
    "/roles/" .. ROLE .. "/users?groups=true", { "/roles/" .. ROLE .. "/users?groups=1", nil, 400 },
  },
  RolesController_removeRole = {
    ("/roles/%s/users/%s"):format(ROLE, USER),
    { ("/roles/%s/users/%s"):format(UNHELD, USER), nil, 404 },
  },
  GroupsController_create = {
    { "/groups", GROUP_BODY:format(ROLE) }, { nil, GROUP_BODY:format(NOBODY), 404 },
  },
  GroupsController_findAll = { "/groups?limit=1&offset=1", { "/groups?offset=-1", nil, 400 } },
  GroupsController_find = { "/groups/" .. GROUP, { true, nil, 404 } },
  GroupsController_update = {
    { "/groups/" .. GROUP, GROUP_BODY:format(UNHELD) }, { nil, '{"name":"Ops"}', 400 },
  },
  GroupsController_delete = { "/groups/" .. GROUP, { "/groups/" .. FIXED_GROUP, nil, 403 } },
  AdmissionRulesController_create = {
    { "/admission-rules", RULE_BODY:format "true" }, { nil, RULE_BODY:format '"yes"', 400 },
  },
  AdmissionRulesController_findAll = { "/admission-rules", { "/admission-rules?x=1", nil, 400 } },
  AdmissionRulesController_find = { "/admission-rules/" .. RULE, { true, nil, 404 } },
  AdmissionRulesController_update = {
    { "/admission-rules/" .. RULE, RULE_BODY:format "false" },
    { "/admission-rules/" .. FIXED_RULE, RULE_BODY:format "false", 403 },
  },
  AdmissionRulesController_delete = {
    "/admission-rules/" .. RULE, { "/admission-rules/" .. FIXED_RULE, nil, 403 },
  },
  PoliciesController_create = {
    { "/policies", policy ',"type":"PRIVATE","mode":"LOCAL"' },
    { nil, policy(',"type":"PRIVATE"', NOBODY), 404 },
  },
  PoliciesController_findAll = { "/policies", { "/policies?limit=1", nil, 400 } },
  PoliciesController_find = { "/policies/" .. POLICY, { true, nil, 404 } },
  PoliciesController_update = {
    { "/policies/" .. POLICY, policy ',"description":"D","groups":[]' },
    { nil, policy ',"type":"PRIVATE"', 400 },
  },
}

describe("the sandbox serves", function()
  local document = contract.load()
  local answers = contract.answers(document, { uuid = true, time = true })
  local server

  local function send(method, path, body)
    return wire.send(server, {
      method = method, path = "/tenants" .. path, body = body, type = body and JSON,
    })
  end

  -- Each operation gets a tenant of its own, strict about ids.
  local function start(assume)
    local options = tenant()
    options.assume = assume or { id_format = "uuid" }
    server = sandbox.start(options)
  end

  after_each(function() server:stop() end)

  local function check_answer(name, status, body)
    local answer, problems = answers[name], {}
    assert.equal(answer.status, status, body)
    if not answer.check then
      -- An invitation says a sentence.
      assert.is_true(body == "" or name == "UsersController_invite", body)
      return
    end
    answer.check(json.decode(body, true), "answer", problems)
    assert.same({}, problems)
  end

  local function unknown(path)
    return (path:gsub("%x+%-0000%-4000%-8000%-%x+([^%x]*%a*[%a-]*)$", NOBODY .. "%1"))
  end

  local known = {}
  for path, item in pairs(document.paths) do
    for method, operation in pairs(item) do
      local name = operation.operationId
      local row = ROWS[name]
      known[#known + 1] = name
      local done = type(row[1]) == "table" and row[1] or { row[1] }

      it(name .. ", with an answer that fits the document", function()
        start()
        assert.matches("^" .. path:gsub("%-", "%%-"):gsub("{.-}", "[^/]+") .. "$",
          "/tenants" .. done[1]:match "^[^?]+")
        check_answer(name, send(method:upper(), done[1], done[2]))
      end)

      it(name .. ", and refuses what makes no sense", function()
        start()
        local before = server:state()
        local refused = row[2]
        local target = refused[1] == true and unknown(done[1]) or refused[1] or done[1]
        local status, body = send(method:upper(), target, refused[2])
        assert.equal(refused[3], status, body)
        assert.equal(refused[3], json.decode(body).statusCode)
        assert.same(before, server:state())
      end)
    end
  end

  it("answers of which a spec sees that they do not fit", function()
    start()
    local _, body = send("GET", "/policies/" .. POLICY)
    local function problems_of(change)
      local answer, problems = json.decode(body, true), {}
      change(answer)
      answers.PoliciesController_find.check(answer, "policy", problems)
      return problems
    end
    assert.same({}, problems_of(function() end))
    assert.same({ "policy.order should not be null or undefined" },
      problems_of(function(answer) answer.order = nil end))
    assert.same({ "policy.users[0].isOwner must be a boolean value" },
      problems_of(function(answer) answer.users[1].isOwner = "no" end))
    assert.same({ "property policy.rule.words should not exist" },
      problems_of(function(answer) answer.rule.words = 1 end))
    assert.same({ "policy.id must be a UUID" },
      problems_of(function(answer) answer.id = "p" end))
    assert.same({ "policy.createdAt must be a valid ISO 8601 date string" },
      problems_of(function(answer) answer.createdAt = "today" end))
  end)

  it("as many operations as there are rows", function()
    start()
    local rows = 0
    for _ in pairs(ROWS) do rows = rows + 1 end
    assert.equal(54, #known)
    assert.equal(rows, #known)
  end)

  it("204 for deletions whose code is hidden, where told so", function()
    start { delete_status = "no_content" }
    assert.equal(204, (send("DELETE", "/users/" .. USER)))
    assert.equal(201, (send("POST", "/gateways/" .. GATEWAY .. "/enable-relay")))
  end)
end)
