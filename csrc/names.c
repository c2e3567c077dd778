/* SPDX-License-Identifier: MIT */
/* See names.h. */
#include "names.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Without a `place`, keys of other types are passed over. */
static struct cs_names push(lua_State *L, const struct cs_place *place, const char *what,
                            int table) {
  lua_Integer count = 0;
  luaL_checkstack(L, 8, "too many nested tables");
  lua_newtable(L);
  int kept = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, table)) {
    lua_pop(L, 1);
    if (place) (void)cs_check_name(L, place, what, lua_gettop(L));
    if (lua_type(L, -1) != LUA_TSTRING) continue;
    lua_pushvalue(L, -1);
    lua_rawseti(L, kept, ++count);
  }
  const char **names = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *names, 0);
  for (lua_Integer i = 1; i <= count; i++) {
    (void)lua_rawgeti(L, kept, i);
    names[i - 1] = lua_tostring(L, -1); /* `kept` keeps it */
    lua_pop(L, 1);
  }
  qsort(names, (size_t)count, sizeof *names, compare);
  return (struct cs_names){.sorted = names, .count = (size_t)count};
}

struct cs_names cs_names_push(lua_State *L, const struct cs_place *place,
                              const char *what, int table) {
  return push(L, place, what, table);
}

struct cs_names cs_names_of(lua_State *L, int table) {
  return push(L, NULL, NULL, table);
}

const char *cs_names_get(const void *names, int i) {
  return ((const struct cs_names *)names)->sorted[i];
}
