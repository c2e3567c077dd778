-- SPDX-License-Identifier: MIT
-- Every operation on users, roles, groups and devices, done and refused: see whole_api_spec.lua.
-- Each row has records of its own, called as the row.

local assert = require "luassert"
local reading = require "spec.whole_api.reading"

local find, ids = reading.find, reading.ids

local M = {}

M.tenant = {
  roles = {
    { id = "owner", type = "OWNER" }, { id = "audit", type = "AUDITOR", description = "Reads." },
    { id = "support", type = "SUPPORT" }, { id = "basic", type = "BASIC" },
  },
  groups = {
    { id = "crew", name = "Crew", roles = { "audit" }, idpMapping = { "crew" } },
    { id = "staff", name = "Staff", roles = { "support" } },
    { id = "update", name = "Old", roles = { "audit" } }, { id = "delete", roles = { "support" } },
    { id = "fixed", name = "Everybody", deleteable = false },
  },
  users = {
    { id = "ann", email = "ann@example.com", firstName = "Ann", roles = { "basic" },
      groups = { "crew" }, devices = { { id = "laptop", posture = {}, appVersion = "2.1" } } },
    { id = "bob", email = "bob@example.com", groups = { "crew" }, maxDevices = 3 },
    { id = "boss", email = "boss@example.com", roles = { "owner" } },
    { id = "update", firstName = "Old", lastName = "Name" },
    { id = "delete", groups = { "staff" } }, { id = "deactivate", devices = { { id = "his" } } },
    { id = "reactivate", status = "Deactivated" }, { id = "invite", status = "Invited" },
    { id = "roles", roles = { "basic", "support" }, groups = { "crew" } },
    { id = "update_roles", roles = { "basic", "support" } }, { id = "add_to_group" },
    { id = "remove_from_group", groups = { "crew", "staff" } },
    { id = "take_from_user", roles = { "basic", "support" } },
    { id = "member", groups = { "delete" } },
    { id = "owner_of", devices = { { id = "delete" }, { id = "deactivate" } } },
  },
}

local rows = {}
M.rows = rows

-- Users

