-- SPDX-License-Identifier: MIT
--
-- The sandbox's misbehaviours, as a client meets them.

local helper = require "spec.support.helper"
local misbehaviour = require "cipherscale.sandbox.misbehaviour"
local now = require("cipherscale.core").now
local sandbox = require "cipherscale.sandbox"
local setting = require "spec.support.setting"
local wire = require "spec.sandbox.wire"

describe("the sandbox's misbehaviour", function()
  local server, client

  setting.install(after_each, function(a_client, a_server)
    client, server = a_client, a_server
  end, { max_retries = 0 })

  local function start(misbehave, options)
    setting.sandbox({ users = 3, misbehave = misbehave }, options)
  end

  -- What n calls give, in order: "ok", a status, or the kind of the error.
  local function outcomes(n, call)
    local list = {}
    for i = 1, n do
      local value, err = (call or client.roles.list)(client.roles)
      list[i] = tostring(value and "ok" or err.kind == "http" and err.status or err.kind)
    end
    return table.concat(list, " ")
  end

  it("can be changed at run time, and ends with {}", function()
    start { fail = {} }
    assert.equal("500 500", outcomes(2))
    server:misbehave {}
    assert.equal("ok", outcomes(1))
    server:misbehave { fail = { status = 503 } }
    assert.equal("503", outcomes(1))
  end)

  it("does not concern requests with a wrong key", function()
    start { fail = { times = 1 } }
    assert.equal(401, (wire.send(server, { path = "/tenants/roles", key = "wrong" })))
    assert.equal("500 ok", outcomes(2))
  end)

  describe("match", function()
    it("limits a rule by method and by the path below the base path", function()
      start { match = { method = "get", path = "^/tenants/roles$" }, fail = {} }
      assert.equal("500", outcomes(1))
      assert.is_table(client.users:page())
    end)

    it("decides which requests a rule counts", function()
      start { match = { path = "roles" }, fail = { every = 2 } }
      client.users:page()
      assert.equal("ok", outcomes(1))
      client.users:page()
      assert.equal("500 ok", outcomes(2))
    end)
  end)

  it("of several rules applies each in order", function()
    start {
      fail = { times = 1, status = 502 },
      also = { { fail = { times = 1, status = 503 } }, { match = { path = "x" }, fail = {} } },
    }
    assert.equal("502 503 ok", outcomes(3))
    server:misbehave {
      { fail = { times = 1, status = 500 } },
      { fail = { times = 1, status = 501 } },
    }
    assert.equal("500 501 ok", outcomes(3))
  end)

  describe("fail", function()
    it("hits every n-th, the first n, or n after some", function()
      start { fail = { every = 3 } }
      assert.equal("ok ok 500 ok ok 500", outcomes(6))
      server:misbehave { fail = { times = 2 } }
      assert.equal("500 500 ok", outcomes(3))
      server:misbehave { fail = { after = 1, every = 2, times = 1 } }
      assert.equal("ok ok 500 ok ok", outcomes(5))
    end)

    it("does not do the work", function()
      start { fail = {} }
      local state = server:state()
      client.users:update_roles(state.users[2].id, { addedRoles = { state.roles[6].id } })
      assert.same({}, server:state().users[2].roles)
    end)

    it("answers as it is told", function()
      start { fail = { status = 503, body = { reason = "x" }, headers = { ["Retry-After"] = 7 } } }
      local status, body, head = wire.send(server, { path = "/tenants/roles" })
      assert.same({ 503, '{"reason":"x"}' }, { status, body })
      assert.truthy(head:find("Retry-After: 7\r\n", 1, true))
      server:misbehave { fail = { status = 502, body = "<html>Bad Gateway</html>" } }
      status, body, head = wire.send(server, { path = "/tenants/roles" })
      assert.same({ 502, "<html>Bad Gateway</html>" }, { status, body })
      assert.truthy(head:find("Content-Type: text/html", 1, true))
      server:misbehave { fail = { body = "", headers = { ["Content-Type"] = "a/b" } } }
      status, body, head = wire.send(server, { path = "/tenants/roles" })
      assert.same({ 500, "" }, { status, body })
      assert.truthy(head:find("Content-Type: a/b", 1, true))
    end)
  end)

  describe("latency", function()
    it("delays the answer, not the work", function()
      start { latency = 0.15 }
      local started = now()
      assert.equal("ok", outcomes(1))
      assert.is_true(now() - started >= 0.15)
      assert.equal(200, server:requests()[1].status)
    end)

    it("of one request holds up no other", function()
      helper.patiently(0.3, function(latency)
        start { match = { path = "roles$" }, latency = latency }
        local order = {}
        client:run(function(tasks)
          for _ = 1, 3 do
            tasks:spawn(function()
              client.roles:list()
              order[#order + 1] = "slow"
            end)
          end
          for _ = 1, 5 do
            client.users:page()
            order[#order + 1] = "fast"
          end
        end)
        assert.equal(8, #order)
        return table.concat(order, " ") == "fast fast fast fast fast slow slow slow"
      end)
    end)
  end)

  describe("stall", function()
    -- Makes a call that is stalled, others until the server has got it, and one more; then gives
    -- it up.
    local function give_up(call)
      server:clear_requests()
      client:run(function(tasks)
        local task = tasks:spawn(function() return select(2, call()) end)
        local patience, stalled = now() + 20, nil
        repeat
          assert(client.users:page())
          for _, request in ipairs(server:requests()) do
            if request.stalled then stalled = request end
          end
        until stalled or now() > patience
        assert.is_table(stalled)
        assert.is_nil(stalled.status)
        assert(client.users:page())
        tasks:cancel(task)
        assert.equal("cancelled", tasks:wait(task).kind)
      end)
    end

    it("never answers the first n, while others are served", function()
      start { match = { path = "roles$" }, stall = 1 }
      give_up(function() return client.roles:list() end)
      assert.equal("ok ok", outcomes(2))
    end)

    it("is a timeout for the client", function()
      start({ stall = {} }, { timeout = 0.2 })
      assert.equal("timeout", outcomes(1))
    end)

    it("does the work only when told to", function()
      start { match = { method = "PATCH" }, stall = { times = 1 } }
      local state = server:state()
      local function add()
        local change = { addedRoles = { state.roles[6].id } }
        return client.users:update_roles(state.users[2].id, change)
      end
      give_up(add)
      assert.same({}, server:state().users[2].roles)
      server:misbehave { match = { method = "PATCH" }, stall = { work = true } }
      give_up(add)
      assert.equal(1, #server:state().users[2].roles)
    end)
  end)

  it("lose does the work and closes without an answer", function()
    start { lose = { times = 1 } }
    local state = server:state()
    local ok, err = client.users:update_roles(state.users[2].id,
      { addedRoles = { state.roles[6].id } })
    assert.is_nil(ok)
    assert.same({ "network", true }, { err.kind, err.ambiguous })
    assert.equal("AUDITOR", server:state().users[2].roles[1].type)
    assert.is_true(server:requests()[1].lost)
    assert.is_nil(server:requests()[1].status)
    assert.equal("ok", outcomes(1))
  end)

  describe("cut", function()
    it("sends the first bytes of a body, or half of it, and closes", function()
      start { cut = { times = 1, bytes = 10 } }
      local status, body = wire.send(server, { path = "/tenants/roles" })
      assert.same({ 200, 10 }, { status, #body })
      assert.is_true(server:requests()[1].cut)
      local _, whole = wire.send(server, { path = "/tenants/roles" })
      server:misbehave { cut = {} }
      _, body = wire.send(server, { path = "/tenants/roles" })
      assert.equal(math.floor(#whole / 2), #body)
      assert.equal("network", outcomes(1))
    end)

    it("leaves an answer whole that is not longer", function()
      start { cut = { bytes = 100000 } }
      assert.equal("ok", outcomes(1))
      assert.is_nil(server:requests()[1].cut)
    end)

    it("of nothing at all sends only the head", function()
      start { cut = { bytes = 0 } }
      local status, body, head = wire.send(server, { path = "/tenants/roles" })
      assert.same({ 200, "" }, { status, body })
      assert.matches("Content%-Length: %d%d%d", head)
    end)
  end)

  describe("limit", function()
    -- Each by a client of its own: one that is refused would slow down.
    local function outcomes_of(n)
      local list = {}
      for i = 1, n do
        client = server:client { max_retries = 0 }
        list[i] = outcomes(1)
        client:close()
      end
      return table.concat(list, " ")
    end

    local function retry_after(rule)
      server:misbehave { limit = rule }
      wire.send(server, { path = "/tenants/roles" })
      local status, _, head = wire.send(server, { path = "/tenants/roles" })
      assert.equal(429, status)
      return head:match("\r\nRetry%-After: (.-)\r\n")
    end

    -- What a limit says to reads at these seconds of a clock of its own: "ok", or its Retry-After.
    local function said(limit, times)
      local rules, list = misbehaviour.compile { { limit = limit } }, {}
      for i, seconds in ipairs(times) do
        local refusal = rules:decide("GET", "/tenants/roles", 1000 + seconds).answer
        list[i] = refusal and (refusal.headers and refusal.headers[2] or "refused") or "ok"
      end
      return table.concat(list, " ")
    end

    it("by window lets so many pass in each", function()
      start { limit = { requests = 2, seconds = 60 } }
      assert.equal("ok ok 429 429", outcomes_of(4))
      assert.equal("ok ok 1.500 0.125 ok ok 2.000", said(
        { requests = 2, seconds = 2, retry_after = "decimal" },
        { 0, 0.25, 0.5, 1.875, 2, 2, 2 }))
    end)

    it("by window begins with the first request after the last one ended", function()
      assert.equal("ok 0.500 ok 1.000 0.250 ok", said(
        { per_second = 1, retry_after = "decimal" }, { 0, 0.5, 5.5, 5.5, 6.25, 6.5 }))
    end)

    it("by bucket fills up again little by little", function()
      start { limit = { style = "bucket", per_minute = 1, burst = 3 } }
      assert.equal("ok ok ok 429", outcomes_of(4))
      assert.equal("ok ok ok 0.500 0.125 ok 0.500 ok ok ok 0.500", said(
        { style = "bucket", per_second = 2, burst = 3, retry_after = "decimal" },
        { 0, 0, 0, 0, 0.375, 0.5, 0.5, 60, 60, 60, 60 }))
    end)

    it("counts reads and writes apart when told to", function()
      start { limit = { per_minute = 1, split = true } }
      local id = server:state().users[2].id
      assert.equal("ok 429", outcomes(2))
      assert.is_true(client.users:update_roles(id, {}))
      assert.equal(429, select(2, client.users:update_roles(id, {})).status)
    end)

    it("says when to come again, in each style", function()
      local function of(style, at)
        return said({ per_minute = 1, retry_after = style }, { 0, at }):sub(4)
      end
      assert.equal("60", of("whole", 0.5))
      assert.equal("59", of("whole", 1))
      assert.equal("1", of("whole", 59.75))
      assert.equal("0.250", of("decimal", 59.75))
      assert.equal("refused", of("missing", 1))
      assert.equal("60", said({ style = "bucket", per_minute = 1 }, { 0, 0.5 }):sub(4))
      start {}
      assert.matches("^[1-6]%d?$", retry_after { per_minute = 1 })
      assert.matches("^%d%d?%.%d%d%d$", retry_after { per_minute = 1, retry_after = "decimal" })
      assert.matches("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$",
        retry_after { per_minute = 1, retry_after = "date" })
      assert.is_nil(retry_after { per_minute = 1, retry_after = "missing" })
      assert.equal("99999999999", retry_after { per_minute = 1, retry_after = 99999999999 })
      assert.equal("soon", retry_after { per_minute = 1, retry_after = "soon" })
    end)

    it("is waited out by a client that may retry", function()
      helper.patiently(0.2, function(seconds)
        start({ limit = { requests = 1, seconds = seconds, retry_after = "decimal" } },
          { max_retries = 3 })
        assert.equal("ok ok ok", outcomes(3))
        local refused = 0
        for _, request in ipairs(server:requests()) do
          if request.status == 429 then refused = refused + 1 end
        end
        return refused >= 1
      end)
    end)
  end)

  it("raises on rules that make no sense", function()
    start {}
    local function raises(rules, text)
      local ok, problem = pcall(server.misbehave, server, rules)
      assert.is_false(ok)
      assert.equal("bad argument #1 to 'misbehave' (" .. text .. ")",
        (problem:gsub("^.-:%d+: ", "")))
    end
    raises(nil, "misbehave: table expected, got nil")
    raises({ latncy = 1 }, "misbehave: unknown misbehaviour 'latncy'; did you mean 'latency'?")
    raises({ latency = -1 }, "misbehave.latency: number of at least 0 expected, got -1")
    raises({ { latency = 1 }, { fail = { evry = 1 } } },
      "misbehave[2].fail: unknown field 'evry'; did you mean 'every'?")
    raises({ fail = { every = 0 } },
      "misbehave.fail.every: whole number of at least 1 expected, got 0")
    raises({ fail = { status = 700 } },
      "misbehave.fail.status: a status up to 599 expected, got 700")
    raises({ fail = { headers = { ["a b"] = "x" } } },
      "misbehave.fail.headers: 'a b' is no valid header")
    raises({ match = { path = "%" } }, "misbehave.match.path: a Lua pattern expected, got '%'")
    raises({ limit = {} },
      "misbehave.limit: one of per_second, per_minute, or requests with seconds expected")
    raises({ limit = { per_second = 1, style = "leaky" } },
      "misbehave.limit.style: 'window' or 'bucket' expected, got 'leaky'")
    assert.equal("ok", outcomes(1))
    assert.has_error(function() sandbox.start { misbehave = { stal = 1 } } end)
  end)
end)
