-- SPDX-License-Identifier: MIT
-- README's examples: each Lua block is run as it stands, in a process of its own, against a
-- sandbox with the people of examples/people.csv; where a block of text follows, it is what the
-- example prints, but for times.

local cipherscale = require "cipherscale"
local helper = require "spec.support.helper"
local sandbox = require "cipherscale.sandbox"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- The examples, in order: { code =, output = or nil, line = }.
local function examples_of(markdown)
  local found, line, block = {}, 0, nil
  for text in markdown:gmatch("([^\n]*)\n") do
    line = line + 1
    if block and text == "```" then
      block.body = table.concat(block.body, "\n") .. "\n"
      local previous = found[#found]
      if block.language == "lua" then
        found[#found + 1] = { code = block.body, line = block.line, ends = line }
      elseif block.language == "text" and previous and previous.ends == block.line - 1 then
        previous.output = block.body
      end
      block = nil
    elseif block then
      block.body[#block.body + 1] = text
    elseif text:find("^```") then
      block = { language = text:sub(4), line = line, body = {} }
    end
  end
  return found
end

-- What the examples take for given: a client, and somebody to work on.
local PREAMBLE = [[
cipherscale = require "cipherscale"
client = cipherscale.new()
user_id, role_id, group_id, ids = %q, %q, %q, { %q, %q }
]]

local function without_times(text)
  return (text:gsub("%d+%-%d+%-%d+ %d+:%d+:%d+ UTC", "TIME"):gsub("took [%d.]+ s", "took N s"))
end

describe("README", function()
  local server

  before_each(function()
    local users = {}
    for row in assert(cipherscale.csv "examples/people.csv") do
      users[#users + 1] = { email = row.email, status = row.status, firstName = row.firstName,
        lastName = row.lastName }
    end
    server = sandbox.start { users = users, groups = { "Operations" } }
  end)

  after_each(function()
    server:stop()
  end)

  local function run(example)
    local state = server:state()
    local preamble = PREAMBLE:format(state.users[1].id, state.roles[6].id, state.groups[1].id,
      state.users[1].id, state.users[2].id)
    return helper.run_lua(preamble .. example.code,
      { CIPHERSCALE_BASE_URL = server.url, CIPHERSCALE_API_KEY = server.api_key })
  end

  for _, example in ipairs(examples_of(read "README.md")) do
    it(("has an example in line %d that runs"):format(example.line), function()
      local output, code = run(example)
      assert.equal(0, code, output)
      assert.is_nil(output:find(server.api_key, 1, true))
      if example.output then
        assert.equal(without_times(example.output), without_times(output))
      end
    end)
  end

  it("shows what the first examples print", function()
    local shown = 0
    for _, example in ipairs(examples_of(read "README.md")) do
      if example.output then shown = shown + 1 end
    end
    assert.is_true(shown >= 2)
  end)
end)
