-- SPDX-License-Identifier: MIT
--
-- Lists of the sandbox: pages, filters, sorting, and what is assumed about them.

local json = require "cipherscale.sandbox.json"
local setting = require "spec.sandbox.setting"

describe("the sandbox's lists", function()
  local server

  local function start(assume)
    setting.start {
      assume = assume,
      users = {
        { email = "b@x.example", maxDevices = 9 }, { email = "a@x.example", maxDevices = 10 },
        { id = "u", email = "c@x.example", status = "Deactivated", groups = { "Crew" } },
      },
      groups = { { id = "crew", name = "Crew" }, { name = "Admins" } },
      devices = { { id = "d", user = "u" } },
      protocols = { { id = "web", name = "Web" }, { id = "ssh", name = "SSH" } },
      gateways = { { id = "g", name = "G", status = "ONLINE" }, { id = "h", name = "H" } },
      resources = {
        { id = "r3", name = "Web shop", type = "SAAS", createdAt = "2024-03-01T00:00:00.000Z",
          gateways = { "g", "h" },
          addresses = { { address = "10.0.0.1", protocols = { "web" } } } },
        { id = "r1", name = "Wiki_100%", createdAt = "2024-01-01T00:00:00.000Z",
          gateways = { "h" }, addresses = {
            { address = "10.0.0.2", protocols = { "ssh", "web" } },
            { address = "w.example", protocols = { "ssh" } },
          } },
        { id = "r2", name = "intraWEB", createdAt = "2024-02-01T00:00:00.000Z",
          description = "a,b" },
      },
      policies = { { id = "p", resources = { "r1", "r2" } } },
    }
  end

  local function encode(text)
    return (text:gsub("[^%w_.-]", function(c) return ("%%%02X"):format(c:byte()) end))
  end

  local function send(path, ...)
    local parts, given = {}, { ... }
    for i = 1, #given, 2 do
      parts[#parts + 1] = encode(given[i]) .. "=" .. encode(given[i + 1])
    end
    local query = #parts > 0 and "?" .. table.concat(parts, "&") or ""
    return setting.send("GET", "/" .. path .. query)
  end

  local function ids(path, ...)
    local status, body = send(path, ...)
    assert.equal(200, status, body)
    local answer, list = json.decode(body), {}
    for i, record in ipairs(answer.data or answer) do list[i] = record.id end
    return table.concat(list, " ")
  end

  local function refused(message, ...)
    local status, body = send(...)
    assert.equal(400, status, body)
    assert.truthy(body:find(message, 1, true), body)
  end

  setting.install(after_each, function(a_server) server = a_server end)

  it("filter resources by what the documentation lists", function()
    start()
    assert.equal("r3", ids("resources", "filter[type][eq]", "SAAS"))
    assert.equal("r1", ids("resources", "filter[id][eq]", "r1"))
    assert.equal("r2", ids("resources", "filter[name][eq]", "intraWEB"))
    assert.equal("", ids("resources", "filter[name][eq]", "intraweb"))
    assert.equal("r3 r1", ids("resources", "filter[gateways.id][eq]", "h"))
    assert.equal("r1 r2", ids("resources", "filter[policies.id][eq]", "p"))
    assert.equal("r1", ids("resources", "filter[addresses.protocols.id][eq]", "ssh"))
    assert.equal("r3 r2", ids("resources", "filter[name][ilike]", "%web%"))
    assert.equal("r3", ids("resources", "filter[name][ilike]", "web%"))
    assert.equal("r1", ids("resources", "filter[name][ilike]", "wiki%%"))
    assert.equal("", ids("resources", "filter[name][ilike]", "web"))
  end)

  it("filter resources by any field, with all operators", function()
    start()
    assert.equal("r1 r2", ids("resources", "filter[type][ne]", "SAAS"))
    assert.equal("r3", ids("resources", "filter[createdAt][gt]", "2024-02-01T00:00:00.000Z"))
    assert.equal("r3 r2", ids("resources", "filter[createdAt][gte]", "2024-02-01T00:00:00.000Z"))
    assert.equal("r1", ids("resources", "filter[createdAt][lt]", "2024-02-01T00:00:00.000Z"))
    assert.equal("r1 r2", ids("resources", "filter[createdAt][lte]", "2024-02-01T00:00:00.000Z"))
    assert.equal("r3 r1", ids("resources", "filter[id][in]", "r1,r3,x"))
    assert.equal("r2", ids("resources", "filter[id][nin]", "r1,r3"))
    assert.equal("r2", ids("resources", "filter[gateways.id][nin]", "g,h"))
    assert.equal("r1 r2", ids("resources", "filter[gateways.status][ne]", "ONLINE"))
    assert.equal("r1", ids("resources", "filter[addresses.isIp][eq]", "false"))
    assert.equal("r1", ids("resources", "filter[name]", "Wiki_100%"))
    assert.equal("r1",
      ids("resources", "filter[type][eq]", "PRIVATE", "filter[gateways.id][in]", "g,h"))
  end)

  it("count what a filter leaves, in pages", function()
    start()
    local _, body = send("resources", "filter[type][ne]", "SAAS", "limit", "1", "offset", "1")
    local page = json.decode(body)
    assert.same({ 2, 1, 1, false, true, "r2" }, { page.total, page.page, page.limit, page.hasNext,
      page.hasPrevious, page.data[1].id })
  end)

  it("refuse filters on what does not exist", function()
    start()
    refused("property filter[colour][eq] should not exist", "resources", "filter[colour][eq]", "x")
    refused("property filter[name][like] should not exist", "resources", "filter[name][like]", "x")
    refused("property filter[name.id][eq] should not exist", "resources",
      "filter[name.id][eq]", "x")
    refused("property filter[gateways][eq] should not exist", "resources",
      "filter[gateways][eq]", "")
    refused("property filter[] should not exist", "resources", "filter[]", "x")
    refused("filter[type][eq] must be one of the following values: PRIVATE, SAAS, INTERNET",
      "resources", "filter[type][eq]", "CLOUD")
    refused("filter[id][eq] must be given once", "resources", "filter[id][eq]", "a",
      "filter[id][eq]", "b")
    refused("property filter[email][eq] should not exist", "users", "filter[email][eq]", "x")
  end)

  it("sort resources by id or name, in both ways of writing it", function()
    start()
    assert.equal("r1 r2 r3", ids("resources", "sort", "id"))
    assert.equal("r3 r2 r1", ids("resources", "sort", "-id"))
    assert.equal("r3 r1 r2", ids("resources", "sort", "name:asc"))
    assert.equal("r2 r1 r3", ids("resources", "sort", "name:desc"))
    refused("sort must not be type", "resources", "sort", "type")
    refused("sort must not be name:down", "resources", "sort", "name:down")
  end)

  describe("assume", function()
    it("sort_syntax", function()
      start { sort_syntax = "dash" }
      assert.equal("r2 r1 r3", ids("resources", "sort", "-name"))
      refused("sort must not be name:desc", "resources", "sort", "name:desc")
      start { sort_syntax = "colon" }
      assert.equal("r2 r1 r3", ids("resources", "sort", "name:desc"))
      refused("sort must not be -name", "resources", "sort", "-name")
    end)

    it("sort, of other lists", function()
      start { sort = "applied" }
      local first, second = server:state().users[1].id, server:state().users[2].id
      assert.equal(second .. " " .. first .. " u", ids("users", "sort", "email"))
      assert.equal(("%s %s u"):format(first, second), ids("users", "sort", "maxDevices"))
      assert.equal("u " .. second .. " " .. first,
        ids("users", "sort", "status:desc", "sort", "-maxDevices"))
      refused("sort must not be roles", "users", "sort", "roles")
    end)

    it("filters, unknown_filter", function()
      start { filters = "listed" }
      assert.equal("r3", ids("resources", "filter[type][eq]", "SAAS"))
      refused("property filter[type][ne] should not exist", "resources", "filter[type][ne]", "SAAS")
      start { unknown_filter = "ignore" }
      assert.equal("r3 r1 r2", ids("resources", "filter[colour][eq]", "red"))
    end)

    it("other_filters", function()
      start { other_filters = "accept" }
      assert.equal("u", ids("users", "filter[groups.id][eq]", "crew"))
      assert.equal("u", ids("users", "filter[devices.active][eq]", "false"))
      assert.equal("crew", ids("groups", "filter[users.email][ilike]", "C@%"))
      assert.equal("d", ids("devices", "filter[user.status][eq]", "Deactivated"))
      local second = server:state().users[2].id
      assert.equal(second, ids("users", "filter[maxDevices][gt]", "9"))
      refused("property filter[id] should not exist", "gateways", "filter[id]", "x")
      start { other_filters = "ignore" }
      assert.equal("crew " .. server:state().groups[2].id, ids("groups", "filter[id]", "x"))
    end)

    it("plain_lists", function()
      start { plain_lists = "single" }
      assert.matches('^{"id":"p"', select(2, send "policies"))
      assert.matches("^%[", select(2, send "gateways"))
      start { plain_lists = "page", page_limit = 1 }
      local page = json.decode(select(2, send "gateways"))
      assert.same({ "g", 2, true }, { page.data[1].id, page.total, page.hasNext })
      assert.equal("h", ids("gateways", "limit", "5", "offset", "1"))
      assert.equal("p", ids("policies", "limit", "5"))
    end)
  end)
end)
