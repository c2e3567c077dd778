-- SPDX-License-Identifier: MIT
-- nginx on a free port of 127.0.0.1, for what the scripted server does not speak (TLS,
-- HTTP/2) and for the benchmark. Needs no root and works as root. A shell between us and
-- nginx ends it, and removes its folder, when we say so or when this process is gone.
--
--   local nginx = require("spec.support.nginx").start {
--     block = nginx.answer(429, '{"message":"slow down"}', { ["Retry-After"] = "0" }),
--     http2 = true,             -- over plain http: prior knowledge, and nothing but HTTP/2
--     tls = true,               -- or { name = "other.example" }: a self-signed certificate
--     http = "", main = "",     -- more lines for these levels of nginx.conf
--   }
--   nginx.url, nginx.port, nginx.ca_file (with tls), nginx:log(), nginx:stop()

local server = require "spec.support.server"

local M = {}

local FIELDS = { block = true, http2 = true, tls = true, http = true, main = true }
local ATTEMPTS, PATIENCE = 5, 10

-- A master that is root would give its workers to nobody, and its folders to them, which a root
-- of a user namespace cannot do.
local AS_ROOT = "user root;"

local CONF = [[
daemon off; worker_processes 1; pid nginx.pid; error_log error.log warn;
%s
events { worker_connections 4096; }
http {
  access_log off; client_max_body_size 0; default_type application/json;
  keepalive_requests 1000000000;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4;
  scgi_temp_path t5;
  %s
  server {
    listen 127.0.0.1:%d%s backlog=1024;
    %s
    %s
  }
}
]]

-- The folder is the shell's: it goes when the shell's standard input ends or says a line.
local GUARD = [[trap '' INT TERM HUP
nginx -p '%s' -c nginx.conf -e error.log >/dev/null 2>&1 &
read -r line
kill -TERM $! 2>/dev/null
wait $!
rm -rf '%s']]

local CERTIFICATE = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
  .. " -days 2 -subj /CN=%s -addext subjectAltName=%s -keyout '%s/key.pem' -out '%s/cert.pem'"
  .. " >/dev/null 2>&1 </dev/null"

local function read_all(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read("*a")
  file:close()
  return text
end

local function write_all(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function line_of(command)
  local pipe = assert(io.popen(command))
  local line = pipe:read("*l")
  pipe:close()
  return line
end

local function succeeds(command)
  local result = os.execute(command)
  return result == true or result == 0
end

-- Debian's nginx is not in the path of every user.
local function with_path(script)
  return "PATH=$PATH:/usr/sbin:/sbin\n" .. script
end

local function make_certificate(folder, name)
  local names = "DNS:" .. name
  if name == "localhost" then names = names .. ",IP:127.0.0.1" end
  if not succeeds(CERTIFICATE:format(name, names, folder, folder)) then
    error("openssl made no certificate in " .. folder)
  end
end

local function is_root()
  return line_of("id -u") == "0"
end

local function configure(folder, port, options)
  local listen, tls = "", ""
  if options.tls then
    local name = type(options.tls) == "table" and options.tls.name or "localhost"
    make_certificate(folder, name)
    listen, tls = " ssl", "ssl_certificate cert.pem; ssl_certificate_key key.pem;"
  end
  if options.http2 then listen = listen .. " http2" end
  local main = options.main or ""
  if is_root() then main = AS_ROOT .. " " .. main end
  local conf = CONF:format(main, options.http or "", port, listen, tls, options.block)
  write_all(folder .. "/nginx.conf", conf)
end

local Nginx = {}
Nginx.__index = Nginx

--- What nginx wrote to its error log.
---@return string
function Nginx:log()
  return read_all(self.folder .. "/error.log")
end

--- Ends nginx and waits for that. Idempotent, also done by the collector.
function Nginx:stop()
  local guard = self.guard
  if not guard then return end
  self.guard = nil
  guard:write("stop\n")
  guard:close()
end

Nginx.__gc = Nginx.stop

-- It listens from before it writes its process id. nil: the port was taken.
local function await(nginx)
  local deadline = server.now() + PATIENCE
  while server.now() < deadline do
    if read_all(nginx.folder .. "/nginx.pid"):find("%d+\n") then return true end
    local log = nginx:log()
    if log:find("Address already in use", 1, true) then return nil end
    if log:find("[emerg]", 1, true) then break end
    server.nap(0.002)
  end
  local log = nginx:log()
  nginx:stop()
  error("nginx did not start: " .. log, 3)
end

local function start_once(options)
  local folder = assert(line_of("mktemp -d"), "mktemp made no folder")
  local port = server.free_port()
  configure(folder, port, options)
  local nginx = setmetatable({
    folder = folder, port = port,
    url = ("%s://127.0.0.1:%d"):format(options.tls and "https" or "http", port),
    ca_file = options.tls and folder .. "/cert.pem" or nil,
    guard = assert(io.popen(with_path(GUARD:format(folder, folder)), "w")),
  }, Nginx)
  return nginx
end

--- Starts nginx and waits until it accepts connections.
---@param options table see the head of this file
---@return table nginx
function M.start(options)
  for name in pairs(options) do
    if not FIELDS[name] then error("nginx.start has no option " .. tostring(name), 2) end
  end
  for _ = 1, ATTEMPTS do
    local nginx = start_once(options)
    if await(nginx) then return nginx end
    nginx:stop()
  end
  error("nginx found no free port", 2)
end

--- Whether there is an nginx to start.
---@return boolean
function M.available()
  return succeeds(with_path("command -v nginx >/dev/null 2>&1"))
end

--- The text of a location that answers every request at once, before it reads the body.
---@param status integer
---@param body? string
---@param headers? table<string, string>
---@return string block
function M.answer(status, body, headers)
  local lines = {}
  for name, value in pairs(headers or {}) do
    lines[#lines + 1] = ("add_header %s '%s' always;"):format(name, value)
  end
  table.sort(lines)
  lines[#lines + 1] = ("return %d '%s';"):format(status, body or "")
  return "location / { " .. table.concat(lines, " ") .. " }"
end

return M
