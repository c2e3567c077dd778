-- SPDX-License-Identifier: MIT
--
-- What a person holds is a set of ids; a change adds things to it and removes some. Pure.

local M = {}

--- A change that changes nothing.
M.NOTHING = { add = {}, remove = {} }

--- The ids or labels of a list of things; where a set is given, of those alone that are in it.
function M.each(things, name, set)
  local list = {}
  for _, thing in ipairs(things) do
    if not set or set[thing.id] then list[#list + 1] = thing[name] end
  end
  return list
end

-- What accounts lack in their states: access, or an invitation that was accepted.
local LACKS = {
  deactivated = "access", inactive = "access",
  pending = "invitation", invited = "invitation", expired = "invitation",
}

--- What keeps a user from acting: "access", "invitation", or nil.
function M.lacks(user) return LACKS[tostring(user.status):lower()] end

--- What has an id in a list that the service gave, which may hold anything; or nil, err.
function M.known(things, err)
  if not things then return nil, err end
  local list = {}
  for _, thing in ipairs(things) do
    if type(thing) == "table" and type(thing.id) == "string" then list[#list + 1] = thing end
  end
  return list
end

--- A list of things as a set of ids; the values say what to call them.
function M.of(things)
  local set = {}
  for _, thing in ipairs(things) do
    set[thing.id] = thing.label or thing.type or thing.name or thing.id
  end
  return set
end

--- The set after a change.
function M.apply(set, change)
  for _, thing in ipairs(change.remove) do set[thing.id] = nil end
  for _, thing in ipairs(change.add) do set[thing.id] = true end
  return set
end

--- What a planned change shall lead to.
function M.target(change) return M.apply(M.of(change.before), change) end

-- What is in a set and not in another.
local function minus(set, other)
  local rest = {}
  for id, label in pairs(set) do
    if not other[id] then rest[id] = label end
  end
  return rest
end

--- Are two sets the same?
function M.equal(a, b) return next(minus(a, b)) == nil and next(minus(b, a)) == nil end

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
  for _, side in ipairs { "add", "remove" } do
    for _, thing in ipairs(change[side]) do
      if M.equal(held, set) then return true end
      set[thing.id] = side == "add" or nil
    end
  end
  return M.equal(held, set)
end

--- What two deltas of one change have made of it together.
function M.both(change, a, b)
  return (M.split(M.apply(M.apply(M.of(change.before), a), b), change))
end

--- What was held before and is not any more, although the change does not remove it; or nil.
function M.lost(before, after, change)
  local lost = minus(minus(before, after), M.of(change.remove))
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
