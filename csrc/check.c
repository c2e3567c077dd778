/* SPDX-License-Identifier: MIT */
/* See check.h. */
#include "check.h"

#include <stdio.h>
#include <string.h>

#include "error.h"

enum {
  LONGEST_NAME = 64,  /* of a field in a message, in bytes */
  LONGEST_CHAIN = 100 /* of tables that are each other's __index */
};

/* Pushes a name, or the beginning of a long one, and no half character. */
static void push_name(lua_State *L, const char *name) {
  size_t n = strlen(name);
  if (n <= LONGEST_NAME) {
    lua_pushstring(L, name);
    return;
  }
  n = LONGEST_NAME;
  while (n > 0 && ((unsigned char)name[n] & 0xC0) == 0x80) n--;
  lua_pushlstring(L, name, n);
  lua_pushliteral(L, "\xE2\x80\xA6"); /* … */
  lua_concat(L, 2);
}

static void push_path(lua_State *L, const struct cs_place *place) {
  luaL_checkstack(L, 6, "too many nested tables");
  if (!place->parent) {
    lua_pushliteral(L, "");
    return;
  }
  push_path(L, place->parent);
  if (place->name) {
    lua_pushstring(L, place->parent->parent ? "." : "");
    push_name(L, place->name);
    lua_concat(L, 2);
  } else {
    lua_pushfstring(L, "[%d]", (int)place->element);
  }
  lua_concat(L, 2);
}

static const struct cs_place *root_of(const struct cs_place *place) {
  while (place->parent) place = place->parent;
  return place;
}

const char *cs_check_call(const struct cs_place *place) { return root_of(place)->call; }

int cs_check_complain(lua_State *L, const struct cs_place *place, const char *expected,
                      const char *got) {
  push_path(L, place);
  const char *path = lua_tostring(L, -1), *colon = path[0] ? ": " : "";
  return luaL_error(L, "%s: %s%s%s expected, got %s", cs_check_call(place), path, colon,
                    expected, got);
}

int cs_check_refuse(lua_State *L, const struct cs_place *place, const char *text) {
  push_path(L, place);
  const char *path = lua_tostring(L, -1), *colon = path[0] ? ": " : "";
  return luaL_error(L, "%s: %s%s%s", cs_check_call(place), path, colon, text);
}

static const char *type_phrase(enum cs_type type) {
  static const char *const phrases[] = {
    [CS_STRING] = "string",   [CS_ID] = "non-empty string",
    [CS_INTEGER] = "integer", [CS_NUMBER] = "number",
    [CS_BOOLEAN] = "boolean", [CS_OBJECT] = "table",
    [CS_LIST] = "list",       [CS_FUNCTION] = "function",
    [CS_TABLE] = "table",     [CS_STRING_OR_FUNCTION] = "string or function",
    [CS_FILTER] = "filter"};
  return phrases[type];
}

const char *cs_check_push_expected(lua_State *L, const struct cs_field *field) {
  const char *phrase = type_phrase(field->type);
  if (field->allowed) {
    lua_pushliteral(L, "one of");
    for (const char *const *word = field->allowed; *word; word++) {
      lua_pushfstring(L, " '%s'", *word);
      lua_concat(L, 2);
    }
  } else if (field->type == CS_LIST) {
    /* What makes a string an id is said of the element that is none. */
    enum cs_type type = field->of->type == CS_ID ? CS_STRING : field->of->type;
    const char *element = type_phrase(type);
    lua_pushfstring(L, "list of %ss", element);
    if (field->flags & CS_OR_ONE) {
      lua_pushfstring(L, " or %s", element);
      lua_concat(L, 2);
    }
  } else if (field->type == CS_INTEGER || field->type == CS_NUMBER) {
    char range[80];
    (void)snprintf(range, sizeof range, " from %.15g to %.15g", field->min, field->max);
    lua_pushfstring(L, "%s%s", phrase, range);
  } else {
    lua_pushstring(L, phrase);
  }
  return lua_tostring(L, -1);
}

int cs_check_complain_type(lua_State *L, const struct cs_place *place,
                           const struct cs_field *field, int index) {
  const char *got = cs_error_got(L, index);
  return cs_check_complain(L, place, cs_check_push_expected(L, field), got);
}

void cs_check_status(lua_State *L, const char *call, enum cs_status status,
                     const char *what) {
  if (status == CS_NO_MEMORY) (void)luaL_error(L, "not enough memory");
  if (status != CS_OK) (void)luaL_error(L, "%s: the %s is too large", call, what);
}

/* ---- Checks ---- */

static bool in_range(const struct cs_field *field, lua_Number number) {
  return number >= field->min && number <= field->max;
}

static bool is_allowed(const struct cs_field *field, const char *text, size_t length) {
  if (!field->allowed) return true;
  if (strlen(text) != length) return false;
  for (const char *const *word = field->allowed; *word; word++) {
    if (strcmp(*word, text) == 0) return true;
  }
  return false;
}

