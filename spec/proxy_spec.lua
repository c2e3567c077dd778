-- SPDX-License-Identifier: MIT
-- The option `proxy`: its address is checked when the client is made, and its password is shown
-- nowhere.
local cipherscale = require "cipherscale"
local helper = require "spec.support.helper"
local raw = require "spec.support.server"

local PASSWORD = "PWPWPW"

local function new(proxy)
  return cipherscale.new { api_key = helper.key, base_url = "https://api.example", proxy = proxy }
end

describe("proxy", function()
  it("is what libcurl takes for one", function()
    for _, proxy in ipairs { "", "proxy.example", "proxy.example:3128", "127.0.0.1:8080", "[::1]:1",
                             "http://proxy.example", "https://proxy.example:1", "socks://h",
                             "socks4://h:1", "socks4a://h", "socks5://u:p@h", "SOCKS5H://h:1080",
                             "http://user:pass%20word@proxy.example:3128/", "user:pass@h" } do
      assert.has_no.errors(function() new(proxy):close() end)
    end
  end)

  it("is refused otherwise, and not quoted", function()
    for proxy, problem in pairs {
      ["http://u:PWPWPW@h:999999"] = "is not a URL",
      ["http://u:PWPWPW@[bad"] = "is not a URL",
      ["http://u:PWPWPW@"] = "is not a URL",
      ["foo://u:PWPWPW@h"] = "is neither http, https nor socks",
      ["ftp://u:PWPWPW@h"] = "is neither http, https nor socks",
      ["http://u:PWPWPW@h\r\nx: y"] = "has a control character",
      ["http://u:PWPWPW\27@h"] = "has a control character",
      ["http://u:PWPWPW@h\127"] = "has a control character",
    } do
      local message = helper.message_of(new, proxy)
      assert.equal("cipherscale.new: proxy " .. problem, message)
    end
    assert.is_nil(helper.message_of(new, ("http://u:%s@h\0"):format(PASSWORD)):find(PASSWORD))
  end)

  it("is refused where libcurl could not decode its credentials, and would go direct", function()
    for _, credentials in ipairs { "u:PWPWPW%01", "u%0a:PWPWPW", "u%0A", "u:PWPWPW%00", "%1F:" } do
      for _, scheme in ipairs { "http://", "socks5h://", "" } do
        assert.equal("cipherscale.new: proxy has a user or a password with a control character",
          helper.message_of(new, ("%s%s@127.0.0.1:1"):format(scheme, credentials)))
      end
    end
    for _, user in ipairs { "u", "u:", ":p", "u:a%zzb", "u:%e9", "u:p%0" } do
      assert.has_no.errors(function() new(("http://%s@127.0.0.1:1"):format(user)):close() end)
    end
  end)

  it("of the environment is not quoted where libcurl refuses it", function()
    for _, address in ipairs { "http://u:PWPWPW@h:999999", "foo://u:PWPWPW@h" } do
      local output = helper.run_lua([[
        local client = require "cipherscale".new { api_key = "0123456789", max_retries = 0,
          base_url = "https://api.example" }
        local response = {}
        local _, err = client.users:invite("u1", { response = response })
        print(err, err.kind, err.message, err.ambiguous)
      ]], { https_proxy = address })
      assert.matches("network: the address of the proxy is not one", output, 1, true)
      assert.is_nil(output:find(PASSWORD, 1, true), output)
    end
  end)

  it("has its password blanked wherever it is echoed", function()
    local body = '{"message":"PWPWPW, or pw%3Apw / as pw:pw"}'
    for _, case in ipairs { { PASSWORD, PASSWORD }, { "pw%3Apw", "pw:pw" } } do
      local server = raw.start { answers = { { status = 400, body = body,
        headers = { ["X-Echo"] = "PWPWPW pw:pw", ["X-Request-Id"] = "PWPWPW pw:pw" } } } }
      local client = helper.client(server, { proxy = ("http://u:%s@h"):format(case[1]) })
      local response = {}
      local _, err = client.users:get("u1", { response = response })
      client:close()
      server:stop()
      assert.matches("*****", err.message, 1, true)
      for _, text in ipairs { err.message, err.body, err.request_id, tostring(err),
                              response.headers["x-echo"] } do
        assert.is_nil(text:find(case[1], 1, true), text)
        assert.is_nil(text:find(case[2], 1, true), text)
      end
    end
  end)
end)
