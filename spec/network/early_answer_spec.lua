-- SPDX-License-Identifier: MIT
-- A gateway may answer before it has read the body: 401, 413, 429. That is an answer,
-- whatever libcurl ends the transfer with.
local helper = require "spec.support.helper"
local nginx = require "spec.support.nginx"
local setting = require "spec.support.setting"

local unpack = table.unpack or unpack

local start = setting.start
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end)

-- A body of some megabytes: more than the sockets between us can hold.
local many = {}
for i = 1, 150000 do many[i] = ("role-%032d"):format(i) end
local LARGE, SMALL = { addedRoles = many }, { addedRoles = { "r1" } }
local MIDDLE = { addedRoles = { unpack(many, 1, 1000) } } -- below HTTP/2's first window

local function assert_refused(status, value, err)
  assert.is_nil(value)
  assert.equal("http", err.kind)
  assert.equal(status, err.status)
  assert.equal("said early", err.message)
  assert.equal(1, err.attempts)
  assert.is_nil(err.ambiguous)
end

local BODY = '{"message":"said early"}'

describe("over HTTP/1.1", function()
  for size, changes in pairs { small = SMALL, large = LARGE } do
    for _, status in ipairs { 401, 413, 429 } do
      it(("%d before a %s body is the answer"):format(status, size), function()
        start({ answers = { { status = status, body = BODY, early = true } } },
          { max_retries = 0 })
        assert_refused(status, client.users:update_roles("u1", changes))
      end)

      it(("%d before a %s body, and the end, is the answer"):format(status, size), function()
        start({ answers = { { status = status, body = BODY, early = true, close = true } } },
          { max_retries = 0 })
        assert_refused(status, client.users:update_roles("u1", changes))
      end)
    end

    it(("an answer that says 'close' before a %s body is the answer"):format(size), function()
      start { answers = { {
        status = 413, body = BODY, early = true, close = true, headers = { Connection = "close" },
      } } }
      assert_refused(413, client.users:update_roles("u1", changes))
    end)

    it(("429 before a %s body makes the change wait, and go again"):format(size), function()
      start { answers = {
        { status = 429, early = true, close = true, headers = { ["Retry-After"] = "0.01" } }, {} } }
      local response = {}
      assert.is_true(client.users:update_roles("u1", changes, { response = response }))
      assert.equal(2, response.attempts)
      assert.equal(2, server:count())
      local body = server:requests()[2].body
      assert.equal(#changes.addedRoles, select(2, body:gsub('"ro?l?e?%-?%d+"', "")))
    end)
  end

  it("the next call works, on whatever connection", function()
    for _, close in ipairs { true, false } do
      start { answers = {
        { status = 413, body = BODY, early = true, close = close or nil }, { body = "[]" } } }
      for _ = 1, 2 do client.users:update_roles("u1", LARGE) end
      assert.same({}, client.users:roles("u1"))
      client:close()
      server:stop()
    end
  end)

  it("an interim answer is none", function()
    start { answers = { {
      raw = "HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\nX-Request-Id: hint\r\n\r\n"
        .. "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" } } }
    local _, err = client.users:update_roles("u1", SMALL)
    assert.equal(404, err.status)
    assert.is_nil(err.retry_after)
    assert.is_nil(err.request_id)
  end)

  it("a reset after an early answer leaves an answer or a change in doubt", function()
    start({ answers = { { status = 413, body = BODY, early = true, close = "reset" } } },
      { max_retries = 0 })
    local value, err = client.users:update_roles("u1", LARGE)
    assert.is_nil(value)
    assert.is_true(err.status == 413 or err.kind == "network" and err.ambiguous)
  end)
end)

describe("of nginx", function()
  local web

  local function start_web(options, status, headers)
    options.block = nginx.answer(status, BODY, headers)
    web = nginx.start(options)
    return web
  end

  after_each(function()
    if web then web:stop() end
    web = nil
  end)

  local function ask(kind, status, headers, options)
    start_web({ http2 = kind.http2, tls = kind.tls }, status, headers)
    local merged = { http_version = kind.http2 and "2" or "1.1", ca_file = web.ca_file }
    for name, value in pairs(options) do merged[name] = value end
    client = helper.client(web, merged)
  end

  for name, kind in pairs {
    ["over HTTP/1.1"] = {},
    ["over HTTP/2 and TLS"] = { http2 = true, tls = true },
    ["over HTTP/2 in plain text"] = { http2 = true },
  } do
    for _, status in ipairs { 401, 413, 429 } do
      it(("%d %s is the answer"):format(status, name), function()
        local headers = status == 429 and { ["Retry-After"] = "0.001" } or nil
        ask(kind, status, headers, { max_retries = 0 })
        for _ = 1, 3 do
          assert_refused(status, client.users:update_roles("u1", SMALL))
          assert_refused(status, client.users:update_roles("u1", MIDDLE))
          assert_refused(status, client.users:reactivate("u1"))
        end
      end)
    end

    it(("429 %s is the answer to many at once"):format(name), function()
      ask(kind, 429, { ["Retry-After"] = "100" }, { max_retry_wait = 1, max_in_flight = 8 })
      client:run(function(tasks)
        for _ = 1, 8 do
          tasks:spawn(function()
            local value, err = client.users:update_roles("u1", SMALL)
            assert_refused(429, value, err)
            assert.equal(100, err.retry_after)
          end)
        end
      end)
    end)
  end

  it("413 over HTTP/1.1 is the answer to a large body", function()
    ask({}, 413, nil, { max_retries = 0 })
    for _ = 1, 3 do assert_refused(413, client.users:update_roles("u1", LARGE)) end
  end)

  -- libcurl may take the answer for a broken stream when it has more to send than HTTP/2's
  -- window lets it; then nobody can know what became of the change.
  it("413 over HTTP/2 to a large body is the answer, or leaves the change in doubt", function()
    for _, tls in ipairs { true, false } do
      ask({ http2 = true, tls = tls }, 413, nil, { max_retries = 0 })
      for _ = 1, 3 do
        local value, err = client.users:update_roles("u1", LARGE)
        assert.is_nil(value)
        assert.is_true(err.status == 413 or err.kind == "network" and err.ambiguous)
      end
      client:close()
      web:stop()
    end
  end)
end)

describe("HTTP/2 over plain http to loopback", function()
  local web

  before_each(function()
    web = nginx.start { http2 = true, block = nginx.answer(200, "[]") }
    client = helper.client(web, { http_version = "2" })
  end)

  after_each(function() web:stop() end)

  it("serves one call after another", function()
    for i = 1, 5 do
      local response = {}
      assert.same({}, client.users:roles("u" .. i, nil, { response = response }))
      assert.equal(1, response.attempts)
      assert.is_true(client.users:invite("u" .. i))
    end
  end)

  it("serves many calls at once", function()
    client:run(function(tasks)
      for i = 1, 100 do tasks:spawn(function() assert(client.users:invite("u" .. i)) end) end
    end)
  end)
end)
