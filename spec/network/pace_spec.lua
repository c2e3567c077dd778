-- SPDX-License-Identifier: MIT
-- The pace of a client over real HTTP: limits of the sandbox, and single refusals of a scripted
-- server. Nothing here asserts how long it takes; see spec/pace_limits_spec.lua and bench/pace.lua.
local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local raw = require "spec.support.server"
local sandbox = require "cipherscale.sandbox"

local client, server

local function start(answers, options)
  server = raw.start { answers = answers }
  client = helper.client(server, options)
end

after_each(function()
  if client then
    assert.equal(0, core.in_use(client))
    client:close()
  end
  if server then server:stop() end
  client, server = nil, nil
end)

local function busy(retry_after, status)
  return { status = status or 429, headers = { ["Retry-After"] = retry_after } }
end

local function limited(limit, options)
  server = sandbox.start { users = 40, misbehave = { limit = limit } }
  client = server:client(options)
end

-- Changes of roles, many at once; how many requests were sent and refused.
local function change_roles(n)
  local state, ids = server:state(), {}
  for i = 1, n do ids[i] = state.users[i % 40 + 1].id end
  local changes = { addedRoles = { state.roles[6].id } }
  local done = 0
  client:run(function(tasks)
    for _, ok, err in tasks:map(ids, function(id)
      return client.users:update_roles(id, changes)
    end) do
      assert.is_true(ok, tostring(err))
      done = done + 1
    end
  end)
  assert.equal(n, done)
  local sent, refused = 0, 0
  for _, request in ipairs(server:requests()) do
    sent = sent + 1
    if request.status == 429 then refused = refused + 1 end
  end
  assert.equal(n, sent - refused)
  return sent, refused
end

describe("a job of 2,000 changes at 200 a second", function()
  it("is done, with fewer than one request in twenty refused", function()
    limited({ per_second = 200 }, { max_retries = 1 })
    local sent, refused = change_roles(2000)
    assert.is_true(refused > 0)
    assert.is_true(refused < 0.05 * sent, ("%d of %d refused"):format(refused, sent))
  end)
end)

-- What is in flight when the first one is refused may be refused, too; later there are few.
describe("a job at the limit of", function()
  for name, case in pairs {
    ["20 changes a second, reads apart"] = { { per_second = 20, split = true }, 40 },
    ["a bucket of 40 and 40 a second"] = { { style = "bucket", per_second = 40 }, 70 },
    ["40 a second, with decimals"] = { { per_second = 40, retry_after = "decimal" }, 60 },
    ["40 a second, with a date"] = { { per_second = 40, retry_after = "date" }, 50 },
    ["40 a second, without Retry-After"] = { { per_second = 40, retry_after = "missing" }, 60 },
  } do
    it(name .. " settles", function()
      limited(case[1], { max_retries = 1, max_in_flight = 8 })
      local _, refused = change_roles(case[2])
      assert.is_true(refused > 0 and refused <= 8 + 6, refused .. " refused")
      assert.is_true((core.pace(client)) > 0)
    end)
  end
end)

