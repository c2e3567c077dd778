-- SPDX-License-Identifier: MIT
-- client:request: calls that no row describes, with the checks, repeats and errors of any other.

local cipherscale = require "cipherscale"
local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local setting = require "spec.support.setting"

local null = cipherscale.null
local contains, start = helper.contains, setting.start
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end)

before_each(function() start { { body = "{}" } } end)

local function sent(what)
  server:clear_requests()
  what.method = what.method or "POST"
  what.path = what.path or "/x"
  assert(client:request(what))
  assert.equal(1, server:count())
  return server:requests()[1]
end

local function refusal(what, options)
  server:clear_requests()
  local message = helper.message_of(client.request, client, what, options)
  assert.equal(0, server:count())
  assert.equal(0, core.in_use(client))
  return message
end

local function refused(expected, what)
  what.method = what.method or "POST"
  what.path = what.path or "/x"
  assert.equal("request: " .. expected, refusal(what))
end

local function answered(answer, method, options)
  start({ answer }, { max_retries = 0 })
  return client:request({ method = method or "GET", path = "/x" }, options)
end

describe("client:request", function()
  it("sends method, path, query and body", function()
    local request = sent {
      method = "PATCH", path = "/tenants/devices/d1/deactivate",
      query = { force = true, reason = "lost & found" }, body = { note = "x", ids = { 1, 2 } },
    }
    assert.equal("PATCH", request.method)
    assert.equal("/tenants/devices/d1/deactivate?force=true&reason=lost%20%26%20found",
      request.path)
    assert.equal('{"ids":[1,2],"note":"x"}', request.body)
    assert.equal("application/json", request.headers["content-type"])
    assert.equal(helper.key, request.headers.apikey)
  end)

  it("has every method, and no body unless there is one", function()
    for _, method in ipairs { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "GET", "HEAD",
                              "PATCH", "HEAD", "POST" } do
      start { { body = method ~= "HEAD" and "{}" or nil } }
      local request = sent { method = method }
      assert.equal(method, request.method)
      assert.equal("", request.body)
      local has_length = method == "POST" or method == "PUT" or method == "PATCH"
      assert.equal(has_length and "0" or nil, request.headers["content-length"])
      assert.is_nil(request.headers["content-type"])
    end
    assert.equal('{"a":1}', sent({ method = "DELETE", body = { a = 1 } }).body)
  end)

  it("is not mixed up with the calls before on the same connection", function()
    start { { body = "{}" }, { headers = { ["Content-Length"] = "5" } }, { body = "{}" },
            { body = "{}" }, { body = "{}" } }
    assert(client.users:update_roles("u1"))
    assert.is_true(client:request { method = "HEAD", path = "/h" })
    assert(client.users:get "u1")
    assert(client:request { method = "PUT", path = "/p", body = { a = 1 } })
    assert(client.users:invite "u1")
    local lines = {}
    for i, request in ipairs(server:requests()) do
      lines[i] = ("%s %s %s"):format(request.method, request.path, request.body)
    end
    assert.same({ [[PATCH /tenants/users/u1/roles {"addedRoles":[],"removedRoles":[]}]],
                  "HEAD /h ", "GET /tenants/users/u1 ", 'PUT /p {"a":1}',
                  "POST /tenants/users/u1/invite " }, lines)
    assert.equal(1, (server:connections()))
  end)

  it("stays below the base URL, whatever that ends with", function()
    for given, path in pairs { ["/qa"] = "/qa/x/y", ["/a/b/"] = "/a/b/x/y", [""] = "/x/y" } do
      local below = cipherscale.new { api_key = helper.key, base_url = server.url .. given }
      server:clear_requests()
      assert(below:request { method = "GET", path = "/x/y" })
      assert.equal(path, server:requests()[1].path)
      below:close()
    end
  end)

  it("takes a path as it stands in a URL, and escapes what cannot stand there", function()
    for given, path in pairs {
      ["/"] = "/", ["/a/b/"] = "/a/b/", ["/a%20b"] = "/a%20b", ["/a b"] = "/a%20b",
      ["/\u{E9}"] = "/%C3%A9", ["/\xFF"] = "/%FF", ["/a%2Fb"] = "/a%2Fb", ["/..."] = "/...",
      ["/a.b/.c/..d"] = "/a.b/.c/..d", ["/-._~!$&'()*+,;=:@"] = "/-._~!$&'()*+,;=:@",
      ['/"<>^`|[]'] = "/%22%3C%3E%5E%60%7C%5B%5D", ["/@evil.example"] = "/@evil.example",
      ["/%3Fx%23"] = "/%3Fx%23", ["/%252e%252e"] = "/%252e%252e", ["/x;v=1.1"] = "/x;v=1.1",
    } do
      assert.equal(path, sent({ path = given }).path)
    end
  end)

  it("refuses a path that could be read as another one", function()
    for got, paths in pairs {
      ["one that does not begin with '/'"] = { "", "x", "x/y", "http://evil.example/", ".evil/",
        "@evil.example/", ":80/", "?a", "#", " /x", "\t/x" },
      ["one with '?' or '#' (a query has its own field)"] = { "/?", "/x?a=b", "/#", "/x#y",
        "/a//b?" },
      ["one with '//'"] = { "//", "//evil.example/x", "/a//b", "/a//" },
      ["one with a backslash"] = { "/\\", "/\\evil.example", "/a\\..\\b" },
      ["one with braces, whose ids are missing"] = { "/users/{id}", "/}" },
      ["one with a '%' that begins no escape"] = { "/%", "/%2", "/%zz", "/%2g", "/a%" },
      ["one with a control character"] = { "/\n", "/a\r\nHost: x", "/\x7F", "/%00", "/a%0d%0A",
        "/%7f" },
      ["one with a dot segment"] = { "/.", "/..", "/./a", "/../a", "/a/.", "/a/..", "/a/../b",
        "/%2e", "/%2E%2e/a", "/.%2e", "/a/%2e./b", "/a%2F..", "/a%2f..%2fb", "/..%2Fa", "/a%5C..",
        "/..%5cx", "/..;/x", "/a/..;v=1/b", "/..%3Bx", "/;../x" },
    } do
      for _, path in ipairs(paths) do
        refused("path: path below the base URL expected, got " .. got, { path = path })
      end
    end
    refused("path: string expected, got one with a NUL byte", { path = "/a\0b" })
    refused("path: string expected, got number", { path = 5 })
    contains("the path is too large", refusal { method = "GET", path = "/" .. ("x"):rep(70000) })
    contains("the path is too large", refusal { method = "GET", path = "/" .. (" "):rep(30000) })
  end)

  it("names what is missing or unknown", function()
    local methods = "one of 'GET' 'HEAD' 'POST' 'PUT' 'PATCH' 'DELETE' expected, got "
    assert.equal("request: method: " .. methods .. "nil", refusal { path = "/x" })
    assert.equal("request: path: string expected, got nil", refusal { method = "GET" })
    for _, method in ipairs { "get", "", "TRACE", "CONNECT", "GET\0", "GET ", "OPTIONS" } do
      contains("request: method: " .. methods, refusal { method = method, path = "/x" })
    end
    refused("unknown field 'bdy' (did you mean 'body'?)", { bdy = {} })
    refused("field names expected, got a key of type number", { 1 })
    refused("repeat_class: one of 'READ' 'REPEATABLE' 'ONCE' expected, got 'once'",
      { repeat_class = "once" })
    refused("body: table expected, got string", { body = "{}" })
    refused("body: table expected, got userdata", { body = null })
    refused("query: table expected, got string", { query = "a=b" })
    for _, wrong in ipairs { 5, "GET /x", true } do
      assert.equal("request: table of fields expected, got " .. type(wrong), refusal(wrong))
    end
    assert.equal("request: table of fields expected, got nil", refusal(nil))
    contains("unknown option 'timout'", refusal({ method = "GET", path = "/x" }, { timout = 1 }))
    contains("at most 2 arguments expected, got 3",
      helper.message_of(client.request, client, { method = "GET", path = "/" }, nil, 1))
    contains("call it with a colon: client:request{…}",
      helper.message_of(client.request, { method = "GET", path = "/" }))
    contains("call it with a colon", helper.message_of(client.request))
    local _, message = pcall(function() return (client:request { method = "GET" }) end)
    assert.is_truthy(message:find("^[^\n]*request_spec.lua:%d+: request: path: "), message)
  end)

  it("encodes a table as an object or an array, the empty one as an object", function()
    assert.equal("{}", sent({ body = {} }).body)
    assert.equal('["b","a"]', sent({ body = { "b", "a" } }).body)
    assert.equal('[{"id":null}]', sent({ body = { { id = null } } }).body)
    assert.equal('{"a":[],"b":{"c":1.5}}', sent({ body = { b = { c = 1.5 }, a = {} } }).body)
    assert.equal("[]", sent({ body = setmetatable({}, { __jsontype = "array" }) }).body)
  end)

  it("refuses what JSON does not have, with its path", function()
    local loop = {}
    loop.a = { loop }
    refused("body.a[1]: a table that contains itself cannot be sent", { body = loop })
    refused("body.f: string, number, boolean, table or null expected, got function",
      { body = { f = print } })
    refused("body.n: finite number expected, got inf", { body = { n = 1 / 0 } })
    refused("body: list without holes expected, got the key x", { body = { 1, x = 2 } })
    refused("body: field names expected, got a key of type number", { body = { [5] = 1 } })
    refused("body: table whose fields can be listed expected, got one with __index and without "
      .. "__pairs", { body = setmetatable({}, { __index = { a = 1 } }) })
    refused("body: GET and HEAD have none", { method = "GET", body = {} })
    refused("body: GET and HEAD have none", { method = "HEAD", body = { a = 1 } })
    refused("the body is too large", { body = { ("x"):rep(17e6) } })
  end)

  it("writes a query sorted by name, and filters as pages do", function()
    assert.equal("/x?filter%5Bname%5D%5Bilike%5D=%25a%25&a=1&b=x&b=y&filter%5Bz%5D=q",
      sent({ query = { b = { "x", "y" }, ["filter[z]"] = "q", a = 1,
                       filter = { name = { ilike = "%a%" } } } }).path)
    assert.equal("/x", sent({ query = {} }).path)
    refused("query.filter.name: unknown operator 'like' (did you mean 'ilike'?)",
      { query = { filter = { name = { like = "a" } } } })
    refused("query.a: string, number or boolean expected, got table", { query = { a = { b = 1 } } })
    refused("query: field names expected, got a key of type number", { query = { "a" } })
    refused("the query is too large", { query = { a = ("x"):rep(70000) } })
  end)
end)

