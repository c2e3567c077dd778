/* SPDX-License-Identifier: MIT */
/* See shape.h. */
#include "shape.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "json.h"
#include "url.h"

/* ---- JSON ---- */

enum { LONGEST_NAME = 64 }; /* of a field: they are ours, see fields.c */

struct writer {
  lua_State *L;
  struct cs_buffer *out;
};

static void put(const struct writer *w, const struct cs_place *place, const char *text) {
  cs_check_status(w->L, cs_check_call(place), cs_buffer_append_text(w->out, text),
                  "body");
}

static void put_string(const struct writer *w, const struct cs_place *place,
                       const char *text, size_t n) {
  enum cs_status status = cs_json_append_string(w->out, text, n);
  if (status == CS_INVALID)
    (void)cs_check_complain(w->L, place, "valid UTF-8", "other bytes");
  cs_check_status(w->L, cs_check_call(place), status, "body");
}

static void put_object(const struct writer *w, const struct cs_place *place,
                       const struct cs_field *fields, int index, int first_positional);

/* Writes the value at an absolute stack index. */
static void put_value(const struct writer *w, const struct cs_place *place,
                      const struct cs_field *field, int index) {
  lua_State *L = w->L;
  char number[32];
  switch (field->type) {
  case CS_STRING:
  case CS_ID: {
    size_t n;
    const char *text = cs_check_string(L, place, field, index, &n);
    put_string(w, place, text, n);
    break;
  }
  case CS_INTEGER:
    (void)snprintf(number, sizeof number, "%lld",
                   (long long)cs_check_integer(L, place, field, index));
    put(w, place, number);
    break;
  case CS_BOOLEAN:
    put(w, place, cs_check_boolean(L, place, field, index) ? "true" : "false");
    break;
  case CS_OBJECT:
    cs_check_table(L, place, "table", index);
    put_object(w, place, field->of, index, 0);
    break;
  case CS_LIST: {
    lua_Integer n = cs_check_list(L, place, field, index);
    put(w, place, "[");
    for (lua_Integer i = 1; cs_check_next_element(L, place, index, n, i); i++) {
      const struct cs_place element = {.parent = place, .element = i};
      if (i > 1) put(w, place, ",");
      put_value(w, &element, field->of, lua_gettop(L));
      lua_pop(L, 1);
    }
    put(w, place, "]");
    break;
  }
  case CS_NUMBER:
  case CS_FUNCTION:
  case CS_TABLE:
  case CS_STRING_OR_FUNCTION:
    (void)luaL_error(L, "%s: no JSON is written for this type", cs_check_call(place));
  }
}

/* `,"name":` at once: this is done for each field of each call. */
static void put_name(const struct writer *w, const struct cs_place *place, bool *first,
                     const char *name) {
  char text[LONGEST_NAME + 8];
  int n = 0;
  if (!*first) text[n++] = ',';
  text[n++] = '"';
  for (const char *p = name; *p && n < LONGEST_NAME; p++) text[n++] = *p;
  text[n++] = '"';
  text[n++] = ':';
  text[n] = '\0';
  put(w, place, text);
  *first = false;
}

static void put_object(const struct writer *w, const struct cs_place *place,
                       const struct cs_field *fields, int index, int first_positional) {
  lua_State *L = w->L;
  bool first = true, has_table = !lua_isnoneornil(L, index);
  luaL_checkstack(L, 10, "too many nested tables");
  if (has_table) {
    cs_check_open(L, place, fields, index);
    index = lua_gettop(L);
  }
  put(w, place, "{");
  for (const struct cs_field *field = fields; field->name; field++) {
    const struct cs_place inner = {.parent = place, .name = field->name};
    if (field->flags & CS_POSITIONAL) {
      put_name(w, place, &first, field->name);
      put_value(w, &inner, field, first_positional++);
      continue;
    }
    if (has_table) {
      lua_getfield(L, index, field->name);
    } else {
      lua_pushnil(L);
    }
    if (!lua_isnil(L, -1)) {
      put_name(w, place, &first, field->name);
      put_value(w, &inner, field, lua_gettop(L));
    } else if (field->flags & CS_ALWAYS) {
      put_name(w, place, &first, field->name);
      put(w, place, "[]");
    } else if (field->flags & CS_REQUIRED) {
      (void)cs_check_complain_type(L, &inner, field, lua_gettop(L));
    }
    lua_pop(L, 1);
  }
  put(w, place, "}");
  if (has_table) lua_pop(L, 1);
}

