/* SPDX-License-Identifier: MIT */
/* See writer.h. */
#include "writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "json.h"
#include "names.h"

enum { MAX_DEPTH = 100, SHORT_NAME = 64 };

static const struct cs_field any_list = {.type = CS_LIST, .of = &any_list};

/* ---- Pieces ---- */

void cs_writer_put(const struct cs_writer *w, const struct cs_place *place,
                   const char *text) {
  cs_check_status(w->L, cs_check_call(place), cs_buffer_append_text(w->out, text),
                  "body");
}

void cs_writer_put_string(const struct cs_writer *w, const struct cs_place *place,
                          const char *text, size_t n) {
  enum cs_status status = cs_json_append_string(w->out, text, n);
  if (status == CS_INVALID)
    (void)cs_check_complain(w->L, place, "valid UTF-8", "other bytes");
  cs_check_status(w->L, cs_check_call(place), status, "body");
}

/* One of ours goes out at once: this is done for each field of each call. */
void cs_writer_put_name(const struct cs_writer *w, const struct cs_place *place,
                        bool *first, const char *name) {
  char text[SHORT_NAME + 8];
  int n = 0;
  if (!*first) text[n++] = ',';
  *first = false;
  const char *p = name;
  text[n++] = '"';
  while (n < SHORT_NAME && ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')))
    text[n++] = *p++;
  if (!*p) {
    memcpy(text + n, "\":", 3);
    cs_writer_put(w, place, text);
    return;
  }
  text[text[0] == ',' ? 1 : 0] = '\0';
  cs_writer_put(w, place, text);
  cs_writer_put_string(w, place, name, strlen(name));
  cs_writer_put(w, place, ":");
}

void cs_writer_number(lua_State *L, const struct cs_place *place, int index,
                      char text[32]) {
  if (lua_isinteger(L, index)) {
    (void)snprintf(text, 32, "%lld", (long long)lua_tointeger(L, index));
    return;
  }
  double number = (double)lua_tonumber(L, index);
  if (!isfinite(number)) {
    lua_pushvalue(L, index);
    (void)cs_check_complain(L, place, "finite number", lua_tostring(L, -1));
  }
  cs_json_write_number(number, text);
}

/* ---- Tables ---- */

enum cs_table_kind cs_writer_kind(lua_State *L, int index) {
  int type = luaL_getmetafield(L, index, "__jsontype");
  if (type != LUA_TNIL) {
    const char *name = type == LUA_TSTRING ? lua_tostring(L, -1) : "";
    bool object = strcmp(name, "object") == 0, array = strcmp(name, "array") == 0;
    lua_pop(L, 1);
    if (object) return CS_TABLE_OBJECT;
    if (array) return CS_TABLE_LIST;
  }
  type = lua_geti(L, index, 1);
  lua_pop(L, 1);
  if (type != LUA_TNIL || luaL_len(L, index) > 0) return CS_TABLE_LIST;
  if (luaL_getmetafield(L, index, "__pairs") != LUA_TNIL) {
    lua_pop(L, 1);
    return CS_TABLE_OBJECT;
  }
  lua_pushnil(L);
  if (!lua_next(L, index)) return CS_TABLE_EMPTY;
  lua_pop(L, 2);
  return CS_TABLE_OBJECT;
}

void cs_writer_check_nesting(lua_State *L, const struct cs_place *place) {
  int depth = 1;
  for (const struct cs_place *p = place->parent; p; p = p->parent) {
    if (p->table == place->table)
      (void)cs_check_refuse(L, place, "a table that contains itself cannot be sent");
    if (p->table && ++depth > MAX_DEPTH)
      (void)cs_check_refuse(L, place, "the tables are nested too deep");
  }
  luaL_checkstack(L, 16, "too many nested tables");
}

void cs_writer_check_listable(lua_State *L, const struct cs_place *place, int index) {
  if (luaL_getmetafield(L, index, "__pairs") != LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  if (luaL_getmetafield(L, index, "__index") == LUA_TNIL) return;
  (void)cs_check_complain(L, place, "table whose fields can be listed",
                          "one with __index and without __pairs");
}

static void put_list(const struct cs_writer *w, const struct cs_place *place, int index) {
  lua_State *L = w->L;
  lua_Integer n = cs_check_list(L, place, &any_list, index);
  cs_writer_put(w, place, "[");
  for (lua_Integer i = 1; cs_check_next_element(L, place, index, n, i); i++) {
    const struct cs_place element = {.parent = place, .element = i};
    if (i > 1) cs_writer_put(w, place, ",");
    cs_writer_put_value(w, &element, lua_gettop(L));
    lua_pop(L, 1);
  }
  cs_writer_put(w, place, "]");
}

void cs_writer_put_others(const struct cs_writer *w, const struct cs_place *place,
                          const struct cs_field *fields, int table, bool *first) {
  lua_State *L = w->L;
  struct cs_names names = cs_names_push(L, place, "field", table);
  for (size_t i = 0; i < names.count; i++) {
    const struct cs_place inner = {.parent = place, .name = names.sorted[i]};
    if (fields && cs_check_find(fields, names.sorted[i])) continue;
    if (lua_getfield(L, table, names.sorted[i]) != LUA_TNIL) {
      cs_writer_put_name(w, &inner, first, names.sorted[i]);
      cs_writer_put_value(w, &inner, lua_gettop(L));
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

/* A view that turns out empty is an empty array, too, unless __jsontype says not. */
static void put_object(const struct cs_writer *w, const struct cs_place *place,
                       int index) {
  lua_State *L = w->L;
  bool first = true, named = luaL_getmetafield(L, index, "__jsontype") != LUA_TNIL;
  if (named) lua_pop(L, 1);
  cs_check_open(L, place, NULL, index);
  lua_pushnil(L);
  if (lua_next(L, -2)) {
    lua_pop(L, 2);
    named = true;
  }
  cs_writer_put(w, place, named ? "{" : "[");
  cs_writer_put_others(w, place, NULL, lua_gettop(L), &first);
  cs_writer_put(w, place, named ? "}" : "]");
  lua_pop(L, 1);
}

static void put_table(const struct cs_writer *w, const struct cs_place *place,
                      int index) {
  struct cs_place here = *place;
  here.table = lua_topointer(w->L, index);
  cs_writer_check_nesting(w->L, &here);
  switch (cs_writer_kind(w->L, index)) {
  case CS_TABLE_EMPTY:
    cs_writer_check_listable(w->L, &here, index);
    cs_writer_put(w, &here, "[]");
    break;
  case CS_TABLE_LIST:
    put_list(w, &here, index);
    break;
  case CS_TABLE_OBJECT:
    put_object(w, &here, index);
    break;
  }
}

bool cs_writer_is_null(lua_State *L, int index) {
  cs_json_push_null(L);
  bool null = lua_rawequal(L, -1, index) != 0;
  lua_pop(L, 1);
  return null;
}

void cs_writer_put_value(const struct cs_writer *w, const struct cs_place *place,
                         int index) {
  lua_State *L = w->L;
  char number[32];
  size_t n;
  switch (lua_type(L, index)) {
  case LUA_TSTRING: {
    const char *text = lua_tolstring(L, index, &n);
    cs_writer_put_string(w, place, text, n);
    return;
  }
  case LUA_TNUMBER:
    cs_writer_number(L, place, index, number);
    cs_writer_put(w, place, number);
    return;
  case LUA_TBOOLEAN:
    cs_writer_put(w, place, lua_toboolean(L, index) ? "true" : "false");
    return;
  case LUA_TTABLE:
    put_table(w, place, index);
    return;
  default:
    if (!cs_writer_is_null(L, index)) {
      (void)cs_check_complain(L, place, "string, number, boolean, table or null",
                              cs_error_got(L, index));
    }
    cs_writer_put(w, place, "null");
  }
}