describe("while changes wait", function()
  it("reads go on, and the other way round", function()
    start({ busy "50", { body = "[]" }, { body = "[]" } }, { max_in_flight = 4 })
    client:run(function(tasks)
      tasks:spawn(client.users.invite, client.users, "u1")
      tasks:spawn(function()
        while server:count() < 1 or select(2, core.pace(client)) == 0 do coroutine.yield() end
        assert.same({}, client.users:roles("u2"))
        local write_rate, write_wait, read_rate, read_wait = core.pace(client)
        assert.is_nil(write_rate)
        assert.is_true(write_wait > 40 and write_wait <= 50)
        assert.is_nil(read_rate)
        assert.equal(0, read_wait)
        tasks:cancel()
      end)
    end)
    assert.equal(2, server:count())
  end)

  it("no other change is sent", function()
    start({ busy "0.3", {} }, { max_in_flight = 8 })
    local sent
    client:run(function(tasks)
      for i = 1, 8 do tasks:spawn(client.users.invite, client.users, "u" .. i) end
      tasks:wait()
      sent = server:count()
    end)
    -- All eight were on their way when the first was refused, and only that one was.
    assert.equal(9, sent)
    start({ busy "0.2", {} }, { max_in_flight = 1 })
    client:run(function(tasks)
      tasks:spawn(function() assert.is_true(client.users:invite("u1")) end)
      tasks:spawn(function() assert.is_true(client.users:invite("u2")) end)
    end)
    local ids = {}
    for i, request in ipairs(server:requests()) do ids[i] = request.path:match("users/(.-)/") end
    assert.same({ "u1", "u1", "u2" }, ids)
  end)

  it("a client of the same service does as it likes", function()
    start({ busy "50", {} }, { max_retry_wait = 1 })
    assert.equal(50, select(2, client.users:invite("u1")).retry_after)
    local other = helper.client(server)
    assert.is_true(other.users:invite("u1"))
    other:close()
  end)

  it("one of them can be cancelled, unsent", function()
    start({ busy "50", {} }, { max_retries = 0 })
    client.users:invite("u1")
    client:run(function(tasks)
      local task = tasks:spawn(client.users.invite, client.users, "u2")
      for _ = 1, 3 do coroutine.yield() end
      tasks:cancel(task)
      local _, err = tasks:wait(task)
      assert.equal("cancelled", err.kind)
      assert.is_nil(err.ambiguous)
    end)
    assert.equal(1, server:count())
  end)

  it("closing the client ends them, unsent", function()
    start({ busy "50", {} }, { max_retries = 0 })
    client.users:invite("u1")
    local errors = {}
    client:run(function(tasks)
      for i = 1, 3 do
        tasks:spawn(function() errors[i] = select(2, client.users:invite("u2")) end)
      end
      tasks:spawn(function()
        coroutine.yield()
        client:close()
      end)
    end)
    for i = 1, 3 do
      assert.equal("closed", errors[i].kind)
      assert.is_nil(errors[i].ambiguous)
      assert.equal(0, errors[i].attempts)
    end
    assert.equal(1, server:count())
  end)
end)

describe("total_timeout", function()
  it("ends a call at once that the service holds back for longer, unsent", function()
    start({ busy "500", {} }, { max_retries = 0, max_retry_wait = 600 })
    client.users:invite("u1")
    local response = {}
    local _, err = client.users:invite("u2", { total_timeout = 100, response = response })
    assert.equal("timeout", err.kind)
    assert.equal(0, err.attempts)
    assert.is_nil(err.ambiguous)
    assert.is_nil(err.status)
    assert.is_true(err.retry_after > 400 and err.retry_after <= 500)
    assert.matches("held back: the service asked to wait", err.message, 1, true)
    assert.is_true(response.elapsed < 50)
    assert.equal(1, server:count())
  end)

  it("does not end one whose turn comes before", function()
    start({ busy "0.3", {} }, { max_retries = 0 })
    client.users:invite("u1")
    assert.is_true(client.users:invite("u2", { total_timeout = 60 }))
    assert.equal(2, server:count())
  end)

  it("ends a call that the pace holds back for longer", function()
    start({ {}, {} }, { rate = 0.001 })
    assert.is_true(client.users:invite("u1"))
    for _, name in ipairs { "invite", "roles" } do
      local _, err = client.users[name](client.users, "u2")
      assert.equal("timeout", err.kind)
      assert.equal(0, err.attempts)
      assert.is_nil(err.ambiguous)
      assert.is_nil(err.retry_after)
      assert.matches("held back by the pace", err.message, 1, true)
    end
    assert.equal(1, server:count())
  end)

  it("ends what waits behind others for longer", function()
    start({ {} }, { rate = 2, total_timeout = 0.8 })
    local sent, unsent = 0, 0
    client:run(function(tasks)
      for i = 1, 8 do
        tasks:spawn(function()
          local ok, err = client.users:invite("u" .. i)
          if ok then sent = sent + 1 end
          if err and err.kind == "timeout" and err.attempts == 0 then unsent = unsent + 1 end
        end)
      end
    end)
    assert.equal(8, sent + unsent)
    assert.is_true(sent >= 1 and sent <= 2)
    assert.equal(sent, server:count())
  end)

  it("runs on while the service wants a started call to wait", function()
    -- u1 would be sent again, but the service says another, longer time before that.
    start({ busy "0.1", busy "30", {} }, { max_in_flight = 2 })
    local errors = {}
    client:run(function(tasks)
      tasks:spawn(function()
        errors[1] = select(2, client.users:invite("u1", { total_timeout = 0.3 }))
      end)
      tasks:spawn(function()
        errors[2] = select(2, client.users:invite("u2", { total_timeout = 0.3 }))
      end)
    end)
    for i = 1, 2 do assert.is_true(errors[i].kind == "timeout" or errors[i].status == 429) end
    assert.equal(2, server:count())
  end)
end)

