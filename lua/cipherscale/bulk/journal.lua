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
--   open     a run begins: process id, limits
--   sending  a call that must not be repeated is about to be sent (synced before it is)
--   unsent   it was not sent after all
--   outcome  a person's fate, and the delta that was really sent; `unclear` when more may be done
--   end      the run is over: why it stopped; `clean` when everything sent has its outcome

local core = require "cipherscale.core"
local state = require "cipherscale.bulk.state"

local decode = core.decode
local match = string.match

local M = {}

M.FORMAT = 1

-- Names and messages come from outside and may be anything: U+FFFD stands for what is not UTF-8.
local function quote(text) return core.quote(text, true) end

-- ---- Writing ----

-- JSON knows no infinity, which is how people say that there is no limit.
local function number(value)
  if value % 1 == 0 and math.abs(value) < 2^53 then return ("%d"):format(value) end
  return ("%.17g"):format(math.max(-1e308, math.min(1e308, value)))
end

local function encode(value)
  if type(value) == "string" then return quote(value) end
  if type(value) == "number" then return number(value) end
  if type(value) ~= "table" then return tostring(value) end
  local list = {}
  for n, each in ipairs(value) do list[n] = encode(each) end
  if #list == 0 and next(value) ~= nil then return "{" .. M.fields(value) .. "}" end
  return "[" .. table.concat(list, ",") .. "]"
end

