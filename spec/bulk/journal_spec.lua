-- SPDX-License-Identifier: MIT
--
-- The journal is the plan: one file from the plan to the undo of a job. What is in it, who may use
-- it, and what can be done with it afterwards.

local core = require "cipherscale.core"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local tenant = require "spec.bulk.tenant"

local start = tenant.start
local users = tenant.users
local emails = tenant.emails
local plan = tenant.plan
local patches = tenant.patches
local direct_roles = tenant.direct_roles
local stopped_after = tenant.stop_after

describe("the journal of a bulk job", function()
  local path
  tenant.with_journal(before_each, after_each, function(unused) path = unused end)

  local function lines_of(name)
    local lines = {}
    for line in io.lines(name) do lines[#lines + 1] = line end
    return lines
  end

  local function planned(more)
    local job = { users = emails(6), add = { "AUDITOR" }, journal = path, note = "ticket 4711" }
    for name, value in pairs(more or {}) do job[name] = value end
    return plan(job)
  end

  local function fails(kind, pattern, ok, err)
    assert.is_nil(ok)
    assert.equal(kind, err.kind)
    assert.truthy(err.message:find(pattern, 1, true), err.message)
  end

  describe("a file", function()
    before_each(function() start({ users = users(6, { { roles = { "AUDITOR" } } }) },
      { max_in_flight = 1 }) end)

    it("is written by the plan: a header, a record a person, a count", function()
      local made = planned()
      assert.equal(path, made.journal)
      local lines = lines_of(path)
      assert.equal(8, #lines)
      for n, kind in ipairs { "header", "plan", "plan", "plan", "plan", "plan", "plan",
        "planned" } do
        assert.equal(('{"record":%d,"kind":"%s",'):format(n, kind),
          lines[n]:match('^{"record":%d+,"kind":"%w+",'))
      end
      assert.truthy(lines[1]:find('"note":"ticket 4711"', 1, true))
      assert.truthy(lines[1]:find('"base_url":"' .. tenant.server.url .. '"', 1, true))
      local second = '"person":2,"line":2,"user":"u2","email":"u2@example.com","before":[],'
      assert.truthy(lines[3]:find(second, 1, true))
      assert.is_nil(table.concat(lines):find(tenant.server.api_key, 1, true))
    end)

    it("is for its owner alone, and is named by the time where a folder is given", function()
      local stat = "stat -c %%a %s 2>/dev/null || stat -f %%Lp %s"
      local pipe = assert(io.popen(stat:format(planned().journal, path)))
      assert.equal("600", pipe:read("l"))
      pipe:close()
      local folder = tenant.unused_path("")
      assert(os.execute("mkdir " .. folder))
      local made = plan { users = { "u2" }, add = { "AUDITOR" }, journal = folder .. "/" }
      assert.equal(folder .. "/", made.journal:sub(1, #folder + 1))
      assert.truthy(made.journal:find("/%d+T%d+Z%.jsonl$"))
      -- Within a second, too.
      assert.not_equal(made.journal,
        plan { users = { "u3" }, add = { "AUDITOR" }, journal = folder .. "/" }.journal)
      assert(os.execute("rm -r " .. folder))
    end)

    it("is never overwritten: the refusal says what is there, and how to go on", function()
      planned()
      fails("journal", "exists already: a plan to change 5 people, not applied; load it with "
        .. "client.bulk:load", tenant.client.bulk:roles { users = { "u1" }, add = { "BASIC" },
          journal = path })
      assert(assert(tenant.client.bulk:load(path)):apply { should_stop = stopped_after(2) })
      fails("journal", "exists already: a job in which 2 of 5 people are settled; go on with "
        .. "client.bulk:resume", tenant.client.bulk:roles { users = { "u1" }, add = { "BASIC" },
          journal = path })
    end)

    it("is not left behind by a plan that could not be made", function()
      fails("unresolved", "1 problem in the job", tenant.client.bulk:roles {
        users = { "nobody@example.com" }, add = { "AUDITOR" }, journal = path,
      })
      assert.is_nil(io.open(path))
    end)

    it("that cannot be created is an error before anything is sent", function()
      tenant.server:clear_requests()
      fails("journal", "/nowhere/at/all.jsonl", tenant.client.bulk:roles {
        users = { "u1" }, add = { "AUDITOR" }, journal = "/nowhere/at/all.jsonl",
      })
      assert.equal(0, #tenant.server:requests())
    end)
  end)

  describe("a plan that is loaded", function()
    before_each(function() start { users = users(6, { { roles = { "AUDITOR" } } }) } end)

    it("is the same plan, for another client in another process", function()
      local made = planned()
      local other = tenant.server:client()
      local loaded = assert(other.bulk:load(path))
      assert.equal(tostring(made), tostring(loaded))
      assert.same({ 6, 5, 1 }, { loaded.total, loaded.to_change, loaded.unchanged })
      assert.is_true(assert(loaded:apply()).complete)
      assert.equal(5, #patches())
      other:close()
    end)

    it("keeps the limits that it was made with", function()
      planned { max_changes = 3 }
      fails("refused", "more than max_changes = 3", assert(tenant.client.bulk:load(path)):apply())
      assert.equal(0, #patches())
      assert(assert(tenant.client.bulk:load(path)):apply { max_changes = 5 })
    end)

    it("is applied once", function()
      local made = planned()
      assert(made:apply())
      fails("refused", "was applied already: go on with client.bulk:resume", made:apply())
      fails("refused", "was applied already", assert(tenant.client.bulk:load(path)):apply())
      assert.equal(5, #patches())
    end)

    it("is refused in another tenant", function()
      planned()
      tenant.stop()
      start { users = users(6) }
      fails("journal", "belongs to http://127.0.0.1:", tenant.client.bulk:load(path))
    end)

    it("is refused in another tenant at the same address, also where it names no role", function()
      start { users = users(2) }
      assert(tenant.client.bulk:deactivate { users = emails(2), journal = path, min_admins = 0 })
      local port = tonumber(tenant.server.url:match(":(%d+)"))
      tenant.stop()
      start { users = users(2), roles = { { id = "other", type = "BASIC", name = "Basic" } },
        port = port }
      fails("journal", "belongs to another tenant: its roles are not in this one",
        tenant.client.bulk:load(path))
    end)

    it("is refused where the roles have other ids", function()
      planned()
      local text = table.concat(lines_of(path), "\n")
      local id = tenant.role_id "AUDITOR"
      tenant.stop()
      assert.truthy(text:find(id, 1, true))
      start { users = users(6), roles = { { id = "other", type = "AUDITOR", name = "Auditor" } },
        port = nil }
      fails("journal", "belongs to ", tenant.client.bulk:load(path))
    end)

    it("is refused when it was not finished, is no journal, or is not there", function()
      planned()
      local lines = lines_of(path)
      assert.truthy(table.remove(lines):find('"kind":"planned"', 1, true))
      scratch.write(path, table.concat(lines, "\n") .. "\n")
      fails("journal", path .. " holds a plan that was not finished; delete it and plan again",
        tenant.client.bulk:load(path))
      scratch.write(path, '{"hello":1}\n')
      fails("journal", path, tenant.client.bulk:load(path))
      os.remove(path)
      fails("journal", path, tenant.client.bulk:load(path))
    end)
  end)

  describe("of a newer format", function()
    before_each(function() start { users = users(6, { { roles = { "AUDITOR" } } }) } end)

    it("is refused by all that take one, before anything is sent, and stays as it is", function()
      assert(planned():apply { should_stop = stopped_after(2) })
      local lines = lines_of(path)
      os.remove(path)
      local book = assert(core.journal.create(path))
      for n, line in ipairs(lines) do
        local record = line:match('^{"record":%d+,(.*),"check":"%x+"}$')
        if n == 1 then record = record:gsub('"format":1,', '"format":2,') end
        assert(book:append(record))
      end
      assert(book:close())
      local text = scratch.read(path)
      tenant.server:clear_requests()
      for _, name in ipairs { "load", "resume", "undo", "verify", "report" } do
        local value, err = tenant.client.bulk[name](tenant.client.bulk, path)
        fails("journal", ("%s: it was written by a newer version (%s, format 2); this one reads "
          .. "format 1"):format(path, core.version), value, err)
        assert.equal("bulk." .. name, err.operation)
      end
      fails("journal", path .. " exists already",
        tenant.client.bulk:roles { users = { "u1" }, add = { "BASIC" }, journal = path })
      assert.equal(0, #tenant.server:requests())
      assert.equal(text, scratch.read(path))
    end)
  end)

  describe("a job that was stopped", function()
    before_each(function() start({ users = users(6, { { roles = { "AUDITOR" } } }) },
      { max_in_flight = 1 }) end)

    it("is resumed where it stopped, and those who are done get nothing more", function()
      local report = assert(planned():apply { should_stop = stopped_after(2) })
      assert.same({ 2, 3, false }, { report.changed, report.pending, report.complete })
      assert.truthy(tostring(report):find(("go on with client.bulk:resume %q."):format(path), 1,
        true))
      local resumed = assert(tenant.client.bulk:resume(path))
      assert.same({ 6, 5, 1, 0, true },
        { resumed.total, resumed.changed, resumed.unchanged, resumed.pending, resumed.complete })
      assert.equal(5, #patches())
      for n = 1, 6 do assert.equal("AUDITOR", direct_roles("u" .. n)) end
    end)

    it("tries again those who failed", function()
      local made = planned()
      tenant.server:misbehave { match = { method = "PATCH", path = "/u3/" }, fail = { status = 422,
        times = 1 } }
      local report = assert(made:apply())
      assert.same({ 4, 1 }, { report.changed, report.failed })
      report = assert(tenant.client.bulk:resume(path))
      assert.same({ 5, 0, true }, { report.changed, report.failed, report.complete })
    end)

    it("sends nothing when it is finished, and gives the same report", function()
      local report = assert(planned():apply())
      tenant.server:clear_requests()
      local again = assert(tenant.client.bulk:resume(path))
      assert.equal(tostring(report), tostring(again))
      assert.equal(0, #patches())
    end)

    -- What others do to u4 (just what the job wants) and to u5 (something else) in the meantime.
    local function meanwhile()
      local audit, support = tenant.role_id "AUDITOR", tenant.role_id "SUPPORT"
      assert(tenant.client.users:update_roles("u4", { addedRoles = { audit } }))
      assert(tenant.client.users:update_roles("u5", { addedRoles = { support } }))
      tenant.server:clear_requests()
    end

    local function fates(report)
      local list = {}
      for row in report:rows() do list[row.user] = row.fate end
      return list
    end

    it("takes for its own only what it has done, after a clean end", function()
      assert(planned { remove = { "SUPPORT" } }:apply { should_stop = stopped_after(1) })
      meanwhile()
      local report = assert(tenant.client.bulk:resume(path, { canary = false }))
      assert.same({
        u1 = "unchanged", u2 = "changed", u3 = "changed", u4 = "unchanged", u5 = "conflict",
        u6 = "changed",
      }, fates(report))
      assert.equal(2, #patches())
      assert.equal("u2 u3 u6", tenant.changed_ids(assert(tenant.client.bulk:undo(path))))
    end)

    it("finds what was made but not noted, after a run that was killed", function()
      assert(planned { remove = { "SUPPORT" } }:apply { should_stop = stopped_after(1) })
      tenant.forget_end(path)
      meanwhile()
      -- Undo, too, reads those in doubt, and leaves alone what is not exactly as the job wanted it.
      assert.equal("u2 u4", tenant.changed_ids(assert(tenant.client.bulk:undo(path))))
      local report = assert(tenant.client.bulk:resume(path, { canary = false }))
      assert.same({
        u1 = "unchanged", u2 = "changed", u3 = "changed", u4 = "verified", u5 = "conflict",
        u6 = "changed",
      }, fates(report))
    end)

    it("has a report without a connection, which never looks like success", function()
      assert(planned():apply { should_stop = stopped_after(2) })
      tenant.server:stop()
      local report = assert(tenant.client.bulk:report(path))
      assert.same({ 2, 3, false }, { report.changed, report.pending, report.complete })
      local text = tostring(report)
      assert.truthy(text:find("note: ticket 4711", 1, true))
      assert.truthy(text:find("stopped: should_stop said so", 1, true))
      assert.truthy(text:find("2 changed, 1 unchanged, 0 failed, 0 skipped, 3 pending\n", 1, true))
      assert.truthy(text:find("NOT complete: go on", 1, true))
    end)
  end)

  describe("undo", function()
    before_each(function()
      start({
        users = users(6, {
          { roles = { "AUDITOR" } }, { roles = { "SUPPORT" } }, { roles = { "SUPPORT",
            "AUDITOR" } },
        }),
      }, { max_in_flight = 1 })
    end)

    local function states()
      local list = {}
      for n = 1, 6 do list[n] = direct_roles("u" .. n) end
      return list
    end

    it("brings back the first state, also after a resume", function()
      local before = states()
      assert(planned { remove = { "SUPPORT" } }:apply { should_stop = stopped_after(2) })
      assert.is_true(assert(tenant.client.bulk:resume(path)).complete)
      for n = 1, 6 do assert.equal("AUDITOR", states()[n]) end
      local undo = assert(tenant.client.bulk:undo(path))
      assert.equal(5, undo.to_change)
      assert.is_true(assert(undo:apply()).complete)
      assert.same(before, states())
    end)

    it("takes back only what the job itself changed, and only where it still stands", function()
      assert(planned():apply { should_stop = stopped_after(3) })
      local audit = tenant.role_id "AUDITOR"
      assert(tenant.client.users:update_roles("u2",
        { removedRoles = { audit } })) -- not as it was left
      assert(tenant.client.users:update_roles("u6",
        { addedRoles = { audit } }))   -- never the job's
      local undo = assert(tenant.client.bulk:undo(path))
      assert.equal("u4 u5", tenant.changed_ids(undo))
      assert.is_true(assert(undo:apply()).complete)
      assert.equal("AUDITOR", direct_roles "u1")
      assert.equal("AUDITOR SUPPORT", direct_roles "u3")
      assert.equal("AUDITOR", direct_roles "u6")
    end)

    it("has a journal of its own, which can be undone", function()
      local other = tenant.unused_path(".jsonl")
      assert(planned():apply())
      local after = states()
      assert(assert(tenant.client.bulk:undo(path, { journal = other })):apply())
      assert.not_same(after, states())
      assert(assert(tenant.client.bulk:undo(other)):apply())
      assert.same(after, states())
      os.remove(other)
    end)

    it("is not stopped by the limits on size", function()
      assert(planned { users = { "u4", "u5", "u6" } }:apply())
      local undo = assert(tenant.client.bulk:undo(path, { max_changes = 1,
        max_removal_percent = 1 }))
      assert.is_true(assert(undo:apply()).complete)
    end)

    it("of a deactivation is a reactivation, of an invitation there is none", function()
      local made = assert(tenant.client.bulk:deactivate { users = emails(3), journal = path,
        min_admins = 0 })
      assert(made:apply())
      local undo = assert(tenant.client.bulk:undo(path))
      assert.equal("reactivate", tostring(undo):match("^Plan: (%w+)"))
      assert.is_true(assert(undo:apply()).complete)
      os.remove(path)
      assert(tenant.client.bulk:invite { users = emails(3),
        journal = path }):apply { allow_empty = true }
      fails("journal", "'invite' cannot be undone", tenant.client.bulk:undo(path))
    end)

    it("of a plan that was not applied is nothing", function()
      planned()
      fails("journal", "was not applied, so there is nothing to undo",
        tenant.client.bulk:undo(path))
    end)
  end)

  describe("verify", function()
    before_each(function() start { users = users(6, { { roles = { "SUPPORT" } } }) } end)

    it("gives an empty list when all is as planned", function()
      assert(planned { remove = { "SUPPORT" } }:apply())
      assert.same({}, assert(tenant.client.bulk:verify(path)))
    end)

    it("gives exactly one value, as do load, report and resume", function()
      assert(planned { remove = { "SUPPORT" } }:apply())
      for _, name in ipairs { "verify", "load", "report", "resume" } do
        assert.equal(1, select("#", tenant.client.bulk[name](tenant.client.bulk, path)), name)
      end
    end)

    it("names everybody who is not, with what is missing and what is too much", function()
      assert(planned { remove = { "SUPPORT" } }:apply())
      local audit, support = tenant.role_id "AUDITOR", tenant.role_id "SUPPORT"
      assert(tenant.client.users:update_roles("u2", { addedRoles = { support },
        removedRoles = { audit } }))
      local list = assert(tenant.client.bulk:verify(path))
      assert.equal(1, #list)
      assert.same({ "u2", 2, { "AUDITOR" }, { "SUPPORT" } },
        { list[1].user, list[1].line, list[1].missing, list[1].extra })
    end)

    it("does not ask who administrates the tenant: nothing is taken from anybody", function()
      assert(assert(tenant.client.bulk:deactivate { users = { "u1" }, journal = path }):apply())
      assert(tenant.client.users:reactivate "u1")
      tenant.server:misbehave { match = { path = "/roles/.*/users" }, fail = { status = 403 } }
      local list = assert(tenant.client.bulk:verify(path))
      assert.same({ "u1", { "access" } }, { list[1].user, list[1].extra })
    end)
  end)

  -- A file that may be read and no more, in such a folder, for a client that is not root.
  describe("that cannot be written", function()
    local folder

    before_each(function()
      start({ users = users(6, { { roles = { "AUDITOR" } } }) }, { max_in_flight = 1 })
      folder = scratch.folder()
      path = folder .. "/audit.jsonl"
    end)
    after_each(function() assert(os.execute("chmod 700 " .. folder)) end)

    local function read_only(fn)
      assert(os.execute(("chmod 444 %s && chmod 555 %s"):format(path, folder)))
      local text = scratch.read(path)
      tenant.server:clear_requests()
      local how, problem = process.fork(function()
        process.drop_privileges()
        fn(tenant.server:client().bulk)
      end, 20)
      assert.equal("returned", how, problem)
      assert.equal(text, scratch.read(path))
    end

    local function denied(value, err)
      fails("journal", path .. ": Permission denied", value, err)
      assert.equal("denied", err.code)
    end

    it("is read, and the job neither begun nor gone on with", function()
      planned()
      read_only(function(bulk)
        local loaded = assert(bulk:load(path))
        assert.equal(5, loaded.to_change)
        denied(loaded:apply())
        denied(bulk:resume(path))
        assert.equal(5, assert(bulk:report(path)).pending)
        fails("journal", "was not applied", bulk:undo(path))
      end)
      assert.equal(0, #patches())
    end)

    it("is verified, reported and undone after the job", function()
      assert.is_true(assert(planned():apply()).complete)
      read_only(function(bulk)
        denied(bulk:resume(path))
        fails("journal", "exists already: a job in which 5 of 5 people are settled",
          bulk:roles { users = { "u1" }, add = { "BASIC" }, journal = path })
        local value, err = bulk:undo(path, { journal = folder .. "/undo.jsonl" })
        fails("journal", folder .. "/undo.jsonl: Permission denied", value, err)
        assert.equal(5, assert(bulk:report(path)).changed)
        assert.same({}, assert(bulk:verify(path)))
        local undo = assert(bulk:undo(path))
        assert.equal(5, undo.to_change)
        assert.is_true(assert(undo:apply()).complete)
      end)
      assert.equal(5, #patches())
      for n = 2, 6 do assert.equal("", direct_roles("u" .. n)) end
    end)
  end)
end)
