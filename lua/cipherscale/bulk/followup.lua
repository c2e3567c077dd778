-- SPDX-License-Identifier: MIT
--
-- New jobs out of the journal of an old one, in which each entry asks for a change of its own. Undo
-- takes back what was really changed; what is already so, or is no longer as the old job left it,
-- needs no rule. Verify asks for what was planned, and what it would change is what differs.

local journal = require "cipherscale.bulk.journal"
local state = require "cipherscale.bulk.state"

local M = {}

-- The ids of those things that still are in the tenant; nil where there are none.
local function ids_here(things, here)
  local list = {}
  for _, thing in ipairs(things) do
    if here[thing.id] then list[#list + 1] = thing.id end
  end
  return #list > 0 and list or nil
end

-- What the job took away and nobody can give back, in words; or nil.
local function lost_for_good(story)
  local lost = {}
  for _, outcome in pairs(story.outcomes) do
    for _, thing in ipairs(outcome.remove) do
      if not story.here[thing.id] then lost[thing.id] = true end
    end
  end
  if next(lost) == nil then return nil end
  return "deleted since, and not given back: " .. state.words(lost, story.header)
end

-- What the job did to a person, or nil and an error. Whoever is in doubt is read: a state that is
-- exactly the planned one, or on the way to it where that takes several requests, is taken for the
-- job's own work, any other for what the journal knows of.
local function done_to(client, verb, story, person)
  local nobody = person.again or person.withheld or person.unknown or person.change.nothing
  if nobody then return state.NOTHING end
  local known = story.outcomes[person.n] or state.NOTHING
  if verb.once or not journal.in_doubt(story, person.n) then return known end
  local held, err = verb.read(client, person.user, story.header.by_id)
  if not held and err.status == 404 then return state.NOTHING end
  if not held then return nil, err end
  if state.equal(held, state.target(person.change)) then return person.change end
  if not (verb.requests and state.on_the_way(held, person.change)) then return known end
  return (state.split(held, person.change))
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
  for name, value in pairs(given) do job[name] = value end
  local lost = lost_for_good(story)
  if lost then job.note = job.note and job.note .. "; " .. lost or lost end
  local next_done
  job.begin = function(tasks)
    next_done = tasks:map(journal.people(case.book, story.header), function(person)
      return done_to(client, verb, story, person)
    end)
  end
  job.users = function()
    for person, done, err in next_done do
      if err then
        job.failure = err
        return nil
      end
      local add, remove = ids_here(done.remove, story.here), ids_here(done.add, story.here)
      if add or remove then
        if #verb.sides == 0 then return { id = person.user }, person.line end
        return { id = person.user, add = add, remove = remove }, person.line
      end
    end
    return nil
  end
  return job
end

-- What people who were to be changed alike ask for, each thing by its id.
local function wishes_of(change, things)
  if not change.wishes then
    local target, wishes = state.target(change), { add = {}, remove = {} }
    for _, thing in ipairs(things) do
      table.insert(target[thing.id] and wishes.add or wishes.remove, thing.id)
    end
    change.wishes = wishes
  end
  return change.wishes
end

--- The job that would bring everybody to where a journal wants them.
--- @return table|nil job
--- @return table|nil err
function M.verify(case)
  local verb, things = case.verb, case.story.header.things
  if verb.once then
    return nil, journal.failure(("%s: '%s' cannot be verified: nothing of it can be read back")
      :format(case.path, verb.name))
  end
  local next_person = journal.people(case.book, case.story.header)
  return {
    -- The things are those of the journal, also where one has been deleted since.
    compares = true, on_unknown = "skip", things = things, word = case.story.header.word,
    users = function()
      for person in next_person do
        if not (person.again or person.withheld or person.unknown) then
          local wishes = #verb.sides > 0 and wishes_of(person.change, things) or {}
          return {
            id = person.user, email = person.email,
            add = wishes.add, remove = wishes.remove,
          }, person.line
        end
      end
      return nil
    end,
  }
end

--- Everybody who is not as planned, from the plan of that job.
--- @return table list of { user =, email =, line =, missing = {…}, extra = {…}, reason = }
function M.differences(plan)
  local list = plan.unknown
  for row in plan:changes() do list[#list + 1] = row end
  for n, row in ipairs(list) do
    list[n] = {
      user = row.user, email = row.email, line = row.line, missing = row.add, extra = row.remove,
      reason = row.reason,
    }
  end
  table.sort(list, function(a, b) return a.line < b.line end)
  return list
end

return M