describe("a Retry-After beyond max_retry_wait", function()
  it("is the error of the call, and of later ones at once: nothing is sent", function()
    start({ busy "100", { body = "[]" } }, { max_retry_wait = 10 })
    local _, err = client.users:invite("u1")
    assert.equal("http", err.kind)
    assert.equal(429, err.status)
    assert.equal(100, err.retry_after)
    for _ = 1, 3 do
      _, err = client.users:invite("u1")
      assert.equal("refused", err.kind)
      assert.equal(0, err.attempts)
      assert.is_true(err.retry_after > 90 and err.retry_after <= 100)
      assert.is_nil(err.status)
      assert.is_nil(err.ambiguous)
      assert.matches("max_retry_wait", tostring(err), 1, true)
    end
    assert.same({}, client.users:roles("u1"))
    assert.equal(2, server:count())
  end)

  it("ends what waits for its turn", function()
    start({ busy "100" }, { max_retry_wait = 10, max_in_flight = 1 })
    local kinds = {}
    client:run(function(tasks)
      for i = 1, 5 do
        tasks:spawn(function() kinds[i] = select(2, client.users:invite("u" .. i)).kind end)
      end
    end)
    assert.same({ "http", "refused", "refused", "refused", "refused" }, kinds)
    assert.equal(1, server:count())
  end)

  it("is waited for by a call with a longer one", function()
    start({ busy "0.3", {} }, { max_retry_wait = 0.1 })
    assert.equal(429, select(2, client.users:invite("u1")).status)
    assert.equal("refused", select(2, client.users:invite("u1")).kind)
    assert.is_true(client.users:invite("u1", { max_retry_wait = 900 }))
    assert.equal(2, server:count())
  end)

  it("counts for 503, too", function()
    start({ busy("100", 503) }, { max_retry_wait = 10 })
    assert.equal(503, select(2, client.users:invite("u1")).status)
    assert.equal("refused", select(2, client.users:invite("u1")).kind)
  end)
end)

describe("calls that are never answered", function()
  it("hold up no others, although few are under way at once at first", function()
    local answers = {}
    for i = 1, 8 do answers[i] = { hang = true } end
    answers[9] = { body = '{"id":"u1"}' }
    start(answers, { total_timeout = 2.5, max_retries = 0 })
    local good, kinds = 0, {}
    client:run(function(tasks)
      for _ = 1, 32 do
        tasks:spawn(function()
          local user, err = client.users:get("u1")
          if user then good = good + 1 else kinds[#kinds + 1] = err.kind end
        end)
      end
    end)
    assert.equal(24, good)
    assert.equal(("timeout "):rep(8), table.concat(kinds, " ") .. " ")
  end)
end)

describe("the rate that was learned", function()
  it("is told by core.pace, of a client that is closed, too", function()
    start { {} }
    assert.same({ nil, 0, nil, 0 }, { core.pace(client) })
    assert.has_error(function() core.pace(1) end)
    client:close()
    assert.is_nil((core.pace(client)))
  end)
end)

describe("on_event", function()
  it("says to what the requests were slowed down", function()
    local reasons = {}
    limited({ per_second = 50 }, { on_event = function(event)
      if event.status == 429 then reasons[#reasons + 1] = event.reason end
    end })
    change_roles(60)
    assert.matches("^429: writes slowed to %d+%.?%d* a second$", reasons[1])
    assert.equal("the server asked to wait", reasons[2])
  end)
end)
