-- SPDX-License-Identifier: MIT
-- Every operation on gateways, resources, addresses, protocols, admission rules and policies, done
-- and refused: see whole_api_spec.lua. Each row has records of its own, called as the row.

local assert = require "luassert"
local reading = require "spec.whole_api.reading"

local find, ids = reading.find, reading.ids

local M = {}

M.tenant = {
  protocols = {
    { id = "web", name = "Web", networkProtocols = { { protocol = "TCP", port = "443" } } },
    { id = "all", name = "All", type = "ALL" }, { id = "ssh", name = "SSH" }, { id = "delete" },
  },
  gateways = {
    { id = "berlin", name = "Berlin", status = "ONLINE", endpoint = "b.example.com" },
    { id = "paris", status = "ERROR", error = "no route" }, { id = "delete" },
    { id = "enable_relay" }, { id = "disable_relay", relayEnabled = true },
  },
  resources = {
    { id = "wiki", name = "Wiki", gateways = { "berlin", "paris" },
      addresses = { { id = "wiki", address = "10.0.0.5", protocols = { "web" } } } },
    { id = "delete", addresses = { { id = "delete_too", address = "10.0.0.6" } } },
    { id = "disconnect_from_gateway", gateways = { "berlin", "paris" } },
    { id = "holder", name = "Holder", type = "SAAS", gateways = { "delete" }, addresses = {
      { id = "update", address = "10.0.0.7", protocols = { "web" } },
      { id = "delete", address = "10.0.0.8", protocols = { "delete" } },
      { id = "left", address = "10.0.0.9", protocols = { "delete", "ssh" } },
    } },
  },
  admission_rules = {
    { id = "fixed", type = "ALLOW" }, { id = "office", name = "Office", rule = "true" },
    { id = "update", name = "Old", rule = "false" }, { id = "delete", rule = "false" },
  },
  policies = {
    { id = "reach", name = "Reach", groups = { "crew" }, users = { "ann" }, rule = "office",
      devices = { "laptop" }, resources = { "wiki" }, gateways = { "berlin" },
      sourceIps = { "10.0.0.0/8" } },
    { id = "update", name = "Old", groups = { "crew", "staff" }, rule = "office" },
    { id = "ruled", rule = "delete" },
  },
}

local rows = {}
M.rows = rows

-- Gateways

rows["gateways.list"] = {
  done = function(api, service)
    local gateways = assert(api.gateways:list())
    assert.same(service:state().gateways, gateways)
    assert.equal("berlin paris", ids(gateways):match "^%S+ %S+")
    return gateways
  end,
  refused = { 401, function(_, stranger) return stranger.gateways:list() end },
}

