-- SPDX-License-Identifier: MIT
-- The stand-in server, a rock of its own: nobody who only uses the client needs libmicrohttpd.
-- Build it with `luarocks make rockspec/sandbox/cipherscale-sandbox-scm-1.rockspec`.
-- Through make, since LuaRocks' builtin build would copy lua/, which the first rock holds.
rockspec_format = "3.0"
package = "cipherscale-sandbox"
version = "scm-1"
-- Never looked at by `luarocks make`, which builds the checkout it is called in.
source = { url = "git+https://example.invalid/lua-cipherscale.git" }
description = {
  summary = "A stand-in for Cipherscale's REST API, for trying things out and for tests",
  detailed = [[
    An HTTP server on loopback, in process or as a command, that answers as the service is
    documented to, and misbehaves when told to. Unofficial, not affiliated with the vendor.
  ]],
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.4, < 5.5", "cipherscale" }
external_dependencies = { MICROHTTPD = { library = "microhttpd" } }
build = {
  type = "make",
  build_target = "sandbox",
  install_target = "install-sandbox",
  variables = {
    BUILD = "build/rock",
    CFLAGS = "$(CFLAGS)",
    CPPFLAGS = "-I$(MICROHTTPD_INCDIR)",
    LDFLAGS = "-L$(MICROHTTPD_LIBDIR) -Wl,-rpath,$(MICROHTTPD_LIBDIR)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    INST_LUADIR = "$(LUADIR)",
    INST_LIBDIR = "$(LIBDIR)",
    INST_BINDIR = "$(BINDIR)",
  },
}
