/* SPDX-License-Identifier: MIT */
/*
 * For specs only: shows the pure functions of the plain side to Lua, one to one, attempts
 * as tables. Linked with url, retry, pace and buffer alone, so these files are proved to
 * need nothing else. Memory is owned by userdata.
 */
#include <lauxlib.h>
#include <lua.h>

#include "buffer.h"
#include "pace.h"
#include "retry.h"
#include "url.h"

static const char buffer_type[] = "spec.support.probe.buffer";
static const char pace_type[] = "spec.support.probe.pace";

static const char *const statuses[] = {[CS_OK] = "ok",
                                       [CS_NO_MEMORY] = "no memory",
                                       [CS_TOO_LARGE] = "too large",
                                       [CS_INVALID] = "invalid"};

/* ---- buffer.h ---- */

/* buffer(limit) */
static int buffer_new(lua_State *L) {
  lua_Integer limit = luaL_checkinteger(L, 1);
  struct cs_buffer *buffer = lua_newuserdatauv(L, sizeof *buffer, 0);
  cs_buffer_init(buffer, (size_t)limit);
  luaL_setmetatable(L, buffer_type);
  return 1;
}

static struct cs_buffer *check_buffer(lua_State *L) {
  return luaL_checkudata(L, 1, buffer_type);
}

/* buffer:append(bytes) -> "ok", "no memory" or "too large" */
static int buffer_append(lua_State *L) {
  size_t n;
  struct cs_buffer *buffer = check_buffer(L);
  const char *bytes = luaL_checklstring(L, 2, &n);
  lua_pushstring(L, statuses[cs_buffer_append(buffer, bytes, n)]);
  return 1;
}

static int buffer_append_text(lua_State *L) {
  struct cs_buffer *buffer = check_buffer(L);
  lua_pushstring(L, statuses[cs_buffer_append_text(buffer, luaL_checkstring(L, 2))]);
  return 1;
}

static int buffer_clear(lua_State *L) {
  cs_buffer_clear(check_buffer(L));
  return 0;
}

static int buffer_free(lua_State *L) {
  cs_buffer_free(check_buffer(L));
  return 0;
}

/* buffer:bytes() -> content, whether a NUL follows it */
static int buffer_bytes(lua_State *L) {
  struct cs_buffer *buffer = check_buffer(L);
  const char *text = cs_buffer_text(buffer);
  lua_pushlstring(L, text, buffer->length);
  lua_pushboolean(L, text[buffer->length] == '\0');
  return 2;
}

static int buffer_capacity(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_buffer(L)->capacity);
  return 1;
}

/* ---- url.h ---- */

