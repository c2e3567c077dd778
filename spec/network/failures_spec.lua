-- SPDX-License-Identifier: MIT
-- What a call gives when the network or the server fails, and that the key is in none of it.
local helper = require "spec.support.helper"
local raw = require "spec.support.server"
local setting = require "spec.support.setting"

local serve = setting.serve

setting.install(after_each)

local function connect(server, options) return setting.connect(options, server) end

local function always(answer, options)
  local server = serve { answer }
  return connect(server, options), server
end

local REFUSED = { url = ("http://127.0.0.1:%d"):format(raw.refused_port()) }

describe("a server that is down", function()
  it("is a failure of kind network, told in words", function()
    local value, err = connect(REFUSED, { max_retries = 0 }).users:roles("u1")
    assert.is_nil(value)
    assert.equal("network", err.kind)
    assert.equal("users.roles", err.operation)
    assert.equal("GET", err.method)
    assert.equal("/tenants/users/u1/roles", err.path)
    assert.equal(1, err.attempts)
    assert.is_nil(err.status)
    assert.matches("^users%.roles: network: .*onnect", tostring(err))
  end)

  it("is tried again by every class, since nothing was sent", function()
    local client = connect(REFUSED, { max_retries = 1 })
    local _, read = client.users:roles("u1")
    local _, change = client.users:update_roles("u1", {})
    local _, once = client.users:invite("u1")
    for _, err in ipairs { read, change, once } do
      assert.equal("network", err.kind)
      assert.equal(2, err.attempts)
      assert.is_nil(err.ambiguous)
      assert.matches("after 2 attempts", tostring(err))
    end
  end)

  it("fills response with what is known, and takes out what was there", function()
    local response = { status = 200, headers = { a = "b" }, problem = "old", repeated = true }
    local _, err = connect(REFUSED, { max_retries = 0 }).roles:list { response = response }
    assert.is_nil(response.status)
    assert.is_nil(response.headers)
    assert.is_nil(response.problem)
    assert.is_nil(response.repeated)
    assert.equal(err.attempts, response.attempts)
    assert.is_number(response.elapsed)
  end)

  it("may be a name that no DNS server knows", function()
    local _, err = connect({ url = "https://name.invalid" }, { max_retries = 0 }).users:invite("u1")
    assert.equal("network", err.kind)
    assert.matches("name%.invalid", err.message)
    assert.is_nil(err.ambiguous)
  end)
end)

describe("a server that never answers", function()
  -- What no limit ends takes 30 seconds.
  local began
  before_each(function() began = raw.now() end)
  after_each(function() assert.is_true(raw.now() - began < 15) end)

  -- Makes a call, with a timeout that leaves time to send each attempt; gives its error.
  local function timed_out(options, attempts, call)
    local server, err
    helper.patiently(0.05, function(timeout)
      local merged = { timeout = timeout }
      for name, value in pairs(options) do merged[name] = value end
      local client
      client, server = always({ hang = true }, merged)
      err = select(2, call(client.users))
      return server:wait(attempts, 0.5)
    end)
    assert.equal("timeout", err.kind)
    assert.equal(attempts, err.attempts)
    assert.equal(attempts, server:count())
    return err
  end

  it("is a failure of kind timeout, after as many attempts as allowed", function()
    local err = timed_out({ max_retries = 1 }, 2, function(users) return users:roles "u1" end)
    assert.is_nil(err.ambiguous)
  end)

  it("leaves a change in doubt", function()
    local err = timed_out({ max_retries = 0 }, 1, function(users)
      return users:update_roles("u1", {})
    end)
    assert.is_true(err.ambiguous)
    assert.matches("may have done it", tostring(err))
  end)

  it("is asked to invite once only", function()
    local err = timed_out({}, 1, function(users) return users:invite "u1" end)
    assert.is_true(err.ambiguous)
  end)

  it("loses its connection with the attempt", function()
    local client, server = always({ hang = true }, { timeout = 0.05, max_retries = 0 })
    client.users:roles("u1")
    assert.is_true(server:wait_open(0))
  end)

  it("is given up by the timeout of the call, over that of the client", function()
    local client = always({ hang = true }, { max_retries = 0 })
    local _, err = client.users:roles("u1", nil, { timeout = 0.02 })
    assert.equal("timeout", err.kind)
  end)

  it("is waited for no longer than total_timeout, whatever the other limits allow", function()
    helper.patiently(0.05, function(timeout)
      local client, server = always({ hang = true },
        { timeout = timeout, total_timeout = 8 * timeout, max_retries = 100 })
      local response = {}
      local _, err = client.users:roles("u1", nil, { response = response })
      assert.equal("timeout", err.kind)
      assert.is_true(err.attempts < 100)
      assert.is_true(response.elapsed < 15)
      return server:wait(err.attempts, 0.5) and server:count() == err.attempts
    end)
  end)

  it("is waited for no longer than total_timeout in one attempt", function()
    local client = always({ hang = true }, { total_timeout = 0.05 })
    local _, err = client.users:roles("u1")
    assert.equal("timeout", err.kind)
    assert.equal(1, err.attempts)
  end)

  it("is waited for by each call anew", function()
    helper.patiently(0.4, function(delay)
      local client = always({ body = "[]", delay = delay }, { total_timeout = 1.75 * delay })
      return client.users:roles "u1" and client.users:roles "u1" and true
    end)
  end)

  it("is given up after connect_timeout when it does not even shake hands", function()
    local server = serve { answers = { { hang = true } } }
    local client = connect({ url = server.url:gsub("^http", "https") },
      { connect_timeout = 0.05, max_retries = 1 })
    local _, err = client.users:invite("u1")
    assert.equal("timeout", err.kind)
    assert.equal(2, err.attempts)
    assert.is_nil(err.ambiguous)
    assert.equal(0, server:count())
  end)
end)

