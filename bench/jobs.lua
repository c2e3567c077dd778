-- SPDX-License-Identifier: MIT
-- run.lua jobs [ROUNDS]: what bulk jobs cost. Against nginx that answers constants, people from a
-- generator, each read before and changed; and how many reads a plan takes in a tenant of 5,000.

local measure = require "bench.measure"
local nginx = require "spec.support.nginx"
local sandbox = require "cipherscale.sandbox"

local CHANGES, IN_FLIGHT, FEW, MANY = 20000, 32, 1000, 100000
local ROLES = '{"id":"r1","type":"BASIC","name":"Basic"}'
-- Everybody has BASIC directly and nothing by a group; nobody is on a page.
local BLOCK = [[
location = /tenants/users { return 200 '{"data":[],"total":0}'; }
location = /tenants/roles {
  return 200 '[%s,{"id":"r2","type":"AUDITOR","name":"Auditor"}]';
}
location / {
  if ($request_method = PATCH) { return 200; }
  if ($arg_groupsOnly) { return 200 '[]'; }
  return 200 '[%s]';
}]]

local function temporary()
  local name = os.tmpname()
  os.remove(name)
  return name .. ".jsonl"
end

local function times(on, rounds)
  local bare = on(measure.BARE, "patch", CHANGES, IN_FLIGHT)
  local without = on(measure.CLIENT, "job", CHANGES, IN_FLIGHT, "-")
  local with = on(measure.CLIENT, "job", CHANGES, IN_FLIGHT, temporary())
  measure.compare(("%d changes by plan:apply against the bare PATCHes, %d in flight"):format(
    CHANGES, IN_FLIGHT), {
    { "bare", bare }, { "apply, in memory", without, 2 }, { "apply, with a journal", with, 2 },
  }, rounds)
  local both = measure.rounds_of({ { "off", without, 3 }, { "on", with, 3 } }, rounds)
  measure.heading("Plan and apply, with a journal against without")
  measure.row("in memory", both.off, both.off)
  measure.row("with a journal", both.on, both.off)
  print()
end

local function memory(on)
  print("Peak memory of the client, people streamed")
  for _, path in ipairs { temporary(), "-" } do
    local few = measure.run(on(measure.CLIENT, "job", FEW, IN_FLIGHT, path))[3].peak
    local many = measure.run(on(measure.CLIENT, "job", MANY, IN_FLIGHT, path))[3].peak
    print(("  %-28s %6d people %7d KiB, %6d people %7d KiB: %.1f bytes a person"):format(
      path == "-" and "in memory" or "with a journal", FEW, few, MANY, many,
      (many - few) * 1024 / (MANY - FEW)))
  end
  print()
end

local function reads()
  local users = 5000
  local server = sandbox.start {
    users = users, holders = { SUPPORT = 50 }, groups = { "Everybody" },
    members = { Everybody = users },
  }
  local client, ids = server:client(), {}
  for n, user in ipairs(server:state().users) do ids[n] = user.id end
  server:clear_requests()
  local plan = assert(client.bulk:roles { users = ids, remove = { "SUPPORT" } })
  print(("Reads of a plan that takes SUPPORT from everybody: %d for %d people, %d of them holders")
    :format(#server:requests(), users, plan.to_change))
  print(("  one read a person would be %d"):format(users))
  client:close()
  server:stop()
end

return function(rounds)
  local pinned = measure.succeeds("taskset -c 0 true && taskset -c 1 true")
  local web = nginx.start {
    block = BLOCK:format(ROLES, ROLES), main = pinned and "worker_cpu_affinity 01;" or nil,
  }
  local function on(program, mode, ...)
    return table.concat({ (pinned and "taskset -c 1 " or "") .. program, mode, web.url, ... }, " ")
  end
  times(on, rounds)
  memory(on)
  web:stop()
  reads()
end
