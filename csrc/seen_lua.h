/* SPDX-License-Identifier: MIT */
/*
 * core.seen: seen.h for Lua.
 *
 *   seen()         -> an empty set
 *   set:add(key)   -> the key's number, from 1 on; whether it is new
 *   set:find(key)  -> its number, or nil
 *   set:count()    -> how many there are
 */
#ifndef CS_SEEN_LUA_H
#define CS_SEEN_LUA_H

#include "compat.h"

#pragma GCC visibility push(hidden)

/* Sets the field `seen` of the table on top. */
void cs_seen_lua_open(lua_State *L);

#pragma GCC visibility pop

#endif
