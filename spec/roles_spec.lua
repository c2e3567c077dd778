-- SPDX-License-Identifier: MIT
-- client.roles against the sandbox, whose routes and checks come from the contract.

local cipherscale = require "cipherscale"
local setting = require "spec.support.setting"

local start = setting.sandbox
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end, { max_retries = 0 })

describe("roles:users", function()
  local function emails(users)
    local list = {}
    for i, user in ipairs(users) do list[i] = user.email end
    return table.concat(list, " ")
  end

  local function start_crew(assume)
    start {
      roles = { { id = "r-audit", type = "AUDITOR", name = "Audit" }, "BASIC" },
      users = { { email = "direct", roles = { "r-audit" } },
                { email = "none", roles = { "BASIC" } }, { email = "member", groups = { "Crew" } },
                { email = "both", roles = { "r-audit" }, groups = { "Crew" } } },
      groups = { { name = "Crew", roles = { "r-audit" } } }, assume = assume,
    }
  end

  it("gives the users who hold a role directly, or also through groups", function()
    start_crew()
    local users = assert(client.roles:users("r-audit", { groups = false }))
    assert.equal("direct both", emails(users))
    assert.equal("r-audit", users[1].roles[1].id)
    assert.equal("direct member both",
      emails(assert(client.roles:users("r-audit", { groups = true }))))
  end)

  it("leaves it to the service what is meant without the flag", function()
    start_crew()
    assert.equal("direct both", emails(assert(client.roles:users "r-audit")))
    assert.equal("", server:requests()[1].query)
    start_crew { role_users = "all" }
    assert.equal("direct member both", emails(assert(client.roles:users "r-audit")))
  end)

  it("is an empty list for a role that nobody holds", function()
    start { roles = { { id = "r1", name = "One" } } }
    assert.same({}, assert(client.roles:users "r1"))
  end)

  it("is refused for a role that is not there", function()
    start {}
    local users, err = client.roles:users("nothing", { groups = true })
    assert.is_nil(users)
    assert.same({ "http", 404 }, { err.kind, err.status })
    assert.is_truthy(err.message:find("nothing", 1, true))
  end)
end)

describe("roles:list", function()
  it("gives the built-in roles, each with id, name and type", function()
    start {}
    local roles = assert(client.roles:list())
    local types = {}
    for _, role in ipairs(roles) do
      assert.is_string(role.id)
      assert.is_string(role.name)
      types[role.type] = true
    end
    for _, kind in ipairs { "OWNER", "ADMIN", "BASIC", "AUDITOR", "SUPPORT" } do
      assert.is_true(types[kind], kind)
    end
  end)

  it("gives custom roles with every field as the service has it", function()
    start {
      roles = { { id = "r-1", name = "Kurator \u{F6}", deleteable = true, type = "CUSTOM" } },
    }
    local found
    for _, role in ipairs(assert(client.roles:list())) do
      if role.id == "r-1" then found = role end
    end
    assert.equal("Kurator \u{F6}", found.name)
    assert.is_true(found.deleteable)
    assert.same(server:state().roles, assert(client.roles:list()))
  end)

  it("sends one plain GET", function()
    start {}
    assert(client.roles:list())
    local requests = server:requests()
    assert.equal(1, #requests)
    assert.equal("GET", requests[1].method)
    assert.equal("/tenants/roles", requests[1].path)
    assert.equal("", requests[1].body)
    assert.is_true(requests[1].query == nil or requests[1].query == "")
    assert.equal(server.api_key, requests[1].headers.apikey)
    assert.equal(200, requests[1].status)
  end)

  it("is refused with a wrong key", function()
    start {}
    local other = cipherscale.new { base_url = server.url, api_key = "wrong", max_retries = 0 }
    local roles, err = other.roles:list()
    assert.is_nil(roles)
    assert.equal("http", err.kind)
    assert.equal(401, err.status)
    assert.equal("roles.list", err.operation)
    other:close()
  end)

  it("is read by a read_only client", function()
    start {}
    local reader = server:client { read_only = true }
    assert.is_true(#assert(reader.roles:list()) > 0)
    reader:close()
  end)

  it("is asked for again when the service fails once, not when it refuses", function()
    start { misbehave = { fail = { times = 1, status = 503 } } }
    local response = {}
    assert(client.roles:list { max_retries = 1, response = response })
    assert.equal(2, response.attempts)
    server:misbehave { fail = { times = 1, status = 403 } }
    local _, err = client.roles:list { max_retries = 3 }
    assert.equal(403, err.status)
    assert.equal(1, err.attempts)
  end)
end)
