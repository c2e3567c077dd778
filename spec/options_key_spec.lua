-- SPDX-License-Identifier: MIT
-- Where the API key comes from, what cannot be one, and that it is in no message.

local cipherscale = require "cipherscale"
local helper = require "spec.support.helper"
local scratch = require "spec.support.scratch"
local start = require("spec.support.server").start

local BASE = "http://127.0.0.1:9"
local contains = helper.contains
local clients

before_each(function() clients = {} end)
after_each(function()
  for _, client in ipairs(clients) do client:close() end
end)

describe("the API key", function()
  local path

  before_each(function() path = scratch.path() end)

  local function write(text, mode)
    scratch.write(path, text)
    assert(os.execute(("chmod %s %s"):format(mode or "600", path)))
    return path
  end

  -- The key that a client with these options sends.
  local function sent(options)
    local server = start { answers = { { body = "[]" } } }
    finally(function() server:stop() end)
    options.base_url = server.url
    local client = cipherscale.new(options)
    clients[#clients + 1] = client
    assert(client.roles:list())
    return server:requests()[1].headers.apikey
  end

  local function problem(options)
    options.base_url = BASE
    return helper.message_of(cipherscale.new, options)
  end

  it("is a string, sent as it is", function()
    local odd = [[!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~]]
    assert.equal(helper.key, sent { api_key = helper.key })
    assert.equal(odd, sent { api_key = odd })
    assert.equal(("k"):rep(4096), sent { api_key = ("k"):rep(4096) })
  end)

  it("is what a function returns, which is called once", function()
    local calls = 0
    local server = start { answers = { { body = "[]" } } }
    finally(function() server:stop() end)
    local client = helper.client(server, { api_key = function(...)
      calls = calls + 1
      assert.equal(0, select("#", ...))
      return helper.key
    end })
    client.roles:list()
    client.roles:list()
    assert.equal(helper.key, server:requests()[2].headers.apikey)
    assert.equal(1, calls)
  end)

  it("is no other value that a function returns", function()
    for _, value in ipairs { 5, true, {} } do
      contains("the function returned no string but " .. type(value),
        problem { api_key = function() return value end })
    end
    contains("the function returned no string but nil", problem { api_key = function() end })
  end)

  it("is refused, and not shown, with any byte that a header cannot hold", function()
    for _, bytes in ipairs { "\r", "\n", "\0", "\r\nX-Evil: 1", " ", "\t", "\x7F", "\x1B",
                             "\u{E4}", "\xFF" } do
      for _, key in ipairs { helper.key .. bytes, bytes .. helper.key,
                             helper.key .. bytes .. helper.key } do
        for _, given in ipairs { key, function() return key end } do
          local message = problem { api_key = given }
          contains("the API key has a space, a control character or a byte beyond ASCII", message)
          assert.is_nil(message:find(helper.key, 1, true))
        end
      end
    end
  end)

  it("is refused when it is empty or endless", function()
    contains("the API key is empty", problem { api_key = "" })
    contains("the API key is empty", problem { api_key = function() return "" end })
    local long = problem { api_key = ("k"):rep(4097) }
    contains("the API key is too long", long)
    assert.is_nil(long:find("kkkk", 1, true))
  end)

  it("comes from exactly one source", function()
    for _, options in ipairs {
      { api_key = helper.key, api_key_env = "SOME_KEY" },
      { api_key = helper.key, api_key_file = path },
      { api_key_env = "SOME_KEY", api_key_file = path },
      { api_key = print, api_key_env = "SOME_KEY", api_key_file = path },
    } do
      local message = problem(options)
      contains("only one of api_key, api_key_env and api_key_file", message)
      assert.is_nil(message:find(helper.key, 1, true))
    end
  end)

  it("is read from a file, without the end of its line", function()
    for _, text in ipairs { helper.key, helper.key .. "\n", helper.key .. "\r\n",
                            helper.key .. " \n\n" } do
      assert.equal(helper.key, sent { api_key_file = write(text) })
    end
    assert.equal(helper.key, sent { api_key_file = write(helper.key, "400") })
    assert.equal(("k"):rep(4096), sent { api_key_file = write(("k"):rep(4096)) })
  end)

  it("is not read from a file that others can read or write", function()
    for _, mode in ipairs { "640", "604", "644", "620", "602", "610", "777" } do
      local message = problem { api_key_file = write(helper.key, mode) }
      contains(("api_key_file '%s': others can read it"):format(path), message)
      contains("chmod 600", message)
      assert.is_nil(message:find(helper.key, 1, true))
    end
  end)

  it("is refused from a file that is empty, too long or has several lines", function()
    contains("the API key is empty", problem { api_key_file = write "" })
    contains("the API key is empty", problem { api_key_file = write "\n" })
    contains("too long", problem { api_key_file = write(("k"):rep(4097)) })
    contains("too long", problem { api_key_file = write(("k"):rep(100000)) })
    local message = problem { api_key_file = write(helper.key .. "\n" .. helper.key) }
    contains("control character", message)
    assert.is_nil(message:find(helper.key, 1, true))
    contains("control character", problem { api_key_file = write("a\0b") })
  end)

  it("cannot be read from a file that is not there, or a folder", function()
    local missing = path .. ".missing"
    local message = problem { api_key_file = missing }
    contains(("api_key_file '%s': "):format(missing), message)
    contains("No such file", message)
    contains("api_key_file: non-empty string expected", problem { api_key_file = "" })
    os.remove(path)
    assert(os.execute(("mkdir -m 700 %s"):format(path)))
    contains(("api_key_file '%s': "):format(path), problem { api_key_file = path })
  end)

  it("is in no text that the client gives", function()
    local client = cipherscale.new { api_key = helper.key, base_url = BASE }
    clients[1] = client
    for _, value in ipairs { client, client.users, client.roles } do
      assert.is_nil(tostring(value):find(helper.key, 1, true))
    end
  end)
end)

describe("the environment", function()
  local SCRIPT = [[
    local options = { %s }
    local ok, result = pcall(require("cipherscale").new, options)
    print(ok and "made" or "refused", (tostring(result):gsub("\n.*", "")))
  ]]

  local function try(options, env) return (helper.run_lua(SCRIPT:format(options), env)) end

  it("gives the key in CIPHERSCALE_API_KEY by default", function()
    contains("made", try("", { CIPHERSCALE_API_KEY = helper.key }))
  end)

  it("gives the key in another variable where api_key_env names one", function()
    contains("made", try("api_key_env = 'OTHER'", { OTHER = helper.key }))
    contains("the environment variable OTHER is not set",
      try("api_key_env = 'OTHER'", { CIPHERSCALE_API_KEY = helper.key }))
  end)

  it("is refused where the variable is not set or empty", function()
    contains("no API key: the environment variable CIPHERSCALE_API_KEY is not set", try "")
    contains("no API key: the environment variable CIPHERSCALE_API_KEY is empty",
      try("", { CIPHERSCALE_API_KEY = "" }))
    contains("the environment variable OTHER is empty",
      try("api_key_env = 'OTHER'", { OTHER = "", CIPHERSCALE_API_KEY = helper.key }))
  end)

  it("is refused, and not shown, where the key cannot be one", function()
    local output = try("", { CIPHERSCALE_API_KEY = helper.key .. "\n" })
    contains("refused", output)
    assert.is_nil(output:find(helper.key, 1, true))
  end)

  it("does not matter where the key is given otherwise", function()
    contains("made", try("api_key = 'k1234'", { CIPHERSCALE_API_KEY = "" }))
  end)

  it("gives the address in CIPHERSCALE_BASE_URL where no base_url is given", function()
    local env = { CIPHERSCALE_BASE_URL = "https://api.example/v1/" }
    contains("https://api.example/v1", try("api_key = 'k1234'", env))
    contains("https://other.example", try("api_key = 'k1234', base_url = 'https://other.example'",
      env))
    contains("https://public-api.cipherscale.com/qa", try("api_key = 'k1234'",
      { CIPHERSCALE_BASE_URL = "" }))
  end)

  it("is named where its address is refused, and the address is not shown", function()
    local output = try("api_key = 'k1234'", {
      CIPHERSCALE_BASE_URL = "https://user:sesame@api.example" })
    contains("the environment variable CIPHERSCALE_BASE_URL carries credentials", output)
    assert.is_nil(output:find("sesame", 1, true))
  end)

  it("does not step in for a source that gives nothing", function()
    contains("refused", try("api_key_file = '/nonexistent'", { CIPHERSCALE_API_KEY = helper.key }))
  end)
end)
