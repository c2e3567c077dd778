-- SPDX-License-Identifier: MIT
--
-- A command for administrators, to be copied together with progress.lua: gives roles to the people
-- of a CSV file, or takes them away. It shows the plan, asks, and keeps a journal, so that a job
-- that is interrupted can go on, and one that was wrong can be undone.

-- Finds progress.lua beside this file, wherever it is called from.
package.path = (arg[0]:match("^(.*)/") or ".") .. "/?.lua;" .. package.path
local cipherscale = require "cipherscale"
local progress = require "progress"

local USAGE = [[
usage: lua5.4 grant.lua [--add ROLE]... [--remove ROLE]... [options] PEOPLE.csv
       lua5.4 grant.lua --resume JOURNAL [options]
       lua5.4 grant.lua --undo JOURNAL [options]

PEOPLE.csv has a column `email` or `id`; columns `add`, `remove` or `set` are for single people.
Key and address come from CIPHERSCALE_API_KEY and CIPHERSCALE_BASE_URL.

  --add ROLE, --remove ROLE   a role by type, name or id; may come several times
  --limit NAME=N              moves a guard rail: max_changes=1000
  --journal FILE              where the job is kept (else here, named by the time)
  --yes                       does not ask

Exit status: 0 done for everybody, 1 not, or not yet, 2 wrong usage.
]]

local FLAGS = { yes = true, resume = true, undo = true }
local VALUES = { add = true, remove = true, limit = true, journal = true }

local function wrong_usage(...) error({ usage = string.format(...) }, 0) end

local function parse(words)
  local given, i = { add = {}, remove = {}, limits = {} }, 1
  while words[i] do
    local word, name, value = words[i], words[i]:match "^%-%-(.+)", words[i + 1]
    i = i + (VALUES[name] and 2 or 1)
    if VALUES[name] and not value then wrong_usage("%s: a value is missing", word)
    elseif name == "limit" then
      local limit, number = value:match "^([%w_]+)=([%d.]+)$"
      if not limit then wrong_usage("%s: NAME=N expected, got '%s'", word, value) end
      given.limits[limit] = tonumber(number)
    elseif name == "journal" then given.journal = value
    elseif VALUES[name] then table.insert(given[name], value)
    elseif FLAGS[name] then given[name] = true
    elseif word:find "^%-" then wrong_usage("unknown option '%s'", word)
    elseif given.file then wrong_usage("one file expected, got '%s', too", word)
    else given.file = word end
  end
  if not given.file then wrong_usage "a file is missing" end
  if not given.yes and not progress.is_terminal(0) then
    wrong_usage "nobody can be asked, since the input is no terminal: --yes expected"
  end
  return given
end

local client, journal  -- the journal as soon as there is something to go on with

local function agreed(given, question)
  if given.yes then return true end
  io.write(question, " [y/N] ")
  return (io.read() or ""):lower():find "^%s*y" ~= nil
end

local function plan_for(given)
  local job = given.limits
  if given.undo then
    job.journal = given.journal or given.file:gsub("%.jsonl$", "") .. ".undo.jsonl"
    return client.bulk:undo(given.file, job)
  end
  job.journal, job.add, job.remove = given.journal or "./", given.add, given.remove
  job.users = assert(cipherscale.csv(given.file))
  return client.bulk:roles(job)
end

-- Lets `send` change people, and tells what became of everybody, also after Ctrl-C.
local function carry_out(send, options)
  options.on_progress = progress.new()
  local ok, sent, err = pcall(send, options)
  options.on_progress:finish()
  if not ok then print(tostring(sent):find "interrupted!" and "Interrupted." or sent)
  else assert(sent, err) end
  local report = assert(client.bulk:report(journal))
  local csv = journal:gsub("%.jsonl$", "") .. ".report.csv"
  print(report)
  assert(report:to_csv(csv))
  print("What became of each is in " .. csv)
  if report.alarm or report.pending + report.failed == 0 then journal = nil end
  return report.complete and 0 or 1
end

local function main(words)
  local given = parse(words)
  client, journal = cipherscale.new { app = "grant" }, given.resume and given.file
  if journal then
    print(assert(client.bulk:report(journal)))
    if not agreed(given, "Go on with it?") then return 1 end
    local function resume(options) return client.bulk:resume(journal, options) end
    return carry_out(resume, given.limits)
  end
  local plan = assert(plan_for(given))
  print(plan)
  if #plan:refusals() > 0 or plan.to_change == 0 then
    os.remove(plan.journal)
    return plan.unchanged == plan.total and #plan:refusals() == 0 and 0 or 1
  end
  journal = plan.journal
  if not agreed(given, "Apply it?") then return 1 end
  return carry_out(function(options) return plan:apply(options) end, {})
end

local ok, status = pcall(main, arg)
local usage = not ok and type(status) == "table" and status.usage
if not ok then
  io.stderr:write("grant.lua: ", usage and usage .. "\n\n" .. USAGE or tostring(status) .. "\n")
  status = usage and 2 or 1
end
if status == 1 and journal then
  print(("Go on with: lua5.4 %s --resume %s"):format(arg[0], journal))
end
os.exit(status, true)