rows["gateways.get"] = {
  done = function(api, service)
    local gateway = assert(api.gateways:get "berlin")
    assert.equal("wiki", ids(gateway.resources):match "^%S+")
    assert.is_true(#gateway.token > 0)
    assert.same(service:state().gateways[1], gateway)
    return gateway
  end,
  refused = { 404, function(api) return api.gateways:get "none" end },
}

rows["gateways.create"] = {
  done = function(api)
    local gateway = assert(api.gateways:create {
      name = "Rome", wireguardPort = "51821", endpoint = "r.example.com",
    })
    assert.same({ "Rome", "51821", "r.example.com", "PENDING" },
      { gateway.name, gateway.wireguardPort, gateway.endpoint, gateway.status })
    assert.same(gateway, assert(api.gateways:get(gateway.id)))
    return gateway
  end,
  refused = { 400, function(_, _, unchecked)
    return unchecked.gateways:create { name = "Rome", wireguardPort = 51821 }
  end },
}

rows["gateways.delete"] = {
  done = function(api)
    local done = api.gateways:delete "delete"
    assert.equal(404, select(2, api.gateways:get "delete").status)
    assert.same({}, assert(api.resources:get "holder").gateways)
    return done
  end,
  refused = { 404, function(api) return api.gateways:delete "none" end },
}

rows["gateways.enable_relay"] = {
  done = function(api)
    local gateway = assert(api.gateways:enable_relay "enable_relay")
    assert.is_true(gateway.relayEnabled)
    assert.same(gateway, assert(api.gateways:get "enable_relay"))
    return gateway
  end,
  refused = { 404, function(api) return api.gateways:enable_relay "none" end },
}

rows["gateways.disable_relay"] = {
  done = function(api)
    local gateway = assert(api.gateways:disable_relay "disable_relay")
    assert.is_false(gateway.relayEnabled)
    assert.same(gateway, assert(api.gateways:get "disable_relay"))
    return gateway
  end,
  refused = { 404, function(api) return api.gateways:disable_relay "none" end },
}

rows["gateways.test"] = {
  done = function(api)
    assert.same({ status = "ONLINE" }, assert(api.gateways:test "berlin"))
    local result = assert(api.gateways:test "paris")
    assert.same({ status = "ERROR", error = "no route" }, result)
    return result
  end,
  refused = { 404, function(api) return api.gateways:test "none" end },
}

-- Resources

rows["resources.page"] = {
  done = function(api, service)
    local page = assert(api.resources:page { limit = 1, sort = "-name", filter = {
      name = { ilike = "%wiki%" }, ["gateways.id"] = { ["in"] = { "berlin", "none" } },
    } })
    assert.same({ "wiki", 1, false }, { ids(page.data), page.total, page.hasNext })
    assert.same(service:state().resources[1], page.data[1])
    return page
  end,
  refused = { 400, function(api)
    return api.resources:page { filter = { type = { eq = "CLOUD" } } }
  end },
}

rows["resources.get"] = {
  done = function(api, service)
    local resource = assert(api.resources:get "wiki")
    assert.same({ "10.0.0.5", "web", "berlin paris" }, { resource.addresses[1].address,
      ids(resource.addresses[1].protocols), ids(resource.gateways) })
    assert.same(service:state().resources[1], resource)
    return resource
  end,
  refused = { 404, function(api) return api.resources:get "none" end },
}

rows["resources.create"] = {
  done = function(api)
    local resource = assert(api.resources:create {
      name = "Blog", type = "SAAS", description = "News.", addresses = {
        { address = "blog.example.com", protocols = { "web", "ssh" } },
        { address = "10.1.0.0/16", protocols = {} },
      },
    })
    assert.same({ "Blog", "SAAS", "News.", "web ssh", "10.1.0.0/16" }, {
      resource.name, resource.type, resource.description, ids(resource.addresses[1].protocols),
      resource.addresses[2].address,
    })
    assert.same(resource, assert(api.resources:get(resource.id)))
    assert.same(resource.addresses[1],
      find(assert(api.addresses:list()), resource.addresses[1].id))
    return resource
  end,
  refused = { 404, function(api)
    return api.resources:create {
      name = "Blog", type = "SAAS", addresses = { { address = "b", protocols = { "none" } } },
    }
  end },
}

rows["resources.delete"] = {
  done = function(api)
    local done = api.resources:delete "delete"
    assert.equal(404, select(2, api.resources:get "delete").status)
    assert.is_nil(find(assert(api.addresses:list()), "delete_too"))
    return done
  end,
  refused = { 404, function(api) return api.resources:delete "none" end },
}

rows["resources.disconnect_from_gateway"] = {
  done = function(api)
    local done = api.resources:disconnect_from_gateway("disconnect_from_gateway", "berlin")
    assert.equal("paris", ids(assert(api.resources:get "disconnect_from_gateway").gateways))
    assert.is_nil(find(assert(api.gateways:get "berlin").resources, "disconnect_from_gateway"))
    return done
  end,
  refused = { 404, function(api)
    return api.resources:disconnect_from_gateway("wiki", "enable_relay")
  end },
}

-- Addresses

rows["addresses.list"] = {
  done = function(api, service)
    local addresses = assert(api.addresses:list())
    assert.same(service:state().addresses, addresses)
    assert.equal("web", ids(find(addresses, "wiki").protocols))
    return addresses
  end,
  refused = { 401, function(_, stranger) return stranger.addresses:list() end },
}

rows["addresses.update"] = {
  done = function(api)
    local address = assert(api.addresses:update("update",
      { address = "new.example.com", protocols = { "ssh", "all" } }))
    assert.same({ "new.example.com", "ssh all", false },
      { address.address, ids(address.protocols), address.isIp })
    assert.same(address, find(assert(api.addresses:list()), "update"))
    assert.same(address, find(assert(api.resources:get "holder").addresses, "update"))
    return address
  end,
  refused = { 404, function(api)
    return api.addresses:update("update", { address = "10.9.9.9", protocols = { "none" } })
  end },
}

rows["addresses.delete"] = {
  done = function(api)
    local done = api.addresses:delete "delete"
    assert.is_nil(find(assert(api.addresses:list()), "delete"))
    assert.is_nil(find(assert(api.resources:get "holder").addresses, "delete"))
    return done
  end,
  refused = { 404, function(api) return api.addresses:delete "none" end },
}

rows["addresses.gateways"] = {
  done = function(api)
    local gateways = assert(api.addresses:gateways "wiki")
    assert.equal("berlin paris", ids(gateways))
    assert.same(assert(api.gateways:get "paris"), gateways[2])
    return gateways
  end,
  refused = { 404, function(api) return api.addresses:gateways "none" end },
}

-- Protocols

rows["protocols.list"] = {
  done = function(api, service)
    local protocols = assert(api.protocols:list())
    assert.same(service:state().protocols, protocols)
    assert.equal("web all ssh", ids(protocols):match "^%S+ %S+ %S+")
    return protocols
  end,
  refused = { 401, function(_, stranger) return stranger.protocols:list() end },
}

rows["protocols.get"] = {
  done = function(api)
    local protocol = assert(api.protocols:get "web")
    assert.same({ id = "web", name = "Web", type = "CUSTOM",
                  networkProtocols = { { protocol = "TCP", port = "443" } } }, protocol)
    return protocol
  end,
  refused = { 404, function(api) return api.protocols:get "none" end },
}

rows["protocols.create"] = {
  done = function(api)
    local ports = { { protocol = "UDP", port = "53" }, { protocol = "ICMP" } }
    local protocol = assert(api.protocols:create { name = "DNS", networkProtocols = ports })
    assert.same({ "DNS", "CUSTOM", ports },
      { protocol.name, protocol.type, protocol.networkProtocols })
    assert.same(protocol, assert(api.protocols:get(protocol.id)))
    return protocol
  end,
  refused = { 400, function(_, _, unchecked)
    return unchecked.protocols:create { networkProtocols = { { transport = "UDP" } } }
  end },
}

rows["protocols.delete"] = {
  done = function(api)
    local done = api.protocols:delete "delete"
    assert.equal(404, select(2, api.protocols:get "delete").status)
    assert.equal("ssh", ids(find(assert(api.addresses:list()), "left").protocols))
    return done
  end,
  refused = { 403, function(api) return api.protocols:delete "all" end },
}

-- Admission rules

rows["admission_rules.list"] = {
  done = function(api, service)
    local list = assert(api.admission_rules:list())
    assert.same(service:state().admission_rules, list)
    assert.equal("fixed office", ids(list):match "^%S+ %S+")
    return list
  end,
  refused = { 401, function(_, stranger) return stranger.admission_rules:list() end },
}

rows["admission_rules.get"] = {
  done = function(api, service)
    local rule = assert(api.admission_rules:get "office")
    assert.same({ "Office", "true", false }, { rule.name, rule.rule, rule.hasTimeConstraint })
    assert.same(service:state().admission_rules[2], rule)
    return rule
  end,
  refused = { 404, function(api) return api.admission_rules:get "none" end },
}

local function a_rule(text)
  return { name = "Weekdays", rule = text, hasTimeConstraint = true }
end

rows["admission_rules.create"] = {
  done = function(api)
    local rule = assert(api.admission_rules:create(a_rule "now.weekday < 6"))
    assert.same({ "Weekdays", "now.weekday < 6", true, "CUSTOM" },
      { rule.name, rule.rule, rule.hasTimeConstraint, rule.type })
    assert.same(rule, assert(api.admission_rules:get(rule.id)))
    return rule
  end,
  refused = { 400, function(_, _, unchecked)
    return unchecked.admission_rules:create { name = "Weekdays", rule = "true" }
  end },
}

rows["admission_rules.update"] = {
  done = function(api)
    local rule = assert(api.admission_rules:update("update", a_rule "true"))
    assert.same({ "Weekdays", "true", true }, { rule.name, rule.rule, rule.hasTimeConstraint })
    assert.same(rule, assert(api.admission_rules:get "update"))
    return rule
  end,
  refused = { 403, function(api) return api.admission_rules:update("fixed", a_rule "true") end },
}

rows["admission_rules.delete"] = {
  done = function(api)
    assert.equal("delete", assert(api.policies:get "ruled").rule.id)
    local done = api.admission_rules:delete "delete"
    assert.equal(404, select(2, api.admission_rules:get "delete").status)
    assert.is_nil(assert(api.policies:get "ruled").rule)
    return done
  end,
  refused = { 403, function(api) return api.admission_rules:delete "fixed" end },
}

-- Policies

local function a_policy(more)
  local policy = {
    name = "New", allGroups = false, allUsers = false, allDevices = true, allResources = false,
    action = true,
  }
  for name, value in pairs(more) do policy[name] = value end
  return policy
end

rows["policies.list"] = {
  done = function(api, service)
    local policies = assert(api.policies:list())
    assert.same(service:state().policies, policies)
    assert.equal("reach update", ids(policies):match "^%S+ %S+")
    return policies
  end,
  refused = { 401, function(_, stranger) return stranger.policies:list() end },
}

rows["policies.get"] = {
  done = function(api, service)
    local policy = assert(api.policies:get "reach")
    assert.same({ "crew", "ann", "laptop", "wiki", "berlin", "office", "10.0.0.0/8" }, {
      ids(policy.groups), ids(policy.users), ids(policy.devices), ids(policy.resources),
      ids(policy.gateways), policy.rule.id, policy.sourceIps[1],
    })
    assert.same(service:state().policies[1], policy)
    return policy
  end,
  refused = { 404, function(api) return api.policies:get "none" end },
}

rows["policies.create"] = {
  done = function(api)
    local policy = assert(api.policies:create(a_policy {
      type = "PRIVATE", mode = "LOCAL", rule = "office", groups = { "crew", "staff" },
      users = { "ann", "bob" }, resources = { "wiki" }, gateways = { "berlin", "paris" },
      devices = {}, sourceIps = { "10.0.0.1" }, description = "Of two.",
    }))
    assert.same({ "LOCAL", "office", "crew staff", "ann bob", "wiki", "berlin paris", "" }, {
      policy.mode, policy.rule.id, ids(policy.groups), ids(policy.users), ids(policy.resources),
      ids(policy.gateways), ids(policy.devices),
    })
    assert.same({ true, true, false, "Of two." },
      { policy.action, policy.allDevices, policy.allUsers, policy.description })
    assert.same(policy, assert(api.policies:get(policy.id)))
    return policy
  end,
  refused = { 404, function(api)
    return api.policies:create(a_policy { type = "PRIVATE", users = { "ann", "nobody" } })
  end },
}

rows["policies.update"] = {
  done = function(api)
    local policy = assert(api.policies:update("update",
      a_policy { rule = "fixed", groups = { "staff" }, users = { "ann" }, action = false }))
    assert.same({ "New", "fixed", "staff", "ann", false },
      { policy.name, policy.rule.id, ids(policy.groups), ids(policy.users), policy.action })
    assert.same(policy, assert(api.policies:get "update"))
    return policy
  end,
  refused = { 404, function(api)
    return api.policies:update("update", a_policy { rule = "none" })
  end },
}

return M
