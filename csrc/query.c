/* SPDX-License-Identifier: MIT */
/* See query.h. */
#include "query.h"

#include <stdio.h>
#include <string.h>

#include "error.h"
#include "json.h"
#include "names.h"
#include "url.h"

struct query {
  const struct cs_writer *w;
  bool first;
};

static const struct cs_field any_list = {.type = CS_LIST, .of = &any_list};

/* As in bodies: other bytes would be read as something else, or not at all. */
static void check_utf8(lua_State *L, const struct cs_place *place, const char *text,
                       size_t n) {
  if (!cs_json_is_utf8(text, n))
    (void)cs_check_complain(L, place, "valid UTF-8", "other bytes");
}

static void put_pair(struct query *q, const struct cs_place *place, const char *name,
                     const char *text, size_t n) {
  check_utf8(q->w->L, place, name, strlen(name));
  check_utf8(q->w->L, place, text, n);
  cs_check_status(q->w->L, cs_check_call(place),
                  cs_url_append_query(q->w->out, q->first, name, text, n), "query");
  q->first = false;
}

/* The text of a string, number or boolean at an absolute index; it may be in `number`. */
static const char *scalar(lua_State *L, const struct cs_place *place, int index,
                          char number[32], size_t *n) {
  const char *text = number;
  switch (lua_type(L, index)) {
  case LUA_TSTRING:
    return cs_check_text(L, place, index, n);
  case LUA_TNUMBER:
    cs_writer_number(L, place, index, number);
    break;
  case LUA_TBOOLEAN:
    text = lua_toboolean(L, index) ? "true" : "false";
    break;
  default:
    (void)cs_check_complain(L, place, "string, number or boolean",
                            cs_error_got(L, index));
  }
  *n = strlen(text);
  return text;
}

static void put_scalar(struct query *q, const struct cs_place *place, const char *name,
                       int index) {
  char number[32];
  size_t n;
  const char *text = scalar(q->w->L, place, index, number, &n);
  put_pair(q, place, name, text, n);
}

/* ---- Filters ---- */

/* Named in the contract, under "List resources". */
static const char *const operators[] = {"eq",  "ne",    "gt", "gte", "lt",
                                        "lte", "ilike", "in", "nin"};
enum { OPERATORS = sizeof operators / sizeof *operators };

static const char *operator_name(const void *list, int i) {
  return ((const char *const *)list)[i];
}

static void check_operator(struct query *q, const struct cs_place *place,
                           const char *name) {
  for (int i = 0; i < OPERATORS; i++) {
    if (strcmp(operators[i], name) == 0) return;
  }
  if (q->w->loose) return;
  (void)cs_check_refuse(q->w->L, place,
                        cs_error_push_unknown(q->w->L, "operator", name, operator_name,
                                              operators, OPERATORS));
}

/* The service reads what stands between brackets, encoded or not. */
static void check_brackets(lua_State *L, const struct cs_place *place) {
  if (strpbrk(place->name, "[]"))
    (void)cs_check_complain(L, place, "name without brackets", "one with them");
}

static void put_literal(struct query *q, const struct cs_place *place, const char *text) {
  cs_check_status(q->w->L, cs_check_call(place), cs_buffer_append_text(q->w->out, text),
                  "query");
}

/* "a,b": the commas are the list's own, so no element can have one, unless the client
   does not check. */
static void put_elements(struct query *q, const struct cs_place *place, const char *name,
                         int index) {
  lua_State *L = q->w->L;
  if (!lua_istable(L, index))
    (void)cs_check_complain(L, place, "list of values", cs_error_got(L, index));
  lua_Integer count = cs_check_list(L, place, &any_list, index), i = 1;
  for (; cs_check_next_element(L, place, index, count, i); i++) {
    const struct cs_place element = {.parent = place, .element = i};
    char number[32];
    size_t n;
    const char *text = scalar(L, &element, lua_gettop(L), number, &n);
    if (!q->w->loose && (n == 0 || memchr(text, ',', n))) {
      (void)cs_check_complain(L, &element, "non-empty value without commas",
                              n == 0 ? "an empty string" : "one with a comma");
    }
    check_utf8(L, &element, text, n);
    if (i == 1) {
      put_pair(q, place, name, text, n);
    } else {
      put_literal(q, place, ",");
      cs_check_status(L, cs_check_call(place), cs_url_append_encoded(q->w->out, text, n),
                      "query");
    }
    lua_pop(L, 1);
  }
  if (i > 1) return;
  if (!q->w->loose) (void)cs_check_complain(L, place, "list of values", "an empty one");
  put_pair(q, place, name, "", 0);
}

