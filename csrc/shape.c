/* SPDX-License-Identifier: MIT */
/* See shape.h. */
#include "shape.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "json.h"
#include "url.h"

/* Where the walk is: a chain of frames, turned into text only for a message. */
struct place {
  const struct place *parent;
  const char *call; /* of the outermost frame */
  const char *name; /* NULL for an element */
  lua_Integer element;
};

static void push_path(lua_State *L, const struct place *place) {
  if (!place->parent) {
    lua_pushliteral(L, "");
    return;
  }
  push_path(L, place->parent);
  if (place->name) {
    lua_pushfstring(L, place->parent->parent ? ".%s" : "%s", place->name);
  } else {
    lua_pushfstring(L, "[%d]", (int)place->element);
  }
  lua_concat(L, 2);
}

static const char *call_of(const struct place *place) {
  while (place->parent) place = place->parent;
  return place->call;
}

static int complain(lua_State *L, const struct place *place, const char *expected,
                    const char *got) {
  push_path(L, place);
  return luaL_error(L, "%s: %s: %s expected, got %s", call_of(place),
                    lua_tostring(L, -1), expected, got);
}

static const char *type_phrase(enum cs_type type) {
  static const char *const phrases[] = {[CS_STRING] = "string",
                                        [CS_ID] = "non-empty string",
                                        [CS_INTEGER] = "integer",
                                        [CS_NUMBER] = "number",
                                        [CS_BOOLEAN] = "boolean",
                                        [CS_OBJECT] = "table",
                                        [CS_LIST] = "list",
                                        [CS_FUNCTION] = "function",
                                        [CS_TABLE] = "table",
                                        [CS_STRING_OR_FUNCTION] = "string or function"};
  return phrases[type];
}

const char *cs_shape_push_expected(lua_State *L, const struct cs_field *field) {
  const char *phrase = type_phrase(field->type);
  if (field->allowed) {
    lua_pushliteral(L, "one of");
    for (const char *const *word = field->allowed; *word; word++) {
      lua_pushfstring(L, " '%s'", *word);
      lua_concat(L, 2);
    }
  } else if (field->type == CS_LIST) {
    lua_pushfstring(L, "list of %ss", type_phrase(field->of->type));
  } else if (field->type == CS_INTEGER || field->type == CS_NUMBER) {
    char range[80];
    (void)snprintf(range, sizeof range, " from %.15g to %.15g", field->min, field->max);
    lua_pushfstring(L, "%s%s", phrase, range);
  } else {
    lua_pushstring(L, phrase);
  }
  return lua_tostring(L, -1);
}

static int complain_type(lua_State *L, const struct place *place,
                         const struct cs_field *field, int index) {
  const char *got = cs_error_got(L, index);
  return complain(L, place, cs_shape_push_expected(L, field), got);
}

void cs_shape_check(lua_State *L, const char *call, enum cs_status status,
                    const char *what) {
  if (status == CS_NO_MEMORY) (void)luaL_error(L, "not enough memory");
  if (status != CS_OK) (void)luaL_error(L, "%s: the %s is too large", call, what);
}

/* ---- Checks ---- */

static bool in_range(const struct cs_field *field, lua_Number number) {
  return number >= field->min && number <= field->max;
}

static bool is_allowed(const struct cs_field *field, const char *text) {
  if (!field->allowed) return true;
  for (const char *const *word = field->allowed; *word; word++) {
    if (strcmp(*word, text) == 0) return true;
  }
  return false;
}

static const char *check_string(lua_State *L, const struct place *place,
                                const struct cs_field *field, int index, size_t *length) {
  if (lua_type(L, index) != LUA_TSTRING) (void)complain_type(L, place, field, index);
  const char *text = lua_tolstring(L, index, length);
  if (field->type == CS_ID) {
    if (*length == 0) (void)complain_type(L, place, field, index);
    for (size_t i = 0; i < *length; i++) {
      if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
        (void)complain(L, place, type_phrase(CS_ID), "one with a control character");
    }
  }
  if (!is_allowed(field, text)) {
    lua_pushfstring(L, "'%s'", text);
    const char *got = lua_tostring(L, -1);
    (void)complain(L, place, cs_shape_push_expected(L, field), got);
  }
  return text;
}

