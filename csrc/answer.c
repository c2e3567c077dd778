/* SPDX-License-Identifier: MIT */
/* See answer.h. */
#include "answer.h"

#include <string.h>

#include "error.h"
#include "head.h"
#include "json.h"

/* Raw: what a metamethod raised here would strike the scheduler instead of the caller. */
static void set_raw(lua_State *L, int table, const char *name) {
  lua_pushstring(L, name);
  lua_insert(L, -2);
  lua_rawset(L, table);
}

static void fill_response(lua_State *L, const struct cs_request *request, int response,
                          const char *problem) {
  if (!response) return;
  bool answered = request->head_complete;
  if (answered) {
    lua_pushinteger(L, request->status);
  } else {
    lua_pushnil(L);
  }
  set_raw(L, response, "status");
  if (answered) {
    cs_head_push(L, request);
  } else {
    lua_pushnil(L);
  }
  set_raw(L, response, "headers");
  if (!answered || !cs_head_push_request_id(L, request)) lua_pushnil(L);
  set_raw(L, response, "request_id");
  lua_pushinteger(L, request->attempts);
  set_raw(L, response, "attempts");
  lua_pushnumber(L, request->elapsed);
  set_raw(L, response, "elapsed");
  if (request->repeated) {
    lua_pushboolean(L, 1);
  } else {
    lua_pushnil(L);
  }
  set_raw(L, response, "repeated");
  lua_pushstring(L, problem); /* NULL pushes nil */
  set_raw(L, response, "problem");
}

/* ---- The body ---- */

static bool is_html(const struct cs_request *request) {
  return request->first_visible == '<';
}

static bool is_array(lua_State *L, int index) { return lua_rawlen(L, index) > 0; }

static bool is_empty(lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_pushnil(L);
  if (!lua_next(L, index)) return true;
  lua_pop(L, 2);
  return false;
}

static int type_of(lua_State *L, int table, const char *name) {
  lua_pushstring(L, name);
  int type = lua_rawget(L, table);
  lua_pop(L, 1);
  return type;
}

/* Replaces the table at the top by its field. */
static void replace_by_field(lua_State *L, const char *name) {
  lua_pushstring(L, name);
  (void)lua_rawget(L, -2);
  lua_remove(L, -2);
}

/* Puts the table at the top into a list of its own. */
static void wrap(lua_State *L) {
  lua_createtable(L, 1, 0);
  lua_insert(L, -2);
  lua_rawseti(L, -2, 1);
}

static lua_Number number_of(lua_State *L, int table, const char *name,
                            lua_Number absent) {
  lua_pushstring(L, name);
  (void)lua_rawget(L, table);
  lua_Number value = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : absent;
  lua_pop(L, 1);
  return value;
}

/* Some services write "false", or 0. */
static bool is_true(lua_State *L, int table, const char *name) {
  lua_pushstring(L, name);
  (void)lua_rawget(L, table);
  bool value = lua_toboolean(L, -1) != 0;
  if (lua_isstring(L, -1)) {
    const char *text = lua_tostring(L, -1);
    value = strcmp(text, "false") != 0 && strcmp(text, "0") != 0;
  }
  lua_pop(L, 1);
  return value;
}

/* A link, a number or a mark; an empty one is none. */
static bool names_next(lua_State *L, int page) {
  lua_pushliteral(L, "next");
  (void)lua_rawget(L, page);
  bool named =
    lua_toboolean(L, -1) && !(lua_type(L, -1) == LUA_TSTRING && lua_rawlen(L, -1) == 0);
  lua_pop(L, 1);
  return named;
}

/* A page (schema PaginatedResponse) makes none of its fields compulsory. */
static bool is_page(lua_State *L, int index) {
  if (type_of(L, index, "data") == LUA_TTABLE) return true;
  return number_of(L, index, "total", -1) >= 0 && type_of(L, index, "id") == LUA_TNIL;
}

/* Makes `data` of the page at the top a list: one object becomes a list of it, and
   nothing an empty one if the page says that there is nothing. */
