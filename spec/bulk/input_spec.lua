-- SPDX-License-Identifier: MIT
--
-- What stands in a list or a CSV file: odd names, cells that are blank or look like formulas,
-- wishes that are spelled in several ways, and what comes out as CSV and goes in again.

local cipherscale = require "cipherscale"
local helper = require "spec.support.helper"
local tenant = require "spec.bulk.tenant"

local start = tenant.start
local users = tenant.users
local emails = tenant.emails
local plan = tenant.plan
local changed_ids = tenant.changed_ids

describe("the input of a bulk job", function()
  local files

  before_each(function() files = {} end)
  after_each(function()
    tenant.stop()
    for _, name in ipairs(files) do os.remove(name) end
  end)

  local function file_for(content)
    local name = tenant.unused_path(".csv")
    files[#files + 1] = name
    if content then
      local file = assert(io.open(name, "wb"))
      file:write(content)
      file:close()
    end
    return name
  end

  local function csv(content) return assert(cipherscale.csv(file_for(content))) end

  local function lines_of(name)
    local lines = {}
    for line in io.lines(name) do lines[#lines + 1] = line:gsub("\r$", "") end
    return lines
  end

  local function problems_of(job)
    local made, err = tenant.client.bulk:roles(job)
    assert.is_nil(made)
    assert.equal("unresolved", err.kind)
    local messages = {}
    for n, problem in ipairs(err.unresolved) do messages[n] = problem.message end
    return messages
  end

  it("may come with numbers that are no lines: the place counts, and nobody is lost", function()
    start { users = users(5) }
    local numbers, n = { 7, -1, 1700000000000000000, 1e19, 2.5 }, 0
    local made = plan { add = { "AUDITOR" }, users = function()
      n = n + 1
      if n <= 5 then return "u" .. n, numbers[n] end
    end }
    assert.equal("u1 u2 u3 u4 u5", changed_ids(made))
    local lines = {}
    for _, change in ipairs(tenant.changes_of(made)) do lines[#lines + 1] = change.line end
    assert.same({ 7, 2, 3, 4, 5 }, lines)
  end)

  describe("may hold names that cannot be anybody's", function()
    it("which are told with their place, and never sent", function()
      start { users = users(1) }
      tenant.server:clear_requests()
      assert.same({
        "entry 1: dot segment in it",
        "entry 2: dot segment in it",
        "entry 3: too long for an id or an e-mail",
        "entry 4: not valid UTF-8",
        "entry 5: control character in it",
        "entry 6: id: string expected, got 17",
      }, problems_of {
        users = { "..", "a/../b", ("x"):rep(100000), "\255\254", "a\tb", { id = 17 } },
        add = { "AUDITOR" },
      })
      assert.same({ ["GET /tenants/roles"] = 1 }, tenant.request_counts())
    end)

    it("in a CSV file, too", function()
      start { users = users(1) }
      assert.same({ "line 3: dot segment in it" },
        problems_of { users = csv "id\r\nu1\r\n..\r\n", add = { "AUDITOR" } })
    end)
  end)

  it("may be anything that is called, which raises what it raises", function()
    start { users = users(1) }
    local source = setmetatable({ problem = "none" }, {
      __call = function() error("gone", 0) end,
    })
    local ok, message = pcall(tenant.client.bulk.roles, tenant.client.bulk,
      { users = source, add = { "AUDITOR" } })
    assert.is_false(ok)
    assert.truthy(message:find("^gone"))
  end)

  it("may be a CSV file that is malformed in the middle: an error with its line", function()
    start { users = users(2) }
    local journal = tenant.unused_path(".jsonl")
    local name = file_for "id\nu1\nu\255\n"
    assert.same({ name .. ", line 3: not valid UTF-8 (byte 0xFF); save the file as UTF-8" },
      problems_of { users = assert(cipherscale.csv(name)), add = { "AUDITOR" }, journal = journal })
    assert.is_nil(io.open(journal))
  end)

  describe("may name somebody twice", function()
    before_each(function() start { users = users(3) } end)

    it("with the same wish in another order, or under another name of a role", function()
      for _, wishes in ipairs {
        { { "AUDITOR", "SUPPORT" }, { "SUPPORT", "AUDITOR" } },
        { { "AUDITOR" }, { "Auditor" } }, { { "AUDITOR" }, "AUDITOR" },
        { { "AUDITOR" }, { tenant.role_id "AUDITOR" } },
      } do
        local made = plan { users = { { id = "u1", add = wishes[1] },
          { email = "u1@example.com", add = wishes[2] } } }
        assert.equal("u1", changed_ids(made))
      end
    end)

    it("with wishes that the tenant does not know, each of which is told", function()
      local messages = problems_of { users = { { id = "u1", add = { "AUDITER" } },
        { id = "u2", add = { "AUDITER" } } } }
      assert.equal(2, #messages)
      for n, message in ipairs(messages) do
        assert.equal(("entry %d: role 'AUDITER': no such role in this tenant"):format(n),
          message:match("^(.-) %("))
      end
    end)
  end)

  describe("may say what becomes of each person", function()
    before_each(function()
      start { users = users(3, { { roles = { "SUPPORT", "BASIC" } } }) }
    end)

    it("where a blank cell asks for nothing, and least of all takes every role", function()
      for _, cell in ipairs { '""', '" "', '"\t"' } do
        assert.same({ "line 2: nothing is asked for: add, remove, set, replace expected" },
          problems_of { users = csv("id,set\nu1," .. cell .. "\n") })
        assert.equal("+ AUDITOR", tostring(plan { users = csv("id,add\nu1," .. cell .. "\n"),
          add = { "AUDITOR" } }):match("^Plan: (.-) for"))
      end
    end)

    it("where separators alone are no names", function()
      for _, cell in ipairs { ",", ";", " , " } do
        assert.same({ ("line 2: role '%s': no name in it"):format(cell:match("^%s*(.-)%s*$")) },
          problems_of { users = csv(('id,set\nu1,"%s"\n'):format(cell)) })
      end
    end)

    it("where names of columns count in whatever case", function()
      for header, asked in pairs {
        ["id,Add"] = "+ BILLING", ["Id,SET"] = "= BILLING", [" ID ,Remove"] = "- BILLING",
        ["Email,add"] = "+ BILLING",
      } do
        local name = header:find "Email" and "u2@example.com" or "u2"
        local made = plan { users = csv(("%s\n%s,BILLING\n"):format(header, name)) }
        assert.equal(asked, tostring(made):match("^Plan: (.-) for"))
      end
    end)

    it("where two columns with one meaning are told from each other only by a blank", function()
      assert.same({ "line 2: `add` is there twice" },
        problems_of { users = csv "id,add,Add\nu1,AUDITOR,BILLING\nu2,AUDITOR,\n" })
    end)

    it("where an `ID` beside an `email` is no id of ours", function()
      assert.equal("u2", changed_ids(plan { users = csv "ID,email\n4711,u2@example.com\n",
        add = { "AUDITOR" } }))
    end)

    it("where a wish that the job knows nothing of is not passed over", function()
      local made, err = tenant.client.bulk:deactivate { users = csv "id,Remove\nu1,SUPPORT\n" }
      assert.is_nil(made)
      assert.equal("line 2: unknown option 'remove' (known: none)", err.unresolved[1].message)
    end)

    it("where nothing is replaced by two things", function()
      assert.same({ "role 'Support' is replaced by 'AUDITOR' and replaced by 'BILLING'" },
        problems_of { users = emails(3), replace = { SUPPORT = "AUDITOR", Support = "BILLING" } })
    end)

    it("also where a metatable gives it to many entries", function()
      local alike = { __index = { add = { "BILLING" } } }
      local made = plan { users = { setmetatable({ id = "u2" }, alike) }, add = { "AUDITOR" } }
      assert.same({ "BILLING" }, tenant.changes_of(made)[1].add)
    end)
  end)

  describe("comes out as CSV", function()
    it("from a plan with every cell, whether e-mails are known or not", function()
      start { users = users(3, { [2] = { roles = { "SUPPORT" } } }) }
      local made = plan { users = { "u1", "u2" }, add = { "AUDITOR" }, remove = { "SUPPORT" } }
      local name = file_for()
      assert(made:to_csv(name))
      assert.same({ "line,user,email,add,remove,before", "1,u1,,AUDITOR,,",
        "2,u2,,AUDITOR,SUPPORT,SUPPORT" }, lines_of(name))
      for row in assert(cipherscale.csv(name)) do assert.truthy(row.before) end
    end)

    it("from a report, and goes in again with wishes that look like formulas", function()
      start {
        users = users(8),
        roles = {
          { id = "r1", name = "-minus" }, { id = "r2", name = "=sum" }, { id = "r3", name = "+p" },
          { id = "r4", name = "@at" },
        },
      }
      local made = plan {
        users = csv "id,add\nu1,-minus\nu2,=sum\nu3,+p\nu4,@at\nu5,\"-minus, @at\"\n",
      }
      assert.equal(5, made.to_change)
      local report, name = assert(made:apply()), file_for()
      assert(report:to_csv(name))
      assert.equal("u1,'-minus,u1,changed,'-minus,,,,,", lines_of(name)[2])
      local again = plan { users = assert(cipherscale.csv(name)) }
      assert.same({ 5, 0 }, { again.total, again.to_change })
    end)

    it("from a report with the input's own columns, whatever they are called", function()
      start { users = users(2) }
      local made = plan { users = csv "id,status,fate,user\nu1,Active,none,Ann\n",
        add = { "AUDITOR" } }
      local report, name = assert(made:apply()), file_for()
      assert(report:to_csv(name))
      assert.same({
        "id,status,fate,user,bulk_user,bulk_fate,bulk_added,bulk_removed,bulk_error,bulk_status,"
          .. "bulk_attempts,bulk_request_id",
        "u1,Active,none,Ann,u1,changed,AUDITOR,,,,,",
      }, lines_of(name))
    end)

    it("from a report of a report with its results anew, each once", function()
      start { users = users(2) }
      local first, second = file_for(), file_for()
      assert(assert(plan { users = csv "id,status\nu1,Red\n", add = { "AUDITOR" } }:apply())
        :to_csv(first))
      assert(assert(plan { users = assert(cipherscale.csv(first)), add = { "AUDITOR" } }:apply())
        :to_csv(second))
      local lines = lines_of(second)
      assert.equal(lines_of(first)[1], lines[1])
      assert.equal("u1,Red,u1,unchanged,,,,,,", lines[2])
    end)

    it("only where a file and a fate are named that can be", function()
      start { users = users(1) }
      local report = assert(plan { users = { "u1" }, add = { "AUDITOR" } }:apply())
      assert.equal("bad argument #1 to 'to_csv' (path expected, got nil)",
        helper.message_of(report.to_csv, report))
      assert.equal("bad argument #2 to 'to_csv' (unknown fate 'faild')",
        helper.message_of(report.to_csv, report, file_for(), "faild"))
    end)
  end)

  describe("comes out as text", function()
    it("of a length that fits a ticket, however much the service has to say", function()
      start { users = users(20) }
      local made = plan { users = emails(20), add = { "AUDITOR" } }
      tenant.server:misbehave { match = { method = "PATCH" },
        fail = { status = 400, body = { message = ("very "):rep(2000) } } }
      local report = assert(made:apply())
      assert.equal(20, report.failed)
      assert.is_true(#tostring(report) < 20 * 250)
      assert.is_true(#tenant.rows_of(report).u1.error > 1000)
    end)

    it("without characters that move a cursor, be they of one byte or two", function()
      start { users = users(1), roles = { { id = "r", name = "Red\27[2J\194\15531m" } } }
      local text = tostring(plan { users = { "u1" }, add = { "r" } })
      assert.is_nil(text:find("[\27\155]"))
    end)
  end)
end)
