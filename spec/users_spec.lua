-- SPDX-License-Identifier: MIT
-- client.users against the sandbox, whose routes and checks come from the contract and not from our
-- table: what each operation does, and how it is refused.

local cipherscale = require "cipherscale"
local contract = require "spec.support.contract"
local helper = require "spec.support.helper"
local setting = require "spec.support.setting"

local start = setting.sandbox
local client, server, users

local USERS = {
  { id = "u-active", email = "ada@example.com", firstName = "Zo\u{EB}", status = "Active",
    roles = { "BASIC", "SUPPORT" }, groups = { "Crew" } },
  { id = "u-off", email = "bob@example.com", status = "Deactivated", roles = { "BASIC" } },
  { id = "u-invited", email = "cyd@example.com", status = "Invited" },
}

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
  users = a_client and a_client.users
end, { max_retries = 0 })

before_each(function()
  start {
    users = USERS, groups = { { id = "g-crew", name = "Crew", roles = { "AUDITOR" } },
                              { id = "g-new", name = "New" } },
  }
end)

local function names_of(roles)
  local names = {}
  for i, role in ipairs(roles) do names[i] = role.type end
  table.sort(names)
  return table.concat(names, " ")
end

local function role_id(kind)
  for _, role in ipairs(assert(client.roles:list())) do
    if role.type == kind then return role.id end
  end
  error("no role " .. kind)
end

local function direct_roles(id) return names_of(assert(users:roles(id, { rolesOnly = true }))) end

local function state_of(id)
  for _, user in ipairs(server:state().users) do
    if user.id == id then return user end
  end
  error("no user " .. id)
end

local function refused(status, value, err)
  assert.is_nil(value)
  assert.equal("http", err.kind)
  assert.equal(status, err.status)
  return err
end