describe("a call that waits for its turn", function()
  it("is given its whole total_timeout then", function()
    helper.patiently(0.09, function(total_timeout)
      local client = always({ body = "[]" }, { rate = 0.9 / total_timeout })
      client.users:roles "u1"
      return client.users:roles("u2", nil, { total_timeout = total_timeout }) ~= nil
    end)
  end)
end)

describe("a connection that breaks", function()
  for name, answer in pairs {
    ["is closed instead of an answer"] = { drop = true },
    ["is reset instead of an answer"] = { reset = true },
    ["is closed in the middle of the head"] = { body = "[]", cut = 20 },
    ["is reset in the middle of the head"] = { raw = "HTTP/1.1 200 O", close = "reset" },
    ["is closed after an interim answer"] = { raw = "HTTP/1.1 100 Continue\r\n\r\n", close = true },
    ["brings something that is not HTTP"] = { raw = "SSH-2.0-OpenSSH_9.2\r\n", close = true },
  } do
    it(name .. ": a read fails with kind network", function()
      local client, server = always(answer, { max_retries = 0 })
      local value, err = client.users:roles("u1")
      assert.is_nil(value)
      assert.equal("network", err.kind)
      assert.is_nil(err.status)
      assert.is_nil(err.ambiguous)
      assert.equal(1, server:count())
    end)

    it(name .. ": an invitation is sent once and stays in doubt", function()
      local client, server = always(answer)
      local value, err = client.users:invite("u1")
      assert.is_nil(value)
      assert.equal("network", err.kind)
      assert.is_true(err.ambiguous)
      assert.equal(1, server:count())
    end)
  end

  it("before anything was read gives no answer, and no second invitation", function()
    local client, server = always({ reset_before = true }, { max_retries = 1 })
    local value, err = client.users:invite("u1")
    assert.is_nil(value)
    assert.equal("network", err.kind)
    assert.equal(0, server:count())
  end)
end)

describe("a cut body", function()
  local body = ('{"id":"u1","email":"a@example.com","x":"%s"}'):format(("x"):rep(2000))

  for name, script in pairs {
    ["of a known length"] = { body = body, cut = 900 },
    ["in chunks"] = { body = body, chunked = true, cut = 900 },
    ["that ends with a reset"] = {
      raw = "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{", close = "reset" },
  } do
    it(name .. " makes a read fail", function()
      local client = always(script, { max_retries = 0 })
      local value, err = client.users:get("u1")
      assert.is_nil(value)
      assert.equal("network", err.kind)
    end)

    it(name .. " of a read is asked for again", function()
      local server = serve { answers = { script, { body = body } } }
      local response = {}
      local user = connect(server, { max_retries = 1 }).users:get("u1", { response = response })
      assert.equal("u1", user.id)
      assert.equal(2, response.attempts)
    end)

    it(name .. " of a change leaves it done", function()
      local client, server = always(script)
      local response = {}
      assert.is_true(client.users:invite("u1", { response = response }))
      assert.is_string(response.problem)
      assert.same({}, client.users:reactivate("u1", { response = response }))
      assert.is_string(response.problem)
      assert.equal(2, server:count())
    end)
  end

  it("of an error answer leaves the status to be told", function()
    local client = always({ status = 404, body = body, cut = 900 })
    for _, name in ipairs { "invite", "get" } do
      local _, err = client.users[name](client.users, "u1")
      assert.equal("http", err.kind)
      assert.equal(404, err.status)
      assert.is_nil(err.ambiguous)
    end
  end)
end)

