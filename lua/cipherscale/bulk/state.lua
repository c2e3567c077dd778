-- SPDX-License-Identifier: MIT
--
-- What a person holds is a set of ids; a change adds things to it and removes some. Pure.

local M = {}

--- A change that changes nothing.
M.NOTHING = { add = {}, remove = {} }

--- A list of things as a set of ids; the values say what to call them.
function M.of(things)
  local set = {}
  for _, thing in ipairs(things) do
    set[thing.id] = thing.label or thing.type or thing.name or thing.id
  end
  return set
end

--- The ids of things, as a list; where a set is given, of those alone that are in it.
function M.ids(things, set)
  local list = {}
  for _, thing in ipairs(things) do
    if not set or set[thing.id] then list[#list + 1] = thing.id end
  end
  return list
end

--- The set after a change.
function M.apply(set, change)
  for _, thing in ipairs(change.remove) do set[thing.id] = nil end
  for _, thing in ipairs(change.add) do set[thing.id] = true end
  return set
end

--- What a planned change shall lead to.
function M.target(change) return M.apply(M.of(change.before), change) end

--- Are two sets the same?
function M.equal(a, b)
  for id in pairs(a) do
    if not b[id] then return false end
  end
  for id in pairs(b) do
    if not a[id] then return false end
  end
  return true
end

--- The part of a change that has been made, as somebody who holds `held` shows, and the rest.
function M.split(held, change)
  local made, rest = { add = {}, remove = {} }, { add = {}, remove = {} }
  for _, thing in ipairs(change.add) do
    table.insert(held[thing.id] and made.add or rest.add, thing)
  end
  for _, thing in ipairs(change.remove) do
    table.insert(held[thing.id] and rest.remove or made.remove, thing)
  end
  return made, rest
end

--- Is `held` what the first requests of a change lead to, where each thing takes one?
function M.on_the_way(held, change)
  local set = M.of(change.before)
  if M.equal(held, set) then return true end
  for _, side in ipairs { "add", "remove" } do
    for _, thing in ipairs(change[side]) do
      set[thing.id] = side == "add" or nil
      if M.equal(held, set) then return true end
    end
  end
  return false
end

--- Two deltas of one change together.
function M.both(a, b)
  local all = {}
  for _, side in ipairs { "add", "remove" } do
    all[side] = { table.unpack(a[side]) }
    local seen = M.of(a[side])
    for _, thing in ipairs(b[side]) do
      if not seen[thing.id] then table.insert(all[side], thing) end
    end
  end
  return all
end

--- What was held before and is not any more, although the change does not remove it; or nil.
function M.lost(before, after, change)
  local removed, lost = M.of(change.remove), {}
  for id, label in pairs(before) do
    if not after[id] and not removed[id] then lost[id] = label end
  end
  return next(lost) and lost or nil
end

--- A set in words: the labels, in order. Its values may be labels.
function M.words(set, header)
  local labels = {}
  for id, label in pairs(set) do
    local thing = header.by_id[id]
    labels[#labels + 1] = thing and thing.label or label ~= true and label or id
  end
  table.sort(labels)
  return #labels > 0 and table.concat(labels, " ") or "nothing"
end

return M
