-- SPDX-License-Identifier: MIT
--
-- How the sandbox misbehaves on purpose. A list of rules, each limited by `match`, asked in order
-- for every request that has the right key: latency adds up, and so does meddling; the first rule
-- that refuses, stalls, resets or fails a request ends the asking, so the later ones do not count
-- it. What the service itself says does not enter here.

local changes = require "cipherscale.sandbox.changes"
local json = require "cipherscale.sandbox.json"
local names = require "cipherscale.sandbox.names"
local operations = require "cipherscale.sandbox.operations"
local picks = require "cipherscale.sandbox.picks"

local M = {}

local READS = { GET = true, HEAD = true }

local function with_pick(more)
  local known = {}
  for name in pairs(picks.FIELDS) do known[name] = true end
  for _, name in ipairs(more) do known[name] = true end
  return known
end

local FIELDS = {
  fail = with_pick { "status", "body", "headers" },
  reset = with_pick {},
  lose = with_pick {},
  stall = with_pick { "work" },
  cut = with_pick { "bytes" },
  limit = {
    style = true, requests = true, seconds = true, per_second = true, per_minute = true,
    burst = true, split = true, retry_after = true, status = true, body = true,
  },
  match = { method = true, path = true },
  meddle = with_pick { "when" },
}

for name in pairs(changes.FIELDS) do FIELDS.meddle[name] = true end

local RULE = {
  match = true, seed = true, latency = true, meddle = true, limit = true, stall = true,
  reset = true, fail = true, lose = true, cut = true,
}

local function check_table(value, name, what)
  names.typed(value, "table", what)
  names.check(value, FIELDS[name], what, "field")
end

local function compile_match(given, what)
  if given == nil then return function() return true end end
  check_table(given, "match", what)
  local method, path = given.method, given.path
  if method ~= nil then method = names.typed(method, "string", what .. ".method"):upper() end
  if path ~= nil then
    names.typed(path, "string", what .. ".path")
    if not pcall(string.find, "", path) then
      names.bad("%s.path: a Lua pattern expected, got '%s'", what, path)
    end
  end
  return function(request_method, request_path)
    return (not method or method == request_method)
      and (not path or request_path:find(path) ~= nil)
  end
end

local function encode_body(body, what)
  if type(body) == "table" then return json.encode(body), "application/json; charset=utf-8" end
  local text = names.typed(body, "string", what)
  local kind = text:find("^%s*[{%[]") and "application/json" or text:find("^%s*<") and "text/html"
    or "text/plain"
  return text, kind .. "; charset=utf-8"
end

local function compile_headers(given, what)
  local list = {}
  for _, name in ipairs(names.sorted(names.typed(given, "table", what))) do
    local value = given[name]
    if type(value) == "number" then value = json.encode(value) end
    names.typed(value, "string", what .. "." .. name)
    if not name:find("^[%w!#$%%&'*+.^_`|~-]+$") or value:find("[%c]") or value == "" then
      names.bad("%s: '%s' is no valid header", what, name)
    end
    list[#list + 1], list[#list + 2] = name, value
  end
  return list
end

local function check_status(status, what)
  names.number(status, 200, what, true)
  if status > 599 then names.bad("%s: a status up to 599 expected, got %d", what, status) end
  return status
end

-- Failing without doing the work

local REASONS = {
  [401] = "Unauthorized", [403] = "Forbidden resource", [408] = "Request Timeout",
  [429] = "ThrottlerException: Too Many Requests",
  [500] = "Internal server error", [502] = "Bad Gateway", [503] = "Service Unavailable",
  [504] = "Gateway Timeout",
}

local function compile_fail(given, what, context)
  check_table(given, "fail", what)
  local hit = picks.compile(given, what, context.seed)
  local status = check_status(given.status or 500, what .. ".status")
  local body = given.body
  if body == nil then
    body = operations.encode_problem(status, REASONS[status] or "Failed on purpose")
  end
  local text, kind = encode_body(body, what .. ".body")
  local headers = compile_headers(given.headers or {}, what .. ".headers")
  for i = 1, #headers, 2 do
    if headers[i]:lower() == "content-type" then kind = nil end
  end
  return function()
    if hit() then return { status = status, body = text, kind = kind, headers = headers } end
  end
end

-- Limits

local RETRY_AFTER = {
  whole = function(wait) return ("%d"):format(math.max(1, math.ceil(wait))) end,
  decimal = function(wait) return ("%.3f"):format(wait) end,
  date = function(wait)
    return os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + math.ceil(wait) + 1)
  end,
  missing = function() return nil end,
}

local function compile_retry_after(given, what)
  if given == nil then return RETRY_AFTER.whole end
  if RETRY_AFTER[given] then return RETRY_AFTER[given] end
  if type(given) == "number" then given = json.encode(given) end
  names.typed(given, "string", what)
  if given == "" or given:find("%c") then names.bad("%s: no valid header", what) end
  return function() return given end
end

-- Each gives a function(now) → seconds to wait, or nil when the request may pass.
local STYLES = {}

-- A window begins with the first request after the last one ended.
function STYLES.window(requests, seconds)
  local started, used = -math.huge, 0
  return function(now)
    if now - started >= seconds then started, used = now, 0 end
    if used >= requests then return started + seconds - now end
    used = used + 1
  end
end

function STYLES.bucket(requests, seconds, burst)
  local tokens, last = burst, nil
  local refill = requests / seconds
  return function(now)
    tokens = math.min(burst, tokens + (last and now - last or 0) * refill)
    last = now
    if tokens < 1 then return (1 - tokens) / refill end
    tokens = tokens - 1
  end
end

