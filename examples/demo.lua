-- SPDX-License-Identifier: MIT
--
-- `make demo`: the main job, on real input, over real HTTP. A thousand people from a CSV file get
-- a role, and are then read back one by one. A second job is stopped in the middle, resumed from
-- its journal, verified, and undone to exactly the state before. The service is the sandbox, which
-- this program starts with the people of the same file; nothing leaves this machine.
--
-- With LIVE=1, CIPHERSCALE_API_KEY and CIPHERSCALE_BASE_URL it talks to that tenant instead, with
-- a client that can only read: it plans for the first page of users, and changes nothing.

local cipherscale = require "cipherscale"
local progress = require "examples.progress"

local PEOPLE = "examples/people.csv"
local ROLE = "AUDITOR"
-- Gives its members the role as a group does: they have it, but not directly.
local AUDIT_GROUP = "Internal audit"
-- So many people of the second job are begun before it is stopped.
local STOP_AFTER = 400

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

-- The five operations ---------------------------------------------------------------------------

local function find_user(client, fits)
  for user in client.users:each() do
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

-- The main job ----------------------------------------------------------------------------------

-- Reads everybody's direct roles, many at once: their types by e-mail, "AUDITOR SUPPORT".
local function read_back(client)
  local held, count = {}, 0
  client:run(function(tasks)
    local function direct_roles(user) return client.users:roles(user.id, { rolesOnly = true }) end
    for user, roles, err in tasks:map(client.users:each(), direct_roles) do
      local types = {}
      for n, role in ipairs(assert(roles, err)) do types[n] = role.type end
      table.sort(types)
      held[user.email], count = table.concat(types, " "), count + 1
    end
  end)
  return held, count
end

local function apply(plan, options)
  local bar = progress.new()
  options.on_progress = bar
  local report = assert(plan:apply(options))
  bar:finish()
  return report
end

local function main_job(client)
  heading(("Everybody in %s becomes %s: the plan"):format(PEOPLE, ROLE))
  local plan = assert(client.bulk:roles {
    users = assert(cipherscale.csv(PEOPLE, { columns = { "email" } })),
    add = { ROLE },
    max_changes = 1000,  -- more than 500 must be meant
  })
  print(plan)

  heading "Applying it"
  local report = apply(plan, {})
  print(report)

  heading "Reading everybody back"
  local holders, others = 0, {}
  for email, types in pairs((read_back(client))) do
    if types:find(ROLE, 1, true) then holders = holders + 1 else others[#others + 1] = email end
  end
  print(("  %d have it directly, %d do not"):format(holders, #others))
  for _, email in ipairs(others) do print("  without it: " .. email) end

  local right = report.complete and holders == plan.total and #others == 0
  print(("\n%s: %d of %d people are %s, each read back"):format(
    right and "OK" or "WRONG", holders, plan.total, ROLE))
  return right
end

-- A job that is interrupted, resumed and undone -------------------------------------------------

-- Says who holds something else than expected; gives how many.
local function differences(held, expected)
  local count = 0
  for email, types in pairs(expected) do
    if held[email] ~= types then
      count = count + 1
      print(("  %s: has '%s', not '%s'"):format(email, held[email] or "", types))
    end
  end
  return count
end

local function interrupted_job(client, journal)
  local before, count = read_back(client)

  heading "Everybody becomes BILLING instead of AUDITOR, with a journal: the plan"
  local plan = assert(client.bulk:roles {
    users = assert(cipherscale.csv(PEOPLE, { columns = { "email" } })),
    replace = { AUDITOR = "BILLING" },
    journal = journal,
    max_changes = 1000, max_removal_percent = 100,  -- everybody loses a role: that is meant
  })
  print(plan)
  local wanted = {}
  for email, types in pairs(before) do wanted[email] = types:gsub("AUDITOR", "BILLING") end

  heading(("Applying it, but stopping after %d people, as Ctrl-C could"):format(STOP_AFTER))
  local begun = 0
  apply(plan, { should_stop = function()
    begun = begun + 1
    return begun > STOP_AFTER
  end })
  print "What the journal says:"
  local stopped = assert(client.bulk:report(journal))
  print(stopped)

  heading "Resuming it"
  local bar = progress.new()
  local report = assert(client.bulk:resume(journal, { on_progress = bar }))
  bar:finish()
  print(report)

  heading "Verifying it, and reading everybody back"
  local unlike = assert(client.bulk:verify(journal))
  print(("  verify: %d are not as planned"):format(#unlike))
  local wrong = differences((read_back(client)), wanted)
  print(("  read back: %d of %d hold what was asked for"):format(count - wrong, count))
  local right = not stopped.complete and stopped.changed == STOP_AFTER and report.complete
    and #unlike == 0 and wrong == 0

  heading "Undoing it: the plan"
  local undo = assert(client.bulk:undo(journal))
  print(undo)

  heading "Applying it"
  report = apply(undo, {})
  print(report)

  heading "Reading everybody back"
  local left = differences((read_back(client)), before)
  print(("  %d of %d hold exactly what they held before"):format(count - left, count))
  right = right and report.complete and left == 0
  print(("\n%s: a job for %d people was stopped after %d, resumed, verified and undone"):format(
    right and "OK" or "WRONG", plan.total, stopped.changed))
  return right
end

-- Calls work with the path of a file that does not exist yet; removes it afterwards.
local function with_temporary_path(work)
  local name = os.tmpname()
  local path = name .. ".jsonl"
  local ok, value = pcall(work, path)
  os.remove(name)
  os.remove(path)
  if not ok then error(value, 0) end
  return value
end

local function demo()
  local server = start_sandbox()
  local client = server:client()
  print("The sandbox serves at " .. server.url)

  heading "The five operations, one call each"
  call_each_operation(client)

  local right = main_job(client) and with_temporary_path(function(journal)
    return interrupted_job(client, journal)
  end)
  client:close()
  server:stop()
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
