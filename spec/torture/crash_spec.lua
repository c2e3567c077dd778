-- SPDX-License-Identifier: MIT
--
-- A job that is killed at any moment can be resumed to exactly the planned end, and undone to
-- exactly the first state. The child kills itself (SIGKILL) at a random instruction of Lua code.
-- SEED repeats a run; DIVISOR (10 under sanitizers) divides the number of rounds.

local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local journal = require "cipherscale.bulk.journal"
local sandbox = require "cipherscale.sandbox"
local tenant = require "spec.bulk.tenant"

local SEED = tonumber(os.getenv "SEED" or os.time())
local ROUNDS = math.max(1, math.floor(50 / tonumber(os.getenv "DIVISOR" or 1)))
local PEOPLE, MEMBERS, INVITED = 2000, 200, 200
local KILLED = 128 + 9

-- A job that ends by the child's own hand after STEPS steps, or tells how many there are.
local CHILD = [[
local process = require "spec.support.process"
local cipherscale = require "cipherscale"
local last, steps = tonumber(os.getenv "STEPS"), 0
local client = cipherscale.new { api_key = os.getenv "KEY", base_url = os.getenv "URL" }
debug.sethook(function()
  steps = steps + 1
  if steps == last then process.kill(process.pid()) end
end, "", 499)
local people = {}
for line in io.lines(os.getenv "PEOPLE") do people[#people + 1] = line end
local job = assert(load("return " .. os.getenv "JOB"))()
job.users, job.journal = people, os.getenv "JOURNAL"
local plan = assert(client.bulk[os.getenv "VERB"](client.bulk, job))
assert(plan:apply())
print(steps)
]]

describe("a job that is killed", function()
  local server, client, path, people
  local random = {}

  -- Seeded apart from whatever else uses math.random.
  local function next_random(n)
    random.state = (random.state * 6364136223846793005 + 1442695040888963407)
    return (random.state >> 33) % n + 1
  end

  setup(function()
    random.state = SEED
    print(("\n%d rounds, SEED=%d"):format(ROUNDS, SEED))
  end)

  local function start(list, groups)
    server = sandbox.start { users = list, groups = groups, log = 100000 }
    client = server:client()
    path, people = tenant.unused_path(".jsonl"), os.tmpname()
    local file = assert(io.open(people, "w"))
    for _, user in ipairs(list) do file:write(user.email, "\n") end
    file:close()
  end

  after_each(function()
    client:close()
    server:stop()
    os.remove(path)
    os.remove(people)
  end)

  local function run_child(verb, job, steps)
    return helper.run_lua(CHILD, {
      URL = server.url, KEY = server.api_key, PEOPLE = people, JOURNAL = path, VERB = verb,
      JOB = job, STEPS = tostring(steps),
    })
  end

  -- How many steps a run takes that nobody kills.
  local function steps_of(verb, job)
    local output, code = run_child(verb, job, -1)
    assert.equal(0, code, output)
    return tonumber(output:match("%d+"))
  end

  -- What a journal says was settled, by user; nil when planning was not finished.
  local function settled()
    local book = core.journal.read(path)
    local story = book and journal.story(book, path)
    if not story or not story.planned then
      if book then book:close() end
      return nil
    end
    local done = {}
    for person in journal.people(book, story.header) do
      local outcome = story.outcomes[person.n]
      if outcome and outcome.fate ~= "failed" then done[person.user] = true end
    end
    book:close()
    return done
  end

  local function requests_of(method)
    local count = {}
    for _, request in ipairs(server:requests()) do
      local user = request.method == method and request.path:match("^/tenants/users/([^/]+)/")
      if user then count[user] = (count[user] or 0) + 1 end
    end
    return count
  end

  it("is resumed to exactly the target, and nobody who is done is sent anything; undo brings "
    .. "back the first state", function()
    local list = tenant.users(PEOPLE)
    for n = 1, PEOPLE, 3 do list[n].roles = { "SUPPORT" } end
    for n = 1, PEOPLE, 7 do list[n].roles = { "AUDITOR", "SUPPORT" } end
    start(list)
    local job = '{ add = { "AUDITOR" }, remove = { "SUPPORT" }, max_changes = 2000, '
      .. "max_removal_percent = 100 }"
    local first = server:direct_roles()
    local steps = steps_of("roles", job)
    local target = server:direct_roles()
    for _, kinds in pairs(target) do assert.equal("AUDITOR", kinds) end
    local function undo()
      local plan = assert(client.bulk:undo(path))
      assert.is_true(assert(plan:apply { canary = false }).complete)
      assert.same(first, server:direct_roles())
      assert(os.remove(path))
    end
    undo()
    local unplanned, untouched, finished, in_the_middle = 0, 0, 0, 0
    for round = 1, ROUNDS do
      server:clear_requests()
      local at = next_random(steps + steps // 20)
      local output, code = run_child("roles", job, at)
      local where = ("round %d, step %d"):format(round, at)
      assert.is_true(code == KILLED or code == 0, where .. ": " .. output)
      local done = settled()
      if not done then
        unplanned = unplanned + 1
        assert.same({}, requests_of "PATCH", where)
        assert.is_nil((client.bulk:resume(path)))
        os.remove(path)
      else
        server:clear_requests()
        local report = assert(client.bulk:resume(path, { canary = false }))
        assert.is_true(report.complete, where .. ": " .. tostring(report))
        assert.same(target, server:direct_roles(), where)
        local again = requests_of "PATCH"
        for user in pairs(done) do assert.is_nil(again[user], where) end
        local count = 0
        for _ in pairs(done) do count = count + 1 end
        if count == 0 then untouched = untouched + 1
        elseif count == report.to_change then finished = finished + 1
        else in_the_middle = in_the_middle + 1 end
        undo()
      end
    end
    print(("killed while planning: %d, before the first outcome: %d, in the middle: %d, at the "
      .. "end: %d"):format(unplanned, untouched, in_the_middle, finished))
  end)

  it("is resumed and undone where a change is several requests, too", function()
    local list = tenant.users(MEMBERS)
    for n = 1, MEMBERS, 3 do list[n].groups = { "Red" } end
    start(list, { "Red", "Green", "Blue" })
    local function memberships()
      local all = {}
      for _, user in ipairs(server:state().users) do
        local names = {}
        for n, group in ipairs(user.groups) do names[n] = group.name end
        table.sort(names)
        all[user.id] = table.concat(names, " ")
      end
      return all
    end
    local job = '{ add = { "Green", "Blue" }, remove = { "Red" }, max_removal_percent = 100 }'
    local first, steps = memberships(), steps_of("groups", job)
    local target = memberships()
    for _, names in pairs(target) do assert.equal("Blue Green", names) end
    local function undo(where)
      assert.is_true(assert(assert(client.bulk:undo(path)):apply()).complete, where)
      assert.same(first, memberships(), where)
      assert(os.remove(path))
    end
    undo()
    for round = 1, math.ceil(ROUNDS / 3) do
      local at = next_random(steps)
      local output, code = run_child("groups", job, at)
      local where = ("round %d, step %d"):format(round, at)
      assert.is_true(code == KILLED or code == 0, where .. ": " .. output)
      if not settled() then
        os.remove(path)
      elseif round % 2 == 0 and client.bulk:undo(path) then
        undo(where)
      else
        local report = assert(client.bulk:resume(path))
        assert.is_true(report.complete, where .. ": " .. tostring(report))
        assert.same(target, memberships(), where)
        undo(where)
      end
    end
  end)

  it("never sends an invitation twice", function()
    local list = tenant.users(INVITED)
    for _, user in ipairs(list) do user.status = "invited" end
    start(list)
    local steps = steps_of("invite", "{}")
    for round = 1, math.ceil(ROUNDS / 5) do
      os.remove(path)
      server:clear_requests()
      local at = next_random(steps)
      local output, code = run_child("invite", "{}", at)
      local where = ("round %d, step %d"):format(round, at)
      assert.is_true(code == KILLED or code == 0, where .. ": " .. output)
      if settled() then
        local report = assert(client.bulk:resume(path))
        assert.equal(0, report.pending, where)
        local sent = requests_of "POST"
        for _, times in pairs(sent) do assert.equal(1, times, where) end
        -- Who got none is told as in doubt, not as invited.
        local invited = 0
        for row in report:rows() do
          if row.fate == "changed" then
            invited = invited + 1
            assert.equal(1, sent[row.user], where)
          else
            assert.equal("in_doubt", row.fate, where)
          end
        end
        assert.equal(report.changed, invited)
      end
    end
  end)
end)
