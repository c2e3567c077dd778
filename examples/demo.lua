-- SPDX-License-Identifier: MIT
--
-- `make demo`: the main job, on real input, over real HTTP. A thousand people from a CSV file get
-- a role, and are then read back one by one. The service is the sandbox, which this program starts
-- with the people of the same file; nothing leaves this machine.
--
-- With LIVE=1, CIPHERSCALE_API_KEY and CIPHERSCALE_BASE_URL it talks to that tenant instead, with
-- a client that can only read: it plans for the first page of users, and changes nothing.

local cipherscale = require "cipherscale"
local progress = require "examples.progress"

local PEOPLE = "examples/people.csv"
local ROLE = "AUDITOR"
-- Gives its members the role as a group does: they have it, but not directly.
local AUDIT_GROUP = "Internal audit"

local function heading(text) print(("\n== %s"):format(text)) end

local function names(roles)
  local list = {}
  for n, role in ipairs(roles) do list[n] = role.name end
  return #list > 0 and table.concat(list, ", ") or "none"
end

-- The sandbox -----------------------------------------------------------------------------------

local function split(text)
  local list = {}
  for name in text:gmatch("[^,%s][^,]*") do list[#list + 1] = name end
  return list
end

-- A tenant with everybody in the file, their status and their groups.
local function start_sandbox()
  local users, groups, known = {}, {}, {}
  for row in assert(cipherscale.csv(PEOPLE, { columns = { "email", "status", "groups" } })) do
    users[#users + 1] = {
      email = row.email, firstName = row.firstName, lastName = row.lastName,
      status = row.status, groups = split(row.groups),
    }
    for _, name in ipairs(users[#users].groups) do
      if not known[name] then
        known[name] = true
        groups[#groups + 1] = { name = name, roles = name == AUDIT_GROUP and { ROLE } or nil }
      end
    end
  end
  return require("cipherscale.sandbox").start { users = users, groups = groups }
end

-- Every user, page after page.
local function every_user(client)
  return coroutine.wrap(function()
    local offset = 0
    repeat
      local page = assert(client.users:page { limit = 100, offset = offset })
      for _, user in ipairs(page.data) do coroutine.yield(user) end
      offset = offset + #page.data
    until offset >= page.total
  end)
end

-- The five operations ---------------------------------------------------------------------------

local function find_user(client, fits)
  for user in every_user(client) do
    if fits(user) then return user end
  end
  error("nobody in the tenant fits")
end

local function group_of(user, name)
  for _, group in ipairs(user.groups) do
    if group.name == name then return group end
  end
end

local function find_role(client, kind)
  for _, role in ipairs(assert(client.roles:list())) do
    if role.type == kind then return role end
  end
  error("no such role: " .. kind)
end

local function call_each_operation(client)
  local user = find_user(client, function(someone) return someone.status == "Deactivated" end)
  local reactivated = assert(client.users:reactivate(user.id))
  print(("reactivate    %s was %s, is %s"):format(user.email, user.status, reactivated.status))

  user = find_user(client, function(someone) return someone.status == "Invited" end)
  assert(client.users:invite(user.id))
  print(("invite        %s was sent another invitation"):format(user.email))

  user = find_user(client, function(someone) return group_of(someone, AUDIT_GROUP) end)
  local all = assert(client.users:roles(user.id))
  local direct = assert(client.users:roles(user.id, { rolesOnly = true }))
  print(("roles         %s has %s; directly: %s"):format(user.email, names(all), names(direct)))

  assert(client.users:update_roles(user.id, {
    addedRoles = { find_role(client, ROLE).id, find_role(client, "SUPPORT").id },
  }))
  direct = assert(client.users:roles(user.id, { rolesOnly = true }))
  print(("update_roles  %s has directly: %s"):format(user.email, names(direct)))

  local group = group_of(user, AUDIT_GROUP)
  user = find_user(client, function(someone) return not group_of(someone, AUDIT_GROUP) end)
  assert(client.users:add_to_group(user.id, group.id))
  local groups = assert(client.users:get(user.id)).groups
  print(("add_to_group  %s is in: %s"):format(user.email, names(groups)))
end

-- The bulk job ----------------------------------------------------------------------------------

-- Reads everybody's direct roles, many at once. Gives how many have the role, and who does not.
local function read_back(client)
  local holders, others = 0, {}
  client:run(function(tasks)
    local function direct_roles(user) return client.users:roles(user.id, { rolesOnly = true }) end
    for user, roles, err in tasks:map(every_user(client), direct_roles) do
      local has = false
      for _, role in ipairs(assert(roles, err)) do has = has or role.type == ROLE end
      if has then holders = holders + 1 else others[#others + 1] = user.email end
    end
  end)
  return holders, others
end

local function demo()
  local server = start_sandbox()
  local client = server:client()
  print("The sandbox serves at " .. server.url)

  heading "The five operations, one call each"
  call_each_operation(client)

  heading(("Everybody in %s becomes %s: the plan"):format(PEOPLE, ROLE))
  local plan = assert(client.bulk:roles {
    users = assert(cipherscale.csv(PEOPLE, { columns = { "email" } })),
    add = { ROLE },
  })
  print(plan)

  heading "Applying it"
  local report = assert(plan:apply { on_progress = progress.new() })
  print(report)

  heading "Reading everybody back"
  local holders, others = read_back(client)
  print(("  %d have it directly, %d do not"):format(holders, #others))
  for _, email in ipairs(others) do print("  without it: " .. email) end

  client:close()
  server:stop()
  local right = report.complete and holders == plan.total and #others == 0
  print(("\n%s: %d of %d people are %s, each read back"):format(
    right and "OK" or "WRONG", holders, plan.total, ROLE))
  return right
end

-- A real tenant ---------------------------------------------------------------------------------

local function live()
  for _, name in ipairs { "CIPHERSCALE_API_KEY", "CIPHERSCALE_BASE_URL" } do
    if (os.getenv(name) or "") == "" then
      io.stderr:write("LIVE=1 needs CIPHERSCALE_API_KEY and CIPHERSCALE_BASE_URL\n")
      return false
    end
  end
  -- Both are read from the environment by default.
  local client = cipherscale.new { read_only = true, app = "demo" }

  heading "The roles of this tenant"
  print(names(assert(client.roles:list())))

  heading(("The first users become %s: the plan, which is not applied"):format(ROLE))
  local page = assert(client.users:page { limit = 100 })
  print(assert(client.bulk:roles { users = page.data, add = { ROLE } }))

  client:close()
  print(("\nOK: planned for %d users; nothing was changed"):format(#page.data))
  return true
end

local is_live = os.getenv "LIVE" == "1"
os.exit((is_live and live or demo)(), true)
