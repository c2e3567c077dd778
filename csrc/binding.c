/* SPDX-License-Identifier: MIT */
/* See binding.h. */
#include "binding.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "direct.h"
#include "endpoints.h"
#include "error.h"
#include "names.h"
#include "query.h"
#include "shape.h"
#include "url.h"
#include "wait.h"
#include "words.h"

enum { CLIENT = CS_BINDING_CLIENT, ROW, RESOURCE, AS_PAGE }; /* upvalues of a method */

/* ---- Arguments ---- */

static const char *name_of(const struct cs_call *call) {
  return call->name ? call->name : call->row->call;
}

static const struct cs_field *query_of(const struct cs_call *call) {
  return call->as_page ? cs_fields_page : call->row->query;
}

/* "id" is the resource's own ("user id"); "groupId" becomes "group id". */
static void push_parameter_name(lua_State *L, const struct cs_endpoint *row,
                                const char *name, size_t length) {
  if (length == 2 && memcmp(name, "id", 2) == 0) {
    lua_pushfstring(L, "%s id", cs_resource_named(row->resource)->noun);
    return;
  }
  luaL_Buffer words;
  luaL_buffinit(L, &words);
  for (size_t i = 0; i < length; i++) {
    if (isupper((unsigned char)name[i])) luaL_addchar(&words, ' ');
    luaL_addchar(&words, (char)tolower((unsigned char)name[i]));
  }
  luaL_pushresult(&words);
}

/* The id that is argument `n`; `prepare` has it one slot further up. */
static const char *check_id(lua_State *L, const struct cs_call *call, int n,
                            const char *name, size_t name_length, size_t *length) {
  const char *problem = NULL;
  if (lua_type(L, n + 1) == LUA_TSTRING) {
    const char *id = lua_tolstring(L, n + 1, length);
    problem = cs_url_id_problem(id, *length);
    if (!problem) return id;
  } else {
    problem = cs_error_got(L, n + 1);
    if (lua_isnone(L, n + 1)) problem = "nil";
  }
  push_parameter_name(L, call->row, name, name_length);
  (void)luaL_error(L, "bad argument #%d to '%s' (%s: non-empty string expected, got %s)",
                   n, call->row->name, lua_tostring(L, -1), problem);
  return NULL;
}

/* Writes base URL and path; returns how many arguments the path took. */
static int write_path(lua_State *L, const struct cs_call *call) {
  struct cs_buffer *url = &call->request->url;
  const char *rest = call->row->path, *cursor = rest;
  struct cs_url_param param;
  int n = 0;
  enum cs_status status =
    cs_buffer_append(url, call->client->base, call->client->answers.base_length);
  while (status == CS_OK && cs_url_next_param(&cursor, &param)) {
    size_t length;
    const char *id = check_id(L, call, ++n, param.name, param.length, &length);
    status = cs_buffer_append(url, rest, (size_t)(param.name - 1 - rest));
    if (status == CS_OK) status = cs_url_append_encoded(url, id, length);
    rest = cursor;
  }
  if (status == CS_OK) status = cs_buffer_append_text(url, rest);
  cs_check_status(L, name_of(call), status, "id");
  return n;
}

/* Positional fields are ids; they are checked like those of the path, and written with
   the body. Returns how many there are. */
static int check_positional(lua_State *L, const struct cs_call *call, int n) {
  int count = 0;
  for (const struct cs_field *field = call->row->body; field && field->name; field++) {
    size_t length;
    if (!(field->flags & CS_POSITIONAL)) continue;
    count++;
    (void)check_id(L, call, n + count, field->name, strlen(field->name), &length);
  }
  return count;
}

void cs_binding_check_arguments(lua_State *L, const struct cs_place *root, int most) {
  int given = lua_gettop(L) - 1;
  while (given > most && lua_isnil(L, given + 1)) given--;
  if (given > most) {
    (void)luaL_error(L, "%s: at most %d argument%s expected, got %d", root->call, most,
                     most == 1 ? "" : "s", given);
  }
  lua_settop(L, most + 1); /* absent ones are nil */
}

int cs_binding_finish(lua_State *L, struct cs_call *call, int options) {
  const struct cs_endpoint *row = call->row;
  struct cs_request *request = call->request;
  struct cs_call_options merged = call->client->defaults;
  bool may_want_response =
    !lua_isnil(L, options) && cs_options_read_call(L, name_of(call), options, &merged);
  request->timeout = merged.timeout;
  request->total_timeout = merged.total_timeout;
  request->max_retry_wait = merged.max_retry_wait;
  request->max_retries = merged.max_retries;
  request->verb = row->verb;
  request->repeat = row->repeat;
  request->settled = row->settled;
  request->operation = call->operation;
  request->as_page = call->as_page;
  request->silent = call->client->telling;
  if (!may_want_response) return 0;
  lua_getfield(L, -1, "response");
  return 1;
}

