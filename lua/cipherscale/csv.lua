-- SPDX-License-Identifier: MIT
--
-- Reads and writes CSV as RFC 4180 has it, one record at a time, from a path or an open file.
-- Strict where a guess could hit the wrong person (quotes, number of fields, encoding), generous
-- where files from spreadsheets differ (byte order mark, CRLF, the separator). A reader owns the
-- file only if it opened it. Nothing about users or the API enters here.

local M = {}

local CHUNK = 64 * 1024
-- One record may not be longer: a stray quote would otherwise swallow the rest of the file.
local LONGEST_RECORD = 1024 * 1024
local BYTE_ORDER_MARK = "\239\187\191"
local SEPARATORS = { ",", ";", "\t" }

local find, sub, byte = string.find, string.sub, string.byte
local QUOTE, NEWLINE = byte('"'), byte("\n")

-- RFC 3629, section 4: the well-formed sequences, by the range of their first byte.
local UTF8_SEQUENCES = {
  { 194, 223, "^.[\128-\191]" },
  { 224, 224, "^.[\160-\191][\128-\191]" },
  { 225, 236, "^.[\128-\191][\128-\191]" },
  { 237, 237, "^.[\128-\159][\128-\191]" },
  { 238, 239, "^.[\128-\191][\128-\191]" },
  { 240, 240, "^.[\144-\191][\128-\191][\128-\191]" },
  { 241, 243, "^.[\128-\191][\128-\191][\128-\191]" },
  { 244, 244, "^.[\128-\143][\128-\191][\128-\191]" },
}

local function sequence_end(text, position)
  local first = byte(text, position)
  for _, row in ipairs(UTF8_SEQUENCES) do
    if first >= row[1] and first <= row[2] then
      local _, last = find(text, row[3], position)
      return last
    end
  end
  return nil
end

-- Where the text stops being UTF-8, if it does. A NUL is no text either (UTF-16 is full of them).
local function invalid_byte(text)
  local position = find(text, "[%z\128-\255]")
  while position do
    local last = sequence_end(text, position)
    if not last then return position end
    position = find(text, "[%z\128-\255]", last + 1)
  end
  return nil
end

-- Any problem is a string error without a position: it names the file's line, not ours. A broken
-- reader stays broken, so that half a list is never believed whole.
local function fail(reader, line, text)
  reader.problem = ("%s%s: %s"):format(reader.name, line and ", line " .. line or "", text)
  error(reader.problem, 0)
end

local function release(reader)
  if reader.file and reader.owned then reader.file:close() end
  reader.file = nil
end

local function refill(reader)
  local chunk, problem = reader.file:read(CHUNK)
  if not chunk then
    if problem then fail(reader, nil, tostring(problem)) end
    release(reader)
    return false
  end
  reader.text = sub(reader.text, reader.position) .. chunk
  reader.position = 1
  return true
end

