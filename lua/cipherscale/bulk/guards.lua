-- SPDX-License-Identifier: MIT
--
-- The guard rails: one row each, with the option that moves it, its default, its check and its
-- sentence. `withhold` keeps a single person out of a plan, `refuse` a whole plan from being
-- applied, `stop` a running job from going on. There is no option that switches all of them off.

local core = require "cipherscale.core"
local PATIENT = require "cipherscale.bulk.patient"
local state = require "cipherscale.bulk.state"
local text = require "cipherscale.bulk.text"

local M = {}

-- "10%" of a number, or the number itself; and how to say that.
local function share_of(limit, whole)
  local percent = type(limit) == "string" and limit:match("^([%d.]+)%%$")
  if not percent then return limit, limit end
  local share = math.floor(whole * tonumber(percent) / 100)
  return share, ("%s (%d)"):format(limit, share)
end

-- Whoever has no access administrates nothing.
local OWNER, ADMIN = { OWNER = true }, { ADMIN = true, OWNER = true, access = true }

-- Is any of some things of these kinds? A role is what it is; a group gives the roles that it has.
local function any(things, kinds)
  for _, thing in ipairs(things) do
    if kinds[thing.type or thing.id] then return true end
    for _, given in ipairs(thing.gives or {}) do
      if kinds[given] then return true end
    end
  end
  return false
end

--- Does a change take administration away?
function M.takes_admin(change) return any(change.remove, ADMIN) end

--- Who administrates a tenant: the active users who hold ADMIN or OWNER, directly or by a group.
--- Whoever never came, or may not come any more, administrates nothing.
--- @return table|nil admins id → "ADMIN" or "OWNER"
--- @return number|table count how many, or the error
--- @return number reads how many requests it took
function M.admins(client)
  local roles, err = state.known(client.roles:list(PATIENT))
  if not roles then return nil, err end
  local admins, count, reads = {}, 0, 1
  for _, role in ipairs(roles) do
    if ADMIN[role.type] then
      local users
      users, err = state.known(client.roles:users(role.id, { groups = true }, PATIENT))
      if not users then return nil, err end
      reads = reads + 1
      for _, user in ipairs(users) do
        if not state.lacks(user) then
          if not admins[user.id] then count = count + 1 end
          admins[user.id] = admins[user.id] == "OWNER" and "OWNER" or role.type
        end
      end
    end
  end
  return admins, count, reads
end

--- Changes a second that the client may send: by its option `rate`, and by what the service has
--- taught it; nil where there is no bound.
function M.pace(client)
  local learned, _, _, _, rate = core.pace(client)
  return learned and rate and math.min(learned, rate) or learned or rate
end

--- Of somebody whom no job changes.
M.PROTECTED = "protected (protect)"

-- A check gives whether it has found something, and the sentence for that, as string.format takes
-- it.
M.list = {
  {
    -- What a plan has withheld stays so, so this is for plans alone.
    option = "allow_owner", kind = "boolean", default = false, of_plan = true,
    -- OWNER is neither given nor taken.
    withhold = function(allowed, person, change)
      return not allowed and (person.is_owner or any(change.add, OWNER)
        or any(change.remove, OWNER)), "OWNER is neither given nor taken (allow_owner)"
    end,
  },
  {
    option = "protect", kind = "list", default = {},
    -- People, by id or e-mail, whom no job changes.
    withhold = function(_, person, _, protected) return protected(person), M.PROTECTED end,
  },
  {
    option = "allow_empty", kind = "boolean", default = false,
    -- A job with nobody in it is a mistake.
    refuse = function(allowed, facts)
      return not (allowed or facts.undo) and facts.total == 0,
        "nobody is named at all (allow_empty)"
    end,
  },
  {
    option = "max_changes", kind = "share", default = 500,
    -- People changed at most; a number, or a share of those named: "10%".
    refuse = function(limit, facts)
      local most, words = share_of(limit, facts.total)
      return not facts.undo and facts.to_change > most,
        "%s to change, more than max_changes = %s", text.people(facts.to_change), words
    end,
  },
  {
    option = "max_removal_percent", kind = "number", default = 20,
    -- Share of those who hold a role in the tenant that may lose it, from 10 holders on.
    refuse = function(limit, facts)
      for _, loss in ipairs(facts.losses) do
        local label, holders, lost = text.clean(loss.label), loss.holders, loss.lost
        if loss.unknown and limit < 100 then
          return true, "how many hold %s is not known, for max_removal_percent = %s: %s", label,
            limit, loss.unknown
        elseif holders >= 10 and lost * 100 > holders * limit then
          return true,
            "%s of the %s who hold %s lose it (%d%%), more than max_removal_percent = %s",
            text.number(lost), text.number(holders), label, math.floor(lost * 100 / holders), limit
        end
      end
    end,
  },
  {
    option = "min_admins", kind = "number", default = 2,
    -- Active holders of ADMIN or OWNER that are left in the tenant.
    refuse = function(limit, facts)
      local admins, lost = facts.admins or 0, facts.admins_lost or 0
      return lost > 0 and admins - lost < limit,
        "%d of %d administrators would be left, fewer than min_admins = %s", admins - lost, admins,
        limit
    end,
  },
  {
    option = "max_failures", kind = "share", default = nil,
    -- Failed people at which the job stops; 25 or 10% of the changes, whichever is more.
    stop = function(limit, job)
      limit = limit or math.max(25, math.floor(job.to_change / 10))
      local most, words = share_of(limit, job.to_change)
      return job.failed > most, "%s failed, more than max_failures = %s", text.people(job.failed),
        words
    end,
  },
  {
    option = "max_unreachable", kind = "number", default = 10,
    -- People in a row whom the service could not be reached for.
    stop = function(limit, job)
      return job.unreachable >= math.max(limit, 1),
        "the service could not be reached for %d people in a row (max_unreachable): %s",
        job.unreachable, tostring(job.last_error)
    end,
  },
  {
    -- No option: whoever may not change one person may not change the next.
    stop = function(_, job)
      local status = job.last_error.status
      local hint = status == 403 and " (to leave this person out: protect = { %q })" or ""
      return status == 401 or status == 403,
        "the service refuses the key, or this change: %s" .. hint, tostring(job.last_error),
        job.last_user
    end,
  },
}

local function say(found, words, ...) return found and words:format(...) or nil end

--- What the rows find under the name of a check, as sentences: each with its limit, which is what
--- `limits` says, else the default.
function M.ask(name, limits, ...)
  local sentences = {}
  for _, row in ipairs(M.list) do
    local limit = row.option and limits[row.option]
    if limit == nil then limit = row.default end
    if row[name] then sentences[#sentences + 1] = say(row[name](limit, ...)) end
  end
  return sentences
end

return M