describe("its result", function()
  it("is the decoded JSON", function()
    assert.same({ a = 1 }, answered { body = '{"a":1,"b":null}' })
    assert.same({ 1, { b = 2 } }, answered { body = '[1,{"b":2}]' })
    assert.equal(5, answered { body = " 5 " })
    assert.equal("text", answered { body = '"text"' })
    assert.same({ data = {}, total = 9 }, answered { body = '{"data":[],"total":9}' })
  end)

  it("is true where there is no JSON, or a sentence", function()
    for _, method in ipairs { "GET", "POST", "DELETE" } do
      for _, answer in ipairs {
        { status = 204 }, { status = 200 }, { status = 201, body = " \r\n" }, { body = "null" },
        { body = "Invitation sent" }, { body = "true" }, { body = "1 of 2 done" },
      } do
        local result, err = answered(answer, method)
        assert.is_true(result)
        assert.is_nil(err)
      end
    end
  end)

  it("is an error for a read whose answer is damaged, and true for a change", function()
    for _, body in ipairs { '{"a":', "[1,2", '{"a":1}x', "false" } do
      local result, err = answered { body = body }
      assert.is_nil(result)
      assert.equal("decode", err.kind)
      assert.is_nil(err.ambiguous)
      local response = {}
      assert.is_true(answered({ body = body }, "POST", { response = response }))
      assert.is_string(response.problem)
    end
    for _, method in ipairs { "GET", "PUT" } do
      local result, err = answered({ body = "<html>login</html>" }, method)
      assert.is_nil(result)
      assert.equal("decode", err.kind)
      assert.equal(method == "PUT" or nil, err.ambiguous)
    end
  end)

  it("is an error with the operation 'request'", function()
    local result, err = answered({ status = 404, body = '{"message":"no such thing","code":7}' },
      "DELETE")
    assert.is_nil(result)
    assert.equal("http", err.kind)
    assert.equal("request", err.operation)
    assert.equal("DELETE", err.method)
    assert.equal("/x", err.path)
    assert.equal(404, err.status)
    assert.equal("no such thing", err.message)
    assert.equal(7, err.code)
    assert.equal("request: HTTP 404: no such thing", tostring(err))
  end)

  it("fills a response", function()
    local response = {}
    assert(answered({ status = 202, headers = { ["X-Request-Id"] = "r1" }, body = "{}" }, "POST",
      { response = response }))
    assert.equal(202, response.status)
    assert.equal(1, response.attempts)
    assert.equal("r1", response.request_id)
  end)
end)