static void put_any(struct query *q, const struct cs_place *place, const char *name,
                    int index);

static bool is_of_kind(lua_State *L, int index, enum cs_table_kind kind) {
  return lua_istable(L, index) && cs_writer_kind(L, index) == kind;
}

/* Writes one operator of a field: "filter[name][ilike]=…". */
static void put_operator(struct query *q, const struct cs_place *place, const char *name,
                         const char *field, const char *operator, int index) {
  lua_State *L = q->w->L;
  const char *key = lua_pushfstring(L, "%s[%s][%s]", name, field, operator);
  bool list = strcmp(operator, "in") == 0 || strcmp(operator, "nin") == 0;
  if (q->w->loose) list = lua_istable(L, index);
  if (q->w->loose && is_of_kind(L, index, CS_TABLE_OBJECT)) {
    put_any(q, place, key, index);
  } else if (list) {
    put_elements(q, place, key, index);
  } else {
    put_scalar(q, place, key, index);
  }
  lua_pop(L, 1);
}

static void put_condition(struct query *q, const struct cs_place *place, const char *name,
                          int index) {
  lua_State *L = q->w->L;
  check_brackets(L, place);
  if (!lua_istable(L, index)) {
    put_operator(q, place, name, place->name, "eq", index);
    return;
  }
  if (q->w->loose && is_of_kind(L, index, CS_TABLE_LIST)) {
    put_any(q, place, lua_pushfstring(L, "%s[%s]", name, place->name), index);
    lua_pop(L, 1);
    return;
  }
  cs_writer_check_listable(L, place, index);
  cs_check_open(L, place, NULL, index);
  int table = lua_gettop(L);
  struct cs_names names = cs_names_push(L, place, "operator", table);
  if (names.count == 0)
    (void)cs_check_complain(L, place, "value or table of operators", "an empty one");
  for (size_t i = 0; i < names.count; i++) {
    const struct cs_place inner = {.parent = place, .name = names.sorted[i]};
    check_operator(q, place, names.sorted[i]);
    check_brackets(L, &inner);
    lua_getfield(L, table, names.sorted[i]);
    put_operator(q, &inner, name, place->name, names.sorted[i], lua_gettop(L));
    lua_pop(L, 1);
  }
  lua_pop(L, 3);
}

static void put_filter(struct query *q, const struct cs_place *place, const char *name,
                       int index) {
  lua_State *L = q->w->L;
  luaL_checkstack(L, 24, "filter");
  cs_check_table(L, place, "table", index);
  cs_writer_check_listable(L, place, index);
  cs_check_open(L, place, NULL, index);
  int table = lua_gettop(L);
  struct cs_names names = cs_names_push(L, place, "field", table);
  for (size_t i = 0; i < names.count; i++) {
    const struct cs_place inner = {.parent = place, .name = names.sorted[i]};
    lua_getfield(L, table, names.sorted[i]);
    put_condition(q, &inner, name, lua_gettop(L));
    lua_pop(L, 1);
  }
  lua_pop(L, 3);
}

/* ---- Fields ---- */

static void put_list(struct query *q, const struct cs_place *place,
                     const struct cs_field *of, const char *name, int index);

