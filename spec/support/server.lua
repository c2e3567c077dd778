-- SPDX-License-Identifier: MIT
-- A scripted HTTP/1.1 server on a free port of 127.0.0.1 for the specs: it plays a list of
-- answers in the order in which requests come in, over all connections, from a thread of
-- its own. This file checks a script, composes the bytes, and reads requests apart; the
-- sockets are in rawserver*.c. It knows nothing of the API.
--
--   local server = require("spec.support.server").start {
--     answers = { { status = 503, headers = { ["Retry-After"] = "0" } }, { body = "[]" } },
--     once = false,             -- true: after the last answer comes 501; else it repeats
--     per_connection = {        -- rules of each connection, after n requests answered:
--       drop_after = n,         --   the next one is read whole, then closed on unanswered
--       reset_after = n,        --   the same with an RST
--       close_after = n,        --   the connection is closed, without announcing it
--     },
--   }
--
-- An answer (a rule of the connection takes none):
--   status, reason     200 and its usual phrase
--   headers            name → value or list of values; false leaves a default one out
--                      (Content-Length, Content-Type: application/json where there is a body)
--   body               ""
--   body_repeat        { byte, n }: n times that byte, after `body`, without keeping it
--   chunked            true: Transfer-Encoding: chunked instead of a length
--   raw                these bytes instead of status, headers and body
--   delay              seconds before it (and before drop, reset)
--   early              true: answered after the head, before the body; the request is noted
--                      at that moment. The body is then read and forgotten, before the next
--                      request, or (with close) until the client closes
--   close              true, or seconds: closes that long after the answer, unannounced;
--                      "reset": with an RST
--   cut                n: only the first n bytes of the answer, then closes
--   drip               { bytes, seconds }: so many bytes at a time, with pauses between
--   drop               true: reads the whole request, closes without an answer
--   reset              true: the same, with an RST (early: after the head)
--   reset_before       true: an RST on accept, before anything is read; no request is noted.
--                      (The client sees a failed connect or a reset, as the race goes.)
--   hang               true: reads the request, never answers

local rawserver = require "spec.support.rawserver"

local M = {}

local REASONS = {
  [200] = "OK", [201] = "Created", [202] = "Accepted", [204] = "No Content",
  [301] = "Moved Permanently", [302] = "Found", [304] = "Not Modified",
  [307] = "Temporary Redirect", [400] = "Bad Request", [401] = "Unauthorized",
  [403] = "Forbidden", [404] = "Not Found", [408] = "Request Timeout", [409] = "Conflict",
  [413] = "Content Too Large", [422] = "Unprocessable Content", [429] = "Too Many Requests",
  [500] = "Internal Server Error", [502] = "Bad Gateway", [503] = "Service Unavailable",
  [504] = "Gateway Timeout",
}

local START_FIELDS = { answers = "table", once = "boolean", per_connection = "table" }
local RULES = { drop_after = "number", reset_after = "number", close_after = "number" }
local ANSWER_FIELDS = {
  status = "number", reason = "string", headers = "table", body = "string",
  body_repeat = "table", chunked = "boolean", raw = "string", delay = "number",
  early = "boolean", close = "any", cut = "number", drip = "table", drop = "boolean",
  reset = "boolean", reset_before = "boolean", hang = "boolean",
}
local ACTIONS = { "drop", "reset", "reset_before", "hang" }
local BLOCK = 65536
local PATIENCE = 20 -- seconds, for what comes at once where the machine is not busy

local function check_fields(what, given, known)
  for name, value in pairs(given) do
    local expected = known[name]
    if not expected then error(what .. " has no field " .. tostring(name), 4) end
    if expected ~= "any" and type(value) ~= expected then
      error(("%s.%s: %s expected, got %s"):format(what, name, expected, type(value)), 4)
    end
  end
end