static lua_Integer check_integer(lua_State *L, const struct place *place,
                                 const struct cs_field *field, int index) {
  int whole = 0;
  lua_Integer value = lua_tointegerx(L, index, &whole);
  if (lua_type(L, index) != LUA_TNUMBER) (void)complain_type(L, place, field, index);
  if (!whole || !in_range(field, (lua_Number)value)) {
    lua_pushfstring(L, "%f", lua_tonumber(L, index));
    const char *got = lua_tostring(L, -1);
    (void)complain(L, place, cs_shape_push_expected(L, field), got);
  }
  return value;
}

static lua_Number check_number(lua_State *L, const struct place *place,
                               const struct cs_field *field, int index) {
  if (lua_type(L, index) != LUA_TNUMBER) (void)complain_type(L, place, field, index);
  lua_Number value = lua_tonumber(L, index);
  if (!in_range(field, value)) {
    lua_pushfstring(L, "%f", value);
    const char *got = lua_tostring(L, -1);
    (void)complain(L, place, cs_shape_push_expected(L, field), got);
  }
  return value;
}

static bool check_boolean(lua_State *L, const struct place *place,
                          const struct cs_field *field, int index) {
  if (!lua_isboolean(L, index)) (void)complain_type(L, place, field, index);
  return lua_toboolean(L, index) != 0;
}

static const struct cs_field *find_field(const struct cs_field *fields, const char *name) {
  for (; fields->name; fields++) {
    if (!(fields->flags & CS_POSITIONAL) && strcmp(fields->name, name) == 0)
      return fields;
  }
  return NULL;
}

static const char *field_name(const void *fields, int i) {
  return ((const struct cs_field *)fields)[i].name;
}

static int complain_key(lua_State *L, const struct place *place,
                        const struct cs_field *fields, int key) {
  push_path(L, place);
  const char *path = lua_tostring(L, -1), *colon = path[0] ? ": " : "";
  if (lua_type(L, key) != LUA_TSTRING) {
    return luaL_error(L, "%s: %s%sfield names expected, got a key of type %s",
                      call_of(place), path, colon, luaL_typename(L, key));
  }
  int count = 0;
  while (fields[count].name) count++;
  const char *text = cs_error_push_unknown(L, "field", lua_tostring(L, key), field_name,
                                           fields, count);
  return luaL_error(L, "%s: %s%s%s", call_of(place), path, colon, text);
}

/* Checks the key on top of the stack. */
static void check_key(lua_State *L, const struct place *place,
                      const struct cs_field *fields) {
  if (lua_type(L, -1) != LUA_TSTRING || !find_field(fields, lua_tostring(L, -1)))
    (void)complain_key(L, place, fields, lua_gettop(L));
}

/* Calls `check` with each key on top of the stack, in the order of pairs(). */
static void each_key(lua_State *L, int index, const struct place *place,
                     const struct cs_field *fields,
                     void (*check)(lua_State *, const struct place *,
                                   const struct cs_field *)) {
  if (luaL_getmetafield(L, index, "__pairs") == LUA_TNIL) {
    lua_pushnil(L);
    while (lua_next(L, index)) {
      lua_pop(L, 1);
      check(L, place, fields);
    }
    return;
  }
  lua_pushvalue(L, index);
  lua_call(L, 1, 3); /* iterator, state, key */
  for (;;) {
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_call(L, 2, 1);
    if (lua_isnil(L, -1)) break;
    check(L, place, fields);
    lua_replace(L, -2);
  }
  lua_pop(L, 4);
}

static void check_table(lua_State *L, const struct place *place, const char *expected,
                        int index) {
  if (lua_type(L, index) == LUA_TTABLE) return;
  const char *got = cs_error_got(L, index);
  if (place->parent) (void)complain(L, place, expected, got);
  (void)luaL_error(L, "%s: table of fields expected, got %s", call_of(place), got);
}

