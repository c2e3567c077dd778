-- SPDX-License-Identifier: MIT
--
-- How plans and reports put things for people to read. Pure. Everything that came from outside
-- passes through clean(): a name must not be able to move the cursor of a terminal.

local M = {}

--- Control characters, also those beyond ASCII (U+0080 to U+009F), become question marks.
function M.clean(text) return (tostring(text):gsub("%c", "?"):gsub("\194[\128-\159]", "?")) end

--- The beginning of a long text.
function M.short(text)
  text = M.clean(text)
  if #text <= 160 then return text end
  return (text:sub(1, 157):gsub("[\192-\255]?[\128-\191]*$", "")) .. "…"
end

--- 1234567 → "1,234,567"
function M.number(n)
  local digits, count = ("%d"):format(n), 1
  while count > 0 do
    digits, count = digits:gsub("^(%d+)(%d%d%d)", "%1,%2")
  end
  return digits
end

--- "1 entry", "1,002 entries"
function M.count(n, singular, plural)
  return M.number(n) .. " " .. (n == 1 and singular or plural)
end

--- "1 person", "2 people"
function M.people(n) return M.count(n, "person", "people") end

--- Seconds as "0.82 s", "42 s", "3 min 20 s" or "2 h 05 min".
function M.duration(seconds)
  if seconds < 10 then return ("%.2f s"):format(seconds) end
  if seconds < 120 then return ("%d s"):format(math.floor(seconds)) end
  if seconds < 7200 then
    return ("%d min %02d s"):format(math.floor(seconds / 60), math.floor(seconds % 60))
  end
  return ("%d h %02d min"):format(math.floor(seconds / 3600), math.floor(seconds % 3600 / 60))
end

--- The shortest name that says who a person is.
function M.who(person) return M.clean(person.email or person.user) end

--- The labels of things, as they are.
function M.label_list(things)
  local list = {}
  for n, thing in ipairs(things) do list[n] = thing.label end
  return list
end

--- "2026-11-24 18:20:12 UTC"
function M.time(seconds) return os.date("!%Y-%m-%d %H:%M:%S UTC", seconds) end

--- What changes: "+ AUDITOR - SUPPORT"
function M.change(change)
  local words = {}
  local function say(sign, thing) words[#words + 1] = sign .. M.clean(thing.label) end
  for _, thing in ipairs(change.add) do say("+ ", thing) end
  for _, thing in ipairs(change.remove) do say("- ", thing) end
  return table.concat(words, " ")
end

--- Raises, at the caller's caller, what is wrong with the path of a CSV file.
function M.check_csv_path(path, journal)
  if type(path) ~= "string" then
    error(("bad argument #1 to 'to_csv' (path expected, got %s)"):format(type(path)), 3)
  elseif path == journal then
    error("bad argument #1 to 'to_csv' (that is the journal)", 3)
  end
end

--- A person as plans and reports give them to their users.
function M.row(person)
  local change = person.change
  return {
    user = person.user, email = person.email, line = person.line,
    add = M.label_list(change.add), remove = M.label_list(change.remove),
    before = M.label_list(change.before),
  }
end

--- Rows of cells as lines, the columns aligned.
function M.columns(rows)
  local widths = {}
  local function width(cell) return select(2, cell:gsub("[^\128-\191]", "")) end
  for _, row in ipairs(rows) do
    for n, cell in ipairs(row) do widths[n] = math.max(widths[n] or 0, width(cell)) end
  end
  local lines = {}
  for r, row in ipairs(rows) do
    local cells = {}
    for n, cell in ipairs(row) do
      cells[n] = n == #row and cell or cell .. (" "):rep(widths[n] - width(cell))
    end
    lines[r] = "  " .. table.concat(cells, "  ")
  end
  return lines
end

--- Adds to `lines` a heading, the rows under it, and how many of `total` they are not; nothing
--- where there are no rows.
function M.list(lines, heading, rows, total)
  if #rows == 0 then return end
  lines[#lines + 1] = heading
  for _, line in ipairs(M.columns(rows)) do lines[#lines + 1] = line end
  if total > #rows then lines[#lines + 1] = ("  and %s more"):format(M.number(total - #rows)) end
end

return M