local function chunk(bytes)
  return bytes == "" and "" or ("%x\r\n%s\r\n"):format(#bytes, bytes)
end

-- The repeated part as one block, how often, and the rest after it.
local function repeated(answer)
  if not answer.body_repeat then return "", 0, "" end
  local byte, n = answer.body_repeat[1], answer.body_repeat[2]
  return byte:rep(math.min(n, BLOCK)), math.floor(n / BLOCK), byte:rep(n % BLOCK)
end

local function header_lines(headers)
  local names, lines = {}, {}
  for name in pairs(headers) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local values = headers[name]
    if type(values) ~= "table" then values = { values } end
    for _, value in ipairs(values) do
      if value ~= false then lines[#lines + 1] = ("%s: %s\r\n"):format(name, value) end
    end
  end
  return table.concat(lines)
end

local function compose(answer)
  if answer.raw then return { head = answer.raw } end
  local status, body = answer.status or 200, answer.body or ""
  local unit, times, rest = repeated(answer)
  local length = #body + (answer.body_repeat and answer.body_repeat[2] or 0)
  local headers, given = {}, {}
  for name, value in pairs(answer.headers or {}) do
    headers[name] = value
    given[name:lower()] = true
  end
  local function default(name, value)
    if not given[name:lower()] then headers[name] = value end
  end
  if length > 0 then default("Content-Type", "application/json") end
  if answer.chunked then
    default("Transfer-Encoding", "chunked")
    body, unit, rest = chunk(body), chunk(unit), chunk(rest) .. "0\r\n\r\n"
  elseif status ~= 204 and status ~= 304 and not given["transfer-encoding"] then
    default("Content-Length", ("%d"):format(length))
  end
  local reason = answer.reason or REASONS[status] or "Status"
  local line = ("HTTP/1.1 %d %s\r\n"):format(status, reason)
  return {
    head = line .. header_lines(headers) .. "\r\n" .. body,
    unit = unit, times = times, tail = rest,
  }
end

local function script_answer(answer)
  check_fields("answer", answer, ANSWER_FIELDS)
  local result = compose(answer)
  result.action = "answer"
  for _, action in ipairs(ACTIONS) do
    if answer[action] then result.action = action end
  end
  result.ending = answer.close == "reset" and "reset" or answer.close and "close" or "keep"
  result.close_delay = type(answer.close) == "number" and answer.close or 0
  result.delay, result.early, result.limit = answer.delay, answer.early, answer.cut
  if answer.drip then
    result.drip_bytes, result.drip_delay = answer.drip[1], answer.drip[2]
  end
  return result
end

local function read_request(record)
  local line, rest = record.head:match("^(.-)\r\n(.*)$")
  local method, path = line:match("^(%S+) (.*) HTTP/1%.%d$")
  local headers = {}
  for name, value in rest:gmatch("([^:\r\n]+):[ \t]*(.-)[ \t]*\r\n") do
    name = name:lower()
    headers[name] = headers[name] and headers[name] .. ", " .. value or value
  end
  return {
    method = method, path = path, headers = headers, body = record.body,
    head = record.head, connection = record.connection,
    answer = record.answer > 0 and record.answer or nil,
  }
end

local Server = {}
Server.__index = Server

--- The requests that were read, in order of arrival: method, path (with query), headers
--- (lower-case names), body, head (the bytes), connection (its number), answer (its place).
---@return table[]
function Server:requests()
  local list = self.core:records()
  for i, record in ipairs(list) do list[i] = read_request(record) end
  return list
end

--- How many requests were read.
---@return integer
function Server:count()
  return self.core:count()
end

--- How often each path was asked for: { ["/tenants/roles"] = 2 }.
---@return table<string, integer>
function Server:paths()
  local counts = {}
  for _, request in ipairs(self:requests()) do
    counts[request.path] = (counts[request.path] or 0) + 1
  end
  return counts
end

--- Forgets the requests so far; the script goes on where it was.
function Server:clear_requests()
  self.core:clear()
end

--- How many connections were accepted, and how many of them are open.
---@return integer accepted
---@return integer open
function Server:connections()
  return self.core:connections()
end

--- Blocks until n requests have arrived (since clear_requests).
---@param n integer
---@param seconds? number 20
---@return boolean arrived
function Server:wait(n, seconds)
  return self.core:wait(n, seconds or PATIENCE)
end

--- In a task: lets the others go on until n requests have arrived (since clear_requests).
---@param n integer
function Server:let_arrive(n)
  local give_up = M.now() + PATIENCE
  while self:count() < n do
    if M.now() > give_up then error(("%d requests of %d arrived"):format(self:count(), n), 2) end
    coroutine.yield()
  end
end

--- Blocks until at most n connections are open.
---@param n integer
---@param seconds? number 20
---@return boolean reached
function Server:wait_open(n, seconds)
  return self.core:wait_open(n, seconds or PATIENCE)
end

--- Closes everything; requests() still answers. Idempotent, also done by the collector.
function Server:stop()
  self.core:stop()
end

--- Starts a server that plays a script (see the head of this file).
---@param script table
---@return table server with `url`, `port` and the methods above
function M.start(script)
  check_fields("script", script, START_FIELDS)
  local rules = script.per_connection or {}
  check_fields("per_connection", rules, RULES)
  local answers = {}
  for i, answer in ipairs(script.answers or {}) do answers[i] = script_answer(answer) end
  local core = rawserver.start {
    answers = answers, count = #answers, once = script.once,
    drop_after = rules.drop_after, reset_after = rules.reset_after,
    close_after = rules.close_after,
  }
  local port = core:port()
  return setmetatable({
    core = core, port = port, url = ("http://127.0.0.1:%d"):format(port),
  }, Server)
end

--- An answer that asks to wait, with Retry-After as it is given; false for none.
---@param retry_after string|false
---@param status? integer 429
function M.busy(retry_after, status)
  return { status = status or 429, headers = { ["Retry-After"] = retry_after } }
end

--- A port of 127.0.0.1 on which every connection is refused, the same each time.
---@return integer
function M.refused_port()
  return rawserver.refused_port
end

--- A port of 127.0.0.1 that was free a moment ago.
---@return integer
function M.free_port()
  return rawserver.free_port()
end

--- Monotonic seconds.
---@return number
function M.now()
  return rawserver.now()
end

--- Sleeps; signals end it early.
---@param seconds number
function M.nap(seconds)
  rawserver.nap(seconds)
end

return M