/* What an operation takes that has no fields, on a client that does not check. */
static const struct cs_field anything[] = {{.name = NULL}};

/* Writes the fields at a stack index; the positional ones are from `first` on. */
static void write_fields(lua_State *L, const struct cs_call *call,
                         const struct cs_place *place, int index, int first) {
  const struct cs_endpoint *row = call->row;
  const struct cs_field *query = query_of(call), *body = row->body;
  struct cs_request *request = call->request;
  bool loose = call->client->loose;
  if (!query && !body && !lua_isnil(L, index)) {
    if (row->verb == CS_GET || row->verb == CS_DELETE) {
      query = anything;
    } else {
      body = anything;
    }
  }
  request->has_body = body != NULL;
  if (query) {
    const struct cs_writer writer = {L, &request->url, loose, loose};
    cs_query_write(&writer, place, index, query);
  } else if (body) {
    const struct cs_writer writer = {L, &request->body, loose, loose};
    if (row->several) {
      cs_shape_write_bodies(&writer, place, index, row->several, body);
    } else {
      cs_shape_write_body(&writer, place, index, first, body);
    }
  }
}

/* (call, arguments…) -> response table or nil. Everything that is wrong with the
   arguments is raised here, with nothing sent. A client that does not check takes fields
   for every operation; a lone table is the options of one that has none. */
static int prepare(lua_State *L) {
  struct cs_call *call = lua_touserdata(L, 1);
  const struct cs_endpoint *row = call->row;
  const struct cs_place place = {.call = name_of(call), .member = "field"};
  int n = write_path(L, call);
  int first_positional = n + 1;
  n += check_positional(L, call, n);
  bool has_fields = query_of(call) || cs_shape_has_named(row->body);
  if (call->client->loose && !lua_isnoneornil(L, n + 3)) has_fields = true;
  int fields = has_fields ? ++n : 0;
  int options = ++n;
  cs_binding_check_arguments(L, &place, n);
  lua_pushnil(L);
  write_fields(L, call, &place, fields ? fields + 1 : n + 2, first_positional + 1);
  return cs_binding_finish(L, call, options + 1);
}

/* ---- Delivery ---- */

/* (call, response) -> values */
static int deliver(lua_State *L) {
  struct cs_call *call = lua_touserdata(L, 1);
  return cs_answer_push(L, call->request, call->row, &call->client->answers,
                        lua_isnoneornil(L, 2) ? 0 : 2);
}

int cs_binding_deliver(lua_State *L, struct cs_client *client, struct cs_request *request,
                       int response) {
  struct cs_call call = {
    .client = client, .row = cs_direct_row(request->operation), .request = request};
  if (response) response = lua_absindex(L, response);
  int top = lua_gettop(L);
  lua_pushcfunction(L, deliver);
  lua_pushlightuserdata(L, &call);
  if (response) {
    lua_pushvalue(L, response);
  } else {
    lua_pushnil(L);
  }
  int status = lua_pcall(L, 2, LUA_MULTRET, 0);
  cs_engine_give(client->engine, request);
  if (status != LUA_OK) return lua_error(L);
  return lua_gettop(L) - top;
}

/* Keeps the response table of a request that is parked; nil is not kept. */
static void keep_response(lua_State *L, struct cs_request *request, int response) {
  if (lua_isnil(L, response)) return;
  cs_client_push_members(L, lua_upvalueindex(CLIENT));
  lua_pushvalue(L, response);
  lua_rawsetp(L, -2, request);
  lua_pop(L, 1);
  request->keeps_response = true;
}

void cs_binding_fetch_response(lua_State *L, int client, struct cs_request *request) {
  if (!request->keeps_response) {
    lua_pushnil(L);
    return;
  }
  request->keeps_response = false;
  cs_client_push_members(L, client);
  (void)lua_rawgetp(L, -1, request);
  lua_pushnil(L);
  lua_rawsetp(L, -3, request);
  lua_remove(L, -2);
}

/* ---- The call ---- */

struct blocking {
  struct cs_client *client;
  struct cs_request *request;
};

/* (blocking, client) Steps until the request is done; raises when interrupted. */
static int block(lua_State *L) {
  struct blocking *blocking = lua_touserdata(L, 1);
  struct cs_wait wait = cs_wait_begin(L);
  while (!cs_engine_is_done(blocking->client->engine, blocking->request))
    cs_wait_step(L, 2, blocking->client, &wait, 1);
  return 0;
}

