-- SPDX-License-Identifier: MIT
--
-- Shows how far a bulk job is: a bar on a terminal, a plain line now and then where the output
-- goes into a file or a pipe. Pass what it returns as `on_progress` to plan:apply.

local M = {}

local BAR_WIDTH = 30

-- The shell can tell without any library; where there is no shell, plain lines are right.
local function is_terminal(descriptor)
  local ok = os.execute(("test -t %d 2>/dev/null"):format(descriptor))
  return ok == true or ok == 0
end

local function describe(progress)
  local text = ("%d of %d, %d failed, %.0f a second")
    :format(progress.done, progress.total, progress.failed, progress.rate)
  if progress.eta and progress.done < progress.total then
    text = ("%s, %.0f s left"):format(text, progress.eta)
  end
  return text
end

local function bar(progress)
  local share = progress.total > 0 and progress.done / progress.total or 1
  local full = math.floor(share * BAR_WIDTH + 0.5)
  local ending = progress.done == progress.total and "\n" or ""
  -- ESC [ K clears what an earlier, longer line has left.
  io.stdout:write(("\r  [%s%s] %s\27[K%s"):format(
    ("#"):rep(full), ("-"):rep(BAR_WIDTH - full), describe(progress), ending))
  io.stdout:flush()
end

-- A line at every quarter of the way.
local function lines()
  local quarter = 0
  return function(progress)
    local reached = math.floor(4 * progress.done / math.max(progress.total, 1))
    if reached > quarter or progress.done == progress.total then
      quarter = reached
      print("  " .. describe(progress))
    end
  end
end

--- An `on_progress` that fits where the standard output goes.
function M.new()
  return is_terminal(1) and bar or lines()
end

return M
