-- SPDX-License-Identifier: MIT
--
-- How plans and reports put things for people to read. Everything that came from outside
-- passes through clean(): a name must not be able to move the cursor of a terminal.

local core = require "cipherscale.core"
local csv = require "cipherscale.csv"
local state = require "cipherscale.bulk.state"

local M = {}

--- Control characters, also those beyond ASCII (U+0080 to U+009F), become question marks.
function M.clean(text) return (tostring(text):gsub("%c", "?"):gsub("\194[\128-\159]", "?")) end

--- The beginning of a long text.
function M.short(text)
  text = M.clean(text)
  return #text <= 160 and text or text:sub(1, 157):gsub("[\192-\255]?[\128-\191]*$", "") .. "…"
end

--- 1234567 → "1,234,567"
function M.number(n)
  return (("%d"):format(n):reverse():gsub("%d%d%d", "%0,"):reverse():gsub("^,", ""))
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

--- "line 7", as a plan or a report counts.
function M.place(of, person) return ("%s %d"):format(of.header.word, person.line) end

--- "2026-11-24 18:20:12 UTC", or "… UTC by ann"
function M.time(seconds, who)
  return os.date("!%Y-%m-%d %H:%M:%S UTC", seconds) .. (who and " by " .. M.clean(who) or "")
end

--- What changes: "+ AUDITOR - SUPPORT"
function M.change(change)
  local words = {}
  local function say(sign, things)
    for _, thing in ipairs(things) do words[#words + 1] = sign .. M.clean(thing.label) end
  end
  say("+ ", change.add)
  say("- ", change.remove)
  return table.concat(words, " ")
end

--- Writes rows to a CSV file. Called as the last thing of a method, it raises at the method's
--- caller what is wrong with the path.
--- @param columns table their names; a list is one cell, nothing an empty one
--- @param fields? table what a row calls them, or the position among its `cells`, by these names
function M.to_csv(path, next_row, columns, fields)
  if type(path) ~= "string" then
    error(("bad argument #1 to 'to_csv' (path expected, got %s)"):format(type(path)), 2)
  end
  local book = core.journal.read(path)
  if book then
    book:close()
    error("bad argument #1 to 'to_csv' (that is a journal)", 2)
  end
  return csv.write(path, columns, function()
    local row, cells = next_row(), {}
    for n, name in ipairs(row and columns or {}) do
      local field = fields and fields[name] or name
      local value = row[field] or row.cells and row.cells[field] or ""
      cells[n] = type(value) == "table" and table.concat(value, ", ") or value
    end
    return row and cells
  end)
end

--- A person as plans and reports give them to their users.
function M.row(person)
  local change = person.change
  return {
    user = person.user, email = person.email, line = person.line,
    add = state.each(change.add, "label"), remove = state.each(change.remove, "label"),
    before = state.each(change.before, "label"),
  }
end

-- In letters, not bytes.
local function width(cell) return select(2, cell:gsub("[^\128-\191]", "")) end

--- Adds to `lines` a heading, if given, and the first of a list, `most` of them, each as a row
--- of cells, the columns aligned, and how many there are beside them; nothing where there are none.
--- @param row_of? function gives the cells; else they are what the list holds
--- @param total? number how many there are in all, where that is not the whole list
function M.list(lines, heading, list, most, row_of, total)
  if #list == 0 then return end
  local rows, widths, left = {}, {}, (total or #list) - most
  for n = 1, math.min(#list, most) do
    rows[n] = row_of and row_of(list[n]) or list[n]
    for c, cell in ipairs(rows[n]) do widths[c] = math.max(widths[c] or 0, width(cell)) end
  end
  lines[#lines + 1] = heading
  for _, row in ipairs(rows) do
    local line = ""
    for c, cell in ipairs(row) do
      line = line .. "  " .. cell .. (" "):rep(c < #row and widths[c] - width(cell) or 0)
    end
    lines[#lines + 1] = line
  end
  if left > 0 then lines[#lines + 1] = ("  and %s more"):format(M.number(left)) end
end

return M