static const char *open_page(lua_State *L) {
  int page = lua_gettop(L);
  if (type_of(L, page, "data") == LUA_TTABLE) {
    lua_getfield(L, page, "data");
    if (!is_array(L, -1) && !is_empty(L, -1)) wrap(L);
  } else {
    if (number_of(L, page, "total", -1) > 0) return "a page without its items";
    lua_newtable(L);
  }
  lua_setfield(L, page, "data");
  return NULL;
}

/* Whether the page of `got` items is not all there is, or may not be: where it is full
   and tells neither its total, nor a number of pages, nor hasNext, others may follow. */
static bool is_partial(lua_State *L, int page, lua_Number got) {
  lua_Number pages =
    number_of(L, page, "pageCount", number_of(L, page, "totalPages", -1));
  if (number_of(L, page, "total", got) > got || pages > 1 ||
      is_true(L, page, "hasNext") || is_true(L, page, "hasPrevious") ||
      number_of(L, page, "page", 0) > 0 || number_of(L, page, "offset", 0) > 0 ||
      names_next(L, page))
    return true;
  bool told = number_of(L, page, "total", -1) >= 0 || pages >= 0 ||
              type_of(L, page, "hasNext") != LUA_TNIL;
  lua_Number limit = number_of(L, page, "limit", 0);
  return !told && limit > 0 && got >= limit;
}

static const char ONE_OF_SEVERAL[] =
  "one page of several where the whole list is promised";

/* The shapers below take the decoded table on top and leave what the row promises;
   a string they return says why the answer is none. `first` is the first character of
   the body: lua-cjson gives the same table for [] and {}. */

static const char *shape_list(lua_State *L, char first) {
  int top = lua_gettop(L);
  if (first == '[' || is_empty(L, top)) return NULL;
  if (!is_page(L, top)) {
    wrap(L);
    return NULL;
  }
  const char *problem = open_page(L);
  if (problem) return problem;
  lua_getfield(L, top, "data");
  lua_Number got = (lua_Number)lua_rawlen(L, -1);
  lua_pop(L, 1);
  if (is_partial(L, top, got)) return ONE_OF_SEVERAL;
  replace_by_field(L, "data");
  return NULL;
}

/* A page for sure: an object may well have a field that is called data. */
static bool is_whole_page(lua_State *L, int index) {
  return type_of(L, index, "data") == LUA_TTABLE && type_of(L, index, "id") == LUA_TNIL &&
         number_of(L, index, "total", -1) >= 0;
}

/* A list of the one object, or a page of it, are taken for it. */
static const char *shape_value(lua_State *L, char first) {
  if (first != '[' && !is_whole_page(L, lua_gettop(L))) return NULL;
  const char *problem = shape_list(L, first);
  if (problem) return problem;
  if (lua_rawlen(L, -1) != 1 || lua_rawgeti(L, -1, 1) != LUA_TTABLE || is_array(L, -1))
    return "a list where one object is promised";
  lua_remove(L, -2);
  return NULL;
}

static const char *shape_page(lua_State *L, char first) {
  int top = lua_gettop(L);
  if (first != '[' && is_page(L, top)) return open_page(L);
  if (first != '[' && !is_empty(L, top)) return "an object that is no page";
  lua_createtable(L, 0, 1);
  lua_insert(L, top);
  lua_setfield(L, top, "data");
  return NULL;
}

/* Pushes the promised value, or returns why there is none. */
static const char *push_value(lua_State *L, const struct cs_request *request,
                              enum cs_result result) {
  static const char *(*const shapers[])(lua_State *, char) = {
    [CS_VALUE] = shape_value, [CS_LIST_OF] = shape_list, [CS_PAGE] = shape_page};
  if (request->truncated) return "the answer was cut off or too large";
  if (request->answer.length == 0) return "an empty body where JSON is promised";
  if (is_html(request)) return "an HTML page where JSON is promised";
  if (!cs_json_decode(L, request->answer.data, request->answer.length))
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "invalid JSON";
  if (lua_type(L, -1) != LUA_TTABLE) return "neither an object nor an array";
  return shapers[result](L, request->first_visible);
}

