-- SPDX-License-Identifier: MIT
--
-- A stand-in for the service, for tests: an HTTP server on a free loopback port, in this process,
-- with real state and strict checks. This file is the side that users hold; it checks what start
-- takes as a whole and passes the rest, as JSON, to the server's own Lua state (service.lua).
--
-- server:state() gives a list of records in the API's shapes for each of users (their roles are the
-- effective ones), groups, roles, devices, gateways, resources, addresses, protocols,
-- admission_rules and policies; and direct = { [user id] = { role id, … }, … } and
-- invitations = { user id, … }.

local assumptions = require "cipherscale.sandbox.assumptions"
local core = require "cipherscale.sandbox.core"
local json = require "cipherscale.sandbox.json"
local kinds = require "cipherscale.sandbox.kinds"
local names = require "cipherscale.sandbox.names"
local strict = require "cipherscale.strict"

local M = {}

-- Requests kept in the log unless `log` says otherwise: the newest.
local LOG_LIMIT = 100000

local OPTIONS = {
  holders = true, members = true, api_key = true, port = true, misbehave = true, assume = true,
  log = true,
}

-- What the first state is described by: the kinds' lists, and who has what.
local SEEDS = { "holders", "members" }

for _, kind in pairs(kinds) do
  OPTIONS[kind.list] = true
  SEEDS[#SEEDS + 1] = kind.list
end

-- A client keeps its server alive, not the other way round.
local servers = setmetatable({}, { __mode = "k" })

local Server = { __name = "cipherscale.sandbox" }
strict.class(Server, "field or method of the sandbox's server", "api_key change clear_requests "
  .. "client direct_roles misbehave requests state stop url")

-- Runs f, raising its usage problems as the fault of whoever called the public function.
local function checked(name, f, ...)
  local ok, value = pcall(f, ...)
  if ok then return value end
  if type(value) == "table" and value.usage then
    error(("bad argument #1 to '%s' (%s)"):format(name, value.usage), 3)
  end
  error(value, 0)
end

local function append_rules(list, given)
  local rule = {}
  for name, value in pairs(names.typed(given, "table", "misbehave")) do
    if type(name) ~= "number" and name ~= "also" then rule[name] = value end
  end
  if next(rule) then list[#list + 1] = rule end
  for _, more in ipairs(given) do append_rules(list, more) end
  if given.also ~= nil then append_rules(list, given.also) end
  return list
end

-- One rule, a list of rules, or a rule with more in `also`: as the JSON text of a list.
local function encode_rules(given)
  return json.encode(append_rules({}, given), "misbehave")
end

local function check_key(key)
  names.typed(key, "string", "api_key")
  if key == "" or key:find("[%c]") or key:find("^%s") or key:find("%s$") then
    names.bad("api_key: a text without control characters or spaces around it expected")
  end
  return key
end

local function log_limit(log)
  if log == nil or log == true then return LOG_LIMIT end
  if log == false then return 0 end
  return names.number(log, 0, "log", true)
end

local function read_options(options)
  names.typed(options, "table", "options")
  names.check(options, OPTIONS, "", "option")
  local port = names.number(options.port or 0, 0, "port", true)
  if port > 65535 then names.bad("port: at most 65535 expected, got %d", port) end
  local key = options.api_key == nil and "sandbox-" .. core.random() or check_key(options.api_key)
  local config = {
    api_key = key, assume = names.typed(options.assume or {}, "table", "assume"),
    misbehave = append_rules({}, options.misbehave or {}),
  }
  for _, name in ipairs(SEEDS) do config[name] = options[name] end
  return { text = json.encode(config), key = key, port = port, log = log_limit(options.log) }
end

--- Starts a server.
--- @param options? table `users`, `groups`, `devices`, `gateways`, `resources`, `addresses`,
---   `protocols`, `admission_rules`, `policies` (a number of invented ones, or a list of tables in
---   the API's shapes with any field set; others are named by id or name), `roles` (a list). Roles,
---   protocols and rules have built-in ones unless a list is given;
---   `holders` and `members` (how many users, evenly spread, hold a role directly or are in a
---   group: { SUPPORT = 50 }), `api_key`, `port` (0: any free one), `misbehave` (see misbehave()),
---   `assume` (answers to what the documentation leaves open, see assumptions()), `log` (false, or
---   how many requests to keep)
--- @return table server with the fields `url` and `api_key`
function M.start(options)
  local settings = checked("start", read_options, options or {})
  local handle, problem =
    core.start(settings.text, package.path, package.cpath, settings.port, settings.log)
  if not handle then error(problem, 2) end
  local base_path = handle:control("base_path", "")
  return setmetatable({
    url = ("http://127.0.0.1:%d%s"):format(handle:port(), base_path),
    api_key = settings.key, base_path = base_path, handle = handle,
  }, Server)
end

--- The open questions about the real service: a list of { name, default, values, sentence }.
--- `values` are the words that `assume` takes, or "number".
function M.assumptions()
  local copy = {}
  for i, row in ipairs(assumptions.list) do
    copy[i] = { name = row[1], default = row[2], values = row[3], sentence = row[4] }
  end
  return copy
end

--- A client that can reach this server only.
--- @param options? table as for cipherscale.new, without api_key and base_url
function Server:client(options)
  if options ~= nil and type(options) ~= "table" then
    error(("bad argument #1 to 'client' (table of options expected, got %s)"):format(type(options)),
      2)
  end
  -- A copy; what a metatable gives beside it is found, too.
  local given = setmetatable({}, { __index = options })
  for name, value in pairs(options or {}) do given[name] = value end
  for _, name in ipairs { "api_key", "api_key_env", "api_key_file", "base_url" } do
    if given[name] ~= nil then
      error(("bad argument #1 to 'client' (%s: is the sandbox's own)"):format(name), 2)
    end
  end
  given.api_key, given.base_url = self.api_key, self.url
  -- Environment variables shall not come between: loopback never needs a proxy.
  if given.proxy == nil and given.no_proxy == nil then given.no_proxy = "127.0.0.1" end
  local ok, client = pcall(require("cipherscale").new, given)
  if not ok then
    local own = type(client) == "string" and client:find("^cipherscale%.new: ") ~= nil
    error(client, own and 2 or 0)
  end
  servers[client] = self
  return client
end

--- What the server received, in order of arrival.
--- @return table[] requests each with method, path (below the base path, percent-encoded), query,
---   body, headers (lower-case names) and status, or `lost`, `stalled` or `reset`; `cut` where it
---   was cut
function Server:requests()
  return self.handle:requests(self.base_path)
end

--- Empties the list that requests() gives.
function Server:clear_requests()
  self.handle:clear()
end

-- A part of the state, by the name of its control.
local function read(server, name)
  local text, problem = server.handle:control(name, "")
  if not text then error(problem, 3) end
  return json.decode(text)
end

--- A copy of the service's state in the API's shapes.
--- @return table state with the lists `users` (each with roles that are effective), `groups`,
---   `roles`, `devices`, `gateways`, `resources`, `addresses`, `protocols`, `admission_rules` and
---   `policies`; `direct` (user id → list of ids of the roles held directly) and `invitations` (ids
---   of invited users, one for each e-mail)
function Server:state()
  return read(self, "state")
end

local function encode_changes(given)
  names.typed(given, "table", "change")
  return json.encode(#given > 0 and given or { given }, "change")
end

--- Changes the state at once, as another administrator would between two requests.
--- @param changes table one change or a list of them, each with `user` (id or e-mail, or a list of
---   them) and what becomes of that user: `add`, `remove` or `set` (direct roles by id, type or
---   name), `join`, `leave` (groups by id or name), `status`, `delete` (true)
function Server:change(changes)
  local text = checked("change", encode_changes, changes)
  local done, problem = self.handle:control("change", text)
  if not done then error(problem, 2) end
end

--- Who holds what directly, for comparing whole tenants: faster than state().
--- @return table<string, string> roles user id → types of the direct roles, sorted: "ADMIN BASIC"
function Server:direct_roles()
  return read(self, "direct_roles")
end

--- Replaces the misbehaviours; {} makes the server well-behaved again.
--- @param rules table one rule or a list of rules. A rule has `match` { method =, path = pattern }
---   and any of `latency` (seconds), `limit` (rate), `stall` (no answer), `reset` (connection),
---   `fail` { status =, body =, headers = }, `lose` (the work is done, the answer is not sent),
---   `cut` { bytes = }, `meddle` (a change as change() takes it; without `user` it is the one of
---   the request; `when` "before" or "after" the work). All but match, latency and limit are tables
---   that may say `every`, `share`, `times`, `after`; the rule's `seed` decides what `share` hits.
function Server:misbehave(rules)
  local text = checked("misbehave", encode_rules, rules)
  local done, problem = self.handle:control("misbehave", text)
  if not done then error(problem, 2) end
end

--- Closes every connection and ends the server. Its log and state can still be read.
function Server:stop()
  self.handle:stop()
end

function Server:__tostring()
  return ("cipherscale.sandbox (%s)"):format(self.url)
end

Server.__close = Server.stop

return setmetatable(M, { __index = strict.index "function of cipherscale.sandbox" })