rows["users.page"] = {
  done = function(api, service)
    local page = assert(api.users:page { limit = 2, offset = 1 })
    assert.same({ "bob boss", 2, true, true },
      { ids(page.data), page.limit, page.hasNext, page.hasPrevious })
    assert.equal(#service:state().users, page.total)
    return page
  end,
  refused = { 400, function(api) return api.users:page { filter = { shoes = { eq = "9" } } } end },
}

rows["users.get"] = {
  done = function(api, service)
    local ann = assert(api.users:get "ann")
    assert.same({ "Ann", "basic audit", "crew", "laptop" },
      { ann.firstName, ids(ann.roles), ids(ann.groups), ids(ann.devices) })
    assert.same(service:state().users[1], ann)
    return ann
  end,
  refused = { 404, function(api) return api.users:get "nobody" end },
}

rows["users.create"] = {
  done = function(api, service)
    local one = assert(api.users:create { email = "new@example.com", groups = { "crew" } })
    assert.same(one, assert(api.users:get(one.id)))
    assert.same({ "Invited", "audit" }, { one.status, ids(one.roles) })
    local two = assert(api.users:create {
      { email = "n1@example.com", groups = {} }, { email = "n2@example.com", groups = { "crew" } },
    })
    assert.equal("n2@example.com", assert(api.users:get(two[2].id)).email)
    local invited = table.concat(service:state().invitations, " ")
    assert.truthy(invited:find(one.id .. " " .. ids(two), 1, true))
    return two
  end,
  refused = { 409, function(api)
    return api.users:create { email = "ann@example.com", groups = {} }
  end },
}

rows["users.update"] = {
  done = function(api)
    local user = assert(api.users:update("update", { firstName = "New", image = "/me.png" }))
    assert.same({ "New", "Name", "/me.png" }, { user.firstName, user.lastName, user.image })
    assert.same(user, assert(api.users:get "update"))
    return user
  end,
  refused = { 404, function(api) return api.users:update("nobody", { firstName = "New" }) end },
}

rows["users.delete"] = {
  done = function(api)
    local done = api.users:delete "delete"
    assert.equal(404, select(2, api.users:get "delete").status)
    assert.is_nil(find(assert(api.groups:get "staff").users, "delete"))
    return done
  end,
  refused = { 403, function(api) return api.users:delete "boss" end },
}

rows["users.deactivate"] = {
  done = function(api)
    local user = assert(api.users:deactivate "deactivate")
    assert.equal("Deactivated", user.status)
    assert.same(user, assert(api.users:get "deactivate"))
    assert.is_false(assert(api.devices:get "his").active)
    return user
  end,
  refused = { 404, function(api) return api.users:deactivate "nobody" end },
}

rows["users.reactivate"] = {
  done = function(api)
    local user = assert(api.users:reactivate "reactivate")
    assert.equal("Active", user.status)
    assert.same(user, assert(api.users:get "reactivate"))
    return user
  end,
  refused = { 404, function(api) return api.users:reactivate "nobody" end },
}

rows["users.invite"] = {
  done = function(api, service)
    local done = api.users:invite "invite"
    local invited = service:state().invitations
    assert.equal("invite", invited[#invited])
    return done
  end,
  refused = { 400, function(api) return api.users:invite "ann" end },
}

rows["users.roles"] = {
  done = function(api)
    local direct = assert(api.users:roles("roles", { rolesOnly = true }))
    assert.equal("basic support", ids(direct))
    assert.equal("audit", ids(assert(api.users:roles("roles", { groupsOnly = true }))))
    local all = assert(api.users:roles "roles")
    assert.equal("basic support audit", ids(all))
    assert.same(assert(api.users:get "roles").roles, all)
    return all
  end,
  refused = { 404, function(api) return api.users:roles "nobody" end },
}

rows["users.update_roles"] = {
  done = function(api)
    local done = api.users:update_roles("update_roles",
      { addedRoles = { "audit" }, removedRoles = { "support" } })
    assert.equal("basic audit", ids(assert(api.users:roles "update_roles")))
    return done
  end,
  refused = { 403, function(api)
    return api.users:update_roles("update_roles", { addedRoles = { "audit", "owner" } })
  end },
}

rows["users.add_to_group"] = {
  done = function(api)
    local done = api.users:add_to_group("add_to_group", "staff")
    local user = assert(api.users:get "add_to_group")
    assert.same({ "staff", "support" }, { ids(user.groups), ids(user.roles) })
    return done
  end,
  refused = { 404, function(api) return api.users:add_to_group("add_to_group", "none") end },
}

rows["users.remove_from_group"] = {
  done = function(api)
    local done = api.users:remove_from_group("remove_from_group", "crew")
    local user = assert(api.users:get "remove_from_group")
    assert.same({ "staff", "support" }, { ids(user.groups), ids(user.roles) })
    return done
  end,
  refused = { 404, function(api) return api.users:remove_from_group("boss", "crew") end },
}

-- Roles

rows["roles.list"] = {
  done = function(api, service)
    local roles = assert(api.roles:list())
    assert.equal("owner audit support basic", ids(roles))
    assert.same(service:state().roles, roles)
    return roles
  end,
  refused = { 401, function(_, stranger) return stranger.roles:list() end },
}

rows["roles.get"] = {
  done = function(api, service)
    local role = assert(api.roles:get "audit")
    assert.same(service:state().roles[2], role)
    return role
  end,
  refused = { 404, function(api) return api.roles:get "none" end },
}

rows["roles.users"] = {
  done = function(api)
    assert.equal("boss", ids(assert(api.roles:users "owner")))
    local with_groups = assert(api.roles:users("audit", { groups = true }))
    assert.equal("ann bob", ids(with_groups):match "^%S+ %S+")
    assert.same(assert(api.users:get "ann"), with_groups[1])
    return with_groups
  end,
  refused = { 404, function(api) return api.roles:users "none" end },
}

rows["roles.take_from_user"] = {
  done = function(api)
    local done = api.roles:take_from_user("support", "take_from_user")
    assert.equal("basic", ids(assert(api.users:roles "take_from_user")))
    return done
  end,
  refused = { 404, function(api) return api.roles:take_from_user("support", "ann") end },
}

-- Groups

rows["groups.page"] = {
  done = function(api, service)
    local page = assert(api.groups:page { limit = 1, offset = 1 })
    assert.same({ "staff", 1, true, true },
      { ids(page.data), page.limit, page.hasNext, page.hasPrevious })
    assert.equal(#service:state().groups, page.total)
    return page
  end,
  refused = { 400, function(api) return api.groups:page { filter = { shoes = { eq = "9" } } } end },
}

rows["groups.get"] = {
  done = function(api, service)
    local crew = assert(api.groups:get "crew")
    assert.equal("audit", ids(crew.roles))
    assert.equal("ann bob", ids(crew.users):match "^%S+ %S+")
    assert.same(service:state().groups[1], crew)
    return crew
  end,
  refused = { 404, function(api) return api.groups:get "none" end },
}

rows["groups.create"] = {
  done = function(api)
    local group = assert(api.groups:create {
      name = "New", roles = { "audit", "basic" }, description = "On call.",
    })
    assert.same({ "New", "audit basic", "On call.", "" },
      { group.name, ids(group.roles), group.description, ids(group.users) })
    assert.same(group, assert(api.groups:get(group.id)))
    return group
  end,
  refused = { 404, function(api)
    return api.groups:create { name = "New", roles = { "audit", "none" } }
  end },
}

rows["groups.update"] = {
  done = function(api)
    local group = assert(api.groups:update("update", { name = "New", roles = { "support" } }))
    assert.same({ "New", "support" }, { group.name, ids(group.roles) })
    assert.same(group, assert(api.groups:get "update"))
    return group
  end,
  refused = { 404, function(api)
    return api.groups:update("update", { name = "Newer", roles = { "none" } })
  end },
}

rows["groups.delete"] = {
  done = function(api)
    assert.equal("support", ids(assert(api.users:roles "member")))
    local done = api.groups:delete "delete"
    assert.equal(404, select(2, api.groups:get "delete").status)
    assert.equal("", ids(assert(api.users:roles "member")))
    return done
  end,
  refused = { 403, function(api) return api.groups:delete "fixed" end },
}

-- Devices

rows["devices.page"] = {
  done = function(api, service)
    local page = assert(api.devices:page { limit = 1 })
    assert.same({ "laptop", "ann", true, false },
      { ids(page.data), page.data[1].user.id, page.hasNext, page.hasPrevious })
    assert.equal(#service:state().devices, page.total)
    return page
  end,
  refused = { 400, function(api)
    return api.devices:page { filter = { shoes = { eq = "9" } } }
  end },
}

rows["devices.get"] = {
  done = function(api, service)
    local device = assert(api.devices:get "laptop")
    assert.same({ "2.1", "ann" }, { device.appVersion, device.user.id })
    assert.same(service:state().devices[1], device)
    return device
  end,
  refused = { 404, function(api) return api.devices:get "none" end },
}

rows["devices.delete"] = {
  done = function(api)
    local done = api.devices:delete "delete"
    assert.equal(404, select(2, api.devices:get "delete").status)
    assert.is_nil(find(assert(api.users:get "owner_of").devices, "delete"))
    return done
  end,
  refused = { 404, function(api) return api.devices:delete "none" end },
}

rows["devices.deactivate"] = {
  done = function(api)
    local device = assert(api.devices:deactivate "deactivate")
    assert.same({ false, "owner_of" }, { device.active, device.user.id })
    assert.same(device, assert(api.devices:get "deactivate"))
    return device
  end,
  refused = { 404, function(api) return api.devices:deactivate "none" end },
}

return M
