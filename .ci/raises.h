/* SPDX-License-Identifier: MIT */
/*
 * Included first by clang-tidy and cppcheck alone: tells them that these never return,
 * which Lua's own headers do not say. Without it each check after `lua_error(L);` is a
 * false alarm.
 */
#ifndef CS_RAISES_H
#define CS_RAISES_H

struct lua_State;
extern int lua_error(struct lua_State *L) __attribute__((noreturn));
extern int luaL_error(struct lua_State *L, const char *format, ...)
  __attribute__((noreturn, format(printf, 2, 3)));
extern int luaL_argerror(struct lua_State *L, int argument, const char *extra)
  __attribute__((noreturn));

#endif
