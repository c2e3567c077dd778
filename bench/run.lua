-- SPDX-License-Identifier: MIT
-- make bench: what the client costs against the shortest loop over libcurl that does the
-- same (bench/bare.c), each run in a process of its own, by turns. Prints medians and what
-- they are of the bare loop's; asserts nothing about time.
--
--   run.lua                  all of these, as they are by default
--   run.lua main [ROUNDS]    against nginx that answers constants, on a processor of its own
--                            where there are two; one call after another also where both
--                            share one, since waking the other may outweigh all the rest
--   run.lua bulk [USERS] [ROUNDS]
--                            a bulk job against a fresh sandbox, and the bare loop with the
--                            very requests that the sandbox noted, against a fresh one
--   run.lua jobs [ROUNDS]    bulk jobs: apply against the bare loop, with a journal and without,
--                            memory, reads of a plan
--   run.lua pace [CHANGES]   a bulk job at a service's limit, see bench/pace.lua

local measure = require "bench.measure"
local server = require "spec.support.server"

local BARE, CLIENT, KEY = measure.BARE, measure.CLIENT, measure.KEY
local PATCHES, GETS, IN_FLIGHT = 20000, 5000, 32

local ROLE = '{"id":"5a0f7c52-0d11-4d8f-9a5e-3b1f0c6b7a%d0","createdAt":"2025-01-02T03:04:05.678Z",'
  .. '"updatedAt":"2025-06-07T08:09:10.111Z","name":"%s","description":"What it is for",'
  .. '"deleteable":false,"type":"%s"}'
local BLOCK = [[
location / {
  if ($request_method = PATCH) { return 200; }
  return 200 '[%s,%s]';
}]]

local function main(rounds)
  local pinned = measure.succeeds("taskset -c 0 true && taskset -c 1 true")
  local nginx = require("spec.support.nginx").start {
    block = BLOCK:format(ROLE:format(1, "Basic", "BASIC"), ROLE:format(2, "Auditor", "AUDITOR")),
    main = pinned and "worker_cpu_affinity 01;" or nil,
  }
  local function on(processor, program, mode, ...)
    local pin = pinned and ("taskset -c %d "):format(processor) or ""
    return table.concat({ pin .. program, mode, nginx.url, ... }, " ")
  end
  measure.compare(("%d PATCH, %d in flight (ratio to the faster bare loop)"):format(PATCHES,
    IN_FLIGHT), {
    { "bare, multi_perform", on(1, BARE, "patch", PATCHES, IN_FLIGHT, "perform") },
    { "bare, multi_socket_action", on(1, BARE, "patch", PATCHES, IN_FLIGHT) },
    { "client, tasks:spawn", on(1, CLIENT, "spawn", PATCHES, IN_FLIGHT) },
    { "client, tasks:map", on(1, CLIENT, "map", PATCHES, IN_FLIGHT) },
  }, rounds)
  measure.compare(("%d GET, one after another"):format(GETS), {
    { "bare, easy_perform", on(1, BARE, "get", GETS) },
    { "client", on(1, CLIENT, "get", GETS) },
  }, rounds)
  if pinned then
    measure.compare(("%d GET, one after another, one processor for both sides"):format(GETS), {
      { "bare, easy_perform", on(0, BARE, "get", GETS) },
      { "client", on(0, CLIENT, "get", GETS) },
    }, rounds)
  end
  nginx:stop()
end

-- ── the bulk job ──

local SANDBOX = [=[
  local folder, users = arg[1], tonumber(arg[2])
  local function write(name, lines)
    local file = assert(io.open(folder .. "/" .. name .. ".new", "w"))
    assert(file:write(table.concat(lines, "\n"), "\n"))
    assert(file:close())
    assert(os.rename(folder .. "/" .. name .. ".new", folder .. "/" .. name))
  end
  local server = require("cipherscale.sandbox").start { users = users, api_key = arg[3] }
  local emails = {}
  for i, user in ipairs(server:state().users) do emails[i] = user.email end
  write("emails", emails)
  write("url", { server.url })
  io.read()
  local requests = {}
  for i, r in ipairs(server:requests()) do
    local query = (r.query or "") ~= "" and "?" .. r.query or ""
    requests[i] = ("%s %s%s %s"):format(r.method, r.path, query, r.body or "")
  end
  write("requests", requests)
  server:stop()
]=]

local function first_line(path)
  local file = io.open(path)
  if not file then return nil end
  local line = file:read("*l")
  file:close()
  return line
end

local function with_sandbox(folder, users, work)
  os.remove(folder .. "/url")
  local child = assert(io.popen(("%s %s/sandbox.lua %s %d %s"):format(arg[-1] or "lua5.4", folder,
    folder, users, KEY), "w"))
  local deadline = server.now() + 30
  local url
  repeat
    server.nap(0.01)
    url = first_line(folder .. "/url")
  until url or server.now() > deadline
  local ok, result = pcall(work, assert(url, "the sandbox did not start"))
  child:write("\n")
  child:close()
  if not ok then error(result, 0) end
  return result
end

local function count_lines(path)
  local count = 0
  for _ in io.lines(path) do count = count + 1 end
  return count
end

local function sum(a, b)
  return { wall = a.wall + b.wall, cpu = a.cpu + b.cpu, peak = math.max(a.peak, b.peak) }
end

local function bulk_rounds(folder, users, rounds)
  local plans, applies, both, bare = {}, {}, {}, {}
  for round = 0, rounds do
    local parts = with_sandbox(folder, users, function(url)
      return measure.run(("%s bulk %s %d"):format(CLIENT, url, IN_FLIGHT), folder .. "/emails")
    end)
    assert(os.rename(folder .. "/requests", folder .. "/replay"))
    local replay = with_sandbox(folder, users, function(url)
      return measure.run(("%s replay %s %d"):format(BARE, url, IN_FLIGHT), folder .. "/replay")
    end)
    if round > 0 then
      plans[round], applies[round], bare[round] = parts[1], parts[2], replay[1]
      both[round] = sum(parts[1], parts[2])
    end
  end
  measure.heading(("%d users become AUDITOR: %d requests to the sandbox, %d in flight")
    :format(users, count_lines(folder .. "/replay"), IN_FLIGHT))
  measure.row("bare, the same requests", bare, bare)
  measure.row("client, plan and apply", both, bare)
  measure.row("  of it the plan", plans, bare)
  measure.row("  of it apply", applies, bare)
  print()
end

local function bulk(users, rounds)
  local pipe = assert(io.popen("mktemp -d"))
  local folder = pipe:read("*l")
  pipe:close()
  local ok, err = pcall(function()
    local file = assert(io.open(folder .. "/sandbox.lua", "w"))
    assert(file:write(SANDBOX))
    assert(file:close())
    bulk_rounds(folder, users, rounds)
  end)
  os.execute(("rm -rf '%s'"):format(folder))
  if not ok then error(err, 0) end
end

local parts = {
  main = function(rounds) main(rounds or 5) end,
  bulk = function(users, rounds) bulk(users or 1000, rounds or 5) end,
  jobs = function(rounds) require "bench.jobs"(rounds or 5) end,
  pace = function(changes) require "bench.pace"(changes or 2000) end,
}

for _, name in ipairs(arg[1] and { arg[1] } or { "main", "bulk", "jobs", "pace" }) do
  local part = assert(parts[name], "no part of the benchmarks: " .. name)
  part(tonumber(arg[2]), tonumber(arg[3]))
end
