-- SPDX-License-Identifier: MIT
-- How the rows of whole_api_spec.lua look at lists.

local M = {}

--- The ids of a list's items, in one text.
function M.ids(list)
  local found = {}
  for i, item in ipairs(list) do found[i] = item.id end
  return table.concat(found, " ")
end

--- The item of a list that has this id, or nil.
function M.find(list, id)
  for _, item in ipairs(list) do
    if item.id == id then return item end
  end
end

return M
