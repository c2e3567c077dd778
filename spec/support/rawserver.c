/* SPDX-License-Identifier: MIT */
/* The Lua module spec.support.rawserver: reads a script of answers, hands out what the
   server received. Specs use spec.support.server, which composes the bytes of the answers
   and checks their fields; this side trusts that. A script under way is owned by its
   userdata, so that a raised error frees it. */
#define _GNU_SOURCE
#include "rawserver.h"

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SERVER "spec.support.rawserver"
#define REFUSED "spec.support.rawserver.refused"

enum { MAX_ANSWERS = 100000 };

struct box {
  struct rs_script script; /* until the server has taken it */
  struct rs_server *server;
};

static size_t to_size(double value) {
  return value >= 0 && value < (double)SIZE_MAX ? (size_t)value : SIZE_MAX;
}

static double get_number(lua_State *L, int table, const char *name, double otherwise) {
  lua_getfield(L, table, name);
  double value = lua_isnil(L, -1) ? otherwise : luaL_checknumber(L, -1);
  lua_pop(L, 1);
  return value;
}

static bool get_flag(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  bool value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

static int get_choice(lua_State *L, int table, const char *name, const char *const *all) {
  lua_getfield(L, table, name);
  int choice = luaL_checkoption(L, -1, all[0], all);
  lua_pop(L, 1);
  return choice;
}

static void get_piece(lua_State *L, int table, const char *name, struct rs_piece *piece) {
  lua_getfield(L, table, name);
  size_t size = 0;
  const char *data = luaL_optlstring(L, -1, "", &size);
  piece->data = rs_copy(data, size);
  piece->size = size;
  piece->times = size > 0 ? 1 : 0;
  lua_pop(L, 1);
}

static void get_answer(lua_State *L, int table, struct rs_answer *answer) {
  static const char *const actions[] = {"answer",       "drop", "reset",
                                        "reset_before", "hang", NULL};
  static const char *const endings[] = {"keep", "close", "reset", NULL};
  get_piece(L, table, "head", &answer->pieces[0]);
  get_piece(L, table, "unit", &answer->pieces[1]);
  get_piece(L, table, "tail", &answer->pieces[2]);
  answer->pieces[1].times *= to_size(get_number(L, table, "times", 0));
  answer->limit = to_size(get_number(L, table, "limit", -1));
  answer->action = (enum rs_action)get_choice(L, table, "action", actions);
  answer->ending = (enum rs_ending)get_choice(L, table, "ending", endings);
  answer->early = get_flag(L, table, "early");
  answer->delay = get_number(L, table, "delay", 0);
  answer->close_delay = get_number(L, table, "close_delay", 0);
  answer->drip_bytes = to_size(get_number(L, table, "drip_bytes", 0));
  answer->drip_delay = get_number(L, table, "drip_delay", 0);
}

static void get_script(lua_State *L, int table, struct rs_script *script) {
  lua_getfield(L, table, "answers");
  luaL_checktype(L, -1, LUA_TTABLE);
  int list = lua_gettop(L);
  size_t count = to_size(get_number(L, table, "count", 0));
  if (count > MAX_ANSWERS) {
    luaL_error(L, "too many answers");
    return;
  }
  script->answers = rs_need(calloc(count + 1, sizeof *script->answers));
  script->count = count;
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, list, (int)i + 1);
    luaL_checktype(L, -1, LUA_TTABLE);
    get_answer(L, list + 1, &script->answers[i]);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  script->once = get_flag(L, table, "once");
  script->drop_after = to_size(get_number(L, table, "drop_after", -1));
  script->reset_after = to_size(get_number(L, table, "reset_after", -1));
  script->close_after = to_size(get_number(L, table, "close_after", -1));
}

static struct rs_server *check_server(lua_State *L) {
  struct box *box = luaL_checkudata(L, 1, SERVER);
  if (!box->server) luaL_error(L, "the server was never started");
  return box->server;
}

static int start(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  struct box *box = lua_newuserdata(L, sizeof *box);
  *box = (struct box){0};
  luaL_getmetatable(L, SERVER);
  lua_setmetatable(L, 2);
  get_script(L, 1, &box->script);
  box->server = rs_start(&box->script);
  if (!box->server) return luaL_error(L, "cannot start the server: %s", strerror(errno));
  return 1;
}

static int collect(lua_State *L) {
  struct box *box = luaL_checkudata(L, 1, SERVER);
  rs_script_free(&box->script);
  rs_free(box->server);
  box->server = NULL;
  return 0;
}

