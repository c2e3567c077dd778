-- SPDX-License-Identifier: MIT
--
-- New jobs out of the journal of an old one, in which each entry asks for a change of its own. Undo
-- takes back what was really changed; what is already so, or is no longer as the old job left it,
-- needs no rule. Verify asks for what was planned, and what it would change is what differs.

local journal = require "cipherscale.bulk.journal"
local options = require "cipherscale.bulk.options"
local state = require "cipherscale.bulk.state"

local M = {}

-- What the job took away and nobody can give back, in words; or nil.
local function lost_for_good(story)
  local lost = {}
  for _, outcome in pairs(story.outcomes) do
    for _, thing in ipairs(outcome.remove) do
      if not story.here[thing.id] then lost[thing.id] = true end
    end
  end
  return next(lost) and "deleted since, and not given back: " .. state.words(lost, story.header)
end

-- What the job did to a person. Whoever is in doubt is read: a state that is exactly the planned
-- one, or on the way to it where that takes several requests, is taken for the job's own work, any
-- other for what the journal knows of.
local function done_to(client, verb, story, person)
  if person.withheld or person.change.nothing then return state.NOTHING end
  local known = story.outcomes[person.n] or state.NOTHING
  if verb.once or not journal.in_doubt(story, person.n) then return known end
  local held, err = verb.read(client, person.user, story.header.by_id)
  if not held and err.status == 404 then return state.NOTHING end
  local by_job = state.equal(assert(held, err), state.target(person.change))
    or verb.requests and state.on_the_way(held, person.change)
  return by_job and state.split(held, person.change) or known
end

-- The entries of a job: of each person the wishes that `wishes_of` gives, if any. Verbs that name
-- nothing have one wish.
local function entries_of(verb, next_person, wishes_of)
  return function()
    for person, value in next_person do
      local wishes = wishes_of(person, value)
      if wishes then
        if #verb.sides == 0 then wishes = {} end
        wishes.id, wishes.email = person.user, person.email
        return wishes, person.line
      end
    end
    return nil
  end
end

--- The job that takes back what a journal says was done.
--- @param case table whose story has `here`: what the tenant has, by id
--- @return table|nil job
--- @return table|nil err
function M.undo(case, given)
  local client, story, verb, path = case.client, case.story, case.verb, case.path
  if not verb.undo then
    return nil, journal.failure(("%s: '%s' cannot be undone"):format(path, verb.name))
  end
  if not story.opened then
    return nil, journal.failure(path .. " was not applied, so there is nothing to undo")
  end
  -- What is direct was proved, or assumed, when the job was planned.
  local job = {
    undo_of = path, note = story.header.note, on_unknown = "skip", word = story.header.word,
    direct_roles = verb.prove and "assume" or nil,
  }
  for _, name in ipairs(options.undo) do
    if given[name] ~= nil then job[name] = given[name] end
  end
  local lost = lost_for_good(story)
  if lost then job.note = job.note and job.note .. "; " .. lost or lost end
  function job.entries(tasks)
    local next_done = tasks:map(journal.people(case.book, story.header), function(person)
      return done_to(client, verb, story, person)
    end)
    return entries_of(verb, next_done, function(_, done)
      local add, remove = state.each(done.remove, "id", story.here),
        state.each(done.add, "id", story.here)
      return #add + #remove > 0 and { add = add, remove = remove }
    end)
  end
  return job
end

--- The job that would bring everybody to where a journal wants them.
--- @return table|nil job
--- @return table|nil err
function M.verify(case)
  local verb, header = case.verb, case.story.header
  if verb.once then
    return nil, journal.failure(("%s: '%s' cannot be verified: nothing of it can be read back")
      :format(case.path, verb.name))
  end
  -- The things are those of the journal, also where one has been deleted since.
  return {
    compares = true, things = header.things, word = header.word, on_unknown = "skip",
    direct_roles = "assume", allow_owner = true,
    entries = function()
      return entries_of(verb, journal.people(case.book, header), function(person)
        return not (person.again or person.withheld or person.unknown)
          and { set = state.each(header.things, "id", state.target(person.change)) }
      end)
    end,
  }
end

--- Everybody who is not as planned, from the plan of that job.
--- @return table list of { user =, email =, line =, missing = {…}, extra = {…}, reason = }
function M.differences(plan)
  local list = plan.unknown
  for row in plan:changes() do list[#list + 1] = row end
  for _, row in ipairs(list) do
    row.missing, row.extra, row.add, row.remove, row.before = row.add, row.remove, nil, nil, nil
  end
  table.sort(list, function(a, b) return a.line < b.line end)
  return list
end

return M
