/* SPDX-License-Identifier: MIT */
/*
 * Differences between Lua versions, nothing else.
 */
#ifndef CIPHERSCALE_SANDBOX_COMPAT_H
#define CIPHERSCALE_SANDBOX_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

/* Calls f(lightuserdata) protected, without results and without an unprotected
 * allocation. */
static inline int sb_protect(lua_State *L, lua_CFunction f, void *argument) {
#if LUA_VERSION_NUM < 502
  return lua_cpcall(L, f, argument);
#else
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, argument);
  return lua_pcall(L, 1, 0, 0);
#endif
}

#if LUA_VERSION_NUM < 502
#define sb_check_version(L) ((void)(L))
#define sb_set_functions(L, functions) luaL_register(L, NULL, functions)
#else
#define sb_check_version(L) luaL_checkversion(L)
#define sb_set_functions(L, functions) luaL_setfuncs(L, functions, 0)
#endif

#endif
