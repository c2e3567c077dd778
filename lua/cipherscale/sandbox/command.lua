#!/usr/bin/env lua5.4
-- SPDX-License-Identifier: MIT
--
-- The command cipherscale-sandbox: starts a sandbox, prints what to export, serves until SIGINT
-- or SIGTERM. What goes wrong is a line on standard error; 1 is a failure, 2 is wrong usage.

local core = require "cipherscale.sandbox.core"
local names = require "cipherscale.sandbox.names"
local sandbox = require "cipherscale.sandbox"

local DEFAULT_USERS = 10

local USAGE = [[
usage: cipherscale-sandbox [--users N | --csv FILE] [--port P]

Serves a stand-in for the Cipherscale API on 127.0.0.1 until it is interrupted.

  --users N    invent N users (default 10)
  --csv FILE   take the users of a CSV file: column email or id; also firstName, lastName,
               status, roles and groups (several in one field: separated by semicolons)
  --port P     listen on this port (default: any free one)
  --help       show this text
]]

-- Options that take a value.
local OPTIONS = { ["--users"] = "users", ["--csv"] = "csv", ["--port"] = "port" }

local function usage_problem(text, ...)
  error({ exit = 2, text = text:format(...) }, 0)
end

local function failure(text)
  error({ exit = 1, text = tostring(text) }, 0)
end

local function unknown(option)
  local known = names.sorted(OPTIONS)
  known[#known + 1] = "--help"
  local near = names.nearest(option, known)
  local hint = near and ("; did you mean '%s'?"):format(near) or ""
  usage_problem("unknown option '%s'%s", option, hint)
end

local function whole_number(text, most, option)
  local value = text:find("^%d+$") and tonumber(text)
  if not value or value > most then
    usage_problem("%s: a whole number up to %d expected, got '%s'", option, most, text)
  end
  return value
end

local function read_arguments(arguments)
  local options, i = {}, 1
  while arguments[i] do
    local option, value = arguments[i]:match("^(%-%-[^=]+)=(.*)$")
    option = option or arguments[i]
    if option == "--help" or option == "-h" then return { help = true } end
    local name = OPTIONS[option] or unknown(option)
    if not value then
      i = i + 1
      value = arguments[i] or usage_problem("%s: a value is missing", option)
    end
    options[name], i = value, i + 1
  end
  if options.users and options.csv then usage_problem("--users and --csv exclude each other") end
  options.users = options.users and whole_number(options.users, 1000000, "--users")
  options.port = options.port and whole_number(options.port, 65535, "--port")
  return options
end

local COLUMNS = {
  id = "id", email = "email", mail = "email", firstname = "firstName", lastname = "lastName",
  status = "status", roles = "roles", groups = "groups",
}

local function split_list(text)
  local list = {}
  for item in text:gmatch("[^;|]+") do
    item = item:match("^%s*(.-)%s*$")
    if item ~= "" then list[#list + 1] = item end
  end
  return list
end

-- Column names as people write them: "First name", "first_name", "E-Mail".
local function read_row(row)
  local user = {}
  for column, value in pairs(row) do
    local field = COLUMNS[column:lower():gsub("[ _-]", "")]
    if field and value ~= "" then
      user[field] = (field == "roles" or field == "groups") and split_list(value) or value
    end
  end
  return user
end

local function read_csv(path)
  local reader, problem = require("cipherscale.csv").open(path)
  if not reader then failure(problem) end
  local users, groups, known = {}, {}, {}
  for row, line in reader do
    local user = read_row(row)
    if not user.email and not user.id then
      failure(("%s, line %d: neither email nor id"):format(path, line))
    end
    for _, group in ipairs(user.groups or {}) do
      if not known[group] then
        known[group], groups[#groups + 1] = true, group
      end
    end
    users[#users + 1] = user
  end
  return users, groups
end

local function start(options)
  local users, groups = options.users or DEFAULT_USERS, nil
  if options.csv then users, groups = read_csv(options.csv) end
  return sandbox.start { users = users, groups = groups, port = options.port }
end

local function serve(arguments)
  local options = read_arguments(arguments)
  if options.help then
    io.stdout:write(USAGE)
    return
  end
  core.hold_signals()
  local server = start(options)
  io.stdout:write("export CIPHERSCALE_BASE_URL=", server.url, "\n",
    "export CIPHERSCALE_API_KEY=", server.api_key, "\n")
  io.stdout:flush()
  core.wait_for_signal()
  server:stop()
end

local function run(arguments)
  local ok, problem = pcall(serve, arguments)
  if ok then return 0 end
  if type(problem) ~= "table" then
    -- Where in the program it was raised is of no use to who calls the command.
    problem = { exit = 1, text = (tostring(problem):gsub("^[^:]+:%d+: ", "")) }
  end
  io.stderr:write("cipherscale-sandbox: ", problem.text, "\n")
  if problem.exit == 2 then io.stderr:write("\n", USAGE) end
  return problem.exit
end

os.exit(run(arg), true)
