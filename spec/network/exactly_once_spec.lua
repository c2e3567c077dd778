-- SPDX-License-Identifier: MIT
-- An invitation mails somebody: however a connection dies, the server sees it at most once,
-- although libcurl repeats by itself on a connection it has used before. What may be
-- repeated is.
local helper = require "spec.support.helper"
local nginx = require "spec.support.nginx"
local raw = require "spec.support.server"
local setting = require "spec.support.setting"

local start = setting.start
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end)

local function invite_path(id)
  return ("/tenants/users/%s/invite"):format(id)
end

local function assert_in_doubt(value, err)
  assert.is_nil(value)
  assert.equal("network", err.kind)
  assert.is_true(err.ambiguous)
  assert.equal(1, err.attempts)
end

-- A kept connection that does the work, and then …
for name, rules in pairs {
  ["is closed without an answer"] = { drop_after = 1 },
  ["is reset without an answer"] = { reset_after = 1 },
} do
  describe("a kept connection that " .. name, function()
    it("has got an invitation exactly once, and leaves it in doubt", function()
      start { answers = { { body = "[]" } }, per_connection = rules }
      assert.same({}, client.users:roles("warm"))
      assert_in_doubt(client.users:invite("u1"))
      assert.equal(1, server:paths()[invite_path "u1"])
    end)

    it("costs the next call nothing", function()
      start { answers = { { body = "[]" } }, per_connection = rules }
      client.users:roles("warm")
      client.users:invite("u1")
      local response = {}
      assert.is_true(client.users:invite("u2", { response = response }))
      assert.equal(1, response.attempts)
    end)

    it("makes a read go again at once, as a second attempt", function()
      local events = {}
      start({ answers = { { body = "[]" } }, per_connection = rules },
        { on_event = function(event) events[#events + 1] = event end })
      client.users:roles("warm")
      local response = {}
      assert.same({}, client.users:roles("u1", nil, { response = response }))
      assert.equal(2, response.attempts)
      assert.equal("again", events[2].next)
      assert.equal(0, events[2].delay)
      assert.is_nil(response.repeated)
      assert.equal(2, server:paths()["/tenants/users/u1/roles"])
    end)

    it("makes a repeatable change go again", function()
      start { answers = { { body = "[]" } }, per_connection = rules }
      client.users:roles("warm")
      local response = {}
      local changes = { addedRoles = { "r1" } }
      assert.is_true(client.users:update_roles("u1", changes, { response = response }))
      assert.equal(2, response.attempts)
      local first, second = server:requests()[2], server:requests()[3]
      assert.equal(first.body, second.body)
      assert.equal(first.head, second.head)
    end)

    it("is the end of a change when max_retries is 0", function()
      start({ answers = { { body = "[]" } }, per_connection = rules }, { max_retries = 0 })
      client.users:roles("warm")
      assert_in_doubt(client.users:update_roles("u1", {}))
      assert.equal(1, server:paths()["/tenants/users/u1/roles"])
    end)

    it("is the end of a read when max_retries is 0", function()
      start({ answers = { { body = "[]" } }, per_connection = rules }, { max_retries = 0 })
      client.users:roles("warm")
      local value, err = client.users:get("u1")
      assert.is_nil(value)
      assert.equal("network", err.kind)
      assert.is_nil(err.ambiguous)
      assert.equal(1, server:paths()["/tenants/users/u1"])
    end)

    it("has got each of many invitations at once exactly once", function()
      start({ answers = { { body = "[]" } }, per_connection = rules }, { max_in_flight = 8 })
      local done, doubtful = 0, 0
      client:run(function(tasks)
        for i = 1, 64 do
          tasks:spawn(function()
            local value, err = client.users:invite("u" .. i)
            if value then
              done = done + 1
            else
              assert_in_doubt(value, err)
              doubtful = doubtful + 1
            end
          end)
        end
      end)
      local counts = server:paths()
      for i = 1, 64 do assert.equal(1, counts[invite_path("u" .. i)]) end
      assert.equal(64, done + doubtful)
      assert.is_true(done > 0)
      assert.is_true(doubtful > 0)
    end)

    it("makes every one of many reads at once succeed", function()
      start({ answers = { { body = "[]" } }, per_connection = rules }, { max_in_flight = 8 })
      local done = 0
      client:run(function(tasks)
        for i = 1, 64 do
          tasks:spawn(function()
            assert(client.users:roles("u" .. i))
            done = done + 1
          end)
        end
      end)
      assert.equal(64, done)
    end)
  end)
end

describe("a new connection that does the work and gives no answer", function()
  for name, answer in pairs {
    ["but closes"] = { drop = true },
    ["but resets"] = { reset = true },
    ["but takes its time, and closes"] = { drop = true, delay = 0.05 },
    ["but the head of one"] = { raw = "HTTP/1.1 200 OK\r\nX: y\r\n", close = true },
    ["but an interim one"] = { raw = "HTTP/1.1 103 Early Hints\r\n\r\n", close = true },
  } do
    it(name .. ", has got the invitation exactly once", function()
      start { answers = { answer, { body = "sent" } } }
      assert_in_doubt(client.users:invite("u1"))
      assert.equal(1, server:count())
    end)
  end

  it("makes a read and a repeatable change go again", function()
    start { answers = { { drop = true }, { body = "[]" }, { reset = true, close = true }, {} } }
    assert.same({}, client.users:roles("u1"))
    local response = {}
    assert.is_true(client.users:update_roles("u1", {}, { response = response }))
    assert.is_true(response.attempts >= 2)
  end)
end)

describe("a kept connection that was closed while nobody used it", function()
  -- Until our side of all connections knows: on a busy machine that is a moment later.
  local function wait_until_closed()
    assert.is_true(server:wait_open(0))
    local established, patience = (":%04X 01 "):format(server.port), raw.now() + 5
    local text
    repeat
      local file = assert(io.open "/proc/net/tcp")
      text = file:read "*a"
      file:close()
    until not text:find(established, 1, true) or raw.now() > patience
  end

  it("is not used again: the invitation is sent once, and answered", function()
    start { answers = { { body = "[]" } }, per_connection = { close_after = 1 } }
    for i = 1, 5 do
      wait_until_closed()
      local response = {}
      assert.is_true(client.users:invite("u" .. i, { response = response }))
      assert.equal(1, response.attempts)
    end
    assert.equal(5, server:count())
    assert.equal(5, (server:connections()))
  end)

  it("is not used again after many were kept", function()
    start({
      answers = { { body = "[]", delay = 0.02 } }, per_connection = { close_after = 1 },
    }, { max_in_flight = 8 })
    client:run(function(tasks)
      for i = 1, 8 do tasks:spawn(function() client.users:roles("warm" .. i) end) end
    end)
    assert.equal(8, (server:connections()))
    server:clear_requests()
    for i = 1, 8 do
      wait_until_closed() -- the connection of the invitation before, too
      assert.is_true(client.users:invite("u" .. i))
    end
    assert.equal(8, server:count())
  end)
end)

describe("one kept connection after the other that dies", function()
  -- libcurl, which counts over the life of a handle, would give up at the sixth.
  it("makes reads go again at once, and leaves invitations in doubt, however many", function()
    local events = {}
    start({ answers = { { body = "[]" } }, per_connection = { drop_after = 1 } }, {
      max_in_flight = 1,
      on_event = function(event) events[#events + 1] = event end,
    })
    for _ = 1, 20 do
      assert.same({}, client.users:roles "u1")
      assert.same({}, client.users:roles "u1")
      local _, err = client.users:invite "u1"
      assert.equal("the server closed the connection without an answer", err.message)
      assert.is_true(err.ambiguous)
    end
    for _, event in ipairs(events) do
      if event.next == "again" then assert.equal(0, event.delay) end
    end
    assert.equal(20, server:paths()[invite_path "u1"])
  end)
end)

describe("more dead connections than attempts", function()
  it("do not make a read fail while the server is well", function()
    helper.patiently(0.05, function(delay)
      start({
        answers = { { body = "[]", delay = delay } }, per_connection = { drop_after = 1 },
      }, { max_in_flight = 12 })
      client:run(function(tasks)
        for i = 1, 12 do tasks:spawn(function() client.users:roles("warm" .. i) end) end
      end)
      return server:connections() == 12
    end)
    assert.same({}, client.users:roles("u1"))
  end)
end)

describe("an invitation that was certainly not sent", function()
  it("is tried again, and is not in doubt", function()
    start { answers = {} }
    client:close()
    client = helper.client({ url = ("http://127.0.0.1:%d"):format(raw.refused_port()) },
      { max_retries = 1 })
    local _, err = client.users:invite("u1")
    assert.equal(2, err.attempts)
    assert.is_nil(err.ambiguous)
  end)
end)

describe("an invitation that was refused for now", function()
  it("is sent again: the server has said that it did nothing", function()
    local wait = { ["Retry-After"] = "0.01" }
    start { answers = {
      { status = 429, headers = wait }, { status = 503, headers = wait }, { body = "sent" } } }
    local response = {}
    assert.is_true(client.users:invite("u1", { response = response }))
    assert.equal(3, response.attempts)
  end)

  it("and then lost is not sent a third time", function()
    start { answers = {
      { status = 429, headers = { ["Retry-After"] = "0.01" } }, { drop = true }, {} } }
    local value, err = client.users:invite("u1")
    assert.is_nil(value)
    assert.equal(2, err.attempts)
    assert.is_true(err.ambiguous)
    assert.equal(2, server:count())
  end)
end)

describe("HTTP/2", function()
  local web

  local function log()
    local counts, total = {}, 0
    for path in io.lines(web.folder .. "/access.log") do
      counts[path] = (counts[path] or 0) + 1
      total = total + 1
    end
    return counts, total
  end

  after_each(function()
    if web then web:stop() end
    web = nil
  end)

  it("gets each of many invitations at most once from connections that go away", function()
    web = nginx.start {
      http2 = true, tls = true, http = "log_format path '$uri';",
      block = "keepalive_requests 5; access_log access.log path;\n" .. nginx.answer(200, "[]"),
    }
    client = helper.client(web, { http_version = "2", max_in_flight = 16, ca_file = web.ca_file })
    local done, doubtful = {}, 0
    client:run(function(tasks)
      for i = 1, 200 do
        tasks:spawn(function()
          local value, err = client.users:invite("u" .. i)
          if value then
            done[invite_path("u" .. i)] = true
          else
            assert.is_true(err.ambiguous)
            doubtful = doubtful + 1
          end
        end)
      end
    end)
    local counts, total = log()
    for path, count in pairs(counts) do assert.equal(1, count, path) end
    for path in pairs(done) do assert.equal(1, counts[path], path) end
    assert.is_true(total + doubtful >= 200)
    assert.is_true(next(done) ~= nil)
  end)
end)
