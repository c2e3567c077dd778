-- SPDX-License-Identifier: MIT
--
-- A disk that is full, told by a limit on the size of files in a forked child: before anything is
-- sent it is an error, in the middle of a job a clean stop with a report.

local core = require "cipherscale.core"
local process = require "spec.support.process"
local scratch = require "spec.support.scratch"
local tenant = require "spec.bulk.tenant"

local PEOPLE = 400

describe("a disk that is full", function()
  local path

  before_each(function()
    path = tenant.unused_path(".jsonl")
    tenant.start { users = tenant.users(PEOPLE) }
  end)
  after_each(function()
    tenant.stop()
    os.remove(path)
  end)

  local function job() return { users = tenant.emails(PEOPLE), add = { "AUDITOR" },
    journal = path } end

  -- What fn gives as text, in a process whose files end at `limit` bytes, with a client of its own.
  -- What is settled is written every 20 ms: at this rate some are left when the disk is full.
  local function where_files_end(limit, fn)
    return tenant.in_child(function(client)
      process.limit_files(limit)
      return fn(client)
    end, { rate = 2000 })
  end

  it("while a job is planned is an error of kind `journal`, and leaves no journal", function()
    -- The temporary file of the entries is full first, or the journal.
    for _, limit in ipairs { 1, 5000, 20000, 60000 } do
      local text = where_files_end(limit, function(client)
        local made, err = client.bulk:roles(job())
        return made and "planned" or err.kind .. " " .. tostring(err)
      end)
      assert.equal("journal bulk.roles: journal: ", text:match("^journal bulk%.roles: journal: "))
      assert.is_nil(io.open(path))
    end
    assert.equal(0, #tenant.patches())
  end)

  it("so that there is no temporary file at all is the same", function()
    local temporary = core.journal.temporary
    core.journal.temporary = function()
      return nil, core.error { kind = "journal", message = "cannot create a temporary file" }
    end
    local ok, made, err = pcall(tenant.client.bulk.roles, tenant.client.bulk, job())
    core.journal.temporary = temporary
    assert.is_true(ok, tostring(made))
    assert.is_nil(made)
    assert.equal("bulk.roles: journal: cannot create a temporary file", tostring(err))
    assert.is_nil(io.open(path))
  end)

  for _, room in ipairs { 200, 3000, 12000, 30000 } do
    it(("in the middle of a job stops it, with a report that is right and a journal that resumes "
      .. "(%d bytes left)"):format(room), function()
      assert(tenant.client.bulk:roles(job()))
      local text = where_files_end(#scratch.read(path) + room, function(client)
        local plan = assert(client.bulk:load(path))
        local settled = 0
        local report, err = plan:apply { on_result = function() settled = settled + 1 end }
        if not report then return "nothing sent: " .. tostring(err) end
        return ("%d %d %d %s"):format(report.changed, settled, report.pending, report.stopped)
      end)
      local patches = #tenant.patches()
      if patches == 0 then
        assert.truthy(text:find("^nothing sent: .*journal: "), text)
      else
        local changed, settled, pending, stopped = text:match("^(%d+) (%d+) (%d+) (.*)$")
        assert.truthy(changed, text)
        assert.same({ patches, patches, PEOPLE - patches },
          { tonumber(changed), tonumber(settled), tonumber(pending) })
        assert.truthy(stopped:find("File too large", 1, true), stopped)
      end
      assert.is_true(patches < PEOPLE)
      local report = assert(tenant.client.bulk:resume(path))
      assert.is_true(report.complete, tostring(report))
      for _, roles in pairs(tenant.server:direct_roles()) do assert.equal("AUDITOR", roles) end
      local undo = assert(tenant.client.bulk:undo(path))
      assert.equal(PEOPLE, undo.to_change)
      assert.is_true(assert(undo:apply()).complete)
    end)
  end
end)
