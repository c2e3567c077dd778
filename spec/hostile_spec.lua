-- SPDX-License-Identifier: MIT
-- A reality that is not the documented one. For every operation, answers made from the contract's
-- schemas and then spoilt, in every field and as a whole: a call never raises, a change that was
-- answered 2xx is never told as failed, and what the answer holds comes through. What must come
-- of an answer is reckoned here from the answer and the row alone. Whole lists: hostile_pages_spec.

local cipherscale = require "cipherscale"
local contract = require "spec.support.contract"
local setting = require "spec.support.setting"

local array, null = contract.array, contract.null

-- The collector that always runs (make asan) makes this thirty times as slow: each operation then
-- meets some of the spoilt fields, another one others.
local SHARE = os.getenv "ASAN_OPTIONS" and 8 or 1

-- ---- what an answer is spoilt with --------------------------------------------------------------

-- One value of each JSON type, made anew each time.
local KINDS = {
  { "a string", function() return "SOMETHING_NEW" end },
  { "an empty string", function() return "" end },
  { "a number", function() return 7 end },
  { "a number in a string", function() return "7" end },
  { "false", function() return false end },
  { "null", function() return null end },
  { "an object", function() return { id = "new", data = "x" } end },
  { "an empty object", function() return {} end },
  { "a list of strings", function() return array { "a", "b" } end },
  { "a list with null", function() return array { null, { id = "x" } } end },
  { "an empty list", function() return array {} end },
}

-- Calls visit(what) with each field of the object, in turn, missing and of every type, then with
-- fields that nobody knows. `deep`: fields of objects inside, of two types each.
local function spoil_object(object, place, visit, deep)
  local names = contract.names(object)
  for turn, name in ipairs(names) do
    local kept = object[name]
    local field = place .. name
    object[name] = nil
    visit(field .. " missing")
    for i, kind in ipairs(KINDS) do
      if not deep or i == 6 or i == 1 + turn % #KINDS then
        object[name] = kind[2]()
        visit(field .. " is " .. kind[1])
      end
    end
    object[name] = kept
    if type(kept) == "table" then
      local inner = contract.is_array(kept) and kept[1] or kept
      if type(inner) == "table" then spoil_object(inner, field .. ".", visit, true) end
    end
  end
  object.somethingNew, object.metadata = { deep = array { 1, { a = "b" } } }, "x"
  visit(place .. "unknown fields")
  object.somethingNew, object.metadata = nil, nil
end