describe("a page of HTML", function()
  local page = "<!DOCTYPE html><html><body>Sign in to the hotel's network</body></html>"

  it("with 200 is no answer to a read", function()
    local client = always { body = page, headers = { ["Content-Type"] = "application/json" } }
    local value, err = client.users:roles("u1")
    assert.is_nil(value)
    assert.equal("decode", err.kind)
    assert.equal(200, err.status)
    assert.equal(page, err.body)
    assert.is_nil(err.ambiguous)
  end)

  it("with 200 leaves a change in doubt, whatever stands before it", function()
    for _, before in ipairs { "", " \r\n\t", "\239\187\191" } do
      local client = always { body = before .. page }
      for _, name in ipairs { "invite", "reactivate" } do
        local value, err = client.users[name](client.users, "u1")
        assert.is_nil(value)
        assert.equal("decode", err.kind)
        assert.is_true(err.ambiguous)
      end
    end
  end)

  it("with 502 is told as 502, with the start of the page", function()
    local client = always({ status = 502, body = page }, { max_retries = 0 })
    local _, err = client.users:roles("u1")
    assert.equal("http", err.kind)
    assert.equal(502, err.status)
    assert.matches("hotel's network", tostring(err), 1, true)
    assert.equal(page, err.body)
  end)

  it("is quoted shortly, and kept up to 4 KiB", function()
    local client = always { status = 404, body = "<p>" .. ("x"):rep(10000) }
    local _, err = client.users:get("u1")
    assert.equal(4096, #err.body)
    assert.is_true(#tostring(err) < 400)
  end)
end)

describe("a redirect", function()
  it("is an error, and is not followed", function()
    local elsewhere = serve { answers = { { body = "[]" } } }
    for _, status in ipairs { 301, 302, 303, 307, 308 } do
      local client = always { status = status, headers = { Location = elsewhere.url .. "/x" } }
      for _, name in ipairs { "roles", "invite" } do
        local value, err = client.users[name](client.users, "u1")
        assert.is_nil(value)
        assert.equal("http", err.kind)
        assert.equal(status, err.status)
        assert.equal(1, err.attempts)
      end
    end
    assert.equal(0, (elsewhere:connections()))
  end)
end)

describe("a proxy", function()
  it("of the option is asked for a tunnel to the https server, and never sees the key", function()
    local proxy = serve { answers = { { status = 403, headers = { ["Retry-After"] = "7" } } } }
    local client = connect({ url = "https://api.example/qa" },
      { proxy = proxy.url, max_retries = 1 })
    local _, err = client.users:invite("u1")
    assert.equal("network", err.kind)
    assert.is_nil(err.ambiguous)
    assert.is_nil(err.status)
    assert.is_nil(err.retry_after)
    local request = proxy:requests()[1]
    assert.equal("CONNECT", request.method)
    assert.equal("api.example:443", request.path)
    assert.is_nil(request.head:find(helper.key, 1, true))
  end)

  it("is not used for the hosts of no_proxy", function()
    local proxy = serve { answers = { { status = 403 } } }
    local client = connect({ url = ("https://127.0.0.1:%d"):format(raw.refused_port()) },
      { proxy = proxy.url, no_proxy = "127.0.0.1", max_retries = 0 })
    local _, err = client.users:invite("u1")
    assert.equal("network", err.kind)
    assert.equal(0, (proxy:connections()))
  end)

  it("is never asked for plain http to loopback", function()
    local proxy = serve { answers = { { status = 403 } } }
    local client = always({ body = "[]" }, { proxy = proxy.url })
    assert.same({}, client.users:roles("u1"))
    assert.equal(0, (proxy:connections()))
  end)

  it("of the environment is used for https, and never for plain http to loopback", function()
    local proxy = serve { answers = { { status = 403 } } }
    local server = serve { answers = { { body = "[]" } } }
    local output, code = helper.run_lua([[
      local cipherscale = require "cipherscale"
      local function ask(url)
        local client = cipherscale.new { api_key = "0123456789", base_url = url, max_retries = 0 }
        local roles, err = client.users:roles("u1")
        client:close()
        print(roles and #roles or err.kind)
      end
      ask(os.getenv "SERVER")
      ask "https://api.example"
    ]], {
      SERVER = server.url, http_proxy = proxy.url, HTTP_PROXY = proxy.url,
      https_proxy = proxy.url, ALL_PROXY = proxy.url, all_proxy = proxy.url,
      no_proxy = "", NO_PROXY = "",
    })
    assert.equal(0, code)
    assert.equal("0\nnetwork\n", output)
    assert.equal(1, server:count())
    assert.equal(1, proxy:count())
    assert.equal("CONNECT", proxy:requests()[1].method)
  end)
end)

describe("the API key", function()
  local KEY = 'key/with+"marks"\\=0123456789'

  local function escaped(text)
    return (text:gsub(".", function(c) return ("\\u%04x"):format(c:byte()) end))
  end

  local function contains(value, text)
    if type(value) == "string" then return value:find(text, 1, true) ~= nil end
    if type(value) ~= "table" then return false end
    for name, field in pairs(value) do
      if contains(name, text) or contains(field, text) then return true end
    end
    return false
  end

  local function assert_silent(answer, options)
    local merged = { api_key = KEY, max_retries = 0, timeout = 0.1, max_response_bytes = 3000 }
    for name, value in pairs(options or {}) do merged[name] = value end
    local client = always(answer, merged)
    for _, name in ipairs { "get", "invite", "reactivate" } do
      local response = {}
      local value, err = client.users[name](client.users, "u1", { response = response })
      assert.is_false(contains(err, KEY), name .. ": in a field of the error")
      assert.is_false(contains(tostring(err), KEY), name .. ": in the error's text")
      assert.is_false(contains(response, KEY), name .. ": in the response")
      if answer.status ~= 200 then assert.is_nil(value) end
    end
    assert.is_false(contains(tostring(client), KEY))
  end

  it("is in no error's fields or text, of whatever kind", function()
    assert_silent { drop = true }
    assert_silent { hang = true }
    assert_silent { status = 200, body = "not JSON: " .. KEY }
    assert_silent { status = 200, body = "<html>" .. KEY }
    assert_silent { status = 401 }
  end)

  it("is blanked out where the server sends it back", function()
    assert_silent { status = 401, body = "Wrong key: " .. KEY }
    assert_silent { status = 401, body = KEY .. KEY, headers = { ["X-Request-Id"] = KEY } }
    assert_silent { status = 401, reason = "Bad key " .. KEY }
    assert_silent { status = 200, body = "{}", headers = { ["X-Debug"] = "apikey: " .. KEY } }
    assert_silent { status = 500, body = KEY .. ("x"):rep(5000) }
  end)

  it("is blanked out where it comes back escaped", function()
    local json = KEY:gsub("[\\\"]", "\\%0")
    assert_silent { status = 401, body = ('{"message":"wrong key %s"}'):format(json) }
    assert_silent { status = 401, body = ('{"message":"%s"}'):format(json:gsub("/", "\\/")) }
    assert_silent { status = 401, body = ('{"message":"%s"}'):format(escaped(KEY)) }
    assert_silent { status = 401, body = ('{"error":{"code":"%s"}}'):format(escaped(KEY)) }
    assert_silent { status = 401, body = ('{"message":["a","%s"]}'):format(escaped(KEY)) }
  end)

  it("is blanked out where a long text is cut in the middle of it", function()
    for extra = 0, #KEY do
      assert_silent { status = 404, body = ("x"):rep(200 - extra) .. KEY }
    end
  end)

  it("is not in what a failed handshake says", function()
    local _, err = connect(REFUSED, { api_key = KEY, max_retries = 0 }).users:get("u1")
    assert.is_false(contains(err, KEY))
  end)
end)
