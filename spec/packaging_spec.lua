-- SPDX-License-Identifier: MIT
-- The sources are named in the Makefile and in the first rockspec, and lie in folders: the three
-- say the same, so that no file is forgotten by one way of building or installing.

local lfs = require "lfs"

-- A list of the Makefile's, as make itself sees it.
local function make_list(name)
  local pipe = assert(io.popen("env -u MAKEFLAGS -u MAKELEVEL make -s print-" .. name))
  local list = {}
  for line in pipe:lines() do list[#list + 1] = line end
  assert(pipe:close(), "make -s print-" .. name)
  assert(list[1] and list[1] ~= "", name .. " is empty")
  table.sort(list)
  return list
end

-- The files below a folder with this ending, sorted.
local function files(folder, ending, list)
  list = list or {}
  for name in lfs.dir(folder) do
    local path = folder .. "/" .. name
    if lfs.attributes(path, "mode") == "directory" then
      if name:sub(1, 1) ~= "." then files(path, ending, list) end
    elseif name:sub(-#ending) == ending then
      list[#list + 1] = path
    end
  end
  table.sort(list)
  return list
end

local function without(list, pattern)
  local rest = {}
  for _, path in ipairs(list) do
    if not path:find(pattern) then rest[#rest + 1] = path end
  end
  return rest
end

local function rockspec(path)
  local spec = {}
  local chunk = assert(loadfile(path, "t", spec))
  if setfenv then setfenv(chunk, spec) end
  chunk()
  return spec
end

describe("the lists of sources", function()
  local first = rockspec "rockspec/cipherscale-scm-1.rockspec"
  local second = rockspec "rockspec/sandbox/cipherscale-sandbox-scm-1.rockspec"

  it("name every C file of the core", function()
    assert.same(without(files("csrc", ".c"), "^csrc/sandbox/"), make_list "CORE_SOURCES")
  end)

  it("name every C file of the sandbox", function()
    assert.same(files("csrc/sandbox", ".c"), make_list "SANDBOX_SOURCES")
  end)

  it("name every Lua file", function()
    assert.same(files("lua", ".lua"), make_list "LUA_FILES")
  end)

  it("name every C file of the specs", function()
    local named, seen = {}, {}
    for _, name in ipairs { "RAWSERVER_SOURCES", "PROCESS_SOURCES", "PROBE_SOURCES" } do
      for _, path in ipairs(make_list(name)) do
        if path:find "^spec/" and not seen[path] then named[#named + 1], seen[path] = path, true end
      end
    end
    table.sort(named)
    assert.same(files("spec", ".c"), named)
  end)

  it("are the same for LuaRocks: C files", function()
    local sources = without(first.build.modules["cipherscale.core"].sources, "^$")
    table.sort(sources)
    assert.same(make_list "CORE_SOURCES", sources)
  end)

  it("are the same for LuaRocks: Lua files, each under the name that require knows", function()
    local found = {}
    for name, path in pairs(first.build.modules) do
      if type(path) == "string" then
        found[#found + 1] = path
        local module = path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
        assert.equal(module, name)
      end
    end
    table.sort(found)
    assert.same(make_list "LUA_FILES", found)
  end)

  it("leave the sandbox's rock to make, whose targets exist", function()
    assert.equal("make", second.build.type)
    for _, target in ipairs { second.build.build_target, second.build.install_target } do
      local command = "env -u MAKEFLAGS -u MAKELEVEL make -n %s DESTDIR=%s >/dev/null 2>&1"
      assert.truthy(os.execute(command:format(target, "/nonexistent")), target)
    end
  end)

  it("name files that exist", function()
    for _, name in ipairs { "SANDBOX_DATA", "SANDBOX_COMMAND" } do
      for _, path in ipairs(make_list(name)) do
        assert.equal("file", lfs.attributes(path, "mode"), path)
      end
    end
  end)
end)

describe("the rockspecs", function()
  it("are named after package and version", function()
    for _, path in ipairs(files("rockspec", ".rockspec")) do
      local spec = rockspec(path)
      assert.equal(("%s-%s.rockspec"):format(spec.package, spec.version), path:match "[^/]+$")
    end
  end)

  it("leave one alone in the folder where luarocks make looks", function()
    local found = {}
    for name in lfs.dir "rockspec" do
      if name:find "%.rockspec$" then found[#found + 1] = name end
    end
    assert.same({ "cipherscale-scm-1.rockspec" }, found)
  end)
end)

describe("make", function()
  -- The client's variables that a recipe sees, with these words before and behind make.
  local function seen(before, after)
    local pipe = assert(io.popen(("env -u MAKEFLAGS -u MAKELEVEL -u LIVE %s make -s env-seen %s")
      :format(before, after or "")))
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  it("lets no setting of the client through", function()
    assert.equal("", seen "CIPHERSCALE_API_KEY=real CIPHERSCALE_BASE_URL=https://x.invalid")
  end)

  it("lets it through with LIVE=1", function()
    assert.equal("CIPHERSCALE_API_KEY=real\n", seen("CIPHERSCALE_API_KEY=real", "LIVE=1"))
  end)
end)
