-- SPDX-License-Identifier: MIT
-- The contract (api/openapi.json) for specs and for doc/generate.lua: what it says of a row of
-- cipherscale.operations(), and examples made from its schemas, which are the same each time.
-- Reads the document on its own: neither the table of endpoints nor the sandbox has a say here.

local cjson = require "cjson"

local M = {}

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return cjson.new().decode(text)
end

M.document = read "api/openapi.json"
M.null = cjson.null

local Array = {}

--- Marks a table as a JSON array: an empty one is not told from an object by its looks.
function M.array(list)
  return setmetatable(list, Array)
end

--- Is it an array, for encode?
function M.is_array(value)
  return getmetatable(value) == Array or value[1] ~= nil
end

--- The names of a table's fields, sorted.
function M.names(of)
  local names = {}
  for name in pairs(of) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- JSON with the names in order, so that a spec sends the same bytes each time.
---@return string
function M.encode(value)
  local kind = type(value)
  if value == M.null then return "null" end
  if kind == "string" then return '"' .. value:gsub('[%c"\\]', function(c)
    return ("\\u%04x"):format(c:byte())
  end) .. '"' end
  if kind ~= "table" then return tostring(value) end
  local parts = {}
  if M.is_array(value) then
    for i, item in ipairs(value) do parts[i] = M.encode(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  for _, name in ipairs(M.names(value)) do
    parts[#parts + 1] = M.encode(name) .. ":" .. M.encode(value[name])
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

--- "users.invite"
function M.label(row)
  return row.resource .. "." .. row.name
end

--- The schema itself: references followed, `allOf` put together, of `oneOf` the first.
function M.resolve(schema)
  while schema["$ref"] do
    local value = M.document
    for part in schema["$ref"]:gmatch "[^#/]+" do value = value[part] end
    schema = value
  end
  if schema.oneOf then return M.resolve(schema.oneOf[1]) end
  if not schema.allOf then return schema end
  local whole = { type = "object", properties = {}, required = {} }
  for _, part in ipairs(schema.allOf) do
    part = M.resolve(part)
    for name, property in pairs(part.properties or {}) do whole.properties[name] = property end
    for _, name in ipairs(part.required or {}) do
      whole.required[#whole.required + 1] = name
    end
  end
  return whole
end

local METHODS = { "get", "put", "post", "delete", "patch" }

--- "GET /tenants/users" → what the document says of it, for each operation.
---@return table<string, table>
function M.operations()
  local all = {}
  for path, methods in pairs(M.document.paths) do
    for _, method in ipairs(METHODS) do
      if methods[method] then all[method:upper() .. " " .. path] = methods[method] end
    end
  end
  return all
end

--- What the document says of a row; nil where it does not know the row's method and path.
function M.described(row)
  local path = M.document.paths[row.path]
  return path and path[row.method:lower()]
end

--- The parameters of a row that are in the "path" or the "query".
function M.parameters(row, place)
  local found = {}
  for _, owner in ipairs { M.document.paths[row.path], M.described(row) } do
    for _, parameter in ipairs(owner.parameters or {}) do
      parameter = M.resolve(parameter)
      if parameter["in"] == place then found[#found + 1] = parameter end
    end
  end
  return found
end

local function first_of(schema)
  return schema.oneOf and schema.oneOf[1] or schema
end

--- The schema of a row's body (of one object, where it may also be a list of them); nil without.
---@return table? schema
---@return integer? most of a list
function M.body_schema(row)
  local body = M.described(row).requestBody
  if not body then return nil end
  local schema = body.content["application/json"].schema
  local list = schema.oneOf and M.resolve(schema.oneOf[2])
  return M.resolve(schema), list and list.maxItems
end

--- The schema of a row's answer as the document has it; nil where it documents none.
---@return table? schema
---@return integer status the documented one, or the likely one
function M.answer_schema(row)
  local operation = M.described(row)
  local code, response = next(operation.responses)
  local status = tonumber(code)
    or tonumber((operation["x-likely-status"] or "200"):match "%d%d%d")
  local content = response.content and response.content["application/json"]
  return content and first_of(content.schema) or nil, status
end

local function is_required(schema, name)
  for _, required in ipairs(schema.required or {}) do
    if required == name then return true end
  end
  return false
end

local FORMATS = { ["date-time"] = "2024-05-06T07:08:09.000Z" }

local function example(schema, wanted, count)
  schema = M.resolve(schema)
  if schema.example ~= nil then return schema.example end
  if schema.enum then return schema.enum[1] end
  if schema.type == "array" then
    return M.array { example(schema.items, wanted, count) }
  elseif schema.type == "object" then
    local object = {}
    for _, name in ipairs(M.names(schema.properties or {})) do
      if wanted == "all" or is_required(schema, name) then
        object[name] = example(schema.properties[name], wanted, count)
      end
    end
    return object
  elseif schema.type == "string" then
    count.n = count.n + 1
    if schema.format == "uuid" then
      return ("00000000-0000-4000-8000-%012d"):format(count.n)
    end
    return FORMATS[schema.format] or "text " .. count.n
  elseif schema.type == "number" or schema.type == "integer" then
    return 1
  elseif schema.type == "boolean" then
    return true
  end
  return "anything"
end

--- A value that the schema describes, with "all" of its fields, or only what is "required".
--- The ids in it differ.
function M.example(schema, wanted)
  return example(schema, wanted, { n = 0 })
end

-- { ["policies.id"] = { eq = "…" } } out of the names filter[policies.id][eq].
local function filter_example(query)
  local filter = {}
  for _, parameter in ipairs(query) do
    local field, operator = parameter.name:match "^filter%[(.-)%]%[(.-)%]$"
    if field then
      filter[field] = filter[field] or {}
      filter[field][operator] = M.example(parameter.schema, "all")
    end
  end
  return filter
end

local function query_example(row, wanted)
  local documented, fields = M.parameters(row, "query"), {}
  local by_name = {}
  for _, parameter in ipairs(documented) do by_name[parameter.name] = parameter end
  for _, field in ipairs(row.query) do
    local parameter = by_name[field.name]
    if wanted == "all" or field.required then
      if parameter then
        fields[field.name] = M.example(parameter.schema, wanted)
      elseif field.name == "filter" then
        fields.filter = filter_example(documented)
      end
    end
  end
  return fields
end

-- A plain copy: the client takes any table, and what is shown needs no marks.
local function plain(value)
  if type(value) ~= "table" then return value end
  local copy = {}
  for key, item in pairs(value) do copy[key] = plain(item) end
  return copy
end

--- The arguments of a call: ids of the path, positional fields, then the fields of query or body
--- with "all" of them, or with what is "required".
---@return table list
function M.arguments(row, wanted)
  local list = {}
  for _ in row.path:gmatch "{.-}" do
    list[#list + 1] = ("00000000-0000-4000-8000-%012d"):format(101 + #list)
  end
  local body = M.body_schema(row)
  local fields = body and M.example(body, wanted) or query_example(row, wanted)
  local named = #row.query > 0
  for _, field in ipairs(row.body) do
    if field.positional then
      list[#list + 1] = fields[field.name]
      fields[field.name] = nil
    else
      named = true
    end
  end
  if named then list[#list + 1] = plain(fields) end
  return list
end

return M
