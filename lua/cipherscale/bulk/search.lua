-- SPDX-License-Identifier: MIT
--
-- Who that is in the tenant, and what they hold, as far as user pages tell: pages are read in
-- parallel until everybody is found, and show most of what a plan must know. Who is left is read
-- one by one (making.lua). An e-mail is taken for one user's: that two have it is seen only where
-- both are on pages that were read. Runs inside client:run.

local core = require "cipherscale.core"

local M = {}

-- The largest page that the documentation speaks of; what comes back tells the real size.
local PAGE_SIZE = 100
-- So few ids are read one by one without looking at a page first.
local FEW = 4

local Search = {}
Search.__index = Search

--- A search. People are numbered in the order in which they are first named.
--- @param scope table client, tasks; maybe shown(user), which gives what is kept of a user
function M.new(scope)
  return setmetatable({
    client = scope.client, tasks = scope.tasks, shown = scope.shown, keys = core.seen(),
    missing_ids = 0, missing_emails = 0, missing_protected = 0, rows = 0, reads = 0,
    -- By number: the user's id and e-mail, what is kept of them, all ids where several users have
    -- the e-mail, and the other number of somebody who is named by id and by e-mail.
    ids = {}, emails = {}, holdings = {}, several = {}, twins = {},
    -- The e-mails of protected people, with the number of users who have it; and those users' ids.
    guarded = {}, protected = {},
    known_emails = {},
  }, Search)
end

--- Notes somebody to look for, by the id if there is one; gives the number, and whether it is the
--- first time.
function Search:name(id, email)
  local number, new = self.keys:add(id and "I" .. id or "E" .. email:lower())
  if new and id then
    self.missing_ids = self.missing_ids + 1
  elseif new then
    self.missing_emails = self.missing_emails + 1
  end
  return number, new
end

--- Who must not be changed: takes lists of ids and e-mails, which need not be known by both.
--- @param known? table names for which nobody need be looked for, as keys
--- @return function is_protected tells of a { user =, email = }, once the search has run
--- @return table names without the blanks around them
function Search:protection(lists, known)
  local names, emails = {}, {}
  for _, list in ipairs(lists) do
    for _, given in ipairs(list) do
      local name = given:match("^%s*(.-)%s*$")
      local email = name:lower()
      names[#names + 1] = name
      if not name:find("@", 1, true) then
        self.protected[name] = true
      else
        emails[email] = true
        if not (self.guarded[email] or known and known[name]) then
          self.guarded[email], self.missing_protected = 0, self.missing_protected + 1
        end
      end
    end
  end
  return function(person)
    return self.protected[person.user] or person.email and emails[person.email:lower()]
  end, names
end

function Search:note(number, id, email, holding)
  self.ids[number], self.emails[number], self.holdings[number] = id, email, holding
end

-- A user on a page.
function Search:found(user)
  if type(user) ~= "table" or type(user.id) ~= "string" then return end
  local email = type(user.email) == "string" and user.email or nil
  local key = email and email:lower()
  if email and self.missing_emails > 0 then self.known_emails[#self.known_emails + 1] = email end
  local users = self.guarded[key or ""]
  if users then
    self.guarded[key], self.protected[user.id] = users + 1, true
    if users == 0 then self.missing_protected = self.missing_protected - 1 end
  end
  local named, addressed = self.keys:find("I" .. user.id), key and self.keys:find("E" .. key)
  if not named and not addressed then return end
  local holding = self.shown(user)
  if named then
    if not self.ids[named] then self.missing_ids = self.missing_ids - 1 end
    self:note(named, user.id, email, holding)
  end
  local other = addressed and self.ids[addressed]
  if other and other ~= user.id then
    local several = self.several[addressed] or { other }
    several[#several + 1] = user.id
    self.several[addressed] = several
  elseif addressed then
    if not other then self.missing_emails = self.missing_emails - 1 end
    self:note(addressed, user.id, email, holding)
    if named then self.twins[named], self.twins[addressed] = addressed, named end
  end
end

--- The number of the first entry for the same person: one may be named by id and by e-mail.
function Search:first_of(number)
  local twin = self.twins[number]
  if not twin or self.several[number] or self.several[twin] then return number end
  return math.min(number, twin)
end

-- Reads a page and takes note of its users; gives them, and the page.
function Search:page(limit, offset)
  self.reads = self.reads + 1
  local page, err = self.client.users:page({ limit = limit, offset = offset },
    { total_timeout = 604800 }) -- many at once may wait their turn under a slow pace
  -- A limit over the service's own may be refused instead of cut: what it uses by itself is right.
  if not page and err.status == 400 and offset == 0 and limit then return self:page(nil, 0) end
  if not page then
    self.failure = self.failure or err
    return {}
  end
  local users = page.data or {}
  self.rows = self.rows + #users
  if self.total and page.total ~= self.total then self.shifted = true end
  for _, user in ipairs(users) do self:found(user) end
  return users, page
end

-- An e-mail can be found on a page only.
function Search:needs_pages() return self.missing_emails + self.missing_protected > 0 end

function Search:missing()
  return self.missing_ids + self.missing_emails + self.missing_protected
end

-- The pages are read in parallel where the service gives a total, else one after another.
function Search:read_pages()
  local users, page = self:page(PAGE_SIZE, 0)
  if #users == 0 then return end
  local step, total, first = #users, page.total, users[1]
  self.total = total
  -- The users who are left may be fewer than the pages that are left.
  local few = total and self:missing() <= math.ceil((total - step) / step)
  if few and not self:needs_pages() then return end
  for offset = step, (total or math.huge) - 1, step do
    if self.failure or self:missing() == 0 then break end
    if total then
      self.tasks:spawn(self.page, self, step, offset)
    elseif page.hasNext == false then
      break
    else
      users, page = self:page(step, offset)
      -- A service that knows no offset would give its first page for ever.
      if #users == 0 or users[1].id == first.id then break end
    end
  end
  self.tasks:wait()
  if total and self:missing() > 0 and self.rows ~= total then self.shifted = true end
end

--- Is somebody of those who were named by e-mail not there, or not known for sure?
function Search:lacks_somebody() return self.missing_emails > 0 or next(self.several) ~= nil end

--- The protected e-mails that nobody has, in order.
function Search:unprotected()
  local list = {}
  for email, users in pairs(self.guarded) do
    if users == 0 then list[#list + 1] = email end
  end
  table.sort(list)
  return list
end

--- Reads the user pages where that is cheaper than reading the users one by one.
--- @return boolean|nil ok
--- @return table|nil err
function Search:run()
  if self:needs_pages() or self:missing() > FEW then self:read_pages() end
  if self.failure then return nil, self.failure end
  if self:needs_pages() and self.shifted then
    return nil, core.error {
      kind = "shifted",
      message = ("the list of users changed while it was read (%d of %d seen), so who is missing "
        .. "from it is not known; plan again"):format(self.rows, self.total),
    }
  end
  return true
end

return M