/* Elements of a list are numbered from 1 to its length, without holes or other keys. */
static void check_element_key(lua_State *L, const struct place *place,
                              const struct cs_field *length) {
  int whole = 0;
  lua_Integer i = lua_tointegerx(L, -1, &whole);
  if (lua_type(L, -1) == LUA_TNUMBER && whole && i >= 1 && (lua_Number)i <= length->max)
    return;
  const char *key = luaL_tolstring(L, -1, NULL);
  push_path(L, place);
  (void)luaL_error(L, "%s: %s: list without holes expected, got the key %s",
                   call_of(place), lua_tostring(L, -1), key);
}

static lua_Integer check_list(lua_State *L, const struct place *place,
                              const struct cs_field *field, int index) {
  if (lua_type(L, index) != LUA_TTABLE) (void)complain_type(L, place, field, index);
  lua_Integer n = luaL_len(L, index);
  const struct cs_field length = {.max = (double)n};
  each_key(L, index, place, &length, check_element_key);
  return n;
}

/* ---- JSON ---- */

struct writer {
  lua_State *L;
  struct cs_buffer *out;
};

static void put(const struct writer *w, const struct place *place, const char *text) {
  cs_shape_check(w->L, call_of(place), cs_buffer_append_text(w->out, text), "body");
}

static void put_string(const struct writer *w, const struct place *place,
                       const char *text, size_t n) {
  enum cs_status status = cs_json_append_string(w->out, text, n);
  if (status == CS_INVALID) (void)complain(w->L, place, "valid UTF-8", "other bytes");
  cs_shape_check(w->L, call_of(place), status, "body");
}

static void put_object(const struct writer *w, const struct place *place,
                       const struct cs_field *fields, int index, int first_positional);

