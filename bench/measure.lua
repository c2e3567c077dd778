-- SPDX-License-Identifier: MIT
-- What the benchmarks share: running a program that prints its own measures, by turns with others,
-- and printing medians as ratios.

local M = {}

--- The shortest loop over libcurl, and the client in a process of its own.
M.BARE = "build/bench/bare"
M.CLIENT = (arg[-1] or "lua5.4") .. " bench/client.lua"
M.KEY = "bench-key-0123456789abcdef"

--- Runs a command; gives what each line of its output says: { wall =, cpu =, peak = }.
function M.run(command, input)
  command = ("BENCH_KEY=%s %s%s"):format(M.KEY, command, input and " < " .. input or "")
  local pipe = assert(io.popen(command))
  local results = {}
  for line in pipe:lines() do
    local wall, cpu, peak = line:match("([%d.]+) ([%d.]+) (%d+)$")
    assert(peak, line)
    results[#results + 1] = { wall = tonumber(wall), cpu = tonumber(cpu), peak = tonumber(peak) }
  end
  assert(pipe:close() and #results > 0, command .. " failed")
  return results
end

--- The median of a field of the results.
function M.median(list, field)
  local values = {}
  for i, result in ipairs(list) do values[i] = result[field] end
  table.sort(values)
  local middle = math.floor(#values / 2)
  if #values % 2 == 1 then return values[middle + 1] end
  return (values[middle] + values[middle + 1]) / 2
end

--- Prints a row, as ratios to the base.
function M.row(name, list, base)
  local wall, cpu = M.median(list, "wall"), M.median(list, "cpu")
  local lowest, highest = math.huge, 0
  for _, result in ipairs(list) do
    lowest, highest = math.min(lowest, result.wall), math.max(highest, result.wall)
  end
  print(("  %-28s %8.3f  %8.3f-%.3f  %5.2f  %8.3f  %5.2f  %7d"):format(name, wall, lowest,
    highest, wall / M.median(base, "wall"), cpu, cpu / M.median(base, "cpu"),
    M.median(list, "peak")))
end

--- Prints the heading of a table.
function M.heading(text)
  print(text)
  print(("  %-28s %8s  %14s  %5s  %8s  %5s  %7s"):format("median of the rounds", "wall, s",
    "from-to", "ratio", "CPU, s", "ratio", "KiB"))
end

--- Runs commands { name, command, line } by turns, one round more than is counted; the results by
--- name, each from the line of the output that is named, the first by itself.
function M.rounds_of(commands, rounds)
  local results = {}
  for _, entry in ipairs(commands) do results[entry[1]] = {} end
  for round = 0, rounds do
    for _, entry in ipairs(commands) do
      local result = M.run(entry[2])[entry[3] or 1]
      if round > 0 then table.insert(results[entry[1]], result) end
    end
  end
  return results
end

--- Runs the commands by turns and prints a table; the base is the faster bare loop.
function M.compare(text, commands, rounds)
  local results = M.rounds_of(commands, rounds)
  local base
  for _, entry in ipairs(commands) do
    local list = results[entry[1]]
    local bare = entry[2]:find(M.BARE, 1, true)
    if bare and (not base or M.median(list, "wall") < M.median(base, "wall")) then base = list end
  end
  M.heading(text)
  for _, entry in ipairs(commands) do M.row(entry[1], results[entry[1]], base) end
  print()
end

--- Does a command end well?
function M.succeeds(command)
  local result = os.execute(command .. " >/dev/null 2>&1")
  return result == true or result == 0
end

return M