-- The next physical line and its line end, which belongs to the value inside quotes.
local function next_line(reader)
  local from = reader.position
  while true do
    local stop = find(reader.text, "[\r\n]", from)
    -- A CR at the very end of what was read may be half of a CRLF.
    local certain = stop and (stop < #reader.text or byte(reader.text, stop) == NEWLINE)
    if certain or stop and not reader.file then
      local last = find(reader.text, "^\r\n", stop) and stop + 1 or stop
      local line = sub(reader.text, reader.position, stop - 1)
      reader.position, reader.line = last + 1, reader.line + 1
      return line, sub(reader.text, stop, last)
    end
    if #reader.text - reader.position > LONGEST_RECORD then
      fail(reader, reader.line + 1, "longer than 1 MiB: this is no CSV file")
    end
    local seen = (stop or #reader.text + 1) - reader.position
    if not reader.file or not refill(reader) then
      if reader.position > #reader.text then return nil end
      if not stop then
        local line = sub(reader.text, reader.position)
        reader.position, reader.line = #reader.text + 1, reader.line + 1
        return line, ""
      end
    end
    from = reader.position + seen
  end
end

local function count(text, character)
  local n, position = 0, find(text, character, 1, true)
  while position do
    n, position = n + 1, find(text, character, position + 1, true)
  end
  return n
end

-- A record's text and the line it begins on. Quotes are balanced in any well-formed record, so a
-- record goes on as long as their number is odd; split() says what is wrong with the others.
local function next_record(reader)
  local line, line_end
  repeat
    line, line_end = next_line(reader)
    if not line then return nil end
  until find(line, "[^ ]")
  local first = reader.line
  local open = count(line, '"') % 2 == 1
  if open then
    local parts, size = { line }, #line
    while open and size <= LONGEST_RECORD do
      parts[#parts + 1] = line_end
      line, line_end = next_line(reader)
      if not line then break end
      parts[#parts + 1] = line
      size = size + #line
      open = count(line, '"') % 2 == 0
    end
    line = table.concat(parts)
  end
  local bad = invalid_byte(line)
  if bad then
    -- In a record with line breaks in its quotes it may stand some lines further down.
    local before = count(sub(line, 1, bad):gsub("\r\n?", "\n"), "\n")
    fail(reader, first + before,
      ("not valid UTF-8 (byte 0x%02X); save the file as UTF-8"):format(byte(line, bad)))
  end
  return line, first
end

local function quoted_field(reader, record, line, position)
  local from = position + 1
  while true do
    local close = find(record, '"', from, true)
    if not close then fail(reader, line, "a quoted field has no closing quote") end
    if byte(record, close + 1) ~= QUOTE then
      return (sub(record, position + 1, close - 1):gsub('""', '"')), close + 1
    end
    from = close + 2
  end
end

local function split(reader, record, line)
  local separator = reader.separator
  local fields, n, position = {}, 0, 1
  while true do
    local value, stop
    if byte(record, position) == QUOTE then
      value, stop = quoted_field(reader, record, line, position)
      if stop <= #record and sub(record, stop, stop) ~= separator then
        fail(reader, line, "text after a closing quote; a quote inside a quoted field is doubled")
      end
    else
      stop = find(record, separator, position, true) or #record + 1
      value = sub(record, position, stop - 1)
      if find(value, '"', 1, true) then
        fail(reader, line, "a quote inside a field that is not quoted; quote the whole field")
      end
    end
    n = n + 1
    fields[n] = value
    if stop > #record then return fields, n end
    position = stop + 1
  end
end

-- The separator that the header uses most, outside quotes; a header of one column has none.
local function detect_separator(header)
  local bare = header:gsub('"[^"]*"', "")
  local best, most = SEPARATORS[1], 0
  for _, separator in ipairs(SEPARATORS) do
    local n = count(bare, separator)
    if n > most then best, most = separator, n end
  end
  return best
end

local function check_columns(reader, line, required)
  local known = {}
  for n, name in ipairs(reader.columns) do
    name = name:match("^%s*(.-)%s*$")
    if name == "" then fail(reader, line, ("column %d has no name"):format(n)) end
    if known[name] then fail(reader, line, ("the column '%s' is there twice"):format(name)) end
    known[name], reader.columns[n] = true, name
  end
  local missing = {}
  for _, name in ipairs(required) do
    if not known[name] then missing[#missing + 1] = name end
  end
  if #missing > 0 then
    fail(reader, line, ("column missing: %s (found: %s)")
      :format(table.concat(missing, ", "), table.concat(reader.columns, ", ")))
  end
end

local function read_header(reader, required)
  refill(reader)
  if find(reader.text, "^\255\254") or find(reader.text, "^\254\255") then
    fail(reader, 1, "this is UTF-16; save the file as UTF-8")
  end
  if sub(reader.text, 1, #BYTE_ORDER_MARK) == BYTE_ORDER_MARK then
    reader.position = #BYTE_ORDER_MARK + 1
  end
  local header, line = next_record(reader)
  if not header then fail(reader, 1, "no header: the file is empty") end
  reader.separator = detect_separator(header)
  reader.columns = split(reader, header, line)
  check_columns(reader, line, required)
end

local Reader = { __name = "cipherscale.csv" }
Reader.__index = Reader

--- Ends reading early. A reader that is read to its end closes itself.
function Reader:close()
  if self.file then self.problem = self.name .. ": the reader is closed" end
  release(self)
end

--- The next row, keyed by column name, and the number of the line it begins on; nil at the end.
--- Raises on a malformed record, naming its line.
function Reader:__call()
  if self.problem then error(self.problem, 0) end
  local record, line = next_record(self)
  if not record then return nil end
  local fields, n = split(self, record, line)
  local columns = self.columns
  if n ~= #columns then
    fail(self, line, ("%d fields expected, as in the header, got %d"):format(#columns, n))
  end
  local row = {}
  for i = 1, n do row[columns[i]] = fields[i] end
  return row, line
end

local function check_options(options)
  for name in pairs(options) do
    if name ~= "columns" then
      error(("bad argument #2 to 'csv' (unknown option '%s'; known: columns)")
        :format(tostring(name)), 3)
    end
  end
  if options.columns ~= nil and type(options.columns) ~= "table" then
    error(("bad argument #2 to 'csv' (columns: list of names expected, got %s)")
      :format(type(options.columns)), 3)
  end
end

--- Opens a CSV file for reading, row by row.
--- The first record names the columns and shows the separator: a comma, a semicolon or a tab.
--- @param source string|file* a path, or a file open for reading (which stays the caller's)
--- @param options? { columns: string[] } `columns`: names that must be there
--- @return function|nil reader gives a row (keyed by column) and its line number at each call; it
---   also has the fields `columns` and `separator`
--- @return string|nil problem when the file cannot be read or its header is wrong
function M.open(source, options)
  local owned = type(source) == "string"
  if not owned and not (io.type(source) == "file" or type(source) == "table" and source.read) then
    error(("bad argument #1 to 'csv' (path or open file expected, got %s)")
      :format(io.type(source) or type(source)), 2)
  end
  options = options or {}
  check_options(options)
  local file = source
  if owned then
    local problem
    file, problem = io.open(source, "rb")
    if not file then return nil, problem end
  end
  local reader = setmetatable({
    file = file, owned = owned, name = owned and source or "CSV input",
    text = "", position = 1, line = 0,
  }, Reader)
  local ok, problem = pcall(read_header, reader, options.columns or {})
  if not ok then
    release(reader)
    return nil, problem
  end
  return reader
end

-- Spreadsheets take a cell that begins so for a formula (CWE-1236), also behind a quote.
local function written(cell)
  local value = tostring(cell)
  if type(cell) == "string" and find(cell, "^[=+%-@\t\r]") then value = "'" .. cell end
  if find(value, '[",;\r\n\t]') then value = '"' .. value:gsub('"', '""') .. '"' end
  return value
end

--- Writes a CSV file with commas and CRLF, as RFC 4180 has it.
--- @param path string
--- @param columns string[] the header
--- @param next_cells function gives the cells of the next row, each a string or a number; then nil
--- @return boolean|nil ok
--- @return string|nil problem
function M.write(path, columns, next_cells)
  local file, problem = io.open(path, "wb")
  if not file then return nil, problem end
  local cells = columns
  while cells do
    local line = {}
    for n, cell in ipairs(cells) do line[n] = written(cell) end
    local ok
    ok, problem = file:write(table.concat(line, ","), "\r\n")
    if not ok then
      file:close()
      return nil, problem
    end
    cells = next_cells()
  end
  local ok
  ok, problem = file:close()
  return ok, problem
end

return M
