-- SPDX-License-Identifier: MIT
--
-- Requests that our client would never send, made with the command curl.

local M = {}

local function quote(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

--- Sends one request; `given`: method, path (below the base path), key (false: none), type,
--- body ("@path": a file's content), and `url` in place of path.
--- @return integer status 0 when there was no answer
--- @return string body
--- @return string head
function M.send(server, given)
  local words = {
    "curl --silent --include --path-as-is --globoff --http1.1 --max-time 10 --noproxy '*'",
    "-X", given.method or "GET",
  }
  local function add(...)
    for _, word in ipairs { ... } do words[#words + 1] = quote(word) end
  end
  if given.key ~= false then add("-H", "apikey: " .. (given.key or server.api_key)) end
  add("-H", given.type and "Content-Type: " .. given.type or "Content-Type:")
  if given.body then add("--data-binary", given.body) end
  add(given.url or server.url .. given.path)
  local pipe = assert(io.popen(table.concat(words, " ") .. " 2>/dev/null"))
  local answer = pipe:read("*a")
  pipe:close()
  answer = answer:gsub("^HTTP/1.1 100 Continue\r\n\r\n", "")
  local head, body = answer:match("^(.-\r\n)\r\n(.*)$")
  return tonumber((head or ""):match("^HTTP/1.1 (%d+)")) or 0, body or "", head or ""
end

return M
