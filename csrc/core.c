/* SPDX-License-Identifier: MIT */
/*
 * The module's entry: makes the types and the table that the Lua layer builds on. This is
 * the only name that the shared object shows.
 */
#include "binding.h"
#include "check.h"
#include "client.h"
#include "error.h"
#include "journal_lua.h"
#include "json.h"
#include "options.h"
#include "schedule.h"
#include "seen_lua.h"
#include "shape.h"
#include "transport.h"
#include "url.h"
#include "version.h"
#include "words.h"

static void set_string(lua_State *L, const char *name, const char *value) {
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

static void push_words(lua_State *L, const char *const *words) {
  lua_newtable(L);
  for (int i = 0; words[i]; i++) {
    lua_pushstring(L, words[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

/* The fields of a table, or of the tables in a list. */
static const struct cs_field *inner_fields(const struct cs_field *field) {
  if (field->type == CS_LIST) field = field->of;
  return field->type == CS_OBJECT ? field->of : NULL;
}

static void push_fields(lua_State *L, const struct cs_field *fields) {
  luaL_checkstack(L, 6, "fields in fields");
  lua_newtable(L);
  for (int i = 0; fields && fields[i].name; i++) {
    const struct cs_field *inner = inner_fields(&fields[i]);
    lua_createtable(L, 0, 7);
    set_string(L, "name", fields[i].name);
    cs_check_push_expected(L, &fields[i]);
    lua_setfield(L, -2, "type");
    lua_pushboolean(L, (fields[i].flags & CS_REQUIRED) != 0);
    lua_setfield(L, -2, "required");
    lua_pushboolean(L, (fields[i].flags & CS_POSITIONAL) != 0);
    lua_setfield(L, -2, "positional");
    if (fields[i].allowed) {
      push_words(L, fields[i].allowed);
      lua_setfield(L, -2, "allowed");
    }
    if (inner) {
      push_fields(L, inner);
      lua_setfield(L, -2, "fields");
    }
    set_string(L, "doc", fields[i].doc);
    lua_rawseti(L, -2, i + 1);
  }
}

static void push_operation(lua_State *L, const struct cs_endpoint *row) {
  static const char *const repeats[] = {
    [CS_READ] = "READ", [CS_REPEATABLE] = "REPEATABLE", [CS_ONCE] = "ONCE"};
  static const char *const results[] = {[CS_VALUE] = "VALUE",
                                        [CS_LIST_OF] = "LIST",
                                        [CS_PAGE] = "PAGE",
                                        [CS_NOTHING] = "NOTHING"};
  lua_createtable(L, 0, 12);
  set_string(L, "resource", row->resource);
  set_string(L, "name", row->name);
  set_string(L, "method", cs_verb_name(row->verb));
  set_string(L, "path", row->path);
  set_string(L, "repeat_class", repeats[row->repeat]);
  set_string(L, "result", results[row->result]);
  set_string(L, "doc", row->doc);
  set_string(L, "known_by", cs_resource_named(row->resource)->known_by);
  if (row->settled) {
    lua_pushinteger(L, row->settled);
    lua_setfield(L, -2, "settled");
  }
  if (row->several) {
    lua_pushinteger(L, row->several);
    lua_setfield(L, -2, "several");
  }
  push_fields(L, row->query);
  lua_setfield(L, -2, "query");
  push_fields(L, row->body);
  lua_setfield(L, -2, "body");
}

/* operations() -> a list, one table a row of the endpoint table */
static int core_operations(lua_State *L) {
  lua_createtable(L, cs_endpoint_count, 0);
  for (int i = 0; i < cs_endpoint_count; i++) {
    push_operation(L, &cs_endpoints[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

int luaopen_cipherscale_core(lua_State *L);

int luaopen_cipherscale_core(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"new", cs_client_new},
    {"operations", core_operations},
    {"error", cs_error_new},
    {"pager", cs_binding_pager},
    {"check", cs_binding_check},
    {"tell", cs_words_tell},
    {"pace", cs_client_pace},
    {"quote", cs_json_quote},
    {"decode", cs_json_decode_string},
    {"seen", cs_seen_lua_new},
    {"options", cs_options_settle},
    {NULL, NULL},
  };
  luaL_checkversion(L);
  if (cs_transport_global_init() != CS_OK)
    return luaL_error(L, "libcurl cannot be initialised");
  cs_json_open(L);
  cs_error_open(L);
  cs_words_open(L);
  lua_newtable(L);
  luaL_setfuncs(L, functions, 0);
  cs_schedule_open(L);
  cs_seen_lua_open(L);
  cs_journal_lua_open(L);
  cs_json_push_null(L);
  lua_setfield(L, -2, "null");
  set_string(L, "version", cs_version);
  return 1;
}