-- Every number in it becomes a string, or comes back.
local function numbers_to_strings(value, back)
  for key, item in pairs(value) do
    if type(item) == "table" then
      numbers_to_strings(item, back)
    elseif type(item) == "number" then
      value[key] = ("%d"):format(item)
      back[#back + 1] = function() value[key] = item end
    end
  end
end

local function with_strings(value, visit)
  local back = {}
  numbers_to_strings(value, back)
  visit()
  for _, undo in ipairs(back) do undo() end
end

-- Bodies that are no answer of this API at all.
local NO_ANSWER = {
  "", " \r\n\t", "null", "true", "5", '"x"', '"Invitation sent."', "Success", "OK\n", "{",
  '{"id":', '{"id":"1"} x', '{"a":NaN}', "[1", "\xFF\xFE{", "\0", "{'id':1}",
  ("["):rep(101) .. ("]"):rep(101), ('{"a":'):rep(1e4),
}

local HTML = {
  "<html><body>Sign in</body></html>", " \n<!DOCTYPE html>", "\xEF\xBB\xBF<html>",
  "<?xml?><error/>",
}

-- Bodies of refusals.
local REFUSALS = {
  "", "no", "<html>", "null", "[]", "{}", '["a"]', '"x"', '{"message":"no"}',
  '{"message":["a","b"]}', '{"message":{"a":1}}', '{"message":5,"code":7,"statusCode":"400"}',
  '{"message":null,"error":null}', '{"error":{"code":"E_NO","message":"no"}}',
  '{"error":{"code":{},"message":[]}}', '{"error":true}',
  '{"errors":[{"message":"no"},5,null]}', '{"code":[],"message":""}',
  '{"message":"' .. ("x"):rep(9000),
}

-- ---- what must come of it -----------------------------------------------------------------------

-- A refusal to take the answer: an error to a read, and to a change a success with a problem.
local SURPRISE, PAGE_OF_HTML = {}, {}

local function page_of(items, total)
  return {
    data = array(items), total = total or #items, page = 0, limit = 10,
    hasNext = (total or 0) > #items, hasPrevious = false,
  }
end

-- The bodies that are spoilt field by field: a function that gives what must come of `body`.
local BASES = {
  VALUE = function(item)
    return item, item, function() return item end
  end,
  LIST = function(item, other)
    local list = array { item, other }
    return list, item, function() return list end
  end,
  PAGE = function(item, other)
    local page = page_of { item, other }
    return page, page, function()
      if type(page.data) ~= "table" or page.data == null then return SURPRISE end
      if contract.is_array(page.data) or not next(page.data) then return page end
      local whole = {}
      for name, value in pairs(page) do whole[name] = value end
      whole.data = array { page.data }
      return whole
    end
  end,
}

-- Arrays, objects and pages in each other's place: visit(what, body, what must come of it).
local PLACES = {
  VALUE = function(item, other, visit)
    visit("a list of it", array { item }, item)
    visit("a page of it", page_of { item }, item)
    visit("a list of two", array { item, other }, SURPRISE)
    visit("a page of two", page_of { item, other }, SURPRISE)
    visit("one page of several", page_of({ item }, 5), SURPRISE)
    visit("an empty list", array {}, SURPRISE)
    visit("an empty page", page_of {}, SURPRISE)
    visit("a list of a list", array { array { item } }, SURPRISE)
    visit("a list of strings", array { "x" }, SURPRISE)
    visit("a list of null", array { null }, SURPRISE)
    visit("an object in an envelope", { data = item }, { data = item })
    visit("an empty object", {}, {})
  end,
  LIST = function(item, other, visit)
    visit("an object", item, array { item })
    visit("a page", page_of { item, other }, array { item, other })
    visit("a page without its figures", { data = array { item } }, array { item })
    visit("an object for a page's list", { data = item, total = 1 }, array { item })
    visit("one page of several", page_of({ item, other }, 5), SURPRISE)
    visit("a page that lost its list", { total = 2, page = 0 }, SURPRISE)
    visit("a page whose list is null", { data = null, total = 2 }, SURPRISE)
    visit("a page of nothing", page_of {}, {})
    visit("a page of nothing, null", { data = null, total = 0 }, {})
    visit("an empty list", array {}, {})
    visit("an empty object", {}, {})
    visit("a list of strings", array { "x", 5, false, null }, array { "x", 5, false, null })
    visit("a list in a list", array { array { item } }, array { array { item } })
    visit("a page with figures in strings",
      { data = array { item }, total = "1", page = "0", limit = "10", hasNext = "false" },
      array { item })
    visit("one page of several with figures in strings",
      { data = array { item }, total = "3", page = "0", limit = "1", hasNext = "true" }, SURPRISE)
  end,
  PAGE = function(item, other, visit)
    visit("a list", array { item, other }, { data = array { item, other } })
    visit("an empty list", array {}, { data = {} })
    visit("an empty object", {}, { data = {} })
    visit("an object", item, SURPRISE)
    visit("only a list in it", { data = array { item } }, { data = array { item } })
    visit("one that lost its list", { total = 2, page = 0 }, SURPRISE)
    visit("one of strings", page_of { "x", 5, null }, page_of { "x", 5, null })
    visit("one of nothing, null", { data = null, total = 0 }, { data = {}, total = 0 })
  end,
  NOTHING = function(item, other, visit)
    visit("an object", item, true)
    visit("a list", array { item, other }, true)
    visit("a page", page_of { item }, true)
    visit("an empty object", {}, true)
    visit("an empty list", array {}, true)
    visit("success = false", { success = false, error = "no" }, true)
  end,
}

-- Is `got` what the JSON `sent` says, with null fields absent?
local function agrees(sent, got)
  if sent == null then return got == cipherscale.null end
  if type(sent) ~= "table" then
    return sent == got and (type(sent) ~= "number" or math.type(got) == "integer")
  end
  if type(got) ~= "table" then return false end
  for key, value in pairs(sent) do
    if value == null and type(key) == "string" then
      if got[key] ~= nil then return false end
    elseif not agrees(value, got[key]) then
      return false
    end
  end
  for key in pairs(got) do
    if sent[key] == nil then return false end
  end
  return true
end

-- ---- the cases of an operation ------------------------------------------------------------------

-- The object that an operation answers, or one of its list or page; any for one that answers
-- nothing. Made twice, with ids of its own each time.
local function items_of(row)
  local schema = contract.resolve(contract.answer_schema(row) or { ["$ref"] =
    "#/components/schemas/User" })
  if row.result == "PAGE" then schema = contract.resolve(schema.properties.data) end
  if schema.type == "array" then schema = contract.resolve(schema.items) end
  local both = contract.example({ type = "array", items = { type = "object", properties = {
    a = schema, b = schema }, required = { "a", "b" } } }, "all")[1]
  return both.a, both.b
end

-- Calls visit{ what, status, body (a tree) or text, outcome } for every case, in the same order
-- each time; trees are spoilt only during the call.
local function each_case(row, visit)
  local item, other = items_of(row)
  local base, turn = true, #row.path
  if BASES[row.result] then
    local whole, object, outcome = BASES[row.result](item, other)
    local function spoilt(what)
      turn = turn + 1
      if turn % SHARE == 0 then visit { what = what, body = whole, outcome = outcome() } end
    end
    base = whole
    spoil_object(object, "", spoilt)
    if row.result == "PAGE" then spoil_object(item, "data[1].", spoilt) end
    with_strings(base, function()
      visit { what = "numbers are strings", body = base, outcome = base }
    end)
  end
  PLACES[row.result](item, other, function(what, body, expected)
    visit { what = what, body = body, outcome = expected }
  end)
  local done = row.result == "NOTHING"
  for _, status in ipairs { 200, 201, 202, 203, 206, 226, 299 } do
    visit { what = "status", status = status, body = done and item or base, outcome = base }
  end
  for _, status in ipairs { 200, 201, 204, 205 } do
    visit { what = "no body", status = status, text = "", outcome = done or SURPRISE }
  end
  for _, text in ipairs(NO_ANSWER) do
    visit { what = ("body %q"):format(text:sub(1, 20)), text = text, outcome = done or SURPRISE }
  end
  for _, text in ipairs(HTML) do
    for _, kind in ipairs { "text/html", "application/json" } do
      visit { what = ("HTML %q"):format(text), text = text, kind = kind, outcome = PAGE_OF_HTML }
    end
  end
  for i, text in ipairs(REFUSALS) do
    local status = ({ 400, 401, 403, 404, 409, 422, 500, 502 })[i % 8 + 1]
    visit { what = ("refusal %q"):format(text:sub(1, 30)), status = status, text = text }
  end
end

local function check_refusal(case, value, err, response)
  if value ~= nil or err.kind ~= "http" or err.status ~= case.status then
    return "not told as a refusal"
  end
  if response.status ~= case.status or #tostring(err) == 0 then return "badly told" end
  for _, name in ipairs { "message", "code", "body" } do
    local kind = type(err[name])
    if kind ~= "nil" and kind ~= "string" and not (kind == "number" and name == "code") then
      return ("%s is a %s"):format(name, kind)
    end
  end
end

local function check_outcome(row, case, value, err, response)
  local expected, change = case.outcome, row.repeat_class ~= "READ"
  if response.status ~= case.status then return "the status did not come through" end
  if expected == PAGE_OF_HTML or expected == SURPRISE and not change then
    if value ~= nil or err.kind ~= "decode" or #tostring(err) == 0 then return "believed" end
    if (err.ambiguous == true) ~= change then return "ambiguous is wrong" end
    return nil
  end
  if err ~= nil or value == nil then
    return ("told as failed: %s"):format(tostring(err))
  elseif expected == SURPRISE then
    if type(response.problem) ~= "string" then return "no problem is named" end
    if type(value) ~= "table" or next(value) ~= nil then return "made up" end
  elseif not agrees(expected, value) then
    return "not what the answer holds"
  elseif response.problem ~= nil then
    return "a problem: " .. response.problem
  end
end

-- Makes the call, and gives what is wrong with what came of it.
local function try(client, row, case, arguments)
  local response = {}
  local method, resource = client[row.resource][row.name], client[row.resource]
  arguments[#arguments] = { response = response }
  local ok, value, err = pcall(method, resource, (table.unpack or unpack)(arguments))
  if not ok then return "raised: " .. tostring(value) end
  if case.outcome == nil then return check_refusal(case, value, err, response) end
  return check_outcome(row, case, value, err, response)
end

-- The ways to call an operation: one that takes several bodies at once answers a list of several.
local function variants(row)
  local arguments = contract.arguments(row, "required")
  local found = { { row = row, name = contract.label(row), arguments = arguments } }
  if row.several then
    local list = setmetatable({ result = "LIST" }, { __index = row })
    found[2] = { row = list, name = contract.label(row) .. ", for several,",
                 arguments = contract.arguments(row, "required") }
    found[2].arguments[#arguments] = { arguments[#arguments] }
  end
  for _, variant in ipairs(found) do
    variant.arguments[#variant.arguments + 1] = "options"
  end
  return found
end

local client, server

setting.install(after_each, function(a_client, a_server)
  client, server = a_client, a_server
end)

-- Plays every case, and gives how many there were and a list of what was wrong.
local function play(row, arguments)
  local answers, wrong, n = {}, {}, 0
  each_case(row, function(case)
    answers[#answers + 1] = {
      status = case.status or 200, body = case.text or contract.encode(case.body),
      headers = case.kind and { ["Content-Type"] = case.kind },
    }
  end)
  setting.start({ answers = answers, once = true }, { max_retries = 0 })
  each_case(row, function(case)
    n, case.status = n + 1, case.status or 200
    local problem = try(client, row, case, arguments)
    if problem then wrong[#wrong + 1] = ("%s (%d): %s"):format(case.what, case.status, problem) end
    if server:count() ~= n then error(case.what .. ": not sent once") end
  end)
  return n, wrong
end

describe("Whatever is answered to", function()
  for _, row in ipairs(cipherscale.operations()) do
    for _, variant in ipairs(variants(row)) do
      it(variant.name .. " comes through, is refused with a reason, or is done", function()
        local n, wrong = play(variant.row, variant.arguments)
        assert.is_true(n > 60)
        assert.equal("", table.concat(wrong, "\n"))
      end)
    end
  end
end)
