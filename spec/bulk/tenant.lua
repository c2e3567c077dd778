-- SPDX-License-Identifier: MIT
--
-- What the bulk specs share: a sandbox with users u1, u2, … and a client of it, and short ways to
-- ask what was planned and what the service got. Not a spec itself.

local core = require "cipherscale.core"
local process = require "spec.support.process"
local sandbox = require "cipherscale.sandbox"

local M = { server = nil, client = nil }

--- Starts a sandbox and a client; stop() ends both.
function M.start(config, options)
  M.server = sandbox.start(config)
  M.client = M.server:client(options)
end

--- For after_each.
function M.stop()
  if M.client then M.client:close() end
  if M.server then M.server:stop() end
  M.client, M.server = nil, nil
end

--- n users with ids u1 … and e-mails u1@example.com …; `more` gives further fields by number.
function M.users(n, more)
  local list = {}
  for i = 1, n do
    local user = { id = "u" .. i, email = ("u%d@example.com"):format(i) }
    for name, value in pairs(more and more[i] or {}) do user[name] = value end
    list[i] = user
  end
  return list
end

--- Their e-mails.
function M.emails(n)
  local list = {}
  for i = 1, n do list[i] = ("u%d@example.com"):format(i) end
  return list
end

function M.plan(job) return assert(M.client.bulk:roles(job)) end

function M.changes_of(plan)
  local list = {}
  for change in plan:changes() do list[#list + 1] = change end
  return list
end

--- "u3 u1": those whom the plan would change, in order.
function M.changed_ids(plan)
  local list = {}
  for change in plan:changes() do list[#list + 1] = change.user end
  return table.concat(list, " ")
end

--- How often each request came in: { ["GET /tenants/users/{id}/roles"] = 3 }.
function M.request_counts()
  local counts = {}
  for _, request in ipairs(M.server:requests()) do
    local what = request.method .. " " .. request.path:gsub("/users/[^/]+", "/users/{id}")
    counts[what] = (counts[what] or 0) + 1
  end
  return counts
end

function M.patches()
  local list = {}
  for _, request in ipairs(M.server:requests()) do
    if request.method == "PATCH" then list[#list + 1] = request end
  end
  return list
end

function M.role_id(kind)
  for _, role in ipairs(M.server:state().roles) do
    if role.type == kind then return role.id end
  end
end

--- The types of the roles that a user holds directly, as the service tells: "AUDITOR BASIC".
function M.direct_roles(id)
  local kinds = {}
  for n, role in ipairs(assert(M.client.users:roles(id, { rolesOnly = true }))) do
    kinds[n] = role.type
  end
  table.sort(kinds)
  return table.concat(kinds, " ")
end

--- The names of the groups that a user is in: "Blue Green".
function M.groups_of(id)
  local names = {}
  for n, group in ipairs(assert(M.client.users:get(id)).groups) do names[n] = group.name end
  table.sort(names)
  return table.concat(names, " ")
end

--- What a report says of each, by user id.
function M.rows_of(report)
  local rows = {}
  for row in report:rows() do rows[row.user] = row end
  return rows
end

--- The fates alone.
function M.fates(report)
  local fates = {}
  for id, row in pairs(M.rows_of(report)) do fates[id] = row.fate end
  return fates
end

--- A should_stop that lets n people pass.
function M.stop_after(n)
  local asked = 0
  return function()
    asked = asked + 1
    return asked > n
  end
end

--- Makes a journal look as if the last run had been killed: it has no end.
function M.forget_end(path)
  local lines = {}
  for line in io.lines(path) do lines[#lines + 1] = line end
  assert(table.remove(lines):find('"kind":"end"', 1, true))
  local file = assert(io.open(path, "wb"))
  file:write(table.concat(lines, "\n"), "\n")
  file:close()
end

--- What fn(client) gives as text, in a forked process with a client of its own.
function M.in_child(fn, options)
  local outcome, text = process.fork(function() return fn(M.server:client(options)) end, 20)
  assert(outcome == "returned", text)
  return text
end

--- Makes a journal older: its plan was made so many seconds earlier.
function M.age(path, seconds)
  local records = {}
  for line in io.lines(path) do
    records[#records + 1] = line:match('^{"record":%d+,(.*),"check":"%x+"}$')
  end
  os.remove(path)
  local book <close> = assert(core.journal.create(path))
  for _, record in ipairs(records) do
    if record:find('"kind":"planned"', 1, true) then
      record = record:gsub('"at":(%d+)', function(at) return '"at":' .. at - seconds end)
    end
    assert(book:append(record))
  end
end

--- A path at which there is nothing yet.
M.unused_path = require("spec.support.scratch").path

--- For specs of jobs with a journal: each gets a path at which there is nothing yet, and what it
--- started is ended after it.
--- @param take function is given the path before each
function M.with_journal(before_each, after_each, take)
  local path
  before_each(function()
    path = M.unused_path(".jsonl")
    take(path)
  end)
  after_each(function()
    M.stop()
    os.remove(path)
  end)
end

return M