/* url_params(template) -> list of names */
static int url_params(lua_State *L) {
  const char *cursor = luaL_checkstring(L, 1);
  struct cs_url_param param;
  lua_Integer n = 0;
  lua_newtable(L);
  while (cs_url_next_param(&cursor, &param)) {
    lua_pushlstring(L, param.name, param.length);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* url_id_problem(id) -> what is wrong, or nil */
static int url_id_problem(lua_State *L) {
  size_t n;
  const char *id = luaL_checklstring(L, 1, &n);
  lua_pushstring(L, cs_url_id_problem(id, n));
  return 1;
}

/* url_encode(buffer, bytes) -> status */
static int url_encode(lua_State *L) {
  size_t n;
  struct cs_buffer *buffer = check_buffer(L);
  const char *bytes = luaL_checklstring(L, 2, &n);
  lua_pushstring(L, statuses[cs_url_append_encoded(buffer, bytes, n)]);
  return 1;
}

/* url_query(buffer, first, name, value) -> status */
static int url_query(lua_State *L) {
  size_t n;
  struct cs_buffer *buffer = check_buffer(L);
  bool first = lua_toboolean(L, 2);
  const char *name = luaL_checkstring(L, 3);
  const char *value = luaL_checklstring(L, 4, &n);
  lua_pushstring(L, statuses[cs_url_append_query(buffer, first, name, value, n)]);
  return 1;
}

/* ---- retry.h ---- */

static double number_field(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  double value = luaL_checknumber(L, -1);
  lua_pop(L, 1);
  return value;
}

static int option_field(lua_State *L, const char *name, const char *const *words) {
  lua_getfield(L, 1, name);
  int value = luaL_checkoption(L, -1, NULL, words);
  lua_pop(L, 1);
  return value;
}

static bool boolean_field(lua_State *L, const char *name) {
  lua_getfield(L, 1, name);
  bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

/* decide(attempt) -> decision; the fields are those of the structs, `repeat_class` is
   READ, REPEATABLE or ONCE, `outcome` is answered, not_sent, lost or stale */
static int retry_decide(lua_State *L) {
  static const char *const classes[] = {
    [CS_READ] = "READ", [CS_REPEATABLE] = "REPEATABLE", [CS_ONCE] = "ONCE", NULL};
  static const char *const outcomes[] = {[CS_ANSWERED] = "answered",
                                         [CS_NOT_SENT] = "not_sent",
                                         [CS_LOST] = "lost",
                                         [CS_STALE] = "stale",
                                         NULL};
  luaL_checktype(L, 1, LUA_TTABLE);
  struct cs_attempt attempt = {
    .repeat = (enum cs_repeat)option_field(L, "repeat_class", classes),
    .outcome = (enum cs_outcome)option_field(L, "outcome", outcomes),
    .status = (long)number_field(L, "status"),
    .permanent = boolean_field(L, "permanent"),
    .retry_after = number_field(L, "retry_after"),
    .attempts = (int)number_field(L, "attempts"),
    .refusals = (int)number_field(L, "refusals"),
    .pause = number_field(L, "pause"),
    .shut = number_field(L, "shut"),
    .max_retries = (int)number_field(L, "max_retries"),
    .max_retry_wait = number_field(L, "max_retry_wait"),
    .remaining = number_field(L, "remaining"),
    .random = number_field(L, "random"),
    .budget = (int)number_field(L, "budget"),
  };
  struct cs_decision decision = cs_retry_decide(&attempt);
  lua_createtable(L, 0, 5);
  lua_pushboolean(L, decision.again);
  lua_setfield(L, -2, "again");
  lua_pushnumber(L, decision.delay);
  lua_setfield(L, -2, "delay");
  lua_pushboolean(L, decision.lost);
  lua_setfield(L, -2, "lost");
  lua_pushboolean(L, decision.throttled);
  lua_setfield(L, -2, "throttled");
  lua_pushstring(L, decision.reason);
  lua_setfield(L, -2, "reason");
  return 1;
}

/* parse_seconds(text) */
static int retry_parse_seconds(lua_State *L) {
  lua_pushnumber(L, cs_retry_parse_seconds(luaL_checkstring(L, 1)));
  return 1;
}

/* ---- pace.h ---- */

/* pace(rate) */
static int pace_new(lua_State *L) {
  double rate = luaL_checknumber(L, 1);
  struct cs_pace *pace = lua_newuserdatauv(L, sizeof *pace, 0);
  cs_pace_init(pace, rate);
  luaL_setmetatable(L, pace_type);
  return 1;
}

static enum cs_class check_class(lua_State *L, int index) {
  static const char *const classes[] = {
    [CS_READS] = "reads", [CS_WRITES] = "writes", NULL};
  return (enum cs_class)luaL_checkoption(L, index, "reads", classes);
}

/* pace:delay(now, class); a class is "reads", which may be left out, or "writes" */
static int pace_delay(lua_State *L) {
  const struct cs_pace *pace = luaL_checkudata(L, 1, pace_type);
  lua_pushnumber(L, cs_pace_delay(pace, check_class(L, 3), luaL_checknumber(L, 2)));
  return 1;
}

/* pace:room(now, class) -> how many, and in how many seconds it grows */
static int pace_room(lua_State *L) {
  const struct cs_pace *pace = luaL_checkudata(L, 1, pace_type);
  double now = luaL_checknumber(L, 2);
  enum cs_class class = check_class(L, 3);
  lua_pushinteger(L, cs_pace_room(pace, class, now));
  lua_pushnumber(L, cs_pace_cramped(pace, class, now));
  return 2;
}

/* pace:start(now, class) */
static int pace_start(lua_State *L) {
  struct cs_pace *pace = luaL_checkudata(L, 1, pace_type);
  cs_pace_start(pace, check_class(L, 3), luaL_checknumber(L, 2));
  return 0;
}

/* pace:delivered(started, now, class) */
static int pace_delivered(lua_State *L) {
  struct cs_pace *pace = luaL_checkudata(L, 1, pace_type);
  double started = luaL_checknumber(L, 2);
  cs_pace_delivered(pace, check_class(L, 4), started, luaL_checknumber(L, 3));
  return 0;
}

/* pace:refused(started, now, retry_after or nil, class, longest, random)
   -> whether the rate has fallen */
static int pace_refused(lua_State *L) {
  struct cs_pace *pace = luaL_checkudata(L, 1, pace_type);
  struct cs_refusal refusal = {
    .started = luaL_checknumber(L, 2),
    .retry_after = luaL_optnumber(L, 4, -1),
    .longest = luaL_optnumber(L, 6, 120),
    .random = luaL_optnumber(L, 7, 0.5),
  };
  double now = luaL_checknumber(L, 3);
  lua_pushboolean(L, cs_pace_refused(pace, check_class(L, 5), &refusal, now));
  return 1;
}

/* pace:told(now, class) -> seconds */
static int pace_told(lua_State *L) {
  const struct cs_pace *pace = luaL_checkudata(L, 1, pace_type);
  lua_pushnumber(L, cs_pace_told(pace, check_class(L, 3), luaL_checknumber(L, 2)));
  return 1;
}

/* pace:shut(now, class) -> seconds */
static int pace_shut(lua_State *L) {
  const struct cs_pace *pace = luaL_checkudata(L, 1, pace_type);
  lua_pushnumber(L, cs_pace_shut(pace, check_class(L, 3), luaL_checknumber(L, 2)));
  return 1;
}

/* pace:rate(now, class) -> starts a second, 0 for no limit */
static int pace_rate(lua_State *L) {
  const struct cs_pace *pace = luaL_checkudata(L, 1, pace_type);
  lua_pushnumber(L, cs_pace_rate(pace, check_class(L, 3), luaL_checknumber(L, 2)));
  return 1;
}

/* ---- Entry ---- */

static void make_type(lua_State *L, const char *name, const luaL_Reg *methods) {
  luaL_newmetatable(L, name);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

int luaopen_spec_support_probe(lua_State *L);

int luaopen_spec_support_probe(lua_State *L) {
  static const luaL_Reg buffer_methods[] = {
    {"append", buffer_append}, {"append_text", buffer_append_text},
    {"clear", buffer_clear},   {"free", buffer_free},
    {"bytes", buffer_bytes},   {"capacity", buffer_capacity},
    {"__gc", buffer_free},     {NULL, NULL}};
  static const luaL_Reg pace_methods[] = {
    {"delay", pace_delay},     {"start", pace_start}, {"delivered", pace_delivered},
    {"refused", pace_refused}, {"told", pace_told},   {"shut", pace_shut},
    {"rate", pace_rate},       {"room", pace_room},   {NULL, NULL}};
  static const luaL_Reg functions[] = {{"buffer", buffer_new},
                                       {"url_params", url_params},
                                       {"url_encode", url_encode},
                                       {"url_id_problem", url_id_problem},
                                       {"url_query", url_query},
                                       {"decide", retry_decide},
                                       {"pace", pace_new},
                                       {"parse_seconds", retry_parse_seconds},
                                       {NULL, NULL}};
  luaL_checkversion(L);
  make_type(L, buffer_type, buffer_methods);
  make_type(L, pace_type, pace_methods);
  lua_newtable(L);
  luaL_setfuncs(L, functions, 0);
  lua_pushinteger(L, CS_RETRY_COST);
  lua_setfield(L, -2, "retry_cost");
  lua_pushinteger(L, CS_RETRY_BUDGET);
  lua_setfield(L, -2, "retry_budget");
  return 1;
}