/* "name[field]=value", as deep as it goes: the brackets that filters have. */
static void put_object(struct query *q, const struct cs_place *place, const char *name,
                       int index) {
  lua_State *L = q->w->L;
  struct cs_place here = *place;
  here.table = lua_topointer(L, index);
  cs_writer_check_nesting(L, &here);
  cs_writer_check_listable(L, &here, index);
  cs_check_open(L, &here, NULL, index);
  int table = lua_gettop(L);
  struct cs_names names = cs_names_push(L, &here, "field", table);
  for (size_t i = 0; i < names.count; i++) {
    const struct cs_place inner = {.parent = &here, .name = names.sorted[i]};
    check_brackets(L, &inner);
    const char *key = lua_pushfstring(L, "%s[%s]", name, names.sorted[i]);
    if (strlen(key) > q->w->out->limit)
      cs_check_status(L, cs_check_call(place), CS_TOO_LARGE, "query");
    lua_getfield(L, table, names.sorted[i]);
    if (!lua_isnil(L, -1)) put_any(q, &inner, key, lua_gettop(L));
    lua_pop(L, 2);
  }
  lua_pop(L, 3);
}

/* Writes a value that no list describes, or that is not to be checked. */
static void put_any(struct query *q, const struct cs_place *place, const char *name,
                    int index) {
  lua_State *L = q->w->L;
  bool object = is_of_kind(L, index, CS_TABLE_OBJECT);
  if (object && q->w->loose) {
    put_object(q, place, name, index);
  } else if (lua_istable(L, index) && !object) {
    put_list(q, place, NULL, name, index);
  } else {
    put_scalar(q, place, name, index);
  }
}

static void put_known(struct query *q, const struct cs_place *place,
                      const struct cs_field *field, const char *name, int index) {
  lua_State *L = q->w->L;
  char number[32];
  const char *text = number;
  size_t n = 0;
  bool conditions = lua_istable(L, index) && !is_of_kind(L, index, CS_TABLE_LIST);
  if (field->type == CS_FILTER && (conditions || !q->w->loose)) {
    put_filter(q, place, name, index);
    return;
  }
  if (q->w->loose) {
    put_any(q, place, name, index);
    return;
  }
  if (field->type == CS_LIST) {
    if ((field->flags & CS_OR_ONE) && !lua_istable(L, index)) {
      if (lua_type(L, index) != LUA_TSTRING)
        (void)cs_check_complain_type(L, place, field, index);
      put_known(q, place, field->of, name, index);
      return;
    }
    (void)cs_check_list(L, place, field, index);
    put_list(q, place, field->of, name, index);
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
  put_pair(q, place, name, text, n);
}

static void put_list(struct query *q, const struct cs_place *place,
                     const struct cs_field *of, const char *name, int index) {
  lua_State *L = q->w->L;
  lua_Integer count = cs_check_list(L, place, &any_list, index);
  for (lua_Integer i = 1; cs_check_next_element(L, place, index, count, i); i++) {
    const struct cs_place element = {.parent = place, .element = i};
    if (of) {
      put_known(q, &element, of, name, lua_gettop(L));
    } else {
      put_scalar(q, &element, name, lua_gettop(L));
    }
    lua_pop(L, 1);
  }
}

/* What the list does not know, sorted by name. */
static void put_others(struct query *q, const struct cs_place *place,
                       const struct cs_field *fields, int table) {
  lua_State *L = q->w->L;
  struct cs_names names = cs_names_push(L, place, "field", table);
  for (size_t i = 0; i < names.count; i++) {
    const struct cs_place inner = {.parent = place, .name = names.sorted[i]};
    if (cs_check_find(fields, names.sorted[i])) continue;
    lua_getfield(L, table, names.sorted[i]);
    if (!lua_isnil(L, -1)) put_any(q, &inner, names.sorted[i], lua_gettop(L));
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
}

void cs_query_write(const struct cs_writer *w, const struct cs_place *place, int index,
                    const struct cs_field *fields) {
  lua_State *L = w->L;
  struct query q = {.w = w, .first = true};
  if (lua_isnoneornil(L, index)) return;
  cs_check_table(L, place, "table", index);
  cs_check_open(L, place, w->open ? NULL : fields, index);
  int table = lua_gettop(L);
  for (const struct cs_field *field = fields; field->name; field++) {
    const struct cs_place inner = {.parent = place, .name = field->name};
    lua_getfield(L, table, field->name);
    if (!lua_isnil(L, -1)) put_known(&q, &inner, field, field->name, lua_gettop(L));
    lua_pop(L, 1);
  }
  if (w->open) put_others(&q, place, fields, table);
  lua_pop(L, 1);
}
