-- SPDX-License-Identifier: MIT
-- What both outputs of doc/generate.lua are made of: the operations of the binary, with the answers
-- of the contract, as methods with parameters, results and an example. Only facts, no layout.

local cipherscale = require "cipherscale"
local contract = require "spec.support.contract"
local described = require "doc.described"
local notes = require "doc.notes"
local pages = require "cipherscale.pages"

local M = {}

-- ---- names --------------------------------------------------------------------------------------

--- "admission_rules" → "admission_rule"
function M.singular(resource)
  if resource:find "ies$" then return (resource:gsub("ies$", "y")) end
  if resource:find "sses$" then return (resource:gsub("es$", "")) end
  return (resource:gsub("s$", ""))
end

--- "admission_rules" → "AdmissionRules"
function M.camel(text)
  return (text:gsub("_?(%l)(%w*)", function(first, rest) return first:upper() .. rest end))
end

--- "groupId" → "group_id"
local function snake(text)
  return (text:gsub("%u", function(c) return "_" .. c:lower() end))
end

-- ---- types --------------------------------------------------------------------------------------

local function words_of(text)
  local words = {}
  for word in text:gmatch "'([^']*)'" do words[#words + 1] = "'" .. word .. "'" end
  return table.concat(words, "|")
end

-- LuaLS's type for one of operations(); `inner` is the class of its fields, if it has some.
local function field_type(text, inner)
  local first, second = text:match "^(.-) or (.+)$"
  if first and not text:find "^one of" then
    return field_type(first, inner) .. "|" .. field_type(second, inner)
  end
  if text:find "^list of" then
    local element = text:gsub("^list of ", "")
    if element:find "^one of" then return "(" .. words_of(element) .. ")[]" end
    return field_type(element, inner) .. "[]"
  end
  if text:find "^one of" then return words_of(text) end
  if text == "filter" then return described.filter_type end
  for _, known in ipairs { "integer", "number", "boolean" } do
    if text:find("^" .. known) then return known end
  end
  if text:find "string" then return "string" end
  return inner and "cipherscale." .. inner or "table"
end

-- The fields of a query or a body as rows of a class; those of tables inside become classes of
-- their own, appended to `classes`.
local function add_fields(classes, name, doc, fields)
  local class = { name = name, doc = doc, fields = {}, methods = {} }
  classes[#classes + 1] = class
  for _, field in ipairs(fields) do
    if not field.positional then
      local inner
      if field.fields then
        inner = name:gsub("Fields$", "") .. field.name:sub(1, 1):upper() .. field.name:sub(2)
        add_fields(classes, inner, ("Of the field `%s`."):format(field.name), field.fields)
      end
      class.fields[#class.fields + 1] = {
        field.name .. (field.required and "" or "?"), field_type(field.type, inner), field.doc,
      }
    end
  end
end

-- ---- what the contract answers ------------------------------------------------------------------

local function name_of(schema)
  return schema["$ref"] and schema["$ref"]:match "[^/]+$"
end

local function schema_type(schema, reach)
  if schema.allOf and #schema.allOf == 1 then schema = schema.allOf[1] end
  if schema.oneOf then return schema_type(schema.oneOf[1], reach) end
  local name, found = name_of(schema), contract.resolve(schema)
  if found.enum then return "'" .. table.concat(found.enum, "'|'") .. "'|string" end
  if found.type == "array" then
    local item = schema_type(found.items, reach)
    return (item:find "|" and "(" .. item .. ")" or item) .. "[]"
  end
  if found.type == "object" and name then
    reach(name)
    return "cipherscale." .. name
  end
  return found.type == "object" and "table" or found.type or "any"
end

-- `always` has the fields that the client sees to, whatever the contract says.
local function add_answer(classes, seen, name, always)
  if seen[name] then return end
  seen[name] = true
  local schema = contract.document.components.schemas[name]
  local found, required = contract.resolve(schema), {}
  local class = { name = name, doc = schema.description, fields = {}, methods = {} }
  for _, field in ipairs(found.required or {}) do required[field] = true end
  for _, field in ipairs(contract.names(found.properties)) do
    local property = found.properties[field]
    local sure = required[field] and not property.nullable or always and always[field]
    class.fields[#class.fields + 1] = {
      field .. (sure and "" or "?"),
      schema_type(property, function(other) add_answer(classes, seen, other) end),
      property.description or contract.resolve(property).description or "",
    }
  end
  classes[#classes + 1] = class
end

-- ---- examples -----------------------------------------------------------------------------------

-- Values that say something, by the name of the field.
local WORDS = {
  address = "10.20.0.0/16", description = "For the office in Berlin", email = "ann@example.com",
  endpoint = "vpn.example.com", firstName = "Ann", image = "https://example.com/ann.png",
  lastName = "Ashdown", name = "Berlin", port = "443", protocol = "TCP",
  sourceIps = "192.0.2.0/24", wireguardPort = "51820",
  ["admission_rules.rule"] = "user.department == 'Engineering'",
}

local LISTS_OF_IDS = {
  addedRoles = "role_id", removedRoles = "old_role_id", devices = "device_id",
  gateways = "gateway_id", groups = "group_id", protocols = "protocol_id",
  resources = "resource_id", roles = "role_id", users = "user_id",
}

local literal

-- What must be there, or everything where nothing must; and the lists beside a field that says
-- "all", which no example shall set.
local function table_literal(row, fields)
  local parts, any, by_name = {}, false, {}
  for _, field in ipairs(fields) do
    any = any or field.required and not field.positional
    by_name[field.name:lower()] = field
  end
  for _, field in ipairs(fields) do
    local all = by_name["all" .. field.name:lower()]
    if not field.positional and (field.required or not any or all and all.required) then
      parts[#parts + 1] = field.name .. " = " .. literal(row, field)
    end
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

function literal(row, field)
  local word = WORDS[row.resource .. "." .. field.name] or WORDS[field.name]
  if field.fields then
    local inner = table_literal(row, field.fields)
    return field.type:find "^list of" and "{ " .. inner .. " }" or inner
  elseif field.type:find "^one of" then
    return ('"%s"'):format(field.type:match "'(.-)'")
  elseif field.type:find "^integer" then
    return "50"
  elseif field.type == "boolean" then
    return (field.name:find "^all%u" or field.name:find "^has%u") and "false" or "true"
  elseif field.type:find "^list of" then
    local id = LISTS_OF_IDS[field.name]
    return id and "{ " .. id .. " }" or ('{ "%s" }'):format(word or "text")
  elseif field.type == "non-empty string" then
    return field.name .. "_id"
  end
  return ('"%s"'):format(word or "text")
end

-- The conditions of the contract's first filter that has few values.
local function filter_literal(row)
  for _, parameter in ipairs(contract.parameters(row, "query")) do
    local field, operator = parameter.name:match "^filter%[(.-)%]%[(.-)%]$"
    if operator == "eq" and parameter.schema.enum then
      return ('{ %s = "%s" }'):format(field, parameter.schema.enum[1])
    end
  end
end

local function query_literal(row)
  for _, field in ipairs(row.query) do
    if field.name == "filter" and filter_literal(row) then
      return ("{ filter = %s }"):format(filter_literal(row))
    end
  end
  for i = #row.query, 1, -1 do
    local field = row.query[i]
    if field.type == "boolean" or field.name == "limit" then
      return ("{ %s = %s }"):format(field.name, literal(row, field))
    end
  end
end

-- `client.users:get(user_id)`; a single table needs no parentheses.
local function call_text(row, name, arguments)
  local text = table.concat(arguments, ", ")
  if #arguments == 1 and text:find "^{" then
    return ("client.%s:%s %s"):format(row.resource, name, text)
  end
  return ("client.%s:%s(%s)"):format(row.resource, name, text)
end

-- Breaks the table of a long call into lines.
local function broken(text)
  if #text <= 92 then return text end
  local head, body, tail = text:match "^(.-{) (.*) (}.-)$"
  local depth, line, lines = 0, "  ", {}
  for part in body:gmatch "[^,]+,?%s*" do
    if depth == 0 and #line + #part > 88 then
      lines[#lines + 1], line = line:gsub("%s+$", ""), "  "
    end
    for brace in part:gmatch "[{}]" do depth = depth + (brace == "{" and 1 or -1) end
    line = line .. part
  end
  lines[#lines + 1] = line .. ","
  return head .. "\n" .. table.concat(lines, "\n") .. "\n" .. tail
end

local SHOWN = { "name", "email", "address", "status", "id" }

local function shown_field(class)
  for _, wanted in ipairs(SHOWN) do
    for _, field in ipairs(class.fields) do
      if field[1]:gsub("%?$", "") == wanted then return wanted end
    end
  end
end

local function example_text(method, call, class)
  local item = M.singular(method.item_noun or method.row.resource)
  if method.result == "NOTHING" then return broken(("assert(%s)"):format(call)) end
  local field = shown_field(class)
  if method.result == "VALUE" then
    local statement = broken(("local %s = assert(%s)"):format(item, call))
    return ("%s\nprint(%s.%s)"):format(statement, item, field)
  elseif method.result == "PAGE" then
    return ("local page = assert(%s)\nprint(#page.data, page.total)"):format(call)
  elseif method.result == "EACH" then
    return ("for %s in %s do\n  print(%s.%s)\nend"):format(item, call, item, field)
  end
  return ("for _, %s in ipairs(assert(%s)) do\n  print(%s.%s)\nend"):format(item, call, item,
    field)
end

-- ---- methods ------------------------------------------------------------------------------------

local REPEATS = {
  READ = "yes, it only reads", REPEATABLE = "yes: twice is as once",
  ONCE = "only where it was surely not done; else `err.ambiguous`",
}

local CONFIDENCE = {
  high = "read in the public documentation",
  medium = "its existence is read in the public documentation, the rest follows from its siblings",
  low = "a guess: the public documentation names it without method and path",
}

local function is_core(operation_id)
  for _, id in ipairs(contract.document["x-core"]) do
    if id == operation_id then return true end
  end
  return false
end

local function parameters_of(row)
  local list = {}
  for name in row.path:gmatch "{(.-)}" do
    local own = name == "id"
    local noun = own and M.singular(row.resource) or snake(name):gsub("_id$", "")
    list[#list + 1] = { noun .. "_id", "string", ("Id of the %s."):format((noun:gsub("_", " "))) }
  end
  for _, field in ipairs(row.body) do
    if field.positional then list[#list + 1] = { snake(field.name), "string", field.doc } end
  end
  return list
end

local function has_named(fields)
  for _, field in ipairs(fields) do
    if not field.positional then return true end
  end
  return false
end

local function any_required(fields)
  for _, field in ipairs(fields) do
    if field.required and not field.positional then return true end
  end
  return false
end

-- The class of one item of what a row answers.
local function item_of(row)
  local schema = contract.answer_schema(row)
  if not schema then return nil end
  if row.result == "PAGE" then schema = contract.resolve(schema).properties.data end
  if schema.oneOf then
    for _, one in ipairs(schema.oneOf) do
      if name_of(one) then return name_of(one), nil end
      if one.items and name_of(one.items) then return name_of(one.items) end
    end
  end
  return name_of(schema) or name_of(contract.resolve(schema).items)
end

local function method_of(model, row)
  local documented, body = contract.described(row), contract.body_schema(row)
  local confidence = row.confidence or documented["x-confidence"]
  local method = {
    row = row, resource = row.resource, name = row.name, doc = row.doc, result = row.result,
    parameters = parameters_of(row), http = row.method .. " " .. row.path,
    repeats = REPEATS[row.repeat_class], settled = row.settled, several = row.several,
    confidence = is_core(documented.operationId) and "certain" or CONFIDENCE[confidence],
    note = notes.of(documented, body and contract.resolve(body)),
  }
  local arguments = {}
  for i, parameter in ipairs(method.parameters) do arguments[i] = parameter[1] end
  local fields = #row.query > 0 and row.query or row.body
  if has_named(fields) then
    local class = M.camel(row.resource) .. M.camel(row.name) .. "Fields"
    add_fields(model.inputs, class, ("Fields of `client.%s:%s`."):format(row.resource, row.name),
      fields)
    local type_text = "cipherscale." .. class
    if row.several then type_text = type_text .. "|" .. type_text .. "[]" end
    method.fields = fields
    method.parameters[#method.parameters + 1] = {
      "fields" .. (any_required(fields) and "" or "?"), type_text, "The API's own names.",
    }
    arguments[#arguments + 1] = #row.query > 0 and query_literal(row)
      or #row.body > 0 and table_literal(row, row.body) or nil
  end
  method.parameters[#method.parameters + 1] =
    { "options?", "cipherscale.CallOptions", "Of this call." }
  local item = item_of(row)
  method.item = item
  if row.result == "LIST" and item then method.item_noun = item:gsub("%u", function(c)
    return "_" .. c:lower()
  end):sub(2) .. "s" end
  method.gives = row.result == "NOTHING" and "boolean"
    or row.result == "LIST" and ("cipherscale.%s[]"):format(item)
    or row.result == "PAGE" and "cipherscale." .. name_of(contract.answer_schema(row))
    or "cipherscale." .. item .. (row.several and ("|cipherscale.%s[]"):format(item) or "")
  if row.result == "PAGE" then
    add_answer(model.answers, model.seen, name_of(contract.answer_schema(row)), { data = true })
  elseif item then
    add_answer(model.answers, model.seen, item)
  end
  method.example = example_text(method, call_text(row, row.name, arguments), model.seen_class(item))
  return method
end

-- The class of the fields of a whole list: those of a page but the offset.
local function list_fields(model, row)
  local name, fields = M.camel(row.resource) .. "ListFields", {}
  for _, field in ipairs(row.query) do
    if field.name ~= "offset" then fields[#fields + 1] = field end
  end
  if not model.seen[name] then
    model.seen[name] = true
    add_fields(model.inputs, name, ("Fields of `client.%s:list` and `each`."):format(row.resource),
      fields)
  end
  return "cipherscale." .. name
end

-- list, each and find, which pages.lua or a row's sister gives.
local function whole_list_of(model, row, name)
  local known = described.whole_lists[name]
    or error(("doc/described.lua does not know %s:%s"):format(row.resource, name))
  local base = model.by_name[row.resource .. "." .. row.name]
  local method = {
    row = row, resource = row.resource, name = name, item = base.item,
    doc = pages.words[name]:format(row.known_by), result = known.result,
    parameters = {}, gives = known.gives:format("cipherscale." .. base.item),
    raises = known.raises, http = row.method .. " " .. row.path, often = true,
    repeats = base.repeats, confidence = base.confidence,
    note = name ~= "find" and base.note or nil,
  }
  local finds = name == "find"
  if finds then
    method.parameters[1] = { row.known_by, "string", "Of the one to find." }
  elseif row.result == "PAGE" then
    method.parameters[1] = {
      "fields?", list_fields(model, row), "As those of `page`, without `offset`; `limit` is the "
        .. "size of a page.",
    }
  end
  method.parameters[#method.parameters + 1] =
    { "options?", "cipherscale.CallOptions", "Of each call." }
  local arguments = finds and { ('"%s"'):format(WORDS[row.known_by]) } or {}
  method.example = example_text(method, call_text(row, name, arguments),
    model.seen_class(base.item))
  return method
end

-- The words after "one of" for a field of client:request.
local function request_words(client, what)
  local _, message = pcall(client.request, client, what)
  return words_of(message:match "^(.*), got ")
end

--- Everything: { resources = { { name, doc, methods } }, inputs = classes, answers = classes }.
function M.build()
  local model = { resources = {}, inputs = {}, answers = {}, seen = {}, by_name = {} }
  function model.seen_class(name)
    for _, class in ipairs(model.answers) do
      if class.name == name then return class end
    end
  end
  local client = cipherscale.new { api_key = "none", base_url = "http://127.0.0.1:9" }
  local by_resource = {}
  for _, row in ipairs(cipherscale.operations()) do
    local resource = by_resource[row.resource]
    if not resource then
      local doc = tostring(client[row.resource]):match ": (.-)\n"
      resource = { name = row.resource, doc = doc, methods = {}, known = {} }
      by_resource[row.resource] = resource
      model.resources[#model.resources + 1] = resource
    end
    local method = method_of(model, row)
    resource.methods[#resource.methods + 1], resource.known[row.name] = method, true
    model.by_name[row.resource .. "." .. row.name] = method
  end
  for _, resource in ipairs(model.resources) do
    local base
    for _, method in ipairs(resource.methods) do
      local all = method.result == "PAGE" or method.result == "LIST" and method.name == "list"
      if all then base = base or method.row end
    end
    local more = {}
    for name in pairs(client[resource.name]) do
      if not resource.known[name] then more[#more + 1] = name end
    end
    table.sort(more)
    for i, name in ipairs(more) do
      table.insert(resource.methods, i, whole_list_of(model, base, name))
    end
  end
  model.has_request = pcall(function() return client.request end)
    and type(client.request) == "function"
  model.request = model.has_request and described.request(
    request_words(client, { path = "/" }),
    request_words(client, { method = "GET", path = "/", repeat_class = "" }))
  client:close()
  model.has_validate = pcall(cipherscale.new,
    { api_key = "none", base_url = "http://127.0.0.1:9", validate = false })
  table.sort(model.answers, function(a, b) return a.name < b.name end)
  return model
end

return M
