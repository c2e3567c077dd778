/* SPDX-License-Identifier: MIT */
/* See shape.h. */
#include "shape.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

/* ---- JSON ---- */

static void put_object(const struct cs_writer *w, const struct cs_place *place,
                       const struct cs_field *fields, int index, int first_positional);

/* Whether a value goes out as what it is, since the client does not check: it is not what
   the field is known to hold. Strings lose their list of allowed ones in any case. */
static bool is_unknown(lua_State *L, const struct cs_field *field, int index) {
  bool table = lua_istable(L, index);
  switch (field->type) {
  case CS_STRING:
  case CS_ID:
    return lua_type(L, index) != LUA_TSTRING;
  case CS_OBJECT:
    return !table || cs_writer_kind(L, index) == CS_TABLE_LIST;
  case CS_LIST:
    return !table || cs_writer_kind(L, index) == CS_TABLE_OBJECT;
  default:
    return true;
  }
}

static void put_text(const struct cs_writer *w, const struct cs_place *place,
                     const struct cs_field *field, int index) {
  size_t n;
  struct cs_field any = *field;
  if (w->loose) any.allowed = NULL;
  const char *text = cs_check_string(w->L, place, &any, index, &n);
  cs_writer_put_string(w, place, text, n);
}

static void put_list(const struct cs_writer *w, const struct cs_place *place,
                     const struct cs_field *field, int index);

/* Writes the value at an absolute stack index. */
static void put_value(const struct cs_writer *w, const struct cs_place *place,
                      const struct cs_field *field, int index) {
  lua_State *L = w->L;
  char number[32];
  if (w->loose && is_unknown(L, field, index)) {
    cs_writer_put_value(w, place, index);
    return;
  }
  switch (field->type) {
  case CS_STRING:
  case CS_ID:
    put_text(w, place, field, index);
    break;
  case CS_INTEGER:
    (void)snprintf(number, sizeof number, "%lld",
                   (long long)cs_check_integer(L, place, field, index));
    cs_writer_put(w, place, number);
    break;
  case CS_BOOLEAN:
    cs_writer_put(w, place, cs_check_boolean(L, place, field, index) ? "true" : "false");
    break;
  case CS_OBJECT:
    cs_check_table(L, place, "table", index);
    put_object(w, place, field->of, index, 0);
    break;
  case CS_LIST:
    put_list(w, place, field, index);
    break;
  case CS_NUMBER:
  case CS_FUNCTION:
  case CS_TABLE:
  case CS_STRING_OR_FUNCTION:
  case CS_FILTER:
    (void)luaL_error(L, "%s: no JSON is written for this type", cs_check_call(place));
  }
}

static void put_list(const struct cs_writer *w, const struct cs_place *place,
                     const struct cs_field *field, int index) {
  lua_State *L = w->L;
  struct cs_place here = *place;
  lua_Integer n = cs_check_list(L, place, field, index);
  here.table = lua_topointer(L, index);
  if (w->loose) cs_writer_check_nesting(L, &here);
  cs_writer_put(w, place, "[");
  for (lua_Integer i = 1; cs_check_next_element(L, place, index, n, i); i++) {
    const struct cs_place element = {.parent = &here, .element = i};
    if (i > 1) cs_writer_put(w, place, ",");
    put_value(w, &element, field->of, lua_gettop(L));
    lua_pop(L, 1);
  }
  cs_writer_put(w, place, "]");
}

/* The fields that the list knows, in its order. `table` is 0 where there is none. */
static void put_fields(const struct cs_writer *w, const struct cs_place *place,
                       const struct cs_field *fields, int table, int positional,
                       bool *first) {
  lua_State *L = w->L;
  for (const struct cs_field *field = fields; field->name; field++) {
    const struct cs_place inner = {.parent = place, .name = field->name};
    if (field->flags & CS_POSITIONAL) {
      cs_writer_put_name(w, place, first, field->name);
      put_value(w, &inner, field, positional++);
      continue;
    }
    if (table) {
      lua_getfield(L, table, field->name);
    } else {
      lua_pushnil(L);
    }
    if (!lua_isnil(L, -1)) {
      cs_writer_put_name(w, place, first, field->name);
      put_value(w, &inner, field, lua_gettop(L));
    } else if (field->flags & CS_ALWAYS) {
      cs_writer_put_name(w, place, first, field->name);
      cs_writer_put(w, place, "[]");
    } else if ((field->flags & CS_REQUIRED) && !w->loose) {
      (void)cs_check_complain_type(L, &inner, field, lua_gettop(L));
    }
    lua_pop(L, 1);
  }
}

static void put_object(const struct cs_writer *w, const struct cs_place *place,
                       const struct cs_field *fields, int index, int first_positional) {
  lua_State *L = w->L;
  struct cs_place here = *place;
  bool first = true, has_table = !lua_isnoneornil(L, index);
  int table = 0;
  luaL_checkstack(L, 16, "too many nested tables");
  if (has_table) {
    here.table = lua_topointer(L, index);
    if (w->open) cs_writer_check_nesting(L, &here);
    cs_check_open(L, &here, w->open ? NULL : fields, index);
    table = lua_gettop(L);
  }
  cs_writer_put(w, place, "{");
  put_fields(w, &here, fields, table, first_positional, &first);
  if (table && w->open) cs_writer_put_others(w, &here, fields, table, &first);
  cs_writer_put(w, place, "}");
  if (table) lua_pop(L, 1);
}