describe("users:page", function()
  it("gives users and the page's metadata", function()
    local page = assert(users:page { limit = 2 })
    assert.equal(2, #page.data)
    assert.equal("u-active", page.data[1].id)
    assert.equal("Zo\u{EB}", page.data[1].firstName)
    assert.equal(3, page.total)
    assert.equal(0, page.page)
    assert.equal(2, page.limit)
    assert.is_true(page.hasNext)
    assert.is_false(page.hasPrevious)
  end)

  it("gives the page at an offset", function()
    local page = assert(users:page { limit = 2, offset = 2 })
    assert.equal("u-invited", page.data[1].id)
    assert.is_nil(page.data[2])
    assert.is_false(page.hasNext)
    assert.is_true(page.hasPrevious)
    assert.same({}, assert(users:page { offset = 30 }).data)
  end)

  it("carries each user's roles, direct and inherited, and groups", function()
    local user = assert(users:page()).data[1]
    assert.equal("AUDITOR BASIC SUPPORT", names_of(user.roles))
    assert.equal("Crew", user.groups[1].name)
  end)

  it("passes sort keys on", function()
    assert(users:page { sort = { "email", "-createdAt" } })
    local requests = server:requests()
    assert.equal("sort=email&sort=-createdAt", requests[#requests].query)
  end)
end)

describe("users:get", function()
  it("gives one user", function()
    local user = assert(users:get "u-active")
    assert.equal("ada@example.com", user.email)
    assert.equal("AUDITOR BASIC SUPPORT", names_of(user.roles))
    assert.is_table(user.devices)
  end)

  it("is refused for a user who is not there", function()
    local err = refused(404, users:get "nobody")
    assert.is_truthy(err.message:find("nobody", 1, true))
    assert.equal("/tenants/users/nobody", err.path)
  end)

  it("finds a user whose id needs encoding", function()
    start { users = { { id = "a/b c%\u{E9}?", email = "x@example.com" } } }
    assert.equal("x@example.com", assert(client.users:get "a/b c%\u{E9}?").email)
  end)
end)

describe("users:deactivate", function()
  it("suspends a user, and returns the user", function()
    local user = assert(users:deactivate "u-active")
    assert.equal("u-active", user.id)
    assert.equal("Deactivated", user.status)
    assert.equal("Deactivated", state_of("u-active").status)
    assert.equal("AUDITOR BASIC SUPPORT", names_of(user.roles))
  end)

  it("leaves the same state when it is made twice", function()
    assert(users:deactivate "u-active")
    assert.equal("Deactivated", assert(users:deactivate "u-active").status)
  end)

  it("is undone by reactivate", function()
    assert(users:deactivate "u-active")
    assert.equal("Active", assert(users:reactivate "u-active").status)
  end)

  it("sends no body", function()
    assert(users:deactivate "u-active")
    local request = server:requests()[1]
    assert.equal("PATCH /tenants/users/u-active/deactivate", request.method .. " " .. request.path)
    assert.equal("", request.body)
    assert.is_nil(request.headers["content-type"])
  end)

  it("is refused for a user who is not there", function()
    refused(404, users:deactivate "nobody")
  end)
end)

describe("users:reactivate", function()
  it("gives a deactivated user access again, and returns the user", function()
    local user = assert(users:reactivate "u-off")
    assert.equal("u-off", user.id)
    assert.equal("Active", user.status)
    assert.equal("Active", state_of("u-off").status)
  end)

  it("leaves the same state when it is made twice", function()
    assert(users:reactivate "u-off")
    assert.equal("Active", assert(users:reactivate "u-off").status)
  end)

  it("is refused for a user who is not there", function()
    refused(404, users:reactivate "nobody")
  end)
end)

describe("users:invite", function()
  it("is true when the invitation was sent, whatever the service says", function()
    for _, answer in ipairs { "sentence", "json", "empty" } do
      start { users = USERS, groups = { "Crew" },
                               assume = { invite_answer = answer } }
      assert.is_true(client.users:invite "u-invited")
    end
  end)

  it("is refused for a user who is not pending, in the service's words", function()
    local err = refused(400, users:invite "u-active")
    assert.is_truthy(err.message:find("not pending", 1, true))
    assert.is_nil(err.ambiguous)
  end)

  it("is refused for a user who is not there", function()
    refused(404, users:invite "nobody")
  end)
end)

describe("users:roles", function()
  it("gives direct and inherited roles", function()
    assert.equal("AUDITOR BASIC SUPPORT", names_of(assert(users:roles "u-active")))
  end)

  it("gives only those that are asked for", function()
    assert.equal("BASIC SUPPORT", names_of(assert(users:roles("u-active", { rolesOnly = true }))))
    assert.equal("AUDITOR", names_of(assert(users:roles("u-active", { groupsOnly = true }))))
    assert.equal("AUDITOR BASIC SUPPORT",
      names_of(assert(users:roles("u-active", { rolesOnly = false }))))
  end)

  it("is an empty list for a user without roles", function()
    assert.same({}, users:roles("u-invited", { groupsOnly = true }))
  end)

  it("is a list whatever shape the service answers in", function()
    for _, shape in ipairs { "list", "single", "page" } do
      start {
        users = { { id = "one", roles = { "BASIC" } }, { id = "two", roles = { "BASIC", "ADMIN" } },
                  { id = "none", roles = {} } },
        assume = { role_list = shape },
      }
      for id, expected in pairs { one = "BASIC", two = "ADMIN BASIC", none = "" } do
        assert.equal(expected, names_of(assert(client.users:roles(id, { rolesOnly = true }))))
      end
    end
  end)

  it("is refused for a user who is not there", function()
    refused(404, users:roles "nobody")
  end)
end)

describe("users:update_roles", function()
  it("adds and removes direct roles", function()
    assert.is_true(users:update_roles("u-active", {
      addedRoles = { role_id "ADMIN", role_id "BILLING" }, removedRoles = { role_id "SUPPORT" } }))
    assert.equal("ADMIN BASIC BILLING", direct_roles "u-active")
    assert.equal("ADMIN AUDITOR BASIC BILLING", names_of(state_of("u-active").roles))
  end)

  it("may change one side only, or nothing", function()
    assert.is_true(users:update_roles("u-off", { addedRoles = { role_id "ADMIN" } }))
    assert.equal("ADMIN BASIC", direct_roles "u-off")
    assert.is_true(users:update_roles("u-off", { removedRoles = { role_id "ADMIN" } }))
    assert.equal("BASIC", direct_roles "u-off")
    assert.is_true(users:update_roles "u-off")
    assert.equal("BASIC", direct_roles "u-off")
  end)

  it("leaves inherited roles alone", function()
    assert.is_true(users:update_roles("u-active", { removedRoles = { role_id "AUDITOR" } }))
    assert.equal("AUDITOR BASIC SUPPORT", names_of(assert(users:roles "u-active")))
  end)

  it("is true whatever the service answers", function()
    for _, answer in ipairs { "empty", "roles", "user" } do
      start { users = { { id = "u1" } }, assume = { patch_answer = answer } }
      assert.is_true(client.users:update_roles("u1", { addedRoles = { role_id "ADMIN" } }))
    end
  end)

  it("changes nothing when it is refused for one unknown role", function()
    refused(404, users:update_roles("u-off", { addedRoles = { role_id "ADMIN", "no-such-role" } }))
    assert.equal("BASIC", direct_roles "u-off")
  end)

  it("is refused for a user who is not there", function()
    refused(404, users:update_roles("nobody", {}))
  end)

  it("is refused for OWNER, with the service's status and words", function()
    local err = refused(403, users:update_roles("u-off", { addedRoles = { role_id "OWNER" } }))
    assert.is_truthy(err.message:find("Owner", 1, true))
  end)
end)

describe("users:add_to_group", function()
  it("makes the user a member, which brings the group's roles", function()
    assert.is_true(users:add_to_group("u-off", "g-crew"))
    assert.equal("Crew", assert(users:get "u-off").groups[1].name)
    assert.equal("AUDITOR", names_of(assert(users:roles("u-off", { groupsOnly = true }))))
  end)

  it("is refused for a group or a user who is not there", function()
    local err = refused(404, users:add_to_group("u-off", "no-group"))
    assert.is_truthy(err.message:find("no-group", 1, true))
    refused(404, users:add_to_group("nobody", "g-new"))
  end)

  it("is a conflict where the service says so of a member", function()
    start { users = { { id = "u1", groups = { "New" } } },
                             groups = { { id = "g-new", name = "New" } },
                             assume = { second_join = "reject" } }
    refused(409, client.users:add_to_group("u1", "g-new"))
  end)
end)

describe("users:remove_from_group", function()
  it("ends the membership, and takes the group's roles away", function()
    assert.is_true(users:remove_from_group("u-active", "g-crew"))
    local user = assert(users:get "u-active")
    assert.same({}, user.groups)
    assert.equal("BASIC SUPPORT", names_of(user.roles))
    assert.equal("", names_of(assert(users:roles("u-active", { groupsOnly = true }))))
  end)

  it("is one DELETE without a body", function()
    assert.is_true(users:remove_from_group("u-active", "g-crew"))
    local request = server:requests()[1]
    assert.equal("DELETE /tenants/users/u-active/groups/g-crew",
      request.method .. " " .. request.path)
    assert.equal("", request.body)
    assert.equal(204, request.status)
  end)

  it("is refused for somebody who is not in the group, and where something is not there",
    function()
      refused(404, users:remove_from_group("u-off", "g-crew"))
      refused(404, users:remove_from_group("nobody", "g-crew"))
      local err = refused(404, users:remove_from_group("u-active", "no-group"))
      assert.equal("/tenants/users/u-active/groups/no-group", err.path)
    end)

  it("is true when the answer is lost and the repeat finds the work done", function()
    server:misbehave { lose = { times = 1 } }
    local response = {}
    assert.is_true(users:remove_from_group("u-active", "g-crew",
      { max_retries = 1, response = response }))
    assert.is_true(response.repeated)
    assert.equal(404, response.status)
    assert.same({}, state_of("u-active").groups)
  end)

  it("encodes both ids, each as one segment", function()
    refused(404, users:remove_from_group("a/b c", "\u{E9}?#"))
    assert.equal("/tenants/users/a%2Fb%20c/groups/%C3%A9%3F%23", server:requests()[1].path)
  end)

  it("names the id that is wrong, and sends nothing", function()
    local function message(...)
      return helper.message_of(users.remove_from_group, users, ...)
    end
    assert.equal("bad argument #1 to 'remove_from_group' "
      .. "(user id: non-empty string expected, got nil)", message())
    assert.equal("bad argument #2 to 'remove_from_group' "
      .. "(group id: non-empty string expected, got nil)", message "u-active")
    assert.equal("bad argument #2 to 'remove_from_group' "
      .. "(group id: non-empty string expected, got an empty string)", message("u-active", ""))
    assert.equal("bad argument #2 to 'remove_from_group' "
      .. "(group id: non-empty string expected, got one with a dot segment)",
      message("u-active", ".."))
    assert.same({}, server:requests())
  end)
end)

describe("a wrong key", function()
  it("is refused with 401 by every operation", function()
    local other = cipherscale.new { base_url = server.url, api_key = "wrong-key", max_retries = 0 }
    refused(401, other.users:page())
    refused(401, other.users:get "u-active")
    refused(401, other.users:deactivate "u-active")
    refused(401, other.users:reactivate "u-off")
    refused(401, other.users:invite "u-invited")
    refused(401, other.users:roles "u-active")
    refused(401, other.users:update_roles "u-active")
    refused(401, other.users:remove_from_group("u-active", "g-crew"))
    local err = refused(401, other.users:add_to_group("u-off", "g-new"))
    assert.is_nil(tostring(err):find("wrong-key", 1, true))
    assert.equal("Deactivated", state_of("u-off").status)
    assert.equal("Active", state_of("u-active").status)
    assert.equal("Crew", state_of("u-active").groups[1].name)
    other:close()
  end)
end)

describe("a read_only client", function()
  local reader

  before_each(function()
    reader = server:client { read_only = true }
    server:clear_requests()
  end)
  after_each(function() reader:close() end)

  it("refuses every change, and sends nothing", function()
    local changes = {
      ["users.deactivate PATCH"] = function() return reader.users:deactivate "u-active" end,
      ["users.reactivate POST"] = function() return reader.users:reactivate "u-off" end,
      ["users.invite POST"] = function() return reader.users:invite "u-invited" end,
      ["users.update_roles PATCH"] = function() return reader.users:update_roles "u-off" end,
      ["users.add_to_group POST"] = function()
        return reader.users:add_to_group("u-off", "g-new")
      end,
      ["users.remove_from_group DELETE"] = function()
        return reader.users:remove_from_group("u-active", "g-crew")
      end,
    }
    for label, change in pairs(changes) do
      local value, err = change()
      assert.is_nil(value)
      assert.equal("refused", err.kind)
      assert.equal(label, err.operation .. " " .. err.method)
      assert.is_truthy(err.message:find("read_only", 1, true))
      assert.is_nil(err.status)
      assert.is_nil(err.ambiguous)
    end
    assert.same({}, server:requests())
    assert.equal("Deactivated", state_of("u-off").status)
  end)

  it("refuses a change of every kind that there is", function()
    for _, operation in ipairs(cipherscale.operations()) do
      local resource = reader[operation.resource]
      local arguments = contract.arguments(operation, "all")
      local _, err = resource[operation.name](resource, (table.unpack or unpack)(arguments))
      local refusal = err ~= nil and err.kind == "refused"
      assert.equal(operation.repeat_class ~= "READ", refusal, operation.name)
    end
    for _, request in ipairs(server:requests()) do assert.equal("GET", request.method) end
  end)

  it("still raises wrong usage", function()
    assert.is_false(pcall(reader.users.invite, reader.users, ""))
    assert.is_false(pcall(reader.users.update_roles, reader.users, "u1", { addedRole = {} }))
  end)

  it("fills a response table with nothing that was not there", function()
    local response = {}
    local _, err = reader.users:invite("u-invited", { response = response })
    assert.equal("refused", err.kind)
    assert.is_nil(response.status)
    assert.same({}, server:requests())
  end)

  it("refuses in tasks, too, and the run goes on", function()
    local err, page = reader:run(function()
      local _, problem = reader.users:invite "u-invited"
      return problem, reader.users:page()
    end)
    assert.equal("refused", err.kind)
    assert.equal(3, page.total)
  end)

  it("reads as any other", function()
    assert.equal("u-active", assert(reader.users:get "u-active").id)
    assert.equal("BASIC", names_of(assert(reader.users:roles "u-off")))
  end)
end)

describe("a client that was closed", function()
  it("refuses every operation with an error of kind closed", function()
    client:close()
    client:close()
    server:clear_requests()
    for _, call in ipairs {
      function() return users:page() end, function() return users:get "u-active" end,
      function() return users:invite "u-invited" end,
      function() return users:update_roles("u-off", { addedRoles = { "x" } }) end,
    } do
      local value, err = call()
      assert.is_nil(value)
      assert.equal("closed", err.kind)
    end
    assert.same({}, server:requests())
  end)
end)
