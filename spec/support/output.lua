-- SPDX-License-Identifier: MIT
-- busted's output for `make check`: one line a spec file, then what failed, then a line that a
-- program can read: "N passed, N failed". An error counts as failed; so does a suite without
-- any spec, and with CI=true each skipped one. The exit status says the same as that line
-- (busted's own is the number of failures, which ends at 255 and starts again at 0).
local busted = require "busted"
local base = require "busted.outputHandlers.base"

local STRICT = os.getenv "CI" == "true"

local function indent(text)
  return (text:gsub("%s+$", ""):gsub("[^\n]+", "    %0"))
end

local function message_of(entry)
  local message = entry.message
  if message == nil then return "no message" end
  if type(message) == "table" and not (getmetatable(message) or {}).__tostring then
    return require("pl.pretty").write(message)
  end
  return tostring(message)
end

local function place_of(entry)
  local trace = entry.element.trace or entry.trace
  if not trace or not trace.short_src then return "" end
  return (" (%s:%d)"):format(trace.short_src, trace.currentline or 0)
end

local function print_entry(word, entry)
  io.write("\n", word, ": ", entry.name, place_of(entry), "\n", indent(message_of(entry)), "\n")
  if entry.isError and entry.trace and entry.trace.traceback then
    io.write(indent(entry.trace.traceback), "\n")
  end
end

local function plural(count, word)
  return ("%d %s%s"):format(count, word, count == 1 and "" or "s")
end

-- busted keeps every spec with all that it closes over, and each file loads its modules anew: by
-- the end 50 MB, which the collector would walk over and over.
local function forget(element)
  for _, child in ipairs(busted.children(element)) do forget(child) end
  if element.descriptor == "file" then return end -- the first is asked for its name until the end
  for name, value in pairs(element) do
    if type(value) == "table" and name ~= "attributes" then element[name] = nil end
  end
  element.run = nil
end

return function()
  local handler = base()
  local before, good = nil, true

  local function counts()
    local failed = handler.failuresCount + handler.errorsCount
    local skipped = handler.pendingsCount
    if STRICT then failed, skipped = failed + skipped, 0 end
    return handler.successesCount, failed, skipped
  end

  local function file_start()
    before = { counts() }
    before.clock = require("system").monotime()
    return nil, true
  end

  local function file_end(file)
    local passed, failed, skipped = counts()
    local line = ("%4d passed"):format(passed - before[1])
    if failed > before[2] then line = ("%s, %d failed"):format(line, failed - before[2]) end
    if skipped > before[3] then line = ("%s, %d skipped"):format(line, skipped - before[3]) end
    local seconds = require("system").monotime() - before.clock
    io.write(("%s  %s  %.2f s\n"):format(line, file.name, seconds))
    io.flush()
    forget(file)
    handler.successes = {}
    return nil, true
  end

  local function suite_end()
    for _, entry in ipairs(handler.pendings) do
      print_entry(STRICT and "skipped, which CI does not accept" or "skipped", entry)
    end
    for _, entry in ipairs(handler.failures) do print_entry("failed", entry) end
    for _, entry in ipairs(handler.errors) do print_entry("error", entry) end
    local passed, failed, skipped = counts()
    if passed + failed + skipped == 0 then
      io.write "\nerror: there was nothing to run\n"
      failed = 1
    end
    good = good and failed == 0
    io.write(("\n%s in %.1f s\n"):format(plural(passed + failed, "spec"), handler.getDuration()))
    io.write(("%d passed, %d failed"):format(passed, failed))
    if skipped > 0 then io.write((", %d skipped"):format(skipped)) end
    io.write "\n"
    io.flush()
    return nil, true
  end

  -- After the suite's own clean-up. The state is closed, so that a leak is seen in every run.
  local function leave()
    if not good then os.exit(1, true) end
    return nil, true
  end

  busted.subscribe({ "file", "start" }, file_start)
  busted.subscribe({ "file", "end" }, file_end)
  busted.subscribe({ "suite", "end" }, suite_end)
  busted.subscribe({ "exit" }, leave)
  return handler
end
