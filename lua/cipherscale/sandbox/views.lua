-- SPDX-License-Identifier: MIT
--
-- Writes a record in one of the document's shapes: which fields it has, and in which shape each
-- related record stands inside it, is read from the schemas.

local json = require "cipherscale.sandbox.json"
local schema = require "cipherscale.sandbox.schema"

local M = {}

local NONE = {}

local Views = {}
Views.__index = Views

--- The views of a document.
function M.new(document)
  return setmetatable({ document = document, shapes = {}, owned = {} }, Views)
end

function Views:shape(name)
  if not self.shapes[name] then self.shapes[name] = schema.shape(self.document, name) end
  return self.shapes[name]
end

--- Does a record of this kind have the field? (One of its own, not a relation.)
function Views:has(kind, name)
  if not self.owned[kind] then
    local owned = {}
    for _, field in ipairs(self:shape(kind.schema)) do
      owned[field.name] = not kind.links[field.name] and not kind.derived[field.name]
        and not kind.reverse[field.name]
    end
    self.owned[kind] = owned
  end
  return self.owned[kind][name] or false
end

local function encode_related(self, state, related, name)
  if related.fields then return self:encode(state, related, name) end
  local parts = {}
  for i, record in ipairs(related) do parts[i] = self:encode(state, record, name) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function encode_value(value, field)
  if field.free and type(value) == "table" and not next(value) then return "{}" end
  return json.encode(value)
end

--- A record, written in the shape of a schema.
--- @param without? string a field to leave out
function Views:encode(state, record, name, without)
  local kind, parts = record.kind, {}
  local shown = kind.shown and kind.shown(state, record, name) or NONE
  for _, field in ipairs(self:shape(name)) do
    local key, text = field.name, nil
    local value = shown[key]
    if value == nil then value = record.fields[key] end
    if value ~= nil then
      text = encode_value(value, field)
    elseif field.of then
      local related = state:related(record, key)
      text = related and encode_related(self, state, related, field.of)
    end
    if text and key ~= without then parts[#parts + 1] = json.quote(key) .. ":" .. text end
  end
  if record.extra and name == kind.schema then parts[#parts + 1] = record.extra end
  return "{" .. table.concat(parts, ",") .. "}"
end

return M
