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
local function success_status(operation)
  for code in pairs(operation.responses) do
    if tonumber(code) then return tonumber(code) end
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

local function compile_operation(operation, document, options)
  local body = operation.requestBody and operation.requestBody.content["application/json"]
  local compiled = {
    id = operation.operationId,
    status = success_status(operation),
    query = compile_query(operation.parameters, document),
    body = body and schema.compile(body.schema, document, options),
    body_required = body and operation.requestBody.required,
    uuids = {},
  }
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

--- The routes of the document, for find().
--- @param options table see schema.compile
function M.routes(document, options)
  local tree = { literals = {}, methods = {} }
  for path, item in pairs(document.paths) do
    for _, method in ipairs(METHODS) do
      if item[method] then
        local operation = compile_operation(item[method], document, options)
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
