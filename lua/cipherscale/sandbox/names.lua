-- SPDX-License-Identifier: MIT
--
-- Checks that every part of the sandbox makes on what users write: unknown names with the nearest
-- known one, types, ranges. A problem is raised as { usage = text }; who calls adds the function.

local M = {}

local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

--- The known name nearest to a mistyped one, or nil when none is near.
function M.nearest(name, known)
  local best, least = nil, math.max(2, math.floor(#name / 3)) + 1
  for _, candidate in ipairs(known) do
    local d = distance(name:lower(), candidate:lower())
    if d < least then best, least = candidate, d end
  end
  return best
end

--- The names of a table, sorted.
function M.sorted(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = tostring(name) end
  table.sort(names)
  return names
end

--- Raises a usage problem.
function M.bad(text, ...)
  error({ usage = select("#", ...) > 0 and text:format(...) or text }, 0)
end

--- Raises unless every name of `t` is a name of `known` (a table keyed by name).
function M.check(t, known, what, kind)
  for name in pairs(t) do
    if known[name] == nil then
      local names = M.sorted(known)
      local near = type(name) == "string" and M.nearest(name, names)
      M.bad("%sunknown %s '%s'; %s", what == "" and "" or what .. ": ", kind, tostring(name),
        near and ("did you mean '%s'?"):format(near) or "known: " .. table.concat(names, ", "))
    end
  end
end

--- Raises unless `value` has the type; returns it.
function M.typed(value, expected, what)
  if type(value) ~= expected then M.bad("%s: %s expected, got %s", what, expected, type(value)) end
  return value
end

--- Raises unless `value` is a number (a whole one, if asked) of at least `least`; returns it.
function M.number(value, least, what, whole)
  if type(value) ~= "number" or value ~= value or value < least or value == math.huge
    or whole and value % 1 ~= 0 then
    M.bad("%s: %s of at least %s expected, got %s", what, whole and "whole number" or "number",
      tostring(least), type(value) == "number" and tostring(value) or type(value))
  end
  return value
end

--- Raises unless `value` is one of the words; returns it.
function M.word(value, words, what)
  for _, word in ipairs(words) do
    if value == word then return value end
  end
  M.bad("%s: '%s' expected, got %s", what, table.concat(words, "' or '"),
    type(value) == "string" and "'" .. value .. "'" or tostring(value))
end

return M
