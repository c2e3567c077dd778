/* SPDX-License-Identifier: MIT */
/* See seen_lua.h. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "seen_lua.h"

#include <time.h>

#include "seen.h"

static const char seen_type[] = "cipherscale.seen";

static struct cs_seen *check(lua_State *L) { return luaL_checkudata(L, 1, seen_type); }

static int seen_new(lua_State *L) {
  struct timespec t = {0};
  struct cs_seen *seen = lua_newuserdatauv(L, sizeof *seen, 0);
  /* Where the memory lies is random, and nobody else knows the clock to the nanosecond. */
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  cs_seen_init(seen, (uint64_t)(uintptr_t)seen ^ (uint64_t)t.tv_nsec << 32,
               (uint64_t)(uintptr_t)L * UINT64_C(0x9e3779b97f4a7c15) ^
                 (uint64_t)t.tv_sec);
  luaL_setmetatable(L, seen_type);
  return 1;
}

static int seen_gc(lua_State *L) {
  cs_seen_free(check(L));
  return 0;
}

static int seen_add(lua_State *L) {
  struct cs_seen *seen = check(L);
  size_t n;
  const char *key = luaL_checklstring(L, 2, &n);
  bool is_new;
  uint32_t number = cs_seen_add(seen, key, n, &is_new);
  if (number == 0) return luaL_error(L, "not enough memory");
  lua_pushinteger(L, number);
  lua_pushboolean(L, is_new);
  return 2;
}

static int seen_find(lua_State *L) {
  size_t n;
  const char *key = luaL_checklstring(L, 2, &n);
  uint32_t number = cs_seen_find(check(L), key, n);
  if (number == 0) return 0;
  lua_pushinteger(L, number);
  return 1;
}

static int seen_count(lua_State *L) {
  lua_pushinteger(L, check(L)->count);
  return 1;
}

void cs_seen_lua_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"add", seen_add},
                                     {"find", seen_find},
                                     {"count", seen_count},
                                     {"__gc", seen_gc},
                                     {NULL, NULL}};
  luaL_newmetatable(L, seen_type);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, seen_type);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  lua_pushcfunction(L, seen_new);
  lua_setfield(L, -2, "seen");
}