static bool has_control_character(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) return true;
  }
  return false;
}

const char *cs_check_text(lua_State *L, const struct cs_place *place, int index,
                          size_t *length) {
  if (lua_type(L, index) != LUA_TSTRING)
    (void)cs_check_complain(L, place, "string", cs_error_got(L, index));
  const char *text = lua_tolstring(L, index, length);
  if (has_control_character(text, *length))
    (void)cs_check_complain(L, place, "string", "one with a control character");
  return text;
}

const char *cs_check_string(lua_State *L, const struct cs_place *place,
                            const struct cs_field *field, int index, size_t *length) {
  if (lua_type(L, index) != LUA_TSTRING)
    (void)cs_check_complain_type(L, place, field, index);
  const char *text = lua_tolstring(L, index, length);
  if (field->type == CS_ID) {
    if (*length == 0) (void)cs_check_complain_type(L, place, field, index);
    if (has_control_character(text, *length)) {
      (void)cs_check_complain(L, place, type_phrase(CS_ID),
                              "one with a control character");
    }
  }
  if (!is_allowed(field, text, *length)) {
    lua_pushfstring(L, "'%s'", text);
    const char *got = lua_tostring(L, -1);
    (void)cs_check_complain(L, place, cs_check_push_expected(L, field), got);
  }
  return text;
}

lua_Integer cs_check_integer(lua_State *L, const struct cs_place *place,
                             const struct cs_field *field, int index) {
  int whole = 0;
  lua_Integer value = lua_tointegerx(L, index, &whole);
  if (lua_type(L, index) != LUA_TNUMBER)
    (void)cs_check_complain_type(L, place, field, index);
  if (!whole || !in_range(field, (lua_Number)value)) {
    lua_pushvalue(L, index);
    const char *got = lua_tostring(L, -1);
    (void)cs_check_complain(L, place, cs_check_push_expected(L, field), got);
  }
  return value;
}

lua_Number cs_check_number(lua_State *L, const struct cs_place *place,
                           const struct cs_field *field, int index) {
  if (lua_type(L, index) != LUA_TNUMBER)
    (void)cs_check_complain_type(L, place, field, index);
  lua_Number value = lua_tonumber(L, index);
  if (!in_range(field, value)) {
    lua_pushvalue(L, index);
    const char *got = lua_tostring(L, -1);
    (void)cs_check_complain(L, place, cs_check_push_expected(L, field), got);
  }
  return value;
}

bool cs_check_boolean(lua_State *L, const struct cs_place *place,
                      const struct cs_field *field, int index) {
  if (!lua_isboolean(L, index)) (void)cs_check_complain_type(L, place, field, index);
  return lua_toboolean(L, index) != 0;
}

const struct cs_field *cs_check_find(const struct cs_field *fields, const char *name) {
  for (; fields->name; fields++) {
    if (!(fields->flags & CS_POSITIONAL) && strcmp(fields->name, name) == 0)
      return fields;
  }
  return NULL;
}

static const char *field_name(const void *fields, int i) {
  return ((const struct cs_field *)fields)[i].name;
}

const char *cs_check_name(lua_State *L, const struct cs_place *place, const char *what,
                          int key) {
  size_t n = 0;
  const char *name = lua_type(L, key) == LUA_TSTRING ? lua_tolstring(L, key, &n) : NULL;
  if (n > 0 && !has_control_character(name, n)) return name;
  push_path(L, place);
  const char *path = lua_tostring(L, -1), *colon = path[0] ? ": " : "";
  const char *got = n > 0 ? "one with a control character" : "an empty one";
  if (!name) got = lua_pushfstring(L, "a key of type %s", luaL_typename(L, key));
  (void)luaL_error(L, "%s: %s%s%s names expected, got %s", cs_check_call(place), path,
                   colon, what, got);
  return NULL;
}

static int complain_unknown(lua_State *L, const struct cs_place *place,
                            const struct cs_field *fields, const char *name) {
  int count = 0;
  while (fields[count].name) count++;
  push_path(L, place);
  const char *path = lua_tostring(L, -1), *colon = path[0] ? ": " : "";
  const char *text =
    cs_error_push_unknown(L, root_of(place)->member, name, field_name, fields, count);
  return luaL_error(L, "%s: %s%s%s", cs_check_call(place), path, colon, text);
}

/* Checks the key on top of the stack. */
static void check_key(lua_State *L, const struct cs_place *place,
                      const struct cs_field *fields) {
  const char *name = cs_check_name(L, place, root_of(place)->member, lua_gettop(L));
  if (!cs_check_find(fields, name)) (void)complain_unknown(L, place, fields, name);
}

