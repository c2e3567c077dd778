-- SPDX-License-Identifier: MIT
--
-- What the core does for resources, for the objects of the Lua layer: a name that they do not have
-- is a mistake, not nil, and the nearest known one is named.

local nearest = require "cipherscale.bulk.nearest"

local M = {}

-- Metamethods are looked for in objects, too; names with two underscores are none of theirs.
local function is_public(name)
  return type(name) == "string" and name:sub(1, 2) ~= "__"
end

--- An `__index` that raises: "unknown method of client.bulk 'rolez' (did you mean 'roles'?)".
--- @param what string "method of client.bulk"
--- @param optional? string names of fields that may be nil, with spaces between
--- @return function
function M.index(what, optional)
  local fields = {}
  for name in (optional or ""):gmatch "%S+" do fields[name] = true end
  return function(object, name)
    if fields[name] or not is_public(name) then return nil end
    local known = {}
    for other in pairs(object) do
      if is_public(other) then known[#known + 1] = other end
    end
    for other in pairs(fields) do known[#known + 1] = other end
    table.sort(known)
    error(nearest.unknown(what, name, known), 2)
  end
end

return M
