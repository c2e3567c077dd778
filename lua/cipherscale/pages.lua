-- SPDX-License-Identifier: MIT
--
-- Whole lists: every resource with a list has `list` (everything, as an array) and `each` (a lazy
-- iterator), and one whose items people know by a field has `find`. Where the row gives pages,
-- both take the fields of it but `offset`; `limit` is the size of a page. Where it promises
-- everything at once and the service sends one page of several, the rest is asked for likewise.
--
-- A list that moves while it is read is noticed by its figures. What they cannot show: as many
-- going as coming between two pages; and, where the service gives no total, anything.

local core = require "cipherscale.core"

local M = {}

-- The largest page that the documentation speaks of; what comes back tells the real size.
local PAGE_SIZE = 100

--- What the methods say of themselves; `%s` is the field that `find` takes.
M.words = {
  list = "Everything, in one list; read once more where it moved meanwhile.",
  each = "Iterates over everything, a page at a time; raises the error of a page.",
  find = "The one with this %s, whatever the case of ASCII letters.",
}

local function shifted(message)
  return core.error { kind = "shifted", message = message }
end

-- What the service says of itself, should it be a whole number that can be (also in a string).
local function figure(value, least)
  local number = (type(value) == "number" or type(value) == "string") and tonumber(value)
  if number and number >= least and number <= 1e12 and number % 1 == 0 then return number end
end

M.figure = figure

local FLAGS = { ["true"] = true, ["false"] = false, ["1"] = true, ["0"] = false }

local function flag(value)
  local known = FLAGS[tostring(value)]
  if known ~= nil then return known end
  return value
end

local function is_same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not is_same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

