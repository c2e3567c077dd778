-- SPDX-License-Identifier: MIT
-- Run by .ci/rock with nothing but an installed tree on the search paths, in an empty folder: the
-- sandbox is started, the core operations are called, and every module must come from the tree.
local tree, sandbox_url, sandbox_key = ...

local cipherscale = require "cipherscale"

local function call(client, who, role)
  local user = cipherscale.assert(client.users:get(who))
  assert(user.id == who)
  assert(cipherscale.assert(client.users:update_roles(who, { addedRoles = { role.id } })) == true)
  local found = false
  for _, held in ipairs(cipherscale.assert(client.users:roles(who))) do
    found = found or held.id == role.id
  end
  assert(found, "the role that was added is not there")
  local none, err = client.users:get("8b6c5a3e-0000-4000-8000-000000000000")
  assert(none == nil and err.kind == "http" and err.status == 404, tostring(err))
end

local function try(client)
  local page = cipherscale.assert(client.users:page { limit = 3 })
  local role
  for _, known in ipairs(cipherscale.assert(client.roles:list())) do
    if known.type == "AUDITOR" then role = known end
  end
  local done = client:run(function(tasks)
    for _, user in ipairs(page.data) do tasks:spawn(call, client, user.id, role) end
    tasks:wait()
    return #page.data
  end)
  assert(done == 3)
  client:close()
end

local server = require("cipherscale.sandbox").start { users = 10 }
try(server:client {})
server:stop()

-- The installed command, which .ci/rock has started.
try(cipherscale.new { base_url = sandbox_url, api_key = sandbox_key })

local count = 0
for name in pairs(package.loaded) do
  if name:find "^cipherscale" then
    local place = package.searchpath(name, package.path)
      or package.searchpath(name, package.cpath) or "nowhere"
    assert(place:sub(1, #tree + 1) == tree .. "/", name .. " comes from " .. place)
    count = count + 1
  end
end
print(("%d modules, all from the tree"):format(count))
