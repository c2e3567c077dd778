-- SPDX-License-Identifier: MIT
--
-- Reads the API's OpenAPI document and makes the routes of it: method and path → operation with
-- the checks of its parameters and body. The document is the only source of what exists; what an
-- operation does is in operations.lua.

local json = require "cipherscale.sandbox.json"
local schema = require "cipherscale.sandbox.schema"

local M = {}

local METHODS = { "get", "put", "post", "delete", "patch" }

-- Beside this file when installed, in the repository's folder `api` before that.
local function open_document()
  local folder = debug.getinfo(1, "S").source:match("^@(.*[/\\])") or "./"
  local tried = {}
  for _, place in ipairs { "openapi.json", "../../../api/openapi.json" } do
    local file = io.open(folder .. place, "rb")
    if file then return file end
    tried[#tried + 1] = folder .. place
  end
  error("the API's OpenAPI document is not installed; tried " .. table.concat(tried, ", "), 0)
end

--- Reads the document.
function M.load()
  local file = open_document()
  local text = file:read("*a")
  file:close()
  return json.decode(text)
end

--- The path of the document's server: what precedes every operation's path.
function M.base_path(document)
  return (document.servers[1].url:match("^%a[%w+.-]*://[^/]*(.-)/?$"))
end

-- Where the document hides the exact code ("2XX"), it says which one is likely.
local function success_status(operation, options)
  for code in pairs(operation.responses) do
    if tonumber(code) then return tonumber(code) end
  end
  if options.no_content and operation["x-likely-status"]:find("204", 1, true)
    and not operation["x-likely-status"]:find("201", 1, true) then
    return 204
  end
  return tonumber((operation["x-likely-status"] or "200"):match("%d%d%d"))
end

local function compile_query(parameters, document)
  local query = {}
  for _, parameter in ipairs(parameters or {}) do
    if parameter["in"] == "query" then
      query[parameter.name] = schema.compile_parameter(parameter, document)
    end
  end
  return query
end

-- The schema of the answer; nil where none is documented.
local function answer_schema(operation)
  local _, response = next(operation.responses)
  local content = response.content and response.content["application/json"]
  return content and content.schema
end

local function answers_list(operation)
  local answer = answer_schema(operation)
  return answer and (answer.type or answer.oneOf and answer.oneOf[1].type) == "array"
end

-- Bounds that the document does not show, for lists that turn out to come in pages.
local BOUNDS = {
  { name = "limit", ["in"] = "query", schema = { type = "number" } },
  { name = "offset", ["in"] = "query", schema = { type = "number" } },
}

local function compile_operation(operation, document, options)
  local body = operation.requestBody and operation.requestBody.content["application/json"]
  local compiled = {
    id = operation.operationId,
    status = success_status(operation, options),
    query = compile_query(operation.parameters, document),
    body = body and schema.compile(body.schema, document, options),
    body_required = body and operation.requestBody.required,
    body_fields = body and schema.field_names(body.schema, document),
    uuids = {},
  }
  for _, bound in ipairs(options.paged_lists and answers_list(operation) and BOUNDS or {}) do
    compiled.query[bound.name] = schema.compile_parameter(bound, document)
  end
  for name in pairs(compiled.query) do
    compiled.filters = compiled.filters or name:find("^filter%[") ~= nil
  end
  for _, parameter in ipairs(operation.parameters or {}) do
    if parameter["in"] == "path" and parameter.schema.format == "uuid" and options.uuid then
      compiled.uuids[parameter.name] = true
    end
  end
  return compiled
end

local function add_route(tree, path, method, operation)
  local node = tree
  for segment in path:gmatch("[^/]+") do
    local parameter = segment:match("^{(.+)}$")
    if parameter then
      node.parameter = node.parameter or { literals = {}, methods = {} }
      node = node.parameter
    else
      node.literals[segment] = node.literals[segment] or { literals = {}, methods = {} }
      node = node.literals[segment]
    end
  end
  node.methods[method] = operation
end

--- The checks of what operations answer: operationId → { status, check (see schema.compile), or
--- nil where no body is documented }.
function M.answers(document, options)
  local answers = {}
  for _, item in pairs(document.paths) do
    for _, method in ipairs(METHODS) do
      local operation = item[method]
      local answer = operation and answer_schema(operation)
      if operation then
        answers[operation.operationId] = {
          status = success_status(operation, options),
          check = answer and schema.compile(answer, document, options),
        }
      end
    end
  end
  return answers
end

--- The routes of the document, for find().
--- @param options table see schema.compile; `no_content`: deletions answer 204 where the document
---   does not say; `paged_lists`: plain lists take limit and offset
function M.routes(document, options)
  local tree = { literals = {}, methods = {} }
  for path, item in pairs(document.paths) do
    for _, method in ipairs(METHODS) do
      if item[method] then
        local operation = compile_operation(item[method], document, options)
        operation.method, operation.path = method:upper(), path
        operation.parameters = {}
        for name in path:gmatch("{(.-)}") do
          operation.parameters[#operation.parameters + 1] = name
        end
        add_route(tree, path, method:upper(), operation)
      end
    end
  end
  return tree
end

local function decode_byte(digits)
  return string.char(tonumber(digits, 16))
end

--- Percent-decodes one text.
function M.decode(text)
  if not text:find("%", 1, true) then return text end
  return (text:gsub("%%(%x%x)", decode_byte))
end

--- The operations of a path (by method) and the decoded values of its parameters, in order; nil
--- for an unknown path.
function M.find(tree, path)
  local node, values = tree, {}
  for segment in path:gmatch("/([^/]*)") do
    local literal = node.literals[segment]
    if literal then
      node = literal
    else
      node = node.parameter
      if not node or segment == "" then return nil end
      values[#values + 1] = M.decode(segment)
    end
  end
  if node == tree or not next(node.methods) then return nil end
  return node.methods, values
end

return M
