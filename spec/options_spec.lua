-- SPDX-License-Identifier: MIT
-- cipherscale.new: which options it takes and refuses, which addresses a key may be sent to, and
-- what the client shows of itself. Where the key comes from: options_key_spec.lua.

local cipherscale = require "cipherscale"
local helper = require "spec.support.helper"
local start = require("spec.support.server").start

local BASE = "http://127.0.0.1:9"
local contains = helper.contains
local clients

-- A client with a key and an address, to which the options are added.
local function new(options)
  local merged = { api_key = helper.key, base_url = BASE }
  for name, value in pairs(options or {}) do merged[name] = value end
  local client = cipherscale.new(merged)
  clients[#clients + 1] = client
  return client
end

local function refusal(options) return helper.message_of(new, options) end

before_each(function() clients = {} end)
after_each(function()
  for _, client in ipairs(clients) do client:close() end
end)

describe("cipherscale.new", function()
  it("takes no more than a key, since every option has a default", function()
    local client = cipherscale.new { api_key = helper.key }
    clients[1] = client
    contains("https://public-api.cipherscale.com/qa", tostring(client))
  end)

  it("takes each option at the ends of its range", function()
    local accepted = {
      timeout = { 0.001, 1e6 }, connect_timeout = { 0.001, 1e6 }, total_timeout = { 0.001, 1e6 },
      max_retries = { 0, 100 }, max_retry_wait = { 0, 86400 }, rate = { 0.0001, 1e6 },
      max_in_flight = { 1, 1000 }, max_response_bytes = { 1, 2147483647 },
      http_version = { "1.1", "2" }, ca_file = { "/a/file" }, ca_path = { "/a/path" },
      proxy = { "", "http://127.0.0.1:1" }, no_proxy = { "", "*" }, app = { "hr-sync/1.2" },
      read_only = { true, false }, validate = { true, false }, on_event = { print },
    }
    for name, values in pairs(accepted) do
      for _, value in ipairs(values) do
        assert.has_no.errors(function() new({ [name] = value }):close() end)
      end
    end
  end)

  it("refuses each option beyond its range", function()
    local refused = {
      timeout = { 0, 0.0009, -1, 1000001, 0 / 0, 1 / 0, -1 / 0 },
      connect_timeout = { 0, -1, 1000001 }, total_timeout = { 0, -1, 1000001 },
      max_retries = { -1, 101, 1.5, 2 ^ 53, 1 / 0, 0 / 0 },
      max_retry_wait = { -0.001, 86401, 0 / 0 }, rate = { 0, -1, 1000001, 0 / 0 },
      max_in_flight = { 0, -1, 1001, 1.5, 2 ^ 32 + 1 },
      max_response_bytes = { 0, -1, 2147483648, 2 ^ 32 + 1, 2 ^ 64, 1.5 },
    }
    for name, values in pairs(refused) do
      for _, value in ipairs(values) do
        local message = refusal { [name] = value }
        assert.is_truthy(message:find("^cipherscale.new: " .. name .. ": %a+ from .+ to .+"
          .. " expected, got %-?[%dni]"), message)
      end
    end
  end)

  it("refuses each option of a wrong type and says what was expected and got", function()
    local expected = {
      timeout = "number", connect_timeout = "number", total_timeout = "number",
      max_retries = "integer", max_retry_wait = "number", rate = "number",
      max_in_flight = "integer", max_response_bytes = "integer", http_version = "one of '1.1' '2'",
      ca_file = "string", ca_path = "string", proxy = "string", no_proxy = "string",
      app = "string", read_only = "boolean", validate = "boolean",
      on_event = "function",
      api_key = "string or function", base_url = "string",
    }
    local values = { "1", 1, true, {}, function() end, io.stdout, coroutine.create(print) }
    for name, phrase in pairs(expected) do
      for _, value in ipairs(values) do
        local kind = type(value)
        local fits = phrase:find(kind, 1, true) or kind == "number" and phrase == "integer"
          or kind == "string" and name == "http_version"
        if not fits then
          local message = refusal { [name] = value }
          contains(("cipherscale.new: %s: "):format(name), message)
          contains(phrase, message)
          contains(" expected, got " .. kind, message)
        end
      end
    end
  end)

  it("refuses texts that cannot be meant", function()
    contains("ca_file: non-empty string expected, got an empty string", refusal { ca_file = "" })
    contains("ca_path: non-empty string expected, got an empty string", refusal { ca_path = "" })
    contains("app: non-empty string expected, got an empty string", refusal { app = "" })
    contains("http_version: one of '1.1' '2' expected, got '3'", refusal { http_version = "3" })
    contains("ca_file", refusal { ca_file = "a\0b" })
    contains("proxy", refusal { proxy = "http://127.0.0.1\0" })
    contains("http_version", refusal { http_version = "2\0" })
    for _, app in ipairs { "a\nb", "a\r\nX-Evil: 1", "a\0", "a\x7F", "z\u{FC}rich/1" } do
      contains("cipherscale.new: app: ", refusal { app = app })
    end
  end)

  it("refuses an unknown option and names the nearest one", function()
    for wrong, right in pairs {
      timout = "timeout", maxRetries = "max_retries", api_keys = "api_key", baseurl = "base_url",
      readonly = "read_only", validation = "validate", onevent = "on_event",
        max_inflight = "max_in_flight",
    } do
      local message = refusal { [wrong] = 1 }
      contains(("unknown option '%s'"):format(wrong), message)
      contains(("did you mean '%s'?"):format(right), message)
    end
  end)

  it("refuses an unknown option that is like no other", function()
    local message = refusal { ["colour of the bikeshed"] = "red" }
    contains("'colour of the bikeshed'", message)
    assert.is_nil(message:find("did you mean", 1, true))
  end)

  it("refuses the option of a call", function()
    contains("'response'", refusal { response = {} })
  end)

  it("refuses keys that are no names", function()
    contains("a key of type number", refusal { "timeout" })
    contains("a key of type boolean", refusal { [true] = 1 })
  end)

  it("refuses anything but a table", function()
    for _, value in ipairs { 1, "key", true, print } do
      contains("table of options expected, got " .. type(value),
        helper.message_of(cipherscale.new, value))
    end
  end)

  it("points at the line that called it", function()
    local ok, message = pcall(function() cipherscale.new { api_key = helper.key, timout = 1 } end)
    assert.is_false(ok)
    assert.is_truthy(message:find("options_spec.lua:%d+: cipherscale.new: "), message)
  end)

  it("reads options through metamethods", function()
    local options = { api_key = helper.key, base_url = BASE, read_only = true }
    local client = cipherscale.new(setmetatable({}, { __index = options }))
    clients[1] = client
    local _, err = client.users:invite "u1"
    assert.equal("refused", err.kind)
    local hidden = setmetatable({}, {
      __index = options, __pairs = function() return next, { timout = 1 } end,
    })
    contains("'timout'", helper.message_of(cipherscale.new, hidden))
  end)

  it("keeps texts that metamethods make up, under a busy collector", function()
    local server = start { answers = { { body = "[]" } } }
    finally(function() server:stop() end)
    local texts = {
      api_key = function() return ("k"):rep(50) end, app = function() return ("a"):rep(50) end,
      base_url = function() return server.url .. "/" .. ("b"):rep(50) end,
      no_proxy = function() return ("n"):rep(50) end,
    }
    local client = cipherscale.new(setmetatable({}, { __index = function(_, name)
      collectgarbage()
      return texts[name] and texts[name]() or nil
    end }))
    clients[1] = client
    collectgarbage()
    assert(client.roles:list())
    local request = server:requests()[1]
    assert.equal(("k"):rep(50), request.headers.apikey)
    assert.equal("/" .. ("b"):rep(50) .. "/tenants/roles", request.path)
    assert.is_truthy(request.headers["user-agent"]:find(" " .. ("a"):rep(50) .. "$"))
  end)

  it("lets through what a metamethod raises", function()
    local raised = {}
    local options = setmetatable({}, { __index = function() error(raised) end })
    local ok, err = pcall(cipherscale.new, options)
    assert.is_false(ok)
    assert.equal(raised, err)
  end)

  it("does not keep or change the table", function()
    local options = { api_key = helper.key, base_url = BASE, timeout = 5 }
    local client = cipherscale.new(options)
    clients[1] = client
    options.base_url, options.api_key = "http://127.0.0.1:1", nil
    contains(BASE, tostring(client))
    assert.equal(5, options.timeout)
  end)

  it("speaks the version of HTTP that http_version names, 1.1 by default", function()
    local server = start { answers = { { body = "[]" } } }
    finally(function() server:stop() end)
    for _, options in ipairs { {}, { http_version = "1.1" } } do
      assert(helper.client(server, options).roles:list())
    end
    for _, request in ipairs(server:requests()) do
      assert.is_truthy(request.head:find("^GET /tenants/roles HTTP/1%.1\r\n"))
    end
    local client = helper.client(server, { http_version = "2", max_retries = 0, timeout = 5 })
    local _, err = client.roles:list() -- the scripted server does not speak it
    assert.equal("network", err.kind)
    client:close()
  end)

  it("names the program in the User-Agent behind the module and libcurl", function()
    local server = start { answers = { { body = "[]" } } }
    finally(function() server:stop() end)
    helper.client(server, { app = "hr-sync/1.2 (nightly)" }).roles:list()
    helper.client(server).roles:list()
    local requests = server:requests()
    local version = cipherscale.version:gsub("%p", "%%%0")
    local pattern = "^lua%-cipherscale/" .. version .. " libcurl/%d+%.%d+%.%d+"
    assert.is_truthy(requests[1].headers["user-agent"]:find(
      pattern .. " hr%-sync/1%.2 %(nightly%)$"))
    assert.is_truthy(requests[2].headers["user-agent"]:find(pattern .. "$"))
  end)
end)

describe("base_url", function()
  local function address(url)
    return tostring(new { base_url = url }):match "^cipherscale client for ([^\n]*)"
  end

  it("is any https address, without slashes at its end", function()
    for given, kept in pairs {
      ["https://api.example"] = "https://api.example",
      ["https://api.example/"] = "https://api.example",
      ["https://api.example/v1/qa"] = "https://api.example/v1/qa",
      ["https://api.example/v1/qa///"] = "https://api.example/v1/qa",
      ["https://api.example:8443/v1"] = "https://api.example:8443/v1",
      ["HTTPS://api.example"] = "https://api.example",
      ["https://192.0.2.1"] = "https://192.0.2.1",
      ["https://[2001:db8::1]:444"] = "https://[2001:db8::1]:444",
    } do
      assert.equal(kept, address(given))
    end
  end)

  it("is http to loopback only", function()
    for _, url in ipairs { "http://localhost", "http://LOCALHOST:8080/x", "http://127.0.0.1:1",
                           "http://127.255.255.254", "http://[::1]", "http://[::1]:8080" } do
      assert.has_no.errors(function() address(url) end)
    end
    for _, url in ipairs {
      "http://api.example", "http://10.0.0.1", "http://128.0.0.1", "http://126.255.255.255",
      "http://0.0.0.0", "http://127.0.0.1.evil.example", "http://127.evil.example",
      "http://localhost.evil.example", "http://evil.example/localhost", "http://xlocalhost",
      "http://[::2]", "http://[::]", "http://[fe80::1]", "http://localhost@evil.example",
      "http://127.0.0.1%2eevil.example", "http://127.0.0.1\\.evil.example",
    } do
      contains("cipherscale.new: base_url ", refusal { base_url = url })
    end
    contains("neither https nor http to loopback", refusal { base_url = "http://api.example" })
  end)

  it("has no credentials, and does not show them", function()
    for _, part in ipairs { "user:sesame", "user", ":sesame", "user:", "sesame%40:x" } do
      local message = refusal { base_url = ("https://%s@api.example"):format(part) }
      contains("base_url carries credentials", message)
      assert.is_nil(message:find("sesame", 1, true))
      assert.is_nil(message:find("user", 1, true))
    end
  end)

  it("has neither query nor fragment", function()
    for _, tail in ipairs { "?a=1", "/?", "/v1?", "#x", "/#", "?a#b" } do
      contains("base_url has a query or a fragment", refusal { base_url = "https://a.example"
        .. tail })
    end
  end)

  it("has no other scheme and lacks none", function()
    for _, url in ipairs { "ftp://localhost", "file:///etc/passwd", "file://localhost/etc/passwd",
                           "ws://localhost", "javascript:alert(1)", "api.example", "localhost",
                           "//api.example", "/qa", "https:api.example", "https://", "http://",
                           "https", ":", "https://:443" } do
      contains("cipherscale.new: base_url ", refusal { base_url = url })
    end
  end)

  it("names its host behind exactly two slashes", function()
    contains("base_url is not a URL", refusal { base_url = "https:///qa" })
    contains("base_url is not a URL", refusal { base_url = "https:/api.example" })
  end)

  it("is refused where it cannot be parsed, or could be read in two ways", function()
    for _, url in ipairs { "https://a b", "https://a.example/a b", "https://a.example/\t",
                           "https://a.example\n", "https://a\0.example", "https://\u{FC}.example",
                           "https://a.example:99999", "https://a.example:x", "https://[::1",
                           "https://a.example\\@evil.example", "https://a.example:80:90" } do
      contains("base_url", refusal { base_url = url })
    end
    contains("base_url: non-empty string expected, got an empty string", refusal { base_url = "" })
    contains("base_url is too large", refusal { base_url = "https://a/" .. ("x"):rep(9000) })
  end)

  it("comes before each path", function()
    local server = start { answers = { { body = "[]" } } }
    finally(function() server:stop() end)
    for given, path in pairs { ["/qa"] = "/qa/tenants/roles", ["/a/b/"] = "/a/b/tenants/roles",
                               [""] = "/tenants/roles", ["/"] = "/tenants/roles" } do
      server:clear_requests()
      new({ base_url = server.url .. given }).roles:list()
      assert.equal(path, server:requests()[1].path)
    end
  end)
end)

describe("a client", function()
  it("lists in its text what it has, a line each", function()
    local text = tostring(new())
    contains("cipherscale client for " .. BASE, text)
    assert.is_nil(text:find("(closed)", 1, true))
    for _, operation in ipairs(cipherscale.operations()) do
      assert.is_truthy(text:find("\n  client." .. operation.resource .. ": %u[^\n]+%."), text)
    end
  end)

  it("says that it is closed", function()
    local client = new()
    client:close()
    contains("(closed)", tostring(client))
  end)

  it("has resources that list their methods, a line each with its arguments", function()
    local client = new()
    for _, operation in ipairs(cipherscale.operations()) do
      local text = tostring(client[operation.resource])
      contains(("\n  %s:%s("):format(operation.resource, operation.name), text)
      contains(operation.doc, text)
    end
    contains("users:update_roles(id, fields, options)", tostring(client.users))
    contains("roles:list(options)", tostring(client.roles))
  end)

  it("has methods as plain fields, so that completion sees them", function()
    local client = new()
    for _, operation in ipairs(cipherscale.operations()) do
      assert.is_function(rawget(client[operation.resource], operation.name))
    end
  end)

  it("names the nearest resource or method where one is unknown", function()
    local client = new()
    contains("'user' (did you mean 'users'?)", helper.message_of(function() return client.user end))
    contains("'rols' (did you mean 'roles'?)", helper.message_of(function() return client.rols end))
    contains("'reactivat' (did you mean 'reactivate'?)",
      helper.message_of(function() return client.users.reactivat end))
    contains("'List' (did you mean 'list'?)",
      helper.message_of(function() return client.roles.List end))
    local message = helper.message_of(function() return client.zebra end)
    contains("'zebra'", message)
    assert.is_nil(message:find("did you mean", 1, true))
  end)

  it("points at the line that asked for something unknown", function()
    local client = new()
    for _, ask in ipairs { function() return client.user end,
                           function() return client.users.reactivat end } do
      local _, message = pcall(ask)
      assert.is_truthy(message:find("^[^\n]*options_spec.lua:%d+: unknown"), message)
    end
  end)

  it("has nothing under other keys", function()
    local client = new()
    for _, key in ipairs { 1, 0.5, true, {}, print } do
      assert.is_nil(client[key])
      assert.is_nil(client.users[key])
    end
  end)

  it("lives as long as one of its resources or methods is held", function()
    local server = start { answers = { { body = "[]" } } }
    finally(function() server:stop() end)
    local roles = helper.client(server).roles
    local list = helper.client(server).roles.list
    collectgarbage()
    collectgarbage()
    assert.same({}, roles:list())
    assert.is_false(pcall(list, roles))
    assert.equal(1, server:count())
  end)

  it("lets none of its fields be set", function()
    local client = new()
    local users = client.users
    for _, name in ipairs { "users", "x", "close", 1, "api_key" } do
      contains("cannot be set", helper.message_of(function() client[name] = 1 end))
    end
    assert.equal(users, client.users)
    contains("cannot be set", helper.message_of(function() client.users = nil end))
  end)

  it("shows its finaliser to nobody", function()
    local client = new()
    assert.is_not_table(getmetatable(client))
    assert.is_true(pcall(tostring, client))
  end)
end)
