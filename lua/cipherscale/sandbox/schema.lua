-- SPDX-License-Identifier: MIT
--
-- Makes check functions of the contract's schemas: for bodies (marked JSON values, strict: no
-- field that the schema does not name) and for parameters (texts). A check appends sentences to a
-- list, in the words of the framework that the real service is likely built with.

local json = require "cipherscale.sandbox.json"

local M = {}

local UUID = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

local TIME = "^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.?%d*Z$"

--- Has this text the shape of a UUID?
function M.is_uuid(text)
  return text:find(UUID) ~= nil
end

local function follow(schema, document)
  local reference = schema["$ref"]
  if not reference then return schema end
  local name = reference:match("^#/components/schemas/(.+)$")
  return follow(assert(document.components.schemas[name], reference), document)
end

-- All properties and required names of an object schema, with those of its allOf parts.
local function collect(schema, document, into)
  schema = follow(schema, document)
  for _, part in ipairs(schema.allOf or {}) do collect(part, document, into) end
  for name, property in pairs(schema.properties or {}) do into.properties[name] = property end
  for _, name in ipairs(schema.required or {}) do into.required[#into.required + 1] = name end
  into.open = into.open or schema.additionalProperties
  return into
end

--- The properties of a named schema: name → schema, references followed one step.
function M.properties(document, name)
  local parts = collect(document.components.schemas[name], document,
    { properties = {}, required = {} })
  local properties = {}
  for field, schema in pairs(parts.properties) do properties[field] = follow(schema, document) end
  return properties
end

local function schema_name(property)
  local part = property.items or property.allOf and property.allOf[1] or property
  return part["$ref"] and part["$ref"]:match("^#/components/schemas/(.+)$")
end

--- The fields of a named schema as a list, `id` first, then by name: each with `name`, `of` (the
--- named schema of its value, or of the items of its list) and `free` (any object).
function M.shape(document, name)
  local parts = collect(document.components.schemas[name], document,
    { properties = {}, required = {} })
  local fields = {}
  for field, property in pairs(parts.properties) do
    fields[#fields + 1] = {
      name = field, of = schema_name(property), free = property.additionalProperties,
    }
  end
  table.sort(fields, function(a, b)
    if a.name == "id" or b.name == "id" then return a.name == "id" and b.name ~= "id" end
    return a.name < b.name
  end)
  return fields
end

--- The names of an object schema's fields, as a set.
function M.field_names(schema, document)
  local names = {}
  local parts = collect(schema, document, { properties = {}, required = {} })
  for name in pairs(parts.properties) do names[name] = true end
  return names
end

-- A seed's empty table may mean either: Lua has no two kinds.
local function is_object(value, options)
  return type(value) == "table" and value ~= json.null
    and (not json.is_list(value) or options.seed and #value == 0)
end

local compile

local function compile_object(schema, document, options)
  local parts = collect(schema, document, { properties = {}, required = {} })
  local checks = {}
  for name, property in pairs(parts.properties) do
    checks[name] = compile(property, document, options)
  end
  return function(value, what, problems)
    if not is_object(value, options) then
      problems[#problems + 1] = what .. " must be an object"
      return
    end
    local prefix = what == "body" and "" or what .. "."
    local first = #problems + 1
    for name, field in pairs(value) do
      if checks[name] then
        checks[name](field, prefix .. name, problems)
      elseif not parts.open then
        problems[#problems + 1] = ("property %s should not exist"):format(prefix .. name)
      end
    end
    for _, name in ipairs(parts.required) do
      if value[name] == nil then
        problems[#problems + 1] = prefix .. name .. " should not be null or undefined"
      end
    end
    -- pairs() has no order of its own; the same mistake shall give the same answer.
    if #problems > first then table.sort(problems) end
  end
end

local function compile_array(schema, document, options)
  local check = schema.items and next(schema.items) and compile(schema.items, document, options)
  local most = schema.maxItems
  return function(value, what, problems)
    if not json.is_list(value) then
      problems[#problems + 1] = what .. " must be an array"
      return
    end
    if most and #value > most then
      problems[#problems + 1] = ("%s must contain no more than %d elements"):format(what, most)
    end
    if not check then return end
    for i = 1, #value do
      check(value[i], ("%s[%d]"):format(what, i - 1), problems)
    end
  end
end

local function compile_union(schema, document, options)
  local checks, lists = {}, {}
  for i, part in ipairs(schema.oneOf) do
    checks[i] = compile(part, document, options)
    lists[i] = follow(part, document).type == "array"
  end
  return function(value, what, problems)
    -- What is said is said about the alternative that was meant: list or not.
    local fewest, meant
    for i, check in ipairs(checks) do
      local own, likely = {}, lists[i] == json.is_list(value)
      check(value, what, own)
      if #own == 0 then return end
      if not fewest or likely and not meant or likely == meant and #own < #fewest then
        fewest, meant = own, likely
      end
    end
    for _, problem in ipairs(fewest) do problems[#problems + 1] = problem end
  end
end

local SCALARS = {
  string = { "a string", function(v) return type(v) == "string" end },
  number = { "a number", function(v) return type(v) == "number" end },
  integer = { "an integer number", function(v) return type(v) == "number" and v % 1 == 0 end },
  boolean = { "a boolean value", function(v) return type(v) == "boolean" end },
}

local function compile_scalar(schema, options)
  local row = assert(SCALARS[schema.type], "a schema of unknown type")
  local text, fits = row[1], row[2]
  local allowed
  for _, value in ipairs(not options.seed and schema.enum or {}) do
    allowed = allowed or {}
    allowed[value] = true
  end
  local uuid = schema.format == "uuid" and options.uuid
  local time = schema.format == "date-time" and options.time
  return function(value, what, problems)
    if not fits(value) then
      problems[#problems + 1] = what .. " must be " .. text
    elseif allowed and not allowed[value] then
      problems[#problems + 1] = ("%s must be one of the following values: %s")
        :format(what, table.concat(schema.enum, ", "))
    elseif uuid and not M.is_uuid(value) then
      problems[#problems + 1] = what .. " must be a UUID"
    elseif time and not value:find(TIME) then
      problems[#problems + 1] = what .. " must be a valid ISO 8601 date string"
    end
  end
end

local function compile_plain(schema, document, options)
  if schema.oneOf then return compile_union(schema, document, options) end
  if schema.allOf or schema.properties or schema.type == "object" then
    return compile_object(schema, document, options)
  end
  if schema.type == "array" then return compile_array(schema, document, options) end
  if not schema.type then return function() end end
  return compile_scalar(schema, options)
end

--- A function(value, what, problems) for a schema of the document.
--- @param options table `uuid`, `time`: check these formats too; `seed`: the value is a user's
---   seed, where enums are open and an empty table is whatever is needed
function M.compile(schema, document, options)
  schema = follow(schema, document)
  local check = compile_plain(schema, document, options)
  if not schema.nullable then return check end
  return function(value, what, problems)
    if value ~= json.null then check(value, what, problems) end
  end
end

compile = M.compile

local READERS = {
  boolean = function(text)
    if text == "true" then return true end
    if text == "false" then return false end
  end,
  number = tonumber,
  integer = tonumber,
  string = function(text) return text end,
}

--- A function(texts, problems) → value, for one query parameter of the document, from the texts
--- that were given for it (more than one when its name was repeated).
function M.compile_parameter(parameter, document)
  local schema = follow(parameter.schema, document)
  local name = parameter.name
  local item = schema.type == "array" and follow(schema.items, document) or schema
  local read = assert(READERS[item.type], "a parameter of unknown type")
  local must_be = SCALARS[item.type][1]
  local check = compile_scalar(item, {})
  return function(texts, problems)
    if schema.type ~= "array" and #texts > 1 then
      problems[#problems + 1] = name .. " must be given once"
      return nil
    end
    local values = {}
    for i, text in ipairs(texts) do
      values[i] = read(text)
      if values[i] == nil then
        problems[#problems + 1] = ("%s must be %s"):format(name, must_be)
        return nil
      end
      if item.enum then check(values[i], name, problems) end
    end
    if schema.type == "array" then return values end
    return values[1]
  end
end

return M