/* Waits for the submitted request on this stack. */
static void wait_for(lua_State *L, struct cs_client *client, struct cs_request *request) {
  struct blocking blocking = {client, request};
  lua_pushcfunction(L, block);
  lua_pushlightuserdata(L, &blocking);
  lua_pushvalue(L, lua_upvalueindex(CLIENT));
  int status = lua_pcall(L, 2, 0, 0);
  if (status != LUA_OK) cs_engine_cancel(client->engine, request);
  cs_engine_collect(client->engine, request);
  if (status != LUA_OK) {
    cs_engine_give(client->engine, request);
    cs_client_tell_quietly(L, lua_upvalueindex(CLIENT));
    (void)lua_error(L);
  }
}

static bool in_task(lua_State *L, const struct cs_client *client) {
  return client->task == L && lua_isyieldable(L);
}

/* Replaces the object at 1 by the call, and puts `prepare` below. */
static int call_prepare(lua_State *L, struct cs_call *call, lua_CFunction prepare_call) {
  lua_pushlightuserdata(L, call);
  lua_replace(L, 1);
  lua_pushcfunction(L, prepare_call);
  lua_insert(L, 1);
  return lua_pcall(L, lua_gettop(L) - 1, 1, 0);
}

int cs_binding_run(lua_State *L, struct cs_call *call, lua_CFunction prepare_call) {
  struct cs_client *client = call->client;
  if (!client->engine) return luaL_error(L, "the client has been collected");
  struct cs_request *request = call->request = cs_engine_take(client->engine);
  if (!request) return luaL_error(L, "not enough memory");
  if (call_prepare(L, call, prepare_call) != LUA_OK) {
    cs_engine_give(client->engine, request);
    return cs_error_raise_at(L, 1);
  }
  if (client->task && client->task_cancelled) {
    cs_engine_give(client->engine, request);
    cs_error_push_kind(L, CS_CANCELLED, call->row, "the task was cancelled");
    return lua_error(L);
  }
  bool only_reads = call->row->repeat == CS_READ && request->repeat == CS_READ;
  bool refused = client->read_only && !only_reads;
  if (!refused && in_task(L, client)) {
    keep_response(L, request, 1);
    client->parked = request;
    return lua_yield(L, 0);
  }
  request->awaited = true;
  if (refused) {
    cs_engine_refuse(client->engine, request, CS_REFUSED,
                     "the client is read_only; nothing was sent");
  } else {
    cs_engine_submit(client->engine, request);
  }
  wait_for(L, client, request);
  return cs_binding_deliver(L, client, request, lua_isnil(L, 1) ? 0 : 1);
}

static int call_method(lua_State *L) {
  int operation = (int)lua_tointeger(L, lua_upvalueindex(ROW));
  struct cs_call call = {.client = lua_touserdata(L, lua_upvalueindex(CLIENT)),
                         .row = &cs_endpoints[operation],
                         .operation = operation,
                         .as_page = lua_toboolean(L, lua_upvalueindex(AS_PAGE))};
  if (!lua_rawequal(L, 1, lua_upvalueindex(RESOURCE))) {
    return luaL_error(L, "call it with a colon: client.%s:%s(…)", call.row->resource,
                      call.row->name);
  }
  return cs_binding_run(L, &call, prepare);
}

static int check_row(lua_State *L, int index) {
  lua_Integer i = luaL_checkinteger(L, index);
  luaL_argcheck(L, i >= 1 && i <= cs_endpoint_count, index, "no such row");
  return (int)i - 1;
}

int cs_binding_pager(lua_State *L) {
  (void)cs_client_check(L, 1);
  lua_settop(L, 3);
  lua_pushvalue(L, 1);
  lua_pushinteger(L, check_row(L, 3));
  lua_pushvalue(L, 2);
  lua_pushboolean(L, 1);
  lua_pushcclosure(L, call_method, AS_PAGE);
  return 1;
}

int cs_binding_check(lua_State *L) {
  struct cs_client *client = cs_client_check(L, 1);
  int operation = check_row(L, 2), top = lua_gettop(L);
  if (!client->engine) return luaL_error(L, "the client has been collected");
  struct cs_call call = {.client = client,
                         .row = &cs_endpoints[operation],
                         .operation = operation,
                         .name = luaL_checkstring(L, 3)};
  luaL_checkstack(L, top, "too many arguments");
  call.request = cs_engine_take(client->engine);
  if (!call.request) return luaL_error(L, "not enough memory");
  lua_pushcfunction(L, prepare);
  lua_pushlightuserdata(L, &call);
  for (int i = 4; i <= top; i++) lua_pushvalue(L, i);
  int status = lua_pcall(L, top - 2, 0, 0);
  cs_engine_give(client->engine, call.request);
  return status == LUA_OK ? 0 : cs_error_raise_at(L, 2);
}

/* ---- Resources ---- */

static const struct cs_resource *resource_of(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(1));
}

