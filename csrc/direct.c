/* SPDX-License-Identifier: MIT */
/* See direct.h. */
#include "direct.h"

#include <string.h>

#include "binding.h"
#include "check.h"
#include "query.h"
#include "shape.h"
#include "url.h"

/* One row a method. The path is the caller's own and may hold ids: events show this. */
#define ROW(v, r) \
  [v] = {.name = "request", \
         .call = "request", \
         .verb = (v), \
         .path = "(any)", \
         .repeat = (r), \
         .result = CS_ANYTHING}
static const struct cs_endpoint rows[] = {
  ROW(CS_GET, CS_READ), ROW(CS_HEAD, CS_READ),  ROW(CS_POST, CS_ONCE),
  ROW(CS_PUT, CS_ONCE), ROW(CS_PATCH, CS_ONCE), ROW(CS_DELETE, CS_ONCE),
};
#undef ROW

enum { ROWS = sizeof rows / sizeof *rows };

static const char *const methods[] = {"GET",   "HEAD",   "POST", "PUT",
                                      "PATCH", "DELETE", NULL};
static const char *const repeats[] = {
  [CS_READ] = "READ", [CS_REPEATABLE] = "REPEATABLE", [CS_ONCE] = "ONCE", NULL};

struct what {
  const char *method, *path, *repeat;
};

#define AT(member) .offset = offsetof(struct what, member)
static const struct cs_field fields[] = {
  {.name = "method",
   .type = CS_STRING,
   .flags = CS_REQUIRED,
   .allowed = methods,
   AT(method)},
  {.name = "path", .type = CS_STRING, .flags = CS_REQUIRED, AT(path)},
  {.name = "query", .type = CS_TABLE},
  {.name = "body", .type = CS_TABLE},
  {.name = "repeat_class", .type = CS_STRING, .allowed = repeats, AT(repeat)},
  {.name = NULL}};
#undef AT

static const struct cs_field any_query[] = {{.name = "filter", .type = CS_FILTER},
                                            {.name = NULL}};
static const struct cs_field any_body[] = {{.name = NULL}};

const struct cs_endpoint *cs_direct_row(int operation) {
  return operation < 0 ? &rows[-1 - operation] : &cs_endpoints[operation];
}

static const struct cs_endpoint *row_of(const char *method) {
  int i = 0;
  while (i < ROWS - 1 && strcmp(cs_verb_name(rows[i].verb), method) != 0) i++;
  return &rows[i];
}

static enum cs_repeat repeat_of(const char *name) {
  int i = 0;
  while (i < CS_ONCE && strcmp(repeats[i], name) != 0) i++;
  return (enum cs_repeat)i;
}

static void write_path(lua_State *L, const struct cs_call *call,
                       const struct cs_place *root, const char *path) {
  const struct cs_place place = {.parent = root, .name = "path"};
  struct cs_buffer *url = &call->request->url;
  const char *problem = cs_url_path_problem(path);
  if (problem) (void)cs_check_complain(L, &place, "path below the base URL", problem);
  enum cs_status status =
    cs_buffer_append(url, call->client->base, call->client->answers.base_length);
  if (status == CS_OK) status = cs_url_append_path(url, path);
  cs_check_status(L, root->call, status, "path");
}

/* The body at an absolute index: a list as an array, any other table as an object. */
static void write_body(lua_State *L, struct cs_call *call, const struct cs_place *root,
                       int index) {
  const struct cs_place place = {.parent = root, .name = "body"};
  struct cs_request *request = call->request;
  const struct cs_writer writer = {L, &request->body, true, call->client->loose};
  enum cs_verb verb = call->row->verb;
  if (verb == CS_GET || verb == CS_HEAD)
    (void)cs_check_refuse(L, &place, "GET and HEAD have none");
  request->has_body = true;
  switch (cs_writer_kind(L, index)) {
  case CS_TABLE_LIST:
    cs_writer_put_value(&writer, &place, index);
    break;
  case CS_TABLE_EMPTY:
    cs_writer_check_listable(L, &place, index);
    cs_shape_write_body(&writer, &place, index, 0, any_body);
    break;
  case CS_TABLE_OBJECT:
    cs_shape_write_body(&writer, &place, index, 0, any_body);
    break;
  }
}

/* (call, what, options) -> response table or nil */
static int prepare(lua_State *L) {
  struct cs_call *call = lua_touserdata(L, 1);
  const struct cs_place root = {.call = "request", .member = "field"};
  struct what what = {.method = NULL};
  cs_binding_check_arguments(L, &root, 2);
  cs_check_table(L, &root, "table", 2);
  cs_shape_read(L, &root, 2, fields, &what);
  int values = lua_gettop(L);
  call->row = row_of(what.method);
  call->operation = -1 - (int)(call->row - rows);
  write_path(L, call, &root, what.path);
  if (lua_getfield(L, values, "query") != LUA_TNIL) {
    const struct cs_place place = {.parent = &root, .name = "query"};
    const struct cs_writer writer = {L, &call->request->url, true, call->client->loose};
    cs_query_write(&writer, &place, values + 1, any_query);
  }
  if (lua_getfield(L, values, "body") != LUA_TNIL) write_body(L, call, &root, values + 2);
  int n = cs_binding_finish(L, call, 3);
  if (what.repeat) call->request->repeat = repeat_of(what.repeat);
  return n;
}

static int call_request(lua_State *L) {
  struct cs_call call = {.client =
                           lua_touserdata(L, lua_upvalueindex(CS_BINDING_CLIENT))};
  if (!lua_rawequal(L, 1, lua_upvalueindex(CS_BINDING_CLIENT)))
    return luaL_error(L, "call it with a colon: client:request{…}");
  return cs_binding_run(L, &call, prepare);
}

void cs_direct_push_method(lua_State *L, int client) {
  lua_pushvalue(L, client);
  lua_pushcclosure(L, call_request, CS_BINDING_CLIENT);
}