static bool has_positional(const struct cs_field *fields) {
  while (fields->name && !(fields->flags & CS_POSITIONAL)) fields++;
  return fields->name != NULL;
}

/* Writes a whole body that is no object; false for one that has to be. */
static bool put_other_body(const struct cs_writer *w, const struct cs_place *place,
                           int index, const struct cs_field *fields) {
  lua_State *L = w->L;
  const struct cs_place body = {.parent = place, .name = "body"};
  int type = lua_type(L, index);
  if (!w->loose || has_positional(fields)) return false;
  if (type == LUA_TTABLE) {
    if (cs_writer_kind(L, index) != CS_TABLE_LIST) return false;
    cs_writer_put_value(w, place, index);
    return true;
  }
  bool simple = type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TBOOLEAN;
  if (!simple && !cs_writer_is_null(L, index)) return false;
  cs_writer_put_value(w, &body, index);
  return true;
}

void cs_shape_write_body(const struct cs_writer *w, const struct cs_place *place,
                         int index, int first_positional, const struct cs_field *fields) {
  if (!lua_isnoneornil(w->L, index)) {
    if (put_other_body(w, place, index, fields)) return;
    cs_check_table(w->L, place, "table", index);
  }
  put_object(w, place, fields, index, first_positional);
}

void cs_shape_write_bodies(const struct cs_writer *w, const struct cs_place *place,
                           int index, int most, const struct cs_field *fields) {
  lua_State *L = w->L;
  const struct cs_field object = {.type = CS_OBJECT, .of = fields};
  const struct cs_field list = {.type = CS_LIST, .of = &object};
  if (lua_type(L, index) != LUA_TTABLE || lua_geti(L, index, 1) == LUA_TNIL) {
    cs_shape_write_body(w, place, index, 0, fields);
    return;
  }
  lua_pop(L, 1);
  lua_Integer n = luaL_len(L, index);
  if (n > most && !w->loose) {
    (void)luaL_error(L, "%s: at most %d at once expected, got %d", cs_check_call(place),
                     most, (int)n);
  }
  put_list(w, place, &list, index);
}

/* ---- Options ---- */

/* Puts a checked copy in the place of a list of strings. */
static void copy_strings(lua_State *L, const struct cs_place *place,
                         const struct cs_field *option, int index) {
  lua_Integer count = cs_check_list(L, place, option, index);
  lua_newtable(L);
  int copy = lua_gettop(L);
  for (lua_Integer i = 1; cs_check_next_element(L, place, index, count, i); i++) {
    const struct cs_place element = {.parent = place, .element = i};
    size_t n;
    (void)cs_check_string(L, &element, option->of, lua_gettop(L), &n);
    lua_rawseti(L, copy, i);
  }
  lua_replace(L, index);
}

/* Checks the value on top and stores what a struct can hold. */
static void store(lua_State *L, const struct cs_place *place,
                  const struct cs_field *option, void *into) {
  char *target = (char *)into + option->offset;
  int index = lua_gettop(L);
  size_t n;
  switch (option->type) {
  case CS_STRING:
  case CS_ID: {
    const char *text = cs_check_string(L, place, option, index, &n);
    if (strlen(text) != n)
      (void)cs_check_complain(L, place, "string", "one with a NUL byte");
    memcpy(target, &text, sizeof text);
    break;
  }
  case CS_INTEGER: {
    int value = (int)cs_check_integer(L, place, option, index);
    memcpy(target, &value, sizeof value);
    break;
  }
  case CS_NUMBER: {
    double value = (double)cs_check_number(L, place, option, index);
    memcpy(target, &value, sizeof value);
    break;
  }
  case CS_BOOLEAN: {
    bool value = cs_check_boolean(L, place, option, index);
    memcpy(target, &value, sizeof value);
    break;
  }
  case CS_FUNCTION:
    if (!lua_isfunction(L, index)) (void)cs_check_complain_type(L, place, option, index);
    break;
  case CS_STRING_OR_FUNCTION:
    if (!lua_isfunction(L, index) && lua_type(L, index) != LUA_TSTRING)
      (void)cs_check_complain_type(L, place, option, index);
    break;
  case CS_LIST:
    copy_strings(L, place, option, index);
    break;
  case CS_TABLE:
  case CS_OBJECT:
    cs_check_table(L, place, "table", index);
    break;
  case CS_FILTER:
    (void)luaL_error(L, "%s: no option is of this type", cs_check_call(place));
  }
}

void cs_shape_read(lua_State *L, const struct cs_place *place, int index,
                   const struct cs_field *options, void *into) {
  lua_newtable(L);
  int values = lua_gettop(L);
  if (lua_isnoneornil(L, index)) return;
  cs_check_table(L, place, "table", index);
  cs_check_open(L, place, options, index);
  index = lua_gettop(L);
  for (const struct cs_field *option = options; option->name; option++) {
    const struct cs_place inner = {.parent = place, .name = option->name};
    lua_getfield(L, index, option->name);
    if (!lua_isnil(L, -1)) {
      store(L, &inner, option, into);
      lua_setfield(L, values, option->name);
      continue;
    }
    if (option->flags & CS_REQUIRED)
      (void)cs_check_complain_type(L, &inner, option, lua_gettop(L));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

int cs_shape_has_named(const struct cs_field *fields) {
  for (; fields && fields->name; fields++) {
    if (!(fields->flags & CS_POSITIONAL)) return 1;
  }
  return 0;
}