static int stop(lua_State *L) {
  rs_stop(check_server(L));
  return 0;
}

static int port(lua_State *L) {
  lua_pushinteger(L, rs_port(check_server(L)));
  return 1;
}

static void push_size(lua_State *L, size_t value) {
  lua_pushinteger(L, (lua_Integer)value);
}

/* records() → list of { head, body, connection, answer } */
static int records(lua_State *L) {
  struct rs_record *r;
  size_t count = rs_records(check_server(L), &r);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 1; i <= count; i++) {
    lua_createtable(L, 0, 4);
    lua_pushlstring(L, r->head, r->head_size);
    lua_setfield(L, -2, "head");
    lua_pushlstring(L, r->body, r->body_size);
    lua_setfield(L, -2, "body");
    push_size(L, r->connection);
    lua_setfield(L, -2, "connection");
    push_size(L, r->answer);
    lua_setfield(L, -2, "answer");
    lua_rawseti(L, -2, (int)i);
    if (i < count) /* the link of the last may be written at this moment */
      r = r->next;
  }
  return 1;
}

static int count(lua_State *L) {
  struct rs_record *first;
  push_size(L, rs_records(check_server(L), &first));
  return 1;
}

static int clear(lua_State *L) {
  rs_clear(check_server(L));
  return 0;
}

/* connections() → accepted so far, open now */
static int connections(lua_State *L) {
  size_t accepted, open;
  rs_connections(check_server(L), &accepted, &open);
  push_size(L, accepted);
  push_size(L, open);
  return 2;
}

static int wait_requests(lua_State *L) {
  struct rs_server *server = check_server(L);
  size_t n = to_size(luaL_checknumber(L, 2));
  lua_pushboolean(L, rs_wait_requests(server, n, luaL_checknumber(L, 3)));
  return 1;
}

static int wait_open(lua_State *L) {
  struct rs_server *server = check_server(L);
  size_t n = to_size(luaL_checknumber(L, 2));
  lua_pushboolean(L, rs_wait_open(server, n, luaL_checknumber(L, 3)));
  return 1;
}

static int free_port(lua_State *L) {
  int number = 0, fd = rs_bind(&number);
  if (fd < 0) return luaL_error(L, "cannot bind: %s", strerror(errno));
  close(fd);
  lua_pushinteger(L, number);
  return 1;
}

static int nap(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  struct timespec t = {(time_t)seconds,
                       (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&t, NULL);
  return 0;
}

static int now(lua_State *L) {
  lua_pushnumber(L, rs_now());
  return 1;
}

static int collect_refused(lua_State *L) {
  int *fd = luaL_checkudata(L, 1, REFUSED);
  if (*fd >= 0) close(*fd);
  *fd = -1;
  return 0;
}

/* A bound socket that never listens: nobody else can get its port, and every connection
   to it is refused. It lives as long as the state, so that no spec sees it come or go. */
static void push_refused_port(lua_State *L) {
  int number = 0;
  int *fd = lua_newuserdata(L, sizeof *fd);
  *fd = -1;
  luaL_newmetatable(L, REFUSED);
  lua_pushcfunction(L, collect_refused);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  *fd = rs_bind(&number);
  if (*fd < 0) luaL_error(L, "cannot bind: %s", strerror(errno));
  lua_setfield(L, LUA_REGISTRYINDEX, REFUSED ".socket");
  lua_pushinteger(L, number);
}

static void set_functions(lua_State *L, const luaL_Reg *functions) {
  for (; functions->name; functions++) {
    lua_pushcfunction(L, functions->func);
    lua_setfield(L, -2, functions->name);
  }
}

__attribute__((visibility("default"))) int luaopen_spec_support_rawserver(lua_State *L) {
  static const luaL_Reg methods[] = {
    {"stop", stop},          {"port", port},           {"records", records},
    {"count", count},        {"clear", clear},         {"connections", connections},
    {"wait", wait_requests}, {"wait_open", wait_open}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
    {"start", start}, {"free_port", free_port}, {"nap", nap}, {"now", now}, {NULL, NULL}};
  luaL_newmetatable(L, SERVER);
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "__gc");
  lua_newtable(L);
  set_functions(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  lua_newtable(L);
  set_functions(L, functions);
  push_refused_port(L);
  lua_setfield(L, -2, "refused_port");
  return 1;
}
