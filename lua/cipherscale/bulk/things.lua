-- SPDX-License-Identifier: MIT
--
-- What is meant: finds the things that a job or a single entry names (roles, say) among those of
-- the tenant, by id, by type or by exact name, and says what would change for somebody who holds
-- some of them. Whatever is not known, or could be several, is a problem. Pure.

local nearest = require "cipherscale.nearest"
local state = require "cipherscale.bulk.state"

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

-- The names by which things are called, for whoever has mistyped one.
local function known_names(things)
  local names, seen = {}, {}
  for _, thing in ipairs(things) do
    for _, name in ipairs { thing.type or thing.name, thing.name } do
      if not seen[name] then seen[name], names[#names + 1] = true, name end
    end
  end
  return names
end

-- The types of the roles that a group gives; nil for a thing that is no group.
local function role_types(roles)
  if type(roles) ~= "table" then return nil end
  local types = {}
  for _, role in ipairs(roles) do types[#types + 1] = type(role) == "table" and role.type or nil end
  return types
end

local Catalogue = {}
Catalogue.__index = Catalogue

--- The things of a tenant, with a label each, and the asks that were resolved against them.
--- @param noun string "role"
--- @param things table list of { id, name, type }
function M.catalogue(noun, things)
  local list, by_id = {}, {}
  for n, thing in ipairs(things) do
    list[n] = {
      id = thing.id, name = thing.name, type = thing.type, order = n,
      label = thing.label or label(things, thing), deleteable = thing.deleteable,
      gives = role_types(thing.roles), members = thing.users,
    }
    by_id[thing.id] = list[n]
  end
  return setmetatable({ noun = noun, things = list, by_id = by_id, asks = {}, found = {} },
    Catalogue)
end

-- The one thing that a name means; or nil, what is wrong, and the candidates.
function Catalogue:find(name)
  local found = self.found[name] or matches(self.things, name)
  self.found[name] = #found == 1 and found or nil
  if #found == 1 then return found[1] end
  local candidates = {}
  for n, thing in ipairs(found) do candidates[n] = ("%s = %s"):format(thing.name, thing.id) end
  if #found > 1 then
    return nil, ("%s '%s' could be several; say which by its id: %s")
      :format(self.noun, name, table.concat(candidates, ", ")), candidates
  end
  local known = known_names(self.things)
  candidates = nearest.find(name, known)
  return nil, ("%s '%s': no such %s in this tenant%s"):format(self.noun, name, self.noun,
    #candidates > 0 and nearest.hint(candidates)
    or (" (there are: %s)"):format(table.concat(known, ", "))), candidates
end

-- The names of one side as a list. A CSV cell is one string: a name, or several with commas or
-- semicolons between them.
function Catalogue:names_in(value)
  if type(value) ~= "string" then return value end
  if #matches(self.things, value) > 0 then return { value } end
  local names = {}
  for name in value:gmatch("[^,;]+") do
    name = name:match("^%s*(.-)%s*$")
    if name ~= "" then names[#names + 1] = name end
  end
  return names
end

-- Wishes that mean the same have the same key, however they are spelled.
local function meaning_of(ask)
  local words = {}
  for _, side in ipairs { "add", "remove", "set", "replace" } do
    local ids = {}
    for n, each in ipairs(ask[side] or {}) do
      ids[n] = each.id or each.from.id .. "\0" .. each.into.id
    end
    table.sort(ids)
    words[#words + 1] = (ask[side] and "=" or "") .. table.concat(ids, "\0\0")
  end
  return table.concat(words, "\n")
end

--- What `given` asks for: `add`, `remove` and `replace` are lists of things, `set` is nil or the
--- list of exactly those that shall be held. The same wishes give the same object.
--- @param given table { add =, remove =, set =, replace = } of names
--- @param sides table the names of these that count
--- @param problem function is called with each message, name and candidates
--- @return table|nil ask
function Catalogue:ask(given, sides, problem)
  local ask, side_of, understood = { add = {}, remove = {}, replace = {} }, {}, true
  local function complain(name, message, ...)
    understood = false
    problem(("%s '%s'%s"):format(self.noun, name, message:format(...)), name)
  end
  local function find(name)
    local thing, message, candidates = self:find(name)
    if not thing then
      understood = false
      problem(message, name, candidates)
    end
    return thing
  end
  -- Puts what a name means into the list of its side, once.
  local function take(side, name)
    local thing = find(name)
    local before = thing and side_of[thing]
    if before and before ~= side then
      complain(name, " is in `%s` and in `%s`", before, side)
    elseif before and side == "replace" then
      complain(name, " is replaced twice")
    elseif thing and not before then
      side_of[thing] = side
      if side == "replace" then return thing end
      table.insert(ask[side], thing)
    end
    return nil
  end
  local function replace(names)
    local froms = {}
    for from in pairs(names) do froms[#froms + 1] = from end
    table.sort(froms)
    for _, name in ipairs(froms) do
      local from, into = take("replace", name), find(names[name])
      if from and into then table.insert(ask.replace, { from = from, into = into }) end
    end
    for _, pair in ipairs(ask.replace) do
      if side_of[pair.into] then
        complain(pair.into.label, " shall come in place of '%s', but the job names it elsewhere, "
          .. "too", pair.from.label)
      end
    end
  end
  if given.set ~= nil then ask.set = {} end
  for _, side in ipairs(sides) do
    local value = given[side]
    if value ~= nil and side == "replace" then
      replace(value)
    elseif value ~= nil then
      local names = self:names_in(value)
      if #names == 0 and type(value) == "string" then complain(value, ": no name in it") end
      for _, name in ipairs(names) do take(side, name) end
    end
  end
  if not understood then return nil end
  local meaning = meaning_of(ask)
  self.asks[meaning] = self.asks[meaning] or ask
  return self.asks[meaning]
end

--- An ask for things that are no names: those of a verb without sides.
function Catalogue:fixed(sides)
  local ask = { add = sides.add or {}, remove = sides.remove or {}, replace = {} }
  self.asks[#self.asks + 1] = ask
  return ask
end

--- All things that any ask is about, by id; what is none of them is nobody's business.
function Catalogue:concerned()
  local concerned = {}
  for _, ask in pairs(self.asks) do
    if ask.set then return self.by_id end
    for _, thing in ipairs(ask.add) do concerned[thing.id] = thing end
    for _, thing in ipairs(ask.remove) do concerned[thing.id] = thing end
    for _, pair in ipairs(ask.replace) do
      concerned[pair.from.id], concerned[pair.into.id] = pair.from, pair.into
    end
  end
  return concerned
end

--- A set of ids as a list of things, in the tenant's order.
function Catalogue:in_order(held)
  local list = {}
  for id in pairs(held) do
    -- A thing that was made after the list was read still has an id to show.
    list[#list + 1] = self.by_id[id] or { id = id, label = id, order = math.huge }
  end
  table.sort(list, function(a, b)
    if a.order ~= b.order then return a.order < b.order end
    return a.id < b.id
  end)
  return list
end

--- What to change for somebody who holds `before` so that the ask is met.
--- @param before table list of things
--- @return table add, table remove
function M.difference(before, ask)
  local held, add, remove, wanted = state.of(before), {}, {}, state.of(ask.set or {})
  local function give(thing)
    if not held[thing.id] then add[#add + 1], held[thing.id] = thing, true end
  end
  local function take(thing)
    if held[thing.id] then remove[#remove + 1], held[thing.id] = thing, nil end
  end
  for _, thing in ipairs(ask.set and before or {}) do
    if not wanted[thing.id] then take(thing) end
  end
  for _, thing in ipairs(ask.remove) do take(thing) end
  for _, pair in ipairs(ask.replace) do
    if held[pair.from.id] then
      take(pair.from)
      give(pair.into)
    end
  end
  for _, thing in ipairs(ask.set or ask.add) do give(thing) end
  return add, remove
end

return M
