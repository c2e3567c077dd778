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
--- @param scope table client, tasks, verb, concerned, and holding_of: what a set of ids is kept as
function M.new(scope)
  return setmetatable({
    client = scope.client, tasks = scope.tasks, verb = scope.verb,
    concerned = scope.concerned, holding_of = scope.holding_of,
    keys = core.seen(), missing = 0, missing_emails = 0, missing_protected = 0,
    rows = 0, reads = 0,
    -- By number: the user's id and e-mail, what is held (or that it is mixed), all ids where
    -- several users have the e-mail.
    ids = {}, emails = {}, holdings = {}, mixed = {}, several = {},
    known_emails = {}, protected = {}, wanted = {},
  }, Search)
end

--- Notes somebody to look for; gives the number, and whether it is the first time.
function Search:name(id, email)
  local number, new = self.keys:add(id and "I" .. id or "E" .. email:lower())
  if new then
    self.missing = self.missing + 1
    if email then self.missing_emails = self.missing_emails + 1 end
  end
  return number, new
end

--- Who must not be changed: takes lists of ids and e-mails, which need not be known by both.
--- Whoever has one of these e-mails will be noted by id in `protected`.
--- @param known? table names for which nobody need be looked for, as keys
--- @return function is_protected tells of a { id =, email = }, once the search has run
--- @return table names without the blanks around them
function Search:protection(lists, known)
  local names, ids, emails = {}, {}, {}
  for _, list in ipairs(lists) do
    for _, given in ipairs(list) do
      local name = given:match("^%s*(.-)%s*$")
      names[#names + 1] = name
      local email = name:find("@", 1, true) and name:lower()
      if email then emails[email] = true else ids[name] = true end
      if email and not (known and known[name]) and not self.wanted[email] then
        self.wanted[email] = true
        self.missing, self.missing_protected = self.missing + 1, self.missing_protected + 1
      end
    end
  end
  return function(person)
    local id = person.id or person.user
    return ids[id] or self.protected[id]
      or person.email and emails[person.email:lower()]
  end, names
end

-- What a page tells of the person with this number.
function Search:note(number, user, held, mixed)
  if not self.ids[number] then self.missing = self.missing - 1 end
  self.ids[number], self.emails[number] = user.id, user.email
  self.holdings[number], self.mixed[number] = held, mixed
end

-- A user on a page.
function Search:found(user)
  if type(user) ~= "table" or type(user.id) ~= "string" then return end
  user.email = type(user.email) == "string" and user.email or nil
  local email = user.email and user.email:lower()
  if email then
    if self.missing_emails > 0 then self.known_emails[#self.known_emails + 1] = user.email end
    if self.wanted[email] then
      self.wanted[email] = false
      self.missing, self.missing_protected = self.missing - 1, self.missing_protected - 1
    end
    if self.wanted[email] == false then self.protected[user.id] = true end
  end
  local named = self.keys:find("I" .. user.id)
  local addressed = email and self.keys:find("E" .. email)
  if not named and not addressed then return end
  local held, mixed = self.verb.shown(user, self.concerned)
  held = held and self.holding_of(held)
  if named then self:note(named, user, held, mixed) end
  if not addressed then return end
  local other = self.ids[addressed]
  if other and other ~= user.id then
    local several = self.several[addressed] or { other }
    several[#several + 1] = user.id
    self.several[addressed] = several
    return
  end
  if not other then self.missing_emails = self.missing_emails - 1 end
  self:note(addressed, user, held, mixed)
end

--- The number of the first entry for the same person: one may be named by id and by e-mail.
function Search:first_of(number, by_id)
  local id, email = self.ids[number], self.emails[number]
  if not id or not email or self.several[number] then return number end
  local other = by_id and self.keys:find("E" .. email:lower())
    or not by_id and self.keys:find("I" .. id)
  if other and self.ids[other] == id and not self.several[other] then
    return math.min(number, other)
  end
  return number
end

-- Reads a page and takes note of its users; gives them, or nil.
function Search:page(limit, offset)
  self.reads = self.reads + 1
  local page, err = self.client.users:page({ limit = limit, offset = offset },
    { total_timeout = 604800 }) -- many at once may wait their turn under a slow pace
  -- A limit over the service's own may be refused instead of cut: what it uses by itself is right.
  if not page and err.status == 400 and offset == 0 and limit then return self:page(nil, 0) end
  if not page then
    self.failure = self.failure or err
    return nil
  end
  local users = page.data or {}
  self.rows = self.rows + #users
  if self.total and page.total ~= self.total then self.shifted = true end
  for _, user in ipairs(users) do self:found(user) end
  return users, page
end

-- Without a total the pages are followed one after another.
function Search:follow_pages(users, page)
  local step, offset, first = #users, 0, users[1].id
  repeat
    offset = offset + #users
    if page.hasNext == false or self.missing == 0 then return end
    users, page = self:page(step, offset)
    -- A service that knows no offset would give its first page for ever.
  until not users or #users == 0 or users[1].id == first
end

-- An e-mail can be found on a page only.
function Search:needs_pages() return self.missing_emails + self.missing_protected > 0 end

function Search:read_pages()
  local users, page = self:page(PAGE_SIZE, 0)
  if not users or #users == 0 then return end
  if not page.total then return self:follow_pages(users, page) end
  local step = #users
  self.total = page.total
  -- The users who are left may be fewer than the pages that are left.
  local pages_left = math.ceil((self.total - step) / step)
  if not self:needs_pages() and self.missing <= pages_left then return end
  for offset = step, self.total - 1, step do
    if self.failure or self.missing == 0 then break end
    self.tasks:spawn(self.page, self, step, offset)
  end
  self.tasks:wait()
  if self.missing > 0 and self.rows ~= self.total then self.shifted = true end
end

--- The protected e-mails that nobody has, in order.
function Search:unprotected()
  local list = {}
  for email, missing in pairs(self.wanted) do
    if missing then list[#list + 1] = email end
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
