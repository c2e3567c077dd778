-- SPDX-License-Identifier: MIT
-- What most specs begin with: a client for a server, the text of an error that is raised, and a
-- child process that runs Lua code with this one's search paths. Knows nothing of the API.

local M = {}

--- The API key of the specs: found easily wherever it must not be.
M.key = "Test-Key-0123456789-abcdefghij"

--- Makes a client for a server (anything with `url`); `options` go before these settings.
---@param server table
---@param options? table
---@return userdata client
function M.client(server, options)
  local merged = { api_key = M.key, base_url = server.url }
  for name, value in pairs(options or {}) do merged[name] = value end
  return require("cipherscale").new(merged)
end

--- The message that `fn(...)` raises, without the place in front of it. Fails if there is none.
---@return string message
function M.message_of(fn, ...)
  local ok, message = pcall(fn, ...)
  if ok then error("an error was expected, and none was raised", 2) end
  if type(message) ~= "string" then
    error("a message was expected, and a " .. type(message) .. " was raised: "
      .. tostring(message), 2)
  end
  return (message:gsub("^[^\n]-:%d+: ", "", 1))
end

--- Fails where `part` is not in `text`.
function M.contains(part, text)
  if not text:find(part, 1, true) then error(("%q is not in %q"):format(part, text), 2) end
end

--- Calls `try(seconds)` with more and more seconds, until it gives true: for what happens within a
--- time where the machine is not too busy.
---@param seconds number the first try's
---@param try fun(seconds: number): boolean
function M.patiently(seconds, try)
  for _ = 1, 8 do
    if try(seconds) then return end
    seconds = seconds * 2
  end
  error(("not even within %g seconds"):format(seconds / 2), 2)
end

local function quote(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

-- A shell's lines before a script is run: its variables, with this process' search paths.
local function exports(env)
  local lines = { "unset CIPHERSCALE_API_KEY CIPHERSCALE_BASE_URL" }
  local function export(name, value)
    lines[#lines + 1] = ("export %s=%s"):format(name, quote(value))
  end
  export("LUA_PATH", package.path)
  export("LUA_CPATH", package.cpath)
  for name, value in pairs(env or {}) do export(name, value) end
  return table.concat(lines, "\n") .. "\n"
end

local function file_of(script)
  return quote(require("spec.support.scratch").file(script, ".lua"))
end

--- Starts a script in a child, with the same search paths and none of the client's variables, and
--- goes on; whatever uses more than 20 s of the processor is ended.
---@param script string
---@param env? table<string, string> further variables
---@return table child with `pid` and `pipe`, which gives both streams; give it to end_lua at last
function M.start_lua(script, env)
  local pipe = assert(io.popen(("%sulimit -t 20\necho $$\nexec lua5.4 %s 2>&1"):format(exports(env),
    file_of(script))))
  return { pipe = pipe, pid = tonumber(pipe:read "*l") }
end

--- Ends a child of start_lua, where it has not ended.
function M.end_lua(child)
  -- Until close, its number is nobody else's.
  require("spec.support.process").kill(child.pid)
  child.pipe:close()
end

--- Runs a script in a child with the same search paths and none of the client's variables.
---@param script string
---@param env? table<string, string> further variables
---@return string output both streams
---@return integer code the exit code; of a signal, its number and 128
function M.run_lua(script, env)
  local pipe = assert(io.popen(("%slua5.4 %s 2>&1"):format(exports(env), file_of(script))))
  local output = pipe:read("*a")
  local _, how, code = pipe:close()
  return output, how == "signal" and code + 128 or code
end

return M
