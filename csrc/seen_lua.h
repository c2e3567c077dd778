/* SPDX-License-Identifier: MIT */
/* Sets of keys (seen.h) for the Lua layer. */
#ifndef CS_SEEN_LUA_H
#define CS_SEEN_LUA_H

#include "compat.h"

#pragma GCC visibility push(hidden)

/* Makes the type. */
void cs_seen_lua_open(lua_State *L);

/* Lua: core.seen() -> an empty set. set:add(key) -> ordinal, whether it is new;
   set:find(key) -> ordinal or nil; set:count(). */
int cs_seen_lua_new(lua_State *L);

#pragma GCC visibility pop

#endif
