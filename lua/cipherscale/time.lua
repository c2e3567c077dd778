-- SPDX-License-Identifier: MIT
-- ISO 8601 dates as seconds. Pure arithmetic on the proleptic Gregorian calendar: no time zone of
-- the machine, no libc, the same under every Lua.

local M = {}

local DAY = 86400
local DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
local FRACTION_DIGITS = 15 -- more than a double holds

local function is_leap(year)
  return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
end

local function days_in(year, month)
  return month == 2 and is_leap(year) and 29 or DAYS[month]
end

-- Days from 1970-01-01 to that date.
local function days_since_epoch(year, month, day)
  local before = year - 1
  local days = before * 365 + math.floor(before / 4) - math.floor(before / 100)
    + math.floor(before / 400) - 719162
  for i = 1, month - 1 do days = days + days_in(year, i) end
  return days + day - 1
end

-- Hours and minutes, both in digits, as seconds; nil when one is out of range.
local function seconds_of(hours, minutes)
  hours, minutes = tonumber(hours), tonumber(minutes)
  if hours > 23 or minutes > 59 then return nil end
  return hours * 3600 + minutes * 60
end

-- What must be taken off local time; nil for anything but an offset.
local function offset_of(text)
  if text == "Z" or text == "z" then return 0 end
  local sign, hours, minutes = text:match "^([+-])(%d%d):?(%d%d)$"
  if not sign then
    sign, hours = text:match "^([+-])(%d%d)$"
    minutes = "0"
  end
  local seconds = sign and seconds_of(hours, minutes)
  return seconds and (sign == "-" and -seconds or seconds)
end

-- The clock time at the head of a text, as seconds, and what follows it. Second 60 is the one that
-- may be a leap second; 24:00 is the end of the day.
local function clock_of(text)
  local hours, minutes, rest = text:match "^(%d%d):(%d%d)(.*)$"
  if not hours then return nil end
  local second, fraction = "0", 0
  if rest:find "^:" then
    second, rest = rest:match "^:(%d%d)(.*)$"
    if not second then return nil end
    if rest:find "^[.,]" then
      local digits, behind = rest:match "^[.,](%d+)(.*)$"
      if not digits then return nil end
      digits, rest = digits:sub(1, FRACTION_DIGITS), behind
      fraction = tonumber(digits) / 10 ^ #digits
    end
  end
  second = tonumber(second)
  if hours == "24" then
    if minutes ~= "00" or second > 0 or fraction > 0 then return nil end
    return DAY, 0, rest, false
  end
  local seconds = seconds_of(hours, minutes)
  if not seconds or second > 60 then return nil end
  return seconds + second, fraction, rest, second == 60
end

-- Leap seconds stand before the first midnight (UTC) of a half-year; they count as the one behind.
local function may_be_leap(seconds, year)
  for _, date in ipairs { { year, 1 }, { year, 7 }, { year + 1, 1 } } do
    if seconds == days_since_epoch(date[1], date[2], 1) * DAY then return true end
  end
  return false
end

--- The seconds from 1970-01-01 00:00 UTC to an ISO 8601 date, as the service writes them:
--- "2026-03-01T12:30:00.250+01:00". An integer, or a float where there is a fraction; nil for
--- whatever is no such date, a clock time without an offset from UTC among it.
---@param text any
---@return number? seconds
function M.seconds(text)
  if type(text) ~= "string" then return nil end
  local year, month, day, rest = text:match "^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$"
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if not year or month < 1 or month > 12 or day < 1 or day > days_in(year, month) then
    return nil
  end
  local midnight = days_since_epoch(year, month, day) * DAY
  if rest == "" then return midnight end
  if not rest:find "^[Tt]" then return nil end
  local clock, fraction, zone, leap = clock_of(rest:sub(2))
  local offset = clock and offset_of(zone)
  if not offset then return nil end
  local seconds = midnight + clock - offset
  if leap and not may_be_leap(seconds, year) then return nil end
  return fraction > 0 and seconds + fraction or seconds
end

return M