/* Pushes a plain table of what __pairs shows; false, and nothing pushed, without it. */
static bool push_view(lua_State *L, int index) {
  if (luaL_getmetafield(L, index, "__pairs") == LUA_TNIL) return false;
  lua_newtable(L);
  lua_insert(L, -2);
  lua_pushvalue(L, index);
  lua_call(L, 1, 3); /* view, iterator, state, key */
  for (;;) {
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -3);
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2)) break;
    lua_pushvalue(L, -2); /* view, iterator, state, old key, key, value, key */
    lua_insert(L, -2);
    lua_rawset(L, -7);
    lua_replace(L, -2);
  }
  lua_pop(L, 5);
  return true;
}

/* Pushes a table's __index that is a table; false, and nothing pushed, without one. */
static bool push_behind(lua_State *L, int index) {
  int type = luaL_getmetafield(L, index, "__index");
  if (type == LUA_TTABLE) return true;
  if (type != LUA_TNIL) lua_pop(L, 1);
  return false;
}

enum origin { OWN, BEHIND, BEHIND_OPEN };

/* Copies from the table on top what the view lacks. A table that is also a metatable has
   names of metamethods, which are no fields. Where any field is let through, the methods
   of a class are none, either. */
static void add_missing(lua_State *L, int view, enum origin origin) {
  int table = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, table)) {
    bool named = lua_type(L, -2) == LUA_TSTRING;
    bool skip = origin != OWN && named && strncmp(lua_tostring(L, -2), "__", 2) == 0;
    skip = skip || (origin == BEHIND_OPEN && lua_isfunction(L, -1));
    lua_pushvalue(L, -2);
    if (lua_rawget(L, view) == LUA_TNIL && !skip) {
      lua_pushvalue(L, -3);
      lua_pushvalue(L, -3);
      lua_rawset(L, view);
    }
    lua_pop(L, 2);
  }
}

/* Pushes a plain table of what is in the table and in those behind it by __index; false,
   and nothing pushed, where there are none. */
static bool push_chain(lua_State *L, const struct cs_place *place, int index, bool open) {
  if (!push_behind(L, index)) return false;
  lua_newtable(L);
  int view = lua_gettop(L), length = 0;
  lua_pushvalue(L, index);
  add_missing(L, view, OWN);
  while (push_behind(L, -1)) {
    lua_remove(L, -2);
    if (++length > LONGEST_CHAIN)
      (void)cs_check_refuse(L, place, "too many tables behind each other's __index");
    add_missing(L, view, open ? BEHIND_OPEN : BEHIND);
  }
  lua_settop(L, view);
  lua_remove(L, -2);
  return true;
}

void cs_check_open(lua_State *L, const struct cs_place *place,
                   const struct cs_field *fields, int index) {
  luaL_checkstack(L, 12, "too many nested tables");
  bool viewed = push_view(L, index) || push_chain(L, place, index, !fields);
  if (!viewed) lua_pushvalue(L, index);
  int table = lua_gettop(L);
  lua_pushnil(L);
  while (fields && lua_next(L, table)) {
    lua_pop(L, 1);
    check_key(L, place, fields);
  }
  if (!fields) lua_pop(L, 1);
  if (viewed) {
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, index);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, table);
  }
}

void cs_check_table(lua_State *L, const struct cs_place *place, const char *expected,
                    int index) {
  if (lua_type(L, index) == LUA_TTABLE) return;
  const char *got = cs_error_got(L, index);
  if (place->parent) (void)cs_check_complain(L, place, expected, got);
  (void)luaL_error(L, "%s: table of %ss expected, got %s", cs_check_call(place),
                   place->member, got);
}

/* Elements of a list are numbered from 1 on, without holes or other keys. */
static void check_element_keys(lua_State *L, const struct cs_place *place, int index,
                               lua_Integer length) {
  bool viewed = push_view(L, index);
  int table = viewed ? lua_gettop(L) : index;
  lua_pushnil(L);
  while (lua_next(L, table)) {
    int whole = 0;
    lua_pop(L, 1);
    lua_Integer i = lua_tointegerx(L, -1, &whole);
    if (lua_type(L, -1) == LUA_TNUMBER && whole && i >= 1 && i <= length) continue;
    const char *key = luaL_tolstring(L, -1, NULL);
    push_path(L, place);
    const char *path = lua_tostring(L, -1), *colon = path[0] ? ": " : "";
    (void)luaL_error(L, "%s: %s%slist without holes expected, got the key %s",
                     cs_check_call(place), path, colon, key);
  }
  if (viewed) lua_pop(L, 1);
}

bool cs_check_next_element(lua_State *L, const struct cs_place *place, int index,
                           lua_Integer length, lua_Integer i) {
  if (lua_geti(L, index, i) != LUA_TNIL || i <= length) return true;
  lua_pop(L, 1);
  check_element_keys(L, place, index, i - 1);
  return false;
}

lua_Integer cs_check_list(lua_State *L, const struct cs_place *place,
                          const struct cs_field *field, int index) {
  if (lua_type(L, index) != LUA_TTABLE)
    (void)cs_check_complain_type(L, place, field, index);
  return luaL_len(L, index);
}
