-- SPDX-License-Identifier: MIT
-- The one place for what specs write: a folder of its own for each spec file, with paths, files
-- and folders in it. It goes, with all that is there, when the file's last test has ended, however
-- that went; and when this process ends before, killed or not.

local busted = require "busted"
local lfs = require "lfs"

local M = {}

-- The folder is the shell's: it goes when the shell's standard input ends or says a line.
local GUARD = [[trap '' INT TERM HUP
read -r line
rm -rf '%s']]

local root, guard
local count = 0

local function make_root()
  local name = os.tmpname()
  root = name .. ".specs"
  assert(lfs.mkdir(root))
  os.remove(name)
  guard = assert(io.popen(GUARD:format(root), "w"))
  -- Whoever was forked may hold the pipe open: a line is said, and not only its end.
  guard:setvbuf "no"
end

busted.subscribe({ "file", "end" }, function()
  if guard then
    guard:write "\n"
    guard:close()
  end
  root, guard = nil, nil
  return nil, true
end)

--- A path at which there is nothing yet.
---@param suffix? string
---@return string path
function M.path(suffix)
  if not root then make_root() end
  count = count + 1
  return ("%s/%d%s"):format(root, count, suffix or "")
end

--- Makes an empty folder.
---@return string path
function M.folder()
  local path = M.path()
  assert(lfs.mkdir(path))
  return path
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

--- Makes a file with these bytes.
---@return string path
function M.file(bytes, suffix)
  local path = M.path(suffix)
  M.write(path, bytes)
  return path
end

return M
