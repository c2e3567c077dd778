/* SPDX-License-Identifier: MIT */
/* See seen_lua.h. */
#include "seen_lua.h"

#include "seen.h"

static const char type_name[] = "cipherscale.seen";

static struct cs_seen *check_seen(lua_State *L) {
  return luaL_checkudata(L, 1, type_name);
}

static const char *check_key(lua_State *L, size_t *n) {
  luaL_checktype(L, 2, LUA_TSTRING); /* a number is no key: 1 and "1" must not be one */
  return lua_tolstring(L, 2, n);
}

static int seen_add(lua_State *L) {
  size_t n;
  uint32_t ordinal;
  bool is_new;
  struct cs_seen *seen = check_seen(L);
  const char *key = check_key(L, &n);
  enum cs_status status = cs_seen_add(seen, key, n, &ordinal, &is_new);
  if (status == CS_TOO_LARGE) return luaL_error(L, "too many keys in one set");
  if (status != CS_OK) {
    lua_pushliteral(L, "not enough memory");
    return lua_error(L);
  }
  lua_pushinteger(L, (lua_Integer)ordinal);
  lua_pushboolean(L, is_new);
  return 2;
}

static int seen_find(lua_State *L) {
  size_t n;
  const struct cs_seen *seen = check_seen(L);
  const char *key = check_key(L, &n);
  uint32_t ordinal = cs_seen_find(seen, key, n);
  if (ordinal == 0) return 0;
  lua_pushinteger(L, (lua_Integer)ordinal);
  return 1;
}

static int seen_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_seen(L)->count);
  return 1;
}

static int seen_gc(lua_State *L) {
  cs_seen_free(check_seen(L));
  return 0;
}

/* clear(): the set is empty, and its memory is given back now, since the collector does
   not know how much that is. */
static int seen_clear(lua_State *L) {
  struct cs_seen *seen = check_seen(L);
  cs_seen_free(seen);
  cs_seen_init(seen);
  return 0;
}

static int seen_tostring(lua_State *L) {
  lua_pushfstring(L, "%s (%I keys)", type_name, (lua_Integer)check_seen(L)->count);
  return 1;
}

int cs_seen_lua_new(lua_State *L) {
  struct cs_seen *seen = lua_newuserdatauv(L, sizeof *seen, 0);
  cs_seen_init(seen);
  luaL_setmetatable(L, type_name);
  return 1;
}

void cs_seen_lua_open(lua_State *L) {
  static const luaL_Reg methods[] = {{"add", seen_add},
                                     {"find", seen_find},
                                     {"count", seen_count},
                                     {"clear", seen_clear},
                                     {NULL, NULL}};
  static const luaL_Reg metamethods[] = {
    {"__gc", seen_gc}, {"__tostring", seen_tostring}, {NULL, NULL}};
  (void)luaL_newmetatable(L, type_name);
  luaL_setfuncs(L, metamethods, 0);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, type_name);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
}
