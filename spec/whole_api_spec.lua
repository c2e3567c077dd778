-- SPDX-License-Identifier: MIT
-- Client and sandbox together, for every operation that there is: the client's rows and the
-- sandbox's routes are two readings of one contract. Each operation is done once, with what it did
-- read back; refused once, with nothing changed; and done while the first answer gets lost. The
-- rows are in spec/whole_api; an operation without one is a failure.
--
-- A row: `done`, a function(client, service) that returns what the operation gave; `refused`, the
-- status and a function(client, stranger, unchecked) that returns what the operation gave. A
-- stranger has another key; `unchecked` sends any body.

local cipherscale = require "cipherscale"
local sandbox = require "cipherscale.sandbox"
local helper = require "spec.support.helper"

local rows, tenant = {}, {}
for _, part in ipairs { "people", "network" } do
  part = require("spec.whole_api." .. part)
  for name, row in pairs(part.rows) do rows[name] = row end
  for name, list in pairs(part.tenant) do tenant[name] = list end
end

local function name_of(operation)
  return operation.resource .. "." .. operation.name
end

-- A pattern for the paths that its template becomes.
local function paths_of(operation)
  return "^" .. operation.path:gsub("%-", "%%-"):gsub("{.-}", "[^/]+") .. "$"
end

-- What became of the requests of this operation: statuses, or "lost".
local function fates(server, operation)
  local pattern, found = paths_of(operation), {}
  for _, request in ipairs(server:requests()) do
    if request.method == operation.method and request.path:find(pattern) then
      found[#found + 1] = request.lost and "lost" or request.status
    end
  end
  return found
end

local function check_value(operation, value)
  if operation.result == "NOTHING" then
    assert.is_true(value)
  else
    assert.is_table(value)
  end
end

describe("client and sandbox", function()
  local server, client, stranger, unchecked

  setup(function()
    server = sandbox.start(tenant)
    client = server:client { max_retries = 0 }
    unchecked = server:client { max_retries = 0, validate = false }
    stranger = helper.client(server, { max_retries = 0 })
  end)

  teardown(function()
    for _, each in ipairs { client, unchecked, stranger } do each:close() end
    server:stop()
  end)

  before_each(function() server:clear_requests() end)

  for _, operation in ipairs(cipherscale.operations()) do
    local name = name_of(operation)
    local row = rows[name]

    it("agree on " .. name, function()
      assert.is_table(row, name .. " has no row")
      check_value(operation, row.done(client, server))
      local answered = fates(server, operation)
      assert.is_true(#answered > 0, "it was not sent")
      for _, status in ipairs(answered) do assert.is_true(status >= 200 and status < 300, name) end
    end)

    it("agree on how " .. name .. " is refused", function()
      assert.is_table(row, name .. " has no row")
      local before, status = server:state(), row.refused[1]
      local value, err = row.refused[2](client, stranger, unchecked)
      assert.is_nil(value)
      assert.same({ "http", status, name, operation.method },
        { err.kind, err.status, err.operation, err.method })
      assert.is_true(#err.message > 0)
      assert.same({ status }, fates(server, operation))
      assert.same(before, server:state())
    end)
  end

  it("have no row for an operation that is not there", function()
    local known = {}
    for _, operation in ipairs(cipherscale.operations()) do known[name_of(operation)] = true end
    for name in pairs(rows) do assert.is_true(known[name], name) end
  end)
end)

describe("client and sandbox, where the first answer is lost,", function()
  local server, client

  setup(function()
    server = sandbox.start(tenant)
    client = server:client { max_retries = 1 }
  end)

  teardown(function()
    client:close()
    server:stop()
  end)

  for _, operation in ipairs(cipherscale.operations()) do
    local name = name_of(operation)
    local row = rows[name]

    -- On a connection that was used before, where a repeat does not wait.
    local function lose_first()
      server:misbehave {}
      assert(client.roles:list())
      server:clear_requests()
      server:misbehave { match = { method = operation.method, path = paths_of(operation) },
                         lose = { times = 1 } }
    end

    if operation.repeat_class == "ONCE" then
      it("do not send " .. name .. " again", function()
        lose_first()
        local ok, value = pcall(row.done, client, server)
        assert.is_true(not ok or value == nil, name)
        assert.same({ "lost" }, fates(server, operation))
      end)
    else
      it("get " .. name .. " done all the same", function()
        lose_first()
        check_value(operation, row.done(client, server))
        assert.equal("lost", fates(server, operation)[1])
      end)
    end
  end
end)
