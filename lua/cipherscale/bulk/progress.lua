-- SPDX-License-Identifier: MIT
--
-- How far a job is: calls back at most ten times a second, and once at the end.

local core = require "cipherscale.core"

local M = {}

-- Seconds between two calls, and those over which the rate is taken: waits belong to it.
local EVERY, RATE_OVER = 0.1, 5

--- @param callback function gets { phase, done, total, changed, failed, rate, eta, waiting_until },
---   times in seconds, rate in people a second
--- @param report table counts as the job goes
--- @return function tell
function M.new(callback, client, report)
  local total = report.to_change
  local samples = { { at = core.now(), done = total - report.waiting } }
  local telling = false -- a callback may wait itself
  return function(final)
    local now, done = core.now(), total - report.waiting
    local early = not final and #samples > 1 and now - samples[#samples].at < EVERY
    if telling or early then return end
    telling = true
    samples[#samples + 1] = { at = now, done = done }
    while #samples > 2 and now - samples[1].at > RATE_OVER do table.remove(samples, 1) end
    local since = samples[1]
    local rate = now > since.at and (done - since.done) / (now - since.at) or 0
    local _, wait = core.pace(client)
    callback {
      phase = "apply", done = done, total = total,
      changed = report.changed, failed = report.failed,
      rate = rate, eta = rate > 0 and (total - done) / rate or nil,
      waiting_until = wait and wait >= 1 and os.time() + math.ceil(wait) or nil,
    }
    telling = false
  end
end

return M
