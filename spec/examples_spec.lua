-- SPDX-License-Identifier: MIT
--
-- examples/grant.lua, as an administrator runs it: a process of its own, in a folder of its own.

local cipherscale = require "cipherscale"
local folder = require "spec.support.folder"
local process = require "spec.support.process"
local raw = require "spec.support.server"
local sandbox = require "cipherscale.sandbox"
local scratch = require "spec.support.scratch"
local tenant = require "spec.bulk.tenant"

local PEOPLE = 200
local GRANT = "lua5.4 examples/grant.lua "
-- Lets it believe that its input is a terminal.
local ON_TERMINAL = "lua5.4 -e 'os.execute = function(c) return c:find \"test %-t 0\" ~= nil end' "
  .. "examples/grant.lua "

describe("examples/grant.lua", function()
  local server, here, first

  before_each(function()
    local users = tenant.users(PEOPLE)
    for n = 1, PEOPLE, 3 do users[n].roles = { "SUPPORT" } end
    users[2].roles = { "AUDITOR" }
    server = sandbox.start { users = users }
    first = server:direct_roles()
    here = folder.new()
    local lines = { "email,team" }
    for n, user in ipairs(users) do lines[n + 1] = user.email .. ",Team " .. n % 4 end
    here:write("people.csv", table.concat(lines, "\r\n") .. "\r\n")
  end)

  after_each(function()
    server:stop()
  end)

  local function env()
    return { CIPHERSCALE_BASE_URL = server.url, CIPHERSCALE_API_KEY = server.api_key }
  end

  local function run(command) return here:run(command, env()) end

  local function exits(status, command, ...)
    local output, code = run(command)
    assert.equal(status, code, output)
    for _, text in ipairs { ... } do
      assert.truthy(output:find(text, 1, true), ("no '%s' in:\n%s"):format(text, output))
    end
    assert.is_nil(output:find(server.api_key, 1, true))
    return output
  end

  local function exists(name)
    local file = io.open(here.path .. "/" .. name)
    if file then file:close() end
    return file ~= nil
  end

  local function fates(name)
    local counts = {}
    for row in assert(cipherscale.csv(here.path .. "/" .. name)) do
      counts[row.bulk_fate] = (counts[row.bulk_fate] or 0) + 1
    end
    return counts
  end

  -- Everybody as at first, but with the role, too.
  local function with_auditor()
    local wanted = {}
    for id, types in pairs(first) do
      wanted[id] = types == "SUPPORT" and "AUDITOR SUPPORT" or "AUDITOR"
    end
    return wanted
  end

  it("shows the plan, applies it, reports, and leaves a journal and a CSV file", function()
    exits(0, GRANT .. "--yes --add AUDITOR --journal job.jsonl people.csv",
      "Plan: + AUDITOR for 200 people\n  199 to change, 1 unchanged; ",
      "\n  199 of 199, 0 failed, ",
      "\nReport: + AUDITOR for 200 people\n  199 changed, 1 unchanged, ",
      "\nComplete: done for everybody.\nWhat became of each is in job.report.csv\n")
    assert.same(with_auditor(), server:direct_roles())
    assert.same({ changed = 199, unchanged = 1 }, fates "job.report.csv")
  end)

  it("names the journal by the time, in the folder where it is called", function()
    local output = exits(0, GRANT .. "--yes --add AUDITOR people.csv")
    assert.truthy(output:find("is in %./%d+T%d+Z%.report%.csv\n"))
  end)

  it("takes roles away, too, and single people's own wishes from columns", function()
    local function grant(arguments, name)
      return GRANT .. "--yes --journal " .. name .. ".jsonl " .. arguments .. " own.csv"
    end
    here:write("own.csv", "email,set\nu1@example.com,\nu2@example.com,BASIC\n")
    exits(0, grant("--remove SUPPORT", "a"), "- SUPPORT          u1@", "+ BASIC - AUDITOR  u2@")
    exits(1, grant("", "b"), "line 2: nothing is asked for")
    here:write("own.csv", "email,set\nu1@example.com,BASIC\nu2@example.com,BASIC\n")
    exits(0, grant("", "c"), "1 changed, 1 unchanged")
    exits(0, grant("", "d"), "0 to change, 2 unchanged")
    assert.is_false(exists "d.jsonl")
  end)

  it("asks on a terminal, and takes nothing but a yes for one", function()
    local ask = "| " .. ON_TERMINAL .. "--add AUDITOR --journal job.jsonl people.csv"
    exits(1, "echo n " .. ask, "Apply it? [y/N] ",
      "Go on with: lua5.4 examples/grant.lua --resume job.jsonl\n")
    assert.same(first, server:direct_roles())
    exits(1, "echo " .. ask, "job.jsonl exists already: a plan to change 199 people, not applied")
    local resume = "| " .. ON_TERMINAL .. "--resume job.jsonl"
    exits(1, "printf '' " .. resume, "0 changed, 1 unchanged, 0 failed, 0 skipped, 199 pending")
    assert.same(first, server:direct_roles())
    exits(0, "echo Yes " .. resume, "Go on with it? [y/N] ", "Complete: done for everybody.")
    assert.same(with_auditor(), server:direct_roles())
  end)

  it("exits with 1 when somebody failed, and resumes", function()
    server:misbehave { match = { method = "PATCH", path = "/u7/" }, fail = { status = 422 } }
    exits(1, GRANT .. "--yes --add AUDITOR --journal job.jsonl people.csv",
      "NOT complete: go on", "1 failed",
      "line 8  u7@example.com  failed  users.update_roles: HTTP 422",
      "\nGo on with: lua5.4 examples/grant.lua --resume job.jsonl\n")
    assert.same({ changed = 198, unchanged = 1, failed = 1 }, fates "job.report.csv")
    server:misbehave {}
    exits(0, GRANT .. "--yes --resume job.jsonl", "199 changed, 1 unchanged, 0 failed")
    assert.same(with_auditor(), server:direct_roles())
  end)

  it("leaves the file of people as it was, be the journal named alike", function()
    exits(0, GRANT .. "--yes --add AUDITOR --journal people.jsonl people.csv")
    assert.truthy(scratch.read(here.path .. "/people.csv"):find("^email,team\r\n"))
  end)

  it("does not advise to go on where the first change went wrong", function()
    server:misbehave { match = { method = "PATCH" }, fail = { status = 200, body = "" } }
    local text = exits(1, GRANT .. "--yes --add AUDITOR --journal job.jsonl people.csv",
      "  stopped: canary: ", "NOT complete: look at what stopped it.")
    assert.is_nil(text:find("Go on with", 1, true))
  end)

  it("exits with 1 when the plan is refused, and keeps nothing of it", function()
    local remove = "--yes --remove SUPPORT --journal job.jsonl people.csv"
    exits(1, GRANT .. remove, "  will be REFUSED: 67 of the 67 who hold SUPPORT lose it (100%)")
    assert.same(first, server:direct_roles())
    assert.is_false(exists "job.jsonl")
    exits(0, GRANT .. "--limit max_removal_percent=100 " .. remove, "67 changed, 133 unchanged")
  end)

  it("exits with 1 when people are unknown, and names them", function()
    here:write("people.csv", "email\nu1@exampel.com\n")
    exits(1, GRANT .. "--yes --add AUDITOR --journal job.jsonl people.csv",
      "line 2: no user has the e-mail 'u1@exampel.com' (nearest: u1@example.com")
    assert.is_false(exists "job.jsonl")
    exits(1, GRANT .. "--yes --add AUDITOR nowhere.csv", "nowhere.csv: No such file")
  end)

  it("exits with 2 on wrong usage, and sends nothing", function()
    for arguments, problem in pairs {
      ["--add AUDITOR"] = "a file is missing",
      ["--add"] = "--add: a value is missing",
      ["--ad AUDITOR people.csv"] = "unknown option '--ad'",
      ["a.csv b.csv"] = "one file expected, got 'b.csv', too",
      ["--limit 5 people.csv"] = "--limit: NAME=N expected, got '5'",
      ["--add AUDITOR people.csv </dev/null"] = "nobody can be asked, since the input is no ",
    } do
      exits(2, GRANT .. arguments, "grant.lua: " .. problem, "\nusage: lua5.4 grant.lua ")
    end
    assert.equal(0, #server:requests())
  end)

  it("is found and works in any folder", function()
    assert(os.execute(("mkdir %s/other"):format(here.path)))
    exits(0, "cd other && lua5.4 ../examples/grant.lua --yes --add AUDITOR ../people.csv")
  end)

  it("tells on Ctrl-C how to go on; resume ends it, undo brings back the first state", function()
    server:misbehave { match = { method = "PATCH" }, latency = 0.3 }
    local pipe = assert(io.popen(here:command("echo $$\nexec " .. GRANT
      .. "--yes --add AUDITOR --remove SUPPORT --limit max_removal_percent=100 --journal job.jsonl "
      .. "people.csv 2>&1", env())))
    local pid = tonumber(pipe:read "l")
    local give_up = raw.now() + 20
    repeat raw.nap(0.002) until #server:requests() > 60 or raw.now() > give_up
    assert.is_true(process.interrupt(pid))
    local output = pipe:read "a"
    local _, _, code = pipe:close()
    assert.equal(1, code, output)
    assert.truthy(output:find("\nInterrupted.\nReport: + AUDITOR - SUPPORT for 200 people\n", 1,
      true), output)
    assert.equal("Go on with: lua5.4 examples/grant.lua --resume job.jsonl",
      output:match("([^\n]*)\n$"))
    local counts = fates "job.report.csv"
    assert.is_true(counts.pending > 0 and counts.changed > 0)
    server:misbehave {}
    exits(0, GRANT .. "--yes --resume job.jsonl", "199 changed, 1 unchanged, 0 failed, 0 skipped, ")
    for _, types in pairs(server:direct_roles()) do assert.equal("AUDITOR", types) end
    exits(0, GRANT .. "--yes --undo job.jsonl", "Plan: each entry's own change for 199 people",
      "What became of each is in job.undo.report.csv")
    assert.same(first, server:direct_roles())
  end)
end)
