-- SPDX-License-Identifier: MIT
--
-- Lists as operations answer them: filters and sorting, then one page or everything, whichever
-- the contract shows for the operation.

local kinds = require "cipherscale.sandbox.kinds"

local M = {}

-- Filters

--- The field and the operator of a query parameter's name ("filter[name][eq]"), or nil.
function M.filter_name(name)
  local field, operator = name:match("^filter%[([%w_.]+)%]%[(%l+)%]$")
  if field then return field, operator end
  field = name:match("^filter%[([%w_.]+)%]$")
  return field, field and "eq"
end

local function pattern_of(text)
  local parts = {}
  for part in (text:lower() .. "%"):gmatch("(.-)%%") do
    parts[#parts + 1] = (part:gsub("%p", "%%%0"))
  end
  return "^" .. table.concat(parts, ".*") .. "$"
end

local function equal(value, text)
  return tostring(value) == text or type(value) == "number" and value == tonumber(text)
end

-- A number goes by its value, all else by its text; dates sort as their texts do.
local function less(a, b)
  if type(a) == "number" or type(b) == "number" then
    local x, y = tonumber(a), tonumber(b)
    if x and y then return x < y end
  end
  return tostring(a) < tostring(b)
end

local function is_one_of(value, text)
  for part in (text .. ","):gmatch("(.-),") do
    if equal(value, part) then return true end
  end
  return false
end

-- Operator → test of one value, and whether the record is wanted when no value passes.
local OPERATORS = {
  eq = { equal },
  ne = { equal, true },
  gt = { function(value, text) return less(text, value) end },
  gte = { function(value, text) return not less(value, text) end },
  lt = { function(value, text) return less(value, text) end },
  lte = { function(value, text) return not less(text, value) end },
  ilike = {
    function(value, text) return tostring(value):lower():find(pattern_of(text)) ~= nil end,
  },
  ["in"] = { is_one_of },
  nin = { is_one_of, true },
}

-- The kind that a relation leads to, or nil.
local function relation(kind, name)
  local row = kind.links[name] or kind.reverse[name] or kind.derived[name]
  return row and kinds[row[1]]
end

-- The relations of "addresses.protocols.id" and its last field; nil for what does not exist.
local function read_path(state, kind, path)
  local steps, last = {}, path
  for step, rest in path:gmatch("([^.]+)%.(.*)") do
    while step do
      kind = relation(kind, step)
      if not kind then return nil end
      steps[#steps + 1], last = step, rest
      step, rest = rest:match("^([^.]+)%.(.*)$")
    end
  end
  if not state.views:has(kind, last) then return nil end
  return { steps = steps, last = last }
end

local function add_all(list, more)
  if type(more) ~= "table" or more.fields then more = { more } end
  for _, one in ipairs(more) do list[#list + 1] = one end
end

-- All values that a record has under a path.
local function values_of(state, record, path)
  local records = { record }
  for _, step in ipairs(path.steps) do
    local next_ones = {}
    for _, one in ipairs(records) do add_all(next_ones, state:related(one, step)) end
    records = next_ones
  end
  local values = {}
  for _, one in ipairs(records) do
    local shown = one.kind.shown and one.kind.shown(state, one, one.kind.schema) or one.fields
    local value = shown[path.last]
    if value == nil then value = one.fields[path.last] end
    add_all(values, value)
  end
  return values
end

local function compile_filter(state, kind, given, problems)
  local path, operator = read_path(state, kind, given.field), OPERATORS[given.operator]
  if not path or not operator then
    if state.assume.unknown_filter == "reject" then
      problems[#problems + 1] = ("property %s should not exist"):format(given.name)
    end
    return nil
  end
  local test, otherwise = operator[1], operator[2] or false
  return function(record)
    for _, value in ipairs(values_of(state, record, path)) do
      if test(value, given.text) then return not otherwise end
    end
    return otherwise
  end
end

local function filter(state, kind, records, filters, problems)
  for _, given in ipairs(filters) do
    local keep = compile_filter(state, kind, given, problems)
    local kept = {}
    for _, record in ipairs(keep and records or {}) do
      if keep(record) then kept[#kept + 1] = record end
    end
    if keep then records = kept end
  end
  return records
end

-- Sorting

-- "name:desc" and "-name" are both in the documentation.
local function read_key(text, syntax)
  local field, direction = text:match("^([%w_.]+):(%l+)$")
  if field and syntax ~= "dash" and (direction == "asc" or direction == "desc") then
    return field, direction == "desc"
  end
  local dash, bare = text:match("^(%-?)([%w_.]+)$")
  if bare and (dash == "" or syntax ~= "colon") then return bare, dash == "-" end
end

local function read_keys(state, kind, texts, problems)
  local keys = {}
  for _, text in ipairs(type(texts) == "table" and texts or { texts }) do
    for part in text:gmatch("[^,]+") do
      local field, down = read_key(part, state.assume.sort_syntax)
      if not field or kind.sort and not kind.sort[field] or not state.views:has(kind, field) then
        problems[#problems + 1] = ("sort must not be %s"):format(part)
      else
        keys[#keys + 1] = { field = field, down = down }
      end
    end
  end
  return keys
end

local function sort(state, kind, records, texts, problems)
  local keys, places, sorted = read_keys(state, kind, texts, problems), {}, {}
  for i, record in ipairs(records) do places[record], sorted[i] = i, record end
  table.sort(sorted, function(a, b)
    for _, key in ipairs(keys) do
      local x, y = a.fields[key.field], b.fields[key.field]
      if x == nil then x = "" end
      if y == nil then y = "" end
      if key.down then x, y = y, x end
      if less(x, y) then return true end
      if less(y, x) then return false end
    end
    return places[a] < places[b]
  end)
  return sorted
end

-- Only a kind whose sort keys are documented is sorted without being told so.
local function is_sorted(state, kind, problems)
  if kind.sort or state.assume.sort == "applied" then return true end
  if state.assume.sort == "reject" then
    problems[#problems + 1] = "property sort should not exist"
  end
  return false
end

-- Pages

local function page_bounds(state, query, problems)
  local assume = state.assume
  local limit, offset = query.limit or assume.page_limit, query.offset or 0
  if limit % 1 ~= 0 or limit < 1 then
    problems[#problems + 1] = "limit must not be less than 1"
  end
  if offset % 1 ~= 0 or offset < 0 then
    problems[#problems + 1] = "offset must not be less than 0"
  end
  if limit > assume.page_cap then
    if assume.over_cap == "reject" then
      problems[#problems + 1] = ("limit must not be greater than %d"):format(assume.page_cap)
    end
    limit = assume.page_cap
  end
  return limit, offset
end

--- One page, written; `items` are written already.
function M.encode_page(items, total, limit, offset)
  return ('{"data":%s,"total":%d,"page":%d,"limit":%d,"hasNext":%s,"hasPrevious":%s}'):format(
    items, total, math.floor(offset / limit), limit,
    tostring(offset + limit < total), tostring(offset > 0 and total > 0))
end

--- What an operation answers that lists these records; or false, 400 and the problems.
function M.answer(state, request, kind, records)
  local query, problems = request.query, {}
  local paged = request.operation.query.limit ~= nil
  local limit, offset
  if paged then limit, offset = page_bounds(state, query, problems) end
  if query.filters then records = filter(state, kind, records, query.filters, problems) end
  if query.sort and is_sorted(state, kind, problems) then
    records = sort(state, kind, records, query.sort, problems)
  end
  if problems[1] then
    table.sort(problems)
    return false, 400, problems
  end
  if paged then
    local part = {}
    for i = offset + 1, math.min(offset + limit, #records) do part[#part + 1] = records[i] end
    return M.encode_page(state:encode_list(part), #records, limit, offset)
  end
  if #records == 1 and state.assume.plain_lists == "single" then
    return state:encode_record(records[1])
  end
  return state:encode_list(records)
end

return M
