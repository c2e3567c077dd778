-- SPDX-License-Identifier: MIT
-- Whole lists (list, each, find) over a service whose pages are not the documented ones: they end,
-- never raise but as documented, never give an item twice, and never a short list as a whole one.
-- Spoilt single answers: hostile_spec.

local cipherscale = require "cipherscale"
local contract = require "spec.support.contract"
local setting = require "spec.support.setting"

local array, null = contract.array, contract.null

-- Answers that a walk may ask for before it must have ended.
local PATIENCE = 20

local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end)

local function serve(pages, last)
  local answers = {}
  for i, page in ipairs(pages) do
    answers[i] = { body = type(page) == "string" and page or contract.encode(page) }
  end
  for i = #answers + 1, PATIENCE do
    answers[i] = last and { body = contract.encode(last) } or answers[#pages]
  end
  setting.start({ answers = answers, once = true }, { max_retries = 0 })
end

local function item(n) return { id = "i" .. n, email = "P" .. n .. "@example.com", name = n } end

-- The resources that have pages.
local paged = {}
for _, row in ipairs(cipherscale.operations()) do
  if row.name == "page" then paged[#paged + 1] = row.resource end
end

local function ids(list)
  local names = {}
  for i, value in ipairs(list) do
    names[i] = type(value) == "table" and tostring(value.id) or tostring(value)
  end
  return table.concat(names, " ")
end

-- What list() gives, as text: the ids, or the kind of the error.
local function listed(resource)
  local ok, all, err = pcall(client[resource].list, client[resource])
  if not ok then return "raised " .. tostring(all) end
  return all and ids(all) or err.kind
end

-- The same of each(): an error of ours is documented to be raised.
local function walked(resource)
  local seen = {}
  local ok, err = pcall(function()
    for value in client[resource]:each() do seen[#seen + 1] = value end
  end)
  if ok then return ids(seen) end
  return type(err) == "table" and err.kind or "raised " .. tostring(err)
end

local EMPTY = { data = array {}, total = 2, page = 1, limit = 2, hasNext = false }

-- What the pages are; the pages, of which the last repeats; what must come of them, or a list of
-- outcomes that will do; `last`: what is answered after them.
local CASES = {
  { "an array", { array { item(1), item(2) } }, "i1 i2" },
  { "data alone", { { data = array { item(1), item(2) } } }, "i1 i2", last = EMPTY },
  { "figures in strings", { { data = array { item(1) }, total = "2", limit = "1", page = "0" },
    { data = array { item(2) }, total = "2", limit = "1", page = "1" } }, "i1 i2" },
  { "an end in a string", { { data = array { item(1), item(2) }, hasNext = "false" } }, "i1 i2" },
  { "figures of null", { { data = array { item(1), item(2) }, total = null, limit = null,
    hasNext = null } }, "i1 i2", last = EMPTY },
  { "figures that are tables", { { data = array { item(1) }, total = {}, limit = array { 5 },
    hasNext = {} } }, "i1", last = { data = array {} } },
  { "a limit of zero", { { data = array { item(1) }, total = 2, limit = 0 },
    { data = array { item(2) }, total = 2, limit = 0 } }, "i1 i2" },
  { "a negative limit", { { data = array { item(1) }, total = 2, limit = -5 },
    { data = array { item(2) }, total = 2, limit = -5 } }, "i1 i2" },
  { "a limit of a half", { { data = array { item(1) }, total = 2, limit = 0.5 },
    { data = array { item(2) }, total = 2, limit = 0.5 } }, "i1 i2" },
  { "a limit that is no whole number", { { data = array { item(1) }, total = 2, limit = 1.5 },
    { data = array { item(2) }, total = 2, limit = 1.5 } }, "i1 i2" },
  { "a limit beyond all numbers", { { data = array { item(1), item(2) }, total = 2,
    limit = 1e300 } }, "i1 i2" },
  { "a negative total", { { data = array { item(1) }, total = -1, hasNext = false } },
    { "i1", "shifted" } },
  { "a total that is too small", { { data = array { item(1), item(2) }, total = 1, limit = 2 } },
    "shifted" },
  { "a total that is too large", { { data = array { item(1) }, total = 3, limit = 1,
    hasNext = false } }, "shifted" },
  { "the same page each time", { { data = array { item(1) }, limit = 1, hasNext = true } },
    { "i1", "shifted" } },
  { "the same page each time, with a total", { { data = array { item(1) }, limit = 1,
    total = 1e6 } }, "shifted" },
  { "the same page each time, without figures", { { data = array { item(1) } } },
    { "i1", "shifted" } },
  { "the same full page each time, without a total", { { data = array { item(1) }, limit = 1 } },
    "shifted" },
  { "the same page each time, of several", { { data = array { item(1) }, pageCount = 3 } },
    "shifted" },
  { "the same page each time, with a next", { { data = array { item(1) }, next = "/x" } },
    "shifted" },
  { "an end without `next`", { { data = array { item(1) }, next = "/x" },
    { data = array { item(2) }, next = null } }, "i1 i2", last = { data = array {} } },
  { "several, by their number", { { data = array { item(1) }, totalPages = "2" },
    { data = array { item(2) }, totalPages = "2" } }, "i1 i2", last = { data = array {} } },
  { "the same items, in strings, each time", { { data = array { "a", "b" } } },
    { "a b", "shifted" } },
  { "the same items, with and without an id, each time",
    { { data = array { item(1), { email = "x@example.com" }, { id = null } } } }, "i1 nil nil" },
  { "old ones and some without an id", { { data = array { item(1), { n = 1 } } },
    { data = array { { n = 2 }, item(1) } }, { data = array { item(1), { n = 3 } } } }, "i1 nil" },
  { "the same items, with an id that is a number, each time, of more",
    { { data = array { item(1), { id = 7 } }, total = 3 } }, "shifted" },
  { "ids that are numbers, moved", { { data = array { { id = 1 }, { id = 2 } }, total = 3 },
    { data = array { { id = 2 }, { id = 3 } }, total = 3 } }, "1 2 3" },
  { "ids that differ by their type", { { data = array { { id = 1 } }, total = 2 },
    { data = array { { id = "1" } }, total = 2 } }, "1 1" },
  { "no item, and more of them", { { data = array {}, hasNext = true, total = 5 } },
    "shifted" },
  { "a list that is lost", { { total = 5, page = 0 } }, "decode" },
  { "a list that is null", { { data = null, total = 5 } }, "decode" },
  { "a list that is text", { { data = "x", total = 5 } }, "decode" },
  { "an object for a list", { { data = item(1), total = 1 } }, "i1" },
  { "an object for a page", { item(1) }, "decode" },
  { "nothing", { "" }, "decode" }, { "HTML", { "<html>" }, "decode" },
  { "text", { "OK" }, "decode" }, { "null", { "null" }, "decode" },
  { "items of all kinds", { { data = array { item(1), null, "x", 5, false, array { 1 }, {} },
    total = 7, limit = 10 } }, nil },
  { "ids of all kinds", { { data = array { { id = 1 }, { id = null }, { id = {} }, { id = "" },
    { id = false } }, total = 5, limit = 10 } }, nil },
  { "emails of all kinds", { { data = array { { id = "1", email = 5 }, { id = "2", email = {} },
    { id = "3", email = null }, { id = "4", email = "" } }, total = 4, limit = 10 } }, "1 2 3 4" },
}

-- What differs where everything is promised at once.
local PLAIN = { ["an object for a page"] = "i1",
                ["a total that is too small"] = { "i1 i2", "shifted", "decode" } }

local function fits(expected, got)
  if expected == nil then return not got:find "^raised" end
  if type(expected) == "string" then return got == expected end
  for _, one in ipairs(expected) do
    if got == one then return true end
  end
  return false
end

describe("client.policies, which promises its list at once", function()
  for _, case in ipairs(CASES) do
    it("and sends " .. case[1] .. ", is whole or refused", function()
      for _, walk in ipairs { listed, walked } do
        -- The first shows that there are pages; then they are asked for from the beginning.
        serve({ case[2][1], table.unpack(case[2]) }, case.last)
        local got = walk "policies"
        assert.is_true(fits(PLAIN[case[1]] or case[3], got), got)
        assert.is_true(server:count() < PATIENCE, "it does not end")
      end
    end)
  end
end)

for _, resource in ipairs(paged) do
  describe(("client.%s, whose pages are"):format(resource), function()
    for _, case in ipairs(CASES) do
      it(case[1] .. ", is whole or refused", function()
        for _, walk in ipairs { listed, walked } do
          serve(case[2], case.last)
          local got = walk(resource)
          assert.is_true(fits(case[3], got), got)
          assert.is_true(server:count() < PATIENCE, "it does not end")
        end
      end)

      it(case[1] .. ", finds or says why not", function()
        serve(case[2], case.last)
        if not rawget(client[resource], "find") then return end
        for _, wanted in ipairs { "p1@example.com", "nobody@example.com" } do
          serve(case[2], case.last)
          local ok, found, err = pcall(client[resource].find, client[resource], wanted)
          assert.is_true(ok, tostring(found))
          assert.is_true(found and found.id == "i1" or type(err.kind) == "string")
          assert.is_true(server:count() < PATIENCE, "it does not end")
        end
      end)
    end
  end)
end