void cs_shape_write_body(lua_State *L, const char *call, int index, int first_positional,
                         const struct cs_field *fields, struct cs_buffer *out) {
  const struct cs_place root = {.call = call, .member = "field"};
  const struct writer writer = {L, out};
  if (!lua_isnoneornil(L, index)) cs_check_table(L, &root, "table", index);
  put_object(&writer, &root, fields, index, first_positional);
}

void cs_shape_write_bodies(lua_State *L, const char *call, int index, int most,
                           const struct cs_field *fields, struct cs_buffer *out) {
  const struct cs_place root = {.call = call, .member = "field"};
  const struct cs_field object = {.type = CS_OBJECT, .of = fields};
  const struct writer writer = {L, out};
  if (lua_type(L, index) != LUA_TTABLE || lua_geti(L, index, 1) == LUA_TNIL) {
    cs_shape_write_body(L, call, index, 0, fields, out);
    return;
  }
  lua_pop(L, 1);
  lua_Integer n = luaL_len(L, index);
  if (n > most)
    (void)luaL_error(L, "%s: at most %d at once expected, got %d", call, most, (int)n);
  put(&writer, &root, "[");
  for (lua_Integer i = 1; cs_check_next_element(L, &root, index, n, i); i++) {
    const struct cs_place element = {.parent = &root, .element = i};
    if (i > 1) put(&writer, &root, ",");
    put_value(&writer, &element, &object, lua_gettop(L));
    lua_pop(L, 1);
  }
  put(&writer, &root, "]");
}

/* ---- Queries ---- */

static void put_query(lua_State *L, const struct cs_place *place,
                      const struct cs_field *field, const char *name, int index,
                      bool *first, struct cs_buffer *out) {
  char number[32];
  const char *text = number;
  size_t n = 0;
  if (field->type == CS_LIST) { /* a repeated key, the default of OpenAPI */
    lua_Integer count = cs_check_list(L, place, field, index);
    for (lua_Integer i = 1; cs_check_next_element(L, place, index, count, i); i++) {
      const struct cs_place element = {.parent = place, .element = i};
      put_query(L, &element, field->of, name, lua_gettop(L), first, out);
      lua_pop(L, 1);
    }
    return;
  }
  if (field->type == CS_BOOLEAN) {
    text = cs_check_boolean(L, place, field, index) ? "true" : "false";
    n = strlen(text);
  } else if (field->type == CS_INTEGER) {
    n = (size_t)snprintf(number, sizeof number, "%lld",
                         (long long)cs_check_integer(L, place, field, index));
  } else {
    text = cs_check_string(L, place, field, index, &n);
  }
  cs_check_status(L, cs_check_call(place),
                  cs_url_append_query(out, *first, name, text, n), "query");
  *first = false;
}

void cs_shape_write_query(lua_State *L, const char *call, int index,
                          const struct cs_field *fields, struct cs_buffer *out) {
  const struct cs_place root = {.call = call, .member = "field"};
  bool first = true;
  if (lua_isnoneornil(L, index)) return;
  cs_check_table(L, &root, "table", index);
  cs_check_open(L, &root, fields, index);
  index = lua_gettop(L);
  for (const struct cs_field *field = fields; field->name; field++) {
    const struct cs_place inner = {.parent = &root, .name = field->name};
    lua_getfield(L, index, field->name);
    if (!lua_isnil(L, -1))
      put_query(L, &inner, field, field->name, lua_gettop(L), &first, out);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
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
  }
}

void cs_shape_read_options(lua_State *L, const char *call, int index,
                           const struct cs_field *options, void *into) {
  const struct cs_place root = {.call = call, .member = "option"};
  lua_newtable(L);
  int values = lua_gettop(L);
  if (lua_isnoneornil(L, index)) return;
  cs_check_table(L, &root, "table", index);
  cs_check_open(L, &root, options, index);
  index = lua_gettop(L);
  for (const struct cs_field *option = options; option->name; option++) {
    const struct cs_place inner = {.parent = &root, .name = option->name};
    lua_getfield(L, index, option->name);
    if (!lua_isnil(L, -1)) {
      store(L, &inner, option, into);
      lua_setfield(L, values, option->name);
    } else {
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
}

int cs_shape_has_named(const struct cs_field *fields) {
  for (; fields && fields->name; fields++) {
    if (!(fields->flags & CS_POSITIONAL)) return 1;
  }
  return 0;
}
