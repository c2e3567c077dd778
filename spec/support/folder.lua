-- SPDX-License-Identifier: MIT
-- A temporary folder in which shell commands run as a user of this checkout would run them: lua5.4
-- finds the modules, examples/ is there, and none of the client's variables is set by itself.

local lfs = require "lfs"
local scratch = require "spec.support.scratch"

local M = {}

local function quote(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end
M.quote = quote

local function root()
  local pipe = assert(io.popen "pwd")
  local path = pipe:read "l"
  pipe:close()
  return path
end

-- Search paths that hold in any folder.
local function absolute(paths, here)
  return (paths:gsub("[^;]+", function(path)
    return path:sub(1, 1) == "/" and path or here .. "/" .. path
  end))
end

local Folder = {}
Folder.__index = Folder

--- Makes an empty folder, but for examples/.
function M.new()
  local path, here = scratch.folder(), root()
  assert(lfs.link(here .. "/examples", path .. "/examples", true))
  return setmetatable({
    path = path,
    env = { LUA_PATH = absolute(package.path, here), LUA_CPATH = absolute(package.cpath, here) },
  }, Folder)
end

--- A command for io.popen that runs `command` in the folder.
--- @param env? table<string, string> further variables
function Folder:command(command, env)
  local lines = { "cd " .. quote(self.path), "unset CIPHERSCALE_API_KEY CIPHERSCALE_BASE_URL" }
  for _, variables in ipairs { self.env, env or {} } do
    for name, value in pairs(variables) do
      lines[#lines + 1] = ("export %s=%s"):format(name, quote(value))
    end
  end
  lines[#lines + 1] = command
  return table.concat(lines, "\n")
end

--- Runs a command to its end; gives what it wrote and its exit status.
function Folder:run(command, env)
  local pipe = assert(io.popen(self:command("{ " .. command .. "\n} 2>&1", env)))
  local output = pipe:read "a"
  local _, _, status = pipe:close()
  return output, status
end

--- Writes a file into it.
function Folder:write(name, text) scratch.write(self.path .. "/" .. name, text) end

return M