/* Adds "user_id, group_id, fields, options" to the buffer. */
static void add_arguments(luaL_Buffer *text, const struct cs_endpoint *row) {
  const char *cursor = row->path;
  struct cs_url_param param;
  while (cs_url_next_param(&cursor, &param)) {
    luaL_addlstring(text, param.name, param.length);
    luaL_addstring(text, ", ");
  }
  for (const struct cs_field *field = row->body; field && field->name; field++) {
    if (!(field->flags & CS_POSITIONAL)) continue;
    luaL_addstring(text, field->name);
    luaL_addstring(text, ", ");
  }
  if (row->query || cs_shape_has_named(row->body)) luaL_addstring(text, "fields, ");
  luaL_addstring(text, "options");
}

/* Rows are grouped by resource, so the methods of one are neighbours. */
static const struct cs_endpoint *rows_of(const char *resource, int *count) {
  const struct cs_endpoint *first = NULL;
  *count = 0;
  for (int i = 0; i < cs_endpoint_count; i++) {
    if (strcmp(cs_endpoints[i].resource, resource) != 0) continue;
    if (!first) first = &cs_endpoints[i];
    ++*count;
  }
  return first;
}

static const struct cs_endpoint *row_named(const char *resource, const char *name) {
  int count;
  const struct cs_endpoint *rows = rows_of(resource, &count);
  for (int i = 0; i < count; i++)
    if (strcmp(rows[i].name, name) == 0) return &rows[i];
  return NULL;
}

static void add_method_line(lua_State *L, luaL_Buffer *text, const char *resource,
                            const char *name) {
  luaL_addstring(text, "\n  ");
  luaL_addstring(text, resource);
  luaL_addstring(text, ":");
  luaL_addstring(text, name);
  const struct cs_endpoint *row = row_named(resource, name);
  if (!row) {
    (void)lua_getfield(L, 1, name);
    cs_words_push(L);
    luaL_addvalue(text);
    return;
  }
  luaL_addstring(text, "(");
  add_arguments(text, row);
  luaL_addstring(text, ")  ");
  luaL_addstring(text, row->doc);
}

/* One line a method: "users:invite(id, options)  Mails a new invitation …"; the rows in
   their order, then what the Lua layer has added. */
static int resource_tostring(lua_State *L) {
  const struct cs_resource *resource = resource_of(L);
  int count;
  const struct cs_endpoint *rows = rows_of(resource->name, &count);
  luaL_checktype(L, 1, LUA_TTABLE);
  const struct cs_names names = cs_names_of(L, 1);
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  luaL_addstring(&text, "client.");
  luaL_addstring(&text, resource->name);
  luaL_addstring(&text, ": ");
  luaL_addstring(&text, resource->doc);
  for (int i = 0; i < count; i++) add_method_line(L, &text, resource->name, rows[i].name);
  for (size_t i = 0; i < names.count; i++) {
    if (!row_named(resource->name, names.sorted[i]))
      add_method_line(L, &text, resource->name, names.sorted[i]);
  }
  luaL_pushresult(&text);
  return 1;
}

static int resource_index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  if (strncmp(lua_tostring(L, 2), "__", 2) == 0) return 0; /* libraries look for these */
  char what[64];
  (void)snprintf(what, sizeof what, "method of client.%s", resource_of(L)->name);
  const struct cs_names names = cs_names_of(L, 1);
  cs_error_push_unknown(L, what, lua_tostring(L, 2), cs_names_get, &names,
                        (int)names.count);
  return cs_error_raise_at(L, 1);
}

void cs_binding_push_resource(lua_State *L, int client,
                              const struct cs_resource *resource) {
  client = lua_absindex(L, client);
  int count;
  const struct cs_endpoint *rows = rows_of(resource->name, &count);
  lua_createtable(L, 0, count);
  int table = lua_gettop(L);
  for (int i = 0; i < count; i++) {
    lua_pushvalue(L, client);
    lua_pushinteger(L, &rows[i] - cs_endpoints);
    lua_pushvalue(L, table);
    lua_pushcclosure(L, call_method, 3);
    lua_setfield(L, table, rows[i].name);
  }
  lua_createtable(L, 0, 3);
  lua_pushlightuserdata(L, (void *)(uintptr_t)resource);
  lua_pushcclosure(L, resource_index, 1);
  lua_setfield(L, -2, "__index");
  lua_pushlightuserdata(L, (void *)(uintptr_t)resource);
  lua_pushcclosure(L, resource_tostring, 1);
  lua_setfield(L, -2, "__tostring");
  lua_pushfstring(L, "cipherscale.%s", resource->name);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "__name");
  lua_setfield(L, -2, "__metatable");
  lua_setmetatable(L, table);
}
