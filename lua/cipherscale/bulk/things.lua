-- SPDX-License-Identifier: MIT
--
-- What is meant: finds the things that a job names (roles, say) among those of the tenant, by id,
-- by type or by exact name. Whatever is not known, or could be several, is collected, so that all
-- of it is reported together. Pure.

local nearest = require "cipherscale.bulk.nearest"

local M = {}

-- Things by id, else by type or exact name. Custom roles share the type of a built-in one: it
-- then means the built-in one, which cannot be deleted.
local function matches(things, name)
  local by_type, built_in, found = {}, {}, {}
  for _, thing in ipairs(things) do
    if thing.id == name then return { thing } end
    if thing.type == name then
      by_type[#by_type + 1] = thing
      if thing.deleteable == false then built_in[#built_in + 1] = thing end
    elseif thing.name == name then
      found[#found + 1] = thing
    end
  end
  for _, thing in ipairs(#built_in == 1 and built_in or by_type) do found[#found + 1] = thing end
  return found
end

-- Types are the shorter names; they are shown where they are unmistakable.
local function label(things, thing)
  local same = thing.type and matches(things, thing.type) or {}
  if #same == 1 and same[1] == thing then return thing.type end
  return thing.name or thing.id
end

local function known_names(things)
  local names, seen = {}, {}
  for _, thing in ipairs(things) do
    for _, name in ipairs { thing.type or thing.name, thing.name } do
      if not seen[name] then seen[name], names[#names + 1] = true, name end
    end
  end
  return names
end

local function unknown_thing(noun, name, things)
  local known = known_names(things)
  local close = nearest.find(name, known)
  return {
    name = name, candidates = close,
    message = ("%s '%s': no such %s in this tenant%s"):format(noun, name, noun,
      #close > 0 and nearest.hint(close) or (" (there are: %s)"):format(table.concat(known, ", "))),
  }
end

local function ambiguous_thing(noun, name, found)
  local candidates = {}
  for n, thing in ipairs(found) do candidates[n] = ("%s = %s"):format(thing.name, thing.id) end
  return {
    name = name, candidates = candidates,
    message = ("%s '%s' could be several; say which by its id: %s")
      :format(noun, name, table.concat(candidates, ", ")),
  }
end

--- Resolves the names that a job gives, side by side.
--- @return table asked for each side a list of { id, name, type, label }, each once
--- @return table concerned all of them, by id
function M.resolve(verb, job, things, problems)
  local asked, concerned, side_of = {}, {}, {}
  for _, side in ipairs(verb.sides) do
    asked[side] = {}
    for _, name in ipairs(job[side] or {}) do
      local found = matches(things, name)
      local thing = found[1]
      if not thing then
        problems[#problems + 1] = unknown_thing(verb.noun, name, things)
      elseif #found > 1 then
        problems[#problems + 1] = ambiguous_thing(verb.noun, name, found)
      elseif side_of[thing.id] == nil then
        local known = { id = thing.id, name = thing.name, type = thing.type }
        known.label = label(things, thing)
        side_of[thing.id], concerned[thing.id] = side, known
        asked[side][#asked[side] + 1] = known
      elseif side_of[thing.id] ~= side then
        problems[#problems + 1] = {
          name = name,
          message = ("%s '%s' is in `%s` and in `%s`")
            :format(verb.noun, name, side_of[thing.id], side),
        }
      end
    end
  end
  return asked, concerned
end

return M
