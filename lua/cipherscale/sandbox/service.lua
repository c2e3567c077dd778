-- SPDX-License-Identifier: MIT
--
-- The service as the server's C part sees it: new(config) gives the function that answers one
-- request and the table of functions that the controlling side may call. Runs in the server's own
-- Lua state, on its thread or under its lock. The order of checks: key, misbehaviour, path,
-- method, query, content type, body, then the operation itself.

local assumptions = require "cipherscale.sandbox.assumptions"
local changes = require "cipherscale.sandbox.changes"
local contract = require "cipherscale.sandbox.contract"
local json = require "cipherscale.sandbox.json"
local lists = require "cipherscale.sandbox.lists"
local misbehaviour = require "cipherscale.sandbox.misbehaviour"
local operations = require "cipherscale.sandbox.operations"
local plain = require "cipherscale.sandbox.plain"
local schema = require "cipherscale.sandbox.schema"
local seed = require "cipherscale.sandbox.seed"

local M = {}

local JSON = "application/json; charset=utf-8"

local function refuse(status, message, headers)
  return status, operations.encode_problem(status, message), JSON, headers
end

local function split_query(text)
  local given = {}
  for pair in text:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=?(.*)$")
    name = contract.decode((name:gsub("%+", " ")))
    given[name] = given[name] or {}
    table.insert(given[name], contract.decode((value:gsub("%+", " "))))
  end
  return given
end

local NO_QUERY = {}

-- What becomes of a filter that the contract does not list: "accept", "ignore" or "reject".
local function unlisted_filter(operation, assume)
  if operation.filters then return assume.filters == "any" and "accept" or "reject" end
  return operation.query.limit and assume.other_filters or "reject"
end

-- Notes a filter. False where the parameter is none, or one that the operation does not take.
local function read_filter(operation, name, texts, query, assume)
  local field, operator = lists.filter_name(name)
  if not field then return false end
  local fate = operation.query[name] and "accept" or unlisted_filter(operation, assume)
  for _, text in ipairs(fate == "accept" and texts or {}) do
    query.filters = query.filters or {}
    table.insert(query.filters, { name = name, field = field, operator = operator, text = text })
  end
  return fate ~= "reject"
end

