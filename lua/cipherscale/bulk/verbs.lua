-- SPDX-License-Identifier: MIT
--
-- What a bulk job can do: one row a verb. A row says how things are named, what a user page
-- already shows, what must be read for one user, what differs, and the call that changes it.
-- Whatever is true of all verbs is in the other files; an `if` about one verb there means that
-- this table lacks a column.

local function ids(things)
  local list = {}
  for n, thing in ipairs(things) do list[n] = thing.id end
  return list
end

return {
  {
    name = "roles",
    doc = "Adds and removes direct roles; what groups give is left alone.",
    noun = "role",
    -- The options that name things, in the order in which they are shown, with their sign.
    sides = { "add", "remove" },
    -- Everything in the tenant that can be named.
    list = function(client) return client.roles:list() end,
    -- What a user page shows is direct and inherited together. It settles the matter where the
    -- user has none of the roles in question, or no group that a role could come from.
    shown = function(user, concerned)
      if not user.roles then return nil end
      local held = {}
      for _, role in ipairs(user.roles) do
        if concerned[role.id] then held[role.id] = true end
      end
      if next(held) == nil or user.groups and #user.groups == 0 then return held end
      return nil
    end,
    -- The direct ones alone.
    read = function(client, id, concerned)
      local roles, err = client.users:roles(id, { rolesOnly = true })
      if not roles then return nil, err end
      local held = {}
      for _, role in ipairs(roles) do
        if concerned[role.id] then held[role.id] = true end
      end
      return held
    end,
    -- What is held and what is asked for → what to change.
    difference = function(held, asked)
      local change = { add = {}, remove = {} }
      for _, role in ipairs(asked.add) do
        if not held[role.id] then change.add[#change.add + 1] = role end
      end
      for _, role in ipairs(asked.remove) do
        if held[role.id] then change.remove[#change.remove + 1] = role end
      end
      return change
    end,
    send = function(client, id, change)
      return client.users:update_roles(id, {
        addedRoles = ids(change.add),
        removedRoles = ids(change.remove),
      })
    end,
  },
}
