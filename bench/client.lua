-- SPDX-License-Identifier: MIT
-- The client's side of bench/run.lua: one workload in a process of its own, everything as
-- it is by default. Prints what bench/bare.c prints: "wall cpu peak" (s, s, KiB).
--
--   client.lua get BASE N                   GET roles, one after another
--   client.lua spawn|map BASE N IN_FLIGHT   PATCH roles, a task each, by tasks:spawn or :map
--   client.lua bulk BASE IN_FLIGHT          adds AUDITOR to the people whose e-mail addresses
--                                           are on standard input; prints two lines, plan, apply
--   client.lua job BASE N IN_FLIGHT JOURNAL adds AUDITOR to N ids from a generator, with a journal
--                                           (or - for none); prints plan, apply, both

local cipherscale = require "cipherscale"
local core = require "cipherscale.core"

local mode, base_url, first, second = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
local changes = { addedRoles = { "5a0f7c52-0d11-4d8f-9a5e-3b1f0c6b7a10" }, removedRoles = {} }
local client

-- Made before the measuring: in a real job they come from a list.
local function user_ids(n)
  local ids = {}
  for i = 1, n do ids[i] = ("%08x-0000-4000-8000-00000000abcd"):format(i) end
  return ids
end

local function peak_memory()
  local file = io.open("/proc/self/status")
  if not file then return 0 end
  local status = file:read("*a")
  file:close()
  return tonumber(status:match("VmHWM:%s*(%d+)"))
end

local function measure(work)
  local wall, cpu = core.now(), os.clock()
  work()
  wall, cpu = core.now() - wall, os.clock() - cpu
  print(("%.6f %.6f %d"):format(wall, cpu, peak_memory()))
end

local function change(id)
  assert(client.users:update_roles(id, changes))
end

local workloads = {}

function workloads.get(n)
  local ids = user_ids(n)
  measure(function()
    for i = 1, n do
      local roles = assert(client.users:roles(ids[i]))
      assert(#roles > 0)
    end
  end)
end

function workloads.spawn(n)
  local ids = user_ids(n)
  measure(function()
    client:run(function(tasks)
      for i = 1, n do tasks:spawn(change, ids[i]) end
    end)
  end)
end

function workloads.map(n)
  local ids = user_ids(n)
  measure(function()
    client:run(function(tasks)
      local done = 0
      for _ in tasks:map(ids, change) do done = done + 1 end
      assert(done == n)
    end)
  end)
end

function workloads.bulk()
  local emails, plan = {}, nil
  for email in io.lines() do emails[#emails + 1] = email end
  measure(function()
    plan = cipherscale.assert(client.bulk:roles {
      users = emails, add = { "AUDITOR" }, max_changes = #emails,
    })
  end)
  measure(function()
    local report = cipherscale.assert(plan:apply())
    assert(report.complete, tostring(report))
  end)
end

function workloads.job(n, _, path)
  local made, count = nil, 0
  local function next_id()
    count = count + 1
    return count <= n and ("%08x-0000-4000-8000-00000000abcd"):format(count) or nil
  end
  if path == "-" then path = nil else os.remove(path) end
  local function plan()
    made = cipherscale.assert(client.bulk:roles {
      users = next_id, add = { "AUDITOR" }, journal = path, max_changes = n,
    })
  end
  local function apply()
    local report = cipherscale.assert(made:apply { canary = false, recheck = false })
    assert(report.complete, tostring(report))
  end
  measure(function()
    measure(plan)
    measure(apply)
  end)
  if path then os.remove(path) end
end

client = cipherscale.new {
  api_key = os.getenv("BENCH_KEY") or "bench-key-0123456789abcdef", base_url = base_url,
  max_in_flight = mode == "bulk" and first or second,
}
workloads[mode](first, second, arg[5])
client:close()
