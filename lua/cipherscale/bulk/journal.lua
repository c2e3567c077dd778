-- SPDX-License-Identifier: MIT
--
-- The journal: one record after another, from the plan of a job to its undo, in a file or, where
-- none is asked for, in memory. A file is JSON lines, numbered and checked, locked while it is
-- written (core.journal sees to that); here is what the records mean.
--
--   header   what is asked: verb, base URL, the things concerned, the note, who, when
--   plan     a person: line, user, email, the things held `before`, what to `add` and `remove`;
--            or why there is nothing to do: `withheld`, `unknown`; `again` is a repeated entry
--   planned  the counts and what the guards must know; without it nothing is applied
--   open     a run begins: who, when, process id, limits
--   sending  a call that must not be repeated is about to be sent (synced before it is)
--   unsent   it was not sent after all
--   outcome  a person's fate, and the delta that was really sent; `unclear` when more may be done
--   end      the run is over: why it stopped; `clean` when everything sent has its outcome

local core = require "cipherscale.core"
local state = require "cipherscale.bulk.state"

local M = {}

M.FORMAT = 1

-- ---- Writing ----

-- What is no object, an empty one too, is a list. Names stand in order.
local function encode(value)
  -- Names and messages come from outside and may be anything: U+FFFD stands for what is not UTF-8.
  if type(value) == "string" then return core.quote(value, true) end
  -- JSON knows no infinity, which is how people say that there is no limit.
  if type(value) == "number" then
    return ("%.17g"):format(math.max(-1e308, math.min(1e308, value)))
  end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for n, each in ipairs(value) do parts[n] = encode(each) end
  if #parts > 0 or next(value) == nil then return "[" .. table.concat(parts, ",") .. "]" end
  for name, each in pairs(value) do parts[#parts + 1] = encode(name) .. ":" .. encode(each) end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

--- Who works here, as the system says.
function M.user() return os.getenv("USER") or os.getenv("LOGNAME") end

--- The inside of a JSON object.
function M.fields(map) return (encode(map):sub(2, -2)) end

--- A record of a kind.
function M.record(kind, map) return ('"kind":"%s",%s'):format(kind, M.fields(map)) end

--- A list of things as a JSON array of their ids.
function M.ids(things) return encode(state.each(things, "id")) end

--- The record of a person in a plan; `change` is its end, from "before" on. What core.journal reads
--- quickly comes first.
function M.person(person, change)
  local text = ('"kind":"plan","person":%d,"line":%d'):format(person.n, person.line)
  for _, name in ipairs { "user", "email", "withheld", "unknown", "again", "cells" } do
    if person[name] then text = text .. ',"' .. name .. '":' .. encode(person[name]) end
  end
  return text .. "," .. change
end

-- ---- Reading ----

-- Raises what is caught in story(): the check of a record tells of damage, not of its meaning.
local function read_json(text)
  local value, problem = core.decode(text)
  return value or error(("a record cannot be read: %s"):format(problem), 0)
end

-- What many people have in common is one table, which knows nothing of them: the change of a plan,
-- or an outcome, with the things for their ids.
local function common(header, text)
  local read = header.read[text]
  if read then return read end
  read = read_json("{" .. text .. "}")
  read.before, read.add = read.before or {}, read.add or read.added or {}
  read.remove = read.remove or read.removed or {}
  for _, list in ipairs { read.before, read.add, read.remove } do
    for n, id in ipairs(list) do list[n] = header.by_id[id] or { id = id, label = id } end
  end
  read.nothing = #read.add == 0 and #read.remove == 0
  if not read.error then header.read[text] = read end -- errors are of one person
  return read
end

--- The person, where a plan is to change that person; else false.
function M.to_change(person) return not (person.change.nothing or person.withheld) and person end

--- Iterates over the people of a plan, in the order of its entries: { n =, line =, user =, email =,
--- change =, withheld =, unknown =, again =, cells = }.
--- @param pick? function makes of a person what is given instead, or nothing to go on to the next
--- @param closes? boolean the book is closed at the end
function M.people(book, header, pick, closes)
  local next_person, read = book:people(), header.read
  return function()
    for n, line, user, email, change, other in next_person do
      local person = {
        n = n, line = line, user = user, email = email,
        change = read[change] or common(header, change),
      }
      if other then
        for name, value in pairs(read_json("{" .. other .. "}")) do person[name] = value end
      end
      if pick then person = pick(person) end
      if person then return person end
    end
    if closes then book:close() end
    return nil
  end
end

local function read_header(line)
  local header = core.decode(line)
  if not header or header.kind ~= "header" then error("it is no journal of this module", 0) end
  if header.format > M.FORMAT then
    error(("it was written by a newer version (%s, format %d); this one reads format %d")
      :format(header.version, header.format, M.FORMAT), 0)
  end
  header.by_id, header.read, header.line = {}, {}, line
  for _, thing in ipairs(header.things) do header.by_id[thing.id] = thing end
  return header
end

-- What a record tells that is no person's. A run is the record that opened it, and knows the run
-- before it, and the first one.
local function take(story, record)
  local kind, run = record.kind, story.opened
  if kind == "planned" then
    story.planned = record
  elseif kind == "sending" or kind == "unsent" then
    story.sending[record.person] = kind == "sending" or nil
  elseif kind == "open" then
    record.before, record.first, story.opened = run, run and run.first or record, record
  elseif kind == "end" then
    run.ended = record
    if record.nothing_sent then -- as if that run had not been
      story.opened = run.before
    else
      story.elapsed = story.elapsed + (record.elapsed or 0)
    end
  end
end

local function read_story(book)
  local next_line = book:records(1, "plan")
  local header = read_header(next_line())
  local story = { header = header, outcomes = {}, sending = {}, elapsed = 0 }
  for line, number in next_line do
    local person, text = line:match(
      '^{"record":%d+,"kind":"outcome","person":(%d+),(.*),"check":"%x+"}$')
    if person then
      person = tonumber(person)
      local outcome = common(header, text)
      story.outcomes[person], story.sending[person] = outcome, nil
      if outcome.error then outcome.record = number end
    else
      take(story, read_json(line))
    end
  end
  local run = story.opened
  story.ended = run and run.ended
  while run and run.ended and run.ended.clean do run = run.before end
  story.killed = run and run.record or 0
  return story
end

--- What a journal tells: { header, planned, opened, ended, elapsed, outcomes, sending, killed }.
--- `outcomes` and `sending` are by person; `opened` and `ended` are of the last run; `killed` is
--- the number of the record that opened the last one without a clean end, or 0.
--- @return table|nil story
--- @return string|nil problem
function M.story(book, path)
  local ok, story = pcall(read_story, book)
  if ok then return story end
  return nil, type(story) == "string" and ("%s: %s"):format(path or "the journal", story)
    or tostring(story)
end

--- May the job have done more to a person than the journal knows? Whoever had no outcome when a run
--- was killed stays in doubt, and so does whoever had failed before that run, and may have been
--- tried again in it.
function M.in_doubt(story, n)
  local outcome = story.outcomes[n]
  if not outcome then return story.killed > 0 end
  return outcome.unclear or outcome.fate == "in_doubt"
    or outcome.fate == "failed" and (outcome.record or 0) < story.killed
end

--- A sentence when nothing that a journal names is in a tenant, else nil. Some of it may have been
--- deleted since. Where it names nothing that only one tenant has, the tenant's roles tell.
--- @param story table with `here`: what the tenant has, by id
function M.stranger(story, path)
  local tenant, things = story.header.tenant, story.header.things
  for _, each in ipairs(tenant or things) do
    if story.here[tenant and each or each.id] then return nil end
  end
  if tenant then return path .. " belongs to another tenant: its roles are not in this one" end
  local first = things[1]
  return first and ("%s belongs to another tenant, or what it names has been deleted: '%s' (%s) is "
    .. "not in this one"):format(path, first.label, first.id)
end

-- ---- Files ----

--- Opens a journal for reading alone; or for writing, which only one run can.
M.read, M.open = core.journal.read, core.journal.open

function M.failure(message, code)
  return core.error { kind = "journal", message = message, code = code }
end

-- What an existing journal is, in words.
local function describe(path)
  local book = M.read(path)
  if not book then return "" end
  local story, problem = M.story(book, path)
  book:close()
  if not story then return ": " .. problem end
  if not story.planned then return ": a plan that was not finished; delete it and plan again" end
  local settled, all = 0, story.planned.to_change
  if not story.opened then
    return (": a plan to change %d people, not applied; load it with client.bulk:load"):format(all)
  end
  for _, outcome in pairs(story.outcomes) do
    if outcome.fate ~= "failed" then settled = settled + 1 end
  end
  return (": a job in which %d of %d people are settled%s"):format(settled, all,
    settled < all and "; go on with client.bulk:resume" or "")
end

--- A new journal and its path, or one in memory when none is given. A path that ends in "/" is a
--- folder, in which a name is made from the time, and a number where that is not enough.
function M.create(given, number)
  if not given then return core.journal.memory() end
  local path = given
  if given:find("/$") then
    path = given .. os.date("!%Y%m%dT%H%M%SZ") .. (number and "-" .. number or "") .. ".jsonl"
  end
  local book, err = core.journal.create(path)
  if book then return book, path end
  if err.code ~= "exists" then return nil, err end
  if path ~= given then return M.create(given, (number or 1) + 1) end
  return nil, M.failure(("%s exists already%s"):format(path, describe(path)), "exists")
end

--- Opens a journal to which nobody writes meanwhile, be it in a place where nobody can.
function M.at_rest(path)
  local book, err = M.open(path)
  if not book and err.code == "denied" then return M.read(path) end
  return book, err
end

return M
