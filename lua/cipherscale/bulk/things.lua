-- SPDX-License-Identifier: MIT
--
-- What is meant: finds the things that a job or a single entry names (roles, say) among those of
-- the tenant, by id, by type or by exact name, and says what would change for somebody who holds
-- some of them. Whatever is not known, or could be several, is a problem. Pure.

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
    local label_of = thing.label or label(things, thing)
    list[n] = {
      id = thing.id, name = thing.name, type = thing.type, label = label_of, order = n,
      deleteable = thing.deleteable, gives = role_types(thing.roles), members = thing.users,
    }
    by_id[thing.id] = list[n]
  end
  return setmetatable({
    noun = noun, things = list, by_id = by_id, asks = {}, spellings = {},
  }, Catalogue)
end

-- The one thing that a name means; or nil, what is wrong, and the candidates.
function Catalogue:find(name)
  local found = matches(self.things, name)
  if #found == 1 then return found[1] end
  if #found == 0 then
    local known = known_names(self.things)
    local close = nearest.find(name, known)
    return nil, ("%s '%s': no such %s in this tenant%s"):format(self.noun, name, self.noun,
      #close > 0 and nearest.hint(close) or (" (there are: %s)"):format(table.concat(known, ", "))),
      close
  end
  local candidates = {}
  for n, thing in ipairs(found) do candidates[n] = ("%s = %s"):format(thing.name, thing.id) end
  return nil, ("%s '%s' could be several; say which by its id: %s")
    :format(self.noun, name, table.concat(candidates, ", ")), candidates
end

-- The names of one side as a list. A CSV cell is one string: a name, or several with commas or
-- semicolons between them.
local function names_of(catalogue, value, problem)
  if type(value) ~= "string" then return value end
  if #matches(catalogue.things, value) > 0 then return { value } end
  local names = {}
  for name in value:gmatch("[^,;]+") do
    name = name:match("^%s*(.-)%s*$")
    if name ~= "" then names[#names + 1] = name end
  end
  if #names == 0 then problem(("%s '%s': no name in it"):format(catalogue.noun, value), value) end
  return names
end

-- Puts the things of one side into the ask; `direction` is what happens to them.
local function take_side(catalogue, ask, side, direction, names, problem)
  local list = ask[direction]
  for _, name in ipairs(names) do
    local thing, message, candidates = catalogue:find(name)
    if not thing then
      problem(message, name, candidates)
    elseif not ask.side_of[thing] then
      ask.side_of[thing] = side
      list[#list + 1] = thing
    elseif ask.side_of[thing] ~= side then
      problem(("%s '%s' is in `%s` and in `%s`")
        :format(catalogue.noun, name, ask.side_of[thing], side), name)
    end
  end
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local function take_replacements(catalogue, ask, replace, problem)
  local names = sorted_keys(replace)
  local froms = { remove = {}, side_of = ask.side_of }
  for _, from in ipairs(names) do
    local known = #froms.remove
    take_side(catalogue, froms, "replace", "remove", { from }, problem)
    if catalogue:find(from) and not froms.remove[known + 1] then
      problem(("%s '%s' is replaced twice"):format(catalogue.noun, from), from)
    end
    local into, message, candidates = catalogue:find(replace[from])
    if not into then
      problem(message, replace[from], candidates)
    elseif froms.remove[known + 1] then
      ask.replace[#ask.replace + 1] = { from = froms.remove[known + 1], into = into }
    end
  end
  for _, pair in ipairs(ask.replace) do
    if ask.side_of[pair.into] then
      problem(("%s '%s' shall come in place of '%s', but the job names it elsewhere, too")
        :format(catalogue.noun, pair.into.label, pair.from.label), pair.into.label)
    end
  end
end

-- "add\0AUDITOR\0…": wishes that are spelled alike have the same key.
local function spelling_of(given, sides)
  local words = {}
  for _, side in ipairs(sides) do
    local value = given[side]
    if value ~= nil then
      words[#words + 1] = side
      if type(value) == "string" then
        words[#words + 1] = value
      elseif side == "replace" then
        for _, from in ipairs(sorted_keys(value)) do
          words[#words + 1] = from
          words[#words + 1] = value[from]
        end
      else
        for _, name in ipairs(value) do words[#words + 1] = name end
      end
      words[#words + 1] = ""
    end
  end
  return table.concat(words, "\0")
end

-- Wishes that mean the same have the same key, however they are spelled.
local function meaning_of(ask)
  local function ids(list)
    local sorted = {}
    for n, thing in ipairs(list or {}) do sorted[n] = thing.id end
    table.sort(sorted)
    return table.concat(sorted, "\0")
  end
  local pairs_of = {}
  for n, pair in ipairs(ask.replace) do pairs_of[n] = pair.from.id .. "\0" .. pair.into.id end
  table.sort(pairs_of)
  return table.concat({
    ids(ask.add), ids(ask.remove), ask.set and "=" .. ids(ask.set) or "",
    table.concat(pairs_of, "\0\0"),
  }, "\n")
end

--- What `given` asks for: `add`, `remove` and `replace` are lists of things, `set` is nil or the
--- list of exactly those that shall be held. The same wishes give the same object.
--- @param given table { add =, remove =, set =, replace = } of names
--- @param sides table the names of these that count
--- @param problem function is called with each message, name and candidates
--- @return table ask
function Catalogue:ask(given, sides, problem)
  local spelling, understood = spelling_of(given, sides), true
  if self.spellings[spelling] then return self.spellings[spelling] end
  local function complain(...)
    understood = false
    problem(...)
  end
  local ask = { add = {}, remove = {}, replace = {}, side_of = {} }
  for _, side in ipairs(sides) do
    local value = given[side]
    if value ~= nil and side == "replace" then
      take_replacements(self, ask, value, complain)
    elseif value ~= nil then
      local direction = side == "remove" and "remove" or "add"
      take_side(self, ask, side, direction, names_of(self, value, complain), complain)
    end
  end
  if given.set ~= nil then ask.set, ask.add = ask.add, {} end
  if not understood then return ask end -- and complain again the next time
  local meaning = meaning_of(ask)
  ask = self.asks[meaning] or ask
  self.asks[meaning], self.spellings[spelling] = ask, ask
  return ask
end

--- An ask for things that are no names: those of a verb without sides.
function Catalogue:fixed(sides)
  local ask = { add = sides.add or {}, remove = sides.remove or {}, replace = {} }
  self.asks[#self.asks + 1] = ask
  return ask
end

--- All things that any ask is about, by id. What is none of them is nobody's business.
function Catalogue:concerned()
  local concerned = {}
  for _, ask in pairs(self.asks) do
    if ask.set then return self.by_id end
    for _, list in ipairs { ask.add, ask.remove } do
      for _, thing in ipairs(list) do concerned[thing.id] = thing end
    end
    for _, pair in ipairs(ask.replace) do
      concerned[pair.from.id], concerned[pair.into.id] = pair.from, pair.into
    end
  end
  return concerned
end

--- The things that some ask may take away.
function Catalogue:removable()
  local list = {}
  for _, ask in pairs(self.asks) do
    if ask.set then return self.things end
    for _, thing in ipairs(ask.remove) do list[#list + 1] = thing end
    for _, pair in ipairs(ask.replace) do list[#list + 1] = pair.from end
  end
  return list
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
  local held, add, remove = {}, {}, {}
  for _, thing in ipairs(before) do held[thing.id] = true end
  local function give(thing)
    if not held[thing.id] then add[#add + 1], held[thing.id] = thing, true end
  end
  local function take(thing)
    if held[thing.id] then remove[#remove + 1], held[thing.id] = thing, nil end
  end
  if ask.set then
    local wanted = {}
    for _, thing in ipairs(ask.set) do wanted[thing.id] = true end
    for _, thing in ipairs(before) do
      if not wanted[thing.id] then take(thing) end
    end
    for _, thing in ipairs(ask.set) do give(thing) end
    return add, remove
  end
  for _, thing in ipairs(ask.remove) do take(thing) end
  for _, pair in ipairs(ask.replace) do
    if held[pair.from.id] then
      take(pair.from)
      give(pair.into)
    end
  end
  for _, thing in ipairs(ask.add) do give(thing) end
  return add, remove
end

return M
