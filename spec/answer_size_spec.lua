-- SPDX-License-Identifier: MIT
-- How large an answer may be (max_response_bytes, after decompression), and what the option
-- `response = t` is filled with.

local core = require "cipherscale.core"
local scratch = require "spec.support.scratch"
local setting = require "spec.support.setting"

local serve = setting.start
local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end)

local function get(answer, options)
  serve({ answer }, options)
  return client.users:get "u1"
end

-- An object whose JSON has n bytes.
local function object(n) return '{"a":"' .. ("x"):rep(n - 8) .. '"}' end

local function gzip(command)
  local pipe = assert(io.popen(command .. " | gzip -c"))
  local bytes = pipe:read "*a"
  assert(pipe:close())
  return { body = bytes, headers = { ["Content-Encoding"] = "gzip" } }
end

local function each_coding(n, check)
  local body = object(n)
  local path = scratch.file(body)
  check({ body = body }, "plain")
  check({ body = body, chunked = true }, "chunked")
  check({ body = body, drip = { 400, 0 } }, "in pieces")
  check(gzip("cat " .. path), "compressed")
end

describe("max_response_bytes", function()
  it("may be reached", function()
    each_coding(1000, function(answer, name)
      local value, err = get(answer, { max_response_bytes = 1000 })
      assert.is_nil(err, name)
      assert.equal(992, #value.a)
    end)
  end)

  it("may not be passed by one byte", function()
    each_coding(1001, function(answer, name)
      local value, err = get(answer, { max_response_bytes = 1000, max_retries = 3 })
      assert.is_nil(value, name)
      assert.equal("too_large", err.kind)
      assert.equal(200, err.status)
      assert.equal(1, err.attempts)
      assert.equal(1, server:count())
    end)
  end)

  it("is 16 MiB where it is not set", function()
    local limit = 16 * 1024 * 1024
    assert.same({}, get { body = "{}", body_repeat = { " ", limit - 2 } })
    local value, err = get { body = "{}", body_repeat = { " ", limit - 1 } }
    assert.is_nil(value)
    assert.equal("too_large", err.kind)
  end)

  it("bounds what a small compressed answer may grow to", function()
    local bomb = gzip "head -c 40000000 /dev/zero"
    assert.is_true(#bomb.body < 100000)
    local before = core.now()
    local value, err = get(bomb)
    assert.is_nil(value)
    assert.equal("too_large", err.kind)
    assert.is_true(core.now() - before < 5)
  end)

  it("leaves the client usable, on a new connection", function()
    serve({ { body = object(1001) }, { body = '{"id":"u1"}' } }, { max_response_bytes = 1000 })
    local _, err = client.users:get "u1"
    assert.equal("too_large", err.kind)
    assert.same({ id = "u1" }, client.users:get "u1")
  end)

  it("may be a single byte", function()
    serve({ { body = "" }, { body = "." }, { body = ".." } }, { max_response_bytes = 1 })
    for _ = 1, 3 do assert.is_true(client.users:invite "u1") end
  end)

  it("does not hide what an error answer was", function()
    local value, err = get({ status = 404, body = object(1001) }, { max_response_bytes = 1000 })
    assert.is_nil(value)
    assert.equal("http", err.kind)
    assert.equal(404, err.status)
  end)

  it("does not count headers, which have a bound of their own", function()
    assert.same({}, get({ body = "{}", headers = { ["X-Long"] = ("x"):rep(5000) } },
      { max_response_bytes = 2 }))
    local many = {}
    for i = 1, 200 do many[i] = ("x"):rep(1000) end
    local value, err = get({ body = "{}", headers = { ["X-Many"] = many } })
    assert.is_nil(value)
    assert.equal("too_large", err.kind)
    assert.equal(1, server:count())
  end)
end)

describe("a compressed answer", function()
  it("is asked for as gzip, and need not be given", function()
    serve { { body = "{}" } }
    assert.same({}, client.users:get "u1")
    assert.equal("gzip", server:requests()[1].headers["accept-encoding"])
  end)

  it("that is damaged is an error of a read", function()
    local good = gzip [[printf '{"a":"%0500d"}' 1]]
    for _, body in ipairs { "no gzip at all", good.body:sub(1, 5), good.body:sub(1, 20) } do
      local value, err = get({ body = body, headers = good.headers }, { max_retries = 0 })
      assert.is_nil(value)
      assert.is_truthy(err.kind == "network" or err.kind == "decode", err.kind)
    end
  end)
end)

describe("response = t", function()
  local function fill(answers, response, options, call)
    serve(answers, options)
    return (call or client.users.get)(client.users, "u1", { response = response })
  end

  it("is filled on success", function()
    local t = {}
    local value = fill({ { status = 203, body = '{"a":1}', headers = {
      ["X-Request-Id"] = "r-1", ["X-Two"] = { "1", "2" }, ["X-Empty"] = "" } } }, t)
    assert.same({ a = 1 }, value)
    assert.equal(203, t.status)
    assert.equal("integer", math.type(t.status))
    assert.equal(1, t.attempts)
    assert.is_true(t.elapsed > 0 and t.elapsed < 5)
    assert.equal("r-1", t.request_id)
    assert.is_nil(t.repeated)
    assert.is_nil(t.problem)
    assert.same({ ["content-length"] = "7", ["content-type"] = "application/json",
                  ["x-request-id"] = "r-1", ["x-two"] = "1, 2", ["x-empty"] = "" }, t.headers)
  end)

  it("is filled on failure", function()
    local t = {}
    local value, err = fill({ { status = 404, headers = { ["X-A"] = "b" } } }, t)
    assert.is_nil(value)
    assert.equal("http", err.kind)
    assert.equal(404, t.status)
    assert.equal("b", t.headers["x-a"])
    assert.equal(1, t.attempts)
    assert.is_number(t.elapsed)
  end)

  it("has neither status nor headers where no answer came", function()
    local t = { status = 1, headers = {}, request_id = "old" }
    local value, err = fill({ { drop = true } }, t, { max_retries = 0 })
    assert.is_nil(value)
    assert.equal("network", err.kind)
    assert.is_nil(t.status)
    assert.is_nil(t.headers)
    assert.is_nil(t.request_id)
    assert.equal(1, t.attempts)
  end)

  it("counts the attempts, and times them together", function()
    local t = {}
    assert(fill({ { status = 429, headers = { ["Retry-After"] = "0.05" } }, { body = "{}" } }, t))
    assert.equal(2, t.attempts)
    assert.is_true(t.elapsed >= 0.05)
    assert.equal(200, t.status)
    assert.is_nil(t.headers["retry-after"])
  end)

  it("says that a repeat met its own work", function()
    local t = {}
    serve({ { drop = true }, { status = 409, body = '{"message":"already"}' } })
    assert.is_true(client.users:add_to_group("u1", "g1", { response = t }))
    assert.is_true(t.repeated)
    assert.equal(409, t.status)
    assert.equal(2, t.attempts)
  end)

  it("holds nothing of the call before, and keeps what is not its own", function()
    local t = { mine = 1 }
    serve { { body = "oops", headers = { ["X-Request-Id"] = "r-1" } }, { body = "{}" } }
    assert.same({}, client.users:reactivate("u1", { response = t }))
    assert.is_string(t.problem)
    assert.equal("r-1", t.request_id)
    assert.same({}, client.users:reactivate("u1", { response = t }))
    assert.is_nil(t.problem)
    assert.is_nil(t.request_id)
    assert.equal(1, t.mine)
    assert.is_nil(t.headers["x-request-id"])
  end)

  it("may be given to a call in a task", function()
    local t = {}
    serve { { body = '{"a":1}' } }
    local value = client:run(function() return (client.users:get("u1", { response = t })) end)
    assert.same({ a = 1 }, value)
    assert.equal(200, t.status)
  end)

  -- Else an error in the middle would hide what the server did.
  it("is filled without asking its metatable", function()
    local function refuse() error "never called" end
    local metatable = { __newindex = refuse, __index = refuse, __len = refuse, __pairs = refuse }
    for _, case in ipairs { { 200, { body = "{}" } }, { 404, { status = 404 } } } do
      local t = setmetatable({}, metatable)
      local value, err = fill({ case[2] }, t, { max_retries = 0 })
      assert.equal(case[1] == 200, value ~= nil)
      assert.equal(case[1], rawget(t, "status"))
      assert.equal(case[1] ~= 200, err ~= nil)
    end
    local t = setmetatable({}, metatable)
    serve { { body = '{"a":1}' } }
    local value = client:run(function() return (client.users:get("u1", { response = t })) end)
    assert.same({ a = 1 }, value)
    assert.equal(200, rawget(t, "status"))
  end)
end)