describe("its class", function()
  local function attempts(method, class, first)
    start { first, { body = "{}" } }
    local result, err = client:request { method = method, path = "/x", repeat_class = class }
    return server:count(), result, err
  end
  local busy = { status = 503, body = "{}" }
  local refused_once = { status = 429, headers = { ["Retry-After"] = "0" } }

  it("is READ for GET and HEAD, else ONCE", function()
    for _, method in ipairs { "GET", "HEAD" } do
      assert.equal(2, (attempts(method, nil, { status = 503 })))
    end
    for _, method in ipairs { "POST", "PUT", "PATCH", "DELETE" } do
      local count, result, err = attempts(method, nil, busy)
      assert.equal(1, count)
      assert.is_nil(result)
      assert.is_true(err.ambiguous)
      assert.equal(2, (attempts(method, nil, refused_once)))
    end
  end)

  it("is what repeat_class says", function()
    assert.equal(2, (attempts("POST", "READ", busy)))
    assert.equal(2, (attempts("PUT", "REPEATABLE", busy)))
    assert.equal(1, (attempts("GET", "ONCE", busy)))
  end)

  it("does not matter to read_only, which goes by the method", function()
    start({ { body = "{}" } }, { read_only = true })
    for _, method in ipairs { "POST", "PUT", "PATCH", "DELETE" } do
      local result, err = client:request { method = method, path = "/x", repeat_class = "READ" }
      assert.is_nil(result)
      assert.equal("refused", err.kind)
      assert.equal("request", err.operation)
    end
    assert.equal(0, server:count())
    assert(client:request { method = "GET", path = "/x", repeat_class = "ONCE" })
    assert.equal(1, server:count())
  end)
end)

