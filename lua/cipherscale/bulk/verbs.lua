-- SPDX-License-Identifier: MIT
--
-- What a bulk job can do: one row a verb. Every verb gives things to people or takes them away:
-- roles, groups, or one thing that is not named (access, an invitation). A row says which things
-- there are, which of them a user page already shows, how one user's are read, and the call that
-- changes them. Whatever is true of all verbs is in the other files; an `if` about one verb there
-- means that this table lacks a column.

local core = require "cipherscale.core"
local PATIENT = require "cipherscale.bulk.patient"
local state = require "cipherscale.bulk.state"

-- How many users are asked at most whether the service tells direct roles from inherited ones.
local PROOFS = 20

local function held_among(things, concerned)
  local held = {}
  for _, thing in ipairs(things) do
    local id = type(thing) == "table" and thing.id
    if id and concerned[id] then held[id] = true end
  end
  return held
end

local function listed(value) return type(value) == "table" and value or nil end

-- A verb about the state of the account: one thing that is held but in some states. The method of
-- client.users that gives it, or takes it away, has the verb's name.
local function account(row)
  local thing = { id = row.thing, name = row.thing, label = row.thing }
  row.noun, row.sides, row.fixed = row.thing, {}, { [row.side] = { thing.id } }
  -- The roles tell the tenant from another.
  row.list = function(client)
    local roles, err = state.known(client.roles:list(PATIENT))
    if not roles then return nil, err end
    return { thing, table.unpack(roles) }
  end
  row.shown = function(user) return { [thing.id] = state.lacks(user) ~= thing.id or nil } end
  row.send = function(client, id) return client.users[row.name](client.users, id, PATIENT) end
  return row
end

local M = {
  {
    name = "roles",
    doc = "Gives and takes direct roles; what groups give is left alone.",
    noun = "role",
    -- The options that name things.
    sides = { "add", "remove", "set", "replace" },
    -- Others that no other verb has.
    options = { "direct_roles" },
    undo = "roles",
    -- Everything in the tenant that can be named.
    list = function(client) return state.known(client.roles:list(PATIENT)) end,
    -- What a user page shows is direct and inherited together. It settles the matter where the
    -- user has none of the roles in question, or no group that a role could come from. Else there
    -- is something to be told apart, which is false; nil is a page that does not tell.
    shown = function(user, concerned)
      if not listed(user.roles) then return nil end
      local held = held_among(user.roles, concerned)
      if next(held) == nil or listed(user.groups) and #user.groups == 0 then return held end
      return false
    end,
    -- What one user holds, of the things concerned. `witnesses` collects those for `prove`.
    read = function(client, id, concerned, witnesses)
      local roles, err = state.known(client.users:roles(id, { rolesOnly = true }, PATIENT))
      if not roles then return nil, err end
      if witnesses and #roles > 0 and #witnesses < PROOFS then
        witnesses[#witnesses + 1] = { id = id, roles = state.of(roles) }
      end
      return held_among(roles, concerned)
    end,
    -- `rolesOnly` is documented by its name only, so it is proved, not believed: by one user whose
    -- direct and inherited roles differ. A service that ignored it would show the same twice.
    prove = function(client, witnesses)
      for n, witness in ipairs(witnesses) do
        local inherited, err = state.known(
          client.users:roles(witness.id, { groupsOnly = true }, PATIENT))
        if not inherited then return nil, err end
        if not state.equal(witness.roles, state.of(inherited)) then return n end
      end
      if #witnesses == 0 then return 0 end
      return nil, core.error {
        kind = "refused",
        message = ("direct and inherited roles cannot be told apart: rolesOnly and groupsOnly gave "
          .. "the same for %d of %d users (direct_roles = \"assume\" plans all the same)")
          :format(#witnesses, #witnesses),
      }
    end,
    -- All that a user has in the end, whatever it comes from: none of it may be lost unasked.
    effective = function(client, id)
      local roles, err = state.known(client.users:roles(id, nil, PATIENT))
      return roles and state.of(roles), err
    end,
    -- Sends one change; the third value is what was done before an error.
    send = function(client, id, change)
      change.body = change.body or { -- many people share a change
        addedRoles = state.each(change.add, "id"), removedRoles = state.each(change.remove, "id"),
      }
      return client.users:update_roles(id, change.body, PATIENT)
    end,
    -- How many hold a thing in the tenant, and how many requests it takes to know.
    holders = function(client, thing)
      local users, err = client.roles:users(thing.id, { groups = true }, PATIENT)
      if not users then return nil, err end
      return #users, 1
    end,
  },
  {
    name = "groups",
    doc = "Makes people members of groups, or ends that.",
    noun = "group",
    sides = { "add", "remove", "set" },
    undo = "groups",
    list = function(client) return state.known(client.groups:list(nil, PATIENT)) end,
    shown = function(user, concerned)
      return listed(user.groups) and held_among(user.groups, concerned)
    end,
    holders = function(_, group) return listed(group.users) and #group.users or 0, 0 end,
    -- How many requests a change takes, where each thing takes one, in order.
    requests = function(change) return #change.add + #change.remove end,
    send = function(client, id, change)
      local done, users = { add = {}, remove = {} }, client.users
      for _, side in ipairs { "add", "remove" } do
        local call = side == "add" and users.add_to_group or users.remove_from_group
        for _, group in ipairs(change[side]) do
          local ok, err = call(users, id, group.id, PATIENT)
          if not ok then return nil, err, done end
          table.insert(done[side], group)
        end
      end
      return true
    end,
  },
  account {
    name = "deactivate",
    doc = "Suspends accounts; what they have is kept. Undone, all are active, also the invited.",
    thing = "access", side = "remove", undo = "reactivate",
  },
  account {
    name = "reactivate",
    doc = "Gives deactivated accounts access again.",
    thing = "access", side = "add", undo = "deactivate",
  },
  account {
    name = "invite",
    doc = "Mails invitations to people who have not accepted one; each at most once.",
    thing = "invitation", side = "add",
    -- An e-mail goes out: never sent again by itself, nothing to read back, nothing to undo.
    once = true,
  },
}

-- What a page shows in any case, the user itself shows, too.
for _, verb in ipairs(M) do
  verb.read = verb.read or function(client, id, concerned)
    local user, err = client.users:get(id, PATIENT)
    if not user then return nil, err end
    return verb.shown(user, concerned) or {}
  end
end

return M
