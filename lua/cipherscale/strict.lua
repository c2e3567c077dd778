-- SPDX-License-Identifier: MIT
--
-- What the core does for resources, for the objects of the Lua layer: a name that they do not have
-- is a mistake, not nil, and the nearest known one is named.

local nearest = require "cipherscale.nearest"

local M = {}

-- Metamethods are looked for in objects, too; names with two underscores are none of theirs.
local function is_public(name)
  return type(name) == "string" and name:sub(1, 2) ~= "__"
end

-- All words of the lists, sorted.
local function words_of(...)
  local words = {}
  for word in table.concat({ ... }, " "):gmatch "%S+" do words[#words + 1] = word end
  table.sort(words)
  return words
end

--- An `__index` that raises: "unknown method of client.bulk 'rolez' (did you mean 'roles'?)".
--- @param what string "method of client.bulk"
--- @return function
function M.index(what)
  return function(object, name)
    if not is_public(name) then return nil end
    local known = {}
    for other in pairs(object) do
      if is_public(other) then known[#known + 1] = other end
    end
    table.sort(known)
    error(nearest.unknown(what, name, known), 2)
  end
end

--- Has the methods of a class called with their object: raises at the caller else.
--- @param class table their metatable, with all of its methods
--- @param what string "plan"
function M.methods(class, what)
  for name, method in pairs(class) do
    if is_public(name) then
      class[name] = function(self, ...)
        if getmetatable(self) == class then return method(self, ...) end
        error(("call it with a colon: %s:%s(…)"):format(what, name), 2)
      end
    end
  end
end

--- Gives the objects of a class its methods, and an error for a name that is none of theirs. The
--- lists of names have spaces between.
--- @param class table their metatable
--- @param what string "field or method of a plan"
--- @param names string the documented fields and methods
--- @param inner? string other fields that may be nil
function M.class(class, what, names, inner)
  local known, may_be_nil = words_of(names), {}
  for _, name in ipairs(words_of(names, inner)) do may_be_nil[name] = true end
  function class.__index(_, name)
    local value = class[name]
    if value ~= nil or may_be_nil[name] or not is_public(name) then return value end
    error(nearest.unknown(what, name, known), 2)
  end
end

return M
