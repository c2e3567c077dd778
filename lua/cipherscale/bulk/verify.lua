-- SPDX-License-Identifier: MIT
--
-- Reads everybody of a journal back and tells who is not as planned. Whoever is as planned is
-- compared and forgotten.

local journal = require "cipherscale.bulk.journal"
local search = require "cipherscale.bulk.search"
local state = require "cipherscale.bulk.state"
local text = require "cipherscale.bulk.text"

-- Everybody for whom the plan says something, once.
local function planned_people(story, book)
  local next_person = journal.people(book, story.header)
  return function()
    for person in next_person do
      if not (person.again or person.withheld or person.unknown) then return person end
    end
  end
end

-- A function that gives one table for all sets that are alike.
local function sharing(things)
  local shared = {}
  return function(held)
    local ids = {}
    for _, thing in ipairs(things) do
      if held[thing.id] then ids[#ids + 1] = thing.id end
    end
    local key = table.concat(ids, "\0")
    shared[key] = shared[key] or held
    return shared[key]
  end
end

-- The labels of what is in one set and not in another, in the tenant's order.
local function beyond(things, set, other)
  local list = {}
  for _, thing in ipairs(things) do
    if set[thing.id] and not other[thing.id] then list[#list + 1] = thing end
  end
  return text.label_list(list)
end

-- The row about a person who holds `held`; nil where that is as planned.
local function difference(things, person, held)
  local target = state.target(person.change)
  if state.equal(held, target) then return nil end
  return {
    user = person.user, email = person.email, line = person.line,
    missing = beyond(things, target, held), extra = beyond(things, held, target),
  }
end

--- @param case table with an open journal
--- @return table|nil list of { user =, email =, line =, missing = {…}, extra = {…}, reason = }
--- @return table|nil err
return function(case)
  local client, verb, story, book, path = case.client, case.verb, case.story, case.book, case.path
  if verb.once then
    return nil, journal.failure(("%s: '%s' cannot be verified: nothing of it can be read back")
      :format(path, verb.name))
  end
  local things, concerned = story.header.things, story.header.by_id
  return client:run(function(tasks)
    local find = search.new {
      client = client, tasks = tasks, verb = verb, concerned = concerned,
      holding_of = sharing(things),
    }
    for person in planned_people(story, book) do find:name(person.user) end
    local ok, err = find:run()
    if not ok then return nil, err end
    local function look(person)
      person.email = person.email or find.emails[find:name(person.user)]
      local held = find.holdings[find:name(person.user)]
      if held then return difference(things, person, held) end
      local problem
      held, problem = verb.read(client, person.user, concerned)
      if held then return difference(things, person, held) end
      if problem.status ~= 404 then return nil, problem end
      return {
        user = person.user, email = person.email, line = person.line, missing = {}, extra = {},
        reason = ("no user has the id '%s'"):format(person.user),
      }
    end
    local list = {}
    for _, row, problem in tasks:map(planned_people(story, book), look) do
      if problem then return nil, problem end
      list[#list + 1] = row
    end
    find.keys:clear()
    return list
  end)
end