--- The inside of a JSON object, its names in order; what is no object, an empty one too, is a list.
function M.fields(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  for n, name in ipairs(names) do names[n] = '"' .. name .. '":' .. encode(map[name]) end
  return table.concat(names, ",")
end

--- A record of a kind.
function M.record(kind, map) return ('"kind":"%s",%s'):format(kind, M.fields(map)) end

--- A list of things as a JSON array of their ids.
function M.ids(things) return encode(state.ids(things)) end

--- The record of a person in a plan; `change` is its end, from "before" on. What core.journal reads
--- quickly comes first.
function M.person(person, change)
  local text = ('"kind":"plan","person":%d,"line":%d'):format(person.n, person.line)
  if person.user then text = text .. ',"user":' .. quote(person.user) end
  if person.email then text = text .. ',"email":' .. quote(person.email) end
  if person.withheld or person.unknown or person.again or person.cells then
    text = text .. "," .. M.fields {
      withheld = person.withheld, unknown = person.unknown, again = person.again,
      cells = person.cells,
    }
  end
  return text .. "," .. change
end

-- ---- Reading ----

-- Raises what is caught in story(): the check of a record tells of damage, not of its meaning.
local function read_json(text)
  local value, problem = decode(text)
  if type(value) ~= "table" then error(("a record cannot be read: %s"):format(problem), 0) end
  return value
end

-- The list of things behind a list of ids.
local function things_of(by_id, ids)
  local list = {}
  for n, id in ipairs(ids) do list[n] = by_id[id] or { id = id, label = id } end
  return list
end

-- People with the same change share one table for it, which knows nothing of them.
local function change_of(header, text)
  local change = header.changes[text]
  if not change then
    local fields = read_json("{" .. text .. "}")
    change = {
      before = things_of(header.by_id, fields.before), add = things_of(header.by_id, fields.add),
      remove = things_of(header.by_id, fields.remove), text = text,
    }
    change.nothing = #change.add == 0 and #change.remove == 0
    header.changes[text] = change
  end
  return change
end

--- Iterates over the people of a plan, in the order of its entries: { n =, line =, user =, email =,
--- change =, withheld =, unknown =, again =, cells = }.
function M.people(book, header)
  local next_person = book:people()
  return function()
    local n, line, user, email, change, other = next_person()
    if not n then return nil end
    change = change_of(header, change)
    if not other then
      return { n = n, line = line, user = user, email = email, change = change }
    end
    local person = read_json("{" .. other .. "}")
    person.n, person.line, person.change = n, line, change
    return person
  end
end

local function read_header(line, path)
  local header = line and match(line, '^{"record":1,"kind":"header"') and read_json(line)
  if not header then return nil, ("%s is no journal of this module"):format(path) end
  if header.format > M.FORMAT then
    return nil, ("%s was written by a newer version (%s, format %d); this one reads format %d")
      :format(path, header.version, header.format, M.FORMAT)
  end
  header.by_id, header.changes, header.line = {}, {}, line
  for n, thing in ipairs(header.things) do
    thing.order = n
    header.by_id[thing.id] = thing
  end
  return header
end

--- Is a header the one of this journal?
function M.begins_with(book, header)
  return book:records()() == header.line
end

-- Outcomes that are alike share one table.
local function outcome_of(story, text)
  local outcome = story.alike[text]
  if not outcome then
    outcome = read_json("{" .. text .. "}")
    outcome.add = things_of(story.header.by_id, outcome.added or {})
    outcome.remove = things_of(story.header.by_id, outcome.removed or {})
    if not outcome.error then story.alike[text] = outcome end
  end
  return outcome
end

-- Whoever had no outcome when a run was killed stays in doubt, and so does whoever had failed
-- before, and may have been tried again in that run.
local function judge(story)
  if story.opened and not (story.ended and story.ended.clean) then
    story.unclean, story.killed = true, story.run
  end
end

local readers = {
  planned = function(story, record) story.planned = record end,
  open = function(story, record)
    story.before = { opened = story.opened, ended = story.ended, run = story.run }
    judge(story)
    story.opened, story.ended, story.begun = record, nil, story.begun or record.at
    story.run = story.run + 1
  end,
  sending = function(story, record) story.sending[record.person] = true end,
  unsent = function(story, record) story.sending[record.person] = nil end,
  ["end"] = function(story, record)
    story.ended, story.elapsed = record, story.elapsed + (record.elapsed or 0)
    if record.nothing_sent then -- as if that run had not been
      local before = story.before
      story.opened, story.ended, story.run = before.opened, before.ended, before.run
    end
  end,
}

local function read_story(book, path)
  local next_line = book:records(1, "plan")
  local header, problem = read_header(next_line(), path)
  if not header then return nil, problem end
  local story = {
    header = header, outcomes = {}, sending = {}, alike = {}, elapsed = 0,
    -- Runs are counted; which was the last to be killed, and in which somebody failed.
    run = 0, killed = 0, failed_in = {},
  }
  for line in next_line do
    local kind = match(line, '^{"record":%d+,"kind":"(%w+)"')
    if kind == "outcome" then
      local person, text = match(line, '"person":(%d+),(.-)}$')
      person, text = tonumber(person), text:gsub(',"check":"%x+"$', "")
      local outcome = outcome_of(story, text)
      story.outcomes[person], story.sending[person] = outcome, nil
      story.failed_in[person] = outcome.fate == "failed" and story.run or nil
    elseif readers[kind] then
      readers[kind](story, read_json(line))
    end
  end
  judge(story)
  return story
end

--- What a journal tells: { header, planned, begun, opened, ended, outcomes, sending }, where the
--- last two are by person.
--- @return table|nil story
--- @return string|nil problem
function M.story(book, path)
  local ok, story, problem = pcall(read_story, book, path)
  if ok then return story, problem end
  return nil, type(story) == "string" and ("%s: %s"):format(path or "the journal", story)
    or tostring(story)
end

--- May the job have done more to a person than the journal knows?
function M.in_doubt(story, n)
  local outcome = story.outcomes[n]
  if outcome then
    return outcome.unclear or outcome.fate == "in_doubt"
      or (story.failed_in[n] or math.huge) < story.killed
  end
  return story.unclean or false
end

--- A sentence when nothing that a journal names is in a tenant, else nil. Some of it may have been
--- deleted since. Where it names nothing that only one tenant has, the tenant's roles tell.
--- @param story table with `here`: what the tenant has, by id
function M.stranger(story, path)
  local header = story.header
  for _, id in ipairs(header.tenant or {}) do
    if story.here[id] then return nil end
  end
  if header.tenant then
    return path .. " belongs to another tenant: its roles are not in this one"
  end
  for _, thing in ipairs(header.things) do
    if story.here[thing.id] then return nil end
  end
  local first = header.things[1]
  return first and ("%s belongs to another tenant, or what it names has been deleted: '%s' (%s) is "
    .. "not in this one"):format(path, first.label, first.id)
end

-- ---- Files ----

local function failure(message, code)
  return core.error { kind = "journal", message = message, code = code }
end
M.failure = failure

--- Where a journal goes: a name that ends in "/" is a folder in which a name is made from the time.
function M.path(given)
  if given:sub(-1) ~= "/" then return given end
  local stem, n = given .. os.date("!%Y%m%dT%H%M%SZ"), 1
  local path = stem .. ".jsonl"
  local file = io.open(path)
  while file do
    file:close()
    n = n + 1
    path = ("%s-%d.jsonl"):format(stem, n)
    file = io.open(path)
  end
  return path
end

-- What an existing journal is, in words.
local function describe(path)
  local book = core.journal.read(path)
  if not book then return nil end
  local story = M.story(book, path)
  book:close()
  if not story then return nil end
  if not story.planned then return "a plan that was not finished; delete it and plan again" end
  if not story.opened then
    return ("a plan to change %d people, not applied; load it with client.bulk:load"):format(
      story.planned.to_change)
  end
  local settled = 0
  for _, outcome in pairs(story.outcomes) do
    if outcome.fate ~= "failed" then settled = settled + 1 end
  end
  return ("a job in which %d of %d people are settled%s"):format(settled, story.planned.to_change,
    settled < story.planned.to_change and "; go on with client.bulk:resume" or "")
end

--- A new journal, or one in memory when there is no path.
function M.create(path)
  if not path then return core.journal.memory() end
  local book, err = core.journal.create(path)
  if book then return book end
  if err.code == "exists" then
    local what = describe(path)
    return nil, failure(("%s exists already%s"):format(path, what and ": " .. what or ""), "exists")
  end
  return nil, err
end

--- Opens a journal for writing. One that another run holds is refused, with its process id.
function M.open(path)
  local book, err = core.journal.open(path)
  if book then return book end
  if err.code == "locked" then
    local by = err.process and (" (process %d)"):format(err.process) or ""
    return nil, failure(("%s is in use by another run%s"):format(path, by), "locked")
  end
  return nil, err
end

--- Opens a journal to which nobody writes meanwhile, be it in a place where nobody can.
function M.at_rest(path)
  local book, err = M.open(path)
  if not book and err.code == "denied" then return M.read(path) end
  return book, err
end

--- Opens a journal for reading alone.
function M.read(path) return core.journal.read(path) end

return M
