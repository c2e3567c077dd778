-- SPDX-License-Identifier: MIT
-- The examples of README.md and doc/: each Lua block is run as it stands, in a process of its own;
-- where a block of text follows, it is what the example prints, but for times and carriage
-- returns. Blocks of sh are run as well. The examples of a chapter share a folder, and a sandbox
-- with the people of examples/people.csv, which the command serves as README says.

local folder = require "spec.support.folder"
local guards = require "cipherscale.bulk.guards"
local options = require "cipherscale.bulk.options"

local COMMAND = "exec lua5.4 lua/cipherscale/sandbox/command.lua --csv examples/people.csv"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- The chapters, in order: { title =, line =, [n] = example }; an example has language, code, line,
-- and output where one is shown.
local function chapters_of(markdown)
  local chapters, line, block, ends = { { title = "the beginning", line = 1 } }, 0, nil, nil
  for text in markdown:gmatch("([^\n]*)\n") do
    line = line + 1
    local chapter = chapters[#chapters]
    if block and text == "```" then
      local body = table.concat(block, "\n") .. "\n"
      if block.language == "text" and ends == block.line - 1 then
        chapter[#chapter].output = body
      else
        chapter[#chapter + 1] = { language = block.language, code = body, line = block.line }
        ends = line
      end
      block = nil
    elseif block then
      block[#block + 1] = text
    elseif text:find("^```") then
      block = { language = text:sub(4), line = line }
    elseif text:find("^## ") then
      chapters[#chapters + 1] = { title = text:sub(4), line = line }
    end
  end
  return chapters
end

-- What the examples take for given: a client, and somebody to work on.
local PREAMBLE = [[
cipherscale = require "cipherscale"
client = cipherscale.new()
do
  local users = assert(client.users:page { limit = 2 }).data
  user_id, ids = users[1].id, { users[1].id, users[2].id }
  role_id = assert(client.roles:list())[6].id
  group_id = assert(client.groups:page { limit = 1 }).data[1].id
end
]]

local function without_times(text)
  return (text:gsub("\r", ""):gsub("%d+%-%d+%-%d+ %d+:%d+:%d+ UTC", "TIME")
    :gsub("took [%d.]+ s", "took N s"):gsub("about [%d.]+ s", "about N s"))
end

-- The sandbox of a chapter: { pipe =, pid =, env = }.
local function start_sandbox()
  local pipe = assert(io.popen("echo $$\n" .. COMMAND))
  local server = { pipe = pipe, pid = pipe:read "l", env = { USER = "ann", LOGNAME = "ann" } }
  for _ = 1, 2 do
    local name, value = pipe:read("l"):match("^export ([%w_]+)=(.*)$")
    server.env[name] = value
  end
  return server
end

local function run(example, here, env)
  if example.language == "sh" then return here:run(example.code, env) end
  here:write("example.lua", PREAMBLE .. example.code)
  return here:run("lua5.4 example.lua", env)
end

for _, document in ipairs { "README.md", "doc/bulk.md" } do
  describe(document, function()
    for _, chapter in ipairs(chapters_of(read(document))) do
      describe(("has in '%s'"):format(chapter.title), function()
        local here, server

        setup(function()
          if #chapter > 0 then here, server = folder.new(), start_sandbox() end
        end)

        teardown(function()
          if not server then return end
          os.execute("kill " .. server.pid)
          server.pipe:close()
        end)

        for _, example in ipairs(chapter) do
          it(("an example in line %d that runs"):format(example.line), function()
            local output, code = run(example, here, server.env)
            assert.equal(0, code, output)
            assert.is_nil(output:find(server.env.CIPHERSCALE_API_KEY, 1, true))
            if example.output then
              assert.equal(without_times(example.output), without_times(output))
            end
          end)
        end
      end)
    end
  end)
end

describe("doc/bulk.md", function()
  local text = read "doc/bulk.md"

  it("has every option of a job and of apply, and every guard rail with its default", function()
    for _, list in ipairs { options.job, options.apply } do
      for _, name in ipairs(list) do
        assert.truthy(text:find(("\n| `%s` | "):format(name), 1, true), name)
      end
    end
    for _, row in ipairs(guards.list) do
      if row.option and row.default and type(row.default) ~= "table" then
        local line = ("\n| `%s` | %s | "):format(row.option, tostring(row.default))
        assert.truthy(text:find(line, 1, true), line)
      end
    end
  end)
end)

describe("README", function()
  it("shows what its examples print", function()
    local shown = 0
    for _, chapter in ipairs(chapters_of(read "README.md")) do
      for _, example in ipairs(chapter) do
        if example.output then shown = shown + 1 end
      end
    end
    assert.is_true(shown >= 10)
  end)
end)
