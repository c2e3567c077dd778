/* SPDX-License-Identifier: MIT */
/* See words.h. */
#include "words.h"

static const char words_key = 0; /* its address: the table's place in the registry */

void cs_words_open(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &words_key);
}

void cs_words_set(lua_State *L, const char *words) {
  (void)lua_rawgetp(L, LUA_REGISTRYINDEX, &words_key);
  lua_pushvalue(L, -2);
  lua_pushstring(L, words);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

void cs_words_push(lua_State *L) {
  (void)lua_rawgetp(L, LUA_REGISTRYINDEX, &words_key);
  lua_insert(L, -2);
  if (lua_rawget(L, -2) != LUA_TSTRING) {
    lua_pop(L, 1);
    lua_pushliteral(L, "(…)");
  }
  lua_remove(L, -2);
}

int cs_words_tell(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  const char *words = luaL_checkstring(L, 2);
  lua_pushvalue(L, 1);
  cs_words_set(L, words);
  return 1;
}
