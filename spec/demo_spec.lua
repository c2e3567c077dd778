-- SPDX-License-Identifier: MIT
--
-- The demo as a newcomer runs it: a process of its own, its output through a pipe.

local sandbox = require "cipherscale.sandbox"

-- The interpreter that runs this suite.
local function interpreter()
  local n = 0
  while arg[n - 1] do n = n - 1 end
  return arg[n]
end

local function quote(text) return "'" .. text:gsub("'", [['\'']]) .. "'" end

-- Runs the demo under these variables only (and those that tell where its modules are), after the
-- Lua chunk `before`; gives its whole output and its exit status.
local function run(variables, before)
  local words = { "env", "-u CIPHERSCALE_API_KEY", "-u CIPHERSCALE_BASE_URL", "-u LIVE" }
  for name, value in pairs(variables or {}) do words[#words + 1] = name .. "=" .. quote(value) end
  words[#words + 1] = quote(interpreter())
  if before then words[#words + 1] = "-e " .. quote(before) end
  words[#words + 1] = "examples/demo.lua 2>&1; echo exit $?"
  local pipe = assert(io.popen(table.concat(words, " ")))
  local output = pipe:read("*a")
  pipe:close()
  local text, status = output:match("^(.*)exit (%d+)\n$")
  return text, tonumber(status)
end

local function last_line(text) return text:match("([^\n]*)\n$") end

describe("the demo", function()
  local output, status

  setup(function() output, status = run() end)

  local function has(text)
    assert.truthy(output:find(text, 1, true), ("no '%s' in:\n%s"):format(text, output))
  end

  it("ends well, with a verdict in one line for each of its two jobs", function()
    has "\nOK: 1000 of 1000 people are AUDITOR, each read back\n"
    assert.equal("OK: a job for 1000 people was stopped after 400, resumed, verified and undone",
      last_line(output))
    assert.equal(0, status)
  end)

  it("calls each of the five operations and shows what came back", function()
    has "\nreactivate    nikos.vlachopoulou@example.com was Deactivated, is Active\n"
    has "\ninvite        ananya.chattopadhyay@example.org was sent another invitation\n"
    has "\nroles         mikhail.shcherbakov@example.com has Auditor; directly: none\n"
    has "\nupdate_roles  mikhail.shcherbakov@example.com has directly: Auditor, Support\n"
    has "\nadd_to_group  theo.ashdown@example.org is in: Berlin office, Internal audit\n"
  end)

  it("shows the plan before it is applied, and the report after it", function()
    has "\nPlan: + AUDITOR for 1,000 people\n  999 to change, 1 unchanged; 1,002 requests to send"
    has "\nReport: + AUDITOR for 1,000 people\n  999 changed, 1 unchanged, 0 failed, 0 skipped, "
  end)

  it("stops a job in the middle, and shows what its journal says", function()
    has "\nPlan: AUDITOR -> BILLING for 1,000 people\n  1,000 to change, 0 unchanged; "
    has "\nReport: AUDITOR -> BILLING for 1,000 people\n  400 changed, 0 unchanged, 0 failed, "
    has "\n  stopped: should_stop said so\nNOT complete: go on with client.bulk:"
  end)

  it("resumes it to its end, verifies it and reads everybody back", function()
    has "\nReport: AUDITOR -> BILLING for 1,000 people\n  1,000 changed, 0 unchanged, 0 failed, "
    has "\n  verify: 0 are not as planned\n  read back: 1000 of 1000 hold what was asked for\n"
  end)

  it("undoes it to exactly the state before", function()
    has "\nPlan: + AUDITOR - BILLING for 1,000 people\n  1,000 to change, 0 unchanged; "
    has "\nReport: + AUDITOR - BILLING for 1,000 people\n  1,000 changed, 0 unchanged, 0 failed, "
    has "\n  1000 of 1000 hold exactly what they held before\n"
  end)

  it("leaves no journal behind", function()
    local path = output:match '\n[^\n]*client%.bulk:resume "([^"]+)"%.\n'
    assert.is_nil(io.open(path))
    assert.is_nil(io.open((path:gsub("%.jsonl$", ""))))
  end)

  it("shows its progress in plain lines where there is no terminal", function()
    has "\n  999 of 999, 0 failed, "
    assert.is_nil(output:find("[\r\27]"))
  end)

  describe("fails", function()
    -- With a sandbox that misbehaves so, a Lua table as text.
    local function run_with(misbehaviour)
      return run(nil, ([[
        local sandbox = require "cipherscale.sandbox"
        local start = sandbox.start
        function sandbox.start(config)
          config.misbehave = %s
          return start(config)
        end]]):format(misbehaviour))
    end

    -- Answers some of the role changes itself, instead of the service.
    local function run_with_answers(code, which)
      return run_with(('{ match = { method = "PATCH" }, fail = { status = %d, %s } }')
        :format(code, which))
    end

    it("when people could not be changed", function()
      local text, code = run_with_answers(422, "every = 300")
      assert.truthy(text:find("\n  996 changed, 1 unchanged, 3 failed, 0 skipped, ", 1, true))
      assert.equal("WRONG: 997 of 1000 people are AUDITOR, each read back", last_line(text))
      assert.equal(1, code)
    end)

    it("when all went well by the answers, but reading back says otherwise", function()
      local text, code = run_with_answers(200, "every = 300")
      assert.truthy(text:find("\nComplete: done for everybody.\n", 1, true))
      assert.equal(3, select(2, text:gsub("\n  without it: [^\n]+@example", "")))
      assert.equal("WRONG: 997 of 1000 people are AUDITOR, each read back", last_line(text))
      assert.equal(1, code)
    end)

    it("when some are not as planned after the resumed job", function()
      -- A thousand changes were made before it, and 400 until it was stopped.
      local text, code = run_with_answers(200, "after = 1500, times = 2")
      assert.truthy(text:find("\n  verify: 2 are not as planned\n", 1, true))
      assert.equal(2, select(2, text:gsub("@example%.%a+: has 'AUDITOR', not 'BILLING'\n", "")))
      assert.truthy(text:find("\n  read back: 998 of 1000 hold what was asked for\n", 1, true))
      assert.equal("WRONG: a job for 1000 people was stopped after 400, resumed, verified and "
        .. "undone", last_line(text))
      assert.equal(1, code)
    end)

    it("when somebody is not exactly as before after the undo", function()
      local text, code = run_with [[{ match = { method = "PATCH" }, meddle = {
        after = 2500, times = 1, user = "theo.ashdown@example.org", add = { "BASIC" } } }]]
      assert.truthy(text:find("\n  theo.ashdown@example.org: has 'AUDITOR BASIC', not 'AUDITOR'\n"
        .. "  999 of 1000 hold exactly what they held before\n", 1, true))
      assert.equal("WRONG: ", last_line(text):sub(1, 7))
      assert.equal(1, code)
    end)
  end)

  it("cares for no setting that is meant for a real tenant", function()
    local text, code = run {
      CIPHERSCALE_API_KEY = "the-real-key", CIPHERSCALE_BASE_URL = "http://127.0.0.1:9/nowhere",
    }
    assert.equal(0, code)
    assert.is_nil(text:find("the-real-key", 1, true))
    assert.is_nil(text:find("127.0.0.1:9/", 1, true))
  end)
end)

describe("the demo with LIVE=1", function()
  local server

  after_each(function()
    if server then server:stop() end
    server = nil
  end)

  local function run_live()
    return run {
      LIVE = "1", CIPHERSCALE_API_KEY = server.api_key, CIPHERSCALE_BASE_URL = server.url,
    }
  end

  it("plans for the tenant that the environment names, and applies nothing", function()
    server = sandbox.start { users = 130, api_key = "the-real-key" }
    local text, code = run_live()
    assert.equal(0, code)
    assert.truthy(text:find("Owner, Admin, Default, Basic, Billing, Auditor, Support", 1, true))
    assert.truthy(text:find("\nPlan: + AUDITOR for 100 people\n", 1, true))
    assert.equal("OK: planned for 100 users; nothing was changed", last_line(text))
    assert.is_true(#server:requests() > 0)
    for _, request in ipairs(server:requests()) do assert.equal("GET", request.method) end
  end)

  it("never shows the key, not even when it is wrong", function()
    server = sandbox.start { users = 3, api_key = "right" }
    local text, code = run {
      LIVE = "1", CIPHERSCALE_API_KEY = "the-wrong-key", CIPHERSCALE_BASE_URL = server.url,
    }
    assert.equal(1, code)
    assert.truthy(text:find("HTTP 401", 1, true))
    assert.is_nil(text:find("the-wrong-key", 1, true))
  end)

  it("says what it needs when that is not set", function()
    local text, code = run { LIVE = "1", CIPHERSCALE_API_KEY = "key" }
    assert.equal("LIVE=1 needs CIPHERSCALE_API_KEY and CIPHERSCALE_BASE_URL", last_line(text))
    assert.equal(1, code)
  end)
end)

describe("the demo's people", function()
  it("are a thousand, with all that makes CSV hard", function()
    local csv = require "cipherscale.csv"
    local seen, found, n = {}, {}, 0
    for row in assert(csv.open("examples/people.csv", { columns = { "email", "status" } })) do
      n = n + 1
      assert.is_nil(seen[row.email:lower()])
      seen[row.email:lower()] = true
      assert.truthy(row.email:find("^[%w.-]+@example%.[co][or][mg]$"))
      found[row.status] = (found[row.status] or 0) + 1
      local name = row.firstName .. row.lastName
      local kinds = { comma = ",", quote = '"', latin = "\195", other = "[\206-\239]" }
      for what, letters in pairs(kinds) do
        if name:find(letters) then found[what] = (found[what] or 0) + 1 end
      end
      if row.note:find("\r\n", 1, true) then found.line_break = (found.line_break or 0) + 1 end
    end
    assert.equal(1000, n)
    assert.same({ 20, 5, 975 }, { found.Deactivated, found.Invited, found.Active })
    for _, what in ipairs { "comma", "quote", "latin", "other", "line_break" } do
      assert.is_true(found[what] > 10)
    end
  end)
end)
