-- SPDX-License-Identifier: MIT
--
-- Random jobs against a service that fails at random, stopped and resumed at random: each ends at
-- exactly the target, accounts for everybody at any time, sends nothing to who is done, verifies,
-- and is undone to exactly the first state. SEED repeats a run; DIVISOR (10 under sanitizers)
-- divides the number of rounds.

local tenant = require "spec.bulk.tenant"

local SEED = tonumber(os.getenv "SEED" or os.time())
local ROUNDS = math.max(2, math.floor(15 / tonumber(os.getenv "DIVISOR" or 1)))
local PEOPLE, OTHERS = 40, 5
local NAMES = { "AUDITOR", "BASIC", "BILLING", "SUPPORT" }
-- No limit on what goes wrong: here that is not what is asked.
local LIMITS = { max_failures = math.huge, max_unreachable = math.huge }
local HEALED = 4 -- the resume from which on the service is well again

-- ---- What is random ----

local state

-- Seeded apart from whatever else uses math.random; xorshift64*.
local function random(n)
  state = state ~ (state >> 12)
  state = state ~ (state << 25)
  state = state ~ (state >> 27)
  return ((state * 0x2545F4914F6CDD1D) >> 33) % n + 1
end

local function seed(round)
  state = (SEED * 1000003 + round) * 0x9E3779B97F4A7C15 | 1
  for _ = 1, 8 do random(1) end
end

