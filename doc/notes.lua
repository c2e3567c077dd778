-- SPDX-License-Identifier: MIT
-- What the contract's notes (x-note) say to whoever calls an operation. They were written for
-- whoever reads the contract, so sentences about how the documentation was read are left out.

local M = {}

-- How such sentences begin, and those that the client has an answer to.
local NOT_SHOWN = {
  "Exact success code not visible", "The operationId is not visible",
  "The path id is shown without", "The page renders a single object",
  "The renderer leaves out", "An older page shows", "Older stored pages", "PATCH here",
  "Inline and unnamed", "Contradiction: the seed", "Without it the group is",
  "The body is marked optional here",
  "Both arrays are required", -- a list that is left out is sent as []
  "Operators named in the text", -- they have a chapter of their own
}

local function is_shown(sentence)
  for _, beginning in ipairs(NOT_SHOWN) do
    if sentence:find(beginning, 1, true) == 1 then return false end
  end
  return true
end

--- The sentences that are for callers of the notes of an operation and its body; nil for none.
---@param operation table As the contract has it.
---@param body table? Likewise.
---@return string?
function M.of(operation, body)
  local shown = {}
  local text = (operation["x-note"] or "") .. "\n" .. (body and body["x-note"] or "")
  for sentence in text:gsub("%. (%u)", ".\n%1"):gmatch "[^\n]+" do
    if is_shown(sentence) then shown[#shown + 1] = sentence end
  end
  return #shown > 0 and table.concat(shown, " ") or nil
end

return M
