-- SPDX-License-Identifier: MIT
--
-- JSON for both sides of the sandbox. It is not lua-cjson, because a strict server must tell `[]`
-- from `{}` and notice a repeated name, and because the sandbox needs nothing but Lua and its own
-- core. Strings keep their bytes. Nothing about the service enters here.

local M = {}

local byte, char, find, sub = string.byte, string.char, string.find, string.sub
local format = string.format
local concat, sort = table.concat, table.sort

local DEEPEST = 64

--- A JSON null, where decode is asked to keep it. Any userdata (cjson.null) is written as null too.
M.null = setmetatable({}, { __tostring = function() return "null" end })

--- The metatable of a list that decode marks; an empty table with it is a list for sure.
M.list = { __name = "cipherscale.sandbox.list" }

--- Is this decoded value a JSON array? (Only where decode was asked to mark lists.)
function M.is_list(value)
  return getmetatable(value) == M.list
end

local ESCAPES = {
  ['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f",
  ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t",
}

local function escape(c)
  return ESCAPES[c] or format("\\u%04x", byte(c))
end

--- Writes one string, with its quotes.
function M.quote(text)
  if find(text, '[%c"\\]') then text = text:gsub('[%c"\\]', escape) end
  return '"' .. text .. '"'
end

local function write_number(value, where)
  if value ~= value or value == math.huge or value == -math.huge then
    error({ usage = where .. ": a finite number expected" }, 0)
  end
  if value % 1 == 0 and value > -2 ^ 53 and value < 2 ^ 53 then return format("%d", value) end
  return format("%.17g", value)
end

local write

local function write_list(value, where, depth)
  local parts = {}
  for i = 1, #value do
    parts[i] = write(value[i], ("%s[%d]"):format(where, i), depth)
  end
  return "[" .. concat(parts, ",") .. "]"
end

local function write_object(value, where, depth)
  local names = {}
  for name in pairs(value) do
    if type(name) ~= "string" then
      error({ usage = ("%s: a list or a table with names expected, not both"):format(where) }, 0)
    end
    names[#names + 1] = name
  end
  sort(names)
  for i, name in ipairs(names) do
    local below = where == "" and name or where .. "." .. name
    names[i] = M.quote(name) .. ":" .. write(value[name], below, depth)
  end
  return "{" .. concat(names, ",") .. "}"
end

function write(value, where, depth)
  local kind = type(value)
  if kind == "string" then return M.quote(value) end
  if kind == "number" then return write_number(value, where) end
  if kind == "boolean" then return tostring(value) end
  if kind == "userdata" or value == M.null then return "null" end
  if kind ~= "table" then
    error({ usage = ("%s: a plain value expected, got %s"):format(where, kind) }, 0)
  end
  if depth > DEEPEST then error({ usage = where .. ": nested too deeply" }, 0) end
  if #value > 0 or next(value) == nil then
    for key in pairs(value) do
      if type(key) ~= "number" or key < 1 or key > #value or key % 1 ~= 0 then
        error({ usage = ("%s: a list without holes and names expected"):format(where) }, 0)
      end
    end
    return write_list(value, where, depth + 1)
  end
  return write_object(value, where, depth + 1)
end

--- Writes a value. An empty table becomes `[]`. Raises { usage = text } on what JSON cannot hold.
--- @param value any
--- @param where? string what the value is called in error texts
--- @return string
function M.encode(value, where)
  return write(value, where or "", 0)
end

-- Reading

local UNESCAPED = {
  ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", f = "\f", n = "\n", r = "\r", t = "\t",
}

local function fail(position, text)
  error({ json = ("%s at position %d"):format(text, position - 1) }, 0)
end

local function utf8_char(code)
  if code < 0x80 then return char(code) end
  if code < 0x800 then return char(0xC0 + (code - code % 64) / 64, 0x80 + code % 64) end
  local low, middle = code % 64, (code - code % 64) / 64 % 64
  if code < 0x10000 then
    return char(0xE0 + (code - code % 4096) / 4096, 0x80 + middle, 0x80 + low)
  end
  local third = (code - code % 4096) / 4096 % 64
  return char(0xF0 + (code - code % 262144) / 262144, 0x80 + third, 0x80 + middle, 0x80 + low)
end

local function read_code(text, position)
  local digits = text:match("^\\u(%x%x%x%x)", position)
  return digits and tonumber(digits, 16)
end

local function read_escaped_code(text, position)
  local code = read_code(text, position)
  if not code then fail(position, "Bad Unicode escape") end
  if code < 0xD800 or code > 0xDFFF then return utf8_char(code), position + 6 end
  local low = code < 0xDC00 and read_code(text, position + 6)
  if not low or low < 0xDC00 or low > 0xDFFF then fail(position, "Unpaired surrogate") end
  return utf8_char(0x10000 + (code - 0xD800) * 1024 + low - 0xDC00), position + 12
end

local function read_long_string(text, position)
  local parts = {}
  while true do
    local stop = find(text, '[%c"\\]', position)
    if not stop then fail(#text + 1, "Unterminated string") end
    parts[#parts + 1] = sub(text, position, stop - 1)
    local c = sub(text, stop, stop)
    if c == '"' then return concat(parts), stop + 1 end
    if c ~= "\\" and c ~= "\127" then fail(stop, "Bad control character in string") end
    local escaped = sub(text, stop + 1, stop + 1)
    if c == "\127" then
      parts[#parts + 1], position = c, stop + 1
    elseif escaped == "u" then
      parts[#parts + 1], position = read_escaped_code(text, stop)
    else
      parts[#parts + 1] = UNESCAPED[escaped] or fail(stop, "Bad escape")
      position = stop + 2
    end
  end
end

local function read_string(text, position)
  local stop = find(text, '[%c"\\]', position)
  if stop and byte(text, stop) == 34 then return sub(text, position, stop - 1), stop + 1 end
  return read_long_string(text, position)
end

local function skip_space(text, position)
  return find(text, "[^ \n\r\t]", position) or #text + 1
end

local function unexpected(text, position)
  if position > #text then fail(position, "Unexpected end of JSON input") end
  fail(position, ("Unexpected token %s in JSON"):format(sub(text, position, position)))
end

local read

local function read_list(text, position, marked, depth)
  local list, n = {}, 0
  if marked then setmetatable(list, M.list) end
  position = skip_space(text, position)
  if byte(text, position) == 93 then return list, position + 1 end
  while true do
    n = n + 1
    list[n], position = read(text, position, marked, depth)
    position = skip_space(text, position)
    local c = byte(text, position)
    if c == 93 then return list, position + 1 end
    if c ~= 44 then unexpected(text, position) end
    position = skip_space(text, position + 1)
  end
end

local function read_object(text, position, marked, depth)
  local object = {}
  position = skip_space(text, position)
  if byte(text, position) == 125 then return object, position + 1 end
  while true do
    if byte(text, position) ~= 34 then unexpected(text, position) end
    local name, value
    local start = position
    name, position = read_string(text, position + 1)
    position = skip_space(text, position)
    if byte(text, position) ~= 58 then unexpected(text, position) end
    value, position = read(text, skip_space(text, position + 1), marked, depth)
    if marked then
      if object[name] ~= nil then fail(start, ("Repeated name %s"):format(M.quote(name))) end
      object[name] = value
    elseif value ~= M.null then
      object[name] = value
    end
    position = skip_space(text, position)
    local c = byte(text, position)
    if c == 125 then return object, position + 1 end
    if c ~= 44 then unexpected(text, position) end
    position = skip_space(text, position + 1)
  end
end

local WORDS = { t = { "true", true }, f = { "false", false }, n = { "null", M.null } }

local function read_number(text, position)
  local from, stop = find(text, "^-?%d+%.?%d*[eE]?[+-]?%d*", position)
  local digits = from and sub(text, from, stop)
  local value = digits and tonumber(digits)
  if not value or find(digits, "^-?0%d") or find(digits, "%.[^%d]") or find(digits, "%.$") then
    unexpected(text, position)
  end
  return value, stop + 1
end

function read(text, position, marked, depth)
  if depth > DEEPEST then fail(position, "Nested too deeply") end
  local c = sub(text, position, position)
  if c == '"' then return read_string(text, position + 1) end
  if c == "{" then return read_object(text, position + 1, marked, depth + 1) end
  if c == "[" then return read_list(text, position + 1, marked, depth + 1) end
  local word = WORDS[c]
  if word and sub(text, position, position + #word[1] - 1) == word[1] then
    return word[2], position + #word[1]
  end
  return read_number(text, position)
end

--- Reads one document. Raises { json = text } on anything else.
--- @param text string
--- @param marked? boolean keep nulls, mark lists, refuse repeated names; else a null is left out
--- @return any
function M.decode(text, marked)
  local value, position = read(text, skip_space(text, 1), marked, 0)
  position = skip_space(text, position)
  if position <= #text then unexpected(text, position) end
  return value
end

return M
