-- SPDX-License-Identifier: MIT
-- The library is written for Lua 5.1 to 5.5 and LuaJIT: `min` knows only what all of them have,
-- and what some lack is used with a substitute (`table.unpack or unpack`).
std = "min"
max_line_length = 100
codes = true
read_globals = {
  "unpack", "loadstring", "setfenv", "rawlen", "jit",
  coroutine = { fields = { "close" } },
  package = { fields = { "searchpath" } },
  table = { fields = { "unpack", "pack" } },
  math = { fields = { "type", "tointeger", "maxinteger", "mininteger" } },
  utf8 = { fields = { "char", "codepoint", "len", "offset", "codes", "charpattern" } },
}
exclude_files = { "build/**", "lua_modules/**", ".luarocks/**" }

files["spec/**/*.lua"] = { std = "min+busted" }
files["**/*.rockspec"] = { std = "min+rockspec" }
files[".busted"] = { std = "min" }
files[".luacheckrc"] = { std = "min+luacheckrc" }
