-- SPDX-License-Identifier: MIT
--
-- Shows how far a bulk job is: a bar on a terminal, a plain line now and then where the output
-- goes into a file or a pipe. Pass what `new` returns as `on_progress` to plan:apply, and call its
-- `finish` afterwards: a job that was stopped leaves the cursor in the middle of a line.

local M = {}

local BAR_WIDTH = 30

--- Is 0 (input), 1 (output) or 2 (errors) a terminal? The shell can tell without any library; where
--- there is no shell, plain lines are right.
function M.is_terminal(descriptor)
  local ok = os.execute(("test -t %d 2>/dev/null"):format(descriptor))
  return ok == true or ok == 0
end

local function describe(progress)
  local text = ("%d of %d, %d failed, %.0f a second")
    :format(progress.done, progress.total, progress.failed, progress.rate)
  if progress.waiting_until then
    return text .. os.date(", waits until %H:%M:%S", progress.waiting_until)
  end
  if progress.eta and progress.done < progress.total then
    text = ("%s, %.0f s left"):format(text, progress.eta)
  end
  return text
end

local Bar = {}
Bar.__index = Bar

function Bar:__call(progress)
  local share = progress.total > 0 and progress.done / progress.total or 1
  local full = math.floor(share * BAR_WIDTH + 0.5)
  -- ESC [ K clears what an earlier, longer line has left.
  io.stdout:write(("\r  [%s%s] %s\27[K"):format(
    ("#"):rep(full), ("-"):rep(BAR_WIDTH - full), describe(progress)))
  io.stdout:flush()
  self.open = true
end

function Bar:finish()
  if self.open then print() end
  self.open = false
end

-- A line at every quarter of the way.
local Lines = {}
Lines.__index = Lines

function Lines:__call(progress)
  local reached = math.floor(4 * progress.done / math.max(progress.total, 1))
  if reached > self.quarter or progress.done == progress.total then
    self.quarter = reached
    print("  " .. describe(progress))
  end
end

function Lines:finish() self.quarter = 0 end

--- An `on_progress` that fits where the standard output goes.
function M.new()
  if M.is_terminal(1) then return setmetatable({ open = false }, Bar) end
  return setmetatable({ quarter = 0 }, Lines)
end

return M
