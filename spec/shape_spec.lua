-- SPDX-License-Identifier: MIT
-- What the arguments of a call may be, and the bytes that they become. Whatever is wrong with them
-- is raised, and nothing is sent. Tables with metamethods: shape_metamethods_spec.lua.

local cipherscale = require "cipherscale"
local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local setting = require "spec.support.setting"

local contains = helper.contains
local client, server, users

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
  users = a_client and a_client.users
end)

before_each(function() setting.start { { body = "{}" } } end)

-- The message of a call that must be refused without sending anything. A request that was left
-- somewhere would go out with the valid one behind.
local function refusal(fn, ...)
  server:clear_requests()
  local message = helper.message_of(fn, ...)
  assert.equal(0, server:count())
  assert.equal(0, core.in_use(client))
  assert(client.roles:list())
  assert.equal(1, server:count())
  return message
end

-- The only request of a call.
local function sent(fn, ...)
  server:clear_requests()
  assert(fn(...))
  local requests = server:requests()
  assert.equal(1, #requests)
  return requests[1]
end

local function path_of(...) return sent(...).path end
local function body_of(...) return sent(...).body end

-- Calls that take an id as argument n: what that argument is called, and the call itself.
local function each_id(check)
  check("user id", "get", 1, function(id) return users:get(id) end)
  check("user id", "reactivate", 1, function(id) return users:reactivate(id) end)
  check("user id", "invite", 1, function(id) return users:invite(id) end)
  check("user id", "roles", 1, function(id) return users:roles(id) end)
  check("user id", "update_roles", 1, function(id) return users:update_roles(id) end)
  check("user id", "add_to_group", 1, function(id) return users:add_to_group(id, "g1") end)
  check("group id", "add_to_group", 2, function(id) return users:add_to_group("u1", id) end)
end

local function each_refused_id(id, got)
  each_id(function(noun, method, n, call)
    assert.equal(("bad argument #%d to '%s' (%s: non-empty string expected, got %s)")
      :format(n, method, noun, got), refusal(call, id))
  end)
end

describe("an id", function()
  it("is needed", function()
    each_refused_id(nil, "nil")
    for _, method in ipairs { "get", "invite", "reactivate", "roles", "update_roles" } do
      contains("bad argument #1 to '" .. method .. "'", refusal(users[method], users))
    end
    contains("bad argument #1 to 'add_to_group' (user id: ", refusal(users.add_to_group, users))
    contains("bad argument #2 to 'add_to_group' (group id: ",
      refusal(users.add_to_group, users, "u1"))
  end)

  it("is not empty", function() each_refused_id("", "an empty string") end)

  it("is a string, not even a number", function()
    each_refused_id(5, "number")
    each_refused_id(true, "boolean")
    each_refused_id({}, "table")
    each_refused_id({ id = "u1" }, "table")
    each_refused_id(print, "function")
    each_refused_id(cipherscale.null, "userdata")
  end)

  it("has no control character", function()
    for _, id in ipairs { "a\0", "\0", "a\nb", "a\rb", "\tu1", "u1\x1F", "u1\x7F",
                          "a\r\nHost: x" } do
      each_refused_id(id, "one with a control character")
    end
  end)

  it("has no dot segment in any spelling", function()
    for _, id in ipairs { ".", "..", "../x", "x/..", "x/../y", "./x", "x/.", "..\\x", "x\\..\\y",
                          "x\\.", "../../roles/x", "/..", "../" } do
      each_refused_id(id, "one with a dot segment")
    end
  end)

  it("is one path segment, percent-encoded", function()
    for id, segment in pairs {
      ["u1"] = "u1", ["a b"] = "a%20b", ["a/b"] = "a%2Fb", ["a\\b"] = "a%5Cb",
      ["a?b#c"] = "a%3Fb%23c",
      ["a%2e%2e"] = "a%252e%252e", ["%2e%2e"] = "%252e%252e", ["..."] = "...", ["a+b"] = "a%2Bb",
      ["auth0|5f7c8ec7c33c6c004bbafe82"] = "auth0%7C5f7c8ec7c33c6c004bbafe82",
      ["zo\u{EB}@example.com"] = "zo%C3%AB%40example.com", ["\xFF"] = "%FF", [" "] = "%20",
      ["{id}"] = "%7Bid%7D", ["~-_."] = "~-_.", ["a;b=c,d"] = "a%3Bb%3Dc%2Cd",
    } do
      assert.equal("/tenants/users/" .. segment, path_of(users.get, users, id))
      assert.equal(("/tenants/users/%s/roles"):format(segment), path_of(users.roles, users, id))
    end
  end)

  it("may be as long as a URL may be, and no longer", function()
    local long = ("x"):rep(60000)
    assert.equal("/tenants/users/" .. long, path_of(users.get, users, long))
    for _, id in ipairs { ("x"):rep(66000), ("/"):rep(22000), ("x"):rep(5e6) } do
      local message = refusal(users.get, users, id)
      contains("users.get: the id is too large", message)
      assert.is_true(#message < 200)
    end
  end)

  it("of a group goes into the body as JSON", function()
    assert.equal('{"groupId":"a\\"b\\\\c/d \u{E9}"}',
      body_of(users.add_to_group, users, "u1", "a\"b\\c/d \u{E9}"))
    contains("users.add_to_group: groupId: valid UTF-8 expected, got other bytes",
      refusal(users.add_to_group, users, "u1", "\xFF"))
  end)
end)

describe("a method", function()
  it("is called with a colon", function()
    for _, wrong in ipairs { "u1", 5, {}, client } do
      contains("call it with a colon: client.users:get(", refusal(users.get, wrong, "u1"))
    end
    contains("call it with a colon: client.users:get(", refusal(users.get))
    contains("call it with a colon: client.users:get(", refusal(users.get, nil, "u1"))
    contains("call it with a colon: client.roles:list(", refusal(client.roles.list))
  end)

  it("is called on its own resource of its own client", function()
    local other = helper.client(server)
    contains("call it with a colon", refusal(users.get, client.roles, "u1"))
    contains("call it with a colon", refusal(users.get, other.users, "u1"))
    other:close()
  end)

  it("takes no further arguments, except nil", function()
    contains("users.get: at most 2 arguments expected, got 3",
      refusal(users.get, users, "u", {}, {}))
    contains("users.get: at most 2 arguments expected, got 3",
      refusal(users.get, users, "u", nil, 1))
    contains("users.invite: at most 2 arguments expected, got 4",
      refusal(users.invite, users, "u", {}, nil, false))
    contains("users.update_roles: at most 3 arguments expected, got 4",
      refusal(users.update_roles, users, "u", {}, {}, {}))
    contains("users.add_to_group: at most 3 arguments expected, got 4",
      refusal(users.add_to_group, users, "u", "g", {}, {}))
    contains("users.page: at most 2 arguments expected, got 3",
      refusal(users.page, users, {}, {}, 1))
    contains("roles.list: at most 1 argument",
      refusal(client.roles.list, client.roles, {}, {}))
    assert.is_table(users:get("u", nil, nil, nil))
    assert.is_table(users:page({}, {}, nil))
  end)

  it("points at the line that called it wrongly", function()
    for _, wrong in ipairs {
      function() return (users:get("")) end,
      function() return (users:update_roles("u", { addedRole = {} })) end,
      function() return (users:get("u", { timout = 1 })) end,
      function() return (users.get("u")) end,
    } do
      local _, message = pcall(wrong)
      assert.is_truthy(message:find("^[^\n]*shape_spec.lua:%d+: "), message)
    end
  end)
end)

describe("fields", function()
  it("are a table", function()
    for _, wrong in ipairs { 5, "x", true, print, cipherscale.null } do
      contains("users.update_roles: table of fields expected, got " .. type(wrong),
        refusal(users.update_roles, users, "u1", wrong))
      contains("users.page: table of fields expected, got " .. type(wrong),
        refusal(users.page, users, wrong))
    end
  end)

  it("have known names, or the nearest one is named", function()
    contains("users.update_roles: unknown field 'addedRole' (did you mean 'addedRoles'?)",
      refusal(users.update_roles, users, "u1", { addedRole = { "a" } }))
    contains("'added_roles' (did you mean 'addedRoles'?)",
      refusal(users.update_roles, users, "u1", { addedRoles = { "a" }, added_roles = {} }))
    contains("'rolesonly' (did you mean 'rolesOnly'?)",
      refusal(users.roles, users, "u1", { rolesonly = true }))
    contains("users.page: unknown field 'ofset' (did you mean 'offset'?)",
      refusal(users.page, users, { ofset = 1 }))
    contains("unknown field 'zebra'", refusal(users.page, users, { zebra = false }))
  end)

  it("have names that end where they seem to", function()
    contains("field names expected, got one with a control character",
      refusal(users.update_roles, users, "u1", { ["addedRoles\0"] = { "a" } }))
    contains("field names expected, got an empty one", refusal(users.page, users, { [""] = 1 }))
  end)

  it("have names, not numbers", function()
    contains("users.update_roles: field names expected, got a key of type number",
      refusal(users.update_roles, users, "u1", { "a" }))
    contains("a key of type boolean", refusal(users.page, users, { [true] = 1 }))
    contains("a key of type table", refusal(users.page, users, { [{}] = 1 }))
  end)

  it("may be left out, with or without options behind", function()
    local empty = [[{"addedRoles":[],"removedRoles":[]}]]
    assert.equal(empty, body_of(users.update_roles, users, "u1"))
    assert.equal(empty, body_of(users.update_roles, users, "u1", nil))
    assert.equal(empty, body_of(users.update_roles, users, "u1", {}))
    assert.equal(empty, body_of(users.update_roles, users, "u1", nil, { timeout = 5 }))
    assert.equal("/tenants/users", path_of(users.page, users))
    assert.equal("/tenants/users", path_of(users.page, users, {}))
    assert.equal("/tenants/users", path_of(users.page, users, nil, { timeout = 5 }))
  end)

  it("may be nil one by one", function()
    assert.equal("/tenants/users?offset=5", path_of(users.page, users, { limit = nil, offset = 5 }))
  end)
end)

describe("a list of roles", function()
  local function added(list) return users:update_roles("u1", { addedRoles = list }) end

  it("is sent in its order, both lists always, as arrays", function()
    local function roles(fields) return body_of(users.update_roles, users, "u1", fields) end
    assert.equal([[{"addedRoles":["a"],"removedRoles":[]}]], roles { addedRoles = { "a" } })
    assert.equal([[{"addedRoles":[],"removedRoles":["b","a"]}]],
      roles { removedRoles = { "b", "a" } })
    assert.equal([[{"addedRoles":["a","a"],"removedRoles":["b"]}]],
      roles { removedRoles = { "b" }, addedRoles = { "a", "a" } })
    assert.equal([[{"addedRoles":[],"removedRoles":[]}]],
      roles { removedRoles = {}, addedRoles = {} })
  end)

  it("is sent with its length and as application/json", function()
    local request = sent(users.update_roles, users, "u1", { addedRoles = { "\u{E9}" } })
    assert.equal("PATCH", request.method)
    assert.equal("application/json", request.headers["content-type"])
    assert.equal(tostring(#request.body), request.headers["content-length"])
  end)

  it("holds strings that are escaped as JSON wants, whatever their characters", function()
    for text, json in pairs {
      ['a"b'] = [["a\"b"]], ["a\\b"] = [["a\\b"]], ["a/b"] = [["a/b"]], ["'"] = [["'"]],
      ["\u{E9}"] = '"\u{E9}"', ["\u{1F600}"] = '"\u{1F600}"', ["\u{10FFFF}"] = '"\u{10FFFF}"',
      ["\u{7FF}\u{800}\u{FFFF}\u{10000}"] = '"\u{7FF}\u{800}\u{FFFF}\u{10000}"',
      ["\u{80}\u{2028}"] = '"\u{80}\u{2028}"', ["</script>"] = '"</script>"', ["%s%d"] = '"%s%d"',
    } do
      assert.equal(([[{"addedRoles":[%s],"removedRoles":[]}]]):format(json),
        body_of(added, { text }))
    end
  end)

  it("holds valid UTF-8", function()
    for _, bytes in ipairs { "\xFF", "\x80", "a\xC3", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF",
                             "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF",
                             "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF0\x9F\x98", "\xE9",
                             "\xC3\xA9\xA9", "a\xE2\x82" } do
      for _, list in ipairs { { bytes }, { "ok", bytes .. "b" } } do
        contains(("users.update_roles: addedRoles[%d]: valid UTF-8 expected, got other bytes")
          :format(#list), refusal(added, list))
      end
    end
  end)

  it("is a table", function()
    for _, wrong in ipairs { "a", 5, false, print, cipherscale.null } do
      contains("users.update_roles: addedRoles: list of strings expected, got "
        .. type(wrong), refusal(added, wrong))
      contains("users.update_roles: removedRoles: list of strings expected, got "
        .. type(wrong), refusal(users.update_roles, users, "u1", { removedRoles = wrong }))
    end
  end)

  it("holds only strings", function()
    for _, wrong in ipairs { 5, 1.5, true, false, {}, print, cipherscale.null } do
      contains("users.update_roles: addedRoles[2]: non-empty string expected, got " .. type(wrong),
        refusal(added, { "a", wrong, "c" }))
    end
    contains("addedRoles[1]: non-empty string expected, got an empty string",
      refusal(added, { "" }))
    for _, wrong in ipairs { "a\0", "a\n", "\x7F", "\x1F" } do
      contains("addedRoles[3]: non-empty string expected, got one with a control character",
        refusal(added, { "a", "b", wrong }))
    end
  end)

  it("has no holes", function()
    for _, list in ipairs { { nil, "b" }, { "a", nil, "c" }, { [2] = "b" }, { [1000] = "x" },
                            { "a", [3] = "c" }, { [2 ^ 53] = "x" }, { [-1] = "x" },
                            { [0] = "x" }, { "a", [0] = "x" } } do
      contains("users.update_roles: addedRoles", refusal(added, list))
    end
  end)

  it("has no other keys", function()
    contains("addedRoles: list without holes expected, got the key x",
      refusal(added, { "a", x = "b" }))
    contains("addedRoles: list without holes expected, got the key id",
      refusal(added, { id = "a" }))
    contains("list without holes expected, got the key 1.5", refusal(added, { "a", [1.5] = "b" }))
    contains("list without holes expected, got the key true", refusal(added, { [true] = "b" }))
    contains("list without holes expected, got the key 1", refusal(added, { ["1"] = "b" }))
  end)

  it("may be long", function()
    local list = {}
    for i = 1, 100000 do list[i] = ("role-%06d"):format(i) end
    local expected = ([[{"addedRoles":["%s"],"removedRoles":[]}]]):format(
      table.concat(list, '","'))
    assert.is_true(expected == body_of(added, list))
  end)

  it("is refused when it would make too large a body", function()
    local list = {}
    for i = 1, 17 do list[i] = ("x"):rep(1024 * 1024) end
    contains("users.update_roles: the body is too large", refusal(added, list))
    contains("users.update_roles: the body is too large", refusal(added, { ("x"):rep(17e6) }))
  end)
end)

describe("a query", function()
  it("is written in the order of the contract", function()
    assert.equal("/tenants/users?limit=50&offset=100&sort=email",
      path_of(users.page, users, { sort = { "email" }, offset = 100, limit = 50 }))
    assert.equal("/tenants/users/u1/roles?groupsOnly=false&rolesOnly=true",
      path_of(users.roles, users, "u1", { rolesOnly = true, groupsOnly = false }))
  end)

  it("repeats the name of a list for each element, percent-encoded", function()
    assert.equal("/tenants/users?sort=a%20b&sort=c%26d%3De&sort=%C3%A9",
      path_of(users.page, users, { sort = { "a b", "c&d=e", "\u{E9}" } }))
    assert.equal("/tenants/users", path_of(users.page, users, { sort = {} }))
    assert.equal("/tenants/users?sort=-name%2Cid",
      path_of(users.page, users, { sort = "-name,id" }))
  end)

  it("takes whole numbers in range, written without a fraction", function()
    for _, case in ipairs { { 1, "1" }, { 50.0, "50" }, { 1e6, "1000000" } } do
      assert.equal("/tenants/users?limit=" .. case[2], path_of(users.page, users,
        { limit = case[1] }))
    end
    assert.equal("/tenants/users?offset=0", path_of(users.page, users, { offset = 0 }))
    assert.equal("/tenants/users?offset=0", path_of(users.page, users, { offset = -0.0 }))
    assert.equal("/tenants/users?offset=1000000000000000",
      path_of(users.page, users, { offset = 1e15 }))
    for _, wrong in ipairs { 0, -1, 1000001, 1.5, 0 / 0, 1 / 0, -1 / 0, 2 ^ 63, 2 ^ 64,
                             math.mininteger, math.maxinteger } do
      contains("users.page: limit: integer from 1 to 1000000 expected, got ",
        refusal(users.page, users, { limit = wrong }))
    end
    for got, wrong in pairs { ["0"] = 0, ["-7"] = -7, ["1.5"] = 1.5, ["2000000"] = 2000000 } do
      assert.equal("users.page: limit: integer from 1 to 1000000 expected, got " .. got,
        refusal(users.page, users, { limit = wrong }))
    end
    contains("users.page: offset: integer from 0 to ", refusal(users.page, users, { offset = -1 }))
  end)

  it("takes no other types", function()
    for _, wrong in ipairs { "10", true, {} } do
      contains("users.page: limit: integer from 1 to 1000000 expected, got " .. type(wrong),
        refusal(users.page, users, { limit = wrong }))
    end
    for _, wrong in ipairs { 1, 0, "true", {} } do
      contains("users.roles: rolesOnly: boolean expected, got " .. type(wrong),
        refusal(users.roles, users, "u1", { rolesOnly = wrong }))
    end
    contains("users.page: sort: list of strings or string expected, got number",
      refusal(users.page, users, { sort = 5 }))
    contains("users.page: sort[2]: string expected, got number",
      refusal(users.page, users, { sort = { "a", 5 } }))
    contains("users.page: sort: list without holes expected, got the key 2",
      refusal(users.page, users, { sort = { [2] = "a" } }))
  end)

  it("is refused when it would make too long a URL", function()
    contains("users.page: the query is too large",
      refusal(users.page, users, { sort = { ("x"):rep(70000) } }))
  end)
end)

describe("the options of a call", function()
  it("are a table", function()
    for _, wrong in ipairs { 5, "x", true, print } do
      contains("users.get: table of options expected, got " .. type(wrong),
        refusal(users.get, users, "u1", wrong))
    end
  end)

  it("have known names, or the nearest one is named", function()
    contains("unknown option 'timout' (did you mean 'timeout'?)",
      refusal(users.get, users, "u1", { timout = 1 }))
    contains("'max_retry' (did you mean 'max_retries'?)",
      refusal(users.invite, users, "u1", { max_retry = 1 }))
    contains("'addedRoles'", refusal(users.update_roles, users, "u1", nil, { addedRoles = {} }))
    contains("'api_key'", refusal(users.get, users, "u1", { api_key = helper.key }))
    contains("a key of type number", refusal(users.get, users, "u1", { 1 }))
  end)

  it("have types and ranges", function()
    for name, values in pairs {
      timeout = { 0, -1, 1e7, 0 / 0, "5", true }, total_timeout = { 0, -1, 1e7, {}, false },
      max_retry_wait = { -1, 86401, 0 / 0, "5" }, max_retries = { -1, 101, 1.5, "3" },
      response = { 1, true, "x", print, false },
    } do
      for _, value in ipairs(values) do
        contains("users.get: " .. name .. ": ", refusal(users.get, users, "u1", { [name] = value }))
      end
    end
  end)

  it("are checked after the fields, and nothing is sent for them", function()
    contains("addedRoles", refusal(users.update_roles, users, "u1", { addedRoles = 1 },
      { timout = 1 }))
    contains("timout", refusal(users.update_roles, users, "u1", { addedRoles = { "a" } },
      { timout = 1 }))
  end)

  it("fill no response where the call is refused", function()
    local response = {}
    refusal(users.get, users, "", { response = response })
    refusal(users.get, users, "u1", { response = response, timout = 1 })
    assert.same({}, response)
  end)
end)

describe("a request without a body", function()
  it("says that it has none where the method could have one", function()
    for _, method in ipairs { "reactivate", "invite" } do
      local request = sent(users[method], users, "u1")
      assert.equal("POST", request.method)
      assert.equal("0", request.headers["content-length"])
      assert.is_nil(request.headers["content-type"])
    end
  end)

  it("says nothing of bodies with GET", function()
    local request = sent(users.get, users, "u1")
    assert.equal("GET", request.method)
    assert.is_nil(request.headers["content-length"])
    assert.is_nil(request.headers["content-type"])
    assert.is_nil(request.headers["transfer-encoding"])
  end)

  it("is not mixed up with the one before on the same connection", function()
    assert.equal([[{"groupId":"g1"}]], body_of(users.add_to_group, users, "u1", "g1"))
    assert.equal("", body_of(users.invite, users, "u1"))
    assert.equal([[{"groupId":"g"}]], body_of(users.add_to_group, users, "u1", "g"))
    assert.equal("", body_of(users.get, users, "u1"))
    assert.equal(1, (server:connections()))
  end)

  it("has the same few headers as any other", function()
    local names = { "accept", "accept-encoding", "apikey", "host", "user-agent" }
    local request = sent(users.get, users, "u1")
    local found = {}
    for name in pairs(request.headers) do found[#found + 1] = name end
    table.sort(found)
    assert.same(names, found)
    assert.equal("application/json", request.headers.accept)
    assert.equal(helper.key, request.headers.apikey)
  end)
end)