local function read_query(operation, text, assume)
  if not text or text == "" then return NO_QUERY end
  local query, problems = {}, {}
  for name, texts in pairs(split_query(text)) do
    local read = operation.query[name]
    if read then query[name] = read(texts, problems) end
    if not read_filter(operation, name, texts, query, assume) and not read then
      problems[#problems + 1] = ("property %s should not exist"):format(name)
    end
  end
  if problems[1] then
    table.sort(problems)
    return nil, 400, problems
  end
  return query
end

local function is_json(content_type)
  return content_type and content_type:lower():find("^application/json%s*$") ~= nil
    or content_type and content_type:lower():find("^application/json%s*;") ~= nil
end

local function read_body(operation, text, content_type, assume)
  if not operation.body then
    if text and assume.unexpected_body == "reject" then
      return nil, 400, { "no request body expected" }
    end
    return nil
  end
  if not text then
    -- Where the contract makes the body optional, the operation decides.
    return nil
  end
  if not is_json(content_type) then
    return nil, 415, ("Unsupported Media Type: %s"):format(content_type or "none")
  end
  local ok, value = pcall(json.decode, text, true)
  if not ok then
    if type(value) ~= "table" then error(value, 0) end
    return nil, 400, value.json
  end
  local problems = {}
  operation.body(value, "body", problems)
  if problems[1] then return nil, 400, problems end
  return value
end

local function check_ids(operation, values)
  for i, name in ipairs(operation.parameters) do
    if operation.uuids[name] and not schema.is_uuid(values[i]) then
      return 400, "Validation failed (uuid is expected)"
    end
  end
end

local function no_such_method(service, methods, method, path)
  if service.assume.wrong_method == "not_found" then
    return refuse(404, ("Cannot %s %s"):format(method, path))
  end
  local allowed = {}
  for name in pairs(methods) do allowed[#allowed + 1] = name end
  if methods.GET then allowed[#allowed + 1] = "HEAD" end
  table.sort(allowed)
  return refuse(405, ("Cannot %s %s"):format(method, path),
    { "Allow", table.concat(allowed, ", ") })
end

-- status, body, content type, headers of the service itself
local function perform(service, method, path, query_text, content_type, text, too_large)
  local base = service.base_path
  local methods, values
  if path:sub(1, #base + 1) == base .. "/" then
    methods, values = contract.find(service.routes, path:sub(#base + 1))
  end
  if not methods then return refuse(404, ("Cannot %s %s"):format(method, path)) end
  -- Of HEAD, the server sends no body (RFC 9110 9.3.2).
  local operation = methods[method] or method == "HEAD" and methods.GET
  if not operation then return no_such_method(service, methods, method, path) end
  if too_large then return refuse(413, "request entity too large") end
  operation.act = operation.act or operations[operation.id] or plain.compile(operation)
  if not operation.act then
    return refuse(501, ("The sandbox does not implement %s yet"):format(operation.id))
  end
  local status, message = check_ids(operation, values)
  if status then return refuse(status, message) end
  local query, body
  query, status, message = read_query(operation, query_text, service.assume)
  if not query then return refuse(status, message) end
  body, status, message = read_body(operation, text, content_type, service.assume)
  if status then return refuse(status, message) end
  if operation.body_required and body == nil then
    return refuse(400, { "a request body is expected" })
  end
  local request = { operation = operation, values = values, query = query, body = body }
  local answer, kind, refusal = operation.act(service.state, request)
  if answer == false then return refuse(kind, refusal) end
  if answer == "" then return operation.status end
  return operation.status, answer, kind or JSON
end

local function below_base(service, path)
  local base = service.base_path
  return path:sub(1, #base + 1) == base .. "/" and path:sub(#base + 1) or path
end

local function meddle(list, path)
  for _, change in ipairs(list or {}) do change(path) end
end

-- As perform(), with what the misbehaviours make of it: …, delay, fate, bytes
local function misbehave(service, method, path, now, query_text, content_type, text, too_large)
  local below = below_base(service, path)
  local outcome = service.rules:decide(method, below, now)
  local delay = service.rules:latency(method, below)
  meddle(outcome.before, below)
  local status, body, kind, headers = 200, nil, nil, nil
  if not outcome.answer and not outcome.idle then
    status, body, kind, headers =
      perform(service, method, path, query_text, content_type, text, too_large)
  end
  meddle(outcome.after, below)
  local instead = outcome.answer
  if instead then
    return instead.status, instead.body, instead.kind, instead.headers, delay
  end
  local bytes = outcome.bytes
  if bytes == "half" then bytes = math.floor(#(body or "") / 2) end
  -- An answer that is not longer than what may pass is whole.
  if bytes and bytes >= #(body or "") then outcome.fate = nil end
  return status, body, kind, headers, delay, outcome.fate, bytes
end

local function serve(service, method, uri, key, content_type, text, now, too_large)
  local mark = uri:find("?", 1, true)
  local path = mark and uri:sub(1, mark - 1) or uri
  local query_text = mark and uri:sub(mark + 1)
  if key ~= service.api_key then
    return 401, '{"statusCode":401,"message":"Unauthorized"}', JSON, nil,
      service.rules:latency(method, below_base(service, path))
  end
  if #service.rules == 0 then
    return perform(service, method, path, query_text, content_type, text, too_large)
  end
  return misbehave(service, method, path, now, query_text, content_type, text, too_large)
end

-- Runs f; a usage problem becomes the text that its caller's caller shall see.
local function checked(name, f, ...)
  local ok, value = pcall(f, ...)
  if ok then return value end
  if type(value) == "table" and value.usage then
    error(("bad argument #1 to '%s' (%s)"):format(name, value.usage), 0)
  end
  error(value, 0)
end

local function build(text)
  local config = json.decode(text, true)
  local document = contract.load()
  local assume = assumptions.resolve(config.assume)
  local service = {
    api_key = config.api_key, assume = assume, base_path = contract.base_path(document),
    routes = contract.routes(document, {
      uuid = assume.id_format == "uuid", no_content = assume.delete_status == "no_content",
      paged_lists = assume.plain_lists == "page",
    }),
  }
  service.state = seed.build(config, document, assume)
  service.rules = misbehaviour.compile(config.misbehave, service.state)
  return service
end

local function controls_of(service)
  return {
    state = function() return service.state:encode() end,
    direct_roles = function() return service.state:encode_direct_roles() end,
    base_path = function() return service.base_path end,
    misbehave = function(text)
      local list = json.decode(text, true)
      service.rules = checked("misbehave", misbehaviour.compile, list, service.state)
      return ""
    end,
    change = function(text)
      checked("change", changes.make, service.state, json.decode(text, true))
      return ""
    end,
  }
end

--- Makes a service of its configuration (JSON, as init.lua writes it).
--- @return function serve see rules.c for its arguments and results
--- @return table controls name → function(text) → text
function M.new(text)
  local service = checked("start", build, text)
  local function answer(...)
    return serve(service, ...)
  end
  return answer, controls_of(service)
end

return M
