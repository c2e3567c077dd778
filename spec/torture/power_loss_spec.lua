-- SPDX-License-Identifier: MIT
--
-- The power fails while a journal is written: whatever is left of the file gives a right resume or
-- a clear error, never a wrong one. Right means: everybody ends at the target, nobody is lost.
-- DIVISOR (10 under sanitizers) divides the number of places.

local core = require "cipherscale.core"
local journal = require "cipherscale.bulk.journal"
local tenant = require "spec.bulk.tenant"

local SEED = tonumber(os.getenv "SEED" or os.time())
local DIVISOR = tonumber(os.getenv "DIVISOR" or 1)
local PLACES = math.max(1, math.floor(300 / DIVISOR))

local function read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function write(name, text)
  local file = assert(io.open(name, "wb"))
  file:write(text)
  file:close()
end

describe("a journal after a power loss", function()
  local path, people
  local state = SEED

  local function random(n)
    state = state * 6364136223846793005 + 1442695040888963407
    return (state >> 33) % n
  end

  before_each(function() path = tenant.unused_path(".jsonl") end)
  after_each(function()
    tenant.stop()
    os.remove(path)
  end)

  local function start(n)
    tenant.start { users = tenant.users(n, { { roles = { "SUPPORT" } } }) }
    people = n
  end

  -- Brings the tenant to where it can be with this journal: whoever is settled there was changed,
  -- of the others some were, too.
  local function make_tenant_fit()
    local book = core.journal.read(path)
    local story = book and journal.story(book, path) or { outcomes = {} }
    local done, rest = { user = {}, set = { "AUDITOR" } }, { user = {}, set = {} }
    for n = 1, people do
      local list = (story.outcomes[n] or random(2) == 0) and done or rest
      list.user[#list.user + 1] = "u" .. n
    end
    if book then book:close() end
    local changes = {}
    if #done.user > 0 then changes[1] = done end
    if #rest.user > 0 then changes[#changes + 1] = rest end
    if rest.user[1] == "u1" then changes[#changes + 1] = { user = "u1", set = { "SUPPORT" } } end
    tenant.server:change(changes)
  end

  -- Resumes what is left of a journal; "resumed" or "error". Anything else fails.
  local function outcome_of(left, where)
    write(path, left)
    make_tenant_fit()
    local report, err = tenant.client.bulk:resume(path, { canary = false })
    if not report then
      assert.equal("journal", err.kind, where)
      assert.truthy(err.message:find(path, 1, true), where)
      return "error"
    end
    assert.is_true(report.complete, where .. ": " .. tostring(report))
    for _, roles in pairs(tenant.server:direct_roles()) do assert.equal("AUDITOR", roles, where) end
    return "resumed"
  end

  local function whole_journal(n)
    local plan = tenant.plan {
      users = tenant.emails(n), add = { "AUDITOR" }, remove = { "SUPPORT" }, journal = path,
      max_changes = n,
    }
    assert.is_true(assert(plan:apply { canary = false }).complete)
    return read(path)
  end

  local function planned_end(text)
    return select(2, text:find('"kind":"planned"[^\n]*\n'))
  end

  it("of 5 users resumes rightly or says why not, cut at every byte", function()
    start(5)
    local text = whole_journal(5)
    local planned, count = planned_end(text), { resumed = 0, error = 0 }
    for cut = 0, #text - 1, DIVISOR do
      local result = outcome_of(text:sub(1, cut), "cut at byte " .. cut)
      count[result] = count[result] + 1
      -- As soon as the plan is whole, the job can be done.
      assert.equal(cut >= planned and "resumed" or "error", result, "cut at byte " .. cut)
    end
    print(("\n%d cuts, at every byte of %d divided by DIVISOR: %d resumed, %d refused"):format(
      count.resumed + count.error, #text, count.resumed, count.error))
    assert.is_true(count.resumed > 0 and count.error > 0)
  end)

  it("of 2,000 users does, too, with its tail cut, zeroed, half written or garbage", function()
    start(2000)
    local text = whole_journal(2000)
    local planned = planned_end(text)
    print(("\n%d places, SEED=%d"):format(PLACES, SEED))
    local tails = {
      function() return "" end,
      function(n) return ("\0"):rep(n) end,
      function(n, at) return text:sub(at + 1, at + n // 2) .. ("\0"):rep(n - n // 2) end,
      function(n) return ("\0"):rep(n // 2) .. text:sub(-(n - n // 2)) end,
      function(n)
        local bytes = {}
        for i = 1, math.min(n, 4096) do bytes[i] = string.char(random(256)) end
        return table.concat(bytes)
      end,
    }
    local count = { resumed = 0, error = 0 }
    for place = 1, PLACES do
      local at = random(#text)
      local tail_name = place % #tails + 1
      local tail = tails[tail_name](#text - at, at)
      local where = ("place %d, byte %d, tail %d"):format(place, at, tail_name)
      local result = outcome_of(text:sub(1, at) .. tail, where)
      count[result] = count[result] + 1
      if at < planned and tail_name ~= 3 then assert.equal("error", result, where) end
    end
    assert.is_true(count.resumed > 0 and count.error > 0 or PLACES < 30)
  end)
end)
