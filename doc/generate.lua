-- SPDX-License-Identifier: MIT
-- Writes lua/cipherscale/types.lua and doc/api.md (`make docs`); with --check it only says which of
-- them is stale (`make lint`).

local luals = require "doc.luals"
local model = require "doc.model"
local reference = require "doc.reference"

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read "*a"
  if file then file:close() end
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local built, stale = model.build(), false
for path, text in pairs {
  ["lua/cipherscale/types.lua"] = luals.render(built), ["doc/api.md"] = reference.render(built),
} do
  if (...) ~= "--check" then
    write(path, text)
  elseif read(path) ~= text then
    io.stderr:write(path, " is stale: make docs\n")
    stale = true
  end
end
os.exit(not stale)
