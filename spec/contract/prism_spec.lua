-- SPDX-License-Identifier: MIT
-- The client's real requests for every operation, judged by Prism, a mock server that nobody here
-- wrote and that knows nothing but api/openapi.json; and its example answers, read by the client.
-- Not part of `make check`: `make contract` installs Prism and runs this.

local cipherscale = require "cipherscale"
local contract = require "spec.support.contract"
local helper = require "spec.support.helper"
local scratch = require "spec.support.scratch"
local server = require "spec.support.server"

local PRISM = "build/prism/node_modules/.bin/prism"
local PATIENCE = 60 -- seconds for its start, on a machine that is busy

-- Ends it when this process says so, or ends itself.
local GUARD = [[exec 2>/dev/null; trap '' INT TERM HUP
'%s' mock --errors -h 127.0.0.1 -p %d api/openapi.json >'%s' 2>&1 </dev/null &
pid=$!
read -r line
kill $pid
wait $pid
]]

local function read_all(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text
end

local Prism = {}
Prism.__index = Prism

local function start_prism()
  local log = scratch.path()
  local port = server.free_port()
  local prism = setmetatable({
    log = log, url = "http://127.0.0.1:" .. port,
    guard = assert(io.popen(GUARD:format(PRISM, port, log), "w")),
  }, Prism)
  local deadline = server.now() + PATIENCE
  while not read_all(log):find("is listening", 1, true) do
    if server.now() > deadline then error("Prism did not start: " .. read_all(log)) end
    server.nap(0.02)
  end
  return prism
end

function Prism:stop()
  self.guard:write "\n"
  self.guard:close()
end

-- What is wrong with a value of the schema, as the client decoded it; nil when nothing is.
local function problem_of(schema, value, place)
  local nullable = schema.nullable
  schema = contract.resolve(schema)
  if value == nil then
    return not (nullable or schema.nullable) and place .. " is missing" or nil
  end
  local expected = ({ array = "table", object = "table", integer = "number" })[schema.type]
    or schema.type
  if expected and type(value) ~= expected then return place .. " is no " .. schema.type end
  if schema.type == "array" then
    for i, item in ipairs(value) do
      local problem = problem_of(schema.items, item, ("%s[%d]"):format(place, i))
      if problem then return problem end
    end
  end
  for _, name in ipairs(schema.type == "object" and schema.required or {}) do
    local problem = problem_of(schema.properties[name], value[name], place .. "." .. name)
    if problem then return problem end
  end
end

-- The schema of what a call gives, with the list that several bodies are answered by.
local function answer_schema(row, is_several)
  local schema = contract.answer_schema(row)
  if is_several then return { type = "array", items = schema } end
  return schema
end

local function judged(client, row, arguments, is_several)
  local response = {}
  arguments[#arguments + 1] = { response = response }
  local resource = client[row.resource]
  local value, err = resource[row.name](resource, (table.unpack or unpack)(arguments))
  if err then error(tostring(err) .. "\n" .. tostring(err.body), 0) end
  assert.is_true(response.status >= 200 and response.status < 300)
  assert.is_nil(response.headers["sl-violations"])
  if row.result == "NOTHING" then return assert.is_true(value) end
  assert.is_nil(response.problem)
  local problem = problem_of(answer_schema(row, is_several), value, contract.label(row))
  if problem then error(problem, 0) end
end

if read_all(PRISM) == "" then
  describe("Prism", function()
    pending "is not installed: make contract"
  end)
  return
end

describe("Prism", function()
  local prism, client

  setup(function()
    prism = start_prism()
    client = helper.client(prism, { max_retries = 0 })
  end)

  teardown(function()
    client:close()
    prism:stop()
  end)

  -- The status of a request that is sent by somebody else.
  local function status_of(options)
    local pipe = assert(io.popen(("curl -s -o /dev/null -w '%%{http_code}' %s '%s/tenants/users'")
      :format(options, prism.url)))
    local status = pipe:read "*a"
    pipe:close()
    return tonumber(status)
  end

  it("refuses what is wrong, so that its word counts", function()
    assert.equal(401, status_of "")
    assert.equal(200, status_of "-H 'apikey: x'")
    assert.equal(422, status_of "-H 'apikey: x' -H 'Content-Type: application/json' -d '{}'")
    assert.equal(422, status_of("-H 'apikey: x' -H 'Content-Type: application/json' "
      .. [[-d '{"email":"a@example.com","groups":["no uuid"]}']]))
  end)

  for _, row in ipairs(cipherscale.operations()) do
    it("takes " .. contract.label(row) .. " with what is required", function()
      judged(client, row, contract.arguments(row, "required"))
    end)

    if #row.query > 0 or #row.body > 0 then
      it("takes " .. contract.label(row) .. " with everything", function()
        judged(client, row, contract.arguments(row, "all"))
      end)
    end

    if row.several then
      it("takes " .. contract.label(row) .. " for several", function()
        local arguments = contract.arguments(row, "all")
        local fields = arguments[#arguments]
        arguments[#arguments] = { fields, fields }
        judged(client, row, arguments, true)
      end)
    end
  end
end)