local function chance(percent) return random(100) <= percent end
local function one_of(list) return list[random(#list)] end

local function some(list, percent)
  local chosen = {}
  for _, name in ipairs(list) do
    if chance(percent) then chosen[#chosen + 1] = name end
  end
  return chosen
end

local function shuffle(list)
  for i = #list, 2, -1 do
    local j = random(i)
    list[i], list[j] = list[j], list[i]
  end
end

-- ---- What is asked ----

local function set_of(words)
  local set = {}
  for word in words:gmatch "%S+" do set[word] = true end
  return set
end

local function words_of(set)
  local list = {}
  for word in pairs(set) do list[#list + 1] = word end
  table.sort(list)
  return table.concat(list, " ")
end

-- Each puts a wish into an entry and does to `held` what it asks for.
local WISHES = {
  set = function(entry, held)
    entry.set = some(NAMES, 40)
    for name in pairs(held) do held[name] = nil end
    for _, name in ipairs(entry.set) do held[name] = true end
  end,
  delta = function(entry, held)
    local add, remove = {}, {}
    for _, name in ipairs(NAMES) do
      local side = one_of { add, add, remove, {} }
      side[#side + 1] = name
    end
    if #add + #remove == 0 then add = { "AUDITOR" } end
    for _, name in ipairs(add) do held[name] = true end
    for _, name in ipairs(remove) do held[name] = nil end
    entry.add, entry.remove = #add > 0 and add or nil, #remove > 0 and remove or nil
  end,
  replace = function(entry, held)
    local from = random(#NAMES)
    local into = NAMES[from % #NAMES + 1]
    from = NAMES[from]
    entry.replace = { [from] = into }
    if held[from] then held[from], held[into] = nil, true end
  end,
  job = function(_, held) held.AUDITOR = true end,
}

-- Entries in any order, some twice under another name; and what everybody shall hold.
local function entries_for(first, n, kinds)
  local entries, target = {}, {}
  for id, words in pairs(first) do target[id] = set_of(words) end
  for i = 1, n do
    local id, email = "u" .. i, ("%s%d@example.com"):format(one_of { "u", "U" }, i)
    local by_id = chance(50)
    local entry = { id = by_id and id or nil, email = not by_id and email or nil }
    WISHES[one_of(kinds)](entry, target[id])
    entries[#entries + 1] = entry
    if chance(15) then
      entries[#entries + 1] = {
        id = not by_id and id or nil, email = by_id and email or nil, add = entry.add,
        remove = entry.remove, set = entry.set, replace = entry.replace,
      }
    end
  end
  shuffle(entries)
  for id, held in pairs(target) do target[id] = words_of(held) end
  return entries, target
end

-- ---- What goes wrong ----

local function faults(round, method, statuses)
  local rule = { seed = round, match = method and { method = method } }
  if chance(60) then rule.lose = { share = 0.15 } end
  if chance(50) then rule.reset = { share = 0.1 } end
  if chance(60) then rule.fail = { share = 0.15, status = one_of(statuses) } end
  return rule
end

local function limits(more)
  local all = {}
  for _, map in ipairs { LIMITS, more } do
    for name, value in pairs(map) do all[name] = value end
  end
  return all
end

-- ---- What must hold at any time ----

local function check_report(report, entries, where)
  assert.equal(report.total,
    report.changed + report.unchanged + report.failed + report.skipped + report.pending, where)
  local rows = 0
  local count = { changed = 0, verified = 0, failed = 0, in_doubt = 0, pending = 0 }
  for row in report:rows() do
    rows = rows + 1
    if not row.again then count[row.fate] = (count[row.fate] or 0) + 1 end
  end
  assert.same({ entries, report.changed, report.failed, report.pending },
    { rows, count.changed + count.verified, count.failed + count.in_doubt, count.pending }, where)
end

local function done_by(report)
  local done = {}
  for row in report:rows() do
    if row.fate == "changed" or row.fate == "verified" then done[row.user] = true end
  end
  return done
end

local function check_nobody_of(done, where)
  for _, request in ipairs(tenant.server:requests()) do
    if request.method ~= "GET" then
      assert.is_nil(done[request.path:match "/users/([^/]+)/"], where)
    end
  end
end

describe("a random job", function()
  local path

  setup(function() print(("\n%d rounds each, SEED=%d"):format(ROUNDS, SEED)) end)

  before_each(function() path = tenant.unused_path(".jsonl") end)
  after_each(function()
    tenant.stop()
    os.remove(path)
  end)

  -- Resumes until the job is complete.
  local function go_on(report, entries, stop_after, where)
    local runs = 0
    while not report.complete do
      runs = runs + 1
      assert.is_true(runs < HEALED + 5, where .. ": " .. tostring(report))
      if runs >= HEALED then tenant.server:misbehave {} end
      local done = done_by(report)
      tenant.server:clear_requests()
      local resumed, err = tenant.client.bulk:resume(path, limits {
        canary = chance(50),
        should_stop = runs < HEALED - 1 and tenant.stop_after(stop_after) or nil,
      })
      -- The reads at its beginning may fail, too.
      assert.is_true(resumed ~= nil or runs < HEALED, where .. ": " .. tostring(err))
      report = resumed or report
      check_report(report, entries, where)
      check_nobody_of(done, where)
    end
    tenant.server:misbehave {}
  end

  local function round_of(verb, round, kinds, statuses, held, tenant_for)
    seed(round)
    local where, n = ("%s, round %d, SEED=%d"):format(verb, round, SEED), random(PEOPLE)
    tenant.start(tenant_for(n + OTHERS), { max_retries = chance(30) and 1 or 0 })
    local first = held()
    local entries, target = entries_for(first, n, kinds)
    local made = assert(tenant.client.bulk[verb](tenant.client.bulk, {
      users = entries, add = { "AUDITOR" }, journal = path, max_removal_percent = 100,
      direct_roles = verb == "roles" and "assume" or nil,
    }))
    assert.equal(n, made.total, where)
    tenant.server:misbehave(faults(round, nil, statuses))
    local stop_after = random(2 * PEOPLE)
    local report, err = made:apply(limits {
      should_stop = tenant.stop_after(stop_after), recheck = chance(30) and 0 or nil,
    })
    assert.is_true(report ~= nil or err.kind ~= "refused", where)
    report = report or assert(tenant.client.bulk:report(path))
    check_report(report, #entries, where)
    go_on(report, #entries, stop_after, where)
    assert.same(target, held(), where)
    assert.same({}, assert(tenant.client.bulk:verify(path)), where)
    assert.is_true(assert(assert(tenant.client.bulk:undo(path)):apply()).complete, where)
    assert.same(first, held(), where)
    tenant.stop()
    os.remove(path)
  end

  it("of roles", function()
    for round = 1, ROUNDS do
      round_of("roles", round, { "set", "delta", "replace", "job" }, { 400, 500, 502, 503 },
        function() return tenant.server:direct_roles() end,
        function(n)
          local list = tenant.users(n)
          for _, user in ipairs(list) do
            user.roles, user.groups = some(NAMES, 40), chance(30) and { "Group" } or {}
          end
          return { users = list, groups = { { name = "Group", roles = { "BASIC" } } } }
        end)
    end
  end)

  it("of groups, where each change is several requests", function()
    local function held()
      local all = {}
      for _, user in ipairs(tenant.server:state().users) do
        local set = {}
        for _, group in ipairs(user.groups) do set[group.name] = true end
        all[user.id] = words_of(set)
      end
      return all
    end
    for round = 1, ROUNDS do
      round_of("groups", round, { "set", "delta", "job" }, { 500, 502, 503 }, held, function(n)
        local list = tenant.users(n)
        for _, user in ipairs(list) do user.groups = some(NAMES, 40) end
        return { users = list, groups = NAMES }
      end)
    end
  end)

  it("of invitations, none of which is sent twice or told wrongly", function()
    -- What became of the invitations to each, from request to request.
    local function note_what_came(came)
      for _, request in ipairs(tenant.server:requests()) do
        local id = request.method == "POST" and request.path:match "/users/([^/]+)/"
        local unclear = request.lost or request.reset or (request.status or 0) >= 500
        if id then came[id] = came[id] or unclear and "unclear" or nil end
      end
      tenant.server:clear_requests()
    end
    local function check(report, n, came, where)
      check_report(report, n, where)
      note_what_came(came)
      local invited = {}
      for _, id in ipairs(tenant.server:state().invitations) do
        assert.is_nil(invited[id], where)
        invited[id] = true
      end
      for row in report:rows() do
        local told = where .. ", " .. row.user .. " " .. row.fate
        if row.fate == "changed" then assert.is_true(invited[row.user], told) end
        if row.fate == "failed" or row.fate == "pending" then
          assert.is_nil(invited[row.user], told)
        end
        if row.fate == "in_doubt" then assert.equal("unclear", came[row.user], told) end
      end
    end
    for round = 1, ROUNDS do
      seed(round)
      local where, n = ("invite, round %d, SEED=%d"):format(round, SEED), random(PEOPLE)
      local list, came = tenant.users(n), {}
      for _, user in ipairs(list) do user.status = one_of { "invited", "expired", "invited" } end
      tenant.start({ users = list, assume = { invite_not_pending = "accept" } },
        { max_retries = chance(30) and 1 or 0 })
      local made = assert(tenant.client.bulk:invite { users = tenant.emails(n), journal = path })
      tenant.server:misbehave(faults(round, "POST", { 400, 500, 503 }))
      local report = assert(made:apply(limits { should_stop = tenant.stop_after(random(n)) }))
      check(report, n, came, where)
      for run = 1, 3 do
        if run == 2 then tenant.server:misbehave {} end
        report = assert(tenant.client.bulk:resume(path, LIMITS))
        check(report, n, came, where)
      end
      assert.equal(0, report.pending, where)
      tenant.stop()
      os.remove(path)
    end
  end)
end)
