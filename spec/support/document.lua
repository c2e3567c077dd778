-- SPDX-License-Identifier: MIT
-- The contract (api/openapi.json) as the specs read it: what it says of an operation of
-- cipherscale.operations(), and samples of what its schemas describe. Knows nothing of our table
-- but method and path.

local cjson = require "cjson"

local M = {}

local function read()
  local file = assert(io.open("api/openapi.json", "rb"))
  local text = file:read "*a"
  file:close()
  return cjson.new().decode(text)
end

--- The document itself.
M.document = read()

local METHODS = { "get", "put", "post", "delete", "patch" }

--- A schema without references; the parts of an `allOf` are merged.
--- @param schema table
--- @return table
function M.resolve(schema)
  while schema["$ref"] do
    local value = M.document
    for part in schema["$ref"]:gmatch "[^#/]+" do value = value[part] end
    schema = value
  end
  if not schema.allOf then return schema end
  local merged = { type = "object", properties = {}, required = {} }
  for _, part in ipairs(schema.allOf) do
    part = M.resolve(part)
    for name, property in pairs(part.properties or {}) do merged.properties[name] = property end
    for _, name in ipairs(part.required or {}) do merged.required[#merged.required + 1] = name end
  end
  return merged
end

--- "GET /tenants/users" → what the document says of it, for each operation.
--- @return table<string, table>
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

--- The parameters of a row's path or query.
--- @param place "path"|"query"
--- @return table[]
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
--- @return table? schema
--- @return integer? most of a list
function M.body(row)
  local body = M.described(row).requestBody
  if not body then return nil end
  local schema = body.content["application/json"].schema
  local list = schema.oneOf and M.resolve(schema.oneOf[2])
  return M.resolve(first_of(schema)), list and list.maxItems
end

--- The schema of a row's answer as the document has it; nil where it documents none.
--- @return table? schema
--- @return integer status the documented one, or the likely one
function M.answer(row)
  local operation = M.described(row)
  local code, response = next(operation.responses)
  local status = tonumber(code)
    or tonumber((operation["x-likely-status"] or "200"):match "%d%d%d")
  local content = response.content and response.content["application/json"]
  return content and first_of(content.schema) or nil, status
end

local function sample_string(schema, name)
  if schema.enum then return schema.enum[#schema.enum] end
  if schema.format == "uuid" then return "0b5c1a52-6d52-4b9e-9f3e-2f1b5a7c9d10" end
  if schema.format == "date-time" then return "2026-03-01T09:30:00.000Z" end
  return schema.example or "some " .. name
end

--- A value of a schema, with all that it may hold: what the service could answer.
--- @param schema table
--- @param name? string for texts
function M.sample(schema, name)
  schema = M.resolve(first_of(schema))
  if schema.type == "array" then
    local one = M.sample(schema.items, name)
    return { one, one }
  elseif schema.type == "object" then
    local value = {}
    for key, property in pairs(schema.properties or {}) do value[key] = M.sample(property, key) end
    if not next(value) then value.anything = true end
    return value
  elseif schema.type == "boolean" then
    return true
  elseif schema.type == "number" or schema.type == "integer" then
    return 7
  end
  return sample_string(schema, name or "text")
end

--- Arguments of a valid call of a row: ids in order, then the fields of its body, if it has any.
--- @return any[]
function M.arguments(row)
  local arguments = {}
  for name in row.path:gmatch "{(.-)}" do arguments[#arguments + 1] = "some-" .. name end
  local named = false
  for _, field in ipairs(row.body) do
    if field.positional then arguments[#arguments + 1] = "some-" .. field.name end
    named = named or not field.positional
  end
  if named then arguments[#arguments + 1] = M.sample(M.body(row)) end
  return arguments
end

return M
