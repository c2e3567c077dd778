-- SPDX-License-Identifier: MIT
--
-- "Did you mean …?": the known names that are closest to one that is not known. Pure.

local M = {}

-- How many letters to insert, drop or exchange to make one of the other; nil beyond `limit`,
-- which ends most comparisons after a few letters.
local function distance(a, b, limit)
  if math.abs(#a - #b) > limit then return nil end
  local previous = {}
  for j = 0, #b do previous[j] = j end
  for i = 1, #a do
    local row, least = { [0] = i }, i
    local letter = a:byte(i)
    for j = 1, #b do
      local cost = letter == b:byte(j) and 0 or 1
      local best = math.min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + cost)
      row[j] = best
      if best < least then least = best end
    end
    if least > limit then return nil end
    previous = row
  end
  return previous[#b] <= limit and previous[#b] or nil
end

--- The nearest of the known names, up to three where several are as near; case does not count.
function M.find(name, known)
  local word = name:lower()
  local limit = math.min(3, math.floor(#word / 3) + 1)
  local found = {}
  for _, candidate in ipairs(known) do
    local d = distance(word, candidate:lower(), limit)
    if d then found[#found + 1] = { name = candidate, distance = d } end
  end
  table.sort(found, function(x, y)
    if x.distance ~= y.distance then return x.distance < y.distance end
    return x.name < y.name
  end)
  local names = {}
  for n, near in ipairs(found) do
    if n > 3 or near.distance > found[1].distance then break end
    names[n] = near.name
  end
  return names
end

--- " (nearest: a, b)", or where nothing is near, " (there are: a, b, c)", or nothing.
--- @param all? table the known names
function M.hint(names, all)
  local list = #names > 0 and names or all or {}
  if #list == 0 then return "" end
  return (" (%s: %s)"):format(list == names and "nearest" or "there are", table.concat(list, ", "))
end

--- A sentence about a name that is not among the known ones, else nil.
function M.unknown(what, name, known)
  for _, candidate in ipairs(known) do
    if candidate == name then return nil end
  end
  local close = type(name) == "string" and M.find(name, known)[1]
  local hint = close and ("did you mean '%s'?"):format(close)
    or "known: " .. (#known > 0 and table.concat(known, ", ") or "none")
  return ("unknown %s '%s' (%s)"):format(what, tostring(name), hint)
end

return M
