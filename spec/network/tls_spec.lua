-- SPDX-License-Identifier: MIT
-- TLS: whom the client believes, and that nobody else is sent anything.
local nginx = require "spec.support.nginx"
local raw = require "spec.support.server"
local setting = require "spec.support.setting"

setting.install(after_each)

local function connect(server, options) return setting.connect(options, server) end

describe("TLS", function()
  local web

  local function start(tls)
    web = nginx.start {
      tls = tls, block = "access_log access.log;\n" .. nginx.answer(200, "[]"),
    }
    return web
  end

  local function requests_seen()
    local file = io.open(web.folder .. "/access.log", "rb")
    if not file then return "" end
    local text = file:read("*a")
    return text, file:close()
  end

  after_each(function() web:stop() end)

  it("with a certificate that nobody vouches for sends nothing, and is not tried again", function()
    local client = connect(start(true))
    local value, err = client.users:invite("u1")
    assert.is_nil(value)
    assert.equal("tls", err.kind)
    assert.equal(1, err.attempts)
    assert.is_nil(err.ambiguous)
    assert.matches("certificate", err.message)
    assert.equal("", requests_seen())
  end)

  it("with a certificate that ca_file vouches for works", function()
    start(true)
    local client = connect(web, { ca_file = web.ca_file })
    assert.same({}, client.users:roles("u1"))
    assert.is_true(client.users:invite("u1"))
    local count
    local patience = raw.now() + 5 -- nginx answers first and logs afterwards
    repeat
      count = select(2, requests_seen():gsub("\n", ""))
    until count >= 2 or raw.now() > patience
    assert.equal(2, count)
  end)

  it("with a certificate for another name sends nothing", function()
    start { name = "other.example" }
    local _, err = connect(web, { ca_file = web.ca_file }).users:invite("u1")
    assert.equal("tls", err.kind)
    assert.is_nil(err.ambiguous)
    assert.equal("", requests_seen())
  end)

  it("with a ca_file that is not there says so, and sends nothing", function()
    start(true)
    local _, err = connect(web, { ca_file = web.folder .. "/none.pem" }).users:invite("u1")
    assert.equal("tls", err.kind)
    assert.equal(1, err.attempts)
    assert.matches("none.pem", err.message, 1, true)
    assert.equal("", requests_seen())
  end)

  it("is not what a plain server speaks", function()
    start(nil)
    local client = connect({ url = web.url:gsub("^http", "https") }, { max_retries = 1 })
    local _, err = client.users:invite("u1")
    assert.equal("tls", err.kind)
    assert.equal(2, err.attempts)
    assert.is_nil(err.ambiguous)
  end)
end)
