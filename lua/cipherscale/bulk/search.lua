-- SPDX-License-Identifier: MIT
--
-- Who that is in the tenant, and what they hold, by the cheapest reads: user pages are read in
-- parallel until everybody is found, and show most of what a plan must know; only the rest is read
-- one user at a time. Whoever is not known is collected, so that all are reported together. Runs
-- inside client:run.

local core = require "cipherscale.core"
local nearest = require "cipherscale.bulk.nearest"

local M = {}

-- The largest page that the documentation speaks of; what comes back tells the real size.
local PAGE_SIZE = 100
-- So few ids are read one by one without looking at a page first.
local FEW = 4
-- How many unknown e-mails get candidates: each is compared with everybody.
local WITH_CANDIDATES = 10

local Search = {}
Search.__index = Search

-- Two entries that turn out to be one person are one: the first.
local function merge(a, b)
  if not a or not b or a == b then return a or b end
  local first, second = a, b
  if b.line < a.line then first, second = b, a end
  second.same_as = first
  return first
end

function Search:look_for(people)
  self.people, self.missing = people, #people
  for _, person in ipairs(people) do
    if person.id then
      self.by_id[person.id] = person
    else
      self.by_email[person.email:lower()] = person
      self.missing_emails = self.missing_emails + 1
    end
  end
end

function Search:problem(person, candidates, message, ...)
  self.problems[#self.problems + 1] = {
    line = person.line, name = person.email or person.id, candidates = candidates,
    message = ("%s %d: " .. message):format(self.word, person.line, ...),
  }
end

-- A user on a page. `user` in a person is the id under which it was found.
function Search:found(user)
  local email = user.email and user.email:lower()
  if self.missing_emails > 0 and email then self.emails[#self.emails + 1] = user.email end
  local named, addressed = self.by_id[user.id], email and self.by_email[email]
  if not named and not addressed then return end
  if addressed and addressed.user and addressed.user ~= user.id then
    addressed.others = addressed.others or { addressed.user }
    addressed.others[#addressed.others + 1] = user.id
    return
  end
  if addressed and not addressed.user then
    self.missing, self.missing_emails = self.missing - 1, self.missing_emails - 1
  end
  if named and named ~= addressed and not named.user then self.missing = self.missing - 1 end
  local person = merge(named, addressed)
  self.by_id[user.id] = person
  if addressed then self.by_email[email], addressed.user = person, user.id end
  if named then named.user = user.id end
  person.id, person.email = user.id, user.email
  person.held = self.verb.shown(user, self.concerned)
end

-- Reads a page and takes note of its users; gives them, or nil.
function Search:page(limit, offset)
  self.reads = self.reads + 1
  local page, err = self.client.users:page { limit = limit, offset = offset }
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

function Search:read_pages()
  local users, page = self:page(PAGE_SIZE, 0)
  if not users or #users == 0 then return end
  if not page.total then return self:follow_pages(users, page) end
  local step = #users
  self.total = page.total
  -- The users who are left may be fewer than the pages that are left.
  local pages_left = math.ceil((self.total - step) / step)
  if self.missing_emails == 0 and self.missing <= pages_left then return end
  for offset = step, self.total - 1, step do
    if self.failure or self.missing == 0 then break end
    self.tasks:spawn(self.page, self, step, offset)
  end
  self.tasks:wait()
  if self.missing > 0 and self.rows ~= self.total then self.shifted = true end
end

function Search:report_emails()
  local compared = 0
  for _, person in ipairs(self.people) do
    if person.others then
      self:problem(person, person.others,
        "several users have the e-mail '%s'; say which by id: %s",
        person.email, table.concat(person.others, ", "))
    elseif not person.id and not person.user then
      compared = compared + 1
      local close = compared <= WITH_CANDIDATES and nearest.find(person.email, self.emails) or {}
      self:problem(person, close, "no user has the e-mail '%s'%s",
        person.email, nearest.hint(close))
    end
  end
  self.emails = {}
end

-- One user. A user that is not there is a problem of that entry, anything else of the whole plan.
function Search:read_one(person)
  self.reads = self.reads + 1
  local held, err = self.verb.read(self.client, person.id, self.concerned)
  if held then
    person.held = held
  elseif err.status == 404 then
    self:problem(person, nil, "no user has the id '%s'", person.id)
  else
    self.failure = self.failure or err
  end
end

-- Reads those of whom the pages did not tell enough; gives everybody, each once. A plan that will
-- not be made, for what is unknown already, needs no more than to know who else is missing.
function Search:read_the_rest()
  local people, doomed = {}, #self.problems > 0
  for _, person in ipairs(self.people) do
    if self.failure then break end
    if person.id and not person.same_as then
      people[#people + 1] = person
      local enough = person.held or doomed and person.user
      if not enough then self.tasks:spawn(self.read_one, self, person) end
    end
  end
  self.tasks:wait()
  return people
end

--- Finds everybody. Each person gets `id`, `email` (where known) and `held`, the things concerned
--- that they hold, by id.
--- @param scope table client, tasks, verb, concerned, word, and problems, which is added to
--- @param list table those named, by id or by e-mail
--- @return table|nil people those found, each once
--- @return table|number err_or_reads the failed read's error, or how many reads it took
function M.find(scope, list)
  local search = setmetatable({
    client = scope.client, tasks = scope.tasks, verb = scope.verb, concerned = scope.concerned,
    problems = scope.problems, word = scope.word,
    by_id = {}, by_email = {}, emails = {}, missing_emails = 0, rows = 0, reads = 0,
  }, Search)
  search:look_for(list)
  if search.missing_emails > 0 or #list > FEW then search:read_pages() end
  if search.failure then return nil, search.failure end
  if search.missing_emails > 0 and search.shifted then
    return nil, core.error {
      kind = "shifted",
      message = ("the list of users changed while it was read (%d of %d seen), so who is missing "
        .. "from it is not known; plan again"):format(search.rows, search.total),
    }
  end
  search:report_emails()
  local people = search:read_the_rest()
  if search.failure then return nil, search.failure end
  return people, search.reads
end

return M
