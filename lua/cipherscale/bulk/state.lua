-- SPDX-License-Identifier: MIT
--
-- What a person holds, as a set of ids, before and after a change. Pure.

local M = {}

--- A change that changes nothing.
M.NOTHING = { add = {}, remove = {} }

--- The ids of things.
function M.ids(things)
  local list = {}
  for n, thing in ipairs(things) do list[n] = thing.id end
  return list
end

--- Does a change change nothing?
function M.nothing(change) return #change.add + #change.remove == 0 end

--- A list of things as a set of ids.
function M.of(things)
  local set = {}
  for _, thing in ipairs(things) do set[thing.id] = true end
  return set
end

--- The set after a change, which may be nil.
function M.apply(set, change)
  if not change then return set end
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

--- The part of a planned change that is still to be made for somebody who holds `held`.
function M.missing(held, target, change)
  local rest = { before = change.before, add = {}, remove = {} }
  for _, thing in ipairs(change.add) do
    if target[thing.id] and not held[thing.id] then rest.add[#rest.add + 1] = thing end
  end
  for _, thing in ipairs(change.remove) do
    if held[thing.id] then rest.remove[#rest.remove + 1] = thing end
  end
  return rest
end

--- Is `held` what the first requests of a change lead to, where each thing takes one?
function M.on_the_way(held, change)
  local set = M.of(change.before)
  for _, thing in ipairs(change.add) do
    if M.equal(held, set) then return true end
    set[thing.id] = true
  end
  for _, thing in ipairs(change.remove) do
    if M.equal(held, set) then return true end
    set[thing.id] = nil
  end
  return M.equal(held, set)
end

--- Two deltas of one change together.
function M.both(a, b)
  local all = { add = {}, remove = {} }
  for _, side in ipairs { "add", "remove" } do
    local seen = {}
    for _, delta in ipairs { a, b } do
      for _, thing in ipairs(delta[side]) do
        if not seen[thing.id] then
          seen[thing.id] = true
          all[side][#all[side] + 1] = thing
        end
      end
    end
  end
  return all
end

--- The part of a planned change that has been made, as somebody who holds `held` shows.
function M.made(held, change)
  local made = { add = {}, remove = {} }
  for _, thing in ipairs(change.add) do
    if held[thing.id] then made.add[#made.add + 1] = thing end
  end
  for _, thing in ipairs(change.remove) do
    if not held[thing.id] then made.remove[#made.remove + 1] = thing end
  end
  return made
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
