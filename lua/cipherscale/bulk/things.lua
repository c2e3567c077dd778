-- SPDX-License-Identifier: MIT
--
-- What is meant: finds the things that a job or a single entry names (roles, say) among those of
-- the tenant, by id, by type or by exact name, and says what would change for somebody who holds
-- some of them. Whatever is not known, or could be several, is a problem. Pure.
--
-- An ask is a list of steps. Each takes a thing away (`from`), gives one (`into`), or both: then
-- only to those who hold the first. `exactly` says that nothing else shall be held.

local nearest = require "cipherscale.nearest"
local state = require "cipherscale.bulk.state"
local text = require "cipherscale.bulk.text"

local M = {}

local Catalogue = {}
Catalogue.__index = Catalogue

--- The things of a tenant, with a label each, and the asks that were resolved against them.
--- @param noun string "role"
--- @param things table list of { id, name, type }
function M.catalogue(noun, things)
  -- `called` is what each name could mean: an id, or else a type or an exact name.
  local called, names, listed, by_id, built_in = {}, {}, {}, {}, {}
  local function call(thing, name)
    if type(name) ~= "string" then return end -- some have none
    called[name] = called[name] or {}
    table.insert(called[name], thing)
    -- For hints, AUDITOR and Auditor are one.
    if not listed[name:lower()] then listed[name:lower()], names[#names + 1] = true, name end
  end
  for n, thing in ipairs(things) do
    by_id[thing.id], thing.order = thing, n
    -- A group gives the roles that it has.
    for _, role in ipairs(type(thing.roles) == "table" and thing.roles or {}) do
      thing.gives = thing.gives or {}
      table.insert(thing.gives, type(role) == "table" and role.type or nil)
    end
    local kind = thing.deleteable == false and thing.type
    if kind then built_in[kind] = built_in[kind] == nil and thing end -- false where there are two
  end
  for _, thing in ipairs(things) do
    local kind, name = thing.type, thing.name
    -- Custom roles share the type of a built-in one: it then means the built-in one.
    if (built_in[kind] or thing) == thing then call(thing, kind) end
    if name ~= kind then call(thing, name) end
  end
  for id, thing in pairs(by_id) do called[id] = { thing } end
  for _, thing in ipairs(things) do
    -- Types are the shorter names; they are shown where they are unmistakable.
    local same = called[thing.type] or {}
    local label = #same == 1 and same[1] == thing and thing.type or thing.name or thing.id
    thing.label = thing.label or label
  end
  return setmetatable({
    noun = noun, things = things, by_id = by_id, called = called, names = names, asks = {},
  }, Catalogue)
end

-- The one thing that a name means; nil after a complaint with the name and the candidates.
function Catalogue:find(name, complain)
  local found, candidates = self.called[name] or {}, {}
  if #found == 1 then return found[1] end
  local why
  if #found == 0 then
    candidates = nearest.find(name, self.names)
    why = (": no such %s in this tenant%s"):format(self.noun, nearest.hint(candidates, self.names))
  else
    for n, thing in ipairs(found) do candidates[n] = ("%s = %s"):format(thing.name, thing.id) end
    why = " could be several; say which by its id: " .. table.concat(candidates, ", ")
  end
  complain(("%s '%s'%s"):format(self.noun, name, why), name, candidates)
  return nil
end

-- The names of one side as a list. A CSV cell is one string: a name, or several with commas or
-- semicolons between them, or "none".
function Catalogue:names_in(value, complain)
  if type(value) ~= "string" then return value or {} end
  if self.called[value] then return { value } end
  if value:lower() == "none" then return {} end
  local names = {}
  for name in value:gmatch("[^,;]+") do
    name = name:match("^%s*(.-)%s*$")
    if name ~= "" then names[#names + 1] = name end
  end
  if #names == 0 then complain(("%s '%s': no name in it"):format(self.noun, value), value) end
  return names
end

-- The steps in words, in which things are called by one of their fields.
local function words_of(ask, field)
  local words = {}
  for n, step in ipairs(ask) do
    local from, into = step.from and step.from[field], step.into and step.into[field]
    words[n] = from and into and from .. " -> " .. into or from and "- " .. from
      or (ask.exactly and "" or "+ ") .. into
  end
  return words
end

--- What `given` asks for. The same wishes give the same object, however they are spelled.
--- @param given table { add =, remove =, set =, replace = } of names
--- @param complain function is called with each problem: message, name and candidates
--- @return table ask with `words`: "+ AUDITOR - SUPPORT", "= AUDITOR", "SUPPORT -> AUDITOR"
function Catalogue:ask(given, complain)
  local ask, said = { exactly = given.set ~= nil }, {}
  -- Is this the first that is said of a thing? It may be said again, but nothing else.
  local function say(thing, name, what)
    local before = said[thing]
    said[thing] = before or what
    if said[thing] ~= what then
      complain(("%s '%s' is %s and %s"):format(self.noun, name, before, what), name)
    end
    return not before
  end
  for _, side in ipairs { "add", "remove", "set" } do
    for _, name in ipairs(self:names_in(given[side], complain)) do
      local thing = self:find(name, complain)
      if thing and say(thing, name, ("in `%s`"):format(side)) then
        ask[#ask + 1] = { [side == "remove" and "from" or "into"] = thing }
      end
    end
  end
  local replaced = {}
  for name in pairs(given.replace or {}) do replaced[#replaced + 1] = name end
  table.sort(replaced)
  for _, name in ipairs(replaced) do
    local other = given.replace[name]
    local from, into = self:find(name, complain), self:find(other, complain)
    -- Two things may have the same label, but not the name that was given.
    if from and into and say(from, name, ("replaced by '%s'"):format(other)) then
      say(into, other, "a replacement")
      ask[#ask + 1] = { from = from, into = into }
    end
  end
  local steps, sign = words_of(ask, "order"), ask.exactly and "= " or ""
  table.sort(steps)
  local meaning = sign .. table.concat(steps, " ")
  if not self.asks[meaning] then
    local words = #ask > 0 and table.concat(words_of(ask, "label"), " ") or "none"
    self.asks[meaning], ask.words = ask, sign .. text.clean(words)
  end
  return self.asks[meaning]
end

--- All things that any ask is about, by id; what is none of them is nobody's business.
function Catalogue:concerned()
  local concerned = {}
  for _, ask in pairs(self.asks) do
    if ask.exactly then return self.by_id end
    for _, step in ipairs(ask) do
      for _, thing in pairs(step) do concerned[thing.id] = thing end
    end
  end
  return concerned
end

--- A set of ids as a list of things, in the tenant's order.
function Catalogue:in_order(held)
  local list = {}
  for id in pairs(held) do list[#list + 1] = self.by_id[id] end
  table.sort(list, function(a, b) return a.order < b.order end)
  return list
end

--- What to change for somebody who holds `before` so that the ask is met.
--- @param before table list of things
--- @return table add, table remove
function M.difference(before, ask)
  local held, asked, add, remove = state.of(before), {}, {}, {}
  for _, step in ipairs(ask) do
    local from, into = step.from, step.into
    local meant = not from or held[from.id]
    if from and meant then remove[#remove + 1] = from end
    if into and meant and not held[into.id] then add[#add + 1], held[into.id] = into, true end
    if into then asked[into.id] = true end
  end
  for _, thing in ipairs(ask.exactly and before or {}) do
    if not asked[thing.id] then remove[#remove + 1] = thing end
  end
  return add, remove
end

return M
