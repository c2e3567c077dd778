-- SPDX-License-Identifier: MIT
--
-- Who that is in the tenant, and what they hold, as far as user pages tell: pages are read in
-- parallel until everybody is found, and show most of what a plan must know. Who is left is read
-- one by one (making.lua). An e-mail is taken for one user's: that two have it is seen only where
-- both are on pages that were read. Runs inside client:run.

local core = require "cipherscale.core"
local PATIENT = require "cipherscale.bulk.patient"
local pages = require "cipherscale.pages"

local M = {}

-- The largest page that the documentation speaks of; what comes back tells the real size.
local PAGE_SIZE = 100
-- So few ids are read one by one without looking at a page first.
local FEW = 4

-- The id of what stands on a page, which may be anything.
local function id_of(user)
  return type(user) == "table" and type(user.id) == "string" and user.id or nil
end

local Search = {}
Search.__index = Search

--- A search. People are numbered in the order in which they are first named.
--- @param scope table client, tasks; maybe shown(user), which gives what is kept of a user
function M.new(scope)
  return setmetatable({
    client = scope.client, tasks = scope.tasks, shown = scope.shown,
    keys = core.seen(), rows = 0, reads = 0,
    -- How many are not found yet: in all, and of those who were named by `id`, by `email`, or are
    -- `protected`.
    missing = 0, missing_by = { id = 0, email = 0, protected = 0 },
    -- By number: the user's id and e-mail, what is kept of them, all ids where several users have
    -- the e-mail, and the other number of somebody who is named by id and by e-mail.
    ids = {}, emails = {}, holdings = {}, several = {}, twins = {},
    -- The e-mails of protected people, as keys: false until somebody has it. The ids of those.
    guarded = {}, protected = {},
    known_emails = {},
  }, Search)
end

function Search:miss(kind, change)
  self.missing, self.missing_by[kind] = self.missing + change, self.missing_by[kind] + change
end

--- Notes somebody to look for, by the id if there is one; gives the number, and whether it is the
--- first time.
function Search:name(id, email)
  local number, new = self.keys:add(id and "I" .. id or "E" .. email:lower())
  if new then self:miss(id and "id" or "email", 1) end
  return number, new
end

--- Who must not be changed: takes lists of ids and e-mails, which need not be known by both.
--- @param known? table names for which nobody need be looked for, as keys
--- @return function is_protected tells of a { user =, email = }, once the search has run
--- @return table names without the blanks around them
function Search:protection(lists, known)
  local names, guarded, protected = {}, self.guarded, self.protected
  for _, list in ipairs(lists) do
    for _, given in ipairs(list) do
      local name = given:match("^%s*(.-)%s*$")
      local email = name:find("@", 1, true) and name:lower()
      names[#names + 1] = name
      if not email then
        protected[name] = true
      elseif guarded[email] == nil then
        guarded[email] = known and known[name] or false
        if not guarded[email] then self:miss("protected", 1) end
      end
    end
  end
  return function(person)
    return protected[person.user] or person.email and guarded[person.email:lower()] ~= nil
  end, names
end

-- What a page tells of the person with this number.
function Search:note(kind, number, user, holding)
  if not self.ids[number] then self:miss(kind, -1) end
  self.ids[number], self.emails[number], self.holdings[number] = user.id, user.email, holding
end

-- A user on a page.
function Search:found(user)
  user.email = type(user.email) == "string" and user.email or nil
  local email = user.email and user.email:lower()
  if email and self.missing_by.email > 0 then table.insert(self.known_emails, user.email) end
  if email and self.guarded[email] ~= nil then
    if not self.guarded[email] then self:miss("protected", -1) end
    self.guarded[email], self.protected[user.id] = true, true
  end
  local named, addressed = self.keys:find("I" .. user.id), email and self.keys:find("E" .. email)
  if not named and not addressed then return end
  local holding = self.shown(user)
  if named then self:note("id", named, user, holding) end
  local other = addressed and self.ids[addressed]
  if other and other ~= user.id then
    self.several[addressed] = self.several[addressed] or { other }
    table.insert(self.several[addressed], user.id)
  elseif addressed then
    self:note("email", addressed, user, holding)
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
  local page, err = self.client.users:page({ limit = limit, offset = offset }, PATIENT)
  -- A limit over the service's own may be refused instead of cut: what it uses by itself is right.
  if not page and err.status == 400 and offset == 0 and limit then return self:page(nil, 0) end
  if not page then
    self.failure = self.failure or err
    return {}
  end
  local users = page.data or {}
  page.total = pages.figure(page.total, 0)
  self.rows, self.over = self.rows + #users, self.over or #users == 0
  if self.total and page.total ~= self.total then self.shifted = true end
  for _, user in ipairs(users) do
    if id_of(user) then self:found(user) end
  end
  return users, page
end

-- An e-mail can be found on a page only.
function Search:needs_pages() return self.missing > self.missing_by.id end

-- The pages are read in parallel where the service gives a total, else one after another.
function Search:read_pages()
  local users, page = self:page(PAGE_SIZE, 0)
  local step, offset, total, first = #users, #users, page and page.total, id_of(users[1])
  self.total, self.shifted = total, step == 0 and total and total > 0
  if step == 0 then return end
  -- The users who are left may be fewer than the pages that are left.
  local few = total and self.missing <= math.ceil((total - step) / step)
  if few and not self:needs_pages() then return end
  while offset < (total or math.huge) and self.missing > 0 and not (self.failure or self.over) do
    if total then
      self.tasks:spawn(self.page, self, step, offset)
    elseif page.hasNext == false then
      break
    else
      users, page = self:page(step, offset)
      -- A service that knows no offset would give its first page for ever.
      if id_of(users[1]) == first then break end
    end
    offset = offset + #users
  end
  self.tasks:wait()
  if total and self.missing > 0 and self.rows ~= total then self.shifted = true end
end

--- Is somebody of those who were named by e-mail not there, or not known for sure?
function Search:lacks_somebody() return self.missing_by.email > 0 or next(self.several) ~= nil end

--- The protected e-mails that nobody has, in order.
function Search:unprotected()
  local list = {}
  for email, found in pairs(self.guarded) do
    if not found then list[#list + 1] = email end
  end
  table.sort(list)
  return list
end

--- Reads the user pages where that is cheaper than reading the users one by one.
--- @return boolean|nil ok
--- @return table|nil err
function Search:run()
  if self:needs_pages() or self.missing > FEW then self:read_pages() end
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
