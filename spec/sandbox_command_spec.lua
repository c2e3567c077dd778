-- SPDX-License-Identifier: MIT
--
-- The command cipherscale-sandbox, as a process of its own.

local scratch = require "spec.support.scratch"
local wire = require "spec.sandbox.wire"

local COMMAND = "lua/cipherscale/sandbox/command.lua"

-- The interpreter that runs the specs.
local function interpreter()
  local i = 0
  while arg and arg[i - 1] do i = i - 1 end
  return arg and arg[i] or "lua5.4"
end

local function quote(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

describe("cipherscale-sandbox", function()
  local function shell(arguments)
    return ("%s %s %s"):format(quote(interpreter()), COMMAND, arguments)
  end

  -- Runs it to its end: exit status, and what it wrote.
  local function run(arguments)
    local pipe = assert(io.popen(shell(arguments) .. " 2>&1; echo $?"))
    local text = pipe:read("*a")
    pipe:close()
    local output, status = text:match("^(.-)(%d+)\n$")
    return tonumber(status), output
  end

  -- Starts it, lets `f` use it, ends it with a signal: exit status and the rest of its output.
  local function serve(arguments, signal, f)
    local pipe = assert(io.popen(("sh -c %s; echo $?"):format(
      quote("echo $$; exec " .. shell(arguments)))))
    local process = pipe:read("*l")
    local url = pipe:read("*l"):match("^export CIPHERSCALE_BASE_URL=(http://127%.0%.0%.1:%d+/qa)$")
    local key = pipe:read("*l"):match("^export CIPHERSCALE_API_KEY=(%S+)$")
    local ok, problem = pcall(f, { url = url, api_key = key })
    assert(os.execute(("kill -%s %s"):format(signal, process)))
    local rest = pipe:read("*a")
    pipe:close()
    assert(ok, problem)
    return rest
  end

  it("prints what to export, serves, and ends cleanly on SIGINT and SIGTERM", function()
    for _, signal in ipairs { "INT", "TERM" } do
      local rest = serve("--users 3", signal, function(server)
        local status, body = wire.send(server, { path = "/tenants/users" })
        assert.equal(200, status)
        assert.truthy(body:find('"total":3', 1, true))
      end)
      assert.equal("0\n", rest)
    end
  end)

  it("serves the people of a CSV file", function()
    local path = scratch.file('E-Mail,First name,status,roles,groups,unit\n'
      .. 'zoe@b.example,"Zoë, M.",Deactivated,AUDITOR;SUPPORT,Ops,7\nb@b.example,,,,,\n')
    serve("--csv " .. quote(path) .. " --port=0", "TERM", function(server)
      local _, body = wire.send(server, { path = "/tenants/users" })
      for _, text in ipairs { '"firstName":"Zoë, M."', '"status":"Deactivated"', '"type":"SUPPORT"',
        '"name":"Ops"', '"email":"b@b.example"', '"total":2' } do
        assert.truthy(body:find(text, 1, true), text)
      end
    end)
  end)

  it("explains itself", function()
    local status, output = run "--help"
    assert.equal(0, status)
    assert.matches("^usage: cipherscale%-sandbox", output)
  end)

  it("ends with 2 on wrong usage, naming the nearest option", function()
    local function wrong(arguments, text)
      local status, output = run(arguments)
      assert.equal(2, status)
      assert.equal("cipherscale-sandbox: " .. text, output:match("^[^\n]*"))
    end
    wrong("--user 5", "unknown option '--user'; did you mean '--users'?")
    wrong("people.csv", "unknown option 'people.csv'")
    wrong("--users", "--users: a value is missing")
    wrong("--users many", "--users: a whole number up to 1000000 expected, got 'many'")
    wrong("--port 70000", "--port: a whole number up to 65535 expected, got '70000'")
    wrong("--users 5 --csv x", "--users and --csv exclude each other")
  end)

  it("ends with 1 when it cannot start", function()
    local status, output = run "--csv /does/not/exist"
    assert.equal(1, status)
    assert.equal("cipherscale-sandbox: /does/not/exist: No such file or directory\n", output)
    local path = scratch.file("email,roles\na@b.example,NOBODY\n")
    status, output = run("--csv " .. quote(path))
    assert.equal(1, status)
    assert.matches("users%[1%]%.roles%[1%]: no role 'NOBODY'", output)
    serve("", "TERM", function(server)
      local port = server.url:match(":(%d+)/")
      status, output = run("--port " .. port)
      assert.equal(1, status)
      assert.equal("cipherscale-sandbox: cannot listen on 127.0.0.1:" .. port
        .. ": Address already in use\n", output)
    end)
  end)
end)