-- The items of a page that have not come before: none where it is the one before once more. Those
-- without an id are not told apart; beside others that all have come, they have come with them.
local function fresh_of(page, before, seen, numbers)
  if before and is_same(page, before) then return {} end
  local fresh, told_apart, new = {}, 0, 0
  for _, item in ipairs(page) do
    local id, is_new = type(item) == "table" and item.id, nil
    if type(id) == "string" then
      is_new = select(2, seen:add(id))
    elseif type(id) == "number" then
      is_new, numbers[id] = not numbers[id], true
    end
    if is_new ~= nil then told_apart, new = told_apart + 1, new + (is_new and 1 or 0) end
    if is_new ~= false then fresh[#fresh + 1] = item end
  end
  return told_apart > 0 and new == 0 and {} or fresh
end

-- Whether a page says that more follow, after `read` pages; nil where it says nothing.
local function says_more(page, read)
  local more, pages = flag(page.hasNext), figure(page.pageCount or page.totalPages, 0)
  if more ~= nil then return more end
  return page.next and page.next ~= "" or pages and pages > read or nil
end

-- Whether a page may have been refused for our `limit`, and not for what the caller asked.
local function is_about_limit(err, fields)
  if err.status ~= 400 and err.status ~= 422 then return false end
  return not fields or next(fields) == nil
    or ((err.message or "") .. (err.body or "")):lower():find("limit", 1, true) ~= nil
end

-- ---- a walk over the pages ----------------------------------------------------------------------

-- Tasks may share an iterator. Those that come to the end of a page ask for the next one, each by
-- itself; the first answer is taken (a new turn), and what comes late for its turn is let go.
local Walk = {}
Walk.__index = Walk

local function new_walk(source, fields, options)
  -- A copy; what a metatable gives beside it is found, too.
  local asked = setmetatable({}, { __index = fields })
  for name, value in pairs(fields or {}) do asked[name] = value end
  local own_limit = asked.limit ~= nil
  if not own_limit then asked.limit = PAGE_SIZE end
  return setmetatable({
    source = source, fields = fields, options = options, asked = asked, own_limit = own_limit,
    whole = source.whole, seen = core.seen(), numbers = {}, given = 0, offset = 0, pages = 0,
    turn = 0, fresh = {}, n = 0,
  }, Walk)
end

-- A list that is promised whole: it comes at once, or in pages after all; nil and an error.
function Walk:read_whole()
  local resource, turn, list, err = self.source.resource, self.turn
  if self.fields ~= nil then
    list, err = self.whole(resource, self.fields, self.options)
  else
    list, err = self.whole(resource, self.options)
  end
  self.whole = nil
  if not list then return err.partial == true, err end
  if self.turn ~= turn then return true end
  self.turn, self.fresh, self.n, self.ended = turn + 1, list, 0, true
  return true
end

function Walk:ask()
  local source, asked, offset = self.source, self.asked, self.offset
  asked.offset = offset
  local page, err = source.page(source.resource, asked, self.options)
  -- A limit over the service's own may be refused instead of cut.
  if not page and offset == 0 and not self.own_limit and is_about_limit(err, self.fields) then
    asked.offset, asked.limit = 0, nil
    page, err = source.page(source.resource, asked, self.options)
  end
  return page, err
end

function Walk:read_page()
  local turn = self.turn
  local page, err = self:ask()
  if not page then return nil, err end
  if self.turn ~= turn then return true end
  self.turn = turn + 1
  local data, total = page.data, figure(page.total, 0)
  self.fresh, self.n = fresh_of(data, self.before, self.seen, self.numbers), 0
  self.given, self.before = self.given + #self.fresh, data
  if total and self.total and total < self.total then
    return nil, shifted(("the list changed while it was read: %d were announced, and then %d")
      :format(self.total, total))
  end
  if #self.fresh > 0 then self.pages = self.pages + 1 end
  self.total, self.more = total or self.total, says_more(page, self.pages)
  -- How far the next page is: what the service says of its own limit, but not beyond what came.
  local limit = figure(page.limit, 1)
  self.offset = self.offset + math.min(limit or #data, #data)
  self.stuck = #self.fresh == 0 and limit and #data >= limit
  -- A service that does not know `offset` would give the same page for ever.
  self.ended = #self.fresh == 0 or self.more == false
    or self.more ~= true and self.total and self.offset >= self.total
  return true
end

-- Why what came is not everything, or may not be; or nil.
function Walk:problem()
  if self.more == true then
    return shifted "the service says that there is more, and gives nothing new"
  elseif self.stuck and not self.total and self.more == nil then
    return shifted "the service gives the same full page again, and does not say what follows"
  elseif self.total and self.given ~= self.total then
    return shifted(("the list changed while it was read: %d different items came, "
      .. "%d were announced"):format(self.given, self.total))
  end
end

-- One item after another; nil at the end; nil and an error when a page fails or when what came is
-- not as much as the service announced.
function Walk:next()
  while true do
    self.n = self.n + 1
    local item = self.fresh[self.n]
    if item ~= nil then
      return item
    elseif self.ended then
      return nil, self:problem()
    end
    local ok, err
    if self.whole then ok, err = self:read_whole() else ok, err = self:read_page() end
    if not ok then return nil, err end
  end
end

-- ---- the methods --------------------------------------------------------------------------------

-- Reads everything once by `read(walk)` -> value, err; and once more if it moved meanwhile.
local function twice(source, call, read, fields, options)
  local value, err
  for _ = 1, 2 do
    value, err = read(new_walk(source, fields, options))
    if not err or err.kind ~= "shifted" then break end
  end
  if err then err.operation = call end
  return value, err
end

local function collect(walk)
  local all = {}
  while true do
    local item, err = walk:next()
    if err then return nil, err end
    if item == nil then return all end
    all[#all + 1] = item
  end
end

-- The fields and the options of a call; a list that is promised whole has no fields, but where the
-- client does not check.
local function arguments_of(source, first, second)
  if source.whole and second == nil then return nil, first end
  return first, second
end

local function check(source, self, method, ...)
  local name = source.name .. ":" .. method
  if self ~= source.resource then
    error(("call it with a colon: client.%s(…)"):format(name), 3)
  end
  local fields = arguments_of(source, ...)
  if type(fields) == "table" and fields.offset ~= nil then
    error(("%s.%s: a whole list has no offset (use page)"):format(source.name, method), 3)
  end
end

local function add_list(source)
  local call = source.name .. ".list"
  return function(self, ...)
    check(source, self, "list", ...)
    core.check(source.client, source.row, call, ...)
    return twice(source, call, collect, arguments_of(source, ...))
  end
end

local function add_each(source)
  local call = source.name .. ".each"
  return function(self, ...)
    check(source, self, "each", ...)
    core.check(source.client, source.row, call, ...)
    local walk = new_walk(source, arguments_of(source, ...))
    return function()
      local item, err = walk:next()
      if err then
        err.operation = call
        error(err, 0)
      end
      return item
    end
  end
end

local function unresolved(message, ...)
  return core.error { kind = "unresolved", message = message:format(...) }
end

-- The one whose field is `value`; nil and an error where there is none, or more than one. Where the
-- list has moved, the one that was found comes behind the error.
local function search(walk, name, field, value)
  local wanted, found = value:lower(), nil
  while true do
    local item, err = walk:next()
    if err then return nil, err, found end
    if item == nil then break end
    local is = type(item) == "table" and item[field]
    if type(is) == "string" and is:lower() == wanted then
      if found then
        return nil, unresolved("several have the %s '%s': %s, %s", field, value,
          tostring(found.id), tostring(item.id))
      end
      found = item
    end
  end
  if found then return found end
  return nil, unresolved("none of the %s has the %s '%s'", name, field, value)
end

local function add_find(source, field)
  local call = source.name .. ".find"
  return function(self, value, ...)
    check(source, self, "find")
    if type(value) ~= "string" or value == "" then
      error(("bad argument #1 to 'find' (%s: non-empty string expected, got %s)")
        :format(field, value == "" and "an empty string" or type(value)), 2)
    end
    core.check(source.client, source.row, call, nil, ...)
    local before
    return twice(source, call, function(walk)
      local one, err, found = search(walk, source.name, field, value)
      -- Others may be missing; the one is there all the same, and alone in both readings.
      if before and found and before.id == found.id then return found end
      before = found
      return one, err
    end, nil, (...))
  end
end

--- Gives the resources of a client their methods over whole lists.
--- @param client userdata
function M.attach(client)
  for i, row in ipairs(core.operations()) do
    local paged, plain = row.result == "PAGE", row.result == "LIST" and row.name == "list"
    if paged or plain then
      local resource = client[row.resource]
      local source = {
        client = client, resource = resource, name = row.resource, row = i,
        page = paged and resource[row.name] or core.pager(client, resource, i),
        whole = plain and resource[row.name] or nil,
      }
      local arguments = paged and "(fields, options)  " or "(options)  "
      resource.list = core.tell(add_list(source), arguments .. M.words.list)
      resource.each = core.tell(add_each(source), arguments .. M.words.each)
      if paged and row.known_by then
        resource.find = core.tell(add_find(source, row.known_by),
          ("(%s, options)  "):format(row.known_by) .. M.words.find:format(row.known_by))
      end
    end
  end
end

return M
