-- SPDX-License-Identifier: MIT
--
-- Whole lists out of pages: every resource that has a `page` gets `list` (everything, as an array)
-- and `each` (a lazy iterator). Both take the fields of `page` but `offset`; `limit` is the size of
-- a page. An item that comes twice, because the list moved while it was read, is given once.

local core = require "cipherscale.core"

local M = {}

-- The largest page that the documentation speaks of; what comes back tells the real size.
local PAGE_SIZE = 100

-- Resources of which one item can be found by a field that people know: client.users:find(email).
local FOUND_BY = { users = "email" }

local function check_fields(call, fields)
  if fields ~= nil and type(fields) ~= "table" then
    error(("%s: table of fields expected, got %s"):format(call, type(fields)), 3)
  end
  if fields and fields.offset ~= nil then
    error(call .. ": a whole list has no offset (use page)", 3)
  end
end

local function shifted(call, message)
  return core.error { kind = "shifted", operation = call, message = message }
end

-- What the service says of itself, should it be a whole number that can be (also in a string).
local function figure(value, least)
  local number = (type(value) == "number" or type(value) == "string") and tonumber(value)
  if number and number >= least and number <= 1e12 and number % 1 == 0 then return number end
end

local function flag(value)
  if value == "true" or value == "false" then return value == "true" end
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

-- The items of a page that have not come before. Those without an id are not told apart; a page
-- of them that is the one before once more has nothing new.
local function fresh_of(page, before, seen)
  local fresh, told_apart = {}, false
  for _, item in ipairs(page) do
    local id = type(item) == "table" and item.id
    if type(id) == "string" then
      told_apart = true
      if select(2, seen:add(id)) then fresh[#fresh + 1] = item end
    else
      fresh[#fresh + 1] = item
    end
  end
  if not told_apart and before and is_same(page, before) then return {} end
  return fresh
end

-- Gives one item after another; nil at the end; nil and an error when a page fails or when what
-- came is not as many as the service announced.
local function walk(resource, call, fields, options)
  local asked = { limit = PAGE_SIZE }
  for name, value in pairs(fields or {}) do asked[name] = value end
  local seen, given, offset, ended = core.seen(), 0, 0, false
  local total, more, before
  local fresh, n = {}, 0
  local function next_page()
    asked.offset = offset
    local page, err = resource:page(asked, options)
    -- A limit over the service's own may be refused instead of cut.
    if not page and err.status == 400 and offset == 0 and not (fields and fields.limit) then
      asked.limit = nil
      page, err = resource:page(asked, options)
    end
    if not page then return nil, err end
    fresh, n = fresh_of(page.data, before, seen), 0
    given, before = given + #fresh, page.data
    total, more = figure(page.total, 0) or total, flag(page.hasNext)
    -- How far the next page is: what the service says of its own limit, or else what came.
    offset = offset + (figure(page.limit, 1) or #page.data)
    -- A service that does not know `offset` would give the same page for ever.
    ended = #fresh == 0 or more == false or total and offset >= total
    return true
  end
  return function()
    while true do
      n = n + 1
      if fresh[n] ~= nil then
        return fresh[n]
      elseif not ended then
        local ok, err = next_page()
        if not ok then return nil, err end
      elseif total and given ~= total then
        return nil, shifted(call, ("the list changed while it was read: %d different items came, "
          .. "%d were announced"):format(given, total))
      elseif not total and more == true then
        return nil, shifted(call, "the service says that there is more, and gives nothing new")
      else
        return nil
      end
    end
  end
end

local function collect(next_item)
  local all = {}
  while true do
    local item, err = next_item()
    if err then return nil, err end
    if item == nil then return all end
    all[#all + 1] = item
  end
end

local function add_list(resource, name)
  local call = name .. ".list"
  --- Everything, in one table. When the list moved while it was read, it is read once more.
  function resource.list(self, fields, options)
    if self ~= resource then error("call it with a colon: " .. name .. ":list()", 2) end
    check_fields(call, fields)
    local all, err = collect(walk(resource, call, fields, options))
    if err and err.kind == "shifted" then
      all, err = collect(walk(resource, call, fields, options))
    end
    return all, err
  end
end

local function add_each(resource, name)
  local call = name .. ".each"
  --- Iterates over everything, a page at a time. Raises the error of a page that fails, and one of
  --- kind `shifted` when the list moved while it was read.
  function resource.each(self, fields, options)
    if self ~= resource then error("call it with a colon: " .. name .. ":each()", 2) end
    check_fields(call, fields)
    local next_item = walk(resource, call, fields, options)
    return function()
      local item, err = next_item()
      if err then error(err, 0) end
      return item
    end
  end
end

local function add_find(resource, name, field)
  local call = name .. ".find"
  --- The one item whose field (a user's e-mail, say) is `value`, whatever the case.
  function resource.find(self, value, options)
    if self ~= resource then error("call it with a colon: " .. name .. ":find(" .. field .. ")",
      2) end
    if type(value) ~= "string" or value == "" then
      error(("bad argument #1 to 'find' (%s: non-empty string expected, got %s)")
        :format(field, value == "" and "an empty string" or type(value)), 2)
    end
    local wanted, found = value:lower(), nil
    local next_item = walk(resource, call, nil, options)
    while true do
      local item, err = next_item()
      if err then return nil, err end
      if item == nil then break end
      local is = type(item) == "table" and item[field]
      if type(is) == "string" and is:lower() == wanted then
        if found then
          return nil, core.error {
            kind = "unresolved", operation = call,
            message = ("several have the %s '%s': %s, %s"):format(field, value,
              tostring(found.id), tostring(item.id)),
          }
        end
        found = item
      end
    end
    if found then return found end
    return nil, core.error {
      kind = "unresolved", operation = call,
      message = ("none of the %s has the %s '%s'"):format(name, field, value),
    }
  end
end

--- Gives the resources of a client their methods over whole lists.
--- @param client userdata
function M.attach(client)
  for _, row in ipairs(core.operations()) do
    if row.name == "page" then
      local resource = client[row.resource]
      add_list(resource, row.resource)
      add_each(resource, row.resource)
      if FOUND_BY[row.resource] then add_find(resource, row.resource, FOUND_BY[row.resource]) end
    end
  end
end

return M
