-- SPDX-License-Identifier: MIT
--
-- New jobs out of the journal of an old one: undo takes back what was really changed, verify asks
-- for everything to be as planned. Both are jobs whose entries ask each for a change of its own, so
-- what is already so, or is no longer as the job left it, needs no rule of its own.

local journal = require "cipherscale.bulk.journal"
local state = require "cipherscale.bulk.state"

local M = {}

-- People whose change is the same share one table of wishes.
local function entry_of(person, wishes)
  return {
    id = person.user, add = #wishes.add > 0 and wishes.add or nil,
    remove = #wishes.remove > 0 and wishes.remove or nil,
  }
end

-- What the job did to a person. Whoever is in doubt is read: a state that is exactly the planned
-- one is taken for the job's own work, any other for what the journal knows of.
local function done_to(client, verb, story, person)
  local known = story.outcomes[person.n] or state.NOTHING
  if verb.once or not journal.in_doubt(story, person.n) then return known end
  local held, err = verb.read(client, person.user, story.header.by_id)
  if not held then
    if err.status == 404 then return state.NOTHING end
    error(err, 0)
  end
  return state.equal(held, state.target(person.change)) and person.change or known
end

--- The job that takes back what a journal says was done.
--- @return table|nil job
--- @return table|nil err
function M.undo(client, story, book, verb, path, given)
  if not verb.undo then
    return nil, journal.failure(("%s: '%s' cannot be undone"):format(path, verb.name))
  end
  if not story.opened then
    return nil, journal.failure(path .. " was not applied, so there is nothing to undo")
  end
  local next_person = journal.people(book, story.header)
  -- What is direct was proved, or assumed, when the job was planned.
  local job = {
    undo_of = path, note = story.header.note, on_unknown = "skip",
    direct_roles = verb.prove and "assume" or nil,
  }
  for name, value in pairs(given) do job[name] = value end
  job.users = function()
    for person in next_person do
      local nobody = person.again or person.withheld or person.unknown or person.change.nothing
      local done = nobody and state.NOTHING or done_to(client, verb, story, person)
      if not state.nothing(done) then
        local add, remove = state.ids(done.remove), state.ids(done.add)
        if #verb.sides == 0 then return { id = person.user }, person.line end
        return entry_of(person, { add = add, remove = remove }), person.line
      end
    end
    return nil
  end
  return job
end

--- The job that would make everybody as planned; what it would change is what differs.
--- @return table|nil job
--- @return table|nil err
function M.verify(story, book, verb, path)
  if verb.once then
    return nil, journal.failure(("%s: '%s' cannot be verified: nothing of it can be read back")
      :format(path, verb.name))
  end
  local next_person = journal.people(book, story.header)
  return {
    checking = true, on_unknown = "skip", direct_roles = "assume",
    users = function()
      for person in next_person do
        if not (person.again or person.withheld or person.unknown) then
          if #verb.sides == 0 then return { id = person.user }, person.line end
          local add, remove = {}, {}
          local target = state.target(person.change)
          for _, thing in ipairs(story.header.things) do
            local side = target[thing.id] and add or remove
            side[#side + 1] = thing.id
          end
          return entry_of(person, { add = add, remove = remove }), person.line
        end
      end
      return nil
    end,
  }
end

return M
