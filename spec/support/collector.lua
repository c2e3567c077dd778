-- SPDX-License-Identifier: MIT
-- busted's helper in `make asan`: the collector never rests (a cycle begins where the last one
-- ended) and every spec ends with two full collections, the second for what the finalisers of the
-- first let go. What is freed too early, or never, shows under the sanitizer.
local busted = require "busted"

if not pcall(collectgarbage, "incremental", 1, 150, 6) then
  collectgarbage("setpause", 0)
  collectgarbage("setstepmul", 150)
end

busted.subscribe({ "test", "end" }, function()
  collectgarbage()
  collectgarbage()
  return nil, true
end)