describe("a client that has client:request", function()
  it("says so", function()
    contains("\n  client:request(…)", tostring(client))
    assert.is_function(client.request)
  end)

  it("tells on_event of it, without the path, which may hold ids", function()
    local events = {}
    start({ { status = 503 }, { body = "{}" } }, { on_event = function(event)
      events[#events + 1] = event
    end })
    assert(client:request { method = "GET", path = "/tenants/users/secret" })
    assert.equal(2, #events)
    for _, event in ipairs(events) do
      assert.equal("request", event.operation)
      assert.equal("GET", event.method)
      assert.equal("(any)", event.path)
    end
    assert.equal("again", events[1].next)
  end)

  it("makes such calls in tasks, with all others", function()
    local results = {}
    client:run(function(tasks)
      for i = 1, 40 do
        tasks:spawn(function()
          local response = {}
          if i % 2 == 0 then
            results[i] = client:request({ method = "POST", path = "/x/" .. i, body = { i } },
              { response = response })
          else
            results[i] = client.users:get("u" .. i, { response = response })
          end
          assert(response.status == 200)
        end)
      end
    end)
    assert.equal(40, #results)
    local seen = {}
    for _, request in ipairs(server:requests()) do seen[request.path] = request.body end
    for i = 2, 40, 2 do assert.equal(("[%d]"):format(i), seen["/x/" .. i]) end
    assert.equal("", seen["/tenants/users/u1"])
  end)

  it("cancels them as any other", function()
    start { { hang = true }, { body = "{}" } }
    local pending, later
    client:run(function(tasks)
      local task = tasks:spawn(function()
        pending = table.pack(client:request { method = "GET", path = "/x" })
        later = table.pack(pcall(client.request, client, { method = "GET", path = "/x" }))
      end)
      tasks:spawn(function()
        server:let_arrive(1)
        assert(client:request { method = "GET", path = "/y" })
        tasks:cancel(task)
      end)
    end)
    assert.is_nil(pending[1])
    assert.equal("cancelled", pending[2].kind)
    assert.equal("request", pending[2].operation)
    assert.is_false(later[1])
    assert.equal("cancelled", later[2].kind)
    assert.equal(2, server:count())
  end)

  it("is closed for them, too", function()
    client:close()
    local result, err = client:request { method = "GET", path = "/x" }
    assert.is_nil(result)
    assert.equal("closed", err.kind)
  end)
end)
