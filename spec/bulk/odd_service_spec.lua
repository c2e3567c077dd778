-- SPDX-License-Identifier: MIT
--
-- Making a plan where the service answers otherwise than its documentation lets one hope: no
-- totals, lists that change while they are read, users that are listed twice or not at all.
-- The answers are scripted, in the order in which the reads come.

local cipherscale = require "cipherscale"
local scripted = require "spec.support.server"

-- Some of it is no role.
local ROLES = {
  body = '[null,{"id":"r-audit","type":"AUDITOR","name":"Auditor","deleteable":false},7,{},'
    .. '{"id":"r-7","name":7}]',
}

describe("making a bulk plan", function()
  local server, client

  after_each(function()
    if client then client:close() end
    if server then server:stop() end
    client, server = nil, nil
  end)

  local on_unknown

  before_each(function() on_unknown = nil end)

  local function plan(users, ...)
    server = scripted.start { answers = { ROLES, ... }, once = true }
    client = cipherscale.new {
      api_key = "key", base_url = server.url, max_in_flight = 1, max_retries = 0,
    }
    return client.bulk:roles { users = users, add = { "AUDITOR" }, on_unknown = on_unknown }
  end

  -- A user of a page: without roles and groups, so that nothing need be read about it.
  local function user(id, email)
    return ('{"id":"%s","email":"%s","roles":[],"groups":[]}'):format(id, email or id .. "@x.org")
  end

  local function page(rest, ...)
    return { body = ('{"data":[%s]%s}'):format(table.concat({ ... }, ","), rest) }
  end

  local function targets()
    local list = {}
    for n, request in ipairs(server:requests()) do list[n] = request.path end
    return list
  end

  it("follows the pages one by one where there is no total", function()
    local made = assert(plan({ "a@x.org", "b@x.org", "c@x.org" },
      page(',"hasNext":true', user "a", user "d"),
      page(',"hasNext":true', user "b", user "e"),
      page(',"hasNext":false', user "c")))
    assert.equal(3, made.to_change)
    assert.equal(4, #targets())
  end)

  it("ends at an empty page where there is neither a total nor an end", function()
    local _, err = plan({ "z@x.org" }, page("", user "a"), page("", user "b"), page(""))
    assert.equal("unresolved", err.kind)
    assert.equal(4, #targets())
  end)

  it("ends where the same page comes again", function()
    local _, err = plan({ "z@x.org" }, page(',"hasNext":true', user "a", user "b"),
      page(',"hasNext":true', user "a", user "b"))
    assert.equal("unresolved", err.kind)
  end)

  it("takes for no name what is none", function()
    server = scripted.start { answers = { ROLES } }
    client = cipherscale.new { api_key = "key", base_url = server.url }
    local _, err = client.bulk:roles { users = { "u1" }, add = { "AUDITO" } }
    assert.equal("unresolved", err.kind)
  end)

  it("ends at an empty page where the total is far too large", function()
    local _, err = plan({ "z@x.org" }, page(',"total":1e9', user "a"), page(',"total":1e9'))
    assert.equal("shifted", err.kind)
    assert.equal(3, #targets())
  end)

  it("passes over what is no user on a page", function()
    local made = assert(plan({ "c@x.org" }, page("", user "a", "null"), page("", "7", user "b"),
      page("", "null", user "c")))
    assert.equal(1, made.to_change)
  end)

  it("asks for pages of the size that came, whatever the service says of it", function()
    assert(plan({ "c@x.org" },
      page(',"total":5,"limit":100', user "a", user "b"),
      page(',"total":5', user "c", user "d")))
    assert.truthy(targets()[3]:find("limit=2&offset=2", 1, true))
  end)

  it("says so when the list changed while it was read and somebody is not in it", function()
    local _, err = plan({ "a@x.org", "z@x.org" },
      page(',"total":4', user "a", user "b"), page(',"total":3', user "d"))
    assert.equal("shifted", err.kind)
    assert.equal("bulk.roles", err.operation)
    assert.truthy(err.message:find("(3 of 4 seen)", 1, true))
  end)

  it("says so, too, when only the number of users on the pages tells", function()
    local _, err = plan({ "a@x.org", "z@x.org" },
      page(',"total":4', user "a", user "b"), page(',"total":4', user "d"))
    assert.equal("shifted", err.kind)
  end)

  it("says so, too, when users are announced and none comes", function()
    on_unknown = "skip"
    local _, err = plan({ "a@x.org" }, page(',"total":4'))
    assert.equal("shifted", err.kind)
    assert.truthy(err.message:find("(0 of 4 seen)", 1, true))
  end)

  it("does not mind a change of the list when everybody was found", function()
    local made = assert(plan({ "a@x.org", "d@x.org" },
      page(',"total":4', user "a", user "b"), page(',"total":3', user "d")))
    assert.equal(2, made.total)
  end)

  it("takes a user that comes on two pages for one", function()
    local made = assert(plan({ "b@x.org", "d@x.org" },
      page(',"total":4', user "a", user "b"), page(',"total":4', user "b", user "d")))
    assert.equal(2, made.total)
  end)

  it("does not choose between two users with one e-mail", function()
    local _, err = plan({ "a@x.org", "c@x.org" },
      page(',"total":3', user("a", "a@x.org"), user("b", "A@X.org")),
      page(',"total":3', user "c"))
    assert.equal("entry 1: several users have the e-mail 'a@x.org'; say which by id: a, b",
      err.unresolved[1].message)
  end)

  describe("where two users have one e-mail", function()
    local SEVERAL = "several users have the e-mail 'dup@x.org'; say which by id: a, b"

    local function both()
      return page(',"total":2', user("a", "dup@x.org"), user("b", "DUP@x.org"))
    end

    -- "a=plan b=again", and the reasons of those who are unknown.
    local function planned(people)
      local made, err = plan(people, both())
      client:close()
      server:stop()
      if not made then return err.unresolved end
      local ids, reasons = {}, {}
      for change in made:changes() do ids[#ids + 1] = change.user end
      for _, person in ipairs(made.unknown) do
        assert.is_nil(person.user)
        reasons[#reasons + 1] = ("%d: %s"):format(person.line, person.reason)
      end
      return table.concat(ids, " "), reasons
    end

    it("says so of the e-mail, be one of them named by id as well, before it or after", function()
      for place, people in ipairs { { "dup@x.org", "a" }, { "a", "dup@x.org" },
        { "b", "a", "dup@x.org" } } do
        local problems = planned(people)
        assert.equal(1, #problems)
        assert.equal(("entry %d: %s"):format(place, SEVERAL), problems[1].message)
      end
    end)

    it("skips the e-mail alone: who is named by id is planned for, and nobody is taken for them",
      function()
        on_unknown = "skip"
        for _, case in ipairs {
          { { "a", "dup@x.org" }, "a", 2 }, { { "dup@x.org", "a" }, "a", 1 },
          { { "dup@x.org", "b", "a" }, "b a", 1 }, { { "b", "a", "DUP@x.org" }, "b a", 3 },
        } do
          local ids, reasons = planned(case[1])
          assert.equal(case[2], ids)
          assert.equal(1, #reasons)
          assert.equal(("%d: several users have the e-mail"):format(case[3]),
            reasons[1]:match("^%d+: several users have the e%-mail"))
        end
      end)
  end)

  it("does not stumble over users without what every user has", function()
    local made = assert(plan({ "a", "b@x.org", "c", "d", "e" },
      page(',"total":7', '{"id":"a","email":17,"roles":[],"groups":[]}',
        '{"email":"lost@x.org","roles":[],"groups":[]}', "null",
        '{"id":"c","email":null,"status":true,"roles":[null],"groups":[null]}',
        '{"id":"d","email":"d@x.org","roles":"none","groups":{}}',
        user("e", "e@x.org"), user("b", "b@x.org")),
      { body = "[]" }, { body = "[]" }))
    assert.equal(5, made.to_change)
  end)

  it("reads a user itself before it calls an id unknown", function()
    local made = assert(plan({ "a", "b", "c", "d", "hidden" },
      page(',"total":4', user "a", user "b", user "c", user "d"),
      { body = "[]" }))
    assert.equal(5, made.to_change)
    assert.truthy(targets()[3]:find("/tenants/users/hidden/roles", 1, true))
  end)

  it("reads a user whose page leaves out roles or groups", function()
    local made = assert(plan({ "a@x.org", "b@x.org" },
      page(',"total":2', '{"id":"a","email":"a@x.org","groups":[]}',
        '{"id":"b","email":"b@x.org","roles":[{"id":"r-audit"}]}'),
      { body = '[{"id":"r-audit"}]' }, { body = '[{"id":"r-audit"}]' }, { body = "[]" }))
    assert.equal(2, made.unchanged)
    assert.equal(5, #targets()) -- the last proves that rolesOnly is honoured
  end)

  it("tells a user that is gone from a service that does not answer", function()
    local _, err = plan({ "a", "b" }, { status = 404, body = '{"message":"no"}' }, { body = "[]" })
    assert.equal("unresolved", err.kind)
    assert.equal("entry 1: no user has the id 'a'", err.unresolved[1].message)
    client:close()
    server:stop()
    _, err = plan({ "a", "b" }, { status = 500 }, { body = "[]" })
    assert.same({ "http", 500, "users.roles" }, { err.kind, err.status, err.operation })
  end)

  it("fails with the error of a page that cannot be read", function()
    local _, err = plan({ "a@x.org" }, page(',"total":2', user "b"), { status = 502 })
    assert.same({ "http", 502 }, { err.kind, err.status })
  end)

  it("reads a total that comes as a string, and does without one that is no number", function()
    for _, total in ipairs { '"4"', '"many"', "true", "{}", "-1" } do
      local function of_pages(...) return page(',"total":' .. total, ...) end
      local made = assert(plan({ "a@x.org", "d@x.org" },
        of_pages(user "a", user "b"), of_pages(user "c", user "d")))
      assert.same({ 2, 3 }, { made.to_change, #targets() })
      client:close()
      server:stop()
    end
  end)
end)