/* Several at once are answered by a list of them; pages.lua asks for pages of lists. */
static enum cs_result promised(const struct cs_request *request,
                               const struct cs_endpoint *row) {
  if (request->as_page) return CS_PAGE;
  bool list = row->several && request->body.length > 0 && request->body.data[0] == '[';
  return list ? CS_LIST_OF : row->result;
}

/* Pushes what the body holds when nothing is promised; true stands for no JSON, and for
   null. False would be taken for a failure. */
static const char *push_anything(lua_State *L, const struct cs_request *request) {
  char first = request->first_visible;
  if (request->truncated) return "the answer was cut off or too large";
  if (is_html(request)) return "an HTML page";
  bool decoded = first && cs_json_decode(L, request->answer.data, request->answer.length);
  if (first && !decoded && (first == '{' || first == '['))
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "invalid JSON";
  /* Nothing, a sentence, or null. */
  if (!decoded || lua_type(L, -1) == LUA_TLIGHTUSERDATA) lua_pushboolean(L, 1);
  return lua_toboolean(L, -1) ? NULL : "false, which would look like a failure";
}

static void blank(struct cs_request *request, const char *secret) {
  cs_error_blank(request->url.data, request->url.length, secret);
  cs_error_blank(request->head.data, request->head.length, secret);
  cs_error_blank(request->answer.data, request->answer.length, secret);
  if (request->cut)
    cs_error_blank_cut(request->answer.data, request->answer.length, secret);
  cs_error_blank(request->failure.text, strlen(request->failure.text), secret);
}

/* A server may echo the key in an error's text, a header, or a debug page. */
static void blank_secrets(struct cs_request *request,
                          const struct cs_answer_context *context) {
  blank(request, context->key);
  blank(request, context->proxy_password);
}

static int push_failure(lua_State *L, struct cs_request *request,
                        const struct cs_endpoint *row,
                        const struct cs_answer_context *context, int response) {
  blank_secrets(request, context);
  fill_response(L, request, response, NULL);
  lua_pushnil(L);
  cs_error_push(L, request, row, context->base_length);
  return 2;
}

/* Says in the record on top how to get the rest. */
static void add_partial(lua_State *L, const struct cs_endpoint *row) {
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "partial");
  lua_pushfstring(L,
                  "client:request{ method = \"%s\", path = …, "
                  "query = { limit =, offset = } } may give one page after another",
                  cs_verb_name(row->verb));
  lua_setfield(L, -2, "hint");
}

static void fail_decode(struct cs_request *request, const char *problem) {
  request->failure.kind = CS_DECODE;
  size_t n = strlen(problem);
  if (n >= sizeof request->failure.text) n = sizeof request->failure.text - 1;
  memcpy(request->failure.text, problem, n);
  request->failure.text[n] = '\0';
  request->ambiguous = request->repeat != CS_READ;
}

int cs_answer_push(lua_State *L, struct cs_request *request,
                   const struct cs_endpoint *row, const struct cs_answer_context *context,
                   int response) {
  if (request->failure.kind != CS_NO_FAILURE)
    return push_failure(L, request, row, context, response);
  const char *problem = NULL;
  bool nothing = row->result == CS_NOTHING;
  if (request->repeated) {
    problem = nothing ? NULL : "a repeat was told that it is already so";
  } else if (nothing) {
    if (request->truncated) problem = "the answer was cut off or too large";
    if (is_html(request)) problem = "an HTML page";
  } else if (row->result == CS_ANYTHING) {
    problem = push_anything(L, request);
  } else {
    problem = push_value(L, request, promised(request, row));
  }
  /* A page of HTML comes from something in front of the service. Any other surprise after
     a 2xx leaves no doubt that a change was made. */
  if (problem && !request->repeated && (request->repeat == CS_READ || is_html(request))) {
    fail_decode(request, problem);
    int n = push_failure(L, request, row, context, response);
    if (problem == ONE_OF_SEVERAL && promised(request, row) == CS_LIST_OF)
      add_partial(L, row);
    return n;
  }
  if (response) blank_secrets(request, context);
  fill_response(L, request, response, problem);
  if (nothing || (problem && row->result == CS_ANYTHING)) {
    lua_pushboolean(L, 1);
  } else if (problem) {
    lua_newtable(L);
  }
  return 1;
}