local function read_rate(given, what)
  local ways = 0
  for _, name in ipairs { "requests", "per_second", "per_minute" } do
    if given[name] ~= nil then
      ways = ways + 1
      names.number(given[name], 0, what .. "." .. name)
      if given[name] == 0 then names.bad("%s.%s: more than 0 expected", what, name) end
    end
  end
  if ways ~= 1 or given.seconds ~= nil and given.requests == nil then
    names.bad("%s: one of per_second, per_minute, or requests with seconds expected", what)
  end
  if given.per_second then return given.per_second, 1 end
  if given.per_minute then return given.per_minute, 60 end
  local seconds = names.number(given.seconds or 1, 0, what .. ".seconds")
  if seconds == 0 then names.bad("%s.seconds: more than 0 expected", what) end
  return given.requests, seconds
end

local function compile_limit(given, what)
  check_table(given, "limit", what)
  local style = names.word(given.style or "window", { "window", "bucket" }, what .. ".style")
  local requests, seconds = read_rate(given, what)
  local burst = math.max(1, names.number(given.burst or requests, 0, what .. ".burst"))
  if given.split ~= nil then names.typed(given.split, "boolean", what .. ".split") end
  local retry_after = compile_retry_after(given.retry_after, what .. ".retry_after")
  local status = check_status(given.status or 429, what .. ".status")
  local text, kind = encode_body(
    given.body or operations.encode_problem(status, REASONS[status] or REASONS[429]),
    what .. ".body")
  local all = STYLES[style](requests, seconds, burst)
  local reads = given.split and STYLES[style](requests, seconds, burst) or all
  return function(now, method)
    local wait = (READS[method] and reads or all)(now)
    if not wait then return nil end
    local value = retry_after(wait)
    local headers = value and { "Retry-After", value } or nil
    return { status = status, body = text, kind = kind, headers = headers }
  end
end

-- Rules

-- Another administrator's change, before the request's work or after it.
local function compile_meddle(given, what, context)
  check_table(given, "meddle", what)
  local hit = picks.compile(given, what, context.seed)
  local when = names.word(given.when or "before", { "before", "after" }, what .. ".when")
  local change = changes.compile(context.state, given, what)
  return function(outcome)
    if hit() then
      outcome[when] = outcome[when] or {}
      table.insert(outcome[when], change)
    end
  end
end

local function compile_stall(given, what, context)
  if type(given) == "number" then
    given = { times = names.number(given, 1, what, true) }
  end
  check_table(given, "stall", what)
  if given.work ~= nil then names.typed(given.work, "boolean", what .. ".work") end
  local hit = picks.compile(given, what, context.seed)
  return function()
    if hit() then return given.work and "work" or "idle" end
  end
end

local function compile_cut(given, what, context)
  check_table(given, "cut", what)
  if given.bytes ~= nil then names.number(given.bytes, 0, what .. ".bytes", true) end
  local hit = picks.compile(given, what, context.seed)
  return function()
    if hit() then return given.bytes or "half" end
  end
end

-- Nothing but the choice of requests.
local function compile_plain(given, what, context)
  check_table(given, what:match("%a+$"), what)
  return picks.compile(given, what, context.seed)
end

local function compile_rule(given, what, state)
  names.typed(given, "table", what)
  names.check(given, RULE, what, "misbehaviour")
  if given.latency ~= nil then names.number(given.latency, 0, what .. ".latency") end
  local context = { state = state, seed = names.number(given.seed or 1, 0, what .. ".seed", true) }
  local function part(name, make)
    return given[name] ~= nil and make(given[name], what .. "." .. name, context) or function() end
  end
  return {
    match = compile_match(given.match, what .. ".match"), latency = given.latency or 0,
    meddle = part("meddle", compile_meddle),
    limit = part("limit", compile_limit), stall = part("stall", compile_stall),
    reset = part("reset", compile_plain), fail = part("fail", compile_fail),
    lose = part("lose", compile_plain), cut = part("cut", compile_cut),
  }
end

local Rules = {}
Rules.__index = Rules

--- Rules of a list of tables, for a state. Raises { usage = text } on a wrong one.
function M.compile(list, state)
  local rules = {}
  for i, given in ipairs(list) do
    local what = #list > 1 and ("misbehave[%d]"):format(i) or "misbehave"
    rules[i] = compile_rule(given, what, state)
  end
  return setmetatable(rules, Rules)
end

--- Seconds that the answer to this request is late, whatever it is.
function Rules:latency(method, path)
  local sum = 0
  for _, rule in ipairs(self) do
    if rule.latency > 0 and rule.match(method, path) then sum = sum + rule.latency end
  end
  return sum
end

local function ask(rule, outcome, method, path, now)
  if not rule.match(method, path) then return false end
  rule.meddle(outcome)
  outcome.answer = rule.limit(now, method)
  if outcome.answer then return true end
  local stall = rule.stall()
  if stall then
    outcome.fate, outcome.idle = "stall", stall == "idle"
    return true
  end
  if rule.reset() then
    outcome.fate, outcome.idle = "reset", true
    return true
  end
  outcome.answer = rule.fail()
  if outcome.answer then return true end
  if rule.lose() then outcome.fate = "lose" end
  local cut = rule.cut()
  if cut and not outcome.fate then outcome.fate, outcome.bytes = "cut", cut end
  return false
end

--- What happens to a request: nil, or { answer = instead of the service's, fate = "stall" |
--- "reset" | "lose" | "cut", idle = the service does not get it, bytes = of the body, or "half",
--- before =, after = lists of function(path): changes to make around it }.
function Rules:decide(method, path, now)
  if #self == 0 then return nil end
  local outcome = {}
  for _, rule in ipairs(self) do
    if ask(rule, outcome, method, path, now) then break end
  end
  return outcome
end

return M
