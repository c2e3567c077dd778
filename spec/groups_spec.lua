-- SPDX-License-Identifier: MIT
-- client.groups against the sandbox, whose routes and checks come from the contract.

local cipherscale = require "cipherscale"
local setting = require "spec.support.setting"

local start = setting.sandbox
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end, { max_retries = 0 })

describe("groups:page", function()
  it("gives groups with their roles and members, and the page's metadata", function()
    start {
      users = { { id = "u1", email = "ada@example.com" }, { id = "u2" } },
      groups = { { id = "g1", name = "Crew", roles = { "AUDITOR" }, users = { "u1" } }, "Other" },
    }
    local page = assert(client.groups:page())
    local group = page.data[1]
    assert.same({ "g1", "Crew", "AUDITOR", "ada@example.com" },
      { group.id, group.name, group.roles[1].type, group.users[1].email })
    assert.is_nil(group.users[2])
    assert.same({}, page.data[2].users)
    assert.same({ 2, 0, false, false }, { page.total, page.page, page.hasNext, page.hasPrevious })
    assert.same(server:state().groups, page.data)
  end)

  it("gives the page at an offset", function()
    start { groups = 25 }
    local page = assert(client.groups:page { limit = 10, offset = 20 })
    assert.same({ 5, 25, 2, false, true, "Group 21" },
      { #page.data, page.total, page.page, page.hasNext, page.hasPrevious, page.data[1].name })
    assert.equal("limit=10&offset=20", server:requests()[1].query)
  end)

  it("is refused for a sort key, where the service says so", function()
    start { assume = { sort = "reject" } }
    local page, err = client.groups:page { sort = { "name" } }
    assert.is_nil(page)
    assert.same({ "http", 400, "groups.page" }, { err.kind, err.status, err.operation })
  end)

  it("is refused with a wrong key", function()
    start {}
    local other = cipherscale.new { base_url = server.url, api_key = "wrong", max_retries = 0 }
    local page, err = other.groups:page()
    assert.is_nil(page)
    assert.equal(401, err.status)
    other:close()
  end)
end)
