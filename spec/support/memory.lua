-- SPDX-License-Identifier: MIT
-- How much memory a script takes, as the system counts it: what C allocates, too. It runs in a
-- process of its own, where nothing but the script's own doing changes the count.

local helper = require "spec.support.helper"

local M = {
  --- Whether AddressSanitizer's allocator is in use, which cannot grow a block in place.
  sanitized = os.getenv "ASAN_OPTIONS" ~= nil,
}

local PRELUDE = [[
  local function resident()
    collectgarbage()
    collectgarbage()
    for line in io.lines "/proc/self/status" do
      local kilobytes = line:match "VmRSS:%s+(%d+)"
      if kilobytes then return tonumber(kilobytes) * 1024 end
    end
  end
]]

--- The number that a script writes; in it, `resident()` gives the bytes that are in use.
---@param script string
---@return number
function M.measure(script)
  -- AddressSanitizer would keep what has been freed.
  local options = (os.getenv "ASAN_OPTIONS" or "")
    .. ":quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
  local output, code = helper.run_lua(PRELUDE .. script, { ASAN_OPTIONS = options })
  return code == 0 and tonumber(output) or error(output)
end

return M
