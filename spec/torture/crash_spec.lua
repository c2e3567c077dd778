-- SPDX-License-Identifier: MIT
--
-- A job that is killed at any moment can be resumed to exactly the planned end, and undone to
-- exactly the first state. The child kills itself (SIGKILL) at a random instruction of Lua code:
-- now and then while it plans, mostly while it changes people, which happens in tasks; and each
-- fourth time it is killed from outside, wherever it is: in a system call, say, or in the C core.
-- SEED repeats a run; DIVISOR (10 under sanitizers) divides the number of rounds.

local core = require "cipherscale.core"
local helper = require "spec.support.helper"
local journal = require "cipherscale.bulk.journal"
local sandbox = require "cipherscale.sandbox"
local scratch = require "spec.support.scratch"
local tenant = require "spec.bulk.tenant"

local SEED = tonumber(os.getenv "SEED" or os.time())
local ROUNDS = math.max(2, math.floor(50 / tonumber(os.getenv "DIVISOR" or 1)))
local PLANNING = ROUNDS // 5 -- rounds in which the plan is killed; in all others, what applies it
local PEOPLE, MEMBERS, INVITED = 2000, 200, 200
local KILLED = 128 + 9

-- Plans a job, or goes on with one, and ends by its own hand after STEPS steps, or tells how many
-- there are. A hook is one coroutine's: each task has it, too.
local CHILD = [[
local process = require "spec.support.process"
local core = require "cipherscale.core"
local last, steps, create = tonumber(os.getenv "STEPS"), 0, core.create
local function step()
  steps = steps + 1
  if steps ~= last then return end
  local _, main = coroutine.running()
  io.stderr:write(main and "outside" or "in a task", "\n")
  process.kill(process.pid())
end
function core.create(...)
  local task = create(...)
  debug.sethook(task, step, "", 97)
  return task
end
debug.sethook(step, "", 97)
local cipherscale = require "cipherscale"
local client = cipherscale.new { api_key = os.getenv "KEY", base_url = os.getenv "URL" }
local people, path = {}, os.getenv "JOURNAL"
if os.getenv "VERB" == "resume" then
  assert(client.bulk:resume(path))
else
  for line in io.lines(os.getenv "PEOPLE") do people[#people + 1] = line end
  local job = assert(load("return " .. os.getenv "JOB"))()
  job.users, job.journal = people, path
  assert(client.bulk[os.getenv "VERB"](client.bulk, job))
end
print(steps)
]]

describe("a job that is killed", function()
  local server, client, path, people
  local random, struck = {}, {}

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
    struck = { ["in a task"] = 0, outside = 0, ["from outside"] = 0 }
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

  local function env(verb, job, steps)
    return {
      URL = server.url, KEY = server.api_key, PEOPLE = people, JOURNAL = path, VERB = verb,
      JOB = job or "", STEPS = tostring(steps),
    }
  end

  local function run_child(...) return helper.run_lua(CHILD, env(...)) end

  -- How many steps a run takes that nobody kills.
  local function steps_of(verb, job)
    local output, code = run_child(verb, job, -1)
    assert.equal(0, code, output)
    return tonumber(output:match("%d+"))
  end

  -- A run that is killed at a random step of so many, or has ended before; tells where that was.
  local function strike(round, verb, job, steps)
    local at = next_random(steps)
    local output, code = run_child(verb, job, at)
    local where = ("round %d, step %d of %s"):format(round, at, verb)
    assert.is_true(code == KILLED or code == 0, where .. ": " .. output)
    if code == KILLED then
      local place = output:match "in a task" or "outside"
      struck[place] = struck[place] + 1
    end
    return where
  end

  -- A resume that is killed as soon as the service has so many changes.
  local function strike_from_outside(round, most)
    local at = next_random(most)
    local child = helper.start_lua(CHILD, env("resume", nil, -1))
    local deadline = core.now() + 60
    repeat
      assert.is_true(core.now() < deadline)
      client.users:page { limit = 1 } -- a moment
      local count = 0
      for _, request in ipairs(server:requests()) do
        if request.method ~= "GET" then count = count + 1 end
      end
    until count >= at
    helper.end_lua(child)
    struck["from outside"] = struck["from outside"] + 1
    return ("round %d, change %d of resume"):format(round, at)
  end

  local function print_struck(what)
    print(("killed while %s: %d in tasks, %d outside of them, %d from outside"):format(what,
      struck["in a task"], struck.outside, struck["from outside"]))
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

  -- How many changes the service was sent, by user.
  local function changes_sent()
    local count = {}
    for _, request in ipairs(server:requests()) do
      local user = request.method ~= "GET" and request.path:match("^/tenants/users/([^/]+)/")
      if user then count[user] = (count[user] or 0) + 1 end
    end
    return count
  end

  local function sent_nothing_to(done, where)
    local sent = changes_sent()
    for user in pairs(done) do assert.is_nil(sent[user], where) end
  end

  -- Kills a run of the job that is planned, and in a third of the cases the next run, too. Gives
  -- where, and who was settled. `changes` are those that the job makes.
  local function strike_job(plan, round, steps, changes)
    scratch.write(path, plan)
    local from_outside, where, done = round % 4 == 0, nil, {}
    for _ = 1, not from_outside and next_random(3) == 1 and 2 or 1 do
      server:clear_requests()
      where = from_outside and strike_from_outside(round, changes)
        or strike(round, "resume", nil, steps)
      sent_nothing_to(done, where)
      done = settled()
    end
    server:clear_requests()
    return where, done
  end

  it("is resumed to exactly the target, and nobody who is done is sent anything; undo brings "
    .. "back the first state", function()
    local list = tenant.users(PEOPLE)
    for n = 1, PEOPLE, 3 do list[n].roles = { "SUPPORT" } end
    for n = 1, PEOPLE, 7 do list[n].roles = { "AUDITOR", "SUPPORT" } end
    start(list)
    local job = '{ add = { "AUDITOR" }, remove = { "SUPPORT" }, max_changes = 2000, '
      .. "max_removal_percent = 100 }"
    local first, steps_to_plan = server:direct_roles(), steps_of("roles", job)
    local plan, steps = scratch.read(path), steps_of "resume"
    local target = server:direct_roles()
    for _, kinds in pairs(target) do assert.equal("AUDITOR", kinds) end
    local function undo(where)
      local back = assert(client.bulk:undo(path))
      assert.is_true(assert(back:apply { canary = false }).complete, where)
      assert.same(first, server:direct_roles(), where)
    end
    undo()
    local unplanned, untouched, finished, in_the_middle = 0, 0, 0, 0
    for round = 1, PLANNING do
      os.remove(path)
      server:clear_requests()
      local where = strike(round, "roles", job, steps_to_plan)
      assert.same({}, changes_sent(), where)
      local done = settled()
      if done then
        assert.same({}, done, where)
      else
        unplanned = unplanned + 1
        assert.is_nil((client.bulk:resume(path)))
      end
    end
    print(("killed while planning: %d, of which before the plan was whole: %d"):format(
      struck["in a task"] + struck.outside, unplanned))
    struck = { ["in a task"] = 0, outside = 0, ["from outside"] = 0 }
    for round = PLANNING + 1, ROUNDS do
      local where, done = strike_job(plan, round, steps + steps // 20, 1600)
      local report = assert(client.bulk:resume(path, { canary = false }))
      assert.is_true(report.complete, where .. ": " .. tostring(report))
      assert.same(target, server:direct_roles(), where)
      sent_nothing_to(done, where)
      local count = 0
      for _ in pairs(done) do count = count + 1 end
      if count == 0 then untouched = untouched + 1
      elseif count == report.to_change then finished = finished + 1
      else in_the_middle = in_the_middle + 1 end
      undo(where)
    end
    print_struck "changing roles"
    print(("  nobody was settled then: %d, some were: %d, all were: %d"):format(untouched,
      in_the_middle, finished))
    -- Else the kills have missed what they are for.
    assert.is_true(struck["in a task"] > struck.outside / 2 or ROUNDS < 50)
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
    local first = memberships()
    steps_of("groups",
      '{ add = { "Green", "Blue" }, remove = { "Red" }, max_removal_percent = 100 }')
    local plan, steps = scratch.read(path), steps_of "resume"
    local target = memberships()
    for _, names in pairs(target) do assert.equal("Blue Green", names) end
    local function undo(where)
      assert.is_true(assert(assert(client.bulk:undo(path)):apply()).complete, where)
      assert.same(first, memberships(), where)
    end
    undo()
    for round = 1, math.ceil(ROUNDS / 3) do
      local where, done = strike_job(plan, round, steps, 400)
      if round % 2 == 1 or not client.bulk:undo(path) then
        local report = assert(client.bulk:resume(path))
        assert.is_true(report.complete, where .. ": " .. tostring(report))
        assert.same(target, memberships(), where)
        sent_nothing_to(done, where)
      end
      undo(where)
    end
    print_struck "changing groups"
  end)

  it("never sends an invitation twice", function()
    local list = tenant.users(INVITED)
    for _, user in ipairs(list) do user.status = "invited" end
    start(list)
    steps_of("invite", "{}")
    local plan, steps = scratch.read(path), steps_of "resume"
    for round = 1, math.ceil(ROUNDS / 5) do
      scratch.write(path, plan)
      server:clear_requests()
      local where = strike(round, "resume", nil, steps)
      local report = assert(client.bulk:resume(path))
      assert.equal(0, report.pending, where)
      local sent = changes_sent()
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
    print_struck "inviting"
  end)
end)
