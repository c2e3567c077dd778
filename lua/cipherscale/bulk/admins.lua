-- SPDX-License-Identifier: MIT
--
-- Who administrates a tenant: the active users who hold ADMIN or OWNER, directly or by a group.

local guards = require "cipherscale.bulk.guards"

--- @return table|nil admins id → "ADMIN" or "OWNER"
--- @return number|table count how many, or the error
--- @return number reads how many requests it took
return function(client)
  local roles, err = client.roles:list()
  if not roles then return nil, err end
  local admins, count, reads = {}, 0, 1
  for _, role in ipairs(roles) do
    if guards.is_admin(role) then
      local users
      users, err = client.roles:users(role.id, { groups = true })
      if not users then return nil, err end
      reads = reads + 1
      for _, user in ipairs(users) do
        local status = type(user.status) == "string" and user.status:lower()
        if status ~= "deactivated" then
          if not admins[user.id] then count = count + 1 end
          admins[user.id] = admins[user.id] == "OWNER" and "OWNER" or role.type
        end
      end
    end
  end
  return admins, count, reads
end