/* Writes the value at an absolute stack index. */
static void put_value(const struct writer *w, const struct place *place,
                      const struct cs_field *field, int index) {
  lua_State *L = w->L;
  char number[32];
  switch (field->type) {
  case CS_STRING:
  case CS_ID: {
    size_t n;
    const char *text = check_string(L, place, field, index, &n);
    put_string(w, place, text, n);
    break;
  }
  case CS_INTEGER:
    (void)snprintf(number, sizeof number, "%lld",
                   (long long)check_integer(L, place, field, index));
    put(w, place, number);
    break;
  case CS_BOOLEAN:
    put(w, place, check_boolean(L, place, field, index) ? "true" : "false");
    break;
  case CS_OBJECT:
    check_table(L, place, "table", index);
    put_object(w, place, field->of, index, 0);
    break;
  case CS_LIST: {
    lua_Integer n = check_list(L, place, field, index);
    put(w, place, "[");
    for (lua_Integer i = 1; i <= n; i++) {
      const struct place element = {.parent = place, .element = i};
      if (i > 1) put(w, place, ",");
      (void)lua_geti(L, index, i);
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
    (void)luaL_error(L, "%s: no JSON is written for this type", call_of(place));
  }
}

static void put_name(const struct writer *w, const struct place *place, bool *first,
                     const char *name) {
  put(w, place, *first ? "\"" : ",\"");
  put(w, place, name);
  put(w, place, "\":");
  *first = false;
}

static void put_object(const struct writer *w, const struct place *place,
                       const struct cs_field *fields, int index, int first_positional) {
  lua_State *L = w->L;
  bool first = true, has_table = !lua_isnoneornil(L, index);
  luaL_checkstack(L, 10, "too many nested tables");
  if (has_table) each_key(L, index, place, fields, check_key);
  put(w, place, "{");
  for (const struct cs_field *field = fields; field->name; field++) {
    const struct place inner = {.parent = place, .name = field->name};
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
      (void)complain_type(L, &inner, field, lua_gettop(L));
    }
    lua_pop(L, 1);
  }
  put(w, place, "}");
}

void cs_shape_write_body(lua_State *L, const char *call, int index, int first_positional,
                         const struct cs_field *fields, struct cs_buffer *out) {
  const struct place root = {.call = call};
  const struct writer writer = {L, out};
  if (!lua_isnoneornil(L, index)) check_table(L, &root, "table", index);
  put_object(&writer, &root, fields, index, first_positional);
}

/* ---- Queries ---- */

static void put_query(lua_State *L, const struct place *place,
                      const struct cs_field *field, const char *name, int index,
                      bool *first, struct cs_buffer *out) {
  char number[32];
  const char *text = number;
  size_t n = 0;
  if (field->type == CS_LIST) { /* a repeated key, the default of OpenAPI */
    lua_Integer count = check_list(L, place, field, index);
    for (lua_Integer i = 1; i <= count; i++) {
      const struct place element = {.parent = place, .element = i};
      (void)lua_geti(L, index, i);
      put_query(L, &element, field->of, name, lua_gettop(L), first, out);
      lua_pop(L, 1);
    }
    return;
  }
  if (field->type == CS_BOOLEAN) {
    text = check_boolean(L, place, field, index) ? "true" : "false";
    n = strlen(text);
  } else if (field->type == CS_INTEGER) {
    n = (size_t)snprintf(number, sizeof number, "%lld",
                         (long long)check_integer(L, place, field, index));
  } else {
    text = check_string(L, place, field, index, &n);
  }
  cs_shape_check(L, call_of(place), cs_url_append_query(out, *first, name, text, n),
                 "query");
  *first = false;
}

void cs_shape_write_query(lua_State *L, const char *call, int index,
                          const struct cs_field *fields, struct cs_buffer *out) {
  const struct place root = {.call = call};
  bool first = true;
  if (lua_isnoneornil(L, index)) return;
  check_table(L, &root, "table", index);
  each_key(L, index, &root, fields, check_key);
  for (const struct cs_field *field = fields; field->name; field++) {
    const struct place inner = {.parent = &root, .name = field->name};
    lua_getfield(L, index, field->name);
    if (!lua_isnil(L, -1))
      put_query(L, &inner, field, field->name, lua_gettop(L), &first, out);
    lua_pop(L, 1);
  }
}

/* ---- Options ---- */

/* Checks the value on top and stores what a struct can hold. */
static void store(lua_State *L, const struct place *place, const struct cs_field *option,
                  void *into) {
  char *target = (char *)into + option->offset;
  int index = lua_gettop(L);
  size_t n;
  switch (option->type) {
  case CS_STRING:
  case CS_ID: {
    const char *text = check_string(L, place, option, index, &n);
    if (strlen(text) != n) (void)complain(L, place, "string", "one with a NUL byte");
    memcpy(target, &text, sizeof text);
    break;
  }
  case CS_INTEGER: {
    int value = (int)check_integer(L, place, option, index);
    memcpy(target, &value, sizeof value);
    break;
  }
  case CS_NUMBER: {
    double value = (double)check_number(L, place, option, index);
    memcpy(target, &value, sizeof value);
    break;
  }
  case CS_BOOLEAN: {
    bool value = check_boolean(L, place, option, index);
    memcpy(target, &value, sizeof value);
    break;
  }
  case CS_FUNCTION:
    if (!lua_isfunction(L, index)) (void)complain_type(L, place, option, index);
    break;
  case CS_STRING_OR_FUNCTION:
    if (!lua_isfunction(L, index) && lua_type(L, index) != LUA_TSTRING)
      (void)complain_type(L, place, option, index);
    break;
  case CS_TABLE:
  case CS_OBJECT:
  case CS_LIST:
    check_table(L, place, "table", index);
    break;
  }
}

void cs_shape_read_options(lua_State *L, const char *call, int index,
                           const struct cs_field *options, void *into) {
  const struct place root = {.call = call};
  lua_newtable(L);
  if (lua_isnoneornil(L, index)) return;
  check_table(L, &root, "table", index);
  each_key(L, index, &root, options, check_key);
  for (const struct cs_field *option = options; option->name; option++) {
    const struct place inner = {.parent = &root, .name = option->name};
    lua_getfield(L, index, option->name);
    if (!lua_isnil(L, -1)) {
      store(L, &inner, option, into);
      lua_setfield(L, -2, option->name);
    } else {
      lua_pop(L, 1);
    }
  }
}

/* ---- Questions about lists ---- */

int cs_shape_count_positional(const struct cs_field *fields) {
  int n = 0;
  for (; fields && fields->name; fields++) n += (fields->flags & CS_POSITIONAL) != 0;
  return n;
}

int cs_shape_has_named(const struct cs_field *fields) {
  for (; fields && fields->name; fields++) {
    if (!(fields->flags & CS_POSITIONAL)) return 1;
  }
  return 0;
}
