-- SPDX-License-Identifier: MIT
-- A folder of its own for a spec that writes files, and whole files in one call.

local lfs = require "lfs"

local M = {}

--- Makes an empty folder.
---@return string path
function M.folder()
  local path = os.tmpname()
  os.remove(path)
  assert(lfs.mkdir(path))
  return path
end

--- Removes a folder and the files in it.
---@param path string
function M.remove(path)
  for name in lfs.dir(path) do
    if name ~= "." and name ~= ".." then os.remove(path .. "/" .. name) end
  end
  assert(lfs.rmdir(path))
end

function M.read(path)
  local file = assert(io.open(path, "rb"))
  local bytes = file:read "*a"
  file:close()
  return bytes
end

function M.write(path, bytes)
  local file = assert(io.open(path, "wb"))
  assert(file:write(bytes))
  assert(file:close())
end

return M
