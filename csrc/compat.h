/* SPDX-License-Identifier: MIT */
/* Differences between Lua versions, nothing else. Lua 5.4's names are the ones we use. */
#ifndef CS_COMPAT_H
#define CS_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#if LUA_VERSION_NUM < 504
#define lua_newuserdatauv(L, size, values) lua_newuserdata(L, size)
#define lua_setiuservalue(L, index, n) lua_setuservalue(L, index)
#define lua_getiuservalue(L, index, n) lua_getuservalue(L, index)
#define luaL_argexpected(L, condition, argument, name) \
  luaL_argcheck(L, condition, argument, name " expected")
#endif

#endif
